package types

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones where the machine has none

	"github.com/cairndb/cairn/sql/pgerror"
)

//go:embed facts/zones.tsv
var zoneFacts string

//go:embed facts/zonenames.tsv
var zoneNames string

// zoneTables are the abbreviations with their offsets in seconds east, and the
// zones' names by their lower-case form.
var zoneTables = sync.OnceValues(func() (abbreviations map[string]int, names map[string]string) {
	abbreviations, names = make(map[string]int), make(map[string]string)
	for _, r := range factLines(zoneFacts) {
		if offset, err := strconv.Atoi(r[1]); err == nil {
			abbreviations[strings.ToLower(r[0])] = offset
		}
	}
	for name := range strings.SplitSeq(strings.TrimSpace(zoneNames), "\n") {
		names[strings.ToLower(name)] = name
	}
	return abbreviations, names
})

func zoneAbbreviation(name string) (int, bool) {
	abbreviations, _ := zoneTables()
	offset, ok := abbreviations[strings.ToLower(name)]
	return offset, ok
}

// TimeZoneNames returns the names of the time zones that PostgreSQL lists, in
// order; some may be missing on this machine.
func TimeZoneNames() []string { return strings.Fields(zoneNames) }

// TimeZoneAbbreviation is an abbreviation of a time zone, in upper case.
type TimeZoneAbbreviation struct {
	Name   string
	Offset int // seconds east
	Summer bool
}

// TimeZoneAbbreviations returns those that PostgreSQL knows, in order.
func TimeZoneAbbreviations() []TimeZoneAbbreviation {
	var out []TimeZoneAbbreviation
	for _, r := range factLines(zoneFacts) {
		if offset, err := strconv.Atoi(r[1]); err == nil {
			out = append(out, TimeZoneAbbreviation{Name: r[0], Offset: offset, Summer: r[2] == "t"})
		}
	}
	return out
}

func unknownZone(name string) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidParameterValue, "time zone \"%s\" not recognized", name)
}

// LoadLocation finds a time zone by its name, in upper or lower case, by an
// abbreviation, or by a POSIX description with a fixed offset ("UTC+3", which
// is west of Greenwich). 22023 if there is none.
func LoadLocation(name string) (*time.Location, error) {
	_, names := zoneTables()
	if canonical, ok := names[strings.ToLower(name)]; ok {
		if canonical == "UTC" {
			return time.UTC, nil
		}
		if location, err := time.LoadLocation(canonical); err == nil {
			return location, nil
		}
	}
	if offset, ok := zoneAbbreviation(name); ok {
		return time.FixedZone(strings.ToUpper(name), offset), nil
	}
	if location, ok := posixZone(name); ok {
		return location, nil
	}
	return nil, unknownZone(name)
}

// posixZone reads a name of at least three letters, or one in <>, and an offset
// west of Greenwich.
func posixZone(s string) (*time.Location, bool) {
	label, rest := "", ""
	if strings.HasPrefix(s, "<") {
		end := strings.IndexByte(s, '>')
		if end < 0 {
			return nil, false
		}
		label, rest = s[1:end], s[end+1:]
	} else {
		n := 0
		for n < len(s) && (s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
			n++
		}
		if n < 3 {
			return nil, false
		}
		label, rest = strings.ToUpper(s[:n]), s[n:]
	}
	if rest == "" {
		return nil, false
	}
	if rest[0] != '+' && rest[0] != '-' {
		rest = "+" + rest
	}
	offset, err := decodeZone(rest)
	if err != nil {
		return nil, false
	}
	return time.FixedZone(label, -offset), true
}

var errZoneDisplacement = pgerror.New(pgerror.InvalidTimeZoneDisplacement, "time zone displacement out of range")

// decodeZone reads ±hh[:mm[:ss]] or ±hhmm into seconds east.
func decodeZone(s string) (int, error) {
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0, errBadFormat
	}
	var parts [3]int
	body := s[1:]
	if !strings.Contains(body, ":") && len(body) > 2 {
		if len(body) > 6 {
			return 0, errBadFormat
		}
		if len(body) > 4 {
			body = body[:len(body)-4] + ":" + body[len(body)-4:len(body)-2] + ":" + body[len(body)-2:]
		} else {
			body = body[:len(body)-2] + ":" + body[len(body)-2:]
		}
	}
	n := 0
	for part := range strings.SplitSeq(body, ":") {
		v, err := strconv.Atoi(part)
		if err != nil || n == len(parts) || part[0] == '-' || part[0] == '+' {
			return 0, errBadFormat
		}
		parts[n] = v
		n++
	}
	if parts[0] > 15 || parts[1] > 59 || parts[2] > 59 {
		return 0, errZoneDisplacement
	}
	offset := parts[0]*3600 + parts[1]*60 + parts[2]
	if s[0] == '-' {
		offset = -offset
	}
	return offset, nil
}

// offsetAt returns a zone's offset east in seconds at a moment in µs.
func offsetAt(location *time.Location, timestamp int64) int {
	if location == time.UTC {
		return 0
	}
	seconds, _ := floorDivide(timestamp, 1e6)
	_, offset := time.Unix(seconds+postgresEpoch, 0).In(location).Zone()
	return offset
}

// offsetOfLocal returns the offset that a zone's clocks have when they show a
// local time, in µs. In the hour that is left out in spring it is the one
// before the change, in the hour that comes twice the one after it.
func offsetOfLocal(location *time.Location, local int64) int {
	if location == time.UTC {
		return 0
	}
	const day = 86400
	seconds, _ := floorDivide(local, 1e6)
	seconds += postgresEpoch
	before := time.Unix(seconds-day, 0).In(location)
	_, first := before.Zone()
	_, second := time.Unix(seconds+day, 0).In(location).Zone()
	_, end := before.ZoneBounds()
	if end.IsZero() || end.Unix() > seconds+day {
		return first
	}
	boundary := end.Unix()
	_, second2 := end.Zone()
	if second2 != second {
		second = second2
	}
	asBefore, asAfter := seconds-int64(first), seconds-int64(second)
	switch {
	case asBefore < boundary && asAfter < boundary:
		return first
	case asBefore >= boundary && asAfter >= boundary:
		return second
	case asBefore > asAfter:
		return first
	}
	return second
}

// ToLocal converts a finite timestamptz value to what clocks show in the zone,
// as a timestamp; ToUTC is the reverse.
func ToLocal(location *time.Location, timestamp int64) int64 {
	return timestamp + int64(offsetAt(location, timestamp))*1e6
}

// ToUTC converts a finite timestamp in a zone to a timestamptz value.
func ToUTC(location *time.Location, local int64) int64 {
	return local - int64(offsetOfLocal(location, local))*1e6
}
