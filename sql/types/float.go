package types

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

func parseFloat(t *T, text string) (Datum, error) {
	s := trimSpace(text)
	bits := int(t.Size) * 8
	if f, ok := specialFloat(s); ok {
		return Float(f), nil
	}
	if !looksLikeNumber(s) {
		return DNull, invalidInput(t, text)
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil || f == 0 && strings.ContainsAny(mantissa(s), "123456789") {
		return DNull, pgerror.Newf(pgerror.NumericValueOutOfRange, "\"%s\" is out of range for type %s", s, t.SQLName)
	}
	return Float(f), nil
}

func mantissa(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i]
	}
	return s
}

func specialFloat(s string) (float64, bool) {
	if len(s) == 0 || s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		return 0, false
	}
	sign, name := 1, s
	if s[0] == '+' || s[0] == '-' {
		name = s[1:]
		if s[0] == '-' {
			sign = -1
		}
	}
	switch {
	case strings.EqualFold(name, "nan"):
		return math.NaN(), true
	case strings.EqualFold(name, "infinity"), strings.EqualFold(name, "inf"):
		return math.Inf(sign), true
	}
	return 0, false
}

// looksLikeNumber accepts a decimal number with an optional exponent.
func looksLikeNumber(s string) bool {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	digits := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i == len(s) {
			return false
		}
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		}
	}
	return i == len(s)
}

// appendFloat prints the shortest form that reads back as f, or as many digits
// as extra_float_digits says.
func appendFloat(b []byte, ctx *Context, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	digits, limit := 15, 15 // DBL_DIG
	if bits == 32 {
		digits, limit = 6, 6
	}
	extra := 1
	if ctx != nil {
		extra += int(ctx.ExtraFloatDigits)
	}
	if extra <= 0 {
		digits = max(digits+extra, 1)
		return appendGeneral(b, f, digits, digits)
	}
	if bits == 64 && math.Abs(f) >= 1<<53 && math.Abs(f) < 1e25 || bits == 32 && math.Abs(f) >= 1<<24 && math.Abs(f) < 1e12 {
		return appendLargeFloat(b, f, bits, limit)
	}
	return appendGeneral(b, f, -1, limit)
}

// appendLargeFloat prints a float that may have a shortest form just half way
// to its neighbour: PostgreSQL then gives a digit more, as its Ryu (unlike
// Go's) does not rely on the reader to round to even.
func appendLargeFloat(b []byte, f float64, bits, limit int) []byte {
	var shortest [32]byte
	text := strconv.AppendFloat(shortest[:0], f, 'e', -1, bits)
	value, _, err := big.ParseFloat(string(text), 10, 200, big.ToNearestEven)
	if err != nil {
		return appendGeneral(b, f, -1, limit)
	}
	below, above := math.Nextafter(f, math.Inf(-1)), math.Nextafter(f, math.Inf(1))
	if bits == 32 {
		below = float64(math.Nextafter32(float32(f), float32(math.Inf(-1))))
		above = float64(math.Nextafter32(float32(f), float32(math.Inf(1))))
	}
	value.Add(value, value)
	for _, neighbour := range []float64{below, above} {
		sum := new(big.Float).SetPrec(200).SetFloat64(f)
		if sum.Add(sum, big.NewFloat(neighbour)).Cmp(value) == 0 {
			digits := 0
			for _, c := range text[:strings.IndexByte(string(text), 'e')] {
				if isDigit(c) {
					digits++
				}
			}
			start := len(b)
			half := appendGeneral(b, f, -1, limit)
			plain := string(half[start:])
			for digits++; digits <= 17; digits++ {
				if b = appendGeneral(half[:start], f, digits, limit); string(b[start:]) != plain {
					break
				}
			}
			return b
		}
	}
	return appendGeneral(b, f, -1, limit)
}

// appendGeneral is printf's %.*g, with precision -1 for the shortest form;
// from 10^limit on it uses an exponent.
func appendGeneral(b []byte, f float64, precision, limit int) []byte {
	bits := 64
	if limit == 6 && precision < 0 {
		bits = 32
	}
	start := len(b)
	scientific := precision
	if precision > 0 {
		scientific--
	}
	b = strconv.AppendFloat(b, f, 'e', scientific, bits)
	e := len(b) - 1
	for b[e] != 'e' {
		e--
	}
	exponent, _ := strconv.Atoi(string(b[e+1:]))
	digits := e - start
	if exponent >= -4 && exponent < limit {
		decimals := -1
		if precision > 0 {
			decimals = max(precision-1-exponent, 0)
		}
		b = strconv.AppendFloat(b[:start], f, 'f', decimals, bits)
		if precision > 0 {
			b = trimFraction(b, start)
		}
		return b
	}
	if precision > 0 {
		suffix := string(b[e:])
		b = append(trimFraction(b[:start+digits], start), suffix...)
	}
	return b
}

// trimFraction removes zeros at the end of a fraction.
func trimFraction(b []byte, start int) []byte {
	if !strings.Contains(string(b[start:]), ".") {
		return b
	}
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b
}

func overflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: overflow")
}
func underflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: underflow")
}

// floatArithmetic computes in 32 bits where both sides are float4.
type floatArithmetic struct{ single bool }

