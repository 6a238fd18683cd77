package concurrency

import (
	"context"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// The transaction wait queue: pushes that could not succeed wait here, on the
// range of the pushee's record, until the pushee ends. Together the queues of
// all ranges are the graph of who waits for whom.
//
// A cycle is searched for by those in it: a waiting pusher asks the range of
// its own record who waits for it, then asks for those who wait for them, and
// so on, until it meets its pushee. Of the transactions on that path the
// youngest must give way. If that is the pusher, it aborts itself, so that its
// client learns of a deadlock; if it is the pushee, and it has not done so after
// a while, the push is made again with force; otherwise one of the others finds
// the same cycle. A cycle closes with a push, and whoever makes it looks at
// once; the others look often at first, later at longer intervals.

// Times of the search for cycles. pushAgain bounds how long a push waits
// before it looks at the pushee's record again, which may have expired.
const (
	firstSearch    = 2 * time.Millisecond
	searchInterval = 50 * time.Millisecond
	oftenSearches  = 10 // at searchInterval
	maxInterval    = 400 * time.Millisecond
	forceAfter     = 120 * time.Millisecond
	pushAgain      = time.Second
	maxSearch      = 200 // transactions asked in one search
)

// waitingPush is a push that waits.
type waitingPush struct {
	pusher kvpb.TxnMeta
	push   *kvpb.PushArgs
	done   chan struct{} // closed when one of these is set
	pushee *kvpb.Transaction
	err    error
}

// pushQueue is the transaction wait queue; the Manager's mutex guards it.
type pushQueue struct {
	byPushee map[kvpb.TxnID][]*waitingPush
}

func (q *pushQueue) init() { q.byPushee = map[kvpb.TxnID][]*waitingPush{} }

func (q *pushQueue) add(p *waitingPush) {
	id := p.push.Pushee.ID
	q.byPushee[id] = append(q.byPushee[id], p)
}

func (q *pushQueue) remove(p *waitingPush) {
	id := p.push.Pushee.ID
	waiting := q.byPushee[id]
	for i, other := range waiting {
		if other == p {
			waiting = append(waiting[:i:i], waiting[i+1:]...)
			break
		}
	}
	if len(waiting) == 0 {
		delete(q.byPushee, id)
	} else {
		q.byPushee[id] = waiting
	}
}

func (p *waitingPush) finish(pushee *kvpb.Transaction, err error) {
	select {
	case <-p.done:
	default:
		p.pushee, p.err = pushee, err
		close(p.done)
	}
}

// satisfiedBy reports whether the pushee as it stands gives the pusher what it
// wants.
func (p *waitingPush) satisfiedBy(t *kvpb.Transaction) bool {
	if t.Status == kvpb.Committed || t.Status == kvpb.Aborted {
		return true
	}
	return p.push.Type == kvpb.PushTimestamp && p.push.PushTo.Less(t.WriteTimestamp)
}

func (q *pushQueue) updated(t *kvpb.Transaction) {
	for _, p := range q.byPushee[t.ID] {
		if p.satisfiedBy(t) {
			p.finish(t, nil)
		}
	}
	if t.Status != kvpb.Aborted {
		return
	}
	for _, waiting := range q.byPushee {
		for _, p := range waiting {
			if p.pusher.ID == t.ID {
				p.finish(nil, gaveWay(p))
			}
		}
	}
}

// clear ends the waits for pushees anchored at or after from, with err, or, if
// that is nil, for another push.
func (q *pushQueue) clear(from []byte, err error) {
	for _, waiting := range q.byPushee {
		for _, p := range waiting {
			if string(p.push.Pushee.Key) >= string(from) {
				p.finish(nil, err)
			}
		}
	}
}

// gaveWay is the error of a pusher that was aborted while it waited. Its
// coordinator is alive, so that it was chosen to break a cycle.
func gaveWay(p *waitingPush) error {
	return &kvpb.TransactionAbortedError{Reason: kvpb.AbortDeadlock, Blocker: p.push.Pushee}
}

// QueryTxn is how a waiting push learns of transactions elsewhere: it returns
// the record of the transaction (pending if there is none yet) and who waits
// for it, as the QueryTxn request does.
type QueryTxn = func(context.Context, kvpb.TxnMeta) (*kvpb.Transaction, []kvpb.TxnMeta, error)

// WaitForPush waits with a push that failed because the pushee is alive. It
// returns the pushee when it has ended or was moved far enough; nil when the
// push is to be evaluated again, which sets push.Force if the pushee must give
// way to break a deadlock; *kvpb.TransactionAbortedError when it is the pusher
// that must give way or was aborted; *kvpb.NotLeaseholderError after
// LeaseLost; or the context's error.
func (m *Manager) WaitForPush(ctx context.Context, push *kvpb.PushArgs, query QueryTxn) (*kvpb.Transaction, error) {
	p := &waitingPush{pusher: push.Pusher, push: push, done: make(chan struct{})}
	m.mu.Lock()
	if t := m.table.finished.get(push.Pushee.ID); t != nil {
		m.mu.Unlock()
		return t, nil
	}
	m.pushes.add(p)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.pushes.remove(p)
		m.mu.Unlock()
	}()
	again := time.NewTimer(pushAgain)
	defer again.Stop()
	search := time.NewTimer(firstSearch)
	var found time.Time // a cycle in which the pushee should give way
	defer search.Stop()
	if push.Pusher.ID.IsZero() || len(push.Pusher.Key) == 0 {
		search.Stop() // nobody can be waiting for it
	}
	for searches := 1; ; {
		select {
		case <-p.done:
			return p.pushee, p.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-again.C:
			return nil, nil
		case <-search.C:
			verdict, err := findCycle(ctx, push.Pusher, push.Pushee.ID, query)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil:
				m.logger.Debug("a search for deadlocks could not be finished", "error", err)
			case verdict == pusherAborted || verdict == pusherGivesWay:
				return nil, gaveWay(p)
			case verdict == pusheeGivesWay && found.IsZero():
				found = time.Now()
			case verdict == pusheeGivesWay && time.Since(found) >= forceAfter:
				push.Force, push.Type = true, kvpb.PushAbort
				return nil, nil
			}
			interval := searchInterval
			if searches++; searches > oftenSearches && verdict == noCycle {
				interval = maxInterval
			}
			search.Reset(interval)
		}
	}
}

