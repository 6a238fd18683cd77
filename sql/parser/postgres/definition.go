package postgres

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/cairndb/cairn/sql/parser"
)

// definition converts DDL; nil for what it doesn't know.
func (c *converter) definition(n *pg.Node) parser.Node {
	switch v := n.Node.(type) {
	case *pg.Node_CreateStmt:
		return c.createTable(v.CreateStmt)
	case *pg.Node_CreateTableAsStmt:
		return c.createTableAs(v.CreateTableAsStmt)
	case *pg.Node_IndexStmt:
		return c.createIndex(v.IndexStmt)
	case *pg.Node_ViewStmt:
		return c.createView(v.ViewStmt)
	case *pg.Node_CreateSeqStmt:
		return &parser.CreateSequence{Name: c.tableName(v.CreateSeqStmt.Sequence), IfNotExists: v.CreateSeqStmt.IfNotExists,
			Temporary: v.CreateSeqStmt.Sequence.GetRelpersistence() == "t", Options: c.sequenceOptions(v.CreateSeqStmt.Options)}
	case *pg.Node_AlterSeqStmt:
		return &parser.AlterSequence{Name: c.tableName(v.AlterSeqStmt.Sequence), IfExists: v.AlterSeqStmt.MissingOk, Options: c.sequenceOptions(v.AlterSeqStmt.Options)}
	case *pg.Node_CreateSchemaStmt:
		s := v.CreateSchemaStmt
		out := &parser.CreateSchema{Name: s.Schemaname, IfNotExists: s.IfNotExists}
		if s.Authrole != nil {
			out.Authorization = roleName(s.Authrole)
		}
		for _, e := range s.SchemaElts {
			out.Elements = append(out.Elements, c.statement(e))
		}
		return out
	case *pg.Node_CreatedbStmt:
		return &parser.CreateDatabase{Name: v.CreatedbStmt.Dbname, Options: c.options(v.CreatedbStmt.Options)}
	case *pg.Node_DropdbStmt:
		out := &parser.DropDatabase{Name: v.DropdbStmt.Dbname, IfExists: v.DropdbStmt.MissingOk}
		for _, o := range c.options(v.DropdbStmt.Options) {
			out.Force = out.Force || o.Name == "force"
		}
		return out
	case *pg.Node_AlterDatabaseStmt:
		return &parser.AlterDatabase{Name: v.AlterDatabaseStmt.Dbname, Options: c.options(v.AlterDatabaseStmt.Options)}
	case *pg.Node_AlterDatabaseSetStmt:
		return &parser.AlterDatabase{Name: v.AlterDatabaseSetStmt.Dbname, Set: c.set(v.AlterDatabaseSetStmt.Setstmt)}
	case *pg.Node_DropStmt:
		return c.drop(v.DropStmt)
	case *pg.Node_TruncateStmt:
		return &parser.Truncate{Tables: c.tableNames(v.TruncateStmt.Relations), RestartIdentity: v.TruncateStmt.RestartSeqs, Cascade: v.TruncateStmt.Behavior == pg.DropBehavior_DROP_CASCADE}
	case *pg.Node_AlterTableStmt:
		return c.alterTable(v.AlterTableStmt)
	case *pg.Node_RenameStmt:
		return c.rename(v.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		s := v.AlterObjectSchemaStmt
		kind, _ := c.objectKind(s.ObjectType)
		return &parser.SetSchema{Kind: kind, Table: c.object(s.Relation, s.Object), Schema: s.Newschema, IfExists: s.MissingOk}
	case *pg.Node_AlterOwnerStmt:
		s := v.AlterOwnerStmt
		kind, _ := c.objectKind(s.ObjectType)
		return &parser.ChangeOwnerOf{Kind: kind, Name: c.object(s.Relation, s.Object), Owner: roleName(s.Newowner)}
	case *pg.Node_CommentStmt:
		return c.comment(v.CommentStmt)
	case *pg.Node_CreateRoleStmt:
		return &parser.CreateRole{Name: v.CreateRoleStmt.Role, User: v.CreateRoleStmt.StmtType == pg.RoleStmtType_ROLESTMT_USER, Options: c.options(v.CreateRoleStmt.Options)}
	case *pg.Node_AlterRoleStmt:
		return &parser.AlterRole{Name: roleName(v.AlterRoleStmt.Role), Options: c.options(v.AlterRoleStmt.Options)}
	case *pg.Node_AlterRoleSetStmt:
		return &parser.AlterRole{Name: roleName(v.AlterRoleSetStmt.Role), Set: c.set(v.AlterRoleSetStmt.Setstmt)}
	case *pg.Node_DropRoleStmt:
		return &parser.DropRole{Names: roleNames(v.DropRoleStmt.Roles), IfExists: v.DropRoleStmt.MissingOk}
	case *pg.Node_GrantStmt:
		return c.grant(v.GrantStmt)
	case *pg.Node_GrantRoleStmt:
		s := v.GrantRoleStmt
		out := &parser.GrantRole{Revoke: !s.IsGrant, Roles: roleNames(s.GranteeRoles)}
		for _, g := range s.GrantedRoles {
			out.Granted = append(out.Granted, g.GetAccessPriv().GetPrivName())
		}
		for _, o := range c.options(s.Opt) {
			out.Admin = out.Admin || o.Name == "admin" && o.Value == "true"
		}
		return out
	default:
		return nil
	}
}

func roleNames(list []*pg.Node) []string {
	var out []string
	for _, n := range list {
		out = append(out, roleName(n.GetRoleSpec()))
	}
	return out
}

func (c *converter) createTable(s *pg.CreateStmt) parser.Node {
	out := &parser.CreateTable{Name: c.tableName(s.Relation), IfNotExists: s.IfNotExists, Temporary: s.Relation.GetRelpersistence() == "t",
		Unlogged: s.Relation.GetRelpersistence() == "u", Inherits: c.tableNames(s.InhRelations), Options: c.options(s.Options), Tablespace: s.Tablespacename, OfType: c.typeName(s.OfTypename)}
	for _, n := range s.TableElts {
		switch v := n.Node.(type) {
		case *pg.Node_ColumnDef:
			out.Columns = append(out.Columns, c.columnDefinition(v.ColumnDef))
		case *pg.Node_Constraint:
			out.Constraints = append(out.Constraints, c.constraint(v.Constraint))
		case *pg.Node_TableLikeClause:
			out.Like = append(out.Like, parser.LikeTable{Table: c.tableName(v.TableLikeClause.Relation), Options: v.TableLikeClause.Options})
		}
	}
	for _, n := range s.Constraints {
		out.Constraints = append(out.Constraints, c.constraint(n.GetConstraint()))
	}
	if s.Partspec != nil {
		out.PartitionBy = s.Partspec.Strategy.String()
	}
	if s.Partbound != nil && len(out.Inherits) > 0 {
		out.PartitionOf, out.Inherits = &out.Inherits[0], nil
	}
	out.OnCommit = onCommit(s.Oncommit)
	return out
}

func onCommit(a pg.OnCommitAction) string {
	switch a {
	case pg.OnCommitAction_ONCOMMIT_PRESERVE_ROWS:
		return "preserve"
	case pg.OnCommitAction_ONCOMMIT_DELETE_ROWS:
		return "delete"
	case pg.OnCommitAction_ONCOMMIT_DROP:
		return "drop"
	default:
		return ""
	}
}

func (c *converter) createTableAs(s *pg.CreateTableAsStmt) parser.Node {
	name := c.tableName(s.Into.GetRel())
	if s.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		return &parser.CreateView{Name: name, Columns: names(s.Into.GetColNames()), Query: c.query(s.Query), Materialized: true, IfNotExists: s.IfNotExists}
	}
	if s.IsSelectInto {
		c.unsupported("SELECT INTO", -1)
	}
	return &parser.CreateTable{Name: name, IfNotExists: s.IfNotExists, Temporary: s.Into.GetRel().GetRelpersistence() == "t", As: c.statement(s.Query),
		AsColumns: names(s.Into.GetColNames()), WithNoData: s.Into.GetSkipData(), Options: c.options(s.Into.GetOptions()), OnCommit: onCommit(s.Into.GetOnCommit())}
}

