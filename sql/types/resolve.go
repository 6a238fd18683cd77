package types

import (
	"slices"
	"strings"
	"sync"

	"github.com/cairndb/cairn/sql/pgerror"
)

// The resolution of functions and operators follows chapter 10 of PostgreSQL's
// manual and, where that leaves things open, parse_func.c and parse_oper.c:
// candidates of the name → those whose types the arguments can become
// implicitly → most exact matches → most preferred types → the category of
// untyped literals → all of one type.

// candidate is an overload with its parameters laid out for a call.
type candidate struct {
	overload *Overload
	args     []*T // as many as the call has arguments, defaults excluded
	order    []int
	defaults int // how many of the last parameters take their defaults
	expanded bool
}

// ResolveFunction finds the function that a call means. args are the types of
// its arguments, Unknown for untyped literals and parameters without a type;
// argNames are their names in named notation, "" for those without (nil: none
// has one); variadic tells of VARIADIC before the last. A call with one argument
// whose name is a type's may be a cast. Errors: 42883 where there is no such
// function, 42725 where several would do.
func ResolveFunction(name string, args []*T, argNames []string, variadic bool) (*Bound, error) {
	candidates := functionCandidates(name, args, argNames, variadic)
	for _, c := range candidates { // exact ones first
		if sameTypes(c.args, args) {
			return bind(c, args, variadic)
		}
	}
	if len(args) == 1 && !variadic && !hasNames(argNames) {
		if b := castAsFunction(name, args[0]); b != nil {
			return b, nil
		}
	}
	matching := matchingCandidates(candidates, args)
	if len(matching) > 1 {
		if best := selectCandidate(matching, args); best != nil {
			matching = []*candidate{best}
		}
	}
	signature := func() string { return name + "(" + argumentList(args, argNames) + ")" }
	switch len(matching) {
	case 0:
		return nil, pgerror.Newf(pgerror.UndefinedFunction, "function %s does not exist", signature()).
			WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
	case 1:
		return bind(matching[0], args, variadic)
	}
	return nil, pgerror.Newf(pgerror.AmbiguousFunction, "function %s is not unique", signature()).
		WithHint("Could not choose a best candidate function. You might need to add explicit type casts.")
}

func hasNames(argNames []string) bool {
	return slices.ContainsFunc(argNames, func(n string) bool { return n != "" })
}

func argumentList(args []*T, argNames []string) string {
	var b strings.Builder
	for i, t := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		if i < len(argNames) && argNames[i] != "" {
			b.WriteString(argNames[i] + " => ")
		}
		b.WriteString(t.SQLName)
	}
	return b.String()
}

// functionCandidates returns the overloads that a call with so many arguments
// can mean, each laid out for it; of two with the same types the one that
// isn't variadic and takes fewer defaults.
func functionCandidates(name string, args []*T, argNames []string, variadic bool) []*candidate {
	var found []*candidate
	for _, o := range functionsByName[name] {
		c := layOut(o, len(args), argNames, variadic)
		if c == nil {
			continue
		}
		duplicate := slices.IndexFunc(found, func(other *candidate) bool { return sameTypes(other.args, c.args) })
		if duplicate < 0 {
			found = append(found, c)
		} else if old := found[duplicate]; old.expanded && !c.expanded || old.expanded == c.expanded && old.defaults > c.defaults {
			found[duplicate] = c
		}
	}
	return found
}

func layOut(o *Overload, n int, argNames []string, variadic bool) *candidate {
	if hasNames(argNames) {
		return layOutNamed(o, n, argNames)
	}
	parameters := len(o.Args)
	if variadic {
		if !o.Variadic || n != parameters {
			return nil
		}
		return &candidate{overload: o, args: o.Args}
	}
	if o.Variadic && n >= parameters {
		last := o.Args[parameters-1]
		element := last.Elem
		switch last.OID {
		case AnyOID:
			element = last
		case AnyArrayOID:
			element = AnyElement
		case AnyCompatibleArrayOID:
			element = AnyCompatible
		}
		args := slices.Clone(o.Args[:parameters-1])
		for len(args) < n {
			args = append(args, element)
		}
		return &candidate{overload: o, args: args, expanded: true}
	}
	if o.Variadic && o.Args[parameters-1].OID == AnyOID {
		return nil
	}
	if n > parameters || n+len(o.Defaults) < parameters {
		return nil
	}
	return &candidate{overload: o, args: o.Args[:n], defaults: parameters - n}
}

