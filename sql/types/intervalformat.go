package types

import "strconv"

// intervalParts are what an interval is printed from.
type intervalParts struct {
	year, month, day, hour, minute, second, micros int64
}

func partsOf(v IntervalValue) intervalParts {
	return intervalParts{
		year: int64(v.Months / 12), month: int64(v.Months % 12), day: int64(v.Days),
		hour: v.Micros / 3600e6, minute: v.Micros / 60e6 % 60, second: v.Micros / 1e6 % 60, micros: v.Micros % 1e6,
	}
}

func (p *intervalParts) negate() {
	*p = intervalParts{-p.year, -p.month, -p.day, -p.hour, -p.minute, -p.second, -p.micros}
}

func absInt64(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

func appendInterval(b []byte, ctx *Context, v IntervalValue) []byte {
	p := partsOf(v)
	style := PostgresIntervals
	if ctx != nil {
		style = ctx.IntervalStyle
	}
	switch style {
	case PostgresVerboseIntervals:
		return p.appendVerbose(b)
	case SQLStandardIntervals:
		return p.appendStandard(b)
	case ISO8601Intervals:
		return p.appendISO(b)
	}
	return p.appendPostgres(b)
}

// appendClock prints hours, minutes and seconds without sign.
func (p intervalParts) appendClock(b []byte, pad bool) []byte {
	if hour := absInt64(p.hour); hour < 10 && pad {
		b = append(b, '0', byte('0'+hour))
	} else {
		b = strconv.AppendInt(b, hour, 10)
	}
	b = appendTwo(append(b, ':'), int(absInt64(p.minute)))
	b = appendTwo(append(b, ':'), int(absInt64(p.second)))
	return appendFraction(b, absInt64(p.micros))
}

func (p intervalParts) timeIsZero() bool {
	return p.hour == 0 && p.minute == 0 && p.second == 0 && p.micros == 0
}

func (p intervalParts) timeIsNegative() bool {
	return p.hour < 0 || p.minute < 0 || p.second < 0 || p.micros < 0
}

func (p intervalParts) appendPostgres(b []byte) []byte {
	zero, before := true, false
	add := func(v int64, unit string) {
		if v == 0 {
			return
		}
		if !zero {
			b = append(b, ' ')
		}
		if before && v > 0 {
			b = append(b, '+')
		}
		b = append(strconv.AppendInt(b, v, 10), ' ')
		b = append(b, unit...)
		if v != 1 {
			b = append(b, 's')
		}
		before, zero = v < 0, false
	}
	add(p.year, "year")
	add(p.month, "mon")
	add(p.day, "day")
	if zero || !p.timeIsZero() {
		if !zero {
			b = append(b, ' ')
		}
		if p.timeIsNegative() {
			b = append(b, '-')
		} else if before {
			b = append(b, '+')
		}
		b = p.appendClock(b, true)
	}
	return b
}

func (p intervalParts) appendVerbose(b []byte) []byte {
	b = append(b, '@')
	zero, before := true, false
	add := func(v int64, unit string) {
		if v == 0 {
			return
		}
		if zero {
			before = v < 0
			v = absInt64(v)
		} else if before {
			v = -v
		}
		b = strconv.AppendInt(append(b, ' '), v, 10)
		b = append(append(b, ' '), unit...)
		if v != 1 {
			b = append(b, 's')
		}
		zero = false
	}
	add(p.year, "year")
	add(p.month, "mon")
	add(p.day, "day")
	add(p.hour, "hour")
	add(p.minute, "min")
	if p.second != 0 || p.micros != 0 {
		b = append(b, ' ')
		negative := p.second < 0 || p.second == 0 && p.micros < 0
		if negative {
			if zero {
				before = true
			} else if !before {
				b = append(b, '-')
			}
		} else if before {
			b = append(b, '-')
		}
		b = strconv.AppendInt(b, absInt64(p.second), 10)
		b = appendFraction(b, absInt64(p.micros))
		b = append(b, " sec"...)
		if absInt64(p.second) != 1 || p.micros != 0 {
			b = append(b, 's')
		}
		zero = false
	}
	if zero {
		b = append(b, " 0"...)
	}
	if before {
		b = append(b, " ago"...)
	}
	return b
}

func (p intervalParts) appendStandard(b []byte) []byte {
	negative := p.year < 0 || p.month < 0 || p.day < 0 || p.timeIsNegative()
	positive := p.year > 0 || p.month > 0 || p.day > 0 || p.hour > 0 || p.minute > 0 || p.second > 0 || p.micros > 0
	yearMonth := p.year != 0 || p.month != 0
	dayTime := p.day != 0 || !p.timeIsZero()
	standard := !(negative && positive) && !(yearMonth && dayTime)
	if negative && standard {
		b = append(b, '-')
		p.negate()
	}
	sign := func(negative bool) {
		if negative {
			b = append(b, '-')
		} else {
			b = append(b, '+')
		}
	}
	switch {
	case !negative && !positive:
		return append(b, '0')
	case !standard:
		sign(p.year < 0 || p.month < 0)
		b = append(strconv.AppendInt(b, absInt64(p.year), 10), '-')
		b = append(strconv.AppendInt(b, absInt64(p.month), 10), ' ')
		sign(p.day < 0)
		b = append(strconv.AppendInt(b, absInt64(p.day), 10), ' ')
		sign(p.timeIsNegative())
		return p.appendClock(b, false)
	case yearMonth:
		b = append(strconv.AppendInt(b, p.year, 10), '-')
		return strconv.AppendInt(b, p.month, 10)
	case p.day != 0:
		b = append(strconv.AppendInt(b, p.day, 10), ' ')
	}
	return p.appendClock(b, false)
}

func (p intervalParts) appendISO(b []byte) []byte {
	if p.year == 0 && p.month == 0 && p.day == 0 && p.timeIsZero() {
		return append(b, "PT0S"...)
	}
	b = append(b, 'P')
	add := func(v int64, unit byte) {
		if v != 0 {
			b = append(strconv.AppendInt(b, v, 10), unit)
		}
	}
	add(p.year, 'Y')
	add(p.month, 'M')
	add(p.day, 'D')
	if !p.timeIsZero() {
		b = append(b, 'T')
	}
	add(p.hour, 'H')
	add(p.minute, 'M')
	if p.second != 0 || p.micros != 0 {
		if p.second < 0 || p.micros < 0 {
			b = append(b, '-')
		}
		b = appendFraction(strconv.AppendInt(b, absInt64(p.second), 10), absInt64(p.micros))
		b = append(b, 'S')
	}
	return b
}
