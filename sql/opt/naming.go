package opt

import (
	"strings"

	"github.com/cairndb/cairn/sql/parser"
)

// noName is what PostgreSQL calls a result column that nothing names.
const noName = "?column?"

// expressionName is the name that PostgreSQL gives to a result column.
func expressionName(e parser.Expression) string {
	if name, _ := nameStrength(e); name != "" {
		return name
	}
	return noName
}

// nameStrength returns a name and how good it is: 2 for one of a column or
// function, 1 for that of a type or keyword, 0 for none (FigureColnameInternal).
func nameStrength(e parser.Expression) (string, int) {
	switch x := e.(type) {
	case *parser.ColumnReference:
		if len(x.Names) > 0 {
			return x.Names[len(x.Names)-1], 2
		}
	case *parser.Indirection:
		for i := len(x.Steps) - 1; i >= 0; i-- {
			if x.Steps[i].Field != "" {
				return x.Steps[i].Field, 2
			}
		}
		return nameStrength(x.Argument)
	case *parser.Call:
		return x.Names[len(x.Names)-1], 2
	case *parser.NullIf:
		return "nullif", 2
	case *parser.Cast:
		name, strength := nameStrength(x.Argument)
		if strength <= 1 && len(x.Type.Names) > 0 {
			return x.Type.Names[len(x.Type.Names)-1], 1
		}
		return name, strength
	case *parser.Collate:
		return nameStrength(x.Argument)
	case *parser.Grouping:
		return "grouping", 2
	case *parser.Subquery:
		return subqueryName(x)
	case *parser.Case:
		name, strength := nameStrength(x.Else)
		if strength <= 1 {
			return "case", 1
		}
		return name, strength
	case *parser.Array:
		return "array", 2
	case *parser.Row:
		return "row", 2
	case *parser.Coalesce:
		return "coalesce", 2
	case *parser.MinMax:
		if x.Least {
			return "least", 2
		}
		return "greatest", 2
	case *parser.Keyword:
		return strings.ToLower(x.Name), 2
	}
	return "", 0
}

func subqueryName(x *parser.Subquery) (string, int) {
	switch x.Kind {
	case parser.ExistsSubquery:
		return "exists", 2
	case parser.ArraySubquery:
		return "array", 2
	case parser.ScalarSubquery:
		switch q := x.Query.(type) {
		case *parser.Select:
			if len(q.Targets) > 0 {
				if q.Targets[0].Alias != "" {
					return q.Targets[0].Alias, 2
				}
				return expressionName(q.Targets[0].Expression), 2
			}
		case *parser.Values:
			return "column1", 2
		case *parser.SetOperation:
			return subqueryName(&parser.Subquery{Kind: parser.ScalarSubquery, Query: q.Left})
		}
	}
	return "", 0
}
