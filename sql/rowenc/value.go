package rowenc

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/types"
)

// formatVersion is the first byte of every value.
const formatVersion = 1

// wireKind says how a column's bytes are found without knowing its type.
// Persisted: never renumber.
type wireKind uint8

const (
	wireVarint wireKind = iota // zigzag
	wireFixed64
	wireBytes // length, bytes
	wireNull  // nothing: NULL said explicitly, where absence means Missing
	wireKinds = 4
)

// Classes of a stored numeric.
const (
	storedFinite = iota
	storedNegative
	storedNaN
	storedInf
	storedNegInf
)

func kindOf(t *types.T) wireKind {
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		return wireVarint
	case types.FloatFamily:
		return wireFixed64
	}
	return wireBytes
}

// appendColumn appends a column's header and bytes. d is not NULL.
func appendColumn(b []byte, delta uint32, t *types.T, d types.Datum) []byte {
	kind := kindOf(t)
	b = binary.AppendUvarint(b, uint64(delta)*wireKinds+uint64(kind))
	switch kind {
	case wireVarint:
		return binary.AppendVarint(b, d.I)
	case wireFixed64:
		return appendFixed64(b, uint64(d.I))
	}
	if t.Family == types.BytesFamily || t.Family == types.UnknownFamily {
		b = binary.AppendUvarint(b, uint64(len(d.S)))
		return append(b, d.S...)
	}
	var scratch [64]byte
	v := appendPayload(scratch[:0], t, d)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// AppendValue appends a value that is not NULL, by itself, as DecodeValue and
// catalog.Column.Missing have it.
func AppendValue(b []byte, t *types.T, d types.Datum) []byte {
	switch kindOf(t) {
	case wireVarint:
		return binary.AppendVarint(b, d.I)
	case wireFixed64:
		return appendFixed64(b, uint64(d.I))
	}
	return appendPayload(b, t, d)
}

// DecodeValue is the reverse of AppendValue; b is the whole value. The datum
// does not refer to b.
func DecodeValue(b []byte, t *types.T) (types.Datum, error) {
	switch kindOf(t) {
	case wireVarint:
		v, n := binary.Varint(b)
		if n <= 0 {
			return types.Datum{}, damaged("an integer is cut short")
		}
		return types.Int(v), nil
	case wireFixed64:
		if len(b) < 8 {
			return types.Datum{}, damaged("a float is cut short")
		}
		return types.Datum{I: int64(binary.LittleEndian.Uint64(b))}, nil
	}
	return decodePayload(b, t)
}

// appendPayload writes a value of the kind wireBytes without its length.
func appendPayload(b []byte, t *types.T, d types.Datum) []byte {
	switch t.Family {
	case types.DecimalFamily:
		return appendDecimal(b, d.Decimal())
	case types.IntervalFamily:
		v := d.Interval()
		b = binary.AppendVarint(b, int64(v.Months))
		b = binary.AppendVarint(b, int64(v.Days))
		return binary.AppendVarint(b, v.Micros)
	case types.ArrayFamily:
		a := d.Array()
		b = binary.AppendUvarint(b, uint64(len(a.Dims)))
		for i := range a.Dims {
			b = binary.AppendVarint(b, int64(a.Dims[i]))
			b = binary.AppendVarint(b, int64(a.Bounds[i]))
		}
		b = binary.AppendUvarint(b, uint64(len(a.Elems)))
		for _, e := range a.Elems {
			// A header of delta 0 is NULL.
			if e.Null {
				b = append(b, 0)
			} else {
				b = appendColumn(b, 1, t.Elem, e)
			}
		}
		return b
	}
	return append(b, d.S...)
}

func decodePayload(b []byte, t *types.T) (types.Datum, error) {
	switch t.Family {
	case types.DecimalFamily:
		d := new(apd.Decimal)
		if err := decodeDecimal(d, b); err != nil {
			return types.Datum{}, err
		}
		return types.Decimal(d), nil
	case types.IntervalFamily:
		v, err := decodeInterval(b)
		if err != nil {
			return types.Datum{}, err
		}
		return types.IntervalOf(v), nil
	case types.ArrayFamily:
		return decodeArray(b, t)
	}
	return types.String(string(b)), nil
}

func decodeInterval(b []byte) (types.IntervalValue, error) {
	months, n := binary.Varint(b)
	if n <= 0 {
		return types.IntervalValue{}, damaged("an interval is cut short")
	}
	days, m := binary.Varint(b[n:])
	if m <= 0 {
		return types.IntervalValue{}, damaged("an interval is cut short")
	}
	micros, k := binary.Varint(b[n+m:])
	if k <= 0 {
		return types.IntervalValue{}, damaged("an interval is cut short")
	}
	return types.IntervalValue{Months: int32(months), Days: int32(days), Micros: micros}, nil
}

// appendDecimal writes class, exponent and coefficient (big endian).
func appendDecimal(b []byte, d *apd.Decimal) []byte {
	switch {
	case d.Form == apd.NaN || d.Form == apd.NaNSignaling:
		return append(b, storedNaN)
	case d.Form == apd.Infinite && d.Negative:
		return append(b, storedNegInf)
	case d.Form == apd.Infinite:
		return append(b, storedInf)
	case d.Negative:
		b = append(b, storedNegative)
	default:
		b = append(b, storedFinite)
	}
	b = binary.AppendVarint(b, int64(d.Exponent))
	if d.Coeff.IsUint64() {
		v := d.Coeff.Uint64()
		for shift := 56; shift >= 0; shift -= 8 {
			if v>>shift != 0 {
				b = append(b, byte(v>>shift))
			}
		}
		return b
	}
	return append(b, d.Coeff.Bytes()...)
}

// decodeDecimal sets d to what appendDecimal wrote.
func decodeDecimal(d *apd.Decimal, b []byte) error {
	if len(b) == 0 {
		return damaged("a numeric is cut short")
	}
	*d = apd.Decimal{}
	switch b[0] {
	case storedNaN:
		d.Form = apd.NaN
		return nil
	case storedInf, storedNegInf:
		d.Form, d.Negative = apd.Infinite, b[0] == storedNegInf
		return nil
	case storedNegative:
		d.Negative = true
	case storedFinite:
	default:
		return damaged("an unknown class of numeric")
	}
	exponent, n := binary.Varint(b[1:])
	if n <= 0 || exponent != int64(int32(exponent)) {
		return damaged("the exponent of a numeric")
	}
	d.Exponent = int32(exponent)
	coefficient := b[1+n:]
	if len(coefficient) <= 8 {
		var v uint64
		for _, c := range coefficient {
			v = v<<8 | uint64(c)
		}
		if v <= math.MaxInt64 {
			d.Coeff.SetInt64(int64(v))
		} else {
			d.Coeff.SetMathBigInt(new(big.Int).SetUint64(v))
		}
		return nil
	}
	d.Coeff.SetMathBigInt(new(big.Int).SetBytes(coefficient))
	return nil
}

func decodeArray(b []byte, t *types.T) (types.Datum, error) {
	bad := damaged("an array")
	dims, n := binary.Uvarint(b)
	if n <= 0 || dims > uint64(len(b)) {
		return types.Datum{}, bad
	}
	b = b[n:]
	a := &types.Array{Elem: t.Elem}
	for range dims {
		length, n := binary.Varint(b)
		if n <= 0 {
			return types.Datum{}, bad
		}
		bound, m := binary.Varint(b[n:])
		if m <= 0 {
			return types.Datum{}, bad
		}
		b = b[n+m:]
		a.Dims, a.Bounds = append(a.Dims, int32(length)), append(a.Bounds, int32(bound))
	}
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return types.Datum{}, bad
	}
	b = b[n:]
	a.Elems = make([]types.Datum, 0, count)
	for range count {
		if len(b) > 0 && b[0] == 0 {
			a.Elems, b = append(a.Elems, types.DNull), b[1:]
			continue
		}
		_, raw, rest, err := nextColumn(b)
		if err != nil {
			return types.Datum{}, err
		}
		if raw == nil {
			return types.Datum{}, bad
		}
		e, err := DecodeValue(raw, t.Elem)
		if err != nil {
			return types.Datum{}, err
		}
		a.Elems, b = append(a.Elems, e), rest
	}
	return types.ArrayOf(a), nil
}

// nextColumn cuts the next column off b: the difference of its id to the last
// one's, and its bytes as DecodeValue takes them, nil for an explicit NULL.
func nextColumn(b []byte) (delta uint32, raw, rest []byte, err error) {
	header, n := uint64(0), 1
	if len(b) > 0 && b[0] < 0x80 {
		header = uint64(b[0])
	} else if header, n = binary.Uvarint(b); n <= 0 || header/wireKinds > math.MaxUint32 {
		return 0, nil, nil, damaged("a column's header")
	}
	b = b[n:]
	delta = uint32(header / wireKinds)
	length := 0
	switch wireKind(header % wireKinds) {
	case wireVarint:
		for length < len(b) && b[length] >= 0x80 {
			length++
		}
		length++
	case wireFixed64:
		length = 8
	case wireBytes:
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(len(b)-n) {
			return 0, nil, nil, damaged("a column's length")
		}
		b, length = b[n:], int(v)
	default: // wireNull: raw is nil, which no other kind has
		return delta, nil, b, nil
	}
	if length > len(b) {
		return 0, nil, nil, damaged("a column is cut short")
	}
	return delta, b[:length], b[length:], nil
}