// layOutNamed matches arguments to parameters by name; those without a name
// come first.
func layOutNamed(o *Overload, n int, argNames []string) *candidate {
	if n > len(o.Args) || len(o.ArgNames) < len(o.Args) {
		return nil
	}
	c := &candidate{overload: o, args: make([]*T, n), order: make([]int, len(o.Args))}
	for i := range c.order {
		c.order[i] = -1
	}
	for i := range n {
		parameter := i
		if argNames[i] != "" {
			parameter = slices.Index(o.ArgNames[:len(o.Args)], argNames[i])
		}
		if parameter < 0 || c.order[parameter] >= 0 {
			return nil
		}
		c.order[parameter] = i
		c.args[i] = o.Args[parameter]
	}
	firstDefault := len(o.Args) - len(o.Defaults)
	for i, from := range c.order {
		if from < 0 && i < firstDefault {
			return nil
		}
	}
	return c
}

func matchingCandidates(candidates []*candidate, args []*T) []*candidate {
	var matching []*candidate
	for _, c := range candidates {
		if candidateMatches(c, args) {
			matching = append(matching, c)
		}
	}
	return matching
}

func candidateMatches(c *candidate, args []*T) bool {
	polymorphic := false
	for i, t := range args {
		if !canCoerce(t, c.args[i], ImplicitCast) {
			return false
		}
		polymorphic = polymorphic || isPolymorphic(c.args[i])
	}
	if polymorphic {
		_, err := resolvePolymorphic(c.args, args, nil)
		return err == nil
	}
	return true
}

// selectCandidate is func_select_candidate; nil: it can't be decided.
func selectCandidate(candidates []*candidate, args []*T) *candidate {
	exact := func(c *candidate, i int) bool { return args[i].OID != UnknownOID && c.args[i].OID == args[i].OID }
	candidates = withMostMatches(candidates, args, exact)
	if len(candidates) == 1 {
		return candidates[0]
	}
	candidates = withMostMatches(candidates, args, func(c *candidate, i int) bool {
		return args[i].OID != UnknownOID && (exact(c, i) || c.args[i].Preferred && c.args[i].Category == args[i].Category)
	})
	if len(candidates) == 1 {
		return candidates[0]
	}
	unknowns := 0
	for _, t := range args {
		if t.OID == UnknownOID {
			unknowns++
		}
	}
	if unknowns == 0 {
		return nil
	}
	candidates = withLiteralCategories(candidates, args)
	if len(candidates) == 1 {
		return candidates[0]
	}
	if unknowns == len(args) {
		return nil
	}
	return assumingOneType(candidates, args)
}

func withMostMatches(candidates []*candidate, args []*T, match func(c *candidate, i int) bool) []*candidate {
	var best []*candidate
	bestMatches := 0
	for _, c := range candidates {
		matches := 0
		for i := range args {
			if match(c, i) {
				matches++
			}
		}
		if matches > bestMatches || len(best) == 0 {
			best, bestMatches = []*candidate{c}, matches
		} else if matches == bestMatches {
			best = append(best, c)
		}
	}
	return best
}

