package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// withOneStore runs a test on a cluster of one store under virtual time.
func withOneStore(t *testing.T, config func(*Config), test func(c *testCluster, n *testNode, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, config)
		n := c.start(1, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := n.server.Bootstrap(ctx); err != nil {
			t.Fatal(err)
		}
		test(c, n, ctx)
		c.checkReplicas(ctx)
		c.stopAll()
	})
}

// lay writes intents.
func (c *testCluster) lay(ctx context.Context, x *kvpb.Transaction, pairs ...string) (*kvpb.Transaction, error) {
	b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: x}}
	x = x.Clone()
	for i := 0; i < len(pairs); i += 2 {
		x.Sequence++
		b.Requests = append(b.Requests, kvpb.Request{Kind: kvpb.Put, Key: []byte(pairs[i]), Value: []byte(pairs[i+1]), Sequence: x.Sequence})
		x.LockSpans = append(x.LockSpans, kvpb.Span{Key: []byte(pairs[i])})
	}
	b.Txn = x
	response, err := c.Send(ctx, b)
	if err != nil {
		return nil, err
	}
	return response.Txn, nil
}

func (c *testCluster) end(ctx context.Context, x *kvpb.Transaction, commit bool) (*kvpb.Transaction, error) {
	response, err := c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: x, CanForwardReadTimestamp: true}, Requests: []kvpb.Request{
		{Kind: kvpb.EndTxn, Key: x.Key, EndTxn: &kvpb.EndTxnArgs{Commit: commit, LockSpans: x.LockSpans}}}})
	if err != nil {
		return nil, err
	}
	return response.Txn, nil
}

// read gets a key for a transaction.
func (c *testCluster) read(ctx context.Context, x *kvpb.Transaction, key string, change func(*kvpb.BatchRequest)) (string, error) {
	b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: x}, Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte(key), Sequence: 1000}}}
	if change != nil {
		change(b)
	}
	response, err := c.Send(ctx, b)
	if err != nil {
		return "", err
	}
	return string(response.Responses[0].Value), nil
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestReaderWaitsForTheWriterBelowIt(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "x"))
		results := make(chan string)
		go func() {
			value, err := c.read(ctx, nil, "\x04a", nil)
			results <- fmt.Sprint(value, err)
		}()
		synctest.Wait()
		select {
		case <-results:
			c.t.Fatal("the reader did not wait")
		default:
		}
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, true))
		if got := <-results; got != "x<nil>" {
			c.t.Fatalf("read %q", got)
		}
	})
}

func TestReaderAboveIsNotWrittenBelow(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		old := newTxn(n, 1, "\x04a")
		_ = c.get(ctx, "\x04a")
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, old, "\x04a", "x"))
		if x.WriteTimestamp.LessEq(old.WriteTimestamp) || x.ReadTimestamp != old.ReadTimestamp {
			c.t.Fatalf("the write stands at %s, the read at %s", x.WriteTimestamp, x.ReadTimestamp)
		}
		// A span that was read, too.
		old = newTxn(n, 2, "\x04b")
		must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: []byte("\x04b"), EndKey: []byte("\x04d")}}}))
		y := must[*kvpb.Transaction](c.t)(c.lay(ctx, old, "\x04c", "y"))
		if y.WriteTimestamp.LessEq(old.WriteTimestamp) {
			c.t.Fatal("a write landed below a scan")
		}
		// Its own reads are in nobody's way.
		z := newTxn(n, 3, "\x04z")
		must[string](c.t)(c.read(ctx, z, "\x04z", nil))
		if z2 := must[*kvpb.Transaction](c.t)(c.lay(ctx, z, "\x04z", "1")); z2.WriteTimestamp != z.WriteTimestamp {
			c.t.Fatal("a transaction pushed itself")
		}
		for _, t := range []*kvpb.Transaction{x, y} {
			must[*kvpb.Transaction](c.t)(c.end(ctx, t, false))
		}
	})
}

func TestAbandonedTransactionGivesWay(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "x"))
		begin := time.Now()
		if err := c.put(ctx, "\x04a", "y"); err != nil {
			c.t.Fatal(err)
		}
		if took := time.Since(begin); took < recordExpiry || took > recordExpiry+4*time.Second {
			c.t.Errorf("the next writer waited %s", took)
		}
		_, err := c.end(ctx, x, true)
		detail[*kvpb.TransactionAbortedError](c.t, err)
		_, err = c.read(ctx, x, "\x04b", nil)
		detail[*kvpb.TransactionAbortedError](c.t, err)
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, false))
	})
}

