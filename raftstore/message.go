package raftstore

import (
	"context"
	"io"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/kvpb"
)

// Message is a Raft message between two replicas of a range.
type Message struct {
	Range    kvpb.RangeID
	From, To kvpb.ReplicaDescriptor
	Raft     *raftpb.Message
}

// Append appends the wire form of m to b.
func (m *Message) Append(b []byte) ([]byte, error) {
	b = protowire.AppendVarint(b, uint64(m.Range))
	b = protowire.AppendBytes(b, m.From.Append(nil))
	b = protowire.AppendBytes(b, m.To.Append(nil))
	b = protowire.AppendVarint(b, uint64(proto.Size(m.Raft)))
	return proto.MarshalOptions{}.MarshalAppend(b, m.Raft)
}

// DecodeMessage reads what Append wrote and returns the rest of b.
func DecodeMessage(b []byte) (Message, []byte, error) {
	r := cursor{b: b}
	m := Message{Range: kvpb.RangeID(r.uint()), Raft: new(raftpb.Message)}
	r.message(&m.From)
	r.message(&m.To)
	raw := r.bytes()
	if r.err == nil {
		r.err = proto.Unmarshal(raw, m.Raft)
	}
	return m, r.b, r.err
}

// Transport carries messages to other stores. Send must not block: it takes
// the messages over or drops them and says so. Snapshot blocks until the
// receiver has taken the snapshot in, or failed to.
type Transport interface {
	Send(to kvpb.StoreID, messages []Message) bool
	Snapshot(ctx context.Context, header SnapshotHeader, content io.Reader) error
}

// SnapshotHeader announces a snapshot.
type SnapshotHeader struct {
	Descriptor kvpb.RangeDescriptor // as of Index
	From, To   kvpb.ReplicaDescriptor
	Index      uint64
	Term       uint64
	// Message is Raft's own, nil for a snapshot that precedes the replica's
	// addition to the range.
	Message *raftpb.Message
}

// Append appends the wire form of h to b.
func (h *SnapshotHeader) Append(b []byte) ([]byte, error) {
	b = protowire.AppendBytes(b, h.Descriptor.Append(nil))
	b = protowire.AppendBytes(b, h.From.Append(nil))
	b = protowire.AppendBytes(b, h.To.Append(nil))
	b = protowire.AppendVarint(b, h.Index)
	b = protowire.AppendVarint(b, h.Term)
	if h.Message == nil {
		return append(b, 0), nil
	}
	raw, err := proto.Marshal(h.Message)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(append(b, 1), raw), nil
}

// Unmarshal reads the wire form into h, which must be zero.
func (h *SnapshotHeader) Unmarshal(b []byte) error {
	r := cursor{b: b}
	r.message(&h.Descriptor)
	r.message(&h.From)
	r.message(&h.To)
	h.Index, h.Term = r.uint(), r.uint()
	if r.byte() == 1 {
		raw := r.bytes()
		if r.err == nil {
			h.Message = new(raftpb.Message)
			r.err = proto.Unmarshal(raw, h.Message)
		}
	}
	return r.err
}
