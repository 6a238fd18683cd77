package parser

// Position is where a node stands in its statement's text: a byte offset from
// 0, or -1 where it has none. Errors carry it in characters from 1, see
// Statement.Character.
type Position int32

// NoPosition is the Position of a node that has none.
const NoPosition Position = -1

// Expression is a scalar expression. The concrete types are pointers; nodes
// are immutable.
type Expression interface {
	// At returns where the expression stands in the text.
	At() Position
	expression()
}

// TypeName is a type as written: names with their qualification, modifiers
// and array bounds.
type TypeName struct {
	Position   Position
	Names      []string // "pg_catalog", "int4"
	Modifiers  []Expression
	ArrayDepth int
	SetOf      bool
	// IntervalFields is the mask of INTERVAL YEAR TO MONTH and the like, as in
	// Modifiers' first element, when Names is interval.
	Percent bool // %TYPE
}

// Constant is a literal.
type Constant struct {
	Position Position
	Kind     ConstantKind
	// Text is the literal's value: digits of numbers, the bytes of a string
	// after unescaping, "true"/"false".
	Text string
	// Int is the value of an IntegerConstant.
	Int int32
}

// ConstantKind says what a literal is.
type ConstantKind uint8

// The kinds of literals. Integers that don't fit 32 bits are NumberConstant.
const (
	NullConstant ConstantKind = iota
	BoolConstant
	IntegerConstant
	NumberConstant
	StringConstant
	BitConstant // B'101' or X'1F': Text begins with b or x
)

// ColumnReference is a name: column, table.column, schema.table.column, with
// a star at the end where Star is set.
type ColumnReference struct {
	Position Position
	Names    []string
	Star     bool
}

// Parameter is $n, from 1.
type Parameter struct {
	Position Position
	Number   int
}

// Binary is Left Operator Right; for prefix operators Left is nil.
type Binary struct {
	Position Position // of the operator
	Schema   string   // of OPERATOR(schema.+), else empty
	Operator string
	Left     Expression
	Right    Expression
}

// Logical is an AND or OR of two or more, or a NOT of one.
type Logical struct {
	Position  Position
	Operator  LogicalOperator
	Arguments []Expression
}

// LogicalOperator is And, Or or Not.
type LogicalOperator uint8

// The logical operators.
const (
	And LogicalOperator = iota
	Or
	Not
)

// Test is a test with IS or a null-aware comparison.
type Test struct {
	Position Position
	Kind     TestKind
	Argument Expression
	Not      bool
}

// TestKind says what is tested.
type TestKind uint8

// The tests: IS [NOT] NULL, TRUE, FALSE, UNKNOWN.
const (
	IsNull TestKind = iota
	IsTrue
	IsFalse
	IsUnknown
)

// Distinct is Left IS [NOT] DISTINCT FROM Right.
type Distinct struct {
	Position    Position
	Left, Right Expression
	Not         bool
}

// NullIf is NULLIF(Left, Right).
type NullIf struct {
	Position    Position
	Left, Right Expression
}

// Between is Argument [NOT] BETWEEN [SYMMETRIC] Low AND High.
type Between struct {
	Position            Position
	Argument, Low, High Expression
	Not, Symmetric      bool
}

// Like is Left [NOT] LIKE, ILIKE or SIMILAR TO Right. An ESCAPE stands in
// Right as a function call, as in PostgreSQL's own tree.
type Like struct {
	Position    Position
	Kind        LikeKind
	Left, Right Expression
	Not         bool
}

// LikeKind is the kind of a Like.
type LikeKind uint8

// The kinds of pattern matching.
const (
	LikeMatch LikeKind = iota
	ILikeMatch
	SimilarMatch
)

// In is Left [NOT] IN (List…).
type In struct {
	Position Position
	Left     Expression
	List     []Expression
	Not      bool
}

// AnyAll is Left Operator ANY|ALL (Array).
type AnyAll struct {
	Position Position
	Operator string
	Left     Expression
	Array    Expression
	All      bool
}

// Subquery is a SELECT within an expression.
type Subquery struct {
	Position Position
	Kind     SubqueryKind
	// Left and Operator are of IN (operator "="), ANY and ALL.
	Left     Expression
	Operator string
	Query    Query
}

// SubqueryKind says what a subquery yields.
type SubqueryKind uint8

// The kinds of subqueries. x IN (SELECT …) is AnySubquery with "=".
const (
	ScalarSubquery SubqueryKind = iota
	ExistsSubquery
	AnySubquery
	AllSubquery
	ArraySubquery
)

// Call is a call of a function, an aggregate or a window function.
type Call struct {
	Position  Position
	Names     []string // with qualification
	Arguments []Expression
	// ArgumentNames are the names of named arguments, "" for positional ones;
	// nil if there are none.
	ArgumentNames []string
	Star          bool // count(*)
	Distinct      bool
	Variadic      bool
	OrderBy       []OrderItem
	WithinGroup   bool // OrderBy is of WITHIN GROUP
	Filter        Expression
	Over          *Window // nil: not a window function
	// SQLSyntax: written in SQL's special syntax, as EXTRACT(… FROM …).
	SQLSyntax bool
}

// Window is a window's definition, or a reference to one by name.
type Window struct {
	Position    Position
	Name        string // of a definition in WINDOW
	Reference   string // the window it refers to or extends
	PartitionBy []Expression
	OrderBy     []OrderItem
	Frame       *Frame // nil: the default
}

