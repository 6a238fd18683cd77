package txn

import (
	"context"
	"errors"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// maxRefreshes bounds how often one batch is sent again after a refresh.
const maxRefreshes = 8

// movesTo returns the timestamp that a transaction must move to before what
// failed with e can be tried again.
func movesTo(e *kvpb.Error) (hlc.Timestamp, bool) {
	switch d := e.Detail.(type) {
	case *kvpb.UncertaintyError:
		return d.Existing.Max(d.Local), true
	case *kvpb.WriteTooOldError:
		return d.Actual, true
	case *kvpb.TransactionRetryError:
		if d.Reason != kvpb.RetrySerializable {
			return hlc.Timestamp{}, false
		}
		to := d.At
		if e.Txn != nil {
			to = to.Max(e.Txn.WriteTimestamp)
		}
		return to, !to.IsEmpty()
	default:
		return hlc.Timestamp{}, false
	}
}

// exchange sends a batch as of the transaction's present state, and again after
// a refresh where that helps, at most refreshes times. It returns the response
// and the timestamp at which its reads were made. The error is as the ranges
// gave it, except that a refresh that failed is a TransactionRetryError.
func (t *Txn) exchange(ctx context.Context, b *kvpb.BatchRequest, refreshes int) (*kvpb.BatchResponse, hlc.Timestamp, error) {
	for {
		t.mu.Lock()
		b.Txn = t.txn
		b.Gateway = t.db.config.Node
		b.CanForwardReadTimestamp = t.reads.empty() && t.inFlight == 0 && !t.laid && t.options.AsOf.IsEmpty()
		t.inFlight++
		t.mu.Unlock()
		response, err := t.db.config.Sender.Send(ctx, b)
		t.mu.Lock()
		t.inFlight--
		if err == nil {
			readAt := b.Txn.ReadTimestamp
			if response.Txn != nil {
				t.adoptLocked(response.Txn)
				readAt = readAt.Max(response.Txn.ReadTimestamp)
			}
			t.mu.Unlock()
			return response, readAt, nil
		}
		e, ok := errors.AsType[*kvpb.Error](err)
		if !ok {
			t.mu.Unlock()
			return nil, hlc.Timestamp{}, err
		}
		if e.Txn != nil {
			t.adoptLocked(e.Txn)
		}
		t.mu.Unlock()
		to, movable := movesTo(e)
		if !movable || refreshes == 0 {
			return nil, hlc.Timestamp{}, err
		}
		refreshes--
		if err := t.refreshTo(ctx, to); err != nil {
			return nil, hlc.Timestamp{}, err
		}
	}
}

// adoptLocked takes over what a range says of the transaction: a later write
// timestamp, clocks observed. The read timestamp moves only with what was read.
func (t *Txn) adoptLocked(now *kvpb.Transaction) {
	if now == t.txn || now.ID != t.txn.ID || now.Epoch != t.txn.Epoch {
		return
	}
	later := t.txn.WriteTimestamp.Less(now.WriteTimestamp)
	more := len(now.ObservedTimestamps) > len(t.txn.ObservedTimestamps)
	if !later && !more {
		return
	}
	c := t.changeLocked()
	c.WriteTimestamp = c.WriteTimestamp.Max(now.WriteTimestamp)
	if more {
		c.ObservedTimestamps = now.ObservedTimestamps
	}
}

// record notes what was read at readAt. If the transaction has moved up since,
// by another goroutine's refresh, the spans are refreshed up to there first.
func (t *Txn) record(ctx context.Context, spans []kvpb.Span, readAt hlc.Timestamp) error {
	if !t.options.AsOf.IsEmpty() {
		return nil // it never moves
	}
	for {
		t.mu.Lock()
		present := t.txn.ReadTimestamp
		if present.Less(readAt) && t.reads.empty() {
			c := t.changeLocked()
			c.ReadTimestamp, c.WriteTimestamp = readAt, c.WriteTimestamp.Max(readAt)
			present = readAt
		}
		if present == readAt {
			for _, s := range spans {
				t.reads.add(s)
			}
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		if present.Less(readAt) {
			if err := t.refreshTo(ctx, readAt); err != nil {
				return err
			}
			continue
		}
		if err := t.refreshSpans(ctx, spans, readAt, present); err != nil {
			return err
		}
		readAt = present
	}
}

// refreshTo moves the transaction's reads up, if they would be the same there.
func (t *Txn) refreshTo(ctx context.Context, to hlc.Timestamp) error {
	for {
		t.mu.Lock()
		from, version := t.txn.ReadTimestamp, t.reads.version
		spans := t.reads.spans[:len(t.reads.spans):len(t.reads.spans)]
		if !t.options.AsOf.IsEmpty() {
			t.mu.Unlock()
			return &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable, At: to}
		}
		t.mu.Unlock()
		if to.LessEq(from) {
			return nil
		}
		if err := t.refreshSpans(ctx, spans, from, to); err != nil {
			return err
		}
		t.mu.Lock()
		if t.txn.ReadTimestamp == from && t.reads.version == version {
			c := t.changeLocked()
			c.ReadTimestamp, c.WriteTimestamp = to, c.WriteTimestamp.Max(to)
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock() // another goroutine has read or refreshed meanwhile
	}
}

// refreshSpans checks that nothing in the spans has changed between two
// timestamps.
func (t *Txn) refreshSpans(ctx context.Context, spans []kvpb.Span, from, to hlc.Timestamp) error {
	if len(spans) == 0 {
		return nil
	}
	spans = mergeSpans(spans)
	t.mu.Lock()
	c := *t.txn
	t.mu.Unlock()
	c.ReadTimestamp, c.WriteTimestamp = to, c.WriteTimestamp.Max(to)
	b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: &c, Gateway: t.db.config.Node}, Requests: make([]kvpb.Request, len(spans))}
	for i, s := range spans {
		kind := kvpb.Refresh
		if len(s.EndKey) > 0 {
			kind = kvpb.RefreshRange
		}
		b.Requests[i] = kvpb.Request{Kind: kind, Key: s.Key, EndKey: s.EndKey, RefreshFrom: from}
	}
	response, err := t.db.config.Sender.Send(ctx, b)
	if err != nil {
		return err
	}
	if response.Txn != nil {
		t.mu.Lock()
		t.adoptLocked(response.Txn)
		t.mu.Unlock()
	}
	return nil
}

// fail judges an error that Send or Commit is about to return: after some, the
// transaction can only be restarted or rolled back.
func (t *Txn) fail(err error) error {
	e, ok := errors.AsType[*kvpb.Error](err)
	detail := err
	if ok {
		detail = e.Detail
	}
	switch d := detail.(type) {
	case *kvpb.TransactionAbortedError:
		t.mu.Lock()
		t.failed = err
		t.abandon()
		return err
	case *kvpb.TransactionRetryError:
	case *kvpb.UncertaintyError:
		err = &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable, Key: d.Key, At: d.Existing}
	case *kvpb.WriteTooOldError:
		err = &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable, Key: d.Key, At: d.Actual}
	default:
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
	if retry, ok := errors.AsType[*kvpb.TransactionRetryError](err); ok && t.txn.WriteTimestamp.Less(retry.At) {
		t.changeLocked().WriteTimestamp = retry.At // where Restart begins
	}
	return err
}
