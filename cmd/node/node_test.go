package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func exec(t *testing.T, n *Node, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.URL()+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, n *Node, sql string) (value int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.URL()+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestStoppedNodesLeaveNothingBehind starts and stops a node twice on one
// store: its data is there again, its goroutines are not.
func TestStoppedNodesLeaveNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := demoConfig(slog.New(slog.DiscardHandler))
	c.SingleNode, c.FS = true, vfs.NewMem()
	for life := range 2 {
		n, err := Start(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, n, "CREATE TABLE IF NOT EXISTS lives (n INT PRIMARY KEY); INSERT INTO lives SELECT count(*) FROM lives")
		if got := query(t, n, "SELECT count(*) FROM lives"); got != int64(life+1) {
			t.Errorf("life %d: %d rows", life+1, got)
		}
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestDemoServesThroughEachNode writes through one node and reads through all.
func TestDemoServesThroughEachNode(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d, err := StartDemo(context.Background(), 3, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, d.Nodes[0], "CREATE TABLE numbers (n INT PRIMARY KEY); INSERT INTO numbers VALUES (1), (2), (3)")
	for _, n := range d.Nodes {
		if got := query(t, n, "SELECT count(*) FROM numbers"); got != 3 {
			t.Errorf("node %d sees %d rows", n.ID(), got)
		}
	}
	if err := d.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
