// Package parser holds Cairn's neutral syntax tree, which its front ends
// produce (parser/postgres) and binding (sql/opt), DDL (sql/catalog) and the
// session (sql) consume. Nodes are immutable once made: plans and statements
// are cached and shared between sessions.
//
// Where two dialects mean different things by the same text, their front ends
// use different nodes; nothing in the tree depends on a dialect.
package parser

import "unicode/utf8"

// Statement is one parsed statement with its place in the text it came from.
type Statement struct {
	AST Node
	// Text is the statement's own text, without the semicolon.
	Text string
	// Offset is where Text begins in the whole text, in bytes.
	Offset int
	// Parameters is the highest $n.
	Parameters int
}

// Character turns a byte offset of the whole text into the position that error
// responses carry: in characters, from 1. Zero for NoPosition.
func Character(text string, p Position) int32 {
	if p < 0 || int(p) > len(text) {
		return 0
	}
	return int32(utf8.RuneCountInString(text[:p])) + 1
}

// Node is a statement's tree.
type Node interface{ statement() }

// Query is what yields rows: *Select, *SetOperation, *Values; or with RETURNING
// *Insert, *Update and *Delete, within WITH.
type Query interface {
	Node
	query()
}

// TableName is a relation's name as written.
type TableName struct {
	Position Position
	Database string
	Schema   string
	Name     string
	Only     bool // ONLY name
}

// Alias is a table's alias with those of its columns.
type Alias struct {
	Name    string
	Columns []string
}

// With is a WITH clause.
type With struct {
	Position  Position
	Recursive bool
	Tables    []*CommonTable
}

// CommonTable is one table of a WITH clause.
type CommonTable struct {
	Position     Position
	Name         string
	Columns      []string
	Query        Node         // a Query, or *Insert, *Update, *Delete
	Materialized Materialized // as asked for
}

// Materialized is [NOT] MATERIALIZED.
type Materialized uint8

// What was asked for.
const (
	MaterializeDefault Materialized = iota
	MaterializeAlways
	MaterializeNever
)

// Select is one SELECT without set operations.
type Select struct {
	Position   Position
	With       *With
	Distinct   bool
	DistinctOn []Expression
	Targets    []Target
	From       []TableExpression
	Where      Expression
	GroupBy    []Expression
	// GroupByDistinct is GROUP BY DISTINCT.
	GroupByDistinct bool
	Having          Expression
	Windows         []*Window
	Tail
}

// Tail is what may follow any query.
type Tail struct {
	OrderBy  []OrderItem
	Limit    Expression
	Offset   Expression
	WithTies bool
	Locks    []Lock
}

// SetOperation is Left UNION|INTERSECT|EXCEPT [ALL] Right.
type SetOperation struct {
	Position    Position
	With        *With
	Operator    SetOperator
	All         bool
	Left, Right Query
	Tail
}

// SetOperator is the operator of a SetOperation.
type SetOperator uint8

// The set operators.
const (
	Union SetOperator = iota
	Intersect
	Except
)

// Values is VALUES (…), (…).
type Values struct {
	Position Position
	With     *With
	Rows     [][]Expression
	Tail
}

// Target is an item of a select list or RETURNING list.
type Target struct {
	Position   Position
	Expression Expression
	Alias      string // "" if none is written
}

// OrderItem is an item of ORDER BY.
type OrderItem struct {
	Expression Expression
	Descending bool
	// NullsFirst is as written, or PostgreSQL's default for the direction.
	NullsFirst bool
	Using      string // ORDER BY x USING op
	// UsingPosition is where op stands.
	UsingPosition Position
}

// Lock is FOR UPDATE|NO KEY UPDATE|SHARE|KEY SHARE [OF …] [NOWAIT|SKIP LOCKED].
type Lock struct {
	Strength LockStrength
	Of       []*TableName
	Wait     LockWait
}

// LockStrength is a Lock's strength.
type LockStrength uint8

// The strengths, rising.
const (
	ForKeyShare LockStrength = iota
	ForShare
	ForNoKeyUpdate
	ForUpdate
)

// LockWait is what to do about a locked row.
type LockWait uint8

// The policies.
const (
	LockBlock LockWait = iota
	LockNoWait
	LockSkip
)

// TableExpression is an item of FROM.
type TableExpression interface{ tableExpression() }

