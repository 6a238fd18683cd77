package kvpb

import (
	"fmt"
	"time"

	"github.com/cairndb/cairn/txn/hlc"
)

// Error is how a batch fails: the cause, which request of the batch it was,
// and the transaction as it stands. Sender implementations return *Error for
// everything that a replica said; anything else that they return is a failure
// of the way there. errors.As finds the Detail.
type Error struct {
	Detail error        // one of the types of this file
	Index  int32        // of the request, -1 when it is about the whole batch
	Txn    *Transaction // nil when the batch had none
	Now    hlc.Timestamp
}

func (e *Error) Error() string { return e.Detail.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Detail }

// NotLeaseholderError: the replica does not hold the range's lease. The
// router tries the one that does.
type NotLeaseholderError struct {
	Descriptor  RangeDescriptor
	Leaseholder ReplicaDescriptor // zero: unknown
}

func (e *NotLeaseholderError) Error() string {
	return fmt.Sprintf("range %d: the lease is held by %+v", e.Descriptor.Range, e.Leaseholder)
}

// RangeNotFoundError: the store has no replica of the range.
type RangeNotFoundError struct {
	Range RangeID
	Store StoreID
}

func (e *RangeNotFoundError) Error() string {
	return fmt.Sprintf("range %d is not on store %d", e.Range, e.Store)
}

// RangeKeyMismatchError: the range does not hold the requested keys (any
// more). Ranges are the descriptors that the store knows for them.
type RangeKeyMismatchError struct {
	Requested Span
	Ranges    []RangeInfo
}

func (e *RangeKeyMismatchError) Error() string {
	return fmt.Sprintf("keys [%x, %x) are not in the range that was asked", e.Requested.Key, e.Requested.EndKey)
}

// WriteTooOldError: there is a committed version at or above the write's
// timestamp. The transaction must move to Actual, refreshing its reads.
type WriteTooOldError struct {
	Key               []byte
	Timestamp, Actual hlc.Timestamp
}

func (e *WriteTooOldError) Error() string {
	return fmt.Sprintf("write at %s is older than the version at %s", e.Timestamp, e.Actual)
}

// UncertaintyError: a read found a version that may have been committed before
// the transaction began. It must move to Existing, refreshing its reads.
type UncertaintyError struct {
	Key            []byte
	Read, Existing hlc.Timestamp
	// Local is a bound from the serving node's observed timestamp: reading at
	// the later of Existing and Local is no longer uncertain there.
	Local hlc.Timestamp
}

func (e *UncertaintyError) Error() string {
	return fmt.Sprintf("read at %s found a version at %s within the clock uncertainty", e.Read, e.Existing)
}

// RetryReason says why a transaction has to start again.
type RetryReason uint8

// The reasons of TransactionRetryError.
const (
	RetrySerializable   RetryReason = iota // its writes were pushed above its reads
	RetryRefreshFailed                     // something it read was changed meanwhile
	RetryDeadline                          // pushed past the deadline (a schema change)
	RetryOnePhaseFailed                    // internal: repeat without one-phase commit
)

// TransactionRetryError: the transaction must be retried in a new epoch.
// SQLSTATE 40001.
type TransactionRetryError struct {
	Reason   RetryReason
	Key      []byte // the key in conflict, where known
	Conflict TxnMeta
	At       hlc.Timestamp
}

func (e *TransactionRetryError) Error() string {
	switch e.Reason {
	case RetryRefreshFailed:
		return "a row that the transaction read was changed by a concurrent transaction"
	case RetryDeadline:
		return "the schema changed while the transaction ran"
	default:
		return "the transaction's reads and writes could not be placed at one moment because of a concurrent transaction"
	}
}

// AbortReason says why a transaction was aborted.
type AbortReason uint8

