package concurrency

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// PushDelay is how long a request waits for somebody before it pushes him.
// Most locks are gone by then; a deadlock lasts at least that long.
const PushDelay = 40 * time.Millisecond

// Request is what a request is going to do, as far as others may be in its
// way. The slices must not be changed until the guard is finished.
type Request struct {
	Txn       *kvpb.Transaction // nil: non-transactional
	Timestamp hlc.Timestamp     // at which it reads
	// Wait applies to locking accesses; non-locking reads always wait.
	Wait        kvpb.WaitPolicy
	LockTimeout time.Duration // 0: none
	Latches     []Latch
	Locks       []LockAccess
	// NoLockTable: it takes latches only. For what ends, pushes, resolves and
	// refreshes transactions.
	NoLockTable bool
}

// Guard is a request's hold on its latches and its places in queues, from
// Sequence to Finish. It must not be used after Finish.
type Guard struct {
	manager *Manager
	request Request
	arrival uint64

	// All that follows is guarded by manager.mu.

	latches []heldLatch
	latched bool
	done    chan struct{} // closed when the latches are dropped; made by the first who waits

	places          []*lock // at which it stands in the queue
	blocked         *lock   // at which it waits
	blockedStrength kvpb.LockStrength
	toResolve       []finishedIntents
	pushing         kvpb.TxnID // whom it is pushing right now
	pushingHeld     bool
	failed          error

	signal chan struct{} // capacity 1: something about the wait has changed
	waits  []*Guard
}

func (g *Guard) txnID() kvpb.TxnID {
	if g.request.Txn == nil {
		return kvpb.TxnID{}
	}
	return g.request.Txn.ID
}

func (g *Guard) txnMeta() kvpb.TxnMeta {
	if g.request.Txn == nil {
		return kvpb.TxnMeta{}
	}
	return g.request.Txn.TxnMeta
}

func (g *Guard) wake() {
	select {
	case g.signal <- struct{}{}:
	default:
	}
}

// SkipsLocked reports whether a request under WaitSkip must leave key out,
// because another transaction holds a lock on it that the table knows of.
// Intents that evaluation meets by itself are left out likewise.
func (g *Guard) SkipsLocked(key []byte) bool {
	if g.request.Wait != kvpb.WaitSkip {
		return false
	}
	g.manager.mu.Lock()
	defer g.manager.mu.Unlock()
	return g.manager.table.skips(g, key)
}

// Pusher resolves conflicts on the other side: at the range that holds the
// blocking transaction's record, and at the range that holds its intents.
// kv/server implements it over the router.
type Pusher interface {
	// Push pushes the transaction that holds a lock, for pusher (nil: a
	// non-transactional request). With PushTimestamp the pushee shall move above
	// timestamp. It blocks until the pushee is pushed or has ended and returns
	// it as it stands then, or until ctx ends. PushTouch does not block: where
	// the pushee is alive, a *kvpb.TransactionPushError.
	Push(ctx context.Context, pusher *kvpb.Transaction, timestamp hlc.Timestamp, pushee kvpb.TxnMeta, kind kvpb.PushType) (*kvpb.Transaction, error)
	// Resolve resolves a transaction's intents on the spans; txn has ended or
	// was pushed.
	Resolve(ctx context.Context, spans []kvpb.Span, txn *kvpb.Transaction) error
}

// Config is what a Manager stands on.
type Config struct {
	Pusher Pusher
	Clock  *hlc.Clock
	Logger *slog.Logger
}

// Manager isolates the requests of one range. It is safe for concurrent use.
type Manager struct {
	pusher Pusher
	logger *slog.Logger

	mu       sync.Mutex
	arrivals uint64    // guarded by mu
	latches  latches   // guarded by mu
	table    lockTable // guarded by mu
	pushes   pushQueue // guarded by mu
}

