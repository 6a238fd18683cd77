package pgwire

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jackc/pgx/v5"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/server"
	"github.com/cairndb/cairn/raftstore"
	storage "github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/schemachange"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// noTransport is the network of a node that is alone.
type noTransport struct{}

func (noTransport) Send(kvpb.StoreID, []raftstore.Message) bool { return false }
func (noTransport) Snapshot(context.Context, raftstore.SnapshotHeader, io.Reader) error {
	return fmt.Errorf("there is no other node")
}

// stack is a node without its listeners for others, over a disk in memory.
type stack struct {
	address string
	sql     *sql.Server
	pgwire  *Server
}

func testLogger() *slog.Logger {
	if os.Getenv("CAIRN_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// newStack starts a node; it ends with the test.
func newStack(t testing.TB, configure func(*Config)) *stack {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	logger := testLogger()
	clock := hlc.NewClock(hlc.SystemClock, 50*time.Millisecond)
	directory := cluster.NewDirectory("test", cluster.Node{ID: 1, Incarnation: 1, Stores: []cluster.Store{{ID: 1}}}, time.Now)
	engines, err := storage.Open(storage.Options{FS: vfs.NewMem(), Dir: "store", Logger: slog.New(slog.DiscardHandler)})
	must(err)
	router := kv.NewRouter(kv.RouterConfig{Node: 1, FirstRange: directory.FirstRange, Clock: clock, Logger: logger,
		Remote: func(kvpb.NodeID) (kv.Sender, bool) { return nil, false }})
	store, err := server.Open(server.Config{Node: 1, Store: 1, Engines: engines, Clock: clock, Transport: noTransport{}, Logger: logger, Router: router, Directory: directory,
		Failed: func(err error) { t.Errorf("the store failed: %v", err) }})
	must(err)
	router.SetLocal(store)
	must(store.Bootstrap(ctx))
	db := txn.NewDB(txn.Config{Sender: router, Clock: clock, Node: 1, Logger: logger})
	services := schemachange.NewServices(db, 1, logger)
	must(db.Run(ctx, txn.Options{Name: "bootstrap"}, catalog.Bootstrap))
	must(services.Start(ctx))
	s := &stack{}
	s.sql, err = sql.NewServer(sql.Config{DB: db, Catalog: services.Catalog, Jobs: services.Jobs, Clock: clock, Node: 1, ClusterID: "test", Version: "test", Logger: logger, MaxSQLMemory: 256 << 20})
	must(err)
	config := Config{SQL: s.sql, Insecure: true, Logger: logger}
	if configure != nil {
		configure(&config)
	}
	s.pgwire = NewServer(config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	s.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.pgwire.Serve(context.Background(), listener) }()
	t.Cleanup(func() {
		s.pgwire.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		s.sql.Close()
		services.Close()
		db.Close()
		store.Close()
		_ = engines.Close()
	})
	return s
}

func (s *stack) connect(t testing.TB, options string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), "postgres://postgres@"+s.address+"/postgres?sslmode=disable"+options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
