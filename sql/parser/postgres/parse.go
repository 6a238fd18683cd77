// Package postgres is the front end for PostgreSQL's dialect: PostgreSQL's own
// grammar (libpg_query, through pg_query_go) behind a guard that bounds what it
// has to recurse into, and the conversion of its tree to Cairn's.
//
//	text → guard (nesting, operator chains) → libpg_query → protobuf → parser.Statement
package postgres

import (
	"errors"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgerrors "github.com/pganalyze/pg_query_go/v6/parser"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// Parse parses a text of any number of statements. Errors are *pgerror.Error
// with a position: 42601 for bad syntax, 54001 for text that is too complex
// to parse safely, 0A000 for what the grammar knows and Cairn's tree does not.
func Parse(text string) ([]parser.Statement, error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, pgerror.New(pgerror.CharacterNotInRepertoire, `invalid byte sequence for encoding "UTF8": 0x00`)
	}
	if s, ok, err := parseExtension(text); ok || err != nil {
		return s, err
	}
	return parseGrammar(text)
}

// parseGrammar parses a text of PostgreSQL's own statements.
func parseGrammar(text string) ([]parser.Statement, error) {
	if err := guard(text); err != nil {
		return nil, err
	}
	tree, err := pg.Parse(text)
	if err != nil {
		return nil, syntaxError(text, err)
	}
	statements := make([]parser.Statement, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		s, err := convert(text, raw)
		if err != nil {
			return nil, err
		}
		statements = append(statements, s)
	}
	return statements, nil
}

func convert(text string, raw *pg.RawStmt) (s parser.Statement, err error) {
	begin, end := int(raw.StmtLocation), len(text)
	if raw.StmtLen > 0 {
		end = begin + int(raw.StmtLen)
	}
	own := text[begin:end]
	trimmed := strings.TrimLeft(own, " \t\r\n\f\v")
	s.Offset = begin + len(own) - len(trimmed)
	s.Text = strings.TrimRight(trimmed, " \t\r\n\f\v")
	c := &converter{text: text}
	s.AST = c.statement(raw.Stmt)
	s.Parameters = c.parameters
	return s, c.err
}

// syntaxError gives PostgreSQL's error its SQLSTATE and position.
func syntaxError(text string, err error) error {
	e, ok := errors.AsType[*pgerrors.Error](err)
	if !ok {
		// The protobuf hand-over failed: its own bound on depth.
		return tooComplex(0)
	}
	code := pgerror.Syntax
	switch {
	case strings.Contains(e.Message, "stack depth limit"), strings.Contains(e.Message, "memory exhausted"):
		return tooComplex(0)
	case strings.Contains(e.Message, "invalid Unicode"), strings.Contains(e.Message, "invalid byte sequence"):
		code = pgerror.CharacterNotInRepertoire
	}
	out := pgerror.New(code, e.Message)
	if e.Cursorpos > 0 {
		// libpg_query counts characters already, from 1.
		out.Position = int32(e.Cursorpos)
	}
	return out
}

// converter turns one statement. The first error sticks; after it nodes may be
// nil and are not used.
type converter struct {
	text       string
	err        error
	parameters int
}

func (c *converter) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *converter) unsupported(feature string, at int32) {
	c.fail(pgerror.Unsupported(feature).WithPosition(parser.Character(c.text, position(at))))
}

// position turns a location of libpg_query, which is -1 or absent (0) where it
// has none, to a Position.
func position(location int32) parser.Position { return parser.Position(location) }

// names returns the strings of a list of String nodes.
func names(list []*pg.Node) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, n := range list {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func (c *converter) tableName(r *pg.RangeVar) parser.TableName {
	if r == nil {
		return parser.TableName{}
	}
	return parser.TableName{Position: position(r.Location), Database: r.Catalogname, Schema: r.Schemaname, Name: r.Relname, Only: !r.Inh}
}

// qualified turns a list of names into a relation's name.
func (c *converter) qualified(list []string, at int32) parser.TableName {
	t := parser.TableName{Position: position(at)}
	switch len(list) {
	case 1:
		t.Name = list[0]
	case 2:
		t.Schema, t.Name = list[0], list[1]
	case 3:
		t.Database, t.Schema, t.Name = list[0], list[1], list[2]
	default:
		c.fail(pgerror.New(pgerror.Syntax, "improper qualified name (too many dotted names): "+strings.Join(list, ".")))
	}
	return t
}

func (c *converter) alias(a *pg.Alias) *parser.Alias {
	if a == nil {
		return nil
	}
	return &parser.Alias{Name: a.Aliasname, Columns: names(a.Colnames)}
}

func (c *converter) typeName(t *pg.TypeName) *parser.TypeName {
	if t == nil {
		return nil
	}
	return &parser.TypeName{Position: position(t.Location), Names: names(t.Names), Modifiers: c.expressions(t.Typmods),
		ArrayDepth: len(t.ArrayBounds), SetOf: t.Setof, Percent: t.PctType}
}

func (c *converter) typeNames(list []*pg.Node) []*parser.TypeName {
	var out []*parser.TypeName
	for _, n := range list {
		out = append(out, c.typeName(n.GetTypeName()))
	}
	return out
}
