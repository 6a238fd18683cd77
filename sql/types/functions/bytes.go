package functions

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func defineBytes(d definitions) {
	d.scalar("md5(text)", text1(md5Hex))
	d.scalar("md5(bytea)", text1(md5Hex))
	d.scalar("sha224(bytea)", text1(func(s string) string { h := sha256.Sum224([]byte(s)); return string(h[:]) }))
	d.scalar("sha256(bytea)", text1(func(s string) string { h := sha256.Sum256([]byte(s)); return string(h[:]) }))
	d.scalar("sha384(bytea)", text1(func(s string) string { h := sha512.Sum384([]byte(s)); return string(h[:]) }))
	d.scalar("sha512(bytea)", text1(func(s string) string { h := sha512.Sum512([]byte(s)); return string(h[:]) }))
	d.scalar("to_hex(int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(strconv.FormatUint(uint64(uint32(a[0].I)), 16)), nil
	})
	d.scalar("to_hex(int8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(strconv.FormatUint(uint64(a[0].I), 16)), nil
	})
	d.scalar("encode(bytea,text)", encodeBytes)
	d.scalar("decode(text,text)", decodeBytes)

	d.scalar("substring(bytea,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(subbytes(a[0].S, max(a[1].I-1, 0), int64(len(a[0].S)))), nil
	})
	d.scalar("substr(bytea,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(subbytes(a[0].S, max(a[1].I-1, 0), int64(len(a[0].S)))), nil
	})
	substringFor := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		start, end, err := bounds(a[1].I, a[2].I)
		return types.String(subbytes(a[0].S, start, end)), err
	}
	d.scalar("substring(bytea,int4,int4)", substringFor)
	d.scalar("substr(bytea,int4,int4)", substringFor)
	d.scalar("overlay(bytea,bytea,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return overlay(a, int64(len(a[1].S)), subbytes)
	})
	d.scalar("overlay(bytea,bytea,int4,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return overlay(a, a[3].I, subbytes)
	})
	d.scalar("position(bytea,bytea)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Int(int64(strings.Index(a[0].S, a[1].S) + 1)), nil
	})
	d.scalar("btrim(bytea,bytea)", text2(func(s, set string) string { return trimBytes(s, set, true, true) }))
	d.scalar("ltrim(bytea,bytea)", text2(func(s, set string) string { return trimBytes(s, set, true, false) }))
	d.scalar("rtrim(bytea,bytea)", text2(func(s, set string) string { return trimBytes(s, set, false, true) }))
	d.scalar("bit_count(bytea)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		count := 0
		for i := range len(a[0].S) {
			count += bits.OnesCount8(a[0].S[i])
		}
		return types.Int(int64(count)), nil
	})
	defineBits(d)
	defineEncodings(d)
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// subbytes is substring for bytes.
func subbytes(s string, start, end int64) string {
	end = min(end, int64(len(s)))
	if start >= end {
		return ""
	}
	return s[start:end]
}

func trimBytes(s, set string, left, right bool) string {
	for left && s != "" && strings.IndexByte(set, s[0]) >= 0 {
		s = s[1:]
	}
	for right && s != "" && strings.IndexByte(set, s[len(s)-1]) >= 0 {
		s = s[:len(s)-1]
	}
	return s
}

func defineBits(d definitions) {
	index := func(a []types.Datum, length int64) error {
		if a[1].I < 0 || a[1].I >= length {
			return pgerror.Newf(pgerror.ArraySubscriptError, "index %d out of valid range, 0..%d", a[1].I, length-1)
		}
		return nil
	}
	d.scalar("get_byte(bytea,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if err := index(a, int64(len(a[0].S))); err != nil {
			return types.DNull, err
		}
		return types.Int(int64(a[0].S[a[1].I])), nil
	})
	d.scalar("set_byte(bytea,int4,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if err := index(a, int64(len(a[0].S))); err != nil {
			return types.DNull, err
		}
		b := []byte(a[0].S)
		b[a[1].I] = byte(a[2].I)
		return types.String(string(b)), nil
	})
	d.scalar("get_bit(bytea,int8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if err := index(a, int64(len(a[0].S))*8); err != nil {
			return types.DNull, err
		}
		return types.Int(int64(a[0].S[a[1].I/8] >> (a[1].I % 8) & 1)), nil
	})
	d.scalar("set_bit(bytea,int8,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if err := index(a, int64(len(a[0].S))*8); err != nil {
			return types.DNull, err
		}
		if a[2].I != 0 && a[2].I != 1 {
			return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "new bit must be 0 or 1")
		}
		b := []byte(a[0].S)
		mask := byte(1) << (a[1].I % 8)
		b[a[1].I/8] &^= mask
		if a[2].I == 1 {
			b[a[1].I/8] |= mask
		}
		return types.String(string(b)), nil
	})
}

