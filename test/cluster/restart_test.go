package cluster

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRestartWithOneNodeMissing(t *testing.T) {
	t.Parallel()
	c := startNumbered(t)
	w := startWriters(t, c.Nodes...)
	w.waitFor(t, 100)
	for _, n := range c.Nodes {
		n.Kill(t)
	}
	c.Nodes[1].Start(t)
	c.Nodes[1].waitFor(t, "waiting for other nodes", func() bool {
		return strings.Contains(c.Nodes[1].Log(), "waiting for enough of the cluster's nodes")
	})
	if ready, _ := c.Nodes[1].Metric("cairn_ready"); ready != 0 {
		t.Error("one of three nodes says that it is ready")
	}
	c.Nodes[2].Start(t)
	c.Nodes[1].WaitReady(t)
	c.Nodes[2].WaitReady(t)
	w.waitFor(t, 100)
	c.Nodes[0].Start(t)
	c.Nodes[0].WaitReady(t)
	w.waitFor(t, 100)
	w.verify(t, c.Nodes[0])
}

// TestNodeCatchesUp: a node that was away for a few writes catches up by the
// log, one that was away for many by a snapshot; then it can stand in for
// another one.
func TestNodeCatchesUp(t *testing.T) {
	t.Parallel()
	c := startNumbered(t)
	ctx := context.Background()
	conn := c.Nodes[0].Connect(t)
	rows := 0
	insert := func(count, size int) {
		t.Helper()
		for range count {
			rows++
			if _, err := conn.Exec(ctx, "INSERT INTO pages SELECT $1, string_agg(md5(random()::text), '') FROM generate_series(1, $2)", rows, size/32); err != nil {
				t.Fatalf("row %d: %v", rows, err)
			}
		}
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE pages (id INT PRIMARY KEY, data TEXT)"); err != nil {
		t.Fatal(err)
	}
	for _, absence := range []struct{ rows, size int }{{20, 100}, {60, 1 << 20}} {
		c.Nodes[2].Kill(t)
		insert(absence.rows, absence.size)
		c.Nodes[2].Start(t)
		c.Nodes[2].WaitReady(t)
		// A lease goes only where all is that was committed.
		c.holdLease(t, c.Nodes[2])
		c.Nodes[1].Kill(t)
		attempt, cancel := context.WithTimeout(ctx, startTimeout)
		var count int
		if err := c.Nodes[2].Connect(t).QueryRow(attempt, "SELECT count(*) FROM pages WHERE length(data) > 90").Scan(&count); err != nil || count != rows {
			t.Errorf("through the node that was away: %d of %d rows, %v", count, rows, err)
		}
		cancel()
		c.Nodes[1].Start(t)
		c.Nodes[1].WaitReady(t)
	}
}

// TestFourthNode joins a running cluster through any of its nodes and serves.
func TestFourthNode(t *testing.T) {
	t.Parallel()
	c := startNumbered(t)
	w := startWriters(t, c.Nodes...)
	n := c.add(t, c.Nodes[2].RPC)
	n.WaitReady(t)
	w.waitFor(t, 50)
	w.verify(t, n)
	if s := c.Nodes[0].status(t, n); !s.Live || s.ID != 4 {
		t.Errorf("the first node sees the fourth as %+v", s)
	}
	for _, command := range []string{"ls", "status"} {
		out, err := exec.Command(Binary(t), "node", command, "--host="+n.RPC).CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 5 || !strings.Contains(string(out), n.SQL) {
			t.Errorf("cairn node %s: %v\n%s", command, err, out)
		}
	}
}

// add starts another node that is told of the given addresses.
func (c *Cluster) add(t *testing.T, join ...string) *Node {
	t.Helper()
	n := newNode(t, filepath.Join(t.TempDir(), "store"))
	n.arguments = []string{"start", "--insecure", "--store=" + n.Store, "--listen=" + n.SQL,
		"--rpc=" + n.RPC, "--http=" + n.HTTP, "--join=" + strings.Join(join, ",")}
	n.Start(t)
	t.Cleanup(func() { n.cleanUp(t) })
	c.Nodes = append(c.Nodes, n)
	return n
}

// TestJoinThroughTheWrongAddress: the node says what is wrong while it waits,
// and leaves when asked.
func TestJoinThroughTheWrongAddress(t *testing.T) {
	t.Parallel()
	single := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for name, address := range map[string]string{"nobody": FreeAddress(t), "Postgres": single.SQL} {
		n := new(Cluster).add(t, address)
		n.waitFor(t, "saying that "+name+" is no node", func() bool {
			return strings.Contains(n.Log(), "no node of a cluster answers") && strings.Contains(n.Log(), address)
		})
		n.Signal(t, syscall.SIGTERM)
		select {
		case <-n.Exited():
		case <-time.After(10 * time.Second):
			t.Errorf("joining %s: the node does not leave within 10 s of SIGTERM", name)
		}
	}
}

// TestJoinListsOnlyItself: the first node of a cluster needs no other's
// address, neither when it is made nor later.
func TestJoinListsOnlyItself(t *testing.T) {
	t.Parallel()
	c := &Cluster{}
	first := newNode(t, filepath.Join(t.TempDir(), "store"))
	first.arguments = []string{"start", "--insecure", "--store=" + first.Store, "--listen=" + first.SQL,
		"--rpc=" + first.RPC, "--http=" + first.HTTP, "--join=" + first.RPC}
	c.Nodes = append(c.Nodes, first)
	first.Start(t)
	t.Cleanup(func() { first.cleanUp(t) })
	first.waitFor(t, "waiting for init", func() bool { return strings.Contains(first.Log(), "cairn init --host="+first.RPC) })
	if out, err := exec.Command(Binary(t), "init", "--host="+first.RPC).CombinedOutput(); err != nil {
		t.Fatalf("cairn init: %v\n%s", err, out)
	}
	first.WaitReady(t)
	c.add(t, first.RPC).WaitReady(t)
	c.add(t, first.RPC).WaitReady(t)
	c.WaitReplicated(t)
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

func TestSecondSignalLeavesAtOnce(t *testing.T) {
	t.Parallel()
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	conn := n.Connect(t)
	sleeping := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(60)")
		sleeping <- err
	}()
	other := n.Connect(t)
	n.waitFor(t, "a long statement running", func() bool {
		var running int
		err := other.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'").Scan(&running)
		return err == nil && running == 1
	})
	n.Signal(t, syscall.SIGTERM)
	n.waitFor(t, "draining", func() bool { return strings.Contains(n.Log(), "draining") })
	begin := time.Now()
	n.Signal(t, syscall.SIGTERM)
	<-n.Exited()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("left %s after the second signal", took)
	}
	if code := n.ExitCode(); code == 0 {
		t.Errorf("exit code %d although clients were cut off", code)
	}
	if err := <-sleeping; err == nil {
		t.Error("the statement has succeeded")
	}
}
