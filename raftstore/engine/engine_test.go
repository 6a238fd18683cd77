package engine

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/txn/hlc"
)

func open(t *testing.T, fs vfs.FS, dir string) *Engines {
	t.Helper()
	e, err := Open(Options{FS: fs, Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestVersionsSortNewestFirst(t *testing.T) {
	e := open(t, vfs.NewMem(), "s")
	defer e.Close()
	for _, ts := range []hlc.Timestamp{{WallTime: 1}, {WallTime: 3, Logical: 2}, {WallTime: 3}} {
		if err := e.State.Set(AppendVersion(nil, []byte("k"), ts), []byte(ts.String()), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	iter, err := e.State.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close()
	var got []hlc.Timestamp
	for iter.First(); iter.Valid(); iter.Next() {
		key, ts, err := DecodeKey(iter.Key())
		if err != nil || string(key) != "k" || !SamePrefix(iter.Key(), []byte("k")) {
			t.Fatalf("%q %v", key, err)
		}
		got = append(got, ts)
	}
	if len(got) != 3 || got[0] != (hlc.Timestamp{WallTime: 3, Logical: 2}) || got[2] != (hlc.Timestamp{WallTime: 1}) {
		t.Fatalf("%v", got)
	}
}

func TestStoreIsLockedAgainstASecondProcess(t *testing.T) {
	dir := t.TempDir()
	e := open(t, vfs.Default, dir)
	defer e.Close()
	_, err := Open(Options{FS: vfs.Default, Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if _, ok := errors.AsType[*LockedError](err); !ok {
		t.Fatalf("got %v", err)
	}
}

func TestCrashKeepsSyncedLogAndAPrefixOfState(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs, "s")
	if err := e.Log.Set([]byte("entry"), []byte("1"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := e.State.Set(AppendKey(nil, []byte("flushed")), nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := e.State.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := e.State.Set(AppendKey(nil, []byte("lost")), nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	e.Close()
	e = open(t, crashed, "s")
	defer e.Close()
	if _, closer, err := e.Log.Get([]byte("entry")); err != nil {
		t.Fatalf("a synced entry is lost: %v", err)
	} else {
		closer.Close()
	}
	if _, closer, err := e.State.Get(AppendKey(nil, []byte("flushed"))); err != nil {
		t.Fatalf("flushed state is lost: %v", err)
	} else {
		closer.Close()
	}
	if _, _, err := e.State.Get(AppendKey(nil, []byte("lost"))); !errors.Is(err, pebble.ErrNotFound) {
		t.Fatalf("unflushed state is there: %v", err)
	}
}
