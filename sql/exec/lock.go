package exec

import (
	"context"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
	"github.com/cairndb/cairn/txn"
)

// rowLocker locks rows of a table by their primary keys.
type rowLocker struct {
	rt      *runtime
	table   *catalog.Table
	primary *rowenc.Layout
	lock    opt.Locking
	batch   txn.Batch
	row     []types.Datum
	decoder *rowenc.Decoder // of entries of index
	index   *rowenc.Layout
}

func newRowLocker(rt *runtime, t *catalog.Table, l opt.Locking) *rowLocker {
	return &rowLocker{rt: rt, table: t, primary: rowenc.NewLayout(t, &t.Primary), lock: l, row: make([]types.Datum, len(t.Columns))}
}

// send locks keys and returns the responses: no value where the row is gone or
// skipped.
func (k *rowLocker) send(ctx context.Context, keys [][]byte) ([]kvpb.Response, error) {
	k.batch.Requests = k.batch.Requests[:0]
	for _, key := range keys {
		k.batch.Requests = append(k.batch.Requests, kvpb.Request{Kind: kvpb.Get, Lock: k.lock.Strength, Key: key})
	}
	k.batch.Wait, k.batch.LockTimeout = k.lock.Wait, k.rt.env.LockTimeout
	responses, err := k.rt.env.Txn.Send(ctx, &k.batch)
	if err != nil {
		return nil, lockError(err, k.table)
	}
	return responses, nil
}

// lockEntries locks the rows that entries of a secondary index belong to, and
// returns the entries of those that were locked.
func (k *rowLocker) lockEntries(ctx context.Context, l *rowenc.Layout, page []kvpb.KeyValue) ([]kvpb.KeyValue, error) {
	keys := make([][]byte, len(page))
	for i := range page {
		var err error
		if keys[i], err = k.primaryKeyOf(l, page[i].Key, page[i].Value); err != nil {
			return nil, err
		}
	}
	responses, err := k.send(ctx, keys)
	if err != nil {
		return nil, err
	}
	kept := page[:0]
	for i := range responses {
		if responses[i].Value != nil {
			kept = append(kept, page[i])
		}
	}
	return kept, nil
}

// primaryKeyOf returns the key of the row that an entry of an index belongs to.
func (k *rowLocker) primaryKeyOf(l *rowenc.Layout, key, value []byte) ([]byte, error) {
	if l.Index.Unique {
		return l.PrimaryKey(nil, k.primary, value)
	}
	if k.index != l {
		var wanted []catalog.ColumnID
		for _, c := range k.table.Primary.Columns {
			wanted = append(wanted, c.Column)
		}
		decoder, err := rowenc.NewDecoder(l, wanted)
		if err != nil {
			return nil, err
		}
		k.index, k.decoder = l, decoder
	}
	values := make([]types.Datum, len(k.table.Primary.Columns))
	if err := k.decoder.Decode(key, value, values); err != nil {
		return nil, err
	}
	primary, _, err := k.primary.AppendPartialKey(nil, values)
	return primary, err
}

// lockRows locks the base rows of its input's rows.
type lockRows struct {
	Operator
	tables []lockedTable
	// limit, if there is one right above, says how many rows are wanted: no more
	// than those are locked at a time.
	limit     *limit
	batch     *vector.Batch // what is left of the input's batch, from row at on
	at        int
	selection []int32
	out       vector.Batch
}

type lockedTable struct {
	locker *rowLocker
	keys   []int // positions of the primary key's columns
}

func (b *builder) lockRows(n *opt.LockRows) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	l := &lockRows{Operator: op}
	for _, t := range n.Tables {
		positions, err := s.positions(t.Keys)
		if err != nil {
			return nil, nil, err
		}
		l.tables = append(l.tables, lockedTable{newRowLocker(b.rt, t.Table, t.Lock), positions})
	}
	return l, s, nil
}

func (l *lockRows) Open(ctx context.Context) error {
	l.batch = nil
	return l.Operator.Open(ctx)
}

func (l *lockRows) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		if l.batch == nil || l.at == l.batch.Length {
			b, err := l.Operator.Next(ctx)
			if err != nil || b == nil {
				return nil, err
			}
			l.batch, l.at = b, 0
		}
		b, end := l.batch, l.batch.Length
		if l.limit != nil && l.limit.left >= 0 {
			end = int(min(int64(end), int64(l.at)+max(l.limit.left+l.limit.skip, 1)))
		}
		l.selection = l.selection[:0]
		for ; l.at < end; l.at++ {
			l.selection = append(l.selection, int32(b.Row(l.at)))
		}
		var err error
		for i := range l.tables {
			if l.selection, err = l.tables[i].lock(ctx, b, l.selection); err != nil {
				return nil, err
			}
		}
		if len(l.selection) > 0 {
			l.out = vector.Batch{Columns: b.Columns, Length: len(l.selection), Selection: l.selection}
			return &l.out, nil
		}
	}
}

// lock locks the table's rows in some rows of b and returns those that are
// left. Rows without one (of an outer join) stay.
func (t *lockedTable) lock(ctx context.Context, b *vector.Batch, selection []int32) ([]int32, error) {
	var keys [][]byte
	var owners []int32
	kept := make([]bool, vector.Size)
	values := make([]types.Datum, len(t.keys))
	for _, i := range selection {
		null := false
		for k, p := range t.keys {
			values[k] = b.Columns[p].Datum(int(i))
			null = null || values[k].Null
		}
		if null {
			kept[i] = true
			continue
		}
		key, _, err := t.locker.primary.AppendPartialKey(nil, values)
		if err != nil {
			return nil, err
		}
		keys, owners = append(keys, key), append(owners, i)
	}
	if len(keys) > 0 {
		responses, err := t.locker.send(ctx, keys)
		if err != nil {
			return nil, err
		}
		for k := range responses {
			kept[owners[k]] = responses[k].Value != nil
		}
	}
	out := selection[:0]
	for _, i := range selection {
		if kept[i] {
			out = append(out, i)
		}
	}
	return out, nil
}
