package functions

import (
	"math"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/types"
)

// datumBytes is what a Datum takes without what it points to.
const datumBytes = int64(unsafe.Sizeof(types.Datum{}))

// always makes a factory of accumulators that don't depend on types.
func always(f func() types.Accumulator) func([]*types.T, *types.T) func() types.Accumulator {
	return func([]*types.T, *types.T) func() types.Accumulator { return f }
}

func defineAggregates(d definitions) {
	d.aggregateNulls("count()", always(func() types.Accumulator { return &count{} }))
	d.aggregate("count(any)", always(func() types.Accumulator { return &count{} }))
	for _, t := range []string{"int2", "int4"} {
		d.aggregate("sum("+t+")", always(func() types.Accumulator { return &integerSum{} }))
		d.aggregate("avg("+t+")", always(func() types.Accumulator { return &decimalSum{average: true, integers: true} }))
	}
	d.aggregate("sum(int8)", always(func() types.Accumulator { return &decimalSum{integers: true} }))
	d.aggregate("avg(int8)", always(func() types.Accumulator { return &decimalSum{average: true, integers: true} }))
	d.aggregate("sum(numeric)", always(func() types.Accumulator { return &decimalSum{} }))
	d.aggregate("avg(numeric)", always(func() types.Accumulator { return &decimalSum{average: true} }))
	d.aggregate("sum(float8)", always(func() types.Accumulator { return &floatSum{} }))
	d.aggregate("sum(float4)", always(func() types.Accumulator { return &floatSum{single: true} }))
	d.aggregate("avg(float8)", always(func() types.Accumulator { return &floatSum{average: true} }))
	d.aggregate("avg(float4)", always(func() types.Accumulator { return &floatSum{average: true} }))
	d.aggregate("sum(interval)", always(func() types.Accumulator { return &intervalSum{} }))
	d.aggregate("avg(interval)", always(func() types.Accumulator { return &intervalSum{average: true} }))
	for _, name := range []string{"int2", "int4", "int8", "oid", "float4", "float8", "numeric", "date", "time", "timetz", "timestamp",
		"timestamptz", "interval", "text", "bpchar", "tid", "pg_lsn", "xid8", "anyarray"} {
		for aggregate, sign := range map[string]int{"min": -1, "max": 1} {
			d.aggregate(aggregate+"("+name+")", func(args []*types.T, _ *types.T) func() types.Accumulator {
				t := args[0]
				return func() types.Accumulator { return &extremum{t: t, sign: sign} }
			})
		}
	}
	for _, name := range []string{"bool_and", "every"} {
		d.aggregate(name+"(bool)", always(func() types.Accumulator {
			return &bitFold{fold: func(a, b int64) int64 { return a & b }}
		}))
	}
	d.aggregate("bool_or(bool)", always(func() types.Accumulator { return &bitFold{fold: func(a, b int64) int64 { return a | b }} }))
	for _, t := range []string{"int2", "int4", "int8"} {
		d.aggregate("bit_and("+t+")", always(func() types.Accumulator { return &bitFold{fold: func(a, b int64) int64 { return a & b }} }))
		d.aggregate("bit_or("+t+")", always(func() types.Accumulator { return &bitFold{fold: func(a, b int64) int64 { return a | b }} }))
		d.aggregate("bit_xor("+t+")", always(func() types.Accumulator { return &bitFold{fold: func(a, b int64) int64 { return a ^ b }} }))
	}
	d.aggregateNulls("string_agg(text,text)", always(func() types.Accumulator { return &textJoin{} }))
	d.aggregateNulls("string_agg(bytea,bytea)", always(func() types.Accumulator { return &textJoin{} }))
	defineCollections(d)
}

// count counts rows.
type count struct{ n int64 }

func (c *count) Add(*types.Context, []types.Datum) error           { c.n++; return nil }
func (c *count) Result(*types.Context) (types.Datum, error)        { return types.Int(c.n), nil }
func (c *count) MemoryBytes() int64                                { return 8 }
func (c *count) Merge(_ *types.Context, o types.Accumulator) error { c.n += o.(*count).n; return nil }

// integerSum sums int2 and int4 to int8.
type integerSum struct {
	sum  int64
	some bool
}

func (s *integerSum) Add(_ *types.Context, a []types.Datum) error { return s.add(a[0].I) }

func (s *integerSum) add(v int64) error {
	sum := s.sum + v
	if (sum < s.sum) != (v < 0) && v != 0 {
		return errBigintRange()
	}
	s.sum, s.some = sum, true
	return nil
}

