package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/txn/hlc"
)

// answer is a response with room for what most batches need, in one
// allocation.
type answer struct {
	response kvpb.BatchResponse
	one      [1]kvpb.Response
}

func (x *execution) newResponse() *kvpb.BatchResponse {
	n := len(x.batch.Requests)
	if n == 1 {
		a := &answer{}
		a.response.Responses = a.one[:]
		return &a.response
	}
	return &kvpb.BatchResponse{Responses: make([]kvpb.Response, n)}
}

// attempt evaluates the batch under its latches and replicates what it writes.
// On success latches may be dropped. On an ambiguous outcome it has handed the
// guard over to whoever waits for the proposal.
func (x *execution) attempt(ctx context.Context) (*kvpb.BatchResponse, error) {
	x.effects.reset()
	response := x.newResponse()
	x.answers = response.Responses
	var err error
	if x.shape.writes {
		err = x.write(ctx)
	} else {
		err = x.readOnly()
	}
	if err != nil {
		return nil, err
	}
	response.Txn = x.txn
	if x.txn == nil {
		response.Timestamp = x.writeAt
	} else if x.txn.WriteTimestamp != x.writeAt || x.txn.ReadTimestamp != x.readAt {
		t := x.ownTxn()
		t.ReadTimestamp, t.WriteTimestamp = x.readAt, x.writeAt
		response.Txn = t
	}
	response.Now = x.server.Clock.Now()
	if d := x.replica.raft.Descriptor(); x.batch.Generation != 0 && x.batch.Generation < d.Generation {
		response.Ranges = []kvpb.RangeInfo{{Descriptor: *d, Leaseholder: x.replica.raft.Self()}}
	}
	return response, nil
}

// open fixes the view that the batch reads, and checks that the replica still
// may serve from it.
func (x *execution) open(from pebble.Reader, hasLocks bool) error {
	r := x.replica
	var known bool
	if hasLocks && !(x.shape.overlaps && x.shape.txnWrites) { // or its own intents count too
		x.lockedKeys, known = r.intents.narrow(x.lockedKeys[:0], x, r.lockCount)
	}
	x.reader = mvcc.NewReader(from, hasLocks)
	if known {
		x.reader.OnlyLocksAt(x.lockedKeys)
	}
	if err := x.reader.Open(); err != nil {
		return err
	}
	if err := x.checkLease(); err != nil {
		return err
	}
	if err := x.server.checkBounds(r.raft.Descriptor(), x.batch); err != nil {
		return err
	}
	if threshold := *r.gcThreshold.Load(); !threshold.IsEmpty() && x.readAt.Less(threshold) && x.shape.touchesKeys {
		return &kvpb.BatchTimestampBeforeGCError{Timestamp: x.readAt, Threshold: threshold}
	}
	if x.txn != nil && r.knowsAborted(x.id) && !(x.shape.end != nil && !x.shape.end.Commit) {
		return &kvpb.TransactionAbortedError{Reason: kvpb.AbortSpanRecord}
	}
	return nil
}

// checkLease checks that the lease that the batch is evaluated under is still
// in force, and is at the batch's timestamps.
func (x *execution) checkLease() error {
	l := x.replica.raft.Lease(x.server.Clock.Now().Max(x.readAt).Max(x.writeAt))
	if !l.Mine || l.State != raftstore.LeaseUsable || l.Sequence != x.lease.Sequence {
		return &raftstore.RejectedError{Cause: "the lease changed hands"}
	}
	return nil
}

func (x *execution) closeReader(err error) error {
	if x.reader == nil {
		return err
	}
	closeErr := x.reader.Close()
	x.reader = nil
	if err == nil {
		err = closeErr
	}
	return err
}

// readOnly evaluates a batch without writes.
func (x *execution) readOnly() (err error) {
	defer func() { err = x.closeReader(err) }()
	// The latches are held: an intent that is in the way was applied before and
	// is counted.
	if err := x.open(x.server.Engines.State, x.replica.lockCount() != 0); err != nil {
		return err
	}
	x.keysLeft, x.bytesLeft = x.batch.MaxKeys, x.batch.TargetBytes
	for i := range x.batch.Requests {
		if err := x.read(i); err != nil {
			return &requestError{i, err}
		}
	}
	x.noteReads()
	x.takeLocks()
	return nil
}

