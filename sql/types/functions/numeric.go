package functions

import (
	"math"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// PostgreSQL's limits of numerics (numeric.h, numeric.c). Scales of results
// follow from the weight of the first digit in base 10000, as there: the rules
// are those of numeric.c's select_div_scale and its callers.
const (
	numericMinimumDigits   = 16
	numericMaximumScale    = 1000
	numericMaximumResult   = 2000
	numericMaximumExponent = 131072
)

func errNumericOverflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value overflows numeric format")
}

func isNaN(d *apd.Decimal) bool { return d.Form == apd.NaN || d.Form == apd.NaNSignaling }

var (
	numericNaN  = &apd.Decimal{Form: apd.NaN}
	numericZero = apd.New(0, 0)
	numericOne  = apd.New(1, 0)
)

// scaleOf is the number of digits after the point that a numeric shows.
func scaleOf(d *apd.Decimal) int32 { return max(0, -d.Exponent) }

func powerOfTen(n int32) *apd.BigInt {
	return new(apd.BigInt).Exp(apd.NewBigInt(10), apd.NewBigInt(int64(n)), nil)
}

// rescale returns d with a scale, rounded half away from zero.
func rescale(d *apd.Decimal, scale int32) *apd.Decimal {
	return quantize(d, scale, true)
}

func quantize(d *apd.Decimal, scale int32, round bool) *apd.Decimal {
	if d.Form != apd.Finite || d.Exponent == -scale {
		return d
	}
	out := &apd.Decimal{Negative: d.Negative, Exponent: -scale}
	if shift := d.Exponent + scale; shift > 0 {
		out.Coeff.Mul(&d.Coeff, powerOfTen(shift))
	} else {
		if d.NumDigits() < int64(-shift)-1 {
			out.Negative = false
			return out
		}
		divisor := powerOfTen(-shift)
		var remainder apd.BigInt
		out.Coeff.QuoRem(&d.Coeff, divisor, &remainder)
		remainder.Mul(&remainder, apd.NewBigInt(2))
		if round && remainder.Cmp(divisor) >= 0 {
			out.Coeff.Add(&out.Coeff, apd.NewBigInt(1))
		}
	}
	if out.Coeff.Sign() == 0 {
		out.Negative = false
	}
	return out
}

// roundTo rounds to a scale that may be negative; the result's scale is not.
func roundTo(d *apd.Decimal, scale int32, round bool) *apd.Decimal {
	if d.Form != apd.Finite {
		return d
	}
	out := quantize(d, scale, round)
	if scale < 0 {
		out = quantize(out, 0, false)
	}
	return out
}

// exact is a context that loses nothing in addition and multiplication.
var exact = apd.Context{Precision: 0, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent}

func add(a, b *apd.Decimal) *apd.Decimal {
	if a.Form != apd.Finite || b.Form != apd.Finite {
		switch {
		case isNaN(a) || isNaN(b) || a.Form == apd.Infinite && b.Form == apd.Infinite && a.Negative != b.Negative:
			return numericNaN
		case a.Form == apd.Infinite:
			return a
		}
		return b
	}
	out := new(apd.Decimal)
	_, _ = exact.Add(out, a, b) // cannot fail: finite and exact
	return fixZero(out)
}

func subtract(a, b *apd.Decimal) *apd.Decimal { return add(a, types.NegateNumeric(b)) }

// multiply is of finite numerics; the scale is the sum of both.
func multiply(a, b *apd.Decimal) *apd.Decimal {
	out := &apd.Decimal{Exponent: a.Exponent + b.Exponent, Negative: a.Negative != b.Negative}
	out.Coeff.Mul(&a.Coeff, &b.Coeff)
	return fixZero(out)
}

func fixZero(d *apd.Decimal) *apd.Decimal {
	if d.Form == apd.Finite && d.Coeff.Sign() == 0 {
		d.Negative = false
	}
	if d.Exponent > 0 {
		return quantize(d, 0, false)
	}
	return d
}

// divide divides finite numerics to a scale, rounded half away from zero; b is
// not zero.
func divide(a, b *apd.Decimal, scale int32) *apd.Decimal {
	return types.DivideToScale(a, b, int64(scale))
}

