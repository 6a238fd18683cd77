package opt

import (
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// aggregateCall is a call of an aggregate, over the rows of its query level.
type aggregateCall struct {
	id        ColumnID
	function  *types.Bound
	arguments []Scalar
	direct    []Scalar
	distinct  bool
	order     []sortKey
	filter    Scalar
	call      *parser.Call
}

// windowCall is a call of a window function.
type windowCall struct {
	id        ColumnID
	function  *types.Bound
	arguments []Scalar
	filter    Scalar
	partition []Scalar
	order     []sortKey
	frame     Frame
	call      *parser.Call
}

// setCall is a call of a set-returning function in a select list.
type setCall struct {
	item  SetItem
	level int // sets in arguments of sets come first
}

// groupingCall is GROUPING(…).
type groupingCall struct {
	id        ColumnID
	arguments []Scalar
	positions []parser.Position
}

// sortKey is a key of an ORDER BY before it has a column.
type sortKey struct {
	value      Scalar
	descending bool
	nullsFirst bool
}

// call binds a call of any kind of function.
func (b *binder) call(s *space, e *parser.Call) (Scalar, error) {
	name, err := b.functionName(e)
	if err != nil {
		return nil, err
	}
	isAggregate, isWindow := functionKinds(name)
	if e.Over == nil && isAggregate && !isWindow {
		return b.aggregate(s, name, e)
	}
	if e.Over != nil {
		return b.window(s, name, e)
	}
	arguments, bound, err := b.bindCall(s, name, e)
	if err != nil {
		return nil, err
	}
	switch bound.Kind {
	case types.AggregateFunction:
		return b.aggregate(s, name, e)
	case types.WindowFunction:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "window function %s requires an OVER clause", name)
	}
	switch {
	case e.Star:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "%s(*) specified, but %s is not an aggregate function", name, name)
	case e.Distinct:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "DISTINCT specified, but %s is not an aggregate function", name)
	case e.WithinGroup:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "WITHIN GROUP specified, but %s is not an aggregate function", name)
	case len(e.OrderBy) > 0:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "ORDER BY specified, but %s is not an aggregate function", name)
	case e.Filter != nil:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "FILTER specified, but %s is not an aggregate function", name)
	}
	if bound.Kind == types.SetFunction {
		return b.setInList(s, name, e, bound, arguments)
	}
	return b.fold(&Call{Function: bound, Arguments: arguments, Position: b.at(e.Position)}), nil
}

// functionName checks a function's qualification.
func (b *binder) functionName(e *parser.Call) (string, error) {
	name := e.Names[len(e.Names)-1]
	if len(e.Names) > 1 {
		schema := e.Names[len(e.Names)-2]
		if schema != "pg_catalog" && schema != "information_schema" {
			return "", b.fail(e.Position, pgerror.UndefinedFunction, "function %s.%s does not exist", schema, name).
				WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
		}
	}
	return name, nil
}

// functionKinds tells whether a name has aggregates and whether it has others.
func functionKinds(name string) (aggregate, other bool) {
	for _, o := range types.Functions(name) {
		if o.Kind == types.AggregateFunction {
			aggregate = true
		} else {
			other = true
		}
	}
	return aggregate, other
}

// bindCall binds the arguments and finds the function.
func (b *binder) bindCall(s *space, name string, e *parser.Call) ([]Scalar, *types.Bound, error) {
	values, at, err := b.scalars(s, e.Arguments)
	if err != nil {
		return nil, nil, err
	}
	return b.resolveCall(name, e, values, at)
}

func (b *binder) resolveCall(name string, e *parser.Call, values []Scalar, at []parser.Position) ([]Scalar, *types.Bound, error) {
	ts := make([]*types.T, len(values))
	for i, v := range values {
		ts[i] = v.Type()
	}
	bound, err := types.ResolveFunction(name, ts, e.ArgumentNames, e.Variadic)
	if err != nil {
		return nil, nil, b.positioned(err, e.Position)
	}
	arguments := make([]Scalar, len(bound.Args))
	for i, t := range bound.Args {
		from := i
		if bound.Order != nil {
			from = bound.Order[i]
		}
		if from < 0 {
			arguments[i] = &Constant{Value: bound.Default[i], T: t}
			continue
		}
		if from >= len(values) {
			return nil, nil, b.fail(e.Position, pgerror.Internal, "function %s was bound to arguments that it was not given", name)
		}
		if arguments[i], err = b.mustCoerce(values[from], t, types.ImplicitCast, at[from]); err != nil {
			return nil, nil, err
		}
		// A parameter in a place that takes any type is text.
		if p, ok := arguments[i].(*Parameter); ok && p.T.OID == types.UnknownOID {
			if arguments[i], err = b.parameterAs(p, types.Text, at[from]); err != nil {
				return nil, nil, err
			}
		}
	}
	return arguments, bound, nil
}

