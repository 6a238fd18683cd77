package types

import (
	"strings"
	"time"

	"github.com/cairndb/cairn/sql/pgerror"
)

// datetimeDecoder puts a date and time together from fields, as DecodeDateTime
// does.
type datetimeDecoder struct {
	ctx                    *Context
	have                   uint32
	year, month, day       int
	dayOfYear              int
	hour, minute, second   int
	micros                 int64
	offset                 int // east, if haveZone and no location
	location               *time.Location
	twoDigitYear           bool
	bc                     bool
	afternoon              int // 1: PM, 0: AM, -1: neither
	textMonth              bool
	moment                 int // -1: none
	julian, timeMark       bool
	daylight               bool
	julianDays, hasJulian  int64
	onlyTime, daylightZone bool
}

func (d *datetimeDecoder) claim(parts uint32) error {
	if d.have&parts != 0 {
		return errBadFormat
	}
	d.have |= parts
	return nil
}

// decodeDatetime reads all fields; what is there is in have.
func decodeDatetime(ctx *Context, text string, onlyTime bool) (*datetimeDecoder, error) {
	fields, err := splitDatetime(text)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, errBadFormat
	}
	d := &datetimeDecoder{ctx: ctx, afternoon: -1, moment: -1, onlyTime: onlyTime}
	for i, f := range fields {
		if err := d.field(f, i, fields); err != nil {
			return nil, err
		}
	}
	return d, d.finish()
}

func (d *datetimeDecoder) field(f datetimeField, i int, fields []datetimeField) error {
	switch f.kind {
	case dateField:
		return d.dateField(f.text, i == 0 && len(fields) > 1)
	case timeField:
		if d.julian {
			return errBadFormat
		}
		d.timeMark = false
		if err := d.claim(haveTime); err != nil {
			return err
		}
		return d.setClock(f.text)
	case signedField:
		return d.zoneField(f.text)
	case numberField:
		return d.numberField(f.text)
	}
	return d.word(f.text)
}

func (d *datetimeDecoder) setClock(text string) (err error) {
	d.hour, d.minute, d.second, d.micros, err = clock(text, false)
	if err == nil && (d.hour > 24 || d.hour == 24 && (d.minute > 0 || d.second > 0 || d.micros > 0)) {
		err = errFieldOverflow
	}
	return err
}

func (d *datetimeDecoder) zoneField(text string) error {
	if err := d.claim(haveZone); err != nil {
		return err
	}
	if strings.ContainsAny(text[1:], "-.") {
		return errBadFormat
	}
	offset, err := decodeZone(text)
	if d.location != nil || d.daylightZone {
		return errBadFormat
	}
	d.offset = offset
	return err
}

// dateField is a date, or once there is one, a zone's name or a time with zone
// without colons.
func (d *datetimeDecoder) dateField(text string, first bool) error {
	if d.julian { // j2451187-08
		d.julian = false
		n := spanOf(text, isDigit)
		if err := d.setJulian(text[:n], ""); err != nil {
			return err
		}
		return d.zoneField(text[n:])
	}
	if d.have&haveDate == haveDate || d.timeMark || d.onlyTime && !(first && isDigit(text[0])) {
		if isDigit(text[0]) || d.timeMark {
			d.timeMark = false
			sign := strings.IndexByte(text, '-')
			if sign < 0 {
				return errBadFormat
			}
			if err := d.digits(text[:sign]); err != nil {
				return err
			}
			return d.zoneField(text[sign:])
		}
		return d.zoneName(text)
	}
	if d.have&haveTime != 0 {
		return errBadFormat
	}
	return d.date(text)
}

func (d *datetimeDecoder) zoneName(name string) error {
	if err := d.claim(haveZone); err != nil {
		return err
	}
	location, err := LoadLocation(name)
	if err != nil {
		return unknownZone(name)
	}
	d.location = location
	return nil
}

