package functions

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// numberPatterns are the patterns of numbers, the longer ones first.
var numberPatterns = []string{"EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", ",", ".", "0", "9", "B", "C", "D", "E", "G", "L", "S", "V"}

// numberFormat is a parsed format with what its patterns say of the number.
type numberFormat struct {
	nodes                []formatNode
	before, after, multi int // digits before and behind the point, and behind V
	zeroStart, zeroEnd   int // the first and last 0 among the digits, from 1; 0: none
	signBefore           bool
	signAfter            bool
	signAt               int
	decimal, fill, zero  bool
	sign, bracket        bool // S, PR
	minus, plus          bool // MI, PL
	roman, multiply      bool
	exponent             bool
}

func errNumberFormat(message string) error { return pgerror.New(pgerror.Syntax, message) }

func parseNumberFormat(format string) (*numberFormat, error) {
	f := &numberFormat{}
	for s := format; s != ""; {
		pattern := ""
		for _, p := range numberPatterns {
			if len(s) >= len(p) && strings.EqualFold(s[:len(p)], p) {
				pattern = s[:len(p)]
				break
			}
		}
		if pattern == "" {
			f.nodes, s = appendFormatText(f.nodes, s)
			continue
		}
		s = s[len(pattern):]
		if err := f.take(strings.ToUpper(pattern)); err != nil {
			return nil, err
		}
		f.nodes = append(f.nodes, formatNode{pattern: pattern})
	}
	return f, nil
}

// take notes what a pattern says.
func (f *numberFormat) take(pattern string) error {
	if f.exponent && pattern != "EEEE" {
		return errNumberFormat("\"EEEE\" must be the last pattern used")
	}
	switch pattern {
	case "9", "0":
		if f.bracket {
			return errNumberFormat("\"" + pattern + "\" must be ahead of \"PR\"")
		}
		if pattern == "9" && f.multiply {
			f.multi++
			return nil
		}
		if pattern == "0" && !f.zero && !f.decimal {
			f.zero, f.zeroStart = true, f.before+1
		}
		if f.decimal {
			f.after++
		} else {
			f.before++
		}
		if pattern == "0" {
			f.zeroEnd = f.before + f.after
		}
	case ".", "D":
		if f.decimal {
			return errNumberFormat("multiple decimal points")
		}
		if f.multiply {
			return errNumberFormat("cannot use \"V\" and decimal point together")
		}
		f.decimal = true
	case "FM":
		f.fill = true
	case "S":
		switch {
		case f.sign:
			return errNumberFormat("cannot use \"S\" twice")
		case f.plus || f.minus || f.bracket:
			return errNumberFormat("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together")
		}
		f.sign = true
		if !f.decimal {
			f.signBefore, f.signAt = true, f.before
		} else {
			f.signAfter = true
		}
	case "MI", "PL", "SG":
		if f.sign {
			return errNumberFormat("cannot use \"S\" and \"" + pattern + "\" together")
		}
		f.minus = f.minus || pattern != "PL"
		f.plus = f.plus || pattern != "MI"
	case "PR":
		if f.sign || f.plus || f.minus {
			return errNumberFormat("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together")
		}
		f.bracket = true
	case "RN":
		f.roman = true
	case "V":
		if f.decimal {
			return errNumberFormat("cannot use \"V\" and decimal point together")
		}
		f.multiply = true
	case "EEEE":
		if f.exponent {
			return errNumberFormat("cannot use \"EEEE\" twice")
		}
		if f.sign || f.bracket || f.minus || f.plus || f.roman || f.multiply {
			return pgerror.New(pgerror.Syntax, "\"EEEE\" is incompatible with other formats").
				WithDetail("\"EEEE\" may only be used together with digit and decimal point patterns.")
		}
		f.exponent = true
	}
	return nil
}

func defineNumberFormats(d definitions) {
	format := func(a []types.Datum, value func(f *numberFormat) (digits string, scientific string)) (types.Datum, error) {
		if a[1].S == "" {
			return types.DNull, nil
		}
		f, err := parseNumberFormat(a[1].S)
		if err != nil {
			return types.DNull, err
		}
		digits, scientific := value(f)
		return types.String(f.format(digits, scientific)), nil
	}
	for _, name := range []string{"int4", "int8"} {
		d.scalar("to_char("+name+",text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return format(a, func(f *numberFormat) (string, string) { return f.decimalDigits(apd.New(a[0].I, 0)) })
		})
	}
	d.scalar("to_char(numeric,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return format(a, func(f *numberFormat) (string, string) { return f.decimalDigits(a[0].Decimal()) })
	})
	for name, digits := range map[string]int{"float4": 6, "float8": 15} {
		d.scalar("to_char("+name+",text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return format(a, func(f *numberFormat) (string, string) { return f.floatDigits(a[0].Float(), digits) })
		})
	}
	d.scalar("to_number(text,text)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		f, err := parseNumberFormat(a[1].S)
		if err != nil || a[1].S == "" {
			return types.DNull, err
		}
		return f.parse(a[0].S)
	})
}

