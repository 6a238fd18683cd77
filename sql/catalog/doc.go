// Package catalog is what the SQL layer knows of databases, schemas, tables,
// views, sequences and roles: their descriptors, how these are stored, cached
// and leased, and how names are resolved to them.
//
//	binder, executor → Resolver ─┬→ cache of this node (Manager) ─→ KV, once per schema change
//	                             └→ KV through the transaction, once it has changed the schema itself
//
// # Storage
//
// A descriptor is one key-value pair under keys.DescriptorPrefix, a versioned
// JSON document; a name is one pair under keys.NamespacePrefix, which makes it
// unique within its parent. Both are ordinary transactional rows: DDL is as
// atomic as any other statement. Each transaction that writes a descriptor
// also increments the schema epoch as the last thing before it commits
// (Transaction.BeforeCommit), so that nodes know by one read whether they are
// up to date.
//
// # Leases
//
// As in F1 (Rae et al., VLDB 2013) at most two versions of a descriptor are in
// use at a time. A node keeps one lease for the whole schema, a row under
// keys.LeasePrefix with an expiration, the epoch up to which its cache is
// refreshed and the older versions that its running transactions still use.
// Transactions that used the cache must commit before the lease expires
// (Txn deadline). Manager.WaitForVersion returns when no unexpired lease can
// use an older version: a schema change takes its next step only then. A node
// that nobody uses lets its lease run out and costs nothing.
//
// # Locks
//
// A change that running transactions can't bear locks the table
// (Transaction.Lock): a transaction of its own stores a Fence in the
// descriptor, all nodes are drained of the versions before, and whoever
// resolves the table waits until the fence is gone. The changing transaction
// stores the new version without it, so that commit and unlock are one. The
// fence of a node whose lease ran out is taken away by whoever meets it.
//
// # Ids
//
// Descriptor ids are PostgreSQL's OIDs of the objects; those made by users
// start at 16384. Indexes and constraints take their OIDs from the same
// allocator. Ids are never reused.
//
// Descriptors are immutable once they are read: whoever changes one works on
// a copy (Clone).
package catalog
