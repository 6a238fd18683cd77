package exec

import (
	"context"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// instantTxn answers every Get with the same row, and writes with nothing.
type instantTxn struct {
	value     []byte
	responses []kvpb.Response
	rows      []kvpb.KeyValue // of any Scan, without end
}

func (f *instantTxn) Step() {}

func (f *instantTxn) Send(_ context.Context, b *txn.Batch) ([]kvpb.Response, error) {
	f.responses = f.responses[:0]
	for i := range b.Requests {
		r := kvpb.Response{}
		switch b.Requests[i].Kind {
		case kvpb.Get:
			r.Value = f.value
		case kvpb.Scan:
			r.Rows = f.rows
		}
		f.responses = append(f.responses, r)
	}
	return f.responses, nil
}

func accounts() (*catalog.Table, *instantTxn) {
	c := &fakeCatalog{}
	t := c.add(100, "pgbench_accounts", catalog.Column{Name: "aid", Type: types.Int4}, catalog.Column{Name: "bid", Type: types.Int4},
		catalog.Column{Name: "abalance", Type: types.Int4}, catalog.Column{Name: "filler", Type: types.Text})
	l := rowenc.NewLayout(t, &t.Primary)
	f := &instantTxn{}
	_, f.value, _ = l.Entry([]types.Datum{i(1), i(1), i(100), text("                                                                                    ")})
	for k := range 10000 {
		key, value, _ := l.Entry([]types.Datum{i(int64(k)), i(int64(k % 10)), i(100), text("filler")})
		f.rows = append(f.rows, kvpb.KeyValue{Key: key, Value: value})
	}
	return t, f
}

func runPrepared(b *testing.B, f *instantTxn, plan *opt.Plan, parameters ...types.Datum) {
	b.Helper()
	prepared, err := Prepare(plan)
	if err != nil {
		b.Fatal(err)
	}
	env := &Env{Txn: f, Types: &types.Context{Ctx: context.Background()}, Memory: NewMemory(64<<20, NewMemory(1<<30, nil)), Parameters: parameters}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		q, err := prepared.Start(ctx, env)
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Open(ctx); err != nil {
			b.Fatal(err)
		}
		for {
			batch, err := q.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if batch == nil {
				break
			}
		}
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func byKey(p *planning, t *catalog.Table) *opt.Scan {
	s := p.scan(t, &t.Primary)
	s.Spans = []opt.Span{{Equal: []opt.Scalar{&opt.Parameter{Index: 1, T: types.Int4}}}}
	return s
}

// BenchmarkPointSelect is SELECT abalance FROM pgbench_accounts WHERE aid = $1.
func BenchmarkPointSelect(b *testing.B) {
	t, f := accounts()
	p := &planning{}
	s := byKey(p, t)
	s.Columns = s.Columns[2:3]
	runPrepared(b, f, p.plan(s), i(1))
}

// BenchmarkPointUpdate is UPDATE … SET abalance = abalance + $2 WHERE aid = $1.
func BenchmarkPointUpdate(b *testing.B) {
	t, f := accounts()
	p := &planning{}
	s := byKey(p, t)
	balance := p.column("abalance", types.Int4)
	u := &opt.Update{Table: t, Old: s.Columns, New: append([]opt.TableColumn(nil), s.Columns...), Input: &opt.Project{Input: s, Keep: s.Output(),
		Items: []opt.Item{{ID: balance, Value: callOf(operator("int4pl", types.Int4, types.Int4, types.Int4), p.variable(s.Columns[2].ID), &opt.Parameter{Index: 2, T: types.Int4})}}}}
	u.New[2].ID = balance
	plan := p.plan(u)
	plan.Columns = nil
	runPrepared(b, f, plan, i(1), i(5))
}

// BenchmarkInsert is INSERT INTO pgbench_accounts VALUES ($1, $2, $3, $4).
func BenchmarkInsert(b *testing.B) {
	t, f := accounts()
	p := &planning{}
	ins := insertPlan(p, t, []types.Datum{i(1), i(1), i(1), text("")})
	for k := range ins.Input.(*opt.Values).Rows[0] {
		ins.Input.(*opt.Values).Rows[0][k] = &opt.Parameter{Index: k + 1, T: t.Columns[k].Type}
	}
	plan := p.plan(ins)
	plan.Columns = nil
	runPrepared(b, f, plan, i(1), i(1), i(0), text("filler"))
}

// BenchmarkScanAggregate is SELECT bid, sum(abalance) … WHERE aid >= 0 GROUP
// BY bid over 10,000 rows.
func BenchmarkScanAggregate(b *testing.B) {
	t, f := accounts()
	p := &planning{}
	s := p.scan(t, &t.Primary)
	s.Columns = s.Columns[:3]
	s.Filter = []opt.Scalar{callOf(operator("int4ge", types.Boolean, types.Int4, types.Int4), p.variable(s.Columns[0].ID), &opt.Constant{Value: i(0), T: types.Int4})}
	sum := p.column("sum", types.Int8)
	runPrepared(b, f, p.plan(&opt.Aggregate{Input: s, GroupBy: []opt.ColumnID{s.Columns[1].ID},
		Aggregates: []opt.AggregateItem{{ID: sum, Function: &types.Bound{Overload: &types.Overload{Name: "sum", Kind: types.AggregateFunction}, Args: []*types.T{types.Int4}, Return: types.Int8},
			Arguments: []opt.ColumnID{s.Columns[2].ID}}}}))
}
