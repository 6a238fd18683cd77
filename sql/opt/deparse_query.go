package opt

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// trace keeps what the binder made of a tree, to print it again with names and
// types resolved.
type trace struct {
	scalars    map[parser.Expression]Scalar
	calls      map[ColumnID]*parser.Call
	subqueries map[*Subquery]*parser.Subquery
	selects    map[*parser.Select]*tracedSelect
	aggregates map[ColumnID]*aggregateCall
	windows    map[ColumnID]*windowCall
	groupings  map[ColumnID]*groupingCall
	sets       map[ColumnID]SetItem
	relations  map[parser.TableExpression]tracedRelation
}

// tracedSelect is what a SELECT was bound to.
type tracedSelect struct {
	targets []target
	visible int
	where   Scalar
	having  Scalar
	order   []orderKey
	on      []int
	// out is the query's result, with the types that its context gave it.
	out *query
}

// tracedRelation is what a table's name means; nil for one of WITH. columns are
// a function's.
type tracedRelation struct {
	relation catalog.Relation
	columns  []string
	// functions are those of FROM, sets what they were bound to.
	functions []parser.FunctionItem
	sets      []SetItem
}

func newTrace() *trace {
	return &trace{scalars: map[parser.Expression]Scalar{}, calls: map[ColumnID]*parser.Call{}, subqueries: map[*Subquery]*parser.Subquery{},
		selects: map[*parser.Select]*tracedSelect{}, aggregates: map[ColumnID]*aggregateCall{}, windows: map[ColumnID]*windowCall{}, groupings: map[ColumnID]*groupingCall{},
		sets: map[ColumnID]SetItem{}, relations: map[parser.TableExpression]tracedRelation{}}
}

// record keeps a SELECT before it is rewritten for grouping.
func (t *trace) record(q *selection) error {
	s := &tracedSelect{visible: q.visible, where: q.where, having: q.having, order: q.order, on: q.on}
	for i, x := range q.targets {
		if q.options.keepUnknown && i < q.visible {
			s.targets = append(s.targets, x)
			continue
		}
		v, err := q.b.textIfUnknown(x.value, x.position)
		if err != nil {
			return err
		}
		x.value = v
		s.targets = append(s.targets, x)
	}
	t.selects[q.e] = s
	for _, a := range q.s.aggregates {
		t.aggregates[a.id] = a
	}
	for _, w := range q.s.windows {
		t.windows[w.id] = w
	}
	for _, g := range q.s.groupings {
		t.groupings[g.id] = g
	}
	for _, c := range q.s.sets {
		for _, id := range c.item.Columns {
			t.sets[id] = c.item
		}
	}
	return nil
}

// DeparseQuery prints a query as pg_get_viewdef does, without the semicolon:
// with few parentheses, and the names of relations outside the search path
// qualified. With qualify all of them are, and parentheses are everywhere: this
// is how a view's definition is stored. columns, if given, are the names of the
// columns instead of those that the query gives them.
func DeparseQuery(c *Context, query parser.Query, qualify bool, columns ...string) (string, error) {
	b := newBinder(c)
	b.keep = true
	b.trace = newTrace()
	if _, err := b.query(&space{place: placeSelect, top: true}, query, queryOptions{}); err != nil {
		return "", err
	}
	if len(b.parameters) > 0 {
		return "", pgerror.New(pgerror.UndefinedParameter, "there is no parameter $1")
	}
	b.trace.rename(query, columns)
	d := &deparser{pretty: !qualify, lines: true, trace: b.trace, qualify: qualify}
	d.names = func(id ColumnID) string {
		l := b.labels[id-1]
		if l.relation == "" {
			return types.QuoteIdentifier(l.column)
		}
		return types.QuoteIdentifier(l.relation) + "." + types.QuoteIdentifier(l.column)
	}
	d.call = (*deparser).traced
	d.query = (*deparser).sublink
	p := &queryPrinter{deparser: d, binder: b}
	d.printer = p
	var names []string
	if _, ok := query.(*parser.SetOperation); ok {
		names = p.outputNames(query)
	}
	err := p.query(query, names, true)
	return string(d.b), err
}

