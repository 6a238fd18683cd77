package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// column is a column of an operator's batches.
type column struct {
	id opt.ColumnID
	t  *types.T
}

// schema says which columns an operator's batches have, in order.
type schema []column

// find returns the position of a column, -1 if it is not there.
func (s schema) find(id opt.ColumnID) int {
	for i := range s {
		if s[i].id == id {
			return i
		}
	}
	return -1
}

func (s schema) types() []*types.T {
	ts := make([]*types.T, len(s))
	for i := range s {
		ts[i] = s[i].t
	}
	return ts
}

// positions returns where columns are.
func (s schema) positions(ids []opt.ColumnID) ([]int, error) {
	positions := make([]int, len(ids))
	for i, id := range ids {
		if positions[i] = s.find(id); positions[i] < 0 {
			return nil, internalf("column %d is not in the input", id)
		}
	}
	return positions, nil
}

func (s schema) plus(more schema) schema {
	return append(append(make(schema, 0, len(s)+len(more)), s...), more...)
}

// internalf is an error that only a wrong plan can cause.
func internalf(format string, args ...any) error {
	return pgerror.Newf(pgerror.Internal, "executor: "+format, args...)
}

// rows names rows of a batch by their positions: selection, or the first n.
type rows struct {
	selection []int32
	n         int
}

func rowsOf(b *vector.Batch) rows { return rows{b.Selection, b.Length} }

// at returns the position of row i.
func (r rows) at(i int) int {
	if r.selection != nil {
		return int(r.selection[i])
	}
	return i
}

// end returns the position after the last row.
func (r rows) end() int {
	if r.selection != nil && r.n > 0 {
		return int(r.selection[r.n-1]) + 1
	}
	return r.n
}
