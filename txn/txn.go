package txn

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Options say what a transaction shall be. The zero value is a serializable
// transaction that may write.
type Options struct {
	Name      string // for people: logs, and pg_stat_activity one day
	Isolation kvpb.Isolation
	// ReadOnly transactions refuse writes with *kvpb.RequestError; the caller
	// refuses them first, in its own words.
	ReadOnly bool
	// Priority above another's wins conflicts at once. 0 is everybody's.
	Priority int32
	// AsOf makes a read-only transaction at a past time.
	AsOf hlc.Timestamp
}

// Txn is a transaction. See the package comment for who may use it when.
type Txn struct {
	db      *DB
	options Options

	mu sync.Mutex
	// txn is the transaction as the ranges are told of it. It is immutable:
	// changes replace it. Guarded by mu, as is all that follows.
	txn    *kvpb.Transaction
	status kvpb.TxnStatus
	failed error // why only Restart and Rollback are left
	ended  bool
	// committing: the commit is under way or its outcome is unknown.
	committing bool

	sequence     int32 // of the last write
	stepping     bool
	readSequence int32 // reads see writes up to here, once stepping
	savepoint    int32 // the last savepoint taken

	buffer writeBuffer
	// reads is what was read at txn.ReadTimestamp.
	reads spanSet
	// locks is where the ranges may hold locks of ours; laid says that intents
	// may be among them, laidUpTo the last sequence number of one.
	locks    spanSet
	laid     bool
	laidUpTo int32
	inFlight int // batches under way

	deadline hlc.Timestamp
	commit   hlc.Timestamp

	heartbeat heartbeatState // guarded by db.heartbeats.mu

	// Room for what a short transaction needs, used by Begin only.
	initial  kvpb.Transaction
	observed [1]kvpb.ObservedTimestamp
}

// Begin begins a transaction. Nothing is sent.
func (db *DB) Begin(o Options) *Txn {
	t := &Txn{db: db, options: o, reads: spanSet{bound: maxReadBytes}}
	if !o.AsOf.IsEmpty() {
		t.options.ReadOnly = true
	}
	t.txn = &t.initial
	t.start(t.observed[:])
	return t
}

// start gives the transaction an identity and its timestamps. observed is room
// for one.
func (t *Txn) start(observed []kvpb.ObservedTimestamp) {
	now := t.db.config.Clock.Now()
	read, limit := now, now.Add(t.db.config.Clock.MaxOffset())
	if as := t.options.AsOf; !as.IsEmpty() {
		read, limit = as, as
	}
	*t.txn = kvpb.Transaction{
		TxnMeta: kvpb.TxnMeta{
			ID: newID(), Priority: t.options.Priority, Isolation: t.options.Isolation,
			WriteTimestamp: read, MinTimestamp: read, Gateway: t.db.config.Node,
		},
		Name: t.options.Name, ReadTimestamp: read, UncertaintyLimit: limit,
	}
	if t.options.AsOf.IsEmpty() && t.db.config.Node != 0 {
		// What this node's leases take in after now began after us.
		observed[0] = kvpb.ObservedTimestamp{Node: t.db.config.Node, Timestamp: now}
		t.txn.ObservedTimestamps = observed[:1:1]
	}
}

// changeLocked returns a copy of the transaction's state that has become the
// present one, to be changed before the mutex is given up.
func (t *Txn) changeLocked() *kvpb.Transaction {
	c := *t.txn
	t.txn = &c
	return t.txn
}

var (
	errEnded      = &kvpb.RequestError{Message: "the transaction has ended"}
	errCommitting = &kvpb.RequestError{Message: "the transaction is being committed"}
	errReadOnly   = &kvpb.RequestError{Message: "the transaction is read-only"}
)

func (t *Txn) usableLocked() error {
	switch {
	case t.failed != nil:
		return t.failed
	case t.ended:
		return errEnded
	case t.committing:
		return errCommitting
	default:
		return nil
	}
}

// visibleLocked is the sequence number up to which reads see own writes.
func (t *Txn) visibleLocked() int32 {
	if t.stepping {
		return t.readSequence
	}
	return t.sequence
}

// Step begins a statement: reads from now on see the writes made so far, and
// none that follow, until the next Step.
func (t *Txn) Step() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stepping, t.readSequence = true, t.sequence
}

// Savepoint is a moment within a transaction.
type Savepoint struct {
	sequence int32
	epoch    int32
	id       kvpb.TxnID
}