// aggregate binds a call of an aggregate without OVER.
func (b *binder) aggregate(s *space, name string, e *parser.Call) (Scalar, error) {
	if s.insideAggregate {
		return nil, b.fail(e.Position, pgerror.Grouping, "aggregate function calls cannot be nested")
	}
	agg := &aggregateCall{distinct: e.Distinct, call: e}
	err := b.aggregateParts(s, name, e, agg)
	if err != nil {
		return nil, err
	}
	// It belongs to the innermost level whose columns it uses.
	used := columnsOf(agg.arguments...)
	addColumns(&used, agg.filter)
	level := b.levelOf(s, used)
	if level == nil {
		level = s
	}
	if !level.place.aggregates {
		return nil, b.fail(e.Position, pgerror.Grouping, "aggregate functions are not allowed in %s", level.place.name)
	}
	if slices.ContainsFunc(level.mentioned, func(r *relation) bool { return r.recursive }) {
		return nil, b.fail(e.Position, pgerror.InvalidRecursion, "aggregate functions are not allowed in a recursive query's recursive term")
	}
	if level.insideAggregate && level != s {
		return nil, b.fail(e.Position, pgerror.Grouping, "aggregate function calls cannot be nested")
	}
	for _, id := range used.ids() {
		l := b.labels[id-1]
		if l.aggregate && l.space == level {
			return nil, b.fail(e.Position, pgerror.Grouping, "aggregate function calls cannot be nested")
		}
		if l.window && l.space == level {
			return nil, b.fail(e.Position, pgerror.Grouping, "aggregate function calls cannot contain window function calls")
		}
	}
	for _, o := range level.aggregates {
		if sameAggregate(o, agg) {
			return b.variable(o.id), nil
		}
	}
	agg.id = b.newColumn(name, agg.function.Return, columnLabel{space: level, aggregate: true})
	level.aggregates = append(level.aggregates, agg)
	if b.trace != nil {
		b.trace.calls[agg.id] = e
	}
	return b.variable(agg.id), nil
}

func sameAggregate(a, c *aggregateCall) bool {
	if !sameFunction(a.function, c.function) || a.distinct != c.distinct || len(a.order) != len(c.order) || !equalScalar(a.filter, c.filter) ||
		!equalLists(a.arguments, c.arguments) || !equalLists(a.direct, c.direct) {
		return false
	}
	for i := range a.order {
		if !equalScalar(a.order[i].value, c.order[i].value) || a.order[i].descending != c.order[i].descending || a.order[i].nullsFirst != c.order[i].nullsFirst {
			return false
		}
	}
	return !slices.ContainsFunc(a.arguments, isVolatile)
}

