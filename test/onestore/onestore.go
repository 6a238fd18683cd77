// Package onestore is the key-value layers of one node in memory, for tests of
// what stands on them: a store that needs no network and no disk.
//
//	txn.DB → kv.Router → kv/server → raftstore → Pebble on a file system in memory
package onestore

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

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

// Store is a running store.
type Store struct {
	Router *kv.Router
	Clock  *hlc.Clock
}

// Open starts an empty store; it ends with the test.
func Open(t testing.TB) *Store {
	t.Helper()
	clock := hlc.NewClock(hlc.SystemClock, 50*time.Millisecond)
	logger := slog.New(slog.DiscardHandler)
	directory := cluster.NewDirectory("test", cluster.Node{ID: 1, Incarnation: 1, Stores: []cluster.Store{{ID: 1}}}, time.Now)
	engines, err := engine.Open(engine.Options{FS: vfs.NewMem(), Dir: "store", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	router := kv.NewRouter(kv.RouterConfig{Node: 1, Remote: func(kvpb.NodeID) (kv.Sender, bool) { return nil, false },
		FirstRange: directory.FirstRange, Clock: clock, Logger: logger})
	s, err := server.Open(server.Config{Node: 1, Store: 1, Engines: engines, Clock: clock, Transport: noTransport{}, Logger: logger,
		Router: router, Directory: directory, Failed: func(err error) { t.Errorf("the store failed: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	router.SetLocal(s)
	t.Cleanup(func() {
		s.Close()
		if err := engines.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Bootstrap(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &Store{Router: router, Clock: clock}
}

// DB returns the coordinator of a node that works on the store.
func (s *Store) DB(t testing.TB, node kvpb.NodeID) *txn.DB {
	db := txn.NewDB(txn.Config{Sender: s.Router, Clock: s.Clock, Node: node, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(db.Close)
	return db
}

// noTransport has nobody to send to.
type noTransport struct{}

func (noTransport) Send(kvpb.StoreID, []raftstore.Message) bool { return false }

func (noTransport) Snapshot(context.Context, raftstore.SnapshotHeader, io.Reader) error {
	return context.Canceled
}
