package exec

import (
	"slices"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// aggregator computes one aggregate for many groups, which are numbered from 0.
type aggregator interface {
	// grow makes states up to group n - 1.
	grow(n int) error
	// add takes rows of a batch; groups[n] is the group of row n of r.
	add(b *vector.Batch, r rows, groups []int32) error
	// finish is called when all rows are added.
	finish() error
	// result sets value to of v to a group's result.
	result(group int, v *vector.Vector, to int) error
	// keepLast makes the last group group 0 and forgets the others.
	keepLast()
	reset()
}

// typedAggregator returns the aggregator without interface values for common
// aggregates, nil if there is none.
func typedAggregator(rt *runtime, f *types.Bound, arguments []int, s schema) aggregator {
	switch {
	case f.Name == "count" && len(arguments) == 0:
		return &counter{position: -1}
	case f.Name == "count" && len(arguments) == 1:
		return &counter{position: arguments[0]}
	case len(arguments) != 1:
		return nil
	}
	p := arguments[0]
	t := s[p].t
	switch f.Name {
	case "sum":
		if (t.OID == oidInt2 || t.OID == oidInt4) && f.Return.OID == oidInt8 {
			return &intSum{position: p}
		}
		if t.OID == oidFloat8 && f.Return.OID == oidFloat8 {
			return &floatSum{position: p}
		}
	case "min", "max":
		if t.Family != types.TupleFamily && kindOf(t) == kindOf(f.Return) {
			return &extreme{rt: rt, position: p, least: f.Name == "min", best: storedColumn{t: t, kind: kindOf(t)}, account: account{rt: rt}}
		}
	}
	return nil
}

// counter is count.
type counter struct {
	position int // -1: count(*)
	counts   []int64
}

func (c *counter) grow(n int) error {
	for len(c.counts) < n {
		c.counts = append(c.counts, 0)
	}
	return nil
}

func (c *counter) add(b *vector.Batch, r rows, groups []int32) error {
	if c.position < 0 || !b.Columns[c.position].HasNulls {
		for _, g := range groups[:r.n] {
			c.counts[g]++
		}
		return nil
	}
	v := b.Columns[c.position]
	for n := range r.n {
		if !v.Null(r.at(n)) {
			c.counts[groups[n]]++
		}
	}
	return nil
}

func (c *counter) finish() error { return nil }

func (c *counter) result(g int, v *vector.Vector, to int) error {
	v.Set(to, types.Int(c.counts[g]))
	return nil
}

func (c *counter) keepLast() { c.counts = append(c.counts[:0], c.counts[len(c.counts)-1]) }
func (c *counter) reset()    { c.counts = c.counts[:0] }

// intSum is sum of int2 and int4.
type intSum struct {
	position int
	sums     []int64
	has      []bool
}

func (s *intSum) grow(n int) error {
	for len(s.sums) < n {
		s.sums, s.has = append(s.sums, 0), append(s.has, false)
	}
	return nil
}

func (s *intSum) add(b *vector.Batch, r rows, groups []int32) error {
	v := b.Columns[s.position]
	for n := range r.n {
		i := r.at(n)
		if v.Null(i) {
			continue
		}
		g := groups[n]
		x, y := s.sums[g], v.Ints[i]
		sum := x + y
		if (sum > x) != (y > 0) && y != 0 {
			return pgerror.New(pgerror.NumericValueOutOfRange, "bigint out of range")
		}
		s.sums[g], s.has[g] = sum, true
	}
	return nil
}

func (s *intSum) finish() error { return nil }

func (s *intSum) result(g int, v *vector.Vector, to int) error {
	if !s.has[g] {
		v.SetNull(to)
		return nil
	}
	v.Set(to, types.Int(s.sums[g]))
	return nil
}

func (s *intSum) keepLast() {
	n := len(s.sums) - 1
	s.sums, s.has = append(s.sums[:0], s.sums[n]), append(s.has[:0], s.has[n])
}

func (s *intSum) reset() { s.sums, s.has = s.sums[:0], s.has[:0] }

// floatSum is sum of float8.
type floatSum struct {
	position int
	sums     []float64
	has      []bool
}

func (s *floatSum) grow(n int) error {
	for len(s.sums) < n {
		s.sums, s.has = append(s.sums, 0), append(s.has, false)
	}
	return nil
}

func isInf(f float64) bool { return f-f != 0 && f == f }

func (s *floatSum) add(b *vector.Batch, r rows, groups []int32) error {
	v := b.Columns[s.position]
	for n := range r.n {
		i := r.at(n)
		if v.Null(i) {
			continue
		}
		g := groups[n]
		sum := v.Floats[i]
		if s.has[g] {
			sum += s.sums[g]
			if isInf(sum) && !isInf(s.sums[g]) && !isInf(v.Floats[i]) {
				return floatOverflow()
			}
		}
		s.sums[g], s.has[g] = sum, true
	}
	return nil
}

func (s *floatSum) finish() error { return nil }

func (s *floatSum) result(g int, v *vector.Vector, to int) error {
	if !s.has[g] {
		v.SetNull(to)
		return nil
	}
	v.Set(to, types.Float(s.sums[g]))
	return nil
}

func (s *floatSum) keepLast() {
	n := len(s.sums) - 1
	s.sums, s.has = append(s.sums[:0], s.sums[n]), append(s.has[:0], s.has[n])
}

func (s *floatSum) reset() { s.sums, s.has = s.sums[:0], s.has[:0] }

// extreme is min or max.
type extreme struct {
	rt       *runtime
	position int
	least    bool
	best     storedColumn
	has      []bool
	account  account
}

func (e *extreme) grow(n int) error {
	if n > len(e.has) {
		if err := e.account.grow(int64(n-len(e.has)) * 24); err != nil {
			return err
		}
	}
	for len(e.has) < n {
		e.has = append(e.has, false)
		e.best.appendDatum(types.Datum{}, 0)
	}
	return nil
}

func (e *extreme) add(b *vector.Batch, r rows, groups []int32) error {
	v := b.Columns[e.position]
	for n := range r.n {
		i := r.at(n)
		if v.Null(i) {
			continue
		}
		g := int(groups[n])
		if e.has[g] {
			if order := compareStored(v, i, &e.best, g); order == 0 || (order < 0) != e.least {
				continue
			}
		}
		e.has[g] = true
		e.best.set(g, v, i)
	}
	return nil
}

// set makes value i of v, not NULL, value at of the column.
func (c *storedColumn) set(at int, v *vector.Vector, i int) {
	switch c.kind {
	case intKind:
		c.ints[at] = v.Ints[i]
	case floatKind:
		c.floats[at] = v.Floats[i]
	case stringKind:
		c.strings[at] = v.Strings[i]
	default:
		c.refs[at] = v.Refs[i]
	}
}

func (e *extreme) finish() error { return nil }

func (e *extreme) result(g int, v *vector.Vector, to int) error {
	if !e.has[g] {
		v.SetNull(to)
		return nil
	}
	e.best.copyTo(v, to, g)
	return nil
}

func (e *extreme) keepLast() {
	n := len(e.has) - 1
	d, has := e.best.datum(n), e.has[n]
	e.best.reset()
	e.best.appendDatum(d, 0)
	e.has = append(e.has[:0], has)
}

func (e *extreme) reset() {
	e.best.reset()
	e.has = e.has[:0]
	e.account.release()
}

// generalAggregator calls the function's accumulators with datums.
type generalAggregator struct {
	rt        *runtime
	function  *types.Bound
	arguments []int
	direct    []scalar
	states    []types.Accumulator
	bytes     []int64
	datums    []types.Datum
	account   account
}

func (a *generalAggregator) grow(n int) error {
	for len(a.states) < n {
		s := a.function.NewAccumulator()
		bytes := s.MemoryBytes()
		a.states, a.bytes = append(a.states, s), append(a.bytes, bytes)
		if err := a.account.grow(bytes + 32); err != nil {
			return err
		}
	}
	return nil
}

func (a *generalAggregator) add(b *vector.Batch, r rows, groups []int32) error {
	vectors := make([]*vector.Vector, 0, 8)
	vectors = pick(vectors, b, a.arguments)
	for n := range r.n {
		i := r.at(n)
		a.datums = a.datums[:0]
		for _, d := range a.direct {
			v, err := d.eval(b, rows{[]int32{int32(i)}, 1})
			if err != nil {
				return err
			}
			a.datums = append(a.datums, v.Datum(i))
		}
		for _, v := range vectors {
			a.datums = append(a.datums, v.Datum(i))
		}
		if err := a.addRow(int(groups[n])); err != nil {
			return err
		}
	}
	return nil
}

// addRow adds a.datums to a group.
func (a *generalAggregator) addRow(g int) error {
	if !a.function.CalledOnNull {
		for i := range a.datums {
			if a.datums[i].Null {
				return nil
			}
		}
	}
	s := a.states[g]
	if err := s.Add(a.rt.env.Types, a.datums); err != nil {
		return err
	}
	if bytes := s.MemoryBytes(); bytes != a.bytes[g] {
		grown := bytes - a.bytes[g]
		a.bytes[g] = bytes
		if grown > 0 {
			return a.account.grow(grown)
		}
	}
	return nil
}

func (a *generalAggregator) finish() error { return nil }

func (a *generalAggregator) result(g int, v *vector.Vector, to int) error {
	d, err := a.states[g].Result(a.rt.env.Types)
	if err != nil {
		return err
	}
	v.Set(to, d)
	return nil
}

func (a *generalAggregator) keepLast() {
	n := len(a.states) - 1
	last, bytes := a.states[n], a.bytes[n]
	a.reset()
	a.states, a.bytes = append(a.states, last), append(a.bytes, bytes)
}

func (a *generalAggregator) reset() {
	clear(a.states)
	a.states, a.bytes = a.states[:0], a.bytes[:0]
	a.account.release()
}

// sortedAggregator keeps the rows of aggregates with DISTINCT or ORDER BY, and
// feeds them at the end: sorted by the keys, of equal ones only the first.
// DISTINCT without ORDER BY sorts by the arguments, as PostgreSQL does.
type sortedAggregator struct {
	general  *generalAggregator
	store    *rowStore // group, direct arguments, arguments, keys
	table    *hashTable
	distinct bool
	keys     []sortKey // positions in store
	inputs   []int     // positions in the batch of store's columns after the direct arguments
	groups   vector.Vector
	columns  []*vector.Vector
	width    int // arguments, the direct ones among them
	// anyOrder: the result doesn't depend on the order.
	anyOrder bool
	order    []int32
}

// ignoresOrder reports whether an aggregate has the same result in any order.
func ignoresOrder(f *types.Bound) bool {
	switch f.Name {
	case "count", "min", "max", "bool_and", "bool_or", "every":
		return true
	case "sum", "avg":
		return f.Args[0].Family != types.FloatFamily
	}
	return false
}

func newSortedAggregator(rt *runtime, general *generalAggregator, distinct bool, keys []sortKey, s schema) *sortedAggregator {
	a := &sortedAggregator{general: general, distinct: distinct, anyOrder: len(general.direct) == 0 && ignoresOrder(general.function), width: len(general.direct) + len(general.arguments)}
	ts := []*types.T{types.Int8}
	for i := range general.direct {
		ts = append(ts, general.function.Args[i])
	}
	for _, p := range general.arguments {
		ts = append(ts, s[p].t)
		a.inputs = append(a.inputs, p)
	}
	a.keys = append(a.keys, sortKey{position: 0})
	for _, k := range keys {
		at := slices.Index(general.arguments, k.position)
		if at < 0 {
			at = len(a.inputs)
			ts = append(ts, s[k.position].t)
			a.inputs = append(a.inputs, k.position)
		}
		a.keys = append(a.keys, sortKey{1 + len(general.direct) + at, k.descending, k.nullsFirst})
	}
	if distinct {
		for i := range general.arguments {
			a.keys = append(a.keys, sortKey{position: 1 + len(general.direct) + i})
		}
	}
	a.store = newRowStore(rt, ts)
	if distinct {
		columns := []int{0}
		for i := range general.arguments {
			columns = append(columns, 1+len(general.direct)+i)
		}
		a.table = newHashTable(a.store, columns)
	}
	return a
}

func (a *sortedAggregator) grow(n int) error { return a.general.grow(n) }

func (a *sortedAggregator) add(b *vector.Batch, r rows, groups []int32) error {
	a.groups.Prepare(types.Int8, r.end())
	for n := range r.n {
		a.groups.Ints[r.at(n)] = int64(groups[n])
	}
	a.columns = append(a.columns[:0], &a.groups)
	for _, d := range a.general.direct {
		v, err := d.eval(b, r)
		if err != nil {
			return err
		}
		a.columns = append(a.columns, v)
	}
	for _, p := range a.inputs {
		a.columns = append(a.columns, b.Columns[p])
	}
	if a.table == nil {
		return a.store.appendVectors(a.columns, r)
	}
	keys := make([]*vector.Vector, 0, 8)
	for _, k := range a.table.keys {
		keys = append(keys, a.columns[k])
	}
	hashes := a.table.hash(keys, r)
	for n := range r.n {
		if _, _, err := a.table.findOrAdd(keys, a.columns, r.at(n), hashes[n]); err != nil {
			return err
		}
	}
	return nil
}

func (a *sortedAggregator) finish() error {
	order := a.order[:0]
	if a.anyOrder {
		for row := range a.store.length {
			order = append(order, int32(row))
		}
	} else {
		order = a.store.sorted(a.keys, order, 0, a.store.length)
	}
	a.order = order
	for _, row := range order {
		a.general.datums = a.general.datums[:0]
		for c := 1; c <= a.width; c++ {
			a.general.datums = append(a.general.datums, a.store.columns[c].datum(int(row)))
		}
		if err := a.general.addRow(int(a.store.columns[0].ints[row])); err != nil {
			return err
		}
	}
	a.resetStore()
	return nil
}

func (a *sortedAggregator) result(g int, v *vector.Vector, to int) error {
	return a.general.result(g, v, to)
}

func (a *sortedAggregator) keepLast() {} // not used for ordered input

func (a *sortedAggregator) resetStore() {
	a.store.reset()
	if a.table != nil {
		a.table.reset()
	}
}

func (a *sortedAggregator) reset() {
	a.general.reset()
	a.resetStore()
}

// keepLast makes the last group group 0 and forgets the others.
func (g *grouping) keepLast() error {
	row := make([]types.Datum, len(g.store.columns))
	for c := range row {
		row[c] = g.store.columns[c].datum(g.store.length - 1)
	}
	g.store.reset()
	for _, item := range g.items {
		item.keepLast()
	}
	return g.store.appendDatums(row)
}
