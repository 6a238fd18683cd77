package schemachange

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// renumber gives all indexes of a table new ids, beginning with those of a
// reservation if there is one, and has the data of the old ones deleted.
// Indexes that are being built are left away: their builder starts again.
func (env *Env) renumber(ctx context.Context, t *catalog.Table, r *reservation) error {
	next := t.NextIndex
	if r != nil {
		next = r.first
	}
	var old clearPayload
	take := func(ix *catalog.Index) {
		old.addIndex(t.ID, ix.ID)
		ix.ID = next
		next++
	}
	moved := map[catalog.IndexID]catalog.IndexID{}
	before := t.Primary.ID
	take(&t.Primary)
	moved[before] = t.Primary.ID
	kept := t.Indexes[:0]
	for _, ix := range t.Indexes {
		if ix.State != catalog.Public {
			continue
		}
		before := ix.ID
		take(&ix)
		moved[before] = ix.ID
		kept = append(kept, ix)
	}
	t.Indexes = kept
	t.NextIndex = max(t.NextIndex, next)
	if err := env.moveReferences(ctx, t, moved); err != nil {
		return err
	}
	return env.clearLater(ctx, old)
}

// moveReferences makes the foreign keys that reference t's indexes follow
// their new ids.
func (env *Env) moveReferences(ctx context.Context, t *catalog.Table, moved map[catalog.IndexID]catalog.IndexID) error {
	for i := range t.ReferencedBy {
		f := &t.ReferencedBy[i]
		id, ok := moved[f.ReferencedIndex]
		if !ok {
			continue
		}
		f.ReferencedIndex = id
		if f.Table == t.ID {
			for j := range t.ForeignKeys {
				if t.ForeignKeys[j].OID == f.OID {
					t.ForeignKeys[j].ReferencedIndex = id
				}
			}
			continue
		}
		r, err := env.Catalog.TableByID(ctx, f.Table)
		if err != nil {
			return err
		}
		other, err := env.lockTable(ctx, r)
		if err != nil {
			return err
		}
		for j := range other.ForeignKeys {
			if other.ForeignKeys[j].OID == f.OID {
				other.ForeignKeys[j].ReferencedIndex = id
			}
		}
		if err := env.Catalog.Write(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// rewrite stores all rows of a locked table anew: from old, as they are, to t,
// whose indexes have ids that nothing was stored under.
func (env *Env) rewrite(ctx context.Context, old, t *catalog.Table, r *reservation, transform func(row []types.Datum) error) error {
	b := build{env: env, source: old, target: t, indexes: []*catalog.Index{&t.Primary}, own: r != nil}
	for i := range t.Indexes {
		b.indexes = append(b.indexes, &t.Indexes[i])
	}
	required := requiredColumns(t)
	b.transform = func(row []types.Datum) error {
		if transform != nil {
			if err := transform(row); err != nil {
				return err
			}
		}
		for _, c := range required {
			if row[c.ID-1].Null {
				return env.containsNull(t, c)
			}
		}
		return nil
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	return env.keep(ctx, r)
}

func requiredColumns(t *catalog.Table) (required []*catalog.Column) {
	for _, c := range t.StoredColumns() {
		if c.NotNull {
			required = append(required, c)
		}
	}
	return required
}

func (env *Env) containsNull(t *catalog.Table, c *catalog.Column) error {
	e := pgerror.Newf(pgerror.NotNullViolation, "column %q of relation %q contains null values", c.Name, t.Name)
	e.Schema, e.Table, e.Column = env.schemaName(t.Schema), t.Name, c.Name
	return e
}

// checkNotNull proves that a column of a locked table has no NULLs.
func (env *Env) checkNotNull(ctx context.Context, t *catalog.Table, own bool, columns ...*catalog.Column) error {
	return env.eachRow(ctx, t, own, func(rows [][]types.Datum, _ *txn.Txn) error {
		for _, row := range rows {
			for _, c := range columns {
				if row[c.ID-1].Null {
					return env.containsNull(t, c)
				}
			}
		}
		return nil
	})
}

// evaluator computes expressions over the rows of a table.
func (env *Env) evaluator(ctx context.Context, t *catalog.Table, expressions ...opt.Scalar) (*exec.Evaluator, error) {
	columns := make([]opt.ColumnID, len(t.Columns))
	columnTypes := make([]*types.T, len(t.Columns))
	for i := range t.Columns {
		columns[i], columnTypes[i] = opt.ColumnID(t.Columns[i].ID), t.Columns[i].Type
	}
	return exec.NewEvaluator(ctx, env.execution(), columns, columnTypes, expressions)
}

// checkRows proves that the rows of a locked table meet a check constraint.
func (env *Env) checkRows(ctx context.Context, t *catalog.Table, own bool, check *catalog.Check) error {
	b, err := env.bindStored(ctx, t, check.Expr, types.Boolean, "check constraints")
	if err != nil {
		return err
	}
	e, err := env.evaluator(ctx, t, b.scalar)
	if err != nil {
		return err
	}
	return env.eachRow(ctx, t, own, func(rows [][]types.Datum, _ *txn.Txn) error {
		for _, row := range rows {
			out, err := e.Row(row)
			if err != nil {
				return err
			}
			if !out[0].Null && !out[0].Bool() {
				e := pgerror.Newf(pgerror.CheckViolation, "check constraint %q of relation %q is violated by some row", check.Name, t.Name)
				e.Schema, e.Table, e.Constraint = env.schemaName(t.Schema), t.Name, check.Name
				return e
			}
		}
		return nil
	})
}

// checkForeignKey proves that each row of a locked table has its referenced
// row; the referenced table is locked, too.
func (env *Env) checkForeignKey(ctx context.Context, t *catalog.Table, own bool, referenced *catalog.Table, f *catalog.ForeignKey) error {
	ix := referenced.Index(f.ReferencedIndex)
	layout := rowenc.NewLayout(referenced, ix)
	casts := make([]*types.BoundCast, len(f.Columns))
	for i := range f.Columns {
		from, to := t.Column(f.Columns[i]).Type, referenced.Column(f.ReferencedColumns[i]).Type
		if from.OID == to.OID {
			continue
		}
		cast, ok := types.FindCast(from, to.WithTypmod(-1), types.AssignmentCast)
		if !ok {
			return pgerror.Newf(pgerror.DatatypeMismatch, "foreign key constraint %q cannot be implemented", f.Name)
		}
		casts[i] = cast
	}
	violated := func(row []types.Datum) error {
		e := pgerror.Newf(pgerror.ForeignKeyViolation, "insert or update on table %q violates foreign key constraint %q", t.Name, f.Name).
			WithDetail("Key %s is not present in table %q.", env.keyText(t, f.Columns, row, false), referenced.Name)
		e.Schema, e.Table, e.Constraint = env.schemaName(t.Schema), t.Name, f.Name
		return e
	}
	return env.eachRow(ctx, t, own, func(rows [][]types.Datum, x *txn.Txn) error {
		batch := &txn.Batch{}
		var asking [][]types.Datum
		values, inOrder := make([]types.Datum, len(f.Columns)), make([]types.Datum, len(f.Columns))
		for _, row := range rows {
			nulls := 0
			for i, id := range f.Columns {
				if values[i] = row[id-1]; values[i].Null {
					nulls++
				}
			}
			if nulls > 0 {
				if f.MatchFull && nulls < len(f.Columns) {
					e := pgerror.Newf(pgerror.ForeignKeyViolation, "insert or update on table %q violates foreign key constraint %q", t.Name, f.Name).
						WithDetail("MATCH FULL does not allow mixing of null and nonnull key values.")
					e.Schema, e.Table, e.Constraint = env.schemaName(t.Schema), t.Name, f.Name
					return e
				}
				continue
			}
			fits := true
			for i, cast := range casts {
				if cast == nil {
					continue
				}
				d, err := cast.Eval(env.Types, values[i])
				if err != nil {
					fits = false // out of the referenced type's range: there is no such row
					break
				}
				values[i] = d
			}
			if !fits {
				return violated(row)
			}
			for i, c := range ix.Columns {
				inOrder[i] = values[slices.Index(f.ReferencedColumns, c.Column)]
			}
			key, _, err := layout.AppendPartialKey(nil, inOrder)
			if err != nil {
				return err
			}
			asking = append(asking, row)
			batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Get, Key: key})
		}
		if len(asking) == 0 {
			return nil
		}
		responses, err := x.Send(ctx, batch)
		if err != nil {
			return err
		}
		for i := range responses {
			if responses[i].Value == nil {
				return violated(asking[i])
			}
		}
		return nil
	})
}
