package rowenc

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// PostgreSQL's OIDs of the types whose encoding differs from their family's.
const (
	oidJSON   types.OID = 114
	oidJSONB  types.OID = 3802
	oidBPChar types.OID = 1042
)

// Markers of encodings that are not in kv/keys. None may be 0x00, 0x01, 0xfe
// or 0xff: those are NULLs, or NULLs once complemented.
const (
	decimalNegInf   = 0x20
	decimalNegative = 0x21
	decimalZero     = 0x22
	decimalPositive = 0x23
	decimalInf      = 0x24
	decimalNaN      = 0x25

	arrayMarker = 0x28
	arrayEnd    = 0x02
	arrayElem   = 0x03

	jsonEmptyArray = 0x30 // PostgreSQL sorts a top-level empty array first
	jsonNull       = 0x31
	jsonString     = 0x32
	jsonNumber     = 0x33
	jsonFalse      = 0x34
	jsonTrue       = 0x35
	jsonArray      = 0x36
	jsonObject     = 0x37
)

func damaged(what string) error {
	return pgerror.Newf(pgerror.DataCorrupted, "stored row is damaged: %s", what)
}

// CanBeKey returns an error if values of t have no order, as json's don't.
func CanBeKey(t *types.T) error {
	switch {
	case t.OID == oidJSON || t.Family == types.TupleFamily || t.Family == types.VoidFamily:
		return pgerror.Newf(pgerror.UndefinedObject, "data type %s has no default operator class for access method \"btree\"", t.SQLName).
			WithHint("You must specify an operator class for the index or define a default operator class for the data type.")
	case t.Family == types.ArrayFamily:
		return CanBeKey(t.Elem)
	}
	return nil
}

// keyLoses reports whether the key encoding of a value of t may not give back
// the value exactly as it was.
func keyLoses(t *types.T) bool {
	switch t.Family {
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.FloatFamily:
		return true
	case types.BytesFamily:
		return t.OID == oidJSONB || t.OID == oidBPChar
	}
	return false
}

// AppendKey appends the order-preserving encoding of d, a value of type t.
// Ascending NULLs sort last, descending ones first.
func AppendKey(b []byte, t *types.T, d types.Datum, descending bool) ([]byte, error) {
	if d.Null {
		if descending {
			return keys.EncodeNullDescending(b), nil
		}
		return keys.EncodeNullAscending(b), nil
	}
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		if descending {
			return keys.EncodeVarintDescending(b, d.I), nil
		}
		return keys.EncodeVarintAscending(b, d.I), nil
	case types.FloatFamily:
		if descending {
			return keys.EncodeFloatDescending(b, d.Float()), nil
		}
		return keys.EncodeFloatAscending(b, d.Float()), nil
	case types.BytesFamily, types.UnknownFamily:
		switch t.OID {
		case oidJSON:
			return nil, CanBeKey(t)
		case oidJSONB:
			return complementIf(descending, b, func(b []byte) ([]byte, error) { return appendJSONKey(b, d.S) })
		case oidBPChar:
			return AppendTextKey(b, strings.TrimRight(d.S, " "), descending), nil
		}
		return AppendTextKey(b, d.S, descending), nil
	case types.DecimalFamily:
		return complementIf(descending, b, func(b []byte) ([]byte, error) { return appendDecimalKey(b, d.Decimal()), nil })
	case types.IntervalFamily:
		days, micros := intervalOrder(d.Interval())
		if descending {
			return keys.EncodeVarintDescending(keys.EncodeVarintDescending(b, days), micros), nil
		}
		return keys.EncodeVarintAscending(keys.EncodeVarintAscending(b, days), micros), nil
	case types.ArrayFamily:
		return complementIf(descending, b, func(b []byte) ([]byte, error) { return appendArrayKey(b, t, d.Array()) })
	}
	return nil, CanBeKey(t)
}

// AppendTextKey appends the key encoding of a string of bytes.
func AppendTextKey(b []byte, s string, descending bool) []byte {
	start := len(b)
	b = keys.EncodeStringAscending(b, s)
	if descending {
		complement(b[start:])
	}
	return b
}

func complementIf(descending bool, b []byte, appendTo func([]byte) ([]byte, error)) ([]byte, error) {
	start := len(b)
	b, err := appendTo(b)
	if err == nil && descending {
		complement(b[start:])
	}
	return b, err
}

