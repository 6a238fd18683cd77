package functions

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// momentFields are what to_timestamp and to_date read. Zero: nothing, which is
// -1 for the weekday (from Sunday, 0), and nothing for the Julian day and the
// seconds of the day.
type momentFields struct {
	hour, minute, second, micros, secondsOfDay int
	twelveHours, afternoon                     bool
	day, month, dayOfYear, weekday, week       int
	weekOfMonth, year, yearDigits, century     int
	bc, iso, isoSet                            bool
	julian                                     int
	offsetSign, offsetHours, offsetMinutes     int
	hasZone                                    bool
}

const nothing = math.MinInt32

// timeReader reads a text by a format.
type timeReader struct {
	input  string
	rest   string
	fixed  bool
	fields momentFields
}

func errFormat(format string, args ...any) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidDatetimeFormat, format, args...)
}

// readMoment is what a text says by a format: days, the time of day in µs, and
// the offset east from UTC in seconds, if the format has one.
func readMoment(input, format string) (days, micros int64, offset int, hasZone bool, err error) {
	nodes, fixed := parseTimeFormat(format)
	r := &timeReader{input: input, rest: input, fixed: fixed, fields: momentFields{weekday: -1, julian: nothing, secondsOfDay: nothing}}
	if err = r.read(nodes); err != nil {
		return 0, 0, 0, false, err
	}
	if days, err = r.date(); err != nil {
		return 0, 0, 0, false, err
	}
	if micros, err = r.timeOfDay(); err != nil {
		return 0, 0, 0, false, err
	}
	f := &r.fields
	if f.hasZone && (f.offsetHours > 15 || f.offsetMinutes > 59) {
		return 0, 0, 0, false, pgerror.Newf(pgerror.InvalidTimeZoneDisplacement, "time zone displacement out of range: \"%s\"", input)
	}
	return days, micros, f.offsetSign * (f.offsetHours*3600 + f.offsetMinutes*60), f.hasZone, nil
}

// toDate is to_date.
func toDate(input, format string) (types.Datum, error) {
	days, _, _, _, err := readMoment(input, format)
	if err == nil && (days < minimumDate || days >= endDate) {
		err = pgerror.Newf(pgerror.DatetimeFieldOverflow, "date out of range: \"%s\"", input)
	}
	return types.Int(days), err
}

// toTimestamp is to_timestamp of a text.
func toTimestamp(ctx *types.Context, input, format string) (types.Datum, error) {
	days, micros, offset, hasZone, err := readMoment(input, format)
	switch {
	case err != nil:
		return types.DNull, err
	case days < minimumDate || days > endTimestamp/microsPerDay:
		return types.DNull, errTimestampRange()
	}
	v := days*microsPerDay + micros
	if hasZone {
		v -= int64(offset) * microsPerSecond
	} else {
		v = fromLocal(locationOf(ctx), v)
	}
	v, err = checkTimestamp(v)
	return types.Int(v), err
}

