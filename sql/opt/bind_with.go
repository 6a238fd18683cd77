package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// commonScope is the tables of WITH clauses that are in view.
type commonScope struct {
	parent *commonScope
	table  *boundTable
}

// boundTable is a table of WITH.
type boundTable struct {
	parsed  *parser.CommonTable
	columns []queryColumn
	table   *CommonTable
	// scope is where its query was bound, to bind it again.
	scope *commonScope
	space *space
	// writes: its query changes rows; it is run once and completely.
	writes     bool
	references int
	// In a recursive table's own query: what a reference to itself means.
	work       *WorkTable
	recursive  recursiveState
	referenced bool
	// around is what stood around the recursive term when its binding began.
	around surroundings
}

// surroundings are what a recursive reference must not stand in.
type surroundings struct{ subqueries, nullableSides int }

// recursiveState says where in a recursive table's query the binder is.
type recursiveState uint8

const (
	notRecursive recursiveState = iota
	outsideUnion                // of a query that is no UNION
	inInitial
	inStep
)

func (c *commonScope) find(name string) *boundTable {
	for ; c != nil; c = c.parent {
		if c.table.parsed.Name == name {
			return c.table
		}
	}
	return nil
}

// withTables binds a WITH clause around a query or a statement.
func (b *binder) withTables(s *space, w *parser.With, body func() (*query, error)) (*query, error) {
	if w == nil {
		return body()
	}
	outer := s.common
	defer func() { s.common = outer }()
	var tables []*boundTable
	for i, t := range w.Tables {
		for _, o := range w.Tables[:i] {
			if o.Name == t.Name {
				return nil, b.fail(t.Position, pgerror.DuplicateAlias, "WITH query name %q specified more than once", t.Name)
			}
		}
		before := b.later
		if !w.Recursive {
			b.later = append(slices.Clone(before), w.Tables[i:]...)
		}
		bound, err := b.commonTable(s, t, w.Recursive)
		b.later = before
		if err != nil {
			return nil, err
		}
		tables = append(tables, bound)
		s.common = &commonScope{parent: s.common, table: bound}
	}
	q, err := body()
	if err != nil {
		return nil, err
	}
	node := &With{Input: q.node}
	for _, t := range tables {
		node.Tables = append(node.Tables, t.table)
		// What is read once and has no effects is computed where it is read.
		t.table.inline = t.references == 1 && !t.writes && t.parsed.Materialized != parser.MaterializeAlways && !nodeIsVolatile(t.table.Query)
		t.table.unused = t.references == 0 && !t.writes
	}
	q.node = node
	return q, nil
}

func nodeIsVolatile(n Node) bool { return anyNodeScalar(n, isVolatile) || locksRows(n) }

func locksRows(n Node) bool {
	if _, ok := n.(*LockRows); ok {
		return true
	}
	for _, in := range n.Inputs() {
		if locksRows(in) {
			return true
		}
	}
	return false
}

// commonTable binds one table of WITH.
func (b *binder) commonTable(s *space, t *parser.CommonTable, recursive bool) (*boundTable, error) {
	bound := &boundTable{parsed: t, scope: s.common, space: s}
	inner := &space{parent: s.parent, common: s.common, place: placeSelect}
	var q *query
	var err error
	switch x := t.Query.(type) {
	case *parser.Insert, *parser.Update, *parser.Delete:
		if !s.top {
			return nil, b.fail(t.Position, pgerror.FeatureNotSupported, "WITH clause containing a data-modifying statement must be at the top level")
		}
		bound.writes = true
		q, err = b.modify(inner, x)
	case parser.Query:
		if recursive {
			q, err = b.recursiveTable(inner, x, bound)
		} else {
			q, err = b.query(inner, x, queryOptions{})
		}
	default:
		return nil, b.unsupported(t.Position, "this kind of statement in WITH")
	}
	if err != nil {
		return nil, err
	}
	if err := b.nameColumns(q, t); err != nil {
		return nil, err
	}
	bound.columns = q.columns
	bound.table = &CommonTable{Name: t.Name, Query: q.node}
	for _, c := range q.columns {
		bound.table.Columns = append(bound.table.Columns, c.id)
	}
	bound.recursive = notRecursive
	return bound, nil
}

// modify binds a statement that changes rows.
func (b *binder) modify(s *space, e parser.Node) (*query, error) {
	switch x := e.(type) {
	case *parser.Insert:
		return b.insert(s, x)
	case *parser.Update:
		return b.update(s, x)
	case *parser.Delete:
		return b.delete(s, x)
	}
	return nil, pgerror.Unsupported("this kind of statement in WITH")
}

func (b *binder) nameColumns(q *query, t *parser.CommonTable) error {
	if len(t.Columns) > len(q.columns) {
		return b.fail(t.Position, pgerror.InvalidColumnReference, "WITH query %q has %d columns available but %d columns specified", t.Name, len(q.columns), len(t.Columns))
	}
	for i, name := range t.Columns {
		q.columns[i].name = name
	}
	return nil
}

