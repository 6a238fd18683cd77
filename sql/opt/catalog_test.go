package opt

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/types"
	_ "github.com/cairndb/cairn/sql/types/functions"
)

// testCatalog is a Resolver over tables that tests create with SQL.
type testCatalog struct {
	relations map[string]catalog.Relation
	rows      map[catalog.ID]float64
	next      catalog.ID
}

func newTestCatalog() *testCatalog {
	return &testCatalog{relations: map[string]catalog.Relation{}, rows: map[catalog.ID]float64{}, next: catalog.FirstUserID}
}

var publicSchema = &catalog.Schema{Header: catalog.Header{ID: catalog.PublicSchemaID, Name: "public"}}

func (c *testCatalog) CurrentDatabase() *catalog.Database {
	return &catalog.Database{Header: catalog.Header{Name: "postgres"}}
}
func (c *testCatalog) SearchPath(context.Context) ([]*catalog.Schema, error) {
	return []*catalog.Schema{publicSchema}, nil
}
func (c *testCatalog) CreationSchema(context.Context) (*catalog.Schema, error) {
	return publicSchema, nil
}
func (c *testCatalog) Relation(_ context.Context, name catalog.Name) (catalog.Relation, error) {
	if name.Schema != "" && name.Schema != "public" {
		return nil, catalog.UndefinedSchema(name.Schema)
	}
	if r, ok := c.relations[name.Object]; ok {
		return r, nil
	}
	return nil, nil
}
func (c *testCatalog) Index(context.Context, catalog.Name) (*catalog.Table, *catalog.Index, error) {
	return nil, nil, nil
}
func (c *testCatalog) RelationByID(_ context.Context, id catalog.ID) (catalog.Relation, error) {
	for _, r := range c.relations {
		if r.Head().ID == id {
			return r, nil
		}
	}
	return nil, nil
}
func (c *testCatalog) TableByID(ctx context.Context, id catalog.ID) (*catalog.Table, error) {
	r, err := c.RelationByID(ctx, id)
	t, _ := r.(*catalog.Table)
	return t, err
}
func (c *testCatalog) SchemaNamed(context.Context, string) (*catalog.Schema, error) {
	return publicSchema, nil
}
func (c *testCatalog) SchemaByID(context.Context, catalog.ID) (*catalog.Schema, error) {
	return publicSchema, nil
}
func (c *testCatalog) DatabaseNamed(context.Context, string) (*catalog.Database, error) {
	return nil, nil
}
func (c *testCatalog) RoleNamed(context.Context, string) (*catalog.Role, error) { return nil, nil }
func (c *testCatalog) Relations(context.Context) ([]catalog.Relation, error)    { return nil, nil }
func (c *testCatalog) Schemas(context.Context) ([]*catalog.Schema, error)       { return nil, nil }
func (c *testCatalog) Databases(context.Context) ([]*catalog.Database, error)   { return nil, nil }
func (c *testCatalog) Roles(context.Context) ([]*catalog.Role, error)           { return nil, nil }
func (c *testCatalog) Epoch() uint64                                            { return 1 }

func parseTestExpression(text string) (parser.Expression, error) {
	s, err := postgres.Parse("SELECT " + text)
	if err != nil {
		return nil, err
	}
	return s[0].AST.(*parser.Select).Targets[0].Expression, nil
}

func (c *testCatalog) context(text string) *Context {
	return &Context{Ctx: context.Background(), Resolver: c, Types: &types.Context{}, ParseStatement: postgres.Parse, ParseExpression: parseTestExpression, Text: text,
		RowCount: func(t *catalog.Table) float64 {
			if n, ok := c.rows[t.ID]; ok {
				return n
			}
			return -1
		}}
}

// expressionText finds the text of a default or check: tests write them last in
// their column or constraint, in parentheses.
func expressionText(text string, at parser.Position) string {
	rest := text[at:]
	depth := 0
	begin := strings.IndexByte(rest, '(')
	for i := begin; i < len(rest); i++ {
		switch rest[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return rest[begin : i+1]
			}
		}
	}
	return ""
}

