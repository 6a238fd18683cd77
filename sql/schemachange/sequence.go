package schemachange

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func (env *Env) createSequence(ctx context.Context, s *parser.CreateSequence) error {
	if s.Temporary {
		return env.at(pgerror.Unsupported("CREATE TEMPORARY SEQUENCE"), s.Name.Position)
	}
	schema, err := env.creationSchema(ctx, s.Name)
	if err != nil {
		return err
	}
	exists, err := env.relationExists(ctx, schema, s.Name.Name)
	if err != nil {
		return err
	}
	if exists {
		if s.IfNotExists {
			env.notice(pgerror.DuplicateTable, "relation %q already exists, skipping", s.Name.Name)
			return nil
		}
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", s.Name.Name)
	}
	q := &catalog.Sequence{Header: catalog.Header{Name: s.Name.Name, Owner: env.User}, Schema: schema.ID, Database: env.Catalog.CurrentDatabase().ID, Type: types.Int8}
	if err := env.sequenceOptions(q, s.Options, false); err != nil {
		return err
	}
	if err := env.ownSequence(ctx, q, s.Options); err != nil {
		return err
	}
	return env.Catalog.Create(ctx, q)
}

// sequenceOptions sets the parameters of a new sequence. Those of identity
// columns have the column's type.
func (env *Env) sequenceOptions(q *catalog.Sequence, options []parser.SequenceOption, typed bool) error {
	q.Increment, q.Cache = 1, 1
	if typed {
		var kept []parser.SequenceOption
		for _, o := range options {
			if o.Kind == parser.SequenceType {
				return env.at(pgerror.New(pgerror.Syntax, "conflicting or redundant options"), o.Position)
			}
			kept = append(kept, o)
		}
		options = kept
	}
	return env.changeSequence(q, options, true)
}

// sequenceChange is what options ask of a sequence.
type sequenceChange struct {
	seen                                                         map[parser.SequenceOptionKind]bool
	start, increment, minimum, maximum, cache, cycle, restart, t *parser.SequenceOption
}

func (env *Env) readSequenceOptions(options []parser.SequenceOption) (sequenceChange, error) {
	c := sequenceChange{seen: map[parser.SequenceOptionKind]bool{}}
	for i := range options {
		o := &options[i]
		if c.seen[o.Kind] {
			return c, env.at(pgerror.New(pgerror.Syntax, "conflicting or redundant options"), o.Position)
		}
		c.seen[o.Kind] = true
		switch o.Kind {
		case parser.SequenceStart:
			c.start = o
		case parser.SequenceIncrement:
			c.increment = o
		case parser.SequenceMinValue:
			c.minimum = o
		case parser.SequenceMaxValue:
			c.maximum = o
		case parser.SequenceCache:
			c.cache = o
		case parser.SequenceCycle:
			c.cycle = o
		case parser.SequenceRestart:
			c.restart = o
		case parser.SequenceType:
			c.t = o
		}
	}
	return c, nil
}

