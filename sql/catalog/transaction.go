package catalog

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// Transaction is the schema as one transaction sees it. It implements
// Resolver: what the transaction did not change itself comes from the node's
// cache, by look-ups in maps. Where the cache is newer than the transaction, it
// reads the schema for itself.
//
// What the session owes it:
//
//   - before each commit: BeforeCommit;
//   - afterwards Committed, or RolledBack, exactly once; also for a transaction
//     that is going to be restarted, which then begins a new one;
//   - at SAVEPOINT and ROLLBACK TO: Savepoint and RollbackTo;
//   - for each plan that it takes from its cache: UsesCached with the plan's
//     tables.
//
// It belongs to one session and is not safe for concurrent use.
type Transaction struct {
	manager *Manager
	txn     *txn.Txn
	names   Names

	next, previous *Transaction // guarded by Manager.activeMu

	mu sync.Mutex
	// uses are the tables of the cache that the transaction uses; only it adds
	// to them. Guarded by mu.
	uses   []*Table
	inline [4]*Table // the first of uses

	// private is the schema as read through txn, nil where the cache will do.
	private *snapshot
	// deadline is the end of the lease that txn knows of, term its term.
	deadline, term int64
	checked        *snapshot // known to be the newest when a name was missing

	changes Savepoint // what was done to the schema so far
	// stored are the versions that the touched descriptors had before, 0 for
	// those that are new.
	stored map[ID]Version
	fenced map[ID]Version // tables that Lock took, and their versions then
	number uint64         // names the transaction in fences
	// altered: something that existed was changed. epoch: as BeforeCommit wrote
	// it, 0 before. quiet: Committed needn't wait for other nodes.
	altered bool
	quiet   bool
	epoch   uint64
	hooks   []func(context.Context)
	undo    []func(context.Context)

	path   []*Schema // SearchPath for pathOf; nil after any change
	pathOf *snapshot
}

// Savepoint marks what a transaction did to the schema so far.
type Savepoint struct {
	// descriptors as changed, nil where dropped; names as taken, 0 where freed.
	descriptors map[ID]Descriptor
	names       map[nameKey]ID
	hooks       int
}

var _ Resolver = (*Transaction)(nil)

// Txn returns the transaction that x belongs to.
func (x *Transaction) Txn() *txn.Txn { return x.txn }

// SetNames changes where unqualified names lead to (SET search_path, SET ROLE).
func (x *Transaction) SetNames(n Names) { x.names, x.path = n, nil }

// Names returns where unqualified names lead to.
func (x *Transaction) Names() Names { return x.names }

// NewID returns an id that nothing had before.
func (x *Transaction) NewID(ctx context.Context) (ID, error) { return x.manager.newID(ctx) }

// OnCommit has f called once the transaction has committed, unless it is
// rolled back to an earlier savepoint.
func (x *Transaction) OnCommit(f func(context.Context)) {
	x.hooks = append(x.hooks[:x.changes.hooks:x.changes.hooks], f)
	x.changes.hooks++
}

// OnRollback has f called if the transaction ends without a commit, whatever
// savepoints were rolled back to.
func (x *Transaction) OnRollback(f func(context.Context)) { x.undo = append(x.undo, f) }

// Changed reports whether the transaction wrote descriptors.
func (x *Transaction) Changed() bool { return len(x.changes.descriptors) > 0 || len(x.fenced) > 0 }

// Created reports whether the transaction made the descriptor itself.
func (x *Transaction) Created(id ID) bool {
	v, ok := x.stored[id]
	return ok && v == 0
}

// Create stores a new descriptor, with Version 1, under its name: 42P07 and
// its like if the name is taken. It gives d an id if it has none.
func (x *Transaction) Create(ctx context.Context, d Descriptor) error {
	h := d.Head()
	if h.ID == 0 {
		id, err := x.NewID(ctx)
		if err != nil {
			return err
		}
		h.ID = id
	}
	h.Version = 1
	if err := x.touch(h.ID, 0); err != nil {
		return err
	}
	return x.store(ctx, d, nil, nil)
}

