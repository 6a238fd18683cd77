package opt

import (
	"github.com/cairndb/cairn/sql/types"
)

// ConstantFold evaluates what in s depends on nothing but constants.
func ConstantFold(c *Context, s Scalar) Scalar {
	b := newBinder(c)
	var all func(Scalar) Scalar
	all = func(x Scalar) Scalar {
		return b.fold(mapChildren(x, all, func(n Node) Node { return n }))
	}
	return all(s)
}

func allConstant(list []Scalar) bool {
	for _, s := range list {
		if _, ok := s.(*Constant); !ok {
			return false
		}
	}
	return true
}

// fold evaluates one node whose children are folded already. What would be an
// error is left for when it is run: that may never happen.
func (b *binder) fold(s Scalar) Scalar {
	if b.keep {
		return s
	}
	switch e := s.(type) {
	case *Call:
		return b.foldCall(e)
	case *Cast:
		k, ok := e.Input.(*Constant)
		if !ok || e.Cast.Volatility != 'i' && e.Cast.Volatility != 0 || k.T.OID == types.UnknownOID && !k.Value.Null {
			return s
		}
		if d, err := e.Cast.Eval(b.types, k.Value); err == nil {
			return &Constant{Value: d, T: e.Cast.To, Position: k.Position}
		}
	case *And:
		return foldAnd(e)
	case *Or:
		return foldOr(e)
	case *Not:
		if k, ok := e.Argument.(*Constant); ok {
			if k.Value.Null {
				return nullBoolean()
			}
			return boolean(!k.Value.Bool())
		}
	case *IsNull:
		if k, ok := e.Argument.(*Constant); ok && k.T.Family != types.TupleFamily {
			return boolean(k.Value.Null != e.Negated)
		}
	case *ArrayOf:
		return foldArray(e)
	case *Coalesce:
		return foldCoalesce(e)
	case *Case:
		return foldCase(e)
	}
	return s
}

func boolean(v bool) Scalar { return &Constant{Value: types.Bool(v), T: types.Boolean} }

func nullBoolean() Scalar { return &Constant{Value: types.DNull, T: types.Boolean} }

func (b *binder) foldCall(e *Call) Scalar {
	f := e.Function
	if f.Kind != types.ScalarFunction || f.Volatility == 'v' || f.Volatility == 's' || f.Eval == nil {
		return e
	}
	if !f.CalledOnNull {
		for _, a := range e.Arguments {
			if k, ok := a.(*Constant); ok && k.Value.Null {
				return &Constant{Value: types.DNull, T: f.Return}
			}
		}
	}
	if !allConstant(e.Arguments) {
		return e
	}
	args := make([]types.Datum, len(e.Arguments))
	for i, a := range e.Arguments {
		args[i] = a.(*Constant).Value
	}
	d, err := f.Call(b.types, args)
	if err != nil {
		return e
	}
	return &Constant{Value: d, T: f.Return}
}

func foldAnd(e *And) Scalar {
	var rest []Scalar
	for _, a := range e.Arguments {
		k, ok := a.(*Constant)
		switch {
		case ok && !k.Value.Null && !k.Value.Bool():
			return boolean(false)
		case ok && !k.Value.Null:
		default:
			if inner, ok := a.(*And); ok {
				rest = append(rest, inner.Arguments...)
			} else {
				rest = append(rest, a)
			}
		}
	}
	switch len(rest) {
	case 0:
		return boolean(true)
	case 1:
		return rest[0]
	}
	return &And{Arguments: rest}
}

func foldOr(e *Or) Scalar {
	var rest []Scalar
	for _, a := range e.Arguments {
		k, ok := a.(*Constant)
		switch {
		case ok && !k.Value.Null && k.Value.Bool():
			return boolean(true)
		case ok && !k.Value.Null:
		default:
			if inner, ok := a.(*Or); ok {
				rest = append(rest, inner.Arguments...)
			} else {
				rest = append(rest, a)
			}
		}
	}
	switch len(rest) {
	case 0:
		return boolean(false)
	case 1:
		return rest[0]
	}
	return &Or{Arguments: rest}
}

// foldArray makes ARRAY[…] of constants a constant.
func foldArray(e *ArrayOf) Scalar {
	if e.Nested || !allConstant(e.Elements) || e.T.Elem == nil {
		return e
	}
	elements := make([]types.Datum, len(e.Elements))
	for i, x := range e.Elements {
		elements[i] = x.(*Constant).Value
	}
	return &Constant{Value: types.ArrayOf(types.NewArray(e.T.Elem, elements)), T: e.T}
}

func foldCoalesce(e *Coalesce) Scalar {
	var rest []Scalar
	for _, a := range e.Arguments {
		k, ok := a.(*Constant)
		if ok && k.Value.Null {
			continue
		}
		rest = append(rest, a)
		if ok {
			break
		}
	}
	switch len(rest) {
	case 0:
		return &Constant{Value: types.DNull, T: e.T}
	case 1:
		return rest[0]
	case len(e.Arguments):
		return e
	}
	return &Coalesce{Arguments: rest, T: e.T}
}

func foldCase(e *Case) Scalar {
	var whens []When
	last := e.Else
	for _, w := range e.Whens {
		if isNeverTrue(w.Condition) {
			continue
		}
		if isTrue(w.Condition) {
			last = w.Result
			break
		}
		whens = append(whens, w)
	}
	if len(whens) == 0 {
		if last == nil {
			return &Constant{Value: types.DNull, T: e.T}
		}
		return last
	}
	if len(whens) == len(e.Whens) {
		return e
	}
	return &Case{Whens: whens, Else: last, T: e.T}
}
