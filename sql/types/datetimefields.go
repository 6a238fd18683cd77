package types

import (
	"math"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// fieldKind is what a piece of a date, time or interval looks like.
type fieldKind uint8

const (
	numberField  fieldKind = iota // 1999, 19990108, 3.5
	wordField                     // Jan, BC, PM, EST
	dateField                     // 1999-01-08, 8-Jan-1999, America/New_York
	timeField                     // 04:05:06.789
	signedField                   // +08, -8:00, -3.5
	specialField                  // -infinity
)

// datetimeField is a piece of the input, in lower case.
type datetimeField struct {
	kind fieldKind
	text string
}

// What is wrong with a date or time; the caller knows its text and type.
var (
	errBadFormat     = pgerror.New(pgerror.InvalidDatetimeFormat, "invalid input syntax")
	errFieldOverflow = pgerror.New(pgerror.DatetimeFieldOverflow, "date/time field value out of range")
	// errMonthDayOverflow suggests that day and month may be the other way round.
	errMonthDayOverflow = pgerror.New(pgerror.DatetimeFieldOverflow, "date/time field value out of range")
	errIntervalOverflow = pgerror.New(pgerror.IntervalFieldOverflow, "interval field value out of range")
)

// datetimeError puts the input into the message.
func datetimeError(err error, t *T, text string) error {
	switch err {
	case errBadFormat:
		return pgerror.Newf(pgerror.InvalidDatetimeFormat, "invalid input syntax for type %s: \"%s\"", strings.TrimSuffix(t.SQLName, " without time zone"), text)
	case errMonthDayOverflow:
		return pgerror.Newf(pgerror.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", text).
			WithHint("Perhaps you need a different \"datestyle\" setting.")
	case errFieldOverflow, errIntervalOverflow, errZoneDisplacement:
		e := err.(*pgerror.Error)
		return pgerror.Newf(e.Code, "%s: \"%s\"", e.Message, text)
	}
	return err
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isPunctuation(c byte) bool {
	return c > ' ' && c < 0x7f && !isDigit(c) && !isAlpha(c)
}
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

const maxDatetimeFields = 25

// splitDatetime cuts the input into fields, as ParseDateTime does.
func splitDatetime(text string) ([]datetimeField, error) {
	var fields []datetimeField
	s := strings.ToLower(text)
	for s != "" {
		n, kind := 0, numberField
		switch c := s[0]; {
		case isSpace(c):
			s = s[1:]
			continue
		case isDigit(c):
			n, kind = scanNumber(s)
		case c == '.':
			n = 1 + spanOf(s[1:], isDigit)
		case isAlpha(c):
			n, kind = scanWord(s)
		case c == '+' || c == '-':
			rest := s[1:]
			spaces := spanOf(rest, isSpace)
			rest = rest[spaces:]
			switch {
			case rest != "" && (isDigit(rest[0])):
				kind = signedField
				n = spanOf(rest, func(c byte) bool { return isDigit(c) || c == ':' || c == '.' || c == '-' })
			case rest != "" && isAlpha(rest[0]):
				kind = specialField
				n = spanOf(rest, isAlpha)
			default:
				return nil, errBadFormat
			}
			fields = append(fields, datetimeField{kind, string(c) + rest[:n]})
			s = rest[n:]
			continue
		case isPunctuation(c):
			s = s[1:]
			continue
		default:
			return nil, errBadFormat
		}
		fields = append(fields, datetimeField{kind, s[:n]})
		s = s[n:]
		if len(fields) > maxDatetimeFields {
			return nil, errBadFormat
		}
	}
	if len(fields) > maxDatetimeFields {
		return nil, errBadFormat
	}
	return fields, nil
}

func spanOf(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func scanNumber(s string) (int, fieldKind) {
	n := spanOf(s, isDigit)
	if n == len(s) {
		return n, numberField
	}
	switch delimiter := s[n]; delimiter {
	case ':':
		return n + spanOf(s[n:], func(c byte) bool { return isDigit(c) || c == ':' || c == '.' }), timeField
	case '-', '/', '.':
		n++
		if n < len(s) && isDigit(s[n]) {
			kind := dateField
			if delimiter == '.' {
				kind = numberField
			}
			n += spanOf(s[n:], isDigit)
			if n < len(s) && s[n] == delimiter {
				kind = dateField
				n += spanOf(s[n:], func(c byte) bool { return isDigit(c) || c == delimiter })
			}
			return n, kind
		}
		return n + spanOf(s[n:], func(c byte) bool { return isDigit(c) || isAlpha(c) || c == delimiter }), dateField
	}
	return n, numberField
}

func scanWord(s string) (int, fieldKind) {
	n := spanOf(s, isAlpha)
	if n == len(s) {
		return n, wordField
	}
	c := s[n]
	isDate := c == '-' || c == '/' || c == '.'
	if c == '+' || isDigit(c) {
		_, known := datetimeWords[s[:n]]
		known = known || n == 1 && strings.IndexByte("ymdhs", s[0]) >= 0 || s[:n] == "mm"
		isDate = !known
	}
	if !isDate {
		return n, wordField
	}
	n += spanOf(s[n:], func(c byte) bool { return isDigit(c) || isAlpha(c) || strings.IndexByte("+-/_.:", c) >= 0 })
	return n, dateField
}

// Parts of a date and time that have been seen.
const (
	haveYear uint32 = 1 << iota
	haveMonth
	haveDay
	haveTime
	haveZone
	haveDayOfYear
	haveBC
	haveMeridian
	haveWeekday
	haveDate = haveYear | haveMonth | haveDay
)

// wordKind classes the words of dates.
type wordKind uint8

const (
	monthWord wordKind = iota
	weekdayWord
	meridianWord
	eraWord
	momentWord // now, today …
	ignoredWord
	timeMarkWord // t
	julianWord
	daylightWord
)

type datetimeWord struct {
	kind  wordKind
	value int
}

// The moments.
const (
	nowMoment = iota
	todayMoment
	tomorrowMoment
	yesterdayMoment
	epochMoment
	infinityMoment
	negativeInfinityMoment
	allballsMoment
)

var datetimeWords = func() map[string]datetimeWord {
	words := map[string]datetimeWord{
		"am": {meridianWord, 0}, "pm": {meridianWord, 1}, "ad": {eraWord, 0}, "bc": {eraWord, 1},
		"now": {momentWord, nowMoment}, "today": {momentWord, todayMoment}, "tomorrow": {momentWord, tomorrowMoment},
		"yesterday": {momentWord, yesterdayMoment}, "epoch": {momentWord, epochMoment}, "infinity": {momentWord, infinityMoment},
		"-infinity": {momentWord, negativeInfinityMoment}, "+infinity": {momentWord, infinityMoment}, "allballs": {momentWord, allballsMoment},
		"at": {ignoredWord, 0}, "on": {ignoredWord, 0}, "t": {timeMarkWord, 0}, "j": {julianWord, 0}, "jd": {julianWord, 0}, "julian": {julianWord, 0},
		"dst": {daylightWord, 0},
	}
	for i, name := range []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"} {
		words[name] = datetimeWord{monthWord, i + 1}
		words[name[:3]] = datetimeWord{monthWord, i + 1}
	}
	words["sept"] = datetimeWord{monthWord, 9}
	for i, name := range []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"} {
		words[name] = datetimeWord{weekdayWord, i}
		words[name[:3]] = datetimeWord{weekdayWord, i}
	}
	for name, i := range map[string]int{"tues": 2, "wednes": 3, "weds": 3, "thur": 4, "thurs": 4} {
		words[name] = datetimeWord{weekdayWord, i}
	}
	return words
}()

// atoi reads digits that a field of a date may have.
func atoi(s string) (int, error) {
	if s == "" {
		return 0, errBadFormat
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, errBadFormat
		}
	}
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, errFieldOverflow
	}
	return int(v), nil
}

