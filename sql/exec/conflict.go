package exec

import (
	"context"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
	"github.com/cairndb/cairn/txn"
)

// upsert is INSERT … ON CONFLICT. For each batch it looks up, and locks, the
// entries that its rows would have in the arbiter indexes:
//
//	entry not there       → the row is inserted
//	there, DO NOTHING     → the row is left out
//	there, DO UPDATE      → the row that it belongs to is locked and updated
//	written by this statement: left out, or 21000
type upsert struct {
	*insert
	arbiters []*rowenc.Layout
	primary  *rowenc.Layout
	locker   *rowLocker
	decoder  *rowenc.Decoder
	update   bool
	set      []setColumn
	where    []scalar
	existing []*vector.Vector
	ordinals []int // of existing's columns
	// written has the arbiters' keys of rows inserted, touched the primary keys
	// of rows inserted or updated, by this statement.
	written, touched map[string]struct{}

	batch     txn.Batch
	keys      [][]byte // of the batch's rows: len(arbiters) each, nil where NULLs make it unique
	combined  vector.Batch
	out       vector.Batch
	final     []*vector.Vector // of the table's columns, by ordinal
	selection []int32
	filtered  []int32
	oldRow    []types.Datum
	newRow    []types.Datum
	found     map[string][]byte
}

type setColumn struct {
	ordinal int
	value   scalar
}

func (b *builder) upsert(n *opt.Insert, i *insert, s schema) (Operator, schema, error) {
	t, c := n.Table, n.OnConflict
	u := &upsert{insert: i, update: c.Update, primary: i.writer.primary, locker: newRowLocker(b.rt, t, opt.Locking{Strength: kvpb.LockUpdate}),
		final: make([]*vector.Vector, len(t.Columns)), oldRow: make([]types.Datum, len(t.Columns)), newRow: make([]types.Datum, len(t.Columns))}
	arbiters := c.Arbiters
	if arbiters == nil {
		arbiters = append(arbiters, &t.Primary)
		for k := range t.Indexes {
			if ix := &t.Indexes[k]; ix.Unique && ix.State == catalog.Public {
				arbiters = append(arbiters, ix)
			}
		}
	}
	for _, ix := range arbiters {
		u.arbiters = append(u.arbiters, rowenc.NewLayout(t, ix))
	}
	if !c.Update {
		return u, s, nil
	}
	existing, wanted := tableSchema(t, c.Existing)
	var err error
	if u.decoder, err = rowenc.NewDecoder(u.primary, wanted); err != nil {
		return nil, nil, err
	}
	u.existing = newVectors(existing.types())
	for _, id := range wanted {
		u.ordinals = append(u.ordinals, int(id)-1)
	}
	both := s.plus(existing)
	for _, set := range c.Set {
		value, err := b.scalar(set.Value, both)
		if err != nil {
			return nil, nil, err
		}
		u.set = append(u.set, setColumn{int(set.Column) - 1, value})
	}
	if c.Where != nil {
		where, err := b.scalar(c.Where, both)
		if err != nil {
			return nil, nil, err
		}
		u.where = []scalar{where}
	}
	for o, p := range i.reader.positions {
		if p >= 0 {
			u.final[o] = vector.New(s[p].t)
		}
	}
	return u, s, nil
}

func (u *upsert) Open(ctx context.Context) error {
	u.written, u.touched = map[string]struct{}{}, map[string]struct{}{}
	return u.insert.Open(ctx)
}

func (u *upsert) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := u.Operator.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, u.writer.send(ctx)
		}
		if err := u.constraints.test(ctx, b); err != nil {
			return nil, err
		}
		if err := u.lookUp(ctx, b); err != nil {
			return nil, err
		}
		conflicts, owners, err := u.insertNew(ctx, b)
		if err != nil {
			return nil, err
		}
		u.out = vector.Batch{Columns: b.Columns, Length: len(u.selection), Selection: u.selection}
		if u.update && len(conflicts) > 0 {
			if err := u.updateExisting(ctx, b, conflicts, owners); err != nil {
				return nil, err
			}
		}
		if u.counts {
			u.rt.affected += int64(u.out.Length)
		}
		if u.out.Length > 0 {
			return &u.out, nil
		}
	}
}

// lookUp reads and locks the arbiters' entries of all rows.
func (u *upsert) lookUp(ctx context.Context, b *vector.Batch) error {
	u.keys, u.batch.Requests = u.keys[:0], u.batch.Requests[:0]
	u.found = map[string][]byte{}
	for n := range b.Length {
		row := u.reader.read(b.Columns, b.Row(n))
		for _, l := range u.arbiters {
			if !l.MustBeUnique(row) {
				u.keys = append(u.keys, nil)
				continue
			}
			key, err := l.AppendKey(nil, row)
			if err != nil {
				return err
			}
			u.keys = append(u.keys, key)
			u.batch.Requests = append(u.batch.Requests, kvpb.Request{Kind: kvpb.Get, Lock: kvpb.LockUpdate, Key: key})
		}
	}
	if len(u.batch.Requests) == 0 {
		return nil
	}
	u.batch.LockTimeout = u.rt.env.LockTimeout
	responses, err := u.rt.env.Txn.Send(ctx, &u.batch)
	if err != nil {
		return lockError(err, u.table)
	}
	for i := range responses {
		if responses[i].Value != nil {
			u.found[string(u.batch.Requests[i].Key)] = responses[i].Value
		}
	}
	return nil
}

