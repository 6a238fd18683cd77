package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// Replica is this store's copy of a range. It is safe for concurrent use.
type Replica struct {
	store     *Store
	id        kvpb.RangeID
	replicaID kvpb.ReplicaID
	queued    atomic.Bool // stands in the scheduler's queue

	// driving is held by the worker that drives the replica. What only it
	// touches: applied, replayed, pendingSnapshots.
	driving sync.Mutex
	applied appliedState
	// replayed is the last lease of ours that was applied from an entry of an
	// earlier life: those up to replayTo, and those that ofEarlierLife tells. State
	// may have lost it in a crash, yet it was in use.
	replayed int64
	replayTo uint64
	// pendingSnapshots have arrived together with raft's messages of them, and
	// raft has not decided about them yet.
	pendingSnapshots []*receivedSnapshot

	descriptor atomic.Pointer[kvpb.RangeDescriptor]
	view       atomic.Pointer[view]

	mu        sync.Mutex
	node      *raft.RawNode        // guarded by mu
	log       *raftLog             // guarded by mu
	inbox     []Message            // guarded by mu
	written   uint64               // guarded by mu; last index handed to the log writer
	leader    kvpb.ReplicaID       // guarded by mu; 0: unknown
	proposals map[uint64]*Proposal // guarded by mu; by command id
	leaseFor  *leaseAttempt        // guarded by mu; the request in flight
	removed   bool                 // guarded by mu
	// askedUntil is the latest expiration of a lease that this replica asked for
	// for itself.
	askedUntil hlc.Timestamp // guarded by mu
	// leaderless counts the ticks since a leader was last known.
	leaderless int // guarded by mu
	// revoked is the sequence of a lease of ours that we gave away or held in an
	// earlier life: it must not be used.
	revoked int64 // guarded by mu
	// earlier is the sequence of a lease that we held in an earlier life.
	earlier int64 // guarded by mu

	changing sync.Mutex // held by who splits the range or changes its replicas
	// rewriting is held by who truncates or replaces the log, from the change in
	// memory to that on disk. Taken before mu.
	rewriting sync.Mutex
}

// view is what readers need of the applied state without a lock.
type view struct {
	index  uint64
	lease  Lease
	stats  kvpb.RangeStatistics
	closed hlc.Timestamp
	// revoked is Replica.revoked.
	revoked int64
}

// Proposal is a command on its way.
type Proposal struct {
	done chan struct{}
	err  error // valid once done is closed
	// term and lease are those that it was proposed under: once an entry of a
	// later term is applied, or a later lease is in force, it takes effect no
	// more.
	term  uint64
	lease int64
}

// Decided reports whether Wait would return at once: the command's fate is
// known.
func (p *Proposal) Decided() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait returns when the command was applied here, or is known not to be. It
// returns nil, *RejectedError (not applied, and never will be), or
// *kvpb.AmbiguousResultError where the replica will not learn it: it was
// removed, the store stopped, or a snapshot took the place of the log. When ctx
// ends first the outcome is ambiguous too, and may still be waited for.
func (p *Proposal) Wait(ctx context.Context) error {
	if err := waitContext(ctx, p.done); err != nil {
		return &kvpb.AmbiguousResultError{Cause: "the wait for replication ended: " + err.Error()}
	}
	return p.err
}

// RejectedError: the command was not applied because the lease that it was
// evaluated under is not the current one any more, or the replica does not
// lead its group. It may be evaluated again by the leaseholder.
type RejectedError struct{ Cause string }

func (e *RejectedError) Error() string { return "rejected: " + e.Cause }

