package types

import (
	_ "embed"
	"sync"
)

//go:embed facts/casts.tsv
var castFacts string

// castFact is a row of pg_cast.
type castFact struct {
	context   CastContext
	method    byte // 'f'unction, 'b'inary coercible, 'i'nput and output
	procedure string
}

type typePair struct{ from, to OID }

var casts = loadCasts()

func loadCasts() map[typePair]castFact {
	contexts := map[string]CastContext{"i": ImplicitCast, "a": AssignmentCast, "e": ExplicitCast}
	table := make(map[typePair]castFact)
	for _, r := range factLines(castFacts) {
		table[typePair{factOID(r[0]), factOID(r[1])}] = castFact{contexts[r[2]], r[3][0], r[5]}
	}
	return table
}

// pathway says how a cast is done, as find_coercion_pathway does.
type pathway uint8

const (
	noPathway pathway = iota
	relabelPathway
	functionPathway
	textPathway
	arrayPathway
	rowPathway
)

func isTrueArray(t *T) bool { return t.Family == ArrayFamily && t.Elem != nil }

func isVector(t *T) bool { return t.OID == Int2VectorOID || t.OID == OIDVectorOID }

// findPathway returns how values of from become values of to in the context,
// modifiers aside.
func findPathway(from, to *T, context CastContext) (pathway, castFact) {
	if from.OID == to.OID {
		return relabelPathway, castFact{}
	}
	if fact, ok := casts[typePair{from.OID, to.OID}]; ok {
		if fact.context > context {
			return noPathway, castFact{}
		}
		switch fact.method {
		case 'b':
			return relabelPathway, fact
		case 'i':
			return textPathway, fact
		}
		if impl := procedures[fact.procedure]; impl.eval == nil && impl.bind == nil {
			return noPathway, castFact{}
		}
		return functionPathway, fact
	}
	if from.OID == RecordOID && to.Family == TupleFamily || to.OID == RecordOID && from.Family == TupleFamily {
		return rowPathway, castFact{}
	}
	if isTrueArray(from) && isTrueArray(to) && !isVector(to) {
		if path, _ := findPathway(from.Elem, to.Elem, context); path != noPathway {
			return arrayPathway, castFact{}
		}
		return noPathway, castFact{}
	}
	if context >= AssignmentCast && to.Category == 'S' || context >= ExplicitCast && from.Category == 'S' {
		return textPathway, castFact{}
	}
	return noPathway, castFact{}
}

// canCoerce reports whether an argument of type from may be given where to is
// declared, in the context; polymorphic types take all and are checked together.
func canCoerce(from, to *T, context CastContext) bool {
	if from.OID == to.OID || to.OID == AnyOID || isPolymorphic(to) || from.OID == UnknownOID {
		return true
	}
	if to.OID == builtins[RecordOID].ArrayOID && isTrueArray(from) && from.Elem.Family == TupleFamily {
		return true
	}
	path, _ := findPathway(from, to, context)
	return path != noPathway
}

// CanCast reports whether FindCast finds a cast.
func CanCast(from, to *T, context CastContext) bool {
	if from.OID == UnknownOID {
		return true
	}
	path, _ := findPathway(from, to, context)
	return path != noPathway
}

type castKey struct {
	from, to             OID
	fromTypmod, toTypmod int32
	context              CastContext
}

var castCache sync.Map // castKey → *BoundCast

// FindCast returns the cast from one type to another in a context, with the
// coercion to the modifiers of to; false if there is none. From Unknown it is
// to's input function.
func FindCast(from, to *T, context CastContext) (*BoundCast, bool) {
	_, cacheableFrom := builtins[from.OID]
	_, cacheableTo := builtins[to.OID]
	cacheable := cacheableFrom && cacheableTo && from.Fields == nil && to.Fields == nil
	key := castKey{from.OID, to.OID, from.Typmod, to.Typmod, context}
	if cacheable {
		if c, ok := castCache.Load(key); ok {
			return c.(*BoundCast), true
		}
	}
	c := makeCast(from, to, context)
	if c == nil {
		return nil, false
	}
	if cacheable {
		castCache.Store(key, c)
	}
	return c, true
}

