package schemachange

import (
	"context"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// at adds the place in the statement's text to an error that has none.
func (env *Env) at(err error, p parser.Position) error {
	if e, ok := err.(*pgerror.Error); ok {
		return e.WithPosition(parser.Character(env.Text, p))
	}
	return err
}

func (env *Env) notice(code, format string, args ...any) {
	if env.Notice != nil {
		env.Notice("NOTICE", pgerror.Newf(code, format, args...))
	}
}

func (env *Env) warning(code, format string, args ...any) {
	if env.Notice != nil {
		env.Notice("WARNING", pgerror.Newf(code, format, args...))
	}
}

func nameOf(t parser.TableName) catalog.Name {
	return catalog.Name{Database: t.Database, Schema: t.Schema, Object: t.Name}
}

// display is a relation's name as messages quote it.
func display(t parser.TableName) string { return nameOf(t).String() }

// planContext returns what binding needs.
func (env *Env) planContext(ctx context.Context) *opt.Context {
	return &opt.Context{
		Ctx: ctx, Resolver: env.Catalog, Types: env.Types, Text: env.Text,
		ParseStatement:  postgres.Parse,
		ParseExpression: ParseExpression,
	}
}

// storedContext is planContext for text of the catalog: errors have no
// positions in it.
func (env *Env) storedContext(ctx context.Context) *opt.Context {
	c := env.planContext(ctx)
	c.Text = ""
	return c
}

// ParseExpression parses an expression as the catalog stores it.
func ParseExpression(text string) (parser.Expression, error) {
	statements, err := postgres.Parse("SELECT " + text)
	if err != nil {
		return nil, err
	}
	if len(statements) == 1 {
		if s, ok := statements[0].AST.(*parser.Select); ok && len(s.Targets) == 1 {
			return s.Targets[0].Expression, nil
		}
	}
	return nil, pgerror.Newf(pgerror.DataCorrupted, "stored expression %q is damaged", text)
}

// evaluate computes an expression without columns.
func (env *Env) evaluate(ctx context.Context, s opt.Scalar) (types.Datum, error) {
	return exec.EvalScalar(ctx, env.execution(), s)
}

func (env *Env) execution() *exec.Env {
	return &exec.Env{Txn: env.Txn, Types: env.Types, Resolver: env.Catalog}
}

// isSuperuser reports whether the session's user is one.
func (env *Env) isSuperuser(ctx context.Context) (bool, error) {
	r, err := env.Catalog.RoleNamed(ctx, env.User)
	return r != nil && r.Superuser, err
}

// requireOwner fails with 42501 unless the user owns d, is a superuser or a
// member of the owner.
func (env *Env) requireOwner(ctx context.Context, d catalog.Descriptor) error {
	if d.Head().Owner == env.User {
		return nil
	}
	member, err := env.isMember(ctx, env.User, d.Head().Owner)
	if err != nil || member {
		return err
	}
	return pgerror.Newf(pgerror.InsufficientPrivilege, "must be owner of %s %s", describeKind(d), d.Head().Name)
}

// isMember reports whether a role has the rights of another.
func (env *Env) isMember(ctx context.Context, role, of string) (bool, error) {
	if database := env.Catalog.CurrentDatabase(); of == catalog.DatabaseOwnerRoleName && database != nil {
		of = database.Owner
	}
	seen := map[string]bool{}
	pending := []string{role}
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		if name == of {
			return true, nil
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		r, err := env.Catalog.RoleNamed(ctx, name)
		if err != nil {
			return false, err
		}
		if r == nil {
			continue
		}
		if r.Superuser && name == role {
			return true, nil
		}
		pending = append(pending, r.MemberOf...)
	}
	return false, nil
}

// describeKind names a descriptor's kind in messages.
func describeKind(d catalog.Descriptor) string {
	switch d.(type) {
	case *catalog.Table:
		return "table"
	case *catalog.View:
		return "view"
	case *catalog.Sequence:
		return "sequence"
	case *catalog.Schema:
		return "schema"
	case *catalog.Database:
		return "database"
	}
	return "role"
}

// creationSchema is where a new relation goes, checked that the user may.
func (env *Env) creationSchema(ctx context.Context, name parser.TableName) (*catalog.Schema, error) {
	if name.Database != "" && (env.Catalog.CurrentDatabase() == nil || name.Database != env.Catalog.CurrentDatabase().Name) {
		return nil, env.at(pgerror.Newf(pgerror.FeatureNotSupported, "cross-database references are not implemented: %q", display(name)), name.Position)
	}
	var s *catalog.Schema
	var err error
	if name.Schema == "" {
		s, err = env.Catalog.CreationSchema(ctx)
	} else if s, err = env.Catalog.SchemaNamed(ctx, name.Schema); err == nil && s == nil {
		err = catalog.UndefinedSchema(name.Schema)
	}
	if err != nil {
		return nil, env.at(err, name.Position)
	}
	return s, env.at(env.requireCreate(ctx, s), name.Position)
}

func (env *Env) requireCreate(ctx context.Context, s *catalog.Schema) error {
	denied := pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied for schema %s", s.Name)
	if s.Virtual {
		if s.Name == catalog.PgCatalogSchemaName {
			return pgerror.New(pgerror.InsufficientPrivilege, "permission denied to create in schema \"pg_catalog\"").
				WithDetail("System catalog modifications are currently disallowed.")
		}
		return denied
	}
	member, err := env.isMember(ctx, env.User, s.Owner)
	if err == nil && !member {
		err = denied
	}
	return err
}

// findTable finds a base table for a change by its owner; nil where it does
// not exist and may not.
func (env *Env) findTable(ctx context.Context, name parser.TableName, missingOK bool) (*catalog.Table, error) {
	r, err := env.findRelation(ctx, name, missingOK)
	if err != nil || r == nil {
		return nil, err
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		return nil, pgerror.Newf(pgerror.WrongObjectType, "%q is not a table", r.Head().Name)
	}
	return t, nil
}

// findRelation finds a relation for a change by its owner.
func (env *Env) findRelation(ctx context.Context, name parser.TableName, missingOK bool) (catalog.Relation, error) {
	r, err := env.Catalog.Relation(ctx, nameOf(name))
	if err != nil {
		return nil, err
	}
	if r == nil {
		if name.Schema != "" && !missingOK {
			if s, err := env.Catalog.SchemaNamed(ctx, name.Schema); err != nil || s == nil {
				if err == nil {
					err = catalog.UndefinedSchema(name.Schema)
				}
				return nil, err
			}
		}
		if missingOK {
			env.notice(pgerror.SuccessfulCompletion, "relation %q does not exist, skipping", display(name))
			return nil, nil
		}
		return nil, catalog.UndefinedTable(nameOf(name))
	}
	if t, ok := r.(*catalog.Table); ok && t.IsVirtual() || r.Head().ID < catalog.FirstUserID {
		return nil, pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied: %q is a system catalog", r.Head().Name)
	}
	return r, env.requireOwner(ctx, r)
}

// lockTable makes a table the transaction's own and returns a clone to change.
func (env *Env) lockTable(ctx context.Context, t *catalog.Table) (*catalog.Table, error) {
	if err := env.Catalog.Lock(ctx, t); err != nil {
		return nil, err
	}
	return env.cloneTable(ctx, t.ID)
}

// cloneTable returns a table as the transaction has it now, to be changed.
func (env *Env) cloneTable(ctx context.Context, id catalog.ID) (*catalog.Table, error) {
	t, err := env.Catalog.TableByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return catalog.Clone(t), nil
}

// columnType resolves the type of a column; serial is told by serialOf before.
func (env *Env) columnType(t *parser.TypeName, column string) (*types.T, error) {
	if t.Percent {
		return nil, env.at(pgerror.Unsupported("%TYPE"), t.Position)
	}
	if t.SetOf {
		return nil, env.at(pgerror.Newf(pgerror.InvalidTableDefinition, "column %q cannot be declared SETOF", column), t.Position)
	}
	modifiers := make([]int32, 0, len(t.Modifiers))
	for _, m := range t.Modifiers {
		k, ok := m.(*parser.Constant)
		if !ok || k.Kind != parser.IntegerConstant {
			return nil, env.at(pgerror.New(pgerror.Syntax, "type modifiers must be simple constants or identifiers"), t.Position)
		}
		modifiers = append(modifiers, k.Int)
	}
	r, err := types.FromName(t.Names, modifiers, t.ArrayDepth)
	if err != nil {
		return nil, env.at(err, t.Position)
	}
	if r.IsPseudo() {
		return nil, pgerror.Newf(pgerror.InvalidTableDefinition, "column %q has pseudo-type %s", column, r.String())
	}
	return r, nil
}

// serialOf returns the integer type of a serial one, nil for others.
func serialOf(t *parser.TypeName) *types.T {
	if t == nil || len(t.Names) != 1 {
		return nil
	}
	switch t.Names[0] {
	case "smallserial", "serial2":
		return types.Int2
	case "serial", "serial4":
		return types.Int4
	case "bigserial", "serial8":
		return types.Int8
	}
	return nil
}

// bound is a bound expression of a table, with its text to be stored.
type bound struct {
	scalar  opt.Scalar
	columns []catalog.ColumnID
	text    string
}

// bindExpression binds a default, check or generated column and deparses it.
func (env *Env) bindExpression(ctx context.Context, table *catalog.Table, e parser.Expression, want *types.T, what string) (bound, error) {
	return env.bindWith(env.planContext(ctx), table, e, want, what)
}

func (env *Env) bindWith(c *opt.Context, table *catalog.Table, e parser.Expression, want *types.T, what string) (bound, error) {
	s, columns, err := opt.BindTableExpression(c, table, e, want, what)
	if err != nil {
		return bound{}, err
	}
	text := opt.Deparse(s, func(id opt.ColumnID) string {
		if table == nil {
			return ""
		}
		if column := table.Column(catalog.ColumnID(id)); column != nil {
			return quote(column.Name)
		}
		return ""
	})
	slices.Sort(columns)
	return bound{s, slices.Compact(columns), text}, nil
}

// bindStored binds the text of the catalog.
func (env *Env) bindStored(ctx context.Context, table *catalog.Table, text string, want *types.T, what string) (bound, error) {
	e, err := ParseExpression(text)
	if err != nil {
		return bound{}, err
	}
	return env.bindWith(env.storedContext(ctx), table, e, want, what)
}

// rebind binds stored text over one version of a table and writes it with the
// column names of another.
func (env *Env) rebind(ctx context.Context, before, after *catalog.Table, text, what string) (string, error) {
	e, err := ParseExpression(text)
	if err != nil {
		return "", err
	}
	s, _, err := opt.BindTableExpression(env.storedContext(ctx), before, e, nil, what)
	if err != nil {
		return "", err
	}
	return opt.Deparse(s, func(id opt.ColumnID) string {
		if c := after.Column(catalog.ColumnID(id)); c != nil {
			return quote(c.Name)
		}
		return ""
	}), nil
}

// quote writes an identifier as PostgreSQL's quote_identifier does.
func quote(name string) string {
	plain := name != "" && !(name[0] >= '0' && name[0] <= '9')
	for i := 0; plain && i < len(name); i++ {
		c := name[i]
		plain = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
	}
	if plain && !reserved[name] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// reserved are the keywords that must be quoted as names.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both
case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end
except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout
int integer intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural nchar
none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric table tablesample then time
timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes
xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`) {
		m[w] = true
	}
	return m
}()
