package functions

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// jsonKind is the kind of a JSON value.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// typeof are the names of the kinds as json_typeof gives them.
var jsonKindNames = [...]string{"null", "boolean", "number", "string", "array", "object"}

// jsonValue is a parsed value. It is not changed once made: what edits a tree
// copies the path to the place.
type jsonValue struct {
	kind jsonKind
	// raw is the text it was read from; "" if it was made anew or edited.
	raw string
	// text is a string's value, a number's digits, "true" or "false".
	text  string
	keys  []string // of an object, in order; json may have duplicates
	items []*jsonValue
}

// maximumJSONDepth bounds the recursion over nested values.
const maximumJSONDepth = 6400

// jsonParser reads JSON text that the input function has accepted; what is
// wrong nevertheless is an error 22P02.
type jsonParser struct {
	text  string
	at    int
	depth int
}

func parseJSON(text string) (*jsonValue, error) {
	p := &jsonParser{text: text}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(text) {
		return nil, p.bad()
	}
	return v, nil
}

func (p *jsonParser) bad() error {
	return pgerror.Newf(pgerror.InvalidTextRepresentation, "invalid input syntax for type %s", "json")
}

func (p *jsonParser) skip() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

// peek returns the next byte after white space, 0 at the end.
func (p *jsonParser) peek() byte {
	p.skip()
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonParser) value() (*jsonValue, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maximumJSONDepth {
		return nil, pgerror.New(pgerror.StatementTooComplex, "stack depth limit exceeded")
	}
	c := p.peek()
	start := p.at
	v := &jsonValue{}
	var err error
	switch {
	case c == '{':
		v.kind = jsonObject
		err = p.object(v)
	case c == '[':
		v.kind = jsonArray
		err = p.array(v)
	case c == '"':
		v.kind = jsonString
		v.text, err = p.string()
	case c == '-' || c >= '0' && c <= '9':
		v.kind = jsonNumber
		for p.at < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.at]) >= 0 {
			p.at++
		}
		v.text = p.text[start:p.at]
	default:
		err = p.word(v)
	}
	v.raw = p.text[start:p.at]
	return v, err
}

// word reads null, true or false.
func (p *jsonParser) word(v *jsonValue) error {
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "null"):
		v.kind, v.text = jsonNull, "null"
	case strings.HasPrefix(rest, "true"):
		v.kind, v.text = jsonBool, "true"
	case strings.HasPrefix(rest, "false"):
		v.kind, v.text = jsonBool, "false"
	default:
		return p.bad()
	}
	p.at += len(v.text)
	return nil
}

func (p *jsonParser) object(v *jsonValue) error {
	p.at++
	if p.peek() == '}' {
		p.at++
		return nil
	}
	for {
		if p.peek() != '"' {
			return p.bad()
		}
		key, err := p.string()
		if err != nil {
			return err
		}
		if p.peek() != ':' {
			return p.bad()
		}
		p.at++
		item, err := p.value()
		if err != nil {
			return err
		}
		v.keys, v.items = append(v.keys, key), append(v.items, item)
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return nil
		default:
			return p.bad()
		}
	}
}

func (p *jsonParser) array(v *jsonValue) error {
	p.at++
	if p.peek() == ']' {
		p.at++
		return nil
	}
	for {
		item, err := p.value()
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return nil
		default:
			return p.bad()
		}
	}
}

// string reads a string literal and returns its value.
func (p *jsonParser) string() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != '"' && p.text[p.at] != '\\' {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '"' {
		p.at++
		return p.text[start : p.at-1], nil
	}
	out := []byte(p.text[start:p.at])
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case '"':
			return string(out), nil
		case '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return "", p.bad()
}

// escape reads what follows a backslash in a string.
func (p *jsonParser) escape() (rune, error) {
	if p.at >= len(p.text) {
		return 0, p.bad()
	}
	c := p.text[p.at]
	p.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, p.bad()
	}
	code, err := p.hex4()
	if err != nil {
		return 0, err
	}
	if code == 0 {
		return 0, pgerror.New(pgerror.UntranslatableCharacter, "unsupported Unicode escape sequence").WithDetail("\\u0000 cannot be converted to text.")
	}
	if code >= 0xd800 && code < 0xdc00 && strings.HasPrefix(p.text[p.at:], `\u`) {
		p.at += 2
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		code = (code-0xd800)<<10 + (low - 0xdc00) + 0x10000
	}
	return code, nil
}

func (p *jsonParser) hex4() (rune, error) {
	if p.at+4 > len(p.text) {
		return 0, p.bad()
	}
	code, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 32)
	if err != nil {
		return 0, p.bad()
	}
	p.at += 4
	return rune(code), nil
}

