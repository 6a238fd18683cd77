package opt

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// explainer prints a plan.
type explainer struct {
	p     *Plan
	o     ExplainOptions
	stats func(Node) *ActualStats
	// values are the expressions that columns stand for, names the columns of
	// tables with the alias of their scan.
	values map[ColumnID]Scalar
	names  map[ColumnID]string
	// several: more than one relation is read, so columns are qualified.
	several  bool
	subplans []Node
}

// explained is one node as it is printed, in either format.
type explained struct {
	title    string // as in the text format
	kind     string // "Node Type" of the JSON format
	relation string
	index    string
	lines    [][2]string // further properties: name, value
	node     Node
	children []*explained
	// label stands before a child: "CTE x", "SubPlan 1".
	label string
}

func explain(p *Plan, o ExplainOptions, stats func(Node) *ActualStats) []string {
	e := &explainer{p: p, o: o, stats: stats, values: map[ColumnID]Scalar{}, names: map[ColumnID]string{}}
	e.collect(p.Root)
	root := e.node(p.Root)
	if o.JSON {
		return []string{e.json(root)}
	}
	var lines []string
	e.text(root, 0, &lines)
	if o.Summary {
		if o.Planning > 0 {
			lines = append(lines, "Planning Time: "+milliseconds(o.Planning)+" ms")
		}
		if o.Execution > 0 {
			lines = append(lines, "Execution Time: "+milliseconds(o.Execution)+" ms")
		}
	}
	return lines
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
}

// collect finds out what columns stand for.
func (e *explainer) collect(n Node) {
	relations := 0
	var walk func(Node)
	scan := func(t *catalog.Table, columns []TableColumn) {
		relations++
		for _, c := range columns {
			if column := t.Column(c.Column); column != nil {
				e.names[c.ID] = column.Name
			}
		}
	}
	walk = func(n Node) {
		switch x := n.(type) {
		case *Scan:
			scan(x.Table, x.Columns)
		case *VirtualScan:
			scan(x.Table, x.Columns)
		case *IndexJoin:
			scan(x.Table, x.Columns)
			relations--
		case *LookupJoin:
			scan(x.Table, x.Columns)
		case *Project:
			for _, i := range x.Items {
				e.values[i.ID] = i.Value
			}
		}
		nodeScalars(n, func(s Scalar) {
			anyScalar(s, func(x Scalar) bool {
				if q, ok := x.(*Subquery); ok {
					walk(q.Query)
				}
				return false
			})
		})
		for _, in := range n.Inputs() {
			walk(in)
		}
	}
	walk(n)
	e.several = relations > 1
}

// column names a column as conditions print it.
func (e *explainer) column(id ColumnID) string {
	if name, ok := e.names[id]; ok {
		return types.QuoteIdentifier(name)
	}
	if v, ok := e.values[id]; ok {
		if _, self := v.(*Variable); self || !columnsOf(v).has(id) {
			return e.scalar(v)
		}
	}
	if int(id) <= len(e.p.Metadata) && e.p.Metadata[id-1].Name != "" {
		return types.QuoteIdentifier(e.p.Metadata[id-1].Name)
	}
	return fmt.Sprintf("column%d", id)
}

func (e *explainer) scalar(s Scalar) string {
	return Deparse(s, e.column)
}

func (e *explainer) scalars(list []Scalar) string {
	if len(list) == 1 {
		text := e.scalar(list[0])
		if !strings.HasPrefix(text, "(") {
			text = "(" + text + ")"
		}
		return text
	}
	return e.scalar(&And{Arguments: list})
}

func (e *explainer) columns(ids []ColumnID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = e.column(id)
	}
	return strings.Join(names, ", ")
}

func (e *explainer) keys(keys []OrderKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = e.column(k.ID)
		if k.Descending {
			names[i] += " DESC"
		}
		if k.NullsFirst != k.Descending {
			names[i] += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[k.NullsFirst]
		}
	}
	return strings.Join(names, ", ")
}

func (x *explained) add(name, value string) {
	if value != "" {
		x.lines = append(x.lines, [2]string{name, value})
	}
}