// NewManager returns a manager without locks.
func NewManager(c Config) *Manager {
	m := &Manager{pusher: c.Pusher, logger: c.Logger}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	m.latches.init()
	m.table.init()
	m.pushes.init()
	return m
}

var guards = sync.Pool{New: func() any { return new(Guard) }}

// Sequence waits until nothing that came before is in the request's way, and
// returns a guard that keeps what comes after out until Finish. g is nil at
// first, and what HandleConflict returned thereafter; r may then differ (a
// later timestamp). Errors: the context's, *kvpb.LockNotAvailableError under
// WaitError or after the lock timeout, *kvpb.TransactionAbortedError when the
// request's own transaction was aborted meanwhile (AbortDeadlock: to break a
// cycle), *kvpb.NotLeaseholderError after LeaseLost. With an error there is no
// guard any more.
func (m *Manager) Sequence(ctx context.Context, g *Guard, r Request) (*Guard, error) {
	if g == nil {
		g = guards.Get().(*Guard)
		g.manager = m
	}
	g.request = r
	var patience waitLimits
	for {
		decided, err := m.latchAndScan(ctx, g)
		switch {
		case err != nil:
		case decided == proceed:
			return g, nil
		case decided == resolve:
			err = m.resolveFinished(ctx, g)
		default:
			err = m.waitForLock(ctx, g, &patience)
		}
		if err != nil {
			patience.stop()
			m.Finish(g)
			return nil, err
		}
	}
}

// latchAndScan takes the latches and looks for locks. If it decides other than
// to proceed, the latches are dropped again.
func (m *Manager) latchAndScan(ctx context.Context, g *Guard) (decision, error) {
	m.mu.Lock()
	if g.arrival == 0 {
		m.arrivals++
		g.arrival = m.arrivals
	}
	m.unlatchLocked(g) // for who sequences again without a conflict
	g.latches = g.latches[:0]
	for _, l := range g.request.Latches {
		g.latches = append(g.latches, heldLatch{Latch: l, guard: g})
	}
	g.waits = m.latches.insert(g, g.waits[:0])
	g.latched = true
	if len(g.waits) > 0 {
		ends := make([]chan struct{}, len(g.waits))
		for i, other := range g.waits {
			if other.done == nil {
				other.done = make(chan struct{})
			}
			ends[i] = other.done
			g.waits[i] = nil
		}
		m.mu.Unlock()
		for _, end := range ends {
			select {
			case <-end:
			case <-ctx.Done():
				return proceed, ctx.Err() // Finish drops the latches
			}
		}
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	if g.request.NoLockTable || len(g.request.Locks) == 0 {
		return proceed, nil
	}
	decided := m.table.scan(g)
	if decided != proceed {
		m.unlatchLocked(g)
	}
	return decided, nil
}

func (m *Manager) unlatchLocked(g *Guard) {
	if !g.latched {
		return
	}
	m.latches.remove(g)
	g.latched = false
	if g.done != nil {
		close(g.done)
		g.done = nil
	}
}

// HandleConflict takes in the intents that evaluation met, drops the latches
// and returns the guard for Sequence to wait with. Under WaitError it fails
// only if one of them turns out to be alive, in Sequence.
func (m *Manager) HandleConflict(ctx context.Context, g *Guard, e *kvpb.LockConflictError) (*Guard, error) {
	if err := ctx.Err(); err != nil {
		m.Finish(g)
		return nil, err
	}
	m.mu.Lock()
	for i := range e.Locks {
		m.table.discover(&e.Locks[i])
	}
	m.unlatchLocked(g)
	m.mu.Unlock()
	return g, nil
}

// Finish ends a request: its latches and places in queues go to the next. g
// may be nil.
func (m *Manager) Finish(g *Guard) {
	if g == nil {
		return
	}
	m.mu.Lock()
	m.unlatchLocked(g)
	if g.blocked != nil || len(g.places) > 0 {
		m.table.leave(g)
	}
	m.mu.Unlock()
	for i := range g.latches {
		g.latches[i] = heldLatch{}
	}
	// The channel goes: a pooled one would outlive a test's bubble.
	*g = Guard{latches: g.latches[:0], places: g.places[:0], waits: g.waits[:0]}
	guards.Put(g)
}

// LockAcquired tells that evaluation gave a lock to a transaction: an intent
// was written (durable) or a locking read succeeded. Call it under the
// request's latches. key is kept and must not be changed.
func (m *Manager) LockAcquired(txn *kvpb.TxnMeta, key []byte, strength kvpb.LockStrength, durable bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.acquire(txn, key, strength, durable)
}

// LocksResolved tells that a transaction's locks on a span were resolved, by
// ResolveIntent(Range) or because EndTxn dealt with its own range's: ended
// transactions' locks are gone, pushed ones' intents have moved up to
// r.Txn.WriteTimestamp.
func (m *Manager) LocksResolved(r *kvpb.ResolveArgs, span kvpb.Span) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.locks.Len() == 0 {
		return
	}
	m.table.resolved(r, span)
}

