package opt

import (
	"strconv"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

var setOperatorNames = [...]string{"UNION", "INTERSECT", "EXCEPT"}

// setOperation binds UNION, INTERSECT and EXCEPT with what follows them.
func (b *binder) setOperation(s *space, e *parser.SetOperation, o queryOptions) (*query, error) {
	if len(e.Locks) > 0 {
		return nil, pgerror.Newf(pgerror.FeatureNotSupported, "%s is not allowed with UNION/INTERSECT/EXCEPT", lockName(e.Locks[0].Strength))
	}
	q, err := b.setOperands(s, e, o)
	if err != nil {
		return nil, err
	}
	return b.queryTail(s, &e.Tail, q)
}

// queryTail adds ORDER BY and LIMIT to a query that has only its output columns.
func (b *binder) queryTail(s *space, t *parser.Tail, q *query) (*query, error) {
	var keys []OrderKey
	for _, item := range t.OrderBy {
		i, err := b.outputColumn(q, item.Expression)
		if err != nil {
			return nil, err
		}
		if item.Using != "" {
			if item.Descending, err = b.usingDirection(item); err != nil {
				return nil, err
			}
			item.NullsFirst = item.Descending
		}
		if err := b.sortable(b.typeOf(q.columns[i].id), leftmost(item.Expression)); err != nil {
			return nil, err
		}
		keys = append(keys, OrderKey{ID: q.columns[i].id, Descending: item.Descending, NullsFirst: item.NullsFirst})
	}
	node := q.node
	if len(keys) > 0 {
		node = &Sort{Input: node, Keys: uniqueKeys(keys)}
	}
	node, err := b.limit(s, t, node, keys)
	if err != nil {
		return nil, err
	}
	return &query{node: node, columns: q.columns}, nil
}

// outputColumn is the column that ORDER BY of a set operation names.
func (b *binder) outputColumn(q *query, e parser.Expression) (int, error) {
	switch x := e.(type) {
	case *parser.Constant:
		if x.Kind != parser.IntegerConstant {
			return 0, b.fail(x.Position, pgerror.Syntax, "non-integer constant in ORDER BY")
		}
		if x.Int < 1 || int(x.Int) > len(q.columns) {
			return 0, b.fail(x.Position, pgerror.InvalidColumnReference, "ORDER BY position %d is not in select list", x.Int)
		}
		return int(x.Int) - 1, nil
	case *parser.ColumnReference:
		if len(x.Names) != 1 || x.Star {
			break
		}
		found := -1
		for i, c := range q.columns {
			if c.name == x.Names[0] {
				if found >= 0 {
					return 0, b.fail(x.Position, pgerror.AmbiguousColumn, "ORDER BY %q is ambiguous", c.name)
				}
				found = i
			}
		}
		if found < 0 {
			return 0, b.fail(x.Position, pgerror.UndefinedColumn, "column %q does not exist", x.Names[0])
		}
		return found, nil
	}
	return 0, b.fail(leftmost(e), pgerror.FeatureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").
		WithDetail("Only result column names can be used, not expressions or functions.").
		WithHint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
}

// operand binds one side; its WITH, ORDER BY and LIMIT, if it has them in
// parentheses, belong to it alone.
func (b *binder) operand(s *space, e parser.Query) (*query, error) {
	inner := &space{parent: s.parent, common: s.common, place: placeSelect}
	if x, ok := e.(*parser.SetOperation); ok && x.With == nil && len(x.OrderBy) == 0 && x.Limit == nil && x.Offset == nil && len(x.Locks) == 0 {
		return b.setOperands(inner, x, queryOptions{keepUnknown: true})
	}
	return b.query(inner, e, queryOptions{keepUnknown: true})
}

func (b *binder) setOperands(s *space, e *parser.SetOperation, o queryOptions) (*query, error) {
	left, err := b.operand(s, e.Left)
	if err != nil {
		return nil, err
	}
	right, err := b.operand(s, e.Right)
	if err != nil {
		return nil, err
	}
	return b.combine(e, left, right)
}

// combine brings two sides to common types.
func (b *binder) combine(e *parser.SetOperation, left, right *query) (*query, error) {
	what := setOperatorNames[e.Operator]
	if len(left.columns) != len(right.columns) {
		at := parser.NoPosition
		if len(right.columns) > 0 {
			at = right.columns[0].position
		}
		return nil, b.fail(at, pgerror.Syntax, "each %s query must have the same number of columns", what)
	}
	node := &SetOperation{Operator: SetOperator(e.Operator), All: e.All, Left: left.node, Right: right.node}
	out := &query{node: node}
	ts := make([]*types.T, len(left.columns))
	for i := range left.columns {
		l, r := &left.columns[i], &right.columns[i]
		t, err := types.UnifyTypes(what, []*types.T{b.typeOf(l.id), b.typeOf(r.id)})
		if err != nil {
			return nil, b.positioned(err, r.position)
		}
		if !e.All || e.Operator != parser.Union {
			at := r.position
			if sameType(b.typeOf(l.id), t) {
				at = l.position
			}
			if err := b.comparable(t, at); err != nil {
				return nil, err
			}
		}
		ts[i] = t
	}
	if err := b.convertColumns(left, ts); err != nil {
		return nil, err
	}
	if err := b.convertColumns(right, ts); err != nil {
		return nil, err
	}
	node.Left, node.Right = left.node, right.node
	for i, l := range left.columns {
		id := b.newColumn(l.name, ts[i], columnLabel{})
		node.Columns = append(node.Columns, id)
		node.LeftColumns = append(node.LeftColumns, l.id)
		node.RightColumns = append(node.RightColumns, right.columns[i].id)
		out.columns = append(out.columns, queryColumn{name: l.name, id: id, position: l.position})
	}
	return out, nil
}

// convertColumns casts a query's columns to types where they differ.
func (b *binder) convertColumns(q *query, ts []*types.T) error {
	p := newProjector(b, q.node)
	for i := range q.columns {
		c := &q.columns[i]
		if sameType(b.typeOf(c.id), ts[i]) {
			continue
		}
		// A literal without a type gets it as if it had been written with it.
		value := Scalar(b.variable(c.id))
		if k, ok := c.value.(*Constant); ok && isUnknown(k) {
			value = k
		}
		if k, ok := c.value.(*Parameter); ok && isUnknown(k) {
			value = k
		}
		v, err := b.mustCoerce(value, ts[i], types.ImplicitCast, c.position)
		if err != nil {
			return err
		}
		c.value, c.id = v, p.named(v, c.name)
	}
	q.node = p.finish()
	return nil
}

// valuesQuery binds VALUES as a query.
func (b *binder) valuesQuery(s *space, e *parser.Values, o queryOptions) (*query, error) {
	if len(e.Locks) > 0 {
		return nil, pgerror.Newf(pgerror.FeatureNotSupported, "%s cannot be applied to VALUES", lockName(e.Locks[0].Strength))
	}
	rows, at, err := b.valueRows(s, e)
	if err != nil {
		return nil, err
	}
	width := len(rows[0])
	node := &Values{}
	out := &query{}
	for i := range width {
		column := make([]Scalar, len(rows))
		places := make([]parser.Position, len(rows))
		for j := range rows {
			column[j], places[j] = rows[j][i], at[j][i]
		}
		t := types.Unknown
		if len(rows) > 1 || !o.keepUnknown || !isUnknown(column[0]) {
			var err error
			if column, t, err = b.unify("VALUES", column, places); err != nil {
				return nil, err
			}
		}
		for j := range rows {
			rows[j][i] = column[j]
		}
		name := "column" + strconv.Itoa(i+1)
		id := b.newColumn(name, t, columnLabel{space: s})
		node.Columns = append(node.Columns, id)
		c := queryColumn{name: name, id: id, position: places[0]}
		if len(rows) == 1 {
			c.value = column[0]
		}
		out.columns = append(out.columns, c)
	}
	node.Rows = rows
	out.node = node
	return b.queryTail(s, &e.Tail, out)
}

// valueRows binds the rows of VALUES.
func (b *binder) valueRows(s *space, e *parser.Values) ([][]Scalar, [][]parser.Position, error) {
	rows := make([][]Scalar, len(e.Rows))
	at := make([][]parser.Position, len(e.Rows))
	place := s.place
	s.place = placeValues
	defer func() { s.place = place }()
	for i, r := range e.Rows {
		if len(r) != len(e.Rows[0]) {
			return nil, nil, b.fail(leftmost(r[0]), pgerror.Syntax, "VALUES lists must all be the same length")
		}
		var err error
		if rows[i], at[i], err = b.scalars(s, r); err != nil {
			return nil, nil, err
		}
		if len(s.sets) > 0 {
			return nil, nil, b.fail(leftmost(r[0]), pgerror.FeatureNotSupported, "set-returning functions are not allowed in VALUES")
		}
	}
	return rows, at, nil
}
