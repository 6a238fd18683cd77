package server

import (
	"bytes"
	"slices"
	"sync"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore/engine"
)

// intentKeys knows, for the leaseholder of a range, which keys have intents, so
// that State is asked for those only: a key that was locked again and again has
// as many dead entries in a memtable, and all of them are passed to find that
// there is nothing.
//
// It may name keys that have no intent any more, never the other way round, as
// far as those are concerned who must see them: a command's intents are entered
// after it is applied and before its latches are dropped and it is answered;
// what it removes goes out after it is applied. So whoever asks under his
// latches, and fixes his view of State afterwards, is told of each intent that
// he must see. One that is laid meanwhile, which his latches allow above his
// timestamp, has not been acknowledged when he began.
//
// It is loaded from State with each new lease. What was evaluated under another
// lease is not entered: it was applied before and found in State, or is not
// applied at all. When there are too many keys it knows nothing, until the range
// has no intents at all.
type intentKeys struct {
	mu       sync.Mutex
	lease    int64                 // guarded by mu; sequence of the lease that it was loaded for
	complete bool                  // guarded by mu; otherwise keys is empty
	keys     *btree.BTreeG[[]byte] // guarded by mu; the keys are never changed
	bytes    int                   // guarded by mu; of keys
}

// Bounds of a range's set.
const (
	maxIntentKeys  = 16 << 10
	maxIntentBytes = 1 << 20
)

// newKeySet returns an empty set of keys.
func newKeySet() *btree.BTreeG[[]byte] {
	return btree.NewBTreeGOptions(func(a, b []byte) bool { return bytes.Compare(a, b) < 0 }, btree.Options{NoLocks: true})
}

// load takes the place of what was known, for a lease.
func (k *intentKeys) load(lease int64, from engine.Reader, d *kvpb.RangeDescriptor) error {
	found, all, err := mvcc.LockedKeys(from, d.Start, d.End, maxIntentKeys)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lease, k.complete, k.keys, k.bytes = lease, all, newKeySet(), 0
	if all {
		k.addLocked(found)
	}
	return nil
}

func (k *intentKeys) addLocked(laid [][]byte) {
	for _, key := range laid {
		if k.keys.Len() >= maxIntentKeys || k.bytes+len(key) > maxIntentBytes {
			k.forgetLocked()
			return
		}
		if _, known := k.keys.Get(key); !known {
			k.keys.Set(bytes.Clone(key))
			k.bytes += len(key)
		}
	}
}

func (k *intentKeys) forgetLocked() {
	k.complete, k.keys, k.bytes = false, newKeySet(), 0
}

// forget makes it know nothing until the next lease: a command may take effect
// whose fate this replica does not learn.
func (k *intentKeys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lease = 0
	k.forgetLocked()
}

// applied enters what a command has done that was evaluated under a lease. It
// is called under the command's latches.
func (k *intentKeys) applied(lease int64, laid, gone [][]byte) {
	if len(laid) == 0 && len(gone) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lease != lease || !k.complete {
		return
	}
	for _, key := range gone {
		if old, known := k.keys.Delete(key); known {
			k.bytes -= len(old)
		}
	}
	// Last, so that a key of both stays.
	k.addLocked(laid)
}

// split drops the keys at and after the start of the range on the right.
func (k *intentKeys) split(start []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return
	}
	var moved [][]byte
	k.keys.Ascend(start, func(key []byte) bool {
		moved = append(moved, key)
		return true
	})
	for _, key := range moved {
		k.keys.Delete(key)
		k.bytes -= len(key)
	}
}

// maxNarrowed bounds the keys that one batch's look-ups are narrowed to.
const maxNarrowed = 64

// narrow appends to locked, in ascending order, all keys of the batch that have
// an intent. known is false where that is not known or they are too many.
// intents returns how many there are on the range, as applied.
func (k *intentKeys) narrow(locked [][]byte, x *execution, intents func() int64) (_ [][]byte, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.complete {
		// Whoever lays one from now on, or has and has not entered it yet, waits
		// for the mutex: those are counted or come after.
		if k.lease != x.lease.Sequence || intents() != 0 {
			return locked, false
		}
		k.complete = true
	}
	if k.keys.Len() == 0 {
		return locked, true
	}
	for i := range x.batch.Requests {
		r := &x.batch.Requests[i]
		switch {
		case r.Kind == kvpb.EndTxn:
			for _, s := range r.EndTxn.LockSpans {
				if len(s.EndKey) == 0 {
					locked = k.pointLocked(locked, s.Key)
				}
			}
		case len(r.EndKey) == 0:
			locked = k.pointLocked(locked, r.Key)
		default:
			k.keys.Ascend(r.Key, func(key []byte) bool {
				if bytes.Compare(key, r.EndKey) >= 0 || len(locked) > maxNarrowed {
					return false
				}
				locked = append(locked, key)
				return true
			})
		}
		if len(locked) > maxNarrowed {
			return locked, false
		}
	}
	slices.SortFunc(locked, bytes.Compare)
	return slices.CompactFunc(locked, bytes.Equal), true
}

func (k *intentKeys) pointLocked(locked [][]byte, key []byte) [][]byte {
	if found, ok := k.keys.Get(key); ok {
		locked = append(locked, found)
	}
	return locked
}
