package types

// EvalFunc computes a function's value. args are of the types that it was
// bound to; it must not keep the slice. NULL arguments are only seen by
// functions that are CalledOnNull. Errors are *pgerror.Error.
type EvalFunc func(ctx *Context, args []Datum) (Datum, error)

// Kind says what an overload is.
type Kind uint8

// The kinds.
const (
	ScalarFunction Kind = iota
	SetFunction
	AggregateFunction
	WindowFunction
)

// RowSource yields the rows of a set-returning function. Next returns false
// after the last; the slice is good until the next call.
type RowSource interface {
	Next() ([]Datum, bool, error)
}

// RowsFunc runs a set-returning function.
type RowsFunc func(ctx *Context, args []Datum) (RowSource, error)

// Accumulator is the state of an aggregate over one group. It is not safe for
// concurrent use.
type Accumulator interface {
	// Add takes a row's arguments; it must not keep the slice. Overloads that
	// aren't CalledOnNull don't see rows with a NULL argument.
	Add(ctx *Context, args []Datum) error
	// Result may be called more than once, and rows added afterwards.
	Result(ctx *Context) (Datum, error)
	// MemoryBytes is about how much the state takes.
	MemoryBytes() int64
}

// Merger is an Accumulator that takes in the state of another one of its kind,
// which is not used afterwards.
type Merger interface {
	Accumulator
	Merge(ctx *Context, other Accumulator) error
}

// WindowPartition is what a window function sees of its partition. Rows are
// numbered from 0 in the window's order.
type WindowPartition interface {
	Rows() int
	// Argument is the value of argument n at a row.
	Argument(n, row int) Datum
	// Peers is the half-open interval of the rows that are equal in the window's
	// order to the row.
	Peers(row int) (start, end int)
	// PeerGroup is the number of the row's peer group, from 0.
	PeerGroup(row int) int
	// FrameRow returns the nth row (from 0) of the frame of a row; false: it has fewer.
	// FrameRows is how many rows it has.
	FrameRow(row, n int) (int, bool)
	FrameRows(row int) int
}

// WindowFunc computes a window function at a row of the partition.
type WindowFunc func(ctx *Context, partition WindowPartition, row int) (Datum, error)

// Overload is a function, an operator or an aggregate with the types that it is
// declared for. It is immutable once registered.
type Overload struct {
	// OID is pg_proc's, or pg_operator's of an operator.
	OID  OID
	Name string
	Kind Kind
	// Args are the declared types, polymorphic ones too. Of a prefix operator
	// there is one. With Variadic the last is an array, or Any.
	Args     []*T
	Variadic bool
	// Defaults are the values of the last arguments where they are left out.
	Defaults []Datum
	ArgNames []string
	Return   *T
	// ReturnNames are the columns' names of a function that returns a record with
	// fixed columns, in ReturnTypes; else both are nil.
	ReturnNames []string
	// OutName is the name of the one OUT parameter of a function that returns a
	// value; "" for most.
	OutName     string
	ReturnTypes []*T
	// Volatility is 'i'mmutable, 's'table or 'v'olatile; 0 is read as immutable.
	Volatility byte
	// CalledOnNull: else a NULL argument makes the value NULL without a call (and
	// an aggregate skips the row).
	CalledOnNull bool

	// One of these computes it. Those that begin with Bind depend on the actual
	// types.
	Eval       EvalFunc
	Bind       func(args []*T, ret *T) EvalFunc
	Rows       RowsFunc
	BindRows   func(args []*T, ret *T) RowsFunc
	Accumulate func(args []*T, ret *T) func() Accumulator
	Window     func(args []*T, ret *T) WindowFunc
	// ReturnType gives the type where polymorphism doesn't; nil: it does.
	ReturnType func(args []*T) (*T, error)

	// OrderedSetArgs is how many direct arguments an ordered-set aggregate has
	// before WITHIN GROUP, -1 in all that aren't one (Register sets it where
	// WithinGroup is false).
	WithinGroup    bool
	OrderedSetArgs int

	// Procedure is the name of an operator's or a cast's function in PostgreSQL's
	// source ("int4pl"), ProcedureOID its OID. Empty for functions that are none.
	Procedure    string
	ProcedureOID OID
	// Commutator and Negator are operators' OIDs, 0: none. Mergeable and Hashable
	// tell that an equality operator belongs to a btree and a hash class.
	Commutator, Negator OID
	Mergeable, Hashable bool
	Description         string
}

// IsOperator reports whether the overload is an operator.
func (o *Overload) IsOperator() bool { return o.ProcedureOID != 0 && o.OID != o.ProcedureOID }

// Bound is an overload with its actual types, made once in binding and then
// shared. Arguments must be cast to Args, implicitly, by who binds.
type Bound struct {
	*Overload
	// Args are the types of the call's arguments, in the function's order, after
	// implicit casts. Those of a variadic function's last parameter are one by one.
	Args []*T
	// Order gives for each of Args the position of the argument in the call, -1
	// for one that was left out: its value is in Default. nil: as they are.
	Order   []int
	Default []Datum
	Return  *T
	// CalledOnNull is the overload's, or true where Eval sees to NULLs itself.
	CalledOnNull bool
	// VariadicArray tells that the call was written with VARIADIC array.
	VariadicArray bool

	Eval           EvalFunc
	Rows           RowsFunc
	NewAccumulator func() Accumulator
	Window         WindowFunc
}

// Call is Eval with the rule for NULL arguments.
func (b *Bound) Call(ctx *Context, args []Datum) (Datum, error) {
	if !b.CalledOnNull {
		for i := range args {
			if args[i].Null {
				return DNull, nil
			}
		}
	}
	return b.Eval(ctx, args)
}

// CastContext says how a cast was asked for.
type CastContext uint8

// The contexts: implicit casts are allowed in all of them, assignment casts in
// assignments and explicitly.
const (
	ImplicitCast CastContext = iota
	AssignmentCast
	ExplicitCast
)

// BoundCast converts values of From to To, with To's modifiers. It is immutable.
type BoundCast struct {
	From, To *T
	// Context is the one it is allowed in at least.
	Context CastContext
	// Relabel: the value stays as it is (Eval returns it).
	Relabel bool
	// Volatility as in Overload: text forms may depend on settings.
	Volatility byte
	// Procedure is the cast's function as in Overload; empty: through the text
	// form, by elements, or no change.
	Procedure string
	eval      func(ctx *Context, d Datum) (Datum, error)
}

// Eval converts a value; NULL stays NULL.
func (c *BoundCast) Eval(ctx *Context, d Datum) (Datum, error) {
	if d.Null || c.eval == nil {
		return d, nil
	}
	return c.eval(ctx, d)
}
