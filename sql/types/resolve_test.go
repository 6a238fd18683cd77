package types

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cairndb/cairn/sql/pgerror"
)

// registerSamples registers functions that print their arguments.
func registerSamples() {
	show := func(args []*T, _ *T) EvalFunc {
		return func(ctx *Context, a []Datum) (Datum, error) {
			var parts []string
			for i, d := range a {
				if d.Null {
					parts = append(parts, "NULL")
				} else {
					parts = append(parts, args[i].Text(ctx, d))
				}
			}
			return String(strings.Join(parts, ";")), nil
		}
	}
	Register(
		Overload{Name: "sample_named", Args: []*T{Int4, Text, Boolean}, ArgNames: []string{"a", "b", "c"}, Defaults: []Datum{String("dflt"), Bool(true)}, Return: Text, Bind: show},
		Overload{Name: "sample_variadic", Args: []*T{Text, ArrayTypeOf(Int4)}, Variadic: true, Return: Text, Bind: show},
		Overload{Name: "sample_any", Args: []*T{Any}, Variadic: true, CalledOnNull: true, Return: Text, Bind: show},
		Overload{Name: "sample_poly", Args: []*T{AnyElement, AnyArray}, Return: AnyElement, Bind: show},
		Overload{Name: "sample_compatible", Args: []*T{AnyCompatible, AnyCompatibleArray}, Return: AnyCompatibleArray, Bind: show},
		Overload{Name: "sample_overloaded", Args: []*T{Float8}, Return: Text, Bind: show},
		Overload{Name: "sample_overloaded", Args: []*T{Numeric}, Return: Text, Bind: show},
		Overload{Name: "sample_ambiguous", Args: []*T{Int4, Int8}, Return: Text, Bind: show},
		Overload{Name: "sample_ambiguous", Args: []*T{Int8, Int4}, Return: Text, Bind: show},
	)
}

func describeBound(b *Bound, err error) string {
	if err != nil {
		e, ok := errors.AsType[*pgerror.Error](err)
		if !ok {
			return err.Error()
		}
		return e.Code + " " + e.Message
	}
	var args []string
	for _, t := range b.Args {
		args = append(args, t.String())
	}
	return fmt.Sprintf("(%s) %s %v", strings.Join(args, ", "), b.Return, b.Order)
}

