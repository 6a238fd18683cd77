package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// cell is an expression of VALUES: a constant without being compiled, as bulk
// inserts have them by the thousand, or a scalar.
type cell struct {
	d types.Datum
	s scalar
}

// values yields rows of expressions without columns.
type values struct {
	rt   *runtime
	rows [][]cell
	next int
	out  *vector.Batch
}

func (b *builder) values(n *opt.Values) (Operator, schema, error) {
	s := b.schemaOf(n.Columns)
	v := &values{rt: b.rt, rows: make([][]cell, len(n.Rows)), out: &vector.Batch{}}
	slab := make([]cell, len(n.Rows)*len(n.Columns))
	for i, row := range n.Rows {
		cells := slab[i*len(n.Columns) : (i+1)*len(n.Columns)]
		for c, e := range row {
			if constant, ok := e.(*opt.Constant); ok {
				cells[c].d = constant.Value
				continue
			}
			var err error
			if cells[c].s, err = b.scalar(e, nil); err != nil {
				return nil, nil, err
			}
		}
		v.rows[i] = cells
	}
	for _, c := range s {
		v.out.Columns = append(v.out.Columns, &vector.Vector{Type: c.t})
	}
	return v, s, nil
}

func (v *values) Open(context.Context) error {
	v.next = 0
	return nil
}

func (v *values) Next(ctx context.Context) (*vector.Batch, error) {
	if v.next == len(v.rows) {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := min(len(v.rows)-v.next, vector.Size)
	for _, c := range v.out.Columns {
		c.Prepare(c.Type, n)
	}
	for i := range n {
		row := v.rows[v.next+i]
		for c := range row {
			d := row[c].d
			if row[c].s != nil {
				var err error
				if d, err = evalOne(row[c].s); err != nil {
					return nil, err
				}
			}
			v.out.Columns[c].Set(i, d)
		}
	}
	v.next += n
	v.out.Length = n
	return v.out, nil
}

func (v *values) Close() error { return nil }

// input passes on what the caller feeds.
type input struct{ rt *runtime }

func (i *input) Open(context.Context) error {
	if i.rt.env.Input == nil {
		return internalf("the plan wants input")
	}
	return nil
}

func (i *input) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := i.rt.env.Input(ctx)
		if err != nil || b == nil || b.Length > 0 {
			return b, err
		}
	}
}

func (i *input) Close() error { return nil }

// filter keeps the rows for which all conditions are true.
type filter struct {
	Operator
	conditions []scalar
	selection  []int32
	out        vector.Batch
}

func (b *builder) filter(n *opt.Filter) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	conditions, err := b.scalars(n.Conditions, s)
	return &filter{Operator: op, conditions: conditions}, s, err
}

func (f *filter) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := f.Operator.Next(ctx)
		if err != nil || b == nil {
			return nil, err
		}
		var r rows
		if r, f.selection, err = selectTrue(f.conditions, b, rowsOf(b), f.selection); err != nil {
			return nil, err
		}
		if r.n > 0 {
			f.out = vector.Batch{Columns: b.Columns, Length: r.n, Selection: r.selection}
			return &f.out, nil
		}
	}
}

// project passes some columns on and adds computed ones.
type project struct {
	Operator
	keep  []int
	items []scalar
	out   vector.Batch
}

func (b *builder) project(n *opt.Project) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	p := &project{Operator: op}
	if p.keep, err = s.positions(n.Keep); err != nil {
		return nil, nil, err
	}
	var out schema
	for _, i := range p.keep {
		out = append(out, s[i])
	}
	for _, item := range n.Items {
		compiled, err := b.scalar(item.Value, s)
		if err != nil {
			return nil, nil, err
		}
		p.items = append(p.items, compiled)
		out = append(out, column{item.ID, item.Value.Type()})
	}
	return p, out, nil
}

func (p *project) Next(ctx context.Context) (*vector.Batch, error) {
	b, err := p.Operator.Next(ctx)
	if err != nil || b == nil {
		return nil, err
	}
	p.out.Columns = pick(p.out.Columns, b, p.keep)
	for _, item := range p.items {
		v, err := item.eval(b, rowsOf(b))
		if err != nil {
			return nil, err
		}
		p.out.Columns = append(p.out.Columns, v)
	}
	p.out.Length, p.out.Selection = b.Length, b.Selection
	return &p.out, nil
}

