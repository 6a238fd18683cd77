package pgcatalog

import (
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/catalog/systemtable"
	"github.com/cairndb/cairn/sql/types"
)

// relationTables are about tables, views, sequences and what belongs to them.
var relationTables = map[string]systemtable.Definition{
	"pg_class": {
		Columns: `oid relname relnamespace relowner relam relfilenode reltuples relhasindex relpersistence relkind relnatts
			relchecks relhasrules relhastriggers relispopulated relreplident`,
		Lookups: "oid", Rows: classRows,
	},
	"pg_attribute": {
		Columns: `attrelid attname atttypid attstattarget attlen attnum attndims attcacheoff atttypmod attbyval attalign attstorage
			attnotnull atthasdef attidentity attgenerated attisdropped attislocal attcollation`,
		Lookups: "attrelid", Rows: attributeRows,
	},
	"pg_index": {
		Columns: `indexrelid indrelid indnatts indnkeyatts indisunique indnullsnotdistinct indisprimary indimmediate indisvalid indisready indislive
			indkey indcollation indclass indoption`,
		Lookups: "indrelid", Rows: indexRows,
	},
	"pg_constraint": {
		Columns: `oid conname connamespace contype condeferrable condeferred convalidated conrelid conindid confrelid confupdtype confdeltype
			confmatchtype conislocal connoinherit conkey confkey conbin`,
		Lookups: "conrelid", Rows: constraintRows,
	},
	"pg_attrdef":   {Columns: "oid adrelid adnum adbin", Lookups: "adrelid", Rows: defaultRows},
	"pg_namespace": {Columns: "oid nspname nspowner", Rows: namespaceRows},
	"pg_sequence": {Columns: "seqrelid seqtypid seqstart seqincrement seqmax seqmin seqcache seqcycle", Lookups: "seqrelid",
		Rows: sequenceRows},
	"pg_depend":      {Columns: "classid objid objsubid refclassid refobjid refobjsubid deptype", Rows: dependRows},
	"pg_description": {Columns: "objoid classoid objsubid description", Rows: descriptionRows},
	"pg_tables":      {Columns: "schemaname tablename tableowner hasindexes hasrules hastriggers rowsecurity", Rows: tablesRows},
	"pg_views":       {Columns: "schemaname viewname viewowner definition", Rows: viewsRows},
	"pg_indexes":     {Columns: "schemaname tablename indexname indexdef", Rows: indexesRows},
	"pg_sequences": {Columns: "schemaname sequencename sequenceowner data_type start_value min_value max_value increment_by cycle cache_size",
		Rows: sequencesRows},
	"pg_rewrite": {Columns: "oid rulename ev_class ev_type ev_enabled is_instead", Lookups: "ev_class", Rows: rewriteRows},
}

func char(c byte) types.Datum { return types.String(string(c)) }

func classRows(s *systemtable.Scan) error {
	owners, err := roleIDs(s)
	if err != nil {
		return err
	}
	row := func(id catalog.ID, name string, namespace catalog.ID, owner string, method int64, tuples int64, hasIndex bool, kind byte, attributes, checks int, hasRules, hasTriggers bool) bool {
		file := id
		if kind == 'v' {
			file = 0
		}
		identity := byte('d')
		if kind != 'r' {
			identity = 'n'
		}
		return s.Emit(systemtable.ID(id), types.String(name), systemtable.ID(namespace), systemtable.ID(owners[owner]), types.Int(method), systemtable.ID(file),
			types.Float(float64(tuples)), types.Bool(hasIndex), char('p'), char(kind), types.Int(int64(attributes)), types.Int(int64(checks)),
			types.Bool(hasRules), types.Bool(hasTriggers), types.Bool(true), char(identity))
	}
	// An index is looked up by its own OID, which its table doesn't have.
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		h := r.Head()
		switch r := r.(type) {
		case *catalog.Table:
			indexes := indexesOf(r)
			if s.WantsID(0, h.ID) && !row(h.ID, h.Name, r.Schema, h.Owner, heapMethod, r.RowEstimate, len(indexes) > 0, 'r', len(r.Columns),
				len(r.Checks), false, len(r.ForeignKeys)+len(r.ReferencedBy) > 0) {
				return nil
			}
			for _, ix := range indexes {
				if s.WantsID(0, ix.OID) && !row(ix.OID, ix.Name, r.Schema, h.Owner, btreeMethod, r.RowEstimate, false, 'i', len(ix.Columns)+len(ix.Stored), 0, false, false) {
					return nil
				}
			}
		case *catalog.View:
			if s.WantsID(0, h.ID) && !row(h.ID, h.Name, r.Schema, h.Owner, 0, 0, false, 'v', len(r.Columns), 0, true, false) {
				return nil
			}
		case *catalog.Sequence:
			if s.WantsID(0, h.ID) && !row(h.ID, h.Name, r.Schema, h.Owner, 0, 1, false, 'S', 3, 0, false, false) {
				return nil
			}
		}
	}
	return nil
}

