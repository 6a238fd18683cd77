package schemachange

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (env *Env) createIndex(ctx context.Context, s *parser.CreateIndex) error {
	if err := env.refuseIndexClauses(s); err != nil {
		return err
	}
	if s.Concurrently && !env.AutoCommit {
		return pgerror.New(pgerror.ActiveSQLTransaction, "CREATE INDEX CONCURRENTLY cannot run inside a transaction block")
	}
	t, err := env.findIndexedTable(ctx, s.Table)
	if err != nil {
		return err
	}
	if s.Name != "" && env.Catalog.NameTaken(t.Schema, s.Name) {
		if s.IfNotExists {
			env.notice(pgerror.DuplicateTable, "relation %q already exists, skipping", s.Name)
			return nil
		}
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.Name)
	}
	online := s.Concurrently
	if !online && env.AutoCommit && !env.Catalog.Created(t.ID) {
		small, err := env.isSmall(ctx, t)
		if err != nil {
			return err
		}
		online = !small
	}
	if online {
		return env.createIndexOnline(ctx, s, t)
	}
	// Behind a lock, all at once.
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	ix, err := env.newIndex(ctx, n, s)
	if err != nil {
		return err
	}
	source := catalog.Clone(n)
	n.Indexes = append(n.Indexes, ix)
	b := build{env: env, source: source, target: n, indexes: []*catalog.Index{&n.Indexes[len(n.Indexes)-1]}}
	if err := b.run(ctx); err != nil {
		return err
	}
	return env.Catalog.Write(ctx, n)
}

func (env *Env) refuseIndexClauses(s *parser.CreateIndex) error {
	if s.Where != nil {
		return env.at(pgerror.Unsupported("a partial index"), s.Where.At())
	}
	switch s.Method {
	case "btree":
	case "hash", "gin", "gist", "spgist", "brin":
		return env.at(pgerror.Unsupported("index method "+s.Method), s.Position)
	default:
		return pgerror.Newf(pgerror.UndefinedObject, "access method %q does not exist", s.Method)
	}
	if err := checkTablespace(s.Tablespace); err != nil {
		return err
	}
	return env.checkStorage(s.Options)
}

// findIndexedTable finds the table of CREATE INDEX.
func (env *Env) findIndexedTable(ctx context.Context, name parser.TableName) (*catalog.Table, error) {
	r, err := env.findRelation(ctx, name, false)
	if err != nil {
		return nil, err
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		e := pgerror.Newf(pgerror.WrongObjectType, "cannot create index on relation %q", r.Head().Name)
		if _, view := r.(*catalog.View); view {
			e = e.WithDetail("This operation is not supported for views.")
		} else {
			e = e.WithDetail("This operation is not supported for sequences.")
		}
		return nil, e
	}
	return t, nil
}

// newIndex makes the descriptor of an index of t, a clone, which gets the next
// index id.
func (env *Env) newIndex(ctx context.Context, t *catalog.Table, s *parser.CreateIndex) (catalog.Index, error) {
	c, err := env.changeOf(ctx, t)
	if err != nil {
		return catalog.Index{}, err
	}
	ix := catalog.Index{Name: s.Name, Unique: s.Unique, NullsNotDistinct: s.NullsNotDistinct}
	var names []string
	for _, e := range s.Elements {
		if e.Expression != nil {
			return ix, env.at(pgerror.Unsupported("an index on an expression"), e.Expression.At())
		}
		column := t.ColumnNamed(e.Column)
		if column == nil || column.Hidden {
			return ix, pgerror.Newf(pgerror.UndefinedColumn, "column %q does not exist", e.Column)
		}
		if err := env.requireIndexable(column); err != nil {
			return ix, err
		}
		if err := env.checkCollation(e.Collation, column.Type); err != nil {
			return ix, err
		}
		if err := env.checkOperatorClass(e, column); err != nil {
			return ix, err
		}
		if e.NullsFirst != e.Descending {
			return ix, env.at(pgerror.Unsupported("an index with NULLS FIRST ascending or NULLS LAST descending"), e.Position)
		}
		ix.Columns = append(ix.Columns, catalog.IndexColumn{Column: column.ID, Descending: e.Descending, NullsFirst: e.NullsFirst})
		names = append(names, e.Column)
	}
	if ix.Stored, err = c.includedColumns(s.Including); err != nil {
		return ix, err
	}
	if ix.Name == "" {
		if ix.Name, err = c.names.relation(ctx, t.Name, columnPart(append(names, s.Including...)), "idx", false); err != nil {
			return ix, err
		}
	}
	return ix, c.number(ctx, &ix)
}