func (c *converter) columnDefinition(d *pg.ColumnDef) *parser.ColumnDefinition {
	out := &parser.ColumnDefinition{Position: position(d.Location), Name: d.Colname, Type: c.typeName(d.TypeName)}
	if d.CollClause != nil {
		out.Collation = names(d.CollClause.Collname)
	}
	if d.RawDefault != nil {
		out.Constraints = append(out.Constraints, &parser.Constraint{Position: out.Position, Kind: parser.DefaultValue, Expression: c.expression(d.RawDefault)})
	}
	var previous *parser.Constraint
	for _, n := range d.Constraints {
		k := n.GetConstraint()
		switch k.GetContype() {
		case pg.ConstrType_CONSTR_ATTR_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_DEFERRED:
			if previous != nil {
				previous.Deferrable = true
				previous.InitiallyDeferred = previous.InitiallyDeferred || k.Contype == pg.ConstrType_CONSTR_ATTR_DEFERRED
			}
			continue
		case pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
			continue
		}
		previous = c.constraint(k)
		out.Constraints = append(out.Constraints, previous)
	}
	return out
}

var referentialActions = map[string]parser.ReferentialAction{"a": parser.NoAction, "r": parser.Restrict, "c": parser.Cascade, "n": parser.SetNull, "d": parser.SetDefault}

