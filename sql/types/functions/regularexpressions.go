package functions

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// pattern is a compiled regular expression with how it is to be applied.
type pattern struct {
	expression *regexp.Regexp
	global     bool
	// anchored: it looks at what comes before the match, so that it can't be
	// applied to the rest of a text as if that were all.
	anchored bool
}

// lookBehind finds the constraints that look at what comes before: ^ (but for
// that of [^…]), \A, \m, \M, \y, \Y, [[:<:]] and [[:>:]].
var lookBehind = regexp.MustCompile(`^\^|[^[]\^|\\[AmMyY]|\[\[:[<>]:\]\]`)

// compilePattern reads the flags of the regexp_* functions.
func compilePattern(text, flags string) (*pattern, error) {
	p := &pattern{anchored: lookBehind.MatchString(text)}
	var o types.RegularExpressionOptions
	for _, f := range flags {
		switch f {
		case 'g':
			p.global = true
		case 'i':
			o.IgnoreCase = true
		case 'c':
			o.IgnoreCase = false
		case 'm', 'n':
			o.DotExcludesNewline, o.LineAnchors = true, true
		case 'p':
			o.DotExcludesNewline, o.LineAnchors = true, false
		case 's':
			o.DotExcludesNewline, o.LineAnchors = false, false
		case 'w':
			o.DotExcludesNewline, o.LineAnchors = false, true
		case 'x':
			o.Expanded = true
		case 't':
			o.Expanded = false
		case 'q':
			o.Literal = true
		case 'e':
		case 'b':
			return nil, pgerror.Unsupported("regular expression option \"b\"")
		default:
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "invalid regular expression option: \"%c\"", f)
		}
	}
	var err error
	p.expression, err = types.CompileRegularExpression(text, o)
	return p, err
}

// compileSingle is compilePattern for functions without the global option.
func compileSingle(function, text, flags string) (*pattern, error) {
	if strings.Contains(flags, "g") {
		e := pgerror.Newf(pgerror.InvalidParameterValue, "%s does not support the \"global\" option", function)
		if function == "regexp_match()" {
			e = e.WithHint("Use the regexp_matches function instead.")
		}
		return nil, e
	}
	return compilePattern(text, flags)
}

// all returns the positions of up to limit matches (0: all) and their groups
// from byte offset from on. Unlike Go's, an empty match may stand directly
// behind another match.
func (p *pattern) all(s string, from, limit int) [][]int {
	var found [][]int
	base, text := 0, s
	if from > 0 && !p.anchored {
		base, text = from, s[from:]
	}
	full := func() bool { return limit > 0 && len(found) >= limit }
	for _, m := range p.expression.FindAllStringSubmatchIndex(text, -1) {
		if base+m[0] < from {
			continue
		}
		if full() {
			break
		}
		end := m[1]
		found = append(found, shift(m, base))
		if m[0] != end && !p.anchored && !full() {
			// Where the next match begins right here Go has it as the next one.
			if next := p.expression.FindStringSubmatchIndex(text[end:]); next != nil && next[0] == 0 && next[1] == 0 {
				found = append(found, shift(next, base+end))
			}
		}
	}
	return found
}

func shift(m []int, by int) []int {
	out := make([]int, len(m))
	for i, v := range m {
		if v >= 0 {
			v += by
		}
		out[i] = v
	}
	return out
}

// groups are what a match yields: its groups, or all of it if it has none.
func groups(s string, m []int) types.Datum {
	if len(m) == 2 {
		return textArray([]string{s[m[0]:m[1]]})
	}
	var elements []types.Datum
	for i := 2; i < len(m); i += 2 {
		if m[i] < 0 {
			elements = append(elements, types.DNull)
		} else {
			elements = append(elements, types.String(s[m[i]:m[i+1]]))
		}
	}
	return arrayOf(types.Text, elements)
}

// optional is an argument that may be left out.
func optional(a []types.Datum, i int, fallback string) string {
	if i < len(a) {
		return a[i].S
	}
	return fallback
}

