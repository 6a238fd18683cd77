package functions

import (
	"math"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/types"
)

// deviation says which of the measures of spread is wanted.
type deviation struct{ sample, root bool }

var deviations = map[string]deviation{
	"variance": {sample: true}, "var_samp": {sample: true}, "var_pop": {},
	"stddev": {sample: true, root: true}, "stddev_samp": {sample: true, root: true}, "stddev_pop": {root: true},
}

func defineStatistics(d definitions) {
	for name, kind := range deviations {
		for _, t := range []string{"int2", "int4", "int8"} {
			d.aggregate(name+"("+t+")", always(func() types.Accumulator { return &decimalDeviation{deviation: kind, integers: true} }))
		}
		d.aggregate(name+"(numeric)", always(func() types.Accumulator { return &decimalDeviation{deviation: kind} }))
		for _, t := range []string{"float4", "float8"} {
			d.aggregate(name+"("+t+")", always(func() types.Accumulator { return &floatDeviation{deviation: kind} }))
		}
	}
	pair := func(name string, result func(r *regression) (float64, bool)) {
		d.aggregate(name+"(float8,float8)", always(func() types.Accumulator { return &regression{result: result} }))
	}
	d.aggregate("regr_count(float8,float8)", always(func() types.Accumulator { return &count{} }))
	pair("corr", func(r *regression) (float64, bool) {
		if r.n < 1 || r.sxx == 0 || r.syy == 0 {
			return 0, false
		}
		return r.sxy / math.Sqrt(r.sxx*r.syy), true
	})
	pair("covar_pop", func(r *regression) (float64, bool) { return r.sxy / r.n, r.n >= 1 })
	pair("covar_samp", func(r *regression) (float64, bool) { return r.sxy / (r.n - 1), r.n >= 2 })
	pair("regr_avgx", func(r *regression) (float64, bool) { return r.sx / r.n, r.n >= 1 })
	pair("regr_avgy", func(r *regression) (float64, bool) { return r.sy / r.n, r.n >= 1 })
	pair("regr_sxx", func(r *regression) (float64, bool) { return r.sxx, r.n >= 1 })
	pair("regr_syy", func(r *regression) (float64, bool) { return r.syy, r.n >= 1 })
	pair("regr_sxy", func(r *regression) (float64, bool) { return r.sxy, r.n >= 1 })
	pair("regr_slope", func(r *regression) (float64, bool) { return r.sxy / r.sxx, r.n >= 1 && r.sxx != 0 })
	pair("regr_intercept", func(r *regression) (float64, bool) {
		return (r.sy - r.sx*r.sxy/r.sxx) / r.n, r.n >= 1 && r.sxx != 0
	})
	pair("regr_r2", func(r *regression) (float64, bool) {
		switch {
		case r.n < 1 || r.sxx == 0:
			return 0, false
		case r.syy == 0:
			return 1, true
		}
		return (r.sxy * r.sxy) / (r.sxx * r.syy), true
	})
}

// decimalDeviation keeps the exact sums of the values and of their squares.
type decimalDeviation struct {
	deviation
	integers     bool
	n            int64
	sum, squares apd.Decimal
	special      bool // NaN or an infinity was among them
}

func (s *decimalDeviation) Add(_ *types.Context, a []types.Datum) error {
	var v *apd.Decimal
	if s.integers {
		v = apd.New(a[0].I, 0)
	} else {
		v = a[0].Decimal()
	}
	s.n++
	if v.Form != apd.Finite {
		s.special = true
		return nil
	}
	_, _ = exact.Add(&s.sum, &s.sum, v) // finite and exact: cannot fail
	_, _ = exact.Add(&s.squares, &s.squares, multiply(v, v))
	return nil
}

func (s *decimalDeviation) Result(*types.Context) (types.Datum, error) {
	if s.n == 0 || s.sample && s.n == 1 {
		return types.DNull, nil
	}
	if s.special {
		return types.Decimal(numericNaN), nil
	}
	n := apd.New(s.n, 0)
	numerator := subtract(multiply(n, &s.squares), multiply(&s.sum, &s.sum))
	if numerator.Sign() <= 0 {
		return types.Decimal(numericZero), nil
	}
	divisor := multiply(n, n)
	if s.sample {
		divisor = multiply(n, apd.New(s.n-1, 0))
	}
	variance, err := types.DivideNumeric(numerator, divisor)
	if err != nil {
		return types.DNull, err
	}
	if s.root {
		variance = numericSquareRoot(variance, scaleOf(variance))
	}
	return types.Decimal(variance), nil
}

