package node

import (
	"context"
	"time"

	"github.com/cairndb/cairn/kv/cluster"
)

// diskInterval is how often the room on the disk is looked at.
const diskInterval = 250 * time.Millisecond

// Reserve of disk space: with less than this available the store takes no
// writes, so that what was taken in can still be flushed, compacted and
// deleted. A fiftieth of the disk within these bounds.
const (
	minReserveBytes = 128 << 20
	maxReserveBytes = 1 << 30
)

func reserveBytes(capacity int64) int64 {
	return min(max(capacity/50, minReserveBytes), maxReserveBytes)
}

// watchDisk keeps the store from filling its disk, until ctx ends.
func (n *Node) watchDisk(ctx context.Context) {
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		if usage, err := n.config.FS.GetDiskUsage(n.config.StoreDir); err == nil {
			n.engines.SetAvailable(int64(usage.AvailBytes), reserveBytes(int64(usage.TotalBytes)), n.config.Logger)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// beat raises the node's heartbeat with its store's present figures.
func (n *Node) beat() {
	statistics := n.kv.Statistics()
	store := cluster.Store{ID: n.identity.Store, Ranges: statistics.Ranges, Leases: statistics.Leases,
		UsedBytes: statistics.DiskBytes, CapacityBytes: statistics.CapacityBytes, AvailableBytes: statistics.AvailableBytes}
	draining := n.draining.Load()
	n.directory.Beat(func(self *cluster.Node) {
		self.Stores = []cluster.Store{store}
		self.Draining = draining
	})
}
