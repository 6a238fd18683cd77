package opt

import (
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// nested is the space of a query within an expression of s.
func (s *space) nested() *space {
	return &space{parent: s, common: s.common, place: placeSelect}
}

func (b *binder) subquery(s *space, e *parser.Subquery) (Scalar, error) {
	b.subqueryAt = e.Position
	b.around.subqueries++
	defer func() { b.around.subqueries-- }()
	// Names inside an aggregate's argument that belong to inner queries may be
	// aggregated there.
	q, err := b.query(s.nested(), e.Query, queryOptions{})
	if err != nil {
		return nil, err
	}
	out := &Subquery{Query: q.node, T: types.Boolean}
	for _, c := range q.columns {
		out.Columns = append(out.Columns, c.id)
	}
	switch e.Kind {
	case parser.ExistsSubquery:
		out.Kind, out.Columns = Exists, nil
	case parser.ScalarSubquery, parser.ArraySubquery:
		if len(q.columns) != 1 {
			return nil, b.fail(e.Position, pgerror.Syntax, "subquery must return only one column")
		}
		out.T = b.typeOf(q.columns[0].id)
		if e.Kind == parser.ArraySubquery {
			out.Kind = Rows
			t := types.ArrayTypeOf(out.T)
			if t == nil {
				return nil, b.fail(e.Position, pgerror.UndefinedObject, "could not find array type for data type %s", out.T.String())
			}
			out.T = t
		}
	default:
		out.Kind = Any
		if e.Kind == parser.AllSubquery {
			out.Kind = All
		}
		left, err := b.scalar(s, e.Left)
		if err != nil {
			return nil, err
		}
		if err := b.compareSubquery(out, left, e.Operator, e.Position); err != nil {
			return nil, err
		}
	}
	out.Outer = outerColumns(out.Query, out.Comparison, out.Placeholders)
	if b.trace != nil {
		b.trace.subqueries[out] = e
	}
	return out, nil
}

// compareSubquery sets up the comparison of ANY and ALL.
func (b *binder) compareSubquery(out *Subquery, left Scalar, operator string, at parser.Position) error {
	list := []Scalar{left}
	row, isRow := left.(*RowOf)
	if isRow {
		list = row.Fields
	}
	switch {
	case len(list) < len(out.Columns):
		return b.fail(at, pgerror.Syntax, "subquery has too many columns")
	case len(list) > len(out.Columns):
		return b.fail(at, pgerror.Syntax, "subquery has too few columns")
	}
	right := make([]Scalar, len(list))
	placeholders := make([]Scalar, len(list))
	for i := range list {
		right[i] = b.variable(out.Columns[i])
		value := list[i]
		if isUnknown(value) {
			r, err := b.mustCoerce(value, right[i].Type().WithTypmod(-1), types.ImplicitCast, at)
			if err != nil {
				return err
			}
			value = r
		}
		id := b.newColumn("", value.Type(), columnLabel{})
		out.Left = append(out.Left, value)
		out.Placeholders = append(out.Placeholders, id)
		placeholders[i] = b.variable(id)
	}
	var err error
	if isRow {
		out.Comparison, err = b.compareRows(operator, placeholders, right, at)
		return err
	}
	c, err := b.operator(operator, placeholders[0], right[0], at)
	if err != nil {
		return err
	}
	if c.Type().OID != types.BooleanOID {
		return b.fail(at, pgerror.WrongObjectType, "operator %s must return type boolean", operator)
	}
	out.Comparison = c
	return nil
}

// rowSubquery is (a, b) op (SELECT …) with a query of one row.
func (b *binder) rowSubquery(s *space, e *parser.Binary, sub *parser.Subquery) (Scalar, error) {
	left, err := b.scalar(s, e.Left)
	if err != nil {
		return nil, err
	}
	q, err := b.query(s.nested(), sub.Query, queryOptions{})
	if err != nil {
		return nil, err
	}
	row := left.(*RowOf)
	switch {
	case len(row.Fields) < len(q.columns):
		return nil, b.fail(e.Position, pgerror.Syntax, "subquery has too many columns")
	case len(row.Fields) > len(q.columns):
		return nil, b.fail(e.Position, pgerror.Syntax, "subquery has too few columns")
	}
	value := b.rowOfQuery(q)
	fields := make([]Scalar, len(row.Fields))
	for i := range fields {
		fields[i] = &Field{Row: value, Index: i, T: value.T.Fields[i].Type}
	}
	return b.compareRows(e.Operator, row.Fields, fields, e.Position)
}

// rowOfQuery is the one row of a query as a row value.
func (b *binder) rowOfQuery(q *query) *Subquery {
	var fields []types.Field
	var values []Scalar
	for _, c := range q.columns {
		fields = append(fields, types.Field{Name: c.name, Type: b.typeOf(c.id)})
		values = append(values, b.variable(c.id))
	}
	t := rowType(fields)
	id := b.newColumn("row", t, columnLabel{})
	out := &Subquery{Query: &Project{Input: q.node, Items: []Item{{ID: id, Value: &RowOf{Fields: values, T: t}}}}, Columns: []ColumnID{id}, T: t}
	out.Outer = outerColumns(out.Query, nil, nil)
	return out
}
