// Package kvpb is the vocabulary between the transaction layer, the router
// and the replicas: requests, responses, transactions, range descriptors and
// the errors that cross the layers, with their wire form. It is a leaf that
// everyone may import.
//
// Requests are plain structs passed by value in one slice, so that a call
// within a node allocates little and never serializes. Between nodes, and
// where they are persisted, they travel in the protobuf wire format (written
// with protowire): unknown fields are skipped, so that versions can meet.
package kvpb

import (
	"time"

	"github.com/cairndb/cairn/txn/hlc"
)

// Identifiers. All start at 1; zero means none.
type (
	NodeID    int32
	StoreID   int32
	RangeID   int64
	ReplicaID int32
)

// Span is the keys in [Key, EndKey), or just Key where EndKey is empty.
type Span struct{ Key, EndKey []byte }

// KeyValue is one live pair that a read returned.
type KeyValue struct {
	Key       []byte
	Value     []byte
	Timestamp hlc.Timestamp // of the version; the transaction's own writes have its write timestamp
}

// Kind says what a Request does.
type Kind uint8

// The kinds. Reads and writes of the transactional key space first, then the
// protocol's own, then what operates on ranges. "→" names the Response's fields.
const (
	Invalid Kind = iota

	// Get reads Key → Value, Timestamp. With Lock set it also locks Key (even
	// where there is no value) until the transaction ends, and reads the newest
	// version: one above the read timestamp is a WriteTooOldError.
	Get
	// Scan reads [Key, EndKey) in ascending order → Rows, Resume. ReverseScan
	// in descending order. With Lock set each returned key is locked.
	Scan
	ReverseScan

	// Put writes Value to Key. Blind: it does not read.
	Put
	// ConditionalPut writes Value if Key's newest live value equals Expected,
	// byte for byte; nil Expected means that there must be none. Otherwise
	// ConditionFailedError with the actual value. A nil Value deletes.
	ConditionalPut
	// Delete removes Key → Found (whether there was a live value).
	Delete
	// DeleteRange removes all live keys of [Key, EndKey) → NumKeys, Resume, and
	// with ReturnKeys Rows (keys only).
	DeleteRange
	// Increment adds Delta to the 8-byte big-endian signed integer at Key (none
	// counts as 0) → Int, the new value. Not idempotent: never replayed blindly.
	Increment

	// EndTxn commits or rolls back Header.Txn: EndTxn field. In one batch with
	// all the transaction's writes, on one range, it commits in one phase:
	// neither record nor intents.
	EndTxn
	// HeartbeatTxn creates or refreshes the record of Header.Txn; Key is the
	// transaction's anchor → Txn (its status in the record).
	HeartbeatTxn
	// PushTxn makes room for a pusher against Push.Pushee; Key is the pushee's
	// anchor → Txn (the pushee afterwards) or TransactionPushError.
	PushTxn
	// QueryTxn reads the record of Push.Pushee → Txn, and WaitingTxns.
	QueryTxn
	// QueryIntent checks that Push.Pushee's intent of at least Sequence is at
	// Key (and prevents it from ever being there otherwise) → Found.
	QueryIntent
	// RecoverTxn decides a STAGING record → Txn.
	RecoverTxn
	// ResolveIntent and ResolveIntentRange finish the intents of a transaction
	// that has ended or was pushed: Resolve field.
	ResolveIntent
	ResolveIntentRange
	// Refresh and RefreshRange check that nothing was written to the span
	// between RefreshFrom (exclusive) and the transaction's read timestamp
	// (inclusive) by others; otherwise a TransactionRetryError.
	Refresh
	RefreshRange
	// GarbageCollect removes versions of [Key, EndKey) that no read at or above
	// RefreshFrom can see → NumKeys.
	GarbageCollect
	// AddTable ingests Value, an SST of MVCC keys that lie in [Key, EndKey).
	AddTable

	// AdminSplit splits the range of Key at Admin.SplitKey. Idempotent.
	AdminSplit
	// AdminChangeReplicas moves the range of Key to Admin.Targets.
	AdminChangeReplicas
	// AdminTransferLease moves the lease of Key's range to Admin.Store.
	AdminTransferLease
	// LeaseInfo → Lease holder and descriptor in Ranges, at the leaseholder.
	LeaseInfo
	// RangeStats → Stats of Key's range.
	RangeStats
	// Checksum → Value, the checksum of the range's replicated state.
	Checksum
)

// LockStrength is how strongly a locking read locks.
type LockStrength uint8

// The strengths of PostgreSQL's row locks, in rising order.
const (
	LockNone LockStrength = iota
	LockKeyShare
	LockShare
	LockNoKeyUpdate
	LockUpdate
)

// WaitPolicy says what a request does about a conflicting lock.
type WaitPolicy uint8

// WaitBlock queues; WaitError fails with LockNotAvailableError at once;
// WaitSkip leaves locked keys out of a locking read's result.
const (
	WaitBlock WaitPolicy = iota
	WaitError
	WaitSkip
)

