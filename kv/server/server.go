// Package server serves the ranges of a node's store: it evaluates requests at
// the leaseholder, replicates their effects, and keeps the ranges in shape.
//
//	Send ─→ lease ─→ latches and locks (kv/concurrency) ─→ lease, bounds again
//	          ─→ evaluate (kv/mvcc) ─┬→ reads: timestamp cache ─→ answer
//	                                 └→ writes: Propose (raftstore) ─ applied ─→ locks told ─→ answer
//	queues: split, replicate, spread leases, publish descriptors, collect garbage
//
// What must hold for a request to be served: the replica holds a usable lease
// at the later of the clock and the request's timestamps, both when it begins
// and after its view of State is fixed under its latches; its keys lie in the
// range then; no write lands below a read (timestampCache), and no transaction
// that has ended comes back (endedTransactions). Latches are held until a
// proposal's fate is known, whoever still waits for it: evaluation must see all
// that was proposed before.
//
// Locks: Server.mu and replica.mu guard short sections without I/O and are
// never held together with each other.
package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// Config is what a server is opened with.
type Config struct {
	Node      kvpb.NodeID
	Store     kvpb.StoreID
	Engines   *engine.Engines
	Clock     *hlc.Clock
	Transport raftstore.Transport
	Logger    *slog.Logger
	// Router reaches all ranges, this store's among them: for pushes, resolution
	// of intents, the allocation of range ids and the publication of
	// descriptors. It may call Send as soon as Open has returned.
	Router kv.Sender
	// Directory knows the live nodes and their stores, and is told where the
	// first range is.
	Directory *cluster.Directory
	// MaxRangeBytes is the size at which a range is split; 0: 64 MiB.
	MaxRangeBytes int64
	// GCTTL is how long overwritten versions can still be read; 0: 10 minutes.
	GCTTL time.Duration
	// ReplaceDeadAfter is how long a node must be silent before its replicas are
	// made anew elsewhere; 0: 5 minutes.
	ReplaceDeadAfter time.Duration
	// Failed is told of a broken invariant or a disk that can't be written: the
	// store has stopped, the node must.
	Failed func(error)
}

// Defaults of Config.
const (
	DefaultMaxRangeBytes    = 64 << 20
	DefaultGCTTL            = 10 * time.Minute
	DefaultReplaceDeadAfter = 5 * time.Minute
)

// Server serves the ranges of one store. It is safe for concurrent use.
type Server struct {
	Config
	store *raftstore.Store
	ended endedTransactions

	mu       sync.RWMutex
	replicas map[kvpb.RangeID]*replica // guarded by mu

	// serving is held for reading by each request, for writing once Close waits
	// for them to end.
	serving sync.RWMutex

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	work   sync.WaitGroup // all goroutines
	queues queues
}

var _ kv.Sender = (*Server)(nil)
var _ raftstore.Observer = (*Server)(nil)

