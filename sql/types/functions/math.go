package functions

import (
	"math"
	"math/rand/v2"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// SQLSTATEs that only this package uses.
const (
	invalidLogarithm   = pgerror.InvalidArgumentForLogarithm
	invalidPower       = pgerror.InvalidArgumentForPower
	invalidWidthBucket = "2201G"
)

const maximumFloat = math.MaxFloat64

func errOverflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: overflow")
}

func errUnderflow() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value out of range: underflow")
}

func errInputRange() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "input is out of range")
}

func errDivisionByZero() error { return pgerror.New(pgerror.DivisionByZero, "division by zero") }

func float1(f func(float64) float64) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Float(f(a[0].Float())), nil
	}
}

// float1Err is float1 for a function that refuses some arguments.
func float1Err(f func(float64) (float64, error)) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := f(a[0].Float())
		return types.Float(v), err
	}
}

func defineMath(d definitions) {
	defineIntegers(d)
	d.scalar("abs(float4)", float1(math.Abs))
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "ceil": math.Ceil, "ceiling": math.Ceil, "floor": math.Floor, "round": math.RoundToEven, "dround": math.RoundToEven,
		"trunc": math.Trunc, "dtrunc": math.Trunc, "cbrt": math.Cbrt, "radians": func(x float64) float64 { return x * (math.Pi / 180) },
		"atan": math.Atan, "sinh": math.Sinh, "cosh": math.Cosh, "tanh": math.Tanh, "asinh": math.Asinh,
		"sign": func(x float64) float64 {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return -1
			case x != x:
				return x
			}
			return 0
		},
	} {
		d.scalar(name+"(float8)", float1(f))
	}
	for name, f := range map[string]func(float64) (float64, error){
		"degrees": func(x float64) (float64, error) { return checked(x/(math.Pi/180), x) },
		"sqrt":    squareRoot, "exp": exponential, "dexp": exponential, "ln": naturalLogarithm, "dlog1": naturalLogarithm,
		"log": decimalLogarithm, "log10": decimalLogarithm, "dlog10": decimalLogarithm,
		"sin": periodic(math.Sin), "cos": periodic(math.Cos), "tan": periodic(math.Tan),
		"cot":   periodic(func(x float64) float64 { return 1 / math.Tan(x) }),
		"asin":  within(-1, 1, math.Asin),
		"acos":  within(-1, 1, math.Acos),
		"acosh": within(1, math.Inf(1), math.Acosh),
		"atanh": within(-1, 1, math.Atanh),
		"asind": within(-1, 1, asind), "acosd": within(-1, 1, acosd),
		"sind": periodic(sind), "cosd": periodic(cosd), "tand": periodic(tand), "cotd": periodic(cotd),
	} {
		d.scalar(name+"(float8)", float1Err(f))
	}
	d.scalar("atand(float8)", float1(func(x float64) float64 { return math.Atan(x) / atan1 * 45 }))
	d.scalar("atan2(float8,float8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Float(math.Atan2(a[0].Float(), a[1].Float())), nil
	})
	d.scalar("atan2d(float8,float8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Float(math.Atan2(a[0].Float(), a[1].Float()) / atan1 * 45), nil
	})
	power := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := types.FloatPower(a[0].Float(), a[1].Float())
		return types.Float(v), err
	}
	d.scalar("power(float8,float8)", power)
	d.scalar("pow(float8,float8)", power)
	d.scalar("pi()", func(*types.Context, []types.Datum) (types.Datum, error) { return types.Float(math.Pi), nil })
	d.scalar("random()", func(ctx *types.Context, _ []types.Datum) (types.Datum, error) {
		return types.Float(randomFloat(ctx)), nil
	})
	d.scalar("setseed(float8)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		seed := a[0].Float()
		if !(seed >= -1 && seed <= 1) {
			return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "setseed parameter %s is out of allowed range [-1,1]",
				types.AppendText(nil, ctx, types.Float8, a[0]))
		}
		ctx.Random = rand.New(rand.NewPCG(math.Float64bits(seed), 0x9e3779b97f4a7c15))
		return types.Datum{}, nil
	})
	defineBuckets(d)
}

func randomFloat(ctx *types.Context) float64 {
	if ctx.Random != nil {
		return ctx.Random.Float64()
	}
	return rand.Float64()
}

// checked refuses a result that overflowed though its argument was finite.
func checked(result, argument float64) (float64, error) {
	if math.IsInf(result, 0) && !math.IsInf(argument, 0) {
		return 0, errOverflow()
	}
	return result, nil
}

func squareRoot(x float64) (float64, error) {
	if x < 0 {
		return 0, pgerror.New(invalidPower, "cannot take square root of a negative number")
	}
	return math.Sqrt(x), nil
}

func exponential(x float64) (float64, error) {
	v := types.FloatExp(x)
	if v == 0 && !math.IsInf(x, 0) {
		return 0, errUnderflow()
	}
	return checked(v, x)
}

