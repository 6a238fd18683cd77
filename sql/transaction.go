package sql

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// transactionState is where a session stands between BEGIN and COMMIT.
type transactionState uint8

// Outside a block a session is idle, or in the implicit transaction of a
// statement or of several up to a Sync.
const (
	idle transactionState = iota
	implicit
	inBlock
	failedBlock
)

// transaction is the session's transaction. kv and catalog are nil until a
// statement needs them.
type transaction struct {
	state   transactionState
	kv      *txn.Txn
	catalog *catalog.Transaction

	isolation            string // as asked for
	readOnly, deferrable bool
	savepoints           []savepoint
	// beforeCurrent and beforeLasting are the settings to return to.
	beforeCurrent, beforeLasting *settings
	// statements counts those that ran in it so far.
	statements int
	// consumed: it took data from the client, which can't be asked for again.
	consumed bool
	// defining: it ran DDL.
	defining bool
	// several: an implicit transaction of more than one statement.
	several bool
	number  uint64
}

// savepoint is what ROLLBACK TO returns to. They are in the order of their
// making; of two with the same name the later one is found.
type savepoint struct {
	name             string
	kv               txn.Savepoint
	catalog          catalog.Savepoint
	current, lasting *settings
	portals          int64 // serial of the last portal before it
}

// prepare notes what holds before a transaction begins.
func (t *transaction) prepare(s *Session) {
	v := s.current
	t.isolation, t.readOnly, t.deferrable = v.isolation, v.readOnly, v.deferrable
	t.beforeCurrent, t.beforeLasting = s.current, s.lasting
	t.statements, t.consumed, t.defining, t.several, t.number = 0, false, false, false, 0
}

// open makes sure that the transaction has begun below.
func (s *Session) open() {
	if s.tx.kv != nil {
		return
	}
	if s.tx.state == idle {
		s.tx.prepare(s)
		s.tx.state = implicit
	}
	s.tx.kv = s.server.config.DB.Begin(txn.Options{Name: "sql", ReadOnly: s.tx.readOnly})
	s.tx.catalog = s.server.config.Catalog.Begin(s.tx.kv, s.names())
}

// commit ends the transaction. After an error it still stands, to be
// repeated or rolled back.
func (s *Session) commit(ctx context.Context) error {
	if err := s.holdCursors(ctx); err != nil {
		return err
	}
	ended := func(p *portal) bool { return !p.held }
	if s.tx.kv != nil {
		// They read no more, but may be run again if this fails.
		for _, p := range s.portals {
			if ended(p) {
				_ = s.stopPortal(p)
			}
		}
		if err := s.tx.catalog.BeforeCommit(ctx); err != nil {
			return err
		}
		// A cancel request now would only make the outcome uncertain.
		if err := s.tx.kv.Commit(context.Background()); err != nil {
			return err
		}
		s.tx.catalog.Committed(ctx)
	}
	s.closePortals(ended)
	s.current = s.lasting
	s.settle()
	return nil
}

// rollback ends the transaction without its effects.
func (s *Session) rollback() {
	s.closePortals(func(p *portal) bool { return !p.held })
	s.release()
	if s.tx.state != idle {
		s.current, s.lasting = s.tx.beforeCurrent, s.tx.beforeLasting
	}
	s.settle()
}

// release gives up the transaction below, with its locks.
func (s *Session) release() {
	if s.tx.kv == nil {
		return
	}
	ctx := context.Background()
	// In this order: what the catalog undoes may be locked by the transaction.
	if err := s.tx.kv.Rollback(ctx); err != nil {
		s.server.config.Logger.Debug("rollback failed", "error", err)
	}
	s.tx.catalog.RolledBack(ctx)
	s.tx.kv, s.tx.catalog = nil, nil
}

func (s *Session) settle() {
	s.tx.state, s.tx.kv, s.tx.catalog = idle, nil, nil
	s.tx.savepoints = s.tx.savepoints[:0]
	s.tx.statements = 0
	s.applySettings()
}

const (
	maxRetries   = 1000
	maxRetryTime = 10 * time.Second
	maxBackoff   = 50 * time.Millisecond
)

