package sql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// ObjectByName implements types.SessionFunctions.
func (s *Session) ObjectByName(ctx context.Context, reg *types.T, name string) (types.OID, bool, error) {
	s.open()
	if n, err := strconv.ParseUint(strings.TrimSpace(name), 10, 32); err == nil {
		return types.OID(n), true, nil
	}
	if strings.TrimSpace(name) == "-" {
		return 0, true, nil
	}
	parts, ok := splitQualified(name)
	if !ok {
		return 0, false, pgerror.New(pgerror.InvalidName, "invalid name syntax")
	}
	x := s.tx.catalog
	switch reg.OID {
	case types.RegclassOID:
		n := catalog.Name{Object: parts[len(parts)-1]}
		switch len(parts) {
		case 1:
		case 2:
			n.Schema = parts[0]
		case 3:
			n.Database, n.Schema = parts[0], parts[1]
		default:
			return 0, false, pgerror.Newf(pgerror.Syntax, "improper relation name (too many dotted names): %s", strings.Join(parts, "."))
		}
		return s.relationOID(ctx, n)
	case types.RegnamespaceOID:
		d, err := x.SchemaNamed(ctx, parts[0])
		if err != nil || d == nil || len(parts) > 1 {
			return 0, false, err
		}
		return types.OID(d.ID), true, nil
	case types.RegroleOID:
		return s.RoleByName(ctx, parts[0])
	}
	return 0, false, nil
}

// relationOID finds a relation or an index.
func (s *Session) relationOID(ctx context.Context, n catalog.Name) (types.OID, bool, error) {
	r, err := s.tx.catalog.Relation(ctx, n)
	if err != nil {
		if pgerror.Code(err) == pgerror.InvalidSchemaName {
			return 0, false, nil
		}
		return 0, false, err
	}
	if r != nil {
		return types.OID(r.Head().ID), true, nil
	}
	_, index, err := s.tx.catalog.Index(ctx, n)
	if err != nil || index == nil {
		return 0, false, err
	}
	return types.OID(index.OID), true, nil
}

// found is a relation or an index of the current database.
type found struct {
	relation catalog.Relation
	index    *catalog.Index // of relation, a *catalog.Table
}

func (f found) name() string {
	if f.index != nil {
		return f.index.Name
	}
	return f.relation.Head().Name
}

// object finds a relation, or an index, by its OID.
func (s *Session) object(ctx context.Context, oid types.OID) (f found, ok bool, err error) {
	s.open()
	r, err := s.tx.catalog.RelationByID(ctx, catalog.ID(oid))
	if err != nil || r != nil {
		return found{relation: r}, r != nil, err
	}
	relations, err := s.tx.catalog.Relations(ctx)
	if err != nil {
		return f, false, err
	}
	for _, r := range relations {
		t, ok := r.(*catalog.Table)
		if !ok || t.IsVirtual() {
			continue
		}
		if i := indexOf(t, catalog.ID(oid)); i != nil {
			return found{relation: t, index: i}, true, nil
		}
	}
	return f, false, nil
}

func indexOf(t *catalog.Table, oid catalog.ID) *catalog.Index {
	if t.Primary.OID == oid && t.HasPrimaryKey() {
		return &t.Primary
	}
	for i := range t.Indexes {
		if t.Indexes[i].OID == oid {
			return &t.Indexes[i]
		}
	}
	return nil
}

// ObjectName implements types.SessionFunctions.
func (s *Session) ObjectName(ctx context.Context, reg *types.T, object types.OID) (string, bool, error) {
	s.open()
	switch reg.OID {
	case types.RegclassOID:
		f, ok, err := s.object(ctx, object)
		if err != nil || !ok {
			return "", false, err
		}
		name, err := s.relationName(ctx, f)
		return name, err == nil, err
	case types.RegnamespaceOID:
		d, err := s.tx.catalog.SchemaByID(ctx, catalog.ID(object))
		if err != nil || d == nil {
			return "", false, err
		}
		return types.QuoteIdentifier(d.Name), true, nil
	case types.RegroleOID:
		name, ok, err := s.RoleName(ctx, object)
		return types.QuoteIdentifier(name), ok, err
	}
	return "", false, nil
}

