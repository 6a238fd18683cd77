package functions

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maximumArraySize is the most elements that an array may have, and
// maximumDimensions the most dimensions.
const (
	maximumArraySize  = 134217727
	maximumDimensions = 6
)

func errArraySize() error {
	return pgerror.Newf(pgerror.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", maximumArraySize)
}

func defineArrays(d definitions) {
	d.scalar("array_ndims(anyarray)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if len(a[0].Array().Dims) == 0 {
			return types.DNull, nil
		}
		return types.Int(int64(len(a[0].Array().Dims))), nil
	})
	d.scalar("array_dims(anyarray)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		array := a[0].Array()
		if len(array.Dims) == 0 {
			return types.DNull, nil
		}
		var b []byte
		for i, length := range array.Dims {
			b = strconv.AppendInt(append(b, '['), int64(array.Bounds[i]), 10)
			b = append(strconv.AppendInt(append(b, ':'), int64(array.Bounds[i]+length-1), 10), ']')
		}
		return types.String(string(b)), nil
	})
	dimension := func(f func(*types.Array, int) int64) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			array, n := a[0].Array(), a[1].I
			if n < 1 || n > int64(len(array.Dims)) {
				return types.DNull, nil
			}
			return types.Int(f(array, int(n-1))), nil
		}
	}
	d.scalar("array_length(anyarray,int4)", dimension(func(a *types.Array, i int) int64 { return int64(a.Dims[i]) }))
	d.scalar("array_lower(anyarray,int4)", dimension(func(a *types.Array, i int) int64 { return int64(a.Bounds[i]) }))
	d.scalar("array_upper(anyarray,int4)", dimension(func(a *types.Array, i int) int64 { return int64(a.Bounds[i] + a.Dims[i] - 1) }))
	d.scalar("cardinality(anyarray)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(len(a[0].Array().Elems))), nil
	})
	defineArrayEdits(d)
	defineArraySearch(d)
	defineArrayTexts(d)
}

// elementType is the element type of an argument, without modifiers.
func elementType(t *types.T) *types.T {
	if t.Elem == nil {
		return t
	}
	return t.Elem
}

func defineArrayEdits(d definitions) {
	d.scalar("trim_array(anyarray,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		array, n := a[0].Array(), a[1].I
		length := int64(0)
		if len(array.Dims) > 0 {
			length = int64(array.Dims[0])
		}
		if n < 0 || n > length {
			return types.DNull, pgerror.Newf(pgerror.ArraySubscriptError, "number of elements to trim must be between 0 and %d", length)
		}
		if n == length {
			return types.ArrayOf(&types.Array{Elem: array.Elem}), nil
		}
		out := &types.Array{Elem: array.Elem, Dims: append([]int32(nil), array.Dims...), Bounds: make([]int32, len(array.Dims))}
		for i := range out.Bounds {
			out.Bounds[i] = 1
		}
		out.Dims[0] = int32(length - n)
		out.Elems = array.Elems[:int64(len(array.Elems))/length*(length-n)]
		return types.ArrayOf(out), nil
	})
	d.bind("array_remove(anycompatiblearray,anycompatible)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := elementType(args[0])
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			array := a[0].Array()
			if len(array.Dims) > 1 {
				return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "removing elements from multidimensional arrays is not supported")
			}
			var kept []types.Datum
			for _, e := range array.Elems {
				if !notDistinct(t, e, a[1]) {
					kept = append(kept, e)
				}
			}
			if len(kept) == len(array.Elems) {
				return a[0], nil
			}
			out := arrayOf(t, kept).Array()
			if len(kept) > 0 {
				out.Bounds[0] = array.Bounds[0]
			}
			return types.ArrayOf(out), nil
		}
	})
	d.bind("array_replace(anycompatiblearray,anycompatible,anycompatible)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := elementType(args[0])
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			array := *a[0].Array()
			array.Elems = append([]types.Datum(nil), array.Elems...)
			for i, e := range array.Elems {
				if notDistinct(t, e, a[1]) {
					array.Elems[i] = a[2]
				}
			}
			return types.ArrayOf(&array), nil
		}
	})
	fill := func(t *types.T, a []types.Datum, bounds *types.Array) (types.Datum, error) {
		dims := a[1].Array()
		for _, list := range []*types.Array{dims, bounds} {
			if list == nil {
				continue
			}
			if len(list.Dims) > 1 {
				return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts").
					WithDetail("Dimension array must be one dimensional.")
			}
			for _, e := range list.Elems {
				if e.Null {
					return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "dimension values cannot be null")
				}
			}
		}
		if len(dims.Elems) > maximumDimensions {
			return types.DNull, pgerror.Newf(pgerror.ProgramLimitExceeded, "number of array dimensions (%d) exceeds the maximum allowed (%d)", len(dims.Elems), maximumDimensions)
		}
		if bounds != nil && len(bounds.Elems) != len(dims.Elems) {
			return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts").
				WithDetail("Low bound array has different size than dimensions array.")
		}
		out := &types.Array{Elem: t}
		count := int64(1)
		for i, e := range dims.Elems {
			if e.I < 0 || count*max(e.I, 1) > maximumArraySize {
				return types.DNull, errArraySize()
			}
			count *= e.I
			out.Dims = append(out.Dims, int32(e.I))
			bound := int32(1)
			if bounds != nil {
				bound = int32(bounds.Elems[i].I)
			}
			out.Bounds = append(out.Bounds, bound)
		}
		if len(dims.Elems) == 0 || count == 0 {
			return types.ArrayOf(&types.Array{Elem: t}), nil
		}
		out.Elems = make([]types.Datum, count)
		for i := range out.Elems {
			out.Elems[i] = a[0]
		}
		return types.ArrayOf(out), nil
	}
	d.bind("array_fill(anyelement,_int4)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[1].Null {
				return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "dimension array or low bound array cannot be null")
			}
			return fill(args[0], a, nil)
		}
	})
	d.bind("array_fill(anyelement,_int4,_int4)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[1].Null || a[2].Null {
				return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "dimension array or low bound array cannot be null")
			}
			return fill(args[0], a, a[2].Array())
		}
	})
}

