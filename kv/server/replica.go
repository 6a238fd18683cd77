package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// replica is what serving a range needs besides its replicated state. It is
// kept in memory only, and in use while the replica holds the lease.
type replica struct {
	server *Server
	raft   *raftstore.Replica
	locks  *concurrency.Manager
	reads  timestampCache
	// intents is what the range has of them.
	intents intentKeys
	load    loadMeter

	// ready is the sequence of the lease for which the state below is loaded.
	ready atomic.Int64
	// transferring: the lease is being given away.
	transferring atomic.Bool

	mu          sync.Mutex
	aborted     map[kvpb.TxnID]struct{} // guarded by mu; what the abort markers say
	abortedSize atomic.Int64            // of aborted
	gcThreshold atomic.Pointer[hlc.Timestamp]

	// What the queues know of the range; they run one at a time for each.
	published atomic.Int64 // generation of the descriptor that is in the directory
	noticed   atomic.Bool  // the queue was woken because the range is too large
	gc        gcState
	// splitAfter is when a split is tried again, by the clock's wall time.
	splitAfter int64
	// leaderless is since when no leader is known, by the clock's wall time; 0:
	// there is one.
	leaderless int64
}

func newReplica(s *Server, raft *raftstore.Replica) *replica {
	r := &replica{server: s, raft: raft}
	r.locks = concurrency.NewManager(concurrency.Config{Pusher: pusher{s}, Clock: s.Clock, Logger: s.Logger})
	r.gcThreshold.Store(&hlc.Timestamp{})
	if now := s.Clock.Now(); raft.Lease(now).Mine {
		r.reads.raise(now)
	}
	return r
}

// Bounds of trying again while leadership or the lease moves.
const (
	leaseBackoff    = 5 * time.Millisecond
	maxLeaseBackoff = 100 * time.Millisecond
	leasePatience   = 2 * time.Second
)

// serve makes sure that the replica may serve at a timestamp: that it holds a
// lease, usable at the later of the clock and ts, and has its state for it.
// Otherwise it returns *kvpb.NotLeaseholderError or *kvpb.UnavailableError.
func (r *replica) serve(ctx context.Context, ts hlc.Timestamp) (raftstore.LeaseStatus, error) {
	backoff := leaseBackoff
	var deadline time.Time
	for {
		if r.server.ctx.Err() != nil {
			return raftstore.LeaseStatus{}, errStopping
		}
		now := r.server.Clock.Now()
		l := r.raft.Lease(now.Max(ts))
		if l.Mine && l.State == raftstore.LeaseUsable {
			if r.ready.Load() != l.Sequence {
				if err := r.prepare(&l.Lease); err != nil {
					return l, err
				}
			}
			r.raft.ExtendLease(now)
			return l, nil
		}
		if err := r.redirect(&l, now); err != nil {
			return l, err
		}
		err := r.raft.AcquireLease(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return l, &kvpb.UnavailableError{Cause: "the range's lease was not obtained in time"}
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(leasePatience)
		} else if time.Now().After(deadline) {
			return l, &kvpb.UnavailableError{Cause: err.Error()}
		}
		if err := sleep(ctx, backoff); err != nil {
			return l, &kvpb.UnavailableError{Cause: "the range's lease was not obtained in time"}
		}
		backoff = min(2*backoff, maxLeaseBackoff)
	}
}

// redirect returns the error for a range whose lease is not here, nil where
// this replica may try to get it.
func (r *replica) redirect(l *raftstore.LeaseStatus, now hlc.Timestamp) error {
	d := r.raft.Descriptor()
	self := r.raft.Self()
	holds := l.Sequence > 0 && l.Holder.Store == self.Store && l.Holder.Replica == self.Replica
	if _, member := d.ReplicaOn(self.Store); !member {
		return &kvpb.RangeNotFoundError{Range: d.Range, Store: r.server.Store}
	}
	if r.transferring.Load() {
		return &kvpb.NotLeaseholderError{Descriptor: *d}
	}
	if !holds && l.State != raftstore.LeaseExpired && r.raft.Lease(now).State != raftstore.LeaseExpired {
		return &kvpb.NotLeaseholderError{Descriptor: *d, Leaseholder: l.Holder}
	}
	leader, leads := r.raft.Leader()
	if !leads && len(d.Replicas) > 1 {
		return &kvpb.NotLeaseholderError{Descriptor: *d, Leaseholder: leader}
	}
	return nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prepare readies the replica for a lease that is new to it.
func (r *replica) prepare(l *raftstore.Lease) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready.Load() >= l.Sequence {
		return nil // a later one's state stays: whoever is still at this one is refused
	}
	start := r.raft.Descriptor().Start
	state := r.server.Engines.State
	aborted, err := loadAbortMarkers(state, start)
	if err != nil {
		return err
	}
	threshold, err := loadGCThreshold(state, start)
	if err != nil {
		return err
	}
	if err := r.intents.load(l.Sequence, state, r.raft.Descriptor()); err != nil {
		return err
	}
	r.aborted = aborted
	r.abortedSize.Store(int64(len(aborted)))
	r.raiseGCThreshold(threshold)
	r.server.Clock.Update(l.Start)
	r.reads.raise(l.Start)
	r.ready.Store(l.Sequence)
	return nil
}

