package sql

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// headerMode is COPY's HEADER.
type headerMode uint8

const (
	noHeader headerMode = iota
	anyHeader
	matchHeader
)

// copyFormat is the form of COPY's data.
type copyFormat struct {
	csv       bool
	binary    bool
	delimiter byte
	null      string
	header    headerMode
	quote     byte
	escape    byte

	forceQuote, forceNotNull, forceNull          []string
	forceQuoteAll                                bool
	quotedColumns, notNullColumns, nullIfColumns []bool
}

// readCopyOptions reads and checks COPY's options, in PostgreSQL's order.
func readCopyOptions(n *parser.Copy, text string) (*copyFormat, error) {
	f := &copyFormat{}
	given := make(map[string]parser.Option)
	for _, o := range n.Options {
		if _, twice := given[o.Name]; twice {
			return nil, pgerror.New(pgerror.Syntax, "conflicting or redundant options").WithPosition(parser.Character(text, o.Position))
		}
		given[o.Name] = o
		if err := f.option(o, parser.Character(text, o.Position)); err != nil {
			return nil, err
		}
	}
	_, hasNull := given["null"]
	_, hasDelimiter := given["delimiter"]
	_, hasQuote := given["quote"]
	_, hasEscape := given["escape"]
	if !hasDelimiter {
		if f.delimiter = '\t'; f.csv {
			f.delimiter = ','
		}
	}
	if !hasNull && !f.csv {
		f.null = `\N`
	}
	if !hasQuote {
		f.quote = '"'
	}
	if !hasEscape {
		f.escape = f.quote
	}
	if f.binary {
		for _, name := range []string{"delimiter", "null"} {
			if _, ok := given[name]; ok {
				return nil, pgerror.Newf(pgerror.Syntax, "cannot specify %s in BINARY mode", strings.ToUpper(name))
			}
		}
		if f.header != noHeader {
			return nil, pgerror.New(pgerror.FeatureNotSupported, "cannot specify HEADER in BINARY mode")
		}
	}
	return f, f.check(n.From, hasQuote, hasEscape)
}

func (f *copyFormat) option(o parser.Option, at int32) error {
	oneByte := func(what string, to *byte) error {
		if len(o.Value) != 1 {
			return pgerror.Newf(pgerror.FeatureNotSupported, "COPY %s must be a single one-byte character", what)
		}
		*to = o.Value[0]
		return nil
	}
	switch o.Name {
	case "format":
		switch lower(o.Value) {
		case "text":
		case "csv":
			f.csv = true
		case "binary":
			f.binary = true
		default:
			return pgerror.Newf(pgerror.InvalidParameterValue, "COPY format \"%s\" not recognized", o.Value).WithPosition(at)
		}
	case "freeze":
		// A matter of PostgreSQL's storage.
		return nil
	case "delimiter":
		return oneByte("delimiter", &f.delimiter)
	case "null":
		f.null = o.Value
	case "header":
		switch on, ok := parseBool(o.Value); {
		case !o.HasValue:
			f.header = anyHeader
		case lower(o.Value) == "match":
			f.header = matchHeader
		case !ok:
			return pgerror.New(pgerror.Syntax, "header requires a Boolean value or \"match\"")
		case on:
			f.header = anyHeader
		}
	case "quote":
		return oneByte("quote", &f.quote)
	case "escape":
		return oneByte("escape", &f.escape)
	case "force_quote":
		f.forceQuote, f.forceQuoteAll = o.List, o.Star
	case "force_not_null":
		f.forceNotNull = o.List
	case "force_null":
		f.forceNull = o.List
	case "encoding":
		if _, err := readEncoding(o.Value); err != nil {
			if clientError(err).Code == pgerror.FeatureNotSupported {
				return pgerror.Unsupported("COPY in the encoding " + o.Value)
			}
			return pgerror.New(pgerror.InvalidParameterValue, "argument to option \"encoding\" must be a valid encoding name")
		}
	default:
		return pgerror.Newf(pgerror.Syntax, "option \"%s\" not recognized", o.Name).WithPosition(at)
	}
	return nil
}

