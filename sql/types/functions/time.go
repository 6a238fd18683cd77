package functions

import (
	"context"
	"math"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func defineTime(d definitions) {
	transactionTime := func(ctx *types.Context, _ []types.Datum) (types.Datum, error) {
		return types.Int(ctx.TransactionTime), nil
	}
	d.scalar("now()", transactionTime)
	d.scalar("transaction_timestamp()", transactionTime)
	d.scalar("statement_timestamp()", func(ctx *types.Context, _ []types.Datum) (types.Datum, error) {
		return types.Int(ctx.StatementTime), nil
	})
	d.scalar("clock_timestamp()", func(ctx *types.Context, _ []types.Datum) (types.Datum, error) { return types.Int(ctx.ClockTime()), nil })
	d.scalar("timeofday()", func(ctx *types.Context, _ []types.Datum) (types.Datum, error) {
		t := types.TimeOf(ctx.ClockTime()).In(locationOf(ctx))
		return types.String(t.Format("Mon Jan 02 15:04:05.000000 2006 MST")), nil
	})
	d.scalar("to_timestamp(float8)", secondsToTimestamp)
	defineAges(d)
	defineExtract(d)
	defineTruncation(d)
	defineMaking(d)
	defineJustification(d)
	defineOverlaps(d)
	defineTimeZones(d)
	defineSleep(d)
}

func secondsToTimestamp(_ *types.Context, a []types.Datum) (types.Datum, error) {
	seconds := a[0].Float()
	switch {
	case seconds != seconds:
		return types.DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "timestamp cannot be NaN")
	case math.IsInf(seconds, 1):
		return types.Int(math.MaxInt64), nil
	case math.IsInf(seconds, -1):
		return types.Int(math.MinInt64), nil
	case seconds < -210866803200 || seconds >= 9224318016000:
		return types.DNull, pgerror.Newf(pgerror.DatetimeFieldOverflow, "timestamp out of range: \"%g\"", seconds)
	}
	v, err := checkTimestamp(int64(math.RoundToEven((seconds - postgresEpoch) * microsPerSecond)))
	return types.Int(v), err
}

func defineAges(d definitions) {
	age := func(a, b int64) (types.Datum, error) {
		if isInfiniteTimestamp(a) || isInfiniteTimestamp(b) {
			return types.DNull, errTimestampRange()
		}
		return types.IntervalOf(calendarAge(a, b)), nil
	}
	// today is the local midnight that the statement's transaction began after.
	today := func(ctx *types.Context) int64 {
		local := toLocal(locationOf(ctx), ctx.TransactionTime)
		days, _ := floorDivide(local, microsPerDay)
		return days * microsPerDay
	}
	d.scalar("age(timestamp,timestamp)", func(_ *types.Context, a []types.Datum) (types.Datum, error) { return age(a[0].I, a[1].I) })
	d.scalar("age(timestamp)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) { return age(today(ctx), a[0].I) })
	d.scalar("age(timestamptz,timestamptz)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		location := locationOf(ctx)
		return age(toLocal(location, a[0].I), toLocal(location, a[1].I))
	})
	d.scalar("age(timestamptz)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		return age(today(ctx), toLocal(locationOf(ctx), a[0].I))
	})
	d.scalar("age(xid)", func(*types.Context, []types.Datum) (types.Datum, error) { return types.Int(math.MaxInt32), nil })
}

// calendarAge is a - b in years, months, days and time, borrowing days from the
// months of the earlier or later date as timestamp_age does.
func calendarAge(a, b int64) types.IntervalValue {
	x, y := civilOf(a), civilOf(b)
	sign := 1
	borrow := y
	if a < b {
		sign, borrow = -1, x
	}
	diff := func(p, q int) int { return sign * (p - q) }
	micros, second, minute := diff(x.micros, y.micros), diff(x.second, y.second), diff(x.minute, y.minute)
	hour, day, month, year := diff(x.hour, y.hour), diff(x.day, y.day), diff(x.month, y.month), diff(x.year, y.year)
	carry := func(low, high *int, size int) {
		for *low < 0 {
			*low += size
			*high--
		}
	}
	carry(&micros, &second, microsPerSecond)
	carry(&second, &minute, 60)
	carry(&minute, &hour, 60)
	carry(&hour, &day, 24)
	carry(&day, &month, daysInMonth(borrow.year, borrow.month))
	carry(&month, &year, 12)
	t := civil{hour: hour, minute: minute, second: second, micros: micros}
	return types.IntervalValue{
		Months: int32(sign * (year*monthsPerYear + month)), Days: int32(sign * day), Micros: int64(sign) * t.timeOfDay(),
	}
}

