package raftstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
)

// A snapshot is a range's pairs of engine keys and values in the order of
// their keys, each with its length before it. The sender reads them from one
// Pebble snapshot. The receiver writes them into one batch: ranges are of the
// size of a memtable, and a batch that is larger than one is flushed by
// itself.

// span is keys of State in [from, to).
type span struct{ from, to []byte }

// spansOf returns where a range's replicated data lies, in order.
func spansOf(d *kvpb.RangeDescriptor) []span {
	records, recordsEnd := keys.TxnRecordSpan(d.Start, d.End)
	locks, locksEnd := keys.LockSpan(d.Start, d.End)
	return []span{
		{engine.AppendKey(nil, records), engine.AppendKey(nil, recordsEnd)},
		{engine.AppendKey(nil, locks), engine.AppendKey(nil, locksEnd)},
		{engine.AppendKey(nil, d.Start), engine.AppendKey(nil, d.End)},
	}
}

func clearRange(w *pebble.Batch, d *kvpb.RangeDescriptor) error {
	for _, s := range spansOf(d) {
		if err := w.DeleteRange(s.from, s.to, nil); err != nil {
			return err
		}
	}
	return nil
}

func clearReplica(w *pebble.Batch, id kvpb.RangeID) error {
	from, to := keys.ReplicaSpan(int64(id))
	return w.DeleteRange(engine.AppendKey(nil, from), engine.AppendKey(nil, to), nil)
}

// writeSnapshot streams a range's content as of the Pebble snapshot.
func writeSnapshot(w io.Writer, from *pebble.Snapshot, d *kvpb.RangeDescriptor) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var length [binary.MaxVarintLen64]byte
	write := func(b []byte) error {
		n := binary.PutUvarint(length[:], uint64(len(b)))
		if _, err := out.Write(length[:n]); err != nil {
			return err
		}
		_, err := out.Write(b)
		return err
	}
	for _, s := range spansOf(d) {
		iter, err := from.NewIter(&pebble.IterOptions{LowerBound: s.from, UpperBound: s.to})
		if err != nil {
			return err
		}
		for iter.First(); iter.Valid() && err == nil; iter.Next() {
			if err = write(iter.Key()); err == nil {
				err = write(iter.Value())
			}
		}
		err = errors.Join(err, iter.Error(), iter.Close())
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// receivedSnapshot is a snapshot that has arrived whole.
type receivedSnapshot struct {
	header SnapshotHeader
	batch  *pebble.Batch
}

// maxPairBytes bounds a key or value in a snapshot.
const maxPairBytes = 512 << 20

// sendSnapshot sends the range's present state to a replica. message is
// raft's, nil before the replica is a member.
func (r *Replica) sendSnapshot(ctx context.Context, to kvpb.ReplicaDescriptor, message *raftpb.Message) error {
	snapshot := r.store.Engines.State.NewSnapshot()
	defer snapshot.Close()
	var applied appliedState
	if err := r.readState(snapshot, kindApplied, applied.decode); err != nil {
		return err
	}
	header := SnapshotHeader{From: r.Self(), To: to, Index: applied.index, Term: applied.term}
	if err := r.readState(snapshot, kindDescriptor, header.Descriptor.Unmarshal); err != nil {
		return err
	}
	if message != nil {
		header.Message = proto.Clone(message).(*raftpb.Message)
		header.Message.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			Index: proto.Uint64(applied.index), Term: proto.Uint64(applied.term), ConfState: confStateOf(&header.Descriptor)}}
	}
	content, in := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, err := in.Write(binary.AppendUvarint(nil, uint64(len(applied.append(nil)))))
		if err == nil {
			_, err = in.Write(applied.append(nil))
		}
		if err == nil {
			err = writeSnapshot(in, snapshot, &header.Descriptor)
		}
		in.CloseWithError(err)
	}()
	err := r.store.Transport.Snapshot(ctx, header, content)
	// Ends the writer where the transport did not read to the end, before the
	// Pebble snapshot is closed.
	content.CloseWithError(io.ErrClosedPipe)
	<-written
	return err
}

// sendRaftSnapshot sends what raft asked for and tells it how it went.
func (r *Replica) sendRaftSnapshot(to kvpb.ReplicaDescriptor, m *raftpb.Message) {
	err := r.sendSnapshot(r.store.ctx, to, m)
	status := raft.SnapshotFinish
	if err != nil {
		status = raft.SnapshotFailure
		r.store.Logger.Debug("snapshot not sent", "range", r.id, "to", to.Store, "error", err)
	}
	r.mu.Lock()
	r.node.ReportSnapshot(m.GetTo(), status)
	r.mu.Unlock()
	r.store.sched.enqueue(r)
}

