package mvcc

import (
	"encoding/binary"
	"errors"

	"github.com/cairndb/cairn/txn/hlc"
)

// A version's value is empty for a deletion, or begins with one of these:
// plainValue is followed by the value; the other two by a local timestamp of 12
// bytes and, for localValue, the value.
//
// The local timestamp is the leaseholder's clock before the write's intent was
// laid, where that is below the version's timestamp: a transaction that was
// pushed, or committed by a node with a faster clock, moves its versions up
// without their having been written later. Uncertainty reasons about when a
// version was written (cockroachdb/cockroach#36431).
const (
	plainValue    = 1
	localValue    = 2
	localDeletion = 3
)

const localHeader = 1 + 12

var errMalformed = errors.New("mvcc: malformed value")

// appendValue appends the form of a version's value. A nil value is a deletion;
// a zero local timestamp says that it is the version's own.
func appendValue(dst, value []byte, local hlc.Timestamp) []byte {
	switch {
	case local.IsEmpty() && value == nil:
		return dst
	case local.IsEmpty():
		dst = append(dst, plainValue)
	case value == nil:
		dst = append(dst, localDeletion)
	default:
		dst = append(dst, localValue)
	}
	if !local.IsEmpty() {
		dst = binary.BigEndian.AppendUint64(dst, uint64(local.WallTime))
		dst = binary.BigEndian.AppendUint32(dst, uint32(local.Logical))
	}
	return append(dst, value...)
}

// decodeValue splits a version's value; value is nil for a deletion and shares
// b's memory otherwise.
func decodeValue(b []byte) (value []byte, local hlc.Timestamp, err error) {
	if len(b) == 0 {
		return nil, local, nil
	}
	if b[0] == plainValue {
		return b[1:len(b):len(b)], local, nil
	}
	if b[0] > localDeletion || len(b) < localHeader {
		return nil, local, errMalformed
	}
	local.WallTime = int64(binary.BigEndian.Uint64(b[1:]))
	local.Logical = int32(binary.BigEndian.Uint32(b[9:]))
	if b[0] == localDeletion {
		return nil, local, nil
	}
	return b[localHeader:len(b):len(b)], local, nil
}

// isLive reports whether a version's value is not a deletion.
func isLive(b []byte) bool { return len(b) > 0 && b[0] != localDeletion }
