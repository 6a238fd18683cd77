// Package txn coordinates transactions: it is the side of the protocol that
// sits with the SQL session and speaks to the ranges through a kv.Sender.
//
//	sql ─→ Txn.Send ─┬─ writes → buffer (buffer.go)
//	                 ├─ reads ──→ ranges, buffer merged in ──→ read spans (refresh.go)
//	                 └─ commit ─→ buffer + EndTxn in one batch (commit.go)
//	DB: heartbeats of those that hold locks, release of locks after the end
//
// A transaction reads at one timestamp and writes at another, at or above it.
// It commits when the two are the same. What pushes the write timestamp up
// (somebody read what is written, a newer version, a push) or makes the read
// timestamp useless (a value within clock uncertainty) is repaired here by a
// refresh: if nothing that was read has changed up to the later timestamp, the
// transaction might as well have begun there. Otherwise it must be retried:
// IsRetryable, Restart.
//
// Writes stay in the coordinator until the commit. A transaction whose writes
// lie on one range thus costs one replicated command, and leaves neither record
// nor intents on the way. Conditional writes lock their key when they are made,
// so that their condition still holds at the end. A buffer that grows beyond
// its bound is laid down as intents.
//
// Statements: reads see what was written up to the last Step; before the first
// Step they see everything.
//
// A Txn may be used by several goroutines for reading at the same time. Whoever
// writes, commits, steps or restarts must be alone.
package txn
