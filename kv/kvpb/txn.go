package kvpb

import (
	"encoding/hex"

	"github.com/cairndb/cairn/txn/hlc"
)

// TxnID names a transaction; it is a random UUID.
type TxnID [16]byte

// IsZero reports whether id names no transaction.
func (id TxnID) IsZero() bool { return id == TxnID{} }

// String returns the hexadecimal form.
func (id TxnID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 8 hexadecimal digits, for messages.
func (id TxnID) Short() string { return hex.EncodeToString(id[:4]) }

// TxnStatus is the state of a transaction record.
type TxnStatus uint8

// A transaction is Pending until it ends. Staging: committed if and only if
// all in-flight writes of the record succeeded.
const (
	Pending TxnStatus = iota
	Staging
	Committed
	Aborted
)

// Isolation is the level a transaction runs at.
type Isolation uint8

// The levels. Snapshot and ReadCommitted are reserved.
const (
	Serializable Isolation = iota
	Snapshot
	ReadCommitted
)

// TxnMeta is what an intent knows of its transaction.
type TxnMeta struct {
	ID             TxnID
	Key            []byte // anchor: where the record lives; nil before the first write or lock
	Epoch          int32
	Sequence       int32 // of the last write
	Priority       int32
	Isolation      Isolation
	WriteTimestamp hlc.Timestamp
	// MinTimestamp is below every timestamp the transaction ever had. It bounds
	// from below where its record can be, and tells its age (deadlocks abort
	// the youngest).
	MinTimestamp hlc.Timestamp
	Gateway      NodeID
}

// ObservedTimestamp is a node's clock as the transaction first saw it: values
// of that node's leases above it are not uncertain.
type ObservedTimestamp struct {
	Node      NodeID
	Timestamp hlc.Timestamp
}

// SequencedWrite is a pipelined write that awaits proof.
type SequencedWrite struct {
	Key      []byte
	Sequence int32
}

// SequenceRange is an inclusive range of sequence numbers whose writes a
// savepoint rolled back.
type SequenceRange struct{ Start, End int32 }

// Transaction is a transaction as its coordinator knows it, and in its
// record. ReadTimestamp <= WriteTimestamp; a serializable commit needs them
// equal.
type Transaction struct {
	TxnMeta
	Name          string
	Status        TxnStatus
	ReadTimestamp hlc.Timestamp
	// UncertaintyLimit: versions in (ReadTimestamp, UncertaintyLimit] may have
	// been committed before the transaction began.
	UncertaintyLimit   hlc.Timestamp
	ObservedTimestamps []ObservedTimestamp // sorted by Node
	LastHeartbeat      hlc.Timestamp
	LockSpans          []Span
	InFlightWrites     []SequencedWrite
	IgnoredSeqNums     []SequenceRange // sorted, disjoint
}

// Clone returns a copy that shares no slice that either side appends to.
// The spans' bytes are shared: they are immutable.
func (t *Transaction) Clone() *Transaction {
	c := *t
	c.ObservedTimestamps = append([]ObservedTimestamp(nil), t.ObservedTimestamps...)
	c.LockSpans = append([]Span(nil), t.LockSpans...)
	c.InFlightWrites = append([]SequencedWrite(nil), t.InFlightWrites...)
	c.IgnoredSeqNums = append([]SequenceRange(nil), t.IgnoredSeqNums...)
	return &c
}

// ReplicaType says a replica's part in its Raft group.
type ReplicaType uint8

// Learner replicas receive the log and don't vote; Incoming and Outgoing are
// the states of a joint configuration.
const (
	Voter ReplicaType = iota
	Learner
	Incoming
	Outgoing
)

// ReplicaDescriptor names a replica.
type ReplicaDescriptor struct {
	Node    NodeID
	Store   StoreID
	Replica ReplicaID
	Type    ReplicaType
}

// RangeDescriptor says which keys a range holds and who its replicas are.
// Generation rises with each change, so the higher of two descriptors that
// overlap is the newer.
type RangeDescriptor struct {
	Range         RangeID
	Start, End    []byte
	Replicas      []ReplicaDescriptor
	NextReplicaID ReplicaID
	Generation    int64
}

// Contains reports whether key lies in the range.
func (d *RangeDescriptor) Contains(key []byte) bool {
	return string(key) >= string(d.Start) && string(key) < string(d.End)
}

// ContainsSpan reports whether all of s lies in the range.
func (d *RangeDescriptor) ContainsSpan(s Span) bool {
	if !d.Contains(s.Key) {
		return false
	}
	return len(s.EndKey) == 0 || string(s.EndKey) <= string(d.End)
}

// ReplicaOn returns the replica on a store.
func (d *RangeDescriptor) ReplicaOn(store StoreID) (ReplicaDescriptor, bool) {
	for _, r := range d.Replicas {
		if r.Store == store {
			return r, true
		}
	}
	return ReplicaDescriptor{}, false
}