// node describes a node and those below.
func (e *explainer) node(n Node) *explained {
	x := &explained{node: n}
	switch v := n.(type) {
	case *Scan:
		e.scanNode(x, v)
	case *VirtualScan:
		x.kind, x.relation = "Seq Scan", v.Table.Name
		x.title = "Seq Scan on " + types.QuoteIdentifier(v.Table.Name)
	case *Values:
		if len(v.Rows) == 1 {
			x.kind, x.title = "Result", "Result"
		} else {
			x.kind, x.title = "Values Scan", "Values Scan"
		}
		if len(v.Rows) == 0 {
			x.kind, x.title = "Result", "Result"
			x.add("One-Time Filter", "false")
		}
	case *FunctionScan:
		x.kind, x.title = "Function Scan", "Function Scan"
		if len(v.Sets) == 1 && v.Sets[0].Function != nil {
			x.title += " on " + v.Sets[0].Function.Name
		}
	case *Filter:
		// PostgreSQL has no filters by themselves: the condition belongs to the
		// node below.
		if in := e.node(v.Input); canFilter(v.Input) {
			in.add("Filter", e.scalars(v.Conditions))
			e.addSubplans(in, v)
			return in
		}
		x.kind, x.title = "Result", "Result"
		x.add("Filter", e.scalars(v.Conditions))
	case *Project:
		in := e.node(v.Input)
		e.addSubplans(in, v)
		return in
	case *Join:
		e.joinNode(x, v)
	case *LookupJoin:
		e.lookupNode(x, v)
		return x
	case *IndexJoin:
		// One index scan, as PostgreSQL sees it.
		in := e.node(v.Input)
		if len(v.Filter) > 0 {
			in.add("Filter", e.scalars(v.Filter))
		}
		in.node = v
		if strings.HasPrefix(in.title, "Index Only Scan") {
			in.kind, in.title = "Index Scan", "Index Scan"+strings.TrimPrefix(in.title, "Index Only Scan")
		}
		return in
	case *Aggregate:
		e.aggregateNode(x, v)
	case *DistinctRows:
		x.kind, x.title = "Aggregate", "HashAggregate"
		if v.Ordered {
			x.kind, x.title = "Unique", "Unique"
		} else {
			x.add("Group Key", e.columns(v.On))
		}
	case *Sort:
		x.kind, x.title = "Sort", "Sort"
		if v.Presorted > 0 {
			x.kind, x.title = "Incremental Sort", "Incremental Sort"
		}
		x.add("Sort Key", e.keys(v.Keys))
		if v.Presorted > 0 {
			x.add("Presorted Key", e.keys(v.Keys[:v.Presorted]))
		}
	case *Limit:
		x.kind, x.title = "Limit", "Limit"
	case *SetOperation:
		e.setNode(x, v)
	case *Window:
		x.kind, x.title = "WindowAgg", "WindowAgg"
	case *ProjectSet:
		x.kind, x.title = "ProjectSet", "ProjectSet"
	case *With:
		return e.withNode(v)
	case *CommonScan:
		x.kind, x.title = "CTE Scan", "CTE Scan on "+types.QuoteIdentifier(v.Table.Name)
	case *WorkScan:
		x.kind, x.title = "WorkTable Scan", "WorkTable Scan on "+types.QuoteIdentifier(v.Work.Name)
	case *RecursiveUnion:
		x.kind, x.title = "Recursive Union", "Recursive Union"
	case *LockRows:
		x.kind, x.title = "LockRows", "LockRows"
	case *Insert:
		x.kind, x.relation = "ModifyTable", v.Table.Name
		x.title = "Insert on " + types.QuoteIdentifier(v.Table.Name)
		e.conflictLines(x, v)
	case *Update:
		x.kind, x.relation = "ModifyTable", v.Table.Name
		x.title = "Update on " + types.QuoteIdentifier(v.Table.Name)
	case *Delete:
		x.kind, x.relation = "ModifyTable", v.Table.Name
		x.title = "Delete on " + types.QuoteIdentifier(v.Table.Name)
	case *Input:
		x.kind, x.title = "Result", "Input"
	default:
		x.kind = strings.TrimPrefix(fmt.Sprintf("%T", n), "*opt.")
		x.title = x.kind
	}
	for _, in := range n.Inputs() {
		x.children = append(x.children, e.node(in))
	}
	e.addSubplans(x, n)
	return x
}

