package types

import (
	"github.com/cairndb/cairn/sql/pgerror"
)

func isPolymorphic(t *T) bool {
	switch t.OID {
	case AnyElementOID, AnyArrayOID, AnyNonArrayOID, AnyEnumOID, AnyCompatibleOID, AnyCompatibleArrayOID, AnyCompatibleNonArrayOID:
		return true
	}
	return false
}

func mismatch(format string, args ...any) *pgerror.Error {
	return pgerror.Newf(pgerror.DatatypeMismatch, format, args...)
}

// polymorphism is what the polymorphic types of a signature stand for in a call.
type polymorphism struct {
	element, compatible *T
	array               *T // what anyarray is, if an argument tells
}

// resolve returns what a declared type is in the call; nil: it can't be told.
func (p polymorphism) resolve(declared *T) *T {
	element := p.element
	switch declared.OID {
	case AnyElementOID, AnyNonArrayOID, AnyEnumOID:
		return element
	case AnyCompatibleOID, AnyCompatibleNonArrayOID:
		return p.compatible
	case AnyCompatibleArrayOID:
		element = p.compatible
	case AnyArrayOID:
		if p.array != nil {
			return p.array
		}
	default:
		return declared
	}
	if element == nil {
		return nil
	}
	return arrayOfElement(element)
}

// arrayOfElement returns the array type whose elements are of the type; unlike
// ArrayTypeOf it doesn't take arrays for elements.
func arrayOfElement(element *T) *T {
	if element.Family == ArrayFamily && !isVector(element) {
		return nil
	}
	return ArrayTypeOf(element.WithTypmod(-1))
}

// resolvePolymorphic finds what the polymorphic ones of the declared types
// stand for, given the actual ones (enforce_generic_type_consistency). ret is
// the declared type of the result or nil; the concrete types of the arguments
// and of the result are returned.
func resolvePolymorphic(declared, actual []*T, ret *T) (concrete []*T, err error) {
	p, err := inferPolymorphism(declared, actual)
	if err != nil {
		return nil, err
	}
	concrete = make([]*T, len(declared), len(declared)+1)
	for i, d := range declared {
		concrete[i] = p.resolve(d)
		if concrete[i] == nil {
			return nil, mismatch("could not determine polymorphic type because input has type unknown")
		}
		if isPolymorphic(d) && concrete[i].OID == actual[i].OID {
			concrete[i] = actual[i]
		}
	}
	if ret != nil {
		r := p.resolve(ret)
		if r == nil {
			return nil, mismatch("could not determine polymorphic type because input has type unknown")
		}
		concrete = append(concrete, r)
	}
	return concrete, nil
}

func inferPolymorphism(declared, actual []*T) (polymorphism, error) {
	var p polymorphism
	var array *T
	var compatible []*T
	simple, compatibles, nonArray := false, false, false
	for i, d := range declared {
		a := actual[i]
		unknown := a.OID == UnknownOID
		switch d.OID {
		case AnyElementOID, AnyNonArrayOID, AnyEnumOID:
			simple = true
			nonArray = nonArray || d.OID == AnyNonArrayOID
			if unknown {
				continue
			}
			if d.OID == AnyEnumOID {
				return p, mismatch("type matched to anyenum is not an enum type: %s", a.SQLName)
			}
			if p.element != nil && p.element.OID != a.OID {
				return p, mismatch("arguments declared \"%s\" are not all alike", "anyelement").WithDetail("%s versus %s", p.element.SQLName, a.SQLName)
			}
			p.element = a.WithTypmod(-1)
		case AnyArrayOID:
			simple = true
			if unknown {
				continue
			}
			if array != nil && array.OID != a.OID {
				return p, mismatch("arguments declared \"%s\" are not all alike", "anyarray").WithDetail("%s versus %s", array.SQLName, a.SQLName)
			}
			array = a
		case AnyCompatibleOID, AnyCompatibleNonArrayOID:
			compatibles = true
			if !unknown {
				compatible = append(compatible, a)
			}
			if d.OID == AnyCompatibleNonArrayOID && isTrueArray(a) {
				return p, mismatch("type matched to anycompatiblenonarray is an array type: %s", a.SQLName)
			}
		case AnyCompatibleArrayOID:
			compatibles = true
			if unknown {
				continue
			}
			if !isTrueArray(a) {
				return p, mismatch("argument declared %s is not an array but type %s", "anycompatiblearray", a.SQLName)
			}
			compatible = append(compatible, a.Elem)
		}
	}
	if simple {
		if array != nil {
			if !isTrueArray(array) {
				return p, mismatch("argument declared %s is not an array but type %s", "anyarray", array.SQLName)
			}
			if p.element != nil && p.element.OID != array.Elem.OID {
				return p, mismatch("argument declared %s is not consistent with argument declared %s", "anyarray", "anyelement").WithDetail("%s versus %s", array.SQLName, p.element.SQLName)
			}
			p.element, p.array = array.Elem.WithTypmod(-1), array.WithTypmod(-1)
		}
		if p.element == nil {
			return p, mismatch("could not determine polymorphic type because input has type unknown")
		}
		if nonArray && isTrueArray(p.element) {
			return p, mismatch("type matched to anynonarray is an array type: %s", p.element.SQLName)
		}
	}
	if compatibles {
		if len(compatible) == 0 {
			p.compatible = Text
			return p, nil
		}
		t, err := UnifyTypes("", compatible)
		if err != nil {
			return p, err
		}
		p.compatible = t.WithTypmod(-1)
		for i, d := range declared {
			if a := actual[i]; a.OID != UnknownOID && isPolymorphic(d) {
				if concrete := p.resolve(d); concrete == nil || !canCoerce(a, concrete, ImplicitCast) && isCompatible(d) {
					return p, mismatch("arguments of anycompatible family cannot be cast to a common type")
				}
			}
		}
	}
	return p, nil
}

