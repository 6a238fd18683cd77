package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/kvpb"
)

// nodeSender is a kv.Sender on another node.
type nodeSender struct {
	dialer  *Dialer
	address string
}

// Sender returns the kv.Sender of the node at address.
func (d *Dialer) Sender(address string) kv.Sender { return nodeSender{d, address} }

// Send implements kv.Sender. An error that is neither *kvpb.Error nor
// *ConnectError leaves open whether the batch took effect.
func (n nodeSender) Send(ctx context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	if n.dialer.isSilent(n.address) {
		return nil, &ConnectError{Address: n.address, Cause: errSilent}
	}
	var out frame
	if err := n.dialer.to(ctx, n.address).Invoke(ctx, methodBatch, frames{}, &frame{b.Append(nil)}, &out); err != nil {
		return nil, err
	}
	if len(out.bytes) == 0 {
		return nil, errors.New("rpc: empty answer to a batch")
	}
	body := out.bytes[1:]
	switch out.bytes[0] {
	case tagResponse:
		r := new(kvpb.BatchResponse)
		if err := r.Unmarshal(body); err != nil {
			return nil, err
		}
		if len(r.Responses) != len(b.Requests) {
			return nil, fmt.Errorf("rpc: %d answers to %d requests", len(r.Responses), len(b.Requests))
		}
		return r, nil
	case tagError:
		e := new(kvpb.Error)
		if err := e.Unmarshal(body); err != nil {
			return nil, err
		}
		return nil, e
	default:
		return nil, fmt.Errorf("rpc: unknown kind of answer %d", out.bytes[0])
	}
}
