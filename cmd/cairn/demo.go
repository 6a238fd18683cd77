package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
)

func demoCommand() *cobra.Command {
	nodes := 3
	cmd := &cobra.Command{
		Use:   "demo [--nodes=3]",
		Short: "Run a throw-away cluster in this process, with psql on it",
		Long: `Start a cluster of several nodes in this process, on free loopback ports, and open
psql on its first node if there is a psql. Everything is in memory and is gone
when you leave.

  cairn demo
  cairn demo --nodes=1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 || nodes > 9 {
				return fmt.Errorf("--nodes must be between 1 and 9, not %d", nodes)
			}
			return demo(cmd.Context(), nodes)
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", nodes, "how many nodes")
	return cmd
}

func demo(ctx context.Context, count int) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	fmt.Printf("Starting %d nodes …\n", count)
	c, err := node.StartDemo(ctx, count, logger)
	if err != nil {
		return err
	}
	defer c.Stop(context.Background())
	for _, n := range c.Nodes {
		fmt.Printf("  node %d  psql %s  http://%s/metrics\n", n.ID(), n.URL(), n.HTTPAddress())
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	psql, err := exec.LookPath("psql")
	if err != nil {
		fmt.Println("\nThere is no psql here (Debian: postgresql-client). Ctrl-C ends the demo.")
		<-signals
		return nil
	}
	fmt.Print("\n\\q ends the demo; all its data goes with it.\n\n")
	shell := exec.CommandContext(ctx, psql, c.Nodes[0].URL())
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	signal.Ignore(syscall.SIGINT) // psql's own
	// How psql ended (a failing statement in a script, say) is psql's message, not ours.
	_ = shell.Run()
	return nil
}
