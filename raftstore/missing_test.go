package raftstore

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// TestAStoreThatMissedASplitGetsTheRightRange: its left replica learns of the
// split by a snapshot.
func TestAStoreThatMissedASplitGetsTheRightRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(5)
		machines := newMachines(t, net, 3)
		replicate(t, machines, 1)
		if err := put(holder(t, machines, 1), "z", "before"); err != nil {
			t.Fatal(err)
		}
		waitEqual(t, machines, "z", "before")
		r := holder(t, machines, 1)
		var away *machine
		for _, m := range machines {
			if m.id != r.store.Config.Store {
				away = m
			}
		}
		net.mu.Lock()
		net.cut[away.id] = true
		net.mu.Unlock()
		time.Sleep(3 * time.Second) // no longer counted as active
		s, err := r.NewSplit([]byte("\x04m"), 2, kvpb.RangeStatistics{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.Propose(context.Background(), &Command{Split: s, LeaseSequence: r.Lease(r.store.Clock.Now()).Sequence})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			if err := put(holder(t, machines, 1), "a", strings.Repeat("x", 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if err := put(holder(t, machines, 1), "a", "after"); err != nil {
			t.Fatal(err)
		}
		if err := put(holder(t, machines, 2), "z", "after"); err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			if err := m.store.Engines.State.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // the log is truncated
		net.mu.Lock()
		net.cut[away.id] = false
		net.mu.Unlock()
		waitEqual(t, machines, "a", "after")
		waitEqual(t, machines, "z", "after")
		for _, m := range machines {
			if got, ok := m.store.ReplicaFor([]byte("\x04y")); !ok || got.Range() != 2 {
				t.Errorf("store %d has no right range", m.id)
			}
		}
		// It counts: the range lives with it and one other.
		for _, m := range machines {
			if m != away && m.id != holder(t, machines, 2).store.Config.Store {
				net.mu.Lock()
				net.cut[m.id] = true
				net.mu.Unlock()
				break
			}
		}
		if err := put(holder(t, machines, 2), "z", "again"); err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			m.stop()
		}
		net.wait.Wait()
	})
}

func TestARemovedReplicaStaysRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(6)
		machines := newMachines(t, net, 3)
		replicate(t, machines, 1)
		r := holder(t, machines, 1)
		var gone *machine
		for _, m := range machines {
			if m.id != r.store.Config.Store {
				gone = m
			}
		}
		member, _ := r.Descriptor().ReplicaOn(gone.id)
		if err := r.RemoveReplica(context.Background(), gone.id); err != nil {
			t.Fatal(err)
		}
		if left, here := gone.store.Replica(1); here {
			if err := left.Outdated(r.Descriptor()); err != nil {
				t.Fatal(err)
			}
		}
		gone.crash()
		gone.start()
		buried, err := gone.store.buried(1, member.Replica)
		if _, here := gone.store.Replica(1); here || err != nil || !buried {
			t.Errorf("replica here: %t, buried: %t, %v", here, buried, err)
		}
		if buried, err := gone.store.buried(1, member.Replica+1); buried || err != nil {
			t.Errorf("the next replica is buried as well: %v", err)
		}
		if err := r.AddReplica(context.Background(), kvpb.ReplicaTarget{Node: kvpb.NodeID(gone.id), Store: gone.id}); err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			m.stop()
		}
		net.wait.Wait()
	})
}
