package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// distinctRows passes on the first of the rows that are equal in some columns.
type distinctRows struct {
	Operator
	on        []int
	ordered   bool
	store     *rowStore // the columns On of what was passed on; of ordered input the last
	table     *hashTable
	keys      []*vector.Vector
	selection []int32
	out       vector.Batch
}

func (b *builder) distinctRows(n *opt.DistinctRows) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	d := &distinctRows{Operator: op, ordered: n.Ordered}
	if d.on, err = s.positions(n.On); err != nil {
		return nil, nil, err
	}
	var ts []*types.T
	var all []int
	for i, p := range d.on {
		ts = append(ts, s[p].t)
		all = append(all, i)
	}
	d.store = newRowStore(b.rt, ts)
	d.table = newHashTable(d.store, all)
	return d, s, nil
}

func (d *distinctRows) Open(ctx context.Context) error {
	d.store.reset()
	d.table.reset()
	return d.Operator.Open(ctx)
}

func (d *distinctRows) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		b, err := d.Operator.Next(ctx)
		if err != nil || b == nil {
			return nil, err
		}
		d.keys = pick(d.keys, b, d.on)
		d.selection = d.selection[:0]
		if d.ordered {
			err = d.firstOfRuns(b)
		} else {
			err = d.newOnes(b)
		}
		if err != nil {
			return nil, err
		}
		if len(d.selection) > 0 {
			d.out = vector.Batch{Columns: b.Columns, Length: len(d.selection), Selection: d.selection}
			return &d.out, nil
		}
	}
}

func (d *distinctRows) newOnes(b *vector.Batch) error {
	hashes := d.table.hash(d.keys, rowsOf(b))
	for n := range b.Length {
		_, added, err := d.table.findOrAdd(d.keys, d.keys, b.Row(n), hashes[n])
		if err != nil {
			return err
		}
		if added {
			d.selection = append(d.selection, int32(b.Row(n)))
		}
	}
	return nil
}

func (d *distinctRows) firstOfRuns(b *vector.Batch) error {
	for n := range b.Length {
		i := b.Row(n)
		same := d.store.length > 0
		for c := 0; same && c < len(d.keys); c++ {
			same = equalStored(d.keys[c], i, &d.store.columns[c], 0)
		}
		if same {
			continue
		}
		d.store.reset()
		if err := d.store.appendRow(d.keys, i); err != nil {
			return err
		}
		d.selection = append(d.selection, int32(i))
	}
	return nil
}

func (d *distinctRows) Close() error {
	d.store.release()
	d.table.reset()
	return d.Operator.Close()
}

// setOperation is UNION, INTERSECT and EXCEPT by whole rows, NULLs being equal.
//
//	UNION ALL      left, then right
//	UNION          the same without repetitions
//	INTERSECT, EXCEPT: the right side is counted in a hash table, then the
//	left side's rows are passed on as their counts allow
type setOperation struct {
	rt          *runtime
	operator    opt.SetOperator
	all         bool
	left, right Operator
	leftColumns []int
	rightCols   []int
	store       *rowStore
	table       *hashTable
	counts      []int64 // of the right side's rows; -1: passed on already
	onRight     bool
	built       bool
	selection   []int32
	columns     []*vector.Vector
	out         vector.Batch
}

func (b *builder) setOperation(n *opt.SetOperation) (Operator, schema, error) {
	left, leftSchema, err := b.build(n.Left)
	if err != nil {
		return nil, nil, err
	}
	right, rightSchema, err := b.build(n.Right)
	if err != nil {
		return nil, nil, err
	}
	o := &setOperation{rt: b.rt, operator: n.Operator, all: n.All, left: left, right: right}
	if o.leftColumns, err = leftSchema.positions(n.LeftColumns); err != nil {
		return nil, nil, err
	}
	if o.rightCols, err = rightSchema.positions(n.RightColumns); err != nil {
		return nil, nil, err
	}
	s := b.schemaOf(n.Columns)
	var all []int
	for i := range s {
		all = append(all, i)
	}
	o.store = newRowStore(b.rt, s.types())
	o.table = newHashTable(o.store, all)
	return o, s, nil
}

