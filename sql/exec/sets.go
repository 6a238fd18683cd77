package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// setCall is a call of a set-returning function, running or not.
type setCall struct {
	function  *types.Bound
	arguments []scalar
	scalar    scalar // instead: one row of one value
	columns   int
	source    types.RowSource // nil: at its end
	one       []types.Datum   // the only row of a scalar; nil: at its end
	datums    []types.Datum
}

func (b *builder) setCalls(items []opt.SetItem, s schema) ([]*setCall, schema, error) {
	var calls []*setCall
	var out schema
	for i := range items {
		item := &items[i]
		c := &setCall{function: item.Function, columns: len(item.Columns)}
		var err error
		if item.Scalar != nil {
			if c.scalar, err = b.scalar(item.Scalar, s); err != nil {
				return nil, nil, err
			}
		} else {
			if c.arguments, err = b.scalars(item.Arguments, s); err != nil {
				return nil, nil, err
			}
			b.volatile = b.volatile || item.Function.Volatility == 'v'
		}
		calls = append(calls, c)
		out = append(out, b.schemaOf(item.Columns)...)
	}
	return calls, out, nil
}

// start begins the call for the row at position i of a batch.
func (c *setCall) start(rt *runtime, batch *vector.Batch, i int) error {
	c.source, c.one = nil, nil
	at := rows{[]int32{int32(i)}, 1}
	value := func(s scalar) (types.Datum, error) {
		if isSingle(s) {
			return s.(single).value()
		}
		v, err := s.eval(batch, at)
		if err != nil {
			return types.Datum{}, err
		}
		return v.Datum(i), nil
	}
	if c.scalar != nil {
		d, err := value(c.scalar)
		c.one = []types.Datum{d}
		return err
	}
	c.datums = c.datums[:0]
	for _, a := range c.arguments {
		d, err := value(a)
		if err != nil {
			return err
		}
		if d.Null && !c.function.CalledOnNull {
			return nil
		}
		c.datums = append(c.datums, d)
	}
	var err error
	c.source, err = c.function.Rows(rt.env.Types, c.datums)
	return err
}

// next sets position to of the call's columns to its next row, to NULLs if
// there is none.
func (c *setCall) next(columns []*vector.Vector, to int) (bool, error) {
	row := c.one
	if c.source != nil {
		var ok bool
		var err error
		if row, ok, err = c.source.Next(); err != nil {
			return false, err
		}
		if !ok {
			c.source, row = nil, nil
		}
	}
	c.one = nil
	if row == nil {
		for _, v := range columns {
			v.SetNull(to)
		}
		return false, nil
	}
	if len(row) == 1 && c.columns > 1 {
		// A row type's fields, each in a column.
		if row[0].Null {
			row = nil
		} else if t, ok := row[0].Ref.(*types.Tuple); ok {
			row = t.Elems
		}
	}
	for k, v := range columns {
		if k < len(row) {
			v.Set(to, row[k])
		} else {
			v.SetNull(to)
		}
	}
	return true, nil
}

// projectSet is ProjectSet.
type projectSet struct {
	Operator
	rt    *runtime
	calls []*setCall
	width int // columns of the input
	input *vector.Batch
	row   int
	inRow bool
	out   *vector.Batch
}

func (b *builder) projectSet(n *opt.ProjectSet) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	calls, more, err := b.setCalls(n.Sets, s)
	if err != nil {
		return nil, nil, err
	}
	out := s.plus(more)
	return &projectSet{Operator: op, rt: b.rt, calls: calls, width: len(s), out: &vector.Batch{Columns: newVectors(out.types())}}, out, nil
}

func (p *projectSet) Open(ctx context.Context) error {
	p.input, p.inRow = nil, false
	return p.Operator.Open(ctx)
}

func (p *projectSet) Next(ctx context.Context) (*vector.Batch, error) {
	prepareVectors(p.out.Columns, vector.Size)
	n := 0
	for n < vector.Size {
		if p.input == nil {
			if n > 0 {
				break // what is there first: the input may reuse its memory
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b, err := p.Operator.Next(ctx)
			if err != nil {
				return nil, err
			}
			if b == nil {
				return nil, nil
			}
			p.input, p.row, p.inRow = b, 0, false
		}
		if p.row == p.input.Length {
			p.input = nil
			continue
		}
		i := p.input.Row(p.row)
		if !p.inRow {
			for _, c := range p.calls {
				if err := c.start(p.rt, p.input, i); err != nil {
					return nil, err
				}
			}
			p.inRow = true
		}
		any, err := nextOfAll(p.calls, p.out.Columns[p.width:], n)
		if err != nil {
			return nil, err
		}
		if !any {
			p.row, p.inRow = p.row+1, false
			continue
		}
		for c := range p.width {
			p.out.Columns[c].Copy(n, p.input.Columns[c], i)
		}
		n++
	}
	p.out.Length = n
	return p.out, nil
}

// nextOfAll advances calls in lockstep; false if all are at their ends.
func nextOfAll(calls []*setCall, columns []*vector.Vector, to int) (bool, error) {
	any := false
	for _, c := range calls {
		ok, err := c.next(columns[:c.columns], to)
		if err != nil {
			return false, err
		}
		any = any || ok
		columns = columns[c.columns:]
	}
	return any, nil
}

// functionScan is FunctionScan.
type functionScan struct {
	rt         *runtime
	calls      []*setCall
	ordinality bool
	ordinal    int64
	done       bool
	out        *vector.Batch
}

func (b *builder) functionScan(n *opt.FunctionScan) (Operator, schema, error) {
	calls, s, err := b.setCalls(n.Sets, nil)
	if err != nil {
		return nil, nil, err
	}
	if n.Ordinality != 0 {
		s = append(s, column{n.Ordinality, types.Int8})
	}
	return &functionScan{rt: b.rt, calls: calls, ordinality: n.Ordinality != 0, out: &vector.Batch{Columns: newVectors(s.types())}}, s, nil
}

func (f *functionScan) Open(context.Context) error {
	f.ordinal, f.done = 0, false
	for _, c := range f.calls {
		if err := c.start(f.rt, oneRow, 0); err != nil {
			return err
		}
	}
	return nil
}

func (f *functionScan) Next(ctx context.Context) (*vector.Batch, error) {
	if f.done {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	prepareVectors(f.out.Columns, vector.Size)
	n := 0
	for ; n < vector.Size; n++ {
		any, err := nextOfAll(f.calls, f.out.Columns, n)
		if err != nil {
			return nil, err
		}
		if !any {
			f.done = true
			break
		}
		if f.ordinality {
			f.ordinal++
			f.out.Columns[len(f.out.Columns)-1].Set(n, types.Int(f.ordinal))
		}
	}
	if n == 0 {
		return nil, nil
	}
	f.out.Length = n
	return f.out, nil
}

func (f *functionScan) Close() error {
	for _, c := range f.calls {
		c.source = nil
	}
	return nil
}