// The reasons of TransactionAbortedError.
const (
	AbortPushed     AbortReason = iota // by a conflicting transaction
	AbortExpired                       // no heartbeat reached its record in time
	AbortDeadlock                      // chosen to break a cycle of waits: SQLSTATE 40P01
	AbortSpanRecord                    // a poisoned range: the abort was noticed late
)

// TransactionAbortedError: somebody aborted the transaction; it must start
// anew under a new id. SQLSTATE 40001, for deadlocks 40P01.
type TransactionAbortedError struct {
	Reason AbortReason
	// Blocker describes whom it conflicted with, where known.
	Blocker TxnMeta
	Key     []byte
}

func (e *TransactionAbortedError) Error() string {
	switch e.Reason {
	case AbortDeadlock:
		return "deadlock detected"
	case AbortExpired:
		return "the transaction was given up because its node stopped reporting it as alive"
	default:
		return "the transaction was aborted by a concurrent transaction"
	}
}

// TransactionStatusError: the transaction's record says that it has already
// ended. A broken promise of the caller, or a replayed EndTxn.
type TransactionStatusError struct{ Status TxnStatus }

func (e *TransactionStatusError) Error() string {
	return fmt.Sprintf("the transaction has already ended (status %d)", e.Status)
}

// TransactionPushError: the push failed; the pushee is alive. The pusher waits.
type TransactionPushError struct{ Pushee Transaction }

func (e *TransactionPushError) Error() string {
	return fmt.Sprintf("transaction %s is still running", e.Pushee.ID.Short())
}

// LockConflictError: evaluation met locks of other transactions. It stays
// within a replica: the concurrency manager waits and tries again.
type LockConflictError struct{ Locks []Lock }

// Lock is a lock (an intent, or a locking read's) as evaluation found it.
type Lock struct {
	Key      []byte
	Txn      TxnMeta
	Strength LockStrength // LockUpdate for an intent
}

func (e *LockConflictError) Error() string {
	return fmt.Sprintf("%d conflicting locks", len(e.Locks))
}

// LockNotAvailableError: a conflicting lock under WaitError, or LockTimeout
// passed. SQLSTATE 55P03.
type LockNotAvailableError struct {
	Key     []byte
	Holder  TxnMeta
	Timeout time.Duration // 0: NOWAIT
}

func (e *LockNotAvailableError) Error() string {
	if e.Timeout > 0 {
		return fmt.Sprintf("a lock was not obtained within %s", e.Timeout)
	}
	return "could not obtain a lock without waiting"
}

// ConditionFailedError: a ConditionalPut found another value.
type ConditionFailedError struct {
	Key    []byte
	Actual []byte // nil: none
}

func (e *ConditionFailedError) Error() string {
	return fmt.Sprintf("unexpected value at %x", e.Key)
}

// AmbiguousResultError: it is not known whether the batch took effect.
// SQLSTATE 40003; only idempotent work may be repeated.
type AmbiguousResultError struct{ Cause string }

func (e *AmbiguousResultError) Error() string {
	return "result is ambiguous: " + e.Cause
}

// UnavailableError: the range can't be served now (no quorum, no lease, the
// node is leaving). Nothing took effect; the router tries again for a while.
type UnavailableError struct{ Cause string }

func (e *UnavailableError) Error() string { return "unavailable: " + e.Cause }

// StoreFullError: the store has no room left; only deletions and rollbacks are
// taken. SQLSTATE 53100.
type StoreFullError struct{ Store StoreID }

func (e *StoreFullError) Error() string { return fmt.Sprintf("store %d is full", e.Store) }

// BatchTimestampBeforeGCError: the read is older than what is kept.
type BatchTimestampBeforeGCError struct{ Timestamp, Threshold hlc.Timestamp }

func (e *BatchTimestampBeforeGCError) Error() string {
	return fmt.Sprintf("timestamp %s is older than the oldest kept version (%s)", e.Timestamp, e.Threshold)
}

// RequestError: the request itself is malformed or unsupported.
type RequestError struct{ Message string }

func (e *RequestError) Error() string { return e.Message }