// aggregateParts binds what stands within an aggregate call.
func (b *binder) aggregateParts(s *space, name string, e *parser.Call, agg *aggregateCall) error {
	sets := len(s.sets)
	outer := s.insideAggregate
	s.insideAggregate = true
	defer func() { s.insideAggregate = outer }()
	if e.Star && len(e.Arguments) == 0 {
		bound, err := types.ResolveFunction(name, nil, nil, false)
		if err != nil {
			return b.fail(e.Position, pgerror.UndefinedFunction, "function %s() does not exist", name).
				WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
		}
		agg.function = bound
	} else if len(e.Arguments) == 0 && !e.WithinGroup {
		return b.fail(e.Position, pgerror.WrongObjectType, "%s(*) must be used to call a parameterless aggregate function", name)
	} else if err := b.aggregateArguments(s, name, e, agg); err != nil {
		return err
	}
	if agg.function.Kind != types.AggregateFunction {
		return b.fail(e.Position, pgerror.WrongObjectType, "%s is not an aggregate function", name)
	}
	if e.Filter != nil {
		err := s.within(placeFilter, func() (err error) {
			agg.filter, err = b.boolean(s, e.Filter, "FILTER")
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(s.sets) > sets {
		return b.fail(setPosition(e), pgerror.FeatureNotSupported, "aggregate function calls cannot contain set-returning function calls").
			WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
	}
	return nil
}

// setPosition is the place of the first call among a call's arguments.
func setPosition(e *parser.Call) parser.Position {
	for _, a := range e.Arguments {
		if c, ok := a.(*parser.Call); ok {
			return c.Position
		}
	}
	return e.Position
}

func (b *binder) aggregateArguments(s *space, name string, e *parser.Call, agg *aggregateCall) error {
	values, at, err := b.scalars(s, e.Arguments)
	if err != nil {
		return err
	}
	var order []sortKey
	for _, o := range e.OrderBy {
		v, err := b.scalar(s, o.Expression)
		if err != nil {
			return err
		}
		if o.Using != "" {
			if o.Descending, err = b.usingDirection(o); err != nil {
				return err
			}
			o.NullsFirst = o.Descending
		}
		if !e.WithinGroup {
			if v, err = b.textIfUnknown(v, leftmost(o.Expression)); err != nil {
				return err
			}
		}
		order = append(order, sortKey{value: v, descending: o.Descending, nullsFirst: o.NullsFirst})
	}
	if e.WithinGroup {
		// The aggregated arguments follow the direct ones.
		direct := len(values)
		for i, k := range order {
			values = append(values, k.value)
			at = append(at, leftmost(e.OrderBy[i].Expression))
		}
		arguments, bound, err := b.resolveCall(name, e, values, at)
		if err != nil {
			return err
		}
		if bound.OrderedSetArgs < 0 {
			return b.fail(e.Position, pgerror.WrongObjectType, "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", name)
		}
		direct = min(direct, len(arguments))
		agg.function, agg.direct, agg.arguments = bound, arguments[:direct], arguments[direct:]
		for i := range order {
			if direct+i < len(arguments) {
				order[i].value = arguments[direct+i]
			}
		}
		agg.order = order
		return nil
	}
	arguments, bound, err := b.resolveCall(name, e, values, at)
	if err != nil {
		return err
	}
	if bound.WithinGroup {
		return b.fail(e.Position, pgerror.WrongObjectType, "WITHIN GROUP is required for ordered-set aggregate %s", name)
	}
	for i := range arguments {
		if arguments[i], err = b.textIfUnknown(arguments[i], e.Position); err != nil {
			return err
		}
	}
	agg.function, agg.arguments, agg.order = bound, arguments, order
	if agg.distinct {
		for i, k := range order {
			if !slices.ContainsFunc(arguments, func(a Scalar) bool { return equalScalar(a, k.value) }) {
				return b.fail(leftmost(e.OrderBy[i].Expression), pgerror.InvalidColumnReference, "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list")
			}
		}
	}
	return nil
}

// usingDirection turns ORDER BY … USING into a direction.
func (b *binder) usingDirection(o parser.OrderItem) (bool, error) {
	switch o.Using {
	case "<":
		return false, nil
	case ">":
		return true, nil
	}
	return false, b.fail(o.UsingPosition, pgerror.WrongObjectType, "operator %s is not a valid ordering operator", o.Using).
		WithHint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
}

// grouping binds GROUPING(…).
func (b *binder) grouping(s *space, e *parser.Grouping) (Scalar, error) {
	if !s.place.aggregates {
		return nil, b.fail(e.Position, pgerror.Grouping, "grouping operations are not allowed in %s", s.place.name)
	}
	if len(e.Arguments) > 31 {
		return nil, b.fail(e.Position, pgerror.TooManyArguments, "GROUPING must have fewer than 32 arguments")
	}
	list, at, err := b.scalars(s, e.Arguments)
	if err != nil {
		return nil, err
	}
	g := &groupingCall{arguments: list, positions: at}
	g.id = b.newColumn("grouping", types.Int4, columnLabel{space: s, aggregate: true})
	s.groupings = append(s.groupings, g)
	return b.variable(g.id), nil
}

// window binds a call with OVER.
func (b *binder) window(s *space, name string, e *parser.Call) (Scalar, error) {
	switch {
	case e.WithinGroup:
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "OVER is not supported for ordered-set aggregate %s", name)
	case e.Distinct:
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "DISTINCT is not implemented for window functions")
	case len(e.OrderBy) > 0:
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "aggregate ORDER BY is not implemented for window functions")
	case s.insideAggregate:
		return nil, b.fail(e.Position, pgerror.Grouping, "aggregate function calls cannot contain window function calls")
	case s.insideWindow:
		return nil, b.fail(e.Position, pgerror.WindowingError, "window function calls cannot be nested")
	case strings.HasPrefix(s.place.name, "window "):
		return nil, b.fail(e.Position, pgerror.WindowingError, "window functions are not allowed in window definitions")
	case !s.place.windows:
		return nil, b.fail(e.Position, pgerror.WindowingError, "window functions are not allowed in %s", s.place.name)
	}
	w := &windowCall{call: e}
	s.insideWindow = true
	defer func() { s.insideWindow = false }()
	sets := len(s.sets)
	var err error
	if e.Star && len(e.Arguments) == 0 {
		w.function, err = types.ResolveFunction(name, nil, nil, false)
		err = b.positioned(err, e.Position)
	} else {
		w.arguments, w.function, err = b.bindCall(s, name, e)
	}
	switch {
	case err != nil:
		return nil, err
	case w.function.WithinGroup:
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "OVER is not supported for ordered-set aggregate %s", name)
	case w.function.Kind == types.AggregateFunction && len(e.Arguments) == 0 && !e.Star:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "%s(*) must be used to call a parameterless aggregate function", name)
	}
	for i := range w.arguments {
		if w.arguments[i], err = b.textIfUnknown(w.arguments[i], e.Position); err != nil {
			return nil, err
		}
	}
	if len(s.sets) > sets {
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "window function calls cannot contain set-returning function calls")
	}
	switch w.function.Kind {
	case types.AggregateFunction, types.WindowFunction:
	default:
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "OVER specified, but %s is not a window function nor an aggregate function", name)
	}
	if e.Filter != nil {
		if w.function.Kind == types.WindowFunction {
			return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "FILTER is not implemented for non-aggregate window functions")
		}
		if w.filter, err = b.boolean(s, e.Filter, "FILTER"); err != nil {
			return nil, err
		}
	}
	if err := b.windowDefinition(s, e.Over, w, map[string]bool{}); err != nil {
		return nil, err
	}
	w.id = b.newColumn(name, w.function.Return, columnLabel{space: s, window: true})
	s.windows = append(s.windows, w)
	if b.trace != nil {
		b.trace.calls[w.id] = e
	}
	return b.variable(w.id), nil
}

