package txn

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Batch is what a transaction is asked to do in one go.
type Batch struct {
	// Requests are of the kinds Get, Scan, ReverseScan, Put, ConditionalPut,
	// Delete, DeleteRange and Increment. Send fills in their Sequence. Keys and
	// values are kept until the transaction ends and must not be changed. Reads
	// don't see the batch's own writes; conditional writes and increments do.
	// Delete's response has no Found: it does not look.
	Requests    []kvpb.Request
	Wait        kvpb.WaitPolicy
	LockTimeout time.Duration
	// MaxKeys and TargetBytes bound what scans return, as in kvpb.Header.
	MaxKeys, TargetBytes int64
	// Commit commits with the batch: in one round trip where it only writes.
	Commit bool
}

// Send carries out a batch and returns the responses, one a request. Errors:
// *kvpb.Error with the cause, whose Index tells the request; nothing of the
// batch has been written then. After a *kvpb.TransactionRetryError or
// *kvpb.TransactionAbortedError (see IsRetryable) the transaction can only be
// restarted or rolled back; after others it can go on. With Commit, the errors
// of Commit.
func (t *Txn) Send(ctx context.Context, b *Batch) ([]kvpb.Response, error) {
	if len(b.Requests) == 0 {
		if b.Commit {
			return nil, t.Commit(ctx)
		}
		return nil, nil
	}
	kinds := classify(b.Requests)
	if kinds.other {
		return nil, &kvpb.Error{Detail: &kvpb.RequestError{Message: "a request that a transaction can't carry"}, Index: -1}
	}
	if t.options.ReadOnly && kinds.writes() {
		return nil, &kvpb.Error{Detail: errReadOnly, Index: -1}
	}
	if b.Commit {
		if kinds.reads && !kinds.locks && !kinds.writes() {
			if responses, done, err := t.readOnce(ctx, b); done {
				return responses, err
			}
		}
		if kinds.reads || kinds.ranges {
			before := *b
			before.Commit = false
			responses, err := t.Send(ctx, &before)
			if err != nil {
				return nil, err
			}
			return responses, t.Commit(ctx)
		}
		return t.commitWith(ctx, b)
	}
	if kinds.ranges && len(b.Requests) > 1 {
		return t.sendEach(ctx, b)
	}
	if kinds.ranges {
		return t.deleteRange(ctx, b)
	}
	return t.sendBuffered(ctx, b)
}

