package sql

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/schemachange"
	"github.com/cairndb/cairn/sql/types"
)

// runUtility runs a statement that opt does not plan, and sends its answer.
func (s *Session) runUtility(ctx context.Context, p *prepared, parameters []types.Datum, out *output) error {
	tag, err := s.utility(ctx, p, parameters, out)
	if err != nil {
		return err
	}
	if tag.Name != "" {
		s.client.Complete(tag)
	}
	return nil
}

func named(name string, err error) (CommandTag, error) { return CommandTag{Name: name}, err }

func (s *Session) utility(ctx context.Context, p *prepared, parameters []types.Datum, out *output) (CommandTag, error) {
	switch n := p.statement.AST.(type) {
	case *parser.Transaction:
		return named(s.runTransaction(ctx, n))
	case *parser.Set:
		return named(s.runSet(n))
	case *parser.Show:
		return named("SHOW", s.runShow(n, out))
	case *parser.Explain:
		return named("EXPLAIN", s.runExplain(ctx, n, p, parameters, out))
	case *parser.Prepare:
		return named("PREPARE", s.runPrepare(ctx, p, n))
	case *parser.Execute:
		return s.runExecute(ctx, n, out)
	case *parser.Deallocate:
		return named(s.runDeallocate(n))
	case *parser.Discard:
		return named(s.runDiscard(n.Target))
	case *parser.DeclareCursor:
		return named("DECLARE CURSOR", s.runDeclare(ctx, n, p, parameters))
	case *parser.Fetch:
		return s.runFetch(ctx, n, out)
	case *parser.CloseCursor:
		return named(s.runCloseCursor(n))
	case *parser.Copy:
		return s.runCopy(ctx, n, p)
	case *parser.Vacuum:
		return named(s.runVacuum(ctx, n))
	case *parser.Maintenance:
		return named(n.Tag, s.checkRelations(ctx, n.Tables))
	case *parser.LockTable:
		return named("LOCK TABLE", s.runLock(ctx, n))
	case *parser.Listen:
		if n.Kind == "unlisten" {
			// There is nothing to stop listening to; pools send it to clean up.
			return named("UNLISTEN", nil)
		}
		return named("", pgerror.Unsupported(strings.ToUpper(n.Kind)))
	case *parser.Do:
		return named("", pgerror.Unsupported("DO"))
	case *parser.CallProcedure:
		return named("", pgerror.Unsupported("CALL"))
	case *parser.SetConstraints:
		if n.Deferred {
			return named("", pgerror.Unsupported("SET CONSTRAINTS … DEFERRED"))
		}
		return named("SET CONSTRAINTS", nil)
	default:
		return named(s.runDefinition(ctx, p))
	}
}

// definitionName is about the command of a definition: "CREATE TABLE".
func definitionName(n parser.Node) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", n), "*parser.")
	var b strings.Builder
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}

// runDefinition runs DDL.
func (s *Session) runDefinition(ctx context.Context, p *prepared) (string, error) {
	n := p.statement.AST
	if err := s.checkWritable(definitionName(n)); err != nil {
		return "", err
	}
	switch n := n.(type) {
	case *parser.CreateDatabase, *parser.DropDatabase:
		if err := s.forbidBlock(definitionName(n)); err != nil {
			return "", err
		}
	case *parser.CreateIndex:
		if n.Concurrently {
			if err := s.forbidBlock("CREATE INDEX CONCURRENTLY"); err != nil {
				return "", err
			}
		}
	case *parser.Drop:
		if n.Concurrently {
			if err := s.forbidBlock("DROP INDEX CONCURRENTLY"); err != nil {
				return "", err
			}
		}
	}
	s.open()
	s.tx.kv.Step()
	s.tx.statements++
	s.tx.defining = true
	return schemachange.Execute(ctx, s.schemaEnv(p.text), n)
}

