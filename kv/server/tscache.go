package server

import (
	"sync"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// timestampCache knows, for the leaseholder of a range, at which timestamps
// keys were read, so that no write lands below a read. It forgets by rounding
// up: what it has forgotten counts as read at its low water.
//
// Reads go into the younger of two generations. When that is full the older
// one is dropped, and the low water rises to the latest read in it: so a large
// transaction that reads what it writes does not push itself.
type timestampCache struct {
	mu       sync.Mutex
	lowWater read           // guarded by mu
	young    readGeneration // guarded by mu
	old      readGeneration // guarded by mu
}

// Bounds of a generation.
const (
	maxPointReads = 32 << 10
	maxSpanBounds = 8 << 10
)

// read is the latest read of something. id is zero where several transactions
// read at that timestamp.
type read struct {
	at hlc.Timestamp
	id kvpb.TxnID
}

// later returns the later of two reads.
func (r read) later(s read) read {
	switch r.at.Compare(s.at) {
	case -1:
		return s
	case 1:
		return r
	}
	if r.id != s.id {
		r.id = kvpb.TxnID{}
	}
	return r
}

// readGeneration holds point reads by key, and span reads as the bounds of
// adjoining intervals: a bound's read holds from its key to the next bound's.
type readGeneration struct {
	points map[string]*read
	bounds btree.Map[string, read]
	latest read
}

// raise makes everything count as read at ts.
func (c *timestampCache) raise(ts hlc.Timestamp) {
	c.mu.Lock()
	c.lowWater = c.lowWater.later(read{at: ts})
	c.mu.Unlock()
}

// trim drops generations without a read after ts.
func (c *timestampCache) trim(ts hlc.Timestamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range []*readGeneration{&c.old, &c.young} {
		if g.latest.at.Less(ts) {
			c.lowWater = c.lowWater.later(g.latest)
			*g = readGeneration{}
		}
	}
}

// handOn returns the latest timestamp in the cache.
func (c *timestampCache) handOn() hlc.Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lowWater.later(c.young.latest).later(c.old.latest).at
}

// rotateLocked makes room.
func (c *timestampCache) rotateLocked() {
	c.lowWater = c.lowWater.later(c.old.latest)
	c.old, c.young = c.young, readGeneration{}
}

// add notes a read of span at ts by a transaction, a zero id for none.
func (c *timestampCache) add(span kvpb.Span, ts hlc.Timestamp, id kvpb.TxnID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := read{ts, id}
	if c.lowWater.later(r) == c.lowWater {
		return
	}
	g := &c.young
	if len(g.points) >= maxPointReads || g.bounds.Len() >= maxSpanBounds {
		c.rotateLocked()
	}
	g.latest = g.latest.later(r)
	if len(span.EndKey) == 0 {
		g.addPoint(span.Key, r)
	} else {
		g.addSpan(string(span.Key), string(span.EndKey), r)
	}
}

func (g *readGeneration) addPoint(key []byte, r read) {
	if p := g.points[string(key)]; p != nil {
		*p = p.later(r)
		return
	}
	if g.points == nil {
		g.points = map[string]*read{}
	}
	g.points[string(key)] = &r
}

// boundAt returns what holds at key: the last bound at or before it.
func (g *readGeneration) boundAt(key string) (r read) {
	g.bounds.Descend(key, func(_ string, held read) bool {
		r = held
		return false
	})
	return r
}

func (g *readGeneration) addSpan(start, end string, r read) {
	if _, ok := g.bounds.Get(end); !ok {
		g.bounds.Set(end, g.boundAt(end))
	}
	atStart := g.boundAt(start).later(r)
	type bound struct {
		key string
		r   read
	}
	var inner []bound
	g.bounds.Ascend(start, func(key string, held read) bool {
		if key >= end {
			return false
		}
		if key > start {
			inner = append(inner, bound{key, held})
		}
		return true
	})
	g.bounds.Set(start, atStart)
	before := atStart
	for _, b := range inner {
		now := b.r.later(r)
		if now == before {
			g.bounds.Delete(b.key)
		} else {
			g.bounds.Set(b.key, now)
		}
		before = now
	}
}

// pointRead returns the latest read of key.
func (g *readGeneration) pointRead(key []byte) (r read) {
	if p := g.points[string(key)]; p != nil {
		r = *p
	}
	if g.bounds.Len() > 0 {
		r = r.later(g.boundAt(string(key)))
	}
	return r
}

// floor returns the timestamp that a write of key must be at or above, as far
// as reads go. A transaction may write at the timestamp of its own read.
func (c *timestampCache) floor(key []byte, id kvpb.TxnID) hlc.Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.lowWater.later(c.young.pointRead(key)).later(c.old.pointRead(key))
	return r.floor(id)
}

func (r read) floor(id kvpb.TxnID) hlc.Timestamp {
	if r.at.IsEmpty() || !id.IsZero() && r.id == id {
		return r.at
	}
	return r.at.Next()
}

// spanFloor is floor for all keys of a span. Point reads count wherever they
// are: span writes are rare.
func (c *timestampCache) spanFloor(span kvpb.Span) hlc.Timestamp {
	return read{at: c.handOn()}.floor(kvpb.TxnID{})
}
