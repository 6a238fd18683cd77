package schemachange

import (
	"bytes"
	"context"
	"strings"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// build is the writing of indexes of a table from its existing rows.
type build struct {
	env    *Env
	source *catalog.Table // as the rows are stored now
	target *catalog.Table // as the indexes shall be
	// indexes of target are written.
	indexes []*catalog.Index
	// transform turns a row of source into one of target, which has at least as
	// many columns; nil: they are the same. It may fail: constraints.
	transform func(row []types.Datum) error
	// beside: other transactions write to the table meanwhile, and to the
	// indexes, which are WriteOnly.
	beside bool
	// own: in transactions of its own, chunk by chunk.
	own bool
}

// run writes the entries of all rows.
func (b *build) run(ctx context.Context) error {
	s, err := newRowScanner(b.source)
	if err != nil {
		return err
	}
	layouts := make([]*rowenc.Layout, len(b.indexes))
	for i, ix := range b.indexes {
		layouts[i] = rowenc.NewLayout(b.target, ix)
	}
	for !s.done() {
		var next []byte
		work := func(ctx context.Context, t *txn.Txn) error {
			rows, n, err := s.chunk(ctx, t)
			if err != nil {
				return err
			}
			next = n
			return b.write(ctx, t, layouts, rows)
		}
		if b.own {
			err = b.env.DB.Run(ctx, txn.Options{Name: "build index"}, work)
		} else {
			if err = work(ctx, b.env.Txn); err == nil {
				b.env.Txn.Step()
			}
		}
		if err != nil {
			return err
		}
		s.advance(next)
	}
	return nil
}

// write writes the entries of some rows.
func (b *build) write(ctx context.Context, t *txn.Txn, layouts []*rowenc.Layout, rows [][]types.Datum) error {
	batch := &txn.Batch{}
	check := &txn.Batch{} // Gets of keys that must be free
	type claim struct {
		layout *rowenc.Layout
		row    []types.Datum
		value  []byte
	}
	var claims []claim
	width := len(b.target.Columns)
	seen := map[string]bool{}
	for _, row := range rows {
		for len(row) < width {
			row = append(row, types.DNull)
		}
		if b.transform != nil {
			if err := b.transform(row); err != nil {
				return err
			}
		}
		for _, l := range layouts {
			key, value, err := l.Entry(row)
			if err != nil {
				return err
			}
			batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Put, Key: key, Value: value})
			if !l.MustBeUnique(row) {
				continue
			}
			if seen[string(key)] {
				return b.duplicate(l, row)
			}
			seen[string(key)] = true
			claims = append(claims, claim{l, row, value})
			check.Requests = append(check.Requests, kvpb.Request{Kind: kvpb.Get, Key: key})
		}
	}
	if len(check.Requests) > 0 {
		responses, err := t.Send(ctx, check)
		if err != nil {
			return err
		}
		for i := range responses {
			if responses[i].Value == nil {
				continue
			}
			c := claims[i]
			if !b.beside || !sameRow(c.layout, responses[i].Value, c.value) {
				return b.duplicate(c.layout, c.row)
			}
		}
	}
	if len(batch.Requests) == 0 {
		return nil
	}
	_, err := t.Send(ctx, batch)
	return err
}

// sameRow reports whether two entries under one key of a unique index are of
// the same row: a running writer indexed it first.
func sameRow(l *rowenc.Layout, a, b []byte) bool {
	none := rowenc.NewLayout(l.Table, &l.Table.Primary)
	ka, errA := l.PrimaryKey(nil, none, a)
	kb, errB := l.PrimaryKey(nil, none, b)
	return errA == nil && errB == nil && bytes.Equal(ka, kb)
}

// duplicate is PostgreSQL's error for rows that a unique index can't hold.
func (b *build) duplicate(l *rowenc.Layout, row []types.Datum) error {
	e := pgerror.Newf(pgerror.UniqueViolation, "could not create unique index %q", l.Index.Name).
		WithDetail("Key %s is duplicated.", b.env.keyText(l.Table, columnsOf(l.Index), row, true))
	e.Schema, e.Table, e.Constraint = b.env.schemaName(l.Table.Schema), l.Table.Name, l.Index.Name
	return e
}

func columnsOf(ix *catalog.Index) []catalog.ColumnID {
	ids := make([]catalog.ColumnID, len(ix.Columns))
	for i := range ix.Columns {
		ids[i] = ix.Columns[i].Column
	}
	return ids
}

// keyText writes columns and their values as details of errors have them:
// (a, b)=(1, x), the names as identifiers where quoted.
func (env *Env) keyText(t *catalog.Table, columns []catalog.ColumnID, row []types.Datum, quoted bool) string {
	var names, values strings.Builder
	for i, id := range columns {
		if i > 0 {
			names.WriteString(", ")
			values.WriteString(", ")
		}
		c := t.Column(id)
		if quoted {
			names.WriteString(quote(c.Name))
		} else {
			names.WriteString(c.Name)
		}
		if d := row[id-1]; d.Null {
			values.WriteString("null")
		} else {
			values.Write(types.AppendText(nil, env.Types, c.Type, d))
		}
	}
	return "(" + names.String() + ")=(" + values.String() + ")"
}

func (env *Env) schemaName(id catalog.ID) string {
	s, err := env.Catalog.SchemaByID(context.Background(), id)
	if err != nil || s == nil {
		return ""
	}
	return s.Name
}

// reservation is index ids that a build writes under in transactions of its
// own, and the job that clears them if the statement's does not commit.
type reservation struct {
	first catalog.IndexID
	job   int64
}

// reserve takes n index ids of a table for good. The table must not be locked
// yet by the transaction.
func (env *Env) reserve(ctx context.Context, t *catalog.Table, n int) (*reservation, error) {
	r := &reservation{}
	held := int64(0)
	err := env.Manager.Run(ctx, "reserve indexes", env.Catalog.Names(), func(ctx context.Context, x *catalog.Transaction) error {
		if held != 0 {
			env.Jobs.Release(ctx, held)
		}
		now, err := x.Reload(ctx, t.ID)
		if err != nil {
			return err
		}
		if now == nil {
			return catalog.UndefinedTable(catalog.Name{Object: t.Name})
		}
		now = catalog.Clone(now)
		r.first = now.NextIndex
		now.NextIndex += catalog.IndexID(n)
		if err := x.WriteBeside(ctx, now); err != nil {
			return err
		}
		var p clearPayload
		for i := range n {
			p.addIndex(t.ID, r.first+catalog.IndexID(i))
		}
		held, err = env.Jobs.CreateHeld(ctx, x.Txn(), clearJob, p)
		return err
	})
	if err != nil {
		if held != 0 {
			env.Jobs.Release(ctx, held)
		}
		return nil, err
	}
	r.job = held
	release := func(ctx context.Context) { env.Jobs.Release(ctx, held) }
	env.Catalog.OnRollback(release)
	env.Catalog.OnCommit(release)
	return r, nil
}

// keep makes what was written under the reservation stay when the transaction
// commits.
func (env *Env) keep(ctx context.Context, r *reservation) error {
	if r == nil {
		return nil
	}
	return env.Jobs.Finish(ctx, env.Txn, r.job)
}

// prefixOf returns the span of an index's keys.
func prefixOf(table catalog.ID, index catalog.IndexID) kvpb.Span {
	p := keys.Index(uint32(table), uint32(index))
	return kvpb.Span{Key: p, EndKey: keys.PrefixEnd(p)}
}
