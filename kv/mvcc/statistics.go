package mvcc

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
)

// Statistics counts what is in [start, end).
func Statistics(from engine.Reader, start, end []byte) (kvpb.RangeStatistics, error) {
	s, _, err := measure(from, start, end, nil, 0)
	if err != nil {
		return s, err
	}
	s.LockCount, err = CountLocks(from, start, end)
	return s, err
}

// CountLocks counts the intents on keys in [start, end).
func CountLocks(from engine.Reader, start, end []byte) (count int64, err error) {
	iter, err := from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: append(keys.AppendLock(nil, start), 0), UpperBound: append(keys.AppendLock(nil, end), 0)})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		count++
	}
	return count, iter.Error()
}

// LockedKeys returns the keys in [start, end) that have intents, up to limit of
// them, and whether those are all.
func LockedKeys(from engine.Reader, start, end []byte, limit int) (found [][]byte, all bool, err error) {
	iter, err := from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: append(keys.AppendLock(nil, start), 0), UpperBound: append(keys.AppendLock(nil, end), 0)})
	if err != nil {
		return nil, false, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		if len(found) >= limit {
			return found, false, nil
		}
		lockKey, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return nil, false, err
		}
		key, err := keys.DecodeLock(lockKey)
		if err != nil {
			return nil, false, err
		}
		found = append(found, bytes.Clone(key))
	}
	return found, true, iter.Error()
}

// SplitKey returns a key that has about half of the bytes of [start, end)
// before it and is not before notBefore, nil where there is none; left are the
// statistics of what is before it, without locks.
func SplitKey(from engine.Reader, start, end, notBefore []byte, totalBytes int64) (key []byte, left kvpb.RangeStatistics, err error) {
	left, key, err = measure(from, start, end, notBefore, max(totalBytes/2, 1))
	return key, left, err
}

// measure counts versions until a key at or after notBefore begins with
// stopBytes or more before it; 0: to the end.
func measure(from engine.Reader, start, end, notBefore []byte, stopBytes int64) (s kvpb.RangeStatistics, stop []byte, err error) {
	iter, err := from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, start), UpperBound: engine.AppendKey(nil, end)})
	if err != nil {
		return s, nil, err
	}
	defer iter.Close()
	var last []byte
	for iter.First(); iter.Valid(); iter.Next() {
		key, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return s, nil, err
		}
		raw, err := iter.ValueAndErr()
		if err != nil {
			return s, nil, err
		}
		if last == nil || !bytes.Equal(key, last) {
			if stopBytes > 0 && s.KeyBytes+s.ValueBytes >= stopBytes && bytes.Compare(key, start) > 0 && bytes.Compare(key, notBefore) >= 0 {
				return s, bytes.Clone(key), nil
			}
			last = append(last[:0], key...)
			s.KeyCount++
			s.KeyBytes += int64(len(key))
			if isLive(raw) {
				s.LiveCount++
				s.LiveBytes += int64(len(key) + versionOverhead + len(raw))
			}
		}
		s.VersionCount++
		s.KeyBytes += versionOverhead
		s.ValueBytes += int64(len(raw))
	}
	return s, nil, iter.Error()
}
