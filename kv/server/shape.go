package server

import (
	"bytes"

	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// batchShape is what can be said of a batch before it is evaluated.
type batchShape struct {
	err       error // it is malformed
	writes    bool  // it may change State
	grows     bool  // it may need room on the disk
	reads     bool  // it has reads that don't lock
	overlaps  bool  // a later request may touch what an earlier one wrote
	end       *kvpb.EndTxnArgs
	push      *kvpb.PushArgs // of its only request, a PushTxn
	txnWrites bool           // it has writes to keys
	// touchesKeys: it reads or writes keys as of its timestamps.
	touchesKeys bool
	resolves    bool // it resolves intents
	// latest is the latest timestamp that a push or resolution brings along.
	latest hlc.Timestamp
}

// isWrite reports whether the kind writes keys for a transaction.
func isWrite(k kvpb.Kind) bool { return k >= kvpb.Put && k <= kvpb.Increment }

func isResolution(k kvpb.Kind) bool { return k == kvpb.ResolveIntent || k == kvpb.ResolveIntentRange }

func isAdmin(k kvpb.Kind) bool { return k >= kvpb.AdminSplit && k <= kvpb.Checksum }

func isRead(k kvpb.Kind) bool { return k >= kvpb.Get && k <= kvpb.ReverseScan }

// takesSpan reports whether the kind works on a span of keys.
func takesSpan(k kvpb.Kind) bool {
	switch k {
	case kvpb.Scan, kvpb.ReverseScan, kvpb.DeleteRange, kvpb.ResolveIntentRange, kvpb.RefreshRange, kvpb.GarbageCollect:
		return true
	}
	return false
}

func malformed(message string) error { return &kvpb.RequestError{Message: message} }

func shapeOf(b *kvpb.BatchRequest) batchShape {
	var s batchShape
	for i := range b.Requests {
		r := &b.Requests[i]
		if err := s.add(b, r, i); err != nil {
			s.err = &requestError{i, err}
			return s
		}
	}
	if (s.txnWrites || s.resolves) && len(b.Requests) > 1 {
		s.overlaps = overlap(b.Requests)
	}
	return s
}

func (s *batchShape) add(b *kvpb.BatchRequest, r *kvpb.Request, i int) error {
	switch {
	case len(r.Key) == 0:
		return malformed("a request without a key")
	case takesSpan(r.Kind) && bytes.Compare(r.Key, r.EndKey) >= 0:
		return malformed("a request for an empty span")
	case !takesSpan(r.Kind) && len(r.EndKey) > 0:
		return malformed("a request for one key has an end key")
	}
	switch k := r.Kind; {
	case isRead(k):
		s.touchesKeys, s.reads = true, s.reads || r.Lock == kvpb.LockNone
		if r.Lock != kvpb.LockNone && b.Txn == nil {
			return malformed("a locking read without a transaction")
		}
	case isWrite(k):
		s.writes, s.txnWrites, s.touchesKeys = true, true, true
		deletes := k == kvpb.Delete || k == kvpb.DeleteRange || k == kvpb.ConditionalPut && r.Value == nil
		s.grows = s.grows || !deletes
		if b.Txn != nil && len(b.Txn.Key) == 0 {
			return malformed("a transaction writes without an anchor")
		}
	case k == kvpb.EndTxn:
		s.writes, s.end = true, r.EndTxn
		if b.Txn == nil || r.EndTxn == nil || i != len(b.Requests)-1 {
			return malformed("EndTxn must end a transaction's last batch")
		}
		if !r.EndTxn.Commit && s.txnWrites {
			return malformed("a rollback with writes")
		}
		if len(r.EndTxn.InFlightWrites) > 0 {
			return malformed("parallel commits are not supported")
		}
	case k == kvpb.HeartbeatTxn:
		s.writes = true
		if b.Txn == nil || len(b.Requests) > 1 {
			return malformed("HeartbeatTxn stands alone in a transaction's batch")
		}
	case k == kvpb.PushTxn, k == kvpb.QueryTxn, k == kvpb.QueryIntent:
		s.writes = k == kvpb.PushTxn
		if r.Push == nil || len(b.Requests) > 1 && k != kvpb.QueryIntent {
			return malformed("a push stands alone in its batch")
		}
		if k == kvpb.PushTxn {
			s.push = r.Push
		}
		s.latest = s.latest.Max(r.Push.PushTo).Max(r.Push.Pushee.WriteTimestamp)
	case k == kvpb.ResolveIntent, k == kvpb.ResolveIntentRange:
		s.writes, s.resolves = true, true
		if r.Resolve == nil {
			return malformed("a resolution without arguments")
		}
		s.latest = s.latest.Max(r.Resolve.Txn.WriteTimestamp)
	case k == kvpb.Refresh, k == kvpb.RefreshRange:
		if b.Txn == nil {
			return malformed("a refresh without a transaction")
		}
	case k == kvpb.GarbageCollect:
		s.writes = true
		if len(b.Requests) > 1 {
			return malformed("GarbageCollect stands alone in its batch")
		}
	case isAdmin(k):
		if len(b.Requests) > 1 {
			return malformed("an admin request stands alone in its batch")
		}
	default:
		// RecoverTxn and AddTable among them: reserved.
		return malformed("the request's kind is not supported")
	}
	return nil
}

// overlap reports whether a request touches keys that an earlier one wrote or
// resolved: an intent that is resolved twice must count once.
// Large batches of single keys in rising order, as bulk writes are, are told
// without comparing all with all.
func overlap(requests []kvpb.Request) bool {
	rising := true
	for i := 1; i < len(requests) && rising; i++ {
		if requests[i].Kind == kvpb.EndTxn {
			continue
		}
		before := &requests[i-1]
		end := before.EndKey
		if len(end) == 0 {
			rising = bytes.Compare(before.Key, requests[i].Key) < 0
		} else {
			rising = bytes.Compare(end, requests[i].Key) <= 0
		}
	}
	if rising {
		return false
	}
	if len(requests) > 64 {
		return hashOverlap(requests)
	}
	for i := range requests {
		if !isWrite(requests[i].Kind) && !isResolution(requests[i].Kind) {
			continue
		}
		for j := i + 1; j < len(requests); j++ {
			if requests[j].Kind != kvpb.EndTxn && touch(spanOf(&requests[i]), spanOf(&requests[j])) {
				return true
			}
		}
	}
	return false
}

// hashOverlap is overlap for many requests; spans count as overlapping.
func hashOverlap(requests []kvpb.Request) bool {
	seen := make(map[string]struct{}, len(requests))
	for i := range requests {
		r := &requests[i]
		if r.Kind == kvpb.EndTxn {
			continue
		}
		if len(r.EndKey) > 0 {
			return true
		}
		if _, again := seen[string(r.Key)]; again {
			return true
		}
		if isWrite(r.Kind) || isResolution(r.Kind) {
			seen[string(r.Key)] = struct{}{}
		}
	}
	return false
}

// touch reports whether two spans have a key in common.
func touch(a, b kvpb.Span) bool {
	if len(a.EndKey) == 0 {
		if len(b.EndKey) == 0 {
			return bytes.Equal(a.Key, b.Key)
		}
		return bytes.Compare(b.Key, a.Key) <= 0 && bytes.Compare(a.Key, b.EndKey) < 0
	}
	if len(b.EndKey) == 0 {
		return touch(b, a)
	}
	return bytes.Compare(a.Key, b.EndKey) < 0 && bytes.Compare(b.Key, a.EndKey) < 0
}

// declare says what the batch is going to touch.
func (x *execution) declare() {
	q := &x.request
	clear(q.Latches)
	clear(q.Locks)
	q.Latches, q.Locks = q.Latches[:0], q.Locks[:0]
	q.Txn, q.Wait, q.LockTimeout = x.txn, x.batch.Wait, x.batch.LockTimeout
	// A pushee must move out of the uncertainty interval too.
	q.Timestamp = x.readAt.Max(x.limit)
	for i := range x.batch.Requests {
		r := &x.batch.Requests[i]
		x.declareRequest(q, r, spanOf(r))
	}
	q.NoLockTable = len(q.Locks) == 0
}

func (x *execution) declareRequest(q *concurrency.Request, r *kvpb.Request, span kvpb.Span) {
	latch := func(span kvpb.Span, write bool, ts hlc.Timestamp) {
		q.Latches = append(q.Latches, concurrency.Latch{Span: span, Write: write, Timestamp: ts})
	}
	switch k := r.Kind; {
	case isRead(k):
		latch(span, r.Lock != kvpb.LockNone, x.readAt)
		q.Locks = append(q.Locks, concurrency.LockAccess{Span: span, Strength: r.Lock})
	case isWrite(k):
		latch(span, true, x.writeAt)
		strength := kvpb.LockUpdate
		if r.Lock != kvpb.LockNone {
			strength = r.Lock
		}
		q.Locks = append(q.Locks, concurrency.LockAccess{Span: span, Strength: strength})
	case k == kvpb.EndTxn:
		latch(recordSpan(&x.txn.TxnMeta), true, hlc.Timestamp{})
		// Without any intent on the range the transaction has none here: its own
		// were applied before it ends.
		x.resolvesAtEnd = x.replica.lockCount() != 0
		if !x.resolvesAtEnd {
			return
		}
		d := x.replica.raft.Descriptor()
		for _, s := range r.EndTxn.LockSpans {
			if resolvesHere(d, s, len(r.EndTxn.LockSpans)) && !x.written(s.Key) {
				latch(s, true, x.txn.MinTimestamp)
			}
		}
	case k == kvpb.HeartbeatTxn:
		latch(recordSpan(&x.txn.TxnMeta), true, hlc.Timestamp{})
	case k == kvpb.PushTxn, k == kvpb.QueryTxn:
		latch(recordSpan(&r.Push.Pushee), k == kvpb.PushTxn, hlc.Timestamp{})
	case k == kvpb.QueryIntent:
		latch(span, true, hlc.Timestamp{})
	case k == kvpb.ResolveIntent, k == kvpb.ResolveIntentRange:
		latch(span, true, r.Resolve.Txn.MinTimestamp)
	case k == kvpb.Refresh, k == kvpb.RefreshRange:
		latch(span, false, x.readAt)
	case k == kvpb.GarbageCollect:
		// Keeps writes away, not reads: what goes is below all that they may see.
		latch(span, true, hlc.MaxTimestamp)
	}
}

// recordSpan returns the latch key of a transaction's record.
func recordSpan(t *kvpb.TxnMeta) kvpb.Span {
	return kvpb.Span{Key: keys.TxnRecord(t.Key, t.ID)}
}

// maxResolveAtEnd bounds the intents that EndTxn resolves in its own batch.
const maxResolveAtEnd = 512

// resolvesHere reports whether EndTxn resolves one of its count lock spans
// together with the record: keys of the record's range, if they are not too
// many.
func resolvesHere(d *kvpb.RangeDescriptor, s kvpb.Span, count int) bool {
	return len(s.EndKey) == 0 && count <= maxResolveAtEnd && d.Contains(s.Key)
}

// written reports whether the batch itself writes key.
func (x *execution) written(key []byte) bool {
	requests := x.batch.Requests
	if len(requests) > 32 && x.writtenKeys == nil {
		x.writtenKeys = make(map[string]struct{}, len(requests))
		for i := range requests {
			if r := &requests[i]; isWrite(r.Kind) && len(r.EndKey) == 0 {
				x.writtenKeys[string(r.Key)] = struct{}{}
			}
		}
	}
	if x.writtenKeys != nil {
		_, ok := x.writtenKeys[string(key)]
		return ok
	}
	for i := range requests {
		if r := &requests[i]; isWrite(r.Kind) && len(r.EndKey) == 0 && string(r.Key) == string(key) {
			return true
		}
	}
	return false
}
