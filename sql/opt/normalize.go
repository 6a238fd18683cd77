package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// optimizer turns what the binder made into a plan:
//
//	normalize   common tables in place, subqueries to joins
//	push        conditions down to where they can be checked first
//	prune       columns that nobody needs
//	plan        indexes, orders, join orders and methods
//
// Nodes are rebuilt rather than changed, except for CommonTables.
type optimizer struct {
	*binder
	// joined are the subqueries that became joins, with what stands for them:
	// one may be used several times (BETWEEN).
	joined map[*Subquery]Scalar
}

func (o *optimizer) optimize(root Node, wanted []ColumnID) Node {
	root = o.normalize(root)
	root = o.push(root, nil)
	root = o.prune(root, columnSetOf(wanted...))
	return o.plan(root, requirement{})
}

// normalize works from the top: what a subquery becomes is normalized with the
// rest.
func (o *optimizer) normalize(n Node) Node {
	switch x := n.(type) {
	case *CommonScan:
		if x.Table.inline {
			p := &Project{Input: x.Table.Query}
			for i, id := range x.Columns {
				p.Items = append(p.Items, Item{ID: id, Value: o.variable(x.Table.Columns[i])})
			}
			return o.normalize(p)
		}
		return n
	case *With:
		return o.normalizeWith(x)
	case *Filter:
		return o.normalizeFilter(x)
	case *Project:
		return o.normalizeProject(x)
	case *Join:
		return o.normalizeJoin(x)
	}
	return mapNode(n, o.normalize, keepScalar)
}

func keepScalar(s Scalar) Scalar { return s }

func (o *optimizer) normalizeWith(x *With) Node {
	var tables []*CommonTable
	for _, t := range x.Tables {
		if t.inline || t.unused {
			continue
		}
		t.Query = o.normalize(t.Query)
		tables = append(tables, t)
	}
	in := o.normalize(x.Input)
	if len(tables) == 0 {
		return in
	}
	return &With{Tables: tables, Input: in}
}

func (o *optimizer) normalizeFilter(x *Filter) Node {
	input := x.Input
	var rest []Scalar
	for _, c := range x.Conditions {
		if joined, ok := o.unnest(c, input); ok {
			input = sinkSemi(joined)
			continue
		}
		c, input = o.decorrelate(c, input)
		rest = append(rest, c)
	}
	input = o.normalize(input)
	if len(rest) == 0 {
		return input
	}
	return &Filter{Input: input, Conditions: rest}
}

func (o *optimizer) normalizeProject(x *Project) Node {
	input := x.Input
	items := slices.Clone(x.Items)
	for i := range items {
		items[i].Value, input = o.decorrelate(items[i].Value, input)
	}
	return &Project{Input: o.normalize(input), Keep: x.Keep, Items: items}
}

func (o *optimizer) normalizeJoin(x *Join) Node {
	left, right := x.Left, x.Right
	kind := x.Kind
	if kind == Right {
		left, right, kind = right, left, Left
	}
	var on, above []Scalar
	for _, c := range x.On {
		if kind == Inner && hasSubquery(c) {
			above = append(above, c)
		} else {
			on = append(on, c)
		}
	}
	j := &Join{Kind: kind, Method: NestedLoop, Left: left, Right: right, On: on, Lateral: x.Lateral, NullAware: x.NullAware}
	if len(above) > 0 {
		return o.normalizeFilter(&Filter{Input: j, Conditions: above})
	}
	j.Left, j.Right = o.normalize(left), o.normalize(right)
	return j
}

// unnest turns a condition with EXISTS, IN or NOT IN into a semi or anti join.
func (o *optimizer) unnest(c Scalar, input Node) (*Join, bool) {
	negated := false
	if not, ok := c.(*Not); ok {
		negated, c = true, not.Argument
	}
	sub, ok := c.(*Subquery)
	if !ok {
		return nil, false
	}
	for _, l := range sub.Left {
		if hasSubquery(l) || isVolatile(l) {
			return nil, false
		}
	}
	if nodeIsVolatile(sub.Query) {
		return nil, false
	}
	switch {
	case sub.Kind == Exists:
		inner, on, ok := o.pullUp(sub.Query, true)
		if !ok {
			return nil, false
		}
		kind := Semi
		if negated {
			kind = Anti
		}
		return &Join{Kind: kind, Method: NestedLoop, Left: input, Right: inner, On: on}, true
	case sub.Kind == Any && !negated:
		inner, on, ok := o.pullUp(sub.Query, false)
		if !ok {
			return nil, false
		}
		return &Join{Kind: Semi, Method: NestedLoop, Left: input, Right: inner, On: append(conjuncts(sub.comparison(), nil), on...)}, true
	case sub.Kind == Any && negated || sub.Kind == All && !negated:
		return o.unnestNotIn(sub, input)
	}
	return nil, false
}

