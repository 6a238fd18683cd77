// Package cluster is what a node knows of the others: who they are, where
// they listen, whether they are alive, how full their stores are, and where
// the first range is.
//
// Each node owns one record, counts its Heartbeat up once a second, and
// exchanges records with a few peers: a digest goes out, newer records come
// back (anti-entropy, as in Van Renesse et al., "Astrolabe", 2003). A node is
// alive to us while its heartbeat keeps rising within our own clock's
// sight; nobody's wall clock is compared.
//
//	cmd/node ticks ─→ Directory.Beat ─→ Exchange over kv/rpc ─→ peer's Directory.Answer
//	                          Directory.Learn  ←──────────────────────┘
//
// Directory does no I/O. It is safe for concurrent use.
package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// DeadAfter is how long a node's heartbeat may stand still before the node
// counts as not alive.
const DeadAfter = 4 * time.Second

// Store is a store's size and load as its node last reported it.
type Store struct {
	ID             kvpb.StoreID `json:"id"`
	CapacityBytes  int64        `json:"capacityBytes"`
	AvailableBytes int64        `json:"availableBytes"`
	UsedBytes      int64        `json:"usedBytes"`
	Ranges         int          `json:"ranges"`
	Leases         int          `json:"leases"`
}

// Node is a node's record. Only the node itself changes it.
type Node struct {
	ID kvpb.NodeID `json:"id"`
	// Incarnation is the node's wall clock in nanoseconds when it started.
	// Heartbeat counts up within it. Later records have the greater pair.
	Incarnation int64  `json:"incarnation"`
	Heartbeat   int64  `json:"heartbeat"`
	RPCAddress  string `json:"rpcAddress"`
	SQLAddress  string `json:"sqlAddress"`
	HTTPAddress string `json:"httpAddress"`
	Locality    string `json:"locality,omitempty"`
	Version     string `json:"version"`
	// StartedAt is by the node's own clock, as its transactions' timestamps are.
	StartedAt time.Time `json:"startedAt"`
	Draining  bool      `json:"draining,omitempty"`
	Stores    []Store   `json:"stores"`
}

func (n *Node) newerThan(incarnation, heartbeat int64) bool {
	return n.Incarnation > incarnation || n.Incarnation == incarnation && n.Heartbeat > heartbeat
}

// Seen is one line of a digest: how new a record its sender has.
type Seen struct {
	ID          kvpb.NodeID `json:"id"`
	Incarnation int64       `json:"incarnation"`
	Heartbeat   int64       `json:"heartbeat"`
}

// ExchangeRequest is what a node sends to a peer.
type ExchangeRequest struct {
	ClusterID string `json:"clusterId"`
	From      Node   `json:"from"`
	Digest    []Seen `json:"digest"`
	// FirstRange is the sender's best knowledge of the range that holds the
	// directory of ranges; nil if it has none.
	FirstRange *kvpb.RangeDescriptor `json:"firstRange,omitempty"`
}

// ExchangeResponse has the records that are newer than the request's digest.
type ExchangeResponse struct {
	ClusterID string `json:"clusterId"`
	// Clock is what the peer's physical clock read when it answered, in
	// nanoseconds; 0: it does not say.
	Clock      int64                 `json:"clock,omitempty"`
	Nodes      []Node                `json:"nodes"`
	FirstRange *kvpb.RangeDescriptor `json:"firstRange,omitempty"`
}

type entry struct {
	node Node
	// risen is when the record last got newer, by the directory's own clock.
	risen time.Time
}

// Directory is the node's knowledge of the cluster.
type Directory struct {
	clusterID string
	now       func() time.Time

	mu         sync.Mutex
	self       Node                         // guarded by mu
	peers      map[kvpb.NodeID]*entry       // guarded by mu; without self
	stores     map[kvpb.StoreID]kvpb.NodeID // guarded by mu
	firstRange *kvpb.RangeDescriptor        // guarded by mu; immutable once set
}

// NewDirectory returns the directory of a node. now must not run backwards.
func NewDirectory(clusterID string, self Node, now func() time.Time) *Directory {
	d := &Directory{clusterID: clusterID, now: now, self: self,
		peers: map[kvpb.NodeID]*entry{}, stores: map[kvpb.StoreID]kvpb.NodeID{}}
	for _, s := range self.Stores {
		d.stores[s.ID] = self.ID
	}
	return d
}

// ClusterID returns the id of the cluster, as text.
func (d *Directory) ClusterID() string { return d.clusterID }

// Beat raises the node's own heartbeat, with change applied to its record.
func (d *Directory) Beat(change func(*Node)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.self.Stores = slices.Clone(d.self.Stores)
	if change != nil {
		change(&d.self)
	}
	d.self.Heartbeat++
}

