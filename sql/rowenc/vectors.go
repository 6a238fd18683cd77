package rowenc

import (
	"bytes"
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// DecodeTo sets position row of columns[i] to the entry's wanted column i. The
// vectors have the types of Types; their values don't refer to key or value.
func (d *Decoder) DecodeTo(key, value []byte, columns []*vector.Vector, row int) error {
	if d.seen == nil {
		d.seen = make([]uint32, len(d.wanted))
	}
	d.row++
	if d.row == 0 { // wrapped around: the old marks would look new
		clear(d.seen)
		d.row = 1
	}
	if d.keyUpTo > 0 {
		if err := d.keyTo(key, columns, row); err != nil {
			return err
		}
	}
	if d.NeedsValue() {
		if err := d.valueTo(value, columns, row); err != nil {
			return err
		}
	}
	for i, seen := range d.seen {
		if seen != d.row {
			columns[i].Set(row, d.missing[i])
		}
	}
	return nil
}

func (d *Decoder) keyTo(key []byte, columns []*vector.Vector, row int) error {
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
			if rest, err = SkipKey(rest, c.typ, c.descending); err != nil {
				return err
			}
			continue
		}
		var v types.Datum
		if rest, v, err = DecodeKey(rest, c.typ, c.descending); err != nil {
			return err
		}
		columns[slot].Set(row, v)
		d.seen[slot] = d.row
	}
	return nil
}

func (d *Decoder) valueTo(value []byte, columns []*vector.Vector, row int) error {
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
		if d.fromPrimary {
			if err := d.primaryTo(rest[n:n+int(length)], columns, row); err != nil {
				return err
			}
		}
		rest = rest[n+int(length):]
	}
	id := uint32(0)
	for len(rest) > 0 {
		delta, raw, after, err := nextColumn(rest)
		if err != nil {
			return err
		}
		rest = after
		id += delta
		if id >= uint32(len(d.slots)) || d.slots[id] < 0 {
			continue
		}
		slot := d.slots[id]
		d.seen[slot] = d.row
		if raw == nil {
			columns[slot].SetNull(row)
			continue
		}
		if err := d.columnTo(columns[slot], row, raw); err != nil {
			return err
		}
	}
	return nil
}

// primaryTo gives the wanted columns of the primary key that a unique index's
// entry has.
func (d *Decoder) primaryTo(pk []byte, columns []*vector.Vector, row int) error {
	for i := range d.layout.primary {
		c := &d.layout.primary[i]
		var v types.Datum
		var err error
		if pk, v, err = DecodeKey(pk, c.typ, c.descending); err != nil {
			return err
		}
		if slot := d.slots[c.column]; slot >= 0 {
			columns[slot].Set(row, v)
			d.seen[slot] = d.row
		}
	}
	return nil
}

// columnTo sets a value from its bytes.
func (d *Decoder) columnTo(v *vector.Vector, row int, raw []byte) error {
	switch v.Type.Family {
	case types.BoolFamily, types.IntFamily:
		i, n := binary.Varint(raw)
		if n <= 0 {
			return damaged("an integer is cut short")
		}
		v.Ints[row] = i
	case types.FloatFamily:
		v.Floats[row] = math.Float64frombits(binary.LittleEndian.Uint64(raw))
	case types.BytesFamily, types.UnknownFamily, types.VoidFamily:
		v.Strings[row] = d.text(raw)
	case types.DecimalFamily:
		n := d.decimal()
		if err := decodeDecimal(n, raw); err != nil {
			return err
		}
		v.Refs[row] = n
	default:
		value, err := DecodeValue(raw, v.Type)
		if err != nil {
			return err
		}
		v.Refs[row] = value.Ref
	}
	if v.HasNulls {
		v.UnsetNull(row)
	}
	return nil
}

// Sizes of the pieces of memory that strings and numerics are cut from: one
// allocation serves many rows. Pieces begin small, for point reads.
const (
	firstPiece = 64
	lastPiece  = 16 << 10
	maxPieces  = 256 // numerics
)

// text returns a string of b's bytes.
func (d *Decoder) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > lastPiece/4 {
		return string(b)
	}
	if len(b) > cap(d.piece)-len(d.piece) {
		d.pieceSize = min(max(2*d.pieceSize, firstPiece), lastPiece)
		d.piece = make([]byte, 0, max(d.pieceSize, len(b)))
	}
	start := len(d.piece)
	d.piece = append(d.piece, b...)
	// The bytes are written once: the piece is only ever appended to.
	return unsafe.String(&d.piece[start], len(b))
}

// decimal returns a new zero.
func (d *Decoder) decimal() *apd.Decimal {
	if len(d.decimals) == 0 {
		d.decimalsSize = min(max(2*d.decimalsSize, 1), maxPieces)
		d.decimals = make([]apd.Decimal, d.decimalsSize)
	}
	n := &d.decimals[0]
	d.decimals = d.decimals[1:]
	return n
}
