package functions

import (
	"math"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

const (
	microsPerSecond = 1_000_000
	microsPerMinute = 60 * microsPerSecond
	microsPerHour   = 60 * microsPerMinute
	microsPerDay    = 24 * microsPerHour
	secondsPerDay   = 86400
	daysPerMonth    = 30
	monthsPerYear   = 12
	// postgresEpoch is 2000-01-01 in seconds of Unix; epochJulian its Julian day.
	postgresEpoch = 946684800
	epochJulian   = 2451545
)

// The bounds of timestamps: 4714-11-24 BC to 294276-12-31.
const (
	minimumTimestamp = -211813488000000000
	endTimestamp     = 9223371331200000000
	minimumDate      = -2451545
	endDate          = 2145031949
)

func isInfiniteTimestamp(v int64) bool { return v == math.MaxInt64 || v == math.MinInt64 }

func errTimestampRange() error {
	return pgerror.New(pgerror.DatetimeFieldOverflow, "timestamp out of range")
}

func checkTimestamp(v int64) (int64, error) {
	if v < minimumTimestamp || v >= endTimestamp {
		return 0, errTimestampRange()
	}
	return v, nil
}

// civil is a date and time of day in the proleptic Gregorian calendar; year 0
// is 1 BC.
type civil struct {
	year, month, day, hour, minute, second, micros int
}

func floorDivide(a, b int64) (quotient, remainder int64) {
	quotient, remainder = a/b, a%b
	if remainder < 0 {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}

// civilOf splits µs since 2000-01-01.
func civilOf(micros int64) civil {
	days, rest := floorDivide(micros, microsPerDay)
	c := civil{}
	c.year, c.month, c.day = types.DateOf(days)
	c.setTime(rest)
	return c
}

func (c *civil) setTime(rest int64) {
	c.hour = int(rest / microsPerHour)
	c.minute = int(rest / microsPerMinute % 60)
	c.second = int(rest / microsPerSecond % 60)
	c.micros = int(rest % microsPerSecond)
}

func (c civil) days() int64 { return types.DaysOf(c.year, c.month, c.day) }

func (c civil) timeOfDay() int64 {
	return int64(c.hour)*microsPerHour + int64(c.minute)*microsPerMinute + int64(c.second)*microsPerSecond + int64(c.micros)
}

func (c civil) timestamp() int64 { return c.days()*microsPerDay + c.timeOfDay() }

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysInMonth(year, month int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// weekday is 0 for Sunday.
func weekday(days int64) int {
	_, r := floorDivide(days+6, 7)
	return int(r)
}

func (c civil) dayOfYear() int { return int(c.days()-types.DaysOf(c.year, 1, 1)) + 1 }

// firstISOWeek is the Monday of the first week of an ISO year.
func firstISOWeek(year int) int64 {
	fourth := types.DaysOf(year, 1, 4)
	return fourth - int64((weekday(fourth)+6)%7)
}

func isoWeek(days int64, year int) (isoYear, week int) {
	isoYear = year
	if days < firstISOWeek(year) {
		isoYear = year - 1
	} else if days >= firstISOWeek(year+1) {
		isoYear = year + 1
	}
	return isoYear, int((days-firstISOWeek(isoYear))/7) + 1
}

func locationOf(ctx *types.Context) *time.Location {
	if ctx.Location == nil {
		return time.UTC
	}
	return ctx.Location
}

// zoneOffset is the session's offset from UTC in seconds at a moment, east
// positive.
func zoneOffset(ctx *types.Context, timestamp int64) int {
	return offsetAt(locationOf(ctx), timestamp)
}

func offsetAt(location *time.Location, timestamp int64) int {
	if location == time.UTC {
		return 0
	}
	seconds, _ := floorDivide(timestamp, microsPerSecond)
	_, offset := time.Unix(seconds+postgresEpoch, 0).In(location).Zone()
	return offset
}

// toLocal turns a timestamptz value into the local timestamp.
func toLocal(location *time.Location, timestamp int64) int64 {
	if isInfiniteTimestamp(timestamp) {
		return timestamp
	}
	return timestamp + int64(offsetAt(location, timestamp))*microsPerSecond
}

// fromLocal is the inverse. Of a local time that doesn't exist or exists twice
// it takes what PostgreSQL does: in a gap the offset before it, in an overlap
// the one after it.
func fromLocal(location *time.Location, local int64) int64 {
	if isInfiniteTimestamp(local) || location == time.UTC {
		return local
	}
	seconds, _ := floorDivide(local, microsPerSecond)
	dayBefore := time.Unix(seconds+postgresEpoch-secondsPerDay, 0).In(location)
	_, before := dayBefore.Zone()
	_, end := dayBefore.ZoneBounds()
	offset := before
	if !end.IsZero() {
		_, after := end.Zone()
		boundary := end.Unix() - postgresEpoch
		ifBefore, ifAfter := seconds-int64(before), seconds-int64(after)
		switch {
		case ifBefore < boundary && ifAfter < boundary:
		case ifBefore >= boundary && ifAfter >= boundary:
			offset = after
			// A second transition within the two days is looked for from there.
			if _, next := end.ZoneBounds(); !next.IsZero() && next.Unix()-postgresEpoch <= ifAfter {
				_, offset = next.Zone()
			}
		case ifBefore > ifAfter: // before < after: a gap
		default:
			offset = after
		}
	}
	return local - int64(offset)*microsPerSecond
}

// addInterval adds an interval to a timestamp, or to a timestamptz if location
// isn't nil: then months and days are those of the local calendar.
func addInterval(timestamp int64, v types.IntervalValue, location *time.Location) (int64, error) {
	if location == nil {
		return types.AddInterval(timestamp, v)
	}
	return types.AddIntervalTZ(&types.Context{Location: location}, timestamp, v)
}