// limit passes on count rows after skipping offset.
type limit struct {
	Operator
	count, offset scalar
	keys          []sortKey // of WITH TIES
	ties          *rowStore // the last row
	left          int64
	skip          int64
	selection     []int32
	out           vector.Batch
}

func (b *builder) limit(n *opt.Limit) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	l := &limit{Operator: op}
	for _, bound := range []struct {
		e  opt.Scalar
		to *scalar
	}{{n.Count, &l.count}, {n.Offset, &l.offset}} {
		if bound.e == nil {
			continue
		}
		if *bound.to, err = b.scalar(bound.e, nil); err != nil {
			return nil, nil, err
		}
	}
	if locking := lockingInput(op); locking != nil {
		locking.limit = l
	}
	if n.WithTies {
		if l.keys, err = sortKeys(n.Keys, s); err != nil {
			return nil, nil, err
		}
		l.ties = newRowStore(b.rt, s.types())
	}
	return l, s, nil
}

// lockingInput returns the lockRows whose rows a limit counts, nil if there is
// none.
func lockingInput(op Operator) *lockRows {
	for {
		switch o := op.(type) {
		case *measured:
			op = o.op
		case *project:
			op = o.Operator
		case *lockRows:
			return o
		default:
			return nil
		}
	}
}

func (l *limit) Open(ctx context.Context) error {
	l.left, l.skip = -1, 0
	if l.offset != nil {
		d, err := evalOne(l.offset)
		if err != nil {
			return err
		}
		if !d.Null {
			if l.skip = d.I; l.skip < 0 {
				return pgerror.New(pgerror.InvalidRowCountInOffset, "OFFSET must not be negative")
			}
		}
	}
	if l.count != nil {
		d, err := evalOne(l.count)
		if err != nil {
			return err
		}
		if !d.Null {
			if l.left = d.I; l.left < 0 {
				return pgerror.New(pgerror.InvalidRowCountInLimit, "LIMIT must not be negative")
			}
		}
	}
	if l.ties != nil {
		l.ties.reset()
	}
	return l.Operator.Open(ctx)
}

func (l *limit) Next(ctx context.Context) (*vector.Batch, error) {
	for l.left != 0 || l.ties != nil && l.ties.length > 0 {
		b, err := l.Operator.Next(ctx)
		if err != nil || b == nil {
			return nil, err
		}
		first := 0
		if l.skip > 0 {
			first = int(min(l.skip, int64(b.Length)))
			l.skip -= int64(first)
		}
		n := b.Length - first
		if l.left >= 0 {
			n = int(min(int64(n), l.left))
			l.left -= int64(n)
		}
		if l.left == 0 && l.ties != nil {
			if n, err = l.withTies(b, first, n); err != nil {
				return nil, err
			}
		}
		if n == 0 {
			if first == b.Length {
				continue
			}
			return nil, nil
		}
		if n == b.Length {
			return b, nil
		}
		l.selection = l.selection[:0]
		for i := first; i < first+n; i++ {
			l.selection = append(l.selection, int32(b.Row(i)))
		}
		l.out = vector.Batch{Columns: b.Columns, Length: n, Selection: l.selection}
		return &l.out, nil
	}
	return nil, nil
}

// withTies adds the peers of the last row to the n rows from first on.
func (l *limit) withTies(b *vector.Batch, first, n int) (int, error) {
	if l.ties.length == 0 {
		if n == 0 {
			return 0, nil
		}
		if err := l.ties.appendRow(b.Columns, b.Row(first+n-1)); err != nil {
			return 0, err
		}
	}
	for ; first+n < b.Length; n++ {
		for _, k := range l.keys {
			if !equalStored(b.Columns[k.position], b.Row(first+n), &l.ties.columns[k.position], 0) {
				l.ties.reset()
				return n, nil
			}
		}
	}
	return n, nil
}

func (l *limit) Close() error {
	if l.ties != nil {
		l.ties.release()
	}
	return l.Operator.Close()
}
