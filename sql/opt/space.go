package opt

import (
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// place is the clause that an expression stands in, as errors name it, and what
// may be called there.
type place struct {
	name                      string
	aggregates, windows, sets bool
}

var (
	placeSelect    = place{"SELECT", true, true, true}
	placeOrderBy   = place{"ORDER BY", true, true, true}
	placeDistinct  = place{"DISTINCT ON", true, true, true}
	placeGroupBy   = place{"GROUP BY", false, false, true}
	placeHaving    = place{"HAVING", true, false, false}
	placeWhere     = place{"WHERE", false, false, false}
	placeJoin      = place{"JOIN conditions", false, false, false}
	placeFrom      = place{"functions in FROM", false, false, true}
	placeFilter    = place{"FILTER", false, false, false}
	placeLimit     = place{"LIMIT", false, false, false}
	placeOffset    = place{"OFFSET", false, false, false}
	placeValues    = place{"VALUES", false, false, true}
	placeReturning = place{"RETURNING", false, false, false}
	placeUpdate    = place{"UPDATE", false, false, false}
	placePartition = place{"window definitions", true, false, false}
)

// space is what names mean at one query level.
type space struct {
	parent    *space
	relations []*relation
	// mentioned are all relations of FROM in the order of the text, also those
	// that names can't reach: for the hints of errors.
	mentioned []*relation
	common    *commonScope
	place     place
	// top: the level of the whole statement, or of a WITH at its top.
	top bool
	// aggregates, windows and sets are the calls met so far; their results stand
	// for them in the expressions.
	aggregates []*aggregateCall
	windows    []*windowCall
	sets       []*setCall
	// named are the windows of the WINDOW clause.
	named []*parser.Window
	// insideAggregate and insideWindow: within such a call's arguments.
	insideAggregate, insideWindow bool
	// groupings are GROUPING(…) calls, which need the grouping sets.
	groupings []*groupingCall
	// catalogTable is the table whose expression is bound by itself.
	catalogTable *catalog.Table
	// lateralActive: what is being bound may refer to relations that are
	// lateralOnly.
	lateralActive bool
}

// relation is what an item of FROM brings into view.
type relation struct {
	name string // the alias, or the table's own name
	// schema is the table's; "" where an alias hides it.
	schema  string
	table   *catalog.Table
	columns []relationColumn
	// The visibility of the name and of the columns without it.
	nameVisible, columnsVisible bool
	// lateralOnly: it may be seen by LATERAL items only, and lateralAllowed says
	// whether they may refer to it.
	lateralOnly, lateralAllowed bool
	// scalar: a function that returns no row type: the whole row is its value.
	scalar bool
	// nullable: on the nullable side of an outer join.
	nullable bool
	// scan reads the table; nil for what has no rows of its own to lock.
	scan *Scan
	// query: a subquery or view.
	query bool
	// recursive: what a recursive query reads of itself.
	recursive bool
}

// relationColumn is a column of a relation.
type relationColumn struct {
	name   string
	value  Scalar
	hidden bool // not in *
}

func (s *space) within(p place, f func() error) error {
	before := s.place
	s.place = p
	err := f()
	s.place = before
	return err
}

// columnByName finds a column by its name alone, in s or an outer level.
func (b *binder) columnByName(s *space, name string, at parser.Position) (Scalar, *relation, error) {
	for level := s; level != nil; level = level.parent {
		var found Scalar
		var from *relation
		for _, r := range level.relations {
			if !r.columnsVisible {
				continue
			}
			if r.lateralOnly && !level.lateralActive {
				continue
			}
			v, ok := r.column(name)
			if ok == 0 {
				continue
			}
			if r.lateralOnly && !r.lateralAllowed {
				return nil, nil, b.badLateral(r, at)
			}
			if ok > 1 || found != nil {
				return nil, nil, b.fail(at, pgerror.AmbiguousColumn, "column reference %q is ambiguous", name)
			}
			found, from = v, r
		}
		if found != nil {
			return found, from, nil
		}
	}
	return nil, nil, nil
}

// column returns the column with a name and how many there are.
func (r *relation) column(name string) (Scalar, int) {
	var found Scalar
	n := 0
	for i := range r.columns {
		if r.columns[i].name == name {
			found = r.columns[i].value
			n++
		}
	}
	return found, n
}

// relationNamed finds a relation by its (qualified) name.
func (b *binder) relationNamed(s *space, schema, name string, at parser.Position) (*relation, error) {
	for level := s; level != nil; level = level.parent {
		var found *relation
		for _, r := range level.relations {
			if !r.nameVisible || r.name != name || schema != "" && r.schema != schema {
				continue
			}
			if r.lateralOnly && !level.lateralActive {
				continue
			}
			if r.lateralOnly && !r.lateralAllowed {
				return nil, b.badLateral(r, at)
			}
			if found != nil {
				return nil, b.fail(at, pgerror.AmbiguousAlias, "table reference %q is ambiguous", name)
			}
			found = r
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, nil
}

func (b *binder) badLateral(r *relation, at parser.Position) error {
	return b.fail(at, pgerror.InvalidColumnReference, "invalid reference to FROM-clause entry for table %q", r.name).
		WithDetail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
}

// columnReference binds a name.
func (b *binder) columnReference(s *space, e *parser.ColumnReference) (Scalar, error) {
	if e.Star {
		return b.starReference(s, e)
	}
	names := e.Names
	if s.catalogTable != nil && len(names) == 2 && names[0] == s.catalogTable.Name {
		names = names[1:]
	}
	switch len(names) {
	case 1:
		v, r, err := b.columnByName(s, names[0], e.Position)
		if err != nil {
			return nil, err
		}
		if v != nil {
			return b.positionedVariable(v, r, e.Position), nil
		}
		// The name may be a relation: then it is the whole row.
		r, err = b.relationNamed(s, "", names[0], e.Position)
		if err != nil {
			return nil, err
		}
		if r != nil {
			return b.wholeRow(r), nil
		}
		if v := systemColumn(b, s, "", names[0]); v != nil {
			return v, nil
		}
		return nil, b.unknownColumn(s, "", names[0], e.Position)
	case 2:
		return b.qualifiedColumn(s, "", names[0], names[1], e)
	case 3:
		return b.qualifiedColumn(s, names[0], names[1], names[2], e)
	case 4:
		if d := b.c.Resolver.CurrentDatabase(); d != nil && d.Name != names[0] {
			return nil, b.fail(e.Position, pgerror.FeatureNotSupported, "cross-database references are not implemented: %s", strings.Join(names, "."))
		}
		return b.qualifiedColumn(s, names[1], names[2], names[3], e)
	}
	return nil, b.fail(e.Position, pgerror.Syntax, "improper qualified name (too many dotted names): %s", strings.Join(names, "."))
}

// starReference is relation.* where one value is wanted: the whole row.
func (b *binder) starReference(s *space, e *parser.ColumnReference) (Scalar, error) {
	if len(e.Names) == 0 {
		return nil, b.fail(e.Position, pgerror.Syntax, "row expansion via \"*\" is not supported here")
	}
	schema, name := "", e.Names[len(e.Names)-1]
	if len(e.Names) > 1 {
		schema = e.Names[len(e.Names)-2]
	}
	r, err := b.relationNamed(s, schema, name, e.Position)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, b.missingFrom(s, schema, name, e.Position)
	}
	return b.wholeRow(r), nil
}

func (b *binder) qualifiedColumn(s *space, schema, table, column string, e *parser.ColumnReference) (Scalar, error) {
	r, err := b.relationNamed(s, schema, table, e.Position)
	if err != nil {
		return nil, err
	}
	if r == nil {
		// table.column may be a column of a row type, with its field.
		return nil, b.missingFrom(s, schema, table, e.Position)
	}
	v, n := r.column(column)
	switch {
	case n > 1:
		return nil, b.fail(e.Position, pgerror.AmbiguousColumn, "column reference %q is ambiguous", column)
	case n == 1:
		return b.positionedVariable(v, r, e.Position), nil
	}
	if v := systemColumn(b, s, table, column); v != nil {
		return v, nil
	}
	if column == table && r.scalar {
		return b.wholeRow(r), nil
	}
	return nil, b.unknownColumn(s, table, column, e.Position)
}

// systemColumn binds tableoid, the one system column there is.
func systemColumn(_ *binder, s *space, table, name string) Scalar {
	if name != "tableoid" {
		return nil
	}
	for level := s; level != nil; level = level.parent {
		for _, r := range level.relations {
			if r.table != nil && (table == "" || r.name == table) {
				return &Constant{Value: types.Int(int64(r.table.ID)), T: types.OIDType}
			}
		}
	}
	return nil
}

// positionedVariable gives a column's reference its place in the text.
func (b *binder) positionedVariable(v Scalar, r *relation, at parser.Position) Scalar {
	x, ok := v.(*Variable)
	if !ok {
		return v
	}
	if label := &b.labels[x.ID-1]; r != nil && label.relation == "" {
		label.relation = r.name
	}
	return &Variable{ID: x.ID, T: x.T, Position: b.at(at)}
}

// wholeRow is the row of a relation as one value.
func (b *binder) wholeRow(r *relation) Scalar {
	var fields []types.Field
	var values []Scalar
	for _, c := range r.columns {
		if !c.hidden {
			fields = append(fields, types.Field{Name: c.name, Type: c.value.Type()})
			values = append(values, c.value)
		}
	}
	if r.scalar && len(values) == 1 {
		return values[0]
	}
	return &RowOf{Fields: values, T: rowType(fields)}
}

// rowType is the anonymous row type with some fields.
func rowType(fields []types.Field) *types.T {
	t := *types.Record
	t.Fields = fields
	return &t
}

// missingFrom is the error for a table that FROM doesn't have.
func (b *binder) missingFrom(s *space, schema, table string, at parser.Position) error {
	for level := s; level != nil; level = level.parent {
		for _, r := range level.everyRelation() {
			if r.table != nil && r.table.Name == table && r.name != table {
				if found, err := b.relationNamed(s, "", r.name, at); err == nil && found == r {
					return b.fail(at, pgerror.UndefinedTable, "invalid reference to FROM-clause entry for table %q", table).
						WithHint("Perhaps you meant to reference the table alias %q.", r.name)
				}
			}
			if r.name == table || r.table != nil && r.table.Name == table {
				return b.fail(at, pgerror.UndefinedTable, "invalid reference to FROM-clause entry for table %q", table).
					WithHint("There is an entry for table %q, but it cannot be referenced from this part of the query.", r.name)
			}
		}
	}
	if schema != "" {
		table = schema + "." + table
	}
	return b.fail(at, pgerror.UndefinedTable, "missing FROM-clause entry for table %q", table)
}

// everyRelation returns what the level mentions: a written table first.
func (s *space) everyRelation() []*relation {
	var all []*relation
	for _, r := range s.relations {
		if r.name != "" && !slices.Contains(s.mentioned, r) {
			all = append(all, r)
		}
	}
	return append(all, s.mentioned...)
}

// maxFuzzyDistance is how far a name may be from a written one to be hinted at.
const maxFuzzyDistance = 3

// unknownColumn is the error for a column that isn't there, with a hint at one
// of that name out of reach, or at one or two of similar names.
func (b *binder) unknownColumn(s *space, table, column string, at parser.Position) error {
	var err *pgerror.Error
	if table == "" {
		err = b.fail(at, pgerror.UndefinedColumn, "column %q does not exist", column)
	} else {
		err = b.fail(at, pgerror.UndefinedColumn, "column %s.%s does not exist", table, column)
	}
	first, second, bestDistance := "", "", maxFuzzyDistance+1
	for level := s; level != nil; level = level.parent {
		for _, r := range level.everyRelation() {
			penalty := 0
			if table != "" {
				penalty = editDistance(table, r.name, maxFuzzyDistance+1)
			}
			for _, c := range r.columns {
				if c.name == column && penalty == 0 {
					return err.WithHint("There is a column named %q in table %q, but it cannot be referenced from this part of the query.", column, r.name)
				}
				if c.hidden || penalty > bestDistance {
					continue
				}
				d := editDistance(c.name, column, bestDistance+1-penalty)
				if d > len(column)/2 {
					continue
				}
				qualified := r.name + "." + c.name
				switch d += penalty; {
				case d < bestDistance:
					first, second, bestDistance = qualified, "", d
				case d > bestDistance:
				case second != "":
					first, second, bestDistance = "", "", d-1 // too many to choose from
				case first != "":
					second = qualified
				default:
					first = qualified
				}
			}
		}
	}
	switch {
	case second != "":
		return err.WithHint("Perhaps you meant to reference the column %q or the column %q.", first, second)
	case first != "":
		return err.WithHint("Perhaps you meant to reference the column %q.", first)
	}
	return err
}

// editDistance is Levenshtein's distance between two names, at most limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return min(row[len(b)], limit)
}

// addRelations brings relations into view; two of the same name are an error.
func (b *binder) addRelations(s *space, added []*relation) error {
	for _, r := range added {
		if !r.nameVisible || r.name == "" {
			continue
		}
		for _, o := range s.relations {
			if o.nameVisible && o.name == r.name && (r.table == nil || o.table == nil || r.schema == o.schema) {
				return pgerror.Newf(pgerror.DuplicateAlias, "table name %q specified more than once", r.name)
			}
		}
	}
	s.relations = append(s.relations, added...)
	return nil
}

// star expands * or relation.* into columns.
func (b *binder) star(s *space, e *parser.ColumnReference) ([]queryColumn, []*relation, error) {
	var columns []queryColumn
	var from []*relation
	add := func(r *relation) {
		for _, c := range r.columns {
			if !c.hidden {
				columns = append(columns, queryColumn{name: c.name, value: b.positionedVariable(c.value, r, e.Position), position: e.Position})
				from = append(from, r)
			}
		}
	}
	if len(e.Names) == 0 {
		found := false
		for _, r := range s.relations {
			if r.columnsVisible && !r.lateralOnly {
				found = true
				add(r)
			}
		}
		if !found {
			return nil, nil, b.fail(e.Position, pgerror.Syntax, "SELECT * with no tables specified is not valid")
		}
		return columns, from, nil
	}
	schema, table := "", e.Names[len(e.Names)-1]
	if len(e.Names) > 1 {
		schema = e.Names[len(e.Names)-2]
	}
	r, err := b.relationNamed(s, schema, table, e.Position)
	if err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, nil, b.missingFrom(s, schema, table, e.Position)
	}
	add(r)
	return columns, from, nil
}

// ownColumns are the columns that relations of this level yield.
func (s *space) owns(b *binder, id ColumnID) bool { return b.labels[id-1].space == s }

// levelOf returns the innermost level that the columns belong to, nil if there
// are none of the levels around s.
func (b *binder) levelOf(s *space, columns columnSet) *space {
	ids := columns.ids()
	for level := s; level != nil; level = level.parent {
		if slices.ContainsFunc(ids, func(id ColumnID) bool { return level.owns(b, id) }) {
			return level
		}
	}
	return nil
}
