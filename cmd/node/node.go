// Package node puts a node together: it opens the listeners and the store,
// finds or makes the cluster, and starts and stops the layers in order. The
// commands start it, and so do tests and the demo, in their own process.
//
//	listeners → store → identity (founds, joins or knows its cluster)
//	  → kv/server ↔ kv/rpc ↔ other nodes → kv.Router → txn.DB
//	  → catalog.Manager → sql.Server → pgwire.Server → clients
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/cmd/console"
	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/rpc"
	"github.com/cairndb/cairn/kv/server"
	"github.com/cairndb/cairn/pgwire"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/sql"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/schemachange"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// Node is a running node.
type Node struct {
	config     Config
	certs      *certificates // nil with --insecure
	rpcAddress string        // how other nodes reach this one
	sqlAddress string
	httpServer *http.Server
	started    time.Time

	sqlListener, rpcListener, httpListener net.Listener

	rpcServer *rpc.Server
	dialer    *rpc.Dialer
	transport *rpc.Transport
	clock     *hlc.Clock
	engines   *engine.Engines
	identity  *identity
	directory *cluster.Directory
	offsets   offsets
	kv        *server.Server
	router    *kv.Router
	db        *txn.DB
	services  *schemachange.Services
	sql       *sql.Server
	pgwire    *pgwire.Server

	// initialize hands a cairn init to the goroutine that waits for a cluster,
	// with where to answer; initAnswer is that once it was taken.
	initialize chan chan error
	initAnswer chan error
	// hasIdentity is closed when the node is a member of a cluster, serving when
	// its ranges can be reached through it.
	hasIdentity chan struct{}
	serving     chan struct{}
	ready       atomic.Bool
	draining    atomic.Bool

	failed chan error
	// cancel ends what serves, cancelTasks the node's own tasks.
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once
}

// Start starts a node and returns when it serves clients. That may take as long
// as its cluster is not initialized or has no quorum; ctx abandons it.
func Start(ctx context.Context, c Config) (*Node, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Clock == nil {
		c.Clock = hlc.SystemClock
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{config: c, started: time.Unix(0, c.Clock()), initialize: make(chan chan error), hasIdentity: make(chan struct{}),
		serving: make(chan struct{}), failed: make(chan error, 1), clock: hlc.NewClock(c.Clock, c.MaxOffset), offsets: offsets{bound: c.MaxOffset, byAddress: map[string]time.Duration{}}}
	if err := n.start(ctx); err != nil {
		n.close()
		if n.initAnswer != nil {
			n.initAnswer <- err
		}
		return nil, err
	}
	if n.initAnswer != nil {
		n.initAnswer <- nil
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	running, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if n.config.CertsDir != "" {
		var err error
		if n.certs, err = loadCertificates(n.config.CertsDir); err != nil {
			return err
		}
	}
	if err := n.listen(); err != nil {
		return err
	}
	n.serveHTTP()
	n.dialer = rpc.NewDialer(dialFunc(n.certs))
	if err := n.openStore(); err != nil {
		return err
	}
	n.rpcServer = rpc.NewServer()
	n.handleCalls()
	n.run(func() { n.serveRPC(running) })

	var err error
	if n.identity, err = readIdentity(n.config.FS, n.config.StoreDir); err != nil {
		return err
	}
	if n.identity == nil {
		if n.identity, err = n.becomeMember(ctx); err != nil {
			return err
		}
	}
	n.directory = cluster.NewDirectory(n.identity.ClusterID, cluster.Node{
		ID: n.identity.Node, Incarnation: n.started.UnixNano(), RPCAddress: n.rpcAddress, SQLAddress: n.sqlAddress,
		HTTPAddress: n.httpListener.Addr().String(), Locality: n.config.Locality, Version: Version, StartedAt: n.started,
		Stores: []cluster.Store{{ID: n.identity.Store}},
	}, time.Now)
	close(n.hasIdentity)
	if err := n.checkCluster(ctx); err != nil {
		return err
	}
	if err := n.startKV(running); err != nil {
		return err
	}
	return n.startSQL(ctx, running)
}

// run runs a task that Stop waits for.
func (n *Node) run(task func()) {
	n.tasks.Add(1)
	go func() { defer n.tasks.Done(); task() }()
}

// fail reports that the node can't go on.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Failed yields the error after which the node can't go on.
func (n *Node) Failed() <-chan error { return n.failed }

func (n *Node) listen() error {
	for _, l := range []struct {
		listener      *net.Listener
		flag, address string
	}{{&n.sqlListener, "--listen", n.config.SQLAddress}, {&n.rpcListener, "--rpc", n.config.RPCAddress}, {&n.httpListener, "--http", n.config.HTTPAddress}} {
		var err error
		if *l.listener, err = net.Listen("tcp", l.address); err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return hint(fmt.Errorf("%s=%s: the port is in use", l.flag, l.address),
					"another program (perhaps another node) listens there: stop it, or choose another port with %s=HOST:PORT", l.flag)
			}
			return hint(fmt.Errorf("%s=%s: %w", l.flag, l.address, err), "the address must be one of this machine's, and the port one that you may use")
		}
	}
	n.sqlAddress, n.rpcAddress = n.sqlListener.Addr().String(), n.rpcListener.Addr().String()
	if n.config.AdvertiseRPC != "" {
		n.rpcAddress = n.config.AdvertiseRPC
	}
	return nil
}