func (c *converter) constraint(k *pg.Constraint) *parser.Constraint {
	if k == nil {
		return &parser.Constraint{}
	}
	out := &parser.Constraint{Position: position(k.Location), Name: k.Conname, Columns: names(k.Keys), Including: names(k.Including), UsingIndex: k.Indexname,
		NullsNotDistinct: k.NullsNotDistinct, Expression: c.expression(k.RawExpr), Deferrable: k.Deferrable, InitiallyDeferred: k.Initdeferred,
		NotValid: k.SkipValidation && !k.InitiallyValid, NoInherit: k.IsNoInherit}
	switch k.Contype {
	case pg.ConstrType_CONSTR_NULL:
		out.Kind = parser.NullAllowed
	case pg.ConstrType_CONSTR_NOTNULL:
		out.Kind = parser.NotNull
	case pg.ConstrType_CONSTR_DEFAULT:
		out.Kind = parser.DefaultValue
	case pg.ConstrType_CONSTR_IDENTITY:
		out.Kind, out.Always, out.Options = parser.Identity, k.GeneratedWhen == "a", c.sequenceOptions(k.Options)
	case pg.ConstrType_CONSTR_GENERATED:
		out.Kind = parser.Generated
	case pg.ConstrType_CONSTR_CHECK:
		out.Kind = parser.Check
	case pg.ConstrType_CONSTR_PRIMARY:
		out.Kind = parser.PrimaryKey
	case pg.ConstrType_CONSTR_UNIQUE:
		out.Kind = parser.Unique
	case pg.ConstrType_CONSTR_EXCLUSION:
		out.Kind = parser.Exclusion
	case pg.ConstrType_CONSTR_FOREIGN:
		t := c.tableName(k.Pktable)
		out.Kind, out.References, out.ReferencedColumns, out.Columns = parser.ForeignKey, &t, names(k.PkAttrs), names(k.FkAttrs)
		out.OnDelete, out.OnUpdate, out.OnDeleteColumns = referentialActions[k.FkDelAction], referentialActions[k.FkUpdAction], names(k.FkDelSetCols)
		switch k.FkMatchtype {
		case "f":
			out.Match = parser.MatchFull
		case "p":
			out.Match = parser.MatchPartial
		}
		out.NotValid = k.SkipValidation
	default:
		c.unsupported("constraint "+k.Contype.String(), k.Location)
	}
	return out
}

