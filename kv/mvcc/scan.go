package mvcc

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// ScanResult is what a scan found.
type ScanResult struct {
	Rows []kvpb.KeyValue
	// Resume is what was not scanned, nil when all was.
	Resume *kvpb.Span
	// Bytes is the size of the rows' keys and values.
	Bytes int64
}

// arena hands out copies from blocks, so that a scan's rows cost few
// allocations.
type arena struct{ block []byte }

const (
	firstBlock = 512
	lastBlock  = 64 << 10
)

func (a *arena) copy(b []byte) []byte {
	if cap(a.block)-len(a.block) < len(b) {
		size := min(max(2*cap(a.block), firstBlock), lastBlock)
		a.block = make([]byte, 0, max(size, len(b)))
	}
	start := len(a.block)
	a.block = append(a.block, b...)
	return a.block[start:len(a.block):len(a.block)]
}

// scan is one scan under way.
type scan struct {
	r       *Reader
	o       *ReadOptions
	span    kvpb.Span
	reverse bool
	arena   arena
	result  ScanResult
	// conflicts are others' intents; once there is one no more rows are kept,
	// but the bounds hold for what is looked at.
	conflicts []kvpb.Lock
	seen      int64 // rows and conflicts
	// lockKey is the key of the next intent, nil when there are no more. It is
	// the iterator's memory.
	lockKey []byte
	// known, of a narrowed reader, are the keys that may have intents after
	// lockKey, in the scan's direction.
	known [][]byte
	// lazy: the locks' iterator follows the versions', see follow. It is past all
	// locks with atEnd, and nowhere before began.
	lazy, began, atEnd bool
	limit              []byte
	// passed: the versions' iterator has left the current key already.
	passed bool
	value  []byte // a copy, of a reverse scan's current value
}

// Scan returns the live pairs of span in ascending order, or descending with
// reverse. Rows are copies. Where intents of others are in the way it returns
// *kvpb.LockConflictError with as many of them as it found.
func (r *Reader) Scan(span kvpb.Span, reverse bool, o *ReadOptions) (ScanResult, error) {
	if bytes.Compare(span.Key, span.EndKey) >= 0 {
		return ScanResult{}, nil
	}
	if err := r.Open(); err != nil {
		return ScanResult{}, err
	}
	s := scan{r: r, o: o, span: span, reverse: reverse}
	r.versions.SetBounds(engine.AppendKey(nil, span.Key), engine.AppendKey(nil, span.EndKey))
	defer r.versions.SetBounds(nil, nil)
	if r.narrowed {
		s.known = r.lockedIn(span)
	} else if r.hasLocks {
		r.locks.SetBounds(append(keys.AppendLock(nil, span.Key), 0), append(keys.AppendLock(nil, span.EndKey), 0))
		defer r.locks.SetBounds(nil, nil)
	}
	if err := s.run(); err != nil {
		return ScanResult{}, err
	}
	if len(s.conflicts) > 0 {
		return ScanResult{}, &kvpb.LockConflictError{Locks: s.conflicts}
	}
	return s.result, nil
}

func first(i *pebble.Iterator, reverse bool) bool {
	if reverse {
		return i.Last()
	}
	return i.First()
}

// nextLock goes to the next intent, or with begin to the first.
func (s *scan) nextLock(begin bool) error {
	s.lockKey = nil
	switch {
	case s.r.narrowed:
		return s.nextKnown()
	case s.lazy:
		return nil
	}
	var valid bool
	if begin {
		valid = first(s.r.locks, s.reverse)
	} else {
		valid = s.r.locks.Prev()
	}
	if !valid {
		return s.r.locks.Error()
	}
	return s.decodeLock()
}

