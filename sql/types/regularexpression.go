package types

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
)

// RegularExpressionOptions are the flags of PostgreSQL's regular expressions;
// the options at the beginning of a pattern, (?i), come on top.
type RegularExpressionOptions struct {
	IgnoreCase bool // i
	// DotExcludesNewline: . and [^…] don't match a newline (p, n);
	// LineAnchors: ^ and $ match at newlines (w, n).
	DotExcludesNewline, LineAnchors bool
	Expanded                        bool // x: white space and comments don't count
	Literal                         bool // q
}

type expressionKey struct {
	pattern string
	options RegularExpressionOptions
}

type compiledExpression struct {
	expression *regexp.Regexp
	err        *pgerror.Error
}

// expressionCache keeps compiled patterns; once it has many it starts afresh.
var expressionCache struct {
	sync.Mutex // guards entries
	entries    map[expressionKey]compiledExpression
}

const expressionCacheSize = 256

// CompileRegularExpression translates a pattern in PostgreSQL's advanced
// syntax to Go's. The match is the leftmost longest one, except for patterns
// with non-greedy quantifiers. Back references and look-around, which need
// backtracking, are refused (0A000); malformed patterns are 2201B. Safe for
// concurrent use; results are cached.
func CompileRegularExpression(pattern string, options RegularExpressionOptions) (*regexp.Regexp, error) {
	key := expressionKey{pattern, options}
	expressionCache.Lock()
	c, ok := expressionCache.entries[key]
	expressionCache.Unlock()
	if !ok {
		c.expression, c.err = compileExpression(pattern, options)
		expressionCache.Lock()
		if len(expressionCache.entries) >= expressionCacheSize || expressionCache.entries == nil {
			expressionCache.entries = make(map[expressionKey]compiledExpression)
		}
		expressionCache.entries[key] = c
		expressionCache.Unlock()
	}
	if c.err != nil {
		e := *c.err
		return nil, &e
	}
	return c.expression, nil
}

func badExpression(reason string) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidRegularExpression, "invalid regular expression: %s", reason)
}

func compileExpression(pattern string, options RegularExpressionOptions) (*regexp.Regexp, *pgerror.Error) {
	t := expressionTranslator{options: options}
	if err := t.translate(pattern); err != nil {
		return nil, err
	}
	flags := ""
	if t.options.IgnoreCase {
		flags += "i"
	}
	if !t.options.DotExcludesNewline {
		flags += "s"
	}
	if t.options.LineAnchors {
		flags += "m"
	}
	text := t.out.String()
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, badExpression(reasonOf(err.Error()))
	}
	if !t.nonGreedy {
		expression.Longest()
	}
	return expression, nil
}

// reasonOf gives Go's complaint in PostgreSQL's words.
func reasonOf(message string) string {
	for _, r := range [][2]string{{"missing closing ]", "brackets [] not balanced"}, {"parenthes", "parentheses () not balanced"}, {"missing closing )", "parentheses () not balanced"}, {"unexpected )", "parentheses () not balanced"}, {"missing argument", "quantifier operand invalid"}, {"invalid nested repetition", "quantifier operand invalid"}, {"invalid repeat count", "invalid repetition count(s)"}, {"class range: `[:", "invalid character class"}, {"invalid character class range", "invalid character range"}, {"invalid UTF-8", "invalid multibyte character"}, {"expression too large", "regular expression is too complex"}, {"nests too deeply", "regular expression is too complex"}} {
		if strings.Contains(message, r[0]) {
			return r[1]
		}
	}
	return "invalid escape \\ sequence"
}

// expressionTranslator writes a pattern anew, element by element.
type expressionTranslator struct {
	options   RegularExpressionOptions
	out       strings.Builder
	nonGreedy bool
	depth     int
	// canRepeat: a quantifier may follow. wordBefore: the last element is a word
	// character.
	canRepeat, wordBefore bool
}

