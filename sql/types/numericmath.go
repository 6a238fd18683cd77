package types

import (
	"math"
	"strconv"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
)

var (
	numericNaN         = &apd.Decimal{Form: apd.NaN}
	numericInfinity    = &apd.Decimal{Form: apd.Infinite}
	numericNegInfinity = &apd.Decimal{Form: apd.Infinite, Negative: true}
)

func infinityOf(negative bool) *apd.Decimal {
	if negative {
		return numericNegInfinity
	}
	return numericInfinity
}

func isNaN(d *apd.Decimal) bool { return d.Form == apd.NaN || d.Form == apd.NaNSignaling }

func isInfinite(d *apd.Decimal) bool { return d.Form == apd.Infinite }

func checkedNumeric(d *apd.Decimal) (*apd.Decimal, error) {
	if d.Coeff.Sign() == 0 {
		d.Negative = false
	} else if d.NumDigits()+int64(d.Exponent) > numericMaxIntegral {
		return nil, numericOverflow()
	}
	return d, nil
}

// AddNumeric returns a + b, to the greater scale.
func AddNumeric(a, b *apd.Decimal) (*apd.Decimal, error) { return addSigned(a, b, false) }

// SubtractNumeric returns a - b.
func SubtractNumeric(a, b *apd.Decimal) (*apd.Decimal, error) { return addSigned(a, b, true) }

func addSigned(a, b *apd.Decimal, negate bool) (*apd.Decimal, error) {
	negativeB := b.Negative != negate
	switch {
	case isNaN(a) || isNaN(b):
		return numericNaN, nil
	case isInfinite(a) && isInfinite(b):
		if a.Negative != negativeB {
			return numericNaN, nil
		}
		return infinityOf(a.Negative), nil
	case isInfinite(a):
		return infinityOf(a.Negative), nil
	case isInfinite(b):
		return infinityOf(negativeB), nil
	}
	r := &apd.Decimal{Exponent: min(a.Exponent, b.Exponent)}
	var scaled apd.BigInt
	ca, cb := &a.Coeff, &b.Coeff
	if a.Exponent > r.Exponent {
		scaled.Set(ca)
		scaleUp(&scaled, int64(a.Exponent)-int64(r.Exponent))
		ca = &scaled
	} else if b.Exponent > r.Exponent {
		scaled.Set(cb)
		scaleUp(&scaled, int64(b.Exponent)-int64(r.Exponent))
		cb = &scaled
	}
	if a.Negative == negativeB {
		r.Coeff.Add(ca, cb)
		r.Negative = a.Negative
	} else {
		r.Coeff.Sub(ca, cb)
		r.Negative = a.Negative
		if r.Coeff.Sign() < 0 {
			r.Coeff.Neg(&r.Coeff)
			r.Negative = !a.Negative
		}
	}
	return checkedNumeric(r)
}

// MultiplyNumeric returns a * b, to the sum of the scales.
func MultiplyNumeric(a, b *apd.Decimal) (*apd.Decimal, error) {
	if isNaN(a) || isNaN(b) {
		return numericNaN, nil
	}
	if isInfinite(a) || isInfinite(b) {
		if a.Form == apd.Finite && a.Coeff.Sign() == 0 || b.Form == apd.Finite && b.Coeff.Sign() == 0 {
			return numericNaN, nil
		}
		return infinityOf(a.Negative != b.Negative), nil
	}
	r := &apd.Decimal{Exponent: a.Exponent + b.Exponent, Negative: a.Negative != b.Negative}
	r.Coeff.Mul(&a.Coeff, &b.Coeff)
	if scaleOf(r) > numericMaxScale {
		r = rescale(r, numericMaxScale)
	}
	return checkedNumeric(r)
}

// DivideNumeric returns a / b to the scale that PostgreSQL chooses: at least
// 16 significant digits and the greater of the two scales.
func DivideNumeric(a, b *apd.Decimal) (*apd.Decimal, error) {
	switch {
	case isNaN(a) || isNaN(b):
		return numericNaN, nil
	case isInfinite(a) && isInfinite(b):
		return numericNaN, nil
	case b.Form == apd.Finite && b.Coeff.Sign() == 0:
		return nil, errDivision()
	case isInfinite(a):
		return infinityOf(a.Negative != b.Negative), nil
	case isInfinite(b):
		return new(apd.Decimal), nil
	}
	return checkedNumeric(DivideToScale(a, b, divisionScale(a, b)))
}

