package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// rowReader makes a table's rows, as rowenc takes them, of batches.
type rowReader struct {
	positions []int // by ordinal; -1: NULL
	row       []types.Datum
}

func newRowReader(t *catalog.Table, columns []opt.TableColumn, s schema) (*rowReader, error) {
	r := &rowReader{positions: make([]int, len(t.Columns)), row: make([]types.Datum, len(t.Columns))}
	for i := range r.positions {
		r.positions[i] = -1
		r.row[i] = types.DNull
	}
	for _, c := range columns {
		p := s.find(c.ID)
		if p < 0 {
			return nil, internalf("column %d of table %s is not in the input", c.Column, t.Name)
		}
		r.positions[c.Column-1] = p
	}
	return r, nil
}

// read returns the row at position i, valid until the next read.
func (r *rowReader) read(columns []*vector.Vector, i int) []types.Datum {
	for o, p := range r.positions {
		if p >= 0 {
			r.row[o] = columns[p].Datum(i)
		}
	}
	return r.row
}

// constraints are what new rows of a table must meet by themselves.
type constraints struct {
	rt      *runtime
	table   *catalog.Table
	reader  *rowReader
	notNull []int // ordinals
	checks  []scalar
	names   []string
}

func (b *builder) constraints(t *catalog.Table, reader *rowReader, checks []opt.Check, s schema) (*constraints, error) {
	c := &constraints{rt: b.rt, table: t, reader: reader}
	for i := range t.Columns {
		if refusesNull(&t.Columns[i]) {
			c.notNull = append(c.notNull, i)
		}
	}
	for _, check := range checks {
		compiled, err := b.scalar(check.Expr, s)
		if err != nil {
			return nil, err
		}
		c.checks, c.names = append(c.checks, compiled), append(c.names, check.Name)
	}
	return c, nil
}

// refusesNull reports whether new NULLs of a column are errors.
func refusesNull(c *catalog.Column) bool {
	return c.NotNull && !c.Dropped && c.State == catalog.Public &&
		(c.NotNullState == catalog.Public || c.NotNullState == catalog.WriteOnly)
}

// test returns the violation of the first row that has one: 23502 or 23514.
func (c *constraints) test(ctx context.Context, b *vector.Batch) error {
	failed, column := b.Length, 0
	for _, o := range c.notNull {
		p := c.reader.positions[o]
		if p >= 0 && !b.Columns[p].HasNulls {
			continue
		}
		for n := range failed {
			if p < 0 || b.Columns[p].Null(b.Row(n)) {
				failed, column = n, o
				break
			}
		}
	}
	for k, check := range c.checks {
		if failed == 0 {
			break
		}
		// Rows behind the first failed one are not looked at: their checks might
		// fail to evaluate.
		v, err := check.eval(b, rows{b.Selection, failed})
		if err != nil {
			return err
		}
		for n := range failed {
			if i := b.Row(n); !v.Null(i) && v.Ints[i] == 0 {
				if err := c.earlier(ctx, b, k, n); err != nil {
					return err
				}
				return checkViolation(ctx, c.rt, c.table, c.names[k], c.reader.read(b.Columns, i))
			}
		}
	}
	if failed < b.Length {
		return notNullViolation(ctx, c.rt, c.table, &c.table.Columns[column], c.reader.read(b.Columns, b.Row(failed)))
	}
	return nil
}

// earlier looks for a row before row n that violates a check after check k.
func (c *constraints) earlier(ctx context.Context, b *vector.Batch, k, n int) error {
	for m := range n {
		i := b.Row(m)
		for k2 := k + 1; k2 < len(c.checks); k2++ {
			v, err := c.checks[k2].eval(b, rows{[]int32{int32(i)}, 1})
			if err != nil {
				return err
			}
			if !v.Null(i) && v.Ints[i] == 0 {
				return checkViolation(ctx, c.rt, c.table, c.names[k2], c.reader.read(b.Columns, i))
			}
		}
	}
	return nil
}

// insert adds its input's rows to a table.
type insert struct {
	Operator
	rt          *runtime
	table       *catalog.Table
	writer      *tableWriter
	reader      *rowReader
	constraints *constraints
	counts      bool
}

func (b *builder) insert(n *opt.Insert) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	b.writes = true
	i := &insert{Operator: op, rt: b.rt, table: n.Table, writer: newTableWriter(b.rt, n.Table), counts: b.depth == 0}
	if i.reader, err = newRowReader(n.Table, n.Row, s); err != nil {
		return nil, nil, err
	}
	if i.constraints, err = b.constraints(n.Table, i.reader, n.Checks, s); err != nil {
		return nil, nil, err
	}
	if n.OnConflict != nil {
		return b.upsert(n, i, s)
	}
	return i, s, nil
}

func (i *insert) Open(ctx context.Context) error {
	i.writer.reset()
	return i.Operator.Open(ctx)
}

func (i *insert) Next(ctx context.Context) (*vector.Batch, error) {
	b, err := i.Operator.Next(ctx)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, i.writer.send(ctx)
	}
	if err := i.constraints.test(ctx, b); err != nil {
		return nil, err
	}
	for n := range b.Length {
		row := i.reader.read(b.Columns, b.Row(n))
		if err := i.rt.keyChecks.added(ctx, i.table, nil, row); err != nil {
			return nil, err
		}
		if err := i.writer.insert(ctx, row); err != nil {
			return nil, err
		}
	}
	if i.counts {
		i.rt.affected += int64(b.Length)
	}
	return b, nil
}