// TransactionUpdated tells that a record on this range has changed: the
// transaction has ended, or was pushed. It wakes those who wait for that.
func (m *Manager) TransactionUpdated(t *kvpb.Transaction) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.finished.add(t)
	m.pushes.updated(t)
}

// HoldsLock reports whether a transaction holds a lock at least that strong on
// a key, as far as the table knows.
func (m *Manager) HoldsLock(txn kvpb.TxnID, key []byte, strength kvpb.LockStrength) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.table.get(key)
	if l == nil {
		return false
	}
	h := l.holder(txn)
	return h != nil && h.strength >= strength
}

// LeaseLost forgets all locks and sends whoever waits away with
// *kvpb.NotLeaseholderError (without a hint). Latches stay: their holders are
// still evaluating. The manager can be used again at once.
func (m *Manager) LeaseLost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.clear(nil, &kvpb.NotLeaseholderError{})
	m.pushes.clear(nil, &kvpb.NotLeaseholderError{})
}

// Split hands the locks at and after key to the manager of the new right
// range, and makes those who wait for them, or for transactions anchored
// there, look again: kv/server then finds that their keys have moved.
func (m *Manager) Split(key []byte, right *Manager) {
	// Nobody serves from right yet, so the order of the two locks is free.
	m.mu.Lock()
	defer m.mu.Unlock()
	right.mu.Lock()
	defer right.mu.Unlock()
	m.table.moveTo(key, &right.table)
	m.pushes.clear(key, nil)
}

// WaitingLock is a lock with those who hold it and those who wait for it.
type WaitingLock struct {
	Key     []byte
	Holders []LockHolder
	Waiters []LockWaiter // in the order of the queue, non-locking readers last
}

// LockHolder is one who holds a lock.
type LockHolder struct {
	Txn      kvpb.TxnMeta
	Strength kvpb.LockStrength
	Durable  bool // an intent
}

// LockWaiter is one who waits for a lock; a zero Txn is non-transactional.
type LockWaiter struct {
	Txn      kvpb.TxnMeta
	Strength kvpb.LockStrength
}

// Waiting returns all locks that the table knows, by key.
func (m *Manager) Waiting() []WaitingLock {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []WaitingLock
	m.table.locks.Scan(func(l *lock) bool {
		w := WaitingLock{Key: slices.Clone(l.key)}
		for _, h := range l.holders {
			w.Holders = append(w.Holders, LockHolder{h.txn, h.strength, h.durable})
		}
		for _, q := range l.queue {
			w.Waiters = append(w.Waiters, LockWaiter{q.guard.txnMeta(), q.strength})
		}
		for _, q := range l.readers {
			w.Waiters = append(w.Waiters, LockWaiter{q.guard.txnMeta(), q.strength})
		}
		all = append(all, w)
		return true
	})
	return all
}
