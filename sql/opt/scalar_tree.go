package opt

import "github.com/cairndb/cairn/sql/types"

// scalarChildren calls visit for the expressions directly below s. Those inside
// the query of a Subquery are not among them.
func scalarChildren(s Scalar, visit func(Scalar)) {
	each := func(list []Scalar) {
		for _, x := range list {
			visit(x)
		}
	}
	maybe := func(x Scalar) {
		if x != nil {
			visit(x)
		}
	}
	switch e := s.(type) {
	case *Call:
		each(e.Arguments)
	case *Cast:
		visit(e.Input)
	case *And:
		each(e.Arguments)
	case *Or:
		each(e.Arguments)
	case *Not:
		visit(e.Argument)
	case *IsNull:
		visit(e.Argument)
	case *IsTruth:
		visit(e.Argument)
	case *Distinct:
		visit(e.Left)
		visit(e.Right)
	case *NullIf:
		visit(e.Left)
		visit(e.Right)
		visit(e.EqualLeft)
		visit(e.EqualRight)
	case *Case:
		for _, w := range e.Whens {
			visit(w.Condition)
			visit(w.Result)
		}
		maybe(e.Else)
	case *Coalesce:
		each(e.Arguments)
	case *Extremum:
		each(e.Arguments)
	case *InList:
		visit(e.Left)
		each(e.Items)
	case *AnyAll:
		visit(e.Left)
		visit(e.Array)
	case *ArrayOf:
		each(e.Elements)
	case *RowOf:
		each(e.Fields)
	case *Field:
		visit(e.Row)
	case *Subscript:
		visit(e.Array)
		for _, i := range e.Indexes {
			maybe(i.Low)
			maybe(i.High)
		}
	case *Subquery:
		each(e.Left)
		maybe(e.Comparison)
	}
}

// mapScalar rebuilds s with f applied from the top: where f returns something,
// that replaces the expression and is not looked into. What doesn't change is
// shared.
func mapScalar(s Scalar, f func(Scalar) Scalar) Scalar {
	if s == nil {
		return nil
	}
	if r := f(s); r != nil {
		return r
	}
	return mapChildren(s, func(x Scalar) Scalar { return mapScalar(x, f) }, func(n Node) Node {
		return mapNodeScalars(n, func(x Scalar) Scalar { return mapScalar(x, f) })
	})
}

func mapList(list []Scalar, f func(Scalar) Scalar) ([]Scalar, bool) {
	var changed []Scalar
	for i, x := range list {
		y := f(x)
		if y != x && changed == nil {
			changed = append(make([]Scalar, 0, len(list)), list[:i]...)
		}
		if changed != nil {
			changed = append(changed, y)
		}
	}
	if changed == nil {
		return list, false
	}
	return changed, true
}

// mapChildren rebuilds s with f applied to the expressions directly below, and
// query to the query of a Subquery.
func mapChildren(s Scalar, f func(Scalar) Scalar, query func(Node) Node) Scalar {
	maybe := func(x Scalar) Scalar {
		if x == nil {
			return nil
		}
		return f(x)
	}
	switch e := s.(type) {
	case *Call:
		if list, ok := mapList(e.Arguments, f); ok {
			c := *e
			c.Arguments = list
			return &c
		}
	case *Cast:
		if x := f(e.Input); x != e.Input {
			c := *e
			c.Input = x
			return &c
		}
	case *And:
		if list, ok := mapList(e.Arguments, f); ok {
			return &And{Arguments: list}
		}
	case *Or:
		if list, ok := mapList(e.Arguments, f); ok {
			return &Or{Arguments: list}
		}
	case *Not:
		if x := f(e.Argument); x != e.Argument {
			return &Not{Argument: x}
		}
	case *IsNull:
		if x := f(e.Argument); x != e.Argument {
			return &IsNull{Argument: x, Negated: e.Negated}
		}
	case *IsTruth:
		if x := f(e.Argument); x != e.Argument {
			return &IsTruth{Argument: x, Value: e.Value, Negated: e.Negated}
		}
	case *Distinct:
		if l, r := f(e.Left), f(e.Right); l != e.Left || r != e.Right {
			return &Distinct{Left: l, Right: r, Equal: e.Equal, Negated: e.Negated}
		}
	case *NullIf:
		l, r, el, er := f(e.Left), f(e.Right), f(e.EqualLeft), f(e.EqualRight)
		if l != e.Left || r != e.Right || el != e.EqualLeft || er != e.EqualRight {
			return &NullIf{Left: l, Right: r, Equal: e.Equal, EqualLeft: el, EqualRight: er}
		}
	case *Case:
		changed := false
		whens := make([]When, len(e.Whens))
		for i, w := range e.Whens {
			whens[i] = When{Condition: f(w.Condition), Result: f(w.Result)}
			changed = changed || whens[i] != w
		}
		last := maybe(e.Else)
		if changed || last != e.Else {
			return &Case{Whens: whens, Else: last, T: e.T}
		}
	case *Coalesce:
		if list, ok := mapList(e.Arguments, f); ok {
			return &Coalesce{Arguments: list, T: e.T}
		}
	case *Extremum:
		if list, ok := mapList(e.Arguments, f); ok {
			return &Extremum{Arguments: list, Least: e.Least, T: e.T}
		}
	case *InList:
		l := f(e.Left)
		list, ok := mapList(e.Items, f)
		if ok || l != e.Left {
			return &InList{Left: l, Items: list, Equal: e.Equal, Negated: e.Negated}
		}
	case *AnyAll:
		if l, a := f(e.Left), f(e.Array); l != e.Left || a != e.Array {
			c := *e
			c.Left, c.Array = l, a
			return &c
		}
	case *ArrayOf:
		if list, ok := mapList(e.Elements, f); ok {
			c := *e
			c.Elements = list
			return &c
		}
	case *RowOf:
		if list, ok := mapList(e.Fields, f); ok {
			return &RowOf{Fields: list, T: e.T}
		}
	case *Field:
		if x := f(e.Row); x != e.Row {
			return &Field{Row: x, Index: e.Index, T: e.T}
		}
	case *Subscript:
		a, changed := f(e.Array), false
		indexes := make([]SubscriptIndex, len(e.Indexes))
		for i, x := range e.Indexes {
			indexes[i] = SubscriptIndex{Low: maybe(x.Low), High: maybe(x.High)}
			changed = changed || indexes[i] != x
		}
		if changed || a != e.Array {
			return &Subscript{Array: a, Indexes: indexes, Slice: e.Slice, T: e.T}
		}
	case *Subquery:
		left, ok := mapList(e.Left, f)
		comparison := maybe(e.Comparison)
		q := query(e.Query)
		if ok || comparison != e.Comparison || q != e.Query {
			c := *e
			c.Left, c.Comparison, c.Query = left, comparison, q
			c.Outer = outerColumns(q, comparison, e.Placeholders)
			return &c
		}
	}
	return s
}

