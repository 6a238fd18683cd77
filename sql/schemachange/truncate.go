package schemachange

import (
	"context"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// truncate empties tables by giving their indexes new ids: nothing is read or
// deleted until the transaction has committed.
func (env *Env) truncate(ctx context.Context, s *parser.Truncate) error {
	var tables []*catalog.Table
	in := map[catalog.ID]bool{}
	for _, name := range s.Tables {
		t, err := env.findTable(ctx, name, false)
		if err != nil {
			return err
		}
		if !in[t.ID] {
			in[t.ID] = true
			tables = append(tables, t)
		}
	}
	for i := 0; i < len(tables); i++ {
		t := tables[i]
		for _, f := range t.ReferencedBy {
			if in[f.Table] {
				continue
			}
			other, err := env.Catalog.TableByID(ctx, f.Table)
			if err != nil {
				return err
			}
			if !s.Cascade {
				return pgerror.New(pgerror.FeatureNotSupported, "cannot truncate a table referenced in a foreign key constraint").
					WithDetail("Table %q references %q.", other.Name, t.Name).
					WithHint("Truncate table %q at the same time, or use TRUNCATE ... CASCADE.", other.Name)
			}
			env.notice(pgerror.SuccessfulCompletion, "truncate cascades to table %q", other.Name)
			in[other.ID] = true
			tables = append(tables, other)
		}
	}
	relations := make([]catalog.Relation, len(tables))
	for i, t := range tables {
		relations[i] = t
	}
	if err := env.Catalog.Lock(ctx, relations...); err != nil {
		return err
	}
	for _, t := range tables {
		n, err := env.cloneTable(ctx, t.ID)
		if err != nil {
			return err
		}
		if err := env.renumber(ctx, n, nil); err != nil {
			return err
		}
		for i := range n.Columns {
			n.Columns[i].Missing = nil
		}
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
		if s.RestartIdentity {
			if err := env.restartSequences(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// restartSequences makes the sequences of a table's columns begin anew.
func (env *Env) restartSequences(ctx context.Context, t *catalog.Table) error {
	relations, err := env.Catalog.Relations(ctx)
	if err != nil {
		return err
	}
	for _, r := range relations {
		q, ok := r.(*catalog.Sequence)
		if !ok || q.OwnerTable != t.ID || slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return c.ID == q.OwnerColumn && c.Dropped }) {
			continue
		}
		n := catalog.Clone(q)
		n.RestartAt(n.Start)
		if err := env.Catalog.Write(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
