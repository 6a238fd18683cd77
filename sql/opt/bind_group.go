package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maxGroupingSets bounds what CUBE and ROLLUP expand to, as PostgreSQL does.
const maxGroupingSets = 4096

// bindGroups binds GROUP BY.
func (q *selection) bindGroups() error {
	var lists [][][]int // for each item its grouping sets
	plain := true
	for _, e := range q.e.GroupBy {
		if g, ok := e.(*parser.GroupingSet); ok {
			plain = false
			sets, err := q.groupingSets(g)
			if err != nil {
				return err
			}
			lists = append(lists, sets)
			continue
		}
		set, err := q.groupItems(e)
		if err != nil {
			return err
		}
		lists = append(lists, [][]int{set})
	}
	q.grouped = len(q.e.GroupBy) > 0 || q.having != nil || len(q.s.aggregates) > 0 || len(q.s.groupings) > 0
	if plain {
		return nil
	}
	// The product of all items' sets.
	q.sets = [][]int{{}}
	for _, sets := range lists {
		var product [][]int
		for _, a := range q.sets {
			for _, c := range sets {
				union := slices.Clone(a)
				for _, x := range c {
					if !slices.Contains(union, x) {
						union = append(union, x)
					}
				}
				product = append(product, union)
			}
		}
		if len(product) > maxGroupingSets {
			return pgerror.Newf(pgerror.StatementTooComplex, "too many grouping sets present (maximum %d)", maxGroupingSets)
		}
		q.sets = product
	}
	if q.e.GroupByDistinct {
		var distinct [][]int
		for _, s := range q.sets {
			slices.Sort(s)
			if !slices.ContainsFunc(distinct, func(o []int) bool { return slices.Equal(o, s) }) {
				distinct = append(distinct, s)
			}
		}
		q.sets = distinct
	}
	return nil
}

// groupItems binds an expression of GROUP BY, or a list in parentheses.
func (q *selection) groupItems(e parser.Expression) ([]int, error) {
	if r, ok := e.(*parser.Row); ok && !r.Explicit {
		var all []int
		for _, x := range r.Elements {
			set, err := q.groupItems(x)
			if err != nil {
				return nil, err
			}
			all = append(all, set...)
		}
		return all, nil
	}
	i, err := q.targetOf(e, placeGroupBy, true)
	if err != nil {
		return nil, err
	}
	if err := q.textTarget(i); err != nil {
		return nil, err
	}
	t := q.targets[i]
	if err := q.b.comparable(t.value.Type(), leftmost(e)); err != nil {
		return nil, err
	}
	for _, id := range columnsOf(t.value).ids() {
		l := q.b.labels[id-1]
		if l.space == q.s && l.aggregate {
			return nil, q.b.fail(t.position, pgerror.Grouping, "aggregate functions are not allowed in GROUP BY")
		}
		if l.space == q.s && l.window {
			return nil, q.b.fail(t.position, pgerror.WindowingError, "window functions are not allowed in GROUP BY")
		}
	}
	for j, g := range q.groups {
		if equalScalar(g, t.value) {
			return []int{j}, nil
		}
	}
	q.groups = append(q.groups, t.value)
	return []int{len(q.groups) - 1}, nil
}

// groupingSets expands GROUPING SETS, ROLLUP, CUBE and ().
func (q *selection) groupingSets(g *parser.GroupingSet) ([][]int, error) {
	switch g.Kind {
	case parser.EmptyGroupingSet:
		return [][]int{{}}, nil
	case parser.SimpleGroupingSet:
		var all []int
		for _, e := range g.Elements {
			set, err := q.groupItems(e)
			if err != nil {
				return nil, err
			}
			all = append(all, set...)
		}
		return [][]int{all}, nil
	case parser.SetsGroupingSet:
		var all [][]int
		for _, e := range g.Elements {
			if inner, ok := e.(*parser.GroupingSet); ok {
				sets, err := q.groupingSets(inner)
				if err != nil {
					return nil, err
				}
				all = append(all, sets...)
				continue
			}
			set, err := q.groupItems(e)
			if err != nil {
				return nil, err
			}
			all = append(all, set)
		}
		return all, nil
	}
	items := make([][]int, len(g.Elements))
	for i, e := range g.Elements {
		set, err := q.groupItems(e)
		if err != nil {
			return nil, err
		}
		items[i] = set
	}
	var all [][]int
	if g.Kind == parser.RollupGroupingSet {
		for n := len(items); n >= 0; n-- {
			all = append(all, slices.Concat(items[:n]...))
		}
		return all, nil
	}
	if len(items) > 12 {
		return nil, q.b.fail(g.Position, pgerror.TooManyColumns, "CUBE is limited to 12 elements")
	}
	for mask := 1<<len(items) - 1; mask >= 0; mask-- {
		var set []int
		for i, x := range items {
			if mask&(1<<(len(items)-1-i)) != 0 {
				set = append(set, x...)
			}
		}
		all = append(all, set)
	}
	return all, nil
}

