package postgres

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/cairndb/cairn/sql/parser"
)

// statement converts a statement, or refuses it by its name.
func (c *converter) statement(n *pg.Node) parser.Node {
	if n == nil || c.err != nil {
		return nil
	}
	switch v := n.Node.(type) {
	case *pg.Node_SelectStmt:
		if into := takeInto(v.SelectStmt); into != nil {
			return &parser.CreateTable{Name: c.tableName(into.GetRel()), Temporary: into.GetRel().GetRelpersistence() == "t", As: c.selectStatement(v.SelectStmt),
				Options: c.options(into.GetOptions()), OnCommit: onCommit(into.GetOnCommit())}
		}
		return c.selectStatement(v.SelectStmt)
	case *pg.Node_InsertStmt:
		return c.insert(v.InsertStmt)
	case *pg.Node_UpdateStmt:
		return c.update(v.UpdateStmt)
	case *pg.Node_DeleteStmt:
		return c.delete(v.DeleteStmt)
	case *pg.Node_TransactionStmt:
		return c.transaction(v.TransactionStmt)
	case *pg.Node_VariableSetStmt:
		return c.set(v.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return &parser.Show{Name: strings.ToLower(v.VariableShowStmt.Name)}
	case *pg.Node_ExplainStmt:
		return &parser.Explain{Statement: c.statement(v.ExplainStmt.Query), Options: c.options(v.ExplainStmt.Options)}
	case *pg.Node_PrepareStmt:
		return &parser.Prepare{Name: v.PrepareStmt.Name, Types: c.typeNames(v.PrepareStmt.Argtypes), Query: c.statement(v.PrepareStmt.Query)}
	case *pg.Node_ExecuteStmt:
		return &parser.Execute{Name: v.ExecuteStmt.Name, Arguments: c.expressions(v.ExecuteStmt.Params)}
	case *pg.Node_DeallocateStmt:
		return &parser.Deallocate{Name: v.DeallocateStmt.Name}
	case *pg.Node_DiscardStmt:
		targets := map[pg.DiscardMode]string{pg.DiscardMode_DISCARD_ALL: "all", pg.DiscardMode_DISCARD_PLANS: "plans", pg.DiscardMode_DISCARD_SEQUENCES: "sequences", pg.DiscardMode_DISCARD_TEMP: "temporary"}
		return &parser.Discard{Target: targets[v.DiscardStmt.Target]}
	case *pg.Node_DeclareCursorStmt:
		return c.declareCursor(v.DeclareCursorStmt)
	case *pg.Node_FetchStmt:
		f := v.FetchStmt
		return &parser.Fetch{Cursor: f.Portalname, Move: f.Ismove, Count: f.HowMany, Direction: parser.FetchDirection(f.Direction - pg.FetchDirection_FETCH_FORWARD)}
	case *pg.Node_ClosePortalStmt:
		return &parser.CloseCursor{Name: v.ClosePortalStmt.Portalname}
	case *pg.Node_CopyStmt:
		return c.copy(v.CopyStmt)
	case *pg.Node_VacuumStmt:
		return c.vacuum(v.VacuumStmt)
	case *pg.Node_CheckPointStmt:
		return &parser.Maintenance{Tag: "CHECKPOINT"}
	case *pg.Node_ReindexStmt:
		out := &parser.Maintenance{Tag: "REINDEX"}
		if r := v.ReindexStmt.Relation; r != nil {
			out.Tables = []parser.TableName{c.tableName(r)}
		}
		return out
	case *pg.Node_ClusterStmt:
		out := &parser.Maintenance{Tag: "CLUSTER"}
		if r := v.ClusterStmt.Relation; r != nil {
			out.Tables = []parser.TableName{c.tableName(r)}
		}
		return out
	case *pg.Node_ListenStmt:
		return &parser.Listen{Kind: "listen", Channel: v.ListenStmt.Conditionname}
	case *pg.Node_UnlistenStmt:
		return &parser.Listen{Kind: "unlisten", Channel: v.UnlistenStmt.Conditionname}
	case *pg.Node_NotifyStmt:
		return &parser.Listen{Kind: "notify", Channel: v.NotifyStmt.Conditionname, Payload: v.NotifyStmt.Payload}
	case *pg.Node_LockStmt:
		return &parser.LockTable{Tables: c.tableNames(v.LockStmt.Relations), Mode: int(v.LockStmt.Mode), NoWait: v.LockStmt.Nowait}
	case *pg.Node_DoStmt:
		return &parser.Do{}
	case *pg.Node_CallStmt:
		return &parser.CallProcedure{Call: c.call(v.CallStmt.Funccall)}
	case *pg.Node_ConstraintsSetStmt:
		return &parser.SetConstraints{Names: c.tableNames(v.ConstraintsSetStmt.Constraints), Deferred: v.ConstraintsSetStmt.Deferred}
	}
	if d := c.definition(n); d != nil || c.err != nil {
		return d
	}
	c.unsupported(statementName(n), -1)
	return nil
}

// statementName makes "CREATE TRIGGER" of CreateTrigStmt, as far as the name
// allows: for the refusal of what is not converted.
func statementName(n *pg.Node) string {
	name := strings.TrimSuffix(nodeName(n), "Stmt")
	known := map[string]string{
		"CreateTrig": "CREATE TRIGGER", "CreateFunction": "CREATE FUNCTION", "Rule": "CREATE RULE", "CreateEnum": "CREATE TYPE … AS ENUM",
		"CompositeType": "CREATE TYPE", "CreateRange": "CREATE TYPE … AS RANGE", "Define": "CREATE of this kind of object", "Merge": "MERGE",
		"CreateEventTrig": "CREATE EVENT TRIGGER", "CreatePLang": "CREATE LANGUAGE", "AlterEnum": "ALTER TYPE", "CreateOpClass": "CREATE OPERATOR CLASS",
		"CreateFdw": "CREATE FOREIGN DATA WRAPPER", "CreateStats": "CREATE STATISTICS", "CreateTableSpace": "CREATE TABLESPACE", "Rename": "RENAME",
		"RefreshMatView": "REFRESH MATERIALIZED VIEW", "ImportForeignSchema": "IMPORT FOREIGN SCHEMA", "ReassignOwned": "REASSIGN OWNED", "SecLabel": "SECURITY LABEL",
	}
	if k, ok := known[name]; ok {
		return k
	}
	var words []string
	begin := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || name[i] >= 'A' && name[i] <= 'Z' {
			words = append(words, strings.ToUpper(name[begin:i]))
			begin = i
		}
	}
	return strings.Join(words, " ")
}

