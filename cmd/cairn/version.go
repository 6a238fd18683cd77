package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print Cairn's version, and the Go release and platform that it was built with.",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "Cairn %s (%s, %s/%s)\n", node.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