func (s *Session) schemaEnv(text string) *schemachange.Env {
	return &schemachange.Env{Txn: s.tx.kv, Catalog: s.tx.catalog, Manager: s.server.config.Catalog, DB: s.server.config.DB, Jobs: s.server.config.Jobs, Types: &s.types, Text: text,
		AutoCommit: s.tx.state == implicit && !s.tx.several, Internal: s.internalQuery, Notice: s.notice, User: s.CurrentUser()}
}

// runPrepare is PREPARE.
func (s *Session) runPrepare(ctx context.Context, p *prepared, n *parser.Prepare) error {
	if !isPlanned(n.Query) {
		return pgerror.Unsupported("PREPARE of this statement")
	}
	if s.prepared[n.Name] != nil {
		return duplicateStatement(n.Name)
	}
	q := &prepared{name: n.Name, text: p.text, statement: parser.Statement{AST: n.Query, Text: p.statement.Text}}
	for _, name := range n.Types {
		t, err := s.resolveType(name)
		if err != nil {
			return err
		}
		q.declared = append(q.declared, t)
	}
	if err := s.check(ctx, q); err != nil {
		return err
	}
	s.prepared[n.Name] = q
	return nil
}

// resolveType resolves a type as written.
func (s *Session) resolveType(n *parser.TypeName) (*types.T, error) {
	var modifiers []int32
	for _, m := range n.Modifiers {
		k, ok := m.(*parser.Constant)
		if !ok || k.Kind != parser.IntegerConstant {
			return nil, pgerror.New(pgerror.Syntax, "type modifiers must be simple constants or identifiers")
		}
		modifiers = append(modifiers, k.Int)
	}
	return types.FromName(n.Names, modifiers, n.ArrayDepth)
}

// runExecute is EXECUTE.
func (s *Session) runExecute(ctx context.Context, n *parser.Execute, out *output) (CommandTag, error) {
	p := s.prepared[n.Name]
	if p == nil || n.Name == "" {
		return CommandTag{}, undefinedStatement(n.Name)
	}
	if p.statement.AST == nil || !p.planned() {
		return CommandTag{}, pgerror.Unsupported("EXECUTE of this statement")
	}
	if len(n.Arguments) != len(p.parameters) {
		return CommandTag{}, pgerror.Newf(pgerror.Syntax, "wrong number of parameters for prepared statement \"%s\"", n.Name).
			WithDetail("Expected %d parameters but got %d.", len(p.parameters), len(n.Arguments))
	}
	portal := s.newPortal("", p, nil, out.formats)
	defer s.closePortal(portal)
	for i, a := range n.Arguments {
		d, err := s.evaluate(ctx, a, p.parameters[i])
		if err != nil {
			return CommandTag{}, err
		}
		portal.parameters = append(portal.parameters, d)
	}
	if err := s.startPortal(ctx, portal); err != nil {
		return CommandTag{}, err
	}
	if portal.columns != nil {
		out.columns(portal.columns)
	}
	if _, err := s.runPortal(ctx, portal, 0); err != nil {
		return CommandTag{}, err
	}
	return portal.tag(), nil
}

// evaluate computes an expression without columns, as a value of type t.
func (s *Session) evaluate(ctx context.Context, e parser.Expression, t *types.T) (types.Datum, error) {
	s.open()
	scalar, _, err := opt.BindTableExpression(s.planContext(ctx, s.tx.catalog, s.query, nil), nil, e, t, "EXECUTE parameters")
	if err != nil {
		return types.Datum{}, err
	}
	env := &exec.Env{}
	s.fillEnv(env)
	return exec.EvalScalar(ctx, env, scalar)
}

func (s *Session) runDeallocate(n *parser.Deallocate) (string, error) {
	if n.Name == "" {
		for name := range s.prepared {
			if name != "" {
				delete(s.prepared, name)
			}
		}
		return "DEALLOCATE ALL", nil
	}
	if s.prepared[n.Name] == nil {
		return "", undefinedStatement(n.Name)
	}
	delete(s.prepared, n.Name)
	return "DEALLOCATE", nil
}

