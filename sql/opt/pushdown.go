package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/types"
)

// joinGroup is inner joins before their order is chosen. It exists only while
// a plan is made.
type joinGroup struct {
	Estimate
	inputs []Node
	on     []Scalar
}

// Output returns the columns of all inputs.
func (n *joinGroup) Output() []ColumnID {
	var ids []ColumnID
	for _, in := range n.inputs {
		ids = append(ids, in.Output()...)
	}
	return ids
}

// Inputs returns the relations to be joined.
func (n *joinGroup) Inputs() []Node { return n.inputs }

// emptyNode yields no rows of n's columns.
func emptyNode(n Node) Node { return &Values{Columns: uniqueIDs(n.Output())} }

// filtered puts conditions above a node.
func filtered(n Node, conditions []Scalar) Node {
	if len(conditions) == 0 {
		return n
	}
	return &Filter{Input: n, Conditions: conditions}
}

// push moves conditions into a tree, as far down as they hold the same rows back.
// Every condition in is checked somewhere in the result.
func (o *optimizer) push(n Node, conditions []Scalar) Node {
	if slices.ContainsFunc(conditions, isNeverTrue) {
		return emptyNode(n)
	}
	switch x := n.(type) {
	case *Filter:
		return o.push(x.Input, append(slices.Clone(x.Conditions), conditions...))
	case *Project:
		return o.pushProject(x, conditions)
	case *Join:
		return o.pushJoin(x, conditions)
	case *Scan:
		own, above := split(conditions, func(c Scalar) bool { return !hasSubquery(c) && !isVolatile(c) })
		if len(own) > 0 {
			c := *x
			c.Filter = append(slices.Clone(x.Filter), own...)
			return filtered(&c, above)
		}
		return filtered(x, above)
	case *VirtualScan:
		own, above := split(conditions, func(c Scalar) bool { return !hasSubquery(c) && !isVolatile(c) })
		if len(own) > 0 {
			c := *x
			c.Filter = append(slices.Clone(x.Filter), own...)
			return filtered(&c, above)
		}
		return filtered(x, above)
	case *Sort:
		below, above := split(conditions, notVolatile)
		return filtered(&Sort{Input: o.push(x.Input, below), Keys: x.Keys}, above)
	case *Aggregate:
		groups := columnSetOf(x.GroupBy...)
		below, above := split(conditions, func(c Scalar) bool {
			used := columnsOf(c)
			return len(x.GroupingSets) == 0 && notVolatile(c) && !used.empty() && used.intersects(groups) && !used.intersects(outputsBut(x, groups))
		})
		c := *x
		c.Input = o.push(x.Input, below)
		return filtered(&c, above)
	case *DistinctRows:
		on := columnSetOf(x.On...)
		below, above := split(conditions, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(outputsBut(x, on)) })
		c := *x
		c.Input = o.push(x.Input, below)
		return filtered(&c, above)
	case *Window:
		partition := columnSetOf(x.PartitionBy...)
		below, above := split(conditions, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(outputsBut(x, partition)) })
		c := *x
		c.Input = o.push(x.Input, below)
		return filtered(&c, above)
	case *ProjectSet:
		sets := columnSetOf(setColumns(x.Sets)...)
		below, above := split(conditions, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(sets) })
		c := *x
		c.Input = o.push(x.Input, below)
		return filtered(&c, above)
	case *SetOperation:
		return o.pushSetOperation(x, conditions)
	case *With:
		for _, t := range x.Tables {
			t.Query = o.push(t.Query, nil)
		}
		return &With{Tables: x.Tables, Input: o.push(x.Input, conditions)}
	}
	return filtered(mapNode(n, func(in Node) Node { return o.push(in, nil) }, keepScalar), conditions)
}

func notVolatile(c Scalar) bool { return !isVolatile(c) }

// outputsBut are a node's columns without some.
func outputsBut(n Node, but columnSet) columnSet {
	out := columnSetOf(n.Output()...)
	out.subtract(but)
	return out
}

func split(list []Scalar, f func(Scalar) bool) (yes, no []Scalar) {
	for _, c := range list {
		if f(c) {
			yes = append(yes, c)
		} else {
			no = append(no, c)
		}
	}
	return yes, no
}

// substitute replaces columns by expressions.
func substitute(s Scalar, values map[ColumnID]Scalar) Scalar {
	return mapScalar(s, func(x Scalar) Scalar {
		if v, ok := x.(*Variable); ok {
			if r := values[v.ID]; r != nil {
				return r
			}
		}
		return nil
	})
}

