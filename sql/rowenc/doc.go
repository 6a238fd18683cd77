// Package rowenc turns rows of a table into key-value pairs and back.
//
//	primary index    /table/<id>/<index>/<key columns>                    → all other columns
//	unique index     /table/<id>/<index>/<key columns>                    → primary key, stored columns
//	  with a NULL    /table/<id>/<index>/<key columns><rest of primary key> → primary key, stored columns
//	other index      /table/<id>/<index>/<key columns><rest of primary key> → stored columns
//
// "rest of primary key" are the primary key's columns that the index's key
// does not have already.
//
// Key columns are written in an encoding whose bytes sort as PostgreSQL sorts
// the values (key.go). For some types equal values may look different (1.0 and
// 1.00): where the key loses the look, the value is kept beside the other
// columns in the pair's value as well, and wins when the row is read.
//
// A pair's value is a version byte followed by the columns that are not NULL in
// order of their ids, each a header (difference to the last column id, wire
// kind) and its bytes (value.go). Columns that the reader doesn't know are
// skipped by their kind; columns that are not there are NULL, or the column's
// Missing value when the row is older than the column.
//
// Rows are slices of datums with the column of id n at n-1 (the position in
// catalog.Table.Columns): dropped columns keep their place and are ignored.
//
// A Layout holds what can be prepared for one index; it is immutable and may
// be shared. Writers and Decoders hold buffers and belong to one goroutine.
package rowenc
