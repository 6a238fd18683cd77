package opt

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// scalar binds an expression. Untyped literals and parameters that its own
// structure gives no type stay of type unknown.
func (b *binder) scalar(s *space, e parser.Expression) (Scalar, error) {
	r, err := b.scalarNode(s, e)
	if err != nil {
		return nil, err
	}
	if b.trace != nil {
		b.trace.scalars[e] = r
	}
	return r, nil
}

func (b *binder) scalarNode(s *space, e parser.Expression) (Scalar, error) {
	switch x := e.(type) {
	case *parser.Constant:
		return b.constant(x)
	case *parser.ColumnReference:
		return b.columnReference(s, x)
	case *parser.Parameter:
		return b.parameter(x)
	case *parser.Binary:
		return b.binary(s, x)
	case *parser.Logical:
		return b.logical(s, x)
	case *parser.Test:
		return b.test(s, x)
	case *parser.Distinct:
		return b.distinct(s, x)
	case *parser.NullIf:
		return b.nullIf(s, x)
	case *parser.Between:
		return b.between(s, x)
	case *parser.Like:
		return b.like(s, x)
	case *parser.In:
		return b.in(s, x)
	case *parser.AnyAll:
		return b.anyAll(s, x)
	case *parser.Subquery:
		return b.subquery(s, x)
	case *parser.Call:
		return b.call(s, x)
	case *parser.Keyword:
		return b.keyword(x)
	case *parser.Cast:
		return b.cast(s, x)
	case *parser.Collate:
		return b.collate(s, x)
	case *parser.Case:
		return b.caseOf(s, x)
	case *parser.Coalesce:
		list, at, err := b.scalars(s, x.Arguments)
		if err != nil {
			return nil, err
		}
		list, t, err := b.unify("COALESCE", list, at)
		if err != nil {
			return nil, err
		}
		return b.fold(&Coalesce{Arguments: list, T: t}), nil
	case *parser.MinMax:
		what := "GREATEST"
		if x.Least {
			what = "LEAST"
		}
		list, at, err := b.scalars(s, x.Arguments)
		if err != nil {
			return nil, err
		}
		list, t, err := b.unify(what, list, at)
		if err != nil {
			return nil, err
		}
		return &Extremum{Arguments: list, Least: x.Least, T: t}, nil
	case *parser.Array:
		return b.array(s, x, nil)
	case *parser.Row:
		return b.row(s, x)
	case *parser.Indirection:
		return b.indirection(s, x)
	case *parser.Default:
		return nil, b.fail(x.Position, pgerror.Syntax, "DEFAULT is not allowed in this context")
	case *parser.Grouping:
		return b.grouping(s, x)
	case *parser.GroupingSet:
		return nil, b.fail(x.Position, pgerror.Syntax, "grouping sets are not allowed here")
	case nil:
		return nil, pgerror.New(pgerror.Internal, "an expression is missing")
	}
	return nil, b.unsupported(e.At(), "this kind of expression")
}

// scalars binds a list, and says where each begins.
func (b *binder) scalars(s *space, list []parser.Expression) ([]Scalar, []parser.Position, error) {
	out := make([]Scalar, len(list))
	at := make([]parser.Position, len(list))
	for i, e := range list {
		x, err := b.scalar(s, e)
		if err != nil {
			return nil, nil, err
		}
		out[i], at[i] = x, leftmost(e)
	}
	return out, at, nil
}

func (b *binder) constant(k *parser.Constant) (Scalar, error) {
	out := &Constant{Position: k.Position}
	switch k.Kind {
	case parser.NullConstant:
		out.T, out.Value = types.Unknown, types.DNull
	case parser.BoolConstant:
		out.T, out.Value = types.Boolean, types.Bool(k.Text == "true")
	case parser.IntegerConstant:
		out.T, out.Value = types.Int4, types.Int(int64(k.Int))
	case parser.NumberConstant:
		text := strings.ReplaceAll(k.Text, "_", "")
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			out.T, out.Value = types.Int8, types.Int(v)
			if v == int64(int32(v)) {
				out.T = types.Int4 // the least integer, as the grammar reads it
			}
			break
		}
		d, err := types.Parse(b.types, types.Numeric, text)
		if err != nil {
			return nil, b.positioned(err, k.Position)
		}
		out.T, out.Value = types.Numeric, d
	case parser.StringConstant:
		out.T, out.Value = types.Unknown, types.String(k.Text)
	default:
		return nil, b.unsupported(k.Position, "type bit")
	}
	return out, nil
}

