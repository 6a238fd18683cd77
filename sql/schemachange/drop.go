package schemachange

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (env *Env) drop(ctx context.Context, s *parser.Drop) (string, error) {
	tag := "DROP " + kindName(s.Kind)
	switch s.Kind {
	case parser.ObjectTable, parser.ObjectView, parser.ObjectSequence:
		return tag, env.dropRelations(ctx, s)
	case parser.ObjectIndex:
		return tag, env.dropIndexes(ctx, s)
	case parser.ObjectSchema:
		return tag, env.dropSchemas(ctx, s)
	case parser.ObjectOther:
		return "", pgerror.Unsupported("DROP " + s.What)
	case parser.ObjectType, parser.ObjectFunction, parser.ObjectMaterializedView, parser.ObjectExtension, parser.ObjectDomain:
		// There are none, which IF EXISTS may ask for.
		if !s.IfExists {
			return "", pgerror.Unsupported("DROP " + kindName(s.Kind))
		}
		for _, n := range s.Names {
			what := strings.ToLower(kindName(s.Kind))
			if s.Kind == parser.ObjectFunction {
				env.notice(pgerror.SuccessfulCompletion, "%s %s() does not exist, skipping", what, display(n))
			} else {
				env.notice(pgerror.SuccessfulCompletion, "%s %q does not exist, skipping", what, display(n))
			}
		}
		return tag, nil
	}
	return "", pgerror.Unsupported(tag)
}

// relationKinds are what DROP TABLE and its like are about.
func kindOf(r catalog.Relation) parser.ObjectKind {
	switch r.(type) {
	case *catalog.View:
		return parser.ObjectView
	case *catalog.Sequence:
		return parser.ObjectSequence
	}
	return parser.ObjectTable
}

// wrongKind is PostgreSQL's error for DROP TABLE of a view and the like.
func wrongKind(wanted parser.ObjectKind, got parser.ObjectKind, name string) error {
	article := map[parser.ObjectKind]string{parser.ObjectTable: "a table", parser.ObjectView: "a view", parser.ObjectSequence: "a sequence", parser.ObjectIndex: "an index"}
	e := pgerror.Newf(pgerror.WrongObjectType, "%q is not %s", name, article[wanted])
	return e.WithHint("Use DROP %s to remove %s.", kindName(got), article[got])
}

func (env *Env) dropRelations(ctx context.Context, s *parser.Drop) error {
	r := env.newRemoval()
	r.cascade = s.Cascade
	for _, name := range s.Names {
		relation, err := env.Catalog.Relation(ctx, nameOf(name))
		if err != nil {
			return env.at(err, name.Position)
		}
		if relation == nil {
			if err := env.dropMissing(ctx, s, name); err != nil {
				return err
			}
			continue
		}
		if relation.Head().ID < catalog.FirstUserID {
			return pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied: %q is a system catalog", relation.Head().Name)
		}
		if got := kindOf(relation); got != s.Kind {
			return wrongKind(s.Kind, got, relation.Head().Name)
		}
		if err := env.requireOwner(ctx, relation); err != nil {
			return err
		}
		if q, ok := relation.(*catalog.Sequence); ok && q.Identity {
			t, err := env.Catalog.TableByID(ctx, q.OwnerTable)
			if err != nil {
				return err
			}
			column := "column " + t.Column(q.OwnerColumn).Name + " of " + env.describe(ctx, t)
			return pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop %s because %s requires it", env.describe(ctx, q), column).
				WithHint("You can drop %s instead.", column)
		}
		r.add(relation)
	}
	return r.check(ctx, len(s.Names) > 1)
}

// dropMissing answers DROP of a relation that isn't there.
func (env *Env) dropMissing(ctx context.Context, s *parser.Drop, name parser.TableName) error {
	what := strings.ToLower(kindName(s.Kind))
	if name.Schema != "" {
		schema, err := env.Catalog.SchemaNamed(ctx, name.Schema)
		if err != nil {
			return err
		}
		if schema == nil {
			if s.IfExists {
				env.notice(pgerror.SuccessfulCompletion, "schema %q does not exist, skipping", name.Schema)
				return nil
			}
			return catalog.UndefinedSchema(name.Schema)
		}
	}
	if s.Kind != parser.ObjectIndex {
		if t, ix, err := env.Catalog.Index(ctx, nameOf(name)); err != nil {
			return err
		} else if t != nil {
			return wrongKind(s.Kind, parser.ObjectIndex, ix.Name)
		}
	}
	if s.IfExists {
		env.notice(pgerror.SuccessfulCompletion, "%s %q does not exist, skipping", what, name.Name)
		return nil
	}
	code := pgerror.UndefinedTable
	if s.Kind == parser.ObjectIndex {
		code = pgerror.UndefinedObject
	}
	return pgerror.Newf(code, "%s %q does not exist", what, name.Name)
}

