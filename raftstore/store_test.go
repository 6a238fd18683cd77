package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// network joins the stores of a test. It delivers each message on its own
// after a seeded delay, or loses it.
type network struct {
	mu     sync.Mutex
	random *rand.Rand
	stores map[kvpb.StoreID]*Store
	cut    map[kvpb.StoreID]bool
	loss   float64
	wait   sync.WaitGroup
}

type endpoint struct {
	net  *network
	from kvpb.StoreID
}

func (e endpoint) Send(to kvpb.StoreID, messages []Message) bool {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range messages {
		if n.cut[e.from] || n.cut[to] || n.random.Float64() < n.loss {
			continue
		}
		// The wire form, so that nothing is shared between stores.
		b, err := m.Append(nil)
		if err != nil {
			panic(err)
		}
		delay := time.Duration(n.random.Int64N(int64(2 * time.Millisecond)))
		n.wait.Add(1)
		go func() {
			defer n.wait.Done()
			time.Sleep(delay)
			n.mu.Lock()
			s := n.stores[to]
			n.mu.Unlock()
			if decoded, _, err := DecodeMessage(b); err == nil && s != nil {
				s.HandleMessages([]Message{decoded})
			}
		}()
	}
	return true
}

func (e endpoint) Snapshot(ctx context.Context, h SnapshotHeader, content io.Reader) error {
	e.net.mu.Lock()
	s := e.net.stores[h.To.Store]
	unreachable := s == nil || e.net.cut[e.from] || e.net.cut[h.To.Store]
	e.net.mu.Unlock()
	if unreachable {
		return errors.New("unreachable")
	}
	return s.HandleSnapshot(ctx, h, content)
}

type silent struct{}

func (silent) LeaseChanged(*Replica, Lease, Lease) {}
func (silent) DescriptorChanged(*Replica)          {}
func (silent) Split(*Replica, *Replica)            {}
func (silent) Removed(*Replica)                    {}

// machine is a store with a disk that can crash.
type machine struct {
	t     *testing.T
	net   *network
	id    kvpb.StoreID
	fs    *vfs.MemFS
	store *Store
}

