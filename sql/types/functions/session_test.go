package functions_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cairndb/cairn/sql/types"
)

// fakeSession answers what the tests ask; anything else is a nil pointer.
type fakeSession struct {
	types.SessionFunctions
	sequence int64
	checks   []types.PrivilegeCheck
}

func (s *fakeSession) NextValue(context.Context, types.OID) (int64, error) {
	s.sequence++
	return s.sequence, nil
}

func (s *fakeSession) SetValue(_ context.Context, _ types.OID, value int64, called bool) error {
	if s.sequence = value; !called {
		s.sequence--
	}
	return nil
}

func (s *fakeSession) CurrentUser() string { return "alice" }

func (s *fakeSession) SearchPath(_ context.Context, implicit bool) ([]string, error) {
	if implicit {
		return []string{"pg_catalog", "public"}, nil
	}
	return []string{"public"}, nil
}

func (s *fakeSession) Setting(_ context.Context, name string) (string, bool) {
	return "on", name == "autovacuum"
}

func (s *fakeSession) RoleByName(_ context.Context, name string) (types.OID, bool, error) {
	return 7, name == "alice", nil
}

func (s *fakeSession) HasPrivilege(_ context.Context, check types.PrivilegeCheck) (bool, bool, error) {
	s.checks = append(s.checks, check)
	return true, check.Object != 0, nil
}

