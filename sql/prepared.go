package sql

import (
	"context"
	"strconv"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// extended runs a step of the extended protocol; an error fails the
// transaction.
func (s *Session) extended(text string, step func(ctx context.Context) error) error {
	ctx, cancel := s.begin(text)
	defer func() { s.end(cancel) }()
	err := s.guard(func() error { return step(ctx) })
	if err == nil {
		return nil
	}
	e := s.failure(ctx, err)
	s.fail()
	return e
}

// Parse prepares a statement under a name; "" is the unnamed one, which is
// replaced. Parameter types that are 0 or missing are inferred.
func (s *Session) Parse(name, text string, parameters []types.OID) error {
	return s.extended(text, func(ctx context.Context) error {
		if name == "" {
			delete(s.prepared, "")
		} else if s.prepared[name] != nil {
			return duplicateStatement(name)
		}
		p := &prepared{name: name, text: text}
		for _, oid := range parameters {
			if oid == 0 || oid == types.UnknownOID {
				p.declared = append(p.declared, nil)
				continue
			}
			t, ok := types.ByOID(oid)
			if !ok {
				return pgerror.Newf(pgerror.UndefinedObject, "type with OID %d does not exist", oid)
			}
			p.declared = append(p.declared, t)
		}
		list, _, err := s.server.texts.parse(text)
		if err != nil {
			return err
		}
		if len(list) > 1 {
			return pgerror.New(pgerror.Syntax, "cannot insert multiple commands into a prepared statement")
		}
		if len(list) == 1 {
			p.statement = list[0]
		}
		if err := s.checkFailed(p.statement.AST); err != nil {
			return err
		}
		if err := s.check(ctx, p); err != nil {
			return err
		}
		s.prepared[name] = p
		return nil
	})
}

func duplicateStatement(name string) error {
	return pgerror.Newf(pgerror.DuplicatePreparedStatement, "prepared statement \"%s\" already exists", name)
}

// check finds out a statement's parameters and columns.
func (s *Session) check(ctx context.Context, p *prepared) error {
	if p.statement.AST == nil || p.checked {
		return nil
	}
	if p.planned() {
		return s.currentPlan(ctx, p)
	}
	columns, parameters, err := s.utilityColumns(ctx, p)
	if err != nil {
		return err
	}
	p.columns, p.parameters, p.checked = columns, parameters, true
	return nil
}

// utilityColumns are the columns and parameters of a statement that opt does
// not plan.
func (s *Session) utilityColumns(ctx context.Context, p *prepared) ([]opt.ResultColumn, []*types.T, error) {
	parameters := p.declared
	if p.statement.Parameters > len(parameters) {
		parameters = append(append([]*types.T(nil), parameters...), make([]*types.T, p.statement.Parameters-len(parameters))...)
	}
	for i, t := range parameters {
		if t == nil {
			parameters[i] = types.Text
		}
	}
	switch n := p.statement.AST.(type) {
	case *parser.Show:
		columns, err := s.showColumns(n.Name)
		return columns, parameters, err
	case *parser.Explain:
		if isPlanned(n.Statement) {
			c, err := s.buildPlan(ctx, n.Statement, p.text, p.declared)
			if err != nil {
				return nil, nil, err
			}
			parameters = c.plan.Parameters
		}
		return explainColumns, parameters, nil
	case *parser.Execute:
		if q := s.prepared[n.Name]; q != nil && q.name != "" {
			return q.columns, parameters, nil
		}
	case *parser.Fetch:
		if c := s.portals[n.Cursor]; c != nil && !n.Move {
			return c.columns, parameters, nil
		}
	case *parser.DeclareCursor:
		c, err := s.buildPlan(ctx, n.Query, p.text, p.declared)
		if err != nil {
			return nil, nil, err
		}
		return nil, c.plan.Parameters, nil
	}
	return nil, parameters, nil
}

func textColumn(name string) opt.ResultColumn { return opt.ResultColumn{Name: name, Type: types.Text} }

// DescribeStatement answers Describe of a statement.
func (s *Session) DescribeStatement(name []byte) (d Description, err error) {
	p, err := s.statement(name)
	if err != nil {
		return d, s.refuse(err)
	}
	if e := s.checkFailed(p.statement.AST); e != nil && p.columns != nil {
		return d, s.refuse(e)
	}
	return Description{Parameters: p.parameters, Columns: p.columns}, nil
}

// DescribePortal answers Describe of a portal.
func (s *Session) DescribePortal(name []byte) (d Description, err error) {
	p, err := s.portal(name)
	if err != nil {
		return d, s.refuse(err)
	}
	if e := s.checkFailed(p.prepared.statement.AST); e != nil && p.columns != nil {
		return d, s.refuse(e)
	}
	return Description{Columns: p.columns, Formats: p.formats}, nil
}

// refuse fails the transaction with an error.
func (s *Session) refuse(err error) error {
	e := clientError(err)
	s.fail()
	return e
}

func (s *Session) statement(name []byte) (*prepared, error) {
	if p := s.prepared[string(name)]; p != nil {
		return p, nil
	}
	if len(name) == 0 {
		return nil, pgerror.New(pgerror.InvalidSQLStatementName, "unnamed prepared statement does not exist")
	}
	return nil, undefinedStatement(string(name))
}

func undefinedStatement(name string) error {
	return pgerror.Newf(pgerror.InvalidSQLStatementName, "prepared statement \"%s\" does not exist", name)
}

func (s *Session) portal(name []byte) (*portal, error) {
	if p := s.portals[string(name)]; p != nil {
		return p, nil
	}
	return nil, pgerror.Newf(pgerror.InvalidCursorName, "portal \"%s\" does not exist", name)
}

// CloseStatement forgets a statement; it need not exist.
func (s *Session) CloseStatement(name []byte) { delete(s.prepared, string(name)) }

// ClosePortal closes a portal; it need not exist.
func (s *Session) ClosePortal(name []byte) {
	if p := s.portals[string(name)]; p != nil {
		s.closePortal(p)
	}
}

// Bind makes a portal of a statement and its parameters.
func (s *Session) Bind(portalName, statementName []byte, a *BindArguments) error {
	if err := s.guard(func() error { return s.bind(portalName, statementName, a) }); err != nil {
		return s.refuse(err)
	}
	return nil
}

func (s *Session) bind(portalName, statementName []byte, a *BindArguments) error {
	p, err := s.statement(statementName)
	if err != nil {
		return err
	}
	if err := s.checkFailed(p.statement.AST); err != nil {
		return err
	}
	if n := len(a.ParameterFormats); n > 1 && n != len(a.Parameters) {
		return pgerror.Newf(pgerror.ProtocolViolation, "bind message has %d parameter formats but %d parameters", n, len(a.Parameters))
	}
	if len(a.Parameters) != len(p.parameters) {
		return pgerror.Newf(pgerror.ProtocolViolation, "bind message supplies %d parameters, but prepared statement \"%s\" requires %d", len(a.Parameters), p.name, len(p.parameters))
	}
	if n := len(a.ResultFormats); n > 1 && n != len(p.columns) {
		return pgerror.Newf(pgerror.ProtocolViolation, "bind message has %d result formats but query has %d columns", n, len(p.columns))
	}
	for _, f := range a.ResultFormats {
		if f != 0 && f != 1 {
			return pgerror.Newf(pgerror.InvalidParameterValue, "unsupported format code: %d", f)
		}
	}
	if old := s.portals[string(portalName)]; old != nil {
		if len(portalName) > 0 {
			return pgerror.Newf(pgerror.DuplicateCursor, "cursor \"%s\" already exists", portalName)
		}
		s.closePortal(old)
	}
	if s.tx.state == idle {
		s.types.TransactionTime = s.server.now()
		s.types.StatementTime = s.types.TransactionTime
	}
	portal := s.newPortal("", p, nil, a.ResultFormats)
	if len(portalName) > 0 {
		portal.name = string(portalName)
	}
	for i, text := range a.Parameters {
		d, err := s.parameter(p.parameters[i], text, formatOf(a.ParameterFormats, i))
		if err != nil {
			return parameterError(err, portal.name, i)
		}
		portal.parameters = append(portal.parameters, d)
	}
	s.portals[portal.name] = portal
	return nil
}

// parameterError says which parameter is wrong.
func parameterError(err error, portal string, i int) error {
	e := clientError(err)
	copied := *e
	if portal == "" {
		copied.Where = "unnamed portal parameter $" + strconv.Itoa(i+1)
	} else {
		copied.Where = "portal " + strconv.Quote(portal) + " parameter $" + strconv.Itoa(i+1)
	}
	return &copied
}

// parameter reads a value in one of the two formats.
func (s *Session) parameter(t *types.T, value []byte, format int16) (types.Datum, error) {
	switch {
	case value == nil:
		return types.DNull, nil
	case format == 1:
		return types.ParseBinary(t, value)
	case format != 0:
		return types.Datum{}, pgerror.Newf(pgerror.InvalidParameterValue, "unsupported format code: %d", format)
	case t.OID == types.Int4OID || t.OID == types.Int8OID:
		if i, ok := shortInteger(value); ok {
			return types.Int(i), nil
		}
	}
	if err := checkText(value); err != nil {
		return types.Datum{}, err
	}
	return types.Parse(&s.types, t, string(value))
}

// shortInteger reads an integer of up to nine digits.
func shortInteger(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// Execute runs a portal, for at most limit rows unless that is 0. In an
// implicit transaction that ends with it, it commits.
func (s *Session) Execute(name []byte, limit int64) error {
	p, err := s.portal(name)
	if err != nil {
		return s.refuse(err)
	}
	if p.prepared.statement.AST == nil {
		s.client.Empty()
		return nil
	}
	_, copying := p.prepared.statement.AST.(*parser.Copy)
	last := s.tx.state != inBlock && s.tx.state != failedBlock && !copying && s.client.SyncFollows()
	return s.extended(p.prepared.text, func(ctx context.Context) error { return s.execute(ctx, p, limit, last) })
}

func (s *Session) execute(ctx context.Context, p *portal, limit int64, last bool) error {
	if err := s.checkFailed(p.prepared.statement.AST); err != nil {
		return err
	}
	if s.tx.state == idle {
		s.tx.state = implicit
	}
	if !last && s.tx.state == implicit {
		s.tx.several = true
	}
	mark := s.client.Mark()
	return s.retrying(ctx, func() error {
		suspended, err := s.executeOnce(ctx, p, limit)
		if err != nil || !last || suspended || s.tx.state != implicit {
			return err
		}
		if err := s.commit(ctx); err != nil {
			s.client.Rewind(mark)
			return err
		}
		return nil
	})
}

func (s *Session) executeOnce(ctx context.Context, p *portal, limit int64) (suspended bool, err error) {
	if p.cursor == nil && !p.prepared.planned() {
		return false, s.runUtility(ctx, p.prepared, p.parameters, &output{session: s, formats: p.formats})
	}
	if !p.started {
		if err := s.startPortal(ctx, p); err != nil {
			return false, err
		}
	} else if p.done && p.columns == nil {
		return false, pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "portal \"%s\" cannot be run", p.name)
	}
	if suspended, err = s.runPortal(ctx, p, limit); err != nil {
		return false, err
	}
	if suspended {
		s.client.Suspended()
	} else {
		s.client.Complete(p.tag())
	}
	return suspended, nil
}

// Sync ends the implicit transaction.
func (s *Session) Sync() error {
	if s.tx.state != implicit {
		return nil
	}
	ctx := s.ctx
	err := s.guard(func() error { return s.commit(ctx) })
	if err == nil {
		s.mu.Lock()
		s.state, s.xactStart = "idle", noTime
		s.mu.Unlock()
		return nil
	}
	e := s.failure(ctx, err)
	s.fail()
	return e
}
