package exec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// sortKey is a column to sort by, by its position.
type sortKey struct {
	position   int
	descending bool
	nullsFirst bool
}

func sortKeys(keys []opt.OrderKey, s schema) ([]sortKey, error) {
	out := make([]sortKey, len(keys))
	for i, k := range keys {
		p := s.find(k.ID)
		if p < 0 {
			return nil, internalf("sort column %d is not in the input", k.ID)
		}
		out[i] = sortKey{p, k.Descending, k.NullsFirst}
	}
	return out, nil
}

// compareFloats is PostgreSQL's order: NaN is equal to itself and greatest.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a == a:
		return -1
	case b == b:
		return 1
	}
	return 0
}

// compareNulls orders two values of which at least one is NULL.
func compareNulls(a, b, nullsFirst bool) int {
	switch {
	case a == b:
		return 0
	case a == nullsFirst:
		return -1
	default:
		return 1
	}
}

// compareRows compares values i and j of the column, which are not NULL.
func (c *storedColumn) compareRows(i, j int) int {
	switch c.kind {
	case intKind:
		return cmp.Compare(c.ints[i], c.ints[j])
	case floatKind:
		return compareFloats(c.floats[i], c.floats[j])
	case stringKind:
		if c.t.OID != oidBPChar && c.t.OID != oidJSONB {
			return strings.Compare(c.strings[i], c.strings[j])
		}
	}
	return types.Compare(c.t, c.datum(i), c.datum(j))
}

// compare orders rows i and j by keys.
func (s *rowStore) compare(keys []sortKey, i, j int) int {
	for k := range keys {
		key := &keys[k]
		c := &s.columns[key.position]
		order := 0
		if in, jn := c.null(i), c.null(j); in || jn {
			order = compareNulls(in, jn, key.nullsFirst)
		} else if order = c.compareRows(i, j); key.descending {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// sorted returns the numbers of the store's rows from first to end in the
// order of keys; equal rows keep their order.
func (s *rowStore) sorted(keys []sortKey, order []int32, first, end int) []int32 {
	order = slices.Grow(order[:0], end-first)
	for i := first; i < end; i++ {
		order = append(order, int32(i))
	}
	if len(keys) == 1 && s.columns[keys[0].position].kind == intKind && len(s.columns[keys[0].position].nulls) == 0 {
		ints := s.columns[keys[0].position].ints
		if keys[0].descending {
			slices.SortFunc(order, func(i, j int32) int { return cmp.Or(cmp.Compare(ints[j], ints[i]), cmp.Compare(i, j)) })
		} else {
			slices.SortFunc(order, func(i, j int32) int { return cmp.Or(cmp.Compare(ints[i], ints[j]), cmp.Compare(i, j)) })
		}
		return order
	}
	slices.SortFunc(order, func(i, j int32) int {
		if order := s.compare(keys, int(i), int(j)); order != 0 {
			return order
		}
		return cmp.Compare(i, j)
	})
	return order
}

// compareVectors compares value i of a with value j of b, of the same type and
// not NULL.
func compareVectors(a *vector.Vector, i int, b *vector.Vector, j int) int {
	switch kindOf(a.Type) {
	case intKind:
		return cmp.Compare(a.Ints[i], b.Ints[j])
	case floatKind:
		return compareFloats(a.Floats[i], b.Floats[j])
	case stringKind:
		if a.Type.OID != oidBPChar && a.Type.OID != oidJSONB {
			return strings.Compare(a.Strings[i], b.Strings[j])
		}
	}
	return types.Compare(a.Type, a.Datum(i), b.Datum(j))
}

// compareStored compares value i of v with value j of c, not NULL.
func compareStored(v *vector.Vector, i int, c *storedColumn, j int) int {
	switch c.kind {
	case intKind:
		return cmp.Compare(v.Ints[i], c.ints[j])
	case floatKind:
		return compareFloats(v.Floats[i], c.floats[j])
	case stringKind:
		if c.t.OID != oidBPChar && c.t.OID != oidJSONB {
			return strings.Compare(v.Strings[i], c.strings[j])
		}
	}
	return types.Compare(c.t, v.Datum(i), c.datum(j))
}