// TableReference is a relation in FROM.
type TableReference struct {
	TableName
	Alias *Alias
	// Sample is TABLESAMPLE, nil if none.
	Sample *TableSample
}

// TableSample is TABLESAMPLE Method (Arguments) [REPEATABLE (Seed)].
type TableSample struct {
	Method    []string
	Arguments []Expression
	Seed      Expression
}

// SubqueryReference is (query) AS alias in FROM.
type SubqueryReference struct {
	Query   Query
	Alias   *Alias
	Lateral bool
}

// FunctionReference is a function in FROM, or several in ROWS FROM.
type FunctionReference struct {
	Position   Position
	Functions  []FunctionItem
	RowsFrom   bool
	Ordinality bool
	Alias      *Alias
	Lateral    bool
	// Columns is the column definition list of a function that returns record.
	Columns []ColumnDefinitionItem
}

// FunctionItem is one function of a FunctionReference.
type FunctionItem struct {
	Call    Expression
	Columns []ColumnDefinitionItem
}

// ColumnDefinitionItem is name type.
type ColumnDefinitionItem struct {
	Name string
	Type *TypeName
}

// Join is a JOIN.
type Join struct {
	Position    Position
	Kind        JoinKind
	Natural     bool
	Left, Right TableExpression
	Using       []string
	UsingAlias  string
	On          Expression // nil for CROSS JOIN
	Alias       *Alias
}

// JoinKind is the kind of a Join.
type JoinKind uint8

// The kinds of joins. A CROSS JOIN is an InnerJoin without On.
const (
	InnerJoin JoinKind = iota
	LeftJoin
	RightJoin
	FullJoin
)

// Insert is INSERT.
type Insert struct {
	With       *With
	Table      TableName
	Alias      string
	Columns    []InsertColumn
	Source     Query // nil: DEFAULT VALUES
	Overriding Overriding
	OnConflict *OnConflict
	Returning  []Target
}

// InsertColumn is a target column.
type InsertColumn struct {
	Position Position
	Name     string
	Steps    []IndirectionStep
}

// Overriding is OVERRIDING SYSTEM|USER VALUE.
type Overriding uint8

// What is overridden.
const (
	OverridingNone Overriding = iota
	OverridingUser
	OverridingSystem
)

// OnConflict is ON CONFLICT.
type OnConflict struct {
	Position Position
	// Either Elements or Constraint name the arbiter, or neither does.
	Elements   []IndexElement
	Predicate  Expression // WHERE of a partial index
	Constraint string
	Update     bool // DO UPDATE; else DO NOTHING
	Set        []Assignment
	Where      Expression
}

// Assignment is column = value, or (columns) = row.
type Assignment struct {
	Position Position
	Columns  []InsertColumn
	// Value of a single column; of several a *Row, *Subquery or other row value.
	Value Expression
	// Multiple: written as (…) = ….
	Multiple bool
}

// Update is UPDATE.
type Update struct {
	With      *With
	Table     TableName
	Alias     *Alias
	Set       []Assignment
	From      []TableExpression
	Where     Expression
	Cursor    string // WHERE CURRENT OF
	Returning []Target
}

// Delete is DELETE.
type Delete struct {
	With      *With
	Table     TableName
	Alias     *Alias
	Using     []TableExpression
	Where     Expression
	Cursor    string
	Returning []Target
}

// Explain is EXPLAIN.
type Explain struct {
	Statement Node
	Options   []Option
}

// Option is a name with a value, as in WITH (…) and EXPLAIN (…).
type Option struct {
	Position  Position
	Namespace string
	Name      string
	// Value is as written: a string, number or name; "" where there is none.
	Value    string
	HasValue bool
	// List is set where the value is a list of names or values.
	List []string
	// Star: the value is *.
	Star bool
}

// TransactionKind is what a Transaction statement does.
type TransactionKind uint8

// The transaction statements.
const (
	Begin TransactionKind = iota
	Commit
	Rollback
	Savepoint
	Release
	RollbackTo
	PrepareTransaction
	CommitPrepared
	RollbackPrepared
)

// Transaction is BEGIN, COMMIT, ROLLBACK, SAVEPOINT …
type Transaction struct {
	Kind  TransactionKind
	Name  string // of a savepoint
	Modes TransactionModes
	Start bool // written START TRANSACTION
	Chain bool
}

// TransactionModes are the modes of BEGIN and SET TRANSACTION, as written.
type TransactionModes struct {
	Isolation  string // "serializable", …; "" if not given
	ReadOnly   *bool
	Deferrable *bool
	AsOf       Expression // AS OF SYSTEM TIME, an extension
}

