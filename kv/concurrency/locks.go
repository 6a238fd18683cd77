package concurrency

import (
	"bytes"
	"slices"
	"sort"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
)

// LockAccess is how a request touches the locks on a span. LockNone is a
// non-locking read at the request's timestamp: it conflicts with intents at or
// below that timestamp only. Everything else conflicts as PostgreSQL's row
// locks do, where a write is LockUpdate and an intent is held as LockUpdate.
type LockAccess struct {
	Span     kvpb.Span
	Strength kvpb.LockStrength
}

// maxLocks bounds the in-memory locks of a range. Beyond it, further ones are
// not remembered: see the package comment.
const maxLocks = 100_000

// lockConflicts is PostgreSQL's table of conflicting row locks.
var lockConflicts = [5][5]bool{
	kvpb.LockKeyShare:    {kvpb.LockUpdate: true},
	kvpb.LockShare:       {kvpb.LockNoKeyUpdate: true, kvpb.LockUpdate: true},
	kvpb.LockNoKeyUpdate: {kvpb.LockShare: true, kvpb.LockNoKeyUpdate: true, kvpb.LockUpdate: true},
	kvpb.LockUpdate:      {kvpb.LockKeyShare: true, kvpb.LockShare: true, kvpb.LockNoKeyUpdate: true, kvpb.LockUpdate: true},
}

// holder is a transaction that holds a lock.
type holder struct {
	txn      kvpb.TxnMeta
	strength kvpb.LockStrength
	durable  bool // an intent was seen; it ends by resolution only
}

// waiter is a request at a lock: waiting, or with a place kept.
type waiter struct {
	guard    *Guard
	strength kvpb.LockStrength
	waiting  bool
}

// lock is what is known of a key.
type lock struct {
	key     []byte
	holders []holder
	queue   []*waiter // locking requests by arrival
	readers []*waiter // non-locking requests that wait
}

func (l *lock) idle() bool {
	return len(l.holders) == 0 && len(l.queue) == 0 && len(l.readers) == 0
}

// blocker is who is in a request's way.
type blocker struct {
	txn     kvpb.TxnMeta
	held    bool // otherwise it stands before us in the queue
	durable bool
}

// blocks returns who is in the way of a request at the lock.
func (l *lock) blocks(g *Guard, strength kvpb.LockStrength) (blocker, bool) {
	own := g.txnID()
	if strength == kvpb.LockNone {
		for i := range l.holders {
			h := &l.holders[i]
			if h.durable && (own.IsZero() || h.txn.ID != own) && h.txn.WriteTimestamp.LessEq(g.request.Timestamp) {
				return blocker{h.txn, true, true}, true
			}
		}
		return blocker{}, false
	}
	mine := false
	for i := range l.holders {
		h := &l.holders[i]
		if !own.IsZero() && h.txn.ID == own {
			mine = true
		} else if lockConflicts[strength][h.strength] {
			return blocker{h.txn, true, h.durable}, true
		}
	}
	if mine {
		// The others in the queue wait for us: to stand behind them would be a
		// deadlock.
		return blocker{}, false
	}
	for _, w := range l.queue {
		if w.guard.arrival >= g.arrival {
			break
		}
		if lockConflicts[strength][w.strength] && (own.IsZero() || w.guard.txnID() != own) {
			return blocker{w.guard.txnMeta(), false, false}, true
		}
	}
	return blocker{}, false
}

func (l *lock) holder(id kvpb.TxnID) *holder {
	for i := range l.holders {
		if l.holders[i].txn.ID == id {
			return &l.holders[i]
		}
	}
	return nil
}

// lockTable is the state machine of a range's locks: no I/O, no time. The
// Manager's mutex guards it.
type lockTable struct {
	locks    *btree.BTreeG[*lock] // by key
	finished finishedCache
	probe    lock // for look-ups
}

func (t *lockTable) init() {
	t.locks = btree.NewBTreeGOptions(func(a, b *lock) bool { return bytes.Compare(a.key, b.key) < 0 }, btree.Options{NoLocks: true})
	t.finished.init()
}

func (t *lockTable) get(key []byte) *lock {
	if t.locks.Len() == 0 {
		return nil
	}
	t.probe.key = key
	l, _ := t.locks.Get(&t.probe)
	return l
}

func (t *lockTable) getOrCreate(key []byte) *lock {
	l := t.get(key)
	if l == nil {
		l = &lock{key: key}
		t.locks.Set(l)
	}
	return l
}

func (t *lockTable) dropIfIdle(l *lock) {
	if l.idle() {
		t.locks.Delete(l)
	}
}

// in returns the locks in a span; changes to the table don't disturb it.
func (t *lockTable) in(s kvpb.Span) []*lock {
	if t.locks.Len() == 0 {
		return nil
	}
	if len(s.EndKey) == 0 {
		if l := t.get(s.Key); l != nil {
			return []*lock{l}
		}
		return nil
	}
	var found []*lock
	t.locks.Ascend(&lock{key: s.Key}, func(l *lock) bool {
		if bytes.Compare(l.key, s.EndKey) >= 0 {
			return false
		}
		found = append(found, l)
		return true
	})
	return found
}

