package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
)

// Config is what a Server is made of.
type Config struct {
	SQL *sql.Server
	// TLS offers encryption; nil: none. It asks for client certificates, which
	// prove the role of their common name.
	TLS *tls.Config
	// Insecure trusts every client; else TLS is needed, with a certificate or a
	// password.
	Insecure bool
	Logger   *slog.Logger
	// MaxConnections bounds the connections; 0: DefaultMaxConnections.
	MaxConnections int
}

// DefaultMaxConnections is the bound where none is given.
const DefaultMaxConnections = 10000

// Server serves PostgreSQL's protocol on listeners.
type Server struct {
	config   Config
	engine   engine
	draining atomic.Bool

	mu          sync.Mutex // guards the fields below
	connections map[*connection]struct{}
	listeners   map[net.Listener]struct{}
	closed      bool
	left        chan struct{} // closed when a connection left, and made anew

	running sync.WaitGroup
}

// engine is what the server needs of a *sql.Server.
type engine interface {
	// Role returns a role, nil if there is none.
	Role(ctx context.Context, name string) (*catalog.Role, error)
	Connect(r sql.ConnectRequest, client sql.Client) (session, error)
	Cancel(pid, secret int32)
}

type sqlEngine struct{ *sql.Server }

func (e sqlEngine) Connect(r sql.ConnectRequest, client sql.Client) (session, error) {
	s, err := e.Server.Connect(r, client)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewServer returns a server; Serve starts it.
func NewServer(c Config) *Server { return newServer(c, sqlEngine{c.SQL}) }

func newServer(c Config, e engine) *Server {
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{config: c, engine: e, connections: make(map[*connection]struct{}), listeners: make(map[net.Listener]struct{}), left: make(chan struct{})}
}

// Serve accepts connections until ctx ends, Drain or Close is called (then it
// returns nil), or the listener fails. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	if s.closed || s.draining.Load() {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer func() {
		_ = l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.welcome(conn)
		case ctx.Err() != nil || s.draining.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Out of file descriptors, mostly: those who are here may leave.
			s.config.Logger.Warn("can't accept a connection", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(acceptPause):
			}
		}
	}
}

const acceptPause = 100 * time.Millisecond

func (s *Server) welcome(conn net.Conn) {
	c := &connection{server: s, conn: conn, reader: newReader(conn), logger: s.config.Logger.With("client", conn.RemoteAddr().String())}
	c.writer.sink = conn
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining.Load() {
		_ = conn.Close()
		return
	}
	s.connections[c] = struct{}{}
	s.running.Go(func() {
		c.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.connections, c)
		close(s.left)
		s.left = make(chan struct{})
	})
}

// Connections returns how many clients are connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

func (s *Server) full() bool { return s.Connections() > s.config.MaxConnections }

// Drain accepts no more connections and lets the clients end their
// transactions; those that are idle are sent away (57P01). When ctx ends it
// cancels what still runs. It returns when no client is left, or with ctx's
// error.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	for l := range s.listeners {
		_ = l.Close()
	}
	// Wake those that wait for their client.
	for c := range s.connections {
		_ = c.conn.SetReadDeadline(time.Now())
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		left, remaining := s.left, len(s.connections)
		s.mu.Unlock()
		if remaining == 0 {
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			s.terminate(shuttingDown())
			return ctx.Err()
		}
	}
}

// terminate ends all sessions, as soon as their statement notices.
func (s *Server) terminate(reason *pgerror.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		if session := c.shared.Load(); session != nil {
			(*session).Terminate(reason)
		}
		_ = c.conn.SetReadDeadline(time.Now())
	}
}

// closeTimeout is how long connections may take to say farewell.
const closeTimeout = time.Second

// Close ends all connections and returns when they are gone.
func (s *Server) Close() {
	s.draining.Store(true)
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.terminate(shuttingDown())
	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(closeTimeout):
		s.mu.Lock()
		for c := range s.connections {
			_ = c.conn.Close()
		}
		s.mu.Unlock()
		<-gone
	}
}
