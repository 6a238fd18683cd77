package opt

import (
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

type trace struct {
	scalars    map[parser.Expression]Scalar
	calls      map[ColumnID]*parser.Call
	subqueries map[*Subquery]*parser.Subquery
}

func (t *trace) record(*selection) {}

// DeparseQuery prints a query as pg_get_viewdef does, with the names of
// relations outside the search path qualified; qualify: all of them, which is
// how a view's definition is stored.
func DeparseQuery(c *Context, query parser.Query, qualify bool) (string, error) {
	return "", pgerror.Unsupported("planning")
}