func defineTruncation(d definitions) {
	d.scalar("date_trunc(text,timestamp)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return truncateTimestamp(a[0].S, a[1].I, types.Timestamp, nil)
	})
	d.scalar("date_trunc(text,timestamptz)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		return truncateTimestamp(a[0].S, a[1].I, types.TimestampTZ, locationOf(ctx))
	})
	d.scalar("date_trunc(text,timestamptz,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		location, err := types.LoadLocation(a[2].S)
		if err != nil {
			return types.DNull, err
		}
		return truncateTimestamp(a[0].S, a[1].I, types.TimestampTZ, location)
	})
	d.scalar("date_trunc(text,interval)", truncateInterval)
	bin := func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		stride := a[0].Interval()
		switch {
		case isInfiniteTimestamp(a[1].I):
			return a[1], nil
		case isInfiniteTimestamp(a[2].I):
			return types.DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "origin out of range")
		case stride.Months != 0:
			return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "timestamps cannot be binned into intervals containing months or years")
		}
		micros := int64(stride.Days)*microsPerDay + stride.Micros
		if micros <= 0 {
			return types.DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "stride must be greater than zero")
		}
		_, rest := floorDivide(a[1].I-a[2].I, micros)
		return types.Int(a[1].I - rest), nil
	}
	d.scalar("date_bin(interval,timestamp,timestamp)", bin)
	d.scalar("date_bin(interval,timestamptz,timestamptz)", bin)
}

// truncateTimestamp truncates in the local calendar of location; nil: of the
// timestamp itself.
func truncateTimestamp(unitName string, timestamp int64, t *types.T, location *time.Location) (types.Datum, error) {
	unit, err := timeUnit(unitName, t)
	if err != nil {
		return types.DNull, err
	}
	if isInfiniteTimestamp(timestamp) {
		return types.Int(timestamp), nil
	}
	local := timestamp
	if location != nil {
		local = toLocal(location, timestamp)
	}
	c := civilOf(local)
	switch unit {
	case "microsecond":
	case "millisecond":
		c.micros -= c.micros % 1000
	case "second":
		c.micros = 0
	case "minute":
		c.second, c.micros = 0, 0
	case "hour":
		c.minute, c.second, c.micros = 0, 0, 0
	default:
		c.hour, c.minute, c.second, c.micros = 0, 0, 0, 0
		if !c.truncateDate(unit) {
			return types.DNull, errUnitUnsupported(unitName, t)
		}
	}
	truncated := c.timestamp()
	switch {
	case location == nil:
	case unit == "microsecond" || unit == "millisecond" || unit == "second" || unit == "minute" || unit == "hour":
		truncated = timestamp - (local - truncated) // in the same offset
	default:
		truncated = fromLocal(location, truncated)
	}
	truncated, err = checkTimestamp(truncated)
	return types.Int(truncated), err
}

// truncateDate truncates the date; false: not to this unit.
func (c *civil) truncateDate(unit string) bool {
	switch unit {
	case "day":
	case "week":
		days := c.days()
		days -= int64((weekday(days) + 6) % 7)
		c.year, c.month, c.day = types.DateOf(days)
	case "month":
		c.day = 1
	case "quarter":
		c.month, c.day = (c.month-1)/3*3+1, 1
	case "year":
		c.month, c.day = 1, 1
	case "decade":
		year, _ := floorDivide(int64(c.year), 10)
		c.year, c.month, c.day = int(year)*10, 1, 1
	case "century":
		year, _ := floorDivide(int64(c.year)-1, 100)
		c.year, c.month, c.day = int(year)*100+1, 1, 1
	case "millennium":
		year, _ := floorDivide(int64(c.year)-1, 1000)
		c.year, c.month, c.day = int(year)*1000+1, 1, 1
	default:
		return false
	}
	return true
}

