package catalog

import (
	"context"
	"fmt"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

// Bootstrap writes what every cluster is born with: the database and the role
// postgres, the schema public and the role that owns it, whose only member is
// the owner of the database. It does nothing where that is there.
func Bootstrap(ctx context.Context, t *txn.Txn) error {
	responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: epochKey, Lock: kvpb.LockUpdate}}})
	if err != nil {
		return err
	}
	if responses[0].Value != nil {
		return nil
	}
	born := []Descriptor{
		&Role{Header: Header{ID: BootstrapSuperuserID, Name: DefaultSuperuserName, Version: 1},
			Superuser: true, CreateDB: true, CreateRole: true, Login: true, Inherit: true, ConnLimit: -1},
		&Role{Header: Header{ID: DatabaseOwnerRoleID, Name: DatabaseOwnerRoleName, Version: 1}, Inherit: true, ConnLimit: -1},
		&Database{Header: Header{ID: PostgresDatabaseID, Name: DefaultDatabaseName, Version: 1, Owner: DefaultSuperuserName,
			Comment: "default administrative connection database"}},
		&Schema{Header: Header{ID: PublicSchemaID, Name: PublicSchemaName, Version: 1, Owner: DatabaseOwnerRoleName,
			Comment: "standard public schema"}, Database: PostgresDatabaseID},
	}
	batch := &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: epochKey, Value: encodeEpoch(1)}}}
	for _, d := range born {
		value, err := encode(d)
		if err != nil {
			return err
		}
		batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Put, Key: descriptorKey(d.Head().ID), Value: value})
		for _, n := range namesOf(d) {
			batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Put, Key: n.key(), Value: encodeID(d.Head().ID)})
		}
	}
	_, err = t.Send(ctx, batch)
	return err
}

// The virtual schemas and their tables, which all databases share. They are
// filled in by init functions and constant afterwards.
var (
	virtualSchemas = map[string]*Schema{
		PgCatalogSchemaName: {Header: Header{ID: PgCatalogSchemaID, Name: PgCatalogSchemaName, Version: 1, Owner: DefaultSuperuserName,
			Comment: "system catalog schema"}, Virtual: true},
		InformationSchemaName: {Header: Header{ID: InformationSchemaID, Name: InformationSchemaName, Version: 1, Owner: DefaultSuperuserName}, Virtual: true},
	}
	virtualByID = map[ID]Descriptor{
		PgCatalogSchemaID:   virtualSchemas[PgCatalogSchemaName],
		InformationSchemaID: virtualSchemas[InformationSchemaName],
	}
	virtualNames  = map[nameKey]ID{}
	virtualTables []Relation
)

func isVirtualSchema(id ID) bool { return id == PgCatalogSchemaID || id == InformationSchemaID }

// RegisterVirtual adds a virtual table to pg_catalog or information_schema of
// every database. t needs Name, ID, Columns (names and types) and Virtual; the
// rest is filled in. It is called in init functions only.
func RegisterVirtual(schema string, t *Table) {
	s := virtualSchemas[schema]
	if s == nil || t.ID == 0 || t.ID >= FirstUserID || virtualByID[t.ID] != nil {
		panic(fmt.Sprintf("catalog: virtual table %s.%s with id %d", schema, t.Name, t.ID))
	}
	t.Schema, t.Version, t.Owner, t.RowEstimate = s.ID, 1, DefaultSuperuserName, -1
	for i := range t.Columns {
		t.Columns[i].ID = ColumnID(i + 1)
	}
	t.NextColumn, t.NextIndex = ColumnID(len(t.Columns)+1), 1
	virtualByID[t.ID] = t
	virtualNames[nameKey{s.ID, relationNames, t.Name}] = t.ID
	virtualTables = append(virtualTables, t)
}

// RegisterVirtualView is RegisterVirtual for a view: Name, ID, Query and
// Columns are needed.
func RegisterVirtualView(schema string, v *View) {
	s := virtualSchemas[schema]
	if s == nil || v.ID == 0 || v.ID >= FirstUserID || virtualByID[v.ID] != nil {
		panic(fmt.Sprintf("catalog: virtual view %s.%s with id %d", schema, v.Name, v.ID))
	}
	v.Schema, v.Version, v.Owner = s.ID, 1, DefaultSuperuserName
	for i := range v.Columns {
		v.Columns[i].ID = ColumnID(i + 1)
	}
	virtualByID[v.ID] = v
	virtualNames[nameKey{s.ID, relationNames, v.Name}] = v.ID
	virtualTables = append(virtualTables, v)
}