// Savepoint marks the present moment for RollbackTo. It stays valid until the
// transaction ends or restarts; one need not release it.
func (t *Txn) Savepoint() Savepoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.savepoint = t.sequence
	return Savepoint{sequence: t.sequence, epoch: t.txn.Epoch, id: t.txn.ID}
}

// RollbackTo undoes all writes made since s, and begins a statement. What was
// read stays read, what was locked stays locked. It fails with the error of a
// transaction that must be restarted.
func (t *Txn) RollbackTo(_ context.Context, s Savepoint) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.usableLocked(); err != nil {
		return err
	}
	if s.id != t.txn.ID || s.epoch != t.txn.Epoch {
		return &kvpb.RequestError{Message: "the savepoint is of an earlier attempt of the transaction"}
	}
	t.undoLocked(s.sequence)
	t.readSequence = t.sequence
	return nil
}

// undoLocked undoes all writes after a sequence number.
func (t *Txn) undoLocked(sequence int32) {
	t.buffer.rollback(sequence)
	if t.laidUpTo > sequence && t.sequence > sequence {
		c := t.changeLocked()
		c.IgnoredSeqNums = ignore(c.IgnoredSeqNums, kvpb.SequenceRange{Start: sequence + 1, End: t.sequence})
	}
}

// ignore adds a range that ends after all others, and swallows those within.
func ignore(ranges []kvpb.SequenceRange, r kvpb.SequenceRange) []kvpb.SequenceRange {
	ranges = slices.Clone(ranges)
	for len(ranges) > 0 && ranges[len(ranges)-1].End >= r.Start-1 {
		r.Start = min(r.Start, ranges[len(ranges)-1].Start)
		ranges = ranges[:len(ranges)-1]
	}
	return append(ranges, r)
}

// Restart begins the transaction again after an error for which IsRetryable
// holds: at a later timestamp, without any of its reads and writes. Locks are
// kept where the transaction's identity could be kept, so that it has better
// luck this time.
func (t *Txn) Restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	aborted := t.status == kvpb.Aborted || errors.As(t.failed, new(*kvpb.TransactionAbortedError))
	t.failed, t.ended, t.committing, t.status = nil, false, false, kvpb.Pending
	t.sequence, t.readSequence, t.savepoint, t.laidUpTo = 0, 0, 0, 0
	t.buffer.reset()
	t.reads.reset()
	if aborted {
		// The old one's locks were given up when the error came.
		t.txn = new(kvpb.Transaction)
		t.locks.reset()
		t.laid = false
		t.start(make([]kvpb.ObservedTimestamp, 1))
		return
	}
	now := t.db.config.Clock.Now()
	c := t.changeLocked()
	c.Epoch++
	c.Sequence, c.IgnoredSeqNums = 0, nil
	c.ReadTimestamp = c.WriteTimestamp.Max(now)
	c.WriteTimestamp = c.ReadTimestamp
	c.UncertaintyLimit = c.ReadTimestamp.Add(t.db.config.Clock.MaxOffset())
	c.ObservedTimestamps = nil
}

// SetDeadline bounds the commit timestamp: later it is a
// *kvpb.TransactionRetryError with RetryDeadline. The zero value takes the
// bound away.
func (t *Txn) SetDeadline(deadline hlc.Timestamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = deadline
}

// ReadTimestamp returns the timestamp at which the transaction reads. It may
// move up with each Send.
func (t *Txn) ReadTimestamp() hlc.Timestamp {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.txn.ReadTimestamp
}

// CommitTimestamp returns when the transaction took effect, after Commit.
func (t *Txn) CommitTimestamp() hlc.Timestamp {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.commit
}

// ID returns the transaction's id; Restart may change it.
func (t *Txn) ID() kvpb.TxnID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.txn.ID
}

// HasWrites reports whether there is anything to commit besides locks.
func (t *Txn) HasWrites() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.buffer.empty() || t.laid
}

// Options returns what Begin was given.
func (t *Txn) Options() Options { return t.options }

// Status returns Pending, Committed or Aborted, as far as this side knows.
func (t *Txn) Status() kvpb.TxnStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// IsRetryable reports whether a transaction that failed with err may succeed
// after Restart.
func IsRetryable(err error) bool {
	return errors.As(err, new(*kvpb.TransactionRetryError)) || errors.As(err, new(*kvpb.TransactionAbortedError)) ||
		errors.As(err, new(*kvpb.UncertaintyError)) || errors.As(err, new(*kvpb.WriteTooOldError))
}