func truncateInterval(_ *types.Context, a []types.Datum) (types.Datum, error) {
	unit, err := timeUnit(a[0].S, types.Interval)
	if err != nil {
		return types.DNull, err
	}
	v := a[1].Interval()
	truncateMonths := func(n int32) { v = types.IntervalValue{Months: v.Months / n * n} }
	switch unit {
	case "millennium":
		truncateMonths(12000)
	case "century":
		truncateMonths(1200)
	case "decade":
		truncateMonths(120)
	case "year":
		truncateMonths(12)
	case "quarter":
		truncateMonths(3)
	case "month":
		truncateMonths(1)
	case "day":
		v.Micros = 0
	case "hour":
		v.Micros -= v.Micros % microsPerHour
	case "minute":
		v.Micros -= v.Micros % microsPerMinute
	case "second":
		v.Micros -= v.Micros % microsPerSecond
	case "millisecond":
		v.Micros -= v.Micros % 1000
	case "microsecond":
	case "week":
		return types.DNull, pgerror.Newf(pgerror.FeatureNotSupported, "unit \"%s\" not supported for type %s", unitSpelling(a[0].S), types.Interval.SQLName).
			WithDetail("Months usually have fractional weeks.")
	default:
		return types.DNull, errUnitUnsupported(a[0].S, types.Interval)
	}
	return types.IntervalOf(v), nil
}

func defineMaking(d definitions) {
	date := func(year, month, day int64) (int64, error) {
		bad := func() error {
			return pgerror.Newf(pgerror.DatetimeFieldOverflow, "date field value out of range: %d-%02d-%02d", year, month, day)
		}
		y := year
		if y < 0 {
			y++ // 1 BC is year 0
		}
		if year == 0 || year > 10_000_000 || year < -10_000 || month < 1 || month > 12 || day < 1 || day > int64(daysInMonth(int(y), int(month))) {
			return 0, bad()
		}
		days := types.DaysOf(int(y), int(month), int(day))
		if days < minimumDate || days >= endDate {
			return 0, pgerror.Newf(pgerror.DatetimeFieldOverflow, "date out of range: %d-%02d-%02d", year, month, day)
		}
		return days, nil
	}
	timeOfDay := func(hour, minute int64, second float64) (int64, error) {
		if hour < 0 || minute < 0 || minute > 59 || !(second >= 0 && second <= 60) || hour > 24 || hour == 24 && (minute > 0 || second > 0) {
			return 0, pgerror.Newf(pgerror.DatetimeFieldOverflow, "time field value out of range: %d:%02d:%02g", hour, minute, second)
		}
		return hour*microsPerHour + minute*microsPerMinute + int64(math.RoundToEven(second*microsPerSecond)), nil
	}
	timestamp := func(a []types.Datum) (int64, error) {
		days, err := date(a[0].I, a[1].I, a[2].I)
		if err != nil {
			return 0, err
		}
		micros, err := timeOfDay(a[3].I, a[4].I, a[5].Float())
		if err != nil {
			return 0, err
		}
		if days > endTimestamp/microsPerDay {
			return 0, errTimestampRange()
		}
		return checkTimestamp(days*microsPerDay + micros)
	}
	d.scalar("make_date(int4,int4,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		days, err := date(a[0].I, a[1].I, a[2].I)
		return types.Int(days), err
	})
	d.scalar("make_time(int4,int4,float8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		micros, err := timeOfDay(a[0].I, a[1].I, a[2].Float())
		return types.Int(micros), err
	})
	d.scalar("make_timestamp(int4,int4,int4,int4,int4,float8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := timestamp(a)
		return types.Int(v), err
	})
	d.scalar("make_timestamptz(int4,int4,int4,int4,int4,float8)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := timestamp(a)
		return types.Int(fromLocal(locationOf(ctx), v)), err
	})
	d.scalar("make_timestamptz(int4,int4,int4,int4,int4,float8,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := timestamp(a)
		if err != nil {
			return types.DNull, err
		}
		location, err := types.LoadLocation(a[6].S)
		if err != nil {
			return types.DNull, err
		}
		return types.Int(fromLocal(location, v)), nil
	})
	d.scalar("make_interval(int4,int4,int4,int4,int4,int4,float8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		seconds := a[6].Float()
		months, days := a[0].I*monthsPerYear+a[1].I, a[2].I*7+a[3].I
		if math.IsInf(seconds, 0) || seconds != seconds || int64(int32(months)) != months || int64(int32(days)) != days || math.Abs(seconds) > 9e12 {
			return types.DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "interval out of range")
		}
		micros := a[4].I*microsPerHour + a[5].I*microsPerMinute + int64(math.RoundToEven(seconds*microsPerSecond))
		return types.IntervalOf(types.IntervalValue{Months: int32(months), Days: int32(days), Micros: micros}), nil
	})
}

