package mvcc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// Writer evaluates writes into a batch. Each method checks for conflicts
// before it writes anything: *kvpb.LockConflictError for another transaction's
// intent, *kvpb.WriteTooOldError for a version at or above the write's
// timestamp. After an error the batch is worth nothing.
type Writer struct {
	*Reader
	Batch *pebble.Batch
	// Stats is what the batch adds to the range's statistics.
	Stats kvpb.RangeStatistics

	// Txn is nil for non-transactional writes, which are versions at Timestamp.
	Txn *kvpb.Transaction
	// Timestamp is where the writes go: the transaction's write timestamp.
	Timestamp hlc.Timestamp
	// ReadTimestamp is what conditions are evaluated at; a version above it is
	// too new for them.
	ReadTimestamp hlc.Timestamp
	// Direct writes versions in place of intents: the transaction commits at
	// Timestamp with this batch.
	Direct bool
	// Clock is the leaseholder's clock before evaluation began.
	Clock hlc.Timestamp

	// Laid are the keys that got an intent, Gone those that lost theirs.
	Laid, Gone [][]byte

	keyBuffer, valueBuffer []byte
	// again are the keys that got a version in an indexed batch: later
	// requests of the batch may write them again, at the same timestamp.
	again map[string]struct{}
}

// Reset makes w a zero Writer that keeps its buffers.
func (w *Writer) Reset() {
	clear(w.Laid)
	clear(w.Gone)
	*w = Writer{Laid: w.Laid[:0], Gone: w.Gone[:0], keyBuffer: w.keyBuffer[:0], valueBuffer: w.valueBuffer[:0]}
	if cap(w.valueBuffer) > 64<<10 {
		w.valueBuffer = nil
	}
}

// previous is a key's newest version before a write.
type previous struct {
	exists bool
	at     hlc.Timestamp
	live   bool
	size   int // of the version's value
}

// newest returns the newest version of key; value is valid until the next
// call and nil for a deletion.
func (w *Writer) newest(key []byte) (p previous, value []byte, err error) {
	if err := w.Open(); err != nil {
		return p, nil, err
	}
	w.scratch = engine.AppendKey(w.scratch[:0], key)
	if !w.versions.SeekPrefixGE(w.scratch) {
		return p, nil, w.versions.Error()
	}
	_, p.at, err = engine.DecodeKey(w.versions.Key())
	if err != nil {
		return p, nil, err
	}
	raw, err := w.versions.ValueAndErr()
	if err != nil {
		return p, nil, err
	}
	value, _, err = decodeValue(raw)
	p.exists, p.live, p.size = true, value != nil, len(raw)
	return p, value, err
}

// current is what a write finds at its key.
type current struct {
	previous
	own *Intent // of the writing transaction, in this epoch or an older one
	// here: the newest version was written in this batch.
	here bool
	// value is what a condition sees: the transaction's own write or the newest
	// version. nil: none. It is valid until the next call.
	value []byte
}

// inspect checks that key may be written and returns what is there. reading
// says that the write depends on the present value.
func (w *Writer) inspect(key []byte, sequence int32, reading bool) (current, error) {
	var c current
	intent, err := w.IntentAt(key)
	if err != nil {
		return c, err
	}
	seesOwn := false
	if intent != nil {
		if w.Txn == nil || intent.Txn.ID != w.Txn.ID {
			return c, &kvpb.LockConflictError{Locks: []kvpb.Lock{intent.lock(key)}}
		}
		if intent.Txn.Epoch > w.Txn.Epoch {
			return c, &kvpb.TransactionRetryError{Reason: kvpb.RetrySerializable, Key: bytes.Clone(key)}
		}
		c.own = intent
	}
	var value []byte
	if c.previous, value, err = w.newest(key); err != nil {
		return c, err
	}
	if c.own != nil && c.own.Txn.Epoch == w.Txn.Epoch {
		if own, ok := c.own.at(sequence, w.Txn.IgnoredSeqNums); ok {
			value, seesOwn = own, true
		}
	}
	c.value = value
	if _, c.here = w.again[string(key)]; c.here {
		return c, nil
	}
	switch {
	case c.own != nil && w.Timestamp.Less(c.own.Txn.WriteTimestamp):
		// The transaction may not know how far the intent was moved up: the answer
		// was lost, or another range's error took its place. It must not commit
		// below, where versions and reads of others may be.
		return c, &kvpb.WriteTooOldError{Key: bytes.Clone(key), Timestamp: w.Timestamp, Actual: c.own.Txn.WriteTimestamp}
	case c.exists && reading && !seesOwn && w.ReadTimestamp.Less(c.at),
		c.exists && c.own == nil && w.Timestamp.LessEq(c.at):
		return c, &kvpb.WriteTooOldError{Key: bytes.Clone(key), Timestamp: w.Timestamp, Actual: c.at.Next()}
	}
	return c, nil
}

