package txn

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// Commit commits the transaction. Errors: a *kvpb.TransactionRetryError or
// *kvpb.TransactionAbortedError, after which it can be restarted;
// *kvpb.AmbiguousResultError when it is not known, and can't be, whether it has
// committed; others leave it uncommitted.
func (t *Txn) Commit(ctx context.Context) error {
	_, err := t.commitWith(ctx, &Batch{})
	return err
}

// commitWith commits with a batch of point writes.
func (t *Txn) commitWith(ctx context.Context, b *Batch) ([]kvpb.Response, error) {
	t.mu.Lock()
	if err := t.usableLocked(); err != nil {
		t.mu.Unlock()
		return nil, err
	}
	start := t.sequence
	var responses []kvpb.Response
	if len(b.Requests) > 0 {
		responses = make([]kvpb.Response, len(b.Requests))
	}
	direct, places, ok := t.gatherLocked(b, responses)
	if !ok {
		t.undoLocked(start)
		t.mu.Unlock()
		// Conditions on keys that the same batch writes: one after the other.
		before := *b
		before.Commit = false
		responses, err := t.sendBuffered(ctx, &before)
		if err != nil {
			return nil, err
		}
		return responses, t.Commit(ctx)
	}
	requests := t.buffer.appendRequests(direct, false)
	if len(requests) == 0 && !t.laid {
		return responses, t.commitReads(ctx)
	}
	t.committing = true
	laid, laidUpTo := t.laid, t.laidUpTo
	t.layLocked(requests)
	t.laid = laid // not yet: see exchange
	end := kvpb.Request{Kind: kvpb.EndTxn, Key: t.txn.Key, Sequence: t.sequence, EndTxn: &kvpb.EndTxnArgs{
		Commit: true, LockSpans: mergeSpans(t.locks.spans), Deadline: t.deadline,
	}}
	header := kvpb.Header{Wait: b.Wait, LockTimeout: b.LockTimeout}
	t.mu.Unlock()

	got, ended, err := t.finish(ctx, header, requests, end)
	t.mu.Lock()
	if err != nil {
		t.laid = true
		return nil, t.commitFailed(err, start, laidUpTo, len(direct), places)
	}
	if places == nil {
		copy(responses, got)
	}
	for i, at := range places {
		responses[at] = got[i]
	}
	t.ended, t.status = true, kvpb.Committed
	t.commit = ended.WriteTimestamp
	t.db.heartbeats.remove(t)
	c := *t.txn
	t.mu.Unlock()
	if len(ended.LockSpans) > 0 {
		c.Status, c.ReadTimestamp, c.WriteTimestamp = kvpb.Committed, ended.ReadTimestamp, ended.WriteTimestamp
		t.db.release(&c, ended.LockSpans)
	}
	return responses, nil
}

// maxLinear is up to how many requests are compared with each other.
const maxLinear = 16

// gatherLocked returns a batch's writes to keys that the buffer does not know,
// to be sent as they are, with their places in the batch (nil: all, in order);
// the others are buffered. ok is false if two of them are about one key, or a
// condition on a buffered key fails.
func (t *Txn) gatherLocked(b *Batch, responses []kvpb.Response) (direct []kvpb.Request, places []int, ok bool) {
	if len(b.Requests) == 0 {
		return nil, nil, true
	}
	var seen map[string]struct{}
	if len(b.Requests) > maxLinear {
		seen = make(map[string]struct{}, len(b.Requests))
	}
	room := len(b.Requests) + 1 // for EndTxn
	if !t.buffer.empty() {
		room += t.buffer.keys.Len()
	}
	direct = make([]kvpb.Request, 0, room)
	for i := range b.Requests {
		q := &b.Requests[i]
		if seen != nil {
			if _, again := seen[string(q.Key)]; again {
				return nil, nil, false
			}
			seen[string(q.Key)] = struct{}{}
		} else if slices.ContainsFunc(b.Requests[:i], func(other kvpb.Request) bool { return bytes.Equal(other.Key, q.Key) }) {
			return nil, nil, false
		}
		if t.buffer.get(q.Key) != nil {
			if places == nil {
				places = make([]int, 0, len(b.Requests))
				for at := range i {
					places = append(places, at)
				}
			}
			if err := t.writeLocked(q, &responses[i], nil); err != nil {
				return nil, nil, false
			}
			continue
		}
		t.sequence++
		q.Sequence = t.sequence
		direct = append(direct, *q)
		if places != nil {
			places = append(places, i)
		}
	}
	return direct, places, true
}

