package exec

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

func i(v int64) types.Datum { return types.Int(v) }

func text(s string) types.Datum { return types.Datum{S: s} }

// users is the table of most tests, with a unique and a plain index.
func users(c *fakeCatalog) *catalog.Table {
	t := c.add(100, "users", catalog.Column{Name: "id", Type: types.Int4}, catalog.Column{Name: "name", Type: types.Text, NotNull: true},
		catalog.Column{Name: "email", Type: types.Text}, catalog.Column{Name: "age", Type: types.Int4})
	addIndex(t, "users_email_key", true, 3)
	addIndex(t, "users_age_idx", false, 4)
	return t
}

func insertPlan(p *planning, t *catalog.Table, rows ...[]types.Datum) *opt.Insert {
	var ts []*types.T
	for _, c := range t.Columns {
		ts = append(ts, c.Type)
	}
	v := p.values(ts, rows...)
	ins := &opt.Insert{Input: v, Table: t}
	for k, id := range v.Columns {
		ins.Row = append(ins.Row, opt.TableColumn{ID: id, Column: catalog.ColumnID(k + 1)})
	}
	return ins
}

func mustInsert(t testing.TB, env *Env, table *catalog.Table, rows ...[]types.Datum) {
	t.Helper()
	p := &planning{}
	plan := p.plan(insertPlan(p, table, rows...))
	plan.Columns = nil
	_, n, err := collect(t, env, plan)
	if err != nil || n != int64(len(rows)) {
		t.Fatalf("inserted %d: %v", n, err)
	}
	env.Txn.Step()
}

