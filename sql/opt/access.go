package opt

import (
	"math"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// maxSpans bounds what IN lists of several key columns multiply to.
const maxSpans = 10000

// constraint is what a condition says about one column.
type constraint struct {
	column ColumnID
	// equal are the values that it may have; null: it is NULL.
	equal []Scalar
	null  bool
	// low and high are a range's ends.
	low, high *Bound
	// exact: the condition says nothing else, so a span can take its place.
	exact bool
}

// constrain reads a condition as a constraint on a column of own; nil if it is
// none.
func (o *optimizer) constrain(c Scalar, own columnSet) *constraint {
	switch x := c.(type) {
	case *Call:
		return o.constrainCall(x, own)
	case *InList:
		return o.constrainIn(x, own)
	case *AnyAll:
		return o.constrainArray(x, own)
	case *IsNull:
		if v, ok := x.Argument.(*Variable); ok && !x.Negated && own.has(v.ID) {
			return &constraint{column: v.ID, null: true, exact: true}
		}
	case *Variable:
		if own.has(x.ID) && x.T.OID == types.BooleanOID {
			return &constraint{column: x.ID, equal: []Scalar{boolean(true)}, exact: true}
		}
	case *Not:
		if v, ok := x.Argument.(*Variable); ok && own.has(v.ID) && v.T.OID == types.BooleanOID {
			return &constraint{column: v.ID, equal: []Scalar{boolean(false)}, exact: true}
		}
	case *Distinct:
		if l := indexedColumn(x.Left, own); l != nil && x.Negated && o.usableValue(x.Right, own) && l.T.OID == x.Right.Type().OID {
			if k, ok := x.Right.(*Constant); ok && !k.Value.Null {
				return &constraint{column: l.ID, equal: []Scalar{x.Right}, exact: true}
			}
		}
	}
	return nil
}

// indexedColumn sees a column through casts that keep the order of an index.
func indexedColumn(s Scalar, own columnSet) *Variable {
	switch x := s.(type) {
	case *Variable:
		if own.has(x.ID) {
			return x
		}
	case *Cast:
		v, ok := x.Input.(*Variable)
		if !ok || !own.has(v.ID) {
			return nil
		}
		if isText(v.T) && isText(x.Cast.To) && x.Cast.To.Typmod == -1 || isInteger(v.T) && isInteger(x.Cast.To) && v.T.Size <= x.Cast.To.Size {
			return v
		}
		if v.T.OID == types.OIDTypeOID && x.Cast.Relabel || x.Cast.Relabel && x.Cast.To.OID == types.OIDTypeOID {
			return v
		}
	}
	return nil
}

// isText: the types that sort as text by bytes.
func isText(t *types.T) bool { return t.OID == types.TextOID || t.OID == types.VarcharOID }

func isInteger(t *types.T) bool {
	return t.OID == types.Int2OID || t.OID == types.Int4OID || t.OID == types.Int8OID
}

// usableValue: s has one value while the table is scanned.
func (o *optimizer) usableValue(s Scalar, own columnSet) bool {
	return !columnsOf(s).intersects(own) && !isVolatile(s)
}

func (o *optimizer) constrainCall(x *Call, own columnSet) *constraint {
	if len(x.Arguments) != 2 || !x.Function.IsOperator() {
		return nil
	}
	name, column, value := x.Function.Name, indexedColumn(x.Arguments[0], own), x.Arguments[1]
	if column == nil {
		if column, value = indexedColumn(x.Arguments[1], own), x.Arguments[0]; column == nil {
			return nil
		}
		flipped, ok := map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}[name]
		if !ok {
			return nil
		}
		name = flipped
	}
	if !o.usableValue(value, own) {
		return nil
	}
	switch name {
	case "=":
		v, exact := o.adapt(value, column.T)
		if v == nil {
			return nil
		}
		return &constraint{column: column.ID, equal: []Scalar{v}, exact: exact}
	case "<", "<=", ">", ">=":
		v, exact := o.adaptBound(value, column.T)
		if v == nil {
			return nil
		}
		bound := &Bound{Value: v, Inclusive: !exact || name == "<=" || name == ">="}
		if name[0] == '<' {
			return &constraint{column: column.ID, high: bound, exact: exact}
		}
		return &constraint{column: column.ID, low: bound, exact: exact}
	case "~~":
		return likePrefix(x, column, value)
	}
	return nil
}

