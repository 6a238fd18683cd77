package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
	"github.com/cairndb/cairn/kv/cluster"
)

func nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Show the cluster's nodes",
		Long: `Show the cluster's nodes.

  cairn node ls      ids and addresses
  cairn node status  health, ranges, leases and disk as well`,
	}
	cmd.AddCommand(nodeListCommand("ls", "List the nodes' ids and addresses", false),
		nodeListCommand("status", "Show the nodes' health, ranges, leases and disk", true))
	return cmd
}

func nodeListCommand(use, short string, full bool) *cobra.Command {
	var connection node.Connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ", as the node at --host knows them.\n\n  cairn node " + use + " --host=127.0.0.1:26258",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := connection.Nodes(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(nodes)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			printNodes(w, nodes, full)
			return w.Flush()
		},
	}
	connectionFlags(cmd, &connection)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printNodes(w *tabwriter.Writer, nodes []cluster.Status, full bool) {
	if !full {
		fmt.Fprintln(w, "id\tsql\trpc\thttp\tlocality")
		for _, n := range nodes {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", n.ID, n.SQLAddress, n.RPCAddress, n.HTTPAddress, n.Locality)
		}
		return
	}
	fmt.Fprintln(w, "id\tsql\tstate\tversion\tup\tranges\tleases\tused\tfree")
	for _, n := range nodes {
		state := "live"
		switch {
		case !n.Live:
			state = fmt.Sprintf("silent for %s", n.Silent.Round(time.Second))
		case n.Draining:
			state = "draining"
		}
		var ranges, leases int
		var used, free int64
		for _, s := range n.Stores {
			ranges += s.Ranges
			leases += s.Leases
			used += s.UsedBytes
			free += s.AvailableBytes
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", n.ID, n.SQLAddress, state, n.Version,
			time.Since(n.StartedAt).Round(time.Second), ranges, leases, node.FormatSize(used), node.FormatSize(free))
	}
}
