package sql

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// COPY's binary format: a signature, a word of flags and a header extension;
// then rows, each a count of fields and the fields' binary forms behind their
// lengths; then a count of -1.

const (
	binarySignature = "PGCOPY\n\xff\r\n\x00"
	// binaryOIDs is the flag of a file with OIDs, which PostgreSQL no longer reads
	// either; the other high flags are critical to readers, too.
	binaryOIDs     = 1 << 16
	binaryCritical = 0xffff0000
)

// badBinary is the error of malformed binary data.
func (in *copyInput) badBinary(message string) error {
	return in.at(pgerror.New(pgerror.BadCopyFileFormat, message), in.line, "", nil)
}

func badBinaryHeader(message string) error {
	return pgerror.New(pgerror.BadCopyFileFormat, message)
}

// take returns the next n bytes of the data; false where it ends before.
func (in *copyInput) take(n int) ([]byte, bool, error) {
	for len(in.data) < n && !in.ended {
		if err := in.more(); err != nil {
			return nil, false, in.at(err, in.line, "", nil)
		}
	}
	if len(in.data) < n {
		return nil, false, nil
	}
	b := in.data[:n]
	in.data = in.data[n:]
	return b, true, nil
}

// binaryHeader reads what stands before the first row.
func (in *copyInput) binaryHeader() error {
	in.started = true
	signature, ok, err := in.take(len(binarySignature))
	if err != nil {
		return err
	}
	if !ok || !bytes.Equal(signature, []byte(binarySignature)) {
		return badBinaryHeader("COPY file signature not recognized")
	}
	flags, ok, err := in.take(4)
	switch {
	case err != nil:
		return err
	case !ok:
		return badBinaryHeader("invalid COPY file header (missing flags)")
	case binary.BigEndian.Uint32(flags)&binaryOIDs != 0:
		return badBinaryHeader("invalid COPY file header (WITH OIDS)")
	case binary.BigEndian.Uint32(flags)&binaryCritical != 0:
		return badBinaryHeader("unrecognized critical flags in COPY file header")
	}
	length, ok, err := in.take(4)
	if err != nil {
		return err
	}
	if !ok || int32(binary.BigEndian.Uint32(length)) < 0 {
		return badBinaryHeader("invalid COPY file header (missing length)")
	}
	_, ok, err = in.take(int(binary.BigEndian.Uint32(length)))
	if err == nil && !ok {
		err = badBinaryHeader("invalid COPY file header (wrong length)")
	}
	return err
}

// binaryRow puts the next row into the batch; false at the end.
func (in *copyInput) binaryRow(row int) (bool, error) {
	if !in.started {
		if err := in.binaryHeader(); err != nil {
			return false, err
		}
	}
	if in.closed {
		return false, nil
	}
	in.line++
	head, ok, err := in.take(2)
	if err != nil || !ok {
		in.closed = true
		return false, err
	}
	count := int(int16(binary.BigEndian.Uint16(head)))
	if count == -1 {
		in.closed = true
		if extra, _, err := in.take(1); err != nil || len(extra) > 0 {
			if err == nil {
				err = in.badBinary("received copy data after EOF marker")
			}
			return false, err
		}
		return false, nil
	}
	if count != len(in.columns) {
		return false, in.badBinary("row field count is " + strconv.Itoa(count) + ", expected " + strconv.Itoa(len(in.columns)))
	}
	for i := range in.columns {
		if err := in.binaryField(row, i); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (in *copyInput) binaryField(row, i int) error {
	c := in.columns[i]
	head, ok, err := in.take(4)
	if err != nil {
		return err
	}
	length := int32(0)
	if ok {
		length = int32(binary.BigEndian.Uint32(head))
	}
	switch {
	case !ok:
		return in.at(pgerror.New(pgerror.BadCopyFileFormat, "unexpected EOF in COPY data"), in.line, c.Name, nil)
	case length == -1:
		in.batch.Columns[i].SetNull(row)
		return nil
	case length < 0 || length > maxCopyLine:
		return in.at(pgerror.New(pgerror.BadCopyFileFormat, "invalid field size"), in.line, c.Name, nil)
	}
	value, ok, err := in.take(int(length))
	if err != nil {
		return err
	}
	if !ok {
		return in.at(pgerror.New(pgerror.BadCopyFileFormat, "unexpected EOF in COPY data"), in.line, c.Name, nil)
	}
	d, err := types.ParseBinary(c.Type, value)
	if err == nil && c.Type.Typmod >= 0 {
		d, err = in.coerce(i, d)
	}
	if err != nil {
		return in.at(err, in.line, c.Name, nil)
	}
	in.batch.Columns[i].Set(row, d)
	return nil
}

// coerce fits a value to the modifiers of its column, as assignment does: the
// binary form does not know them.
func (in *copyInput) coerce(i int, d types.Datum) (types.Datum, error) {
	t := in.columns[i].Type
	cast, ok := types.FindCast(t.WithTypmod(-1), t, types.AssignmentCast)
	if !ok {
		return d, nil
	}
	return cast.Eval(&in.session.types, d)
}

// binaryOutput writes COPY TO's binary format.
type binaryOutput struct{ row []byte }

func (o *binaryOutput) header() []byte {
	return append([]byte(binarySignature), 0, 0, 0, 0, 0, 0, 0, 0)
}

func (o *binaryOutput) begin(fields int) {
	o.row = binary.BigEndian.AppendUint16(o.row[:0], uint16(fields))
}

func (o *binaryOutput) null() { o.row = append(o.row, 0xff, 0xff, 0xff, 0xff) }

func (o *binaryOutput) value(t *types.T, d types.Datum) error {
	at := len(o.row)
	row, err := types.AppendBinary(append(o.row, 0, 0, 0, 0), t, d)
	if err != nil {
		return err
	}
	o.row = row
	binary.BigEndian.PutUint32(o.row[at:], uint32(len(o.row)-at-4))
	return nil
}

func (o *binaryOutput) trailer() []byte { return []byte{0xff, 0xff} }
