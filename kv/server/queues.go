package server

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/txn/hlc"
)

// queueInterval is how often the queues look at all ranges. Where there is
// nothing to do that costs a few comparisons a range.
const queueInterval = time.Second

// queueTimeout bounds one piece of work on one range.
const queueTimeout = time.Minute

// queues wake what keeps the ranges in shape. Each queue is one goroutine that
// works on one range at a time.
type queues struct {
	shape  chan struct{} // splits, replicas, leases, the directory; at most one token
	pacing atomic.Int64  // wall time of the last lease given away
	asked  atomic.Int64  // wall time of the last question about a membership
}

func (q *queues) init() { q.shape = make(chan struct{}, 1) }

// wake makes the shape queue look at the ranges now.
func (q *queues) wake() {
	select {
	case q.shape <- struct{}{}:
	default:
	}
}

func (s *Server) startQueues() {
	s.work.Add(2)
	go func() {
		defer s.work.Done()
		s.runQueue(s.queues.shape, s.keepShape)
	}()
	go func() {
		defer s.work.Done()
		s.runQueue(nil, s.clean)
	}()
}

// runQueue calls turn once an interval, and when woken.
func (s *Server) runQueue(wake <-chan struct{}, turn func(context.Context)) {
	ticker := time.NewTicker(queueInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-wake:
		case <-ticker.C:
		}
		turn(s.ctx)
	}
}

// noticeSize wakes the queue that splits when a range has outgrown its size.
func (s *Server) noticeSize(r *replica) {
	if s.tooLarge(r) && !r.noticed.Swap(true) {
		s.queues.wake()
	}
}

func (s *Server) tooLarge(r *replica) bool {
	stats := r.raft.Statistics()
	return stats.KeyBytes+stats.ValueBytes > s.MaxRangeBytes
}

// keepShape looks at all ranges that this store leads.
func (s *Server) keepShape(ctx context.Context) {
	for _, raft := range s.store.Replicas() {
		if ctx.Err() != nil {
			return
		}
		s.keepRange(ctx, s.replicaOf(raft))
	}
	s.spreadLeases(ctx)
}

// keepRange does for one range what its leaseholder must. Idle ranges have no
// lease: their leader gets one when there is something to do.
func (s *Server) keepRange(ctx context.Context, r *replica) {
	now := s.Clock.Now()
	leader, leads := r.raft.Leader()
	if !leads {
		s.checkMembership(ctx, r, leader.Store != 0, now.WallTime)
		return
	}
	l := r.raft.Lease(now)
	if l.State != raftstore.LeaseExpired && !l.Mine {
		return
	}
	d := r.raft.Descriptor()
	change := s.planReplicas(d)
	publish := r.published.Load() != d.Generation
	split := s.tooLarge(r)
	if !split {
		r.noticed.Store(false)
	}
	split = split && now.WallTime >= r.splitAfter
	if change.none() && !publish && !split {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	work := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			s.Logger.Debug("a queue will try again", "what", what, "range", d.Range, "error", err)
		}
	}
	if _, err := r.serve(ctx, hlc.Timestamp{}); err != nil {
		work("lease", err)
		return
	}
	if publish {
		work("publish", s.publish(ctx, r))
	}
	if split {
		work("split", s.splitLarge(ctx, r))
	}
	if !change.none() {
		work("replicate", s.carryOut(ctx, r, change))
	}
}

// orphanAge is how long a replica knows no leader before it asks whether it is
// still one of its range's.
const orphanAge = 20 * time.Second

// orphanPause is between two such questions, and bounds one.
const orphanPause = 2 * time.Second

// checkMembership removes a replica that its range has put out unheard.
func (s *Server) checkMembership(ctx context.Context, r *replica, led bool, now int64) {
	switch {
	case led:
		r.leaderless = 0
		return
	case r.leaderless == 0:
		r.leaderless = now
		return
	case now-r.leaderless < int64(orphanAge):
		return
	}
	if now-s.queues.asked.Load() < int64(orphanPause) {
		return // one at a time: in an outage all ranges have no leader
	}
	s.queues.asked.Store(now)
	r.leaderless = now // ask again after as long
	ctx, cancel := context.WithTimeout(ctx, orphanPause)
	defer cancel()
	response, err := s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node},
		Requests: []kvpb.Request{{Kind: kvpb.LeaseInfo, Key: r.raft.Descriptor().Start}}})
	if err != nil || len(response.Ranges) == 0 {
		return
	}
	if err := r.raft.Outdated(&response.Ranges[0].Descriptor); err != nil {
		s.Logger.Error("a replica can't be removed", "range", r.raft.Range(), "error", err)
	}
}

