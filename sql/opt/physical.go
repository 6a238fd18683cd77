package opt

import (
	"math"
	"slices"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/types"
)

// requirement is what the node above would like: an order (it sorts if it does
// not get it), and how many rows it will read (0: all).
type requirement struct {
	order []OrderKey
	limit float64
}

// plan chooses how a tree is run, and estimates it.
func (o *optimizer) plan(n Node, r requirement) Node {
	switch x := n.(type) {
	case *Scan:
		scan := o.planScalars(x).(*Scan)
		n := o.planScan(scan, r)
		if byArray := o.scanByArray(scan); byArray != nil && byArray.Estimated().Cost < n.Estimated().Cost {
			return byArray
		}
		return n
	case *VirtualScan:
		return o.planVirtual(o.planScalars(x).(*VirtualScan))
	case *Filter:
		return o.planFilter(x, r)
	case *Project:
		return o.planProject(x, r)
	case *Join:
		return o.planJoin(x, r)
	case *joinGroup:
		return o.planGroup(x, r)
	case *Aggregate:
		return o.planAggregate(x)
	case *DistinctRows:
		return o.planDistinct(x, r)
	case *Sort:
		return o.planSort(x, r)
	case *Limit:
		return o.planLimit(x, r)
	case *LockRows:
		return o.planLock(x, r)
	case *Update:
		in := o.lockTarget(o.plan(x.Input, requirement{}), updateStrength(x))
		c := *x
		c.Input = in
		c.Checks, _ = mapChecks(x.Checks, o.planScalar)
		return withEstimate(&c, in.Estimated().Rows, in.Estimated().Cost+in.Estimated().Rows*lookupCost)
	case *Delete:
		in := o.lockTarget(o.plan(x.Input, requirement{}), kvpb.LockUpdate)
		c := *x
		c.Input = in
		return withEstimate(&c, in.Estimated().Rows, in.Estimated().Cost+in.Estimated().Rows*lookupCost)
	case *Window:
		return o.planWindow(x)
	}
	return o.planOther(n, r)
}

// planOther plans what offers no choice.
func (o *optimizer) planOther(n Node, r requirement) Node {
	n = o.planScalars(mapNode(n, func(in Node) Node { return o.plan(in, requirement{}) }, keepScalar))
	rows, cost := 1.0, 0.0
	for _, in := range n.Inputs() {
		rows = math.Max(rows, in.Estimated().Rows)
		cost += in.Estimated().Cost
	}
	switch x := n.(type) {
	case *Values:
		rows = float64(len(x.Rows))
	case *FunctionScan:
		rows = o.setRows(x.Sets)
	case *ProjectSet:
		rows *= o.setRows(x.Sets)
	case *SetOperation:
		l, rt := x.Left.Estimated().Rows, x.Right.Estimated().Rows
		switch {
		case x.Operator == Union:
			rows = l + rt
		case x.Operator == Intersect:
			rows = math.Min(l, rt) / 2
		default:
			rows = l / 2
		}
	case *CommonScan:
		rows = x.Table.Query.Estimated().Rows
	case *WorkScan:
		rows = 100
	case *RecursiveUnion:
		rows = x.Initial.Estimated().Rows * 10
	case *With:
		rows = x.Input.Estimated().Rows
	case *Input:
		rows = defaultRows
	}
	return withEstimate(n, math.Max(rows, 0), cost+rows*0.1)
}

// setRows estimates what functions that return sets yield.
func (o *optimizer) setRows(sets []SetItem) float64 {
	rows := 1.0
	for _, s := range sets {
		if s.Scalar != nil {
			continue
		}
		n := 100.0
		if s.Function.Name == "generate_series" && len(s.Arguments) >= 2 {
			low, ok := s.Arguments[0].(*Constant)
			high, ok2 := s.Arguments[1].(*Constant)
			if ok && ok2 && isInteger(low.T) && isInteger(high.T) {
				n = math.Max(1, float64(high.Value.I)-float64(low.Value.I)+1)
			}
		}
		rows = math.Max(rows, n)
	}
	return rows
}