// TestCoordinatorsThatAreGoneGiveWayAtOnce: nobody waits long for a transaction
// whose node was started anew, or has fallen silent.
func TestCoordinatorsThatAreGoneGiveWayAtOnce(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		wait := func(name byte, key string, far cluster.Node) time.Duration {
			n.directory.Learn([]cluster.Node{far}, nil)
			x := newTxn(n, name, key)
			x.Gateway = far.ID
			must[*kvpb.Transaction](c.t)(c.lay(ctx, x, key, "x"))
			if far.Incarnation > 1 {
				time.Sleep(time.Millisecond)
				far.StartedAt, far.Heartbeat = time.Now(), 2
				n.directory.Learn([]cluster.Node{far}, nil)
			}
			begin := time.Now()
			if err := c.put(ctx, key, "y"); err != nil {
				c.t.Fatal(err)
			}
			return time.Since(begin)
		}
		if took := wait(1, "\x04a", cluster.Node{ID: 7, Incarnation: 1}); took > silentExpiry+2*time.Second {
			c.t.Errorf("the next writer waited %s for a node that is silent", took)
		}
		if took := wait(2, "\x04b", cluster.Node{ID: 8, Incarnation: 2}); took > 100*time.Millisecond {
			c.t.Errorf("the next writer waited %s for a node that was started anew", took)
		}
	})
}

func TestHeartbeatsKeepATransaction(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "x"))
		done := make(chan error)
		go func() { done <- c.put(ctx, "\x04a", "y") }()
		for range 20 {
			r := must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: x}, Requests: []kvpb.Request{{Kind: kvpb.HeartbeatTxn, Key: x.Key}}}))
			if s := r.Responses[0].Txn.Status; s != kvpb.Pending {
				c.t.Fatalf("status %d", s)
			}
			time.Sleep(time.Second)
		}
		select {
		case err := <-done:
			c.t.Fatalf("the writer did not wait: %v", err)
		default:
		}
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, true))
		if err := <-done; err != nil {
			c.t.Fatal(err)
		}
		if got := c.get(ctx, "\x04a"); got != "y" {
			c.t.Fatalf("read %q", got)
		}
	})
}

func TestDeadlockAbortsTheYounger(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "x"))
		time.Sleep(time.Millisecond)
		y := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 2, "\x04b"), "\x04b", "y"))
		younger := make(chan error, 1)
		begin := time.Now()
		go func() {
			_, err := c.lay(ctx, y, "\x04a", "y")
			if err != nil {
				_, _ = c.end(ctx, y, false)
			}
			younger <- err
		}()
		x, err := c.lay(ctx, x, "\x04b", "x")
		if err != nil {
			c.t.Fatalf("the older one failed: %v", err)
		}
		if took := time.Since(begin); took > time.Second {
			c.t.Errorf("the deadlock lasted %s", took)
		}
		aborted := detail[*kvpb.TransactionAbortedError](c.t, <-younger)
		if aborted.Reason != kvpb.AbortDeadlock {
			c.t.Errorf("reason %d", aborted.Reason)
		}
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, true))
		if got := c.get(ctx, "\x04a") + c.get(ctx, "\x04b"); got != "xx" {
			c.t.Fatalf("read %q", got)
		}
	})
}

func TestLockingReads(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		for _, k := range []string{"\x04a", "\x04b", "\x04c"} {
			if err := c.put(ctx, k, "0"); err != nil {
				c.t.Fatal(err)
			}
		}
		x := newTxn(n, 1, "\x04b")
		lock := func(b *kvpb.BatchRequest) { b.Requests[0].Lock = kvpb.LockUpdate }
		must[string](c.t)(c.read(ctx, x, "\x04b", lock))
		y := newTxn(n, 2, "\x04c")
		_, err := c.read(ctx, y, "\x04b", func(b *kvpb.BatchRequest) { lock(b); b.Wait = kvpb.WaitError })
		detail[*kvpb.LockNotAvailableError](c.t, err)
		_, err = c.read(ctx, y, "\x04b", func(b *kvpb.BatchRequest) { lock(b); b.LockTimeout = 100 * time.Millisecond })
		detail[*kvpb.LockNotAvailableError](c.t, err)
		r := must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: y, Wait: kvpb.WaitSkip}, Requests: []kvpb.Request{
			{Kind: kvpb.Scan, Key: []byte("\x04a"), EndKey: []byte("\x04z"), Lock: kvpb.LockUpdate}}}))
		if rows := r.Responses[0].Rows; len(rows) != 2 || string(rows[1].Key) != "\x04c" {
			c.t.Fatalf("rows %v", rows)
		}
		// A plain read does not wait for a lock that has no intent.
		if got := c.get(ctx, "\x04b"); got != "0" {
			c.t.Fatal(got)
		}
		x.LockSpans = []kvpb.Span{{Key: []byte("\x04b")}}
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, true))
		must[string](c.t)(c.read(ctx, newTxn(n, 3, "\x04b"), "\x04b", func(b *kvpb.BatchRequest) { lock(b); b.Wait = kvpb.WaitError }))
	})
}

