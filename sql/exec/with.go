package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// commonTable is a query of WITH that is run once, as far as its readers read.
type commonTable struct {
	query   Operator
	columns []int // positions of the table's columns in the query's batches
	picked  []*vector.Vector
	store   *rowStore
	opened  bool
	done    bool
	writes  bool // it is run to its end in any case
}

// more reads another batch into the store.
func (t *commonTable) more(ctx context.Context) error {
	if !t.opened {
		t.opened = true
		if err := t.query.Open(ctx); err != nil {
			return err
		}
	}
	b, err := t.query.Next(ctx)
	if err != nil {
		return err
	}
	if b == nil {
		t.done = true
		return t.query.Close()
	}
	t.picked = pick(t.picked, b, t.columns)
	return t.store.appendVectors(t.picked, rowsOf(b))
}

// with is With: it begins its tables anew and runs those that write.
type with struct {
	Operator
	tables []*commonTable
}

func (b *builder) with(n *opt.With) (Operator, schema, error) {
	w := &with{}
	if b.common == nil {
		b.common = map[*opt.CommonTable]*commonTable{}
	}
	for _, t := range n.Tables {
		outside := b.writes
		b.writes = false
		b.depth++
		query, s, err := b.build(t.Query)
		b.depth--
		if err != nil {
			return nil, nil, err
		}
		c := &commonTable{query: query, writes: b.writes}
		b.writes = b.writes || outside
		if c.columns, err = s.positions(t.Columns); err != nil {
			return nil, nil, err
		}
		var ts []*types.T
		for _, p := range c.columns {
			ts = append(ts, s[p].t)
		}
		c.store = newRowStore(b.rt, ts)
		b.common[t] = c
		w.tables = append(w.tables, c)
	}
	var s schema
	var err error
	w.Operator, s, err = b.build(n.Input)
	return w, s, err
}

func (w *with) Open(ctx context.Context) error {
	for _, t := range w.tables {
		t.opened, t.done = false, false
		t.store.reset()
	}
	for _, t := range w.tables {
		for t.writes && !t.done {
			if err := t.more(ctx); err != nil {
				return err
			}
		}
	}
	return w.Operator.Open(ctx)
}

func (w *with) Close() error {
	err := w.Operator.Close()
	for _, t := range w.tables {
		if t.opened {
			if e := t.query.Close(); err == nil {
				err = e
			}
		}
		t.opened = false
		t.store.release()
	}
	return err
}

// commonScan reads a commonTable.
type commonScan struct {
	table *commonTable
	next  int
	out   *vector.Batch
}

func (b *builder) commonScan(n *opt.CommonScan) (Operator, schema, error) {
	t := b.common[n.Table]
	if t == nil {
		return nil, nil, internalf("common table %q is read outside of its WITH", n.Table.Name)
	}
	s := make(schema, len(n.Columns))
	for i, id := range n.Columns {
		s[i] = column{id, t.store.columns[i].t}
	}
	return &commonScan{table: t, out: &vector.Batch{Columns: newVectors(s.types())}}, s, nil
}

func (c *commonScan) Open(context.Context) error {
	c.next = 0
	return nil
}

func (c *commonScan) Next(ctx context.Context) (*vector.Batch, error) {
	for c.next == c.table.store.length {
		if c.table.done {
			return nil, nil
		}
		if err := c.table.more(ctx); err != nil {
			return nil, err
		}
	}
	c.next += c.table.store.emit(c.out, c.next)
	return c.out, nil
}

func (c *commonScan) Close() error { return nil }

// workTable is the rows that a recursive query's last round found.
type workTable struct {
	types []*types.T
	rows  *rowStore
}

// recursiveUnion is WITH RECURSIVE.
type recursiveUnion struct {
	rt            *runtime
	initial, step Operator
	all           bool
	fromInitial   []int
	fromStep      []int
	work          *workTable
	next          *rowStore // what the running round finds
	seen          *rowStore // of UNION without ALL
	table         *hashTable
	inStep, done  bool
	running       Operator
	columns       []*vector.Vector
	selection     []int32
	out           vector.Batch
}

