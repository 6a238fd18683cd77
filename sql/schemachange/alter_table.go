package schemachange

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// alteration is an ALTER TABLE under way. Its commands change the descriptor
// and note what has to be done to the rows, which happens once at the end.
type alteration struct {
	*tableChange
	old *catalog.Table // as it was when it was locked

	// rewrite: all rows are stored anew, with values that set computes from the
	// old ones.
	rewrite bool
	set     []columnValue
	// built are new indexes, proven ones of constraints that must hold already.
	built         []catalog.IndexID
	provenNotNull []catalog.ColumnID
	provenChecks  []string
	provenKeys    []catalog.ID // OIDs of foreign keys
	clear         clearPayload
	dropped       []*catalog.Sequence
	unreferenced  []catalog.ForeignKey // dropped, and still in ReferencedBy
	reserved      *reservation
	reservedEnd   catalog.IndexID
}

// columnValue is how a rewrite computes a column: from the old columns, or
// from the new ones where after is set.
type columnValue struct {
	column catalog.ColumnID
	value  opt.Scalar
	after  bool
}

// pass is the order in which PostgreSQL carries out subcommands.
func pass(k parser.AlterCommandKind) int {
	switch k {
	case parser.DropColumn, parser.DropConstraint:
		return 0
	case parser.AlterColumnType:
		return 1
	case parser.AddColumn:
		return 2
	case parser.SetColumnDefault, parser.DropColumnDefault, parser.SetNotNull, parser.DropNotNull, parser.AddIdentity, parser.SetIdentity, parser.DropIdentity:
		return 3
	case parser.AddConstraint:
		return 4
	}
	return 5
}

func (env *Env) alterTable(ctx context.Context, s *parser.AlterTable) error {
	r, err := env.Catalog.Relation(ctx, nameOf(s.Table))
	if err != nil {
		return err
	}
	if r == nil && s.Kind == parser.ObjectIndex {
		return env.alterIndex(ctx, s)
	}
	if r, err = env.findRelation(ctx, s.Table, s.IfExists); err != nil || r == nil {
		return err
	}
	t, ok := r.(*catalog.Table)
	if !ok {
		return env.alterOther(ctx, s, r)
	}
	if s.Kind != parser.ObjectTable {
		return pgerror.Newf(pgerror.WrongObjectType, "%q is not %s", t.Name, map[parser.ObjectKind]string{
			parser.ObjectView: "a view", parser.ObjectSequence: "a sequence", parser.ObjectIndex: "an index", parser.ObjectMaterializedView: "a materialized view"}[s.Kind])
	}
	commands := slices.Clone(s.Commands)
	slices.SortStableFunc(commands, func(a, b parser.AlterCommand) int { return pass(a.Kind) - pass(b.Kind) })
	if !slices.ContainsFunc(commands, func(c parser.AlterCommand) bool {
		return c.Kind != parser.SetStorageOptions && c.Kind != parser.ResetStorageOptions && c.Kind != parser.SetStatistics
	}) {
		return env.storageCommands(t, commands)
	}
	a, err := env.beginAlteration(ctx, t, commands)
	if err != nil {
		return err
	}
	for i := range commands {
		if err := a.command(ctx, &commands[i]); err != nil {
			return err
		}
	}
	return a.finishAlteration(ctx)
}

// storageCommands are those that tune PostgreSQL's own storage or statistics.
func (env *Env) storageCommands(t *catalog.Table, commands []parser.AlterCommand) error {
	for _, c := range commands {
		if c.Kind == parser.SetStatistics {
			if column := t.ColumnNamed(c.Name); column == nil || column.Hidden {
				return catalog.UndefinedColumn(t, c.Name)
			}
			continue
		}
		if err := env.checkStorage(c.Options); err != nil {
			return err
		}
	}
	return nil
}

// beginAlteration locks the table. Where rows of a large table may have to be
// written, index ids are reserved before, for doing it in chunks.
func (env *Env) beginAlteration(ctx context.Context, t *catalog.Table, commands []parser.AlterCommand) (*alteration, error) {
	var reserved *reservation
	end := catalog.IndexID(0)
	mayWrite := slices.ContainsFunc(commands, func(c parser.AlterCommand) bool {
		switch c.Kind {
		case parser.AddColumn, parser.AlterColumnType, parser.DropColumn, parser.DropConstraint:
			return true
		case parser.AddConstraint:
			return c.Constraint.Kind == parser.PrimaryKey || c.Constraint.Kind == parser.Unique
		}
		return false
	})
	if mayWrite && env.ownTransactions(t) {
		small, err := env.isSmall(ctx, t)
		if err != nil {
			return nil, err
		}
		if !small {
			n := 1 + len(t.Indexes) + 2*len(commands)
			if reserved, err = env.reserve(ctx, t, n); err != nil {
				return nil, err
			}
			end = reserved.first + catalog.IndexID(n)
		}
	}
	n, err := env.lockTable(ctx, t)
	if err != nil {
		return nil, err
	}
	c, err := env.changeOf(ctx, n)
	if err != nil {
		return nil, err
	}
	return &alteration{tableChange: c, old: catalog.Clone(n), reserved: reserved, reservedEnd: end}, nil
}

func (a *alteration) command(ctx context.Context, c *parser.AlterCommand) error {
	env := a.env
	switch c.Kind {
	case parser.AddColumn:
		return a.addNewColumn(ctx, c)
	case parser.DropColumn:
		return a.dropColumn(ctx, c)
	case parser.AlterColumnType:
		return a.alterType(ctx, c)
	case parser.SetColumnDefault, parser.DropColumnDefault:
		return a.setDefault(ctx, c)
	case parser.SetNotNull:
		column, err := a.existing(c.Name)
		if err != nil || column.NotNull {
			return err
		}
		column.NotNull = true
		a.provenNotNull = append(a.provenNotNull, column.ID)
		return nil
	case parser.DropNotNull:
		return a.dropNotNull(c)
	case parser.AddConstraint:
		return a.addNewConstraint(ctx, c.Constraint)
	case parser.DropConstraint:
		return a.dropConstraint(ctx, c)
	case parser.ValidateConstraint:
		return a.validateConstraint(c.Name)
	case parser.ChangeOwner:
		return a.changeOwner(ctx, c.Owner)
	case parser.AddIdentity, parser.SetIdentity, parser.DropIdentity:
		return a.alterIdentity(ctx, c)
	case parser.SetStatistics, parser.SetStorageOptions, parser.ResetStorageOptions:
		return env.storageCommands(a.table, []parser.AlterCommand{*c})
	}
	return pgerror.Unsupported("ALTER TABLE … " + c.What)
}

// existing returns a column that a command names.
func (a *alteration) existing(name string) (*catalog.Column, error) {
	c := a.table.ColumnNamed(name)
	if slices.Contains(systemColumns, name) {
		return nil, pgerror.Newf(pgerror.FeatureNotSupported, "cannot alter system column %q", name)
	}
	if c == nil || c.Hidden {
		return nil, catalog.UndefinedColumn(a.table, name)
	}
	return c, nil
}

func (a *alteration) addNewColumn(ctx context.Context, c *parser.AlterCommand) error {
	t, env := a.table, a.env
	if old := t.ColumnNamed(c.Column.Name); old != nil && !old.Hidden && c.IfExists {
		env.notice(pgerror.DuplicateColumn, "column %q of relation %q already exists, skipping", c.Column.Name, t.Name)
		return nil
	}
	if err := a.addColumn(ctx, c.Column); err != nil {
		return err
	}
	id := t.NextColumn - 1
	if err := a.bindDefaults(ctx); err != nil {
		return err
	}
	if err := a.fillColumn(ctx, id); err != nil {
		return err
	}
	return a.takePending(ctx)
}

