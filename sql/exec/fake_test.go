package exec

import (
	"bytes"
	"context"
	"sort"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
	"github.com/cairndb/cairn/txn"
)

// fakeTxn is a transaction over an ordered map. Reads see what was written
// before the last Step; conditional writes see everything.
type fakeTxn struct {
	keys     []string // sorted
	versions map[string][]fakeVersion
	sequence int32
	step     int32
	sent     int
	requests int
	pageRows int // at most so many rows a scan, to exercise Resume; 0: as asked
}

type fakeVersion struct {
	sequence int32
	value    []byte // nil: deleted
}

func newFakeTxn() *fakeTxn { return &fakeTxn{versions: map[string][]fakeVersion{}} }

func (f *fakeTxn) Step() { f.step = f.sequence }

func (f *fakeTxn) get(key string, upTo int32) []byte {
	v := f.versions[key]
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].sequence <= upTo {
			return v[i].value
		}
	}
	return nil
}

func (f *fakeTxn) put(key string, value []byte) {
	f.sequence++
	if _, ok := f.versions[key]; !ok {
		at := sort.SearchStrings(f.keys, key)
		f.keys = append(f.keys, "")
		copy(f.keys[at+1:], f.keys[at:])
		f.keys[at] = key
	}
	f.versions[key] = append(f.versions[key], fakeVersion{f.sequence, value})
}

func (f *fakeTxn) Send(_ context.Context, b *txn.Batch) ([]kvpb.Response, error) {
	f.sent++
	f.requests += len(b.Requests)
	out := make([]kvpb.Response, len(b.Requests))
	left := int64(1 << 60)
	if b.MaxKeys > 0 {
		left = b.MaxKeys
	}
	if f.pageRows > 0 {
		left = min(left, int64(f.pageRows))
	}
	bytesLeft := int64(1 << 60)
	if b.TargetBytes > 0 {
		bytesLeft = b.TargetBytes
	}
	for i := range b.Requests {
		r := &b.Requests[i]
		key := string(r.Key)
		switch r.Kind {
		case kvpb.Get:
			out[i].Value = f.get(key, f.step)
		case kvpb.Scan, kvpb.ReverseScan:
			from, to := sort.SearchStrings(f.keys, key), sort.SearchStrings(f.keys, string(r.EndKey))
			for n := range to - from {
				k := f.keys[from+n]
				if r.Kind == kvpb.ReverseScan {
					k = f.keys[to-1-n]
				}
				value := f.get(k, f.step)
				if value == nil {
					continue
				}
				if left <= 0 || bytesLeft <= 0 {
					out[i].Resume = &kvpb.Span{Key: []byte(k), EndKey: r.EndKey}
					if r.Kind == kvpb.ReverseScan {
						out[i].Resume = &kvpb.Span{Key: r.Key, EndKey: []byte(k + "\x00")}
					}
					break
				}
				left--
				bytesLeft -= int64(len(k) + len(value))
				out[i].Rows = append(out[i].Rows, kvpb.KeyValue{Key: []byte(k), Value: value})
			}
		case kvpb.Put:
			f.put(key, bytes.Clone(r.Value))
		case kvpb.Delete:
			f.put(key, nil)
		case kvpb.ConditionalPut:
			if actual := f.get(key, f.sequence); actual != nil {
				return nil, &kvpb.Error{Index: int32(i), Detail: &kvpb.ConditionFailedError{Key: r.Key, Actual: actual}}
			}
			f.put(key, bytes.Clone(r.Value))
		}
	}
	return out, nil
}

// live counts the entries of an index.
func (f *fakeTxn) live(t *catalog.Table, ix *catalog.Index) int {
	prefix := string(rowenc.NewLayout(t, ix).Prefix())
	n := 0
	for _, k := range f.keys {
		if len(k) > len(prefix) && k[:len(prefix)] == prefix && f.get(k, f.sequence) != nil {
			n++
		}
	}
	return n
}

// fakeCatalog resolves what tests need.
type fakeCatalog struct {
	catalog.Resolver
	tables map[catalog.ID]*catalog.Table
	named  map[string]*catalog.Table
}

func (c *fakeCatalog) TableByID(_ context.Context, id catalog.ID) (*catalog.Table, error) {
	return c.tables[id], nil
}

func (c *fakeCatalog) SchemaByID(context.Context, catalog.ID) (*catalog.Schema, error) {
	return &catalog.Schema{Header: catalog.Header{ID: catalog.PublicSchemaID, Name: "public"}}, nil
}