func (b *builder) recursiveUnion(n *opt.RecursiveUnion) (Operator, schema, error) {
	s := b.schemaOf(n.Columns)
	work := &workTable{types: s.types(), rows: newRowStore(b.rt, s.types())}
	if b.work == nil {
		b.work = map[*opt.WorkTable]*workTable{}
	}
	b.work[n.Work] = work
	initial, initialSchema, err := b.build(n.Initial)
	if err != nil {
		return nil, nil, err
	}
	step, stepSchema, err := b.build(n.Step)
	if err != nil {
		return nil, nil, err
	}
	r := &recursiveUnion{rt: b.rt, initial: initial, step: step, all: n.All, work: work, next: newRowStore(b.rt, s.types())}
	if r.fromInitial, err = initialSchema.positions(n.InitialColumns); err != nil {
		return nil, nil, err
	}
	if r.fromStep, err = stepSchema.positions(n.StepColumns); err != nil {
		return nil, nil, err
	}
	var all []int
	for i := range s {
		all = append(all, i)
	}
	r.seen = newRowStore(b.rt, s.types())
	r.table = newHashTable(r.seen, all)
	return r, s, nil
}

func (r *recursiveUnion) Open(ctx context.Context) error {
	r.work.rows.reset()
	r.next.reset()
	r.seen.reset()
	r.table.reset()
	r.inStep, r.done = false, false
	r.running = r.initial
	return r.initial.Open(ctx)
}

func (r *recursiveUnion) Next(ctx context.Context) (*vector.Batch, error) {
	for !r.done {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := r.running.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			if err := r.nextRound(ctx); err != nil {
				return nil, err
			}
			continue
		}
		from := r.fromInitial
		if r.inStep {
			from = r.fromStep
		}
		r.columns = pick(r.columns, b, from)
		r.out = vector.Batch{Columns: r.columns, Length: b.Length, Selection: b.Selection}
		if !r.all {
			r.selection = r.selection[:0]
			hashes := r.table.hash(r.columns, rowsOf(b))
			for n := range b.Length {
				_, added, err := r.table.findOrAdd(r.columns, r.columns, b.Row(n), hashes[n])
				if err != nil {
					return nil, err
				}
				if added {
					r.selection = append(r.selection, int32(b.Row(n)))
				}
			}
			if len(r.selection) == 0 {
				continue
			}
			r.out.Length, r.out.Selection = len(r.selection), r.selection
		}
		if err := r.next.appendBatch(&r.out); err != nil {
			return nil, err
		}
		return &r.out, nil
	}
	return nil, nil
}

// nextRound makes what was found the work table, and runs the step over it.
func (r *recursiveUnion) nextRound(ctx context.Context) error {
	if err := r.running.Close(); err != nil {
		return err
	}
	if r.next.length == 0 {
		r.done = true
		return nil
	}
	r.work.rows, r.next = r.next, r.work.rows
	r.next.reset()
	r.inStep, r.running = true, r.step
	return r.step.Open(ctx)
}

func (r *recursiveUnion) Close() error {
	r.work.rows.release()
	r.next.release()
	r.seen.release()
	r.table.reset()
	err := r.initial.Close()
	if e := r.step.Close(); err == nil {
		err = e
	}
	return err
}

// workScan reads a workTable.
type workScan struct {
	work *workTable
	next int
	out  *vector.Batch
}

func (b *builder) workScan(n *opt.WorkScan) (Operator, schema, error) {
	w := b.work[n.Work]
	if w == nil {
		return nil, nil, internalf("work table %q is read outside of its query", n.Work.Name)
	}
	s := make(schema, len(n.Columns))
	for i, id := range n.Columns {
		s[i] = column{id, w.types[i]}
	}
	return &workScan{work: w, out: &vector.Batch{Columns: newVectors(w.types)}}, s, nil
}

func (w *workScan) Open(context.Context) error {
	w.next = 0
	return nil
}

func (w *workScan) Next(context.Context) (*vector.Batch, error) {
	if w.next >= w.work.rows.length {
		return nil, nil
	}
	w.next += w.work.rows.emit(w.out, w.next)
	return w.out, nil
}

func (w *workScan) Close() error { return nil }