// checkLogarithm refuses what has no logarithm; sign is that of the argument.
func checkLogarithm(sign int) error {
	switch {
	case sign == 0:
		return pgerror.New(invalidLogarithm, "cannot take logarithm of zero")
	case sign < 0:
		return pgerror.New(invalidLogarithm, "cannot take logarithm of a negative number")
	}
	return nil
}

func floatSign(x float64) int {
	switch {
	case x == 0:
		return 0
	case x < 0:
		return -1
	}
	return 1
}

func naturalLogarithm(x float64) (float64, error) {
	if err := checkLogarithm(floatSign(x)); err != nil {
		return 0, err
	}
	return types.FloatLog(x), nil
}

func decimalLogarithm(x float64) (float64, error) {
	if err := checkLogarithm(floatSign(x)); err != nil {
		return 0, err
	}
	return types.FloatLog10(x), nil
}

// periodic refuses infinity.
func periodic(f func(float64) float64) func(float64) (float64, error) {
	return func(x float64) (float64, error) {
		if math.IsInf(x, 0) {
			return 0, errInputRange()
		}
		return f(x), nil
	}
}

// within refuses what is out of bounds.
func within(low, high float64, f func(float64) float64) func(float64) (float64, error) {
	return func(x float64) (float64, error) {
		if x < low || x > high {
			return 0, errInputRange()
		}
		return f(x), nil
	}
}

// Trigonometry in degrees is exact at the multiples of 30 and 45 degrees: the
// values are scaled by what the machine computes there, as PostgreSQL does.
var (
	radiansPerDegree = math.Pi / 180

	sin30         = math.Sin(30 * radiansPerDegree)
	oneMinusCos60 = 1 - math.Cos(60*radiansPerDegree)
	asin05        = math.Asin(0.5)
	acos05        = math.Acos(0.5)
	atan1         = math.Atan(1)
	tan45         = sindFirst(45) / cosdFirst(45)
	cot45         = cosdFirst(45) / sindFirst(45)
)

func sind030(x float64) float64 { return math.Sin(x*radiansPerDegree) / sin30 / 2 }

func cosd060(x float64) float64 {
	return 1 - (1-math.Cos(x*radiansPerDegree))/oneMinusCos60/2
}

// sindFirst and cosdFirst are for the first quadrant.
func sindFirst(x float64) float64 {
	if x <= 30 {
		return sind030(x)
	}
	return cosd060(90 - x)
}

func cosdFirst(x float64) float64 {
	if x <= 60 {
		return cosd060(x)
	}
	return sind030(90 - x)
}

func sind(x float64) float64 {
	x = math.Mod(x, 360)
	sign := 1.0
	if x < 0 {
		x, sign = -x, -sign
	}
	if x > 180 {
		x, sign = 360-x, -sign
	}
	if x > 90 {
		x = 180 - x
	}
	return sign * sindFirst(x)
}

func cosd(x float64) float64 {
	x = math.Abs(math.Mod(x, 360))
	sign := 1.0
	if x > 180 {
		x = 360 - x
	}
	if x > 90 {
		x, sign = 180-x, -sign
	}
	return sign * cosdFirst(x)
}

// firstQuadrant folds an angle whose function has a period of 180 degrees.
func firstQuadrant(x float64) (folded, sign float64) {
	x = math.Mod(x, 360)
	sign = 1
	if x < 0 {
		x, sign = -x, -sign
	}
	if x > 180 {
		x, sign = 360-x, -sign
	}
	if x > 90 {
		x, sign = 180-x, -sign
	}
	return x, sign
}

func tand(x float64) float64 {
	x, sign := firstQuadrant(x)
	v := sign * (sindFirst(x) / cosdFirst(x) / tan45)
	if v == 0 {
		return 0
	}
	return v
}

func cotd(x float64) float64 {
	x, sign := firstQuadrant(x)
	v := sign * (cosdFirst(x) / sindFirst(x) / cot45)
	if v == 0 {
		return 0
	}
	return v
}

func asindFirst(x float64) float64 {
	if x <= 0.5 {
		return math.Asin(x) / asin05 * 30
	}
	return 90 - math.Acos(x)/acos05*60
}

func asind(x float64) float64 {
	if x < 0 {
		return -asindFirst(-x)
	}
	return asindFirst(x)
}

func acosdFirst(x float64) float64 {
	if x <= 0.5 {
		return 90 - math.Asin(x)/asin05*30
	}
	return math.Acos(x) / acos05 * 60
}

func acosd(x float64) float64 {
	if x < 0 {
		return 90 + asindFirst(-x)
	}
	return acosdFirst(x)
}