func (c *converter) sequenceOptions(list []*pg.Node) []parser.SequenceOption {
	kinds := map[string]parser.SequenceOptionKind{"start": parser.SequenceStart, "increment": parser.SequenceIncrement, "minvalue": parser.SequenceMinValue,
		"maxvalue": parser.SequenceMaxValue, "cache": parser.SequenceCache, "cycle": parser.SequenceCycle, "owned_by": parser.SequenceOwnedBy,
		"restart": parser.SequenceRestart, "as": parser.SequenceType, "sequence_name": parser.SequenceName}
	var out []parser.SequenceOption
	for _, n := range list {
		d := n.GetDefElem()
		kind, ok := kinds[d.GetDefname()]
		if !ok {
			c.unsupported("sequence option "+d.GetDefname(), d.GetLocation())
			return nil
		}
		o := parser.SequenceOption{Position: position(d.Location), Kind: kind}
		switch v := d.GetArg().GetNode().(type) {
		case nil:
			o.None = true
		case *pg.Node_Boolean:
			o.None = !v.Boolean.Boolval // NO CYCLE
		case *pg.Node_Integer:
			o.Value = int64(v.Integer.Ival)
		case *pg.Node_Float:
			value, err := strconv.ParseInt(v.Float.Fval, 10, 64)
			if err != nil {
				c.fail(outOfRange(v.Float.Fval))
			}
			o.Value = value
		case *pg.Node_TypeName:
			o.Type = c.typeName(v.TypeName)
		case *pg.Node_List:
			o.Names = names(v.List.Items)
			o.None = len(o.Names) == 1 && strings.EqualFold(o.Names[0], "none")
		}
		out = append(out, o)
	}
	return out
}

func (c *converter) indexElements(list []*pg.Node) []parser.IndexElement {
	var out []parser.IndexElement
	for _, n := range list {
		e := n.GetIndexElem()
		item := parser.IndexElement{Position: parser.NoPosition, Column: e.GetName(), Expression: c.expression(e.GetExpr()), Descending: e.GetOrdering() == pg.SortByDir_SORTBY_DESC,
			Collation: names(e.GetCollation()), Class: names(e.GetOpclass())}
		item.NullsFirst = nullsFirst(e.GetNullsOrdering(), item.Descending)
		out = append(out, item)
	}
	return out
}

func (c *converter) createIndex(s *pg.IndexStmt) parser.Node {
	out := &parser.CreateIndex{Position: parser.NoPosition, Name: s.Idxname, Table: c.tableName(s.Relation), Method: s.AccessMethod, Unique: s.Unique, NullsNotDistinct: s.NullsNotDistinct,
		Concurrently: s.Concurrent, IfNotExists: s.IfNotExists, Elements: c.indexElements(s.IndexParams), Where: c.expression(s.WhereClause), Options: c.options(s.Options), Tablespace: s.TableSpace}
	for _, e := range c.indexElements(s.IndexIncludingParams) {
		out.Including = append(out.Including, e.Column)
	}
	if out.Method == "" {
		out.Method = "btree"
	}
	return out
}

func (c *converter) createView(s *pg.ViewStmt) parser.Node {
	out := &parser.CreateView{Name: c.tableName(s.View), Columns: names(s.Aliases), Query: c.query(s.Query), Replace: s.Replace, Temporary: s.View.GetRelpersistence() == "t", Options: c.options(s.Options)}
	switch s.WithCheckOption {
	case pg.ViewCheckOption_LOCAL_CHECK_OPTION:
		out.Check = "local"
	case pg.ViewCheckOption_CASCADED_CHECK_OPTION:
		out.Check = "cascaded"
	}
	return out
}

