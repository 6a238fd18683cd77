// Package opt turns syntax trees into plans: it resolves names and types
// (binding), rewrites what it bound (normalization, decorrelation), and chooses
// indexes, join orders and methods by cost.
//
//	parser.Node → bind → Node (logical) → normalize → plan → Plan → sql/exec
//
// Plans are immutable once made, and may be cached and run by several sessions
// at once. Columns have ids that are unique in a plan: expressions refer to
// ids, and whoever runs a node finds out where in its input's batch an id is.
package opt

import (
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// Plan is a statement that is ready to run.
type Plan struct {
	Root Node
	// Columns are what the client gets, in order; none for statements that
	// return no rows.
	Columns []ResultColumn
	// Parameters are the types of $1, $2, ….
	Parameters []*types.T
	// Names and types of the plan's columns, by ColumnID - 1.
	Metadata []ColumnMetadata
	Tag      Tag
	// ReadOnly: it writes nothing and takes no locks.
	ReadOnly bool
	// Epoch is the catalog's at planning; 0: not to be cached.
	Epoch uint64
	// Volatile parts that must not be evaluated at planning are left in; what
	// depends on settings (time zone, search path) was resolved at planning:
	// Settings names them, so that a cached plan is dropped when they change.
	Settings []string
}

// Tag is the kind of a command tag.
type Tag uint8

// The tags of planned statements.
const (
	TagSelect Tag = iota
	TagInsert
	TagUpdate
	TagDelete
)

// ResultColumn is a column of a statement's result.
type ResultColumn struct {
	ID   ColumnID
	Name string
	Type *types.T
	// Table and Attribute are the column of a table it comes from unchanged, else 0.
	Table     catalog.ID
	Attribute catalog.ColumnID
}

// ColumnMetadata describes a column of a plan, for EXPLAIN and RowDescription.
type ColumnMetadata struct {
	Name      string
	Type      *types.T
	Table     catalog.ID
	Attribute catalog.ColumnID
}

// Node is an operator of a plan. The concrete types are the pointers of this
// file.
type Node interface {
	// Output are the ids of the columns that the node yields, in the order in
	// which they stand in its batches.
	Output() []ColumnID
	// Inputs are the nodes below.
	Inputs() []Node
	// Estimated returns what the planner expects of it.
	Estimated() *Estimate
}

// Estimate is what the planner expects of a node.
type Estimate struct {
	Rows float64
	Cost float64
}

// Estimated returns e itself: it makes every type that embeds Estimate answer.
func (e *Estimate) Estimated() *Estimate { return e }

// TableColumn is a table's column as a plan's column.
type TableColumn struct {
	ID     ColumnID
	Column catalog.ColumnID
}

// Scan reads an index of a base table in the order of its keys.
type Scan struct {
	Estimate
	Table *catalog.Table
	// Index has all Columns, see rowenc.Layout.Contains.
	Index   *catalog.Index
	Columns []TableColumn
	// Spans are what is read, in rising order and disjoint as far as the planner
	// knows (their values may be parameters: the executor sorts and merges them
	// after evaluation); nil: all of the index.
	Spans []Span
	// Filter holds further conditions over Columns, to be evaluated on each row.
	Filter  []Scalar
	Reverse bool
	// Limit stops the scan after so many rows that passed Filter; 0: none.
	Limit int64
	// Expected is how many rows the consumer probably wants; 0: all. It sizes
	// the first fetch.
	Expected int64
	Lock     Locking
}

// Locking says how rows that are read get locked.
type Locking struct {
	Strength kvpb.LockStrength // LockNone: not
	Wait     kvpb.WaitPolicy
}

// Span restricts an index's key columns: the first len(Equal) have these
// values, the next one lies between Low and High. The scalars are constants,
// parameters, or refer to outer columns; they have the key columns' types. A
// value that is NULL matches nothing, unless NullEqual. NULLs of the range
// column are not within a span that has a Low or a High, except as stated.
type Span struct {
	Equal []Scalar
	// NullEqual[i] says that Equal[i] is IS NULL (Equal[i] is then a NULL
	// constant). Nil: none is.
	NullEqual []bool
	Low, High *Bound
}

// Bound is one end of a Span's range.
type Bound struct {
	Value     Scalar
	Inclusive bool
}

// IndexJoin fetches the rows that entries of a secondary index point to, in the
// order of Input.
type IndexJoin struct {
	Estimate
	Input Node
	Table *catalog.Table
	// PrimaryKey are Input's columns with the primary key, in its order.
	PrimaryKey []ColumnID
	// Columns are read from the row; they may include columns of Input, which
	// then have ids of their own. Output is Columns then Keep.
	Columns []TableColumn
	Keep    []ColumnID // columns of Input that are passed on
	Filter  []Scalar
	Lock    Locking
}

// LookupJoin looks up, for each row of Input, entries of an index. Rows come in
// the order of Input: sorts above may have been left out for that.
type LookupJoin struct {
	Estimate
	Kind  JoinKind // Inner, Left, Semi, Anti
	Input Node
	Table *catalog.Table
	Index *catalog.Index
	// Columns are read from Index (which has them); IndexJoin above fetches more.
	Columns []TableColumn
	// Equal are the values of the first key columns, over Input's columns, with
	// the key columns' types.
	Equal []Scalar
	// Unique: at most one entry matches.
	Unique bool
	// On holds further conditions over both sides.
	On   []Scalar
	Lock Locking
}

// VirtualScan reads a virtual table.
type VirtualScan struct {
	Estimate
	Table   *catalog.Table
	Columns []TableColumn
	// Constraints are equalities on lookup columns: any of Values.
	Constraints []VirtualConstraint
	Filter      []Scalar
}

// VirtualConstraint restricts a column of a virtual table to some values.
type VirtualConstraint struct {
	Column catalog.ColumnID
	Values []Scalar
}

// Values yields rows of expressions. Without columns it yields empty rows: one
// empty row is the input of SELECT without FROM.
type Values struct {
	Estimate
	Columns []ColumnID
	Rows    [][]Scalar
}

// Input yields rows that the caller feeds (COPY … FROM).
type Input struct {
	Estimate
	Columns []ColumnID
	Types   []*types.T
}

// Filter keeps the rows for which all Conditions are true.
type Filter struct {
	Estimate
	Input      Node
	Conditions []Scalar
}

// Project passes Keep on and adds Items. Output is Keep, then the Items.
type Project struct {
	Estimate
	Input Node
	Keep  []ColumnID
	Items []Item
}

// Item is a computed column.
type Item struct {
	ID    ColumnID
	Value Scalar
}

// JoinKind is the kind of a join.
type JoinKind uint8

// The kinds. Semi keeps the left rows that have a match, Anti those that have none.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Semi
	Anti
)