// DivideToScale returns a / b rounded to a scale; both are finite and b isn't 0.
func DivideToScale(a, b *apd.Decimal, scale int64) *apd.Decimal {
	r := &apd.Decimal{Exponent: int32(-scale), Negative: a.Negative != b.Negative}
	var dividend, divisor apd.BigInt
	dividend.Set(&a.Coeff)
	divisor.Set(&b.Coeff)
	if shift := scale + scaleOf(b) - scaleOf(a); shift >= 0 {
		scaleUp(&dividend, shift)
	} else {
		scaleUp(&divisor, -shift)
	}
	divideRounded(&r.Coeff, &dividend, &divisor)
	if r.Coeff.Sign() == 0 {
		r.Negative = false
	}
	return r
}

// leadingGroup returns the weight and the value of the first group of four
// digits, as PostgreSQL stores numerics in base 10000.
func leadingGroup(d *apd.Decimal) (weight, group int64) {
	if d.Coeff.Sign() == 0 {
		return 0, 0
	}
	digits := d.NumDigits()
	adjusted := digits - 1 + int64(d.Exponent) // of the first digit
	weight, _ = floorDivide(adjusted, 4)
	drop := weight*4 - int64(d.Exponent) // digits behind the group
	var v apd.BigInt
	v.Set(&d.Coeff)
	if drop >= 0 {
		v.Quo(&v, powerOfTen(drop))
	} else {
		scaleUp(&v, -drop)
	}
	return weight, v.Int64()
}

func divisionScale(a, b *apd.Decimal) int64 {
	weightA, firstA := leadingGroup(a)
	weightB, firstB := leadingGroup(b)
	weight := weightA - weightB
	if firstA <= firstB {
		weight--
	}
	scale := max(numericMinSignificant-weight*4, scaleOf(a), scaleOf(b), 0)
	return min(scale, numericMaxDisplayScale)
}

// ModuloNumeric returns the remainder of a / b, with a's sign.
func ModuloNumeric(a, b *apd.Decimal) (*apd.Decimal, error) {
	switch {
	case isNaN(a) || isNaN(b):
		return numericNaN, nil
	case b.Form == apd.Finite && b.Coeff.Sign() == 0:
		return nil, errDivision()
	case isInfinite(a):
		return numericNaN, nil
	case isInfinite(b):
		return a, nil
	}
	scale := max(scaleOf(a), scaleOf(b))
	ra, rb := rescale(a, scale), rescale(b, scale)
	r := &apd.Decimal{Exponent: int32(-scale), Negative: a.Negative}
	r.Coeff.Rem(&ra.Coeff, &rb.Coeff)
	return checkedNumeric(r)
}

// NegateNumeric returns -d.
func NegateNumeric(d *apd.Decimal) *apd.Decimal {
	if isNaN(d) || d.Form == apd.Finite && d.Coeff.Sign() == 0 {
		return d
	}
	r := &apd.Decimal{Form: d.Form, Negative: !d.Negative, Exponent: d.Exponent}
	r.Coeff.Set(&d.Coeff)
	return r
}

func isIntegral(d *apd.Decimal) bool {
	if d.Exponent >= 0 {
		return true
	}
	var r apd.BigInt
	r.Rem(&d.Coeff, powerOfTen(scaleOf(d)))
	return r.Sign() == 0
}

