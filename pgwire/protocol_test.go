package pgwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// fakeEngine lets "app" in, to sessions that answer statements like
// "rows 3", "error", "copy in" and "copy out".
type fakeEngine struct {
	sessions  []*fakeSession
	cancelled chan [2]int32
	idle      time.Duration // of new sessions
}

func (e *fakeEngine) Role(_ context.Context, name string) (*catalog.Role, error) {
	switch name {
	case "app":
		return &catalog.Role{Login: true}, nil
	case "group":
		return &catalog.Role{}, nil
	}
	return nil, nil
}

func (e *fakeEngine) Connect(r sql.ConnectRequest, client sql.Client) (session, error) {
	if r.Database == "missing" {
		return nil, pgerror.New(pgerror.InvalidCatalogName, `database "missing" does not exist`)
	}
	s := &fakeSession{idle: e.idle, client: client, request: r, statements: map[string]string{}, portals: map[string]*fakePortal{}}
	e.sessions = append(e.sessions, s)
	return s, nil
}

func (e *fakeEngine) Cancel(pid, secret int32) { e.cancelled <- [2]int32{pid, secret} }

type fakePortal struct {
	rows, sent int
	formats    []int16
}

type fakeSession struct {
	client     sql.Client
	request    sql.ConnectRequest
	statements map[string]string
	portals    map[string]*fakePortal
	log        []string
	changed    bool
	idle       time.Duration
	status     byte
	terminated atomic.Pointer[pgerror.Error]
}

var fakeColumns = []opt.ResultColumn{{Name: "n", Type: types.Int4}}

func (s *fakeSession) ProcessID() int32 { return 7 }
func (s *fakeSession) Secret() int32    { return 11 }
func (s *fakeSession) Status() byte {
	if s.status == 0 {
		return 'I'
	}
	return s.status
}

func (s *fakeSession) rows(from, to int, formats []int16) error {
	b := vector.NewBatch([]*types.T{types.Int4})
	for i := range to - from {
		b.Columns[0].Set(i, types.Int(int64(from+i+1)))
	}
	b.Length = to - from
	return s.client.Rows(&sql.Rows{Types: &types.Context{}, Columns: fakeColumns, Positions: []int{0}, Formats: formats, Batch: b, End: b.Length})
}

func (s *fakeSession) Query(text string) error {
	s.log = append(s.log, text)
	verb, argument, _ := strings.Cut(text, " ")
	switch verb {
	case "":
		s.client.Empty()
	case "rows":
		n, _ := strconv.Atoi(argument)
		s.client.Columns(fakeColumns, nil)
		if err := s.rows(0, n, nil); err != nil {
			return err
		}
		s.client.Complete(sql.CommandTag{Name: "SELECT", Rows: int64(n), Counted: true})
	case "begin":
		s.status = 'T'
		s.client.Complete(sql.CommandTag{Name: "BEGIN"})
	case "panic":
		panic("as asked for")
	case "in":
		return s.copyIn()
	case "out":
		s.client.CopyOut(1, false)
		for i := range 3 {
			if err := s.client.CopyOutData(fmt.Appendf(nil, "%d\n", i)); err != nil {
				return err
			}
		}
		s.client.CopyOutDone()
		s.client.Complete(sql.CommandTag{Name: "COPY", Rows: 3, Counted: true})
	default:
		return pgerror.Newf(pgerror.Syntax, "syntax error at or near %q", verb).WithPosition(1).WithDetail("d").WithHint("h")
	}
	return nil
}

func (s *fakeSession) copyIn() error {
	if err := s.client.CopyIn(1, false); err != nil {
		return err
	}
	size := 0
	for {
		b, err := s.client.CopyInData()
		if errors.Is(err, io.EOF) {
			s.client.Complete(sql.CommandTag{Name: "COPY", Rows: int64(size), Counted: true})
			return nil
		}
		if err != nil {
			return err
		}
		if string(b) == "bad" {
			return pgerror.New(pgerror.BadCopyFileFormat, "bad data")
		}
		size += len(b)
	}
}

func (s *fakeSession) Parse(name, text string, parameters []types.OID) error {
	if text == "error" {
		return pgerror.New(pgerror.Syntax, "syntax error")
	}
	s.statements[name] = text
	return nil
}

func (s *fakeSession) Bind(portal, statement []byte, a *sql.BindArguments) error {
	n, _ := strconv.Atoi(s.statements[string(statement)])
	s.portals[string(portal)] = &fakePortal{rows: n, formats: append([]int16(nil), a.ResultFormats...)}
	return nil
}

func (s *fakeSession) DescribeStatement([]byte) (sql.Description, error) {
	return sql.Description{Parameters: []*types.T{types.Int4}, Columns: fakeColumns}, nil
}

