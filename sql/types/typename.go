package types

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// Modifiers of an interval's fields, as the grammar has them: bits of
// PostgreSQL's datetime field numbers.
const (
	intervalFullRange     = 0x7fff
	intervalFullPrecision = 0xffff
	intervalYear          = 1 << 2
	intervalMonth         = 1 << 1
	intervalDay           = 1 << 3
	intervalHour          = 1 << 10
	intervalMinute        = 1 << 11
	intervalSecond        = 1 << 12
)

// FromName resolves the name of a type as the grammar gives it, with its
// modifiers and how many [] follow it. 42704 where there is no such type, 0A000
// for PostgreSQL's types that Cairn lacks, 22023 for bad modifiers. The serial
// types are no types.
func FromName(names []string, modifiers []int32, arrayDepth int) (*T, error) {
	full := strings.Join(names, ".")
	name := names[len(names)-1]
	t, ok := typesByName[name]
	if len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" {
		ok = false
	}
	if !ok {
		if len(names) == 1 || names[0] == "pg_catalog" {
			for _, f := range factsByOID {
				if f.name == name {
					return nil, pgerror.Unsupported("type " + name)
				}
			}
		}
		return nil, pgerror.Newf(pgerror.UndefinedObject, "type \"%s\" does not exist", full)
	}
	if len(modifiers) > 0 {
		typmod, err := typmodIn(t, modifiers)
		if err != nil {
			return nil, err
		}
		t = t.WithTypmod(typmod)
	}
	if arrayDepth > 0 {
		array := ArrayTypeOf(t)
		if array == nil {
			return nil, pgerror.Newf(pgerror.UndefinedObject, "type \"%s[]\" does not exist", full)
		}
		t = array
	}
	return t, nil
}

// typmodIn is the type's typmodin function.
func typmodIn(t *T, m []int32) (int32, error) {
	bad := func(format string, args ...any) (int32, error) {
		return 0, pgerror.Newf(pgerror.InvalidParameterValue, format, args...)
	}
	if t.Family == ArrayFamily && t.Elem != nil {
		t = t.Elem
	}
	switch t.OID {
	case VarcharOID, BPCharOID:
		name := "varchar"
		if t.OID == BPCharOID {
			name = "char"
		}
		switch {
		case len(m) != 1:
			return bad("invalid type modifier")
		case m[0] < 1:
			return bad("length for type %s must be at least 1", name)
		case m[0] > 10485760:
			return bad("length for type %s cannot exceed 10485760", name)
		}
		return m[0] + 4, nil
	case NumericOID:
		if len(m) > 2 {
			return bad("invalid NUMERIC type modifier")
		}
		if m[0] < 1 || m[0] > numericMaxPrecision {
			return bad("NUMERIC precision %d must be between 1 and %d", m[0], numericMaxPrecision)
		}
		scale := int32(0)
		if len(m) == 2 {
			if scale = m[1]; scale < -1000 || scale > 1000 {
				return bad("NUMERIC scale %d must be between -1000 and 1000", scale)
			}
		}
		return m[0]<<16 | scale&0x7ff + 4, nil
	case TimeOID, TimeTZOID, TimestampOID, TimestampTZOID:
		if len(m) != 1 {
			return bad("invalid type modifier")
		}
		return precisionIn(t, m[0])
	case IntervalOID:
		fields, precision := m[0], int32(intervalFullPrecision)
		if len(m) > 1 && m[1] != intervalFullPrecision {
			if m[1] < 0 {
				return bad("INTERVAL(%d) precision must not be negative", m[1])
			}
			precision = min(m[1], 6)
		}
		if len(m) == 1 && fields == intervalFullRange {
			return -1, nil
		}
		return fields&intervalFullRange<<16 | precision, nil
	}
	return 0, pgerror.Newf(pgerror.Syntax, "type modifier is not allowed for type \"%s\"", t.Name)
}

