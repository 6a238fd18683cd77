package txn

import (
	"context"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// The resolver releases what a transaction leaves behind: locks on other ranges
// than its record's after a commit, everything after a rollback. It works in
// the background, several transactions at a time in one batch. Its queue is
// bounded: when it is full the one who adds to it does the work himself. What
// can't be released now is found by whoever meets it.
const (
	resolverQueue   = 4096
	resolverWorkers = 4
	resolverBatch   = 200 // spans
	resolverTimeout = 10 * time.Second
)

// release is work for the resolver.
type release struct {
	txn   *kvpb.Transaction // ended; immutable
	spans []kvpb.Span
	// record: the transaction's record must be told of its end first.
	record bool
	done   chan struct{} // closed at the end
}

type resolver struct {
	db     *DB
	queue  chan *release
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func (r *resolver) start(db *DB) {
	r.db = db
	r.queue = make(chan *release, resolverQueue)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for range resolverWorkers {
		r.work.Go(r.run)
	}
}

func (r *resolver) stop() {
	r.cancel()
	r.work.Wait()
	for {
		select {
		case w := <-r.queue:
			close(w.done)
		default:
			return
		}
	}
}

func (r *resolver) add(w *release) {
	w.done = make(chan struct{})
	select {
	case r.queue <- w:
	default:
		if r.ctx.Err() != nil {
			close(w.done)
			return
		}
		r.do([]*release{w})
	}
}

func (r *resolver) run() {
	for {
		var batch []*release
		select {
		case <-r.ctx.Done():
			return
		case w := <-r.queue:
			batch = append(batch, w)
		}
		for spans := len(batch[0].spans); spans < resolverBatch; {
			select {
			case w := <-r.queue:
				batch = append(batch, w)
				spans += len(w.spans)
				continue
			default:
			}
			break
		}
		r.do(batch)
	}
}

// do releases what a few transactions have left.
func (r *resolver) do(batch []*release) {
	ctx, cancel := context.WithTimeout(r.ctx, resolverTimeout)
	defer cancel()
	var requests []kvpb.Request
	for _, w := range batch {
		spans := w.spans
		if w.record {
			spans = r.endRecord(ctx, w)
		}
		args := &kvpb.ResolveArgs{Txn: w.txn.TxnMeta, Status: w.txn.Status, IgnoredSeqNums: w.txn.IgnoredSeqNums}
		for _, s := range spans {
			kind := kvpb.ResolveIntent
			if len(s.EndKey) > 0 {
				kind = kvpb.ResolveIntentRange
			}
			requests = append(requests, kvpb.Request{Kind: kind, Key: s.Key, EndKey: s.EndKey, Resolve: args})
		}
	}
	for len(requests) > 0 {
		n := min(len(requests), resolverBatch)
		if !r.resolve(ctx, requests[:n:n]) {
			break
		}
		requests = requests[n:]
	}
	for _, w := range batch {
		close(w.done)
	}
}

// resolve sends some resolutions, and again for the spans that had too many
// intents for one request.
func (r *resolver) resolve(ctx context.Context, requests []kvpb.Request) bool {
	for len(requests) > 0 {
		response, err := r.db.config.Sender.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Gateway: r.db.config.Node}, Requests: requests})
		if err != nil {
			r.db.config.Logger.Debug("locks of ended transactions could not be released", "error", err)
			return false
		}
		var rest []kvpb.Request
		for i := range requests {
			if resume := response.Responses[i].Resume; resume != nil {
				q := requests[i]
				q.Key, q.EndKey = resume.Key, resume.EndKey
				rest = append(rest, q)
			}
		}
		requests = rest
	}
	return true
}

// endRecord rolls a transaction back at its record and returns the spans that
// its range has not dealt with by itself.
func (r *resolver) endRecord(ctx context.Context, w *release) []kvpb.Span {
	response, err := r.db.config.Sender.Send(ctx, &kvpb.BatchRequest{
		Header: kvpb.Header{Txn: w.txn, Gateway: r.db.config.Node},
		Requests: []kvpb.Request{{Kind: kvpb.EndTxn, Key: w.txn.Key, Sequence: w.txn.Sequence,
			EndTxn: &kvpb.EndTxnArgs{LockSpans: w.spans}}},
	})
	if err != nil {
		// It may have committed (its outcome was unknown), or be unreachable:
		// only its record can say.
		r.db.config.Logger.Debug("a transaction could not be rolled back at its record", "transaction", w.txn.ID.Short(), "error", err)
		return nil
	}
	if t := response.Responses[0].Txn; t != nil {
		return t.LockSpans
	}
	return nil
}

// closed is the channel of work that there was none of.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// release gives up the locks of a transaction that has ended on the spans.
func (db *DB) release(ended *kvpb.Transaction, spans []kvpb.Span) <-chan struct{} {
	if len(spans) == 0 {
		return closed
	}
	w := &release{txn: ended, spans: spans}
	db.resolver.add(w)
	return w.done
}

// abort ends a transaction that may have laid intents, at its record.
func (db *DB) abort(t *kvpb.Transaction, spans []kvpb.Span) <-chan struct{} {
	if len(spans) == 0 || t.Key == nil {
		return closed
	}
	c := *t
	c.Status = kvpb.Aborted
	w := &release{txn: &c, spans: spans, record: true}
	db.resolver.add(w)
	return w.done
}

// abandon gives up what an aborted transaction holds. It is called with t.mu
// held and unlocks it: adding to a full queue means doing the work.
func (t *Txn) abandon() {
	t.status = kvpb.Aborted
	t.db.heartbeats.remove(t)
	aborted, spans := t.txn, mergeSpans(t.locks.spans)
	t.mu.Unlock()
	t.db.abort(aborted, spans)
}
