package postgres

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (c *converter) expressions(list []*pg.Node) []parser.Expression {
	if len(list) == 0 {
		return nil
	}
	out := make([]parser.Expression, len(list))
	for i, n := range list {
		out[i] = c.expression(n)
	}
	return out
}

// expression converts a scalar expression; nil for nil.
func (c *converter) expression(n *pg.Node) parser.Expression {
	if n == nil || n.Node == nil || c.err != nil {
		return nil
	}
	switch v := n.Node.(type) {
	case *pg.Node_AConst:
		return c.constant(v.AConst)
	case *pg.Node_ColumnRef:
		return columnReference(v.ColumnRef)
	case *pg.Node_ParamRef:
		c.parameters = max(c.parameters, int(v.ParamRef.Number))
		return &parser.Parameter{Position: position(v.ParamRef.Location), Number: int(v.ParamRef.Number)}
	case *pg.Node_AExpr:
		return c.operator(v.AExpr)
	case *pg.Node_BoolExpr:
		b := v.BoolExpr
		operator := parser.And
		switch b.Boolop {
		case pg.BoolExprType_OR_EXPR:
			operator = parser.Or
		case pg.BoolExprType_NOT_EXPR:
			operator = parser.Not
		}
		return &parser.Logical{Position: position(b.Location), Operator: operator, Arguments: c.expressions(b.Args)}
	case *pg.Node_NullTest:
		t := v.NullTest
		return &parser.Test{Position: position(t.Location), Kind: parser.IsNull, Argument: c.expression(t.Arg), Not: t.Nulltesttype == pg.NullTestType_IS_NOT_NULL}
	case *pg.Node_BooleanTest:
		return c.booleanTest(v.BooleanTest)
	case *pg.Node_FuncCall:
		return c.call(v.FuncCall)
	case *pg.Node_SqlvalueFunction:
		return c.keyword(v.SqlvalueFunction)
	case *pg.Node_TypeCast:
		return &parser.Cast{Position: position(v.TypeCast.Location), Argument: c.expression(v.TypeCast.Arg), Type: c.typeName(v.TypeCast.TypeName)}
	case *pg.Node_CollateClause:
		return &parser.Collate{Position: position(v.CollateClause.Location), Argument: c.expression(v.CollateClause.Arg), Names: names(v.CollateClause.Collname)}
	case *pg.Node_CaseExpr:
		e := &parser.Case{Position: position(v.CaseExpr.Location), Argument: c.expression(v.CaseExpr.Arg), Else: c.expression(v.CaseExpr.Defresult)}
		for _, w := range v.CaseExpr.Args {
			when := w.GetCaseWhen()
			e.Whens = append(e.Whens, parser.When{Condition: c.expression(when.GetExpr()), Result: c.expression(when.GetResult())})
		}
		return e
	case *pg.Node_CoalesceExpr:
		return &parser.Coalesce{Position: position(v.CoalesceExpr.Location), Arguments: c.expressions(v.CoalesceExpr.Args)}
	case *pg.Node_MinMaxExpr:
		return &parser.MinMax{Position: position(v.MinMaxExpr.Location), Least: v.MinMaxExpr.Op == pg.MinMaxOp_IS_LEAST, Arguments: c.expressions(v.MinMaxExpr.Args)}
	case *pg.Node_AArrayExpr:
		return &parser.Array{Position: position(v.AArrayExpr.Location), Elements: c.expressions(v.AArrayExpr.Elements)}
	case *pg.Node_RowExpr:
		return &parser.Row{Position: position(v.RowExpr.Location), Elements: c.expressions(v.RowExpr.Args), Explicit: v.RowExpr.RowFormat == pg.CoercionForm_COERCE_EXPLICIT_CALL}
	case *pg.Node_AIndirection:
		argument := c.expression(v.AIndirection.Arg)
		if argument == nil {
			return nil
		}
		return &parser.Indirection{Position: argument.At(), Argument: argument, Steps: c.steps(v.AIndirection.Indirection)}
	case *pg.Node_SubLink:
		return c.subLink(v.SubLink)
	case *pg.Node_SetToDefault:
		return &parser.Default{Position: position(v.SetToDefault.Location)}
	case *pg.Node_GroupingSet:
		return &parser.GroupingSet{Position: position(v.GroupingSet.Location), Kind: parser.GroupingSetKind(v.GroupingSet.Kind - pg.GroupingSetKind_GROUPING_SET_EMPTY), Elements: c.expressions(v.GroupingSet.Content)}
	case *pg.Node_GroupingFunc:
		return &parser.Grouping{Position: position(v.GroupingFunc.Location), Arguments: c.expressions(v.GroupingFunc.Args)}
	case *pg.Node_NamedArgExpr:
		return c.expression(v.NamedArgExpr.Arg) // the name is taken by call
	case *pg.Node_String_:
		return &parser.Constant{Position: parser.NoPosition, Kind: parser.StringConstant, Text: v.String_.Sval}
	case *pg.Node_Integer:
		return &parser.Constant{Position: parser.NoPosition, Kind: parser.IntegerConstant, Int: v.Integer.Ival}
	case *pg.Node_List:
		return &parser.Row{Position: parser.NoPosition, Elements: c.expressions(v.List.Items)}
	case *pg.Node_XmlExpr:
		c.unsupported("XML", v.XmlExpr.Location)
	case *pg.Node_CurrentOfExpr:
		c.unsupported("WHERE CURRENT OF", -1)
	default:
		c.unsupported("expression "+nodeName(n), -1)
	}
	return nil
}

