package exec

import (
	"context"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// indexJoin fetches the rows that its input's rows name by their primary keys.
// What it reads stands in its batches where the input's row stands.
type indexJoin struct {
	Operator
	rt        *runtime
	node      *opt.IndexJoin
	layout    *rowenc.Layout
	decoder   *rowenc.Decoder
	keys      []int
	keep      []int
	filter    []scalar
	fetcher   fetcher
	columns   []*vector.Vector
	spans     []keySpan
	owners    []int32
	selection []int32
	values    []types.Datum
	out       vector.Batch
}

func (b *builder) indexJoin(n *opt.IndexJoin) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	out, wanted := tableSchema(n.Table, n.Columns)
	j := &indexJoin{Operator: op, rt: b.rt, node: n, layout: rowenc.NewLayout(n.Table, &n.Table.Primary), columns: newVectors(out.types())}
	if j.decoder, err = rowenc.NewDecoder(j.layout, wanted); err != nil {
		return nil, nil, err
	}
	if j.keys, err = s.positions(n.PrimaryKey); err != nil {
		return nil, nil, err
	}
	if j.keep, err = s.positions(n.Keep); err != nil {
		return nil, nil, err
	}
	for _, p := range j.keep {
		out = append(out, s[p])
	}
	if j.filter, err = b.scalars(n.Filter, out); err != nil {
		return nil, nil, err
	}
	j.fetcher = fetcher{rt: b.rt, table: n.Table, lock: n.Lock, account: account{rt: b.rt}}
	return j, out, nil
}

func (j *indexJoin) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := j.Operator.Next(ctx)
		if err != nil || b == nil {
			return nil, err
		}
		if err := j.read(ctx, b); err != nil {
			return nil, err
		}
		j.out.Columns = append(j.out.Columns[:0], j.columns...)
		for _, p := range j.keep {
			j.out.Columns = append(j.out.Columns, b.Columns[p])
		}
		j.out.Selection, j.out.Length = j.selection, len(j.selection)
		if len(j.filter) > 0 {
			r, selection, err := selectTrue(j.filter, &j.out, rowsOf(&j.out), j.selection)
			if err != nil {
				return nil, err
			}
			j.selection = selection
			j.out.Selection, j.out.Length = r.selection, r.n
		}
		if j.out.Length > 0 {
			return &j.out, nil
		}
	}
}

// read fetches the rows of a batch and decodes them at the places of its rows.
func (j *indexJoin) read(ctx context.Context, b *vector.Batch) error {
	j.spans, j.owners, j.selection = j.spans[:0], j.owners[:0], j.selection[:0]
	for n := range b.Length {
		i := b.Row(n)
		j.values = j.values[:0]
		for _, p := range j.keys {
			j.values = append(j.values, b.Columns[p].Datum(i))
		}
		key, _, err := j.layout.AppendPartialKey(make([]byte, 0, 32), j.values)
		if err != nil {
			return err
		}
		j.spans, j.owners = append(j.spans, keySpan{start: key}), append(j.owners, int32(i))
	}
	prepareVectors(j.columns, b.End())
	wanted, found := len(j.spans), 0
	j.fetcher.start(j.spans, j.owners, 0)
	for {
		page, err := j.fetcher.next(ctx)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for k := range page {
			i := j.fetcher.origin[k]
			if err := j.decoder.DecodeTo(page[k].Key, page[k].Value, j.columns, int(i)); err != nil {
				return err
			}
			j.selection = append(j.selection, i)
		}
		found += len(page)
	}
	if found < wanted && j.node.Lock.Strength == kvpb.LockNone {
		return pgerror.Newf(pgerror.DataCorrupted, "index entries of table %q point to rows that do not exist", j.node.Table.Name)
	}
	return nil
}

func (j *indexJoin) Close() error {
	j.fetcher.close()
	return j.Operator.Close()
}

// lookupJoin looks up entries of an index for each row of its input, and keeps
// the input's order.
type lookupJoin struct {
	Operator
	rt      *runtime
	node    *opt.LookupJoin
	layout  *rowenc.Layout
	decoder *rowenc.Decoder
	equal   []scalar
	fetcher fetcher
	locker  *rowLocker
	pairs   *pairs
	input   *vector.Batch
	vectors []*vector.Vector
	next    int // the input row whose candidates are being added
	page    []kvpb.KeyValue
	at      int
	drained bool
	spans   []keySpan
	origins []int32
	values  []types.Datum
}

