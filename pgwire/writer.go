package pgwire

import (
	"encoding/binary"
	"io"
	"strconv"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
)

const (
	// flushBytes is how much output gathers before it is sent without being
	// asked for: until then a statement can be repeated unnoticed.
	flushBytes     = 64 << 10
	keptWriteBytes = 256 << 10
)

// writer gathers the messages to the client in one buffer. After an error of
// the connection it swallows everything.
type writer struct {
	sink io.Writer
	out  []byte
	left int64 // bytes that left already
	err  error
	// description is reused for RowDescriptions.
	description []pgproto3.FieldDescription
}

func (w *writer) flush() error {
	if len(w.out) > 0 && w.err == nil {
		_, w.err = w.sink.Write(w.out)
	}
	w.left += int64(len(w.out))
	if cap(w.out) > keptWriteBytes {
		w.out = nil
	}
	w.out = w.out[:0]
	return w.err
}

func (w *writer) flushIfFull() error {
	if len(w.out) >= flushBytes {
		return w.flush()
	}
	return w.err
}

func (w *writer) mark() int64 { return w.left + int64(len(w.out)) }

func (w *writer) rewind(mark int64) bool {
	if mark < w.left {
		return false
	}
	w.out = w.out[:mark-w.left]
	return true
}

// send appends a message of pgproto3.
func (w *writer) send(m pgproto3.BackendMessage) {
	out, err := m.Encode(w.out)
	if err != nil {
		if w.err == nil {
			w.err = err
		}
		return
	}
	w.out = out
}

// begin starts a message; end sets its length.
func (w *writer) begin(kind byte) int {
	w.out = append(w.out, kind, 0, 0, 0, 0)
	return len(w.out) - 4
}

func (w *writer) end(at int) {
	binary.BigEndian.PutUint32(w.out[at:], uint32(len(w.out)-at))
}

// bare is a message without a body.
func (w *writer) bare(kind byte) { w.out = append(w.out, kind, 0, 0, 0, 4) }

func (w *writer) ready(status byte) { w.out = append(w.out, 'Z', 0, 0, 0, 5, status) }

func (w *writer) parameterStatus(name, value string) {
	at := w.begin('S')
	w.out = append(append(w.out, name...), 0)
	w.out = append(append(w.out, value...), 0)
	w.end(at)
}

func (w *writer) complete(tag sql.CommandTag) {
	at := w.begin('C')
	w.out = append(w.out, tag.Name...)
	if tag.Counted {
		w.out = append(w.out, ' ')
		w.out = strconv.AppendInt(w.out, tag.Rows, 10)
	}
	w.out = append(w.out, 0)
	w.end(at)
}

// failure appends an ErrorResponse.
func (w *writer) failure(severity string, e *pgerror.Error) {
	w.send((*pgproto3.ErrorResponse)(response(severity, e)))
}

// notice appends a NoticeResponse.
func (w *writer) notice(severity string, e *pgerror.Error) {
	w.send((*pgproto3.NoticeResponse)(response(severity, e)))
}

func response(severity string, e *pgerror.Error) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: severity, SeverityUnlocalized: severity, Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Position: e.Position,
		Where: e.Where, SchemaName: e.Schema, TableName: e.Table, ColumnName: e.Column, DataTypeName: e.DataType, ConstraintName: e.Constraint}
}

func (w *writer) columns(columns []opt.ResultColumn, formats []int16) {
	w.description = w.description[:0]
	r := sql.Rows{Formats: formats}
	for i := range columns {
		c := &columns[i]
		w.description = append(w.description, pgproto3.FieldDescription{Name: []byte(c.Name), TableOID: uint32(c.Table), TableAttributeNumber: uint16(c.Attribute),
			DataTypeOID: uint32(c.Type.OID), DataTypeSize: c.Type.Size, TypeModifier: c.Type.Typmod, Format: r.Format(i)})
	}
	w.send(&pgproto3.RowDescription{Fields: w.description})
}
