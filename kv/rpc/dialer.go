package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcpool"
)

// DialFunc opens a connection to an address, with TLS where the cluster uses it.
type DialFunc func(ctx context.Context, address string) (net.Conn, error)

// dialTimeout bounds connecting to a node; one that needs longer is as good as dead.
const dialTimeout = 3 * time.Second

// Dialer keeps connections to other nodes. A connection carries one call at a
// time; idle ones are kept for the next call.
type Dialer struct {
	dial DialFunc
	pool *drpcpool.Pool[string, *drpcconn.Conn]

	mu     sync.Mutex
	open   map[string]map[*trackedConn]struct{} // guarded by mu; by address
	silent map[string]bool                      // guarded by mu; see Hangup
	closed bool                                 // guarded by mu
}

// NewDialer returns a Dialer that connects with dial.
func NewDialer(dial DialFunc) *Dialer {
	return &Dialer{
		dial:   dial,
		pool:   drpcpool.New[string, *drpcconn.Conn](drpcpool.Options{Expiration: time.Minute, KeyCapacity: 64}),
		open:   map[string]map[*trackedConn]struct{}{},
		silent: map[string]bool{},
	}
}

// trackedConn leaves its Dialer's books when it is closed.
type trackedConn struct {
	net.Conn
	dialer  *Dialer
	address string
}

func (c *trackedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open[c.address], c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

// connect opens one connection, outside the pool.
func (d *Dialer) connect(ctx context.Context, address string) (*drpcconn.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := d.dial(ctx, address)
	if err != nil {
		return nil, &ConnectError{Address: address, Cause: err}
	}
	conn := &trackedConn{Conn: raw, dialer: d, address: address}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		raw.Close()
		return nil, &ConnectError{Address: address, Cause: net.ErrClosed}
	}
	if d.open[address] == nil {
		d.open[address] = map[*trackedConn]struct{}{}
	}
	d.open[address][conn] = struct{}{}
	return drpcconn.NewWithOptions(conn, drpcconn.Options{Manager: managerOptions()}), nil
}

// ConnectError: no connection could be made, so that nothing was sent.
type ConnectError struct {
	Address string
	Cause   error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("can't connect to %s: %v", e.Address, e.Cause)
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Cause }

// NotSent says that nothing can have arrived: routers may try elsewhere.
func (e *ConnectError) NotSent() bool { return true }

// to returns a connection of the pool that dials on its first use.
func (d *Dialer) to(ctx context.Context, address string) drpc.Conn {
	return d.pool.Get(ctx, address, d.connect)
}

// errSilent: the node does not answer, though its machine may still take
// connections.
var errSilent = errors.New("the node has fallen silent")

// Hangup closes all connections to an address, so that calls on them fail:
// for a node that has fallen silent without closing them itself. From then on
// its Sender refuses batches, with nothing sent, until Answered is called: a
// batch that is sent to a silent node is lost and of unknown fate.
func (d *Dialer) Hangup(address string) {
	d.mu.Lock()
	d.silent[address] = true
	d.mu.Unlock()
	d.disconnect(address)
}

// Answered says that the node at an address has answered a call.
func (d *Dialer) Answered(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.silent, address)
}

func (d *Dialer) isSilent(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.silent[address]
}

// disconnect closes all connections to an address.
func (d *Dialer) disconnect(address string) {
	d.mu.Lock()
	conns := d.open[address]
	delete(d.open, address)
	d.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
}

// Close closes all connections and lets no new ones be made.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	addresses := make([]string, 0, len(d.open))
	for a := range d.open {
		addresses = append(addresses, a)
	}
	d.mu.Unlock()
	for _, a := range addresses {
		d.disconnect(a)
	}
	return d.pool.Close()
}

// Call makes a JSON call to the handler that Handle registered under name. An
// error of the handler comes back as *RemoteError.
func Call[Request, Result any](ctx context.Context, d *Dialer, address, name string, request *Request) (*Result, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	var out frame
	if err := d.to(ctx, address).Invoke(ctx, jsonPrefix+name, frames{}, &frame{body}, &out); err != nil {
		return nil, err
	}
	result := new(Result)
	if err := decodeReply(out.bytes, result); err != nil {
		return nil, err
	}
	return result, nil
}
