package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// admin carries out a request that operates on a range as a whole.
func (s *Server) admin(ctx context.Context, r *replica, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	if err := shapeOf(b).err; err != nil {
		return nil, err
	}
	q := &b.Requests[0]
	response := &kvpb.BatchResponse{Responses: make([]kvpb.Response, 1)}
	if _, err := r.serve(ctx, hlc.Timestamp{}); err != nil {
		return nil, err
	}
	d := r.raft.Descriptor()
	if err := s.checkBounds(d, b); err != nil {
		return nil, err
	}
	var err error
	a := &response.Responses[0]
	switch q.Kind {
	case kvpb.LeaseInfo, kvpb.RangeStats:
		a.Stats = r.statistics()
	case kvpb.Checksum:
		a.Value, err = s.checksum(d)
	case kvpb.AdminSplit, kvpb.AdminChangeReplicas, kvpb.AdminTransferLease:
		if q.Admin == nil {
			return nil, malformed("an admin request without arguments")
		}
		switch q.Kind {
		case kvpb.AdminSplit:
			err = s.adminSplit(ctx, r, q.Admin.SplitKey)
		case kvpb.AdminChangeReplicas:
			err = s.changeReplicas(ctx, r, q.Admin.Targets)
		default:
			err = s.transferLease(ctx, r, q.Admin.Store)
		}
	}
	if err != nil {
		return nil, err
	}
	response.Now = s.Clock.Now()
	response.Ranges = []kvpb.RangeInfo{{Descriptor: *r.raft.Descriptor(), Leaseholder: r.raft.Lease(response.Now).Holder}}
	return response, nil
}

func (r *replica) statistics() *kvpb.RangeStatistics {
	stats := r.raft.Statistics()
	stats.Reads, stats.Writes = r.load.turn(r.server.Clock.Now().Time())
	return &stats
}

// commit evaluates a change of the range by the server itself under latches,
// and replicates it. evaluate fills the command's effects in, except that
// batch goes with it; without effects nothing is proposed.
func (r *replica) commit(ctx context.Context, latches []concurrency.Latch, evaluate func(batch *pebble.Batch, c *raftstore.Command) error) error {
	lease, err := r.serve(ctx, hlc.Timestamp{})
	if err != nil {
		return err
	}
	guard, err := r.locks.Sequence(ctx, nil, concurrency.Request{Latches: latches, NoLockTable: true})
	if err != nil {
		return err
	}
	x := &execution{server: r.server, replica: r, guard: guard}
	defer func() {
		if x.guard != nil {
			x.finish()
		}
	}()
	batch := r.server.Engines.State.NewBatch()
	defer batch.Close()
	now := r.raft.Lease(r.server.Clock.Now())
	if !now.Mine || now.State != raftstore.LeaseUsable || now.Sequence != lease.Sequence {
		return &raftstore.RejectedError{Cause: "the lease changed hands"}
	}
	c := &raftstore.Command{LeaseSequence: lease.Sequence}
	if err := evaluate(batch, c); err != nil {
		return err
	}
	c.Batch = nonEmpty(batch)
	if c.Batch == nil && c.Split == nil {
		return nil
	}
	proposal, err := r.raft.Propose(ctx, c)
	if err != nil {
		return err
	}
	err = proposal.Wait(ctx)
	if err != nil && ctx.Err() != nil && !proposal.Decided() {
		x.handOver(proposal)
	}
	return err
}

// adminSplit splits the range at key, if it does not begin there already.
func (s *Server) adminSplit(ctx context.Context, r *replica, key []byte) error {
	d := r.raft.Descriptor()
	switch {
	case bytes.Equal(key, d.Start):
		return nil
	case bytes.Compare(key, keys.SystemMin) < 0:
		return malformed("the directory of ranges can't be split")
	case !d.Contains(key):
		// The caller finds out which range holds it.
		return &kvpb.RangeKeyMismatchError{Requested: kvpb.Span{Key: key}, Ranges: []kvpb.RangeInfo{{Descriptor: *d}}}
	}
	id, err := s.allocateRangeID(ctx)
	if err != nil {
		return err
	}
	// What is left of the key is measured before anybody must wait for it; what
	// is written there meanwhile is counted on the wrong side.
	left, err := mvcc.Statistics(s.Engines.State, d.Start, key)
	if err != nil {
		return err
	}
	return s.split(ctx, r, id, key, left)
}

// split splits the range at key; id is for the right part, left are the
// statistics of what is before the key.
func (s *Server) split(ctx context.Context, r *replica, id kvpb.RangeID, key []byte, left kvpb.RangeStatistics) error {
	everything := []concurrency.Latch{{Span: kvpb.Span{Key: []byte{keys.LocalPrefix}, EndKey: keys.Max}, Write: true}}
	err := r.commit(ctx, everything, func(batch *pebble.Batch, c *raftstore.Command) error {
		d := r.raft.Descriptor()
		if bytes.Equal(key, d.Start) {
			return nil
		}
		right, err := s.rightStatistics(d, key, r.raft.Statistics(), left)
		if err != nil {
			return err
		}
		if c.Split, err = r.raft.NewSplit(key, id, right); err != nil {
			return &kvpb.UnavailableError{Cause: err.Error()}
		}
		return s.copyRangeState(batch, d.Start, key)
	})
	if err == nil {
		s.Logger.Info("split a range", "range", r.raft.Range(), "new", id, "at", fmt.Sprintf("%x", key))
	}
	return err
}

