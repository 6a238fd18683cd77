package sqllogictest

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Options say how a file is run.
type Options struct {
	// Engine is the name that skipif and onlyif are compared with; "postgresql"
	// if empty.
	Engine string
	// Timeout bounds each statement; no bound if zero.
	Timeout time.Duration
	// Failed, if set, is told of each record that did not do as the file says.
	Failed func(Failure)
}

// Failure is a record whose outcome isn't the file's.
type Failure struct {
	Line   int // of the record in the file, from 1
	SQL    string
	Reason string
}

// Result counts the records of a file.
type Result struct{ Passed, Failed, Skipped int }

// Add adds the counts of o.
func (r *Result) Add(o Result) {
	r.Passed += o.Passed
	r.Failed += o.Failed
	r.Skipped += o.Skipped
}

// Run runs all records of a file, in order, on one connection. It returns an
// error where the file is malformed or the connection is lost; a record that
// fails is counted and reported, and the run goes on.
func Run(ctx context.Context, conn *pgconn.PgConn, file io.Reader, o Options) (Result, error) {
	if o.Engine == "" {
		o.Engine = "postgresql"
	}
	var result Result
	labels := map[string]string{} // label → MD5 of its first result
	p := newParser(file, o.Engine)
	for {
		rec, err := p.next()
		if err != nil {
			return result, err
		}
		if rec == nil || rec.halt {
			return result, nil
		}
		if rec.skip {
			result.Skipped++
			continue
		}
		reason := check(ctx, conn, rec, labels, o.Timeout)
		if reason == "" {
			result.Passed++
			continue
		}
		result.Failed++
		if o.Failed != nil {
			o.Failed(Failure{Line: rec.line, SQL: rec.sql, Reason: reason})
		}
		if conn.IsClosed() {
			return result, fmt.Errorf("line %d: the connection is lost: %s", rec.line, reason)
		}
	}
}

// check runs a record and says what is wrong with its outcome, "" if nothing.
func check(ctx context.Context, conn *pgconn.PgConn, rec *record, labels map[string]string, timeout time.Duration) string {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	rows, columns, err := execute(ctx, conn, rec)
	if rec.expectError {
		if err == nil {
			return "no error, though one is expected"
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); rec.sqlState != "" && (!ok || pgErr.Code != rec.sqlState) {
			return fmt.Sprintf("error is %v, SQLSTATE %s is expected", err, rec.sqlState)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	if !rec.isQuery {
		return ""
	}
	if columns != len(rec.types) {
		return fmt.Sprintf("%d columns, %d are expected", columns, len(rec.types))
	}
	return compare(rec, sorted(rows, columns, rec.sortMode), labels)
}

// execute returns the values of the statement's last result, formatted, row by row.
func execute(ctx context.Context, conn *pgconn.PgConn, rec *record) (values []string, columns int, err error) {
	results := conn.Exec(ctx, rec.sql)
	for results.NextResult() {
		reader := results.ResultReader()
		columns = len(reader.FieldDescriptions())
		values = values[:0]
		for reader.NextRow() {
			for i, v := range reader.Values() {
				kind := byte('T')
				if i < len(rec.types) {
					kind = rec.types[i]
				}
				values = append(values, format(v, kind))
			}
		}
	}
	return values, columns, results.Close()
}

// format writes a value as the reference program does (sqllogictest.c).
func format(v []byte, kind byte) string {
	if v == nil {
		return "NULL"
	}
	s := string(v)
	switch kind {
	case 'I':
		return formatInteger(s)
	case 'R':
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return s
		}
		switch { // as C's printf
		case math.IsNaN(f):
			return "nan"
		case math.IsInf(f, 0):
			return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'f', 3, 64), "+"))
		}
		return strconv.FormatFloat(f, 'f', 3, 64)
	default:
		if s == "" {
			return "(empty)"
		}
		return strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '@'
			}
			return r
		}, s)
	}
}

func formatInteger(s string) string {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s
	}
	switch s {
	case "t":
		return "1"
	case "f":
		return "0"
	}
	f, _, err := big.ParseFloat(s, 10, 256, big.ToZero)
	if err != nil {
		return "0"
	}
	i, _ := f.Int(nil)
	return i.String()
}

func sorted(values []string, columns int, mode string) []string {
	switch mode {
	case "valuesort":
		slices.Sort(values)
	case "rowsort":
		rows := slices.Collect(slices.Chunk(values, max(columns, 1)))
		slices.SortStableFunc(rows, slices.Compare)
		values = slices.Concat(rows...)
	}
	return values
}

func compare(rec *record, values []string, labels map[string]string) string {
	sum := md5.New()
	for _, v := range values {
		io.WriteString(sum, v)
		io.WriteString(sum, "\n")
	}
	hash := fmt.Sprintf("%x", sum.Sum(nil))
	if rec.label != "" {
		if first, seen := labels[rec.label]; seen && first != hash {
			return fmt.Sprintf("result differs from an earlier one with the label %s", rec.label)
		}
		labels[rec.label] = hash
	}
	if len(rec.expected) == 1 && strings.Contains(rec.expected[0], " values hashing to ") {
		if got := fmt.Sprintf("%d values hashing to %s", len(values), hash); got != rec.expected[0] {
			return fmt.Sprintf("%s, expected %s", got, rec.expected[0])
		}
		return ""
	}
	if !slices.Equal(values, rec.expected) {
		return fmt.Sprintf("values %s, expected %s", shorten(values), shorten(rec.expected))
	}
	return ""
}

func shorten(values []string) string {
	const most = 24
	if len(values) > most {
		return fmt.Sprintf("%q and %d more", values[:most], len(values)-most)
	}
	return fmt.Sprintf("%q", values)
}
