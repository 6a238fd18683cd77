package kv

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cairndb/cairn/kv/kvpb"
)

// maxParallel bounds how many ranges one batch asks at the same time.
const maxParallel = 16

var errEmptyBatch = &kvpb.Error{Detail: &kvpb.RequestError{Message: "a batch without requests"}, Index: -1}

// Send implements Sender: it divides the batch by ranges and brings each part
// to its range. A batch that ends a transaction and spans ranges is cut: first
// everything else, in parallel, then EndTxn. Batches with a bound on keys or
// bytes visit their ranges one after the other.
func (r *Router) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	if len(b.Requests) == 0 {
		return nil, errEmptyBatch
	}
	pauses := r.newBackoff()
	return r.send(ctx, b, &pauses)
}

// send is Send, as part of a batch whose pauses are counted together.
func (r *Router) send(ctx context.Context, b *kvpb.BatchRequest, pauses *backoff) (*kvpb.BatchResponse, error) {
	for {
		first, err := r.find(ctx, b.Requests[0].Key)
		if err == nil {
			var response *kvpb.BatchResponse
			if within(b.Requests, &first.descriptor) {
				response, err = r.sendToRange(ctx, b, first, pauses)
			} else {
				response, err = r.sendDivided(ctx, b, pauses)
			}
			if err == nil {
				return response, nil
			}
		}
		if unavailable, ok := err.(*kvpb.UnavailableError); ok { // of find: nothing was sent
			err = r.pause(ctx, pauses, unavailable)
			if err == nil {
				continue
			}
		}
		if !errors.Is(err, errDivideAgain) {
			return nil, err
		}
	}
}

func within(requests []kvpb.Request, d *kvpb.RangeDescriptor) bool {
	for i := range requests {
		q := &requests[i]
		if !d.ContainsSpan(kvpb.Span{Key: q.Key, EndKey: spanEnd(q)}) {
			return false
		}
	}
	return true
}

// spanEnd returns the end of a request that works on a span; nil for one that
// works on a key.
func spanEnd(q *kvpb.Request) []byte {
	switch q.Kind {
	case kvpb.Scan, kvpb.ReverseScan, kvpb.DeleteRange, kvpb.ResolveIntentRange, kvpb.RefreshRange, kvpb.GarbageCollect, kvpb.AddTable:
		return q.EndKey
	default:
		return nil
	}
}

// sendDivided sends a batch that spans ranges.
func (r *Router) sendDivided(ctx context.Context, b *kvpb.BatchRequest, pauses *backoff) (*kvpb.BatchResponse, error) {
	last := len(b.Requests) - 1
	if b.Requests[last].Kind == kvpb.EndTxn && last > 0 {
		return r.sendThenEnd(ctx, b, pauses)
	}
	// One moment for all ranges: none may move the reads by itself.
	stamped := *b
	stamped.CanForwardReadTimestamp = false
	if b.Txn == nil && b.Timestamp.IsEmpty() {
		stamped.Timestamp = r.config.Clock.Now()
	}
	b = &stamped
	if b.MaxKeys > 0 || b.TargetBytes > 0 {
		return r.sendBounded(ctx, b, pauses)
	}
	parts, err := r.divide(ctx, b)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		// The ranges have changed between two looks.
		if err := r.pauseAfterMove(ctx, pauses, errDivideAgain); err != nil {
			return nil, err
		}
		return nil, errDivideAgain
	}
	return r.sendParts(ctx, b, parts)
}

// sendThenEnd sends the writes of a transaction on other ranges than its
// record's, then its EndTxn with the writes on that range: those become
// versions at once, without an intent before.
func (r *Router) sendThenEnd(ctx context.Context, b *kvpb.BatchRequest, pauses *backoff) (*kvpb.BatchResponse, error) {
	before, end, err := r.splitEnd(ctx, b)
	if err != nil {
		return nil, err
	}
	early := *b
	early.Requests, early.CanForwardReadTimestamp = before.requests, false
	response, err := r.send(ctx, &early, pauses)
	if err != nil {
		return nil, before.mapIndex(err)
	}
	late := *b
	late.Requests = end.requests
	if response.Txn != nil {
		late.Txn = response.Txn
	}
	ended, err := r.send(ctx, &late, pauses)
	if err != nil {
		err = end.mapIndex(err)
		if e, ok := errors.AsType[*kvpb.Error](err); ok && e.Txn == nil {
			moved := *e
			moved.Txn = response.Txn
			return nil, &moved
		}
		return nil, err
	}
	all := make([]kvpb.Response, len(b.Requests))
	for i, at := range before.indexes {
		all[at] = response.Responses[i]
	}
	for i, at := range end.indexes {
		all[at] = ended.Responses[i]
	}
	response.Txn = mergeTxn(response.Txn, ended.Txn)
	response.Now = response.Now.Max(ended.Now)
	response.Responses = all
	return response, nil
}

