package opt

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/types"
)

// Deparse prints an expression as PostgreSQL's ruleutils do ("(amount >
// (0)::numeric)", "'pending'::character varying"): what the catalog stores of
// defaults and checks. names gives the columns' names, as they are to be printed.
func Deparse(s Scalar, names func(ColumnID) string) string {
	d := &deparser{names: names}
	d.expression(s, false)
	return string(d.b)
}

// DeparsePretty is Deparse with the parentheses that are needed only ("amount >
// 0::numeric"), as psql shows it.
func DeparsePretty(s Scalar, names func(ColumnID) string) string {
	d := &deparser{names: names, pretty: true, lines: true}
	d.expression(s, false)
	return string(d.b)
}

// DeparseFor is Deparse, or DeparsePretty, for a session to show: constants of
// the reg* types are printed as the session names their objects.
func DeparseFor(session *types.Context, s Scalar, names func(ColumnID) string, pretty bool) string {
	d := &deparser{names: names, pretty: pretty, lines: pretty, session: session}
	d.expression(s, false)
	return string(d.b)
}

// deparser prints expressions. It follows PostgreSQL's ruleutils.c in what it
// prints of casts and parentheses.
type deparser struct {
	b     []byte
	names func(ColumnID) string
	// session names objects, nil: their OIDs are printed.
	session *types.Context
	// pretty writes needed parentheses only; lines breaks lines, which are
	// indented by level.
	pretty, lines bool
	level         int
	// query prints a subquery of an expression, nil: "(SELECT …)" as such.
	query func(*deparser, *Subquery)
	// call prints the aggregate or window function whose result a column is.
	call func(*deparser, ColumnID) bool
	// trace is what was bound, for queries.
	trace   *trace
	printer *queryPrinter
	qualify bool
}

func (d *deparser) text(s string) { d.b = append(d.b, s...) }

// Steps of indentation, as in ruleutils.c.
const (
	indentClause = 8
	indentJoin   = 4
	indentColumn = 4
)

// keyword begins a new line with a word, if lines are broken: before and after
// change the level around it, plus is for this line only.
func (d *deparser) keyword(word string, before, after, plus int) {
	if !d.lines {
		d.text(word)
		return
	}
	d.level += before
	d.b = bytes.TrimRight(d.b, " ")
	d.text("\n" + strings.Repeat(" ", max(d.level, 0)+plus) + word)
	d.level = max(d.level+after, 0)
}

// open and closing are the parentheses that only the plain style writes.
func (d *deparser) open() {
	if !d.pretty {
		d.text("(")
	}
}

func (d *deparser) close() {
	if !d.pretty {
		d.text(")")
	}
}

// operand prints what stands within parent, in parentheses where the pretty
// style needs them.
func (d *deparser) operand(s Scalar, parent Scalar, implicit, left bool) {
	if d.pretty && !d.simple(s, parent, left) {
		d.text("(")
		d.expression(s, implicit)
		d.text(")")
		return
	}
	d.expression(s, implicit)
}

func isOperatorCall(s Scalar) bool {
	c, ok := s.(*Call)
	return ok && c.Operator != "" && c.Function.IsOperator()
}

// simple is isSimpleNode of ruleutils.c.
func (d *deparser) simple(s, parent Scalar, left bool) bool {
	switch x := s.(type) {
	case *Call:
		if !isOperatorCall(x) {
			return true
		}
		if isOperatorCall(parent) {
			return simpleOperand(x.Operator, parent.(*Call).Operator, left)
		}
		return loose(parent)
	case *Subquery, *IsNull, *IsTruth, *Distinct, *InList, *AnyAll:
		return loose(parent)
	case *And:
		switch parent.(type) {
		case *And, *Or:
			return true
		case *Not:
			return false
		}
		return loose(parent)
	case *Not:
		switch parent.(type) {
		case *And, *Or:
			return true
		case *Not:
			return false
		}
		return loose(parent)
	case *Or:
		switch parent.(type) {
		case *Or:
			return true
		case *And, *Not:
			return false
		}
		return loose(parent)
	case *Cast:
		return true
	}
	return true
}

