package concurrency

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Latch is a span that a request reads or writes at a timestamp. Reads don't
// conflict with reads, writes conflict with writes, and a read conflicts with a
// write at or below the read's timestamp: a later write can't change what it
// sees. The zero Timestamp stands for all times.
type Latch struct {
	Span      kvpb.Span
	Write     bool
	Timestamp hlc.Timestamp
}

// heldLatch is a Latch in the books. It lies in its guard's slice.
type heldLatch struct {
	Latch
	guard    *Guard
	position int // in latches.spans, for spans
}

func (a *heldLatch) conflictsWith(b *heldLatch) bool {
	if a.guard == b.guard {
		return false
	}
	if a.Write && b.Write {
		return true
	}
	if !a.Write && !b.Write {
		return false
	}
	read, write := a, b
	if a.Write {
		read, write = b, a
	}
	return read.Timestamp.IsEmpty() || write.Timestamp.IsEmpty() || write.Timestamp.LessEq(read.Timestamp)
}

// overlaps reports whether two spans share a key.
func overlaps(a, b kvpb.Span) bool {
	if len(a.EndKey) == 0 {
		return contains(b, a.Key)
	}
	if len(b.EndKey) == 0 {
		return contains(a, b.Key)
	}
	return bytes.Compare(a.Key, b.EndKey) < 0 && bytes.Compare(b.Key, a.EndKey) < 0
}

func contains(s kvpb.Span, key []byte) bool {
	if len(s.EndKey) == 0 {
		return bytes.Equal(s.Key, key)
	}
	return bytes.Compare(s.Key, key) <= 0 && bytes.Compare(key, s.EndKey) < 0
}

// latches are the latches held and waited for on a range. A latch enters the
// books when its request arrives, whether or not it must wait, so that arrival
// decides. The Manager's mutex guards it.
type latches struct {
	points *btree.BTreeG[*heldLatch] // on single keys, by key and arrival
	spans  []*heldLatch              // on spans; few at a time, in no order
}

func (l *latches) init() {
	l.points = btree.NewBTreeGOptions(func(a, b *heldLatch) bool {
		if c := bytes.Compare(a.Span.Key, b.Span.Key); c != 0 {
			return c < 0
		}
		if a.guard.arrival != b.guard.arrival {
			return a.guard.arrival < b.guard.arrival
		}
		return a.position < b.position
	}, btree.Options{NoLocks: true})
	// A tree that becomes empty gives its root away; the sentinel, past all
	// keys, keeps it.
	l.points.Set(&heldLatch{Latch: Latch{Span: kvpb.Span{Key: []byte{0xff, 0xff, 0xff}}}, guard: &Guard{}})
}

// insert puts a guard's latches in the books and appends to waits what must
// end before the guard may go on: each guard that conflicts and came earlier.
func (l *latches) insert(g *Guard, waits []*Guard) []*Guard {
	for i := range g.latches {
		h := &g.latches[i]
		waits = l.conflicts(h, waits)
	}
	for i := range g.latches {
		h := &g.latches[i]
		if len(h.Span.EndKey) == 0 {
			h.position = i
			l.points.Set(h)
		} else {
			h.position = len(l.spans)
			l.spans = append(l.spans, h)
		}
	}
	return waits
}

func (l *latches) conflicts(h *heldLatch, waits []*Guard) []*Guard {
	for _, other := range l.spans {
		if h.conflictsWith(other) && overlaps(h.Span, other.Span) {
			waits = appendGuard(waits, other.guard)
		}
	}
	if l.points.Len() == 1 {
		return waits
	}
	from := heldLatch{Latch: Latch{Span: kvpb.Span{Key: h.Span.Key}}, guard: &beforeAll}
	l.points.Ascend(&from, func(other *heldLatch) bool {
		if !contains(h.Span, other.Span.Key) {
			return false
		}
		if h.conflictsWith(other) {
			waits = appendGuard(waits, other.guard)
		}
		return true
	})
	return waits
}

// beforeAll has an arrival before every other guard's.
var beforeAll Guard

func appendGuard(waits []*Guard, g *Guard) []*Guard {
	if n := len(waits); n > 0 && waits[n-1] == g {
		return waits
	}
	return append(waits, g)
}

func (l *latches) remove(g *Guard) {
	for i := range g.latches {
		h := &g.latches[i]
		if len(h.Span.EndKey) == 0 {
			l.points.Delete(h)
			continue
		}
		last := len(l.spans) - 1
		l.spans[h.position] = l.spans[last]
		l.spans[h.position].position = h.position
		l.spans[last] = nil
		l.spans = l.spans[:last]
	}
}
