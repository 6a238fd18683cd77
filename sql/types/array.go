package types

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

const (
	maxArrayDimensions = 6
	maxArrayElements   = 1<<27 - 1
)

func malformedArray(text, detail string) *pgerror.Error {
	e := pgerror.Newf(pgerror.InvalidTextRepresentation, "malformed array literal: \"%s\"", text)
	e.Detail = detail
	return e
}

// arrayElement is the text of an element, read once the whole is well-formed.
type arrayElement struct {
	text string
	null bool
}

// arrayParser reads '{…}', possibly after '[1:3][0:1]='.
type arrayParser struct {
	elem     *T
	text     string
	at       int
	dims     []int32 // lengths by depth, -1 before the first array of a depth ends
	elements []arrayElement
	depth    int
	// leaf is the depth at which elements are, 0 until one has been seen.
	leaf int
}

func parseArray(ctx *Context, t *T, text string) (Datum, error) {
	p := &arrayParser{elem: t.Elem.WithTypmod(-1), text: text}
	bounds, explicit, err := p.header()
	if err != nil {
		return DNull, err
	}
	if p.at >= len(text) || text[p.at] != '{' {
		return DNull, malformedArray(text, "Array value must start with \"{\" or dimension information.")
	}
	if err := p.braces(); err != nil {
		return DNull, err
	}
	p.space()
	if p.at < len(text) {
		return DNull, malformedArray(text, "Junk after closing right brace.")
	}
	a := &Array{Elem: t.Elem}
	if len(p.elements) == 0 {
		if explicit != nil {
			return DNull, malformedArray(text, "Specified array dimensions do not match array contents.")
		}
		return ArrayOf(a), nil
	}
	a.Dims = p.dims[:p.leaf]
	if a.Bounds = bounds; explicit == nil {
		for range a.Dims {
			a.Bounds = append(a.Bounds, 1)
		}
	} else if !sameInts(explicit, a.Dims) {
		return DNull, malformedArray(text, "Specified array dimensions do not match array contents.")
	}
	a.Elems = make([]Datum, len(p.elements))
	for i, e := range p.elements {
		if a.Elems[i] = DNull; !e.null {
			if a.Elems[i], err = Parse(ctx, p.elem, e.text); err != nil {
				return DNull, err
			}
		}
	}
	return ArrayOf(a), nil
}

func (p *arrayParser) space() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

// header reads bounds in brackets.
func (p *arrayParser) header() (bounds, lengths []int32, err error) {
	p.space()
	for p.at < len(p.text) && p.text[p.at] == '[' {
		end := strings.IndexByte(p.text[p.at:], ']')
		if end < 0 {
			return nil, nil, malformedArray(p.text, "Missing \"]\" after array dimensions.")
		}
		low, high, ranged := strings.Cut(p.text[p.at+1:p.at+end], ":")
		if !ranged {
			low, high = "1", low
		}
		lower, err := strconv.ParseInt(low, 10, 32)
		if err != nil {
			return nil, nil, malformedArray(p.text, "\"[\" must introduce explicitly-specified array dimensions.")
		}
		upper, err := strconv.ParseInt(high, 10, 32)
		if err != nil {
			return nil, nil, malformedArray(p.text, "Missing array dimension value.")
		}
		if upper < lower {
			return nil, nil, pgerror.New(pgerror.ArraySubscriptError, "upper bound cannot be less than lower bound")
		}
		if len(bounds) == maxArrayDimensions {
			return nil, nil, tooManyDimensions(len(bounds) + 1)
		}
		bounds, lengths = append(bounds, int32(lower)), append(lengths, int32(upper-lower+1))
		p.at += end + 1
		p.space()
	}
	if bounds == nil {
		return nil, nil, nil
	}
	if p.at >= len(p.text) || p.text[p.at] != '=' {
		return nil, nil, malformedArray(p.text, "Missing \"=\" after array dimensions.")
	}
	p.at++
	p.space()
	if p.at >= len(p.text) || p.text[p.at] != '{' {
		return nil, nil, malformedArray(p.text, "Array contents must start with \"{\".")
	}
	return bounds, lengths, nil
}

func tooManyDimensions(n int) error {
	return pgerror.Newf(pgerror.ProgramLimitExceeded, "number of array dimensions (%d) exceeds the maximum allowed (%d)", n, maxArrayDimensions)
}

