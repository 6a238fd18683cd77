package types

import (
	_ "embed"
)

//go:embed facts/operators.tsv
var operatorFacts string

//go:embed facts/procedures.tsv
var procedureFacts string

// implementation computes what PostgreSQL's function of some name does.
type implementation struct {
	eval EvalFunc
	bind func(args []*T, ret *T) EvalFunc
}

// procedures are the implementations of the functions behind operators and
// casts, by their names in PostgreSQL's source. init fills it through define.
var procedures = make(map[string]implementation)

func define(name string, eval EvalFunc) { procedures[name] = implementation{eval: eval} }

func defineBind(name string, bind func(args []*T, ret *T) EvalFunc) {
	procedures[name] = implementation{bind: bind}
}

// The registry. It is filled by init functions and only read afterwards.
var (
	functionsByName = make(map[string][]*Overload)
	operatorsByName = make(map[string][]*Overload)
	allFunctions    []*Overload
	allOperators    []*Overload
	operatorsByOID  = make(map[OID]*Overload)
	functionsByOID  = make(map[OID]*Overload)
)

// registerFacts makes the operators, and the functions behind operators and
// casts, known as far as they are implemented.
func registerFacts() {
	procedureByOID := make(map[OID]Overload)
	for _, r := range factLines(procedureFacts) {
		impl, ok := procedures[r[2]]
		if !ok {
			continue
		}
		args, ok := typesOf(r[3])
		ret, known := builtins[factOID(r[4])]
		if !ok || !known {
			continue
		}
		o := Overload{OID: factOID(r[0]), Name: r[1], Args: args, Return: ret, Volatility: r[5][0], CalledOnNull: r[6] == "f", Eval: impl.eval, Bind: impl.bind, Procedure: r[2], Description: r[7]}
		o.ProcedureOID = o.OID
		procedureByOID[o.OID] = o
		Register(o)
	}
	byProcedure := make(map[string][]Overload)
	for _, o := range procedureByOID {
		byProcedure[o.Procedure] = append(byProcedure[o.Procedure], o)
	}
	for _, r := range factLines(operatorFacts) {
		args := make([]*T, 0, 2)
		for _, s := range r[2:4] {
			if oid := factOID(s); oid != 0 {
				args = append(args, builtins[oid])
			}
		}
		for _, p := range byProcedure[r[5]] {
			if !sameTypes(p.Args, args) {
				continue
			}
			p.ProcedureOID, p.OID, p.Name = p.OID, factOID(r[0]), r[1]
			p.Commutator, p.Negator, p.Mergeable, p.Hashable = factOID(r[6]), factOID(r[7]), r[8] == "t", r[9] == "t"
			RegisterOperator(p.Name, p)
		}
	}
}

func init() {
	defineComparisons()
	defineIntegers()
	defineFloats()
	defineNumeric()
	defineStrings()
	defineDatetimes()
	defineJSON()
	defineArrays()
	defineObjects()
	registerFacts()
}

func typesOf(oids string) ([]*T, bool) {
	var args []*T
	for len(oids) > 0 {
		n := 0
		for n < len(oids) && oids[n] != ' ' {
			n++
		}
		t, ok := builtins[factOID(oids[:n])]
		if !ok {
			return nil, false
		}
		args = append(args, t)
		oids = oids[min(n+1, len(oids)):]
	}
	return args, true
}

func sameTypes(a, b []*T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == nil || b[i] == nil || a[i].OID != b[i].OID {
			return false
		}
	}
	return true
}

// Register makes functions known. It is for init functions only. One with the
// name and argument types, or the OID, of an earlier one takes its place.
func Register(overloads ...Overload) {
	for i := range overloads {
		o := overloads[i]
		if o.Volatility == 0 {
			o.Volatility = 'i'
		}
		if !o.WithinGroup {
			o.OrderedSetArgs = -1
		}
		register(functionsByName, &allFunctions, &o)
		if o.OID != 0 {
			functionsByOID[o.OID] = &o
		}
	}
}

// RegisterOperator makes an operator known; it is for init functions only.
func RegisterOperator(name string, o Overload) {
	o.Name = name
	if o.Volatility == 0 {
		o.Volatility = 'i'
	}
	o.OrderedSetArgs = -1
	register(operatorsByName, &allOperators, &o)
	operatorsByOID[o.OID] = &o
}

func register(byName map[string][]*Overload, all *[]*Overload, o *Overload) {
	for i, old := range byName[o.Name] {
		if old.OID == o.OID && o.OID != 0 || sameTypes(old.Args, o.Args) && old.Variadic == o.Variadic {
			byName[o.Name][i] = o
			for j := range *all {
				if (*all)[j] == old {
					(*all)[j] = o
				}
			}
			return
		}
	}
	byName[o.Name] = append(byName[o.Name], o)
	*all = append(*all, o)
}

// Functions returns the overloads of a function; the slice must not be changed.
func Functions(name string) []*Overload { return functionsByName[name] }

// Operators returns the overloads of an operator, prefix ones too.
func Operators(name string) []*Overload { return operatorsByName[name] }

// AllFunctions and AllOperators return everything that is registered, for the
// system catalogs.
func AllFunctions() []*Overload { return allFunctions }

// AllOperators returns every operator.
func AllOperators() []*Overload { return allOperators }

// OperatorByOID returns the operator with PostgreSQL's OID.
func OperatorByOID(oid OID) (*Overload, bool) {
	o, ok := operatorsByOID[oid]
	return o, ok
}

// FunctionByOID returns the function with PostgreSQL's OID.
func FunctionByOID(oid OID) (*Overload, bool) {
	o, ok := functionsByOID[oid]
	return o, ok
}
