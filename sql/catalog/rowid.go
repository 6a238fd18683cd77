package catalog

import (
	"sync/atomic"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/types"
)

// RowIDDefault is the default of the hidden column of tables without a primary
// key.
const RowIDDefault = "cairn_row_id()"

// Row ids are 48 bits of time in units of 10 µs and 15 bits of node: rows of
// one node sort by their age, and no two nodes give out the same.
var rowIDs struct {
	node atomic.Int64
	last atomic.Int64 // time part of the last id of this process
}

const rowIDNodeBits = 15

func setRowIDNode(n kvpb.NodeID) { rowIDs.node.Store(int64(n) & (1<<rowIDNodeBits - 1)) }

// NextRowID returns a new row id.
func NextRowID() int64 {
	for {
		now, last := time.Now().UnixNano()/10_000, rowIDs.last.Load()
		if now <= last {
			now = last + 1
		}
		if rowIDs.last.CompareAndSwap(last, now) {
			return now<<rowIDNodeBits | rowIDs.node.Load()
		}
	}
}

func init() {
	types.Register(types.Overload{
		OID: 8500, Name: "cairn_row_id", Return: types.Int8, Volatility: 'v',
		Eval:        func(*types.Context, []types.Datum) (types.Datum, error) { return types.Int(NextRowID()), nil },
		Procedure:   "cairn_row_id",
		Description: "a new number for a row without a primary key",
	})
}
