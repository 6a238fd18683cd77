// Package schemachange carries out DDL: it checks what a statement asks for,
// changes descriptors through catalog.Transaction, builds and proves what the
// change needs, and leaves the clean-up to jobs.
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
// this package. Start and Close are the caller's.
func NewServices(db *txn.DB, node kvpb.NodeID, logger *slog.Logger) Services {
	return Services{}
}

// Execute runs a DDL statement and returns its command tag. It is one of
// CreateTable (also AS), CreateIndex, CreateSchema, CreateDatabase, CreateView,
// CreateSequence, CreateRole, their Alter and Drop forms, AlterTable, Rename,
// SetSchema, ChangeOwnerOf, Comment, Truncate, Grant, GrantRole, SplitAt of
// sql/parser; 0A000 otherwise.
func Execute(ctx context.Context, env *Env, statement parser.Node) (tag string, err error) {
	return "", pgerror.Unsupported("this statement")
}