// attribute emits one row of pg_attribute.
func attribute(s *systemtable.Scan, relation catalog.ID, number int, c *catalog.Column, ofIndex bool) bool {
	if c.Dropped {
		return s.Emit(systemtable.ID(relation), types.String("........pg.dropped."+itoa(number)+"........"), types.Int(0), types.Int(0), types.Int(int64(c.Type.Size)),
			types.Int(int64(number)), types.Int(0), types.Int(-1), types.Int(-1), types.Bool(byValue(c.Type)), char(alignment(c.Type)), char(storage(c.Type)),
			types.Bool(false), types.Bool(false), types.String(""), types.String(""), types.Bool(true), types.Bool(true), types.Int(0))
	}
	identity, generated := "", ""
	switch {
	case ofIndex:
	case c.Generated != "":
		generated = "s"
	case c.Identity == catalog.IdentityAlways:
		identity = "a"
	case c.Identity == catalog.IdentityByDefault:
		identity = "d"
	}
	hasDefault := !ofIndex && (c.Default != "" && c.Identity == catalog.NoIdentity || c.Generated != "")
	dimensions := 0
	if c.Type.Elem != nil {
		dimensions = 1
	}
	return s.Emit(systemtable.ID(relation), types.String(c.Name), systemtable.OID(c.Type.OID), types.Int(-1), types.Int(int64(c.Type.Size)), types.Int(int64(number)),
		types.Int(int64(dimensions)), types.Int(-1), types.Int(int64(c.Type.Typmod)), types.Bool(byValue(c.Type)), char(alignment(c.Type)), char(storage(c.Type)),
		types.Bool(c.NotNull && !ofIndex), types.Bool(hasDefault), types.String(identity), types.String(generated), types.Bool(false), types.Bool(true),
		types.Int(collationOf(c.Type)))
}

func attributeRows(s *systemtable.Scan) error {
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		id := r.Head().ID
		switch r := r.(type) {
		case *catalog.Table:
			if s.WantsID(0, id) {
				for i := range r.Columns {
					if c := &r.Columns[i]; !c.Hidden && (c.State == catalog.Public || c.Dropped) && !attribute(s, id, i+1, c, false) {
						return nil
					}
				}
			}
			for _, ix := range indexesOf(r) {
				if s.WantsID(0, ix.OID) && !indexAttributes(s, r, ix) {
					return nil
				}
			}
		case *catalog.View:
			for i := range r.Columns {
				if s.WantsID(0, id) && !attribute(s, id, i+1, &r.Columns[i], false) {
					return nil
				}
			}
		case *catalog.Sequence:
			for i, c := range sequenceColumns {
				if s.WantsID(0, id) && !attribute(s, id, i+1, &c, false) {
					return nil
				}
			}
		}
	}
	return nil
}

// sequenceColumns are those of a sequence's relation.
var sequenceColumns = []catalog.Column{{Name: "last_value", Type: types.Int8, NotNull: true}, {Name: "log_cnt", Type: types.Int8, NotNull: true},
	{Name: "is_called", Type: types.Boolean, NotNull: true}}

// indexColumns returns the table's columns that an index has: key columns, then
// stored ones.
func indexColumns(ix *catalog.Index) []catalog.ColumnID {
	all := make([]catalog.ColumnID, 0, len(ix.Columns)+len(ix.Stored))
	for _, c := range ix.Columns {
		all = append(all, c.Column)
	}
	return append(all, ix.Stored...)
}