// parameter is an integer argument with a lower bound.
func parameter(a []types.Datum, i int, name string, least, fallback int64) (int, error) {
	if i >= len(a) {
		return int(fallback), nil
	}
	if a[i].I < least {
		return 0, pgerror.Newf(pgerror.InvalidParameterValue, "invalid value for parameter \"%s\": %d", name, a[i].I)
	}
	return int(a[i].I), nil
}

// byteOffset is where the nth character (from 1) begins; beyond the end if the
// text is shorter.
func byteOffset(s string, n int) int {
	count := 1
	for i := range s {
		if count == n {
			return i
		}
		count++
	}
	return len(s) + n - count
}

func defineRegularExpressions(d definitions) {
	for _, flags := range []string{"", ",text"} {
		d.scalar("regexp_match(text,text"+flags+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			p, err := compileSingle("regexp_match()", a[1].S, optional(a, 2, ""))
			if err != nil {
				return types.DNull, err
			}
			m := p.expression.FindStringSubmatchIndex(a[0].S)
			if m == nil {
				return types.DNull, nil
			}
			return groups(a[0].S, m), nil
		})
		d.rows("regexp_matches(text,text"+flags+")", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
			p, err := compilePattern(a[1].S, optional(a, 2, ""))
			if err != nil {
				return nil, err
			}
			limit := 1
			if p.global {
				limit = 0
			}
			rows := &valueRows{}
			for _, m := range p.all(a[0].S, 0, limit) {
				rows.values = append(rows.values, groups(a[0].S, m))
			}
			return rows, nil
		})
		d.scalar("regexp_split_to_array(text,text"+flags+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			parts, err := splitByPattern("regexp_split_to_array()", a)
			return arrayOf(types.Text, parts), err
		})
		d.rows("regexp_split_to_table(text,text"+flags+")", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
			parts, err := splitByPattern("regexp_split_to_table()", a)
			return &valueRows{values: parts}, err
		})
		d.scalar("regexp_like(text,text"+flags+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			p, err := compileSingle("regexp_like()", a[1].S, optional(a, 2, ""))
			if err != nil {
				return types.DNull, err
			}
			return types.Bool(p.expression.MatchString(a[0].S)), nil
		})
	}
	defineReplacement(d)
	definePositions(d)
	defineSimilar(d)
}

// splitByPattern leaves out empty matches at the ends and right behind another.
func splitByPattern(function string, a []types.Datum) ([]types.Datum, error) {
	p, err := compileSingle(function, a[1].S, optional(a, 2, ""))
	if err != nil {
		return nil, err
	}
	s := a[0].S
	var parts []types.Datum
	end := 0
	for _, m := range p.all(s, 0, 0) {
		if m[0] >= len(s) && m[1] == m[0] || m[1] <= end {
			continue
		}
		parts = append(parts, types.String(s[end:m[0]]))
		end = m[1]
	}
	return append(parts, types.String(s[end:])), nil
}

func defineReplacement(d definitions) {
	d.scalar("regexp_replace(text,text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return replacePattern(a[0].S, a[1].S, a[2].S, "", 1, 1)
	})
	d.scalar("regexp_replace(text,text,text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if flags := a[3].S; flags != "" && flags[0] >= '0' && flags[0] <= '9' {
			return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "invalid regular expression option: \"%c\"", flags[0]).
				WithHint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.")
		}
		n := 1
		if strings.Contains(a[3].S, "g") {
			n = 0
		}
		return replacePattern(a[0].S, a[1].S, a[2].S, a[3].S, 1, n)
	})
	extended := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		start, err := parameter(a, 3, "start", 1, 1)
		if err != nil {
			return types.DNull, err
		}
		n, err := parameter(a, 4, "n", 0, 1)
		if err != nil {
			return types.DNull, err
		}
		return replacePattern(a[0].S, a[1].S, a[2].S, optional(a, 5, ""), start, n)
	}
	d.scalar("regexp_replace(text,text,text,int4)", extended)
	d.scalar("regexp_replace(text,text,text,int4,int4)", extended)
	d.scalar("regexp_replace(text,text,text,int4,int4,text)", extended)
}

