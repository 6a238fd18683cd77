package types

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
)

// parseReg reads the name, or the number, of an object.
func parseReg(ctx *Context, t *T, text string) (Datum, error) {
	if text == "-" {
		return Int(0), nil
	}
	if text != "" && spanOf(text, isDigit) == len(text) {
		d, err := parseOID(OIDType, text)
		return d, err
	}
	switch t.OID {
	case RegtypeOID:
		named, err := ParseTypeName(text)
		if err != nil {
			return DNull, err
		}
		return Int(int64(named.OID)), nil
	case RegprocOID, RegprocedureOID:
		return parseRegproc(t, text)
	case RegoperOID, RegoperatorOID:
		return parseRegoper(t, text)
	}
	if ctx == nil || ctx.Session == nil {
		return DNull, pgerror.Newf(pgerror.FeatureNotSupported, "a name of type %s can only be read in a session", t.SQLName)
	}
	oid, ok, err := ctx.Session.ObjectByName(ctx.context(), t, text)
	if err != nil {
		return DNull, err
	}
	if !ok {
		return DNull, missingObject(t, text)
	}
	return Int(int64(oid)), nil
}

func missingObject(t *T, text string) error {
	names, _, err := splitQualifiedName(text)
	if err != nil {
		return err
	}
	name := strings.Join(names, ".")
	switch t.OID {
	case RegclassOID:
		return pgerror.Newf(pgerror.UndefinedTable, "relation \"%s\" does not exist", name)
	case RegnamespaceOID:
		return pgerror.Newf(pgerror.InvalidSchemaName, "schema \"%s\" does not exist", name)
	case RegroleOID:
		return pgerror.Newf(pgerror.UndefinedObject, "role \"%s\" does not exist", name)
	case RegcollationOID:
		return pgerror.Newf(pgerror.UndefinedObject, "collation \"%s\" for encoding \"UTF8\" does not exist", name)
	case RegconfigOID:
		return pgerror.Newf(pgerror.UndefinedObject, "text search configuration \"%s\" does not exist", name)
	}
	return pgerror.Newf(pgerror.UndefinedObject, "text search dictionary \"%s\" does not exist", name)
}

// builtinName drops pg_catalog from a name; false if it names another schema.
func builtinName(text string) (string, bool, error) {
	names, _, err := splitQualifiedName(text)
	if err != nil {
		return "", false, err
	}
	return names[len(names)-1], len(names) == 1 || len(names) == 2 && names[0] == "pg_catalog", nil
}

// splitSignature parts name(type, type).
func splitSignature(text string) (name string, args []*T, err error) {
	open := strings.IndexByte(text, '(')
	if open < 0 {
		return "", nil, pgerror.New(pgerror.InvalidTextRepresentation, "expected a left parenthesis")
	}
	if !strings.HasSuffix(trimSpace(text), ")") {
		return "", nil, pgerror.New(pgerror.InvalidTextRepresentation, "expected a right parenthesis")
	}
	body := trimSpace(text)
	body = trimSpace(body[open+1 : len(body)-1])
	if body != "" {
		for part := range strings.SplitSeq(body, ",") {
			if part = trimSpace(part); strings.EqualFold(part, "none") {
				continue
			}
			t, err := ParseTypeName(part)
			if err != nil {
				return "", nil, err
			}
			args = append(args, t)
		}
	}
	return text[:open], args, nil
}

func parseRegproc(t *T, text string) (Datum, error) {
	name, args := text, []*T(nil)
	if t.OID == RegprocedureOID {
		var err error
		if name, args, err = splitSignature(text); err != nil {
			return DNull, err
		}
	}
	plain, ok, err := builtinName(name)
	if err != nil {
		return DNull, err
	}
	var found []*Overload
	if ok {
		for _, o := range functionsByName[plain] {
			if t.OID == RegprocOID || sameTypes(o.Args, args) {
				found = append(found, o)
			}
		}
	}
	switch {
	case len(found) == 0:
		return DNull, pgerror.Newf(pgerror.UndefinedFunction, "function \"%s\" does not exist", text)
	case len(found) > 1:
		return DNull, pgerror.Newf(pgerror.AmbiguousFunction, "more than one function named \"%s\"", text)
	}
	return Int(int64(found[0].OID)), nil
}

func parseRegoper(t *T, text string) (Datum, error) {
	name, args := text, []*T(nil)
	if t.OID == RegoperatorOID {
		var err error
		if name, args, err = splitSignature(text); err != nil {
			return DNull, err
		}
	}
	name = strings.TrimPrefix(trimSpace(name), "pg_catalog.")
	var found []*Overload
	for _, o := range operatorsByName[name] {
		if t.OID == RegoperOID || sameTypes(o.Args, args) {
			found = append(found, o)
		}
	}
	switch {
	case len(found) == 0:
		return DNull, pgerror.Newf(pgerror.UndefinedFunction, "operator does not exist: %s", text)
	case len(found) > 1:
		return DNull, pgerror.Newf(pgerror.AmbiguousFunction, "more than one operator named %s", text)
	}
	return Int(int64(found[0].OID)), nil
}