// JoinMethod is how a Join is carried out.
type JoinMethod uint8

// The methods. Hash builds a table of the right side. Merge needs both sides
// sorted by the equal columns. NestedLoop compares all pairs; with
// Join.Lateral it runs the right side once for each left row.
const (
	Hash JoinMethod = iota
	Merge
	NestedLoop
)

// Join combines two inputs. Output is the left side's, then (unless Semi or
// Anti) the right side's.
type Join struct {
	Estimate
	Kind        JoinKind
	Method      JoinMethod
	Left, Right Node
	// EqualLeft and EqualRight are pairwise equal columns of the same type (Hash
	// and Merge). NullEqual: NULLs match each other there (IS NOT DISTINCT FROM).
	EqualLeft, EqualRight []ColumnID
	NullEqual             bool
	// NullAware makes an Anti join that of NOT IN: a NULL on either side of the
	// one equal column makes the comparison unknown, and the row is dropped
	// (unless the right side is empty).
	NullAware bool
	// On holds further conditions over both sides.
	On []Scalar
	// Lateral: the right side refers to columns of the left side.
	Lateral bool
}

// Aggregate groups its input. Output is GroupBy, then the aggregates. Without
// GroupBy and grouping sets it yields one row, also for no input.
type Aggregate struct {
	Estimate
	Input   Node
	GroupBy []ColumnID
	// GroupingSets, if there are any, are subsets of GroupBy: the input is
	// grouped by each, with NULL for the other columns. GroupingID, if set, is
	// an output column with the number of the set.
	GroupingSets [][]ColumnID
	GroupingID   ColumnID
	Aggregates   []AggregateItem
	// Ordered: the input is sorted by GroupBy (or equal groups stand together).
	Ordered bool
}