// define runs CREATE TABLE, CREATE INDEX and CREATE VIEW of tests.
func (c *testCatalog) define(text string) error {
	statements, err := postgres.Parse(text)
	if err != nil {
		return err
	}
	for _, s := range statements {
		switch x := s.AST.(type) {
		case *parser.CreateTable:
			if err := c.createTable(text, x); err != nil {
				return err
			}
		case *parser.CreateIndex:
			t := c.relations[x.Table.Name].(*catalog.Table)
			ix := catalog.Index{ID: t.NextIndex, Name: x.Name, Unique: x.Unique}
			t.NextIndex++
			for _, e := range x.Elements {
				ix.Columns = append(ix.Columns, catalog.IndexColumn{Column: t.ColumnNamed(e.Column).ID, Descending: e.Descending, NullsFirst: e.Descending})
			}
			for _, n := range x.Including {
				ix.Stored = append(ix.Stored, t.ColumnNamed(n).ID)
			}
			t.Indexes = append(t.Indexes, ix)
		case *parser.CreateView:
			b := newBinder(c.context(text))
			q, err := b.query(&space{place: placeSelect}, x.Query, queryOptions{})
			if err != nil {
				return err
			}
			stored, err := DeparseQuery(c.context(text), x.Query, true)
			if err != nil {
				return err
			}
			v := &catalog.View{Header: catalog.Header{ID: c.next, Name: x.Name.Name}, Query: stored, Schema: catalog.PublicSchemaID}
			c.next++
			for i, k := range q.columns {
				v.Columns = append(v.Columns, catalog.Column{ID: catalog.ColumnID(i + 1), Name: k.name, Type: b.typeOf(k.id)})
			}
			c.relations[x.Name.Name] = v
		default:
			return fmt.Errorf("tests can't run %T", x)
		}
	}
	return nil
}

func (c *testCatalog) createTable(text string, x *parser.CreateTable) error {
	t := &catalog.Table{Header: catalog.Header{ID: c.next, Name: x.Name.Name}, Schema: catalog.PublicSchemaID, NextIndex: 2}
	c.next++
	t.Primary = catalog.Index{ID: 1, Name: x.Name.Name + "_pkey", Unique: true, Encoding: catalog.PrimaryEncoding}
	primary := func(names ...string) {
		t.Primary.Primary = true
		for _, n := range names {
			column := t.ColumnNamed(n)
			column.NotNull = true
			t.Primary.Columns = append(t.Primary.Columns, catalog.IndexColumn{Column: column.ID})
		}
	}
	unique := func(names ...string) {
		ix := catalog.Index{ID: t.NextIndex, Name: x.Name.Name + "_" + strings.Join(names, "_") + "_key", Unique: true, Constraint: true}
		t.NextIndex++
		for _, n := range names {
			ix.Columns = append(ix.Columns, catalog.IndexColumn{Column: t.ColumnNamed(n).ID})
		}
		t.Indexes = append(t.Indexes, ix)
	}
	for i, d := range x.Columns {
		var modifiers []int32
		for _, m := range d.Type.Modifiers {
			modifiers = append(modifiers, m.(*parser.Constant).Int)
		}
		typ, err := types.FromName(d.Type.Names, modifiers, d.Type.ArrayDepth)
		if err != nil {
			return err
		}
		t.Columns = append(t.Columns, catalog.Column{ID: catalog.ColumnID(i + 1), Name: d.Name, Type: typ})
		column := &t.Columns[i]
		for _, k := range d.Constraints {
			switch k.Kind {
			case parser.PrimaryKey:
				primary(d.Name)
			case parser.Unique:
				unique(d.Name)
			case parser.NotNull:
				column.NotNull = true
			case parser.DefaultValue:
				column.Default = expressionText(text, k.Position)
			case parser.Generated:
				column.Generated = expressionText(text, k.Position)
			case parser.Identity:
				column.Identity, column.Default = catalog.IdentityByDefault, "unique_rowid()"
				if k.Always {
					column.Identity = catalog.IdentityAlways
				}
				column.Default = "random()::int"
			case parser.Check:
				t.Checks = append(t.Checks, catalog.Check{Name: t.Name + "_" + d.Name + "_check", Expr: expressionText(text, k.Position)})
			}
		}
	}
	for _, k := range x.Constraints {
		switch k.Kind {
		case parser.PrimaryKey:
			primary(k.Columns...)
		case parser.Unique:
			unique(k.Columns...)
		}
	}
	if len(t.Primary.Columns) == 0 {
		id := catalog.ColumnID(len(t.Columns) + 1)
		t.Columns = append(t.Columns, catalog.Column{ID: id, Name: catalog.HiddenRowIDColumnName, Type: types.Int8, Hidden: true, NotNull: true, Default: "(random() * 1000000)::bigint"})
		t.Primary.Columns = []catalog.IndexColumn{{Column: id}}
	}
	c.relations[t.Name] = t
	return nil
}
