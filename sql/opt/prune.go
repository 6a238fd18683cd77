package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
)

// prune cuts away what nobody needs: columns of scans, computed columns,
// aggregates. needed are the columns that those above want.
func (o *optimizer) prune(n Node, needed columnSet) Node {
	switch x := n.(type) {
	case *Scan:
		c := *x
		need := withScalars(needed, x.Filter)
		c.Columns = keepColumns(x.Columns, need)
		return &c
	case *VirtualScan:
		c := *x
		c.Columns = keepColumns(x.Columns, withScalars(needed, x.Filter))
		return &c
	case *Filter:
		return &Filter{Input: o.prune(x.Input, withScalars(needed, x.Conditions)), Conditions: x.Conditions}
	case *Project:
		return o.pruneProject(x, needed)
	case *Join:
		need := withScalars(needed, x.On)
		c := *x
		if x.Lateral {
			need.union(freeColumns(x.Right))
		}
		if x.NullAware {
			need.union(columnsOf(x.On...))
		}
		c.Left, c.Right = o.prune(x.Left, need), o.prune(x.Right, need)
		return &c
	case *joinGroup:
		need := withScalars(needed, x.on)
		c := &joinGroup{on: x.on}
		for _, in := range x.inputs {
			c.inputs = append(c.inputs, o.prune(in, need))
		}
		return c
	case *Aggregate:
		return o.pruneAggregate(x, needed)
	case *DistinctRows:
		c := *x
		need := needed.clone()
		need.addAll(x.On)
		c.Input = o.prune(x.Input, need)
		return &c
	case *Sort:
		c := *x
		c.Input = o.prune(x.Input, withKeys(needed, x.Keys))
		return &c
	case *Limit:
		c := *x
		c.Input = o.prune(x.Input, withKeys(needed, x.Keys))
		return &c
	case *SetOperation:
		return o.pruneSetOperation(x, needed)
	case *Window:
		return o.pruneWindow(x, needed)
	case *ProjectSet:
		need := needed.clone()
		for _, s := range x.Sets {
			need = withScalars(need, s.Arguments)
			if s.Scalar != nil {
				addColumns(&need, s.Scalar)
			}
		}
		c := *x
		c.Input = o.prune(x.Input, need)
		return &c
	case *With:
		for _, t := range x.Tables {
			t.Query = o.prune(t.Query, columnSetOf(t.Columns...))
		}
		return &With{Tables: x.Tables, Input: o.prune(x.Input, needed)}
	case *RecursiveUnion:
		c := *x
		c.Initial = o.prune(x.Initial, columnSetOf(x.InitialColumns...))
		c.Step = o.prune(x.Step, columnSetOf(x.StepColumns...))
		return &c
	case *LockRows:
		need := needed.clone()
		for _, t := range x.Tables {
			need.addAll(t.Keys)
		}
		c := *x
		c.Input = o.prune(x.Input, need)
		return &c
	case *Insert, *Update, *Delete:
		return o.pruneChange(n, needed)
	}
	return n
}

// pruneChange keeps what a node that changes rows needs of its input.
func (o *optimizer) pruneChange(n Node, needed columnSet) Node {
	need := needed.clone()
	switch x := n.(type) {
	case *Insert:
		need.addAll(tableColumnIDs(x.Row))
		for _, k := range x.Checks {
			addColumns(&need, k.Expr)
		}
		c := *x
		c.Input = o.prune(x.Input, need)
		return &c
	case *Update:
		need.addAll(tableColumnIDs(x.Old))
		need.addAll(tableColumnIDs(x.New))
		c := *x
		c.Input = o.prune(x.Input, need)
		return &c
	case *Delete:
		need.addAll(tableColumnIDs(x.Old))
		c := *x
		c.Input = o.prune(x.Input, need)
		return &c
	}
	return n
}

func withScalars(needed columnSet, list []Scalar) columnSet {
	need := needed.clone()
	for _, s := range list {
		addColumns(&need, s)
	}
	return need
}

func withKeys(needed columnSet, keys []OrderKey) columnSet {
	need := needed.clone()
	for _, k := range keys {
		need.add(k.ID)
	}
	return need
}

// keepColumns keeps those columns of a table that are needed.
func keepColumns(columns []TableColumn, needed columnSet) []TableColumn {
	kept := make([]TableColumn, 0, len(columns))
	for _, c := range columns {
		if needed.has(c.ID) {
			kept = append(kept, c)
		}
	}
	return kept
}