// Request is one operation of a batch. Key is always set; EndKey for kinds
// that work on spans. What else a kind reads is said beside the kind.
type Request struct {
	Kind       Kind
	Lock       LockStrength
	ReturnKeys bool
	Sequence   int32 // of a transaction's write, or the sequence a read sees up to (own writes)
	Key        []byte
	EndKey     []byte
	Value      []byte
	Expected   []byte
	Delta      int64

	RefreshFrom hlc.Timestamp
	EndTxn      *EndTxnArgs
	Push        *PushArgs
	Resolve     *ResolveArgs
	Admin       *AdminArgs
}

// EndTxnArgs completes an EndTxn request.
type EndTxnArgs struct {
	Commit bool
	// LockSpans are all keys that may carry the transaction's intents, condensed.
	LockSpans []Span
	// InFlightWrites are pipelined writes not yet proven; with them the record
	// becomes STAGING instead of COMMITTED (parallel commit; reserved).
	InFlightWrites []SequencedWrite
	// Deadline, if set, is the last timestamp at which the commit may happen
	// (a descriptor lease's end): later it is a TransactionRetryError.
	Deadline hlc.Timestamp
}

// PushType says what a pusher wants of the pushee.
type PushType uint8

// PushTimestamp moves the pushee's write timestamp above PushTo; PushAbort
// ends it; PushTouch only cleans up after an expired or ended one.
const (
	PushTimestamp PushType = iota
	PushAbort
	PushTouch
)

// PushArgs completes PushTxn, QueryTxn, QueryIntent and RecoverTxn.
type PushArgs struct {
	Pusher TxnMeta // zero ID: a non-transactional pusher
	Pushee TxnMeta
	PushTo hlc.Timestamp
	Type   PushType
	// Force wins whatever the priorities are: deadlock breaking.
	Force bool
}

// ResolveArgs completes ResolveIntent and ResolveIntentRange.
type ResolveArgs struct {
	Txn            TxnMeta
	Status         TxnStatus
	IgnoredSeqNums []SequenceRange
	// Poison makes the aborted transaction's later requests on the range fail
	// instead of not seeing its own writes.
	Poison bool
}

// AdminArgs completes the Admin kinds.
type AdminArgs struct {
	SplitKey []byte
	Targets  []ReplicaTarget
	Store    StoreID
}

// ReplicaTarget names where a replica shall live.
type ReplicaTarget struct {
	Node  NodeID
	Store StoreID
}

// Header applies to all requests of a batch.
type Header struct {
	// Txn is the transaction, nil for non-transactional requests. The sender
	// must not change it until the response is there; replicas copy on write.
	Txn *Transaction
	// Timestamp of a non-transactional batch; the zero value means the
	// leaseholder's clock.
	Timestamp hlc.Timestamp
	// Range and Generation are filled in by the router: the range that the
	// batch is for and the generation of the descriptor it was routed by.
	Range      RangeID
	Generation int64

	Wait        WaitPolicy
	LockTimeout time.Duration // 0: none
	// MaxKeys and TargetBytes bound what the batch's scans return together; 0:
	// no bound. A scan that stops early says where in Resume. Requests behind
	// an exhausted bound return Resume = their whole span.
	MaxKeys     int64
	TargetBytes int64
	// CanForwardReadTimestamp: the transaction has read nothing so far, so that
	// a retryable conflict may be answered by moving its read timestamp on the
	// server.
	CanForwardReadTimestamp bool
	Gateway                 NodeID
}

// BatchRequest is what a Sender sends. Requests are carried out in order, as
// one atomic unit where they lie on one range. A batch that spans ranges is
// cut by the router.
type BatchRequest struct {
	Header
	Requests []Request
}

// Response answers the Request of the same index.
type Response struct {
	Value     []byte // nil: no live value
	Timestamp hlc.Timestamp
	Rows      []KeyValue
	Resume    *Span // what was not scanned, nil when all was
	Found     bool
	Int       int64
	NumKeys   int64
	Txn       *Transaction
	Waiting   []TxnMeta // QueryTxn: those that wait for the queried transaction
	Stats     *RangeStatistics
}

// BatchResponse answers a BatchRequest.
type BatchResponse struct {
	// Txn is the transaction as it stands after the batch (pushed timestamps,
	// observed timestamps, status); nil when the batch had none.
	Txn *Transaction
	// Timestamp is when a non-transactional batch took effect.
	Timestamp hlc.Timestamp
	// Now is the serving node's clock, for the caller's to be moved past.
	Now hlc.Timestamp
	// Ranges tells the router of newer descriptors and leaseholders.
	Ranges    []RangeInfo
	Responses []Response
}

// RangeInfo is news about a range for range caches.
type RangeInfo struct {
	Descriptor  RangeDescriptor
	Leaseholder ReplicaDescriptor // zero: unknown
}

// RangeStatistics are a range's sizes, from its replicated state.
type RangeStatistics struct {
	LiveBytes, LiveCount   int64 // newest, not deleted
	KeyBytes, ValueBytes   int64 // all versions
	KeyCount, VersionCount int64
	LockCount              int64
	Reads, Writes          float64 // requests a second, smoothed; not replicated
}
