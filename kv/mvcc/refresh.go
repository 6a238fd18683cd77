package mvcc

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/cockroachkvs"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

func refreshFailed(key []byte, conflict kvpb.TxnMeta, at hlc.Timestamp) error {
	conflict.Key = bytes.Clone(conflict.Key)
	return &kvpb.TransactionRetryError{Reason: kvpb.RetryRefreshFailed, Key: bytes.Clone(key), Conflict: conflict, At: at}
}

// Refresh checks that key has no version in (from, to] and no intent of
// another transaction at or below to. Otherwise it returns a
// *kvpb.TransactionRetryError.
func (r *Reader) Refresh(key []byte, id kvpb.TxnID, from, to hlc.Timestamp) error {
	intent, err := r.IntentAt(key)
	if err != nil {
		return err
	}
	if intent != nil && intent.Txn.ID != id && intent.Txn.WriteTimestamp.LessEq(to) {
		return refreshFailed(key, intent.Txn, intent.Txn.WriteTimestamp)
	}
	if err := r.Open(); err != nil {
		return err
	}
	r.scratch = engine.AppendVersion(r.scratch[:0], key, to)
	if !r.versions.SeekPrefixGE(r.scratch) {
		return r.versions.Error()
	}
	_, ts, err := engine.DecodeKey(r.versions.Key())
	if err != nil {
		return err
	}
	if from.Less(ts) {
		return refreshFailed(key, kvpb.TxnMeta{}, ts)
	}
	return nil
}

// RefreshRange is Refresh for all keys of span. It skips blocks that hold
// nothing of the time between.
func (r *Reader) RefreshRange(span kvpb.Span, id kvpb.TxnID, from, to hlc.Timestamp) error {
	if r.hasLocks {
		if err := r.refreshLocks(span, id, to); err != nil {
			return err
		}
	}
	iter, err := r.from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, span.Key), UpperBound: engine.AppendKey(nil, span.EndKey),
		PointKeyFilters: []pebble.BlockPropertyFilter{
			cockroachkvs.NewMVCCTimeIntervalFilter(uint64(from.WallTime), uint64(to.WallTime))},
	})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		key, ts, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return err
		}
		if from.Less(ts) && ts.LessEq(to) {
			return refreshFailed(key, kvpb.TxnMeta{}, ts)
		}
	}
	return iter.Error()
}

func (r *Reader) refreshLocks(span kvpb.Span, id kvpb.TxnID, to hlc.Timestamp) error {
	if r.narrowed {
		for _, key := range r.lockedIn(span) {
			intent, err := r.IntentAt(key)
			if err != nil {
				return err
			}
			if intent != nil && intent.Txn.ID != id && intent.Txn.WriteTimestamp.LessEq(to) {
				return refreshFailed(key, intent.Txn, intent.Txn.WriteTimestamp)
			}
		}
		return nil
	}
	iter, err := r.from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: append(keys.AppendLock(nil, span.Key), 0), UpperBound: append(keys.AppendLock(nil, span.EndKey), 0)})
	if err != nil {
		return err
	}
	defer iter.Close()
	var intent Intent
	for iter.First(); iter.Valid(); iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if err := intent.decode(value); err != nil {
			return err
		}
		if intent.Txn.ID != id && intent.Txn.WriteTimestamp.LessEq(to) {
			lockKey, _, err := engine.DecodeKey(iter.Key())
			if err != nil {
				return err
			}
			key, err := keys.DecodeLock(lockKey)
			if err != nil {
				return err
			}
			return refreshFailed(key, intent.Txn, intent.Txn.WriteTimestamp)
		}
	}
	return iter.Error()
}
