package functions

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maximumBytes is the longest value that a function makes (PostgreSQL's
// MaxAllocSize).
const maximumBytes = 1<<30 - 1

func defineStrings(d definitions) {
	characters := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(utf8.RuneCountInString(a[0].S))), nil
	}
	paddedCharacters := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(utf8.RuneCountInString(strings.TrimRight(a[0].S, " ")))), nil
	}
	octets := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(len(a[0].S))), nil
	}
	bits := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(len(a[0].S)) * 8), nil
	}
	for _, name := range []string{"length", "char_length", "character_length"} {
		d.scalar(name+"(text)", characters)
		d.scalar(name+"(bpchar)", paddedCharacters)
	}
	d.scalar("length(bytea)", octets)
	d.scalar("textlen(text)", characters)
	d.scalar("octet_length(text)", octets)
	d.scalar("octet_length(bpchar)", octets)
	d.scalar("octet_length(bytea)", octets)
	d.scalar("bit_length(text)", bits)
	d.scalar("bit_length(bytea)", bits)

	d.scalar("lower(text)", text1(func(s string) string { return strings.Map(unicode.ToLower, s) }))
	d.scalar("upper(text)", text1(func(s string) string { return strings.Map(unicode.ToUpper, s) }))
	d.scalar("initcap(text)", text1(capitalizeWords))
	d.scalar("reverse(text)", text1(reverse))

	d.scalar("substring(text,int4)", substringFrom)
	d.scalar("substr(text,int4)", substringFrom)
	d.scalar("substring(text,int4,int4)", substringFor)
	d.scalar("substr(text,int4,int4)", substringFor)
	d.scalar("overlay(text,text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return overlay(a, int64(utf8.RuneCountInString(a[1].S)), substring)
	})
	d.scalar("overlay(text,text,int4,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return overlay(a, a[3].I, substring)
	})
	position := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		i := strings.Index(a[0].S, a[1].S)
		if i < 0 {
			return types.Int(0), nil
		}
		return types.Int(int64(utf8.RuneCountInString(a[0].S[:i])) + 1), nil
	}
	d.scalar("position(text,text)", position)
	d.scalar("strpos(text,text)", position)

	d.scalar("btrim(text)", text1(func(s string) string { return strings.Trim(s, " ") }))
	d.scalar("ltrim(text)", text1(func(s string) string { return strings.TrimLeft(s, " ") }))
	d.scalar("rtrim(text)", text1(func(s string) string { return strings.TrimRight(s, " ") }))
	d.scalar("btrim(text,text)", text2(strings.Trim))
	d.scalar("ltrim(text,text)", text2(strings.TrimLeft))
	d.scalar("rtrim(text,text)", text2(strings.TrimRight))

	d.scalar("lpad(text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return pad(a[0].S, a[1].I, " ", true)
	})
	d.scalar("rpad(text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return pad(a[0].S, a[1].I, " ", false)
	})
	d.scalar("lpad(text,int4,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return pad(a[0].S, a[1].I, a[2].S, true)
	})
	d.scalar("rpad(text,int4,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return pad(a[0].S, a[1].I, a[2].S, false)
	})
	d.scalar("repeat(text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		count := max(a[1].I, 0)
		if count*int64(len(a[0].S)) > maximumBytes {
			return types.DNull, errTooLong()
		}
		return types.String(strings.Repeat(a[0].S, int(count))), nil
	})
	d.scalar("replace(text,text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[1].S == "" {
			return a[0], nil
		}
		count := strings.Count(a[0].S, a[1].S)
		if len(a[0].S)+count*(len(a[2].S)-len(a[1].S)) > maximumBytes {
			return types.DNull, errTooLong()
		}
		return types.String(strings.ReplaceAll(a[0].S, a[1].S, a[2].S)), nil
	})
	d.scalar("split_part(text,text,int4)", splitPart)
	d.scalar("left(text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		n := a[1].I
		if n < 0 {
			n = max(0, n+int64(utf8.RuneCountInString(a[0].S)))
		}
		return types.String(substring(a[0].S, 0, n)), nil
	})
	d.scalar("right(text,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		length, n := int64(utf8.RuneCountInString(a[0].S)), a[1].I
		start := length - n
		if n < 0 {
			start = -n
		}
		start = max(0, min(start, length))
		return types.String(substring(a[0].S, start, length)), nil
	})
	d.scalar("ascii(text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].S == "" {
			return types.Int(0), nil
		}
		r, _ := utf8.DecodeRuneInString(a[0].S)
		return types.Int(int64(r)), nil
	})
	d.scalar("chr(int4)", character)
	d.scalar("translate(text,text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(translate(a[0].S, a[1].S, a[2].S)), nil
	})
	d.scalar("unistr(text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) { return unescapeUnicode(a[0].S) })
	defineNormalization(d)
	defineQuoting(d)
}

