package sql

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	_ "github.com/cairndb/cairn/sql/catalog/informationschema" // registers its tables
	_ "github.com/cairndb/cairn/sql/catalog/pgcatalog"         // likewise
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/jobs"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	_ "github.com/cairndb/cairn/sql/types/functions" // registers the functions
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// PostgresVersion is the version of PostgreSQL whose behaviour sessions show.
const PostgresVersion = "15.18"

// Config is what a Server is made of.
type Config struct {
	DB      *txn.DB
	Catalog *catalog.Manager
	// Jobs runs what schema changes leave to be done; nil: they refuse what needs
	// it.
	Jobs      *jobs.Registry
	Clock     *hlc.Clock
	Node      kvpb.NodeID
	ClusterID string
	Version   string // Cairn's
	Logger    *slog.Logger
	// MaxSQLMemory bounds the memory of all queries, in bytes; 0: no bound.
	MaxSQLMemory int64
}

// Server is the SQL layer of a node.
type Server struct {
	config     Config
	memory     *exec.Memory
	plans      *planCache
	texts      *textCache
	standard   *settings // the defaults
	started    int64     // timestamptz
	statements atomic.Int64
	numbers    atomic.Uint64 // transactions' numbers
	statistics statistics

	mu       sync.Mutex // guards the fields below
	sessions map[int32]*Session
	lastPID  int32
	closed   bool
}

// NewServer returns a server.
func NewServer(c Config) (*Server, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, memory: exec.NewMemory(c.MaxSQLMemory, nil), plans: newPlanCache(), texts: newTextCache(), standard: standardSettings(), sessions: make(map[int32]*Session)}
	s.started = s.now()
	return s, nil
}

// now is the present moment as a timestamptz.
func (s *Server) now() int64 {
	return s.config.Clock.PhysicalNow()/1000 - unixToPostgresMicros
}

// unixToPostgresMicros is 2000-01-01 in µs of Unix.
const unixToPostgresMicros = 946684800 * 1e6

// Sessions returns how many sessions there are.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Statements returns how many statements were begun.
func (s *Server) Statements() int64 { return s.statements.Load() }

// Close ends all sessions' statements; the connections are pgwire's to close.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	sessions := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		sessions = append(sessions, session)
	}
	s.mu.Unlock()
	for _, session := range sessions {
		session.Terminate(pgerror.New(pgerror.AdminShutdown, "terminating connection due to administrator command"))
	}
}

// Role returns a role as it is now, nil if there is none: for authentication.
func (s *Server) Role(ctx context.Context, name string) (role *catalog.Role, err error) {
	err = s.read(ctx, catalog.Names{Database: catalog.DefaultDatabaseName}, func(x *catalog.Transaction) error {
		role, err = x.RoleNamed(ctx, name)
		return err
	})
	return role, err
}

// read runs fn over the schema as it is now.
func (s *Server) read(ctx context.Context, names catalog.Names, fn func(*catalog.Transaction) error) error {
	err := s.config.DB.Run(ctx, txn.Options{Name: "session", ReadOnly: true}, func(ctx context.Context, t *txn.Txn) error {
		x := s.config.Catalog.Begin(t, names)
		defer x.RolledBack(ctx)
		return fn(x)
	})
	if err != nil {
		return clientError(err)
	}
	return nil
}

// StartupSetting is a setting that the client asked for when it connected.
type StartupSetting struct{ Name, Value string }

// ConnectRequest says who wants a session. The user is authenticated already.
type ConnectRequest struct {
	User, Database               string
	Settings                     []StartupSetting
	ClientAddress, ServerAddress netip.AddrPort
}

// Connect begins a session: 3D000 where the database doesn't exist, 28000
// where the role doesn't, and the errors of settings. The session ends with
// Close.
func (s *Server) Connect(r ConnectRequest, client Client) (*Session, error) {
	session := newSession(s, r, client)
	if err := session.establish(); err != nil {
		return nil, err
	}
	var secret [4]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	session.secret = int32(binary.BigEndian.Uint32(secret[:]))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, pgerror.New(pgerror.CannotConnectNow, "the database system is shutting down")
	}
	for {
		// Process ids are unique in the cluster as long as there are fewer than
		// 2,048 nodes, and are not given out again soon.
		s.lastPID = (s.lastPID + 1) & (1<<20 - 1)
		session.pid = int32(s.config.Node&0x7ff)<<20 | s.lastPID
		if _, taken := s.sessions[session.pid]; !taken && session.pid != 0 {
			break
		}
	}
	s.sessions[session.pid] = session
	return session, nil
}

// Cancel cancels the running statement of the session with the process id and
// secret, if there is one.
func (s *Server) Cancel(pid, secret int32) {
	if session := s.session(pid); session != nil && session.secret == secret {
		session.Cancel()
	}
}

func (s *Server) session(pid int32) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[pid]
}

func (s *Server) remove(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.pid] == session {
		delete(s.sessions, session.pid)
	}
}

func (s *Server) allSessions() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		list = append(list, session)
	}
	return list
}

// statistics are row counts that ANALYZE took, for the planner.
type statistics struct {
	mu   sync.RWMutex // guards rows
	rows map[catalog.ID]float64
}

func (st *statistics) set(id catalog.ID, rows float64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.rows == nil {
		st.rows = make(map[catalog.ID]float64)
	}
	st.rows[id] = rows
}

// count returns how many rows a table had when it was analyzed, -1 if nobody
// knows.
func (st *statistics) count(t *catalog.Table) float64 {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if n, ok := st.rows[t.ID]; ok {
		return n
	}
	return float64(max(t.RowEstimate, -1))
}

var _ types.SessionFunctions = (*Session)(nil)
