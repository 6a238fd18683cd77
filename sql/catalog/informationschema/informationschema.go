// Package informationschema is the schema information_schema: the SQL
// standard's views of the catalog as PostgreSQL 15 has them, as virtual tables
// over the descriptors of sql/catalog. Importing it registers them.
package informationschema

import (
	_ "embed"
	"strconv"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/catalog/systemtable"
	"github.com/cairndb/cairn/sql/types"
)

//go:embed columns.tsv
var columns string

func init() {
	systemtable.Register(catalog.InformationSchemaName, columns, map[string]systemtable.Definition{
		"information_schema_catalog_name": {Columns: "catalog_name", Rows: catalogNameRows},
		"schemata":                        {Columns: "catalog_name schema_name schema_owner", Rows: schemataRows},
		"tables": {Columns: "table_catalog table_schema table_name table_type is_insertable_into is_typed",
			Rows: tablesRows},
		"columns": {
			Columns: `table_catalog table_schema table_name column_name ordinal_position column_default is_nullable data_type
				character_maximum_length character_octet_length numeric_precision numeric_precision_radix numeric_scale datetime_precision
				udt_catalog udt_schema udt_name dtd_identifier is_self_referencing is_identity identity_generation identity_start
				identity_increment identity_maximum identity_minimum identity_cycle is_generated generation_expression is_updatable`,
			Rows: columnsRows,
		},
		"views": {Columns: `table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into
			is_trigger_updatable is_trigger_deletable is_trigger_insertable_into`, Rows: viewsRows},
		"sequences": {Columns: `sequence_catalog sequence_schema sequence_name data_type numeric_precision numeric_precision_radix numeric_scale
			start_value minimum_value maximum_value increment cycle_option`, Rows: sequencesRows},
		"table_constraints": {Columns: `constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name constraint_type
			is_deferrable initially_deferred enforced nulls_distinct`, Rows: tableConstraintsRows},
		"key_column_usage": {Columns: `constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name column_name
			ordinal_position position_in_unique_constraint`, Rows: keyColumnUsageRows},
		"constraint_column_usage": {Columns: "table_catalog table_schema table_name column_name constraint_catalog constraint_schema constraint_name",
			Rows: constraintColumnUsageRows},
		"referential_constraints": {Columns: `constraint_catalog constraint_schema constraint_name unique_constraint_catalog
			unique_constraint_schema unique_constraint_name match_option update_rule delete_rule`, Rows: referentialConstraintsRows},
		"check_constraints": {Columns: "constraint_catalog constraint_schema constraint_name check_clause", Rows: checkConstraintsRows},
		"enabled_roles":     {Columns: "role_name", Rows: enabledRolesRows},
	})
}

// reader is a scan with what most tables need.
type reader struct {
	*systemtable.Scan
	database types.Datum
	schemas  map[catalog.ID]types.Datum
	all      []catalog.Relation
}

// read prepares a scan over all relations that clients made.
func read(s *systemtable.Scan) (*reader, error) {
	r := &reader{Scan: s, database: types.String(s.Resolver.CurrentDatabase().Name), schemas: map[catalog.ID]types.Datum{}}
	schemas, err := s.Resolver.Schemas(s.Ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range schemas {
		r.schemas[x.ID] = types.String(x.Name)
	}
	r.all, err = s.Resolver.Relations(s.Ctx)
	return r, err
}

// baseTables returns the tables that have storage.
func (r *reader) baseTables() []*catalog.Table {
	var found []*catalog.Table
	for _, x := range r.all {
		if t, ok := x.(*catalog.Table); ok && !t.IsVirtual() {
			found = append(found, t)
		}
	}
	return found
}

func yesOrNo(b bool) types.Datum {
	if b {
		return types.String("YES")
	}
	return types.String("NO")
}

func catalogNameRows(s *systemtable.Scan) error {
	s.Emit(types.String(s.Resolver.CurrentDatabase().Name))
	return nil
}

func schemataRows(s *systemtable.Scan) error {
	schemas, err := s.Resolver.Schemas(s.Ctx)
	if err != nil {
		return err
	}
	for _, x := range schemas {
		s.Emit(types.String(s.Resolver.CurrentDatabase().Name), types.String(x.Name), types.String(x.Owner))
	}
	return nil
}

func tablesRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, x := range r.all {
		switch t := x.(type) {
		case *catalog.Table:
			kind := "BASE TABLE"
			if t.IsVirtual() && t.Schema == catalog.InformationSchemaID {
				kind = "VIEW"
			}
			s.Emit(r.database, r.schemas[t.Schema], types.String(t.Name), types.String(kind), yesOrNo(!t.IsVirtual()), yesOrNo(false))
		case *catalog.View:
			s.Emit(r.database, r.schemas[t.Schema], types.String(t.Name), types.String("VIEW"), yesOrNo(false), yesOrNo(false))
		}
	}
	return nil
}

func columnsRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, x := range r.all {
		switch t := x.(type) {
		case *catalog.Table:
			for i := range t.Columns {
				if c := &t.Columns[i]; !c.Hidden && !c.Dropped && c.State == catalog.Public {
					if err := r.column(t.Schema, t.Name, i+1, c, !t.IsVirtual()); err != nil {
						return err
					}
				}
			}
		case *catalog.View:
			for i := range t.Columns {
				if err := r.column(t.Schema, t.Name, i+1, &t.Columns[i], false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *reader) column(schema catalog.ID, relation string, number int, c *catalog.Column, updatable bool) error {
	length, octets := characterLengths(c.Type)
	precision, radix, scale := numericPrecision(c.Type)
	dataType := c.Type.SQLName
	if c.Type.Elem != nil && c.Type.Category == 'A' {
		dataType = "ARRAY"
	}
	value, generated, expression := systemtable.TextOrNull(c.Default), "NEVER", types.DNull
	if c.Generated != "" {
		value, generated, expression = types.DNull, "ALWAYS", types.String(c.Generated)
	}
	identity := []types.Datum{types.DNull, types.DNull, types.DNull, types.DNull, types.DNull}
	cycle := false
	if c.Identity != catalog.NoIdentity {
		value = types.DNull
		identity[0] = types.String("BY DEFAULT")
		if c.Identity == catalog.IdentityAlways {
			identity[0] = types.String("ALWAYS")
		}
		owned, err := r.Resolver.RelationByID(r.Ctx, c.OwnedSequence)
		if err != nil {
			return err
		}
		if q, ok := owned.(*catalog.Sequence); ok {
			cycle = q.Cycle
			for i, n := range []int64{q.Start, q.Increment, q.Max, q.Min} {
				identity[i+1] = types.String(strconv.FormatInt(n, 10))
			}
		}
	}
	r.Emit(r.database, r.schemas[schema], types.String(relation), types.String(c.Name), types.Int(int64(number)), value, yesOrNo(!c.NotNull), types.String(dataType),
		length, octets, precision, radix, scale, datetimePrecision(c.Type), r.database, types.String(catalog.PgCatalogSchemaName), types.String(c.Type.Name),
		types.String(strconv.Itoa(number)), yesOrNo(false), yesOrNo(c.Identity != catalog.NoIdentity), identity[0], identity[1], identity[2], identity[3], identity[4],
		yesOrNo(cycle), types.String(generated), expression, yesOrNo(updatable))
	return nil
}

// maxOctets is what a UTF-8 character may take.
const maxOctets = 4

func characterLengths(t *types.T) (length, octets types.Datum) {
	switch t.OID {
	case types.VarcharOID, types.BPCharOID:
		if t.Typmod >= 4 {
			return types.Int(int64(t.Typmod - 4)), types.Int(int64(t.Typmod-4) * maxOctets)
		}
		return types.DNull, types.Int(1 << 30)
	case types.TextOID:
		return types.DNull, types.Int(1 << 30)
	}
	return types.DNull, types.DNull
}

func numericPrecision(t *types.T) (precision, radix, scale types.Datum) {
	switch t.OID {
	case types.Int2OID:
		return types.Int(16), types.Int(2), types.Int(0)
	case types.Int4OID:
		return types.Int(32), types.Int(2), types.Int(0)
	case types.Int8OID:
		return types.Int(64), types.Int(2), types.Int(0)
	case types.Float4OID:
		return types.Int(24), types.Int(2), types.DNull
	case types.Float8OID:
		return types.Int(53), types.Int(2), types.DNull
	case types.NumericOID:
		if t.Typmod >= 4 {
			m := t.Typmod - 4
			return types.Int(int64(m >> 16 & 0xffff)), types.Int(10), types.Int(int64(m & 0x7ff))
		}
		return types.DNull, types.Int(10), types.DNull
	}
	return types.DNull, types.DNull, types.DNull
}

func datetimePrecision(t *types.T) types.Datum {
	switch t.OID {
	case types.DateOID:
		return types.Int(0)
	case types.TimeOID, types.TimeTZOID, types.TimestampOID, types.TimestampTZOID:
		if t.Typmod >= 0 {
			return types.Int(int64(t.Typmod))
		}
		return types.Int(6)
	case types.IntervalOID:
		return types.Int(6)
	}
	return types.DNull
}

func viewsRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, x := range r.all {
		if v, ok := x.(*catalog.View); ok {
			no := yesOrNo(false)
			s.Emit(r.database, r.schemas[v.Schema], types.String(v.Name), types.String(v.Query), types.String("NONE"), no, no, no, no, no)
		}
	}
	return nil
}

func sequencesRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, x := range r.all {
		q, ok := x.(*catalog.Sequence)
		if !ok || q.Identity {
			continue
		}
		precision, radix, scale := numericPrecision(q.Type)
		s.Emit(r.database, r.schemas[q.Schema], types.String(q.Name), types.String(q.Type.SQLName), precision, radix, scale, number(q.Start), number(q.Min), number(q.Max),
			number(q.Increment), yesOrNo(q.Cycle))
	}
	return nil
}

func number(n int64) types.Datum { return types.String(strconv.FormatInt(n, 10)) }

// constraint is a constraint of a table as these views see it.
type constraint struct {
	name string
	kind string // "PRIMARY KEY", …
	key  []catalog.ColumnID
	// foreign is set for foreign keys, index for unique ones.
	foreign *catalog.ForeignKey
	index   *catalog.Index
	check   *catalog.Check
}

func constraintsOf(t *catalog.Table) []constraint {
	var all []constraint
	for _, ix := range append([]*catalog.Index{&t.Primary}, t.PublicIndexes()...) {
		if !ix.Constraint {
			continue
		}
		c := constraint{name: ix.Name, kind: "UNIQUE", index: ix}
		if ix.Primary {
			c.kind = "PRIMARY KEY"
		}
		for _, k := range ix.Columns {
			c.key = append(c.key, k.Column)
		}
		all = append(all, c)
	}
	for i := range t.ForeignKeys {
		f := &t.ForeignKeys[i]
		all = append(all, constraint{name: f.Name, kind: "FOREIGN KEY", key: f.Columns, foreign: f})
	}
	for i := range t.Checks {
		all = append(all, constraint{name: t.Checks[i].Name, kind: "CHECK", check: &t.Checks[i]})
	}
	return all
}

// notNullName is the name that these views give to a NOT NULL of a column.
func notNullName(t *catalog.Table, c *catalog.Column) string {
	return strconv.Itoa(int(t.Schema)) + "_" + strconv.Itoa(int(t.ID)) + "_" + strconv.Itoa(int(c.ID)) + "_not_null"
}

func tableConstraintsRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, t := range r.baseTables() {
		schema := r.schemas[t.Schema]
		row := func(name, kind string, deferrable, deferred bool, distinct types.Datum) {
			s.Emit(r.database, schema, types.String(name), r.database, schema, types.String(t.Name), types.String(kind), yesOrNo(deferrable), yesOrNo(deferred), yesOrNo(true), distinct)
		}
		for _, c := range constraintsOf(t) {
			distinct := types.DNull
			if c.kind == "UNIQUE" {
				distinct = yesOrNo(!c.index.NullsNotDistinct)
			}
			row(c.name, c.kind, c.foreign != nil && c.foreign.Deferrable, c.foreign != nil && c.foreign.InitiallyDeferred, distinct)
		}
		for _, c := range t.VisibleColumns() {
			if c.NotNull {
				row(notNullName(t, c), "CHECK", false, false, types.DNull)
			}
		}
	}
	return nil
}

func keyColumnUsageRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, t := range r.baseTables() {
		schema := r.schemas[t.Schema]
		for _, c := range constraintsOf(t) {
			for i, id := range c.key {
				position := types.DNull
				if c.foreign != nil {
					if position, err = r.positionInUnique(c.foreign, i); err != nil {
						return err
					}
				}
				s.Emit(r.database, schema, types.String(c.name), r.database, schema, types.String(t.Name), types.String(t.Column(id).Name), types.Int(int64(i+1)), position)
			}
		}
	}
	return nil
}

// positionInUnique returns where column i of a foreign key stands in the
// unique constraint that it references.
func (r *reader) positionInUnique(f *catalog.ForeignKey, i int) (types.Datum, error) {
	referenced, err := r.Resolver.TableByID(r.Ctx, f.ReferencedTable)
	if err != nil {
		return types.DNull, err
	}
	if ix := referenced.Index(f.ReferencedIndex); ix != nil {
		for n, k := range ix.Columns {
			if k.Column == f.ReferencedColumns[i] {
				return types.Int(int64(n + 1)), nil
			}
		}
	}
	return types.DNull, nil
}

func constraintColumnUsageRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, t := range r.baseTables() {
		for _, c := range constraintsOf(t) {
			of, used := t, c.key
			switch {
			case c.foreign != nil:
				if of, err = r.Resolver.TableByID(r.Ctx, c.foreign.ReferencedTable); err != nil {
					return err
				}
				used = c.foreign.ReferencedColumns
			case c.check != nil:
				used = c.check.Columns
			}
			for _, id := range used {
				s.Emit(r.database, r.schemas[of.Schema], types.String(of.Name), types.String(of.Column(id).Name), r.database, r.schemas[t.Schema], types.String(c.name))
			}
		}
	}
	return nil
}

