package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
)

// drainTimeout is how long a node may take to leave after SIGTERM.
const drainTimeout = 9 * time.Second

func startCommand() *cobra.Command {
	config := node.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "start --store=DIR --join=RPCADDR,… (--insecure | --certs-dir=DIR)",
		Short: "Start a node of a cluster",
		Long: `Start a node. The first time, its store is empty and it waits for its cluster:
it asks the --join addresses until one of them belongs to a cluster, or until
"cairn init" makes this node the first of a new one. Afterwards the store knows
its cluster, and --join only tells where to find it again.

Three nodes on one machine, each in a terminal of its own:

  J=127.0.0.1:26357,127.0.0.1:26358,127.0.0.1:26359
  cairn start --insecure --store=n1 --listen=127.0.0.1:26257 --rpc=127.0.0.1:26357 --http=127.0.0.1:8080 --join=$J
  cairn start --insecure --store=n2 --listen=127.0.0.1:26258 --rpc=127.0.0.1:26358 --http=127.0.0.1:8081 --join=$J
  cairn start --insecure --store=n3 --listen=127.0.0.1:26259 --rpc=127.0.0.1:26359 --http=127.0.0.1:8082 --join=$J

then, once:

  cairn init --host=127.0.0.1:26357
  psql postgresql://postgres@127.0.0.1:26258/postgres

SIGTERM (or Ctrl-C) drains the node and stops it within 10 seconds; a second
signal stops it at once. No acknowledged write is lost either way.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), config) },
	}
	commonFlags(cmd, &config)
	cmd.Flags().StringVar(&config.AdvertiseRPC, "advertise-rpc", "", "`address` by which other nodes reach --rpc, where that is another one (default: --rpc)")
	cmd.Flags().StringSliceVar(&config.Join, "join", nil, "RPC `addresses` of some nodes of the cluster, this one's may be among them")
	return cmd
}

func startSingleNodeCommand() *cobra.Command {
	config := node.DefaultConfig()
	config.SingleNode = true
	cmd := &cobra.Command{
		Use:   "start-single-node (--insecure | --certs-dir=DIR) [--store=DIR]",
		Short: "Start a cluster of one node",
		Long: `Start a cluster that is this one node; it initializes itself the first time.

  cairn start-single-node --insecure
  psql postgresql://postgres@127.0.0.1:26257/postgres

Data is kept in --store; starting again with the same store finds it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), config) },
	}
	commonFlags(cmd, &config)
	return cmd
}

func commonFlags(cmd *cobra.Command, c *node.Config) {
	f := cmd.Flags()
	f.StringVar(&c.StoreDir, "store", c.StoreDir, "`directory` of the node's data")
	f.StringVar(&c.SQLAddress, "listen", c.SQLAddress, "`address` for Postgres clients")
	f.StringVar(&c.RPCAddress, "rpc", c.RPCAddress, "`address` for the other nodes and for cairn's own commands")
	f.StringVar(&c.HTTPAddress, "http", c.HTTPAddress, "`address` of /health and /metrics")
	f.BoolVar(&c.Insecure, "insecure", false, "no TLS and no passwords; only on loopback addresses")
	f.BoolVar(&c.InsecureRemote, "insecure-on-any-address", false, "with --insecure: allow addresses that other machines reach; whoever reaches them is superuser")
	f.StringVar(&c.CertsDir, "certs-dir", "", "`directory` with ca.crt, node.crt and node.key")
	f.StringVar(&c.Locality, "locality", "", "where the node is, from wide to narrow: `region=…,zone=…`")
	f.Var(&c.Cache, "cache", "memory for cached data: a `size` (256MiB) or a share of the machine's memory (25%)")
	f.Var(&c.MaxSQLMemory, "max-sql-memory", "memory that queries may use together: a `size` or a share; beyond it they fail with 53200")
	f.DurationVar(&c.MaxOffset, "max-offset", c.MaxOffset, "largest difference between the nodes' clocks; the same on all nodes")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "human or json")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
}

// run starts a node and keeps it until a signal comes.
func run(ctx context.Context, config node.Config) error {
	logger, err := node.NewLogger(os.Stderr, config.LogFormat, config.LogLevel)
	if err != nil {
		return err
	}
	config.Logger = logger
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)

	// A signal during the start (a node may wait for its cluster for long)
	// abandons the start.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	var n *node.Node
	go func() {
		var err error
		n, err = node.Start(ctx, config)
		started <- err
	}()
	select {
	case err := <-started:
		if err != nil {
			return err
		}
	case s := <-signals:
		cancel()
		if err := <-started; err == nil {
			n.Stop(context.Background())
		}
		logger.Info("stopped before the node was ready", "signal", s.String())
		return nil
	}
	fmt.Printf("Cairn %s is ready: node %d of cluster %s\n\n    psql %s\n\n", node.Version, n.ID(), n.ClusterID(), n.URL())

	select {
	case s := <-signals:
		logger.Info("draining", "signal", s.String())
	case err := <-n.Failed():
		return err
	}
	stopContext, stopCancel := context.WithTimeout(context.Background(), drainTimeout)
	defer stopCancel()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(stopContext) }()
	select {
	case err := <-stopped:
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		logger.Info("stopped")
	case s := <-signals:
		logger.Warn("second signal: leaving at once", "signal", s.String())
		os.Exit(1)
	case <-time.After(drainTimeout + 500*time.Millisecond):
		// The store is crash-safe, so leaving in the middle loses nothing.
		slog.Warn("drain took too long; leaving")
		os.Exit(1)
	}
	return nil
}