func (x *execution) readOptions(r *kvpb.Request) *mvcc.ReadOptions {
	x.reads = mvcc.ReadOptions{
		Timestamp: x.readAt, UncertaintyLimit: x.limit, LocalLimit: x.localLimit,
		Txn: x.txn, Sequence: r.Sequence,
		Newest: r.Lock != kvpb.LockNone,
	}
	if r.Lock != kvpb.LockNone && x.batch.Wait == kvpb.WaitSkip {
		x.reads.Skip = x.guard.SkipsLocked
	}
	return &x.reads
}

// read evaluates a request that writes nothing.
func (x *execution) read(i int) error {
	r, a := &x.batch.Requests[i], &x.answers[i]
	var err error
	switch r.Kind {
	case kvpb.Get:
		o := x.readOptions(r)
		a.Value, a.Timestamp, err = x.reader.Get(r.Key, o)
		a.Found = a.Value != nil
		if err == nil && r.Lock != kvpb.LockNone && (o.Skip == nil || !o.Skip(r.Key)) {
			x.effects.locked = append(x.effects.locked, lockTaken{r.Key, r.Lock})
		}
	case kvpb.Scan, kvpb.ReverseScan:
		err = x.scan(r, a)
	case kvpb.Refresh, kvpb.RefreshRange:
		err = x.refresh(r)
	case kvpb.QueryTxn:
		err = x.queryTxn(r, a)
	case kvpb.QueryIntent:
		err = x.queryIntent(r, a)
	default:
		err = malformed(fmt.Sprintf("requests of kind %d are not supported", r.Kind))
	}
	return err
}

func (x *execution) refresh(r *kvpb.Request) error {
	switch {
	case r.RefreshFrom.Less(*x.replica.gcThreshold.Load()):
		// A deletion since then may have been collected.
		return &kvpb.TransactionRetryError{Reason: kvpb.RetryRefreshFailed, Key: r.Key}
	case r.Kind == kvpb.Refresh:
		return x.reader.Refresh(r.Key, x.id, r.RefreshFrom, x.readAt)
	default:
		return x.reader.RefreshRange(spanOf(r), x.id, r.RefreshFrom, x.readAt)
	}
}

// exhausted reports whether a bound of the batch is used up.
func (x *execution) exhausted() bool {
	return x.batch.MaxKeys > 0 && x.keysLeft <= 0 || x.batch.TargetBytes > 0 && x.bytesLeft <= 0
}

func (x *execution) bound(o *mvcc.ReadOptions) {
	if x.batch.MaxKeys > 0 {
		o.MaxKeys = x.keysLeft
	}
	if x.batch.TargetBytes > 0 {
		o.TargetBytes = x.bytesLeft
	}
}

func (x *execution) scan(r *kvpb.Request, a *kvpb.Response) error {
	span := spanOf(r)
	if x.exhausted() {
		a.Resume = &span
		return nil
	}
	o := x.readOptions(r)
	x.bound(o)
	found, err := x.reader.Scan(span, r.Kind == kvpb.ReverseScan, o)
	if err != nil {
		return err
	}
	a.Rows, a.Resume, a.NumKeys = found.Rows, found.Resume, int64(len(found.Rows))
	x.keysLeft -= a.NumKeys
	x.bytesLeft -= found.Bytes
	if r.Lock != kvpb.LockNone {
		for i := range found.Rows {
			x.effects.locked = append(x.effects.locked, lockTaken{found.Rows[i].Key, r.Lock})
		}
	}
	return nil
}

