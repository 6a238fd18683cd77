package kv

import (
	"bytes"
	"sync"

	"github.com/tidwall/btree"

	"github.com/cairndb/cairn/kv/kvpb"
)

// cachedRange is what the router knows of a range. It is immutable; news
// replace it.
type cachedRange struct {
	descriptor  kvpb.RangeDescriptor
	leaseholder kvpb.ReplicaDescriptor // zero: unknown
}

// rangeCache knows ranges by their keys, none overlapping another. All of it
// is a hint: the replica that is asked knows better, and says so. It is safe
// for concurrent use.
type rangeCache struct {
	mu     sync.RWMutex
	ranges *btree.BTreeG[*cachedRange] // guarded by mu; by end key
}

func newRangeCache() *rangeCache {
	return &rangeCache{ranges: btree.NewBTreeGOptions(func(a, b *cachedRange) bool {
		return bytes.Compare(a.descriptor.End, b.descriptor.End) < 0
	}, btree.Options{NoLocks: true})}
}

// lookup returns the range that holds key, nil if none is known.
func (c *rangeCache) lookup(key []byte) *cachedRange {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.lookupLocked(key)
}

func (c *rangeCache) lookupLocked(key []byte) *cachedRange {
	var found *cachedRange
	pivot := cachedRange{descriptor: kvpb.RangeDescriptor{End: key}}
	c.ranges.Ascend(&pivot, func(r *cachedRange) bool {
		if bytes.Equal(r.descriptor.End, key) {
			return true // ends before key
		}
		found = r
		return false
	})
	if found == nil || !found.descriptor.Contains(key) {
		return nil
	}
	return found
}

// insert takes in news and returns what is known of the range afterwards; nil
// if something newer is known of its keys. A zero leaseholder leaves a known
// one of the same generation alone.
func (c *rangeCache) insert(info kvpb.RangeInfo) *cachedRange {
	d := &info.Descriptor
	if len(d.Replicas) == 0 || bytes.Compare(d.Start, d.End) >= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := &cachedRange{descriptor: *d, leaseholder: info.Leaseholder}
	var overlapping []*cachedRange
	obsolete := false
	pivot := cachedRange{descriptor: kvpb.RangeDescriptor{End: d.Start}}
	c.ranges.Ascend(&pivot, func(r *cachedRange) bool {
		if bytes.Equal(r.descriptor.End, d.Start) {
			return true
		}
		if bytes.Compare(r.descriptor.Start, d.End) >= 0 {
			return false
		}
		overlapping = append(overlapping, r)
		if r.descriptor.Range == d.Range && r.descriptor.Generation == d.Generation {
			if fresh.leaseholder == (kvpb.ReplicaDescriptor{}) {
				fresh.leaseholder = r.leaseholder
			}
		} else if r.descriptor.Generation >= d.Generation {
			obsolete = true
		}
		return !obsolete
	})
	if obsolete {
		return nil
	}
	for _, r := range overlapping {
		c.ranges.Delete(r)
	}
	c.ranges.Set(fresh)
	return fresh
}

// evict forgets what is known of a range, if it still is that.
func (c *rangeCache) evict(r *cachedRange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, ok := c.ranges.Get(r); ok && now == r {
		c.ranges.Delete(r)
	}
}

// setLeaseholder notes who holds a range's lease (zero: unknown), if the range
// is still what it was, and returns what is known then.
func (c *rangeCache) setLeaseholder(r *cachedRange, leaseholder kvpb.ReplicaDescriptor) *cachedRange {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, ok := c.ranges.Get(r)
	if !ok || now.descriptor.Range != r.descriptor.Range || now.descriptor.Generation != r.descriptor.Generation {
		return r
	}
	if now.leaseholder == leaseholder {
		return now
	}
	fresh := &cachedRange{descriptor: now.descriptor, leaseholder: leaseholder}
	c.ranges.Set(fresh)
	return fresh
}
