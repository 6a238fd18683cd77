// Package sqllogictest runs files in the format of SQLite's sqllogictest
// project against any server that speaks the Postgres protocol. It knows
// nothing of Cairn: it takes a connection.
//
// The format (sqlite.org/sqllogictest, "About"): records divided by blank
// lines. "statement ok|error" is followed by SQL; "query TYPES SORTMODE LABEL"
// by SQL, a line of dashes and the expected values, one a line, or their
// count and MD5. "skipif"/"onlyif ENGINE" guard the record behind them,
// "hash-threshold N" says from how many values on results are hashed, "halt"
// ends the file. Two forms of our own: "statement error SQLSTATE" checks the
// code too, and a query's SQL may be checked with "rowsort" like theirs.
package sqllogictest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// record is one statement or query of a file.
type record struct {
	line          int // of the statement or query directive, from 1
	sql           string
	isQuery       bool
	expectError   bool
	sqlState      string // expected, where the file names one
	types         string // of the query's columns: T, I or R each
	sortMode      string // nosort, rowsort or valuesort
	label         string
	expected      []string
	hashThreshold int
	skip          bool // the file excludes the engine
	halt          bool
}

// parser reads records one by one, so that a file of any size needs little memory.
type parser struct {
	in            *bufio.Reader
	engine        string
	line          int
	hashThreshold int
	err           error
}

func newParser(r io.Reader, engine string) *parser {
	return &parser{in: bufio.NewReaderSize(r, 1<<16), engine: engine}
}

// readLine returns the next line without its end, and false at the end.
func (p *parser) readLine() (string, bool) {
	s, err := p.in.ReadString('\n')
	if err != nil && s == "" {
		if err != io.EOF {
			p.err = err
		}
		return "", false
	}
	p.line++
	return strings.TrimRight(s, "\r\n"), true
}

// next returns the next record, nil at the end of the file.
func (p *parser) next() (*record, error) {
	rec := &record{hashThreshold: p.hashThreshold}
	for {
		line, ok := p.readLine()
		if !ok {
			return nil, p.err
		}
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		// The corpus writes comments behind directives: "skipif mysql # why".
		if i := strings.Index(line, "#"); i > 0 {
			line = line[:i]
		}
		f := strings.Fields(line)
		rec.line = p.line
		switch f[0] {
		case "skipif":
			rec.skip = rec.skip || len(f) > 1 && f[1] == p.engine
		case "onlyif":
			rec.skip = rec.skip || len(f) > 1 && f[1] != p.engine
		case "hash-threshold":
			if len(f) < 2 {
				return nil, p.malformed("hash-threshold needs a number")
			}
			n, err := strconv.Atoi(f[1])
			if err != nil {
				return nil, p.malformed("hash-threshold needs a number")
			}
			p.hashThreshold = n
			rec = &record{hashThreshold: n}
		case "halt":
			if !rec.skip {
				rec.halt = true
				return rec, nil
			}
			rec = &record{hashThreshold: p.hashThreshold}
		case "statement":
			if len(f) < 2 || f[1] != "ok" && f[1] != "error" {
				return nil, p.malformed("statement needs ok or error")
			}
			rec.expectError = f[1] == "error"
			if rec.expectError && len(f) > 2 {
				rec.sqlState = f[2]
			}
			rec.sql, _ = p.readSQL()
			return rec, p.err
		case "query":
			return p.query(rec, f)
		default:
			return nil, p.malformed("unknown record " + strconv.Quote(f[0]))
		}
	}
}

func (p *parser) query(rec *record, f []string) (*record, error) {
	if len(f) < 2 {
		return nil, p.malformed("query needs its columns' types")
	}
	rec.isQuery, rec.types, rec.sortMode = true, f[1], "nosort"
	if len(f) > 2 {
		rec.sortMode = f[2]
	}
	if len(f) > 3 {
		rec.label = f[3]
	}
	sql, hasResult := p.readSQL()
	rec.sql = sql
	for hasResult {
		line, ok := p.readLine()
		if !ok || line == "" {
			break
		}
		rec.expected = append(rec.expected, line)
	}
	return rec, p.err
}

// readSQL reads lines up to a blank one or to the dashes before a result.
func (p *parser) readSQL() (sql string, hasResult bool) {
	var b strings.Builder
	for {
		line, ok := p.readLine()
		if !ok || line == "" {
			return b.String(), false
		}
		if line == "----" {
			return b.String(), true
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
}

func (p *parser) malformed(what string) error {
	return fmt.Errorf("line %d: %s", p.line, what)
}
