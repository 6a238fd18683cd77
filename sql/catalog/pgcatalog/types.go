package pgcatalog

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/catalog/systemtable"
	"github.com/cairndb/cairn/sql/types"
)

// typeTables are about types, functions and operators.
var typeTables = map[string]systemtable.Definition{
	"pg_type": {
		Columns: `oid typname typnamespace typowner typlen typbyval typtype typcategory typispreferred typisdefined typdelim typelem typarray
			typalign typstorage typtypmod typcollation`,
		Lookups: "oid", Rows: typeRows,
	},
	"pg_proc": {
		Columns: `oid proname pronamespace proowner prolang procost prorows provariadic prokind proisstrict proretset provolatile proparallel
			pronargs pronargdefaults prorettype proargtypes proargnames prosrc`,
		Rows: procedureRows,
	},
	"pg_operator": {
		Columns: "oid oprname oprnamespace oprowner oprkind oprcanmerge oprcanhash oprleft oprright oprresult oprcom oprnegate oprcode",
		Rows:    operatorRows,
	},
	"pg_am":        {Columns: "oid amname amhandler amtype", Rows: methodRows},
	"pg_collation": {Columns: "oid collname collnamespace collowner collprovider collisdeterministic collencoding collcollate collctype", Rows: collationRows},
	"pg_language":  {Columns: "oid lanname lanowner lanispl lanpltrusted", Rows: languageRows},
}

func itoa(n int) string { return strconv.Itoa(n) }

// byValue, alignment and storage are pg_type's typbyval, typalign, typstorage.
func byValue(t *types.T) bool { return t.Size == 1 || t.Size == 2 || t.Size == 4 || t.Size == 8 }

func alignment(t *types.T) byte {
	switch {
	case t.Size == 1, t.OID == types.UUIDOID, t.OID == types.NameOID:
		return 'c'
	case t.Size == 2:
		return 's'
	case t.Size == 8 || t.Size == 16, t.OID == types.TimeTZOID, t.Elem != nil && t.Elem.Size == 8:
		return 'd'
	default:
		return 'i'
	}
}

func storage(t *types.T) byte {
	switch {
	case t.Size > 0 || t.Size == -2, t.OID == types.Int2VectorOID, t.OID == types.OIDVectorOID:
		return 'p'
	case t.OID == types.NumericOID:
		return 'm'
	default:
		return 'x'
	}
}

func typeRows(s *systemtable.Scan) error {
	for _, t := range types.All() {
		if !s.WantsID(0, catalog.ID(t.OID)) {
			continue
		}
		kind := byte('b')
		if t.IsPseudo() && t.OID != types.UnknownOID {
			kind = 'p'
		}
		element := types.OID(0)
		if t.Elem != nil {
			element = t.Elem.OID
		}
		s.Emit(systemtable.OID(t.OID), types.String(t.Name), systemtable.ID(catalog.PgCatalogSchemaID), systemtable.ID(catalog.BootstrapSuperuserID), types.Int(int64(t.Size)),
			types.Bool(byValue(t)), char(kind), char(t.Category), types.Bool(t.Preferred), types.Bool(true), char(','), systemtable.OID(element), systemtable.OID(t.ArrayOID),
			char(alignment(t)), char(storage(t)), types.Int(-1), types.Int(collationOf(t)))
	}
	return nil
}

var procedureKinds = map[types.Kind]byte{types.ScalarFunction: 'f', types.SetFunction: 'f', types.AggregateFunction: 'a', types.WindowFunction: 'w'}

func procedureRows(s *systemtable.Scan) error {
	for _, f := range types.AllFunctions() {
		arguments := make([]types.OID, len(f.Args))
		for i, t := range f.Args {
			arguments[i] = t.OID
		}
		variadic, rows := types.OID(0), 0.0
		if f.Variadic && len(f.Args) > 0 {
			last := f.Args[len(f.Args)-1]
			if variadic = types.AnyOID; last.Elem != nil {
				variadic = last.Elem.OID
			}
		}
		if f.Kind == types.SetFunction {
			rows = 1000
		}
		names := types.DNull
		if len(f.ArgNames) > 0 {
			elements := make([]types.Datum, len(f.ArgNames))
			for i, n := range f.ArgNames {
				elements[i] = types.String(n)
			}
			names = types.ArrayOf(types.NewArray(types.Text, elements))
		}
		s.Emit(systemtable.OID(f.OID), types.String(f.Name), systemtable.ID(catalog.PgCatalogSchemaID), systemtable.ID(catalog.BootstrapSuperuserID), types.Int(internalLanguage),
			types.Float(1), types.Float(rows), systemtable.OID(variadic), char(procedureKinds[f.Kind]), types.Bool(!f.CalledOnNull), types.Bool(f.Kind == types.SetFunction),
			char(f.Volatility), char('s'), types.Int(int64(len(f.Args))), types.Int(int64(len(f.Defaults))), systemtable.OID(f.Return.OID),
			systemtable.Integers(types.OIDVector, arguments), names, types.String(f.Name))
	}
	return nil
}

func operatorRows(s *systemtable.Scan) error {
	for _, o := range types.AllOperators() {
		kind, left, right := byte('b'), types.OID(0), o.Args[len(o.Args)-1].OID
		if len(o.Args) == 1 {
			kind = 'l'
		} else {
			left = o.Args[0].OID
		}
		s.Emit(systemtable.OID(o.OID), types.String(o.Name), systemtable.ID(catalog.PgCatalogSchemaID), systemtable.ID(catalog.BootstrapSuperuserID), char(kind),
			types.Bool(o.Mergeable), types.Bool(o.Hashable), systemtable.OID(left), systemtable.OID(right), systemtable.OID(o.Return.OID), systemtable.OID(o.Commutator),
			systemtable.OID(o.Negator), systemtable.OID(o.ProcedureOID))
	}
	return nil
}

func methodRows(s *systemtable.Scan) error {
	s.Emit(types.Int(heapMethod), types.String("heap"), types.Int(3), char('t'))
	s.Emit(types.Int(btreeMethod), types.String("btree"), types.Int(330), char('i'))
	return nil
}

func collationRows(s *systemtable.Scan) error {
	for _, c := range []struct {
		oid      int64
		name     string
		provider byte
		locale   string
	}{{defaultCollation, "default", 'd', ""}, {cCollation, "C", 'c', "C"}, {951, "POSIX", 'c', "POSIX"}} {
		s.Emit(types.Int(c.oid), types.String(c.name), systemtable.ID(catalog.PgCatalogSchemaID), systemtable.ID(catalog.BootstrapSuperuserID), char(c.provider), types.Bool(true),
			types.Int(-1), systemtable.TextOrNull(c.locale), systemtable.TextOrNull(c.locale))
	}
	return nil
}

// internalLanguage is the language of built-in functions.
const internalLanguage = 12

func languageRows(s *systemtable.Scan) error {
	for i, name := range strings.Fields("internal c sql") {
		s.Emit(types.Int(int64(internalLanguage+i)), types.String(name), systemtable.ID(catalog.BootstrapSuperuserID), types.Bool(false), types.Bool(name == "sql"))
	}
	return nil
}
