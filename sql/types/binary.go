package types

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
)

func noBinary(t *T, what string) error {
	return pgerror.Newf(pgerror.UndefinedFunction, "no binary %s function available for type %s", what, t.SQLName)
}

// AppendBinary appends the value's binary form, as PostgreSQL's send functions
// write it. The value is not NULL.
func AppendBinary(b []byte, t *T, d Datum) ([]byte, error) {
	order := binary.BigEndian
	switch t.OID {
	case BooleanOID:
		return append(b, byte(d.I)), nil
	case Int2OID:
		return order.AppendUint16(b, uint16(d.I)), nil
	case DateOID:
		return order.AppendUint32(b, uint32(dateToWire(d.I))), nil
	case TimeTZOID:
		micros, offset := unpackTimeTZ(d.I)
		return order.AppendUint32(order.AppendUint64(b, uint64(micros)), uint32(int32(-offset))), nil
	case TidOID:
		return order.AppendUint16(order.AppendUint32(b, uint32(d.I>>16)), uint16(d.I)), nil
	case Float4OID:
		return order.AppendUint32(b, math.Float32bits(float32(d.Float()))), nil
	case Float8OID:
		return order.AppendUint64(b, uint64(d.I)), nil
	case JSONBOID:
		return append(append(b, 1), d.S...), nil
	case CharTypeOID:
		if d.S == "" {
			return append(b, 0), nil
		}
		return append(b, d.S[0]), nil
	case ACLItemOID:
		return nil, noBinary(t, "output")
	}
	switch t.Family {
	case IntFamily:
		if t.Size == 4 {
			return order.AppendUint32(b, uint32(d.I)), nil
		}
		return order.AppendUint64(b, uint64(d.I)), nil
	case DecimalFamily:
		return appendNumericBinary(b, d.Decimal()), nil
	case IntervalFamily:
		v := d.Interval()
		b = order.AppendUint64(b, uint64(v.Micros))
		return order.AppendUint32(order.AppendUint32(b, uint32(v.Days)), uint32(v.Months)), nil
	case ArrayFamily:
		return appendArrayBinary(b, d.Array())
	case TupleFamily:
		return appendRowBinary(b, d.Tuple())
	case VoidFamily:
		return b, nil
	}
	return append(b, d.S...), nil
}

func dateToWire(days int64) int32 {
	switch days {
	case InfiniteTime:
		return math.MaxInt32
	case NegativeInfiniteTime:
		return math.MinInt32
	}
	return int32(days)
}

// Signs of a numeric in binary form.
const (
	numericPositiveWire    = 0x0000
	numericNegativeWire    = 0x4000
	numericNaNWire         = 0xc000
	numericInfinityWire    = 0xd000
	numericNegInfinityWire = 0xf000
)

// appendNumericBinary writes how many groups of four digits there are, the
// weight of the first, the sign, the display scale, and the groups.
func appendNumericBinary(b []byte, d *apd.Decimal) []byte {
	order := binary.BigEndian
	if d.Form != apd.Finite {
		sign, scale := uint16(numericNaNWire), byte(0)
		if isInfinite(d) {
			scale = 0x20 // as PostgreSQL writes it, without a meaning
			if sign = numericInfinityWire; d.Negative {
				sign = numericNegInfinityWire
			}
		}
		return append(b, 0, 0, 0, 0, byte(sign>>8), byte(sign), 0, scale)
	}
	scale := max(int(-d.Exponent), 0)
	var buffer [96]byte
	digits := buffer[:0]
	// Zeros in front and behind align the point to groups.
	text := d.Coeff.Append(digits, 10)
	if d.Exponent > 0 {
		for range d.Exponent {
			text = append(text, '0')
		}
	}
	whole := len(text) - scale // digits before the point, may be negative
	weight, _ := floorDivide(int64(whole)+3, 4)
	padFront := int(weight*4) - whole
	group := func(i int) uint16 {
		v := uint16(0)
		for n := i*4 - padFront; n < i*4-padFront+4; n++ {
			v *= 10
			if n >= 0 && n < len(text) {
				v += uint16(text[n] - '0')
			}
		}
		return v
	}
	groups := (padFront + len(text) + 3) / 4
	first := 0
	for first < groups && group(first) == 0 {
		first++
	}
	for groups > first && group(groups-1) == 0 {
		groups--
	}
	sign := uint16(numericPositiveWire)
	if d.Negative && first < groups {
		sign = numericNegativeWire
	}
	firstWeight := int16(weight - 1 - int64(first))
	if first == groups {
		firstWeight = 0
	}
	b = order.AppendUint16(b, uint16(groups-first))
	b = order.AppendUint16(b, uint16(firstWeight))
	b = order.AppendUint16(b, sign)
	b = order.AppendUint16(b, uint16(scale))
	for i := first; i < groups; i++ {
		b = order.AppendUint16(b, group(i))
	}
	return b
}

