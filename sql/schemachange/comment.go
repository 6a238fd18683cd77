package schemachange

import (
	"context"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (env *Env) comment(ctx context.Context, s *parser.Comment) error {
	switch s.Kind {
	case parser.ObjectTable, parser.ObjectView, parser.ObjectSequence:
		r, err := env.findRelation(ctx, s.Table, false)
		if err != nil {
			return err
		}
		if got := kindOf(r); got != s.Kind {
			return pgerror.Newf(pgerror.WrongObjectType, "%q is not a %s", r.Head().Name, strings.ToLower(kindName(s.Kind)))
		}
		return env.commentRelation(ctx, r, func(d catalog.Descriptor) error { d.Head().Comment = s.Text; return nil })
	case parser.ObjectIndex:
		t, ix, err := env.Catalog.Index(ctx, nameOf(s.Table))
		if err != nil {
			return err
		}
		if t == nil {
			return catalog.UndefinedTable(nameOf(s.Table))
		}
		if err := env.requireOwner(ctx, t); err != nil {
			return err
		}
		id := ix.ID
		return env.commentRelation(ctx, t, func(d catalog.Descriptor) error {
			if ix := d.(*catalog.Table).Index(id); ix != nil {
				ix.Comment = s.Text
			}
			return nil
		})
	case parser.ObjectColumn, parser.ObjectConstraint:
		r, err := env.findRelation(ctx, s.Table, false)
		if err != nil {
			return err
		}
		if s.Kind == parser.ObjectColumn {
			return env.commentRelation(ctx, r, func(d catalog.Descriptor) error { return commentColumn(d, s) })
		}
		return env.commentRelation(ctx, r, func(d catalog.Descriptor) error { return commentConstraint(d, s) })
	case parser.ObjectSchema:
		schema, err := env.Catalog.SchemaNamed(ctx, s.Table.Name)
		if err == nil && schema == nil {
			err = catalog.UndefinedSchema(s.Table.Name)
		}
		if err != nil {
			return err
		}
		if schema.Virtual {
			return pgerror.Newf(pgerror.InsufficientPrivilege, "must be owner of schema %s", schema.Name)
		}
		return env.commentOn(ctx, schema, s.Text)
	case parser.ObjectDatabase:
		d, err := env.Catalog.DatabaseNamed(ctx, s.Table.Name)
		if err != nil {
			return err
		}
		if d == nil {
			return pgerror.Newf(pgerror.InvalidCatalogName, "database %q does not exist", s.Table.Name)
		}
		return env.commentOn(ctx, d, s.Text)
	case parser.ObjectRole:
		r, err := env.roleNamed(ctx, s.Table.Name)
		if err != nil {
			return err
		}
		if err := env.requireCreateRole(ctx); err != nil {
			return err
		}
		n := catalog.Clone(r)
		n.Comment = s.Text
		return env.Catalog.Write(ctx, n)
	}
	return pgerror.Unsupported("COMMENT ON " + kindName(s.Kind))
}

func (env *Env) commentOn(ctx context.Context, d catalog.Descriptor, text string) error {
	if err := env.requireOwner(ctx, d); err != nil {
		return err
	}
	n := catalog.Clone(d)
	n.Head().Comment = text
	return env.Catalog.Write(ctx, n)
}

// commentRelation changes what running transactions need not know of: without
// a lock.
func (env *Env) commentRelation(ctx context.Context, r catalog.Relation, change func(catalog.Descriptor) error) error {
	t, ok := r.(*catalog.Table)
	if !ok {
		n := catalog.Clone[catalog.Descriptor](r)
		if err := change(n); err != nil {
			return err
		}
		return env.Catalog.Write(ctx, n)
	}
	now, err := env.Catalog.ReloadUnlessOwn(ctx, t.ID)
	if err != nil {
		return err
	}
	if now == nil {
		return catalog.UndefinedTable(catalog.Name{Object: t.Name})
	}
	n := catalog.Clone(now)
	if err := change(n); err != nil {
		return err
	}
	return env.Catalog.WriteBeside(ctx, n)
}

func commentColumn(d catalog.Descriptor, s *parser.Comment) error {
	undefined := pgerror.Newf(pgerror.UndefinedColumn, "column %q of relation %q does not exist", s.Name, d.Head().Name)
	switch d := d.(type) {
	case *catalog.Table:
		c := d.ColumnNamed(s.Name)
		if c == nil || c.Hidden {
			return undefined
		}
		c.Comment = s.Text
	case *catalog.View:
		for i := range d.Columns {
			if d.Columns[i].Name == s.Name {
				d.Columns[i].Comment = s.Text
				return nil
			}
		}
		return undefined
	default:
		return pgerror.Newf(pgerror.WrongObjectType, "cannot set comment on relation %q", d.Head().Name).WithDetail("This operation is not supported for sequences.")
	}
	return nil
}

func commentConstraint(d catalog.Descriptor, s *parser.Comment) error {
	if t, ok := d.(*catalog.Table); ok {
		for i := range t.Checks {
			if t.Checks[i].Name == s.Name {
				t.Checks[i].Comment = s.Text
				return nil
			}
		}
		for i := range t.ForeignKeys {
			if t.ForeignKeys[i].Name == s.Name {
				t.ForeignKeys[i].Comment = s.Text
				return nil
			}
		}
		if constraintNames(t)[s.Name] {
			return pgerror.Unsupported("COMMENT ON a key constraint")
		}
	}
	return pgerror.Newf(pgerror.UndefinedObject, "constraint %q for table %q does not exist", s.Name, d.Head().Name)
}
