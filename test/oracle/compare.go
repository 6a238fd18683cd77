package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Outcome is what a server made of a statement, as a client sees it.
type Outcome struct {
	Columns []string // name and type
	Rows    [][]string
	Tag     string
	// SQLState and Message are set instead when the statement failed.
	SQLState, Message, Detail, Constraint string
}

// Execute runs a statement with the simple protocol and returns the outcome of
// the last of the statements it consists of. The error is about the connection.
func Execute(ctx context.Context, conn *pgconn.PgConn, sql string) (Outcome, error) {
	var o Outcome
	results := conn.Exec(ctx, sql)
	for results.NextResult() {
		reader := results.ResultReader()
		o = Outcome{}
		for _, f := range reader.FieldDescriptions() {
			o.Columns = append(o.Columns, fmt.Sprintf("%s:%d:%d", f.Name, f.DataTypeOID, f.TypeModifier))
		}
		for reader.NextRow() {
			row := make([]string, len(reader.Values()))
			for i, v := range reader.Values() {
				if row[i] = string(v); v == nil {
					row[i] = "␀"
				}
			}
			o.Rows = append(o.Rows, row)
		}
		tag, _ := reader.Close()
		o.Tag = tag.String()
	}
	err := results.Close()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return Outcome{SQLState: pgErr.Code, Message: pgErr.Message, Detail: pgErr.Detail, Constraint: pgErr.ConstraintName}, nil
	}
	return o, err
}

// Difference says how b differs from a, "" if it doesn't. Rows are compared
// without their order unless ordered.
func Difference(a, b Outcome, ordered bool) string {
	if a.SQLState != b.SQLState {
		return fmt.Sprintf("SQLSTATE %q (%s) against %q (%s)", a.SQLState, a.Message, b.SQLState, b.Message)
	}
	if a.SQLState != "" {
		if a.Message != b.Message || a.Detail != b.Detail || a.Constraint != b.Constraint {
			return fmt.Sprintf("error %q, detail %q, constraint %q against %q, %q, %q", a.Message, a.Detail, a.Constraint, b.Message, b.Detail, b.Constraint)
		}
		return ""
	}
	if !slices.Equal(a.Columns, b.Columns) {
		return fmt.Sprintf("columns %v against %v", a.Columns, b.Columns)
	}
	if a.Tag != b.Tag {
		return fmt.Sprintf("tag %q against %q", a.Tag, b.Tag)
	}
	left, right := lines(a.Rows, ordered), lines(b.Rows, ordered)
	if !slices.Equal(left, right) {
		return fmt.Sprintf("rows\n  %s\nagainst\n  %s", strings.Join(left, "\n  "), strings.Join(right, "\n  "))
	}
	return ""
}

func lines(rows [][]string, ordered bool) []string {
	text := make([]string, len(rows))
	for i, r := range rows {
		text[i] = strings.Join(r, " | ")
	}
	if !ordered {
		slices.Sort(text)
	}
	return text
}
