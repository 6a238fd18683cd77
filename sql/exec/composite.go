package exec

import (
	"slices"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maxArrayElements is as in PostgreSQL: 1 GB of 8-byte values.
const maxArrayElements = 1<<27 - 1

func arrayOf(e *opt.ArrayOf) types.EvalFunc {
	elem := e.T.Elem
	if !e.Nested {
		return func(_ *types.Context, args []types.Datum) (types.Datum, error) {
			if len(args) == 0 {
				return types.ArrayOf(&types.Array{Elem: elem}), nil
			}
			return types.ArrayOf(&types.Array{Elem: elem, Dims: []int32{int32(len(args))}, Bounds: []int32{1}, Elems: slices.Clone(args)}), nil
		}
	}
	return func(_ *types.Context, args []types.Datum) (types.Datum, error) {
		out := &types.Array{Elem: elem}
		first := true
		empty := 0
		for _, d := range args {
			var inner *types.Array
			if d.Null {
				inner = &types.Array{}
			} else {
				inner = d.Array()
			}
			if len(inner.Dims) == 0 {
				empty++
				continue
			}
			if first {
				out.Dims = append([]int32{int32(len(args))}, inner.Dims...)
				out.Bounds = append([]int32{1}, inner.Bounds...)
				first = false
			} else if !slices.Equal(out.Dims[1:], inner.Dims) {
				return types.Datum{}, differentDimensions()
			}
			if len(out.Dims) > 6 {
				return types.Datum{}, pgerror.Newf(pgerror.ProgramLimitExceeded, "number of array dimensions (%d) exceeds the maximum allowed (6)", len(out.Dims))
			}
			out.Elems = append(out.Elems, inner.Elems...)
			if len(out.Elems) > maxArrayElements {
				return types.Datum{}, pgerror.Newf(pgerror.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", maxArrayElements)
			}
		}
		if empty > 0 && !first {
			return types.Datum{}, differentDimensions()
		}
		return types.ArrayOf(out), nil
	}
}

func differentDimensions() error {
	return pgerror.New(pgerror.ArraySubscriptError, "multidimensional arrays must have array expressions with matching dimensions")
}

func rowOf(e *opt.RowOf) types.EvalFunc {
	ts := make([]*types.T, len(e.Fields))
	for i, f := range e.Fields {
		ts[i] = f.Type()
	}
	return func(_ *types.Context, args []types.Datum) (types.Datum, error) {
		return types.TupleOf(&types.Tuple{Types: ts, Elems: slices.Clone(args)}), nil
	}
}

func fieldOf(e *opt.Field) types.EvalFunc {
	return func(_ *types.Context, args []types.Datum) (types.Datum, error) {
		if args[0].Null {
			return types.DNull, nil
		}
		t := args[0].Tuple()
		if e.Index >= len(t.Elems) {
			return types.Datum{}, internalf("field %d of a row of %d", e.Index, len(t.Elems))
		}
		return t.Elems[e.Index], nil
	}
}

// subscript compiles array[…]: its arguments are the array, then for each
// index its low (of slices) and high bound.
func (b *builder) subscript(e *opt.Subscript, s schema) (scalar, error) {
	arguments := []opt.Scalar{e.Array}
	var has []bool // for each bound in turn, whether it is there
	for _, x := range e.Indexes {
		for _, bound := range []opt.Scalar{x.Low, x.High} {
			has = append(has, bound != nil)
			if bound != nil {
				arguments = append(arguments, bound)
			}
		}
	}
	compiled, err := b.scalars(arguments, s)
	if err != nil {
		return nil, err
	}
	compute := func(_ *types.Context, args []types.Datum) (types.Datum, error) {
		array := args[0].Array()
		bounds := make([]int64, len(has))
		next := 1
		for i := range has {
			if has[i] {
				bounds[i] = args[next].I
				next++
			}
		}
		if e.Slice {
			return sliceOf(array, bounds, has), nil
		}
		return elementOf(array, bounds, has), nil
	}
	return &perRow{rt: b.rt, t: e.T, arguments: compiled, strict: true, compute: compute}, nil
}

// elementOf returns an element; the index stands in whichever bound is there.
func elementOf(a *types.Array, bounds []int64, has []bool) types.Datum {
	if len(a.Dims) != len(has)/2 {
		return types.DNull
	}
	at := int64(0)
	for d := range a.Dims {
		index := bounds[2*d+1]
		if !has[2*d+1] {
			index = bounds[2*d]
		}
		index -= int64(a.Bounds[d])
		if index < 0 || index >= int64(a.Dims[d]) {
			return types.DNull
		}
		at = at*int64(a.Dims[d]) + index
	}
	return a.Elems[at]
}

// sliceOf returns a part of an array, an empty one where the slice lies
// outside.
func sliceOf(a *types.Array, bounds []int64, has []bool) types.Datum {
	empty := types.ArrayOf(&types.Array{Elem: a.Elem})
	if len(has)/2 > len(a.Dims) {
		return empty
	}
	low, high := make([]int64, len(a.Dims)), make([]int64, len(a.Dims)) // relative to Bounds, half-open
	count := int64(1)
	for d := range a.Dims {
		high[d] = int64(a.Dims[d])
		if 2*d < len(has) {
			if has[2*d] {
				low[d] = max(bounds[2*d]-int64(a.Bounds[d]), 0)
			}
			if has[2*d+1] {
				high[d] = min(bounds[2*d+1]-int64(a.Bounds[d])+1, high[d])
			}
		}
		if low[d] >= high[d] {
			return empty
		}
		count *= high[d] - low[d]
	}
	out := &types.Array{Elem: a.Elem, Elems: make([]types.Datum, 0, count)}
	for d := range a.Dims {
		out.Dims, out.Bounds = append(out.Dims, int32(high[d]-low[d])), append(out.Bounds, 1)
	}
	index := slices.Clone(low)
	for {
		at := int64(0)
		for d := range a.Dims {
			at = at*int64(a.Dims[d]) + index[d]
		}
		out.Elems = append(out.Elems, a.Elems[at])
		d := len(index) - 1
		for ; d >= 0; d-- {
			if index[d]++; index[d] < high[d] {
				break
			}
			index[d] = low[d]
		}
		if d < 0 {
			return types.ArrayOf(out)
		}
	}
}
