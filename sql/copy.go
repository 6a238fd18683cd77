package sql

import (
	"context"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// runCopy is COPY.
func (s *Session) runCopy(ctx context.Context, n *parser.Copy, p *prepared) (CommandTag, error) {
	tag := CommandTag{Name: "COPY", Counted: true}
	switch {
	case n.Program:
		return tag, pgerror.Unsupported("COPY … PROGRAM").WithHint("Use psql's \\copy.")
	case n.File != "":
		return tag, pgerror.Unsupported("COPY with a file on the server").WithHint("Use STDIN or STDOUT, or psql's \\copy.")
	}
	format, err := readCopyOptions(n, p.text)
	if err != nil {
		return tag, err
	}
	if n.From {
		tag.Rows, err = s.copyFrom(ctx, n, format, p)
	} else {
		tag.Rows, err = s.copyTo(ctx, n, format, p)
	}
	return tag, err
}

// copyColumns finds the columns of a COPY: those named, or all.
func copyColumns(t *catalog.Table, names []string, from bool) ([]*catalog.Column, error) {
	var columns []*catalog.Column
	if len(names) == 0 {
		for _, c := range t.VisibleColumns() {
			if c.Generated == "" {
				columns = append(columns, c)
			}
		}
		return columns, nil
	}
	seen := make(map[string]bool)
	for _, name := range names {
		c := t.ColumnNamed(name)
		switch {
		case c == nil || c.Hidden:
			return nil, pgerror.Newf(pgerror.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", name, t.Name)
		case seen[name]:
			return nil, pgerror.Newf(pgerror.DuplicateColumn, "column \"%s\" specified more than once", name)
		case c.Generated != "" && from:
			return nil, pgerror.Newf(pgerror.InvalidColumnReference, "column \"%s\" is a generated column", name).WithDetail("Generated columns cannot be used in COPY.")
		}
		seen[name] = true
		columns = append(columns, c)
	}
	return columns, nil
}

// copyFrom is COPY table FROM STDIN.
func (s *Session) copyFrom(ctx context.Context, n *parser.Copy, format *copyFormat, p *prepared) (int64, error) {
	if n.Where != nil {
		return 0, pgerror.Unsupported("COPY FROM … WHERE")
	}
	if err := s.checkWritable("COPY FROM"); err != nil {
		return 0, err
	}
	relation, err := s.relationOf(ctx, n.Table)
	if err != nil {
		return 0, err
	}
	table, ok := relation.(*catalog.Table)
	if !ok {
		kind := "view"
		if relation.Kind() == catalog.SequenceKind {
			kind = "sequence"
		}
		return 0, pgerror.Newf(pgerror.WrongObjectType, "cannot copy to %s \"%s\"", kind, relation.Head().Name)
	}
	if table.IsVirtual() {
		return 0, pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied: \"%s\" is a system catalog", table.Name)
	}
	columns, err := copyColumns(table, n.Columns, true)
	if err != nil {
		return 0, err
	}
	if err := format.resolve(table, columns); err != nil {
		return 0, err
	}
	ids := make([]catalog.ColumnID, len(columns))
	for i, c := range columns {
		ids[i] = c.ID
	}
	plan, err := opt.BuildCopyFrom(s.planContext(ctx, s.tx.catalog, p.text, nil), table, ids)
	if err != nil {
		return 0, err
	}
	s.tx.consumed = true
	if err := s.client.CopyIn(len(columns), format.binary); err != nil {
		return 0, err
	}
	in := &copyInput{session: s, format: format, table: table, columns: columns}
	in.batch = vector.NewBatch(in.types())
	rows, err := s.feed(ctx, plan, in)
	if err != nil {
		return 0, in.locate(s.failure(ctx, err))
	}
	return rows, nil
}

// feed runs the insertion.
func (s *Session) feed(ctx context.Context, plan *opt.Plan, in *copyInput) (int64, error) {
	s.tx.kv.Step()
	s.tx.statements++
	env := &exec.Env{Input: in.next}
	s.fillEnv(env)
	q, err := exec.Build(ctx, env, plan)
	if err != nil {
		return 0, err
	}
	defer func() { _ = q.Close() }()
	rows, err := q.Run(ctx)
	if err != nil {
		return 0, err
	}
	// The client may end its data with \. and go on talking.
	return rows, in.finish()
}

// copyInput turns the client's data into batches of rows.
type copyInput struct {
	session *Session
	format  *copyFormat
	table   *catalog.Table
	columns []*catalog.Column
	batch   *vector.Batch

	data   []byte // what came and was not yet read
	ended  bool   // the client sent all
	closed bool   // \. was seen: what comes after it is ignored
	line   int64  // lines read
	// first and last are the lines of the last batch's rows.
	first, last int64
	scanner     copyScanner
	located     bool // the error says already where it is
	started     bool // the binary format's header was read
}

func (in *copyInput) types() []*types.T {
	list := make([]*types.T, len(in.columns))
	for i, c := range in.columns {
		list[i] = c.Type
	}
	return list
}

// more asks the client for more data.
func (in *copyInput) more() error {
	piece, err := in.session.client.CopyInData()
	if errors.Is(err, io.EOF) {
		in.ended = true
		return nil
	}
	if err != nil {
		in.ended = true
		return err
	}
	if in.closed {
		return nil
	}
	in.data = append(in.data, piece...)
	if len(in.data) > maxCopyLine {
		return pgerror.Newf(pgerror.ProgramLimitExceeded, "a line of COPY data is longer than %d bytes", maxCopyLine)
	}
	return nil
}

// maxCopyLine bounds a line of data.
const maxCopyLine = 256 << 20

// next is exec.Env.Input.
func (in *copyInput) next(ctx context.Context) (*vector.Batch, error) {
	in.batch.Reset()
	rows := 0
	var first, last int64
	for rows < vector.Size {
		ok, err := in.rowInto(rows)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if last = in.line; rows == 0 {
			first = last
		}
		rows++
		if len(in.data) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if rows == 0 {
		return nil, nil
	}
	in.batch.Length, in.first, in.last = rows, first, last
	return in.batch, nil
}

// rowInto puts the next row into the batch; false at the end.
func (in *copyInput) rowInto(row int) (bool, error) {
	if in.format.binary {
		return in.binaryRow(row)
	}
	fields, ok, err := in.row()
	if err != nil || !ok {
		return false, err
	}
	return true, in.fill(row, fields)
}

// row returns the next row's fields; false at the end.
func (in *copyInput) row() ([]copyField, bool, error) {
	for {
		if in.closed || in.ended && len(in.data) == 0 {
			return nil, false, nil
		}
		used, complete, err := in.scanner.scan(in.format, in.data, in.ended)
		if err != nil {
			return nil, false, in.at(err, in.line+1, "", nil)
		}
		if !complete {
			if in.ended {
				return nil, false, nil
			}
			if err := in.more(); err != nil {
				return nil, false, in.at(err, in.line+1, "", nil)
			}
			continue
		}
		line := in.data[:used]
		in.line++
		if in.scanner.end {
			in.closed, in.data = true, nil
			return nil, false, nil
		}
		if in.line == 1 && in.format.header != noHeader {
			if err := in.checkHeader(line); err != nil {
				return nil, false, err
			}
			in.consume(used)
			continue
		}
		fields, err := in.scanner.fields(in.format)
		if err != nil {
			return nil, false, in.at(err, in.line, "", line)
		}
		in.consume(used)
		return fields, true, nil
	}
}

// consume moves on to the next line; what was cut out of this one stays valid
// until more data is asked for.
func (in *copyInput) consume(n int) {
	in.data = in.data[n:]
	in.scanner.reset()
}

func (in *copyInput) checkHeader(line []byte) error {
	if in.format.header != matchHeader {
		return nil
	}
	fields, err := in.scanner.fields(in.format)
	if err != nil {
		return in.at(err, in.line, "", line)
	}
	if len(fields) != len(in.columns) {
		return in.at(pgerror.Newf(pgerror.BadCopyFileFormat, "wrong number of fields in header line: got %d, expected %d", len(fields), len(in.columns)), in.line, "", line)
	}
	for i, f := range fields {
		if f.null {
			return in.at(pgerror.Newf(pgerror.BadCopyFileFormat, "column name mismatch in header line field %d: got null value (\"%s\"), expected \"%s\"", i+1, in.format.null, in.columns[i].Name), in.line, "", line)
		}
		if string(f.text) != in.columns[i].Name {
			return in.at(pgerror.Newf(pgerror.BadCopyFileFormat, "column name mismatch in header line field %d: got \"%s\", expected \"%s\"", i+1, f.text, in.columns[i].Name), in.line, "", line)
		}
	}
	return nil
}

// fill puts a row's values into the batch.
func (in *copyInput) fill(row int, fields []copyField) error {
	if len(fields) > len(in.columns) {
		return in.at(pgerror.New(pgerror.BadCopyFileFormat, "extra data after last expected column"), in.line, "", in.scanner.line)
	}
	for i, c := range in.columns {
		if i >= len(fields) {
			if len(in.columns) == 1 && len(fields) == 0 {
				break
			}
			return in.at(pgerror.Newf(pgerror.BadCopyFileFormat, "missing data for column \"%s\"", c.Name), in.line, "", in.scanner.line)
		}
		f := fields[i]
		if in.format.isNull(f, i) {
			in.batch.Columns[i].SetNull(row)
			continue
		}
		if err := checkText(f.text); err != nil {
			return in.at(err, in.line, "", nil)
		}
		if (c.Type.OID == types.Int4OID || c.Type.OID == types.Int8OID) && len(f.text) < 10 {
			if v, ok := shortInteger(f.text); ok {
				in.batch.Columns[i].Set(row, types.Int(v))
				continue
			}
		}
		d, err := types.Parse(&in.session.types, c.Type, string(f.text))
		if err != nil {
			return in.at(err, in.line, c.Name, f.text)
		}
		in.batch.Columns[i].Set(row, d)
	}
	return nil
}

// at tells where in the data an error is, as PostgreSQL's CONTEXT does.
func (in *copyInput) at(err error, line int64, column string, text []byte) error {
	in.located = true
	e := *clientError(err)
	if e.Where != "" {
		return &e
	}
	e.Where = "COPY " + in.table.Name + ", line " + strconv.FormatInt(line, 10)
	if column != "" {
		e.Where += ", column " + column
	}
	if text != nil {
		e.Where += ": \"" + shortened(text) + "\""
	}
	return &e
}

// locate tells of an error of the insertion, in which rows it arose.
func (in *copyInput) locate(e *pgerror.Error) error {
	if in.located || e.Where != "" || in.first == 0 {
		return e
	}
	copied := *e
	copied.Where = "COPY " + in.table.Name + ", line " + strconv.FormatInt(in.first, 10)
	if in.first < in.last {
		copied.Where = "COPY " + in.table.Name + ", lines " + strconv.FormatInt(in.first, 10) + " to " + strconv.FormatInt(in.last, 10)
	}
	return &copied
}

// shortened is a text of at most 100 bytes, as PostgreSQL shows it.
func shortened(text []byte) string {
	const most = 100
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	if len(text) <= most {
		return string(text)
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return string(text[:end]) + "..."
}

// finish reads the rest of what the client sends.
func (in *copyInput) finish() error {
	for !in.ended {
		if err := in.more(); err != nil {
			return err
		}
		in.data = in.data[:0]
	}
	return nil
}

// checkText refuses what is not UTF-8, and zero bytes.
func checkText(b []byte) error {
	for i := 0; i < len(b); {
		if b[i] < 0x80 {
			if b[i] == 0 {
				return pgerror.New(pgerror.CharacterNotInRepertoire, `invalid byte sequence for encoding "UTF8": 0x00`)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			text := ""
			for _, c := range b[i:min(len(b), i+sequenceLength(b[i]))] {
				text += " 0x" + strconv.FormatInt(int64(c)+256, 16)[1:]
			}
			return pgerror.Newf(pgerror.CharacterNotInRepertoire, `invalid byte sequence for encoding "UTF8":%s`, text)
		}
		i += n
	}
	return nil
}

// sequenceLength is how many bytes the character should have.
func sequenceLength(first byte) int {
	switch {
	case first >= 0xf0 && first < 0xf8:
		return 4
	case first >= 0xe0:
		return 3
	case first >= 0xc0:
		return 2
	}
	return 1
}

// copyTo is COPY … TO STDOUT.
func (s *Session) copyTo(ctx context.Context, n *parser.Copy, format *copyFormat, p *prepared) (int64, error) {
	query, names, err := s.copyQuery(ctx, n, format)
	if err != nil {
		return 0, err
	}
	c, err := s.buildPlan(ctx, query, p.text, nil)
	if err != nil {
		return 0, err
	}
	columns := c.plan.Columns
	if names == nil {
		for _, k := range columns {
			names = append(names, k.Name)
		}
		if err := format.resolveNames(names, nil); err != nil {
			return 0, err
		}
	}
	if s.tx.readOnly && !c.plan.ReadOnly {
		return 0, s.checkWritable(tagNames[c.plan.Tag])
	}
	s.tx.kv.Step()
	s.tx.statements++
	env := &exec.Env{}
	s.fillEnv(env)
	q, err := exec.Build(ctx, env, c.plan)
	if err != nil {
		return 0, err
	}
	if err := q.Open(ctx); err != nil {
		return 0, err
	}
	defer func() { _ = q.Close() }()
	return s.sendCopy(ctx, q, columns, names, format)
}

// copyQuery makes the query of COPY table TO.
func (s *Session) copyQuery(ctx context.Context, n *parser.Copy, format *copyFormat) (parser.Node, []string, error) {
	if n.Table == nil {
		if !isPlanned(n.Query) {
			return nil, nil, pgerror.Unsupported("COPY of this statement")
		}
		if len(resultless(n.Query)) > 0 {
			return nil, nil, pgerror.New(pgerror.FeatureNotSupported, "COPY query must have a RETURNING clause")
		}
		return n.Query, nil, nil
	}
	relation, err := s.relationOf(ctx, n.Table)
	if err != nil {
		return nil, nil, err
	}
	table, ok := relation.(*catalog.Table)
	if !ok {
		if relation.Kind() == catalog.ViewKind {
			return nil, nil, pgerror.Newf(pgerror.WrongObjectType, "cannot copy from view \"%s\"", relation.Head().Name).WithHint("Try the COPY (SELECT ...) TO variant.")
		}
		return nil, nil, pgerror.Newf(pgerror.WrongObjectType, "cannot copy from sequence \"%s\"", relation.Head().Name)
	}
	columns, err := copyColumns(table, n.Columns, false)
	if err != nil {
		return nil, nil, err
	}
	if err := format.resolve(table, columns); err != nil {
		return nil, nil, err
	}
	q := &parser.Select{Position: parser.NoPosition, From: []parser.TableExpression{&parser.TableReference{TableName: *n.Table}}}
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		q.Targets = append(q.Targets, parser.Target{Position: parser.NoPosition, Expression: &parser.ColumnReference{Position: parser.NoPosition, Names: []string{c.Name}}})
		names = append(names, c.Name)
	}
	return q, names, nil
}

// resultless names a data-modifying query without RETURNING.
func resultless(n parser.Node) string {
	switch q := n.(type) {
	case *parser.Insert:
		if q.Returning == nil {
			return "INSERT"
		}
	case *parser.Update:
		if q.Returning == nil {
			return "UPDATE"
		}
	case *parser.Delete:
		if q.Returning == nil {
			return "DELETE"
		}
	}
	return ""
}

func (s *Session) sendCopy(ctx context.Context, q *exec.Query, columns []opt.ResultColumn, names []string, format *copyFormat) (int64, error) {
	s.client.CopyOut(len(columns), format.binary)
	if format.binary {
		return s.sendBinaryCopy(ctx, q, columns)
	}
	var row, value []byte
	if format.header != noHeader {
		plain := *format
		plain.forceQuoteAll, plain.quotedColumns = false, nil
		for i, name := range names {
			row = plain.appendField(row, []byte(name), i, false, len(names))
		}
		if err := s.client.CopyOutData(append(row, '\n')); err != nil {
			return 0, err
		}
	}
	count, err := eachRow(ctx, q, func(b *vector.Batch, at int) error {
		row = row[:0]
		for j, position := range q.Columns {
			v := b.Columns[position]
			if v.Null(at) {
				row = format.appendField(row, nil, j, true, len(columns))
				continue
			}
			value = types.AppendText(value[:0], &s.types, columns[j].Type, v.Datum(at))
			row = format.appendField(row, value, j, false, len(columns))
		}
		row = append(row, '\n')
		return s.client.CopyOutData(row)
	})
	if err == nil {
		s.client.CopyOutDone()
	}
	return count, err
}

// sendBinaryCopy is sendCopy for the binary format.
func (s *Session) sendBinaryCopy(ctx context.Context, q *exec.Query, columns []opt.ResultColumn) (int64, error) {
	var out binaryOutput
	if err := s.client.CopyOutData(out.header()); err != nil {
		return 0, err
	}
	count, err := eachRow(ctx, q, func(b *vector.Batch, at int) error {
		out.begin(len(columns))
		for j, position := range q.Columns {
			v := b.Columns[position]
			if v.Null(at) {
				out.null()
			} else if err := out.value(columns[j].Type, v.Datum(at)); err != nil {
				return err
			}
		}
		return s.client.CopyOutData(out.row)
	})
	if err != nil {
		return count, err
	}
	if err := s.client.CopyOutData(out.trailer()); err != nil {
		return count, err
	}
	s.client.CopyOutDone()
	return count, nil
}

// eachRow calls send for each row of a query and counts them.
func eachRow(ctx context.Context, q *exec.Query, send func(b *vector.Batch, at int) error) (count int64, err error) {
	for {
		b, err := q.Next(ctx)
		if err != nil || b == nil {
			return count, err
		}
		for i := range b.Length {
			if err := send(b, b.Row(i)); err != nil {
				return count, err
			}
			count++
		}
	}
}