// isSelf reports whether an RPC address is this node's own.
func (n *Node) isSelf(address string) bool {
	return address == n.rpcAddress || address == n.rpcListener.Addr().String()
}

func (n *Node) openStore() error {
	if err := n.config.FS.MkdirAll(n.config.StoreDir, 0o755); err != nil {
		return hint(fmt.Errorf("--store=%s: %w", n.config.StoreDir, err), "the directory must be one that you may write to")
	}
	var err error
	n.engines, err = engine.Open(engine.Options{FS: n.config.FS, Dir: n.config.StoreDir, CacheBytes: n.config.Cache.Resolve(), Logger: n.config.Logger})
	if _, locked := errors.AsType[*engine.LockedError](err); locked {
		return hint(err, "a node is running with this store: stop it first, or give this node a store of its own with --store=DIR")
	}
	return err
}

func (n *Node) serveRPC(ctx context.Context) {
	listener := n.rpcListener
	if n.certs != nil {
		listener = tls.NewListener(listener, n.certs.forNodes())
	}
	if err := n.rpcServer.Serve(ctx, listener); err != nil {
		n.fail(fmt.Errorf("serving --rpc: %w", err))
	}
}

// startKV starts what keeps ranges, and reaches those of other nodes.
func (n *Node) startKV(running context.Context) error {
	n.transport = rpc.NewTransport(n.dialer, n.addressOfStore, n.config.Logger)
	n.router = kv.NewRouter(kv.RouterConfig{Node: n.identity.Node, Remote: n.senderOf, FirstRange: n.directory.FirstRange, Clock: n.clock, Logger: n.config.Logger})
	var err error
	n.kv, err = server.Open(server.Config{
		Node: n.identity.Node, Store: n.identity.Store, Engines: n.engines, Clock: n.clock, Transport: n.transport, Logger: n.config.Logger,
		Router: n.router, Directory: n.directory, Failed: n.fail,
	})
	if err != nil {
		return err
	}
	n.router.SetLocal(n.kv)
	n.rpcServer.HandleKV(n.kv, n.kv)
	n.run(func() { n.exchange(running) })
	n.run(func() { n.watchDisk(running) })
	return nil
}

func (n *Node) addressOfStore(store kvpb.StoreID) (string, bool) {
	node, ok := n.directory.NodeOf(store)
	if !ok {
		return "", false
	}
	return n.directory.Address(node)
}

func (n *Node) senderOf(node kvpb.NodeID) (kv.Sender, bool) {
	address, ok := n.directory.Address(node)
	if !ok {
		return nil, false
	}
	return n.dialer.Sender(address), true
}

// startSQL starts what serves clients, once the cluster's ranges can be
// reached.
func (n *Node) startSQL(ctx, running context.Context) error {
	if n.identity.Bootstrapping {
		if err := n.bootstrap(ctx); err != nil {
			return err
		}
	}
	n.db = txn.NewDB(txn.Config{Sender: n.router, Clock: n.clock, Node: n.identity.Node, Logger: n.config.Logger})
	n.services = schemachange.NewServices(n.db, n.identity.Node, n.config.Logger)
	if n.identity.Bootstrapping {
		if err := n.db.Run(ctx, txn.Options{Name: "bootstrap"}, catalog.Bootstrap); err != nil {
			return fmt.Errorf("making the first database: %w", err)
		}
		done := *n.identity
		done.Bootstrapping = false
		if err := writeIdentity(n.config.FS, n.config.StoreDir, done); err != nil {
			return err
		}
		n.identity = &done
	}
	if err := n.startServices(ctx); err != nil {
		return err
	}
	close(n.serving)
	var err error
	if n.sql, err = sql.NewServer(sql.Config{DB: n.db, Catalog: n.services.Catalog, Jobs: n.services.Jobs, Clock: n.clock, Node: n.identity.Node, ClusterID: n.identity.ClusterID,
		Version: Version, Logger: n.config.Logger, MaxSQLMemory: n.config.MaxSQLMemory.Resolve()}); err != nil {
		return err
	}
	var clientTLS *tls.Config
	if n.certs != nil {
		clientTLS = n.certs.forClients()
	}
	n.pgwire = pgwire.NewServer(pgwire.Config{SQL: n.sql, TLS: clientTLS, Insecure: n.config.Insecure, Logger: n.config.Logger})
	n.run(func() {
		if err := n.pgwire.Serve(running, n.sqlListener); err != nil {
			n.fail(fmt.Errorf("serving --listen: %w", err))
		}
	})
	n.ready.Store(true)
	return nil
}

