// Command cairn is the whole of Cairn: the server and what manages it. Each
// subcommand has a file of its own.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
)

func main() {
	root := &cobra.Command{
		Use:   "cairn",
		Short: "A distributed SQL database that any Postgres client can use",
		Long: `Cairn is a distributed SQL database. Any Postgres client connects to any node;
data is replicated to three nodes as soon as there are three, and survives the
loss of one.

Try it on this machine, nothing is kept:
  cairn demo

Keep data, one node:
  cairn start-single-node --insecure --store=./cairn-data
  psql postgresql://postgres@127.0.0.1:26257/postgres

A cluster of three: see "cairn start --help".`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       node.Version,
	}
	root.AddCommand(startCommand(), startSingleNodeCommand(), initCommand(), demoCommand(), nodeCommand(), versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "cairn: "+err.Error())
		var hinted *node.HintError
		if errors.As(err, &hinted) {
			fmt.Fprintln(os.Stderr, "  "+hinted.Hint)
		}
		os.Exit(1)
	}
}