func indexAttributes(s *systemtable.Scan, t *catalog.Table, ix *catalog.Index) bool {
	for i, id := range indexColumns(ix) {
		if c := t.Column(id); c != nil && !attribute(s, ix.OID, i+1, c, true) {
			return false
		}
	}
	return true
}

func indexRows(s *systemtable.Scan) error {
	all, err := tables(s, 0)
	if err != nil {
		return err
	}
	for _, t := range all {
		for _, ix := range indexesOf(t) {
			var collations, classes []int64
			var options []int64
			for _, k := range ix.Columns {
				c := t.Column(k.Column)
				option := int64(0)
				if k.Descending {
					option |= 1
				}
				if k.NullsFirst {
					option |= 2
				}
				options = append(options, option)
				collations = append(collations, collationOf(c.Type))
				classes = append(classes, operatorClassOf(c.Type))
			}
			public := ix.State == catalog.Public
			if !s.Emit(systemtable.ID(ix.OID), systemtable.ID(t.ID), types.Int(int64(len(ix.Columns)+len(ix.Stored))), types.Int(int64(len(ix.Columns))), types.Bool(ix.Unique),
				types.Bool(ix.NullsNotDistinct), types.Bool(ix.Primary), types.Bool(true), types.Bool(public), types.Bool(public), types.Bool(true),
				systemtable.Integers(types.Int2Vector, indexColumns(ix)), systemtable.Integers(types.OIDVector, collations),
				systemtable.Integers(types.OIDVector, classes), systemtable.Integers(types.Int2Vector, options)) {
				return nil
			}
		}
	}
	return nil
}

// operatorClassOf returns the OID of the type's default B-tree operator class
// in PostgreSQL.
func operatorClassOf(t *types.T) int64 {
	switch t.OID {
	case types.Int4OID:
		return 1978
	case types.Int8OID:
		return 3124
	case types.Int2OID:
		return 1979
	case types.TextOID, types.VarcharOID:
		return 3126
	default:
		return 0
	}
}

var actionCodes = map[catalog.Action]byte{catalog.NoAction: 'a', catalog.Restrict: 'r', catalog.Cascade: 'c', catalog.SetNull: 'n', catalog.SetDefault: 'd'}

func constraintRows(s *systemtable.Scan) error {
	all, err := tables(s, 0)
	if err != nil {
		return err
	}
	smallints := types.ArrayTypeOf(types.Int2)
	for _, t := range all {
		row := func(oid catalog.ID, name string, kind byte, deferrable, deferred, valid bool, index, other catalog.ID, update, remove, match byte, key, otherKey []catalog.ColumnID, expression string) bool {
			from := types.DNull
			if otherKey != nil {
				from = systemtable.Integers(smallints, otherKey)
			}
			return s.Emit(systemtable.ID(oid), types.String(name), systemtable.ID(t.Schema), char(kind), types.Bool(deferrable), types.Bool(deferred), types.Bool(valid), systemtable.ID(t.ID),
				systemtable.ID(index), systemtable.ID(other), char(update), char(remove), char(match), types.Bool(true), types.Bool(kind != 'c'),
				systemtable.Integers(smallints, key), from, systemtable.TextOrNull(expression))
		}
		for _, ix := range indexesOf(t) {
			kind := byte('u')
			if ix.Primary {
				kind = 'p'
			}
			key := indexColumns(ix)[:len(ix.Columns)]
			if ix.Constraint && !row(ix.ConstraintOID, ix.Name, kind, false, false, true, ix.OID, 0, ' ', ' ', ' ', key, nil, "") {
				return nil
			}
		}
		for _, c := range t.Checks {
			if !row(c.OID, c.Name, 'c', false, false, !c.NotValid, 0, 0, ' ', ' ', ' ', c.Columns, nil, c.Expr) {
				return nil
			}
		}
		for i := range t.ForeignKeys {
			f := &t.ForeignKeys[i]
			match := byte('s')
			if f.MatchFull {
				match = 'f'
			}
			index, err := referencedIndex(s, f)
			if err != nil {
				return err
			}
			if !row(f.OID, f.Name, 'f', f.Deferrable, f.InitiallyDeferred, !f.NotValid, index, f.ReferencedTable, actionCodes[f.OnUpdate], actionCodes[f.OnDelete], match, f.Columns, f.ReferencedColumns, "") {
				return nil
			}
		}
	}
	return nil
}