func encodeBytes(_ *types.Context, a []types.Datum) (types.Datum, error) {
	s := a[0].S
	switch strings.ToLower(a[1].S) {
	case "hex":
		return types.String(hex.EncodeToString([]byte(s))), nil
	case "base64":
		encoded := base64.StdEncoding.EncodeToString([]byte(s))
		var out strings.Builder
		for len(encoded) > 76 {
			out.WriteString(encoded[:76])
			out.WriteByte('\n')
			encoded = encoded[76:]
		}
		out.WriteString(encoded)
		return types.String(out.String()), nil
	case "escape":
		var out strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c == '\\':
				out.WriteString(`\\`)
			case c == 0 || c >= 0x80:
				out.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
			default:
				out.WriteByte(c)
			}
		}
		return types.String(out.String()), nil
	}
	return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized encoding: \"%s\"", a[1].S)
}

func decodeBytes(_ *types.Context, a []types.Datum) (types.Datum, error) {
	switch strings.ToLower(a[1].S) {
	case "hex":
		return decodeHex(a[0].S)
	case "base64":
		return decodeBase64(a[0].S)
	case "escape":
		return decodeEscape(a[0].S)
	}
	return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized encoding: \"%s\"", a[1].S)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func decodeHex(s string) (types.Datum, error) {
	out := make([]byte, 0, len(s)/2)
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		high, ok := hexValue(s[i])
		if !ok {
			return types.DNull, errHexDigit(s[i:])
		}
		if i+1 >= len(s) {
			return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "invalid hexadecimal data: odd number of digits")
		}
		low, ok := hexValue(s[i+1])
		if !ok {
			return types.DNull, errHexDigit(s[i+1:])
		}
		out = append(out, high<<4|low)
		i += 2
	}
	return types.String(string(out)), nil
}

func errHexDigit(s string) error {
	_, size := utf8.DecodeRuneInString(s)
	return pgerror.Newf(pgerror.InvalidParameterValue, "invalid hexadecimal digit: \"%s\"", s[:size])
}

func decodeBase64(s string) (types.Datum, error) {
	var out []byte
	var buffer uint32
	count, padding := 0, 0
	for i := range len(s) {
		c := s[i]
		if isSpace(c) {
			continue
		}
		value := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", c)
		switch {
		case c == '=':
			if padding == 0 {
				switch count {
				case 2:
					padding = 1
				case 3:
					padding = 2
				default:
					return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "unexpected \"=\" while decoding base64 sequence")
				}
			}
			value = 0
		case value < 0:
			_, size := utf8.DecodeRuneInString(s[i:])
			return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "invalid symbol \"%s\" found while decoding base64 sequence", s[i:i+size])
		}
		buffer = buffer<<6 | uint32(value)
		if count++; count == 4 {
			out = append(out, byte(buffer>>16))
			if padding == 0 || padding > 1 {
				out = append(out, byte(buffer>>8))
			}
			if padding == 0 {
				out = append(out, byte(buffer))
			}
			buffer, count = 0, 0
		}
	}
	if count != 0 {
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "invalid base64 end sequence").
			WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
	}
	return types.String(string(out)), nil
}

func decodeEscape(s string) (types.Datum, error) {
	var out []byte
	isOctal := func(c, limit byte) bool { return c >= '0' && c <= limit }
	for i := 0; i < len(s); {
		switch {
		case s[i] != '\\':
			out = append(out, s[i])
			i++
		case i+1 < len(s) && s[i+1] == '\\':
			out = append(out, '\\')
			i += 2
		case i+3 < len(s) && isOctal(s[i+1], '3') && isOctal(s[i+2], '7') && isOctal(s[i+3], '7'):
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 4
		default:
			return types.DNull, pgerror.Newf(pgerror.InvalidTextRepresentation, "invalid input syntax for type %s", "bytea")
		}
	}
	return types.String(string(out)), nil
}

