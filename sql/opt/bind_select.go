package opt

import (
	"slices"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// query binds any query in a fresh space.
func (b *binder) query(s *space, e parser.Node, o queryOptions) (*query, error) {
	switch x := e.(type) {
	case *parser.Select:
		return b.withTables(s, x.With, func() (*query, error) { return b.selectQuery(s, x, o) })
	case *parser.SetOperation:
		return b.withTables(s, x.With, func() (*query, error) { return b.setOperation(s, x, o) })
	case *parser.Values:
		return b.withTables(s, x.With, func() (*query, error) { return b.valuesQuery(s, x, o) })
	}
	return nil, pgerror.Unsupported("this kind of query")
}

// selection is a SELECT while it is being bound.
type selection struct {
	b       *binder
	s       *space
	e       *parser.Select
	options queryOptions
	node    Node
	// targets are the select list, and behind it what only ORDER BY and the like
	// need.
	targets []target
	visible int // of targets
	where   Scalar
	having  Scalar
	groups  []Scalar
	sets    [][]int // grouping sets, by index in groups; nil: none
	grouped bool
	order   []orderKey
	on      []int // DISTINCT ON, by target
}

// target is an item of a select list.
type target struct {
	queryColumn
	expression parser.Expression
}

// orderKey is a key of ORDER BY, by target.
type orderKey struct {
	target                 int
	descending, nullsFirst bool
}

func (b *binder) selectQuery(s *space, e *parser.Select, o queryOptions) (*query, error) {
	q := &selection{b: b, s: s, e: e, options: o}
	for _, step := range []func() error{q.bindFrom, q.bindTargets, q.bindWhere, q.bindHaving, q.bindOrder, q.bindGroups, q.bindDistinct} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := q.checkWindows(); err != nil {
		return nil, err
	}
	if b.trace != nil {
		if err := b.trace.record(q); err != nil {
			return nil, err
		}
	}
	if err := q.group(); err != nil {
		return nil, err
	}
	q.windows()
	q.projectSets()
	return q.finish()
}

func (q *selection) bindFrom() error {
	node, err := q.b.from(q.s, q.e.From)
	if err != nil {
		return err
	}
	if node == nil {
		node = emptyRow()
	}
	q.node = node
	q.s.named = q.e.Windows
	return nil
}

func (q *selection) bindTargets() error {
	q.s.place = placeSelect
	for i := range q.e.Targets {
		t := &q.e.Targets[i]
		columns, err := q.b.targetColumns(q.s, t)
		if err != nil {
			return err
		}
		for _, c := range columns {
			q.targets = append(q.targets, target{queryColumn: c, expression: t.Expression})
		}
	}
	q.visible = len(q.targets)
	return nil
}

// targetColumns binds an item of a select list or RETURNING: stars are several
// columns.
func (b *binder) targetColumns(s *space, t *parser.Target) ([]queryColumn, error) {
	if r, ok := t.Expression.(*parser.ColumnReference); ok && r.Star {
		columns, _, err := b.star(s, r)
		return columns, err
	}
	if i, ok := t.Expression.(*parser.Indirection); ok && len(i.Steps) > 0 && i.Steps[len(i.Steps)-1].Star {
		return b.starOfRow(s, i)
	}
	v, err := b.scalar(s, t.Expression)
	if err != nil {
		return nil, err
	}
	name := t.Alias
	if name == "" {
		name = expressionName(t.Expression)
	}
	return []queryColumn{{name: name, value: v, position: leftmost(t.Expression)}}, nil
}

// starOfRow expands (row).*.
func (b *binder) starOfRow(s *space, e *parser.Indirection) ([]queryColumn, error) {
	inner := e.Argument
	if len(e.Steps) > 1 {
		inner = &parser.Indirection{Position: e.Position, Argument: e.Argument, Steps: e.Steps[:len(e.Steps)-1]}
	}
	v, err := b.scalar(s, inner)
	if err != nil {
		return nil, err
	}
	t := v.Type()
	if t.Family != types.TupleFamily || len(t.Fields) == 0 {
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "type %s is not composite", t.String())
	}
	columns := make([]queryColumn, len(t.Fields))
	for i, f := range t.Fields {
		x, err := b.field(v, f.Name, e.Position)
		if err != nil {
			return nil, err
		}
		columns[i] = queryColumn{name: f.Name, value: x, position: e.Position}
	}
	return columns, nil
}

func (q *selection) bindWhere() error {
	if q.e.Where == nil {
		return nil
	}
	return q.s.within(placeWhere, func() (err error) {
		q.where, err = q.b.boolean(q.s, q.e.Where, "WHERE")
		return err
	})
}

