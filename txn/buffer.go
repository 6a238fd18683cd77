package txn

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
)

// version is a value that the transaction gave to a key; nil: deleted.
type version struct {
	sequence int32
	value    []byte
}

// bufferedKey is a key with the values that can still become visible, oldest
// first.
type bufferedKey struct {
	key      []byte
	versions []version
	first    [1]version // room for the usual case
}

// at returns what a read up to a sequence number sees.
func (k *bufferedKey) at(sequence int32) (version, bool) {
	for i := len(k.versions) - 1; i >= 0; i-- {
		if k.versions[i].sequence <= sequence {
			return k.versions[i], true
		}
	}
	return version{}, false
}

// writeBuffer holds writes that no range has seen. Its zero value is empty.
type writeBuffer struct {
	keys      *btree.BTreeG[*bufferedKey] // nil while there never was one
	sizeBytes int
}

const bufferedOverhead = 64

func (b *writeBuffer) empty() bool { return b.keys == nil || b.keys.Len() == 0 }

func (b *writeBuffer) get(key []byte) *bufferedKey {
	if b.empty() {
		return nil
	}
	k, _ := b.keys.Get(&bufferedKey{key: key})
	return k
}

// put notes a write. Versions after keepUpTo that it hides are forgotten: no
// read and no savepoint goes back to them.
func (b *writeBuffer) put(key, value []byte, sequence, keepUpTo int32) {
	if b.keys == nil {
		b.keys = btree.NewBTreeGOptions(func(a, b *bufferedKey) bool { return bytes.Compare(a.key, b.key) < 0 },
			btree.Options{NoLocks: true, Degree: 16})
	}
	k := b.get(key)
	if k == nil {
		k = &bufferedKey{key: key}
		k.first[0] = version{sequence, value}
		k.versions = k.first[:]
		b.keys.Set(k)
		b.sizeBytes += len(key) + len(value) + bufferedOverhead
		return
	}
	if last := &k.versions[len(k.versions)-1]; last.sequence > keepUpTo {
		b.sizeBytes += len(value) - len(last.value)
		*last = version{sequence, value}
		return
	}
	k.versions = append(k.versions, version{sequence, value})
	b.sizeBytes += len(value) + bufferedOverhead/2
}

// rollback forgets all writes after a sequence number.
func (b *writeBuffer) rollback(sequence int32) {
	if b.empty() {
		return
	}
	var gone []*bufferedKey
	b.keys.Scan(func(k *bufferedKey) bool {
		n := len(k.versions)
		for n > 0 && k.versions[n-1].sequence > sequence {
			n--
			b.sizeBytes -= len(k.versions[n].value)
		}
		k.versions = k.versions[:n]
		if n == 0 {
			gone = append(gone, k)
		}
		return true
	})
	for _, k := range gone {
		b.keys.Delete(k)
		b.sizeBytes -= len(k.key) + bufferedOverhead
	}
	if b.keys.Len() == 0 {
		b.sizeBytes = 0
	}
}

func (b *writeBuffer) reset() { *b = writeBuffer{} }

// scan calls visit for each key of the span, in the given direction.
func (b *writeBuffer) scan(span kvpb.Span, reverse bool, visit func(*bufferedKey) bool) {
	if b.empty() {
		return
	}
	if !reverse {
		b.keys.Ascend(&bufferedKey{key: span.Key}, func(k *bufferedKey) bool {
			return bytes.Compare(k.key, span.EndKey) < 0 && visit(k)
		})
		return
	}
	b.keys.Descend(&bufferedKey{key: span.EndKey}, func(k *bufferedKey) bool {
		if bytes.Equal(k.key, span.EndKey) {
			return true
		}
		return bytes.Compare(k.key, span.Key) >= 0 && visit(k)
	})
}

func (b *writeBuffer) touches(span kvpb.Span) bool {
	found := false
	b.scan(span, false, func(*bufferedKey) bool { found = true; return false })
	return found
}

// appendRequests appends the writes that lay the buffer down: the newest
// version of each key, or with history all of them.
func (b *writeBuffer) appendRequests(requests []kvpb.Request, history bool) []kvpb.Request {
	if b.empty() {
		return requests
	}
	b.keys.Scan(func(k *bufferedKey) bool {
		versions := k.versions
		if !history {
			versions = versions[len(versions)-1:]
		}
		for _, v := range versions {
			kind := kvpb.Put
			if v.value == nil {
				kind = kvpb.Delete
			}
			requests = append(requests, kvpb.Request{Kind: kind, Key: k.key, Value: v.value, Sequence: v.sequence})
		}
		return true
	})
	return requests
}

// merge puts the buffer's writes up to a sequence number over the rows of a
// scan of span, which are in its direction.
func (b *writeBuffer) merge(rows []kvpb.KeyValue, span kvpb.Span, reverse bool, sequence int32) []kvpb.KeyValue {
	if !b.touches(span) {
		return rows
	}
	merged := make([]kvpb.KeyValue, 0, len(rows)+8)
	next := 0
	b.scan(span, reverse, func(k *bufferedKey) bool {
		v, visible := k.at(sequence)
		if !visible {
			return true
		}
		for next < len(rows) {
			c := bytes.Compare(rows[next].Key, k.key)
			if reverse {
				c = -c
			}
			if c > 0 {
				break
			}
			if c < 0 {
				merged = append(merged, rows[next])
			}
			next++
		}
		if v.value != nil {
			merged = append(merged, kvpb.KeyValue{Key: k.key, Value: v.value})
		}
		return true
	})
	return append(merged, rows[next:]...)
}
