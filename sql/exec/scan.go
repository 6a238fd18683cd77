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
	"github.com/cairndb/cairn/sql/vector"
)

// scan reads spans of an index and decodes the wanted columns.
type scan struct {
	rt       *runtime
	node     *opt.Scan
	layout   *rowenc.Layout
	decoder  *rowenc.Decoder
	spans    []indexSpan
	filter   []scalar
	fetcher  fetcher
	locker   *rowLocker // of a locking scan of a secondary index
	page     []kvpb.KeyValue
	left     int64 // rows that may still be returned, -1: no limit
	types    []*types.T
	columns  []*vector.Vector
	selected []int32
	scratch  []types.Datum
	ranges   []keySpan
	out      vector.Batch
}

// tableSchema is the schema of some columns of a table, and their ids there.
func tableSchema(t *catalog.Table, columns []opt.TableColumn) (schema, []catalog.ColumnID) {
	s := make(schema, len(columns))
	ids := make([]catalog.ColumnID, len(columns))
	for i, c := range columns {
		s[i] = column{c.ID, t.Columns[c.Column-1].Type}
		ids[i] = c.Column
	}
	return s, ids
}

func (b *builder) scan(n *opt.Scan) (Operator, schema, error) {
	s, wanted := tableSchema(n.Table, n.Columns)
	op := &scan{rt: b.rt, node: n, layout: rowenc.NewLayout(n.Table, n.Index), types: s.types()}
	var err error
	if op.decoder, err = rowenc.NewDecoder(op.layout, wanted); err != nil {
		return nil, nil, err
	}
	if op.spans, err = b.spans(n.Spans); err != nil {
		return nil, nil, err
	}
	if op.filter, err = b.scalars(n.Filter, s); err != nil {
		return nil, nil, err
	}
	op.columns = newVectors(op.types)
	op.fetcher = fetcher{rt: b.rt, table: n.Table, reverse: n.Reverse, lock: n.Lock, account: account{rt: b.rt}}
	if n.Lock.Strength != kvpb.LockNone && n.Index.ID != n.Table.Primary.ID {
		// The row is locked, not the index's entry.
		op.locker = newRowLocker(b.rt, n.Table, n.Lock)
		op.fetcher.lock = opt.Locking{}
	}
	return op, s, nil
}

func newVectors(ts []*types.T) []*vector.Vector {
	vectors := make([]*vector.Vector, len(ts))
	slab := make([]vector.Vector, len(ts))
	for i, t := range ts {
		slab[i].Type = t
		vectors[i] = &slab[i]
	}
	return vectors
}

// prepareVectors makes room for n values in each.
func prepareVectors(vectors []*vector.Vector, n int) {
	for _, v := range vectors {
		v.Prepare(v.Type, n)
	}
}

func (s *scan) Open(context.Context) error {
	s.page = nil
	s.left = -1
	if s.node.Limit > 0 {
		s.left = s.node.Limit
	}
	s.ranges = s.ranges[:0]
	if s.node.Spans == nil {
		prefix := s.layout.Prefix()
		s.ranges = append(s.ranges, keySpan{prefix, keys.PrefixEnd(prefix)})
	}
	for i := range s.spans {
		span, ok, scratch, err := s.spans[i].keySpan(s.layout, s.scratch)
		s.scratch = scratch
		if err != nil {
			return err
		}
		if ok {
			s.ranges = append(s.ranges, span)
		}
	}
	s.ranges = mergeSpans(s.ranges)
	if s.node.Reverse {
		slices.Reverse(s.ranges)
	}
	first := s.node.Expected
	if s.left > 0 && len(s.filter) == 0 {
		first = s.left
	}
	s.fetcher.start(s.ranges, nil, first)
	return nil
}

func (s *scan) Next(ctx context.Context) (*vector.Batch, error) {
	for s.left != 0 {
		if len(s.page) == 0 {
			var err error
			if s.page, err = s.fetcher.next(ctx); err != nil {
				return nil, err
			}
			if len(s.page) == 0 {
				return nil, nil
			}
			if s.locker != nil {
				if s.page, err = s.locker.lockEntries(ctx, s.layout, s.page); err != nil {
					return nil, err
				}
				if len(s.page) == 0 {
					continue
				}
			}
		}
		n := min(len(s.page), vector.Size)
		if s.left > 0 && len(s.filter) == 0 {
			n = int(min(int64(n), s.left))
		}
		prepareVectors(s.columns, n)
		for i := range n {
			if err := s.decoder.DecodeTo(s.page[i].Key, s.page[i].Value, s.columns, i); err != nil {
				return nil, err
			}
		}
		s.page = s.page[n:]
		s.out = vector.Batch{Columns: s.columns, Length: n}
		if len(s.filter) > 0 {
			r, selected, err := selectTrue(s.filter, &s.out, rows{n: n}, s.selected)
			s.selected = selected
			if err != nil {
				return nil, err
			}
			if r.n == 0 {
				continue
			}
			s.out.Length, s.out.Selection = r.n, r.selection
			if s.left > 0 && int64(r.n) > s.left {
				s.out.Length = int(s.left)
				s.out.Selection = r.selection[:s.out.Length]
			}
		}
		if s.left > 0 {
			s.left -= int64(s.out.Length)
		}
		return &s.out, nil
	}
	return nil, nil
}

func (s *scan) Close() error {
	s.page = nil
	s.fetcher.close()
	return nil
}
