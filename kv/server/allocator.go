package server

import (
	"context"
	"slices"
	"time"

	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore"
)

// replicationFactor is how many voters a range has once there are as many
// nodes.
const replicationFactor = 3

// candidate is a store as the allocator sees it.
type candidate struct {
	target         kvpb.ReplicaTarget
	ranges, leases int
	live           bool
	draining       bool
	silent         time.Duration
}

// replicaChange is the next step towards a range's wanted replicas. A zero
// field is nothing to do.
type replicaChange struct {
	add    kvpb.ReplicaTarget
	remove kvpb.StoreID
}

func (c replicaChange) none() bool { return c == replicaChange{} }

// candidates returns the stores of all known nodes.
func (s *Server) candidates() []candidate {
	if s.Directory == nil {
		return []candidate{{target: kvpb.ReplicaTarget{Node: s.Node, Store: s.Store}, live: true}}
	}
	return candidatesOf(s.Directory.Nodes())
}

func candidatesOf(nodes []cluster.Status) []candidate {
	var all []candidate
	for _, n := range nodes {
		for _, store := range n.Stores {
			all = append(all, candidate{
				target: kvpb.ReplicaTarget{Node: n.ID, Store: store.ID},
				ranges: store.Ranges, leases: store.Leases,
				live: n.Live, draining: n.Draining, silent: n.Silent,
			})
		}
	}
	return all
}

// wantedVoters returns how many voters a range should have, given the nodes
// that are alive: 1 until there are as many as the replication factor.
func (s *Server) wantedVoters() int {
	live := 0
	for _, c := range s.candidates() {
		if c.live {
			live++
		}
	}
	if live < replicationFactor {
		return 1
	}
	return replicationFactor
}

func voters(d *kvpb.RangeDescriptor) int {
	n := 0
	for _, r := range d.Replicas {
		if r.Type == kvpb.Voter {
			n++
		}
	}
	return n
}

func (s *Server) planReplicas(d *kvpb.RangeDescriptor) replicaChange {
	return planReplicas(d, s.candidates(), s.Store, s.ReplaceDeadAfter)
}

// planReplicas is the next change of a range's replicas, as its leaseholder on
// store self sees it: finish a learner, raise to the replication factor,
// replace what is dead for long, remove what is too many, and even out the
// stores' counts. It is a pure function.
func planReplicas(d *kvpb.RangeDescriptor, all []candidate, self kvpb.StoreID, deadAfter time.Duration) replicaChange {
	stores := map[kvpb.StoreID]candidate{}
	for _, c := range all {
		stores[c.target.Store] = c
	}
	isDead := func(m kvpb.ReplicaDescriptor) bool {
		c, known := stores[m.Store]
		return known && !c.live && c.silent > deadAfter
	}
	var voters, dead []kvpb.ReplicaDescriptor
	for _, m := range d.Replicas {
		switch {
		case m.Type != kvpb.Voter && stores[m.Store].live:
			// A change that was not finished: AddReplica goes on with it.
			return replicaChange{add: kvpb.ReplicaTarget{Node: m.Node, Store: m.Store}}
		case m.Type != kvpb.Voter:
			if isDead(m) {
				return replicaChange{remove: m.Store}
			}
		default:
			voters = append(voters, m)
			if isDead(m) && m.Store != self {
				dead = append(dead, m)
			}
		}
	}
	spare, hasSpare := emptiest(d, all)
	live := 0
	for _, c := range all {
		if c.live && !c.draining {
			live++
		}
	}
	switch {
	case len(voters)-len(dead) < replicationFactor && hasSpare && (len(dead) > 0 || live >= replicationFactor):
		return replicaChange{add: spare.target}
	case len(voters) > replicationFactor && len(dead) > 0:
		return replicaChange{remove: dead[0].Store}
	case len(voters) > replicationFactor:
		if m, ok := fullest(voters, stores, self); ok {
			return replicaChange{remove: m.target.Store}
		}
	case len(voters) == replicationFactor && hasSpare:
		// Moving one must bring both nearer to the middle.
		if m, ok := fullest(voters, stores, self); ok && m.ranges > spare.ranges+2 {
			return replicaChange{add: spare.target}
		}
	}
	return replicaChange{}
}