// simpleOperand: a + b * c needs no parentheses, nor a + b + c.
func simpleOperand(inner, outer string, left bool) bool {
	low := func(o string) bool { return o == "+" || o == "-" }
	high := func(o string) bool { return o == "*" || o == "/" || o == "%" }
	switch {
	case high(inner) && low(outer):
		return true
	case low(inner) && low(outer), high(inner) && high(outer):
		return left
	}
	return false
}

// loose: what separates its operands by itself.
func loose(parent Scalar) bool {
	switch x := parent.(type) {
	case *Call:
		return !isOperatorCall(x)
	case *And, *Or, *Not, *Subscript, *ArrayOf, *RowOf, *Coalesce, *Extremum, *NullIf, *Case:
		return true
	}
	return false
}

func (d *deparser) list(list []Scalar, implicit bool) {
	for i, s := range list {
		if i > 0 {
			d.text(", ")
		}
		d.expression(s, implicit)
	}
}

func (d *deparser) joined(list []Scalar, parent Scalar, word string) {
	d.open()
	for i, s := range list {
		if i > 0 {
			d.text(word)
		}
		d.operand(s, parent, false, i == 0)
	}
	d.close()
}

// expression prints s; implicit: casts that nobody wrote are printed too.
func (d *deparser) expression(s Scalar, implicit bool) {
	switch x := s.(type) {
	case *Constant:
		d.constant(x, true)
	case *Variable:
		if d.call == nil || !d.call(d, x.ID) {
			d.text(d.names(x.ID))
		}
	case *Parameter:
		d.text("$" + strconv.Itoa(x.Index))
	case *Call:
		d.function(x)
	case *Cast:
		d.cast(x, implicit)
	case *And:
		d.joined(x.Arguments, x, " AND ")
	case *Or:
		d.joined(x.Arguments, x, " OR ")
	case *Not:
		d.open()
		d.text("NOT ")
		d.operand(x.Argument, x, false, false)
		d.close()
	case *IsNull:
		d.test(x.Argument, x, " IS "+not(x.Negated)+"NULL")
	case *IsTruth:
		d.test(x.Argument, x, " IS "+not(x.Negated)+[...]string{"FALSE", "TRUE", "UNKNOWN"}[x.Value])
	case *Distinct:
		if x.Negated {
			d.open()
			d.text("NOT ")
			defer d.close()
			if d.pretty {
				d.text("(")
				defer d.text(")")
			}
		}
		d.open()
		d.operand(x.Left, x, true, true)
		d.text(" IS DISTINCT FROM ")
		d.operand(x.Right, x, true, false)
		d.close()
	case *NullIf:
		d.text("NULLIF(")
		d.list([]Scalar{x.Left, x.Right}, true)
		d.text(")")
	case *Case:
		d.caseOf(x)
	case *Coalesce:
		d.text("COALESCE(")
		d.list(x.Arguments, true)
		d.text(")")
	case *Extremum:
		d.text(map[bool]string{true: "LEAST(", false: "GREATEST("}[x.Least])
		d.list(x.Arguments, true)
		d.text(")")
	case *InList:
		d.inList(x)
	case *AnyAll:
		d.open()
		d.operand(x.Left, x, true, true)
		d.text(" " + x.Written + map[bool]string{true: " ALL (", false: " ANY ("}[x.All])
		d.operand(x.Array, x, true, false)
		d.text(")")
		d.close()
	case *ArrayOf:
		d.array(x)
	case *RowOf:
		d.text("ROW(")
		d.list(x.Fields, true)
		d.text(")")
	case *Field:
		d.text("(")
		d.expression(x.Row, false)
		d.text(")." + fieldName(x))
	case *Subscript:
		d.subscript(x)
	case *Subquery:
		d.subquery(x)
	}
}

func not(negated bool) string {
	if negated {
		return "NOT "
	}
	return ""
}