// date splits what has punctuation in it: numbers, and a month by name.
func (d *datetimeDecoder) date(text string) error {
	parts := strings.FieldsFunc(text, func(r rune) bool { return !isDigit(byte(r)) && !isAlpha(byte(r)) })
	var numbers []string
	var pieces []string
	for _, p := range parts { // 08jan1999 has no punctuation
		for p != "" {
			n := spanOf(p, isDigit)
			if n == 0 {
				n = spanOf(p, isAlpha)
			}
			pieces = append(pieces, p[:n])
			p = p[n:]
		}
	}
	if len(pieces) > 3 {
		return errBadFormat
	}
	for _, p := range pieces {
		if isDigit(p[0]) {
			numbers = append(numbers, p)
			continue
		}
		w, ok := datetimeWords[p]
		if !ok || w.kind != monthWord {
			return errBadFormat
		}
		if err := d.claim(haveMonth); err != nil {
			return err
		}
		d.month, d.textMonth = w.value, true
	}
	for _, p := range numbers {
		if err := d.number(p); err != nil {
			return err
		}
	}
	if d.have&haveDate != haveDate && d.have&(haveYear|haveDayOfYear) != haveYear|haveDayOfYear {
		return errBadFormat
	}
	return nil
}

// number decides by its length, the order of dates and what is there already
// what a number in a date is.
func (d *datetimeDecoder) number(text string) error {
	v, err := atoi(text)
	if err != nil {
		return err
	}
	order := MonthDayYear
	if d.ctx != nil {
		order = d.ctx.DateOrder
	}
	if len(text) == 3 && d.have&haveDate == haveYear && v >= 1 && v <= 366 {
		d.dayOfYear = v
		return d.claim(haveDayOfYear | haveMonth | haveDay)
	}
	part := haveDay
	switch d.have & haveDate {
	case 0:
		switch {
		case len(text) >= 3 || order == YearMonthDay:
			part = haveYear
		case order == MonthDayYear:
			part = haveMonth
		}
	case haveYear, haveDay:
		part = haveMonth
	case haveMonth:
		if d.textMonth && (len(text) >= 3 || order == YearMonthDay) {
			part = haveYear
		}
	case haveYear | haveMonth:
		if d.textMonth && len(text) >= 3 && d.twoDigitYear { // 08-Jan-1999, where 08 was taken for the year
			d.day, d.year, d.twoDigitYear = d.year, v, false
			return d.claim(haveDay)
		}
	case haveMonth | haveDay:
		part = haveYear
	case haveDate:
		return d.digits(text)
	default:
		return errBadFormat
	}
	switch part {
	case haveYear:
		d.year, d.twoDigitYear = v, len(text) <= 2
	case haveMonth:
		d.month = v
	case haveDay:
		d.day = v
	}
	return d.claim(part)
}

// digits is a date or time written without punctuation: 19990108, 040506.789.
func (d *datetimeDecoder) digits(text string) error {
	if i := strings.IndexByte(text, '.'); i >= 0 {
		micros, err := fractionMicros(text[i:])
		if err != nil {
			return err
		}
		d.micros, text = micros, text[:i]
	} else if d.have&haveDate != haveDate && !d.onlyTime || d.onlyTime && len(text) == 8 {
		if len(text) < 6 {
			return errBadFormat
		}
		n := len(text)
		var err error
		if d.day, err = atoi(text[n-2:]); err == nil {
			if d.month, err = atoi(text[n-4 : n-2]); err == nil {
				d.year, err = atoi(text[:n-4])
			}
		}
		if err != nil {
			return err
		}
		d.twoDigitYear = n-4 == 2
		return d.claim(haveDate)
	}
	if d.have&haveTime != 0 || len(text) != 6 && len(text) != 4 {
		return errBadFormat
	}
	text += "00"
	var err error
	if d.hour, err = atoi(text[:2]); err == nil {
		if d.minute, err = atoi(text[2:4]); err == nil {
			d.second, err = atoi(text[4:6])
		}
	}
	if err == nil && (d.hour > 24 || d.minute > 59 || d.second > 60 || d.hour == 24 && (d.minute > 0 || d.second > 0 || d.micros > 0)) {
		err = errFieldOverflow
	}
	if err != nil {
		return err
	}
	return d.claim(haveTime)
}

