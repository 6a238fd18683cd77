package functions

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// A format is a sequence of patterns and of text between them, as in
// PostgreSQL's formatting.c.

// formatNode is a pattern of a format, or a character of the text between.
type formatNode struct {
	pattern string // as in the format ("Month"); "" for text
	text    string // one character
	// quoted: the text stood in double quotes or behind a backslash.
	quoted bool
	// fill is FM: without padding; ordinal is "TH", "th" or "".
	fill    bool
	ordinal string
}

// timePatterns are the patterns of dates and times in upper case. Those that
// come later are looked at only if no longer one fits.
var timePatterns = []string{
	"A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FX",
	"HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM",
	"SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y",
}

// timePattern finds the longest pattern that s begins with. A name of a month
// or day may be written in three ways: MONTH, Month, month.
func timePattern(s string) string {
	best := ""
	for _, p := range timePatterns {
		if len(p) > len(best) && len(s) >= len(p) && strings.EqualFold(s[:len(p)], p) {
			written := s[:len(p)]
			lower, upper := written == strings.ToLower(p), written == p
			capital := (p == "DAY" || p == "DY" || p == "MONTH" || p == "MON") && written == p[:1]+strings.ToLower(p[1:])
			if lower || upper || capital {
				best = written
			}
		}
	}
	return best
}

// parseTimeFormat divides a format. fixed tells of FX.
func parseTimeFormat(format string) (nodes []formatNode, fixed bool) {
	for s := format; s != ""; {
		fill := false
		for {
			if strings.HasPrefix(s, "FM") || strings.HasPrefix(s, "fm") {
				fill, s = true, s[2:]
			} else if strings.HasPrefix(s, "TM") || strings.HasPrefix(s, "tm") {
				s = s[2:] // names of the locale: C's
			} else {
				break
			}
		}
		if p := timePattern(s); p != "" {
			s = s[len(p):]
			if strings.EqualFold(p, "FX") {
				fixed = true
				continue
			}
			node := formatNode{pattern: p, fill: fill}
			if strings.HasPrefix(s, "TH") || strings.HasPrefix(s, "th") {
				node.ordinal, s = s[:2], s[2:]
			} else if strings.HasPrefix(s, "SP") || strings.HasPrefix(s, "sp") {
				s = s[2:]
			}
			nodes = append(nodes, node)
			continue
		}
		nodes, s = appendFormatText(nodes, s)
	}
	return nodes, fixed
}

// appendFormatText takes a character, or what stands in double quotes.
func appendFormatText(nodes []formatNode, s string) ([]formatNode, string) {
	switch {
	case s == "":
		return nodes, s
	case s[0] == '"':
		for s = s[1:]; s != "" && s[0] != '"'; {
			if s[0] == '\\' && len(s) > 1 {
				s = s[1:]
			}
			_, size := utf8.DecodeRuneInString(s)
			nodes, s = append(nodes, formatNode{text: s[:size], quoted: true}), s[size:]
		}
		return nodes, strings.TrimPrefix(s, `"`)
	case s[0] == '\\' && len(s) > 1 && s[1] == '"':
		return append(nodes, formatNode{text: `"`, quoted: true}), s[2:]
	}
	_, size := utf8.DecodeRuneInString(s)
	return append(nodes, formatNode{text: s[:size]}), s[size:]
}

var (
	monthNames = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	dayNames   = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	romanMonth = []string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}
)

// moment is what to_char shows.
type moment struct {
	civil
	interval bool
	zone     string
	offset   int // seconds east
	hasZone  bool
}

func defineTimeFormats(d definitions) {
	d.scalar("to_char(timestamp,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[1].S == "" || isInfiniteTimestamp(a[0].I) {
			return types.DNull, nil
		}
		return formatMoment(moment{civil: civilOf(a[0].I)}, a[1].S)
	})
	d.scalar("to_char(timestamptz,text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		if a[1].S == "" || isInfiniteTimestamp(a[0].I) {
			return types.DNull, nil
		}
		zone, offset := types.TimeOf(a[0].I).In(locationOf(ctx)).Zone()
		m := moment{civil: civilOf(a[0].I + int64(offset)*microsPerSecond), zone: zone, offset: offset, hasZone: true}
		return formatMoment(m, a[1].S)
	})
	d.scalar("to_char(interval,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[1].S == "" {
			return types.DNull, nil
		}
		v := a[0].Interval()
		m := moment{interval: true}
		m.year, m.month, m.day = int(v.Months/monthsPerYear), int(v.Months%monthsPerYear), int(v.Days)
		m.setTime(v.Micros)
		return formatMoment(m, a[1].S)
	})
	d.scalar("to_date(text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) { return toDate(a[0].S, a[1].S) })
	d.scalar("to_timestamp(text,text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		return toTimestamp(ctx, a[0].S, a[1].S)
	})
	defineNumberFormats(d)
}