// splitPause is how long a range that could not be split is left alone.
const splitPause = 2 * time.Minute

// splitLarge splits a range in the middle, and again while it is too large.
func (s *Server) splitLarge(ctx context.Context, r *replica) error {
	for s.tooLarge(r) {
		d := r.raft.Descriptor()
		id, err := s.allocateRangeID(ctx)
		if err != nil {
			return err
		}
		stats := r.raft.Statistics()
		key, left, err := mvcc.SplitKey(s.Engines.State, d.Start, d.End, keys.SystemMin, min(stats.KeyBytes+stats.ValueBytes, 2*s.MaxRangeBytes))
		if err != nil || key == nil {
			// One key that is larger than a range can't be split; looking reads all
			// of it.
			r.splitAfter = s.Clock.PhysicalNow() + int64(splitPause)
			return err
		}
		if err := s.split(ctx, r, id, key, left); err != nil {
			return err
		}
		if err := s.publish(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// tellFirstRange tells the node's directory where the first range is.
func (s *Server) tellFirstRange(raft *raftstore.Replica) {
	if d := raft.Descriptor(); s.Directory != nil && bytes.Equal(d.Start, keys.Min) {
		s.Directory.SetFirstRange(d)
	}
}

// publish writes the range's descriptor to the directory of ranges, unless a
// newer one is there.
func (s *Server) publish(ctx context.Context, r *replica) error {
	for {
		d := r.raft.Descriptor()
		key := keys.Meta(d.End)
		found, err := s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node},
			Requests: []kvpb.Request{{Kind: kvpb.Get, Key: key}}})
		if err != nil {
			return err
		}
		present := found.Responses[0].Value
		if present != nil {
			var published kvpb.RangeDescriptor
			if err := published.Unmarshal(present); err != nil {
				return err
			}
			if published.Generation >= d.Generation {
				r.published.Store(d.Generation)
				return nil
			}
		}
		_, err = s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node},
			Requests: []kvpb.Request{{Kind: kvpb.ConditionalPut, Key: key, Value: d.Append(nil), Expected: present}}})
		if _, changed := errors.AsType[*kvpb.ConditionFailedError](err); changed {
			continue
		}
		if err != nil {
			return err
		}
		r.published.Store(d.Generation)
		return nil
	}
}

// Drain gives all leases away, as far as other live nodes can take them.
func (s *Server) Drain(ctx context.Context) error {
	s.queues.pacing.Store(1 << 62) // no lease is spread any more
	var failed error
	for _, raft := range s.store.Replicas() {
		r := s.replicaOf(raft)
		l := raft.Lease(s.Clock.Now())
		if !l.Mine || l.State == raftstore.LeaseExpired {
			continue
		}
		to, ok := s.leaseTarget(raft.Descriptor())
		if !ok {
			continue
		}
		if err := s.transferLease(ctx, r, to); err != nil {
			failed = err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}

// Statistics are a store's totals.
type Statistics struct {
	Ranges  int // replicas here
	Leases  int // of those, ranges that are served from here
	Leaders int
	// Underreplicated counts those led from here that have fewer voters than they
	// should, given the nodes that are alive.
	Underreplicated int
	// LiveBytes and TotalBytes are of all replicas here, without and with old
	// versions, as the ranges count them.
	LiveBytes, TotalBytes int64
	// DiskBytes is what the databases take on the disk.
	DiskBytes                     int64
	CapacityBytes, AvailableBytes int64 // of the disk; 0: unknown
}

// Statistics returns the store's totals.
func (s *Server) Statistics() Statistics {
	var t Statistics
	now := s.Clock.Now()
	wanted := s.wantedVoters()
	for _, raft := range s.store.Replicas() {
		t.Ranges++
		if l := raft.Lease(now); l.Mine && l.State == raftstore.LeaseUsable {
			t.Leases++
		}
		if _, leads := raft.Leader(); leads {
			t.Leaders++
			if voters(raft.Descriptor()) < wanted {
				t.Underreplicated++
			}
		}
		stats := raft.Statistics()
		t.LiveBytes += stats.LiveBytes
		t.TotalBytes += stats.KeyBytes + stats.ValueBytes
	}
	t.DiskBytes = int64(s.Engines.State.Metrics().DiskSpaceUsage() + s.Engines.Log.Metrics().DiskSpaceUsage())
	if usage, err := s.Engines.FS.GetDiskUsage(s.Engines.Dir); err == nil {
		t.CapacityBytes, t.AvailableBytes = int64(usage.TotalBytes), int64(usage.AvailBytes)
	}
	return t
}