func (q *selection) bindHaving() error {
	if q.e.Having == nil {
		return nil
	}
	return q.s.within(placeHaving, func() (err error) {
		q.having, err = q.b.boolean(q.s, q.e.Having, "HAVING")
		return err
	})
}

// targetOf finds or adds the target that an expression of ORDER BY, GROUP BY or
// DISTINCT ON means: an output column's name, its number, or an expression.
func (q *selection) targetOf(e parser.Expression, p place, preferInput bool) (int, error) {
	b := q.b
	if r, ok := e.(*parser.ColumnReference); ok && len(r.Names) == 1 && !r.Star {
		i, err := q.targetNamed(r, p, preferInput)
		if err != nil || i >= 0 {
			return i, err
		}
	}
	if k, ok := e.(*parser.Constant); ok {
		if k.Kind != parser.IntegerConstant {
			return 0, b.fail(k.Position, pgerror.Syntax, "non-integer constant in %s", p.name)
		}
		if k.Int < 1 || int(k.Int) > q.visible {
			return 0, b.fail(k.Position, pgerror.InvalidColumnReference, "%s position %d is not in select list", p.name, k.Int)
		}
		return int(k.Int) - 1, nil
	}
	before := q.s.place
	q.s.place = p
	v, err := b.scalar(q.s, e)
	q.s.place = before
	if err != nil {
		return 0, err
	}
	for i := range q.targets {
		if equalScalar(q.targets[i].value, v) {
			return i, nil
		}
	}
	q.targets = append(q.targets, target{queryColumn: queryColumn{name: expressionName(e), value: v, position: leftmost(e)}, expression: e})
	return len(q.targets) - 1, nil
}

// targetNamed finds an output column by name, -1 if there is none. In GROUP BY
// a column of FROM goes first.
func (q *selection) targetNamed(r *parser.ColumnReference, p place, preferInput bool) (int, error) {
	name := r.Names[0]
	if preferInput {
		for _, x := range q.s.relations {
			if _, n := x.column(name); n > 0 && x.columnsVisible {
				return -1, nil
			}
		}
	}
	found := -1
	for i := range q.visible {
		if q.targets[i].name != name {
			continue
		}
		if found >= 0 && !equalScalar(q.targets[i].value, q.targets[found].value) {
			return 0, q.b.fail(r.Position, pgerror.AmbiguousColumn, "%s %q is ambiguous", p.name, name)
		}
		if found < 0 {
			found = i
		}
	}
	return found, nil
}

// textTarget gives a target without a type one, for sorting and grouping.
func (q *selection) textTarget(i int) error {
	t := &q.targets[i]
	v, err := q.b.textIfUnknown(t.value, t.position)
	t.value = v
	return err
}

func (q *selection) bindOrder() error {
	for _, o := range q.e.OrderBy {
		i, err := q.targetOf(o.Expression, placeOrderBy, false)
		if err != nil {
			return err
		}
		if err := q.textTarget(i); err != nil {
			return err
		}
		if o.Using != "" {
			if o.Descending, err = q.b.usingDirection(o); err != nil {
				return err
			}
			o.NullsFirst = o.Descending
		}
		if err := q.b.sortable(q.targets[i].value.Type(), leftmost(o.Expression)); err != nil {
			return err
		}
		q.order = append(q.order, orderKey{target: i, descending: o.Descending, nullsFirst: o.NullsFirst})
	}
	return nil
}

// sortable refuses types without an order.
func (b *binder) sortable(t *types.T, at parser.Position) error {
	if t.Family == types.TupleFamily || t.Family == types.ArrayFamily {
		return nil
	}
	if _, err := types.ResolveOperator("<", t, t); err != nil {
		return b.fail(at, pgerror.UndefinedFunction, "could not identify an ordering operator for type %s", t.String()).
			WithHint("Use an explicit ordering operator or modify the query.")
	}
	return nil
}