func (d *datetimeDecoder) setJulian(whole, fraction string) error {
	v, err := atoi(whole)
	if err != nil {
		return err
	}
	if err := d.claim(haveDate); err != nil {
		return err
	}
	d.julianDays, d.hasJulian = int64(v)+minDate, 1
	if fraction != "" {
		micros, err := fractionMicros(fraction)
		if err != nil {
			return err
		}
		if err := d.claim(haveTime); err != nil {
			return err
		}
		micros *= 86400
		d.hour, d.minute, d.second, d.micros = int(micros/3600e6), int(micros/60e6%60), int(micros/1e6%60), micros%1e6
	}
	return nil
}

func (d *datetimeDecoder) numberField(text string) error {
	point := strings.IndexByte(text, '.')
	switch {
	case d.julian:
		d.julian = false
		if point >= 0 {
			return d.setJulian(text[:point], text[point:])
		}
		return d.setJulian(text, "")
	case d.timeMark:
		d.timeMark = false
		return d.digits(text)
	case d.onlyTime && d.have&haveTime == 0 && (len(text) == 4 || len(text) == 6 || point >= 0 && (point == 6 || point == 4)):
		return d.digits(text)
	case point >= 0 && d.have&haveDate == 0 && !d.onlyTime && strings.Count(text, ".") == 1 && point <= 4 && len(text)-point-1 <= 3:
		return d.date(text)
	case point >= 0 && len(text)-point > 3:
		return d.digits(text)
	case len(text) >= 6 && (d.have&haveDate != haveDate || d.have&haveTime == 0):
		return d.digits(text)
	case point >= 0:
		return errBadFormat
	}
	return d.number(text)
}

func (d *datetimeDecoder) word(text string) error {
	w, ok := datetimeWords[text]
	if !ok {
		if offset, ok := zoneAbbreviation(text); ok {
			if err := d.claim(haveZone); err != nil {
				return err
			}
			d.offset = offset
			return nil
		}
		if _, names := zoneTables(); names[text] != "" {
			return d.zoneName(text)
		}
		return errBadFormat
	}
	if d.onlyTime && (w.kind == monthWord || w.kind == weekdayWord) {
		return errBadFormat
	}
	switch w.kind {
	case monthWord:
		if d.have&haveMonth != 0 && !d.textMonth && d.have&haveDay == 0 && d.month >= 1 && d.month <= 31 { // 8 Jan 1999: the number was the day
			d.day = d.month
			d.have |= haveDay
			d.have &^= haveMonth
		}
		d.month, d.textMonth = w.value, true
		return d.claim(haveMonth)
	case weekdayWord:
		return d.claim(haveWeekday)
	case meridianWord:
		d.afternoon = w.value
		return d.claim(haveMeridian)
	case eraWord:
		d.bc = w.value == 1
		return d.claim(haveBC)
	case timeMarkWord:
		if d.have&haveDate != haveDate && !d.onlyTime || d.timeMark {
			return errBadFormat
		}
		d.timeMark = true
	case julianWord:
		d.julian = true
	case daylightWord:
		if d.have&haveZone == 0 || d.daylight {
			return errBadFormat
		}
		d.daylight = true
		d.offset += 3600
	case momentWord:
		return d.setMoment(w.value)
	}
	return nil
}