// group adds the conditions of WHERE, and the aggregation if there is one.
func (q *selection) group() error {
	b := q.b
	if q.where != nil {
		q.node = &Filter{Input: q.node, Conditions: conjuncts(q.where, nil)}
	}
	if !q.grouped {
		return nil
	}
	p := newProjector(b, q.node)
	node := &Aggregate{}
	ids := make([]ColumnID, len(q.groups))
	for i, g := range q.groups {
		ids[i] = p.column(g)
		if _, ok := g.(*Variable); !ok || len(q.sets) > 0 && !p.has.has(ids[i]) {
			b.labels[ids[i]-1] = columnLabel{space: q.s, aggregate: true}
		}
	}
	node.GroupBy = uniqueIDs(ids)
	for _, a := range q.s.aggregates {
		item := AggregateItem{ID: a.id, Function: a.function, Distinct: a.distinct, Direct: a.direct, OrderBy: p.orderKeys(a.order)}
		for _, x := range a.arguments {
			item.Arguments = append(item.Arguments, p.column(x))
		}
		if a.filter != nil {
			item.Filter = p.column(a.filter)
		}
		node.Aggregates = append(node.Aggregates, item)
	}
	if q.sets != nil {
		q.separateGroups(p, node, ids)
		for _, s := range q.sets {
			set := make([]ColumnID, len(s))
			for i, g := range s {
				set[i] = ids[g]
			}
			node.GroupingSets = append(node.GroupingSets, uniqueIDs(set))
		}
		if len(q.s.groupings) > 0 {
			node.GroupingID = b.newColumn("grouping", types.Int4, columnLabel{space: q.s, aggregate: true})
		}
	}
	node.Input = p.finish()
	q.node = node
	if err := q.replaceGroupings(node, ids); err != nil {
		return err
	}
	return q.checkGrouped(node, ids)
}

// separateGroups gives grouping columns ids of their own where sets may make
// them NULL: the same column as an argument of an aggregate keeps its value.
func (q *selection) separateGroups(p *projector, node *Aggregate, ids []ColumnID) {
	for i, id := range ids {
		if !p.has.has(id) {
			continue
		}
		fresh := q.b.newColumn(q.b.metadata[id-1].Name, q.b.typeOf(id), columnLabel{space: q.s, aggregate: true})
		p.items = append(p.items, Item{ID: fresh, Value: q.b.variable(id)})
		for j := range ids {
			if j != i && ids[j] == id {
				ids[j] = fresh
			}
		}
		ids[i] = fresh
	}
	node.GroupBy = uniqueIDs(ids)
}

// checkGrouped replaces grouped expressions by their columns, and refuses
// columns that are neither grouped nor aggregated.
func (q *selection) checkGrouped(node *Aggregate, ids []ColumnID) error {
	b := q.b
	dependent := q.dependentRelations(node)
	var failure error
	replace := func(s Scalar) Scalar {
		return mapScalar(s, func(x Scalar) Scalar {
			for i, g := range q.groups {
				if equalScalar(x, g) {
					return b.variable(ids[i])
				}
			}
			v, ok := x.(*Variable)
			if !ok {
				return nil
			}
			l := b.labels[v.ID-1]
			if l.space != q.s || l.aggregate || l.window || slices.Contains(node.GroupBy, v.ID) {
				return v
			}
			if r := q.relationOf(v.ID); r != nil && slices.Contains(dependent, r) {
				node.GroupBy = append(node.GroupBy, v.ID)
				return v
			}
			if failure == nil {
				failure = q.ungrouped(v)
			}
			return v
		})
	}
	for i := range q.targets {
		q.targets[i].value = replace(q.targets[i].value)
	}
	q.having = replace(q.having)
	each := func(list []Scalar) {
		for i := range list {
			list[i] = replace(list[i])
		}
	}
	for _, w := range q.s.windows {
		each(w.arguments)
		each(w.partition)
		for i := range w.order {
			w.order[i].value = replace(w.order[i].value)
		}
		w.filter = replace(w.filter)
	}
	for _, c := range q.s.sets {
		each(c.item.Arguments)
	}
	for i := range node.Aggregates {
		each(node.Aggregates[i].Direct)
	}
	if failure != nil {
		return failure
	}
	if q.having != nil {
		q.node = &Filter{Input: q.node, Conditions: conjuncts(q.having, nil)}
	}
	return nil
}