// Write stores a changed clone of a descriptor. It sets the next Version.
// Tables that transactions may be using must be locked, unless the change is
// one that they can bear, as a step of an online schema change.
func (x *Transaction) Write(ctx context.Context, d Descriptor) error {
	h := d.Head()
	old, err := x.acquire(ctx, d)
	if err != nil {
		return err
	}
	h.Version = x.stored[h.ID] + 1
	return x.store(ctx, d, old, nil)
}

// WriteBeside is Write for a step of an online change, in a transaction of its
// own: the table may be locked by another transaction and stays so.
func (x *Transaction) WriteBeside(ctx context.Context, d Descriptor) error {
	h := d.Head()
	old, err := x.acquire(ctx, d)
	if err != nil {
		return err
	}
	h.Version = x.stored[h.ID] + 1
	return x.store(ctx, d, old, old.Head().Fence)
}

// Drop removes a descriptor and its name.
func (x *Transaction) Drop(ctx context.Context, d Descriptor) error {
	old, err := x.acquire(ctx, d)
	if err != nil {
		return err
	}
	batch := &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Delete, Key: descriptorKey(d.Head().ID)}}}
	for _, n := range namesOf(old) {
		batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Delete, Key: n.key()})
	}
	if _, err := x.txn.Send(ctx, batch); err != nil {
		return err
	}
	for _, n := range namesOf(old) {
		x.changes.names[n] = 0
	}
	x.changes.descriptors[d.Head().ID] = nil
	x.path = nil
	return nil
}

// Rename gives d, a clone, another name or parent (a schema, a database; 0:
// the same) and stores it.
func (x *Transaction) Rename(ctx context.Context, d Descriptor, newName string, newParent ID) error {
	d.Head().Name = newName
	if newParent != 0 {
		switch d := d.(type) {
		case *Table:
			d.Schema = newParent
		case *View:
			d.Schema = newParent
		case *Sequence:
			d.Schema = newParent
		case *Schema:
			d.Database = newParent
		}
	}
	return x.Write(ctx, d)
}

// touch begins the change of a descriptor whose stored version is v.
func (x *Transaction) touch(id ID, v Version) error {
	if x.txn.Options().ReadOnly {
		return pgerror.New(pgerror.ReadOnlySQLTransaction, "cannot change the schema in a read-only transaction")
	}
	if x.stored == nil {
		x.stored = map[ID]Version{}
	}
	if x.changes.descriptors == nil {
		x.changes.descriptors, x.changes.names = map[ID]Descriptor{}, map[nameKey]ID{}
	}
	x.stored[id] = v
	x.altered = x.altered || v > 0
	return nil
}

// acquire locks the stored descriptor, which must be the version that d was
// cloned from, and returns it as it is after the transaction's own changes.
func (x *Transaction) acquire(ctx context.Context, d Descriptor) (Descriptor, error) {
	id := d.Head().ID
	if own, ok := x.changes.descriptors[id]; ok {
		if own == nil {
			return nil, pgerror.Newf(pgerror.Internal, "descriptor %d was dropped", id)
		}
		return own, nil
	}
	old, err := x.readLocked(ctx, id)
	if err != nil {
		return nil, err
	}
	if v, ok := x.stored[id]; old == nil || old.Head().Version != d.Head().Version && (!ok || v != old.Head().Version) {
		return nil, x.stale(id)
	}
	return old, x.touch(id, old.Head().Version)
}

// stale is the retryable error of a transaction that knows an old schema.
func (x *Transaction) stale(id ID) error {
	return &kvpb.TransactionRetryError{Reason: kvpb.RetryDeadline, Key: descriptorKey(id), At: x.manager.config.DB.Clock().Now()}
}

