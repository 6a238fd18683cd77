package node

import (
	"fmt"
	"sync"
	"time"
)

// offsets are how far other nodes' clocks are from this one's. A node whose
// clock is further from most others' than the bound must not serve: what it
// reads could be older than what was acknowledged before.
type offsets struct {
	bound time.Duration

	mu        sync.Mutex
	byAddress map[string]time.Duration // guarded by mu; the least that it can be, 0 within the bound
}

// note takes in what a node's clock read between two moments of ours, in
// nanoseconds; 0: it did not say. It fails when this node's clock is the one
// that is wrong: further off than the bound from more than half of the nodes
// that were heard.
func (o *offsets) note(address string, asked, read, heard int64) error {
	if read == 0 {
		return nil
	}
	var off time.Duration
	switch {
	case read-heard > int64(o.bound):
		off = time.Duration(read - heard)
	case asked-read > int64(o.bound):
		off = time.Duration(read - asked)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byAddress[address] = off
	wrong := 0
	for _, d := range o.byAddress {
		if d != 0 {
			wrong++
		}
	}
	if off == 0 || 2*wrong <= len(o.byAddress) {
		return nil
	}
	direction := "behind"
	if off < 0 {
		direction, off = "ahead of", -off
	}
	return hint(fmt.Errorf("this machine's clock is %s %s that of the node at %s, and --max-offset is %s", off.Round(time.Millisecond), direction, address, o.bound),
		"let both machines follow a time server (chrony, systemd-timesyncd), then start the node again")
}

// forget takes a node that does not answer out of the count.
func (o *offsets) forget(address string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byAddress, address)
}