func (s *integerSum) Result(*types.Context) (types.Datum, error) {
	if !s.some {
		return types.DNull, nil
	}
	return types.Int(s.sum), nil
}

func (s *integerSum) MemoryBytes() int64 { return 16 }

func (s *integerSum) Merge(_ *types.Context, o types.Accumulator) error {
	if other := o.(*integerSum); other.some {
		return s.add(other.sum)
	}
	return nil
}

// decimalSum sums numerics and integers exactly. Integers gather in small until
// it would overflow.
type decimalSum struct {
	integers, average bool
	n                 int64
	small             int64
	sum               apd.Decimal
	// NaN and the infinities are counted apart.
	nan, positive, negative bool
}

func (s *decimalSum) Add(_ *types.Context, a []types.Datum) error {
	s.n++
	if s.integers {
		v := a[0].I
		sum := s.small + v
		if (sum < s.small) != (v < 0) && v != 0 {
			s.flush()
			sum = v
		}
		s.small = sum
		return nil
	}
	s.addDecimal(a[0].Decimal())
	return nil
}

func (s *decimalSum) addDecimal(v *apd.Decimal) {
	switch {
	case v.Form == apd.Finite:
		_, _ = exact.Add(&s.sum, &s.sum, v) // finite and exact: cannot fail
	case isNaN(v):
		s.nan = true
	case v.Negative:
		s.negative = true
	default:
		s.positive = true
	}
}

func (s *decimalSum) flush() {
	if s.small != 0 {
		_, _ = exact.Add(&s.sum, &s.sum, apd.New(s.small, 0))
		s.small = 0
	}
}

func (s *decimalSum) Result(*types.Context) (types.Datum, error) {
	if s.n == 0 {
		return types.DNull, nil
	}
	s.flush()
	switch {
	case s.nan || s.positive && s.negative:
		return types.Decimal(numericNaN), nil
	case s.positive || s.negative:
		return types.Decimal(&apd.Decimal{Form: apd.Infinite, Negative: s.negative}), nil
	}
	sum := new(apd.Decimal).Set(&s.sum)
	fixZero(sum)
	if !s.average {
		return types.Decimal(sum), nil
	}
	average, err := types.DivideNumeric(sum, apd.New(s.n, 0))
	if err != nil {
		return types.DNull, err
	}
	return types.Decimal(average), nil
}

func (s *decimalSum) MemoryBytes() int64 { return int64(unsafe.Sizeof(*s)) + coefficientBytes(&s.sum) }

func (s *decimalSum) Merge(_ *types.Context, o types.Accumulator) error {
	other := o.(*decimalSum)
	other.flush()
	s.n += other.n
	s.addDecimal(&other.sum)
	s.nan, s.positive, s.negative = s.nan || other.nan, s.positive || other.positive, s.negative || other.negative
	return nil
}

// floatSum adds floats in the order in which they come; single in float4.
type floatSum struct {
	single, average bool
	n               int64
	sum             float64
}

func (s *floatSum) Add(_ *types.Context, a []types.Datum) error {
	s.n++
	return s.add(a[0].Float())
}

func (s *floatSum) add(v float64) error {
	sum := s.sum + v
	if s.single {
		sum = float64(float32(sum))
	}
	if math.IsInf(sum, 0) && !math.IsInf(s.sum, 0) && !math.IsInf(v, 0) {
		return errOverflow()
	}
	s.sum = sum
	return nil
}

func (s *floatSum) Result(*types.Context) (types.Datum, error) {
	switch {
	case s.n == 0:
		return types.DNull, nil
	case s.average:
		return types.Float(s.sum / float64(s.n)), nil
	}
	return types.Float(s.sum), nil
}

func (s *floatSum) MemoryBytes() int64 { return int64(unsafe.Sizeof(*s)) }

func (s *floatSum) Merge(_ *types.Context, o types.Accumulator) error {
	other := o.(*floatSum)
	s.n += other.n
	return s.add(other.sum)
}

type intervalSum struct {
	average bool
	n       int64
	sum     types.IntervalValue
}

func (s *intervalSum) Add(_ *types.Context, a []types.Datum) error {
	s.n++
	return s.add(a[0].Interval())
}

func (s *intervalSum) add(v types.IntervalValue) error {
	months, days := int64(s.sum.Months)+int64(v.Months), int64(s.sum.Days)+int64(v.Days)
	micros := s.sum.Micros + v.Micros
	if int64(int32(months)) != months || int64(int32(days)) != days || (micros < s.sum.Micros) != (v.Micros < 0) && v.Micros != 0 {
		return errIntervalRange()
	}
	s.sum = types.IntervalValue{Months: int32(months), Days: int32(days), Micros: micros}
	return nil
}

