package cluster

import (
	"context"
	"fmt"
	"syscall"
	"testing"
)

// TestClientsGoOnWhenANodeFallsSilent: a node that neither answers nor closes
// its connections costs clients of the others no more than one that dies, and
// comes back as if nothing had been.
func TestClientsGoOnWhenANodeFallsSilent(t *testing.T) {
	for silent := range 3 {
		t.Run(fmt.Sprintf("node %d", silent+1), func(t *testing.T) {
			t.Parallel()
			c := startNumbered(t)
			c.holdLease(t, c.Nodes[silent])
			w := startWriters(t, c.Nodes[(silent+1)%3], c.Nodes[(silent+2)%3])
			w.waitFor(t, 100)
			c.Nodes[silent].Signal(t, syscall.SIGSTOP)
			w.expectRecovery(t, "node fell silent")
			c.Nodes[silent].Signal(t, syscall.SIGCONT)
			w.waitFor(t, 100)
			if _, err := c.Nodes[silent].Connect(t).Exec(context.Background(), "INSERT INTO numbered (id, writer) VALUES (-1, -1)"); err != nil {
				t.Errorf("through the node that is back: %v", err)
			}
			w.unknown[-1] = true
			w.verify(t, c.Nodes[silent])
		})
	}
}