// divideTruncated is the whole part of a quotient of finite numerics.
func divideTruncated(a, b *apd.Decimal) *apd.Decimal {
	var numerator, denominator apd.BigInt
	numerator.Set(&a.Coeff)
	denominator.Set(&b.Coeff)
	if shift := a.Exponent - b.Exponent; shift >= 0 {
		numerator.Mul(&numerator, powerOfTen(shift))
	} else {
		denominator.Mul(&denominator, powerOfTen(-shift))
	}
	out := &apd.Decimal{Negative: a.Negative != b.Negative}
	out.Coeff.Quo(&numerator, &denominator)
	return fixZero(out)
}

// leading returns the weight of the first digit in base 10000 and that digit.
func leading(d *apd.Decimal) (weight int, digit int) {
	if d.IsZero() {
		return 0, 0
	}
	adjusted := int(d.NumDigits()) + int(d.Exponent) - 1
	weight = floorQuotient(adjusted, 4)
	// The first digit has adjusted-4·weight+1 decimal digits.
	want := adjusted - 4*weight + 1
	digits := d.Coeff.String()
	for i := range want {
		digit *= 10
		if i < len(digits) {
			digit += int(digits[i] - '0')
		}
	}
	return weight, digit
}

func floorQuotient(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// limitScale keeps a result's scale within what PostgreSQL shows.
func limitScale(scale int, inputs ...*apd.Decimal) int32 {
	for _, d := range inputs {
		scale = max(scale, int(scaleOf(d)))
	}
	return int32(min(max(scale, 0), numericMaximumScale))
}

// working is a context for approximations with digits significant digits.
func working(digits int) *apd.Context {
	c := apd.BaseContext.WithPrecision(uint32(max(digits, 1)))
	c.Rounding = apd.RoundHalfUp
	c.Traps = 0
	return c
}

// adjusted is the exponent of the first decimal digit.
func adjusted(d *apd.Decimal) int { return int(d.NumDigits()) + int(d.Exponent) - 1 }

func numericSquareRoot(d *apd.Decimal, scale int32) *apd.Decimal {
	// Integer square root of the value at twice the scale and two digits more.
	scaled := quantize(d, 2*(scale+2), false)
	out := &apd.Decimal{Exponent: -(scale + 2)}
	out.Coeff.Sqrt(&scaled.Coeff)
	return rescale(out, scale)
}

func squareRootScale(d *apd.Decimal) int32 {
	weight, _ := leading(d)
	// Half the weight in decimal digits, as numeric_sqrt has it.
	decimal := (weight+1)*2 - 1
	return limitScale(numericMinimumDigits-decimal, d)
}

// logarithmWeight estimates the decimal weight of ln(d).
func logarithmWeight(d *apd.Decimal) int {
	if d.Negative || d.IsZero() {
		return 0
	}
	if d.Cmp(apd.New(9, -1)) >= 0 && d.Cmp(apd.New(11, -1)) <= 0 {
		x := subtract(d, numericOne)
		if x.IsZero() {
			return 0
		}
		weight, digit := leading(x)
		return weight*4 + int(math.Log10(float64(digit)))
	}
	digits := d.Coeff.String()
	weight, _ := leading(d)
	// The first two digits in base 10000.
	want := adjusted(d) - 4*weight + 1 + 4
	value := 0.0
	for i := range want {
		value *= 10
		if i < len(digits) {
			value += float64(digits[i] - '0')
		}
	}
	logarithm := math.Log(value) + float64(weight*4-4)*math.Ln10
	return int(math.Log10(math.Abs(logarithm)))
}

// naturalLog is ln(d) to a scale; d is positive and finite.
func naturalLog(d *apd.Decimal, scale int32) *apd.Decimal {
	out := new(apd.Decimal)
	_, _ = working(int(scale)+max(logarithmWeight(d), 0)+12).Ln(out, d)
	return rescale(out, scale)
}

func numericLog(base, d *apd.Decimal) *apd.Decimal {
	baseWeight, weight := logarithmWeight(base), logarithmWeight(d)
	scale := limitScale(numericMinimumDigits-(weight-baseWeight), base, d)
	digits := int32(max(int(scale)+10, int(scale)-baseWeight+10, int(scale)-weight+10))
	return divide(naturalLog(d, digits+8), naturalLog(base, digits+8), scale)
}

// exponentiate is e^d to a scale.
func exponentiate(d *apd.Decimal, scale int32) (*apd.Decimal, error) {
	f, _ := d.Float64()
	if f > numericMaximumResult*3*5 && f > 300000 {
		return nil, errNumericOverflow()
	}
	if f < -2*numericMaximumResult*3 {
		return rescale(numericZero, scale), nil
	}
	out := new(apd.Decimal)
	context := working(int(scale) + max(int(f*0.434294481903252), 0) + 12)
	context.MaxExponent, context.MinExponent = apd.MaxExponent, apd.MinExponent
	_, _ = context.Exp(out, d)
	if out.Form != apd.Finite || adjusted(out) >= numericMaximumExponent {
		return nil, errNumericOverflow()
	}
	return rescale(out, scale), nil
}

func numericExp(d *apd.Decimal) (*apd.Decimal, error) {
	f, _ := d.Float64()
	if f >= 3*numericMaximumScale {
		return nil, errNumericOverflow()
	}
	weight := min(max(f*0.434294481903252, -numericMaximumResult), numericMaximumResult)
	return exponentiate(d, limitScale(numericMinimumDigits-int(weight), d))
}

func decimal1(f func(*apd.Decimal) (*apd.Decimal, error)) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		out, err := f(a[0].Decimal())
		if err != nil {
			return types.DNull, err
		}
		return types.Decimal(out), nil
	}
}

