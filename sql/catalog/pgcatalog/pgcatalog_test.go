package pgcatalog

import (
	"context"
	"testing"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// shop resolves a table with a primary key, a check and a foreign key to
// itself, and a sequence that it owns. Methods that virtual tables don't call
// are nil.
type shop struct{ catalog.Resolver }

var (
	goods = &catalog.Table{Header: catalog.Header{ID: 20000, Name: "goods", Owner: "postgres"}, Schema: catalog.PublicSchemaID,
		Columns: []catalog.Column{
			{ID: 1, Name: "id", Type: types.Int4, NotNull: true, Default: "nextval('goods_id_seq'::regclass)", OwnedSequence: 20001},
			{ID: 2, Name: "gone", Type: types.Text, Dropped: true},
			{ID: 3, Name: "parent", Type: types.Int4, Comment: "a good it is part of"},
		},
		Primary: catalog.Index{ID: 1, OID: 20002, Name: "goods_pkey", Unique: true, Primary: true, Constraint: true, ConstraintOID: 20003, Columns: []catalog.IndexColumn{{Column: 1}}},
		Indexes: []catalog.Index{{ID: 2, OID: 20004, Name: "goods_parent_idx", Columns: []catalog.IndexColumn{{Column: 3, Descending: true, NullsFirst: true}}, Stored: []catalog.ColumnID{1}}},
		Checks:  []catalog.Check{{OID: 20005, Name: "goods_check", Expr: "(parent <> id)", Columns: []catalog.ColumnID{3, 1}}},
		ForeignKeys: []catalog.ForeignKey{{OID: 20006, Name: "goods_parent_fkey", Table: 20000, Columns: []catalog.ColumnID{3}, ReferencedTable: 20000,
			ReferencedColumns: []catalog.ColumnID{1}, ReferencedIndex: 1, OnDelete: catalog.Cascade}},
		RowEstimate: -1,
	}
	numbers = &catalog.Sequence{Header: catalog.Header{ID: 20001, Name: "goods_id_seq", Owner: "postgres"}, Schema: catalog.PublicSchemaID,
		StoredType: catalog.StoredType{OID: types.Int4OID}, OwnerTable: 20000, OwnerColumn: 1, Increment: 1, Min: 1, Start: 1, Max: 1 << 31}
)

func (shop) Relations(context.Context) ([]catalog.Relation, error) {
	return []catalog.Relation{goods, numbers}, nil
}

func (shop) RelationByID(_ context.Context, id catalog.ID) (catalog.Relation, error) {
	switch id {
	case goods.ID:
		return goods, nil
	case numbers.ID:
		return numbers, nil
	}
	return nil, nil
}

func (shop) TableByID(context.Context, catalog.ID) (*catalog.Table, error) { return goods, nil }

func (shop) Roles(context.Context) ([]*catalog.Role, error) {
	return []*catalog.Role{{Header: catalog.Header{ID: 10, Name: "postgres"}, Superuser: true, Login: true}}, nil
}

func (shop) Schemas(context.Context) ([]*catalog.Schema, error) {
	return []*catalog.Schema{{Header: catalog.Header{ID: catalog.PublicSchemaID, Name: "public", Owner: "postgres"}}}, nil
}

func (shop) Databases(context.Context) ([]*catalog.Database, error) {
	return []*catalog.Database{{Header: catalog.Header{ID: 5, Name: "postgres", Owner: "postgres"}}}, nil
}

// rows reads a table and checks that each value fits its column.
func rows(t *testing.T, name string, constraints ...catalog.VirtualConstraint) []map[string]types.Datum {
	t.Helper()
	table := systemCatalogs[name]
	if table == nil {
		t.Fatalf("no table %s", name)
	}
	var all []map[string]types.Datum
	err := table.Virtual.Rows(context.Background(), &catalog.VirtualEnv{Resolver: shop{}}, constraints, func(row []types.Datum) error {
		m := map[string]types.Datum{}
		for i, c := range table.Columns {
			if c.NotNull && row[i].Null {
				t.Errorf("%s.%s is NULL", name, c.Name)
			}
			if !row[i].Null && c.Type.Family == types.ArrayFamily {
				types.AppendText(nil, nil, c.Type, row[i])
			}
			m[c.Name] = row[i]
		}
		all = append(all, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAllTablesGiveRowsThatFit(t *testing.T) {
	for name, atLeast := range map[string]int{
		"pg_class": 4, "pg_attribute": 9, "pg_index": 2, "pg_constraint": 3, "pg_attrdef": 1, "pg_namespace": 1, "pg_sequence": 1, "pg_depend": 3,
		"pg_description": 1, "pg_tables": 1, "pg_indexes": 2, "pg_sequences": 1, "pg_type": 50, "pg_operator": 300, "pg_am": 2, "pg_collation": 3, "pg_language": 3,
		"pg_database": 1, "pg_authid": 1, "pg_roles": 1, "pg_user": 1, "pg_shadow": 1, "pg_tablespace": 2,
	} {
		if got := len(rows(t, name)); got < atLeast {
			t.Errorf("%s has %d rows, fewer than %d", name, got, atLeast)
		}
	}
}

func TestLookupsFindWhatAFullReadFinds(t *testing.T) {
	for _, c := range []struct {
		table, column string
		number        catalog.ColumnID
	}{{"pg_class", "oid", 1}, {"pg_attribute", "attrelid", 1}, {"pg_index", "indrelid", 2}, {"pg_constraint", "conrelid", 8}, {"pg_sequence", "seqrelid", 1}} {
		for _, id := range []int64{20000, 20001, 20004, 99} {
			want := 0
			for _, r := range rows(t, c.table) {
				if r[c.column].I == id {
					want++
				}
			}
			got := 0
			for _, r := range rows(t, c.table, catalog.VirtualConstraint{Column: c.number, Values: []types.Datum{types.Int(id)}}) {
				if r[c.column].I == id {
					got++
				}
			}
			if got != want {
				t.Errorf("%s with %s = %d: %d rows, a full read has %d", c.table, c.column, id, got, want)
			}
		}
	}
}

func TestIndexDefinition(t *testing.T) {
	const want = "CREATE INDEX goods_parent_idx ON public.goods USING btree (parent DESC) INCLUDE (id)"
	if got := IndexDefinition(goods, &goods.Indexes[0], "public"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
