package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// virtualScan reads a virtual table. Its rows are made at once and kept for
// the execution, as long as the constraints' values stay the same.
type virtualScan struct {
	rt          *runtime
	table       *catalog.Table
	ordinals    []int
	constraints []virtualConstraint
	filter      []scalar
	store       *rowStore
	execution   uint64
	image       []byte // of the constraints' values that store was made for
	scratch     []byte
	next        int
	row         []types.Datum
	out         *vector.Batch
	filtered    vector.Batch
	selection   []int32
}

type virtualConstraint struct {
	column catalog.ColumnID
	values []scalar
}

func (b *builder) virtualScan(n *opt.VirtualScan) (Operator, schema, error) {
	s, ids := tableSchema(n.Table, n.Columns)
	v := &virtualScan{rt: b.rt, table: n.Table, store: newRowStore(b.rt, s.types()), row: make([]types.Datum, len(s)),
		out: &vector.Batch{Columns: newVectors(s.types())}}
	for _, id := range ids {
		v.ordinals = append(v.ordinals, int(id)-1)
	}
	for _, c := range n.Constraints {
		values, err := b.scalars(c.Values, nil)
		if err != nil {
			return nil, nil, err
		}
		v.constraints = append(v.constraints, virtualConstraint{c.Column, values})
	}
	var err error
	v.filter, err = b.scalars(n.Filter, s)
	b.rt.atEnd = append(b.rt.atEnd, func() {
		v.store.release()
		v.execution = 0
	})
	return v, s, err
}

func (v *virtualScan) Open(ctx context.Context) error {
	v.next = 0
	v.scratch = v.scratch[:0]
	var constraints []catalog.VirtualConstraint
	for _, c := range v.constraints {
		t := v.table.Columns[c.column-1].Type
		out := catalog.VirtualConstraint{Column: c.column}
		for _, s := range c.values {
			d, err := evalOne(s)
			if err != nil {
				return err
			}
			v.scratch = appendImage(v.scratch, t, d)
			if !d.Null { // NULL equals nothing
				out.Values = append(out.Values, d)
			}
		}
		v.scratch = append(v.scratch, 0xff)
		constraints = append(constraints, out)
	}
	if v.execution == v.rt.execution && string(v.scratch) == string(v.image) {
		return nil
	}
	v.store.reset()
	v.execution = 0
	env := &catalog.VirtualEnv{Resolver: v.rt.env.Resolver, Session: v.rt.env.Session}
	err := v.table.Virtual.Rows(ctx, env, constraints, func(row []types.Datum) error {
		for i, o := range v.ordinals {
			v.row[i] = row[o]
		}
		return v.store.appendDatums(v.row)
	})
	if err != nil {
		return err
	}
	v.execution, v.image = v.rt.execution, append(v.image[:0], v.scratch...)
	return nil
}

func (v *virtualScan) Next(ctx context.Context) (*vector.Batch, error) {
	for v.next < v.store.length {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v.next += v.store.emit(v.out, v.next)
		if len(v.filter) == 0 {
			return v.out, nil
		}
		r, selection, err := selectTrue(v.filter, v.out, rowsOf(v.out), v.selection)
		v.selection = selection
		if err != nil {
			return nil, err
		}
		if r.n > 0 {
			v.filtered = vector.Batch{Columns: v.out.Columns, Length: r.n, Selection: r.selection}
			return &v.filtered, nil
		}
	}
	return nil, nil
}

// Close keeps the rows for the next Open of the same execution; their memory
// is the query's until then.
func (v *virtualScan) Close() error { return nil }