func canFilter(n Node) bool {
	switch n.(type) {
	case *Values, *Sort, *Limit, *SetOperation, *DistinctRows, *With, *LockRows, *RecursiveUnion, *Insert, *Update, *Delete:
		return false
	}
	return true
}

// addSubplans shows the subqueries of a node's expressions.
func (e *explainer) addSubplans(x *explained, n Node) {
	nodeScalars(n, func(s Scalar) {
		var walk func(Scalar)
		walk = func(s Scalar) {
			if q, ok := s.(*Subquery); ok {
				e.subplans = append(e.subplans, q.Query)
				number := len(e.subplans)
				child := e.node(q.Query)
				child.label = fmt.Sprintf("SubPlan %d", number)
				if len(q.Outer) == 0 && q.Kind == One {
					child.label = fmt.Sprintf("InitPlan %d (returns $%d)", number, number-1)
				}
				x.children = append(x.children, child)
			}
			scalarChildren(s, walk)
		}
		walk(s)
	})
}

func (e *explainer) scanNode(x *explained, v *Scan) {
	relation := types.QuoteIdentifier(v.Table.Name)
	x.relation = v.Table.Name
	switch {
	case v.Index == &v.Table.Primary && len(v.Spans) == 0 && !v.Reverse:
		x.kind, x.title = "Seq Scan", "Seq Scan on "+relation
	default:
		x.kind, x.index = "Index Scan", v.Index.Name
		backward := ""
		if v.Reverse {
			backward = "Backward "
		}
		if v.Index.Encoding != catalog.PrimaryEncoding {
			x.kind = "Index Only Scan"
		}
		x.title = x.kind + " " + backward + "using " + types.QuoteIdentifier(v.Index.Name) + " on " + relation
	}
	x.add("Index Cond", e.spans(v))
	if len(v.Filter) > 0 {
		x.add("Filter", e.scalars(v.Filter))
	}
	if v.Limit > 0 && e.o.Verbose {
		x.add("Limit", fmt.Sprint(v.Limit))
	}
	if v.Lock.Strength != 0 && e.o.Verbose {
		x.add("Lock", lockNames[v.Lock.Strength-1])
	}
}

// spans prints what a scan is restricted to.
func (e *explainer) spans(v *Scan) string {
	if len(v.Spans) == 0 {
		return ""
	}
	const shown = 5
	var arms []string
	for i, s := range v.Spans {
		if i == shown {
			arms = append(arms, fmt.Sprintf("… %d more", len(v.Spans)-shown))
			break
		}
		arms = append(arms, e.span(v, s))
	}
	if len(arms) == 1 {
		return arms[0]
	}
	return "(" + strings.Join(arms, " OR ") + ")"
}

func (e *explainer) span(v *Scan, s Span) string {
	var parts []string
	name := func(i int) string {
		c := v.Table.Column(v.Index.Columns[i].Column)
		return types.QuoteIdentifier(c.Name)
	}
	for i, value := range s.Equal {
		if i < len(s.NullEqual) && s.NullEqual[i] {
			parts = append(parts, "("+name(i)+" IS NULL)")
		} else {
			parts = append(parts, "("+name(i)+" = "+e.scalar(value)+")")
		}
	}
	bound := func(b *Bound, strict, inclusive string) {
		if b == nil {
			return
		}
		operator := strict
		if b.Inclusive {
			operator = inclusive
		}
		parts = append(parts, "("+name(len(s.Equal))+" "+operator+" "+e.scalar(b.Value)+")")
	}
	bound(s.Low, ">", ">=")
	bound(s.High, "<", "<=")
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}

func (e *explainer) joinNode(x *explained, v *Join) {
	kind := [...]string{"", "Left ", "Right ", "Full ", "Semi ", "Anti "}[v.Kind]
	name := "Nested Loop"
	switch v.Method {
	case Hash:
		name = "Hash"
	case Merge:
		name = "Merge"
	}
	x.kind = name
	switch {
	case v.Method != NestedLoop:
		x.kind += " Join"
		x.title = name + " " + kind + "Join"
	case kind == "":
		x.title = name
	default:
		x.title = name + " " + kind + "Join"
	}
	if len(v.EqualLeft) > 0 {
		var parts []string
		for i := range v.EqualLeft {
			parts = append(parts, "("+e.column(v.EqualLeft[i])+" = "+e.column(v.EqualRight[i])+")")
		}
		text := strings.Join(parts, " AND ")
		if len(parts) > 1 {
			text = "(" + text + ")"
		}
		x.add(name+" Cond", text)
	}
	if len(v.On) > 0 {
		x.add("Join Filter", e.scalars(v.On))
	}
}

