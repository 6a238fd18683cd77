package mvcc

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// ReadOptions say how a read sees versions and intents.
type ReadOptions struct {
	Timestamp hlc.Timestamp
	// UncertaintyLimit is the transaction's: versions in (Timestamp,
	// UncertaintyLimit] may have been committed before it began, unless they
	// were written after LocalLimit, the serving node's clock as the transaction
	// first saw it. Zero: nothing is uncertain.
	UncertaintyLimit, LocalLimit hlc.Timestamp
	// Txn sees its own intents up to Sequence; nil for none.
	Txn      *kvpb.Transaction
	Sequence int32
	// Newest is for locking reads: a version above Timestamp is a
	// *kvpb.WriteTooOldError, and every other's intent a conflict.
	Newest bool
	// Skip leaves keys out (SKIP LOCKED); nil for none. Intents of others are
	// left out then as well.
	Skip func(key []byte) bool
	// MaxKeys and TargetBytes bound a scan; 0: no bound. At least one row is
	// returned whatever TargetBytes is.
	MaxKeys, TargetBytes int64
}

// maxConflicts bounds how many conflicting intents one read reports.
const maxConflicts = 128

// Reader reads from one view of State: what was there when its first iterator
// was opened. It is used by one goroutine; NewReader and Close pool it.
type Reader struct {
	from engine.Reader
	// hasLocks is false where the caller knows that there is no intent in the
	// range: a look-up less for each read.
	hasLocks bool
	// narrowed: of all keys only lockedKeys, which are ascending, may have
	// intents.
	narrowed   bool
	lockedKeys [][]byte

	versions, locks *pebble.Iterator
	options         pebble.IterOptions
	scratch         []byte // an engine key
	key             []byte // the key of a scan's current row
	intent          Intent
}

var readers = sync.Pool{New: func() any { return new(Reader) }}

// NewReader returns a reader over from. hasLocks false promises that no intent
// is in the range that is read.
func NewReader(from engine.Reader, hasLocks bool) *Reader {
	r := readers.Get().(*Reader)
	r.from, r.hasLocks = from, hasLocks
	return r
}

// OnlyLocksAt promises that, of the keys that are read, none but these have
// intents; they are in ascending order. To be called before Open. The slice is
// used until Close.
func (r *Reader) OnlyLocksAt(locked [][]byte) {
	r.narrowed, r.lockedKeys = true, locked
	r.hasLocks = len(locked) > 0
}

// lockedIn returns which of a narrowed reader's locked keys lie in span.
func (r *Reader) lockedIn(span kvpb.Span) [][]byte {
	from, _ := slices.BinarySearchFunc(r.lockedKeys, span.Key, bytes.Compare)
	to, _ := slices.BinarySearchFunc(r.lockedKeys, span.EndKey, bytes.Compare)
	return r.lockedKeys[from:to]
}

// Open opens the view. Reads open it by themselves; a caller that must check
// something after the view is fixed calls it before.
func (r *Reader) Open() error {
	if r.versions != nil {
		return nil
	}
	var err error
	r.options = pebble.IterOptions{KeyTypes: pebble.IterKeyTypePointsOnly}
	r.versions, err = r.from.NewIter(&r.options)
	if err == nil && r.hasLocks {
		r.locks, err = r.versions.Clone(pebble.CloneOptions{IterOptions: &r.options})
	}
	return err
}

// Renew makes later reads see what was written to the indexed batch below.
func (r *Reader) Renew() error { return r.closeIterators() }

func (r *Reader) closeIterators() error {
	var err error
	if r.versions != nil {
		err = r.versions.Close()
	}
	if r.locks != nil {
		err = errors.Join(err, r.locks.Close())
	}
	r.versions, r.locks = nil, nil
	return err
}

// Close gives the reader back. It reports errors of the iterators.
func (r *Reader) Close() error {
	err := r.closeIterators()
	r.from, r.intent = nil, Intent{}
	r.narrowed, r.lockedKeys = false, nil
	if cap(r.scratch) > 4<<10 || cap(r.key) > 4<<10 {
		r.scratch, r.key = nil, nil
	}
	readers.Put(r)
	return err
}

// IntentAt returns the intent on key, nil where there is none. It is valid
// until the next call.
func (r *Reader) IntentAt(key []byte) (*Intent, error) {
	if !r.hasLocks {
		return nil, nil
	}
	if r.narrowed {
		if _, locked := slices.BinarySearchFunc(r.lockedKeys, key, bytes.Compare); !locked {
			return nil, nil
		}
	}
	if err := r.Open(); err != nil {
		return nil, err
	}
	r.scratch = append(keys.AppendLock(r.scratch[:0], key), 0)
	if !r.locks.SeekPrefixGE(r.scratch) {
		return nil, r.locks.Error()
	}
	value, err := r.locks.ValueAndErr()
	if err != nil {
		return nil, err
	}
	return &r.intent, r.intent.decode(value)
}