// fillColumn gives existing rows their value of a new column: a constant
// beside the table, or by a rewrite.
func (a *alteration) fillColumn(ctx context.Context, id catalog.ColumnID) error {
	column, env := a.table.Column(id), a.env
	switch {
	case column.Generated != "":
		b, err := env.bindStored(ctx, a.table, column.Generated, column.Type, "column generation expressions")
		if err != nil {
			return err
		}
		a.rewrite = true
		a.set = append(a.set, columnValue{id, b.scalar, true})
	case column.Default != "":
		if column.OwnedSequence != 0 && slices.ContainsFunc(a.sequences, func(q *catalog.Sequence) bool { return q.ID == column.OwnedSequence }) {
			// Its sequence is not committed, nor is its name known to anyone else.
			a.rewrite = true
			a.set = append(a.set, columnValue{id, nil, false})
			return nil
		}
		b, err := env.bindStored(ctx, a.table, column.Default, column.Type, "DEFAULT expressions")
		if err != nil {
			return err
		}
		if volatility(b.scalar) == 'v' {
			a.rewrite = true
			a.set = append(a.set, columnValue{id, b.scalar, false})
			return nil
		}
		d, err := env.evaluate(ctx, b.scalar)
		if err != nil {
			return err
		}
		if d.Null {
			a.requireNotNull(column)
			return nil
		}
		column.Missing = missingValue(column.Type, d)
	default:
		a.requireNotNull(column)
	}
	return nil
}

func (a *alteration) requireNotNull(c *catalog.Column) {
	if c.NotNull {
		a.provenNotNull = append(a.provenNotNull, c.ID)
	}
}

// takePending makes the constraints that were added by the last command.
func (a *alteration) takePending(ctx context.Context) error {
	t := a.table
	for _, p := range a.checks {
		if err := a.bindCheck(ctx, p); err != nil {
			return err
		}
		if k := &t.Checks[len(t.Checks)-1]; !k.NotValid {
			a.provenChecks = append(a.provenChecks, k.Name)
		}
	}
	a.checks = nil
	for _, k := range a.keys {
		if err := a.addKey(ctx, k); err != nil {
			return err
		}
	}
	a.keys = nil
	for _, k := range a.foreign {
		i, err := a.makeForeignKey(ctx, k)
		if err != nil {
			return err
		}
		if f := &t.ForeignKeys[i]; !f.NotValid {
			a.provenKeys = append(a.provenKeys, f.OID)
		}
	}
	a.foreign = nil
	return nil
}

func (a *alteration) addNewConstraint(ctx context.Context, k *parser.Constraint) error {
	if k.Name != "" && (k.Kind == parser.PrimaryKey || k.Kind == parser.Unique) && k.UsingIndex == "" && a.names.relationTaken(k.Name) {
		return pgerror.Newf(pgerror.DuplicateTable, "relation %q already exists", k.Name)
	}
	if k.Name != "" && constraintNames(a.table)[k.Name] {
		return pgerror.Newf(pgerror.DuplicateObject, "constraint %q for relation %q already exists", k.Name, a.table.Name)
	}
	if k.UsingIndex != "" {
		return a.constraintUsingIndex(k)
	}
	if err := a.addConstraint(k); err != nil {
		return err
	}
	return a.takePending(ctx)
}

// constraintUsingIndex makes a unique constraint of a unique index.
func (a *alteration) constraintUsingIndex(k *parser.Constraint) error {
	if k.Kind != parser.Unique || k.Deferrable {
		return a.env.at(pgerror.Unsupported("PRIMARY KEY USING INDEX"), k.Position)
	}
	for i := range a.table.Indexes {
		ix := &a.table.Indexes[i]
		if ix.Name != k.UsingIndex {
			continue
		}
		if ix.Constraint {
			return a.env.at(pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "index %q is already associated with a constraint", ix.Name), k.Position)
		}
		if !ix.Unique {
			return a.env.at(pgerror.Newf(pgerror.WrongObjectType, "%q is not a unique index", ix.Name).
				WithDetail("Cannot create a primary key or unique constraint using such an index."), k.Position)
		}
		if k.Name != "" && k.Name != ix.Name {
			a.env.notice(pgerror.SuccessfulCompletion, "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index %q to %q", ix.Name, k.Name)
			ix.Name = k.Name
		}
		ix.Constraint = true
		oid, err := a.env.Catalog.NewID(context.Background())
		ix.ConstraintOID = oid
		return err
	}
	return a.env.at(pgerror.Newf(pgerror.UndefinedObject, "index %q does not exist", k.UsingIndex), k.Position)
}

// addKey adds a PRIMARY KEY or UNIQUE constraint.
func (a *alteration) addKey(ctx context.Context, k *keySpec) error {
	t := a.table
	var nullable []*catalog.Column
	if k.primary {
		for _, name := range k.columns {
			if c := t.ColumnNamed(name); c != nil && !c.NotNull {
				nullable = append(nullable, c)
			}
		}
	}
	ix, err := a.keyIndex(ctx, k)
	if err != nil {
		return err
	}
	if !k.primary {
		t.Indexes = append(t.Indexes, ix)
		a.built = append(a.built, ix.ID)
		return nil
	}
	for _, c := range nullable {
		a.provenNotNull = append(a.provenNotNull, c.ID)
	}
	// The rows move from the hidden row id to the key.
	for _, column := range t.Primary.Columns {
		if c := t.Column(column.Column); c != nil && c.Hidden {
			c.Dropped = true
		}
	}
	ix.ID = t.Primary.ID // renumbered with all others
	t.Primary = ix
	a.rewrite = true
	return nil
}

func (a *alteration) setDefault(ctx context.Context, c *parser.AlterCommand) error {
	column, err := a.existing(c.Name)
	if err != nil {
		return err
	}
	if column.Identity != catalog.NoIdentity {
		e := pgerror.Newf(pgerror.Syntax, "column %q of relation %q is an identity column", column.Name, a.table.Name)
		if c.Kind == parser.DropColumnDefault {
			e = e.WithHint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.")
		}
		return e
	}
	if column.Generated != "" {
		e := pgerror.Newf(pgerror.Syntax, "column %q of relation %q is a generated column", column.Name, a.table.Name)
		if c.Kind == parser.DropColumnDefault {
			e = e.WithHint("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.")
		}
		return e
	}
	if c.Kind == parser.DropColumnDefault {
		column.Default = ""
		return nil
	}
	text, err := a.env.bindDefault(ctx, a.table, column, c.Default)
	column.Default = text
	return err
}

func (a *alteration) dropNotNull(c *parser.AlterCommand) error {
	column, err := a.existing(c.Name)
	if err != nil {
		return err
	}
	if column.Identity != catalog.NoIdentity {
		return pgerror.Newf(pgerror.Syntax, "column %q of relation %q is an identity column", column.Name, a.table.Name)
	}
	if a.table.HasPrimaryKey() && a.table.Primary.IsKeyColumn(column.ID) {
		return pgerror.Newf(pgerror.InvalidTableDefinition, "column %q is in a primary key", column.Name)
	}
	column.NotNull = false
	return nil
}

func (a *alteration) validateConstraint(name string) error {
	t := a.table
	for i := range t.Checks {
		if k := &t.Checks[i]; k.Name == name {
			if k.NotValid {
				k.NotValid = false
				a.provenChecks = append(a.provenChecks, name)
			}
			return nil
		}
	}
	for i := range t.ForeignKeys {
		if f := &t.ForeignKeys[i]; f.Name == name {
			if f.NotValid {
				f.NotValid = false
				a.provenKeys = append(a.provenKeys, f.OID)
			}
			return nil
		}
	}
	if constraintNames(t)[name] {
		return pgerror.Newf(pgerror.WrongObjectType, "constraint %q of relation %q is not a foreign key or check constraint", name, t.Name)
	}
	return pgerror.Newf(pgerror.UndefinedObject, "constraint %q of relation %q does not exist", name, t.Name)
}

