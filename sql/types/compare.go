package types

import (
	"math"
	"math/bits"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Compare is the order of a type's values as PostgreSQL's btree has it: less
// than 0 if a comes before b. Neither is NULL. Texts are compared by their
// bytes (collation "C"), NaN is greatest and equal to itself, NULLs within
// arrays and rows are greatest.
func Compare(t *T, a, b Datum) int {
	switch t.Family {
	case BoolFamily, IntFamily:
		if t.OID == PgLSNOID || t.OID == Xid8OID {
			return compareUnsigned(uint64(a.I), uint64(b.I))
		}
		return compareInts(a.I, b.I)
	case FloatFamily:
		return compareFloats(a.Float(), b.Float())
	case DecimalFamily:
		return CompareNumeric(a.Decimal(), b.Decimal())
	case IntervalFamily:
		return compareIntervals(*a.Ref.(*IntervalValue), *b.Ref.(*IntervalValue))
	case ArrayFamily:
		return compareArrays(a.Array(), b.Array(), t.OID == OIDVectorOID)
	case TupleFamily:
		return compareRows(a.Tuple(), b.Tuple())
	case VoidFamily:
		return 0
	}
	switch t.OID {
	case BPCharOID:
		return strings.Compare(trimBPChar(a.S), trimBPChar(b.S))
	case JSONBOID:
		return compareJSONTexts(a.S, b.S)
	}
	return strings.Compare(a.S, b.S)
}

func compareUnsigned(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareNullable puts NULLs last.
func compareNullable(t *T, a, b Datum) int {
	switch {
	case a.Null && b.Null:
		return 0
	case a.Null:
		return 1
	case b.Null:
		return -1
	}
	return Compare(t, a, b)
}

// compareArrays compares element by element, then by length, dimensions and
// bounds. An oidvector is compared by length first.
func compareArrays(a, b *Array, vector bool) int {
	if vector && len(a.Elems) != len(b.Elems) {
		return len(a.Elems) - len(b.Elems)
	}
	for i := range min(len(a.Elems), len(b.Elems)) {
		if c := compareNullable(a.Elem, a.Elems[i], b.Elems[i]); c != 0 {
			return c
		}
	}
	if len(a.Elems) != len(b.Elems) {
		return len(a.Elems) - len(b.Elems)
	}
	if vector || len(a.Elems) == 0 {
		return 0
	}
	if len(a.Dims) != len(b.Dims) {
		return len(a.Dims) - len(b.Dims)
	}
	for i := range a.Dims {
		if a.Dims[i] != b.Dims[i] {
			return compareInts(int64(a.Dims[i]), int64(b.Dims[i]))
		}
	}
	for i := range a.Bounds {
		if a.Bounds[i] != b.Bounds[i] {
			return compareInts(int64(a.Bounds[i]), int64(b.Bounds[i]))
		}
	}
	return 0
}

func compareRows(a, b *Tuple) int {
	for i := range min(len(a.Elems), len(b.Elems)) {
		if c := compareNullable(a.Types[i], a.Elems[i], b.Elems[i]); c != 0 {
			return c
		}
	}
	return len(a.Elems) - len(b.Elems)
}

// Constants of the hash: odd numbers with mixed bits (wyhash).
const (
	hashPrime1 = 0xa0761d6478bd642f
	hashPrime2 = 0xe7037ed1a0b428db
	hashNull   = 0x8ebc6af09c88c6e3
)

func mixHash(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^hashPrime1, v^hashPrime2)
	return hi ^ lo
}

func hashString(h uint64, s string) uint64 {
	h = mixHash(h, uint64(len(s)))
	for len(s) >= 8 {
		h = mixHash(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
		s = s[8:]
	}
	tail := uint64(0)
	for i := range len(s) {
		tail |= uint64(s[i]) << (8 * i)
	}
	return mixHash(h, tail)
}

// HashTo mixes a value into a hash. Values that Compare calls equal hash alike
// (1.0 and 1.00, 1 month and 30 days); NULLs do too.
func HashTo(h uint64, t *T, d Datum) uint64 {
	if d.Null {
		return mixHash(h, hashNull)
	}
	switch t.Family {
	case BoolFamily, IntFamily:
		return mixHash(h, uint64(d.I))
	case FloatFamily:
		f := d.Float()
		switch {
		case f == 0:
			f = 0
		case math.IsNaN(f):
			f = math.NaN()
		}
		return mixHash(h, math.Float64bits(f+0))
	case DecimalFamily:
		return hashNumeric(h, d.Decimal())
	case IntervalFamily:
		days, micros := intervalSpan(d.Interval())
		return mixHash(mixHash(h, uint64(days)), uint64(micros))
	case ArrayFamily:
		a := d.Array()
		h = mixHash(h, uint64(len(a.Elems)))
		for _, e := range a.Elems {
			h = HashTo(h, a.Elem, e)
		}
		return h
	case TupleFamily:
		row := d.Tuple()
		for i, e := range row.Elems {
			h = HashTo(h, row.Types[i], e)
		}
		return h
	case VoidFamily:
		return h
	}
	switch t.OID {
	case BPCharOID:
		return hashString(h, trimBPChar(d.S))
	case JSONBOID:
		return hashJSON(h, d.S)
	}
	return hashString(h, d.S)
}

// hashNumeric hashes the number without zeros at its end.
func hashNumeric(h uint64, d *apd.Decimal) uint64 {
	if d.Form != apd.Finite {
		return mixHash(h, uint64(int64(rankNumeric(d)))+hashPrime2)
	}
	if d.Coeff.IsUint64() {
		c, exponent := d.Coeff.Uint64(), int64(d.Exponent)
		if c == 0 {
			return mixHash(h, 0)
		}
		for c%10 == 0 {
			c /= 10
			exponent++
		}
		return mixHash(mixHash(h, c), uint64(exponent)<<1|bit(d.Negative))
	}
	var buffer [64]byte
	digits := d.Coeff.Append(buffer[:0], 10)
	exponent := int64(d.Exponent)
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		exponent++
	}
	if len(digits) <= 19 { // may be written with fewer digits elsewhere
		c := uint64(0)
		for _, digit := range digits {
			c = c*10 + uint64(digit-'0')
		}
		return mixHash(mixHash(h, c), uint64(exponent)<<1|bit(d.Negative))
	}
	c := uint64(len(digits))
	for _, digit := range digits {
		c = c*0x100000001b3 ^ uint64(digit)
	}
	return mixHash(mixHash(h, c), uint64(exponent)<<1|bit(d.Negative))
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// hashJSON hashes numbers by value, all else by text.
func hashJSON(h uint64, text string) uint64 {
	v, err := mustJSON(text)
	if err != nil {
		return hashString(h, text)
	}
	return v.hash(h)
}

func (v *JSONValue) hash(h uint64) uint64 {
	h = mixHash(h, uint64(v.Kind))
	switch v.Kind {
	case JSONString:
		return hashString(h, v.String)
	case JSONNumber:
		if d, err := decimalFromText(v.Raw); err == nil {
			return hashNumeric(h, d)
		}
	case JSONBoolean:
		return mixHash(h, bit(v.Bool))
	}
	for i := range v.Items {
		h = v.Items[i].hash(h)
	}
	for i := range v.Fields {
		h = v.Fields[i].Value.hash(hashString(h, v.Fields[i].Key))
	}
	return h
}

// comparisons are the six operators by the endings of their functions' names.
var comparisons = []struct {
	suffix string
	holds  func(c int) bool
}{
	{"eq", func(c int) bool { return c == 0 }},
	{"ne", func(c int) bool { return c != 0 }},
	{"lt", func(c int) bool { return c < 0 }},
	{"le", func(c int) bool { return c <= 0 }},
	{"gt", func(c int) bool { return c > 0 }},
	{"ge", func(c int) bool { return c >= 0 }},
}

// defineComparison implements the comparisons whose names are the pattern with
// * replaced by eq, ne ….
func defineComparison(pattern string, compare func(ctx *Context, a, b Datum) int) {
	for _, c := range comparisons {
		define(strings.Replace(pattern, "*", c.suffix, 1), func(ctx *Context, a []Datum) (Datum, error) {
			return Bool(c.holds(compare(ctx, a[0], a[1]))), nil
		})
	}
}

func defineComparisons() {
	ints := func(_ *Context, a, b Datum) int { return compareInts(a.I, b.I) }
	for _, pattern := range []string{"int2*", "int4*", "int8*", "int24*", "int42*", "int48*", "int84*", "int28*", "int82*", "bool*", "oid*", "xid*", "cid*", "tid*", "date_*", "time_*", "timetz_*", "timestamp_*"} {
		defineComparison(pattern, ints)
	}
	define("xidneq", func(_ *Context, a []Datum) (Datum, error) { return Bool(uint32(a[0].I) != uint32(a[1].I)), nil })
	define("xideq", func(_ *Context, a []Datum) (Datum, error) { return Bool(uint32(a[0].I) == uint32(a[1].I)), nil })
	for _, pattern := range []string{"float4*", "float8*", "float48*", "float84*"} {
		defineComparison(pattern, func(_ *Context, a, b Datum) int { return compareFloats(a.Float(), b.Float()) })
	}
	texts := func(_ *Context, a, b Datum) int { return strings.Compare(a.S, b.S) }
	for _, pattern := range []string{"text*", "text_*", "name*", "name*text", "text*name", "char*", "bytea*", "uuid_*", "text_pattern_*"} {
		defineComparison(pattern, texts)
	}
	padded := func(_ *Context, a, b Datum) int { return strings.Compare(trimBPChar(a.S), trimBPChar(b.S)) }
	defineComparison("bpchar*", padded)
	defineComparison("bpchar_pattern_*", padded)
	for pattern, t := range map[string]*T{"numeric_*": Numeric, "interval_*": Interval, "jsonb_*": JSONB, "pg_lsn_*": PgLSN, "xid8*": Xid8, "oidvector*": OIDVector} {
		defineComparison(pattern, func(_ *Context, a, b Datum) int { return Compare(t, a, b) })
	}
	for _, c := range comparisons {
		compare := func(_ *Context, a []Datum) (Datum, error) {
			if err := comparableRows(a[0].Tuple(), a[1].Tuple()); err != nil {
				return DNull, err
			}
			return Bool(c.holds(compareRows(a[0].Tuple(), a[1].Tuple()))), nil
		}
		define("record_"+c.suffix, compare)
		define("record_image_"+c.suffix, compare)
	}
	for _, c := range comparisons {
		define("array_"+c.suffix, func(_ *Context, a []Datum) (Datum, error) {
			return Bool(c.holds(compareArrays(a[0].Array(), a[1].Array(), false))), nil
		})
	}
	defineMixedDateComparisons()
}

// comparableRows reports why two rows can't be compared: PostgreSQL does not cast
// between their columns.
func comparableRows(a, b *Tuple) error {
	for i := range min(len(a.Types), len(b.Types)) {
		if a.Types[i].OID != b.Types[i].OID {
			return mismatch("cannot compare dissimilar column types %s and %s at record column %d", a.Types[i].SQLName, b.Types[i].SQLName, i+1)
		}
	}
	if len(a.Types) != len(b.Types) {
		return mismatch("cannot compare record types with different numbers of columns")
	}
	return nil
}

// defineMixedDateComparisons compares dates, timestamps and timestamptzs with
// each other; what is out of a timestamp's range is still greater.
func defineMixedDateComparisons() {
	asTimestamp := func(days int64) int64 {
		if v, err := DateToTimestamp(days); err == nil {
			return v
		}
		return InfiniteTime - 1
	}
	asTZ := func(ctx *Context, v int64) int64 {
		if isInfiniteTime(v) || v == InfiniteTime-1 {
			return v
		}
		return ToUTC(ctx.location(), v)
	}
	dateTimestamp := func(_ *Context, a, b Datum) int { return compareInts(asTimestamp(a.I), b.I) }
	dateTZ := func(ctx *Context, a, b Datum) int { return compareInts(asTZ(ctx, asTimestamp(a.I)), b.I) }
	timestampTZ := func(ctx *Context, a, b Datum) int { return compareInts(asTZ(ctx, a.I), b.I) }
	reverse := func(f func(*Context, Datum, Datum) int) func(*Context, Datum, Datum) int {
		return func(ctx *Context, a, b Datum) int { return -f(ctx, b, a) }
	}
	defineComparison("date_*_timestamp", dateTimestamp)
	defineComparison("timestamp_*_date", reverse(dateTimestamp))
	defineComparison("date_*_timestamptz", dateTZ)
	defineComparison("timestamptz_*_date", reverse(dateTZ))
	defineComparison("timestamp_*_timestamptz", timestampTZ)
	defineComparison("timestamptz_*_timestamp", reverse(timestampTZ))
}
