package opt

import (
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/types"
)

// Scalar is a bound expression: names and types are resolved. The concrete
// types are the pointers of this file; they are immutable and may be shared
// between plans and sessions.
type Scalar interface {
	Type() *types.T
	scalar()
}

// ColumnID names a column of a plan. Ids are unique within a Plan and begin at 1.
type ColumnID int32

// Constant is a value.
type Constant struct {
	Value types.Datum
	T     *types.T
	// Position is where a literal stands in the text; the zero value and
	// parser.NoPosition mean that it is not known.
	Position parser.Position
}

// Variable is a column of the input of the node that the expression belongs
// to, or, where no input has it, of an outer query (a correlated reference).
type Variable struct {
	ID ColumnID
	T  *types.T
	// Position is where it was written, in characters from 1; 0: unknown.
	Position int32
}

// Parameter is $Index, from 1.
type Parameter struct {
	Index int
	T     *types.T
}

// Call applies a function or operator to its arguments, which already have the
// types that it takes.
type Call struct {
	Function  *types.Bound
	Arguments []Scalar
	Position  int32 // in characters from 1, 0: unknown
	// Operator is how it was written ("+"), "" for a function; for deparsing.
	Operator string
}

// Cast converts Input to another type, including its modifiers.
type Cast struct {
	Input    Scalar
	Cast     *types.BoundCast
	Implicit bool // not written by the user: deparsing may leave it out
	Position int32
}

// And is true if all arguments are, Or if one is; both with three values.
type And struct{ Arguments []Scalar }

// Or is true if one argument is.
type Or struct{ Arguments []Scalar }

// Not negates.
type Not struct{ Argument Scalar }

// IsNull is IS [NOT] NULL; of a row it is true if all (for NOT: none) of its
// fields are NULL, as in PostgreSQL.
type IsNull struct {
	Argument Scalar
	Negated  bool
}

// IsTruth is IS [NOT] TRUE, FALSE or UNKNOWN.
type IsTruth struct {
	Argument Scalar
	Value    Truth
	Negated  bool
}

// Truth is one of three values.
type Truth uint8

// The truth values.
const (
	False Truth = iota
	True
	Unknown
)

// Distinct is Left IS [NOT] DISTINCT FROM Right; Equal compares them.
type Distinct struct {
	Left, Right Scalar
	Equal       *types.Bound
	Negated     bool
}

// NullIf is NULL if Left equals Right, else Left.
type NullIf struct {
	Left, Right Scalar
	Equal       *types.Bound
	// EqualLeft and EqualRight are the two as Equal takes them.
	EqualLeft, EqualRight Scalar
}

// Case is CASE. The simple form is bound to the searched form.
type Case struct {
	Whens []When
	Else  Scalar // nil: NULL
	T     *types.T
	// argument is that of the simple form, where the expression is deparsed.
	argument Scalar
}

// When is an arm of Case.
type When struct{ Condition, Result Scalar }

// Coalesce is the first argument that is not NULL.
type Coalesce struct {
	Arguments []Scalar
	T         *types.T
}

// Extremum is GREATEST or LEAST.
type Extremum struct {
	Arguments []Scalar
	Least     bool
	T         *types.T
}

// InList is Left [NOT] IN (constants and other expressions), all of Left's type.
type InList struct {
	Left    Scalar
	Items   []Scalar
	Equal   *types.Bound
	Negated bool
}

// AnyAll is Left Operator ANY|ALL (Array).
type AnyAll struct {
	Left     Scalar
	Array    Scalar
	Operator *types.Bound // takes Left and an element
	Written  string       // "="
	All      bool
}

// ArrayOf is ARRAY[…]; elements of a multi-dimensional one are arrays.
type ArrayOf struct {
	Elements []Scalar
	T        *types.T
	Nested   bool // the elements are arrays to be joined into one with one more dimension
}

// RowOf is ROW(…).
type RowOf struct {
	Fields []Scalar
	T      *types.T
}

// Field selects a field of a row, from 0.
type Field struct {
	Row   Scalar
	Index int
	T     *types.T
}

// Subscript is Array[…] with one Index a dimension; with slices Low may be nil
// for an omitted bound.
type Subscript struct {
	Array   Scalar
	Indexes []SubscriptIndex
	Slice   bool
	T       *types.T
}

// SubscriptIndex is an index, or a slice from Low to High.
type SubscriptIndex struct{ Low, High Scalar }

// Subquery is a query within an expression that was not turned into a join.
// It refers to columns of the outer query where it is correlated.
type Subquery struct {
	Kind  SubqueryKind
	Query Node
	// Columns are those of Query that are compared or returned.
	Columns []ColumnID
	// Left and Comparison are of Any and All: Comparison is over Left's value in
	// the column Placeholder and Columns, and yields a boolean.
	Left         []Scalar
	Placeholders []ColumnID
	Comparison   Scalar
	// Outer are the columns of outer queries that Query uses; none: it is
	// run once.
	Outer []ColumnID
	T     *types.T
}

// SubqueryKind says what a Subquery yields.
type SubqueryKind uint8

// The kinds. One: the only row's only column, NULL without rows, 21000 with
// several. Rows: an array of the column.
const (
	One SubqueryKind = iota
	Exists
	Any
	All
	Rows
)

// Type returns the expression's type.
func (e *Constant) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Variable) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Parameter) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Call) Type() *types.T { return e.Function.Return }

// Type returns the expression's type.
func (e *Cast) Type() *types.T { return e.Cast.To }

// Type returns boolean.
func (*And) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*Or) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*Not) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*IsNull) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*IsTruth) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*Distinct) Type() *types.T { return types.Boolean }

// Type returns the type of the left side.
func (e *NullIf) Type() *types.T { return e.Left.Type() }

// Type returns the expression's type.
func (e *Case) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Coalesce) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Extremum) Type() *types.T { return e.T }

// Type returns boolean.
func (*InList) Type() *types.T { return types.Boolean }

// Type returns boolean.
func (*AnyAll) Type() *types.T { return types.Boolean }

// Type returns the expression's type.
func (e *ArrayOf) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *RowOf) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Field) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Subscript) Type() *types.T { return e.T }

// Type returns the expression's type.
func (e *Subquery) Type() *types.T { return e.T }

func (*Constant) scalar()  {}
func (*Variable) scalar()  {}
func (*Parameter) scalar() {}
func (*Call) scalar()      {}
func (*Cast) scalar()      {}
func (*And) scalar()       {}
func (*Or) scalar()        {}
func (*Not) scalar()       {}
func (*IsNull) scalar()    {}
func (*IsTruth) scalar()   {}
func (*Distinct) scalar()  {}
func (*NullIf) scalar()    {}
func (*Case) scalar()      {}
func (*Coalesce) scalar()  {}
func (*Extremum) scalar()  {}
func (*InList) scalar()    {}
func (*AnyAll) scalar()    {}
func (*ArrayOf) scalar()   {}
func (*RowOf) scalar()     {}
func (*Field) scalar()     {}
func (*Subscript) scalar() {}
func (*Subquery) scalar()  {}
