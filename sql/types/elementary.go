package types

import "math"

// Go's exp, log and pow are off by a unit in the last place more often than C's
// library, and the difference shows in the shortest decimal form. Here they are
// computed with about 100 bits (T. J. Dekker, "A floating-point technique for
// extending the available precision", 1971) and rounded once.

// doubled is the sum of two floats, of which low is the rounding error of high.
type doubled struct{ high, low float64 }

var (
	doubledLn2  = doubled{0.6931471805599453, 2.3190468138462996e-17}
	doubledLn10 = doubled{2.302585092994046, -2.1707562233822494e-16}
)

func sumOf(a, b float64) doubled {
	s := a + b
	t := s - a
	return doubled{s, (a - (s - t)) + (b - t)}
}

func productOf(a, b float64) doubled {
	p := a * b
	return doubled{p, math.FMA(a, b, -p)}
}

func (a doubled) plus(b doubled) doubled {
	s := sumOf(a.high, b.high)
	t := sumOf(a.low, b.low)
	s = sumOf(s.high, s.low+t.high)
	return sumOf(s.high, s.low+t.low)
}

func (a doubled) times(b doubled) doubled {
	p := productOf(a.high, b.high)
	return sumOf(p.high, p.low+(a.high*b.low+a.low*b.high))
}

func (a doubled) over(b doubled) doubled {
	q := a.high / b.high
	rest := a.plus(b.times(doubled{-q, 0}))
	q2 := rest.high / b.high
	rest = rest.plus(b.times(doubled{-q2, 0}))
	return sumOf(q, q2).plus(doubled{rest.high / b.high, 0})
}

// exponential returns e^x as a number times a power of two.
func (a doubled) exponential() (doubled, int) {
	const halvings = 7
	k := math.RoundToEven(a.high / doubledLn2.high)
	r := a.plus(doubledLn2.times(doubled{-k, 0}))
	r = doubled{math.Ldexp(r.high, -halvings), math.Ldexp(r.low, -halvings)}
	term, sum := r, r // e^r - 1 by Taylor's series
	for n := 2.0; n <= 11; n++ {
		term = term.times(r).over(doubled{n, 0})
		sum = sum.plus(term)
	}
	for range halvings { // (1+s)² - 1 = s² + 2s
		sum = sum.times(sum).plus(doubled{2 * sum.high, 2 * sum.low})
	}
	return sum.plus(doubled{1, 0}), int(k)
}

// logarithm returns ln x of a positive finite number: what math.Log leaves over,
// by one step of Newton's method.
func logarithm(x float64) doubled {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	y := math.Log(m)
	inverse, k := doubled{-y, 0}.exponential()
	inverse = doubled{math.Ldexp(inverse.high, k), math.Ldexp(inverse.low, k)}
	t := inverse.times(doubled{m, 0}).plus(doubled{-1, 0})
	t = t.plus(t.times(t).times(doubled{-0.5, 0}))
	return doubled{y, 0}.plus(t).plus(doubledLn2.times(doubled{float64(e), 0}))
}

// FloatExp returns e^x, rounded correctly but for one case in many millions.
func FloatExp(x float64) float64 {
	if math.IsNaN(x) || x > 709.8 || x < -745.2 {
		return math.Exp(x)
	}
	v, k := doubled{x, 0}.exponential()
	return math.Ldexp(v.high, k)
}

// FloatLog returns ln x as exactly.
func FloatLog(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return math.Log(x)
	}
	return logarithm(x).high
}

// FloatLog10 returns the logarithm to the base of 10 as exactly.
func FloatLog10(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return math.Log10(x)
	}
	return logarithm(x).over(doubledLn10).high
}

// floatPower is math.Pow, as exactly.
func floatPower(x, y float64) float64 {
	rough := math.Pow(x, y)
	if rough == 0 || math.IsInf(rough, 0) || math.IsNaN(rough) || x == 0 || math.IsInf(x, 0) || math.IsInf(y, 0) || y == 0 || y == 1 {
		return rough
	}
	product := logarithm(math.Abs(x)).times(doubled{y, 0})
	if math.Abs(product.high) > 708 {
		return rough
	}
	v, k := product.exponential()
	return math.Copysign(math.Ldexp(v.high, k), rough)
}