// Frame is a window's frame.
type Frame struct {
	Mode       FrameMode
	Start, End FrameBound
	Exclude    FrameExclusion
}

// FrameMode is ROWS, RANGE or GROUPS.
type FrameMode uint8

// The frame modes.
const (
	RangeFrame FrameMode = iota
	RowsFrame
	GroupsFrame
)

// FrameExclusion is the EXCLUDE clause of a frame.
type FrameExclusion uint8

// The frame exclusions.
const (
	ExcludeNone FrameExclusion = iota
	ExcludeCurrentRow
	ExcludeGroup
	ExcludeTies
)

// FrameBound is one end of a frame.
type FrameBound struct {
	Kind   BoundKind
	Offset Expression // of Preceding and Following
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

// Keyword is a value that SQL writes as a keyword: CURRENT_DATE, SESSION_USER …
type Keyword struct {
	Position Position
	Name     string // in lower case
	// Precision is of CURRENT_TIME(n) and the like, -1 for none.
	Precision int32
}

// Cast is CAST(Argument AS Type) or Argument::Type.
type Cast struct {
	Position Position
	Argument Expression
	Type     *TypeName
}

// Collate is Argument COLLATE Names.
type Collate struct {
	Position Position
	Argument Expression
	Names    []string
}

// Case is CASE [Argument] WHEN … THEN … [ELSE …] END.
type Case struct {
	Position Position
	Argument Expression // nil: searched
	Whens    []When
	Else     Expression // nil: NULL
}

// When is one branch of a Case.
type When struct{ Condition, Result Expression }

// Coalesce is COALESCE(Arguments…).
type Coalesce struct {
	Position  Position
	Arguments []Expression
}

// MinMax is GREATEST or LEAST.
type MinMax struct {
	Position  Position
	Least     bool
	Arguments []Expression
}

// Array is ARRAY[Elements…].
type Array struct {
	Position Position
	Elements []Expression
}

// Row is ROW(Elements…) or (a, b, …).
type Row struct {
	Position Position
	Elements []Expression
	Explicit bool // written with ROW
}

// Indirection is Argument[i], Argument[i:j] or (Argument).field.
type Indirection struct {
	Position Position
	Argument Expression
	Steps    []IndirectionStep
}

// IndirectionStep is one step: Field, Star, an index (Upper only) or a slice.
type IndirectionStep struct {
	Field string
	Star  bool
	Slice bool
	Lower Expression // nil: open
	Upper Expression // nil: open; the index where Slice is false
}

// Default is DEFAULT in VALUES and SET.
type Default struct{ Position Position }

// GroupingSet is GROUPING SETS, ROLLUP, CUBE or () in GROUP BY.
type GroupingSet struct {
	Position Position
	Kind     GroupingSetKind
	Elements []Expression
}

// GroupingSetKind is the kind of a GroupingSet.
type GroupingSetKind uint8

// The kinds of grouping sets.
const (
	EmptyGroupingSet GroupingSetKind = iota
	SimpleGroupingSet
	RollupGroupingSet
	CubeGroupingSet
	SetsGroupingSet
)

// Grouping is GROUPING(Arguments…).
type Grouping struct {
	Position  Position
	Arguments []Expression
}

func (e *Constant) At() Position        { return e.Position }
func (e *ColumnReference) At() Position { return e.Position }
func (e *Parameter) At() Position       { return e.Position }
func (e *Binary) At() Position          { return e.Position }
func (e *Logical) At() Position         { return e.Position }
func (e *Test) At() Position            { return e.Position }
func (e *Distinct) At() Position        { return e.Position }
func (e *NullIf) At() Position          { return e.Position }
func (e *Between) At() Position         { return e.Position }
func (e *Like) At() Position            { return e.Position }
func (e *In) At() Position              { return e.Position }
func (e *AnyAll) At() Position          { return e.Position }
func (e *Subquery) At() Position        { return e.Position }
func (e *Call) At() Position            { return e.Position }
func (e *Keyword) At() Position         { return e.Position }
func (e *Cast) At() Position            { return e.Position }
func (e *Collate) At() Position         { return e.Position }
func (e *Case) At() Position            { return e.Position }
func (e *Coalesce) At() Position        { return e.Position }
func (e *MinMax) At() Position          { return e.Position }
func (e *Array) At() Position           { return e.Position }
func (e *Row) At() Position             { return e.Position }
func (e *Indirection) At() Position     { return e.Position }
func (e *Default) At() Position         { return e.Position }
func (e *GroupingSet) At() Position     { return e.Position }
func (e *Grouping) At() Position        { return e.Position }

func (*Constant) expression()        {}
func (*ColumnReference) expression() {}
func (*Parameter) expression()       {}
func (*Binary) expression()          {}
func (*Logical) expression()         {}
func (*Test) expression()            {}
func (*Distinct) expression()        {}
func (*NullIf) expression()          {}
func (*Between) expression()         {}
func (*Like) expression()            {}
func (*In) expression()              {}
func (*AnyAll) expression()          {}
func (*Subquery) expression()        {}
func (*Call) expression()            {}
func (*Keyword) expression()         {}
func (*Cast) expression()            {}
func (*Collate) expression()         {}
func (*Case) expression()            {}
func (*Coalesce) expression()        {}
func (*MinMax) expression()          {}
func (*Array) expression()           {}
func (*Row) expression()             {}
func (*Indirection) expression()     {}
func (*Default) expression()         {}
func (*GroupingSet) expression()     {}
func (*Grouping) expression()        {}