// show prints rows of integers and strings.
func show(rows [][]types.Datum) string {
	var b strings.Builder
	for _, row := range rows {
		for k, d := range row {
			if k > 0 {
				b.WriteByte(' ')
			}
			switch {
			case d.Null:
				b.WriteByte('-')
			case d.S != "":
				b.WriteString(d.S)
			default:
				fmt.Fprint(&b, d.I)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestInsertScanUpdateDelete(t *testing.T) {
	c := &fakeCatalog{}
	f := newFakeTxn()
	f.pageRows = 3
	env := testEnv(f, c)
	table := users(c)
	mustInsert(t, env, table,
		[]types.Datum{i(1), text("ann"), text("a@x"), i(30)}, []types.Datum{i(2), text("bob"), text("b@x"), types.DNull},
		[]types.Datum{i(3), text("cy"), types.DNull, i(20)}, []types.Datum{i(4), text("dee"), types.DNull, i(30)},
		[]types.Datum{i(5), text("eve"), text("e@x"), i(40)})

	p := &planning{}
	s := p.scan(table, &table.Primary)
	rows, _, err := collect(t, env, p.plan(s))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(rows), "1 ann a@x 30\n2 bob b@x -\n3 cy - 20\n4 dee - 30\n5 eve e@x 40\n"; got != want {
		t.Errorf("got\n%s", got)
	}

	// A span of the secondary index, backwards, through an index join.
	p = &planning{}
	age, id := p.column("age", types.Int4), p.column("id", types.Int4)
	name := p.column("name", types.Text)
	join := &opt.IndexJoin{Table: table, PrimaryKey: []opt.ColumnID{id}, Keep: []opt.ColumnID{age}, Columns: []opt.TableColumn{{ID: name, Column: 2}},
		Input: &opt.Scan{Table: table, Index: &table.Indexes[1], Reverse: true, Columns: []opt.TableColumn{{ID: age, Column: 4}, {ID: id, Column: 1}},
			Spans: []opt.Span{{Low: &opt.Bound{Value: &opt.Constant{Value: i(20), T: types.Int4}}}, {High: &opt.Bound{Value: &opt.Constant{Value: i(20), T: types.Int4}, Inclusive: true}}}}}
	if rows, _, err = collect(t, env, p.plan(join)); err != nil {
		t.Fatal(err)
	}
	if got, want := show(rows), "eve 40\ndee 30\nann 30\ncy 20\n"; got != want {
		t.Errorf("got\n%s", got)
	}

	// age = age + 1 where age >= 30.
	p = &planning{}
	s = p.scan(table, &table.Primary)
	newAge := p.column("age", types.Int4)
	s.Filter = []opt.Scalar{callOf(operator("int4ge", types.Boolean, types.Int4, types.Int4), p.variable(s.Columns[3].ID), &opt.Constant{Value: i(30), T: types.Int4})}
	up := &opt.Update{Table: table, Old: s.Columns, New: slices.Clone(s.Columns), Input: &opt.Project{Input: s, Keep: s.Output(),
		Items: []opt.Item{{ID: newAge, Value: callOf(operator("int4pl", types.Int4, types.Int4, types.Int4), p.variable(s.Columns[3].ID), &opt.Constant{Value: i(1), T: types.Int4})}}}}
	up.New[3].ID = newAge
	prepared, err := Prepare(p.plan(up))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		rows, n, err := collectPrepared(t, env, prepared)
		if err != nil || n != 3 {
			t.Fatal(n, err)
		}
		want := []string{"1 ann a@x 30 31\n4 dee - 30 31\n5 eve e@x 40 41\n", "1 ann a@x 31 32\n4 dee - 31 32\n5 eve e@x 41 42\n"}[round]
		if got := show(rows); got != want {
			t.Errorf("round %d: got\n%s", round, got)
		}
		f.Step()
	}
	for _, ix := range []struct {
		index *catalog.Index
		want  int
	}{{&table.Primary, 5}, {&table.Indexes[0], 5}, {&table.Indexes[1], 5}} {
		if n := f.live(table, ix.index); n != ix.want {
			t.Errorf("%s has %d entries, want %d", ix.index.Name, n, ix.want)
		}
	}

	p = &planning{}
	s = p.scan(table, &table.Primary)
	s.Spans = []opt.Span{{Equal: []opt.Scalar{&opt.Constant{Value: i(5), T: types.Int4}}}, {Equal: []opt.Scalar{&opt.Constant{Value: i(1), T: types.Int4}}},
		{Equal: []opt.Scalar{&opt.Constant{Value: i(1), T: types.Int4}}}}
	if _, n, err := collect(t, env, p.plan(&opt.Delete{Input: s, Table: table, Old: s.Columns})); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if n := f.live(table, &table.Primary) + f.live(table, &table.Indexes[0]) + f.live(table, &table.Indexes[1]); n != 9 {
		t.Errorf("%d entries are left", n)
	}
}

// violation runs a plan that must fail and returns the error in one line.
func violation(t *testing.T, env *Env, p *opt.Plan) string {
	t.Helper()
	_, _, err := collect(t, env, p)
	e, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	return fmt.Sprintf("%s: %s DETAIL: %s (%s.%s %s %s)", e.Code, e.Message, e.Detail, e.Schema, e.Table, e.Column, e.Constraint)
}

func TestConstraintViolations(t *testing.T) {
	c := &fakeCatalog{}
	env := testEnv(newFakeTxn(), c)
	table := users(c)
	mustInsert(t, env, table, []types.Datum{i(1), text("ann"), text("a@x"), i(30)})
	for _, test := range []struct {
		row  []types.Datum
		want string
	}{
		{[]types.Datum{i(1), text("bob"), text("b@x"), i(1)}, `23505: duplicate key value violates unique constraint "users_pkey" DETAIL: Key (id)=(1) already exists. (public.users  users_pkey)`},
		{[]types.Datum{i(2), text("bob"), text("a@x"), i(1)}, `23505: duplicate key value violates unique constraint "users_email_key" DETAIL: Key (email)=(a@x) already exists. (public.users  users_email_key)`},
		{[]types.Datum{i(2), types.DNull, text("b@x"), i(1)}, `23502: null value in column "name" of relation "users" violates not-null constraint DETAIL: Failing row contains (2, null, b@x, 1). (public.users name )`},
		{[]types.Datum{i(2), text("bob"), text("b@x"), i(-1)}, `23514: new row for relation "users" violates check constraint "users_age_check" DETAIL: Failing row contains (2, bob, b@x, -1). (public.users  users_age_check)`},
	} {
		p := &planning{}
		ins := insertPlan(p, table, test.row)
		ins.Checks = []opt.Check{{Name: "users_age_check", Expr: callOf(operator("int4ge", types.Boolean, types.Int4, types.Int4), p.variable(ins.Row[3].ID), &opt.Constant{Value: i(0), T: types.Int4})}}
		if got := violation(t, env, p.plan(ins)); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// orders references users with the given actions.
func orders(c *fakeCatalog, u *catalog.Table, onDelete, onUpdate catalog.Action) *catalog.Table {
	o := c.add(101, "orders", catalog.Column{Name: "id", Type: types.Int4}, catalog.Column{Name: "user_id", Type: types.Int4})
	fk := catalog.ForeignKey{Name: "orders_user_id_fkey", Table: 101, Columns: []catalog.ColumnID{2}, ReferencedTable: 100,
		ReferencedColumns: []catalog.ColumnID{1}, ReferencedIndex: 1, OnDelete: onDelete, OnUpdate: onUpdate}
	o.ForeignKeys = []catalog.ForeignKey{fk}
	u.ReferencedBy = []catalog.ForeignKey{fk}
	return o
}

func deletePlan(p *planning, table *catalog.Table, ids ...int64) *opt.Delete {
	s := p.scan(table, &table.Primary)
	for _, id := range ids {
		s.Spans = append(s.Spans, opt.Span{Equal: []opt.Scalar{&opt.Constant{Value: i(id), T: types.Int4}}})
	}
	return &opt.Delete{Input: s, Table: table, Old: s.Columns}
}

func contents(t *testing.T, env *Env, table *catalog.Table) string {
	t.Helper()
	env.Txn.Step()
	p := &planning{}
	rows, _, err := collect(t, env, p.plan(p.scan(table, &table.Primary)))
	if err != nil {
		t.Fatal(err)
	}
	return show(rows)
}

func TestForeignKeys(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		for _, test := range []struct {
			action catalog.Action
			want   string
		}{
			{catalog.NoAction, `23503: update or delete on table "users" violates foreign key constraint "orders_user_id_fkey" on table "orders" DETAIL: Key (id)=(1) is still referenced from table "orders". (public.orders  orders_user_id_fkey)`},
			{catalog.Restrict, `23503: update or delete on table "users" violates foreign key constraint "orders_user_id_fkey" on table "orders" DETAIL: Key (id)=(1) is still referenced from table "orders". (public.orders  orders_user_id_fkey)`},
			{catalog.Cascade, "12 2\n"},
			{catalog.SetNull, "10 -\n11 -\n12 2\n"},
			{catalog.SetDefault, "10 -\n11 -\n12 2\n"},
		} {
			c := &fakeCatalog{}
			env := testEnv(newFakeTxn(), c)
			u := users(c)
			o := orders(c, u, test.action, catalog.Cascade)
			if indexed {
				addIndex(o, "orders_user_id_idx", false, 2)
			}
			mustInsert(t, env, u, []types.Datum{i(1), text("ann"), types.DNull, i(30)}, []types.Datum{i(2), text("bob"), types.DNull, i(30)})
			mustInsert(t, env, o, []types.Datum{i(10), i(1)}, []types.Datum{i(11), i(1)}, []types.Datum{i(12), i(2)})

			p := &planning{}
			if got, want := violation(t, env, p.plan(insertPlan(p, o, []types.Datum{i(13), i(99)}))), `23503: insert or update on table "orders" violates foreign key constraint "orders_user_id_fkey" DETAIL: Key (user_id)=(99) is not present in table "users". (public.orders  orders_user_id_fkey)`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			// The failed statement is rolled back by the session; here by hand.
			p = &planning{}
			env.Txn.Step()
			o.ForeignKeys[0].State = catalog.Absent
			if _, _, err := collect(t, env, p.plan(deletePlan(p, o, 13))); err != nil {
				t.Fatal(err)
			}
			o.ForeignKeys[0].State = catalog.Public
			env.Txn.Step()

			p = &planning{}
			plan := p.plan(deletePlan(p, u, 1))
			if test.action == catalog.NoAction || test.action == catalog.Restrict {
				if got := violation(t, env, plan); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				continue
			}
			if _, n, err := collect(t, env, plan); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			if got := contents(t, env, o); got != test.want {
				t.Errorf("%v, indexed %v: got\n%s", test.action, indexed, got)
			}
		}
	}
}

// TestJoins compares every kind and method with a naive join of random rows.
func TestJoins(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	ts := []*types.T{types.Int4, types.Int4}
	side := func(n int) [][]types.Datum {
		var rows [][]types.Datum
		for k := range n {
			row := []types.Datum{i(random.Int63n(int64(n/3 + 1))), i(int64(k))}
			if random.Intn(10) == 0 {
				row[0] = types.DNull
			}
			rows = append(rows, row)
		}
		slices.SortStableFunc(rows, func(a, b []types.Datum) int { // as a merge join wants it
			if a[0].Null || b[0].Null {
				return compareNulls(a[0].Null, b[0].Null, false)
			}
			return int(a[0].I - b[0].I)
		})
		return rows
	}
	for _, sizes := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {7, 9}, {100, 60}, {2500, 40}, {40, 2500}} {
		left, right := side(sizes[0]), side(sizes[1])
		for kind := opt.Inner; kind <= opt.Anti; kind++ {
			for _, method := range []opt.JoinMethod{opt.Hash, opt.Merge, opt.NestedLoop} {
				for variant := range 3 { // plain; with a residual condition; NULLs equal
					p := &planning{}
					l, r := p.values(ts, left...), p.values(ts, right...)
					j := &opt.Join{Kind: kind, Method: method, Left: l, Right: r}
					equal := callOf(operator("int4eq", types.Boolean, types.Int4, types.Int4), p.variable(l.Columns[0]), p.variable(r.Columns[0]))
					if method == opt.NestedLoop {
						if variant == 2 {
							continue
						}
						j.On = append(j.On, equal)
					} else {
						j.EqualLeft, j.EqualRight, j.NullEqual = l.Columns[:1], r.Columns[:1], variant == 2
					}
					if variant == 1 {
						j.On = append(j.On, callOf(operator("int4lt", types.Boolean, types.Int4, types.Int4), p.variable(l.Columns[1]), p.variable(r.Columns[1])))
					}
					rows, _, err := collect(t, testEnv(newFakeTxn(), nil), p.plan(j))
					if err != nil {
						t.Fatal(err)
					}
					want := naiveJoin(kind, left, right, func(a, b []types.Datum) bool {
						same := !a[0].Null && !b[0].Null && a[0].I == b[0].I || variant == 2 && a[0].Null && b[0].Null
						return same && (variant != 1 || a[1].I < b[1].I)
					})
					got := strings.Split(show(rows), "\n")
					expected := strings.Split(show(want), "\n")
					if kind != opt.Full && kind != opt.Right {
						// The left side's order is kept.
						if !slices.IsSortedFunc(rows, func(a, b []types.Datum) int { return cmpOrder(left, a[1].I, b[1].I) }) {
							t.Errorf("kind %d, method %d: order is lost", kind, method)
						}
					}
					slices.Sort(got)
					slices.Sort(expected)
					if !slices.Equal(got, expected) {
						t.Fatalf("kind %d, method %d, variant %d, %v: %d rows, want %d", kind, method, variant, sizes, len(got), len(expected))
					}
				}
			}
		}
	}
}

func cmpOrder(left [][]types.Datum, a, b int64) int {
	at := func(id int64) int {
		return slices.IndexFunc(left, func(row []types.Datum) bool { return row[1].I == id })
	}
	return at(a) - at(b)
}

func naiveJoin(kind opt.JoinKind, left, right [][]types.Datum, match func(a, b []types.Datum) bool) [][]types.Datum {
	var out [][]types.Datum
	null := []types.Datum{types.DNull, types.DNull}
	matched := make([]bool, len(right))
	for _, l := range left {
		any := false
		for k, r := range right {
			if !match(l, r) {
				continue
			}
			matched[k] = true
			if kind != opt.Semi && kind != opt.Anti {
				out = append(out, append(slices.Clone(l), r...))
			}
			any = true
		}
		switch {
		case kind == opt.Semi && any, kind == opt.Anti && !any:
			out = append(out, l)
		case !any && (kind == opt.Left || kind == opt.Full):
			out = append(out, append(slices.Clone(l), null...))
		}
	}
	for k, r := range right {
		if !matched[k] && (kind == opt.Right || kind == opt.Full) {
			out = append(out, append(slices.Clone(null), r...))
		}
	}
	return out
}

// TestIndexStates: deletions reach indexes in all states, additions those that
// are kept up to date.
func TestIndexStates(t *testing.T) {
	c := &fakeCatalog{}
	f := newFakeTxn()
	env := testEnv(f, c)
	table := c.add(100, "t", catalog.Column{Name: "id", Type: types.Int4}, catalog.Column{Name: "v", Type: types.Int4})
	for _, state := range []catalog.State{catalog.Public, catalog.WriteOnly, catalog.DeleteOnly, catalog.Absent} {
		addIndex(table, fmt.Sprintf("state_%d", state), false, 2)
		table.Indexes[len(table.Indexes)-1].State = state
	}
	count := func() (counts []int) {
		for i := range table.Indexes {
			counts = append(counts, f.live(table, &table.Indexes[i]))
		}
		return counts
	}
	mustInsert(t, env, table, []types.Datum{i(1), i(10)}, []types.Datum{i(2), i(20)})
	if got := count(); !slices.Equal(got, []int{2, 2, 0, 0}) {
		t.Fatalf("after insert: %v", got)
	}
	// Entries that a node with another version of the table wrote.
	for k := range table.Indexes[2:] {
		l := rowenc.NewLayout(table, &table.Indexes[2+k])
		for _, row := range [][]types.Datum{{i(1), i(10)}, {i(2), i(20)}} {
			key, value, err := l.Entry(row)
			if err != nil {
				t.Fatal(err)
			}
			f.put(string(key), value)
		}
	}
	f.Step()
	p := &planning{}
	s := p.scan(table, &table.Primary)
	s.Spans = []opt.Span{{Equal: []opt.Scalar{&opt.Constant{Value: i(1), T: types.Int4}}}}
	v := p.column("v", types.Int4)
	u := &opt.Update{Table: table, Old: s.Columns, New: []opt.TableColumn{s.Columns[0], {ID: v, Column: 2}},
		Input: &opt.Project{Input: s, Keep: s.Output(), Items: []opt.Item{{ID: v, Value: &opt.Constant{Value: i(11), T: types.Int4}}}}}
	if _, _, err := collect(t, env, p.plan(u)); err != nil {
		t.Fatal(err)
	}
	if got := count(); !slices.Equal(got, []int{2, 2, 1, 2}) {
		t.Errorf("after update: %v", got)
	}
	f.Step()
	p = &planning{}
	if _, _, err := collect(t, env, p.plan(deletePlan(p, table, 1, 2))); err != nil {
		t.Fatal(err)
	}
	if got := count(); !slices.Equal(got, []int{0, 0, 0, 2}) {
		t.Errorf("after delete: %v", got)
	}
}