func (s *fakeSession) DescribePortal(name []byte) (sql.Description, error) {
	return sql.Description{Columns: fakeColumns, Formats: s.portals[string(name)].formats}, nil
}

func (s *fakeSession) Execute(portal []byte, limit int64) error {
	p := s.portals[string(portal)]
	if p == nil {
		return pgerror.New(pgerror.InvalidCursorName, "no portal")
	}
	n := p.rows - p.sent
	if limit > 0 {
		n = min(n, int(limit))
	}
	if err := s.rows(p.sent, p.sent+n, p.formats); err != nil {
		return err
	}
	p.sent += n
	if int64(n) == limit {
		s.client.Suspended()
	} else {
		s.client.Complete(sql.CommandTag{Name: "SELECT", Rows: int64(n), Counted: true})
	}
	return nil
}

func (s *fakeSession) CloseStatement(name []byte) { delete(s.statements, string(name)) }
func (s *fakeSession) ClosePortal(name []byte)    { delete(s.portals, string(name)) }
func (s *fakeSession) Sync() error                { return nil }
func (s *fakeSession) Fail()                      {}
func (s *fakeSession) Changed(report func(name, value string)) {
	if !s.changed {
		s.changed = true
		report("server_version", "15")
	}
}

func (s *fakeSession) IdleTimeout() (time.Duration, *pgerror.Error) {
	return s.idle, pgerror.New(pgerror.IdleSessionTimeout, "terminating connection due to idle-session timeout")
}
func (s *fakeSession) Terminated() *pgerror.Error { return s.terminated.Load() }
func (s *fakeSession) Terminate(e *pgerror.Error) { s.terminated.CompareAndSwap(nil, e) }
func (s *fakeSession) Close()                     { s.log = append(s.log, "closed") }

// countingConn counts the writes of the server.
type countingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// peer is a client over a pipe.
type peer struct {
	*testing.T
	conn     net.Conn
	server   *countingConn
	frontend *pgproto3.Frontend
	engine   *fakeEngine
	pgwire   *Server
}

func newPeer(t *testing.T) *peer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{T: t, conn: client, server: &countingConn{Conn: accepted}, engine: &fakeEngine{cancelled: make(chan [2]int32, 1)}}
	p.frontend = pgproto3.NewFrontend(pgproto3.NewChunkReader(client), client)
	p.pgwire = newServer(Config{Insecure: true, Logger: testLogger()}, p.engine)
	p.pgwire.welcome(p.server)
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() {
		_ = client.Close()
		p.pgwire.Close()
	})
	return p
}

func (p *peer) send(messages ...pgproto3.FrontendMessage) {
	p.Helper()
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = m.Encode(b); err != nil {
			p.Fatal(err)
		}
	}
	if _, err := p.conn.Write(b); err != nil {
		p.Fatal(err)
	}
}

// expect reads messages and compares them, each as one word or more.
func (p *peer) expect(want string) {
	p.Helper()
	for _, w := range strings.Split(want, "; ") {
		m, err := p.frontend.Receive()
		if err != nil {
			p.Fatalf("instead of %s: %v", w, err)
		}
		if got := describeMessage(m); got != w {
			p.Fatalf("got %s instead of %s", got, w)
		}
	}
}

func describeMessage(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		return fmt.Sprintf("%s %s", m.Severity, m.Code)
	case *pgproto3.ReadyForQuery:
		return "ready " + string(m.TxStatus)
	case *pgproto3.CommandComplete:
		return string(m.CommandTag)
	case *pgproto3.DataRow:
		return "row " + string(bytes.Join(m.Values, []byte(",")))
	case *pgproto3.CopyData:
		return "data " + strings.TrimSpace(string(m.Data))
	case *pgproto3.ParameterStatus:
		return m.Name + "=" + m.Value
	case *pgproto3.BackendKeyData:
		return fmt.Sprintf("key %d %d", m.ProcessID, m.SecretKey)
	case *pgproto3.RowDescription:
		return fmt.Sprintf("columns %d format %d", len(m.Fields), m.Fields[0].Format)
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	}
}

func (p *peer) start() {
	p.Helper()
	p.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "app"}})
	p.expect("AuthenticationOk; server_version=15; key 7 11; ready I")
}

// closed makes sure that the server ended the connection.
func (p *peer) closed() {
	p.Helper()
	if b, err := io.ReadAll(p.conn); err != nil || len(b) > 0 {
		p.Fatalf("%d bytes and %v instead of the end", len(b), err)
	}
}

