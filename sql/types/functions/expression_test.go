package functions_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	_ "github.com/cairndb/cairn/sql/types/functions"
)

var oracle = flag.String("oracle", "", "connection string of a PostgreSQL 15: writes testdata/expressions anew with its answers")

const expressionFile = "testdata/expressions"

// TestExpressions evaluates expressions and compares with what PostgreSQL 15
// answers. The file has the expression and its result in turn; rows are
// separated by " | "; lines that begin with # are comments.
func TestExpressions(t *testing.T) {
	content, err := os.ReadFile(expressionFile)
	if err != nil {
		t.Fatal(err)
	}
	if *oracle != "" {
		content = askOracle(t, string(content))
	}
	lines := strings.Split(string(content), "\n")
	failed, total := 0, 0
	for i := 0; i+1 < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		expression, want := lines[i], strings.TrimPrefix(lines[i+1], "\t")
		i++
		total++
		if got := evaluateText(expression); got != want {
			failed++
			t.Errorf("%s:%d: %s\n got %s\nwant %s", expressionFile, i, expression, got, want)
		}
	}
	t.Logf("%d of %d expressions differ", failed, total)
}

// askOracle lets PostgreSQL answer each expression of the file.
func askOracle(t *testing.T, content string) []byte {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, *oracle)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "set timezone = 'America/New_York'; set intervalstyle = postgres; set datestyle = 'ISO, MDY'"); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.SplitSeq(content, "\n") {
		switch {
		case strings.HasPrefix(line, "\t"):
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n\t" + askOne(ctx, conn, line) + "\n")
		}
	}
	text := strings.TrimRight(out.String(), "\n") + "\n"
	if err := os.WriteFile(expressionFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

func askOne(ctx context.Context, conn *pgx.Conn, expression string) string {
	results, err := conn.PgConn().Exec(ctx, "select "+expression).ReadAll()
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return "ERROR " + e.Code + " " + e.Message
	}
	if err != nil {
		return err.Error()
	}
	var rows []string
	for _, row := range results[0].Rows {
		if row[0] == nil {
			rows = append(rows, "NULL")
		} else {
			rows = append(rows, string(row[0]))
		}
	}
	return escapeLines(strings.Join(rows, " | "))
}

func escapeLines(s string) string { return strings.ReplaceAll(s, "\n", "⏎") }

func newContext() *types.Context {
	location, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	return &types.Context{Ctx: context.Background(), Location: location, TransactionTime: types.TimestampOf(time.Now()), StatementTime: types.TimestampOf(time.Now())}
}

func evaluateText(expression string) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint("PANIC ", r)
		}
	}()
	values, t, err := evaluateStatement("select " + expression)
	if err != nil {
		var e *pgerror.Error
		if errors.As(err, &e) {
			return "ERROR " + e.Code + " " + e.Message
		}
		return err.Error()
	}
	rows := make([]string, len(values))
	for i, v := range values {
		if rows[i] = "NULL"; !v.Null {
			rows[i] = string(types.AppendText(nil, newContext(), t, v))
		}
	}
	return escapeLines(strings.Join(rows, " | "))
}

func evaluateStatement(text string) ([]types.Datum, *types.T, error) {
	statements, err := postgres.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	selection, ok := statements[0].AST.(*parser.Select)
	if !ok {
		return nil, nil, errors.New("not a SELECT")
	}
	e := &evaluator{ctx: newContext()}
	target := selection.Targets[0].Expression
	if call, ok := target.(*parser.Call); ok {
		if len(selection.From) > 0 {
			return e.aggregate(call, selection.From[0])
		}
		return e.callRows(call)
	}
	v, t, err := e.expression(target)
	return []types.Datum{v}, t, err
}

// evaluator computes expressions straight from the syntax tree: enough of
// binding to call functions.
type evaluator struct {
	ctx *types.Context
	// columns are the current row's of an aggregate's input.
	columns     map[string]types.Datum
	columnTypes map[string]*types.T
}