// planScalars plans the subqueries in a node's own expressions.
func (o *optimizer) planScalars(n Node) Node {
	return mapNode(n, func(in Node) Node { return in }, o.planScalar)
}

// planScalar plans the subqueries in an expression.
func (o *optimizer) planScalar(s Scalar) Scalar {
	if !hasSubquery(s) {
		return s
	}
	var all func(Scalar) Scalar
	all = func(x Scalar) Scalar {
		return mapChildren(x, all, func(q Node) Node {
			e := x.(*Subquery)
			wanted := slices.Clone(e.Columns)
			if e.Comparison != nil {
				c := columnsOf(e.Comparison)
				wanted = append(wanted, c.ids()...)
			}
			q = o.push(o.normalize(q), nil)
			q = o.prune(q, columnSetOf(wanted...))
			need := requirement{}
			switch e.Kind {
			case Exists:
				need.limit = 1
			case One:
				need.limit = 2
			}
			return o.plan(q, need)
		})
	}
	return all(s)
}

func (o *optimizer) planList(list []Scalar) []Scalar {
	out, _ := mapList(list, o.planScalar)
	return out
}

func (o *optimizer) planFilter(x *Filter, r requirement) Node {
	share := o.selectivity(x.Conditions)
	below := r
	if r.limit > 0 && share > 0 {
		below.limit = r.limit / share
	}
	in := o.plan(x.Input, below)
	e := in.Estimated()
	return withEstimate(&Filter{Input: in, Conditions: o.planList(x.Conditions)}, e.Rows*share, e.Cost+e.Rows*0.1)
}

func (o *optimizer) planProject(x *Project, r requirement) Node {
	// An order by columns that are passed on, maybe under another name, is the
	// input's.
	values := map[ColumnID]ColumnID{}
	for _, i := range x.Items {
		if v, ok := i.Value.(*Variable); ok {
			values[i.ID] = v.ID
		} else {
			values[i.ID] = 0
		}
	}
	below := requirement{limit: r.limit}
	for _, k := range r.order {
		id, item := values[k.ID]
		if item && id == 0 {
			break
		}
		if item {
			k.ID = id
		}
		below.order = append(below.order, k)
	}
	in := o.plan(x.Input, below)
	items, _ := mapItems(x.Items, o.planScalar)
	e := in.Estimated()
	return withEstimate(&Project{Input: in, Keep: x.Keep, Items: items}, e.Rows, e.Cost+e.Rows*0.05*float64(len(items)))
}

func (o *optimizer) planAggregate(x *Aggregate) Node {
	c := *x
	if n := o.planExtremum(x); n != nil {
		return n
	}
	c.Input = o.plan(x.Input, requirement{})
	c.Aggregates = slices.Clone(x.Aggregates)
	for i := range c.Aggregates {
		c.Aggregates[i].Direct = o.planList(c.Aggregates[i].Direct)
	}
	e := c.Input.Estimated()
	rows := 1.0
	if len(x.GroupBy) > 0 {
		rows = 1
		for _, id := range x.GroupBy {
			n := o.distinctOf(id)
			if n == 0 {
				n = defaultDistinct
			}
			rows *= n
		}
		rows = math.Max(1, math.Min(rows, e.Rows/2+1))
		if len(x.GroupingSets) > 0 {
			rows *= float64(len(x.GroupingSets))
		}
		c.Ordered = len(x.GroupingSets) == 0 && o.groupedTogether(c.Input, x.GroupBy)
	}
	return withEstimate(&c, rows, e.Cost+e.Rows*hashCost)
}

