package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// Prepared is a plan made ready to run, any number of times but one at a time.
type Prepared struct {
	plan  *opt.Plan
	rt    *runtime
	root  Operator
	stats map[opt.Node]*measured
	query Query
	// positions of the plan's result columns in root's batches.
	positions []int
	types     []*types.T
	writes    bool // it has a node that writes
}

// Prepare compiles a plan. The plan is not changed and may be shared.
func Prepare(p *opt.Plan) (*Prepared, error) {
	rt := &runtime{}
	rt.memory.rt = rt
	b := &builder{rt: rt, plan: p}
	root, s, err := b.build(p.Root)
	if err != nil {
		return nil, err
	}
	prepared := &Prepared{plan: p, rt: rt, root: root, writes: b.writes, stats: b.stats}
	if err := b.allKnown(); err != nil {
		return nil, err
	}
	rt.keyChecks.rt = rt
	for _, c := range p.Columns {
		i := s.find(c.ID)
		if i < 0 {
			return nil, internalf("result column %d is not in the plan's output", c.ID)
		}
		prepared.positions = append(prepared.positions, i)
	}
	prepared.types = s.types()
	return prepared, nil
}

// Plan returns the plan.
func (p *Prepared) Plan() *opt.Plan { return p.plan }

// Start returns the query of one execution, to be opened, read and closed; the
// last one should be closed. The Query is valid until the next Start. While a
// query is open, as a suspended portal is, another one gets operators of its
// own.
func (p *Prepared) Start(ctx context.Context, env *Env) (*Query, error) {
	if env.Types == nil {
		return nil, internalf("an execution without a types.Context")
	}
	if p.query.opened {
		another, err := Prepare(p.plan)
		if err != nil {
			return nil, err
		}
		return another.Start(ctx, env)
	}
	rt := p.rt
	rt.env, rt.ctx = env, ctx
	rt.execution++
	rt.outerVersion++
	rt.affected = 0
	rt.keyChecks.reset()
	p.query = Query{prepared: p, Columns: p.positions}
	return &p.query, nil
}

// Build is Prepare and Start, for a plan that is run once.
func Build(ctx context.Context, env *Env, p *opt.Plan) (*Query, error) {
	prepared, err := Prepare(p)
	if err != nil {
		return nil, err
	}
	return prepared.Start(ctx, env)
}

// Query is one execution of a plan. It is an Operator.
type Query struct {
	// Columns are the positions of the plan's result columns in the batches.
	Columns []int

	prepared *Prepared
	opened   bool
	finished bool
	// buffered holds the rows of a plan that writes and returns.
	buffered *rowStore
	out      *vector.Batch
	emitted  int
}

var _ Operator = (*Query)(nil)

// Open begins the execution.
func (q *Query) Open(ctx context.Context) error {
	q.prepared.rt.ctx = ctx
	q.opened = true
	return q.prepared.root.Open(ctx)
}

// Next returns the next batch of rows, nil at the end. Rows of a plan that
// writes come when all is written and checked; one that returns nothing does
// its work in the first call.
func (q *Query) Next(ctx context.Context) (*vector.Batch, error) {
	p := q.prepared
	p.rt.ctx = ctx
	if !p.writes {
		return p.root.Next(ctx)
	}
	if !q.finished {
		if err := q.runToEnd(ctx); err != nil {
			return nil, err
		}
		q.finished = true
	}
	if q.buffered == nil || q.emitted == q.buffered.length {
		return nil, nil
	}
	if q.out == nil {
		q.out = vector.NewBatch(p.types)
	}
	q.emitted += q.buffered.emit(q.out, q.emitted)
	return q.out, nil
}

func (q *Query) runToEnd(ctx context.Context) error {
	p := q.prepared
	if len(p.positions) > 0 {
		q.buffered = newRowStore(p.rt, p.types)
	}
	for {
		b, err := p.root.Next(ctx)
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		if q.buffered != nil {
			if err := q.buffered.appendBatch(b); err != nil {
				return err
			}
		}
	}
	return p.rt.keyChecks.run(ctx)
}

// Close ends the execution.
func (q *Query) Close() error {
	if !q.opened {
		return nil
	}
	q.opened = false
	err := q.prepared.root.Close()
	if q.buffered != nil {
		q.buffered.release()
		q.buffered = nil
	}
	rt := q.prepared.rt
	rt.keyChecks.reset()
	for _, release := range rt.atEnd {
		release()
	}
	rt.memory.release()
	return err
}

// Run reads the query to its end, for statements whose rows nobody wants, and
// returns how many rows were affected.
func (q *Query) Run(ctx context.Context) (int64, error) {
	if err := q.Open(ctx); err != nil {
		return 0, err
	}
	for {
		b, err := q.Next(ctx)
		if err != nil {
			return 0, err
		}
		if b == nil {
			return q.RowsAffected(), nil
		}
	}
}

// RowsAffected returns how many rows the statement has inserted, updated or
// deleted so far; those of modifying WITH queries don't count.
func (q *Query) RowsAffected() int64 { return q.prepared.rt.affected }

// Actual returns what was measured of a node where Env.Statistics asked for
// it, nil if it never ran.
func (q *Query) Actual(n opt.Node) *opt.ActualStats {
	m := q.prepared.stats[n]
	if m == nil || m.Loops == 0 {
		return nil
	}
	return &m.ActualStats
}
