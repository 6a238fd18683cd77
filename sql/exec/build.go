package exec

import (
	"context"
	"slices"
	"time"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// builder turns the nodes of one plan into operators.
type builder struct {
	rt   *runtime
	plan *opt.Plan
	// frames are the outer columns that were met, one list for each plan that is
	// being built within another.
	frames [][]opt.ColumnID
	// common and work find what CommonScan and WorkScan read.
	common map[*opt.CommonTable]*commonTable
	work   map[*opt.WorkTable]*workTable
	stats  map[opt.Node]*measured
	// writes: a node that writes was built; volatile: a volatile function was.
	writes, volatile bool
	// depth counts the With queries around: their rows are not "affected".
	depth int
}

// noteOuter records the use of a column that the input doesn't have.
func (b *builder) noteOuter(id opt.ColumnID) {
	if len(b.frames) == 0 {
		b.frames = append(b.frames, nil)
	}
	top := &b.frames[len(b.frames)-1]
	if !slices.Contains(*top, id) {
		*top = append(*top, id)
	}
}

// allKnown fails if a column is used that nobody yields.
func (b *builder) allKnown() error {
	if len(b.frames) > 0 && len(b.frames[0]) > 0 {
		return internalf("columns %v are not there", b.frames[0])
	}
	return nil
}

// inner runs build and returns the outer columns that what it built uses.
func (b *builder) inner(build func() error) ([]opt.ColumnID, error) {
	if len(b.frames) == 0 {
		b.frames = append(b.frames, nil)
	}
	b.frames = append(b.frames, nil)
	err := build()
	uses := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	return uses, err
}

// use says where a column comes from that an inner plan uses.
func (b *builder) use(id opt.ColumnID, s schema) outerUse {
	i := s.find(id)
	if i < 0 {
		b.noteOuter(id)
	}
	return outerUse{id: id, position: i, t: b.typeOf(id)}
}

// typeOf returns the type of a column of the plan.
func (b *builder) typeOf(id opt.ColumnID) *types.T {
	if b.plan != nil && int(id) <= len(b.plan.Metadata) && id > 0 {
		return b.plan.Metadata[id-1].Type
	}
	return types.Unknown
}

// schemaOf makes a schema of columns by the plan's metadata.
func (b *builder) schemaOf(ids []opt.ColumnID) schema {
	s := make(schema, len(ids))
	for i, id := range ids {
		s[i] = column{id, b.typeOf(id)}
	}
	return s
}

// build turns a node and what is below it into operators.
func (b *builder) build(n opt.Node) (Operator, schema, error) {
	op, s, err := b.node(n)
	if err != nil {
		return nil, nil, err
	}
	if b.stats == nil {
		b.stats = map[opt.Node]*measured{}
	}
	m := &measured{rt: b.rt, op: op}
	b.stats[n] = m
	return m, s, nil
}

func (b *builder) node(n opt.Node) (Operator, schema, error) {
	switch n := n.(type) {
	case *opt.Scan:
		return b.scan(n)
	case *opt.IndexJoin:
		return b.indexJoin(n)
	case *opt.LookupJoin:
		return b.lookupJoin(n)
	case *opt.VirtualScan:
		return b.virtualScan(n)
	case *opt.Values:
		return b.values(n)
	case *opt.Input:
		s := make(schema, len(n.Columns))
		for i, id := range n.Columns {
			s[i] = column{id, n.Types[i]}
		}
		return &input{rt: b.rt}, s, nil
	case *opt.Filter:
		return b.filter(n)
	case *opt.Project:
		return b.project(n)
	case *opt.Join:
		return b.join(n)
	case *opt.Aggregate:
		return b.aggregate(n)
	case *opt.DistinctRows:
		return b.distinctRows(n)
	case *opt.Sort:
		return b.sort(n)
	case *opt.Limit:
		return b.limit(n)
	case *opt.SetOperation:
		return b.setOperation(n)
	case *opt.Window:
		return b.window(n)
	case *opt.ProjectSet:
		return b.projectSet(n)
	case *opt.FunctionScan:
		return b.functionScan(n)
	case *opt.With:
		return b.with(n)
	case *opt.CommonScan:
		return b.commonScan(n)
	case *opt.RecursiveUnion:
		return b.recursiveUnion(n)
	case *opt.WorkScan:
		return b.workScan(n)
	case *opt.LockRows:
		return b.lockRows(n)
	case *opt.Insert:
		return b.insert(n)
	case *opt.Update:
		return b.update(n)
	case *opt.Delete:
		return b.delete(n)
	}
	return nil, nil, internalf("unknown node %T", n)
}

// measured counts what an operator yields, where the execution asks for it.
type measured struct {
	opt.ActualStats
	rt        *runtime
	op        Operator
	execution uint64
	opened    time.Time
	started   bool
}

func (m *measured) Open(ctx context.Context) error {
	if !m.rt.env.Statistics {
		return m.op.Open(ctx)
	}
	if m.execution != m.rt.execution {
		m.ActualStats, m.execution = opt.ActualStats{}, m.rt.execution
	}
	m.Loops++
	m.started = false
	m.opened = time.Now()
	err := m.op.Open(ctx)
	m.Total += time.Since(m.opened)
	return err
}

func (m *measured) Next(ctx context.Context) (*vector.Batch, error) {
	if !m.rt.env.Statistics {
		return m.op.Next(ctx)
	}
	begin := time.Now()
	b, err := m.op.Next(ctx)
	m.Total += time.Since(begin)
	if !m.started {
		m.started = true
		m.Startup += m.Total
	}
	if b != nil {
		m.Rows += int64(b.Length)
	}
	return b, err
}

func (m *measured) Close() error {
	if d, ok := m.op.(interface{ details() []string }); ok && m.rt.env.Statistics && m.started {
		m.Extra = d.details()
	}
	return m.op.Close()
}
