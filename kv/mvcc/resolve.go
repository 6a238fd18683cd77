package mvcc

import (
	"bytes"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// Resolve finishes a transaction's intent on key: a committed one becomes a
// version at the transaction's write timestamp, an aborted one goes, a pending
// one moves to the write timestamp. It reports whether there was one. An
// intent of another transaction, or none, is no error: it was resolved before.
func (w *Writer) Resolve(key []byte, a *kvpb.ResolveArgs) (found bool, err error) {
	intent, err := w.IntentAt(key)
	if err != nil || intent == nil || intent.Txn.ID != a.Txn.ID {
		return false, err
	}
	return true, w.resolve(key, intent, a)
}

func (w *Writer) resolve(key []byte, intent *Intent, a *kvpb.ResolveArgs) error {
	switch {
	case a.Status == kvpb.Committed && intent.Txn.Epoch == a.Txn.Epoch && intent.Txn.WriteTimestamp.LessEq(a.Txn.WriteTimestamp):
		value, ok := intent.at(1<<31-1, a.IgnoredSeqNums)
		if err := w.removeIntent(key); err != nil || !ok {
			return err
		}
		p, _, err := w.newest(key)
		if err != nil {
			return err
		}
		at := a.Txn.WriteTimestamp
		if p.exists && at.LessEq(p.at) {
			return &kvpb.RequestError{Message: "an intent resolves below a committed version"}
		}
		local := intent.Local
		if at.LessEq(local) {
			local = hlc.Timestamp{}
		}
		return w.putVersion(key, value, at, local, p, false)
	case a.Status == kvpb.Committed, a.Status == kvpb.Aborted:
		// Of an epoch that did not commit, or aborted. Or laid above the commit: by a
		// request whose sender had given up on it and repeated it, and that came
		// late. What the coordinator got an answer for lies at or below.
		return w.removeIntent(key)
	case a.Status == kvpb.Pending && intent.Txn.Epoch < a.Txn.Epoch:
		// The transaction has given the epoch up.
		return w.removeIntent(key)
	case a.Status == kvpb.Pending && intent.Txn.WriteTimestamp.Less(a.Txn.WriteTimestamp):
		intent.Txn.WriteTimestamp = a.Txn.WriteTimestamp
		return w.putIntent(key, intent)
	default:
		return nil
	}
}

// ResolveRange resolves up to limit of the transaction's intents in span, and
// returns their keys and where to go on.
func (w *Writer) ResolveRange(span kvpb.Span, a *kvpb.ResolveArgs, limit int) (resolved [][]byte, resume *kvpb.Span, err error) {
	if !w.hasLocks || w.narrowed && len(w.lockedIn(span)) == 0 {
		return nil, nil, nil
	}
	from, to := append(keys.AppendLock(nil, span.Key), 0), append(keys.AppendLock(nil, span.EndKey), 0)
	options := w.options
	options.LowerBound, options.UpperBound = from, to
	if err := w.Open(); err != nil {
		return nil, nil, err
	}
	iter, err := w.from.NewIter(&options)
	if err != nil {
		return nil, nil, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		lockKey, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return nil, nil, err
		}
		key, err := keys.DecodeLock(lockKey)
		if err != nil {
			return nil, nil, err
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return nil, nil, err
		}
		var intent Intent
		if err := intent.decode(value); err != nil {
			return nil, nil, err
		}
		if intent.Txn.ID != a.Txn.ID {
			continue
		}
		key = bytes.Clone(key)
		if len(resolved) >= limit {
			return resolved, &kvpb.Span{Key: key, EndKey: span.EndKey}, nil
		}
		if err := w.resolve(key, &intent, a); err != nil {
			return nil, nil, err
		}
		resolved = append(resolved, key)
	}
	return resolved, nil, iter.Error()
}
