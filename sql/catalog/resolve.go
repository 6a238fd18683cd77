package catalog

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/cairndb/cairn/sql/pgerror"
)

func encodeID(id ID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

// base is where what x did not change comes from.
func (x *Transaction) base() *snapshot {
	if x.private != nil {
		return x.private
	}
	return x.manager.current.Load()
}

// readPrivate makes x read the schema through its transaction: the cache is
// newer than what x reads.
func (x *Transaction) readPrivate(ctx context.Context) error {
	s, err := readSnapshot(ctx, x.txn)
	if err != nil {
		return err
	}
	x.private, x.path = s, nil
	return nil
}

// named returns the id that has a name, 0 for none.
func (x *Transaction) named(k nameKey) ID {
	if id, own := x.changes.names[k]; own {
		return id
	}
	if isVirtualSchema(k.parent) && k.space == relationNames {
		return virtualNames[k]
	}
	return x.base().names[k]
}

// missed is called where a name or id was not found: it reports whether to
// look again, because the schema has changed.
func (x *Transaction) missed(ctx context.Context) (again bool, err error) {
	if x.private != nil {
		return false, nil
	}
	before := x.manager.current.Load()
	if before == x.checked {
		return false, nil
	}
	if err := x.ensureLease(ctx); err != nil {
		return false, err
	}
	if err := x.manager.refresh(ctx); err != nil {
		return false, err
	}
	current := x.manager.current.Load()
	if x.txn.ReadTimestamp().Less(current.asOf) {
		return true, x.readPrivate(ctx)
	}
	x.checked = current
	return current != before, nil
}

// get returns the descriptor with an id as x sees it, nil if there is none,
// and notes that x uses it.
func (x *Transaction) get(ctx context.Context, id ID) (Descriptor, error) {
	for {
		if d, own := x.changes.descriptors[id]; own {
			return d, nil
		}
		if d := virtualByID[id]; d != nil {
			return d, nil
		}
		for _, t := range x.uses {
			if t.ID == id {
				return t, nil
			}
		}
		if x.private != nil {
			return x.private.byID[id], nil
		}
		if err := x.ensureLease(ctx); err != nil {
			return nil, err
		}
		s := x.manager.current.Load()
		d := s.byID[id]
		if d == nil {
			return nil, nil
		}
		if t, ok := d.(*Table); ok && t.Fence != nil && !x.owns(t.Fence) {
			if err := x.manager.waitForFence(ctx, id, t.Fence); err != nil {
				return nil, err
			}
			if d := x.manager.current.Load().byID[id]; d != nil && x.txn.ReadTimestamp().Less(d.Head().ModificationTime) {
				// What x waited for came later than what it reads.
				return nil, x.stale(id)
			}
			continue
		}
		if x.txn.ReadTimestamp().Less(d.Head().ModificationTime) {
			if err := x.readPrivate(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if t, ok := d.(*Table); ok && !x.use(s, t) {
			continue
		}
		return d, nil
	}
}

// use notes that x uses a table of the cache; false if the cache has another
// version of it meanwhile.
func (x *Transaction) use(s *snapshot, t *Table) bool {
	x.mu.Lock()
	if x.uses == nil {
		x.uses = x.inline[:0]
	}
	x.uses = append(x.uses, t)
	x.mu.Unlock()
	// The order matters: a schema change publishes first and looks at uses then.
	if current := x.manager.current.Load(); current != s && current.byID[t.ID] != Descriptor(t) {
		x.mu.Lock()
		x.uses = x.uses[:len(x.uses)-1]
		x.mu.Unlock()
		return false
	}
	return true
}

// UsesCached says that the transaction uses tables by a plan that was made
// earlier under the same Epoch. False: the plan must be made anew.
func (x *Transaction) UsesCached(ctx context.Context, tables []*Table) (bool, error) {
	if len(x.changes.descriptors) > 0 || x.private != nil {
		return false, nil
	}
	if err := x.ensureLease(ctx); err != nil {
		return false, err
	}
	s := x.manager.current.Load()
	for _, t := range tables {
		if t.IsVirtual() || slices.Contains(x.uses, t) {
			continue
		}
		if s.byID[t.ID] != Descriptor(t) || t.Fence != nil || x.txn.ReadTimestamp().Less(t.ModificationTime) || !x.use(s, t) {
			return false, nil
		}
	}
	return true, nil
}

// Epoch implements Resolver.
func (x *Transaction) Epoch() uint64 {
	if len(x.changes.descriptors) > 0 || x.private != nil {
		return 0
	}
	return x.manager.current.Load().epoch
}

// CurrentDatabase implements Resolver.
func (x *Transaction) CurrentDatabase() *Database {
	d, _ := x.peek(x.named(nameKey{0, databaseNames, x.names.Database})).(*Database)
	return d
}

// peek is get for what is not a table, without I/O.
func (x *Transaction) peek(id ID) Descriptor {
	if d, own := x.changes.descriptors[id]; own {
		return d
	}
	if d := virtualByID[id]; d != nil {
		return d
	}
	return x.base().byID[id]
}

func (x *Transaction) databaseID() ID {
	return x.named(nameKey{0, databaseNames, x.names.Database})
}

// SearchPath implements Resolver.
func (x *Transaction) SearchPath(ctx context.Context) ([]*Schema, error) {
	if x.private == nil {
		if err := x.ensureLease(ctx); err != nil {
			return nil, err
		}
	}
	s := x.base()
	if x.path != nil && x.pathOf == s {
		return x.path, nil
	}
	database := x.databaseID()
	path := make([]*Schema, 0, len(x.names.SearchPath)+1)
	if !slices.Contains(x.names.SearchPath, PgCatalogSchemaName) {
		path = append(path, virtualSchemas[PgCatalogSchemaName])
	}
	for _, name := range x.names.SearchPath {
		if name == "$user" {
			name = x.names.User
		}
		if schema := x.schemaNamed(database, name); schema != nil && !slices.Contains(path, schema) {
			path = append(path, schema)
		}
	}
	x.path, x.pathOf = path, s
	return path, nil
}

func (x *Transaction) schemaNamed(database ID, name string) *Schema {
	if s := virtualSchemas[name]; s != nil {
		return s
	}
	s, _ := x.peek(x.named(nameKey{database, schemaNames, name})).(*Schema)
	return s
}

// CreationSchema implements Resolver.
func (x *Transaction) CreationSchema(ctx context.Context) (*Schema, error) {
	path, err := x.SearchPath(ctx)
	if err != nil {
		return nil, err
	}
	implicit := !slices.Contains(x.names.SearchPath, PgCatalogSchemaName)
	for i, s := range path {
		if i > 0 || !implicit {
			return s, nil
		}
	}
	return nil, pgerror.New(pgerror.InvalidSchemaName, "no schema has been selected to create in")
}

// Relation implements Resolver.
func (x *Transaction) Relation(ctx context.Context, name Name) (Relation, error) {
	d, _, err := x.inSchema(ctx, name, func(d Descriptor, object string) bool {
		return d.Head().Name == object
	})
	if err != nil || d == nil {
		return nil, err
	}
	return d.(Relation), nil
}

// Index implements Resolver.
func (x *Transaction) Index(ctx context.Context, name Name) (*Table, *Index, error) {
	var index *Index
	d, _, err := x.inSchema(ctx, name, func(d Descriptor, object string) bool {
		t, ok := d.(*Table)
		if !ok {
			return false
		}
		index = t.IndexNamed(object)
		return index != nil
	})
	if err != nil || d == nil {
		return nil, nil, err
	}
	return d.(*Table), index, nil
}

// inSchema finds the descriptor that owns a relation's name and is accepted,
// in the schema of the name or along the search path.
func (x *Transaction) inSchema(ctx context.Context, name Name, accept func(d Descriptor, object string) bool) (Descriptor, *Schema, error) {
	if name.Database != "" && name.Database != x.names.Database {
		return nil, nil, pgerror.Newf(pgerror.FeatureNotSupported, "cross-database references are not implemented: %q", name.String())
	}
	for {
		var schemas []*Schema
		if name.Schema != "" {
			if x.private == nil {
				if err := x.ensureLease(ctx); err != nil {
					return nil, nil, err
				}
			}
			if s := x.schemaNamed(x.databaseID(), name.Schema); s != nil {
				schemas = []*Schema{s}
			}
		} else {
			var err error
			if schemas, err = x.SearchPath(ctx); err != nil {
				return nil, nil, err
			}
		}
		for _, s := range schemas {
			id := x.named(nameKey{s.ID, relationNames, name.Object})
			if id == 0 {
				continue
			}
			d, err := x.get(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			if d != nil && accept(d, name.Object) {
				return d, s, nil
			}
		}
		again, err := x.missed(ctx)
		if err != nil || !again {
			return nil, nil, err
		}
	}
}

// RelationByID implements Resolver.
func (x *Transaction) RelationByID(ctx context.Context, id ID) (Relation, error) {
	for {
		d, err := x.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if r, ok := d.(Relation); ok {
			return r, nil
		}
		if again, err := x.missed(ctx); err != nil || !again {
			return nil, err
		}
	}
}

// TableByID implements Resolver.
func (x *Transaction) TableByID(ctx context.Context, id ID) (*Table, error) {
	r, err := x.RelationByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if t, ok := r.(*Table); ok {
		return t, nil
	}
	return nil, pgerror.Newf(pgerror.UndefinedTable, "relation with OID %d does not exist", id)
}

// SchemaNamed implements Resolver.
func (x *Transaction) SchemaNamed(ctx context.Context, name string) (*Schema, error) {
	return find(ctx, x, func() *Schema { return x.schemaNamed(x.databaseID(), name) })
}

// SchemaByID implements Resolver.
func (x *Transaction) SchemaByID(ctx context.Context, id ID) (*Schema, error) {
	return find(ctx, x, func() *Schema {
		s, _ := x.peek(id).(*Schema)
		return s
	})
}

// DatabaseNamed implements Resolver.
func (x *Transaction) DatabaseNamed(ctx context.Context, name string) (*Database, error) {
	return find(ctx, x, func() *Database {
		d, _ := x.peek(x.named(nameKey{0, databaseNames, name})).(*Database)
		return d
	})
}

// RoleNamed implements Resolver.
func (x *Transaction) RoleNamed(ctx context.Context, name string) (*Role, error) {
	return find(ctx, x, func() *Role {
		r, _ := x.peek(x.named(nameKey{0, roleNames, name})).(*Role)
		return r
	})
}

// find calls look until it finds something or the schema is known to be the
// newest.
func find[D any](ctx context.Context, x *Transaction, look func() *D) (*D, error) {
	for {
		if x.private == nil {
			if err := x.ensureLease(ctx); err != nil {
				return nil, err
			}
		}
		if d := look(); d != nil {
			return d, nil
		}
		if again, err := x.missed(ctx); err != nil || !again {
			return nil, err
		}
	}
}

// Relations implements Resolver.
func (x *Transaction) Relations(ctx context.Context) ([]Relation, error) {
	database := x.databaseID()
	relations, err := list(ctx, x, func(d Descriptor) (Relation, bool) {
		switch d := d.(type) {
		case *Table:
			return d, d.Database == database
		case *View:
			return d, d.Database == database
		case *Sequence:
			return d, d.Database == database
		}
		return nil, false
	})
	if err != nil {
		return nil, err
	}
	relations = append(relations, virtualTables...)
	slices.SortFunc(relations, func(a, b Relation) int { return cmp.Compare(a.Head().ID, b.Head().ID) })
	return relations, nil
}

// Schemas implements Resolver.
func (x *Transaction) Schemas(ctx context.Context) ([]*Schema, error) {
	database := x.databaseID()
	schemas, err := list(ctx, x, func(d Descriptor) (*Schema, bool) {
		s, ok := d.(*Schema)
		return s, ok && s.Database == database
	})
	for _, s := range virtualSchemas {
		schemas = append(schemas, s)
	}
	slices.SortFunc(schemas, func(a, b *Schema) int { return cmp.Compare(a.ID, b.ID) })
	return schemas, err
}

// Databases implements Resolver.
func (x *Transaction) Databases(ctx context.Context) ([]*Database, error) {
	return list(ctx, x, func(d Descriptor) (*Database, bool) {
		v, ok := d.(*Database)
		return v, ok
	})
}

// Roles implements Resolver.
func (x *Transaction) Roles(ctx context.Context) ([]*Role, error) {
	return list(ctx, x, func(d Descriptor) (*Role, bool) {
		v, ok := d.(*Role)
		return v, ok
	})
}

// list returns the accepted descriptors in order of their ids. Tables in it
// are not noted as used: they are for looking at.
func list[D Descriptor](ctx context.Context, x *Transaction, accept func(Descriptor) (D, bool)) ([]D, error) {
	if x.private == nil {
		if err := x.ensureLease(ctx); err != nil {
			return nil, err
		}
		if x.txn.ReadTimestamp().Less(x.manager.current.Load().asOf) {
			if err := x.readPrivate(ctx); err != nil {
				return nil, err
			}
		}
	}
	var found []D
	for _, d := range x.base().all() {
		if _, own := x.changes.descriptors[d.Head().ID]; own {
			continue
		}
		if v, ok := accept(d); ok {
			found = append(found, v)
		}
	}
	before := len(found)
	for _, d := range x.changes.descriptors {
		if d == nil {
			continue
		}
		if v, ok := accept(d); ok {
			found = append(found, v)
		}
	}
	if len(found) > before {
		slices.SortFunc(found, func(a, b D) int { return cmp.Compare(a.Head().ID, b.Head().ID) })
	}
	return found, nil
}

// IndexNamed returns the index with a name, the primary key's included, nil if
// there is none.
func (t *Table) IndexNamed(name string) *Index {
	if t.Primary.Primary && t.Primary.Name == name {
		return &t.Primary
	}
	for i := range t.Indexes {
		if t.Indexes[i].Name == name {
			return &t.Indexes[i]
		}
	}
	return nil
}

// NameTaken reports whether a relation or index of a schema has a name, as far
// as is known: Create and Write make sure.
func (x *Transaction) NameTaken(schema ID, name string) bool {
	return x.named(nameKey{schema, relationNames, name}) != 0
}

// EveryDescriptor returns all descriptors of all databases, in order of their
// ids.
func (x *Transaction) EveryDescriptor(ctx context.Context) ([]Descriptor, error) {
	return list(ctx, x, func(d Descriptor) (Descriptor, bool) { return d, true })
}
