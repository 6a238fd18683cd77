// Package functions holds PostgreSQL's built-in functions, aggregates, window
// functions and set-returning functions. It registers them into sql/types when
// it is imported; nobody else calls it, except for the few exported helpers.
//
//	facts.tsv (names, OIDs, types …: PostgreSQL's pg_proc) ┐
//	                                                       ├→ types.Register
//	define* (what they compute, by signature)              ┘
//
// A signature is the name and the declared types by their internal names:
// "lpad(text,int4)". What is in facts.tsv has an implementation and the other
// way round: facts.sql writes the table of all of PostgreSQL's functions, and
// TestFacts keeps those that are defined.
//
// Functions that need the session get it through types.SessionFunctions.
package functions

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

//go:embed facts.tsv
var facts string

// definitions are the implementations by signature.
type definitions map[string]*types.Overload

func (d definitions) add(signature string, o types.Overload) {
	if d[signature] != nil {
		panic("functions: defined twice: " + signature)
	}
	d[signature] = &o
}

// scalar defines a function whose value depends on nothing but the arguments.
func (d definitions) scalar(signature string, eval types.EvalFunc) {
	d.add(signature, types.Overload{Eval: eval})
}

// bind defines a function that depends on the arguments' actual types.
func (d definitions) bind(signature string, bind func(args []*types.T, ret *types.T) types.EvalFunc) {
	d.add(signature, types.Overload{Bind: bind})
}

// rows defines a set-returning function.
func (d definitions) rows(signature string, rows types.RowsFunc) {
	d.add(signature, types.Overload{Kind: types.SetFunction, Rows: rows})
}

// bindRows is rows for a function that depends on the types.
func (d definitions) bindRows(signature string, bind func(args []*types.T, ret *types.T) types.RowsFunc) {
	d.add(signature, types.Overload{Kind: types.SetFunction, BindRows: bind})
}

// aggregate defines an aggregate that skips rows with a NULL argument.
func (d definitions) aggregate(signature string, accumulate func(args []*types.T, ret *types.T) func() types.Accumulator) {
	d.add(signature, types.Overload{Kind: types.AggregateFunction, Accumulate: accumulate})
}

// aggregateNulls defines an aggregate that takes NULLs in.
func (d definitions) aggregateNulls(signature string, accumulate func(args []*types.T, ret *types.T) func() types.Accumulator) {
	d.add(signature, types.Overload{Kind: types.AggregateFunction, Accumulate: accumulate, CalledOnNull: true})
}

// window defines a window function.
func (d definitions) window(signature string, window func(args []*types.T, ret *types.T) types.WindowFunc) {
	d.add(signature, types.Overload{Kind: types.WindowFunction, Window: window, CalledOnNull: true})
}

// define returns all of the package's implementations.
func define() definitions {
	d := definitions{}
	for _, group := range []func(definitions){
		defineStrings, defineBytes, defineRegularExpressions, defineMath, defineNumeric, defineTime, defineTimeFormats,
		defineJSONBuilding, defineJSON, defineJSONRecords, defineArrays, defineSets, defineSequences, defineSession, defineCatalog,
		definePrivileges, defineAggregates, defineStatistics, defineOrderedSets, defineWindows,
	} {
		group(d)
	}
	return d
}

// fact is a row of facts.tsv.
type fact struct {
	oid               types.OID
	name              string
	kind              byte // f, a or w
	args              []string
	variadic          bool
	argNames          []string
	ret               string
	volatility        byte
	strict, setOf     bool
	outs              []string // name:type
	defaults          string
	withinGroup       bool
	directArgs        int
	description, line string
}

func (f *fact) signature() string { return f.name + "(" + strings.Join(f.args, ",") + ")" }

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// parseFacts reads the table, which is right by construction.
func parseFacts(table string) []fact {
	var out []fact
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		c := strings.Split(line, "\t")
		oid, err := strconv.ParseUint(c[0], 10, 32)
		if err != nil || len(c) != 16 {
			panic("functions: facts.tsv: " + line)
		}
		direct, _ := strconv.Atoi(c[14])
		out = append(out, fact{
			oid: types.OID(oid), name: c[1], kind: c[2][0], args: splitList(c[3]), variadic: c[4] != "", argNames: splitList(c[6]),
			ret: c[7], volatility: c[8][0], strict: c[9] != "", setOf: c[10] != "", outs: splitList(c[11]), defaults: c[12],
			withinGroup: c[13] == "o" || c[13] == "h", directArgs: direct, description: c[15], line: line,
		})
	}
	return out
}