// rightStatistics is what a split leaves to the right range. Locks are counted
// exactly: reads rely on there being none.
func (s *Server) rightStatistics(d *kvpb.RangeDescriptor, key []byte, total, left kvpb.RangeStatistics) (kvpb.RangeStatistics, error) {
	locks, err := mvcc.CountLocks(s.Engines.State, key, d.End)
	return kvpb.RangeStatistics{
		LiveBytes: max(total.LiveBytes-left.LiveBytes, 0), LiveCount: max(total.LiveCount-left.LiveCount, 0),
		KeyBytes: max(total.KeyBytes-left.KeyBytes, 0), ValueBytes: max(total.ValueBytes-left.ValueBytes, 0),
		KeyCount: max(total.KeyCount-left.KeyCount, 0), VersionCount: max(total.VersionCount-left.VersionCount, 0),
		LockCount: locks,
	}, err
}

// copyRangeState gives the right range what is kept under the range's start.
func (s *Server) copyRangeState(batch *pebble.Batch, start, right []byte) error {
	state := s.Engines.State
	err := eachAbortMarker(state, start, func(id kvpb.TxnID, value []byte) error {
		return batch.Set(engine.AppendKey(nil, keys.AbortMarker(right, id)), value, nil)
	})
	if err != nil {
		return err
	}
	threshold, err := loadGCThreshold(state, start)
	if err != nil || threshold.IsEmpty() {
		return err
	}
	return batch.Set(engine.AppendKey(nil, keys.GCThreshold(right)), appendTimestamp(nil, threshold), nil)
}

// allocateRangeID returns an id that no range has had. The first range, which
// is older than the counter, has 1.
func (s *Server) allocateRangeID(ctx context.Context) (kvpb.RangeID, error) {
	response, err := s.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: s.Node},
		Requests: []kvpb.Request{{Kind: kvpb.Increment, Key: keys.RangeIDAllocator, Delta: 1}}})
	if err != nil {
		return 0, fmt.Errorf("allocating a range id: %w", err)
	}
	return kvpb.RangeID(response.Responses[0].Int + 1), nil
}

// changeReplicas makes targets the range's replicas.
func (s *Server) changeReplicas(ctx context.Context, r *replica, targets []kvpb.ReplicaTarget) error {
	if len(targets) == 0 {
		return malformed("a range needs a replica")
	}
	wanted := map[kvpb.StoreID]bool{}
	for _, t := range targets {
		wanted[t.Store] = true
		if err := r.raft.AddReplica(ctx, t); err != nil {
			return unavailable(err)
		}
	}
	if !wanted[s.Store] {
		// The new leaseholder goes on when the router asks it.
		if err := s.transferLease(ctx, r, targets[0].Store); err != nil {
			return err
		}
		d := r.raft.Descriptor()
		holder, _ := d.ReplicaOn(targets[0].Store)
		return &kvpb.NotLeaseholderError{Descriptor: *d, Leaseholder: holder}
	}
	for _, m := range r.raft.Descriptor().Replicas {
		if !wanted[m.Store] {
			if err := r.raft.RemoveReplica(ctx, m.Store); err != nil {
				return unavailable(err)
			}
		}
	}
	return nil
}

// unavailable makes an error of raftstore's one that the router tries again.
func unavailable(err error) error {
	if _, ok := errors.AsType[*kvpb.AmbiguousResultError](err); ok {
		return err
	}
	return &kvpb.UnavailableError{Cause: err.Error()}
}

// transferLease gives the lease to another store; meanwhile requests are sent
// away.
func (s *Server) transferLease(ctx context.Context, r *replica, to kvpb.StoreID) error {
	if to == s.Store {
		return nil
	}
	if r.transferring.Swap(true) {
		return &kvpb.UnavailableError{Cause: "the lease is being transferred already"}
	}
	defer r.transferring.Store(false)
	if err := r.raft.TransferLease(ctx, to); err != nil {
		return unavailable(err)
	}
	return nil
}

// checksum hashes what the replicas of a range have in common.
func (s *Server) checksum(d *kvpb.RangeDescriptor) ([]byte, error) {
	snapshot := s.Engines.State.NewSnapshot()
	defer snapshot.Close()
	hash := crc64.New(crc64.MakeTable(crc64.ECMA))
	records, recordsEnd := keys.TxnRecordSpan(d.Start, d.End)
	locks, locksEnd := keys.LockSpan(d.Start, d.End)
	for _, span := range [][2][]byte{{records, recordsEnd}, {locks, locksEnd}, {d.Start, d.End}} {
		iter, err := snapshot.NewIter(&pebble.IterOptions{KeyTypes: pebble.IterKeyTypePointsOnly,
			LowerBound: engine.AppendKey(nil, span[0]), UpperBound: engine.AppendKey(nil, span[1])})
		if err != nil {
			return nil, err
		}
		var lengths [16]byte
		for iter.First(); iter.Valid(); iter.Next() {
			binary.BigEndian.PutUint64(lengths[:], uint64(len(iter.Key())))
			binary.BigEndian.PutUint64(lengths[8:], uint64(len(iter.Value())))
			hash.Write(lengths[:])
			hash.Write(iter.Key())
			hash.Write(iter.Value())
		}
		if err := errors.Join(iter.Error(), iter.Close()); err != nil {
			return nil, err
		}
	}
	return hash.Sum(nil), nil
}