func (d *datetimeDecoder) setMoment(moment int) error {
	location := d.ctx.location()
	now := int64(0)
	if d.ctx != nil {
		now = d.ctx.TransactionTime
	}
	local := ToLocal(location, now)
	days, micros := floorDivide(local, microsPerDay)
	switch moment {
	case nowMoment:
		d.hour, d.minute, d.second, d.micros = int(micros/3600e6), int(micros/60e6%60), int(micros/1e6%60), micros%1e6
		d.year, d.month, d.day = DateOf(days)
		d.offset = offsetAt(location, now)
		return d.claim(haveDate | haveTime | haveZone)
	case todayMoment, tomorrowMoment, yesterdayMoment:
		if moment == tomorrowMoment {
			days++
		} else if moment == yesterdayMoment {
			days--
		}
		d.year, d.month, d.day = DateOf(days)
		return d.claim(haveDate)
	case allballsMoment:
		d.hour, d.minute, d.second, d.micros, d.offset = 0, 0, 0, 0, 0
		return d.claim(haveTime | haveZone)
	}
	d.moment = moment
	return d.claim(haveDate | haveTime | haveZone)
}

// finish checks the parts against each other.
func (d *datetimeDecoder) finish() error {
	if d.julian || d.timeMark {
		return errBadFormat
	}
	if d.moment >= 0 {
		return nil
	}
	if d.have&haveYear != 0 && d.hasJulian == 0 {
		switch {
		case d.bc:
			if d.year <= 0 {
				return errFieldOverflow
			}
			d.year = 1 - d.year
		case d.twoDigitYear && d.year < 70:
			d.year += 2000
		case d.twoDigitYear && d.year < 100:
			d.year += 1900
		case d.year <= 0:
			return errFieldOverflow
		}
	}
	if d.have&haveDayOfYear != 0 {
		d.year, d.month, d.day = DateOf(DaysOf(d.year, 1, 1) + int64(d.dayOfYear) - 1)
	}
	if d.hasJulian != 0 {
		d.year, d.month, d.day = DateOf(d.julianDays)
	}
	if d.have&haveMonth != 0 && (d.month < 1 || d.month > 12) {
		return errMonthDayOverflow
	}
	if d.have&haveDay != 0 && (d.day < 1 || d.day > 31) {
		return errMonthDayOverflow
	}
	if d.have&haveDate == haveDate && d.day > daysInMonth(d.year, d.month) {
		return errFieldOverflow
	}
	if d.afternoon >= 0 {
		if d.hour > 12 {
			return errFieldOverflow
		}
		if d.afternoon == 0 && d.hour == 12 {
			d.hour = 0
		} else if d.afternoon == 1 && d.hour != 12 {
			d.hour += 12
		}
	}
	if date := d.have & haveDate; date != haveDate && (date != 0 || !d.onlyTime) {
		return errBadFormat
	}
	return nil
}

func (d *datetimeDecoder) timeOfDay() int64 {
	return int64(d.hour)*3600e6 + int64(d.minute)*60e6 + int64(d.second)*1e6 + d.micros
}

// local returns the moment without its zone.
func (d *datetimeDecoder) local() int64 {
	return DaysOf(d.year, d.month, d.day)*microsPerDay + d.timeOfDay()
}

// yearFits keeps arithmetic in range.
func (d *datetimeDecoder) yearFits() bool { return d.year > -4800 && d.year < 294300 }

func parseDate(ctx *Context, text string) (Datum, error) {
	if days, ok := plainDate(text); ok {
		return Int(days), nil
	}
	d, err := decodeDatetime(ctx, text, false)
	if err != nil {
		return DNull, datetimeError(err, Date, text)
	}
	switch d.moment {
	case infinityMoment:
		return Int(InfiniteTime), nil
	case negativeInfinityMoment:
		return Int(NegativeInfiniteTime), nil
	case epochMoment:
		return Int(-postgresEpoch / 86400), nil
	}
	days := DaysOf(d.year, d.month, d.day)
	if days < minDate || days >= endDate {
		return DNull, pgerror.Newf(pgerror.DatetimeFieldOverflow, "date out of range: \"%s\"", text)
	}
	return Int(days), nil
}

