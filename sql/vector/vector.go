// Package vector holds columns of values of one type, as operators pass them
// on: a batch of about a thousand rows, each column in a slice of its
// family's Go type, with a bitmap of NULLs and a selection of the rows that
// are still in play (Boncz et al., "MonetDB/X100", CIDR 2005).
//
// A batch belongs to the operator that returned it, until that operator is
// asked for the next one: who wants to keep values copies them. Nothing here is
// safe for concurrent use.
package vector

import (
	"math"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/types"
)

// Size is how many rows a batch holds at most.
const Size = 1024

// Vector is one column of a batch. Which slice holds its values depends on the
// family of its type; the others are nil. Values at NULL positions have no
// meaning, but Refs that are read there may be nil.
type Vector struct {
	Type *types.T
	// HasNulls is false only if no bit of the bitmap is set.
	HasNulls bool
	nulls    [Size / 64]uint64

	Ints    []int64   // BoolFamily (0, 1), IntFamily
	Floats  []float64 // FloatFamily
	Strings []string  // BytesFamily, UnknownFamily, VoidFamily
	Refs    []any     // DecimalFamily, IntervalFamily, ArrayFamily, TupleFamily, as in Datum.Ref
}

// New returns a vector of Size values that are not NULL and zero.
func New(t *types.T) *Vector {
	v := &Vector{}
	v.Reset(t)
	return v
}

// Reset makes the vector one of type t with room for Size values and no NULLs.
// Values are left over.
func (v *Vector) Reset(t *types.T) { v.Prepare(t, Size) }

// Prepare makes the vector one of type t with room for at least n values, at
// most Size, and no NULLs. Values are left over or lost: short batches, as
// point queries have them, don't pay for Size values.
func (v *Vector) Prepare(t *types.T, n int) {
	v.Type = t
	v.ClearNulls()
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		if len(v.Ints) < n {
			v.Ints = make([]int64, room(n))
		}
	case types.FloatFamily:
		if len(v.Floats) < n {
			v.Floats = make([]float64, room(n))
		}
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.TupleFamily:
		if len(v.Refs) < n {
			v.Refs = make([]any, room(n))
		}
	default:
		if len(v.Strings) < n {
			v.Strings = make([]string, room(n))
		}
	}
}

// room rounds a number of values up to one of few sizes.
func room(n int) int {
	switch {
	case n <= 4:
		return 4
	case n <= 64:
		return 64
	default:
		return Size
	}
}

// ClearNulls makes no value NULL.
func (v *Vector) ClearNulls() {
	if v.HasNulls {
		clear(v.nulls[:])
		v.HasNulls = false
	}
}

// Null reports whether value i is NULL.
func (v *Vector) Null(i int) bool { return v.HasNulls && v.nulls[i>>6]&(1<<(i&63)) != 0 }

// SetNull makes value i NULL.
func (v *Vector) SetNull(i int) {
	v.HasNulls = true
	v.nulls[i>>6] |= 1 << (i & 63)
}

// UnsetNull makes value i not NULL.
func (v *Vector) UnsetNull(i int) { v.nulls[i>>6] &^= 1 << (i & 63) }

// CopyNulls makes the same values NULL as in from.
func (v *Vector) CopyNulls(from *Vector) {
	if !from.HasNulls {
		v.ClearNulls()
		return
	}
	v.HasNulls = true
	v.nulls = from.nulls
}

// UnionNulls makes NULL what is NULL in a or in b.
func (v *Vector) UnionNulls(a, b *Vector) {
	v.CopyNulls(a)
	if !b.HasNulls {
		return
	}
	v.HasNulls = true
	for i := range v.nulls {
		v.nulls[i] |= b.nulls[i]
	}
}

// SetAllNull makes all values NULL.
func (v *Vector) SetAllNull() {
	v.HasNulls = true
	for i := range v.nulls {
		v.nulls[i] = math.MaxUint64
	}
}

// Datum returns value i.
func (v *Vector) Datum(i int) types.Datum {
	if v.Null(i) {
		return types.DNull
	}
	switch v.Type.Family {
	case types.BoolFamily, types.IntFamily:
		return types.Datum{I: v.Ints[i]}
	case types.FloatFamily:
		return types.Float(v.Floats[i])
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.TupleFamily:
		return types.Datum{Ref: v.Refs[i]}
	default:
		return types.Datum{S: v.Strings[i]}
	}
}

// Set makes d value i; d is of the vector's type.
func (v *Vector) Set(i int, d types.Datum) {
	if d.Null {
		v.SetNull(i)
		return
	}
	if v.HasNulls {
		v.UnsetNull(i)
	}
	switch v.Type.Family {
	case types.BoolFamily, types.IntFamily:
		v.Ints[i] = d.I
	case types.FloatFamily:
		v.Floats[i] = math.Float64frombits(uint64(d.I))
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.TupleFamily:
		v.Refs[i] = d.Ref
	default:
		v.Strings[i] = d.S
	}
}

// Copy makes value i of from, which is of the same family, value to of v.
func (v *Vector) Copy(to int, from *Vector, i int) {
	if from.Null(i) {
		v.SetNull(to)
		return
	}
	if v.HasNulls {
		v.UnsetNull(to)
	}
	switch v.Type.Family {
	case types.BoolFamily, types.IntFamily:
		v.Ints[to] = from.Ints[i]
	case types.FloatFamily:
		v.Floats[to] = from.Floats[i]
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.TupleFamily:
		v.Refs[to] = from.Refs[i]
	default:
		v.Strings[to] = from.Strings[i]
	}
}

// Decimal returns value i of the DecimalFamily, which is not NULL.
func (v *Vector) Decimal(i int) *apd.Decimal { return v.Refs[i].(*apd.Decimal) }

// Batch is some rows.
type Batch struct {
	Columns []*Vector
	// Length is how many rows there are: with a Selection, how many it has.
	Length int
	// Selection are the positions of the rows in the vectors, rising; nil: the
	// first Length.
	Selection []int32
}

// NewBatch returns an empty batch with a vector for each type.
func NewBatch(columns []*types.T) *Batch {
	b := &Batch{Columns: make([]*Vector, len(columns))}
	for i, t := range columns {
		b.Columns[i] = New(t)
	}
	return b
}

// Row returns the position in the vectors of the batch's row n.
func (b *Batch) Row(n int) int {
	if b.Selection != nil {
		return int(b.Selection[n])
	}
	return n
}

// End returns the position after the batch's last row.
func (b *Batch) End() int {
	if b.Selection != nil && b.Length > 0 {
		return int(b.Selection[b.Length-1]) + 1
	}
	return b.Length
}

// Reset empties the batch.
func (b *Batch) Reset() {
	b.Length, b.Selection = 0, nil
	for _, c := range b.Columns {
		c.ClearNulls()
	}
}
