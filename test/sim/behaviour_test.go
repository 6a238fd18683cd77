package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

// scan returns the rows of [from, to) as text.
func scan(ctx context.Context, t *testing.T, x *txn.Txn, from, to string, limit int64) string {
	t.Helper()
	r, err := x.Send(ctx, &txn.Batch{MaxKeys: limit, Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: []byte(from), EndKey: []byte(to)}}})
	if err != nil {
		t.Fatal(err)
	}
	var s string
	for _, row := range r[0].Rows {
		s += fmt.Sprintf("%s=%s ", row.Key[1:], row.Value)
	}
	if r[0].Resume != nil {
		s += "…" + string(r[0].Resume.Key[1:])
	}
	return s
}

func mustPut(ctx context.Context, t *testing.T, x *txn.Txn, key, value string) {
	t.Helper()
	if err := put(ctx, x, key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func mustGet(ctx context.Context, t *testing.T, x *txn.Txn, key string) string {
	t.Helper()
	value, err := get(ctx, x, key, kvpb.LockNone)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func mustCommit(ctx context.Context, t *testing.T, x *txn.Txn) {
	t.Helper()
	if err := x.Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// fill writes keys with their names as values, on both sides of the split.
func fill(ctx context.Context, t *testing.T, db *txn.DB, names ...string) {
	t.Helper()
	x := db.Begin(txn.Options{})
	for _, name := range names {
		mustPut(ctx, t, x, "\x04"+name, name)
	}
	mustCommit(ctx, t, x)
}

func TestStatementsSeeWhatCameBeforeThem(t *testing.T) {
	simulate(t, 1, func(ctx context.Context, t *testing.T, s *simulation) {
		db := s.nodes[0].db
		fill(ctx, t, db, "a1", "a2", "b1", "b2")
		x := db.Begin(txn.Options{})
		x.Step()
		mustPut(ctx, t, x, "\x04a3", "new")
		mustPut(ctx, t, x, "\x04b1", "new")
		if _, err := x.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Delete, Key: []byte("\x04a1")}}}); err != nil {
			t.Fatal(err)
		}
		expect(t, "within the statement", scan(ctx, t, x, "\x04a", "\x04z", 0), "a1=a1 a2=a2 b1=b1 b2=b2 ")
		x.Step()
		expect(t, "after it", scan(ctx, t, x, "\x04a", "\x04z", 0), "a2=a2 a3=new b1=new b2=b2 ")
		expect(t, "bounded", scan(ctx, t, x, "\x04a", "\x04z", 2), "a2=a2 a3=new …b")
		savepoint := x.Savepoint()
		mustPut(ctx, t, x, "\x04a3", "newer")
		deleted, err := x.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.DeleteRange, Key: []byte("\x04b"), EndKey: []byte("\x04c")}}})
		if err != nil || deleted[0].NumKeys != 2 {
			t.Fatalf("deleted %d, %v", deleted[0].NumKeys, err)
		}
		mustPut(ctx, t, x, "\x04b3", "late")
		x.Step()
		expect(t, "after the deletion", scan(ctx, t, x, "\x04a", "\x04z", 0), "a2=a2 a3=newer b3=late ")
		if err := x.RollbackTo(ctx, savepoint); err != nil {
			t.Fatal(err)
		}
		expect(t, "after the rollback", scan(ctx, t, x, "\x04a", "\x04z", 0), "a2=a2 a3=new b1=new b2=b2 ")
		mustCommit(ctx, t, x)
		expect(t, "in the end", scan(ctx, t, db.Begin(txn.Options{}), "\x04a", "\x04z", 0), "a2=a2 a3=new b1=new b2=b2 ")
	})
}

