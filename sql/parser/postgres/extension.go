package postgres

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// mentionsSplit finds texts that may have a SPLIT AT; most have none.
var mentionsSplit = regexp.MustCompile(`(?i)\bSPLIT\s+AT\b`)

// splitAt matches ALTER TABLE|INDEX name SPLIT AT query, which PostgreSQL's
// grammar does not know. The parts are parsed by it all the same.
var splitAt = regexp.MustCompile(`(?is)^\s*ALTER\s+(TABLE|INDEX)\s+(\S+)\s+SPLIT\s+AT\s+(VALUES\b.*?)\s*$`)

// parseExtension parses a text with statements of Cairn's own among its
// statements; false if there are none.
func parseExtension(text string) ([]parser.Statement, bool, error) {
	if !mentionsSplit.MatchString(text) {
		return nil, false, nil
	}
	var statements []parser.Statement
	found := false
	for _, p := range pieces(text) {
		m := splitAt.FindStringSubmatch(p.text)
		if m == nil {
			own, err := parsePiece(p)
			if err != nil {
				return nil, false, err
			}
			statements = append(statements, own...)
			continue
		}
		found = true
		s, err := parseSplitAt(m)
		if err != nil {
			return nil, false, err
		}
		trimmed := strings.TrimLeft(p.text, " \t\r\n\f\v")
		statements = append(statements, parser.Statement{AST: s, Text: strings.TrimSpace(trimmed), Offset: p.offset + len(p.text) - len(trimmed)})
	}
	return statements, found, nil
}

func parseSplitAt(m []string) (*parser.SplitAt, error) {
	table, err := parseGrammar("TRUNCATE " + m[2])
	if err != nil {
		return nil, withoutPosition(err)
	}
	values, err := parseGrammar(m[3])
	if err != nil {
		return nil, withoutPosition(err)
	}
	truncate, ok := table[0].AST.(*parser.Truncate)
	rows, isValues := values[0].AST.(*parser.Values)
	if !ok || !isValues || len(table) != 1 || len(values) != 1 {
		return nil, pgerror.New(pgerror.Syntax, "SPLIT AT needs VALUES (…), …")
	}
	return &parser.SplitAt{Index: strings.EqualFold(m[1], "index"), Table: truncate.Tables[0], Rows: rows.Rows}, nil
}

// withoutPosition drops the position of an error about a part of a statement.
func withoutPosition(err error) error {
	if e, ok := errors.AsType[*pgerror.Error](err); ok {
		e.Position = 0
	}
	return err
}

// piece is one statement's text, with the text before it.
type piece struct {
	before, text string
	offset       int
}

// pieces cuts a text at the semicolons between its statements.
func pieces(text string) []piece {
	var all []piece
	level, begin := 0, 0
	s := scanner{text: text}
	for {
		switch s.next() {
		case tokenEnd:
			return append(all, piece{before: text[:begin], text: text[begin:], offset: begin})
		case tokenOpen:
			level++
		case tokenClose:
			level--
		case tokenSeparator:
			if level == 0 && text[s.at] == ';' {
				all = append(all, piece{before: text[:begin], text: text[begin:s.at], offset: begin})
				begin = s.pos
			}
		}
	}
}

// parsePiece parses a piece so that offsets are those of the whole text: what
// is before it is blanked.
func parsePiece(p piece) ([]parser.Statement, error) {
	statements, err := parseGrammar(strings.Repeat(" ", p.offset) + p.text)
	if e, ok := errors.AsType[*pgerror.Error](err); ok && e.Position > 0 {
		// Positions count characters, of which there are fewer than blanks.
		e.Position -= int32(p.offset - utf8.RuneCountInString(p.before))
	}
	return statements, err
}