// describe names a relation as messages about dependencies do.
func (env *Env) describe(ctx context.Context, d catalog.Descriptor) string {
	name := d.Head().Name
	r, ok := d.(catalog.Relation)
	if !ok {
		return describeKind(d) + " " + name
	}
	if found, err := env.Catalog.Relation(ctx, catalog.Name{Object: name}); err != nil || found == nil || found.Head().ID != d.Head().ID {
		if s := env.schemaName(r.SchemaOf()); s != "" {
			return describeKind(d) + " " + quote(s) + "." + quote(name)
		}
	}
	return describeKind(d) + " " + quote(name)
}

// removal is a set of relations that are dropped together, with what depends
// on them.
type removal struct {
	env     *Env
	objects []catalog.Relation
	in      map[catalog.ID]bool
	schemas []*catalog.Schema
	cascade bool
	// what is dropped because something else is
	dependents []string // "view v depends on table t"
	cascaded   []string // "view v"
	keys       []catalog.ForeignKey
	defaults   []columnName
}

type columnName struct {
	table  catalog.ID
	column catalog.ColumnID
}

func (env *Env) newRemoval() *removal { return &removal{env: env, in: map[catalog.ID]bool{}} }

func (r *removal) add(o catalog.Relation) {
	if !r.in[o.Head().ID] {
		r.in[o.Head().ID] = true
		r.objects = append(r.objects, o)
	}
}

// depends notes that something must go because of what it depends on.
func (r *removal) depends(what, on string) {
	r.dependents = append(r.dependents, what+" depends on "+on)
	r.cascaded = append(r.cascaded, what)
}

