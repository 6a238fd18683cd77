package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	_ "github.com/cairndb/cairn/sql/types/functions" // registers them
)

// The methods of fakeCatalog that the binder needs.

func (c *fakeCatalog) CurrentDatabase() *catalog.Database {
	return &catalog.Database{Header: catalog.Header{ID: catalog.PostgresDatabaseID, Name: "postgres"}}
}

func (c *fakeCatalog) SearchPath(context.Context) ([]*catalog.Schema, error) {
	s, err := c.SchemaByID(context.Background(), 0)
	return []*catalog.Schema{s}, err
}

func (c *fakeCatalog) Relation(_ context.Context, name catalog.Name) (catalog.Relation, error) {
	if t := c.named[name.Object]; t != nil {
		return t, nil
	}
	return nil, nil
}

func (c *fakeCatalog) Epoch() uint64 { return 1 }

func parseExpression(text string) (parser.Expression, error) {
	statements, err := postgres.Parse("SELECT " + text)
	if err != nil {
		return nil, err
	}
	return statements[0].AST.(*parser.Select).Targets[0].Expression, nil
}

// session runs statements as a session would, one transaction for all.
type session struct {
	catalog *fakeCatalog
	txn     *fakeTxn
	env     *Env
	tables  catalog.ID
	// rowCount is what the planner is told of tables' sizes.
	rowCount func(*catalog.Table) float64
}

func newSession() *session {
	s := &session{catalog: &fakeCatalog{}, txn: newFakeTxn(), tables: 100}
	s.env = testEnv(s.txn, s.catalog)
	s.env.BindExpression = func(ctx context.Context, t *catalog.Table, text string, want *types.T) (opt.Scalar, error) {
		e, err := parseExpression(text)
		if err != nil {
			return nil, err
		}
		what := "check constraints"
		if want != types.Boolean {
			what = "column generation expressions"
		}
		bound, _, err := opt.BindTableExpression(s.planning(text), t, e, want, what)
		return bound, err
	}
	return s
}

func (s *session) planning(text string) *opt.Context {
	return &opt.Context{Ctx: context.Background(), Resolver: s.catalog, Types: s.env.Types, ParseStatement: postgres.Parse,
		ParseExpression: parseExpression, Text: text, RowCount: s.rowCount}
}

func (s *session) plan(text string) (*opt.Plan, error) {
	statements, err := postgres.Parse(text)
	if err != nil {
		return nil, err
	}
	return opt.Build(s.planning(text), statements[0].AST)
}

// run carries a statement out; writes of failed ones are taken back.
func (s *session) run(t *testing.T, text string) string {
	s.txn.Step()
	savepoint := s.txn.sequence
	out, err := s.execute(t, text)
	if err != nil {
		s.txn.rollBack(savepoint)
		return describe(err)
	}
	return out
}

// execute plans and runs a statement in the transaction of s.env.
func (s *session) execute(t *testing.T, text string) (string, error) {
	plan, err := s.plan(text)
	if err != nil {
		return "", err
	}
	prepared, err := Prepare(plan)
	if err != nil {
		return "", err
	}
	rows, n, err := collectPrepared(t, s.env, prepared)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, row := range rows {
		for k, d := range row {
			if k > 0 {
				b.WriteByte('|')
			}
			if d.Null {
				b.WriteByte('-')
			} else {
				b.Write(types.AppendText(nil, s.env.Types, plan.Columns[k].Type, d))
			}
		}
		b.WriteByte('\n')
	}
	if plan.Tag != opt.TagSelect {
		fmt.Fprintf(&b, "%d rows\n", n)
	}
	return b.String(), nil
}

// command carries out the directives other than run.
func (s *session) command(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "table":
		if err := s.createTable(d.Input); err != nil {
			return describe(err)
		}
	case "memory":
		s.env.Memory = NewMemory(1<<20, nil)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return "ok\n"
}

