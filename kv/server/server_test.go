package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// testCluster is servers in one process, joined by a network in memory. It is
// also their router: it tries the servers until one serves.
type testCluster struct {
	t      testing.TB
	fs     func() *vfs.MemFS
	wait   sync.WaitGroup
	mu     sync.Mutex
	random *rand.Rand                 // guarded by mu
	nodes  map[kvpb.StoreID]*testNode // guarded by mu; those that run
	cut    map[kvpb.StoreID]bool      // guarded by mu
	config func(*Config)
	// routers: each node has a router of its own, and its transactions go by it.
	routers bool
}

type testNode struct {
	id        kvpb.StoreID
	fs        *vfs.MemFS
	engines   *engine.Engines
	server    *Server
	directory *cluster.Directory
	clock     *hlc.Clock
	router    *kv.Router
	db        *txn.DB
}

func newTestCluster(t testing.TB, config func(*Config)) *testCluster {
	return &testCluster{t: t, random: rand.New(rand.NewPCG(1, 1)), nodes: map[kvpb.StoreID]*testNode{},
		cut: map[kvpb.StoreID]bool{}, config: config, fs: vfs.NewCrashableMem}
}

func testLogger() *slog.Logger {
	if os.Getenv("CAIRN_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// start starts a node; fs is its disk, nil for a new one.
func (c *testCluster) start(id kvpb.StoreID, fs *vfs.MemFS) *testNode {
	c.t.Helper()
	if fs == nil {
		fs = c.fs()
	}
	n := &testNode{id: id, fs: fs, clock: hlc.NewClock(hlc.SystemClock, 50*time.Millisecond)}
	self := cluster.Node{ID: kvpb.NodeID(id), Incarnation: time.Now().UnixNano(), Stores: []cluster.Store{{ID: id}}}
	n.directory = cluster.NewDirectory("test", self, time.Now)
	var err error
	n.engines, err = engine.Open(engine.Options{FS: fs, Dir: "store", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	configuration := Config{Node: kvpb.NodeID(id), Store: id, Engines: n.engines, Clock: n.clock, Transport: endpoint{c, id},
		Logger: testLogger().With("store", id), Router: c, Directory: n.directory,
		Failed: func(err error) { c.t.Errorf("store %d failed: %v", id, err) }}
	if c.config != nil {
		c.config(&configuration)
	}
	if c.routers {
		n.router = kv.NewRouter(kv.RouterConfig{Node: kvpb.NodeID(id), FirstRange: n.directory.FirstRange, Clock: n.clock,
			Remote: func(to kvpb.NodeID) (kv.Sender, bool) { return wire{c, id, kvpb.StoreID(to)}, true }})
		configuration.Router = n.router
	}
	if n.server, err = Open(configuration); err != nil {
		c.t.Fatal(err)
	}
	if c.routers {
		n.router.SetLocal(n.server)
		n.db = txn.NewDB(txn.Config{Sender: n.router, Clock: n.clock, Node: kvpb.NodeID(id)})
	}
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	return n
}

// beat lets all running nodes hear of each other.
func (c *testCluster) beat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		totals := n.server.Statistics()
		n.directory.Beat(func(r *cluster.Node) {
			r.Stores[0].Ranges, r.Stores[0].Leases = totals.Ranges, totals.Leases
		})
	}
	for id, n := range c.nodes {
		for other, m := range c.nodes {
			if id != other && !c.cut[id] && !c.cut[other] {
				var first *kvpb.RangeDescriptor
				if d, ok := m.directory.FirstRange(); ok {
					first = &d
				}
				n.directory.Learn([]cluster.Node{m.directory.Self()}, first)
			}
		}
	}
}

// stop stops a node. With crash its disk keeps only what was synced.
func (c *testCluster) stop(n *testNode, crash bool) *vfs.MemFS {
	c.mu.Lock()
	delete(c.nodes, n.id)
	c.mu.Unlock()
	if n.db != nil {
		defer n.db.Close()
	}
	fs := n.fs
	if crash {
		fs = n.fs.CrashClone(vfs.CrashCloneCfg{})
	}
	n.server.Close()
	if err := n.engines.Close(); err != nil {
		c.t.Error(err)
	}
	return fs
}

func (c *testCluster) stopAll() {
	for _, n := range c.running() {
		c.stop(n, false)
	}
	c.wait.Wait()
}

func (c *testCluster) running() []*testNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*testNode
	for id := kvpb.StoreID(1); id < 10; id++ {
		if n := c.nodes[id]; n != nil && !c.cut[id] {
			all = append(all, n)
		}
	}
	return all
}

// endpoint implements raftstore.Transport.
type endpoint struct {
	c    *testCluster
	from kvpb.StoreID
}

func (e endpoint) Send(to kvpb.StoreID, messages []raftstore.Message) bool {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		if c.cut[e.from] || c.cut[to] {
			continue
		}
		b, err := m.Append(nil)
		if err != nil {
			panic(err)
		}
		delay := time.Duration(c.random.Int64N(int64(time.Millisecond)))
		c.wait.Add(1)
		go func() {
			defer c.wait.Done()
			time.Sleep(delay)
			c.mu.Lock()
			n := c.nodes[to]
			c.mu.Unlock()
			if decoded, _, err := raftstore.DecodeMessage(b); err == nil && n != nil {
				n.server.HandleMessages([]raftstore.Message{decoded})
			}
		}()
	}
	return true
}