// onlyOnce keeps rows that come a second time out, by their primary keys.
type onlyOnce struct {
	rt        *runtime
	seen      map[string]struct{}
	key       []byte
	selection []int32
	out       vector.Batch
}

func (o *onlyOnce) reset() { o.seen = nil }

// filter returns the batch without the rows that were seen before.
func (o *onlyOnce) filter(w *tableWriter, r *rowReader, b *vector.Batch) (*vector.Batch, error) {
	if o.seen == nil {
		o.seen = map[string]struct{}{}
	}
	o.selection = o.selection[:0]
	for n := range b.Length {
		i := b.Row(n)
		var err error
		if o.key, err = w.primary.AppendKey(o.key[:0], r.read(b.Columns, i)); err != nil {
			return nil, err
		}
		if _, ok := o.seen[string(o.key)]; ok {
			continue
		}
		if err := o.rt.memory.grow(int64(len(o.key)) + 48); err != nil {
			return nil, err
		}
		o.seen[string(o.key)] = struct{}{}
		o.selection = append(o.selection, int32(i))
	}
	o.out = vector.Batch{Columns: b.Columns, Length: len(o.selection), Selection: o.selection}
	return &o.out, nil
}

// update replaces rows.
type update struct {
	Operator
	rt          *runtime
	table       *catalog.Table
	writer      *tableWriter
	old, new    *rowReader
	constraints *constraints
	once        *onlyOnce // nil: rows come once
	counts      bool
}

func (b *builder) update(n *opt.Update) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	b.writes = true
	u := &update{Operator: op, rt: b.rt, table: n.Table, writer: newTableWriter(b.rt, n.Table), counts: b.depth == 0}
	if u.old, err = newRowReader(n.Table, n.Old, s); err != nil {
		return nil, nil, err
	}
	if u.new, err = newRowReader(n.Table, n.New, s); err != nil {
		return nil, nil, err
	}
	if u.constraints, err = b.constraints(n.Table, u.new, n.Checks, s); err != nil {
		return nil, nil, err
	}
	// What stays as it is has been checked when it came, or is not proven yet.
	changed := u.constraints.notNull[:0]
	for _, o := range u.constraints.notNull {
		if u.old.positions[o] != u.new.positions[o] {
			changed = append(changed, o)
		}
	}
	u.constraints.notNull = changed
	if n.Dedupe {
		u.once = &onlyOnce{rt: b.rt}
	}
	return u, s, nil
}

func (u *update) Open(ctx context.Context) error {
	u.writer.reset()
	if u.once != nil {
		u.once.reset()
	}
	return u.Operator.Open(ctx)
}

func (u *update) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := u.Operator.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, u.writer.send(ctx)
		}
		if u.once != nil {
			if b, err = u.once.filter(u.writer, u.old, b); err != nil {
				return nil, err
			}
			if b.Length == 0 {
				continue
			}
		}
		if err := u.constraints.test(ctx, b); err != nil {
			return nil, err
		}
		for n := range b.Length {
			i := b.Row(n)
			old, row := u.old.read(b.Columns, i), u.new.read(b.Columns, i)
			if err := u.rt.keyChecks.replaced(ctx, u.table, old, row); err != nil {
				return nil, err
			}
			if err := u.writer.update(ctx, old, row); err != nil {
				return nil, err
			}
		}
		if u.counts {
			u.rt.affected += int64(b.Length)
		}
		return b, nil
	}
}

// remove is Delete.
type remove struct {
	Operator
	rt     *runtime
	table  *catalog.Table
	writer *tableWriter
	old    *rowReader
	once   *onlyOnce
	counts bool
}

func (b *builder) delete(n *opt.Delete) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	b.writes = true
	d := &remove{Operator: op, rt: b.rt, table: n.Table, writer: newTableWriter(b.rt, n.Table), counts: b.depth == 0}
	if d.old, err = newRowReader(n.Table, n.Old, s); err != nil {
		return nil, nil, err
	}
	if n.Dedupe {
		d.once = &onlyOnce{rt: b.rt}
	}
	return d, s, nil
}

func (d *remove) Open(ctx context.Context) error {
	d.writer.reset()
	if d.once != nil {
		d.once.reset()
	}
	return d.Operator.Open(ctx)
}

func (d *remove) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := d.Operator.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, d.writer.send(ctx)
		}
		if d.once != nil {
			if b, err = d.once.filter(d.writer, d.old, b); err != nil {
				return nil, err
			}
			if b.Length == 0 {
				continue
			}
		}
		for n := range b.Length {
			row := d.old.read(b.Columns, b.Row(n))
			if err := d.rt.keyChecks.removed(ctx, d.table, row, nil); err != nil {
				return nil, err
			}
			if err := d.writer.delete(ctx, row); err != nil {
				return nil, err
			}
		}
		if d.counts {
			d.rt.affected += int64(b.Length)
		}
		return b, nil
	}
}