// relationName is a relation's name, qualified where the search path does not
// lead to it.
func (s *Session) relationName(ctx context.Context, f found) (string, error) {
	visible, err := s.visible(ctx, f)
	if err != nil || visible {
		return types.QuoteIdentifier(f.name()), err
	}
	return s.qualifiedName(ctx, f)
}

func (s *Session) qualifiedName(ctx context.Context, f found) (string, error) {
	schema, err := s.tx.catalog.SchemaByID(ctx, f.relation.SchemaOf())
	if err != nil || schema == nil {
		return types.QuoteIdentifier(f.name()), err
	}
	return types.QuoteIdentifier(schema.Name) + "." + types.QuoteIdentifier(f.name()), nil
}

// visible reports whether the search path leads to the object.
func (s *Session) visible(ctx context.Context, f found) (bool, error) {
	n := catalog.Name{Object: f.name()}
	if f.index != nil {
		_, index, err := s.tx.catalog.Index(ctx, n)
		return index != nil && index.OID == f.index.OID, err
	}
	r, err := s.tx.catalog.Relation(ctx, n)
	return r != nil && r.Head().ID == f.relation.Head().ID, err
}

// ObjectVisible implements types.SessionFunctions.
func (s *Session) ObjectVisible(ctx context.Context, system string, object types.OID) (visible, exists bool, err error) {
	switch system {
	case "pg_class":
		f, ok, err := s.object(ctx, object)
		if err != nil || !ok {
			return false, false, err
		}
		visible, err = s.visible(ctx, f)
		return visible, true, err
	case "pg_type":
		_, ok := types.ByOID(object)
		return ok, ok, nil
	case "pg_proc":
		_, ok := types.FunctionByOID(object)
		return ok, ok, nil
	case "pg_operator":
		_, ok := types.OperatorByOID(object)
		return ok, ok, nil
	}
	// What else there is belongs to pg_catalog, which is always searched.
	return true, true, nil
}

// Comment implements types.SessionFunctions.
func (s *Session) Comment(ctx context.Context, system string, object types.OID, column int32) (string, bool, error) {
	s.open()
	x := s.tx.catalog
	text := ""
	if system == "" {
		for _, system := range []string{"pg_class", "pg_namespace", "pg_constraint", "pg_proc", "pg_operator"} {
			if text, ok, err := s.Comment(ctx, system, object, 0); ok || err != nil {
				return text, ok, err
			}
		}
		return "", false, nil
	}
	switch system {
	case "pg_class":
		f, ok, err := s.object(ctx, object)
		if err != nil || !ok {
			return "", false, err
		}
		t, isTable := f.relation.(*catalog.Table)
		switch {
		case f.index != nil:
			text = f.index.Comment
		case column == 0:
			text = f.relation.Head().Comment
		case isTable:
			if c := t.Column(catalog.ColumnID(column)); c != nil {
				text = c.Comment
			}
		}
	case "pg_namespace":
		d, err := x.SchemaByID(ctx, catalog.ID(object))
		if err != nil || d == nil {
			return "", false, err
		}
		text = d.Comment
	case "pg_database", "pg_authid":
		d, err := s.shared(ctx, object)
		if err != nil || d == nil {
			return "", false, err
		}
		text = d.Head().Comment
	case "pg_constraint":
		c, ok, err := s.constraint(ctx, object)
		if err != nil || !ok {
			return "", false, err
		}
		text = c.comment()
	case "pg_proc":
		if f, ok := types.FunctionByOID(object); ok {
			text = f.Description
		}
	case "pg_operator":
		if f, ok := types.OperatorByOID(object); ok {
			text = f.Description
		}
	}
	return text, text != "", nil
}

// shared finds a database or role by its OID.
func (s *Session) shared(ctx context.Context, object types.OID) (catalog.Descriptor, error) {
	s.open()
	databases, err := s.tx.catalog.Databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range databases {
		if types.OID(d.ID) == object {
			return d, nil
		}
	}
	roles, err := s.tx.catalog.Roles(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		if types.OID(r.ID) == object {
			return r, nil
		}
	}
	return nil, nil
}