func (e endpoint) Snapshot(ctx context.Context, h raftstore.SnapshotHeader, content io.Reader) error {
	e.c.mu.Lock()
	n := e.c.nodes[h.To.Store]
	unreachable := n == nil || e.c.cut[e.from] || e.c.cut[h.To.Store]
	e.c.mu.Unlock()
	if unreachable {
		return errors.New("unreachable")
	}
	return n.server.HandleSnapshot(ctx, h, content)
}

// wire is a kv.Sender from one node to another, over bytes. A cut loses answers
// as well as requests.
type wire struct {
	c        *testCluster
	from, to kvpb.StoreID
}

type notSentError struct{}

func (notSentError) Error() string { return "the node can't be reached" }
func (notSentError) NotSent() bool { return true }

func (w wire) node() *testNode {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.cut[w.from] || w.c.cut[w.to] {
		return nil
	}
	return w.c.nodes[w.to]
}

func (w wire) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	n := w.node()
	if n == nil {
		return nil, notSentError{}
	}
	request := new(kvpb.BatchRequest)
	if err := request.Unmarshal(b.Append(nil)); err != nil {
		return nil, err
	}
	response, err := n.server.Send(ctx, request)
	if w.node() != n {
		return nil, errors.New("the connection is lost")
	}
	if err != nil {
		e, answer := new(kvpb.Error), err.(*kvpb.Error)
		if err := e.Unmarshal(answer.Append(nil)); err != nil {
			return nil, err
		}
		return nil, e
	}
	received := new(kvpb.BatchResponse)
	return received, received.Unmarshal(response.Append(nil))
}

// Send implements kv.Sender: it asks one server after the other.
func (c *testCluster) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	for {
		last := error(&kvpb.UnavailableError{Cause: "no node runs"})
		for _, n := range c.running() {
			response, err := n.server.Send(ctx, b)
			if err == nil {
				return response, nil
			}
			last = err
			if !mayTryAgain(err) {
				return nil, err
			}
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, last
		}
	}
}

func mayTryAgain(err error) bool {
	e, ok := errors.AsType[*kvpb.Error](err)
	if !ok {
		return false
	}
	switch e.Detail.(type) {
	case *kvpb.NotLeaseholderError, *kvpb.RangeNotFoundError, *kvpb.RangeKeyMismatchError, *kvpb.UnavailableError:
		return true
	}
	return false
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (c *testCluster) put(ctx context.Context, key, value string) error {
	_, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: []byte(key), Value: []byte(value)}}})
	return err
}

func (c *testCluster) get(ctx context.Context, key string) string {
	c.t.Helper()
	r, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte(key)}}})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(r.Responses[0].Value)
}

func newTxn(n *testNode, name byte, anchor string) *kvpb.Transaction {
	now := n.clock.Now()
	t := &kvpb.Transaction{ReadTimestamp: now, UncertaintyLimit: now.Add(n.clock.MaxOffset())}
	t.ID = kvpb.TxnID{name, byte(now.WallTime), byte(now.WallTime >> 8), byte(now.WallTime >> 16), byte(now.WallTime >> 24), name, 1}
	t.Key, t.WriteTimestamp, t.MinTimestamp = []byte(anchor), now, now
	t.ObservedTimestamps = []kvpb.ObservedTimestamp{{Node: kvpb.NodeID(n.id), Timestamp: now}}
	return t
}

