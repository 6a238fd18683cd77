package schemachange

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

// missingValue is a value as catalog.Column.Missing has it; never nil.
func missingValue(t *types.T, d types.Datum) []byte {
	return rowenc.AppendValue([]byte{}, t, d)
}

func decodeMissing(c *catalog.Column) (types.Datum, error) {
	return rowenc.DecodeValue(c.Missing, c.Type)
}

// numbering gives existing rows the values of a new sequence.
type numbering struct {
	column   catalog.ColumnID
	sequence *catalog.Sequence
}

// numbers returns the numberings of new serial and identity columns, and of a
// new hidden row id.
func (a *alteration) numbers(columns []catalog.ColumnID) (numbers []numbering) {
	for _, id := range columns {
		n := numbering{column: id}
		if owned := a.table.Column(id).OwnedSequence; owned != 0 {
			for _, q := range a.sequences {
				if q.ID == owned {
					n.sequence = q
				}
			}
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// next returns the next number; the sequence, which nobody else knows yet,
// goes on behind it.
func (n *numbering) next() (types.Datum, error) {
	if n.sequence == nil {
		return types.Int(catalog.NextRowID()), nil
	}
	q := n.sequence
	value := q.Base + q.Increment
	if value > q.Max || value < q.Min {
		which, limit := "maximum", q.Max
		if q.Increment < 0 {
			which, limit = "minimum", q.Min
		}
		return types.Datum{}, pgerror.Newf(pgerror.SequenceLimitExceeded, "nextval: reached %s value of sequence %q (%d)", which, q.Name, limit)
	}
	q.Base = value
	return types.Int(value), nil
}

func (a *alteration) dropColumn(ctx context.Context, c *parser.AlterCommand) error {
	t, env := a.table, a.env
	column := t.ColumnNamed(c.Name)
	if slices.Contains(systemColumns, c.Name) {
		return pgerror.Newf(pgerror.FeatureNotSupported, "cannot drop system column %q", c.Name)
	}
	if column == nil || column.Hidden {
		if c.IfExists {
			env.notice(pgerror.SuccessfulCompletion, "column %q of relation %q does not exist, skipping", c.Name, t.Name)
			return nil
		}
		return catalog.UndefinedColumn(t, c.Name)
	}
	id := column.ID
	what := "column " + quote(column.Name) + " of " + env.describe(ctx, t)
	d, err := a.columnDependents(ctx, column, what)
	if err != nil {
		return err
	}
	if len(d.described) > 0 && !c.Cascade {
		return pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", what).
			WithDetail("%s", limited(d.described)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
	}
	env.cascadeNotice(d.cascaded)
	if err := a.dropDependents(ctx, d); err != nil {
		return err
	}
	if column.OwnedSequence != 0 {
		r, err := env.Catalog.RelationByID(ctx, column.OwnedSequence)
		if err != nil {
			return err
		}
		if q, ok := r.(*catalog.Sequence); ok {
			a.dropped = append(a.dropped, q)
		}
	}
	a.dropElements(id)
	column = t.Column(id)
	column.Dropped, column.NotNull, column.Default, column.Generated, column.OwnedSequence = true, false, "", "", 0
	if t.Primary.IsKeyColumn(id) {
		a.losePrimaryKey()
	}
	return nil
}

// dependents is what hangs on a column or constraint from outside the table's
// own constraints.
type dependents struct {
	described []string // "view v depends on column a of table t"
	cascaded  []string
	views     []*catalog.View
	keys      []catalog.ForeignKey
	generated []catalog.ColumnID
}

func (d *dependents) add(what, on string) {
	d.described = append(d.described, what+" depends on "+on)
	d.cascaded = append(d.cascaded, what)
}

// columnDependents finds the views, foreign keys of other tables and generated
// columns that need a column.
func (a *alteration) columnDependents(ctx context.Context, column *catalog.Column, what string) (dependents, error) {
	t, env := a.table, a.env
	var d dependents
	for i := range t.Columns {
		g := &t.Columns[i]
		if g.Dropped || g.Generated == "" || g.ID == column.ID {
			continue
		}
		b, err := env.bindStored(ctx, t, g.Generated, g.Type, "column generation expressions")
		if err != nil {
			return d, err
		}
		if slices.Contains(b.columns, column.ID) {
			d.add("column "+quote(g.Name)+" of "+env.describe(ctx, t), what)
			d.generated = append(d.generated, g.ID)
		}
	}
	for _, f := range t.ReferencedBy {
		if f.Table == t.ID || !slices.Contains(f.ReferencedColumns, column.ID) {
			continue
		}
		other, err := env.Catalog.TableByID(ctx, f.Table)
		if err != nil {
			return d, err
		}
		d.add("constraint "+quote(f.Name)+" on "+env.describe(ctx, other), what)
		d.keys = append(d.keys, f)
	}
	views, err := env.viewsUsing(ctx, t, column.ID)
	if err != nil {
		return d, err
	}
	for _, v := range views {
		d.add(env.describe(ctx, v), what)
		d.views = append(d.views, v)
	}
	// What hangs on those views.
	for i := 0; i < len(d.views); i++ {
		v := d.views[i]
		for _, id := range v.Dependents {
			r, err := env.Catalog.RelationByID(ctx, id)
			if err != nil {
				return d, err
			}
			if o, ok := r.(*catalog.View); ok && !slices.ContainsFunc(d.views, func(e *catalog.View) bool { return e.ID == o.ID }) {
				d.add(env.describe(ctx, o), env.describe(ctx, v))
				d.views = append(d.views, o)
			}
		}
	}
	return d, nil
}

// dropDependents carries out CASCADE.
func (a *alteration) dropDependents(ctx context.Context, d dependents) error {
	env := a.env
	if len(d.views) > 0 {
		r := env.newRemoval()
		r.cascade = true
		for _, v := range d.views {
			r.add(v)
		}
		// Only this table's own list of dependents is changed in memory.
		for _, v := range d.views {
			a.table.Dependents = slices.DeleteFunc(a.table.Dependents, func(id catalog.ID) bool { return id == v.ID })
		}
		if err := r.check(ctx, false); err != nil {
			return err
		}
	}
	for _, f := range d.keys {
		if err := a.dropKeyOf(ctx, f); err != nil {
			return err
		}
	}
	for _, id := range d.generated {
		a.dropElements(id)
		c := a.table.Column(id)
		c.Dropped, c.NotNull, c.Generated = true, false, ""
	}
	return nil
}

// dropKeyOf removes a foreign key that references the table.
func (a *alteration) dropKeyOf(ctx context.Context, f catalog.ForeignKey) error {
	same := func(o catalog.ForeignKey) bool { return o.OID == f.OID }
	a.table.ReferencedBy = slices.DeleteFunc(a.table.ReferencedBy, same)
	if f.Table == a.table.ID {
		a.table.ForeignKeys = slices.DeleteFunc(a.table.ForeignKeys, same)
		return nil
	}
	return a.changeOther(ctx, f.Table, func(o *catalog.Table) { o.ForeignKeys = slices.DeleteFunc(o.ForeignKeys, same) })
}

// changeOther locks and changes another table, which is stored at the end.
func (a *alteration) changeOther(ctx context.Context, id catalog.ID, change func(*catalog.Table)) error {
	if a.referenced[id] == nil {
		t, err := a.env.Catalog.TableByID(ctx, id)
		if err != nil {
			return err
		}
		n, err := a.env.lockTable(ctx, t)
		if err != nil {
			return err
		}
		if a.referenced == nil {
			a.referenced = map[catalog.ID]*catalog.Table{}
		}
		a.referenced[id] = n
	}
	change(a.referenced[id])
	return nil
}

// dropElements drops the indexes and constraints that have a column.
func (a *alteration) dropElements(id catalog.ColumnID) {
	t := a.table
	t.Indexes = slices.DeleteFunc(t.Indexes, func(ix catalog.Index) bool {
		if !ix.IsKeyColumn(id) && !slices.Contains(ix.Stored, id) {
			return false
		}
		a.clear.addIndex(t.ID, ix.ID)
		return true
	})
	t.Checks = slices.DeleteFunc(t.Checks, func(k catalog.Check) bool { return slices.Contains(k.Columns, id) })
	for _, f := range slices.Clone(t.ForeignKeys) {
		if slices.Contains(f.Columns, id) || f.ReferencedTable == t.ID && slices.Contains(f.ReferencedColumns, id) {
			a.dropOwnKey(f)
		}
	}
}

// dropOwnKey removes a foreign key of the table; the other side is stored at
// the end.
func (a *alteration) dropOwnKey(f catalog.ForeignKey) {
	same := func(o catalog.ForeignKey) bool { return o.OID == f.OID }
	a.table.ForeignKeys = slices.DeleteFunc(a.table.ForeignKeys, same)
	if f.ReferencedTable == a.table.ID {
		a.table.ReferencedBy = slices.DeleteFunc(a.table.ReferencedBy, same)
		return
	}
	a.unreferenced = append(a.unreferenced, f)
}

// losePrimaryKey makes the rows move to a hidden row id.
func (a *alteration) losePrimaryKey() {
	t := a.table
	old := t.Primary.ID
	next := t.NextIndex
	a.addRowID()
	t.NextIndex = next
	t.Primary.ID = old // renumbered with all others
	a.rewrite = true
	a.set = append(a.set, columnValue{t.Primary.Columns[0].Column, nil, false})
}

func (a *alteration) dropConstraint(ctx context.Context, c *parser.AlterCommand) error {
	t, env := a.table, a.env
	if i := slices.IndexFunc(t.Checks, func(k catalog.Check) bool { return k.Name == c.Name }); i >= 0 {
		t.Checks = slices.Delete(t.Checks, i, i+1)
		return nil
	}
	if i := slices.IndexFunc(t.ForeignKeys, func(f catalog.ForeignKey) bool { return f.Name == c.Name }); i >= 0 {
		a.dropOwnKey(t.ForeignKeys[i])
		return a.settleUnreferenced(ctx)
	}
	var ix *catalog.Index
	if t.HasPrimaryKey() && t.Primary.Name == c.Name {
		ix = &t.Primary
	}
	for i := range t.Indexes {
		if t.Indexes[i].Constraint && t.Indexes[i].Name == c.Name {
			ix = &t.Indexes[i]
		}
	}
	if ix == nil {
		if c.IfExists {
			env.notice(pgerror.SuccessfulCompletion, "constraint %q of relation %q does not exist, skipping", c.Name, t.Name)
			return nil
		}
		return pgerror.Newf(pgerror.UndefinedObject, "constraint %q of relation %q does not exist", c.Name, t.Name)
	}
	keys, err := env.keysOver(ctx, t, ix, "constraint "+quote(c.Name)+" on "+env.describe(ctx, t), c.Cascade)
	if err != nil {
		return err
	}
	for _, f := range keys {
		if err := a.dropKeyOf(ctx, f); err != nil {
			return err
		}
	}
	if ix.Primary {
		a.losePrimaryKey()
		return nil
	}
	a.clear.addIndex(t.ID, ix.ID)
	id := ix.ID
	t.Indexes = slices.DeleteFunc(t.Indexes, func(o catalog.Index) bool { return o.ID == id })
	return nil
}

// settleUnreferenced takes dropped foreign keys out of what they referenced.
func (a *alteration) settleUnreferenced(ctx context.Context) error {
	for _, f := range a.unreferenced {
		err := a.changeOther(ctx, f.ReferencedTable, func(o *catalog.Table) {
			o.ReferencedBy = slices.DeleteFunc(o.ReferencedBy, func(r catalog.ForeignKey) bool { return r.OID == f.OID })
		})
		if err != nil {
			return err
		}
	}
	a.unreferenced = nil
	return nil
}

// alterType changes a column's type, by a rewrite unless the values stay as
// they are.
func (a *alteration) alterType(ctx context.Context, c *parser.AlterCommand) error {
	t, env := a.table, a.env
	column, err := a.existing(c.Name)
	if err != nil {
		return err
	}
	to, err := env.columnType(c.Type, column.Name)
	if err != nil {
		return err
	}
	if err := a.refuseAlterType(ctx, column, to); err != nil {
		return err
	}
	from := column.Type
	var value opt.Scalar
	if c.Using != nil {
		b, err := env.bindExpression(ctx, a.old, c.Using, to, "transform expressions")
		if err != nil {
			if pgerror.Code(err) == pgerror.DatatypeMismatch {
				return pgerror.Newf(pgerror.DatatypeMismatch, "result of USING clause for column %q cannot be cast automatically to type %s", column.Name, to.String()).
					WithHint("You might need to add an explicit cast.")
			}
			return err
		}
		value = b.scalar
	} else if from.OID != to.OID || from.Typmod != to.Typmod {
		cast, ok := types.FindCast(from, to, types.AssignmentCast)
		if !ok {
			return pgerror.Newf(pgerror.DatatypeMismatch, "column %q cannot be cast automatically to type %s", column.Name, to.String()).
				WithHint("You might need to specify \"USING %s::%s\".", quote(column.Name), to.String())
		}
		if !sameStored(from, to) {
			value = &opt.Cast{Input: &opt.Variable{ID: opt.ColumnID(column.ID), T: from}, Cast: cast}
		}
	}
	if value != nil {
		a.rewrite = true
		a.set = append(a.set, columnValue{column.ID, value, false})
	}
	column.Type, column.StoredType = to, catalog.StoredType{OID: to.OID, Typmod: to.Typmod}
	if err := a.retypeDefault(ctx, column, c); err != nil {
		return err
	}
	for i := range t.Checks {
		k := &t.Checks[i]
		if !slices.Contains(k.Columns, column.ID) {
			continue
		}
		b, err := env.bindStored(ctx, t, k.Expr, types.Boolean, "check constraints")
		if err != nil {
			return err
		}
		k.Expr = b.text
		if value != nil && !k.NotValid {
			a.provenChecks = append(a.provenChecks, k.Name)
		}
	}
	return a.retypeKeys(ctx, column, value != nil)
}

// sameStored reports whether values of one type are stored just as those of
// another that takes them all.
func sameStored(from, to *types.T) bool {
	text := func(t *types.T) bool {
		return t.OID == types.Text.OID || t.OID == types.Varchar.OID
	}
	switch {
	case text(from) && text(to):
		return to.Typmod < 0 || from.Typmod >= 0 && from.Typmod <= to.Typmod
	case from.OID == to.OID && from.OID == types.Numeric.OID:
		if to.Typmod < 0 {
			return true
		}
		if from.Typmod < 0 {
			return false
		}
		scale := func(m int32) int32 { return (m - 4) & 0x7ff }
		precision := func(m int32) int32 { return (m - 4) >> 16 }
		return scale(from.Typmod) == scale(to.Typmod) && precision(from.Typmod) <= precision(to.Typmod)
	case from.OID == to.OID:
		return to.Typmod < 0 && from.OID != types.BPChar.OID
	}
	return false
}

func (a *alteration) refuseAlterType(ctx context.Context, column *catalog.Column, to *types.T) error {
	t, env := a.table, a.env
	if column.Generated != "" {
		return pgerror.Unsupported("ALTER COLUMN TYPE of a generated column")
	}
	for i := range t.Columns {
		g := &t.Columns[i]
		if g.Dropped || g.Generated == "" {
			continue
		}
		b, err := env.bindStored(ctx, t, g.Generated, g.Type, "column generation expressions")
		if err != nil {
			return err
		}
		if slices.Contains(b.columns, column.ID) {
			return pgerror.New(pgerror.FeatureNotSupported, "cannot alter type of a column used by a generated column").
				WithDetail("Column %q is used by generated column %q.", column.Name, g.Name)
		}
	}
	views, err := env.viewsUsing(ctx, t, column.ID)
	if err != nil {
		return err
	}
	if len(views) > 0 {
		return pgerror.New(pgerror.FeatureNotSupported, "cannot alter type of a column used by a view or rule").
			WithDetail("rule _RETURN on %s depends on column %q", env.describe(ctx, views[0]), column.Name)
	}
	indexed := t.Primary.IsKeyColumn(column.ID) || slices.ContainsFunc(t.Indexes, func(ix catalog.Index) bool { return ix.IsKeyColumn(column.ID) })
	if indexed {
		return rowenc.CanBeKey(to)
	}
	return nil
}

// retypeDefault casts a column's default to its new type.
func (a *alteration) retypeDefault(ctx context.Context, column *catalog.Column, c *parser.AlterCommand) error {
	if column.Default == "" {
		return nil
	}
	if column.Identity != catalog.NoIdentity || column.OwnedSequence != 0 {
		if column.Type.Family != types.IntFamily && column.Identity != catalog.NoIdentity {
			return pgerror.New(pgerror.InvalidParameterValue, "identity column type must be smallint, integer, or bigint")
		}
		if column.Identity == catalog.NoIdentity {
			return nil
		}
		r, err := a.env.Catalog.RelationByID(ctx, column.OwnedSequence)
		if err != nil {
			return err
		}
		if q, ok := r.(*catalog.Sequence); ok {
			n := catalog.Clone(q)
			if err := a.env.changeSequence(n, []parser.SequenceOption{{Kind: parser.SequenceType, Type: c.Type}}, false); err != nil {
				return err
			}
			return a.env.Catalog.Write(ctx, n)
		}
		return nil
	}
	b, err := a.env.bindStored(ctx, a.table, column.Default, column.Type, "DEFAULT expressions")
	if err != nil {
		return pgerror.Newf(pgerror.DatatypeMismatch, "default for column %q cannot be cast automatically to type %s", column.Name, column.Type.String())
	}
	column.Default = b.text
	return nil
}

// retypeKeys checks that foreign keys can still be compared.
func (a *alteration) retypeKeys(ctx context.Context, column *catalog.Column, rewritten bool) error {
	t := a.table
	for i := range t.ForeignKeys {
		f := &t.ForeignKeys[i]
		at := slices.Index(f.Columns, column.ID)
		if at < 0 {
			continue
		}
		referenced, err := a.referencedBy(ctx, f)
		if err != nil {
			return err
		}
		if err := comparableColumns(f.Name, column, referenced.Column(f.ReferencedColumns[at])); err != nil {
			return err
		}
		if rewritten && !f.NotValid {
			a.provenKeys = append(a.provenKeys, f.OID)
		}
	}
	for i := range t.ReferencedBy {
		f := &t.ReferencedBy[i]
		at := slices.Index(f.ReferencedColumns, column.ID)
		if at < 0 || f.Table == t.ID {
			continue
		}
		other, err := a.env.Catalog.TableByID(ctx, f.Table)
		if err != nil {
			return err
		}
		if err := comparableColumns(f.Name, other.Column(f.Columns[at]), column); err != nil {
			return err
		}
	}
	return nil
}

func (a *alteration) alterIdentity(ctx context.Context, c *parser.AlterCommand) error {
	env, t := a.env, a.table
	column, err := a.existing(c.Name)
	if err != nil {
		return err
	}
	switch c.Kind {
	case parser.AddIdentity:
		if !column.NotNull {
			return pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "column %q of relation %q must be declared NOT NULL before identity can be added", column.Name, t.Name)
		}
		if column.Identity != catalog.NoIdentity {
			return pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "column %q of relation %q is already an identity column", column.Name, t.Name)
		}
		if column.Default != "" {
			return pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "column %q of relation %q already has a default value", column.Name, t.Name)
		}
		return a.makeIdentity(ctx, column, c.Constraint)
	case parser.SetIdentity:
		return env.at(pgerror.Unsupported("ALTER COLUMN … SET GENERATED"), c.Position)
	}
	if column.Identity == catalog.NoIdentity {
		if c.IfExists {
			env.notice(pgerror.SuccessfulCompletion, "column %q of relation %q is not an identity column, skipping", column.Name, t.Name)
			return nil
		}
		return pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "column %q of relation %q is not an identity column", column.Name, t.Name)
	}
	r, err := env.Catalog.RelationByID(ctx, column.OwnedSequence)
	if err != nil {
		return err
	}
	if q, ok := r.(*catalog.Sequence); ok {
		a.dropped = append(a.dropped, q)
	}
	column.Identity, column.Default, column.OwnedSequence = catalog.NoIdentity, "", 0
	return nil
}
