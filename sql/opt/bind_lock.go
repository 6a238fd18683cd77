package opt

import (
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

var lockNames = [...]string{"FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE"}

func lockName(s parser.LockStrength) string { return lockNames[s] }

var lockStrengths = [...]kvpb.LockStrength{kvpb.LockKeyShare, kvpb.LockShare, kvpb.LockNoKeyUpdate, kvpb.LockUpdate}

var lockWaits = [...]kvpb.WaitPolicy{kvpb.WaitBlock, kvpb.WaitError, kvpb.WaitSkip}

// lock adds the locks of FOR UPDATE and the like.
func (q *selection) lock() error {
	if len(q.e.Locks) == 0 {
		return nil
	}
	b := q.b
	name := lockName(q.e.Locks[0].Strength)
	forbidden := ""
	switch {
	case q.e.Distinct || len(q.on) > 0:
		forbidden = "DISTINCT clause"
	case len(q.e.GroupBy) > 0:
		forbidden = "GROUP BY clause"
	case q.having != nil:
		forbidden = "HAVING clause"
	case q.grouped:
		forbidden = "aggregate functions"
	case len(q.s.windows) > 0:
		forbidden = "window functions"
	case len(q.s.sets) > 0:
		forbidden = "set-returning functions in the target list"
	}
	if forbidden != "" {
		return pgerror.Newf(pgerror.FeatureNotSupported, "%s is not allowed with %s", name, forbidden)
	}
	node := &LockRows{Input: q.node}
	for _, l := range q.e.Locks {
		if len(l.Of) == 0 {
			for _, r := range q.s.relations {
				if err := q.lockRelation(node, r, l, false); err != nil {
					return err
				}
			}
			continue
		}
		for _, of := range l.Of {
			if of.Schema != "" {
				return b.fail(of.Position, pgerror.Syntax, "%s must specify unqualified relation names", lockName(l.Strength))
			}
			var found *relation
			for _, r := range q.s.relations {
				if r.name == of.Name && r.nameVisible {
					found = r
				}
			}
			if found == nil {
				return b.fail(of.Position, pgerror.UndefinedTable, "relation %q in %s clause not found in FROM clause", of.Name, lockName(l.Strength))
			}
			if err := q.lockRelation(node, found, l, true); err != nil {
				return err
			}
		}
	}
	if len(node.Tables) > 0 {
		b.writes = true
		q.node = node
	}
	return nil
}

func (q *selection) lockRelation(node *LockRows, r *relation, l parser.Lock, named bool) error {
	if r.scan == nil {
		switch {
		case r.query:
			return q.b.unsupported(parser.NoPosition, lockName(l.Strength)+" of a subquery or view")
		case named:
			return pgerror.Newf(pgerror.FeatureNotSupported, "%s cannot be applied to a function", lockName(l.Strength))
		}
		return nil
	}
	if r.nullable {
		return pgerror.Newf(pgerror.FeatureNotSupported, "%s cannot be applied to the nullable side of an outer join", lockName(l.Strength))
	}
	lock := Locking{Strength: lockStrengths[l.Strength], Wait: lockWaits[l.Wait]}
	keys := keyIDs(r.table, r.scan.Columns)
	for i := range node.Tables {
		if t := &node.Tables[i]; t.Table == r.table && t.Keys[0] == keys[0] {
			// Said twice: the stronger one holds, and the one that waits less.
			t.Lock.Strength, t.Lock.Wait = max(t.Lock.Strength, lock.Strength), max(t.Lock.Wait, lock.Wait)
			return nil
		}
	}
	node.Tables = append(node.Tables, LockedTable{Table: r.table, Keys: keys, Lock: lock})
	return nil
}

// keyIDs are the columns of the primary key.
func keyIDs(t *catalog.Table, columns []TableColumn) []ColumnID {
	ids := make([]ColumnID, len(t.Primary.Columns))
	for i, k := range t.Primary.Columns {
		ids[i] = columnOf(columns, k.Column)
	}
	return ids
}
