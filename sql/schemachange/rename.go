package schemachange

import (
	"context"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (env *Env) rename(ctx context.Context, s *parser.Rename) error {
	switch s.Kind {
	case parser.ObjectTable, parser.ObjectView, parser.ObjectSequence, parser.ObjectIndex, parser.ObjectMaterializedView:
		return env.renameRelation(ctx, s)
	case parser.ObjectColumn:
		return env.renameColumn(ctx, s)
	case parser.ObjectConstraint:
		return env.renameConstraint(ctx, s)
	case parser.ObjectSchema:
		return env.renameSchema(ctx, s)
	case parser.ObjectDatabase:
		return env.renameDatabase(ctx, s)
	case parser.ObjectRole:
		return env.renameRole(ctx, s)
	}
	return pgerror.Unsupported("ALTER " + kindName(s.Kind) + " RENAME")
}

func (env *Env) renameRelation(ctx context.Context, s *parser.Rename) error {
	r, err := env.Catalog.Relation(ctx, nameOf(s.Table))
	if err != nil {
		return err
	}
	if r == nil {
		t, ix, err := env.Catalog.Index(ctx, nameOf(s.Table))
		if err != nil {
			return err
		}
		if t != nil {
			return env.renameIndex(ctx, t, ix.ID, s.NewName)
		}
	}
	if r, err = env.findRelation(ctx, s.Table, s.IfExists); err != nil || r == nil {
		return err
	}
	got := kindOf(r)
	if s.Kind == parser.ObjectIndex || s.Kind == parser.ObjectMaterializedView || s.Kind == parser.ObjectView && got != parser.ObjectView || s.Kind == parser.ObjectSequence && got != parser.ObjectSequence {
		article := map[parser.ObjectKind]string{parser.ObjectView: "a view", parser.ObjectSequence: "a sequence", parser.ObjectIndex: "an index", parser.ObjectMaterializedView: "a materialized view"}
		return pgerror.Newf(pgerror.WrongObjectType, "%q is not %s", r.Head().Name, article[s.Kind])
	}
	if s.NewName == r.Head().Name || env.Catalog.NameTaken(r.SchemaOf(), s.NewName) {
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.NewName)
	}
	return env.move(ctx, r, s.NewName, 0)
}

// move gives a relation another name or schema, and lets what names it follow.
func (env *Env) move(ctx context.Context, r catalog.Relation, name string, schema catalog.ID) error {
	from, err := env.Catalog.SchemaByID(ctx, r.SchemaOf())
	if err != nil {
		return err
	}
	to := from
	if schema != 0 {
		if to, err = env.Catalog.SchemaByID(ctx, schema); err != nil {
			return err
		}
	}
	if t, ok := r.(*catalog.Table); ok {
		if r, err = env.lockTable(ctx, t); err != nil {
			return err
		}
	}
	n := catalog.Clone[catalog.Descriptor](r)
	if err := env.Catalog.Rename(ctx, n, name, schema); err != nil {
		return err
	}
	if q, ok := r.(*catalog.Sequence); ok {
		moved := n.(*catalog.Sequence)
		if err := env.moveDefaults(ctx, q, DefaultSequenceText(from, q), DefaultSequenceText(to, moved)); err != nil {
			return err
		}
	}
	return env.rewriteViews(ctx, renamed{relation: r, fromSchema: from.Name, from: r.Head().Name, toSchema: to.Name, to: name})
}

