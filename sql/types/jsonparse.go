package types

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
)

// JSONKind is what a JSON value is, in the order in which jsonb sorts them.
type JSONKind uint8

// The kinds.
const (
	JSONNull JSONKind = iota
	JSONString
	JSONNumber
	JSONBoolean
	JSONArray
	JSONObject
)

// JSONValue is a parsed JSON value.
type JSONValue struct {
	Kind JSONKind
	// Raw is the value's text as it was written.
	Raw string
	// String is the value of a JSONString, without escapes.
	String string
	Bool   bool
	Items  []JSONValue  // of an array
	Fields []JSONMember // of an object, as written: duplicates, any order
}

// JSONMember is a field of an object.
type JSONMember struct {
	Key   string
	Value JSONValue
}

// maxJSONDepth bounds recursion.
const maxJSONDepth = 6000

// ParseJSON parses a text; t (json or jsonb) is named in errors, which are
// 22P02, and for jsonb decides that \u0000 is refused.
func ParseJSON(t *T, text string) (*JSONValue, error) {
	p := jsonParser{text: text, binary: t.OID == JSONBOID, build: true}
	return p.document()
}

func parseJSON(text string) (Datum, error) {
	p := jsonParser{text: text}
	if _, err := p.document(); err != nil {
		return DNull, err
	}
	return String(text), nil
}

func parseJSONB(text string) (Datum, error) {
	p := jsonParser{text: text, binary: true, build: true}
	v, err := p.document()
	if err != nil {
		return DNull, err
	}
	b, err := v.AppendJSONB(make([]byte, 0, len(text)+16))
	if err != nil {
		return DNull, err
	}
	return String(string(b)), nil
}

// jsonParser reads JSON by recursive descent.
type jsonParser struct {
	text   string
	at     int
	binary bool // for jsonb
	build  bool // values are wanted, else only validity
	depth  int
}

func (p *jsonParser) document() (*JSONValue, error) {
	p.space()
	v, err := p.value("JSON value")
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, p.expected("end of input")
	}
	return &v, nil
}

func (p *jsonParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

// tokenEnd is where the token at p.at ends, for messages.
func (p *jsonParser) tokenEnd() int {
	c := p.text[p.at]
	if c >= utf8.RuneSelf || isAlpha(c) || isDigit(c) || c == '_' || c == '-' {
		n := p.at
		for n < len(p.text) && (p.text[n] >= utf8.RuneSelf || isAlpha(p.text[n]) || isDigit(p.text[n]) || p.text[n] == '_' || n == p.at) {
			n++
		}
		return n
	}
	if c == '"' {
		q := jsonParser{text: p.text, at: p.at}
		if _, err := q.string(); err == nil {
			return q.at
		}
	}
	return p.at + 1
}

// validToken reports whether what is at p.at is a token at all.
func (p *jsonParser) validToken() bool {
	c := p.text[p.at]
	if strings.IndexByte(`{}[],:"`, c) >= 0 {
		return true
	}
	word := p.text[p.at:p.tokenEnd()]
	return word == "true" || word == "false" || word == "null" || isDigit(c) || c == '-'
}

func (p *jsonParser) failure(end int, detail string) *pgerror.Error {
	name := "json"
	e := pgerror.New(pgerror.InvalidTextRepresentation, "invalid input syntax for type "+name)
	e.Detail = detail
	e.Where = p.context(end)
	return e
}

// context is what PostgreSQL shows of the text up to an error.
func (p *jsonParser) context(end int) string {
	line, start := 1, 0
	for i := 0; i < end && i < len(p.text); i++ {
		if p.text[i] == '\n' {
			line++
			start = i + 1
		}
	}
	from := start
	for end-from >= 50 {
		_, size := utf8.DecodeRuneInString(p.text[from:])
		from += size
	}
	if from-start <= 3 {
		from = start
	}
	prefix, suffix := "", ""
	if from > start {
		prefix = "..."
	}
	if end < len(p.text) && p.text[end] != '\n' && p.text[end] != '\r' {
		suffix = "..."
	}
	return fmt.Sprintf("JSON data, line %d: %s%s%s", line, prefix, p.text[from:end], suffix)
}

func (p *jsonParser) expected(what string) error {
	if p.at >= len(p.text) {
		return p.failure(len(p.text), "The input string ended unexpectedly.")
	}
	end := p.tokenEnd()
	if c := p.text[p.at]; c == '-' || isDigit(c) {
		q := jsonParser{text: p.text, at: p.at}
		if err := q.number(); err != nil {
			return err
		}
		end = q.at
	} else if !p.validToken() {
		return p.failure(end, fmt.Sprintf("Token \"%s\" is invalid.", p.text[p.at:end]))
	}
	if p.text[p.at] == '"' {
		if _, err := (&jsonParser{text: p.text, at: p.at}).string(); err != nil {
			return err
		}
	}
	return p.failure(end, fmt.Sprintf("Expected %s, but found \"%s\".", what, p.text[p.at:end]))
}

func (p *jsonParser) value(what string) (JSONValue, error) {
	start := p.at
	if p.at >= len(p.text) {
		return JSONValue{}, p.expected(what)
	}
	var v JSONValue
	var err error
	switch c := p.text[p.at]; {
	case c == '{':
		v, err = p.object()
	case c == '[':
		v, err = p.array()
	case c == '"':
		v.Kind = JSONString
		v.String, err = p.string()
	case c == '-' || isDigit(c):
		v.Kind = JSONNumber
		err = p.number()
	default:
		end := p.tokenEnd()
		switch p.text[p.at:end] {
		case "true":
			v = JSONValue{Kind: JSONBoolean, Bool: true}
		case "false":
			v = JSONValue{Kind: JSONBoolean}
		case "null":
		default:
			return v, p.expected(what)
		}
		p.at = end
	}
	v.Raw = p.text[start:p.at]
	return v, err
}

func (p *jsonParser) enter() error {
	if p.depth++; p.depth > maxJSONDepth {
		return pgerror.New(pgerror.StatementTooComplex, "stack depth limit exceeded")
	}
	return nil
}

func (p *jsonParser) object() (JSONValue, error) {
	v := JSONValue{Kind: JSONObject}
	if err := p.enter(); err != nil {
		return v, err
	}
	defer func() { p.depth-- }()
	p.at++
	p.space()
	if p.at < len(p.text) && p.text[p.at] == '}' {
		p.at++
		return v, nil
	}
	for first := true; ; first = false {
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			if first {
				return v, p.expected(`string or "}"`)
			}
			return v, p.expected("string")
		}
		key, err := p.string()
		if err != nil {
			return v, err
		}
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != ':' {
			return v, p.expected(`":"`)
		}
		p.at++
		p.space()
		item, err := p.value("JSON value")
		if err != nil {
			return v, err
		}
		if p.build {
			v.Fields = append(v.Fields, JSONMember{key, item})
		}
		p.space()
		if p.at < len(p.text) && p.text[p.at] == '}' {
			p.at++
			return v, nil
		}
		if p.at >= len(p.text) || p.text[p.at] != ',' {
			return v, p.expected(`"," or "}"`)
		}
		p.at++
	}
}