// Set is SET and RESET.
type Set struct {
	Name string // in lower case; "" with All
	// Values are as written; none with ToDefault.
	Values    []Expression
	ToDefault bool
	Local     bool
	Reset     bool // RESET name; with All RESET ALL
	All       bool
	// Modes is set for SET TRANSACTION and SET SESSION CHARACTERISTICS.
	Modes   *TransactionModes
	Session bool // SESSION CHARACTERISTICS
}

// Show is SHOW.
type Show struct{ Name string }

// Prepare is PREPARE.
type Prepare struct {
	Name  string
	Types []*TypeName
	Query Node
}

// Execute is EXECUTE.
type Execute struct {
	Name      string
	Arguments []Expression
}

// Deallocate is DEALLOCATE; Name is "" for ALL.
type Deallocate struct{ Name string }

// Discard is DISCARD.
type Discard struct{ Target string } // all, plans, sequences, temporary

// DeclareCursor is DECLARE CURSOR.
type DeclareCursor struct {
	Name                    string
	Binary, Hold            bool
	Scroll, NoScroll        bool
	Insensitive, Asensitive bool
	Query                   Query
}

// Fetch is FETCH or MOVE.
type Fetch struct {
	Cursor    string
	Move      bool
	Direction FetchDirection
	Count     int64 // math.MaxInt64 for ALL
}

// FetchDirection is a Fetch's direction.
type FetchDirection uint8

// The directions.
const (
	FetchForward FetchDirection = iota
	FetchBackward
	FetchAbsolute
	FetchRelative
)

// CloseCursor is CLOSE; Name is "" for ALL.
type CloseCursor struct{ Name string }

// Copy is COPY.
type Copy struct {
	Table   *TableName // or Query
	Columns []string
	Query   Node
	From    bool
	File    string // a file or program on the server; "" for STDIN and STDOUT
	Program bool
	Options []Option
	Where   Expression
}

// Vacuum is VACUUM or ANALYZE.
type Vacuum struct {
	Analyze bool // ANALYZE rather than VACUUM
	Options []Option
	Tables  []VacuumTable
}

// VacuumTable is a table of a Vacuum.
type VacuumTable struct {
	Table   TableName
	Columns []string
}

// Maintenance is a statement of maintenance that needs nothing done here:
// CHECKPOINT, CLUSTER, REINDEX, LOAD …; Tag is its command tag.
type Maintenance struct {
	Tag    string
	Tables []TableName
}

// Listen is LISTEN, NOTIFY and UNLISTEN.
type Listen struct {
	Kind    string // listen, notify, unlisten
	Channel string // "" for all
	Payload string
}

// LockTable is LOCK TABLE.
type LockTable struct {
	Tables []TableName
	Mode   int
	NoWait bool
}

// Do is an anonymous code block.
type Do struct{ Language, Body string }

// CallProcedure is CALL.
type CallProcedure struct{ Call *Call }

// SetConstraints is SET CONSTRAINTS.
type SetConstraints struct {
	Names    []TableName // none: ALL
	Deferred bool
}

func (*Select) statement()         {}
func (*SetOperation) statement()   {}
func (*Values) statement()         {}
func (*Insert) statement()         {}
func (*Update) statement()         {}
func (*Delete) statement()         {}
func (*Explain) statement()        {}
func (*Transaction) statement()    {}
func (*Set) statement()            {}
func (*Show) statement()           {}
func (*Prepare) statement()        {}
func (*Execute) statement()        {}
func (*Deallocate) statement()     {}
func (*Discard) statement()        {}
func (*DeclareCursor) statement()  {}
func (*Fetch) statement()          {}
func (*CloseCursor) statement()    {}
func (*Copy) statement()           {}
func (*Vacuum) statement()         {}
func (*Maintenance) statement()    {}
func (*Listen) statement()         {}
func (*LockTable) statement()      {}
func (*Do) statement()             {}
func (*CallProcedure) statement()  {}
func (*SetConstraints) statement() {}

func (*Select) query()       {}
func (*SetOperation) query() {}
func (*Values) query()       {}

func (*TableReference) tableExpression()    {}
func (*SubqueryReference) tableExpression() {}
func (*FunctionReference) tableExpression() {}
func (*Join) tableExpression()              {}