// follow goes to the next intent of a lazy scan, but not beyond the current
// version's key: after a large transaction the space of locks is full of dead
// entries, which a scan within bounds need not pass.
func (s *scan) follow(valid bool) error {
	if !s.lazy || s.lockKey != nil || s.atEnd {
		return nil
	}
	var limit []byte
	if valid {
		key, _, err := engine.DecodeKey(s.r.versions.Key())
		if err != nil {
			return err
		}
		// The key's successor, and the zero byte of an engine key.
		s.limit = append(keys.AppendLock(s.limit[:0], key), 0, 0)
		limit = s.limit
	}
	var state pebble.IterValidityState
	if s.began {
		state = s.r.locks.NextWithLimit(limit)
	} else {
		s.began = true
		s.r.scratch = append(keys.AppendLock(s.r.scratch[:0], s.span.Key), 0)
		state = s.r.locks.SeekGEWithLimit(s.r.scratch, limit)
	}
	switch state {
	case pebble.IterValid:
		return s.decodeLock()
	case pebble.IterExhausted:
		s.atEnd = true
		return s.r.locks.Error()
	default:
		return nil
	}
}

// decodeLock takes the key that the locks' iterator is at.
func (s *scan) decodeLock() error {
	key, _, err := engine.DecodeKey(s.r.locks.Key())
	if err != nil {
		return err
	}
	s.lockKey, err = keys.DecodeLock(key)
	return err
}