func TestCommitOverTwoRangesLeavesARecordUntilItIsCleaned(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		if _, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.AdminSplit, Key: []byte("\x04m"), Admin: &kvpb.AdminArgs{SplitKey: []byte("\x04m")}}}}); err != nil {
			c.t.Fatal(err)
		}
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "1"))
		x = must[*kvpb.Transaction](c.t)(c.lay(ctx, x, "\x04z", "2"))
		x.LockSpans = []kvpb.Span{{Key: []byte("\x04a")}, {Key: []byte("\x04z")}}
		x = must[*kvpb.Transaction](c.t)(c.end(ctx, x, true))
		if len(x.LockSpans) != 1 || string(x.LockSpans[0].Key) != "\x04z" {
			c.t.Fatalf("left to resolve: %v", x.LockSpans)
		}
		// Who meets the intent learns from the record that it is committed.
		if got := c.get(ctx, "\x04z") + c.get(ctx, "\x04a"); got != "21" {
			c.t.Fatalf("read %q", got)
		}
		_, err := c.end(ctx, x, true)
		detail[*kvpb.TransactionStatusError](c.t, err)
		for range 120 {
			_ = c.get(ctx, "\x04a") // keeps the lease
			time.Sleep(time.Second)
		}
		if record, err := n.server.loadRecord(&x.TxnMeta); err != nil || record != nil {
			c.t.Fatalf("the record is still there: %v, %v", record, err)
		}
	})
}

func TestGarbageGoesAfterItsTime(t *testing.T) {
	withOneStore(t, func(c *Config) { c.GCTTL = 2 * time.Minute }, func(c *testCluster, n *testNode, ctx context.Context) {
		for i := range 3000 {
			if err := c.put(ctx, "\x04hot", fmt.Sprint(i)); err != nil {
				c.t.Fatal(err)
			}
		}
		early := n.clock.Now()
		for range 400 {
			if got := c.get(ctx, "\x04hot"); got != "2999" {
				c.t.Fatal(got)
			}
			time.Sleep(time.Second)
		}
		raft, _ := n.server.store.Replica(1)
		if versions := raft.Statistics().VersionCount; versions > 500 {
			c.t.Fatalf("%d versions", versions)
		}
		_, err := c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Timestamp: hlc.Timestamp{WallTime: early.WallTime}},
			Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04hot")}}})
		detail[*kvpb.BatchTimestampBeforeGCError](c.t, err)
	})
}

func TestIncrementAndConditions(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		for i := range 10 {
			r := must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Increment, Key: []byte("\x03n"), Delta: 2}}}))
			if r.Responses[0].Int != int64(2*i+2) {
				c.t.Fatal(r.Responses[0].Int)
			}
		}
		put := func(value, expected []byte) error {
			_, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.ConditionalPut, Key: []byte("\x04k"), Value: value, Expected: expected}}})
			return err
		}
		if err := put([]byte("1"), nil); err != nil {
			c.t.Fatal(err)
		}
		if got := detail[*kvpb.ConditionFailedError](c.t, put([]byte("2"), nil)); string(got.Actual) != "1" {
			c.t.Fatalf("actual %q", got.Actual)
		}
		if err := put(nil, []byte("1")); err != nil {
			c.t.Fatal(err)
		}
		// Several requests on one key see each other, and all or none happen.
		_, err := c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{
			{Kind: kvpb.Put, Key: []byte("\x04k"), Value: []byte("3")},
			{Kind: kvpb.ConditionalPut, Key: []byte("\x04k"), Value: []byte("4"), Expected: []byte("9")}}})
		if e := detail[*kvpb.Error](c.t, err); e.Index != 1 {
			c.t.Fatalf("index %d", e.Index)
		}
		if got := c.get(ctx, "\x04k"); got != "" {
			c.t.Fatalf("half a batch took effect: %q", got)
		}
	})
}