// rename names the columns of a query.
func (t *trace) rename(q parser.Query, columns []string) {
	for {
		x, ok := q.(*parser.SetOperation)
		if !ok {
			break
		}
		q = x.Left
	}
	if e, ok := q.(*parser.Select); ok && t.selects[e] != nil {
		s := t.selects[e]
		for i := range min(s.visible, len(columns)) {
			s.targets[i].name = columns[i]
		}
	}
}

// queryPrinter prints queries; the first error sticks.
type queryPrinter struct {
	*deparser
	binder *binder
	err    error
}

// names are what the columns are called where the query itself doesn't say;
// visible: they are seen outside, so every name is written.
func (p *queryPrinter) query(q parser.Node, names []string, visible bool) error {
	level := p.level
	switch x := q.(type) {
	case *parser.Select:
		p.with(x.With)
		p.selectQuery(x, names, visible)
	case *parser.SetOperation:
		p.with(x.With)
		p.setOperation(x, names, visible)
		p.setTail(&x.Tail)
	case *parser.Values:
		p.with(x.With)
		p.values(x)
		p.setTail(&x.Tail)
	default:
		p.err = pgerror.Unsupported("this kind of query in a view")
	}
	p.level = level
	return p.err
}

func (p *queryPrinter) with(w *parser.With) {
	if w == nil {
		return
	}
	p.level += indentClause
	p.text(" ")
	separator := "WITH "
	if w.Recursive {
		separator = "WITH RECURSIVE "
	}
	for _, t := range w.Tables {
		p.text(separator + types.QuoteIdentifier(t.Name))
		separator = ", "
		if len(t.Columns) > 0 {
			p.text("(" + quoteAll(t.Columns) + ")")
		}
		p.text(" AS ")
		switch t.Materialized {
		case parser.MaterializeAlways:
			p.text("MATERIALIZED ")
		case parser.MaterializeNever:
			p.text("NOT MATERIALIZED ")
		}
		p.text("(")
		p.keyword("", 0, 0, 0)
		if err := p.query(t.Query, nil, true); err != nil {
			return
		}
		p.keyword("", 0, 0, 0)
		p.text(")")
	}
	p.level -= indentClause
	p.keyword("", 0, 0, 0)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = types.QuoteIdentifier(n)
	}
	return strings.Join(quoted, ", ")
}

// outputNames are the names of a set operation's columns: those of its first
// query.
func (p *queryPrinter) outputNames(q parser.Query) []string {
	for {
		x, ok := q.(*parser.SetOperation)
		if !ok {
			break
		}
		q = x.Left
	}
	e, ok := q.(*parser.Select)
	if !ok || p.trace.selects[e] == nil {
		return nil
	}
	s := p.trace.selects[e]
	var names []string
	for _, t := range s.targets[:s.visible] {
		names = append(names, t.name)
	}
	return names
}

func (p *queryPrinter) selectQuery(e *parser.Select, names []string, visible bool) {
	s := p.trace.selects[e]
	if s == nil {
		p.err = pgerror.New(pgerror.Internal, "a query was not bound")
		return
	}
	p.level += indentClause
	p.text(" SELECT")
	if e.Distinct {
		p.text(" DISTINCT")
	}
	if len(s.on) > 0 {
		p.text(" DISTINCT ON (")
		for i, t := range s.distinctOn() {
			if i > 0 {
				p.text(", ")
			}
			p.sortExpression(s.targets[t].value)
		}
		p.text(")")
	}
	p.targets(s, names, visible)
	p.from(e.From)
	if s.where != nil {
		p.keyword(" WHERE ", -indentClause, indentClause, 1)
		p.expression(s.where, false)
	}
	p.groups(e, s)
	if s.having != nil {
		p.keyword(" HAVING ", -indentClause, indentClause, 0)
		p.expression(s.having, false)
	}
	if len(s.order) > 0 {
		p.keyword(" ORDER BY ", -indentClause, indentClause, 1)
		for i, k := range s.order {
			if i > 0 {
				p.text(", ")
			}
			p.sortExpression(s.targets[k.target].value)
			p.direction(k.descending, k.nullsFirst)
		}
	}
	p.limits(&e.Tail)
	for _, l := range e.Locks {
		p.keyword(" "+lockName(l.Strength), -indentClause, indentClause, 0)
		for i, of := range l.Of {
			p.text(map[bool]string{true: " OF ", false: ", "}[i == 0] + types.QuoteIdentifier(of.Name))
		}
		p.text([...]string{"", " NOWAIT", " SKIP LOCKED"}[l.Wait])
	}
}