// objectKind maps what statements are about; the name is for kinds that have
// no constant of their own.
func (c *converter) objectKind(t pg.ObjectType) (parser.ObjectKind, string) {
	kinds := map[pg.ObjectType]parser.ObjectKind{
		pg.ObjectType_OBJECT_TABLE: parser.ObjectTable, pg.ObjectType_OBJECT_INDEX: parser.ObjectIndex, pg.ObjectType_OBJECT_VIEW: parser.ObjectView,
		pg.ObjectType_OBJECT_SEQUENCE: parser.ObjectSequence, pg.ObjectType_OBJECT_SCHEMA: parser.ObjectSchema, pg.ObjectType_OBJECT_DATABASE: parser.ObjectDatabase,
		pg.ObjectType_OBJECT_COLUMN: parser.ObjectColumn, pg.ObjectType_OBJECT_TABCONSTRAINT: parser.ObjectConstraint, pg.ObjectType_OBJECT_ROLE: parser.ObjectRole,
		pg.ObjectType_OBJECT_TYPE: parser.ObjectType, pg.ObjectType_OBJECT_FUNCTION: parser.ObjectFunction, pg.ObjectType_OBJECT_MATVIEW: parser.ObjectMaterializedView,
		pg.ObjectType_OBJECT_EXTENSION: parser.ObjectExtension, pg.ObjectType_OBJECT_DOMAIN: parser.ObjectDomain,
	}
	if k, ok := kinds[t]; ok {
		return k, ""
	}
	name := strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " ")
	return parser.ObjectOther, name
}

// object returns the name of what a statement is about.
func (c *converter) object(r *pg.RangeVar, n *pg.Node) parser.TableName {
	if r != nil {
		return c.tableName(r)
	}
	switch v := n.GetNode().(type) {
	case *pg.Node_List:
		return c.qualified(names(v.List.Items), -1)
	case *pg.Node_String_:
		return parser.TableName{Position: parser.NoPosition, Name: v.String_.Sval}
	case *pg.Node_TypeName:
		return c.qualified(names(v.TypeName.Names), v.TypeName.Location)
	case *pg.Node_ObjectWithArgs:
		return c.qualified(names(v.ObjectWithArgs.Objname), -1)
	default:
		return parser.TableName{Position: parser.NoPosition}
	}
}

func (c *converter) drop(s *pg.DropStmt) parser.Node {
	out := &parser.Drop{IfExists: s.MissingOk, Cascade: s.Behavior == pg.DropBehavior_DROP_CASCADE, Concurrently: s.Concurrent}
	out.Kind, out.What = c.objectKind(s.RemoveType)
	for _, n := range s.Objects {
		out.Names = append(out.Names, c.object(nil, n))
	}
	return out
}

func (c *converter) rename(s *pg.RenameStmt) parser.Node {
	out := &parser.Rename{Table: c.object(s.Relation, s.Object), Name: s.Subname, NewName: s.Newname, IfExists: s.MissingOk}
	var what string
	if out.Kind, what = c.objectKind(s.RenameType); what != "" {
		c.unsupported("ALTER "+what+" RENAME", -1)
	}
	out.RelationKind, _ = c.objectKind(s.RelationType)
	switch out.Kind {
	case parser.ObjectSchema, parser.ObjectDatabase, parser.ObjectRole:
		if out.Table.Name == "" {
			out.Table = parser.TableName{Position: parser.NoPosition, Name: s.Subname}
		}
	}
	return out
}

func (c *converter) alterTable(s *pg.AlterTableStmt) parser.Node {
	out := &parser.AlterTable{Table: c.tableName(s.Relation), IfExists: s.MissingOk}
	var what string
	if out.Kind, what = c.objectKind(s.Objtype); what != "" {
		c.unsupported("ALTER "+what, -1)
	}
	for _, n := range s.Cmds {
		out.Commands = append(out.Commands, c.alterCommand(n.GetAlterTableCmd()))
	}
	return out
}