func (s *decimalDeviation) MemoryBytes() int64 {
	return int64(unsafe.Sizeof(*s)) + coefficientBytes(&s.sum) + coefficientBytes(&s.squares)
}

func (s *decimalDeviation) Merge(_ *types.Context, o types.Accumulator) error {
	other := o.(*decimalDeviation)
	s.n += other.n
	s.special = s.special || other.special
	_, _ = exact.Add(&s.sum, &s.sum, &other.sum)
	_, _ = exact.Add(&s.squares, &s.squares, &other.squares)
	return nil
}

// floatDeviation is the algorithm of Youngs and Cramer: the sum and the sum of
// the squared differences from the mean.
type floatDeviation struct {
	deviation
	n, sx, sxx float64
}

func (s *floatDeviation) Add(_ *types.Context, a []types.Datum) error {
	v := a[0].Float()
	n, sum := s.n+1, s.sx+v
	if s.n > 0 {
		difference := v*n - sum
		sxx := s.sxx + difference*difference/(n*s.n)
		if math.IsInf(sum, 0) || math.IsInf(sxx, 0) {
			if !math.IsInf(s.sx, 0) && !math.IsInf(v, 0) {
				return errOverflow()
			}
			sxx = math.NaN()
		}
		s.sxx = sxx
	} else if math.IsInf(v, 0) || v != v {
		s.sxx = math.NaN()
	}
	s.n, s.sx = n, sum
	return nil
}

func (s *floatDeviation) Result(*types.Context) (types.Datum, error) {
	if s.n == 0 || s.sample && s.n == 1 {
		return types.DNull, nil
	}
	divisor := s.n
	if s.sample {
		divisor--
	}
	v := s.sxx / divisor
	if s.root {
		v = math.Sqrt(v)
	}
	return types.Float(v), nil
}

func (s *floatDeviation) MemoryBytes() int64 { return int64(unsafe.Sizeof(*s)) }

func (s *floatDeviation) Merge(_ *types.Context, o types.Accumulator) error {
	other := o.(*floatDeviation)
	switch {
	case other.n == 0:
	case s.n == 0:
		s.n, s.sx, s.sxx = other.n, other.sx, other.sxx
	default:
		difference := s.sx/s.n - other.sx/other.n
		n := s.n + other.n
		s.sxx += other.sxx + s.n*other.n*difference*difference/n
		s.n, s.sx = n, s.sx+other.sx
	}
	return nil
}

// regression is the state of the aggregates of pairs (y, x), by the same
// algorithm.
type regression struct {
	n, sx, sxx, sy, syy, sxy float64
	result                   func(*regression) (float64, bool)
}

func (r *regression) Add(_ *types.Context, a []types.Datum) error {
	y, x := a[0].Float(), a[1].Float()
	before := r.n
	r.n++
	sx, sy := r.sx+x, r.sy+y
	if before > 0 {
		dx, dy := x*r.n-sx, y*r.n-sy
		scale := 1 / (r.n * before)
		sxx, syy, sxy := r.sxx+dx*dx*scale, r.syy+dy*dy*scale, r.sxy+dx*dy*scale
		if math.IsInf(sx, 0) || math.IsInf(sxx, 0) || math.IsInf(sy, 0) || math.IsInf(syy, 0) || math.IsInf(sxy, 0) {
			finite := func(v, previous float64) bool { return !math.IsInf(v, 0) && !math.IsInf(previous, 0) }
			if (math.IsInf(sx, 0) || math.IsInf(sxx, 0)) && finite(x, r.sx) || (math.IsInf(sy, 0) || math.IsInf(syy, 0)) && finite(y, r.sy) ||
				math.IsInf(sxy, 0) && finite(x, r.sx) && finite(y, r.sy) {
				return errOverflow()
			}
			unusable := func(v float64) float64 {
				if math.IsInf(v, 0) {
					return math.NaN()
				}
				return v
			}
			sxx, syy, sxy = unusable(sxx), unusable(syy), unusable(sxy)
		}
		r.sxx, r.syy, r.sxy = sxx, syy, sxy
	} else {
		if math.IsInf(x, 0) || x != x {
			r.sxx, r.sxy = math.NaN(), math.NaN()
		}
		if math.IsInf(y, 0) || y != y {
			r.syy, r.sxy = math.NaN(), math.NaN()
		}
	}
	r.sx, r.sy = sx, sy
	return nil
}

func (r *regression) Result(*types.Context) (types.Datum, error) {
	v, ok := r.result(r)
	if !ok {
		return types.DNull, nil
	}
	return types.Float(v), nil
}

func (r *regression) MemoryBytes() int64 { return int64(unsafe.Sizeof(*r)) }