// Put writes value, which is not nil.
func (w *Writer) Put(key, value []byte, sequence int32) error {
	c, err := w.inspect(key, sequence, false)
	if err != nil {
		return err
	}
	return w.write(key, notNil(value), sequence, &c)
}

// Delete removes key and reports whether there was a live value.
func (w *Writer) Delete(key []byte, sequence int32) (found bool, err error) {
	c, err := w.inspect(key, sequence, false)
	if err != nil {
		return false, err
	}
	return c.value != nil, w.write(key, nil, sequence, &c)
}

// ConditionalPut writes value, nil for a deletion, if the present value is
// expected, nil for none; otherwise it returns *kvpb.ConditionFailedError.
func (w *Writer) ConditionalPut(key, value, expected []byte, sequence int32) error {
	c, err := w.inspect(key, sequence, true)
	if err != nil {
		return err
	}
	if w.isReplay(&c, sequence, value) {
		return nil
	}
	if (c.value == nil) != (expected == nil) || !bytes.Equal(c.value, expected) {
		return &kvpb.ConditionFailedError{Key: bytes.Clone(key), Actual: bytes.Clone(c.value)}
	}
	return w.write(key, value, sequence, &c)
}

// isReplay reports whether the request was carried out before: an intent has
// its value at its sequence.
func (w *Writer) isReplay(c *current, sequence int32, value []byte) bool {
	if c.own == nil || w.Direct || c.own.Txn.Epoch != w.Txn.Epoch {
		return false
	}
	was, ok := c.own.written(sequence)
	return ok && (was == nil) == (value == nil) && bytes.Equal(was, value)
}

// Increment adds delta to the 8-byte big-endian integer at key and returns the
// sum. Something else there, or an overflow, is a *kvpb.RequestError.
func (w *Writer) Increment(key []byte, delta int64, sequence int32) (int64, error) {
	c, err := w.inspect(key, sequence, true)
	if err != nil {
		return 0, err
	}
	if c.own != nil && !w.Direct && c.own.Txn.Epoch == w.Txn.Epoch {
		if was, ok := c.own.written(sequence); ok && len(was) == 8 {
			return int64(binary.BigEndian.Uint64(was)), nil // a replay
		}
	}
	var now int64
	switch {
	case c.value == nil:
	case len(c.value) != 8:
		return 0, &kvpb.RequestError{Message: fmt.Sprintf("the value at %x is not a counter", key)}
	default:
		now = int64(binary.BigEndian.Uint64(c.value))
	}
	if delta > 0 && now > math.MaxInt64-delta || delta < 0 && now < math.MinInt64-delta {
		return 0, &kvpb.RequestError{Message: "counter overflow"}
	}
	now += delta
	return now, w.write(key, binary.BigEndian.AppendUint64(nil, uint64(now)), sequence, &c)
}