// decision is what a scan of the table means for a request.
type decision int

const (
	proceed decision = iota
	wait             // g.blocked says at which lock
	resolve          // g.toResolve has intents of transactions that have ended
)

// finishedIntents are the intents of one ended transaction that are in the way.
type finishedIntents struct {
	txn   *kvpb.Transaction
	spans []kvpb.Span
}

// maxResolve bounds how many intents one request resolves in one go.
const maxResolve = 1000

// scan walks the request's lock spans up to the first lock that blocks it and
// takes the place in that lock's queue.
func (t *lockTable) scan(g *Guard) decision {
	g.toResolve = nil
	t.stopWaiting(g)
	if t.locks.Len() == 0 {
		return proceed
	}
	found := 0
	for _, access := range g.request.Locks {
		for _, l := range t.in(access.Span) {
			for {
				b, blocked := l.blocks(g, access.Strength)
				if !blocked {
					break
				}
				if ended := t.finished.get(b.txn.ID); ended != nil && b.held {
					if !b.durable {
						t.release(l, b.txn.ID)
						continue
					}
					g.addFinished(ended, l.key)
					if found++; found >= maxResolve {
						return resolve
					}
					break
				}
				if g.request.Wait == kvpb.WaitSkip && access.Strength != kvpb.LockNone {
					break
				}
				if found > 0 {
					return resolve
				}
				t.enqueue(l, g, access.Strength)
				return wait
			}
		}
	}
	if found > 0 {
		return resolve
	}
	return proceed
}

func (g *Guard) addFinished(txn *kvpb.Transaction, key []byte) {
	span := kvpb.Span{Key: key}
	for i := range g.toResolve {
		if g.toResolve[i].txn.ID == txn.ID {
			g.toResolve[i].spans = append(g.toResolve[i].spans, span)
			return
		}
	}
	g.toResolve = append(g.toResolve, finishedIntents{txn: txn, spans: []kvpb.Span{span}})
}

// enqueue makes the request wait at the lock, at the place of its arrival.
func (t *lockTable) enqueue(l *lock, g *Guard, strength kvpb.LockStrength) {
	g.blocked, g.blockedStrength = l, strength
	if strength == kvpb.LockNone {
		l.readers = append(l.readers, &waiter{g, strength, true})
		return
	}
	for _, w := range l.queue {
		if w.guard == g {
			w.waiting = true
			w.strength = max(w.strength, strength)
			return
		}
	}
	i := sort.Search(len(l.queue), func(i int) bool { return l.queue[i].guard.arrival > g.arrival })
	l.queue = slices.Insert(l.queue, i, &waiter{g, strength, true})
	g.places = append(g.places, l)
}

// notify lets those go on who no longer have anybody in their way, and tells
// those who are pushing when they push the wrong one.
func (t *lockTable) notify(l *lock) {
	for _, w := range l.queue {
		t.notifyWaiter(l, w)
	}
	l.readers = slices.DeleteFunc(l.readers, func(w *waiter) bool {
		t.notifyWaiter(l, w)
		return !w.waiting
	})
	t.dropIfIdle(l)
}

func (t *lockTable) notifyWaiter(l *lock, w *waiter) {
	if !w.waiting {
		return
	}
	b, blocked := l.blocks(w.guard, w.strength)
	if !blocked {
		w.waiting = false
		w.guard.blocked = nil
		w.guard.wake()
	} else if !w.guard.pushing.IsZero() && (b.txn.ID != w.guard.pushing || b.held != w.guard.pushingHeld) {
		w.guard.wake()
	}
}

// stopWaiting makes a request no longer wait where it does; it keeps its
// places.
func (t *lockTable) stopWaiting(g *Guard) {
	l := g.blocked
	if l == nil {
		return
	}
	g.blocked = nil
	if g.blockedStrength == kvpb.LockNone {
		l.readers = slices.DeleteFunc(l.readers, func(w *waiter) bool { return w.guard == g })
		t.dropIfIdle(l)
		return
	}
	for _, w := range l.queue {
		if w.guard == g {
			w.waiting = false
		}
	}
}

// leave takes a request out of every queue.
func (t *lockTable) leave(g *Guard) {
	t.stopWaiting(g)
	for i, l := range g.places {
		g.places[i] = nil
		l.queue = slices.DeleteFunc(l.queue, func(w *waiter) bool { return w.guard == g })
		t.notify(l)
	}
	g.places = g.places[:0]
}

