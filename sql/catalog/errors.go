package catalog

import "github.com/cairndb/cairn/sql/pgerror"

// UndefinedTable is PostgreSQL's error for a relation that doesn't exist.
func UndefinedTable(n Name) *pgerror.Error {
	return pgerror.Newf(pgerror.UndefinedTable, "relation %q does not exist", n.String())
}

// UndefinedSchema is PostgreSQL's error for a schema that doesn't exist.
func UndefinedSchema(name string) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidSchemaName, "schema %q does not exist", name)
}

// UndefinedColumn is the error of DDL on a column that the table lacks.
func UndefinedColumn(t *Table, column string) *pgerror.Error {
	return pgerror.Newf(pgerror.UndefinedColumn, "column %q of relation %q does not exist", column, t.Name)
}