// HasPrivilege implements types.SessionFunctions. Privileges are not enforced
// yet: every role may do everything but what is the superuser's.
func (s *Session) HasPrivilege(ctx context.Context, check types.PrivilegeCheck) (has, exists bool, err error) {
	s.open()
	switch check.Catalog {
	case "pg_class":
		f, ok, err := s.object(ctx, check.Object)
		if err != nil || !ok {
			return false, false, err
		}
		if check.Column > 0 {
			t, isTable := f.relation.(*catalog.Table)
			if isTable && t.Column(catalog.ColumnID(check.Column)) == nil {
				return false, false, nil
			}
		}
	case "pg_namespace":
		d, err := s.tx.catalog.SchemaByID(ctx, catalog.ID(check.Object))
		if err != nil || d == nil {
			return false, false, err
		}
	case "pg_database":
		d, err := s.shared(ctx, check.Object)
		if err != nil || d == nil {
			return false, false, err
		}
	case "pg_authid":
		role, _ := s.shared(ctx, check.Role)
		of, _ := s.shared(ctx, check.Object)
		r, ok := role.(*catalog.Role)
		o, alsoRole := of.(*catalog.Role)
		if !ok || !alsoRole {
			return false, false, nil
		}
		if r.Superuser {
			return true, true, nil
		}
		has, err = s.isMember(ctx, r, o.Name)
		return has, true, err
	}
	return true, true, nil
}

// RoleName implements types.SessionFunctions.
func (s *Session) RoleName(ctx context.Context, role types.OID) (string, bool, error) {
	d, err := s.shared(ctx, role)
	if err != nil {
		return "", false, err
	}
	if r, ok := d.(*catalog.Role); ok {
		return r.Name, true, nil
	}
	return "", false, nil
}

// RoleByName implements types.SessionFunctions.
func (s *Session) RoleByName(ctx context.Context, name string) (types.OID, bool, error) {
	s.open()
	r, err := s.tx.catalog.RoleNamed(ctx, name)
	if err != nil || r == nil {
		return 0, false, err
	}
	return types.OID(r.ID), true, nil
}

// DatabaseName implements types.SessionFunctions.
func (s *Session) DatabaseName(ctx context.Context, database types.OID) (string, bool, error) {
	d, err := s.shared(ctx, database)
	if err != nil {
		return "", false, err
	}
	if d, ok := d.(*catalog.Database); ok {
		return d.Name, true, nil
	}
	return "", false, nil
}

// DatabaseByName implements types.SessionFunctions.
func (s *Session) DatabaseByName(ctx context.Context, name string) (types.OID, bool, error) {
	s.open()
	d, err := s.tx.catalog.DatabaseNamed(ctx, name)
	if err != nil || d == nil {
		return 0, false, err
	}
	return types.OID(d.ID), true, nil
}

// SerialSequence implements types.SessionFunctions.
func (s *Session) SerialSequence(ctx context.Context, table, column string) (string, bool, error) {
	oid, ok, err := s.ObjectByName(ctx, types.Regclass, table)
	if err != nil {
		return "", false, err
	}
	var t *catalog.Table
	if ok {
		r, err := s.tx.catalog.RelationByID(ctx, catalog.ID(oid))
		if err != nil {
			return "", false, err
		}
		t, _ = r.(*catalog.Table)
	}
	if t == nil {
		return "", false, pgerror.Newf(pgerror.UndefinedTable, "relation \"%s\" does not exist", table)
	}
	c := t.ColumnNamed(column)
	if c == nil {
		return "", false, catalog.UndefinedColumn(t, column)
	}
	if c.OwnedSequence == 0 {
		return "", false, nil
	}
	q, err := s.tx.catalog.RelationByID(ctx, c.OwnedSequence)
	if err != nil || q == nil {
		return "", false, err
	}
	name, err := s.qualifiedName(ctx, found{relation: q})
	return name, err == nil, err
}

