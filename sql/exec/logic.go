package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// logic is AND or OR. Its arguments are evaluated from left to right, each
// only for the rows that the ones before did not decide.
type logic struct {
	arguments []scalar
	or        bool
	out       vector.Vector
	open      []int32
}

func (l *logic) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	l.out.Prepare(types.Boolean, r.end())
	decides := bit(l.or) // the value that decides
	for n := range r.n {
		l.out.Ints[r.at(n)] = 1 - decides
	}
	for k, argument := range l.arguments {
		v, err := argument.eval(b, r)
		if err != nil {
			return nil, err
		}
		open := l.open[:0]
		for n := range r.n {
			i := r.at(n)
			switch {
			case v.Null(i):
				l.out.SetNull(i)
				open = append(open, int32(i))
			case v.Ints[i] == decides:
				l.out.Ints[i] = decides
				if l.out.HasNulls {
					l.out.UnsetNull(i)
				}
			default:
				open = append(open, int32(i))
			}
		}
		l.open = open
		if len(open) == 0 || k == len(l.arguments)-1 {
			break
		}
		// r may be the very slice that open was cut from: it was read before it
		// was overwritten, as open never gets ahead of it.
		r = rows{open, len(open)}
	}
	return &l.out, nil
}

// selectTrue narrows rows to those for which all conditions are true. The
// result may be dst's memory, which must not be r's unless it comes from here.
func selectTrue(conditions []scalar, b *vector.Batch, r rows, dst []int32) (rows, []int32, error) {
	for _, c := range conditions {
		if r.n == 0 {
			break
		}
		if l, ok := c.(*logic); ok && !l.or {
			var err error
			if r, dst, err = selectTrue(l.arguments, b, r, dst); err != nil {
				return r, dst, err
			}
			continue
		}
		v, err := c.eval(b, r)
		if err != nil {
			return r, dst, err
		}
		kept := dst[:0]
		if cap(kept) < r.n {
			kept = make([]int32, 0, max(r.n, 4))
		}
		for n := range r.n {
			if i := r.at(n); v.Ints[i] != 0 && !v.Null(i) {
				kept = append(kept, int32(i))
			}
		}
		dst = kept
		r = rows{kept, len(kept)}
	}
	return r, dst, nil
}

type not struct {
	argument scalar
	out      vector.Vector
}

func (e *not) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := e.argument.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(types.Boolean, r.end())
	e.out.CopyNulls(v)
	for n := range r.n {
		i := r.at(n)
		e.out.Ints[i] = v.Ints[i] ^ 1
	}
	return &e.out, nil
}

type isNull struct {
	argument scalar
	negated  bool
	out      vector.Vector
}

func (e *isNull) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := e.argument.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(types.Boolean, r.end())
	for n := range r.n {
		i := r.at(n)
		if v.Type.Family == types.TupleFamily && !v.Null(i) {
			e.out.Ints[i] = bit(tupleNulls(v.Refs[i].(*types.Tuple), !e.negated))
		} else {
			e.out.Ints[i] = bit(v.Null(i) != e.negated)
		}
	}
	return &e.out, nil
}

// tupleNulls reports whether all fields are NULL, or none.
func tupleNulls(t *types.Tuple, null bool) bool {
	for _, e := range t.Elems {
		if e.Null != null {
			return false
		}
	}
	return true
}

type isTruth struct {
	argument scalar
	truth    opt.Truth
	negated  bool
	out      vector.Vector
}

func (e *isTruth) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := e.argument.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(types.Boolean, r.end())
	for n := range r.n {
		i := r.at(n)
		is := false
		switch e.truth {
		case opt.True:
			is = !v.Null(i) && v.Ints[i] != 0
		case opt.False:
			is = !v.Null(i) && v.Ints[i] == 0
		default:
			is = v.Null(i)
		}
		e.out.Ints[i] = bit(is != e.negated)
	}
	return &e.out, nil
}

// distinctFrom is IS [NOT] DISTINCT FROM: equal compares where neither side is
// NULL.
type distinctFrom struct {
	left, right *fixedVector
	equal       scalar
	a, b        scalar
	negated     bool
	both        []int32
	out         vector.Vector
}

// fixedVector is a scalar that yields a vector given to it: how an expression is
// evaluated once and used twice.
type fixedVector struct{ v *vector.Vector }

func (f *fixedVector) eval(*vector.Batch, rows) (*vector.Vector, error) { return f.v, nil }

func (b *builder) distinct(e *opt.Distinct, s schema) (scalar, error) {
	left, err := b.scalar(e.Left, s)
	if err != nil {
		return nil, err
	}
	right, err := b.scalar(e.Right, s)
	if err != nil {
		return nil, err
	}
	d := &distinctFrom{left: &fixedVector{}, right: &fixedVector{}, a: left, b: right, negated: e.Negated}
	d.equal = b.apply(e.Equal, []scalar{d.left, d.right}, []opt.Scalar{e.Left, e.Right})
	return d, nil
}

