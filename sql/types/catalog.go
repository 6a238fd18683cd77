package types

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:generate facts/generate.sh

//go:embed facts/types.tsv
var typeFacts string

// typeFact is a row of facts/types.tsv.
type typeFact struct {
	oid            OID
	name, sqlName  string
	size           int16
	category       byte
	preferred      bool
	element, array OID
	pseudo         bool
}

var (
	factsByOID  = loadTypeFacts()
	builtins    = make(map[OID]*T)
	typesByName = make(map[string]*T)
	typeOrder   []*T
)

func factLines(table string) [][]string {
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	rows := make([][]string, len(lines))
	for i, line := range lines {
		rows[i] = strings.Split(line, "\t")
	}
	return rows
}

// factOID reads an OID of the embedded tables, which are right by construction.
func factOID(s string) OID {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic("types: facts: " + err.Error())
	}
	return OID(v)
}

func loadTypeFacts() map[OID]typeFact {
	facts := make(map[OID]typeFact)
	for _, r := range factLines(typeFacts) {
		size, err := strconv.ParseInt(r[3], 10, 16)
		if err != nil {
			panic("types: facts: " + err.Error())
		}
		f := typeFact{oid: factOID(r[0]), name: r[1], sqlName: r[2], size: int16(size), category: r[4][0], preferred: r[5] == "t", element: factOID(r[6]), array: factOID(r[7]), pseudo: r[8] == "p"}
		facts[f.oid] = f
	}
	return facts
}

// builtin makes a type known, and the type of its arrays.
func builtin(oid OID, family Family) *T {
	t := newBuiltin(factsByOID[oid], family)
	if t.ArrayOID != 0 {
		array := newBuiltin(factsByOID[t.ArrayOID], ArrayFamily)
		array.Elem = t
	}
	return t
}

func newBuiltin(f typeFact, family Family) *T {
	t := &T{OID: f.oid, Family: family, Name: f.name, SQLName: f.sqlName, Typmod: -1, Size: f.size, Category: f.category, Preferred: f.preferred, ArrayOID: f.array}
	builtins[f.oid] = t
	typesByName[f.name] = t
	typeOrder = append(typeOrder, t)
	return t
}

func init() { // types that refer to each other
	Int2Vector.Elem, OIDVector.Elem = Int2, OIDType
}

// ByOID returns the built-in type with the OID.
func ByOID(oid OID) (*T, bool) {
	t, ok := builtins[oid]
	return t, ok
}

// ByName returns the built-in type with PostgreSQL's internal name: "int4",
// "_int4" for its array. SQL's spellings ("integer") are ParseTypeName's.
func ByName(name string) (*T, bool) {
	t, ok := typesByName[name]
	return t, ok
}

// All returns the built-in types, arrays and pseudo-types too. It must not be
// changed.
func All() []*T { return typeOrder }

// IsPseudo reports whether t is a pseudo-type, which no column can have.
func (t *T) IsPseudo() bool { return t.Category == 'P' || t.OID == UnknownOID }

// ArrayTypeOf returns the type of arrays of t, with t's modifiers: t itself if
// it is an array (dimensions are no part of the type), nil if t has no arrays.
func ArrayTypeOf(t *T) *T {
	if t.Family == ArrayFamily && t.OID != Int2VectorOID && t.OID != OIDVectorOID {
		return t
	}
	array := builtins[t.ArrayOID]
	if array == nil {
		if t.ArrayOID == 0 {
			return nil
		}
		return &T{OID: t.ArrayOID, Family: ArrayFamily, Name: "_" + t.Name, SQLName: t.SQLName + "[]", Typmod: t.Typmod, Size: -1, Category: 'A', Elem: t}
	}
	if array.Elem != t {
		c := *array
		c.Elem, c.Typmod = t, t.Typmod
		return &c
	}
	return array
}

// WithTypmod returns t with another modifier, -1 for none.
func (t *T) WithTypmod(typmod int32) *T {
	if t.Typmod == typmod {
		return t
	}
	if typmod < 0 {
		if base, ok := builtins[t.OID]; ok {
			return base
		}
	}
	c := *t
	c.Typmod = typmod
	if c.Elem != nil {
		c.Elem = c.Elem.WithTypmod(typmod)
	}
	return &c
}

// Equal reports whether both are the same type with the same modifiers.
func (t *T) Equal(u *T) bool {
	return t == u || t != nil && u != nil && t.OID == u.OID && t.Typmod == u.Typmod
}

// String is format_type: the type as SQL writes it, with its modifiers.
func (t *T) String() string {
	if t.Typmod < 0 {
		return t.SQLName
	}
	if t.Family == ArrayFamily && t.Elem != nil {
		return t.Elem.WithTypmod(t.Typmod).String() + "[]"
	}
	modifiers := typmodText(t.OID, t.Typmod)
	switch t.OID {
	case TimeOID, TimestampOID, TimeTZOID, TimestampTZOID:
		first, rest, found := strings.Cut(t.SQLName, " ")
		if found {
			return first + modifiers + " " + rest
		}
	case BPCharOID:
		return "character" + modifiers
	}
	return t.SQLName + modifiers
}
