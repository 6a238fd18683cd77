package parser

// CreateTable is CREATE TABLE, also AS query.
type CreateTable struct {
	Name        TableName
	IfNotExists bool
	Temporary   bool
	Unlogged    bool
	Columns     []*ColumnDefinition
	Constraints []*Constraint
	Like        []LikeTable
	Inherits    []TableName
	PartitionBy string // "" if not partitioned
	PartitionOf *TableName
	Options     []Option
	OnCommit    string // "", preserve, delete, drop
	Tablespace  string
	// As is the query of CREATE TABLE AS; its column names stand in AsColumns.
	As         Node
	AsColumns  []string
	WithNoData bool
	OfType     *TypeName
}

// LikeTable is LIKE table in CREATE TABLE; Options is PostgreSQL's mask of
// INCLUDING.
type LikeTable struct {
	Table   TableName
	Options uint32
}

// ColumnDefinition is a column of CREATE TABLE and ADD COLUMN.
type ColumnDefinition struct {
	Position    Position
	Name        string
	Type        *TypeName
	Collation   []string
	Constraints []*Constraint
	Options     []Option
}

// ConstraintKind is the kind of a Constraint.
type ConstraintKind uint8

// The kinds of constraints, of columns and of tables.
const (
	NullAllowed ConstraintKind = iota
	NotNull
	DefaultValue
	Check
	PrimaryKey
	Unique
	ForeignKey
	Identity
	Generated
	Exclusion
)

// Constraint is a constraint of a column or table.
type Constraint struct {
	Position   Position
	Kind       ConstraintKind
	Name       string     // "" if none is written
	Expression Expression // of Check, DefaultValue, Generated
	Columns    []string   // of PrimaryKey, Unique, ForeignKey of a table
	Including  []string
	UsingIndex string
	// NullsNotDistinct is of Unique.
	NullsNotDistinct bool

	References        *TableName
	ReferencedColumns []string
	Match             MatchKind
	OnDelete          ReferentialAction
	OnUpdate          ReferentialAction
	OnDeleteColumns   []string

	// Always: GENERATED ALWAYS AS IDENTITY rather than BY DEFAULT.
	Always  bool
	Options []SequenceOption // of Identity

	Deferrable, InitiallyDeferred bool
	NotValid, NoInherit           bool
}

// MatchKind is MATCH SIMPLE, FULL or PARTIAL.
type MatchKind uint8

// The kinds of matching.
const (
	MatchSimple MatchKind = iota
	MatchFull
	MatchPartial
)

// ReferentialAction is ON DELETE and ON UPDATE.
type ReferentialAction uint8

// The referential actions.
const (
	NoAction ReferentialAction = iota
	Restrict
	Cascade
	SetNull
	SetDefault
)

// IndexElement is a key column of an index, or an ON CONFLICT element.
type IndexElement struct {
	Position   Position
	Column     string     // or
	Expression Expression // of an expression index
	Descending bool
	NullsFirst bool
	Collation  []string
	Class      []string // operator class
}

// CreateIndex is CREATE INDEX.
type CreateIndex struct {
	Position         Position
	Name             string // "" : named by the system
	Table            TableName
	Method           string // btree if none is written
	Unique           bool
	NullsNotDistinct bool
	Concurrently     bool
	IfNotExists      bool
	Elements         []IndexElement
	Including        []string
	Where            Expression
	Options          []Option
	Tablespace       string
}

// CreateSchema is CREATE SCHEMA.
type CreateSchema struct {
	Name          string
	IfNotExists   bool
	Authorization string
	Elements      []Node
}

// CreateDatabase is CREATE DATABASE.
type CreateDatabase struct {
	Name    string
	Options []Option
}

// DropDatabase is DROP DATABASE.
type DropDatabase struct {
	Name     string
	IfExists bool
	Force    bool
}

// CreateView is CREATE VIEW.
type CreateView struct {
	Name      TableName
	Columns   []string
	Query     Query
	Text      string // the query's text as written
	Replace   bool
	Temporary bool
	Recursive bool
	Options   []Option
	Check     string // "", local, cascaded
	// Materialized view: a feature of its own.
	Materialized bool
	IfNotExists  bool
}

// SequenceOption is an option of CREATE SEQUENCE.
type SequenceOption struct {
	Position Position
	Kind     SequenceOptionKind
	Value    int64
	// None: NO MINVALUE, NO MAXVALUE, NO CYCLE; RESTART without value; OWNED BY NONE.
	None  bool
	Names []string // of OWNED BY
	Type  *TypeName
}

// SequenceOptionKind is the kind of a SequenceOption.
type SequenceOptionKind uint8

// The options of sequences.
const (
	SequenceStart SequenceOptionKind = iota
	SequenceIncrement
	SequenceMinValue
	SequenceMaxValue
	SequenceCache
	SequenceCycle
	SequenceOwnedBy
	SequenceRestart
	SequenceType
	SequenceName
)

// CreateSequence is CREATE SEQUENCE.
type CreateSequence struct {
	Name        TableName
	IfNotExists bool
	Temporary   bool
	Options     []SequenceOption
}

// AlterSequence is ALTER SEQUENCE name options.
type AlterSequence struct {
	Name     TableName
	IfExists bool
	Options  []SequenceOption
}