func (p *queryPrinter) direction(descending, nullsFirst bool) {
	if descending {
		p.text(" DESC")
	}
	if nullsFirst != descending {
		p.text(map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[nullsFirst])
	}
}

// sortExpression prints a key of ORDER BY, GROUP BY or DISTINCT ON.
func (p *queryPrinter) sortExpression(s Scalar) {
	if v, ok := s.(*Variable); ok && !p.isCall(v.ID) {
		p.expression(s, true)
		return
	}
	if k, ok := s.(*Constant); ok {
		// A bare number would be a position.
		p.constant(k, false)
		p.text("::" + k.T.String())
		return
	}
	call, isCall := s.(*Call)
	_, isVariable := s.(*Variable)
	parentheses := p.pretty || isCall && !isOperatorCall(call) || isVariable
	if parentheses {
		p.text("(")
	}
	p.expression(s, true)
	if parentheses {
		p.text(")")
	}
}

func (d *deparser) isCall(id ColumnID) bool {
	if d.trace == nil {
		return false
	}
	_, set := d.trace.sets[id]
	return d.trace.aggregates[id] != nil || d.trace.windows[id] != nil || d.trace.groupings[id] != nil || set
}

// distinctOn are the targets of DISTINCT ON, those of ORDER BY first.
func (s *tracedSelect) distinctOn() []int {
	var out []int
	for _, k := range s.order {
		if slices.Contains(s.on, k.target) {
			out = append(out, k.target)
		}
	}
	for _, t := range s.on {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

func (p *queryPrinter) targets(s *tracedSelect, names []string, visible bool) {
	list := s.targets[:s.visible]
	separator := " "
	for i, t := range list {
		p.text(separator)
		separator = ", "
		value := t.value
		if s.out != nil && isUnknown(value) && s.out.columns[i].value != nil {
			value = s.out.columns[i].value
		}
		printed := p.deparser.b
		p.deparser.b = nil
		p.expression(value, true)
		name, own := t.name, noName
		if i < len(names) {
			name = names[i]
		}
		if v, ok := value.(*Variable); ok && !p.isCall(v.ID) {
			own = p.binder.labels[v.ID-1].column
		} else if visible {
			own = ""
		}
		if name != own {
			p.text(" AS " + types.QuoteIdentifier(name))
		}
		text := string(p.deparser.b)
		p.deparser.b = printed
		if !strings.HasPrefix(text, "\n") && i > 0 {
			p.keyword("", -indentClause, indentClause, indentColumn)
		} else if strings.HasPrefix(text, "\n") {
			p.deparser.b = bytes.TrimRight(p.deparser.b, " ")
		}
		p.text(text)
	}
}

func (p *queryPrinter) groups(e *parser.Select, s *tracedSelect) {
	if len(e.GroupBy) == 0 {
		return
	}
	p.keyword(" GROUP BY ", -indentClause, indentClause, 1)
	if e.GroupByDistinct {
		p.text("DISTINCT ")
	}
	for i, g := range e.GroupBy {
		if i > 0 {
			p.text(", ")
		}
		p.group(g, s)
	}
}

func (p *queryPrinter) group(e parser.Expression, s *tracedSelect) {
	list := func(items []parser.Expression) {
		p.text("(")
		for i, x := range items {
			if i > 0 {
				p.text(", ")
			}
			p.group(x, s)
		}
		p.text(")")
	}
	switch x := e.(type) {
	case *parser.GroupingSet:
		if x.Kind == parser.SetsGroupingSet {
			p.groupingSets(x, s)
			return
		}
		p.text([...]string{"", "", "ROLLUP", "CUBE", "GROUPING SETS "}[x.Kind])
		list(x.Elements)
		return
	case *parser.Row:
		if !x.Explicit {
			list(x.Elements)
			return
		}
	case *parser.Constant:
		if x.Kind == parser.IntegerConstant && int(x.Int) >= 1 && int(x.Int) <= s.visible {
			p.sortExpression(s.targets[x.Int-1].value)
			return
		}
	}
	if v := p.trace.scalars[e]; v != nil {
		p.sortExpression(v)
		return
	}
	if r, ok := e.(*parser.ColumnReference); ok && len(r.Names) == 1 {
		for _, t := range s.targets[:s.visible] {
			if t.name == r.Names[0] {
				p.sortExpression(t.value)
				return
			}
		}
	}
	p.err = pgerror.Unsupported("this GROUP BY in a view")
}

// groupingSets prints GROUPING SETS, where each set stands in parentheses.
func (p *queryPrinter) groupingSets(x *parser.GroupingSet, s *tracedSelect) {
	p.text("GROUPING SETS (")
	for i, e := range x.Elements {
		if i > 0 {
			p.text(", ")
		}
		switch e.(type) {
		case *parser.GroupingSet, *parser.Row:
			p.group(e, s)
		default:
			p.text("(")
			p.group(e, s)
			p.text(")")
		}
	}
	p.text(")")
}

func (p *queryPrinter) limits(t *parser.Tail) {
	if t.Offset != nil {
		p.keyword(" OFFSET ", -indentClause, indentClause, 0)
		p.expression(p.trace.scalars[t.Offset], false)
	}
	if t.Limit == nil {
		return
	}
	if t.WithTies {
		p.keyword(" FETCH FIRST ", -indentClause, indentClause, 0)
		p.text("(")
		p.expression(p.trace.scalars[t.Limit], false)
		p.text(") ROWS WITH TIES")
		return
	}
	p.keyword(" LIMIT ", -indentClause, indentClause, 0)
	p.expression(p.trace.scalars[t.Limit], false)
}

// setTail prints ORDER BY of a set operation, by position, and LIMIT.
func (p *queryPrinter) setTail(t *parser.Tail) {
	for i, o := range t.OrderBy {
		if i == 0 {
			p.keyword(" ORDER BY ", -indentClause, indentClause, 1)
		} else {
			p.text(", ")
		}
		switch x := o.Expression.(type) {
		case *parser.ColumnReference:
			p.text(quoteAll(x.Names))
		case *parser.Constant:
			p.text(strconv.Itoa(int(x.Int)))
		}
		p.direction(o.Descending, o.NullsFirst)
	}
	p.limits(t)
}

func (p *queryPrinter) values(x *parser.Values) {
	p.text(" VALUES ")
	for i, r := range x.Rows {
		if i > 0 {
			p.text(", ")
		}
		p.text("(")
		for j, e := range r {
			if j > 0 {
				p.text(",")
			}
			v, err := p.binder.textIfUnknown(p.trace.scalars[e], parser.NoPosition)
			if err != nil {
				p.err = err
				return
			}
			p.expression(v, false)
		}
		p.text(")")
	}
}

func (p *queryPrinter) setOperation(x *parser.SetOperation, names []string, visible bool) {
	left, isSet := x.Left.(*parser.SetOperation)
	if isSet && !hasTail(left) && (left.Operator != x.Operator || left.All != x.All) {
		p.text("(")
		p.keyword("", indentClause, 0, 0)
		p.setOperation(left, names, visible)
		p.keyword(") ", -indentClause, 0, 0)
	} else {
		p.operand(x.Left, names, visible)
		p.keyword("", 0, 0, 0)
	}
	p.text(setOperatorNames[x.Operator] + " ")
	if x.All {
		p.text("ALL ")
	}
	if right, ok := x.Right.(*parser.SetOperation); ok && !hasTail(right) {
		p.text("(")
		p.keyword("", indentClause, 0, 0)
		p.setOperation(right, names, false)
		p.level -= indentClause
		p.keyword(")", 0, 0, 0)
		return
	}
	p.keyword("", 0, 0, 0)
	p.operand(x.Right, names, false)
}

// operand prints one side of a set operation; clauses of its own put it in
// parentheses.
func (p *queryPrinter) operand(q parser.Query, names []string, visible bool) {
	if inner, ok := q.(*parser.SetOperation); ok && !hasTail(q) {
		p.setOperation(inner, names, visible)
		return
	}
	if hasTail(q) {
		p.text("(")
	}
	if p.query(q, names, visible) != nil {
		return
	}
	if hasTail(q) {
		p.text(")")
	}
}

func hasTail(q parser.Query) bool {
	tail := func(w *parser.With, t *parser.Tail) bool {
		return w != nil || len(t.OrderBy) > 0 || t.Limit != nil || t.Offset != nil || len(t.Locks) > 0
	}
	switch x := q.(type) {
	case *parser.Select:
		return tail(x.With, &x.Tail)
	case *parser.SetOperation:
		return tail(x.With, &x.Tail)
	case *parser.Values:
		return tail(x.With, &x.Tail)
	}
	return false
}

// traced prints the call whose result a column is.
func (d *deparser) traced(id ColumnID) bool {
	if a := d.trace.aggregates[id]; a != nil {
		d.aggregate(a)
		return true
	}
	if w := d.trace.windows[id]; w != nil {
		d.windowCall(w)
		return true
	}
	if g := d.trace.groupings[id]; g != nil {
		d.text("GROUPING(")
		d.list(g.arguments, true)
		d.text(")")
		return true
	}
	if s, ok := d.trace.sets[id]; ok {
		d.function(&Call{Function: s.Function, Arguments: s.Arguments})
		return true
	}
	return false
}

func (d *deparser) aggregate(a *aggregateCall) {
	d.text(types.QuoteIdentifier(a.function.Name) + "(")
	if a.distinct {
		d.text("DISTINCT ")
	}
	keys := func() {
		d.text("ORDER BY ")
		d.sortKeys(a.order)
	}
	switch {
	case a.call.WithinGroup:
		d.list(a.direct, true)
		d.text(") WITHIN GROUP (")
		keys()
	case a.call.Star:
		d.text("*")
	default:
		d.list(a.arguments, true)
		if len(a.order) > 0 {
			d.text(" ")
			keys()
		}
	}
	d.text(")")
	if a.filter != nil {
		d.text(" FILTER (WHERE ")
		d.expression(a.filter, false)
		d.text(")")
	}
}

func (d *deparser) sortKeys(keys []sortKey) {
	for i, k := range keys {
		if i > 0 {
			d.text(", ")
		}
		d.printer.sortExpression(k.value)
		d.printer.direction(k.descending, k.nullsFirst)
	}
}

func (d *deparser) windowCall(w *windowCall) {
	d.text(types.QuoteIdentifier(w.function.Name) + "(")
	if w.call.Star {
		d.text("*")
	}
	d.list(w.arguments, true)
	d.text(")")
	if w.filter != nil {
		d.text(" FILTER (WHERE ")
		d.expression(w.filter, false)
		d.text(")")
	}
	d.text(" OVER (")
	separator := ""
	if len(w.partition) > 0 {
		d.text("PARTITION BY ")
		for i, x := range w.partition {
			if i > 0 {
				d.text(", ")
			}
			d.printer.sortExpression(x)
		}
		separator = " "
	}
	if len(w.order) > 0 {
		d.text(separator + "ORDER BY ")
		d.sortKeys(w.order)
		separator = " "
	}
	if f := w.frame; f.Mode != RangeFrame || f.Start.Kind != UnboundedPreceding || f.End.Kind != CurrentRow || f.Exclude != ExcludeNone {
		d.text(separator + [...]string{"RANGE", "ROWS", "GROUPS"}[f.Mode] + " BETWEEN ")
		d.frameBound(f.Start)
		d.text(" AND ")
		d.frameBound(f.End)
		d.text([...]string{"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"}[f.Exclude])
	}
	d.text(")")
}

func (d *deparser) frameBound(b FrameBound) {
	if b.Offset != nil {
		d.expression(b.Offset, false)
		d.text(" ")
	}
	d.text([...]string{"UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"}[b.Kind])
}

// sublink prints a subquery within an expression.
func (d *deparser) sublink(x *Subquery) {
	e := d.trace.subqueries[x]
	if e == nil {
		d.printer.err = pgerror.Unsupported("this subquery in a view")
		return
	}
	if x.Kind == Rows {
		d.text("ARRAY")
	}
	d.text("(")
	if len(x.Left) > 0 {
		if len(x.Left) > 1 {
			d.text("(")
		}
		d.list(x.Left, true)
		if len(x.Left) > 1 {
			d.text(")")
		}
	}
	parentheses := true
	switch x.Kind {
	case Exists:
		d.text("EXISTS ")
	case Any:
		if e.Operator == "=" {
			d.text(" IN ")
		} else {
			d.text(" " + e.Operator + " ANY ")
		}
	case All:
		d.text(" " + e.Operator + " ALL ")
	default:
		parentheses = false
	}
	if parentheses {
		d.text("(")
	}
	if d.printer.query(e.Query, nil, false) != nil {
		return
	}
	d.text(")")
	if parentheses {
		d.text(")")
	}
}
