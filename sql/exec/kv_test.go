package exec

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
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
	"github.com/cairndb/cairn/sql/types"
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

// BenchmarkOnStore runs pgbench's statements over a real store on a disk in
// memory, each in a transaction of its own: what the layers below the session
// cost.
func BenchmarkOnStore(b *testing.B) {
	db := startNode(b)
	s := newSession()
	if err := s.createTable("accounts\naid int4 not null\nbid int4\nabalance int4\nfiller text"); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	run := func(p *Prepared) {
		x := db.Begin(txn.Options{Name: "bench"})
		x.Step()
		s.env.Txn = x
		q, err := p.Start(ctx, s.env)
		if err == nil {
			_, err = q.Run(ctx)
		}
		if err == nil {
			err = q.Close()
		}
		if err == nil {
			err = x.Commit(ctx)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	prepare := func(text string) *Prepared {
		plan, err := s.plan(text)
		if err != nil {
			b.Fatal(err)
		}
		p, err := Prepare(plan)
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	run(prepare("insert into accounts select i, 1, 0, repeat(' ', 84) from generate_series(1, 10000) i"))
	s.env.Parameters = []types.Datum{i(5000)}
	for _, text := range []string{"select abalance from accounts where aid = $1", "update accounts set abalance = abalance + 1 where aid = $1",
		"select sum(abalance) from accounts where aid > $1 - 5000"} {
		b.Run(strings.Fields(text)[0]+" "+strings.Fields(text)[1], func(b *testing.B) {
			p := prepare(text)
			b.ReportAllocs()
			for b.Loop() {
				run(p)
			}
		})
	}
}

// TestRowLocks: what FOR UPDATE, NOWAIT, SKIP LOCKED and lock_timeout answer
// while another transaction holds a row's lock.
func TestRowLocks(t *testing.T) {
	db := startNode(t)
	s := newSession()
	if err := s.createTable("job\nid int4 not null\nstate text\nindex job_state state"); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	begin := func() *txn.Txn {
		x := db.Begin(txn.Options{Name: "test"})
		x.Step()
		return x
	}
	in := func(x *txn.Txn, text string) string {
		s.env.Txn = x
		out, err := s.execute(t, text)
		if err != nil {
			return describe(err)
		}
		return out
	}
	setup := begin()
	in(setup, "insert into job values (1, 'new'), (2, 'new'), (3, 'new'), (4, 'old')")
	if err := setup.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	holder := begin()
	if got := in(holder, "select id from job where id = 1 for update"); got != "1\n" {
		t.Fatal(got)
	}
	for _, test := range []struct{ text, want string }{
		{"select id from job order by id for update skip locked", "2\n3\n4\n"},
		{"select id from job where state = 'new' order by id limit 1 for update skip locked", "2\n"},
		{"select id from job where state = 'new' order by state, id limit 2 for update skip locked", "2\n3\n"},
		{"select id from job where id < 3 for update nowait", "ERROR: 55P03: could not obtain lock on row in relation \"job\"\n"},
		{"select id from job where state = 'new' for share nowait", "ERROR: 55P03: could not obtain lock on row in relation \"job\"\n"},
		{"select id from job where id = 1", "1\n"},
	} {
		x := begin()
		if got := in(x, test.text); got != test.want {
			t.Errorf("%s: got\n%s", test.text, got)
		}
		if err := x.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.env.LockTimeout = 50 * time.Millisecond
	x := begin()
	if got, want := in(x, "update job set state = 'mine' where id = 1"), "ERROR: 55P03: canceling statement due to lock timeout\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	for _, x := range []*txn.Txn{x, holder} {
		if err := x.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