// replacePattern replaces the nth match from the character start on; 0: all.
func replacePattern(s, text, replacement, flags string, start, n int) (types.Datum, error) {
	p, err := compilePattern(text, flags)
	if err != nil {
		return types.DNull, err
	}
	from := byteOffset(s, start)
	if from > len(s) {
		return types.String(s), nil
	}
	var out strings.Builder
	end := 0
	for i, m := range p.all(s, from, n) {
		if n > 0 && i+1 != n {
			continue
		}
		out.WriteString(s[end:m[0]])
		appendReplacement(&out, s, replacement, m)
		end = m[1]
		if out.Len() > maximumBytes {
			return types.DNull, errTooLong()
		}
	}
	out.WriteString(s[end:])
	return types.String(out.String()), nil
}

// appendReplacement writes a replacement with its \1 … \9 and \&.
func appendReplacement(out *strings.Builder, s, replacement string, m []int) {
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		if c != '\\' || i+1 == len(replacement) {
			out.WriteByte(c)
			continue
		}
		i++
		group := -1
		switch c = replacement[i]; {
		case c >= '1' && c <= '9':
			group = int(c - '0')
		case c == '&':
			group = 0
		case c == '\\':
			out.WriteByte('\\')
			continue
		default: // not an escape: the backslash stands for itself
			out.WriteByte('\\')
			i--
			continue
		}
		if 2*group < len(m) && m[2*group] >= 0 {
			out.WriteString(s[m[2*group]:m[2*group+1]])
		}
	}
}

func definePositions(d definitions) {
	count := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		start, err := parameter(a, 2, "start", 1, 1)
		if err != nil {
			return types.DNull, err
		}
		p, err := compileSingle("regexp_count()", a[1].S, optional(a, 3, ""))
		if err != nil {
			return types.DNull, err
		}
		from := byteOffset(a[0].S, start)
		if from > len(a[0].S) {
			return types.Int(0), nil
		}
		return types.Int(int64(len(p.all(a[0].S, from, 0)))), nil
	}
	d.scalar("regexp_count(text,text)", count)
	d.scalar("regexp_count(text,text,int4)", count)
	d.scalar("regexp_count(text,text,int4,text)", count)
	instr := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		endOption := false
		if len(a) > 4 {
			if a[4].I != 0 && a[4].I != 1 {
				return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "invalid value for parameter \"%s\": %d", "endoption", a[4].I)
			}
			endOption = a[4].I == 1
		}
		m, err := nthMatch("regexp_instr()", a, optional(a, 5, ""), 6)
		if err != nil || m == nil {
			return types.Int(0), err
		}
		at := m[0]
		if endOption {
			at = m[1]
		}
		return types.Int(int64(utf8.RuneCountInString(a[0].S[:at])) + 1), nil
	}
	substr := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		m, err := nthMatch("regexp_substr()", a, optional(a, 4, ""), 5)
		if err != nil || m == nil {
			return types.DNull, err
		}
		return types.String(a[0].S[m[0]:m[1]]), nil
	}
	for _, more := range []string{"", ",int4", ",int4,int4", ",int4,int4,int4", ",int4,int4,int4,text", ",int4,int4,int4,text,int4"} {
		d.scalar("regexp_instr(text,text"+more+")", instr)
	}
	for _, more := range []string{"", ",int4", ",int4,int4", ",int4,int4,text", ",int4,int4,text,int4"} {
		d.scalar("regexp_substr(text,text"+more+")", substr)
	}
	d.scalar("substring(text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return substringByPattern(a[0].S, a[1].S)
	})
	d.scalar("substring(text,text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		similar, err := similarPattern(a[1].S, a[2].S)
		if err != nil {
			return types.DNull, err
		}
		return substringByPattern(a[0].S, similar)
	})
}