// moveDefaults makes the defaults that name a sequence follow its renaming.
func (env *Env) moveDefaults(ctx context.Context, q *catalog.Sequence, from, to string) error {
	ids := slices.Clone(q.Dependents)
	if q.OwnerTable != 0 && !slices.Contains(ids, q.OwnerTable) {
		ids = append(ids, q.OwnerTable)
	}
	for _, id := range ids {
		r, err := env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return err
		}
		t, ok := r.(*catalog.Table)
		if !ok || !slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return strings.Contains(c.Default, from) }) {
			continue
		}
		n, err := env.lockTable(ctx, t)
		if err != nil {
			return err
		}
		for i := range n.Columns {
			n.Columns[i].Default = strings.ReplaceAll(n.Columns[i].Default, from, to)
		}
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (env *Env) renameIndex(ctx context.Context, t *catalog.Table, id catalog.IndexID, name string) error {
	if err := env.requireOwner(ctx, t); err != nil {
		return err
	}
	if env.Catalog.NameTaken(t.Schema, name) {
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", name)
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	ix := n.Index(id)
	if ix == nil {
		return pgerror.New(pgerror.UndefinedObject, "the index does not exist")
	}
	ix.Name = name
	return env.Catalog.Write(ctx, n)
}

func (env *Env) renameColumn(ctx context.Context, s *parser.Rename) error {
	r, err := env.findRelation(ctx, s.Table, s.IfExists)
	if err != nil || r == nil {
		return err
	}
	if slices.Contains(systemColumns, s.NewName) {
		return pgerror.Newf(pgerror.DuplicateColumn, "column name %q conflicts with a system column name", s.NewName)
	}
	exists := pgerror.Newf(pgerror.DuplicateColumn, "column %q of relation %q already exists", s.NewName, r.Head().Name)
	missing := pgerror.Newf(pgerror.UndefinedColumn, "column %q does not exist", s.Name)
	if v, ok := r.(*catalog.View); ok {
		n := catalog.Clone(v)
		i := slices.IndexFunc(n.Columns, func(c catalog.Column) bool { return c.Name == s.Name })
		if i < 0 {
			return missing
		}
		if slices.ContainsFunc(n.Columns, func(c catalog.Column) bool { return c.Name == s.NewName }) {
			return exists
		}
		n.Columns[i].Name = s.NewName
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
		return env.columnRenamed(ctx, v, s)
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		return pgerror.Newf(pgerror.WrongObjectType, "cannot rename columns of relation %q", r.Head().Name).WithDetail("This operation is not supported for sequences.")
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	column := n.ColumnNamed(s.Name)
	if slices.Contains(systemColumns, s.Name) {
		return pgerror.Newf(pgerror.FeatureNotSupported, "cannot rename system column %q", s.Name)
	}
	if column == nil || column.Hidden {
		return missing
	}
	if other := n.ColumnNamed(s.NewName); other != nil && !other.Hidden {
		return exists
	} else if other != nil {
		(&tableChange{env: env, table: n}).renameRowID(other)
	}
	// Checks and generated columns name the column: they are bound with the old
	// name and deparsed with the new one.
	before := catalog.Clone(n)
	column.Name = s.NewName
	if err := env.redeparse(ctx, before, n); err != nil {
		return err
	}
	if err := env.Catalog.Write(ctx, n); err != nil {
		return err
	}
	return env.columnRenamed(ctx, t, s)
}

func (env *Env) columnRenamed(ctx context.Context, r catalog.Relation, s *parser.Rename) error {
	schema, err := env.Catalog.SchemaByID(ctx, r.SchemaOf())
	if err != nil {
		return err
	}
	return env.rewriteViews(ctx, renamed{relation: r, fromSchema: schema.Name, from: s.Name, to: s.NewName, column: true})
}

// redeparse writes the expressions of a table with the column names of n.
func (env *Env) redeparse(ctx context.Context, before, n *catalog.Table) error {
	for i := range n.Checks {
		b, err := env.rebind(ctx, before, n, n.Checks[i].Expr, "check constraints")
		if err != nil {
			return err
		}
		n.Checks[i].Expr = b
	}
	for i := range n.Columns {
		if c := &n.Columns[i]; !c.Dropped && c.Generated != "" {
			b, err := env.rebind(ctx, before, n, c.Generated, "column generation expressions")
			if err != nil {
				return err
			}
			c.Generated = b
		}
	}
	return nil
}

func (env *Env) renameConstraint(ctx context.Context, s *parser.Rename) error {
	t, err := env.findTable(ctx, s.Table, s.IfExists)
	if err != nil || t == nil {
		return err
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	if !constraintNames(n)[s.Name] {
		return pgerror.Newf(pgerror.UndefinedObject, "constraint %q for table %q does not exist", s.Name, n.Name)
	}
	if constraintNames(n)[s.NewName] {
		return pgerror.Newf(pgerror.DuplicateObject, "constraint %q for relation %q already exists", s.NewName, n.Name)
	}
	for i := range n.Checks {
		if n.Checks[i].Name == s.Name {
			n.Checks[i].Name = s.NewName
			return env.Catalog.Write(ctx, n)
		}
	}
	for i := range n.ForeignKeys {
		if f := &n.ForeignKeys[i]; f.Name == s.Name {
			f.Name = s.NewName
			return env.renameKeyElsewhere(ctx, n, *f)
		}
	}
	if ix := n.IndexNamed(s.Name); ix != nil {
		if env.Catalog.NameTaken(n.Schema, s.NewName) {
			return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.NewName)
		}
		ix.Name = s.NewName
	}
	return env.Catalog.Write(ctx, n)
}

// renameKeyElsewhere renames a foreign key in the table that it references.
func (env *Env) renameKeyElsewhere(ctx context.Context, n *catalog.Table, f catalog.ForeignKey) error {
	other := n
	if f.ReferencedTable != n.ID {
		r, err := env.Catalog.TableByID(ctx, f.ReferencedTable)
		if err != nil {
			return err
		}
		if other, err = env.lockTable(ctx, r); err != nil {
			return err
		}
	}
	for i := range other.ReferencedBy {
		if other.ReferencedBy[i].OID == f.OID {
			other.ReferencedBy[i].Name = f.Name
		}
	}
	if other != n {
		if err := env.Catalog.Write(ctx, other); err != nil {
			return err
		}
	}
	return env.Catalog.Write(ctx, n)
}

func (env *Env) renameSchema(ctx context.Context, s *parser.Rename) error {
	schema, err := env.Catalog.SchemaNamed(ctx, s.Table.Name)
	if err != nil {
		return err
	}
	if schema == nil {
		return catalog.UndefinedSchema(s.Table.Name)
	}
	if err := env.requireOwner(ctx, schema); err != nil {
		return err
	}
	if schema.Virtual || reservedSchema(s.NewName) {
		return pgerror.Newf(pgerror.ReservedName, "unacceptable schema name %q", s.NewName).WithDetail("The prefix \"pg_\" is reserved for system schemas.")
	}
	relations, err := env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	n := catalog.Clone(schema)
	if err := env.Catalog.Rename(ctx, n, s.NewName, 0); err != nil {
		return err
	}
	for _, r := range relations {
		if r.SchemaOf() != schema.ID {
			continue
		}
		if q, ok := r.(*catalog.Sequence); ok {
			if err := env.moveDefaults(ctx, q, DefaultSequenceText(schema, q), DefaultSequenceText(n, q)); err != nil {
				return err
			}
		}
		err := env.rewriteViews(ctx, renamed{relation: r, fromSchema: schema.Name, from: r.Head().Name, toSchema: n.Name, to: r.Head().Name})
		if err != nil {
			return err
		}
	}
	return nil
}

func (env *Env) renameDatabase(ctx context.Context, s *parser.Rename) error {
	if !env.AutoCommit {
		return pgerror.New(pgerror.ActiveSQLTransaction, "ALTER DATABASE RENAME cannot run inside a transaction block")
	}
	d, err := env.Catalog.DatabaseNamed(ctx, s.Table.Name)
	if err != nil {
		return err
	}
	if d == nil {
		return pgerror.Newf(pgerror.InvalidCatalogName, "database %q does not exist", s.Table.Name)
	}
	if err := env.requireOwner(ctx, d); err != nil {
		return err
	}
	if d.Name == env.Catalog.Names().Database {
		return pgerror.New(pgerror.FeatureNotSupported, "current database cannot be renamed")
	}
	return env.Catalog.Rename(ctx, catalog.Clone(d), s.NewName, 0)
}

func (env *Env) setSchema(ctx context.Context, s *parser.SetSchema) error {
	switch s.Kind {
	case parser.ObjectTable, parser.ObjectView, parser.ObjectSequence:
	default:
		return pgerror.Unsupported("ALTER " + kindName(s.Kind) + " SET SCHEMA")
	}
	r, err := env.findRelation(ctx, s.Table, s.IfExists)
	if err != nil || r == nil {
		return err
	}
	schema, err := env.Catalog.SchemaNamed(ctx, s.Schema)
	if err != nil {
		return err
	}
	if schema == nil {
		return catalog.UndefinedSchema(s.Schema)
	}
	if err := env.requireCreate(ctx, schema); err != nil {
		return err
	}
	if r.SchemaOf() == schema.ID {
		return nil
	}
	if q, ok := r.(*catalog.Sequence); ok && q.OwnerTable != 0 {
		return pgerror.New(pgerror.FeatureNotSupported, "cannot move an owned sequence into another schema").
			WithDetail("Sequence %q is linked to table %q.", q.Name, env.tableName(ctx, q.OwnerTable))
	}
	if env.Catalog.NameTaken(schema.ID, r.Head().Name) {
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists in schema %q", r.Head().Name, schema.Name)
	}
	if err := env.move(ctx, r, r.Head().Name, schema.ID); err != nil {
		return err
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		return nil
	}
	// Its sequences go with it.
	relations, err := env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	for _, o := range relations {
		if q, ok := o.(*catalog.Sequence); ok && q.OwnerTable == t.ID {
			if err := env.move(ctx, q, q.Name, schema.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (env *Env) changeOwnerOf(ctx context.Context, s *parser.ChangeOwnerOf) error {
	owner, err := env.ownerOf(ctx, s.Owner)
	if err != nil {
		return err
	}
	var d catalog.Descriptor
	switch s.Kind {
	case parser.ObjectSchema:
		schema, err := env.Catalog.SchemaNamed(ctx, s.Name.Name)
		if err != nil {
			return err
		}
		if schema == nil {
			return catalog.UndefinedSchema(s.Name.Name)
		}
		d = schema
	case parser.ObjectDatabase:
		database, err := env.Catalog.DatabaseNamed(ctx, s.Name.Name)
		if err != nil {
			return err
		}
		if database == nil {
			return pgerror.Newf(pgerror.InvalidCatalogName, "database %q does not exist", s.Name.Name)
		}
		d = database
	default:
		return pgerror.Unsupported("ALTER " + kindName(s.Kind) + " OWNER TO")
	}
	if err := env.requireOwner(ctx, d); err != nil {
		return err
	}
	n := catalog.Clone(d)
	n.Head().Owner = owner
	return env.Catalog.Write(ctx, n)
}

// alterOther is ALTER TABLE, VIEW or SEQUENCE on what is no table.
func (env *Env) alterOther(ctx context.Context, s *parser.AlterTable, r catalog.Relation) error {
	got := kindOf(r)
	if s.Kind != got && s.Kind != parser.ObjectTable {
		return pgerror.Newf(pgerror.WrongObjectType, "%q is not a %s", r.Head().Name, strings.ToLower(kindName(s.Kind)))
	}
	for i := range s.Commands {
		c := &s.Commands[i]
		if c.Kind == parser.ChangeOwner {
			owner, err := env.ownerOf(ctx, c.Owner)
			if err != nil {
				return err
			}
			n := catalog.Clone[catalog.Descriptor](r)
			n.Head().Owner = owner
			if err := env.Catalog.Write(ctx, n); err != nil {
				return err
			}
			continue
		}
		if got == parser.ObjectView {
			return env.at(pgerror.Unsupported("this subcommand of ALTER VIEW"), c.Position)
		}
		return pgerror.Newf(pgerror.WrongObjectType, "ALTER action cannot be performed on relation %q", r.Head().Name).WithDetail("This operation is not supported for sequences.")
	}
	return nil
}

// alterIndex is ALTER INDEX.
func (env *Env) alterIndex(ctx context.Context, s *parser.AlterTable) error {
	t, ix, err := env.Catalog.Index(ctx, nameOf(s.Table))
	if err != nil {
		return err
	}
	if t == nil {
		if s.IfExists {
			env.notice(pgerror.SuccessfulCompletion, "relation %q does not exist, skipping", display(s.Table))
			return nil
		}
		return catalog.UndefinedTable(nameOf(s.Table))
	}
	if err := env.requireOwner(ctx, t); err != nil {
		return err
	}
	for i := range s.Commands {
		c := &s.Commands[i]
		switch c.Kind {
		case parser.SetStorageOptions, parser.ResetStorageOptions:
			if err := env.checkStorage(c.Options); err != nil {
				return err
			}
		default:
			return env.at(pgerror.Unsupported("this subcommand of ALTER INDEX "+ix.Name), c.Position)
		}
	}
	return nil
}