// noteReads marks in the timestamp cache what the batch has read. Conditional
// writes that succeed need no mark: they leave an intent or a version.
func (x *execution) noteReads() {
	for i := range x.batch.Requests {
		r := &x.batch.Requests[i]
		span := spanOf(r)
		switch r.Kind {
		case kvpb.Scan:
			if resume := x.answers[i].Resume; resume != nil {
				span.EndKey = resume.Key
			}
		case kvpb.ReverseScan:
			if resume := x.answers[i].Resume; resume != nil {
				span.Key = resume.EndKey
			}
		case kvpb.DeleteRange:
			if resume := x.answers[i].Resume; resume != nil {
				span.EndKey = resume.Key
			}
		case kvpb.Get, kvpb.Refresh, kvpb.RefreshRange:
		default:
			continue
		}
		if len(r.EndKey) > 0 && string(span.Key) >= string(span.EndKey) {
			continue // nothing was scanned
		}
		x.replica.reads.add(span, x.readAt, x.id)
	}
}

// takeLocks tells the lock table of locking reads.
func (x *execution) takeLocks() {
	for _, l := range x.effects.locked {
		x.replica.locks.LockAcquired(&x.txn.TxnMeta, l.key, l.strength, false)
	}
}

// write evaluates a batch with writes and replicates it.
func (x *execution) write(ctx context.Context) error {
	if err := x.raiseAboveReads(); err != nil {
		return err
	}
	var command raftstore.Command
	err := x.evaluateWrites(&command)
	if err != nil {
		if _, failed := errors.AsType[*kvpb.ConditionFailedError](err); failed {
			x.noteFailedCondition(err)
		}
		return x.closeWriter(err)
	}
	if len(command.Batch) == 0 {
		x.applied()
		return x.closeWriter(nil)
	}
	x.server.Clock.Update(x.writeAt) // what is served lies below the clock
	if err := x.checkLease(); err != nil {
		// The timestamp has moved up beyond the lease's end.
		return x.closeWriter(err)
	}
	command.LeaseSequence = x.lease.Sequence
	proposal, err := x.replica.raft.Propose(ctx, &command)
	if err = x.closeWriter(err); err != nil {
		return err
	}
	err = proposal.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		if !proposal.Decided() {
			// Nobody may evaluate on top of what may still be applied.
			x.handOver(proposal)
			return err
		}
		err = proposal.Wait(context.Background()) // at once
	}
	if err != nil {
		x.failed(err)
		return err
	}
	x.applied()
	return nil
}

// failed takes note of a proposal that was not applied, or may have been.
func (x *execution) failed(err error) {
	if _, rejected := errors.AsType[*raftstore.RejectedError](err); !rejected {
		x.replica.intents.forget()
	}
}

// handOver leaves the guard, and the telling of the effects, to a goroutine
// that waits for the proposal's fate.
func (x *execution) handOver(proposal *raftstore.Proposal) {
	s := x.server
	rest := &execution{server: x.server, replica: x.replica, batch: x.batch, txn: x.txn, id: x.id,
		readAt: x.readAt, writeAt: x.writeAt, lease: x.lease, guard: x.guard, effects: x.effects}
	rest.writer.Laid, rest.writer.Gone = x.writer.Laid, x.writer.Gone
	x.guard, x.effects, x.writer.Laid, x.writer.Gone = nil, effects{}, nil, nil
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer rest.finish()
		if err := proposal.Wait(context.Background()); err == nil {
			rest.applied()
		} else {
			rest.failed(err)
		}
	}()
}

// raiseAboveReads moves the write timestamp above all reads of what is written.
func (x *execution) raiseAboveReads() error {
	for i := range x.batch.Requests {
		r := &x.batch.Requests[i]
		switch {
		case r.Kind == kvpb.DeleteRange:
			x.writeAt = x.writeAt.Max(x.replica.reads.spanFloor(spanOf(r)))
		case isWrite(r.Kind):
			x.writeAt = x.writeAt.Max(x.replica.reads.floor(r.Key, x.id))
		}
	}
	if x.txn == nil && x.readAt.Less(x.writeAt) {
		if x.shape.reads {
			return &forwardError{x.writeAt} // needs latches at the later timestamp
		}
		x.readAt = x.writeAt
	}
	return nil
}

