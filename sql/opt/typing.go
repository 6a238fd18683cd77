package opt

import (
	"strings"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// isUnknown reports whether an expression has no type yet: a literal, NULL or a
// parameter.
func isUnknown(s Scalar) bool { return s.Type().OID == types.UnknownOID }

// leftmost is where an expression begins, as PostgreSQL counts: its leftmost part.
func leftmost(e parser.Expression) parser.Position {
	least := func(p parser.Position, more ...parser.Expression) parser.Position {
		for _, x := range more {
			if x == nil {
				continue
			}
			if q := leftmost(x); q >= 0 && (p < 0 || q < p) {
				p = q
			}
		}
		return p
	}
	switch x := e.(type) {
	case nil:
		return parser.NoPosition
	case *parser.Binary:
		return least(x.Position, x.Left)
	case *parser.Logical:
		return least(x.Position, x.Arguments...)
	case *parser.Test:
		return least(x.Position, x.Argument)
	case *parser.Distinct:
		return least(x.Position, x.Left)
	case *parser.NullIf:
		return x.Position
	case *parser.Between:
		return least(x.Position, x.Argument)
	case *parser.Like:
		return least(x.Position, x.Left)
	case *parser.In:
		return least(x.Position, x.Left)
	case *parser.AnyAll:
		return least(x.Position, x.Left)
	case *parser.Subquery:
		return least(x.Position, x.Left)
	case *parser.Cast:
		return least(x.Position, x.Argument)
	case *parser.Collate:
		return least(x.Position, x.Argument)
	case *parser.Indirection:
		return least(x.Position, x.Argument)
	}
	return e.At()
}

// coerce converts s to a type where the context allows it; ok is false where it
// doesn't. Errors are those of literals.
func (b *binder) coerce(s Scalar, to *types.T, context types.CastContext, at parser.Position) (result Scalar, ok bool, err error) {
	from := s.Type()
	if sameType(from, to) {
		return s, true, nil
	}
	if isPolymorphic(to) || to.OID == types.AnyOID {
		return s, true, nil
	}
	switch x := s.(type) {
	case *Constant:
		if from.OID == types.UnknownOID {
			k, err := b.literal(x, to, context, at)
			return k, err == nil, err
		}
	case *Parameter:
		if from.OID == types.UnknownOID {
			p, err := b.parameterAs(x, to, at)
			if err != nil {
				return nil, false, err
			}
			return b.coerce(p, to, context, at)
		}
	case *RowOf:
		if to.OID == types.RecordOID {
			return s, true, nil
		}
	case *ArrayOf:
		if to.Family == types.ArrayFamily && to.Elem != nil && to.OID != types.Int2VectorOID && to.OID != types.OIDVectorOID {
			if r, ok, err := b.coerceArray(x, to, context, at); ok || err != nil {
				return r, ok, err
			}
		}
	}
	if to.OID == types.RecordOID && from.Family == types.TupleFamily {
		return s, true, nil
	}
	cast, found := types.FindCast(from, to, context)
	if !found {
		return nil, false, nil
	}
	return b.fold(&Cast{Input: s, Cast: cast, Implicit: context != types.ExplicitCast, Position: b.at(at)}), true, nil
}

// coerceArray converts the elements of ARRAY[…], so that their literals get a type.
func (b *binder) coerceArray(x *ArrayOf, to *types.T, context types.CastContext, at parser.Position) (Scalar, bool, error) {
	if len(x.Elements) == 0 {
		return &ArrayOf{T: to}, true, nil
	}
	elem := to.Elem
	if x.Nested {
		elem = to
	}
	elements := make([]Scalar, len(x.Elements))
	for i, e := range x.Elements {
		c, ok, err := b.coerce(e, elem, context, at)
		if !ok || err != nil {
			return nil, false, err
		}
		elements[i] = c
	}
	return &ArrayOf{Elements: elements, T: to, Nested: x.Nested}, true, nil
}

// sameType reports whether a value of type from is one of to as it is.
func sameType(from, to *types.T) bool {
	return from == to || from.OID == to.OID && (to.Typmod == -1 || from.Typmod == to.Typmod)
}

func isPolymorphic(t *types.T) bool {
	switch t.OID {
	case types.AnyElementOID, types.AnyArrayOID, types.AnyNonArrayOID, types.AnyEnumOID, types.AnyCompatibleOID, types.AnyCompatibleArrayOID, types.AnyCompatibleNonArrayOID:
		return true
	}
	return false
}

// literal gives an untyped literal its type: the type's input function reads it
// now, so that a bad one is an error with a position.
func (b *binder) literal(k *Constant, to *types.T, context types.CastContext, at parser.Position) (Scalar, error) {
	if k.Value.Null {
		return &Constant{Value: types.DNull, T: to}, nil
	}
	if k.Position > 0 {
		at = k.Position
	}
	b.noteLiteral(to, k.Value.S)
	// The modifier's coercion is a step of its own, whose errors have no place.
	// Only an interval's modifier says how to read the text.
	base := to
	if to.OID != types.IntervalOID {
		base = to.WithTypmod(-1)
	}
	cast, ok := types.FindCast(types.Unknown, base, context)
	if !ok {
		return nil, b.fail(at, pgerror.CannotCoerce, "cannot cast type unknown to %s", base.String())
	}
	d, err := cast.Eval(b.types, k.Value)
	if err != nil {
		return nil, b.positioned(err, at)
	}
	if base.Typmod != to.Typmod {
		if cast, ok = types.FindCast(base, to, context); ok {
			if d, err = cast.Eval(b.types, d); err != nil {
				return nil, err
			}
		}
	}
	if context != types.ExplicitCast {
		to = to.WithTypmod(-1) // nobody wrote the modifier
	}
	return &Constant{Value: d, T: to, Position: k.Position}, nil
}

// noteLiteral keeps track of what the value of a literal depends on.
func (b *binder) noteLiteral(t *types.T, text string) {
	base := t
	for base.Elem != nil {
		base = base.Elem
	}
	switch base.OID {
	case types.DateOID, types.TimestampOID, types.TimestampTZOID, types.TimeOID, types.TimeTZOID:
		b.sensitive("DateStyle")
		b.sensitive("TimeZone")
		lower := strings.ToLower(text)
		for _, word := range []string{"now", "today", "tomorrow", "yesterday"} {
			if strings.Contains(lower, word) {
				b.uncacheable = true
			}
		}
		if base.OID == types.TimeTZOID {
			b.uncacheable = true // its zone's offset is today's
		}
	case types.IntervalOID:
		b.sensitive("IntervalStyle")
	case types.RegclassOID, types.RegprocOID, types.RegprocedureOID, types.RegtypeOID, types.RegroleOID, types.RegnamespaceOID:
		b.sensitive("search_path")
	}
}

// parameterAs gives a parameter the type of its context.
func (b *binder) parameterAs(p *Parameter, to *types.T, at parser.Position) (Scalar, error) {
	base := to.WithTypmod(-1)
	known := b.parameters[p.Index-1]
	if known == nil {
		b.parameters[p.Index-1] = base
	} else if known.OID != base.OID {
		return nil, b.fail(at, ambiguousParameter, "inconsistent types deduced for parameter $%d", p.Index).
			WithDetail("%s versus %s", known.String(), base.String())
	}
	return &Parameter{Index: p.Index, T: base}, nil
}

// mustCoerce is coerce where failing is PostgreSQL's "cannot cast".
func (b *binder) mustCoerce(s Scalar, to *types.T, context types.CastContext, at parser.Position) (Scalar, error) {
	r, ok, err := b.coerce(s, to, context, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.fail(at, pgerror.CannotCoerce, "cannot cast type %s to %s", s.Type().WithTypmod(-1).String(), to.WithTypmod(-1).String())
	}
	return r, nil
}

// coerceList converts expressions to a type that was chosen for all of them.
func (b *binder) coerceList(list []Scalar, to *types.T, at []parser.Position) ([]Scalar, error) {
	out := make([]Scalar, len(list))
	for i, s := range list {
		r, err := b.mustCoerce(s, to, types.ImplicitCast, at[i])
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

// unify finds the common type of expressions and converts them to it.
func (b *binder) unify(what string, list []Scalar, at []parser.Position) ([]Scalar, *types.T, error) {
	ts := make([]*types.T, len(list))
	for i, s := range list {
		ts[i] = s.Type()
	}
	t, err := types.UnifyTypes(what, ts)
	if err != nil {
		return nil, nil, b.positioned(err, b.mismatch(ts, at))
	}
	out, err := b.coerceList(list, t, at)
	return out, t, err
}

// mismatch is the place of the first type that differs from the first known one.
func (b *binder) mismatch(ts []*types.T, at []parser.Position) parser.Position {
	var first *types.T
	for i, t := range ts {
		if t.OID == types.UnknownOID {
			continue
		}
		if first == nil {
			first = t
		} else if t.Category != first.Category {
			return at[i]
		}
	}
	return parser.NoPosition
}

// textIfUnknown makes what got no type from its context text.
func (b *binder) textIfUnknown(s Scalar, at parser.Position) (Scalar, error) {
	if !isUnknown(s) {
		return s, nil
	}
	return b.mustCoerce(s, types.Text, types.ImplicitCast, at)
}

// boolean binds a condition.
func (b *binder) boolean(s *space, e parser.Expression, what string) (Scalar, error) {
	x, err := b.scalar(s, e)
	if err != nil {
		return nil, err
	}
	return b.asBoolean(x, what, leftmost(e))
}

func (b *binder) asBoolean(x Scalar, what string, at parser.Position) (Scalar, error) {
	r, ok, err := b.coerce(x, types.Boolean, types.ImplicitCast, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.fail(at, pgerror.DatatypeMismatch, "argument of %s must be type boolean, not type %s", what, x.Type().WithTypmod(-1).String())
	}
	return r, nil
}

// operator binds a binary operator, or a prefix one where left is nil.
func (b *binder) operator(name string, left, right Scalar, at parser.Position, places ...parser.Position) (*Call, error) {
	var lt *types.T
	if left != nil {
		lt = left.Type()
	}
	bound, err := types.ResolveOperator(name, lt, right.Type())
	if err != nil {
		return nil, b.positioned(err, at)
	}
	arguments := []Scalar{right}
	if left != nil {
		arguments = []Scalar{left, right}
	}
	for i := range arguments {
		p := at
		if i < len(places) {
			p = places[i]
		}
		if arguments[i], err = b.mustCoerce(arguments[i], bound.Args[i], types.ImplicitCast, p); err != nil {
			return nil, err
		}
	}
	return &Call{Function: bound, Arguments: arguments, Position: b.at(at), Operator: name}, nil
}

// typeName resolves a type's name.
func (b *binder) typeName(t *parser.TypeName) (*types.T, error) {
	if t.Percent {
		return nil, b.unsupported(t.Position, "%TYPE")
	}
	modifiers := make([]int32, 0, len(t.Modifiers))
	for _, m := range t.Modifiers {
		k, ok := m.(*parser.Constant)
		if !ok || k.Kind != parser.IntegerConstant {
			return nil, b.fail(t.Position, pgerror.Syntax, "type modifiers must be simple constants or identifiers")
		}
		modifiers = append(modifiers, k.Int)
	}
	r, err := types.FromName(t.Names, modifiers, t.ArrayDepth)
	if err != nil {
		return nil, b.positioned(err, t.Position)
	}
	return r, nil
}

// ambiguousParameter is SQLSTATE 42P08.
const ambiguousParameter = "42P08"