// AggregateItem is one aggregate.
type AggregateItem struct {
	ID        ColumnID
	Function  *types.Bound
	Arguments []ColumnID
	Distinct  bool
	OrderBy   []OrderKey
	Filter    ColumnID // a boolean column; 0: none
	// Direct arguments of ordered-set aggregates are evaluated once a group.
	Direct []Scalar
}

// OrderKey is a column to sort by.
type OrderKey struct {
	ID         ColumnID
	Descending bool
	NullsFirst bool
}

// DistinctRows keeps one row of those that are equal in On; with Ordered input
// the first of each run (DISTINCT ON with ORDER BY).
type DistinctRows struct {
	Estimate
	Input   Node
	On      []ColumnID
	Ordered bool
}

// Sort sorts; with Limit it keeps the first Limit rows only.
type Sort struct {
	Estimate
	Input Node
	Keys  []OrderKey
	// Presorted: the input is sorted by the first so many keys already.
	Presorted int
	Limit     int64
}

// Limit passes Count rows on after skipping Offset; nil is none. Both are
// int8 over no columns. WithTies also passes the peers of the last row by Keys.
type Limit struct {
	Estimate
	Input         Node
	Count, Offset Scalar
	WithTies      bool
	Keys          []OrderKey
}

// SetOperator is the operator of a SetOperation.
type SetOperator uint8

// The set operators.
const (
	Union SetOperator = iota
	Intersect
	Except
)

// SetOperation combines two inputs by whole rows. Columns[i] is made of
// LeftColumns[i] and RightColumns[i], which have its type.
type SetOperation struct {
	Estimate
	Operator                  SetOperator
	All                       bool
	Left, Right               Node
	Columns                   []ColumnID
	LeftColumns, RightColumns []ColumnID
}

// Window computes window functions of one window over Input. Output is
// Input's, then the functions.
type Window struct {
	Estimate
	Input       Node
	PartitionBy []ColumnID
	OrderBy     []OrderKey
	Functions   []WindowItem
}

// WindowItem is one window function.
type WindowItem struct {
	ID        ColumnID
	Function  *types.Bound
	Arguments []ColumnID
	Filter    ColumnID
	Frame     Frame
}

// Frame is a window frame; offsets are scalars without columns.
type Frame struct {
	Mode       FrameMode
	Start, End FrameBound
	Exclude    FrameExclusion
}

// FrameMode is RANGE, ROWS or GROUPS.
type FrameMode uint8

// The frame modes.
const (
	RangeFrame FrameMode = iota
	RowsFrame
	GroupsFrame
)

// FrameExclusion is the EXCLUDE clause.
type FrameExclusion uint8

// The exclusions.
const (
	ExcludeNone FrameExclusion = iota
	ExcludeCurrentRow
	ExcludeGroup
	ExcludeTies
)

// FrameBound is one end of a frame.
type FrameBound struct {
	Kind   BoundKind
	Offset Scalar
}

// BoundKind is the kind of a FrameBound.
type BoundKind uint8

// The kinds of frame bounds.
const (
	UnboundedPreceding BoundKind = iota
	Preceding
	CurrentRow
	Following
	UnboundedFollowing
)

// ProjectSet evaluates set-returning functions of a select list in lockstep:
// each row of Input comes once for each row of the longest set, shorter ones
// are filled up with NULL. Output is Input's, then the sets' columns.
type ProjectSet struct {
	Estimate
	Input Node
	Sets  []SetItem
}