func appendArrayBinary(b []byte, a *Array) ([]byte, error) {
	order := binary.BigEndian
	nulls := uint32(0)
	for _, e := range a.Elems {
		if e.Null {
			nulls = 1
		}
	}
	b = order.AppendUint32(b, uint32(len(a.Dims)))
	b = order.AppendUint32(b, nulls)
	b = order.AppendUint32(b, uint32(a.Elem.OID))
	for i := range a.Dims {
		b = order.AppendUint32(b, uint32(a.Dims[i]))
		b = order.AppendUint32(b, uint32(a.Bounds[i]))
	}
	var err error
	for _, e := range a.Elems {
		if b, err = appendSized(b, a.Elem, e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendRowBinary(b []byte, row *Tuple) ([]byte, error) {
	order := binary.BigEndian
	b = order.AppendUint32(b, uint32(len(row.Elems)))
	var err error
	for i, e := range row.Elems {
		b = order.AppendUint32(b, uint32(row.Types[i].OID))
		if b, err = appendSized(b, row.Types[i], e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendSized(b []byte, t *T, d Datum) ([]byte, error) {
	order := binary.BigEndian
	if d.Null {
		return order.AppendUint32(b, math.MaxUint32), nil
	}
	start := len(b)
	b, err := AppendBinary(append(b, 0, 0, 0, 0), t, d)
	if err != nil {
		return nil, err
	}
	order.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}

func badBinary(format string, args ...any) error {
	return pgerror.Newf(pgerror.InvalidBinaryRepresentation, format, args...)
}

func wrongLength(t *T) error {
	return badBinary("incorrect binary data format for type %s", t.SQLName)
}

// ParseBinary reads a value's binary form, as PostgreSQL's receive functions
// do, and coerces it to t's modifiers. Errors are 22P03, and those of the text
// form for values that are out of range.
func ParseBinary(t *T, b []byte) (Datum, error) {
	d, err := parseBinaryBase(t, b)
	if err != nil || t.Typmod < 0 || t.Family == ArrayFamily {
		return d, err
	}
	if coerce := typmodCoercion(t, false); coerce != nil {
		return coerce(nil, d)
	}
	return d, nil
}

func parseBinaryBase(t *T, b []byte) (Datum, error) {
	order := binary.BigEndian
	if size := wireSize(t); size > 0 && len(b) != size {
		if len(b) < size {
			return DNull, pgerror.New(pgerror.ProtocolViolation, "insufficient data left in message")
		}
		return DNull, wrongLength(t)
	}
	switch t.OID {
	case BooleanOID:
		return Bool(b[0] != 0), nil
	case Int2OID:
		return Int(int64(int16(order.Uint16(b)))), nil
	case Int4OID:
		return Int(int64(int32(order.Uint32(b)))), nil
	case DateOID:
		return dateFromWire(int32(order.Uint32(b)))
	case TimeOID:
		v := int64(order.Uint64(b))
		if v < 0 || v > microsPerDay {
			return DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "time out of range")
		}
		return Int(v), nil
	case TimeTZOID:
		v, west := int64(order.Uint64(b)), int32(order.Uint32(b[8:]))
		if v < 0 || v > microsPerDay {
			return DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "time out of range")
		}
		if west <= -16*3600 || west >= 16*3600 {
			return DNull, pgerror.New(pgerror.InvalidTimeZoneDisplacement, "time zone displacement out of range")
		}
		return packTimeTZ(v, int(-west)), nil
	case TimestampOID, TimestampTZOID:
		v := int64(order.Uint64(b))
		if !isInfiniteTime(v) && !validTimestamp(v) {
			return DNull, timestampOutOfRange()
		}
		return Int(v), nil
	case TidOID:
		return Int(int64(order.Uint32(b))<<16 | int64(order.Uint16(b[4:]))), nil
	case Float4OID:
		return Float(float64(math.Float32frombits(order.Uint32(b)))), nil
	case Float8OID:
		return Datum{I: int64(order.Uint64(b))}, nil
	case UUIDOID:
		return String(string(b)), nil
	case ByteaOID:
		return String(string(b)), nil
	case CharTypeOID:
		if b[0] == 0 {
			return String(""), nil
		}
		return String(string(b)), nil
	case JSONBOID:
		if len(b) == 0 || b[0] != 1 {
			return DNull, pgerror.New(pgerror.Internal, "unsupported jsonb version number")
		}
		b = b[1:]
	case ACLItemOID:
		return DNull, noBinary(t, "input")
	}
	switch t.Family {
	case IntFamily:
		if t.Size == 4 {
			return Int(int64(order.Uint32(b))), nil
		}
		return Int(int64(order.Uint64(b))), nil
	case DecimalFamily:
		return parseNumericBinary(b)
	case IntervalFamily:
		return IntervalOf(IntervalValue{Micros: int64(order.Uint64(b)), Days: int32(order.Uint32(b[8:])), Months: int32(order.Uint32(b[12:]))}), nil
	case ArrayFamily:
		return parseArrayBinary(t, b)
	case TupleFamily:
		return parseRowBinary(t, b)
	case VoidFamily:
		return Datum{}, nil
	}
	if t.IsPseudo() && t.OID != UnknownOID && t.OID != CstringOID {
		return DNull, pgerror.Newf(pgerror.FeatureNotSupported, "cannot accept a value of type %s", t.SQLName)
	}
	if err := validText(b); err != nil {
		return DNull, err
	}
	return parseBase(nil, t, string(b))
}

// wireSize is the size of a type's binary form where it is fixed.
func wireSize(t *T) int {
	switch t.Family {
	case BoolFamily, IntFamily, FloatFamily, IntervalFamily:
		return int(t.Size)
	}
	switch t.OID {
	case UUIDOID, CharTypeOID:
		return int(t.Size)
	}
	return 0
}

func validText(b []byte) error {
	for i := 0; i < len(b); {
		if b[i] == 0 {
			return pgerror.New(pgerror.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00")
		}
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return pgerror.Newf(pgerror.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x%02x", b[i])
		}
		i += size
	}
	return nil
}

func dateFromWire(v int32) (Datum, error) {
	switch v {
	case math.MaxInt32:
		return Int(InfiniteTime), nil
	case math.MinInt32:
		return Int(NegativeInfiniteTime), nil
	}
	if days := int64(v); days >= minDate && days < endDate {
		return Int(days), nil
	}
	return DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "date out of range")
}

func parseNumericBinary(b []byte) (Datum, error) {
	order := binary.BigEndian
	if len(b) < 8 {
		return DNull, pgerror.New(pgerror.ProtocolViolation, "insufficient data left in message")
	}
	groups, weight := int(order.Uint16(b)), int64(int16(order.Uint16(b[2:])))
	sign, scale := order.Uint16(b[4:]), int64(order.Uint16(b[6:]))
	b = b[8:]
	switch sign {
	case numericNaNWire:
		return Decimal(numericNaN), nil
	case numericInfinityWire, numericNegInfinityWire:
		return Decimal(infinityOf(sign == numericNegInfinityWire)), nil
	case numericPositiveWire, numericNegativeWire:
	default:
		return DNull, badBinary("invalid sign in external \"numeric\" value")
	}
	if scale > numericMaxScale {
		return DNull, badBinary("invalid scale in external \"numeric\" value")
	}
	if len(b) != groups*2 {
		return DNull, wrongLength(Numeric)
	}
	text := make([]byte, 0, groups*4+1)
	for i := range groups {
		v := order.Uint16(b[i*2:])
		if v > 9999 {
			return DNull, badBinary("invalid digit in external \"numeric\" value")
		}
		text = append(text, byte('0'+v/1000), byte('0'+v/100%10), byte('0'+v/10%10), byte('0'+v%10))
	}
	d := &apd.Decimal{Negative: sign == numericNegativeWire}
	if groups > 0 {
		if err := setCoefficient(d, string(text), ""); err != nil {
			return DNull, err
		}
	}
	exponent := (weight - int64(groups) + 1) * 4
	if exponent > 0 {
		scaleUp(&d.Coeff, exponent)
		exponent = 0
	}
	d.Exponent = int32(exponent)
	if -exponent > scale { // digits beyond the scale are cut off
		d.Coeff.Quo(&d.Coeff, powerOfTen(-exponent-scale))
		d.Exponent = int32(-scale)
	} else {
		d = rescale(d, scale)
	}
	d, err := checkedNumeric(d)
	return Decimal(d), err
}

// binaryReader takes a message apart.
type binaryReader struct {
	b     []byte
	short bool
}

func (r *binaryReader) int32() int32 {
	if len(r.b) < 4 {
		r.short, r.b = true, nil
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

// value reads a length and a value of the type, or NULL.
func (r *binaryReader) value(t *T) (Datum, error) {
	n := r.int32()
	if n == -1 {
		return DNull, nil
	}
	if n < 0 || int(n) > len(r.b) {
		return DNull, pgerror.New(pgerror.ProtocolViolation, "insufficient data left in message")
	}
	d, err := ParseBinary(t, r.b[:n])
	r.b = r.b[n:]
	return d, err
}

func parseArrayBinary(t *T, b []byte) (Datum, error) {
	r := &binaryReader{b: b}
	dimensions, flags, oid := r.int32(), r.int32(), OID(r.int32())
	switch {
	case r.short:
		return DNull, pgerror.New(pgerror.ProtocolViolation, "insufficient data left in message")
	case dimensions < 0:
		return DNull, badBinary("invalid number of dimensions: %d", dimensions)
	case dimensions > maxArrayDimensions:
		return DNull, tooManyDimensions(int(dimensions))
	case flags != 0 && flags != 1:
		return DNull, badBinary("invalid array flags")
	case t.Elem == nil || oid != t.Elem.OID:
		return DNull, pgerror.Newf(pgerror.DatatypeMismatch, "binary data has array element type %d (%s) instead of expected %s", oid, typeNameOf(oid), expectedElement(t))
	}
	a := &Array{Elem: t.Elem}
	count := int64(1)
	for range dimensions {
		length, bound := r.int32(), r.int32()
		if length < 0 || r.short {
			return DNull, badBinary("invalid array dimensions")
		}
		a.Dims, a.Bounds = append(a.Dims, length), append(a.Bounds, bound)
		if count *= int64(length); count > maxArrayElements {
			return DNull, pgerror.Newf(pgerror.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", maxArrayElements)
		}
	}
	if dimensions == 0 || count == 0 {
		if isVector(t) {
			return ArrayOf(VectorOf(t, nil)), nil
		}
		return ArrayOf(&Array{Elem: t.Elem}), nil
	}
	if count > int64(len(r.b))/4 {
		return DNull, pgerror.New(pgerror.ProtocolViolation, "insufficient data left in message")
	}
	a.Elems = make([]Datum, count)
	for i := range a.Elems {
		var err error
		if a.Elems[i], err = r.value(t.Elem); err != nil {
			return DNull, err
		}
	}
	if len(r.b) > 0 {
		return DNull, wrongLength(t)
	}
	return ArrayOf(a), nil
}

func typeNameOf(oid OID) string {
	if t, ok := builtins[oid]; ok {
		return t.SQLName
	}
	return "???"
}

func expectedElement(t *T) string {
	if t.Elem == nil {
		return "???"
	}
	return fmt.Sprintf("%d (%s)", t.Elem.OID, t.Elem.SQLName)
}

func parseRowBinary(t *T, b []byte) (Datum, error) {
	r := &binaryReader{b: b}
	n := int(r.int32())
	if len(t.Fields) == 0 {
		return DNull, pgerror.New(pgerror.FeatureNotSupported, "input of anonymous composite types is not implemented")
	}
	if n != len(t.Fields) {
		return DNull, pgerror.Newf(pgerror.DatatypeMismatch, "wrong number of columns: %d, expected %d", n, len(t.Fields))
	}
	row := &Tuple{}
	for i, f := range t.Fields {
		if oid := OID(r.int32()); oid != f.Type.OID {
			return DNull, pgerror.Newf(pgerror.DatatypeMismatch, "binary data has type %d (%s) instead of expected %d (%s) in record column %d", oid, typeNameOf(oid), f.Type.OID, f.Type.SQLName, i+1)
		}
		d, err := r.value(f.Type)
		if err != nil {
			return DNull, err
		}
		row.Types, row.Elems = append(row.Types, f.Type), append(row.Elems, d)
	}
	return TupleOf(row), nil
}
