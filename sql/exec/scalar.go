package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// scalar is a compiled expression. It belongs to one goroutine.
type scalar interface {
	// eval returns a vector with the expression's value at each position of r,
	// for the rows of b. It is valid until the next eval, and may be a column of b.
	eval(b *vector.Batch, r rows) (*vector.Vector, error)
}

// single is a scalar that knows its value without a batch: constants,
// parameters, outer columns and what is made of them.
type single interface {
	scalar
	// value returns the value; only to be called if isSingle.
	value() (types.Datum, error)
	isSingle() bool
}

func isSingle(s scalar) bool {
	v, ok := s.(single)
	return ok && v.isSingle()
}

// oneRow is the input of expressions without columns.
var oneRow = &vector.Batch{Length: 1}

// evalOne returns the value of an expression without columns.
func evalOne(s scalar) (types.Datum, error) {
	if v, ok := s.(single); ok && v.isSingle() {
		return v.value()
	}
	v, err := s.eval(oneRow, rows{n: 1})
	if err != nil {
		return types.Datum{}, err
	}
	return v.Datum(0), nil
}

// broadcast is a vector of one value.
type broadcast struct {
	v      vector.Vector
	d      types.Datum
	filled int
}

// set makes d the value.
func (b *broadcast) set(t *types.T, d types.Datum) {
	b.v.Type, b.d, b.filled = t, d, 0
}

// get returns the vector, good up to position end.
func (b *broadcast) get(end int) *vector.Vector {
	if end <= b.filled {
		return &b.v
	}
	b.v.Prepare(b.v.Type, end)
	if b.d.Null {
		b.v.SetAllNull()
		b.filled = vector.Size
		// Positions above end may not have values: readers of NULLs may look.
		b.v.Prepare(b.v.Type, vector.Size)
		b.v.SetAllNull()
		return &b.v
	}
	switch kindOf(b.v.Type) {
	case intKind:
		for i := range end {
			b.v.Ints[i] = b.d.I
		}
	case floatKind:
		f := b.d.Float()
		for i := range end {
			b.v.Floats[i] = f
		}
	case stringKind:
		for i := range end {
			b.v.Strings[i] = b.d.S
		}
	default:
		for i := range end {
			b.v.Refs[i] = b.d.Ref
		}
	}
	b.filled = end
	return &b.v
}

// constant is a constant.
type constant struct {
	d types.Datum
	t *types.T
	b *broadcast
}

func (c *constant) isSingle() bool              { return true }
func (c *constant) value() (types.Datum, error) { return c.d, nil }

func (c *constant) eval(_ *vector.Batch, r rows) (*vector.Vector, error) {
	if c.b == nil {
		c.b = &broadcast{}
		c.b.set(c.t, c.d)
	}
	return c.b.get(r.end()), nil
}

// parameter is $index.
type parameter struct {
	rt        *runtime
	index     int
	t         *types.T
	execution uint64
	b         broadcast
}

func (p *parameter) isSingle() bool { return true }

func (p *parameter) value() (types.Datum, error) {
	if p.index > len(p.rt.env.Parameters) {
		return types.Datum{}, internalf("no value for parameter $%d", p.index)
	}
	return p.rt.env.Parameters[p.index-1], nil
}

func (p *parameter) eval(_ *vector.Batch, r rows) (*vector.Vector, error) {
	if p.execution != p.rt.execution {
		d, err := p.value()
		if err != nil {
			return nil, err
		}
		p.b.set(p.t, d)
		p.execution = p.rt.execution
	}
	return p.b.get(r.end()), nil
}

// outerColumn is a column of an outer query.
type outerColumn struct {
	rt      *runtime
	id      opt.ColumnID
	t       *types.T
	version uint64
	b       broadcast
}

func (o *outerColumn) isSingle() bool              { return true }
func (o *outerColumn) value() (types.Datum, error) { return o.rt.outerValue(o.id), nil }

func (o *outerColumn) eval(_ *vector.Batch, r rows) (*vector.Vector, error) {
	if o.version != o.rt.outerVersion {
		o.b.set(o.t, o.rt.outerValue(o.id))
		o.version = o.rt.outerVersion
	}
	return o.b.get(r.end()), nil
}

// variable is a column of the batch.
type variable struct{ position int }

func (v *variable) eval(b *vector.Batch, _ rows) (*vector.Vector, error) {
	return b.Columns[v.position], nil
}

// once is an expression that has one value in an execution: made of constants,
// parameters and functions that are not volatile.
type once struct {
	rt        *runtime
	s         scalar
	t         *types.T
	execution uint64
	b         broadcast
}

func (o *once) isSingle() bool { return true }

func (o *once) value() (types.Datum, error) {
	if o.execution != o.rt.execution {
		d, err := evalOne(o.s)
		if err != nil {
			return types.Datum{}, err
		}
		o.b.set(o.t, d)
		o.execution = o.rt.execution
	}
	return o.b.d, nil
}