// WaitersOf returns the transactions whose pushes of a transaction wait here.
func (m *Manager) WaitersOf(id kvpb.TxnID) []kvpb.TxnMeta {
	m.mu.Lock()
	defer m.mu.Unlock()
	var waiters []kvpb.TxnMeta
	for _, p := range m.pushes.byPushee[id] {
		if !p.pusher.ID.IsZero() {
			waiters = append(waiters, p.pusher)
		}
	}
	return waiters
}

// verdict is what a search for a cycle found.
type verdict int

const (
	noCycle verdict = iota
	cycleElsewhereBroken
	pusherAborted
	pusherGivesWay
	pusheeGivesWay
)

// findCycle walks from the pusher along the edges "is waited for by", breadth
// first, and judges the first cycle that it finds.
func findCycle(ctx context.Context, pusher kvpb.TxnMeta, pushee kvpb.TxnID, query QueryTxn) (verdict, error) {
	type step struct {
		txn  kvpb.TxnMeta
		from int
	}
	path := []step{{pusher, -1}}
	seen := map[kvpb.TxnID]bool{pusher.ID: true}
	for i := 0; i < len(path) && i < maxSearch; i++ {
		if len(path[i].txn.Key) == 0 {
			continue
		}
		record, waiters, err := query(ctx, path[i].txn)
		if err != nil {
			return noCycle, err
		}
		if record != nil && record.Status != kvpb.Pending && record.Status != kvpb.Staging {
			if i == 0 && record.Status == kvpb.Aborted {
				return pusherAborted, nil
			}
			continue // it no longer holds anything up
		}
		for _, w := range waiters {
			if seen[w.ID] {
				continue
			}
			seen[w.ID] = true
			path = append(path, step{w, i})
			if w.ID != pushee {
				continue
			}
			youngest := len(path) - 1
			for at := len(path) - 1; at >= 0; at = path[at].from {
				if younger(&path[at].txn, &path[youngest].txn) {
					youngest = at
				}
			}
			switch path[youngest].txn.ID {
			case pusher.ID:
				return pusherGivesWay, nil
			case pushee:
				return pusheeGivesWay, nil
			default:
				return cycleElsewhereBroken, nil
			}
		}
	}
	return noCycle, nil
}

// younger reports whether a began after b: less work is lost with it.
func younger(a, b *kvpb.TxnMeta) bool {
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	if c := a.MinTimestamp.Compare(b.MinTimestamp); c != 0 {
		return c > 0
	}
	return a.ID.String() > b.ID.String()
}