func TestStartup(t *testing.T) {
	t.Run("encryption is declined, then plain", func(t *testing.T) {
		p := newPeer(t)
		for _, code := range []uint32{sslRequest, gssRequest} {
			_, _ = p.conn.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, code))
			b := make([]byte, 1)
			if _, err := io.ReadFull(p.conn, b); err != nil || b[0] != 'N' {
				t.Fatal(b, err)
			}
		}
		p.start()
	})
	t.Run("newer minor versions are lowered", func(t *testing.T) {
		p := newPeer(t)
		_, _ = p.conn.Write(startupBytes(3<<16|2, "user", "app", "_pq_.x", "1"))
		b := make([]byte, 24)
		if _, err := io.ReadFull(p.conn, b); err != nil || b[0] != 'v' || string(b[13:19]) != "_pq_.x" {
			t.Fatalf("%q %v", b, err)
		}
	})
	t.Run("cancel requests reach the engine", func(t *testing.T) {
		p := newPeer(t)
		p.send(&pgproto3.CancelRequest{ProcessID: 3, SecretKey: 4})
		p.closed()
		if got := <-p.engine.cancelled; got != [2]int32{3, 4} {
			t.Fatal(got)
		}
	})
	t.Run("options and settings", func(t *testing.T) {
		p := newPeer(t)
		_, _ = p.conn.Write(startupBytes(3<<16, "user", "app", "options", `-c a.b=x\ y --search-path=z`, "TimeZone", "UTC"))
		p.expect("AuthenticationOk; server_version=15; key 7 11; ready I")
		if got := fmt.Sprint(p.engine.sessions[0].request.Settings); got != "[{a.b x y} {search_path z} {TimeZone UTC}]" {
			t.Fatal(got)
		}
	})
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"protocol 2":         {startupBytes(2<<16, "user", "app"), "FATAL 0A000"},
		"no user":            {startupBytes(3<<16, "database", "x"), "FATAL 28000"},
		"unknown role":       {startupBytes(3<<16, "user", "nobody"), "FATAL 28000"},
		"role without login": {startupBytes(3<<16, "user", "group"), "FATAL 28000"},
		"unknown database":   {startupBytes(3<<16, "user", "app", "database", "missing"), "FATAL 3D000"},
		"replication":        {startupBytes(3<<16, "user", "app", "replication", "true"), "FATAL 0A000"},
		"no terminator":      {[]byte{0, 0, 0, 12, 0, 3, 0, 0, 'u', 's', 'e', 'r'}, "FATAL 08P01"},
		"too long":           {[]byte{0x7f, 0, 0, 0}, "FATAL 08P01"},
		"an HTTP request":    {[]byte("GET / HTTP/1.1\r\n\r\n"), "FATAL 08P01"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			_, _ = p.conn.Write(c.bytes)
			p.expect(c.want)
		})
	}
}

