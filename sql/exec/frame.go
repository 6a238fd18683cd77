package exec

import (
	"sort"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// frame is a window frame, with its offsets evaluated.
type frame struct {
	rt          *runtime
	mode        opt.FrameMode
	start, end  frameBound
	exclude     opt.FrameExclusion
	order       []sortKey
	plus, minus *types.Bound // of RANGE with offsets: order column ± offset
	sumType     *types.T
}

type frameBound struct {
	kind   opt.BoundKind
	offset scalar
	value  types.Datum
}

func (b *builder) frame(f *opt.Frame, order []sortKey, s schema) (*frame, error) {
	out := &frame{rt: b.rt, mode: f.Mode, exclude: f.Exclude, order: order}
	for _, bound := range []struct {
		from *opt.FrameBound
		to   *frameBound
	}{{&f.Start, &out.start}, {&f.End, &out.end}} {
		bound.to.kind = bound.from.Kind
		if bound.from.Offset == nil {
			continue
		}
		var err error
		if bound.to.offset, err = b.scalar(bound.from.Offset, nil); err != nil {
			return nil, err
		}
		if f.Mode != opt.RangeFrame {
			continue
		}
		if len(order) != 1 {
			return nil, pgerror.New(pgerror.WindowingError, "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
		}
		t := s[order[0].position].t
		if out.plus, err = types.ResolveOperator("+", t, bound.from.Offset.Type()); err != nil {
			return nil, err
		}
		if out.minus, err = types.ResolveOperator("-", t, bound.from.Offset.Type()); err != nil {
			return nil, err
		}
		out.sumType = out.plus.Return
	}
	return out, nil
}

// open evaluates the offsets.
func (f *frame) open() error {
	for _, bound := range []struct {
		b    *frameBound
		name string
	}{{&f.start, "starting"}, {&f.end, "ending"}} {
		if bound.b.offset == nil {
			continue
		}
		d, err := evalOne(bound.b.offset)
		if err != nil {
			return err
		}
		if d.Null {
			return pgerror.Newf(pgerror.NullValueNotAllowed, "frame %s offset must not be null", bound.name)
		}
		if negative(d) {
			if f.mode == opt.RangeFrame {
				return pgerror.New("22013", "invalid preceding or following size in window function")
			}
			return pgerror.Newf("22013", "frame %s offset must not be negative", bound.name)
		}
		bound.b.value = d
	}
	return nil
}

func negative(d types.Datum) bool {
	switch v := d.Ref.(type) {
	case *types.IntervalValue:
		return types.Compare(types.Interval, d, types.IntervalOf(types.IntervalValue{})) < 0
	case nil:
		return d.I < 0 // of a float too: its sign bit
	default:
		_ = v
		return d.Decimal().Negative && !d.Decimal().IsZero()
	}
}

// bounds returns the frame of a row, without the exclusion: [start, end).
func (f *frame) bounds(p *partition, row int) (start, end int, err error) {
	if start, err = f.edge(p, row, &f.start, true); err != nil {
		return 0, 0, err
	}
	end, err = f.edge(p, row, &f.end, false)
	return start, max(start, end), err
}

// edge returns the first row of the frame, or the one after its last.
func (f *frame) edge(p *partition, row int, b *frameBound, first bool) (int, error) {
	n := len(p.rows)
	switch b.kind {
	case opt.UnboundedPreceding:
		return 0, nil
	case opt.UnboundedFollowing:
		return n, nil
	case opt.CurrentRow:
		if f.mode == opt.RowsFrame {
			if first {
				return row, nil
			}
			return row + 1, nil
		}
		start, end := p.Peers(row)
		if first {
			return start, nil
		}
		return end, nil
	}
	switch f.mode {
	case opt.RowsFrame:
		return f.rowsEdge(row, n, b, first), nil
	case opt.GroupsFrame:
		return f.groupsEdge(p, row, b, first), nil
	default:
		return f.rangeEdge(p, row, b, first)
	}
}

// away moves at by an offset, within [0, n].
func away(at, n int, b *frameBound) int {
	if b.kind == opt.Preceding {
		if b.value.I > int64(at) {
			return -1
		}
		return at - int(b.value.I)
	}
	if b.value.I > int64(n) {
		return n
	}
	return min(at+int(b.value.I), n)
}

func (f *frame) rowsEdge(row, n int, b *frameBound, first bool) int {
	at := away(row, n, b)
	if first {
		return max(at, 0)
	}
	return min(at+1, n)
}

func (f *frame) groupsEdge(p *partition, row int, b *frameBound, first bool) int {
	groups := len(p.starts) - 1
	g := away(int(p.group[row]), groups, b)
	if first {
		return int(p.starts[max(g, 0)])
	}
	return int(p.starts[min(g+1, groups)])
}

// rangeEdge compares the order column's values with the row's ± the offset.
// NULLs are their own frame, as in PostgreSQL.
func (f *frame) rangeEdge(p *partition, row int, b *frameBound, first bool) (int, error) {
	key := f.order[0]
	c := &p.window.store.columns[key.position]
	at := int(p.rows[row])
	if c.null(at) {
		start, end := p.Peers(row)
		if first {
			return start, nil
		}
		return end, nil
	}
	operator := f.minus
	if (b.kind == opt.Following) != key.descending {
		operator = f.plus
	}
	limit, err := operator.Call(f.rt.env.Types, []types.Datum{c.datum(at), b.value})
	outOfRange := err != nil && (pgerror.Code(err) == pgerror.NumericValueOutOfRange || pgerror.Code(err) == pgerror.DatetimeFieldOverflow)
	if err != nil && !outOfRange {
		return 0, err
	}
	// Values that are not NULL stand together.
	low, high := 0, len(p.rows)
	for low < high && c.null(int(p.rows[low])) {
		low++
	}
	for high > low && c.null(int(p.rows[high-1])) {
		high--
	}
	if outOfRange {
		// The limit lies beyond all values of the type.
		if b.kind == opt.Preceding {
			return low, nil
		}
		return high, nil
	}
	convert, err := f.sumConverter(c.t)
	if err != nil {
		return 0, err
	}
	var failed error
	edge := low + sort.Search(high-low, func(i int) bool {
		v, err := convert(c.datum(int(p.rows[low+i])))
		if err != nil {
			failed = err
			return true
		}
		order := types.Compare(f.sumType, v, limit)
		if key.descending {
			order = -order
		}
		if first {
			return order >= 0
		}
		return order > 0
	})
	return edge, failed
}

// sumConverter makes the order column's values comparable to its sums: a date
// plus an interval is a timestamp.
func (f *frame) sumConverter(t *types.T) (func(types.Datum) (types.Datum, error), error) {
	if t.OID == f.sumType.OID || kindOf(t) == kindOf(f.sumType) && (t.OID == oidInt2 || t.OID == oidInt4 || t.OID == oidInt8) {
		return func(d types.Datum) (types.Datum, error) { return d, nil }, nil
	}
	cast, ok := types.FindCast(t, f.sumType, types.ImplicitCast)
	if !ok {
		return nil, internalf("RANGE over %s", t)
	}
	return func(d types.Datum) (types.Datum, error) { return cast.Eval(f.rt.env.Types, d) }, nil
}
