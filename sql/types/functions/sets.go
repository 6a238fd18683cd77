package functions

import (
	"math"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func errStepZero() error {
	return pgerror.New(pgerror.InvalidParameterValue, "step size cannot equal zero")
}

func defineSets(d definitions) {
	for _, name := range []string{"int4", "int8"} {
		limit := int64(math.MaxInt64)
		if name == "int4" {
			limit = math.MaxInt32
		}
		series := func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
			step := int64(1)
			if len(a) > 2 {
				step = a[2].I
			}
			if step == 0 {
				return nil, errStepZero()
			}
			return &integerSeries{next: a[0].I, end: a[1].I, step: step, limit: limit}, nil
		}
		d.rows("generate_series("+name+","+name+")", series)
		d.rows("generate_series("+name+","+name+","+name+")", series)
	}
	d.rows("generate_series(numeric,numeric)", numericSeries)
	d.rows("generate_series(numeric,numeric,numeric)", numericSeries)
	d.rows("generate_series(timestamp,timestamp,interval)", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		return timeSeries(a, nil)
	})
	d.rows("generate_series(timestamptz,timestamptz,interval)", func(ctx *types.Context, a []types.Datum) (types.RowSource, error) {
		return timeSeries(a, locationOf(ctx))
	})
	d.rows("unnest(anyarray)", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		return &valueRows{values: a[0].Array().Elems}, nil
	})
	subscripts := func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		array, n := a[0].Array(), a[1].I
		if n < 1 || n > int64(len(array.Dims)) {
			return &valueRows{}, nil
		}
		low := int64(array.Bounds[n-1])
		s := &integerSeries{next: low, end: low + int64(array.Dims[n-1]) - 1, step: 1, limit: math.MaxInt32}
		if len(a) > 2 && a[2].Bool() {
			s.next, s.end, s.step = s.end, s.next, -1
		}
		return s, nil
	}
	d.rows("generate_subscripts(anyarray,int4)", subscripts)
	d.rows("generate_subscripts(anyarray,int4,bool)", subscripts)
}

// integerSeries counts from next to end; it ends before it passes limit.
type integerSeries struct {
	next, end, step, limit int64
	done                   bool
	row                    [1]types.Datum
}

func (s *integerSeries) Next() ([]types.Datum, bool, error) {
	if s.done || s.step > 0 && s.next > s.end || s.step < 0 && s.next < s.end {
		return nil, false, nil
	}
	s.row[0] = types.Int(s.next)
	if s.step > 0 && s.next > s.limit-s.step || s.step < 0 && s.next < -s.limit-1-s.step {
		s.done = true
	} else {
		s.next += s.step
	}
	return s.row[:], true, nil
}

func numericSeries(_ *types.Context, a []types.Datum) (types.RowSource, error) {
	step := numericOne
	names := []string{"start", "stop", "step size"}
	for i, v := range a {
		switch {
		case isNaN(v.Decimal()):
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "%s value cannot be NaN", names[i])
		case v.Decimal().Form == apd.Infinite:
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "%s value cannot be infinity", names[i])
		}
	}
	if len(a) > 2 {
		step = a[2].Decimal()
		if step.IsZero() {
			return nil, errStepZero()
		}
	}
	next, end := a[0].Decimal(), a[1].Decimal()
	return funcRows(func() ([]types.Datum, bool, error) {
		if order := next.Cmp(end); !step.Negative && order > 0 || step.Negative && order < 0 {
			return nil, false, nil
		}
		v := next
		next = add(next, step)
		return []types.Datum{types.Decimal(v)}, true, nil
	}), nil
}

func timeSeries(a []types.Datum, location *time.Location) (types.RowSource, error) {
	next, end, step := a[0].I, a[1].I, a[2].Interval()
	length := int64(step.Months)*daysPerMonth*microsPerDay + int64(step.Days)*microsPerDay + step.Micros
	if length == 0 {
		return nil, errStepZero()
	}
	return funcRows(func() ([]types.Datum, bool, error) {
		if length > 0 && next > end || length < 0 && next < end {
			return nil, false, nil
		}
		v := next
		var err error
		if next, err = addInterval(next, step, location); err != nil {
			return nil, false, err
		}
		return []types.Datum{types.Int(v)}, true, nil
	}), nil
}