// ObjectKind is what a DROP, COMMENT, RENAME, OWNER or GRANT is about.
type ObjectKind uint8

// The kinds of objects.
const (
	ObjectTable ObjectKind = iota
	ObjectIndex
	ObjectView
	ObjectSequence
	ObjectSchema
	ObjectDatabase
	ObjectColumn
	ObjectConstraint
	ObjectRole
	ObjectType
	ObjectFunction
	ObjectMaterializedView
	ObjectExtension
	ObjectDomain
	ObjectOther
)

// Drop is DROP of anything that has names.
type Drop struct {
	Kind         ObjectKind
	Names        []TableName
	IfExists     bool
	Cascade      bool
	Concurrently bool
	// What names the kind where it is ObjectOther, as in "TRIGGER".
	What string
}

// Truncate is TRUNCATE.
type Truncate struct {
	Tables          []TableName
	RestartIdentity bool
	Cascade         bool
}

// AlterTable is ALTER TABLE, INDEX, VIEW or SEQUENCE with subcommands.
type AlterTable struct {
	Kind     ObjectKind
	Table    TableName
	IfExists bool
	Commands []AlterCommand
}

// AlterCommandKind is the kind of an AlterCommand.
type AlterCommandKind uint8

// The subcommands of ALTER TABLE.
const (
	AddColumn AlterCommandKind = iota
	DropColumn
	AlterColumnType
	SetColumnDefault
	DropColumnDefault
	SetNotNull
	DropNotNull
	AddConstraint
	DropConstraint
	ValidateConstraint
	ChangeOwner
	AddIdentity
	SetIdentity
	DropIdentity
	SetStatistics
	SetStorageOptions
	ResetStorageOptions
	OtherAlter // What names it
)

// AlterCommand is one subcommand of ALTER TABLE.
type AlterCommand struct {
	Position   Position
	Kind       AlterCommandKind
	Name       string // of the column or constraint
	Column     *ColumnDefinition
	Type       *TypeName
	Using      Expression
	Default    Expression
	Constraint *Constraint
	Owner      string
	IfExists   bool // also IF NOT EXISTS of ADD COLUMN
	Cascade    bool
	Options    []Option
	Sequence   []SequenceOption
	What       string
}

// Rename is ALTER … RENAME.
type Rename struct {
	Kind     ObjectKind
	Table    TableName // the relation, or what has only a name
	Name     string    // of the column or constraint
	NewName  string
	IfExists bool
	// RelationKind is the kind of Table for ObjectColumn and ObjectConstraint.
	RelationKind ObjectKind
}

// SetSchema is ALTER … SET SCHEMA.
type SetSchema struct {
	Kind     ObjectKind
	Table    TableName
	Schema   string
	IfExists bool
}

// ChangeOwnerOf is ALTER … OWNER TO for what isn't a relation.
type ChangeOwnerOf struct {
	Kind  ObjectKind
	Name  TableName
	Owner string
}

// Comment is COMMENT ON.
type Comment struct {
	Kind  ObjectKind
	Table TableName
	Name  string // of the column or constraint
	// Text is the comment; Null removes it.
	Text string
	Null bool
}

// CreateRole is CREATE ROLE, USER or GROUP.
type CreateRole struct {
	Name    string
	User    bool
	Options []Option
}

// AlterRole is ALTER ROLE … with options, or SET.
type AlterRole struct {
	Name    string
	Options []Option
	Set     *Set
}

// DropRole is DROP ROLE.
type DropRole struct {
	Names    []string
	IfExists bool
}

// Grant is GRANT or REVOKE of privileges on objects.
type Grant struct {
	Revoke      bool
	Privileges  []string // none: ALL
	Columns     bool     // some privileges are on columns
	Kind        ObjectKind
	Names       []TableName
	AllInSchema bool
	Roles       []string
	GrantOption bool
	Cascade     bool
}

// GrantRole is GRANT role TO role.
type GrantRole struct {
	Revoke  bool
	Granted []string
	Roles   []string
	Admin   bool
}

// SplitAt is ALTER TABLE|INDEX … SPLIT AT VALUES, an extension.
type SplitAt struct {
	Index bool
	Table TableName
	Rows  [][]Expression
}

// AlterDatabase is ALTER DATABASE name SET and other options.
type AlterDatabase struct {
	Name    string
	Options []Option
	Set     *Set
}

func (*CreateTable) statement()    {}
func (*CreateIndex) statement()    {}
func (*CreateSchema) statement()   {}
func (*CreateDatabase) statement() {}
func (*DropDatabase) statement()   {}
func (*CreateView) statement()     {}
func (*CreateSequence) statement() {}
func (*AlterSequence) statement()  {}
func (*Drop) statement()           {}
func (*Truncate) statement()       {}
func (*AlterTable) statement()     {}
func (*Rename) statement()         {}
func (*SetSchema) statement()      {}
func (*ChangeOwnerOf) statement()  {}
func (*Comment) statement()        {}
func (*CreateRole) statement()     {}
func (*AlterRole) statement()      {}
func (*DropRole) statement()       {}
func (*Grant) statement()          {}
func (*GrantRole) statement()      {}
func (*SplitAt) statement()        {}
func (*AlterDatabase) statement()  {}
