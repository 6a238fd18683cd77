package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// documentFormat is the version of the documents' form.
const documentFormat = 1

// document is a descriptor as it is stored.
type document struct {
	Format     int             `json:"format"`
	Kind       Kind            `json:"kind"`
	Descriptor json.RawMessage `json:"descriptor"`
}

// epochKey holds the schema epoch, 8 bytes big endian: it sorts before all
// descriptors, so that one scan reads both.
var epochKey = descriptorKey(0)

func descriptorKey(id ID) []byte {
	k := append([]byte(nil), keys.DescriptorPrefix...)
	return binary.BigEndian.AppendUint32(k, uint32(id))
}

// nameSpace tells apart what names must be unique among.
type nameSpace byte

const (
	databaseNames nameSpace = 'd'
	schemaNames   nameSpace = 'n'
	relationNames nameSpace = 'r' // tables, indexes, views, sequences
	roleNames     nameSpace = 'a'
)

// nameKey is a name within its parent: a schema, a database, or 0 for what
// belongs to the cluster.
type nameKey struct {
	parent ID
	space  nameSpace
	name   string
}

func (k nameKey) key() []byte {
	b := append([]byte(nil), keys.NamespacePrefix...)
	b = binary.BigEndian.AppendUint32(b, uint32(k.parent))
	return append(append(b, byte(k.space)), k.name...)
}

// namesOf returns all names that a descriptor takes; the first is its own.
func namesOf(d Descriptor) []nameKey {
	name := d.Head().Name
	switch d := d.(type) {
	case *Database:
		return []nameKey{{0, databaseNames, name}}
	case *Role:
		return []nameKey{{0, roleNames, name}}
	case *Schema:
		return []nameKey{{d.Database, schemaNames, name}}
	case *Table:
		names := make([]nameKey, 1, 2+len(d.Indexes))
		names[0] = nameKey{d.Schema, relationNames, name}
		if d.Primary.Primary {
			names = append(names, nameKey{d.Schema, relationNames, d.Primary.Name})
		}
		for i := range d.Indexes {
			if ix := &d.Indexes[i]; ix.Name != "" {
				names = append(names, nameKey{d.Schema, relationNames, ix.Name})
			}
		}
		return names
	case Relation:
		return []nameKey{{d.SchemaOf(), relationNames, name}}
	}
	panic(fmt.Sprintf("catalog: descriptor of type %T", d))
}

// nameTaken is PostgreSQL's error for a name that something else has.
func nameTaken(k nameKey) error {
	switch k.space {
	case databaseNames:
		return pgerror.Newf(pgerror.DuplicateDatabase, "database %q already exists", k.name)
	case schemaNames:
		return pgerror.Newf(pgerror.DuplicateSchema, "schema %q already exists", k.name)
	case roleNames:
		return pgerror.Newf(pgerror.DuplicateObject, "role %q already exists", k.name)
	default:
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", k.name)
	}
}

// encode returns the stored form of a descriptor.
func encode(d Descriptor) ([]byte, error) {
	switch d := d.(type) {
	case *Table:
		storeTypes(d.Columns)
	case *View:
		storeTypes(d.Columns)
	case *Sequence:
		d.StoredType = StoredType{OID: d.Type.OID, Typmod: d.Type.Typmod}
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return json.Marshal(document{Format: documentFormat, Kind: d.Kind(), Descriptor: body})
}

func storeTypes(columns []Column) {
	for i := range columns {
		if t := columns[i].Type; t != nil {
			columns[i].StoredType = StoredType{OID: t.OID, Typmod: t.Typmod}
		}
	}
}

// decode reads what encode wrote.
func decode(kv kvpb.KeyValue) (Descriptor, error) {
	damaged := func(err error) error {
		return pgerror.Newf(pgerror.DataCorrupted, "the stored descriptor at %x is damaged: %v", kv.Key, err)
	}
	var doc document
	if err := json.Unmarshal(kv.Value, &doc); err != nil {
		return nil, damaged(err)
	}
	if doc.Format != documentFormat {
		return nil, damaged(fmt.Errorf("unknown format %d", doc.Format))
	}
	var d Descriptor
	switch doc.Kind {
	case DatabaseKind:
		d = new(Database)
	case SchemaKind:
		d = new(Schema)
	case TableKind:
		d = &Table{RowEstimate: -1}
	case ViewKind:
		d = new(View)
	case SequenceKind:
		d = new(Sequence)
	case RoleKind:
		d = new(Role)
	default:
		return nil, damaged(fmt.Errorf("unknown kind %d", doc.Kind))
	}
	if err := json.Unmarshal(doc.Descriptor, d); err != nil {
		return nil, damaged(err)
	}
	var err error
	switch d := d.(type) {
	case *Table:
		err = loadTypes(d.Columns)
	case *View:
		err = loadTypes(d.Columns)
	case *Sequence:
		d.Type, err = loadType(d.StoredType)
	}
	if err != nil {
		return nil, damaged(err)
	}
	d.Head().ModificationTime = kv.Timestamp
	return d, nil
}

func loadTypes(columns []Column) (err error) {
	for i := range columns {
		if columns[i].Type, err = loadType(columns[i].StoredType); err != nil {
			return err
		}
	}
	return nil
}

func loadType(s StoredType) (*types.T, error) {
	t, ok := types.ByOID(s.OID)
	if !ok {
		return nil, fmt.Errorf("unknown type %d", s.OID)
	}
	if s.Typmod != t.Typmod {
		t = t.WithTypmod(s.Typmod)
	}
	return t, nil
}