func init() {
	implementations := define()
	var overloads []types.Overload
	for _, f := range parseFacts(facts) {
		if o := implementations[f.signature()]; o != nil {
			f.complete(o)
			overloads = append(overloads, *o)
		}
	}
	types.Register(overloads...)
}

// complete fills in what the table knows of an overload.
func (f *fact) complete(o *types.Overload) {
	o.OID, o.Name, o.Variadic, o.ArgNames = f.oid, f.name, f.variadic, f.argNames
	o.Volatility, o.Description = f.volatility, f.description
	if o.Kind == types.ScalarFunction || o.Kind == types.SetFunction {
		o.CalledOnNull = !f.strict
	}
	for _, name := range f.args {
		o.Args = append(o.Args, typeNamed(name))
	}
	o.Return = typeNamed(f.ret)
	for _, out := range f.outs {
		name, typeName, _ := strings.Cut(out, ":")
		o.ReturnNames = append(o.ReturnNames, name)
		o.ReturnTypes = append(o.ReturnTypes, typeNamed(typeName))
	}
	if len(o.ReturnTypes) == 1 {
		o.OutName = o.ReturnNames[0]
		o.ReturnTypes, o.ReturnNames = nil, nil
	}
	o.WithinGroup = f.withinGroup
	if f.withinGroup {
		o.OrderedSetArgs = f.directArgs
	}
	if f.defaults != "" {
		values := strings.Split(f.defaults, ", ")
		first := len(o.Args) - len(values)
		for i, value := range values {
			o.Defaults = append(o.Defaults, defaultValue(o.Args[first+i], value))
		}
	}
}

// defaultValue reads a default as pg_get_expr prints it.
func defaultValue(t *types.T, text string) types.Datum {
	text, _, _ = strings.Cut(text, "::")
	if text == "NULL" {
		return types.DNull
	}
	value, err := types.Parse(&types.Context{}, t, strings.Trim(text, "'"))
	if err != nil {
		panic(fmt.Sprintf("functions: default %s: %v", text, err))
	}
	return value
}

func typeNamed(name string) *types.T {
	t, ok := types.ByName(name)
	if !ok {
		panic("functions: no type " + name)
	}
	return t
}

// textOf is a value in its type's text form.
func textOf(ctx *types.Context, t *types.T, v types.Datum) string {
	if t.Family == types.BytesFamily && t.OID != types.ByteaOID && t.OID != types.UUIDOID || t.Family == types.UnknownFamily {
		return v.S
	}
	return string(types.AppendText(nil, ctx, t, v))
}

// sessionOf returns what knows the session, or an error where there is none.
func sessionOf(ctx *types.Context) (types.SessionFunctions, error) {
	if ctx.Session == nil {
		return nil, pgerror.New(pgerror.ObjectNotInPrerequisiteState, "function cannot be called outside of a session")
	}
	return ctx.Session, nil
}

// textArray is an array of texts from a Go slice.
func textArray(items []string) types.Datum {
	elements := make([]types.Datum, len(items))
	for i, item := range items {
		elements[i] = types.String(item)
	}
	return arrayOf(types.Text, elements)
}

// arrayOf is an array of one dimension, or the empty array.
func arrayOf(element *types.T, elements []types.Datum) types.Datum {
	a := &types.Array{Elem: element, Elems: elements}
	if len(elements) > 0 {
		a.Dims, a.Bounds = []int32{int32(len(elements))}, []int32{1}
	}
	return types.ArrayOf(a)
}

// sliceRows is a RowSource over rows that are there already.
type sliceRows struct {
	rows [][]types.Datum
	next int
}

func (s *sliceRows) Next() ([]types.Datum, bool, error) {
	if s.next >= len(s.rows) {
		return nil, false, nil
	}
	s.next++
	return s.rows[s.next-1], true, nil
}

// valueRows is a RowSource of one column over values.
type valueRows struct {
	values []types.Datum
	next   int
}

func (s *valueRows) Next() ([]types.Datum, bool, error) {
	if s.next >= len(s.values) {
		return nil, false, nil
	}
	s.next++
	return s.values[s.next-1 : s.next], true, nil
}

// funcRows is a RowSource that a function feeds.
type funcRows func() ([]types.Datum, bool, error)

func (f funcRows) Next() ([]types.Datum, bool, error) { return f() }
