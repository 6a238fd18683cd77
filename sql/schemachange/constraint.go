package schemachange

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// addConstraint takes a table's constraint; finish makes it.
func (c *tableChange) addConstraint(k *parser.Constraint) error {
	env := c.env
	switch k.Kind {
	case parser.PrimaryKey, parser.Unique:
		if k.Deferrable || k.InitiallyDeferred {
			return env.at(pgerror.Unsupported("a DEFERRABLE unique or primary key constraint"), k.Position)
		}
		if k.UsingIndex != "" {
			return env.at(pgerror.Unsupported("a constraint USING INDEX"), k.Position)
		}
		primary := k.Kind == parser.PrimaryKey
		if primary && (c.table.HasPrimaryKey() || slices.ContainsFunc(c.keys, func(o *keySpec) bool { return o.primary })) {
			return env.at(pgerror.Newf(pgerror.InvalidTableDefinition, "multiple primary keys for table %q are not allowed", c.table.Name), k.Position)
		}
		c.keys = append(c.keys, &keySpec{position: k.Position, name: k.Name, columns: k.Columns, including: k.Including, primary: primary, nullsNotDistinct: k.NullsNotDistinct})
	case parser.Check:
		c.checks = append(c.checks, pendingCheck{constraint: k})
		return refuseCheckClauses(env, k)
	case parser.ForeignKey:
		c.foreign = append(c.foreign, k)
	case parser.Exclusion:
		return env.at(pgerror.Unsupported("EXCLUDE constraints"), k.Position)
	default:
		return env.at(pgerror.Unsupported("this table constraint"), k.Position)
	}
	return nil
}

func refuseCheckClauses(env *Env, k *parser.Constraint) error {
	if k.NoInherit {
		return env.at(pgerror.Unsupported("NO INHERIT"), k.Position)
	}
	if k.Deferrable || k.InitiallyDeferred {
		return env.at(pgerror.New(pgerror.FeatureNotSupported, "CHECK constraints cannot be marked DEFERRABLE"), k.Position)
	}
	return nil
}

// bindCheck binds a check constraint and adds it to the table.
func (c *tableChange) bindCheck(ctx context.Context, p pendingCheck) error {
	t, env := c.table, c.env
	check := catalog.Check{}
	var b bound
	var err error
	if p.copied != nil {
		check.Name, check.Comment = p.copied.Name, p.copied.Comment
		b, err = env.bindStored(ctx, t, p.copied.Expr, types.Boolean, "check constraints")
	} else {
		check.Name, check.NotValid = p.constraint.Name, p.constraint.NotValid && !c.isNew
		b, err = env.bindExpression(ctx, t, p.constraint.Expression, types.Boolean, "check constraints")
	}
	if err != nil {
		return err
	}
	check.Expr, check.Columns = b.text, b.columns
	if check.Name == "" {
		column := ""
		if len(b.columns) == 1 {
			column = t.Column(b.columns[0]).Name
		}
		if check.Name, err = c.names.constraint(ctx, t.Name, column, "check"); err != nil {
			return err
		}
	} else if err := c.claimConstraintName(check.Name); err != nil {
		return err
	}
	if check.OID, err = env.Catalog.NewID(ctx); err != nil {
		return err
	}
	t.Checks = append(t.Checks, check)
	return nil
}

// claimConstraintName takes a name that the user gave to a check or foreign
// key; it must be new in the table.
func (c *tableChange) claimConstraintName(name string) error {
	if constraintNames(c.table)[name] {
		return pgerror.Newf(pgerror.DuplicateObject, "constraint %q for relation %q already exists", name, c.table.Name)
	}
	c.names.constraints[name] = true
	return nil
}

var actions = map[parser.ReferentialAction]catalog.Action{
	parser.NoAction: catalog.NoAction, parser.Restrict: catalog.Restrict, parser.Cascade: catalog.Cascade,
	parser.SetNull: catalog.SetNull, parser.SetDefault: catalog.SetDefault,
}