// windowDefinition fills in the window of a call: its own parts and those of
// the window that it refers to.
func (b *binder) windowDefinition(s *space, d *parser.Window, w *windowCall, seen map[string]bool) error {
	// OVER name uses a window as it is; OVER (name …) extends it.
	if reference := d.Reference; reference != "" || d.Name != "" && len(seen) == 0 && d.PartitionBy == nil && d.OrderBy == nil && d.Frame == nil {
		whole := reference == ""
		if whole {
			reference = d.Name
		}
		i := slices.IndexFunc(s.named, func(n *parser.Window) bool { return n.Name == reference })
		if i < 0 || seen[reference] {
			return b.fail(d.Position, pgerror.UndefinedObject, "window %q does not exist", reference)
		}
		seen[reference] = true
		if err := b.windowDefinition(s, s.named[i], w, seen); err != nil {
			return err
		}
		if whole {
			return nil
		}
		switch {
		case len(d.PartitionBy) > 0:
			return b.fail(d.Position, pgerror.WindowingError, "cannot override PARTITION BY clause of window %q", reference)
		case len(d.OrderBy) > 0 && len(w.order) > 0:
			return b.fail(d.Position, pgerror.WindowingError, "cannot override ORDER BY clause of window %q", reference)
		case s.named[i].Frame != nil:
			return b.fail(d.Position, pgerror.WindowingError, "cannot copy window %q because it has a frame clause", reference)
		}
	}
	place, inside := s.place, s.insideWindow
	s.place, s.insideWindow = placePartition, false
	defer func() { s.place, s.insideWindow = place, inside }()
	for _, e := range d.PartitionBy {
		v, err := b.scalar(s, e)
		if err != nil {
			return err
		}
		if v, err = b.textIfUnknown(v, leftmost(e)); err != nil {
			return err
		}
		w.partition = append(w.partition, v)
	}
	for _, o := range d.OrderBy {
		v, err := b.scalar(s, o.Expression)
		if err != nil {
			return err
		}
		if v, err = b.textIfUnknown(v, leftmost(o.Expression)); err != nil {
			return err
		}
		if o.Using != "" {
			if o.Descending, err = b.usingDirection(o); err != nil {
				return err
			}
			o.NullsFirst = o.Descending
		}
		w.order = append(w.order, sortKey{value: v, descending: o.Descending, nullsFirst: o.NullsFirst})
	}
	w.frame = Frame{End: FrameBound{Kind: CurrentRow}}
	if d.Frame == nil {
		return nil
	}
	return b.frame(s, d, w)
}

