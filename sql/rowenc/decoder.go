package rowenc

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
)

// looksLost reports whether d, not NULL, of a type for which keyLoses holds,
// would not come back from its key as it is.
func looksLost(t *types.T, d types.Datum) bool {
	switch t.Family {
	case types.FloatFamily:
		return d.I == math.MinInt64 // -0
	case types.DecimalFamily:
		v := d.Decimal()
		if v.Form != apd.Finite {
			return false
		}
		if v.Coeff.Sign() == 0 {
			return v.Exponent != 0 || v.Negative
		}
		// The key gives back integers without and fractions with the smallest
		// scale.
		if v.Exponent == 0 {
			return false
		}
		if v.Exponent > 0 {
			return true
		}
		if v.Coeff.IsUint64() {
			return v.Coeff.Uint64()%10 == 0
		}
		text := v.Coeff.String()
		return text[len(text)-1] == '0'
	case types.BytesFamily:
		if t.OID == oidBPChar {
			return padded([]byte(strings.TrimRight(d.S, " ")), int(t.Typmod)-4) != d.S
		}
	}
	return true
}

// Decoder reads wanted columns out of entries of one index. It belongs to one
// goroutine.
type Decoder struct {
	layout *Layout
	// slots has at a column's id the position in the output, -1 if not wanted.
	slots    []int32
	wanted   []catalog.ColumnID
	typs     []*types.T
	missing  []types.Datum
	someMiss bool
	// keyUpTo is how many columns of key and suffix have to be decoded;
	// fromPrimary whether the value's primary key has to be.
	keyUpTo     int
	fromPrimary bool
	wantsValue  bool

	// For DecodeTo: seen[i] is row if the current row had column i.
	seen []uint32
	row  uint32
	// Memory of strings and numerics that are yet to be read.
	piece        []byte
	pieceSize    int
	decimals     []apd.Decimal
	decimalsSize int
}

// NewDecoder returns a Decoder whose output has wanted[i] at position i. All
// of wanted must be in the index (Layout.Contains) and none twice.
func NewDecoder(l *Layout, wanted []catalog.ColumnID) (*Decoder, error) {
	d := &Decoder{layout: l, slots: make([]int32, len(l.Table.Columns)+1), wanted: wanted}
	for i := range d.slots {
		d.slots[i] = -1
	}
	d.missing = make([]types.Datum, len(wanted))
	for i, id := range wanted {
		c := &l.Table.Columns[id-1]
		d.slots[id] = int32(i)
		d.typs = append(d.typs, c.Type)
		d.missing[i] = types.DNull
		if c.Missing != nil && l.Index.Encoding == catalog.PrimaryEncoding {
			v, err := DecodeValue(c.Missing, c.Type)
			if err != nil {
				return nil, err
			}
			d.missing[i], d.someMiss = v, true
		}
		if !l.Contains(id) {
			return nil, damaged("index " + l.Index.Name + " lacks column " + c.Name)
		}
		inValue := true
		for j := range l.key {
			if l.key[j].column == id {
				d.keyUpTo = max(d.keyUpTo, j+1)
				inValue = keyLoses(c.Type)
			}
		}
		for j := range l.suffix {
			if l.suffix[j].column != id {
				continue
			}
			inValue = keyLoses(c.Type)
			if l.Index.Unique {
				d.fromPrimary = true
			} else {
				d.keyUpTo = max(d.keyUpTo, len(l.key)+j+1)
			}
		}
		d.wantsValue = d.wantsValue || inValue
	}
	return d, nil
}

// Types returns the types of the output's columns.
func (d *Decoder) Types() []*types.T { return d.typs }

// NeedsValue reports whether any wanted column may be in the pair's value.
func (d *Decoder) NeedsValue() bool { return d.wantsValue || d.fromPrimary }

// Decode sets out[i] to the entry's wanted column i. The datums don't refer to
// key or value.
func (d *Decoder) Decode(key, value []byte, out []types.Datum) error {
	copy(out, d.missing)
	if d.keyUpTo > 0 {
		if err := d.decodeKey(key, func(slot int32, v types.Datum) { out[slot] = v }); err != nil {
			return err
		}
	}
	if !d.NeedsValue() {
		return nil
	}
	return d.eachColumn(value,
		func(slot int32, v types.Datum) { out[slot] = v },
		func(slot int32, raw []byte) (err error) {
			if raw == nil {
				out[slot] = types.DNull
				return nil
			}
			out[slot], err = DecodeValue(raw, d.typs[slot])
			return err
		})
}

// decodeKey gives the wanted columns of the key.
func (d *Decoder) decodeKey(key []byte, set func(slot int32, v types.Datum)) error {
	l := d.layout
	if !bytes.HasPrefix(key, l.prefix) {
		return damaged("a key of another index")
	}
	rest := key[len(l.prefix):]
	for i := 0; i < d.keyUpTo; i++ {
		c := l.keyColumnAt(i)
		slot := d.slots[c.column]
		var err error
		if slot < 0 {
			rest, err = SkipKey(rest, c.typ, c.descending)
		} else {
			var v types.Datum
			rest, v, err = DecodeKey(rest, c.typ, c.descending)
			set(slot, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachColumn gives the wanted columns of the value: those of the primary key
// in a unique index's entry through set, the others through raw.
func (d *Decoder) eachColumn(value []byte, set func(slot int32, v types.Datum), raw func(slot int32, raw []byte) error) error {
	l := d.layout
	if len(value) == 0 || value[0] != formatVersion {
		return damaged("an unknown version of the row format")
	}
	rest := value[1:]
	if l.primary != nil && l.Index.Unique {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return damaged("the primary key in an index entry")
		}
		pk := rest[n : n+int(length)]
		rest = rest[n+int(length):]
		for i := 0; d.fromPrimary && i < len(l.primary); i++ {
			c := &l.primary[i]
			slot := d.slots[c.column]
			var v types.Datum
			var err error
			if pk, v, err = DecodeKey(pk, c.typ, c.descending); err != nil {
				return err
			}
			if slot >= 0 {
				set(slot, v)
			}
		}
	}
	id := uint32(0)
	for len(rest) > 0 {
		delta, column, after, err := nextColumn(rest)
		if err != nil {
			return err
		}
		rest = after
		id += delta
		if id < uint32(len(d.slots)) && d.slots[id] >= 0 {
			if err := raw(d.slots[id], column); err != nil {
				return err
			}
		}
	}
	return nil
}

// PrimaryKey returns, for an entry of a unique secondary index, the key of its
// row in the primary index.
func (l *Layout) PrimaryKey(b []byte, primary *Layout, value []byte) ([]byte, error) {
	if l.primary == nil || !l.Index.Unique || len(value) == 0 || value[0] != formatVersion {
		return nil, damaged("an index entry without its primary key")
	}
	length, n := binary.Uvarint(value[1:])
	if n <= 0 || length > uint64(len(value)-1-n) {
		return nil, damaged("the primary key in an index entry")
	}
	b = append(b, primary.prefix...)
	return append(b, value[1+n:1+n+int(length)]...), nil
}
