package server

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// A transaction counts as abandoned when its record has not been heartbeaten
// for recordExpiry, or, without a record, when it is older than that and a
// pusher has waited for firstHeartbeat: a transaction that holds locks sends
// its first heartbeat within a second. Where the node of its coordinator is
// known to be in a later life, it is abandoned at once; where that node has been
// silent for silentExpiry, as soon as the record is as old.
const (
	recordExpiry   = 5 * time.Second
	firstHeartbeat = 2500 * time.Millisecond
	silentExpiry   = 2500 * time.Millisecond
)

func recordKey(t *kvpb.TxnMeta) []byte {
	return engine.AppendKey(nil, keys.TxnRecord(t.Key, t.ID))
}

// loadRecord reads a transaction's record, nil where there is none.
func (s *Server) loadRecord(t *kvpb.TxnMeta) (*kvpb.Transaction, error) {
	value, closer, err := s.Engines.State.Get(recordKey(t))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	record := new(kvpb.Transaction)
	return record, record.Unmarshal(append([]byte(nil), value...))
}

func (x *execution) putRecord(t *kvpb.Transaction) error {
	return x.writer.Batch.Set(recordKey(&t.TxnMeta), t.Append(nil), nil)
}

// prepareEnd decides whether the transaction may end as EndTxn wants, and at
// which timestamp it commits, before its last writes are evaluated.
func (x *execution) prepareEnd() error {
	end := x.shape.end
	var err error
	if x.record, err = x.server.loadRecord(&x.txn.TxnMeta); err != nil {
		return err
	}
	if x.record != nil {
		switch x.record.Status {
		case kvpb.Committed:
			return &kvpb.TransactionStatusError{Status: kvpb.Committed}
		case kvpb.Staging:
			return malformed("parallel commits are not supported")
		case kvpb.Aborted:
			if end.Commit {
				return &kvpb.TransactionAbortedError{Reason: kvpb.AbortPushed}
			}
		default:
			x.writeAt = x.writeAt.Max(x.record.WriteTimestamp)
		}
	} else {
		may, least := x.server.ended.mayRecord(&x.txn.TxnMeta, x.lease.Start)
		if !may && x.server.ended.committed(x.id) {
			return &kvpb.TransactionStatusError{Status: kvpb.Committed}
		}
		if !may && end.Commit {
			return &kvpb.TransactionAbortedError{Reason: kvpb.AbortPushed}
		}
		x.writeAt = x.writeAt.Max(least)
	}
	if !end.Commit {
		return nil
	}
	if !end.Deadline.IsEmpty() && end.Deadline.Less(x.writeAt) {
		return &kvpb.TransactionRetryError{Reason: kvpb.RetryDeadline, At: x.writeAt}
	}
	if x.readAt == x.writeAt || x.txn.Isolation != kvpb.Serializable {
		return nil
	}
	if !x.batch.CanForwardReadTimestamp {
		return &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable, At: x.writeAt}
	}
	if x.shape.reads {
		return &forwardError{x.writeAt} // needs latches at the later timestamp
	}
	x.readAt = x.writeAt
	t := x.ownTxn()
	t.ReadTimestamp, t.WriteTimestamp = x.readAt, x.writeAt
	return nil
}

// endTxn ends the transaction. Its intents on this range, if they are few, are
// resolved in the same batch; a record stays only where others remain.
func (x *execution) endTxn(r *kvpb.Request, a *kvpb.Response) error {
	t := x.ownTxn()
	t.Status = kvpb.Aborted
	if r.EndTxn.Commit {
		t.Status = kvpb.Committed
	}
	t.ReadTimestamp, t.WriteTimestamp = x.readAt, x.writeAt
	args := &kvpb.ResolveArgs{Txn: t.TxnMeta, Status: t.Status, IgnoredSeqNums: t.IgnoredSeqNums}
	d := x.replica.raft.Descriptor()
	spans := r.EndTxn.LockSpans
	var rest []kvpb.Span
	for _, span := range spans {
		here := d.ContainsSpan(span)
		switch {
		case here && len(span.EndKey) == 0 && x.written(span.Key):
			// It became a version in this batch.
		case here && !x.hasLocks:
			// An in-memory lock at most.
		case here && x.resolvesAtEnd && resolvesHere(d, span, len(spans)):
			if _, err := x.writer.Resolve(span.Key, args); err != nil {
				return err
			}
		default:
			rest = append(rest, span)
			continue
		}
		x.effects.resolved = append(x.effects.resolved, resolution{args, span})
	}
	t.LockSpans, t.InFlightWrites = rest, nil
	x.effects.ended = t
	a.Txn = t
	if t.Status == kvpb.Aborted {
		if err := x.markAborted(args, false); err != nil {
			return err
		}
	}
	switch {
	case len(rest) > 0:
		t.LastHeartbeat = x.began // when it ended
		return x.putRecord(t)
	case x.record != nil:
		return x.writer.Batch.Delete(recordKey(&t.TxnMeta), nil)
	}
	return nil
}