func (o *optimizer) pushProject(x *Project, conditions []Scalar) Node {
	values := map[ColumnID]Scalar{}
	var opaque columnSet // items that must be computed once
	for _, i := range x.Items {
		if isVolatile(i.Value) || hasSubquery(i.Value) {
			opaque.add(i.ID)
		} else {
			values[i.ID] = i.Value
		}
	}
	below, above := split(conditions, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(opaque) })
	for i, c := range below {
		below[i] = o.refold(substitute(c, values))
	}
	var list []Scalar
	for _, c := range below {
		list = conjuncts(c, list)
	}
	return filtered(&Project{Input: o.push(x.Input, list), Keep: x.Keep, Items: x.Items}, above)
}

// refold folds constants again after columns were replaced.
func (o *optimizer) refold(s Scalar) Scalar {
	var all func(Scalar) Scalar
	all = func(x Scalar) Scalar {
		return o.fold(mapChildren(x, all, func(n Node) Node { return n }))
	}
	return all(s)
}

func (o *optimizer) pushSetOperation(x *SetOperation, conditions []Scalar) Node {
	below, above := split(conditions, notVolatile)
	side := func(n Node, columns []ColumnID) Node {
		values := map[ColumnID]Scalar{}
		for i, id := range x.Columns {
			values[id] = o.variable(columns[i])
		}
		list := make([]Scalar, len(below))
		for i, c := range below {
			list[i] = substitute(c, values)
		}
		return o.push(n, list)
	}
	c := *x
	c.Left, c.Right = side(x.Left, x.LeftColumns), side(x.Right, x.RightColumns)
	return filtered(&c, above)
}

func (o *optimizer) pushJoin(x *Join, conditions []Scalar) Node {
	left, right := columnSetOf(x.Left.Output()...), columnSetOf(x.Right.Output()...)
	switch x.Kind {
	case Inner:
		if x.Lateral {
			return o.pushLateral(x, conditions, right)
		}
		return o.pushInner(x, conditions)
	case Left:
		// A condition that no row of NULLs meets makes it an inner join.
		if slices.ContainsFunc(conditions, func(c Scalar) bool { return rejectsNulls(c, right) }) {
			return o.push(&Join{Kind: Inner, Method: NestedLoop, Left: x.Left, Right: x.Right, On: x.On, Lateral: x.Lateral}, conditions)
		}
		toLeft, above := split(conditions, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(right) })
		toRight, on := split(x.On, func(c Scalar) bool {
			return notVolatile(c) && !columnsOf(c).intersects(left)
		})
		return filtered(&Join{Kind: Left, Method: NestedLoop, Left: o.push(x.Left, toLeft), Right: o.push(x.Right, toRight), On: on, Lateral: x.Lateral}, above)
	case Semi, Anti:
		toLeft, above := split(conditions, notVolatile)
		toRight, on := split(x.On, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(left) && !columnsOf(c).empty() })
		if x.Kind == Semi {
			var more []Scalar
			more, on = split(on, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(right) })
			toLeft = append(toLeft, more...)
		}
		c := *x
		c.Left, c.Right, c.On = o.push(x.Left, toLeft), o.push(x.Right, toRight), on
		return filtered(&c, above)
	}
	c := *x
	c.Left, c.Right = o.push(x.Left, nil), o.push(x.Right, nil)
	return filtered(&c, conditions)
}

// pushLateral: the right side is run for each row of the left side.
func (o *optimizer) pushLateral(x *Join, conditions []Scalar, right columnSet) Node {
	all := append(slices.Clone(x.On), conditions...)
	toLeft, rest := split(all, func(c Scalar) bool { return notVolatile(c) && !columnsOf(c).intersects(right) })
	toRight, rest := split(rest, func(c Scalar) bool { return notVolatile(c) })
	return filtered(&Join{Kind: Inner, Method: NestedLoop, Left: o.push(x.Left, toLeft), Right: o.push(x.Right, toRight), Lateral: true}, rest)
}

// pushInner collects a tree of inner joins into a group.
func (o *optimizer) pushInner(x *Join, conditions []Scalar) Node {
	var inputs []Node
	all := slices.Clone(conditions)
	var flatten func(Node)
	flatten = func(n Node) {
		switch j := n.(type) {
		case *Join:
			if j.Kind == Inner && !j.Lateral {
				for _, c := range j.On {
					all = conjuncts(c, all)
				}
				flatten(j.Left)
				flatten(j.Right)
				return
			}
		case *Filter:
			if in, ok := j.Input.(*Join); ok && in.Kind == Inner && !in.Lateral {
				all = append(all, j.Conditions...)
				flatten(in)
				return
			}
		}
		inputs = append(inputs, n)
	}
	flatten(x)
	if slices.ContainsFunc(all, isNeverTrue) {
		return emptyNode(x)
	}
	all = o.closeEqualities(all)
	outputs := make([]columnSet, len(inputs))
	for i, in := range inputs {
		outputs[i] = columnSetOf(in.Output()...)
	}
	pushed := make([][]Scalar, len(inputs))
	g := &joinGroup{}
	var above []Scalar
	for _, c := range all {
		used := columnsOf(c)
		touched, last := 0, 0
		for i := range inputs {
			if used.intersects(outputs[i]) {
				touched++
				last = i
			}
		}
		switch {
		case isVolatile(c):
			above = append(above, c)
		case touched == 0:
			// One answer for all rows: the earlier it is no, the better.
			pushed[0] = append(pushed[0], c)
		case touched == 1:
			pushed[last] = append(pushed[last], c)
		default:
			g.on = append(g.on, o.factorOr(c)...)
		}
	}
	for i, in := range inputs {
		g.inputs = append(g.inputs, o.push(in, pushed[i]))
	}
	return filtered(g, above)
}