// readLocked reads the newest version of a descriptor and locks it; nil if
// there is none.
func (x *Transaction) readLocked(ctx context.Context, id ID) (Descriptor, error) {
	responses, err := x.txn.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: descriptorKey(id), Lock: kvpb.LockUpdate}}})
	if err != nil || responses[0].Value == nil {
		return nil, err
	}
	return decode(kvpb.KeyValue{Key: descriptorKey(id), Value: responses[0].Value, Timestamp: responses[0].Timestamp})
}

// store writes d, with a fence or none, and its names; old is what it replaces,
// if anything.
func (x *Transaction) store(ctx context.Context, d, old Descriptor, fence *Fence) error {
	d = Clone(d)
	h := d.Head()
	h.Fence = fence
	var taken, freed []nameKey
	var before []nameKey
	if old != nil {
		before = namesOf(old)
	}
	after := namesOf(d)
	for i, n := range after {
		if slices.Contains(after[:i], n) {
			return nameTaken(n)
		}
		if !slices.Contains(before, n) {
			taken = append(taken, n)
		}
	}
	for _, n := range before {
		if !slices.Contains(after, n) {
			freed = append(freed, n)
		}
	}
	if err := x.requireFree(ctx, taken); err != nil {
		return err
	}
	value, err := encode(d)
	if err != nil {
		return err
	}
	batch := &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: descriptorKey(h.ID), Value: value}}}
	for _, n := range taken {
		batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Put, Key: n.key(), Value: encodeID(h.ID)})
	}
	for _, n := range freed {
		batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Delete, Key: n.key()})
	}
	if _, err := x.txn.Send(ctx, batch); err != nil {
		return err
	}
	for _, n := range freed {
		x.changes.names[n] = 0
	}
	for _, n := range taken {
		x.changes.names[n] = h.ID
	}
	h.Uncommitted = true
	x.changes.descriptors[h.ID] = d
	x.path = nil
	return nil
}

// requireFree fails if one of the names is taken, and locks them.
func (x *Transaction) requireFree(ctx context.Context, names []nameKey) error {
	batch := &txn.Batch{}
	var asked []nameKey
	for _, n := range names {
		if id, own := x.changes.names[n]; own {
			if id != 0 {
				return nameTaken(n)
			}
			continue
		}
		asked = append(asked, n)
		batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Get, Key: n.key(), Lock: kvpb.LockUpdate})
	}
	if len(asked) == 0 {
		return nil
	}
	responses, err := x.txn.Send(ctx, batch)
	if err != nil {
		return err
	}
	for i := range responses {
		if responses[i].Value != nil {
			return nameTaken(asked[i])
		}
	}
	return nil
}

// Savepoint returns a mark for RollbackTo.
func (x *Transaction) Savepoint() Savepoint {
	return Savepoint{descriptors: maps.Clone(x.changes.descriptors), names: maps.Clone(x.changes.names), hooks: x.changes.hooks}
}

// RollbackTo forgets what was done to the schema since the mark; the mark
// stays valid.
func (x *Transaction) RollbackTo(s Savepoint) {
	touched := len(x.changes.descriptors) > 0
	x.changes = Savepoint{descriptors: maps.Clone(s.descriptors), names: maps.Clone(s.names), hooks: s.hooks}
	if touched && x.changes.descriptors == nil {
		x.changes.descriptors, x.changes.names = map[ID]Descriptor{}, map[nameKey]ID{}
	}
	x.path = nil
}

// BeforeCommit prepares the commit: it sets the transaction's deadline, and
// for one that changed the schema it writes the schema's new epoch.
func (x *Transaction) BeforeCommit(ctx context.Context) error {
	if x.Changed() && x.epoch == 0 {
		if err := x.writeEpoch(ctx); err != nil {
			return err
		}
	}
	if len(x.uses) == 0 && x.deadline == 0 {
		return nil
	}
	if err := x.ensureLease(ctx); err != nil {
		return err
	}
	// After a gap between two leases the older versions were no longer promised
	// to this node: what is used must be current.
	if term := x.manager.term.Load(); term != x.term {
		current := x.manager.current.Load()
		for _, t := range x.uses {
			if d := current.byID[t.ID]; d == nil || d.Head().Version != t.Version {
				return x.stale(t.ID)
			}
		}
		x.term = term
	}
	return nil
}

