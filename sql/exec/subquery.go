package exec

import (
	"encoding/binary"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// maxCachedResults bounds how many results of a correlated subquery are kept.
const maxCachedResults = 10000

// outerUse is a column of an outer query that an inner plan uses.
type outerUse struct {
	id       opt.ColumnID
	position int // in the batch; -1: it is an outer column here too, and set already
	t        *types.T
}

// subquery is a query within an expression. It is run for each row, unless it
// has no outer columns or has been run with the same values before.
type subquery struct {
	rt     *runtime
	kind   opt.SubqueryKind
	t      *types.T
	query  Operator
	column int // of One and Rows
	outer  []outerUse
	// volatile: it is run for each row whatever was found before.
	volatile bool

	left         []scalar // of Any and All
	placeholders []opt.ColumnID
	comparison   scalar

	// hashed says that Any is an equality over a column of a query that is run
	// once: its values become a set.
	hashed     bool
	hashColumn int
	set        valueSet

	execution uint64
	ready     bool // without outer columns: result or set is there
	result    types.Datum
	cache     map[string]types.Datum
	key       []byte
	out       vector.Vector
	leftRows  []*vector.Vector
}

func (b *builder) subquery(e *opt.Subquery, s schema) (scalar, error) {
	q := &subquery{rt: b.rt, kind: e.Kind, t: e.T, placeholders: e.Placeholders}
	var inner schema
	var err error
	outside := b.volatile
	b.volatile = false
	uses, err := b.inner(func() error {
		if q.query, inner, err = b.build(e.Query); err != nil {
			return err
		}
		if e.Comparison != nil {
			q.comparison, err = b.scalar(e.Comparison, inner)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	q.volatile = b.volatile
	b.volatile = b.volatile || outside
	for _, id := range uses {
		if !containsID(e.Placeholders, id) {
			q.outer = append(q.outer, b.use(id, s))
		}
	}
	if q.left, err = b.scalars(e.Left, s); err != nil {
		return nil, err
	}
	if e.Kind == opt.One || e.Kind == opt.Rows {
		if len(e.Columns) != 1 {
			return nil, internalf("a scalar subquery of %d columns", len(e.Columns))
		}
		if q.column = inner.find(e.Columns[0]); q.column < 0 {
			return nil, internalf("subquery column %d is missing", e.Columns[0])
		}
	}
	if e.Kind == opt.Any && len(q.outer) == 0 {
		q.setUpHash(e, inner)
	}
	return q, nil
}

func containsID(ids []opt.ColumnID, id opt.ColumnID) bool {
	for _, i := range ids {
		if i == id {
			return true
		}
	}
	return false
}

// setUpHash recognizes placeholder = column.
func (q *subquery) setUpHash(e *opt.Subquery, inner schema) {
	call, ok := e.Comparison.(*opt.Call)
	if !ok || len(e.Left) != 1 || len(call.Arguments) != 2 || !hashable(call.Function, e.Left[0].Type()) {
		return
	}
	left, ok1 := call.Arguments[0].(*opt.Variable)
	right, ok2 := call.Arguments[1].(*opt.Variable)
	if !ok1 || !ok2 || left.ID != e.Placeholders[0] || inner.find(right.ID) < 0 || kindOf(right.T) != kindOf(left.T) {
		return
	}
	q.hashed, q.hashColumn = true, inner.find(right.ID)
	q.set.t = left.T
}

func (q *subquery) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	if q.execution != q.rt.execution {
		q.execution, q.ready = q.rt.execution, false
		clear(q.cache)
	}
	q.out.Prepare(q.t, r.end())
	if r.n == 0 {
		return &q.out, nil
	}
	q.leftRows = q.leftRows[:0]
	for _, l := range q.left {
		v, err := l.eval(b, r)
		if err != nil {
			return nil, err
		}
		q.leftRows = append(q.leftRows, v)
	}
	if q.hashed {
		if err := q.fillSet(); err != nil {
			return nil, err
		}
		q.set.contains(&q.out, q.leftRows[0], r, false)
		return &q.out, nil
	}
	for n := range r.n {
		i := r.at(n)
		d, err := q.forRow(b, i)
		if err != nil {
			return nil, err
		}
		q.out.Set(i, d)
	}
	return &q.out, nil
}

// forRow returns the subquery's value for a row, from the cache if it is there.
func (q *subquery) forRow(b *vector.Batch, i int) (types.Datum, error) {
	plain := len(q.outer) == 0 && len(q.left) == 0
	if plain && q.ready {
		return q.result, nil
	}
	q.key = q.key[:0]
	for _, u := range q.outer {
		d := q.rt.outerValue(u.id)
		if u.position >= 0 {
			d = b.Columns[u.position].Datum(i)
			q.rt.setOuter(u.id, d)
		}
		q.key = appendImage(q.key, u.t, d)
	}
	for k, v := range q.leftRows {
		d := v.Datum(i)
		q.rt.setOuter(q.placeholders[k], d)
		q.key = appendImage(q.key, v.Type, d)
	}
	if d, ok := q.cache[string(q.key)]; ok && !q.volatile {
		return d, nil
	}
	key := string(q.key) // running the query may come back here
	d, err := q.run()
	if err != nil {
		return d, err
	}
	if plain {
		q.result, q.ready = d, true
		return d, nil
	}
	if q.cache == nil {
		q.cache = map[string]types.Datum{}
	}
	if len(q.cache) < maxCachedResults {
		if err := q.rt.memory.grow(int64(len(key) + len(d.S) + 128)); err != nil {
			return d, err
		}
		q.cache[key] = d
	}
	return d, nil
}

// appendImage appends a value such that different values (in looks, too) give
// different bytes.
func appendImage(b []byte, t *types.T, d types.Datum) []byte {
	if d.Null {
		return append(b, 0)
	}
	if t.Family == types.TupleFamily {
		b = append(b, 2)
		for i, e := range d.Tuple().Elems {
			b = appendImage(b, d.Tuple().Types[i], e)
		}
		return b
	}
	b = append(b, 1, 0, 0, 0, 0)
	start := len(b)
	b = rowenc.AppendValue(b, t, d)
	binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}

// run runs the query with the outer values that are set.
func (q *subquery) run() (types.Datum, error) {
	ctx := q.rt.ctx
	if err := q.query.Open(ctx); err != nil {
		return types.Datum{}, err
	}
	defer q.query.Close()
	result := types.DNull
	null := false
	count := 0
	var elems []types.Datum
	for {
		b, err := q.query.Next(ctx)
		if err != nil {
			return types.Datum{}, err
		}
		if b == nil {
			break
		}
		switch q.kind {
		case opt.Exists:
			return types.Bool(true), nil
		case opt.One:
			if count += b.Length; count > 1 {
				return types.Datum{}, pgerror.New(pgerror.CardinalityViolation, "more than one row returned by a subquery used as an expression")
			}
			result = b.Columns[q.column].Datum(b.Row(0))
		case opt.Rows:
			for n := range b.Length {
				elems = append(elems, b.Columns[q.column].Datum(b.Row(n)))
			}
			if err := q.rt.memory.grow(int64(b.Length) * 48); err != nil {
				return types.Datum{}, err
			}
		default:
			v, err := q.comparison.eval(b, rowsOf(b))
			if err != nil {
				return types.Datum{}, err
			}
			for n := range b.Length {
				switch i := b.Row(n); {
				case v.Null(i):
					null = true
				case (v.Ints[i] != 0) == (q.kind == opt.Any):
					return types.Bool(q.kind == opt.Any), nil
				}
			}
		}
	}
	switch q.kind {
	case opt.Exists:
		return types.Bool(false), nil
	case opt.One:
		return result, nil
	case opt.Rows:
		return rowsArray(q.t, elems)
	}
	if null {
		return types.DNull, nil
	}
	return types.Bool(q.kind == opt.All), nil
}

// rowsArray makes ARRAY(SELECT …) of the rows; arrays become one array with
// one more dimension.
func rowsArray(t *types.T, elems []types.Datum) (types.Datum, error) {
	array := &types.Array{Elem: t.Elem}
	if len(elems) == 0 {
		return types.ArrayOf(array), nil
	}
	for _, e := range elems {
		if e.Null {
			continue
		}
		if _, ok := e.Ref.(*types.Array); ok {
			return arrayOf(&opt.ArrayOf{T: t, Nested: true})(nil, elems)
		}
		break
	}
	array.Dims, array.Bounds, array.Elems = []int32{int32(len(elems))}, []int32{1}, elems
	return types.ArrayOf(array), nil
}

// fillSet runs the query once and keeps its values.
func (q *subquery) fillSet() error {
	if q.ready {
		return nil
	}
	ctx := q.rt.ctx
	if err := q.query.Open(ctx); err != nil {
		return err
	}
	defer q.query.Close()
	q.set.reset(q.set.t)
	for {
		b, err := q.query.Next(ctx)
		if err != nil {
			return err
		}
		if b == nil {
			q.ready = true
			return nil
		}
		bytes := int64(0)
		for n := range b.Length {
			d := b.Columns[q.hashColumn].Datum(b.Row(n))
			bytes += int64(len(d.S)) + 32
			q.set.add(d)
		}
		if err := q.rt.memory.grow(bytes); err != nil {
			return err
		}
	}
}
