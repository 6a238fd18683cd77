package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"storj.io/drpc"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore"
)

// RaftHandler takes in what other stores' Transports send.
type RaftHandler interface {
	HandleMessages([]raftstore.Message)
	HandleSnapshot(context.Context, raftstore.SnapshotHeader, io.Reader) error
}

// Bounds of a peer's queue of Raft messages. Beyond them messages are dropped,
// which Raft repairs.
const (
	queueMessages = 8192
	chunkBytes    = 512 << 10
	// redial is how long a peer that could not be reached is left alone.
	redial = 200 * time.Millisecond
)

// Transport sends Raft messages to other stores: one stream and one goroutine
// a peer; what gathers while a write runs goes out in the next one.
type Transport struct {
	dialer  *Dialer
	address func(kvpb.StoreID) (string, bool)
	logger  *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	peers map[kvpb.StoreID]*peer // guarded by mu
}

var _ raftstore.Transport = (*Transport)(nil)

type peer struct {
	wake chan struct{} // holds at most one token

	mu    sync.Mutex
	queue []raftstore.Message // guarded by mu; at most queueMessages
}

// NewTransport returns a transport that finds stores with address.
func NewTransport(dialer *Dialer, address func(kvpb.StoreID) (string, bool), logger *slog.Logger) *Transport {
	ctx, cancel := context.WithCancel(context.Background())
	return &Transport{dialer: dialer, address: address, logger: logger, ctx: ctx, cancel: cancel, peers: map[kvpb.StoreID]*peer{}}
}

// Close ends all streams and waits for their goroutines.
func (t *Transport) Close() {
	t.mu.Lock()
	t.cancel()
	t.mu.Unlock()
	t.done.Wait()
}

// Send implements raftstore.Transport.
func (t *Transport) Send(to kvpb.StoreID, messages []raftstore.Message) bool {
	t.mu.Lock()
	p := t.peers[to]
	if p == nil {
		if t.ctx.Err() != nil {
			t.mu.Unlock()
			return false
		}
		p = &peer{wake: make(chan struct{}, 1)}
		t.peers[to] = p
		t.done.Add(1)
		go func() { defer t.done.Done(); t.run(to, p) }()
	}
	t.mu.Unlock()

	p.mu.Lock()
	room := len(p.queue)+len(messages) <= queueMessages
	if room {
		p.queue = append(p.queue, messages...)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return room
}

func (p *peer) take() []raftstore.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queue
	p.queue = nil
	return q
}

// run sends a peer's messages until the transport is closed.
func (t *Transport) run(to kvpb.StoreID, p *peer) {
	for t.ctx.Err() == nil {
		if err := t.stream(to, p); err != nil && t.ctx.Err() == nil {
			t.logger.Debug("raft stream ended", "store", to, "error", err)
		}
		p.take() // what could not be sent is dropped: Raft sends again
		select {
		case <-t.ctx.Done():
		case <-time.After(redial):
		}
	}
}

func (t *Transport) stream(to kvpb.StoreID, p *peer) error {
	address, ok := t.address(to)
	if !ok {
		return fmt.Errorf("the address of store %d is not known yet", to)
	}
	conn, err := t.dialer.connect(t.ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.NewStream(t.ctx, methodRaft, frames{})
	if err != nil {
		return err
	}
	defer stream.Close()
	var buffer []byte
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-p.wake:
		}
		for _, m := range p.take() {
			if buffer, err = m.Append(buffer); err != nil {
				return err
			}
			if len(buffer) >= chunkBytes {
				if err := stream.MsgSend(&frame{buffer}, frames{}); err != nil {
					return err
				}
				buffer = buffer[:0]
			}
		}
		if len(buffer) > 0 {
			if err := stream.MsgSend(&frame{buffer}, frames{}); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
	}
}

// Snapshot implements raftstore.Transport: a header, then chunks, then the
// receiver's word.
func (t *Transport) Snapshot(ctx context.Context, header raftstore.SnapshotHeader, content io.Reader) error {
	address, ok := t.address(header.To.Store)
	if !ok {
		return fmt.Errorf("the address of store %d is not known yet", header.To.Store)
	}
	conn, err := t.dialer.connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.NewStream(ctx, methodSnapshot, frames{})
	if err != nil {
		return err
	}
	defer stream.Close()
	head, err := header.Append(nil)
	if err != nil {
		return err
	}
	if err := stream.MsgSend(&frame{head}, frames{}); err != nil {
		return err
	}
	chunk := make([]byte, chunkBytes)
	for {
		n, err := io.ReadFull(content, chunk)
		if n > 0 {
			if err := stream.MsgSend(&frame{chunk[:n]}, frames{}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var out frame
	if err := stream.MsgRecv(&out, frames{}); err != nil {
		return err
	}
	if len(out.bytes) > 0 {
		return &RemoteError{Message: string(out.bytes)}
	}
	return nil
}

func (s *Server) raftMessages(stream drpc.Stream) error {
	for {
		var in frame
		if err := stream.MsgRecv(&in, frames{}); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var messages []raftstore.Message
		for rest := in.bytes; len(rest) > 0; {
			var m raftstore.Message
			var err error
			if m, rest, err = raftstore.DecodeMessage(rest); err != nil {
				return err
			}
			messages = append(messages, m)
		}
		s.raft.HandleMessages(messages)
	}
}

func (s *Server) snapshot(stream drpc.Stream) error {
	var in frame
	if err := stream.MsgRecv(&in, frames{}); err != nil {
		return err
	}
	var header raftstore.SnapshotHeader
	if err := header.Unmarshal(in.bytes); err != nil {
		return err
	}
	var answer frame
	if err := s.raft.HandleSnapshot(stream.Context(), header, &chunkReader{stream: stream}); err != nil {
		answer.bytes = []byte(err.Error())
	}
	return stream.MsgSend(&answer, frames{})
}

// chunkReader reads the chunks of a stream up to its end.
type chunkReader struct {
	stream drpc.Stream
	rest   []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		var in frame
		if err := r.stream.MsgRecv(&in, frames{}); err != nil {
			return 0, err // io.EOF where the sender closed in order
		}
		r.rest = in.bytes
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
