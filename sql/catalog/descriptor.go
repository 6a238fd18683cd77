package catalog

import (
	"slices"

	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn/hlc"
)

// ID names a descriptor; it is also the object's OID.
type ID uint32

// ColumnID numbers the columns of a table from 1; it is pg_attribute.attnum
// and is never reused.
type ColumnID uint32

// IndexID numbers the indexes of a table from 1; it is part of their keys and
// is never reused.
type IndexID uint32

// Version counts the changes of a descriptor from 1.
type Version uint64

// Ids of what every cluster is born with, as in PostgreSQL 15.
const (
	PostgresDatabaseID    ID = 5
	PgCatalogSchemaID     ID = 11
	PublicSchemaID        ID = 2200
	InformationSchemaID   ID = 13183
	PgToastSchemaID       ID = 99
	FirstUserID           ID = 16384
	BootstrapSuperuserID  ID = 10
	DatabaseOwnerRoleID   ID = 6171
	DatabaseOwnerRoleName    = "pg_database_owner"
	PgCatalogSchemaName      = "pg_catalog"
	InformationSchemaName    = "information_schema"
	PublicSchemaName         = "public"
	DefaultDatabaseName      = "postgres"
	DefaultSuperuserName     = "postgres"
	HiddenRowIDColumnName    = "rowid"
	MaxNameLengthBytes       = 63
	virtualOIDBase        ID = 12000 // see VirtualTable
)

// Descriptor is a *Database, *Schema, *Table, *View, *Sequence or *Role.
type Descriptor interface {
	Head() *Header
	Kind() Kind
}

// Relation is a Descriptor that lives in a schema: *Table, *View or *Sequence.
type Relation interface {
	Descriptor
	// SchemaOf returns the id of the relation's schema.
	SchemaOf() ID
}

// Kind tells descriptors apart, also where they are stored: never renumber.
type Kind uint8

// The kinds.
const (
	DatabaseKind Kind = iota + 1
	SchemaKind
	TableKind
	ViewKind
	SequenceKind
	RoleKind
)

// Header is what all descriptors have.
type Header struct {
	ID      ID      `json:"id"`
	Name    string  `json:"name"`
	Version Version `json:"version"`
	Owner   string  `json:"owner,omitempty"`
	Comment string  `json:"comment,omitempty"`
	// ModificationTime is when this version was committed; it is the version's
	// MVCC timestamp and not stored.
	ModificationTime hlc.Timestamp `json:"-"`
	// Uncommitted says that the transaction that read it also wrote it; a plan
	// made with it must not be cached.
	Uncommitted bool `json:"-"`
	// Dependents are the views (and other relations) whose definitions use
	// this one.
	Dependents []ID `json:"dependents,omitempty"`
	// Fence is the schema change that has the relation for itself, see
	// Transaction.Lock; nil for none.
	Fence *Fence `json:"fence,omitempty"`
}

// Fence keeps transactions away from a relation that a schema change has for
// itself. It holds as long as the lease of the node that runs the change.
type Fence struct {
	Node        int32  `json:"node"`
	Incarnation string `json:"incarnation"` // of the node's process
	Transaction uint64 `json:"transaction"` // numbers those of the process
}

// Head returns h itself: it makes every type that embeds Header a Descriptor.
func (h *Header) Head() *Header { return h }

// Database is a database.
type Database struct {
	Header
}

// Schema is a namespace of relations within a database.
type Schema struct {
	Header
	Database ID `json:"database"`
	// Virtual schemas hold only virtual tables and are in every database.
	Virtual bool `json:"-"`
}

// Role is a user or group; roles belong to the cluster.
type Role struct {
	Header
	Superuser  bool     `json:"superuser,omitempty"`
	CreateDB   bool     `json:"createdb,omitempty"`
	CreateRole bool     `json:"createrole,omitempty"`
	Login      bool     `json:"login,omitempty"`
	Inherit    bool     `json:"inherit,omitempty"`
	Password   string   `json:"password,omitempty"` // a SCRAM-SHA-256 verifier as in pg_authid, never the password
	MemberOf   []string `json:"memberOf,omitempty"`
	ConnLimit  int32    `json:"connLimit,omitempty"`
}

// State is where an element of a table stands in its online life. Writers look
// at it; readers use Public elements only.
type State uint8