func (d *distinctFrom) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	var err error
	if d.left.v, err = d.a.eval(b, r); err != nil {
		return nil, err
	}
	if d.right.v, err = d.b.eval(b, r); err != nil {
		return nil, err
	}
	d.out.Prepare(types.Boolean, r.end())
	both := d.both[:0]
	for n := range r.n {
		i := r.at(n)
		left, right := d.left.v.Null(i), d.right.v.Null(i)
		if !left && !right {
			both = append(both, int32(i))
			continue
		}
		d.out.Ints[i] = bit((left != right) != d.negated)
	}
	d.both = both
	equal, err := d.equal.eval(b, rows{both, len(both)})
	if err != nil {
		return nil, err
	}
	for _, i := range both {
		d.out.Ints[i] = bit((equal.Ints[i] == 0) != d.negated)
	}
	return &d.out, nil
}

type nullIf struct {
	left, equal scalar
	out         vector.Vector
	t           *types.T
}

func (b *builder) nullIf(e *opt.NullIf, s schema) (scalar, error) {
	left, err := b.scalar(e.Left, s)
	if err != nil {
		return nil, err
	}
	equalLeft, equalRight := e.EqualLeft, e.EqualRight
	if equalLeft == nil {
		equalLeft, equalRight = e.Left, e.Right
	}
	equal, err := b.call(e.Equal, []opt.Scalar{equalLeft, equalRight}, s)
	return &nullIf{left: left, equal: equal, t: e.Left.Type()}, err
}

func (e *nullIf) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	left, err := e.left.eval(b, r)
	if err != nil {
		return nil, err
	}
	equal, err := e.equal.eval(b, r)
	if err != nil {
		return nil, err
	}
	e.out.Prepare(e.t, r.end())
	for n := range r.n {
		i := r.at(n)
		if !equal.Null(i) && equal.Ints[i] != 0 {
			e.out.SetNull(i)
		} else {
			e.out.Copy(i, left, i)
		}
	}
	return &e.out, nil
}

// caseWhen is CASE: each arm is evaluated only for the rows that come to it.
type caseWhen struct {
	conditions, results []scalar
	otherwise           scalar // nil: NULL
	t                   *types.T
	out                 vector.Vector
	open, taken         []int32
}

func (b *builder) caseOf(e *opt.Case, s schema) (scalar, error) {
	c := &caseWhen{t: e.T}
	for _, w := range e.Whens {
		condition, err := b.scalar(w.Condition, s)
		if err != nil {
			return nil, err
		}
		result, err := b.scalar(w.Result, s)
		if err != nil {
			return nil, err
		}
		c.conditions, c.results = append(c.conditions, condition), append(c.results, result)
	}
	var err error
	if e.Else != nil {
		c.otherwise, err = b.scalar(e.Else, s)
	}
	return c, err
}

func (c *caseWhen) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	c.out.Prepare(c.t, r.end())
	for k, condition := range c.conditions {
		if r.n == 0 {
			return &c.out, nil
		}
		v, err := condition.eval(b, r)
		if err != nil {
			return nil, err
		}
		open, taken := c.open[:0], c.taken[:0]
		for n := range r.n {
			if i := r.at(n); v.Null(i) || v.Ints[i] == 0 {
				open = append(open, int32(i))
			} else {
				taken = append(taken, int32(i))
			}
		}
		c.open, c.taken = open, taken
		if len(taken) > 0 {
			if err := c.copyFrom(c.results[k], b, rows{taken, len(taken)}); err != nil {
				return nil, err
			}
		}
		r = rows{open, len(open)}
	}
	if r.n == 0 {
		return &c.out, nil
	}
	if c.otherwise == nil {
		for n := range r.n {
			c.out.SetNull(r.at(n))
		}
		return &c.out, nil
	}
	return &c.out, c.copyFrom(c.otherwise, b, r)
}

func (c *caseWhen) copyFrom(s scalar, b *vector.Batch, r rows) error {
	v, err := s.eval(b, r)
	if err != nil {
		return err
	}
	for n := range r.n {
		i := r.at(n)
		c.out.Copy(i, v, i)
	}
	return nil
}

type coalesce struct {
	arguments []scalar
	t         *types.T
	out       vector.Vector
	open      []int32
}

func (c *coalesce) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	c.out.Prepare(c.t, r.end())
	for _, a := range c.arguments {
		if r.n == 0 {
			break
		}
		v, err := a.eval(b, r)
		if err != nil {
			return nil, err
		}
		open := c.open[:0]
		for n := range r.n {
			if i := r.at(n); v.Null(i) {
				open = append(open, int32(i))
			} else {
				c.out.Copy(i, v, i)
			}
		}
		c.open = open
		r = rows{open, len(open)}
	}
	for n := range r.n {
		c.out.SetNull(r.at(n))
	}
	return &c.out, nil
}

type extremum struct {
	arguments []scalar
	t         *types.T
	least     bool
	out       vector.Vector
}

func (e *extremum) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	e.out.Prepare(e.t, r.end())
	for n := range r.n {
		e.out.SetNull(r.at(n))
	}
	for _, a := range e.arguments {
		v, err := a.eval(b, r)
		if err != nil {
			return nil, err
		}
		for n := range r.n {
			i := r.at(n)
			if v.Null(i) {
				continue
			}
			if e.out.Null(i) || (compareVectors(v, i, &e.out, i) < 0) == e.least && compareVectors(v, i, &e.out, i) != 0 {
				e.out.Copy(i, v, i)
			}
		}
	}
	return &e.out, nil
}
