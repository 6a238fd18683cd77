package catalog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/test/onestore"
	"github.com/cairndb/cairn/txn"
)

// node is one node's catalog; several work on one store.
type node struct {
	t       *testing.T
	db      *txn.DB
	manager *catalog.Manager
}

var postgres = catalog.Names{Database: "postgres", SearchPath: []string{"$user", "public"}, User: "postgres"}

func cluster(t *testing.T, nodes int) []*node {
	store := onestore.Open(t)
	var all []*node
	for i := range nodes {
		n := &node{t: t, db: store.DB(t, kvpb.NodeID(i+1))}
		if i == 0 {
			if err := n.db.Run(t.Context(), txn.Options{}, catalog.Bootstrap); err != nil {
				t.Fatal(err)
			}
		}
		n.manager = catalog.NewManager(catalog.Config{DB: n.db, Node: kvpb.NodeID(i + 1), Logger: slog.New(slog.DiscardHandler),
			LeaseDuration: time.Second, PollInterval: 10 * time.Millisecond})
		if err := n.manager.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.manager.Close)
		all = append(all, n)
	}
	return all
}

func (n *node) begin() *catalog.Transaction {
	return n.manager.Begin(n.db.Begin(txn.Options{}), postgres)
}

func (n *node) commit(x *catalog.Transaction) error {
	ctx := n.t.Context()
	if err := x.BeforeCommit(ctx); err != nil {
		n.rollback(x)
		return err
	}
	if err := x.Txn().Commit(ctx); err != nil {
		n.rollback(x)
		return err
	}
	x.Committed(ctx)
	return nil
}

func (n *node) rollback(x *catalog.Transaction) {
	_ = x.Txn().Rollback(n.t.Context())
	x.RolledBack(n.t.Context())
}

// run runs fn in a transaction that must commit.
func (n *node) run(fn func(x *catalog.Transaction)) {
	n.t.Helper()
	x := n.begin()
	fn(x)
	if err := n.commit(x); err != nil {
		n.t.Fatal(err)
	}
}

func newTable(name string) *catalog.Table {
	return &catalog.Table{
		Header: catalog.Header{Name: name, Owner: "postgres"}, Schema: catalog.PublicSchemaID, Database: catalog.PostgresDatabaseID,
		Columns: []catalog.Column{{ID: 1, Name: "a", Type: types.Int4, NotNull: true}, {ID: 2, Name: "b", Type: types.Varchar.WithTypmod(14)}},
		Primary: catalog.Index{ID: 1, Name: name + "_pkey", Unique: true, Primary: true, Constraint: true, Encoding: catalog.PrimaryEncoding,
			Columns: []catalog.IndexColumn{{Column: 1}}},
		NextColumn: 3, NextIndex: 2,
	}
}

func (n *node) create(name string) *catalog.Table {
	n.t.Helper()
	d := newTable(name)
	n.run(func(x *catalog.Transaction) {
		if err := x.Create(n.t.Context(), d); err != nil {
			n.t.Fatal(err)
		}
	})
	return d
}

// table resolves a name.
func (n *node) table(x *catalog.Transaction, name string) *catalog.Table {
	n.t.Helper()
	r, err := x.Relation(n.t.Context(), catalog.Name{Object: name})
	if err != nil {
		n.t.Fatal(err)
	}
	d, _ := r.(*catalog.Table)
	return d
}

func (n *node) lockedClone(x *catalog.Transaction, name string) *catalog.Table {
	n.t.Helper()
	if err := x.Lock(n.t.Context(), n.table(x, name)); err != nil {
		n.t.Fatal(err)
	}
	return catalog.Clone(n.table(x, name))
}