func (t *expressionTranslator) translate(p string) *pgerror.Error {
	switch {
	case strings.HasPrefix(p, "***="):
		p, t.options.Literal = p[4:], true
	case strings.HasPrefix(p, "***:"):
		p = p[4:]
	case strings.HasPrefix(p, "***"):
		return badExpression("invalid regexp (reg version 0.8)")
	}
	if !t.options.Literal {
		var err *pgerror.Error
		if p, err = t.embeddedOptions(p); err != nil {
			return err
		}
	}
	if t.options.Literal {
		t.out.WriteString(regexp.QuoteMeta(p))
		return nil
	}
	for p != "" {
		n, err := t.element(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	if t.depth > 0 {
		return badExpression("parentheses () not balanced")
	}
	return nil
}

// embeddedOptions reads (?xyz) at the beginning.
func (t *expressionTranslator) embeddedOptions(p string) (string, *pgerror.Error) {
	if !strings.HasPrefix(p, "(?") || len(p) < 3 || p[2] < 'a' || p[2] > 'z' {
		return p, nil
	}
	end := strings.IndexByte(p, ')')
	if end < 0 {
		return p, badExpression("invalid embedded option")
	}
	for _, c := range p[2:end] {
		switch c {
		case 'i':
			t.options.IgnoreCase = true
		case 'c':
			t.options.IgnoreCase = false
		case 'n', 'm':
			t.options.DotExcludesNewline, t.options.LineAnchors = true, true
		case 's':
			t.options.DotExcludesNewline, t.options.LineAnchors = false, false
		case 'p':
			t.options.DotExcludesNewline, t.options.LineAnchors = true, false
		case 'w':
			t.options.DotExcludesNewline, t.options.LineAnchors = false, true
		case 'x':
			t.options.Expanded = true
		case 't':
			t.options.Expanded = false
		case 'q':
			t.options.Literal = true
		case 'b', 'e':
			return p, pgerror.Unsupported("the regular expression option " + strconv.QuoteRune(c))
		default:
			return p, badExpression("invalid embedded option")
		}
	}
	return p[end+1:], nil
}

// element translates what p begins with and returns its length.
func (t *expressionTranslator) element(p string) (int, *pgerror.Error) {
	switch c := p[0]; c {
	case '\\':
		return t.escape(p)
	case '[':
		return t.bracket(p)
	case '(':
		return t.open(p)
	case ')':
		if t.depth == 0 {
			return 0, badExpression("parentheses () not balanced")
		}
		t.depth--
		t.atom(")", false)
		return 1, nil
	case '*', '+', '?', '{':
		if c == '{' && (len(p) < 2 || p[1] < '0' || p[1] > '9') {
			t.atom(`\{`, false)
			return 1, nil
		}
		return t.quantifier(p)
	case '|':
		t.out.WriteByte('|')
		t.canRepeat, t.wordBefore = false, false
		return 1, nil
	case '^':
		t.out.WriteByte('^')
		t.canRepeat, t.wordBefore = false, false
		return 1, nil
	case '$':
		if t.options.LineAnchors {
			t.out.WriteByte('$')
		} else {
			t.out.WriteString(`\z`)
		}
		t.canRepeat, t.wordBefore = false, false
		return 1, nil
	case '.':
		t.atom(".", false)
		return 1, nil
	}
	if t.options.Expanded {
		if strings.IndexByte(" \t\n\r\f\v", p[0]) >= 0 {
			return 1, nil
		}
		if p[0] == '#' {
			if end := strings.IndexByte(p, '\n'); end >= 0 {
				return end + 1, nil
			}
			return len(p), nil
		}
	}
	r, size := utf8.DecodeRuneInString(p)
	t.atom(regexp.QuoteMeta(string(r)), isWordCharacter(p))
	return size, nil
}

func (t *expressionTranslator) atom(text string, word bool) {
	t.out.WriteString(text)
	t.canRepeat, t.wordBefore = true, word
}

func isWordCharacter(p string) bool {
	if p == "" {
		return false
	}
	c := p[0]
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (t *expressionTranslator) open(p string) (int, *pgerror.Error) {
	t.depth++
	t.canRepeat, t.wordBefore = false, false
	switch {
	case strings.HasPrefix(p, "(?:"):
		t.out.WriteString("(?:")
		return 3, nil
	case strings.HasPrefix(p, "(?#"):
		t.depth--
		end := strings.IndexByte(p, ')')
		if end < 0 {
			return 0, badExpression("parentheses () not balanced")
		}
		return end + 1, nil
	case strings.HasPrefix(p, "(?=") || strings.HasPrefix(p, "(?!") || strings.HasPrefix(p, "(?<=") || strings.HasPrefix(p, "(?<!"):
		return 0, pgerror.Unsupported("look-around in regular expressions")
	case strings.HasPrefix(p, "(?"):
		return 0, badExpression("quantifier operand invalid")
	}
	t.out.WriteByte('(')
	return 1, nil
}

func (t *expressionTranslator) quantifier(p string) (int, *pgerror.Error) {
	if !t.canRepeat {
		return 0, badExpression("quantifier operand invalid")
	}
	n := 1
	if p[0] == '{' {
		end := strings.IndexByte(p, '}')
		if end < 0 {
			return 0, badExpression("braces {} not balanced")
		}
		low, high, ranged := strings.Cut(p[1:end], ",")
		lowest, err := strconv.Atoi(low)
		highest := lowest
		if err == nil && ranged && high != "" {
			highest, err = strconv.Atoi(high)
		}
		if err != nil || lowest > 255 || highest > 255 || lowest > highest {
			return 0, badExpression("invalid repetition count(s)")
		}
		n = end + 1
	}
	t.out.WriteString(p[:n])
	if n < len(p) && p[n] == '?' {
		t.out.WriteByte('?')
		t.nonGreedy = true
		n++
	}
	t.canRepeat, t.wordBefore = false, false
	return n, nil
}

// escape translates \x outside of brackets.
func (t *expressionTranslator) escape(p string) (int, *pgerror.Error) {
	if len(p) < 2 {
		return 0, badExpression(`invalid escape \ sequence`)
	}
	constraint := func(text string) (int, *pgerror.Error) {
		t.out.WriteString(text)
		t.canRepeat, t.wordBefore = false, false
		return 2, nil
	}
	switch c := p[1]; c {
	case 'd', 'w', 's', 'D', 'W', 'S':
		t.atom(classOf(c), c == 'w' || c == 'd')
		return 2, nil
	case 'A':
		return constraint(`\A`)
	case 'Z':
		return constraint(`\z`)
	case 'y':
		return constraint(`\b`)
	case 'Y':
		return constraint(`\B`)
	case 'm':
		if !isWordCharacter(p[2:]) && !strings.HasPrefix(p[2:], `\w`) && !strings.HasPrefix(p[2:], `\d`) && !strings.HasPrefix(p[2:], `(`) {
			return 0, pgerror.Unsupported(`\m before what is no word character`)
		}
		return constraint(`\b`)
	case 'M':
		if !t.wordBefore && !strings.HasSuffix(t.out.String(), "+") && !strings.HasSuffix(t.out.String(), ")") {
			return 0, pgerror.Unsupported(`\M after what is no word character`)
		}
		return constraint(`\b`)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return 0, pgerror.Unsupported("back references in regular expressions")
	}
	r, n, ok := characterEscape(p)
	if !ok {
		return 0, badExpression(`invalid escape \ sequence`)
	}
	t.atom(regexp.QuoteMeta(string(r)), false)
	return n, nil
}

func classOf(c byte) string {
	switch c { // PostgreSQL's \s is [[:space:]], which has \v
	case 's':
		return `[\s\v]`
	case 'S':
		return `[^\s\v]`
	}
	return `\` + string(rune(c))
}

// characterEscape reads an escape that stands for one character.
func characterEscape(p string) (rune, int, bool) {
	simple := map[byte]rune{'a': 7, 'b': 8, 'B': '\\', 'e': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11, '0': 0}
	c := p[1]
	if r, ok := simple[c]; ok {
		return r, 2, true
	}
	digits := 0
	switch c {
	case 'c':
		if len(p) < 3 {
			return 0, 0, false
		}
		return rune(p[2] & 0x1f), 3, true
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 'x':
		for digits < 6 && 2+digits < len(p) {
			if _, ok := hexDigit(p[2+digits]); !ok {
				break
			}
			digits++
		}
		if digits == 0 {
			return 0, 0, false
		}
	default:
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return 0, 0, false
		}
		r, size := utf8.DecodeRuneInString(p[1:])
		return r, 1 + size, true
	}
	if len(p) < 2+digits {
		return 0, 0, false
	}
	v, err := strconv.ParseUint(p[2:2+digits], 16, 32)
	return rune(v), 2 + digits, err == nil && v <= utf8.MaxRune
}

// bracket translates [...].
func (t *expressionTranslator) bracket(p string) (int, *pgerror.Error) {
	unbalanced := badExpression("brackets [] not balanced")
	for _, boundary := range []string{"[[:<:]]", "[[:>:]]"} {
		if strings.HasPrefix(p, boundary) {
			t.out.WriteString(`\b`)
			t.canRepeat, t.wordBefore = false, false
			return len(boundary), nil
		}
	}
	t.out.WriteByte('[')
	i := 1
	if i < len(p) && p[i] == '^' {
		t.out.WriteByte('^')
		if t.options.DotExcludesNewline {
			t.out.WriteString(`\n`)
		}
		i++
	}
	for first := true; ; first = false {
		if i >= len(p) {
			return 0, unbalanced
		}
		switch c := p[i]; {
		case c == ']' && !first:
			t.atom("]", false)
			return i + 1, nil
		case c == '[' && i+1 < len(p) && (p[i+1] == ':' || p[i+1] == '.' || p[i+1] == '='):
			end := strings.Index(p[i+2:], string(p[i+1])+"]")
			if end < 0 {
				return 0, unbalanced
			}
			inner := p[i+2 : i+2+end]
			if p[i+1] == ':' {
				t.out.WriteString("[:" + inner + ":]")
			} else {
				if utf8.RuneCountInString(inner) != 1 {
					return 0, badExpression("invalid collating element")
				}
				t.out.WriteString(quoteInBracket(inner))
			}
			i += end + 4
		case c == '\\':
			n, err := t.bracketEscape(p[i:])
			if err != nil {
				return 0, err
			}
			i += n
		case c == '-':
			if first || i+1 < len(p) && p[i+1] == ']' {
				t.out.WriteString(`\-`)
			} else {
				t.out.WriteByte('-')
			}
			i++
		default:
			_, size := utf8.DecodeRuneInString(p[i:])
			t.out.WriteString(quoteInBracket(p[i : i+size]))
			i += size
		}
	}
}

func (t *expressionTranslator) bracketEscape(p string) (int, *pgerror.Error) {
	if len(p) < 2 {
		return 0, badExpression("brackets [] not balanced")
	}
	switch p[1] {
	case 'd', 'w':
		t.out.WriteString(p[:2])
		return 2, nil
	case 's':
		t.out.WriteString(`\s\v`)
		return 2, nil
	case 'D', 'W', 'S':
		t.out.WriteString(p[:2])
		return 2, nil
	}
	r, n, ok := characterEscape(p)
	if !ok {
		return 0, badExpression(`invalid escape \ sequence`)
	}
	t.out.WriteString(quoteInBracket(string(r)))
	return n, nil
}

func quoteInBracket(s string) string {
	if strings.ContainsAny(s, `[]\^-&~`) {
		return `\` + s
	}
	return s
}

func defineRegularExpressions() {
	for _, prefix := range []string{"text", "name"} {
		for _, ignoreCase := range []bool{false, true} {
			infix := "regex"
			if ignoreCase {
				infix = "icregex"
			}
			options := RegularExpressionOptions{IgnoreCase: ignoreCase}
			match := func(a []Datum, negated bool) (Datum, error) {
				expression, err := CompileRegularExpression(a[1].S, options)
				if err != nil {
					return DNull, err
				}
				return Bool(expression.MatchString(a[0].S) != negated), nil
			}
			define(prefix+infix+"eq", func(_ *Context, a []Datum) (Datum, error) { return match(a, false) })
			define(prefix+infix+"ne", func(_ *Context, a []Datum) (Datum, error) { return match(a, true) })
		}
	}
}
