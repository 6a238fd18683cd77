package sql

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// Session is one client's state: settings, prepared statements, portals and
// the transaction. See the package comment for who may call what.
type Session struct {
	server  *Server
	client  Client
	request ConnectRequest
	pid     int32
	secret  int32

	// current are the settings in force; lasting are those without SET LOCAL.
	current, lasting *settings
	initial          *settings // what RESET returns to
	// appliedTo is what types was last filled from; reported what the client knows.
	appliedTo *settings
	reported  map[string]string
	checked   *settings // settings for which reported is up to date
	types     types.Context
	sequences *catalog.SequenceState
	memory    *exec.Memory

	tx       transaction
	prepared map[string]*prepared // "" is the unnamed one
	portals  map[string]*portal
	free     *portal // the last unnamed portal, to be used again
	// portalSerial counts the portals made.
	portalSerial int64
	// bindExpression is boundExpression, made once.
	bindExpression func(ctx context.Context, table *catalog.Table, text string, want *types.T) (opt.Scalar, error)
	// appliedNames is where the session's names lead to at present.
	appliedNames planNames
	texts        map[string][]*prepared
	rows         Rows // of the call to the client

	// query is the text that the client sent.
	query string

	mu           sync.Mutex // guards the fields below
	ctx          context.Context
	cancel       context.CancelCauseFunc
	running      bool
	terminated   *pgerror.Error
	state        string // of pg_stat_activity
	shownQuery   string
	shownName    string // application_name
	queryStart   int64
	xactStart    int64
	stateChange  int64
	backendStart int64
}

func newSession(server *Server, r ConnectRequest, client Client) *Session {
	s := &Session{server: server, client: client, request: r, current: server.standard, lasting: server.standard, prepared: make(map[string]*prepared), portals: make(map[string]*portal),
		texts: make(map[string][]*prepared), reported: make(map[string]string), memory: exec.NewMemory(server.config.MaxSQLMemory/2, server.memory), state: "idle"}
	s.sequences = catalog.NewSequenceState(server.config.DB.NonTransactional())
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.backendStart = server.now()
	s.stateChange, s.queryStart, s.xactStart = s.backendStart, s.backendStart, noTime
	s.bindExpression = s.boundExpression
	s.types.Session = s
	s.types.Now = server.now
	return s
}

// noTime is a timestamp that isn't known.
const noTime = -1 << 63

// establish checks that the session can begin.
func (s *Session) establish() error {
	ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
	defer cancel()
	err := s.server.read(ctx, s.names(), func(x *catalog.Transaction) error {
		role, err := x.RoleNamed(ctx, s.request.User)
		if err != nil {
			return err
		}
		if role == nil {
			return pgerror.Newf(pgerror.InvalidAuthorization, "role \"%s\" does not exist", s.request.User)
		}
		superuser := onOff(role.Superuser)
		s.lasting = s.lasting.with(settingTable["is_superuser"], superuser).with(settingTable["session_authorization"], s.request.User)
		d, err := x.DatabaseNamed(ctx, s.request.Database)
		if err != nil {
			return err
		}
		if d == nil {
			return pgerror.Newf(pgerror.InvalidCatalogName, "database \"%s\" does not exist", s.request.Database)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.startupSettings()
}

const connectTimeout = 30 * time.Second

// startupSettings applies what the client asked for when it connected; RESET
// returns to these values.
func (s *Session) startupSettings() error {
	for _, w := range s.request.Settings {
		g, err := findSetting(w.Name)
		if err != nil {
			if isCustomSetting(w.Name) {
				g = &setting{name: w.Name, kind: "string", context: "user"}
			} else {
				return err
			}
		}
		if err := g.settable(); err != nil {
			return err
		}
		value, err := g.canonical(w.Value)
		if err != nil {
			return err
		}
		s.lasting = s.lasting.with(g, value)
	}
	s.current, s.initial = s.lasting, s.lasting
	s.applySettings()
	return nil
}

func (s *Session) names() catalog.Names {
	return catalog.Names{Database: s.request.Database, SearchPath: s.current.searchPath, User: s.CurrentUser()}
}

// ProcessID is the session's id in BackendKeyData.
func (s *Session) ProcessID() int32 { return s.pid }

// Secret is what a cancel request must know.
func (s *Session) Secret() int32 { return s.secret }

// Status is the byte of ReadyForQuery: I, T or E.
func (s *Session) Status() byte {
	switch s.tx.state {
	case inBlock:
		return 'T'
	case failedBlock:
		return 'E'
	default:
		return 'I'
	}
}

// Cancel cancels the statement that runs, if one does. It is safe for
// concurrent use.
func (s *Session) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.cancel(userRequest)
	}
}

// Terminate ends the session as soon as its statement notices. It is safe
// for concurrent use.
func (s *Session) Terminate(reason *pgerror.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminated == nil {
		s.terminated = reason
	}
	s.cancel(s.terminated)
}

// Terminated returns why the session must end, nil while it needn't.
func (s *Session) Terminated() *pgerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terminated
}