// The states, in the order an element passes them on its way in; on its way
// out it passes them backwards.
const (
	// Public: in full use.
	Public State = iota
	// DeleteOnly: deletions (and the deletion half of updates) remove its
	// entries; nothing adds any.
	DeleteOnly
	// WriteOnly: writers keep it up to date, readers don't use it: existing
	// rows may still lack their entries. An index is backfilled in this state;
	// a constraint in this state is enforced for new rows and not yet proven
	// for old ones.
	WriteOnly
	// Absent: dropped and being cleaned up.
	Absent
)

// Identity says whether a column is an identity column.
type Identity uint8

// The kinds of identity columns.
const (
	NoIdentity Identity = iota
	IdentityAlways
	IdentityByDefault
)

// Column is a column of a table.
type Column struct {
	ID   ColumnID `json:"id"`
	Name string   `json:"name"`
	Type *types.T `json:"-"`
	// StoredType is Type as it is persisted.
	StoredType StoredType `json:"type"`
	NotNull    bool       `json:"notNull,omitempty"`
	// NotNullState is not Public while SET NOT NULL is being proven: WriteOnly
	// columns refuse new NULLs but readers must not rely on it.
	NotNullState State `json:"notNullState,omitempty"`
	// Default is the SQL text of the default expression, "" for none. For
	// serial and identity columns it is nextval('schema.sequence'::regclass).
	Default string `json:"default,omitempty"`
	// Generated is the SQL text of a GENERATED ALWAYS AS … STORED expression.
	Generated string   `json:"generated,omitempty"`
	Identity  Identity `json:"identity,omitempty"`
	// OwnedSequence is the sequence behind a serial or identity column.
	OwnedSequence ID `json:"ownedSequence,omitempty"`
	// Missing is the value that rows written before ADD COLUMN … DEFAULT have
	// for it, as rowenc.AppendValue writes it; nil for NULL.
	Missing []byte `json:"missing,omitempty"`
	// Hidden columns (the row id of a table without a primary key) are not in
	// SELECT * nor in pg_attribute.
	Hidden  bool `json:"hidden,omitempty"`
	Dropped bool `json:"dropped,omitempty"`
	// State is not Public while the column is being added or dropped: WriteOnly
	// columns are invisible, but an UPDATE must keep what the row has there
	// (Table.StoredColumns), because a transaction that uses the next or the
	// last version of the table sees it.
	State   State  `json:"state,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// IndexColumn is a key column of an index.
type IndexColumn struct {
	Column     ColumnID `json:"column"`
	Descending bool     `json:"desc,omitempty"`
	// NullsFirst is as written or, by default, true for descending ones: the
	// order that the encoding has. Other combinations are refused.
	NullsFirst bool `json:"nullsFirst,omitempty"`
}

// IndexEncoding says what an index entry's value holds. Persisted: never
// renumber.
type IndexEncoding uint8

// SecondaryEncoding: key columns → primary key suffix and stored columns.
// PrimaryEncoding: key columns → all other columns of the row; the table's
// primary index has it, and an index that is about to become it.
const (
	SecondaryEncoding IndexEncoding = iota
	PrimaryEncoding
)

// Index is the primary or a secondary index of a table.
type Index struct {
	ID      IndexID `json:"id"`
	OID     ID      `json:"oid"`
	Name    string  `json:"name"`
	Unique  bool    `json:"unique,omitempty"`
	Primary bool    `json:"primary,omitempty"` // it is the PRIMARY KEY constraint, too
	// Constraint says that the index is a UNIQUE (or PRIMARY KEY) constraint of
	// the same name, whose OID is ConstraintOID.
	Constraint    bool          `json:"constraint,omitempty"`
	ConstraintOID ID            `json:"constraintOID,omitempty"`
	Columns       []IndexColumn `json:"columns"`
	// Stored are the columns of INCLUDE.
	Stored           []ColumnID    `json:"stored,omitempty"`
	NullsNotDistinct bool          `json:"nullsNotDistinct,omitempty"`
	Encoding         IndexEncoding `json:"encoding,omitempty"`
	State            State         `json:"state,omitempty"`
	// Job is the job that carries the index to Public or out, 0 if there is none.
	Job     int64  `json:"job,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Check is a check constraint.
type Check struct {
	OID  ID     `json:"oid"`
	Name string `json:"name"`
	// Expr is the SQL text of the condition over the table's column names.
	Expr     string     `json:"expr"`
	Columns  []ColumnID `json:"columns"` // that Expr refers to
	State    State      `json:"state,omitempty"`
	NotValid bool       `json:"notValid,omitempty"` // NOT VALID: enforced, not proven
	Comment  string     `json:"comment,omitempty"`
}

// Action is what happens to referencing rows when a referenced one changes.
type Action uint8

// The referential actions; NO ACTION is the default.
const (
	NoAction Action = iota
	Restrict
	Cascade
	SetNull
	SetDefault
)

// ForeignKey is a referential constraint. The same value stands in
// Table.ForeignKeys of the referencing and in Table.ReferencedBy of the
// referenced table.
type ForeignKey struct {
	OID  ID     `json:"oid"`
	Name string `json:"name"`
	// Table.Columns reference ReferencedTable.ReferencedColumns, pairwise and as
	// written; the latter are the key columns of the index ReferencedIndex, which
	// may have them in another order.
	Table             ID         `json:"table"`
	Columns           []ColumnID `json:"columns"`
	ReferencedTable   ID         `json:"referencedTable"`
	ReferencedColumns []ColumnID `json:"referencedColumns"`
	ReferencedIndex   IndexID    `json:"referencedIndex"`
	OnDelete          Action     `json:"onDelete,omitempty"`
	OnUpdate          Action     `json:"onUpdate,omitempty"`
	MatchFull         bool       `json:"matchFull,omitempty"`
	Deferrable        bool       `json:"deferrable,omitempty"`
	InitiallyDeferred bool       `json:"initiallyDeferred,omitempty"`
	State             State      `json:"state,omitempty"`
	NotValid          bool       `json:"notValid,omitempty"`
	Comment           string     `json:"comment,omitempty"`
}

// Table is a table: a base table, or a virtual one of pg_catalog or
// information_schema.
type Table struct {
	Header
	Schema   ID       `json:"schema"`
	Database ID       `json:"database"`
	Columns  []Column `json:"columns"` // in order of their ids; dropped ones stay
	// Primary is the index that holds the rows. If the table has no PRIMARY KEY
	// its key is the hidden column rowid and Primary.Primary is false.
	Primary      Index        `json:"primary"`
	Indexes      []Index      `json:"indexes,omitempty"` // secondary, in every State
	Checks       []Check      `json:"checks,omitempty"`
	ForeignKeys  []ForeignKey `json:"foreignKeys,omitempty"`
	ReferencedBy []ForeignKey `json:"referencedBy,omitempty"`
	NextColumn   ColumnID     `json:"nextColumn"`
	NextIndex    IndexID      `json:"nextIndex"`

	// Virtual makes the rows of a virtual table; nil for a base table.
	Virtual *VirtualTable `json:"-"`
	// RowEstimate is the number of rows as ANALYZE last saw it, -1 if it never
	// did. DistinctEstimates are those of single columns, where known.
	RowEstimate       int64              `json:"-"`
	DistinctEstimates map[ColumnID]int64 `json:"-"`
}

// View is a stored query.
type View struct {
	Header
	Schema   ID `json:"schema"`
	Database ID `json:"database"`
	// Query is the deparsed SQL of the query, with all names qualified as they
	// were resolved when the view was made.
	Query string `json:"query"`
	// Columns are the view's output columns (ids, names and types only).
	Columns []Column `json:"columns"`
	// DependsOn are the relations that Query reads.
	DependsOn []ID `json:"dependsOn,omitempty"`
}

// Sequence is a sequence. Its state is the counter at Key.
type Sequence struct {
	Header
	Schema     ID         `json:"schema"`
	Database   ID         `json:"database"`
	Type       *types.T   `json:"-"` // int2, int4 or int8
	StoredType StoredType `json:"type"`
	Start      int64      `json:"start"`
	Increment  int64      `json:"increment"`
	Min        int64      `json:"min"`
	Max        int64      `json:"max"`
	Cache      int64      `json:"cache"`
	Cycle      bool       `json:"cycle,omitempty"`
	// The sequence's value is Base plus its counter, which is 0 (not stored)
	// until the first nextval. A restart moves to a new counter with a new Base,
	// so that it is undone when its transaction rolls back.
	Base    int64  `json:"base"`
	Counter uint32 `json:"counter"`
	// OwnerTable and OwnerColumn are of OWNED BY; the sequence is dropped with them.
	OwnerTable  ID       `json:"ownerTable,omitempty"`
	OwnerColumn ColumnID `json:"ownerColumn,omitempty"`
	// Identity says that it belongs to an identity column: pg_depend tells it
	// apart from OWNED BY, and it can't be dropped by itself.
	Identity bool `json:"identity,omitempty"`
}

// StoredType is how a type is persisted.
type StoredType struct {
	OID    types.OID `json:"oid"`
	Typmod int32     `json:"typmod"`
}

// Kind returns DatabaseKind.
func (*Database) Kind() Kind { return DatabaseKind }

// Kind returns SchemaKind.
func (*Schema) Kind() Kind { return SchemaKind }

// Kind returns RoleKind.
func (*Role) Kind() Kind { return RoleKind }

// Kind returns TableKind.
func (*Table) Kind() Kind { return TableKind }

// Kind returns ViewKind.
func (*View) Kind() Kind { return ViewKind }

// Kind returns SequenceKind.
func (*Sequence) Kind() Kind { return SequenceKind }

// SchemaOf returns the id of the table's schema.
func (t *Table) SchemaOf() ID { return t.Schema }

// SchemaOf returns the id of the view's schema.
func (v *View) SchemaOf() ID { return v.Schema }

// SchemaOf returns the id of the sequence's schema.
func (s *Sequence) SchemaOf() ID { return s.Schema }

// IsVirtual reports whether the table has no storage.
func (t *Table) IsVirtual() bool { return t.Virtual != nil }

// Column returns the column with an id, whatever its state, nil if there is
// none or it is dropped.
func (t *Table) Column(id ColumnID) *Column {
	// Ids are dense: the column is where its id says, unless damaged.
	if i := int(id) - 1; i >= 0 && i < len(t.Columns) && t.Columns[i].ID == id && !t.Columns[i].Dropped {
		return &t.Columns[i]
	}
	return nil
}

// ColumnNamed returns the column with a name, nil if there is none. Hidden
// columns are found, too.
func (t *Table) ColumnNamed(name string) *Column {
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Name == name && !c.Dropped && c.State == Public {
			return c
		}
	}
	return nil
}

