package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/rpc"
)

// retryInterval is the pause between attempts to find the cluster.
const retryInterval = 500 * time.Millisecond

// errNotInitialized is what a node answers that has no cluster yet.
var errNotInitialized = errors.New("this node is not part of a cluster yet")

// handleCalls registers the calls that a node answers from its first moment.
func (n *Node) handleCalls() {
	rpc.Handle(n.rpcServer, callInit, n.handleInit)
	rpc.Handle(n.rpcServer, callJoin, n.handleJoin)
	rpc.Handle(n.rpcServer, callExchange, n.handleExchange)
	rpc.Handle(n.rpcServer, callNodes, n.handleNodes)
}

// handleInit answers cairn init: the node becomes the first of a new cluster.
func (n *Node) handleInit(ctx context.Context, _ *initRequest) (*initResponse, error) {
	if n.config.SingleNode {
		return nil, errors.New("a single node initializes itself; there is nothing to do")
	}
	answer := make(chan error, 1)
	select {
	case n.initialize <- answer:
	case <-n.hasIdentity:
		return nil, fmt.Errorf("the cluster is initialized already (%s); start further nodes with --join", n.clusterID())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-answer:
		if err != nil {
			return nil, err
		}
		return &initResponse{ClusterID: n.clusterID()}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// handleJoin gives a new node an identity.
func (n *Node) handleJoin(ctx context.Context, r *joinRequest) (*joinResponse, error) {
	select {
	case <-n.serving:
	default:
		return nil, errNotInitialized
	}
	node, err := n.allocate(ctx, keys.NodeIDAllocator)
	if err != nil {
		return nil, err
	}
	store, err := n.allocate(ctx, keys.StoreIDAllocator)
	if err != nil {
		return nil, err
	}
	n.config.Logger.Info("a node joins", "node", node, "rpc", r.RPCAddress)
	return &joinResponse{ClusterID: n.clusterID(), Node: kvpb.NodeID(node), Store: kvpb.StoreID(store)}, nil
}

// allocate counts a counter up and returns its new value.
func (n *Node) allocate(ctx context.Context, key []byte) (int64, error) {
	r, err := n.router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Increment, Key: key, Delta: 1}}})
	if err != nil {
		return 0, err
	}
	return r.Responses[0].Int, nil
}

func (n *Node) handleExchange(_ context.Context, r *cluster.ExchangeRequest) (*cluster.ExchangeResponse, error) {
	select {
	case <-n.hasIdentity:
	default:
		return nil, errNotInitialized
	}
	if r.ClusterID != n.clusterID() {
		// Nothing is learnt from a node of another cluster; it sees whose this is.
		return &cluster.ExchangeResponse{ClusterID: n.clusterID()}, nil
	}
	answer := n.directory.Answer(r)
	answer.Clock = n.clock.PhysicalNow()
	return answer, nil
}

func (n *Node) handleNodes(context.Context, *nodesRequest) (*nodesResponse, error) {
	select {
	case <-n.hasIdentity:
	default:
		return nil, errNotInitialized
	}
	return &nodesResponse{Nodes: n.directory.Nodes()}, nil
}

// becomeMember returns the identity of a store that has none: of a cluster
// that it makes or joins. It waits for as long as it takes.
func (n *Node) becomeMember(ctx context.Context) (*identity, error) {
	if n.config.SingleNode {
		return n.found()
	}
	n.config.Logger.Info("waiting for a cluster", "join", n.config.Join,
		"hint", "to make this node the first of a new cluster: cairn init --host="+n.rpcAddress)
	warnAt := time.Now().Add(joinPatience)
	for {
		attempt, cancel := context.WithCancel(ctx)
		joined := make(chan joinAttempt, 1)
		go func() { joined <- n.join(attempt) }()
		var answer chan error
		var a joinAttempt
		select {
		case a = <-joined:
		case answer = <-n.initialize:
			cancel()
			a = <-joined
		}
		cancel()
		switch {
		case a.identity != nil:
			if answer != nil {
				answer <- fmt.Errorf("the node has just joined a cluster (%s)", a.identity.ClusterID)
			}
			return a.identity, writeIdentity(n.config.FS, n.config.StoreDir, *a.identity)
		case answer != nil:
			return n.foundFor(answer)
		}
		if len(a.unreachable) > 0 && time.Now().After(warnAt) {
			warnAt = time.Now().Add(joinWarnInterval)
			n.config.Logger.Warn("no node of a cluster answers", "errors", a.unreachable,
				"hint", "--join wants RPC addresses of nodes (their --rpc), not those for Postgres clients")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case answer := <-n.initialize:
			return n.foundFor(answer)
		case <-time.After(retryInterval):
		}
	}
}

// When a node that waits for a cluster says that nobody answers.
const (
	joinPatience     = 5 * time.Second
	joinWarnInterval = time.Minute
)

// joinAttempt is the outcome of asking all --join addresses.
type joinAttempt struct {
	identity *identity // nil: not joined
	// unreachable says why each address does not answer as a node, by address;
	// empty where one does.
	unreachable []string
}