func (c *converter) tableNames(list []*pg.Node) []parser.TableName {
	var out []parser.TableName
	for _, n := range list {
		out = append(out, c.tableName(n.GetRangeVar()))
	}
	return out
}

func (c *converter) transaction(t *pg.TransactionStmt) parser.Node {
	kinds := map[pg.TransactionStmtKind]parser.TransactionKind{
		pg.TransactionStmtKind_TRANS_STMT_BEGIN: parser.Begin, pg.TransactionStmtKind_TRANS_STMT_START: parser.Begin,
		pg.TransactionStmtKind_TRANS_STMT_COMMIT: parser.Commit, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK: parser.Rollback,
		pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT: parser.Savepoint, pg.TransactionStmtKind_TRANS_STMT_RELEASE: parser.Release,
		pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO: parser.RollbackTo, pg.TransactionStmtKind_TRANS_STMT_PREPARE: parser.PrepareTransaction,
		pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED: parser.CommitPrepared, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED: parser.RollbackPrepared,
	}
	return &parser.Transaction{Kind: kinds[t.Kind], Name: t.SavepointName, Modes: c.transactionModes(t.Options), Chain: t.Chain, Start: t.Kind == pg.TransactionStmtKind_TRANS_STMT_START}
}

func (c *converter) transactionModes(options []*pg.Node) (m parser.TransactionModes) {
	for _, n := range options {
		d := n.GetDefElem()
		value := d.GetArg().GetAConst()
		on := value.GetIval().GetIval() != 0 || value.GetBoolval().GetBoolval()
		switch d.GetDefname() {
		case "transaction_isolation":
			m.Isolation = strings.ToLower(value.GetSval().GetSval())
		case "transaction_read_only":
			m.ReadOnly = &on
		case "transaction_deferrable":
			m.Deferrable = &on
		default:
			c.unsupported("transaction mode "+d.GetDefname(), d.GetLocation())
		}
	}
	return m
}

func (c *converter) set(s *pg.VariableSetStmt) *parser.Set {
	out := &parser.Set{Name: strings.ToLower(s.Name), Local: s.IsLocal}
	switch s.Kind {
	case pg.VariableSetKind_VAR_SET_VALUE:
		out.Values = c.expressions(s.Args)
	case pg.VariableSetKind_VAR_SET_DEFAULT:
		out.ToDefault = true
	case pg.VariableSetKind_VAR_RESET:
		out.ToDefault, out.Reset = true, true
	case pg.VariableSetKind_VAR_RESET_ALL:
		out.ToDefault, out.Reset, out.All = true, true, true
	case pg.VariableSetKind_VAR_SET_MULTI:
		switch s.Name {
		case "TRANSACTION", "SESSION CHARACTERISTICS":
			m := c.transactionModes(s.Args)
			out.Modes, out.Session = &m, s.Name != "TRANSACTION"
		default:
			c.unsupported("SET "+s.Name, -1)
		}
	default:
		c.unsupported("SET "+s.Name+" FROM CURRENT", -1)
	}
	return out
}

