package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/txn/hlc"
)

// Send implements kv.Sender for the ranges of this store. All requests must lie
// on one of them.
func (s *Server) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	if len(b.Requests) == 0 {
		return &kvpb.BatchResponse{Txn: b.Txn, Now: s.Clock.Now()}, nil
	}
	response, err := s.send(ctx, b)
	if err != nil {
		return nil, s.wrap(b, err)
	}
	return response, nil
}

func (s *Server) send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	if !s.serving.TryRLock() {
		return nil, errStopping
	}
	defer s.serving.RUnlock()
	if s.ctx.Err() != nil {
		return nil, errStopping
	}
	r, err := s.find(b)
	if err != nil {
		return nil, err
	}
	if isAdmin(b.Requests[0].Kind) {
		return s.admin(ctx, r, b)
	}
	x := newExecution(s, r, b)
	defer x.release()
	return x.run(ctx)
}

var errStopping = &kvpb.UnavailableError{Cause: "the node is stopping"}

// requestError is an error of one request of a batch.
type requestError struct {
	index int
	err   error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// wrap makes a *kvpb.Error of what a batch failed with.
func (s *Server) wrap(b *kvpb.BatchRequest, err error) *kvpb.Error {
	if e, ok := errors.AsType[*kvpb.Error](err); ok {
		return e
	}
	e := &kvpb.Error{Detail: err, Index: -1, Txn: b.Txn, Now: s.Clock.Now()}
	if at, ok := errors.AsType[*requestError](err); ok {
		e.Detail, e.Index = at.err, int32(at.index)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// Nothing was proposed: that would be an AmbiguousResultError.
		e.Detail = &kvpb.UnavailableError{Cause: err.Error()}
	default:
		if rejected, ok := errors.AsType[*raftstore.RejectedError](err); ok {
			e.Detail = &kvpb.UnavailableError{Cause: rejected.Cause}
		}
	}
	return e
}

// find returns the replica that a batch is for.
func (s *Server) find(b *kvpb.BatchRequest) (*replica, error) {
	if b.Range != 0 {
		raft, ok := s.store.Replica(b.Range)
		if !ok {
			return nil, &kvpb.RangeNotFoundError{Range: b.Range, Store: s.Store}
		}
		return s.replicaOf(raft), nil
	}
	if len(b.Requests[0].Key) == 0 {
		return nil, &requestError{0, malformed("a request without a key")}
	}
	raft, ok := s.store.ReplicaFor(b.Requests[0].Key)
	if !ok {
		return nil, &kvpb.RangeKeyMismatchError{Requested: spanOf(&b.Requests[0])}
	}
	return s.replicaOf(raft), nil
}

func spanOf(r *kvpb.Request) kvpb.Span { return kvpb.Span{Key: r.Key, EndKey: r.EndKey} }

// checkBounds returns an error unless all of the batch's keys are in the range.
func (s *Server) checkBounds(d *kvpb.RangeDescriptor, b *kvpb.BatchRequest) error {
	for i := range b.Requests {
		span := spanOf(&b.Requests[i])
		if d.ContainsSpan(span) {
			continue
		}
		e := &kvpb.RangeKeyMismatchError{Requested: span, Ranges: []kvpb.RangeInfo{{Descriptor: *d}}}
		if raft, ok := s.store.ReplicaFor(span.Key); ok && raft.Range() != d.Range {
			e.Ranges = append(e.Ranges, kvpb.RangeInfo{Descriptor: *raft.Descriptor()})
		}
		return e
	}
	return nil
}

// execution is one batch under way. It is pooled.
type execution struct {
	server  *Server
	replica *replica
	batch   *kvpb.BatchRequest
	shape   batchShape

	// txn is the transaction as it stands: the batch's own until it must change,
	// then a copy. nil for a non-transactional batch.
	txn    *kvpb.Transaction
	copied bool
	id     kvpb.TxnID // of txn
	// readAt and writeAt are its timestamps; the same for a non-transactional
	// batch.
	readAt, writeAt hlc.Timestamp
	limit           hlc.Timestamp // the transaction's uncertainty limit, zero for none
	localLimit      hlc.Timestamp
	began           hlc.Timestamp // the clock at the beginning
	lease           raftstore.LeaseStatus
	guard           *concurrency.Guard
	request         concurrency.Request

	// resolvesAtEnd: there may be intents that EndTxn resolves; the latches for
	// that are taken.
	resolvesAtEnd bool
	hasLocks      bool                // there may be intents on the range
	lockedKeys    [][]byte            // of the batch; see intentKeys.narrow
	writtenKeys   map[string]struct{} // see written; nil: not made

	reader  *mvcc.Reader
	writer  mvcc.Writer
	answers []kvpb.Response
	effects effects
	record  *kvpb.Transaction // at EndTxn: what the record says; nil for none
	reads   mvcc.ReadOptions
	keysLeft,
	bytesLeft int64
}

// effects are what is to be told once a batch's writes are applied.
type effects struct {
	ended    *kvpb.Transaction // by EndTxn or a push
	pushed   *kvpb.Transaction // still pending
	resolved []resolution
	locked   []lockTaken
	aborted  []abortChange
}

type resolution struct {
	args *kvpb.ResolveArgs
	span kvpb.Span
}

type lockTaken struct {
	key      []byte
	strength kvpb.LockStrength
}

type abortChange struct {
	id  kvpb.TxnID
	set bool
}

func (e *effects) reset() {
	clear(e.resolved)
	clear(e.locked)
	*e = effects{resolved: e.resolved[:0], locked: e.locked[:0], aborted: e.aborted[:0]}
}

var executions = sync.Pool{New: func() any { return new(execution) }}

func newExecution(s *Server, r *replica, b *kvpb.BatchRequest) *execution {
	x := executions.Get().(*execution)
	x.server, x.replica, x.batch = s, r, b
	x.shape = shapeOf(b)
	return x
}

func (x *execution) release() {
	x.effects.reset()
	clear(x.request.Latches)
	clear(x.request.Locks)
	clear(x.lockedKeys)
	x.writer.Reset()
	*x = execution{
		effects: x.effects, writer: x.writer, lockedKeys: x.lockedKeys[:0],
		request: concurrency.Request{Latches: x.request.Latches[:0], Locks: x.request.Locks[:0]},
	}
	executions.Put(x)
}

// maxForwards bounds how often one batch moves its own timestamp up.
const maxForwards = 50

// run carries the batch out.
func (x *execution) run(ctx context.Context) (*kvpb.BatchResponse, error) {
	if err := x.begin(); err != nil {
		return nil, err
	}
	var patience time.Time
	backoff := leaseBackoff
	for forwards := 0; ; {
		err := x.sequence(ctx)
		if err != nil {
			return nil, err
		}
		response, err := x.attempt(ctx)
		if err == nil {
			x.finish()
			return response, nil
		}
		if conflict, ok := errors.AsType[*kvpb.LockConflictError](err); ok {
			x.guard, err = x.replica.locks.HandleConflict(ctx, x.guard, conflict)
			if err != nil {
				return nil, err
			}
			continue
		}
		if forwards < maxForwards && x.forward(err) {
			// The guard keeps its places in the queues.
			forwards++
			continue
		}
		x.finish()
		if rejected, ok := errors.AsType[*raftstore.RejectedError](err); ok {
			// Not applied: evaluated again under the lease that is current then.
			if patience.IsZero() {
				patience = time.Now().Add(leasePatience)
			} else if time.Now().After(patience) || x.server.ctx.Err() != nil {
				return nil, &kvpb.UnavailableError{Cause: rejected.Cause}
			}
			if err := sleep(ctx, backoff); err != nil {
				return nil, err
			}
			backoff = min(2*backoff, maxLeaseBackoff)
			continue
		}
		if alive, ok := errors.AsType[*kvpb.TransactionPushError](err); ok && x.shape.push != nil && x.shape.push.Type != kvpb.PushTouch {
			response, err := x.waitForPush(ctx, alive)
			if response != nil || err != nil {
				return response, err
			}
			continue
		}
		return nil, err
	}
}

func (x *execution) finish() {
	x.replica.locks.Finish(x.guard)
	x.guard = nil
}

// begin takes the batch's timestamps and moves the clock past them.
func (x *execution) begin() error {
	s, b := x.server, x.batch
	if err := x.shape.err; err != nil {
		return err
	}
	// What is served lies below the clock.
	s.Clock.Update(x.shape.latest)
	x.txn = b.Txn
	if b.Txn == nil {
		x.readAt = b.Timestamp
		if err := s.passClock(x.readAt); err != nil {
			return err
		}
		x.began = s.Clock.Now()
		if x.readAt.IsEmpty() {
			x.readAt = x.began
		}
		x.writeAt = x.readAt
	} else {
		x.id = b.Txn.ID
		x.readAt, x.writeAt = b.Txn.ReadTimestamp, b.Txn.WriteTimestamp.Max(b.Txn.ReadTimestamp)
		if err := s.passClock(x.writeAt); err != nil {
			return err
		}
		x.began = s.Clock.Now()
	}
	if x.shape.grows && s.Engines.Full() {
		return &kvpb.StoreFullError{Store: s.Store}
	}
	if x.shape.writes {
		x.replica.load.writes.Add(1)
	} else {
		x.replica.load.reads.Add(1)
	}
	return nil
}

// passClock moves the clock past a batch's timestamp. That is no reading of a
// clock: it may have been raised on other nodes by a lease's start, a read or a
// push, each below the fastest clock, but on a way that took time. Only one that no
// well-kept clock can have brought forth is refused; the clocks themselves are
// compared by the nodes' exchanges.
func (s *Server) passClock(ts hlc.Timestamp) error {
	bound := 2 * s.Clock.MaxOffset()
	if ahead := time.Duration(ts.WallTime - s.Clock.PhysicalNow()); bound > 0 && ahead > bound {
		return &kvpb.RequestError{Message: (&hlc.OffsetError{Remote: ts, Ahead: ahead, Bound: s.Clock.MaxOffset()}).Error()}
	}
	s.Clock.Update(ts)
	return nil
}

// sequence checks the lease and takes latches and queues for locks.
func (x *execution) sequence(ctx context.Context) error {
	lease, err := x.replica.serve(ctx, x.readAt.Max(x.writeAt))
	if err != nil {
		x.finish()
		return err
	}
	x.lease = lease
	if err := x.server.checkBounds(x.replica.raft.Descriptor(), x.batch); err != nil {
		x.finish()
		return err
	}
	x.observe()
	x.declare()
	x.guard, err = x.replica.locks.Sequence(ctx, x.guard, x.request)
	if err != nil {
		x.guard = nil
	}
	return err
}

// observe sets the limits of uncertainty on this node. What was written under
// this lease after the transaction first saw the node's clock is not uncertain.
func (x *execution) observe() {
	x.limit, x.localLimit = hlc.Timestamp{}, hlc.Timestamp{}
	if x.txn == nil || x.txn.UncertaintyLimit.LessEq(x.readAt) {
		return
	}
	x.limit = x.txn.UncertaintyLimit
	node := x.server.Node
	for _, o := range x.txn.ObservedTimestamps {
		if o.Node == node {
			x.localLimit = o.Timestamp.Max(x.lease.Start).Min(x.limit)
			return
		}
	}
	x.ownTxn().ObservedTimestamps = insertObserved(x.txn.ObservedTimestamps, kvpb.ObservedTimestamp{Node: node, Timestamp: x.began})
	x.localLimit = x.began.Max(x.lease.Start).Min(x.limit)
}

func insertObserved(all []kvpb.ObservedTimestamp, o kvpb.ObservedTimestamp) []kvpb.ObservedTimestamp {
	at := 0
	for at < len(all) && all[at].Node < o.Node {
		at++
	}
	all = append(all, kvpb.ObservedTimestamp{})
	copy(all[at+1:], all[at:])
	all[at] = o
	return all
}

// ownTxn returns the transaction for changing it.
func (x *execution) ownTxn() *kvpb.Transaction {
	if !x.copied {
		x.txn, x.copied = x.txn.Clone(), true
	}
	return x.txn
}

// forward reports whether the batch may be carried out again at a later
// timestamp because of err, and moves it there.
func (x *execution) forward(err error) bool {
	var to hlc.Timestamp
	if e, ok := errors.AsType[*kvpb.WriteTooOldError](err); ok {
		to = e.Actual
	} else if e, ok := errors.AsType[*kvpb.UncertaintyError](err); ok {
		to = e.Existing.Max(e.Local)
	} else if e, ok := errors.AsType[*forwardError](err); ok {
		to = e.to
	} else {
		return false
	}
	// What is served lies below the clock: a lease that is given away begins
	// above it.
	x.server.Clock.Update(to)
	if x.txn == nil {
		if !x.batch.Timestamp.IsEmpty() && !x.shape.writes {
			return false
		}
		x.readAt = x.readAt.Max(to)
		x.writeAt = x.writeAt.Max(to)
		return true
	}
	if !x.batch.CanForwardReadTimestamp {
		return false
	}
	x.readAt = x.readAt.Max(to)
	x.writeAt = x.writeAt.Max(x.readAt)
	t := x.ownTxn()
	t.ReadTimestamp, t.WriteTimestamp = x.readAt, x.writeAt
	return true
}

// forwardError asks for the batch to be carried out again at a later timestamp.
// It never leaves the server.
type forwardError struct{ to hlc.Timestamp }

func (e *forwardError) Error() string { return "the batch must move to " + e.to.String() }
