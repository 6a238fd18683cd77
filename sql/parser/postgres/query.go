package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func typeOf(v any) string { return fmt.Sprintf("%T", v) }

// query converts what yields rows.
func (c *converter) query(n *pg.Node) parser.Query {
	if s := n.GetSelectStmt(); s != nil {
		return c.selectStatement(s)
	}
	if n != nil {
		c.unsupported("query "+nodeName(n), -1)
	}
	return nil
}

func (c *converter) selectStatement(s *pg.SelectStmt) parser.Query {
	if s == nil || c.err != nil {
		return nil
	}
	if s.IntoClause != nil {
		c.fail(pgerror.New(pgerror.Syntax, "SELECT ... INTO is not allowed here").WithPosition(parser.Character(c.text, position(s.IntoClause.GetRel().GetLocation()))))
		return nil
	}
	tail := parser.Tail{OrderBy: c.orderBy(s.SortClause), Limit: c.limit(s.LimitCount), Offset: c.expression(s.LimitOffset),
		WithTies: s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES, Locks: c.locks(s.LockingClause)}
	with := c.with(s.WithClause)
	switch s.Op {
	case pg.SetOperation_SETOP_UNION, pg.SetOperation_SETOP_INTERSECT, pg.SetOperation_SETOP_EXCEPT:
		return &parser.SetOperation{Position: parser.NoPosition, With: with, Operator: parser.SetOperator(s.Op - pg.SetOperation_SETOP_UNION),
			All: s.All, Left: c.selectStatement(s.Larg), Right: c.selectStatement(s.Rarg), Tail: tail}
	}
	if len(s.ValuesLists) > 0 {
		return &parser.Values{Position: parser.NoPosition, With: with, Rows: c.rows(s.ValuesLists), Tail: tail}
	}
	out := &parser.Select{Position: parser.NoPosition, With: with, Targets: c.targets(s.TargetList), From: c.from(s.FromClause), Where: c.expression(s.WhereClause),
		GroupBy: c.expressions(s.GroupClause), GroupByDistinct: s.GroupDistinct, Having: c.expression(s.HavingClause), Tail: tail}
	if len(s.DistinctClause) > 0 {
		// A plain DISTINCT is a list with one empty node.
		if s.DistinctClause[0].GetNode() == nil {
			out.Distinct = true
		} else {
			out.DistinctOn = c.expressions(s.DistinctClause)
		}
	}
	for _, w := range s.WindowClause {
		out.Windows = append(out.Windows, c.window(w.GetWindowDef()))
	}
	return out
}

// limit converts a LIMIT; LIMIT ALL is a NULL constant and is no limit.
func (c *converter) limit(n *pg.Node) parser.Expression {
	if k := n.GetAConst(); k != nil && k.Isnull {
		return nil
	}
	return c.expression(n)
}

func (c *converter) rows(lists []*pg.Node) [][]parser.Expression {
	out := make([][]parser.Expression, len(lists))
	for i, l := range lists {
		out[i] = c.expressions(l.GetList().GetItems())
	}
	return out
}

func (c *converter) targets(list []*pg.Node) []parser.Target {
	out := make([]parser.Target, 0, len(list))
	for _, n := range list {
		t := n.GetResTarget()
		out = append(out, parser.Target{Position: position(t.GetLocation()), Expression: c.expression(t.GetVal()), Alias: t.GetName()})
	}
	return out
}

func (c *converter) from(list []*pg.Node) []parser.TableExpression {
	var out []parser.TableExpression
	for _, n := range list {
		out = append(out, c.tableExpression(n))
	}
	return out
}

func (c *converter) tableExpression(n *pg.Node) parser.TableExpression {
	if c.err != nil {
		return nil
	}
	switch v := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return &parser.TableReference{TableName: c.tableName(v.RangeVar), Alias: c.alias(v.RangeVar.Alias)}
	case *pg.Node_RangeSubselect:
		return &parser.SubqueryReference{Query: c.query(v.RangeSubselect.Subquery), Alias: c.alias(v.RangeSubselect.Alias), Lateral: v.RangeSubselect.Lateral}
	case *pg.Node_RangeFunction:
		return c.functionReference(v.RangeFunction)
	case *pg.Node_JoinExpr:
		return c.join(v.JoinExpr)
	case *pg.Node_RangeTableSample:
		t, _ := c.tableExpression(v.RangeTableSample.Relation).(*parser.TableReference)
		if t == nil {
			return nil
		}
		sampled := *t
		sampled.Sample = &parser.TableSample{Method: names(v.RangeTableSample.Method), Arguments: c.expressions(v.RangeTableSample.Args), Seed: c.expression(v.RangeTableSample.Repeatable)}
		return &sampled
	default:
		c.unsupported(nodeName(n)+" in FROM", -1)
		return nil
	}
}