// recursiveTable binds a table of WITH RECURSIVE, which may read itself.
func (b *binder) recursiveTable(s *space, e parser.Query, bound *boundTable) (*query, error) {
	t := bound.parsed
	s.common = &commonScope{parent: s.common, table: bound}
	union, ok := e.(*parser.SetOperation)
	if !ok || union.Operator != parser.Union || union.With != nil {
		bound.recursive = outsideUnion
		return b.query(s, e, queryOptions{})
	}
	bound.recursive = inInitial
	left, err := b.operand(s, union.Left)
	if err != nil {
		return nil, err
	}
	ts := make([]*types.T, len(left.columns))
	for i, c := range left.columns {
		ts[i] = b.typeOf(c.id)
		if ts[i].OID == types.UnknownOID {
			ts[i] = types.Text
		}
	}
	if err := b.convertColumns(left, ts); err != nil {
		return nil, err
	}
	if err := b.nameColumns(left, t); err != nil {
		return nil, err
	}
	bound.recursive, bound.columns, bound.work, bound.around = inStep, left.columns, &WorkTable{Name: t.Name}, b.around
	right, err := b.operand(s, union.Right)
	if err != nil {
		return nil, err
	}
	if !bound.referenced {
		q, err := b.combine(union, left, right)
		if err != nil {
			return nil, err
		}
		return b.queryTail(s, &union.Tail, q)
	}
	if len(union.OrderBy) > 0 {
		return nil, b.fail(leftmost(union.OrderBy[0].Expression), pgerror.FeatureNotSupported, "ORDER BY in a recursive query is not implemented")
	}
	if union.Limit != nil || union.Offset != nil {
		return nil, b.fail(parser.NoPosition, pgerror.FeatureNotSupported, "LIMIT in a recursive query is not implemented")
	}
	return b.recursiveUnion(union, bound, left, right, ts)
}

func (b *binder) recursiveUnion(union *parser.SetOperation, bound *boundTable, left, right *query, ts []*types.T) (*query, error) {
	if len(left.columns) != len(right.columns) {
		return nil, b.fail(parser.NoPosition, pgerror.Syntax, "each UNION query must have the same number of columns")
	}
	for i := range ts {
		l, r := &left.columns[i], &right.columns[i]
		if b.typeOf(r.id).OID == types.UnknownOID {
			continue
		}
		t, err := types.UnifyTypes("UNION", []*types.T{ts[i], b.typeOf(r.id)})
		if err != nil {
			return nil, b.positioned(err, r.position)
		}
		if t.OID != ts[i].OID {
			return nil, b.fail(l.position, pgerror.DatatypeMismatch, "recursive query %q column %d has type %s in non-recursive term but type %s overall",
				bound.parsed.Name, i+1, ts[i].String(), t.String()).WithHint("Cast the output of the non-recursive term to the correct type.")
		}
	}
	if err := b.convertColumns(right, ts); err != nil {
		return nil, err
	}
	node := &RecursiveUnion{Initial: left.node, Step: right.node, All: union.All, Work: bound.work}
	out := &query{node: node}
	for i, l := range left.columns {
		id := b.newColumn(l.name, ts[i], columnLabel{})
		node.Columns = append(node.Columns, id)
		node.InitialColumns = append(node.InitialColumns, l.id)
		node.StepColumns = append(node.StepColumns, right.columns[i].id)
		out.columns = append(out.columns, queryColumn{name: l.name, id: id, position: l.position})
	}
	return out, nil
}

// commonReference reads a table of WITH.
func (b *binder) commonReference(s *space, t *boundTable, e *parser.TableReference, name string) (Node, []*relation, error) {
	fresh := func() *query {
		q := &query{}
		for _, c := range t.columns {
			ct := b.typeOf(c.id)
			q.columns = append(q.columns, queryColumn{name: c.name, id: b.newColumn(c.name, ct, columnLabel{})})
		}
		return q
	}
	ids := func(q *query) []ColumnID {
		var out []ColumnID
		for _, c := range q.columns {
			out = append(out, c.id)
		}
		return out
	}
	var q *query
	switch t.recursive {
	case outsideUnion:
		return nil, nil, b.fail(t.parsed.Position, pgerror.InvalidRecursion, "recursive query %q does not have the form non-recursive-term UNION [ALL] recursive-term", t.parsed.Name)
	case inInitial:
		return nil, nil, b.fail(e.Position, pgerror.InvalidRecursion, "recursive reference to query %q must not appear within its non-recursive term", t.parsed.Name)
	case inStep:
		if t.referenced && b.around.subqueries == t.around.subqueries {
			return nil, nil, b.fail(e.Position, pgerror.InvalidRecursion, "recursive reference to query %q must not appear more than once", t.parsed.Name)
		}
		if b.around.subqueries > t.around.subqueries {
			return nil, nil, b.fail(e.Position, pgerror.InvalidRecursion, "recursive reference to query %q must not appear within a subquery", t.parsed.Name)
		}
		if b.around.nullableSides > t.around.nullableSides {
			return nil, nil, b.fail(e.Position, pgerror.InvalidRecursion, "recursive reference to query %q must not appear within an outer join", t.parsed.Name)
		}
		t.referenced = true
		q = fresh()
		q.node = &WorkScan{Work: t.work, Columns: ids(q)}
	default:
		if t.writes && len(t.columns) == 0 {
			return nil, nil, b.fail(e.Position, pgerror.FeatureNotSupported, "WITH query %q does not have a RETURNING clause", t.parsed.Name)
		}
		t.references++
		if body, ok := t.parsed.Query.(parser.Query); ok && t.parsed.Materialized == parser.MaterializeNever && t.references > 1 && !isRecursive(t.table.Query) {
			var err error
			if q, err = b.query(&space{parent: t.space.parent, common: t.scope, place: placeSelect}, body, queryOptions{}); err != nil {
				return nil, nil, err
			}
			if err := b.nameColumns(q, t.parsed); err != nil {
				return nil, nil, err
			}
			t.references--
			break
		}
		q = fresh()
		q.node = &CommonScan{Table: t.table, Columns: ids(q)}
	}
	r := b.queryRelation(s, name, q)
	r.query, r.recursive = false, t.recursive == inStep
	return q.node, []*relation{r}, b.aliasColumns(r, e.Alias)
}

func isRecursive(n Node) bool {
	if _, ok := n.(*RecursiveUnion); ok {
		return true
	}
	for _, in := range n.Inputs() {
		if isRecursive(in) {
			return true
		}
	}
	return false
}
