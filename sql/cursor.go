package sql

import (
	"context"
	"math"

	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// cursor is what DECLARE adds to a portal: a position, and the rows read so far
// where it may go back or outlive its transaction.
type cursor struct {
	hold     bool
	noScroll bool // declared so: it never goes back
	keep     keeping
	rows     [][]types.Datum // kept ones, from the first
	// memory is how many bytes are accounted for rows.
	memory int64
	// position is the row the cursor stands on, from 1; 0: before the first;
	// one more than there are: after the last.
	position int64
	read     int64 // rows that came from the query
	ended    bool  // the query has no more
}

// keeping says whether a cursor keeps the rows that were read, to go back to.
type keeping uint8

// Cursors declared with neither SCROLL nor NO SCROLL can go back as long as
// there are few rows, as simple ones can in PostgreSQL.
const (
	keepFew keeping = iota
	keepAll
	keepNone
)

// fewRowsBytes is how much keepFew keeps.
const fewRowsBytes = 1 << 20

// runDeclare is DECLARE CURSOR.
func (s *Session) runDeclare(ctx context.Context, n *parser.DeclareCursor, p *prepared, parameters []types.Datum) error {
	if !n.Hold {
		if err := s.requireBlock("DECLARE CURSOR"); err != nil {
			return err
		}
	}
	if n.Scroll && n.NoScroll {
		return pgerror.New(pgerror.InvalidCursorDefinition, "cannot specify both SCROLL and NO SCROLL")
	}
	if s.portals[n.Name] != nil {
		return pgerror.Newf(pgerror.DuplicateCursor, "cursor \"%s\" already exists", n.Name)
	}
	c, err := s.buildPlan(ctx, n.Query, p.text, p.declared)
	if err != nil {
		return err
	}
	if s.tx.readOnly && !c.plan.ReadOnly {
		return s.checkWritable("SELECT FOR UPDATE")
	}
	executable, err := exec.Prepare(c.plan)
	if err != nil {
		return err
	}
	q := &prepared{text: p.text, statement: parser.Statement{AST: n.Query, Text: p.statement.Text}}
	if err := s.adopt(q, c); err != nil {
		return err
	}
	portal := s.newPortal(n.Name, q, parameters, nil)
	if n.Binary {
		portal.formats = append(portal.formats, 1)
	}
	portal.cursor = &cursor{hold: n.Hold}
	switch {
	case n.Scroll || n.Hold:
		portal.cursor.keep = keepAll
	case n.NoScroll:
		portal.cursor.keep, portal.cursor.noScroll = keepNone, true
	}
	portal.executable = executable
	if err := s.runExecutable(ctx, portal); err != nil {
		_ = s.stopPortal(portal)
		return err
	}
	s.portals[n.Name] = portal
	return nil
}

// holdCursors reads the cursors that outlive the transaction to their end.
func (s *Session) holdCursors(ctx context.Context) error {
	for _, p := range s.portals {
		if p.cursor == nil || !p.cursor.hold || p.held {
			continue
		}
		for !p.cursor.ended {
			if _, err := s.readRow(ctx, p); err != nil {
				return err
			}
		}
		if err := s.stopPortal(p); err != nil {
			return err
		}
		p.held = true
	}
	return nil
}

// readRow takes the next row of the query; nil at the end.
func (s *Session) readRow(ctx context.Context, p *portal) ([]types.Datum, error) {
	c := p.cursor
	if c.ended {
		return nil, nil
	}
	if p.batch == nil {
		b, err := p.query.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			c.ended = true
			return nil, nil
		}
		p.batch, p.next = b, 0
	}
	i := p.batch.Row(p.next)
	row := make([]types.Datum, len(p.columns))
	size := int64(len(row)) * 48
	for j, at := range p.query.Columns {
		row[j] = p.batch.Columns[at].Datum(i)
		size += int64(len(row[j].S))
	}
	if p.next++; p.next == p.batch.Length {
		p.batch = nil
	}
	c.read++
	if c.keep == keepFew && c.memory+size > fewRowsBytes {
		s.memory.Shrink(c.memory)
		c.keep, c.rows, c.memory = keepNone, nil, 0
	}
	if c.keep != keepNone {
		if err := s.memory.Grow(size); err != nil {
			return nil, err
		}
		c.memory += size
		c.rows = append(c.rows, row)
	}
	return row, nil
}

func errForwardOnly() error {
	return pgerror.New(pgerror.ObjectNotInPrerequisiteState, "cursor can only scan forward").WithHint("Declare it with SCROLL option to enable backward scan.")
}

// row returns row n (from 1) of a cursor, nil past the end.
func (s *Session) row(ctx context.Context, p *portal, n int64) ([]types.Datum, error) {
	c := p.cursor
	if n < 1 {
		return nil, nil
	}
	if n <= c.read {
		if c.keep == keepNone {
			return nil, errForwardOnly()
		}
		return c.rows[n-1], nil
	}
	for {
		row, err := s.readRow(ctx, p)
		if err != nil || row == nil || c.read == n {
			return row, err
		}
	}
}