func loadReplica(s *Store, id kvpb.RangeID) (*Replica, error) {
	r := &Replica{store: s, id: id, proposals: map[uint64]*Proposal{}}
	d := &kvpb.RangeDescriptor{}
	if err := r.readState(s.Engines.State, kindDescriptor, d.Unmarshal); err != nil {
		return nil, err
	}
	if err := r.readState(s.Engines.State, kindApplied, r.applied.decode); err != nil {
		return nil, err
	}
	if err := r.readState(s.Engines.State, kindReplica, func(b []byte) error {
		if len(b) != 4 {
			return errMalformed
		}
		r.replicaID = kvpb.ReplicaID(binary.BigEndian.Uint32(b))
		return nil
	}); err != nil {
		return nil, err
	}
	r.descriptor.Store(d)
	if r.holds(&r.applied.lease) {
		r.disownLocked(r.applied.lease.Sequence) // nobody else has the replica yet
	}
	r.publish()
	var err error
	if r.log, err = loadLog(s.Engines.Log, id, r.applied.index, r.applied.term); err != nil {
		return nil, err
	}
	r.log.confState = confStateOf(d)
	r.written, r.replayTo = r.log.last, r.log.last
	r.node, err = raft.NewRawNode(&raft.Config{
		ID:                        uint64(r.replicaID),
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   r.log,
		Applied:                   r.applied.index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  8 << 20,
		MaxUncommittedEntriesSize: 64 << 20,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          16 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		Logger:                    raftLogger{s.Logger},
	})
	return r, err
}

func (r *Replica) readState(from engine.Reader, kind byte, decode func([]byte) error) error {
	value, closer, err := from.Get(engine.AppendKey(nil, keys.Replica(int64(r.id), kind)))
	if err != nil {
		return fmt.Errorf("state %q: %w", kind, err)
	}
	defer closer.Close()
	return decode(append([]byte(nil), value...))
}

// confStateOf returns the Raft configuration that a descriptor stands for.
func confStateOf(d *kvpb.RangeDescriptor) *raftpb.ConfState {
	c := &raftpb.ConfState{}
	for _, m := range d.Replicas {
		if m.Type == kvpb.Learner {
			c.Learners = append(c.Learners, uint64(m.Replica))
		} else {
			c.Voters = append(c.Voters, uint64(m.Replica))
		}
	}
	return c
}

// publish makes the applied state visible. Called by whoever drives the
// replica, or before anyone does.
func (r *Replica) publish() {
	r.view.Store(&view{index: r.applied.index, lease: r.applied.lease, stats: r.applied.stats, closed: r.applied.closed, revoked: r.revoked})
}

// disownLocked keeps the replica from using a lease that it held in an earlier
// life, or has learned of by a snapshot: it must ask for the next.
func (r *Replica) disownLocked(sequence int64) {
	r.revoked, r.earlier = max(r.revoked, sequence), max(r.earlier, sequence)
}

// holds reports whether a lease is this replica's.
func (r *Replica) holds(l *Lease) bool {
	return l.Holder.Replica == r.replicaID && l.Holder.Store == r.store.Config.Store
}

// start begins to drive the replica. A range's only voter needs no votes.
func (r *Replica) start() {
	if d := r.Descriptor(); len(d.Replicas) == 1 && d.Replicas[0].Replica == r.replicaID {
		r.mu.Lock()
		// An error says that it leads already.
		_ = r.node.Campaign()
		r.mu.Unlock()
	}
	r.store.sched.enqueue(r)
}

// Range returns the range's id.
func (r *Replica) Range() kvpb.RangeID { return r.id }

// Descriptor returns the range's descriptor as applied here. It must not be
// changed.
func (r *Replica) Descriptor() *kvpb.RangeDescriptor { return r.descriptor.Load() }

// Self returns how other replicas name this one.
func (r *Replica) Self() kvpb.ReplicaDescriptor {
	if d, ok := r.Descriptor().ReplicaOn(r.store.Config.Store); ok {
		return d
	}
	return kvpb.ReplicaDescriptor{Node: r.store.Node, Store: r.store.Config.Store, Replica: r.replicaID}
}

// Statistics returns the range's statistics as applied here.
func (r *Replica) Statistics() kvpb.RangeStatistics { return r.view.Load().stats }

// AppliedIndex returns the position in the log up to which commands took
// effect here.
func (r *Replica) AppliedIndex() uint64 { return r.view.Load().index }

// Closed returns the timestamp at and below which the range takes no more
// writes.
func (r *Replica) Closed() hlc.Timestamp { return r.view.Load().closed }

// Lease returns what the lease is worth at now, from this replica's view.
func (r *Replica) Lease(now hlc.Timestamp) LeaseStatus {
	v := r.view.Load()
	return LeaseStatus{
		Lease: v.lease,
		State: v.lease.stateAt(now, r.store.Clock.MaxOffset()),
		Mine:  r.holds(&v.lease) && v.lease.Sequence > v.revoked,
	}
}

