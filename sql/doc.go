// Package sql is what a client's session is: it parses what the client says,
// keeps settings, prepared statements and portals, opens and ends
// transactions, has statements planned and run, and repeats them while that
// can't be noticed.
//
//	pgwire ── Session ─┬─ parser/postgres   text → syntax tree      (cached by text)
//	   ▲                ├─ opt               syntax tree → plan      (cached by text, types, settings, catalog epoch)
//	   │ Client         ├─ exec              plan → rows
//	   └────────────────┤  schemachange      CREATE, ALTER, DROP
//	      rows, tags    └─ txn, catalog      the transaction and the schema that it sees
//
// # Transactions
//
// A Session is in one of PostgreSQL's transaction states. Outside a
// transaction block everything between two Syncs (or in one simple query) is
// an implicit transaction. All levels run as SERIALIZABLE: READ COMMITTED and
// REPEATABLE READ promise less, so what they promise holds; SHOW
// transaction_isolation returns the level that was asked for. As in PostgreSQL
// at SERIALIZABLE a statement can fail with 40001 and the client then repeats
// the transaction.
//
// An implicit transaction, and the first statement of a block, is repeated by
// the server when it fails with an error that a repetition can mend, as long as
// nothing of its result was sent (Client.Rewind). An outcome that is not known
// (40003) is never repeated.
//
// # Concurrency
//
// A Session belongs to its connection's goroutine. Only Cancel, Terminate and
// what Server shows of it (pg_stat_activity) come from others. A Server is safe
// for concurrent use.
package sql