// notDistinct is IS NOT DISTINCT FROM.
func notDistinct(t *types.T, a, b types.Datum) bool {
	if a.Null || b.Null {
		return a.Null && b.Null
	}
	return types.Compare(t, a, b) == 0
}

func defineArraySearch(d definitions) {
	position := func(args []*types.T, _ *types.T) types.EvalFunc {
		t := elementType(args[0])
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			array := a[0].Array()
			if len(array.Dims) > 1 {
				return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "searching for elements in multidimensional arrays is not supported")
			}
			from := int64(0)
			if len(a) > 2 {
				if a[2].Null {
					return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "initial position must not be null")
				}
				from = a[2].I
			}
			for i, e := range array.Elems {
				subscript := int64(array.Bounds[0]) + int64(i)
				if (len(a) < 3 || subscript >= from) && notDistinct(t, e, a[1]) {
					return types.Int(subscript), nil
				}
			}
			return types.DNull, nil
		}
	}
	d.bind("array_position(anycompatiblearray,anycompatible)", position)
	d.bind("array_position(anycompatiblearray,anycompatible,int4)", position)
	d.bind("array_positions(anycompatiblearray,anycompatible)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := elementType(args[0])
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			array := a[0].Array()
			if len(array.Dims) > 1 {
				return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "searching for elements in multidimensional arrays is not supported")
			}
			var found []types.Datum
			for i, e := range array.Elems {
				if notDistinct(t, e, a[1]) {
					found = append(found, types.Int(int64(array.Bounds[0])+int64(i)))
				}
			}
			return arrayOf(types.Int4, found), nil
		}
	})
}

func defineArrayTexts(d definitions) {
	split := func(s types.Datum, separator types.Datum, null types.Datum) []types.Datum {
		var parts []string
		switch {
		case s.S == "":
		case separator.Null:
			for _, r := range s.S {
				parts = append(parts, string(r))
			}
		case separator.S == "":
			parts = []string{s.S}
		default:
			parts = strings.Split(s.S, separator.S)
		}
		out := make([]types.Datum, len(parts))
		for i, part := range parts {
			if !null.Null && part == null.S {
				out[i] = types.DNull
			} else {
				out[i] = types.String(part)
			}
		}
		return out
	}
	third := func(a []types.Datum) types.Datum {
		if len(a) > 2 {
			return a[2]
		}
		return types.DNull
	}
	toArray := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Null {
			return types.DNull, nil
		}
		return arrayOf(types.Text, split(a[0], a[1], third(a))), nil
	}
	toTable := func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		if a[0].Null {
			return &valueRows{}, nil
		}
		return &valueRows{values: split(a[0], a[1], third(a))}, nil
	}
	d.scalar("string_to_array(text,text)", toArray)
	d.scalar("string_to_array(text,text,text)", toArray)
	d.rows("string_to_table(text,text)", toTable)
	d.rows("string_to_table(text,text,text)", toTable)
	join := func(args []*types.T, _ *types.T) types.EvalFunc {
		t := elementType(args[0])
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null || a[1].Null {
				return types.DNull, nil
			}
			var b []byte
			first := true
			for _, e := range a[0].Array().Elems {
				null := third(a)
				if e.Null && null.Null {
					continue
				}
				if !first {
					b = append(b, a[1].S...)
				}
				first = false
				if e.Null {
					b = append(b, null.S...)
				} else {
					b = types.AppendText(b, ctx, t, e)
				}
			}
			return types.String(string(b)), nil
		}
	}
	d.bind("array_to_string(anyarray,text)", join)
	d.bind("array_to_string(anyarray,text,text)", join)
}