// PowerNumeric returns a ^ b with PostgreSQL's choice of scale.
func PowerNumeric(a, b *apd.Decimal) (*apd.Decimal, error) {
	one := apd.New(1, 0)
	if isNaN(a) || isNaN(b) {
		if b.Form == apd.Finite && b.Coeff.Sign() == 0 || a.Form == apd.Finite && CompareNumeric(a, one) == 0 {
			return one, nil
		}
		return numericNaN, nil
	}
	signA := signOf(a)
	if isInfinite(a) {
		signA = rankNumeric(a)
	}
	negativeB := rankNumeric(b) < 0 || b.Form == apd.Finite && signOf(b) < 0
	if signA == 0 && negativeB {
		return nil, pgerror.New(pgerror.InvalidArgumentForPower, "zero raised to a negative power is undefined")
	}
	if signA < 0 && b.Form == apd.Finite && !isIntegral(b) {
		return nil, pgerror.New(pgerror.InvalidArgumentForPower, "a negative number raised to a non-integer power yields a complex result")
	}
	if isInfinite(a) || isInfinite(b) {
		f, err := FloatPower(numericToFloat(a), numericToFloat(b))
		if err != nil || math.IsNaN(f) {
			return numericNaN, err
		}
		if math.IsInf(f, 0) {
			return infinityOf(f < 0), nil
		}
		return apd.New(int64(f), 0), nil
	}
	if isIntegral(b) {
		if exponent, err := NumericToInt(Int4, b); err == nil {
			return powerOfInteger(a, exponent, min(max(numericMinSignificant, scaleOf(a)), numericMaxDisplayScale))
		}
	}
	if signA == 0 {
		return &apd.Decimal{Exponent: -numericMinSignificant}, nil
	}
	logarithm := math.Log(math.Abs(numericToFloat(a))) * numericToFloat(b)
	if math.Abs(logarithm) > 2*numericMaxIntegral*3.01 {
		if logarithm > 0 {
			return nil, numericOverflow()
		}
		return &apd.Decimal{Exponent: -numericMaxDisplayScale}, nil
	}
	weight := logarithm * 0.434294481903252
	scale := min(max(numericMinSignificant-int64(weight), scaleOf(a), scaleOf(b), 0), numericMaxDisplayScale)
	context := apd.BaseContext.WithPrecision(uint32(max(scale+int64(math.Abs(weight))+10, 20)))
	r := new(apd.Decimal)
	if _, err := context.Pow(r, a, b); err != nil {
		return nil, numericOverflow()
	}
	return checkedNumeric(rescale(r, scale))
}

func powerOfInteger(a *apd.Decimal, exponent, scale int64) (*apd.Decimal, error) {
	switch exponent {
	case 0:
		return rescale(apd.New(1, 0), scale), nil
	case 1:
		return rescale(a, scale), nil
	case -1:
		return DivideToScale(apd.New(1, 0), a, scale), nil
	}
	if a.Coeff.Sign() == 0 {
		return &apd.Decimal{Exponent: int32(-scale)}, nil
	}
	weight := (float64(a.NumDigits()-1+int64(a.Exponent)) + math.Log10(leadingFraction(a))) * float64(exponent)
	if weight > numericMaxIntegral {
		return nil, numericOverflow()
	}
	if weight+1 < float64(-scale) || weight+1 < -numericMaxDisplayScale {
		return &apd.Decimal{Exponent: int32(-scale)}, nil
	}
	digits := uint32(max(1+scale+int64(weight), 1) + int64(math.Log(math.Abs(float64(exponent)))) + 8)
	context := apd.BaseContext.WithPrecision(digits)
	result, square := apd.New(1, 0), new(apd.Decimal).Set(a)
	n := exponent
	if n < 0 {
		n = -n
	}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			if _, err := context.Mul(result, result, square); err != nil {
				return nil, numericOverflow()
			}
		}
		if n > 1 {
			if _, err := context.Mul(square, square, square); err != nil {
				return nil, numericOverflow()
			}
		}
	}
	if exponent < 0 {
		if _, err := context.Quo(result, apd.New(1, 0), result); err != nil {
			return nil, numericOverflow()
		}
	}
	return checkedNumeric(rescale(result, scale))
}

// leadingFraction returns the number's digits as d.ddd….
func leadingFraction(d *apd.Decimal) float64 {
	text := d.Coeff.Append(nil, 10)
	if len(text) > 18 {
		text = text[:18]
	}
	v, _ := strconv.ParseFloat(string(text), 64)
	return v / math.Pow(10, float64(len(text)-1))
}

