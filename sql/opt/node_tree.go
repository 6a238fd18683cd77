package opt

// nodeScalars calls visit for the expressions that belong to the node itself.
func nodeScalars(n Node, visit func(Scalar)) {
	mapped := func(s Scalar) Scalar { visit(s); return s }
	mapNode(n, func(in Node) Node { return in }, mapped)
}

// mapNodeScalars rebuilds a tree with f applied to all its expressions.
func mapNodeScalars(n Node, f func(Scalar) Scalar) Node {
	return mapNode(n, func(in Node) Node { return mapNodeScalars(in, f) }, f)
}

func mapSpans(spans []Span, f func(Scalar) Scalar) ([]Span, bool) {
	changed := false
	out := make([]Span, len(spans))
	bound := func(b *Bound) *Bound {
		if b == nil {
			return nil
		}
		if v := f(b.Value); v != b.Value {
			changed = true
			return &Bound{Value: v, Inclusive: b.Inclusive}
		}
		return b
	}
	for i, s := range spans {
		list, ok := mapList(s.Equal, f)
		changed = changed || ok
		out[i] = Span{Equal: list, NullEqual: s.NullEqual, Low: bound(s.Low), High: bound(s.High)}
	}
	if !changed {
		return spans, false
	}
	return out, true
}

func mapSets(sets []SetItem, f func(Scalar) Scalar) ([]SetItem, bool) {
	changed := false
	out := make([]SetItem, len(sets))
	for i, s := range sets {
		list, ok := mapList(s.Arguments, f)
		changed = changed || ok
		out[i] = s
		out[i].Arguments = list
		if s.Scalar != nil {
			out[i].Scalar = f(s.Scalar)
			changed = changed || out[i].Scalar != s.Scalar
		}
	}
	if !changed {
		return sets, false
	}
	return out, true
}

func mapItems(items []Item, f func(Scalar) Scalar) ([]Item, bool) {
	changed := false
	out := make([]Item, len(items))
	for i, x := range items {
		out[i] = Item{ID: x.ID, Value: f(x.Value)}
		changed = changed || out[i].Value != x.Value
	}
	if !changed {
		return items, false
	}
	return out, true
}

// mapNode rebuilds a node with input applied to the nodes below and f to its
// own expressions. A node that doesn't change is returned itself.
func mapNode(n Node, input func(Node) Node, f func(Scalar) Scalar) Node {
	maybe := func(s Scalar) Scalar {
		if s == nil {
			return nil
		}
		return f(s)
	}
	switch x := n.(type) {
	case *Scan:
		spans, a := mapSpans(x.Spans, f)
		filter, b := mapList(x.Filter, f)
		if a || b {
			c := *x
			c.Spans, c.Filter = spans, filter
			return &c
		}
	case *IndexJoin:
		in := input(x.Input)
		filter, ok := mapList(x.Filter, f)
		if ok || in != x.Input {
			c := *x
			c.Input, c.Filter = in, filter
			return &c
		}
	case *LookupJoin:
		in := input(x.Input)
		equal, a := mapList(x.Equal, f)
		on, b := mapList(x.On, f)
		if a || b || in != x.Input {
			c := *x
			c.Input, c.Equal, c.On = in, equal, on
			return &c
		}
	case *VirtualScan:
		changed := false
		constraints := make([]VirtualConstraint, len(x.Constraints))
		for i, k := range x.Constraints {
			list, ok := mapList(k.Values, f)
			constraints[i] = VirtualConstraint{Column: k.Column, Values: list}
			changed = changed || ok
		}
		filter, ok := mapList(x.Filter, f)
		if ok || changed {
			c := *x
			c.Constraints, c.Filter = constraints, filter
			return &c
		}
	case *Values:
		changed := false
		rows := make([][]Scalar, len(x.Rows))
		for i, r := range x.Rows {
			list, ok := mapList(r, f)
			rows[i] = list
			changed = changed || ok
		}
		if changed {
			c := *x
			c.Rows = rows
			return &c
		}
	case *Filter:
		in := input(x.Input)
		list, ok := mapList(x.Conditions, f)
		if ok || in != x.Input {
			c := *x
			c.Input, c.Conditions = in, list
			return &c
		}
	case *Project:
		in := input(x.Input)
		items, ok := mapItems(x.Items, f)
		if ok || in != x.Input {
			c := *x
			c.Input, c.Items = in, items
			return &c
		}
	case *Join:
		l, r := input(x.Left), input(x.Right)
		on, ok := mapList(x.On, f)
		if ok || l != x.Left || r != x.Right {
			c := *x
			c.Left, c.Right, c.On = l, r, on
			return &c
		}
	case *Aggregate:
		in := input(x.Input)
		changed := false
		items := make([]AggregateItem, len(x.Aggregates))
		for i, a := range x.Aggregates {
			list, ok := mapList(a.Direct, f)
			items[i] = a
			items[i].Direct = list
			changed = changed || ok
		}
		if changed || in != x.Input {
			c := *x
			c.Input, c.Aggregates = in, items
			return &c
		}
	case *Limit:
		in, count, offset := input(x.Input), maybe(x.Count), maybe(x.Offset)
		if in != x.Input || count != x.Count || offset != x.Offset {
			c := *x
			c.Input, c.Count, c.Offset = in, count, offset
			return &c
		}
	case *Window:
		in := input(x.Input)
		changed := false
		items := make([]WindowItem, len(x.Functions))
		for i, w := range x.Functions {
			items[i] = w
			items[i].Frame.Start.Offset, items[i].Frame.End.Offset = maybe(w.Frame.Start.Offset), maybe(w.Frame.End.Offset)
			changed = changed || items[i].Frame != w.Frame
		}
		if changed || in != x.Input {
			c := *x
			c.Input, c.Functions = in, items
			return &c
		}
	case *ProjectSet:
		in := input(x.Input)
		sets, ok := mapSets(x.Sets, f)
		if ok || in != x.Input {
			c := *x
			c.Input, c.Sets = in, sets
			return &c
		}
	case *FunctionScan:
		if sets, ok := mapSets(x.Sets, f); ok {
			c := *x
			c.Sets = sets
			return &c
		}
	case *Insert:
		return mapInsert(x, input, f)
	case *Update:
		in := input(x.Input)
		checks, ok := mapChecks(x.Checks, f)
		if ok || in != x.Input {
			c := *x
			c.Input, c.Checks = in, checks
			return &c
		}
	default:
		return mapInputs(n, input)
	}
	return n
}