func complement(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// DecodeKey returns the value that AppendKey wrote and what follows it. The
// value of a type for which keyLoses holds may differ in looks; that of an
// interval, an array or a jsonb is not given back at all (it is NULL): its
// pair's value has it.
func DecodeKey(b []byte, t *types.T, descending bool) (rest []byte, d types.Datum, err error) {
	if rest, null := keys.DecodeIfNull(b); null {
		return rest, types.DNull, nil
	}
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		rest, d.I, err = decodeVarint(b, descending)
		return rest, d, err
	case types.FloatFamily:
		var f float64
		if descending {
			rest, f, err = keys.DecodeFloatDescending(b)
		} else {
			rest, f, err = keys.DecodeFloatAscending(b)
		}
		return rest, types.Float(f), err
	case types.DecimalFamily:
		return decodeDecimalKey(b, descending)
	case types.BytesFamily, types.UnknownFamily:
		if t.OID == oidJSONB {
			break
		}
		var v []byte
		if descending {
			rest, v, err = keys.DecodeBytesDescending(b)
		} else {
			rest, v, err = keys.DecodeBytesAscending(b)
		}
		if t.OID == oidBPChar && t.Typmod >= 4 {
			return rest, types.String(padded(v, int(t.Typmod)-4)), err
		}
		return rest, types.String(string(v)), err
	}
	rest, err = SkipKey(b, t, descending)
	return rest, types.DNull, err
}

// padded returns v with spaces up to n characters.
func padded(v []byte, n int) string {
	characters := 0
	for _, c := range v {
		if c&0xc0 != 0x80 {
			characters++
		}
	}
	if characters >= n {
		return string(v)
	}
	return string(v) + strings.Repeat(" ", n-characters)
}

func decodeVarint(b []byte, descending bool) ([]byte, int64, error) {
	if descending {
		return keys.DecodeVarintDescending(b)
	}
	return keys.DecodeVarintAscending(b)
}

// SkipKey returns what follows an encoded value of type t.
func SkipKey(b []byte, t *types.T, descending bool) ([]byte, error) {
	if rest, null := keys.DecodeIfNull(b); null {
		return rest, nil
	}
	flip := byte(0)
	if descending {
		flip = 0xff
	}
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		rest, _, err := decodeVarint(b, descending)
		return rest, err
	case types.FloatFamily:
		if len(b) < 9 {
			return nil, damaged("a float in a key is cut short")
		}
		return b[9:], nil
	case types.BytesFamily, types.UnknownFamily:
		if t.OID == oidJSONB {
			return skipJSONKey(b, flip)
		}
		return keys.SkipBytes(b)
	case types.DecimalFamily:
		rest, _, err := decodeDecimalKey(b, descending)
		return rest, err
	case types.IntervalFamily:
		rest, _, err := decodeVarint(b, descending)
		if err != nil {
			return nil, err
		}
		rest, _, err = decodeVarint(rest, descending)
		return rest, err
	case types.ArrayFamily:
		return skipArrayKey(b, t, flip)
	}
	return nil, damaged(fmt.Sprintf("a key of type %s", t.Name))
}

// intervalOrder returns what PostgreSQL compares intervals by: days of 24
// hours, with months of 30 days, and what is left.
func intervalOrder(v types.IntervalValue) (days, micros int64) {
	const day = 24 * 60 * 60 * 1000000
	days, micros = int64(v.Months)*30+int64(v.Days)+v.Micros/day, v.Micros%day
	if micros < 0 {
		days, micros = days-1, micros+day
	}
	return days, micros
}

// appendDecimalKey writes the class of d, then the exponent e and the digits
// of |d| = 0.d1d2d3… × 10^e with d1 and the last digit not zero, two digits a
// byte, ended by 0. Of a negative number the exponent and the digits are
// complemented.
func appendDecimalKey(b []byte, d *apd.Decimal) []byte {
	switch d.Form {
	case apd.NaN, apd.NaNSignaling:
		return append(b, decimalNaN)
	case apd.Infinite:
		if d.Negative {
			return append(b, decimalNegInf)
		}
		return append(b, decimalInf)
	}
	if d.Coeff.Sign() == 0 {
		return append(b, decimalZero)
	}
	var digitsBuf [40]byte
	digits := d.Coeff.Append(digitsBuf[:0], 10)
	exponent := int64(len(digits)) + int64(d.Exponent)
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	if d.Negative {
		b = keys.EncodeVarintDescending(append(b, decimalNegative), exponent)
	} else {
		b = keys.EncodeVarintAscending(append(b, decimalPositive), exponent)
	}
	start := len(b)
	for i := 0; i < len(digits); i += 2 {
		pair := (digits[i] - '0') * 10
		if i+1 < len(digits) {
			pair += digits[i+1] - '0'
		}
		b = append(b, pair+1)
	}
	b = append(b, 0)
	if d.Negative {
		complement(b[start:])
	}
	return b
}

