package raftstore

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Leases of this first form expire: the holder extends its lease through the
// log while requests come in, and another replica may take it once it has
// run out. The decisions are the pure functions of this file.
//
// What must hold: two replicas never both serve at the same moment of hybrid
// time. A lease is used only up to the clocks' maximum offset before its
// expiration, a new holder's lease starts at or after the old one's
// expiration (or after the old holder gave it away and stopped serving), and a
// command takes effect only under the lease that it was evaluated under.

// Durations of leases. A lost node costs at most LeaseDuration and an election.
const (
	LeaseDuration = 3 * time.Second
	// leaseRenewal is how long before its end a lease in use is extended.
	leaseRenewal = 1500 * time.Millisecond
)

// Lease is the right to serve a range's reads and to evaluate its writes.
type Lease struct {
	Holder kvpb.ReplicaDescriptor
	// Start is when earlier leases ended: nothing was read, written or decided
	// at or above it before this one. It may lie well before the lease was
	// asked for; the first lease's is zero.
	Start      hlc.Timestamp
	Expiration hlc.Timestamp // never goes back within a Sequence
	// Sequence rises when the lease changes hands, and when its holder starts
	// anew after a restart; extensions keep it.
	Sequence int64
}

func (l *Lease) append(b []byte) []byte {
	b = protowire.AppendBytes(b, l.Holder.Append(nil))
	b = appendTime(b, l.Start)
	b = appendTime(b, l.Expiration)
	return protowire.AppendVarint(b, uint64(l.Sequence))
}

func (l *Lease) decode(b []byte, outer *cursor) {
	r := cursor{b: b}
	r.message(&l.Holder)
	l.Start, l.Expiration, l.Sequence = r.time(), r.time(), int64(r.uint())
	if r.err != nil {
		outer.fail()
	}
}

// LeaseState is what a lease is worth at a moment.
type LeaseState int

// A lease is Usable by its holder; in Stasis by nobody, since clocks differ;
// Expired for anyone to take.
const (
	LeaseUsable LeaseState = iota
	LeaseStasis
	LeaseExpired
)

// LeaseStatus is a range's lease as a replica sees it at a moment.
type LeaseStatus struct {
	Lease
	State LeaseState
	// Mine: the replica that was asked holds it and may use it if it is Usable.
	Mine bool
}

// stateAt says what the lease is worth at now.
func (l *Lease) stateAt(now hlc.Timestamp, maxOffset time.Duration) LeaseState {
	switch {
	case l.Sequence == 0 || l.Expiration.LessEq(now):
		return LeaseExpired
	case l.Expiration.Add(-maxOffset).LessEq(now):
		return LeaseStasis
	default:
		return LeaseUsable
	}
}

// nextLease returns the lease that a replica asks for at now, given the
// current one. restarted says that it held the current one in an earlier life,
// in which it may have served reads up to the maximum offset beyond its
// clock; alone says that it is the range's only replica, so that no other
// clock was ever ahead of its own.
func nextLease(current Lease, asker kvpb.ReplicaDescriptor, now hlc.Timestamp, maxOffset time.Duration, restarted, alone bool) (Lease, error) {
	next := Lease{Holder: asker, Expiration: now.Add(LeaseDuration)}
	mine := current.Holder.Replica == asker.Replica && current.Holder.Store == asker.Store
	switch {
	case current.Sequence == 0:
		next.Sequence = 1
	case mine && !restarted:
		// Even where it has run out: nobody else got one meanwhile, or the request
		// will not apply. So an idle range's reads stay known.
		next.Start, next.Sequence = current.Start, current.Sequence
		next.Expiration = next.Expiration.Max(current.Expiration)
	case mine && restarted:
		next.Start, next.Sequence = now, current.Sequence+1
		if !alone {
			next.Start = now.Add(maxOffset)
		}
		next.Start = next.Start.Min(current.Expiration)
		next.Expiration = now.Max(next.Start).Add(LeaseDuration)
	case current.stateAt(now, 0) != LeaseExpired:
		return Lease{}, fmt.Errorf("replica %d holds the lease until %s", current.Holder.Replica, current.Expiration)
	default:
		next.Start, next.Sequence = current.Expiration, current.Sequence+1
	}
	return next, nil
}

// transferLease returns the lease that a holder gives to another replica; from
// now on the holder must not serve.
func transferLease(current Lease, to kvpb.ReplicaDescriptor, now hlc.Timestamp) Lease {
	return Lease{Holder: to, Start: now, Expiration: now.Add(LeaseDuration), Sequence: current.Sequence + 1}
}

// leaseApplies says whether a request for a lease takes effect, given the
// lease at that point of the log, who proposed it, and the sequence that it was
// made under. All replicas decide alike.
func leaseApplies(current, requested Lease, proposer kvpb.ReplicaID, madeUnder int64) bool {
	if madeUnder != current.Sequence {
		return false
	}
	byHolder := current.Sequence == 0 || proposer == current.Holder.Replica
	if requested.Sequence == current.Sequence {
		return byHolder && requested.Holder.Replica == current.Holder.Replica && current.Expiration.LessEq(requested.Expiration)
	}
	// The holder may give its lease away early; anyone else must have seen the
	// last of its extensions.
	return requested.Sequence == current.Sequence+1 && (byHolder || current.Expiration.LessEq(requested.Start))
}
