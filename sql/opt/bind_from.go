package opt

import (
	"errors"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maxViewDepth bounds views within views.
const maxViewDepth = 64

// from binds a FROM clause: its items come into view of s. nil for none.
func (b *binder) from(s *space, list []parser.TableExpression) (Node, error) {
	var node Node
	for _, item := range list {
		n, relations, err := b.tableExpression(s, item)
		if err != nil {
			return nil, err
		}
		if err := b.addRelations(s, relations); err != nil {
			return nil, err
		}
		setLateral(relations, true, true)
		if node == nil {
			node = n
		} else {
			node = joinNodes(Inner, node, n, nil)
		}
	}
	setLateral(s.relations, false, true)
	return node, nil
}

func setLateral(list []*relation, only, allowed bool) {
	for _, r := range list {
		r.lateralOnly, r.lateralAllowed = only, allowed
	}
}

// joinNodes makes the logical join: nested loops over all conditions.
func joinNodes(kind JoinKind, left, right Node, on []Scalar) *Join {
	lateral := freeColumns(right)
	return &Join{Kind: kind, Method: NestedLoop, Left: left, Right: right, On: on, Lateral: lateral.intersects(columnSetOf(left.Output()...))}
}

func (b *binder) tableExpression(s *space, e parser.TableExpression) (Node, []*relation, error) {
	var node Node
	var relations []*relation
	var err error
	switch x := e.(type) {
	case *parser.TableReference:
		node, relations, err = b.tableReference(s, x)
	case *parser.SubqueryReference:
		node, relations, err = b.subqueryReference(s, x)
	case *parser.FunctionReference:
		node, relations, err = b.functionReference(s, x)
	case *parser.Join:
		return b.join(s, x)
	default:
		err = pgerror.Unsupported("this kind of item in FROM")
	}
	s.mentioned = append(s.mentioned, relations...)
	return node, relations, err
}

func (b *binder) tableReference(s *space, e *parser.TableReference) (Node, []*relation, error) {
	if e.Sample != nil {
		return nil, nil, b.unsupported(e.Position, "TABLESAMPLE")
	}
	name := e.Name
	if e.Alias != nil {
		name = e.Alias.Name
	}
	if e.Schema == "" {
		if table := s.common.find(e.Name); table != nil {
			return b.commonReference(s, table, e, name)
		}
	}
	found, err := b.resolve(e.TableName)
	if err != nil {
		return nil, nil, err
	}
	if b.trace != nil {
		b.trace.relations[e] = tracedRelation{relation: found}
	}
	switch d := found.(type) {
	case *catalog.Table:
		node, r := b.tableRelation(s, d, name, false)
		if e.Alias == nil {
			r.schema = b.schemaName(d, e.Schema)
		}
		if err := b.aliasColumns(r, e.Alias); err != nil {
			return nil, nil, err
		}
		return node, []*relation{r}, nil
	case *catalog.View:
		q, err := b.view(d)
		if err != nil {
			return nil, nil, err
		}
		r := b.queryRelation(s, name, q)
		if e.Alias == nil {
			r.schema = b.schemaName(d, e.Schema)
		}
		return q.node, []*relation{r}, b.aliasColumns(r, e.Alias)
	case *catalog.Sequence:
		q, err := b.sequence(d)
		if err != nil {
			return nil, nil, err
		}
		r := b.queryRelation(s, name, q)
		return q.node, []*relation{r}, b.aliasColumns(r, e.Alias)
	}
	return nil, nil, b.fail(e.Position, pgerror.WrongObjectType, "cannot open relation %q", e.Name)
}

// resolve finds a relation, or fails with a position.
func (b *binder) resolve(n parser.TableName) (catalog.Relation, error) {
	name := catalog.Name{Database: n.Database, Schema: n.Schema, Object: n.Name}
	found, err := b.c.Resolver.Relation(b.ctx, name)
	if err != nil && pgerror.Code(err) != pgerror.InvalidSchemaName {
		return nil, b.positioned(err, n.Position)
	}
	if found == nil {
		err := b.positioned(catalog.UndefinedTable(name), n.Position)
		if e, ok := errors.AsType[*pgerror.Error](err); ok && n.Schema == "" && slices.ContainsFunc(b.later, func(t *parser.CommonTable) bool { return t.Name == n.Name }) {
			return nil, e.WithDetail("There is a WITH item named %q, but it cannot be referenced from this part of the query.", n.Name).
				WithHint("Use WITH RECURSIVE, or re-order the WITH items to remove forward references.")
		}
		return nil, err
	}
	b.used(found)
	return found, nil
}

func (b *binder) schemaName(r catalog.Relation, written string) string {
	if written != "" {
		return written
	}
	if schema, err := b.c.Resolver.SchemaByID(b.ctx, r.SchemaOf()); err == nil && schema != nil {
		return schema.Name
	}
	return ""
}

// tableRelation reads all of a table's columns: the visible ones and, with
// stored, those that only writers know.
func (b *binder) tableRelation(s *space, t *catalog.Table, name string, stored bool) (Node, *relation) {
	r := &relation{name: name, table: t, nameVisible: true, columnsVisible: true}
	columns := make([]TableColumn, 0, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Dropped || c.State != catalog.Public && !stored {
			continue
		}
		id := b.newColumn(c.Name, c.Type, columnLabel{space: s, relation: name, column: c.Name})
		b.metadata[id-1].Table, b.metadata[id-1].Attribute = t.ID, c.ID
		columns = append(columns, TableColumn{ID: id, Column: c.ID})
		if c.State == catalog.Public {
			r.columns = append(r.columns, relationColumn{name: c.Name, value: b.variable(id), hidden: c.Hidden})
		}
	}
	if b.estimates == nil {
		b.estimates = map[catalog.ID]*catalog.Table{}
	}
	b.estimates[t.ID] = t
	if t.IsVirtual() {
		return &VirtualScan{Table: t, Columns: columns}, r
	}
	r.scan = &Scan{Table: t, Index: &t.Primary, Columns: columns}
	return r.scan, r
}

// queryRelation brings a query's columns into view.
func (b *binder) queryRelation(s *space, name string, q *query) *relation {
	r := &relation{name: name, nameVisible: true, columnsVisible: true, query: true}
	if b.trace != nil {
		// Names are printed by id: each level needs ids of its own.
		p := &Project{Input: q.node}
		for i, c := range q.columns {
			id := b.newColumn(c.name, b.typeOf(c.id), columnLabel{})
			p.Items = append(p.Items, Item{ID: id, Value: b.variable(c.id)})
			q.columns[i].id = id
		}
		q.node = p
	}
	for _, c := range q.columns {
		b.labels[c.id-1] = columnLabel{space: s, relation: name, column: c.name}
		r.columns = append(r.columns, relationColumn{name: c.name, value: b.variable(c.id)})
	}
	return r
}

// aliasColumns renames a relation's columns.
func (b *binder) aliasColumns(r *relation, alias *parser.Alias) error {
	if alias == nil || len(alias.Columns) == 0 {
		return nil
	}
	visible := 0
	for i := range r.columns {
		if r.columns[i].hidden {
			continue
		}
		if visible < len(alias.Columns) {
			r.columns[i].name = alias.Columns[visible]
			if v, ok := r.columns[i].value.(*Variable); ok {
				b.labels[v.ID-1].column = r.columns[i].name
			}
		}
		visible++
	}
	if len(alias.Columns) > visible {
		return pgerror.Newf(pgerror.InvalidColumnReference, "table %q has %d columns available but %d columns specified", r.name, visible, len(alias.Columns))
	}
	return nil
}

// view expands a view.
func (b *binder) view(v *catalog.View) (*query, error) {
	if b.viewDepth >= maxViewDepth {
		return nil, pgerror.Newf(pgerror.StatementTooComplex, "views are nested too deeply at view %q", v.Name)
	}
	statements, err := b.c.ParseStatement(v.Query)
	if err != nil {
		return nil, err
	}
	if len(statements) != 1 {
		return nil, pgerror.Newf(pgerror.DataCorrupted, "view %q has no query", v.Name)
	}
	body, ok := statements[0].AST.(parser.Query)
	if !ok {
		return nil, pgerror.Newf(pgerror.DataCorrupted, "view %q has no query", v.Name)
	}
	text, trace := b.text, b.trace
	b.text, b.trace = "", nil
	b.viewDepth++
	q, err := b.query(&space{place: placeSelect}, body, queryOptions{})
	b.text, b.trace = text, trace
	b.viewDepth--
	if err != nil {
		return nil, err
	}
	for i := range q.columns {
		if i < len(v.Columns) {
			q.columns[i].name = v.Columns[i].Name
		}
	}
	return q, nil
}

// sequence makes the row that a sequence has as a relation.
func (b *binder) sequence(d *catalog.Sequence) (*query, error) {
	oid := &Constant{Value: types.Int(int64(d.ID)), T: types.OIDType}
	last, err := b.callNamed("pg_sequence_last_value", &Constant{Value: oid.Value, T: types.Regclass})
	if err != nil {
		return nil, err
	}
	start := &Constant{Value: types.Int(d.Start), T: types.Int8}
	zero := &Constant{Value: types.Int(0), T: types.Int8}
	values := []Scalar{&Coalesce{Arguments: []Scalar{last, start}, T: types.Int8}, zero, &IsNull{Argument: last, Negated: true}}
	q := &query{}
	p := &Project{Input: emptyRow()}
	for i, name := range []string{"last_value", "log_cnt", "is_called"} {
		id := b.newColumn(name, values[i].Type(), columnLabel{})
		p.Items = append(p.Items, Item{ID: id, Value: values[i]})
		q.columns = append(q.columns, queryColumn{name: name, id: id})
	}
	q.node = p
	return q, nil
}

// callNamed is a call of a built-in function.
func (b *binder) callNamed(name string, arguments ...Scalar) (Scalar, error) {
	at := make([]parser.Position, len(arguments))
	for i := range at {
		at[i] = parser.NoPosition
	}
	arguments, bound, err := b.resolveCall(name, &parser.Call{Position: parser.NoPosition, Names: []string{name}}, arguments, at)
	if err != nil {
		return nil, err
	}
	return &Call{Function: bound, Arguments: arguments}, nil
}

func (b *binder) subqueryReference(s *space, e *parser.SubqueryReference) (Node, []*relation, error) {
	before := s.lateralActive
	s.lateralActive = e.Lateral
	q, err := b.query(s.nested(), e.Query, queryOptions{})
	s.lateralActive = before
	if err != nil {
		return nil, nil, err
	}
	name := ""
	if e.Alias != nil {
		name = e.Alias.Name
	}
	r := b.queryRelation(s, name, q)
	r.nameVisible = e.Alias != nil
	return q.node, []*relation{r}, b.aliasColumns(r, e.Alias)
}

func (b *binder) join(s *space, e *parser.Join) (Node, []*relation, error) {
	side := func(e parser.TableExpression, nullable bool) (Node, []*relation, error) {
		before := b.around.nullableSides
		defer func() { b.around.nullableSides = before }()
		if nullable {
			b.around.nullableSides++
		}
		return b.tableExpression(s, e)
	}
	left, leftRelations, err := side(e.Left, e.Kind == parser.RightJoin || e.Kind == parser.FullJoin)
	if err != nil {
		return nil, nil, err
	}
	// The left side is in view of LATERAL items of the right side.
	setLateral(leftRelations, true, e.Kind == parser.InnerJoin || e.Kind == parser.LeftJoin)
	outside := s.relations
	s.relations = append(slices.Clone(outside), leftRelations...)
	right, rightRelations, err := side(e.Right, e.Kind == parser.LeftJoin || e.Kind == parser.FullJoin)
	s.relations = outside
	if err != nil {
		return nil, nil, err
	}
	// Names must be unique within the join already.
	inner := &space{parent: s.parent, common: s.common, place: placeJoin}
	if err := b.addRelations(inner, leftRelations); err != nil {
		return nil, nil, err
	}
	if err := b.addRelations(inner, rightRelations); err != nil {
		return nil, nil, err
	}
	setLateral(inner.relations, false, true)
	kind := [...]JoinKind{Inner, Left, Right, Full}[e.Kind]
	markNullable(kind, leftRelations, rightRelations)
	merged, on, err := b.joinUsing(inner, e, kind, leftRelations, rightRelations)
	if err != nil {
		return nil, nil, err
	}
	if e.On != nil {
		s.relations = inner.relations
		place := s.place
		s.place = placeJoin
		condition, err := b.boolean(s, e.On, "JOIN/ON")
		s.relations, s.place = outside, place
		if err != nil {
			return nil, nil, err
		}
		on = conjuncts(condition, on)
	}
	node := joinNodes(kind, left, right, on)
	if node.Lateral && (kind == Right || kind == Full) {
		return nil, nil, b.unsupported(e.Position, "LATERAL in a RIGHT or FULL JOIN")
	}
	relations, err := b.joinRelations(e, merged, leftRelations, rightRelations)
	return node, relations, err
}

func markNullable(kind JoinKind, left, right []*relation) {
	if kind == Right || kind == Full {
		for _, r := range left {
			r.nullable = true
		}
	}
	if kind == Left || kind == Full {
		for _, r := range right {
			r.nullable = true
		}
	}
}

// joinRelations is what a join brings into view: both sides by their names, and
// all columns by the join itself, merged ones once and first.
func (b *binder) joinRelations(e *parser.Join, merged []relationColumn, left, right []*relation) ([]*relation, error) {
	isMerged := func(name string) bool {
		return slices.ContainsFunc(merged, func(c relationColumn) bool { return c.name == name })
	}
	whole := &relation{columnsVisible: true, columns: slices.Clone(merged)}
	for _, side := range [][]*relation{left, right} {
		for _, r := range side {
			if !r.columnsVisible {
				continue
			}
			for _, c := range r.columns {
				if !isMerged(c.name) {
					whole.columns = append(whole.columns, c)
				}
			}
		}
	}
	if e.Alias != nil {
		whole.name, whole.nameVisible = e.Alias.Name, true
		visible := 0
		for i := range whole.columns {
			if !whole.columns[i].hidden && visible < len(e.Alias.Columns) {
				whole.columns[i].name = e.Alias.Columns[visible]
				visible++
			}
		}
		if visible < len(e.Alias.Columns) {
			return nil, b.fail(parser.NoPosition, pgerror.InvalidColumnReference, "join expression %q has %d columns available but %d columns specified", whole.name, visible, len(e.Alias.Columns))
		}
		return []*relation{whole}, nil
	}
	all := append(slices.Clone(left), right...)
	for _, r := range all {
		r.columnsVisible = false
	}
	all = append(all, whole)
	if e.UsingAlias != "" {
		all = append(all, &relation{name: e.UsingAlias, nameVisible: true, columns: merged})
	}
	return all, nil
}

// joinUsing makes the merged columns of USING and NATURAL, and their conditions.
func (b *binder) joinUsing(inner *space, e *parser.Join, kind JoinKind, left, right []*relation) ([]relationColumn, []Scalar, error) {
	names := e.Using
	if e.Natural {
		names = commonNames(left, right)
		if b.trace != nil {
			b.trace.relations[e] = tracedRelation{columns: names}
		}
	}
	var merged []relationColumn
	var on []Scalar
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, nil, pgerror.Newf(pgerror.DuplicateColumn, "column name %q appears more than once in USING clause", name)
		}
		l, err := b.usingColumn(left, name, "left")
		if err != nil {
			return nil, nil, err
		}
		r, err := b.usingColumn(right, name, "right")
		if err != nil {
			return nil, nil, err
		}
		t, err := types.UnifyTypes("JOIN/USING", []*types.T{l.Type(), r.Type()})
		if err != nil {
			return nil, nil, err
		}
		equal, err := b.operator("=", l, r, parser.NoPosition)
		if err != nil {
			return nil, nil, err
		}
		on = append(on, equal)
		lc, err := b.mustCoerce(l, t, types.ImplicitCast, parser.NoPosition)
		if err != nil {
			return nil, nil, err
		}
		rc, err := b.mustCoerce(r, t, types.ImplicitCast, parser.NoPosition)
		if err != nil {
			return nil, nil, err
		}
		value := lc
		switch kind {
		case Right:
			value = rc
		case Full:
			value = &Coalesce{Arguments: []Scalar{lc, rc}, T: t}
		}
		merged = append(merged, relationColumn{name: name, value: value})
	}
	return merged, on, nil
}

func commonNames(left, right []*relation) []string {
	var names []string
	for _, l := range left {
		if !l.columnsVisible {
			continue
		}
		for _, c := range l.columns {
			if c.hidden {
				continue
			}
			for _, r := range right {
				if !r.columnsVisible {
					continue
				}
				if i := slices.IndexFunc(r.columns, func(o relationColumn) bool { return o.name == c.name && !o.hidden }); i >= 0 {
					names = append(names, c.name)
				}
			}
		}
	}
	return names
}

func (b *binder) usingColumn(side []*relation, name, which string) (Scalar, error) {
	var found Scalar
	for _, r := range side {
		if !r.columnsVisible {
			continue
		}
		v, n := r.column(name)
		if n > 1 || n == 1 && found != nil {
			return nil, pgerror.Newf(pgerror.AmbiguousColumn, "common column name %q appears more than once in %s table", name, which)
		}
		if n == 1 {
			found = v
		}
	}
	if found == nil {
		return nil, pgerror.Newf(pgerror.UndefinedColumn, "column %q specified in USING clause does not exist in %s table", name, which)
	}
	return found, nil
}