func defineJustification(d definitions) {
	interval1 := func(f func(types.IntervalValue) types.IntervalValue) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return types.IntervalOf(f(a[0].Interval())), nil
		}
	}
	hours := func(v types.IntervalValue) types.IntervalValue {
		v.Days += int32(v.Micros / microsPerDay)
		v.Micros %= microsPerDay
		if v.Days > 0 && v.Micros < 0 {
			v.Micros, v.Days = v.Micros+microsPerDay, v.Days-1
		} else if v.Days < 0 && v.Micros > 0 {
			v.Micros, v.Days = v.Micros-microsPerDay, v.Days+1
		}
		return v
	}
	days := func(v types.IntervalValue) types.IntervalValue {
		v.Months += v.Days / daysPerMonth
		v.Days %= daysPerMonth
		if v.Months > 0 && v.Days < 0 {
			v.Days, v.Months = v.Days+daysPerMonth, v.Months-1
		} else if v.Months < 0 && v.Days > 0 {
			v.Days, v.Months = v.Days-daysPerMonth, v.Months+1
		}
		return v
	}
	d.scalar("justify_hours(interval)", interval1(hours))
	d.scalar("justify_days(interval)", interval1(days))
	d.scalar("justify_interval(interval)", interval1(func(v types.IntervalValue) types.IntervalValue {
		v.Days += int32(v.Micros / microsPerDay)
		v.Micros %= microsPerDay
		v.Months += v.Days / daysPerMonth
		v.Days %= daysPerMonth
		if v.Months > 0 && (v.Days < 0 || v.Days == 0 && v.Micros < 0) {
			v.Days, v.Months = v.Days+daysPerMonth, v.Months-1
		} else if v.Months < 0 && (v.Days > 0 || v.Days == 0 && v.Micros > 0) {
			v.Days, v.Months = v.Days-daysPerMonth, v.Months+1
		}
		if v.Days > 0 && v.Micros < 0 {
			v.Micros, v.Days = v.Micros+microsPerDay, v.Days-1
		} else if v.Days < 0 && v.Micros > 0 {
			v.Micros, v.Days = v.Micros-microsPerDay, v.Days+1
		}
		return v
	}))
	d.scalar("isfinite(interval)", func(*types.Context, []types.Datum) (types.Datum, error) { return types.Bool(true), nil })
	for _, t := range []*types.T{types.Date, types.Timestamp, types.TimestampTZ} {
		d.scalar("isfinite("+t.Name+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return types.Bool(a[0].I != types.InfiniteTime && a[0].I != types.NegativeInfiniteTime), nil
		})
	}
}

// defineOverlaps defines OVERLAPS: of two periods, each from a start to an end
// or of a length.
func defineOverlaps(d definitions) {
	for _, t := range []*types.T{types.Timestamp, types.TimestampTZ, types.Time, types.TimeTZ} {
		end := func(ctx *types.Context, start, length types.Datum) (types.Datum, error) {
			if start.Null || length.Null {
				return types.DNull, nil
			}
			if t == types.Time {
				_, v := floorDivide(start.I+length.Interval().Micros, microsPerDay)
				return types.Int(v), nil
			}
			var location *time.Location
			if t == types.TimestampTZ {
				location = locationOf(ctx)
			}
			v, err := addInterval(start.I, length.Interval(), location)
			return types.Int(v), err
		}
		for _, second := range []string{t.Name, "interval"} {
			for _, fourth := range []string{t.Name, "interval"} {
				if t == types.TimeTZ && (second == "interval" || fourth == "interval") {
					continue
				}
				d.scalar("overlaps("+t.Name+","+second+","+t.Name+","+fourth+")", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
					end1, end2 := a[1], a[3]
					var err error
					if second == "interval" {
						if end1, err = end(ctx, a[0], a[1]); err != nil {
							return types.DNull, err
						}
					}
					if fourth == "interval" {
						if end2, err = end(ctx, a[2], a[3]); err != nil {
							return types.DNull, err
						}
					}
					return periodsOverlap(t, a[0], end1, a[2], end2), nil
				})
			}
		}
	}
}