// outerColumns are the columns that a subquery takes from outside.
func outerColumns(query Node, comparison Scalar, placeholders []ColumnID) []ColumnID {
	used := freeColumns(query)
	if comparison != nil {
		var c columnSet
		addColumns(&c, comparison)
		c.subtract(columnSetOf(query.Output()...))
		c.subtract(columnSetOf(placeholders...))
		used.union(c)
	}
	return used.ids()
}

// addColumns adds the columns that an expression refers to.
func addColumns(set *columnSet, s Scalar) {
	switch e := s.(type) {
	case nil:
	case *Variable:
		set.add(e.ID)
	case *Subquery:
		for _, x := range e.Left {
			addColumns(set, x)
		}
		set.addAll(e.Outer)
	default:
		scalarChildren(s, func(x Scalar) { addColumns(set, x) })
	}
}

func columnsOf(list ...Scalar) columnSet {
	var set columnSet
	for _, s := range list {
		addColumns(&set, s)
	}
	return set
}

// anyScalar reports whether f holds for s or an expression below it, those in
// subqueries' queries included.
func anyScalar(s Scalar, f func(Scalar) bool) bool {
	if s == nil {
		return false
	}
	if f(s) {
		return true
	}
	found := false
	scalarChildren(s, func(x Scalar) { found = found || anyScalar(x, f) })
	if q, ok := s.(*Subquery); ok && !found {
		found = anyNodeScalar(q.Query, func(x Scalar) bool { return anyScalar(x, f) })
	}
	return found
}

func anyNodeScalar(n Node, f func(Scalar) bool) bool {
	found := false
	nodeScalars(n, func(x Scalar) { found = found || f(x) })
	for _, in := range n.Inputs() {
		found = found || anyNodeScalar(in, f)
	}
	return found
}

// isVolatile reports whether evaluating s once more or less may be noticed.
func isVolatile(s Scalar) bool {
	return anyScalar(s, func(x Scalar) bool {
		c, ok := x.(*Call)
		return ok && c.Function.Volatility == 'v'
	})
}

func hasSubquery(s Scalar) bool {
	return anyScalar(s, func(x Scalar) bool { _, ok := x.(*Subquery); return ok })
}

// isConstant reports whether s has the same value for all rows of a statement:
// it has no columns and is not volatile.
func isConstant(s Scalar) bool { return columnsOf(s).empty() && !isVolatile(s) }

func equalLists(a, b []Scalar) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equalScalar(a[i], b[i]) {
			return false
		}
	}
	return true
}

func sameFunction(a, b *types.Bound) bool {
	return a == b || a != nil && b != nil && a.Overload == b.Overload && a.Return.Equal(b.Return)
}

