package opt

import (
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func buildStatement(*Context, parser.Node) (*Plan, error) {
	return nil, pgerror.Unsupported("planning")
}

func buildCopyFrom(*Context, *catalog.Table, []catalog.ColumnID) (*Plan, error) {
	return nil, pgerror.Unsupported("planning")
}

func bindTableExpression(*Context, *catalog.Table, parser.Expression, *types.T, string) (Scalar, []catalog.ColumnID, error) {
	return nil, nil, pgerror.Unsupported("planning")
}

func explain(*Plan, ExplainOptions, func(Node) *ActualStats) []string { return nil }

// Deparse prints an expression as PostgreSQL's ruleutils do ("(amount >
// (0)::numeric)", "'pending'::character varying"): what \d shows of defaults
// and checks. names gives the columns' names, as they are to be printed.
func Deparse(s Scalar, names func(ColumnID) string) string { return "" }

// DeparseQuery prints a query as pg_get_viewdef does, with the names of
// relations outside the search path qualified; qualify: all of them, which is
// how a view's definition is stored.
func DeparseQuery(c *Context, query parser.Query, qualify bool) (string, error) {
	return "", pgerror.Unsupported("planning")
}

// ConstantFold evaluates what in s depends on nothing but constants.
func ConstantFold(c *Context, s Scalar) Scalar { return s }