func TestConditionsAndCounters(t *testing.T) {
	simulate(t, 3, func(ctx context.Context, t *testing.T, s *simulation) {
		db := s.nodes[1].db
		fill(ctx, t, db, "a1", "b1")
		condition := func(key, expected, value string) kvpb.Request {
			q := kvpb.Request{Kind: kvpb.ConditionalPut, Key: []byte("\x04" + key), Value: []byte(value)}
			if expected != "" {
				q.Expected = []byte(expected)
			}
			return q
		}
		for _, commit := range []bool{true, false} {
			x := db.Begin(txn.Options{})
			_, err := x.Send(ctx, &txn.Batch{Commit: commit, Requests: []kvpb.Request{
				condition("a2", "", "x"), condition("b1", "other", "x"), {Kind: kvpb.Put, Key: []byte("\x04b9"), Value: []byte("x")}}})
			var e *kvpb.Error
			failed, ok := errors.AsType[*kvpb.ConditionFailedError](err)
			if !ok || string(failed.Actual) != "b1" || !errors.As(err, &e) || e.Index != 1 {
				t.Errorf("commit %v: %v", commit, err)
			}
			// The transaction goes on without the failed batch.
			mustPut(ctx, t, x, "\x04a5", "on")
			mustCommit(ctx, t, x)
			expect(t, "after a failed condition", scan(ctx, t, db.Begin(txn.Options{}), "\x04a", "\x04z", 0), "a1=a1 a5=on b1=b1 ")
			// The second of two on one key sees the first.
			x = db.Begin(txn.Options{})
			if _, err = x.Send(ctx, &txn.Batch{Commit: commit, Requests: []kvpb.Request{condition("b5", "", "x"), condition("b5", "", "y")}}); !errors.As(err, &failed) {
				t.Errorf("commit %v: the same key twice: %v", commit, err)
			}
			if err := x.Rollback(ctx); err != nil {
				t.Fatal(err)
			}
			add := kvpb.Request{Kind: kvpb.Increment, Key: []byte("\x04zz"), Delta: 2}
			x = db.Begin(txn.Options{})
			r, err := x.Send(ctx, &txn.Batch{Commit: commit, Requests: []kvpb.Request{add, add, condition("a6", "", "6")}})
			if err != nil {
				t.Fatal(err)
			}
			if !commit {
				mustCommit(ctx, t, x)
			}
			if want := map[bool]int64{true: 4, false: 8}[commit]; r[1].Int != want {
				t.Errorf("commit %v: counted to %d, want %d", commit, r[1].Int, want)
			}
			if _, err := db.Begin(txn.Options{}).Send(ctx, &txn.Batch{Commit: true, Requests: []kvpb.Request{
				{Kind: kvpb.Delete, Key: []byte("\x04a6")}, {Kind: kvpb.Delete, Key: []byte("\x04a5")}}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBigTransactionsAreLaidDown(t *testing.T) {
	simulate(t, 3, func(ctx context.Context, t *testing.T, s *simulation) {
		n := s.nodes[0]
		db := txn.NewDB(txn.Config{Sender: n.router, Clock: n.db.Clock(), Node: n.id, BufferBytes: 4000})
		defer db.Close()
		x := db.Begin(txn.Options{})
		x.Step()
		for i := range 100 {
			mustPut(ctx, t, x, fmt.Sprintf("\x04%c%03d", 'a'+i%2, i), "first")
		}
		savepoint := x.Savepoint()
		for i := range 100 {
			mustPut(ctx, t, x, fmt.Sprintf("\x04%c%03d", 'a'+i%2, i), "second")
		}
		x.Step()
		expect(t, "laid", mustGet(ctx, t, x, "\x04a000"), "second")
		if err := x.RollbackTo(ctx, savepoint); err != nil {
			t.Fatal(err)
		}
		expect(t, "rolled back", mustGet(ctx, t, x, "\x04a000"), "first")
		mustCommit(ctx, t, x)
		for i := range 100 {
			expect(t, "committed", mustGet(ctx, t, s.nodes[2].db.Begin(txn.Options{}), fmt.Sprintf("\x04%c%03d", 'a'+i%2, i)), "first")
		}
		// Rolled back as a whole, nothing is left.
		x = db.Begin(txn.Options{})
		for i := range 100 {
			mustPut(ctx, t, x, fmt.Sprintf("\x04%c%03d", 'a'+i%2, i), "third")
		}
		if err := x.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		expect(t, "after rollback", mustGet(ctx, t, s.nodes[1].db.Begin(txn.Options{}), "\x04a000"), "first")
	})
}

func TestLocksOutlastIdleTimeAndEndWithTheirHolder(t *testing.T) {
	simulate(t, 3, func(ctx context.Context, t *testing.T, s *simulation) {
		fill(ctx, t, s.nodes[0].db, "a", "b")
		holder := s.nodes[0].db.Begin(txn.Options{})
		for _, key := range []string{"\x04a", "\x04b"} {
			if _, err := get(ctx, holder, key, kvpb.LockUpdate); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second) // heartbeats keep it alive
		locked := func(wait kvpb.WaitPolicy, timeout time.Duration) (kvpb.Response, error) {
			x := s.nodes[1].db.Begin(txn.Options{})
			defer x.Rollback(ctx)
			r, err := x.Send(ctx, &txn.Batch{Wait: wait, LockTimeout: timeout, Requests: []kvpb.Request{
				{Kind: kvpb.Scan, Key: []byte("\x04a"), EndKey: []byte("\x04z"), Lock: kvpb.LockUpdate}}})
			if err != nil {
				return kvpb.Response{}, err
			}
			return r[0], nil
		}
		var unavailable *kvpb.LockNotAvailableError
		if _, err := locked(kvpb.WaitError, 0); !errors.As(err, &unavailable) {
			t.Errorf("NOWAIT: %v", err)
		}
		if _, err := locked(kvpb.WaitBlock, time.Second); !errors.As(err, &unavailable) || unavailable.Timeout != time.Second {
			t.Errorf("lock timeout: %v", err)
		}
		if r, err := locked(kvpb.WaitSkip, 0); err != nil || len(r.Rows) != 0 {
			t.Errorf("SKIP LOCKED: %v, %v", r.Rows, err)
		}
		// Plain reads don't care.
		expect(t, "a read", scan(ctx, t, s.nodes[1].db.Begin(txn.Options{}), "\x04a", "\x04z", 0), "a=a b=b ")
		mustCommit(ctx, t, holder)
		if r, err := locked(kvpb.WaitError, 0); err != nil || len(r.Rows) != 2 {
			t.Errorf("NOWAIT after the commit: %v, %v", r.Rows, err)
		}
		// A holder whose coordinator is gone is given up.
		db := txn.NewDB(txn.Config{Sender: s.nodes[2].router, Clock: s.nodes[2].db.Clock(), Node: 3})
		lost := db.Begin(txn.Options{})
		if _, err := get(ctx, lost, "\x04a", kvpb.LockUpdate); err != nil {
			t.Fatal(err)
		}
		db.Close()
		began := time.Now()
		if r, err := locked(kvpb.WaitBlock, 0); err != nil || len(r.Rows) != 2 {
			t.Errorf("after the holder was lost: %v, %v", r.Rows, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("that took %s", took)
		}
	})
}

func TestRetryErrorsAndRestart(t *testing.T) {
	simulate(t, 1, func(ctx context.Context, t *testing.T, s *simulation) {
		db := s.nodes[0].db
		fill(ctx, t, db, "a", "b")
		x := db.Begin(txn.Options{})
		expect(t, "before", mustGet(ctx, t, x, "\x04a"), "a")
		fill(ctx, t, db, "c")
		other := db.Begin(txn.Options{})
		mustPut(ctx, t, other, "\x04a", "other")
		mustCommit(ctx, t, other)
		mustPut(ctx, t, x, "\x04a", "mine")
		err := x.Commit(ctx)
		if !txn.IsRetryable(err) {
			t.Fatalf("a lost update: %v", err)
		}
		if _, again := x.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04a")}}}); !txn.IsRetryable(again) {
			t.Errorf("after the failure: %v", again)
		}
		x.Restart()
		expect(t, "restarted", mustGet(ctx, t, x, "\x04a"), "other")
		mustPut(ctx, t, x, "\x04a", "mine")
		mustCommit(ctx, t, x)
		if x.CommitTimestamp().Less(other.CommitTimestamp()) {
			t.Error("committed before what it saw")
		}
		// A change elsewhere is repaired by a refresh.
		x = db.Begin(txn.Options{})
		expect(t, "b", mustGet(ctx, t, x, "\x04b"), "b")
		expect(t, "somebody's read", mustGet(ctx, t, db.Begin(txn.Options{}), "\x04c"), "c")
		fill(ctx, t, db, "c")
		mustPut(ctx, t, x, "\x04c", "mine")
		mustCommit(ctx, t, x)
		// A deadline that has passed.
		x = db.Begin(txn.Options{})
		x.SetDeadline(x.ReadTimestamp().Prev())
		mustPut(ctx, t, x, "\x04c", "too late")
		var retry *kvpb.TransactionRetryError
		if err := x.Commit(ctx); !errors.As(err, &retry) || retry.Reason != kvpb.RetryDeadline {
			t.Errorf("a deadline: %v", err)
		}
		// The past.
		past := db.Begin(txn.Options{AsOf: other.CommitTimestamp()})
		expect(t, "in the past", mustGet(ctx, t, past, "\x04a"), "other")
		if err := put(ctx, past, "\x04a", nil); err == nil {
			t.Error("the past was changed")
		}
	})
}
