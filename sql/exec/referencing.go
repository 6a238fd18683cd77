package exec

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

// referencing finds the rows of a table that refer to keys by a constraint:
// through an index that begins with its columns, or by reading the table.
type referencing struct {
	rt      *runtime
	table   *catalog.Table
	fk      *catalog.ForeignKey
	layout  *rowenc.Layout // of the index that is read
	order   []int          // of the index's first columns in the constraint's; nil: all is read
	decoder *rowenc.Decoder
	row     []types.Datum
	ids     []catalog.ColumnID
}

func newReferencing(rt *runtime, t *catalog.Table, fk *catalog.ForeignKey) (*referencing, error) {
	r := &referencing{rt: rt, table: t, fk: fk, row: make([]types.Datum, len(t.Columns))}
	for i := range r.row {
		r.row[i] = types.DNull
	}
	for _, c := range t.StoredColumns() {
		r.ids = append(r.ids, c.ID)
	}
	ix, order := &t.Primary, keyOrder(&t.Primary, fk.Columns)
	for i := 0; order == nil && i < len(t.Indexes); i++ {
		if t.Indexes[i].State == catalog.Public {
			if order = keyOrder(&t.Indexes[i], fk.Columns); order != nil {
				ix = &t.Indexes[i]
			}
		}
	}
	r.layout, r.order = rowenc.NewLayout(t, ix), order
	var err error
	r.decoder, err = rowenc.NewDecoder(rowenc.NewLayout(t, &t.Primary), r.ids)
	return r, err
}

// keyOrder returns where in columns the index's first columns are, nil if they
// are others.
func keyOrder(ix *catalog.Index, columns []catalog.ColumnID) []int {
	if len(ix.Columns) < len(columns) {
		return nil
	}
	var order []int
	for _, c := range ix.Columns[:len(columns)] {
		o := slices.Index(columns, c.Column)
		if o < 0 || slices.Contains(order, o) {
			return nil
		}
		order = append(order, o)
	}
	return order
}

// exists reports whether a row refers to the key.
func (r *referencing) exists(ctx context.Context, key []types.Datum) (found bool, err error) {
	stop := errFound{}
	err = r.find(ctx, [][]types.Datum{key}, kvpb.LockNone, func(int, []types.Datum) error { return stop })
	if err == stop {
		return true, nil
	}
	return false, err
}

type errFound struct{}

func (errFound) Error() string { return "found" }

// find calls each with the rows that refer to one of keys, which have the
// types of the constraint's columns, and which key it is. The row is valid
// during the call.
func (r *referencing) find(ctx context.Context, wanted [][]types.Datum, lock kvpb.LockStrength, each func(key int, row []types.Datum) error) error {
	if r.order == nil {
		return r.findInAll(ctx, wanted, lock, each)
	}
	isPrimary := r.layout.Index.ID == r.table.Primary.ID
	f := fetcher{rt: r.rt, table: r.table, account: account{rt: r.rt}}
	defer f.close()
	if isPrimary {
		f.lock.Strength = lock
	}
	spans, origins := make([]keySpan, len(wanted)), make([]int32, len(wanted))
	values := make([]types.Datum, len(r.order))
	for n, key := range wanted {
		for i, o := range r.order {
			values[i] = key[o]
		}
		start, exact, err := r.layout.AppendPartialKey(nil, values)
		if err != nil {
			return err
		}
		if spans[n] = (keySpan{start: start}); !exact {
			spans[n].end = keys.PrefixEnd(start)
		}
		origins[n] = int32(n)
	}
	f.start(spans, origins, 0)
	for {
		page, err := f.next(ctx)
		if err != nil || len(page) == 0 {
			return err
		}
		if isPrimary {
			for i := range page {
				if err := r.call(page[i], int(f.origin[i]), each); err != nil {
					return err
				}
			}
			continue
		}
		if err := r.throughIndex(ctx, page, f.origin, lock, each); err != nil {
			return err
		}
	}
}

// throughIndex reads the rows of a secondary index's entries.
func (r *referencing) throughIndex(ctx context.Context, page []kvpb.KeyValue, origin []int32, lock kvpb.LockStrength, each func(int, []types.Datum) error) error {
	locker := newRowLocker(r.rt, r.table, opt.Locking{Strength: lock})
	primary := make([][]byte, len(page))
	for i := range page {
		var err error
		if primary[i], err = locker.primaryKeyOf(r.layout, page[i].Key, page[i].Value); err != nil {
			return err
		}
	}
	responses, err := locker.send(ctx, primary)
	if err != nil {
		return err
	}
	for i := range responses {
		if responses[i].Value == nil {
			continue
		}
		if err := r.call(kvpb.KeyValue{Key: primary[i], Value: responses[i].Value}, int(origin[i]), each); err != nil {
			return err
		}
	}
	return nil
}

func (r *referencing) call(kv kvpb.KeyValue, key int, each func(int, []types.Datum) error) error {
	out := make([]types.Datum, len(r.ids))
	if err := r.decoder.Decode(kv.Key, kv.Value, out); err != nil {
		return err
	}
	for i, id := range r.ids {
		r.row[id-1] = out[i]
	}
	return each(key, r.row)
}

// findInAll reads the whole table.
func (r *referencing) findInAll(ctx context.Context, wanted [][]types.Datum, lock kvpb.LockStrength, each func(int, []types.Datum) error) error {
	index := make(map[string]int, len(wanted))
	image := func(values func(i int) types.Datum) (string, error) {
		var b []byte
		var err error
		for i, c := range r.fk.Columns {
			if b, err = rowenc.AppendKey(b, r.table.Columns[c-1].Type, values(i), false); err != nil {
				return "", err
			}
		}
		return string(b), nil
	}
	for n, key := range wanted {
		k, err := image(func(i int) types.Datum { return key[i] })
		if err != nil {
			return err
		}
		index[k] = n
	}
	f := fetcher{rt: r.rt, table: r.table, account: account{rt: r.rt}, lock: opt.Locking{Strength: lock}}
	defer f.close()
	f.start([]keySpan{{r.layout.Prefix(), keys.PrefixEnd(r.layout.Prefix())}}, nil, 0)
	for {
		page, err := f.next(ctx)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := r.call(page[i], 0, func(_ int, row []types.Datum) error {
				k, err := image(func(i int) types.Datum { return row[r.fk.Columns[i]-1] })
				if err != nil {
					return err
				}
				if n, ok := index[k]; ok {
					return each(n, row)
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
}
