// Package concurrency isolates the requests of one range from each other, and
// transactions from each other as far as that range's locks reach. There is
// one Manager a replica; it is in use while the replica holds the lease. It
// keeps everything in memory: what must survive (intents) lies in the range.
//
//	           Sequence                                    Finish
//	request ─┬─→ latches ──→ lock table ──┬─→ evaluation ────┬──→ done
//	         │                  │ conflict │                  │ found an intent
//	         │   latches dropped▼          │                  ▼
//	         └───────────── queue ←────────┴──────────── HandleConflict
//	                          │ after a while
//	                          ▼
//	                  Pusher.Push ──→ PushTxn at the holder's record ──→ WaitForPush
//	                  Pusher.Resolve ──→ LocksResolved ──→ the queue's head goes on
//
// Latches last while a request is evaluated and replicated; they order the
// requests that overlap by arrival. Locks last until a transaction ends:
// intents (durable) and what locking reads took (in memory only). The table
// holds all locks of the second sort and those intents that somebody met.
// Losing an in-memory lock costs fairness, never correctness: a serializable
// transaction refreshes what it read.
//
// Waiting is first come, first served: each lock has a queue in the order of
// the requests' arrival, and a request keeps its places in all queues until it
// finishes, so that nobody who came later overtakes it between the release of
// a lock and its taking. Compatible waiters at the head go on together.
//
// Whoever waits longer than PushDelay pushes who blocks him. A push that can't
// succeed waits in the transaction wait queue of the range that holds the
// pushee's record; there cycles of waiting transactions are found
// (deadlock.go).
//
// What decides (latches.go, locks.go, deadlock.go) does no I/O and takes no
// time; Sequence and WaitForPush do the waiting. One mutex guards a Manager's
// state; it is never held across a wait. A Manager is safe for concurrent use,
// a Guard belongs to one request.
package concurrency