// decodeDecimalKey returns the number with the fewest digits that is equal to
// what was written, scale not negative.
func decodeDecimalKey(b []byte, descending bool) ([]byte, types.Datum, error) {
	flip := byte(0)
	if descending {
		flip = 0xff
	}
	if len(b) == 0 {
		return nil, types.Datum{}, damaged("a numeric in a key is cut short")
	}
	marker, rest := b[0]^flip, b[1:]
	switch marker {
	case decimalNaN:
		return rest, types.Decimal(&apd.Decimal{Form: apd.NaN}), nil
	case decimalInf, decimalNegInf:
		return rest, types.Decimal(&apd.Decimal{Form: apd.Infinite, Negative: marker == decimalNegInf}), nil
	case decimalZero:
		return rest, types.Decimal(new(apd.Decimal)), nil
	case decimalPositive, decimalNegative:
	default:
		return nil, types.Datum{}, damaged("an unknown class of numeric in a key")
	}
	var exponentBytes [9]byte
	n := copy(exponentBytes[:], rest)
	if descending {
		complement(exponentBytes[:n])
	}
	after, exponent, err := decodeVarint(exponentBytes[:n], marker == decimalNegative)
	if err != nil {
		return nil, types.Datum{}, err
	}
	rest = rest[n-len(after):]
	digitFlip := flip
	if marker == decimalNegative {
		digitFlip ^= 0xff
	}
	var digitsBuf [40]byte
	digits := digitsBuf[:0]
	for i, c := range rest {
		if c ^= digitFlip; c == 0 {
			rest = rest[i+1:]
			return rest, types.Decimal(decimalOf(marker == decimalNegative, digits, exponent)), nil
		}
		if c--; c > 99 {
			break
		}
		digits = append(digits, '0'+c/10, '0'+c%10)
	}
	return nil, types.Datum{}, damaged("the digits of a numeric in a key")
}

func decimalOf(negative bool, digits []byte, exponent int64) *apd.Decimal {
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	for int64(len(digits)) < exponent && exponent < 1<<18 { // integers have no exponent
		digits = append(digits, '0')
	}
	d := &apd.Decimal{Negative: negative, Exponent: int32(exponent - int64(len(digits)))}
	if v, ok := new(big.Int).SetString(string(digits), 10); ok {
		d.Coeff.SetMathBigInt(v)
	}
	return d
}

// appendArrayKey writes the elements, then the shape: PostgreSQL compares
// arrays element by element, then by length, number of dimensions and bounds.
func appendArrayKey(b []byte, t *types.T, a *types.Array) ([]byte, error) {
	b = append(b, arrayMarker)
	var err error
	for _, e := range a.Elems {
		if b, err = AppendKey(append(b, arrayElem), t.Elem, e, false); err != nil {
			return nil, err
		}
	}
	b = append(b, arrayEnd)
	b = keys.EncodeUvarintAscending(b, uint64(len(a.Dims)))
	for i := range a.Dims {
		b = keys.EncodeVarintAscending(b, int64(a.Dims[i]))
		b = keys.EncodeVarintAscending(b, int64(a.Bounds[i]))
	}
	return b, nil
}

func skipArrayKey(b []byte, t *types.T, flip byte) ([]byte, error) {
	if flip != 0 { // rare: work on the complement
		c := make([]byte, len(b))
		for i := range b {
			c[i] = ^b[i]
		}
		rest, err := skipArrayKey(c, t, 0)
		if err != nil {
			return nil, err
		}
		return b[len(b)-len(rest):], nil
	}
	if len(b) == 0 || b[0] != arrayMarker {
		return nil, damaged("an array in a key")
	}
	b = b[1:]
	var err error
	for len(b) > 0 && b[0] == arrayElem {
		if b, err = SkipKey(b[1:], t.Elem, false); err != nil {
			return nil, err
		}
	}
	if len(b) == 0 || b[0] != arrayEnd {
		return nil, damaged("an array in a key")
	}
	b, dims, err := keys.DecodeUvarintAscending(b[1:])
	for i := uint64(0); err == nil && i < 2*dims; i++ {
		b, _, err = keys.DecodeVarintAscending(b)
	}
	return b, err
}

// appendFixed64 and fixed64 are the value form of floats.
func appendFixed64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }
