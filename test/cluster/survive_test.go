package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/rpc"
)

// writers insert numbered rows through some nodes and remember which were
// acknowledged. A row whose fate is unknown is not written again: numbers are
// never reused, so a row that is there twice was applied twice.
type writers struct {
	next         atomic.Int64
	mu           sync.Mutex
	acknowledged []int64
	unknown      map[int64]bool
	since        time.Time       // see expectRecovery
	again        []time.Duration // by writer: its first success after since
	stop         chan struct{}
	done         sync.WaitGroup
}

func startWriters(t *testing.T, nodes ...*Node) *writers {
	w := &writers{unknown: map[int64]bool{}, again: make([]time.Duration, len(nodes)), stop: make(chan struct{})}
	for i, n := range nodes {
		w.done.Add(1)
		go func() { defer w.done.Done(); w.run(i, n.URL()) }()
	}
	return w
}

func (w *writers) run(index int, url string) {
	ctx := context.Background()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(ctx)
		}
	}()
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		if conn == nil || conn.IsClosed() {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			c, err := pgx.Connect(attempt, url)
			cancel()
			if err != nil {
				continue
			}
			conn = c
		}
		id := w.next.Add(1)
		// A client that waits longer than this reconnects, as a pool would.
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := conn.Exec(attempt, "INSERT INTO numbered (id, writer) VALUES ($1, $2)", id, index)
		cancel()
		w.mu.Lock()
		if err == nil {
			w.acknowledged = append(w.acknowledged, id)
			// What was under way is acknowledged within moments.
			if took := time.Since(w.since); w.again[index] == 0 && took > 100*time.Millisecond {
				w.again[index] = took
			}
		} else if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "40001" {
			w.unknown[id] = true
		}
		w.mu.Unlock()
	}
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// waitFor waits until that many more rows are acknowledged, and returns how
// long it took.
func (w *writers) waitFor(t *testing.T, more int) time.Duration {
	t.Helper()
	begin, target := time.Now(), w.count()+more
	for w.count() < target {
		if time.Since(begin) > startTimeout {
			t.Fatalf("only %d of %d more rows within %s", w.count()-target+more, more, startTimeout)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

// verify ends the writers and checks each row.
func (w *writers) verify(t *testing.T, through *Node) {
	t.Helper()
	close(w.stop)
	w.done.Wait()
	rows, err := through.Connect(t).Query(context.Background(), "SELECT id, count(*) FROM numbered GROUP BY id")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int64]int64{}
	var id, times int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &times}, func() error { found[id] = times; return nil }); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[int64]bool{}
	for _, id := range w.acknowledged {
		acknowledged[id] = true
		if found[id] != 1 {
			t.Errorf("row %d was acknowledged and is there %d times", id, found[id])
		}
	}
	for id, times := range found {
		if times != 1 || !acknowledged[id] && !w.unknown[id] {
			t.Errorf("row %d is there %d times; acknowledged %v, unknown %v", id, times, acknowledged[id], w.unknown[id])
		}
	}
	t.Logf("%d rows acknowledged, %d of unknown fate, %d there", len(acknowledged), len(w.unknown), len(found))
}

func startNumbered(t *testing.T) *Cluster {
	t.Helper()
	c := StartCluster(t, 3)
	c.createNumbered(t)
	return c
}

func (c *Cluster) createNumbered(t *testing.T) {
	t.Helper()
	conn := c.Nodes[0].Connect(t)
	// No primary key on id: a row that was applied twice must show.
	if _, err := conn.Exec(context.Background(), "CREATE TABLE numbered (id BIGINT, writer INT)"); err != nil {
		t.Fatal(err)
	}
	c.WaitReplicated(t)
}

// recoveryBound is how long clients of the other nodes may wait when a node
// is lost.
const recoveryBound = 6 * time.Second

// expectRecovery waits until each writer has written again and fails where one
// needs longer than recoveryBound.
func (w *writers) expectRecovery(t *testing.T, event string) {
	t.Helper()
	w.mu.Lock()
	w.since = time.Now()
	clear(w.again)
	w.mu.Unlock()
	var took []time.Duration
	for {
		w.mu.Lock()
		took = slices.Clone(w.again)
		w.mu.Unlock()
		if !slices.Contains(took, 0) || time.Since(w.since) > startTimeout {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i, d := range took {
		if d == 0 || d > recoveryBound {
			t.Errorf("writer %d wrote again %s after the %s (0: never)", i, d, event)
		}
	}
	t.Logf("the writers wrote again %v after the %s", took, event)
}

// holdLease makes a node the leaseholder of the range that holds the
// directory of ranges, the system's keys and the small tables, so that its
// loss is the worst that can happen.
func (c *Cluster) holdLease(t *testing.T, holder *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dialer := rpc.NewDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
	defer dialer.Close()
	store := holder.status(t, holder).Stores[0].ID
	for {
		for _, n := range c.Nodes {
			_, err := dialer.Sender(n.RPC).Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{
				{Kind: kvpb.AdminTransferLease, Key: keys.ClusterID, Admin: &kvpb.AdminArgs{Store: store}}}})
			if err != nil {
				continue
			}
			info, err := dialer.Sender(holder.RPC).Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.LeaseInfo, Key: keys.ClusterID}}})
			if err == nil && info.Ranges[0].Leaseholder.Store == store {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatal("the lease could not be given to the node")
		}
	}
}

func TestAcknowledgedRowsSurviveTheLossOfANode(t *testing.T) {
	for lost := range 3 {
		t.Run(fmt.Sprintf("node %d", lost+1), func(t *testing.T) {
			t.Parallel()
			c := startNumbered(t)
			c.holdLease(t, c.Nodes[lost])
			w := startWriters(t, c.Nodes[(lost+1)%3], c.Nodes[(lost+2)%3])
			w.waitFor(t, 100)
			c.Nodes[lost].Kill(t)
			w.expectRecovery(t, "node was lost")
			c.Nodes[lost].Start(t)
			c.Nodes[lost].WaitReady(t)
			w.waitFor(t, 100)
			w.verify(t, c.Nodes[lost])
		})
	}
}

func TestAcknowledgedRowsSurviveTheLossOfAllNodes(t *testing.T) {
	c := startNumbered(t)
	w := startWriters(t, c.Nodes[0], c.Nodes[1])
	for range 2 {
		w.waitFor(t, 200)
		for _, n := range c.Nodes {
			n.Kill(t)
		}
		for _, n := range c.Nodes {
			n.Start(t)
		}
		for _, n := range c.Nodes {
			n.WaitReady(t)
		}
	}
	w.waitFor(t, 100)
	w.verify(t, c.Nodes[2])
}
