package functions

import (
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// QuoteLiteral returns s as a string literal of SQL.
func QuoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

func defineQuoting(d definitions) {
	d.scalar("quote_ident(text)", text1(types.QuoteIdentifier))
	d.scalar("quote_literal(text)", text1(quoteLiteralTight))
	d.bind("quote_literal(anyelement)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(quoteLiteralTight(textOf(ctx, args[0], a[0]))), nil
		}
	})
	d.scalar("quote_nullable(text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Null {
			return types.String("NULL"), nil
		}
		return types.String(quoteLiteralTight(a[0].S)), nil
	})
	d.bind("quote_nullable(anyelement)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.String("NULL"), nil
			}
			return types.String(quoteLiteralTight(textOf(ctx, args[0], a[0]))), nil
		}
	})
	d.bind("concat(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(string(joinTexts(ctx, "", args, a))), nil
		}
	})
	d.bind("concat_ws(text,any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			return types.String(string(joinTexts(ctx, a[0].S, args[1:], a[1:]))), nil
		}
	})
	d.scalar("format(text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Null {
			return types.DNull, nil
		}
		return formatText(ctx, a[0].S, nil, nil)
	})
	d.bind("format(text,any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			if a[0].Null {
				return types.DNull, nil
			}
			return formatText(ctx, a[0].S, args[1:], a[1:])
		}
	})
	d.scalar("parse_ident(text,bool)", parseIdentifiers)
}

// quoteLiteralTight is quote_literal: unlike what deparsed expressions need, an
// escape string has no space before it.
func quoteLiteralTight(s string) string { return strings.TrimPrefix(QuoteLiteral(s), " ") }

// joinTexts joins the values that are not NULL.
func joinTexts(ctx *types.Context, separator string, ts []*types.T, values []types.Datum) []byte {
	var out []byte
	first := true
	for i, v := range values {
		if v.Null {
			continue
		}
		if !first {
			out = append(out, separator...)
		}
		first = false
		out = types.AppendText(out, ctx, ts[i], v)
	}
	return out
}

// formatter is the state of format().
type formatter struct {
	ctx    *types.Context
	format string
	at     int
	types  []*types.T
	values []types.Datum
	next   int // index of the argument that follows the last used one
	out    []byte
}

func formatText(ctx *types.Context, format string, ts []*types.T, values []types.Datum) (types.Datum, error) {
	f := &formatter{ctx: ctx, format: format, types: ts, values: values}
	for f.at < len(format) {
		c := format[f.at]
		f.at++
		if c != '%' {
			f.out = append(f.out, c)
			continue
		}
		if f.at >= len(format) {
			return types.DNull, errUnterminatedFormat()
		}
		if format[f.at] == '%' {
			f.at++
			f.out = append(f.out, '%')
			continue
		}
		if err := f.specifier(); err != nil {
			return types.DNull, err
		}
	}
	return types.String(string(f.out)), nil
}

func errUnterminatedFormat() error {
	return pgerror.New(pgerror.InvalidParameterValue, "unterminated format() type specifier").
		WithHint("For a single \"%%\" use \"%%%%\".")
}

// number reads digits; found is false if there are none.
func (f *formatter) number() (n int, found bool, err error) {
	start := f.at
	for f.at < len(f.format) && f.format[f.at] >= '0' && f.format[f.at] <= '9' {
		f.at++
	}
	if start == f.at {
		return 0, false, nil
	}
	n64, err := strconv.ParseInt(f.format[start:f.at], 10, 32)
	if err != nil {
		return 0, false, pgerror.New(pgerror.NumericValueOutOfRange, "number is out of range")
	}
	if f.at >= len(f.format) {
		return 0, false, errUnterminatedFormat()
	}
	return int(n64), true, nil
}

// argument returns the index of the argument n, counted from 1; 0: the next.
func (f *formatter) argument(n int) (int, error) {
	i := f.next
	if n > 0 {
		i = n - 1
	}
	if i >= len(f.values) {
		return 0, pgerror.New(pgerror.InvalidParameterValue, "too few arguments for format()")
	}
	f.next = i + 1
	return i, nil
}

func errArgumentZero() error {
	return pgerror.New(pgerror.InvalidParameterValue, "format specifies argument 0, but arguments are numbered from 1")
}