func call(t *testing.T, ctx *types.Context, name string, args []types.Datum, ts ...*types.T) string {
	t.Helper()
	bound, err := types.ResolveFunction(name, ts, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	v, err := bound.Call(ctx, args)
	if err != nil {
		return "ERROR " + err.Error()
	}
	if v.Null {
		return "NULL"
	}
	return string(types.AppendText(nil, ctx, bound.Return, v))
}

func TestSessionFunctions(t *testing.T) {
	session := &fakeSession{}
	ctx := newContext()
	ctx.Session = session
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	sequence := types.Int(1)
	expect(call(t, ctx, "nextval", []types.Datum{sequence}, types.Regclass), "1")
	expect(call(t, ctx, "setval", []types.Datum{sequence, types.Int(40)}, types.Regclass, types.Int8), "40")
	expect(call(t, ctx, "nextval", []types.Datum{sequence}, types.Regclass), "41")
	expect(call(t, ctx, "setval", []types.Datum{sequence, types.Int(9), types.Bool(false)}, types.Regclass, types.Int8, types.Boolean), "9")
	expect(call(t, ctx, "nextval", []types.Datum{sequence}, types.Regclass), "9")
	expect(call(t, ctx, "current_schema", nil), "public")
	expect(call(t, ctx, "current_schemas", []types.Datum{types.Bool(true)}, types.Boolean), "{pg_catalog,public}")
	expect(call(t, ctx, "current_setting", []types.Datum{types.String("autovacuum")}, types.Text), "on")
	expect(call(t, ctx, "current_setting", []types.Datum{types.String("x.y")}, types.Text), `ERROR unrecognized configuration parameter "x.y"`)
	expect(call(t, ctx, "current_setting", []types.Datum{types.String("x.y"), types.Bool(true)}, types.Text, types.Boolean), "NULL")
	table := types.Int(16400)
	expect(call(t, ctx, "has_table_privilege", []types.Datum{table, types.String("select, Update WITH GRANT OPTION")}, types.OIDType, types.Text), "t")
	check := session.checks[0]
	if check.Role != 7 || strings.Join(check.Privileges, " ") != "SELECT UPDATE" || check.WithGrant[0] || !check.WithGrant[1] {
		t.Errorf("%+v", check)
	}
	expect(call(t, ctx, "has_table_privilege", []types.Datum{table, types.String("FLY")}, types.OIDType, types.Text), `ERROR unrecognized privilege type: "FLY"`)
	expect(call(t, ctx, "has_table_privilege", []types.Datum{types.Int(0), types.String("SELECT")}, types.OIDType, types.Text), "NULL")
	expect(call(t, ctx, "has_table_privilege", []types.Datum{types.String("bob"), table, types.String("SELECT")}, types.Name, types.OIDType, types.Text),
		`ERROR role "bob" does not exist`)
	expect(call(t, newContext(), "lastval", nil), "ERROR function cannot be called outside of a session")
}

// TestJSONRecords: columns come from the query's list.
func TestJSONRecords(t *testing.T) {
	bound, err := types.ResolveFunction("json_to_recordset", []*types.T{types.JSON}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	row := *types.Record
	row.Fields = []types.Field{{Name: "a", Type: types.Int4}, {Name: "b", Type: types.ArrayTypeOf(types.Text)}, {Name: "c", Type: types.JSONB}}
	rows, err := bound.BindRows(bound.Args, &row)(newContext(), []types.Datum{types.String(`[{"a": 1, "b": ["x", null]}, {"c": {"z":1,"y":2}, "a": "7"}]`)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		columns, ok, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		for i, v := range columns {
			text := "NULL"
			if !v.Null {
				text = string(types.AppendText(nil, newContext(), row.Fields[i].Type, v))
			}
			got = append(got, text)
		}
	}
	if want := `1 {x,NULL} NULL 7 NULL {"y": 2, "z": 1}`; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}

// partition is a window partition over values that are sorted, with the frame
// from its start to the last peer.
type partition []int64

func (p partition) Rows() int { return len(p) }

func (p partition) Argument(n, row int) types.Datum {
	if n == 0 {
		return types.Int(p[row])
	}
	return types.Int(2)
}

func (p partition) Peers(row int) (start, end int) {
	for start = row; start > 0 && p[start-1] == p[row]; start-- {
	}
	for end = row; end < len(p) && p[end] == p[row]; end++ {
	}
	return start, end
}

func (p partition) PeerGroup(row int) int {
	group := 0
	for i := 1; i <= row; i++ {
		if p[i] != p[i-1] {
			group++
		}
	}
	return group
}

func (p partition) FrameRow(row, n int) (int, bool) { return n, n < p.FrameRows(row) }

func (p partition) FrameRows(row int) int {
	_, end := p.Peers(row)
	return end
}

// TestWindowFunctions: the answers are PostgreSQL's for
// f(x, 2) over (order by x) from unnest('{2,3,3,5,8}').
func TestWindowFunctions(t *testing.T) {
	for _, test := range []struct {
		name string
		ts   []*types.T
		want string
	}{
		{"row_number", nil, "1 2 3 4 5"},
		{"rank", nil, "1 2 2 4 5"},
		{"dense_rank", nil, "1 2 2 3 4"},
		{"percent_rank", nil, "0 0.25 0.25 0.75 1"},
		{"cume_dist", nil, "0.2 0.6 0.6 0.8 1"},
		{"ntile", []*types.T{types.Int4}, "1 1 1 2 2"},
		{"lag", []*types.T{types.Int4}, "NULL 2 3 3 5"},
		{"lead", []*types.T{types.Int4, types.Int4}, "3 5 8 NULL NULL"},
		{"lag", []*types.T{types.Int4, types.Int4, types.Int4}, "2 2 2 3 3"},
		{"first_value", []*types.T{types.Int4}, "2 2 2 2 2"},
		{"last_value", []*types.T{types.Int4}, "2 3 3 5 8"},
		{"nth_value", []*types.T{types.Int4, types.Int4}, "NULL 3 3 3 3"},
	} {
		bound, err := types.ResolveFunction(test.name, test.ts, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		p := partition{2, 3, 3, 5, 8}
		var got []string
		for row := range p {
			v, err := bound.Window(newContext(), p, row)
			if err != nil {
				t.Fatal(err)
			}
			text := "NULL"
			if !v.Null {
				text = string(types.AppendText(nil, newContext(), bound.Return, v))
			}
			got = append(got, text)
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: got %s, want %s", test.name, s, test.want)
		}
	}
}
