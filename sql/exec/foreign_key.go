package exec

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// keyChecks is what a statement owes to foreign keys at its end: keys that
// must be there because rows refer to them, and keys that are gone.
//
//	rows written ─→ added: the referenced key must exist
//	            └─→ removed: by the constraint's action
//	run: Step; actions (which write, and add to both lists) until none is left;
//	     NO ACTION checks; existence checks, which lock the referenced rows
type keyChecks struct {
	rt      *runtime
	missing []*keyList // in order of first use
	gone    []*keyList
	index   map[keyListID]*keyList
	scratch []byte
}

type keyListID struct {
	fk   *catalog.ForeignKey
	gone bool
}

// keyList is some keys of one constraint, each once.
type keyList struct {
	table *catalog.Table // that was written: the referencing, or the referenced one
	fk    *catalog.ForeignKey
	// keys are the values of the constraint's columns in table; for updated
	// referenced rows replacement has the new values, nil for deleted ones.
	keys         [][]types.Datum
	replacements [][]types.Datum
	seen         map[string]struct{}
}

func (k *keyChecks) reset() {
	if len(k.missing)+len(k.gone) > 0 {
		k.missing, k.gone = nil, nil
		clear(k.index)
	}
}

func enforced(fk *catalog.ForeignKey) bool {
	return fk.State == catalog.Public || fk.State == catalog.WriteOnly
}

func (k *keyChecks) list(t *catalog.Table, fk *catalog.ForeignKey, gone bool) *keyList {
	id := keyListID{fk, gone}
	if l := k.index[id]; l != nil {
		return l
	}
	l := &keyList{table: t, fk: fk, seen: map[string]struct{}{}}
	if k.index == nil {
		k.index = map[keyListID]*keyList{}
	}
	k.index[id] = l
	if gone {
		k.gone = append(k.gone, l)
	} else {
		k.missing = append(k.missing, l)
	}
	return l
}

// add puts a row's values of columns on the list, unless they are there.
func (k *keyChecks) add(l *keyList, row, replacement []types.Datum, columns []catalog.ColumnID) error {
	k.scratch = k.scratch[:0]
	for _, c := range columns {
		k.scratch = appendImage(k.scratch, l.table.Columns[c-1].Type, row[c-1])
	}
	if _, ok := l.seen[string(k.scratch)]; ok {
		return nil
	}
	if err := k.rt.memory.grow(int64(len(k.scratch)) + int64(len(columns))*64 + 64); err != nil {
		return err
	}
	l.seen[string(k.scratch)] = struct{}{}
	l.keys = append(l.keys, valuesOf(row, columns))
	if replacement != nil {
		replacement = valuesOf(replacement, columns)
	}
	l.replacements = append(l.replacements, replacement)
	return nil
}

func valuesOf(row []types.Datum, columns []catalog.ColumnID) []types.Datum {
	values := make([]types.Datum, len(columns))
	for i, c := range columns {
		values[i] = row[c-1]
	}
	return values
}

// sameIn reports whether two rows have the same values of columns.
func sameIn(t *catalog.Table, a, b []types.Datum, columns []catalog.ColumnID) bool {
	for _, c := range columns {
		x, y := a[c-1], b[c-1]
		if x.Null != y.Null || !x.Null && !equalDatums(t.Columns[c-1].Type, x, y) {
			return false
		}
	}
	return true
}

// added notes what a new row of t refers to; old, if not nil, is the row that
// it replaces.
func (k *keyChecks) added(ctx context.Context, t *catalog.Table, old, row []types.Datum) error {
	for i := range t.ForeignKeys {
		fk := &t.ForeignKeys[i]
		if !enforced(fk) || old != nil && sameIn(t, old, row, fk.Columns) {
			continue
		}
		nulls := 0
		for _, c := range fk.Columns {
			if row[c-1].Null {
				nulls++
			}
		}
		if nulls > 0 {
			if fk.MatchFull && nulls < len(fk.Columns) {
				return mixedNulls(ctx, k.rt, t, fk)
			}
			continue
		}
		if err := k.add(k.list(t, fk, false), row, nil, fk.Columns); err != nil {
			return err
		}
	}
	return nil
}

// removed notes the keys that go with a row of t, or change as row takes its
// place.
func (k *keyChecks) removed(_ context.Context, t *catalog.Table, old, row []types.Datum) error {
	for i := range t.ReferencedBy {
		fk := &t.ReferencedBy[i]
		if !enforced(fk) || row != nil && sameIn(t, old, row, fk.ReferencedColumns) {
			continue
		}
		if slices.ContainsFunc(fk.ReferencedColumns, func(c catalog.ColumnID) bool { return old[c-1].Null }) {
			continue
		}
		if err := k.add(k.list(t, fk, true), old, row, fk.ReferencedColumns); err != nil {
			return err
		}
	}
	return nil
}

// replaced is both for an update.
func (k *keyChecks) replaced(ctx context.Context, t *catalog.Table, old, row []types.Datum) error {
	if len(t.ForeignKeys) > 0 {
		if err := k.added(ctx, t, old, row); err != nil {
			return err
		}
	}
	if len(t.ReferencedBy) > 0 {
		return k.removed(ctx, t, old, row)
	}
	return nil
}

// run carries out what is owed.
func (k *keyChecks) run(ctx context.Context) error {
	if len(k.missing)+len(k.gone) == 0 {
		return nil
	}
	k.rt.env.Txn.Step()
	var checks []*keyList
	for len(k.gone) > 0 {
		l := k.gone[0]
		k.gone = k.gone[1:]
		// Keys that come up while this list is worked off start another one.
		delete(k.index, keyListID{l.fk, true})
		rest, err := k.act(ctx, l)
		if err != nil {
			return err
		}
		if rest != nil {
			checks = append(checks, rest)
		}
	}
	for _, l := range checks {
		if err := k.checkGone(ctx, l); err != nil {
			return err
		}
	}
	for _, l := range k.missing {
		if err := k.checkPresent(ctx, l); err != nil {
			return err
		}
	}
	k.reset()
	return nil
}

