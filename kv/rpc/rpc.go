// Package rpc carries messages between nodes: batches of requests for ranges,
// Raft messages and snapshots, and small calls between the nodes themselves.
// It stands on storj.io/drpc; docs/dependencies.md has the measurement that
// chose it.
//
//	Dialer ── pooled connections, one call each at a time ──→ Server ──→ kv.Sender
//	Transport (raftstore.Transport) ── one stream a peer ────→ Server ──→ raftstore.Store
//
// Listeners and the dial function are given from outside: nothing here opens
// a socket by itself. Everything is safe for concurrent use.
package rpc

import (
	"encoding/json"
	"fmt"

	"storj.io/drpc"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcwire"
)

// maxMessageBytes bounds a message, and so what a peer can make a node buffer.
const maxMessageBytes = 256 << 20

// Names of the calls.
const (
	methodBatch    = "/cairn.KV/Batch"
	methodRaft     = "/cairn.Raft/Messages"
	methodSnapshot = "/cairn.Raft/Snapshot"
	jsonPrefix     = "/cairn.JSON/"
)

func managerOptions() drpcmanager.Options {
	return drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: maxMessageBytes}}
}

// frame is a message that is already bytes.
type frame struct{ bytes []byte }

// frames is the drpc encoding of *frame. Unmarshal copies: drpc uses the
// buffer again.
type frames struct{}

func (frames) Marshal(m drpc.Message) ([]byte, error) { return m.(*frame).bytes, nil }

func (frames) Unmarshal(b []byte, m drpc.Message) error {
	m.(*frame).bytes = append([]byte(nil), b...)
	return nil
}

// RemoteError is an error that the other node's handler returned, as text.
type RemoteError struct{ Message string }

func (e *RemoteError) Error() string { return e.Message }

// reply is how a JSON call is answered: either part is set.
type reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

func decodeReply(b []byte, into any) error {
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("rpc: malformed reply: %w", err)
	}
	if r.Error != "" {
		return &RemoteError{Message: r.Error}
	}
	return json.Unmarshal(r.Result, into)
}