func defineNumeric(d definitions) {
	d.scalar("abs(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		if x.Negative {
			return types.NegateNumeric(x), nil
		}
		return x, nil
	}))
	d.scalar("sign(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		if isNaN(x) {
			return x, nil
		}
		return apd.New(int64(x.Sign()), 0), nil
	}))
	ceiling := decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		out := roundTo(x, 0, false)
		if x.Form == apd.Finite && !x.Negative && out.Cmp(x) != 0 {
			out = add(out, numericOne)
		}
		return out, nil
	})
	d.scalar("ceil(numeric)", ceiling)
	d.scalar("ceiling(numeric)", ceiling)
	d.scalar("floor(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		out := roundTo(x, 0, false)
		if x.Form == apd.Finite && x.Negative && out.Cmp(x) != 0 {
			out = subtract(out, numericOne)
		}
		return out, nil
	}))
	d.scalar("round(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) { return roundTo(x, 0, true), nil }))
	d.scalar("trunc(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) { return roundTo(x, 0, false), nil }))
	for name, round := range map[string]bool{"round": true, "trunc": false} {
		d.scalar(name+"(numeric,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			scale := min(max(a[1].I, -numericMaximumResult), numericMaximumResult)
			return types.Decimal(roundTo(a[0].Decimal(), int32(scale), round)), nil
		})
	}
	d.scalar("scale(numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Decimal().Form != apd.Finite {
			return types.DNull, nil
		}
		return types.Int(int64(scaleOf(a[0].Decimal()))), nil
	})
	d.scalar("min_scale(numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Decimal().Form != apd.Finite {
			return types.DNull, nil
		}
		return types.Int(int64(scaleOf(trimScale(a[0].Decimal())))), nil
	})
	d.scalar("trim_scale(numeric)", decimal1(func(x *apd.Decimal) (*apd.Decimal, error) { return trimScale(x), nil }))
	defineNumericPowers(d)
	defineNumericDivision(d)
}

func trimScale(d *apd.Decimal) *apd.Decimal {
	if d.Form != apd.Finite {
		return d
	}
	var reduced apd.Decimal
	out, _ := reduced.Reduce(d)
	if out.Exponent > 0 || out.IsZero() {
		return quantize(out, 0, false)
	}
	return out
}

