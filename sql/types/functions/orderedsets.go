package functions

import (
	"math"
	"unsafe"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// defineOrderedSets defines the aggregates WITHIN GROUP. Their accumulators get
// the direct arguments and then the aggregated one with every row, in the order
// of WITHIN GROUP (… ORDER BY …): the executor has sorted the rows.
func defineOrderedSets(d definitions) {
	d.aggregate("mode(anyelement)", func(args []*types.T, _ *types.T) func() types.Accumulator {
		t := args[0]
		return func() types.Accumulator { return &mode{t: t} }
	})
	for _, continuous := range []bool{false, true} {
		name, elements := "percentile_disc", []string{"anyelement"}
		if continuous {
			name, elements = "percentile_cont", []string{"float8", "interval"}
		}
		for _, element := range elements {
			for _, fractions := range []string{"float8", "_float8"} {
				d.aggregate(name+"("+fractions+","+element+")", func(args []*types.T, _ *types.T) func() types.Accumulator {
					t := args[1]
					return func() types.Accumulator {
						return &percentile{t: t, continuous: continuous, several: fractions == "_float8"}
					}
				})
			}
		}
	}
}

// mode is the most frequent value, the first of several.
type mode struct {
	t             *types.T
	current, best types.Datum
	run, longest  int64
}

func (m *mode) Add(_ *types.Context, a []types.Datum) error {
	if m.run > 0 && types.Compare(m.t, a[0], m.current) == 0 {
		m.run++
	} else {
		m.current, m.run = a[0], 1
	}
	if m.run > m.longest {
		m.best, m.longest = m.current, m.run
	}
	return nil
}

func (m *mode) Result(*types.Context) (types.Datum, error) {
	if m.longest == 0 {
		return types.DNull, nil
	}
	return m.best, nil
}

func (m *mode) MemoryBytes() int64 { return int64(unsafe.Sizeof(*m)) }

type percentile struct {
	t                   *types.T
	continuous, several bool
	fractions           types.Datum
	values              []types.Datum
	bytes               int64
}

func (p *percentile) Add(_ *types.Context, a []types.Datum) error {
	p.fractions = a[0]
	p.values = append(p.values, a[1])
	p.bytes += datumBytes + int64(len(a[1].S))
	return nil
}

func (p *percentile) Result(ctx *types.Context) (types.Datum, error) {
	if len(p.values) == 0 {
		return types.DNull, nil
	}
	if !p.several {
		return p.at(ctx, p.fractions.Float())
	}
	fractions := p.fractions.Array()
	out := &types.Array{Elem: p.t.WithTypmod(-1), Dims: fractions.Dims, Bounds: fractions.Bounds}
	for _, f := range fractions.Elems {
		v := types.DNull
		if !f.Null {
			var err error
			if v, err = p.at(ctx, f.Float()); err != nil {
				return types.DNull, err
			}
		}
		out.Elems = append(out.Elems, v)
	}
	return types.ArrayOf(out), nil
}

func (p *percentile) at(ctx *types.Context, fraction float64) (types.Datum, error) {
	if !(fraction >= 0 && fraction <= 1) {
		return types.DNull, pgerror.Newf(pgerror.NumericValueOutOfRange, "percentile value %s is not between 0 and 1",
			types.AppendText(nil, ctx, types.Float8, types.Float(fraction)))
	}
	n := float64(len(p.values))
	if !p.continuous {
		return p.values[max(int(math.Ceil(fraction*n))-1, 0)], nil
	}
	position := fraction * (n - 1)
	low, high := p.values[int(math.Floor(position))], p.values[int(math.Ceil(position))]
	share := position - math.Floor(position)
	if p.t.Family == types.FloatFamily {
		if share == 0 {
			return low, nil
		}
		return types.Float(low.Float() + share*(high.Float()-low.Float())), nil
	}
	if share == 0 {
		return low, nil
	}
	a, b := low.Interval(), high.Interval()
	difference := types.IntervalValue{Months: b.Months - a.Months, Days: b.Days - a.Days, Micros: b.Micros - a.Micros}
	part := divideInterval(difference, 1/share)
	return types.IntervalOf(types.IntervalValue{Months: a.Months + part.Months, Days: a.Days + part.Days, Micros: a.Micros + part.Micros}), nil
}

func (p *percentile) MemoryBytes() int64 { return int64(unsafe.Sizeof(*p)) + p.bytes }
