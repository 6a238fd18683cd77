package exec

import (
	"math"
	"math/bits"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/vector"
)

// binaryKernel computes out from a and b at the positions r; out's NULLs are
// set already, and values at NULLs don't matter except that they must not
// fail.
type binaryKernel func(out, a, b *vector.Vector, r rows) error

// unaryKernel is the same for one argument.
type unaryKernel func(out, a *vector.Vector, r rows) error

// The kernels by the name of PostgreSQL's function, with the kind of the
// arguments.
var (
	binaryKernels = map[string]struct {
		run  binaryKernel
		kind kind
	}{}
	unaryKernels = map[string]struct {
		run  unaryKernel
		kind kind
	}{}
)

func registerBinary(name string, k kind, run binaryKernel) {
	binaryKernels[name] = struct {
		run  binaryKernel
		kind kind
	}{run, k}
}

func registerUnary(name string, k kind, run unaryKernel) {
	unaryKernels[name] = struct {
		run  unaryKernel
		kind kind
	}{run, k}
}

// The names of the comparisons in PostgreSQL's functions, and how they are
// made of equality and order.
var comparisons = []struct {
	name                string
	equal, swap, negate bool
}{
	{"eq", true, false, false}, {"ne", true, false, true},
	{"lt", false, false, false}, {"ge", false, false, true},
	{"gt", false, true, false}, {"le", false, true, true},
}

func init() {
	for _, c := range comparisons {
		for _, p := range []string{"int2", "int4", "int8", "int24", "int28", "int42", "int48", "int82", "int84",
			"date_", "time_", "timestamp_", "timestamptz_", "oid", "bool", "char"} {
			if p == "char" {
				continue // "char" is text here
			}
			registerBinary(p+c.name, intKind, compareInts(c.equal, c.swap, c.negate))
		}
		for _, p := range []string{"float4", "float8", "float48", "float84"} {
			registerBinary(p+c.name, floatKind, compareFloatVectors(c.equal, c.swap, c.negate))
		}
		text := compareStrings(c.equal, c.swap, c.negate)
		for _, p := range []string{"text", "name", "bytea", "uuid_"} {
			registerBinary(p+c.name, stringKind, text)
		}
		registerBinary("text_"+c.name, stringKind, text)
	}
	// PostgreSQL writes timestamps' and times' functions with and without zone
	// differently.
	for _, width := range []struct {
		names    []string
		low, top int64
		err      *pgerror.Error
	}{
		{[]string{"int2"}, math.MinInt16, math.MaxInt16, pgerror.New(pgerror.NumericValueOutOfRange, "smallint out of range")},
		{[]string{"int4", "int24", "int42"}, math.MinInt32, math.MaxInt32, pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")},
		{[]string{"int8", "int28", "int82", "int48", "int84"}, math.MinInt64, math.MaxInt64, pgerror.New(pgerror.NumericValueOutOfRange, "bigint out of range")},
	} {
		for _, name := range width.names {
			registerBinary(name+"pl", intKind, addInts(width.low, width.top, width.err))
			registerBinary(name+"mi", intKind, subtractInts(width.low, width.top, width.err))
			registerBinary(name+"mul", intKind, multiplyInts(width.low, width.top, width.err))
			registerBinary(name+"div", intKind, divideInts(width.low, width.top, width.err))
			registerBinary(name+"mod", intKind, remainderInts)
		}
		registerUnary(width.names[0]+"um", intKind, negateInts(width.low, width.err))
	}
	registerBinary("float8pl", floatKind, floatArithmetic(func(a, b float64) float64 { return a + b }))
	registerBinary("float8mi", floatKind, floatArithmetic(func(a, b float64) float64 { return a - b }))
	registerBinary("float8mul", floatKind, multiplyFloats)
	registerBinary("float8div", floatKind, divideFloats)
	registerUnary("float8um", floatKind, func(out, a *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			out.Floats[i] = -a.Floats[i]
		}
		return nil
	})
	registerUnary("cast int float8", intKind, func(out, a *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			out.Floats[i] = float64(a.Ints[i])
		}
		return nil
	})
	registerUnary("cast float4 float8", floatKind, func(out, a *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			out.Floats[i] = a.Floats[i]
		}
		return nil
	})
	registerUnary("cast int8 int4", intKind, func(out, a *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			if v := a.Ints[i]; v != int64(int32(v)) && !out.Null(i) {
				return pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")
			}
			out.Ints[i] = a.Ints[i]
		}
		return nil
	})
}

// bit is 1 if b is true.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func compareInts(equal, swap, negate bool) binaryKernel {
	flip := bit(negate)
	return func(out, a, b *vector.Vector, r rows) error {
		if swap {
			a, b = b, a
		}
		x, y, to := a.Ints, b.Ints, out.Ints
		switch {
		case equal && r.selection == nil:
			x, y, to = x[:r.n], y[:r.n], to[:r.n]
			for i := range to {
				to[i] = bit(x[i] == y[i]) ^ flip
			}
		case equal:
			for _, i := range r.selection[:r.n] {
				to[i] = bit(x[i] == y[i]) ^ flip
			}
		case r.selection == nil:
			x, y, to = x[:r.n], y[:r.n], to[:r.n]
			for i := range to {
				to[i] = bit(x[i] < y[i]) ^ flip
			}
		default:
			for _, i := range r.selection[:r.n] {
				to[i] = bit(x[i] < y[i]) ^ flip
			}
		}
		return nil
	}
}

