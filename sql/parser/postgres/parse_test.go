package postgres

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// TestScripts prints the tree of each statement of testdata: names and values
// without what is zero, and without positions.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			statements, err := Parse(d.Input)
			if err != nil {
				e := err.(*pgerror.Error)
				return fmt.Sprintf("%s at %d: %s\n", e.Code, e.Position, e.Message)
			}
			var b strings.Builder
			for _, s := range statements {
				dump(&b, reflect.ValueOf(s.AST), 0)
				b.WriteByte('\n')
			}
			return b.String()
		})
	})
}

// dump writes a tree as indented lines.
func dump(b *strings.Builder, v reflect.Value, depth int) {
	indent := "\n" + strings.Repeat("  ", depth+1)
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		dump(b, v.Elem(), depth)
	case reflect.Struct:
		b.WriteString(v.Type().Name())
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Type == reflect.TypeFor[parser.Position]() || v.Field(i).IsZero() {
				continue
			}
			b.WriteString(indent + f.Name + ": ")
			dump(b, v.Field(i), depth+1)
		}
	case reflect.Slice:
		for i := range v.Len() {
			b.WriteString(indent + "- ")
			dump(b, v.Index(i), depth+1)
		}
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprintf(b, "%v", v.Interface())
	}
}

func TestTextsAndOffsetsOfSeveralStatements(t *testing.T) {
	statements, err := Parse(" SELECT 1 ;\n/* two */ SELECT $2, $1;;")
	if err != nil {
		t.Fatal(err)
	}
	if len(statements) != 2 {
		t.Fatalf("%d statements", len(statements))
	}
	if s := statements[0]; s.Text != "SELECT 1" || s.Offset != 1 || s.Parameters != 0 {
		t.Errorf("first: %q at %d with %d parameters", s.Text, s.Offset, s.Parameters)
	}
	if s := statements[1]; !strings.HasSuffix(s.Text, "SELECT $2, $1") || s.Parameters != 2 {
		t.Errorf("second: %q with %d parameters", s.Text, s.Parameters)
	}
}

// TestTooComplexTextsAreRefused: each of these texts overflows a stack in
// libpg_query or in what reads its tree, unless it is refused before.
func TestTooComplexTextsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"operator chain":       "SELECT 1" + strings.Repeat("+1", 200_000),
		"parentheses":          "SELECT " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"open parentheses":     "SELECT " + strings.Repeat("(", 100_000),
		"mixed AND and OR":     "SELECT true" + strings.Repeat(" AND true OR true", 100_000),
		"NOT":                  "SELECT " + strings.Repeat("NOT ", 200_000) + "true",
		"minus":                "SELECT " + strings.Repeat("- ", 200_000) + "1",
		"casts":                "SELECT 1" + strings.Repeat("::int", 100_000),
		"subqueries":           "SELECT " + strings.Repeat("(SELECT ", 50_000) + "1" + strings.Repeat(")", 50_000),
		"joins":                "SELECT 1 FROM a" + strings.Repeat(" JOIN a ON true", 50_000),
		"unions":               "SELECT 1" + strings.Repeat(" UNION SELECT 1", 50_000),
		"case":                 "SELECT " + strings.Repeat("CASE WHEN true THEN ", 50_000) + "1" + strings.Repeat(" END", 50_000),
		"field selections":     "SELECT (a)" + strings.Repeat(".a", 100_000),
		"collations":           "SELECT 'a'" + strings.Repeat(` COLLATE "C"`, 50_000),
		"IS NULL":              "SELECT 1" + strings.Repeat(" IS NULL", 100_000),
		"AT TIME ZONE":         "SELECT now()" + strings.Repeat(" AT TIME ZONE 'UTC'", 50_000),
		"nested arrays":        "SELECT " + strings.Repeat("ARRAY[", 50_000) + "1" + strings.Repeat("]", 50_000),
		"nested rows in lists": "SELECT " + strings.Repeat("(1,", 50_000) + "1" + strings.Repeat(")", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(text)
			if code := pgerror.Code(err); code != pgerror.StatementTooComplex {
				t.Errorf("%v (%s)", err, code)
			}
		})
	}
}

func TestLargeButFlatTextsAreTaken(t *testing.T) {
	for name, text := range map[string]string{
		"IN list":       "SELECT 1 WHERE 1 IN (1" + strings.Repeat(",1", 100_000) + ")",
		"VALUES":        "VALUES (1,2)" + strings.Repeat(",(1,2)", 50_000),
		"terms":         "SELECT 1" + strings.Repeat("+1", 1_900),
		"statements":    strings.Repeat("SELECT 1;", 10_000),
		"string":        "SELECT '" + strings.Repeat("(+", 200_000) + "'",
		"comment":       "SELECT 1 /* " + strings.Repeat("((", 200_000) + " */",
		"subscripts":    "SELECT a" + strings.Repeat("[1]", 100_000),
		"dollar quotes": "SELECT $a$" + strings.Repeat("(+", 200_000) + "$a$",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStatementsBeyondTheBoundAreRefused(t *testing.T) {
	_, err := Parse("SELECT '" + strings.Repeat("x", MaxStatementBytes) + "'")
	if code := pgerror.Code(err); code != pgerror.ProgramLimitExceeded {
		t.Errorf("%v (%s)", err, code)
	}
}

// FuzzParse: whatever the text, Parse returns; its errors have a SQLSTATE.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"SELECT a.b, count(*) FILTER (WHERE c) OVER (PARTITION BY d ORDER BY e) FROM t LEFT JOIN u USING (x) WHERE y IN (SELECT 1)",
		"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING *",
		"CREATE TABLE t (id serial PRIMARY KEY, r int REFERENCES u (id) ON DELETE CASCADE, CHECK (r > 0))",
		"ALTER TABLE t SPLIT AT VALUES (1), (2)", "COPY t FROM STDIN WITH (FORMAT csv)", "BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT",
		"WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 2 FROM r) SELECT * FROM r", "SELECT E'\\x41', U&'\\0041', B'1', $1::int[]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse(text); err != nil && pgerror.Code(err) == pgerror.Internal {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"point select": "SELECT abalance FROM pgbench_accounts WHERE aid = 4711",
		"update":       "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 4711",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