func TestResolveFunction(t *testing.T) {
	registerSamples()
	varchar10 := Varchar.WithTypmod(14)
	for _, c := range []struct {
		name     string
		args     []*T
		names    []string
		variadic bool
		want     string
	}{
		{"sample_named", []*T{Int4}, nil, false, "(integer, text, boolean) text [0 -1 -1]"},
		{"sample_named", []*T{Int2, varchar10}, nil, false, "(integer, text, boolean) text [0 1 -1]"},
		{"sample_named", []*T{Boolean, Int4}, []string{"c", "a"}, false, "(integer, text, boolean) text [1 -1 0]"},
		{"sample_named", []*T{Int4, Boolean}, []string{"", "c"}, false, "(integer, text, boolean) text [0 -1 1]"},
		{"sample_named", []*T{Int4, Boolean}, []string{"", "x"}, false, "42883 function sample_named(integer, x => boolean) does not exist"},
		{"sample_named", []*T{Int8}, nil, false, "42883 function sample_named(bigint) does not exist"},
		{"sample_named", nil, nil, false, "42883 function sample_named() does not exist"},
		{"sample_variadic", []*T{Unknown, Int4, Int2, Unknown}, nil, false, "(text, integer, integer, integer) text []"},
		{"sample_variadic", []*T{Text, ArrayTypeOf(Int4)}, nil, true, "(text, integer[]) text []"},
		{"sample_variadic", []*T{Text}, nil, false, "42883 function sample_variadic(text) does not exist"},
		{"sample_any", []*T{Int4, Unknown, Date}, nil, false, "(integer, unknown, date) text []"},
		{"sample_poly", []*T{Int4, ArrayTypeOf(Int4)}, nil, false, "(integer, integer[]) integer []"},
		{"sample_poly", []*T{Unknown, ArrayTypeOf(Int4)}, nil, false, "(integer, integer[]) integer []"},
		{"sample_poly", []*T{Int4, ArrayTypeOf(Int8)}, nil, false, "42883 function sample_poly(integer, bigint[]) does not exist"},
		{"sample_compatible", []*T{Int4, ArrayTypeOf(Numeric)}, nil, false, "(numeric, numeric[]) numeric[] []"},
		{"sample_compatible", []*T{Unknown, Unknown}, nil, false, "(text, text[]) text[] []"},
		{"sample_overloaded", []*T{Int4}, nil, false, "(double precision) text []"},
		{"sample_overloaded", []*T{Unknown}, nil, false, "(double precision) text []"},
		{"sample_ambiguous", []*T{Int4, Int4}, nil, false, "42725 function sample_ambiguous(integer, integer) is not unique"},
		{"int4", []*T{Text}, nil, false, "(text) integer []"},
		{"date", []*T{Unknown}, nil, false, "(unknown) date []"},
		{"float8", []*T{Int4}, nil, false, "(integer) double precision []"},
		{"text", []*T{Int4}, nil, false, "(integer) text []"},
	} {
		b, err := ResolveFunction(c.name, c.args, c.names, c.variadic)
		if got := describeBound(b, err); got != c.want {
			t.Errorf("%s(%s): got %s, want %s", c.name, argumentList(c.args, c.names), got, c.want)
		}
	}
	b, err := ResolveFunction("sample_variadic", []*T{Text, Int4, Int4}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]Datum{"x;{1,2}": {String("x"), Int(1), Int(2)}, "x;{NULL,2}": {String("x"), DNull, Int(2)}, "": {DNull, Int(1), Int(2)}} {
		if d, err := b.Call(nil, args); err != nil || d.S != want {
			t.Errorf("variadic call: got %q, %v, want %q", d.S, err, want)
		}
	}
}

func TestHashAgreesWithCompare(t *testing.T) {
	for _, c := range []struct {
		t    *T
		a, b string
	}{
		{Numeric, "1.0", "1.000"}, {Numeric, "0", "0.00"}, {Numeric, "12345678901234567890123000", "12345678901234567890123e3"},
		{Numeric, "100000000000000000000", "1e20"}, {Float8, "0", "-0"}, {Float8, "nan", "NaN"}, {Interval, "1 mon", "30 days"},
		{BPChar, "a", "a  "}, {JSONB, `{"a": 1.0}`, `{"a": 1.00}`}, {ArrayTypeOf(Numeric), "{1,2.0}", "{1.0,2}"}, {Numeric, "-1.50", "-1.5"},
	} {
		a, err := Parse(nil, c.t, c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(nil, c.t, c.b)
		if err != nil {
			t.Fatal(err)
		}
		if Compare(c.t, a, b) != 0 || HashTo(1, c.t, a) != HashTo(1, c.t, b) {
			t.Errorf("%s %s and %s: compare %d, hashes %x and %x", c.t, c.a, c.b, Compare(c.t, a, b), HashTo(1, c.t, a), HashTo(1, c.t, b))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "2021-01-01 10:00 America/New_York", "P1Y", "{1,{2}}", `{"a":[1]}`, "\\x00", "-1.5e3", "(1,2)", "1 day ago"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, typ := range All() {
			d, err := Parse(nil, typ, s)
			if err != nil {
				continue
			}
			b, err := AppendBinary(nil, typ, d)
			if err != nil {
				continue
			}
			if _, err := ParseBinary(typ, b); err == nil {
				Compare(typ, d, d)
				HashTo(0, typ, d)
			}
			_, _ = ParseBinary(typ, []byte(s))
			_ = AppendText(nil, nil, typ, d)
		}
		_, _ = ParseTypeName(s)
		_, _ = Like(s, s, true, false)
		_, _ = CompileRegularExpression(s, RegularExpressionOptions{})
	})
}