// changeSequence applies options to a sequence, in the order and with the
// checks of PostgreSQL's init_params.
func (env *Env) changeSequence(q *catalog.Sequence, options []parser.SequenceOption, isNew bool) error {
	c, err := env.readSequenceOptions(options)
	if err != nil {
		return err
	}
	resetMin, resetMax, err := env.changeSequenceType(q, c.t, isNew)
	if err != nil {
		return err
	}
	if c.increment != nil {
		if c.increment.Value == 0 {
			return pgerror.New(pgerror.InvalidParameterValue, "INCREMENT must not be zero")
		}
		q.Increment = c.increment.Value
	}
	if c.cycle != nil {
		q.Cycle = !c.cycle.None
	}
	if err := changeSequenceBounds(q, c, isNew || resetMin, isNew || resetMax); err != nil {
		return err
	}
	switch {
	case c.start != nil:
		q.Start = c.start.Value
	case isNew && q.Increment > 0:
		q.Start = q.Min
	case isNew:
		q.Start = q.Max
	}
	if q.Start < q.Min {
		return pgerror.Newf(pgerror.InvalidParameterValue, "START value (%d) cannot be less than MINVALUE (%d)", q.Start, q.Min)
	}
	if q.Start > q.Max {
		return pgerror.Newf(pgerror.InvalidParameterValue, "START value (%d) cannot be greater than MAXVALUE (%d)", q.Start, q.Max)
	}
	if c.cache != nil {
		if c.cache.Value <= 0 {
			return pgerror.Newf(pgerror.InvalidParameterValue, "CACHE (%d) must be greater than zero", c.cache.Value)
		}
		q.Cache = c.cache.Value
	}
	if isNew {
		q.Base = q.Start - q.Increment
		return nil
	}
	if c.restart != nil {
		value := q.Start
		if !c.restart.None {
			value = c.restart.Value
		}
		if value < q.Min {
			return pgerror.Newf(pgerror.InvalidParameterValue, "RESTART value (%d) cannot be less than MINVALUE (%d)", value, q.Min)
		}
		if value > q.Max {
			return pgerror.Newf(pgerror.InvalidParameterValue, "RESTART value (%d) cannot be greater than MAXVALUE (%d)", value, q.Max)
		}
		q.RestartAt(value)
		return nil
	}
	return nil
}

// changeSequenceType sets the data type; it reports which bounds follow it.
func (env *Env) changeSequenceType(q *catalog.Sequence, o *parser.SequenceOption, isNew bool) (resetMin, resetMax bool, err error) {
	if o == nil {
		return false, false, nil
	}
	t, err := env.columnType(o.Type, "")
	if err != nil {
		return false, false, err
	}
	switch t.OID {
	case types.Int2.OID, types.Int4.OID, types.Int8.OID:
	default:
		return false, false, pgerror.New(pgerror.InvalidParameterValue, "sequence type must be smallint, integer, or bigint")
	}
	if !isNew {
		low, high := bounds(q.Type)
		resetMax = q.Max == high
		resetMin = q.Min == low
	}
	q.Type = t
	return resetMin, resetMax, nil
}

func changeSequenceBounds(q *catalog.Sequence, c sequenceChange, defaultMin, defaultMax bool) error {
	low, high := bounds(q.Type)
	switch {
	case c.maximum != nil && !c.maximum.None:
		q.Max = c.maximum.Value
	case defaultMax || c.maximum != nil:
		if q.Max = high; q.Increment < 0 {
			q.Max = -1
		}
	}
	switch {
	case c.minimum != nil && !c.minimum.None:
		q.Min = c.minimum.Value
	case defaultMin || c.minimum != nil:
		if q.Min = 1; q.Increment < 0 {
			q.Min = low
		}
	}
	if q.Max < low || q.Max > high {
		return pgerror.Newf(pgerror.InvalidParameterValue, "MAXVALUE (%d) is out of range for sequence data type %s", q.Max, q.Type.String())
	}
	if q.Min < low || q.Min > high {
		return pgerror.Newf(pgerror.InvalidParameterValue, "MINVALUE (%d) is out of range for sequence data type %s", q.Min, q.Type.String())
	}
	if q.Min >= q.Max {
		return pgerror.Newf(pgerror.InvalidParameterValue, "MINVALUE (%d) must be less than MAXVALUE (%d)", q.Min, q.Max)
	}
	return nil
}

// ownSequence carries out OWNED BY.
func (env *Env) ownSequence(ctx context.Context, q *catalog.Sequence, options []parser.SequenceOption) error {
	for _, o := range options {
		if o.Kind != parser.SequenceOwnedBy {
			continue
		}
		if q.Identity {
			return pgerror.New(pgerror.FeatureNotSupported, "cannot change ownership of identity sequence").
				WithDetail("Sequence %q is linked to table %q.", q.Name, env.tableName(ctx, q.OwnerTable))
		}
		if o.None {
			return env.setSequenceOwner(ctx, q, nil, nil)
		}
		if len(o.Names) < 2 {
			return pgerror.New(pgerror.Syntax, "invalid OWNED BY option").WithHint("Specify OWNED BY table.column or OWNED BY NONE.")
		}
		name := parser.TableName{Position: parser.NoPosition, Name: o.Names[len(o.Names)-2]}
		if len(o.Names) > 2 {
			name.Schema = o.Names[len(o.Names)-3]
		}
		t, err := env.findTable(ctx, name, false)
		if err != nil {
			return err
		}
		if t.Owner != q.Owner {
			return pgerror.New(pgerror.ObjectNotInPrerequisiteState, "sequence must have same owner as table it is linked to")
		}
		if t.Schema != q.Schema {
			return pgerror.New(pgerror.ObjectNotInPrerequisiteState, "sequence must be in same schema as table it is linked to")
		}
		column := t.ColumnNamed(o.Names[len(o.Names)-1])
		if column == nil || column.Hidden {
			return catalog.UndefinedColumn(t, o.Names[len(o.Names)-1])
		}
		return env.setSequenceOwner(ctx, q, t, column)
	}
	return nil
}

