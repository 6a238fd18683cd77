package functions

import (
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// timeUnits are the units of date_part, extract and date_trunc by all of
// their spellings.
var timeUnits = map[string]string{
	"c": "century", "cent": "century", "century": "century", "centuries": "century",
	"d": "day", "day": "day", "days": "day",
	"dec": "decade", "decs": "decade", "decade": "decade", "decades": "decade",
	"h": "hour", "hr": "hour", "hrs": "hour", "hour": "hour", "hours": "hour",
	"m": "minute", "min": "minute", "mins": "minute", "minute": "minute", "minutes": "minute",
	"mil": "millennium", "mils": "millennium", "millennia": "millennium", "millennium": "millennium",
	"mon": "month", "mons": "month", "month": "month", "months": "month",
	"ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "msecond": "millisecond", "mseconds": "millisecond",
	"millisecon": "millisecond", "milliseconds": "millisecond", "millisecond": "millisecond",
	"qtr": "quarter", "quarter": "quarter",
	"s": "second", "sec": "second", "secs": "second", "second": "second", "seconds": "second",
	"us": "microsecond", "usec": "microsecond", "usecs": "microsecond", "usecond": "microsecond", "useconds": "microsecond",
	"microsecon": "microsecond", "microseconds": "microsecond", "microsecond": "microsecond",
	"w": "week", "week": "week", "weeks": "week",
	"y": "year", "yr": "year", "yrs": "year", "year": "year", "years": "year",
	"dow": "dow", "doy": "doy", "isodow": "isodow", "isoyear": "isoyear", "epoch": "epoch", "j": "julian", "jd": "julian", "julian": "julian",
	"timezone": "timezone", "timezone_h": "timezone_hour", "timezone_hour": "timezone_hour", "timezone_m": "timezone_minute", "timezone_minute": "timezone_minute",
}

func unitSpelling(name string) string { return strings.ToLower(name) }

// timeUnit recognizes a unit for values of type t.
func timeUnit(name string, t *types.T) (string, error) {
	unit, ok := timeUnits[unitSpelling(name)]
	if !ok {
		return "", pgerror.Newf(pgerror.InvalidParameterValue, "unit \"%s\" not recognized for type %s", unitSpelling(name), t.SQLName)
	}
	return unit, nil
}

func errUnitUnsupported(name string, t *types.T) error {
	return pgerror.Newf(pgerror.FeatureNotSupported, "unit \"%s\" not supported for type %s", unitSpelling(name), t.SQLName)
}

func defineExtract(d definitions) {
	for _, t := range []*types.T{types.Date, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval} {
		part := func(ctx *types.Context, a []types.Datum, subject *types.T) (*apd.Decimal, error) {
			unit, err := timeUnit(a[0].S, subject)
			if err != nil {
				return nil, err
			}
			var v *apd.Decimal
			switch t.OID {
			case types.DateOID:
				v = partOfDate(unit, a[1].I, subject)
			case types.TimeOID:
				v = partOfTime(unit, a[1].I)
			case types.TimeTZOID:
				v = partOfTimeTZ(unit, a[1].I)
			case types.IntervalOID:
				v = partOfInterval(unit, a[1].Interval())
			case types.TimestampTZOID:
				v = partOfTimestamp(unit, a[1].I, ctx, true)
			default:
				v = partOfTimestamp(unit, a[1].I, ctx, false)
			}
			if v == nil {
				return nil, errUnitUnsupported(a[0].S, subject)
			}
			return v, nil
		}
		d.scalar("extract(text,"+t.Name+")", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			v, err := part(ctx, a, t)
			if err != nil {
				return types.DNull, err
			}
			if v == partIsNull {
				return types.DNull, nil
			}
			return types.Decimal(v), nil
		})
		// date_part of a date is that of the timestamp at its midnight.
		subject := t
		if t == types.Date {
			subject = types.Timestamp
		}
		d.scalar("date_part(text,"+t.Name+")", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			v, err := part(ctx, a, subject)
			if err != nil {
				return types.DNull, err
			}
			if (t == types.Timestamp || t == types.TimestampTZ) && v.Form == apd.Finite && timeUnits[unitSpelling(a[0].S)] == "epoch" {
				// In floats all along: µs are rounded first.
				return types.Float(float64(a[1].I+postgresEpoch*microsPerSecond) / microsPerSecond), nil
			}
			switch {
			case v == partIsNull:
				return types.DNull, nil
			case v.Form == apd.Infinite && v.Negative:
				return types.Float(math.Inf(-1)), nil
			case v.Form == apd.Infinite:
				return types.Float(math.Inf(1)), nil
			}
			f, err := floatPart(timeUnits[unitSpelling(a[0].S)], v)
			return types.Float(f), err
		})
	}
}

// floatPart rounds as date_part does: whole seconds and their fraction apart.
func floatPart(unit string, v *apd.Decimal) (float64, error) {
	if unit != "second" && unit != "millisecond" {
		return v.Float64()
	}
	micros := v.Coeff.Int64()
	if v.Negative {
		micros = -micros
	}
	seconds, fraction := float64(micros/microsPerSecond), float64(micros%microsPerSecond)
	if unit == "second" {
		return seconds + fraction/microsPerSecond, nil
	}
	return seconds*1000 + fraction/1000, nil
}

// partIsNull stands for NULL: a field of infinity that goes to and fro.
var partIsNull = new(apd.Decimal)

func integerPart(v int64) *apd.Decimal { return apd.New(v, 0) }

// secondsPart are µs as seconds with six digits.
func secondsPart(micros int64) *apd.Decimal { return apd.New(micros, -6) }

