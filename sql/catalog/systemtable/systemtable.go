// Package systemtable makes the virtual tables of pg_catalog and
// information_schema from the facts about their columns and from functions that
// yield their rows.
//
//	columns.tsv (what PostgreSQL 15 has) ─┐
//	rows: the columns that Cairn fills  ──┴→ catalog.RegisterVirtual
//
// A table without rows is one about a feature that Cairn does not have: it
// really is empty. Everything here runs in init functions.
package systemtable

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// Scan is one reading of a virtual table.
type Scan struct {
	Ctx      context.Context
	Resolver catalog.Resolver
	Session  catalog.SessionState // nil in tests

	constraints []catalog.VirtualConstraint
	defaults    []types.Datum
	ordinals    []int // of the columns that rows give, in the table
	row         []types.Datum
	emit        func([]types.Datum) error
	lookups     []catalog.ColumnID
	err         error
}

// Emit adds a row: a value for each of the columns that the table was defined
// with, in their order. It reports whether more rows are wanted.
func (s *Scan) Emit(values ...types.Datum) bool {
	if s.err != nil {
		return false
	}
	if len(values) != len(s.ordinals) {
		s.err = fmt.Errorf("systemtable: a row of %d values for %d columns", len(values), len(s.ordinals))
		return false
	}
	copy(s.row, s.defaults)
	for i, v := range values {
		s.row[s.ordinals[i]] = v
	}
	s.err = s.emit(s.row)
	return s.err == nil
}

// Wanted returns the values that the lookup column n (counted as in the
// table's definition, from 0) is restricted to, and whether it is at all.
func (s *Scan) Wanted(n int) ([]types.Datum, bool) {
	for _, c := range s.constraints {
		if c.Column == s.lookups[n] {
			return c.Values, true
		}
	}
	return nil, false
}

// WantsID reports whether rows about an object are wanted, as far as lookup
// column n, its OID, says.
func (s *Scan) WantsID(n int, id catalog.ID) bool {
	values, restricted := s.Wanted(n)
	if !restricted {
		return true
	}
	for _, v := range values {
		if !v.Null && v.I == int64(id) {
			return true
		}
	}
	return false
}

// Definition says how a table gets its rows.
type Definition struct {
	// Columns are the names of those that Rows gives values for, separated by
	// spaces. The others are NULL, or zero where they are never NULL.
	Columns string
	// Lookups are columns by which Rows looks things up.
	Lookups string
	// Rows calls Emit for each row; nil: there are none.
	Rows func(*Scan) error
}

// Register registers the tables that facts describe, with the rows of
// definitions. Each line of facts has the table's OID, its name and kind, a
// column's name and type, and whether it is NOT NULL, separated by tabs. It
// returns the tables by name.
func Register(schema, facts string, definitions map[string]Definition) map[string]*catalog.Table {
	tables := map[string]*catalog.Table{}
	var t *catalog.Table
	finish := func() {
		if t != nil {
			define(t, definitions[t.Name])
			delete(definitions, t.Name)
			catalog.RegisterVirtual(schema, t)
			tables[t.Name] = t
		}
	}
	for line := range strings.Lines(facts) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		oid, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			panic(fmt.Sprintf("systemtable: %q: %v", line, err))
		}
		if t == nil || t.ID != catalog.ID(oid) {
			finish()
			t = &catalog.Table{Header: catalog.Header{ID: catalog.ID(oid), Name: f[1]}}
		}
		typ, ok := types.ByName(f[4])
		if !ok {
			panic(fmt.Sprintf("systemtable: column %s.%s has the unknown type %s", f[1], f[3], f[4]))
		}
		t.Columns = append(t.Columns, catalog.Column{Name: f[3], Type: typ, NotNull: f[5] == "t",
			StoredType: catalog.StoredType{OID: typ.OID, Typmod: -1}})
	}
	finish()
	for name := range definitions {
		panic("systemtable: rows without columns: " + name)
	}
	return tables
}

func define(t *catalog.Table, d Definition) {
	defaults := make([]types.Datum, len(t.Columns))
	ordinalOf := map[string]int{}
	for i, c := range t.Columns {
		ordinalOf[c.Name] = i
		if !c.NotNull {
			defaults[i] = types.DNull
		} else if c.Type.Family == types.ArrayFamily {
			defaults[i] = types.ArrayOf(types.VectorOf(c.Type, nil))
		}
	}
	ordinal := func(name string) int {
		i, ok := ordinalOf[name]
		if !ok {
			panic(fmt.Sprintf("systemtable: %s has no column %s", t.Name, name))
		}
		return i
	}
	var ordinals []int
	for name := range strings.FieldsSeq(d.Columns) {
		ordinals = append(ordinals, ordinal(name))
	}
	var lookups []catalog.ColumnID
	for name := range strings.FieldsSeq(d.Lookups) {
		lookups = append(lookups, catalog.ColumnID(ordinal(name)+1))
	}
	t.Virtual = &catalog.VirtualTable{Lookups: lookups,
		Rows: func(ctx context.Context, env *catalog.VirtualEnv, constraints []catalog.VirtualConstraint, emit func([]types.Datum) error) error {
			if d.Rows == nil {
				return nil
			}
			s := &Scan{Ctx: ctx, Resolver: env.Resolver, Session: env.Session, constraints: constraints, defaults: defaults,
				ordinals: ordinals, row: make([]types.Datum, len(defaults)), emit: emit, lookups: lookups}
			if err := d.Rows(s); err != nil {
				return err
			}
			return s.err
		}}
}

// ID returns an object's id as a datum.
func ID(id catalog.ID) types.Datum { return types.Int(int64(id)) }

// OID returns an OID as a datum.
func OID(oid types.OID) types.Datum { return types.Int(int64(oid)) }

// TextOrNull returns a text, NULL for an empty one.
func TextOrNull(s string) types.Datum {
	if s == "" {
		return types.DNull
	}
	return types.String(s)
}

// Integers returns an array, or a vector type's value, of numbers.
func Integers[N ~int | ~int16 | ~int32 | ~int64 | ~uint32](array *types.T, numbers []N) types.Datum {
	elements := make([]types.Datum, len(numbers))
	for i, n := range numbers {
		elements[i] = types.Int(int64(n))
	}
	if array.OID == types.Int2VectorOID || array.OID == types.OIDVectorOID {
		return types.ArrayOf(types.VectorOf(array, elements))
	}
	return types.ArrayOf(types.NewArray(array.Elem, elements))
}
