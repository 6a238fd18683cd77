package exec

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// aggregate groups its input by hashing, or, where equal groups stand together,
// by comparing with the last row. Groups come out in the order in which they
// first came in.
type aggregate struct {
	rt      *runtime
	input   Operator
	groupBy []int
	sets    []*grouping
	ordered bool
	hasID   bool
	done    bool // the input is read
	set     int  // being emitted
	emitted int
	out     *vector.Batch
	keys    []*vector.Vector
	groups  []int32
	nulls   []*vector.Vector // of the columns that a grouping set leaves out
	// complete counts the groups of ordered input that are being emitted while
	// there is more input.
	complete int
}

// grouping is one grouping set: the groups that it has made so far.
type grouping struct {
	id      int
	columns []int // positions in groupBy of the columns that count
	absent  []int // of those that are NULL
	store   *rowStore
	table   *hashTable
	items   []*aggregateItem
}

// aggregateItem is one aggregate of one grouping set.
type aggregateItem struct {
	aggregator
	filter int // position of a boolean column, -1: none
	kept   []int32
	groups []int32
}

func (b *builder) aggregate(n *opt.Aggregate) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	a := &aggregate{rt: b.rt, input: op, hasID: n.GroupingID != 0}
	if a.groupBy, err = s.positions(n.GroupBy); err != nil {
		return nil, nil, err
	}
	var out schema
	for _, p := range a.groupBy {
		out = append(out, s[p])
	}
	keyTypes := out.types()
	if n.GroupingID != 0 {
		out = append(out, column{n.GroupingID, b.typeOf(n.GroupingID)})
	}
	for i := range n.Aggregates {
		out = append(out, column{n.Aggregates[i].ID, n.Aggregates[i].Function.Return})
	}
	sets := n.GroupingSets
	if len(sets) == 0 {
		sets = [][]opt.ColumnID{n.GroupBy}
	}
	a.ordered = n.Ordered && len(n.GroupingSets) == 0 && len(n.GroupBy) > 0
	for id, set := range sets {
		g := &grouping{id: id, store: newRowStore(b.rt, keyTypes)}
		for i, c := range n.GroupBy {
			if slices.Contains(set, c) {
				g.columns = append(g.columns, i)
			} else {
				g.absent = append(g.absent, i)
			}
		}
		g.table = newHashTable(g.store, g.columns)
		for i := range n.Aggregates {
			item, err := b.aggregateItem(&n.Aggregates[i], s)
			if err != nil {
				return nil, nil, err
			}
			if _, sorts := item.aggregator.(*sortedAggregator); sorts {
				a.ordered = false
			}
			g.items = append(g.items, item)
		}
		a.sets = append(a.sets, g)
	}
	for _, t := range keyTypes {
		v := vector.New(t)
		v.SetAllNull()
		a.nulls = append(a.nulls, v)
	}
	a.out = &vector.Batch{Columns: newVectors(out.types())}
	a.groups = make([]int32, vector.Size)
	return a, out, nil
}

func (b *builder) aggregateItem(n *opt.AggregateItem, s schema) (*aggregateItem, error) {
	item := &aggregateItem{filter: -1}
	if n.Filter != 0 {
		if item.filter = s.find(n.Filter); item.filter < 0 {
			return nil, internalf("filter column %d is not in the input", n.Filter)
		}
	}
	arguments, err := s.positions(n.Arguments)
	if err != nil {
		return nil, err
	}
	direct, err := b.scalars(n.Direct, s)
	if err != nil {
		return nil, err
	}
	if len(n.OrderBy) == 0 && !n.Distinct && len(direct) == 0 {
		item.aggregator = typedAggregator(b.rt, n.Function, arguments, s)
		if item.aggregator != nil {
			return item, nil
		}
	}
	general := &generalAggregator{rt: b.rt, function: n.Function, arguments: arguments, direct: direct, account: account{rt: b.rt}}
	item.aggregator = general
	if len(n.OrderBy) == 0 && !n.Distinct {
		return item, nil
	}
	keys, err := sortKeys(n.OrderBy, s)
	if err != nil {
		return nil, err
	}
	item.aggregator = newSortedAggregator(b.rt, general, n.Distinct, keys, s)
	return item, nil
}

func (a *aggregate) Open(ctx context.Context) error {
	a.done, a.set, a.emitted, a.complete = false, 0, 0, 0
	for _, g := range a.sets {
		g.reset()
		if len(g.columns) == 0 {
			// There is one group whatever the input is.
			if err := g.store.appendRow(a.nulls, 0); err != nil {
				return err
			}
			if err := g.grow(); err != nil {
				return err
			}
		}
	}
	return a.input.Open(ctx)
}

func (g *grouping) reset() {
	g.store.reset()
	g.table.reset()
	for _, item := range g.items {
		item.reset()
	}
}

