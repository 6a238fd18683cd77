package types

import (
	"math"

	"github.com/cairndb/cairn/sql/pgerror"
)

// AddMonths moves a date, in days, by months; the day is cut to the month's end.
func AddMonths(days int64, months int32) int64 {
	year, month, day := DateOf(days)
	total := int64(year)*12 + int64(month-1) + int64(months)
	y, m := floorDivide(total, 12)
	year, month = int(y), int(m)+1
	return DaysOf(year, month, min(day, daysInMonth(year, month)))
}

// AddInterval adds an interval to a timestamp: months, then days, then time.
func AddInterval(timestamp int64, v IntervalValue) (int64, error) {
	if isInfiniteTime(timestamp) {
		return timestamp, nil
	}
	days, micros := floorDivide(timestamp, microsPerDay)
	if v.Months != 0 {
		days = AddMonths(days, v.Months)
	}
	days += int64(v.Days)
	return momentOf(days, micros, v.Micros)
}

func momentOf(days, micros, more int64) (int64, error) {
	t, ok := mulInt64(days, microsPerDay)
	if ok {
		if t, ok = addInt64(t, micros); ok {
			t, ok = addInt64(t, more)
		}
	}
	if !ok || !validTimestamp(t) {
		return 0, timestampOutOfRange()
	}
	return t, nil
}

// AddIntervalTZ adds to a timestamptz: months and days by the clocks of the
// session's zone, time as it passes.
func AddIntervalTZ(ctx *Context, timestamp int64, v IntervalValue) (int64, error) {
	if isInfiniteTime(timestamp) {
		return timestamp, nil
	}
	if v.Months != 0 || v.Days != 0 {
		location := ctx.location()
		local, err := AddInterval(ToLocal(location, timestamp), IntervalValue{Months: v.Months, Days: v.Days})
		if err != nil {
			return 0, err
		}
		timestamp = ToUTC(location, local)
	}
	return momentOf(0, timestamp, v.Micros)
}

// NegateInterval returns -v.
func NegateInterval(v IntervalValue) (IntervalValue, error) {
	if v.Months == math.MinInt32 || v.Days == math.MinInt32 || v.Micros == math.MinInt64 {
		return v, intervalOutOfRange()
	}
	return IntervalValue{Months: -v.Months, Days: -v.Days, Micros: -v.Micros}, nil
}

// AddIntervals returns a + b.
func AddIntervals(a, b IntervalValue) (IntervalValue, error) {
	months, days := int64(a.Months)+int64(b.Months), int64(a.Days)+int64(b.Days)
	micros, ok := addInt64(a.Micros, b.Micros)
	if !ok || months != int64(int32(months)) || days != int64(int32(days)) {
		return a, intervalOutOfRange()
	}
	return IntervalValue{Months: int32(months), Days: int32(days), Micros: micros}, nil
}

// MultiplyInterval returns v * factor; parts of months become days of 1/30 of
// a month, parts of days become time.
func MultiplyInterval(v IntervalValue, factor float64) (IntervalValue, error) {
	return scaleInterval(v, func(x float64) float64 { return x * factor })
}

// DivideInterval returns v / divisor, 22012 for 0.
func DivideInterval(v IntervalValue, divisor float64) (IntervalValue, error) {
	if divisor == 0 {
		return v, errDivision()
	}
	return scaleInterval(v, func(x float64) float64 { return x / divisor })
}

func scaleInterval(v IntervalValue, scale func(float64) float64) (IntervalValue, error) {
	toMicros := func(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }
	months, days := scale(float64(v.Months)), scale(float64(v.Days))
	fits := func(x float64) bool { return !math.IsNaN(x) && x >= math.MinInt32 && x <= math.MaxInt32 }
	if !fits(months) || !fits(days) {
		return v, intervalOutOfRange()
	}
	r := IntervalValue{Months: int32(months), Days: int32(days)}
	monthDays := toMicros((months - float64(r.Months)) * 30)
	seconds := toMicros((days - float64(r.Days) + monthDays - math.Trunc(monthDays)) * 86400)
	if math.Abs(seconds) >= 86400 {
		r.Days += int32(seconds / 86400)
		seconds -= float64(int64(seconds/86400) * 86400)
	}
	r.Days += int32(monthDays)
	micros := math.RoundToEven(scale(float64(v.Micros)) + seconds*1e6)
	if math.IsNaN(micros) || micros < math.MinInt64 || micros >= math.MaxInt64 {
		return v, intervalOutOfRange()
	}
	r.Micros = int64(micros)
	return r, nil
}

