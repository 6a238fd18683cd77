package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// onConflict binds ON CONFLICT.
func (x *insertion) onConflict(node *Insert, name string) error {
	b, e := x.b, x.e.OnConflict
	out := &OnConflict{Update: e.Update}
	arbiters, err := x.arbiters(e)
	if err != nil {
		return err
	}
	out.Arbiters = arbiters
	node.OnConflict = out
	if !e.Update {
		return nil
	}
	if len(arbiters) == 0 {
		return b.fail(e.Position, pgerror.Syntax, "ON CONFLICT DO UPDATE requires inference specification or constraint name").
			WithHint("For example, ON CONFLICT (column_name).")
	}
	for _, c := range x.table.StoredColumns() {
		out.Existing = append(out.Existing, TableColumn{ID: b.newColumn(c.Name, c.Type, columnLabel{}), Column: c.ID})
	}
	s := &space{parent: x.s.parent, common: x.s.common, place: placeUpdate}
	existing := b.rowRelation(s, x.table, name, out.Existing)
	excluded := &relation{name: "excluded", nameVisible: true, columnsVisible: true}
	excluded.columns = b.rowRelation(s, x.table, "excluded", x.row).columns
	s.relations = []*relation{existing, excluded}
	set, err := b.assignments(s, x.table, e.Set)
	if err != nil {
		return err
	}
	out.Set = set
	if e.Where != nil {
		s.place = placeWhere
		if out.Where, err = b.boolean(s, e.Where, "WHERE"); err != nil {
			return err
		}
	}
	return x.conflictGenerated(out)
}

// conflictGenerated adds the generated columns that depend on what is set.
func (x *insertion) conflictGenerated(out *OnConflict) error {
	b := x.b
	row := slices.Clone(out.Existing)
	values := map[ColumnID]Scalar{}
	for _, v := range out.Set {
		values[columnOf(row, v.Column)] = v.Value
	}
	for _, c := range x.table.StoredColumns() {
		if c.Generated == "" {
			continue
		}
		g, err := b.expressionOver(x.table, c.Generated, row, "column generation expressions")
		if err != nil {
			return err
		}
		if g, err = b.assign(g, c, parser.NoPosition); err != nil {
			return err
		}
		g = mapScalar(g, func(s Scalar) Scalar {
			if v, ok := s.(*Variable); ok {
				return values[v.ID]
			}
			return nil
		})
		out.Set = append(out.Set, ColumnValue{Column: c.ID, Value: g})
	}
	return nil
}

// arbiters finds the unique indexes that ON CONFLICT names.
func (x *insertion) arbiters(e *parser.OnConflict) ([]*catalog.Index, error) {
	b, t := x.b, x.table
	unique := []*catalog.Index{}
	if t.HasPrimaryKey() {
		unique = append(unique, &t.Primary)
	}
	for _, ix := range t.PublicIndexes() {
		if ix.Unique {
			unique = append(unique, ix)
		}
	}
	if e.Constraint != "" {
		for _, ix := range unique {
			if ix.Name == e.Constraint && (ix.Constraint || ix.Primary) {
				return []*catalog.Index{ix}, nil
			}
		}
		return nil, pgerror.Newf(pgerror.UndefinedObject, "constraint %q for table %q does not exist", e.Constraint, t.Name)
	}
	if len(e.Elements) == 0 {
		return nil, nil
	}
	if e.Predicate != nil {
		return nil, b.unsupported(leftmost(e.Predicate), "ON CONFLICT with a WHERE for partial indexes")
	}
	var columns []catalog.ColumnID
	for _, k := range e.Elements {
		if k.Expression != nil {
			return nil, b.unsupported(leftmost(k.Expression), "ON CONFLICT with expressions")
		}
		c := t.ColumnNamed(k.Column)
		if c == nil {
			return nil, b.fail(k.Position, pgerror.UndefinedColumn, "column %q does not exist", k.Column)
		}
		if !slices.Contains(columns, c.ID) {
			columns = append(columns, c.ID)
		}
	}
	var found []*catalog.Index
	for _, ix := range unique {
		if len(ix.Columns) == len(columns) && !slices.ContainsFunc(columns, func(c catalog.ColumnID) bool { return !ix.IsKeyColumn(c) }) {
			found = append(found, ix)
		}
	}
	if len(found) == 0 {
		return nil, pgerror.New(pgerror.InvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification")
	}
	return found, nil
}
