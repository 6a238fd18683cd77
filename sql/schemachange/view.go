package schemachange

import (
	"context"
	"reflect"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func (env *Env) createView(ctx context.Context, s *parser.CreateView) error {
	switch {
	case s.Materialized:
		return env.at(pgerror.Unsupported("CREATE MATERIALIZED VIEW"), s.Name.Position)
	case s.Temporary:
		return env.at(pgerror.Unsupported("CREATE TEMPORARY VIEW"), s.Name.Position)
	case s.Check != "":
		return env.at(pgerror.Unsupported("WITH CHECK OPTION"), s.Name.Position)
	case len(s.Options) > 0:
		return env.at(pgerror.Unsupported("view option "+s.Options[0].Name), s.Options[0].Position)
	}
	schema, err := env.creationSchema(ctx, s.Name)
	if err != nil {
		return err
	}
	v, err := env.bindView(ctx, s)
	if err != nil {
		return err
	}
	v.Schema, v.Database, v.Name, v.Owner = schema.ID, env.Catalog.CurrentDatabase().ID, s.Name.Name, env.User
	old, err := env.Catalog.Relation(ctx, catalog.Name{Schema: schema.Name, Object: s.Name.Name})
	if err != nil {
		return err
	}
	if old == nil {
		if err := env.Catalog.Create(ctx, v); err != nil {
			return err
		}
		return env.addDependents(ctx, v, nil)
	}
	if !s.Replace {
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.Name.Name)
	}
	previous, ok := old.(*catalog.View)
	if !ok {
		return pgerror.Newf(pgerror.WrongObjectType, "%q is not a view", s.Name.Name)
	}
	if err := env.requireOwner(ctx, previous); err != nil {
		return err
	}
	if err := replaceable(previous, v); err != nil {
		return err
	}
	if slices.Contains(v.DependsOn, previous.ID) {
		return pgerror.Newf(pgerror.InvalidObjectDefinition, "infinite recursion detected in rules for relation %q", v.Name)
	}
	n := catalog.Clone(previous)
	n.Query, n.Columns, n.DependsOn = v.Query, v.Columns, v.DependsOn
	if err := env.Catalog.Write(ctx, n); err != nil {
		return err
	}
	return env.addDependents(ctx, n, previous.DependsOn)
}

// bindView plans a view's query and returns its columns, text and dependencies.
func (env *Env) bindView(ctx context.Context, s *parser.CreateView) (*catalog.View, error) {
	c := env.planContext(ctx)
	plan, err := opt.Build(c, s.Query)
	if err != nil {
		return nil, err
	}
	if len(plan.Parameters) > 0 {
		return nil, pgerror.New(pgerror.UndefinedParameter, "there is no parameter $1")
	}
	if len(s.Columns) > len(plan.Columns) {
		return nil, pgerror.New(pgerror.Syntax, "CREATE VIEW specifies more column names than columns")
	}
	v := &catalog.View{}
	for i, column := range plan.Columns {
		name, t := column.Name, column.Type
		if i < len(s.Columns) {
			name = s.Columns[i]
		}
		if t.OID == types.Unknown.OID {
			t = types.Text
		}
		if t.IsPseudo() {
			return nil, pgerror.Newf(pgerror.InvalidTableDefinition, "column %q has pseudo-type %s", name, t.String())
		}
		if slices.ContainsFunc(v.Columns, func(c catalog.Column) bool { return c.Name == name }) {
			return nil, pgerror.Newf(pgerror.DuplicateColumn, "column %q specified more than once", name)
		}
		v.Columns = append(v.Columns, catalog.Column{ID: catalog.ColumnID(i + 1), Name: name, Type: t})
	}
	if v.Query, err = opt.DeparseQuery(env.planContext(ctx), s.Query, true); err != nil {
		return nil, err
	}
	v.DependsOn, err = env.relationsOf(ctx, s.Query)
	return v, err
}

// replaceable checks what CREATE OR REPLACE VIEW may change.
func replaceable(old, v *catalog.View) error {
	if len(v.Columns) < len(old.Columns) {
		return pgerror.New(pgerror.InvalidTableDefinition, "cannot drop columns from view")
	}
	for i := range old.Columns {
		o, n := &old.Columns[i], &v.Columns[i]
		if o.Name != n.Name {
			return pgerror.Newf(pgerror.InvalidTableDefinition, "cannot change name of view column %q to %q", o.Name, n.Name).
				WithHint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
		}
		if !o.Type.Equal(n.Type) {
			return pgerror.Newf(pgerror.InvalidTableDefinition, "cannot change data type of view column %q from %s to %s", o.Name, o.Type.String(), n.Type.String())
		}
	}
	return nil
}

// addDependents makes what a view reads know of it; before is what an earlier
// version of it read.
func (env *Env) addDependents(ctx context.Context, v *catalog.View, before []catalog.ID) error {
	for _, id := range before {
		if slices.Contains(v.DependsOn, id) {
			continue
		}
		err := env.changeDependents(ctx, id, func(ids []catalog.ID) []catalog.ID {
			return slices.DeleteFunc(ids, func(d catalog.ID) bool { return d == v.ID })
		})
		if err != nil {
			return err
		}
	}
	for _, id := range v.DependsOn {
		if slices.Contains(before, id) {
			continue
		}
		err := env.changeDependents(ctx, id, func(ids []catalog.ID) []catalog.ID { return append(ids, v.ID) })
		if err != nil {
			return err
		}
	}
	return nil
}

