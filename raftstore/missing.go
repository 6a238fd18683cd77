package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
)

// A split makes the right range's replica on each store that applies it. A store
// that was away meanwhile, and got a snapshot of the left range for the time that
// it missed, has not applied it: it is a member of the right range, and has no
// replica of it. It asks for a snapshot then, in raft's own words: it refuses
// what the leader appends, as a replica with an empty log would.
//
// A replica that its range has put out must not come back like that: it has
// forgotten its votes, and a leader that does not know of its removal would count
// it. So a removed replica leaves a grave behind, for good.

// kindGrave is the kind of a replica's own key in State that says which
// replicas of the range were removed from this store: those with an id below
// the value, 4 bytes.
const kindGrave = 'g'

// How long a leader's messages for a replica that is not here are ignored, for
// the left range to catch up with a split in the log, and how often the leader
// is answered then.
const (
	missingPatience = 5 * time.Second
	missingPause    = 5 * time.Second
)

// missingReplicas are ranges that count on a replica here that is not.
type missingReplicas struct {
	mu      sync.Mutex
	byRange map[kvpb.RangeID]*missingReplica // guarded by mu
}

type missingReplica struct {
	replica kvpb.ReplicaID
	// since is when it was first written to, answered when its leader was last
	// answered, last when it was last written to, by the physical clock.
	since, answered, last int64
}

// answers reports whether a leader's message shall be answered.
func (m *missingReplicas) answers(id kvpb.RangeID, replica kvpb.ReplicaID, heartbeat bool, now int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byRange == nil {
		m.byRange = map[kvpb.RangeID]*missingReplica{}
	}
	r := m.byRange[id]
	if r == nil || r.replica != replica || now-r.last > int64(missingPatience) {
		m.byRange[id] = &missingReplica{replica: replica, since: now, last: now}
		return false
	}
	r.last = now
	if now-r.since < int64(missingPatience) {
		return false
	}
	if !heartbeat {
		return true // they come after an answered heartbeat
	}
	if now-r.answered < int64(missingPause) {
		return false
	}
	r.answered = now
	return true
}

func (m *missingReplicas) found(id kvpb.RangeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byRange, id)
}

// heardForMissing takes in a message for a replica that is not here.
func (s *Store) heardForMissing(m *Message) {
	kind := m.Raft.GetType()
	heartbeat := kind == raftpb.MsgHeartbeat
	if !heartbeat && kind != raftpb.MsgApp || m.To.Store != s.Config.Store {
		return
	}
	if !s.missing.answers(m.Range, m.To.Replica, heartbeat, s.Clock.PhysicalNow()) {
		return
	}
	if buried, err := s.buried(m.Range, m.To.Replica); err != nil || buried {
		return
	}
	answer := &raftpb.Message{To: m.Raft.From, From: m.Raft.To, Term: m.Raft.Term}
	if heartbeat {
		answer.Type, answer.Context = raftpb.MsgHeartbeatResp.Enum(), m.Raft.Context
	} else {
		answer.Type, answer.Index = raftpb.MsgAppResp.Enum(), m.Raft.Index
		answer.Reject, answer.RejectHint = proto.Bool(true), proto.Uint64(0)
	}
	s.Transport.Send(m.From.Store, []Message{{Range: m.Range, From: m.To, To: m.From, Raft: answer}})
}

// bury notes that a replica is removed.
func bury(w *pebble.Batch, id kvpb.RangeID, replica kvpb.ReplicaID) error {
	return setReplica(w, id, kindGrave, binary.BigEndian.AppendUint32(nil, uint32(replica)+1))
}

// buried reports whether a replica was removed from this store.
func (s *Store) buried(id kvpb.RangeID, replica kvpb.ReplicaID) (bool, error) {
	value, closer, err := s.Engines.State.Get(engine.AppendKey(nil, keys.Replica(int64(id), kindGrave)))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	if len(value) != 4 {
		return false, errMalformed
	}
	return uint32(replica) < binary.BigEndian.Uint32(value), nil
}

// admitMissing says whether a snapshot of raft's may make a replica that is not
// here, before it is read.
func (s *Store) admitMissing(h *SnapshotHeader) error {
	buried, err := s.buried(h.Descriptor.Range, h.To.Replica)
	if err != nil {
		return err
	}
	if buried {
		return fmt.Errorf("replica %d of range %d was removed from store %d", h.To.Replica, h.Descriptor.Range, s.Config.Store)
	}
	return s.checkOverlap(&h.Descriptor)
}
