package types

import (
	"context"
	"net/netip"
)

// SessionFunctions is what only the running session knows, as functions and
// the reg* types need it: sequences, settings, names of objects, their
// definitions and comments. The session implements it (through the catalog);
// Context.Session holds it. It belongs to one session and is not safe for
// concurrent use. Errors are *pgerror.Error in PostgreSQL's words.
type SessionFunctions interface {
	SequenceFunctions
	SettingFunctions
	ConnectionFunctions
	ObjectFunctions
}

// SequenceFunctions are nextval and its like. The OID is the sequence's, as a
// regclass holds it; what is not a sequence is 42809.
type SequenceFunctions interface {
	// NextValue advances the sequence and returns its new value; 2200H at its end.
	NextValue(ctx context.Context, sequence OID) (int64, error)
	// CurrentValue is what NextValue returned last in this session for the
	// sequence; 55000 "currval of sequence … is not yet defined in this session".
	CurrentValue(ctx context.Context, sequence OID) (int64, error)
	// SetValue sets the sequence's value; called tells that the next value comes
	// after it. 22003 where the value is out of the sequence's bounds.
	SetValue(ctx context.Context, sequence OID, value int64, called bool) error
	// LastValue is what NextValue returned last in this session, of whichever
	// sequence; 55000 "lastval is not yet defined in this session".
	LastValue(ctx context.Context) (int64, error)
	// SequenceParameters are the sequence's options and data type, for
	// pg_sequence_parameters; LastSequenceValue is its value as pg_sequences
	// shows it: false where it has not been called yet.
	SequenceParameters(ctx context.Context, sequence OID) (SequenceParameters, error)
	LastSequenceValue(ctx context.Context, sequence OID) (int64, bool, error)
}

// SequenceParameters are the options of a sequence.
type SequenceParameters struct {
	Start, Minimum, Maximum, Increment, Cache int64
	Cycle                                     bool
	Type                                      OID
}

// SettingFunctions are the session's settings (SHOW, SET).
type SettingFunctions interface {
	// Setting returns a setting's value as SHOW prints it; false if there is none
	// of that name. Names are not case-sensitive.
	Setting(ctx context.Context, name string) (string, bool)
	// SetSetting sets it, until the transaction's end if local, and returns the
	// value as SHOW prints it.
	SetSetting(ctx context.Context, name, value string, local bool) (string, error)
}

// ConnectionFunctions tell about the session, its server and its transaction.
type ConnectionFunctions interface {
	CurrentUser() string
	SessionUser() string
	CurrentDatabase() string
	// SearchPath are the existing schemas of the search path in order, without
	// those that are searched though it doesn't name them; with implicit those
	// too (pg_catalog). current_schema() is the first without implicit.
	SearchPath(ctx context.Context, implicit bool) ([]string, error)
	// BackendPID is the process id of the session in its BackendKeyData.
	BackendPID() int32
	// Version is version(): "PostgreSQL 15.x (Cairn …) on …".
	Version() string
	// ServerStartTime and SettingsLoadTime are timestamptz values.
	ServerStartTime() int64
	SettingsLoadTime() int64
	// ClientAddress and ServerAddress are the ends of the connection, the zero
	// value for one that has none.
	ClientAddress() netip.AddrPort
	ServerAddress() netip.AddrPort
	// CurrentQuery is the text that the client sent.
	CurrentQuery() string
	// TransactionID is a number that names the transaction, for txid_current;
	// false from TransactionIDIfAssigned where none has been given out yet.
	TransactionID(ctx context.Context) (uint64, error)
	TransactionIDIfAssigned(ctx context.Context) (uint64, bool, error)
	// CancelBackend cancels the running statement of the session with the process
	// id, TerminateBackend ends the session; false if there is none (the caller
	// warns).
	CancelBackend(ctx context.Context, pid int32) (bool, error)
	TerminateBackend(ctx context.Context, pid int32) (bool, error)
	// Notice sends a message to the client beside the result, severity "NOTICE"
	// or "WARNING".
	Notice(severity, code, message string)
}