// relationsOf returns the ids of the relations that a query names.
func (env *Env) relationsOf(ctx context.Context, query parser.Node) (ids []catalog.ID, err error) {
	common := map[string]bool{}
	var references []*parser.TableReference
	visit(reflect.ValueOf(query), func(n any) {
		switch n := n.(type) {
		case *parser.CommonTable:
			common[n.Name] = true
		case *parser.TableReference:
			references = append(references, n)
		}
	})
	for _, t := range references {
		if t.Schema == "" && common[t.Name] {
			continue
		}
		r, err := env.Catalog.Relation(ctx, nameOf(t.TableName))
		if err != nil {
			return nil, err
		}
		if r != nil && r.Head().ID >= catalog.FirstUserID && !slices.Contains(ids, r.Head().ID) {
			ids = append(ids, r.Head().ID)
		}
	}
	return ids, nil
}

// visit calls f for each pointer to a struct in a tree.
func visit(v reflect.Value, f func(any)) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			visit(v.Elem(), f)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Elem().Kind() == reflect.Struct {
			f(v.Interface())
		}
		visit(v.Elem(), f)
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), f)
		}
	}
}

// viewQuery parses a view's stored query, anew each time.
func viewQuery(v *catalog.View) (parser.Query, error) {
	statements, err := postgres.Parse(v.Query)
	if err != nil {
		return nil, err
	}
	if len(statements) == 1 {
		if q, ok := statements[0].AST.(parser.Query); ok {
			return q, nil
		}
	}
	return nil, pgerror.Newf(pgerror.DataCorrupted, "the stored query of view %q is damaged", v.Name)
}

// viewsUsing returns the views that use a column of a table, by binding them
// as if it were not there.
func (env *Env) viewsUsing(ctx context.Context, t *catalog.Table, column catalog.ColumnID) (views []*catalog.View, err error) {
	for _, id := range t.Dependents {
		r, err := env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return nil, err
		}
		v, ok := r.(*catalog.View)
		if !ok {
			continue
		}
		query, err := viewQuery(v)
		if err != nil {
			return nil, err
		}
		without := catalog.Clone(t)
		without.Column(column).Dropped = true
		c := env.storedContext(ctx)
		c.Resolver = &substitute{Resolver: env.Catalog, table: without}
		if _, err := opt.Build(c, query); err != nil {
			views = append(views, v)
		}
	}
	return views, nil
}

// substitute resolves one table to another version of it.
type substitute struct {
	catalog.Resolver
	table *catalog.Table
}

func (s *substitute) Relation(ctx context.Context, name catalog.Name) (catalog.Relation, error) {
	r, err := s.Resolver.Relation(ctx, name)
	if err == nil && r != nil && r.Head().ID == s.table.ID {
		return s.table, nil
	}
	return r, err
}

func (s *substitute) RelationByID(ctx context.Context, id catalog.ID) (catalog.Relation, error) {
	if id == s.table.ID {
		return s.table, nil
	}
	return s.Resolver.RelationByID(ctx, id)
}

func (s *substitute) TableByID(ctx context.Context, id catalog.ID) (*catalog.Table, error) {
	if id == s.table.ID {
		return s.table, nil
	}
	return s.Resolver.TableByID(ctx, id)
}

func (s *substitute) Epoch() uint64 { return 0 }

// renamed is a rename that dependent views must follow.
type renamed struct {
	relation catalog.Relation
	// from and to of the relation (schema and name), or of its column where
	// column is set.
	fromSchema, from string
	toSchema, to     string
	column           bool
}

// rewriteViews makes the stored queries of the views that read a relation
// follow its renaming; it runs after the renaming is stored.
func (env *Env) rewriteViews(ctx context.Context, r renamed) error {
	for _, id := range r.relation.Head().Dependents {
		d, err := env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return err
		}
		v, ok := d.(*catalog.View)
		if !ok {
			continue
		}
		query, err := viewQuery(v)
		if err != nil {
			return err
		}
		rewriteQuery(query, r)
		text, err := opt.DeparseQuery(env.storedContext(ctx), query, true)
		if err != nil {
			return pgerror.Newf(pgerror.FeatureNotSupported, "cannot rename %q because view %q, which uses it, can't be adapted: %v", r.from, v.Name, err)
		}
		n := catalog.Clone(v)
		n.Query = text
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// rewriteQuery changes the names in a query, which is qualified throughout.
func rewriteQuery(query parser.Query, r renamed) {
	aliases := map[string]bool{}
	visit(reflect.ValueOf(query), func(n any) {
		t, ok := n.(*parser.TableReference)
		if !ok || t.Schema != r.fromSchema || !r.column && t.Name != r.from || r.column && t.Name != r.relation.Head().Name {
			return
		}
		name := t.Name
		if t.Alias != nil && t.Alias.Name != "" {
			name = t.Alias.Name
		}
		aliases[name] = true
		if r.column {
			return
		}
		if t.Alias == nil && r.from != r.to {
			t.Alias = &parser.Alias{Name: t.Name}
		}
		t.Schema, t.Name = r.toSchema, r.to
	})
	if !r.column {
		return
	}
	rename := func(c *parser.ColumnReference) bool {
		last := len(c.Names) - 1
		if c.Star || c.Names[last] != r.from || last > 0 && !aliases[c.Names[last-1]] {
			return false
		}
		c.Names = slices.Clone(c.Names)
		c.Names[last] = r.to
		return true
	}
	visit(reflect.ValueOf(query), func(n any) {
		switch n := n.(type) {
		case *parser.Select:
			// Output columns keep their names.
			for i := range n.Targets {
				if c, ok := n.Targets[i].Expression.(*parser.ColumnReference); ok && n.Targets[i].Alias == "" && rename(c) {
					n.Targets[i].Alias = r.from
				}
			}
		case *parser.ColumnReference:
			rename(n)
		}
	})
}
