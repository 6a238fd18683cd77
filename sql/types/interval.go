package types

import (
	"math"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

func intervalOutOfRange() *pgerror.Error {
	return pgerror.New(pgerror.DatetimeFieldOverflow, "interval out of range")
}

// intervalUnit is a unit of time, from small to large.
type intervalUnit uint8

const (
	noUnit intervalUnit = iota
	microsecondUnit
	millisecondUnit
	secondUnit
	minuteUnit
	hourUnit
	dayUnit
	weekUnit
	monthUnit
	yearUnit
	decadeUnit
	centuryUnit
	millenniumUnit
	agoUnit
)

// intervalUnits are the units' names, cut to ten letters.
var intervalUnits = func() map[string]intervalUnit {
	names := map[intervalUnit]string{
		microsecondUnit: "us usec usecs usecond useconds microsecon",
		millisecondUnit: "ms msec msecs msecond mseconds millisecon",
		secondUnit:      "s sec secs second seconds",
		minuteUnit:      "m min mins minute minutes",
		hourUnit:        "h hr hrs hour hours",
		dayUnit:         "d day days",
		weekUnit:        "w week weeks",
		monthUnit:       "mon mons month months",
		yearUnit:        "y yr yrs year years",
		decadeUnit:      "dec decs decade decades",
		centuryUnit:     "c cent century centuries",
		millenniumUnit:  "mil mils millennium millennia",
		agoUnit:         "ago",
	}
	units := make(map[string]intervalUnit)
	for unit, list := range names {
		for name := range strings.FieldsSeq(list) {
			units[name] = unit
		}
	}
	return units
}()

// microsOf are the units that are parts of a day.
var microsOf = map[intervalUnit]float64{microsecondUnit: 1, millisecondUnit: 1e3, secondUnit: 1e6, minuteUnit: 60e6, hourUnit: 3600e6}

// intervalSum adds up the parts of an interval.
type intervalSum struct {
	months, days, micros int64
}

func (s *intervalSum) addMicros(unit float64, v int64, fraction float64) error {
	whole, ok := mulInt64(v, int64(unit))
	if !ok {
		return errIntervalOverflow
	}
	if whole, ok = addInt64(whole, roundHalf(fraction*unit)); !ok {
		return errIntervalOverflow
	}
	if s.micros, ok = addInt64(s.micros, whole); !ok {
		return errIntervalOverflow
	}
	return nil
}

func roundHalf(f float64) int64 {
	whole := math.Trunc(f)
	if rest := f - whole; rest > 0.5 {
		whole++
	} else if rest < -0.5 {
		whole--
	}
	return int64(whole)
}

// addDays adds a number of spans of days; what is less than a day becomes time.
func (s *intervalSum) addDays(unit float64, v int64, fraction float64) error {
	days := fraction * unit
	whole := math.Trunc(days)
	s.days += v*int64(unit) + int64(whole)
	return s.addMicros(float64(microsPerDay), 0, days-whole)
}

func (s *intervalSum) add(unit intervalUnit, v int64, fraction float64) error {
	if v > math.MaxInt32 || v < math.MinInt32 {
		if _, ok := microsOf[unit]; !ok {
			return errIntervalOverflow
		}
	}
	switch unit {
	case dayUnit:
		return s.addDays(1, v, fraction)
	case weekUnit:
		return s.addDays(7, v, fraction)
	case monthUnit:
		s.months += v
		return s.addDays(30, 0, fraction)
	case yearUnit, decadeUnit, centuryUnit, millenniumUnit:
		years := map[intervalUnit]float64{yearUnit: 1, decadeUnit: 10, centuryUnit: 100, millenniumUnit: 1000}[unit]
		s.months += v*int64(years)*12 + int64(math.RoundToEven(fraction*years*12))
		return nil
	}
	return s.addMicros(microsOf[unit], v, fraction)
}

func (s *intervalSum) value() (IntervalValue, error) {
	if s.months != int64(int32(s.months)) || s.days != int64(int32(s.days)) {
		return IntervalValue{}, errIntervalOverflow
	}
	return IntervalValue{Months: int32(s.months), Days: int32(s.days), Micros: s.micros}, nil
}

func parseInterval(ctx *Context, text string, typmod int32) (Datum, error) {
	fields := int32(intervalFullRange)
	if typmod >= 0 {
		fields = typmod >> 16 & intervalFullRange
	}
	v, err := decodeInterval(ctx, text, fields)
	if err == errBadFormat {
		if iso, ok := strings.CutPrefix(strings.ToUpper(trimSpace(text)), "P"); ok {
			v, err = decodeISOInterval(iso)
		}
	}
	if err == errFieldOverflow {
		err = errIntervalOverflow
	}
	if err != nil {
		return DNull, datetimeError(err, Interval, text)
	}
	return IntervalOf(v), nil
}

// rightmostUnit is the unit of a number without one, by the type's fields.
func rightmostUnit(fields int32) intervalUnit {
	switch {
	case fields == intervalFullRange || fields&intervalSecond != 0:
		return secondUnit
	case fields&intervalMinute != 0:
		return minuteUnit
	case fields&intervalHour != 0:
		return hourUnit
	case fields&intervalDay != 0:
		return dayUnit
	case fields&intervalMonth != 0:
		return monthUnit
	case fields&intervalYear != 0:
		return yearUnit
	}
	return secondUnit
}

// decodeInterval goes through the fields from the right, as a unit follows its
// number.
func decodeInterval(ctx *Context, text string, rangeFields int32) (IntervalValue, error) {
	fields, err := splitDatetime(text)
	if err != nil || len(fields) == 0 {
		return IntervalValue{}, errBadFormat
	}
	var sum intervalSum
	unit := noUnit
	seen := make(map[intervalUnit]bool)
	ago := false
	negative := ctx != nil && ctx.IntervalStyle == SQLStandardIntervals && leadingMinusOnly(fields)
	claim := func(u intervalUnit) error {
		if seen[u] {
			return errBadFormat
		}
		seen[u] = true
		return nil
	}
	for i := len(fields) - 1; i >= 0; i-- {
		f := fields[i]
		switch {
		case f.kind == wordField || f.kind == specialField:
			name := f.text[:min(len(f.text), 10)]
			u, ok := intervalUnits[name]
			if !ok {
				return IntervalValue{}, errBadFormat
			}
			if unit = u; u == agoUnit {
				ago = true
			}
		case f.kind == timeField || f.kind == signedField && strings.Contains(f.text, ":"):
			if seen[hourUnit] || seen[minuteUnit] || seen[secondUnit] {
				return IntervalValue{}, errBadFormat
			}
			if err := sum.addClock(f.text, rangeFields, negative); err != nil {
				return IntervalValue{}, err
			}
			seen[hourUnit], seen[minuteUnit], seen[secondUnit] = true, true, true
			unit = dayUnit
		default:
			if unit == agoUnit {
				return IntervalValue{}, errBadFormat
			}
			if unit == noUnit {
				unit = rightmostUnit(rangeFields)
			}
			u, err := sum.addNumber(f.text, unit, negative)
			if err != nil {
				return IntervalValue{}, err
			}
			if err := claim(u); err != nil {
				return IntervalValue{}, err
			}
			if u == monthUnit && strings.Contains(f.text[1:], "-") {
				seen[yearUnit] = true
			}
		}
	}
	if len(seen) == 0 {
		return IntervalValue{}, errBadFormat
	}
	v, err := sum.value()
	if err == nil && ago {
		v = IntervalValue{Months: -v.Months, Days: -v.Days, Micros: -v.Micros}
	}
	return v, err
}

// leadingMinusOnly: in the SQL standard's style one minus in front is that of
// all fields.
func leadingMinusOnly(fields []datetimeField) bool {
	if fields[0].text[0] != '-' {
		return false
	}
	for _, f := range fields[1:] {
		if f.text[0] == '-' || f.text[0] == '+' {
			return false
		}
	}
	return true
}

func (s *intervalSum) addClock(text string, rangeFields int32, negative bool) error {
	if text[0] == '-' || text[0] == '+' {
		negative = text[0] == '-'
		text = text[1:]
	}
	hour, minute, second, micros, err := clock(text, rangeFields == intervalMinute|intervalSecond)
	if err != nil {
		return err
	}
	total := int64(hour)*3600e6 + int64(minute)*60e6 + int64(second)*1e6 + micros
	if negative {
		total = -total
	}
	return s.addMicros(1, total, 0)
}

// addNumber adds a number of a unit, or years-months, and returns the unit.
func (s *intervalSum) addNumber(text string, unit intervalUnit, negative bool) (intervalUnit, error) {
	digits := text
	if text[0] == '-' || text[0] == '+' {
		negative = text[0] == '-'
		digits = text[1:]
	}
	sign := int64(1)
	if negative {
		sign = -1
	}
	if years, months, ok := strings.Cut(digits, "-"); ok {
		y, err := atoi(years)
		if err != nil {
			return 0, intervalFieldError(err)
		}
		m, err := atoi(months)
		if err != nil || m > 11 {
			if err == errBadFormat {
				return 0, err
			}
			return 0, errFieldOverflow
		}
		s.months += sign * (int64(y)*12 + int64(m))
		return monthUnit, nil
	}
	whole, fractionDigits, _ := strings.Cut(digits, ".")
	if spanOf(whole, isDigit) != len(whole) || spanOf(fractionDigits, isDigit) != len(fractionDigits) || whole == "" && fractionDigits == "" {
		return 0, errBadFormat
	}
	v := int64(0)
	if whole != "" {
		var err error
		if v, err = strconv.ParseInt(whole, 10, 64); err != nil {
			return 0, errIntervalOverflow
		}
	}
	fraction := 0.0
	if fractionDigits != "" {
		fraction, _ = strconv.ParseFloat("0."+fractionDigits, 64)
	}
	return unit, s.add(unit, sign*v, float64(sign)*fraction)
}

func intervalFieldError(err error) error {
	if err == errFieldOverflow {
		return errIntervalOverflow
	}
	return err
}

// decodeISOInterval reads what follows the P: 1Y2M10DT2H30M, or
// 0001-02-10T02:30:00.
func decodeISOInterval(s string) (IntervalValue, error) {
	var sum intervalSum
	if s == "" {
		return IntervalValue{}, errBadFormat
	}
	if date, clockText, ok := strings.Cut(s, "T"); ok && strings.Contains(clockText, ":") || strings.Count(strings.TrimPrefix(s, "-"), "-") == 2 {
		return decodeAlternativeISO(date, clockText)
	}
	inTime, any := false, false
	for s != "" {
		if s[0] == 'T' {
			if inTime || len(s) == 1 {
				return IntervalValue{}, errBadFormat
			}
			inTime, s = true, s[1:]
			continue
		}
		n := 0
		if s[0] == '-' || s[0] == '+' {
			n++
		}
		n += spanOf(s[n:], func(c byte) bool { return isDigit(c) || c == '.' })
		if n == len(s) {
			return IntervalValue{}, errBadFormat
		}
		unit, ok := isoUnit(s[n], inTime)
		if !ok || n == 0 {
			return IntervalValue{}, errBadFormat
		}
		if _, err := sum.addNumber(s[:n], unit, false); err != nil {
			return IntervalValue{}, err
		}
		any = true
		s = s[n+1:]
	}
	if !any {
		return IntervalValue{}, errBadFormat
	}
	return sum.value()
}

func isoUnit(c byte, inTime bool) (intervalUnit, bool) {
	switch {
	case inTime && c == 'H':
		return hourUnit, true
	case inTime && c == 'M':
		return minuteUnit, true
	case inTime && c == 'S':
		return secondUnit, true
	case !inTime && c == 'Y':
		return yearUnit, true
	case !inTime && c == 'M':
		return monthUnit, true
	case !inTime && c == 'W':
		return weekUnit, true
	case !inTime && c == 'D':
		return dayUnit, true
	}
	return noUnit, false
}

func decodeAlternativeISO(date, clockText string) (IntervalValue, error) {
	var sum intervalSum
	units := []intervalUnit{yearUnit, monthUnit, dayUnit}
	if date != "" {
		parts := strings.Split(date, "-")
		if len(parts) > len(units) {
			return IntervalValue{}, errBadFormat
		}
		for i, p := range parts {
			v, err := atoi(p)
			if err != nil {
				return IntervalValue{}, intervalFieldError(err)
			}
			if err := sum.add(units[i], int64(v), 0); err != nil {
				return IntervalValue{}, err
			}
		}
	}
	if clockText != "" {
		if err := sum.addClock(clockText, intervalFullRange, false); err != nil {
			return IntervalValue{}, err
		}
	}
	return sum.value()
}

// adjustInterval cuts an interval to the fields and the precision of its type.
func adjustInterval(v IntervalValue, typmod int32) IntervalValue {
	if typmod < 0 {
		return v
	}
	fields, precision := typmod>>16&intervalFullRange, typmod&0xffff
	if fields != intervalFullRange {
		const all = intervalYear | intervalMonth | intervalDay | intervalHour | intervalMinute | intervalSecond
		fields &= all
		lowest := rightmostUnit(fields)
		switch lowest {
		case yearUnit:
			v = IntervalValue{Months: v.Months / 12 * 12}
		case monthUnit:
			v = IntervalValue{Months: v.Months}
		case dayUnit:
			v.Micros = 0
		case hourUnit:
			v.Micros = v.Micros / 3600e6 * 3600e6
		case minuteUnit:
			v.Micros = v.Micros / 60e6 * 60e6
		}
	}
	if precision != intervalFullPrecision {
		v.Micros = roundMicros(v.Micros, precision)
	}
	return v
}
