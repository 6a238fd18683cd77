package catalog

import (
	"context"
)

// Name is a relation's name as it was written: Schema and Database may be "".
type Name struct{ Database, Schema, Object string }

// String returns the name as error messages of PostgreSQL quote it.
func (n Name) String() string {
	switch {
	case n.Database != "":
		return n.Database + "." + n.Schema + "." + n.Object
	case n.Schema != "":
		return n.Schema + "." + n.Object
	default:
		return n.Object
	}
}

// Resolver finds descriptors for one transaction. Where a lookup by name finds
// nothing it returns nil and no error, so that callers can word their own
// errors; UndefinedTable words the usual one. What it returns must not be
// changed. It is not safe for concurrent use, except for the *ByID methods
// that remote or parallel parts of a plan call on what was resolved before.
type Resolver interface {
	// CurrentDatabase is the session's database.
	CurrentDatabase() *Database
	// SearchPath returns the existing schemas of the search path, pg_catalog
	// first unless it is named elsewhere in it.
	SearchPath(ctx context.Context) ([]*Schema, error)
	// CreationSchema is where an unqualified new name goes: the first of the
	// search path, 3F000 "no schema has been selected to create in" otherwise.
	CreationSchema(ctx context.Context) (*Schema, error)

	// Relation finds a table, view or sequence by name, along the search path
	// unless the name has a schema. In a schema that doesn't exist it finds
	// nothing; a foreign database is 0A000 "cross-database references are not
	// implemented".
	Relation(ctx context.Context, name Name) (Relation, error)
	// Index finds an index by name and its table.
	Index(ctx context.Context, name Name) (*Table, *Index, error)
	// RelationByID finds a table, view, sequence by id.
	RelationByID(ctx context.Context, id ID) (Relation, error)
	// TableByID is RelationByID for a table that must exist.
	TableByID(ctx context.Context, id ID) (*Table, error)

	SchemaNamed(ctx context.Context, name string) (*Schema, error)
	SchemaByID(ctx context.Context, id ID) (*Schema, error)
	DatabaseNamed(ctx context.Context, name string) (*Database, error)
	RoleNamed(ctx context.Context, name string) (*Role, error)

	// Relations lists all relations of the current database, virtual ones
	// included; Schemas, Databases and Roles likewise. In order of their ids.
	Relations(ctx context.Context) ([]Relation, error)
	Schemas(ctx context.Context) ([]*Schema, error)
	Databases(ctx context.Context) ([]*Database, error)
	Roles(ctx context.Context) ([]*Role, error)

	// Epoch changes whenever any descriptor may have changed: a plan that was
	// made under the same Epoch, search path and database may be used as it is.
	// Zero after the transaction changed the schema itself: cache nothing.
	Epoch() uint64
}