// RelationSize implements types.SessionFunctions. Sizes of single relations
// are not known: ranges count their bytes, and tables share none but may be
// small. It is 0 for what exists.
func (s *Session) RelationSize(ctx context.Context, relation types.OID, _ types.SizePart) (int64, bool, error) {
	_, ok, err := s.object(ctx, relation)
	return 0, ok, err
}

// DatabaseSize implements types.SessionFunctions; see RelationSize.
func (s *Session) DatabaseSize(ctx context.Context, database types.OID) (int64, bool, error) {
	d, err := s.shared(ctx, database)
	_, ok := d.(*catalog.Database)
	return 0, ok, err
}

// constraint is a constraint of a table, found by its OID: one of the fields
// is set.
type constraint struct {
	table   *catalog.Table
	index   *catalog.Index
	check   *catalog.Check
	foreign *catalog.ForeignKey
}

func (c constraint) comment() string {
	switch {
	case c.check != nil:
		return c.check.Comment
	case c.foreign != nil:
		return c.foreign.Comment
	case c.index != nil:
		return c.index.Comment
	}
	return ""
}

func (s *Session) constraint(ctx context.Context, oid types.OID) (c constraint, ok bool, err error) {
	s.open()
	relations, err := s.tx.catalog.Relations(ctx)
	if err != nil {
		return c, false, err
	}
	id := catalog.ID(oid)
	for _, r := range relations {
		t, isTable := r.(*catalog.Table)
		if !isTable || t.IsVirtual() {
			continue
		}
		c.table = t
		if t.HasPrimaryKey() && t.Primary.ConstraintOID == id {
			c.index = &t.Primary
			return c, true, nil
		}
		if i := slices.IndexFunc(t.Indexes, func(x catalog.Index) bool { return x.Constraint && x.ConstraintOID == id }); i >= 0 {
			c.index = &t.Indexes[i]
			return c, true, nil
		}
		if i := slices.IndexFunc(t.Checks, func(x catalog.Check) bool { return x.OID == id }); i >= 0 {
			c.check = &t.Checks[i]
			return c, true, nil
		}
		if i := slices.IndexFunc(t.ForeignKeys, func(x catalog.ForeignKey) bool { return x.OID == id }); i >= 0 {
			c.foreign = &t.ForeignKeys[i]
			return c, true, nil
		}
	}
	return constraint{}, false, nil
}

// Definition implements types.SessionFunctions.
func (s *Session) Definition(ctx context.Context, request types.DefinitionRequest) (string, bool, error) {
	switch request.Kind {
	case types.IndexDefinition:
		f, ok, err := s.object(ctx, request.Object)
		if err != nil || !ok || f.index == nil {
			return "", false, err
		}
		text, err := s.indexDefinition(ctx, f, int(request.Column), request.Pretty)
		return text, err == nil, err
	case types.ViewDefinition:
		f, ok, err := s.object(ctx, request.Object)
		if err != nil || !ok {
			return "", false, err
		}
		v, isView := f.relation.(*catalog.View)
		if !isView {
			return "", false, nil
		}
		text, err := s.viewDefinition(ctx, v)
		return text, err == nil, err
	case types.ConstraintDefinition:
		c, ok, err := s.constraint(ctx, request.Object)
		if err != nil || !ok {
			return "", false, err
		}
		text, err := s.constraintDefinition(ctx, c, request.Pretty)
		return text, err == nil, err
	}
	return "", false, nil
}

func columnNames(t *catalog.Table, ids []catalog.ColumnID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		if c := t.Column(id); c != nil {
			names[i] = types.QuoteIdentifier(c.Name)
		}
	}
	return strings.Join(names, ", ")
}

func keyColumns(x *catalog.Index) []catalog.ColumnID {
	ids := make([]catalog.ColumnID, len(x.Columns))
	for i, c := range x.Columns {
		ids[i] = c.Column
	}
	return ids
}

