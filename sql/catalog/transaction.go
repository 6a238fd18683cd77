package catalog

import (
	"context"

	"github.com/cairndb/cairn/txn"
)

// Transaction is the schema as one transaction sees it. It implements
// Resolver: what the transaction did not change itself comes from the node's
// cache, by look-ups in maps.
//
// What the session owes it:
//
//   - before each commit: BeforeCommit;
//   - afterwards Committed, or RolledBack, exactly once; also for a transaction
//     that is going to be restarted, which then begins a new one;
//   - at SAVEPOINT and ROLLBACK TO: Savepoint and RollbackTo;
//   - for each plan that it takes from its cache: UsesCached with the plan's
//     tables.
//
// It belongs to one session and is not safe for concurrent use.
type Transaction struct{}

// Savepoint marks what a transaction did to the schema so far.
type Savepoint struct{ position int }

var _ Resolver = (*Transaction)(nil)

// Txn returns the transaction that x belongs to.
func (x *Transaction) Txn() *txn.Txn { return nil }

// SetNames changes where unqualified names lead to (SET search_path, SET ROLE).
func (x *Transaction) SetNames(n Names) {}

// Names returns where unqualified names lead to.
func (x *Transaction) Names() Names { return Names{} }

// NewID returns an id that nothing had before.
func (x *Transaction) NewID(ctx context.Context) (ID, error) { return 0, errUnfinished }

// Lock makes existing relations x's own until the transaction ends, as
// PostgreSQL's ACCESS EXCLUSIVE lock does: it waits for the transactions that
// use them, on all nodes, and makes those that want to use them wait. Writing
// or dropping a table needs it. What x created or locked already takes nothing.
func (x *Transaction) Lock(ctx context.Context, relations ...Relation) error { return errUnfinished }

// Create stores a new descriptor, with Version 1, under its name: 42P07 and
// its like if the name is taken.
func (x *Transaction) Create(ctx context.Context, d Descriptor) error { return errUnfinished }

// Write stores a changed clone of a descriptor. It sets the next Version.
func (x *Transaction) Write(ctx context.Context, d Descriptor) error { return errUnfinished }

// Drop removes a descriptor and its name.
func (x *Transaction) Drop(ctx context.Context, d Descriptor) error { return errUnfinished }

// Rename gives d, a clone, another name or parent (a schema, a database; 0:
// the same) and stores it.
func (x *Transaction) Rename(ctx context.Context, d Descriptor, newName string, newParent ID) error {
	return errUnfinished
}

// Changed reports whether the transaction wrote descriptors.
func (x *Transaction) Changed() bool { return false }

// UsesCached says that the transaction uses tables by a plan that was made
// earlier. The error is retryable: the plan must be made anew.
func (x *Transaction) UsesCached(ctx context.Context, tables []*Table) error { return nil }

// Savepoint returns a mark for RollbackTo.
func (x *Transaction) Savepoint() Savepoint { return Savepoint{} }

// RollbackTo forgets what was done to the schema since the mark.
func (x *Transaction) RollbackTo(s Savepoint) {}

// BeforeCommit prepares the commit: it sets the transaction's deadline, and
// for one that changed the schema it writes the schema's new epoch.
func (x *Transaction) BeforeCommit(ctx context.Context) error { return errUnfinished }

// Committed tells that the transaction committed. For one that changed the
// schema it returns when all nodes know it, or after a while.
func (x *Transaction) Committed(ctx context.Context) {}

// RolledBack tells that the transaction ended otherwise.
func (x *Transaction) RolledBack(ctx context.Context) {}

// CurrentDatabase implements Resolver.
func (x *Transaction) CurrentDatabase() *Database { return nil }

// SearchPath implements Resolver.
func (x *Transaction) SearchPath(ctx context.Context) ([]*Schema, error) { return nil, errUnfinished }

// CreationSchema implements Resolver.
func (x *Transaction) CreationSchema(ctx context.Context) (*Schema, error) { return nil, errUnfinished }

// Relation implements Resolver.
func (x *Transaction) Relation(ctx context.Context, name Name) (Relation, error) {
	return nil, errUnfinished
}

// Index implements Resolver.
func (x *Transaction) Index(ctx context.Context, name Name) (*Table, *Index, error) {
	return nil, nil, errUnfinished
}

// RelationByID implements Resolver.
func (x *Transaction) RelationByID(ctx context.Context, id ID) (Relation, error) {
	return nil, errUnfinished
}

// TableByID implements Resolver.
func (x *Transaction) TableByID(ctx context.Context, id ID) (*Table, error) {
	return nil, errUnfinished
}

// SchemaNamed implements Resolver.
func (x *Transaction) SchemaNamed(ctx context.Context, name string) (*Schema, error) {
	return nil, errUnfinished
}

// SchemaByID implements Resolver.
func (x *Transaction) SchemaByID(ctx context.Context, id ID) (*Schema, error) {
	return nil, errUnfinished
}

// DatabaseNamed implements Resolver.
func (x *Transaction) DatabaseNamed(ctx context.Context, name string) (*Database, error) {
	return nil, errUnfinished
}

// RoleNamed implements Resolver.
func (x *Transaction) RoleNamed(ctx context.Context, name string) (*Role, error) {
	return nil, errUnfinished
}

// Relations implements Resolver.
func (x *Transaction) Relations(ctx context.Context) ([]Relation, error) { return nil, errUnfinished }

// Schemas implements Resolver.
func (x *Transaction) Schemas(ctx context.Context) ([]*Schema, error) { return nil, errUnfinished }

// Databases implements Resolver.
func (x *Transaction) Databases(ctx context.Context) ([]*Database, error) { return nil, errUnfinished }

// Roles implements Resolver.
func (x *Transaction) Roles(ctx context.Context) ([]*Role, error) { return nil, errUnfinished }

// Epoch implements Resolver.
func (x *Transaction) Epoch() uint64 { return 0 }