// Close ends the session: what it has not committed is rolled back.
func (s *Session) Close() {
	s.closePortals(func(*portal) bool { return true })
	s.rollback()
	s.server.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel(context.Canceled)
}

// IdleTimeout is how long the session may wait for its client in its present
// state, 0: for ever, and what to say when the time is over.
func (s *Session) IdleTimeout() (time.Duration, *pgerror.Error) {
	if s.tx.state == inBlock || s.tx.state == failedBlock {
		return s.current.idleTransaction, pgerror.New(pgerror.IdleInTransactionTimeout, "terminating connection due to idle-in-transaction timeout")
	}
	return s.current.idleSession, pgerror.New(pgerror.IdleSessionTimeout, "terminating connection due to idle-session timeout")
}

// begin marks the beginning of a statement: its time, what pg_stat_activity
// shows, and a context that cancel requests end.
func (s *Session) begin(text string) (ctx context.Context, end context.CancelFunc) {
	s.server.statements.Add(1)
	now := s.server.now()
	s.query = text
	s.types.StatementTime = now
	if s.tx.state == idle {
		s.types.TransactionTime = now
		s.tx.prepare(s)
	}
	s.mu.Lock()
	s.running = true
	s.state, s.shownQuery, s.queryStart, s.stateChange = "active", text, now, now
	if s.xactStart == noTime {
		s.xactStart = now
	}
	ctx = s.ctx
	s.mu.Unlock()
	if timeout := s.current.statementTimeout; timeout > 0 {
		ctx, end = context.WithTimeoutCause(ctx, timeout, statementTimeout)
	}
	s.types.Ctx = ctx
	return ctx, end
}

// end marks the end of a statement.
func (s *Session) end(cancel context.CancelFunc) {
	if cancel != nil {
		cancel()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.stateChange = s.types.StatementTime
	switch s.tx.state {
	case inBlock:
		s.state = "idle in transaction"
	case failedBlock:
		s.state = "idle in transaction (aborted)"
	default:
		s.state, s.xactStart = "idle", noTime
	}
	if s.ctx.Err() != nil && s.terminated == nil {
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
	}
	s.types.Ctx = s.ctx
}

// guard runs a part of a statement. A panic in it becomes an error of the
// session, which ends: whatever it held may be broken.
func (s *Session) guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.server.config.Logger.Error("a statement failed with a panic", "panic", fmt.Sprint(r), "statement", s.query, "stack", string(debug.Stack()))
			e := pgerror.Newf(pgerror.Internal, "internal error: %v", r).WithHint("The session ends. Please report this with the statement that led to it.")
			s.Terminate(e)
			err = e
		}
	}()
	return fn()
}

// failure turns an error of a statement into the one that the client sees;
// what comes of a cancelled context is told by its cause.
func (s *Session) failure(ctx context.Context, err error) *pgerror.Error {
	if e, ok := errors.AsType[*pgerror.Error](err); ok && e.Code != pgerror.QueryCanceled {
		return e
	}
	if !isAmbiguous(err) && ctx.Err() != nil {
		if e, ok := errors.AsType[*pgerror.Error](context.Cause(ctx)); ok {
			return e
		}
	}
	return clientError(err)
}

// Fail tells of an error of the protocol: the transaction fails.
func (s *Session) Fail() { s.fail() }