// specifier handles %[position][flags][width]type; at stands after the %.
func (f *formatter) specifier() error {
	position, width, left := 0, 0, false
	n, found, err := f.number()
	if err != nil {
		return err
	}
	widthGiven := false
	if found {
		if f.format[f.at] == '$' {
			if n == 0 {
				return errArgumentZero()
			}
			position = n
			f.at++
		} else {
			width, widthGiven = n, true
		}
	}
	for f.at < len(f.format) && f.format[f.at] == '-' && !widthGiven {
		left = true
		f.at++
	}
	if f.at < len(f.format) && f.format[f.at] == '*' && !widthGiven {
		width, err = f.widthArgument()
	} else if !widthGiven {
		width, _, err = f.number()
	}
	if err != nil {
		return err
	}
	if f.at >= len(f.format) {
		return errUnterminatedFormat()
	}
	if width < 0 {
		left, width = true, -width
	}
	kind := f.format[f.at]
	if kind != 's' && kind != 'I' && kind != 'L' {
		r := []rune(f.format[f.at:])[0]
		return pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized format() type specifier \"%c\"", r).
			WithHint("For a single \"%%\" use \"%%%%\".")
	}
	f.at++
	i, err := f.argument(position)
	if err != nil {
		return err
	}
	text := ""
	value := f.values[i]
	switch {
	case kind == 'I' && value.Null:
		return pgerror.New(pgerror.NullValueNotAllowed, "null values cannot be formatted as an SQL identifier")
	case kind == 'L' && value.Null:
		text = "NULL"
	case value.Null:
	case kind == 'I':
		text = types.QuoteIdentifier(textOf(f.ctx, f.types[i], value))
	case kind == 'L':
		text = quoteLiteralTight(textOf(f.ctx, f.types[i], value))
	default:
		text = textOf(f.ctx, f.types[i], value)
	}
	padded, err := pad(text, int64(max(width, len([]rune(text)))), " ", !left)
	f.out = append(f.out, padded.S...)
	return err
}

// widthArgument reads the width from an argument: * or *n$.
func (f *formatter) widthArgument() (int, error) {
	f.at++
	n, found, err := f.number()
	if err != nil {
		return 0, err
	}
	if found {
		if f.format[f.at] != '$' {
			return 0, pgerror.New(pgerror.InvalidParameterValue, "width argument position must be ended by \"$\"")
		}
		f.at++
		if n == 0 {
			return 0, errArgumentZero()
		}
	}
	i, err := f.argument(n)
	if err != nil || f.values[i].Null {
		return 0, err
	}
	width, err := strconv.ParseInt(textOf(f.ctx, f.types[i], f.values[i]), 10, 32)
	if err != nil {
		return 0, pgerror.Newf(pgerror.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"", "integer", textOf(f.ctx, f.types[i], f.values[i]))
	}
	return int(width), nil
}

// parseIdentifiers is parse_ident: the parts of a qualified name.
func parseIdentifiers(_ *types.Context, a []types.Datum) (types.Datum, error) {
	input, strict := a[0].S, a[1].Bool()
	invalid := func(format string, args ...any) (types.Datum, error) {
		e := pgerror.Newf(pgerror.InvalidParameterValue, "string is not a valid identifier: \"%s\"", input)
		if format != "" {
			e = e.WithDetail(format, args...)
		}
		return types.DNull, e
	}
	const space = " \t\n\r\f\v"
	var parts []string
	s := strings.TrimLeft(input, space)
	for afterDot := false; ; {
		switch {
		case strings.HasPrefix(s, `"`):
			part, rest, ok := quotedPart(s)
			if !ok {
				return invalid("String has unclosed double quotes.")
			}
			if part == "" {
				return invalid("Quoted identifier must not be empty.")
			}
			parts, s = append(parts, part), rest
		default:
			end := 0
			for end < len(s) && (isIdentifierStart(s[end]) || end > 0 && (s[end] == '$' || s[end] >= '0' && s[end] <= '9')) {
				end++
			}
			if end == 0 {
				switch {
				case strings.HasPrefix(s, "."):
					return invalid("No valid identifier before \".\".")
				case afterDot:
					return invalid("No valid identifier after \".\".")
				}
				return invalid("")
			}
			parts, s = append(parts, asciiLower(s[:end])), s[end:]
		}
		s = strings.TrimLeft(s, space)
		if !strings.HasPrefix(s, ".") {
			break
		}
		afterDot = true
		s = strings.TrimLeft(s[1:], space)
	}
	if s != "" && strict {
		return invalid("")
	}
	return textArray(parts), nil
}

// quotedPart reads an identifier in double quotes.
func quotedPart(s string) (part, rest string, ok bool) {
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			out.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			out.WriteByte('"')
			i++
			continue
		}
		return out.String(), s[i+1:], true
	}
	return "", "", false
}

func isIdentifierStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func defineNormalization(d definitions) {
	form := func(name string) (norm.Form, error) {
		switch strings.ToUpper(name) {
		case "NFC":
			return norm.NFC, nil
		case "NFD":
			return norm.NFD, nil
		case "NFKC":
			return norm.NFKC, nil
		case "NFKD":
			return norm.NFKD, nil
		}
		return 0, pgerror.Newf(pgerror.InvalidParameterValue, "invalid normalization form: %s", name)
	}
	d.scalar("normalize(text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		f, err := form(a[1].S)
		if err != nil {
			return types.DNull, err
		}
		return types.String(f.String(a[0].S)), nil
	})
	d.scalar("is_normalized(text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		f, err := form(a[1].S)
		if err != nil {
			return types.DNull, err
		}
		return types.Bool(f.IsNormalString(a[0].S)), nil
	})
}