// sinkSemi moves a semi or anti join below the inner joins whose one side has
// all the columns that it compares.
func sinkSemi(semi *Join) Node {
	used := columnsOf(semi.On...)
	within := func(n Node) bool {
		theirs := columnSetOf(semi.Left.Output()...)
		mine := columnSetOf(n.Output()...)
		theirs.subtract(mine)
		return !used.intersects(theirs) && used.intersects(mine)
	}
	below := func(n Node) Node {
		c := *semi
		c.Left = n
		return sinkSemi(&c)
	}
	switch x := semi.Left.(type) {
	case *Join:
		switch {
		case x.Kind != Inner && x.Kind != Left:
		case within(x.Left):
			c := *x
			c.Left = below(x.Left)
			return &c
		case x.Kind == Inner && !x.Lateral && within(x.Right):
			c := *x
			c.Right = below(x.Right)
			return &c
		}
	case *Filter:
		if within(x.Input) {
			return &Filter{Input: below(x.Input), Conditions: x.Conditions}
		}
	}
	return semi
}

// comparison is the comparison of ANY or ALL with the left side put in.
func (e *Subquery) comparison() Scalar {
	return mapScalar(e.Comparison, func(s Scalar) Scalar {
		if v, ok := s.(*Variable); ok {
			if i := slices.Index(e.Placeholders, v.ID); i >= 0 {
				return e.Left[i]
			}
		}
		return nil
	})
}

// unnestNotIn turns x NOT IN (SELECT …) and x <> ALL (SELECT …) into an anti join.
// A NULL on either side makes NOT IN unknown, so the join must know of that
// unless there can be none.
func (o *optimizer) unnestNotIn(sub *Subquery, input Node) (*Join, bool) {
	call, ok := sub.Comparison.(*Call)
	if !ok || len(sub.Left) != 1 {
		return nil, false
	}
	name := "="
	if sub.Kind == All {
		name = "<>"
	}
	if call.Function.Name != name {
		return nil, false
	}
	inner, on, ok := o.pullUp(sub.Query, false)
	if !ok {
		return nil, false
	}
	compared := sub.comparison().(*Call)
	if sub.Kind == All {
		equal, err := types.ResolveOperator("=", compared.Arguments[0].Type(), compared.Arguments[1].Type())
		if err != nil || !equal.Args[0].Equal(call.Function.Args[0]) || !equal.Args[1].Equal(call.Function.Args[1]) {
			return nil, false
		}
		compared = &Call{Function: equal, Arguments: compared.Arguments, Operator: "="}
	}
	join := &Join{Kind: Anti, Method: NestedLoop, Left: input, Right: inner, On: append([]Scalar{compared}, on...)}
	if !o.neverNull(input, sub.Left[0]) || !o.neverNull(inner, o.variable(sub.Columns[0])) {
		// Only a hash join knows how to: it needs one pair of columns.
		output := columnSetOf(input.Output()...)
		if used := columnsOf(sub.Left[0]); len(on) > 0 || used.empty() || !used.within(output) {
			return nil, false
		}
		if _, _, ok := o.hashKeys(compared, output, columnSetOf(inner.Output()...)); !ok {
			return nil, false
		}
		join.NullAware = true
	}
	return join, true
}

// neverNull reports whether an expression over a node's columns can't be NULL.
func (o *optimizer) neverNull(n Node, s Scalar) bool {
	switch x := s.(type) {
	case *Constant:
		return !x.Value.Null
	case *Cast:
		return o.neverNull(n, x.Input)
	case *Variable:
		return columnNeverNull(n, x.ID)
	}
	return false
}