func precisionIn(t *T, precision int32) (int32, error) {
	if precision < 0 {
		first, rest, zone := strings.Cut(strings.ToUpper(t.SQLName), " ")
		suffix := ""
		if zone && strings.HasPrefix(rest, "WITH ") {
			suffix = " WITH TIME ZONE"
		}
		return 0, pgerror.Newf(pgerror.InvalidParameterValue, "%s(%d)%s precision must not be negative", first, precision, suffix)
	}
	return min(precision, 6), nil
}

// typmodText is the type's typmodout function.
func typmodText(oid OID, typmod int32) string {
	switch oid {
	case VarcharOID, BPCharOID:
		return "(" + strconv.Itoa(int(typmod)-4) + ")"
	case NumericOID:
		precision, scale := numericModifiers(typmod)
		return "(" + strconv.FormatInt(precision, 10) + "," + strconv.FormatInt(scale, 10) + ")"
	case TimeOID, TimeTZOID, TimestampOID, TimestampTZOID:
		return "(" + strconv.Itoa(int(typmod)) + ")"
	case IntervalOID:
		return intervalFieldsText(typmod)
	}
	return ""
}

func intervalFieldsText(typmod int32) string {
	text := ""
	switch typmod >> 16 & intervalFullRange {
	case intervalYear:
		text = " year"
	case intervalMonth:
		text = " month"
	case intervalDay:
		text = " day"
	case intervalHour:
		text = " hour"
	case intervalMinute:
		text = " minute"
	case intervalSecond:
		text = " second"
	case intervalYear | intervalMonth:
		text = " year to month"
	case intervalDay | intervalHour:
		text = " day to hour"
	case intervalDay | intervalHour | intervalMinute:
		text = " day to minute"
	case intervalDay | intervalHour | intervalMinute | intervalSecond:
		text = " day to second"
	case intervalHour | intervalMinute:
		text = " hour to minute"
	case intervalHour | intervalMinute | intervalSecond:
		text = " hour to second"
	case intervalMinute | intervalSecond:
		text = " minute to second"
	}
	if precision := typmod & 0xffff; precision != intervalFullPrecision {
		text += "(" + strconv.Itoa(int(precision)) + ")"
	}
	return text
}

// typmodCoercion returns what coerces a value of t's type to t's modifier; nil:
// nothing does. Explicit casts cut strings silently.
func typmodCoercion(t *T, explicit bool) func(*Context, Datum) (Datum, error) {
	switch t.OID {
	case VarcharOID:
		return lengthCoercion(t.Typmod, false, explicit)
	case BPCharOID:
		return lengthCoercion(t.Typmod, true, explicit)
	case NumericOID:
		return numericCoercion(t.Typmod)
	case TimeOID:
		return func(_ *Context, d Datum) (Datum, error) { return Int(roundMicros(d.I, t.Typmod)), nil }
	case TimeTZOID:
		return func(_ *Context, d Datum) (Datum, error) {
			micros, zone := unpackTimeTZ(d.I)
			return packTimeTZ(roundMicros(micros, t.Typmod), zone), nil
		}
	case TimestampOID, TimestampTZOID:
		return func(_ *Context, d Datum) (Datum, error) {
			if isInfiniteTime(d.I) {
				return d, nil
			}
			return Int(roundMicros(d.I, t.Typmod)), nil
		}
	case IntervalOID:
		return func(_ *Context, d Datum) (Datum, error) {
			return IntervalOf(adjustInterval(d.Interval(), t.Typmod)), nil
		}
	}
	if t.Family == ArrayFamily && t.Elem != nil && t.Elem.Typmod >= 0 {
		if coerce := typmodCoercion(t.Elem, explicit); coerce != nil {
			return func(ctx *Context, d Datum) (Datum, error) { return coerceElements(ctx, t, d.Array(), coerce) }
		}
	}
	return nil
}

func coerceElements(ctx *Context, t *T, a *Array, coerce func(*Context, Datum) (Datum, error)) (Datum, error) {
	r := &Array{Elem: t.Elem, Dims: a.Dims, Bounds: a.Bounds, Elems: make([]Datum, len(a.Elems))}
	for i, e := range a.Elems {
		if e.Null {
			r.Elems[i] = e
			continue
		}
		var err error
		if r.Elems[i], err = coerce(ctx, e); err != nil {
			return DNull, err
		}
	}
	return ArrayOf(r), nil
}