func secondTime() error {
	return pgerror.New(pgerror.CardinalityViolation, "ON CONFLICT DO UPDATE command cannot affect row a second time").
		WithHint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}

// insertNew inserts the rows without a conflict, which selection then names.
// It returns the rows with one and the primary keys of the rows they met.
func (u *upsert) insertNew(ctx context.Context, b *vector.Batch) (conflicts []int32, owners [][]byte, err error) {
	u.selection = u.selection[:0]
	width := len(u.arbiters)
rows:
	for n := range b.Length {
		i := b.Row(n)
		keys := u.keys[n*width : (n+1)*width]
		for k, key := range keys {
			if key == nil {
				continue
			}
			if _, ok := u.written[string(key)]; ok {
				if u.update {
					return nil, nil, secondTime()
				}
				continue rows
			}
			value, ok := u.found[string(key)]
			if !ok {
				continue
			}
			if u.update {
				owner := key
				if u.arbiters[k].Index.ID != u.table.Primary.ID {
					if owner, err = u.locker.primaryKeyOf(u.arbiters[k], key, value); err != nil {
						return nil, nil, err
					}
				}
				if _, ok := u.touched[string(owner)]; ok {
					return nil, nil, secondTime()
				}
				u.touched[string(owner)] = struct{}{}
				conflicts, owners = append(conflicts, int32(i)), append(owners, owner)
			}
			continue rows
		}
		row := u.reader.read(b.Columns, i)
		for _, key := range keys {
			if key == nil {
				continue
			}
			if err := u.rt.memory.grow(int64(len(key)) + 48); err != nil {
				return nil, nil, err
			}
			u.written[string(key)] = struct{}{}
		}
		if err := u.rt.keyChecks.added(ctx, u.table, nil, row); err != nil {
			return nil, nil, err
		}
		if err := u.writer.insert(ctx, row); err != nil {
			return nil, nil, err
		}
		u.selection = append(u.selection, int32(i))
	}
	return conflicts, owners, nil
}

// updateExisting updates the rows that were met and adds theirs to out.
func (u *upsert) updateExisting(ctx context.Context, b *vector.Batch, conflicts []int32, owners [][]byte) error {
	responses, err := u.locker.send(ctx, owners)
	if err != nil {
		return err
	}
	prepareVectors(u.existing, b.End())
	kept := conflicts[:0]
	for k := range responses {
		if responses[k].Value == nil {
			continue // deleted by this transaction's own statement in between
		}
		if err := u.decoder.DecodeTo(owners[k], responses[k].Value, u.existing, int(conflicts[k])); err != nil {
			return err
		}
		kept = append(kept, conflicts[k])
	}
	u.combined.Columns = append(append(u.combined.Columns[:0], b.Columns...), u.existing...)
	u.combined.Length, u.combined.Selection = len(kept), kept
	r, filtered, err := selectTrue(u.where, &u.combined, rowsOf(&u.combined), u.filtered)
	u.filtered = filtered
	if err != nil || r.n == 0 {
		return err
	}
	u.combined.Length, u.combined.Selection = r.n, r.selection
	if err := u.finalRows(b, r); err != nil {
		return err
	}
	u.out.Length, u.out.Selection = r.n, r.selection
	if err := u.constraints.test(ctx, &u.out); err != nil {
		return err
	}
	for n := range r.n {
		i := r.at(n)
		for o := range u.oldRow {
			u.oldRow[o] = types.DNull
		}
		for k, o := range u.ordinals {
			u.oldRow[o] = u.existing[k].Datum(i)
		}
		copy(u.newRow, u.reader.read(u.out.Columns, i))
		if err := u.rt.keyChecks.replaced(ctx, u.table, u.oldRow, u.newRow); err != nil {
			return err
		}
		if err := u.writer.update(ctx, u.oldRow, u.newRow); err != nil {
			return err
		}
	}
	u.selection = mergeRising(u.selection, r)
	u.out.Length, u.out.Selection = len(u.selection), u.selection
	return nil
}

// finalRows makes out's columns those of b with the updated rows' final values.
func (u *upsert) finalRows(b *vector.Batch, r rows) error {
	columns := append([]*vector.Vector(nil), b.Columns...)
	for o, p := range u.reader.positions {
		if p < 0 {
			continue
		}
		v := u.final[o]
		v.ClearNulls()
		for _, i := range u.selection {
			v.Copy(int(i), b.Columns[p], int(i))
		}
		columns[p] = v
	}
	for k, o := range u.ordinals {
		if p := u.reader.positions[o]; p >= 0 {
			for n := range r.n {
				u.final[o].Copy(r.at(n), u.existing[k], r.at(n))
			}
		}
	}
	for _, set := range u.set {
		v, err := set.value.eval(&u.combined, r)
		if err != nil {
			return err
		}
		if u.final[set.ordinal] == nil {
			return internalf("column %d of %s is set but not stored", set.ordinal+1, u.table.Name)
		}
		for n := range r.n {
			u.final[set.ordinal].Copy(r.at(n), v, r.at(n))
		}
	}
	u.out.Columns = columns
	return nil
}

// mergeRising merges the rows of r into a rising list.
func mergeRising(list []int32, r rows) []int32 {
	out := make([]int32, 0, len(list)+r.n)
	k := 0
	for n := range r.n {
		i := int32(r.at(n))
		for ; k < len(list) && list[k] < i; k++ {
			out = append(out, list[k])
		}
		out = append(out, i)
	}
	return append(out, list[k:]...)
}
