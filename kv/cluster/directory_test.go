package cluster

import (
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

type fakeClock struct{ t time.Time }

func (c *fakeClock) now() time.Time { return c.t }

func newNode(id kvpb.NodeID, clock *fakeClock) *Directory {
	return NewDirectory("c", Node{ID: id, Incarnation: 1, RPCAddress: "n" + string('0'+rune(id)), Stores: []Store{{ID: kvpb.StoreID(id)}}}, clock.now)
}

func exchange(from, to *Directory) {
	r := to.Answer(from.Request())
	from.Learn(r.Nodes, r.FirstRange)
}

func TestRecordsSpreadThroughAThirdNode(t *testing.T) {
	clock := &fakeClock{}
	a, b, c := newNode(1, clock), newNode(2, clock), newNode(3, clock)
	exchange(a, b)
	exchange(c, b)
	exchange(a, b)
	if address, ok := a.Address(3); !ok || address != "n3" {
		t.Fatalf("node 1 has %q for node 3", address)
	}
	if node, ok := a.NodeOf(3); !ok || node != 3 {
		t.Fatalf("store 3 is on node %d", node)
	}
	if got := len(c.Nodes()); got != 3 {
		t.Fatalf("node 3 knows %d nodes", got)
	}
}

func TestNodeIsAliveWhileItsHeartbeatRises(t *testing.T) {
	clock := &fakeClock{}
	a, b := newNode(1, clock), newNode(2, clock)
	exchange(a, b)
	for range 10 {
		clock.t = clock.t.Add(DeadAfter / 2)
		b.Beat(nil)
		exchange(a, b)
		if !a.Live(2) {
			t.Fatal("node 2 beats, yet counts as dead")
		}
	}
	clock.t = clock.t.Add(DeadAfter / 2)
	exchange(a, b) // the same heartbeat again is no sign of life
	clock.t = clock.t.Add(DeadAfter / 2)
	if a.Live(2) {
		t.Fatal("node 2 stands still, yet counts as alive")
	}
	if a.Live(9) {
		t.Fatal("an unknown node counts as alive")
	}
}

func TestRestartedNodeReplacesItsOldRecord(t *testing.T) {
	clock := &fakeClock{}
	a, b := newNode(1, clock), newNode(2, clock)
	for range 5 {
		b.Beat(nil)
	}
	exchange(a, b)
	restarted := NewDirectory("c", Node{ID: 2, Incarnation: 2, RPCAddress: "elsewhere"}, clock.now)
	exchange(a, restarted)
	if address, _ := a.Address(2); address != "elsewhere" {
		t.Fatalf("address is %q", address)
	}
	exchange(a, b)
	if address, _ := a.Address(2); address != "elsewhere" {
		t.Fatalf("an old incarnation's record came back: %q", address)
	}
}

// TestRestartWithAClockSetBack: the new life's records are news to the others
// although its clock reads less than the old one's did.
func TestRestartWithAClockSetBack(t *testing.T) {
	clock := &fakeClock{}
	a := newNode(1, clock)
	ahead := NewDirectory("c", Node{ID: 2, Incarnation: 9, RPCAddress: "n2"}, clock.now)
	exchange(ahead, a)
	restarted := NewDirectory("c", Node{ID: 2, Incarnation: 5, RPCAddress: "elsewhere"}, clock.now)
	for range 2 {
		restarted.Beat(nil)
		exchange(restarted, a)
	}
	if s, ok := a.Status(2); !ok || s.RPCAddress != "elsewhere" || !s.Live {
		t.Fatalf("%+v", s)
	}
}

func TestFirstRangeOnlyMovesToHigherGenerations(t *testing.T) {
	clock := &fakeClock{}
	a, b := newNode(1, clock), newNode(2, clock)
	a.SetFirstRange(&kvpb.RangeDescriptor{Range: 1, Generation: 3})
	b.SetFirstRange(&kvpb.RangeDescriptor{Range: 1, Generation: 2})
	exchange(b, a)
	for _, d := range []*Directory{a, b} {
		if got, ok := d.FirstRange(); !ok || got.Generation != 3 {
			t.Fatalf("generation %d", got.Generation)
		}
	}
}