func TestEachNodeSeesWhatWasCommitted(t *testing.T) {
	nodes := cluster(t, 2)
	nodes[0].create("t")
	nodes[1].run(func(x *catalog.Transaction) {
		d := nodes[1].table(x, "t")
		if d == nil || d.Columns[1].Type.String() != "character varying(10)" || d.ID < catalog.FirstUserID {
			t.Fatalf("got %+v", d)
		}
		if x.Epoch() == 0 {
			t.Error("a transaction that changed nothing has no epoch")
		}
	})
	nodes[1].run(func(x *catalog.Transaction) {
		if err := x.Drop(t.Context(), nodes[1].lockedClone(x, "t")); err != nil {
			t.Fatal(err)
		}
	})
	nodes[0].run(func(x *catalog.Transaction) {
		if d := nodes[0].table(x, "t"); d != nil {
			t.Errorf("a dropped table is still seen: %+v", d)
		}
	})
}

func TestUncommittedChangesAreSeenByTheirTransactionOnly(t *testing.T) {
	n := cluster(t, 1)[0]
	x := n.begin()
	if err := x.Create(t.Context(), newTable("t")); err != nil {
		t.Fatal(err)
	}
	if d := n.table(x, "t"); d == nil || !d.Uncommitted || x.Epoch() != 0 {
		t.Errorf("the transaction sees %+v in epoch %d", d, x.Epoch())
	}
	mark := x.Savepoint()
	if err := x.Create(t.Context(), newTable("u")); err != nil {
		t.Fatal(err)
	}
	n.run(func(y *catalog.Transaction) {
		if n.table(y, "t") != nil {
			t.Error("another transaction sees an uncommitted table")
		}
	})
	x.RollbackTo(mark)
	if n.table(x, "u") != nil || n.table(x, "t") == nil {
		t.Error("RollbackTo undid too little or too much")
	}
	n.rollback(x)
	n.run(func(y *catalog.Transaction) {
		if n.table(y, "t") != nil {
			t.Error("a table that was rolled back is there")
		}
	})
}