// factorOr takes out of an OR what all its arms have in common:
// (a AND b) OR (a AND c) → a AND (b OR c).
func (o *optimizer) factorOr(c Scalar) []Scalar {
	or, ok := c.(*Or)
	if !ok {
		return []Scalar{c}
	}
	common := conjuncts(or.Arguments[0], nil)
	for _, arm := range or.Arguments[1:] {
		list := conjuncts(arm, nil)
		common, _ = split(common, func(x Scalar) bool {
			return slices.ContainsFunc(list, func(y Scalar) bool { return equalScalar(x, y) })
		})
	}
	if len(common) == 0 {
		return []Scalar{c}
	}
	arms := make([]Scalar, len(or.Arguments))
	for i, arm := range or.Arguments {
		_, rest := split(conjuncts(arm, nil), func(x Scalar) bool {
			return slices.ContainsFunc(common, func(y Scalar) bool { return equalScalar(x, y) })
		})
		arms[i] = conjunction(rest)
		if arms[i] == nil {
			return common
		}
	}
	return append(common, o.fold(&Or{Arguments: arms}))
}

// closeEqualities adds what follows from a = b and b = constant: a = constant.
func (o *optimizer) closeEqualities(all []Scalar) []Scalar {
	type pair struct{ a, b *Variable }
	var pairs []pair
	values := map[ColumnID]*Call{}
	for _, c := range all {
		call, ok := c.(*Call)
		if !ok || call.Function.Name != "=" || len(call.Arguments) != 2 || !call.Function.IsOperator() {
			continue
		}
		l, lv := call.Arguments[0].(*Variable)
		r, rv := call.Arguments[1].(*Variable)
		switch {
		case lv && rv && l.T.OID == r.T.OID:
			pairs = append(pairs, pair{l, r})
		case lv && !rv && isConstant(call.Arguments[1]) && !hasSubquery(call.Arguments[1]):
			values[l.ID] = call
		}
	}
	for changed := len(values) > 0; changed; {
		changed = false
		for _, p := range pairs {
			for _, d := range []pair{p, {p.b, p.a}} {
				k := values[d.a.ID]
				if k == nil || values[d.b.ID] != nil {
					continue
				}
				c := &Call{Function: k.Function, Arguments: []Scalar{d.b, k.Arguments[1]}, Operator: "="}
				values[d.b.ID] = c
				all = append(all, c)
				changed = true
			}
		}
	}
	return all
}

// rejectsNulls reports whether a condition can't be true for a row whose columns
// of the set are all NULL.
func rejectsNulls(c Scalar, columns columnSet) bool {
	switch x := c.(type) {
	case *Call:
		return isStrict(x) && slices.ContainsFunc(x.Arguments, func(a Scalar) bool { return nullWith(a, columns) })
	case *And:
		return slices.ContainsFunc(x.Arguments, func(a Scalar) bool { return rejectsNulls(a, columns) })
	case *Or:
		return !slices.ContainsFunc(x.Arguments, func(a Scalar) bool { return !rejectsNulls(a, columns) })
	case *IsNull:
		return x.Negated && nullWith(x.Argument, columns)
	case *InList:
		return nullWith(x.Left, columns)
	case *AnyAll:
		return !x.All && nullWith(x.Left, columns)
	case *Variable:
		return columns.has(x.ID)
	}
	return false
}

func isStrict(c *Call) bool {
	return !c.Function.CalledOnNull && c.Function.Kind == types.ScalarFunction
}

// nullWith reports whether s is NULL where the columns are.
func nullWith(s Scalar, columns columnSet) bool {
	switch x := s.(type) {
	case *Variable:
		return columns.has(x.ID)
	case *Cast:
		return nullWith(x.Input, columns)
	case *Call:
		return isStrict(x) && slices.ContainsFunc(x.Arguments, func(a Scalar) bool { return nullWith(a, columns) })
	}
	return false
}
