package sql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // so that zones don't depend on the machine

	"github.com/cairndb/cairn/sql/pgerror"
)

// loadZone returns a time zone by what SET TIME ZONE takes: a name of the IANA
// database in any case, hours east of Greenwich, or a POSIX name with an offset
// west of it. The name returned is what SHOW prints.
func loadZone(text string) (string, *time.Location, error) {
	t := strings.TrimSpace(text)
	if hours, err := strconv.ParseFloat(t, 64); err == nil {
		if hours < -167 || hours > 167 {
			return "", nil, zoneError(text)
		}
		return offsetZone(int(hours * 3600))
	}
	if name, l, ok := namedZone(t); ok {
		return name, l, nil
	}
	if seconds, ok := clockOffset(t); ok {
		return offsetZone(seconds)
	}
	if name, l, ok := posixZone(t); ok {
		return name, l, nil
	}
	return "", nil, zoneError(text)
}

func zoneError(text string) error {
	return pgerror.Newf(pgerror.InvalidParameterValue, `invalid value for parameter "TimeZone": %q`, text)
}

func namedZone(name string) (string, *time.Location, bool) {
	if name == "" || strings.EqualFold(name, "local") || strings.EqualFold(name, "default") {
		return "UTC", time.UTC, true
	}
	candidates := []string{name, strings.ToUpper(name), titleZone(name)}
	for _, c := range candidates {
		if c == "UTC" {
			return c, time.UTC, true
		}
		if l, err := time.LoadLocation(c); err == nil {
			return c, l, true
		}
	}
	return "", nil, false
}

// titleZone writes america/new_york as America/New_York.
func titleZone(name string) string {
	b := []byte(strings.ToLower(name))
	for i := range b {
		if b[i] >= 'a' && b[i] <= 'z' && (i == 0 || b[i-1] == '/' || b[i-1] == '_' || b[i-1] == '-') {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// clockOffset reads +05:30, as an interval would be.
func clockOffset(text string) (int, bool) {
	sign := 1
	switch {
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	case strings.HasPrefix(text, "-"):
		sign, text = -1, text[1:]
	}
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	seconds := 0
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || i > 0 && n > 59 || n > 167 {
			return 0, false
		}
		seconds = seconds*60 + n
	}
	if len(parts) == 2 {
		seconds *= 60
	}
	return sign * seconds, true
}

// offsetZone names a fixed offset as PostgreSQL does: <+05:30>-05:30.
func offsetZone(seconds int) (string, *time.Location, error) {
	east, west := clock(seconds), clock(-seconds)
	return fmt.Sprintf("<%s>%s", east, west), time.FixedZone(east, seconds), nil
}

func clock(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	text := fmt.Sprintf("%c%02d", sign, seconds/3600)
	if m := seconds / 60 % 60; m != 0 || seconds%60 != 0 {
		text += fmt.Sprintf(":%02d", m)
	}
	if s := seconds % 60; s != 0 {
		text += fmt.Sprintf(":%02d", s)
	}
	return text
}

// posixZone reads UTC+3 and <+03>-03: an abbreviation with an offset to the
// west.
func posixZone(text string) (string, *time.Location, bool) {
	rest := text
	var abbreviation string
	if strings.HasPrefix(text, "<") {
		end := strings.IndexByte(text, '>')
		if end < 0 {
			return "", nil, false
		}
		abbreviation, rest = text[1:end], text[end+1:]
	} else {
		end := 0
		for end < len(text) && (text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z') {
			end++
		}
		abbreviation, rest = text[:end], text[end:]
	}
	if len(abbreviation) < 3 || rest == "" {
		return "", nil, false
	}
	seconds, ok := clockOffset(rest)
	if !ok {
		hours, err := strconv.Atoi(rest)
		if err != nil || hours < -167 || hours > 167 {
			return "", nil, false
		}
		seconds = hours * 3600
	}
	return text, time.FixedZone(abbreviation, -seconds), true
}
