package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// valueSet is a set of values of one type, for IN and = ANY.
type valueSet struct {
	t       *types.T
	ints    map[int64]struct{}
	strings map[string]struct{}
	hasNull bool
}

// hashable reports whether equality by e between values of t is that of their
// representation.
func hashable(e *types.Bound, t *types.T) bool {
	if len(e.Args) != 2 || e.Args[0].OID != e.Args[1].OID {
		return false
	}
	switch procedureName(e) {
	case "int2eq", "int4eq", "int8eq", "date_eq", "timestamp_eq", "timestamptz_eq", "time_eq", "oideq", "booleq":
		return kindOf(t) == intKind
	case "texteq", "nameeq", "byteaeq", "uuid_eq":
		return kindOf(t) == stringKind
	}
	return false
}

func (s *valueSet) reset(t *types.T) {
	s.t, s.hasNull = t, false
	clear(s.ints)
	clear(s.strings)
}

func (s *valueSet) add(d types.Datum) {
	switch {
	case d.Null:
		s.hasNull = true
	case kindOf(s.t) == intKind:
		if s.ints == nil {
			s.ints = map[int64]struct{}{}
		}
		s.ints[d.I] = struct{}{}
	default:
		if s.strings == nil {
			s.strings = map[string]struct{}{}
		}
		s.strings[d.S] = struct{}{}
	}
}

// contains sets out at r to whether v's values are in the set, with three
// values.
func (s *valueSet) contains(out, v *vector.Vector, r rows, negated bool) {
	flip := bit(negated)
	for n := range r.n {
		i := r.at(n)
		if v.Null(i) {
			if len(s.ints)+len(s.strings) > 0 || s.hasNull {
				out.SetNull(i)
			} else {
				out.Ints[i] = flip
			}
			continue
		}
		found := false
		if kindOf(s.t) == intKind {
			_, found = s.ints[v.Ints[i]]
		} else {
			_, found = s.strings[v.Strings[i]]
		}
		if !found && s.hasNull {
			out.SetNull(i)
			continue
		}
		out.Ints[i] = bit(found) ^ flip
	}
}

// inSet is IN over values that are fixed throughout an execution.
type inSet struct {
	rt        *runtime
	left      scalar
	items     []scalar
	t         *types.T
	negated   bool
	execution uint64
	set       valueSet
	out       vector.Vector
}

func (e *inSet) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	if e.execution != e.rt.execution {
		e.set.reset(e.t)
		for _, item := range e.items {
			d, err := evalOne(item)
			if err != nil {
				return nil, err
			}
			e.set.add(d)
		}
		e.execution = e.rt.execution
	}
	v, err := e.left.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(types.Boolean, r.end())
	e.set.contains(&e.out, v, r, e.negated)
	return &e.out, nil
}

// inList compiles IN: a set where that is possible, else comparisons one after
// the other.
func (b *builder) inList(e *opt.InList, s schema) (scalar, error) {
	left, err := b.scalar(e.Left, s)
	if err != nil {
		return nil, err
	}
	items, err := b.scalars(e.Items, s)
	if err != nil {
		return nil, err
	}
	allFixed := len(items) > 3
	for _, item := range e.Items {
		allFixed = allFixed && fixed(item) && item.Type().OID == e.Left.Type().OID
	}
	if allFixed && hashable(e.Equal, e.Left.Type()) {
		return &inSet{rt: b.rt, left: left, items: items, t: e.Left.Type(), negated: e.Negated}, nil
	}
	shared := &fixedVector{}
	any := &logic{or: true}
	for i, item := range items {
		any.arguments = append(any.arguments, b.apply(e.Equal, []scalar{shared, item}, []opt.Scalar{e.Left, e.Items[i]}))
	}
	return &sharedLeft{left: left, shared: shared, body: any, negated: e.Negated}, nil
}

// sharedLeft evaluates left once for all comparisons of body.
type sharedLeft struct {
	left    scalar
	shared  *fixedVector
	body    scalar
	negated bool
	out     vector.Vector
}

func (e *sharedLeft) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	var err error
	if e.shared.v, err = e.left.eval(b, r); err != nil {
		return nil, err
	}
	v, err := e.body.eval(b, r)
	if err != nil || !e.negated {
		return v, err
	}
	e.out.Prepare(types.Boolean, r.end())
	e.out.CopyNulls(v)
	for n := range r.n {
		i := r.at(n)
		e.out.Ints[i] = v.Ints[i] ^ 1
	}
	return &e.out, nil
}

// anyAll is Left op ANY|ALL (array).
type anyAll struct {
	rt          *runtime
	left, array scalar
	operator    *types.Bound
	all         bool
	out         vector.Vector
	// set is used for = ANY over an array that is fixed in an execution.
	useSet    bool
	execution uint64
	nullArray bool
	set       valueSet
}

func (b *builder) anyAll(e *opt.AnyAll, s schema) (scalar, error) {
	left, err := b.scalar(e.Left, s)
	if err != nil {
		return nil, err
	}
	array, err := b.scalar(e.Array, s)
	if err != nil {
		return nil, err
	}
	a := &anyAll{rt: b.rt, left: left, array: array, operator: e.Operator, all: e.All}
	elem := e.Array.Type().Elem
	a.useSet = !e.All && fixed(e.Array) && hashable(e.Operator, e.Left.Type()) && elem != nil && kindOf(elem) == kindOf(e.Left.Type())
	a.set.t = e.Left.Type()
	return a, nil
}

func (e *anyAll) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := e.left.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(types.Boolean, r.end())
	if e.useSet {
		if e.execution != e.rt.execution {
			d, err := evalOne(e.array)
			if err != nil {
				return nil, err
			}
			e.set.reset(e.set.t)
			if e.nullArray = d.Null; !d.Null {
				for _, elem := range d.Array().Elems {
					e.set.add(elem)
				}
			}
			e.execution = e.rt.execution
		}
		if e.nullArray {
			e.out.SetAllNull()
			return &e.out, nil
		}
		e.set.contains(&e.out, v, r, false)
		return &e.out, nil
	}
	arrays, err := e.array.eval(b, r)
	if err != nil {
		return nil, err
	}
	var args [2]types.Datum
	for n := range r.n {
		i := r.at(n)
		if arrays.Null(i) {
			e.out.SetNull(i)
			continue
		}
		d, err := e.overArray(args[:], v.Datum(i), arrays.Refs[i].(*types.Array))
		if err != nil {
			return nil, err
		}
		e.out.Set(i, d)
	}
	return &e.out, nil
}

func (e *anyAll) overArray(args []types.Datum, left types.Datum, array *types.Array) (types.Datum, error) {
	null := false
	for _, elem := range array.Elems {
		args[0], args[1] = left, elem
		d, err := e.operator.Call(e.rt.env.Types, args)
		switch {
		case err != nil:
			return d, err
		case d.Null:
			null = true
		case d.Bool() != e.all:
			return types.Bool(!e.all), nil
		}
	}
	if null {
		return types.DNull, nil
	}
	return types.Bool(e.all), nil
}
