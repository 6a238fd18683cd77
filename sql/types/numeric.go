package types

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
)

// A numeric is an apd.Decimal whose exponent is not positive: minus the
// exponent is its display scale, as PostgreSQL keeps it. A zero is never negative.

// Limits of PostgreSQL's numeric.
const (
	numericMaxPrecision    = 1000
	numericMaxDisplayScale = 1000
	numericMinSignificant  = 16
	numericMaxScale        = 16383
	numericMaxIntegral     = 131072 // digits before the point
)

func numericOverflow() *pgerror.Error {
	return pgerror.New(pgerror.NumericValueOutOfRange, "value overflows numeric format")
}

func parseNumeric(text string) (Datum, error) {
	s := trimSpace(text)
	if f, ok := specialFloat(s); ok {
		if math.IsNaN(f) {
			if s[0] == '-' || s[0] == '+' {
				return DNull, invalidInput(Numeric, text)
			}
			return Decimal(&apd.Decimal{Form: apd.NaN}), nil
		}
		return Decimal(&apd.Decimal{Form: apd.Infinite, Negative: f < 0}), nil
	}
	if !looksLikeNumber(s) {
		return DNull, invalidInput(Numeric, text)
	}
	d, err := decimalFromText(s)
	if err != nil {
		return DNull, err
	}
	return Decimal(d), nil
}

// decimalFromText reads what looksLikeNumber accepts.
func decimalFromText(s string) (*apd.Decimal, error) {
	d := new(apd.Decimal)
	if s[0] == '+' || s[0] == '-' {
		d.Negative = s[0] == '-'
		s = s[1:]
	}
	exponent := int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.ParseInt(s[i+1:], 10, 64)
		if err != nil || e >= math.MaxInt32/2 || e <= -math.MaxInt32/2 {
			return nil, numericOverflow()
		}
		exponent, s = e, s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if err := setCoefficient(d, whole, fraction); err != nil {
		return nil, err
	}
	exponent -= int64(len(fraction))
	if exponent < -numericMaxScale {
		return nil, numericOverflow()
	}
	if d.Coeff.Sign() == 0 {
		d.Negative = false
		d.Exponent = int32(min(exponent, 0))
		return d, nil
	}
	if exponent > 0 {
		if exponent > numericMaxIntegral {
			return nil, numericOverflow()
		}
		scaleUp(&d.Coeff, exponent)
		exponent = 0
	}
	d.Exponent = int32(exponent)
	if d.NumDigits()+int64(d.Exponent) > numericMaxIntegral {
		return nil, numericOverflow()
	}
	return d, nil
}

func setCoefficient(d *apd.Decimal, whole, fraction string) error {
	if len(whole)+len(fraction) <= 18 {
		v := int64(0)
		for i := range len(whole) {
			v = v*10 + int64(whole[i]-'0')
		}
		for i := range len(fraction) {
			v = v*10 + int64(fraction[i]-'0')
		}
		d.Coeff.SetInt64(v)
		return nil
	}
	if len(whole)+len(fraction) > 2*(numericMaxIntegral+numericMaxScale) {
		return numericOverflow()
	}
	if _, ok := d.Coeff.SetString(whole+fraction, 10); !ok {
		return invalidInput(Numeric, whole)
	}
	return nil
}

var powersOfTen = func() (table [40]apd.BigInt) {
	v := big.NewInt(1)
	for i := range table {
		table[i].SetMathBigInt(v)
		v = new(big.Int).Mul(v, big.NewInt(10))
	}
	return table
}()

func powerOfTen(n int64) *apd.BigInt {
	if n < int64(len(powersOfTen)) {
		return &powersOfTen[n]
	}
	p := new(apd.BigInt).SetInt64(10)
	return p.Exp(p, new(apd.BigInt).SetInt64(n), nil)
}

func scaleUp(c *apd.BigInt, n int64) {
	if n > 0 {
		c.Mul(c, powerOfTen(n))
	}
}

func appendNumeric(b []byte, d *apd.Decimal) []byte {
	switch d.Form {
	case apd.NaN, apd.NaNSignaling:
		return append(b, "NaN"...)
	case apd.Infinite:
		if d.Negative {
			b = append(b, '-')
		}
		return append(b, "Infinity"...)
	}
	if d.Negative && d.Coeff.Sign() != 0 {
		b = append(b, '-')
	}
	start := len(b)
	if d.Coeff.IsInt64() {
		b = strconv.AppendInt(b, d.Coeff.Int64(), 10)
	} else {
		b = d.Coeff.Append(b, 10)
	}
	if d.Exponent >= 0 {
		if d.Coeff.Sign() != 0 {
			for range d.Exponent {
				b = append(b, '0')
			}
		}
		return b
	}
	scale := int(-d.Exponent)
	digits := len(b) - start
	if digits <= scale { // zeros in front: 0.00ddd
		missing := scale - digits + 1
		for range missing {
			b = append(b, '0')
		}
		copy(b[start+missing:], b[start:start+digits])
		for i := range missing {
			b[start+i] = '0'
		}
		digits += missing
	}
	b = append(b, 0)
	point := start + digits - scale
	copy(b[point+1:], b[point:])
	b[point] = '.'
	return b
}