func (f *copyFormat) check(from, hasQuote, hasEscape bool) error {
	unsupported := func(text string) error { return pgerror.New(pgerror.FeatureNotSupported, text) }
	switch {
	case f.delimiter == '\n' || f.delimiter == '\r':
		return pgerror.New(pgerror.InvalidParameterValue, "COPY delimiter cannot be newline or carriage return")
	case strings.ContainsAny(f.null, "\r\n"):
		return pgerror.New(pgerror.InvalidParameterValue, "COPY null representation cannot use newline or carriage return")
	case !f.csv && strings.IndexByte("\\.abcdefghijklmnopqrstuvwxyz0123456789", f.delimiter) >= 0:
		return pgerror.Newf(pgerror.InvalidParameterValue, "COPY delimiter cannot be \"%s\"", string(f.delimiter))
	case !f.csv && hasQuote:
		return unsupported("COPY quote available only in CSV mode")
	case f.csv && f.delimiter == f.quote:
		return pgerror.New(pgerror.InvalidParameterValue, "COPY delimiter and quote must be different")
	case !f.csv && hasEscape:
		return unsupported("COPY escape available only in CSV mode")
	case !f.csv && (f.forceQuoteAll || f.forceQuote != nil):
		return unsupported("COPY force quote available only in CSV mode")
	case (f.forceQuoteAll || f.forceQuote != nil) && from:
		return unsupported("COPY force quote only available using COPY TO")
	case !f.csv && f.forceNotNull != nil:
		return unsupported("COPY force not null available only in CSV mode")
	case f.forceNotNull != nil && !from:
		return unsupported("COPY force not null only available using COPY FROM")
	case !f.csv && f.forceNull != nil:
		return unsupported("COPY force null available only in CSV mode")
	case f.forceNull != nil && !from:
		return unsupported("COPY force null only available using COPY FROM")
	case strings.IndexByte(f.null, f.delimiter) >= 0:
		return unsupported("COPY delimiter must not appear in the NULL specification")
	case f.csv && strings.IndexByte(f.null, f.quote) >= 0:
		return unsupported("CSV quote character must not appear in the NULL specification")
	}
	return nil
}

func (f *copyFormat) resolve(t *catalog.Table, columns []*catalog.Column) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return f.resolveNames(names, t)
}

// resolveNames finds the columns of FORCE_QUOTE and its like; t is nil for a
// query.
func (f *copyFormat) resolveNames(names []string, t *catalog.Table) error {
	find := func(what string, list []string) ([]bool, error) {
		if list == nil {
			return nil, nil
		}
		marks := make([]bool, len(names))
		for _, name := range list {
			i := slices.Index(names, name)
			switch {
			case i >= 0:
			case t == nil:
				return nil, pgerror.Newf(pgerror.UndefinedColumn, "column \"%s\" does not exist", name)
			case t.ColumnNamed(name) == nil:
				return nil, catalog.UndefinedColumn(t, name)
			default:
				return nil, pgerror.Newf(pgerror.InvalidColumnReference, "%s column \"%s\" not referenced by COPY", what, name)
			}
			marks[i] = true
		}
		return marks, nil
	}
	var err error
	if f.quotedColumns, err = find("FORCE_QUOTE", f.forceQuote); err != nil {
		return err
	}
	if f.notNullColumns, err = find("FORCE_NOT_NULL", f.forceNotNull); err != nil {
		return err
	}
	f.nullIfColumns, err = find("FORCE_NULL", f.forceNull)
	return err
}

func marked(list []bool, i int) bool { return i < len(list) && list[i] }

// copyField is a field of a line.
type copyField struct {
	text   []byte
	null   bool // it is the null string, and was not quoted
	quoted bool
}

// isNull reports whether a field of a column is NULL.
func (f *copyFormat) isNull(field copyField, column int) bool {
	if field.null {
		return !marked(f.notNullColumns, column)
	}
	return field.quoted && marked(f.nullIfColumns, column) && string(field.text) == f.null
}

// copyScanner finds lines, and cuts them into fields. What it returns is
// valid until the next call.
type copyScanner struct {
	line []byte // without its end
	end  bool   // the line is \.
	// position and quoted are where the search for the line's end stands.
	position int
	inQuotes bool
	escaped  bool

	list   []copyField
	buffer []byte // unescaped text
}

func (s *copyScanner) reset() { s.position, s.inQuotes, s.escaped = 0, false, false }

// scan looks for the end of the line at the beginning of data and returns how
// many bytes it takes with its end; not complete: more data is needed.
func (s *copyScanner) scan(f *copyFormat, data []byte, last bool) (used int, complete bool, err error) {
	s.end = false
	stop := -1
	if !f.csv {
		for s.position < len(data) {
			i := bytes.IndexAny(data[s.position:], "\n\\")
			if i < 0 {
				s.position = len(data)
				break
			}
			i += s.position
			if data[i] == '\n' {
				stop = i
				break
			}
			if i+1 == len(data) {
				s.position = i
				break
			}
			s.position = i + 2 // a backslash takes what follows with it
		}
	} else {
		for ; s.position < len(data); s.position++ {
			c := data[s.position]
			switch {
			case s.escaped:
				s.escaped = false
			case s.inQuotes && c == f.escape && f.escape != f.quote:
				s.escaped = true
			case c == f.quote:
				s.inQuotes = !s.inQuotes
			case c == '\n' && !s.inQuotes:
				stop = s.position
			}
			if stop >= 0 {
				break
			}
		}
	}
	switch {
	case stop >= 0:
		used, s.line = stop+1, data[:stop]
	case !last:
		return 0, false, nil
	case len(data) == 0:
		return 0, false, nil
	case s.inQuotes:
		return 0, false, pgerror.New(pgerror.BadCopyFileFormat, "unterminated CSV quoted field")
	default:
		used, s.line = len(data), data
	}
	if n := len(s.line); n > 0 && s.line[n-1] == '\r' {
		s.line = s.line[:n-1]
	}
	s.end = string(s.line) == `\.`
	return used, true, nil
}