func compareFloatVectors(equal, swap, negate bool) binaryKernel {
	flip := bit(negate)
	return func(out, a, b *vector.Vector, r rows) error {
		if swap {
			a, b = b, a
		}
		for n := range r.n {
			i := r.at(n)
			c := compareFloats(a.Floats[i], b.Floats[i])
			if equal {
				out.Ints[i] = bit(c == 0) ^ flip
			} else {
				out.Ints[i] = bit(c < 0) ^ flip
			}
		}
		return nil
	}
}

func compareStrings(equal, swap, negate bool) binaryKernel {
	flip := bit(negate)
	return func(out, a, b *vector.Vector, r rows) error {
		if swap {
			a, b = b, a
		}
		for n := range r.n {
			i := r.at(n)
			if equal {
				out.Ints[i] = bit(a.Strings[i] == b.Strings[i]) ^ flip
			} else {
				out.Ints[i] = bit(a.Strings[i] < b.Strings[i]) ^ flip
			}
		}
		return nil
	}
}

func addInts(low, top int64, outOfRange *pgerror.Error) binaryKernel {
	return func(out, a, b *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			x, y := a.Ints[i], b.Ints[i]
			sum := x + y
			if (sum < low || sum > top || (sum > x) != (y > 0) && y != 0) && !out.Null(i) {
				return copyOf(outOfRange)
			}
			out.Ints[i] = sum
		}
		return nil
	}
}

func subtractInts(low, top int64, outOfRange *pgerror.Error) binaryKernel {
	return func(out, a, b *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			x, y := a.Ints[i], b.Ints[i]
			difference := x - y
			if (difference < low || difference > top || (difference < x) != (y > 0) && y != 0) && !out.Null(i) {
				return copyOf(outOfRange)
			}
			out.Ints[i] = difference
		}
		return nil
	}
}

// multiplied returns x*y and whether it fits 64 bits.
func multiplied(x, y int64) (int64, bool) {
	if x == int64(int32(x)) && y == int64(int32(y)) {
		return x * y, true
	}
	high, lowBits := bits.Mul64(magnitude(x), magnitude(y))
	if high != 0 {
		return 0, false
	}
	if (x < 0) != (y < 0) {
		return -int64(lowBits), lowBits <= 1<<63
	}
	return int64(lowBits), lowBits < 1<<63
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

func multiplyInts(low, top int64, outOfRange *pgerror.Error) binaryKernel {
	return func(out, a, b *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			product, ok := multiplied(a.Ints[i], b.Ints[i])
			if (!ok || product < low || product > top) && !out.Null(i) {
				return copyOf(outOfRange)
			}
			out.Ints[i] = product
		}
		return nil
	}
}

func divisionByZero() error { return pgerror.New(pgerror.DivisionByZero, "division by zero") }

// copyOf returns a copy of an error, which others may add a position to.
func copyOf(e *pgerror.Error) error {
	c := *e
	return &c
}

func divideInts(low, top int64, outOfRange *pgerror.Error) binaryKernel {
	return func(out, a, b *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			if out.Null(i) {
				continue
			}
			x, y := a.Ints[i], b.Ints[i]
			switch {
			case y == 0:
				return divisionByZero()
			case y == -1 && x == low:
				return copyOf(outOfRange)
			}
			quotient := x / y
			if quotient > top {
				return copyOf(outOfRange)
			}
			out.Ints[i] = quotient
		}
		return nil
	}
}

func remainderInts(out, a, b *vector.Vector, r rows) error {
	for n := range r.n {
		i := r.at(n)
		if out.Null(i) {
			continue
		}
		switch b.Ints[i] {
		case 0:
			return divisionByZero()
		case -1:
			out.Ints[i] = 0
		default:
			out.Ints[i] = a.Ints[i] % b.Ints[i]
		}
	}
	return nil
}

func negateInts(low int64, outOfRange *pgerror.Error) unaryKernel {
	return func(out, a *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			if a.Ints[i] == low && !out.Null(i) {
				return copyOf(outOfRange)
			}
			out.Ints[i] = -a.Ints[i]
		}
		return nil
	}
}

func floatOverflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: overflow")
}

func floatUnderflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: underflow")
}

func floatArithmetic(f func(a, b float64) float64) binaryKernel {
	return func(out, a, b *vector.Vector, r rows) error {
		for n := range r.n {
			i := r.at(n)
			x, y := a.Floats[i], b.Floats[i]
			v := f(x, y)
			if math.IsInf(v, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) && !out.Null(i) {
				return floatOverflow()
			}
			out.Floats[i] = v
		}
		return nil
	}
}

func multiplyFloats(out, a, b *vector.Vector, r rows) error {
	for n := range r.n {
		i := r.at(n)
		x, y := a.Floats[i], b.Floats[i]
		v := x * y
		switch {
		case out.Null(i):
		case math.IsInf(v, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0):
			return floatOverflow()
		case v == 0 && x != 0 && y != 0:
			return floatUnderflow()
		}
		out.Floats[i] = v
	}
	return nil
}

func divideFloats(out, a, b *vector.Vector, r rows) error {
	for n := range r.n {
		i := r.at(n)
		if out.Null(i) {
			continue
		}
		x, y := a.Floats[i], b.Floats[i]
		if y == 0 && x == x {
			return divisionByZero()
		}
		v := x / y
		switch {
		case math.IsInf(v, 0) && !math.IsInf(x, 0):
			return floatOverflow()
		case v == 0 && x != 0 && !math.IsInf(y, 0):
			return floatUnderflow()
		}
		out.Floats[i] = v
	}
	return nil
}
