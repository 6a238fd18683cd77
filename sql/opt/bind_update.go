package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// changedRows binds the rows that UPDATE and DELETE work on: the target table,
// joined with the other relations, where the condition holds.
func (b *binder) changedRows(s *space, t *catalog.Table, name parser.TableName, alias *parser.Alias, from []parser.TableExpression, where parser.Expression) (Node, *Scan, error) {
	visible := t.Name
	if alias != nil {
		visible = alias.Name
	}
	_, r := b.tableRelation(s, t, visible, true)
	if alias == nil {
		r.schema = b.schemaName(t, name.Schema)
	}
	var node Node = r.scan
	if err := b.aliasColumns(r, alias); err != nil {
		return nil, nil, err
	}
	if err := b.addRelations(s, []*relation{r}); err != nil {
		return nil, nil, err
	}
	// FROM may not refer to the target, not even with LATERAL.
	setLateral(s.relations, true, false)
	other, err := b.from(s, from)
	if err != nil {
		return nil, nil, err
	}
	setLateral(s.relations, false, true)
	if other != nil {
		node = joinNodes(Inner, node, other, nil)
	}
	if where != nil {
		s.place = placeWhere
		condition, err := b.boolean(s, where, "WHERE")
		if err != nil {
			return nil, nil, err
		}
		node = &Filter{Input: node, Conditions: conjuncts(condition, nil)}
	}
	return node, r.scan, nil
}

// update binds UPDATE. s is nil at the top of a statement.
func (b *binder) update(s *space, e *parser.Update) (*query, error) {
	if s == nil {
		s = &space{top: true}
	}
	if e.Cursor != "" {
		return nil, pgerror.Unsupported("WHERE CURRENT OF")
	}
	b.writes = true
	return b.withTables(s, e.With, func() (*query, error) {
		t, err := b.targetTable(e.Table, "UPDATE of")
		if err != nil {
			return nil, err
		}
		node, scan, err := b.changedRows(s, t, e.Table, e.Alias, e.From, e.Where)
		if err != nil {
			return nil, err
		}
		s.place = placeUpdate
		set, err := b.assignments(s, t, e.Set)
		if err != nil {
			return nil, err
		}
		out := &Update{Table: t, Old: scan.Columns, New: slices.Clone(scan.Columns), Dedupe: len(e.From) > 0}
		p := newProjector(b, node)
		for _, v := range set {
			i := slices.IndexFunc(out.New, func(c TableColumn) bool { return c.Column == v.Column })
			id := b.newColumn(t.Column(v.Column).Name, v.Value.Type(), columnLabel{})
			p.items = append(p.items, Item{ID: id, Value: v.Value})
			out.New[i].ID = id
		}
		out.Input = p.finish()
		var changed columnSet
		for i := range out.New {
			if out.New[i].ID != out.Old[i].ID {
				changed.add(out.New[i].ID)
			}
		}
		depends := func(v Scalar) bool { return columnsOf(v).intersects(changed) }
		if err := b.generate(t, out.New, &out.Input, depends); err != nil {
			return nil, err
		}
		if out.Checks, err = b.checks(t, out.New); err != nil {
			return nil, err
		}
		out.Checks = slices.DeleteFunc(out.Checks, func(k Check) bool {
			used := columnsOf(k.Expr)
			// What isn't proven of the old row must hold of the new one.
			if slices.ContainsFunc(t.Checks, func(c catalog.Check) bool { return c.Name == k.Name && c.NotValid }) {
				return false
			}
			for i := range out.New {
				if out.New[i].ID != out.Old[i].ID && used.has(out.New[i].ID) {
					return false
				}
			}
			return true
		})
		b.showNewRow(s, scan, out.New)
		return b.returning(s, out, e.Returning)
	})
}

// showNewRow makes the target's names mean the new values, for RETURNING.
func (b *binder) showNewRow(s *space, scan *Scan, row []TableColumn) {
	fresh := map[ColumnID]ColumnID{}
	for i, c := range scan.Columns {
		fresh[c.ID] = row[i].ID
		if m := &b.metadata[row[i].ID-1]; m.Table == 0 {
			m.Table, m.Attribute = scan.Table.ID, c.Column
		}
	}
	for _, r := range s.relations {
		for i := range r.columns {
			if v, ok := r.columns[i].value.(*Variable); ok {
				if id := fresh[v.ID]; id != 0 {
					r.columns[i].value = b.variable(id)
				}
			}
		}
	}
}