// fail puts the transaction into the state that follows from an error.
func (s *Session) fail() {
	switch s.tx.state {
	case implicit, idle:
		s.rollback()
	case inBlock:
		s.tx.state = failedBlock
		s.closePortals(func(p *portal) bool { return !p.held })
		if len(s.tx.savepoints) == 0 {
			// Nothing can bring it back: others needn't wait for its locks.
			s.release()
		}
	}
}

// Query runs a text of the simple protocol: statements without a block are
// one implicit transaction.
func (s *Session) Query(text string) error {
	ctx, cancel := s.begin(text)
	defer func() { s.end(cancel) }()
	s.dropUnnamed()
	err := s.guard(func() error { return s.runText(ctx, text) })
	if err == nil {
		return nil
	}
	e := s.failure(ctx, err)
	s.fail()
	return e
}

// dropUnnamed forgets the unnamed statement and portal, as a simple query does.
func (s *Session) dropUnnamed() {
	delete(s.prepared, "")
	if p := s.portals[""]; p != nil {
		s.closePortal(p)
	}
}

func (s *Session) runText(ctx context.Context, text string) error {
	list, err := s.statementsOf(text)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		s.client.Empty()
		return nil
	}
	for begin := 0; begin < len(list); {
		n, err := s.runUnit(ctx, list[begin:])
		if err != nil {
			return err
		}
		begin += n
	}
	return nil
}

// runUnit runs the statements that fail, and are repeated, together: all up to
// the end of an implicit transaction, or one of a block. It returns how many
// they were.
func (s *Session) runUnit(ctx context.Context, list []*prepared) (n int, err error) {
	err = s.retrying(ctx, func() error {
		n = 0
		for n < len(list) {
			p := list[n]
			if n > 0 {
				s.types.StatementTime = s.server.now()
			}
			if err := s.runSimple(ctx, p, len(list) > 1); err != nil {
				return err
			}
			n++
			if s.tx.state != implicit {
				// A block began or ended: what came before it stands.
				return nil
			}
		}
		if s.tx.state == implicit {
			return s.commit(ctx)
		}
		return nil
	})
	return n, err
}

// runSimple runs one statement of a text.
func (s *Session) runSimple(ctx context.Context, p *prepared, several bool) error {
	if err := s.checkFailed(p.statement.AST); err != nil {
		return err
	}
	if s.tx.state == idle {
		s.tx.state = implicit
	}
	if several && s.tx.state == implicit {
		s.tx.several = true
	}
	if !p.planned() {
		return s.runUtility(ctx, p, nil, &output{session: s, describe: true})
	}
	p.checked = false // nobody has been told of its columns yet
	portal := s.newPortal("", p, nil, nil)
	portal.simple = true
	defer s.closePortal(portal)
	if err := s.startPortal(ctx, portal); err != nil {
		return err
	}
	if portal.columns != nil {
		s.client.Columns(portal.columns, nil)
	}
	if _, err := s.runPortal(ctx, portal, 0); err != nil {
		return err
	}
	s.client.Complete(portal.tag())
	return nil
}

// checkFailed refuses all but the ends of a failed block.
func (s *Session) checkFailed(ast parser.Node) error {
	if s.tx.state != failedBlock {
		return nil
	}
	if t, ok := ast.(*parser.Transaction); ok {
		switch t.Kind {
		case parser.Commit, parser.Rollback, parser.RollbackTo, parser.PrepareTransaction:
			return nil
		}
	}
	return pgerror.New(pgerror.InFailedSQLTransaction, "current transaction is aborted, commands ignored until end of transaction block")
}

// Changed calls report with the parameters of which clients are told and
// which changed since the last call.
func (s *Session) Changed(report func(name, value string)) {
	if s.checked == s.current {
		return
	}
	s.checked = s.current
	for _, name := range reportedSettings {
		g := settingTable[lower(name)]
		value := s.show(g)
		if old, ok := s.reported[name]; !ok || old != value {
			s.reported[name] = value
			report(name, value)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shownName = s.current.applicationName
}

// notice sends a message beside the result, if the client wants such ones.
func (s *Session) notice(severity string, e *pgerror.Error) {
	level := slices.Index(messageLevels, lower(severity))
	if severity != "INFO" && level >= 0 && level < s.current.minMessages {
		return
	}
	s.client.Notice(severity, e)
}