// finish sends the writes and the end. The first attempts are one batch, which
// on one range is a single command. If others' reads keep moving it up, the
// writes are laid down as intents, which stops them, and the end follows.
func (t *Txn) finish(ctx context.Context, header kvpb.Header, requests []kvpb.Request, end kvpb.Request) ([]kvpb.Response, *kvpb.Transaction, error) {
	if err := t.refreshWrites(ctx); err != nil {
		return nil, nil, err
	}
	whole := append(requests, end)
	response, _, err := t.exchange(ctx, &kvpb.BatchRequest{Header: header, Requests: whole}, 1)
	if err == nil {
		return response.Responses, endedTxn(response), nil
	}
	e, ok := errors.AsType[*kvpb.Error](err)
	if !ok {
		return nil, nil, err
	}
	if _, movable := movesTo(e); !movable {
		return nil, nil, err
	}
	t.mu.Lock()
	t.laid = t.laid || len(requests) > 0
	t.mu.Unlock()
	var got []kvpb.Response
	if len(requests) > 0 {
		laid, _, err := t.exchange(ctx, &kvpb.BatchRequest{Header: header, Requests: requests}, maxRefreshes)
		if err != nil {
			return nil, nil, err
		}
		got = laid.Responses
	}
	if err := t.refreshWrites(ctx); err != nil {
		return nil, nil, err
	}
	response, _, err = t.exchange(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{end}}, maxRefreshes)
	if err != nil {
		return nil, nil, err
	}
	return got, endedTxn(response), nil
}

func endedTxn(response *kvpb.BatchResponse) *kvpb.Transaction {
	if t := response.Responses[len(response.Responses)-1].Txn; t != nil {
		return t
	}
	return response.Txn
}

// refreshWrites moves the reads up to where the writes were pushed.
func (t *Txn) refreshWrites(ctx context.Context) error {
	t.mu.Lock()
	to := t.txn.WriteTimestamp
	t.mu.Unlock()
	return t.refreshTo(ctx, to)
}

// commitReads commits a transaction that has written nothing: its reads all
// hold at its read timestamp already. No record says that it has ended, so its
// locks are released before it returns. It is called with t.mu held and unlocks
// it.
func (t *Txn) commitReads(ctx context.Context) error {
	if !t.deadline.IsEmpty() && t.deadline.Less(t.txn.ReadTimestamp) {
		defer t.mu.Unlock()
		t.failed = &kvpb.TransactionRetryError{Reason: kvpb.RetryDeadline, At: t.txn.ReadTimestamp}
		return t.failed
	}
	t.ended, t.status = true, kvpb.Committed
	t.commit = t.txn.ReadTimestamp
	if t.locks.empty() {
		t.mu.Unlock()
		return nil
	}
	c := t.changeLocked()
	c.Status, c.WriteTimestamp = kvpb.Committed, c.ReadTimestamp
	t.db.heartbeats.remove(t)
	spans := mergeSpans(t.locks.spans)
	t.mu.Unlock()
	awaitRelease(ctx, t.db.release(c, spans))
	return nil
}

// commitFailed judges why a commit failed and returns what to tell. It is
// called with t.mu held and unlocks it.
func (t *Txn) commitFailed(err error, start, laidUpTo int32, directs int, places []int) error {
	e, replied := errors.AsType[*kvpb.Error](err)
	if replied && errors.As(e.Detail, new(*kvpb.AmbiguousResultError)) || !replied && !isVerdict(err) {
		t.ended = true
		t.db.heartbeats.remove(t)
		present, spans := t.txn, mergeSpans(t.locks.spans)
		t.mu.Unlock()
		// If it has not committed, it must not linger. If it has, this changes
		// nothing.
		t.db.abort(present, spans)
		if !replied {
			err = &kvpb.AmbiguousResultError{Cause: err.Error()}
		}
		return err
	}
	t.committing = false
	// What the batch wrote must not count if the transaction goes on; the
	// buffer's earlier writes are sent again.
	t.laidUpTo = max(laidUpTo, t.sequence)
	t.undoLocked(start)
	if replied && e.Index >= 0 {
		index := -1
		if int(e.Index) < directs {
			index = int(e.Index)
			if places != nil {
				index = places[e.Index]
			}
			if condition, ok := e.Detail.(*kvpb.ConditionFailedError); ok {
				t.reads.add(kvpb.Span{Key: condition.Key})
			}
		}
		err = withIndex(e, index)
	}
	t.mu.Unlock()
	return t.fail(err)
}

// isVerdict reports whether an error is one of the coordinator's own: nothing
// was left open.
func isVerdict(err error) bool {
	return errors.As(err, new(*kvpb.TransactionRetryError)) || errors.As(err, new(*kvpb.TransactionAbortedError))
}

// releasePatience bounds how long the release of locks keeps the caller.
const releasePatience = time.Second

// awaitRelease waits a moment for locks to be released.
func awaitRelease(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
		return
	default:
	}
	timer := time.NewTimer(releasePatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Rollback ends the transaction without effect. It waits a moment for its locks
// to be released; what takes longer goes on in the background. It returns nil
// unless ctx has ended.
func (t *Txn) Rollback(ctx context.Context) error {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil
	}
	wasAborted := t.status == kvpb.Aborted
	t.ended, t.status = true, kvpb.Aborted
	c := t.changeLocked()
	c.Status = kvpb.Aborted
	t.buffer.reset()
	t.reads.reset()
	t.db.heartbeats.remove(t)
	spans := mergeSpans(t.locks.spans)
	laid := t.laid
	t.mu.Unlock()
	if wasAborted || len(spans) == 0 {
		return nil
	}
	var done <-chan struct{}
	if laid {
		done = t.db.abort(c, spans)
	} else {
		done = t.db.release(c, spans)
	}
	awaitRelease(ctx, done)
	return ctx.Err()
}