func (c *converter) functionReference(f *pg.RangeFunction) parser.TableExpression {
	out := &parser.FunctionReference{Position: parser.NoPosition, RowsFrom: f.IsRowsfrom, Ordinality: f.Ordinality, Alias: c.alias(f.Alias), Lateral: f.Lateral, Columns: c.columnItems(f.Coldeflist)}
	for _, n := range f.Functions {
		// Each is a pair: the call, and its column definitions.
		pair := n.GetList().GetItems()
		item := parser.FunctionItem{Call: c.expression(pair[0])}
		if len(pair) > 1 {
			item.Columns = c.columnItems(pair[1].GetList().GetItems())
		}
		if item.Call != nil && out.Position == parser.NoPosition {
			out.Position = item.Call.At()
		}
		out.Functions = append(out.Functions, item)
	}
	return out
}

func (c *converter) columnItems(list []*pg.Node) []parser.ColumnDefinitionItem {
	var out []parser.ColumnDefinitionItem
	for _, n := range list {
		d := n.GetColumnDef()
		out = append(out, parser.ColumnDefinitionItem{Name: d.GetColname(), Type: c.typeName(d.GetTypeName())})
	}
	return out
}

func (c *converter) join(j *pg.JoinExpr) parser.TableExpression {
	out := &parser.Join{Position: parser.NoPosition, Natural: j.IsNatural, Left: c.tableExpression(j.Larg), Right: c.tableExpression(j.Rarg),
		Using: names(j.UsingClause), On: c.expression(j.Quals), Alias: c.alias(j.Alias)}
	if j.JoinUsingAlias != nil {
		out.UsingAlias = j.JoinUsingAlias.Aliasname
	}
	switch j.Jointype {
	case pg.JoinType_JOIN_INNER:
	case pg.JoinType_JOIN_LEFT:
		out.Kind = parser.LeftJoin
	case pg.JoinType_JOIN_RIGHT:
		out.Kind = parser.RightJoin
	case pg.JoinType_JOIN_FULL:
		out.Kind = parser.FullJoin
	default:
		c.unsupported("join "+j.Jointype.String(), -1)
	}
	return out
}

func (c *converter) with(w *pg.WithClause) *parser.With {
	if w == nil {
		return nil
	}
	out := &parser.With{Position: position(w.Location), Recursive: w.Recursive}
	for _, n := range w.Ctes {
		t := n.GetCommonTableExpr()
		if t.SearchClause != nil {
			c.unsupported("SEARCH in WITH", t.SearchClause.Location)
		}
		if t.CycleClause != nil {
			c.unsupported("CYCLE in WITH", t.CycleClause.Location)
		}
		m := parser.MaterializeDefault
		switch t.Ctematerialized {
		case pg.CTEMaterialize_CTEMaterializeAlways:
			m = parser.MaterializeAlways
		case pg.CTEMaterialize_CTEMaterializeNever:
			m = parser.MaterializeNever
		}
		out.Tables = append(out.Tables, &parser.CommonTable{Position: position(t.Location), Name: t.Ctename, Columns: names(t.Aliascolnames), Query: c.statement(t.Ctequery), Materialized: m})
	}
	return out
}

func (c *converter) locks(list []*pg.Node) []parser.Lock {
	var out []parser.Lock
	for _, n := range list {
		l := n.GetLockingClause()
		lock := parser.Lock{}
		switch l.Strength {
		case pg.LockClauseStrength_LCS_FORSHARE:
			lock.Strength = parser.ForShare
		case pg.LockClauseStrength_LCS_FORNOKEYUPDATE:
			lock.Strength = parser.ForNoKeyUpdate
		case pg.LockClauseStrength_LCS_FORUPDATE:
			lock.Strength = parser.ForUpdate
		}
		switch l.WaitPolicy {
		case pg.LockWaitPolicy_LockWaitSkip:
			lock.Wait = parser.LockSkip
		case pg.LockWaitPolicy_LockWaitError:
			lock.Wait = parser.LockNoWait
		}
		for _, r := range l.LockedRels {
			t := c.tableName(r.GetRangeVar())
			lock.Of = append(lock.Of, &t)
		}
		out = append(out, lock)
	}
	return out
}

