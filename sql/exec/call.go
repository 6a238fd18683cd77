package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// perRow computes a value from datums, row by row: functions without a kernel,
// arrays, rows.
type perRow struct {
	rt        *runtime
	t         *types.T
	arguments []scalar
	// strict: a NULL argument makes the value NULL without a call.
	strict  bool
	compute types.EvalFunc

	vectors []*vector.Vector
	datums  []types.Datum
	out     vector.Vector
}

func (p *perRow) isSingle() bool {
	for _, a := range p.arguments {
		if !isSingle(a) {
			return false
		}
	}
	return true
}

func (p *perRow) value() (types.Datum, error) {
	p.datums = p.datums[:0]
	for _, a := range p.arguments {
		d, err := a.(single).value()
		if err != nil {
			return types.Datum{}, err
		}
		if d.Null && p.strict {
			return types.DNull, nil
		}
		p.datums = append(p.datums, d)
	}
	return p.compute(p.rt.env.Types, p.datums)
}

func (p *perRow) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	p.vectors = p.vectors[:0]
	for _, a := range p.arguments {
		v, err := a.eval(b, r)
		if err != nil {
			return nil, err
		}
		p.vectors = append(p.vectors, v)
	}
	p.out.Prepare(p.t, r.end())
	if cap(p.datums) < len(p.vectors) {
		p.datums = make([]types.Datum, len(p.vectors))
	}
	datums := p.datums[:len(p.vectors)]
	env := p.rt.env.Types
next:
	for n := range r.n {
		i := r.at(n)
		for a, v := range p.vectors {
			datums[a] = v.Datum(i)
			if datums[a].Null && p.strict {
				p.out.SetNull(i)
				continue next
			}
		}
		d, err := p.compute(env, datums)
		if err != nil {
			return nil, err
		}
		p.out.Set(i, d)
	}
	return &p.out, nil
}

// binaryCall is a call with a kernel for two arguments, unaryCall one for one.
type binaryCall struct {
	left, right scalar
	t           *types.T
	kernel      binaryKernel
	out         vector.Vector
}

func (c *binaryCall) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	left, err := c.left.eval(b, r)
	if err != nil {
		return nil, err
	}
	right, err := c.right.eval(b, r)
	if err != nil {
		return nil, err
	}
	c.out.Prepare(c.t, r.end())
	c.out.UnionNulls(left, right)
	return &c.out, c.kernel(&c.out, left, right, r)
}

type unaryCall struct {
	argument scalar
	t        *types.T
	kernel   unaryKernel
	out      vector.Vector
}

func (c *unaryCall) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := c.argument.eval(b, r)
	if err != nil {
		return nil, err
	}
	c.out.Prepare(c.t, r.end())
	c.out.CopyNulls(v)
	return &c.out, c.kernel(&c.out, v, r)
}

// relabeled is a cast that leaves values as they are.
type relabeled struct {
	argument scalar
	t        *types.T
	out      vector.Vector
}

func (c *relabeled) isSingle() bool { return isSingle(c.argument) }

func (c *relabeled) value() (types.Datum, error) { return c.argument.(single).value() }

func (c *relabeled) eval(b *vector.Batch, r rows) (*vector.Vector, error) {
	v, err := c.argument.eval(b, r)
	if err != nil || v.Type == c.t {
		return v, err
	}
	c.out = *v // the slices are shared, the type is ours
	c.out.Type = c.t
	return &c.out, nil
}

// call compiles a call, with a kernel where there is one.
func (b *builder) call(f *types.Bound, arguments []opt.Scalar, s schema) (scalar, error) {
	compiled, err := b.scalars(arguments, s)
	if err != nil {
		return nil, err
	}
	return b.apply(f, compiled, arguments), nil
}

// apply is call with compiled arguments.
func (b *builder) apply(f *types.Bound, compiled []scalar, arguments []opt.Scalar) scalar {
	name := procedureName(f)
	b.volatile = b.volatile || f.Volatility == 'v'
	if len(compiled) == 2 {
		if k := binaryKernels[name]; k.run != nil && kindOf(arguments[0].Type()) == k.kind && kindOf(arguments[1].Type()) == k.kind {
			return &binaryCall{left: compiled[0], right: compiled[1], t: f.Return, kernel: k.run}
		}
	}
	if len(compiled) == 1 {
		if k := unaryKernels[name]; k.run != nil && kindOf(arguments[0].Type()) == k.kind {
			return &unaryCall{argument: compiled[0], t: f.Return, kernel: k.run}
		}
	}
	return &perRow{rt: b.rt, t: f.Return, arguments: compiled, strict: !f.CalledOnNull, compute: f.Eval}
}

// procedureName is the name of a function or of what is behind an operator.
func procedureName(f *types.Bound) string {
	if f.Procedure != "" {
		return f.Procedure
	}
	return f.Name
}

func (b *builder) cast(e *opt.Cast, s schema) (scalar, error) {
	input, err := b.scalar(e.Input, s)
	if err != nil {
		return nil, err
	}
	from, to := e.Cast.From, e.Cast.To
	if e.Cast.Relabel && kindOf(e.Input.Type()) == kindOf(to) || widens(from, to) {
		return &relabeled{argument: input, t: to}, nil
	}
	if k := unaryKernels[castKernel(from, to)]; k.run != nil && kindOf(e.Input.Type()) == k.kind {
		return &unaryCall{argument: input, t: to, kernel: k.run}, nil
	}
	c := e.Cast
	return &perRow{rt: b.rt, t: to, arguments: []scalar{input}, strict: true,
		compute: func(ctx *types.Context, args []types.Datum) (types.Datum, error) { return c.Eval(ctx, args[0]) }}, nil
}

const (
	oidBool   types.OID = 16
	oidInt8   types.OID = 20
	oidInt2   types.OID = 21
	oidInt4   types.OID = 23
	oidFloat4 types.OID = 700
	oidFloat8 types.OID = 701
)

// widens reports whether a cast goes to an integer type that has all values.
func widens(from, to *types.T) bool {
	return from.OID == oidInt2 && (to.OID == oidInt4 || to.OID == oidInt8) || from.OID == oidInt4 && to.OID == oidInt8
}

// castKernel names the kernel of a cast.
func castKernel(from, to *types.T) string {
	switch {
	case kindOf(from) == intKind && from.Family == types.IntFamily && to.OID == oidFloat8 &&
		(from.OID == oidInt2 || from.OID == oidInt4 || from.OID == oidInt8):
		return "cast int float8"
	case from.OID == oidFloat4 && to.OID == oidFloat8:
		return "cast float4 float8"
	case from.OID == oidInt8 && to.OID == oidInt4:
		return "cast int8 int4"
	}
	return ""
}