func (b *binder) parameter(p *parser.Parameter) (Scalar, error) {
	if p.Number < 1 || p.Number > 65535 || b.c.NoParameters {
		return nil, b.fail(p.Position, pgerror.UndefinedParameter, "there is no parameter $%d", p.Number)
	}
	for len(b.parameters) < p.Number {
		b.parameters = append(b.parameters, nil)
	}
	t := types.Unknown
	// What the client declared is its type from the start; what was inferred
	// elsewhere is not: each use must agree with it.
	if p.Number <= len(b.c.ParameterTypes) && b.parameters[p.Number-1] != nil {
		if d := b.c.ParameterTypes[p.Number-1]; d != nil && d.OID != types.UnknownOID {
			t = d
		}
	}
	if t == types.Unknown && b.parameters[p.Number-1] != nil {
		t = b.parameters[p.Number-1]
	}
	return &Parameter{Index: p.Number, T: t}, nil
}

func (b *binder) binary(s *space, e *parser.Binary) (Scalar, error) {
	if e.Schema != "" && e.Schema != "pg_catalog" {
		return nil, b.fail(e.Position, pgerror.UndefinedFunction, "operator does not exist: %s.%s", e.Schema, e.Operator)
	}
	if e.Left == nil {
		right, err := b.scalar(s, e.Right)
		if err != nil {
			return nil, err
		}
		call, err := b.operator(e.Operator, nil, right, e.Position, leftmost(e.Right))
		if err != nil {
			return nil, err
		}
		return b.fold(call), nil
	}
	if isRowExpression(e.Left) && isRowExpression(e.Right) {
		return b.rowComparison(s, e.Operator, e.Left, e.Right, e.Position)
	}
	if q, ok := e.Right.(*parser.Subquery); ok && isRowExpression(e.Left) && q.Kind == parser.ScalarSubquery {
		return b.rowSubquery(s, e, q)
	}
	left, err := b.scalar(s, e.Left)
	if err != nil {
		return nil, err
	}
	right, err := b.scalar(s, e.Right)
	if err != nil {
		return nil, err
	}
	return b.binaryOf(e.Operator, left, right, e)
}

func (b *binder) binaryOf(operator string, left, right Scalar, e *parser.Binary) (Scalar, error) {
	if l, ok := left.(*RowOf); ok {
		if r, ok := right.(*RowOf); ok {
			return b.compareRows(operator, l.Fields, r.Fields, e.Position)
		}
	}
	call, err := b.operator(operator, left, right, e.Position, leftmost(e.Left), leftmost(e.Right))
	if err != nil {
		return nil, err
	}
	return b.fold(call), nil
}

func isRowExpression(e parser.Expression) bool {
	_, ok := e.(*parser.Row)
	return ok
}

// rowComparison binds (a, b) op (c, d).
func (b *binder) rowComparison(s *space, operator string, left, right parser.Expression, at parser.Position) (Scalar, error) {
	l, _, err := b.scalars(s, left.(*parser.Row).Elements)
	if err != nil {
		return nil, err
	}
	r, _, err := b.scalars(s, right.(*parser.Row).Elements)
	if err != nil {
		return nil, err
	}
	return b.compareRows(operator, l, r, at)
}