// bootstrap makes the first range of a new cluster and what it holds from the
// start. A start after a crash in between repeats it.
func (n *Node) bootstrap(ctx context.Context) error {
	if err := n.kv.Bootstrap(ctx); err != nil {
		return fmt.Errorf("making the first range: %w", err)
	}
	return n.writeFirstKeys(ctx)
}

// startServices starts the catalog's cache and the jobs, however long the
// cluster has no quorum.
func (n *Node) startServices(ctx context.Context) error {
	logged := false
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := n.services.Start(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !logged {
			n.config.Logger.Info("waiting for enough of the cluster's nodes", "error", err)
			logged = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}

func (n *Node) serveHTTP() {
	registry := console.NewRegistry()
	n.registerMetrics(registry)
	n.httpServer = &http.Server{Handler: console.NewHandler(registry, n.notReady), ReadHeaderTimeout: 10 * time.Second}
	listener := n.httpListener
	if n.certs != nil {
		listener = tls.NewListener(listener, n.certs.forClients())
	}
	n.run(func() {
		if err := n.httpServer.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("serving --http: %w", err))
		}
	})
}

// notReady says why the node does not serve clients, "" while it does.
func (n *Node) notReady() string {
	switch {
	case n.draining.Load():
		return "draining"
	case n.ready.Load():
		return ""
	}
	select {
	case <-n.hasIdentity:
		return "waiting for enough of the cluster's nodes"
	default:
		return "not part of a cluster yet"
	}
}

// Stop drains the node and stops it: no new connections, running statements
// may end, leases go to other nodes. When ctx ends it stops at once. Nothing
// that was acknowledged is lost either way.
func (n *Node) Stop(ctx context.Context) error {
	n.draining.Store(true)
	drained, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	err := n.pgwire.Drain(drained)
	if kvErr := n.kv.Drain(drained); err == nil {
		err = kvErr
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, n.close())
}

// drainTime is how long clients and leases may take to leave.
const drainTime = 5 * time.Second

// close stops what was started, in the reverse order.
func (n *Node) close() (err error) {
	n.closed.Do(func() {
		if n.pgwire != nil {
			n.pgwire.Close()
		}
		if n.sql != nil {
			n.sql.Close()
		}
		if n.services != nil {
			n.services.Close()
		}
		if n.db != nil {
			n.db.Close()
		}
		n.cancel()
		for _, l := range []net.Listener{n.sqlListener, n.rpcListener} {
			if l != nil {
				l.Close()
			}
		}
		if n.httpServer != nil {
			n.httpServer.Close()
		} else if n.httpListener != nil {
			n.httpListener.Close()
		}
		if n.dialer != nil {
			n.dialer.Close()
		}
		if n.transport != nil {
			n.transport.Close()
		}
		if n.kv != nil {
			n.kv.Close()
		}
		n.tasks.Wait()
		if n.engines != nil {
			err = n.engines.Close()
		}
	})
	return err
}

// ID returns the node's id.
func (n *Node) ID() kvpb.NodeID { return n.identity.Node }

// ClusterID returns the id of the node's cluster.
func (n *Node) ClusterID() string { return n.identity.ClusterID }

// clusterID is ClusterID once hasIdentity is closed.
func (n *Node) clusterID() string { return n.directory.ClusterID() }

// URL returns how clients connect.
func (n *Node) URL() string {
	if n.certs != nil {
		return "'postgresql://postgres@" + n.sqlAddress + "/postgres?sslmode=require'"
	}
	return "postgresql://postgres@" + n.sqlAddress + "/postgres"
}

// HTTPAddress returns where /health and /metrics are.
func (n *Node) HTTPAddress() string { return n.httpListener.Addr().String() }
