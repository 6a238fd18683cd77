package schemachange

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maxColumns is how many columns a table may have, as in PostgreSQL.
const maxColumns = 1600

func (env *Env) createTable(ctx context.Context, s *parser.CreateTable) (string, error) {
	if err := env.refuseTableClauses(s); err != nil {
		return "", err
	}
	schema, err := env.creationSchema(ctx, s.Name)
	if err != nil {
		return "", err
	}
	tag := "CREATE TABLE"
	if s.As != nil {
		tag = "CREATE TABLE AS"
	}
	exists, err := env.relationExists(ctx, schema, s.Name.Name)
	if err != nil {
		return "", err
	}
	if exists && s.IfNotExists {
		env.notice(pgerror.DuplicateTable, "relation %q already exists, skipping", s.Name.Name)
		return tag, nil
	}
	if exists {
		return "", pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.Name.Name)
	}
	if s.As != nil {
		return env.createTableAs(ctx, s, schema)
	}
	c, err := env.newTable(ctx, schema, s.Name.Name)
	if err != nil {
		return "", err
	}
	likes := s.Like
	for _, d := range s.Columns {
		for ; len(likes) > 0 && likes[0].Table.Position < d.Position; likes = likes[1:] {
			if err := c.like(ctx, &likes[0]); err != nil {
				return "", err
			}
		}
		if err := c.addColumn(ctx, d); err != nil {
			return "", err
		}
	}
	for i := range likes {
		if err := c.like(ctx, &likes[i]); err != nil {
			return "", err
		}
	}
	for _, k := range s.Constraints {
		if err := c.addConstraint(k); err != nil {
			return "", err
		}
	}
	if err := c.finish(ctx); err != nil {
		return "", err
	}
	return tag, c.create(ctx)
}

// refuseTableClauses refuses what Cairn's tables lack.
func (env *Env) refuseTableClauses(s *parser.CreateTable) error {
	switch {
	case s.Temporary:
		return env.at(pgerror.Unsupported("CREATE TEMPORARY TABLE"), s.Name.Position)
	case s.PartitionBy != "" || s.PartitionOf != nil:
		return env.at(pgerror.Unsupported("table partitioning"), s.Name.Position)
	case len(s.Inherits) > 0:
		return env.at(pgerror.Unsupported("table inheritance"), s.Name.Position)
	case s.OfType != nil:
		return env.at(pgerror.Unsupported("CREATE TABLE OF type"), s.Name.Position)
	case s.OnCommit != "":
		return pgerror.New(pgerror.InvalidTableDefinition, "ON COMMIT can only be used on temporary tables")
	}
	if s.Unlogged {
		env.notice(pgerror.SuccessfulCompletion, "unlogged tables are stored as safely as others")
	}
	if err := checkTablespace(s.Tablespace); err != nil {
		return err
	}
	return env.checkStorage(s.Options)
}

func checkTablespace(name string) error {
	if name == "" || name == "pg_default" {
		return nil
	}
	return pgerror.Newf(pgerror.UndefinedObject, "tablespace %q does not exist", name)
}