// Leader returns the replica that leads the group as far as known here, and
// whether it is this one.
func (r *Replica) Leader() (leader kvpb.ReplicaDescriptor, mine bool) {
	r.mu.Lock()
	id := r.leader
	r.mu.Unlock()
	for _, d := range r.Descriptor().Replicas {
		if d.Replica == id {
			return d, id == r.replicaID
		}
	}
	return kvpb.ReplicaDescriptor{}, false
}

// Propose sends a command through the log. LeaseSequence must be that of the
// lease under which it was evaluated. It fails with *RejectedError where the
// replica does not lead.
func (r *Replica) Propose(_ context.Context, c *Command) (*Proposal, error) {
	return r.propose(c, nil)
}

func (r *Replica) propose(c *Command, change *raftpb.ConfChangeV2) (*Proposal, error) {
	c.id, c.proposer = r.store.nextID.Add(1), r.replicaID
	data := c.append(make([]byte, 0, len(c.Batch)+256))
	p := &Proposal{done: make(chan struct{}), lease: c.LeaseSequence}
	r.mu.Lock()
	if r.removed || r.store.isStopped() {
		r.mu.Unlock()
		return nil, &RejectedError{Cause: "the replica is stopped"}
	}
	r.proposals[c.id] = p
	p.term = r.node.BasicStatus().GetTerm()
	var err error
	if change != nil {
		change.Context = data
		err = r.node.ProposeConfChange(change)
	} else {
		err = r.node.Propose(data)
	}
	if err != nil {
		delete(r.proposals, c.id)
	}
	r.mu.Unlock()
	if err != nil {
		return nil, &RejectedError{Cause: err.Error()}
	}
	// The proposer drives the replica itself when nobody else does: one
	// hand-off less.
	r.tryDrive()
	return p, nil
}

// leaseAttempt is a request for the lease that several callers may wait for.
type leaseAttempt struct {
	done chan struct{}
	err  error
}

// AcquireLease gets the lease for this replica, or extends it. It returns nil
// once the replica holds a usable one. Callers share one request.
func (r *Replica) AcquireLease(ctx context.Context) error {
	r.mu.Lock()
	a := r.leaseFor
	if a == nil {
		a = &leaseAttempt{done: make(chan struct{})}
		r.leaseFor = a
		// The attempt outlives a caller that gives up.
		if !r.store.spawn(func() { r.acquireLease(r.store.ctx, a) }) {
			r.leaseFor = nil
			r.mu.Unlock()
			return &RejectedError{Cause: "the store is stopped"}
		}
	}
	r.mu.Unlock()
	if err := waitContext(ctx, a.done); err != nil {
		return err
	}
	return a.err
}

func (r *Replica) acquireLease(ctx context.Context, a *leaseAttempt) {
	a.err = func() error {
		now := r.store.Clock.Now()
		v := r.view.Load()
		r.mu.Lock()
		leads := r.leader == r.replicaID
		earlier := r.earlier
		r.mu.Unlock()
		if !leads {
			return &RejectedError{Cause: "this replica does not lead its group"}
		}
		// In this life the clock has been moved past all that was served: a lease
		// that was given away in vain begins again now. In an earlier one, up to
		// the maximum offset may have been served beyond it.
		alone := len(r.Descriptor().Replicas) == 1 || v.lease.Sequence > earlier
		next, err := nextLease(v.lease, r.Self(), now, r.store.Clock.MaxOffset(), v.lease.Sequence <= v.revoked, alone)
		if err != nil {
			return &RejectedError{Cause: err.Error()}
		}
		if err := r.store.waitUntil(ctx, next.Start); err != nil {
			return &RejectedError{Cause: err.Error()}
		}
		r.mu.Lock()
		r.askedUntil = r.askedUntil.Max(next.Expiration)
		r.mu.Unlock()
		p, err := r.propose(&Command{LeaseSequence: v.lease.Sequence, lease: &next}, nil)
		if err != nil {
			return err
		}
		return p.Wait(ctx)
	}()
	r.mu.Lock()
	r.leaseFor = nil
	r.mu.Unlock()
	close(a.done)
}

