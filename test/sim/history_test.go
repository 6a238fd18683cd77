package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// operation is a read of a key's list, or an append to it.
type operation struct {
	key    int
	append int64   // the element appended; 0: a read
	list   []int64 // what a read saw
}

// attempt is a transaction of a history. Elements are unique, so that a list
// tells who wrote it and in which order (Kingsbury and Alvaro, "Elle: Inferring
// Isolation Anomalies from Experimental Observations", 2020).
type attempt struct {
	id         int
	operations []operation
	unknown    bool // whether it has committed
}

// history is what committed transactions saw and did.
type history struct {
	mu       sync.Mutex
	attempts []*attempt // guarded by mu
}

func (h *history) add(a *attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.id = len(h.attempts)
	h.attempts = append(h.attempts, a)
}

// edge says that one transaction must come before another, and why.
type edge struct {
	to  int
	why string
}

// check fails the test unless the transactions can be put in an order in which
// each sees exactly what those before it have appended. final are the lists at
// the end.
func (h *history) check(t testing.TB, final map[int][]int64) {
	t.Helper()
	type place struct{ key, index int }
	places := map[int64]place{}
	for key, list := range final {
		for i, e := range list {
			if p, twice := places[e]; twice {
				t.Fatalf("element %d is in list %d at %d and in list %d at %d", e, p.key, p.index, key, i)
			}
			places[e] = place{key, i}
		}
	}
	writer := map[int64]int{}
	for _, a := range h.attempts {
		for _, o := range a.operations {
			if o.append == 0 {
				continue
			}
			writer[o.append] = a.id
			if _, there := places[o.append]; !there && !a.unknown {
				t.Fatalf("element %d of list %d was committed by transaction %d and is lost", o.append, o.key, a.id)
			}
		}
	}
	edges := make([][]edge, len(h.attempts))
	before := func(from, to int, why string, arguments ...any) {
		if from != to {
			edges[from] = append(edges[from], edge{to, fmt.Sprintf(why, arguments...)})
		}
	}
	for key, list := range final {
		for i := 1; i < len(list); i++ {
			before(writer[list[i-1]], writer[list[i]], "wrote %d in list %d before %d", list[i-1], key, list[i])
		}
	}
	for _, a := range h.attempts {
		own := map[int64]bool{}
		for _, o := range a.operations {
			if o.append != 0 {
				own[o.append] = true
				continue
			}
			seen := o.list
			for len(seen) > 0 && own[seen[len(seen)-1]] {
				seen = seen[:len(seen)-1]
			}
			list := final[o.key]
			if a.unknown && (len(seen) > len(list) || !slices.Equal(seen, list[:len(seen)])) {
				continue
			}
			if len(seen) > len(list) || !slices.Equal(seen, list[:len(seen)]) {
				t.Fatalf("transaction %d read list %d as %v; in the end it is %v", a.id, o.key, seen, list)
			}
			if n := len(seen); n > 0 {
				before(writer[seen[n-1]], a.id, "wrote %d in list %d, read by", seen[n-1], o.key)
			}
			if n := len(seen); n < len(list) {
				before(a.id, writer[list[n]], "read list %d before it got %d from", o.key, list[n])
			}
		}
	}
	if cycle := findCycle(edges); cycle != nil {
		var b strings.Builder
		for i, e := range cycle {
			from := cycle[(i+len(cycle)-1)%len(cycle)].to
			fmt.Fprintf(&b, "\n  transaction %d %s transaction %d", from, e.why, e.to)
		}
		t.Fatalf("not serializable:%s", b.String())
	}
}

// findCycle returns the edges of a cycle, nil if there is none.
func findCycle(edges [][]edge) []edge {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(edges))
	for root := range edges {
		if state[root] != unseen {
			continue
		}
		type frame struct {
			node, next int
			by         edge
		}
		stack := []frame{{node: root}}
		state[root] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(edges[top.node]) {
				state[top.node] = done
				stack = stack[:len(stack)-1]
				continue
			}
			e := edges[top.node][top.next]
			top.next++
			switch state[e.to] {
			case unseen:
				state[e.to] = open
				stack = append(stack, frame{node: e.to, by: e})
			case open:
				cycle := []edge{e}
				for i := len(stack) - 1; stack[i].node != e.to; i-- {
					cycle = append(cycle, stack[i].by)
				}
				slices.Reverse(cycle)
				return cycle
			}
		}
	}
	return nil
}

func TestCheckerFindsWriteSkew(t *testing.T) {
	edges := make([][]edge, 2)
	edges[0] = []edge{{1, "rw"}}
	edges[1] = []edge{{0, "rw"}}
	if findCycle(edges) == nil {
		t.Fatal("a cycle of two was not found")
	}
	edges[1] = nil
	if c := findCycle(edges); c != nil {
		t.Fatalf("a cycle was found where there is none: %v", c)
	}
}
