package opt

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// binder resolves the names and types of one statement.
type binder struct {
	c     *Context
	ctx   context.Context
	types *types.Context
	// text is what positions refer to; empty while text of the catalog is bound.
	text     string
	metadata []ColumnMetadata
	// labels say, for each of metadata, where the column belongs.
	labels []columnLabel
	// parameters are the types of $1, $2, …, nil as long as they are not known.
	parameters []*types.T
	settings   []string
	// uncacheable: the plan holds for this moment or transaction only.
	uncacheable bool
	// writes: the statement changes or locks rows.
	writes bool
	// keep leaves expressions as they are written: for deparsing.
	keep bool
	// around is what stands around what is being bound.
	around surroundings
	// subqueryAt is where the last subquery of an expression stood.
	subqueryAt parser.Position
	// later are the tables of WITH clauses that are still to come.
	later []*parser.CommonTable
	// viewDepth counts the views being expanded.
	viewDepth int
	// estimates are the tables that the statement reads, for what is known of
	// their sizes.
	estimates map[catalog.ID]*catalog.Table
	// trace, if set, keeps what DeparseQuery needs.
	trace *trace
}

// columnLabel is what error messages and the rules of grouping need of a column.
type columnLabel struct {
	space *space // the query level that the column belongs to
	// relation and column are its name in that query.
	relation, column string
	// aggregate and window tell the results of such functions.
	aggregate, window bool
}

func newBinder(c *Context) *binder {
	b := &binder{c: c, ctx: c.Ctx, types: c.Types, text: c.Text}
	if b.ctx == nil {
		b.ctx = context.Background()
	}
	if b.types == nil {
		b.types = &types.Context{Ctx: b.ctx}
	}
	b.parameters = slices.Clone(c.ParameterTypes)
	for i, t := range b.parameters {
		if t != nil && t.OID == types.UnknownOID {
			b.parameters[i] = nil
		}
	}
	return b
}

// at turns a place in the text to an error's position.
func (b *binder) at(p parser.Position) int32 {
	if b.text == "" {
		return 0
	}
	return parser.Character(b.text, p)
}

func (b *binder) fail(p parser.Position, code, format string, args ...any) *pgerror.Error {
	return pgerror.Newf(code, format, args...).WithPosition(b.at(p))
}

func (b *binder) unsupported(p parser.Position, feature string) error {
	return pgerror.Unsupported(feature).WithPosition(b.at(p))
}

// positioned gives an error a position unless it has one.
func (b *binder) positioned(err error, p parser.Position) error {
	if e, ok := err.(*pgerror.Error); ok && e.Position == 0 {
		if at := b.at(p); at > 0 {
			c := *e
			c.Position = at
			return &c
		}
	}
	return err
}

func (b *binder) newColumn(name string, t *types.T, label columnLabel) ColumnID {
	b.metadata = append(b.metadata, ColumnMetadata{Name: name, Type: t})
	b.labels = append(b.labels, label)
	return ColumnID(len(b.metadata))
}

func (b *binder) typeOf(id ColumnID) *types.T { return b.metadata[id-1].Type }

func (b *binder) variable(id ColumnID) *Variable { return &Variable{ID: id, T: b.typeOf(id)} }

// sensitive notes that the plan depends on a setting.
func (b *binder) sensitive(setting string) {
	if !slices.Contains(b.settings, setting) {
		b.settings = append(b.settings, setting)
	}
}

// used notes that the plan depends on a descriptor.
func (b *binder) used(d catalog.Descriptor) {
	if d.Head().Uncommitted {
		b.uncacheable = true
	}
}

// buildStatement binds and plans a statement.
func buildStatement(c *Context, statement parser.Node) (*Plan, error) {
	b := newBinder(c)
	plan := &Plan{}
	var q *query
	var err error
	switch s := statement.(type) {
	case *parser.Insert:
		plan.Tag = TagInsert
		q, err = b.insert(nil, s)
	case *parser.Update:
		plan.Tag = TagUpdate
		q, err = b.update(nil, s)
	case *parser.Delete:
		plan.Tag = TagDelete
		q, err = b.delete(nil, s)
	case parser.Query:
		q, err = b.query(&space{place: placeSelect, top: true}, s, queryOptions{})
	default:
		return nil, pgerror.Unsupported("planning this kind of statement")
	}
	if err != nil {
		return nil, err
	}
	for _, k := range q.columns {
		column := ResultColumn{ID: k.id, Name: k.name, Type: b.typeOf(k.id)}
		if m := b.metadata[k.id-1]; m.Table != 0 {
			column.Table, column.Attribute = m.Table, m.Attribute
		}
		plan.Columns = append(plan.Columns, column)
	}
	if err := b.finish(plan, q.node); err != nil {
		return nil, err
	}
	return plan, nil
}

// finish checks the parameters, plans the tree and fills the plan's last fields.
func (b *binder) finish(plan *Plan, root Node) error {
	for i, t := range b.parameters {
		if t == nil {
			return pgerror.Newf(pgerror.IndeterminateDatatype, "could not determine data type of parameter $%d", i+1)
		}
	}
	wanted := make([]ColumnID, len(plan.Columns))
	for i, k := range plan.Columns {
		wanted[i] = k.ID
	}
	o := &optimizer{binder: b, joined: map[*Subquery]Scalar{}}
	plan.Root = o.optimize(root, wanted)
	plan.Parameters = b.parameters
	plan.Metadata = b.metadata
	plan.ReadOnly = !b.writes
	plan.Settings = b.settings
	if !b.uncacheable {
		plan.Epoch = b.c.Resolver.Epoch()
	}
	return nil
}

// query is a bound query: a tree and its columns in order.
type query struct {
	node    Node
	columns []queryColumn
	// tables are those of WITH at this level, already in node.
}

// queryColumn is a result column of a query.
type queryColumn struct {
	name string
	id   ColumnID
	// value is the expression that was projected, if there is one: a literal of
	// unknown type is taken from here by who gives it a type.
	value Scalar
	// position is where it stands in the text.
	position parser.Position
}

// queryOptions say how a query is used.
type queryOptions struct {
	// keepUnknown leaves literals of the select list without a type: the context
	// will give them one.
	keepUnknown bool
}

// emptyRow is the input of a SELECT without FROM.
func emptyRow() Node { return &Values{Rows: [][]Scalar{{}}} }