// HandleSnapshot takes in a snapshot that another store's Transport sends.
func (s *Store) HandleSnapshot(ctx context.Context, header SnapshotHeader, content io.Reader) error {
	if header.To.Store != s.Config.Store {
		return fmt.Errorf("the snapshot is for store %d, this is store %d", header.To.Store, s.Config.Store)
	}
	if _, here := s.Replica(header.Descriptor.Range); !here && header.Message != nil {
		if err := s.admitMissing(&header); err != nil {
			return err
		}
	}
	batch, err := s.readSnapshot(&header, bufio.NewReaderSize(content, 256<<10))
	if err != nil {
		return err
	}
	received := &receivedSnapshot{header: header, batch: batch}
	if err := s.discardOrphans(&header); err != nil {
		return err
	}
	if r, ok := s.Replica(header.Descriptor.Range); ok {
		if header.Message == nil || r.replicaID != header.To.Replica {
			return fmt.Errorf("store %d already has replica %d of range %d", s.Config.Store, r.replicaID, r.id)
		}
		// Together, so that whoever drives finds both or neither.
		r.driving.Lock()
		r.pendingSnapshots = append(r.pendingSnapshots, received)
		r.receive(Message{Range: r.id, From: header.From, To: header.To, Raft: header.Message})
		r.driving.Unlock()
		return nil
	}
	return s.createFromSnapshot(received)
}

// discardOrphans removes replicas that are in a snapshot's way because they were
// sent here and then not made members of their range: a split or another
// change came between. The snapshot is of a later state.
func (s *Store) discardOrphans(h *SnapshotHeader) error {
	if h.Message != nil {
		return nil
	}
	for _, r := range s.Replicas() {
		d := r.Descriptor()
		if bytes.Compare(d.Start, h.Descriptor.End) >= 0 || bytes.Compare(h.Descriptor.Start, d.End) >= 0 {
			continue
		}
		if d.Generation <= h.Descriptor.Generation && !r.isMember() && !r.wasHeard() {
			if err := r.discard(); err != nil {
				return err
			}
		}
	}
	return nil
}

// isMember reports whether the replica's own state has it among the range's
// replicas.
func (r *Replica) isMember() bool {
	_, ok := replicaByID(r.Descriptor(), r.replicaID)
	return ok
}

// wasHeard reports whether a leader has written to the replica: then it is, or
// was, a member, whether or not it has got so far in the log. The leader counts
// on what it has acknowledged.
func (r *Replica) wasHeard() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader != 0 || r.log.last > r.log.truncatedIndex
}

// discard removes a replica that is not, or no longer, one of its range's.
func (r *Replica) discard() error {
	r.driving.Lock()
	defer r.driving.Unlock()
	r.mu.Lock()
	removed := r.removed
	r.mu.Unlock()
	if removed {
		return nil
	}
	r.store.Logger.Info("discarding a replica that is not of its range", "range", r.id, "replica", r.replicaID)
	return r.remove()
}

// Outdated tells the store what the range's descriptor is, as its leaseholder
// has it: where the replica here is not in it, it is removed. A replica that
// was taken away while it could not be reached learns of it in no other way.
func (r *Replica) Outdated(now *kvpb.RangeDescriptor) error {
	d := r.Descriptor()
	if now.Range != r.id || now.Generation < d.Generation || now.Generation == d.Generation && r.isMember() {
		return nil
	}
	if _, still := replicaByID(now, r.replicaID); still {
		return nil
	}
	return r.discard()
}

func (s *Store) readSnapshot(header *SnapshotHeader, in *bufio.Reader) (*pebble.Batch, error) {
	next := func() ([]byte, error) {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		if n > maxPairBytes {
			return nil, fmt.Errorf("a snapshot's pair of %d bytes", n)
		}
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		return b, err
	}
	raw, err := next()
	if err != nil {
		return nil, err
	}
	var applied appliedState
	if err := applied.decode(raw); err != nil {
		return nil, err
	}
	batch := s.Engines.State.NewBatch()
	if err := clearRange(batch, &header.Descriptor); err != nil {
		return nil, err
	}
	spans := spansOf(&header.Descriptor)
	for {
		key, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		value, err := next()
		if err != nil {
			return nil, err
		}
		within := false
		for _, sp := range spans {
			within = within || bytes.Compare(sp.from, key) <= 0 && bytes.Compare(key, sp.to) < 0
		}
		if !within {
			return nil, fmt.Errorf("a snapshot of range %d has key %x, which is not its", header.Descriptor.Range, key)
		}
		if err := batch.Set(key, value, nil); err != nil {
			return nil, err
		}
	}
	return batch, writeReplica(batch, &header.Descriptor, header.To.Replica, &applied)
}

