package opt

import "slices"

// provided returns the keys that a planned node's rows are sorted by, and the
// columns that have one value in all of them.
func (o *optimizer) provided(n Node) ([]OrderKey, columnSet) {
	switch x := n.(type) {
	case *Scan:
		p := &path{index: x.Index, equal: equalPrefix(x.Spans)}
		return o.indexOrder(x, x.Index, x.Reverse), pathConstants(x, p)
	case *IndexJoin:
		return o.provided(x.Input)
	case *LookupJoin:
		return o.provided(x.Input)
	case *Filter:
		keys, constants := o.provided(x.Input)
		return keys, addConstants(constants, x.Conditions)
	case *Project:
		return providedByProject(o, x)
	case *Sort:
		_, constants := o.provided(x.Input)
		return x.Keys, constants
	case *Limit:
		return o.provided(x.Input)
	case *LockRows:
		return o.provided(x.Input)
	case *DistinctRows:
		if x.Ordered {
			return o.provided(x.Input)
		}
	case *Aggregate:
		if x.Ordered {
			keys, constants := o.provided(x.Input)
			for i, k := range keys {
				if !slices.Contains(x.GroupBy, k.ID) {
					keys = keys[:i]
					break
				}
			}
			return keys, constants
		}
	case *With:
		return o.provided(x.Input)
	case *Update:
		return nil, columnSet{}
	}
	return nil, columnSet{}
}

func providedByProject(o *optimizer, x *Project) ([]OrderKey, columnSet) {
	keys, constants := o.provided(x.Input)
	renamed := map[ColumnID]ColumnID{}
	constants = constants.clone()
	for _, i := range x.Items {
		if v, ok := i.Value.(*Variable); ok {
			renamed[v.ID] = i.ID
			if constants.has(v.ID) {
				constants.add(i.ID)
			}
		}
		if _, ok := i.Value.(*Constant); ok {
			constants.add(i.ID)
		}
	}
	var out []OrderKey
	for _, k := range keys {
		switch {
		case slices.Contains(x.Keep, k.ID):
		case renamed[k.ID] != 0:
			k.ID = renamed[k.ID]
		case constants.has(k.ID):
			continue
		default:
			return out, constants
		}
		out = append(out, k)
	}
	return out, constants
}

// equalPrefix is how many key columns have the same value in all spans.
func equalPrefix(spans []Span) int {
	if len(spans) == 0 {
		return 0
	}
	n := len(spans[0].Equal)
	for _, s := range spans[1:] {
		n = min(n, len(s.Equal))
		for i := range n {
			if !equalScalar(s.Equal[i], spans[0].Equal[i]) {
				n = i
				break
			}
		}
	}
	return n
}

// addConstants adds the columns that conditions fix to one value.
func addConstants(constants columnSet, conditions []Scalar) columnSet {
	out := constants.clone()
	for _, c := range conditions {
		if call, ok := c.(*Call); ok && len(call.Arguments) == 2 && call.Function.Name == "=" {
			if v, ok := call.Arguments[0].(*Variable); ok && isConstant(call.Arguments[1]) {
				out.add(v.ID)
			}
		}
	}
	return out
}

// satisfies reports whether a planned node's rows are sorted by some keys.
func (o *optimizer) satisfies(n Node, required []OrderKey) bool {
	keys, constants := o.provided(n)
	return o.ordered(keys, constants, required, n)
}

// ordered reports whether rows sorted by provided keys are sorted by the
// required ones: columns of one value don't count, and NULLs' place doesn't
// where there are none.
func (o *optimizer) ordered(provided []OrderKey, constants columnSet, required []OrderKey, n Node) bool {
	i := 0
	var seen columnSet
	for _, want := range required {
		if constants.has(want.ID) || seen.has(want.ID) {
			continue
		}
		for i < len(provided) && provided[i].ID != want.ID && constants.has(provided[i].ID) {
			i++
		}
		if i == len(provided) {
			// Past the whole key of a row nothing is left to be sorted.
			return keyIsCovered(n, seen, constants)
		}
		have := provided[i]
		if have.ID != want.ID {
			return keyIsCovered(n, seen, constants)
		}
		if have.Descending != want.Descending || have.NullsFirst != want.NullsFirst && !planColumnNeverNull(n, have.ID) {
			return false
		}
		seen.add(have.ID)
		i++
	}
	return true
}

// keyIsCovered reports whether the columns seen, with the constant ones, have
// the primary key of a table that is scanned alone.
func keyIsCovered(n Node, seen, constants columnSet) bool {
	scan := scanBelow(n)
	if scan == nil {
		return false
	}
	for _, k := range scan.Table.Primary.Columns {
		id := columnOf(scan.Columns, k.Column)
		if id == 0 || !seen.has(id) && !constants.has(id) {
			return false
		}
	}
	return true
}

// scanBelow is the one scan whose rows a node passes on one by one.
func scanBelow(n Node) *Scan {
	switch x := n.(type) {
	case *Scan:
		return x
	case *IndexJoin:
		return scanBelow(x.Input)
	case *Filter:
		return scanBelow(x.Input)
	case *Project:
		return scanBelow(x.Input)
	}
	return nil
}

func planColumnNeverNull(n Node, id ColumnID) bool {
	switch x := n.(type) {
	case *IndexJoin:
		return planColumnNeverNull(x.Input, id)
	case *LookupJoin:
		return planColumnNeverNull(x.Input, id)
	case *LockRows:
		return planColumnNeverNull(x.Input, id)
	case *Project:
		for _, i := range x.Items {
			if i.ID == id {
				v, ok := i.Value.(*Variable)
				return ok && planColumnNeverNull(x.Input, v.ID)
			}
		}
		return planColumnNeverNull(x.Input, id)
	}
	return columnNeverNull(n, id)
}
