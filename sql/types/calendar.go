package types

import (
	"math"
	"strconv"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
)

// Dates are days and timestamps µs since 2000-01-01. InfiniteTime and its
// negative stand for ±infinity in both.
const (
	InfiniteTime         int64 = math.MaxInt64
	NegativeInfiniteTime int64 = math.MinInt64

	microsPerDay int64 = 86400 * 1e6

	minTimestamp int64 = -211813488000000000 // 4714-11-24 BC
	endTimestamp int64 = 9223371331200000000 // 294277-01-01
	minDate      int64 = -2451545            // Julian day 0
	endDate      int64 = 2145031949          // 5874898-01-01
)

func isInfiniteTime(v int64) bool { return v == InfiniteTime || v == NegativeInfiniteTime }

// DaysOf returns a date's days since 2000-01-01; the year before 1 is 0.
// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".)
func DaysOf(year, month, day int) int64 {
	y := int64(year)
	if month <= 2 {
		y--
	}
	era, yearOfEra := floorDivide(y, 400)
	m := int64((month + 9) % 12)
	dayOfYear := (153*m+2)/5 + int64(day) - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468 - 10957
}

// DateOf is the reverse of DaysOf.
func DateOf(days int64) (year, month, day int) {
	era, dayOfEra := floorDivide(days+10957+719468, 146097)
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*dayOfYear + 2) / 153
	day = int(dayOfYear - (153*m+2)/5 + 1)
	month = int(m + 3)
	if month > 12 {
		month -= 12
	}
	year = int(yearOfEra + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}

func daysInMonth(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func timestampOutOfRange() *pgerror.Error {
	return pgerror.New(pgerror.DatetimeFieldOverflow, "timestamp out of range")
}

func validTimestamp(v int64) bool { return v >= minTimestamp && v < endTimestamp }

// roundMicros rounds to a number of decimals of a second, half away from zero.
func roundMicros(v int64, precision int32) int64 {
	if precision < 0 || precision >= 6 {
		return v
	}
	unit := int64(uint64Powers[6-precision])
	if v >= 0 {
		return (v + unit/2) / unit * unit
	}
	return -((-v + unit/2) / unit * unit)
}

func appendTwo(b []byte, v int) []byte { return append(b, byte('0'+v/10%10), byte('0'+v%10)) }

func appendYear(b []byte, year int) []byte {
	if year < 1 {
		year = 1 - year
	}
	for n := 1000; n > year && n > 1; n /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, int64(year), 10)
}

func appendBC(b []byte, year int) []byte {
	if year < 1 {
		return append(b, " BC"...)
	}
	return b
}

func appendInfinity(b []byte, v int64) []byte {
	if v < 0 {
		return append(b, "-infinity"...)
	}
	return append(b, "infinity"...)
}

func (c *Context) dateStyle() (DateStyle, DateOrder) {
	if c == nil {
		return ISODates, MonthDayYear
	}
	return c.DateStyle, c.DateOrder
}

func appendDate(b []byte, ctx *Context, days int64) []byte {
	if isInfiniteTime(days) {
		return appendInfinity(b, days)
	}
	year, month, day := DateOf(days)
	style, order := ctx.dateStyle()
	separator := byte('-')
	switch style {
	case ISODates:
		b = append(appendYear(b, year), '-')
		b = append(appendTwo(b, month), '-')
		return appendBC(appendTwo(b, day), year)
	case SQLDates:
		separator = '/'
	case GermanDates:
		separator, order = '.', DayMonthYear
	}
	if style == PostgresDates && order == YearMonthDay {
		order = MonthDayYear
	}
	b = appendDayMonth(b, month, day, separator, order)
	b = append(b, separator)
	return appendBC(appendYear(b, year), year)
}

func appendDayMonth(b []byte, month, day int, separator byte, order DateOrder) []byte {
	if order == DayMonthYear {
		return appendTwo(append(appendTwo(b, day), separator), month)
	}
	return appendTwo(append(appendTwo(b, month), separator), day)
}

// appendTime prints µs since midnight; 24:00:00 is possible.
func appendTime(b []byte, micros int64) []byte {
	seconds := micros / 1e6
	b = append(appendTwo(b, int(seconds/3600)), ':')
	b = append(appendTwo(b, int(seconds/60%60)), ':')
	return appendFraction(appendTwo(b, int(seconds%60)), micros%1e6)
}

// appendFraction prints µs below a second without zeros at the end.
func appendFraction(b []byte, micros int64) []byte {
	if micros == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(100000); micros > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit))
		micros %= unit
	}
	return b
}

