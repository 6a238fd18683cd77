package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestBadStatements: each gives its error, and the session goes on.
func TestBadStatements(t *testing.T) {
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	ctx := context.Background()
	conn := n.Connect(t)
	for name, c := range map[string]struct{ sql, code, message string }{
		"syntax error":        {"SELEC 1", "42601", `syntax error at or near "SELEC"`},
		"unknown table":       {"SELECT * FROM nowhere", "42P01", `relation "nowhere" does not exist`},
		"unknown column":      {"SELECT nothing", "42703", `column "nothing" does not exist`},
		"wrong type":          {"SELECT 1 + true", "42883", "operator does not exist: integer + boolean"},
		"bad literal":         {"SELECT 'x'::int", "22P02", `invalid input syntax for type integer: "x"`},
		"division by zero":    {"SELECT 1/0", "22012", "division by zero"},
		"overflow":            {"SELECT 2147483647 + 1", "22003", "integer out of range"},
		"unsupported feature": {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "0A000", "CREATE FUNCTION is not supported by Cairn yet"},
		"operator chain":      {"SELECT 1" + strings.Repeat("+1", 200_000), "54001", "statement is too complex"},
		"nested parentheses":  {"SELECT " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000), "54001", "statement is too complex"},
		"100 MB":              {"SELECT '" + strings.Repeat("x", 100_000_000) + "'", "54000", ""},
		"zero byte":           {"SELECT '\x00'", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conn.PgConn().Exec(ctx, c.sql).ReadAll()
			var got *pgconn.PgError
			if !errors.As(err, &got) {
				if conn.IsClosed() {
					// A text that can't be one message ends the connection; the server stays.
					conn = n.Connect(t)
				}
				if c.code != "" {
					t.Fatalf("%v", err)
				}
				return
			}
			if c.code != "" && got.Code != c.code || !strings.HasPrefix(got.Message, c.message) {
				t.Errorf("%s: %s", got.Code, got.Message)
			}
			var one int
			if err := conn.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil || one != 1 {
				t.Fatalf("afterwards SELECT 1 gives %d, %v", one, err)
			}
		})
	}
}

// TestBrokenPackets: whatever comes in on a connection, other connections
// work on.
func TestBrokenPackets(t *testing.T) {
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	startup := startupMessage("user", "postgres", "database", "postgres")
	for name, packet := range map[string][]byte{
		"nothing":                   {},
		"half a length":             {0, 0},
		"length of zero":            {0, 0, 0, 0},
		"negative length":           {0xff, 0xff, 0xff, 0xff},
		"huge startup":              {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		"unknown protocol":          {0, 0, 0, 8, 0, 9, 0, 0},
		"startup without end":       append(binary.BigEndian.AppendUint32(nil, 12), 0, 3, 0, 0, 'u', 's', 'e', 'r'),
		"HTTP":                      []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"unknown message":           append(bytes.Clone(startup), 0xee, 0, 0, 0, 4),
		"message shorter than head": append(bytes.Clone(startup), 'Q', 0, 0, 0, 1),
		"message of 2 GiB":          append(bytes.Clone(startup), 'Q', 0x7f, 0xff, 0xff, 0xff, 'S'),
		"query without end":         append(bytes.Clone(startup), 'Q', 0, 0, 0, 8, 'S', 'E', 'L', 'E'),
		"bind cut short":            append(bytes.Clone(startup), 'B', 0, 0, 0, 6, 0, 0),
		"bind with wild counts":     append(bytes.Clone(startup), 'B', 0, 0, 0, 10, 0, 0, 0x7f, 0xff, 0x7f, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", n.SQL)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			// The sender goes away in the middle of what it may have to say.
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(startTimeout))
			if _, err := new(bytes.Buffer).ReadFrom(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server does not end the connection: %v", err)
			}
			if _, err := n.Connect(t).Exec(context.Background(), "SELECT 1"); err != nil {
				t.Errorf("another connection: %v", err)
			}
		})
	}
}