func text1(f func(string) string) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) { return types.String(f(a[0].S)), nil }
}

func text2(f func(a, b string) string) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(f(a[0].S, a[1].S)), nil
	}
}

func errTooLong() error {
	return pgerror.New(pgerror.ProgramLimitExceeded, "requested length too large")
}

func capitalizeWords(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		if inWord {
			inWord = unicode.IsLetter(r) || unicode.IsDigit(r)
			return unicode.ToLower(r)
		}
		inWord = unicode.IsLetter(r) || unicode.IsDigit(r)
		return unicode.ToUpper(r)
	}, s)
}

func reverse(s string) string {
	out := make([]byte, len(s))
	at := len(s)
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		at -= size
		copy(out[at:], s[i:i+size])
		i += size
	}
	return string(out)
}

// substring returns the characters from start to end, both from 0; end may lie
// beyond the text.
func substring(s string, start, end int64) string {
	if start >= end {
		return ""
	}
	from, count := -1, int64(0)
	for i := range s {
		if count == start {
			from = i
		}
		if count == end {
			return s[from:i]
		}
		count++
	}
	if from < 0 {
		return ""
	}
	return s[from:]
}

// bounds turns SQL's position and length into a start and an end from 0.
func bounds(position, length int64) (start, end int64, err error) {
	end = position - 1 + length
	if length < 0 {
		return 0, 0, pgerror.New(pgerror.SubstringError, "negative substring length not allowed")
	}
	return max(position-1, 0), max(end, 0), nil
}

func substringFrom(_ *types.Context, a []types.Datum) (types.Datum, error) {
	return types.String(substring(a[0].S, max(a[1].I-1, 0), int64(len(a[0].S)))), nil
}

func substringFor(_ *types.Context, a []types.Datum) (types.Datum, error) {
	start, end, err := bounds(a[1].I, a[2].I)
	if err != nil {
		return types.DNull, err
	}
	return types.String(substring(a[0].S, start, end)), nil
}

// overlay replaces length units of a[0] from a[2] on by a[1]; slice takes
// units (characters or bytes).
func overlay(a []types.Datum, length int64, slice func(string, int64, int64) string) (types.Datum, error) {
	if a[2].I <= 0 {
		return types.DNull, pgerror.New(pgerror.SubstringError, "negative substring length not allowed")
	}
	after := a[2].I + length
	if after > 1<<31-1 {
		return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "integer out of range")
	}
	tail := slice(a[0].S, max(after-1, 0), int64(len(a[0].S)))
	return types.String(slice(a[0].S, 0, a[2].I-1) + a[1].S + tail), nil
}

func pad(s string, length int64, fill string, left bool) (types.Datum, error) {
	length = max(length, 0)
	have := int64(utf8.RuneCountInString(s))
	if have >= length {
		return types.String(substring(s, 0, length)), nil
	}
	if fill == "" {
		return types.String(s), nil
	}
	if length*utf8.UTFMax > maximumBytes {
		return types.DNull, errTooLong()
	}
	per := int64(utf8.RuneCountInString(fill))
	missing := length - have
	padding := strings.Repeat(fill, int(missing/per)) + substring(fill, 0, missing%per)
	if left {
		return types.String(padding + s), nil
	}
	return types.String(s + padding), nil
}