// fetch moves a cursor and returns the rows it passes. PostgreSQL's rules
// (PortalRunFetch): forward n, or backward for a negative n.
func (s *Session) fetch(ctx context.Context, p *portal, n int64, emit func([]types.Datum) error) (count int64, err error) {
	c := p.cursor
	step := int64(1)
	if n < 0 {
		if c.noScroll {
			return 0, errForwardOnly()
		}
		step, n = -1, -n
	}
	for count < n {
		next := c.position + step
		if next < 1 {
			c.position = 0
			return count, nil
		}
		row, err := s.row(ctx, p, next)
		if err != nil {
			return count, err
		}
		if row == nil {
			c.position = c.read + 1
			return count, nil
		}
		c.position = next
		count++
		if err := emit(row); err != nil {
			return count, err
		}
	}
	return count, nil
}

// runFetch is FETCH and MOVE.
func (s *Session) runFetch(ctx context.Context, n *parser.Fetch, out *output) (CommandTag, error) {
	tag := CommandTag{Name: "FETCH", Counted: true}
	if n.Move {
		tag.Name = "MOVE"
	}
	p := s.portals[n.Cursor]
	if p == nil {
		return tag, pgerror.Newf(pgerror.InvalidCursorName, "cursor \"%s\" does not exist", n.Cursor)
	}
	if p.cursor == nil {
		return tag, pgerror.Unsupported("FETCH from a portal of the extended protocol")
	}
	if !n.Move {
		if out.formats == nil {
			out.formats = p.formats
		}
		if out.describe {
			s.client.Columns(p.columns, out.formats)
		}
	}
	var rows [][]types.Datum
	emit := func(row []types.Datum) error {
		if n.Move {
			return nil
		}
		rows = append(rows, row)
		if len(rows) < 1024 {
			return nil
		}
		err := out.rows(p.columns, rows)
		rows = rows[:0]
		return err
	}
	var err error
	switch n.Direction {
	case parser.FetchForward:
		tag.Rows, err = s.fetchRelative(ctx, p, n.Count, emit)
	case parser.FetchBackward:
		count := n.Count
		if count != 0 {
			count = -count
		}
		tag.Rows, err = s.fetchRelative(ctx, p, count, emit)
	case parser.FetchAbsolute:
		target := n.Count
		if target < 0 {
			if err = s.toEnd(ctx, p); err != nil {
				return tag, err
			}
			target += p.cursor.read + 1
		}
		tag.Rows, err = s.fetchAt(ctx, p, max(target, 0), emit)
	case parser.FetchRelative:
		tag.Rows, err = s.fetchAt(ctx, p, max(p.cursor.position+n.Count, 0), emit)
	}
	if err != nil {
		return tag, err
	}
	return tag, out.rows(p.columns, rows)
}

// fetchRelative is FORWARD and BACKWARD; a count of 0 fetches the present row
// again.
func (s *Session) fetchRelative(ctx context.Context, p *portal, n int64, emit func([]types.Datum) error) (int64, error) {
	if n == 0 {
		return s.fetchAt(ctx, p, p.cursor.position, emit)
	}
	if n == math.MinInt64 {
		n = -math.MaxInt64
	}
	return s.fetch(ctx, p, n, emit)
}

func (s *Session) toEnd(ctx context.Context, p *portal) error {
	for !p.cursor.ended {
		if _, err := s.readRow(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// fetchAt moves a cursor to a row and fetches it.
func (s *Session) fetchAt(ctx context.Context, p *portal, n int64, emit func([]types.Datum) error) (int64, error) {
	c := p.cursor
	row, err := s.row(ctx, p, n)
	if err != nil {
		return 0, err
	}
	if row == nil {
		if c.position = 0; n > 0 {
			c.position = c.read + 1
		}
		return 0, nil
	}
	c.position = n
	return 1, emit(row)
}

// runCursor is Execute on a cursor's portal: it goes on from where it stands.
func (s *Session) runCursor(ctx context.Context, p *portal, limit int64) (suspended bool, err error) {
	out := &output{session: s, formats: p.formats}
	if limit == 0 {
		limit = math.MaxInt64
	}
	p.count, err = s.fetch(ctx, p, limit, func(row []types.Datum) error { return out.rows(p.columns, [][]types.Datum{row}) })
	return err == nil && p.count == limit, err
}

// runCloseCursor is CLOSE.
func (s *Session) runCloseCursor(n *parser.CloseCursor) (string, error) {
	if n.Name == "" {
		s.closePortals(func(p *portal) bool { return p.cursor != nil })
		return "CLOSE CURSOR ALL", nil
	}
	p := s.portals[n.Name]
	if p == nil {
		return "", pgerror.Newf(pgerror.InvalidCursorName, "cursor \"%s\" does not exist", n.Name)
	}
	s.closePortal(p)
	return "CLOSE CURSOR", nil
}