func startupBytes(version uint32, parameters ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, version)
	for _, s := range parameters {
		b = append(append(b, s...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func TestSimpleQuery(t *testing.T) {
	p := newPeer(t)
	p.start()
	p.send(&pgproto3.Query{String: "rows 2"})
	p.expect("columns 1 format 0; row 1; row 2; SELECT 2; ready I")
	p.send(&pgproto3.Query{String: ""})
	p.expect("EmptyQueryResponse; ready I")
	p.send(&pgproto3.Query{String: "nonsense"})
	p.expect("ERROR 42601; ready I")
	p.send(&pgproto3.Query{String: "begin"})
	p.expect("BEGIN; ready T")
	p.send(&pgproto3.FunctionCall{})
	p.expect("ERROR 0A000; ready T")
	p.send(&pgproto3.Terminate{})
	p.closed()
}

func TestExtendedProtocol(t *testing.T) {
	p := newPeer(t)
	p.start()
	writes := p.server.writes.Load()
	p.send(&pgproto3.Parse{Name: "s", Query: "3"}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: []int16{1}},
		&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
	p.expect("ParseComplete; ParameterDescription; columns 1 format 0; BindComplete; columns 1 format 1; row \x00\x00\x00\x01; row \x00\x00\x00\x02; PortalSuspended; row \x00\x00\x00\x03; SELECT 1; CloseComplete; ready I")
	if n := p.server.writes.Load() - writes; n != 1 {
		t.Errorf("%d writes for one Sync", n)
	}
	// Flush makes the server answer before Sync.
	p.send(&pgproto3.Parse{Query: "1"}, &pgproto3.Flush{})
	p.expect("ParseComplete")
	p.send(&pgproto3.Sync{})
	p.expect("ready I")
	// After an error everything up to Sync is skipped.
	p.send(&pgproto3.Parse{Query: "error"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Parse{Query: "1"}, &pgproto3.Sync{})
	p.expect("ERROR 42601; ready I; ParseComplete; ready I")
}

func TestCopy(t *testing.T) {
	p := newPeer(t)
	p.start()
	p.send(&pgproto3.Query{String: "out"})
	p.expect("CopyOutResponse; data 0; data 1; data 2; CopyDone; COPY 3; ready I")
	p.send(&pgproto3.Query{String: "in"})
	p.expect("CopyInResponse")
	p.send(&pgproto3.CopyData{Data: []byte("abc")}, &pgproto3.Sync{}, &pgproto3.CopyData{Data: []byte("de")}, &pgproto3.CopyDone{})
	p.expect("COPY 5; ready I")
	p.send(&pgproto3.Query{String: "in"}, &pgproto3.CopyFail{Message: "changed my mind"})
	p.expect("CopyInResponse; ERROR 57014; ready I")
	// What the client still sends after an error of the server is ignored.
	p.send(&pgproto3.Query{String: "in"}, &pgproto3.CopyData{Data: []byte("bad")}, &pgproto3.CopyData{Data: []byte("more")}, &pgproto3.CopyDone{}, &pgproto3.Query{String: "rows 1"})
	p.expect("CopyInResponse; ERROR 22P04; ready I; columns 1 format 0; row 1; SELECT 1; ready I")
	p.send(&pgproto3.Query{String: "in"}, &pgproto3.Query{String: "rows 1"})
	p.expect("CopyInResponse; ERROR 08P01; ready I")
}

func TestBrokenMessages(t *testing.T) {
	message := func(kind byte, length uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind}, length), body...)
	}
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"unknown type":          {message('!', 4, ""), "FATAL 08P01"},
		"negative length":       {message('Q', 0xffffffff, ""), "FATAL 08P01"},
		"length below its own":  {message('Q', 3, ""), "FATAL 08P01"},
		"absurd length":         {message('Q', 0x7fffffff, ""), "FATAL 08P01"},
		"query without end":     {message('Q', 6, "ab"), "ERROR 08P01; ready I"},
		"bind cut short":        {append(message('B', 6, "\x00\x00"), message('S', 4, "")...), "ERROR 08P01; ready I"},
		"bind with huge counts": {append(message('B', 8, "\x00\x00\xff\xff"), message('S', 4, "")...), "ERROR 08P01; ready I"},
		"parameter length -2":   {append(message('B', 14, "\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe"), message('S', 4, "")...), "ERROR 08P01; ready I"},
		"stray password":        {append(message('p', 5, "\x00"), message('S', 4, "")...), "ERROR 08P01; ready I"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.start()
			_, _ = p.conn.Write(c.bytes)
			p.expect(c.want)
			if strings.HasPrefix(c.want, "ERROR") {
				p.send(&pgproto3.Query{String: "rows 1"})
				p.expect("columns 1 format 0; row 1; SELECT 1; ready I")
			}
		})
	}
}

func TestTooLargeMessagesAreSkipped(t *testing.T) {
	p := newPeer(t)
	p.start()
	go func() {
		_, _ = p.conn.Write(binary.BigEndian.AppendUint32([]byte{'Q'}, MaxBodyLen+5))
		zeros := make([]byte, 1<<20)
		for left := MaxBodyLen + 1; left > 0; left -= len(zeros) {
			_, _ = p.conn.Write(zeros[:min(left, len(zeros))])
		}
	}()
	p.expect("ERROR 54000; ready I")
	p.send(&pgproto3.Query{String: "rows 1"})
	p.expect("columns 1 format 0; row 1; SELECT 1; ready I")
}

func TestPanicsEndTheConnectionOnly(t *testing.T) {
	p := newPeer(t)
	p.start()
	p.send(&pgproto3.Query{String: "panic"})
	p.expect("FATAL XX000")
	p.closed()
}

func TestDrain(t *testing.T) {
	t.Run("idle clients leave at once", func(t *testing.T) {
		p := newPeer(t)
		p.start()
		if err := p.pgwire.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.expect("FATAL 57P01")
	})
	t.Run("transactions may end", func(t *testing.T) {
		p := newPeer(t)
		p.start()
		p.send(&pgproto3.Query{String: "begin"})
		p.expect("BEGIN; ready T")
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan error, 1)
		go func() { drained <- p.pgwire.Drain(ctx) }()
		p.send(&pgproto3.Query{String: "rows 1"})
		p.expect("columns 1 format 0; row 1; SELECT 1; ready T")
		cancel()
		if err := <-drained; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		p.expect("FATAL 57P01")
	})
}

func TestIdleTimeout(t *testing.T) {
	p := newPeer(t)
	p.engine.idle = 20 * time.Millisecond
	p.start()
	p.expect("FATAL 57P05")
	p.closed()
}

func TestScram(t *testing.T) {
	// The exchange of RFC 7677, section 3.
	const verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	s, err := newScram(verifier, "user")
	if err != nil {
		t.Fatal(err)
	}
	s.nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	challenge, err := s.first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	if err != nil || challenge != "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Fatal(challenge, err)
	}
	proof, err := s.final("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil || proof != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Fatal(proof, err)
	}
	if _, err := s.final("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="); !errors.Is(err, errWrongPassword) {
		t.Fatal(err)
	}
}