// equalScalar reports whether two expressions are the same but for positions.
func equalScalar(a, b Scalar) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if a == b {
		return true
	}
	switch x := a.(type) {
	case *Constant:
		y, ok := b.(*Constant)
		return ok && x.T.Equal(y.T) && sameDatum(x.T, x.Value, y.Value)
	case *Variable:
		y, ok := b.(*Variable)
		return ok && x.ID == y.ID
	case *Parameter:
		y, ok := b.(*Parameter)
		return ok && x.Index == y.Index && x.T.Equal(y.T)
	case *Call:
		y, ok := b.(*Call)
		return ok && sameFunction(x.Function, y.Function) && equalLists(x.Arguments, y.Arguments)
	case *Cast:
		y, ok := b.(*Cast)
		return ok && x.Type().Equal(y.Type()) && equalScalar(x.Input, y.Input)
	case *And:
		y, ok := b.(*And)
		return ok && equalLists(x.Arguments, y.Arguments)
	case *Or:
		y, ok := b.(*Or)
		return ok && equalLists(x.Arguments, y.Arguments)
	case *Not:
		y, ok := b.(*Not)
		return ok && equalScalar(x.Argument, y.Argument)
	case *IsNull:
		y, ok := b.(*IsNull)
		return ok && x.Negated == y.Negated && equalScalar(x.Argument, y.Argument)
	case *IsTruth:
		y, ok := b.(*IsTruth)
		return ok && x.Value == y.Value && x.Negated == y.Negated && equalScalar(x.Argument, y.Argument)
	case *Distinct:
		y, ok := b.(*Distinct)
		return ok && x.Negated == y.Negated && sameFunction(x.Equal, y.Equal) && equalScalar(x.Left, y.Left) && equalScalar(x.Right, y.Right)
	case *NullIf:
		y, ok := b.(*NullIf)
		return ok && sameFunction(x.Equal, y.Equal) && equalScalar(x.Left, y.Left) && equalScalar(x.Right, y.Right)
	case *Case:
		return equalCase(x, b)
	case *Coalesce:
		y, ok := b.(*Coalesce)
		return ok && equalLists(x.Arguments, y.Arguments)
	case *Extremum:
		y, ok := b.(*Extremum)
		return ok && x.Least == y.Least && equalLists(x.Arguments, y.Arguments)
	case *InList:
		y, ok := b.(*InList)
		return ok && x.Negated == y.Negated && sameFunction(x.Equal, y.Equal) && equalScalar(x.Left, y.Left) && equalLists(x.Items, y.Items)
	case *AnyAll:
		y, ok := b.(*AnyAll)
		return ok && x.All == y.All && sameFunction(x.Operator, y.Operator) && equalScalar(x.Left, y.Left) && equalScalar(x.Array, y.Array)
	case *ArrayOf:
		y, ok := b.(*ArrayOf)
		return ok && x.Nested == y.Nested && x.T.Equal(y.T) && equalLists(x.Elements, y.Elements)
	case *RowOf:
		y, ok := b.(*RowOf)
		return ok && equalLists(x.Fields, y.Fields)
	case *Field:
		y, ok := b.(*Field)
		return ok && x.Index == y.Index && equalScalar(x.Row, y.Row)
	case *Subscript:
		return equalSubscript(x, b)
	}
	return false
}

func equalCase(x *Case, b Scalar) bool {
	y, ok := b.(*Case)
	if !ok || len(x.Whens) != len(y.Whens) || !equalScalar(x.Else, y.Else) {
		return false
	}
	for i := range x.Whens {
		if !equalScalar(x.Whens[i].Condition, y.Whens[i].Condition) || !equalScalar(x.Whens[i].Result, y.Whens[i].Result) {
			return false
		}
	}
	return true
}

func equalSubscript(x *Subscript, b Scalar) bool {
	y, ok := b.(*Subscript)
	if !ok || x.Slice != y.Slice || len(x.Indexes) != len(y.Indexes) || !equalScalar(x.Array, y.Array) {
		return false
	}
	for i := range x.Indexes {
		if !equalScalar(x.Indexes[i].Low, y.Indexes[i].Low) || !equalScalar(x.Indexes[i].High, y.Indexes[i].High) {
			return false
		}
	}
	return true
}

// sameDatum reports whether two values of a type look the same, not only
// compare as equal.
func sameDatum(t *types.T, a, b types.Datum) bool {
	if a.Null || b.Null {
		return a.Null && b.Null
	}
	switch t.Family {
	case types.BoolFamily, types.IntFamily, types.FloatFamily:
		return a.I == b.I
	case types.BytesFamily, types.UnknownFamily:
		return a.S == b.S
	case types.IntervalFamily:
		return a.Interval() == b.Interval()
	case types.DecimalFamily:
		return a.Decimal().CmpTotal(b.Decimal()) == 0
	}
	return false
}

// conjuncts splits a condition at its ANDs.
func conjuncts(s Scalar, list []Scalar) []Scalar {
	if and, ok := s.(*And); ok {
		for _, x := range and.Arguments {
			list = conjuncts(x, list)
		}
		return list
	}
	if s == nil || isTrue(s) {
		return list
	}
	return append(list, s)
}

// conjunction is the opposite of conjuncts; nil for none.
func conjunction(list []Scalar) Scalar {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &And{Arguments: list}
}

func isTrue(s Scalar) bool {
	c, ok := s.(*Constant)
	return ok && !c.Value.Null && c.T.Family == types.BoolFamily && c.Value.Bool()
}

// isNeverTrue: the constants FALSE and NULL.
func isNeverTrue(s Scalar) bool {
	c, ok := s.(*Constant)
	return ok && (c.Value.Null || c.T.Family == types.BoolFamily && !c.Value.Bool())
}
