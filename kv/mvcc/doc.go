// Package mvcc keeps versions and intents of keys in a store's State engine:
// it evaluates reads against one consistent view and writes into a batch. It
// decides nothing about leases, latches or time: kv/server gives it timestamps
// and holds latches on all that is touched.
//
//	Reader ── versions: key@timestamp, newest first ──┐
//	       └─ locks:    one intent a key              ├→ values, conflicts
//	Writer ── a Reader, a batch, statistics ──────────┘→ versions or intents
//	Resolve: intent → version (committed), nothing (aborted), later intent (pushed)
//
// # Form of the data
//
// A committed version is an engine key with the timestamp as its suffix
// (engine.AppendVersion). Provisional values never stand among versions: an
// intent lies under the key's lock key (keys.AppendLock) with its transaction,
// its value and the values that the transaction wrote there before, for
// savepoints. So scans without conflicts step over committed data only, and
// pushing an intent rewrites one small entry. Where a transaction commits on
// one range in one batch its values are written as versions at once.
//
// What a key holds at most: any number of versions and one intent; an intent's
// timestamp is above every version's.
package mvcc