// partOfClock is a field of a time of day; nil: not a field of it.
func partOfClock(unit string, micros int64) *apd.Decimal {
	switch unit {
	case "microsecond":
		return integerPart(micros % microsPerMinute)
	case "millisecond":
		return apd.New(micros%microsPerMinute, -3)
	case "second":
		return secondsPart(micros % microsPerMinute)
	case "minute":
		return integerPart(micros / microsPerMinute % 60)
	case "hour":
		return integerPart(micros / microsPerHour)
	}
	return nil
}

func partOfTime(unit string, micros int64) *apd.Decimal {
	if unit == "epoch" {
		return secondsPart(micros)
	}
	return partOfClock(unit, micros)
}

func partOfTimeTZ(unit string, packed int64) *apd.Decimal {
	micros, offset := types.TimeTZParts(packed)
	if unit == "epoch" {
		return secondsPart(micros - int64(offset)*microsPerSecond)
	}
	if v := partOfOffset(unit, offset); v != nil {
		return v
	}
	return partOfClock(unit, micros)
}

func partOfOffset(unit string, offset int) *apd.Decimal {
	switch unit {
	case "timezone":
		return integerPart(int64(offset))
	case "timezone_hour":
		return integerPart(int64(offset / 3600))
	case "timezone_minute":
		return integerPart(int64(offset % 3600 / 60))
	}
	return nil
}

// partOfCalendar is a field of a date.
func partOfCalendar(unit string, c civil) *apd.Decimal {
	days := c.days()
	year := int64(c.year)
	// Years count without a year 0.
	shown := func(y int64) *apd.Decimal {
		if y <= 0 {
			y--
		}
		return integerPart(y)
	}
	switch unit {
	case "day":
		return integerPart(int64(c.day))
	case "month":
		return integerPart(int64(c.month))
	case "quarter":
		return integerPart(int64(c.month-1)/3 + 1)
	case "year":
		return shown(year)
	case "decade":
		q, _ := floorDivide(year, 10)
		return integerPart(q)
	case "century":
		if year > 0 {
			return integerPart((year + 99) / 100)
		}
		return integerPart(-((99 - (year - 1)) / 100))
	case "millennium":
		if year > 0 {
			return integerPart((year + 999) / 1000)
		}
		return integerPart(-((999 - (year - 1)) / 1000))
	case "week":
		_, week := isoWeek(days, c.year)
		return integerPart(int64(week))
	case "isoyear":
		isoYear, _ := isoWeek(days, c.year)
		return shown(int64(isoYear))
	case "dow":
		return integerPart(int64(weekday(days)))
	case "isodow":
		return integerPart(int64((weekday(days)+6)%7 + 1))
	case "doy":
		return integerPart(int64(c.dayOfYear()))
	}
	return nil
}

// partOfInfinity is a field of infinity; nil: not a field.
func partOfInfinity(unit string, negative, withZone bool) *apd.Decimal {
	switch unit {
	case "year", "decade", "century", "millennium", "julian", "isoyear", "epoch":
		return &apd.Decimal{Form: apd.Infinite, Negative: negative}
	case "timezone", "timezone_hour", "timezone_minute":
		if withZone {
			return partIsNull
		}
		return nil
	}
	return partIsNull
}

func partOfDate(unit string, days int64, subject *types.T) *apd.Decimal {
	if subject != types.Date { // date_part: of a timestamp
		if isInfiniteTimestamp(days) {
			return partOfTimestamp(unit, days, nil, false)
		}
		return partOfTimestamp(unit, days*microsPerDay, nil, false)
	}
	if isInfiniteTimestamp(days) {
		if partOfClock(unit, 0) != nil || partOfOffset(unit, 0) != nil {
			return nil
		}
		return partOfInfinity(unit, days < 0, false)
	}
	switch unit {
	case "epoch":
		return integerPart(days*secondsPerDay + postgresEpoch)
	case "julian":
		return integerPart(days + epochJulian)
	}
	return partOfCalendar(unit, civilOf(days*microsPerDay))
}

func partOfTimestamp(unit string, timestamp int64, ctx *types.Context, withZone bool) *apd.Decimal {
	if isInfiniteTimestamp(timestamp) {
		return partOfInfinity(unit, timestamp < 0, withZone)
	}
	local := timestamp
	if withZone {
		offset := zoneOffset(ctx, timestamp)
		if v := partOfOffset(unit, offset); v != nil {
			return v
		}
		local += int64(offset) * microsPerSecond
	}
	days, rest := floorDivide(local, microsPerDay)
	switch unit {
	case "epoch":
		return add(secondsPart(timestamp), apd.New(postgresEpoch, 0))
	case "julian":
		whole := apd.New(days+epochJulian, 0)
		fraction, _ := types.DivideNumeric(apd.New(rest, 0), apd.New(microsPerDay, 0)) // finite
		return add(whole, fraction)
	}
	if v := partOfClock(unit, rest); v != nil {
		return v
	}
	return partOfCalendar(unit, civilOf(local))
}

func partOfInterval(unit string, v types.IntervalValue) *apd.Decimal {
	years, months := int64(v.Months/monthsPerYear), int64(v.Months%monthsPerYear)
	switch unit {
	case "epoch":
		// A year has 365.25 days there, a month 30.
		seconds := years*(1461*secondsPerDay/4) + months*daysPerMonth*secondsPerDay + int64(v.Days)*secondsPerDay
		return add(apd.New(seconds, 0), secondsPart(v.Micros))
	case "year":
		return integerPart(years)
	case "decade":
		return integerPart(years / 10)
	case "century":
		return integerPart(years / 100)
	case "millennium":
		return integerPart(years / 1000)
	case "month":
		return integerPart(months)
	case "quarter":
		return integerPart(months/3 + 1)
	case "day":
		return integerPart(int64(v.Days))
	}
	return partOfClock(unit, v.Micros)
}
