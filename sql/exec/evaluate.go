package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// EvalScalar evaluates an expression without columns: a default, a constant
// of a DDL statement, the argument of EXECUTE.
func EvalScalar(ctx context.Context, env *Env, s opt.Scalar) (types.Datum, error) {
	e, err := NewEvaluator(ctx, env, nil, nil, []opt.Scalar{s})
	if err != nil {
		return types.Datum{}, err
	}
	out, err := e.Row(nil)
	if err != nil {
		return types.Datum{}, err
	}
	return out[0], nil
}

// Evaluator computes expressions over rows that don't come from a plan: checks,
// defaults and generated columns in schema changes. It belongs to one
// goroutine.
type Evaluator struct {
	rt     *runtime
	values []scalar
	batch  *vector.Batch
	out    []types.Datum
}

// NewEvaluator compiles expressions whose Variables are columns, of the given
// types.
func NewEvaluator(ctx context.Context, env *Env, columns []opt.ColumnID, columnTypes []*types.T, expressions []opt.Scalar) (*Evaluator, error) {
	rt := &runtime{env: env, ctx: ctx, execution: 1, outerVersion: 1}
	rt.memory.rt = rt
	s := make(schema, len(columns))
	batch := &vector.Batch{Length: 1}
	for i := range columns {
		s[i] = column{columns[i], columnTypes[i]}
		v := &vector.Vector{}
		v.Prepare(columnTypes[i], 1)
		batch.Columns = append(batch.Columns, v)
	}
	b := &builder{rt: rt}
	values, err := b.scalars(expressions, s)
	if err != nil {
		return nil, err
	}
	if err := b.allKnown(); err != nil {
		return nil, err
	}
	return &Evaluator{rt: rt, values: values, batch: batch, out: make([]types.Datum, len(values))}, nil
}

// Row evaluates the expressions over one row, which has a datum for each
// column. The result is valid until the next call.
func (e *Evaluator) Row(row []types.Datum) ([]types.Datum, error) {
	for i, d := range row {
		e.batch.Columns[i].Set(0, d)
	}
	for i, s := range e.values {
		v, err := s.eval(e.batch, rows{n: 1})
		if err != nil {
			return nil, err
		}
		e.out[i] = v.Datum(0)
	}
	return e.out, nil
}

// Batch evaluates the expressions over a batch with a vector for each column.
// The vectors have values at the batch's rows and are valid until the next
// call.
func (e *Evaluator) Batch(b *vector.Batch) ([]*vector.Vector, error) {
	out := make([]*vector.Vector, len(e.values))
	for i, s := range e.values {
		v, err := s.eval(b, rowsOf(b))
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}
