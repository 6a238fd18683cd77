package schemachange

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
)

// walk calls visit for an expression and all that it is made of, except for
// the queries of subqueries, which table expressions can't have.
func walk(s opt.Scalar, visit func(opt.Scalar)) {
	if s == nil {
		return
	}
	visit(s)
	all := func(list ...opt.Scalar) {
		for _, e := range list {
			walk(e, visit)
		}
	}
	switch e := s.(type) {
	case *opt.Call:
		all(e.Arguments...)
	case *opt.Cast:
		all(e.Input)
	case *opt.And:
		all(e.Arguments...)
	case *opt.Or:
		all(e.Arguments...)
	case *opt.Not:
		all(e.Argument)
	case *opt.IsNull:
		all(e.Argument)
	case *opt.IsTruth:
		all(e.Argument)
	case *opt.Distinct:
		all(e.Left, e.Right)
	case *opt.NullIf:
		all(e.Left, e.Right)
	case *opt.Case:
		for _, w := range e.Whens {
			all(w.Condition, w.Result)
		}
		all(e.Else)
	case *opt.Coalesce:
		all(e.Arguments...)
	case *opt.Extremum:
		all(e.Arguments...)
	case *opt.InList:
		all(e.Left)
		all(e.Items...)
	case *opt.AnyAll:
		all(e.Left, e.Array)
	case *opt.ArrayOf:
		all(e.Elements...)
	case *opt.RowOf:
		all(e.Fields...)
	case *opt.Field:
		all(e.Row)
	case *opt.Subscript:
		all(e.Array)
		for _, i := range e.Indexes {
			all(i.Low, i.High)
		}
	}
}

// volatility returns the loosest volatility of what an expression calls: 'i',
// 's' or 'v'.
func volatility(s opt.Scalar) byte {
	loosest := byte('i')
	walk(s, func(e opt.Scalar) {
		v := byte('i')
		switch e := e.(type) {
		case *opt.Call:
			v = e.Function.Volatility
		case *opt.Cast:
			v = castVolatility(e.Cast)
		}
		if v == 'v' || v == 's' && loosest == 'i' {
			loosest = v
		}
	})
	return loosest
}

func castVolatility(c *types.BoundCast) byte {
	if c.Volatility == 0 {
		return 'i'
	}
	return c.Volatility
}
