package catalog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// lease is a node's row under keys.LeasePrefix.
type lease struct {
	Node        int32  `json:"node"`
	Incarnation string `json:"incarnation"`
	// Expiration is in nanoseconds of the cluster's clocks. Transactions that
	// use the lease commit before it.
	Expiration int64 `json:"expiration"`
	// Epoch is of the schema that the node uses, except for what its running
	// transactions still use in older versions.
	Epoch uint64 `json:"epoch"`
	Using []use  `json:"using,omitempty"`
}

// use is an older version of a table that a running transaction uses.
type use struct {
	ID      ID      `json:"id"`
	Version Version `json:"version"`
}

func leaseKey(node kvpb.NodeID) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(keys.LeasePrefix), uint64(node))
}

// renew writes the node's lease anew; without force not if somebody else just
// did.
func (m *Manager) renew(ctx context.Context, force bool) error {
	select {
	case m.refreshing <- struct{}{}:
		defer func() { <-m.refreshing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	fresh := m.expiration.Load()-m.now() > int64(m.config.LeaseDuration)*3/4
	if s := m.current.Load(); !force && fresh && s.byID != nil {
		return nil // somebody else renewed it while this one waited
	}
	var expiration int64
	var leased uint64
	err := m.config.DB.Run(ctx, txn.Options{Name: "schema lease"}, func(ctx context.Context, t *txn.Txn) error {
		epoch, err := m.refreshThrough(ctx, t)
		if err != nil {
			return err
		}
		// What is in use is collected after the new schema was published: nobody
		// begins to use an older version after that.
		expiration = m.now() + int64(m.config.LeaseDuration)
		leased = epoch
		row, err := json.Marshal(lease{Node: int32(m.config.Node), Incarnation: m.incarnation, Expiration: expiration, Epoch: epoch, Using: m.using()})
		if err != nil {
			return err
		}
		_, err = t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: leaseKey(m.config.Node), Value: row}}, Commit: true})
		return err
	})
	if err != nil {
		return err
	}
	if m.expiration.Load() <= m.now() {
		m.term.Add(1)
	}
	m.expiration.Store(expiration)
	m.leased.Store(leased)
	return nil
}

// using returns the older versions that running transactions use.
func (m *Manager) using() []use {
	current := m.current.Load()
	var using []use
	m.activeMu.Lock()
	defer m.activeMu.Unlock()
	for x := m.active; x != nil; x = x.next {
		x.mu.Lock()
		for _, t := range x.uses {
			if d := current.byID[t.ID]; d == nil || d.Head().Version != t.Version {
				using = append(using, use{t.ID, t.Version})
			}
		}
		x.mu.Unlock()
	}
	slices.SortFunc(using, func(a, b use) int {
		if a.ID != b.ID {
			return int(int64(a.ID) - int64(b.ID))
		}
		return int(int64(a.Version) - int64(b.Version))
	})
	return slices.Compact(using)
}

// usesOlder reports whether a running transaction of this node, other than
// exclude, uses the table in a version below v.
func (m *Manager) usesOlder(id ID, v Version, exclude *Transaction) bool {
	m.activeMu.Lock()
	defer m.activeMu.Unlock()
	for x := m.active; x != nil; x = x.next {
		if x == exclude {
			continue
		}
		x.mu.Lock()
		found := slices.ContainsFunc(x.uses, func(t *Table) bool { return t.ID == id && t.Version < v })
		x.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

// WaitForVersion returns when no node can use a version of the table below v
// any more, whether by a plan, a running transaction or its lease. v must have
// been committed; for a dropped table it is the one after its last.
func (m *Manager) WaitForVersion(ctx context.Context, id ID, v Version) error {
	_, err := m.drain(ctx, id, v, nil)
	return err
}

// drain is WaitForVersion, except for the uses of one transaction; it reports
// whether it had to wait.
func (m *Manager) drain(ctx context.Context, id ID, v Version, exclude *Transaction) (waited bool, err error) {
	if s := m.current.Load(); s.byID != nil {
		if d := s.byID[id]; d != nil && d.Head().Version < v {
			if err := m.refresh(ctx); err != nil {
				return false, err
			}
		}
	}
	m.waiters.Add(1)
	defer m.waiters.Add(-1)
	for {
		m.activeMu.Lock()
		ended := m.ended
		m.activeMu.Unlock()
		if !m.usesOlder(id, v, exclude) {
			break
		}
		waited = true
		select {
		case <-ended:
		case <-ctx.Done():
			return waited, ctx.Err()
		}
	}
	// The other nodes: all leases that don't know of v yet, or say that they use
	// older ones, must be renewed or run out. The own schema has v.
	epoch := m.current.Load().epoch
	pause := 5 * time.Millisecond
	for {
		rows, err := m.leases(ctx)
		if err != nil {
			return waited, err
		}
		blocked := slices.ContainsFunc(rows, func(l lease) bool {
			return l.Node != int32(m.config.Node) && m.valid(l) &&
				(l.Epoch < epoch || slices.ContainsFunc(l.Using, func(u use) bool { return u.ID == id && u.Version < v }))
		})
		if !blocked {
			return waited, nil
		}
		waited = true
		if err := pauseFor(ctx, pause); err != nil {
			return waited, err
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// waitForEpoch returns when all nodes know the schema of an epoch, or after a
// while.
func (m *Manager) waitForEpoch(ctx context.Context, epoch uint64) {
	ctx, cancel := context.WithTimeout(ctx, 2*m.config.LeaseDuration)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		rows, err := m.leases(ctx)
		if err != nil {
			return
		}
		behind := func(l lease) bool { return l.Node != int32(m.config.Node) && m.valid(l) && l.Epoch < epoch }
		if !slices.ContainsFunc(rows, behind) || pauseFor(ctx, pause) != nil {
			return
		}
	}
}

// valid reports whether a lease may still be used by its node, whose clock may
// be behind.
func (m *Manager) valid(l lease) bool {
	return l.Expiration+int64(m.config.DB.Clock().MaxOffset()) > m.now()
}

// leases reads the leases of all nodes.
func (m *Manager) leases(ctx context.Context) (rows []lease, err error) {
	err = m.config.DB.Run(ctx, txn.Options{Name: "schema leases", ReadOnly: true}, func(ctx context.Context, t *txn.Txn) error {
		rows = rows[:0]
		responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: keys.LeasePrefix, EndKey: keys.PrefixEnd(keys.LeasePrefix)}}})
		if err != nil {
			return err
		}
		for _, kv := range responses[0].Rows {
			var l lease
			if err := json.Unmarshal(kv.Value, &l); err != nil {
				return pgerror.Newf(pgerror.DataCorrupted, "the schema lease at %x is damaged: %v", kv.Key, err)
			}
			rows = append(rows, l)
		}
		return nil
	})
	return rows, err
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
