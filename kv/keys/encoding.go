package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

// The encodings below keep the order of their values under bytes.Compare and
// are self-delimiting, so that they can be joined into tuples. Each function
// appends to b and returns the longer slice. A Descending encoding is the
// bitwise complement of the ascending one.

// Markers of an encoded value. NULL sorts after every value, as in PostgreSQL
// (ascending: NULLS LAST), so ascending NULL has the highest marker and
// descending NULL the lowest.
const (
	nullDescending = 0x00
	bytesMarker    = 0x12
	escape         = 0x00
	escapedZero    = 0xff
	terminator     = 0x01

	// Integers: marker = intZero ± number of bytes that follow; 0..intSmall
	// stand in the marker itself.
	intMin        = 0x80
	intZero       = intMin + 8
	intSmall      = intMax - intZero - 8
	intMax        = 0xfd
	nullAscending = 0xfe
)

var errShort = errors.New("keys: encoded key is cut short or damaged")

// EncodeNullAscending appends NULL such that it sorts after all values.
func EncodeNullAscending(b []byte) []byte { return append(b, nullAscending) }

// EncodeNullDescending appends NULL such that it sorts before all values.
func EncodeNullDescending(b []byte) []byte { return append(b, nullDescending) }

// DecodeIfNull reports whether b begins with a NULL of either direction and
// returns what follows it.
func DecodeIfNull(b []byte) ([]byte, bool) {
	if len(b) > 0 && (b[0] == nullAscending || b[0] == nullDescending) {
		return b[1:], true
	}
	return b, false
}

// EncodeUvarintAscending appends v in 1 to 9 bytes.
func EncodeUvarintAscending(b []byte, v uint64) []byte {
	if v <= intSmall {
		return append(b, intZero+byte(v))
	}
	n := byteLen(v)
	b = append(b, byte(intMax-8+n))
	return appendBigEndian(b, v, n)
}

// EncodeVarintAscending appends v in 1 to 9 bytes.
func EncodeVarintAscending(b []byte, v int64) []byte {
	if v >= 0 {
		return EncodeUvarintAscending(b, uint64(v))
	}
	// The more bytes its complement needs, the smaller a negative number is.
	n := byteLen(uint64(^v))
	b = append(b, byte(intZero-n))
	return appendBigEndian(b, uint64(v), n)
}

// DecodeUvarintAscending returns what EncodeUvarintAscending wrote and the rest.
func DecodeUvarintAscending(b []byte) ([]byte, uint64, error) {
	rest, v, err := DecodeVarintAscending(b)
	if err == nil && b[0] < intZero {
		return b, 0, errShort
	}
	return rest, uint64(v), err
}

// DecodeVarintAscending returns what EncodeVarintAscending wrote and the rest.
func DecodeVarintAscending(b []byte) ([]byte, int64, error) {
	if len(b) == 0 || b[0] < intMin || b[0] > intMax {
		return b, 0, errShort
	}
	m := int(b[0])
	b = b[1:]
	switch {
	case m < intZero:
		n := intZero - m
		if len(b) < n {
			return b, 0, errShort
		}
		v := ^uint64(0)
		for _, c := range b[:n] {
			v = v<<8 | uint64(c)
		}
		return b[n:], int64(v), nil
	case m <= intZero+intSmall:
		return b, int64(m - intZero), nil
	default:
		n := m - (intMax - 8)
		if len(b) < n {
			return b, 0, errShort
		}
		var v uint64
		for _, c := range b[:n] {
			v = v<<8 | uint64(c)
		}
		return b[n:], int64(v), nil
	}
}

// EncodeVarintDescending appends v such that larger values sort first.
func EncodeVarintDescending(b []byte, v int64) []byte { return EncodeVarintAscending(b, ^v) }

// DecodeVarintDescending returns what EncodeVarintDescending wrote and the rest.
func DecodeVarintDescending(b []byte) ([]byte, int64, error) {
	rest, v, err := DecodeVarintAscending(b)
	return rest, ^v, err
}

// EncodeBytesAscending appends v, escaped and terminated.
func EncodeBytesAscending(b, v []byte) []byte {
	b = append(b, bytesMarker)
	for {
		// Runs without a zero byte are copied whole.
		i := bytes.IndexByte(v, escape)
		if i < 0 {
			break
		}
		b = append(append(b, v[:i]...), escape, escapedZero)
		v = v[i+1:]
	}
	return append(append(b, v...), escape, terminator)
}

