package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// suspectedDeadlock is how long a schema change that holds locks waits for the
// users of a table before it gives up: a cycle through row locks and fences is
// not found otherwise.
const suspectedDeadlock = 15 * time.Second

// Lock makes existing relations x's own until the transaction ends, as
// PostgreSQL's ACCESS EXCLUSIVE lock does: it waits for the transactions that
// use them, on all nodes, and makes those that want to use them wait. What x
// created or locked already takes nothing; nor do relations that aren't tables.
//
//	own transaction:  descriptor v+1 with Fence → all nodes drained of ≤ v
//	x.txn:            reads v+1 … writes v+2 without Fence, commits
//
// Afterwards the relations must be read from x again before they are cloned.
func (x *Transaction) Lock(ctx context.Context, relations ...Relation) error {
	if x.txn.Options().ReadOnly {
		return pgerror.New(pgerror.ReadOnlySQLTransaction, "cannot change the schema in a read-only transaction")
	}
	var ids []ID
	for _, r := range relations {
		id := r.Head().ID
		_, fenced := x.fenced[id]
		if t, ok := r.(*Table); ok && !t.IsVirtual() && !fenced && !x.Created(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil
	}
	if x.number == 0 {
		x.number = x.manager.numbers.Add(1)
	}
	if x.txn.HasWrites() || len(x.fenced) > 0 {
		bounded, cancel := context.WithTimeoutCause(ctx, suspectedDeadlock, errDeadlock)
		defer cancel()
		if err := x.lock(bounded, ids); err != nil {
			if context.Cause(bounded) == errDeadlock {
				return errDeadlock
			}
			return err
		}
		return nil
	}
	return x.lock(ctx, ids)
}

var errDeadlock = pgerror.New(pgerror.DeadlockDetected, "deadlock detected")

func (x *Transaction) lock(ctx context.Context, ids []ID) error {
	m := x.manager
	for {
		blocker, fence, err := x.fence(ctx, ids)
		if err != nil {
			return err
		}
		if fence == nil {
			break
		}
		if slices.ContainsFunc(x.uses, func(t *Table) bool { return t.ID == blocker }) {
			// The other waits for x to end.
			return errDeadlock
		}
		if err := m.waitForFence(ctx, blocker, fence); err != nil {
			return err
		}
	}
	waited := false
	for _, id := range ids {
		w, err := m.drain(ctx, id, x.fenced[id], x)
		if err != nil {
			return err
		}
		waited = waited || w
	}
	if waited {
		// Those that were waited for may have written after the fence was: x must
		// read later than they wrote.
		if _, _, err := x.fence(ctx, ids); err != nil {
			return err
		}
	}
	for _, id := range ids {
		d, err := x.readLocked(ctx, id)
		if err != nil {
			return err
		}
		if d == nil || d.Head().Fence == nil || !x.owns(d.Head().Fence) {
			return x.stale(id)
		}
		if err := x.touch(id, d.Head().Version); err != nil {
			return err
		}
		x.adopt(d)
	}
	return nil
}

// fence puts x's fence around tables in a transaction of its own. If another
// has one of them fenced, it returns that and does nothing.
func (x *Transaction) fence(ctx context.Context, ids []ID) (blocker ID, other *Fence, err error) {
	m := x.manager
	versions := map[ID]Version{}
	err = m.Run(ctx, "lock tables", x.names, func(ctx context.Context, side *Transaction) error {
		blocker, other = 0, nil
		for _, id := range ids {
			d, err := side.readLocked(ctx, id)
			if err != nil {
				return err
			}
			if d == nil {
				return x.stale(id)
			}
			if f := d.Head().Fence; f != nil && !x.owns(f) {
				blocker, other = id, f
				return errFenced
			}
			if err := side.storeFence(ctx, d, &Fence{Node: int32(m.config.Node), Incarnation: m.incarnation, Transaction: x.number}); err != nil {
				return err
			}
			versions[id] = d.Head().Version + 1
		}
		return nil
	})
	if other != nil {
		return blocker, other, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if x.fenced == nil {
		x.fenced = map[ID]Version{}
	}
	for id, v := range versions {
		if _, again := x.fenced[id]; !again {
			m.countFences(1)
		}
		x.fenced[id] = v
	}
	return 0, nil, nil
}

var errFenced = pgerror.New(pgerror.ObjectInUse, "the table is being changed")

// storeFence stores d again with another fence, which may be nil.
func (x *Transaction) storeFence(ctx context.Context, d Descriptor, f *Fence) error {
	if err := x.touch(d.Head().ID, d.Head().Version); err != nil {
		return err
	}
	n := Clone(d)
	n.Head().Version++
	return x.store(ctx, n, d, f)
}

func (x *Transaction) owns(f *Fence) bool {
	return x.number != 0 && f.Transaction == x.number && x.manager.isOwn(f)
}

func (m *Manager) isOwn(f *Fence) bool {
	return f.Node == int32(m.config.Node) && f.Incarnation == m.incarnation
}

func (m *Manager) countFences(n int) {
	m.mu.Lock()
	m.fences += n
	m.mu.Unlock()
}

// waitForFence returns when the table is no longer behind the fence. The fence
// of a dead node it takes away.
func (m *Manager) waitForFence(ctx context.Context, id ID, f *Fence) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		d := m.current.Load().byID[id]
		if d == nil || d.Head().Fence == nil || *d.Head().Fence != *f {
			return nil
		}
		if !m.isOwn(f) {
			if err := m.refresh(ctx); err != nil {
				return err
			}
			rows, err := m.leases(ctx)
			if err != nil {
				return err
			}
			alive := slices.ContainsFunc(rows, func(l lease) bool {
				return l.Node == f.Node && l.Incarnation == f.Incarnation && m.valid(l)
			})
			if !alive {
				if err := m.dropFences(ctx, []ID{id}, f); err != nil {
					return err
				}
				continue
			}
		} else {
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// unfence takes x's fences away after x has ended without commit. Where that
// fails it goes on trying in the background.
func (m *Manager) unfence(ctx context.Context, x *Transaction) {
	ids := make([]ID, 0, len(x.fenced))
	for id := range x.fenced {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	f := &Fence{Node: int32(m.config.Node), Incarnation: m.incarnation, Transaction: x.number}
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	err := m.dropFences(bounded, ids, f)
	cancel()
	if err == nil {
		m.countFences(-len(ids))
		return
	}
	m.done.Go(func() {
		for m.dropFences(m.ctx, ids, f) != nil {
			if pauseFor(m.ctx, time.Second) != nil {
				return
			}
		}
		m.countFences(-len(ids))
	})
}

// dropFences takes a fence away from those of the tables that it is around.
func (m *Manager) dropFences(ctx context.Context, ids []ID, f *Fence) error {
	return m.Run(ctx, "unlock tables", Names{}, func(ctx context.Context, side *Transaction) error {
		for _, id := range ids {
			d, err := side.readLocked(ctx, id)
			if err != nil {
				return err
			}
			if d == nil || d.Head().Fence == nil || *d.Head().Fence != *f {
				continue
			}
			if err := side.storeFence(ctx, d, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reload reads the newest version of a table, moving x past its commit, and
// makes it the one that x sees and may change: for the steps of an online
// change that other transactions took for x. Nil if the table is gone.
func (x *Transaction) Reload(ctx context.Context, id ID) (*Table, error) {
	d, err := x.readLocked(ctx, id)
	t, ok := d.(*Table)
	if err != nil || !ok {
		return nil, err
	}
	if err := x.touch(id, t.Version); err != nil {
		return nil, err
	}
	x.adopt(t)
	return t, nil
}

// adopt makes d what x sees, before it is changed.
func (x *Transaction) adopt(d Descriptor) {
	d.Head().Uncommitted = true
	x.changes.descriptors[d.Head().ID] = d
	x.mu.Lock()
	x.uses = slices.DeleteFunc(x.uses, func(t *Table) bool { return t.ID == d.Head().ID })
	x.mu.Unlock()
}

// WaitForVersion is Manager.WaitForVersion, except for what x itself uses.
func (x *Transaction) WaitForVersion(ctx context.Context, id ID, v Version) error {
	_, err := x.manager.drain(ctx, id, v, x)
	return err
}

// Peek reads a table through x's transaction as it is stored, whoever has it
// locked; nil if there is none.
func (x *Transaction) Peek(ctx context.Context, id ID) (*Table, error) {
	responses, err := x.txn.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: descriptorKey(id)}}})
	if err != nil || responses[0].Value == nil {
		return nil, err
	}
	d, err := decode(kvpb.KeyValue{Key: descriptorKey(id), Value: responses[0].Value, Timestamp: responses[0].Timestamp})
	t, _ := d.(*Table)
	return t, err
}

// ReloadUnlessOwn is Reload, except that a table that x has changed or locked
// already is left as it is.
func (x *Transaction) ReloadUnlessOwn(ctx context.Context, id ID) (*Table, error) {
	if d, own := x.changes.descriptors[id]; own {
		t, _ := d.(*Table)
		return t, nil
	}
	return x.Reload(ctx, id)
}