func (q *selection) bindDistinct() error {
	if q.e.Distinct {
		for _, k := range q.order {
			if k.target >= q.visible {
				return q.b.fail(q.targets[k.target].position, pgerror.InvalidColumnReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list")
			}
		}
		for i := range q.visible {
			if err := q.textTarget(i); err != nil {
				return err
			}
			if err := q.b.comparable(q.targets[i].value.Type(), q.targets[i].position); err != nil {
				return err
			}
		}
	}
	for _, e := range q.e.DistinctOn {
		i, err := q.targetOf(e, placeDistinct, false)
		if err != nil {
			return err
		}
		if err := q.textTarget(i); err != nil {
			return err
		}
		if !slices.Contains(q.on, i) {
			q.on = append(q.on, i)
		}
	}
	// Its expressions must be the first of ORDER BY, in any order.
	seen := 0
	for _, k := range q.order {
		if slices.Contains(q.on, k.target) {
			seen++
			continue
		}
		if len(q.on) > 0 && seen < len(q.on) {
			return q.b.fail(leftmost(q.e.DistinctOn[0]), pgerror.InvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
		}
		break
	}
	return nil
}

// comparable refuses types without equality.
func (b *binder) comparable(t *types.T, at parser.Position) error {
	if t.Family == types.TupleFamily || t.Family == types.ArrayFamily {
		return nil
	}
	if _, err := types.ResolveOperator("=", t, t); err != nil {
		return b.fail(at, pgerror.UndefinedFunction, "could not identify an equality operator for type %s", t.String())
	}
	return nil
}

// checkWindows reports duplicate names in the WINDOW clause.
func (q *selection) checkWindows() error {
	for i, w := range q.e.Windows {
		for _, o := range q.e.Windows[:i] {
			if o.Name == w.Name {
				return q.b.fail(w.Position, pgerror.WindowingError, "window %q is already defined", w.Name)
			}
		}
	}
	return nil
}

// windows adds the window functions.
func (q *selection) windows() {
	rest := q.s.windows
	for len(rest) > 0 {
		first := rest[0]
		var same, other []*windowCall
		for _, w := range rest {
			if sameWindow(first, w) {
				same = append(same, w)
			} else {
				other = append(other, w)
			}
		}
		rest = other
		p := newProjector(q.b, q.node)
		node := &Window{}
		for _, v := range first.partition {
			node.PartitionBy = append(node.PartitionBy, p.column(v))
		}
		node.OrderBy = p.orderKeys(first.order)
		for _, w := range same {
			item := WindowItem{ID: w.id, Function: w.function, Frame: w.frame}
			for _, a := range w.arguments {
				item.Arguments = append(item.Arguments, p.column(a))
			}
			if w.filter != nil {
				item.Filter = p.column(w.filter)
			}
			node.Functions = append(node.Functions, item)
		}
		node.Input = p.finish()
		q.node = node
	}
}

func sameWindow(a, c *windowCall) bool {
	if !equalLists(a.partition, c.partition) || len(a.order) != len(c.order) {
		return false
	}
	for i := range a.order {
		if !equalScalar(a.order[i].value, c.order[i].value) || a.order[i].descending != c.order[i].descending || a.order[i].nullsFirst != c.order[i].nullsFirst {
			return false
		}
	}
	return true
}

// projectSets adds the set-returning functions of the select list.
func (q *selection) projectSets() {
	level := 0
	for _, c := range q.s.sets {
		level = max(level, c.level)
	}
	for l := 0; l <= level && len(q.s.sets) > 0; l++ {
		node := &ProjectSet{Input: q.node}
		for _, c := range q.s.sets {
			if c.level == l {
				node.Sets = append(node.Sets, c.item)
			}
		}
		q.node = node
	}
}

// finish projects the targets, sorts, removes duplicates and limits.
func (q *selection) finish() (*query, error) {
	b := q.b
	for i := range q.visible {
		if q.options.keepUnknown {
			break
		}
		if err := q.textTarget(i); err != nil {
			return nil, err
		}
	}
	ids := q.project()
	keys := make([]OrderKey, len(q.order))
	for i, k := range q.order {
		keys[i] = OrderKey{ID: ids[k.target], Descending: k.descending, NullsFirst: k.nullsFirst}
	}
	if q.e.Distinct {
		q.node = &DistinctRows{Input: q.node, On: uniqueIDs(ids[:q.visible])}
	}
	if len(q.on) > 0 {
		on := make([]ColumnID, len(q.on))
		for i, t := range q.on {
			on[i] = ids[t]
		}
		on = uniqueIDs(on)
		// Sorting brings equal ones together: those of ORDER BY, then the rest.
		sorted := slices.Clone(keys)
		for _, id := range on {
			if !slices.ContainsFunc(sorted, func(k OrderKey) bool { return k.ID == id }) {
				sorted = append(sorted, OrderKey{ID: id})
			}
		}
		q.node = &DistinctRows{Input: &Sort{Input: q.node, Keys: uniqueKeys(sorted)}, On: on, Ordered: true}
	} else if len(keys) > 0 {
		q.node = &Sort{Input: q.node, Keys: uniqueKeys(keys)}
	}
	if err := q.lock(); err != nil {
		return nil, err
	}
	node, err := b.limit(q.s, &q.e.Tail, q.node, keys)
	if err != nil {
		return nil, err
	}
	out := &query{node: node}
	for i := range q.visible {
		c := q.targets[i].queryColumn
		c.id = ids[i]
		out.columns = append(out.columns, c)
	}
	if b.trace != nil {
		b.trace.selects[q.e].out = out
	}
	return out, nil
}

func uniqueIDs(ids []ColumnID) []ColumnID {
	var out []ColumnID
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func uniqueKeys(keys []OrderKey) []OrderKey {
	var out []OrderKey
	for _, k := range keys {
		if !slices.ContainsFunc(out, func(o OrderKey) bool { return o.ID == k.ID }) {
			out = append(out, k)
		}
	}
	return out
}

// project computes the targets and returns their columns.
func (q *selection) project() []ColumnID {
	p := newProjector(q.b, q.node)
	ids := make([]ColumnID, len(q.targets))
	for i, t := range q.targets {
		ids[i] = p.named(t.value, t.name)
	}
	if len(p.items) > 0 {
		q.node = p.finish()
	}
	return ids
}

// limit adds LIMIT and OFFSET.
func (b *binder) limit(s *space, t *parser.Tail, node Node, keys []OrderKey) (Node, error) {
	if t.Limit == nil && t.Offset == nil {
		return node, nil
	}
	bound := func(e parser.Expression, p place) (Scalar, error) {
		if e == nil {
			return nil, nil
		}
		before := s.place
		s.place = p
		v, err := b.scalar(s, e)
		s.place = before
		if err != nil {
			return nil, err
		}
		r, ok, err := b.coerce(v, types.Int8, types.AssignmentCast, leftmost(e))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, b.fail(leftmost(e), pgerror.DatatypeMismatch, "argument of %s must be type bigint, not type %s", p.name, v.Type().String())
		}
		if b.levelOf(s, columnsOf(r)) == s {
			return nil, b.fail(leftmost(e), pgerror.InvalidColumnReference, "argument of %s must not contain variables", p.name)
		}
		if k, ok := r.(*Constant); ok && k.Value.Null {
			return nil, nil
		}
		return r, nil
	}
	offset, err := bound(t.Offset, placeOffset)
	if err != nil {
		return nil, err
	}
	count, err := bound(t.Limit, placeLimit)
	if err != nil {
		return nil, err
	}
	if count == nil && offset == nil {
		return node, nil
	}
	if t.WithTies && len(t.OrderBy) == 0 {
		return nil, pgerror.New(pgerror.Syntax, "WITH TIES cannot be specified without ORDER BY clause")
	}
	l := &Limit{Input: node, Count: count, Offset: offset, WithTies: t.WithTies}
	if t.WithTies {
		l.Keys = keys
	}
	return l, nil
}

// projector collects what is computed above a node.
type projector struct {
	b     *binder
	input Node
	has   columnSet
	items []Item
}

func newProjector(b *binder, input Node) *projector {
	return &projector{b: b, input: input, has: columnSetOf(input.Output()...)}
}

// column returns the column that holds the value of s.
func (p *projector) column(s Scalar) ColumnID { return p.named(s, "") }

func (p *projector) named(s Scalar, name string) ColumnID {
	if v, ok := s.(*Variable); ok && p.has.has(v.ID) {
		return v.ID
	}
	for _, i := range p.items {
		if equalScalar(i.Value, s) && !isVolatile(s) {
			return i.ID
		}
	}
	if name == "" {
		name = "?column?"
	}
	id := p.b.newColumn(name, s.Type(), columnLabel{})
	if v, ok := s.(*Variable); ok {
		p.b.metadata[id-1].Table, p.b.metadata[id-1].Attribute = p.b.metadata[v.ID-1].Table, p.b.metadata[v.ID-1].Attribute
	}
	p.items = append(p.items, Item{ID: id, Value: s})
	return id
}

func (p *projector) orderKeys(keys []sortKey) []OrderKey {
	var out []OrderKey
	for _, k := range keys {
		out = append(out, OrderKey{ID: p.column(k.value), Descending: k.descending, NullsFirst: k.nullsFirst})
	}
	return uniqueKeys(out)
}

// finish returns the input with what was computed; the rest of the input is
// passed on, and cut away later where nobody needs it.
func (p *projector) finish() Node {
	if len(p.items) == 0 {
		return p.input
	}
	return &Project{Input: p.input, Keep: uniqueIDs(p.input.Output()), Items: p.items}
}