func (o *once) eval(_ *vector.Batch, r rows) (*vector.Vector, error) {
	if r.n == 0 {
		return o.b.get(0), nil
	}
	if _, err := o.value(); err != nil {
		return nil, err
	}
	return o.b.get(r.end()), nil
}

// scalars compiles expressions over the columns of s.
func (b *builder) scalars(es []opt.Scalar, s schema) ([]scalar, error) {
	if len(es) == 0 {
		return nil, nil
	}
	out := make([]scalar, len(es))
	for i, e := range es {
		var err error
		if out[i], err = b.scalar(e, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scalar compiles an expression over the columns of s; other columns are those
// of outer queries.
func (b *builder) scalar(e opt.Scalar, s schema) (scalar, error) {
	switch e := e.(type) {
	case *opt.Constant:
		return &constant{d: e.Value, t: e.T}, nil
	case *opt.Parameter:
		return &parameter{rt: b.rt, index: e.Index, t: e.T}, nil
	case *opt.Variable:
		if i := s.find(e.ID); i >= 0 {
			return &variable{i}, nil
		}
		b.noteOuter(e.ID)
		return &outerColumn{rt: b.rt, id: e.ID, t: e.T}, nil
	}
	compiled, err := b.operation(e, s)
	if err != nil {
		return nil, err
	}
	switch e.(type) {
	case *opt.Call, *opt.Cast, *opt.ArrayOf, *opt.RowOf, *opt.Coalesce, *opt.Case:
		if fixed(e) {
			return &once{rt: b.rt, s: compiled, t: e.Type()}, nil
		}
	}
	return compiled, nil
}

func (b *builder) operation(e opt.Scalar, s schema) (scalar, error) {
	switch e := e.(type) {
	case *opt.Call:
		return b.call(e.Function, e.Arguments, s)
	case *opt.Cast:
		return b.cast(e, s)
	case *opt.And:
		arguments, err := b.scalars(e.Arguments, s)
		return &logic{arguments: arguments}, err
	case *opt.Or:
		arguments, err := b.scalars(e.Arguments, s)
		return &logic{arguments: arguments, or: true}, err
	case *opt.Not:
		argument, err := b.scalar(e.Argument, s)
		return &not{argument: argument}, err
	case *opt.IsNull:
		argument, err := b.scalar(e.Argument, s)
		return &isNull{argument: argument, negated: e.Negated}, err
	case *opt.IsTruth:
		argument, err := b.scalar(e.Argument, s)
		return &isTruth{argument: argument, truth: e.Value, negated: e.Negated}, err
	case *opt.Distinct:
		return b.distinct(e, s)
	case *opt.NullIf:
		return b.nullIf(e, s)
	case *opt.Case:
		return b.caseOf(e, s)
	case *opt.Coalesce:
		arguments, err := b.scalars(e.Arguments, s)
		return &coalesce{arguments: arguments, t: e.T}, err
	case *opt.Extremum:
		arguments, err := b.scalars(e.Arguments, s)
		return &extremum{arguments: arguments, t: e.T, least: e.Least}, err
	case *opt.InList:
		return b.inList(e, s)
	case *opt.AnyAll:
		return b.anyAll(e, s)
	case *opt.ArrayOf:
		elements, err := b.scalars(e.Elements, s)
		return &perRow{rt: b.rt, t: e.T, arguments: elements, compute: arrayOf(e)}, err
	case *opt.RowOf:
		fields, err := b.scalars(e.Fields, s)
		return &perRow{rt: b.rt, t: e.T, arguments: fields, compute: rowOf(e)}, err
	case *opt.Field:
		row, err := b.scalar(e.Row, s)
		return &perRow{rt: b.rt, t: e.T, arguments: []scalar{row}, compute: fieldOf(e)}, err
	case *opt.Subscript:
		return b.subscript(e, s)
	case *opt.Subquery:
		return b.subquery(e, s)
	}
	return nil, internalf("unknown expression %T", e)
}

// fixed reports whether an expression has the same value throughout an
// execution: no columns, no volatile functions, no subqueries.
func fixed(e opt.Scalar) bool {
	all := func(es []opt.Scalar) bool {
		for _, e := range es {
			if !fixed(e) {
				return false
			}
		}
		return true
	}
	switch e := e.(type) {
	case *opt.Constant, *opt.Parameter:
		return true
	case *opt.Call:
		return e.Function.Volatility != 'v' && all(e.Arguments)
	case *opt.Cast:
		return fixed(e.Input)
	case *opt.And:
		return all(e.Arguments)
	case *opt.Or:
		return all(e.Arguments)
	case *opt.Not:
		return fixed(e.Argument)
	case *opt.IsNull:
		return fixed(e.Argument)
	case *opt.IsTruth:
		return fixed(e.Argument)
	case *opt.ArrayOf:
		return all(e.Elements)
	case *opt.RowOf:
		return all(e.Fields)
	case *opt.Coalesce:
		return all(e.Arguments)
	case *opt.Case:
		for _, w := range e.Whens {
			if !fixed(w.Condition) || !fixed(w.Result) {
				return false
			}
		}
		return e.Else == nil || fixed(e.Else)
	}
	return false
}
