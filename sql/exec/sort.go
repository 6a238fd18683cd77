package exec

import (
	"context"
	"slices"
	"strconv"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/vector"
)

// sorter is Sort: all rows, or the first few (a heap of them), in order. Rows
// that are equal keep their order.
type sorter struct {
	rt        *runtime
	input     Operator
	keys      []sortKey
	presorted int
	limit     int64
	store     *rowStore
	order     []int32
	emitted   int
	left      int64 // of limit, -1: none
	// Of presorted input: the batch being cut into runs and where in it.
	batch *vector.Batch
	at    int
	end   bool
	out   *vector.Batch
	peak  int64 // bytes
}

func (b *builder) sort(n *opt.Sort) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	keys, err := sortKeys(n.Keys, s)
	if err != nil {
		return nil, nil, err
	}
	return &sorter{rt: b.rt, input: op, keys: keys, presorted: n.Presorted, limit: n.Limit,
		store: newRowStore(b.rt, s.types()), out: &vector.Batch{Columns: newVectors(s.types())}}, s, nil
}

func (s *sorter) Open(ctx context.Context) error {
	s.store.reset()
	s.order, s.emitted, s.batch, s.at, s.end = s.order[:0], 0, nil, 0, false
	s.left, s.peak = -1, 0
	if s.limit > 0 {
		s.left = s.limit
	}
	return s.input.Open(ctx)
}

func (s *sorter) Next(ctx context.Context) (*vector.Batch, error) {
	for s.left != 0 {
		if s.emitted < len(s.order) {
			n := s.store.emitOrdered(s.out, s.order, s.emitted)
			if s.left > 0 && int64(n) > s.left {
				n = int(s.left)
				s.out.Length = n
			}
			if s.left > 0 {
				s.left -= int64(n)
			}
			s.emitted += n
			return s.out, nil
		}
		if s.end {
			return nil, nil
		}
		s.order, s.emitted = s.order[:0], 0
		s.store.reset()
		if err := s.fill(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// fill reads the next rows to be sorted: a run of presorted input, or all.
func (s *sorter) fill(ctx context.Context) error {
	keys := s.keys
	if s.presorted > 0 {
		keys = s.keys[s.presorted:]
	}
	// More rows than a heap's worth are not kept, with a limit.
	heap := s.limit > 0 && s.limit <= 1<<16
	for {
		if s.batch == nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := s.input.Next(ctx)
			if err != nil {
				return err
			}
			if b == nil {
				s.end = true
				break
			}
			s.batch, s.at = b, 0
		}
		if s.presorted > 0 {
			if done, err := s.addRun(); err != nil || done {
				if err != nil {
					return err
				}
				break
			}
			continue
		}
		if err := s.store.appendBatch(s.batch); err != nil {
			return err
		}
		s.batch = nil
		if heap && int64(s.store.length) > 2*s.limit+vector.Size {
			if err := s.prune(); err != nil {
				return err
			}
		}
	}
	s.order = s.store.sorted(keys, s.order, 0, s.store.length)
	s.peak = max(s.peak, s.store.account.used)
	return nil
}

// addRun adds the batch's rows that belong to the current run, and reports
// whether the run has ended.
func (s *sorter) addRun() (bool, error) {
	for ; s.at < s.batch.Length; s.at++ {
		i := s.batch.Row(s.at)
		for _, k := range s.keys[:s.presorted] {
			if s.store.length > 0 && !equalStored(s.batch.Columns[k.position], i, &s.store.columns[k.position], 0) {
				return true, nil
			}
		}
		if err := s.store.appendRow(s.batch.Columns, i); err != nil {
			return false, err
		}
	}
	s.batch = nil
	return false, nil
}

// prune keeps the first limit rows of those read so far, in their old order.
func (s *sorter) prune() error {
	order := s.store.sorted(s.keys, s.order, 0, s.store.length)
	order = order[:s.limit]
	slices.Sort(order)
	s.order = order[:0]
	kept := newRowStore(s.rt, nil)
	kept.columns = make([]storedColumn, len(s.store.columns))
	kept.slot = s.store.slot
	bytes := int64(0)
	for c := range kept.columns {
		from := &s.store.columns[c]
		to := &kept.columns[c]
		to.t, to.kind = from.t, from.kind
		for n, row := range order {
			bytes += to.appendDatum(from.datum(int(row)), n)
		}
	}
	kept.length = len(order)
	if err := kept.account.grow(bytes + kept.slot*int64(len(order))); err != nil {
		return err
	}
	s.store.release()
	s.store = kept
	return nil
}

func (s *sorter) Close() error {
	s.store.release()
	s.order, s.batch = s.order[:0], nil
	return s.input.Close()
}

// details are EXPLAIN ANALYZE's lines about the sort.
func (s *sorter) details() []string {
	if s.limit > 0 {
		return []string{"Sort Method: top-N heapsort  Memory: " + kilobytes(s.peak)}
	}
	return []string{"Sort Method: quicksort  Memory: " + kilobytes(s.peak)}
}

func kilobytes(bytes int64) string { return strconv.FormatInt((bytes+1023)/1024, 10) + "kB" }
