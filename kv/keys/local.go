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

// AppendLock appends the key of the lock on key.
func AppendLock(dst, key []byte) []byte {
	return EncodeBytesAscending(append(dst, LocalPrefix, localLock), key)
}

// DecodeLock returns the key that a lock's key is about, in new memory.
func DecodeLock(k []byte) ([]byte, error) {
	if len(k) < 2 || k[0] != LocalPrefix || k[1] != localLock {
		return nil, errShort
	}
	_, key, err := DecodeBytesAscending(k[2:])
	return key, err
}

// LockSpan returns where the locks on [start, end) lie.
func LockSpan(start, end []byte) (from, to []byte) {
	return AppendLock(nil, start), AppendLock(nil, end)
}