// grow makes states for new groups.
func (g *grouping) grow() error {
	for _, item := range g.items {
		if err := item.grow(g.store.length); err != nil {
			return err
		}
	}
	return nil
}

func (a *aggregate) Next(ctx context.Context) (*vector.Batch, error) {
	if a.complete > 0 {
		if a.emitted < a.complete {
			return a.emitComplete(a.sets[0])
		}
		if err := a.sets[0].keepLast(); err != nil {
			return nil, err
		}
		a.complete, a.emitted = 0, 0
	}
	for !a.done {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := a.input.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			a.done = true
			for _, g := range a.sets {
				for _, item := range g.items {
					if err := item.finish(); err != nil {
						return nil, err
					}
				}
			}
			break
		}
		for _, g := range a.sets {
			if err := a.add(g, b); err != nil {
				return nil, err
			}
		}
		if g := a.sets[0]; a.ordered && g.store.length > vector.Size {
			// All groups but the last are complete.
			a.complete = g.store.length - 1
			return a.emitComplete(g)
		}
	}
	for a.set < len(a.sets) {
		g := a.sets[a.set]
		if a.emitted == g.store.length {
			a.set, a.emitted = a.set+1, 0
			continue
		}
		n := min(g.store.length-a.emitted, vector.Size)
		out, err := a.emit(g, a.emitted, n)
		a.emitted += n
		return out, err
	}
	return nil, nil
}

// emitComplete yields the next of the complete groups of ordered input.
func (a *aggregate) emitComplete(g *grouping) (*vector.Batch, error) {
	n := min(a.complete-a.emitted, vector.Size)
	out, err := a.emit(g, a.emitted, n)
	a.emitted += n
	return out, err
}

// add puts a batch's rows into their groups.
func (a *aggregate) add(g *grouping, b *vector.Batch) error {
	r := rowsOf(b)
	groups := a.groups[:r.n]
	all := pick(a.keys, b, a.groupBy)
	a.keys = all
	switch {
	case len(g.columns) == 0:
		clear(groups)
	case a.ordered:
		if err := a.addOrdered(g, all, r, groups); err != nil {
			return err
		}
	default:
		if len(g.absent) > 0 {
			for _, c := range g.absent {
				all[c] = a.nulls[c]
			}
		}
		keys := make([]*vector.Vector, 0, 8)
		for _, c := range g.columns {
			keys = append(keys, all[c])
		}
		hashes := g.table.hash(keys, r)
		for n := range r.n {
			row, _, err := g.table.findOrAdd(keys, all, r.at(n), hashes[n])
			if err != nil {
				return err
			}
			groups[n] = int32(row)
		}
	}
	if err := g.grow(); err != nil {
		return err
	}
	for _, item := range g.items {
		if err := item.addFiltered(b, r, groups); err != nil {
			return err
		}
	}
	return nil
}

func (a *aggregate) addOrdered(g *grouping, keys []*vector.Vector, r rows, groups []int32) error {
	for n := range r.n {
		i := r.at(n)
		last := g.store.length - 1
		same := last >= 0
		for c := 0; same && c < len(keys); c++ {
			same = equalStored(keys[c], i, &g.store.columns[c], last)
		}
		if !same {
			if err := g.store.appendRow(keys, i); err != nil {
				return err
			}
			last++
		}
		groups[n] = int32(last)
	}
	return nil
}

// addFiltered is add for the rows that FILTER lets through.
func (item *aggregateItem) addFiltered(b *vector.Batch, r rows, groups []int32) error {
	if item.filter < 0 {
		return item.add(b, r, groups)
	}
	v := b.Columns[item.filter]
	item.kept, item.groups = item.kept[:0], item.groups[:0]
	for n := range r.n {
		if i := r.at(n); !v.Null(i) && v.Ints[i] != 0 {
			item.kept, item.groups = append(item.kept, int32(i)), append(item.groups, groups[n])
		}
	}
	if len(item.kept) == 0 {
		return nil
	}
	return item.add(b, rows{item.kept, len(item.kept)}, item.groups)
}

// emit yields n groups from first on.
func (a *aggregate) emit(g *grouping, first, n int) (*vector.Batch, error) {
	prepareVectors(a.out.Columns, n)
	c := 0
	for ; c < len(a.groupBy); c++ {
		v := a.out.Columns[c]
		for i := range n {
			g.store.columns[c].copyTo(v, i, first+i)
		}
	}
	if a.hasID {
		for i := range n {
			a.out.Columns[c].Set(i, types.Int(int64(g.id)))
		}
		c++
	}
	for k, item := range g.items {
		for i := range n {
			if err := item.result(first+i, a.out.Columns[c+k], i); err != nil {
				return nil, err
			}
		}
	}
	a.out.Length = n
	return a.out, nil
}

func (a *aggregate) Close() error {
	for _, g := range a.sets {
		g.reset()
	}
	return a.input.Close()
}