// retrying runs a part of a transaction, and all over again when it fails with
// an error that this mends: as long as it is all that the transaction did and
// nothing of it was sent.
func (s *Session) retrying(ctx context.Context, fn func() error) error {
	alone := s.tx.statements == 0 && s.tx.state != failedBlock && len(s.tx.savepoints) == 0
	state := s.tx.state
	mark := s.client.Mark()
	var began time.Time
	for attempt := 0; ; attempt++ {
		err := fn()
		if err == nil || !alone || !txn.IsRetryable(err) || isAmbiguous(err) || s.tx.consumed || ctx.Err() != nil {
			return err
		}
		if attempt == 0 {
			began = time.Now()
		}
		if attempt == maxRetries || time.Since(began) > maxRetryTime || !s.client.Rewind(mark) {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		s.restart(state)
	}
}

// pause waits a while before attempt is repeated, longer from time to time and
// never the same.
func pause(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	limit := min(time.Millisecond<<min(attempt, 10), maxBackoff)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restart makes the transaction as it was before its first statement.
func (s *Session) restart(state transactionState) {
	for _, p := range s.portals {
		if !p.held && p.started {
			s.resetPortal(p)
		}
	}
	s.tx.state = state
	s.tx.savepoints = s.tx.savepoints[:0]
	s.tx.statements = 0
	if s.tx.kv == nil {
		return
	}
	if s.tx.state == idle || s.tx.state == implicit {
		s.tx.state = implicit
		s.current, s.lasting = s.tx.beforeCurrent, s.tx.beforeLasting
		s.applySettings()
	}
	if s.tx.defining {
		s.tx.defining = false
		s.release()
		s.open()
		return
	}
	s.tx.catalog.RolledBack(context.Background())
	s.tx.kv.Restart()
	s.tx.catalog = s.server.config.Catalog.Begin(s.tx.kv, s.names())
}

// runTransaction runs BEGIN, COMMIT, SAVEPOINT and their like.
func (s *Session) runTransaction(ctx context.Context, t *parser.Transaction) (tag string, err error) {
	switch t.Kind {
	case parser.Begin:
		return s.runBegin(t)
	case parser.Commit, parser.Rollback:
		return s.runEnd(ctx, t)
	case parser.Savepoint:
		return "SAVEPOINT", s.runSavepoint(t.Name)
	case parser.Release:
		return "RELEASE", s.runRelease(t.Name)
	case parser.RollbackTo:
		return "ROLLBACK", s.runRollbackTo(ctx, t.Name)
	default:
		return "", pgerror.Unsupported("two-phase commit (PREPARE TRANSACTION)")
	}
}

func (s *Session) runBegin(t *parser.Transaction) (string, error) {
	tag := "BEGIN"
	if t.Start {
		tag = "START TRANSACTION"
	}
	if s.tx.state == inBlock {
		s.notice("WARNING", pgerror.New(pgerror.ActiveSQLTransaction, "there is already a transaction in progress"))
	}
	if err := s.setModes(&t.Modes); err != nil {
		return "", err
	}
	s.tx.state = inBlock
	return tag, nil
}

// setModes sets the modes of the running transaction.
func (s *Session) setModes(m *parser.TransactionModes) error {
	if m.AsOf != nil {
		return pgerror.Unsupported("AS OF SYSTEM TIME")
	}
	if m.Isolation != "" {
		if s.tx.kv != nil && m.Isolation != s.tx.isolation {
			return pgerror.New(pgerror.ActiveSQLTransaction, "SET TRANSACTION ISOLATION LEVEL must be called before any query")
		}
		s.tx.isolation = m.Isolation
	}
	if m.ReadOnly != nil {
		if !*m.ReadOnly && s.tx.readOnly && s.tx.kv != nil {
			return pgerror.New(pgerror.ActiveSQLTransaction, "transaction read-write mode must be set before any query")
		}
		s.tx.readOnly = *m.ReadOnly
	}
	if m.Deferrable != nil {
		if s.tx.kv != nil {
			return pgerror.New(pgerror.ActiveSQLTransaction, "SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
		}
		s.tx.deferrable = *m.Deferrable
	}
	return nil
}

func (s *Session) runEnd(ctx context.Context, t *parser.Transaction) (string, error) {
	tag := "COMMIT"
	if t.Kind == parser.Rollback {
		tag = "ROLLBACK"
	}
	state := s.tx.state
	if state == idle || state == implicit {
		if t.Chain {
			return "", pgerror.Newf(pgerror.NoActiveSQLTransaction, "%s AND CHAIN can only be used in transaction blocks", tag)
		}
		s.notice("WARNING", pgerror.New(pgerror.NoActiveSQLTransaction, "there is no transaction in progress"))
	}
	isolation, readOnly, deferrable := s.tx.isolation, s.tx.readOnly, s.tx.deferrable
	switch {
	case tag == "ROLLBACK":
		s.rollback()
	case state == failedBlock:
		tag = "ROLLBACK"
		s.rollback()
	default:
		if err := s.commit(ctx); err != nil {
			// A COMMIT that fails ends the block.
			e := s.failure(ctx, err)
			if state == inBlock {
				s.rollback()
				return "", e
			}
			return "", err
		}
	}
	if t.Chain {
		s.types.TransactionTime = s.types.StatementTime
		s.tx.prepare(s)
		s.tx.isolation, s.tx.readOnly, s.tx.deferrable = isolation, readOnly, deferrable
		s.tx.state = inBlock
	}
	return tag, nil
}

func (s *Session) requireBlock(what string) error {
	if s.tx.state != inBlock && s.tx.state != failedBlock && !s.tx.several {
		return pgerror.Newf(pgerror.NoActiveSQLTransaction, "%s can only be used in transaction blocks", what)
	}
	return nil
}

// forbidBlock refuses what can't be part of a transaction.
func (s *Session) forbidBlock(what string) error {
	if s.tx.state == inBlock || s.tx.several {
		return pgerror.Newf(pgerror.ActiveSQLTransaction, "%s cannot run inside a transaction block", what)
	}
	return nil
}

func (s *Session) runSavepoint(name string) error {
	if s.tx.state != inBlock {
		return pgerror.New(pgerror.NoActiveSQLTransaction, "SAVEPOINT can only be used in transaction blocks")
	}
	s.open()
	s.tx.savepoints = append(s.tx.savepoints, savepoint{name: name, kv: s.tx.kv.Savepoint(), catalog: s.tx.catalog.Savepoint(), current: s.current, lasting: s.lasting, portals: s.portalSerial})
	return nil
}

func (s *Session) findSavepoint(name string) (int, error) {
	for i := len(s.tx.savepoints) - 1; i >= 0; i-- {
		if s.tx.savepoints[i].name == name {
			return i, nil
		}
	}
	return 0, pgerror.Newf(pgerror.InvalidSavepoint, "savepoint \"%s\" does not exist", name)
}

func (s *Session) runRelease(name string) error {
	if s.tx.state != inBlock {
		return pgerror.New(pgerror.NoActiveSQLTransaction, "RELEASE SAVEPOINT can only be used in transaction blocks")
	}
	i, err := s.findSavepoint(name)
	if err != nil {
		return err
	}
	s.tx.savepoints = s.tx.savepoints[:i]
	return nil
}

func (s *Session) runRollbackTo(ctx context.Context, name string) error {
	if s.tx.state != inBlock && s.tx.state != failedBlock {
		return pgerror.New(pgerror.NoActiveSQLTransaction, "ROLLBACK TO SAVEPOINT can only be used in transaction blocks")
	}
	i, err := s.findSavepoint(name)
	if err != nil {
		return err
	}
	to := s.tx.savepoints[i]
	s.closePortals(func(p *portal) bool { return !p.held && p.serial > to.portals })
	if err := s.tx.kv.RollbackTo(ctx, to.kv); err != nil {
		return err
	}
	s.tx.catalog.RollbackTo(to.catalog)
	s.tx.savepoints = s.tx.savepoints[:i+1]
	s.current, s.lasting = to.current, to.lasting
	s.applySettings()
	s.tx.state = inBlock
	return nil
}

// checkWritable refuses what writes in a transaction that is READ ONLY.
func (s *Session) checkWritable(what string) error {
	if s.tx.readOnly {
		return pgerror.Newf(pgerror.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", what)
	}
	return nil
}

func lower(s string) string { return strings.ToLower(s) }
