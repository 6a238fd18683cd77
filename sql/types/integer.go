package types

import (
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// trimSpace removes what C's isspace takes for space.
func trimSpace(s string) string { return strings.Trim(s, " \t\n\v\f\r") }

func parseInteger(t *T, text string) (Datum, error) {
	s := trimSpace(text)
	digits := s
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return DNull, invalidInput(t, text)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return DNull, invalidInput(t, text)
		}
	}
	v, err := strconv.ParseInt(s, 10, int(t.Size)*8)
	if err != nil {
		return DNull, outOfRange(t, text)
	}
	return Int(v), nil
}

// parseOID reads an oid, which may be written as a negative int4 too.
func parseOID(t *T, text string) (Datum, error) {
	s := trimSpace(text)
	if t.OID == XidOID || t.OID == CidOID { // they take what digits there are
		s = "0" + s[:spanOf(s, isDigit)]
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil && isOutOfRange(err) || err == nil && (v < math.MinInt32 || v > math.MaxUint32) {
		return DNull, outOfRange(t, text)
	}
	if err != nil {
		return DNull, invalidInput(t, text)
	}
	return Int(int64(uint32(v))), nil
}

func isOutOfRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

func parseXid8(text string) (Datum, error) {
	v, err := strconv.ParseUint(trimSpace(text), 10, 64)
	if err != nil {
		return DNull, invalidInput(Xid8, text)
	}
	return Int(int64(v)), nil
}

var errDivisionByZero = pgerror.New(pgerror.DivisionByZero, "division by zero")

// errDivision returns a fresh error, as callers may set its position.
func errDivision() *pgerror.Error {
	e := *errDivisionByZero
	return &e
}

// intOf checks that a result fits its type.
func intOf(t *T, v int64) (Datum, error) {
	if t.Size == 4 && v != int64(int32(v)) || t.Size == 2 && v != int64(int16(v)) {
		return DNull, typeOutOfRange(t)
	}
	return Datum{I: v}, nil
}

func addInt64(a, b int64) (int64, bool) {
	c := a + b
	return c, (c > a) == (b > 0)
}

func subInt64(a, b int64) (int64, bool) {
	c := a - b
	return c, (c < a) == (b > 0)
}

func mulInt64(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	negative := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(absUint64(a), absUint64(b))
	if hi != 0 {
		return 0, false
	}
	if negative {
		return -int64(lo), lo <= 1<<63
	}
	return int64(lo), lo <= math.MaxInt64
}

func absUint64(v int64) uint64 {
	if v < 0 {
		return uint64(-v)
	}
	return uint64(v)
}

// defineIntegers implements the arithmetic of int2, int4 and int8 in all mixes,
// their bit operators and conversions.
func defineIntegers() {
	for _, mix := range []struct {
		name string
		t    *T
	}{{"int2", Int2}, {"int4", Int4}, {"int24", Int4}, {"int42", Int4}, {"int8", Int8}, {"int84", Int8}, {"int48", Int8}, {"int82", Int8}, {"int28", Int8}} {
		defineIntegerArithmetic(mix.name, mix.t)
	}
	for _, t := range []*T{Int2, Int4, Int8} {
		defineIntegerUnary(t)
		defineIntegerBits(t)
	}
	widen := func(_ *Context, a []Datum) (Datum, error) { return a[0], nil }
	for _, name := range []string{"i2toi4", "int48", "int28", "oidtoi8", "bool_int4"} {
		define(name, widen)
	}
	define("i4toi2", func(_ *Context, a []Datum) (Datum, error) { return intOf(Int2, a[0].I) })
	define("int84", func(_ *Context, a []Datum) (Datum, error) { return intOf(Int4, a[0].I) })
	define("int82", func(_ *Context, a []Datum) (Datum, error) { return intOf(Int2, a[0].I) })
	define("i8tooid", func(_ *Context, a []Datum) (Datum, error) {
		if a[0].I < 0 || a[0].I > math.MaxUint32 {
			return DNull, pgerror.New(pgerror.NumericValueOutOfRange, "OID out of range")
		}
		return a[0], nil
	})
	define("int4_bool", func(_ *Context, a []Datum) (Datum, error) { return Bool(a[0].I != 0), nil })
	define("xid8toxid", func(_ *Context, a []Datum) (Datum, error) { return Int(int64(uint32(a[0].I))), nil })
}

func defineIntegerArithmetic(name string, t *T) {
	checked := func(op func(a, b int64) (int64, bool)) EvalFunc {
		return func(_ *Context, a []Datum) (Datum, error) {
			v, ok := op(a[0].I, a[1].I)
			if !ok {
				return DNull, typeOutOfRange(t)
			}
			return intOf(t, v)
		}
	}
	define(name+"pl", checked(addInt64))
	define(name+"mi", checked(subInt64))
	define(name+"mul", checked(mulInt64))
	define(name+"div", func(_ *Context, a []Datum) (Datum, error) {
		switch a[1].I {
		case 0:
			return DNull, errDivision()
		case -1:
			if a[0].I == math.MinInt64 {
				return DNull, typeOutOfRange(t)
			}
			return intOf(t, -a[0].I)
		}
		return Datum{I: a[0].I / a[1].I}, nil
	})
	define(name+"mod", func(_ *Context, a []Datum) (Datum, error) {
		switch a[1].I {
		case 0:
			return DNull, errDivision()
		case -1:
			return Datum{}, nil
		}
		return Datum{I: a[0].I % a[1].I}, nil
	})
}

func defineIntegerUnary(t *T) {
	negate := func(_ *Context, a []Datum) (Datum, error) {
		if a[0].I == math.MinInt64 {
			return DNull, typeOutOfRange(t)
		}
		return intOf(t, -a[0].I)
	}
	define(t.Name+"um", negate)
	define(t.Name+"up", func(_ *Context, a []Datum) (Datum, error) { return a[0], nil })
	define(t.Name+"abs", func(ctx *Context, a []Datum) (Datum, error) {
		if a[0].I < 0 {
			return negate(ctx, a)
		}
		return a[0], nil
	})
}

func defineIntegerBits(t *T) {
	define(t.Name+"and", func(_ *Context, a []Datum) (Datum, error) { return Datum{I: a[0].I & a[1].I}, nil })
	define(t.Name+"or", func(_ *Context, a []Datum) (Datum, error) { return Datum{I: a[0].I | a[1].I}, nil })
	define(t.Name+"xor", func(_ *Context, a []Datum) (Datum, error) { return Datum{I: a[0].I ^ a[1].I}, nil })
	define(t.Name+"not", func(_ *Context, a []Datum) (Datum, error) { return Datum{I: ^a[0].I}, nil })
	mask := int64(31) // as processors do, and PostgreSQL with them
	if t.Size == 8 {
		mask = 63
	}
	narrow := func(v int64) Datum {
		switch t.Size {
		case 2:
			return Datum{I: int64(int16(v))}
		case 4:
			return Datum{I: int64(int32(v))}
		}
		return Datum{I: v}
	}
	define(t.Name+"shl", func(_ *Context, a []Datum) (Datum, error) { return narrow(a[0].I << (a[1].I & mask)), nil })
	define(t.Name+"shr", func(_ *Context, a []Datum) (Datum, error) { return narrow(a[0].I >> (a[1].I & mask)), nil })
}