// SetItem is a call of a set-returning function. Several Columns take the
// fields of a row type. Arguments are over the input's (or outer) columns.
type SetItem struct {
	Function  *types.Bound
	Arguments []Scalar
	Columns   []ColumnID
	// Scalar: the function returns one value, not a set; in FROM that is one row.
	Scalar Scalar
}

// FunctionScan is functions in FROM, in lockstep; Ordinality numbers the rows
// in a column of its own (0: none).
type FunctionScan struct {
	Estimate
	Sets       []SetItem
	Ordinality ColumnID
}

// CommonTable is a query that is computed once and read by CommonScans.
type CommonTable struct {
	Name    string
	Query   Node
	Columns []ColumnID
	// While the plan is made: inline puts the query where it is read, unused
	// leaves it out.
	inline, unused bool
}

// With computes common tables for Input: those with data-modifying statements
// completely, others as far as they are read.
type With struct {
	Estimate
	Tables []*CommonTable
	Input  Node
}

// CommonScan reads a CommonTable under ids of its own.
type CommonScan struct {
	Estimate
	Table   *CommonTable
	Columns []ColumnID // one for each of Table.Columns
}

// RecursiveUnion is WITH RECURSIVE: Initial's rows, then Step's over the rows
// that came new in the last round, which it reads by a WorkScan, until there
// are none.
type RecursiveUnion struct {
	Estimate
	Initial, Step               Node
	All                         bool
	Columns                     []ColumnID
	InitialColumns, StepColumns []ColumnID
	Work                        *WorkTable
}

// WorkTable is what a RecursiveUnion's last round found.
type WorkTable struct{ Name string }

// WorkScan reads a WorkTable.
type WorkScan struct {
	Estimate
	Work    *WorkTable
	Columns []ColumnID
}

// LockRows locks the base rows that Input's rows come from (FOR UPDATE above a
// join or sort): Keys are the primary key columns of Table.
type LockRows struct {
	Estimate
	Input  Node
	Tables []LockedTable
}

// LockedTable is a table whose rows LockRows locks.
type LockedTable struct {
	Table *catalog.Table
	Keys  []ColumnID
	Lock  Locking
}

// Check is a condition that new rows must meet: 23514 with the constraint's
// name where it is false. It is over the columns of the new row.
type Check struct {
	Name string
	Expr Scalar
}

// Insert adds Input's rows to a table. Its output is its input's; with
// OnConflict only the rows that were inserted or updated, with their final
// values in Row.
type Insert struct {
	Estimate
	Input Node
	Table *catalog.Table
	// Row has a column of Input for each stored column of the table
	// (Table.StoredColumns), defaults filled in and cast to the columns' types.
	Row        []TableColumn
	Checks     []Check
	OnConflict *OnConflict
}

// OnConflict is what happens to a row that meets an existing one.
type OnConflict struct {
	// Arbiters are the unique indexes in question; nil: all (DO NOTHING only).
	Arbiters []*catalog.Index
	// Update: DO UPDATE. Existing are the ids under which the expressions see
	// the existing row (all stored columns); the proposed row (excluded) they see
	// under the ids of Insert.Row.
	Update   bool
	Existing []TableColumn
	Set      []ColumnValue
	Where    Scalar // nil: always
}

// ColumnValue is a new value of a column.
type ColumnValue struct {
	Column catalog.ColumnID
	Value  Scalar
}

// Update replaces rows. Its output is its input's.
type Update struct {
	Estimate
	Input Node
	Table *catalog.Table
	// Old and New have a column of Input for each stored column; they have the
	// same id where nothing changes.
	Old, New []TableColumn
	Checks   []Check
	// Dedupe: a join may yield a row several times; only the first counts.
	Dedupe bool
}

// Delete removes rows. Its output is its input's.
type Delete struct {
	Estimate
	Input  Node
	Table  *catalog.Table
	Old    []TableColumn
	Dedupe bool
}