// nthMatch returns the span of the nth match, or of a group of it; nil: there
// is none. Arguments 2 and 3 are start and n, subexpression is the index of its.
func nthMatch(function string, a []types.Datum, flags string, subexpression int) ([]int, error) {
	start, err := parameter(a, 2, "start", 1, 1)
	if err != nil {
		return nil, err
	}
	n, err := parameter(a, 3, "n", 1, 1)
	if err != nil {
		return nil, err
	}
	group, err := parameter(a, subexpression, "subexpr", 0, 0)
	if err != nil {
		return nil, err
	}
	p, err := compileSingle(function, a[1].S, flags)
	if err != nil {
		return nil, err
	}
	from := byteOffset(a[0].S, start)
	if from > len(a[0].S) {
		return nil, nil
	}
	found := p.all(a[0].S, from, n)
	if len(found) < n || 2*group >= len(found[n-1]) || found[n-1][2*group] < 0 {
		return nil, nil
	}
	return found[n-1][2*group : 2*group+2], nil
}

// substringByPattern is the first group of the match, or all of it.
func substringByPattern(s, text string) (types.Datum, error) {
	p, err := compilePattern(text, "")
	if err != nil {
		return types.DNull, err
	}
	m := p.expression.FindStringSubmatchIndex(s)
	if m == nil {
		return types.DNull, nil
	}
	if len(m) > 2 {
		m = m[2:4]
	}
	if m[0] < 0 {
		return types.DNull, nil
	}
	return types.String(s[m[0]:m[1]]), nil
}

func defineSimilar(d definitions) {
	escape := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		character := `\`
		if len(a) > 1 {
			if a[1].Null {
				return types.DNull, nil
			}
			character = a[1].S
		}
		if a[0].Null {
			return types.DNull, nil
		}
		s, err := similarPattern(a[0].S, character)
		return types.String(s), err
	}
	d.scalar("similar_to_escape(text)", escape)
	d.scalar("similar_to_escape(text,text)", escape)
	d.scalar("similar_escape(text,text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		if a[1].Null {
			a = a[:1]
		}
		return escape(ctx, a)
	})
	like := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := types.LikeEscape(a[0].S, a[1].S)
		return types.String(s), err
	}
	d.scalar("like_escape(text,text)", like)
	d.scalar("like_escape(bytea,bytea)", like)
}

// similarPattern turns a pattern of SIMILAR TO into a regular expression, as
// similar_escape does. Two escape-double-quotes divide it in three: the middle
// is what SUBSTRING(… SIMILAR …) yields.
func similarPattern(text, escape string) (string, error) {
	if utf8.RuneCountInString(escape) > 1 {
		return "", pgerror.New(pgerror.InvalidEscapeSequence, "invalid escape string").
			WithHint("Escape string must be empty or one character.")
	}
	var out strings.Builder
	out.WriteString("^(?:")
	afterEscape, quotes, bracket := false, 0, false
	for _, r := range text {
		c := string(r)
		switch {
		case afterEscape:
			afterEscape = false
			if c == `"` && !bracket {
				switch quotes {
				case 0:
					out.WriteString("){1,1}?(")
				case 1:
					out.WriteString("){1,1}(?:")
				default:
					return "", pgerror.New("2200C", "SQL regular expression may not contain more than two escape-double-quote separators")
				}
				quotes++
			} else {
				out.WriteString(`\` + c)
			}
		case escape != "" && c == escape:
			afterEscape = true
		case bracket:
			if c == `\` {
				out.WriteByte('\\')
			}
			out.WriteString(c)
			bracket = c != "]"
		case c == "[":
			out.WriteString(c)
			bracket = true
		case c == "%":
			out.WriteString(".*")
		case c == "_":
			out.WriteByte('.')
		case c == "(":
			out.WriteString("(?:")
		case c == `\` || c == "." || c == "^" || c == "$":
			out.WriteString(`\` + c)
		default:
			out.WriteString(c)
		}
	}
	out.WriteString(")$")
	return out.String(), nil
}
