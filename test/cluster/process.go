// Package cluster starts Cairn's binary as a user does, in one or several
// processes, and lets tests kill, stop and restart them.
package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cairndb/cairn/cmd/node"
	"github.com/cairndb/cairn/kv/cluster"
)

// startTimeout bounds the start of a node, on a machine that is busy with
// other tests.
const startTimeout = 60 * time.Second

var build = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv("CAIRN_BINARY"); binary != "" {
		return filepath.Abs(binary)
	}
	dir, err := os.MkdirTemp("", "cairn-test-*")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "cairn")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/cairndb/cairn/cmd/cairn").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// Binary returns the path of the cairn binary: $CAIRN_BINARY, or one built
// from this tree, once a test process.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// Node is one process.
type Node struct {
	SQL, RPC, HTTP string
	Store          string
	arguments      []string
	binary         string
	command        *exec.Cmd
	log            *logBuffer
	exited         chan struct{}
}

// Cluster is several nodes, stopped when the test ends.
type Cluster struct{ Nodes []*Node }

// logBuffer collects what a process says; it is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lastPort is the last port that FreeAddress looked at. Ports from 32768 on are
// left alone: the system gives them to outgoing connections, and a node that is
// down for a moment would find its own taken.
var lastPort atomic.Int64

const firstPort, endPort = 12000, 32000

func init() { lastPort.Store(firstPort + rand.Int64N(endPort-firstPort)) }

// FreeAddress returns a loopback address whose port was free a moment ago, and
// that it returns once.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range endPort - firstPort {
		port := firstPort + lastPort.Add(1)%(endPort-firstPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

func newNode(t testing.TB, store string) *Node {
	return &Node{SQL: FreeAddress(t), RPC: FreeAddress(t), HTTP: FreeAddress(t), Store: store, binary: Binary(t)}
}

// StartSingle starts a cluster of one node with its data in store.
func StartSingle(t testing.TB, store string, flags ...string) *Node {
	t.Helper()
	n := newNode(t, store)
	n.arguments = append([]string{"start-single-node", "--insecure", "--store=" + n.Store,
		"--listen=" + n.SQL, "--rpc=" + n.RPC, "--http=" + n.HTTP}, flags...)
	n.Start(t)
	n.WaitReady(t)
	t.Cleanup(func() { n.cleanUp(t) })
	return n
}

// StartCluster starts and initializes a cluster of count nodes.
func StartCluster(t testing.TB, count int, flags ...string) *Cluster {
	t.Helper()
	return startCluster(t, count, func(*Node) []string { return flags })
}

// startCluster is StartCluster with flags for each node.
func startCluster(t testing.TB, count int, flags func(*Node) []string) *Cluster {
	t.Helper()
	c := &Cluster{}
	var join []string
	for range count {
		n := newNode(t, filepath.Join(t.TempDir(), "store"))
		c.Nodes = append(c.Nodes, n)
		join = append(join, n.RPC)
	}
	for _, n := range c.Nodes {
		n.arguments = append([]string{"start", "--insecure", "--store=" + n.Store, "--listen=" + n.SQL,
			"--rpc=" + n.RPC, "--http=" + n.HTTP, "--join=" + strings.Join(join, ",")}, flags(n)...)
		n.Start(t)
		t.Cleanup(func() { n.cleanUp(t) })
	}
	c.Nodes[0].waitFor(t, "listening for RPC", func() bool {
		conn, err := net.Dial("tcp", c.Nodes[0].RPC)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if out, err := exec.Command(Binary(t), "init", "--host="+c.Nodes[0].RPC).CombinedOutput(); err != nil {
		t.Fatalf("cairn init: %v\n%s\n%s", err, out, c.Nodes[0].Log())
	}
	for _, n := range c.Nodes {
		n.WaitReady(t)
	}
	return c
}

// Start starts the process; it does not wait until the node serves.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	if n.log == nil {
		n.log = &logBuffer{}
	}
	n.command = exec.Command(n.binary, n.arguments...)
	n.command.Stdout, n.command.Stderr = n.log, n.log
	// A test that dies must not leave servers behind.
	n.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	n.exited = exited
	command := n.command
	go func() { command.Wait(); close(exited) }()
}

// WaitReady waits until the node serves clients.
func (n *Node) WaitReady(t testing.TB) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	n.waitFor(t, "being ready", func() bool {
		r, err := client.Get("http://" + n.HTTP + "/health?ready=1")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

func (n *Node) waitFor(t testing.TB, what string, reached func() bool) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for !reached() {
		select {
		case <-n.exited:
			t.Fatalf("the node left before %s:\n%s", what, n.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node did not get to %s:\n%s", what, n.Log())
		}
	}
}

// Signal sends a signal to the process.
func (n *Node) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := n.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the process as a power cut would, short of the disk's own cache.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	n.Signal(t, syscall.SIGKILL)
	<-n.exited
}

// Exited is closed when the process has ended.
func (n *Node) Exited() <-chan struct{} { return n.exited }

// ExitCode returns the exit code of a process that has ended.
func (n *Node) ExitCode() int { return n.command.ProcessState.ExitCode() }

// Log returns all that the node's processes have printed.
func (n *Node) Log() string { return n.log.String() }

// Metric returns the sum of a metric's samples, and false while the node does
// not answer or has no such metric.
func (n *Node) Metric(name string) (float64, bool) {
	client := &http.Client{Timeout: 2 * time.Second}
	r, err := client.Get("http://" + n.HTTP + "/metrics")
	if err != nil {
		return 0, false
	}
	defer r.Body.Close()
	sum, found := 0.0, false
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			sum, found = sum+v, true
		}
	}
	return sum, found
}

// status returns what the node knows about a node, itself or another.
func (n *Node) status(t testing.TB, about *Node) cluster.Status {
	t.Helper()
	nodes, err := node.Connection{Host: n.RPC, Insecure: true}.Nodes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range nodes {
		if s.SQLAddress == about.SQL {
			return s
		}
	}
	t.Fatalf("the node at %s does not know the one at %s", n.SQL, about.SQL)
	return cluster.Status{}
}

// WaitReplicated waits until each range has a replica on three nodes.
func (c *Cluster) WaitReplicated(t testing.TB) {
	t.Helper()
	c.Nodes[0].waitFor(t, "full replication", func() bool {
		replicas := 0.0
		for _, n := range c.Nodes {
			under, ok := n.Metric("cairn_ranges_underreplicated")
			if !ok || under > 0 {
				return false
			}
			r, _ := n.Metric("cairn_replicas")
			replicas += r
		}
		leaders := 0.0
		for _, n := range c.Nodes {
			l, _ := n.Metric("cairn_leaders")
			leaders += l
		}
		return leaders > 0 && replicas == 3*leaders
	})
}

// URL returns how clients connect.
func (n *Node) URL() string { return "postgresql://postgres@" + n.SQL + "/postgres?sslmode=disable" }

// Connect returns a connection that is closed when the test ends.
func (n *Node) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.URL())
	if err != nil {
		t.Fatalf("%v\n%s", err, n.Log())
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (n *Node) cleanUp(t testing.TB) {
	select {
	case <-n.exited:
	default:
		n.command.Process.Kill()
		<-n.exited
	}
	if t.Failed() {
		t.Logf("log of the node at %s:\n%s", n.SQL, tail(n.Log(), 8000))
	}
	for _, bad := range []string{"panic:", "fatal error:", "DATA RACE"} {
		if strings.Contains(n.Log(), bad) {
			t.Errorf("the node at %s said %q:\n%s", n.SQL, bad, tail(n.Log(), 8000))
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
