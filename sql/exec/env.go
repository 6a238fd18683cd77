package exec

import (
	"context"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
	"github.com/cairndb/cairn/txn"
)

// Transaction is what the executor needs of a *txn.Txn.
type Transaction interface {
	Send(ctx context.Context, b *txn.Batch) ([]kvpb.Response, error)
	Step()
}

var _ Transaction = (*txn.Txn)(nil)

// Env is what one execution of a plan works with. It must not change while the
// Query runs.
type Env struct {
	Txn Transaction
	// Types is what functions may depend on; its Ctx is that of the execution.
	Types *types.Context
	// Resolver finds the tables that foreign keys lead to, and feeds virtual tables.
	Resolver catalog.Resolver
	Session  catalog.SessionState // for virtual tables; may be nil
	// Parameters are $1, $2, …, in the plan's parameter types.
	Parameters []types.Datum
	// Input feeds opt.Input: batches of its columns, nil at the end.
	Input func(ctx context.Context) (*vector.Batch, error)
	// Memory is the query's budget; nil: no limit.
	Memory      *Memory
	LockTimeout time.Duration // 0: none
	// BindExpression binds the text of a default, check or generated column of a
	// table (opt.BindTableExpression does it; Variables have the ids of the table's
	// columns). Referential actions need it for tables that the plan doesn't name.
	BindExpression func(ctx context.Context, table *catalog.Table, text string, want *types.T) (opt.Scalar, error)
	// Statistics asks to measure each node, for EXPLAIN ANALYZE.
	Statistics bool
}

// Operator yields batches. Open begins (or begins again), Next returns the
// next batch, which has at least one row, or nil at the end; Close frees
// what is held and may be called more than once.
type Operator interface {
	Open(context.Context) error
	Next(context.Context) (*vector.Batch, error)
	Close() error
}

// runtime is what the operators and expressions of one Prepared share. Its
// fields change with each execution.
type runtime struct {
	env *Env
	ctx context.Context
	// execution counts the executions: what depends on parameters only is
	// computed once in each.
	execution uint64
	// outer has at a column's id its value for the inner plans of lateral joins
	// and subqueries; outerVersion counts its changes.
	outer        []types.Datum
	outerVersion uint64

	memory    account  // what belongs to no operator
	atEnd     []func() // release what outlives Close until the query's end
	affected  int64
	keyChecks keyChecks
}

// setOuter makes d the value of an outer column.
func (rt *runtime) setOuter(id opt.ColumnID, d types.Datum) {
	for int(id) >= len(rt.outer) {
		rt.outer = append(rt.outer, types.DNull)
	}
	rt.outer[id] = d
	rt.outerVersion++
}

// outerValue returns the value of an outer column.
func (rt *runtime) outerValue(id opt.ColumnID) types.Datum {
	if int(id) >= len(rt.outer) {
		return types.DNull
	}
	return rt.outer[id]
}