// assignments binds SET of UPDATE and ON CONFLICT DO UPDATE.
func (b *binder) assignments(s *space, t *catalog.Table, list []parser.Assignment) ([]ColumnValue, error) {
	var out []ColumnValue
	parts := map[catalog.ColumnID]bool{} // columns of which parts are assigned
	add := func(target parser.InsertColumn, c *catalog.Column, v Scalar, at parser.Position) error {
		before := slices.IndexFunc(out, func(o ColumnValue) bool { return o.Column == c.ID })
		if len(target.Steps) > 0 {
			old, ok := b.valueOf(s, t, c)
			if before >= 0 {
				old, ok = out[before].Value, parts[c.ID]
			}
			if ok {
				v, err := b.assignPart(s, old, target, c, v, at)
				if before >= 0 {
					out[before].Value = v
				} else {
					out, parts[c.ID] = append(out, ColumnValue{Column: c.ID, Value: v}), true
				}
				return err
			}
		}
		if before >= 0 {
			return b.fail(parser.NoPosition, pgerror.Syntax, "multiple assignments to same column %q", target.Name)
		}
		v, err := b.assign(v, c, at)
		out = append(out, ColumnValue{Column: c.ID, Value: v})
		return err
	}
	one := func(target parser.InsertColumn, e parser.Expression) error {
		c, err := b.assignable(t, target)
		if err != nil {
			return err
		}
		v, err := b.assignedValue(s, t, c, e)
		if err != nil {
			return err
		}
		return add(target, c, v, leftmost(e))
	}
	for _, a := range list {
		if !a.Multiple {
			if err := one(a.Columns[0], a.Value); err != nil {
				return nil, err
			}
			continue
		}
		switch v := a.Value.(type) {
		case *parser.Row:
			if len(v.Elements) != len(a.Columns) {
				return nil, b.fail(leftmost(v), pgerror.Syntax, "number of columns does not match number of values")
			}
			for i, target := range a.Columns {
				if err := one(target, v.Elements[i]); err != nil {
					return nil, err
				}
			}
		case *parser.Subquery:
			if err := b.assignSubquery(s, t, &a, v, add); err != nil {
				return nil, err
			}
		default:
			return nil, b.fail(leftmost(a.Value), pgerror.FeatureNotSupported, "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression")
		}
	}
	return out, nil
}

// assignedValue binds the value of one column, DEFAULT as well.
func (b *binder) assignedValue(s *space, t *catalog.Table, c *catalog.Column, e parser.Expression) (Scalar, error) {
	if _, ok := e.(*parser.Default); ok {
		if c.Generated != "" {
			return b.expressionOverTarget(s, t, c)
		}
		return b.defaultValue(t, c)
	}
	detail := ""
	switch {
	case c.Generated != "":
		detail = "Column %q is a generated column."
	case c.Identity == catalog.IdentityAlways:
		detail = "Column %q is an identity column defined as GENERATED ALWAYS."
	}
	if detail != "" {
		return nil, pgerror.Newf(pgerror.GeneratedAlways, "column %q can only be updated to DEFAULT", c.Name).WithDetail(detail, c.Name)
	}
	return b.scalar(s, e)
}

// expressionOverTarget is a generated column set to DEFAULT: what it has.
func (b *binder) expressionOverTarget(s *space, t *catalog.Table, c *catalog.Column) (Scalar, error) {
	for _, r := range s.relations {
		if r.table == t {
			if v, n := r.column(c.Name); n == 1 {
				return v, nil
			}
		}
	}
	return nil, pgerror.Unsupported("setting this generated column to DEFAULT")
}

// assignSubquery is (a, b) = (SELECT …).
func (b *binder) assignSubquery(s *space, t *catalog.Table, a *parser.Assignment, e *parser.Subquery, add func(parser.InsertColumn, *catalog.Column, Scalar, parser.Position) error) error {
	q, err := b.query(s.nested(), e.Query, queryOptions{})
	if err != nil {
		return err
	}
	if len(q.columns) != len(a.Columns) {
		return b.fail(e.Position, pgerror.Syntax, "number of columns does not match number of values")
	}
	value := b.rowOfQuery(q)
	for i, target := range a.Columns {
		c, err := b.assignable(t, target)
		if err != nil {
			return err
		}
		if err := add(target, c, &Field{Row: value, Index: i, T: value.T.Fields[i].Type}, e.Position); err != nil {
			return err
		}
	}
	return nil
}

// delete binds DELETE. s is nil at the top of a statement.
func (b *binder) delete(s *space, e *parser.Delete) (*query, error) {
	if s == nil {
		s = &space{top: true}
	}
	if e.Cursor != "" {
		return nil, pgerror.Unsupported("WHERE CURRENT OF")
	}
	b.writes = true
	return b.withTables(s, e.With, func() (*query, error) {
		t, err := b.targetTable(e.Table, "DELETE from")
		if err != nil {
			return nil, err
		}
		node, scan, err := b.changedRows(s, t, e.Table, e.Alias, e.Using, e.Where)
		if err != nil {
			return nil, err
		}
		return b.returning(s, &Delete{Input: node, Table: t, Old: scan.Columns, Dedupe: len(e.Using) > 0}, e.Returning)
	})
}