// unexpected complains of what is at p.at: of a character that has a meaning by
// its name, else in general.
func (p *arrayParser) unexpected(general string) error {
	if c := p.text[p.at]; strings.IndexByte(`{}\`, c) >= 0 {
		return malformedArray(p.text, "Unexpected \""+string(rune(c))+"\" character.")
	}
	return malformedArray(p.text, general)
}

func (p *arrayParser) ragged() error {
	return malformedArray(p.text, "Multidimensional arrays must have sub-arrays with matching dimensions.")
}

// braces reads one {…}; p.at is at the opening brace.
func (p *arrayParser) braces() error {
	if p.depth++; p.depth > maxArrayDimensions {
		return tooManyDimensions(p.depth)
	}
	if len(p.dims) < p.depth {
		p.dims = append(p.dims, -1)
	}
	p.at++
	count := int32(0)
	nested := false // the items are arrays
	for first := true; ; first = false {
		p.space()
		if p.at >= len(p.text) {
			return malformedArray(p.text, "Unexpected end of input.")
		}
		if p.text[p.at] == '}' && first && p.depth == 1 {
			break
		}
		if inner := p.text[p.at] == '{'; !first && inner && !nested {
			return malformedArray(p.text, "Unexpected \"{\" character.")
		} else if !first && !inner && nested {
			return p.unexpected("Unexpected array element.")
		} else {
			nested = inner
		}
		if err := p.item(); err != nil {
			return err
		}
		count++
		p.space()
		if p.at >= len(p.text) {
			return malformedArray(p.text, "Unexpected end of input.")
		}
		if p.text[p.at] == '}' {
			break
		}
		if p.text[p.at] != ',' {
			return p.unexpected("Unexpected array element.")
		}
		p.at++
	}
	p.at++
	p.depth--
	if before := p.dims[p.depth]; before >= 0 && before != count {
		return p.ragged()
	}
	p.dims[p.depth] = count
	return nil
}

func (p *arrayParser) item() error {
	if c := p.text[p.at]; c == '{' {
		if p.leaf != 0 && p.depth >= p.leaf {
			return p.ragged()
		}
		return p.braces()
	} else if c == ',' || c == '}' {
		return malformedArray(p.text, "Unexpected \""+string(rune(c))+"\" character.")
	}
	if p.leaf != 0 && p.leaf != p.depth || len(p.dims) > p.depth {
		return p.ragged()
	}
	p.leaf = p.depth
	s, quoted, err := p.element()
	if err != nil {
		return err
	}
	if len(p.elements) >= maxArrayElements {
		return pgerror.Newf(pgerror.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", maxArrayElements)
	}
	p.elements = append(p.elements, arrayElement{s, !quoted && strings.EqualFold(s, "null")})
	return nil
}

// element reads the text of one element.
func (p *arrayParser) element() (string, bool, error) {
	var b []byte
	quoted := false
	if p.text[p.at] == '"' {
		quoted = true
		for p.at++; ; p.at++ {
			if p.at >= len(p.text) {
				return "", false, malformedArray(p.text, "Unexpected end of input.")
			}
			if p.text[p.at] == '"' {
				p.at++
				break
			}
			if p.text[p.at] == '\\' {
				if p.at++; p.at >= len(p.text) {
					return "", false, malformedArray(p.text, "Unexpected end of input.")
				}
			}
			b = append(b, p.text[p.at])
		}
		p.space()
		if p.at < len(p.text) && p.text[p.at] != ',' && p.text[p.at] != '}' {
			return "", false, p.unexpected("Unexpected array element.")
		}
		return string(b), true, nil
	}
	kept := 0 // up to the last character that is no space
	for ; p.at < len(p.text) && p.text[p.at] != ',' && p.text[p.at] != '}'; p.at++ {
		c := p.text[p.at]
		switch {
		case c == '{':
			return "", false, malformedArray(p.text, "Unexpected \"{\" character.")
		case c == '"':
			return "", false, malformedArray(p.text, "Unexpected array element.")
		case c == '\\':
			if p.at++; p.at >= len(p.text) {
				return "", false, malformedArray(p.text, "Unexpected end of input.")
			}
			quoted = true
			b = append(b, p.text[p.at])
			kept = len(b)
			continue
		}
		b = append(b, c)
		if !isSpace(c) {
			kept = len(b)
		}
	}
	return string(b[:kept]), quoted, nil
}

func appendArray(b []byte, ctx *Context, a *Array) []byte {
	if len(a.Elems) == 0 {
		return append(b, "{}"...)
	}
	for _, lower := range a.Bounds {
		if lower == 1 {
			continue
		}
		for i := range a.Bounds {
			b = append(strconv.AppendInt(append(b, '['), int64(a.Bounds[i]), 10), ':')
			b = append(strconv.AppendInt(b, int64(a.Bounds[i])+int64(a.Dims[i])-1, 10), ']')
		}
		b = append(b, '=')
		break
	}
	at := 0
	return appendBraces(b, ctx, a, 0, &at)
}

func appendBraces(b []byte, ctx *Context, a *Array, dimension int, at *int) []byte {
	b = append(b, '{')
	for i := range a.Dims[dimension] {
		if i > 0 {
			b = append(b, ',')
		}
		if dimension+1 < len(a.Dims) {
			b = appendBraces(b, ctx, a, dimension+1, at)
			continue
		}
		if e := a.Elems[*at]; e.Null {
			b = append(b, "NULL"...)
		} else {
			start := len(b)
			b = quoteElement(AppendText(b, ctx, a.Elem, e), start)
		}
		*at++
	}
	return append(b, '}')
}

// quoteElement quotes what was appended from start on if it needs to be.
func quoteElement(b []byte, start int) []byte {
	text := b[start:]
	quote := len(text) == 0 || len(text) == 4 && strings.EqualFold(string(text), "null")
	escapes := 0
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			escapes++
			quote = true
		case c == '{' || c == '}' || c == ',' || isSpace(c):
			quote = true
		}
	}
	if !quote {
		return b
	}
	return append(b[:start], quotedText(string(text), escapes, true)...)
}

// quotedText puts text in quotes, with " and \ escaped by \ or doubled.
func quotedText(text string, escapes int, backslash bool) []byte {
	q := make([]byte, 0, len(text)+escapes+2)
	q = append(q, '"')
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			if backslash {
				q = append(q, '\\')
			} else {
				q = append(q, c)
			}
		}
		q = append(q, text[i])
	}
	return append(q, '"')
}

// parseVector reads an int2vector or oidvector: numbers between spaces.
func parseVector(t *T, text string) (Datum, error) {
	var elements []Datum
	for word := range strings.FieldsSeq(text) {
		d, err := parseBase(nil, t.Elem, word)
		if err != nil {
			return DNull, err
		}
		elements = append(elements, d)
	}
	return ArrayOf(VectorOf(t, elements)), nil
}

// VectorOf returns an int2vector or oidvector, whose first index is 0.
func VectorOf(t *T, elements []Datum) *Array {
	a := NewArray(t.Elem, elements)
	if len(elements) == 0 {
		a.Dims = []int32{0}
	}
	a.Bounds = []int32{0}
	return a
}

func appendVector(b []byte, a *Array) []byte {
	for i, e := range a.Elems {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, e.I, 10)
	}
	return b
}

func malformedRow(text, detail string) error {
	e := pgerror.Newf(pgerror.InvalidTextRepresentation, "malformed record literal: \"%s\"", text)
	e.Detail = detail
	return e
}

// parseRow reads '(…)' of a composite type.
func parseRow(ctx *Context, t *T, text string) (Datum, error) {
	s := trimSpace(text)
	if !strings.HasPrefix(s, "(") {
		return DNull, malformedRow(text, "Missing left parenthesis.")
	}
	row := &Tuple{}
	i := 1
	for n, f := range t.Fields {
		if n > 0 {
			if i >= len(s) || s[i] != ',' {
				return DNull, malformedRow(text, "Too few columns.")
			}
			i++
		}
		value, null, next, ok := rowField(s, i)
		if !ok {
			return DNull, malformedRow(text, "Unexpected end of input.")
		}
		i = next
		d := DNull
		if !null {
			var err error
			if d, err = Parse(ctx, f.Type, value); err != nil {
				return DNull, err
			}
		}
		row.Types, row.Elems = append(row.Types, f.Type), append(row.Elems, d)
	}
	switch {
	case i >= len(s) || s[i] != ')':
		return DNull, malformedRow(text, "Too many columns.")
	case i+1 < len(s):
		return DNull, malformedRow(text, "Junk after right parenthesis.")
	}
	return TupleOf(row), nil
}

// rowField reads a field's text up to , or ).
func rowField(s string, i int) (value string, null bool, next int, ok bool) {
	if i >= len(s) {
		return "", false, i, false
	}
	if s[i] == ',' || s[i] == ')' {
		return "", true, i, true
	}
	var b []byte
	inQuotes := false
	for ; i < len(s) && (inQuotes || s[i] != ',' && s[i] != ')'); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i >= len(s) {
				return "", false, i, false
			}
			b = append(b, s[i])
		case c == '"' && inQuotes && i+1 < len(s) && s[i+1] == '"':
			i++
			b = append(b, '"')
		case c == '"':
			inQuotes = !inQuotes
		default:
			b = append(b, c)
		}
	}
	return string(b), false, i, i < len(s)
}

func appendRow(b []byte, ctx *Context, row *Tuple) []byte {
	b = append(b, '(')
	for i, e := range row.Elems {
		if i > 0 {
			b = append(b, ',')
		}
		if e.Null {
			continue
		}
		start := len(b)
		b = AppendText(b, ctx, row.Types[i], e)
		text := b[start:]
		quote := len(text) == 0
		escapes := 0
		for _, c := range text {
			if c == '"' || c == '\\' {
				escapes++
				quote = true
			}
			quote = quote || c == '(' || c == ')' || c == ',' || isSpace(c)
		}
		if quote {
			b = append(b[:start], quotedText(string(text), escapes, false)...)
		}
	}
	return append(b, ')')
}