// checkOverlap refuses a range that other replicas here are in the way of.
func (s *Store) checkOverlap(d *kvpb.RangeDescriptor) error {
	for _, r := range s.Replicas() {
		other := r.Descriptor()
		if bytes.Compare(other.Start, d.End) < 0 && bytes.Compare(d.Start, other.End) < 0 {
			return fmt.Errorf("range %d of store %d overlaps the snapshot of range %d", other.Range, s.Config.Store, d.Range)
		}
	}
	return nil
}

// createFromSnapshot makes a replica that was not here.
func (s *Store) createFromSnapshot(received *receivedSnapshot) error {
	d := &received.header.Descriptor
	if s.isStopped() {
		return errors.New("the store is stopped")
	}
	s.creating.Lock()
	defer s.creating.Unlock()
	if received.header.Message != nil {
		if err := s.admitMissing(&received.header); err != nil {
			return err
		}
	} else if err := s.checkOverlap(d); err != nil {
		return err
	}
	// An earlier replica's log must not be taken for this one's.
	if err := s.Engines.Log.DeleteRange(logKey(d.Range, 0), logKey(d.Range, 0xff), pebble.Sync); err != nil {
		return err
	}
	if err := received.batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	if err := s.Engines.State.Flush(); err != nil {
		return err
	}
	r, err := loadReplica(s, d.Range)
	if err != nil {
		return err
	}
	s.add(r)
	r.start()
	return nil
}

// installSnapshot replaces the replica's state by the snapshot that raft has
// accepted; driving is held.
func (r *Replica) installSnapshot(m *raftpb.Message) error {
	index, term := m.GetSnapshot().GetMetadata().GetIndex(), m.GetSnapshot().GetMetadata().GetTerm()
	at := slices.IndexFunc(r.pendingSnapshots, func(p *receivedSnapshot) bool {
		return p.header.Index == index && p.header.Term == term
	})
	if at < 0 {
		return fmt.Errorf("raft accepted a snapshot at %d that is not here", index)
	}
	received := r.pendingSnapshots[at]
	// What was to be appended before must not land on top of it.
	if err := r.store.log.drain(); err != nil {
		return err
	}
	old := r.Descriptor()
	d := &received.header.Descriptor
	clearing := r.store.Engines.State.NewBatch()
	defer clearing.Close()
	if err := clearRange(clearing, old); err != nil {
		return err
	}
	if err := clearing.Apply(received.batch, nil); err != nil {
		return err
	}
	if err := clearing.Commit(pebble.NoSync); err != nil {
		return err
	}
	if err := r.store.Engines.State.Flush(); err != nil {
		return err
	}
	before := r.applied.lease
	if err := r.readState(r.store.Engines.State, kindApplied, r.applied.decode); err != nil {
		return err
	}
	if err := r.replaceLog(m, received); err != nil {
		return err
	}
	r.descriptor.Store(d)
	r.store.reindex()
	if n := len(m.GetEntries()); n > 0 {
		r.mu.Lock()
		r.written = m.GetEntries()[n-1].GetIndex()
		r.mu.Unlock()
	}
	r.persisted(m)
	if r.applied.lease.Sequence != before.Sequence {
		r.store.Observer.LeaseChanged(r, before, r.applied.lease)
	}
	r.store.Observer.DescriptorChanged(r)
	return nil
}

// replaceLog makes the log begin behind a snapshot whose state is in place.
func (r *Replica) replaceLog(m *raftpb.Message, received *receivedSnapshot) error {
	index := received.header.Index
	r.rewriting.Lock()
	defer r.rewriting.Unlock()
	batch := r.store.Engines.Log.NewBatch()
	defer batch.Close()
	r.mu.Lock()
	r.log.reset(batch, index, received.header.Term)
	r.log.confState = confStateOf(&received.header.Descriptor)
	r.written = index
	if r.holds(&r.applied.lease) {
		// What was served under it may be of an earlier life, and what is in
		// flight is not known any more.
		r.disownLocked(r.applied.lease.Sequence)
	}
	r.publish()
	r.failProposalsLocked("a snapshot took the place of the replica's log")
	r.mu.Unlock()
	hardState := &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	if err := writeLog(batch, r.id, m.GetEntries(), hardState, index); err != nil {
		return err
	}
	return batch.Commit(pebble.Sync)
}