// nodeName names a kind of node for an error.
func nodeName(n *pg.Node) string {
	return strings.TrimPrefix(strings.TrimPrefix(typeOf(n.Node), "*pg_query.Node_"), "*")
}

func (c *converter) constant(a *pg.A_Const) parser.Expression {
	k := &parser.Constant{Position: position(a.Location)}
	switch v := a.Val.(type) {
	case *pg.A_Const_Ival:
		k.Kind, k.Int = parser.IntegerConstant, v.Ival.GetIval()
	case *pg.A_Const_Fval:
		k.Kind, k.Text = parser.NumberConstant, v.Fval.GetFval()
	case *pg.A_Const_Boolval:
		k.Kind, k.Text = parser.BoolConstant, "false"
		if v.Boolval.GetBoolval() {
			k.Text = "true"
		}
	case *pg.A_Const_Sval:
		k.Kind, k.Text = parser.StringConstant, v.Sval.GetSval()
	case *pg.A_Const_Bsval:
		k.Kind, k.Text = parser.BitConstant, v.Bsval.GetBsval()
	default:
		k.Kind = parser.NullConstant
		if !a.Isnull {
			// protobuf leaves a zero integer out.
			k.Kind = parser.IntegerConstant
		}
	}
	return k
}

func columnReference(r *pg.ColumnRef) *parser.ColumnReference {
	out := &parser.ColumnReference{Position: position(r.Location), Names: make([]string, 0, len(r.Fields))}
	for _, f := range r.Fields {
		if f.GetAStar() != nil {
			out.Star = true
		} else {
			out.Names = append(out.Names, f.GetString_().GetSval())
		}
	}
	return out
}

func (c *converter) operator(e *pg.A_Expr) parser.Expression {
	at := position(e.Location)
	name := names(e.Name)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		b := &parser.Binary{Position: at, Operator: last(name), Left: c.expression(e.Lexpr), Right: c.expression(e.Rexpr)}
		if len(name) > 1 {
			b.Schema = name[len(name)-2]
		}
		return b
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		return &parser.AnyAll{Position: at, Operator: last(name), Left: c.expression(e.Lexpr), Array: c.expression(e.Rexpr), All: e.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL}
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return &parser.Distinct{Position: at, Left: c.expression(e.Lexpr), Right: c.expression(e.Rexpr), Not: e.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT}
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		return &parser.NullIf{Position: at, Left: c.expression(e.Lexpr), Right: c.expression(e.Rexpr)}
	case pg.A_Expr_Kind_AEXPR_IN:
		return &parser.In{Position: at, Left: c.expression(e.Lexpr), List: c.expressions(e.Rexpr.GetList().GetItems()), Not: last(name) == "<>"}
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		kind := parser.LikeMatch + parser.LikeKind(e.Kind-pg.A_Expr_Kind_AEXPR_LIKE)
		return &parser.Like{Position: at, Kind: kind, Left: c.expression(e.Lexpr), Right: c.expression(e.Rexpr), Not: strings.HasPrefix(last(name), "!")}
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		bounds := e.Rexpr.GetList().GetItems()
		if len(bounds) != 2 {
			c.fail(pgerror.New(pgerror.Syntax, "BETWEEN needs two bounds"))
			return nil
		}
		return &parser.Between{Position: at, Argument: c.expression(e.Lexpr), Low: c.expression(bounds[0]), High: c.expression(bounds[1]),
			Not:       e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM,
			Symmetric: e.Kind == pg.A_Expr_Kind_AEXPR_BETWEEN_SYM || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM}
	default:
		c.unsupported("operator expression "+e.Kind.String(), e.Location)
		return nil
	}
}

