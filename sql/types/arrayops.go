package types

import (
	"github.com/cairndb/cairn/sql/pgerror"
)

func incompatibleArrays(detail string) error {
	e := pgerror.New(pgerror.ArraySubscriptError, "cannot concatenate incompatible arrays")
	e.Detail = detail
	return e
}

// AppendElement returns the array with an element behind its last; NULL and
// empty arrays become one of that element.
func AppendElement(element *T, array, e Datum) (Datum, error) {
	return addElement(element, array, e, false)
}

// PrependElement puts the element in front; the lower bound stays.
func PrependElement(element *T, e, array Datum) (Datum, error) {
	return addElement(element, array, e, true)
}

func addElement(element *T, array, e Datum, front bool) (Datum, error) {
	if array.Null || len(array.Array().Elems) == 0 {
		return ArrayOf(NewArray(element, []Datum{e})), nil
	}
	a := array.Array()
	if len(a.Dims) != 1 {
		return DNull, pgerror.New(pgerror.DatatypeMismatch, "argument must be empty or one-dimensional array")
	}
	r := &Array{Elem: element, Dims: []int32{a.Dims[0] + 1}, Bounds: a.Bounds, Elems: make([]Datum, 0, len(a.Elems)+1)}
	if front {
		r.Elems = append(append(r.Elems, e), a.Elems...)
	} else {
		r.Elems = append(append(r.Elems, a.Elems...), e)
	}
	return ArrayOf(r), nil
}

// ConcatenateArrays joins two arrays along their first dimension; one may have
// a dimension less.
func ConcatenateArrays(element *T, a, b Datum) (Datum, error) {
	switch {
	case a.Null:
		return b, nil
	case b.Null:
		return a, nil
	}
	x, y := a.Array(), b.Array()
	if len(x.Elems) == 0 {
		return b, nil
	}
	if len(y.Elems) == 0 {
		return a, nil
	}
	r := &Array{Elem: element, Elems: append(append(make([]Datum, 0, len(x.Elems)+len(y.Elems)), x.Elems...), y.Elems...)}
	const element1 = "Arrays with differing element dimensions are not compatible for concatenation."
	switch len(x.Dims) - len(y.Dims) {
	case 0:
		if !sameInts(x.Dims[1:], y.Dims[1:]) || !sameInts(x.Bounds[1:], y.Bounds[1:]) {
			return DNull, incompatibleArrays(element1)
		}
		r.Dims, r.Bounds = append([]int32{x.Dims[0] + y.Dims[0]}, x.Dims[1:]...), x.Bounds
	case -1:
		if !sameInts(x.Dims, y.Dims[1:]) || !sameInts(x.Bounds, y.Bounds[1:]) {
			return DNull, incompatibleArrays("Arrays with differing dimensions are not compatible for concatenation.")
		}
		r.Dims, r.Bounds = append([]int32{y.Dims[0] + 1}, y.Dims[1:]...), y.Bounds
	case 1:
		if !sameInts(x.Dims[1:], y.Dims) || !sameInts(x.Bounds[1:], y.Bounds) {
			return DNull, incompatibleArrays("Arrays with differing dimensions are not compatible for concatenation.")
		}
		r.Dims, r.Bounds = append([]int32{x.Dims[0] + 1}, x.Dims[1:]...), x.Bounds
	default:
		e := incompatibleArrays("").(*pgerror.Error)
		return DNull, e.WithDetail("Arrays of %d and %d dimensions are not compatible for concatenation.", len(x.Dims), len(y.Dims))
	}
	return ArrayOf(r), nil
}

func sameInts(a, b []int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// containsElement reports whether an element that is not NULL is in the array.
func containsElement(a *Array, e Datum) bool {
	for _, mine := range a.Elems {
		if !mine.Null && Compare(a.Elem, mine, e) == 0 {
			return true
		}
	}
	return false
}

func containsAll(a, b *Array) bool {
	for _, e := range b.Elems {
		if e.Null || !containsElement(a, e) {
			return false
		}
	}
	return true
}

func defineArrays() {
	defineBind("array_append", func(args []*T, _ *T) EvalFunc {
		element := args[0].Elem
		return func(_ *Context, a []Datum) (Datum, error) { return AppendElement(element, a[0], a[1]) }
	})
	defineBind("array_prepend", func(args []*T, _ *T) EvalFunc {
		element := args[1].Elem
		return func(_ *Context, a []Datum) (Datum, error) { return PrependElement(element, a[0], a[1]) }
	})
	defineBind("array_cat", func(args []*T, _ *T) EvalFunc {
		element := args[0].Elem
		return func(_ *Context, a []Datum) (Datum, error) { return ConcatenateArrays(element, a[0], a[1]) }
	})
	define("arraycontains", func(_ *Context, a []Datum) (Datum, error) { return Bool(containsAll(a[0].Array(), a[1].Array())), nil })
	define("arraycontained", func(_ *Context, a []Datum) (Datum, error) { return Bool(containsAll(a[1].Array(), a[0].Array())), nil })
	define("arrayoverlap", func(_ *Context, a []Datum) (Datum, error) {
		for _, e := range a[1].Array().Elems {
			if !e.Null && containsElement(a[0].Array(), e) {
				return Bool(true), nil
			}
		}
		return Bool(false), nil
	})
}