// compareRows compares two rows by their fields: = and <> by all of them, the
// others by the first that differs.
func (b *binder) compareRows(operator string, l, r []Scalar, at parser.Position) (Scalar, error) {
	if len(l) != len(r) {
		return nil, b.fail(at, pgerror.Syntax, "unequal number of entries in row expressions")
	}
	if len(l) == 0 {
		return nil, b.fail(at, pgerror.FeatureNotSupported, "cannot compare rows of zero length")
	}
	each := func(operator string) ([]Scalar, error) {
		out := make([]Scalar, len(l))
		for i := range l {
			c, err := b.operator(operator, l[i], r[i], at)
			if err != nil {
				return nil, err
			}
			if c.Type().OID != types.BooleanOID {
				return nil, b.fail(at, pgerror.DatatypeMismatch, "row comparison operator must yield type boolean, not type %s", c.Type().String())
			}
			out[i] = b.fold(c)
		}
		return out, nil
	}
	switch operator {
	case "=":
		list, err := each("=")
		if err != nil {
			return nil, err
		}
		return b.fold(&And{Arguments: list}), nil
	case "<>", "!=":
		list, err := each("<>")
		if err != nil {
			return nil, err
		}
		return b.fold(&Or{Arguments: list}), nil
	case "<", "<=", ">", ">=":
	default:
		if len(l) == 1 {
			return b.operator(operator, l[0], r[0], at)
		}
		return nil, b.fail(at, pgerror.FeatureNotSupported, "could not determine interpretation of row comparison operator %s", operator).
			WithHint("Row comparison operators must be associated with btree operator families.")
	}
	strict := strings.TrimSuffix(operator, "=")
	less, err := each(strict)
	if err != nil {
		return nil, err
	}
	equal, err := each("=")
	if err != nil {
		return nil, err
	}
	last, err := each(operator)
	if err != nil {
		return nil, err
	}
	// a < c OR (a = c AND (b < d OR …)), where only the last field may be equal.
	result := last[len(l)-1]
	for i := len(l) - 2; i >= 0; i-- {
		result = b.fold(&Or{Arguments: []Scalar{less[i], b.fold(&And{Arguments: []Scalar{equal[i], result}})}})
	}
	return result, nil
}

func (b *binder) logical(s *space, e *parser.Logical) (Scalar, error) {
	what := [...]string{"AND", "OR", "NOT"}[e.Operator]
	list := make([]Scalar, len(e.Arguments))
	for i, a := range e.Arguments {
		x, err := b.boolean(s, a, what)
		if err != nil {
			return nil, err
		}
		list[i] = x
	}
	switch e.Operator {
	case parser.And:
		return b.fold(&And{Arguments: list}), nil
	case parser.Or:
		return b.fold(&Or{Arguments: list}), nil
	}
	return b.negate(list[0]), nil
}

// negate is NOT, moved inside where that changes nothing.
func (b *binder) negate(x Scalar) Scalar {
	if !b.keep {
		switch e := x.(type) {
		case *IsNull:
			if e.Argument.Type().Family != types.TupleFamily {
				return &IsNull{Argument: e.Argument, Negated: !e.Negated}
			}
		case *IsTruth:
			return &IsTruth{Argument: e.Argument, Value: e.Value, Negated: !e.Negated}
		case *InList:
			return &InList{Left: e.Left, Items: e.Items, Equal: e.Equal, Negated: !e.Negated}
		case *Distinct:
			return &Distinct{Left: e.Left, Right: e.Right, Equal: e.Equal, Negated: !e.Negated}
		case *Not:
			return e.Argument
		}
	}
	return b.fold(&Not{Argument: x})
}

func (b *binder) test(s *space, e *parser.Test) (Scalar, error) {
	if e.Kind == parser.IsNull {
		x, err := b.scalar(s, e.Argument)
		if err != nil {
			return nil, err
		}
		return b.fold(&IsNull{Argument: x, Negated: e.Not}), nil
	}
	what := [...]string{"", "IS TRUE", "IS FALSE", "IS UNKNOWN"}[e.Kind]
	if e.Not {
		what = strings.Replace(what, "IS ", "IS NOT ", 1)
	}
	x, err := b.boolean(s, e.Argument, what)
	if err != nil {
		return nil, err
	}
	values := [...]Truth{Unknown, True, False, Unknown}
	return &IsTruth{Argument: x, Value: values[e.Kind], Negated: e.Not}, nil
}

func (b *binder) pair(s *space, l, r parser.Expression) (Scalar, Scalar, error) {
	left, err := b.scalar(s, l)
	if err != nil {
		return nil, nil, err
	}
	right, err := b.scalar(s, r)
	return left, right, err
}

func (b *binder) distinct(s *space, e *parser.Distinct) (Scalar, error) {
	left, right, err := b.pair(s, e.Left, e.Right)
	if err != nil {
		return nil, err
	}
	if l, ok := left.(*RowOf); ok {
		if r, ok := right.(*RowOf); ok && len(l.Fields) == len(r.Fields) {
			list := make([]Scalar, len(l.Fields))
			for i := range l.Fields {
				if list[i], err = b.distinctOf(l.Fields[i], r.Fields[i], e.Not, e); err != nil {
					return nil, err
				}
			}
			if e.Not {
				return b.fold(&And{Arguments: list}), nil
			}
			return b.fold(&Or{Arguments: list}), nil
		}
	}
	return b.distinctOf(left, right, e.Not, e)
}

