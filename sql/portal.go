package sql

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// portal is one execution of a statement that may be interrupted: what Bind
// makes, and DECLARE CURSOR.
type portal struct {
	name       string
	serial     int64 // in the order of their making
	prepared   *prepared
	parameters []types.Datum
	formats    []int16
	columns    []opt.ResultColumn

	executable *exec.Prepared
	shared     bool // executable is that of prepared
	env        exec.Env
	query      *exec.Query
	started    bool
	done       bool
	batch      *vector.Batch // rows from next on are still to be sent
	next       int
	count      int64 // rows of the last run
	affected   int64

	simple bool    // of the simple protocol, which has no parameters
	cursor *cursor // of DECLARE CURSOR
	held   bool    // it outlived its transaction
}

// newPortal returns a portal that is not started nor known by its name.
func (s *Session) newPortal(name string, p *prepared, parameters []types.Datum, formats []int16) *portal {
	made := s.free
	if made != nil && name == "" {
		s.free = nil
	} else {
		made = &portal{}
	}
	s.portalSerial++
	made.name, made.serial, made.prepared, made.columns, made.simple = name, s.portalSerial, p, p.columns, false
	made.parameters = append(made.parameters[:0], parameters...)
	made.formats = append(made.formats[:0], formats...)
	return made
}

// startPortal begins the execution.
func (s *Session) startPortal(ctx context.Context, p *portal) error {
	if err := s.currentPlan(ctx, p.prepared); err != nil {
		return err
	}
	plan := p.prepared.cached.plan
	if p.simple && len(plan.Parameters) > 0 {
		return s.refuseParameters(ctx, p.prepared)
	}
	if s.tx.readOnly && !plan.ReadOnly {
		return s.checkWritable(tagNames[plan.Tag])
	}
	p.columns = p.prepared.columns
	if p.prepared.executable == nil {
		e, err := exec.Prepare(plan)
		if err != nil {
			return err
		}
		p.prepared.executable = e
	}
	p.executable = p.prepared.executable
	if p.prepared.busy {
		e, err := exec.Prepare(plan)
		if err != nil {
			return err
		}
		p.executable = e
	} else {
		p.prepared.busy, p.shared = true, true
	}
	return s.runExecutable(ctx, p)
}

// refuseParameters returns the error of a parameter where there are none.
func (s *Session) refuseParameters(ctx context.Context, p *prepared) error {
	c := s.planContext(ctx, s.tx.catalog, p.text, nil)
	c.NoParameters = true
	if _, err := opt.Build(c, p.statement.AST); err != nil {
		return err
	}
	return pgerror.New(pgerror.UndefinedParameter, "there is no parameter $1")
}

// runExecutable begins a statement of the transaction with p.executable.
func (s *Session) runExecutable(ctx context.Context, p *portal) error {
	s.tx.kv.Step()
	s.tx.statements++
	s.fillEnv(&p.env)
	p.env.Parameters = p.parameters
	query, err := p.executable.Start(ctx, &p.env)
	if err != nil {
		return err
	}
	p.query, p.started = query, true
	return query.Open(ctx)
}

func (s *Session) fillEnv(e *exec.Env) {
	e.Txn, e.Types, e.Resolver, e.Session, e.Memory, e.LockTimeout, e.BindExpression = s.tx.kv, &s.types, s.tx.catalog, s, s.memory, s.current.lockTimeout, s.bindExpression
}

// boundExpression binds a default, check or generated column for the executor.
func (s *Session) boundExpression(ctx context.Context, table *catalog.Table, text string, want *types.T) (opt.Scalar, error) {
	e, err := s.server.texts.expression(text)
	if err != nil {
		return nil, err
	}
	scalar, _, err := opt.BindTableExpression(s.planContext(ctx, s.tx.catalog, text, nil), table, e, want, "DEFAULT expressions")
	return scalar, err
}

// runPortal sends the next rows, at most limit unless that is 0; suspended:
// there may be more.
func (s *Session) runPortal(ctx context.Context, p *portal, limit int64) (suspended bool, err error) {
	if p.cursor != nil {
		return s.runCursor(ctx, p, limit)
	}
	p.count = 0
	for !p.done {
		if p.batch == nil {
			if p.batch, err = p.query.Next(ctx); err != nil {
				return false, err
			}
			p.next = 0
			if p.batch == nil {
				p.done, p.affected = true, p.query.RowsAffected()
				return false, s.stopPortal(p)
			}
		}
		n := p.batch.Length - p.next
		if limit > 0 && p.columns != nil {
			n = int(min(int64(n), limit-p.count))
		}
		if p.columns != nil {
			r := &s.rows
			r.Types, r.Columns, r.Positions, r.Formats, r.Batch, r.Begin, r.End = &s.types, p.columns, p.query.Columns, p.formats, p.batch, p.next, p.next+n
			if err := s.client.Rows(r); err != nil {
				return false, err
			}
		}
		p.next += n
		p.count += int64(n)
		if p.next == p.batch.Length {
			p.batch = nil
		}
		if limit > 0 && p.count == limit && p.columns != nil {
			return true, nil
		}
	}
	return false, nil
}

