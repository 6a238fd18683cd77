package schemachange

import (
	"context"
	"math"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

// systemColumns are PostgreSQL's, which no column may be named like.
var systemColumns = []string{"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}

// newColumn appends a column to the table. The pointer is valid until the next
// column is added.
func (c *tableChange) newColumn(name string, t *types.T, at parser.Position) (*catalog.Column, error) {
	table := c.table
	if slices.Contains(systemColumns, name) {
		return nil, c.env.at(pgerror.Newf(pgerror.DuplicateColumn, "column name %q conflicts with a system column name", name), at)
	}
	if old := table.ColumnNamed(name); old != nil {
		if old.Hidden {
			c.renameRowID(old)
		} else if c.isNew {
			return nil, pgerror.Newf(pgerror.DuplicateColumn, "column %q specified more than once", name)
		} else {
			return nil, pgerror.Newf(pgerror.DuplicateColumn, "column %q of relation %q already exists", name, table.Name)
		}
	}
	if len(table.VisibleColumns()) >= maxColumns {
		return nil, pgerror.Newf(pgerror.TooManyColumns, "tables can have at most %d columns", maxColumns)
	}
	table.Columns = append(table.Columns, catalog.Column{ID: table.NextColumn, Name: name, Type: t})
	table.NextColumn++
	return &table.Columns[len(table.Columns)-1], nil
}

// renameRowID makes room for a user's column of the hidden one's name.
func (c *tableChange) renameRowID(hidden *catalog.Column) {
	for name := hidden.Name + "_"; ; name += "_" {
		if c.table.ColumnNamed(name) == nil {
			hidden.Name = name
			return
		}
	}
}

// addColumn adds a column as written, and what its constraints ask for.
func (c *tableChange) addColumn(ctx context.Context, d *parser.ColumnDefinition) error {
	env := c.env
	if d.Type == nil {
		return env.at(pgerror.Unsupported("a column without a type"), d.Position)
	}
	if len(d.Options) > 0 {
		return env.at(pgerror.Unsupported("column options"), d.Position)
	}
	serial := serialOf(d.Type)
	t := serial
	if serial == nil {
		var err error
		if t, err = env.columnType(d.Type, d.Name); err != nil {
			return err
		}
	} else if d.Type.ArrayDepth > 0 {
		return env.at(pgerror.New(pgerror.FeatureNotSupported, "array of serial is not implemented"), d.Type.Position)
	}
	if err := env.checkCollation(d.Collation, t); err != nil {
		return env.at(err, d.Position)
	}
	column, err := c.newColumn(d.Name, t, d.Position)
	if err != nil {
		return err
	}
	id := column.ID
	if serial != nil {
		column.NotNull = true
		if err := c.addSequence(ctx, column, nil, false); err != nil {
			return err
		}
	}
	flags := columnFlags{serial: serial != nil, nullable: serial != nil}
	for _, k := range d.Constraints {
		if err := c.columnConstraint(ctx, c.table.Column(id), k, &flags); err != nil {
			return err
		}
	}
	return nil
}

// columnFlags are what a column's constraints said so far.
type columnFlags struct {
	serial                       bool
	nullable                     bool // NULL or NOT NULL was said
	hasDefault, hasGen, identity bool
}

func (c *tableChange) columnConstraint(ctx context.Context, column *catalog.Column, k *parser.Constraint, flags *columnFlags) error {
	env, name := c.env, column.Name
	fail := func(format string, args ...any) error {
		return env.at(pgerror.Newf(pgerror.Syntax, format, args...), k.Position)
	}
	conflict := func() error {
		switch {
		case flags.hasDefault && flags.identity:
			return fail("both default and identity specified for column %q of table %q", name, c.table.Name)
		case flags.hasDefault && flags.hasGen:
			return fail("both default and generation expression specified for column %q of table %q", name, c.table.Name)
		case flags.identity && flags.hasGen:
			return fail("both identity and generation expression specified for column %q of table %q", name, c.table.Name)
		}
		return nil
	}
	switch k.Kind {
	case parser.NullAllowed:
		if column.NotNull {
			return fail("conflicting NULL/NOT NULL declarations for column %q of table %q", name, c.table.Name)
		}
		flags.nullable = true
	case parser.NotNull:
		if flags.nullable && !column.NotNull {
			return fail("conflicting NULL/NOT NULL declarations for column %q of table %q", name, c.table.Name)
		}
		column.NotNull, flags.nullable = true, true
	case parser.DefaultValue:
		if flags.hasDefault || flags.serial {
			return fail("multiple default values specified for column %q of table %q", name, c.table.Name)
		}
		flags.hasDefault = true
		c.defaults = append(c.defaults, pendingExpression{column.ID, k.Expression})
		return conflict()
	case parser.Identity:
		if flags.identity {
			return fail("multiple identity specifications for column %q of table %q", name, c.table.Name)
		}
		if flags.serial {
			return fail("both default and identity specified for column %q of table %q", name, c.table.Name)
		}
		if flags.nullable && !column.NotNull {
			return fail("conflicting NULL/NOT NULL declarations for column %q of table %q", name, c.table.Name)
		}
		flags.identity, flags.nullable = true, true
		if err := conflict(); err != nil {
			return err
		}
		return c.makeIdentity(ctx, column, k)
	case parser.Generated:
		if flags.hasGen {
			return fail("multiple generation clauses specified for column %q of table %q", name, c.table.Name)
		}
		flags.hasGen = true
		c.generated = append(c.generated, pendingExpression{column.ID, k.Expression})
		return conflict()
	case parser.Check:
		c.checks = append(c.checks, pendingCheck{constraint: k, column: name})
		return refuseCheckClauses(env, k)
	case parser.PrimaryKey, parser.Unique, parser.ForeignKey:
		n := *k
		n.Columns = []string{name}
		return c.addConstraint(&n)
	default:
		return env.at(pgerror.Unsupported("this column constraint"), k.Position)
	}
	return nil
}

// makeIdentity makes a column an identity column.
func (c *tableChange) makeIdentity(ctx context.Context, column *catalog.Column, k *parser.Constraint) error {
	switch column.Type.OID {
	case types.Int2.OID, types.Int4.OID, types.Int8.OID:
	default:
		return pgerror.New(pgerror.InvalidParameterValue, "identity column type must be smallint, integer, or bigint")
	}
	column.NotNull = true
	column.Identity = catalog.IdentityByDefault
	if k.Always {
		column.Identity = catalog.IdentityAlways
	}
	return c.addSequence(ctx, column, k.Options, true)
}

// addSequence makes the sequence behind a serial or identity column.
func (c *tableChange) addSequence(ctx context.Context, column *catalog.Column, options []parser.SequenceOption, identity bool) error {
	id, err := c.env.Catalog.NewID(ctx)
	if err != nil {
		return err
	}
	q := &catalog.Sequence{
		Header: catalog.Header{ID: id, Owner: c.table.Owner}, Schema: c.table.Schema, Database: c.table.Database,
		Type: column.Type, OwnerTable: c.table.ID, OwnerColumn: column.ID, Identity: identity,
	}
	for _, o := range options {
		if o.Kind == parser.SequenceName && len(o.Names) > 0 {
			q.Name = o.Names[len(o.Names)-1]
		}
	}
	if q.Name == "" {
		if q.Name, err = c.names.relation(ctx, c.table.Name, column.Name, "seq", false); err != nil {
			return err
		}
	} else {
		c.names.relations[q.Name] = true
	}
	if err := c.env.sequenceOptions(q, options, true); err != nil {
		return err
	}
	column.OwnedSequence = id
	column.Default = DefaultSequenceText(c.schema, q)
	c.sequences = append(c.sequences, q)
	return nil
}

// DefaultSequenceText is the default of a serial or identity column, as it is
// stored.
func DefaultSequenceText(schema *catalog.Schema, q *catalog.Sequence) string {
	return "nextval(" + quoteLiteral(quote(schema.Name)+"."+quote(q.Name)) + "::regclass)"
}

// checkCollation lets the collations pass that Cairn's own equals.
func (env *Env) checkCollation(names []string, t *types.T) error {
	if len(names) == 0 {
		return nil
	}
	if t.Category != 'S' && (t.Elem == nil || t.Elem.Category != 'S') {
		return pgerror.Newf(pgerror.DatatypeMismatch, "collations are not supported by type %s", t.String())
	}
	switch name := names[len(names)-1]; name {
	case "C", "POSIX", "default", "ucs_basic":
		return nil
	default:
		return pgerror.Unsupported("collation \"" + name + "\"")
	}
}

// requireIndexable fails for a column whose type has no order.
func (env *Env) requireIndexable(column *catalog.Column) error { return rowenc.CanBeKey(column.Type) }

// bindDefaults binds the defaults and generation expressions of new columns.
func (c *tableChange) bindDefaults(ctx context.Context) error {
	for _, p := range c.defaults {
		column := c.table.Column(p.column)
		text, err := c.env.bindDefault(ctx, c.table, column, p.expression)
		if err != nil {
			return err
		}
		column.Default = text
	}
	for _, p := range c.generated {
		column := c.table.Column(p.column)
		b, err := c.env.bindExpression(ctx, c.table, p.expression, column.Type, "column generation expressions")
		if err != nil {
			return err
		}
		for _, id := range b.columns {
			if used := c.table.Column(id); used.Generated != "" || slices.ContainsFunc(c.generated, func(g pendingExpression) bool { return g.column == id }) {
				return c.env.at(pgerror.Newf(pgerror.InvalidObjectDefinition, "cannot use generated column %q in column generation expression", used.Name).
					WithDetail("A generated column cannot reference another generated column."), p.expression.At())
			}
		}
		if v := volatility(b.scalar); v != 'i' {
			return pgerror.New(pgerror.InvalidObjectDefinition, "generation expression is not immutable")
		}
		column.Generated = b.text
	}
	c.defaults, c.generated = nil, nil
	return nil
}

// bindDefault returns the text to store of a column's default; "" for NULL.
func (env *Env) bindDefault(ctx context.Context, table *catalog.Table, column *catalog.Column, e parser.Expression) (string, error) {
	if text, ok, err := env.sequenceDefault(ctx, table, column, e); err != nil || ok {
		return text, err
	}
	b, err := env.bindExpression(ctx, table, e, column.Type, "DEFAULT expressions")
	if err != nil {
		if pgerror.Code(err) == pgerror.DatatypeMismatch {
			if pe, ok := err.(*pgerror.Error); ok && pe.Column == "" {
				pe.Column = column.Name
			}
		}
		return "", err
	}
	if k, ok := e.(*parser.Constant); ok && k.Kind == parser.NullConstant {
		return "", nil
	}
	return b.text, nil
}

// sequenceDefault recognizes nextval('name'), so that the stored text has the
// sequence's full name whatever the search path is, and notes the dependency.
func (env *Env) sequenceDefault(ctx context.Context, table *catalog.Table, column *catalog.Column, e parser.Expression) (string, bool, error) {
	call, ok := e.(*parser.Call)
	if !ok || call.Names[len(call.Names)-1] != "nextval" || len(call.Arguments) != 1 || len(call.Names) > 2 {
		return "", false, nil
	}
	switch column.Type.Family {
	case types.IntFamily:
	default:
		return "", false, nil
	}
	argument := call.Arguments[0]
	if cast, ok := argument.(*parser.Cast); ok {
		if cast.Type.Names[len(cast.Type.Names)-1] != "regclass" {
			return "", false, nil
		}
		argument = cast.Argument
	}
	k, ok := argument.(*parser.Constant)
	if !ok || k.Kind != parser.StringConstant {
		return "", false, nil
	}
	names := splitIdentifier(k.Text)
	if len(names) == 0 || len(names) > 2 {
		return "", false, nil
	}
	name := catalog.Name{Object: names[len(names)-1]}
	if len(names) == 2 {
		name.Schema = names[0]
	}
	r, err := env.Catalog.Relation(ctx, name)
	if err != nil {
		return "", false, err
	}
	q, ok := r.(*catalog.Sequence)
	if !ok {
		return "", false, nil // binding says what is wrong
	}
	schema, err := env.Catalog.SchemaByID(ctx, q.Schema)
	if err != nil {
		return "", false, err
	}
	if q.OwnerTable != table.ID && !slices.Contains(q.Dependents, table.ID) {
		n := catalog.Clone(q)
		n.Dependents = append(n.Dependents, table.ID)
		if err := env.Catalog.Write(ctx, n); err != nil {
			return "", false, err
		}
	}
	text := DefaultSequenceText(schema, q)
	if column.Type.OID == types.Int8.OID || column.Type.OID == types.Int4.OID || column.Type.OID == types.Int2.OID {
		return text, true, nil
	}
	return text, false, nil
}

// splitIdentifier splits a possibly quoted and qualified name.
func splitIdentifier(s string) (names []string) {
	for {
		var name []byte
		if s != "" && s[0] == '"' {
			i := 1
			for ; i < len(s); i++ {
				if s[i] == '"' {
					if i+1 < len(s) && s[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				name = append(name, s[i])
			}
			if i >= len(s) {
				return nil
			}
			s = s[i+1:]
		} else {
			i := 0
			for i < len(s) && s[i] != '.' {
				ch := s[i]
				if ch >= 'A' && ch <= 'Z' {
					ch += 'a' - 'A'
				}
				name = append(name, ch)
				i++
			}
			s = s[i:]
		}
		if len(name) == 0 {
			return nil
		}
		names = append(names, string(name))
		if s == "" {
			return names
		}
		if s[0] != '.' {
			return nil
		}
		s = s[1:]
	}
}

// bounds are the smallest and largest value of an integer type.
func bounds(t *types.T) (low, high int64) {
	switch t.OID {
	case types.Int2.OID:
		return math.MinInt16, math.MaxInt16
	case types.Int4.OID:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}
