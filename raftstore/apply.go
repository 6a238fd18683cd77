package raftstore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/kvpb"
)

// apply carries out committed entries, in one batch as far as they are plain.
// What changes the replica itself (split, membership, removal) ends a batch.
// An error means that the replica can't go on: what replicas do here depends
// on nothing but the log.
func (r *Replica) apply(entries []*raftpb.Entry) error {
	for len(entries) > 0 {
		n, err := r.applySome(entries)
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// finished is a proposal of ours whose fate is decided.
type finished struct {
	id  uint64
	err error
}

func (r *Replica) applySome(entries []*raftpb.Entry) (n int, err error) {
	batch := r.store.Engines.State.NewBatch()
	defer batch.Close()
	var results []finished
	var special *Command
	var change *raftpb.ConfChangeV2
	before, beforeTerm := r.applied.lease, r.applied.term
	for n < len(entries) && special == nil {
		e := entries[n]
		n++
		if e.GetIndex() != r.applied.index+1 {
			return 0, fmt.Errorf("entry %d follows %d", e.GetIndex(), r.applied.index)
		}
		r.applied.index, r.applied.term = e.GetIndex(), e.GetTerm()
		data := e.GetData()
		if e.GetType() != raftpb.EntryNormal {
			if change, err = decodeConfChange(e); err != nil {
				return 0, err
			}
			data = change.GetContext()
		}
		if len(data) == 0 {
			if change != nil {
				special = &Command{} // raft's own leaving of a joint configuration
			}
			continue // a new leader's empty entry
		}
		c, err := decodeCommand(data)
		if err != nil {
			return 0, err
		}
		rejection := r.applyCommand(batch, c)
		if c.proposer == r.replicaID {
			results = append(results, finished{id: c.id, err: rejection})
		}
		if change != nil || rejection == nil && c.Split != nil {
			if rejection != nil {
				c.change, c.Split = nil, nil
			}
			special = c
		}
	}
	if special != nil {
		if err := r.prepareSpecial(batch, special); err != nil {
			return 0, err
		}
	}
	if err := setReplica(batch, r.id, kindApplied, r.applied.append(nil)); err != nil {
		return 0, err
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.disownLocked(r.replayed)
	r.publish()
	r.mu.Unlock()
	if r.applied.lease.Sequence != before.Sequence {
		r.store.Observer.LeaseChanged(r, before, r.applied.lease)
	}
	if special != nil {
		if err := r.finishSpecial(special, change); err != nil {
			return 0, err
		}
	}
	outdated := r.applied.term != beforeTerm || r.applied.lease.Sequence != before.Sequence
	if len(results) > 0 || outdated {
		r.mu.Lock()
		for _, f := range results {
			if p := r.proposals[f.id]; p != nil {
				p.err = f.err
				close(p.done)
				delete(r.proposals, f.id)
			}
		}
		if outdated {
			r.rejectOutdatedLocked()
		}
		r.mu.Unlock()
	}
	return n, nil
}

func decodeConfChange(e *raftpb.Entry) (*raftpb.ConfChangeV2, error) {
	if e.GetType() == raftpb.EntryConfChange {
		c := &raftpb.ConfChange{}
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return nil, err
		}
		return c.AsV2(), nil
	}
	c := &raftpb.ConfChangeV2{}
	return c, proto.Unmarshal(e.GetData(), c)
}

// applyCommand adds a command's effects to the batch, or says why it has none.
func (r *Replica) applyCommand(batch *pebble.Batch, c *Command) error {
	if c.lease != nil {
		if !leaseApplies(r.applied.lease, *c.lease, c.proposer, c.LeaseSequence) {
			return &RejectedError{Cause: "another replica got the lease"}
		}
		r.applied.lease = *c.lease
		if r.holds(c.lease) && (r.applied.index <= r.replayTo || r.ofEarlierLife(c)) {
			r.replayed = c.lease.Sequence
		}
		return nil
	}
	if c.LeaseSequence != r.applied.lease.Sequence {
		return &RejectedError{Cause: "the lease changed hands"}
	}
	if c.change != nil && c.change.Generation != r.Descriptor().Generation+1 {
		return &RejectedError{Cause: "the range changed meanwhile"}
	}
	if c.Split != nil && c.Split.Left.Generation != r.Descriptor().Generation+1 {
		return &RejectedError{Cause: "the range changed meanwhile"}
	}
	if len(c.Batch) > 0 {
		// SetRepr shares c.Batch, which belongs to the entry: Apply copies it.
		var effects pebble.Batch
		if err := effects.SetRepr(c.Batch); err != nil {
			return err
		}
		if err := batch.Apply(&effects, nil); err != nil {
			return err
		}
	}
	addStatistics(&r.applied.stats, &c.Stats, 1)
	if r.applied.closed.Less(c.Closed) {
		r.applied.closed = c.Closed
	}
	return nil
}

// ofEarlierLife reports whether a lease of ours was asked for before the store
// was opened. It may have been in use then, though our log had not got it when
// we crashed: followers' disks are enough to commit.
func (r *Replica) ofEarlierLife(c *Command) bool {
	asked, opened := c.lease.Expiration.Add(-LeaseDuration), r.store.opened
	if c.proposer != r.replicaID {
		opened = opened.Add(r.store.Clock.MaxOffset()) // given to us by another clock
	}
	return asked.LessEq(opened)
}

func addStatistics(to, delta *kvpb.RangeStatistics, sign int64) {
	to.LiveBytes += sign * delta.LiveBytes
	to.LiveCount += sign * delta.LiveCount
	to.KeyBytes += sign * delta.KeyBytes
	to.ValueBytes += sign * delta.ValueBytes
	to.KeyCount += sign * delta.KeyCount
	to.VersionCount += sign * delta.VersionCount
	to.LockCount += sign * delta.LockCount
}

// prepareSpecial adds to the batch what a split or a change of replicas writes
// besides the command's own effects.
func (r *Replica) prepareSpecial(batch *pebble.Batch, c *Command) error {
	if c.change != nil {
		return setReplica(batch, r.id, kindDescriptor, c.change.Append(nil))
	}
	if c.Split == nil {
		return nil
	}
	left, right := &c.Split.Left, &c.Split.Right
	addStatistics(&r.applied.stats, &c.Split.RightStats, -1)
	if err := setReplica(batch, r.id, kindDescriptor, left.Append(nil)); err != nil {
		return err
	}
	self, ok := right.ReplicaOn(r.store.Config.Store)
	if !ok {
		return errors.New("a split leaves no right replica on this store")
	}
	// The lease of the right range is the left's: its holder serves both
	// without a pause.
	lease := r.applied.lease
	if holder, ok := right.ReplicaOn(lease.Holder.Store); ok {
		lease.Holder = holder
	}
	return writeReplica(batch, right, self.Replica, &appliedState{
		index: initialIndex, term: initialTerm, lease: lease, stats: c.Split.RightStats, closed: r.applied.closed})
}

// finishSpecial makes a split or a change of replicas known, after its batch
// is committed.
func (r *Replica) finishSpecial(c *Command, change *raftpb.ConfChangeV2) error {
	switch {
	case change != nil:
		if c.change == nil && len(change.GetContext()) > 0 {
			return nil // rejected: raft must not be told
		}
		r.mu.Lock()
		r.log.confState = r.node.ApplyConfChange(change)
		r.mu.Unlock()
		if c.change == nil {
			return nil
		}
		r.descriptor.Store(c.change)
		if _, still := replicaByID(c.change, r.replicaID); !still {
			return r.remove()
		}
		r.store.Observer.DescriptorChanged(r)
		return nil
	case c.Split != nil:
		return r.finishSplit(c.Split)
	default:
		return nil
	}
}

func (r *Replica) finishSplit(s *SplitTrigger) error {
	right, err := r.makeRight(s)
	if err != nil {
		return err
	}
	r.store.reindex()
	r.store.Observer.Split(r, right)
	return nil
}

// makeRight makes the right range's replica of what the split has written.
func (r *Replica) makeRight(s *SplitTrigger) (*Replica, error) {
	r.store.creating.Lock()
	defer r.store.creating.Unlock()
	r.descriptor.Store(&s.Left)
	if err := r.store.Engines.State.Flush(); err != nil {
		return nil, err
	}
	right, ok := r.store.Replica(s.Right.Range)
	if !ok {
		var err error
		if right, err = loadReplica(r.store, s.Right.Range); err != nil {
			return nil, err
		}
		// Loading takes a lease of its own store for one of an earlier life; this
		// one was just inherited from a life that goes on, unless the left's is
		// revoked as well.
		r.mu.Lock()
		leftRevoked := r.revoked
		right.earlier = r.earlier
		leads := r.leader == r.replicaID
		r.mu.Unlock()
		if leftRevoked < r.applied.lease.Sequence {
			right.revoked = 0
			right.publish()
		}
		r.store.add(right)
		if leads {
			right.mu.Lock()
			_ = right.node.Campaign()
			right.mu.Unlock()
		}
		right.start()
	}
	return right, nil
}

// remove deletes the replica from the store; its range has put it out.
func (r *Replica) remove() error {
	d := r.Descriptor()
	r.store.creating.Lock()
	defer r.store.creating.Unlock()
	r.mu.Lock()
	r.removed = true
	r.failProposalsLocked("the replica was removed")
	r.mu.Unlock()
	r.store.mu.Lock()
	delete(r.store.replicas, r.id)
	r.store.indexLocked()
	r.store.mu.Unlock()
	batch := r.store.Engines.State.NewBatch()
	defer batch.Close()
	if err := clearRange(batch, d); err != nil {
		return err
	}
	if err := clearReplica(batch, r.id); err != nil {
		return err
	}
	if err := bury(batch, r.id, r.replicaID); err != nil {
		return err
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	if err := r.store.Engines.State.Flush(); err != nil {
		return err
	}
	if err := r.deleteLog(); err != nil {
		return err
	}
	r.store.Observer.Removed(r)
	return nil
}

// deleteLog removes the log of a replica that is removed, once nobody writes to
// it any more.
func (r *Replica) deleteLog() error {
	if err := r.store.log.drain(); err != nil {
		return err
	}
	r.rewriting.Lock()
	defer r.rewriting.Unlock()
	return r.store.Engines.Log.DeleteRange(logKey(r.id, 0), logKey(r.id, 0xff), pebble.Sync)
}
