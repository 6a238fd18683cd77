package opt

import (
	"strconv"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// functionReference binds functions in FROM.
func (b *binder) functionReference(s *space, e *parser.FunctionReference) (Node, []*relation, error) {
	r := &relation{nameVisible: true, columnsVisible: true}
	node := &FunctionScan{}
	if e.Alias != nil {
		r.name = e.Alias.Name
	}
	functions := expandUnnest(e)
	for i, f := range functions {
		definitions := f.Columns
		if len(definitions) == 0 && len(functions) == 1 {
			definitions = e.Columns
		}
		set, columns, name, err := b.functionItem(s, f.Call, definitions)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 && e.Alias == nil {
			r.name = name
		}
		if len(functions) == 1 {
			r.scalar = len(columns) == 1 && len(set.Function.returnTypes()) == 0 && len(definitions) == 0
		}
		if f := set.Function.Bound; f != nil && f.OutName != "" && r.scalar {
			columns[0] = f.OutName
		} else if e.Alias != nil && len(functions) == 1 && r.scalar {
			columns[0] = e.Alias.Name
		}
		for j, id := range set.Columns {
			b.labels[id-1] = columnLabel{space: s, relation: r.name, column: columns[j]}
			r.columns = append(r.columns, relationColumn{name: columns[j], value: b.variable(id)})
		}
		node.Sets = append(node.Sets, set.SetItem)
	}
	if e.Ordinality {
		r.scalar = false
		node.Ordinality = b.newColumn("ordinality", types.Int8, columnLabel{space: s, relation: r.name, column: "ordinality"})
		r.columns = append(r.columns, relationColumn{name: "ordinality", value: b.variable(node.Ordinality)})
	}
	err := b.aliasColumns(r, e.Alias)
	if b.trace != nil {
		names := []string{r.name}
		for _, c := range r.columns {
			names = append(names, c.name)
		}
		b.trace.relations[e] = tracedRelation{columns: names, functions: functions, sets: node.Sets}
	}
	return node, []*relation{r}, err
}

// expandUnnest turns unnest of several arrays into one call for each, as ROWS
// FROM has them.
func expandUnnest(e *parser.FunctionReference) []parser.FunctionItem {
	var out []parser.FunctionItem
	for _, f := range e.Functions {
		call, ok := f.Call.(*parser.Call)
		if !ok || len(call.Names) != 1 || call.Names[0] != "unnest" || len(call.Arguments) < 2 || call.ArgumentNames != nil || call.Variadic {
			out = append(out, f)
			continue
		}
		for _, a := range call.Arguments {
			one := *call
			one.Arguments = []parser.Expression{a}
			out = append(out, parser.FunctionItem{Call: &one})
		}
	}
	return out
}

// boundSet is a SetItem with the function as it was resolved.
type boundSet struct {
	SetItem
	Function boundFunction
}

type boundFunction struct{ *types.Bound }

// returnTypes are the types of the columns of a function that returns rows.
func (f boundFunction) returnTypes() []*types.T {
	if f.Bound == nil {
		return nil
	}
	return f.ReturnTypes
}

// functionItem binds one function in FROM; it returns its columns' names and
// the function's own.
func (b *binder) functionItem(s *space, e parser.Expression, definitions []parser.ColumnDefinitionItem) (*boundSet, []string, string, error) {
	lateral, place := s.lateralActive, s.place
	s.lateralActive, s.place = true, placeFrom
	defer func() { s.lateralActive, s.place = lateral, place }()
	out := &boundSet{}
	name := expressionName(e)
	call, ok := e.(*parser.Call)
	if !ok {
		return b.scalarItem(s, e, name, out)
	}
	function, err := b.functionName(call)
	if err != nil {
		return nil, nil, "", err
	}
	name = function
	if aggregate, other := functionKinds(function); aggregate && !other {
		return nil, nil, "", b.fail(call.Position, pgerror.Grouping, "aggregate functions are not allowed in functions in FROM")
	}
	arguments, bound, err := b.bindCall(s, function, call)
	if err != nil {
		return nil, nil, "", err
	}
	switch bound.Kind {
	case types.SetFunction:
	case types.ScalarFunction:
		if bound.Return.OID == types.RecordOID && len(definitions) > 0 {
			break
		}
		return b.scalarItem(s, e, name, out)
	default:
		return nil, nil, "", b.fail(call.Position, pgerror.WindowingError, "window functions are not allowed in functions in FROM")
	}
	out.SetItem = SetItem{Function: bound, Arguments: arguments}
	out.Function = boundFunction{bound}
	returned := bound.ReturnTypes
	names := append([]string(nil), bound.ReturnNames...)
	switch {
	case len(definitions) > 0:
		if len(returned) > 0 || bound.Return.OID != types.RecordOID {
			return nil, nil, "", b.fail(call.Position, pgerror.Syntax, "a column definition list is only allowed for functions returning \"record\"")
		}
		if names, returned, err = b.defineColumns(out, definitions); err != nil {
			return nil, nil, "", err
		}
	case len(returned) > 0:
	case bound.Return.OID == types.RecordOID && len(bound.Return.Fields) == 0:
		return nil, nil, "", b.fail(call.Position, pgerror.Syntax, "a column definition list is required for functions returning \"record\"")
	case bound.Return.Family == types.TupleFamily:
		for _, f := range bound.Return.Fields {
			names, returned = append(names, f.Name), append(returned, f.Type)
		}
		out.Function = boundFunction{&types.Bound{Overload: &types.Overload{ReturnTypes: returned}}}
	default:
		names, returned = []string{name}, []*types.T{bound.Return}
	}
	for i, t := range returned {
		if i >= len(names) {
			names = append(names, "column"+strconv.Itoa(i+1))
		}
		out.Columns = append(out.Columns, b.newColumn(names[i], t, columnLabel{}))
	}
	return out, names, name, nil
}

// defineColumns gives a function that returns record its row type.
func (b *binder) defineColumns(out *boundSet, definitions []parser.ColumnDefinitionItem) (names []string, returned []*types.T, err error) {
	var fields []types.Field
	for _, d := range definitions {
		t, err := b.typeName(d.Type)
		if err != nil {
			return nil, nil, err
		}
		names, returned = append(names, d.Name), append(returned, t)
		fields = append(fields, types.Field{Name: d.Name, Type: t})
	}
	bound := *out.SetItem.Function
	bound.Return = rowType(fields)
	if bound.BindRows != nil {
		bound.Rows = bound.BindRows(bound.Args, bound.Return)
	}
	if bound.Bind != nil {
		bound.Eval = bound.Bind(bound.Args, bound.Return)
	}
	out.SetItem.Function = &bound
	if bound.Kind == types.ScalarFunction {
		out.Scalar = &Call{Function: &bound, Arguments: out.Arguments}
		out.SetItem.Function, out.Arguments = nil, nil
	}
	return names, returned, nil
}

// scalarItem is a function that returns one value, as a table of one row.
func (b *binder) scalarItem(s *space, e parser.Expression, name string, out *boundSet) (*boundSet, []string, string, error) {
	sets := len(s.sets)
	value, err := b.scalar(s, e)
	if err != nil {
		return nil, nil, "", err
	}
	if len(s.sets) > sets {
		return nil, nil, "", b.fail(e.At(), pgerror.FeatureNotSupported, "set-returning functions must appear at top level of FROM")
	}
	if value, err = b.textIfUnknown(value, e.At()); err != nil {
		return nil, nil, "", err
	}
	out.Scalar = value
	t := value.Type()
	if t.Family == types.TupleFamily && len(t.Fields) > 0 {
		var names []string
		var returned []*types.T
		for _, f := range t.Fields {
			out.Columns = append(out.Columns, b.newColumn(f.Name, f.Type, columnLabel{}))
			names, returned = append(names, f.Name), append(returned, f.Type)
		}
		out.Function = boundFunction{&types.Bound{Overload: &types.Overload{ReturnTypes: returned}}}
		return out, names, name, nil
	}
	out.Columns = []ColumnID{b.newColumn(name, t, columnLabel{})}
	return out, []string{name}, name, nil
}