// stopPortal ends the execution; the portal stays.
func (s *Session) stopPortal(p *portal) error {
	var err error
	if p.query != nil {
		err = p.query.Close()
		p.query = nil
	}
	if p.shared && p.prepared.executable == p.executable {
		p.prepared.busy = false
	}
	p.shared, p.executable, p.batch = false, nil, nil
	return err
}

// resetPortal makes the portal as Bind left it.
func (s *Session) resetPortal(p *portal) {
	_ = s.stopPortal(p)
	p.started, p.done, p.count, p.affected = false, false, 0, 0
}

// closePortal ends a portal.
func (s *Session) closePortal(p *portal) {
	_ = s.stopPortal(p)
	if p.cursor != nil {
		s.memory.Shrink(p.cursor.memory)
	}
	if s.portals[p.name] == p {
		delete(s.portals, p.name)
	}
	if p.name == "" && p.cursor == nil && cap(p.parameters) <= maxKeptParameters {
		// Values may be large; the slice is kept, they aren't.
		clear(p.parameters)
		*p = portal{parameters: p.parameters[:0], formats: p.formats[:0]}
		s.free = p
	}
}

const maxKeptParameters = 64

func (s *Session) closePortals(which func(*portal) bool) {
	for _, p := range s.portals {
		if which(p) {
			s.closePortal(p)
		}
	}
}

var tagNames = [...]string{opt.TagSelect: "SELECT", opt.TagInsert: "INSERT", opt.TagUpdate: "UPDATE", opt.TagDelete: "DELETE"}

// tag is the command tag of the last run.
func (p *portal) tag() CommandTag {
	if p.cursor != nil {
		return CommandTag{Name: "SELECT", Rows: p.count, Counted: true}
	}
	switch p.prepared.cached.plan.Tag {
	case opt.TagInsert:
		return CommandTag{Name: "INSERT 0", Rows: p.affected, Counted: true}
	case opt.TagUpdate:
		return CommandTag{Name: "UPDATE", Rows: p.affected, Counted: true}
	case opt.TagDelete:
		return CommandTag{Name: "DELETE", Rows: p.affected, Counted: true}
	default:
		return CommandTag{Name: "SELECT", Rows: p.count, Counted: true}
	}
}

// output is where a utility statement's rows go.
type output struct {
	session  *Session
	describe bool // the simple protocol: columns come first
	formats  []int16
}

// columns announces columns, in the simple protocol.
func (o *output) columns(columns []opt.ResultColumn) {
	if o.describe {
		o.session.client.Columns(columns, nil)
	}
}

// rows sends rows that are at hand.
func (o *output) rows(columns []opt.ResultColumn, rows [][]types.Datum) error {
	if len(rows) == 0 {
		return nil
	}
	kinds := make([]*types.T, len(columns))
	positions := make([]int, len(columns))
	for i, c := range columns {
		kinds[i], positions[i] = c.Type, i
	}
	batch := vector.NewBatch(kinds)
	for len(rows) > 0 {
		n := min(len(rows), vector.Size)
		batch.Reset()
		for i, row := range rows[:n] {
			for j, d := range row {
				batch.Columns[j].Set(i, d)
			}
		}
		batch.Length = n
		if err := o.session.client.Rows(&Rows{Types: &o.session.types, Columns: columns, Positions: positions, Formats: o.formats, Batch: batch, End: n}); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// internalQuery runs a tree as a statement of the transaction, for the
// session itself and for schema changes.
func (s *Session) internalQuery(ctx context.Context, n parser.Node) (rows [][]types.Datum, affected int64, err error) {
	if !isPlanned(n) {
		return nil, 0, pgerror.New(pgerror.Internal, "an internal statement that is not a query")
	}
	c, err := s.buildPlan(ctx, n, "", nil)
	if err != nil {
		return nil, 0, err
	}
	return s.collect(ctx, c.plan, nil)
}

// collect runs a plan and returns its rows.
func (s *Session) collect(ctx context.Context, plan *opt.Plan, parameters []types.Datum) (rows [][]types.Datum, affected int64, err error) {
	s.tx.kv.Step()
	env := &exec.Env{Parameters: parameters}
	s.fillEnv(env)
	q, err := exec.Build(ctx, env, plan)
	if err != nil {
		return nil, 0, err
	}
	if err := q.Open(ctx); err != nil {
		return nil, 0, err
	}
	defer func() { _ = q.Close() }()
	for {
		b, err := q.Next(ctx)
		if err != nil {
			return nil, 0, err
		}
		if b == nil {
			return rows, q.RowsAffected(), nil
		}
		for i := range b.Length {
			row := make([]types.Datum, len(q.Columns))
			for j, c := range q.Columns {
				row[j] = b.Columns[c].Datum(b.Row(i))
			}
			rows = append(rows, row)
		}
	}
}