// decimalDigits is the number rounded to the format's digits, and its
// scientific form where the format asks for it.
func (f *numberFormat) decimalDigits(d *apd.Decimal) (digits, scientific string) {
	if d.Form != apd.Finite {
		if isNaN(d) {
			return "NaN", "NaN"
		}
		if d.Negative {
			return "-Infinity", "-Infinity"
		}
		return "Infinity", "Infinity"
	}
	if f.exponent {
		return "", scientificText(d, f.after)
	}
	if f.roman {
		return roundTo(d, 0, true).Text('f'), ""
	}
	if f.multiply {
		d = multiply(d, &apd.Decimal{Coeff: *powerOfTen(int32(f.multi))})
		f.before += f.multi
	}
	return roundTo(d, int32(f.after), true).Text('f'), ""
}

// scientificText is d.ddde±dd; 9.99 may become 10.0, as in PostgreSQL.
func scientificText(d *apd.Decimal, after int) string {
	exponent := 0
	if !d.IsZero() {
		exponent = adjusted(d)
	}
	shifted := *d
	shifted.Exponent -= int32(exponent)
	rounded := rescale(&shifted, int32(after))
	return rounded.Text('f') + fmt.Sprintf("e%+03d", exponent)
}

// floatDigits rounds a float; precision is how many digits the type has.
func (f *numberFormat) floatDigits(v float64, precision int) (digits, scientific string) {
	switch {
	case v != v:
		return "NaN", "NaN"
	case math.IsInf(v, 1):
		return "Infinity", "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity", "-Infinity"
	}
	if f.exponent {
		return "", strings.Replace(strconv.FormatFloat(v, 'e', f.after, 64), "e", "e", 1)
	}
	if f.roman {
		return strconv.FormatFloat(math.RoundToEven(v), 'f', 0, 64), ""
	}
	if f.multiply {
		v *= math.Pow10(f.multi)
		f.before += f.multi
	}
	whole := len(strconv.FormatFloat(math.Abs(v), 'f', 0, 64))
	switch {
	case whole >= precision:
		f.after = 0
	case whole+f.after > precision:
		f.after = precision - whole
	}
	return strconv.FormatFloat(v, 'f', f.after, 64), ""
}

func (f *numberFormat) format(digits, scientific string) string {
	if f.exponent {
		if scientific == "NaN" || strings.HasSuffix(scientific, "Infinity") {
			return " " + strings.Repeat("#", f.before) + "." + strings.Repeat("#", f.after) + "####"
		}
		if strings.HasPrefix(scientific, "-") {
			return scientific
		}
		return " " + scientific
	}
	w := &numberWriter{numberFormat: f, sign: '+'}
	number, negative := strings.CutPrefix(digits, "-")
	if negative {
		w.sign = '-'
	}
	if f.roman {
		w.roman = romanNumber(digits)
		w.number = number
		*f = numberFormat{nodes: f.nodes, fill: f.fill, roman: true}
		w.sign = 0
		return w.write()
	}
	whole, _, _ := strings.Cut(number, ".")
	switch {
	case len(whole) < f.before:
		w.leading = f.before - len(whole)
	case len(whole) > f.before:
		number = strings.Repeat("#", f.before) + "." + strings.Repeat("#", f.after)
	}
	w.number = number
	return w.write()
}

func romanNumber(digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > 3999 {
		return strings.Repeat("#", 15)
	}
	var b strings.Builder
	for i, value := range []int{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1} {
		for n >= value {
			b.WriteString([]string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}[i])
			n -= value
		}
	}
	return b.String()
}

// numberWriter goes over a format and the digits of a number at once.
type numberWriter struct {
	*numberFormat
	number string
	at     int // in number
	// leading is how many digit positions of the format the number doesn't fill.
	leading  int
	position int // of digits and points in the format
	count    int // positions at which something is written
	// lastRelevant is where trailing zeros begin to be left out (FM); -1: nowhere.
	lastRelevant int
	sign         byte // '+', '-', 0
	signWritten  bool
	inNumber     bool
	roman        string
	zeroFrom     int
	signLast     bool
	out          []byte
}