func (c *converter) booleanTest(t *pg.BooleanTest) parser.Expression {
	out := &parser.Test{Position: position(t.Location), Argument: c.expression(t.Arg)}
	switch t.Booltesttype {
	case pg.BoolTestType_IS_TRUE, pg.BoolTestType_IS_NOT_TRUE:
		out.Kind = parser.IsTrue
	case pg.BoolTestType_IS_FALSE, pg.BoolTestType_IS_NOT_FALSE:
		out.Kind = parser.IsFalse
	default:
		out.Kind = parser.IsUnknown
	}
	switch t.Booltesttype {
	case pg.BoolTestType_IS_NOT_TRUE, pg.BoolTestType_IS_NOT_FALSE, pg.BoolTestType_IS_NOT_UNKNOWN:
		out.Not = true
	}
	return out
}

func (c *converter) call(f *pg.FuncCall) *parser.Call {
	out := &parser.Call{Position: position(f.Location), Names: names(f.Funcname), Arguments: c.expressions(f.Args), Star: f.AggStar,
		Distinct: f.AggDistinct, Variadic: f.FuncVariadic, OrderBy: c.orderBy(f.AggOrder), WithinGroup: f.AggWithinGroup,
		Filter: c.expression(f.AggFilter), SQLSyntax: f.Funcformat == pg.CoercionForm_COERCE_SQL_SYNTAX}
	for i, a := range f.Args {
		if named := a.GetNamedArgExpr(); named != nil {
			if out.ArgumentNames == nil {
				out.ArgumentNames = make([]string, len(f.Args))
			}
			out.ArgumentNames[i] = named.Name
		}
	}
	if f.Over != nil {
		out.Over = c.window(f.Over)
	}
	return out
}

// Bits of PostgreSQL's frameOptions (nodes/parsenodes.h).
const (
	frameNonDefault      = 0x00001
	frameRange           = 0x00002
	frameRows            = 0x00004
	frameGroups          = 0x00008
	frameStartUnbounded  = 0x00020
	frameStartCurrentRow = 0x00200
	frameEndCurrentRow   = 0x00400
	frameStartPreceding  = 0x00800
	frameEndPreceding    = 0x01000
	frameStartFollowing  = 0x02000
	frameEndFollowing    = 0x04000
	frameEndUnbounded    = 0x00100
	frameExcludeCurrent  = 0x08000
	frameExcludeGroup    = 0x10000
	frameExcludeTies     = 0x20000
)

func (c *converter) window(w *pg.WindowDef) *parser.Window {
	out := &parser.Window{Position: position(w.Location), PartitionBy: c.expressions(w.PartitionClause), OrderBy: c.orderBy(w.OrderClause)}
	out.Name, out.Reference = w.Name, w.Refname
	o := w.FrameOptions
	if o&frameNonDefault == 0 {
		return out
	}
	frame := &parser.Frame{}
	switch {
	case o&frameRows != 0:
		frame.Mode = parser.RowsFrame
	case o&frameGroups != 0:
		frame.Mode = parser.GroupsFrame
	}
	switch {
	case o&frameStartUnbounded != 0:
		frame.Start.Kind = parser.UnboundedPreceding
	case o&frameStartCurrentRow != 0:
		frame.Start.Kind = parser.CurrentRow
	case o&frameStartPreceding != 0:
		frame.Start = parser.FrameBound{Kind: parser.Preceding, Offset: c.expression(w.StartOffset)}
	case o&frameStartFollowing != 0:
		frame.Start = parser.FrameBound{Kind: parser.Following, Offset: c.expression(w.StartOffset)}
	}
	switch {
	case o&frameEndUnbounded != 0:
		frame.End.Kind = parser.UnboundedFollowing
	case o&frameEndCurrentRow != 0:
		frame.End.Kind = parser.CurrentRow
	case o&frameEndPreceding != 0:
		frame.End = parser.FrameBound{Kind: parser.Preceding, Offset: c.expression(w.EndOffset)}
	case o&frameEndFollowing != 0:
		frame.End = parser.FrameBound{Kind: parser.Following, Offset: c.expression(w.EndOffset)}
	}
	switch {
	case o&frameExcludeCurrent != 0:
		frame.Exclude = parser.ExcludeCurrentRow
	case o&frameExcludeGroup != 0:
		frame.Exclude = parser.ExcludeGroup
	case o&frameExcludeTies != 0:
		frame.Exclude = parser.ExcludeTies
	}
	out.Frame = frame
	return out
}