// Open loads the store's replicas and serves them; its queues run from now on.
func Open(c Config) (*Server, error) {
	if c.MaxRangeBytes <= 0 {
		c.MaxRangeBytes = DefaultMaxRangeBytes
	}
	if c.GCTTL <= 0 {
		c.GCTTL = DefaultGCTTL
	}
	if c.ReplaceDeadAfter <= 0 {
		c.ReplaceDeadAfter = DefaultReplaceDeadAfter
	}
	s := &Server{Config: c, replicas: map[kvpb.RangeID]*replica{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.queues.init()
	store, err := raftstore.Open(raftstore.Config{
		Node: c.Node, Store: c.Store, Engines: c.Engines, Clock: c.Clock, Transport: c.Transport,
		Observer: s, Logger: c.Logger, Failed: c.Failed,
	})
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.store = store
	for _, r := range store.Replicas() {
		s.replicaOf(r)
		s.tellFirstRange(r)
	}
	s.startQueues()
	return s, nil
}

// Bootstrap makes the first range of a new cluster, on this store.
func (s *Server) Bootstrap(context.Context) error {
	if len(s.store.Replicas()) > 0 {
		return errors.New("the store belongs to a cluster already")
	}
	if err := s.store.Bootstrap(); err != nil {
		return err
	}
	for _, r := range s.store.Replicas() {
		s.tellFirstRange(r)
	}
	return nil
}

// HandleMessages takes in Raft messages of other stores.
func (s *Server) HandleMessages(m []raftstore.Message) { s.store.HandleMessages(m) }

// HandleSnapshot takes in a snapshot that another store sends.
func (s *Server) HandleSnapshot(ctx context.Context, h raftstore.SnapshotHeader, content io.Reader) error {
	return s.store.HandleSnapshot(ctx, h, content)
}

// Close stops the queues and the replicas, and returns when all goroutines
// have ended. Requests that are under way fail. The engines stay open: they are
// the caller's.
func (s *Server) Close() {
	s.cancel()
	s.store.Close() // proposals fail
	for !s.serving.TryLock() {
		// Whoever waits for a lock goes.
		for _, raft := range s.store.Replicas() {
			s.replicaOf(raft).locks.LeaseLost()
		}
		time.Sleep(closePause)
	}
	s.work.Wait()
}

// closePause is how long Close waits before it looks again whether requests
// are still under way.
const closePause = time.Millisecond

// replicaOf returns the server's part of a replica, and makes it where it is
// new: then reads that it may have served before, as a part of another range,
// are rounded up to now.
func (s *Server) replicaOf(raft *raftstore.Replica) *replica {
	s.mu.RLock()
	r := s.replicas[raft.Range()]
	s.mu.RUnlock()
	if r != nil && r.raft == raft {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r = s.replicas[raft.Range()]; r != nil && r.raft == raft {
		return r
	}
	r = newReplica(s, raft)
	s.replicas[raft.Range()] = r
	return r
}

// LeaseChanged implements raftstore.Observer.
func (s *Server) LeaseChanged(raft *raftstore.Replica, _, now raftstore.Lease) {
	r := s.replicaOf(raft)
	self := raft.Self()
	if now.Holder.Replica != self.Replica || now.Holder.Store != self.Store {
		r.locks.LeaseLost()
	}
	s.queues.wake()
}

// DescriptorChanged implements raftstore.Observer.
func (s *Server) DescriptorChanged(raft *raftstore.Replica) {
	s.tellFirstRange(raft)
	s.queues.wake()
}

// Split implements raftstore.Observer.
func (s *Server) Split(leftRaft, rightRaft *raftstore.Replica) {
	left, right := s.replicaOf(leftRaft), s.replicaOf(rightRaft)
	right.reads.raise(left.reads.handOn())
	left.intents.split(rightRaft.Descriptor().Start)
	left.locks.Split(rightRaft.Descriptor().Start, right.locks)
	s.tellFirstRange(leftRaft)
	s.queues.wake()
}

// Removed implements raftstore.Observer.
func (s *Server) Removed(raft *raftstore.Replica) {
	s.mu.Lock()
	r := s.replicas[raft.Range()]
	if r != nil && r.raft == raft {
		delete(s.replicas, raft.Range())
	}
	s.mu.Unlock()
	if r != nil {
		r.locks.LeaseLost()
	}
}

// pusher implements concurrency.Pusher over the router.
type pusher struct{ s *Server }

var _ concurrency.Pusher = pusher{}

// Push implements concurrency.Pusher.
func (p pusher) Push(ctx context.Context, by *kvpb.Transaction, timestamp hlc.Timestamp, pushee kvpb.TxnMeta, kind kvpb.PushType) (*kvpb.Transaction, error) {
	args := &kvpb.PushArgs{Pushee: pushee, PushTo: timestamp, Type: kind}
	if by != nil {
		args.Pusher = by.TxnMeta
	}
	return p.s.push(ctx, kvpb.PushTxn, args)
}

// push sends PushTxn or QueryTxn to the range of the pushee's record.
func (s *Server) push(ctx context.Context, kind kvpb.Kind, args *kvpb.PushArgs) (*kvpb.Transaction, error) {
	response, err := s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node}, Requests: []kvpb.Request{
		{Kind: kind, Key: args.Pushee.Key, Push: args}}})
	if err != nil {
		return nil, err
	}
	return response.Responses[0].Txn, nil
}

// maxResolveRequests bounds the requests of one batch of resolutions.
const maxResolveRequests = 100

// Resolve implements concurrency.Pusher.
func (p pusher) Resolve(ctx context.Context, spans []kvpb.Span, txn *kvpb.Transaction) error {
	return p.s.resolve(ctx, spans, txn, txn.Status == kvpb.Aborted)
}

func (s *Server) resolve(ctx context.Context, spans []kvpb.Span, txn *kvpb.Transaction, poison bool) error {
	return s.sendResolutions(ctx, appendResolutions(nil, spans, txn, poison))
}

// appendResolutions appends requests that resolve a transaction's intents on
// spans.
func appendResolutions(requests []kvpb.Request, spans []kvpb.Span, txn *kvpb.Transaction, poison bool) []kvpb.Request {
	args := &kvpb.ResolveArgs{Txn: txn.TxnMeta, Status: txn.Status, IgnoredSeqNums: txn.IgnoredSeqNums, Poison: poison}
	for _, span := range spans {
		kind := kvpb.ResolveIntent
		if len(span.EndKey) > 0 {
			kind = kvpb.ResolveIntentRange
		}
		requests = append(requests, kvpb.Request{Kind: kind, Key: span.Key, EndKey: span.EndKey, Resolve: args})
	}
	return requests
}

// sendResolutions sends resolutions in batches, and again for what is left of
// spans with many intents.
func (s *Server) sendResolutions(ctx context.Context, requests []kvpb.Request) error {
	for len(requests) > 0 {
		n := min(len(requests), maxResolveRequests)
		batch, rest := requests[:n:n], requests[n:]
		response, err := s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node}, Requests: batch})
		if err != nil {
			return err
		}
		for i := range response.Responses {
			if resume := response.Responses[i].Resume; resume != nil {
				q := batch[i]
				q.Key, q.EndKey = resume.Key, resume.EndKey
				rest = append(rest[:len(rest):len(rest)], q)
			}
		}
		requests = rest
	}
	return nil
}