// noteFailedCondition marks the read that a failed condition is.
func (x *execution) noteFailedCondition(err error) {
	if at, ok := errors.AsType[*requestError](err); ok {
		x.replica.reads.add(spanOf(&x.batch.Requests[at.index]), x.readAt, x.id)
	}
}

// maxEvaluations bounds how often writes are evaluated anew because their own
// timestamp had to move.
const maxEvaluations = 100

// evaluateWrites evaluates the batch until its write timestamp holds for all of
// it.
func (x *execution) evaluateWrites(c *raftstore.Command) error {
	for range maxEvaluations {
		if err := x.closeWriter(nil); err != nil {
			return err
		}
		err := x.openWriter()
		if err == nil {
			err = x.evaluateOnce()
		}
		if err == nil {
			c.Batch, c.Stats = nonEmpty(x.writer.Batch), x.writer.Stats
			x.noteReads()
			return nil
		}
		old, ok := errors.AsType[*kvpb.WriteTooOldError](err)
		if !ok || !x.canRaise(err) {
			return err
		}
		x.writeAt = x.writeAt.Max(old.Actual)
		x.effects.reset()
		clear(x.answers)
		if x.txn == nil && x.shape.reads {
			return &forwardError{x.writeAt} // needs latches at the later timestamp
		}
		if x.txn == nil {
			x.readAt = x.writeAt
		}
	}
	return &kvpb.UnavailableError{Cause: "the batch's timestamp does not settle"}
}

// canRaise reports whether a write that is too old may simply move up: it does
// not depend on what it read. A transaction's reads are refreshed when it
// commits.
func (x *execution) canRaise(err error) bool {
	if x.txn == nil {
		return true
	}
	at, ok := errors.AsType[*requestError](err)
	if !ok {
		return false
	}
	k := x.batch.Requests[at.index].Kind
	return k == kvpb.Put || k == kvpb.Delete
}

func nonEmpty(b *pebble.Batch) []byte {
	if b.Empty() {
		return nil
	}
	return b.Repr()
}

func (x *execution) openWriter() error {
	w := &x.writer
	w.Reset()
	state := x.server.Engines.State
	hasLocks := x.replica.lockCount() != 0
	x.hasLocks = hasLocks
	var from pebble.Reader = state
	if x.shape.overlaps {
		w.Batch = state.NewIndexedBatch()
		from, hasLocks = w.Batch, true
	} else {
		w.Batch = state.NewBatch()
	}
	if err := x.open(from, hasLocks); err != nil {
		return err
	}
	w.Reader, w.Txn, w.Timestamp, w.ReadTimestamp, w.Clock = x.reader, x.txn, x.writeAt, x.readAt, x.began
	return nil
}

func (x *execution) closeWriter(err error) error {
	err = x.closeReader(err)
	x.writer.Reader = nil
	if x.writer.Batch != nil {
		closeErr := x.writer.Batch.Close()
		x.writer.Batch = nil
		if err == nil {
			err = closeErr
		}
	}
	return err
}

