package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

func at(wall int64) hlc.Timestamp { return hlc.Timestamp{WallTime: wall} }

// TestTimestampCacheNeverForgetsDownwards compares the cache with a list of all
// reads: it may say later, never earlier, and exactly as late while it has
// forgotten nothing.
func TestTimestampCacheNeverForgetsDownwards(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	key := func() []byte { return fmt.Appendf(nil, "k%03d", random.IntN(60)) }
	for range 50 {
		var cache timestampCache
		type entry struct {
			span kvpb.Span
			read read
		}
		var all []entry
		forgets := random.IntN(2) == 0
		for i := range 300 {
			span := kvpb.Span{Key: key()}
			if random.IntN(2) == 0 {
				if span.EndKey = key(); string(span.EndKey) <= string(span.Key) {
					continue
				}
			}
			r := read{at(int64(random.IntN(100) + 1)), kvpb.TxnID{byte(random.IntN(3))}}
			cache.add(span, r.at, r.id)
			all = append(all, entry{span, r})
			if forgets && i%70 == 0 {
				cache.mu.Lock()
				cache.rotateLocked()
				cache.mu.Unlock()
			}
			k, id := key(), kvpb.TxnID{byte(random.IntN(3))}
			var latest read
			for _, e := range all {
				if touch(e.span, kvpb.Span{Key: k}) {
					latest = latest.later(e.read)
				}
			}
			got, want := cache.floor(k, id), latest.floor(id)
			if got.Less(want) || got != want && cache.lowWater.at.IsEmpty() {
				t.Fatalf("%s: floor %s, not %s", k, got, want)
			}
			if floor := cache.spanFloor(kvpb.Span{Key: k, EndKey: append(k, 0)}); floor.Less(latest.at) {
				t.Fatalf("%s: span floor %s, not %s", k, floor, latest.at)
			}
		}
	}
}

func TestTimestampCacheIsBounded(t *testing.T) {
	var cache timestampCache
	for i := range 3 * maxPointReads {
		cache.add(kvpb.Span{Key: fmt.Appendf(nil, "%d", i)}, at(int64(i+1)), kvpb.TxnID{})
	}
	if n := len(cache.young.points) + len(cache.old.points); n > 2*maxPointReads {
		t.Errorf("%d entries", n)
	}
	if floor := cache.floor([]byte("0"), kvpb.TxnID{}); floor.LessEq(at(1)) {
		t.Errorf("a forgotten read counts as %s", floor)
	}
	cache.trim(at(1 << 40))
	if len(cache.young.points)+len(cache.old.points) > 0 || cache.handOn() != at(3*maxPointReads) {
		t.Error("trimming loses reads")
	}
}

// TestALargeTransactionDoesNotPushItself: what is forgotten of its reads still
// counts as its own, until another's read at that time is forgotten too.
func TestALargeTransactionDoesNotPushItself(t *testing.T) {
	var cache timestampCache
	mine, other := kvpb.TxnID{1}, kvpb.TxnID{2}
	for i := range 3 * maxPointReads {
		cache.add(kvpb.Span{Key: fmt.Appendf(nil, "%d", i)}, at(5), mine)
	}
	if cache.lowWater.at != at(5) {
		t.Fatalf("nothing was forgotten: %s", cache.lowWater.at)
	}
	if got := cache.floor([]byte("0"), mine); got != at(5) {
		t.Errorf("it must write at %s", got)
	}
	if got := cache.floor([]byte("0"), other); got != at(5).Next() {
		t.Errorf("another may write at %s", got)
	}
	// As a read that is rounded up to where only ours are known.
	cache.add(kvpb.Span{Key: []byte("x")}, at(5), other)
	if got := cache.floor([]byte("x"), mine); got != at(5).Next() {
		t.Errorf("it may write at %s over another's read", got)
	}
	cache.raise(at(5))
	if got := cache.floor([]byte("0"), mine); got != at(5).Next() {
		t.Errorf("it may write at %s after all were rounded up", got)
	}
}