// EncodeStringAscending is EncodeBytesAscending for a string.
func EncodeStringAscending(b []byte, s string) []byte {
	b = append(b, bytesMarker)
	for {
		i := strings.IndexByte(s, escape)
		if i < 0 {
			break
		}
		b = append(append(b, s[:i]...), escape, escapedZero)
		s = s[i+1:]
	}
	return append(append(b, s...), escape, terminator)
}

// SkipBytes returns what follows a string of bytes of either direction.
func SkipBytes(b []byte) ([]byte, error) {
	var flip byte
	switch {
	case len(b) == 0:
		return b, errShort
	case b[0] == bytesMarker:
	case b[0]^0xff == bytesMarker:
		flip = 0xff
	default:
		return b, errShort
	}
	for rest := b[1:]; ; {
		i := bytes.IndexByte(rest, escape^flip)
		if i < 0 || i+1 >= len(rest) {
			return b, errShort
		}
		end := rest[i+1] ^ flip
		rest = rest[i+2:]
		if end == terminator {
			return rest, nil
		}
	}
}

// DecodeBytesAscending returns what EncodeBytesAscending wrote, in new memory,
// and the rest.
func DecodeBytesAscending(b []byte) (rest, v []byte, err error) {
	return decodeBytes(b, 0)
}

// EncodeBytesDescending appends v such that larger values sort first.
func EncodeBytesDescending(b, v []byte) []byte {
	start := len(b)
	b = EncodeBytesAscending(b, v)
	for i := start; i < len(b); i++ {
		b[i] = ^b[i]
	}
	return b
}

// DecodeBytesDescending returns what EncodeBytesDescending wrote, in new
// memory, and the rest.
func DecodeBytesDescending(b []byte) (rest, v []byte, err error) {
	return decodeBytes(b, 0xff)
}

func decodeBytes(b []byte, flip byte) (rest, v []byte, err error) {
	if len(b) == 0 || b[0]^flip != bytesMarker {
		return b, nil, errShort
	}
	v = []byte{}
	for i := 1; i < len(b); i++ {
		c := b[i] ^ flip
		if c != escape {
			v = append(v, c)
			continue
		}
		if i++; i == len(b) {
			break
		}
		switch b[i] ^ flip {
		case terminator:
			return b[i+1:], v, nil
		case escapedZero:
			v = append(v, 0)
		default:
			return b, nil, errShort
		}
	}
	return b, nil, errShort
}

// EncodeFloatAscending appends f in nine bytes. NaN sorts after every number
// and -0 equals 0, as in PostgreSQL.
func EncodeFloatAscending(b []byte, f float64) []byte {
	var u uint64
	switch {
	case f != f:
		u = math.MaxUint64
	case f == 0:
		u = 1 << 63
	default:
		u = math.Float64bits(f)
		if u>>63 != 0 {
			u = ^u
		} else {
			u |= 1 << 63
		}
	}
	return binary.BigEndian.AppendUint64(append(b, bytesMarker), u)
}

// DecodeFloatAscending returns what EncodeFloatAscending wrote and the rest.
func DecodeFloatAscending(b []byte) ([]byte, float64, error) {
	if len(b) < 9 || b[0] != bytesMarker {
		return b, 0, errShort
	}
	u := binary.BigEndian.Uint64(b[1:])
	switch {
	case u == math.MaxUint64:
		return b[9:], math.NaN(), nil
	case u>>63 != 0:
		return b[9:], math.Float64frombits(u &^ (1 << 63)), nil
	default:
		return b[9:], math.Float64frombits(^u), nil
	}
}

// EncodeFloatDescending appends f such that larger values sort first.
func EncodeFloatDescending(b []byte, f float64) []byte {
	start := len(b)
	b = EncodeFloatAscending(b, f)
	for i := start; i < len(b); i++ {
		b[i] = ^b[i]
	}
	return b
}

// DecodeFloatDescending returns what EncodeFloatDescending wrote and the rest.
func DecodeFloatDescending(b []byte) ([]byte, float64, error) {
	if len(b) < 9 {
		return b, 0, errShort
	}
	var flipped [9]byte
	for i := range flipped {
		flipped[i] = ^b[i]
	}
	_, f, err := DecodeFloatAscending(flipped[:])
	return b[9:], f, err
}

func byteLen(v uint64) int {
	n := 1
	for v >>= 8; v != 0; v >>= 8 {
		n++
	}
	return n
}

func appendBigEndian(b []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}