// checkStorage lets storage parameters pass that only tune PostgreSQL's own
// storage.
func (env *Env) checkStorage(options []parser.Option) error {
	for _, o := range options {
		switch {
		case o.Namespace == "toast", o.Name == "fillfactor", strings.HasPrefix(o.Name, "autovacuum_"), strings.HasPrefix(o.Name, "toast"),
			o.Name == "parallel_workers", o.Name == "deduplicate_items", o.Name == "vacuum_index_cleanup", o.Name == "vacuum_truncate", o.Name == "user_catalog_table":
		case o.Name == "oids":
			if o.Value == "true" {
				return pgerror.New(pgerror.FeatureNotSupported, "tables declared WITH OIDS are not supported")
			}
		default:
			return env.at(pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized parameter %q", o.Name), o.Position)
		}
	}
	return nil
}

// relationExists reports whether a schema has a relation or index of a name.
func (env *Env) relationExists(ctx context.Context, schema *catalog.Schema, name string) (bool, error) {
	if env.Catalog.NameTaken(schema.ID, name) {
		return true, nil
	}
	r, err := env.Catalog.Relation(ctx, catalog.Name{Schema: schema.Name, Object: name})
	return r != nil, err
}

// tableChange builds columns and constraints into a table that is new, or
// locked by the transaction.
type tableChange struct {
	env    *Env
	schema *catalog.Schema
	table  *catalog.Table
	isNew  bool
	names  *namer

	sequences []*catalog.Sequence // of new serial and identity columns
	defaults  []pendingExpression // of columns, to be bound when all columns are known
	generated []pendingExpression
	keys      []*keySpec
	copied    []copiedIndex
	checks    []pendingCheck
	foreign   []*parser.Constraint
	// referenced are clones of other tables that foreign keys lead to.
	referenced map[catalog.ID]*catalog.Table
}

type pendingExpression struct {
	column     catalog.ColumnID
	expression parser.Expression
}

type pendingCheck struct {
	constraint *parser.Constraint
	// column it was written at, "" for a table's.
	column string
	// copied is a check of another table (LIKE).
	copied *catalog.Check
}

// keySpec is a PRIMARY KEY or UNIQUE constraint that is to become an index.
type keySpec struct {
	position         parser.Position
	name             string
	columns          []string
	including        []string
	primary          bool
	nullsNotDistinct bool
}

// newTable begins a table.
func (env *Env) newTable(ctx context.Context, schema *catalog.Schema, name string) (*tableChange, error) {
	id, err := env.Catalog.NewID(ctx)
	if err != nil {
		return nil, err
	}
	database := env.Catalog.CurrentDatabase()
	if database == nil {
		return nil, pgerror.Newf(pgerror.InvalidCatalogName, "database %q does not exist", env.Catalog.Names().Database)
	}
	c := &tableChange{env: env, schema: schema, isNew: true, names: env.newNamer(schema.ID),
		table: &catalog.Table{Header: catalog.Header{ID: id, Name: name, Owner: env.User}, Schema: schema.ID, Database: database.ID,
			NextColumn: 1, NextIndex: 1, RowEstimate: -1}}
	c.names.relations[name] = true
	return c, nil
}

// changeOf begins to change a locked table; t is a clone of it.
func (env *Env) changeOf(ctx context.Context, t *catalog.Table) (*tableChange, error) {
	schema, err := env.Catalog.SchemaByID(ctx, t.Schema)
	if err != nil {
		return nil, err
	}
	return &tableChange{env: env, schema: schema, table: t, names: env.newNamer(t.Schema)}, nil
}

// create stores the new table and what belongs to it.
func (c *tableChange) create(ctx context.Context) error {
	for _, q := range c.sequences {
		if err := c.env.Catalog.Create(ctx, q); err != nil {
			return err
		}
	}
	if err := c.env.Catalog.Create(ctx, c.table); err != nil {
		return err
	}
	return c.writeReferenced(ctx)
}

func (c *tableChange) writeReferenced(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(c.referenced)) {
		if err := c.env.Catalog.Write(ctx, c.referenced[id]); err != nil {
			return err
		}
	}
	return nil
}