func (s *Session) indexDefinition(ctx context.Context, f found, column int, pretty bool) (string, error) {
	t, x := f.relation.(*catalog.Table), f.index
	if column > 0 {
		all := append(keyColumns(x), x.Stored...)
		if column > len(all) {
			return "", nil
		}
		return columnNames(t, all[column-1:column]), nil
	}
	table, err := s.qualifiedName(ctx, found{relation: t})
	if pretty {
		table, err = s.relationName(ctx, found{relation: t})
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("CREATE ")
	if x.Unique {
		b.WriteString("UNIQUE ")
	}
	fmt.Fprintf(&b, "INDEX %s ON %s USING btree (", types.QuoteIdentifier(x.Name), table)
	for i, c := range x.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(columnNames(t, []catalog.ColumnID{c.Column}))
		switch {
		case c.Descending && c.NullsFirst:
			b.WriteString(" DESC")
		case c.Descending:
			b.WriteString(" DESC NULLS LAST")
		case c.NullsFirst:
			b.WriteString(" NULLS FIRST")
		}
	}
	b.WriteByte(')')
	if len(x.Stored) > 0 {
		b.WriteString(" INCLUDE (" + columnNames(t, x.Stored) + ")")
	}
	if x.NullsNotDistinct {
		b.WriteString(" NULLS NOT DISTINCT")
	}
	return b.String(), nil
}

func (s *Session) constraintDefinition(ctx context.Context, c constraint, pretty bool) (string, error) {
	switch {
	case c.index != nil:
		text := "UNIQUE "
		if c.index.Primary {
			text = "PRIMARY KEY "
		}
		if c.index.NullsNotDistinct {
			text += "NULLS NOT DISTINCT "
		}
		text += "(" + columnNames(c.table, keyColumns(c.index)) + ")"
		if len(c.index.Stored) > 0 {
			text += " INCLUDE (" + columnNames(c.table, c.index.Stored) + ")"
		}
		return text, nil
	case c.check != nil:
		expr, err := s.deparsed(ctx, c.check.Expr, c.table, pretty)
		if err != nil {
			return "", err
		}
		text := "CHECK (" + expr + ")"
		if c.check.NotValid {
			text += " NOT VALID"
		}
		return text, nil
	case c.foreign != nil:
		return s.foreignKeyDefinition(ctx, c)
	}
	return "", nil
}

var actionNames = [...]string{catalog.NoAction: "", catalog.Restrict: "RESTRICT", catalog.Cascade: "CASCADE", catalog.SetNull: "SET NULL", catalog.SetDefault: "SET DEFAULT"}

func (s *Session) foreignKeyDefinition(ctx context.Context, c constraint) (string, error) {
	k := c.foreign
	referenced, err := s.tx.catalog.TableByID(ctx, k.ReferencedTable)
	if err != nil {
		return "", err
	}
	name, err := s.relationName(ctx, found{relation: referenced})
	if err != nil {
		return "", err
	}
	text := "FOREIGN KEY (" + columnNames(c.table, k.Columns) + ") REFERENCES " + name + "(" + columnNames(referenced, k.ReferencedColumns) + ")"
	if k.MatchFull {
		text += " MATCH FULL"
	}
	if a := actionNames[k.OnUpdate]; a != "" {
		text += " ON UPDATE " + a
	}
	if a := actionNames[k.OnDelete]; a != "" {
		text += " ON DELETE " + a
	}
	if k.Deferrable {
		text += " DEFERRABLE"
	}
	if k.InitiallyDeferred {
		text += " INITIALLY DEFERRED"
	}
	if k.NotValid {
		text += " NOT VALID"
	}
	return text, nil
}

func (s *Session) viewDefinition(ctx context.Context, v *catalog.View) (string, error) {
	list, err := postgres.Parse(v.Query)
	if err != nil || len(list) != 1 {
		return v.Query, nil
	}
	q, ok := list[0].AST.(parser.Query)
	if !ok {
		return v.Query, nil
	}
	columns := make([]string, len(v.Columns))
	for i := range v.Columns {
		columns[i] = v.Columns[i].Name
	}
	text, err := s.deparsedQuery(ctx, q, columns)
	if err != nil {
		return v.Query, nil
	}
	return text, nil
}