// emptiest returns the live store with the fewest ranges that has no replica
// of d's range, on a node that has none either.
func emptiest(d *kvpb.RangeDescriptor, all []candidate) (best candidate, found bool) {
	for _, c := range all {
		taken := slices.ContainsFunc(d.Replicas, func(m kvpb.ReplicaDescriptor) bool {
			return m.Store == c.target.Store || m.Node == c.target.Node
		})
		if c.live && !c.draining && !taken && (!found || c.ranges < best.ranges) {
			best, found = c, true
		}
	}
	return best, found
}

// fullest returns the store with the most ranges among the voters, other than
// self.
func fullest(voters []kvpb.ReplicaDescriptor, stores map[kvpb.StoreID]candidate, self kvpb.StoreID) (best candidate, found bool) {
	for _, m := range voters {
		if c, known := stores[m.Store]; known && m.Store != self && (!found || c.ranges > best.ranges) {
			best, found = c, true
		}
	}
	return best, found
}

// carryOut does what planReplicas wants.
func (s *Server) carryOut(ctx context.Context, r *replica, change replicaChange) error {
	d := r.raft.Descriptor()
	var err error
	if change.add.Store != 0 {
		if err = r.raft.AddReplica(ctx, change.add); err == nil {
			s.Logger.Info("added a replica", "range", d.Range, "store", change.add.Store)
		}
	} else {
		if err = r.raft.RemoveReplica(ctx, change.remove); err == nil {
			s.Logger.Info("removed a replica", "range", d.Range, "store", change.remove)
		}
	}
	if err != nil {
		return err
	}
	s.queues.wake() // the next step
	return s.publish(ctx, r)
}

// leaseTarget returns the live voter with the fewest leases, other than this
// store.
func (s *Server) leaseTarget(d *kvpb.RangeDescriptor) (kvpb.StoreID, bool) {
	c, ok := fewestLeases(d, s.candidates(), s.Store)
	return c.target.Store, ok
}

func fewestLeases(d *kvpb.RangeDescriptor, all []candidate, self kvpb.StoreID) (best candidate, found bool) {
	for _, c := range all {
		m, member := d.ReplicaOn(c.target.Store)
		if member && m.Type == kvpb.Voter && c.live && !c.draining && c.target.Store != self && (!found || c.leases < best.leases) {
			best, found = c, true
		}
	}
	return best, found
}

// leasePacing is how long other stores' counts need to follow a lease that was
// given away.
const leasePacing = 3 * time.Second

// spreadLeases gives one lease away where this store has clearly more than
// another that could hold it.
func (s *Server) spreadLeases(ctx context.Context) {
	now := s.Clock.Now()
	if now.WallTime-s.queues.pacing.Load() < int64(leasePacing) {
		return
	}
	var mine []*raftstore.Replica
	for _, raft := range s.store.Replicas() {
		if l := raft.Lease(now); l.Mine && l.State == raftstore.LeaseUsable {
			mine = append(mine, raft)
		}
	}
	if len(mine) < 2 {
		return
	}
	all := s.candidates()
	for _, raft := range mine {
		to, ok := fewestLeases(raft.Descriptor(), all, s.Store)
		if !ok || len(mine) < to.leases+2 {
			continue
		}
		s.queues.pacing.Store(now.WallTime)
		ctx, cancel := context.WithTimeout(ctx, queueTimeout)
		err := s.transferLease(ctx, s.replicaOf(raft), to.target.Store)
		cancel()
		if err != nil {
			s.Logger.Debug("a lease was not given away", "range", raft.Range(), "error", err)
		}
		return
	}
}