func (o *optimizer) pruneProject(x *Project, needed columnSet) Node {
	c := &Project{}
	need := columnSet{}
	for _, i := range x.Items {
		if needed.has(i.ID) || isVolatile(i.Value) {
			c.Items = append(c.Items, i)
			addColumns(&need, i.Value)
		}
	}
	output := columnSetOf(x.Input.Output()...)
	for _, id := range x.Keep {
		if needed.has(id) {
			c.Keep = append(c.Keep, id)
			need.add(id)
		}
	}
	// What items take from outer queries is not the input's.
	for _, id := range need.ids() {
		if !output.has(id) {
			need.remove(id)
		}
	}
	c.Input = o.prune(x.Input, need)
	if len(c.Items) == 0 {
		return c.Input
	}
	// A projection of a projection that only this one reads is one.
	if in, ok := c.Input.(*Project); ok {
		if merged := o.mergeProjects(c, in); merged != nil {
			return merged
		}
	}
	return c
}

// mergeProjects computes two projections in one where no value is computed more
// often for it; nil: it doesn't do.
func (o *optimizer) mergeProjects(above, below *Project) Node {
	uses := map[ColumnID]int{}
	for _, id := range above.Keep {
		uses[id]++
	}
	for _, i := range above.Items {
		if hasSubquery(i.Value) {
			return nil
		}
		var walk func(Scalar)
		walk = func(s Scalar) {
			if v, ok := s.(*Variable); ok {
				uses[v.ID]++
			}
			scalarChildren(s, walk)
		}
		walk(i.Value)
	}
	values := map[ColumnID]Scalar{}
	merged := &Project{Input: below.Input}
	for _, i := range below.Items {
		if isVolatile(i.Value) || hasSubquery(i.Value) {
			return nil
		}
		if slices.Contains(above.Keep, i.ID) {
			merged.Items = append(merged.Items, i)
			if uses[i.ID] > 1 {
				if _, simple := i.Value.(*Variable); !simple {
					return nil
				}
			}
		} else if _, simple := i.Value.(*Variable); uses[i.ID] > 1 && !simple {
			if _, constant := i.Value.(*Constant); !constant {
				return nil
			}
		}
		values[i.ID] = i.Value
	}
	for _, id := range above.Keep {
		if values[id] == nil {
			merged.Keep = append(merged.Keep, id)
		}
	}
	for _, i := range above.Items {
		merged.Items = append(merged.Items, Item{ID: i.ID, Value: o.refold(substitute(i.Value, values))})
	}
	return merged
}

func (o *optimizer) pruneAggregate(x *Aggregate, needed columnSet) Node {
	c := *x
	c.Aggregates = nil
	need := columnSetOf(x.GroupBy...)
	for _, a := range x.Aggregates {
		if !needed.has(a.ID) && !(len(x.GroupBy) == 0 && len(c.Aggregates) == 0 && a.ID == x.Aggregates[len(x.Aggregates)-1].ID) {
			continue
		}
		c.Aggregates = append(c.Aggregates, a)
		need.addAll(a.Arguments)
		need = withKeys(need, a.OrderBy)
		if a.Filter != 0 {
			need.add(a.Filter)
		}
	}
	if !needed.has(x.GroupingID) {
		c.GroupingID = 0
	}
	c.Input = o.prune(x.Input, need)
	return &c
}

func (o *optimizer) pruneWindow(x *Window, needed columnSet) Node {
	c := *x
	c.Functions = nil
	need := needed.clone()
	for _, f := range x.Functions {
		if needed.has(f.ID) {
			c.Functions = append(c.Functions, f)
			need.addAll(f.Arguments)
			if f.Filter != 0 {
				need.add(f.Filter)
			}
		}
	}
	if len(c.Functions) == 0 {
		return o.prune(x.Input, needed)
	}
	need.addAll(x.PartitionBy)
	need = withKeys(need, x.OrderBy)
	c.Input = o.prune(x.Input, need)
	return &c
}

// pruneSetOperation drops columns of UNION ALL only: the others compare whole
// rows.
func (o *optimizer) pruneSetOperation(x *SetOperation, needed columnSet) Node {
	c := *x
	if x.Operator == Union && x.All {
		c.Columns, c.LeftColumns, c.RightColumns = nil, nil, nil
		for i, id := range x.Columns {
			if needed.has(id) {
				c.Columns = append(c.Columns, id)
				c.LeftColumns = append(c.LeftColumns, x.LeftColumns[i])
				c.RightColumns = append(c.RightColumns, x.RightColumns[i])
			}
		}
	}
	c.Left = o.prune(x.Left, columnSetOf(c.LeftColumns...))
	c.Right = o.prune(x.Right, columnSetOf(c.RightColumns...))
	return &c
}

// indexHas reports whether an index's entries hold a column: see
// rowenc.Layout.Contains.
func indexHas(t *catalog.Table, ix *catalog.Index, column catalog.ColumnID) bool {
	return ix.Encoding == catalog.PrimaryEncoding || ix.IsKeyColumn(column) || slices.Contains(ix.Stored, column) || t.Primary.IsKeyColumn(column)
}