func columnNeverNull(n Node, id ColumnID) bool {
	switch x := n.(type) {
	case *Scan:
		for _, c := range x.Columns {
			if c.ID == id {
				column := x.Table.Column(c.Column)
				return column != nil && (column.NeverNull() || x.Table.Primary.IsKeyColumn(c.Column))
			}
		}
		return false
	case *Project:
		for _, i := range x.Items {
			if i.ID == id {
				if v, ok := i.Value.(*Variable); ok {
					return columnNeverNull(x.Input, v.ID)
				}
				k, ok := i.Value.(*Constant)
				return ok && !k.Value.Null
			}
		}
		return columnNeverNull(x.Input, id)
	case *Filter:
		for _, c := range x.Conditions {
			if t, ok := c.(*IsNull); ok && t.Negated {
				if v, ok := t.Argument.(*Variable); ok && v.ID == id {
					return true
				}
			}
		}
		return columnNeverNull(x.Input, id)
	case *Join:
		left := slices.Contains(x.Left.Output(), id)
		switch x.Kind {
		case Inner:
			if left {
				return columnNeverNull(x.Left, id)
			}
			return columnNeverNull(x.Right, id)
		case Left, Semi, Anti:
			return left && columnNeverNull(x.Left, id)
		}
		return false
	case *Sort:
		return columnNeverNull(x.Input, id)
	case *DistinctRows:
		return columnNeverNull(x.Input, id)
	case *Limit:
		return columnNeverNull(x.Input, id)
	}
	return false
}

// pullUp takes the conditions that refer to outer columns out of a subquery,
// for a join to check them. It returns the rest, which then is independent.
// rowsOnly: only whether there are rows matters, not which.
func (o *optimizer) pullUp(n Node, rowsOnly bool) (Node, []Scalar, bool) {
	if freeColumns(n).empty() {
		return n, nil, true
	}
	switch x := n.(type) {
	case *Filter:
		inner, on, ok := o.pullUp(x.Input, rowsOnly)
		if !ok {
			return nil, nil, false
		}
		own := columnSetOf(inner.Output()...)
		var rest []Scalar
		for _, c := range x.Conditions {
			switch {
			case columnsOf(c).within(own):
				rest = append(rest, c)
			case hasSubquery(c):
				return nil, nil, false
			default:
				on = append(on, c)
			}
		}
		if len(rest) > 0 {
			inner = &Filter{Input: inner, Conditions: rest}
		}
		return inner, on, true
	case *Project:
		inner, on, ok := o.pullUp(x.Input, rowsOnly)
		if !ok {
			return nil, nil, false
		}
		own := columnSetOf(inner.Output()...)
		p := &Project{Input: inner, Keep: uniqueIDs(inner.Output())}
		for _, i := range x.Items {
			if !columnsOf(i.Value).within(own) {
				if rowsOnly {
					continue
				}
				return nil, nil, false
			}
			p.Items = append(p.Items, i)
		}
		return p, on, true
	case *Sort:
		return o.pullUp(x.Input, rowsOnly)
	case *DistinctRows:
		if x.Ordered && !rowsOnly {
			return nil, nil, false
		}
		return o.pullUp(x.Input, rowsOnly)
	case *Limit:
		if count, ok := x.Count.(*Constant); !rowsOnly || !ok || count.Value.I < 1 || x.Offset != nil {
			return nil, nil, false
		}
		return o.pullUp(x.Input, rowsOnly)
	case *Join:
		return o.pullUpJoin(x)
	}
	return nil, nil, false
}

func (o *optimizer) pullUpJoin(x *Join) (Node, []Scalar, bool) {
	if x.Kind != Inner && x.Kind != Left || x.Lateral {
		return nil, nil, false
	}
	left, on, ok := o.pullUp(x.Left, false)
	if !ok {
		return nil, nil, false
	}
	right := x.Right
	if x.Kind == Inner {
		var more []Scalar
		if right, more, ok = o.pullUp(x.Right, false); !ok {
			return nil, nil, false
		}
		on = append(on, more...)
	} else if !freeColumns(right).empty() {
		return nil, nil, false
	}
	j := &Join{Kind: x.Kind, Method: NestedLoop, Left: left, Right: right}
	own := columnSetOf(j.Output()...)
	for _, c := range x.On {
		switch {
		case columnsOf(c).within(own):
			j.On = append(j.On, c)
		case x.Kind == Left || hasSubquery(c):
			return nil, nil, false
		default:
			on = append(on, c)
		}
	}
	return j, on, true
}