// SubtractTimestamps returns a - b in days and time.
func SubtractTimestamps(a, b int64) (IntervalValue, error) {
	if isInfiniteTime(a) || isInfiniteTime(b) {
		return IntervalValue{}, pgerror.New(pgerror.DatetimeFieldOverflow, "cannot subtract infinite timestamps")
	}
	return JustifyHours(IntervalValue{Micros: a - b}), nil
}

// JustifyHours turns every 24 hours into a day.
func JustifyHours(v IntervalValue) IntervalValue {
	days := v.Micros / microsPerDay
	v.Micros -= days * microsPerDay
	v.Days += int32(days)
	if v.Days > 0 && v.Micros < 0 {
		v.Micros += microsPerDay
		v.Days--
	} else if v.Days < 0 && v.Micros > 0 {
		v.Micros -= microsPerDay
		v.Days++
	}
	return v
}

// compareIntervals compares by days of 24 hours and months of 30 days.
func compareIntervals(a, b IntervalValue) int {
	daysA, microsA := intervalSpan(a)
	daysB, microsB := intervalSpan(b)
	if daysA != daysB {
		return compareInts(daysA, daysB)
	}
	return compareInts(microsA, microsB)
}

func intervalSpan(v IntervalValue) (days, micros int64) {
	days, micros = floorDivide(v.Micros, microsPerDay)
	return days + int64(v.Months)*30 + int64(v.Days), micros
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// DateToTimestamp converts a date to its midnight; 22008 for one that no
// timestamp reaches.
func DateToTimestamp(days int64) (int64, error) {
	if isInfiniteTime(days) {
		return days, nil
	}
	if days >= endTimestamp/microsPerDay {
		return 0, pgerror.New(pgerror.DatetimeFieldOverflow, "date out of range for timestamp")
	}
	return days * microsPerDay, nil
}

func dateToTimestampTZ(ctx *Context, days int64) (int64, error) {
	v, err := DateToTimestamp(days)
	if err != nil || isInfiniteTime(v) {
		return v, err
	}
	return timestampToTZ(ctx, v)
}

func timestampToTZ(ctx *Context, v int64) (int64, error) {
	if isInfiniteTime(v) {
		return v, nil
	}
	v = ToUTC(ctx.location(), v)
	if !validTimestamp(v) {
		return 0, timestampOutOfRange()
	}
	return v, nil
}

func timestampFromTZ(ctx *Context, v int64) int64 {
	if isInfiniteTime(v) {
		return v
	}
	return ToLocal(ctx.location(), v)
}

func timestampToDate(v int64) int64 {
	if isInfiniteTime(v) {
		return v
	}
	days, _ := floorDivide(v, microsPerDay)
	return days
}

func timeOfDay(micros int64) int64 {
	_, rest := floorDivide(micros, microsPerDay)
	return rest
}

// intResult makes a datum of a value and an error.
func intResult(v int64, err error) (Datum, error) {
	if err != nil {
		return DNull, err
	}
	return Int(v), nil
}

func intervalResult(v IntervalValue, err error) (Datum, error) {
	if err != nil {
		return DNull, err
	}
	return IntervalOf(v), nil
}

func defineDatetimes() {
	defineDates()
	defineTimestamps()
	defineIntervals()
	defineTimes()
	defineDatetimeCasts()
}

func addDays(days, more int64) (Datum, error) {
	if isInfiniteTime(days) {
		return Int(days), nil
	}
	if days += more; days < minDate || days >= endDate {
		return DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "date out of range")
	}
	return Int(days), nil
}

