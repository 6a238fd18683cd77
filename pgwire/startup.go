package pgwire

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/pgerror"
)

// Codes that stand where a version would.
const (
	sslRequest    = 80877103
	cancelRequest = 80877102
	gssRequest    = 80877104
)

// startupTimeout bounds the time until a client is let in
// (authentication_timeout).
const startupTimeout = time.Minute

// start brings a connection up to its first ReadyForQuery; false: it ended.
func (c *connection) start() bool {
	_ = c.conn.SetDeadline(time.Now().Add(startupTimeout))
	request, err := c.negotiate()
	if err == nil && request == nil {
		return false
	}
	if err == nil {
		err = c.open(request)
	}
	if err != nil {
		if e, ok := errors.AsType[*pgerror.Error](err); ok {
			c.fatal(e)
		} else {
			c.logger.Debug("connection ended before it began", "error", err)
		}
		return false
	}
	_ = c.conn.SetDeadline(time.Time{})
	return true
}

// startupRequest is the startup message.
type startupRequest struct {
	user, database string
	settings       []sql.StartupSetting
}

// negotiate answers what may come before the startup message, and reads that.
// Nil: the connection was for something else.
func (c *connection) negotiate() (*startupRequest, error) {
	for encrypted, asked := false, false; ; {
		body, err := c.reader.startup()
		if err != nil {
			return nil, err
		}
		code := binary.BigEndian.Uint32(body)
		switch {
		case code == sslRequest && !encrypted:
			if encrypted, err = c.encrypt(); err != nil {
				return nil, err
			}
		case code == gssRequest && !asked:
			asked = true
			if _, err := c.conn.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		case code == cancelRequest:
			if f := (fields{body: body[4:]}); len(f.body) == 8 {
				c.server.engine.Cancel(f.int32(), f.int32())
			}
			return nil, nil
		case code>>16 == 3:
			return c.startupMessage(code&0xffff, body[4:])
		default:
			return nil, pgerror.Newf(pgerror.FeatureNotSupported, "unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xffff)
		}
	}
}

// encrypt answers an SSLRequest.
func (c *connection) encrypt() (bool, error) {
	if c.server.config.TLS == nil {
		_, err := c.conn.Write([]byte{'N'})
		return false, err
	}
	if c.reader.begin != c.reader.end {
		// Bytes sent before encryption began must not count as encrypted
		// (CVE-2021-23214).
		return false, outOfStep("received unencrypted data after SSL request")
	}
	if _, err := c.conn.Write([]byte{'S'}); err != nil {
		return false, err
	}
	secure := tls.Server(c.conn, c.server.config.TLS)
	if err := secure.Handshake(); err != nil {
		return false, err
	}
	c.server.mu.Lock()
	c.conn = secure // others look at it, to set deadlines
	c.server.mu.Unlock()
	c.reader.source, c.writer.sink = secure, secure
	return true, nil
}

// startupMessage reads the parameters, and lowers the protocol's minor version
// to ours.
func (c *connection) startupMessage(minor uint32, body []byte) (*startupRequest, error) {
	r := &startupRequest{}
	var unknown []string
	f := fields{body: body}
	for {
		name := string(f.text())
		if f.broken {
			return nil, outOfStep("invalid startup packet layout: expected terminator as last byte")
		}
		if name == "" {
			break
		}
		value := string(f.text())
		switch {
		case name == "user":
			r.user = value
		case name == "database":
			r.database = value
		case name == "options":
			options, err := parseOptions(value)
			if err != nil {
				return nil, err
			}
			r.settings = append(r.settings, options...)
		case name == "replication":
			if value != "" && value != "false" && value != "off" && value != "no" && value != "0" {
				return nil, pgerror.Unsupported("the replication protocol")
			}
		case strings.HasPrefix(name, "_pq_."):
			unknown = append(unknown, name)
		default:
			r.settings = append(r.settings, sql.StartupSetting{Name: name, Value: value})
		}
	}
	if !f.whole() {
		return nil, outOfStep("invalid startup packet layout: expected terminator as last byte")
	}
	if minor > 0 || len(unknown) > 0 {
		c.negotiateVersion(unknown)
	}
	if r.user == "" {
		return nil, pgerror.New(pgerror.InvalidAuthorization, "no PostgreSQL user name specified in startup packet")
	}
	if r.database == "" {
		r.database = r.user
	}
	return r, nil
}

// negotiateVersion says that 3.0 is spoken, and which options are unknown.
func (c *connection) negotiateVersion(unknown []string) {
	at := c.writer.begin('v')
	c.writer.out = binary.BigEndian.AppendUint32(c.writer.out, 3<<16)
	c.writer.out = binary.BigEndian.AppendUint32(c.writer.out, uint32(len(unknown)))
	for _, name := range unknown {
		c.writer.out = append(append(c.writer.out, name...), 0)
	}
	c.writer.end(at)
}

// parseOptions reads the startup parameter options: -c name=value and
// --name=value, with backslashes before spaces.
func parseOptions(text string) ([]sql.StartupSetting, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inWord = true
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(ch)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	var settings []sql.StartupSetting
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			w = words[i]
		case strings.HasPrefix(w, "-c"), strings.HasPrefix(w, "--"):
			w = w[2:]
		default:
			return nil, pgerror.Newf(pgerror.Syntax, "invalid command-line argument for server process: %s", w)
		}
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, pgerror.Newf(pgerror.Syntax, "-c %s requires a value", w)
		}
		settings = append(settings, sql.StartupSetting{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return settings, nil
}

// open authenticates the client and begins its session.
func (c *connection) open(r *startupRequest) error {
	if c.server.draining.Load() {
		return pgerror.New(pgerror.CannotConnectNow, "the database system is shutting down")
	}
	if c.server.full() {
		return pgerror.New(pgerror.TooManyConnections, "sorry, too many clients already")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startupTimeout)
	defer cancel()
	if err := c.authenticate(ctx, r); err != nil {
		return err
	}
	s, err := c.server.engine.Connect(sql.ConnectRequest{User: r.user, Database: r.database, Settings: r.settings,
		ClientAddress: addressOf(c.conn.RemoteAddr()), ServerAddress: addressOf(c.conn.LocalAddr())}, c)
	if err != nil {
		return err
	}
	c.session = s
	c.shared.Store(&s)
	c.writer.send(&pgproto3.AuthenticationOk{})
	s.Changed(c.writer.parameterStatus)
	c.writer.send(&pgproto3.BackendKeyData{ProcessID: uint32(s.ProcessID()), SecretKey: uint32(s.Secret())})
	return nil
}

func addressOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