func (b *binder) frame(s *space, d *parser.Window, w *windowCall) error {
	f := d.Frame
	w.frame = Frame{Mode: FrameMode(f.Mode), Exclude: FrameExclusion(f.Exclude)}
	names := [...]string{"RANGE", "ROWS", "GROUPS"}
	bound := func(p parser.FrameBound) (FrameBound, error) {
		out := FrameBound{Kind: BoundKind(p.Kind)}
		if p.Offset == nil {
			return out, nil
		}
		s.place = place{"window " + names[f.Mode], false, false, false}
		v, err := b.scalar(s, p.Offset)
		if err != nil {
			return out, err
		}
		if !columnsOf(v).empty() {
			return out, b.fail(leftmost(p.Offset), pgerror.InvalidColumnReference, "argument of %s must not contain variables", names[f.Mode])
		}
		want := types.Int8
		if f.Mode == parser.RangeFrame {
			if len(w.order) != 1 {
				return out, b.fail(d.Position, pgerror.WindowingError, "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
			}
			ordered := w.order[0].value.Type().WithTypmod(-1)
			if ordered.OID == types.VarcharOID {
				ordered = types.Text
			}
			want = rangeOffsetType(ordered, v.Type())
			switch {
			case want != nil:
			case rangeOffsetType(ordered, types.Unknown) == nil:
				return out, b.fail(leftmost(p.Offset), pgerror.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s", ordered.String())
			default:
				return out, b.fail(leftmost(p.Offset), pgerror.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and offset type %s",
					ordered.String(), v.Type().WithTypmod(-1).String()).WithHint("Cast the offset value to an appropriate type.")
			}
		}
		r, ok, err := b.coerce(v, want, types.AssignmentCast, leftmost(p.Offset))
		if err == nil && !ok {
			err = b.fail(leftmost(p.Offset), pgerror.DatatypeMismatch, "argument of %s must be type %s, not type %s", names[f.Mode], want.String(), v.Type().String())
		}
		out.Offset = r
		return out, err
	}
	if f.Mode == parser.GroupsFrame && len(w.order) == 0 {
		return b.fail(d.Position, pgerror.WindowingError, "GROUPS mode requires an ORDER BY clause")
	}
	var err error
	if w.frame.Start, err = bound(f.Start); err != nil {
		return err
	}
	w.frame.End, err = bound(f.End)
	return err
}

// rangeOffsetType is the type of a RANGE offset over a column of type t, nil if
// there is none.
func rangeOffsetType(t, offset *types.T) *types.T {
	switch t.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID:
		return types.Int8
	case types.Float4OID, types.Float8OID:
		return types.Float8
	case types.NumericOID:
		return types.Numeric
	case types.DateOID, types.TimestampOID, types.TimestampTZOID, types.TimeOID, types.TimeTZOID, types.IntervalOID:
		if offset.OID == types.UnknownOID || offset.OID == types.IntervalOID {
			return types.Interval
		}
	}
	return nil
}

// setInList binds a set-returning function in a select list: the values come
// from a ProjectSet below.
func (b *binder) setInList(s *space, name string, e *parser.Call, bound *types.Bound, arguments []Scalar) (Scalar, error) {
	if !s.place.sets {
		return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "set-returning functions are not allowed in %s", s.place.name)
	}
	call := &setCall{item: SetItem{Function: bound, Arguments: arguments}}
	used := columnsOf(arguments...)
	for _, o := range s.sets {
		if used.intersects(columnSetOf(o.item.Columns...)) {
			call.level = max(call.level, o.level+1)
		}
	}
	s.sets = append(s.sets, call)
	if len(bound.ReturnTypes) > 1 {
		var fields []types.Field
		var values []Scalar
		for i, t := range bound.ReturnTypes {
			id := b.newColumn(bound.ReturnNames[i], t, columnLabel{space: s, aggregate: true})
			call.item.Columns = append(call.item.Columns, id)
			fields = append(fields, types.Field{Name: bound.ReturnNames[i], Type: t})
			values = append(values, b.variable(id))
		}
		return &RowOf{Fields: values, T: rowType(fields)}, nil
	}
	t := bound.Return
	if len(bound.ReturnTypes) == 1 {
		t = bound.ReturnTypes[0]
	}
	id := b.newColumn(name, t, columnLabel{space: s, aggregate: true})
	call.item.Columns = []ColumnID{id}
	if b.trace != nil {
		b.trace.calls[id] = e
	}
	return b.variable(id), nil
}