func splitPart(_ *types.Context, a []types.Datum) (types.Datum, error) {
	s, separator, n := a[0].S, a[1].S, a[2].I
	if n == 0 {
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "field position must not be zero")
	}
	if s == "" {
		return types.String(""), nil
	}
	if separator == "" {
		if n == 1 || n == -1 {
			return types.String(s), nil
		}
		return types.String(""), nil
	}
	parts := strings.Split(s, separator)
	if n < 0 {
		n += int64(len(parts)) + 1
	}
	if n < 1 || n > int64(len(parts)) {
		return types.String(""), nil
	}
	return types.String(parts[n-1]), nil
}

func character(_ *types.Context, a []types.Datum) (types.Datum, error) {
	code := a[0].I
	switch {
	case code < 0:
		return types.DNull, pgerror.New(pgerror.ProgramLimitExceeded, "character number must be positive")
	case code == 0:
		return types.DNull, pgerror.New(pgerror.ProgramLimitExceeded, "null character not permitted")
	case code > 0x10ffff:
		return types.DNull, pgerror.Newf(pgerror.ProgramLimitExceeded, "requested character too large for encoding: %d", code)
	case code >= 0xd800 && code <= 0xdfff:
		return types.DNull, pgerror.Newf(pgerror.ProgramLimitExceeded, "requested character not valid for encoding: %d", code)
	}
	return types.String(string(rune(code))), nil
}

func translate(s, from, to string) string {
	target := []rune(to)
	mapping := make(map[rune]rune, len(from))
	i := 0
	for _, r := range from {
		if _, seen := mapping[r]; !seen {
			if i < len(target) {
				mapping[r] = target[i]
			} else {
				mapping[r] = -1
			}
		}
		i++
	}
	return strings.Map(func(r rune) rune {
		if replacement, ok := mapping[r]; ok {
			return replacement
		}
		return r
	}, s)
}

// unescapeUnicode undoes \XXXX, \+XXXXXX, \uXXXX, \UXXXXXXXX and \\.
func unescapeUnicode(s string) (types.Datum, error) {
	bad := func() (types.Datum, error) {
		return types.DNull, pgerror.New(pgerror.Syntax, "invalid Unicode escape").
			WithHint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
	}
	badPair := func() (types.Datum, error) {
		return types.DNull, pgerror.New(pgerror.Syntax, "invalid Unicode surrogate pair")
	}
	var out strings.Builder
	var high rune
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			if high != 0 {
				return badPair()
			}
			out.WriteByte(s[i])
			i++
			continue
		}
		rest := s[i+1:]
		if strings.HasPrefix(rest, "\\") {
			if high != 0 {
				return badPair()
			}
			out.WriteByte('\\')
			i += 2
			continue
		}
		code, size, ok := unicodeEscape(rest)
		if !ok {
			return bad()
		}
		i += 1 + size
		switch {
		case code >= 0xd800 && code < 0xdc00:
			if high != 0 {
				return badPair()
			}
			high = code
			continue
		case code >= 0xdc00 && code < 0xe000:
			if high == 0 {
				return badPair()
			}
			code = (high-0xd800)<<10 + (code - 0xdc00) + 0x10000
			high = 0
		case high != 0:
			return badPair()
		}
		if code == 0 || code > 0x10ffff {
			return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "invalid Unicode code point: %04X", code)
		}
		out.WriteRune(code)
	}
	if high != 0 {
		return badPair()
	}
	return types.String(out.String()), nil
}

// unicodeEscape reads what follows a backslash and returns the code point and
// how many bytes it took.
func unicodeEscape(s string) (code rune, size int, ok bool) {
	digits, skip := 4, 0
	switch {
	case strings.HasPrefix(s, "+"):
		digits, skip = 6, 1
	case strings.HasPrefix(s, "u"):
		skip = 1
	case strings.HasPrefix(s, "U"):
		digits, skip = 8, 1
	}
	if len(s) < skip+digits {
		return 0, 0, false
	}
	for _, c := range []byte(s[skip : skip+digits]) {
		v, isHex := hexValue(c)
		if !isHex {
			return 0, 0, false
		}
		code = code<<4 | rune(v)
	}
	return code, skip + digits, true
}

func hexValue(c byte) (byte, bool) {
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