func (e *evaluator) expression(x parser.Expression) (types.Datum, *types.T, error) {
	switch x := x.(type) {
	case *parser.Constant:
		return e.constant(x)
	case *parser.Cast:
		return e.cast(x)
	case *parser.Binary:
		return e.binary(x)
	case *parser.Array:
		return e.array(x)
	case *parser.ColumnReference:
		return e.columns[x.Names[0]], e.columnTypes[x.Names[0]], nil
	case *parser.Row:
		tuple := &types.Tuple{}
		for _, item := range x.Elements {
			v, t, err := e.expression(item)
			if err != nil {
				return types.DNull, nil, err
			}
			if t == types.Unknown {
				t = types.Text
			}
			tuple.Types, tuple.Elems = append(tuple.Types, t), append(tuple.Elems, v)
		}
		return types.TupleOf(tuple), types.Record, nil
	case *parser.Call:
		values, t, err := e.callRows(x)
		if err != nil || len(values) == 0 {
			return types.DNull, t, err
		}
		return values[0], t, nil
	}
	return types.DNull, nil, fmt.Errorf("%T", x)
}

func (e *evaluator) constant(x *parser.Constant) (types.Datum, *types.T, error) {
	switch x.Kind {
	case parser.NullConstant:
		return types.DNull, types.Unknown, nil
	case parser.BoolConstant:
		return types.Bool(x.Text == "true"), types.Boolean, nil
	case parser.IntegerConstant:
		return types.Int(int64(x.Int)), types.Int4, nil
	case parser.NumberConstant:
		if v, err := types.Parse(e.ctx, types.Int8, x.Text); err == nil {
			return v, types.Int8, nil
		}
		v, err := types.Parse(e.ctx, types.Numeric, x.Text)
		return v, types.Numeric, err
	}
	return types.String(x.Text), types.Unknown, nil
}

func (e *evaluator) cast(x *parser.Cast) (types.Datum, *types.T, error) {
	var modifiers []int32
	for _, m := range x.Type.Modifiers {
		modifiers = append(modifiers, m.(*parser.Constant).Int)
	}
	to, err := types.FromName(x.Type.Names, modifiers, x.Type.ArrayDepth)
	if err != nil {
		return types.DNull, nil, err
	}
	v, from, err := e.expression(x.Argument)
	if err != nil {
		return types.DNull, nil, err
	}
	v, err = e.convert(v, from, to, types.ExplicitCast)
	return v, to, err
}

func (e *evaluator) convert(v types.Datum, from, to *types.T, context types.CastContext) (types.Datum, error) {
	if from == types.Unknown {
		if v.Null || to.IsPseudo() {
			return v, nil
		}
		return types.Parse(e.ctx, to, v.S)
	}
	if from.OID == to.OID && to.Typmod < 0 || to.IsPseudo() {
		return v, nil
	}
	cast, ok := types.FindCast(from, to, context)
	if !ok {
		return types.DNull, fmt.Errorf("no cast from %s to %s", from, to)
	}
	return cast.Eval(e.ctx, v)
}

func (e *evaluator) binary(x *parser.Binary) (types.Datum, *types.T, error) {
	var args []types.Datum
	var ts []*types.T
	for _, side := range []parser.Expression{x.Left, x.Right} {
		if side == nil {
			continue
		}
		v, t, err := e.expression(side)
		if err != nil {
			return types.DNull, nil, err
		}
		args, ts = append(args, v), append(ts, t)
	}
	var left *types.T
	if len(ts) == 2 {
		left = ts[0]
	}
	bound, err := types.ResolveOperator(x.Operator, left, ts[len(ts)-1])
	if err != nil {
		return types.DNull, nil, err
	}
	for i := range args {
		if args[i], err = e.convert(args[i], ts[i], bound.Args[i], types.ImplicitCast); err != nil {
			return types.DNull, nil, err
		}
	}
	v, err := bound.Call(e.ctx, args)
	return v, bound.Return, err
}

func (e *evaluator) array(x *parser.Array) (types.Datum, *types.T, error) {
	var values []types.Datum
	var ts []*types.T
	for _, item := range x.Elements {
		v, t, err := e.expression(item)
		if err != nil {
			return types.DNull, nil, err
		}
		values, ts = append(values, v), append(ts, t)
	}
	element, err := types.UnifyTypes("ARRAY", ts)
	if err != nil {
		return types.DNull, nil, err
	}
	for i := range values {
		if values[i], err = e.convert(values[i], ts[i], element, types.ImplicitCast); err != nil {
			return types.DNull, nil, err
		}
	}
	if element.Elem != nil { // of arrays
		first := values[0].Array()
		out := &types.Array{Elem: first.Elem, Dims: append([]int32{int32(len(values))}, first.Dims...), Bounds: append([]int32{1}, first.Bounds...)}
		for _, v := range values {
			out.Elems = append(out.Elems, v.Array().Elems...)
		}
		return types.ArrayOf(out), element, nil
	}
	return types.ArrayOf(types.NewArray(element, values)), types.ArrayTypeOf(element), nil
}