func (c *converter) alterCommand(a *pg.AlterTableCmd) parser.AlterCommand {
	out := parser.AlterCommand{Position: parser.NoPosition, Name: a.Name, IfExists: a.MissingOk, Cascade: a.Behavior == pg.DropBehavior_DROP_CASCADE}
	switch a.Subtype {
	case pg.AlterTableType_AT_AddColumn:
		out.Kind, out.Column = parser.AddColumn, c.columnDefinition(a.Def.GetColumnDef())
	case pg.AlterTableType_AT_DropColumn:
		out.Kind = parser.DropColumn
	case pg.AlterTableType_AT_AlterColumnType:
		d := a.Def.GetColumnDef()
		out.Kind, out.Type, out.Using = parser.AlterColumnType, c.typeName(d.GetTypeName()), c.expression(d.GetRawDefault())
	case pg.AlterTableType_AT_ColumnDefault:
		out.Kind = parser.DropColumnDefault
		if a.Def != nil {
			out.Kind, out.Default = parser.SetColumnDefault, c.expression(a.Def)
		}
	case pg.AlterTableType_AT_SetNotNull:
		out.Kind = parser.SetNotNull
	case pg.AlterTableType_AT_DropNotNull:
		out.Kind = parser.DropNotNull
	case pg.AlterTableType_AT_AddConstraint:
		out.Kind, out.Constraint = parser.AddConstraint, c.constraint(a.Def.GetConstraint())
	case pg.AlterTableType_AT_DropConstraint:
		out.Kind = parser.DropConstraint
	case pg.AlterTableType_AT_ValidateConstraint:
		out.Kind = parser.ValidateConstraint
	case pg.AlterTableType_AT_ChangeOwner:
		out.Kind, out.Owner = parser.ChangeOwner, roleName(a.Newowner)
	case pg.AlterTableType_AT_AddIdentity:
		out.Kind, out.Constraint = parser.AddIdentity, c.constraint(a.Def.GetConstraint())
	case pg.AlterTableType_AT_SetIdentity:
		out.Kind = parser.SetIdentity
	case pg.AlterTableType_AT_DropIdentity:
		out.Kind = parser.DropIdentity
	case pg.AlterTableType_AT_SetStatistics:
		out.Kind = parser.SetStatistics
	case pg.AlterTableType_AT_SetRelOptions:
		out.Kind, out.Options = parser.SetStorageOptions, c.options(a.Def.GetList().GetItems())
	case pg.AlterTableType_AT_ResetRelOptions:
		out.Kind, out.Options = parser.ResetStorageOptions, c.options(a.Def.GetList().GetItems())
	default:
		out.Kind, out.What = parser.OtherAlter, alterName(a.Subtype)
	}
	return out
}

// alterName makes "ENABLE ROW SECURITY" of AT_EnableRowSecurity.
func alterName(t pg.AlterTableType) string {
	name := strings.TrimPrefix(t.String(), "AT_")
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

func (c *converter) comment(s *pg.CommentStmt) parser.Node {
	out := &parser.Comment{Text: s.Comment, Null: s.Comment == ""}
	var what string
	if out.Kind, what = c.objectKind(s.Objtype); what != "" {
		c.unsupported("COMMENT ON "+what, -1)
	}
	list := names(s.Object.GetList().GetItems())
	switch {
	case (out.Kind == parser.ObjectColumn || out.Kind == parser.ObjectConstraint) && len(list) > 1:
		out.Table, out.Name = c.qualified(list[:len(list)-1], -1), last(list)
	default:
		out.Table = c.object(nil, s.Object)
	}
	return out
}

func (c *converter) grant(s *pg.GrantStmt) parser.Node {
	out := &parser.Grant{Revoke: !s.IsGrant, AllInSchema: s.Targtype == pg.GrantTargetType_ACL_TARGET_ALL_IN_SCHEMA, Roles: roleNames(s.Grantees), GrantOption: s.GrantOption,
		Cascade: s.Behavior == pg.DropBehavior_DROP_CASCADE}
	if s.Targtype == pg.GrantTargetType_ACL_TARGET_DEFAULTS {
		c.unsupported("ALTER DEFAULT PRIVILEGES", -1)
	}
	var what string
	if out.Kind, what = c.objectKind(s.Objtype); what != "" {
		c.unsupported("GRANT ON "+what, -1)
	}
	for _, n := range s.Objects {
		out.Names = append(out.Names, c.object(n.GetRangeVar(), n))
	}
	for _, n := range s.Privileges {
		p := n.GetAccessPriv()
		out.Privileges = append(out.Privileges, p.GetPrivName())
		out.Columns = out.Columns || len(p.GetCols()) > 0
	}
	return out
}