// nextKnown is nextLock where the keys with intents are known.
func (s *scan) nextKnown() error {
	for len(s.known) > 0 {
		var key []byte
		if last := len(s.known) - 1; s.reverse {
			key, s.known = s.known[last], s.known[:last]
		} else {
			key, s.known = s.known[0], s.known[1:]
		}
		s.r.scratch = append(keys.AppendLock(s.r.scratch[:0], key), 0)
		if s.r.locks.SeekPrefixGE(s.r.scratch) {
			s.lockKey = key
			return nil
		}
		if err := s.r.locks.Error(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) run() error {
	v := s.r.versions
	valid := first(v, s.reverse)
	s.lazy = s.r.hasLocks && !s.r.narrowed && !s.reverse
	if s.r.hasLocks {
		if err := s.nextLock(true); err != nil {
			return err
		}
	}
	for {
		if err := s.follow(valid); err != nil {
			return err
		}
		if !valid && s.lockKey == nil {
			break
		}
		hasVersion, hasLock, err := s.nextKey(valid)
		if err != nil {
			return err
		}
		if s.full() {
			return nil
		}
		if err := s.row(hasVersion, hasLock); err != nil {
			return err
		}
		if len(s.conflicts) >= maxConflicts {
			return nil
		}
		if hasLock {
			if err := s.nextLock(false); err != nil {
				return err
			}
		}
		if hasVersion {
			valid = s.pass()
		}
	}
	return v.Error()
}

// nextKey copies the next key to r.key and says what there is of it.
func (s *scan) nextKey(valid bool) (hasVersion, hasLock bool, err error) {
	if !valid {
		s.r.key = append(s.r.key[:0], s.lockKey...)
		return false, true, nil
	}
	key, _, err := engine.DecodeKey(s.r.versions.Key())
	if err != nil {
		return false, false, err
	}
	order := -1
	if s.lockKey != nil {
		if order = bytes.Compare(key, s.lockKey); s.reverse {
			order = -order
		}
	}
	if order > 0 {
		s.r.key = append(s.r.key[:0], s.lockKey...)
		return false, true, nil
	}
	s.r.key = append(s.r.key[:0], key...)
	return true, order == 0, nil
}

// full reports whether a bound is reached, and then sets Resume so that it
// begins with the current key.
func (s *scan) full() bool {
	o := s.o
	if (o.MaxKeys == 0 || s.seen < o.MaxKeys) && (o.TargetBytes == 0 || s.result.Bytes < o.TargetBytes) {
		return false
	}
	if s.reverse {
		s.result.Resume = &kvpb.Span{Key: s.span.Key, EndKey: keys.Next(s.r.key)}
	} else {
		s.result.Resume = &kvpb.Span{Key: bytes.Clone(s.r.key), EndKey: s.span.EndKey}
	}
	return true
}

// row evaluates the current key.
func (s *scan) row(hasVersion, hasLock bool) error {
	if s.o.Skip != nil && s.o.Skip(s.r.key) {
		return nil
	}
	if hasLock {
		raw, err := s.r.locks.ValueAndErr()
		if err != nil {
			return err
		}
		intent := &s.r.intent
		if err := intent.decode(raw); err != nil {
			return err
		}
		value, own, conflict, err := s.o.sees(intent)
		switch {
		case err != nil:
			return err
		case own:
			s.emit(value, intent.Txn.WriteTimestamp)
			return nil
		case conflict && s.o.Skip == nil:
			s.conflicts = append(s.conflicts, intent.lock(s.r.key))
			s.seen++
			return nil
		case conflict:
			return nil
		}
	}
	if !hasVersion {
		return nil
	}
	var value []byte
	var at hlc.Timestamp
	var err error
	if s.reverse {
		value, at, err = s.visibleFromOldest()
	} else {
		value, at, err = s.r.visible(s.r.key, s.o)
	}
	if err != nil {
		return err
	}
	s.emit(value, at)
	return nil
}

// visibleFromOldest is visible for a reverse scan, whose iterator is at the
// key's oldest version. It walks up while there are few.
func (s *scan) visibleFromOldest() (value []byte, at hlc.Timestamp, err error) {
	v, o := s.r.versions, s.o
	s.value = s.value[:0]
	for range stepsBeforeSeek {
		_, ts, err := engine.DecodeKey(v.Key())
		if err != nil {
			return nil, at, err
		}
		if o.Timestamp.Less(ts) && (o.Newest || ts.LessEq(o.UncertaintyLimit)) {
			break // what that means is for visible to say
		}
		if ts.LessEq(o.Timestamp) {
			raw, err := v.ValueAndErr()
			if err != nil {
				return nil, at, err
			}
			s.value, at = append(s.value[:0], raw...), ts
		}
		if !v.Prev() || !engine.SamePrefix(v.Key(), s.r.key) {
			s.passed = true
			if at.IsEmpty() {
				return nil, at, v.Error()
			}
			value, _, err = decodeValue(s.value)
			return value, at, errors.Join(err, v.Error())
		}
	}
	top := o.Timestamp.Max(o.UncertaintyLimit)
	if o.Newest {
		top = hlc.Timestamp{}
	}
	s.r.scratch = engine.AppendVersion(s.r.scratch[:0], s.r.key, top)
	if !v.SeekGE(s.r.scratch) || !engine.SamePrefix(v.Key(), s.r.key) {
		return nil, at, v.Error()
	}
	return s.r.visible(s.r.key, o)
}

// firstRows is how many rows there is room for at first.
const firstRows = 8

func (s *scan) emit(value []byte, at hlc.Timestamp) {
	if value == nil {
		return
	}
	s.seen++
	if len(s.conflicts) > 0 {
		s.result.Bytes += int64(len(s.r.key) + len(value))
		return
	}
	key := s.arena.copy(s.r.key)
	if s.result.Rows == nil {
		s.result.Rows = make([]kvpb.KeyValue, 0, firstRows)
	}
	s.result.Rows = append(s.result.Rows, kvpb.KeyValue{Key: key, Value: s.arena.copy(value), Timestamp: at})
	s.result.Bytes += int64(len(key) + len(value))
}

// pass moves the versions' iterator past the current key.
func (s *scan) pass() bool {
	v := s.r.versions
	if s.passed {
		s.passed = false
		return v.Valid()
	}
	if s.reverse {
		s.r.scratch = engine.AppendKey(s.r.scratch[:0], s.r.key)
		return v.SeekLT(s.r.scratch)
	}
	if !v.Valid() || !engine.SamePrefix(v.Key(), s.r.key) {
		return v.Valid()
	}
	return v.NextPrefix()
}
