package types

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
)

// nameBytes is the longest identifier (NAMEDATALEN - 1).
const nameBytes = 63

func truncateName(s string) string {
	if len(s) <= nameBytes {
		return s
	}
	n := nameBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// parseCharType reads a "char": one byte, or \ooo in octal.
func parseCharType(s string) string {
	if len(s) == 4 && s[0] == '\\' && isOctal(s[1]) && isOctal(s[2]) && isOctal(s[3]) {
		return string([]byte{(s[1]-'0')<<6 | (s[2]-'0')<<3 | (s[3] - '0')})
	}
	if s == "" || s[0] == 0 {
		return ""
	}
	return s[:1]
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

func appendCharType(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	if c := s[0]; c >= 0x80 {
		return append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	}
	return append(b, s[0])
}

func parseBoolean(text string) (Datum, error) {
	s := strings.ToLower(trimSpace(text))
	prefixOf := func(word string, least int) bool { return len(s) >= least && strings.HasPrefix(word, s) }
	switch {
	case prefixOf("true", 1), prefixOf("yes", 1), s == "on", s == "1":
		return Bool(true), nil
	case prefixOf("false", 1), prefixOf("no", 1), prefixOf("off", 2), s == "0":
		return Bool(false), nil
	}
	return DNull, invalidInput(Boolean, text)
}

func parseBytea(text string) (Datum, error) {
	if strings.HasPrefix(text, `\x`) {
		return parseHexBytea(text[2:])
	}
	if !strings.Contains(text, `\`) {
		return String(text), nil
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b = append(b, text[i])
			continue
		}
		switch {
		case i+1 < len(text) && text[i+1] == '\\':
			b = append(b, '\\')
			i++
		case i+3 < len(text) && text[i+1] >= '0' && text[i+1] <= '3' && isOctal(text[i+2]) && isOctal(text[i+3]):
			b = append(b, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
			i += 3
		default:
			return DNull, pgerror.New(pgerror.InvalidTextRepresentation, "invalid input syntax for type bytea")
		}
	}
	return String(string(b)), nil
}

func parseHexBytea(digits string) (Datum, error) {
	b := make([]byte, 0, len(digits)/2)
	for i := 0; i < len(digits); i++ {
		if c := digits[i]; c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			continue
		}
		high, ok := hexDigit(digits[i])
		if !ok {
			return DNull, invalidHex(digits[i:])
		}
		i++
		if i == len(digits) {
			return DNull, pgerror.New(pgerror.InvalidParameterValue, "invalid hexadecimal data: odd number of digits")
		}
		low, ok := hexDigit(digits[i])
		if !ok {
			return DNull, invalidHex(digits[i:])
		}
		b = append(b, high<<4|low)
	}
	return String(string(b)), nil
}

func invalidHex(rest string) error {
	_, size := utf8.DecodeRuneInString(rest)
	return pgerror.Newf(pgerror.InvalidParameterValue, "invalid hexadecimal digit: \"%s\"", rest[:size])
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func appendBytea(b []byte, ctx *Context, s string) []byte {
	if ctx == nil || !ctx.ByteaEscape {
		b = append(b, '\\', 'x')
		return hex.AppendEncode(b, []byte(s))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b = append(b, '\\', '\\')
		case c < 0x20 || c > 0x7e:
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			b = append(b, c)
		}
	}
	return b
}

func parseUUID(text string) (Datum, error) {
	var b [16]byte
	s := text
	braces := strings.HasPrefix(s, "{")
	if braces {
		if !strings.HasSuffix(s, "}") {
			return DNull, invalidInput(UUID, text)
		}
		s = s[1 : len(s)-1]
	}
	for i := range b {
		if len(s) < 2 {
			return DNull, invalidInput(UUID, text)
		}
		high, ok := hexDigit(s[0])
		low, ok2 := hexDigit(s[1])
		if !ok || !ok2 {
			return DNull, invalidInput(UUID, text)
		}
		b[i] = high<<4 | low
		s = s[2:]
		if i%2 == 1 && i < 15 && strings.HasPrefix(s, "-") {
			s = s[1:]
		}
	}
	if s != "" {
		return DNull, invalidInput(UUID, text)
	}
	return String(string(b[:])), nil
}

func appendUUID(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return b
}

// trimBPChar removes the spaces that don't count in char(n).
func trimBPChar(s string) string { return strings.TrimRight(s, " ") }

// characterPrefix returns the bytes of the first n characters; false: s has
// fewer, then how many it has.
func characterPrefix(s string, n int) (bytes, characters int, more bool) {
	if len(s) < n {
		return len(s), utf8.RuneCountInString(s), false
	}
	for i := range s {
		if characters == n {
			return i, n, true
		}
		characters++
	}
	return len(s), characters, false
}

func tooLong(t string, n int) error {
	return pgerror.Newf(pgerror.StringDataRightTruncation, "value too long for type %s(%d)", t, n)
}

// lengthCoercion cuts to varchar(n), or cuts and pads to char(n). What is cut
// off may only be spaces, unless the cast is explicit.
func lengthCoercion(typmod int32, pad, explicit bool) func(*Context, Datum) (Datum, error) {
	n := int(typmod) - 4
	name := "character varying"
	if pad {
		name = "character"
	}
	return func(_ *Context, d Datum) (Datum, error) {
		if len(d.S) <= n && !pad {
			return d, nil
		}
		end, characters, more := characterPrefix(d.S, n)
		if more {
			if !explicit && strings.Trim(d.S[end:], " ") != "" {
				return DNull, tooLong(name, n)
			}
			return String(d.S[:end]), nil
		}
		if pad && characters < n {
			return String(d.S + strings.Repeat(" ", n-characters)), nil
		}
		return d, nil
	}
}

func defineStrings() {
	concatenate := func(_ *Context, a []Datum) (Datum, error) {
		if len(a[0].S)+len(a[1].S) > 1<<30-1 {
			return DNull, pgerror.New(pgerror.ProgramLimitExceeded, "out of memory")
		}
		return String(a[0].S + a[1].S), nil
	}
	define("textcat", concatenate)
	define("byteacat", concatenate)
	defineBind("textanycat", func(args []*T, _ *T) EvalFunc {
		return func(ctx *Context, a []Datum) (Datum, error) { return String(a[0].S + textOf(ctx, args[1], a[1])), nil }
	})
	defineBind("anytextcat", func(args []*T, _ *T) EvalFunc {
		return func(ctx *Context, a []Datum) (Datum, error) { return String(textOf(ctx, args[0], a[0]) + a[1].S), nil }
	})
	define("text_starts_with", func(_ *Context, a []Datum) (Datum, error) { return Bool(strings.HasPrefix(a[0].S, a[1].S)), nil })
	defineStringCasts()
	defineLikes()
	defineRegularExpressions()
}

// textOf is the cast to text, which prints booleans in full and drops the
// padding of char(n).
func textOf(ctx *Context, t *T, d Datum) string {
	switch t.OID {
	case BooleanOID:
		return booleanText(d)
	case BPCharOID:
		return trimBPChar(d.S)
	}
	return t.Text(ctx, d)
}

func booleanText(d Datum) string {
	if d.I != 0 {
		return "true"
	}
	return "false"
}

func defineStringCasts() {
	same := func(_ *Context, a []Datum) (Datum, error) { return a[0], nil }
	toName := func(_ *Context, a []Datum) (Datum, error) { return String(truncateName(a[0].S)), nil }
	define("booltext", func(_ *Context, a []Datum) (Datum, error) { return String(booleanText(a[0])), nil })
	define("rtrim1", func(_ *Context, a []Datum) (Datum, error) { return String(trimBPChar(a[0].S)), nil })
	define("name_text", same)
	define("name_bpchar", same)
	define("text_name", toName)
	define("bpchar_name", func(_ *Context, a []Datum) (Datum, error) { return String(truncateName(trimBPChar(a[0].S))), nil })
	charText := func(_ *Context, a []Datum) (Datum, error) { return String(string(appendCharType(nil, a[0].S))), nil }
	define("char_text", charText)
	define("char_bpchar", charText)
	define("text_char", func(_ *Context, a []Datum) (Datum, error) { return String(parseCharType(a[0].S)), nil })
	define("chartoi4", func(_ *Context, a []Datum) (Datum, error) {
		if a[0].S == "" {
			return Int(0), nil
		}
		return Int(int64(int8(a[0].S[0]))), nil
	})
	define("i4tochar", func(_ *Context, a []Datum) (Datum, error) {
		switch v := a[0].I; {
		case v < -128 || v > 127:
			return DNull, pgerror.New(pgerror.NumericValueOutOfRange, "\"char\" out of range")
		case v == 0:
			return String(""), nil
		default:
			return String(string([]byte{byte(v)})), nil
		}
	})
}

func defineLikes() {
	for _, prefix := range []string{"text", "name", "bytea"} {
		bytewise := prefix == "bytea"
		for _, ignoreCase := range []bool{false, true} {
			infix := ""
			if ignoreCase {
				infix = "ic"
			}
			for _, negated := range []bool{false, true} {
				suffix := "like"
				if negated {
					suffix = "nlike"
				}
				define(prefix+infix+suffix, func(_ *Context, a []Datum) (Datum, error) {
					matched, err := Like(a[0].S, a[1].S, ignoreCase, bytewise)
					return Bool(matched != negated), err
				})
			}
		}
	}
}
