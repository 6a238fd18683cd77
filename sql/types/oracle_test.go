package types

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
)

// testdata/expected.tsv holds what PostgreSQL 15 answered (testdata/generate.py).

func unescapeCopy(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(s)
}

func oracleContext(t *testing.T) *Context {
	location, err := LoadLocation("america/new_york")
	if err != nil {
		t.Fatal(err)
	}
	return &Context{Ctx: context.Background(), Location: location, TransactionTime: TimestampOf(time.Now())}
}

// oracleType reads a type as the expressions write it.
func oracleType(name string) (*T, error) {
	fields := map[string]int32{"day": intervalDay, "hour to minute": intervalHour | intervalMinute, "year to month": intervalYear | intervalMonth, "minute to second": intervalMinute | intervalSecond, "year": intervalYear, "hour": intervalHour}
	if rest, ok := strings.CutPrefix(name, "interval "); ok {
		return FromName([]string{"interval"}, []int32{fields[rest]}, 0)
	}
	if name == "unknown" {
		return Unknown, nil
	}
	return ParseTypeName(name)
}

type oracleValue struct {
	t *T
	d Datum
}

func literalOf(ctx *Context, typeName, text string) (oracleValue, error) {
	t, err := oracleType(typeName)
	if err != nil {
		return oracleValue{}, err
	}
	return castTo(ctx, oracleValue{Unknown, String(text)}, t)
}

func castTo(ctx *Context, v oracleValue, t *T) (oracleValue, error) {
	cast, ok := FindCast(v.t, t, ExplicitCast)
	if !ok {
		return v, cannotCast(v.t, t)
	}
	d, err := cast.Eval(ctx, v.d)
	return oracleValue{t, d}, err
}

func evaluateOracle(ctx *Context, kind, a, b, c string) (oracleValue, error) {
	switch kind {
	case "out":
		styled, err := withSetting(*ctx, a)
		if err != nil {
			return oracleValue{}, err
		}
		v, err := literalOf(&styled, b, c)
		if err != nil {
			return v, err
		}
		return castTo(&styled, v, Text)
	case "unify":
		left, err := oracleType(a)
		if err != nil {
			return oracleValue{}, err
		}
		right, err := oracleType(b)
		if err != nil {
			return oracleValue{}, err
		}
		t, err := UnifyTypes("COALESCE", []*T{left, right})
		return oracleValue{t, DNull}, err
	case "binary":
		return binaryForm(ctx, a, b)
	case "in":
		return literalOf(ctx, a, b)
	case "cast":
		t, err := oracleType(c)
		if err != nil {
			return oracleValue{}, err
		}
		v, err := literalOf(ctx, a, b)
		if err != nil {
			return v, err
		}
		return castTo(ctx, v, t)
	}
	parts := strings.Split(a, " ")
	var values []oracleValue
	for i, name := range parts[1:] {
		if name == "none" {
			continue
		}
		v, err := literalOf(ctx, name, []string{b, c}[i])
		if err != nil {
			return v, err
		}
		values = append(values, v)
	}
	var left *T
	if len(values) == 2 {
		left = values[0].t
	}
	bound, err := ResolveOperator(parts[0], left, values[len(values)-1].t)
	if err != nil {
		return oracleValue{}, err
	}
	args := make([]Datum, len(values))
	for i, v := range values {
		cast, ok := FindCast(v.t, bound.Args[i], ImplicitCast)
		if !ok {
			return v, errors.New("no implicit cast from " + v.t.Name + " to " + bound.Args[i].Name)
		}
		if args[i], err = cast.Eval(ctx, v.d); err != nil {
			return v, err
		}
	}
	d, err := bound.Call(ctx, args)
	return oracleValue{bound.Return, d}, err
}

// withSetting changes a setting as SET does.
func withSetting(ctx Context, setting string) (Context, error) {
	name, value, _ := strings.Cut(setting, "=")
	switch name {
	case "datestyle":
		style, order, _ := strings.Cut(value, ",")
		ctx.DateStyle = map[string]DateStyle{"ISO": ISODates, "Postgres": PostgresDates, "SQL": SQLDates, "German": GermanDates}[style]
		ctx.DateOrder = map[string]DateOrder{"MDY": MonthDayYear, "DMY": DayMonthYear, "YMD": YearMonthDay}[order]
	case "intervalstyle":
		ctx.IntervalStyle = map[string]IntervalStyle{"postgres": PostgresIntervals, "postgres_verbose": PostgresVerboseIntervals, "sql_standard": SQLStandardIntervals, "iso_8601": ISO8601Intervals}[value]
	case "extra_float_digits":
		n, err := strconv.Atoi(value)
		ctx.ExtraFloatDigits = ExtraFloatDigits(n - 1)
		return ctx, err
	case "bytea_output":
		ctx.ByteaEscape = value == "escape"
	}
	return ctx, nil
}

// binaryForm returns the binary form in hex, once it has read it back.
func binaryForm(ctx *Context, typeName, text string) (oracleValue, error) {
	v, err := literalOf(ctx, typeName, text)
	if err != nil {
		return v, err
	}
	b, err := AppendBinary(nil, v.t, v.d)
	if err != nil {
		return v, err
	}
	back, err := ParseBinary(v.t, b)
	if err != nil {
		return v, err
	}
	if string(AppendText(nil, ctx, v.t, back)) != string(AppendText(nil, ctx, v.t, v.d)) {
		return v, errors.New("read back as " + v.t.Text(ctx, back))
	}
	return oracleValue{Text, String(hex.EncodeToString(b))}, nil
}

// answerOf writes a result as the table has it.
func answerOf(ctx *Context, v oracleValue, err error) (string, string) {
	if err == nil && !v.d.Null {
		v2, castErr := castTo(ctx, v, Text)
		if castErr == nil {
			return v.t.SQLName, v2.d.S
		}
		err = castErr
	}
	if err == nil {
		return v.t.SQLName, "<NULL>"
	}
	e, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		return "?", err.Error()
	}
	text := e.Message
	if e.Detail != "" {
		text += " /D/ " + e.Detail
	}
	if e.Hint != "" {
		text += " /H/ " + e.Hint
	}
	return e.Code, abbreviate.Replace(text)
}

// abbreviate shortens what the table repeats often.
var abbreviate = strings.NewReplacer(" /H/ No operator matches the given name and argument types. You might need to add explicit type casts.", " /H/ no match",
	"operator does not exist: ", "no: ")

func TestAnswersAsPostgreSQL(t *testing.T) {
	table, err := os.ReadFile("testdata/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	ctx := oracleContext(t)
	differences := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(string(table), "\n"), "\n") {
		f := strings.Split(line, "\t")
		for i := range f {
			f[i] = unescapeCopy(f[i])
		}
		v, err := evaluateOracle(ctx, f[0], f[1], f[2], f[3])
		gotType, got := answerOf(ctx, v, err)
		if gotType != f[4] || got != f[5] {
			if differences++; differences <= 100 {
				t.Errorf("%s %s %q %q\n got %s %s\nwant %s %s", f[0], f[1], f[2], f[3], gotType, got, f[4], f[5])
			}
		}
	}
	if differences > 0 {
		t.Errorf("%d answers differ", differences)
	}
}
