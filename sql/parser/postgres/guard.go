package postgres

import (
	"fmt"

	"github.com/cairndb/cairn/sql/pgerror"
)

// libpg_query recurses once for each level of its tree, when it parses, when
// it writes the tree out, and again in protobuf; with too deep a tree it dies
// of its stack, and the process with it. A chain like 1+1+1… is such a tree:
// each operator is a level. The guard reads the tokens first and bounds both.
//
// Measured with pg_query_go v6.2.5: protobuf gives up at a depth of 10,000,
// which an operator chain reaches at about 5,000 terms (two messages a level)
// and nested parentheses never do (they leave no trace in the tree, but take
// bison's stack, which is bounded at 10,000). Chains of AND and OR are flat, but
// only where they are not mixed, so they count as well.
const (
	maxNesting = 500
	// maxChain bounds the operators between two separators (a comma, a
	// parenthesis, a semicolon) at one level.
	maxChain = 2000
	// maxDepth bounds the sum over the open levels.
	maxDepth = 2500
	// MaxStatementBytes bounds a text.
	MaxStatementBytes = 64 << 20
)

func tooComplex(at int32) error {
	return pgerror.New(pgerror.StatementTooComplex, "statement is too complex").
		WithHint("It nests expressions or chains operators more deeply than the parser can take safely. Use an IN list, VALUES, or several statements.").
		WithPosition(at)
}

func outOfRange(text string) error {
	return pgerror.Newf(pgerror.NumericValueOutOfRange, `value "%s" is out of range for type bigint`, text)
}

// guard refuses a text that could overflow a stack further down.
func guard(text string) error {
	if len(text) > MaxStatementBytes {
		return pgerror.New(pgerror.ProgramLimitExceeded, fmt.Sprintf("the statement has %d bytes; at most %d are taken", len(text), MaxStatementBytes)).
			WithHint("Load large data with COPY, or in several statements.")
	}
	var chains [maxNesting + 1]int // operators since the last separator, by level
	level, depth := 0, 0
	s := scanner{text: text}
	for {
		t := s.next()
		switch t {
		case tokenEnd:
			return nil
		case tokenOpen:
			if level++; level > maxNesting {
				return tooComplex(characterAt(text, s.at))
			}
			chains[level] = 0
		case tokenClose:
			if level > 0 {
				depth -= chains[level]
				level--
			}
		case tokenSeparator:
			depth -= chains[level]
			chains[level] = 0
		case tokenOperator:
			chains[level]++
			depth++
			if chains[level] > maxChain || depth > maxDepth {
				return tooComplex(characterAt(text, s.at))
			}
		}
	}
}

func characterAt(text string, offset int) int32 {
	n := int32(1)
	for range text[:offset] {
		n++
	}
	return n
}

// token is what the guard tells apart.
type token uint8

const (
	tokenEnd token = iota
	tokenOther
	tokenOpen  // ( [ CASE
	tokenClose // ) ] END
	tokenSeparator
	tokenOperator // anything that may add a level to the tree
)

// scanner follows PostgreSQL's lexical rules (scan.l) as far as they decide
// where strings, comments and names begin and end.
type scanner struct {
	text string
	pos  int
	at   int // where the last token began
}

func (s *scanner) peek(i int) byte {
	if s.pos+i < len(s.text) {
		return s.text[s.pos+i]
	}
	return 0
}

func (s *scanner) next() token {
	s.skipSpace()
	s.at = s.pos
	if s.pos >= len(s.text) {
		return tokenEnd
	}
	c := s.text[s.pos]
	switch {
	case c == '(' || c == '[':
		s.pos++
		return tokenOpen
	case c == ')' || c == ']':
		s.pos++
		return tokenClose
	case c == ',' || c == ';':
		s.pos++
		return tokenSeparator
	case c == '\'':
		s.quoted('\'', false)
		return tokenOther
	case c == '"':
		s.quoted('"', false)
		return tokenOther
	case c == '$':
		s.dollar()
		return tokenOther
	case c >= '0' && c <= '9':
		for isNameByte(s.peek(0)) || s.peek(0) == '.' {
			s.pos++
		}
		return tokenOther
	case isNameByte(c):
		return s.word()
	case c == ':' && s.peek(1) == ':':
		s.pos += 2
		return tokenOperator
	case c == '.':
		s.pos++
		return tokenOperator // a.b.c…: field selections nest
	default:
		// Each character of an operator counts: "- - 1" and "--1"-like runs nest.
		s.pos++
		return tokenOperator
	}
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			s.pos++
		case c == '-' && s.peek(1) == '-':
			for s.pos < len(s.text) && s.text[s.pos] != '\n' && s.text[s.pos] != '\r' {
				s.pos++
			}
		case c == '/' && s.peek(1) == '*':
			s.comment()
		default:
			return
		}
	}
}