func appendReg(b []byte, ctx *Context, t *T, d Datum) []byte {
	if d.I == 0 {
		return append(b, '-')
	}
	oid := OID(d.I)
	switch t.OID {
	case RegtypeOID:
		if named, ok := builtins[oid]; ok {
			return append(b, named.SQLName...)
		}
	case RegprocOID, RegprocedureOID:
		if o, ok := functionsByOID[oid]; ok {
			return appendSignature(append(b, QuoteIdentifier(o.Name)...), o, t.OID == RegprocedureOID, false)
		}
	case RegoperOID, RegoperatorOID:
		if o, ok := operatorsByOID[oid]; ok {
			return appendSignature(append(b, o.Name...), o, t.OID == RegoperatorOID, true)
		}
	}
	if ctx != nil && ctx.Session != nil {
		if name, ok, err := ctx.Session.ObjectName(ctx.context(), t, oid); err == nil && ok {
			return append(b, name...)
		}
	}
	return strconv.AppendInt(b, d.I, 10)
}

func appendSignature(b []byte, o *Overload, with, operator bool) []byte {
	if !with {
		return b
	}
	b = append(b, '(')
	if operator && len(o.Args) == 1 {
		b = append(b, "NONE,"...)
	}
	for i, t := range o.Args {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t.SQLName...)
	}
	return append(b, ')')
}

// A tid is its block in the upper bits and its offset in the lower 16.
func parseTid(text string) (Datum, error) {
	s, ok := strings.CutPrefix(text, "(")
	s, ok2 := strings.CutSuffix(s, ")")
	block, offset, ok3 := strings.Cut(s, ",")
	if ok && ok2 && ok3 {
		b, err := strconv.ParseUint(block, 10, 32)
		o, err2 := strconv.ParseUint(offset, 10, 16)
		if err == nil && err2 == nil {
			return Int(int64(b<<16 | o)), nil
		}
	}
	return DNull, invalidInput(Tid, text)
}

func appendTid(b []byte, v int64) []byte {
	return fmt.Appendf(b, "(%d,%d)", v>>16, v&0xffff)
}

func parseLSN(text string) (Datum, error) {
	high, low, ok := strings.Cut(text, "/")
	if ok && len(high) <= 8 && len(low) <= 8 {
		h, err := strconv.ParseUint(high, 16, 32)
		l, err2 := strconv.ParseUint(low, 16, 32)
		if err == nil && err2 == nil {
			return Int(int64(h<<32 | l)), nil
		}
	}
	return DNull, invalidInput(PgLSN, text)
}

func appendLSN(b []byte, v int64) []byte {
	return fmt.Appendf(b, "%X/%X", uint64(v)>>32, uint64(v)&math.MaxUint32)
}

// addToLSN moves a WAL position by bytes.
func addToLSN(lsn int64, by *apd.Decimal, sign int) (Datum, error) {
	if isNaN(by) {
		what := "add NaN to"
		if sign < 0 {
			what = "subtract NaN from"
		}
		return DNull, pgerror.New(pgerror.InvalidParameterValue, "cannot "+what+" pg_lsn")
	}
	position := new(apd.Decimal)
	position.Coeff.SetUint64(uint64(lsn))
	sum, err := addSigned(position, by, sign < 0)
	if err != nil {
		return DNull, err
	}
	if sum.Form == apd.Finite {
		if sum = RoundNumeric(sum, 0); sum.Coeff.IsUint64() && !sum.Negative {
			return Int(int64(sum.Coeff.Uint64())), nil
		}
	}
	return DNull, pgerror.New(pgerror.InvalidParameterValue, "pg_lsn out of range")
}

func defineObjects() {
	define("text_regclass", func(ctx *Context, a []Datum) (Datum, error) { return parseReg(ctx, Regclass, a[0].S) })
	for name, sign := range map[string]int{"pg_lsn_pli": 1, "numeric_pl_pg_lsn": 1, "pg_lsn_mii": -1} {
		define(name, func(_ *Context, a []Datum) (Datum, error) {
			if name == "numeric_pl_pg_lsn" {
				a = []Datum{a[1], a[0]}
			}
			return addToLSN(a[0].I, a[1].Decimal(), sign)
		})
	}
	define("pg_lsn_mi", func(_ *Context, a []Datum) (Datum, error) {
		high, low := NumericFromInt(0), NumericFromInt(0)
		high.Coeff.SetUint64(uint64(a[0].I))
		low.Coeff.SetUint64(uint64(a[1].I))
		d, err := SubtractNumeric(high, low)
		return Decimal(d), err
	})
}