func (c *converter) insert(s *pg.InsertStmt) parser.Node {
	out := &parser.Insert{With: c.with(s.WithClause), Table: c.tableName(s.Relation), Columns: c.insertColumns(s.Cols), Returning: c.returning(s.ReturningList)}
	if s.Relation.GetAlias() != nil {
		out.Alias = s.Relation.Alias.Aliasname
	}
	if s.SelectStmt != nil {
		out.Source = c.query(s.SelectStmt)
	}
	switch s.Override {
	case pg.OverridingKind_OVERRIDING_USER_VALUE:
		out.Overriding = parser.OverridingUser
	case pg.OverridingKind_OVERRIDING_SYSTEM_VALUE:
		out.Overriding = parser.OverridingSystem
	}
	if o := s.OnConflictClause; o != nil {
		conflict := &parser.OnConflict{Position: position(o.Location), Update: o.Action == pg.OnConflictAction_ONCONFLICT_UPDATE, Set: c.assignments(o.TargetList), Where: c.expression(o.WhereClause)}
		if o.Infer != nil {
			conflict.Elements = c.indexElements(o.Infer.IndexElems)
			conflict.Predicate = c.expression(o.Infer.WhereClause)
			conflict.Constraint = o.Infer.Conname
		}
		out.OnConflict = conflict
	}
	return out
}

func (c *converter) returning(list []*pg.Node) []parser.Target {
	if len(list) == 0 {
		return nil
	}
	return c.targets(list)
}

func (c *converter) insertColumns(list []*pg.Node) []parser.InsertColumn {
	var out []parser.InsertColumn
	for _, n := range list {
		t := n.GetResTarget()
		out = append(out, parser.InsertColumn{Position: position(t.Location), Name: t.Name, Steps: c.steps(t.Indirection)})
	}
	return out
}

// assignments converts SET. The columns of (a, b) = row come as one target
// each, which refer to the same source.
func (c *converter) assignments(list []*pg.Node) []parser.Assignment {
	var out []parser.Assignment
	for _, n := range list {
		t := n.GetResTarget()
		column := parser.InsertColumn{Position: position(t.GetLocation()), Name: t.GetName(), Steps: c.steps(t.GetIndirection())}
		m := t.GetVal().GetMultiAssignRef()
		switch {
		case m == nil:
			out = append(out, parser.Assignment{Position: column.Position, Columns: []parser.InsertColumn{column}, Value: c.expression(t.GetVal())})
		case m.Colno == 1:
			out = append(out, parser.Assignment{Position: column.Position, Columns: []parser.InsertColumn{column}, Value: c.expression(m.Source), Multiple: true})
		default:
			a := &out[len(out)-1]
			a.Columns = append(a.Columns, column)
		}
	}
	return out
}

func (c *converter) update(s *pg.UpdateStmt) parser.Node {
	out := &parser.Update{With: c.with(s.WithClause), Table: c.tableName(s.Relation), Alias: c.alias(s.Relation.GetAlias()), Set: c.assignments(s.TargetList),
		From: c.from(s.FromClause), Returning: c.returning(s.ReturningList)}
	out.Where, out.Cursor = c.whereOrCursor(s.WhereClause)
	return out
}

func (c *converter) delete(s *pg.DeleteStmt) parser.Node {
	out := &parser.Delete{With: c.with(s.WithClause), Table: c.tableName(s.Relation), Alias: c.alias(s.Relation.GetAlias()), Using: c.from(s.UsingClause), Returning: c.returning(s.ReturningList)}
	out.Where, out.Cursor = c.whereOrCursor(s.WhereClause)
	return out
}

func (c *converter) whereOrCursor(n *pg.Node) (parser.Expression, string) {
	if cursor := n.GetCurrentOfExpr(); cursor != nil {
		return nil, cursor.CursorName
	}
	return c.expression(n), ""
}