func (b *builder) lookupJoin(n *opt.LookupJoin) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	right, wanted := tableSchema(n.Table, n.Columns)
	j := &lookupJoin{Operator: op, rt: b.rt, node: n, layout: rowenc.NewLayout(n.Table, n.Index)}
	if j.decoder, err = rowenc.NewDecoder(j.layout, wanted); err != nil {
		return nil, nil, err
	}
	if j.equal, err = b.scalars(n.Equal, s); err != nil {
		return nil, nil, err
	}
	var out schema
	if j.pairs, out, err = b.pairs(n.Kind, s, right, n.On); err != nil {
		return nil, nil, err
	}
	j.fetcher = fetcher{rt: b.rt, table: n.Table, lock: n.Lock, account: account{rt: b.rt}}
	if n.Lock.Strength != kvpb.LockNone && n.Index.ID != n.Table.Primary.ID {
		j.locker = newRowLocker(b.rt, n.Table, n.Lock)
		j.fetcher.lock = opt.Locking{}
	}
	return j, out, nil
}

func (j *lookupJoin) Open(ctx context.Context) error {
	j.input, j.page, j.at = nil, nil, 0
	j.pairs.reset()
	return j.Operator.Open(ctx)
}

func (j *lookupJoin) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		if j.input == nil {
			b, err := j.Operator.Next(ctx)
			if err != nil {
				return nil, err
			}
			if b == nil {
				return nil, nil
			}
			if err := j.start(b); err != nil {
				return nil, err
			}
		}
		done, err := j.add(ctx)
		if err != nil {
			return nil, err
		}
		out, err := j.pairs.flush()
		if err != nil {
			return nil, err
		}
		if done {
			j.input = nil
		}
		if out != nil {
			return out, nil
		}
	}
}

// start makes the spans of a batch's rows.
func (j *lookupJoin) start(b *vector.Batch) error {
	j.input, j.next, j.page, j.at, j.drained = b, 0, nil, 0, false
	j.vectors = j.vectors[:0]
	for _, e := range j.equal {
		v, err := e.eval(b, rowsOf(b))
		if err != nil {
			return err
		}
		j.vectors = append(j.vectors, v)
	}
	j.spans, j.origins = j.spans[:0], j.origins[:0]
	for n := range b.Length {
		i := b.Row(n)
		if anyNull(j.vectors, i) {
			continue
		}
		j.values = j.values[:0]
		for _, v := range j.vectors {
			j.values = append(j.values, v.Datum(i))
		}
		key, exact, err := j.layout.AppendPartialKey(make([]byte, 0, 48), j.values)
		if err != nil {
			return err
		}
		span := keySpan{start: key}
		if !exact {
			span.end = keys.PrefixEnd(key)
		}
		j.spans, j.origins = append(j.spans, span), append(j.origins, int32(n))
	}
	j.fetcher.start(j.spans, j.origins, 4*vector.Size)
	return nil
}

// add adds candidates until there is no room for more, or reports that all of
// the input's are added.
func (j *lookupJoin) add(ctx context.Context) (done bool, err error) {
	for {
		if j.at == len(j.page) && !j.drained {
			j.at = 0
			if j.page, err = j.fetcher.next(ctx); err != nil {
				return false, err
			}
			j.drained = len(j.page) == 0
			if j.locker != nil && !j.drained {
				if err := j.lockPage(ctx); err != nil {
					return false, err
				}
				continue
			}
		}
		upTo := j.input.Length
		if j.at < len(j.page) {
			upTo = int(j.fetcher.origin[j.at])
		}
		for ; j.next < upTo; j.next++ {
			if j.pairs.full() {
				return false, nil
			}
			j.pairs.end(j.input, j.input.Row(j.next))
		}
		if j.at == len(j.page) {
			return true, nil
		}
		if j.pairs.full() {
			return false, nil
		}
		kv := &j.page[j.at]
		to := j.pairs.add(j.input, j.input.Row(upTo))
		if err := j.decoder.DecodeTo(kv.Key, kv.Value, j.pairs.right, to); err != nil {
			return false, err
		}
		j.at++
	}
}

// lockPage locks the rows of the page and drops those that are skipped.
func (j *lookupJoin) lockPage(ctx context.Context) error {
	locked, origins := j.page[:0:0], j.fetcher.origin[:0:0]
	for i := range j.page {
		kept, err := j.locker.lockEntries(ctx, j.layout, []kvpb.KeyValue{j.page[i]})
		if err != nil {
			return err
		}
		if len(kept) > 0 {
			locked, origins = append(locked, kept[0]), append(origins, j.fetcher.origin[i])
		}
	}
	j.page, j.fetcher.origin = locked, origins
	return nil
}

func (j *lookupJoin) Close() error {
	j.input = nil
	j.fetcher.close()
	return j.Operator.Close()
}