// referencedIndex returns the OID of the index behind a foreign key.
func referencedIndex(s *systemtable.Scan, f *catalog.ForeignKey) (catalog.ID, error) {
	referenced, err := s.Resolver.TableByID(s.Ctx, f.ReferencedTable)
	if err != nil {
		return 0, err
	}
	if ix := referenced.Index(f.ReferencedIndex); ix != nil {
		return ix.OID, nil
	}
	return 0, nil
}

func defaultRows(s *systemtable.Scan) error {
	all, err := tables(s, 0)
	if err != nil {
		return err
	}
	for _, t := range all {
		for i, c := range t.Columns {
			expression := c.Default
			if c.Generated != "" {
				expression = c.Generated
			}
			if c.Dropped || expression == "" || c.Identity != catalog.NoIdentity {
				continue
			}
			if !s.Emit(systemtable.ID(derivedOID('d', t.ID, int64(c.ID))), systemtable.ID(t.ID), types.Int(int64(i+1)), types.String(expression)) {
				return nil
			}
		}
	}
	return nil
}

func namespaceRows(s *systemtable.Scan) error {
	owners, err := roleIDs(s)
	if err != nil {
		return err
	}
	schemas, err := s.Resolver.Schemas(s.Ctx)
	if err != nil {
		return err
	}
	for _, x := range schemas {
		s.Emit(systemtable.ID(x.ID), types.String(x.Name), systemtable.ID(owners[x.Owner]))
	}
	return nil
}

// sequences returns the sequences that a scan is about.
func sequences(s *systemtable.Scan, n int) ([]*catalog.Sequence, error) {
	all, err := relations(s, n)
	if err != nil {
		return nil, err
	}
	var found []*catalog.Sequence
	for _, r := range all {
		if q, ok := r.(*catalog.Sequence); ok {
			found = append(found, q)
		}
	}
	return found, nil
}

func sequenceRows(s *systemtable.Scan) error {
	all, err := sequences(s, 0)
	if err != nil {
		return err
	}
	for _, q := range all {
		s.Emit(systemtable.ID(q.ID), systemtable.OID(q.StoredType.OID), types.Int(q.Start), types.Int(q.Increment), types.Int(q.Max), types.Int(q.Min), types.Int(q.Cache), types.Bool(q.Cycle))
	}
	return nil
}

func dependRows(s *systemtable.Scan) error {
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	row := func(class, object catalog.ID, refObject catalog.ID, column catalog.ColumnID, kind byte) {
		s.Emit(systemtable.ID(class), systemtable.ID(object), types.Int(0), systemtable.ID(pgClassOID), systemtable.ID(refObject), types.Int(int64(column)), char(kind))
	}
	for _, r := range all {
		switch r := r.(type) {
		case *catalog.Sequence:
			if r.OwnerTable != 0 {
				kind := byte('a')
				if r.Identity {
					kind = 'i'
				}
				row(pgClassOID, r.ID, r.OwnerTable, r.OwnerColumn, kind)
			}
		case *catalog.View:
			for _, id := range r.DependsOn {
				row(pgClassOID, r.ID, id, 0, 'n')
			}
		case *catalog.Table:
			for _, ix := range indexesOf(r) {
				if ix.Constraint {
					s.Emit(systemtable.ID(pgClassOID), systemtable.ID(ix.OID), types.Int(0), systemtable.ID(pgConstraintOID), systemtable.ID(ix.ConstraintOID), types.Int(0), char('i'))
				} else {
					row(pgClassOID, ix.OID, r.ID, 0, 'a')
				}
			}
		}
	}
	return nil
}

func descriptionRows(s *systemtable.Scan) error {
	row := func(object, class catalog.ID, column int, text string) {
		if text != "" {
			s.Emit(systemtable.ID(object), systemtable.ID(class), types.Int(int64(column)), types.String(text))
		}
	}
	schemas, err := s.Resolver.Schemas(s.Ctx)
	if err != nil {
		return err
	}
	for _, x := range schemas {
		row(x.ID, pgNamespaceOID, 0, x.Comment)
	}
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		row(r.Head().ID, pgClassOID, 0, r.Head().Comment)
		t, ok := r.(*catalog.Table)
		if !ok {
			continue
		}
		for i, c := range t.Columns {
			row(t.ID, pgClassOID, i+1, c.Comment)
		}
		for _, ix := range indexesOf(t) {
			row(ix.OID, pgClassOID, 0, ix.Comment)
		}
		for _, c := range t.Checks {
			row(c.OID, pgConstraintOID, 0, c.Comment)
		}
		for _, f := range t.ForeignKeys {
			row(f.OID, pgConstraintOID, 0, f.Comment)
		}
	}
	return nil
}