func makeCast(from, to *T, context CastContext) *BoundCast {
	explicit := context == ExplicitCast
	c := &BoundCast{From: from, To: to, Context: context, Volatility: 'i'}
	if from.OID == UnknownOID && to.OID != UnknownOID {
		c.eval = func(ctx *Context, d Datum) (Datum, error) { return parseFor(ctx, to, d.S, explicit) }
		c.Volatility = inputVolatility(to)
		return c
	}
	path, fact := findPathway(from, to, context)
	c.Context = fact.context
	switch path {
	case noPathway:
		return nil
	case relabelPathway:
		c.eval = relabelEval(from, to)
	case functionPathway:
		c.Procedure = fact.procedure
		return functionCast(c, from, to, fact, explicit)
	case textPathway:
		c.Context = AssignmentCast
		if to.Category != 'S' {
			c.Context = ExplicitCast
		}
		c.Volatility = max(outputVolatility(from), inputVolatility(to))
		base := to.WithTypmod(-1)
		c.eval = func(ctx *Context, d Datum) (Datum, error) {
			var buffer [64]byte
			return parseFor(ctx, base, string(AppendText(buffer[:0], ctx, from, d)), explicit)
		}
	case arrayPathway:
		return arrayCast(c, from, to, context)
	case rowPathway:
		c.eval = rowCast(from, to, context)
	}
	addTypmodCoercion(c, from, to, explicit)
	return c
}

// relabelEval is for binary coercible types that Cairn represents differently.
func relabelEval(from, to *T) func(*Context, Datum) (Datum, error) {
	if from.Family == IntFamily && to.Family == IntFamily && from.OID != to.OID {
		switch {
		case to.OID == Int4OID: // an unsigned oid's bits
			return func(_ *Context, d Datum) (Datum, error) { return Int(int64(int32(d.I))), nil }
		case from.OID == Int4OID:
			return func(_ *Context, d Datum) (Datum, error) { return Int(int64(uint32(d.I))), nil }
		}
	}
	return nil
}

// functionCast calls the cast's function. (Those that take the modifier too are
// typmodCoercion's.)
func functionCast(c *BoundCast, from, to *T, fact castFact, explicit bool) *BoundCast {
	impl := procedures[fact.procedure]
	eval := impl.eval
	if eval == nil {
		eval = impl.bind([]*T{from}, to)
	}
	c.eval = func(ctx *Context, d Datum) (Datum, error) {
		args := [1]Datum{d}
		return eval(ctx, args[:])
	}
	addTypmodCoercion(c, from, to, explicit)
	return c
}

// addTypmodCoercion appends the coercion to to's modifier where the value may
// not have it.
func addTypmodCoercion(c *BoundCast, from, to *T, explicit bool) {
	if to.Typmod >= 0 && !(from.OID == to.OID && from.Typmod == to.Typmod) {
		if coerce := typmodCoercion(to, explicit); coerce != nil {
			if before := c.eval; before != nil {
				c.eval = func(ctx *Context, d Datum) (Datum, error) {
					d, err := before(ctx, d)
					if err != nil || d.Null {
						return d, err
					}
					return coerce(ctx, d)
				}
			} else {
				c.eval = coerce
			}
		}
	}
	c.Relabel = c.eval == nil
}

func arrayCast(c *BoundCast, from, to *T, context CastContext) *BoundCast {
	element, ok := FindCast(from.Elem, to.Elem.WithTypmod(to.Typmod), context)
	if !ok {
		return nil
	}
	c.Volatility, c.Context = element.Volatility, element.Context
	if c.Relabel = element.Relabel; c.Relabel {
		return c
	}
	c.eval = func(ctx *Context, d Datum) (Datum, error) {
		a := d.Array()
		r := &Array{Elem: to.Elem, Dims: a.Dims, Bounds: a.Bounds, Elems: make([]Datum, len(a.Elems))}
		for i := range a.Elems {
			var err error
			if r.Elems[i], err = element.Eval(ctx, a.Elems[i]); err != nil {
				return DNull, err
			}
		}
		return ArrayOf(r), nil
	}
	return c
}

// rowCast converts a row field by field to the fields of to; a row becomes an
// anonymous record as it is.
func rowCast(from, to *T, context CastContext) func(*Context, Datum) (Datum, error) {
	if len(to.Fields) == 0 {
		return nil
	}
	return func(ctx *Context, d Datum) (Datum, error) {
		row := d.Tuple()
		if len(row.Elems) != len(to.Fields) {
			return DNull, cannotCast(from, to).WithDetail("Input has %s columns.", tooManyOrFew(len(row.Elems) > len(to.Fields)))
		}
		r := &Tuple{Types: make([]*T, len(to.Fields)), Elems: make([]Datum, len(to.Fields))}
		for i, f := range to.Fields {
			r.Types[i] = f.Type
			cast, ok := FindCast(row.Types[i], f.Type, context)
			if !ok {
				return DNull, cannotCast(from, to).WithDetail("Cannot cast type %s to %s in column %d.", row.Types[i].SQLName, f.Type.SQLName, i+1)
			}
			var err error
			if r.Elems[i], err = cast.Eval(ctx, row.Elems[i]); err != nil {
				return DNull, err
			}
		}
		return TupleOf(r), nil
	}
}

func tooManyOrFew(many bool) string {
	if many {
		return "too many"
	}
	return "too few"
}