// mapInputs is mapNode for nodes without expressions.
func mapInputs(n Node, input func(Node) Node) Node {
	switch x := n.(type) {
	case *DistinctRows:
		if in := input(x.Input); in != x.Input {
			c := *x
			c.Input = in
			return &c
		}
	case *Sort:
		if in := input(x.Input); in != x.Input {
			c := *x
			c.Input = in
			return &c
		}
	case *SetOperation:
		if l, r := input(x.Left), input(x.Right); l != x.Left || r != x.Right {
			c := *x
			c.Left, c.Right = l, r
			return &c
		}
	case *RecursiveUnion:
		if l, r := input(x.Initial), input(x.Step); l != x.Initial || r != x.Step {
			c := *x
			c.Initial, c.Step = l, r
			return &c
		}
	case *With:
		// Common tables are shared with the nodes that scan them: they change in
		// place. They belong to the plan that is being made.
		for _, t := range x.Tables {
			t.Query = input(t.Query)
		}
		if in := input(x.Input); in != x.Input {
			c := *x
			c.Input = in
			return &c
		}
	case *LockRows:
		if in := input(x.Input); in != x.Input {
			c := *x
			c.Input = in
			return &c
		}
	case *Delete:
		if in := input(x.Input); in != x.Input {
			c := *x
			c.Input = in
			return &c
		}
	}
	return n
}

func mapChecks(checks []Check, f func(Scalar) Scalar) ([]Check, bool) {
	changed := false
	out := make([]Check, len(checks))
	for i, k := range checks {
		out[i] = Check{Name: k.Name, Expr: f(k.Expr)}
		changed = changed || out[i].Expr != k.Expr
	}
	if !changed {
		return checks, false
	}
	return out, true
}

func mapInsert(x *Insert, input func(Node) Node, f func(Scalar) Scalar) Node {
	in := input(x.Input)
	checks, changed := mapChecks(x.Checks, f)
	conflict := x.OnConflict
	if conflict != nil {
		c := *conflict
		ok := false
		c.Set = make([]ColumnValue, len(conflict.Set))
		for i, v := range conflict.Set {
			c.Set[i] = ColumnValue{Column: v.Column, Value: f(v.Value)}
			ok = ok || c.Set[i].Value != v.Value
		}
		if conflict.Where != nil {
			c.Where = f(conflict.Where)
			ok = ok || c.Where != conflict.Where
		}
		if ok {
			conflict = &c
		}
	}
	if changed || in != x.Input || conflict != x.OnConflict {
		c := *x
		c.Input, c.Checks, c.OnConflict = in, checks, conflict
		return &c
	}
	return x
}

// producedHere adds the columns that come into being in the node itself, those
// that only its expressions see included.
func producedHere(n Node, set *columnSet) {
	switch x := n.(type) {
	case *Filter, *Join, *DistinctRows, *Sort, *Limit, *LockRows, *Update, *Delete, *With:
	case *Insert:
		if x.OnConflict != nil {
			for _, c := range x.OnConflict.Existing {
				set.add(c.ID)
			}
		}
	default:
		set.addAll(n.Output())
	}
}

// freeColumns are the columns that a tree refers to and does not produce.
func freeColumns(n Node) columnSet {
	var used, produced columnSet
	collectColumns(n, &used, &produced)
	used.subtract(produced)
	return used
}

func collectColumns(n Node, used, produced *columnSet) {
	nodeScalars(n, func(s Scalar) { addColumns(used, s) })
	producedHere(n, produced)
	for _, in := range n.Inputs() {
		collectColumns(in, used, produced)
	}
}
