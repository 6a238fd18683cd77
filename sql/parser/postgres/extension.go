package postgres

import (
	"regexp"
	"strings"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// splitAt matches ALTER TABLE|INDEX name SPLIT AT query, which PostgreSQL's
// grammar does not know. The parts are parsed by it all the same.
var splitAt = regexp.MustCompile(`(?is)^\s*ALTER\s+(TABLE|INDEX)\s+(\S+)\s+SPLIT\s+AT\s+(VALUES\b.*?)\s*;?\s*$`)

// parseExtension parses a text that is one of Cairn's own statements.
func parseExtension(text string) ([]parser.Statement, bool, error) {
	m := splitAt.FindStringSubmatch(text)
	if m == nil {
		return nil, false, nil
	}
	table, err := Parse("TRUNCATE " + m[2])
	if err != nil {
		return nil, false, err
	}
	values, err := Parse(m[3])
	if err != nil {
		return nil, false, err
	}
	truncate, ok := table[0].AST.(*parser.Truncate)
	rows, isValues := values[0].AST.(*parser.Values)
	if !ok || !isValues || len(table) != 1 || len(values) != 1 {
		return nil, false, pgerror.New(pgerror.Syntax, "SPLIT AT needs VALUES (…), …")
	}
	s := &parser.SplitAt{Index: strings.EqualFold(m[1], "index"), Table: truncate.Tables[0], Rows: rows.Rows}
	return []parser.Statement{{AST: s, Text: strings.TrimSpace(text)}}, true, nil
}
