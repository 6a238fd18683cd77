package types

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
)

var errLikeEscape = pgerror.New(pgerror.InvalidEscapeSequence, "LIKE pattern must not end with escape character")

// Like matches a string against a LIKE pattern with the escape character \.
// bytewise: _ is one byte.
func Like(s, pattern string, ignoreCase, bytewise bool) (bool, error) {
	if ignoreCase {
		s, pattern = strings.Map(unicode.ToLower, s), strings.Map(unicode.ToLower, pattern)
	}
	return like(s, pattern, bytewise)
}

// like goes through both from the left. After a % it tries the rest of the
// pattern at every place, going back to the last % only: an earlier one need
// not be tried again.
func like(s, pattern string, bytewise bool) (bool, error) {
	restPattern, restString, back := "", "", false
	for {
		if pattern == "" {
			if s == "" {
				return true, nil
			}
		} else {
			switch c := pattern[0]; {
			case c == '%':
				for pattern != "" && pattern[0] == '%' {
					pattern = pattern[1:]
				}
				if pattern == "" {
					return true, nil
				}
				restPattern, restString, back = pattern, s, true
				continue
			case s == "":
				return false, nil // not even if an escape character ends the pattern
			case c == '_':
				s, pattern = s[characterSize(s, bytewise):], pattern[1:]
				continue
			default:
				if c == '\\' {
					if len(pattern) == 1 {
						e := *errLikeEscape
						return false, &e
					}
					if pattern[1] == s[0] {
						s, pattern = s[1:], pattern[2:]
						continue
					}
				} else if c == s[0] {
					s, pattern = s[1:], pattern[1:]
					continue
				}
			}
		}
		if !back || restString == "" {
			return false, nil
		}
		restString = restString[characterSize(restString, bytewise):]
		s, pattern = restString, restPattern
	}
}

func characterSize(s string, bytewise bool) int {
	if bytewise || s[0] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeRuneInString(s)
	return size
}

// LikeEscape rewrites a pattern with another escape character, or none (""),
// to one with \. 22025 if escape has more than one character.
func LikeEscape(pattern, escape string) (string, error) {
	if escape == `\` {
		return pattern, nil
	}
	if utf8.RuneCountInString(escape) > 1 {
		return "", pgerror.New(pgerror.InvalidEscapeSequence, "invalid escape string").
			WithHint("Escape string must be empty or one character.")
	}
	var b strings.Builder
	afterEscape := false
	for i := 0; i < len(pattern); {
		if escape != "" && strings.HasPrefix(pattern[i:], escape) && !afterEscape {
			b.WriteByte('\\')
			i += len(escape)
			afterEscape = true
			continue
		}
		if pattern[i] == '\\' && !afterEscape {
			b.WriteByte('\\')
		}
		b.WriteByte(pattern[i])
		i++
		for i < len(pattern) && !utf8.RuneStart(pattern[i]) {
			b.WriteByte(pattern[i])
			i++
		}
		afterEscape = false
	}
	return b.String(), nil
}