// add makes a table of columns; the first is its primary key.
func (c *fakeCatalog) add(id catalog.ID, name string, columns ...catalog.Column) *catalog.Table {
	t := &catalog.Table{Header: catalog.Header{ID: id, Name: name, Version: 1}, Schema: catalog.PublicSchemaID, RowEstimate: -1}
	for i, col := range columns {
		col.ID = catalog.ColumnID(i + 1)
		t.Columns = append(t.Columns, col)
	}
	t.Columns[0].NotNull = true
	t.Primary = catalog.Index{ID: 1, Name: name + "_pkey", Unique: true, Primary: true, Constraint: true,
		Encoding: catalog.PrimaryEncoding, Columns: []catalog.IndexColumn{{Column: 1}}}
	t.NextColumn, t.NextIndex = catalog.ColumnID(len(columns)+1), 2
	if c.tables == nil {
		c.tables, c.named = map[catalog.ID]*catalog.Table{}, map[string]*catalog.Table{}
	}
	c.tables[id], c.named[name] = t, t
	return t
}

func addIndex(t *catalog.Table, name string, unique bool, columns ...catalog.ColumnID) *catalog.Index {
	ix := catalog.Index{ID: t.NextIndex, Name: name, Unique: unique, Constraint: unique}
	for _, c := range columns {
		ix.Columns = append(ix.Columns, catalog.IndexColumn{Column: c})
	}
	t.NextIndex++
	t.Indexes = append(t.Indexes, ix)
	return &t.Indexes[len(t.Indexes)-1]
}

// planning makes plans by hand.
type planning struct{ metadata []opt.ColumnMetadata }

func (p *planning) column(name string, t *types.T) opt.ColumnID {
	p.metadata = append(p.metadata, opt.ColumnMetadata{Name: name, Type: t})
	return opt.ColumnID(len(p.metadata))
}

func (p *planning) variable(id opt.ColumnID) *opt.Variable {
	return &opt.Variable{ID: id, T: p.metadata[id-1].Type}
}

func (p *planning) scan(t *catalog.Table, ix *catalog.Index) *opt.Scan {
	s := &opt.Scan{Table: t, Index: ix}
	for _, c := range t.StoredColumns() {
		s.Columns = append(s.Columns, opt.TableColumn{ID: p.column(c.Name, c.Type), Column: c.ID})
	}
	return s
}

// values makes a VALUES of constants.
func (p *planning) values(ts []*types.T, rows ...[]types.Datum) *opt.Values {
	v := &opt.Values{}
	for i, t := range ts {
		v.Columns = append(v.Columns, p.column(string(rune('a'+i)), t))
	}
	for _, row := range rows {
		var es []opt.Scalar
		for i, d := range row {
			es = append(es, &opt.Constant{Value: d, T: ts[i]})
		}
		v.Rows = append(v.Rows, es)
	}
	return v
}

// plan finishes a plan that returns the columns of its root.
func (p *planning) plan(root opt.Node) *opt.Plan {
	plan := &opt.Plan{Root: root, Metadata: p.metadata}
	for _, id := range root.Output() {
		plan.Columns = append(plan.Columns, opt.ResultColumn{ID: id, Name: p.metadata[id-1].Name, Type: p.metadata[id-1].Type})
	}
	return plan
}

func testEnv(f *fakeTxn, c *fakeCatalog) *Env {
	return &Env{Txn: f, Types: &types.Context{Ctx: context.Background()}, Resolver: c, Memory: NewMemory(64<<20, nil)}
}

// operator returns an overload with a kernel, by PostgreSQL's function.
func operator(procedure string, ret *types.T, args ...*types.T) *types.Bound {
	return &types.Bound{Overload: &types.Overload{Name: procedure, Procedure: procedure}, Args: args, Return: ret}
}

func callOf(f *types.Bound, args ...opt.Scalar) *opt.Call {
	return &opt.Call{Function: f, Arguments: args}
}

// collect runs a plan and returns its rows.
func collect(t testing.TB, env *Env, p *opt.Plan) ([][]types.Datum, int64, error) {
	t.Helper()
	prepared, err := Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	return collectPrepared(t, env, prepared)
}

func collectPrepared(t testing.TB, env *Env, p *Prepared) ([][]types.Datum, int64, error) {
	t.Helper()
	ctx := context.Background()
	q, err := p.Start(ctx, env)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if used := env.Memory.Used(); used != 0 && !hasVirtual(p.plan.Root) {
			t.Errorf("%d bytes are accounted after the end", used)
		}
	}()
	if err := q.Open(ctx); err != nil {
		return nil, 0, err
	}
	var out [][]types.Datum
	for {
		b, err := q.Next(ctx)
		if err != nil {
			return out, q.RowsAffected(), err
		}
		if b == nil {
			return out, q.RowsAffected(), nil
		}
		out = append(out, rowsOfBatch(b, q.Columns)...)
	}
}

func hasVirtual(n opt.Node) bool {
	if _, ok := n.(*opt.VirtualScan); ok {
		return true
	}
	for _, i := range n.Inputs() {
		if hasVirtual(i) {
			return true
		}
	}
	return false
}

func rowsOfBatch(b *vector.Batch, columns []int) [][]types.Datum {
	var out [][]types.Datum
	for n := range b.Length {
		row := make([]types.Datum, len(columns))
		for i, c := range columns {
			row[i] = b.Columns[c].Datum(b.Row(n))
		}
		out = append(out, row)
	}
	return out
}