func (a *alteration) changeOwner(ctx context.Context, owner string) error {
	owner, err := a.env.ownerOf(ctx, owner)
	if err != nil {
		return err
	}
	a.table.Owner = owner
	relations, err := a.env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	for _, r := range relations {
		if q, ok := r.(*catalog.Sequence); ok && q.OwnerTable == a.table.ID {
			n := catalog.Clone(q)
			n.Owner = owner
			if err := a.env.Catalog.Write(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// finishAlteration writes rows and indexes, proves the constraints, stores the
// descriptors.
func (a *alteration) finishAlteration(ctx context.Context) error {
	t, env := a.table, a.env
	if err := a.settleUnreferenced(ctx); err != nil {
		return err
	}
	own := false
	switch {
	case a.rewrite:
		if err := env.renumber(ctx, t, a.reserved); err != nil {
			return err
		}
		own = a.withinReservation()
		if err := a.rewriteRows(ctx, own); err != nil {
			return err
		}
	case len(a.built) > 0:
		a.useReservation()
		own = a.withinReservation()
		if err := a.buildIndexes(ctx, own); err != nil {
			return err
		}
	default:
		own = env.ownTransactions(t)
	}
	if err := a.prove(ctx, own); err != nil {
		return err
	}
	for _, q := range a.sequences {
		if err := env.Catalog.Create(ctx, q); err != nil {
			return err
		}
	}
	for _, q := range a.dropped {
		if err := env.Catalog.Drop(ctx, q); err != nil {
			return err
		}
		a.clear.addTable(q.ID)
	}
	if err := env.Catalog.Write(ctx, t); err != nil {
		return err
	}
	if err := a.writeReferenced(ctx); err != nil {
		return err
	}
	return env.clearLater(ctx, a.clear)
}

// useReservation gives the new indexes reserved ids.
func (a *alteration) useReservation() {
	if a.reserved == nil {
		return
	}
	next := a.reserved.first
	for i, id := range a.built {
		for j := range a.table.Indexes {
			if ix := &a.table.Indexes[j]; ix.ID == id {
				ix.ID = next
				a.built[i] = next
				next++
			}
		}
	}
}

// withinReservation reports whether all that is going to be written lies in
// the reserved ids, so that it may be done in transactions of its own.
func (a *alteration) withinReservation() bool {
	if a.reserved == nil {
		return false
	}
	within := func(id catalog.IndexID) bool { return id >= a.reserved.first && id < a.reservedEnd }
	if !a.rewrite {
		return !slices.ContainsFunc(a.built, func(id catalog.IndexID) bool { return !within(id) })
	}
	return within(a.table.Primary.ID) && !slices.ContainsFunc(a.table.Indexes, func(ix catalog.Index) bool { return !within(ix.ID) })
}

func (a *alteration) rewriteRows(ctx context.Context, own bool) error {
	t, env := a.table, a.env
	transform, err := a.transform(ctx)
	if err != nil {
		return err
	}
	for i := range t.Columns {
		// Rows are stored with all their values now.
		if t.Columns[i].Missing != nil {
			t.Columns[i].Missing = nil
		}
	}
	r := a.reserved
	if !own {
		r = nil
	}
	return env.rewrite(ctx, a.old, t, r, transform)
}

// transform returns how old rows become new ones.
func (a *alteration) transform(ctx context.Context) (func(row []types.Datum) error, error) {
	env, t := a.env, a.table
	var before, after []opt.Scalar
	var beforeIDs, afterIDs []catalog.ColumnID
	var numbered []catalog.ColumnID
	for _, s := range a.set {
		switch {
		case s.value == nil:
			numbered = append(numbered, s.column)
		case s.after:
			after, afterIDs = append(after, s.value), append(afterIDs, s.column)
		default:
			before, beforeIDs = append(before, s.value), append(beforeIDs, s.column)
		}
	}
	constants := map[catalog.ColumnID]types.Datum{}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Missing == nil || int(c.ID) <= len(a.old.Columns) {
			continue
		}
		d, err := decodeMissing(c)
		if err != nil {
			return nil, err
		}
		constants[c.ID] = d
	}
	first, err := env.evaluator(ctx, a.old, before...)
	if err != nil {
		return nil, err
	}
	last, err := env.evaluator(ctx, t, after...)
	if err != nil {
		return nil, err
	}
	numbers := a.numbers(numbered)
	width := len(a.old.Columns)
	return func(row []types.Datum) error {
		if len(before) > 0 {
			values, err := first.Row(row[:width])
			if err != nil {
				return err
			}
			for i, d := range values {
				row[beforeIDs[i]-1] = d
			}
		}
		for id, d := range constants {
			row[id-1] = d
		}
		for _, n := range numbers {
			d, err := n.next()
			if err != nil {
				return err
			}
			row[n.column-1] = d
		}
		if len(after) > 0 {
			values, err := last.Row(row)
			if err != nil {
				return err
			}
			for i, d := range values {
				row[afterIDs[i]-1] = d
			}
		}
		return nil
	}, nil
}

func (a *alteration) buildIndexes(ctx context.Context, own bool) error {
	b := build{env: a.env, source: a.old, target: a.table, own: own}
	transform, err := a.transform(ctx)
	if err != nil {
		return err
	}
	b.transform = transform
	for _, id := range a.built {
		if ix := a.table.Index(id); ix != nil {
			b.indexes = append(b.indexes, ix)
		}
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	if own {
		return a.env.keep(ctx, a.reserved)
	}
	return nil
}

// prove checks the constraints that existing rows must meet.
func (a *alteration) prove(ctx context.Context, own bool) error {
	t, env := a.table, a.env
	if len(a.provenNotNull) > 0 && !a.rewrite {
		var columns []*catalog.Column
		for _, id := range a.provenNotNull {
			if c := t.Column(id); c != nil && c.NotNull {
				columns = append(columns, c)
			}
		}
		if len(columns) > 0 {
			if err := env.checkNotNull(ctx, t, own, columns...); err != nil {
				return err
			}
		}
	}
	for _, name := range a.provenChecks {
		for i := range t.Checks {
			if t.Checks[i].Name == name {
				if err := env.checkRows(ctx, t, own, &t.Checks[i]); err != nil {
					return err
				}
			}
		}
	}
	for _, oid := range a.provenKeys {
		for i := range t.ForeignKeys {
			f := &t.ForeignKeys[i]
			if f.OID != oid {
				continue
			}
			referenced, err := a.referencedBy(ctx, f)
			if err != nil {
				return err
			}
			// The referenced rows may be uncommitted where these aren't.
			both := own && (referenced.ID == t.ID || env.ownTransactions(referenced))
			if err := env.checkForeignKey(ctx, t, both, referenced, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *alteration) referencedBy(ctx context.Context, f *catalog.ForeignKey) (*catalog.Table, error) {
	if f.ReferencedTable == a.table.ID {
		return a.table, nil
	}
	if t := a.referenced[f.ReferencedTable]; t != nil {
		return t, nil
	}
	t, err := a.env.Catalog.TableByID(ctx, f.ReferencedTable)
	if err != nil {
		return nil, err
	}
	if err := a.env.Catalog.Lock(ctx, t); err != nil {
		return nil, err
	}
	return a.env.Catalog.TableByID(ctx, f.ReferencedTable)
}
