package txn

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
)

// model is a write buffer as a list of all writes.
type model []struct {
	key, value string
	sequence   int32
}

func (m model) at(key string, sequence int32) (value string, found bool) {
	for _, w := range m {
		if w.key == key && w.sequence <= sequence {
			value, found = w.value, true
		}
	}
	return value, found
}

func pairs(rows []kvpb.KeyValue) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s=%s ", r.Key, r.Value)
	}
	return b.String()
}

// TestBufferAgainstModel makes random writes, rollbacks and merging scans.
func TestBufferAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var b writeBuffer
		var m model
		var sequence, keepUpTo int32
		for range 60 {
			switch random.IntN(8) {
			case 0: // a savepoint or a step
				keepUpTo = sequence
			case 1: // back to it
				b.rollback(keepUpTo)
				m = slices.DeleteFunc(m, func(w struct {
					key, value string
					sequence   int32
				}) bool {
					return w.sequence > keepUpTo
				})
			case 2, 3:
				reverse := random.IntN(2) == 0
				visible := sequence
				if random.IntN(2) == 0 {
					visible = keepUpTo
				}
				checkMerge(t, seed, &b, m, random, reverse, visible)
			default:
				sequence++
				key := string(rune('a' + random.IntN(10)))
				value := fmt.Sprint(sequence)
				var buffered []byte
				if random.IntN(4) == 0 {
					value = ""
				} else {
					buffered = []byte(value)
				}
				b.put([]byte(key), buffered, sequence, keepUpTo)
				m = append(m, struct {
					key, value string
					sequence   int32
				}{key, value, sequence})
			}
		}
	}
}

func checkMerge(t *testing.T, seed uint64, b *writeBuffer, m model, random *rand.Rand, reverse bool, visible int32) {
	t.Helper()
	span := kvpb.Span{Key: []byte{byte('a' + random.IntN(5))}, EndKey: []byte{byte('f' + random.IntN(6))}}
	var below, want []kvpb.KeyValue
	for k := span.Key[0]; k < span.EndKey[0]; k++ {
		value, found := m.at(string(k), visible)
		onRange := random.IntN(2) == 0
		if onRange {
			below = append(below, kvpb.KeyValue{Key: []byte{k}, Value: []byte("below")})
		}
		switch {
		case found && value != "":
			want = append(want, kvpb.KeyValue{Key: []byte{k}, Value: []byte(value)})
		case !found && onRange:
			want = append(want, kvpb.KeyValue{Key: []byte{k}, Value: []byte("below")})
		}
	}
	if reverse {
		slices.Reverse(below)
		slices.Reverse(want)
	}
	if got := b.merge(below, span, reverse, visible); pairs(got) != pairs(want) {
		t.Fatalf("seed %d: merged %s, want %s", seed, pairs(got), pairs(want))
	}
}

func TestBufferKeepsWhatCanStillBeSeen(t *testing.T) {
	var b writeBuffer
	b.put([]byte("k"), []byte("1"), 1, 0)
	b.put([]byte("k"), []byte("2"), 2, 0) // nobody can see 1 any more
	b.put([]byte("k"), []byte("3"), 3, 2) // a savepoint at 2
	b.put([]byte("k"), nil, 4, 2)
	var got []string
	for _, q := range b.appendRequests(nil, true) {
		got = append(got, fmt.Sprintf("%d:%s", q.Sequence, q.Value))
	}
	if s := strings.Join(got, " "); s != "2:2 4:" {
		t.Errorf("history %s", s)
	}
	if all := b.appendRequests(nil, false); len(all) != 1 || all[0].Kind != kvpb.Delete || all[0].Sequence != 4 {
		t.Errorf("newest %+v", all)
	}
}

func TestSpansAreCondensedWithinTheirBound(t *testing.T) {
	var s spanSet
	random := rand.New(rand.NewPCG(1, 1))
	var added []string
	for range 20_000 {
		key := fmt.Sprintf("key/%08d", random.IntN(1_000_000))
		added = append(added, key)
		s.add(kvpb.Span{Key: []byte(key)})
		if s.sizeBytes > maxSpanSetBytes {
			t.Fatalf("%d bytes", s.sizeBytes)
		}
	}
	spans := mergeSpans(s.spans)
	for _, key := range added {
		i := sort.Search(len(spans), func(i int) bool { return string(spans[i].Key) > key })
		if i == 0 || string(spans[i-1].Key) != key && string(spans[i-1].EndKey) <= key {
			t.Fatalf("%s is not covered", key)
		}
	}
	if len(spans) < 100 {
		t.Errorf("only %d spans are left", len(spans))
	}
}

func TestMergeSpans(t *testing.T) {
	spans := []kvpb.Span{
		{Key: []byte("m")}, {Key: []byte("a"), EndKey: []byte("c")}, {Key: []byte("b"), EndKey: []byte("e")},
		{Key: []byte("d")}, {Key: []byte("m")}, {Key: []byte("e")}, {Key: []byte("x"), EndKey: []byte("z")}, {Key: []byte("x")},
	}
	var got []string
	for _, s := range mergeSpans(spans) {
		got = append(got, fmt.Sprintf("%s-%s", s.Key, s.EndKey))
	}
	if s := strings.Join(got, " "); s != "a-e e- m- x-z" {
		t.Errorf("merged to %s", s)
	}
}

func TestIgnoredSequencesAreMerged(t *testing.T) {
	var r []kvpb.SequenceRange
	for _, next := range []kvpb.SequenceRange{{Start: 3, End: 5}, {Start: 8, End: 9}, {Start: 4, End: 12}, {Start: 13, End: 14}, {Start: 20, End: 21}} {
		r = ignore(r, next)
	}
	if s := fmt.Sprint(r); s != "[{3 14} {20 21}]" {
		t.Errorf("got %s", s)
	}
}