func (s *intervalSum) Result(*types.Context) (types.Datum, error) {
	switch {
	case s.n == 0:
		return types.DNull, nil
	case s.average:
		return types.IntervalOf(divideInterval(s.sum, float64(s.n))), nil
	}
	return types.IntervalOf(s.sum), nil
}

func (s *intervalSum) MemoryBytes() int64 { return int64(unsafe.Sizeof(*s)) }

func (s *intervalSum) Merge(_ *types.Context, o types.Accumulator) error {
	other := o.(*intervalSum)
	s.n += other.n
	return s.add(other.sum)
}

// divideInterval hands the fractions of months down to days and those of days
// to the time, as interval_div does.
func divideInterval(v types.IntervalValue, by float64) types.IntervalValue {
	out := types.IntervalValue{Months: int32(float64(v.Months) / by), Days: int32(float64(v.Days) / by)}
	round := func(x float64) float64 { return math.RoundToEven(x*microsPerSecond) / microsPerSecond }
	monthDays := round((float64(v.Months)/by - float64(out.Months)) * daysPerMonth)
	whole := math.Trunc(monthDays)
	seconds := round((float64(v.Days)/by - float64(out.Days) + monthDays - whole) * secondsPerDay)
	if math.Abs(seconds) >= secondsPerDay {
		out.Days += int32(seconds / secondsPerDay)
		seconds -= math.Trunc(seconds/secondsPerDay) * secondsPerDay
	}
	out.Days += int32(whole)
	out.Micros = int64(math.RoundToEven(float64(v.Micros)/by + seconds*microsPerSecond))
	return out
}

// extremum is min or max.
type extremum struct {
	t    *types.T
	sign int
	some bool
	best types.Datum
}

func (e *extremum) Add(_ *types.Context, a []types.Datum) error {
	if !e.some || types.Compare(e.t, a[0], e.best)*e.sign > 0 {
		e.best, e.some = a[0], true
	}
	return nil
}

func (e *extremum) Result(*types.Context) (types.Datum, error) {
	if !e.some {
		return types.DNull, nil
	}
	return e.best, nil
}

func (e *extremum) MemoryBytes() int64 { return int64(unsafe.Sizeof(*e)) + int64(len(e.best.S)) }

func (e *extremum) Merge(ctx *types.Context, o types.Accumulator) error {
	if other := o.(*extremum); other.some {
		return e.Add(ctx, []types.Datum{other.best})
	}
	return nil
}

// bitFold folds integers or booleans.
type bitFold struct {
	fold  func(a, b int64) int64
	some  bool
	value int64
}

func (f *bitFold) Add(_ *types.Context, a []types.Datum) error {
	f.add(a[0].I)
	return nil
}

func (f *bitFold) add(v int64) {
	if f.some {
		v = f.fold(f.value, v)
	}
	f.value, f.some = v, true
}

func (f *bitFold) Result(*types.Context) (types.Datum, error) {
	if !f.some {
		return types.DNull, nil
	}
	return types.Int(f.value), nil
}

func (f *bitFold) MemoryBytes() int64 { return int64(unsafe.Sizeof(*f)) }

func (f *bitFold) Merge(_ *types.Context, o types.Accumulator) error {
	if other := o.(*bitFold); other.some {
		f.add(other.value)
	}
	return nil
}

// textJoin is string_agg.
type textJoin struct {
	some bool
	b    []byte
}

func (j *textJoin) Add(_ *types.Context, a []types.Datum) error {
	if a[0].Null {
		return nil
	}
	if j.some && !a[1].Null {
		j.b = append(j.b, a[1].S...)
	}
	if len(j.b)+len(a[0].S) > maximumBytes {
		return errTooLong()
	}
	j.some, j.b = true, append(j.b, a[0].S...)
	return nil
}

func (j *textJoin) Result(*types.Context) (types.Datum, error) {
	if !j.some {
		return types.DNull, nil
	}
	return types.String(string(j.b)), nil
}

func (j *textJoin) MemoryBytes() int64 { return int64(unsafe.Sizeof(*j)) + int64(cap(j.b)) }

// coefficientBytes is about what a numeric's digits take.
func coefficientBytes(d *apd.Decimal) int64 { return int64(d.Coeff.BitLen()/8) + 8 }