func (p *jsonParser) array() (JSONValue, error) {
	v := JSONValue{Kind: JSONArray}
	if err := p.enter(); err != nil {
		return v, err
	}
	defer func() { p.depth-- }()
	p.at++
	p.space()
	if p.at < len(p.text) && p.text[p.at] == ']' {
		p.at++
		return v, nil
	}
	for {
		p.space()
		item, err := p.value("JSON value")
		if err != nil {
			return v, err
		}
		if p.build {
			v.Items = append(v.Items, item)
		}
		p.space()
		if p.at < len(p.text) && p.text[p.at] == ']' {
			p.at++
			return v, nil
		}
		if p.at >= len(p.text) || p.text[p.at] != ',' {
			return v, p.expected(`"," or "]"`)
		}
		p.at++
	}
}

func (p *jsonParser) number() error {
	s := p.text
	i := p.at
	if s[i] == '-' {
		i++
	}
	digits := spanOf(s[i:], isDigit)
	bad := digits == 0 || digits > 1 && s[i] == '0'
	i += digits
	if i < len(s) && s[i] == '.' {
		n := spanOf(s[i+1:], isDigit)
		bad = bad || n == 0
		i += 1 + n
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		n := spanOf(s[i:], isDigit)
		bad = bad || n == 0
		i += n
	}
	start := i
	for i < len(s) && (isAlpha(s[i]) || isDigit(s[i]) || s[i] == '_' || s[i] >= utf8.RuneSelf) {
		i++
	}
	if bad || i > start {
		return p.failure(i, fmt.Sprintf("Token \"%s\" is invalid.", s[p.at:i]))
	}
	p.at = i
	return nil
}