func (w *numberWriter) prepare() {
	if w.zeroStart > 0 {
		w.zeroFrom = w.zeroStart - 1
	}
	w.signLast = w.signAfter
	switch {
	case w.plus || w.minus: // they write it themselves
		w.signWritten = !w.plus || w.minus
		if w.plus && !w.minus {
			w.signWritten = false
		}
	default:
		if w.sign != '-' && w.fill {
			w.bracket = false
		}
		w.signWritten = w.sign == '+' && w.fill && !w.numberFormat.sign
		if w.signBefore && w.before == w.signAt {
			w.signLast = true
			w.signBefore = false
		}
	}
	w.count = w.after + w.before - 1
	w.lastRelevant = -1
	if w.fill && w.decimal {
		if point := strings.IndexByte(w.number, '.'); point >= 0 {
			w.lastRelevant = point
			for i := point + 1; i < len(w.number); i++ {
				if w.number[i] != '0' {
					w.lastRelevant = i
				}
			}
			if w.zeroEnd > w.leading {
				last := min(w.zeroEnd-w.leading, len(w.number)-1)
				w.lastRelevant = max(w.lastRelevant, last)
			}
		}
	}
	if !w.signWritten && w.leading == 0 {
		w.count++
	}
}

func (w *numberWriter) current() byte {
	if w.at < len(w.number) {
		return w.number[w.at]
	}
	return 0
}

// beforePoint: the only digit before the point is a zero that isn't shown.
func (w *numberWriter) beforePoint() bool {
	return !w.zero && w.at == 0 && strings.HasPrefix(w.number, "0") && w.after != 0
}

// onlyPoint: with FM nothing relevant stands behind the point.
func (w *numberWriter) onlyPoint() bool {
	return w.lastRelevant >= 0 && w.number[w.lastRelevant] == '.'
}

func (w *numberWriter) put(c byte) { w.out = append(w.out, c) }

func (w *numberWriter) write() string {
	w.prepare()
	for _, n := range w.nodes {
		if n.pattern == "" {
			w.out = append(w.out, n.text...)
			continue
		}
		switch p := strings.ToUpper(n.pattern); p {
		case "9", "0", ".", "D":
			w.digit(p)
		case ",", "G":
			if w.inNumber {
				w.put(',')
			} else if !w.fill {
				w.put(' ')
			}
		case "L":
			w.put(' ') // the C locale has no currency
		case "RN":
			roman := w.roman
			if n.pattern == "rn" {
				roman = strings.ToLower(roman)
			}
			if !w.fill {
				roman = fmt.Sprintf("%15s", roman)
			}
			w.out = append(w.out, roman...)
		case "TH":
			if w.numberFormat.roman || strings.HasPrefix(w.number, "#") || w.sign == '-' || w.decimal {
				continue
			}
			ending := ordinalEnding(w.number)
			if n.pattern == "TH" {
				ending = strings.ToUpper(ending)
			}
			w.out = append(w.out, ending...)
		case "MI":
			w.signOr('-')
		case "PL":
			w.signOr('+')
		case "SG":
			w.put(w.sign)
		}
	}
	return string(w.out)
}

func (w *numberWriter) signOr(wanted byte) {
	if w.sign == wanted {
		w.put(wanted)
	} else if !w.fill {
		w.put(' ')
	}
}

// digit writes what belongs at a position of a digit or the point.
func (w *numberWriter) digit(pattern string) {
	if w.numberFormat.roman {
		return
	}
	w.inNumber = false
	zeroHere := w.zero && w.zeroFrom == w.position
	if !w.signWritten && (w.position >= w.leading || zeroHere) && (!w.beforePoint() || w.onlyPoint()) {
		w.writeSign()
	}
	switch {
	case w.position < w.leading && (!w.zero || w.zeroFrom > w.position):
		if !w.fill {
			w.put(' ')
		}
	case w.zero && w.position < w.leading:
		w.put('0')
		w.inNumber = true
	default:
		w.writeDigit(pattern)
		if w.at < len(w.number) {
			w.at++
		}
	}
	end := w.count
	if w.leading > 0 {
		end++
	}
	if w.decimal {
		end++
	}
	if w.lastRelevant >= 0 && w.lastRelevant == w.at {
		end = w.position
	}
	if w.position+1 == end {
		switch {
		case w.signWritten && w.bracket && w.sign == '+':
			w.put(' ')
		case w.signWritten && w.bracket:
			w.put('>')
		case w.numberFormat.sign && w.signLast:
			w.put(w.sign)
		}
	}
	w.position++
}

