package exec

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// maxShownValueBytes is how much of a value "Failing row contains" shows, as
// in PostgreSQL.
const maxShownValueBytes = 64

// about sets the error's fields that name a table and a constraint.
func about(ctx context.Context, rt *runtime, e *pgerror.Error, t *catalog.Table, constraint string) *pgerror.Error {
	e.Table, e.Constraint = t.Name, constraint
	if rt.env.Resolver != nil {
		if s, err := rt.env.Resolver.SchemaByID(ctx, t.Schema); err == nil && s != nil {
			e.Schema = s.Name
		}
	}
	return e
}

// uniqueViolation is 23505: the values of the index's columns are there already.
func uniqueViolation(ctx context.Context, rt *runtime, t *catalog.Table, ix *catalog.Index, values []types.Datum) error {
	var columns []catalog.ColumnID
	for _, c := range ix.Columns {
		columns = append(columns, c.Column)
	}
	e := pgerror.Newf(pgerror.UniqueViolation, "duplicate key value violates unique constraint %q", ix.Name).
		WithDetail("Key (%s)=(%s) already exists.", columnNames(t, columns, true), valueTexts(rt, t, columns, values))
	return about(ctx, rt, e, t, ix.Name)
}

// columnNames lists columns as error details do; quoted: as identifiers.
func columnNames(t *catalog.Table, columns []catalog.ColumnID, quoted bool) string {
	names := make([]string, len(columns))
	for i, id := range columns {
		names[i] = t.Columns[id-1].Name
		if quoted && !plainIdentifier(names[i]) {
			names[i] = `"` + strings.ReplaceAll(names[i], `"`, `""`) + `"`
		}
	}
	return strings.Join(names, ", ")
}

// plainIdentifier reports whether a name needs no quotes, keywords aside.
func plainIdentifier(name string) bool {
	for i, c := range name {
		if !(c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return name != ""
}

func valueTexts(rt *runtime, t *catalog.Table, columns []catalog.ColumnID, values []types.Datum) string {
	var b []byte
	for i, id := range columns {
		if i > 0 {
			b = append(b, ", "...)
		}
		if values[i].Null {
			b = append(b, "null"...)
			continue
		}
		b = types.AppendText(b, rt.env.Types, t.Columns[id-1].Type, values[i])
	}
	return string(b)
}

// failingRow is the detail that shows a row.
func failingRow(rt *runtime, t *catalog.Table, row []types.Datum) string {
	var b []byte
	first := true
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Dropped || c.Hidden || c.State != catalog.Public {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		if row[i].Null {
			b = append(b, "null"...)
			continue
		}
		start := len(b)
		b = types.AppendText(b, rt.env.Types, c.Type, row[i])
		if len(b)-start > maxShownValueBytes {
			end := start + maxShownValueBytes
			for end > start && !utf8.RuneStart(b[end]) {
				end--
			}
			b = append(b[:end], "..."...)
		}
	}
	return "Failing row contains (" + string(b) + ")."
}

// notNullViolation is 23502.
func notNullViolation(ctx context.Context, rt *runtime, t *catalog.Table, c *catalog.Column, row []types.Datum) error {
	e := pgerror.Newf(pgerror.NotNullViolation, "null value in column %q of relation %q violates not-null constraint", c.Name, t.Name)
	e.Detail = failingRow(rt, t, row)
	e.Column = c.Name
	return about(ctx, rt, e, t, "")
}

// checkViolation is 23514.
func checkViolation(ctx context.Context, rt *runtime, t *catalog.Table, constraint string, row []types.Datum) error {
	e := pgerror.Newf(pgerror.CheckViolation, "new row for relation %q violates check constraint %q", t.Name, constraint)
	e.Detail = failingRow(rt, t, row)
	return about(ctx, rt, e, t, constraint)
}

// missingKey is 23503 of a referencing row.
func missingKey(ctx context.Context, rt *runtime, t, referenced *catalog.Table, fk *catalog.ForeignKey, values []types.Datum) error {
	e := pgerror.Newf(pgerror.ForeignKeyViolation, "insert or update on table %q violates foreign key constraint %q", t.Name, fk.Name).
		WithDetail("Key (%s)=(%s) is not present in table %q.", columnNames(t, fk.Columns, false), valueTexts(rt, t, fk.Columns, values), referenced.Name)
	return about(ctx, rt, e, t, fk.Name)
}

// mixedNulls is 23503 of a MATCH FULL key that is NULL in part.
func mixedNulls(ctx context.Context, rt *runtime, t *catalog.Table, fk *catalog.ForeignKey) error {
	e := pgerror.Newf(pgerror.ForeignKeyViolation, "insert or update on table %q violates foreign key constraint %q", t.Name, fk.Name)
	e.Detail = "MATCH FULL does not allow mixing of null and nonnull key values."
	return about(ctx, rt, e, t, fk.Name)
}

// stillReferenced is 23503 of a referenced row.
func stillReferenced(ctx context.Context, rt *runtime, referenced, t *catalog.Table, fk *catalog.ForeignKey, values []types.Datum) error {
	e := pgerror.Newf(pgerror.ForeignKeyViolation, "update or delete on table %q violates foreign key constraint %q on table %q", referenced.Name, fk.Name, t.Name).
		WithDetail("Key (%s)=(%s) is still referenced from table %q.", columnNames(referenced, fk.ReferencedColumns, false),
			valueTexts(rt, referenced, fk.ReferencedColumns, values), t.Name)
	return about(ctx, rt, e, t, fk.Name)
}