func isCompatible(t *T) bool {
	return t.OID == AnyCompatibleOID || t.OID == AnyCompatibleArrayOID || t.OID == AnyCompatibleNonArrayOID
}

// bind makes a candidate's call out of it.
func bind(c *candidate, args []*T, variadicArray bool) (*Bound, error) {
	o := c.overload
	b := &Bound{Overload: o, Args: c.args, Return: o.Return, CalledOnNull: o.CalledOnNull, VariadicArray: variadicArray}
	declaredReturn := o.Return
	polymorphic := isPolymorphic(declaredReturn)
	for _, t := range c.args {
		polymorphic = polymorphic || isPolymorphic(t)
	}
	b.Args = make([]*T, len(c.args), max(len(c.args), len(o.Args))+1)
	if polymorphic {
		concrete, err := resolvePolymorphic(c.args, args, declaredReturn)
		if err != nil {
			return nil, err
		}
		copy(b.Args[:len(args)], concrete)
		b.Return = concrete[len(args)]
	} else {
		copy(b.Args, c.args)
	}
	for i, t := range b.Args {
		switch {
		case t.OID == AnyOID:
			b.Args[i] = args[i]
		case t.Family == TupleFamily && args[i].Family == TupleFamily:
			b.Args[i] = args[i]
		case t.OID == args[i].OID: // with its modifiers, which no cast need change
			b.Args[i] = args[i]
		}
	}
	addDefaults(b, c)
	if o.ReturnType != nil {
		t, err := o.ReturnType(b.Args)
		if err != nil {
			return nil, err
		}
		b.Return = t
	} else if o.ReturnTypes != nil && o.Return.OID == RecordOID {
		fields := make([]Field, len(o.ReturnTypes))
		for i := range fields {
			fields[i] = Field{Name: o.ReturnNames[i], Type: o.ReturnTypes[i]}
		}
		row := *Record
		row.Fields = fields
		b.Return = &row
	}
	addEvaluation(b, c)
	return b, nil
}

// addDefaults appends the parameters that the call leaves out and reorders
// those of a call by name.
func addDefaults(b *Bound, c *candidate) {
	o := c.overload
	if c.order != nil {
		byCall := b.Args
		b.Order = c.order
		b.Args = make([]*T, len(o.Args))
		b.Default = make([]Datum, len(o.Args))
		for i, from := range c.order {
			if from >= 0 {
				b.Args[i] = byCall[from]
			} else {
				b.Args[i] = o.Args[i]
				b.Default[i] = o.Defaults[i-(len(o.Args)-len(o.Defaults))]
			}
		}
		return
	}
	if c.defaults == 0 {
		return
	}
	n := len(b.Args)
	b.Order = make([]int, len(o.Args))
	b.Default = make([]Datum, len(o.Args))
	for i := range o.Args {
		b.Order[i] = i
		if i >= n {
			b.Order[i] = -1
			b.Args = append(b.Args, o.Args[i])
			b.Default[i] = o.Defaults[len(o.Defaults)-(len(o.Args)-i)]
		}
	}
}

