package exec

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
)

// act carries out the action of a constraint for keys that are gone. What is
// left to be checked at the end (NO ACTION) is returned.
func (k *keyChecks) act(ctx context.Context, l *keyList) (*keyList, error) {
	// Deleted and changed keys have actions of their own.
	deleted, changed := *l, *l
	deleted.keys, deleted.replacements, changed.keys, changed.replacements = nil, nil, nil, nil
	for i, key := range l.keys {
		to := &deleted
		if l.replacements[i] != nil {
			to = &changed
		}
		to.keys, to.replacements = append(to.keys, key), append(to.replacements, l.replacements[i])
	}
	rest := keyList{table: l.table, fk: l.fk}
	for _, part := range []struct {
		list   *keyList
		action catalog.Action
	}{{&deleted, l.fk.OnDelete}, {&changed, l.fk.OnUpdate}} {
		if len(part.list.keys) == 0 {
			continue
		}
		if part.action == catalog.NoAction {
			rest.keys = append(rest.keys, part.list.keys...)
			continue
		}
		t, err := k.rt.env.Resolver.TableByID(ctx, l.fk.Table)
		if err != nil {
			return nil, err
		}
		if part.action == catalog.Restrict {
			err = k.refuse(ctx, part.list, t, part.list.keys)
		} else {
			err = k.propagate(ctx, part.list, t, part.action)
		}
		if part.action == catalog.SetDefault {
			// The default may be the very key that is gone.
			rest.keys = append(rest.keys, part.list.keys...)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(rest.keys) == 0 {
		return nil, nil
	}
	return &rest, nil
}

// propagate deletes or changes the rows of t that refer to the list's keys.
func (k *keyChecks) propagate(ctx context.Context, l *keyList, t *catalog.Table, action catalog.Action) error {
	r, err := newReferencing(k.rt, t, l.fk)
	if err != nil {
		return err
	}
	keys, err := convertKeys(k.rt, l.table, t, l.fk, l.keys)
	if err != nil {
		return err
	}
	replacements, err := convertKeys(k.rt, l.table, t, l.fk, l.replacements)
	if err != nil {
		return err
	}
	w := newTableWriter(k.rt, t)
	var c *cascade
	err = r.find(ctx, keys, kvpb.LockUpdate, func(key int, old []types.Datum) error {
		if action == catalog.Cascade && replacements[key] == nil {
			if err := k.removed(ctx, t, old, nil); err != nil {
				return err
			}
			return w.delete(ctx, old)
		}
		if c == nil {
			if c, err = k.newCascade(ctx, t, l.fk, action); err != nil {
				return err
			}
		}
		row, err := c.change(ctx, old, replacements[key])
		if err != nil {
			return err
		}
		if err := k.replaced(ctx, t, old, row); err != nil {
			return err
		}
		return w.update(ctx, old, row)
	})
	if err != nil {
		return err
	}
	if err := w.send(ctx); err != nil {
		return err
	}
	k.rt.env.Txn.Step()
	return nil
}

// cascade makes the rows that an action writes: the constraint's columns
// changed, generated columns computed anew, checks tested.
type cascade struct {
	rt        *runtime
	table     *catalog.Table
	fk        *catalog.ForeignKey
	action    catalog.Action
	defaults  []types.Datum
	generated []catalog.ColumnID
	checks    []string
	evaluator *Evaluator // generated columns, then checks
	row       []types.Datum
}

func (k *keyChecks) newCascade(ctx context.Context, t *catalog.Table, fk *catalog.ForeignKey, action catalog.Action) (*cascade, error) {
	c := &cascade{rt: k.rt, table: t, fk: fk, action: action, row: make([]types.Datum, len(t.Columns)), defaults: make([]types.Datum, len(fk.Columns))}
	for i, id := range fk.Columns {
		c.defaults[i] = types.DNull
		column := &t.Columns[id-1]
		if action != catalog.SetDefault || column.Default == "" {
			continue
		}
		e, err := k.bind(ctx, t, column.Default, column.Type)
		if err != nil {
			return nil, err
		}
		if c.defaults[i], err = EvalScalar(ctx, k.rt.env, e); err != nil {
			return nil, err
		}
	}
	var expressions []opt.Scalar
	for i := range t.Columns {
		column := &t.Columns[i]
		if column.Dropped || column.Generated == "" {
			continue
		}
		e, err := k.bind(ctx, t, column.Generated, column.Type)
		if err != nil {
			return nil, err
		}
		c.generated, expressions = append(c.generated, column.ID), append(expressions, e)
	}
	for i := range t.Checks {
		check := &t.Checks[i]
		if check.State != catalog.Public && check.State != catalog.WriteOnly {
			continue
		}
		e, err := k.bind(ctx, t, check.Expr, types.Boolean)
		if err != nil {
			return nil, err
		}
		c.checks, expressions = append(c.checks, check.Name), append(expressions, e)
	}
	if len(expressions) == 0 {
		return c, nil
	}
	ids, ts := make([]opt.ColumnID, len(t.Columns)), make([]*types.T, len(t.Columns))
	for i := range t.Columns {
		if ids[i], ts[i] = opt.ColumnID(i+1), t.Columns[i].Type; ts[i] == nil {
			ts[i] = types.Unknown // a dropped one
		}
	}
	var err error
	c.evaluator, err = NewEvaluator(ctx, k.rt.env, ids, ts, expressions)
	return c, err
}

func (k *keyChecks) bind(ctx context.Context, t *catalog.Table, text string, want *types.T) (opt.Scalar, error) {
	if k.rt.env.BindExpression == nil {
		return nil, internalf("a referential action needs %q to be bound", text)
	}
	return k.rt.env.BindExpression(ctx, t, text, want)
}

// change returns the new row for one whose key became replacement (nil: is
// gone). It is valid until the next call.
func (c *cascade) change(ctx context.Context, old, replacement []types.Datum) ([]types.Datum, error) {
	copy(c.row, old)
	for i, id := range c.fk.Columns {
		switch c.action {
		case catalog.Cascade:
			c.row[id-1] = replacement[i]
		default:
			c.row[id-1] = c.defaults[i]
		}
	}
	if c.evaluator != nil {
		// Generated columns don't refer to each other.
		out, err := c.evaluator.Row(c.row)
		if err != nil {
			return nil, err
		}
		if len(c.generated) > 0 {
			for i, id := range c.generated {
				c.row[id-1] = out[i]
			}
			if out, err = c.evaluator.Row(c.row); err != nil {
				return nil, err
			}
		}
		for i, name := range c.checks {
			if d := out[len(c.generated)+i]; !d.Null && !d.Bool() {
				return nil, checkViolation(ctx, c.rt, c.table, name, slices.Clone(c.row))
			}
		}
	}
	for i := range c.table.Columns {
		if column := &c.table.Columns[i]; refusesNull(column) && c.row[i].Null && !old[i].Null {
			return nil, notNullViolation(ctx, c.rt, c.table, column, c.row)
		}
	}
	return c.row, nil
}