func commitBatch(t *kvpb.Transaction, keysAndValues ...string) *kvpb.BatchRequest {
	b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: t, CanForwardReadTimestamp: true}}
	end := &kvpb.EndTxnArgs{Commit: true}
	for i := 0; i < len(keysAndValues); i += 2 {
		key := []byte(keysAndValues[i])
		b.Requests = append(b.Requests, kvpb.Request{Kind: kvpb.Put, Key: key, Value: []byte(keysAndValues[i+1]), Sequence: int32(i/2 + 1)})
		end.LockSpans = append(end.LockSpans, kvpb.Span{Key: key})
	}
	b.Requests = append(b.Requests, kvpb.Request{Kind: kvpb.EndTxn, Key: t.Key, EndTxn: end})
	return b
}

func detail[T error](t testing.TB, err error) T {
	t.Helper()
	d, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("got %T: %v", errors.Unwrap(err), err)
	}
	return d
}

func TestOneStoreServes(t *testing.T) {
	c := newTestCluster(t, nil)
	n := c.start(1, nil)
	defer c.stopAll()
	ctx := testContext(t)
	if err := n.server.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.put(ctx, "\x04a", "1"); err != nil {
		t.Fatal(err)
	}
	if got := c.get(ctx, "\x04a"); got != "1" {
		t.Fatalf("read %q", got)
	}

	// One phase: neither a record nor an intent is left.
	x := newTxn(n, 1, "\x04b")
	response, err := c.Send(ctx, commitBatch(x, "\x04b", "2", "\x04c", "3"))
	if err != nil {
		t.Fatal(err)
	}
	if response.Txn.Status != kvpb.Committed || len(response.Txn.LockSpans) > 0 {
		t.Fatalf("the transaction stands at %+v", response.Txn)
	}
	if got := c.get(ctx, "\x04c"); got != "3" {
		t.Fatalf("read %q", got)
	}
	raft, _ := n.server.store.Replica(1)
	if stats := raft.Statistics(); stats.LockCount != 0 || stats.LiveCount < 3 {
		t.Fatalf("statistics %+v", stats)
	}

	// Sent again it is not carried out again.
	if err := c.put(ctx, "\x04b", "later"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(ctx, commitBatch(x, "\x04b", "2", "\x04c", "3"))
	detail[*kvpb.TransactionStatusError](t, err)
	if got := c.get(ctx, "\x04b"); got != "later" {
		t.Fatalf("a repeated commit was carried out twice: %q", got)
	}

	// Intents: laid, seen by their own transaction only, committed.
	y := newTxn(n, 2, "\x04d")
	response, err = c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: y}, Requests: []kvpb.Request{
		{Kind: kvpb.Put, Key: []byte("\x04d"), Value: []byte("4"), Sequence: 1},
		{Kind: kvpb.Delete, Key: []byte("\x04a"), Sequence: 2},
		{Kind: kvpb.Scan, Key: []byte("\x04"), EndKey: []byte("\x05"), Sequence: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	if rows := response.Responses[2].Rows; len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	if raft.Statistics().LockCount != 2 {
		t.Fatalf("%d locks", raft.Statistics().LockCount)
	}
	response, err = c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: response.Txn}, Requests: []kvpb.Request{
		{Kind: kvpb.EndTxn, Key: y.Key, EndTxn: &kvpb.EndTxnArgs{Commit: true, LockSpans: []kvpb.Span{{Key: []byte("\x04d")}, {Key: []byte("\x04a")}}}}}})
	if err != nil {
		// Its write was pushed above the earlier reads; that is the coordinator's to
		// repair.
		retry := detail[*kvpb.TransactionRetryError](t, err)
		y = y.Clone()
		y.ReadTimestamp, y.WriteTimestamp = retry.At, retry.At
		response, err = c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: y}, Requests: []kvpb.Request{
			{Kind: kvpb.EndTxn, Key: y.Key, EndTxn: &kvpb.EndTxnArgs{Commit: true, LockSpans: []kvpb.Span{{Key: []byte("\x04d")}, {Key: []byte("\x04a")}}}}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := c.get(ctx, "\x04d") + c.get(ctx, "\x04a"); got != "4" {
		t.Fatalf("read %q", got)
	}
	if raft.Statistics().LockCount != 0 {
		t.Fatalf("%d locks", raft.Statistics().LockCount)
	}
	if fmt.Sprint(response.Txn.LockSpans) != "[]" {
		t.Fatalf("%+v", response.Txn.LockSpans)
	}
}