// splitEnd divides a batch with EndTxn into what must go before it and what
// goes with it. Neither is empty: the batch spans ranges.
func (r *Router) splitEnd(ctx context.Context, b *kvpb.BatchRequest) (before, end part, err error) {
	last := len(b.Requests) - 1
	if end.known, err = r.find(ctx, b.Requests[last].Key); err != nil {
		return before, end, err
	}
	d := &end.known.descriptor
	together := true
	for i := range b.Requests[:last] {
		// The order of what may overlap must stay.
		together = together && (isPointWrite(&b.Requests[i]) || !touches(&b.Requests[i], d))
	}
	for i := range b.Requests {
		if q := &b.Requests[i]; i == last || together && d.Contains(q.Key) {
			end.add(*q, i)
		} else {
			before.add(*q, i)
		}
	}
	if len(before.requests) == 0 {
		// The ranges have changed between two looks.
		return before, end, errDivideAgain
	}
	return before, end, nil
}

func isPointWrite(q *kvpb.Request) bool {
	switch q.Kind {
	case kvpb.Put, kvpb.ConditionalPut, kvpb.Delete, kvpb.Increment:
		return true
	default:
		return false
	}
}

// touches reports whether a request works on keys of a range.
func touches(q *kvpb.Request, d *kvpb.RangeDescriptor) bool {
	end := spanEnd(q)
	if len(end) == 0 {
		return d.Contains(q.Key)
	}
	return bytes.Compare(q.Key, d.End) < 0 && bytes.Compare(d.Start, end) < 0
}

// sendBounded carries out the requests one by one, each from range to range in
// its direction, until the bound is reached.
func (r *Router) sendBounded(ctx context.Context, b *kvpb.BatchRequest, pauses *backoff) (*kvpb.BatchResponse, error) {
	total := &kvpb.BatchResponse{Timestamp: b.Timestamp, Responses: make([]kvpb.Response, len(b.Requests))}
	maxKeys, targetBytes := b.MaxKeys, b.TargetBytes
	txn := b.Txn
	for i := range b.Requests {
		q := b.Requests[i]
		for {
			exhausted := b.MaxKeys > 0 && maxKeys <= 0 || b.TargetBytes > 0 && targetBytes <= 0
			if exhausted && bounded(&q) {
				rest := kvpb.Span{Key: q.Key, EndKey: q.EndKey}
				total.Responses[i].Resume = &rest
				break
			}
			part, rest, err := r.firstPart(ctx, q)
			if err != nil {
				return nil, err
			}
			one := *b
			one.Txn, one.Requests, one.MaxKeys, one.TargetBytes = txn, []kvpb.Request{part}, maxKeys, targetBytes
			response, err := r.send(ctx, &one, pauses)
			if err != nil {
				return nil, indexed(err, i)
			}
			txn = mergeTxn(txn, response.Txn)
			total.Now = total.Now.Max(response.Now)
			got := &response.Responses[0]
			maxKeys -= int64(len(got.Rows))
			if part.Kind == kvpb.DeleteRange || part.Kind == kvpb.ResolveIntentRange {
				maxKeys -= got.NumKeys - int64(len(got.Rows))
			}
			for _, row := range got.Rows {
				targetBytes -= int64(len(row.Key) + len(row.Value))
			}
			appendResponse(&total.Responses[i], got)
			if got.Resume != nil {
				total.Responses[i].Resume = joinResume(part.Kind, got.Resume, rest)
				maxKeys, targetBytes = exhaust(b, maxKeys, targetBytes)
				break
			}
			if rest == nil {
				break
			}
			q.Key, q.EndKey = rest.Key, rest.EndKey
		}
	}
	total.Txn = txn
	return total, nil
}

// exhaust marks whichever bound there is as reached: a range stopped early, so
// that later requests must not run either.
func exhaust(b *kvpb.BatchRequest, maxKeys, targetBytes int64) (int64, int64) {
	if b.MaxKeys > 0 {
		return 0, targetBytes
	}
	return maxKeys, 0
}

