package pgwire

import (
	"encoding/binary"
	"io"

	"github.com/cairndb/cairn/sql/pgerror"
)

const (
	// MaxBodyLen bounds the body of a message that is taken, in bytes: a little
	// more than the longest statement.
	MaxBodyLen = 65 << 20
	// maxDeclaredLen is PostgreSQL's bound (PQ_LARGE_MESSAGE_LIMIT): a larger
	// length is no message, the stream is out of step.
	maxDeclaredLen   = 0x3fffffff - 1
	initialReadBytes = 8 << 10
	keptReadBytes    = 1 << 20
)

// reader cuts the client's stream into messages. A message's body lies in the
// reader's buffer until the next call.
type reader struct {
	source     io.Reader
	buffer     []byte
	begin, end int // what was read and not yet handed out
}

func newReader(source io.Reader) *reader {
	return &reader{source: source, buffer: make([]byte, initialReadBytes)}
}

// tooLarge is a message that was skipped.
type tooLarge struct {
	kind   byte
	length int
}

func (e *tooLarge) Error() string { return e.response().Message }

func (e *tooLarge) response() *pgerror.Error {
	return pgerror.Newf(pgerror.ProgramLimitExceeded, "message of %d bytes is too large; at most %d are taken", e.length, MaxBodyLen).
		WithHint("Load large data with COPY, or in several statements.")
}

// outOfStep is a stream that can't be followed any further.
func outOfStep(format string, args ...any) *pgerror.Error {
	return pgerror.Newf(pgerror.ProtocolViolation, format, args...)
}

// fill makes at least n bytes available. io.EOF only if there are none at all.
func (r *reader) fill(n int) error {
	if r.end-r.begin >= n {
		return nil
	}
	if r.begin > 0 {
		copy(r.buffer, r.buffer[r.begin:r.end])
		r.end -= r.begin
		r.begin = 0
	}
	if n <= initialReadBytes && len(r.buffer) > keptReadBytes {
		kept := make([]byte, max(initialReadBytes, r.end))
		copy(kept, r.buffer[:r.end])
		r.buffer = kept
	}
	for r.end < n {
		if r.end == len(r.buffer) {
			// The buffer grows with what has come, not with what was announced.
			grown := make([]byte, min(2*len(r.buffer), max(n, initialReadBytes)))
			copy(grown, r.buffer[:r.end])
			r.buffer = grown
		}
		got, err := r.source.Read(r.buffer[r.end:])
		r.end += got
		if r.end >= n {
			return nil
		}
		if err == io.EOF && r.end > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// peek returns the type of the next message, waiting for it.
func (r *reader) peek() (byte, error) {
	if err := r.fill(1); err != nil {
		return 0, err
	}
	return r.buffer[r.begin], nil
}

// buffered reports whether a whole message is there already.
func (r *reader) buffered() bool {
	if r.end-r.begin < 5 {
		return false
	}
	return r.end-r.begin >= 1+int(binary.BigEndian.Uint32(r.buffer[r.begin+1:]))
}

// next returns a message. *tooLarge: it was skipped, the stream goes on. A
// *pgerror.Error: the stream is out of step.
func (r *reader) next() (kind byte, body []byte, err error) {
	if err := r.fill(5); err != nil {
		return 0, nil, err
	}
	kind = r.buffer[r.begin]
	length := int(binary.BigEndian.Uint32(r.buffer[r.begin+1:])) - 4
	if !isFrontendMessage(kind) {
		return 0, nil, outOfStep("invalid frontend message type %d", kind)
	}
	if length < 0 || length > maxDeclaredLen {
		return 0, nil, outOfStep("invalid message length")
	}
	if length > MaxBodyLen {
		r.begin += 5
		if err := r.skip(length); err != nil {
			return 0, nil, err
		}
		return 0, nil, &tooLarge{kind: kind, length: length}
	}
	if err := r.fill(5 + length); err != nil {
		return 0, nil, err
	}
	body = r.buffer[r.begin+5 : r.begin+5+length]
	r.begin += 5 + length
	return kind, body, nil
}

func (r *reader) skip(n int) error {
	for n > 0 {
		if r.begin == r.end {
			r.begin, r.end = 0, 0
			if err := r.fill(1); err != nil {
				return err
			}
		}
		got := min(n, r.end-r.begin)
		r.begin += got
		n -= got
	}
	return nil
}

// startup returns the body of a message without a type, as connections begin
// with; its length is bounded as in PostgreSQL.
func (r *reader) startup() ([]byte, error) {
	if err := r.fill(4); err != nil {
		return nil, err
	}
	length := int(int32(binary.BigEndian.Uint32(r.buffer[r.begin:]))) - 4
	if length < 4 || length > 10000 {
		return nil, outOfStep("invalid length of startup packet")
	}
	if err := r.fill(4 + length); err != nil {
		return nil, err
	}
	body := r.buffer[r.begin+4 : r.begin+4+length]
	r.begin += 4 + length
	return body, nil
}

func isFrontendMessage(kind byte) bool {
	switch kind {
	case 'B', 'C', 'D', 'E', 'F', 'f', 'd', 'c', 'H', 'P', 'p', 'Q', 'S', 'X':
		return true
	}
	return false
}

// fields reads the parts of a message's body; after the first part that is
// not there all are empty and ok is false.
type fields struct {
	body   []byte
	broken bool
}

func (f *fields) bytes(n int) []byte {
	if f.broken || n < 0 || len(f.body) < n {
		f.broken = true
		return nil
	}
	b := f.body[:n:n]
	f.body = f.body[n:]
	return b
}

// text returns a string that ends with a zero byte.
func (f *fields) text() []byte {
	for i, c := range f.body {
		if c == 0 {
			b := f.body[:i:i]
			f.body = f.body[i+1:]
			return b
		}
	}
	f.broken = true
	return nil
}

func (f *fields) uint8() byte {
	if b := f.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if b := f.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) int32() int32 {
	if b := f.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// whole reports whether all parts were there, and nothing else.
func (f *fields) whole() bool { return !f.broken && len(f.body) == 0 }