func (b *binder) distinctOf(left, right Scalar, not bool, e *parser.Distinct) (Scalar, error) {
	// IS DISTINCT FROM NULL is a test for NULL.
	if k, ok := right.(*Constant); ok && k.Value.Null {
		return b.fold(&IsNull{Argument: left, Negated: !not}), nil
	}
	if k, ok := left.(*Constant); ok && k.Value.Null {
		return b.fold(&IsNull{Argument: right, Negated: !not}), nil
	}
	c, err := b.operator("=", left, right, e.Position, leftmost(e.Left), leftmost(e.Right))
	if err != nil {
		return nil, err
	}
	return &Distinct{Left: c.Arguments[0], Right: c.Arguments[1], Equal: c.Function, Negated: not}, nil
}

func (b *binder) nullIf(s *space, e *parser.NullIf) (Scalar, error) {
	left, right, err := b.pair(s, e.Left, e.Right)
	if err != nil {
		return nil, err
	}
	c, err := b.operator("=", left, right, e.Position, leftmost(e.Left), leftmost(e.Right))
	if err != nil {
		return nil, err
	}
	if isUnknown(left) {
		left = c.Arguments[0]
	}
	if isUnknown(right) {
		right = c.Arguments[1]
	}
	return &NullIf{Left: left, Right: right, Equal: c.Function, EqualLeft: c.Arguments[0], EqualRight: c.Arguments[1]}, nil
}

func (b *binder) between(s *space, e *parser.Between) (Scalar, error) {
	x, err := b.scalar(s, e.Argument)
	if err != nil {
		return nil, err
	}
	low, high, err := b.pair(s, e.Low, e.High)
	if err != nil {
		return nil, err
	}
	within := func(low, high Scalar) (Scalar, error) {
		lower, upper, both := ">=", "<=", func(l []Scalar) Scalar { return b.fold(&And{Arguments: l}) }
		if e.Not {
			lower, upper, both = "<", ">", func(l []Scalar) Scalar { return b.fold(&Or{Arguments: l}) }
		}
		compare := func(operator string, bound Scalar, at parser.Expression) (Scalar, error) {
			if l, ok := x.(*RowOf); ok {
				if r, ok := bound.(*RowOf); ok {
					return b.compareRows(operator, l.Fields, r.Fields, e.Position)
				}
			}
			c, err := b.operator(operator, x, bound, e.Position, leftmost(e.Argument), leftmost(at))
			if err != nil {
				return nil, err
			}
			return b.fold(c), nil
		}
		l, err := compare(lower, low, e.Low)
		if err != nil {
			return nil, err
		}
		h, err := compare(upper, high, e.High)
		if err != nil {
			return nil, err
		}
		return both([]Scalar{l, h}), nil
	}
	one, err := within(low, high)
	if err != nil || !e.Symmetric {
		return one, err
	}
	two, err := within(high, low)
	if err != nil {
		return nil, err
	}
	if e.Not {
		return b.fold(&And{Arguments: []Scalar{one, two}}), nil
	}
	return b.fold(&Or{Arguments: []Scalar{one, two}}), nil
}

func (b *binder) like(s *space, e *parser.Like) (Scalar, error) {
	left, right, err := b.pair(s, e.Left, e.Right)
	if err != nil {
		return nil, err
	}
	operator := [...]string{"~~", "~~*", "~"}[e.Kind]
	if e.Not {
		operator = "!" + operator
	}
	c, err := b.operator(operator, left, right, e.Position, leftmost(e.Left), leftmost(e.Right))
	if err != nil {
		return nil, err
	}
	return b.fold(c), nil
}