func bounded(q *kvpb.Request) bool { return len(spanEnd(q)) > 0 }

// joinResume returns what is left of a scan: the rest of its range, and the
// ranges behind.
func joinResume(kind kvpb.Kind, left, behind *kvpb.Span) *kvpb.Span {
	joined := *left
	if behind != nil {
		if kind == kvpb.ReverseScan {
			joined.Key = behind.Key
		} else {
			joined.EndKey = behind.EndKey
		}
	}
	return &joined
}

// firstPart cuts off what a request does on the first range that it visits.
func (r *Router) firstPart(ctx context.Context, q kvpb.Request) (part kvpb.Request, rest *kvpb.Span, err error) {
	end := spanEnd(&q)
	if len(end) == 0 {
		return q, nil, nil
	}
	if q.Kind != kvpb.ReverseScan {
		known, err := r.find(ctx, q.Key)
		if err != nil {
			return q, nil, err
		}
		if bytes.Compare(known.descriptor.End, end) >= 0 {
			return q, nil, nil
		}
		part = q
		part.EndKey = known.descriptor.End
		return part, &kvpb.Span{Key: known.descriptor.End, EndKey: end}, nil
	}
	// The last range of the span: the one that holds the key before its end.
	// From the front, since the cache and the directory are ordered by ends.
	from := q.Key
	for {
		known, err := r.find(ctx, from)
		if err != nil {
			return q, nil, err
		}
		if bytes.Compare(known.descriptor.End, end) >= 0 {
			if bytes.Compare(known.descriptor.Start, q.Key) <= 0 {
				return q, nil, nil
			}
			part = q
			part.Key = known.descriptor.Start
			return part, &kvpb.Span{Key: q.Key, EndKey: part.Key}, nil
		}
		from = known.descriptor.End
	}
}

// part is what of a batch lies in one range.
type part struct {
	known    *cachedRange
	requests []kvpb.Request
	indexes  []int // in the divided batch
}

func (p *part) add(q kvpb.Request, index int) {
	p.requests = append(p.requests, q)
	p.indexes = append(p.indexes, index)
}

// mapIndex makes an error's index that of the divided batch.
func (p *part) mapIndex(err error) error {
	if e, ok := errors.AsType[*kvpb.Error](err); ok && e.Index >= 0 && int(e.Index) < len(p.indexes) {
		return indexed(err, p.indexes[e.Index])
	}
	return err
}

// divide cuts the batch's requests at the bounds of ranges. Within a part the
// order of the requests is kept.
func (r *Router) divide(ctx context.Context, b *kvpb.BatchRequest) ([]*part, error) {
	// What an outdated descriptor says of a range is a part of its own: the
	// replica that gets it will correct us.
	type version struct {
		id         kvpb.RangeID
		generation int64
	}
	var parts []*part
	byRange := map[version]*part{}
	for i := range b.Requests {
		q := b.Requests[i]
		end := spanEnd(&q)
		for {
			known, err := r.find(ctx, q.Key)
			if err != nil {
				return nil, err
			}
			v := version{known.descriptor.Range, known.descriptor.Generation}
			p := byRange[v]
			if p == nil {
				p = &part{known: known}
				byRange[v] = p
				parts = append(parts, p)
			}
			cut := q
			over := len(end) == 0 || bytes.Compare(end, known.descriptor.End) <= 0
			if !over {
				cut.EndKey = known.descriptor.End
			}
			p.add(cut, i)
			if over {
				break
			}
			q.Key = known.descriptor.End
		}
	}
	return parts, nil
}

