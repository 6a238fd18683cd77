package types

import "github.com/cairndb/cairn/sql/pgerror"

// AssignElement returns the array with the element at some subscripts changed,
// as UPDATE … SET a[1] = … does. An array of one dimension grows to the
// subscript, with NULLs between; one that is NULL or empty has the element only.
func AssignElement(array Datum, elem *T, subscripts []Datum, value Datum) (Datum, error) {
	at, err := assignedSubscripts(subscripts)
	if err != nil {
		return DNull, err
	}
	if array.Null || len(array.Array().Dims) == 0 {
		dims := make([]int32, len(at))
		for i := range dims {
			dims[i] = 1
		}
		return ArrayOf(&Array{Elem: elem, Dims: dims, Bounds: at, Elems: []Datum{value}}), nil
	}
	old := array.Array()
	if len(old.Dims) != len(at) {
		return DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts")
	}
	if len(at) == 1 {
		out, err := grown(old, at[0], at[0])
		if err != nil {
			return DNull, err
		}
		out.Elems[at[0]-out.Bounds[0]] = value
		return ArrayOf(out), nil
	}
	place := 0
	for i, n := range at {
		if n < old.Bounds[i] || n >= old.Bounds[i]+old.Dims[i] {
			return DNull, pgerror.New(pgerror.ArraySubscriptError, "array subscript out of range")
		}
		place = place*int(old.Dims[i]) + int(n-old.Bounds[i])
	}
	out := *old
	out.Elems = append([]Datum(nil), old.Elems...)
	out.Elems[place] = value
	return ArrayOf(&out), nil
}

// AssignSlice returns the array with its elements from low to high, which may be
// left out (nil), replaced by the first ones of source. Arrays of several
// dimensions have no slices assigned.
func AssignSlice(array Datum, elem *T, low, high *Datum, source Datum) (Datum, error) {
	if source.Null {
		return array, nil
	}
	old := &Array{Elem: elem}
	if !array.Null {
		old = array.Array()
	}
	if len(old.Dims) > 1 {
		return DNull, pgerror.Unsupported("assignment to a slice of an array of several dimensions")
	}
	if len(old.Dims) == 0 && (low == nil || high == nil) {
		return DNull, pgerror.New(pgerror.ArraySubscriptError, "array slice subscript must provide both boundaries").
			WithDetail("When assigning to a slice of an empty array value, slice boundaries must be fully specified.")
	}
	var first, last int32
	for _, b := range []struct {
		given *Datum
		to    *int32
		dflt  func() int32
	}{
		{low, &first, func() int32 { return old.Bounds[0] }},
		{high, &last, func() int32 { return old.Bounds[0] + old.Dims[0] - 1 }},
	} {
		if b.given == nil {
			*b.to = b.dflt()
			continue
		}
		at, err := assignedSubscripts([]Datum{*b.given})
		if err != nil {
			return DNull, err
		}
		*b.to = at[0]
	}
	if first > last {
		return DNull, pgerror.New(pgerror.ArraySubscriptError, "upper bound cannot be less than lower bound")
	}
	elements := source.Array().Elems
	if int64(last)-int64(first) >= int64(len(elements)) {
		return DNull, pgerror.New(pgerror.ArraySubscriptError, "source array too small")
	}
	if len(old.Dims) == 0 {
		old = &Array{Elem: elem, Dims: []int32{0}, Bounds: []int32{first}}
	}
	out, err := grown(old, first, last)
	if err != nil {
		return DNull, err
	}
	copy(out.Elems[first-out.Bounds[0]:], elements[:last-first+1])
	return ArrayOf(out), nil
}

// grown copies an array of one dimension so that it has elements from first to
// last.
func grown(a *Array, first, last int32) (*Array, error) {
	low, high := int64(min(first, a.Bounds[0])), max(int64(last), int64(a.Bounds[0])+int64(a.Dims[0])-1)
	if high-low >= maxArrayElements {
		return nil, pgerror.Newf(pgerror.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", maxArrayElements)
	}
	out := &Array{Elem: a.Elem, Dims: []int32{int32(high - low + 1)}, Bounds: []int32{int32(low)}, Elems: make([]Datum, high-low+1)}
	for i := range out.Elems {
		out.Elems[i] = DNull
	}
	copy(out.Elems[int64(a.Bounds[0])-low:], a.Elems)
	return out, nil
}

func assignedSubscripts(subscripts []Datum) ([]int32, error) {
	at := make([]int32, len(subscripts))
	for i, s := range subscripts {
		if s.Null {
			return nil, pgerror.New(pgerror.NullValueNotAllowed, "array subscript in assignment must not be null")
		}
		at[i] = int32(s.I)
	}
	return at, nil
}