var actionNames = map[catalog.Action]string{catalog.NoAction: "NO ACTION", catalog.Restrict: "RESTRICT", catalog.Cascade: "CASCADE",
	catalog.SetNull: "SET NULL", catalog.SetDefault: "SET DEFAULT"}

func referentialConstraintsRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, t := range r.baseTables() {
		for i := range t.ForeignKeys {
			f := &t.ForeignKeys[i]
			referenced, err := s.Resolver.TableByID(s.Ctx, f.ReferencedTable)
			if err != nil {
				return err
			}
			uniqueDatabase, uniqueSchema, unique := types.DNull, types.DNull, types.DNull
			if ix := referenced.Index(f.ReferencedIndex); ix != nil && ix.Constraint {
				uniqueDatabase, uniqueSchema, unique = r.database, r.schemas[referenced.Schema], types.String(ix.Name)
			}
			match := "NONE"
			if f.MatchFull {
				match = "FULL"
			}
			s.Emit(r.database, r.schemas[t.Schema], types.String(f.Name), uniqueDatabase, uniqueSchema, unique, types.String(match),
				types.String(actionNames[f.OnUpdate]), types.String(actionNames[f.OnDelete]))
		}
	}
	return nil
}

func checkConstraintsRows(s *systemtable.Scan) error {
	r, err := read(s)
	if err != nil {
		return err
	}
	for _, t := range r.baseTables() {
		for _, c := range t.Checks {
			s.Emit(r.database, r.schemas[t.Schema], types.String(c.Name), types.String("("+c.Expr+")"))
		}
		for _, c := range t.VisibleColumns() {
			if c.NotNull {
				s.Emit(r.database, r.schemas[t.Schema], types.String(notNullName(t, c)), types.String(c.Name+" IS NOT NULL"))
			}
		}
	}
	return nil
}

func enabledRolesRows(s *systemtable.Scan) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		s.Emit(types.String(r.Name))
	}
	return nil
}