// groupedTogether reports whether rows that are equal in some columns stand
// together: the input is sorted by just these.
func (o *optimizer) groupedTogether(n Node, columns []ColumnID) bool {
	keys, constants := o.provided(n)
	left := columnSetOf(columns...)
	left.subtract(constants)
	for _, k := range keys {
		if left.empty() {
			return true
		}
		if !left.has(k.ID) {
			return constants.has(k.ID)
		}
		left.remove(k.ID)
	}
	return left.empty()
}

// planExtremum reads min(x) or max(x) from the end of an index.
func (o *optimizer) planExtremum(x *Aggregate) Node {
	if len(x.GroupBy) > 0 || len(x.GroupingSets) > 0 || len(x.Aggregates) != 1 {
		return nil
	}
	a := x.Aggregates[0]
	if a.Function.Name != "min" && a.Function.Name != "max" || len(a.Arguments) != 1 || a.Filter != 0 {
		return nil
	}
	scan, ok := x.Input.(*Scan)
	if !ok {
		return nil
	}
	c := *scan
	id := a.Arguments[0]
	if !columnNeverNull(scan, id) {
		c.Filter = append(slices.Clone(scan.Filter), &IsNull{Argument: o.variable(id), Negated: true})
	}
	key := OrderKey{ID: id, Descending: a.Function.Name == "max", NullsFirst: a.Function.Name == "max"}
	in := o.plan(&c, requirement{order: []OrderKey{key}, limit: 1})
	if !o.satisfies(in, []OrderKey{key}) {
		return nil
	}
	limit := &Limit{Input: limitScan(in, 1), Count: &Constant{Value: types.Int(1), T: types.Int8}}
	withEstimate(limit, 1, startCost)
	out := *x
	out.Input = limit
	return withEstimate(&out, 1, startCost+1)
}

func (o *optimizer) planDistinct(x *DistinctRows, r requirement) Node {
	c := *x
	below := requirement{}
	if !x.Ordered {
		below.order = r.order
	}
	c.Input = o.plan(x.Input, below)
	e := c.Input.Estimated()
	return withEstimate(&c, math.Max(1, e.Rows/2), e.Cost+e.Rows*hashCost)
}

func (o *optimizer) planSort(x *Sort, r requirement) Node {
	in := o.plan(x.Input, requirement{order: x.Keys, limit: r.limit})
	keys, constants := o.provided(in)
	if o.ordered(keys, constants, x.Keys, in) {
		return in
	}
	s := &Sort{Input: in, Keys: x.Keys}
	for n := len(x.Keys) - 1; n > 0; n-- {
		if o.ordered(keys, constants, x.Keys[:n], in) {
			s.Presorted = n
			break
		}
	}
	e := in.Estimated()
	return withEstimate(s, e.Rows, e.Cost+sortCost(e.Rows))
}

// constantLimit is the number of rows that a Limit reads, if it is known.
func constantLimit(x *Limit) (int64, bool) {
	total := int64(0)
	for _, s := range []Scalar{x.Count, x.Offset} {
		if s == nil {
			if s == x.Count {
				return 0, false
			}
			continue
		}
		k, ok := s.(*Constant)
		if !ok || k.Value.Null || k.Value.I < 0 || k.Value.I > math.MaxInt32 {
			return 0, false
		}
		total += k.Value.I
	}
	return total, true
}

func (o *optimizer) planLimit(x *Limit, r requirement) Node {
	n, known := int64(0), false
	if x.Count != nil {
		n, known = constantLimit(x)
	}
	below := requirement{order: r.order}
	switch {
	case known:
		below.limit = math.Max(1, float64(n))
	case x.Count != nil:
		below.limit = 100
	}
	in := o.plan(x.Input, below)
	if known && !x.WithTies && n > 0 {
		in = limitScan(in, n)
		if s, ok := in.(*Sort); ok {
			s.Limit = n
		}
		if p, ok := in.(*Project); ok {
			if s, ok := p.Input.(*Sort); ok {
				s.Limit = n
			}
		}
	}
	c := *x
	c.Input = in
	if x.Count != nil {
		c.Count = o.planScalar(x.Count)
	}
	if x.Offset != nil {
		c.Offset = o.planScalar(x.Offset)
	}
	e := *in.Estimated()
	rows, cost := e.Rows, e.Cost
	if below.limit > 0 && below.limit < rows {
		if _, sorts := in.(*Sort); !sorts {
			cost = startCost + (cost-startCost)*below.limit/rows
		}
		rows = below.limit
	}
	return withEstimate(&c, rows, cost)
}

