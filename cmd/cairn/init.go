package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cairndb/cairn/cmd/node"
)

func initCommand() *cobra.Command {
	var connection node.Connection
	cmd := &cobra.Command{
		Use:   "init --host=RPCADDR",
		Short: "Make a waiting node the first of a new cluster",
		Long: `Initialize a cluster, once in its life: the node at --host becomes its first
node, and those that were started with it in their --join list join by themselves.

  cairn init --host=127.0.0.1:26258`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clusterID, err := connection.Init(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Cluster %s is initialized.\n", clusterID)
			return nil
		},
	}
	connectionFlags(cmd, &connection)
	return cmd
}

func connectionFlags(cmd *cobra.Command, c *node.Connection) {
	f := cmd.Flags()
	f.StringVar(&c.Host, "host", node.DefaultConfig().RPCAddress, "RPC `address` of a node")
	f.StringVar(&c.CertsDir, "certs-dir", "", "`directory` with ca.crt, node.crt and node.key, for a cluster with TLS")
	f.BoolVar(&c.Insecure, "insecure", false, "the cluster runs without TLS (the default where --certs-dir is not given)")
}