func TestNamesOfRelationsAndIndexesAreUnique(t *testing.T) {
	n := cluster(t, 1)[0]
	n.create("t")
	for _, name := range []string{"t", "t_pkey"} {
		x := n.begin()
		err := x.Create(t.Context(), newTable(name))
		if pgerror.Code(err) != pgerror.DuplicateTable {
			t.Errorf("%s: %v", name, err)
		}
		n.rollback(x)
	}
	// A name that the transaction freed can be taken by it.
	n.run(func(x *catalog.Transaction) {
		if err := x.Drop(t.Context(), n.lockedClone(x, "t")); err != nil {
			t.Fatal(err)
		}
		if err := x.Create(t.Context(), newTable("t")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLockWaitsForUsersOnAllNodesAndKeepsNewOnesAway(t *testing.T) {
	nodes := cluster(t, 2)
	nodes[0].create("t")
	user := nodes[1].begin()
	if nodes[1].table(user, "t").Version != 1 {
		t.Fatal("not the first version")
	}
	locked := make(chan struct{})
	changer := nodes[0].begin()
	go func() {
		defer close(locked)
		d := nodes[0].lockedClone(changer, "t")
		d.Comment = "changed"
		if err := changer.Write(t.Context(), d); err != nil {
			t.Error(err)
		}
	}()
	// A newcomer meets the fence and waits until the changer has ended.
	newcomer := make(chan string)
	go func() {
		for {
			x := nodes[1].begin()
			r, err := x.Relation(t.Context(), catalog.Name{Object: "t"})
			if err == nil && r.Head().Version == 1 {
				nodes[1].rollback(x) // before the fence
				continue
			}
			nodes[1].rollback(x)
			if err != nil {
				if txn.IsRetryable(err) {
					continue
				}
				t.Error(err)
			}
			newcomer <- r.Head().Comment
			return
		}
	}()
	select {
	case <-locked:
		t.Fatal("the lock did not wait for a running user")
	case <-time.After(50 * time.Millisecond): // enough for a lock that does not wait
	}
	if err := nodes[1].commit(user); err != nil {
		t.Fatal(err)
	}
	<-locked
	select {
	case c := <-newcomer:
		t.Fatalf("a newcomer used a locked table (%q)", c)
	default:
	}
	if err := nodes[0].commit(changer); err != nil {
		t.Fatal(err)
	}
	if c := <-newcomer; c != "changed" {
		t.Errorf("the newcomer saw %q", c)
	}
}

func TestRollbackTakesTheLockAway(t *testing.T) {
	nodes := cluster(t, 2)
	nodes[0].create("t")
	x := nodes[0].begin()
	nodes[0].lockedClone(x, "t")
	nodes[0].rollback(x)
	for _, n := range nodes {
		n.lockEventually("t")
	}
}

// lockEventually locks a table in transactions that are begun again where they
// turn out to be older than what they waited for, as sessions do.
func (n *node) lockEventually(name string) {
	n.t.Helper()
	err := n.manager.Run(n.t.Context(), "lock", postgres, func(ctx context.Context, x *catalog.Transaction) error {
		r, err := x.Relation(ctx, catalog.Name{Object: name})
		if err != nil {
			return err
		}
		return x.Lock(ctx, r)
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestFenceOfADeadNodeIsBroken(t *testing.T) {
	nodes := cluster(t, 2)
	nodes[0].create("t")
	x := nodes[0].begin()
	nodes[0].lockedClone(x, "t")
	_ = x.Txn().Rollback(t.Context()) // as if the node had died: nobody calls RolledBack
	nodes[0].manager.Close()
	nodes[1].lockEventually("t")
}

func TestTwoThatWaitForEachOtherAreADeadlock(t *testing.T) {
	n := cluster(t, 1)[0]
	n.create("t")
	x, y := n.begin(), n.begin()
	n.table(x, "t")
	n.table(y, "t")
	done := make(chan error, 2)
	for _, z := range []*catalog.Transaction{x, y} {
		go func() {
			err := z.Lock(t.Context(), n.table(z, "t"))
			if err != nil {
				n.rollback(z)
			}
			done <- err
		}()
	}
	first, second := <-done, <-done
	if pgerror.Code(first) != pgerror.DeadlockDetected || second != nil {
		t.Errorf("got %v, then %v", first, second)
	}
}

func TestCachedPlansAreDroppedWhenTheirTableChanges(t *testing.T) {
	n := cluster(t, 1)[0]
	n.create("t")
	var plan []*catalog.Table
	n.run(func(x *catalog.Transaction) { plan = []*catalog.Table{n.table(x, "t")} })
	valid := func() (ok bool) {
		n.run(func(x *catalog.Transaction) {
			var err error
			if ok, err = x.UsesCached(t.Context(), plan); err != nil {
				t.Fatal(err)
			}
		})
		return ok
	}
	if !valid() {
		t.Error("a plan was dropped without reason")
	}
	n.create("other")
	if !valid() {
		t.Error("a plan was dropped because of another table")
	}
	n.run(func(x *catalog.Transaction) {
		if err := x.Write(t.Context(), n.lockedClone(x, "t")); err != nil {
			t.Fatal(err)
		}
	})
	if valid() {
		t.Error("a plan outlived a change of its table")
	}
}

func TestATransactionOlderThanAChangeSeesTheOldSchema(t *testing.T) {
	n := cluster(t, 1)[0]
	x := n.begin()
	// It must have a timestamp: by reading.
	if _, err := x.Txn().Send(t.Context(), &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04x")}}}); err != nil {
		t.Fatal(err)
	}
	n.create("t")
	if d := n.table(x, "t"); d != nil {
		t.Errorf("it sees %+v", d)
	}
	n.rollback(x)
}

func TestConcurrentChangesOfOneObjectDontOverwriteEachOther(t *testing.T) {
	n := cluster(t, 1)[0]
	q := &catalog.Sequence{Header: catalog.Header{Name: "s"}, Schema: catalog.PublicSchemaID, Database: catalog.PostgresDatabaseID, Type: types.Int8, Increment: 1, Max: 10, Min: 1, Cache: 1}
	n.run(func(x *catalog.Transaction) {
		if err := x.Create(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	})
	read := func(x *catalog.Transaction) *catalog.Sequence {
		r, err := x.Relation(t.Context(), catalog.Name{Object: "s"})
		if err != nil {
			t.Fatal(err)
		}
		return catalog.Clone(r.(*catalog.Sequence))
	}
	x, y := n.begin(), n.begin()
	dx, dy := read(x), read(y)
	dx.Comment, dy.Comment = "x", "y"
	if err := x.Write(t.Context(), dx); err != nil {
		t.Fatal(err)
	}
	if err := n.commit(x); err != nil {
		t.Fatal(err)
	}
	if err := y.Write(t.Context(), dy); !txn.IsRetryable(err) {
		t.Errorf("the second change was accepted: %v", err)
	}
	n.rollback(y)
}

func TestSequences(t *testing.T) {
	n := cluster(t, 1)[0]
	ctx := t.Context()
	q := &catalog.Sequence{Header: catalog.Header{ID: 20000, Name: "s", Version: 1}, Increment: 2, Min: 1, Max: 9, Start: 1, Base: -1, Cache: 2}
	a, b := catalog.NewSequenceState(n.db.NonTransactional()), catalog.NewSequenceState(n.db.NonTransactional())
	if _, err := a.Last(); pgerror.Code(err) != pgerror.ObjectNotInPrerequisiteState {
		t.Errorf("lastval: %v", err)
	}
	for i, want := range []int64{1, 5, 3, 7, 9} {
		s := []*catalog.SequenceState{a, b}[i%2]
		if i == 4 {
			s = b
		}
		got, err := s.Next(ctx, q)
		if err != nil || got != want {
			t.Fatalf("call %d: %d, %v; want %d", i, got, err, want)
		}
	}
	for range 2 {
		if _, err := a.Next(ctx, q); pgerror.Code(err) != pgerror.SequenceLimitExceeded {
			t.Fatalf("past the end: %v", err)
		}
	}
	q.Max, q.Version = 11, 2
	if v, err := a.Next(ctx, q); v != 11 || err != nil {
		t.Errorf("after the maximum was raised: %d, %v", v, err)
	}
	if err := a.Set(ctx, q, 4, true); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Next(ctx, q); v != 6 || err != nil {
		t.Errorf("after setval: %d, %v", v, err)
	}
	if err := a.Set(ctx, q, 12, true); pgerror.Code(err) != pgerror.NumericValueOutOfRange {
		t.Errorf("setval out of bounds: %v", err)
	}
	q.RestartAt(3)
	q.Version++
	if v, err := a.Next(ctx, q); v != 3 || err != nil {
		t.Errorf("after a restart: %d, %v", v, err)
	}
	q.Cycle, q.Version = true, q.Version+1
	if err := a.Set(ctx, q, 11, true); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Next(ctx, q); v != 1 || err != nil {
		t.Errorf("a cycle begins with %d, %v", v, err)
	}
}

func TestAStatementThatIsCanceledWhileItWaitsLeavesNoLock(t *testing.T) {
	n := cluster(t, 1)[0]
	n.create("t")
	user := n.begin()
	n.table(user, "t")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	x := n.begin()
	if err := x.Lock(ctx, n.table(x, "t")); err == nil {
		t.Error("the lock was given though the table is in use")
	}
	n.rollback(x)
	if err := n.commit(user); err != nil {
		t.Fatal(err)
	}
	n.lockEventually("t")
}

// BenchmarkResolve is the look-up of a name in a running transaction.
func BenchmarkResolve(b *testing.B) {
	store := onestore.Open(b)
	db := store.DB(b, 1)
	if err := db.Run(b.Context(), txn.Options{}, catalog.Bootstrap); err != nil {
		b.Fatal(err)
	}
	m := catalog.NewManager(catalog.Config{DB: db, Node: 1, Logger: slog.New(slog.DiscardHandler)})
	if err := m.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	err := m.Run(b.Context(), "create", postgres, func(ctx context.Context, x *catalog.Transaction) error { return x.Create(ctx, newTable("t")) })
	if err != nil {
		b.Fatal(err)
	}
	x := m.Begin(db.Begin(txn.Options{}), postgres)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := x.Relation(b.Context(), catalog.Name{Object: "t"}); err != nil || r == nil {
			b.Fatal(r, err)
		}
	}
}