func defineNumericPowers(d definitions) {
	sqrt := decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		switch {
		case isNaN(x):
			return x, nil
		case x.Negative:
			return nil, pgerror.New(invalidPower, "cannot take square root of a negative number")
		case x.Form == apd.Infinite:
			return x, nil
		}
		return numericSquareRoot(x, squareRootScale(x)), nil
	})
	exp := decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		switch {
		case isNaN(x) || x.Form == apd.Infinite && !x.Negative:
			return x, nil
		case x.Form == apd.Infinite:
			return numericZero, nil
		}
		return numericExp(x)
	})
	ln := decimal1(func(x *apd.Decimal) (*apd.Decimal, error) {
		if isNaN(x) {
			return x, nil
		}
		if err := checkLogarithm(x.Sign()); err != nil {
			return nil, err
		}
		if x.Form == apd.Infinite {
			return x, nil
		}
		return naturalLog(x, limitScale(numericMinimumDigits-logarithmWeight(x), x)), nil
	})
	log := func(base, x *apd.Decimal) (*apd.Decimal, error) {
		if isNaN(x) || isNaN(base) {
			return numericNaN, nil
		}
		if err := checkLogarithm(base.Sign()); err != nil {
			return nil, err
		}
		if err := checkLogarithm(x.Sign()); err != nil {
			return nil, err
		}
		switch {
		case base.Form == apd.Infinite && x.Form == apd.Infinite:
			return numericNaN, nil
		case base.Form == apd.Infinite:
			return numericZero, nil
		case x.Form == apd.Infinite:
			return x, nil
		case base.Cmp(numericOne) == 0:
			return nil, errDivisionByZero()
		}
		return numericLog(base, x), nil
	}
	log10 := decimal1(func(x *apd.Decimal) (*apd.Decimal, error) { return log(apd.New(10, 0), x) })
	power := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		out, err := types.PowerNumeric(a[0].Decimal(), a[1].Decimal())
		if err != nil {
			return types.DNull, err
		}
		return types.Decimal(out), nil
	}
	d.scalar("sqrt(numeric)", sqrt)
	d.scalar("numeric_sqrt(numeric)", sqrt)
	d.scalar("exp(numeric)", exp)
	d.scalar("numeric_exp(numeric)", exp)
	d.scalar("ln(numeric)", ln)
	d.scalar("numeric_ln(numeric)", ln)
	d.scalar("log(numeric)", log10)
	d.scalar("log10(numeric)", log10)
	d.scalar("power(numeric,numeric)", power)
	d.scalar("pow(numeric,numeric)", power)
	d.scalar("log(numeric,numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		out, err := log(a[0].Decimal(), a[1].Decimal())
		if err != nil {
			return types.DNull, err
		}
		return types.Decimal(out), nil
	})
}

func defineNumericDivision(d definitions) {
	div := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		x, y := a[0].Decimal(), a[1].Decimal()
		switch {
		case isNaN(x) || isNaN(y) || x.Form == apd.Infinite && y.Form == apd.Infinite:
			return types.Decimal(numericNaN), nil
		case y.IsZero():
			return types.DNull, errDivisionByZero()
		case x.Form == apd.Infinite:
			return types.Decimal(&apd.Decimal{Form: apd.Infinite, Negative: x.Negative != y.Negative}), nil
		case y.Form == apd.Infinite:
			return types.Decimal(numericZero), nil
		}
		return types.Decimal(divideTruncated(x, y)), nil
	}
	d.scalar("div(numeric,numeric)", div)
	d.scalar("numeric_div_trunc(numeric,numeric)", div)
	d.scalar("mod(numeric,numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		out, err := types.ModuloNumeric(a[0].Decimal(), a[1].Decimal())
		if err != nil {
			return types.DNull, err
		}
		return types.Decimal(out), nil
	})
	d.scalar("gcd(numeric,numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		x, y := a[0].Decimal(), a[1].Decimal()
		if x.Form != apd.Finite || y.Form != apd.Finite {
			return types.Decimal(numericNaN), nil
		}
		return types.Decimal(numericGCD(x, y)), nil
	})
	d.scalar("lcm(numeric,numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		x, y := a[0].Decimal(), a[1].Decimal()
		if x.Form != apd.Finite || y.Form != apd.Finite {
			return types.Decimal(numericNaN), nil
		}
		scale := max(scaleOf(x), scaleOf(y))
		if x.IsZero() || y.IsZero() {
			return types.Decimal(rescale(numericZero, scale)), nil
		}
		out := multiply(divideTruncated(x, numericGCD(x, y)), y)
		out.Negative = false
		return types.Decimal(rescale(out, scale)), nil
	})
}

func numericGCD(x, y *apd.Decimal) *apd.Decimal {
	scale := max(scaleOf(x), scaleOf(y))
	for !y.IsZero() {
		remainder, _ := types.ModuloNumeric(x, y) // both are finite, y is not zero
		x, y = y, remainder
	}
	out := *rescale(x, scale)
	out.Negative = false
	return &out
}
