package functions

import (
	"unsafe"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func errBigintRange() error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "bigint out of range")
}

func errIntervalRange() error {
	return pgerror.New(pgerror.DatetimeFieldOverflow, "interval out of range")
}

// defineCollections defines the aggregates that gather values.
func defineCollections(d definitions) {
	d.aggregateNulls("array_agg(anynonarray)", func(args []*types.T, _ *types.T) func() types.Accumulator {
		t := args[0]
		return func() types.Accumulator { return &arrayCollection{element: t.WithTypmod(-1)} }
	})
	d.aggregateNulls("array_agg(anyarray)", func(args []*types.T, _ *types.T) func() types.Accumulator {
		t := elementType(args[0])
		return func() types.Accumulator { return &arrayCollection{element: t, nested: true} }
	})
	for _, binary := range []bool{false, true} {
		prefix := "json"
		if binary {
			prefix = "jsonb"
		}
		d.aggregateNulls(prefix+"_agg(anyelement)", func(args []*types.T, _ *types.T) func() types.Accumulator {
			t := args[0]
			return func() types.Accumulator { return &jsonCollection{t: t, binary: binary} }
		})
		d.aggregateNulls(prefix+"_object_agg(any,any)", func(args []*types.T, _ *types.T) func() types.Accumulator {
			key, value := args[0], args[1]
			return func() types.Accumulator { return &jsonObjectCollection{key: key, value: value, binary: binary} }
		})
	}
}

// arrayCollection is array_agg; nested: of arrays, which must have like dimensions.
type arrayCollection struct {
	element *types.T
	nested  bool
	some    bool
	dims    []int32
	bounds  []int32
	count   int32
	items   []types.Datum
	bytes   int64
}

func (c *arrayCollection) Add(_ *types.Context, a []types.Datum) error {
	c.some = true
	if !c.nested {
		c.items = append(c.items, a[0])
		c.bytes += datumBytes + int64(len(a[0].S))
		return nil
	}
	if a[0].Null {
		return pgerror.New(pgerror.NullValueNotAllowed, "cannot accumulate null arrays")
	}
	array := a[0].Array()
	if len(array.Dims) == 0 {
		return pgerror.New(pgerror.ArraySubscriptError, "cannot accumulate empty arrays")
	}
	if c.count == 0 {
		c.dims, c.bounds = array.Dims, array.Bounds
	}
	same := len(c.dims) == len(array.Dims)
	for i := 0; same && i < len(c.dims); i++ {
		same = c.dims[i] == array.Dims[i]
	}
	if !same {
		return pgerror.New(pgerror.ArraySubscriptError, "cannot accumulate arrays of different dimensionality")
	}
	c.count++
	c.items = append(c.items, array.Elems...)
	c.bytes += int64(len(array.Elems)) * datumBytes
	return nil
}

func (c *arrayCollection) Result(*types.Context) (types.Datum, error) {
	if !c.some {
		return types.DNull, nil
	}
	items := append([]types.Datum(nil), c.items...)
	if !c.nested {
		return arrayOf(c.element, items), nil
	}
	return types.ArrayOf(&types.Array{
		Elem: c.element, Elems: items, Dims: append([]int32{c.count}, c.dims...), Bounds: append([]int32{1}, c.bounds...),
	}), nil
}

func (c *arrayCollection) MemoryBytes() int64 { return int64(unsafe.Sizeof(*c)) + c.bytes }

// jsonCollection is json_agg and jsonb_agg.
type jsonCollection struct {
	t      *types.T
	binary bool
	b      []byte
}

func (c *jsonCollection) Add(ctx *types.Context, a []types.Datum) error {
	if len(c.b) == 0 {
		c.b = append(c.b, '[')
	} else {
		c.b = append(c.b, ", "...)
		if !a[0].Null && (c.t.Family == types.ArrayFamily || c.t.Family == types.TupleFamily) {
			c.b = append(c.b, "\n "...)
		}
	}
	c.b = appendJSON(c.b, ctx, c.t, a[0], false)
	if len(c.b) > maximumBytes {
		return errTooLong()
	}
	return nil
}

func (c *jsonCollection) Result(ctx *types.Context) (types.Datum, error) {
	if len(c.b) == 0 {
		return types.DNull, nil
	}
	return finishJSON(ctx, append(c.b[:len(c.b):len(c.b)], ']'), c.binary)
}

func (c *jsonCollection) MemoryBytes() int64 { return int64(unsafe.Sizeof(*c)) + int64(cap(c.b)) }

// jsonObjectCollection is json_object_agg and jsonb_object_agg.
type jsonObjectCollection struct {
	key, value *types.T
	binary     bool
	b          []byte
}

func (c *jsonObjectCollection) Add(ctx *types.Context, a []types.Datum) error {
	if len(c.b) == 0 {
		c.b = append(c.b, "{ "...)
	} else {
		c.b = append(c.b, ", "...)
	}
	if a[0].Null {
		message := "field name must not be null"
		return pgerror.New(pgerror.InvalidParameterValue, message)
	}
	var err error
	if c.b, err = jsonKey(c.b, ctx, c.key, a[0]); err != nil {
		return err
	}
	c.b = append(c.b, " : "...)
	c.b = appendJSON(c.b, ctx, c.value, a[1], false)
	if len(c.b) > maximumBytes {
		return errTooLong()
	}
	return nil
}

func (c *jsonObjectCollection) Result(ctx *types.Context) (types.Datum, error) {
	if len(c.b) == 0 {
		return types.DNull, nil
	}
	return finishJSON(ctx, append(c.b[:len(c.b):len(c.b)], " }"...), c.binary)
}

func (c *jsonObjectCollection) MemoryBytes() int64 { return int64(unsafe.Sizeof(*c)) + int64(cap(c.b)) }