// appendOffset prints an offset in seconds east: +hh[:mm[:ss]].
func appendOffset(b []byte, offset int) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = appendTwo(append(b, sign), offset/3600)
	if offset%3600 != 0 {
		b = appendTwo(append(b, ':'), offset/60%60)
		if offset%60 != 0 {
			b = appendTwo(append(b, ':'), offset%60)
		}
	}
	return b
}

// A timetz is the moment in µs, as if on one day in UTC, above zoneBits of its
// zone's offset: so integers order it as PostgreSQL does.
const zoneBits = 18

func packTimeTZ(micros int64, offsetEast int) Datum {
	west := int64(-offsetEast)
	return Int((micros+west*1e6)<<zoneBits | (west + 1<<(zoneBits-1)))
}

// unpackTimeTZ returns the time of day in µs and the offset east in seconds.
func unpackTimeTZ(v int64) (micros int64, offsetEast int) {
	west := v&(1<<zoneBits-1) - 1<<(zoneBits-1)
	return v>>zoneBits - west*1e6, int(-west)
}

// TimeTZOf and TimeTZParts convert between a timetz datum's integer and its
// time of day in µs with the offset east in seconds.
func TimeTZOf(micros int64, offsetEast int) Datum { return packTimeTZ(micros, offsetEast) }

// TimeTZParts is the reverse of TimeTZOf.
func TimeTZParts(v int64) (micros int64, offsetEast int) { return unpackTimeTZ(v) }

func appendTimeTZ(b []byte, v int64) []byte {
	micros, offset := unpackTimeTZ(v)
	return appendOffset(appendTime(b, micros), offset)
}

func appendTimestamp(b []byte, ctx *Context, v int64) []byte {
	return appendMoment(b, ctx, v, 0, nil)
}

func appendTimestampTZ(b []byte, ctx *Context, v int64) []byte {
	if isInfiniteTime(v) {
		return appendInfinity(b, v)
	}
	location := ctx.location()
	offset := offsetAt(location, v)
	return appendMoment(b, ctx, v+int64(offset)*1e6, offset, location)
}

// appendMoment prints a local time; location is nil for a timestamp without zone.
func appendMoment(b []byte, ctx *Context, local int64, offset int, location *time.Location) []byte {
	if isInfiniteTime(local) {
		return appendInfinity(b, local)
	}
	days, micros := floorDivide(local, microsPerDay)
	year, month, day := DateOf(days)
	style, order := ctx.dateStyle()
	switch style {
	case ISODates:
		b = append(appendYear(b, year), '-')
		b = append(appendTwo(b, month), '-')
		b = append(appendTwo(b, day), ' ')
		b = appendTime(b, micros)
		if location != nil {
			b = appendOffset(b, offset)
		}
		return appendBC(b, year)
	case PostgresDates:
		b = append(b, weekdayNames[weekday(days)]...)
		b = append(b, ' ')
		if order == DayMonthYear {
			b = append(appendTwo(b, day), ' ')
			b = append(b, monthNames[month-1]...)
		} else {
			b = append(b, monthNames[month-1]...)
			b = appendTwo(append(b, ' '), day)
		}
		b = appendTime(append(b, ' '), micros)
		b = appendYear(append(b, ' '), year)
	default:
		separator := byte('/')
		if style == GermanDates {
			separator, order = '.', DayMonthYear
		}
		b = append(appendDayMonth(b, month, day, separator, order), separator)
		b = append(appendYear(b, year), ' ')
		b = appendTime(b, micros)
	}
	if location != nil {
		b = appendZoneName(b, style, local, offset, location)
	}
	return appendBC(b, year)
}

// appendZoneName prints a zone's abbreviation, or its offset where it has none.
func appendZoneName(b []byte, style DateStyle, local int64, offset int, location *time.Location) []byte {
	seconds, _ := floorDivide(local-int64(offset)*1e6, 1e6)
	name, _ := time.Unix(seconds+postgresEpoch, 0).In(location).Zone()
	if name == "" || name[0] == '+' || name[0] == '-' {
		if style == PostgresDates {
			b = append(b, ' ')
		}
		return appendOffset(b, offset)
	}
	return append(append(b, ' '), name...)
}

// weekday returns a day's number in the week, Sunday being 0.
func weekday(days int64) int {
	_, w := floorDivide(days+6, 7) // 2000-01-01 was a Saturday
	return int(w)
}

var (
	monthNames   = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	weekdayNames = [...]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)
