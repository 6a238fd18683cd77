// Package raftstore keeps a store's replicas: their Raft groups, logs, leases
// and state, and the mechanics of splits, membership changes and snapshots. It
// owns all state of a replica and no logic of requests: commands come in as
// effects that were evaluated above (kv/server).
//
//	Propose ─→ Replica (RawNode) ─┬→ log writer ─ one fsync for all ranges ─→ Log
//	                              ├→ Transport ─→ other stores
//	                              └→ apply ─→ State ─→ Proposal.Wait returns
//
// A few workers drive all replicas; a replica is driven by one of them at a
// time. Raft's writes go through the log writer asynchronously
// (AsyncStorageWrites); committed commands are applied by the worker, into a
// database without a write-ahead log, so that a command costs one fsync.
//
// # Crashes
//
// State comes back as of its last flush, Log with all that was synced. Each
// replica then applies again what its log has beyond State's applied index,
// which is written in the same batch as the commands' effects. So a log may be
// truncated only below the applied index that is flushed. Creating,
// splitting, receiving and removing replicas flush State before they
// return; a split that is lost with the memtable is applied again from the
// left range's log and finds the right range's log as it was.
//
// # Locks
//
// Order: Replica.mu before Store.mu. Neither is held across I/O on State, the
// transport or the observer; Replica.mu is held while raft reads its log.
package raftstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// Kinds of a replica's own keys in State, see keys.Replica.
const (
	kindApplied    = 'a' // appliedState
	kindDescriptor = 'd' // range descriptor
	kindReplica    = 'r' // this store's replica id
)

// TickInterval is Raft's tick; an election takes ElectionTicks of them.
const (
	TickInterval   = 100 * time.Millisecond
	electionTicks  = 10
	heartbeatTicks = 3
	workers        = 4
)

// Observer hears what happens to replicas. Its methods are called by the
// worker that drives the replica: they must not block and must not wait for a
// proposal.
type Observer interface {
	// LeaseChanged: a lease with another sequence took effect.
	LeaseChanged(r *Replica, old, now Lease)
	// DescriptorChanged: bounds or replicas changed.
	DescriptorChanged(r *Replica)
	// Split: right was split off left. Both serve from now on.
	Split(left, right *Replica)
	// Removed: the replica is gone from this store.
	Removed(r *Replica)
}

// Config is what a store is opened with.
type Config struct {
	Node      kvpb.NodeID
	Store     kvpb.StoreID
	Engines   *engine.Engines
	Clock     *hlc.Clock
	Transport Transport
	Observer  Observer
	Logger    *slog.Logger
	// Failed is told of a broken invariant or a disk that can't be written:
	// the store has stopped, the node must.
	Failed func(error)
}

// Store is the replicas on one pair of databases.
type Store struct {
	Config
	log   *logWriter
	sched *scheduler
	stop  chan struct{}
	done  sync.WaitGroup
	// background are snapshots being sent and requests for leases; see spawn.
	background sync.WaitGroup
	ctx        context.Context // ends at Close
	cancel     context.CancelFunc
	nextID     atomic.Uint64 // of commands
	opened     hlc.Timestamp // when this life began
	missing    missingReplicas
	// creating is held by who makes a replica, from the look whether there is room
	// for it until it is there, and by who removes one. Taken before mu's.
	creating sync.Mutex

	mu       sync.RWMutex
	replicas map[kvpb.RangeID]*Replica // guarded by mu
	byKey    []*Replica                // guarded by mu; sorted by start key, replaced whole
	stopped  bool                      // guarded by mu
}