// rollBack takes back what was written after a sequence number.
func (f *fakeTxn) rollBack(to int32) {
	for k, versions := range f.versions {
		f.versions[k] = slices.DeleteFunc(versions, func(v fakeVersion) bool { return v.sequence > to })
	}
	f.step = f.sequence
}

func describe(err error) string {
	e, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		return "ERROR (not PostgreSQL's): " + err.Error() + "\n"
	}
	s := "ERROR: " + e.Code + ": " + e.Message + "\n"
	if e.Detail != "" {
		s += "DETAIL: " + e.Detail + "\n"
	}
	if e.Hint != "" {
		s += "HINT: " + e.Hint + "\n"
	}
	return s
}

// createTable reads a description: a name, then a line for each column
// ("id int4 not null", the first is the primary key) and each "unique",
// "index", "check", "references".
func (s *session) createTable(description string) error {
	lines := strings.Split(strings.TrimSpace(description), "\n")
	t := &catalog.Table{}
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		if slices.Contains([]string{"unique", "index", "check", "references"}, words[0]) {
			continue
		}
		typ, err := types.FromName([]string{words[1]}, nil, 0)
		if err != nil {
			return err
		}
		c := catalog.Column{Name: words[0], Type: typ}
		rest := strings.Join(words[2:], " ")
		c.NotNull = strings.HasPrefix(rest, "not null")
		rest = strings.TrimSpace(strings.TrimPrefix(rest, "not null"))
		if after, ok := strings.CutPrefix(rest, "default "); ok {
			c.Default = after
		}
		if after, ok := strings.CutPrefix(rest, "generated "); ok {
			c.Generated = after
		}
		t.Columns = append(t.Columns, c)
	}
	s.tables++
	t = s.catalog.add(s.tables, lines[0], t.Columns...)
	ids := func(list string) (columns []catalog.ColumnID) {
		for _, name := range strings.Split(list, ",") {
			columns = append(columns, t.ColumnNamed(name).ID)
		}
		return columns
	}
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		switch words[0] {
		case "unique", "index":
			addIndex(t, words[1], words[0] == "unique", ids(words[2])...)
		case "check":
			t.Checks = append(t.Checks, catalog.Check{Name: words[1], Expr: strings.Join(words[2:], " ")})
		case "references": // name columns table delete-action update-action
			target := s.catalog.named[words[3]]
			action := func(word string) catalog.Action {
				return catalog.Action(slices.Index([]string{"no-action", "restrict", "cascade", "set-null", "set-default"}, word))
			}
			fk := catalog.ForeignKey{Name: words[1], Table: t.ID, Columns: ids(words[2]), ReferencedTable: target.ID,
				ReferencedColumns: []catalog.ColumnID{1}, ReferencedIndex: 1, OnDelete: action(words[4]), OnUpdate: action(words[5])}
			t.ForeignKeys = append(t.ForeignKeys, fk)
			target.ReferencedBy = append(target.ReferencedBy, fk)
		}
	}
	return nil
}

// TestScripts runs statements over an in-memory transaction. The expected
// output is PostgreSQL 15's, '|' between columns and '-' for NULL. Each script
// runs with several sizes that the planner is made to believe in, so that it
// chooses other plans, and with pages of few rows.
func TestScripts(t *testing.T) {
	for _, rows := range []float64{-1, 3, 1e7} {
		for _, pageRows := range []int{0, 2} {
			t.Run(fmt.Sprintf("rows=%g,page=%d", rows, pageRows), func(t *testing.T) { runScripts(t, rows, pageRows) })
		}
	}
}

func runScripts(t *testing.T, tableRows float64, pageRows int) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newSession()
		s.rowCount = func(*catalog.Table) float64 { return tableRows }
		s.txn.pageRows = pageRows
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "run" {
				return s.run(t, d.Input)
			}
			return s.command(t, d)
		})
	})
}