// acquire notes that a transaction holds a lock.
func (t *lockTable) acquire(txn *kvpb.TxnMeta, key []byte, strength kvpb.LockStrength, durable bool) {
	l := t.get(key)
	if l == nil {
		// An intent that nobody waits for is found where it lies.
		if durable || t.locks.Len() >= maxLocks {
			return
		}
		l = t.getOrCreate(key)
	}
	h := l.holder(txn.ID)
	if h == nil {
		l.holders = append(l.holders, holder{})
		h = &l.holders[len(l.holders)-1]
	}
	if durable || h.txn.ID.IsZero() || !h.durable {
		h.txn = *txn
	}
	h.strength = max(h.strength, strength)
	h.durable = h.durable || durable
	t.notify(l)
}

// discover notes an intent that evaluation met.
func (t *lockTable) discover(found *kvpb.Lock) {
	l := t.getOrCreate(bytes.Clone(found.Key))
	h := l.holder(found.Txn.ID)
	if h == nil {
		l.holders = append(l.holders, holder{})
		h = &l.holders[len(l.holders)-1]
	}
	h.txn, h.durable = found.Txn, true
	h.strength = max(h.strength, found.Strength)
	t.notify(l)
}

// release removes a transaction's lock.
func (t *lockTable) release(l *lock, id kvpb.TxnID) {
	n := len(l.holders)
	l.holders = slices.DeleteFunc(l.holders, func(h holder) bool { return h.txn.ID == id })
	if len(l.holders) != n {
		t.notify(l)
	}
}

// resolved notes that a transaction's intents in a span were resolved.
func (t *lockTable) resolved(r *kvpb.ResolveArgs, span kvpb.Span) {
	for _, l := range t.in(span) {
		h := l.holder(r.Txn.ID)
		if h == nil {
			continue
		}
		switch {
		case r.Status == kvpb.Committed || r.Status == kvpb.Aborted:
			t.release(l, r.Txn.ID)
		case r.Txn.Epoch > h.txn.Epoch:
			// An earlier attempt's intent is gone with it; the transaction still
			// wants its lock.
			h.durable = false
			t.notify(l)
		case h.txn.WriteTimestamp.Less(r.Txn.WriteTimestamp):
			h.txn.WriteTimestamp = r.Txn.WriteTimestamp
			t.notify(l)
		}
	}
}

// clear forgets everything and sends all waiters away with err.
func (t *lockTable) clear(from []byte, err error) {
	for _, l := range t.in(kvpb.Span{Key: from, EndKey: pastAllKeys}) {
		t.evict(l, err)
	}
}

// pastAllKeys is greater than every key of the key space.
var pastAllKeys = []byte{0xff, 0xff, 0xff}

// evict removes a lock and sends its waiters away: with err, or, if that is
// nil, to look again.
func (t *lockTable) evict(l *lock, err error) {
	t.locks.Delete(l)
	for _, w := range append(l.queue, l.readers...) {
		w.guard.places = slices.DeleteFunc(w.guard.places, func(p *lock) bool { return p == l })
		if w.waiting {
			w.guard.blocked = nil
			w.guard.failed = err
			w.guard.wake()
		}
	}
	l.holders, l.queue, l.readers = nil, nil, nil
}

// moveTo hands the locks at and after a key to the table of a new range, and
// lets their waiters look again: they will find that their keys have moved.
func (t *lockTable) moveTo(from []byte, right *lockTable) {
	for _, l := range t.in(kvpb.Span{Key: from, EndKey: pastAllKeys}) {
		holders := l.holders
		t.evict(l, nil)
		if len(holders) > 0 {
			right.getOrCreate(l.key).holders = holders
		}
	}
}

// finishedCache remembers transactions that have ended, so that a hundred
// intents of one of them cost one push.
type finishedCache struct {
	byID map[kvpb.TxnID]*kvpb.Transaction
	ring [256]kvpb.TxnID // in the order of arrival; the oldest is overwritten
	next int
}

func (c *finishedCache) init() { c.byID = map[kvpb.TxnID]*kvpb.Transaction{} }

func (c *finishedCache) get(id kvpb.TxnID) *kvpb.Transaction {
	if len(c.byID) == 0 {
		return nil
	}
	return c.byID[id]
}

func (c *finishedCache) add(t *kvpb.Transaction) {
	if t.Status != kvpb.Committed && t.Status != kvpb.Aborted {
		return
	}
	if _, known := c.byID[t.ID]; !known {
		delete(c.byID, c.ring[c.next])
		c.ring[c.next] = t.ID
		c.next = (c.next + 1) % len(c.ring)
	}
	c.byID[t.ID] = t
}

// skips reports whether a locking read that skips locked keys must skip this one.
func (t *lockTable) skips(g *Guard, key []byte) bool {
	l := t.get(key)
	if l == nil {
		return false
	}
	for _, access := range g.request.Locks {
		if access.Strength != kvpb.LockNone && contains(access.Span, key) {
			if _, blocked := l.blocks(g, access.Strength); blocked {
				return true
			}
		}
	}
	return false
}