func scaleOf(d *apd.Decimal) int64 { return int64(-d.Exponent) }

// rescale returns the coefficient of d with another scale, rounded half away
// from zero.
func rescale(d *apd.Decimal, scale int64) *apd.Decimal {
	r := &apd.Decimal{Negative: d.Negative, Exponent: int32(-scale)}
	if have := scaleOf(d); scale >= have {
		r.Coeff.Set(&d.Coeff)
		scaleUp(&r.Coeff, scale-have)
		return r
	} else if have-scale > d.NumDigits() {
		r.Negative = false
		return r
	} else {
		divideRounded(&r.Coeff, &d.Coeff, powerOfTen(have-scale))
	}
	if r.Coeff.Sign() == 0 {
		r.Negative = false
	}
	return r
}

// RoundNumeric rounds a finite number to a scale, which may be negative, half
// away from zero; the display scale is then 0.
func RoundNumeric(d *apd.Decimal, scale int64) *apd.Decimal {
	if d.Form != apd.Finite {
		return d
	}
	r := rescale(d, scale)
	if r.Exponent > 0 {
		scaleUp(&r.Coeff, int64(r.Exponent))
		r.Exponent = 0
	}
	return r
}

// divideRounded sets z to the quotient of numbers that are not negative,
// rounded half up.
func divideRounded(z, a, b *apd.BigInt) {
	var remainder apd.BigInt
	z.QuoRem(a, b, &remainder)
	remainder.Add(&remainder, &remainder)
	if remainder.Cmp(b) >= 0 {
		z.Add(z, bigOne)
	}
}

var bigOne = apd.NewBigInt(1)

func numericCoercion(typmod int32) func(*Context, Datum) (Datum, error) {
	precision, scale := numericModifiers(typmod)
	limit := precision - scale
	return func(_ *Context, v Datum) (Datum, error) {
		d := v.Decimal()
		if d.Form != apd.Finite {
			if d.Form == apd.Infinite {
				return DNull, pgerror.New(pgerror.NumericValueOutOfRange, "numeric field overflow").
					WithDetail("A field with precision %d, scale %d cannot hold an infinite value.", precision, scale)
			}
			return v, nil
		}
		if scaleOf(d) != max(scale, 0) || scale < 0 {
			d = RoundNumeric(d, scale)
		}
		if d.Coeff.Sign() != 0 && d.NumDigits()+int64(d.Exponent) > limit {
			bound := "1"
			if limit != 0 {
				bound = "10^" + strconv.FormatInt(limit, 10)
			}
			return DNull, pgerror.New(pgerror.NumericValueOutOfRange, "numeric field overflow").
				WithDetail("A field with precision %d, scale %d must round to an absolute value less than %s.", precision, scale, bound)
		}
		return Decimal(d), nil
	}
}

func numericModifiers(typmod int32) (precision, scale int64) {
	m := typmod - 4
	return int64(m>>16) & 0xffff, int64((m&0x7ff)^1024) - 1024
}

// CompareNumeric is the order of numerics: NaN equals NaN and is greatest.
func CompareNumeric(a, b *apd.Decimal) int {
	if a.Form != apd.Finite || b.Form != apd.Finite {
		return rankNumeric(a) - rankNumeric(b)
	}
	signA, signB := signOf(a), signOf(b)
	if signA != signB {
		if signA < signB {
			return -1
		}
		return 1
	}
	if signA == 0 {
		return 0
	}
	return signA * compareMagnitude(a, b)
}

func rankNumeric(d *apd.Decimal) int {
	switch {
	case d.Form == apd.Finite:
		return 0
	case d.Form != apd.Infinite:
		return 2
	case d.Negative:
		return -1
	}
	return 1
}

func signOf(d *apd.Decimal) int {
	switch {
	case d.Coeff.Sign() == 0:
		return 0
	case d.Negative:
		return -1
	}
	return 1
}

func compareMagnitude(a, b *apd.Decimal) int {
	if a.Exponent == b.Exponent {
		return a.Coeff.Cmp(&b.Coeff)
	}
	if a.Exponent < b.Exponent {
		return -compareMagnitude(b, a)
	}
	shift := int64(a.Exponent) - int64(b.Exponent)
	if a.Coeff.IsUint64() && b.Coeff.IsUint64() && shift < 20 {
		hi, lo := bits.Mul64(a.Coeff.Uint64(), uint64Powers[shift])
		switch c := b.Coeff.Uint64(); {
		case hi > 0 || lo > c:
			return 1
		case lo < c:
			return -1
		}
		return 0
	}
	if digitsA, digitsB := a.NumDigits()+int64(a.Exponent), b.NumDigits()+int64(b.Exponent); digitsA != digitsB {
		if digitsA < digitsB {
			return -1
		}
		return 1
	}
	var scaled apd.BigInt
	scaled.Set(&a.Coeff)
	scaleUp(&scaled, shift)
	return scaled.Cmp(&b.Coeff)
}

var uint64Powers = func() (table [20]uint64) {
	table[0] = 1
	for i := 1; i < len(table); i++ {
		table[i] = table[i-1] * 10
	}
	return table
}()