func formatMoment(m moment, format string) (types.Datum, error) {
	nodes, _ := parseTimeFormat(format)
	var b []byte
	for _, n := range nodes {
		if n.pattern == "" {
			b = append(b, n.text...)
			continue
		}
		start := len(b)
		out, err := m.appendPattern(b, n)
		if err != nil {
			return types.DNull, err
		}
		b = appendOrdinal(out, start, n.ordinal)
	}
	return types.String(string(b)), nil
}

// appendOrdinal adds the ending of 1st, 2nd, 3rd, 4th to the number that begins
// at start.
func appendOrdinal(b []byte, start int, ordinal string) []byte {
	if ordinal == "" || len(b) == start || b[len(b)-1] < '0' || b[len(b)-1] > '9' {
		return b
	}
	ending := ordinalEnding(string(b[start:]))
	if ordinal == "TH" {
		ending = strings.ToUpper(ending)
	}
	return append(b, ending...)
}

func ordinalEnding(digits string) string {
	last := digits[len(digits)-1]
	if len(digits) > 1 && digits[len(digits)-2] == '1' {
		return "th"
	}
	switch last {
	case '1':
		return "st"
	case '2':
		return "nd"
	case '3':
		return "rd"
	}
	return "th"
}

// appendNumber appends a number with leading zeros up to width; the sign counts.
func appendNumber(b []byte, n, width int, fill bool) []byte {
	if fill {
		width = 0
	}
	if n < 0 {
		return appendPadded(append(b, '-'), -n, width-1)
	}
	return appendPadded(b, n, width)
}

// spelled writes a name as its pattern is written: DAY, Day or day.
func spelled(name, pattern string) string {
	switch {
	case pattern == strings.ToUpper(pattern):
		return strings.ToUpper(name)
	case pattern == strings.ToLower(pattern):
		return strings.ToLower(name)
	}
	return name
}

func appendNameOf(b []byte, name string, n formatNode, width int) []byte {
	b = append(b, spelled(name, n.pattern)...)
	for i := len(name); i < width && !n.fill; i++ {
		b = append(b, ' ')
	}
	return b
}

func errIntervalPattern() error {
	return pgerror.New(pgerror.InvalidDatetimeFormat, "invalid format specification for an interval value").
		WithHint("Intervals are not tied to specific calendar dates.")
}

// shownYear counts years BC from 1; an interval's as they are.
func (m moment) shownYear(year int) int {
	if m.interval || year > 0 {
		return year
	}
	return 1 - year
}

func (m moment) appendPattern(b []byte, n formatNode) ([]byte, error) {
	switch p := strings.ToUpper(n.pattern); p {
	case "HH", "HH12", "HH24", "MI", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "SSSS", "SSSSS", "AM", "PM", "A.M.", "P.M.":
		return m.appendClock(b, n, p), nil
	case "TZ", "TZH", "TZM", "OF":
		if m.interval {
			return nil, errIntervalPattern()
		}
		return m.appendZone(b, n, p), nil
	case "A.D.", "B.C.", "AD", "BC", "MONTH", "MON", "DAY", "DY", "D", "ID":
		if m.interval {
			return nil, errIntervalPattern()
		}
		return m.appendName(b, n, p), nil
	default:
		return m.appendDate(b, n, p), nil
	}
}

func (m moment) appendClock(b []byte, n formatNode, p string) []byte {
	// The sign of an interval's field takes a place of its own.
	width := func(field int) int {
		if field < 0 {
			return 3
		}
		return 2
	}
	switch p {
	case "HH", "HH12":
		hour := m.hour % 12
		if hour == 0 {
			hour = 12
		}
		return appendNumber(b, hour, width(m.hour), n.fill)
	case "HH24":
		return appendNumber(b, m.hour, width(m.hour), n.fill)
	case "MI":
		return appendNumber(b, m.minute, width(m.minute), n.fill)
	case "SS":
		return appendNumber(b, m.second, width(m.second), n.fill)
	case "MS":
		return appendNumber(b, m.micros/1000, 3, false)
	case "US":
		return appendNumber(b, m.micros, 6, false)
	case "SSSS", "SSSSS":
		return strconv.AppendInt(b, m.timeOfDay()/microsPerSecond, 10)
	case "AM", "PM", "A.M.", "P.M.":
		half := "AM"
		if h := m.hour % 24; h >= 12 {
			half = "PM"
		}
		if strings.Contains(p, ".") {
			half = half[:1] + ".M."
		}
		return append(b, spelled(half, n.pattern)...)
	}
	digits := int(p[2] - '0') // FF1 … FF6
	return appendNumber(b, m.micros/int(math.Pow10(6-digits)), digits, false)
}

func (m moment) appendZone(b []byte, n formatNode, p string) []byte {
	if p == "TZ" {
		if n.pattern == "tz" {
			return append(b, strings.ToLower(m.zone)...)
		}
		return append(b, m.zone...)
	}
	sign, offset := byte('+'), m.offset
	if offset < 0 {
		sign, offset = '-', -offset
	}
	switch p {
	case "TZH":
		return appendPadded(append(b, sign), offset/3600, 2)
	case "TZM":
		return appendPadded(b, offset/60%60, 2)
	}
	width := 2
	if n.fill {
		width = 0
	}
	b = appendPadded(append(b, sign), offset/3600, width)
	if offset/60%60 != 0 {
		b = appendPadded(append(b, ':'), offset/60%60, 2)
	}
	return b
}