// limitScan stops a scan after so many rows where every row it yields reaches
// the limit above.
func limitScan(n Node, limit int64) Node {
	switch x := n.(type) {
	case *Scan:
		c := *x
		c.Limit = limit
		c.Expected = 0
		return &c
	case *IndexJoin:
		if len(x.Filter) == 0 {
			c := *x
			c.Input = limitScan(x.Input, limit)
			return &c
		}
	case *Project:
		c := *x
		c.Input = limitScan(x.Input, limit)
		return &c
	case *Limit:
		return n
	}
	return n
}

func (o *optimizer) planWindow(x *Window) Node {
	c := *x
	in := o.plan(x.Input, requirement{})
	c.Input = in
	c.Functions = slices.Clone(x.Functions)
	for i := range c.Functions {
		f := &c.Functions[i].Frame
		if f.Start.Offset != nil {
			f.Start.Offset = o.planScalar(f.Start.Offset)
		}
		if f.End.Offset != nil {
			f.End.Offset = o.planScalar(f.End.Offset)
		}
	}
	e := in.Estimated()
	return withEstimate(&c, e.Rows, e.Cost+sortCost(e.Rows)+e.Rows)
}

// planLock lets a scan lock the rows itself where that locks no others.
func (o *optimizer) planLock(x *LockRows, r requirement) Node {
	in := o.plan(x.Input, r)
	if len(x.Tables) == 1 {
		if locked, ok := lockScan(in, x.Tables[0]); ok {
			return locked
		}
	}
	c := *x
	c.Input = in
	e := in.Estimated()
	return withEstimate(&c, e.Rows, e.Cost+e.Rows*lookupCost)
}

// lockScan sets the lock of the one scan below a node that only passes rows on.
func lockScan(n Node, t LockedTable) (Node, bool) {
	switch x := n.(type) {
	case *Scan:
		// Only the primary index has the rows' locks.
		if x.Table == t.Table && len(x.Filter) == 0 && x.Index == &x.Table.Primary {
			c := *x
			c.Lock = t.Lock
			return &c, true
		}
	case *IndexJoin:
		if x.Table == t.Table && len(x.Filter) == 0 {
			c := *x
			c.Lock = t.Lock
			return &c, true
		}
	case *Project:
		if in, ok := lockScan(x.Input, t); ok {
			c := *x
			c.Input = in
			return &c, true
		}
	}
	return nil, false
}

func updateStrength(x *Update) kvpb.LockStrength {
	for i, c := range x.New {
		if c.ID == x.Old[i].ID {
			continue
		}
		for _, ix := range readableIndexes(x.Table) {
			if ix.Unique && ix.IsKeyColumn(c.Column) {
				return kvpb.LockUpdate
			}
		}
	}
	return kvpb.LockNoKeyUpdate
}

// lockTarget locks the rows that a statement is about to change when they are
// read, where few of them are read in vain: a later write then can't fail for
// somebody else's.
func (o *optimizer) lockTarget(n Node, strength kvpb.LockStrength) Node {
	switch x := n.(type) {
	case *Scan:
		if x.Spans != nil && x.Index == &x.Table.Primary {
			c := *x
			c.Lock = Locking{Strength: strength}
			return &c
		}
	case *IndexJoin:
		c := *x
		c.Lock = Locking{Strength: strength}
		return &c
	case *Project:
		c := *x
		c.Input = o.lockTarget(x.Input, strength)
		return &c
	}
	return n
}