func (r *timeReader) outOfRange() error {
	return pgerror.Newf(pgerror.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", r.input)
}

func isSeparator(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skipBlanks returns how many were skipped.
func (r *timeReader) skipBlanks() int {
	n := 0
	for n < len(r.rest) && isBlank(r.rest[n]) {
		n++
	}
	r.rest = r.rest[n:]
	return n
}

// read follows the format. skipped counts what was skipped beyond what the
// format has: text of the format then takes no more of the input.
func (r *timeReader) read(nodes []formatNode) error {
	skipped := 0
	for i, n := range nodes {
		if r.rest == "" {
			break
		}
		if !r.fixed && (n.pattern != "" || i == 0) {
			skipped += r.skipBlanks()
		}
		switch {
		case n.pattern == "" && !r.fixed && !n.quoted && (isBlank(n.text[0]) || isSeparator(n.text[0])):
			skipped--
			if r.rest != "" && (isBlank(r.rest[0]) || isSeparator(r.rest[0])) {
				r.rest = r.rest[1:]
				skipped++
			}
		case n.pattern == "":
			if !r.fixed && skipped > 0 {
				skipped--
				continue
			}
			if r.rest != "" {
				_, size := utf8.DecodeRuneInString(r.rest)
				r.rest = r.rest[size:]
			}
		default:
			var next *formatNode
			if i+1 < len(nodes) {
				next = &nodes[i+1]
			}
			if err := r.field(n, next); err != nil {
				return err
			}
			if n.ordinal != "" && len(r.rest) >= 2 {
				r.rest = r.rest[2:]
			}
			if !r.fixed {
				skipped = r.skipBlanks()
			}
		}
	}
	return nil
}

// endsNumber reports whether what follows in the format is no digit, so that a
// number before it takes as many digits as there are.
func endsNumber(n formatNode, next *formatNode) bool {
	if n.fill || next == nil {
		return true
	}
	if next.pattern == "" {
		return !(next.text[0] >= '0' && next.text[0] <= '9')
	}
	switch strings.ToUpper(next.pattern) {
	case "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "DAY", "DY", "MONTH", "MON", "OF", "P.M.", "PM", "RM", "TZ", "TZH":
		return true
	}
	return false
}

// integer reads a number of width digits at most, or as many as there are.
func (r *timeReader) integer(n formatNode, next *formatNode, width int) (value, used int, err error) {
	s := strings.TrimLeftFunc(r.rest, unicode.IsSpace)
	limit := len(s)
	slurp := endsNumber(n, next)
	if !slurp {
		if s = r.rest; len(s) < width {
			return 0, 0, errFormat("source string too short for \"%s\" formatting field", n.pattern).
				WithDetail("Field requires %d characters, but only %d remain.", width, len(s)).
				WithHint("If your source string is not fixed-width, try using the \"FM\" modifier.")
		}
		limit = width
	}
	end := 0
	if end < limit && (s[end] == '-' || s[end] == '+') {
		end++
	}
	for end < limit && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	invalid := errFormat("invalid value \"%s\" for \"%s\"", firstWord(s, width, slurp), n.pattern)
	if end == 0 || end == 1 && (s[0] == '-' || s[0] == '+') {
		return 0, 0, invalid.WithDetail("Value must be an integer.")
	}
	if !slurp && end < width {
		return 0, 0, invalid.WithDetail("Field requires %d characters, but only %d could be parsed.", width, end).
			WithHint("If your source string is not fixed-width, try using the \"FM\" modifier.")
	}
	v, err := strconv.ParseInt(strings.TrimPrefix(s[:end], "+"), 10, 32)
	if err != nil {
		return 0, 0, pgerror.Newf(pgerror.DatetimeFieldOverflow, "value for \"%s\" in source string is out of range", n.pattern).
			WithDetail("Value must be in the range %d to %d.", -1<<31, 1<<31-1)
	}
	r.rest = s[end:]
	return int(v), end, nil
}

// firstWord is what an error shows of the input.
func firstWord(s string, width int, slurp bool) string {
	return s[:min(width, len(s))]
}

// name reads one of some names and returns its index.
func (r *timeReader) name(n formatNode, names []string) (int, error) {
	best, index := 0, -1
	for i, name := range names {
		if len(name) > best && len(r.rest) >= len(name) && strings.EqualFold(r.rest[:len(name)], name) {
			best, index = len(name), i
		}
	}
	if index < 0 {
		word := r.rest
		if end := strings.IndexFunc(word, unicode.IsSpace); end > 0 {
			word = word[:end]
		}
		return 0, errFormat("invalid value \"%s\" for \"%s\"", word, n.pattern).
			WithDetail("The given value did not match any of the allowed values for this field.")
	}
	r.rest = r.rest[best:]
	return index, nil
}

func (r *timeReader) field(n formatNode, next *formatNode) error {
	f := &r.fields
	number := func(width int, target *int) error {
		v, _, err := r.integer(n, next, width)
		*target = v
		return err
	}
	switch p := strings.ToUpper(n.pattern); p {
	case "HH", "HH12":
		f.twelveHours = true
		return number(2, &f.hour)
	case "HH24":
		return number(2, &f.hour)
	case "MI":
		return number(2, &f.minute)
	case "SS":
		return number(2, &f.second)
	case "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
		return r.fraction(n, next, p)
	case "SSSS", "SSSSS":
		return number(len(p), &f.secondsOfDay)
	case "AM", "PM", "A.M.", "P.M.":
		names := []string{"am", "pm"}
		if strings.Contains(p, ".") {
			names = []string{"a.m.", "p.m."}
		}
		i, err := r.name(n, names)
		f.twelveHours, f.afternoon = true, i == 1
		return err
	case "AD", "BC", "A.D.", "B.C.":
		names := []string{"ad", "bc"}
		if strings.Contains(p, ".") {
			names = []string{"a.d.", "b.c."}
		}
		i, err := r.name(n, names)
		f.bc = i == 1
		return err
	case "TZ", "TZH", "TZM", "OF":
		return r.zoneField(n, next, p)
	}
	return r.dateField(n, next)
}

func (r *timeReader) fraction(n formatNode, next *formatNode, p string) error {
	width := map[string]int{"MS": 3, "US": 6}[p]
	if width == 0 {
		width = int(p[2] - '0')
	}
	v, used, err := r.integer(n, next, width)
	if err != nil {
		return err
	}
	// 5 is five tenths: the number is a fraction. More digits than MS or US have
	// make it too large, which is an error in the end.
	digits := 6
	if p == "MS" {
		digits = 3
		v *= 1000
	}
	for i := used; i < digits; i++ {
		v *= 10
	}
	r.fields.micros += v
	return nil
}

func (r *timeReader) zoneField(n formatNode, next *formatNode, p string) error {
	f := &r.fields
	if p == "TZ" {
		return pgerror.New(pgerror.FeatureNotSupported, "formatting field \"TZ\" is only supported in to_char")
	}
	if p == "OF" {
		return pgerror.New(pgerror.FeatureNotSupported, "formatting field \"OF\" is only supported in to_char")
	}
	if p == "TZM" {
		f.hasZone = true
		if f.offsetSign == 0 {
			f.offsetSign = 1
		}
		v, _, err := r.integer(n, next, 2)
		f.offsetMinutes = v
		return err
	}
	f.offsetSign = 1
	if r.rest != "" && (r.rest[0] == '+' || r.rest[0] == '-' || r.rest[0] == ' ') {
		if r.rest[0] == '-' {
			f.offsetSign = -1
		}
		r.rest = r.rest[1:]
	}
	f.hasZone = true
	v, _, err := r.integer(n, next, 2)
	f.offsetHours = v
	return err
}

func (r *timeReader) dateField(n formatNode, next *formatNode) error {
	f := &r.fields
	p := strings.ToUpper(n.pattern)
	iso := strings.HasPrefix(p, "I")
	if iso || strings.HasPrefix(p, "Y") || p == "DDD" || p == "WW" || p == "W" || p == "MM" || p == "DD" || p == "MONTH" || p == "MON" || p == "RM" {
		if f.isoSet && f.iso != iso {
			return errFormat("invalid combination of date conventions").
				WithHint("Do not mix Gregorian and ISO week date conventions in a formatting template.")
		}
		f.iso, f.isoSet = iso, true
	}
	var err error
	number := func(width int, target *int) error {
		v, _, err := r.integer(n, next, width)
		*target = v
		return err
	}
	switch p {
	case "MONTH":
		f.month, err = r.name(n, monthNames)
		f.month++
		return err
	case "MON":
		f.month, err = r.name(n, shortNames(monthNames))
		f.month++
		return err
	case "RM":
		f.month, err = r.name(n, romanMonth)
		f.month++
		return err
	case "DAY":
		f.weekday, err = r.name(n, dayNames)
		return err
	case "DY":
		f.weekday, err = r.name(n, shortNames(dayNames))
		return err
	case "MM":
		return number(2, &f.month)
	case "DD":
		return number(2, &f.day)
	case "DDD", "IDDD":
		return number(3, &f.dayOfYear)
	case "D":
		if err = number(1, &f.weekday); err == nil {
			f.weekday--
		}
		return err
	case "ID":
		if err = number(1, &f.weekday); err == nil && f.weekday > 6 {
			f.weekday = 0
		}
		return err
	case "WW", "IW":
		return number(2, &f.week)
	case "W":
		return number(1, &f.weekOfMonth)
	case "Q": // means nothing for a date
		var ignored int
		return number(1, &ignored)
	case "CC":
		return number(2, &f.century)
	case "J":
		return number(1, &f.julian)
	}
	return r.yearField(n, next, p)
}

func shortNames(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name[:3]
	}
	return out
}

func (r *timeReader) yearField(n formatNode, next *formatNode, p string) error {
	f := &r.fields
	if p == "Y,YYY" {
		head, rest, found := strings.Cut(r.rest, ",")
		millennium, err := strconv.Atoi(head)
		if !found || err != nil || len(rest) < 3 {
			return errFormat("invalid input string for \"Y,YYY\"")
		}
		year, err := strconv.Atoi(rest[:3])
		if err != nil {
			return errFormat("invalid input string for \"Y,YYY\"")
		}
		f.year, f.yearDigits, r.rest = millennium*1000+year, 4, rest[3:]
		return nil
	}
	width := len(p)
	v, used, err := r.integer(n, next, width)
	if err != nil {
		return err
	}
	if width < 4 && used < 4 {
		v = nearYear2020(v)
	}
	f.year, f.yearDigits = v, width
	return nil
}

// nearYear2020 completes a year of up to three digits to the one nearest 2020.
func nearYear2020(year int) int {
	switch {
	case year < 70:
		return year + 2000
	case year < 100:
		return year + 1900
	case year < 520:
		return year + 2000
	case year < 1000:
		return year + 1000
	}
	return year
}

// timeOfDay puts the fields of the time together, as µs.
func (r *timeReader) timeOfDay() (int64, error) {
	f := &r.fields
	hour, minute, second := f.hour, f.minute, f.second
	if f.secondsOfDay != nothing {
		hour, minute, second = f.secondsOfDay/3600, f.secondsOfDay/60%60, f.secondsOfDay%60
	}
	if f.twelveHours {
		if hour < 1 || hour > 12 {
			return 0, errFormat("hour \"%d\" is invalid for the 12-hour clock", hour).
				WithHint("Use the 24-hour clock, or give an hour between 1 and 12.")
		}
		if f.afternoon && hour < 12 {
			hour += 12
		} else if !f.afternoon && hour == 12 {
			hour = 0
		}
	}
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || f.micros < 0 || f.micros >= microsPerSecond {
		return 0, r.outOfRange()
	}
	c := civil{hour: hour, minute: minute, second: second, micros: f.micros}
	return c.timeOfDay(), nil
}

// fullYear is the year from its digits, the century and BC; 0 is 1 BC.
func (f *momentFields) fullYear() int {
	century, year := f.century, f.year
	if f.bc {
		century = -century
	}
	switch {
	case year != 0 && century != 0 && f.yearDigits <= 2: // the year within the century
		year %= 100
		switch {
		case year == 0 && century >= 0:
			return century * 100
		case year == 0:
			return century*100 + 1
		case century < 0:
			return century*100 + year
		}
		return (century-1)*100 + year
	case year != 0:
		if f.bc {
			year = -year
		}
		if year < 0 {
			year++
		}
		return year
	case century > 0:
		return (century-1)*100 + 1
	case century < 0:
		return century*100 + 1
	}
	return 0
}

// date puts the fields of the date together, as days.
func (r *timeReader) date() (int64, error) {
	f := &r.fields
	if f.julian != nothing {
		return int64(f.julian) - epochJulian, nil
	}
	year := f.fullYear()
	month, day, dayOfYear := f.month, f.day, f.dayOfYear
	switch {
	case f.week > 0 && f.iso:
		offset := 0
		if f.weekday >= 0 {
			offset = (f.weekday + 6) % 7
		}
		return firstISOWeek(year) + int64(f.week-1)*7 + int64(offset), nil
	case f.week > 0:
		dayOfYear = (f.week-1)*7 + 1
	case f.weekOfMonth > 0:
		day = (f.weekOfMonth-1)*7 + 1
	}
	if dayOfYear > 0 && (month <= 1 || day <= 1) {
		if f.year == 0 && f.century == 0 {
			return 0, errFormat("cannot calculate day of year without year information")
		}
		if f.iso {
			return firstISOWeek(year) + int64(dayOfYear) - 1, nil
		}
		at := 1
		for at <= 12 && dayOfYear > daysInMonth(year, at) {
			dayOfYear -= daysInMonth(year, at)
			at++
		}
		if month <= 1 {
			month = at
		}
		if day <= 1 {
			day = dayOfYear
		}
	}
	if month == 0 {
		month = 1
	}
	if day == 0 {
		day = 1
	}
	if month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month) {
		return 0, r.outOfRange()
	}
	return types.DaysOf(year, month, day), nil
}
