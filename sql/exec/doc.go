// Package exec runs plans: it turns the nodes of an opt.Plan into operators
// that pass batches of column vectors on, and expressions into kernels over
// such vectors.
//
//	opt.Plan → Prepare → Prepared → Start(Env) → Query: Open, Next…, Close
//
//	                 Query
//	                   │ pulls batches (sql/vector)
//	   operators: Project, Filter, Join, Aggregate, Sort, Insert …
//	                   │                      │ tableWriter: rows → entries
//	   leaves: Scan, IndexJoin, Values …      │ end of the statement: foreign keys
//	                   │ Get, Scan            │ ConditionalPut, Put, Delete
//	                   └──────── txn ─────────┘
//
// A Prepared is the operators of one plan, without anything of an execution:
// a session keeps it beside the cached plan and starts it again and again. It
// never changes the plan, which is shared with other sessions, and serves one
// execution at a time.
//
// Operators may be opened again after they were closed or read in part: that
// is how lateral joins and correlated subqueries run their inner plans, with
// the outer row's values in runtime.outer. A batch belongs to the operator that
// returned it until its next Next.
//
// # Memory
//
// What an operator keeps beyond a batch is accounted in Env.Memory; over its
// limit the query fails with 53200. Nothing is spilled to disk so far.
//
// # Writing
//
// Rows are written through txn.Transaction as they come; reads of the same
// statement don't see them (the transaction's Step decides what reads see).
// Constraints of single rows and unique indexes are checked as rows are
// written, foreign keys at the end of the statement, after a Step. A plan that
// writes is run to its end before its first row is returned, as in PostgreSQL.
package exec