func (f floatArithmetic) round(v float64) float64 {
	if f.single {
		return float64(float32(v))
	}
	return v
}

func (f floatArithmetic) add(a, b float64) (float64, error) {
	r := f.round(a + b)
	if math.IsInf(r, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return 0, overflow()
	}
	return r, nil
}

func (f floatArithmetic) multiply(a, b float64) (float64, error) {
	r := f.round(a * b)
	if math.IsInf(r, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return 0, overflow()
	}
	if r == 0 && a != 0 && b != 0 {
		return 0, underflow()
	}
	return r, nil
}

func (f floatArithmetic) divide(a, b float64) (float64, error) {
	if b == 0 && !math.IsNaN(a) {
		return 0, errDivision()
	}
	r := f.round(a / b)
	if math.IsInf(r, 0) && !math.IsInf(a, 0) {
		return 0, overflow()
	}
	if r == 0 && a != 0 && !math.IsInf(b, 0) {
		return 0, underflow()
	}
	return r, nil
}

func defineFloats() {
	for _, name := range []string{"float4", "float8", "float48", "float84"} {
		f := floatArithmetic{single: name == "float4"}
		binary := func(op func(a, b float64) (float64, error)) EvalFunc {
			return func(_ *Context, a []Datum) (Datum, error) {
				v, err := op(a[0].Float(), a[1].Float())
				if err != nil {
					return DNull, err
				}
				return Float(v), nil
			}
		}
		define(name+"pl", binary(f.add))
		define(name+"mi", binary(func(a, b float64) (float64, error) { return f.add(a, -b) }))
		define(name+"mul", binary(f.multiply))
		define(name+"div", binary(f.divide))
		define(name+"um", floatUnary(func(v float64) float64 { return -v }))
		define(name+"up", floatUnary(func(v float64) float64 { return v }))
		define(name+"abs", floatUnary(math.Abs))
	}
	define("dsqrt", func(_ *Context, a []Datum) (Datum, error) {
		v := a[0].Float()
		if v < 0 {
			return DNull, pgerror.New(pgerror.InvalidArgumentForPower, "cannot take square root of a negative number")
		}
		return Float(math.Sqrt(v)), nil
	})
	define("dcbrt", floatUnary(math.Cbrt))
	define("dpow", func(_ *Context, a []Datum) (Datum, error) {
		v, err := FloatPower(a[0].Float(), a[1].Float())
		return Float(v), err
	})
	defineFloatConversions()
}

func floatUnary(op func(float64) float64) EvalFunc {
	return func(_ *Context, a []Datum) (Datum, error) { return Float(op(a[0].Float())), nil }
}

func defineFloatConversions() {
	fromInt := func(_ *Context, a []Datum) (Datum, error) { return Float(float64(a[0].I)), nil }
	for _, name := range []string{"i2tod", "i4tod", "i8tod"} {
		define(name, fromInt)
	}
	toSingle := func(_ *Context, a []Datum) (Datum, error) { return Float(float64(float32(a[0].I))), nil }
	for _, name := range []string{"i2tof", "i4tof", "i8tof"} {
		define(name, toSingle)
	}
	define("ftod", floatUnary(func(v float64) float64 { return v }))
	define("dtof", func(_ *Context, a []Datum) (Datum, error) {
		v := a[0].Float()
		r := float64(float32(v))
		if math.IsInf(r, 0) && !math.IsInf(v, 0) {
			return DNull, overflow()
		}
		if r == 0 && v != 0 {
			return DNull, underflow()
		}
		return Float(r), nil
	})
	for suffix, t := range map[string]*T{"2": Int2, "4": Int4, "8": Int8} {
		toInt := func(_ *Context, a []Datum) (Datum, error) {
			v := math.RoundToEven(a[0].Float())
			if limit := math.Ldexp(1, int(t.Size)*8-1); !(v >= -limit && v < limit) {
				return DNull, typeOutOfRange(t)
			}
			return Int(int64(v)), nil
		}
		define("dtoi"+suffix, toInt)
		define("ftoi"+suffix, toInt)
	}
}

// FloatPower is a ^ b with PostgreSQL's errors.
func FloatPower(a, b float64) (float64, error) {
	switch {
	case math.IsNaN(a):
		if b == 0 {
			return 1, nil
		}
		return a, nil
	case math.IsNaN(b):
		if a == 1 {
			return 1, nil
		}
		return b, nil
	case a == 0 && b < 0:
		return 0, pgerror.New(pgerror.InvalidArgumentForPower, "zero raised to a negative power is undefined")
	case a < 0 && math.Floor(b) != b:
		return 0, pgerror.New(pgerror.InvalidArgumentForPower, "a negative number raised to a non-integer power yields a complex result")
	}
	r := floatPower(a, b)
	if !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		if math.IsInf(r, 0) {
			return 0, overflow()
		}
		if r == 0 && a != 0 {
			return 0, underflow()
		}
	}
	return r, nil
}

// compareFloats is PostgreSQL's order: NaN equals NaN and is greatest.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case math.IsNaN(a):
		if math.IsNaN(b) {
			return 0
		}
		return 1
	}
	return -1
}