// decorrelate replaces scalar subqueries in s that aggregate the rows which
// equal the outer row in some columns by a left join with all groups. Where an
// index finds such rows the subquery stays: it is run for each outer value.
func (o *optimizer) decorrelate(s Scalar, input Node) (Scalar, Node) {
	if !hasSubquery(s) {
		return s, input
	}
	available := columnSetOf(input.Output()...)
	out := mapScalar(s, func(x Scalar) Scalar {
		switch e := x.(type) {
		case *Case, *Coalesce:
			return x // within these an error may never happen
		case *Subquery:
			if e.Kind != One || len(e.Outer) == 0 || !columnSetOf(e.Outer...).within(available) {
				return x
			}
			if r, ok := o.joined[e]; ok {
				if columnsOf(r).within(columnSetOf(input.Output()...)) {
					return r
				}
				return x
			}
			if r, joined, ok := o.joinAggregate(e, input); ok {
				input = joined
				o.joined[e] = r
				return r
			}
			return x
		}
		return nil
	})
	return out, input
}

// joinAggregate is decorrelate for one subquery.
func (o *optimizer) joinAggregate(e *Subquery, input Node) (Scalar, Node, bool) {
	var value Scalar = o.variable(e.Columns[0])
	node := e.Query
	if p, ok := node.(*Project); ok {
		if i := slices.IndexFunc(p.Items, func(i Item) bool { return i.ID == e.Columns[0] }); i >= 0 {
			value = p.Items[i].Value
		}
		node = p.Input
	}
	agg, ok := node.(*Aggregate)
	if !ok || len(agg.GroupBy) > 0 || len(agg.GroupingSets) > 0 || hasSubquery(value) || nodeIsVolatile(node) {
		return nil, nil, false
	}
	inner, on, ok := o.pullUp(agg.Input, false)
	if !ok || len(on) == 0 {
		return nil, nil, false
	}
	own := columnSetOf(inner.Output()...)
	p := newProjector(o.binder, inner)
	join := &Join{Kind: Left, Method: NestedLoop, Left: input}
	grouped := &Aggregate{Aggregates: agg.Aggregates}
	for _, c := range on {
		call, ok := c.(*Call)
		if !ok || call.Function.Name != "=" || len(call.Arguments) != 2 || !call.Function.IsOperator() {
			return nil, nil, false
		}
		mine, outer := call.Arguments[0], call.Arguments[1]
		swapped := false
		if !columnsOf(mine).within(own) || columnsOf(mine).empty() {
			mine, outer, swapped = outer, mine, true
		}
		if !columnsOf(mine).within(own) || columnsOf(mine).empty() || columnsOf(outer).intersects(own) {
			return nil, nil, false
		}
		if v, ok := mine.(*Variable); ok && indexBeginsWith(inner, v.ID) {
			return nil, nil, false
		}
		id := p.column(mine)
		grouped.GroupBy = append(grouped.GroupBy, id)
		arguments := []Scalar{o.variable(id), outer}
		if swapped {
			arguments = []Scalar{outer, o.variable(id)}
		}
		join.On = append(join.On, &Call{Function: call.Function, Arguments: arguments, Operator: "="})
	}
	// A group's column may be the argument of an aggregate as well: give the
	// groups ids of their own, which the outer query may see.
	grouped.Input = p.finish()
	grouped.GroupBy = uniqueIDs(grouped.GroupBy)
	join.Right = grouped
	counts := columnSet{}
	for _, a := range agg.Aggregates {
		if a.Function.Name == "count" || a.Function.Name == "regr_count" {
			counts.add(a.ID)
		}
	}
	value = mapScalar(value, func(x Scalar) Scalar {
		if v, ok := x.(*Variable); ok && counts.has(v.ID) {
			return &Coalesce{Arguments: []Scalar{v, &Constant{Value: types.Int(0), T: types.Int8}}, T: types.Int8}
		}
		return nil
	})
	return value, join, true
}

// indexBeginsWith reports whether an index of the table that a column comes
// from begins with it.
func indexBeginsWith(n Node, id ColumnID) bool {
	if s, ok := n.(*Scan); ok {
		for _, c := range s.Columns {
			if c.ID == id {
				return slices.ContainsFunc(readableIndexes(s.Table), func(ix *catalog.Index) bool { return ix.Columns[0].Column == c.Column })
			}
		}
		return false
	}
	return slices.ContainsFunc(n.Inputs(), func(in Node) bool { return indexBeginsWith(in, id) })
}

// readableIndexes are the primary index and those that readers may use.
func readableIndexes(t *catalog.Table) []*catalog.Index {
	return append([]*catalog.Index{&t.Primary}, t.PublicIndexes()...)
}