func (x *Transaction) writeEpoch(ctx context.Context) error {
	// Tables that were locked and not changed after all lose their fence.
	for id := range x.fenced {
		if _, changed := x.changes.descriptors[id]; changed {
			continue
		}
		d, err := x.readLocked(ctx, id)
		if err != nil {
			return err
		}
		if d == nil || d.Head().Fence == nil || !x.owns(d.Head().Fence) {
			return x.stale(id)
		}
		if err := x.Write(ctx, Clone(d)); err != nil {
			return err
		}
	}
	responses, err := x.txn.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: epochKey, Lock: kvpb.LockUpdate}}})
	if err != nil {
		return err
	}
	epoch, err := decodeEpoch(responses[0].Value)
	if err != nil {
		return err
	}
	if _, err := x.txn.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: epochKey, Value: encodeEpoch(epoch + 1)}}}); err != nil {
		return err
	}
	x.epoch = epoch + 1
	return nil
}

// Committed tells that the transaction committed. For one that changed the
// schema it returns when all nodes know it, or after a while.
func (x *Transaction) Committed(ctx context.Context) {
	m := x.manager
	if x.epoch != 0 {
		// The client may be gone: the node must learn of it all the same.
		ctx = context.WithoutCancel(ctx)
		m.committed(ctx, x.changes.descriptors, x.epoch, x.txn.CommitTimestamp())
		m.countFences(-len(x.fenced))
	}
	m.end(x)
	if x.epoch != 0 && x.altered && !x.quiet {
		m.waitForEpoch(ctx, x.epoch)
	}
	for _, f := range x.hooks[:x.changes.hooks] {
		f(ctx)
	}
}

// RolledBack tells that the transaction ended otherwise. Where it had tables
// locked it is rolled back here, if it isn't yet.
func (x *Transaction) RolledBack(ctx context.Context) {
	m := x.manager
	m.end(x)
	if len(x.fenced) > 0 {
		// Its locks on the descriptors would be in the way.
		if err := x.txn.Rollback(context.WithoutCancel(ctx)); err != nil {
			m.config.Logger.Debug("rollback failed", "error", err)
		}
		m.unfence(context.WithoutCancel(ctx), x)
	}
	if x.epoch != 0 {
		// The outcome may be unknown.
		if err := m.refresh(ctx); err != nil {
			m.expiration.Store(0)
		}
	}
	for _, f := range x.undo {
		f(context.WithoutCancel(ctx))
	}
}

// ensureLease makes sure that the cache may be used, and tells txn until when.
func (x *Transaction) ensureLease(ctx context.Context) error {
	expiration, err := x.manager.ensure(ctx)
	if err != nil {
		return err
	}
	if x.deadline == 0 {
		x.term = x.manager.term.Load()
	}
	if expiration != x.deadline {
		x.txn.SetDeadline(hlc.Timestamp{WallTime: expiration})
		x.deadline = expiration
	}
	return nil
}

// Run runs fn in a transaction of its own and commits it: how a schema change
// takes a step that others see at once. fn may be run several times.
func (m *Manager) Run(ctx context.Context, name string, names Names, fn func(context.Context, *Transaction) error) error {
	var x *Transaction
	err := m.config.DB.Run(ctx, txn.Options{Name: name}, func(ctx context.Context, t *txn.Txn) error {
		if x != nil {
			x.RolledBack(ctx)
		}
		x = m.Begin(t, names)
		x.quiet = true
		if err := fn(ctx, x); err != nil {
			return err
		}
		return x.BeforeCommit(ctx)
	})
	if x != nil {
		if err != nil {
			x.RolledBack(ctx)
		} else {
			x.Committed(ctx)
		}
	}
	return err
}