// heartbeat makes or refreshes the transaction's record.
func (x *execution) heartbeat(a *kvpb.Response) error {
	record, err := x.server.loadRecord(&x.txn.TxnMeta)
	if err != nil {
		return err
	}
	if record == nil {
		may, least := x.server.ended.mayRecord(&x.txn.TxnMeta, x.lease.Start)
		record = x.txn.Clone()
		record.LockSpans, record.InFlightWrites, record.ObservedTimestamps = nil, nil, nil
		if !may {
			record.Status = kvpb.Aborted
			if x.server.ended.committed(x.id) {
				record.Status = kvpb.Committed
			}
			a.Txn = record
			return nil
		}
		record.Status = kvpb.Pending
		record.WriteTimestamp = record.WriteTimestamp.Max(least)
	}
	a.Txn = record
	if record.Status != kvpb.Pending {
		return nil
	}
	if record.Epoch < x.txn.Epoch {
		record.Epoch, record.ReadTimestamp = x.txn.Epoch, x.txn.ReadTimestamp
		record.WriteTimestamp = record.WriteTimestamp.Max(x.txn.WriteTimestamp)
	}
	record.LastHeartbeat = record.LastHeartbeat.Max(x.began)
	return x.putRecord(record)
}

// pushee returns a transaction as its record, or the lack of one, tells.
func (x *execution) pushee(meta *kvpb.TxnMeta) (t *kvpb.Transaction, recorded bool, err error) {
	record, err := x.server.loadRecord(meta)
	if err != nil {
		return nil, false, err
	}
	if record != nil {
		if record.Epoch < meta.Epoch {
			record.Epoch = meta.Epoch
			record.WriteTimestamp = record.WriteTimestamp.Max(meta.WriteTimestamp)
		}
		return record, true, nil
	}
	t = &kvpb.Transaction{TxnMeta: *meta}
	may, least := x.server.ended.mayRecord(meta, x.lease.Start)
	if !may {
		// Whatever it was, no intent of it is needed any more.
		t.Status = kvpb.Aborted
	}
	t.WriteTimestamp = t.WriteTimestamp.Max(least)
	return t, false, nil
}

// abandoned reports whether nobody drives the transaction any more.
func (x *execution) abandoned(t *kvpb.Transaction, recorded bool) bool {
	now := x.began.WallTime
	if restarted, silent := x.server.coordinator(&t.TxnMeta); restarted ||
		silent && t.LastHeartbeat.Max(t.MinTimestamp).WallTime+int64(silentExpiry) < now {
		return true
	}
	if recorded {
		return t.LastHeartbeat.Max(t.MinTimestamp).WallTime+int64(recordExpiry) < now
	}
	if t.MinTimestamp.WallTime+int64(recordExpiry) >= now {
		return false
	}
	wall := time.Unix(0, now)
	return wall.Sub(x.server.ended.firstWait(t.ID, wall)) > firstHeartbeat
}

// coordinator reports whether the node that drives the transaction has been
// started since the transaction began, and whether it has been silent for a
// while.
func (s *Server) coordinator(t *kvpb.TxnMeta) (restarted, silent bool) {
	if s.Directory == nil || t.Gateway == 0 {
		return false, false
	}
	node, known := s.Directory.Status(t.Gateway)
	if !known {
		return false, false
	}
	restarted = !node.StartedAt.IsZero() && t.MinTimestamp.WallTime < node.StartedAt.UnixNano()
	return restarted, node.Silent > silentExpiry
}

// pushTxn carries out a push, or fails with *kvpb.TransactionPushError.
func (x *execution) pushTxn(r *kvpb.Request, a *kvpb.Response) error {
	p := r.Push
	t, recorded, err := x.pushee(&p.Pushee)
	if err != nil {
		return err
	}
	a.Txn = t
	if t.Status == kvpb.Staging {
		return malformed("parallel commits are not supported")
	}
	if t.Status != kvpb.Pending || p.Type == kvpb.PushTimestamp && p.PushTo.Less(t.WriteTimestamp) {
		return nil
	}
	abort := p.Type != kvpb.PushTimestamp
	switch {
	case x.abandoned(t, recorded):
		abort = true
	case p.Force, p.Type != kvpb.PushTouch && p.Pusher.Priority > t.Priority:
	default:
		return &kvpb.TransactionPushError{Pushee: *t}
	}
	if abort {
		t.Status = kvpb.Aborted
		x.effects.ended = t
		if recorded {
			return x.putRecord(t)
		}
		return nil // remembered in memory: see endedTransactions
	}
	t.WriteTimestamp = p.PushTo.Next()
	if recorded {
		x.effects.pushed = t
		return x.putRecord(t)
	}
	x.server.ended.push(&t.TxnMeta, t.WriteTimestamp)
	x.effects.pushed = t
	return nil
}