// makeForeignKey adds a foreign key to the table and to the one that it
// references, which it locks. The result is the key's position in ForeignKeys.
func (c *tableChange) makeForeignKey(ctx context.Context, k *parser.Constraint) (int, error) {
	t, env := c.table, c.env
	if err := env.refuseForeignKeyClauses(k); err != nil {
		return 0, env.at(err, k.Position)
	}
	referenced, err := c.referencedTable(ctx, k)
	if err != nil {
		return 0, err
	}
	f := catalog.ForeignKey{Name: k.Name, Table: t.ID, ReferencedTable: referenced.ID, OnDelete: actions[k.OnDelete], OnUpdate: actions[k.OnUpdate],
		MatchFull: k.Match == parser.MatchFull, Deferrable: k.Deferrable, NotValid: k.NotValid && !c.isNew}
	for i, name := range k.Columns {
		column := t.ColumnNamed(name)
		if column == nil || column.Hidden {
			return 0, env.at(pgerror.Newf(pgerror.UndefinedColumn, "column %q referenced in foreign key constraint does not exist", name), k.Position)
		}
		if slices.Contains(k.Columns[:i], name) {
			return 0, env.at(pgerror.Newf(pgerror.InvalidForeignKey, "foreign key referencing-columns list must not contain duplicates"), k.Position)
		}
		f.Columns = append(f.Columns, column.ID)
	}
	if err := matchReferenced(&f, referenced, k.ReferencedColumns); err != nil {
		return 0, err
	}
	if f.Name == "" {
		if f.Name, err = c.names.constraint(ctx, t.Name, columnPart(k.Columns), "fkey"); err != nil {
			return 0, err
		}
	} else if err := c.claimConstraintName(f.Name); err != nil {
		return 0, err
	}
	for i := range f.Columns {
		if err := comparableColumns(f.Name, t.Column(f.Columns[i]), referenced.Column(f.ReferencedColumns[i])); err != nil {
			return 0, err
		}
		if column := t.Column(f.Columns[i]); column.Generated != "" && (f.OnUpdate > catalog.Restrict || f.OnDelete > catalog.Cascade) {
			return 0, pgerror.New(pgerror.Syntax, "invalid ON DELETE or ON UPDATE action for foreign key constraint containing generated column")
		}
	}
	if f.OID, err = env.Catalog.NewID(ctx); err != nil {
		return 0, err
	}
	t.ForeignKeys = append(t.ForeignKeys, f)
	referenced.ReferencedBy = append(referenced.ReferencedBy, f)
	return len(t.ForeignKeys) - 1, nil
}

func (env *Env) refuseForeignKeyClauses(k *parser.Constraint) error {
	switch {
	case k.Match == parser.MatchPartial:
		return pgerror.New(pgerror.FeatureNotSupported, "MATCH PARTIAL not yet implemented")
	case len(k.OnDeleteColumns) > 0:
		return pgerror.Unsupported("ON DELETE SET … with a column list")
	case k.InitiallyDeferred:
		return pgerror.Unsupported("INITIALLY DEFERRED")
	}
	return nil
}

// referencedTable returns the clone of the table that a foreign key
// references: the table itself, or another, which is locked.
func (c *tableChange) referencedTable(ctx context.Context, k *parser.Constraint) (*catalog.Table, error) {
	env, name := c.env, *k.References
	if name.Name == c.table.Name && (name.Schema == "" || name.Schema == c.schema.Name) {
		if r, err := env.Catalog.Relation(ctx, nameOf(name)); err == nil && (r == nil && c.isNew || r != nil && r.Head().ID == c.table.ID) {
			return c.table, nil
		}
	}
	r, err := env.Catalog.Relation(ctx, nameOf(name))
	if err != nil {
		return nil, env.at(err, name.Position)
	}
	if r == nil {
		// As PostgreSQL has it: the name was looked up while the table was made.
		return nil, catalog.UndefinedTable(nameOf(name))
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		return nil, pgerror.Newf(pgerror.WrongObjectType, "referenced relation %q is not a table", r.Head().Name)
	}
	if t.IsVirtual() {
		return nil, pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied: %q is a system catalog", t.Name)
	}
	if own := c.referenced[t.ID]; own != nil {
		return own, nil
	}
	if err := env.requireReferences(ctx, t); err != nil {
		return nil, err
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return nil, err
	}
	if c.referenced == nil {
		c.referenced = map[catalog.ID]*catalog.Table{}
	}
	c.referenced[t.ID] = n
	return n, nil
}