// comment skips a comment, which may hold others.
func (s *scanner) comment() {
	depth := 0
	for s.pos < len(s.text) {
		switch {
		case s.text[s.pos] == '/' && s.peek(1) == '*':
			depth++
			s.pos += 2
		case s.text[s.pos] == '*' && s.peek(1) == '/':
			depth--
			s.pos += 2
			if depth == 0 {
				return
			}
		default:
			s.pos++
		}
	}
}

// quoted skips a string or a quoted name; a doubled quote stands for one.
func (s *scanner) quoted(quote byte, backslash bool) {
	s.pos++
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == quote && s.peek(1) == quote:
			s.pos += 2
		case c == quote:
			s.pos++
			return
		case c == '\\' && backslash:
			s.pos = min(s.pos+2, len(s.text))
		default:
			s.pos++
		}
	}
}

// dollar skips $1, or a dollar-quoted string.
func (s *scanner) dollar() {
	end := s.pos + 1
	for end < len(s.text) && isNameByte(s.text[end]) && s.text[end] != '$' {
		end++
	}
	isTag := end < len(s.text) && s.text[end] == '$' && (end == s.pos+1 || s.text[s.pos+1] < '0' || s.text[s.pos+1] > '9')
	if !isTag {
		s.pos = end
		return
	}
	tag := s.text[s.pos : end+1]
	s.pos = end + 1
	for s.pos < len(s.text) {
		if s.text[s.pos] == '$' && len(s.text)-s.pos >= len(tag) && s.text[s.pos:s.pos+len(tag)] == tag {
			s.pos += len(tag)
			return
		}
		s.pos++
	}
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

func (s *scanner) word() token {
	begin := s.pos
	for s.pos < len(s.text) && isNameByte(s.text[s.pos]) {
		s.pos++
	}
	w := s.text[begin:s.pos]
	if s.peek(0) == '\'' && len(w) == 1 {
		// E'…' knows backslashes; B, X and N strings don't.
		s.quoted('\'', w == "e" || w == "E")
		return tokenOther
	}
	if len(w) == 1 && (w == "u" || w == "U") && s.peek(0) == '&' && (s.peek(1) == '\'' || s.peek(1) == '"') {
		s.pos++
		s.quoted(s.peek(0), false)
		return tokenOther
	}
	switch {
	case equalFold(w, "case"):
		return tokenOpen
	case equalFold(w, "end"):
		return tokenClose
	case equalFold(w, "and"), equalFold(w, "or"), equalFold(w, "not"), equalFold(w, "is"), equalFold(w, "like"), equalFold(w, "ilike"), equalFold(w, "similar"),
		equalFold(w, "between"), equalFold(w, "in"), equalFold(w, "collate"), equalFold(w, "at"), equalFold(w, "union"), equalFold(w, "intersect"), equalFold(w, "except"),
		equalFold(w, "join"), equalFold(w, "isnull"), equalFold(w, "notnull"), equalFold(w, "operator"), equalFold(w, "explain"), equalFold(w, "prepare"), equalFold(w, "overlaps"):
		return tokenOperator
	}
	return tokenOther
}

// equalFold compares ASCII without case; lower is in lower case.
func equalFold(w, lower string) bool {
	if len(w) != len(lower) {
		return false
	}
	for i := range len(w) {
		if c := w[i] | 0x20; c != lower[i] {
			return false
		}
	}
	return true
}