func TestEndedTransactionsStayEnded(t *testing.T) {
	var e endedTransactions
	meta := func(i int) *kvpb.TxnMeta {
		m := &kvpb.TxnMeta{MinTimestamp: at(int64(i + 100))}
		m.ID = kvpb.TxnID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		return m
	}
	if may, _ := e.mayRecord(meta(1), at(50)); !may {
		t.Error("a new transaction is refused")
	}
	if may, _ := e.mayRecord(meta(1), at(101)); may {
		t.Error("a transaction older than the lease gets a record")
	}
	e.push(meta(2), at(500))
	if may, least := e.mayRecord(meta(2), at(50)); !may || least != at(500) {
		t.Errorf("a pushed transaction: %t, %s", may, least)
	}
	total := 2*maxEnded + 10
	for i := range total {
		e.end(meta(i), i%2 == 0)
	}
	for _, i := range []int{0, 1, maxEnded, total - 1} {
		if may, _ := e.mayRecord(meta(i), at(50)); may {
			t.Errorf("transaction %d comes back", i)
		}
	}
	if e.committed(meta(total-1).ID) == e.committed(meta(total-2).ID) {
		t.Error("how they ended is lost")
	}
	if may, least := e.mayRecord(meta(total), at(50)); !may || !least.IsEmpty() {
		t.Errorf("a later transaction is refused (%t) or pushed (%s)", may, least)
	}
}

func TestPlanReplicas(t *testing.T) {
	const minute = time.Minute
	store := func(id, ranges int, silent time.Duration) candidate {
		return candidate{target: kvpb.ReplicaTarget{Node: kvpb.NodeID(id), Store: kvpb.StoreID(id)}, ranges: ranges, live: silent < 5*time.Second, silent: silent}
	}
	descriptor := func(stores ...int) *kvpb.RangeDescriptor {
		d := &kvpb.RangeDescriptor{}
		for _, id := range stores {
			m := kvpb.ReplicaDescriptor{Node: kvpb.NodeID(max(id, -id)), Store: kvpb.StoreID(max(id, -id))}
			if id < 0 {
				m.Type = kvpb.Learner
			}
			d.Replicas = append(d.Replicas, m)
		}
		return d
	}
	add := func(id int) replicaChange {
		return replicaChange{add: kvpb.ReplicaTarget{Node: kvpb.NodeID(id), Store: kvpb.StoreID(id)}}
	}
	for _, c := range []struct {
		name   string
		group  *kvpb.RangeDescriptor
		stores []candidate
		want   replicaChange
	}{
		{"one node", descriptor(1), []candidate{store(1, 9, 0)}, replicaChange{}},
		{"two nodes are no better than one", descriptor(1), []candidate{store(1, 9, 0), store(2, 0, 0)}, replicaChange{}},
		{"three nodes: the emptier first", descriptor(1), []candidate{store(1, 9, 0), store(2, 5, 0), store(3, 0, 0)}, add(3)},
		{"goes on at two", descriptor(1, 3), []candidate{store(1, 9, 0), store(2, 5, 0), store(3, 9, 0)}, add(2)},
		{"a learner is finished", descriptor(1, 3, -2), []candidate{store(1, 9, 0), store(2, 5, 0), store(3, 9, 0)}, add(2)},
		{"enough", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 5, 0), store(3, 0, 0)}, replicaChange{}},
		{"silent for a moment", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 5, minute), store(3, 0, 0), store(4, 5, 0)}, replicaChange{}},
		{"dead, no spare", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 5, 10*minute), store(3, 0, 0)}, replicaChange{}},
		{"dead, a spare", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 5, 10*minute), store(3, 0, 0), store(4, 7, 0)}, add(4)},
		{"dead and replaced", descriptor(1, 2, 3, 4), []candidate{store(1, 9, 0), store(2, 5, 10*minute), store(3, 0, 0), store(4, 7, 0)}, replicaChange{remove: 2}},
		{"moves to an empty store", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 9, 0), store(3, 8, 0), store(4, 0, 0)}, add(4)},
		{"and away from the fullest", descriptor(1, 2, 3, 4), []candidate{store(1, 9, 0), store(2, 9, 0), store(3, 8, 0), store(4, 1, 0)}, replicaChange{remove: 2}},
		{"nearly even", descriptor(1, 2, 3), []candidate{store(1, 9, 0), store(2, 9, 0), store(3, 8, 0), store(4, 7, 0)}, replicaChange{}},
	} {
		if got := planReplicas(c.group, c.stores, 1, 5*minute); got != c.want {
			t.Errorf("%s: %+v, not %+v", c.name, got, c.want)
		}
	}
}
