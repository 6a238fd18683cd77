package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairndb/cairn/kv/cluster"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/rpc"
)

// Names of the calls between nodes, and from cairn's commands to nodes.
const (
	callInit     = "Init"
	callJoin     = "Join"
	callExchange = "Exchange"
	callNodes    = "Nodes"
)

type initRequest struct{}

type initResponse struct {
	ClusterID string `json:"clusterId"`
}

// joinRequest asks a member of the cluster for an identity.
type joinRequest struct {
	RPCAddress string `json:"rpcAddress"`
}

type joinResponse struct {
	ClusterID string       `json:"clusterId"`
	Node      kvpb.NodeID  `json:"node"`
	Store     kvpb.StoreID `json:"store"`
}

type nodesRequest struct{}

type nodesResponse struct {
	Nodes []cluster.Status `json:"nodes"`
}

// Connection is how cairn's commands reach a node.
type Connection struct {
	Host     string // RPC address
	CertsDir string
	Insecure bool
}

// callTimeout bounds a command's call.
const callTimeout = 30 * time.Second

func call[Request, Result any](ctx context.Context, c Connection, name string, request *Request) (*Result, error) {
	var certs *certificates
	if c.CertsDir != "" {
		if c.Insecure {
			return nil, errors.New("--insecure and --certs-dir exclude each other")
		}
		var err error
		if certs, err = loadCertificates(c.CertsDir); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	dialer := rpc.NewDialer(dialFunc(certs))
	defer dialer.Close()
	result, err := rpc.Call[Request, Result](ctx, dialer, c.Host, name, request)
	if err == nil {
		return result, nil
	}
	if _, ok := errors.AsType[*rpc.RemoteError](err); ok {
		return nil, err
	}
	return nil, hint(fmt.Errorf("no answer from a node at %s: %w", c.Host, err),
		"--host is a node's RPC address (its --rpc), not the one for Postgres clients; with TLS --certs-dir is needed")
}

// Init makes the node the first of a new cluster and returns the cluster's id.
func (c Connection) Init(ctx context.Context) (string, error) {
	r, err := call[initRequest, initResponse](ctx, c, callInit, &initRequest{})
	if err != nil {
		return "", err
	}
	return r.ClusterID, nil
}

// Nodes returns the nodes of the cluster as the node knows them.
func (c Connection) Nodes(ctx context.Context) ([]cluster.Status, error) {
	r, err := call[nodesRequest, nodesResponse](ctx, c, callNodes, &nodesRequest{})
	if err != nil {
		return nil, err
	}
	return r.Nodes, nil
}