// readOnce carries out a transaction that is one batch of plain reads. done is
// false if there is more to it.
func (t *Txn) readOnce(ctx context.Context, b *Batch) (responses []kvpb.Response, done bool, err error) {
	t.mu.Lock()
	if t.usableLocked() != nil || !t.reads.empty() || !t.buffer.empty() || !t.locks.empty() || !t.deadline.IsEmpty() {
		t.mu.Unlock()
		return nil, false, nil
	}
	for i := range b.Requests {
		b.Requests[i].Sequence = t.sequence
	}
	t.mu.Unlock()
	response, readAt, err := t.exchange(ctx, &kvpb.BatchRequest{Header: b.header(), Requests: b.Requests}, maxRefreshes)
	if err != nil {
		return nil, true, t.fail(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.status, t.commit = true, kvpb.Committed, readAt
	return response.Responses, true, nil
}

// sendEach carries out a batch with a DeleteRange in it request by request, so
// that each finds what those before it have done.
func (t *Txn) sendEach(ctx context.Context, b *Batch) ([]kvpb.Response, error) {
	t.mu.Lock()
	start := t.sequence
	t.mu.Unlock()
	var all []kvpb.Response
	for i := range b.Requests {
		one := *b
		one.Requests = b.Requests[i : i+1]
		responses, err := t.Send(ctx, &one)
		if err != nil {
			t.mu.Lock()
			t.undoLocked(start)
			t.mu.Unlock()
			return nil, withIndex(err, i)
		}
		all = append(all, responses...)
	}
	return all, nil
}

func withIndex(err error, i int) error {
	if e, ok := err.(*kvpb.Error); ok {
		moved := *e
		moved.Index = int32(i)
		return &moved
	}
	return err
}

// requestKinds says what sorts of requests are in a batch.
type requestKinds struct {
	reads, locks, puts, conditions, ranges, other bool
}

func (k requestKinds) writes() bool { return k.puts || k.conditions || k.ranges }

func classify(requests []kvpb.Request) requestKinds {
	var k requestKinds
	for i := range requests {
		switch requests[i].Kind {
		case kvpb.Get, kvpb.Scan, kvpb.ReverseScan:
			k.reads = true
			k.locks = k.locks || requests[i].Lock != kvpb.LockNone
		case kvpb.Put, kvpb.Delete:
			k.puts = true
		case kvpb.ConditionalPut, kvpb.Increment:
			k.conditions = true
		case kvpb.DeleteRange:
			k.ranges = true
		default:
			k.other = true
		}
	}
	return k
}

// header is what a batch's requests to the ranges have in common.
func (b *Batch) header() kvpb.Header {
	return kvpb.Header{Wait: b.Wait, LockTimeout: b.LockTimeout, MaxKeys: b.MaxKeys, TargetBytes: b.TargetBytes}
}

// plan is which requests of a batch go to the ranges.
type plan struct {
	requests []kvpb.Request
	source   []int // for each of the batch's: its place in requests, -1: none; nil: all as they are
	visible  int32
}

// planLocked decides what must be sent. Conditional writes and increments
// become locking reads, checked in apply.
func (t *Txn) planLocked(b *Batch, kinds requestKinds) plan {
	p := plan{visible: t.visibleLocked()}
	if !kinds.writes() && t.buffer.empty() {
		for i := range b.Requests {
			b.Requests[i].Sequence = p.visible
		}
		p.requests = b.Requests
		return p
	}
	p.source = make([]int, len(b.Requests))
	for i := range b.Requests {
		q := &b.Requests[i]
		p.source[i] = -1
		send := kvpb.Request{Kind: kvpb.Get, Key: q.Key, Lock: kvpb.LockUpdate, Sequence: t.sequence}
		switch q.Kind {
		case kvpb.Put, kvpb.Delete:
			continue
		case kvpb.ConditionalPut, kvpb.Increment:
			if t.buffer.get(q.Key) != nil {
				continue
			}
		case kvpb.Get:
			if q.Lock == kvpb.LockNone {
				if k := t.buffer.get(q.Key); k != nil {
					if _, visible := k.at(p.visible); visible {
						continue
					}
				}
			}
			q.Sequence = p.visible
			send = *q
		default:
			q.Sequence = p.visible
			send = *q
		}
		p.source[i] = len(p.requests)
		p.requests = append(p.requests, send)
	}
	return p
}

// anchorLocked gives the transaction a place for its record, and has the DB
// tell that it is alive, before the first lock can exist.
func (t *Txn) anchorLocked(key []byte) {
	if t.txn.Key == nil {
		t.changeLocked().Key = key
	}
	t.db.heartbeats.add(t)
}

// lockBeforeLocked notes the locks that requests are going to take.
func (t *Txn) lockBeforeLocked(requests []kvpb.Request) {
	for i := range requests {
		q := &requests[i]
		if q.Lock == kvpb.LockNone && q.Kind != kvpb.DeleteRange {
			continue
		}
		t.anchorLocked(q.Key)
		switch q.Kind {
		case kvpb.Get:
			if !t.locks.endsWith(q.Key) {
				t.locks.add(kvpb.Span{Key: q.Key})
			}
		case kvpb.DeleteRange:
			t.locks.add(kvpb.Span{Key: q.Key, EndKey: q.EndKey})
		}
	}
}

// maxLockedKeys is up to how many keys a locking scan's locks are listed one by
// one.
const maxLockedKeys = 32

// lockAfterLocked notes the locks that scans have taken, or, where they failed,
// may have taken.
func (t *Txn) lockAfterLocked(requests []kvpb.Request, responses []kvpb.Response) {
	for i := range requests {
		q := &requests[i]
		if q.Lock == kvpb.LockNone || q.Kind != kvpb.Scan && q.Kind != kvpb.ReverseScan {
			continue
		}
		if responses == nil || len(responses[i].Rows) > maxLockedKeys {
			t.locks.add(kvpb.Span{Key: q.Key, EndKey: q.EndKey})
			continue
		}
		for _, row := range responses[i].Rows {
			t.locks.add(kvpb.Span{Key: row.Key})
		}
	}
}

// sendBuffered carries out reads and point writes.
func (t *Txn) sendBuffered(ctx context.Context, b *Batch) ([]kvpb.Response, error) {
	t.mu.Lock()
	if err := t.usableLocked(); err != nil {
		t.mu.Unlock()
		return nil, err
	}
	kinds := classify(b.Requests)
	p := t.planLocked(b, kinds)
	locking := kinds.locks || kinds.conditions
	if locking {
		t.lockBeforeLocked(p.requests)
	}
	t.mu.Unlock()
	var got []kvpb.Response
	if len(p.requests) > 0 {
		request := &kvpb.BatchRequest{Header: b.header(), Requests: p.requests}
		response, readAt, err := t.exchange(ctx, request, maxRefreshes)
		if locking {
			t.mu.Lock()
			if err != nil {
				t.lockAfterLocked(p.requests, nil)
			} else {
				t.lockAfterLocked(p.requests, response.Responses)
			}
			t.mu.Unlock()
		}
		if err != nil {
			return nil, t.fail(p.mapIndex(err))
		}
		got = response.Responses
		if err := t.record(ctx, readSpans(p.requests, got), readAt); err != nil {
			return nil, t.fail(err)
		}
	}
	if p.source == nil {
		return got, nil
	}
	t.mu.Lock()
	responses, err := t.applyLocked(b, &p, got)
	full := t.buffer.sizeBytes > t.db.config.BufferBytes
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if full {
		return responses, t.flush(ctx)
	}
	return responses, nil
}

// mapIndex makes an error's index that of the batch's request.
func (p *plan) mapIndex(err error) error {
	e, ok := err.(*kvpb.Error)
	if !ok || p.source == nil || e.Index < 0 {
		return err
	}
	for i, at := range p.source {
		if at == int(e.Index) {
			return withIndex(err, i)
		}
	}
	return err
}

// readSpans returns what the requests have read, as far as they came.
func readSpans(requests []kvpb.Request, responses []kvpb.Response) []kvpb.Span {
	spans := make([]kvpb.Span, 0, len(requests))
	for i := range requests {
		q, a := &requests[i], &responses[i]
		s := kvpb.Span{Key: q.Key, EndKey: q.EndKey}
		if q.Kind == kvpb.Get {
			s.EndKey = nil
			spans = append(spans, s)
			continue
		}
		if s = scanned(q, a); bytes.Compare(s.Key, s.EndKey) < 0 {
			spans = append(spans, s)
		}
	}
	return spans
}

// scanned returns the part of a scan's span that its response is about; it is
// empty if the scan did not run.
func scanned(q *kvpb.Request, a *kvpb.Response) kvpb.Span {
	s := kvpb.Span{Key: q.Key, EndKey: q.EndKey}
	if a.Resume != nil {
		if q.Kind == kvpb.ReverseScan {
			s.Key = a.Resume.EndKey
		} else {
			s.EndKey = a.Resume.Key
		}
	}
	return s
}

// applyLocked makes the batch's responses of what the ranges answered and the
// buffer, and buffers its writes: all or, with an error, none.
func (t *Txn) applyLocked(b *Batch, p *plan, got []kvpb.Response) ([]kvpb.Response, error) {
	start := t.sequence
	responses := make([]kvpb.Response, len(b.Requests))
	left := b.MaxKeys
	for i := range b.Requests {
		q, a := &b.Requests[i], &responses[i]
		var from *kvpb.Response
		if p.source[i] >= 0 {
			from = &got[p.source[i]]
		}
		var err error
		switch q.Kind {
		case kvpb.Get:
			t.readLocked(q, a, from, p.visible)
		case kvpb.Scan, kvpb.ReverseScan:
			*a = *from
			left = t.overlayLocked(q, a, p.visible, b.MaxKeys > 0, left)
		default:
			err = t.writeLocked(q, a, from)
		}
		if err != nil {
			t.undoLocked(start)
			return nil, &kvpb.Error{Detail: err, Index: int32(i), Txn: t.txn}
		}
	}
	return responses, nil
}

func (t *Txn) readLocked(q *kvpb.Request, a, from *kvpb.Response, visible int32) {
	if from != nil {
		*a = *from
	}
	if k := t.buffer.get(q.Key); k != nil {
		if v, ok := k.at(visible); ok {
			a.Value, a.Found, a.Timestamp = v.value, v.value != nil, hlc.Timestamp{}
		}
	}
}

// overlayLocked puts the buffer over a scan's rows, within the bound on keys.
func (t *Txn) overlayLocked(q *kvpb.Request, a *kvpb.Response, visible int32, bounded bool, left int64) int64 {
	reverse := q.Kind == kvpb.ReverseScan
	if bounded && left <= 0 {
		a.Rows, a.NumKeys, a.Resume = nil, 0, &kvpb.Span{Key: q.Key, EndKey: q.EndKey}
		return 0
	}
	a.Rows = t.buffer.merge(a.Rows, scanned(q, a), reverse, visible)
	if bounded && int64(len(a.Rows)) > left {
		first := a.Rows[left].Key // that does not fit
		a.Resume = &kvpb.Span{Key: q.Key, EndKey: q.EndKey}
		if reverse {
			a.Resume.EndKey = append(bytes.Clone(first), 0)
		} else {
			a.Resume.Key = first
		}
		a.Rows = a.Rows[:left]
	}
	a.NumKeys = int64(len(a.Rows))
	return left - a.NumKeys
}

// writeLocked buffers one write. from is the locking read that a condition or
// increment became, nil if the buffer knows the key.
func (t *Txn) writeLocked(q *kvpb.Request, a, from *kvpb.Response) error {
	value := q.Value
	switch q.Kind {
	case kvpb.Put:
		if value == nil {
			value = []byte{}
		}
	case kvpb.Delete:
		value = nil
	default:
		var present []byte
		if k := t.buffer.get(q.Key); k != nil {
			present = k.versions[len(k.versions)-1].value
		} else if from != nil {
			present = from.Value
		}
		if q.Kind == kvpb.ConditionalPut {
			if (present == nil) != (q.Expected == nil) || !bytes.Equal(present, q.Expected) {
				return &kvpb.ConditionFailedError{Key: q.Key, Actual: present}
			}
			break
		}
		sum, err := increment(q, present)
		if err != nil {
			return err
		}
		a.Int = sum
		value = binary.BigEndian.AppendUint64(nil, uint64(sum))
	}
	t.sequence++
	q.Sequence = t.sequence
	t.buffer.put(q.Key, value, t.sequence, max(t.savepoint, t.readSequence))
	return nil
}

func increment(q *kvpb.Request, present []byte) (int64, error) {
	var now int64
	switch {
	case present == nil:
	case len(present) != 8:
		return 0, &kvpb.RequestError{Message: "the value is not a counter"}
	default:
		now = int64(binary.BigEndian.Uint64(present))
	}
	if q.Delta > 0 && now > math.MaxInt64-q.Delta || q.Delta < 0 && now < math.MinInt64-q.Delta {
		return 0, &kvpb.RequestError{Message: "counter overflow"}
	}
	return now + q.Delta, nil
}

// deleteRange carries out one DeleteRange, on the ranges: the keys need not
// come here. What the buffer has in its span is laid down first.
func (t *Txn) deleteRange(ctx context.Context, b *Batch) ([]kvpb.Response, error) {
	q := &b.Requests[0]
	t.mu.Lock()
	err := t.usableLocked()
	overlap := t.buffer.touches(kvpb.Span{Key: q.Key, EndKey: q.EndKey})
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if overlap {
		if err := t.flush(ctx); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	t.sequence++
	q.Sequence = t.sequence
	t.lockBeforeLocked(b.Requests)
	t.laid, t.laidUpTo = true, t.sequence
	t.changeLocked().Sequence = t.sequence
	t.mu.Unlock()
	request := &kvpb.BatchRequest{Header: b.header(), Requests: b.Requests}
	response, readAt, err := t.exchange(ctx, request, maxRefreshes)
	if err != nil {
		t.mu.Lock()
		t.undoLocked(q.Sequence - 1)
		t.mu.Unlock()
		return nil, t.fail(unambiguous(err))
	}
	if err := t.record(ctx, readSpans(b.Requests, response.Responses), readAt); err != nil {
		return nil, t.fail(err)
	}
	return response.Responses, nil
}

// flush lays the buffer down as intents. Each key's versions go with it as far
// as a savepoint or a read may still want them.
func (t *Txn) flush(ctx context.Context) error {
	t.mu.Lock()
	requests := t.buffer.appendRequests(nil, true)
	if len(requests) == 0 {
		t.mu.Unlock()
		return nil
	}
	t.layLocked(requests)
	t.mu.Unlock()
	if _, _, err := t.exchange(ctx, &kvpb.BatchRequest{Requests: requests}, maxRefreshes); err != nil {
		return t.fail(unambiguous(err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buffer.reset()
	return nil
}

// layLocked notes that writes are about to become intents.
func (t *Txn) layLocked(requests []kvpb.Request) {
	if len(requests) == 0 {
		return
	}
	if t.txn.Key == nil || t.txn.Sequence != t.sequence {
		t.changeLocked().Sequence = t.sequence
		if t.txn.Key == nil {
			t.txn.Key = requests[0].Key // a copy of our own
		}
	}
	t.db.heartbeats.add(t)
	for i := range requests {
		if !t.locks.endsWith(requests[i].Key) {
			t.locks.add(kvpb.Span{Key: requests[i].Key})
		}
	}
	t.laid, t.laidUpTo = true, t.sequence
}

// unambiguous makes an unknown outcome of writes before the commit what it is
// to the caller: a failure. They only count if the transaction commits.
func unambiguous(err error) error {
	if e, ok := err.(*kvpb.Error); ok {
		if a, ok := e.Detail.(*kvpb.AmbiguousResultError); ok {
			clear := *e
			clear.Detail = &kvpb.UnavailableError{Cause: a.Cause}
			return &clear
		}
	}
	return err
}
