package sql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// loadZone returns a time zone by what SET TIME ZONE takes: what
// types.LoadLocation knows, hours east of Greenwich, or LOCAL.
// The name returned is what SHOW prints.
func loadZone(text string) (string, *time.Location, error) {
	t := strings.TrimSpace(text)
	if t == "" || strings.EqualFold(t, "local") || strings.EqualFold(t, "default") {
		return "UTC", time.UTC, nil
	}
	if hours, err := strconv.ParseFloat(t, 64); err == nil && hours >= -167 && hours <= 167 {
		return offsetZone(int(hours * 3600))
	}
	if seconds, ok := clockOffset(t); ok {
		// A description as in POSIX, which counts to the west, without a name.
		return t, time.FixedZone(clock(-seconds), -seconds), nil
	}
	l, err := types.LoadLocation(t)
	if err != nil {
		return "", nil, pgerror.Newf(pgerror.InvalidParameterValue, `invalid value for parameter "TimeZone": "%s"`, text)
	}
	if name := l.String(); strings.EqualFold(name, t) {
		return name, l, nil
	}
	return t, l, nil
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