// fractionMicros reads ".ddd" as µs, rounded.
func fractionMicros(s string) (int64, error) {
	if s == "" || s == "." {
		return 0, nil
	}
	if spanOf(s[1:], isDigit) != len(s)-1 {
		return 0, errBadFormat
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errBadFormat
	}
	return int64(math.RoundToEven(f * 1e6)), nil
}

// clock reads h:mm[:ss[.fff]] or mm:ss.fff into µs; hours have no bound here.
func clock(s string, minutesSeconds bool) (hour, minute, second int, micros int64, err error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, 0, 0, 0, errBadFormat
	}
	fraction := ""
	last := &parts[len(parts)-1]
	if i := strings.IndexByte(*last, '.'); i >= 0 {
		fraction, *last = (*last)[i:], (*last)[:i]
	}
	var values [3]int
	for i, p := range parts {
		if values[i], err = atoi(p); err != nil {
			return 0, 0, 0, 0, err
		}
	}
	if micros, err = fractionMicros(fraction); err != nil {
		return 0, 0, 0, 0, err
	}
	if len(parts) == 2 && (fraction != "" || minutesSeconds) {
		values = [3]int{0, values[0], values[1]}
	}
	if values[1] > 59 || values[2] > 60 {
		return 0, 0, 0, 0, errFieldOverflow
	}
	return values[0], values[1], values[2], micros, nil
}
