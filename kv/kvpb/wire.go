package kvpb

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairndb/cairn/txn/hlc"
)

// The wire form is protobuf's. Fields with their zero value take no bytes.
// Byte slices that are nil and those that are empty are told apart where it
// matters (Value, Expected): a nil one is absent.
//
// Unmarshal functions keep slices of their input: it must not change
// afterwards.

var errWire = errors.New("kvpb: malformed message")

func putUint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func putInt[T ~int64 | ~int32](b []byte, field protowire.Number, v T) []byte {
	if v == 0 {
		return b
	}
	return putUint(b, field, protowire.EncodeZigZag(int64(v)))
}

// protoNumber is a position as a field number.
func protoNumber(i int) protowire.Number { return protowire.Number(i) }

func putBool(b []byte, field protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return putUint(b, field, 1)
}

// putBytes writes v if it isn't nil.
func putBytes(b []byte, field protowire.Number, v []byte) []byte {
	if v == nil {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func putString(b []byte, field protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// putTime writes a timestamp as 8 bytes and, if there is one, its logical part.
func putTime(b []byte, field protowire.Number, t hlc.Timestamp) []byte {
	if t.IsEmpty() {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	if t.Logical == 0 {
		b = append(b, 8)
		return appendFixed64(b, uint64(t.WallTime))
	}
	b = append(b, 12)
	b = appendFixed64(b, uint64(t.WallTime))
	return append(b, byte(t.Logical), byte(t.Logical>>8), byte(t.Logical>>16), byte(t.Logical>>24))
}

func appendFixed64(b []byte, v uint64) []byte { return protowire.AppendFixed64(b, v) }

// putMessage writes a message that body appends.
func putMessage(b []byte, field protowire.Number, body func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	// One byte of length is enough for most; the rest is moved if not.
	start := len(b)
	b = append(b, 0)
	b = body(b)
	n := len(b) - start - 1
	if n < 0x80 {
		b[start] = byte(n)
		return b
	}
	size := protowire.SizeVarint(uint64(n))
	for range size - 1 {
		b = append(b, 0)
	}
	copy(b[start+size:], b[start+1:start+1+n])
	protowire.AppendVarint(b[:start], uint64(n))
	return b
}

// field is one field of a message as it was read.
type field struct {
	number protowire.Number
	value  uint64 // of a varint
	bytes  []byte // of anything with a length
}

func (f field) int() int64 { return protowire.DecodeZigZag(f.value) }

func (f field) time() (hlc.Timestamp, error) {
	switch len(f.bytes) {
	case 8:
		v, _ := protowire.ConsumeFixed64(f.bytes)
		return hlc.Timestamp{WallTime: int64(v)}, nil
	case 12:
		v, _ := protowire.ConsumeFixed64(f.bytes)
		l := f.bytes[8:]
		return hlc.Timestamp{WallTime: int64(v), Logical: int32(uint32(l[0]) | uint32(l[1])<<8 | uint32(l[2])<<16 | uint32(l[3])<<24)}, nil
	default:
		return hlc.Timestamp{}, errWire
	}
}

// readFields calls read for each varint and length-delimited field of b.
func readFields(b []byte, read func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
			if f.bytes == nil {
				f.bytes = []byte{}
			}
		default:
			// A form that this version doesn't write.
			n = protowire.ConsumeFieldValue(number, kind, b)
			if n >= 0 {
				b = b[n:]
				continue
			}
		}
		if n < 0 {
			return errWire
		}
		b = b[n:]
		if err := read(f); err != nil {
			return err
		}
	}
	return nil
}