// DeleteRange removes the live keys of span, up to o's bounds, and returns
// them without their values.
func (w *Writer) DeleteRange(span kvpb.Span, o *ReadOptions, sequence int32) (ScanResult, error) {
	found, err := w.Scan(span, false, o)
	if err != nil {
		return found, err
	}
	for i := range found.Rows {
		row := &found.Rows[i]
		c, err := w.inspect(row.Key, sequence, true)
		if err != nil {
			return found, err
		}
		if err := w.write(row.Key, nil, sequence, &c); err != nil {
			return found, err
		}
		row.Value = nil
	}
	return found, nil
}

// write lays value, nil for a deletion, over what inspect found.
func (w *Writer) write(key, value []byte, sequence int32, c *current) error {
	if w.Txn == nil || w.Direct {
		if c.own != nil {
			if err := w.removeIntent(key); err != nil {
				return err
			}
		}
		return w.putVersion(key, value, w.Timestamp, hlc.Timestamp{}, c.previous, c.here)
	}
	next := Intent{Txn: w.Txn.TxnMeta, Value: value, Local: w.Clock}
	next.Txn.Sequence, next.Txn.WriteTimestamp = sequence, w.Timestamp
	if old := c.own; old != nil {
		next.Txn.WriteTimestamp = w.Timestamp.Max(old.Txn.WriteTimestamp)
		next.Local = old.Local.Min(next.Local)
		if old.Txn.Epoch == w.Txn.Epoch {
			if _, again := old.written(sequence); again {
				return nil // a replay
			}
			if sequence < old.Txn.Sequence {
				return &kvpb.RequestError{Message: "a transaction's writes to a key came out of order"}
			}
			next.earlier = old.keep(w.Txn.IgnoredSeqNums)
		}
	} else {
		w.Stats.LockCount++
	}
	w.Laid = append(w.Laid, key)
	return w.putIntent(key, &next)
}

// keep returns all of the intent's values that a savepoint has not rolled back.
func (i *Intent) keep(ignored []kvpb.SequenceRange) []provisional {
	kept := make([]provisional, 0, len(i.earlier)+1)
	for _, e := range append(i.earlier, provisional{i.Txn.Sequence, i.Value}) {
		if !isIgnored(e.sequence, ignored) {
			kept = append(kept, e)
		}
	}
	return kept
}

func (w *Writer) putIntent(key []byte, i *Intent) error {
	w.keyBuffer = append(keys.AppendLock(w.keyBuffer[:0], key), 0)
	w.valueBuffer = i.append(w.valueBuffer[:0])
	return w.Batch.Set(w.keyBuffer, w.valueBuffer, nil)
}

func (w *Writer) removeIntent(key []byte) error {
	w.Stats.LockCount--
	w.Gone = append(w.Gone, key)
	w.keyBuffer = append(keys.AppendLock(w.keyBuffer[:0], key), 0)
	return w.Batch.Delete(w.keyBuffer, nil)
}

// versionOverhead is what a version's timestamp counts for in statistics.
const versionOverhead = 12

// putVersion writes a committed version above the newest one, or in place of
// it.
func (w *Writer) putVersion(key, value []byte, at, local hlc.Timestamp, p previous, replaces bool) error {
	w.keyBuffer = engine.AppendVersion(w.keyBuffer[:0], key, at)
	w.valueBuffer = appendValue(w.valueBuffer[:0], value, local)
	s := &w.Stats
	if !p.exists {
		s.KeyCount++
		s.KeyBytes += int64(len(key))
	}
	if replaces {
		s.ValueBytes -= int64(p.size)
	} else {
		s.VersionCount++
		s.KeyBytes += versionOverhead
	}
	if w.Batch.Indexed() {
		if w.again == nil {
			w.again = map[string]struct{}{}
		}
		w.again[string(key)] = struct{}{}
	}
	s.ValueBytes += int64(len(w.valueBuffer))
	if p.live {
		s.LiveCount--
		s.LiveBytes -= int64(len(key) + versionOverhead + p.size)
	}
	if value != nil {
		s.LiveCount++
		s.LiveBytes += int64(len(key) + versionOverhead + len(w.valueBuffer))
	}
	return w.Batch.Set(w.keyBuffer, w.valueBuffer, nil)
}
