package opt

import (
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// targetTable finds the table that a statement changes.
func (b *binder) targetTable(n parser.TableName, verb string) (*catalog.Table, error) {
	found, err := b.resolve(n)
	if err != nil {
		return nil, err
	}
	switch d := found.(type) {
	case *catalog.Table:
		if d.IsVirtual() {
			return nil, pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied: %q is a system catalog", d.Name)
		}
		return d, nil
	case *catalog.View:
		return nil, b.unsupported(n.Position, verb+" a view")
	case *catalog.Sequence:
		return nil, pgerror.Newf(pgerror.WrongObjectType, "cannot change sequence %q", d.Name)
	}
	return nil, pgerror.Newf(pgerror.WrongObjectType, "cannot change relation %q", n.Name)
}

// insertion is an INSERT while it is being bound.
type insertion struct {
	b       *binder
	s       *space
	e       *parser.Insert
	table   *catalog.Table
	columns []*catalog.Column // the target columns, in the order given
	// values are what the target columns get; defaulted ones are nil.
	node   Node
	values []ColumnID
	row    []TableColumn
}

// insert binds INSERT. s is nil at the top of a statement.
func (b *binder) insert(s *space, e *parser.Insert) (*query, error) {
	if s == nil {
		s = &space{top: true}
	}
	b.writes = true
	return b.withTables(s, e.With, func() (*query, error) {
		table, err := b.targetTable(e.Table, "INSERT into")
		if err != nil {
			return nil, err
		}
		x := &insertion{b: b, s: s, e: e, table: table}
		if err := x.targetColumns(); err != nil {
			return nil, err
		}
		if err := x.source(); err != nil {
			return nil, err
		}
		return x.finish()
	})
}

func (x *insertion) targetColumns() error {
	b := x.b
	if len(x.e.Columns) == 0 {
		x.columns = x.table.VisibleColumns()
		return nil
	}
	for i, c := range x.e.Columns {
		column, err := b.assignable(x.table, c)
		if err != nil {
			return err
		}
		if len(c.Steps) > 0 {
			return b.unsupported(c.Position, "INSERT into a part of a column")
		}
		for _, o := range x.columns[:i] {
			if o.ID == column.ID {
				return b.fail(c.Position, pgerror.DuplicateColumn, "column %q specified more than once", c.Name)
			}
		}
		x.columns = append(x.columns, column)
	}
	return nil
}

// assignable finds a target column of INSERT or UPDATE.
func (b *binder) assignable(t *catalog.Table, c parser.InsertColumn) (*catalog.Column, error) {
	column := t.ColumnNamed(c.Name)
	if column == nil || column.Hidden {
		return nil, b.fail(c.Position, pgerror.UndefinedColumn, "column %q of relation %q does not exist", c.Name, t.Name)
	}
	return column, nil
}

// source binds what is inserted: x.values has, for each target column, the
// input's column, 0 for DEFAULT.
func (x *insertion) source() error {
	if x.e.Source == nil {
		x.columns = nil
		x.node = emptyRow()
		return nil
	}
	if v, ok := x.e.Source.(*parser.Values); ok && v.With == nil && len(v.OrderBy) == 0 && v.Limit == nil && v.Offset == nil {
		return x.valuesSource(v)
	}
	return x.querySource()
}

// countColumns checks the number of values against that of target columns.
func (x *insertion) countColumns(n int, at func(int) parser.Position) error {
	b := x.b
	switch {
	case n > len(x.columns):
		err := b.fail(at(len(x.columns)), pgerror.Syntax, "INSERT has more expressions than target columns")
		return err
	case n < len(x.columns) && len(x.e.Columns) > 0:
		return b.fail(x.e.Columns[n].Position, pgerror.Syntax, "INSERT has more target columns than expressions")
	}
	x.columns = x.columns[:n]
	return nil
}

// valuesSource binds VALUES: each value takes the type of its column, and
// DEFAULT stands for the column's default.
// mention is the target as hints see it: nothing can refer to it yet.
func (x *insertion) mention() *relation {
	r := &relation{name: x.table.Name, table: x.table}
	if x.e.Alias != "" {
		r.name = x.e.Alias
	}
	for i := range x.table.Columns {
		if c := &x.table.Columns[i]; !c.Dropped && c.State == catalog.Public {
			r.columns = append(r.columns, relationColumn{name: c.Name, hidden: c.Hidden})
		}
	}
	return r
}

func (x *insertion) valuesSource(v *parser.Values) error {
	b := x.b
	width := len(v.Rows[0])
	if err := x.countColumns(width, func(i int) parser.Position { return leftmost(v.Rows[0][i]) }); err != nil {
		return err
	}
	x.s.place = placeValues
	x.s.mentioned = []*relation{x.mention()}
	defer func() { x.s.mentioned = nil }()
	defaults := make([]Scalar, width)
	rows := make([][]Scalar, len(v.Rows))
	for i, r := range v.Rows {
		if len(r) != width {
			return b.fail(leftmost(r[0]), pgerror.Syntax, "VALUES lists must all be the same length")
		}
		rows[i] = make([]Scalar, width)
		for j, e := range r {
			value, err := x.value(x.columns[j], e, &defaults[j])
			if err != nil {
				return err
			}
			rows[i][j] = value
		}
	}
	if len(x.s.sets) > 0 {
		return b.fail(leftmost(v.Rows[0][0]), pgerror.FeatureNotSupported, "set-returning functions are not allowed in VALUES")
	}
	node := &Values{Rows: rows}
	for _, c := range x.columns {
		node.Columns = append(node.Columns, b.newColumn(c.Name, c.Type, columnLabel{}))
	}
	x.node, x.values = node, node.Columns
	return nil
}

func (x *insertion) value(c *catalog.Column, e parser.Expression, dflt *Scalar) (Scalar, error) {
	b := x.b
	_, isDefault := e.(*parser.Default)
	if !isDefault && x.ignoresValue(c) {
		if _, err := b.scalar(x.s, e); err != nil {
			return nil, err
		}
		isDefault = true
	}
	if isDefault {
		if c.Generated != "" {
			return &Constant{Value: types.DNull, T: c.Type}, nil // computed later
		}
		if *dflt == nil {
			var err error
			if *dflt, err = b.defaultValue(x.table, c); err != nil {
				return nil, err
			}
		}
		return *dflt, nil
	}
	if err := x.mayBeGiven(c); err != nil {
		return nil, err
	}
	v, err := b.scalar(x.s, e)
	if err != nil {
		return nil, err
	}
	return b.assign(v, c, leftmost(e))
}

// ignoresValue: OVERRIDING USER VALUE takes identity columns' defaults.
func (x *insertion) ignoresValue(c *catalog.Column) bool {
	return x.e.Overriding == parser.OverridingUser && c.Identity != catalog.NoIdentity
}

// mayBeGiven refuses values for columns that compute theirs.
func (x *insertion) mayBeGiven(c *catalog.Column) error {
	switch {
	case c.Generated != "":
		return pgerror.Newf(pgerror.GeneratedAlways, "cannot insert a non-DEFAULT value into column %q", c.Name).
			WithDetail("Column %q is a generated column.", c.Name)
	case c.Identity == catalog.IdentityAlways && x.e.Overriding != parser.OverridingSystem:
		return pgerror.Newf(pgerror.GeneratedAlways, "cannot insert a non-DEFAULT value into column %q", c.Name).
			WithDetail("Column %q is an identity column defined as GENERATED ALWAYS.", c.Name).
			WithHint("Use OVERRIDING SYSTEM VALUE to override.")
	}
	return nil
}

// assign converts a value to a column's type.
func (b *binder) assign(v Scalar, c *catalog.Column, at parser.Position) (Scalar, error) {
	r, ok, err := b.coerce(v, c.Type, types.AssignmentCast, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.fail(at, pgerror.DatatypeMismatch, "column %q is of type %s but expression is of type %s", c.Name, c.Type.WithTypmod(-1).String(), v.Type().WithTypmod(-1).String()).
			WithHint("You will need to rewrite or cast the expression.")
	}
	return r, nil
}

// querySource binds INSERT … SELECT.
func (x *insertion) querySource() error {
	b := x.b
	q, err := b.query(&space{parent: x.s.parent, common: x.s.common, place: placeSelect}, x.e.Source, queryOptions{keepUnknown: true})
	if err != nil {
		return err
	}
	if err := x.countColumns(len(q.columns), func(i int) parser.Position { return q.columns[i].position }); err != nil {
		return err
	}
	p := newProjector(b, q.node)
	for i, c := range x.columns {
		k := q.columns[i]
		if x.ignoresValue(c) {
			x.values = append(x.values, 0)
			continue
		}
		if err := x.mayBeGiven(c); err != nil {
			return err
		}
		value := Scalar(b.variable(k.id))
		if k.value != nil && isUnknown(value) {
			switch k.value.(type) {
			case *Constant, *Parameter:
				value = k.value
			}
		}
		v, err := b.assign(value, c, k.position)
		if err != nil {
			return err
		}
		x.values = append(x.values, p.named(v, c.Name))
	}
	x.node = p.finish()
	return nil
}

// defaultValue binds a column's default.
func (b *binder) defaultValue(t *catalog.Table, c *catalog.Column) (Scalar, error) {
	if c.Default == "" {
		return &Constant{Value: types.DNull, T: c.Type}, nil
	}
	text := b.text
	b.text = ""
	defer func() { b.text = text }()
	e, err := b.c.ParseExpression(c.Default)
	if err != nil {
		return nil, err
	}
	v, err := b.scalar(&space{place: place{name: "DEFAULT expressions"}}, e)
	if err != nil {
		return nil, err
	}
	return b.assign(v, c, parser.NoPosition)
}

// expressionOver binds an expression of the catalog over a row's columns.
func (b *binder) expressionOver(t *catalog.Table, expr string, row []TableColumn, what string) (Scalar, error) {
	text, trace := b.text, b.trace
	b.text, b.trace = "", nil
	defer func() { b.text, b.trace = text, trace }()
	e, err := b.c.ParseExpression(expr)
	if err != nil {
		return nil, err
	}
	s := &space{place: place{name: what}, catalogTable: t}
	r := &relation{name: t.Name, table: t, nameVisible: true, columnsVisible: true}
	for _, c := range row {
		if column := t.Column(c.Column); column != nil && c.ID != 0 {
			r.columns = append(r.columns, relationColumn{name: column.Name, value: b.variable(c.ID)})
		}
	}
	s.relations = []*relation{r}
	return b.scalar(s, e)
}

// finish completes the rows, adds checks and ON CONFLICT, and RETURNING above.
func (x *insertion) finish() (*query, error) {
	b := x.b
	if err := x.completeRow(); err != nil {
		return nil, err
	}
	node := &Insert{Input: x.node, Table: x.table, Row: x.row}
	checks, err := b.checks(x.table, x.row)
	if err != nil {
		return nil, err
	}
	node.Checks = checks
	name := x.table.Name
	if x.e.Alias != "" {
		name = x.e.Alias
	}
	r := b.rowRelation(x.s, x.table, name, x.row)
	if x.e.Alias == "" {
		r.schema = b.schemaName(x.table, x.e.Table.Schema)
	}
	if x.e.OnConflict != nil {
		if err := x.onConflict(node, name); err != nil {
			return nil, err
		}
	}
	x.s.relations = []*relation{r}
	return b.returning(x.s, node, x.e.Returning)
}

// completeRow adds defaults of the columns that were not given, and computes
// the generated ones.
func (x *insertion) completeRow() error {
	b := x.b
	given := map[catalog.ColumnID]ColumnID{}
	for i, c := range x.columns {
		if x.values[i] != 0 && c.Generated == "" {
			given[c.ID] = x.values[i]
		}
	}
	stored := x.table.StoredColumns()
	values, _ := x.node.(*Values)
	p := newProjector(b, x.node)
	for _, c := range stored {
		id, ok := given[c.ID]
		if !ok && c.Generated == "" {
			var v Scalar = &Constant{Value: types.DNull, T: c.Type}
			if c.State == catalog.Public || c.State == catalog.WriteOnly {
				var err error
				if v, err = b.defaultValue(x.table, c); err != nil {
					return err
				}
			}
			id = b.newColumn(c.Name, c.Type, columnLabel{})
			if values != nil {
				// Rows of VALUES take their defaults along.
				for i := range values.Rows {
					values.Rows[i] = append(slices.Clone(values.Rows[i]), v)
				}
				values.Columns = append(values.Columns, id)
				p.has.add(id)
			} else {
				p.items = append(p.items, Item{ID: id, Value: v})
			}
		}
		x.row = append(x.row, TableColumn{ID: id, Column: c.ID})
	}
	x.node = p.finish()
	return x.b.generate(x.table, x.row, &x.node, nil)
}

// generate computes generated columns of a row above node; changed, if set,
// limits it to those that depend on changed columns.
func (b *binder) generate(t *catalog.Table, row []TableColumn, node *Node, changed func(Scalar) bool) error {
	p := newProjector(b, *node)
	for i := range row {
		c := t.Column(row[i].Column)
		if c == nil || c.Generated == "" {
			continue
		}
		v, err := b.expressionOver(t, c.Generated, row, "column generation expressions")
		if err != nil {
			return err
		}
		if changed != nil && !changed(v) {
			continue
		}
		if v, err = b.assign(v, c, parser.NoPosition); err != nil {
			return err
		}
		id := b.newColumn(c.Name, c.Type, columnLabel{})
		p.items = append(p.items, Item{ID: id, Value: v})
		row[i].ID = id
	}
	*node = p.finish()
	return nil
}

// checks binds the check constraints that new rows must meet.
func (b *binder) checks(t *catalog.Table, row []TableColumn) ([]Check, error) {
	var out []Check
	for i := range t.Checks {
		k := &t.Checks[i]
		if k.State != catalog.Public && k.State != catalog.WriteOnly {
			continue
		}
		v, err := b.expressionOver(t, k.Expr, row, "check constraints")
		if err != nil {
			return nil, err
		}
		if v, err = b.asBoolean(v, "CHECK", parser.NoPosition); err != nil {
			return nil, err
		}
		out = append(out, Check{Name: k.Name, Expr: v})
	}
	// The first that fails is the error: PostgreSQL checks them by name.
	slices.SortStableFunc(out, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// rowRelation shows a row as a relation.
func (b *binder) rowRelation(s *space, t *catalog.Table, name string, row []TableColumn) *relation {
	r := &relation{name: name, table: t, nameVisible: true, columnsVisible: true}
	for _, c := range row {
		column := t.Column(c.Column)
		if column == nil || column.State != catalog.Public {
			continue
		}
		b.labels[c.ID-1] = columnLabel{space: s, relation: name, column: column.Name}
		b.metadata[c.ID-1].Table, b.metadata[c.ID-1].Attribute = t.ID, c.Column
		r.columns = append(r.columns, relationColumn{name: column.Name, value: b.variable(c.ID), hidden: column.Hidden})
	}
	return r
}

// returning adds RETURNING above a node that changes rows.
func (b *binder) returning(s *space, node Node, targets []parser.Target) (*query, error) {
	out := &query{node: node}
	if len(targets) == 0 {
		return out, nil
	}
	s.place = placeReturning
	p := newProjector(b, node)
	for i := range targets {
		columns, err := b.targetColumns(s, &targets[i])
		if err != nil {
			return nil, err
		}
		for _, c := range columns {
			if c.value, err = b.textIfUnknown(c.value, c.position); err != nil {
				return nil, err
			}
			c.id = p.named(c.value, c.name)
			out.columns = append(out.columns, c)
		}
	}
	out.node = p.finish()
	return out, nil
}
