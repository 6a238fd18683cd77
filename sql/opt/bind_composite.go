package opt

import (
	"slices"
	"strconv"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// array binds ARRAY[…]; want is the type it is cast to, nil for none.
func (b *binder) array(s *space, e *parser.Array, want *types.T) (Scalar, error) {
	if len(e.Elements) == 0 {
		if want == nil {
			return nil, b.fail(e.Position, pgerror.IndeterminateDatatype, "cannot determine type of empty array").
				WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
		}
		return &ArrayOf{T: want}, nil
	}
	elements := make([]Scalar, len(e.Elements))
	at := make([]parser.Position, len(e.Elements))
	nested := false
	for i, x := range e.Elements {
		var err error
		if inner, ok := x.(*parser.Array); ok {
			elements[i], err = b.array(s, inner, want)
		} else {
			elements[i], err = b.scalar(s, x)
		}
		if err != nil {
			return nil, err
		}
		nested = nested || elements[i].Type().Elem != nil && elements[i].Type().OID != types.Int2VectorOID && elements[i].Type().OID != types.OIDVectorOID
		at[i] = leftmost(x)
	}
	if want != nil {
		target := want.Elem
		if nested {
			target = want
		}
		for i := range elements {
			x, err := b.mustCoerce(elements[i], target, types.ExplicitCast, at[i])
			if err != nil {
				return nil, err
			}
			elements[i] = x
		}
		return b.fold(&ArrayOf{Elements: elements, T: want, Nested: nested}), nil
	}
	elements, t, err := b.unify("ARRAY", elements, at)
	if err != nil {
		return nil, err
	}
	if nested {
		return &ArrayOf{Elements: elements, T: t, Nested: true}, nil
	}
	array := types.ArrayTypeOf(t)
	if array == nil {
		return nil, b.fail(e.Position, pgerror.UndefinedObject, "could not find array type for data type %s", t.String())
	}
	return b.fold(&ArrayOf{Elements: elements, T: array}), nil
}

func (b *binder) row(s *space, e *parser.Row) (Scalar, error) {
	var values []Scalar
	for _, x := range e.Elements {
		if r, ok := x.(*parser.ColumnReference); ok && r.Star {
			columns, _, err := b.star(s, r)
			if err != nil {
				return nil, err
			}
			for _, c := range columns {
				values = append(values, c.value)
			}
			continue
		}
		v, err := b.scalar(s, x)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	fields := make([]types.Field, len(values))
	for i := range values {
		v, err := b.textIfUnknown(values[i], e.Position)
		if err != nil {
			return nil, err
		}
		// An untyped literal keeps its lack of a type: comparing rows gives it one.
		if _, literal := values[i].(*Constant); !literal {
			values[i] = v
		}
		fields[i] = types.Field{Name: "f" + strconv.Itoa(i+1), Type: v.Type()}
	}
	return &RowOf{Fields: values, T: rowType(fields)}, nil
}

func (b *binder) indirection(s *space, e *parser.Indirection) (Scalar, error) {
	x, err := b.scalar(s, e.Argument)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(e.Steps); {
		step := e.Steps[i]
		switch {
		case step.Star:
			return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "row expansion via \"*\" is not supported here")
		case step.Field != "":
			if r, ok := e.Argument.(*parser.ColumnReference); ok && i == 0 && len(r.Names) == 1 && x.Type().Family == types.TupleFamily {
				if !slices.ContainsFunc(x.Type().Fields, func(f types.Field) bool { return f.Name == step.Field }) {
					return nil, b.fail(e.Position, pgerror.UndefinedColumn, "column %s.%s does not exist", r.Names[0], step.Field)
				}
			}
			if x, err = b.field(x, step.Field, e.Position); err != nil {
				return nil, err
			}
			i++
		default:
			n := i
			for n < len(e.Steps) && e.Steps[n].Field == "" && !e.Steps[n].Star {
				n++
			}
			if x, err = b.subscript(s, x, e.Steps[i:n], e.Position); err != nil {
				return nil, err
			}
			i = n
		}
	}
	return x, nil
}

// field selects a field of a row value by its name.
func (b *binder) field(x Scalar, name string, at parser.Position) (Scalar, error) {
	t := x.Type()
	if t.Family != types.TupleFamily {
		return nil, b.fail(at, pgerror.WrongObjectType, "column notation .%s applied to type %s, which is not a composite type", name, t.String())
	}
	for i, f := range t.Fields {
		if f.Name == name {
			if r, ok := x.(*RowOf); ok {
				if isUnknown(r.Fields[i]) {
					return b.textIfUnknown(r.Fields[i], at)
				}
				return r.Fields[i], nil
			}
			return &Field{Row: x, Index: i, T: f.Type}, nil
		}
	}
	if len(t.Fields) == 0 {
		return nil, b.fail(at, pgerror.UndefinedColumn, "could not identify column %q in record data type", name)
	}
	return nil, b.fail(at, pgerror.UndefinedColumn, "column %q not found in data type %s", name, t.String())
}

func (b *binder) subscript(s *space, x Scalar, steps []parser.IndirectionStep, at parser.Position) (Scalar, error) {
	t := x.Type()
	if t.OID == types.JSONBOID {
		return b.subscriptJSON(s, x, steps, at)
	}
	if t.Elem == nil {
		return nil, b.fail(at, pgerror.DatatypeMismatch, "cannot subscript type %s because it does not support subscripting", t.String())
	}
	out := &Subscript{Array: x, T: t.Elem}
	for _, step := range steps {
		out.Slice = out.Slice || step.Slice
	}
	if out.Slice {
		out.T = t
		if t.OID == types.Int2VectorOID || t.OID == types.OIDVectorOID {
			out.T = types.ArrayTypeOf(t.Elem)
		}
	}
	index := func(e parser.Expression) (Scalar, error) {
		if e == nil {
			return nil, nil
		}
		v, err := b.scalar(s, e)
		if err != nil {
			return nil, err
		}
		r, ok, err := b.coerce(v, types.Int4, types.AssignmentCast, leftmost(e))
		if err == nil && !ok {
			err = b.fail(leftmost(e), pgerror.DatatypeMismatch, "array subscript must have type integer")
		}
		return r, err
	}
	for _, step := range steps {
		low, err := index(step.Lower)
		if err != nil {
			return nil, err
		}
		high, err := index(step.Upper)
		if err != nil {
			return nil, err
		}
		if out.Slice && !step.Slice {
			// A plain index among slices is a slice from 1.
			low = &Constant{Value: types.Int(1), T: types.Int4}
		}
		out.Indexes = append(out.Indexes, SubscriptIndex{Low: low, High: high})
	}
	return out, nil
}

// subscriptJSON is jsonb[…]: the same as the operator ->.
func (b *binder) subscriptJSON(s *space, x Scalar, steps []parser.IndirectionStep, at parser.Position) (Scalar, error) {
	for _, step := range steps {
		if step.Slice {
			return nil, b.fail(at, pgerror.DatatypeMismatch, "jsonb subscript does not support slices")
		}
		v, err := b.scalar(s, step.Upper)
		if err != nil {
			return nil, err
		}
		if v, err = b.textIfUnknown(v, at); err != nil {
			return nil, err
		}
		call, err := b.operator("->", x, v, at)
		if err != nil {
			return nil, err
		}
		x = call
	}
	return x, nil
}
