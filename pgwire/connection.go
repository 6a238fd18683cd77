package pgwire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// session is what the connection needs of a *sql.Session. Errors that clients
// see are *pgerror.Error; a session has already put its transaction into the
// state that follows from an error when it returns it.
type session interface {
	ProcessID() int32
	Secret() int32
	// Status is the byte of ReadyForQuery: I, T or E.
	Status() byte
	Query(text string) error
	Parse(name, text string, parameters []types.OID) error
	Bind(portal, statement []byte, a *sql.BindArguments) error
	DescribeStatement(name []byte) (sql.Description, error)
	DescribePortal(name []byte) (sql.Description, error)
	// Execute runs a portal for at most limit rows, 0: all.
	Execute(portal []byte, limit int64) error
	CloseStatement(name []byte)
	ClosePortal(name []byte)
	// Sync ends the implicit transaction.
	Sync() error
	// Fail tells of an error of the protocol.
	Fail()
	// Changed calls report with the parameters that clients are told of and that
	// changed since the last call.
	Changed(report func(name, value string))
	// IdleTimeout is how long the session may wait for the client in its present
	// state, 0: for ever, and what to say then.
	IdleTimeout() (time.Duration, *pgerror.Error)
	// Terminated is why the session must end, nil while it needn't.
	Terminated() *pgerror.Error
	Terminate(reason *pgerror.Error)
	Close()
}

// connection is one client: its stream and the state of the protocol.
type connection struct {
	server *Server
	conn   net.Conn
	reader *reader
	writer writer
	logger *slog.Logger
	// session is nil until the client is let in; others than the connection's
	// goroutine find it in shared.
	session session
	shared  atomic.Pointer[session]

	bind     sql.BindArguments
	skipping bool // until the next Sync, after an error
	hasLimit bool // a read deadline is set
	// atRest: the last message either way was ReadyForQuery.
	atRest bool
}

// run serves the connection to its end.
func (c *connection) run() {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("a connection failed", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			c.fatal(pgerror.Newf(pgerror.Internal, "internal error: %v", r).WithHint("Please report this, with the statement that led to it."))
		}
		if c.session != nil {
			c.session.Close()
		}
		_ = c.conn.Close()
	}()
	if !c.start() {
		return
	}
	c.serve()
}

// fatal sends the last message.
func (c *connection) fatal(e *pgerror.Error) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
	c.writer.failure("FATAL", e)
	_ = c.writer.flush()
}

const lastWriteTimeout = 5 * time.Second

// serve answers messages until the client leaves, or has to.
func (c *connection) serve() {
	c.ready()
	for {
		if err := c.writer.err; err != nil {
			return
		}
		if e := c.session.Terminated(); e != nil {
			c.fatal(e)
			return
		}
		kind, body, err := c.read()
		if err != nil {
			if !c.readFailed(err) {
				return
			}
			continue
		}
		if !c.dispatch(kind, body) {
			return
		}
	}
}

// read waits for a message, no longer than the session's settings allow.
func (c *connection) read() (byte, []byte, error) {
	if !c.reader.buffered() {
		limit := time.Duration(0)
		if c.atRest {
			limit, _ = c.session.IdleTimeout()
		}
		if limit > 0 {
			_ = c.conn.SetReadDeadline(time.Now().Add(limit))
			c.hasLimit = true
		} else if c.hasLimit {
			_ = c.conn.SetReadDeadline(time.Time{})
			c.hasLimit = false
		}
		if c.session.Terminated() != nil {
			return 0, nil, os.ErrDeadlineExceeded
		}
		if c.server.draining.Load() && c.idle() {
			return 0, nil, errDraining
		}
	}
	return c.reader.next()
}

// idle reports whether the client waits for nothing and has nothing open.
func (c *connection) idle() bool { return c.atRest && c.session.Status() == 'I' }

var errDraining = errors.New("draining")

func shuttingDown() *pgerror.Error {
	return pgerror.New(pgerror.AdminShutdown, "terminating connection due to administrator command")
}

