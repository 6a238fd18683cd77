// Package types is what SQL values are: types, datums, their text and binary
// forms, casts, operators, functions and aggregates with their resolution, as
// PostgreSQL defines them. It knows nothing of plans or storage.
//
//	text, binary ──Parse, ParseBinary──▶ Datum ──AppendText, AppendBinary──▶ text, binary
//	                                      │ ▲
//	        ResolveOperator, ResolveFunction ─▶ Bound.Eval      Compare, HashTo
//	                               FindCast ─▶ BoundCast.Eval
//
// What there is comes from PostgreSQL itself: the tables in facts/ (types,
// casts, operators and the functions behind them, dumped from a server) say the
// names, OIDs, types and volatilities; Go functions, registered under the names
// that PostgreSQL's source gives them ("int4pl"), say what they do (see
// define). An operator or cast without its Go function does not exist.
// sql/types/functions adds all other functions through Register. Everything is
// registered by init functions, in this package before those of others, and
// never changes afterwards, so that all but a Context may be used
// concurrently.
//
// testdata/expected.tsv is what PostgreSQL 15 answers to some 19,000
// expressions; the tests compare.
package types

// OID is PostgreSQL's object identifier of a type.
type OID uint32

// Family says how values of a type are represented, in a Datum and in a
// vector (sql/vector). Many types share a family.
type Family uint8

// The families.
const (
	UnknownFamily  Family = iota // an untyped literal or NULL; represented as Bytes
	BoolFamily                   // Datum.I is 0 or 1
	IntFamily                    // Datum.I: int2/4/8, oid, date (days since 2000-01-01), time (µs since midnight), timestamp and timestamptz (µs since 2000-01-01 UTC; MinInt64/MaxInt64 are -infinity/infinity)
	FloatFamily                  // Datum.I holds the bits of a float64; float4 too
	BytesFamily                  // Datum.S: text, varchar, char(n), name, bytea, uuid (16 bytes), json (its text), jsonb (its text in PostgreSQL's output form)
	DecimalFamily                // Datum.Ref is an *apd.Decimal, immutable
	IntervalFamily               // Datum.Ref is an *IntervalValue, immutable
	ArrayFamily                  // Datum.Ref is an *Array, immutable
	TupleFamily                  // Datum.Ref is a *Tuple, immutable
	VoidFamily
)

// T is a type with its modifiers. Types are immutable; those without
// modifiers are the package's variables and can be compared as pointers after
// Typmod is ruled out. Use Equal or the OID otherwise.
type T struct {
	OID    OID
	Family Family
	// Name is PostgreSQL's internal name ("int4"), as in pg_type.typname.
	Name string
	// SQLName is what format_type and \d print ("integer"), without modifiers.
	SQLName string
	// Typmod is PostgreSQL's type modifier, -1 for none: varchar(10) has 14,
	// numeric(10,2) has (10<<16|2)+4, timestamp(3) has 3.
	Typmod int32
	// Size is pg_type.typlen: bytes of the binary form, -1 for variable.
	Size int16
	// Category and Preferred drive the resolution of operators and functions
	// (pg_type.typcategory, typispreferred).
	Category  byte
	Preferred bool
	// Elem is the element type of an array, nil otherwise.
	Elem *T
	// ArrayOID is the type of arrays of this type, 0 if there is none.
	ArrayOID OID
	// Fields are the columns of a TupleFamily type, nil for an anonymous record.
	Fields []Field
}

// Field is a column of a composite type.
type Field struct {
	Name string
	Type *T
}