func (q *selection) ungrouped(v *Variable) error {
	b := q.b
	l := b.labels[v.ID-1]
	name := l.column
	if name == "" {
		name = b.metadata[v.ID-1].Name
	}
	if l.relation != "" {
		name = l.relation + "." + name
	}
	err := pgerror.Newf(pgerror.Grouping, "column %q must appear in the GROUP BY clause or be used in an aggregate function", name)
	if q.withinSubquery(v) {
		err = pgerror.Newf(pgerror.Grouping, "subquery uses ungrouped column %q from outer query", name)
	}
	return err.WithPosition(v.Position)
}

// withinSubquery reports whether the variable stands in a query below.
func (q *selection) withinSubquery(v *Variable) bool {
	direct := func(s Scalar) bool {
		found := false
		var walk func(Scalar)
		walk = func(x Scalar) {
			found = found || x == Scalar(v)
			scalarChildren(x, walk)
		}
		if s != nil {
			walk(s)
		}
		return found
	}
	if direct(q.having) {
		return false
	}
	for _, t := range q.targets {
		if direct(t.value) {
			return false
		}
	}
	for _, w := range q.s.windows {
		if slices.ContainsFunc(w.arguments, direct) || slices.ContainsFunc(w.partition, direct) {
			return false
		}
		if slices.ContainsFunc(w.order, func(k sortKey) bool { return direct(k.value) }) {
			return false
		}
	}
	for _, c := range q.s.sets {
		if slices.ContainsFunc(c.item.Arguments, direct) {
			return false
		}
	}
	return true
}

func (q *selection) relationOf(id ColumnID) *relation {
	for _, r := range q.s.relations {
		if r.scan != nil && slices.ContainsFunc(r.scan.Columns, func(c TableColumn) bool { return c.ID == id }) {
			return r
		}
	}
	return nil
}

// dependentRelations are the tables whose primary keys are grouped by: their
// other columns depend on these.
func (q *selection) dependentRelations(node *Aggregate) []*relation {
	if len(node.GroupingSets) > 0 {
		return nil
	}
	var out []*relation
	for _, r := range q.s.relations {
		if r.scan == nil || !r.table.HasPrimaryKey() {
			continue
		}
		all := true
		for _, k := range r.table.Primary.Columns {
			id := columnOf(r.scan.Columns, k.Column)
			all = all && slices.Contains(node.GroupBy, id)
		}
		if all {
			out = append(out, r)
		}
	}
	return out
}

// columnOf is the id under which a table's column is read, 0 if it isn't.
func columnOf(columns []TableColumn, column catalog.ColumnID) ColumnID {
	for _, c := range columns {
		if c.Column == column {
			return c.ID
		}
	}
	return 0
}

// replaceGroupings works out GROUPING(…): a bit for each argument that the
// row's grouping set leaves out.
func (q *selection) replaceGroupings(node *Aggregate, ids []ColumnID) error {
	b := q.b
	values := map[ColumnID]Scalar{}
	for _, g := range q.s.groupings {
		var columns []ColumnID
		for j, a := range g.arguments {
			i := slices.IndexFunc(q.groups, func(x Scalar) bool { return equalScalar(x, a) })
			if i < 0 {
				return b.fail(g.positions[j], pgerror.Grouping, "arguments to GROUPING must be grouping expressions of the associated query level")
			}
			columns = append(columns, ids[i])
		}
		if node.GroupingID == 0 {
			values[g.id] = integer(0)
			continue
		}
		out := &Case{T: types.Int4}
		for i, set := range node.GroupingSets {
			mask := int64(0)
			for _, id := range columns {
				mask <<= 1
				if !slices.Contains(set, id) {
					mask |= 1
				}
			}
			equal, err := b.operator("=", b.variable(node.GroupingID), integer(int64(i)), parser.NoPosition)
			if err != nil {
				return err
			}
			out.Whens = append(out.Whens, When{Condition: equal, Result: integer(mask)})
		}
		values[g.id] = out
	}
	if len(values) == 0 {
		return nil
	}
	replace := func(s Scalar) Scalar {
		return mapScalar(s, func(x Scalar) Scalar {
			if v, ok := x.(*Variable); ok {
				return values[v.ID]
			}
			return nil
		})
	}
	q.having = replace(q.having)
	for i := range q.targets {
		q.targets[i].value = replace(q.targets[i].value)
	}
	return nil
}

func integer(v int64) Scalar { return &Constant{Value: types.Int(v), T: types.Int4} }
