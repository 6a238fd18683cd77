package exec

import (
	"math"

	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// kind is the Go type in which a family's values are kept.
type kind uint8

const (
	intKind kind = iota
	floatKind
	stringKind
	refKind
)

func kindOf(t *types.T) kind {
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		return intKind
	case types.FloatFamily:
		return floatKind
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily, types.TupleFamily:
		return refKind
	default:
		return stringKind
	}
}

// storedColumn is a column of any length.
type storedColumn struct {
	t       *types.T
	kind    kind
	nulls   []uint64 // a bit a row, possibly shorter than the column
	ints    []int64
	floats  []float64
	strings []string
	refs    []any
}

func (c *storedColumn) null(i int) bool {
	w := i >> 6
	return w < len(c.nulls) && c.nulls[w]&(1<<(i&63)) != 0
}

func (c *storedColumn) setNull(i int) {
	for i>>6 >= len(c.nulls) {
		c.nulls = append(c.nulls, 0)
	}
	c.nulls[i>>6] |= 1 << (i & 63)
}

// append adds value i of v as value at of the column, which is its length.
// It returns the bytes that the value takes beside its slot.
func (c *storedColumn) append(v *vector.Vector, i, at int) int64 {
	null := v.Null(i)
	if null {
		c.setNull(at)
	}
	switch c.kind {
	case intKind:
		c.ints = append(c.ints, v.Ints[i])
	case floatKind:
		c.floats = append(c.floats, v.Floats[i])
	case stringKind:
		if null {
			c.strings = append(c.strings, "")
			return 0
		}
		c.strings = append(c.strings, v.Strings[i])
		return int64(len(v.Strings[i]))
	default:
		if null {
			c.refs = append(c.refs, nil)
			return 0
		}
		c.refs = append(c.refs, v.Refs[i])
		return refBytes
	}
	return 0
}

// appendDatum is append for a datum.
func (c *storedColumn) appendDatum(d types.Datum, at int) int64 {
	if d.Null {
		c.setNull(at)
	}
	switch c.kind {
	case intKind:
		c.ints = append(c.ints, d.I)
	case floatKind:
		c.floats = append(c.floats, math.Float64frombits(uint64(d.I)))
	case stringKind:
		c.strings = append(c.strings, d.S)
		return int64(len(d.S))
	default:
		c.refs = append(c.refs, d.Ref)
		return refBytes
	}
	return 0
}

// copyTo makes value i of the column value to of v.
func (c *storedColumn) copyTo(v *vector.Vector, to, i int) {
	if c.null(i) {
		v.SetNull(to)
		return
	}
	if v.HasNulls {
		v.UnsetNull(to)
	}
	switch c.kind {
	case intKind:
		v.Ints[to] = c.ints[i]
	case floatKind:
		v.Floats[to] = c.floats[i]
	case stringKind:
		v.Strings[to] = c.strings[i]
	default:
		v.Refs[to] = c.refs[i]
	}
}

func (c *storedColumn) datum(i int) types.Datum {
	if c.null(i) {
		return types.DNull
	}
	switch c.kind {
	case intKind:
		return types.Datum{I: c.ints[i]}
	case floatKind:
		return types.Float(c.floats[i])
	case stringKind:
		return types.Datum{S: c.strings[i]}
	default:
		return types.Datum{Ref: c.refs[i]}
	}
}

func (c *storedColumn) reset() {
	clear(c.strings)
	clear(c.refs)
	c.nulls, c.ints, c.floats, c.strings, c.refs = c.nulls[:0], c.ints[:0], c.floats[:0], c.strings[:0], c.refs[:0]
}

const (
	// refBytes is what a numeric, interval, … is estimated to take.
	refBytes = 64
	// keptRows is how many rows' memory a store keeps for its next use.
	keptRows = 4096
)

// rowStore keeps rows by column. Rows are numbered from 0.
type rowStore struct {
	columns []storedColumn
	length  int
	slot    int64 // bytes of a row's slots
	account account
}

func newRowStore(rt *runtime, ts []*types.T) *rowStore {
	s := &rowStore{columns: make([]storedColumn, len(ts)), account: account{rt: rt}}
	for i, t := range ts {
		s.columns[i] = storedColumn{t: t, kind: kindOf(t)}
		if s.columns[i].kind == stringKind || s.columns[i].kind == refKind {
			s.slot += 16
		} else {
			s.slot += 8
		}
	}
	s.slot += s.slot / 4 // slices have room to grow
	return s
}

// appendRow adds row i (a position) of some vectors.
func (s *rowStore) appendRow(columns []*vector.Vector, i int) error {
	bytes := s.slot
	for c := range s.columns {
		bytes += s.columns[c].append(columns[c], i, s.length)
	}
	s.length++
	return s.account.grow(bytes)
}

// appendDatums adds a row of datums.
func (s *rowStore) appendDatums(row []types.Datum) error {
	bytes := s.slot
	for c := range s.columns {
		bytes += s.columns[c].appendDatum(row[c], s.length)
	}
	s.length++
	return s.account.grow(bytes)
}

// appendBatch adds all rows of a batch.
func (s *rowStore) appendBatch(b *vector.Batch) error { return s.appendVectors(b.Columns, rowsOf(b)) }

// appendVectors adds rows of vectors.
func (s *rowStore) appendVectors(columns []*vector.Vector, r rows) error {
	bytes := s.slot * int64(r.n)
	for c := range s.columns {
		column, v := &s.columns[c], columns[c]
		for n := range r.n {
			bytes += column.append(v, r.at(n), s.length+n)
		}
	}
	s.length += r.n
	return s.account.grow(bytes)
}

// emit fills a batch with the rows from row first on and returns their number.
func (s *rowStore) emit(b *vector.Batch, first int) int {
	n := min(s.length-first, vector.Size)
	b.Reset()
	for c := range s.columns {
		column := &s.columns[c]
		v := b.Columns[c]
		v.Prepare(column.t, n)
		switch column.kind {
		case intKind:
			copy(v.Ints, column.ints[first:first+n])
		case floatKind:
			copy(v.Floats, column.floats[first:first+n])
		case stringKind:
			copy(v.Strings, column.strings[first:first+n])
		default:
			copy(v.Refs, column.refs[first:first+n])
		}
		for i := 0; len(column.nulls) > 0 && i < n; i++ {
			if column.null(first + i) {
				v.SetNull(i)
			}
		}
	}
	b.Length = n
	return n
}

// emitOrdered fills a batch with the rows that order names, from first on.
func (s *rowStore) emitOrdered(b *vector.Batch, order []int32, first int) int {
	n := min(len(order)-first, vector.Size)
	b.Reset()
	for c := range s.columns {
		v := b.Columns[c]
		v.Prepare(s.columns[c].t, n)
		for i := range n {
			s.columns[c].copyTo(v, i, int(order[first+i]))
		}
	}
	b.Length = n
	return n
}

// reset forgets the rows and keeps some of their memory for others.
func (s *rowStore) reset() {
	if s.length > keptRows {
		for c := range s.columns {
			s.columns[c] = storedColumn{t: s.columns[c].t, kind: s.columns[c].kind}
		}
	} else {
		for c := range s.columns {
			s.columns[c].reset()
		}
	}
	s.length = 0
	s.account.release()
}

// release forgets the rows and frees their memory.
func (s *rowStore) release() { s.reset() }
