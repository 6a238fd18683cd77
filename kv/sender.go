// Package kv routes batches of requests to the ranges that hold their keys.
//
//	txn → Router (this package) ─┬→ kv/server of this node   (a plain call)
//	                             └→ kv/rpc → kv/server of another node
//
// Router, RPC client and server all are a Sender, so each can stand where
// another does. txn imports this package; it imports the vocabulary only.
package kv

import (
	"context"

	"github.com/cairndb/cairn/kv/kvpb"
)

// Sender carries out a batch. It returns *kvpb.Error for what a replica
// refused. The batch must not be changed before Send returns; a Sender may be
// used concurrently.
type Sender interface {
	Send(context.Context, *kvpb.BatchRequest) (*kvpb.BatchResponse, error)
}
