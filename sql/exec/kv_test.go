package exec

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/server"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// alone is the transport of a store without others.
type alone struct{}

func (alone) Send(kvpb.StoreID, []raftstore.Message) bool { return false }

func (alone) Snapshot(context.Context, raftstore.SnapshotHeader, io.Reader) error {
	return fmt.Errorf("there is no other store")
}

// startNode starts the layers below sql, on a disk in memory.
func startNode(t testing.TB) *txn.DB {
	t.Helper()
	clock := hlc.NewClock(hlc.SystemClock, 50*time.Millisecond)
	logger := slog.New(slog.DiscardHandler)
	directory := cluster.NewDirectory("test", cluster.Node{ID: 1, Incarnation: 1, Stores: []cluster.Store{{ID: 1}}}, time.Now)
	engines, err := engine.Open(engine.Options{FS: vfs.NewMem(), Dir: "store", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	router := kv.NewRouter(kv.RouterConfig{Node: 1, FirstRange: directory.FirstRange, Clock: clock,
		Remote: func(kvpb.NodeID) (kv.Sender, bool) { return nil, false }})
	s, err := server.Open(server.Config{Node: 1, Store: 1, Engines: engines, Clock: clock, Transport: alone{}, Logger: logger,
		Router: router, Directory: directory, Failed: func(err error) { t.Errorf("the store failed: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	router.SetLocal(s)
	db := txn.NewDB(txn.Config{Sender: router, Clock: clock, Node: 1})
	if err := s.Bootstrap(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close()
		s.Close()
		if err := engines.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestScriptsOnStore runs the scripts over a real store, each statement in a
// transaction of its own.
func TestScriptsOnStore(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		db := startNode(t)
		s := newSession()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "run" {
				return s.command(t, d)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			x := db.Begin(txn.Options{Name: "test"})
			x.Step()
			s.env.Txn = x
			out, err := s.execute(t, d.Input)
			if err == nil {
				err = x.Commit(ctx)
			} else if e := x.Rollback(ctx); e != nil {
				t.Error(e)
			}
			if err != nil {
				return describe(err)
			}
			return out
		})
	})
}