// sendParts sends the parts in parallel and puts the responses together. It
// waits for all of them, also after an error: what is under way takes effect.
func (r *Router) sendParts(ctx context.Context, b *kvpb.BatchRequest, parts []*part) (*kvpb.BatchResponse, error) {
	responses := make([]*kvpb.BatchResponse, len(parts))
	failures := make([]error, len(parts))
	sendOne := func(i int) {
		p := parts[i]
		one := *b
		one.Requests = p.requests
		pauses := r.newBackoff()
		responses[i], failures[i] = r.send(ctx, &one, &pauses)
		failures[i] = p.mapIndex(failures[i])
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for i := 1; i < len(parts); i++ {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			sendOne(i)
		})
	}
	sendOne(0)
	running.Wait()
	if err := worst(failures); err != nil {
		return nil, err
	}
	total := &kvpb.BatchResponse{Txn: b.Txn, Timestamp: b.Timestamp, Responses: make([]kvpb.Response, len(b.Requests))}
	// A descending scan has its rows from the last range first.
	order := slices.Clone(parts)
	byPart := map[*part]*kvpb.BatchResponse{}
	for i, p := range parts {
		byPart[p] = responses[i]
		total.Txn = mergeTxn(total.Txn, responses[i].Txn)
		total.Now = total.Now.Max(responses[i].Now)
	}
	slices.SortStableFunc(order, func(a, b *part) int {
		return bytes.Compare(a.known.descriptor.Start, b.known.descriptor.Start)
	})
	for _, p := range order {
		for i, index := range p.indexes {
			if b.Requests[index].Kind != kvpb.ReverseScan {
				appendResponse(&total.Responses[index], &byPart[p].Responses[i])
			}
		}
	}
	for i := range total.Responses {
		// Unbounded batches stop early for a request's own bound only.
		if resume := total.Responses[i].Resume; resume != nil {
			total.Responses[i].Resume = &kvpb.Span{Key: resume.Key, EndKey: b.Requests[i].EndKey}
		}
	}
	for _, p := range slices.Backward(order) {
		for i, index := range p.indexes {
			if b.Requests[index].Kind == kvpb.ReverseScan {
				appendResponse(&total.Responses[index], &byPart[p].Responses[i])
			}
		}
	}
	return total, nil
}

// appendResponse adds what the next range answered to a request.
func appendResponse(to, next *kvpb.Response) {
	rows, numKeys, found, resume := to.Rows, to.NumKeys, to.Found, to.Resume
	*to = *next
	if resume != nil {
		// An earlier range stopped early: all that follows is to be visited again.
		to.Resume = resume
	}
	if len(rows) > 0 {
		to.Rows = append(rows, next.Rows...)
	}
	to.NumKeys += numKeys
	to.Found = to.Found || found
}

// worst picks the error that says most about the batch as a whole.
func worst(failures []error) error {
	var chosen error
	rank := func(err error) int {
		switch {
		case err == nil:
			return 0
		case errors.As(err, new(*kvpb.AmbiguousResultError)):
			return 5
		case errors.As(err, new(*kvpb.TransactionAbortedError)):
			return 4
		case errors.As(err, new(*kvpb.TransactionRetryError)), errors.As(err, new(*kvpb.UncertaintyError)), errors.As(err, new(*kvpb.WriteTooOldError)):
			return 2
		case errors.As(err, new(*kvpb.Error)):
			return 3
		default:
			return 1
		}
	}
	for _, err := range failures {
		if rank(err) > rank(chosen) {
			chosen = err
		}
	}
	return chosen
}

func indexed(err error, i int) error {
	if e, ok := errors.AsType[*kvpb.Error](err); ok && e.Index >= 0 {
		moved := *e
		moved.Index = int32(i)
		return &moved
	}
	return err
}

// mergeTxn returns the transaction as two ranges left it: the later
// timestamps, the sum of observations.
func mergeTxn(a, b *kvpb.Transaction) *kvpb.Transaction {
	if a == nil || b == nil || a == b {
		if b != nil {
			return b
		}
		return a
	}
	merged := b.Clone()
	merged.WriteTimestamp = a.WriteTimestamp.Max(b.WriteTimestamp)
	merged.ReadTimestamp = a.ReadTimestamp.Max(b.ReadTimestamp)
	merged.Status = max(a.Status, b.Status)
	for _, o := range a.ObservedTimestamps {
		observe(merged, o)
	}
	return merged
}

// observe notes a node's clock in a transaction; the earliest reading counts.
func observe(t *kvpb.Transaction, o kvpb.ObservedTimestamp) {
	i, found := slices.BinarySearchFunc(t.ObservedTimestamps, o.Node, func(have kvpb.ObservedTimestamp, node kvpb.NodeID) int {
		return int(have.Node) - int(node)
	})
	if !found {
		t.ObservedTimestamps = slices.Insert(t.ObservedTimestamps, i, o)
	} else if o.Timestamp.Less(t.ObservedTimestamps[i].Timestamp) {
		t.ObservedTimestamps[i].Timestamp = o.Timestamp
	}
}
