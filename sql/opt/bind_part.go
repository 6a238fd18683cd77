package opt

import (
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// assignPart is column[…] = value: the column's whole new value, made of the
// value before and of the part. at is where the value stands.
func (b *binder) assignPart(s *space, old Scalar, target parser.InsertColumn, c *catalog.Column, value Scalar, at parser.Position) (Scalar, error) {
	steps := target.Steps
	for _, step := range steps {
		if step.Field != "" || step.Upper == nil && !step.Slice {
			return nil, b.unsupported(target.Position, "assignment to a field of a column")
		}
	}
	if c.Type.Elem == nil {
		if c.Type.OID == types.JSONBOID {
			return nil, b.unsupported(target.Position, "assignment to a part of a jsonb column")
		}
		return nil, b.fail(target.Position, pgerror.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", c.Type.WithTypmod(-1).String())
	}
	bound, err := b.subscript(s, old, steps, target.Position)
	if err != nil {
		return nil, err
	}
	part := bound.(*Subscript)
	if part.Slice && len(steps) > 1 {
		return nil, b.unsupported(target.Position, "assignment to a slice of an array of several dimensions")
	}
	want := c.Type
	if !part.Slice {
		want = c.Type.Elem.WithTypmod(c.Type.Typmod)
	}
	converted, ok, err := b.coerce(value, want, types.AssignmentCast, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.fail(target.Position, pgerror.DatatypeMismatch, "subscripted assignment to %q requires type %s but expression is of type %s", c.Name,
			want.WithTypmod(-1).String(), value.Type().WithTypmod(-1).String()).WithHint("You will need to rewrite or cast the expression.")
	}
	arguments := []Scalar{old, converted}
	elem := c.Type.Elem
	var eval types.EvalFunc
	if part.Slice {
		low, high := part.Indexes[0].Low, part.Indexes[0].High
		for _, bound := range []Scalar{low, high} {
			if bound != nil {
				arguments = append(arguments, bound)
			}
		}
		eval = func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			var from, to *types.Datum
			rest := a[2:]
			if low != nil {
				from, rest = &rest[0], rest[1:]
			}
			if high != nil {
				to = &rest[0]
			}
			return types.AssignSlice(a[0], elem, from, to, a[1])
		}
	} else {
		for _, i := range part.Indexes {
			arguments = append(arguments, i.High)
		}
		eval = func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return types.AssignElement(a[0], elem, a[2:], a[1])
		}
	}
	ts := make([]*types.T, len(arguments))
	for i, a := range arguments {
		ts[i] = a.Type()
	}
	function := &types.Overload{Name: "subscripted assignment", Args: ts, Return: c.Type, Volatility: 'i', CalledOnNull: true, Eval: eval}
	return &Call{Function: &types.Bound{Overload: function, Args: ts, Return: c.Type, CalledOnNull: true, Eval: eval}, Arguments: arguments, Position: b.at(at)}, nil
}

// valueOf is the value that a column of the target has so far.
func (b *binder) valueOf(s *space, t *catalog.Table, c *catalog.Column) (Scalar, bool) {
	for _, r := range s.relations {
		if r.table == t {
			if v, n := r.column(c.Name); n == 1 {
				return v, true
			}
		}
	}
	return nil, false
}