func (c *converter) orderBy(list []*pg.Node) []parser.OrderItem {
	var out []parser.OrderItem
	for _, n := range list {
		s := n.GetSortBy()
		if s == nil {
			c.unsupported("ORDER BY "+nodeName(n), -1)
			return nil
		}
		item := parser.OrderItem{Expression: c.expression(s.Node), Descending: s.SortbyDir == pg.SortByDir_SORTBY_DESC, Using: last(names(s.UseOp))}
		item.UsingPosition = position(s.Location)
		item.NullsFirst = nullsFirst(s.SortbyNulls, item.Descending)
		out = append(out, item)
	}
	return out
}

func nullsFirst(n pg.SortByNulls, descending bool) bool {
	switch n {
	case pg.SortByNulls_SORTBY_NULLS_FIRST:
		return true
	case pg.SortByNulls_SORTBY_NULLS_LAST:
		return false
	default:
		return descending
	}
}

// keyword names, in the order of SQLValueFunctionOp.
var keywords = map[pg.SQLValueFunctionOp]string{
	pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        "current_date",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        "current_time",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      "current_time",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   "current_timestamp",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME:           "localtime",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         "localtime",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      "localtimestamp",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    "localtimestamp",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:        "current_role",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:        "current_user",
	pg.SQLValueFunctionOp_SVFOP_USER:                "user",
	pg.SQLValueFunctionOp_SVFOP_SESSION_USER:        "session_user",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:     "current_catalog",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:      "current_schema",
}

func (c *converter) keyword(f *pg.SQLValueFunction) parser.Expression {
	precision := int32(-1)
	switch f.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N,
		pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		precision = f.Typmod
	}
	return &parser.Keyword{Position: position(f.Location), Name: keywords[f.Op], Precision: precision}
}

func (c *converter) steps(list []*pg.Node) []parser.IndirectionStep {
	var out []parser.IndirectionStep
	for _, n := range list {
		switch v := n.Node.(type) {
		case *pg.Node_String_:
			out = append(out, parser.IndirectionStep{Field: v.String_.Sval})
		case *pg.Node_AStar:
			out = append(out, parser.IndirectionStep{Star: true})
		case *pg.Node_AIndices:
			out = append(out, parser.IndirectionStep{Slice: v.AIndices.IsSlice, Lower: c.expression(v.AIndices.Lidx), Upper: c.expression(v.AIndices.Uidx)})
		}
	}
	return out
}

func (c *converter) subLink(s *pg.SubLink) parser.Expression {
	out := &parser.Subquery{Position: position(s.Location), Left: c.expression(s.Testexpr), Operator: last(names(s.OperName)), Query: c.query(s.Subselect)}
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		out.Kind = parser.ExistsSubquery
	case pg.SubLinkType_ALL_SUBLINK:
		out.Kind = parser.AllSubquery
	case pg.SubLinkType_ANY_SUBLINK:
		out.Kind = parser.AnySubquery
		if out.Operator == "" {
			out.Operator = "="
		}
	case pg.SubLinkType_EXPR_SUBLINK:
		out.Kind = parser.ScalarSubquery
	case pg.SubLinkType_ARRAY_SUBLINK:
		out.Kind = parser.ArraySubquery
	default:
		c.unsupported("subquery "+s.SubLinkType.String(), s.Location)
	}
	return out
}