func (m moment) appendName(b []byte, n formatNode, p string) []byte {
	day := weekday(m.days())
	switch p {
	case "MONTH":
		return appendNameOf(b, monthNames[m.month-1], n, 9)
	case "MON":
		return appendNameOf(b, monthNames[m.month-1][:3], n, 3)
	case "DAY":
		return appendNameOf(b, dayNames[day], n, 9)
	case "DY":
		return appendNameOf(b, dayNames[day][:3], n, 3)
	case "D":
		return appendNumber(b, day+1, 0, false)
	case "ID":
		return appendNumber(b, (day+6)%7+1, 0, false)
	}
	era := "AD"
	if m.year <= 0 {
		era = "BC"
	}
	if strings.Contains(p, ".") {
		era = era[:1] + "." + era[1:] + "."
	}
	return append(b, spelled(era, n.pattern)...)
}

func (m moment) appendDate(b []byte, n formatNode, p string) []byte {
	year := m.shownYear(m.year)
	isoYear, isoWeekNumber, dayOfYear := 0, 0, 0
	if m.interval {
		dayOfYear = (m.year*monthsPerYear+m.month)*daysPerMonth + m.day
		isoYear, isoWeekNumber = m.year, 0
	} else {
		dayOfYear = m.dayOfYear()
		isoYear, isoWeekNumber = isoWeek(m.days(), m.year)
	}
	yearWidth := func(y, width int) int {
		if y < 0 {
			return width + 1
		}
		return width
	}
	isoShown := m.shownYear(isoYear)
	switch p {
	case "MM":
		return appendNumber(b, m.month, yearWidth(m.month, 2), n.fill)
	case "DD":
		return appendNumber(b, m.day, 2, n.fill)
	case "DDD":
		return appendNumber(b, dayOfYear, 3, n.fill)
	case "IDDD":
		if m.interval {
			return appendNumber(b, dayOfYear, 3, n.fill)
		}
		return appendNumber(b, int(m.days()-firstISOWeek(isoYear))+1, 3, n.fill)
	case "WW":
		return appendNumber(b, (dayOfYear-1)/7+1, 2, n.fill)
	case "IW":
		return appendNumber(b, isoWeekNumber, 2, n.fill)
	case "W":
		return appendNumber(b, (m.day-1)/7+1, 0, false)
	case "Q":
		if m.month == 0 {
			return b
		}
		return appendNumber(b, (m.month-1)/3+1, 0, false)
	case "CC":
		century := 0
		switch {
		case m.interval:
			century = m.year / 100
		case m.year > 0:
			century = (m.year-1)/100 + 1
		default:
			century = m.year/100 - 1
		}
		return appendNumber(b, century, yearWidth(century, 2), n.fill)
	case "Y,YYY":
		return appendPadded(append(strconv.AppendInt(b, int64(year/1000), 10), ','), year%1000, 3)
	case "YYYY":
		return appendNumber(b, year, yearWidth(year, 4), n.fill)
	case "IYYY":
		return appendNumber(b, isoShown, yearWidth(isoShown, 4), n.fill)
	case "YYY":
		return appendNumber(b, year%1000, yearWidth(year, 3), n.fill)
	case "IYY":
		return appendNumber(b, isoShown%1000, yearWidth(isoShown, 3), n.fill)
	case "YY":
		return appendNumber(b, year%100, yearWidth(year, 2), n.fill)
	case "IY":
		return appendNumber(b, isoShown%100, yearWidth(isoShown, 2), n.fill)
	case "Y":
		return appendNumber(b, year%10, 1, n.fill)
	case "I":
		return appendNumber(b, isoShown%10, 1, n.fill)
	case "RM":
		if m.month == 0 && m.year == 0 {
			return b
		}
		month := (m.month + 12) % 12 // of a negative interval
		switch {
		case m.month > 0:
			month = m.month - 1
		case m.month == 0 && m.year < 0:
			month = 0
		case m.month == 0:
			month = 11
		}
		return appendNameOf(b, romanMonth[month], n, 4)
	case "J":
		return strconv.AppendInt(b, m.julian(), 10)
	}
	return b
}

// julian is the Julian day. Intervals have months below 1, for which it is
// PostgreSQL's arithmetic (date2j) that counts.
func (m moment) julian() int64 {
	if !m.interval {
		return m.days() + epochJulian
	}
	month, year := m.month+1, m.year+4800
	if m.month <= 2 {
		month, year = m.month+13, m.year+4799
	}
	century := year / 100
	return int64(year*365 - 32167 + year/4 - century + century/4 + 7834*month/256 + m.day)
}