func (o *setOperation) Open(ctx context.Context) error {
	o.store.reset()
	o.table.reset()
	o.counts = o.counts[:0]
	o.onRight, o.built = false, false
	if err := o.left.Open(ctx); err != nil {
		return err
	}
	return o.right.Open(ctx)
}

func (o *setOperation) Next(ctx context.Context) (*vector.Batch, error) {
	if o.operator != opt.Union {
		return o.nextCounted(ctx)
	}
	for {
		from, columns := o.left, o.leftColumns
		if o.onRight {
			from, columns = o.right, o.rightCols
		}
		b, err := from.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			if o.onRight {
				return nil, nil
			}
			o.onRight = true
			continue
		}
		o.columns = pick(o.columns, b, columns)
		o.out = vector.Batch{Columns: o.columns, Length: b.Length, Selection: b.Selection}
		if o.all {
			return &o.out, nil
		}
		o.selection = o.selection[:0]
		hashes := o.table.hash(o.columns, rowsOf(b))
		for n := range b.Length {
			_, added, err := o.table.findOrAdd(o.columns, o.columns, b.Row(n), hashes[n])
			if err != nil {
				return nil, err
			}
			if added {
				o.selection = append(o.selection, int32(b.Row(n)))
			}
		}
		if len(o.selection) > 0 {
			o.out.Length, o.out.Selection = len(o.selection), o.selection
			return &o.out, nil
		}
	}
}

func (o *setOperation) nextCounted(ctx context.Context) (*vector.Batch, error) {
	for !o.built {
		b, err := o.right.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			o.built = true
			break
		}
		o.columns = pick(o.columns, b, o.rightCols)
		hashes := o.table.hash(o.columns, rowsOf(b))
		for n := range b.Length {
			row, added, err := o.table.findOrAdd(o.columns, o.columns, b.Row(n), hashes[n])
			if err != nil {
				return nil, err
			}
			if added {
				o.counts = append(o.counts, 0)
			}
			o.counts[row]++
		}
	}
	for {
		b, err := o.left.Next(ctx)
		if err != nil || b == nil {
			return nil, err
		}
		o.columns = pick(o.columns, b, o.leftColumns)
		o.selection = o.selection[:0]
		hashes := o.table.hash(o.columns, rowsOf(b))
		for n := range b.Length {
			passes, err := o.passes(b.Row(n), hashes[n])
			if err != nil {
				return nil, err
			}
			if passes {
				o.selection = append(o.selection, int32(b.Row(n)))
			}
		}
		if len(o.selection) > 0 {
			o.out = vector.Batch{Columns: o.columns, Length: len(o.selection), Selection: o.selection}
			return &o.out, nil
		}
	}
}

// passes reports whether a left row is part of the result.
func (o *setOperation) passes(i int, hash uint64) (bool, error) {
	row := o.table.first(o.columns, i, hash)
	if o.operator == opt.Intersect {
		if row < 0 || o.counts[row] <= 0 {
			return false, nil
		}
		if o.all {
			o.counts[row]--
		} else {
			o.counts[row] = -1
		}
		return true, nil
	}
	if row >= 0 {
		if o.all && o.counts[row] > 0 {
			o.counts[row]--
			return false, nil
		}
		return o.all, nil
	}
	if o.all {
		return true, nil
	}
	// Distinct: the next one like it is not passed on.
	if _, _, err := o.table.findOrAdd(o.columns, o.columns, i, hash); err != nil {
		return false, err
	}
	o.counts = append(o.counts, -1)
	return true, nil
}

func (o *setOperation) Close() error {
	o.store.release()
	o.table.reset()
	err := o.left.Close()
	if e := o.right.Close(); err == nil {
		err = e
	}
	return err
}