// ObjectFunctions know the catalog's objects by name and OID.
type ObjectFunctions interface {
	// ObjectByName finds an object of the reg* type (Regclass, Regnamespace,
	// Regrole; types and functions are resolved without a session) by its name,
	// as its input function reads it: possibly qualified and quoted, or a number.
	// Not found: false, and no error; a malformed name is 42602, an unknown
	// schema is "not found".
	ObjectByName(ctx context.Context, reg *T, name string) (OID, bool, error)
	// ObjectName is the object's name as the reg* type prints it: qualified where
	// the search path doesn't lead to it, quoted where needed. False: no such
	// object.
	ObjectName(ctx context.Context, reg *T, object OID) (string, bool, error)
	// ObjectVisible is pg_table_is_visible and its like: can the object be named
	// without its schema? catalog is the system catalog that holds the object
	// ("pg_class", "pg_type", "pg_proc", "pg_operator", …). False in the second
	// result: no such object (the function then is NULL).
	ObjectVisible(ctx context.Context, catalog string, object OID) (visible, exists bool, err error)
	// Comment is obj_description: catalog names the system catalog that holds the
	// object; column is the number of a table's column or 0. False: no comment.
	Comment(ctx context.Context, catalog string, object OID, column int32) (string, bool, error)
	// HasPrivilege answers has_*_privilege. False in the second result: no such
	// object (NULL).
	HasPrivilege(ctx context.Context, check PrivilegeCheck) (has, exists bool, err error)
	// RoleName and RoleByName translate roles; membership is asked with HasPrivilege.
	RoleName(ctx context.Context, role OID) (string, bool, error)
	RoleByName(ctx context.Context, name string) (OID, bool, error)
	// DatabaseName translates a database's OID; DatabaseByName its name.
	DatabaseName(ctx context.Context, database OID) (string, bool, error)
	DatabaseByName(ctx context.Context, name string) (OID, bool, error)
	// Definition is the text of pg_get_indexdef, pg_get_viewdef,
	// pg_get_constraintdef and their like. False: no such object (NULL).
	Definition(ctx context.Context, request DefinitionRequest) (string, bool, error)
	// Expression is pg_get_expr: stored is the text of a pg_node_tree column
	// (pg_attrdef.adbin, pg_index.indpred …), as the system catalogs of this
	// database yield it; relation is the table it belongs to, or 0.
	Expression(ctx context.Context, stored string, relation OID, pretty bool) (string, bool, error)
	// SerialSequence is pg_get_serial_sequence: the qualified name of the sequence
	// that a column of a table owns. An unknown table or column is an error, a
	// column without a sequence false.
	SerialSequence(ctx context.Context, table, column string) (string, bool, error)
	// RelationSize is the size in bytes of a relation's data (Main), of its indexes,
	// or of both; false: no such relation.
	RelationSize(ctx context.Context, relation OID, part SizePart) (int64, bool, error)
	// DatabaseSize is that of all relations of a database.
	DatabaseSize(ctx context.Context, database OID) (int64, bool, error)
}

// PrivilegeCheck asks whether a role has one of some privileges on an object.
type PrivilegeCheck struct {
	// Role is the role asked about; 0 is PUBLIC.
	Role OID
	// Catalog holds the object: "pg_class" (tables, views, sequences),
	// "pg_database", "pg_namespace", "pg_proc", "pg_type", "pg_language",
	// "pg_authid" (membership: MEMBER, USAGE), ….
	Catalog string
	Object  OID
	// Column is a number of a column, 0 for the whole object, AnyColumn for
	// has_any_column_privilege.
	// ColumnName names it instead; a column that doesn't exist is 42703.
	Column     int32
	ColumnName string
	// Privileges are in upper case ("SELECT"); one of them suffices.
	// WithGrant[i] asks for the right to grant Privileges[i] too.
	Privileges []string
	WithGrant  []bool
}

// AnyColumn is PrivilegeCheck.Column for any column or the whole table.
const AnyColumn int32 = -1

// DefinitionRequest names the definition that is wanted.
type DefinitionRequest struct {
	Kind   DefinitionKind
	Object OID
	// Column is of IndexDefinition: the number of an index column from 1; 0: all
	// of CREATE INDEX.
	Column int32
	Pretty bool
	// Wrap is the column at which a view's pretty definition wraps; -1: default.
	Wrap int32
}

// DefinitionKind says what is defined.
type DefinitionKind uint8

// The kinds: pg_get_indexdef, pg_get_viewdef, pg_get_constraintdef,
// pg_get_ruledef, pg_get_triggerdef, pg_get_functiondef, pg_get_partkeydef,
// pg_get_partition_constraintdef, pg_get_statisticsobjdef,
// pg_get_statisticsobjdef_columns.
const (
	IndexDefinition DefinitionKind = iota
	ViewDefinition
	ConstraintDefinition
	RuleDefinition
	TriggerDefinition
	FunctionDefinition
	PartitionKeyDefinition
	PartitionConstraintDefinition
	StatisticsDefinition
	StatisticsColumnsDefinition
)

// SizePart says which part of a relation is measured.
type SizePart uint8

// The parts of a relation.
const (
	MainSize SizePart = iota
	IndexesSize
	TotalSize
)
