package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"storj.io/drpc"
	"storj.io/drpc/drpcserver"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/kvpb"
)

// Server answers other nodes. Handlers are registered before Serve.
type Server struct {
	sender kv.Sender // nil until the node serves ranges
	raft   RaftHandler
	json   map[string]func(ctx context.Context, request []byte) (any, error)
}

// NewServer returns a server without handlers.
func NewServer() *Server {
	return &Server{json: map[string]func(context.Context, []byte) (any, error){}}
}

// Handle registers a JSON call.
func Handle[Request, Result any](s *Server, name string, handler func(context.Context, *Request) (*Result, error)) {
	s.json[name] = func(ctx context.Context, body []byte) (any, error) {
		request := new(Request)
		if err := json.Unmarshal(body, request); err != nil {
			return nil, fmt.Errorf("malformed request %s: %w", name, err)
		}
		return handler(ctx, request)
	}
}

// HandleKV registers what serves batches and Raft traffic.
func (s *Server) HandleKV(sender kv.Sender, raft RaftHandler) { s.sender, s.raft = sender, raft }

// Serve accepts connections until ctx ends, and returns when all calls did.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := drpcserver.NewWithOptions(s, drpcserver.Options{Manager: managerOptions()})
	err := server.Serve(ctx, listener)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// HandleRPC implements drpc.Handler.
func (s *Server) HandleRPC(stream drpc.Stream, name string) error {
	switch {
	case name == methodBatch && s.sender != nil:
		return s.batch(stream)
	case name == methodRaft && s.raft != nil:
		return s.raftMessages(stream)
	case name == methodSnapshot && s.raft != nil:
		return s.snapshot(stream)
	case strings.HasPrefix(name, jsonPrefix):
		if handler := s.json[strings.TrimPrefix(name, jsonPrefix)]; handler != nil {
			return s.call(stream, handler)
		}
	}
	return fmt.Errorf("this node does not answer %s (yet)", name)
}

func (s *Server) call(stream drpc.Stream, handler func(context.Context, []byte) (any, error)) error {
	var in frame
	if err := stream.MsgRecv(&in, frames{}); err != nil {
		return err
	}
	var r reply
	result, err := handler(stream.Context(), in.bytes)
	if err == nil {
		r.Result, err = json.Marshal(result)
	}
	if err != nil {
		r = reply{Error: err.Error()}
	}
	body, err := json.Marshal(&r)
	if err != nil {
		return err
	}
	return stream.MsgSend(&frame{body}, frames{})
}

// A batch is answered with one of these bytes and what it announces.
const (
	tagResponse = 0
	tagError    = 1
)

func (s *Server) batch(stream drpc.Stream) error {
	var in frame
	if err := stream.MsgRecv(&in, frames{}); err != nil {
		return err
	}
	request := new(kvpb.BatchRequest)
	if err := request.Unmarshal(in.bytes); err != nil {
		return fmt.Errorf("malformed batch: %w", err)
	}
	response, err := s.sender.Send(stream.Context(), request)
	if err != nil {
		detail, ok := errors.AsType[*kvpb.Error](err)
		if !ok {
			return err
		}
		return stream.MsgSend(&frame{detail.Append([]byte{tagError})}, frames{})
	}
	return stream.MsgSend(&frame{response.Append([]byte{tagResponse})}, frames{})
}