// join asks the --join addresses, one after the other, for an identity.
func (n *Node) join(ctx context.Context) joinAttempt {
	var a joinAttempt
	answered := false
	for _, address := range n.config.Join {
		if n.isSelf(address) {
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		r, err := rpc.Call[joinRequest, joinResponse](attempt, n.dialer, address, callJoin, &joinRequest{RPCAddress: n.rpcAddress})
		cancel()
		if err == nil {
			a.identity = &identity{ClusterID: r.ClusterID, Node: r.Node, Store: r.Store}
			return a
		}
		n.config.Logger.Debug("can't join yet", "address", address, "error", err)
		if _, ok := errors.AsType[*rpc.RemoteError](err); ok {
			answered = true
		} else {
			a.unreachable = append(a.unreachable, address+": "+err.Error())
		}
	}
	if answered {
		a.unreachable = nil
	}
	return a
}

// foundFor makes the node the first of a new cluster for a caller, who is told
// once the cluster can be used, or that it can't be.
func (n *Node) foundFor(answer chan error) (*identity, error) {
	n.initAnswer = answer
	return n.found()
}

// found makes the identity of the first node of a new cluster.
func (n *Node) found() (*identity, error) {
	id := &identity{ClusterID: uuid.NewString(), Node: 1, Store: 1, Bootstrapping: true}
	return id, writeIdentity(n.config.FS, n.config.StoreDir, *id)
}

// writeFirstKeys fills the key space of a new cluster with what every cluster
// has. It can be repeated.
func (n *Node) writeFirstKeys(ctx context.Context) error {
	one := binary.BigEndian.AppendUint64(nil, 1)
	clusterID, err := uuid.Parse(n.clusterID())
	if err != nil {
		return err
	}
	for _, kv := range []struct{ key, value []byte }{
		{keys.NodeIDAllocator, one}, {keys.StoreIDAllocator, one}, {keys.RangeIDAllocator, one}, {keys.ClusterID, clusterID[:]},
	} {
		_, err := n.router.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.ConditionalPut, Key: kv.key, Value: kv.value}}})
		if _, exists := errors.AsType[*kvpb.ConditionFailedError](err); err != nil && !exists {
			return err
		}
	}
	return nil
}

// exchangeInterval is the pause between exchanges with other nodes, and so
// between heartbeats.
const exchangeInterval = time.Second

// silentAfter is how long a node may take to answer an exchange before it is
// given up. Leases run out in about that time.
const silentAfter = 2 * time.Second

// exchangePeers is how many nodes are told in a round.
const exchangePeers = 3

// exchange keeps the directory up to date until ctx ends.
func (n *Node) exchange(ctx context.Context) {
	ticker := time.NewTicker(exchangeInterval)
	defer ticker.Stop()
	for round := 0; ; round++ {
		n.beat()
		for _, address := range n.peers(round) {
			n.tasks.Add(1)
			go func() { defer n.tasks.Done(); n.exchangeWith(ctx, address) }()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// peers returns the addresses to exchange with in a round: all known nodes by
// turns, and where none is known the addresses of --join.
func (n *Node) peers(round int) []string {
	self := n.directory.Self()
	var addresses []string
	known := map[string]bool{self.RPCAddress: true}
	for _, s := range n.directory.Nodes() {
		if !known[s.RPCAddress] {
			known[s.RPCAddress] = true
			addresses = append(addresses, s.RPCAddress)
		}
	}
	if len(addresses) > exchangePeers {
		at := round * exchangePeers % len(addresses)
		addresses = append(addresses[at:], addresses[:at]...)[:exchangePeers]
	}
	// A --join address that isn't a known node's may be a moved one's.
	if len(addresses) == 0 || round%10 == 0 {
		for _, a := range n.config.Join {
			if !known[a] && !n.isSelf(a) {
				addresses = append(addresses, a)
			}
		}
	}
	return addresses
}

func (n *Node) exchangeWith(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, silentAfter)
	defer cancel()
	asked := n.clock.PhysicalNow()
	r, err := rpc.Call[cluster.ExchangeRequest, cluster.ExchangeResponse](ctx, n.dialer, address, callExchange, n.directory.Request())
	switch {
	case err == nil && r.ClusterID != n.clusterID():
		n.fail(n.foreign(address, r.ClusterID))
	case err == nil:
		n.dialer.Answered(address)
		if err := n.offsets.note(address, asked, r.Clock, n.clock.PhysicalNow()); err != nil {
			n.fail(err)
			return
		}
		n.directory.Learn(r.Nodes, r.FirstRange)
		return
	case ctx.Err() != nil:
		// A node that has fallen silent without closing its connections: calls
		// that wait for it must fail, and none be made until it answers again.
		n.dialer.Hangup(address)
	}
	n.offsets.forget(address)
}

// foreign says that the store is of another cluster than a node at one of the
// addresses that it was told to join.
func (n *Node) foreign(address, clusterID string) error {
	return hint(fmt.Errorf("the store %s is of another cluster (%s) than the node at %s (%s)", n.config.StoreDir, n.clusterID(), address, clusterID),
		"start it with --join addresses of its own cluster; to join this one start with an empty --store")
}

// checkCluster asks the --join addresses that answer whether they are of the
// store's cluster, before anything is done with it.
func (n *Node) checkCluster(ctx context.Context) error {
	for _, address := range n.config.Join {
		if n.isSelf(address) {
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		asked := n.clock.PhysicalNow()
		r, err := rpc.Call[cluster.ExchangeRequest, cluster.ExchangeResponse](attempt, n.dialer, address, callExchange,
			&cluster.ExchangeRequest{ClusterID: n.clusterID(), From: n.directory.Self()})
		cancel()
		if err != nil {
			continue // not there now; it will be asked again
		}
		if err := n.offsets.note(address, asked, r.Clock, n.clock.PhysicalNow()); err != nil {
			return err
		}
		if r.ClusterID != n.clusterID() {
			return n.foreign(address, r.ClusterID)
		}
		n.directory.Learn(r.Nodes, r.FirstRange)
	}
	return nil
}