func (c *converter) options(list []*pg.Node) []parser.Option {
	var out []parser.Option
	for _, n := range list {
		if d := n.GetDefElem(); d != nil {
			out = append(out, c.option(d))
		}
	}
	return out
}

func (c *converter) option(d *pg.DefElem) parser.Option {
	o := parser.Option{Position: position(d.Location), Namespace: d.Defnamespace, Name: d.Defname}
	switch v := d.GetArg().GetNode().(type) {
	case nil:
	case *pg.Node_List:
		o.HasValue = true
		for _, item := range v.List.Items {
			o.List = append(o.List, c.scalarText(item))
		}
	case *pg.Node_AStar:
		o.HasValue, o.Star = true, true
	default:
		o.HasValue, o.Value = true, c.scalarText(d.Arg)
	}
	return o
}

// scalarText returns a literal or name as text.
func (c *converter) scalarText(n *pg.Node) string {
	switch v := n.GetNode().(type) {
	case *pg.Node_String_:
		return v.String_.Sval
	case *pg.Node_Integer:
		return strconv.Itoa(int(v.Integer.Ival))
	case *pg.Node_Float:
		return v.Float.Fval
	case *pg.Node_Boolean:
		return strconv.FormatBool(v.Boolean.Boolval)
	case *pg.Node_AConst:
		k, _ := c.constant(v.AConst).(*parser.Constant)
		if k.Kind == parser.IntegerConstant {
			return strconv.Itoa(int(k.Int))
		}
		return k.Text
	case *pg.Node_TypeName:
		return strings.Join(names(v.TypeName.Names), ".")
	case *pg.Node_ColumnRef:
		return strings.Join(columnReference(v.ColumnRef).Names, ".")
	case *pg.Node_RoleSpec:
		return roleName(v.RoleSpec)
	case *pg.Node_DefElem:
		return v.DefElem.Defname
	default:
		return ""
	}
}

// roleName returns a role's name; current_user and the like as such.
func roleName(r *pg.RoleSpec) string {
	switch r.GetRoletype() {
	case pg.RoleSpecType_ROLESPEC_CURRENT_ROLE, pg.RoleSpecType_ROLESPEC_CURRENT_USER:
		return "current_user"
	case pg.RoleSpecType_ROLESPEC_SESSION_USER:
		return "session_user"
	case pg.RoleSpecType_ROLESPEC_PUBLIC:
		return "public"
	default:
		return r.GetRolename()
	}
}

// Bits of PostgreSQL's cursor options (nodes/parsenodes.h).
const (
	cursorBinary      = 0x0001
	cursorScroll      = 0x0002
	cursorNoScroll    = 0x0004
	cursorInsensitive = 0x0008
	cursorAsensitive  = 0x0010
	cursorHold        = 0x0020
)

// takeInto takes INTO out of a SELECT, or out of the first one of a UNION, that
// it makes a CREATE TABLE AS; nil if there is none.
func takeInto(s *pg.SelectStmt) *pg.IntoClause {
	for s.GetLarg() != nil {
		s = s.Larg
	}
	into := s.GetIntoClause()
	if into != nil {
		s.IntoClause = nil
	}
	return into
}

func (c *converter) declareCursor(d *pg.DeclareCursorStmt) parser.Node {
	o := d.Options
	return &parser.DeclareCursor{Name: d.Portalname, Binary: o&cursorBinary != 0, Hold: o&cursorHold != 0, Scroll: o&cursorScroll != 0, NoScroll: o&cursorNoScroll != 0,
		Insensitive: o&cursorInsensitive != 0, Asensitive: o&cursorAsensitive != 0, Query: c.query(d.Query)}
}

func (c *converter) copy(s *pg.CopyStmt) parser.Node {
	out := &parser.Copy{Columns: names(s.Attlist), From: s.IsFrom, File: s.Filename, Program: s.IsProgram, Options: c.options(s.Options), Where: c.expression(s.WhereClause)}
	if s.Relation != nil {
		t := c.tableName(s.Relation)
		out.Table = &t
	} else {
		out.Query = c.statement(s.Query)
	}
	return out
}

func (c *converter) vacuum(s *pg.VacuumStmt) parser.Node {
	out := &parser.Vacuum{Analyze: !s.IsVacuumcmd, Options: c.options(s.Options)}
	for _, n := range s.Rels {
		r := n.GetVacuumRelation()
		out.Tables = append(out.Tables, parser.VacuumTable{Table: c.tableName(r.GetRelation()), Columns: names(r.GetVaCols())})
	}
	return out
}