// waitForPush waits in the range's transaction wait queue. Neither a response
// nor an error: push again.
func (x *execution) waitForPush(ctx context.Context, _ *kvpb.TransactionPushError) (*kvpb.BatchResponse, error) {
	query := func(ctx context.Context, meta kvpb.TxnMeta) (*kvpb.Transaction, []kvpb.TxnMeta, error) {
		response, err := x.server.Router.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: x.server.Node},
			Requests: []kvpb.Request{{Kind: kvpb.QueryTxn, Key: meta.Key, Push: &kvpb.PushArgs{Pushee: meta}}}})
		if err != nil {
			return nil, nil, err
		}
		return response.Responses[0].Txn, response.Responses[0].Waiting, nil
	}
	t, err := x.replica.locks.WaitForPush(ctx, x.shape.push, query)
	if err != nil || t == nil {
		x.began = x.server.Clock.Now()
		return nil, err
	}
	return &kvpb.BatchResponse{Now: x.server.Clock.Now(), Responses: []kvpb.Response{{Txn: t}}}, nil
}

// queryTxn says how the transaction stands and who waits for it.
func (x *execution) queryTxn(r *kvpb.Request, a *kvpb.Response) error {
	t, _, err := x.pushee(&r.Push.Pushee)
	a.Txn, a.Waiting = t, x.replica.locks.WaitersOf(r.Push.Pushee.ID)
	return err
}

// queryIntent looks for a transaction's intent, and sees to it that it is never
// laid if it is not there.
func (x *execution) queryIntent(r *kvpb.Request, a *kvpb.Response) error {
	intent, err := x.reader.IntentAt(r.Key)
	if err != nil {
		return err
	}
	want := &r.Push.Pushee
	a.Found = intent != nil && intent.Txn.ID == want.ID && intent.Txn.Epoch == want.Epoch && intent.Txn.Sequence >= want.Sequence
	if !a.Found {
		x.replica.reads.add(kvpb.Span{Key: r.Key}, want.WriteTimestamp, kvpb.TxnID{})
	}
	return nil
}

// markAborted sets or clears the range's abort marker for a transaction. With
// Poison one is set, if intents were removed: the transaction would not see
// its own writes any more.
func (x *execution) markAborted(args *kvpb.ResolveArgs, removed bool) error {
	id := args.Txn.ID
	known := x.replica.knowsAborted(id)
	if args.Poison == known || args.Poison && !removed {
		return nil
	}
	key := engine.AppendKey(nil, keys.AbortMarker(x.replica.raft.Descriptor().Start, id))
	x.effects.aborted = append(x.effects.aborted, abortChange{id, args.Poison})
	if !args.Poison {
		return x.writer.Batch.Delete(key, nil)
	}
	return x.writer.Batch.Set(key, binary.BigEndian.AppendUint64(nil, uint64(x.began.WallTime)), nil)
}

// maxGarbage bounds the versions that one GarbageCollect removes.
const maxGarbage = 10_000

func (x *execution) collectGarbage(r *kvpb.Request, a *kvpb.Response) error {
	threshold := r.RefreshFrom
	if !threshold.Less(x.began) {
		return malformed("garbage is collected in the past only")
	}
	// Reads check the threshold after their view is fixed, so that none misses
	// what is removed from now on.
	x.replica.raiseGCThreshold(threshold)
	g, err := x.writer.CollectGarbage(spanOf(r), threshold, maxGarbage)
	if err != nil || g.Versions == 0 {
		return err
	}
	a.NumKeys = g.Versions
	if g.Resume != nil {
		a.Resume = &kvpb.Span{Key: g.Resume, EndKey: r.EndKey}
	}
	value := appendTimestamp(nil, *x.replica.gcThreshold.Load())
	return x.writer.Batch.Set(engine.AppendKey(nil, keys.GCThreshold(x.replica.raft.Descriptor().Start)), value, nil)
}

func appendTimestamp(b []byte, ts hlc.Timestamp) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(ts.WallTime))
	return binary.BigEndian.AppendUint32(b, uint32(ts.Logical))
}
