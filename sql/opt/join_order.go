package opt

import (
	"math"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// maxStarts bounds from how many relations the greedy search begins.
const maxStarts = 8

// planGroup orders inner joins: from each relation (of not too many) it goes on
// with the relation whose join costs least, and the cheapest sequence wins.
func (o *optimizer) planGroup(g *joinGroup, r requirement) Node {
	planned := make([]Node, len(g.inputs))
	for i, in := range g.inputs {
		planned[i] = o.plan(in, requirement{})
	}
	starts := make([]int, len(planned))
	for i := range starts {
		starts[i] = i
	}
	slices.SortStableFunc(starts, func(a, b int) int {
		return compareFloat(planned[a].Estimated().Rows, planned[b].Estimated().Rows)
	})
	tries := len(starts)
	if len(starts) > maxStarts {
		tries = 1
	}
	var best Node
	bestCost := math.Inf(1)
	for _, start := range starts[:tries] {
		n := o.sequence(g, planned, start, r)
		cost := n.Estimated().Cost
		if len(r.order) > 0 && !o.satisfies(n, r.order) {
			cost += sortCost(n.Estimated().Rows)
		}
		if cost < bestCost {
			best, bestCost = n, cost
		}
	}
	return best
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sequence joins all relations of a group, beginning with one.
func (o *optimizer) sequence(g *joinGroup, planned []Node, start int, r requirement) Node {
	current := planned[start]
	if len(r.order) > 0 {
		current = o.plan(g.inputs[start], requirement{order: r.order})
	}
	done := make([]bool, len(planned))
	done[start] = true
	on := slices.Clone(g.on)
	for range len(planned) - 1 {
		have := columnSetOf(current.Output()...)
		var best Node
		bestIndex, bestConnected := -1, false
		for i := range planned {
			if done[i] {
				continue
			}
			connected := false
			for _, c := range on {
				used := columnsOf(c)
				connected = connected || used.intersects(have) && used.intersects(columnSetOf(planned[i].Output()...))
			}
			if bestConnected && !connected {
				continue
			}
			all := have.clone()
			all.addAll(planned[i].Output())
			conditions, _ := split(on, func(c Scalar) bool { return o.joinable(c, all, g) })
			n := o.joinPair(Inner, current, planned[i], g.inputs[i], conditions, false)
			better := best == nil || connected && !bestConnected ||
				n.Estimated().Cost+n.Estimated().Rows < best.Estimated().Cost+best.Estimated().Rows
			if better {
				best, bestIndex, bestConnected = n, i, connected
			}
		}
		all := have.clone()
		all.addAll(planned[bestIndex].Output())
		_, on = split(on, func(c Scalar) bool { return o.joinable(c, all, g) })
		current, done[bestIndex] = best, true
	}
	return filtered2(current, on, o)
}

// filtered2 checks what is left over above the joins.
func filtered2(n Node, on []Scalar, o *optimizer) Node {
	if len(on) == 0 {
		return n
	}
	e := *n.Estimated()
	return withEstimate(&Filter{Input: n, Conditions: o.planList(on)}, e.Rows*o.selectivity(on), e.Cost+e.Rows*0.1)
}

// joinable: all columns of the group that a condition uses are there.
func (o *optimizer) joinable(c Scalar, have columnSet, g *joinGroup) bool {
	for _, in := range g.inputs {
		out := columnSetOf(in.Output()...)
		used := columnsOf(c)
		for _, id := range used.ids() {
			if out.has(id) && !have.has(id) {
				return false
			}
		}
	}
	return true
}

// planJoin plans outer, semi, anti and lateral joins.
func (o *optimizer) planJoin(x *Join, r requirement) Node {
	left := o.plan(x.Left, requirement{order: r.order})
	if x.Lateral {
		right := o.plan(x.Right, requirement{})
		l, rt := left.Estimated(), right.Estimated()
		rows := math.Max(1, l.Rows*rt.Rows*o.selectivity(x.On))
		c := *x
		c.Left, c.Right, c.On, c.Method = left, right, o.planList(x.On), NestedLoop
		return withEstimate(&c, rows, l.Cost+math.Max(1, l.Rows)*rt.Cost)
	}
	right := o.plan(x.Right, requirement{})
	n := o.joinPair(x.Kind, left, right, x.Right, x.On, x.NullAware)
	if x.Kind == Semi {
		if reversed := o.semiFromRight(x, left, right); reversed != nil && reversed.Estimated().Cost < n.Estimated().Cost {
			return reversed
		}
	}
	return n
}

// semiFromRight looks up the left side's rows for each distinct value of the
// right side: where that is small and the left side has an index.
func (o *optimizer) semiFromRight(x *Join, left, right Node) Node {
	if _, ok := x.Left.(*Scan); !ok || right.Estimated().Rows > 10000 {
		return nil
	}
	own := columnSetOf(x.Right.Output()...)
	var keys []ColumnID
	for _, c := range x.On {
		l, r := o.equality(c, columnSetOf(left.Output()...), own)
		v, ok := r.(*Variable)
		if l == nil || !ok {
			return nil
		}
		keys = append(keys, v.ID)
	}
	if len(keys) == 0 {
		return nil
	}
	e := right.Estimated()
	distinct := withEstimate(&DistinctRows{Input: right, On: uniqueIDs(keys)}, math.Max(1, e.Rows/2), e.Cost+e.Rows*hashCost)
	return o.lookupJoin(Inner, distinct, x.Left, x.On)
}

// equality reads a condition as left = right, each over one side; nil if it is
// none.
func (o *optimizer) equality(c Scalar, left, right columnSet) (l, r Scalar) {
	call, ok := c.(*Call)
	if !ok || len(call.Arguments) != 2 || call.Function.Name != "=" || !call.Function.IsOperator() || !call.Function.Hashable {
		return nil, nil
	}
	l, r = call.Arguments[0], call.Arguments[1]
	lc, rc := columnsOf(l), columnsOf(r)
	switch {
	case lc.intersects(left) && !lc.intersects(right) && rc.intersects(right) && !rc.intersects(left):
		return l, r
	case lc.intersects(right) && !lc.intersects(left) && rc.intersects(left) && !rc.intersects(right):
		return r, l
	}
	return nil, nil
}

// joinPair joins two planned sides by the cheapest method. logical is the right
// side before it was planned.
func (o *optimizer) joinPair(kind JoinKind, left, right, logical Node, on []Scalar, nullAware bool) Node {
	l, r := left.Estimated(), right.Estimated()
	rows := o.joinRows(kind, left, right, on)
	leftColumns, rightColumns := columnSetOf(left.Output()...), columnSetOf(right.Output()...)
	var equalLeft, equalRight, rest []Scalar
	for _, c := range on {
		if a, b, ok := o.hashKeys(c, leftColumns, rightColumns); ok {
			equalLeft, equalRight = append(equalLeft, a), append(equalRight, b)
		} else {
			rest = append(rest, c)
		}
	}
	var best Node
	if len(equalLeft) > 0 && (!nullAware || len(rest) == 0 && len(equalLeft) == 1) {
		best = o.hashJoin(kind, left, right, equalLeft, equalRight, rest, rows, nullAware)
	} else {
		j := &Join{Kind: kind, Method: NestedLoop, Left: left, Right: right, On: o.planList(on), NullAware: nullAware}
		best = withEstimate(j, rows, l.Cost+r.Cost+math.Max(1, l.Rows)*math.Max(1, r.Rows)*compare+rows*0.1)
	}
	if kind == Full || nullAware {
		return best
	}
	if n := o.lookupJoin(kind, left, logical, on); n != nil && n.Estimated().Cost < best.Estimated().Cost {
		n.Estimated().Rows = rows
		return n
	}
	return best
}

// joinRows estimates the result of a join.
func (o *optimizer) joinRows(kind JoinKind, left, right Node, on []Scalar) float64 {
	l, r := math.Max(left.Estimated().Rows, 0), math.Max(right.Estimated().Rows, 0)
	rows := l * r * o.selectivity(on)
	switch kind {
	case Left:
		rows = math.Max(rows, l)
	case Right:
		rows = math.Max(rows, r)
	case Full:
		rows = math.Max(rows, l+r)
	case Semi:
		rows = l * math.Min(0.9, math.Max(0.1, r*o.selectivity(on)))
	case Anti:
		rows = l * 0.5
	}
	return rows
}

// hashKeys reads a condition as an equality of one type on both sides.
func (o *optimizer) hashKeys(c Scalar, left, right columnSet) (l, r Scalar, ok bool) {
	l, r = o.equality(c, left, right)
	if l == nil || isVolatile(c) || hasSubquery(c) {
		return nil, nil, false
	}
	lt, rt := l.Type(), r.Type()
	if lt.OID == rt.OID || isText(lt) && isText(rt) {
		return stripText(l), stripText(r), true
	}
	if cast, found := types.FindCast(lt, rt, types.ImplicitCast); found && isInteger(lt) && isInteger(rt) {
		return o.fold(&Cast{Input: l, Cast: cast, Implicit: true}), r, true
	}
	if cast, found := types.FindCast(rt, lt, types.ImplicitCast); found && isInteger(lt) && isInteger(rt) {
		return l, o.fold(&Cast{Input: r, Cast: cast, Implicit: true}), true
	}
	return nil, nil, false
}

// stripText takes the cast from varchar to text off: both hash and compare as
// bytes.
func stripText(s Scalar) Scalar {
	if c, ok := s.(*Cast); ok && c.Implicit && isText(c.Input.Type()) && isText(c.Cast.To) && c.Cast.To.Typmod == -1 {
		return c.Input
	}
	return s
}

func (o *optimizer) hashJoin(kind JoinKind, left, right Node, equalLeft, equalRight, rest []Scalar, rows float64, nullAware bool) Node {
	l, r := left.Estimated(), right.Estimated()
	j := &Join{Kind: kind, Method: Hash, On: o.planList(rest), NullAware: nullAware}
	// The table is built of the right side: the smaller one if both will do.
	if (kind == Inner || kind == Left) && l.Rows < r.Rows {
		left, right, equalLeft, equalRight = right, left, equalRight, equalLeft
		l, r = r, l
		if kind == Left {
			j.Kind = Right
		}
	}
	lp, rp := newProjector(o.binder, left), newProjector(o.binder, right)
	for i := range equalLeft {
		j.EqualLeft = append(j.EqualLeft, lp.column(equalLeft[i]))
		j.EqualRight = append(j.EqualRight, rp.column(equalRight[i]))
	}
	j.Left, j.Right = o.projected(lp), o.projected(rp)
	return withEstimate(j, rows, l.Cost+r.Cost+r.Rows*hashCost+l.Rows*probeCost+rows*0.1)
}

// projected is a projector's node with an estimate.
func (o *optimizer) projected(p *projector) Node {
	n := p.finish()
	if n != p.input {
		withEstimate(n, p.input.Estimated().Rows, p.input.Estimated().Cost+p.input.Estimated().Rows*0.05)
	}
	return n
}

// lookupJoin looks up entries of an index for each row of the left side; nil if
// no index of the right side's table has columns that are equal to some.
func (o *optimizer) lookupJoin(kind JoinKind, left, logical Node, on []Scalar) Node {
	scan, ok := logical.(*Scan)
	if !ok || kind == Right || kind == Full || scan.Lock.Strength != 0 {
		return nil
	}
	for _, c := range on {
		if hasSubquery(c) {
			return nil
		}
	}
	var best Node
	for _, ix := range readableIndexes(scan.Table) {
		n := o.lookupBy(kind, left, scan, ix, on)
		if n != nil && (best == nil || n.Estimated().Cost < best.Estimated().Cost) {
			best = n
		}
	}
	return best
}

// lookupBy is lookupJoin with one index.
func (o *optimizer) lookupBy(kind JoinKind, left Node, scan *Scan, ix *catalog.Index, on []Scalar) Node {
	own := columnSetOf(tableColumnIDs(scan.Columns)...)
	outer := columnSetOf(left.Output()...)
	conditions := append(slices.Clone(on), scan.Filter...)
	j := &LookupJoin{Kind: kind, Input: left, Table: scan.Table, Index: ix}
	used := make([]bool, len(conditions))
	joined := false
	for _, key := range ix.Columns {
		id := columnOf(scan.Columns, key.Column)
		at := -1
		var value Scalar
		for i, c := range conditions {
			k := o.constrain(c, own)
			if k == nil || k.column != id || len(k.equal) != 1 || k.null || !k.exact {
				continue
			}
			if at < 0 || columnsOf(k.equal[0]).intersects(outer) {
				at, value = i, k.equal[0]
			}
		}
		if id == 0 || at < 0 {
			break
		}
		used[at] = true
		joined = joined || columnsOf(value).intersects(outer)
		j.Equal = append(j.Equal, value)
	}
	if !joined {
		return nil
	}
	j.Unique = ix.Unique && len(j.Equal) == len(ix.Columns)
	var rest []Scalar
	for i, c := range conditions {
		if !used[i] {
			rest = append(rest, c)
		}
	}
	return o.finishLookup(j, scan, rest, on)
}

// finishLookup adds the columns and the remaining conditions, with a join to the
// rows where the index lacks columns.
func (o *optimizer) finishLookup(j *LookupJoin, scan *Scan, rest, on []Scalar) Node {
	l := j.Input.Estimated()
	rows := o.tableRows(scan.Table)
	matches := rows
	for i := range j.Equal {
		matches /= o.distinctValues(scan.Table, j.Index.Columns[i].Column, rows)
	}
	if j.Unique {
		matches = 1
	}
	found := l.Rows * math.Max(matches, 0.1)
	cost := l.Cost + startCost + l.Rows*lookupCost + found*0.5
	result := l.Rows * rows * o.selectivity(scan.Filter) * o.selectivity(on)
	lacking := slices.ContainsFunc(scan.Columns, func(c TableColumn) bool { return !indexHas(scan.Table, j.Index, c.Column) })
	if !lacking {
		j.Columns, j.On = scan.Columns, rest
		return withEstimate(j, result, cost)
	}
	if j.Kind != Inner {
		return nil
	}
	var inIndex columnSet
	for _, c := range scan.Columns {
		if indexHas(scan.Table, j.Index, c.Column) {
			inIndex.add(c.ID)
			j.Columns = append(j.Columns, c)
		}
	}
	fetch := &IndexJoin{Table: scan.Table}
	for _, c := range scan.Columns {
		if !inIndex.has(c.ID) {
			fetch.Columns = append(fetch.Columns, c)
		}
	}
	for _, k := range scan.Table.Primary.Columns {
		id := columnOf(j.Columns, k.Column)
		if id == 0 {
			column := scan.Table.Column(k.Column)
			id = o.newColumn(column.Name, column.Type, columnLabel{})
			j.Columns = append(j.Columns, TableColumn{ID: id, Column: k.Column})
		}
		fetch.PrimaryKey = append(fetch.PrimaryKey, id)
	}
	missing := columnSetOf(tableColumnIDs(fetch.Columns)...)
	j.On, fetch.Filter = split(rest, func(c Scalar) bool { return !columnsOf(c).intersects(missing) })
	withEstimate(j, found, cost)
	fetch.Input = j
	fetch.Keep = uniqueIDs(j.Output())
	return withEstimate(fetch, result, cost+startCost+found*lookupCost)
}