// periodsOverlap has SQL's three values: what is not NULL may decide.
func periodsOverlap(t *types.T, start1, end1, start2, end2 types.Datum) types.Datum {
	order := func(start, end types.Datum) (types.Datum, types.Datum, bool) {
		if start.Null {
			return end, start, !end.Null
		}
		if !end.Null && types.Compare(t, start, end) > 0 {
			return end, start, true
		}
		return start, end, true
	}
	start1, end1, known1 := order(start1, end1)
	start2, end2, known2 := order(start2, end2)
	if !known1 || !known2 {
		return types.DNull
	}
	switch c := types.Compare(t, start1, start2); {
	case c == 0:
		if end1.Null || end2.Null {
			return types.DNull
		}
		return types.Bool(true)
	case c < 0:
		start1, end1, start2, end2 = start2, end2, start1, end1
	}
	// The first period starts later now.
	if end2.Null {
		return types.DNull
	}
	if types.Compare(t, start1, end2) < 0 {
		return types.Bool(true)
	}
	if end1.Null {
		return types.DNull
	}
	return types.Bool(false)
}

func defineTimeZones(d definitions) {
	byName := func(a []types.Datum) (*time.Location, error) { return types.LoadLocation(a[0].S) }
	byOffset := func(a []types.Datum) (*time.Location, error) {
		v := a[0].Interval()
		if v.Months != 0 || v.Days != 0 {
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "interval time zone \"%s\" must not include months or days",
				types.AppendText(nil, &types.Context{}, types.Interval, a[0]))
		}
		return time.FixedZone("", int(v.Micros/microsPerSecond)), nil
	}
	for first, zone := range map[string]func([]types.Datum) (*time.Location, error){"text": byName, "interval": byOffset} {
		d.scalar("timezone("+first+",timestamptz)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			location, err := zone(a)
			if err != nil {
				return types.DNull, err
			}
			return types.Int(toLocal(location, a[1].I)), nil
		})
		d.scalar("timezone("+first+",timestamp)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			location, err := zone(a)
			if err != nil {
				return types.DNull, err
			}
			return types.Int(fromLocal(location, a[1].I)), nil
		})
		d.scalar("timezone("+first+",timetz)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			location, err := zone(a)
			if err != nil {
				return types.DNull, err
			}
			micros, old := types.TimeTZParts(a[1].I)
			offset := offsetAt(location, ctx.TransactionTime)
			_, micros = floorDivide(micros+int64(offset-old)*microsPerSecond, microsPerDay)
			return types.TimeTZOf(micros, offset), nil
		})
	}
}

// sleep waits until the deadline or the end of the statement.
func sleep(ctx *types.Context, duration time.Duration) error {
	statement := ctx.Ctx
	if statement == nil {
		statement = context.Background()
	}
	if duration <= 0 {
		return nil
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-statement.Done():
		return context.Cause(statement)
	}
}

func defineSleep(d definitions) {
	d.scalar("pg_sleep(float8)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		return types.Datum{}, sleep(ctx, time.Duration(min(a[0].Float(), 1e9)*float64(time.Second)))
	})
	d.scalar("pg_sleep_for(interval)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		now := ctx.ClockTime()
		end, err := addInterval(now, a[0].Interval(), locationOf(ctx))
		if err != nil {
			return types.DNull, err
		}
		return types.Datum{}, sleep(ctx, time.Duration(min(end-now, int64(math.MaxInt64/1000)))*time.Microsecond)
	})
	d.scalar("pg_sleep_until(timestamptz)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		now := ctx.ClockTime()
		if a[0].I < now {
			return types.Datum{}, nil
		}
		return types.Datum{}, sleep(ctx, time.Duration(min(a[0].I-now, int64(math.MaxInt64/1000)))*time.Microsecond)
	})
}
