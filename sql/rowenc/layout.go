package rowenc

import (
	"encoding/binary"
	"slices"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// keyColumn is a column within a key.
type keyColumn struct {
	ordinal    int // in the row
	column     catalog.ColumnID
	typ        *types.T
	descending bool
}

// valueColumn is a column within a pair's value.
type valueColumn struct {
	ordinal int
	column  catalog.ColumnID
	typ     *types.T
	// alsoInKey: it is written only where the key loses its look.
	alsoInKey bool
	// hasMissing: NULL must be written, absence means another value.
	hasMissing bool
}

// Layout is how one index of a table is laid out in keys and values.
type Layout struct {
	Table *catalog.Table
	Index *catalog.Index

	prefix  []byte
	key     []keyColumn   // the index's own
	suffix  []keyColumn   // of the primary key, not among key
	primary []keyColumn   // the primary key's; nil where the encoding is PrimaryEncoding
	value   []valueColumn // by id
}

// NewLayout prepares an index of a table; ix is one of t's.
func NewLayout(t *catalog.Table, ix *catalog.Index) *Layout {
	l := &Layout{Table: t, Index: ix, prefix: keys.Index(uint32(t.ID), uint32(ix.ID))}
	inKey := map[catalog.ColumnID]bool{}
	for _, c := range ix.Columns {
		l.key = append(l.key, newKeyColumn(t, c))
		inKey[c.Column] = true
	}
	var inValue []catalog.ColumnID
	if ix.Encoding == catalog.PrimaryEncoding {
		for i := range t.Columns {
			if c := &t.Columns[i]; !c.Dropped && (!inKey[c.ID] || keyLoses(c.Type)) {
				inValue = append(inValue, c.ID)
			}
		}
	} else {
		for _, c := range t.Primary.Columns {
			k := newKeyColumn(t, c)
			l.primary = append(l.primary, k)
			if !inKey[c.Column] {
				l.suffix = append(l.suffix, k)
				inKey[c.Column] = true
			}
		}
		for id := range inKey {
			if keyLoses(t.Columns[id-1].Type) {
				inValue = append(inValue, id)
			}
		}
		for _, id := range ix.Stored {
			if !inKey[id] {
				inValue = append(inValue, id)
			}
		}
		slices.Sort(inValue)
		inValue = slices.Compact(inValue)
	}
	for _, id := range inValue {
		l.value = append(l.value, valueColumn{ordinal: int(id) - 1, column: id, typ: t.Columns[id-1].Type, alsoInKey: inKey[id],
			hasMissing: ix.Encoding == catalog.PrimaryEncoding && t.Columns[id-1].Missing != nil && !inKey[id]})
	}
	return l
}

func newKeyColumn(t *catalog.Table, c catalog.IndexColumn) keyColumn {
	return keyColumn{ordinal: int(c.Column) - 1, column: c.Column, typ: t.Columns[c.Column-1].Type, descending: c.Descending}
}

// Prefix returns the prefix of all the index's keys; it must not be changed.
func (l *Layout) Prefix() []byte { return l.prefix }

// AppendKey appends the key of a row's entry.
func (l *Layout) AppendKey(b []byte, row []types.Datum) ([]byte, error) {
	b = append(b, l.prefix...)
	null := false
	var err error
	for i := range l.key {
		c := &l.key[i]
		d := row[c.ordinal]
		null = null || d.Null
		if b, err = AppendKey(b, c.typ, d, c.descending); err != nil {
			return nil, err
		}
	}
	if l.keyIsUnique(null) {
		return b, nil
	}
	return appendKeyColumns(b, l.suffix, row)
}

// keyIsUnique reports whether the key columns alone tell entries apart, given
// whether one of them is NULL.
func (l *Layout) keyIsUnique(null bool) bool {
	return l.Index.Encoding == catalog.PrimaryEncoding ||
		l.Index.Unique && (!null || l.Index.NullsNotDistinct)
}

// MustBeUnique reports whether a row's entry may meet another row's under the
// same key: then it has to be written with a check that there is none.
func (l *Layout) MustBeUnique(row []types.Datum) bool {
	if l.Index.Encoding == catalog.PrimaryEncoding {
		return true
	}
	if !l.Index.Unique {
		return false
	}
	for i := range l.key {
		if row[l.key[i].ordinal].Null {
			return l.Index.NullsNotDistinct
		}
	}
	return true
}

func appendKeyColumns(b []byte, columns []keyColumn, row []types.Datum) ([]byte, error) {
	var err error
	for i := range columns {
		c := &columns[i]
		if b, err = AppendKey(b, c.typ, row[c.ordinal], c.descending); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// AppendPartialKey appends the index's prefix and the encoding of values for
// the first len(values) columns of the key (those of the primary key's suffix
// included): the prefix of all entries with these values. exact says that
// there can be only one such entry and the key is it.
func (l *Layout) AppendPartialKey(b []byte, values []types.Datum) (key []byte, exact bool, err error) {
	b = append(b, l.prefix...)
	null := false
	for i, d := range values {
		c := l.keyColumnAt(i)
		null = null || d.Null && i < len(l.key)
		if b, err = AppendKey(b, c.typ, d, c.descending); err != nil {
			return nil, false, err
		}
	}
	unique := l.keyIsUnique(null)
	return b, unique && len(values) == len(l.key) || !unique && len(values) == len(l.key)+len(l.suffix), nil
}

// KeyColumns returns the columns of the index's key, with those of the primary
// key that an entry of a non-unique index has behind them: what
// AppendPartialKey takes values for and in what order entries are scanned.
func (l *Layout) KeyColumns() []catalog.IndexColumn {
	columns := slices.Clone(l.Index.Columns)
	if l.keyIsUnique(false) {
		return columns
	}
	for _, c := range l.suffix {
		columns = append(columns, catalog.IndexColumn{Column: c.column, Descending: c.descending, NullsFirst: c.descending})
	}
	return columns
}

// KeyColumn returns the type of the column at a position of KeyColumns, and
// whether it is descending.
func (l *Layout) KeyColumn(i int) (*types.T, bool) {
	c := l.keyColumnAt(i)
	return c.typ, c.descending
}

func (l *Layout) keyColumnAt(i int) *keyColumn {
	if i < len(l.key) {
		return &l.key[i]
	}
	return &l.suffix[i-len(l.key)]
}

// Contains reports whether the index's entries hold the column.
func (l *Layout) Contains(column catalog.ColumnID) bool {
	has := func(c keyColumn) bool { return c.column == column }
	return slices.ContainsFunc(l.key, has) || slices.ContainsFunc(l.primary, has) ||
		slices.ContainsFunc(l.value, func(c valueColumn) bool { return c.column == column })
}

// AppendValue appends the value of a row's entry.
func (l *Layout) AppendValue(b []byte, row []types.Datum) ([]byte, error) {
	b = append(b, formatVersion)
	if l.primary != nil && l.Index.Unique {
		var scratch [64]byte
		pk, err := appendKeyColumns(scratch[:0], l.primary, row)
		if err != nil {
			return nil, err
		}
		b = binary.AppendUvarint(b, uint64(len(pk)))
		b = append(b, pk...)
	}
	last := catalog.ColumnID(0)
	for i := range l.value {
		c := &l.value[i]
		d := row[c.ordinal]
		if d.Null && c.hasMissing {
			b = binary.AppendUvarint(b, uint64(c.column-last)*wireKinds+uint64(wireNull))
			last = c.column
			continue
		}
		if d.Null || c.alsoInKey && !looksLost(c.typ, d) {
			continue
		}
		b = appendColumn(b, uint32(c.column-last), c.typ, d)
		last = c.column
	}
	return b, nil
}

// Entry returns the pair of a row in new memory.
func (l *Layout) Entry(row []types.Datum) (key, value []byte, err error) {
	if key, err = l.AppendKey(nil, row); err != nil {
		return nil, nil, err
	}
	value, err = l.AppendValue(nil, row)
	return key, value, err
}
