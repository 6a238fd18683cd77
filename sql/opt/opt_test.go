package opt

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// TestPlans runs the scripts of testdata: SQL in, the plan out as EXPLAIN prints
// it, or the error with its position.
//
//	define                   CREATE TABLE, CREATE INDEX, CREATE VIEW
//	rows table=t count=n     how many rows a table has
//	plan                     the plan of a statement
//	columns                  its result columns and parameters
//	deparse [view]           a query as pg_get_viewdef prints it
//	expression [table=t]     an expression as the catalog stores and psql shows it
func TestPlans(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		c := newTestCatalog()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := runCommand(c, d)
			if err != nil {
				return formatError(err)
			}
			return out
		})
	})
}

func formatError(err error) string {
	e, ok := err.(*pgerror.Error)
	if !ok {
		return "ERROR: " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ERROR %s: %s", e.Code, e.Message)
	if e.Position > 0 {
		fmt.Fprintf(&b, " (at %d)", e.Position)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, "\nDETAIL: %s", e.Detail)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\nHINT: %s", e.Hint)
	}
	return b.String() + "\n"
}

func buildText(c *testCatalog, text string) (*Plan, error) {
	statements, err := postgres.Parse(text)
	if err != nil {
		return nil, err
	}
	return Build(c.context(text), statements[0].AST)
}

func runCommand(c *testCatalog, d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "define":
		return "", c.define(d.Input)
	case "rows":
		var table string
		var count int
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "table":
				table = a.Vals[0]
			case "count":
				count, _ = strconv.Atoi(a.Vals[0])
			}
		}
		c.rows[c.relations[table].Head().ID] = float64(count)
		return "", nil
	case "plan":
		p, err := buildText(c, d.Input)
		if err != nil {
			return "", err
		}
		if err := checkPlan(p); err != nil {
			return "", err
		}
		return strings.Join(Explain(p, ExplainOptions{Verbose: d.HasArg("verbose")}, nil), "\n") + "\n", nil
	case "columns":
		p, err := buildText(c, d.Input)
		if err != nil {
			return "", err
		}
		if err := checkPlan(p); err != nil {
			return "", err
		}
		var b strings.Builder
		for _, k := range p.Columns {
			fmt.Fprintf(&b, "%s %s\n", k.Name, k.Type.String())
		}
		for i, k := range p.Parameters {
			fmt.Fprintf(&b, "$%d %s\n", i+1, k.String())
		}
		return b.String(), nil
	case "deparse":
		statements, err := postgres.Parse(d.Input)
		if err != nil {
			return "", err
		}
		q, err := DeparseQuery(c.context(d.Input), statements[0].AST.(parser.Query), d.HasArg("qualify"))
		return q + "\n", err
	case "expression":
		return deparseExpression(c, d)
	}
	return "", fmt.Errorf("unknown command %q", d.Cmd)
}

func deparseExpression(c *testCatalog, d *datadriven.TestData) (string, error) {
	e, err := parseTestExpression(d.Input)
	if err != nil {
		return "", err
	}
	var name, typ string
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "table":
			name = a.Vals[0]
		case "type":
			typ = strings.Join(a.Vals, ",")
		}
	}
	what := "DEFAULT expressions"
	context := c.context("SELECT " + d.Input)
	var table *catalog.Table
	if name != "" {
		table, what = c.relations[name].(*catalog.Table), "check constraints"
	}
	var want *types.T
	if typ != "" {
		want, _ = types.ByName(typ)
	}
	s, columns, err := BindTableExpression(context, table, e, want, what)
	if err != nil {
		return "", err
	}
	names := func(id ColumnID) string { return table.Columns[id-1].Name }
	return fmt.Sprintf("%s\n%s\n%v\n", Deparse(s, names), DeparsePretty(s, names), columns), nil
}

// checkPlan proves what every plan must hold: each node finds the columns that
// it uses in its inputs, or in an outer query, and the root has the result.
func checkPlan(p *Plan) error {
	var outer columnSet
	if err := checkNode(p.Root, outer); err != nil {
		return err
	}
	have := columnSetOf(p.Root.Output()...)
	for _, c := range p.Columns {
		if !have.has(c.ID) {
			return fmt.Errorf("the root lacks result column %d (%s)", c.ID, c.Name)
		}
	}
	return nil
}

// checkNode checks a tree whose expressions may also use the columns of outer.
func checkNode(n Node, outer columnSet) error {
	available := outer.clone()
	for _, in := range n.Inputs() {
		available.addAll(in.Output())
	}
	switch x := n.(type) {
	case *joinGroup:
		return fmt.Errorf("a join group is left over")
	case *Scan:
		available.addAll(tableColumnIDs(x.Columns))
		for _, c := range x.Columns {
			if !indexHas(x.Table, x.Index, c.Column) {
				return fmt.Errorf("index %s lacks column %d", x.Index.Name, c.Column)
			}
		}
	case *IndexJoin, *LookupJoin, *VirtualScan, *Window:
		available.addAll(n.Output())
	case *Insert:
		if x.OnConflict != nil {
			available.addAll(tableColumnIDs(x.OnConflict.Existing))
		}
	}
	var err error
	check := func(s Scalar) {
		if used := columnsOf(s); !used.within(available) && err == nil {
			used.subtract(available)
			err = fmt.Errorf("%T uses columns %v that are not there", n, used.ids())
		}
		anyScalar(s, func(y Scalar) bool {
			if q, ok := y.(*Subquery); ok && err == nil {
				inner := available.clone()
				err = checkNode(q.Query, inner)
			}
			return false
		})
	}
	nodeScalars(n, check)
	need := func(input Node, ids ...ColumnID) {
		have := columnSetOf(input.Output()...)
		for _, id := range ids {
			if !have.has(id) && err == nil {
				err = fmt.Errorf("%T needs column %d, which its input lacks", n, id)
			}
		}
	}
	switch x := n.(type) {
	case *Project:
		need(x.Input, x.Keep...)
	case *Join:
		need(x.Left, x.EqualLeft...)
		need(x.Right, x.EqualRight...)
	case *Aggregate:
		need(x.Input, x.GroupBy...)
		for _, a := range x.Aggregates {
			need(x.Input, a.Arguments...)
		}
	case *Sort:
		for _, k := range x.Keys {
			need(x.Input, k.ID)
		}
	case *DistinctRows:
		need(x.Input, x.On...)
	case *Insert:
		need(x.Input, tableColumnIDs(x.Row)...)
	case *Update:
		need(x.Input, tableColumnIDs(x.Old)...)
		need(x.Input, tableColumnIDs(x.New)...)
	case *Delete:
		need(x.Input, tableColumnIDs(x.Old)...)
	case *SetOperation:
		need(x.Left, x.LeftColumns...)
		need(x.Right, x.RightColumns...)
	case *LockRows:
		for _, t := range x.Tables {
			need(x.Input, t.Keys...)
		}
	case *IndexJoin:
		need(x.Input, x.PrimaryKey...)
	}
	if err != nil {
		return err
	}
	below := outer
	if j, ok := n.(*Join); ok && j.Lateral {
		if err := checkNode(j.Left, outer); err != nil {
			return err
		}
		right := outer.clone()
		right.addAll(j.Left.Output())
		return checkNode(j.Right, right)
	}
	for _, in := range n.Inputs() {
		if err := checkNode(in, below); err != nil {
			return err
		}
	}
	return nil
}