func defineIntegers(d definitions) {
	out := func(kind string) error {
		return pgerror.New(pgerror.NumericValueOutOfRange, map[string]string{"int2": "smallint", "int4": "integer", "int8": "bigint"}[kind]+" out of range")
	}
	limit := map[string]int64{"int2": math.MinInt16, "int4": math.MinInt32, "int8": math.MinInt64}
	for kind, lowest := range limit {
		d.scalar("abs("+kind+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].I == lowest {
				return types.DNull, out(kind)
			}
			return types.Int(max(a[0].I, -a[0].I)), nil
		})
		d.scalar("mod("+kind+","+kind+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			switch a[1].I {
			case 0:
				return types.DNull, errDivisionByZero()
			case -1:
				return types.Int(0), nil
			}
			return types.Int(a[0].I % a[1].I), nil
		})
		if kind == "int2" {
			continue
		}
		d.scalar("gcd("+kind+","+kind+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			v := gcd(a[0].I, a[1].I)
			if v == lowest || v == -lowest {
				return types.DNull, out(kind)
			}
			return types.Int(v), nil
		})
		d.scalar("lcm("+kind+","+kind+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].I == 0 || a[1].I == 0 {
				return types.Int(0), nil
			}
			if a[0].I == lowest || a[1].I == lowest {
				return types.DNull, out(kind)
			}
			x, y := max(a[0].I, -a[0].I)/gcd(a[0].I, a[1].I), max(a[1].I, -a[1].I)
			if x > -(lowest+1)/y {
				return types.DNull, out(kind)
			}
			return types.Int(x * y), nil
		})
	}
	d.scalar("factorial(int8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		n := a[0].I
		if n < 0 {
			return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "factorial of a negative number is undefined")
		}
		if n > 32177 {
			return types.DNull, errNumericOverflow()
		}
		product := apd.NewBigInt(1)
		for i := int64(2); i <= n; i++ {
			product.Mul(product, apd.NewBigInt(i))
		}
		return types.Decimal(apd.NewWithBigInt(product, 0)), nil
	})
}

// gcd is not negative, unless it is the lowest integer.
func gcd(a, b int64) int64 {
	for b != 0 {
		if b == -1 {
			return 1
		}
		a, b = b, a%b
	}
	return max(a, -a)
}

func defineBuckets(d definitions) {
	errCount := func() error {
		return pgerror.New(invalidWidthBucket, "count must be greater than zero")
	}
	d.scalar("width_bucket(float8,float8,float8,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		x, low, high, count := a[0].Float(), a[1].Float(), a[2].Float(), a[3].I
		switch {
		case count <= 0:
			return types.DNull, errCount()
		case x != x || low != low || high != high:
			return types.DNull, pgerror.New(invalidWidthBucket, "operand, lower bound, and upper bound cannot be NaN")
		case math.IsInf(low, 0) || math.IsInf(high, 0):
			return types.DNull, pgerror.New(invalidWidthBucket, "lower and upper bounds must be finite")
		case low == high:
			return types.DNull, pgerror.New(invalidWidthBucket, "lower bound cannot equal upper bound")
		}
		if low > high { // mirrored
			x, low, high = -x, -low, -high
		}
		switch {
		case x < low:
			return types.Int(0), nil
		case x >= high:
			if count == math.MaxInt32 {
				return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")
			}
			return types.Int(count + 1), nil
		}
		bucket := int64(float64(count) * ((x - low) / (high - low)))
		return types.Int(min(bucket, count-1) + 1), nil
	})
	d.scalar("width_bucket(numeric,numeric,numeric,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		x, low, high, count := a[0].Decimal(), a[1].Decimal(), a[2].Decimal(), a[3].I
		switch {
		case count <= 0:
			return types.DNull, errCount()
		case isNaN(x) || isNaN(low) || isNaN(high):
			return types.DNull, pgerror.New(invalidWidthBucket, "operand, lower bound, and upper bound cannot be NaN")
		case low.Form == apd.Infinite || high.Form == apd.Infinite:
			return types.DNull, pgerror.New(invalidWidthBucket, "lower and upper bounds must be finite")
		case low.Cmp(high) == 0:
			return types.DNull, pgerror.New(invalidWidthBucket, "lower bound cannot equal upper bound")
		}
		if low.Cmp(high) > 0 {
			x, low, high = types.NegateNumeric(x), types.NegateNumeric(low), types.NegateNumeric(high)
		}
		switch {
		case x.Cmp(low) < 0:
			return types.Int(0), nil
		case x.Cmp(high) >= 0:
			if count == math.MaxInt32 {
				return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")
			}
			return types.Int(count + 1), nil
		}
		bucket := divideTruncated(multiply(subtract(x, low), apd.New(count, 0)), subtract(high, low))
		n, err := bucket.Int64()
		if err != nil {
			return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")
		}
		return types.Int(n + 1), nil
	})
	d.bind("width_bucket(anycompatible,anycompatiblearray)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := args[0]
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			thresholds := a[1].Array()
			if len(thresholds.Dims) > 1 {
				return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "thresholds must be one-dimensional array")
			}
			low, high := 0, len(thresholds.Elems)
			for low < high {
				middle := (low + high) / 2
				if thresholds.Elems[middle].Null {
					return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "thresholds array must not contain NULLs")
				}
				if types.Compare(t, a[0], thresholds.Elems[middle]) < 0 {
					high = middle
				} else {
					low = middle + 1
				}
			}
			return types.Int(int64(low)), nil
		}
	})
}