// readFailed says what becomes of a connection whose next message failed:
// whether it goes on.
func (c *connection) readFailed(err error) bool {
	if large, ok := errors.AsType[*tooLarge](err); ok {
		c.failed(large.kind != 'Q', large.response())
		if large.kind == 'Q' {
			c.ready()
		}
		return true
	}
	if broken, ok := errors.AsType[*pgerror.Error](err); ok {
		c.fatal(broken)
		return false
	}
	switch {
	case errors.Is(err, errDraining):
		c.fatal(shuttingDown())
		return false
	case errors.Is(err, os.ErrDeadlineExceeded):
		if e := c.session.Terminated(); e != nil {
			c.fatal(e)
			return false
		}
		if c.server.draining.Load() {
			// Within a transaction the client may finish it.
			if c.idle() {
				c.fatal(shuttingDown())
				return false
			}
			c.hasLimit = true
			return true
		}
		if limit, reason := c.session.IdleTimeout(); limit > 0 && c.atRest {
			c.fatal(reason)
			return false
		}
		c.hasLimit = true
		return true
	case errors.Is(err, io.EOF) && c.session.Status() == 'I':
		c.logger.Debug("client left without a farewell")
	default:
		c.logger.Info("connection lost", "error", err)
	}
	return false
}

// ready tells the client that it may send the next statement.
func (c *connection) ready() {
	c.session.Changed(c.writer.parameterStatus)
	c.writer.ready(c.session.Status())
	_ = c.writer.flush()
	c.atRest = true
}

// failed answers with an error; in the extended protocol the messages up to
// the next Sync are then skipped.
func (c *connection) failed(extended bool, err error) {
	c.skipping = extended
	e, ok := errors.AsType[*pgerror.Error](err)
	if !ok {
		e = pgerror.New(pgerror.Internal, err.Error())
	}
	c.session.Fail()
	if c.session.Terminated() == nil {
		c.writer.failure("ERROR", e)
	}
}

// dispatch answers a message; false ends the connection.
func (c *connection) dispatch(kind byte, body []byte) bool {
	c.atRest = false
	switch kind {
	case 'X':
		return false
	case 'S':
		if err := c.session.Sync(); err != nil {
			c.failed(false, err)
		}
		c.skipping = false
		c.ready()
		return true
	case 'd', 'c', 'f':
		// Left over from a COPY that failed.
		return true
	}
	if c.skipping && kind != 'Q' {
		return true
	}
	c.skipping = false
	switch kind {
	case 'Q':
		f := fields{body: body}
		text := f.text()
		err := error(malformed("Query"))
		if f.whole() {
			err = c.session.Query(string(text))
		}
		if err != nil {
			c.failed(false, err)
		}
		c.ready()
	case 'H':
		return c.writer.flush() == nil
	case 'F':
		c.failed(false, pgerror.Unsupported("the function call protocol"))
		c.ready()
	default:
		if err := c.extended(kind, body); err != nil {
			c.failed(true, err)
		}
	}
	return true
}

func malformed(message string) *pgerror.Error {
	return pgerror.Newf(pgerror.ProtocolViolation, "invalid message format: %s", message)
}

// extended answers a message of the extended protocol.
func (c *connection) extended(kind byte, body []byte) error {
	f := fields{body: body}
	switch kind {
	case 'P':
		return c.parse(&f)
	case 'B':
		return c.bindPortal(&f)
	case 'E':
		portal, limit := f.text(), f.int32()
		if !f.whole() {
			return malformed("Execute")
		}
		return c.session.Execute(portal, int64(max(limit, 0)))
	case 'D':
		return c.describe(&f)
	case 'C':
		what, name := f.uint8(), f.text()
		switch {
		case !f.whole():
			return malformed("Close")
		case what == 'S':
			c.session.CloseStatement(name)
		case what == 'P':
			c.session.ClosePortal(name)
		default:
			return pgerror.Newf(pgerror.ProtocolViolation, "invalid CLOSE message subtype %d", what)
		}
		c.writer.bare('3')
		return nil
	default:
		return pgerror.Newf(pgerror.ProtocolViolation, "unexpected message type 0x%02X", kind)
	}
}