func (b *binder) in(s *space, e *parser.In) (Scalar, error) {
	left, err := b.scalar(s, e.Left)
	if err != nil {
		return nil, err
	}
	items, at, err := b.scalars(s, e.List)
	if err != nil {
		return nil, err
	}
	if _, ok := left.(*RowOf); !ok && len(items) > 1 {
		ts := []*types.T{left.Type()}
		for _, x := range items {
			ts = append(ts, x.Type())
		}
		if t, err := types.UnifyTypes("IN", ts); err == nil && t.Family != types.TupleFamily {
			if r, err := b.inList(left, items, t, e, at); r != nil || err != nil {
				return r, err
			}
		}
	}
	operator, list := "=", make([]Scalar, len(items))
	if e.Not {
		operator = "<>"
	}
	for i, x := range items {
		if list[i], err = b.binaryOf(operator, left, x, &parser.Binary{Position: e.Position, Left: e.Left, Right: e.List[i]}); err != nil {
			return nil, err
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	if e.Not {
		return b.fold(&And{Arguments: list}), nil
	}
	return b.fold(&Or{Arguments: list}), nil
}

// inList binds IN where all items have a common type with the left side.
func (b *binder) inList(left Scalar, items []Scalar, t *types.T, e *parser.In, at []parser.Position) (Scalar, error) {
	equal, err := types.ResolveOperator("=", t, t)
	if err != nil {
		return nil, nil //nolint:nilerr // the form with ORs words the error
	}
	convert := func(x Scalar, p parser.Position) (Scalar, error) {
		y, err := b.mustCoerce(x, t.WithTypmod(-1), types.ImplicitCast, p)
		if err != nil {
			return nil, err
		}
		return b.mustCoerce(y, equal.Args[0], types.ImplicitCast, p)
	}
	l, err := convert(left, leftmost(e.Left))
	if err != nil {
		return nil, err
	}
	list := make([]Scalar, len(items))
	for i, x := range items {
		if list[i], err = convert(x, at[i]); err != nil {
			return nil, err
		}
	}
	return &InList{Left: l, Items: list, Equal: equal, Negated: e.Not}, nil
}

func (b *binder) anyAll(s *space, e *parser.AnyAll) (Scalar, error) {
	left, array, err := b.pair(s, e.Left, e.Array)
	if err != nil {
		return nil, err
	}
	if isUnknown(array) {
		elem := left.Type()
		if elem.OID == types.UnknownOID {
			elem = types.Text
		}
		t := types.ArrayTypeOf(elem.WithTypmod(-1))
		if t == nil {
			return nil, b.fail(e.Position, pgerror.UndefinedObject, "could not find array type for data type %s", elem.String())
		}
		if array, err = b.mustCoerce(array, t, types.ImplicitCast, leftmost(e.Array)); err != nil {
			return nil, err
		}
	}
	at := array.Type()
	if at.Elem == nil {
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "op ANY/ALL (array) requires array on right side")
	}
	bound, err := types.ResolveOperator(e.Operator, left.Type(), at.Elem)
	if err != nil {
		return nil, b.positioned(err, e.Position)
	}
	if bound.Return.OID != types.BooleanOID {
		return nil, b.fail(e.Position, pgerror.WrongObjectType, "op ANY/ALL (array) requires operator to yield boolean")
	}
	if left, err = b.mustCoerce(left, bound.Args[0], types.ImplicitCast, leftmost(e.Left)); err != nil {
		return nil, err
	}
	if !sameType(at.Elem, bound.Args[1]) {
		t := types.ArrayTypeOf(bound.Args[1])
		if t == nil {
			return nil, b.fail(e.Position, pgerror.UndefinedObject, "could not find array type for data type %s", bound.Args[1].String())
		}
		if array, err = b.mustCoerce(array, t, types.ImplicitCast, leftmost(e.Array)); err != nil {
			return nil, err
		}
	}
	return &AnyAll{Left: left, Array: array, Operator: bound, Written: e.Operator, All: e.All}, nil
}

// keywordFunctions are the functions behind SQL's keywords, where their names
// differ, and the type that the value has.
var keywordTypes = map[string]*types.T{
	"current_date": types.Date, "current_time": types.TimeTZ, "current_timestamp": types.TimestampTZ, "localtime": types.Time, "localtimestamp": types.Timestamp,
}

func (b *binder) keyword(e *parser.Keyword) (Scalar, error) {
	name := e.Name
	if t, ok := keywordTypes[name]; ok {
		now, err := types.ResolveFunction("now", nil, nil, false)
		if err != nil {
			return nil, b.positioned(err, e.Position)
		}
		var x Scalar = &Call{Function: now, Position: b.at(e.Position), Operator: strings.ToUpper(name)}
		if e.Precision >= 0 {
			t = t.WithTypmod(e.Precision)
		}
		if sameType(x.Type(), t) {
			return x, nil
		}
		cast, ok := types.FindCast(x.Type(), t, types.ExplicitCast)
		if !ok {
			return nil, b.unsupported(e.Position, strings.ToUpper(name))
		}
		return &Cast{Input: x, Cast: cast, Implicit: true, Position: b.at(e.Position)}, nil
	}
	switch name {
	case "current_role", "user":
		name = "current_user"
	case "current_catalog":
		name = "current_database"
	}
	f, err := types.ResolveFunction(name, nil, nil, false)
	if err != nil {
		return nil, b.positioned(err, e.Position)
	}
	return &Call{Function: f, Position: b.at(e.Position), Operator: strings.ToUpper(e.Name)}, nil
}

func (b *binder) cast(s *space, e *parser.Cast) (Scalar, error) {
	t, err := b.typeName(e.Type)
	if err != nil {
		return nil, err
	}
	var x Scalar
	if a, ok := e.Argument.(*parser.Array); ok && t.Elem != nil {
		if x, err = b.array(s, a, t); err != nil {
			return nil, err
		}
	} else if x, err = b.scalar(s, e.Argument); err != nil {
		return nil, err
	}
	at := e.Position
	if at == parser.NoPosition {
		at = e.Type.Position
	}
	r, ok, err := b.coerce(x, t, types.ExplicitCast, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.fail(at, pgerror.CannotCoerce, "cannot cast type %s to %s", x.Type().WithTypmod(-1).String(), t.WithTypmod(-1).String())
	}
	return r, nil
}

func (b *binder) collate(s *space, e *parser.Collate) (Scalar, error) {
	x, err := b.scalar(s, e.Argument)
	if err != nil {
		return nil, err
	}
	name := e.Names[len(e.Names)-1]
	switch name {
	case "C", "POSIX", "default", "ucs_basic":
	default:
		return nil, b.fail(e.Position, pgerror.UndefinedObject, "collation %q for encoding \"UTF8\" does not exist", strings.Join(e.Names, "."))
	}
	if isUnknown(x) {
		return b.textIfUnknown(x, leftmost(e.Argument))
	}
	if t := x.Type(); t.Category != 'S' && (t.Elem == nil || t.Elem.Category != 'S') {
		return nil, b.fail(e.Position, pgerror.DatatypeMismatch, "collations are not supported by type %s", t.String())
	}
	return x, nil
}

func (b *binder) caseOf(s *space, e *parser.Case) (Scalar, error) {
	var argument Scalar
	var err error
	if e.Argument != nil {
		if argument, err = b.scalar(s, e.Argument); err != nil {
			return nil, err
		}
		if argument, err = b.textIfUnknown(argument, leftmost(e.Argument)); err != nil {
			return nil, err
		}
	}
	whens := make([]When, len(e.Whens))
	var results []Scalar
	var at []parser.Position
	for i, w := range e.Whens {
		var condition Scalar
		if argument == nil {
			condition, err = b.boolean(s, w.Condition, "CASE/WHEN")
		} else if condition, err = b.scalar(s, w.Condition); err == nil {
			condition, err = b.binaryOf("=", argument, condition, &parser.Binary{Position: leftmost(w.Condition), Left: e.Argument, Right: w.Condition})
		}
		if err != nil {
			return nil, err
		}
		result, err := b.scalar(s, w.Result)
		if err != nil {
			return nil, err
		}
		whens[i].Condition = condition
		results, at = append(results, result), append(at, leftmost(w.Result))
	}
	// PostgreSQL begins with ELSE when it looks for the common type.
	var last Scalar = &Constant{Value: types.DNull, T: types.Unknown}
	if e.Else != nil {
		if last, err = b.scalar(s, e.Else); err != nil {
			return nil, err
		}
	}
	all, t, err := b.unify("CASE", append([]Scalar{last}, results...), append([]parser.Position{leftmost(e.Else)}, at...))
	if err != nil {
		return nil, err
	}
	for i := range whens {
		whens[i].Result = all[i+1]
	}
	out := &Case{Whens: whens, T: t}
	if b.keep {
		out.argument = argument
	}
	if e.Else != nil {
		out.Else = all[0]
	}
	return b.fold(out), nil
}