func defineDates() {
	define("date_mi", func(_ *Context, a []Datum) (Datum, error) {
		if isInfiniteTime(a[0].I) || isInfiniteTime(a[1].I) {
			return DNull, pgerror.New(pgerror.DatetimeFieldOverflow, "cannot subtract infinite dates")
		}
		return Int(a[0].I - a[1].I), nil
	})
	define("date_pli", func(_ *Context, a []Datum) (Datum, error) { return addDays(a[0].I, a[1].I) })
	define("integer_pl_date", func(_ *Context, a []Datum) (Datum, error) { return addDays(a[1].I, a[0].I) })
	define("date_mii", func(_ *Context, a []Datum) (Datum, error) { return addDays(a[0].I, -a[1].I) })
	addToDate := func(days int64, v IntervalValue) (Datum, error) {
		t, err := DateToTimestamp(days)
		if err != nil {
			return DNull, err
		}
		return intResult(AddInterval(t, v))
	}
	define("date_pl_interval", func(_ *Context, a []Datum) (Datum, error) { return addToDate(a[0].I, a[1].Interval()) })
	define("interval_pl_date", func(_ *Context, a []Datum) (Datum, error) { return addToDate(a[1].I, a[0].Interval()) })
	define("date_mi_interval", func(_ *Context, a []Datum) (Datum, error) {
		v, err := NegateInterval(a[1].Interval())
		if err != nil {
			return DNull, err
		}
		return addToDate(a[0].I, v)
	})
	dateTime := func(days, micros int64) (Datum, error) {
		t, err := DateToTimestamp(days)
		if err != nil || isInfiniteTime(t) {
			return Int(t), err
		}
		return Int(t + micros), nil
	}
	define("datetime_timestamp", func(_ *Context, a []Datum) (Datum, error) { return dateTime(a[0].I, a[1].I) })
	define("timedate_pl", func(_ *Context, a []Datum) (Datum, error) { return dateTime(a[1].I, a[0].I) })
	dateTimeTZ := func(days, packed int64) (Datum, error) {
		t, err := DateToTimestamp(days)
		if err != nil || isInfiniteTime(t) {
			return Int(t), err
		}
		micros, offset := unpackTimeTZ(packed)
		return Int(t + micros - int64(offset)*1e6), nil
	}
	define("datetimetz_timestamptz", func(_ *Context, a []Datum) (Datum, error) { return dateTimeTZ(a[0].I, a[1].I) })
	define("timetzdate_pl", func(_ *Context, a []Datum) (Datum, error) { return dateTimeTZ(a[1].I, a[0].I) })
}

func defineTimestamps() {
	define("timestamp_mi", func(_ *Context, a []Datum) (Datum, error) { return intervalResult(SubtractTimestamps(a[0].I, a[1].I)) })
	define("timestamp_pl_interval", func(_ *Context, a []Datum) (Datum, error) { return intResult(AddInterval(a[0].I, a[1].Interval())) })
	define("interval_pl_timestamp", func(_ *Context, a []Datum) (Datum, error) { return intResult(AddInterval(a[1].I, a[0].Interval())) })
	define("timestamp_mi_interval", func(_ *Context, a []Datum) (Datum, error) {
		v, err := NegateInterval(a[1].Interval())
		if err != nil {
			return DNull, err
		}
		return intResult(AddInterval(a[0].I, v))
	})
	define("timestamptz_pl_interval", func(ctx *Context, a []Datum) (Datum, error) {
		return intResult(AddIntervalTZ(ctx, a[0].I, a[1].Interval()))
	})
	define("interval_pl_timestamptz", func(ctx *Context, a []Datum) (Datum, error) {
		return intResult(AddIntervalTZ(ctx, a[1].I, a[0].Interval()))
	})
	define("timestamptz_mi_interval", func(ctx *Context, a []Datum) (Datum, error) {
		v, err := NegateInterval(a[1].Interval())
		if err != nil {
			return DNull, err
		}
		return intResult(AddIntervalTZ(ctx, a[0].I, v))
	})
}

func defineIntervals() {
	define("interval_um", func(_ *Context, a []Datum) (Datum, error) { return intervalResult(NegateInterval(a[0].Interval())) })
	define("interval_pl", func(_ *Context, a []Datum) (Datum, error) {
		return intervalResult(AddIntervals(a[0].Interval(), a[1].Interval()))
	})
	define("interval_mi", func(_ *Context, a []Datum) (Datum, error) {
		v, err := NegateInterval(a[1].Interval())
		if err != nil {
			return DNull, err
		}
		return intervalResult(AddIntervals(a[0].Interval(), v))
	})
	define("interval_mul", func(_ *Context, a []Datum) (Datum, error) {
		return intervalResult(MultiplyInterval(a[0].Interval(), a[1].Float()))
	})
	define("mul_d_interval", func(_ *Context, a []Datum) (Datum, error) {
		return intervalResult(MultiplyInterval(a[1].Interval(), a[0].Float()))
	})
	define("interval_div", func(_ *Context, a []Datum) (Datum, error) {
		return intervalResult(DivideInterval(a[0].Interval(), a[1].Float()))
	})
}