func (m *machine) start() {
	m.t.Helper()
	engines, err := engine.Open(engine.Options{FS: m.fs, Dir: "store", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	m.store, err = Open(Config{
		Node: kvpb.NodeID(m.id), Store: m.id, Engines: engines, Transport: endpoint{m.net, m.id}, Observer: silent{},
		Clock:  hlc.NewClock(hlc.SystemClock, 50*time.Millisecond),
		Logger: slog.New(slog.DiscardHandler),
		Failed: func(err error) { m.t.Errorf("store %d failed: %v", m.id, err) },
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.net.mu.Lock()
	m.net.stores[m.id] = m.store
	m.net.mu.Unlock()
}

// crash stops the machine; what was not synced is lost.
func (m *machine) crash() {
	m.net.mu.Lock()
	delete(m.net.stores, m.id)
	m.net.mu.Unlock()
	after := m.fs.CrashClone(vfs.CrashCloneCfg{})
	m.store.Close()
	m.store.Engines.Close()
	m.fs = after
}

func (m *machine) stop() {
	m.net.mu.Lock()
	delete(m.net.stores, m.id)
	m.net.mu.Unlock()
	m.store.Close()
	m.store.Engines.Close()
}

func newNetwork(seed uint64) *network {
	return &network{random: rand.New(rand.NewPCG(seed, 0)), stores: map[kvpb.StoreID]*Store{}, cut: map[kvpb.StoreID]bool{}}
}

func newMachines(t *testing.T, net *network, count int) []*machine {
	var all []*machine
	for i := range count {
		m := &machine{t: t, net: net, id: kvpb.StoreID(i + 1), fs: vfs.NewCrashableMem()}
		m.start()
		all = append(all, m)
	}
	if err := all[0].store.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	return all
}

// holder returns the store that holds the lease, getting it where need be.
func holder(t *testing.T, machines []*machine, id kvpb.RangeID) *Replica {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for _, m := range machines {
			r, ok := m.store.Replica(id)
			if !ok || m.store.isStopped() {
				continue
			}
			if l := r.Lease(m.store.Clock.Now()); l.Mine && l.State == LeaseUsable {
				if _, leads := r.Leader(); leads {
					return r
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = r.AcquireLease(ctx)
			cancel()
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no replica gets the lease")
	return nil
}

func put(r *Replica, key, value string) error {
	batch := r.store.Engines.State.NewBatch()
	defer batch.Close()
	if err := batch.Set(engine.AppendKey(nil, []byte("\x04"+key)), []byte(value), nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	p, err := r.Propose(ctx, &Command{Batch: append([]byte(nil), batch.Repr()...), LeaseSequence: r.Lease(r.store.Clock.Now()).Sequence})
	if err != nil {
		return err
	}
	return p.Wait(ctx)
}

func read(m *machine, key string) string {
	value, closer, err := m.store.Engines.State.Get(engine.AppendKey(nil, []byte("\x04"+key)))
	if errors.Is(err, pebble.ErrNotFound) {
		return ""
	}
	if err != nil {
		m.t.Fatal(err)
	}
	defer closer.Close()
	return string(value)
}

func replicate(t *testing.T, machines []*machine, id kvpb.RangeID) {
	t.Helper()
	r := holder(t, machines, id)
	for _, m := range machines {
		if err := r.AddReplica(context.Background(), kvpb.ReplicaTarget{Node: kvpb.NodeID(m.id), Store: m.id}); err != nil {
			t.Fatal(err)
		}
	}
}

// waitEqual waits until all machines have the value.
func waitEqual(t *testing.T, machines []*machine, key, value string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, m := range machines {
		for read(m, key) != value {
			if time.Now().After(deadline) {
				t.Fatalf("store %d has %q for %s, not %q", m.id, read(m, key), key, value)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func TestOneReplicaSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machines := newMachines(t, newNetwork(1), 1)
		for i := range 100 {
			if err := put(holder(t, machines, 1), fmt.Sprint("k", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		machines[0].crash()
		machines[0].start()
		if err := put(holder(t, machines, 1), "k100", "v"); err != nil {
			t.Fatal(err)
		}
		for i := range 101 {
			if read(machines[0], fmt.Sprint("k", i)) != "v" {
				t.Fatalf("k%d is lost", i)
			}
		}
		machines[0].stop()
	})
}

// TestNoLeaseOfAnEarlierLifeIsUsed: after a crash State may know nothing of the
// lease that was in use; it comes back from the log.
func TestNoLeaseOfAnEarlierLifeIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machines := newMachines(t, newNetwork(1), 1)
		if err := put(holder(t, machines, 1), "k", "v"); err != nil {
			t.Fatal(err)
		}
		r, _ := machines[0].store.Replica(1)
		before := r.Lease(machines[0].store.Clock.Now())
		machines[0].crash()
		machines[0].start()
		r, _ = machines[0].store.Replica(1)
		for range 20 {
			if l := r.Lease(machines[0].store.Clock.Now()); l.Mine {
				t.Fatalf("lease %d is used at once; before the crash it was %d", l.Sequence, before.Sequence)
			}
			time.Sleep(TickInterval)
		}
		if l := holder(t, machines, 1).Lease(machines[0].store.Clock.Now()); l.Sequence <= before.Sequence {
			t.Fatalf("lease %d follows %d", l.Sequence, before.Sequence)
		}
		machines[0].stop()
	})
}

// TestFaults writes through whoever holds the lease while stores crash, links
// are cut and messages get lost; every acknowledged write must be there in the
// end, on all replicas.
func TestFaults(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runFaults(t, seed) })
		})
	}
}

func runFaults(t *testing.T, seed uint64) {
	net := newNetwork(seed)
	machines := newMachines(t, net, 3)
	replicate(t, machines, 1)
	random := rand.New(rand.NewPCG(seed, 1))
	acknowledged := map[string]string{}
	for round := range 12 {
		victim := machines[random.IntN(3)]
		fault := random.IntN(4)
		switch fault {
		case 0:
			victim.crash()
		case 1:
			net.mu.Lock()
			net.cut[victim.id] = true
			net.mu.Unlock()
		case 2:
			net.mu.Lock()
			net.loss = 0.05
			net.mu.Unlock()
		case 3:
			for _, m := range machines {
				m.crash()
				m.start()
			}
		}
		for i := range 15 {
			key, value := fmt.Sprint("k", random.IntN(20)), fmt.Sprint(round, ".", i)
			err := put(holder(t, machines, 1), key, value)
			switch {
			case err == nil:
				acknowledged[key] = value
			case ambiguous(err):
				delete(acknowledged, key) // either value may be there
			}
		}
		net.mu.Lock()
		net.loss = 0
		delete(net.cut, victim.id)
		net.mu.Unlock()
		if fault == 0 {
			victim.start()
		}
	}
	if err := put(holder(t, machines, 1), "last", "x"); err != nil {
		t.Fatal(err)
	}
	waitEqual(t, machines, "last", "x")
	for key, value := range acknowledged {
		for _, m := range machines {
			if got := read(m, key); got != value {
				t.Errorf("store %d has %q for %s; %q was acknowledged", m.id, got, key, value)
			}
		}
	}
	for _, m := range machines {
		m.stop()
	}
	net.wait.Wait()
}

func ambiguous(err error) bool {
	_, ok := errors.AsType[*kvpb.AmbiguousResultError](err)
	return ok
}

func TestSplitSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(3)
		machines := newMachines(t, net, 3)
		replicate(t, machines, 1)
		r := holder(t, machines, 1)
		for _, k := range []string{"a", "z"} {
			if err := put(r, k, "before"); err != nil {
				t.Fatal(err)
			}
		}
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
		if err := put(holder(t, machines, 2), "z", "after"); err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			m.crash()
			m.start()
		}
		if err := put(holder(t, machines, 1), "b", "again"); err != nil {
			t.Fatal(err)
		}
		if err := put(holder(t, machines, 2), "y", "again"); err != nil {
			t.Fatal(err)
		}
		waitEqual(t, machines, "a", "before")
		waitEqual(t, machines, "z", "after")
		waitEqual(t, machines, "y", "again")
		for _, m := range machines {
			if got, ok := m.store.ReplicaFor([]byte("\x04y")); !ok || got.Range() != 2 {
				t.Errorf("store %d has no right range", m.id)
			}
			m.stop()
		}
		net.wait.Wait()
	})
}

func TestLeaseMovesByTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(4)
		machines := newMachines(t, net, 3)
		replicate(t, machines, 1)
		r := holder(t, machines, 1)
		if err := r.TransferLease(context.Background(), 3); err != nil {
			t.Fatal(err)
		}
		if l := r.Lease(r.store.Clock.Now()); l.Mine {
			t.Fatal("the old holder still serves")
		}
		begin := time.Now()
		if got := holder(t, machines, 1); got.store.Config.Store != 3 {
			t.Fatalf("store %d holds the lease", got.store.Config.Store)
		}
		if took := time.Since(begin); took > LeaseDuration {
			t.Fatalf("the transfer took %s", took)
		}
		for _, m := range machines {
			m.stop()
		}
		net.wait.Wait()
	})
}

// TestProposalsOfACutOffLeaderEnd: the fate of what it proposed is unknown,
// and that is said soon; a command that took effect all the same is seen once the
// replica is back.
func TestProposalsOfACutOffLeaderEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(6)
		machines := newMachines(t, net, 3)
		replicate(t, machines, 1)
		r := holder(t, machines, 1)
		cut := r.store.Config.Store
		net.mu.Lock()
		net.cut[cut] = true
		net.mu.Unlock()
		batch := r.store.Engines.State.NewBatch()
		defer batch.Close()
		if err := batch.Set(engine.AppendKey(nil, []byte("\x04a")), []byte("1"), nil); err != nil {
			t.Fatal(err)
		}
		p, err := r.Propose(context.Background(), &Command{Batch: append([]byte(nil), batch.Repr()...), LeaseSequence: r.Lease(r.store.Clock.Now()).Sequence})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		err = p.Wait(context.Background())
		if _, ambiguous := errors.AsType[*kvpb.AmbiguousResultError](err); !ambiguous {
			t.Errorf("the proposal ended with %v", err)
		}
		if took := time.Since(begin); took > 2*LeaseDuration {
			t.Errorf("the proposal ended after %s", took)
		}
		if l := r.Lease(r.store.Clock.Now()); l.State != LeaseExpired {
			t.Errorf("the lease is not expired: %+v", l)
		}
		net.mu.Lock()
		net.cut[cut] = false
		net.mu.Unlock()
		if err := put(holder(t, machines, 1), "b", "2"); err != nil {
			t.Fatal(err)
		}
		waitEqual(t, machines, "b", "2")
		waitEqual(t, machines, "a", read(machines[0], "a"))
		for _, m := range machines {
			m.stop()
		}
		net.wait.Wait()
	})
}