func buildCopyFrom(c *Context, table *catalog.Table, columns []catalog.ColumnID) (*Plan, error) {
	b := newBinder(c)
	b.text = ""
	b.writes = true
	b.used(table)
	x := &insertion{b: b, s: &space{}, e: &parser.Insert{Overriding: parser.OverridingSystem}, table: table}
	input := &Input{}
	if len(columns) == 0 {
		x.columns = table.VisibleColumns()
	}
	for _, id := range columns {
		column := table.Column(id)
		if column == nil {
			return nil, pgerror.Newf(pgerror.Internal, "COPY into a column that table %q doesn't have", table.Name)
		}
		x.columns = append(x.columns, column)
	}
	x.columns = slices.DeleteFunc(slices.Clone(x.columns), func(c *catalog.Column) bool { return len(columns) == 0 && c.Generated != "" })
	for _, column := range x.columns {
		if column.Generated != "" {
			return nil, pgerror.Newf(pgerror.InvalidColumnReference, "column %q is a generated column", column.Name).
				WithDetail("Generated columns cannot be used in COPY.")
		}
		id := b.newColumn(column.Name, column.Type, columnLabel{})
		input.Columns = append(input.Columns, id)
		input.Types = append(input.Types, column.Type)
	}
	x.node, x.values = input, input.Columns
	q, err := x.finish()
	if err != nil {
		return nil, err
	}
	plan := &Plan{Tag: TagInsert}
	if err := b.finish(plan, q.node); err != nil {
		return nil, err
	}
	return plan, nil
}

func bindTableExpression(c *Context, table *catalog.Table, e parser.Expression, want *types.T, what string) (Scalar, []catalog.ColumnID, error) {
	b := newBinder(c)
	b.keep = true
	s := &space{place: place{name: what}}
	used := &columnSet{}
	if table != nil && what != "DEFAULT expressions" {
		s.catalogTable = table
		r := &relation{name: table.Name, table: table, nameVisible: true, columnsVisible: true}
		for i := range table.Columns {
			column := &table.Columns[i]
			// Ids of the plan and of the catalog are the same here.
			id := b.newColumn(column.Name, column.Type, columnLabel{space: s, relation: table.Name, column: column.Name})
			if !column.Dropped {
				r.columns = append(r.columns, relationColumn{name: column.Name, value: b.variable(id), hidden: column.Hidden})
			}
		}
		s.relations = []*relation{r}
	} else if r := firstColumn(e); r != nil {
		return nil, nil, b.fail(r.Position, pgerror.FeatureNotSupported, "cannot use column reference in DEFAULT expression")
	}
	v, err := b.scalar(s, e)
	if err != nil {
		return nil, nil, err
	}
	if hasSubquery(v) {
		word := what
		if what == "check constraints" {
			word = "check constraint"
		} else if n := len(what); n > 0 && what[n-1] == 's' {
			word = what[:n-1]
		}
		return nil, nil, b.fail(b.subqueryAt, pgerror.FeatureNotSupported, "cannot use subquery in %s", word)
	}
	if want != nil {
		if v, err = b.coerceTableExpression(v, want, leftmost(e), what); err != nil {
			return nil, nil, err
		}
	} else if v, err = b.textIfUnknown(v, leftmost(e)); err != nil {
		return nil, nil, err
	}
	if len(b.parameters) > len(c.ParameterTypes) {
		return nil, nil, pgerror.New(pgerror.UndefinedParameter, "there is no parameter $1")
	}
	addColumns(used, v)
	var columns []catalog.ColumnID
	for _, id := range used.ids() {
		columns = append(columns, catalog.ColumnID(id))
	}
	return v, columns, nil
}

func (b *binder) coerceTableExpression(v Scalar, want *types.T, at parser.Position, what string) (Scalar, error) {
	if what == "check constraints" {
		return b.asBoolean(v, "CHECK", at)
	}
	r, ok, err := b.coerce(v, want, types.AssignmentCast, at)
	if err == nil && !ok {
		err = b.fail(at, pgerror.DatatypeMismatch, "default expression is of type %s but the column is of type %s", v.Type().String(), want.String()).
			WithHint("You will need to rewrite or cast the expression.")
	}
	return r, err
}

// firstColumn finds a column reference outside of subqueries by its outermost
// forms; nil if there is none.
func firstColumn(e parser.Expression) *parser.ColumnReference {
	switch x := e.(type) {
	case *parser.ColumnReference:
		return x
	case *parser.Binary:
		if r := firstColumn(x.Left); r != nil {
			return r
		}
		return firstColumn(x.Right)
	case *parser.Cast:
		return firstColumn(x.Argument)
	case *parser.Call:
		for _, a := range x.Arguments {
			if r := firstColumn(a); r != nil {
				return r
			}
		}
	}
	return nil
}
