package concurrency

import (
	"context"
	"errors"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// waitLimits is how long a request has left to wait for locks, all together.
type waitLimits struct {
	timeout *time.Timer
}

func (l *waitLimits) start(g *Guard) <-chan time.Time {
	if g.request.LockTimeout <= 0 {
		return nil
	}
	if l.timeout == nil {
		l.timeout = time.NewTimer(g.request.LockTimeout)
	}
	return l.timeout.C
}

func (l *waitLimits) stop() {
	if l.timeout != nil {
		l.timeout.Stop()
	}
}

// waitState is what a waiting request sees of its wait.
type waitState struct {
	over     bool
	key      []byte
	strength kvpb.LockStrength
	blocker  blocker
}

// look returns where the request's wait stands.
func (m *Manager) look(g *Guard) (waitState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.failed != nil {
		err := g.failed
		g.failed = nil
		return waitState{}, err
	}
	if g.blocked == nil {
		return waitState{over: true}, nil
	}
	b, blocked := g.blocked.blocks(g, g.blockedStrength)
	if !blocked {
		m.table.stopWaiting(g)
		return waitState{over: true}, nil
	}
	return waitState{key: g.blocked.key, strength: g.blockedStrength, blocker: b}, nil
}

// waitForLock waits until the lock that blocks the request no longer does.
func (m *Manager) waitForLock(ctx context.Context, g *Guard, limits *waitLimits) error {
	m.mu.Lock()
	if g.signal == nil {
		g.signal = make(chan struct{}, 1)
	}
	m.mu.Unlock()
	state, err := m.look(g)
	if err != nil || state.over {
		return err
	}
	timeout := limits.start(g)
	delay := time.NewTimer(m.pushDelay(g, state))
	defer delay.Stop()
	pushed := 0 // how often we have pushed this blocker in vain
	for {
		select {
		case <-g.signal:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return &kvpb.LockNotAvailableError{Key: state.key, Holder: state.blocker.txn, Timeout: g.request.LockTimeout}
		case <-delay.C:
			next, err := m.look(g)
			if err != nil || next.over {
				return err
			}
			if next.blocker.txn.ID != state.blocker.txn.ID {
				// A new one: he gets his time too.
				state, pushed = next, 0
				delay.Reset(m.pushDelay(g, state))
				continue
			}
			state = next
			if err := m.push(ctx, g, state, timeout); err != nil {
				return err
			}
			pushed++
			delay.Reset(PushDelay * time.Duration(min(pushed, 10)))
		}
		next, err := m.look(g)
		if err != nil || next.over {
			return err
		}
		if next.blocker.txn.ID != state.blocker.txn.ID {
			state, pushed = next, 0
			delay.Reset(m.pushDelay(g, state))
		}
	}
}

// pushDelay is how long the request waits before it pushes.
func (m *Manager) pushDelay(g *Guard, s waitState) time.Duration {
	if s.strength != kvpb.LockNone && g.request.Wait == kvpb.WaitError {
		return 0
	}
	if g.request.Txn != nil && g.request.Txn.Priority > s.blocker.txn.Priority {
		return 0
	}
	return PushDelay
}

// push pushes the blocker and, if that succeeds, resolves its lock. It returns
// nil too when the wait's circumstances have changed meanwhile.
func (m *Manager) push(ctx context.Context, g *Guard, s waitState, timeout <-chan time.Time) error {
	kind, timestamp := kvpb.PushAbort, hlc.Timestamp{}
	if s.strength == kvpb.LockNone {
		kind, timestamp = kvpb.PushTimestamp, g.request.Timestamp
	} else if g.request.Wait == kvpb.WaitError {
		kind = kvpb.PushTouch
		if !s.blocker.held {
			return &kvpb.LockNotAvailableError{Key: s.key, Holder: s.blocker.txn}
		}
	}
	if s.blocker.txn.ID.IsZero() {
		// A non-transactional request stands before us: it holds nothing that
		// we could be in the way of.
		return nil
	}
	m.mu.Lock()
	ended := m.table.finished.get(s.blocker.txn.ID)
	m.mu.Unlock()
	if ended != nil && s.blocker.held {
		return m.resolveSpans(ctx, []kvpb.Span{{Key: s.key}}, ended, s.blocker.durable)
	}
	pushee, err := m.pushInterruptibly(ctx, g, s, timestamp, kind, timeout)
	var alive *kvpb.TransactionPushError
	switch {
	case errors.As(err, &alive):
		if kind == kvpb.PushTouch {
			return &kvpb.LockNotAvailableError{Key: s.key, Holder: s.blocker.txn}
		}
		return nil
	case err != nil || pushee == nil:
		return err
	}
	m.mu.Lock()
	m.table.finished.add(pushee)
	m.mu.Unlock()
	if !s.blocker.held {
		return nil
	}
	return m.resolveSpans(ctx, []kvpb.Span{{Key: s.key}}, pushee, s.blocker.durable)
}

// pushInterruptibly pushes until the push is through or there is no need for it
// any more (no transaction, no error).
func (m *Manager) pushInterruptibly(ctx context.Context, g *Guard, s waitState, timestamp hlc.Timestamp, kind kvpb.PushType, timeout <-chan time.Time) (*kvpb.Transaction, error) {
	m.mu.Lock()
	g.pushing, g.pushingHeld = s.blocker.txn.ID, s.blocker.held
	m.mu.Unlock()
	pushContext, cancel := context.WithCancel(ctx)
	type result struct {
		pushee *kvpb.Transaction
		err    error
	}
	results := make(chan result, 1)
	go func() {
		pushee, err := m.pusher.Push(pushContext, g.request.Txn, timestamp, s.blocker.txn, kind)
		results <- result{pushee, err}
	}()
	var r result
	var interrupted error
	select {
	case r = <-results:
	case <-g.signal:
		cancel()
		r = <-results
		// What has changed is for the caller to see.
		g.wake()
		if r.err != nil && !errors.As(r.err, new(*kvpb.TransactionAbortedError)) {
			r = result{}
		}
	case <-timeout:
		cancel()
		<-results
		interrupted = &kvpb.LockNotAvailableError{Key: s.key, Holder: s.blocker.txn, Timeout: g.request.LockTimeout}
	}
	cancel()
	m.mu.Lock()
	g.pushing = kvpb.TxnID{}
	m.mu.Unlock()
	if interrupted != nil {
		return nil, interrupted
	}
	return r.pushee, r.err
}

// resolveFinished resolves what scan found of ended transactions.
func (m *Manager) resolveFinished(ctx context.Context, g *Guard) error {
	for _, f := range g.toResolve {
		if err := m.resolveSpans(ctx, f.spans, f.txn, true); err != nil {
			return err
		}
	}
	g.toResolve = nil
	return nil
}

// resolveSpans resolves a transaction's locks, and notes it: should the news
// not come from the range itself (it was split meanwhile), we still go on.
func (m *Manager) resolveSpans(ctx context.Context, spans []kvpb.Span, txn *kvpb.Transaction, durable bool) error {
	if durable {
		if err := m.pusher.Resolve(ctx, spans, txn); err != nil {
			return err
		}
	} else if txn.Status != kvpb.Committed && txn.Status != kvpb.Aborted {
		return nil
	}
	r := kvpb.ResolveArgs{Txn: txn.TxnMeta, Status: txn.Status, IgnoredSeqNums: txn.IgnoredSeqNums}
	for _, s := range spans {
		m.LocksResolved(&r, s)
	}
	return nil
}