func startupMessage(parameters ...string) []byte {
	body := []byte{0, 3, 0, 0}
	for _, p := range parameters {
		body = append(append(body, p...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// TestHalfOpenConnections: connections that never say anything cost others
// nothing.
func TestHalfOpenConnections(t *testing.T) {
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for range 50 {
		conn, err := net.Dial("tcp", n.SQL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := n.Connect(t).Exec(context.Background(), "SELECT 1"); err != nil {
		t.Error(err)
	}
	n.Signal(t, syscall.SIGTERM)
	select {
	case <-n.Exited():
	case <-time.After(10 * time.Second):
		t.Error("the node does not leave within 10 s of SIGTERM")
	}
}

// refused runs a node that must not start and returns what it says.
func refused(t *testing.T, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, Binary(t), arguments...).CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed || ctx.Err() != nil {
		t.Fatalf("cairn %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

func TestStartsThatMustBeRefused(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	n := StartSingle(t, store)
	other := filepath.Join(t.TempDir(), "other")
	flags := func(store, listen string) []string {
		return []string{"start-single-node", "--insecure", "--store=" + store, "--listen=" + listen, "--rpc=127.0.0.1:0", "--http=127.0.0.1:0"}
	}
	if said := refused(t, flags(other, n.SQL)...); !strings.Contains(said, "the port is in use") || !strings.Contains(said, "--listen") {
		t.Errorf("a port in use: %s", said)
	}
	if said := refused(t, flags(store, "127.0.0.1:0")...); !strings.Contains(said, "in use by another process") {
		t.Errorf("a store in use: %s", said)
	}
	if said := refused(t, "init", "--host="+n.RPC); !strings.Contains(said, "initializes itself") {
		t.Errorf("init of a single node: %s", said)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, flags(file, "127.0.0.1:0")...); !strings.Contains(said, "--store") {
		t.Errorf("a store that is a file: %s", said)
	}
	if said := refused(t, "start-single-node", "--insecure", "--listen=0.0.0.0:0"); !strings.Contains(said, "loopback") {
		t.Errorf("insecure on all addresses: %s", said)
	}
}

func TestClusterRefusesASecondInitAndForeignStores(t *testing.T) {
	c := StartCluster(t, 3)
	if said := refused(t, "init", "--host="+c.Nodes[1].RPC); !strings.Contains(said, "initialized already") {
		t.Errorf("a second init: %s", said)
	}
	// A store of another cluster, started with this cluster's addresses.
	foreign := newNode(t, filepath.Join(t.TempDir(), "store"))
	single := StartSingle(t, foreign.Store)
	single.Signal(t, syscall.SIGTERM)
	<-single.Exited()
	said := refused(t, "start", "--insecure", "--store="+foreign.Store, "--listen="+foreign.SQL, "--rpc="+foreign.RPC, "--http="+foreign.HTTP, "--join="+c.Nodes[0].RPC)
	if !strings.Contains(said, "another cluster") {
		t.Errorf("a store of another cluster: %s", said)
	}
}

// TestFullDisk fills a small file system. Writes are refused with 53100,
// deleting makes room again, and nothing acknowledged is lost.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting a small file system is not allowed here: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	n := StartSingle(t, filepath.Join(dir, "store"))
	ctx := context.Background()
	conn := n.Connect(t)
	if _, err := conn.Exec(ctx, "CREATE TABLE filler (id INT PRIMARY KEY, data TEXT)"); err != nil {
		t.Fatal(err)
	}
	// Text that does not compress, so that the disk sees it.
	insert := "INSERT INTO filler SELECT $1, string_agg(md5(random()::text), '') FROM generate_series(1, 8192)"
	acknowledged, full := 0, false
	for i := range 4000 {
		_, err := conn.Exec(ctx, insert, i)
		if err == nil {
			acknowledged++
			continue
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "53100" {
			t.Fatalf("row %d: %v", i, err)
		}
		full = true
		break
	}
	if !full {
		t.Fatal("the disk never got full")
	}
	var count int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM filler").Scan(&count); err != nil || count != acknowledged {
		t.Errorf("with a full disk %d rows are there, %d were acknowledged: %v", count, acknowledged, err)
	}
	t.Logf("refused after %d rows", acknowledged)
	n.Kill(t)
	n.Start(t)
	n.WaitReady(t)
	conn = n.Connect(t)
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM filler").Scan(&count); err != nil || count != acknowledged {
		t.Errorf("after a restart %d rows are there, %d were acknowledged: %v", count, acknowledged, err)
	}
	if _, err := conn.Exec(ctx, "DELETE FROM filler WHERE id = 0"); err != nil {
		t.Errorf("a deletion with a full disk: %v", err)
	}
}

// TestDrain: SIGTERM lets a node leave within 10 s, with its clients told.
func TestDrain(t *testing.T) {
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	conn := n.Connect(t)
	if _, err := conn.Exec(context.Background(), "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	n.Signal(t, syscall.SIGTERM)
	select {
	case <-n.Exited():
	case <-time.After(10 * time.Second):
		t.Fatal("the node does not leave within 10 s of SIGTERM")
	}
	if code := n.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("left after %s", time.Since(begin).Round(time.Millisecond))
	_, err := conn.Exec(context.Background(), "SELECT 1")
	if err == nil {
		t.Error("a statement after the node has left succeeds")
	}
	n.Start(t)
	n.WaitReady(t)
	var a int
	if err := n.Connect(t).QueryRow(context.Background(), "SELECT a FROM t").Scan(&a); err != nil || a != 1 {
		t.Errorf("after the restart: %d, %v", a, err)
	}
	// Ready, draining, gone: never an error in the log.
	if strings.Contains(n.Log(), "level=ERROR") {
		t.Error(fmt.Sprint("the log has errors:\n", n.Log()))
	}
}
