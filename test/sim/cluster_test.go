// Package sim runs whole clusters in one process, under virtual time and with
// disks and a network in memory, and checks the histories of what transactions
// saw. The seed of every run is in its name.
package sim

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
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/server"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// simulation is a cluster.
type simulation struct {
	t     testing.TB
	nodes []*node
	wait  sync.WaitGroup // messages under way
	stop  chan struct{}

	mu     sync.Mutex
	random *rand.Rand // guarded by mu
	loss   int        // guarded by mu; percent of batches between nodes that get lost, on either way
}

// node is a server with its router and its coordinator.
type node struct {
	id        kvpb.NodeID
	engines   *engine.Engines
	server    *server.Server
	directory *cluster.Directory
	router    *kv.Router
	db        *txn.DB
}

func logger() *slog.Logger {
	if os.Getenv("CAIRN_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// newSimulation starts a cluster of count nodes and waits until its range has
// a replica on three of them, or on the only one. Clocks differ by up to the
// offset that the nodes are told of.
func newSimulation(t testing.TB, count int, seed uint64) *simulation {
	s := &simulation{t: t, stop: make(chan struct{}), random: rand.New(rand.NewPCG(seed, 17))}
	for id := 1; id <= count; id++ {
		s.start(kvpb.NodeID(id))
	}
	ctx := context.Background()
	if err := s.nodes[0].server.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	s.wait.Go(func() {
		for {
			s.beat()
			select {
			case <-s.stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	s.await("all ranges have their replicas", func() bool { return s.replicated(ctx, min(count, 3)) })
	return s
}

const maxOffset = 20 * time.Millisecond

func (s *simulation) start(id kvpb.NodeID) {
	skew := s.delay(maxOffset).Nanoseconds()
	n := &node{id: id}
	clock := hlc.NewClock(func() int64 { return time.Now().UnixNano() + skew }, maxOffset)
	self := cluster.Node{ID: id, Incarnation: 1, Stores: []cluster.Store{{ID: kvpb.StoreID(id)}}}
	n.directory = cluster.NewDirectory("sim", self, time.Now)
	var err error
	n.engines, err = engine.Open(engine.Options{FS: vfs.NewMem(), Dir: "store", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	log := logger().With("node", id)
	n.router = kv.NewRouter(kv.RouterConfig{Node: id, Remote: s.remote, FirstRange: n.directory.FirstRange, Clock: clock, Logger: log})
	n.server, err = server.Open(server.Config{
		Node: id, Store: kvpb.StoreID(id), Engines: n.engines, Clock: clock, Transport: transport{s, id},
		Logger: log, Router: n.router, Directory: n.directory,
		Failed: func(err error) { s.t.Errorf("node %d failed: %v", id, err) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	n.router.SetLocal(n.server)
	n.db = txn.NewDB(txn.Config{Sender: n.router, Clock: clock, Node: id, Logger: log})
	s.mu.Lock()
	s.nodes = append(s.nodes, n)
	s.mu.Unlock()
}

// close ends the cluster.
func (s *simulation) close() {
	close(s.stop)
	for _, n := range s.nodes {
		n.db.Close()
	}
	for _, n := range s.nodes {
		n.server.Close()
	}
	s.wait.Wait()
	for _, n := range s.nodes {
		if err := n.engines.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *simulation) delay(most time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.Int64N(int64(most)))
}

// loses draws whether a message gets lost.
func (s *simulation) loses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loss > 0 && s.random.IntN(200) < s.loss
}

func (s *simulation) setLoss(percent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loss = percent
}

var errLost = errors.New("the connection was lost")

func (s *simulation) node(id kvpb.NodeID) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[id-1]
}

// beat lets the nodes hear of each other.
func (s *simulation) beat() {
	for _, n := range s.nodes {
		totals := n.server.Statistics()
		n.directory.Beat(func(r *cluster.Node) {
			r.Stores[0].Ranges, r.Stores[0].Leases = totals.Ranges, totals.Leases
		})
	}
	for _, n := range s.nodes {
		for _, m := range s.nodes {
			if n != m {
				first, ok := m.directory.FirstRange()
				if !ok {
					n.directory.Learn([]cluster.Node{m.directory.Self()}, nil)
					continue
				}
				n.directory.Learn([]cluster.Node{m.directory.Self()}, &first)
			}
		}
	}
}

func (s *simulation) await(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (s *simulation) ranges(ctx context.Context) []kvpb.RangeDescriptor {
	response, err := s.nodes[0].router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: keys.MetaMin, EndKey: keys.MetaMax}}})
	if err != nil {
		return nil
	}
	var all []kvpb.RangeDescriptor
	for _, row := range response.Responses[0].Rows {
		var d kvpb.RangeDescriptor
		if err := d.Unmarshal(row.Value); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func (s *simulation) replicated(ctx context.Context, count int) bool {
	all := s.ranges(ctx)
	for _, d := range all {
		if len(d.Replicas) != count {
			return false
		}
	}
	return len(all) > 0
}

func (s *simulation) split(ctx context.Context, key string) error {
	_, err := s.nodes[0].router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{
		Kind: kvpb.AdminSplit, Key: []byte(key), Admin: &kvpb.AdminArgs{SplitKey: []byte(key)}}}})
	return err
}

func (s *simulation) transferLease(ctx context.Context, key string, to kvpb.StoreID) error {
	_, err := s.nodes[0].router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{
		Kind: kvpb.AdminTransferLease, Key: []byte(key), Admin: &kvpb.AdminArgs{Store: to}}}})
	return err
}

// remoteSender is another node, over a network that takes its time and moves
// bytes only.
type remoteSender struct {
	s  *simulation
	to kvpb.NodeID
}

func (s *simulation) remote(id kvpb.NodeID) (kv.Sender, bool) { return remoteSender{s, id}, true }

func (r remoteSender) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	request := new(kvpb.BatchRequest)
	if err := request.Unmarshal(b.Append(nil)); err != nil {
		return nil, err
	}
	time.Sleep(r.s.delay(300 * time.Microsecond))
	if r.s.loses() {
		return nil, errLost
	}
	response, err := r.s.node(r.to).server.Send(ctx, request)
	time.Sleep(r.s.delay(300 * time.Microsecond))
	if r.s.loses() {
		return nil, errLost
	}
	if err != nil {
		e, ok := errors.AsType[*kvpb.Error](err)
		if !ok {
			return nil, err
		}
		copied := new(kvpb.Error)
		if err := copied.Unmarshal(e.Append(nil)); err != nil {
			return nil, fmt.Errorf("an error that can't travel: %w", err)
		}
		return nil, copied
	}
	copied := new(kvpb.BatchResponse)
	return copied, copied.Unmarshal(response.Append(nil))
}

// transport carries Raft messages.
type transport struct {
	s    *simulation
	from kvpb.NodeID
}

func (t transport) Send(to kvpb.StoreID, messages []raftstore.Message) bool {
	for _, m := range messages {
		b, err := m.Append(nil)
		if err != nil {
			panic(err)
		}
		delay := t.s.delay(300 * time.Microsecond)
		t.s.wait.Go(func() {
			time.Sleep(delay)
			if decoded, _, err := raftstore.DecodeMessage(b); err == nil {
				t.s.node(kvpb.NodeID(to)).server.HandleMessages([]raftstore.Message{decoded})
			}
		})
	}
	return true
}

func (t transport) Snapshot(ctx context.Context, h raftstore.SnapshotHeader, content io.Reader) error {
	return t.s.node(kvpb.NodeID(h.To.Store)).server.HandleSnapshot(ctx, h, content)
}