func numericToFloat(d *apd.Decimal) float64 {
	switch {
	case isNaN(d):
		return math.NaN()
	case isInfinite(d):
		return math.Inf(rankNumeric(d))
	}
	var buffer [64]byte
	v, _ := strconv.ParseFloat(string(appendNumeric(buffer[:0], d)), 64)
	return v
}

// NumericFromInt returns an integer as a numeric.
func NumericFromInt(v int64) *apd.Decimal {
	d := new(apd.Decimal)
	d.Coeff.SetInt64(v)
	if v < 0 {
		d.Negative = true
		d.Coeff.Abs(&d.Coeff)
	}
	return d
}

// NumericToInt rounds to an integer of type t.
func NumericToInt(t *T, d *apd.Decimal) (int64, error) {
	if d.Form != apd.Finite {
		what := "NaN"
		if isInfinite(d) {
			what = "infinity"
		}
		return 0, pgerror.Newf(pgerror.FeatureNotSupported, "cannot convert %s to %s", what, t.SQLName)
	}
	r := RoundNumeric(d, 0)
	if !r.Coeff.IsUint64() {
		return 0, typeOutOfRange(t)
	}
	u := r.Coeff.Uint64()
	limit := uint64(1) << (t.Size*8 - 1)
	if r.Negative {
		if u > limit {
			return 0, typeOutOfRange(t)
		}
		return -int64(u), nil
	}
	if u >= limit {
		return 0, typeOutOfRange(t)
	}
	return int64(u), nil
}

func defineNumeric() {
	for name, op := range map[string]func(a, b *apd.Decimal) (*apd.Decimal, error){"numeric_add": AddNumeric, "numeric_sub": SubtractNumeric, "numeric_mul": MultiplyNumeric, "numeric_div": DivideNumeric, "numeric_mod": ModuloNumeric, "numeric_power": PowerNumeric} {
		define(name, func(_ *Context, a []Datum) (Datum, error) {
			r, err := op(a[0].Decimal(), a[1].Decimal())
			if err != nil {
				return DNull, err
			}
			return Decimal(r), nil
		})
	}
	define("numeric_uminus", func(_ *Context, a []Datum) (Datum, error) { return Decimal(NegateNumeric(a[0].Decimal())), nil })
	define("numeric_uplus", func(_ *Context, a []Datum) (Datum, error) { return a[0], nil })
	define("numeric_abs", func(_ *Context, a []Datum) (Datum, error) {
		if d := a[0].Decimal(); d.Negative && !isNaN(d) {
			return Decimal(NegateNumeric(d)), nil
		}
		return a[0], nil
	})
	fromInt := func(_ *Context, a []Datum) (Datum, error) { return Decimal(NumericFromInt(a[0].I)), nil }
	for _, name := range []string{"int2_numeric", "int4_numeric", "int8_numeric"} {
		define(name, fromInt)
	}
	for name, t := range map[string]*T{"numeric_int2": Int2, "numeric_int4": Int4, "numeric_int8": Int8} {
		define(name, func(_ *Context, a []Datum) (Datum, error) {
			v, err := NumericToInt(t, a[0].Decimal())
			return Int(v), err
		})
	}
	define("float4_numeric", func(_ *Context, a []Datum) (Datum, error) { return floatToNumeric(a[0].Float(), 6) })
	define("float8_numeric", func(_ *Context, a []Datum) (Datum, error) { return floatToNumeric(a[0].Float(), 15) })
	define("numeric_float4", func(ctx *Context, a []Datum) (Datum, error) {
		return parseFloat(Float4, Numeric.Text(ctx, a[0]))
	})
	define("numeric_float8", func(_ *Context, a []Datum) (Datum, error) {
		var buffer [64]byte
		return parseFloat(Float8, string(appendNumeric(buffer[:0], a[0].Decimal())))
	})
}

func floatToNumeric(f float64, digits int) (Datum, error) {
	switch {
	case math.IsNaN(f):
		return Decimal(numericNaN), nil
	case math.IsInf(f, 0):
		return Decimal(infinityOf(f < 0)), nil
	}
	var buffer [32]byte
	return parseNumeric(string(appendGeneral(buffer[:0], f, digits, digits)))
}