// charsets are the encodings that convert_from and convert_to know besides
// UTF8 and SQL_ASCII, by PostgreSQL's names.
var charsets = map[string]encoding.Encoding{
	"LATIN1": charmap.ISO8859_1, "LATIN2": charmap.ISO8859_2, "LATIN3": charmap.ISO8859_3, "LATIN4": charmap.ISO8859_4,
	"LATIN5": charmap.ISO8859_9, "LATIN6": charmap.ISO8859_10, "LATIN7": charmap.ISO8859_13, "LATIN8": charmap.ISO8859_14,
	"LATIN9": charmap.ISO8859_15, "LATIN10": charmap.ISO8859_16, "ISO_8859_5": charmap.ISO8859_5, "ISO_8859_6": charmap.ISO8859_6,
	"ISO_8859_7": charmap.ISO8859_7, "ISO_8859_8": charmap.ISO8859_8, "KOI8R": charmap.KOI8R, "KOI8U": charmap.KOI8U,
	"WIN866": charmap.CodePage866, "WIN874": charmap.Windows874, "WIN1250": charmap.Windows1250, "WIN1251": charmap.Windows1251,
	"WIN1252": charmap.Windows1252, "WIN1253": charmap.Windows1253, "WIN1254": charmap.Windows1254, "WIN1255": charmap.Windows1255,
	"WIN1256": charmap.Windows1256, "WIN1257": charmap.Windows1257, "WIN1258": charmap.Windows1258,
}

// encodingIDs are PostgreSQL's numbers of encodings (pg_encoding_to_char).
var encodingIDs = map[int64]string{
	0: "SQL_ASCII", 1: "EUC_JP", 2: "EUC_CN", 3: "EUC_KR", 4: "EUC_TW", 5: "EUC_JIS_2004", 6: "UTF8", 7: "MULE_INTERNAL",
	8: "LATIN1", 9: "LATIN2", 10: "LATIN3", 11: "LATIN4", 12: "LATIN5", 13: "LATIN6", 14: "LATIN7", 15: "LATIN8", 16: "LATIN9",
	17: "LATIN10", 18: "WIN1256", 19: "WIN1258", 20: "WIN866", 21: "WIN874", 22: "KOI8R", 23: "WIN1251", 24: "WIN1252",
	25: "ISO_8859_5", 26: "ISO_8859_6", 27: "ISO_8859_7", 28: "ISO_8859_8", 29: "WIN1250", 30: "WIN1253", 31: "WIN1254",
	32: "WIN1255", 33: "WIN1257", 34: "KOI8U", 35: "SJIS", 36: "BIG5", 37: "GBK", 38: "UHC", 39: "GB18030", 40: "JOHAB",
	41: "SHIFT_JIS_2004",
}

// encodingName turns a spelling of an encoding into PostgreSQL's name of it, ""
// for an unknown one.
func encodingName(spelling string) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			}
			return -1
		}, s)
	}
	wanted := clean(spelling)
	switch wanted {
	case "unicode":
		return "UTF8"
	case "iso88591":
		return "LATIN1"
	case "iso88592":
		return "LATIN2"
	case "iso88593":
		return "LATIN3"
	case "iso88594":
		return "LATIN4"
	case "iso88599":
		return "LATIN5"
	case "iso885910":
		return "LATIN6"
	case "iso885913":
		return "LATIN7"
	case "iso885914":
		return "LATIN8"
	case "iso885915":
		return "LATIN9"
	case "iso885916":
		return "LATIN10"
	case "koi8":
		return "KOI8R"
	case "windows1252":
		return "WIN1252"
	}
	for _, name := range encodingIDs {
		if clean(name) == wanted || strings.Replace(clean(name), "win", "windows", 1) == wanted {
			return name
		}
	}
	return ""
}