// likePrefix: LIKE 'abc%' holds values from 'abc' to before 'abd'.
func likePrefix(x *Call, column *Variable, value Scalar) *constraint {
	k, ok := value.(*Constant)
	if !ok || k.Value.Null || !isText(column.T) || !isText(k.T) || indexedColumn(x.Arguments[0], columnSetOf(column.ID)) == nil {
		return nil
	}
	pattern := k.Value.S
	i := strings.IndexAny(pattern, `%_\`)
	if i < 0 {
		return &constraint{column: column.ID, equal: []Scalar{&Constant{Value: k.Value, T: column.T.WithTypmod(-1)}}, exact: true}
	}
	if i == 0 || pattern[i] == '\\' {
		return nil
	}
	prefix := pattern[:i]
	c := &constraint{column: column.ID, low: &Bound{Value: &Constant{Value: types.String(prefix), T: column.T.WithTypmod(-1)}, Inclusive: true}}
	next := []byte(prefix)
	for len(next) > 0 && next[len(next)-1] >= 0x7f {
		next = next[:len(next)-1]
	}
	if len(next) > 0 {
		next[len(next)-1]++
		c.high = &Bound{Value: &Constant{Value: types.String(string(next)), T: column.T.WithTypmod(-1)}}
	}
	return c
}

func (o *optimizer) constrainIn(x *InList, own columnSet) *constraint {
	column := indexedColumn(x.Left, own)
	if column == nil || x.Negated {
		return nil
	}
	c := &constraint{column: column.ID, exact: true}
	for _, i := range x.Items {
		if k, ok := i.(*Constant); ok && k.Value.Null {
			continue // never equal; what it makes unknown is not true either
		}
		if !o.usableValue(i, own) {
			return nil
		}
		v, exact := o.adapt(i, column.T)
		if v == nil {
			return nil
		}
		c.equal = append(c.equal, v)
		c.exact = c.exact && exact
	}
	return c
}

// constrainArray reads column = ANY (constant array) as IN.
func (o *optimizer) constrainArray(x *AnyAll, own columnSet) *constraint {
	column := indexedColumn(x.Left, own)
	if column == nil || x.All || x.Operator.Name != "=" {
		return nil
	}
	var items []Scalar
	switch a := x.Array.(type) {
	case *Constant:
		if a.Value.Null {
			return nil
		}
		array := a.Value.Array()
		for _, d := range array.Elems {
			items = append(items, &Constant{Value: d, T: a.T.Elem})
		}
	case *ArrayOf:
		if a.Nested {
			return nil
		}
		items = a.Elements
	default:
		return nil
	}
	return o.constrainIn(&InList{Left: x.Left, Items: items}, own)
}

var integerLimits = map[types.OID][2]int64{
	types.Int2OID: {math.MinInt16, math.MaxInt16},
	types.Int4OID: {math.MinInt32, math.MaxInt32},
	types.Int8OID: {math.MinInt64, math.MaxInt64},
}

// adapt gives a value that is compared with a column the column's type. A value
// that the type can't hold becomes NULL, which matches nothing. nil: it can't be
// adapted.
func (o *optimizer) adapt(value Scalar, t *types.T) (Scalar, bool) {
	from, plain := value.Type(), t.WithTypmod(-1)
	switch {
	case from.OID == t.OID:
		return value, true
	case isText(from) && isText(t):
		return o.relabel(value, plain), true
	case t.OID == types.OIDTypeOID && from.Family == types.IntFamily && isRegType(from), isRegType(t) && from.OID == types.OIDTypeOID:
		return o.relabel(value, plain), true
	case isInteger(from) && isInteger(t):
		limits := integerLimits[t.OID]
		if from.Size <= t.Size {
			return o.relabel(value, plain), true
		}
		if k, ok := value.(*Constant); ok {
			if k.Value.Null || k.Value.I < limits[0] || k.Value.I > limits[1] {
				return &Constant{Value: types.DNull, T: plain}, true
			}
			return &Constant{Value: k.Value, T: plain}, true
		}
		within := &And{Arguments: []Scalar{o.compareInteger(">=", value, limits[0]), o.compareInteger("<=", value, limits[1])}}
		return &Case{Whens: []When{{Condition: within, Result: o.relabel(value, plain)}}, T: plain}, true
	}
	return nil, false
}

func isRegType(t *types.T) bool {
	switch t.OID {
	case types.RegclassOID, types.RegtypeOID, types.RegprocOID, types.RegprocedureOID, types.RegnamespaceOID, types.RegroleOID, types.RegoperOID, types.RegoperatorOID:
		return true
	}
	return false
}

// adaptBound is adapt for an end of a range; a value that the type can't hold
// becomes the type's own limit, and then the condition must be checked as well.
func (o *optimizer) adaptBound(value Scalar, t *types.T) (Scalar, bool) {
	from := value.Type()
	if !isInteger(from) || !isInteger(t) || from.Size <= t.Size {
		return o.adapt(value, t)
	}
	plain := t.WithTypmod(-1)
	limits := integerLimits[t.OID]
	if k, ok := value.(*Constant); ok && !k.Value.Null {
		v := min(max(k.Value.I, limits[0]), limits[1])
		return &Constant{Value: types.Int(v), T: plain}, v == k.Value.I
	}
	limit := func(v int64) Scalar { return &Constant{Value: types.Int(v), T: plain} }
	return &Case{Whens: []When{
		{Condition: o.compareInteger("<", value, limits[0]), Result: limit(limits[0])},
		{Condition: o.compareInteger(">", value, limits[1]), Result: limit(limits[1])},
	}, Else: o.relabel(value, plain), T: plain}, false
}

func (o *optimizer) compareInteger(operator string, value Scalar, limit int64) Scalar {
	call, err := o.operator(operator, value, &Constant{Value: types.Int(limit), T: types.Int8}, -1)
	if err != nil {
		return nullBoolean()
	}
	return call
}

// relabel casts between types whose values look the same.
func (o *optimizer) relabel(value Scalar, t *types.T) Scalar {
	if k, ok := value.(*Constant); ok {
		return &Constant{Value: k.Value, T: t}
	}
	cast, ok := types.FindCast(value.Type(), t, types.ExplicitCast)
	if !ok {
		return value
	}
	return &Cast{Input: value, Cast: cast, Implicit: true}
}

// path is a way to read a table: an index, what of it, and what is left to check.
type path struct {
	index *catalog.Index
	spans []Span
	// used tells which conditions the spans take the place of.
	used []bool
	// equal is how many key columns have one value in all spans.
	equal int
	// unique: at most one row a span.
	unique  bool
	empty   bool
	columns int // how many key columns the spans restrict
}

// pathFor finds the spans of an index that hold all rows that meet conditions.
func (o *optimizer) pathFor(scan *Scan, ix *catalog.Index, conditions []Scalar) *path {
	p := &path{index: ix, used: make([]bool, len(conditions))}
	own := columnSetOf(tableColumnIDs(scan.Columns)...)
	constraints := make([]*constraint, len(conditions))
	for i, c := range conditions {
		constraints[i] = o.constrain(c, own)
	}
	spans := []Span{{}}
	single := true
	for _, key := range ix.Columns {
		id := columnOf(scan.Columns, key.Column)
		if id == 0 {
			break
		}
		if at := pickEqual(constraints, id); at >= 0 {
			c := constraints[at]
			if n := max(1, len(c.equal)); len(spans)*n > maxSpans {
				break
			}
			spans = extendSpans(spans, c)
			p.used[at] = c.exact
			p.columns++
			single = single && len(c.equal) <= 1
			if single {
				p.equal++
			}
			if !c.null && len(c.equal) == 0 {
				p.empty = true
			}
			continue
		}
		if addRange(spans, constraints, id, p.used) {
			p.columns++
		}
		break
	}
	p.unique = ix.Unique && p.columns == len(ix.Columns) && len(spans) > 0 && spans[0].Low == nil && spans[0].High == nil && !hasNullEqual(spans)
	if p.columns > 0 {
		p.spans = spans
		return p
	}
	if alternative := o.pathOfOr(scan, ix, conditions); alternative != nil {
		return alternative
	}
	return p
}

func hasNullEqual(spans []Span) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return slices.Contains(s.NullEqual, true) })
}

// pickEqual chooses the equality on a column with the fewest values.
func pickEqual(constraints []*constraint, id ColumnID) int {
	best := -1
	for i, c := range constraints {
		if c == nil || c.column != id || c.low != nil || c.high != nil {
			continue
		}
		if best < 0 || len(c.equal) < len(constraints[best].equal) {
			best = i
		}
	}
	return best
}

func extendSpans(spans []Span, c *constraint) []Span {
	values := c.equal
	if c.null {
		values = []Scalar{&Constant{Value: types.DNull, T: types.Unknown}}
	}
	out := make([]Span, 0, len(spans)*len(values))
	for _, s := range spans {
		for _, v := range values {
			n := Span{Equal: append(slices.Clone(s.Equal), v)}
			if c.null || s.NullEqual != nil {
				n.NullEqual = append(slices.Clone(s.NullEqual), make([]bool, len(n.Equal)-len(s.NullEqual))...)
				n.NullEqual[len(n.Equal)-1] = c.null
			}
			out = append(out, n)
		}
	}
	return out
}

// addRange puts the ranges of a column into the spans. Of several ends on one
// side the first counts; the others are still checked.
func addRange(spans []Span, constraints []*constraint, id ColumnID, used []bool) bool {
	var low, high *Bound
	for i, c := range constraints {
		if c == nil || c.column != id {
			continue
		}
		took := false
		if c.low != nil && low == nil {
			low, took = c.low, true
		}
		if c.high != nil && high == nil {
			high, took = c.high, took || c.low == nil
		}
		used[i] = took && c.exact && (c.low == nil || low == c.low) && (c.high == nil || high == c.high)
	}
	if low == nil && high == nil {
		return false
	}
	for i := range spans {
		spans[i].Low, spans[i].High = low, high
	}
	return true
}

// pathOfOr takes the spans of each arm of an OR.
func (o *optimizer) pathOfOr(scan *Scan, ix *catalog.Index, conditions []Scalar) *path {
	for i, c := range conditions {
		or, ok := c.(*Or)
		if !ok {
			continue
		}
		p := &path{index: ix, used: make([]bool, len(conditions)), columns: len(ix.Columns)}
		exact := true
		for _, arm := range or.Arguments {
			list := conjuncts(arm, nil)
			inner := o.pathFor(scan, ix, list)
			if inner.columns == 0 {
				p = nil
				break
			}
			exact = exact && !slices.Contains(inner.used, false)
			p.spans = append(p.spans, inner.spans...)
			p.columns = min(p.columns, inner.columns)
		}
		if p == nil || len(p.spans) > maxSpans {
			continue
		}
		p.used[i] = exact
		return p
	}
	return nil
}

// order is the order in which an index is read.
func (o *optimizer) indexOrder(scan *Scan, ix *catalog.Index, reverse bool) []OrderKey {
	var keys []OrderKey
	add := func(c catalog.IndexColumn) bool {
		id := columnOf(scan.Columns, c.Column)
		if id == 0 {
			return false
		}
		keys = append(keys, OrderKey{ID: id, Descending: c.Descending != reverse, NullsFirst: c.Descending != reverse})
		return true
	}
	for _, c := range ix.Columns {
		if !add(c) {
			return keys
		}
	}
	if ix.Encoding != catalog.PrimaryEncoding && !ix.Unique {
		for _, c := range scan.Table.Primary.Columns {
			if !ix.IsKeyColumn(c.Column) && !add(c) {
				return keys
			}
		}
	}
	return keys
}

// planScan chooses the index to read a table by.
func (o *optimizer) planScan(scan *Scan, r requirement) Node {
	rows := o.tableRows(scan.Table)
	var best Node
	bestCost := math.Inf(1)
	for _, ix := range readableIndexes(scan.Table) {
		p := o.pathFor(scan, ix, scan.Filter)
		if p.empty {
			return withEstimate(emptyNode(scan), 0, 0)
		}
		for _, reverse := range []bool{false, true} {
			if reverse && !o.ordered(o.indexOrder(scan, ix, true), pathConstants(scan, p), r.order, scan) {
				continue
			}
			n := o.scanBy(scan, p, reverse, rows, r)
			cost := n.Estimated().Cost
			if len(r.order) > 0 && !o.satisfies(n, r.order) {
				cost += sortCost(n.Estimated().Rows)
			} else if len(r.order) > 0 && r.limit > 0 && r.limit < n.Estimated().Rows {
				// Only the beginning will be read.
				cost = startCost + (cost-startCost)*r.limit/n.Estimated().Rows
			}
			if cost < bestCost {
				best, bestCost = n, cost
			}
			if len(r.order) == 0 {
				break
			}
		}
	}
	return best
}

// pathConstants are the columns that have one value in all spans of a path.
func pathConstants(scan *Scan, p *path) columnSet {
	var set columnSet
	for i := range p.equal {
		if id := columnOf(scan.Columns, p.index.Columns[i].Column); id != 0 {
			set.add(id)
		}
	}
	return set
}

// scanBy builds the scan of a path, with a join to the row where the index
// lacks columns.
func (o *optimizer) scanBy(scan *Scan, p *path, reverse bool, tableRows float64, r requirement) Node {
	s := &Scan{Table: scan.Table, Index: p.index, Spans: p.spans, Reverse: reverse, Lock: scan.Lock}
	var filter []Scalar
	for i, c := range scan.Filter {
		if !p.used[i] {
			filter = append(filter, c)
		}
	}
	fetched := o.pathRows(scan, p, tableRows)
	result := fetched * o.selectivity(filter)
	if p.unique {
		result = math.Min(result, float64(len(p.spans)))
	}
	needed := columnSet{}
	needed.addAll(tableColumnIDs(scan.Columns))
	covered := true
	inIndex := columnSet{}
	for _, c := range scan.Columns {
		if indexHas(scan.Table, p.index, c.Column) {
			inIndex.add(c.ID)
		} else {
			covered = false
		}
	}
	spanCost := float64(max(1, len(p.spans)))
	if covered {
		s.Columns, s.Filter = scan.Columns, filter
		width := 1.0
		if p.index.Encoding != catalog.PrimaryEncoding {
			width = 0.8
		}
		s.Estimate = Estimate{Rows: result, Cost: startCost + spanCost + fetched*width}
		if r.limit > 0 && result > r.limit {
			s.Expected = int64(r.limit)
		}
		return s
	}
	return o.fetchRows(scan, s, filter, inIndex, fetched, spanCost, result)
}

// fetchRows reads an index that lacks columns, and the rows it points to.
func (o *optimizer) fetchRows(scan, s *Scan, filter []Scalar, inIndex columnSet, fetched, spanCost, result float64) Node {
	own, above := split(filter, func(c Scalar) bool {
		return columnsOf(c).within(inIndex) || !columnsOf(c).intersects(columnSetOf(tableColumnIDs(scan.Columns)...))
	})
	join := &IndexJoin{Table: scan.Table, Filter: above, Lock: scan.Lock}
	s.Filter = own
	s.Lock = Locking{}
	for _, c := range scan.Columns {
		if inIndex.has(c.ID) {
			s.Columns = append(s.Columns, c)
			join.Keep = append(join.Keep, c.ID)
		} else {
			join.Columns = append(join.Columns, c)
		}
	}
	for _, k := range scan.Table.Primary.Columns {
		id := columnOf(s.Columns, k.Column)
		if id == 0 {
			column := scan.Table.Column(k.Column)
			id = o.newColumn(column.Name, column.Type, columnLabel{})
			s.Columns = append(s.Columns, TableColumn{ID: id, Column: k.Column})
		}
		join.PrimaryKey = append(join.PrimaryKey, id)
	}
	found := fetched * o.selectivity(own)
	s.Estimate = Estimate{Rows: found, Cost: startCost + spanCost + fetched*0.8}
	join.Input = s
	join.Estimate = Estimate{Rows: result, Cost: s.Cost + startCost + found*lookupCost}
	return join
}

// pathRows estimates how many entries the spans hold.
func (o *optimizer) pathRows(scan *Scan, p *path, tableRows float64) float64 {
	if p.columns == 0 {
		return math.Max(1, tableRows)
	}
	total := 0.0
	for _, s := range p.spans {
		f := tableRows
		n := len(s.Equal)
		if p.index.Unique && n >= len(p.index.Columns) && s.NullEqual == nil {
			total++
			continue
		}
		for i := range n {
			f /= o.distinctValues(scan.Table, p.index.Columns[i].Column, tableRows)
			if i == 0 && n > 1 {
				continue
			}
		}
		switch {
		case s.Low != nil && s.High != nil:
			f *= rangeBoth
		case s.Low != nil || s.High != nil:
			f *= rangeOne
		}
		total += math.Max(f, 1)
	}
	return math.Min(total, math.Max(1, tableRows))
}

// scanByArray reads column = ANY (array) where the array is not known yet: its
// elements, without duplicates, are looked up in an index. nil: there is no
// such condition.
func (o *optimizer) scanByArray(scan *Scan) Node {
	own := columnSetOf(tableColumnIDs(scan.Columns)...)
	for i, c := range scan.Filter {
		x, ok := c.(*AnyAll)
		if !ok || x.All || x.Operator.Name != "=" || !columnsOf(x.Array).empty() || !o.usableValue(x.Array, own) || scan.Lock.Strength != 0 {
			continue
		}
		column := indexedColumn(x.Left, own)
		if _, constant := x.Array.(*Constant); column == nil || constant || !indexBeginsWith(scan, column.ID) {
			continue
		}
		unnest, err := types.ResolveFunction("unnest", []*types.T{x.Array.Type()}, nil, false)
		if err != nil {
			continue
		}
		id := o.newColumn("unnest", x.Array.Type().Elem, columnLabel{})
		elements := withEstimate(&FunctionScan{Sets: []SetItem{{Function: unnest, Arguments: []Scalar{x.Array}, Columns: []ColumnID{id}}}}, 10, 10)
		distinct := withEstimate(&DistinctRows{Input: elements, On: []ColumnID{id}}, 10, 20)
		rest := *scan
		rest.Filter = append(slices.Clone(scan.Filter[:i]), scan.Filter[i+1:]...)
		equal := &Call{Function: x.Operator, Arguments: []Scalar{x.Left, o.variable(id)}, Operator: "="}
		if n := o.lookupJoin(Inner, distinct, &rest, []Scalar{equal}); n != nil {
			return n
		}
	}
	return nil
}

// planVirtual passes equalities on lookup columns to a virtual table.
func (o *optimizer) planVirtual(x *VirtualScan) Node {
	c := *x
	own := columnSetOf(tableColumnIDs(x.Columns)...)
	rows := 100.0
	for _, f := range x.Filter {
		k := o.constrain(f, own)
		if k == nil || len(k.equal) == 0 || k.null {
			continue
		}
		for _, column := range x.Columns {
			if column.ID == k.column && slices.Contains(x.Table.Virtual.Lookups, column.Column) {
				c.Constraints = append(c.Constraints, VirtualConstraint{Column: column.Column, Values: k.equal})
				rows = float64(len(k.equal))
			}
		}
	}
	c.Estimate = Estimate{Rows: math.Max(1, rows*o.selectivity(x.Filter)), Cost: startCost + rows}
	return &c
}