// sqlTypeNames are the spellings that the grammar knows, for ParseTypeName.
var sqlTypeNames = map[string]string{
	"boolean": "bool", "smallint": "int2", "integer": "int4", "int": "int4", "bigint": "int8", "real": "float4",
	"double precision": "float8", "float": "float8", "decimal": "numeric", "dec": "numeric",
	"character varying": "varchar", "char varying": "varchar", "character": "bpchar", "char": "bpchar",
	"time without time zone": "time", "time with time zone": "timetz", "timestamp without time zone": "timestamp",
	"timestamp with time zone": "timestamptz",
}

// ParseTypeName reads a type as SQL writes it, with modifiers and [] ("numeric(10,2)[]"),
// as regtype's input does. 42704 where there is none.
func ParseTypeName(text string) (*T, error) {
	s := trimSpace(text)
	depth := 0
	for strings.HasSuffix(s, "]") {
		open := strings.LastIndexByte(s, '[')
		if open < 0 {
			break
		}
		s = trimSpace(s[:open])
		depth++
	}
	var modifiers []int32
	if open := strings.IndexByte(s, '('); open >= 0 {
		end := strings.IndexByte(s, ')')
		if end < open {
			return nil, syntaxInType(text)
		}
		for part := range strings.SplitSeq(s[open+1:end], ",") {
			n, err := strconv.ParseInt(trimSpace(part), 10, 32)
			if err != nil {
				return nil, syntaxInType(text)
			}
			modifiers = append(modifiers, int32(n))
		}
		s = trimSpace(s[:open] + s[end+1:])
	}
	names, quoted, err := splitQualifiedName(s)
	if err != nil {
		return nil, err
	}
	if len(names) == 1 && !quoted {
		words := strings.Join(strings.Fields(names[0]), " ")
		if internal, ok := sqlTypeNames[words]; ok {
			if internal == "bpchar" && modifiers == nil && words != "bpchar" {
				modifiers = []int32{1}
			}
			return FromName([]string{internal}, modifiers, depth)
		}
	}
	if t, ok := typesByName[names[len(names)-1]]; ok && t.OID == IntervalOID && len(modifiers) == 1 {
		modifiers = []int32{intervalFullRange, modifiers[0]}
	}
	return FromName(names, modifiers, depth)
}

func syntaxInType(text string) error {
	return pgerror.Newf(pgerror.Syntax, "invalid type name \"%s\"", text)
}

// splitQualifiedName splits a name at its dots, as stringToQualifiedNameList:
// parts are folded to lower case unless quoted.
func splitQualifiedName(text string) (names []string, quoted bool, err error) {
	invalid := pgerror.New(pgerror.InvalidName, "invalid name syntax")
	s := trimSpace(text)
	if s == "" {
		return nil, false, invalid
	}
	for {
		if s != "" && s[0] == '"' {
			quoted = true
			var b strings.Builder
			s = s[1:]
			for {
				i := strings.IndexByte(s, '"')
				if i < 0 {
					return nil, false, invalid
				}
				b.WriteString(s[:i])
				s = s[i+1:]
				if !strings.HasPrefix(s, `"`) {
					break
				}
				b.WriteByte('"')
				s = s[1:]
			}
			names = append(names, truncateName(b.String()))
		} else {
			i := strings.IndexByte(s, '.')
			if i < 0 {
				i = len(s)
			}
			if trimSpace(s[:i]) == "" {
				return nil, false, invalid
			}
			names = append(names, truncateName(strings.ToLower(trimSpace(s[:i]))))
			s = s[i:]
		}
		s = trimSpace(s)
		if s == "" {
			return names, quoted, nil
		}
		if s[0] != '.' {
			return nil, false, invalid
		}
		s = trimSpace(s[1:])
	}
}