// lookupNode shows a lookup join as PostgreSQL's nested loop with an index scan.
func (e *explainer) lookupNode(x *explained, v *LookupJoin) {
	kind := [...]string{"", "Left ", "Right ", "Full ", "Semi ", "Anti "}[v.Kind]
	x.kind, x.title = "Nested Loop", "Nested Loop"
	if kind != "" {
		x.title = "Nested Loop " + kind + "Join"
	}
	inner := &explained{kind: "Index Scan", relation: v.Table.Name, index: v.Index.Name}
	if v.Index.Encoding != catalog.PrimaryEncoding {
		inner.kind = "Index Only Scan"
	}
	inner.title = inner.kind + " using " + types.QuoteIdentifier(v.Index.Name) + " on " + types.QuoteIdentifier(v.Table.Name)
	var parts []string
	for i, s := range v.Equal {
		c := v.Table.Column(v.Index.Columns[i].Column)
		parts = append(parts, "("+types.QuoteIdentifier(c.Name)+" = "+e.scalar(s)+")")
	}
	text := strings.Join(parts, " AND ")
	if len(parts) > 1 {
		text = "(" + text + ")"
	}
	inner.add("Index Cond", text)
	if len(v.On) > 0 {
		inner.add("Filter", e.scalars(v.On))
	}
	x.children = append(x.children, e.node(v.Input), inner)
}

func (e *explainer) aggregateNode(x *explained, v *Aggregate) {
	x.kind = "Aggregate"
	switch {
	case len(v.GroupBy) == 0 && len(v.GroupingSets) == 0:
		x.title = "Aggregate"
	case v.Ordered:
		x.title = "GroupAggregate"
	default:
		x.title = "HashAggregate"
	}
	if len(v.GroupingSets) > 0 {
		for _, s := range v.GroupingSets {
			if len(s) == 0 {
				x.add("Group Key", "()")
			} else {
				x.add("Group Key", e.columns(s))
			}
		}
		return
	}
	x.add("Group Key", e.columns(v.GroupBy))
}

func (e *explainer) setNode(x *explained, v *SetOperation) {
	switch {
	case v.Operator == Union && v.All:
		x.kind, x.title = "Append", "Append"
	case v.Operator == Union:
		x.kind, x.title = "Aggregate", "HashAggregate"
		x.add("Group Key", e.columns(v.Columns))
	default:
		x.kind, x.title = "SetOp", "HashSetOp "+[...]string{"Union", "Intersect", "Except"}[v.Operator]
		if v.All {
			x.title += " All"
		}
	}
}

func (e *explainer) withNode(v *With) *explained {
	main := e.node(v.Input)
	var tables []*explained
	for _, t := range v.Tables {
		child := e.node(t.Query)
		child.label = "CTE " + types.QuoteIdentifier(t.Name)
		tables = append(tables, child)
	}
	main.children = append(tables, main.children...)
	return main
}

func (e *explainer) conflictLines(x *explained, v *Insert) {
	if v.OnConflict == nil {
		return
	}
	resolution := "NOTHING"
	if v.OnConflict.Update {
		resolution = "UPDATE"
	}
	x.add("Conflict Resolution", resolution)
	var names []string
	for _, ix := range v.OnConflict.Arbiters {
		names = append(names, types.QuoteIdentifier(ix.Name))
	}
	x.add("Conflict Arbiter Indexes", strings.Join(names, ", "))
	if v.OnConflict.Where != nil {
		x.add("Conflict Filter", e.scalars([]Scalar{v.OnConflict.Where}))
	}
}