// callRows calls a function.
func (e *evaluator) callRows(x *parser.Call) ([]types.Datum, *types.T, error) {
	var args []types.Datum
	var ts []*types.T
	for _, item := range x.Arguments {
		v, t, err := e.expression(item)
		if err != nil {
			return nil, nil, err
		}
		args, ts = append(args, v), append(ts, t)
	}
	bound, err := types.ResolveFunction(x.Names[len(x.Names)-1], ts, x.ArgumentNames, x.Variadic)
	if err != nil {
		return nil, nil, err
	}
	if bound.Order != nil {
		ordered, orderedTypes := make([]types.Datum, len(bound.Order)), make([]*types.T, len(bound.Order))
		for i, from := range bound.Order {
			if from < 0 {
				ordered[i], orderedTypes[i] = bound.Default[i], bound.Args[i]
			} else {
				ordered[i], orderedTypes[i] = args[from], ts[from]
			}
		}
		args, ts = ordered, orderedTypes
	}
	for i := range args {
		if args[i], err = e.convert(args[i], ts[i], bound.Args[i], types.ImplicitCast); err != nil {
			return nil, nil, err
		}
	}
	if bound.Kind != types.SetFunction {
		v, err := bound.Call(e.ctx, args)
		return []types.Datum{v}, bound.Return, err
	}
	for _, a := range args {
		if a.Null && !bound.CalledOnNull {
			return nil, bound.Return, nil
		}
	}
	rows, err := bound.Rows(e.ctx, args)
	if err != nil {
		return nil, nil, err
	}
	var values []types.Datum
	for {
		row, ok, err := rows.Next()
		if err != nil || !ok {
			return values, bound.Return, err
		}
		if len(row) == 1 {
			values = append(values, row[0])
			continue
		}
		tuple := &types.Tuple{Types: bound.ReturnTypes, Elems: append([]types.Datum(nil), row...)}
		values = append(values, types.TupleOf(tuple))
	}
}

// aggregate calls an aggregate over unnest(array) x.
func (e *evaluator) aggregate(x *parser.Call, from parser.TableExpression) ([]types.Datum, *types.T, error) {
	call := from.(*parser.FunctionReference).Functions[0].Call.(*parser.Call)
	rows, rowType, err := e.callRows(call)
	if err != nil {
		return nil, nil, err
	}
	e.columns, e.columnTypes = map[string]types.Datum{}, map[string]*types.T{"x": rowType}
	items := x.Arguments
	if x.WithinGroup {
		for _, o := range x.OrderBy {
			items = append(items, o.Expression)
		}
		sort.SliceStable(rows, func(i, j int) bool { return types.Compare(rowType, rows[i], rows[j]) < 0 })
	}
	var bound *types.Bound
	var accumulator types.Accumulator
	for _, row := range rows {
		e.columns["x"] = row
		var args []types.Datum
		var ts []*types.T
		for _, item := range items {
			v, t, err := e.expression(item)
			if err != nil {
				return nil, nil, err
			}
			args, ts = append(args, v), append(ts, t)
		}
		if bound == nil {
			if bound, err = types.ResolveFunction(x.Names[len(x.Names)-1], ts, nil, false); err != nil {
				return nil, nil, err
			}
			accumulator = bound.NewAccumulator()
		}
		null := false
		for i := range args {
			if args[i], err = e.convert(args[i], ts[i], bound.Args[i], types.ImplicitCast); err != nil {
				return nil, nil, err
			}
			null = null || args[i].Null
		}
		if null && !bound.CalledOnNull {
			continue
		}
		if err := accumulator.Add(e.ctx, args); err != nil {
			return nil, nil, err
		}
	}
	v, err := accumulator.Result(e.ctx)
	return []types.Datum{v}, bound.Return, err
}
