package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Demo is a throw-away cluster in this process, in memory.
type Demo struct{ Nodes []*Node }

// StartDemo starts a cluster of count nodes on free loopback ports.
func StartDemo(ctx context.Context, count int, logger *slog.Logger) (*Demo, error) {
	first := demoConfig(logger)
	first.SingleNode = true
	founder, err := Start(ctx, first)
	if err != nil {
		return nil, err
	}
	d := &Demo{Nodes: []*Node{founder}}
	for range count - 1 {
		c := demoConfig(logger)
		c.Join = []string{founder.rpcAddress}
		n, err := Start(ctx, c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("node %d: %w", len(d.Nodes)+1, err), d.Stop(ctx))
		}
		d.Nodes = append(d.Nodes, n)
	}
	return d, nil
}

func demoConfig(logger *slog.Logger) Config {
	c := DefaultConfig()
	c.StoreDir, c.FS, c.Logger, c.Insecure = "store", vfs.NewMem(), logger, true
	c.SQLAddress, c.RPCAddress, c.HTTPAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Cache, c.MaxSQLMemory = Bytes(64<<20), Bytes(256<<20)
	return c
}

// Stop ends all nodes at once: their data goes with them.
func (d *Demo) Stop(context.Context) error {
	errs := make([]error, len(d.Nodes))
	var done sync.WaitGroup
	for i, n := range d.Nodes {
		done.Go(func() { errs[i] = n.close() })
	}
	done.Wait()
	return errors.Join(errs...)
}