// plainTimestamp reads yyyy-mm-dd hh:mm:ss[.ffffff].
func plainTimestamp(s string) (int64, bool) {
	if len(s) < 19 || len(s) > 26 || s[10] != ' ' || s[13] != ':' || s[16] != ':' || len(s) > 19 && s[19] != '.' {
		return 0, false
	}
	days, ok := plainDate(s[:10])
	if !ok {
		return 0, false
	}
	for _, i := range [...]int{11, 12, 14, 15, 17, 18} {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	two := func(i int) int64 { return int64(s[i]-'0')*10 + int64(s[i+1]-'0') }
	hour, minute, second := two(11), two(14), two(17)
	if hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	micros, unit := int64(0), int64(100000)
	for i := 20; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		micros += int64(s[i]-'0') * unit
		unit /= 10
	}
	return days*microsPerDay + hour*3600e6 + minute*60e6 + second*1e6 + micros, true
}

// plainDate reads yyyy-mm-dd.
func plainDate(s string) (int64, bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month) {
		return 0, false
	}
	return DaysOf(year, month, day), true
}

func parseTimestamp(ctx *Context, text string) (Datum, error) {
	return parseMoment(ctx, Timestamp, text)
}

func parseTimestampTZ(ctx *Context, text string) (Datum, error) {
	return parseMoment(ctx, TimestampTZ, text)
}

func parseMoment(ctx *Context, t *T, text string) (Datum, error) {
	if v, ok := plainTimestamp(text); ok {
		if t.OID == TimestampTZOID {
			v = ToUTC(ctx.location(), v)
		}
		return Int(v), nil
	}
	d, err := decodeDatetime(ctx, text, false)
	if err != nil {
		return DNull, datetimeError(err, t, text)
	}
	switch d.moment {
	case infinityMoment:
		return Int(InfiniteTime), nil
	case negativeInfinityMoment:
		return Int(NegativeInfiniteTime), nil
	case epochMoment:
		return Int(-postgresEpoch * 1e6), nil
	}
	outOfRange := pgerror.Newf(pgerror.DatetimeFieldOverflow, "timestamp out of range: \"%s\"", text)
	if !d.yearFits() {
		return DNull, outOfRange
	}
	v := d.local()
	if t.OID == TimestampTZOID {
		if d.have&haveZone != 0 && d.location == nil {
			v -= int64(d.offset) * 1e6
		} else {
			location := d.location
			if location == nil {
				location = ctx.location()
			}
			v = ToUTC(location, v)
		}
	}
	if !validTimestamp(v) {
		return DNull, outOfRange
	}
	return Int(v), nil
}

func parseTime(ctx *Context, text string) (Datum, error) {
	d, err := decodeDatetime(ctx, text, true)
	if err == nil && d.have&haveTime == 0 {
		err = errBadFormat
	}
	if err == nil && (d.location != nil && d.have&haveDate == 0 && !fixedZone(d.location)) {
		err = errBadFormat
	}
	if err != nil {
		return DNull, datetimeError(err, Time, text)
	}
	return Int(d.timeOfDay()), nil
}

func parseTimeTZ(ctx *Context, text string) (Datum, error) {
	d, err := decodeDatetime(ctx, text, true)
	if err == nil && d.have&haveTime == 0 {
		err = errBadFormat
	}
	if err != nil {
		return DNull, datetimeError(err, TimeTZ, text)
	}
	offset := d.offset
	if d.have&haveZone == 0 || d.location != nil {
		location := d.location
		if location == nil {
			location = ctx.location()
		} else if d.have&haveDate == 0 && !fixedZone(location) {
			return DNull, datetimeError(errBadFormat, TimeTZ, text)
		}
		if d.have&haveDate == haveDate {
			offset = offsetOfLocal(location, d.local())
		} else {
			now := int64(0)
			if ctx != nil {
				now = ctx.TransactionTime
			}
			days, _ := floorDivide(ToLocal(location, now), microsPerDay)
			offset = offsetOfLocal(location, days*microsPerDay+d.timeOfDay())
		}
	}
	return packTimeTZ(d.timeOfDay(), offset), nil
}

// fixedZone reports whether a zone's offset never changes.
func fixedZone(location *time.Location) bool {
	start, end := time.Unix(postgresEpoch, 0).In(location).ZoneBounds()
	return start.IsZero() && end.IsZero()
}