// addEvaluation sets how the call is computed. The last arguments of a variadic
// function are collected into the array that it takes.
func addEvaluation(b *Bound, c *candidate) {
	o := c.overload
	args := b.Args
	collect := c.expanded && o.Args[len(o.Args)-1].OID != AnyOID
	fixed := len(o.Args) - 1
	if collect {
		element := b.Args[fixed]
		args = append(append([]*T{}, b.Args[:fixed]...), arrayOfElement(element))
	}
	b.Eval, b.Rows = o.Eval, o.Rows
	if o.Bind != nil {
		b.Eval = o.Bind(args, b.Return)
	}
	if o.BindRows != nil {
		b.Rows = o.BindRows(args, b.Return)
	}
	if o.Accumulate != nil {
		b.NewAccumulator = o.Accumulate(args, b.Return)
	}
	if o.Window != nil {
		b.Window = o.Window(args, b.Return)
	}
	if b.VariadicArray && o.Args[len(o.Args)-1].OID == AnyOID && o.Bind != nil {
		b.Eval = spreadArray(o, args, b.Return)
	}
	if !collect {
		return
	}
	b.CalledOnNull = true
	strict := !o.CalledOnNull
	element := b.Args[fixed]
	pack := func(values []Datum) ([]Datum, bool) {
		packed := make([]Datum, fixed+1)
		for i := range fixed {
			if packed[i] = values[i]; strict && values[i].Null {
				return nil, false
			}
		}
		packed[fixed] = ArrayOf(NewArray(element, append([]Datum{}, values[fixed:]...)))
		return packed, true
	}
	if eval := b.Eval; eval != nil {
		b.Eval = func(ctx *Context, values []Datum) (Datum, error) {
			packed, ok := pack(values)
			if !ok {
				return DNull, nil
			}
			return eval(ctx, packed)
		}
	}
	if rows := b.Rows; rows != nil {
		b.Rows = func(ctx *Context, values []Datum) (RowSource, error) {
			packed, ok := pack(values)
			if !ok {
				return noRows{}, nil
			}
			return rows(ctx, packed)
		}
	}
}

// spreadArray evaluates a function of VARIADIC "any" that was called with
// VARIADIC array: it is as if the elements had been written one by one. A NULL
// array makes the value NULL.
func spreadArray(o *Overload, args []*T, ret *T) EvalFunc {
	fixed := len(args) - 1
	return func(ctx *Context, values []Datum) (Datum, error) {
		if values[fixed].Null {
			return DNull, nil
		}
		array, ok := values[fixed].Ref.(*Array)
		if !ok {
			return DNull, mismatch("VARIADIC argument must be an array")
		}
		ts := append([]*T{}, args[:fixed]...)
		for range array.Elems {
			ts = append(ts, array.Elem)
		}
		return o.Bind(ts, ret)(ctx, append(append([]Datum{}, values[:fixed]...), array.Elems...))
	}
}

// noRows is the empty RowSource.
type noRows struct{}

func (noRows) Next() ([]Datum, bool, error) { return nil, false, nil }

// NewArray returns the one-dimensional array of the elements, which it keeps;
// without elements the empty array.
func NewArray(element *T, elements []Datum) *Array {
	if len(elements) == 0 {
		return &Array{Elem: element}
	}
	return &Array{Elem: element, Dims: []int32{int32(len(elements))}, Bounds: []int32{1}, Elems: elements}
}

// UnifyTypes returns the type that alternatives of several types have together
// (chapter 10.5: UNION, CASE, VALUES, COALESCE, ARRAY, GREATEST, IN). context
// begins the error messages: 42804 "UNION types integer and text cannot be
// matched", 42846 "UNION could not convert type uuid to json". All unknown: text.
// Modifiers remain where all agree. (CASE puts its ELSE first.)
func UnifyTypes(context string, ts []*T) (*T, error) {
	if len(ts) == 0 {
		return Text, nil
	}
	result := ts[0]
	sameTypmod := true
	for _, t := range ts {
		sameTypmod = sameTypmod && t.OID == ts[0].OID && t.Typmod == ts[0].Typmod
	}
	if sameTypmod && result.OID != UnknownOID {
		return result, nil
	}
	for _, t := range ts[1:] {
		switch {
		case t.OID == UnknownOID || t.OID == result.OID:
		case result.OID == UnknownOID:
			result = t
		case t.Category != result.Category:
			if context == "" {
				return nil, mismatch("arguments of anycompatible family cannot be cast to a common type")
			}
			return nil, mismatch("%s types %s and %s cannot be matched", context, result.SQLName, t.SQLName)
		case !result.Preferred && canCoerce(result, t, ImplicitCast) && !canCoerce(t, result, ImplicitCast):
			result = t
		}
	}
	if result.OID == UnknownOID {
		return Text, nil
	}
	for _, t := range ts {
		if !canCoerce(t, result, ImplicitCast) {
			if context == "" {
				return nil, mismatch("arguments of anycompatible family cannot be cast to a common type")
			}
			return nil, pgerror.Newf(pgerror.CannotCoerce, "%s could not convert type %s to %s", context, t.SQLName, result.SQLName)
		}
	}
	return result.WithTypmod(-1), nil
}