// text prints a node in the text format, as PostgreSQL indents it.
func (e *explainer) text(x *explained, depth int, lines *[]string) {
	prefix := ""
	if depth > 0 {
		prefix = strings.Repeat(" ", 6*depth-4) + "->  "
	}
	*lines = append(*lines, prefix+x.title+e.costs(x))
	indent := strings.Repeat(" ", 6*depth+2)
	for _, l := range x.lines {
		*lines = append(*lines, indent+l[0]+": "+l[1])
	}
	if e.o.Verbose {
		if x.node != nil {
			if out := e.columns(x.node.Output()); out != "" {
				*lines = append(*lines, indent+"Output: "+out)
			}
		}
	}
	if s := e.actual(x); s != nil {
		for _, l := range s.Extra {
			*lines = append(*lines, indent+l)
		}
	}
	for _, c := range x.children {
		if c.label != "" {
			*lines = append(*lines, indent+c.label)
			inner := len(*lines)
			e.text(c, depth+1, lines)
			// PostgreSQL indents what stands below a label by two more.
			for i := inner; i < len(*lines); i++ {
				(*lines)[i] = "  " + (*lines)[i]
			}
			continue
		}
		e.text(c, depth+1, lines)
	}
}

func (e *explainer) actual(x *explained) *ActualStats {
	if e.stats == nil || x.node == nil {
		return nil
	}
	return e.stats(x.node)
}

func (e *explainer) costs(x *explained) string {
	var b strings.Builder
	if e.o.Costs && x.node != nil {
		est := x.node.Estimated()
		fmt.Fprintf(&b, "  (cost=0.00..%.2f rows=%.0f width=%d)", est.Cost, max(est.Rows, 1), e.width(x.node))
	}
	if !e.o.Analyze {
		return b.String()
	}
	s := e.actual(x)
	if s == nil || s.Loops == 0 {
		b.WriteString(" (never executed)")
		return b.String()
	}
	if e.o.Timing {
		fmt.Fprintf(&b, " (actual time=%s..%s rows=%d loops=%d)", milliseconds(s.Startup), milliseconds(s.Total/time.Duration(s.Loops)), s.Rows/s.Loops, s.Loops)
	} else {
		fmt.Fprintf(&b, " (actual rows=%d loops=%d)", s.Rows/s.Loops, s.Loops)
	}
	return b.String()
}

// width is about how many bytes a row takes.
func (e *explainer) width(n Node) int {
	total := 0
	for _, id := range n.Output() {
		t := e.p.Metadata[id-1].Type
		if t.Size > 0 {
			total += int(t.Size)
		} else {
			total += 32
		}
	}
	return total
}

func (e *explainer) json(root *explained) string {
	var object func(x *explained) map[string]any
	object = func(x *explained) map[string]any {
		m := map[string]any{"Node Type": x.kind}
		if x.relation != "" {
			m["Relation Name"] = x.relation
		}
		if x.index != "" {
			m["Index Name"] = x.index
		}
		if x.label != "" {
			m["Subplan Name"] = x.label
		}
		for _, l := range x.lines {
			m[l[0]] = l[1]
		}
		if x.node != nil && e.o.Costs {
			est := x.node.Estimated()
			m["Startup Cost"], m["Total Cost"], m["Plan Rows"], m["Plan Width"] = 0.0, est.Cost, int64(max(est.Rows, 1)), e.width(x.node)
		}
		if s := e.actual(x); s != nil && e.o.Analyze && s.Loops > 0 {
			m["Actual Rows"], m["Actual Loops"] = s.Rows/s.Loops, s.Loops
			if e.o.Timing {
				m["Actual Startup Time"], m["Actual Total Time"] = s.Startup.Seconds()*1000, s.Total.Seconds()*1000/float64(s.Loops)
			}
		}
		var plans []any
		for _, c := range x.children {
			plans = append(plans, object(c))
		}
		if plans != nil {
			m["Plans"] = plans
		}
		return m
	}
	top := map[string]any{"Plan": object(root)}
	if e.o.Summary {
		if e.o.Planning > 0 {
			top["Planning Time"] = e.o.Planning.Seconds() * 1000
		}
		if e.o.Execution > 0 {
			top["Execution Time"] = e.o.Execution.Seconds() * 1000
		}
	}
	text, err := json.MarshalIndent([]any{top}, "", "  ")
	if err != nil {
		return "[]"
	}
	return string(text)
}