// VisibleColumns returns the columns of SELECT *, in order.
func (t *Table) VisibleColumns() []*Column {
	visible := make([]*Column, 0, len(t.Columns))
	for i := range t.Columns {
		if c := &t.Columns[i]; !c.Dropped && !c.Hidden && c.State == Public {
			visible = append(visible, c)
		}
	}
	return visible
}

// StoredColumns returns the columns that rows have, in order: the hidden and
// those in other states than Public as well. An UPDATE reads and rewrites them
// all.
func (t *Table) StoredColumns() []*Column {
	stored := make([]*Column, 0, len(t.Columns))
	for i := range t.Columns {
		if c := &t.Columns[i]; !c.Dropped {
			stored = append(stored, c)
		}
	}
	return stored
}

// Index returns the index with an id, the primary one included, nil if there
// is none.
func (t *Table) Index(id IndexID) *Index {
	if t.Primary.ID == id {
		return &t.Primary
	}
	for i := range t.Indexes {
		if t.Indexes[i].ID == id {
			return &t.Indexes[i]
		}
	}
	return nil
}

// PublicIndexes returns the secondary indexes that readers may use.
func (t *Table) PublicIndexes() []*Index {
	var public []*Index
	for i := range t.Indexes {
		if t.Indexes[i].State == Public {
			public = append(public, &t.Indexes[i])
		}
	}
	return public
}

// HasPrimaryKey reports whether the table has a PRIMARY KEY constraint.
func (t *Table) HasPrimaryKey() bool { return t.Primary.Primary }

// IsKeyColumn reports whether the column is part of an index's key.
func (ix *Index) IsKeyColumn(id ColumnID) bool {
	return slices.ContainsFunc(ix.Columns, func(c IndexColumn) bool { return c.Column == id })
}

// NeverNull reports whether readers may rely on the column having no
// NULLs.
func (c *Column) NeverNull() bool { return c.NotNull && c.NotNullState == Public }

var (
	_ Descriptor = (*Database)(nil)
	_ Descriptor = (*Schema)(nil)
	_ Descriptor = (*Role)(nil)
	_ Relation   = (*Table)(nil)
	_ Relation   = (*View)(nil)
	_ Relation   = (*Sequence)(nil)
)
