package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transfers are clients that move money between accounts, in explicit
// transactions of several statements, and keep account of what they were told
// about each.
type transfers struct {
	accounts int
	stop     chan struct{}
	done     sync.WaitGroup

	mu        sync.Mutex
	next      int64
	committed map[int64]bool // by id of the transfer
	unknown   map[int64]bool
	refused   map[int64]bool // told that it can be tried again
	codes     map[string]int
	lasts     map[string]time.Time // last commit by the node's address
	longest   map[string]time.Duration
}

const startBalance = 1000

// startTransfers makes the accounts and lets clients of each node work.
func startTransfers(t *testing.T, accounts, clients int, nodes ...*Node) *transfers {
	t.Helper()
	x := &transfers{accounts: accounts, stop: make(chan struct{}), committed: map[int64]bool{}, unknown: map[int64]bool{},
		refused: map[int64]bool{}, codes: map[string]int{}, lasts: map[string]time.Time{}, longest: map[string]time.Duration{}}
	_, err := nodes[0].Connect(t).Exec(context.Background(), fmt.Sprintf(`
		CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL);
		CREATE TABLE moves (id BIGINT, amount INT NOT NULL);
		INSERT INTO accounts SELECT n, %d FROM generate_series(1, %d) AS n`, startBalance, accounts))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		for range clients {
			x.done.Go(func() { x.run(n) })
		}
	}
	return x
}

func (x *transfers) run(n *Node) {
	ctx := context.Background()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(ctx)
		}
	}()
	for {
		select {
		case <-x.stop:
			return
		default:
		}
		if conn == nil || conn.IsClosed() {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			c, err := pgx.Connect(attempt, n.URL())
			cancel()
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			conn = c
		}
		x.mu.Lock()
		x.next++
		id := x.next
		x.mu.Unlock()
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		committing, err := x.transfer(attempt, conn, id)
		cancel()
		x.note(n, id, committing, err)
		if err != nil && !conn.IsClosed() {
			if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
				conn.Close(ctx)
			}
		}
	}
}

// transfer moves money once. committing: COMMIT was sent.
func (x *transfers) transfer(ctx context.Context, conn *pgx.Conn, id int64) (committing bool, err error) {
	from, to, amount := rand.IntN(x.accounts)+1, rand.IntN(x.accounts)+1, rand.IntN(20)-10
	for _, s := range []struct {
		sql       string
		arguments []any
	}{
		{"BEGIN", nil},
		{"UPDATE accounts SET balance = balance - $2 WHERE id = $1", []any{from, amount}},
		{"UPDATE accounts SET balance = balance + $2 WHERE id = $1", []any{to, amount}},
		{"INSERT INTO moves (id, amount) VALUES ($1, $2)", []any{id, amount}},
		{"COMMIT", nil},
	} {
		committing = s.sql == "COMMIT"
		if _, err := conn.Exec(ctx, s.sql, s.arguments...); err != nil {
			return committing, fmt.Errorf("%s: %w", s.sql, err)
		}
	}
	return true, nil
}

func (x *transfers) note(n *Node, id int64, committing bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		now := time.Now()
		if last := x.lasts[n.SQL]; !last.IsZero() {
			x.longest[n.SQL] = max(x.longest[n.SQL], now.Sub(last))
		}
		x.lasts[n.SQL] = now
		x.committed[id] = true
		return
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		x.codes["connection lost"]++
	default:
		x.codes[pgErr.Code+" "+pgErr.Message]++
	}
	switch {
	case ok && pgErr.Code != "40003" && pgErr.Code[:2] != "57", !committing:
		x.refused[id] = true
	default:
		x.unknown[id] = true
	}
}

func (x *transfers) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.committed)
}