// setSequenceOwner links q to a column, and the column to q where it is free.
func (env *Env) setSequenceOwner(ctx context.Context, q *catalog.Sequence, t *catalog.Table, column *catalog.Column) error {
	if q.OwnerTable != 0 && (t == nil || t.ID != q.OwnerTable || column.ID != q.OwnerColumn) {
		if err := env.setOwnedSequence(ctx, q.OwnerTable, q.OwnerColumn, q.ID, 0); err != nil {
			return err
		}
	}
	q.OwnerTable, q.OwnerColumn = 0, 0
	if t == nil {
		return nil
	}
	q.OwnerTable, q.OwnerColumn = t.ID, column.ID
	if q.ID == 0 {
		id, err := env.Catalog.NewID(ctx)
		if err != nil {
			return err
		}
		q.ID = id
	}
	return env.setOwnedSequence(ctx, t.ID, column.ID, 0, q.ID)
}

// setOwnedSequence changes the sequence that a column owns from one to another.
func (env *Env) setOwnedSequence(ctx context.Context, table catalog.ID, column catalog.ColumnID, from, to catalog.ID) error {
	r, err := env.Catalog.RelationByID(ctx, table)
	t, ok := r.(*catalog.Table)
	if err != nil || !ok || t.Column(column) == nil || t.Column(column).OwnedSequence != from {
		return err
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return err
	}
	n.Column(column).OwnedSequence = to
	return env.Catalog.Write(ctx, n)
}

func (env *Env) tableName(ctx context.Context, id catalog.ID) string {
	r, err := env.Catalog.RelationByID(ctx, id)
	if err != nil || r == nil {
		return ""
	}
	return r.Head().Name
}

func (env *Env) alterSequence(ctx context.Context, s *parser.AlterSequence) error {
	r, err := env.findRelation(ctx, s.Name, s.IfExists)
	if err != nil || r == nil {
		return err
	}
	q, ok := r.(*catalog.Sequence)
	if !ok {
		return pgerror.Newf(pgerror.WrongObjectType, "%q is not a sequence", r.Head().Name)
	}
	return env.alterSequenceOf(ctx, q, s.Options)
}

func (env *Env) alterSequenceOf(ctx context.Context, q *catalog.Sequence, options []parser.SequenceOption) error {
	old := q
	q = catalog.Clone(q)
	if err := env.changeSequence(q, options, false); err != nil {
		return err
	}
	value, called, err := catalog.NewSequenceState(env.DB.NonTransactional()).Stored(ctx, old)
	if err != nil {
		return err
	}
	if q.Counter == old.Counter {
		if !called {
			// The next value is still the first one.
			q.Base = old.Base + old.Increment - q.Increment
			value = q.Base + q.Increment
		}
		if value > q.Max {
			return pgerror.Newf(pgerror.InvalidParameterValue, "RESTART value (%d) cannot be greater than MAXVALUE (%d)", value, q.Max)
		}
		if value < q.Min {
			return pgerror.Newf(pgerror.InvalidParameterValue, "RESTART value (%d) cannot be less than MINVALUE (%d)", value, q.Min)
		}
	}
	if err := env.ownSequence(ctx, q, options); err != nil {
		return err
	}
	return env.Catalog.Write(ctx, q)
}
