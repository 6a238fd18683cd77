package server

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// endedTransactions remembers, for a store's leaseholders, what they decided
// about transactions without leaving a record: which of them ended, so that a
// late request does not bring one back and a repeated commit is not carried out
// twice, and how far pushers moved the timestamps of others. What was decided
// before a lease began is forgotten with it: a transaction that is older than
// the lease and has no record can't get one.
//
// It forgets by generations: a transaction older than what was dropped counts
// as ended.
type endedTransactions struct {
	mu         sync.Mutex
	young, old endedGeneration // guarded by mu
	// forgotten is the latest MinTimestamp of a dropped end, pushedTo the latest
	// of a dropped push.
	forgotten, pushedTo hlc.Timestamp // guarded by mu
	// waited is when a push first met a transaction without a record.
	waited map[kvpb.TxnID]time.Time // guarded by mu
}

// maxEnded bounds a generation of ends, maxPushed one of pushes and waits.
const (
	maxEnded  = 512 << 10
	maxPushed = 16 << 10
)

type endedGeneration struct {
	// ended has the first 8 bytes of ids, which are random, and whether the
	// transaction is known to have committed.
	ended  map[uint64]bool
	min    hlc.Timestamp // the latest MinTimestamp in ended
	pushed map[kvpb.TxnID]hlc.Timestamp
	push   hlc.Timestamp // the latest in pushed
}

func shortID(id kvpb.TxnID) uint64 { return binary.BigEndian.Uint64(id[:]) }

func (e *endedTransactions) roomLocked() *endedGeneration {
	g := &e.young
	if len(g.ended) >= maxEnded || len(g.pushed) >= maxPushed {
		e.forgotten = e.forgotten.Max(e.old.min)
		e.pushedTo = e.pushedTo.Max(e.old.push)
		e.old, e.young = e.young, endedGeneration{}
	}
	if g.ended == nil {
		g.ended, g.pushed = map[uint64]bool{}, map[kvpb.TxnID]hlc.Timestamp{}
	}
	return g
}

// end notes that the transaction has ended.
func (e *endedTransactions) end(t *kvpb.TxnMeta, committed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.roomLocked()
	g.ended[shortID(t.ID)] = committed
	g.min = g.min.Max(t.MinTimestamp)
	delete(e.waited, t.ID)
}

// push notes that the transaction must commit at or above ts.
func (e *endedTransactions) push(t *kvpb.TxnMeta, ts hlc.Timestamp) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.roomLocked()
	g.pushed[t.ID] = g.pushed[t.ID].Max(ts)
	g.push = g.push.Max(ts)
}

// committed reports whether the transaction is known to have committed without
// leaving a record.
func (e *endedTransactions) committed(id kvpb.TxnID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.young.ended[shortID(id)] || e.old.ended[shortID(id)]
}

// mayRecord reports whether a transaction that has no record may still get one,
// and the least timestamp that it may commit at. leaseStart is of the range
// that it is anchored in.
func (e *endedTransactions) mayRecord(t *kvpb.TxnMeta, leaseStart hlc.Timestamp) (may bool, least hlc.Timestamp) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := shortID(t.ID)
	_, young := e.young.ended[id]
	_, old := e.old.ended[id]
	if young || old || t.MinTimestamp.LessEq(e.forgotten) || t.MinTimestamp.LessEq(leaseStart) {
		return false, least
	}
	least = e.young.pushed[t.ID].Max(e.old.pushed[t.ID])
	if t.MinTimestamp.LessEq(e.pushedTo) {
		// It may have been among those that are forgotten.
		least = least.Max(e.pushedTo)
	}
	return true, least
}

// firstWait returns since when pushers have waited for a transaction that has
// no record.
func (e *endedTransactions) firstWait(id kvpb.TxnID, now time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if since, ok := e.waited[id]; ok {
		return since
	}
	if e.waited == nil || len(e.waited) >= maxPushed {
		e.waited = map[kvpb.TxnID]time.Time{}
	}
	e.waited[id] = now
	return now
}