func fieldName(x *Field) string {
	if t := x.Row.Type(); x.Index < len(t.Fields) {
		return types.QuoteIdentifier(t.Fields[x.Index].Name)
	}
	return "f" + strconv.Itoa(x.Index+1)
}

func (d *deparser) test(argument, parent Scalar, words string) {
	d.open()
	d.operand(argument, parent, true, false)
	d.text(words)
	d.close()
}

// quote prints a string literal.
func quote(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// deparseContext prints constants in a form that any settings read back.
var deparseContext = &types.Context{}

// isObjectName reports whether a type's values are printed as names.
func isObjectName(t *types.T) bool {
	switch t.OID {
	case types.RegclassOID, types.RegtypeOID, types.RegprocOID, types.RegprocedureOID, types.RegoperOID, types.RegoperatorOID, types.RegroleOID, types.RegnamespaceOID:
		return true
	}
	return false
}

// constant prints a literal; typed: with its type where that isn't plain.
func (d *deparser) constant(k *Constant, typed bool) {
	name := k.T.String()
	if k.T.OID == types.UnknownOID {
		typed = false
	}
	if k.Value.Null {
		d.text("NULL")
		if typed {
			d.text("::" + name)
		}
		return
	}
	context := deparseContext
	if d.session != nil && isObjectName(k.T) {
		context = d.session
	}
	text := string(types.AppendText(nil, context, k.T, k.Value))
	label := true
	switch k.T.OID {
	case types.Int4OID:
		label = text[0] == '-'
		if label {
			text = quote(text)
		}
	case types.NumericOID:
		float := text[0] >= '0' && text[0] <= '9' && strings.ContainsAny(text, "eE.")
		label = !float || k.T.Typmod >= 0
		if !float {
			text = quote(text)
		}
	case types.BooleanOID:
		label = false
		text = map[bool]string{true: "true", false: "false"}[k.Value.Bool()]
	default:
		text = quote(text)
	}
	d.text(text)
	if typed && label {
		d.text("::" + name)
	}
}

// keywordOf returns the keyword that a call was written as.
func keywordOf(s Scalar) (string, bool) {
	c, ok := s.(*Call)
	if !ok || c.Operator == "" || c.Function.IsOperator() || len(c.Arguments) > 0 {
		return "", false
	}
	return c.Operator, true
}

func (d *deparser) cast(x *Cast, implicit bool) {
	if word, ok := keywordOf(x.Input); ok && x.Implicit {
		d.text(word)
		if t := x.Cast.To; t.Typmod >= 0 {
			d.text("(" + strconv.Itoa(int(t.Typmod)) + ")")
		}
		return
	}
	if x.Implicit && (!implicit || x.Input.Type().OID == x.Cast.To.OID) {
		d.expression(x.Input, implicit)
		return
	}
	t := x.Cast.To
	if x.Implicit {
		t = t.WithTypmod(-1)
	}
	if k, ok := x.Input.(*Constant); ok && k.T.OID == t.OID && k.T.Typmod == -1 {
		d.constant(k, false)
	} else {
		d.open()
		d.castInput(x)
		d.close()
	}
	d.text("::" + t.String())
}

// castInput prints what is cast; in the pretty style anything with operators is
// in parentheses.
func (d *deparser) castInput(x *Cast) {
	if d.pretty {
		switch in := x.Input.(type) {
		case *Call:
			if isOperatorCall(in) {
				d.text("(")
				d.expression(in, false)
				d.text(")")
				return
			}
		case *And, *Or, *Not, *IsNull, *IsTruth, *Distinct, *InList, *AnyAll:
			d.text("(")
			d.expression(in, false)
			d.text(")")
			return
		}
	}
	d.expression(x.Input, false)
}

func (d *deparser) function(x *Call) {
	if word, ok := keywordOf(x); ok {
		d.text(word)
		return
	}
	if isOperatorCall(x) {
		d.open()
		if len(x.Arguments) == 1 {
			d.text(x.Operator + " ")
			d.operand(x.Arguments[0], x, true, false)
		} else {
			d.operand(x.Arguments[0], x, true, true)
			d.text(" " + x.Operator + " ")
			d.operand(x.Arguments[1], x, true, false)
		}
		d.close()
		return
	}
	if x.Function.Name == "extract" && len(x.Arguments) == 2 {
		if k, ok := x.Arguments[0].(*Constant); ok {
			d.text("EXTRACT(" + k.Value.S + " FROM ")
			d.expression(x.Arguments[1], true)
			d.text(")")
			return
		}
	}
	d.text(types.QuoteIdentifier(x.Function.Name) + "(")
	d.list(x.Arguments, true)
	d.text(")")
}

func (d *deparser) caseOf(x *Case) {
	space := func() {
		if !d.lines {
			d.text(" ")
		}
	}
	d.keyword("CASE", 0, indentColumn, 0)
	if x.argument != nil {
		d.text(" ")
		d.expression(x.argument, true)
	}
	for _, w := range x.Whens {
		space()
		d.keyword("WHEN ", 0, 0, 0)
		condition := w.Condition
		if c, ok := condition.(*Call); ok && x.argument != nil && len(c.Arguments) == 2 {
			condition = c.Arguments[1]
		}
		d.expression(condition, false)
		d.text(" THEN ")
		d.expression(w.Result, true)
	}
	space()
	d.keyword("ELSE ", 0, 0, 0)
	if x.Else != nil {
		d.expression(x.Else, true)
	} else {
		d.text("NULL::" + x.T.String())
	}
	space()
	d.keyword("END", -indentColumn, 0, 0)
}

// inList prints IN as PostgreSQL stores it: = ANY (ARRAY[…]).
func (d *deparser) inList(x *InList) {
	t := types.ArrayTypeOf(x.Left.Type().WithTypmod(-1))
	if t == nil {
		t = x.Left.Type()
	}
	d.open()
	d.operand(x.Left, x, true, true)
	d.text(map[bool]string{true: " <> ALL (", false: " = ANY ("}[x.Negated])
	d.expression(&ArrayOf{Elements: x.Items, T: t}, true)
	d.text(")")
	d.close()
}

func (d *deparser) array(x *ArrayOf) {
	if len(x.Elements) == 0 {
		d.text("ARRAY[]::" + x.T.String())
		return
	}
	// A cast of all elements is printed as one of the array.
	if inner, ok := castElements(x.Elements); ok {
		d.open()
		d.text("ARRAY[")
		d.list(inner, true)
		d.text("]")
		d.close()
		d.text("::" + x.T.WithTypmod(-1).String())
		return
	}
	d.text("ARRAY[")
	d.list(x.Elements, true)
	d.text("]")
}

func castElements(list []Scalar) ([]Scalar, bool) {
	inner := make([]Scalar, len(list))
	for i, s := range list {
		c, ok := s.(*Cast)
		if !ok || c.Input.Type().OID == c.Cast.To.OID || i > 0 && c.Input.Type().OID != inner[0].Type().OID {
			return nil, false
		}
		inner[i] = c.Input
	}
	return inner, true
}

func (d *deparser) subscript(x *Subscript) {
	if _, plain := x.Array.(*Variable); plain {
		d.expression(x.Array, false)
	} else {
		d.text("(")
		d.expression(x.Array, false)
		d.text(")")
	}
	for _, i := range x.Indexes {
		d.text("[")
		if i.Low != nil {
			d.expression(i.Low, false)
		}
		if x.Slice {
			d.text(":")
		}
		if i.High != nil {
			d.expression(i.High, false)
		}
		d.text("]")
	}
}

func (d *deparser) subquery(x *Subquery) {
	if d.query != nil {
		d.query(d, x)
		return
	}
	switch x.Kind {
	case Exists:
		d.text("EXISTS(SubPlan)")
	case Any, All:
		d.text("(hashed SubPlan)")
	default:
		d.text("(SubPlan)")
	}
}