func TestFullStoreTakesDeletionsOnly(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		if err := c.put(ctx, "\x04a", "1"); err != nil {
			c.t.Fatal(err)
		}
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04b"), "\x04b", "1"))
		n.engines.MarkFull()
		detail[*kvpb.StoreFullError](c.t, c.put(ctx, "\x04a", "2"))
		_, err := c.Send(ctx, commitBatch(newTxn(n, 2, "\x04c"), "\x04c", "1"))
		detail[*kvpb.StoreFullError](c.t, err)
		must[*kvpb.Transaction](c.t)(c.end(ctx, x, false))
		must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Delete, Key: []byte("\x04a")}}}))
		if err := n.engines.State.Flush(); err != nil {
			c.t.Fatal(err)
		}
		if err := c.put(ctx, "\x04a", "3"); err != nil {
			c.t.Fatal(err)
		}
	})
}

func TestMalformedBatchesAreRefused(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := newTxn(n, 1, "\x04a")
		key, end := []byte("\x04a"), []byte("\x04b")
		for i, requests := range [][]kvpb.Request{
			{{Kind: kvpb.Get}},
			{{Kind: kvpb.Scan, Key: end, EndKey: key}},
			{{Kind: kvpb.Get, Key: key, EndKey: end}},
			{{Kind: kvpb.EndTxn, Key: key}},
			{{Kind: kvpb.EndTxn, Key: key, EndTxn: &kvpb.EndTxnArgs{Commit: true}}, {Kind: kvpb.Get, Key: key}},
			{{Kind: kvpb.EndTxn, Key: key, EndTxn: &kvpb.EndTxnArgs{Commit: true, InFlightWrites: []kvpb.SequencedWrite{{Key: key}}}}},
			{{Kind: kvpb.PushTxn, Key: key}},
			{{Kind: kvpb.ResolveIntent, Key: key}},
			{{Kind: kvpb.RecoverTxn, Key: key}},
			{{Kind: kvpb.AddTable, Key: key, EndKey: end}},
			{{Kind: kvpb.AdminSplit, Key: key}},
			{{Kind: kvpb.AdminSplit, Key: []byte("\x02"), Admin: &kvpb.AdminArgs{SplitKey: []byte("\x02x")}}},
			{{Kind: kvpb.Kind(200), Key: key}},
			{{Kind: kvpb.Invalid, Key: key}},
			{{Kind: kvpb.GarbageCollect, Key: key, EndKey: end, RefreshFrom: hlc.MaxTimestamp}},
		} {
			_, err := c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: x}, Requests: requests})
			if e, ok := errors.AsType[*kvpb.RequestError](err); !ok {
				c.t.Errorf("batch %d: %v, %v", i, err, e)
			}
		}
	})
}

func TestAnIntentIsResolvedOnce(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		x := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 1, "\x04a"), "\x04a", "1"))
		y := must[*kvpb.Transaction](c.t)(c.lay(ctx, newTxn(n, 2, "\x04b"), "\x04b", "2"))
		args := &kvpb.ResolveArgs{Txn: x.TxnMeta, Status: kvpb.Aborted}
		resolve := kvpb.Request{Kind: kvpb.ResolveIntent, Key: []byte("\x04a"), Resolve: args}
		must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{resolve, resolve}}))
		stats := must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.RangeStats, Key: []byte("\x04a")}}}))
		if count := stats.Responses[0].Stats.LockCount; count != 1 {
			c.t.Errorf("%d intents are counted where there is 1", count)
		}
		must[*kvpb.Transaction](c.t)(c.end(ctx, y, true))
		if got := c.get(ctx, "\x04b"); got != "2" {
			c.t.Errorf("a committed value reads as %q", got)
		}
	})
}

func TestARepeatedDeletionFindsTheSameKeys(t *testing.T) {
	withOneStore(t, nil, func(c *testCluster, n *testNode, ctx context.Context) {
		for _, k := range []string{"\x04a", "\x04b"} {
			if err := c.put(ctx, k, "1"); err != nil {
				c.t.Fatal(err)
			}
		}
		x := newTxn(n, 1, "\x04a")
		x.Sequence = 1
		for range 2 {
			r := must[*kvpb.BatchResponse](c.t)(c.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Txn: x}, Requests: []kvpb.Request{
				{Kind: kvpb.DeleteRange, Key: []byte("\x04a"), EndKey: []byte("\x04z"), Sequence: 1}}}))
			if got := r.Responses[0].NumKeys; got != 2 {
				c.t.Fatalf("%d keys deleted", got)
			}
			x = r.Txn
		}
	})
}