// sees says what an intent is to a read: its own (then the value, if it wrote
// one up to the sequence), a conflict, or nothing.
func (o *ReadOptions) sees(i *Intent) (value []byte, own, conflict bool, err error) {
	if o.Txn != nil && i.Txn.ID == o.Txn.ID {
		switch {
		case i.Txn.Epoch > o.Txn.Epoch:
			// A request of an epoch that was given up has come late.
			return nil, false, false, &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable}
		case i.Txn.Epoch < o.Txn.Epoch:
			return nil, false, false, nil
		}
		value, own = i.at(o.Sequence, o.Txn.IgnoredSeqNums)
		return value, own, false, nil
	}
	if o.Newest || i.Txn.WriteTimestamp.LessEq(o.Timestamp) {
		return nil, false, true, nil
	}
	// It may have been committed before this transaction began.
	uncertain := i.Txn.WriteTimestamp.LessEq(o.UncertaintyLimit) && (i.Local.IsEmpty() || i.Local.LessEq(o.LocalLimit))
	return nil, false, uncertain, nil
}

// Get returns the value of key that o sees, nil where there is none, and the
// timestamp of its version. The value is a copy.
func (r *Reader) Get(key []byte, o *ReadOptions) (value []byte, at hlc.Timestamp, err error) {
	if err := r.Open(); err != nil {
		return nil, at, err
	}
	if o.Skip != nil && o.Skip(key) {
		return nil, at, nil
	}
	intent, err := r.IntentAt(key)
	if err != nil {
		return nil, at, err
	}
	if intent != nil {
		value, own, conflict, err := o.sees(intent)
		switch {
		case err != nil:
			return nil, at, err
		case own:
			return bytes.Clone(value), intent.Txn.WriteTimestamp, nil
		case conflict && o.Skip != nil:
			return nil, at, nil
		case conflict:
			return nil, at, &kvpb.LockConflictError{Locks: []kvpb.Lock{intent.lock(key)}}
		}
	}
	top := o.Timestamp.Max(o.UncertaintyLimit)
	if o.Newest {
		top = hlc.Timestamp{}
	}
	r.scratch = engine.AppendVersion(r.scratch[:0], key, top)
	if !r.versions.SeekPrefixGE(r.scratch) {
		return nil, at, r.versions.Error()
	}
	value, at, err = r.visible(key, o)
	return bytes.Clone(value), at, err
}

// lock returns the intent as conflicts name it, with copies of what it shares.
func (i *Intent) lock(key []byte) kvpb.Lock {
	meta := i.Txn
	meta.Key = bytes.Clone(meta.Key)
	return kvpb.Lock{Key: bytes.Clone(key), Txn: meta, Strength: kvpb.LockUpdate}
}

// stepsBeforeSeek is how many versions are passed one by one.
const stepsBeforeSeek = 4

// visible finds, from a version of key at or above all that o may see, the
// value that o sees; nil where there is none. The iterator is then at that
// version, at an older one, or past key.
func (r *Reader) visible(key []byte, o *ReadOptions) (value []byte, at hlc.Timestamp, err error) {
	top := o.Timestamp.Max(o.UncertaintyLimit)
	for steps := 0; ; steps++ {
		_, ts, err := engine.DecodeKey(r.versions.Key())
		if err != nil {
			return nil, at, err
		}
		raw, err := r.versions.ValueAndErr()
		if err != nil {
			return nil, at, err
		}
		value, local, err := decodeValue(raw)
		if err != nil {
			return nil, at, err
		}
		if ts.LessEq(o.Timestamp) {
			return value, ts, nil
		}
		if o.Newest {
			return nil, at, &kvpb.WriteTooOldError{Key: bytes.Clone(key), Timestamp: o.Timestamp, Actual: ts.Next()}
		}
		if local.IsEmpty() {
			local = ts
		}
		if ts.LessEq(o.UncertaintyLimit) && local.LessEq(o.LocalLimit) {
			return nil, at, &kvpb.UncertaintyError{Key: bytes.Clone(key), Read: o.Timestamp, Existing: ts, Local: o.LocalLimit}
		}
		if steps < stepsBeforeSeek {
			if !r.versions.Next() {
				return nil, at, r.versions.Error()
			}
		} else {
			target := o.Timestamp
			if top.Less(ts) {
				target = top
			}
			r.scratch = engine.AppendVersion(r.scratch[:0], key, target)
			if !r.versions.SeekGE(r.scratch) {
				return nil, at, r.versions.Error()
			}
		}
		if !engine.SamePrefix(r.versions.Key(), key) {
			return nil, at, nil
		}
	}
}