// finish binds and names what needs all columns: defaults, checks, keys,
// foreign keys, in PostgreSQL's order.
func (c *tableChange) finish(ctx context.Context) error {
	if err := c.bindDefaults(ctx); err != nil {
		return err
	}
	for _, p := range c.checks {
		if err := c.bindCheck(ctx, p); err != nil {
			return err
		}
	}
	if c.isNew {
		if err := c.makeKeys(ctx); err != nil {
			return err
		}
		if c.table.Primary.ID == 0 {
			c.addRowID()
		}
		if err := c.makeCopies(ctx); err != nil {
			return err
		}
	}
	for _, k := range c.foreign {
		if _, err := c.makeForeignKey(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// addRowID gives a table without a primary key its hidden one.
func (c *tableChange) addRowID() {
	t := c.table
	name := catalog.HiddenRowIDColumnName
	for i := 1; t.ColumnNamed(name) != nil; i++ {
		name = fmt.Sprintf("%s_%d", catalog.HiddenRowIDColumnName, i)
	}
	id := t.NextColumn
	t.NextColumn++
	t.Columns = append(t.Columns, catalog.Column{ID: id, Name: name, Type: types.Int8, NotNull: true, Hidden: true, Default: catalog.RowIDDefault})
	t.Primary = catalog.Index{ID: t.NextIndex, Unique: true, Columns: []catalog.IndexColumn{{Column: id}}, Encoding: catalog.PrimaryEncoding}
	t.NextIndex++
}

// makeKeys turns keySpecs of a new table into indexes, the primary key first.
func (c *tableChange) makeKeys(ctx context.Context) error {
	slices.SortStableFunc(c.keys, func(a, b *keySpec) int {
		switch {
		case a.primary && !b.primary:
			return -1
		case b.primary && !a.primary:
			return 1
		}
		return 0
	})
	var kept []*keySpec
	for _, k := range c.keys {
		same := slices.IndexFunc(kept, func(o *keySpec) bool {
			return slices.Equal(o.columns, k.columns) && slices.Equal(o.including, k.including) && o.nullsNotDistinct == k.nullsNotDistinct
		})
		if same < 0 {
			kept = append(kept, k)
		} else if kept[same].name == "" {
			kept[same].name = k.name
		}
	}
	for _, k := range kept {
		ix, err := c.keyIndex(ctx, k)
		if err != nil {
			return err
		}
		if k.primary {
			c.table.Primary = ix
		} else {
			c.table.Indexes = append(c.table.Indexes, ix)
		}
	}
	return nil
}

// keyIndex makes the index of a PRIMARY KEY or UNIQUE constraint; the primary
// key's columns become NOT NULL.
func (c *tableChange) keyIndex(ctx context.Context, k *keySpec) (catalog.Index, error) {
	t, env := c.table, c.env
	what := "unique"
	if k.primary {
		what = "primary key"
	}
	ix := catalog.Index{Unique: true, Constraint: true, Primary: k.primary, NullsNotDistinct: k.nullsNotDistinct, Name: k.name}
	if k.primary {
		ix.Encoding = catalog.PrimaryEncoding
	}
	for i, name := range k.columns {
		column := t.ColumnNamed(name)
		if column == nil || column.Hidden {
			return ix, env.at(pgerror.Newf(pgerror.UndefinedColumn, "column %q named in key does not exist", name), k.position)
		}
		if slices.Contains(k.columns[:i], name) {
			return ix, env.at(pgerror.Newf(pgerror.DuplicateColumn, "column %q appears twice in %s constraint", name, what), k.position)
		}
		if err := env.requireIndexable(column); err != nil {
			return ix, err
		}
		if k.primary {
			column.NotNull = true
		}
		ix.Columns = append(ix.Columns, catalog.IndexColumn{Column: column.ID})
	}
	if k.primary && len(k.including) > 0 {
		return ix, env.at(pgerror.Unsupported("PRIMARY KEY … INCLUDE"), k.position)
	}
	stored, err := c.includedColumns(k.including)
	if err != nil {
		return ix, env.at(err, k.position)
	}
	ix.Stored = stored
	if ix.Name == "" {
		if k.primary {
			ix.Name, err = c.names.relation(ctx, t.Name, "", "pkey", true)
		} else {
			ix.Name, err = c.names.relation(ctx, t.Name, columnPart(append(slices.Clone(k.columns), k.including...)), "key", true)
		}
		if err != nil {
			return ix, err
		}
	} else {
		if c.names.relationTaken(ix.Name) {
			return ix, pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", ix.Name)
		}
		c.names.relations[ix.Name] = true
	}
	return ix, c.number(ctx, &ix)
}

// includedColumns finds the columns of INCLUDE.
func (c *tableChange) includedColumns(names []string) (stored []catalog.ColumnID, err error) {
	for _, name := range names {
		column := c.table.ColumnNamed(name)
		if column == nil || column.Hidden {
			return nil, pgerror.Newf(pgerror.UndefinedColumn, "column %q does not exist", name)
		}
		stored = append(stored, column.ID)
	}
	return stored, nil
}

// number gives an index its id and OIDs.
func (c *tableChange) number(ctx context.Context, ix *catalog.Index) (err error) {
	ix.ID = c.table.NextIndex
	c.table.NextIndex++
	if ix.OID, err = c.env.Catalog.NewID(ctx); err != nil {
		return err
	}
	if ix.Constraint {
		ix.ConstraintOID, err = c.env.Catalog.NewID(ctx)
	}
	return err
}

// createTableAs makes a table of a query's columns and fills it.
func (env *Env) createTableAs(ctx context.Context, s *parser.CreateTable, schema *catalog.Schema) (string, error) {
	query, ok := s.As.(parser.Query)
	if !ok {
		return "", env.at(pgerror.Unsupported("CREATE TABLE AS EXECUTE"), s.Name.Position)
	}
	plan, err := opt.Build(env.planContext(ctx), query)
	if err != nil {
		return "", err
	}
	if len(s.AsColumns) > len(plan.Columns) {
		return "", pgerror.New(pgerror.Syntax, "too many column names were specified")
	}
	c, err := env.newTable(ctx, schema, s.Name.Name)
	if err != nil {
		return "", err
	}
	for i, column := range plan.Columns {
		name, t := column.Name, column.Type
		if i < len(s.AsColumns) {
			name = s.AsColumns[i]
		}
		if t.OID == types.Unknown.OID {
			t = types.Text
		}
		if t.IsPseudo() {
			return "", pgerror.Newf(pgerror.InvalidTableDefinition, "column %q has pseudo-type %s", name, t.String())
		}
		if _, err := c.newColumn(name, t, parser.NoPosition); err != nil {
			return "", err
		}
	}
	if err := c.finish(ctx); err != nil {
		return "", err
	}
	if err := c.create(ctx); err != nil {
		return "", err
	}
	if s.WithNoData {
		return "CREATE TABLE AS", nil
	}
	_, affected, err := env.Internal(ctx, &parser.Insert{
		Table:  parser.TableName{Position: parser.NoPosition, Schema: schema.Name, Name: s.Name.Name},
		Source: query,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("SELECT %d", affected), nil
}

// The bits of LIKE … INCLUDING that Cairn has something for.
const (
	includeComments    = 1 << 0
	includeConstraints = 1 << 2
	includeDefaults    = 1 << 3
	includeGenerated   = 1 << 4
	includeIdentity    = 1 << 5
	includeIndexes     = 1 << 6
)

// like copies another table's columns.
func (c *tableChange) like(ctx context.Context, l *parser.LikeTable) error {
	r, err := c.env.Catalog.Relation(ctx, nameOf(l.Table))
	if err != nil {
		return c.env.at(err, l.Table.Position)
	}
	var columns []catalog.Column
	source, isTable := r.(*catalog.Table)
	switch r := r.(type) {
	case nil:
		return c.env.at(catalog.UndefinedTable(nameOf(l.Table)), l.Table.Position)
	case *catalog.Table:
		columns = r.Columns
	case *catalog.View:
		columns = r.Columns
	default:
		return c.env.at(pgerror.Newf(pgerror.WrongObjectType, "relation %q is invalid in LIKE clause", r.Head().Name), l.Table.Position)
	}
	for i := range columns {
		old := &columns[i]
		if old.Dropped || old.Hidden || old.State != catalog.Public {
			continue
		}
		n, err := c.newColumn(old.Name, old.Type, l.Table.Position)
		if err != nil {
			return err
		}
		n.NotNull = old.NotNull
		if l.Options&includeComments != 0 {
			n.Comment = old.Comment
		}
		if old.Default != "" && old.Identity == catalog.NoIdentity && l.Options&includeDefaults != 0 {
			n.Default = old.Default
		}
		if old.Generated != "" && l.Options&includeGenerated != 0 {
			n.Generated = old.Generated
		}
		if old.Identity != catalog.NoIdentity && l.Options&includeIdentity != 0 {
			n.Identity = old.Identity
			if err := c.addSequence(ctx, n, nil, true); err != nil {
				return err
			}
		}
	}
	if !isTable {
		return nil
	}
	if l.Options&includeConstraints != 0 {
		for i := range source.Checks {
			c.checks = append(c.checks, pendingCheck{copied: &source.Checks[i]})
		}
	}
	if l.Options&includeIndexes != 0 {
		c.likeIndexes(source)
	}
	return nil
}

// likeIndexes copies another table's indexes, under names of their own.
func (c *tableChange) likeIndexes(source *catalog.Table) {
	names := func(ids []catalog.ColumnID) (out []string) {
		for _, id := range ids {
			out = append(out, source.Column(id).Name)
		}
		return out
	}
	add := func(ix *catalog.Index) {
		c.keys = append(c.keys, &keySpec{position: parser.NoPosition, primary: ix.Primary, nullsNotDistinct: ix.NullsNotDistinct,
			columns: names(columnsOf(ix)), including: names(ix.Stored)})
	}
	if source.Primary.Primary {
		add(&source.Primary)
	}
	for i := range source.Indexes {
		ix := &source.Indexes[i]
		switch {
		case ix.State != catalog.Public:
		case ix.Constraint:
			add(ix)
		default:
			c.copied = append(c.copied, copiedIndex{ix, names(columnsOf(ix)), names(ix.Stored)})
		}
	}
}

// copiedIndex is an index of another table (LIKE) that is no constraint.
type copiedIndex struct {
	index              *catalog.Index
	columns, including []string
}

// makeCopies makes the indexes that LIKE asks for.
func (c *tableChange) makeCopies(ctx context.Context) error {
	for _, o := range c.copied {
		ix := catalog.Index{Unique: o.index.Unique, NullsNotDistinct: o.index.NullsNotDistinct}
		for i, name := range o.columns {
			column := o.index.Columns[i]
			column.Column = c.table.ColumnNamed(name).ID
			ix.Columns = append(ix.Columns, column)
		}
		var err error
		if ix.Stored, err = c.includedColumns(o.including); err != nil {
			return err
		}
		if ix.Name, err = c.names.relation(ctx, c.table.Name, columnPart(append(slices.Clone(o.columns), o.including...)), "idx", false); err != nil {
			return err
		}
		if err := c.number(ctx, &ix); err != nil {
			return err
		}
		c.table.Indexes = append(c.table.Indexes, ix)
	}
	return nil
}