func defineEncodings(d definitions) {
	decodeFrom := func(s, charset, what string) (string, error) {
		name := encodingName(charset)
		switch {
		case name == "":
			return "", pgerror.Newf(pgerror.InvalidParameterValue, "invalid %s encoding name \"%s\"", what, charset)
		case name == "UTF8" || name == "SQL_ASCII":
			return s, validUTF8(s)
		}
		c, known := charsets[name]
		if !known {
			return "", pgerror.Unsupported("encoding " + name)
		}
		out, err := c.NewDecoder().String(s)
		return out, err
	}
	encodeTo := func(s, charset string) (string, error) {
		name := encodingName(charset)
		switch {
		case name == "":
			return "", pgerror.Newf(pgerror.InvalidParameterValue, "invalid destination encoding name \"%s\"", charset)
		case name == "UTF8" || name == "SQL_ASCII":
			return s, nil
		}
		c, known := charsets[name]
		if !known {
			return "", pgerror.Unsupported("encoding " + name)
		}
		var out []byte
		for _, r := range s {
			one, err := c.NewEncoder().String(string(r))
			if err != nil {
				var b strings.Builder
				for i, c := range []byte(string(r)) {
					if i > 0 {
						b.WriteByte(' ')
					}
					b.WriteString("0x" + hex.EncodeToString([]byte{c}))
				}
				return "", pgerror.Newf(pgerror.UntranslatableCharacter,
					"character with byte sequence %s in encoding \"UTF8\" has no equivalent in encoding \"%s\"", b.String(), name)
			}
			out = append(out, one...)
		}
		return string(out), nil
	}
	d.scalar("convert_from(bytea,name)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := decodeFrom(a[0].S, a[1].S, "source")
		return types.String(s), err
	})
	d.scalar("convert_to(text,name)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := encodeTo(a[0].S, a[1].S)
		return types.String(s), err
	})
	d.scalar("convert(bytea,name,name)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := decodeFrom(a[0].S, a[1].S, "source")
		if err != nil {
			return types.DNull, err
		}
		s, err = encodeTo(s, a[2].S)
		return types.String(s), err
	})
	d.scalar("length(bytea,name)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := decodeFrom(a[0].S, a[1].S, "")
		return types.Int(int64(utf8.RuneCountInString(s))), err
	})
	d.scalar("pg_encoding_to_char(int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(encodingIDs[a[0].I]), nil
	})
	d.scalar("pg_char_to_encoding(name)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		name := encodingName(a[0].S)
		for id, n := range encodingIDs {
			if n == name {
				return types.Int(id), nil
			}
		}
		return types.Int(-1), nil
	})
	d.scalar("getdatabaseencoding()", func(*types.Context, []types.Datum) (types.Datum, error) { return types.String("UTF8"), nil })
	d.scalar("pg_client_encoding()", func(ctx *types.Context, _ []types.Datum) (types.Datum, error) {
		if ctx.Session != nil {
			if value, ok := ctx.Session.Setting(ctx.Ctx, "client_encoding"); ok {
				return types.String(value), nil
			}
		}
		return types.String("UTF8"), nil
	})
	d.scalar("pg_encoding_max_length(int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		switch name := encodingIDs[a[0].I]; {
		case name == "":
			return types.DNull, nil
		case name == "UTF8" || name == "GB18030" || name == "EUC_TW" || name == "MULE_INTERNAL":
			return types.Int(4), nil
		case strings.HasPrefix(name, "EUC_J") || name == "EUC_KR" || name == "JOHAB":
			return types.Int(3), nil
		case name == "EUC_CN" || strings.Contains(name, "JIS") || name == "BIG5" || name == "GBK" || name == "UHC":
			return types.Int(2), nil
		}
		return types.Int(1), nil
	})
}

// validUTF8 refuses bytes that are not UTF-8, and NUL.
func validUTF8(s string) error {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && size <= 1 {
			var b strings.Builder
			for j := i; j < len(s) && j < i+sequenceLength(s[i]); j++ {
				b.WriteString(" 0x" + hex.EncodeToString([]byte{s[j]}))
			}
			return pgerror.Newf(pgerror.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\":%s", b.String())
		}
		i += size
	}
	return nil
}

// sequenceLength is how long a UTF-8 sequence that begins with c means to be.
func sequenceLength(c byte) int {
	switch {
	case c >= 0xf0 && c < 0xf8:
		return 4
	case c >= 0xe0 && c < 0xf0:
		return 3
	case c >= 0xc0 && c < 0xe0:
		return 2
	}
	return 1
}