// withLiteralCategories decides for each untyped literal the category of the
// type that it becomes, strings first, and keeps the candidates that agree.
func withLiteralCategories(candidates []*candidate, args []*T) []*candidate {
	categories := make([]byte, len(args))
	preferred := make([]bool, len(args))
	for i, t := range args {
		if t.OID != UnknownOID {
			continue
		}
		conflict := false
		for _, c := range candidates {
			u := c.args[i]
			switch {
			case categories[i] == 0:
				categories[i], preferred[i] = u.Category, u.Preferred
			case u.Category == categories[i]:
				preferred[i] = preferred[i] || u.Preferred
			case u.Category == 'S':
				categories[i], preferred[i] = u.Category, u.Preferred
			default:
				conflict = true
			}
		}
		if conflict && categories[i] != 'S' {
			return candidates
		}
	}
	var kept []*candidate
	for _, c := range candidates {
		keep := true
		for i, t := range args {
			if t.OID == UnknownOID && (c.args[i].Category != categories[i] || preferred[i] && !c.args[i].Preferred) {
				keep = false
			}
		}
		if keep {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return candidates
	}
	return kept
}

// assumingOneType takes literals for the type that all other arguments have.
func assumingOneType(candidates []*candidate, args []*T) *candidate {
	var known *T
	for _, t := range args {
		if t.OID == UnknownOID {
			continue
		}
		if known != nil && known.OID != t.OID {
			return nil
		}
		known = t
	}
	same := make([]*T, len(args))
	for i := range same {
		same[i] = known
	}
	if matching := matchingCandidates(candidates, same); len(matching) == 1 {
		return matching[0]
	}
	return nil
}

type operatorKey struct {
	name        string
	left, right OID
}

var operatorCache sync.Map // operatorKey → *Bound

// ResolveOperator finds the operator that left name right means; left is nil
// for a prefix operator. Untyped literals are of type Unknown. Errors: 42883,
// 42725.
func ResolveOperator(name string, left, right *T) (*Bound, error) {
	args := []*T{left, right}
	key := operatorKey{name: name, right: right.OID}
	if left == nil {
		args = args[1:]
	} else {
		key.left = left.OID
	}
	if b, ok := operatorCache.Load(key); ok {
		return b.(*Bound), nil
	}
	b, err := resolveOperator(name, args)
	if err != nil {
		return nil, err
	}
	builtIn := true
	for _, t := range args {
		_, ok := builtins[t.OID]
		builtIn = builtIn && ok && t.Family != TupleFamily && t.Typmod < 0
	}
	if builtIn {
		operatorCache.Store(key, b)
	}
	return b, nil
}

func resolveOperator(name string, args []*T) (*Bound, error) {
	var candidates []*candidate
	for _, o := range operatorsByName[name] {
		if len(o.Args) == len(args) {
			candidates = append(candidates, &candidate{overload: o, args: o.Args})
		}
	}
	exact := args
	if len(args) == 2 { // a literal is tried as the other side's type first
		switch {
		case args[0].OID == UnknownOID && args[1].OID != UnknownOID:
			exact = []*T{args[1], args[1]}
		case args[1].OID == UnknownOID && args[0].OID != UnknownOID:
			exact = []*T{args[0], args[0]}
		}
	}
	for _, c := range candidates {
		if sameTypes(c.args, exact) {
			return bind(c, args, false)
		}
	}
	matching := matchingCandidates(candidates, args)
	if len(matching) > 1 {
		if best := selectCandidate(matching, args); best != nil {
			matching = []*candidate{best}
		}
	}
	if len(matching) == 1 {
		return bind(matching[0], args, false)
	}
	signature, arguments, cast := name+" "+args[0].SQLName, "type", "an explicit type cast"
	if len(args) == 2 {
		signature, arguments, cast = args[0].SQLName+" "+name+" "+args[1].SQLName, "types", "explicit type casts"
	}
	if len(matching) > 1 {
		return nil, pgerror.Newf(pgerror.AmbiguousFunction, "operator is not unique: %s", signature).
			WithHint("Could not choose a best candidate operator. You might need to add explicit type casts.")
	}
	return nil, pgerror.Newf(pgerror.UndefinedFunction, "operator does not exist: %s", signature).
		WithHint("No operator matches the given name and argument %s. You might need to add %s.", arguments, cast)
}

// castAsFunction is float8(x) and the like, where no function is that exactly.
func castAsFunction(name string, from *T) *Bound {
	to, ok := typesByName[name]
	if !ok || to.IsPseudo() {
		return nil
	}
	if from.OID != UnknownOID {
		path, fact := findPathway(from, to, ExplicitCast)
		relabel := path == relabelPathway
		if !relabel && (path != textPathway || fact.method == 'i') || path == textPathway && (from.Family == TupleFamily && to.Category == 'S') {
			return nil
		}
	}
	cast, ok := FindCast(from, to, ExplicitCast)
	if !ok {
		return nil
	}
	o := &Overload{Name: name, Args: []*T{from}, Return: to, Volatility: cast.Volatility, OrderedSetArgs: -1}
	eval := func(ctx *Context, args []Datum) (Datum, error) { return cast.Eval(ctx, args[0]) }
	return &Bound{Overload: o, Args: []*T{from}, Return: to, Eval: eval}
}