// referencedKeys makes the keys of the index that a constraint refers to, from
// values of its columns in the table with the types ts.
func referencedKeys(rt *runtime, referenced *catalog.Table, fk *catalog.ForeignKey, from *catalog.Table, fromColumns []catalog.ColumnID, values [][]types.Datum) ([][]byte, error) {
	ix := referenced.Index(fk.ReferencedIndex)
	if ix == nil {
		return nil, internalf("the index behind foreign key %s is missing", fk.Name)
	}
	layout := rowenc.NewLayout(referenced, ix)
	order := make([]int, len(ix.Columns)) // of the index's columns in the constraint's
	for i, c := range ix.Columns {
		if order[i] = slices.Index(fk.ReferencedColumns, c.Column); order[i] < 0 {
			return nil, internalf("the index behind foreign key %s has other columns", fk.Name)
		}
	}
	keys := make([][]byte, len(values))
	inOrder := make([]types.Datum, len(order))
	for n, v := range values {
		for i, o := range order {
			var err error
			t := referenced.Columns[fk.ReferencedColumns[o]-1].Type
			if inOrder[i], err = convertKey(rt, from.Columns[fromColumns[o]-1].Type, t, v[o]); err != nil {
				return nil, err
			}
		}
		var err error
		if keys[n], _, err = layout.AppendPartialKey(nil, inOrder); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// convertKey makes a value of one side's type one of the other's.
func convertKey(rt *runtime, from, to *types.T, d types.Datum) (types.Datum, error) {
	if from.OID == to.OID || d.Null || from.Family == to.Family && kindOf(from) == intKind {
		return d, nil
	}
	c, ok := types.FindCast(from, to, types.ExplicitCast)
	if !ok {
		return d, internalf("a foreign key from %s to %s", from, to)
	}
	return c.Eval(rt.env.Types, d)
}

// get reads keys, in pieces, and calls each with what was found.
func (k *keyChecks) get(ctx context.Context, t *catalog.Table, keys [][]byte, lock kvpb.LockStrength, each func(i int, found bool) error) error {
	batch := txn.Batch{LockTimeout: k.rt.env.LockTimeout}
	for first := 0; first < len(keys); first += maxGets {
		batch.Requests = batch.Requests[:0]
		for _, key := range keys[first:min(first+maxGets, len(keys))] {
			batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Get, Lock: lock, Key: key})
		}
		responses, err := k.rt.env.Txn.Send(ctx, &batch)
		if err != nil {
			return lockError(err, t)
		}
		for i := range responses {
			if err := each(first+i, responses[i].Value != nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPresent looks for the referenced keys and locks them against removal.
func (k *keyChecks) checkPresent(ctx context.Context, l *keyList) error {
	referenced, err := k.rt.env.Resolver.TableByID(ctx, l.fk.ReferencedTable)
	if err != nil {
		return err
	}
	keys, err := referencedKeys(k.rt, referenced, l.fk, l.table, l.fk.Columns, l.keys)
	if err != nil {
		return err
	}
	return k.get(ctx, referenced, keys, kvpb.LockKeyShare, func(i int, found bool) error {
		if found {
			return nil
		}
		// The row that refers to it may be gone again.
		r, err := newReferencing(k.rt, l.table, l.fk)
		if err != nil {
			return err
		}
		still, err := r.exists(ctx, l.keys[i])
		if err != nil || !still {
			return err
		}
		return missingKey(ctx, k.rt, l.table, referenced, l.fk, l.keys[i])
	})
}

// checkGone fails if rows still refer to keys that are not there any more.
func (k *keyChecks) checkGone(ctx context.Context, l *keyList) error {
	t, err := k.rt.env.Resolver.TableByID(ctx, l.fk.Table)
	if err != nil {
		return err
	}
	keys, err := referencedKeys(k.rt, l.table, l.fk, l.table, l.fk.ReferencedColumns, l.keys)
	if err != nil {
		return err
	}
	var gone [][]types.Datum
	if err := k.get(ctx, l.table, keys, kvpb.LockNone, func(i int, found bool) error {
		if !found {
			gone = append(gone, l.keys[i])
		}
		return nil
	}); err != nil || len(gone) == 0 {
		return err
	}
	return k.refuse(ctx, l, t, gone)
}

// refuse fails if rows of t refer to one of the keys.
func (k *keyChecks) refuse(ctx context.Context, l *keyList, t *catalog.Table, keys [][]types.Datum) error {
	r, err := newReferencing(k.rt, t, l.fk)
	if err != nil {
		return err
	}
	converted, err := convertKeys(k.rt, l.table, t, l.fk, keys)
	if err != nil {
		return err
	}
	return r.find(ctx, converted, kvpb.LockNone, func(key int, _ []types.Datum) error {
		return stillReferenced(ctx, k.rt, l.table, t, l.fk, keys[key])
	})
}

// convertKeys makes values of the referenced columns ones of the referencing
// columns.
func convertKeys(rt *runtime, referenced, t *catalog.Table, fk *catalog.ForeignKey, keys [][]types.Datum) ([][]types.Datum, error) {
	out := make([][]types.Datum, len(keys))
	for n, key := range keys {
		if key == nil {
			continue
		}
		out[n] = make([]types.Datum, len(key))
		for i, d := range key {
			var err error
			if out[n][i], err = convertKey(rt, referenced.Columns[fk.ReferencedColumns[i]-1].Type, t.Columns[fk.Columns[i]-1].Type, d); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