func defineTimes() {
	define("time_mi_time", func(_ *Context, a []Datum) (Datum, error) {
		return IntervalOf(IntervalValue{Micros: a[0].I - a[1].I}), nil
	})
	define("time_pl_interval", func(_ *Context, a []Datum) (Datum, error) {
		return Int(timeOfDay(a[0].I + a[1].Interval().Micros)), nil
	})
	define("interval_pl_time", func(_ *Context, a []Datum) (Datum, error) {
		return Int(timeOfDay(a[1].I + a[0].Interval().Micros)), nil
	})
	define("time_mi_interval", func(_ *Context, a []Datum) (Datum, error) {
		return Int(timeOfDay(a[0].I - a[1].Interval().Micros)), nil
	})
	addTZ := func(packed, more int64) (Datum, error) {
		micros, offset := unpackTimeTZ(packed)
		return packTimeTZ(timeOfDay(micros+more), offset), nil
	}
	define("timetz_pl_interval", func(_ *Context, a []Datum) (Datum, error) { return addTZ(a[0].I, a[1].Interval().Micros) })
	define("interval_pl_timetz", func(_ *Context, a []Datum) (Datum, error) { return addTZ(a[1].I, a[0].Interval().Micros) })
	define("timetz_mi_interval", func(_ *Context, a []Datum) (Datum, error) { return addTZ(a[0].I, -a[1].Interval().Micros) })
}

func defineDatetimeCasts() {
	define("date_timestamp", func(_ *Context, a []Datum) (Datum, error) { return intResult(DateToTimestamp(a[0].I)) })
	define("date_timestamptz", func(ctx *Context, a []Datum) (Datum, error) { return intResult(dateToTimestampTZ(ctx, a[0].I)) })
	define("timestamp_date", func(_ *Context, a []Datum) (Datum, error) { return Int(timestampToDate(a[0].I)), nil })
	define("timestamptz_date", func(ctx *Context, a []Datum) (Datum, error) {
		return Int(timestampToDate(timestampFromTZ(ctx, a[0].I))), nil
	})
	define("timestamp_timestamptz", func(ctx *Context, a []Datum) (Datum, error) { return intResult(timestampToTZ(ctx, a[0].I)) })
	define("timestamptz_timestamp", func(ctx *Context, a []Datum) (Datum, error) { return Int(timestampFromTZ(ctx, a[0].I)), nil })
	define("timestamp_time", func(_ *Context, a []Datum) (Datum, error) {
		if isInfiniteTime(a[0].I) {
			return DNull, nil
		}
		return Int(timeOfDay(a[0].I)), nil
	})
	define("timestamptz_time", func(ctx *Context, a []Datum) (Datum, error) {
		if isInfiniteTime(a[0].I) {
			return DNull, nil
		}
		return Int(timeOfDay(timestampFromTZ(ctx, a[0].I))), nil
	})
	define("timestamptz_timetz", func(ctx *Context, a []Datum) (Datum, error) {
		if isInfiniteTime(a[0].I) {
			return DNull, nil
		}
		return packTimeTZ(timeOfDay(timestampFromTZ(ctx, a[0].I)), offsetAt(ctx.location(), a[0].I)), nil
	})
	define("timetz_time", func(_ *Context, a []Datum) (Datum, error) {
		micros, _ := unpackTimeTZ(a[0].I)
		return Int(micros), nil
	})
	define("time_timetz", func(ctx *Context, a []Datum) (Datum, error) {
		now := int64(0)
		if ctx != nil {
			now = ctx.TransactionTime
		}
		location := ctx.location()
		days, _ := floorDivide(ToLocal(location, now), microsPerDay)
		return packTimeTZ(a[0].I, offsetOfLocal(location, days*microsPerDay+a[0].I)), nil
	})
	define("time_interval", func(_ *Context, a []Datum) (Datum, error) { return IntervalOf(IntervalValue{Micros: a[0].I}), nil })
	define("interval_time", func(_ *Context, a []Datum) (Datum, error) { return Int(timeOfDay(a[0].Interval().Micros)), nil })
}