// Request returns what to send to a peer now.
func (d *Directory) Request() *ExchangeRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &ExchangeRequest{ClusterID: d.clusterID, From: d.self, FirstRange: d.firstRange}
	for id, e := range d.peers {
		r.Digest = append(r.Digest, Seen{ID: id, Incarnation: e.node.Incarnation, Heartbeat: e.node.Heartbeat})
	}
	slices.SortFunc(r.Digest, func(a, b Seen) int { return int(a.ID - b.ID) })
	return r
}

// Answer takes a peer's request in and returns what it lacks. The caller has
// checked the cluster id.
func (d *Directory) Answer(r *ExchangeRequest) *ExchangeResponse {
	d.Learn([]Node{r.From}, r.FirstRange)
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[kvpb.NodeID]Seen{r.From.ID: {ID: r.From.ID, Incarnation: r.From.Incarnation, Heartbeat: r.From.Heartbeat}}
	for _, s := range r.Digest {
		seen[s.ID] = s
	}
	response := &ExchangeResponse{ClusterID: d.clusterID, Nodes: []Node{d.self}, FirstRange: d.firstRange}
	for id, e := range d.peers {
		if s := seen[id]; e.node.newerThan(s.Incarnation, s.Heartbeat) {
			response.Nodes = append(response.Nodes, e.node)
		}
	}
	slices.SortFunc(response.Nodes, func(a, b Node) int { return int(a.ID - b.ID) })
	return response
}

// Learn takes in records and what a peer knows of the first range. Older ones
// than those known change nothing.
func (d *Directory) Learn(nodes []Node, firstRange *kvpb.RangeDescriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for _, n := range nodes {
		if n.ID == d.self.ID {
			if n.newerThan(d.self.Incarnation, d.self.Heartbeat) {
				// Of an earlier life, in which the node's clock was ahead of now:
				// others would take nothing from this life for news.
				d.self.Incarnation, d.self.Heartbeat = n.Incarnation, n.Heartbeat+1
			}
			continue
		}
		e := d.peers[n.ID]
		switch {
		case e == nil:
			// Heard of, but not yet heard from: alive until its heartbeat has
			// had its time to rise.
			d.peers[n.ID] = &entry{node: n, risen: now}
		case n.newerThan(e.node.Incarnation, e.node.Heartbeat):
			e.node, e.risen = n, now
		default:
			continue
		}
		for _, s := range n.Stores {
			d.stores[s.ID] = n.ID
		}
	}
	d.setFirstRangeLocked(firstRange)
}

// SetFirstRange tells of the first range's descriptor; an older generation
// than the known one changes nothing.
func (d *Directory) SetFirstRange(descriptor *kvpb.RangeDescriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setFirstRangeLocked(descriptor)
}

func (d *Directory) setFirstRangeLocked(descriptor *kvpb.RangeDescriptor) {
	if descriptor != nil && (d.firstRange == nil || descriptor.Generation > d.firstRange.Generation) {
		d.firstRange = descriptor
	}
}

// FirstRange returns the best known descriptor of the first range.
func (d *Directory) FirstRange() (kvpb.RangeDescriptor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.firstRange == nil {
		return kvpb.RangeDescriptor{}, false
	}
	return *d.firstRange, true
}

// Status is a node's record with what this node makes of it.
type Status struct {
	Node
	Live bool `json:"live"`
	// Silent is how long ago the heartbeat last rose.
	Silent time.Duration `json:"silent"`
}

// Nodes returns all known nodes, this one included, by id.
func (d *Directory) Nodes() []Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	all := []Status{{Node: d.self, Live: true}}
	for _, e := range d.peers {
		silent := now.Sub(e.risen)
		all = append(all, Status{Node: e.node, Live: silent < DeadAfter, Silent: silent})
	}
	slices.SortFunc(all, func(a, b Status) int { return int(a.ID - b.ID) })
	return all
}

// Status returns what is known of one node; false if it was never heard of.
func (d *Directory) Status(id kvpb.NodeID) (Status, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == d.self.ID {
		return Status{Node: d.self, Live: true}, true
	}
	e := d.peers[id]
	if e == nil {
		return Status{}, false
	}
	silent := d.now().Sub(e.risen)
	return Status{Node: e.node, Live: silent < DeadAfter, Silent: silent}, true
}

// Self returns the node's own record.
func (d *Directory) Self() Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.self
}

// Address returns the RPC address of a node.
func (d *Directory) Address(id kvpb.NodeID) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == d.self.ID {
		return d.self.RPCAddress, true
	}
	if e := d.peers[id]; e != nil {
		return e.node.RPCAddress, true
	}
	return "", false
}

// NodeOf returns the node that a store is on.
func (d *Directory) NodeOf(store kvpb.StoreID) (kvpb.NodeID, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.stores[store]
	return id, ok
}

// Live reports whether a node's heartbeat has risen lately. A node that was
// never heard of is not alive.
func (d *Directory) Live(id kvpb.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == d.self.ID {
		return true
	}
	e := d.peers[id]
	return e != nil && d.now().Sub(e.risen) < DeadAfter
}