// relationOf finds a relation that must exist.
func (s *Session) relationOf(ctx context.Context, n *parser.TableName) (catalog.Relation, error) {
	s.open()
	name := catalog.Name{Database: n.Database, Schema: n.Schema, Object: n.Name}
	r, err := s.tx.catalog.Relation(ctx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, catalog.UndefinedTable(name)
	}
	return r, nil
}

func (s *Session) checkRelations(ctx context.Context, names []parser.TableName) error {
	for i := range names {
		if _, err := s.relationOf(ctx, &names[i]); err != nil {
			return err
		}
	}
	return nil
}

// accessShare is the mode of LOCK TABLE that conflicts with nothing but
// dropping the table, which a transaction that looked at it prevents anyway.
const accessShare = 1

func (s *Session) runLock(ctx context.Context, n *parser.LockTable) error {
	if err := s.requireBlock("LOCK TABLE"); err != nil {
		return err
	}
	if err := s.checkRelations(ctx, n.Tables); err != nil {
		return err
	}
	if n.Mode != accessShare {
		return pgerror.Unsupported("LOCK TABLE in modes other than ACCESS SHARE").WithHint("Transactions are serializable: lock rows with SELECT … FOR UPDATE where waiting is wanted.")
	}
	return nil
}

// runVacuum is VACUUM, which needs nothing done, and ANALYZE, which counts rows.
func (s *Session) runVacuum(ctx context.Context, n *parser.Vacuum) (string, error) {
	tag := "VACUUM"
	analyze := n.Analyze
	if n.Analyze {
		tag = "ANALYZE"
	} else if err := s.forbidBlock("VACUUM"); err != nil {
		return "", err
	}
	for _, o := range n.Options {
		if o.Name == "analyze" && o.Value != "false" && o.Value != "off" && o.Value != "0" {
			analyze = true
		}
	}
	var tables []*catalog.Table
	for i := range n.Tables {
		r, err := s.relationOf(ctx, &n.Tables[i].Table)
		if err != nil {
			return "", err
		}
		t, ok := r.(*catalog.Table)
		if !ok {
			s.notice("WARNING", pgerror.Newf(pgerror.Warning, "skipping \"%s\" --- cannot vacuum non-tables or special system tables", r.Head().Name))
			continue
		}
		for _, name := range n.Tables[i].Columns {
			if t.ColumnNamed(name) == nil {
				return "", catalog.UndefinedColumn(t, name)
			}
		}
		tables = append(tables, t)
	}
	if !analyze {
		return tag, nil
	}
	if len(n.Tables) == 0 {
		s.open()
		relations, err := s.tx.catalog.Relations(ctx)
		if err != nil {
			return "", err
		}
		for _, r := range relations {
			if t, ok := r.(*catalog.Table); ok {
				tables = append(tables, t)
			}
		}
	}
	for _, t := range tables {
		if !t.IsVirtual() {
			if err := s.countRows(ctx, t); err != nil {
				return "", err
			}
		}
	}
	return tag, nil
}

// countRows counts a table's rows for the planner.
func (s *Session) countRows(ctx context.Context, t *catalog.Table) error {
	schema, err := s.tx.catalog.SchemaByID(ctx, t.Schema)
	if err != nil || schema == nil {
		return err
	}
	count := &parser.Select{Targets: []parser.Target{{Expression: &parser.Call{Position: parser.NoPosition, Names: []string{"count"}, Star: true}}},
		From: []parser.TableExpression{&parser.TableReference{TableName: parser.TableName{Position: parser.NoPosition, Schema: schema.Name, Name: t.Name}}}}
	rows, _, err := s.internalQuery(ctx, count)
	if err != nil {
		return err
	}
	if len(rows) == 1 && len(rows[0]) == 1 {
		s.server.statistics.set(t.ID, float64(rows[0][0].I))
	}
	return nil
}
