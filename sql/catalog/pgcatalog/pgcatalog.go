// Package pgcatalog is the schema pg_catalog: PostgreSQL 15's system catalogs
// as virtual tables over the descriptors of sql/catalog, as far as psql,
// drivers and ORMs ask them. Importing it registers them.
//
//	relations.go   pg_class, pg_attribute, pg_index, pg_constraint, pg_attrdef, pg_sequence, …
//	types.go       pg_type, pg_proc, pg_operator, … from the registry of sql/types
//	cluster.go     pg_database, pg_roles, pg_settings, pg_stat_activity, …
//
// OIDs are those of the descriptors; what has no descriptor of its own
// (defaults, row types) has one that is made of its owner's.
package pgcatalog

import (
	_ "embed"
	"hash/fnv"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/catalog/systemtable"
	"github.com/cairndb/cairn/sql/types"
)

//go:embed columns.tsv
var columns string

// systemCatalogs are the tables of pg_catalog by name.
var systemCatalogs = register()

func register() map[string]*catalog.Table {
	definitions := map[string]systemtable.Definition{}
	for _, group := range []map[string]systemtable.Definition{relationTables, typeTables, clusterTables} {
		for name, d := range group {
			definitions[name] = d
		}
	}
	return systemtable.Register(catalog.PgCatalogSchemaName, columns, definitions)
}

// OIDs of system catalogs, for pg_depend and pg_description.
const (
	pgClassOID      catalog.ID = 1259
	pgConstraintOID catalog.ID = 2606
	pgNamespaceOID  catalog.ID = 2615
	pgDatabaseOID   catalog.ID = 1262
	pgAuthidOID     catalog.ID = 1260
)

// Access methods, tablespaces and collations.
const (
	heapMethod        = 2
	btreeMethod       = 403
	defaultTablespace = 1663
	globalTablespace  = 1664
	defaultCollation  = 100
	cCollation        = 950
)

// derivedOID returns the OID of something that has none of its own: part n, of
// a kind, of an object. It lies where no descriptor's does.
func derivedOID(kind byte, owner catalog.ID, n int64) catalog.ID {
	h := fnv.New32a()
	h.Write([]byte{kind, byte(owner), byte(owner >> 8), byte(owner >> 16), byte(owner >> 24), byte(n), byte(n >> 8)})
	return catalog.ID(h.Sum32() | 1<<31)
}

// relations returns those relations that a scan is about: the lookup column n
// is their OID.
func relations(s *systemtable.Scan, n int) ([]catalog.Relation, error) {
	values, restricted := s.Wanted(n)
	if !restricted {
		return s.Resolver.Relations(s.Ctx)
	}
	var found []catalog.Relation
	for _, v := range values {
		if v.Null || slices.ContainsFunc(found, func(r catalog.Relation) bool { return int64(r.Head().ID) == v.I }) {
			continue
		}
		r, err := s.Resolver.RelationByID(s.Ctx, catalog.ID(v.I))
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// tables returns the base tables among relations.
func tables(s *systemtable.Scan, n int) ([]*catalog.Table, error) {
	all, err := relations(s, n)
	return baseTables(all), err
}

// allTables returns the base tables of the database.
func allTables(s *systemtable.Scan) ([]*catalog.Table, error) {
	all, err := s.Resolver.Relations(s.Ctx)
	return baseTables(all), err
}

func baseTables(all []catalog.Relation) []*catalog.Table {
	var found []*catalog.Table
	for _, r := range all {
		if t, ok := r.(*catalog.Table); ok && !t.IsVirtual() {
			found = append(found, t)
		}
	}
	return found
}

// roleIDs returns the OIDs of roles by name.
func roleIDs(s *systemtable.Scan) (map[string]catalog.ID, error) {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]catalog.ID, len(roles))
	for _, r := range roles {
		ids[r.Name] = r.ID
	}
	ids[""] = catalog.BootstrapSuperuserID
	return ids, nil
}

// schemaNames returns the names of schemas by OID.
func schemaNames(s *systemtable.Scan) (map[catalog.ID]string, error) {
	schemas, err := s.Resolver.Schemas(s.Ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[catalog.ID]string, len(schemas))
	for _, x := range schemas {
		names[x.ID] = x.Name
	}
	return names, nil
}

// indexesOf returns the indexes that clients see: not the primary index of a
// table without PRIMARY KEY.
func indexesOf(t *catalog.Table) []*catalog.Index {
	var all []*catalog.Index
	if t.HasPrimaryKey() {
		all = append(all, &t.Primary)
	}
	for i := range t.Indexes {
		if t.Indexes[i].State != catalog.Absent {
			all = append(all, &t.Indexes[i])
		}
	}
	return all
}

func collationOf(t *types.T) int64 {
	if t.Elem != nil {
		t = t.Elem
	}
	switch t.OID {
	case types.TextOID, types.VarcharOID, types.BPCharOID:
		return defaultCollation
	case types.NameOID:
		return cCollation
	}
	return 0
}