func (x *transfers) waitFor(t *testing.T, more int) {
	t.Helper()
	begin, target := time.Now(), x.count()+more
	for x.count() < target {
		if time.Since(begin) > startTimeout {
			t.Fatalf("only %d of %d more transfers within %s; errors so far: %v", x.count()-target+more, more, startTimeout, x.codes)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// expectOnlyConflicts fails where clients got errors so far that have other
// causes than each other.
func (x *transfers) expectOnlyConflicts(t *testing.T) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for code, times := range x.codes {
		if !strings.HasPrefix(code, "40001") && !strings.HasPrefix(code, "40P01") {
			t.Errorf("clients got %q %d times", code, times)
		}
	}
}

// verify ends the clients and checks that each transfer became what its client
// was told.
func (x *transfers) verify(t *testing.T, through *Node) {
	t.Helper()
	close(x.stop)
	x.done.Wait()
	ctx := context.Background()
	conn := through.Connect(t)
	rows, err := conn.Query(ctx, "SELECT id, count(*) FROM moves GROUP BY id")
	if err != nil {
		t.Fatal(err)
	}
	there := map[int64]int64{}
	var id, times int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &times}, func() error { there[id] = times; return nil }); err != nil {
		t.Fatal(err)
	}
	for id := range x.committed {
		if there[id] != 1 {
			t.Errorf("transfer %d was acknowledged and is there %d times", id, there[id])
		}
	}
	for id := range x.refused {
		if there[id] != 0 {
			t.Errorf("transfer %d was refused and is there %d times", id, there[id])
		}
	}
	for id := range x.unknown {
		if there[id] > 1 {
			t.Errorf("transfer %d is there %d times", id, there[id])
		}
	}
	var sum int64
	if err := conn.QueryRow(ctx, "SELECT sum(balance) FROM accounts").Scan(&sum); err != nil || sum != int64(x.accounts)*startBalance {
		t.Errorf("the accounts' sum is %d, %v", sum, err)
	}
	t.Logf("%d transfers acknowledged, %d refused, %d of unknown fate; errors %v; longest pauses %v", len(x.committed), len(x.refused), len(x.unknown), x.codes, x.longest)
}

// TestTransfersSurviveTheLossOfANode kills the node that serves all ranges in
// the middle of transactions, once with clients of its own.
func TestTransfersSurviveTheLossOfANode(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	c.WaitReplicated(t)
	c.holdLease(t, c.Nodes[0])
	x := startTransfers(t, 20, 2, c.Nodes...)
	for lost := range 2 {
		c.holdLease(t, c.Nodes[lost])
		x.waitFor(t, 200)
		c.Nodes[lost].Kill(t)
		x.waitFor(t, 200)
		c.Nodes[lost].Start(t)
		c.Nodes[lost].WaitReady(t)
	}
	x.waitFor(t, 200)
	x.verify(t, c.Nodes[0])
	for code := range x.codes {
		switch code[:5] {
		case "40001", "40003", "40P01", "conne":
		default:
			t.Errorf("clients got %q", code)
		}
	}
}

// TestDrainCostsOtherClientsNothing: a node that leaves on SIGTERM hands its
// leases over; clients of the other nodes see no error.
func TestDrainCostsOtherClientsNothing(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	c.WaitReplicated(t)
	x := startTransfers(t, 1000, 2, c.Nodes[1], c.Nodes[2])
	for range 3 {
		c.holdLease(t, c.Nodes[0])
		x.waitFor(t, 100)
		begin := time.Now()
		c.Nodes[0].Signal(t, syscall.SIGTERM)
		<-c.Nodes[0].Exited()
		t.Logf("left after %s", time.Since(begin).Round(time.Millisecond))
		if code := c.Nodes[0].ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		x.waitFor(t, 100)
		c.Nodes[0].Start(t)
		c.Nodes[0].WaitReady(t)
	}
	x.verify(t, c.Nodes[0])
	x.expectOnlyConflicts(t)
	for node, pause := range x.longest {
		if pause > 2*time.Second {
			t.Errorf("clients of %s could not commit for %s", node, pause)
		}
	}
}

// TestSplitsUnderWrites splits a table below running transactions, and loses
// a node when its ranges are spread over all of them.
func TestSplitsUnderWrites(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	c.WaitReplicated(t)
	x := startTransfers(t, 100, 2, c.Nodes...)
	conn := c.Nodes[1].Connect(t)
	for at := 10; at <= 90; at += 10 {
		if _, err := conn.Exec(context.Background(), fmt.Sprintf("ALTER TABLE accounts SPLIT AT VALUES (%d)", at)); err != nil {
			t.Errorf("split at %d: %v", at, err)
		}
		x.waitFor(t, 20)
	}
	x.expectOnlyConflicts(t)
	c.WaitReplicated(t)
	if ranges, _ := c.Nodes[2].Metric("cairn_replicas"); ranges < 10 {
		t.Errorf("%v ranges after 9 splits", ranges)
	}
	x.waitFor(t, 100)
	c.Nodes[2].Kill(t)
	x.waitFor(t, 100)
	c.Nodes[2].Start(t)
	c.Nodes[2].WaitReady(t)
	x.waitFor(t, 100)
	x.verify(t, c.Nodes[2])
}
