package server

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
)

// TestIntentKeysNeverForgetOne compares the set with the intents that commands
// have laid: what is known must hold all of a batch's.
func TestIntentKeysNeverForgetOne(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	var k intentKeys
	k.lease, k.complete, k.keys = 1, true, newKeySet()
	present := map[string]bool{}
	key := func() []byte { return fmt.Appendf(nil, "k%03d", random.IntN(200)) }
	count := func() int64 { return int64(len(present)) }
	known := 0
	for range 10_000 {
		switch random.IntN(600) {
		case 0: // too many at once
			if random.IntN(6) > 0 {
				break
			}
			var laid [][]byte
			for i := range maxIntentKeys + 1 {
				laid = append(laid, fmt.Appendf(nil, "k%03d/%d", random.IntN(200), i))
				present[string(laid[i])] = true
			}
			k.applied(1, laid, nil)
		case 1, 4, 5: // all resolved
			var gone [][]byte
			for p := range present {
				gone = append(gone, []byte(p))
			}
			clear(present)
			k.applied(1, nil, gone)
		case 2: // of another lease: neither counts
			k.applied(2, [][]byte{key()}, [][]byte{key()})
		case 3:
			start := key()
			for p := range present {
				if p >= string(start) {
					delete(present, p)
				}
			}
			k.split(start)
		}
		laid, gone := key(), key()
		delete(present, string(gone))
		present[string(laid)] = true
		k.applied(1, [][]byte{laid}, [][]byte{gone})

		x := &execution{batch: &kvpb.BatchRequest{}}
		x.lease.Sequence = 1
		a, b := key(), key()
		x.batch.Requests = []kvpb.Request{{Kind: kvpb.Get, Key: a}, {Kind: kvpb.Get, Key: b}}
		want := map[string]bool{}
		if present[string(a)] {
			want[string(a)] = true
		}
		if present[string(b)] {
			want[string(b)] = true
		}
		if string(a) < string(b) && random.IntN(2) == 0 {
			x.batch.Requests = []kvpb.Request{{Kind: kvpb.Scan, Key: a, EndKey: b}}
			clear(want)
			for p := range present {
				if string(a) <= p && p < string(b) {
					want[p] = true
				}
			}
		}
		got, all := k.narrow(nil, x, count)
		if !all {
			continue
		}
		known++
		if len(got) != len(want) {
			t.Fatalf("%q are known, %v are there", got, want)
		}
		for i := range got {
			if !want[string(got[i])] || i > 0 && string(got[i-1]) >= string(got[i]) {
				t.Fatalf("%q are known, %v are there", got, want)
			}
		}
	}
	if known < 1000 {
		t.Errorf("the set was complete %d times only", known)
	}
	k.forget()
	clear(present)
	x := &execution{batch: &kvpb.BatchRequest{}}
	x.lease.Sequence = 1
	if _, all := k.narrow(nil, x, count); all {
		t.Error("it knows something after it was told to forget")
	}
}