// string reads a string and returns its value.
func (p *jsonParser) string() (string, error) {
	start := p.at + 1
	i := start
	for i < len(p.text) && p.text[i] != '"' && p.text[i] != '\\' && p.text[i] >= ' ' {
		i++
	}
	if i < len(p.text) && p.text[i] == '"' {
		p.at = i + 1
		return p.text[start:i], nil
	}
	b := []byte(p.text[start:i])
	high := rune(0) // the first half of a surrogate pair
	for {
		if i >= len(p.text) {
			return "", p.failure(len(p.text), fmt.Sprintf("Token \"%s\" is invalid.", p.text[p.at:]))
		}
		c := p.text[i]
		if high != 0 && (c != '\\' || i+1 >= len(p.text) || p.text[i+1] != 'u') {
			return "", p.failure(i, "Unicode low surrogate must follow a high surrogate.")
		}
		switch {
		case c == '"':
			p.at = i + 1
			return string(b), nil
		case c < ' ':
			return "", p.failure(i, fmt.Sprintf("Character with value 0x%02x must be escaped.", c))
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		i++
		if i >= len(p.text) {
			return "", p.failure(len(p.text), fmt.Sprintf("Token \"%s\" is invalid.", p.text[p.at:]))
		}
		if p.text[i] == 'u' {
			r, err := p.unicodeEscape(i)
			if err != nil {
				return "", err
			}
			i += 5
			if b, high, err = p.appendUnicode(b, r, high, i); err != nil {
				return "", err
			}
			continue
		}
		n := strings.IndexByte(`"\/bfnrt`, p.text[i])
		if n < 0 {
			_, size := utf8.DecodeRuneInString(p.text[i:])
			return "", p.failure(i+size, fmt.Sprintf("Escape sequence \"\\%s\" is invalid.", p.text[i:i+size]))
		}
		b = append(b, "\"\\/\b\f\n\r\t"[n])
		i++
	}
}

func (p *jsonParser) unicodeEscape(i int) (rune, error) {
	r := rune(0)
	for n := 1; n <= 4; n++ {
		if i+n >= len(p.text) {
			return 0, p.failure(len(p.text), fmt.Sprintf("Token \"%s\" is invalid.", p.text[p.at:]))
		}
		digit, ok := hexDigit(p.text[i+n])
		if !ok {
			_, size := utf8.DecodeRuneInString(p.text[i+n:])
			return 0, p.failure(i+n+size, `"\u" must be followed by four hexadecimal digits.`)
		}
		r = r<<4 | rune(digit)
	}
	return r, nil
}

func (p *jsonParser) appendUnicode(b []byte, r, high rune, end int) ([]byte, rune, error) {
	switch {
	case !p.build: // json keeps escapes as they are
		return b, 0, nil
	case r >= 0xd800 && r < 0xdc00:
		if high != 0 {
			return b, 0, p.failure(end, "Unicode high surrogate must not follow a high surrogate.")
		}
		return b, r, nil
	case r >= 0xdc00 && r < 0xe000:
		if high == 0 {
			return b, 0, p.failure(end, "Unicode low surrogate must follow a high surrogate.")
		}
		r = utf16.DecodeRune(high, r)
	case high != 0:
		return b, 0, p.failure(end, "Unicode low surrogate must follow a high surrogate.")
	case r == 0:
		e := pgerror.New(pgerror.UntranslatableCharacter, "unsupported Unicode escape sequence")
		e.Detail, e.Where = `\u0000 cannot be converted to text.`, p.context(end)
		return b, 0, e
	}
	return utf8.AppendRune(b, r), 0, nil
}

// AppendJSONString appends a string as JSON writes it.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return append(b, '"')
}

// AppendJSONB appends the value in jsonb's normal form: ": " and ", " between
// parts, keys by length and then bytes, of duplicates the last, numbers as
// numerics. 22003 for a number that is none.
func (v *JSONValue) AppendJSONB(b []byte) ([]byte, error) {
	switch v.Kind {
	case JSONString:
		return AppendJSONString(b, v.String), nil
	case JSONNumber:
		d, err := decimalFromText(v.Raw)
		if err != nil {
			return nil, err
		}
		return appendNumeric(b, d), nil
	case JSONArray:
		b = append(b, '[')
		var err error
		for i := range v.Items {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = v.Items[i].AppendJSONB(b); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case JSONObject:
		b = append(b, '{')
		var err error
		for i, f := range v.sortedFields() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(AppendJSONString(b, f.Key), ": "...)
			if b, err = f.Value.AppendJSONB(b); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return append(b, v.Raw...), nil
}

// sortedFields returns the fields in jsonb's order, the last of duplicates.
func (v *JSONValue) sortedFields() []JSONMember {
	sorted := true
	for i := 1; i < len(v.Fields) && sorted; i++ {
		sorted = compareJSONKeys(v.Fields[i-1].Key, v.Fields[i].Key) < 0
	}
	if sorted {
		return v.Fields
	}
	fields := append([]JSONMember{}, v.Fields...)
	sort.SliceStable(fields, func(i, j int) bool { return compareJSONKeys(fields[i].Key, fields[j].Key) < 0 })
	kept := fields[:0]
	for i, f := range fields {
		if i+1 < len(fields) && fields[i+1].Key == f.Key {
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

func compareJSONKeys(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