// fields cuts the line that scan found.
func (s *copyScanner) fields(f *copyFormat) ([]copyField, error) {
	s.list, s.buffer = s.list[:0], s.buffer[:0]
	if cap(s.buffer) < len(s.line) {
		// Fields point into the buffer: it must not move.
		s.buffer = make([]byte, 0, 2*len(s.line))
	}
	if f.csv {
		return s.csvFields(f)
	}
	line := s.line
	for {
		end := bytes.IndexByte(line, f.delimiter)
		if i := bytes.IndexByte(line, '\\'); i >= 0 && (end < 0 || i < end) {
			end = s.escapedField(f, line)
		} else {
			if end < 0 {
				end = len(line)
			}
			s.list = append(s.list, copyField{text: line[:end], null: string(line[:end]) == f.null})
		}
		if end >= len(line) {
			return s.list, nil
		}
		line = line[end+1:]
	}
}

// escapedField reads a field with backslashes and returns where it ends.
func (s *copyScanner) escapedField(f *copyFormat, line []byte) int {
	begin := len(s.buffer)
	i := 0
	for i < len(line) && line[i] != f.delimiter {
		c := line[i]
		i++
		if c != '\\' || i == len(line) {
			s.buffer = append(s.buffer, c)
			continue
		}
		c = line[i]
		i++
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := int(c - '0')
			for n := 0; n < 2 && i < len(line) && line[i] >= '0' && line[i] <= '7'; n++ {
				v = v*8 + int(line[i]-'0')
				i++
			}
			c = byte(v)
		case 'x':
			v, n := 0, 0
			for n < 2 && i+n < len(line) {
				d := hexDigit(line[i+n])
				if d < 0 {
					break
				}
				v = v*16 + d
				n++
			}
			if n > 0 {
				c = byte(v)
				i += n
			}
		}
		s.buffer = append(s.buffer, c)
	}
	// The null string is compared before backslashes are read.
	s.list = append(s.list, copyField{text: s.buffer[begin:len(s.buffer):len(s.buffer)], null: string(line[:i]) == f.null})
	return i
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func (s *copyScanner) csvFields(f *copyFormat) ([]copyField, error) {
	line := s.line
	i := 0
	for {
		begin, quoted, inQuotes, from := len(s.buffer), false, false, i
		for i < len(line) {
			c := line[i]
			switch {
			case inQuotes && c == f.escape && i+1 < len(line) && (line[i+1] == f.quote || line[i+1] == f.escape):
				s.buffer = append(s.buffer, line[i+1])
				i += 2
				continue
			case c == f.quote:
				inQuotes = !inQuotes
				quoted = true
				i++
				continue
			case c == f.delimiter && !inQuotes:
			default:
				s.buffer = append(s.buffer, c)
				i++
				continue
			}
			break
		}
		if inQuotes {
			return nil, pgerror.New(pgerror.BadCopyFileFormat, "unterminated CSV quoted field")
		}
		text := s.buffer[begin:len(s.buffer):len(s.buffer)]
		s.list = append(s.list, copyField{text: text, null: !quoted && string(line[from:i]) == f.null, quoted: quoted})
		if i >= len(line) {
			return s.list, nil
		}
		i++
	}
}

// appendField appends a field of COPY TO, after its delimiter.
func (f *copyFormat) appendField(row, value []byte, column int, null bool, columns int) []byte {
	if column > 0 {
		row = append(row, f.delimiter)
	}
	switch {
	case null:
		return append(row, f.null...)
	case f.csv:
		return f.appendCSV(row, value, column, columns)
	default:
		return f.appendEscaped(row, value)
	}
}

func (f *copyFormat) appendEscaped(row, value []byte) []byte {
	for _, c := range value {
		switch c {
		case '\\':
			row = append(row, '\\', '\\')
		case '\b':
			row = append(row, '\\', 'b')
		case '\f':
			row = append(row, '\\', 'f')
		case '\n':
			row = append(row, '\\', 'n')
		case '\r':
			row = append(row, '\\', 'r')
		case '\t':
			row = append(row, '\\', 't')
		case '\v':
			row = append(row, '\\', 'v')
		case f.delimiter:
			row = append(row, '\\', c)
		default:
			row = append(row, c)
		}
	}
	return row
}

func (f *copyFormat) appendCSV(row, value []byte, column, columns int) []byte {
	quote := f.forceQuoteAll || marked(f.quotedColumns, column) || string(value) == f.null || columns == 1 && string(value) == `\.`
	if !quote {
		for _, c := range value {
			if c == f.delimiter || c == f.quote || c == '\n' || c == '\r' {
				quote = true
				break
			}
		}
	}
	if !quote {
		return append(row, value...)
	}
	row = append(row, f.quote)
	for _, c := range value {
		if c == f.quote || c == f.escape {
			row = append(row, f.escape)
		}
		row = append(row, c)
	}
	return append(row, f.quote)
}
