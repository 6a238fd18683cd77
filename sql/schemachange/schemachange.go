// Package schemachange carries out DDL: it checks what a statement asks for,
// changes descriptors through catalog.Transaction, builds and proves what the
// change needs, and leaves the clean-up to jobs.
//
//	parser.Node → Execute ─┬→ descriptors, in the statement's transaction
//	                       ├→ rows and index entries: in that transaction, or in chunks of
//	                       │  their own where the statement is alone in it (backfill.go)
//	                       └→ jobs: delete the data of what was dropped, undo builds that failed
//
// # How DDL stays transactional and safe beside DML
//
// Who changes a table that others may use locks it first (catalog's
// Transaction.Lock): running transactions that use it are waited for, new ones
// wait for the change, as in PostgreSQL. Behind the lock everything can happen
// in one step, and be rolled back.
//
// CREATE INDEX by itself does not lock: transactions of its own take the index
// to DeleteOnly and WriteOnly, waiting in between until nobody uses the version
// before; then existing rows are indexed in chunks beside running writers, and
// the statement's transaction makes the index public. A job that the last
// transaction deletes undoes the index if it never commits.
package schemachange

import (
	"context"
	"log/slog"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/jobs"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// Env is what a statement runs in.
type Env struct {
	Txn     *txn.Txn
	Catalog *catalog.Transaction
	Manager *catalog.Manager
	DB      *txn.DB
	Jobs    *jobs.Registry
	Types   *types.Context
	// Text is the text that the tree's positions refer to.
	Text string
	// AutoCommit: the statement is alone in its transaction.
	AutoCommit bool
	// Internal runs a *parser.Select, Insert, Update or Delete as a statement of
	// the same transaction, seeing what the transaction did so far, and returns
	// the rows or how many were affected.
	Internal func(ctx context.Context, statement parser.Node) (rows [][]types.Datum, affected int64, err error)
	// Notice sends a NOTICE (or WARNING) beside the result; it may be nil.
	Notice func(severity string, e *pgerror.Error)
	// User is the session's user, the owner of what it makes.
	User string
}

// Services are what runs behind the statements on a node.
type Services struct {
	Catalog *catalog.Manager
	Jobs    *jobs.Registry
}

// NewServices returns the node's catalog and its job registry with the jobs of
// this package.
func NewServices(db *txn.DB, node kvpb.NodeID, logger *slog.Logger) *Services {
	s := &Services{Catalog: catalog.NewManager(catalog.Config{DB: db, Node: node, Logger: logger})}
	s.Jobs = jobs.NewRegistry(jobs.Config{DB: db, Node: node, Logger: logger}, jobKinds(db, s.Catalog))
	return s
}

// Start starts both; the catalog must have been bootstrapped.
func (s *Services) Start(ctx context.Context) error {
	if err := s.Catalog.Start(ctx); err != nil {
		return err
	}
	return s.Jobs.Start(ctx)
}

// Close stops both, after the sessions have ended.
func (s *Services) Close() {
	s.Jobs.Close()
	s.Catalog.Close()
}

// Handles reports whether Execute takes a statement.
func Handles(statement parser.Node) bool { return run(statement) != nil }

// Execute runs a DDL statement and returns its command tag. It is one of
// CreateTable (also AS), CreateIndex, CreateSchema, CreateDatabase, CreateView,
// CreateSequence, CreateRole, their Alter and Drop forms, AlterTable, Rename,
// SetSchema, ChangeOwnerOf, Comment, Truncate, Grant, GrantRole, SplitAt of
// sql/parser; 0A000 otherwise. Errors are *pgerror.Error, or retryable ones.
func Execute(ctx context.Context, env *Env, statement parser.Node) (tag string, err error) {
	f := run(statement)
	if f == nil {
		return "", pgerror.Unsupported("this statement")
	}
	if env.Txn.Options().ReadOnly {
		return "", pgerror.Newf(pgerror.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", readOnlyName(statement))
	}
	return f(ctx, env)
}

// run returns what runs a statement, nil for what is no DDL.
func run(statement parser.Node) func(context.Context, *Env) (string, error) {
	with := func(tag string, f func(context.Context, *Env) error) func(context.Context, *Env) (string, error) {
		return func(ctx context.Context, env *Env) (string, error) { return tag, f(ctx, env) }
	}
	switch s := statement.(type) {
	case *parser.CreateTable:
		return func(ctx context.Context, env *Env) (string, error) { return env.createTable(ctx, s) }
	case *parser.CreateIndex:
		return with("CREATE INDEX", func(ctx context.Context, env *Env) error { return env.createIndex(ctx, s) })
	case *parser.CreateSchema:
		return with("CREATE SCHEMA", func(ctx context.Context, env *Env) error { return env.createSchema(ctx, s) })
	case *parser.CreateDatabase:
		return with("CREATE DATABASE", func(ctx context.Context, env *Env) error { return env.createDatabase(ctx, s) })
	case *parser.DropDatabase:
		return with("DROP DATABASE", func(ctx context.Context, env *Env) error { return env.dropDatabase(ctx, s) })
	case *parser.AlterDatabase:
		return with("ALTER DATABASE", func(ctx context.Context, env *Env) error { return pgerror.Unsupported("ALTER DATABASE") })
	case *parser.CreateView:
		return with("CREATE VIEW", func(ctx context.Context, env *Env) error { return env.createView(ctx, s) })
	case *parser.CreateSequence:
		return with("CREATE SEQUENCE", func(ctx context.Context, env *Env) error { return env.createSequence(ctx, s) })
	case *parser.AlterSequence:
		return with("ALTER SEQUENCE", func(ctx context.Context, env *Env) error { return env.alterSequence(ctx, s) })
	case *parser.Drop:
		return func(ctx context.Context, env *Env) (string, error) { return env.drop(ctx, s) }
	case *parser.Truncate:
		return with("TRUNCATE TABLE", func(ctx context.Context, env *Env) error { return env.truncate(ctx, s) })
	case *parser.AlterTable:
		return with("ALTER "+kindName(s.Kind), func(ctx context.Context, env *Env) error { return env.alterTable(ctx, s) })
	case *parser.Rename:
		return with("ALTER "+renameTag(s), func(ctx context.Context, env *Env) error { return env.rename(ctx, s) })
	case *parser.SetSchema:
		return with("ALTER "+kindName(s.Kind), func(ctx context.Context, env *Env) error { return env.setSchema(ctx, s) })
	case *parser.ChangeOwnerOf:
		return with("ALTER "+kindName(s.Kind), func(ctx context.Context, env *Env) error { return env.changeOwnerOf(ctx, s) })
	case *parser.Comment:
		return with("COMMENT", func(ctx context.Context, env *Env) error { return env.comment(ctx, s) })
	case *parser.CreateRole:
		return with("CREATE ROLE", func(ctx context.Context, env *Env) error { return env.createRole(ctx, s) })
	case *parser.AlterRole:
		return with("ALTER ROLE", func(ctx context.Context, env *Env) error { return env.alterRole(ctx, s) })
	case *parser.DropRole:
		return with("DROP ROLE", func(ctx context.Context, env *Env) error { return env.dropRole(ctx, s) })
	case *parser.Grant:
		return func(ctx context.Context, env *Env) (string, error) { return env.grant(ctx, s) }
	case *parser.GrantRole:
		return func(ctx context.Context, env *Env) (string, error) { return env.grantRole(ctx, s) }
	case *parser.SplitAt:
		return with("ALTER TABLE", func(ctx context.Context, env *Env) error { return env.splitAt(ctx, s) })
	}
	return nil
}

// kindName is the kind of an object in command tags and messages, in upper case.
func kindName(k parser.ObjectKind) string {
	switch k {
	case parser.ObjectTable:
		return "TABLE"
	case parser.ObjectIndex:
		return "INDEX"
	case parser.ObjectView:
		return "VIEW"
	case parser.ObjectSequence:
		return "SEQUENCE"
	case parser.ObjectSchema:
		return "SCHEMA"
	case parser.ObjectDatabase:
		return "DATABASE"
	case parser.ObjectRole:
		return "ROLE"
	case parser.ObjectType:
		return "TYPE"
	case parser.ObjectFunction:
		return "FUNCTION"
	case parser.ObjectMaterializedView:
		return "MATERIALIZED VIEW"
	case parser.ObjectExtension:
		return "EXTENSION"
	case parser.ObjectDomain:
		return "DOMAIN"
	case parser.ObjectColumn, parser.ObjectConstraint:
		return "TABLE"
	}
	return "OBJECT"
}

func renameTag(s *parser.Rename) string {
	if s.Kind == parser.ObjectConstraint {
		return "TABLE" // the grammar gives no kind
	}
	if s.Kind == parser.ObjectColumn {
		return kindName(s.RelationKind)
	}
	return kindName(s.Kind)
}

// readOnlyName is how PostgreSQL names a statement in the refusal of 25006.
func readOnlyName(statement parser.Node) string {
	switch s := statement.(type) {
	case *parser.CreateTable:
		if s.As != nil {
			return "CREATE TABLE AS"
		}
		return "CREATE TABLE"
	case *parser.CreateIndex:
		return "CREATE INDEX"
	case *parser.CreateSchema:
		return "CREATE SCHEMA"
	case *parser.CreateDatabase:
		return "CREATE DATABASE"
	case *parser.DropDatabase:
		return "DROP DATABASE"
	case *parser.CreateView:
		return "CREATE VIEW"
	case *parser.CreateSequence:
		return "CREATE SEQUENCE"
	case *parser.AlterSequence:
		return "ALTER SEQUENCE"
	case *parser.Drop:
		return "DROP " + kindName(s.Kind)
	case *parser.Truncate:
		return "TRUNCATE TABLE"
	case *parser.AlterTable:
		return "ALTER " + kindName(s.Kind)
	case *parser.Rename:
		return "ALTER " + renameTag(s)
	case *parser.Comment:
		return "COMMENT"
	case *parser.CreateRole:
		return "CREATE ROLE"
	case *parser.AlterRole:
		return "ALTER ROLE"
	case *parser.DropRole:
		return "DROP ROLE"
	case *parser.Grant:
		return "GRANT"
	case *parser.GrantRole:
		return "GRANT ROLE"
	}
	return "this statement"
}
