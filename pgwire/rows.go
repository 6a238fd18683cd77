package pgwire

import (
	"encoding/binary"
	"strconv"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// OIDs of types whose values need no formatting.
const (
	oidInt8    types.OID = 20
	oidInt2    types.OID = 21
	oidInt4    types.OID = 23
	oidName    types.OID = 19
	oidText    types.OID = 25
	oidBPChar  types.OID = 1042
	oidVarchar types.OID = 1043
)

// rows appends a DataRow for each row. Output leaves between rows when there
// is much of it.
func (w *writer) rows(r *sql.Rows) error {
	for n := r.Begin; n < r.End; n++ {
		row := r.Batch.Row(n)
		at := w.begin('D')
		w.out = binary.BigEndian.AppendUint16(w.out, uint16(len(r.Columns)))
		for i := range r.Columns {
			v := r.Batch.Columns[r.Positions[i]]
			if v.Null(row) {
				w.out = append(w.out, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			if err := w.value(r, i, v, row); err != nil {
				w.out = w.out[:at-1]
				return err
			}
		}
		w.end(at)
		if err := w.flushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) value(r *sql.Rows, column int, v *vector.Vector, row int) (err error) {
	t := r.Columns[column].Type
	at := len(w.out)
	w.out = append(w.out, 0, 0, 0, 0)
	switch t.OID {
	case oidInt4, oidInt8, oidInt2:
		w.out = appendInteger(w.out, t, v.Ints[row], r.Format(column))
	case oidText, oidVarchar, oidBPChar, oidName:
		w.out = append(w.out, v.Strings[row]...)
	default:
		if r.Format(column) == 0 {
			w.out = types.AppendText(w.out, r.Types, t, v.Datum(row))
		} else if w.out, err = types.AppendBinary(w.out, t, v.Datum(row)); err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(w.out[at:], uint32(len(w.out)-at-4))
	return nil
}

func appendInteger(b []byte, t *types.T, i int64, format int16) []byte {
	switch {
	case format == 0:
		return strconv.AppendInt(b, i, 10)
	case t.OID == oidInt4:
		return binary.BigEndian.AppendUint32(b, uint32(i))
	case t.OID == oidInt2:
		return binary.BigEndian.AppendUint16(b, uint16(i))
	default:
		return binary.BigEndian.AppendUint64(b, uint64(i))
	}
}
