package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
)

// gossip lets the nodes hear of each other twice a second until stop.
func (c *testCluster) gossip() (stop func()) {
	c.beat()
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Add(1)
	go func() {
		defer ended.Done()
		for {
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
				c.beat()
			}
		}
	}()
	return func() { close(done); ended.Wait() }
}

// ranges returns the descriptors in the directory of ranges, in order.
func (c *testCluster) ranges(ctx context.Context) []kvpb.RangeDescriptor {
	c.t.Helper()
	r, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: keys.MetaMin, EndKey: keys.MetaMax}}})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []kvpb.RangeDescriptor
	for _, row := range r.Responses[0].Rows {
		var d kvpb.RangeDescriptor
		if err := d.Unmarshal(row.Value); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// await waits until the condition holds.
func (c *testCluster) await(what string, limit time.Duration, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// replicated reports whether the directory covers all keys with ranges of
// count voters each.
func (c *testCluster) replicated(ctx context.Context, count int) bool {
	var end = keys.Min
	for _, d := range c.ranges(ctx) {
		if string(d.Start) != string(end) || len(d.Replicas) != count {
			return false
		}
		for _, m := range d.Replicas {
			if m.Type != kvpb.Voter {
				return false
			}
		}
		end = d.End
	}
	return string(end) == string(keys.Max)
}

// checkReplicas compares all replicas of all ranges with each other, and their
// statistics with what they hold.
func (c *testCluster) checkReplicas(ctx context.Context) {
	c.t.Helper()
	for _, d := range c.ranges(ctx) {
		sums := map[string][]kvpb.StoreID{}
		for _, n := range c.running() {
			raft, ok := n.server.store.Replica(d.Range)
			if !ok {
				c.t.Errorf("store %d has no replica of range %d", n.id, d.Range)
				continue
			}
			sum, err := n.server.checksum(raft.Descriptor())
			if err != nil {
				c.t.Fatal(err)
			}
			sums[string(sum)] = append(sums[string(sum)], n.id)
			actual, err := mvcc.Statistics(n.engines.State, d.Start, d.End)
			if err != nil {
				c.t.Fatal(err)
			}
			// Writes beside a split may be counted on its wrong side; locks never.
			kept := raft.Statistics()
			near := func(a, b int64) bool { return max(a, b)-min(a, b) <= 10 }
			if kept.LockCount != actual.LockCount || !near(kept.LiveCount, actual.LiveCount) || !near(kept.VersionCount, actual.VersionCount) {
				c.t.Errorf("range %d on store %d: statistics %+v, content %+v", d.Range, n.id, kept, actual)
			}
		}
		if len(sums) != 1 {
			c.t.Errorf("the replicas of range %d differ: %v", d.Range, sums)
		}
	}
}

func TestThreeStoresReplicateSplitAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, func(c *Config) { c.MaxRangeBytes = 256 << 10 })
		first := c.start(1, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if err := first.server.Bootstrap(ctx); err != nil {
			t.Fatal(err)
		}
		value := string(make([]byte, 1000))
		for i := range 500 {
			if err := c.put(ctx, fmt.Sprintf("\x04k%04d", i), value); err != nil {
				t.Fatal(err)
			}
		}
		c.start(2, nil)
		c.start(3, nil)
		stop := c.gossip()
		for i := 500; i < 1000; i++ {
			if err := c.put(ctx, fmt.Sprintf("\x04k%04d", i), value); err != nil {
				t.Fatal(err)
			}
		}
		c.await("all ranges have three replicas", time.Minute, func() bool { return c.replicated(ctx, 3) })
		if n := len(c.ranges(ctx)); n < 4 {
			t.Errorf("%d ranges", n)
		}
		// Requests keep the leases alive, so that there is something to spread.
		c.await("the leases are spread", time.Minute, func() bool {
			for i := 0; i < 1000; i += 20 {
				if got := c.get(ctx, fmt.Sprintf("\x04k%04d", i)); got != value {
					t.Fatalf("row %d has %d bytes", i, len(got))
				}
			}
			least, most := 1<<30, 0
			for _, n := range c.running() {
				leases := n.server.Statistics().Leases
				least, most = min(least, leases), max(most, leases)
			}
			return most-least <= 2 && least > 0
		})
		stop()
		time.Sleep(2 * time.Second)
		c.checkReplicas(ctx)
		c.stopAll()
	})
}

// TestNothingAcknowledgedIsLost writes rows while nodes crash, are cut off, and
// leases move; each row once, some of them through intents on several ranges.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for seed := range uint64(1) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runLossTest(t, seed) })
		})
	}
}

func runLossTest(t *testing.T, seed uint64) {
	c := newTestCluster(t, func(c *Config) { c.MaxRangeBytes = 32 << 10 })
	first := c.start(1, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := first.server.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	c.start(2, nil)
	c.start(3, nil)
	stop := c.gossip()
	c.await("the range has three replicas", time.Minute, func() bool { return c.replicated(ctx, 3) })

	var acknowledged sync.Map
	var writers sync.WaitGroup
	var done atomic.Bool
	for w := range 4 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for i := 0; !done.Load(); i++ {
				key := fmt.Sprintf("\x04%d/%05d", w, i)
				attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
				err := c.insert(attempt, key, string(make([]byte, 200)))
				cancel()
				if err == nil {
					acknowledged.Store(key, true)
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	c.disturb(ctx, rand.New(rand.NewPCG(seed, 2)), faults())
	done.Store(true)
	writers.Wait()
	count := 0
	acknowledged.Range(func(key, _ any) bool {
		count++
		if got := c.get(ctx, key.(string)); got == "" {
			t.Errorf("row %q is lost", key)
		}
		return true
	})
	if count < 500 {
		t.Errorf("only %d rows were acknowledged", count)
	}
	c.await("all ranges have three replicas", 2*time.Minute, func() bool { return c.replicated(ctx, 3) })
	stop()
	time.Sleep(5 * time.Second)
	c.checkReplicas(ctx)
	c.stopAll()
}

// insert writes a row that must not be there yet, in one phase.
func (c *testCluster) insert(ctx context.Context, key, value string) error {
	nodes := c.running()
	if len(nodes) == 0 {
		return errors.New("no node runs")
	}
	x := newTxn(nodes[0], key[1], key)
	b := commitBatch(x, key, value)
	b.Requests[0].Kind = kvpb.ConditionalPut
	_, err := c.Send(ctx, b)
	return err
}

func TestDrainGivesLeasesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil)
		first := c.start(1, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if err := first.server.Bootstrap(ctx); err != nil {
			t.Fatal(err)
		}
		c.start(2, nil)
		c.start(3, nil)
		stop := c.gossip()
		for _, key := range []string{"\x04d", "\x04m"} {
			if _, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.AdminSplit, Key: []byte(key), Admin: &kvpb.AdminArgs{SplitKey: []byte(key)}}}}); err != nil {
				t.Fatal(err)
			}
		}
		c.await("all ranges have three replicas", time.Minute, func() bool { return c.replicated(ctx, 3) })
		for _, key := range []string{"\x04a", "\x04e", "\x04z"} {
			if err := c.put(ctx, key, "1"); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := first.server.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if n := first.server.Statistics().Leases; n != 0 {
			t.Errorf("%d leases stay", n)
		}
		for _, key := range []string{"\x04a", "\x04e", "\x04z"} {
			if err := c.put(ctx, key, "2"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("writes went on after %s", took)
		}
		stop()
		c.stopAll()
	})
}
