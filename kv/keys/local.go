package keys

import "encoding/binary"

// The second byte of local keys, see the package's map.
const (
	localReplica = 'i'
	localTxn     = 'k'
	localLock    = 'l'
)

// Replica returns the key of a replica's own state of one kind.
func Replica(rangeID int64, kind byte) []byte {
	k := []byte{LocalPrefix, localReplica}
	k = binary.BigEndian.AppendUint64(k, uint64(rangeID))
	return append(k, kind)
}

// ReplicaSpan returns the keys of all of a replica's own state.
func ReplicaSpan(rangeID int64) (start, end []byte) {
	k := []byte{LocalPrefix, localReplica}
	return binary.BigEndian.AppendUint64(k, uint64(rangeID)), binary.BigEndian.AppendUint64([]byte{LocalPrefix, localReplica}, uint64(rangeID)+1)
}

// AllReplicasSpan returns the keys of the own state of all replicas of a store.
func AllReplicasSpan() (start, end []byte) {
	return []byte{LocalPrefix, localReplica}, []byte{LocalPrefix, localReplica + 1}
}

// DecodeReplica splits what Replica returned.
func DecodeReplica(k []byte) (rangeID int64, kind byte, ok bool) {
	if len(k) != 11 || k[0] != LocalPrefix || k[1] != localReplica {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(k[2:])), k[10], true
}

// TxnRecord returns the key of the record of a transaction that is anchored at
// anchor.
func TxnRecord(anchor []byte, id [16]byte) []byte {
	k := make([]byte, 0, len(anchor)+24)
	k = EncodeBytesAscending(append(k, LocalPrefix, localTxn), anchor)
	return append(append(k, 't'), id[:]...)
}

// TxnRecordSpan returns where the records lie whose anchors are in [start, end).
func TxnRecordSpan(start, end []byte) (from, to []byte) {
	return EncodeBytesAscending([]byte{LocalPrefix, localTxn}, start), EncodeBytesAscending([]byte{LocalPrefix, localTxn}, end)
}

// AbortMarkers returns the span of the keys that AbortMarker returns for start.
func AbortMarkers(start []byte) (from, to []byte) {
	from = append(EncodeBytesAscending([]byte{LocalPrefix, localTxn}, start), 'a')
	return from, PrefixEnd(from)
}

// AbortMarker returns the key that says that the range that starts at start
// knows a transaction to be aborted.
func AbortMarker(start []byte, id [16]byte) []byte {
	from, _ := AbortMarkers(start)
	return append(from, id[:]...)
}

// GCThreshold returns the key of the GC threshold of the range that starts at
// start.
func GCThreshold(start []byte) []byte {
	return append(EncodeBytesAscending([]byte{LocalPrefix, localTxn}, start), 'g')
}

// AppendLock appends the key of the lock on key. Locks sort as their keys do,
// and scans compare the two, so the key stands there unescaped.
func AppendLock(dst, key []byte) []byte {
	return append(append(dst, LocalPrefix, localLock), key...)
}

// DecodeLock returns the key that a lock's key is about; it shares k's memory.
func DecodeLock(k []byte) ([]byte, error) {
	if len(k) < 2 || k[0] != LocalPrefix || k[1] != localLock {
		return nil, errShort
	}
	return k[2:], nil
}

// LockSpan returns where the locks on [start, end) lie.
func LockSpan(start, end []byte) (from, to []byte) {
	return AppendLock(nil, start), AppendLock(nil, end)
}