// evaluateOnce evaluates all requests at the present timestamps.
func (x *execution) evaluateOnce() error {
	x.keysLeft, x.bytesLeft = x.batch.MaxKeys, x.batch.TargetBytes
	if x.shape.end != nil {
		if err := x.prepareEnd(); err != nil {
			return err
		}
		x.writer.Txn, x.writer.Timestamp, x.writer.ReadTimestamp = x.txn, x.writeAt, x.readAt
		x.writer.Direct = x.shape.end.Commit
	}
	for i := range x.batch.Requests {
		if err := x.evaluate(i); err != nil {
			return &requestError{i, err}
		}
		if x.shape.overlaps {
			if err := x.reader.Renew(); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluate evaluates one request of a batch with writes.
func (x *execution) evaluate(i int) (err error) {
	r, a, w := &x.batch.Requests[i], &x.answers[i], &x.writer
	switch r.Kind {
	case kvpb.Put:
		return w.Put(r.Key, r.Value, r.Sequence)
	case kvpb.ConditionalPut:
		return w.ConditionalPut(r.Key, r.Value, r.Expected, r.Sequence)
	case kvpb.Delete:
		a.Found, err = w.Delete(r.Key, r.Sequence)
		return err
	case kvpb.Increment:
		a.Int, err = w.Increment(r.Key, r.Delta, r.Sequence)
		return err
	case kvpb.DeleteRange:
		return x.deleteRange(r, a)
	case kvpb.EndTxn:
		return x.endTxn(r, a)
	case kvpb.HeartbeatTxn:
		return x.heartbeat(a)
	case kvpb.PushTxn:
		return x.pushTxn(r, a)
	case kvpb.ResolveIntent, kvpb.ResolveIntentRange:
		return x.resolveIntents(r, a)
	case kvpb.GarbageCollect:
		return x.collectGarbage(r, a)
	default:
		return x.read(i)
	}
}

func (x *execution) deleteRange(r *kvpb.Request, a *kvpb.Response) error {
	span := spanOf(r)
	if x.exhausted() {
		a.Resume = &span
		return nil
	}
	o := x.readOptions(r)
	// What an earlier attempt of the request itself deleted is found again.
	o.Newest, o.Sequence = true, r.Sequence-1
	x.bound(o)
	found, err := x.writer.DeleteRange(span, o, r.Sequence)
	if err != nil {
		return err
	}
	a.NumKeys, a.Resume = int64(len(found.Rows)), found.Resume
	if r.ReturnKeys {
		a.Rows = found.Rows
	}
	x.keysLeft -= a.NumKeys
	x.bytesLeft -= found.Bytes
	return nil
}

// maxResolveRange bounds the intents that one ResolveIntentRange resolves.
const maxResolveRange = 2000

func (x *execution) resolveIntents(r *kvpb.Request, a *kvpb.Response) error {
	var err error
	if r.Kind == kvpb.ResolveIntent {
		a.Found, err = x.writer.Resolve(r.Key, r.Resolve)
	} else {
		var resolved [][]byte
		resolved, a.Resume, err = x.writer.ResolveRange(spanOf(r), r.Resolve, maxResolveRange)
		a.NumKeys = int64(len(resolved))
	}
	if err != nil {
		return err
	}
	span := spanOf(r)
	if a.Resume != nil {
		span.EndKey = a.Resume.Key
	}
	x.effects.resolved = append(x.effects.resolved, resolution{r.Resolve, span})
	if r.Resolve.Status == kvpb.Aborted {
		return x.markAborted(r.Resolve, a.Found || a.NumKeys > 0)
	}
	return nil
}

// applied tells the rest of the server what a batch's effects are, under its
// latches.
func (x *execution) applied() {
	r := x.replica
	r.intents.applied(x.lease.Sequence, x.writer.Laid, x.writer.Gone)
	if len(x.writer.Laid) > 0 {
		meta := x.txn.TxnMeta
		meta.WriteTimestamp = x.writeAt
		for _, key := range x.writer.Laid {
			r.locks.LockAcquired(&meta, key, kvpb.LockUpdate, true)
		}
	}
	x.takeLocks()
	e := &x.effects
	for _, change := range e.aborted {
		r.setAborted(change.id, change.set)
	}
	if e.ended != nil {
		x.server.ended.end(&e.ended.TxnMeta, e.ended.Status == kvpb.Committed)
		r.locks.TransactionUpdated(e.ended)
	}
	if e.pushed != nil {
		r.locks.TransactionUpdated(e.pushed)
	}
	for _, resolved := range e.resolved {
		r.locks.LocksResolved(resolved.args, resolved.span)
	}
	x.server.noticeSize(r)
}

// decodeTimestamp reads 8 bytes of wall time and 4 of logical time.
func decodeTimestamp(b []byte) (hlc.Timestamp, error) {
	if len(b) != 12 {
		return hlc.Timestamp{}, errors.New("malformed timestamp")
	}
	return hlc.Timestamp{WallTime: int64(binary.BigEndian.Uint64(b)), Logical: int32(binary.BigEndian.Uint32(b[8:]))}, nil
}