// check finds what depends on the objects, refuses to go on if there is
// anything and CASCADE was not said, and removes all.
func (r *removal) check(ctx context.Context, several bool) error {
	if len(r.objects) == 0 && len(r.schemas) == 0 {
		return nil
	}
	described := ""
	if len(r.objects) > 0 {
		described = r.env.describe(ctx, r.objects[0])
	}
	if len(r.schemas) > 0 {
		described = "schema " + r.schemas[0].Name
	}
	if err := r.collect(ctx); err != nil {
		return err
	}
	if len(r.dependents) > 0 {
		if !r.cascade {
			message := "cannot drop " + described + " because other objects depend on it"
			if several {
				message = "cannot drop desired object(s) because other objects depend on them"
			}
			return pgerror.New(pgerror.DependentObjectsStillExist, message).
				WithDetail("%s", limited(r.dependents)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		}
		r.env.cascadeNotice(r.cascaded)
	}
	return r.remove(ctx)
}

// limited joins lines as PostgreSQL does for clients: at most 100.
func limited(lines []string) string {
	const most = 100
	if len(lines) > most {
		lines = append(slices.Clone(lines[:most]), "and more")
	}
	return strings.Join(lines, "\n")
}

func (env *Env) cascadeNotice(dropped []string) {
	if env.Notice == nil || len(dropped) == 0 {
		return
	}
	if len(dropped) == 1 {
		env.notice(pgerror.SuccessfulCompletion, "drop cascades to %s", dropped[0])
		return
	}
	lines := make([]string, len(dropped))
	for i, d := range dropped {
		lines[i] = "drop cascades to " + d
	}
	e := pgerror.Newf(pgerror.SuccessfulCompletion, "drop cascades to %d other objects", len(dropped)).WithDetail("%s", limited(lines))
	env.Notice("NOTICE", e)
}

// collect follows dependencies until nothing new comes.
func (r *removal) collect(ctx context.Context) error {
	env := r.env
	for i := 0; i < len(r.objects); i++ {
		o := r.objects[i]
		// Sequences that columns own go without saying.
		if t, ok := o.(*catalog.Table); ok {
			if err := r.addOwned(ctx, t); err != nil {
				return err
			}
		}
		on := env.describe(ctx, o)
		dependents := slices.Clone(o.Head().Dependents)
		slices.Sort(dependents)
		for _, id := range dependents {
			if r.in[id] {
				continue
			}
			d, err := env.Catalog.RelationByID(ctx, id)
			if err != nil {
				return err
			}
			switch d := d.(type) {
			case *catalog.View:
				r.depends(env.describe(ctx, d), on)
				r.add(d)
			case *catalog.Table:
				if q, ok := o.(*catalog.Sequence); ok {
					if err := r.addDefaults(ctx, q, d); err != nil {
						return err
					}
				}
			}
		}
		switch o := o.(type) {
		case *catalog.Table:
			for _, f := range o.ReferencedBy {
				if r.in[f.Table] {
					continue
				}
				t, err := env.Catalog.TableByID(ctx, f.Table)
				if err != nil {
					return err
				}
				r.depends("constraint "+quote(f.Name)+" on "+env.describe(ctx, t), on)
				r.keys = append(r.keys, f)
			}
		case *catalog.Sequence:
			if o.OwnerTable == 0 || r.in[o.OwnerTable] {
				continue
			}
			d, err := env.Catalog.RelationByID(ctx, o.OwnerTable)
			if err != nil {
				return err
			}
			if t, ok := d.(*catalog.Table); ok {
				if err := r.addDefaults(ctx, o, t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *removal) addOwned(ctx context.Context, t *catalog.Table) error {
	for i := range t.Columns {
		id := t.Columns[i].OwnedSequence
		if id == 0 || t.Columns[i].Dropped || r.in[id] {
			continue
		}
		d, err := r.env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return err
		}
		if q, ok := d.(*catalog.Sequence); ok {
			r.add(q)
		}
	}
	// OWNED BY links sequences that the column doesn't know of, where it has
	// another already.
	relations, err := r.env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	for _, d := range relations {
		if q, ok := d.(*catalog.Sequence); ok && q.OwnerTable == t.ID {
			r.add(q)
		}
	}
	return nil
}

// addDefaults notes the defaults of a table that use a sequence.
func (r *removal) addDefaults(ctx context.Context, q *catalog.Sequence, t *catalog.Table) error {
	schema, err := r.env.Catalog.SchemaByID(ctx, q.Schema)
	if err != nil || schema == nil {
		return err
	}
	text := DefaultSequenceText(schema, q)
	for i := range t.Columns {
		c := &t.Columns[i]
		if !c.Dropped && strings.Contains(c.Default, text) {
			r.depends("default value for column "+quote(c.Name)+" of "+r.env.describe(ctx, t), r.env.describe(ctx, q))
			r.defaults = append(r.defaults, columnName{t.ID, c.ID})
		}
	}
	return nil
}

// remove drops the objects, takes them out of what remains, and has their data
// deleted.
func (r *removal) remove(ctx context.Context) error {
	env := r.env
	if err := r.lock(ctx); err != nil {
		return err
	}
	var clear clearPayload
	for _, o := range r.objects {
		now, err := env.Catalog.RelationByID(ctx, o.Head().ID)
		if err != nil {
			return err
		}
		if now == nil {
			continue
		}
		switch now := now.(type) {
		case *catalog.Table:
			if err := r.detachTable(ctx, now); err != nil {
				return err
			}
			clear.addTable(now.ID)
		case *catalog.View:
			for _, id := range now.DependsOn {
				if err := r.removeDependent(ctx, id, now.ID); err != nil {
					return err
				}
			}
		case *catalog.Sequence:
			if now.OwnerTable != 0 && !r.in[now.OwnerTable] {
				if err := env.setOwnedSequence(ctx, now.OwnerTable, now.OwnerColumn, now.ID, 0); err != nil {
					return err
				}
			}
			clear.addTable(now.ID)
		}
	}
	for _, f := range r.keys {
		if err := env.removeForeignKey(ctx, f); err != nil {
			return err
		}
	}
	for _, d := range r.defaults {
		t, err := env.cloneTable(ctx, d.table)
		if err != nil {
			return err
		}
		if t.Column(d.column).Identity == catalog.NoIdentity {
			t.Column(d.column).Default = ""
		}
		if err := env.Catalog.Write(ctx, t); err != nil {
			return err
		}
	}
	for _, o := range r.objects {
		now, err := env.Catalog.RelationByID(ctx, o.Head().ID)
		if err != nil {
			return err
		}
		if now == nil {
			continue
		}
		if err := env.Catalog.Drop(ctx, now); err != nil {
			return err
		}
	}
	for _, s := range r.schemas {
		if err := env.Catalog.Drop(ctx, s); err != nil {
			return err
		}
	}
	return env.clearLater(ctx, clear)
}

// lock locks all tables that are dropped or changed, at once.
func (r *removal) lock(ctx context.Context) error {
	ids := map[catalog.ID]bool{}
	for _, o := range r.objects {
		switch o := o.(type) {
		case *catalog.Table:
			ids[o.ID] = true
			for _, f := range o.ForeignKeys {
				ids[f.ReferencedTable] = true
			}
		case *catalog.Sequence:
			if o.OwnerTable != 0 {
				ids[o.OwnerTable] = true
			}
		}
	}
	for _, f := range r.keys {
		ids[f.Table] = true
	}
	for _, d := range r.defaults {
		ids[d.table] = true
	}
	var relations []catalog.Relation
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		d, err := r.env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return err
		}
		if d != nil {
			relations = append(relations, d)
		}
	}
	return r.env.Catalog.Lock(ctx, relations...)
}

// detachTable takes a table out of those that it references and out of the
// sequences that its defaults use.
func (r *removal) detachTable(ctx context.Context, t *catalog.Table) error {
	env := r.env
	for _, f := range t.ForeignKeys {
		if r.in[f.ReferencedTable] {
			continue
		}
		n, err := env.cloneTable(ctx, f.ReferencedTable)
		if err != nil {
			return err
		}
		n.ReferencedBy = slices.DeleteFunc(n.ReferencedBy, func(o catalog.ForeignKey) bool { return o.OID == f.OID })
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return strings.Contains(c.Default, "nextval(") && c.OwnedSequence == 0 }) {
		return nil
	}
	relations, err := env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	for _, d := range relations {
		if q, ok := d.(*catalog.Sequence); ok && !r.in[q.ID] && slices.Contains(q.Dependents, t.ID) {
			if err := r.removeDependent(ctx, q.ID, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeDependent takes a view (or table) out of what a relation knows to
// depend on it. Tables needn't be locked for that.
func (r *removal) removeDependent(ctx context.Context, of, dependent catalog.ID) error {
	if r.in[of] {
		return nil
	}
	return r.env.changeDependents(ctx, of, func(ids []catalog.ID) []catalog.ID {
		return slices.DeleteFunc(ids, func(id catalog.ID) bool { return id == dependent })
	})
}

func (env *Env) changeDependents(ctx context.Context, of catalog.ID, change func([]catalog.ID) []catalog.ID) error {
	d, err := env.Catalog.RelationByID(ctx, of)
	if err != nil || d == nil || d.Head().ID < catalog.FirstUserID {
		return err
	}
	if t, ok := d.(*catalog.Table); ok {
		// Running transactions don't mind: the table's rows stay as they are.
		now, err := env.Catalog.ReloadUnlessOwn(ctx, t.ID)
		if err != nil {
			return err
		}
		if now == nil {
			return catalog.UndefinedTable(catalog.Name{Object: t.Name})
		}
		n := catalog.Clone(now)
		n.Dependents = change(n.Dependents)
		return env.Catalog.WriteBeside(ctx, n)
	}
	n := catalog.Clone(d)
	n.Head().Dependents = change(n.Head().Dependents)
	return env.Catalog.Write(ctx, n)
}

// removeForeignKey takes a foreign key out of both its tables, which are
// locked.
func (env *Env) removeForeignKey(ctx context.Context, f catalog.ForeignKey) error {
	same := func(o catalog.ForeignKey) bool { return o.OID == f.OID }
	ids := []catalog.ID{f.Table}
	if f.ReferencedTable != f.Table {
		ids = append(ids, f.ReferencedTable)
	}
	for _, id := range ids {
		d, err := env.Catalog.RelationByID(ctx, id)
		if err != nil {
			return err
		}
		t, ok := d.(*catalog.Table)
		if !ok {
			continue
		}
		n := catalog.Clone(t)
		n.ForeignKeys = slices.DeleteFunc(n.ForeignKeys, same)
		n.ReferencedBy = slices.DeleteFunc(n.ReferencedBy, same)
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (env *Env) dropIndexes(ctx context.Context, s *parser.Drop) error {
	if s.Concurrently && !env.AutoCommit {
		return pgerror.New(pgerror.ActiveSQLTransaction, "DROP INDEX CONCURRENTLY cannot run inside a transaction block")
	}
	for _, name := range s.Names {
		t, ix, err := env.Catalog.Index(ctx, nameOf(name))
		if err != nil {
			return env.at(err, name.Position)
		}
		if t == nil {
			if r, err := env.Catalog.Relation(ctx, nameOf(name)); err != nil {
				return err
			} else if r != nil {
				return wrongKind(parser.ObjectIndex, kindOf(r), r.Head().Name)
			}
			if err := env.dropMissing(ctx, s, name); err != nil {
				return err
			}
			continue
		}
		if err := env.requireOwner(ctx, t); err != nil {
			return pgerror.Newf(pgerror.InsufficientPrivilege, "must be owner of index %s", ix.Name)
		}
		if ix.Constraint {
			return pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop index %s because constraint %s on %s requires it", quote(ix.Name), quote(ix.Name), env.describe(ctx, t)).
				WithHint("You can drop constraint %s on %s instead.", quote(ix.Name), env.describe(ctx, t))
		}
		if err := env.dropIndex(ctx, t, ix.ID, s.Cascade); err != nil {
			return err
		}
	}
	return nil
}

// dropIndex drops a secondary index and, with cascade, the foreign keys that
// need it.
func (env *Env) dropIndex(ctx context.Context, t *catalog.Table, id catalog.IndexID, cascade bool) error {
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	ix := n.Index(id)
	if ix == nil {
		return pgerror.Newf(pgerror.UndefinedObject, "the index does not exist")
	}
	keys, err := env.keysOver(ctx, n, ix, "index "+quote(ix.Name), cascade)
	if err != nil {
		return err
	}
	for _, f := range keys {
		if err := env.removeForeignKey(ctx, f); err != nil {
			return err
		}
	}
	if n, err = env.cloneTable(ctx, t.ID); err != nil {
		return err
	}
	n.Indexes = slices.DeleteFunc(n.Indexes, func(o catalog.Index) bool { return o.ID == id })
	if err := env.Catalog.Write(ctx, n); err != nil {
		return err
	}
	var clear clearPayload
	clear.addIndex(t.ID, id)
	return env.clearLater(ctx, clear)
}

// keysOver returns the foreign keys that reference a table by an index that is
// going to be dropped; their tables are locked. Without cascade there may be
// none.
func (env *Env) keysOver(ctx context.Context, t *catalog.Table, ix *catalog.Index, what string, cascade bool) ([]catalog.ForeignKey, error) {
	var keys []catalog.ForeignKey
	var dependents, cascaded []string
	var tables []catalog.Relation
	for _, f := range t.ReferencedBy {
		if f.ReferencedIndex != ix.ID {
			continue
		}
		other := t
		if f.Table != t.ID {
			o, err := env.Catalog.TableByID(ctx, f.Table)
			if err != nil {
				return nil, err
			}
			other = o
			tables = append(tables, o)
		}
		described := "constraint " + quote(f.Name) + " on " + env.describe(ctx, other)
		dependents = append(dependents, described+" depends on index "+quote(ix.Name))
		cascaded = append(cascaded, described)
		keys = append(keys, f)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if !cascade {
		return nil, pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", what).
			WithDetail("%s", limited(dependents)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
	}
	env.cascadeNotice(cascaded)
	return keys, env.Catalog.Lock(ctx, tables...)
}

func (env *Env) dropSchemas(ctx context.Context, s *parser.Drop) error {
	r := env.newRemoval()
	r.cascade = s.Cascade
	for _, name := range s.Names {
		schema, err := env.Catalog.SchemaNamed(ctx, name.Name)
		if err != nil {
			return err
		}
		if schema == nil {
			if s.IfExists {
				env.notice(pgerror.SuccessfulCompletion, "schema %q does not exist, skipping", name.Name)
				continue
			}
			return catalog.UndefinedSchema(name.Name)
		}
		if schema.Virtual {
			return pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop schema %s because it is required by the database system", schema.Name)
		}
		if err := env.requireOwner(ctx, schema); err != nil {
			return err
		}
		r.schemas = append(r.schemas, schema)
		relations, err := env.Catalog.Relations(ctx)
		if err != nil {
			return err
		}
		slices.SortStableFunc(relations, func(a, b catalog.Relation) int { return cmp.Compare(a.Head().ID, b.Head().ID) })
		for _, d := range relations {
			if d.SchemaOf() != schema.ID || r.in[d.Head().ID] {
				continue
			}
			if q, ok := d.(*catalog.Sequence); !ok || q.OwnerTable == 0 {
				r.depends(env.describe(ctx, d), "schema "+schema.Name)
			}
			r.add(d)
		}
	}
	return r.check(ctx, len(s.Names) > 1)
}
