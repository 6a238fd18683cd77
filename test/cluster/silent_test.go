package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
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

// proxy is a way to a node that can be cut: connections stay open, new ones
// are taken, and nothing comes through, as behind a firewall that drops packets.
type proxy struct {
	address string
	cut     atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String()}
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.conns {
			c.Close()
		}
	})
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			p.keep(from)
			go p.serve(from, to)
		}
	}()
	return p
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

func (p *proxy) serve(from net.Conn, address string) {
	if p.cut.Load() {
		return
	}
	to, err := net.Dial("tcp", address)
	if err != nil {
		from.Close()
		return
	}
	p.keep(to)
	go p.copy(to, from)
	p.copy(from, to)
}

func (p *proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if p.cut.Load() {
			// Lost, and with it the connection, though nobody is told.
			_, _ = io.Copy(io.Discard, from)
			to.Close()
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// TestClientsGoOnWhenANodeCantBeReached cuts the way to a node, not that from
// it: the node goes on to tell the others that it is well, and can't answer.
func TestClientsGoOnWhenANodeCantBeReached(t *testing.T) {
	t.Parallel()
	var proxies []*proxy
	c := startCluster(t, 3, func(n *Node) []string {
		proxies = append(proxies, startProxy(t, n.RPC))
		return []string{"--advertise-rpc=" + proxies[len(proxies)-1].address}
	})
	c.createNumbered(t)
	c.holdLease(t, c.Nodes[0])
	w := startWriters(t, c.Nodes...)
	w.waitFor(t, 100)
	proxies[0].cut.Store(true)
	w.expectRecovery(t, "way to the node was cut")
	proxies[0].cut.Store(false)
	w.waitFor(t, 100)
	w.verify(t, c.Nodes[0])
}