func tablesRows(s *systemtable.Scan) error {
	names, err := schemaNames(s)
	if err != nil {
		return err
	}
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if t, ok := r.(*catalog.Table); ok {
			s.Emit(types.String(names[t.Schema]), types.String(t.Name), types.String(t.Owner), types.Bool(len(indexesOf(t)) > 0), types.Bool(false),
				types.Bool(len(t.ForeignKeys)+len(t.ReferencedBy) > 0), types.Bool(false))
		}
	}
	return nil
}

func viewsRows(s *systemtable.Scan) error {
	names, err := schemaNames(s)
	if err != nil {
		return err
	}
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if v, ok := r.(*catalog.View); ok {
			s.Emit(types.String(names[v.Schema]), types.String(v.Name), types.String(v.Owner), types.String(v.Query))
		}
	}
	return nil
}

func indexesRows(s *systemtable.Scan) error {
	names, err := schemaNames(s)
	if err != nil {
		return err
	}
	all, err := allTables(s)
	if err != nil {
		return err
	}
	for _, t := range all {
		for _, ix := range indexesOf(t) {
			s.Emit(types.String(names[t.Schema]), types.String(t.Name), types.String(ix.Name), types.String(IndexDefinition(t, ix, names[t.Schema])))
		}
	}
	return nil
}

// IndexDefinition returns the CREATE INDEX that makes an index, as
// pg_get_indexdef words it.
func IndexDefinition(t *catalog.Table, ix *catalog.Index, schema string) string {
	var b strings.Builder
	b.WriteString("CREATE ")
	if ix.Unique {
		b.WriteString("UNIQUE ")
	}
	b.WriteString("INDEX " + types.QuoteIdentifier(ix.Name) + " ON " + types.QuoteIdentifier(schema) + "." + types.QuoteIdentifier(t.Name) + " USING btree (")
	for i, k := range ix.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(IndexColumnDefinition(t, k))
	}
	b.WriteString(")")
	for i, id := range ix.Stored {
		if i == 0 {
			b.WriteString(" INCLUDE (")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(types.QuoteIdentifier(t.Column(id).Name))
		if i == len(ix.Stored)-1 {
			b.WriteString(")")
		}
	}
	if ix.NullsNotDistinct {
		b.WriteString(" NULLS NOT DISTINCT")
	}
	return b.String()
}

// IndexColumnDefinition returns a key column of an index with its direction.
func IndexColumnDefinition(t *catalog.Table, k catalog.IndexColumn) string {
	text := types.QuoteIdentifier(t.Column(k.Column).Name)
	switch {
	case k.Descending && k.NullsFirst:
		text += " DESC"
	case k.Descending:
		text += " DESC NULLS LAST"
	case k.NullsFirst:
		text += " NULLS FIRST"
	}
	return text
}

func sequencesRows(s *systemtable.Scan) error {
	names, err := schemaNames(s)
	if err != nil {
		return err
	}
	all, err := s.Resolver.Relations(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if q, ok := r.(*catalog.Sequence); ok {
			s.Emit(types.String(names[q.Schema]), types.String(q.Name), types.String(q.Owner), systemtable.OID(q.StoredType.OID), types.Int(q.Start), types.Int(q.Min), types.Int(q.Max),
				types.Int(q.Increment), types.Bool(q.Cycle), types.Int(q.Cache))
		}
	}
	return nil
}

func rewriteRows(s *systemtable.Scan) error {
	all, err := relations(s, 0)
	if err != nil {
		return err
	}
	for _, r := range all {
		if v, ok := r.(*catalog.View); ok {
			s.Emit(systemtable.ID(derivedOID('r', v.ID, 0)), types.String("_RETURN"), systemtable.ID(v.ID), char('1'), char('O'), types.Bool(true))
		}
	}
	return nil
}
