package exec

import (
	"bytes"
	"context"
	"errors"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// Bounds of what a tableWriter keeps before it sends.
const (
	maxPendingWrites = 2048
	maxPendingBytes  = 1 << 20
)

// tableWriter writes rows of one table: the primary index's entry and those of
// the secondary indexes, each as its State wants it. Writes are sent in
// batches, in order; send must be called at the end. Rows are as in rowenc: the
// column of id n at n-1.
type tableWriter struct {
	rt        *runtime
	table     *catalog.Table
	primary   *rowenc.Layout
	secondary []*rowenc.Layout
	batch     txn.Batch
	bytes     int
	// For each request of the batch that must not meet an existing entry: the
	// index, and where the row's values of its columns are in values.
	checks  []uniqueCheck
	values  []types.Datum
	account account
	oldKey  []byte
	newKey  []byte
}

// uniqueCheck is a write that must not meet an existing entry.
type uniqueCheck struct {
	request int
	layout  *rowenc.Layout
	values  int
}

func newTableWriter(rt *runtime, t *catalog.Table) *tableWriter {
	w := &tableWriter{rt: rt, table: t, primary: rowenc.NewLayout(t, &t.Primary), account: account{rt: rt}}
	for i := range t.Indexes {
		if t.Indexes[i].State != catalog.Absent {
			w.secondary = append(w.secondary, rowenc.NewLayout(t, &t.Indexes[i]))
		}
	}
	return w
}

// reset forgets what a failed execution may have left.
func (w *tableWriter) reset() {
	w.batch.Requests, w.checks, w.values, w.bytes = w.batch.Requests[:0], w.checks[:0], w.values[:0], 0
	w.account.used = 0
}

// request adds a write; key and value are taken over.
func (w *tableWriter) request(kind kvpb.Kind, key, value []byte) {
	w.batch.Requests = append(w.batch.Requests, kvpb.Request{Kind: kind, Key: key, Value: value})
	w.bytes += len(key) + len(value) + 64
}

// add writes an entry that the row of l must not share with another row.
func (w *tableWriter) add(l *rowenc.Layout, key []byte, row []types.Datum) error {
	value, err := l.AppendValue(make([]byte, 0, 64), row)
	if err != nil {
		return err
	}
	if !l.MustBeUnique(row) {
		w.request(kvpb.Put, key, value)
		return nil
	}
	w.checks = append(w.checks, uniqueCheck{len(w.batch.Requests), l, len(w.values)})
	for _, c := range l.Index.Columns {
		w.values = append(w.values, row[c.Column-1])
	}
	w.request(kvpb.ConditionalPut, key, value)
	return nil
}

// adds reports whether new entries are written to an index.
func adds(ix *catalog.Index) bool {
	return ix.State == catalog.Public || ix.State == catalog.WriteOnly
}

// insert writes a new row.
func (w *tableWriter) insert(ctx context.Context, row []types.Datum) error {
	key, err := w.primary.AppendKey(make([]byte, 0, 32), row)
	if err != nil {
		return err
	}
	if err := w.add(w.primary, key, row); err != nil {
		return err
	}
	for _, l := range w.secondary {
		if !adds(l.Index) {
			continue
		}
		if key, err = l.AppendKey(make([]byte, 0, 48), row); err != nil {
			return err
		}
		if err := w.add(l, key, row); err != nil {
			return err
		}
	}
	return w.sendIfFull(ctx)
}

// delete removes a row.
func (w *tableWriter) delete(ctx context.Context, row []types.Datum) error {
	key, err := w.primary.AppendKey(make([]byte, 0, 32), row)
	if err != nil {
		return err
	}
	w.request(kvpb.Delete, key, nil)
	for _, l := range w.secondary {
		if key, err = l.AppendKey(make([]byte, 0, 48), row); err != nil {
			return err
		}
		w.request(kvpb.Delete, key, nil)
	}
	return w.sendIfFull(ctx)
}

// update replaces a row.
func (w *tableWriter) update(ctx context.Context, old, row []types.Datum) error {
	if err := w.updateEntry(w.primary, old, row); err != nil {
		return err
	}
	for _, l := range w.secondary {
		if err := w.updateEntry(l, old, row); err != nil {
			return err
		}
	}
	return w.sendIfFull(ctx)
}

func (w *tableWriter) updateEntry(l *rowenc.Layout, old, row []types.Datum) error {
	var err error
	if w.oldKey, err = l.AppendKey(w.oldKey[:0], old); err != nil {
		return err
	}
	if w.newKey, err = l.AppendKey(w.newKey[:0], row); err != nil {
		return err
	}
	same := bytes.Equal(w.oldKey, w.newKey)
	isPrimary := l.Index.ID == w.table.Primary.ID
	if same && !isPrimary && adds(l.Index) {
		before, err := l.AppendValue(nil, old)
		if err != nil {
			return err
		}
		after, err := l.AppendValue(make([]byte, 0, 64), row)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, after) {
			w.request(kvpb.Put, bytes.Clone(w.newKey), after)
		}
		return nil
	}
	if same && isPrimary {
		value, err := l.AppendValue(make([]byte, 0, 64), row)
		if err != nil {
			return err
		}
		w.request(kvpb.Put, bytes.Clone(w.newKey), value)
		return nil
	}
	w.request(kvpb.Delete, bytes.Clone(w.oldKey), nil)
	if !adds(l.Index) {
		return nil
	}
	return w.add(l, bytes.Clone(w.newKey), row)
}

func (w *tableWriter) sendIfFull(ctx context.Context) error {
	if len(w.batch.Requests) >= maxPendingWrites || w.bytes >= maxPendingBytes {
		return w.send(ctx)
	}
	return nil
}

// send carries the pending writes out; 23505 where one meets another row's
// entry.
func (w *tableWriter) send(ctx context.Context) error {
	if len(w.batch.Requests) == 0 {
		return nil
	}
	if err := w.account.resize(int64(w.bytes)); err != nil {
		return err
	}
	w.batch.LockTimeout = w.rt.env.LockTimeout
	_, err := w.rt.env.Txn.Send(ctx, &w.batch)
	if err != nil {
		err = w.explain(ctx, err)
	}
	w.batch.Requests, w.checks, w.values, w.bytes = w.batch.Requests[:0], w.checks[:0], w.values[:0], 0
	w.account.release()
	return err
}

// explain turns the failure of a conditional write into the violation of its
// unique index.
func (w *tableWriter) explain(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*kvpb.ConditionFailedError](err)
	if !ok {
		return lockError(err, w.table)
	}
	for _, c := range w.checks {
		if bytes.Equal(w.batch.Requests[c.request].Key, failed.Key) {
			n := len(c.layout.Index.Columns)
			return uniqueViolation(ctx, w.rt, w.table, c.layout.Index, w.values[c.values:c.values+n])
		}
	}
	return err
}
