package pgwire

import (
	"errors"
	"io"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql/pgerror"
)

// CopyIn implements sql.Client.
func (c *connection) CopyIn(columns int, binary bool) error {
	overall, codes := copyFormats(columns, binary)
	c.writer.send(&pgproto3.CopyInResponse{OverallFormat: overall, ColumnFormatCodes: codes})
	return c.writer.flush()
}

// copyFormats are the format codes of COPY's data.
func copyFormats(columns int, binary bool) (overall byte, codes []uint16) {
	codes = make([]uint16, columns)
	if binary {
		overall = 1
		for i := range codes {
			codes[i] = 1
		}
	}
	return overall, codes
}

// CopyInData implements sql.Client. As in PostgreSQL, Flush and Sync are
// ignored while data is expected.
func (c *connection) CopyInData() ([]byte, error) {
	for {
		kind, body, err := c.reader.next()
		if err != nil {
			if large, ok := errors.AsType[*tooLarge](err); ok {
				return nil, large.response()
			}
			return nil, c.lostInCopy(err)
		}
		switch kind {
		case 'd':
			return body, nil
		case 'c':
			return nil, io.EOF
		case 'f':
			f := fields{body: body}
			return nil, pgerror.Newf(pgerror.QueryCanceled, "COPY from stdin failed: %s", f.text())
		case 'H', 'S':
		default:
			return nil, pgerror.Newf(pgerror.ProtocolViolation, "unexpected message type 0x%02X during COPY from stdin", kind)
		}
	}
}

// lostInCopy ends a session whose client vanished amid its data.
func (c *connection) lostInCopy(err error) error {
	e, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		e = pgerror.New(pgerror.ConnectionFailure, "unexpected EOF on client connection with an open transaction")
	}
	c.session.Terminate(e)
	return e
}

// CopyOut implements sql.Client.
func (c *connection) CopyOut(columns int, binary bool) {
	overall, codes := copyFormats(columns, binary)
	c.writer.send(&pgproto3.CopyOutResponse{OverallFormat: overall, ColumnFormatCodes: codes})
}

// CopyOutData implements sql.Client.
func (c *connection) CopyOutData(row []byte) error {
	at := c.writer.begin('d')
	c.writer.out = append(c.writer.out, row...)
	c.writer.end(at)
	return c.writer.flushIfFull()
}

// CopyOutDone implements sql.Client.
func (c *connection) CopyOutDone() { c.writer.bare('c') }