func (c *connection) parse(f *fields) error {
	name, text := f.text(), f.text()
	oids := make([]types.OID, f.uint16())
	for i := range oids {
		oids[i] = types.OID(f.int32())
	}
	if !f.whole() {
		return malformed("Parse")
	}
	if err := c.session.Parse(string(name), string(text), oids); err != nil {
		return err
	}
	c.writer.bare('1')
	return nil
}

func (c *connection) bindPortal(f *fields) error {
	portal, statement := f.text(), f.text()
	a := &c.bind
	a.ParameterFormats, a.Parameters, a.ResultFormats = a.ParameterFormats[:0], a.Parameters[:0], a.ResultFormats[:0]
	for range f.uint16() {
		a.ParameterFormats = append(a.ParameterFormats, int16(f.uint16()))
	}
	for range f.uint16() {
		if f.broken {
			break
		}
		length := f.int32()
		if length == -1 {
			a.Parameters = append(a.Parameters, nil)
			continue
		}
		value := f.bytes(int(length))
		if value == nil {
			value = noBytes
		}
		a.Parameters = append(a.Parameters, value)
	}
	for range f.uint16() {
		a.ResultFormats = append(a.ResultFormats, int16(f.uint16()))
	}
	if !f.whole() {
		return malformed("Bind")
	}
	if err := c.session.Bind(portal, statement, a); err != nil {
		return err
	}
	c.writer.bare('2')
	return nil
}

var noBytes = []byte{}

func (c *connection) describe(f *fields) error {
	what, name := f.uint8(), f.text()
	if !f.whole() {
		return malformed("Describe")
	}
	var d sql.Description
	var err error
	switch what {
	case 'S':
		d, err = c.session.DescribeStatement(name)
	case 'P':
		d, err = c.session.DescribePortal(name)
	default:
		err = pgerror.Newf(pgerror.ProtocolViolation, "invalid DESCRIBE message subtype %d", what)
	}
	if err != nil {
		return err
	}
	if what == 'S' {
		oids := make([]uint32, len(d.Parameters))
		for i, t := range d.Parameters {
			oids[i] = uint32(t.OID)
		}
		c.writer.send(&pgproto3.ParameterDescription{ParameterOIDs: oids})
	}
	if d.Columns == nil {
		c.writer.bare('n')
		return nil
	}
	c.writer.columns(d.Columns, d.Formats)
	return nil
}

// What follows makes a connection the session's sql.Client.

// Columns implements sql.Client.
func (c *connection) Columns(columns []opt.ResultColumn, formats []int16) {
	c.writer.columns(columns, formats)
}

// Rows implements sql.Client.
func (c *connection) Rows(r *sql.Rows) error { return c.writer.rows(r) }

// Complete implements sql.Client.
func (c *connection) Complete(tag sql.CommandTag) { c.writer.complete(tag) }

// Empty implements sql.Client.
func (c *connection) Empty() { c.writer.bare('I') }

// Suspended implements sql.Client.
func (c *connection) Suspended() { c.writer.bare('s') }

// Notice implements sql.Client.
func (c *connection) Notice(severity string, e *pgerror.Error) { c.writer.notice(severity, e) }

// Mark implements sql.Client.
func (c *connection) Mark() int64 { return c.writer.mark() }

// Rewind implements sql.Client.
func (c *connection) Rewind(mark int64) bool { return c.writer.rewind(mark) }

// SyncFollows implements sql.Client. It waits: whoever sends Execute sends
// Sync or Flush next, or does not expect an answer.
func (c *connection) SyncFollows() bool {
	kind, err := c.reader.peek()
	return err == nil && kind == 'S'
}

// Interrupt implements sql.Client.
func (c *connection) Interrupt() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	_ = c.conn.SetReadDeadline(time.Now())
}