// lockCount returns how many intents the range has, as applied.
func (r *replica) lockCount() int64 { return r.raft.Statistics().LockCount }

func (r *replica) raiseGCThreshold(ts hlc.Timestamp) {
	for {
		old := r.gcThreshold.Load()
		if ts.LessEq(*old) || r.gcThreshold.CompareAndSwap(old, &ts) {
			return
		}
	}
}

// knowsAborted reports whether the range knows the transaction to be aborted:
// its intents here may be gone, so it must not read on.
func (r *replica) knowsAborted(id kvpb.TxnID) bool {
	if r.abortedSize.Load() == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.aborted[id]
	return ok
}

func (r *replica) setAborted(id kvpb.TxnID, aborted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if aborted {
		if r.aborted == nil {
			r.aborted = map[kvpb.TxnID]struct{}{}
		}
		r.aborted[id] = struct{}{}
	} else {
		delete(r.aborted, id)
	}
	r.abortedSize.Store(int64(len(r.aborted)))
}

// eachAbortMarker calls fn for the abort markers of the range that starts at
// start; value is when it was set (a timestamp's wall time).
func eachAbortMarker(from engine.Reader, start []byte, fn func(id kvpb.TxnID, value []byte) error) error {
	low, high := keys.AbortMarkers(start)
	iter, err := from.NewIter(&pebble.IterOptions{KeyTypes: pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, low), UpperBound: engine.AppendKey(nil, high)})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		key, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return err
		}
		if len(key) != len(low)+len(kvpb.TxnID{}) {
			return errors.New("malformed abort marker")
		}
		if err := fn(kvpb.TxnID(key[len(low):]), iter.Value()); err != nil {
			return err
		}
	}
	return iter.Error()
}

func loadAbortMarkers(from engine.Reader, start []byte) (map[kvpb.TxnID]struct{}, error) {
	var found map[kvpb.TxnID]struct{}
	err := eachAbortMarker(from, start, func(id kvpb.TxnID, _ []byte) error {
		if found == nil {
			found = map[kvpb.TxnID]struct{}{}
		}
		found[id] = struct{}{}
		return nil
	})
	return found, err
}

// A GC threshold is stored as the wall time and the logical part, 12 bytes.
func loadGCThreshold(from engine.Reader, start []byte) (ts hlc.Timestamp, err error) {
	value, closer, err := from.Get(engine.AppendKey(nil, keys.GCThreshold(start)))
	if errors.Is(err, pebble.ErrNotFound) {
		return ts, nil
	}
	if err != nil {
		return ts, err
	}
	defer closer.Close()
	return decodeTimestamp(value)
}

// loadMeter smooths a range's requests a second.
type loadMeter struct {
	reads, writes atomic.Int64 // since the last turn

	mu                   sync.Mutex
	at                   time.Time // guarded by mu; of the last turn
	readRate, writeRate  float64   // guarded by mu
	readTotal, writtenTo int64     // guarded by mu; at the last turn
}

// turn returns the rates, brought up to now.
func (m *loadMeter) turn(now time.Time) (reads, writes float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	elapsed := now.Sub(m.at).Seconds()
	if m.at.IsZero() {
		m.at = now
		return 0, 0
	}
	if elapsed < 1 {
		return m.readRate, m.writeRate
	}
	// A minute's memory.
	weight := min(elapsed/60, 1)
	r, w := m.reads.Load(), m.writes.Load()
	m.readRate += weight * (float64(r-m.readTotal)/elapsed - m.readRate)
	m.writeRate += weight * (float64(w-m.writtenTo)/elapsed - m.writeRate)
	m.at, m.readTotal, m.writtenTo = now, r, w
	return m.readRate, m.writeRate
}