func (w *numberWriter) writeSign() {
	switch {
	case w.numberFormat.sign:
		if w.signBefore {
			w.put(w.sign)
			w.signWritten = true
		}
	case w.bracket:
		if w.sign == '+' {
			w.put(' ')
		} else {
			w.put('<')
		}
		w.signWritten = true
	case w.sign == '+':
		if !w.fill {
			w.put(' ')
		}
		w.signWritten = true
	case w.sign == '-':
		w.put('-')
		w.signWritten = true
	}
}

func (w *numberWriter) writeDigit(pattern string) {
	if w.current() == '.' {
		if !w.onlyPoint() || w.fill {
			w.put('.')
		}
		return
	}
	switch {
	case w.lastRelevant >= 0 && w.at > w.lastRelevant && pattern != "0":
	case w.beforePoint():
		if !w.fill {
			w.put(' ')
		} else if w.onlyPoint() {
			w.put('0')
		}
	default:
		if c := w.current(); c != 0 {
			w.put(c)
		}
		w.inNumber = true
	}
}

// parse is to_number.
func (f *numberFormat) parse(input string) (types.Datum, error) {
	switch {
	case f.roman:
		return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "\"RN\" not supported for input")
	case f.exponent:
		return types.DNull, pgerror.New(pgerror.FeatureNotSupported, "\"EEEE\" not supported for input")
	}
	r := numberReader{numberFormat: f, rest: input}
	for _, n := range f.nodes {
		if r.rest == "" {
			break
		}
		r.node(n)
	}
	text := string(r.digits)
	if r.negative {
		text = "-" + text
	}
	if len(r.digits) == 0 || text == "-" {
		return types.DNull, pgerror.Newf(pgerror.InvalidTextRepresentation, "invalid input syntax for type numeric: \"%s\"", " ")
	}
	v, err := types.Parse(&types.Context{}, types.Numeric, text)
	if err != nil {
		return types.DNull, err
	}
	d := v.Decimal()
	if f.multiply {
		d = divide(d, &apd.Decimal{Coeff: *powerOfTen(int32(f.multi))}, scaleOf(d)+16)
		return types.Decimal(d), nil
	}
	return v, nil
}

// numberReader reads a number by a format.
type numberReader struct {
	*numberFormat
	rest      string
	digits    []byte
	negative  bool
	pointSeen bool
	after     int // digits read behind the point
}

func (r *numberReader) node(n formatNode) {
	switch strings.ToUpper(n.pattern) {
	case "":
		if len(r.rest) > 0 {
			size := len(n.text)
			if size == 1 && r.rest[0] != n.text[0] && (r.rest[0] >= '0' && r.rest[0] <= '9' || strings.IndexByte("+-.,", r.rest[0]) >= 0) {
				return // not the text: leave it to the digits
			}
			r.rest = r.rest[min(size, len(r.rest)):]
		}
	case "9", "0", ".", "D":
		r.digit(n.pattern == "." || n.pattern == "D" || n.pattern == "d")
	case ",", "G":
		if r.rest[0] == ',' {
			r.rest = r.rest[1:]
		}
	case "L":
		if r.rest[0] == '$' || r.rest[0] == ' ' {
			r.rest = r.rest[1:]
		}
	case "S", "SG", "MI", "PL":
		r.signHere()
	case "PR":
		r.rest = strings.TrimPrefix(r.rest, ">")
	case "TH":
		if len(r.rest) >= 2 && r.rest[0] > '9' {
			r.rest = r.rest[2:]
		}
	}
}

// signHere takes a sign if there is one.
func (r *numberReader) signHere() {
	if r.rest != "" && (r.rest[0] == '-' || r.rest[0] == '+') {
		r.negative = r.negative || r.rest[0] == '-'
		r.rest = r.rest[1:]
	}
}

func (r *numberReader) digit(point bool) {
	if len(r.digits) == 0 {
		r.rest = strings.TrimLeft(r.rest, " ")
		if strings.HasPrefix(r.rest, "<") && r.bracket {
			r.negative, r.rest = true, r.rest[1:]
		}
		r.signHere()
	}
	if r.rest == "" {
		return
	}
	c := r.rest[0]
	switch {
	case c >= '0' && c <= '9' && !point:
		if r.pointSeen {
			if r.after == r.numberFormat.after {
				return
			}
			r.after++
		}
		r.digits, r.rest = append(r.digits, c), r.rest[1:]
	case c == '.' && !r.pointSeen && r.decimal:
		r.pointSeen = true
		r.digits, r.rest = append(r.digits, '.'), r.rest[1:]
	}
	// A sign behind the digits.
	if r.numberFormat.sign && r.rest != "" && (r.rest[0] == '-' || r.rest[0] == '+') && len(r.rest) == 1 {
		r.signHere()
	}
}