// Open loads the replicas of a store and starts to drive them. The transport
// may deliver messages to the store from now on.
func Open(c Config) (*Store, error) {
	s := &Store{Config: c, stop: make(chan struct{}), replicas: map[kvpb.RangeID]*Replica{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.nextID.Store(rand.Uint64())
	s.opened = c.Clock.Now()
	s.log = newLogWriter(s)
	s.sched = newScheduler()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.done.Add(2 + workers)
	go func() { defer s.done.Done(); s.log.run() }()
	go func() { defer s.done.Done(); s.tick() }()
	for range workers {
		go func() { defer s.done.Done(); s.sched.work() }()
	}
	for _, r := range s.Replicas() {
		r.start()
	}
	return s, nil
}

// load finds the replicas that State knows.
func (s *Store) load() error {
	start, end := keys.AllReplicasSpan()
	iter, err := s.Engines.State.NewIter(&pebble.IterOptions{
		LowerBound: engine.AppendKey(nil, start), UpperBound: engine.AppendKey(nil, end)})
	if err != nil {
		return err
	}
	defer iter.Close()
	var ids []kvpb.RangeID
	for iter.First(); iter.Valid(); iter.Next() {
		key, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return err
		}
		if id, kind, ok := keys.DecodeReplica(key); ok && kind == kindReplica {
			ids = append(ids, kvpb.RangeID(id))
		}
	}
	if err := iter.Error(); err != nil {
		return err
	}
	for _, id := range ids {
		r, err := loadReplica(s, id)
		if err != nil {
			return fmt.Errorf("range %d: %w", id, err)
		}
		s.replicas[id] = r
	}
	s.indexLocked()
	return nil
}

// indexLocked rebuilds the order by keys.
func (s *Store) indexLocked() {
	s.byKey = make([]*Replica, 0, len(s.replicas))
	for _, r := range s.replicas {
		s.byKey = append(s.byKey, r)
	}
	slices.SortFunc(s.byKey, func(a, b *Replica) int {
		return cmp.Compare(string(a.Descriptor().Start), string(b.Descriptor().Start))
	})
}

// Bootstrap makes the first range of a new cluster, with its only replica
// here, holding the whole key space.
func (s *Store) Bootstrap() error {
	me := kvpb.ReplicaDescriptor{Node: s.Node, Store: s.Config.Store, Replica: 1}
	d := &kvpb.RangeDescriptor{Range: 1, Start: keys.Min, End: keys.Max, Replicas: []kvpb.ReplicaDescriptor{me}, NextReplicaID: 2, Generation: 1}
	batch := s.Engines.State.NewBatch()
	if err := writeReplica(batch, d, me.Replica, &appliedState{index: initialIndex, term: initialTerm}); err != nil {
		return err
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	if err := s.Engines.State.Flush(); err != nil {
		return err
	}
	r, err := loadReplica(s, d.Range)
	if err != nil {
		return err
	}
	s.add(r)
	r.start()
	return nil
}

// writeReplica writes the state of a replica that is new to the store.
func writeReplica(w *pebble.Batch, d *kvpb.RangeDescriptor, id kvpb.ReplicaID, applied *appliedState) error {
	if err := setReplica(w, d.Range, kindReplica, binary.BigEndian.AppendUint32(nil, uint32(id))); err != nil {
		return err
	}
	if err := setReplica(w, d.Range, kindDescriptor, d.Append(nil)); err != nil {
		return err
	}
	return setReplica(w, d.Range, kindApplied, applied.append(nil))
}

func setReplica(w *pebble.Batch, id kvpb.RangeID, kind byte, value []byte) error {
	return w.Set(engine.AppendKey(nil, keys.Replica(int64(id), kind)), value, nil)
}

func (s *Store) add(r *Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas[r.id] = r
	s.indexLocked()
	s.missing.found(r.id)
}

func (s *Store) reindex() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexLocked()
}

// Replica returns the store's replica of a range.
func (s *Store) Replica(id kvpb.RangeID) (*Replica, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.replicas[id]
	return r, ok
}

// ReplicaFor returns the store's replica of the range that holds key.
func (s *Store) ReplicaFor(key []byte) (*Replica, bool) {
	s.mu.RLock()
	all := s.byKey
	s.mu.RUnlock()
	i, found := slices.BinarySearchFunc(all, key, func(r *Replica, key []byte) int {
		return cmp.Compare(string(r.Descriptor().Start), string(key))
	})
	if !found {
		i--
	}
	if i < 0 || !all[i].Descriptor().Contains(key) {
		return nil, false
	}
	return all[i], true
}

// Replicas returns all replicas in the order of their keys. The slice must
// not be changed.
func (s *Store) Replicas() []*Replica {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKey
}

// HandleMessages takes in messages of other stores. A replica that is not here
// comes to be by a snapshot only.
func (s *Store) HandleMessages(messages []Message) {
	for i := range messages {
		m := &messages[i]
		if r, ok := s.Replica(m.Range); !ok {
			s.heardForMissing(m)
		} else if m.To.Replica == r.replicaID {
			r.receive(*m)
		}
	}
}

// tick drives Raft's clock.
func (s *Store) tick() {
	ticker := time.NewTicker(TickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			for _, r := range s.Replicas() {
				r.tick()
			}
		}
	}
}

// fail stops the store after a broken invariant or a failed write.
func (s *Store) fail(err error) {
	s.mu.Lock()
	already := s.stopped
	s.stopped = true
	s.mu.Unlock()
	if !already {
		s.Logger.Error("the store stops", "store", s.Config.Store, "error", err)
		s.Config.Failed(err)
	}
}

func (s *Store) isStopped() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stopped
}

// Close stops driving the replicas. Proposals that are still open fail as
// ambiguous.
func (s *Store) Close() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	close(s.stop)
	s.cancel()
	s.sched.close()
	s.log.close()
	s.done.Wait()
	for _, r := range s.Replicas() {
		r.failProposals("the node stopped")
	}
	s.background.Wait()
}

// spawn runs fn in a goroutine that Close waits for. It returns false, and does
// nothing, once the store is stopped.
func (s *Store) spawn(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.background.Go(fn)
	return true
}

// scheduler hands replicas that have work to a fixed number of workers.
type scheduler struct {
	mu     sync.Mutex
	ready  sync.Cond
	queue  []*Replica // guarded by mu; each at most once, see Replica.queued
	closed bool       // guarded by mu
}

func newScheduler() *scheduler {
	s := &scheduler{}
	s.ready.L = &s.mu
	return s
}

func (s *scheduler) enqueue(r *Replica) {
	if r.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.queue = append(s.queue, r)
	s.mu.Unlock()
	s.ready.Signal()
}

func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ready.Broadcast()
}

func (s *scheduler) work() {
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.closed {
			s.ready.Wait()
		}
		if s.closed {
			s.mu.Unlock()
			return
		}
		r := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		r.queued.Store(false)
		r.drive()
	}
}

// waitContext waits until done is closed or ctx ends.
func waitContext(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
