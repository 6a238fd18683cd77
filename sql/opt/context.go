package opt

import (
	"context"
	"time"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/types"
)

// Context is what binding and planning depend on besides the tree. It is used
// by one goroutine.
type Context struct {
	Ctx      context.Context
	Resolver catalog.Resolver
	// Types evaluates constants (the input functions of literals among them).
	// Nil: the defaults.
	Types *types.Context
	// ParseStatement and ParseExpression parse what the catalog stores as text:
	// views; defaults, checks and generated columns.
	ParseStatement  func(text string) ([]parser.Statement, error)
	ParseExpression func(text string) (parser.Expression, error)
	// ParameterTypes are known in advance; nil ones and those that are missing
	// are inferred.
	ParameterTypes []*types.T
	// NoParameters: any parameter is an error.
	NoParameters bool
	// Text is the text that the tree's positions refer to. Empty: errors have no
	// positions.
	Text string
	// RowCount returns how many rows a table probably has, less than zero if
	// nobody knows. It may be nil.
	RowCount func(*catalog.Table) float64
}

// Build plans a *parser.Select, *parser.SetOperation, *parser.Values,
// *parser.Insert, *parser.Update or *parser.Delete. Errors are *pgerror.Error
// with PostgreSQL's words and a position, except those of the Resolver.
func Build(c *Context, statement parser.Node) (*Plan, error) {
	return buildStatement(c, statement)
}

// BuildCopyFrom plans COPY table (columns) FROM: an Insert over an Input that
// has the columns in the order given (all visible ones if there are none).
func BuildCopyFrom(c *Context, table *catalog.Table, columns []catalog.ColumnID) (*Plan, error) {
	return buildCopyFrom(c, table, columns)
}

// BindTableExpression binds a default, a check or the expression of a generated
// column of a table. The ids of its Variables are the table's catalog.ColumnIDs;
// those it refers to are returned. want is the type that it must have after an
// assignment cast, nil for any. what is how PostgreSQL names the place in errors:
// "DEFAULT expressions", "check constraints", "column generation expressions",
// "index expressions". Defaults (of a nil table as well) see no columns.
func BindTableExpression(c *Context, table *catalog.Table, expression parser.Expression, want *types.T, what string) (Scalar, []catalog.ColumnID, error) {
	return bindTableExpression(c, table, expression, want, what)
}

// ExplainOptions are the options of EXPLAIN.
type ExplainOptions struct {
	Analyze, Verbose, Costs, Timing, Summary bool
	// JSON asks for FORMAT JSON: all of it is one line of the result.
	JSON bool
	// Planning and Execution are shown with Summary, where not zero.
	Planning, Execution time.Duration
}

// ActualStats is what EXPLAIN ANALYZE measured of a node.
type ActualStats struct {
	// Rows is the total of all Loops.
	Rows, Loops    int64
	Startup, Total time.Duration
	// Extra are further lines, as "Memory: 3kB".
	Extra []string
}

// Explain prints a plan as PostgreSQL does. stats may be nil, or return nil
// for nodes that never ran.
func Explain(p *Plan, o ExplainOptions, stats func(Node) *ActualStats) []string {
	return explain(p, o, stats)
}
