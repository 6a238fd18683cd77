package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

// The bank moves money between accounts on several ranges, through all nodes,
// while nodes crash, are cut off, and leases move. What must hold: every scan
// of all accounts finds the same total; every transfer that was acknowledged
// happened, once.

const (
	accounts       = 12
	accountBalance = 100
)

func account(i int) []byte { return fmt.Appendf(nil, "\x04account/%02d", i) }
func counter(i int) []byte { return fmt.Appendf(nil, "\x04counter/%02d", i) }

func number(value []byte) int64 {
	if len(value) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

func bytesOf(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

type bank struct {
	c                       *testCluster
	acknowledged, ambiguous [accounts]atomic.Int64
	transfers, audits       atomic.Int64
}

// transfer moves an amount and counts it, in one transaction.
func (b *bank) transfer(ctx context.Context, n *testNode, random *rand.Rand) {
	from, to := random.IntN(accounts), random.IntN(accounts)
	if from == to {
		return
	}
	amount := random.Int64N(5) + 1
	lock := kvpb.LockNone
	if random.IntN(2) == 0 {
		lock = kvpb.LockUpdate
	}
	early := random.IntN(4) == 0 // writes become intents before the commit
	err := n.db.Run(ctx, txn.Options{Name: "transfer"}, func(ctx context.Context, t *txn.Txn) error {
		got, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{
			{Kind: kvpb.Get, Key: account(from), Lock: lock}, {Kind: kvpb.Get, Key: account(to), Lock: lock}, {Kind: kvpb.Get, Key: counter(from)}}})
		if err != nil {
			return err
		}
		t.Step()
		writes := []kvpb.Request{
			{Kind: kvpb.Put, Key: account(from), Value: bytesOf(number(got[0].Value) - amount)},
			{Kind: kvpb.Put, Key: account(to), Value: bytesOf(number(got[1].Value) + amount)},
			{Kind: kvpb.Put, Key: counter(from), Value: bytesOf(number(got[2].Value) + 1)}}
		if early {
			if _, err := t.Send(ctx, &txn.Batch{Requests: append(writes, kvpb.Request{Kind: kvpb.Put, Key: []byte("\x04big"), Value: make([]byte, 2000)})}); err != nil {
				return err
			}
			return t.Commit(ctx)
		}
		_, err = t.Send(ctx, &txn.Batch{Requests: writes, Commit: true})
		return err
	})
	switch {
	case err == nil:
		b.acknowledged[from].Add(1)
		b.transfers.Add(1)
	case errors.As(err, new(*kvpb.AmbiguousResultError)):
		b.ambiguous[from].Add(1)
	}
}

// audit adds all accounts up.
func (b *bank) audit(ctx context.Context, n *testNode) {
	var total int64
	err := n.db.Run(ctx, txn.Options{Name: "audit", ReadOnly: true}, func(ctx context.Context, t *txn.Txn) error {
		got, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: account(0), EndKey: account(99)}}})
		if err != nil {
			return err
		}
		total = 0
		for _, row := range got[0].Rows {
			total += number(row.Value)
		}
		return nil
	})
	if err != nil {
		return
	}
	b.audits.Add(1)
	if total != accounts*accountBalance {
		b.c.t.Errorf("an audit finds %d instead of %d", total, accounts*accountBalance)
	}
}

func TestBank(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runBank(t, seed) })
		})
	}
}

func runBank(t *testing.T, seed uint64) {
	c := newTestCluster(t, nil)
	c.routers = true
	first := c.start(1, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := first.server.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	c.start(2, nil)
	c.start(3, nil)
	stop := c.gossip()
	b := &bank{c: c}
	setup := &kvpb.BatchRequest{}
	for i := range accounts {
		setup.Requests = append(setup.Requests, kvpb.Request{Kind: kvpb.Put, Key: account(i), Value: bytesOf(accountBalance)})
	}
	if _, err := first.router.Send(ctx, setup); err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{account(4), account(8), counter(0)} {
		if _, err := first.router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.AdminSplit, Key: key, Admin: &kvpb.AdminArgs{SplitKey: key}}}}); err != nil {
			t.Fatal(err)
		}
	}
	c.await("all ranges have three replicas", time.Minute, func() bool { return c.replicated(ctx, 3) })

	var workers sync.WaitGroup
	var done atomic.Bool
	work := func(seed uint64, do func(context.Context, *testNode, *rand.Rand)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			random := rand.New(rand.NewPCG(seed, 7))
			for !done.Load() {
				if nodes := c.running(); len(nodes) > 0 {
					attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
					do(attempt, nodes[random.IntN(len(nodes))], random)
					cancel()
				}
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		}()
	}
	for i := range uint64(4) {
		work(seed*10+i, func(ctx context.Context, n *testNode, random *rand.Rand) { b.transfer(ctx, n, random) })
	}
	work(seed*10+5, func(ctx context.Context, n *testNode, _ *rand.Rand) { b.audit(ctx, n) })
	c.disturb(ctx, rand.New(rand.NewPCG(seed, 3)), faults())
	time.Sleep(5 * time.Second)
	done.Store(true)
	workers.Wait()

	b.audit(ctx, c.running()[0])
	for i := range accounts {
		n := number([]byte(c.get(ctx, string(counter(i)))))
		if low, high := b.acknowledged[i].Load(), b.acknowledged[i].Load()+b.ambiguous[i].Load(); n < low || n > high {
			t.Errorf("account %d counts %d transfers; %d were acknowledged, %d more are unknown", i, n, low, high-low)
		}
	}
	t.Logf("%d transfers, %d audits", b.transfers.Load(), b.audits.Load())
	if b.transfers.Load() < 200 || b.audits.Load() < 20 {
		t.Error("that is too few")
	}
	stop()
	time.Sleep(5 * time.Second)
	c.checkReplicas(ctx)
	c.stopAll()
}

// faults is how many things go wrong in a test: one where it shall be short, as
// under the race detector, which makes it take twenty times as long.
func faults() int {
	if testing.Short() {
		return 1
	}
	return 6
}

// disturb lets things go wrong, one after the other.
func (c *testCluster) disturb(ctx context.Context, random *rand.Rand, rounds int) {
	for range rounds {
		running := c.running()
		victim := running[random.IntN(len(running))]
		switch random.IntN(4) {
		case 0:
			fs := c.stop(victim, true)
			time.Sleep(time.Duration(random.IntN(8)) * time.Second)
			c.start(victim.id, fs)
		case 1:
			c.setCut(victim.id, true)
			time.Sleep(time.Duration(random.IntN(8)) * time.Second)
			c.setCut(victim.id, false)
		case 2:
			disks := map[kvpb.StoreID]*vfs.MemFS{}
			for _, n := range running {
				disks[n.id] = c.stop(n, true)
			}
			for id := kvpb.StoreID(1); id < 10; id++ {
				if fs := disks[id]; fs != nil {
					c.start(id, fs)
				}
			}
			c.beat()
		case 3:
			for _, d := range c.ranges(ctx) {
				_, _ = c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.AdminTransferLease, Key: d.Start,
					Admin: &kvpb.AdminArgs{Store: victim.id}}}})
			}
		}
		time.Sleep(time.Second)
	}
}

func (c *testCluster) setCut(id kvpb.StoreID, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[id] = cut
}
