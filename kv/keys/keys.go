// Package keys is the map of Cairn's key space: which prefix holds what, and
// the order-preserving encoding of the values that keys are made of. It is a
// vocabulary leaf: everyone may import it, it imports only the standard
// library.
//
// Keys that ranges address (the replicated, routable key space, in order):
//
//	0x02 meta    /meta/<end key>            → range descriptor (a directory: a hint, see below)
//	0x03 system  /system/...                → node records, id allocators, settings, jobs
//	0x04 table   /table/<id>/<index>/<...>  → rows and index entries, see sql/rowenc
//
// The first range [Min, ...) always holds the whole of meta and is never
// split below SystemMin. The authority on a range's bounds and replicas is
// the range's own replicated state; meta entries are published by its
// leaseholder after the fact, are replaced only by a higher generation, and
// readers of them must expect to be told better by the replica they reach.
//
// Keys that no range addresses directly lie under Local (0x01); they follow the
// range or the key they are about, and only kv/mvcc, kv/server and raftstore
// build them:
//
//	0x01 'i' <range id> <suffix>       replica state: applied state, lease, GC threshold
//	0x01 'k' <key, escaped> 't' <id>   transaction record anchored at key
//	0x01 'k' <key, escaped> 'a' <id>   the range that starts at key knows the
//	                                   transaction to be aborted (see kv/mvcc)
//	0x01 'k' <key, escaped> 'g'        GC threshold of the range that starts at key
//	0x01 'l' <key>                     lock (intent) held on key
package keys

import "bytes"

// Prefixes of the top level.
const (
	LocalPrefix  = 0x01
	MetaPrefix   = 0x02
	SystemPrefix = 0x03
	TablePrefix  = 0x04
)

var (
	// Min is the first key that ranges address; Max is past the last.
	Min = []byte{MetaPrefix}
	Max = []byte{0xff, 0xff}

	MetaMin   = []byte{MetaPrefix}
	MetaMax   = []byte{SystemPrefix}
	SystemMin = []byte{SystemPrefix}
	SystemMax = []byte{TablePrefix}
	TableMin  = []byte{TablePrefix}
	TableMax  = []byte{TablePrefix + 1}

	// NodePrefix + node id (8 bytes, big endian) → node record (kv/cluster).
	NodePrefix = []byte("\x03node/")
	// NodeIDAllocator, StoreIDAllocator and RangeIDAllocator are counters.
	NodeIDAllocator  = []byte("\x03id/node")
	StoreIDAllocator = []byte("\x03id/store")
	RangeIDAllocator = []byte("\x03id/range")
	// DescriptorIDAllocator counts the ids of databases, schemas, tables, sequences.
	DescriptorIDAllocator = []byte("\x03id/descriptor")
	// ClusterID holds the 16 bytes that name this cluster.
	ClusterID = []byte("\x03cluster-id")
	// DescriptorPrefix and NamespacePrefix hold sql/catalog's rows.
	DescriptorPrefix = []byte("\x03desc/")
	NamespacePrefix  = []byte("\x03name/")
	// LeasePrefix holds sql/catalog's descriptor leases.
	LeasePrefix = []byte("\x03lease/")
	// SettingPrefix holds cluster settings by name; JobPrefix sql/jobs' records.
	SettingPrefix = []byte("\x03setting/")
	JobPrefix     = []byte("\x03job/")
)

// Meta returns the directory key of the range that ends at endKey.
func Meta(endKey []byte) []byte {
	k := make([]byte, 0, 1+len(endKey))
	k = append(k, MetaPrefix)
	return append(k, endKey...)
}

// Table returns the prefix of all keys of a table or sequence.
func Table(tableID uint32) []byte {
	return EncodeUvarintAscending([]byte{TablePrefix}, uint64(tableID))
}

// Index returns the prefix of all keys of an index of a table.
func Index(tableID, indexID uint32) []byte {
	return EncodeUvarintAscending(Table(tableID), uint64(indexID))
}

// Next returns the smallest key after k.
func Next(k []byte) []byte {
	n := make([]byte, len(k)+1)
	copy(n, k)
	return n
}

// PrefixEnd returns the smallest key after all keys that begin with prefix.
func PrefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return bytes.Clone(Max)
}
