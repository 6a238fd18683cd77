// Package oracle compares Cairn with PostgreSQL 15: the same statements on
// both, and what came back. PostgreSQL is Debian's package; each test process
// starts a server of its own in a temporary directory.
package oracle

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

const binaries = "/usr/lib/postgresql/15/bin/"

// Postgres is a running PostgreSQL server.
type Postgres struct {
	URL  string
	dir  string
	stop func()
}

var start = sync.OnceValues(startPostgres)

// StartPostgres returns the URL of a PostgreSQL 15 that all tests of this
// process share. TestMain must end with Stop.
func StartPostgres(t testing.TB) string {
	t.Helper()
	p, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return p.URL
}

// Stop ends the server that StartPostgres started, if any.
func Stop() {
	if p := running; p != nil {
		p.stop()
	}
}

var running *Postgres

func startPostgres() (*Postgres, error) {
	if _, err := os.Stat(binaries + "postgres"); err != nil {
		return nil, errors.New("PostgreSQL 15 is missing; `make deps` installs it (Debian: postgresql-15)")
	}
	dir, err := os.MkdirTemp("", "cairn-oracle-*")
	if err != nil {
		return nil, err
	}
	// PostgreSQL refuses to run as root: there it runs as its own user.
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(binaries+"initdb", "-D", data, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: attributes.Credential}
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	server := exec.Command(binaries+"postgres", "-D", data, "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "fsync=off", "-c", "timezone=UTC") // an oracle's data need not survive
	server.SysProcAttr, server.Dir = attributes, dir
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() { server.Wait(); close(exited) }()
	p := &Postgres{URL: fmt.Sprintf("postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable", port), dir: dir}
	p.stop = func() {
		server.Process.Signal(syscall.SIGQUIT)
		<-exited
		os.RemoveAll(dir)
	}
	ready := func() bool {
		return exec.Command(binaries+"pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() == nil
	}
	for !ready() {
		select {
		case <-exited:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("PostgreSQL did not start:\n%s", text)
		default:
		}
	}
	running = p
	return p, nil
}