// checkOperatorClass lets the default operator classes pass, and those whose
// order is the same here.
func (env *Env) checkOperatorClass(e parser.IndexElement, column *catalog.Column) error {
	if len(e.Class) == 0 {
		return nil
	}
	switch name := e.Class[len(e.Class)-1]; name {
	case column.Type.Name + "_ops", "text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops", "varchar_ops", "text_ops":
		return nil
	default:
		return env.at(pgerror.Unsupported("operator class \""+name+"\""), e.Position)
	}
}

// createIndexOnline builds an index beside running transactions.
//
//	own transaction:   index DeleteOnly, held undo job    → all nodes drained of the version before
//	own transaction:   index WriteOnly                    → drained again: all writers maintain it
//	own transactions:  existing rows, chunk by chunk
//	env.Txn:           index Public, job deleted
func (env *Env) createIndexOnline(ctx context.Context, s *parser.CreateIndex, t *catalog.Table) error {
	id := t.ID
	var ix catalog.Index
	job := int64(0)
	release := func(ctx context.Context) {
		if job != 0 {
			env.Jobs.Release(ctx, job)
			job = 0
		}
	}
	env.Catalog.OnRollback(release)
	version, err := env.stepIndex(ctx, id, func(ctx context.Context, x *catalog.Transaction, n *catalog.Table) error {
		release(ctx) // of an earlier attempt
		var err error
		if ix, err = env.newIndex(ctx, n, s); err != nil {
			return err
		}
		ix.State = catalog.DeleteOnly
		if job, err = env.Jobs.CreateHeld(ctx, x.Txn(), undoJob, undoPayload{id, ix.ID}); err != nil {
			return err
		}
		ix.Job = job
		n.Indexes = append(n.Indexes, ix)
		return nil
	})
	if err != nil {
		return err
	}
	if err := env.Catalog.WaitForVersion(ctx, id, version); err != nil {
		return err
	}
	version, err = env.stepIndex(ctx, id, func(_ context.Context, _ *catalog.Transaction, n *catalog.Table) error {
		return changeBuilt(n, ix.ID, job, func(ix *catalog.Index) { ix.State = catalog.WriteOnly })
	})
	if err != nil {
		return err
	}
	if err := env.Catalog.WaitForVersion(ctx, id, version); err != nil {
		return err
	}
	source, err := env.committedTable(ctx, id)
	if err != nil {
		return err
	}
	target := source.Index(ix.ID)
	if target == nil {
		return indexGone(ix.Name)
	}
	b := build{env: env, source: source, target: source, indexes: []*catalog.Index{target}, beside: true, own: true}
	if err := b.run(ctx); err != nil {
		return err
	}
	last, err := env.Catalog.Reload(ctx, id)
	if err != nil {
		return err
	}
	if last == nil {
		return indexGone(ix.Name)
	}
	last = catalog.Clone(last)
	if err := changeBuilt(last, ix.ID, job, func(ix *catalog.Index) { ix.State, ix.Job = catalog.Public, 0 }); err != nil {
		return err
	}
	if err := env.Catalog.WriteBeside(ctx, last); err != nil {
		return err
	}
	env.Catalog.OnCommit(release)
	return env.Jobs.Finish(ctx, env.Txn, job)
}

// stepIndex changes a table in a transaction of its own and returns the new
// version.
func (env *Env) stepIndex(ctx context.Context, id catalog.ID, change func(context.Context, *catalog.Transaction, *catalog.Table) error) (version catalog.Version, err error) {
	err = env.Manager.Run(ctx, "index step", env.Catalog.Names(), func(ctx context.Context, x *catalog.Transaction) error {
		t, err := x.Reload(ctx, id)
		if err != nil {
			return err
		}
		if t == nil {
			return pgerror.Newf(pgerror.UndefinedTable, "the table was dropped")
		}
		n := catalog.Clone(t)
		version = n.Version + 1
		if err := change(ctx, x, n); err != nil {
			return err
		}
		return x.WriteBeside(ctx, n)
	})
	return version, err
}

// changeBuilt changes the index that a job builds; somebody may have dropped
// it.
func changeBuilt(t *catalog.Table, id catalog.IndexID, job int64, change func(*catalog.Index)) error {
	for i := range t.Indexes {
		if ix := &t.Indexes[i]; ix.ID == id && ix.Job == job {
			change(ix)
			return nil
		}
	}
	return indexGone("")
}

func indexGone(name string) error {
	return pgerror.Newf(pgerror.SerializationFailure, "the table was changed while index %q was built", name)
}

// committedTable reads a table as it is committed now.
func (env *Env) committedTable(ctx context.Context, id catalog.ID) (t *catalog.Table, err error) {
	err = env.Manager.Run(ctx, "read table", env.Catalog.Names(), func(ctx context.Context, x *catalog.Transaction) error {
		t, err = x.Peek(ctx, id)
		if err == nil && t == nil {
			err = pgerror.New(pgerror.UndefinedTable, "the table was dropped")
		}
		return err
	})
	return t, err
}