// requireReferences checks that the user may reference a table.
func (env *Env) requireReferences(ctx context.Context, t *catalog.Table) error {
	if env.requireOwner(ctx, t) != nil {
		return pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied for table %s", t.Name)
	}
	return nil
}

// matchReferenced finds the unique index that the referenced columns (none:
// the primary key) are the key of, in whatever order.
func matchReferenced(f *catalog.ForeignKey, t *catalog.Table, names []string) error {
	disagree := pgerror.New(pgerror.InvalidForeignKey, "number of referencing and referenced columns for foreign key disagree")
	if len(names) == 0 {
		if !t.HasPrimaryKey() {
			return pgerror.Newf(pgerror.UndefinedObject, "there is no primary key for referenced table %q", t.Name)
		}
		if len(t.Primary.Columns) != len(f.Columns) {
			return disagree
		}
		for _, column := range t.Primary.Columns {
			f.ReferencedColumns = append(f.ReferencedColumns, column.Column)
		}
		f.ReferencedIndex = t.Primary.ID
		return nil
	}
	var wanted []catalog.ColumnID
	for i, name := range names {
		column := t.ColumnNamed(name)
		if column == nil || column.Hidden {
			return pgerror.Newf(pgerror.UndefinedColumn, "column %q referenced in foreign key constraint does not exist", name)
		}
		if slices.Contains(names[:i], name) {
			return pgerror.New(pgerror.InvalidForeignKey, "foreign key referenced-columns list must not contain duplicates")
		}
		wanted = append(wanted, column.ID)
	}
	if len(wanted) != len(f.Columns) {
		return disagree
	}
	ix := uniqueIndexOver(t, wanted)
	if ix == nil {
		return pgerror.Newf(pgerror.InvalidForeignKey, "there is no unique constraint matching given keys for referenced table %q", t.Name)
	}
	f.ReferencedColumns, f.ReferencedIndex = wanted, ix.ID
	return nil
}

// uniqueIndexOver returns a unique index whose key columns are these, in any
// order, the primary key if it will do.
func uniqueIndexOver(t *catalog.Table, columns []catalog.ColumnID) *catalog.Index {
	fits := func(ix *catalog.Index) bool {
		return ix.Unique && ix.State == catalog.Public && len(ix.Columns) == len(columns) &&
			!slices.ContainsFunc(columns, func(id catalog.ColumnID) bool { return !ix.IsKeyColumn(id) })
	}
	if t.HasPrimaryKey() && fits(&t.Primary) {
		return &t.Primary
	}
	for i := range t.Indexes {
		if fits(&t.Indexes[i]) {
			return &t.Indexes[i]
		}
	}
	return nil
}

// comparableColumns checks that a foreign key's columns can be compared.
func comparableColumns(constraint string, from, to *catalog.Column) error {
	if from.Type.OID == to.Type.OID {
		return nil
	}
	incompatible := pgerror.Newf(pgerror.DatatypeMismatch, "foreign key constraint %q cannot be implemented", constraint).
		WithDetail("Key columns %q and %q are of incompatible types: %s and %s.", from.Name, to.Name, from.Type.String(), to.Type.String())
	if _, err := types.ResolveOperator("=", to.Type, from.Type); err != nil {
		return incompatible
	}
	// The referencing value is looked up in the referenced index: it must turn
	// into that type by itself.
	if types.CanCast(from.Type, to.Type, types.ImplicitCast) || from.Type.Category == to.Type.Category && types.CanCast(from.Type, to.Type, types.AssignmentCast) {
		return nil
	}
	return incompatible
}