// field returns the value of a key of an object (the last one with the key);
// nil if there is none.
func (v *jsonValue) field(key string) *jsonValue {
	for i := len(v.keys) - 1; i >= 0; i-- {
		if v.keys[i] == key {
			return v.items[i]
		}
	}
	return nil
}

// step follows one element of a path; nil: nothing there.
func (v *jsonValue) step(element string) *jsonValue {
	switch v.kind {
	case jsonObject:
		return v.field(element)
	case jsonArray:
		i, err := strconv.ParseInt(strings.TrimLeft(element, " "), 10, 32)
		if err != nil {
			return nil
		}
		if i < 0 {
			i += int64(len(v.items))
		}
		if i >= 0 && i < int64(len(v.items)) {
			return v.items[i]
		}
	}
	return nil
}

// asText is the value as ->> yields it: strings without quotes, NULL for null.
func (v *jsonValue) asText() types.Datum {
	switch v.kind {
	case jsonNull:
		return types.DNull
	case jsonString:
		return types.String(v.text)
	}
	return types.String(v.raw)
}

// asJSON is the value in its own text.
func (v *jsonValue) asJSON() types.Datum { return types.String(v.raw) }

// appendJSONB appends the value in jsonb's output form.
func (v *jsonValue) appendJSONB(b []byte) []byte {
	switch v.kind {
	case jsonArray:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = item.appendJSONB(b)
		}
		return append(b, ']')
	case jsonObject:
		b = append(b, '{')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendJSONString(b, v.keys[i]), ": "...)
			b = item.appendJSONB(b)
		}
		return append(b, '}')
	case jsonString:
		return appendJSONString(b, v.text)
	case jsonNull:
		return append(b, "null"...)
	}
	return append(b, v.text...)
}

// appendCompact appends the value without white space, as json_strip_nulls does.
func (v *jsonValue) appendCompact(b []byte) []byte {
	switch v.kind {
	case jsonArray:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendCompact(b)
		}
		return append(b, ']')
	case jsonObject:
		b = append(b, '{')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, v.keys[i]), ':')
			b = item.appendCompact(b)
		}
		return append(b, '}')
	}
	return v.appendJSONB(b)
}

// appendPretty appends the value as jsonb_pretty does.
func (v *jsonValue) appendPretty(b []byte, level int) []byte {
	indent := func(level int) { b = append(append(b, '\n'), strings.Repeat("    ", level)...) }
	switch {
	case v.kind == jsonArray || v.kind == jsonObject:
		open, end := byte('['), byte(']')
		if v.kind == jsonObject {
			open, end = '{', '}'
		}
		b = append(b, open)
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			indent(level + 1)
			if v.kind == jsonObject {
				b = append(appendJSONString(b, v.keys[i]), ": "...)
			}
			b = item.appendPretty(b, level+1)
		}
		indent(level)
		return append(b, end)
	}
	return v.appendJSONB(b)
}

// put returns a copy of an object with a key set, in jsonb's order of keys:
// by length, then by bytes.
func (v *jsonValue) put(key string, value *jsonValue) *jsonValue {
	out := &jsonValue{kind: jsonObject}
	out.keys, out.items = append(out.keys, v.keys...), append(out.items, v.items...)
	i := sort.Search(len(out.keys), func(i int) bool {
		if len(out.keys[i]) != len(key) {
			return len(out.keys[i]) > len(key)
		}
		return out.keys[i] >= key
	})
	if i < len(out.keys) && out.keys[i] == key {
		out.items[i] = value
		return out
	}
	out.keys = append(out.keys[:i:i], append([]string{key}, out.keys[i:]...)...)
	out.items = append(out.items[:i:i], append([]*jsonValue{value}, out.items[i:]...)...)
	return out
}

// with returns a copy of an array with an element replaced.
func (v *jsonValue) with(i int, value *jsonValue) *jsonValue {
	items := append([]*jsonValue(nil), v.items...)
	items[i] = value
	return &jsonValue{kind: jsonArray, items: items}
}

// without returns a copy without the element at i.
func (v *jsonValue) without(i int) *jsonValue {
	out := &jsonValue{kind: v.kind}
	out.items = append(append(out.items, v.items[:i]...), v.items[i+1:]...)
	if v.kind == jsonObject {
		out.keys = append(append(out.keys, v.keys[:i]...), v.keys[i+1:]...)
	}
	return out
}

// insert returns a copy of an array with a value before the element at i.
func (v *jsonValue) insert(i int, value *jsonValue) *jsonValue {
	out := &jsonValue{kind: jsonArray}
	out.items = append(append(append(out.items, v.items[:i]...), value), v.items[i:]...)
	return out
}

func appendJSONString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c < ' ' {
				b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}