// waitUntil waits until this node's own clock has passed ts. A lease that began
// in the future would let commits be acknowledged whose timestamps are beyond
// what transactions of other nodes, with slower clocks, take to be uncertain.
func (s *Store) waitUntil(ctx context.Context, ts hlc.Timestamp) error {
	for {
		ahead := time.Duration(ts.WallTime - s.Clock.PhysicalNow())
		if ahead < 0 {
			return nil
		}
		timer := time.NewTimer(ahead + time.Nanosecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// ExtendLease extends the lease in the background when it is ours and near
// its end. Cheap when it isn't: to be called for each request.
func (r *Replica) ExtendLease(now hlc.Timestamp) {
	l := &r.view.Load().lease
	if now.Less(l.Expiration.Add(-leaseRenewal)) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaseFor == nil {
		a := &leaseAttempt{done: make(chan struct{})}
		if r.store.spawn(func() { r.acquireLease(r.store.ctx, a) }) {
			r.leaseFor = a
		}
	}
}

// TransferLease gives the lease, and with it the group's leadership, to the
// replica on another store. From its call on this replica does not serve.
func (r *Replica) TransferLease(ctx context.Context, to kvpb.StoreID) error {
	target, ok := r.Descriptor().ReplicaOn(to)
	if !ok || target.Type != kvpb.Voter {
		return fmt.Errorf("store %d has no voting replica of range %d", to, r.id)
	}
	if target.Replica == r.replicaID {
		return nil
	}
	// Reading the clock after revoking puts the new lease's start above
	// everything that was served.
	r.mu.Lock()
	current := r.view.Load().lease
	r.revoked = max(r.revoked, current.Sequence)
	v := *r.view.Load()
	v.revoked = r.revoked
	r.view.Store(&v)
	r.mu.Unlock()
	next := transferLease(current, target, r.store.Clock.Now())
	p, err := r.propose(&Command{LeaseSequence: current.Sequence, lease: &next}, nil)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	r.node.TransferLeader(uint64(target.Replica))
	r.mu.Unlock()
	r.store.sched.enqueue(r)
	return nil
}

// receive takes in a message of another replica.
func (r *Replica) receive(m Message) {
	r.mu.Lock()
	full := len(r.inbox) > 4096
	if !full {
		r.inbox = append(r.inbox, m)
	}
	r.mu.Unlock()
	if !full {
		r.store.sched.enqueue(r)
	}
}

func (r *Replica) tick() {
	r.mu.Lock()
	if !r.removed {
		r.node.Tick()
	}
	if r.leader != 0 {
		r.leaderless = 0
	} else {
		r.leaderless++
	}
	leaderless := r.leaderless
	if leaderless > unheardTicks && len(r.proposals) > 0 {
		r.giveUpLocked()
	}
	ready := r.node.HasReady()
	leads, bytes := r.leader == r.replicaID, r.log.bytes
	r.mu.Unlock()
	if ready {
		r.store.sched.enqueue(r)
	}
	if bytes > truncateBytes {
		r.truncate(leads)
	}
	if leaderless > 0 {
		if leaderless%campaignTicks == 1 {
			r.campaignForLease()
		}
		return
	}
	r.followLease(leads)
}

// unheardTicks is how long no leader is heard of before open proposals are
// given up.
const unheardTicks = 10

// giveUpLocked ends the proposals of a replica that was cut off: it leads no
// more, and hears from nobody what became of them. They are ambiguous; waiting
// for them would take as long as the cut. But not before the lease has run out,
// and all that were asked for: whatever this replica evaluates next, it does under
// a lease that comes after them in the log, so that it sees them if they took
// effect.
func (r *Replica) giveUpLocked() {
	until := r.view.Load().lease.Expiration.Max(r.askedUntil)
	if until.Less(r.store.Clock.Now()) {
		r.failProposalsLocked("the range's other replicas can't be heard")
	}
}

// campaignTicks is how long a campaign for the lease's sake may take before the
// next.
const campaignTicks = 4

// campaignForLease stands for election where nobody leads and the lease is
// ours: the right range of a split begins like that, and its other replicas may
// come to be after its first campaign.
func (r *Replica) campaignForLease() {
	if l := r.Lease(r.store.Clock.Now()); !l.Mine || l.State != LeaseUsable {
		return
	}
	r.mu.Lock()
	// An error says that it campaigns or leads already.
	_ = r.node.Campaign()
	r.mu.Unlock()
	r.store.sched.enqueue(r)
}

// followLease moves the group's leadership to the leaseholder: only a leader
// can propose, so a leaseholder that doesn't lead can't serve writes.
func (r *Replica) followLease(leads bool) {
	if !leads {
		return
	}
	l := r.Lease(r.store.Clock.Now())
	if l.State == LeaseUsable && l.Holder.Replica != r.replicaID {
		r.mu.Lock()
		r.node.TransferLeader(uint64(l.Holder.Replica))
		r.mu.Unlock()
		r.store.sched.enqueue(r)
	}
}

// persisted is called by the log writer when what raft wanted written is
// durable: its answers may go out.
func (r *Replica) persisted(m *raftpb.Message) {
	var out []*raftpb.Message
	r.mu.Lock()
	r.log.appended(m.GetEntries())
	for _, answer := range m.GetResponses() {
		if answer.GetTo() == uint64(r.replicaID) {
			r.step(answer)
		} else {
			out = append(out, answer)
		}
	}
	r.mu.Unlock()
	r.send(out)
	r.store.sched.enqueue(r)
}

// step gives raft a message; mu is held. Errors are about messages that raft
// has no use for.
func (r *Replica) step(m *raftpb.Message) {
	if err := r.node.Step(m); err != nil && !errors.Is(err, raft.ErrProposalDropped) && !errors.Is(err, raft.ErrStepPeerNotFound) {
		r.store.Logger.Debug("raft message not taken", "range", r.id, "type", m.GetType(), "error", err)
	}
}

// send passes messages on to the transport.
func (r *Replica) send(messages []*raftpb.Message) {
	if len(messages) == 0 {
		return
	}
	d := r.Descriptor()
	self := r.Self()
	for _, m := range messages {
		to, ok := replicaByID(d, kvpb.ReplicaID(m.GetTo()))
		if !ok {
			continue
		}
		if m.GetType() == raftpb.MsgSnap {
			r.store.spawn(func() { r.sendRaftSnapshot(to, m) })
			continue
		}
		if !r.store.Transport.Send(to.Store, []Message{{Range: r.id, From: self, To: to, Raft: m}}) {
			r.mu.Lock()
			r.node.ReportUnreachable(m.GetTo())
			r.mu.Unlock()
		}
	}
}

func replicaByID(d *kvpb.RangeDescriptor, id kvpb.ReplicaID) (kvpb.ReplicaDescriptor, bool) {
	for _, m := range d.Replicas {
		if m.Replica == id {
			return m, true
		}
	}
	return kvpb.ReplicaDescriptor{}, false
}

// drive lets the replica do all that it can do now.
func (r *Replica) drive() {
	r.driving.Lock()
	defer r.driving.Unlock()
	for r.driveOnce() {
	}
}

// tryDrive is drive, or leaves it to whoever drives now.
func (r *Replica) tryDrive() {
	if !r.driving.TryLock() {
		r.store.sched.enqueue(r)
		return
	}
	more := r.driveOnce()
	r.driving.Unlock()
	if more {
		r.store.sched.enqueue(r)
	}
}

// driveOnce handles one Ready; driving is held. It reports whether there may
// be more to do.
func (r *Replica) driveOnce() bool {
	if r.store.isStopped() {
		return false
	}
	// Raft decides now about the snapshots that are here: what it takes is
	// installed below.
	defer func() { r.pendingSnapshots = nil }()
	r.mu.Lock()
	if r.removed {
		r.mu.Unlock()
		return false
	}
	for _, m := range r.inbox {
		r.step(m.Raft)
	}
	clear(r.inbox)
	r.inbox = r.inbox[:0]
	if !r.node.HasReady() {
		r.mu.Unlock()
		return false
	}
	ready := r.node.Ready()
	if ready.SoftState != nil {
		r.leader = kvpb.ReplicaID(ready.SoftState.Lead)
	}
	var out []*raftpb.Message
	var toApply *raftpb.Message
	var toAppend []appendRequest
	for _, m := range ready.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			toAppend = append(toAppend, appendRequest{replica: r, message: m, previousLast: r.written})
			if n := len(m.GetEntries()); n > 0 {
				r.written = m.GetEntries()[n-1].GetIndex()
			}
		case raft.LocalApplyThread:
			toApply = m
		default:
			out = append(out, m)
		}
	}
	r.mu.Unlock()

	r.send(out)
	for _, a := range toAppend {
		if a.message.GetSnapshot() != nil && !raft.IsEmptySnap(a.message.GetSnapshot()) {
			if err := r.installSnapshot(a.message); err != nil {
				r.store.fail(fmt.Errorf("range %d: taking in a snapshot: %w", r.id, err))
				return false
			}
			continue
		}
		r.store.log.enqueue(a)
	}
	if toApply != nil {
		if err := r.apply(toApply.GetEntries()); err != nil {
			r.store.fail(fmt.Errorf("range %d: applying: %w", r.id, err))
			return false
		}
		r.mu.Lock()
		for _, answer := range toApply.GetResponses() {
			if answer.GetTo() == uint64(r.replicaID) {
				r.step(answer)
			}
		}
		r.mu.Unlock()
	}
	return true
}

// rejectOutdatedLocked ends the proposals that can't take effect any more: what
// their leader appended is either applied by now or was replaced by a later
// leader's entries, or it finds another lease in force. They are not ambiguous.
func (r *Replica) rejectOutdatedLocked() {
	for id, p := range r.proposals {
		if p.term < r.applied.term || p.lease < r.applied.lease.Sequence {
			p.err = &RejectedError{Cause: "the range's leader or leaseholder changed"}
			close(p.done)
			delete(r.proposals, id)
		}
	}
}

func (r *Replica) failProposals(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failProposalsLocked(cause)
}

func (r *Replica) failProposalsLocked(cause string) {
	for id, p := range r.proposals {
		p.err = &kvpb.AmbiguousResultError{Cause: cause}
		close(p.done)
		delete(r.proposals, id)
	}
}

// truncateBytes is how large a log grows before its applied part is dropped.
const truncateBytes = 8 << 20

// truncate drops what is applied, flushed, and on the leader what followers
// that are heard from have.
func (r *Replica) truncate(leads bool) {
	var durable appliedState
	iter, err := r.store.Engines.State.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		r.store.Logger.Warn("can't read what is flushed", "error", err)
		return
	}
	key := engine.AppendKey(nil, keys.Replica(int64(r.id), kindApplied))
	if iter.SeekGE(key) && string(iter.Key()) == string(key) {
		err = durable.decode(append([]byte(nil), iter.Value()...))
	}
	if closeErr := iter.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		r.store.Logger.Warn("can't read what is flushed", "error", err)
		return
	}
	if !r.rewriting.TryLock() {
		return
	}
	defer r.rewriting.Unlock()
	r.mu.Lock()
	if r.removed {
		r.mu.Unlock()
		return
	}
	to := durable.index
	if leads {
		for id, progress := range r.node.Status().Progress {
			if id != uint64(r.replicaID) && progress.RecentActive {
				to = min(to, progress.Match)
			}
		}
	}
	if to <= r.log.truncatedIndex {
		stuck := r.log.bytes > 4*truncateBytes && durable.index <= r.log.truncatedIndex
		r.mu.Unlock()
		if stuck {
			// State's memtable has not filled up for long: flush it.
			if _, err := r.store.Engines.State.AsyncFlush(); err != nil {
				r.store.Logger.Warn("can't flush", "error", err)
			}
		}
		return
	}
	term, err := r.log.Term(to)
	if err != nil {
		r.mu.Unlock()
		return
	}
	from := r.log.truncatedIndex + 1
	r.log.truncate(to, term)
	value := r.log.truncatedValue()
	r.mu.Unlock()
	batch := r.store.Engines.Log.NewBatch()
	defer batch.Close()
	_ = batch.Set(logKey(r.id, logTruncated), value, nil)
	_ = batch.DeleteRange(logEntryKey(r.id, from), logEntryKey(r.id, to+1), nil)
	// Not synced: a truncation that is lost is done again. The marker and the
	// deletion are lost together or not at all.
	if err := batch.Commit(pebble.NoSync); err != nil {
		r.store.Logger.Warn("can't truncate a raft log", "range", r.id, "error", err)
	}
}
