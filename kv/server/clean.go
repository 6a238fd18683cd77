package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/concurrency"
	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/kv/mvcc"
	"github.com/cairndb/cairn/raftstore"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// gcState is what the cleaning queue remembers of a range.
type gcState struct {
	// next is when the range is looked at again, by the clock's wall time.
	next, nextRecords int64
	// index is the position in the log after the last pass.
	index uint64
	// remaining is how much garbage was too young then.
	remaining int64
}

// Intervals of cleaning.
const (
	gcPause      = time.Minute      // between two turns on one range
	recordsPause = 10 * time.Second // between two looks at a range's records
	// recordAge is how long a transaction's record outlives its end, and
	// markerAge an abort marker its abort: for whoever still asks.
	recordAge = 20 * time.Second
	markerAge = time.Hour
	// readsAge is how long the timestamp cache of an idle range is kept.
	readsAge = time.Minute
)

// clean collects garbage on the ranges that are served from here. It never
// takes a lease for that: idle ranges get no new garbage.
func (s *Server) clean(ctx context.Context) {
	now := s.Clock.Now()
	for _, raft := range s.store.Replicas() {
		if ctx.Err() != nil {
			return
		}
		l := raft.Lease(now)
		if !l.Mine || l.State != raftstore.LeaseUsable {
			continue
		}
		r := s.replicaOf(raft)
		r.reads.trim(now.Add(-readsAge))
		if r.gc.nextRecords <= now.WallTime {
			r.gc.nextRecords = now.WallTime + int64(recordsPause)
			s.logCleaning("records", raft, s.cleanRecords(ctx, r, now))
		}
		if s.wantsGC(r, now) {
			s.logCleaning("garbage", raft, s.cleanVersions(ctx, r, now))
			r.gc.next = now.WallTime + int64(min(gcPause, s.GCTTL))
			r.gc.index = raft.AppliedIndex()
		}
	}
}

func (s *Server) logCleaning(what string, raft *raftstore.Replica, err error) {
	if err != nil && s.ctx.Err() == nil {
		s.Logger.Debug("cleaning will go on later", "what", what, "range", raft.Range(), "error", err)
	}
}

// wantsGC reports whether a range has so much garbage that a pass is worth it:
// a pass reads all of it.
func (s *Server) wantsGC(r *replica, now hlc.Timestamp) bool {
	if now.WallTime < r.gc.next {
		return false
	}
	stats := r.raft.Statistics()
	dead := stats.KeyBytes + stats.ValueBytes - stats.LiveBytes
	versions := stats.VersionCount - stats.LiveCount
	switch {
	case versions <= 0:
		return false
	case r.gc.index != 0 && r.gc.index == r.raft.AppliedIndex() && r.gc.remaining == 0:
		return false // nothing has happened since the last pass
	case dead < smallGarbage && versions < fewVersions:
		return now.WallTime >= r.gc.next+int64(s.GCTTL)
	default:
		return true
	}
}

// Garbage below both is left alone for longer.
const (
	smallGarbage = 1 << 20
	fewVersions  = 1000
)

// gcChunk is how many garbage versions one request removes.
const gcChunk = 2000

// cleanVersions removes the versions that are older than the TTL. It finds
// them without latches and then has each stretch of keys collected by a request,
// so that writes wait for short stretches only.
func (s *Server) cleanVersions(ctx context.Context, r *replica, now hlc.Timestamp) error {
	threshold := hlc.Timestamp{WallTime: now.WallTime - int64(s.GCTTL)}
	if threshold.WallTime <= 0 {
		return nil
	}
	d := r.raft.Descriptor()
	span := kvpb.Span{Key: d.Start, EndKey: d.End}
	for {
		w := mvcc.Writer{Reader: mvcc.NewReader(s.Engines.State, false)}
		g, err := w.CollectGarbage(span, threshold, gcChunk)
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		if g.First != nil {
			_, err := s.Send(ctx, &kvpb.BatchRequest{Header: kvpb.Header{Range: r.raft.Range(), Gateway: s.Node}, Requests: []kvpb.Request{
				{Kind: kvpb.GarbageCollect, Key: g.First, EndKey: keys.Next(g.Last), RefreshFrom: threshold}}})
			if err != nil {
				return err
			}
		}
		if g.Resume == nil {
			r.gc.remaining = g.Remaining
			return nil
		}
		span.Key = g.Resume
	}
}

// cleanBatch is how many records are dealt with in one go.
const cleanBatch = 1000

// cleanRecords removes records of transactions that ended a while ago, after
// resolving the intents that they still list, aborts abandoned ones, and
// removes old abort markers.
func (s *Server) cleanRecords(ctx context.Context, r *replica, now hlc.Timestamp) error {
	d := r.raft.Descriptor()
	from, end := keys.TxnRecordSpan(d.Start, d.End)
	for {
		old, next, err := s.oldRecords(from, end, now)
		if err != nil {
			return err
		}
		if err := s.removeRecords(ctx, r, old.ended); err != nil {
			return err
		}
		if err := s.cleanMarkers(ctx, r, old.markers); err != nil {
			return err
		}
		for _, t := range old.pending {
			// Where it is abandoned it is aborted. Its intents are found by whom
			// they are in the way of; the record stays for them until the next turn.
			args := &kvpb.PushArgs{Pushee: t.TxnMeta, Type: kvpb.PushTouch}
			if _, err := s.push(ctx, kvpb.PushTxn, args); err != nil && ctx.Err() != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		from = next
	}
}

// oldEntries are what there is to clean among a range's records.
type oldEntries struct {
	ended, pending []*kvpb.Transaction
	markers        [][]byte
}

// oldRecords finds records and markers that have had their time, and where to
// go on looking.
func (s *Server) oldRecords(from, end []byte, now hlc.Timestamp) (old oldEntries, next []byte, err error) {
	iter, err := s.Engines.State.NewIter(&pebble.IterOptions{KeyTypes: pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, from), UpperBound: engine.AppendKey(nil, end)})
	if err != nil {
		return old, nil, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		key, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return old, nil, err
		}
		if len(old.ended)+len(old.pending)+len(old.markers) >= cleanBatch {
			return old, bytes.Clone(key), nil
		}
		switch localKind(key) {
		case 't':
			t := new(kvpb.Transaction)
			if err := t.Unmarshal(bytes.Clone(iter.Value())); err != nil {
				return old, nil, err
			}
			if !t.LastHeartbeat.Max(t.MinTimestamp).Add(recordAge).Less(now) {
				continue
			}
			if t.Status == kvpb.Pending {
				old.pending = append(old.pending, t)
			} else {
				old.ended = append(old.ended, t)
			}
		case 'a':
			if value := iter.Value(); len(value) == 8 && int64(binary.BigEndian.Uint64(value))+int64(markerAge) < now.WallTime {
				old.markers = append(old.markers, bytes.Clone(key))
			}
		}
	}
	return old, nil, iter.Error()
}

// localKind returns the kind of a key under a range's keys (see keys): records
// and abort markers end in a transaction's id.
func localKind(key []byte) byte {
	if n := len(key) - len(kvpb.TxnID{}) - 1; n > 0 {
		return key[n]
	}
	return 0
}

// removeRecords resolves what ended transactions' records list, and removes the
// records.
func (s *Server) removeRecords(ctx context.Context, r *replica, ended []*kvpb.Transaction) error {
	if len(ended) == 0 {
		return nil
	}
	var requests []kvpb.Request
	latches := make([]concurrency.Latch, 0, len(ended))
	for _, t := range ended {
		requests = appendResolutions(requests, t.LockSpans, t, false)
		latches = append(latches, concurrency.Latch{Span: recordSpan(&t.TxnMeta), Write: true})
	}
	if err := s.sendResolutions(ctx, requests); err != nil {
		return err
	}
	return r.commit(ctx, latches, func(batch *pebble.Batch, _ *raftstore.Command) error {
		for _, t := range ended {
			if !r.raft.Descriptor().Contains(t.Key) {
				continue
			}
			if err := batch.Delete(recordKey(&t.TxnMeta), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Server) cleanMarkers(ctx context.Context, r *replica, markers [][]byte) error {
	if len(markers) == 0 {
		return nil
	}
	start := r.raft.Descriptor().Start
	return r.commit(ctx, nil, func(batch *pebble.Batch, _ *raftstore.Command) error {
		if !bytes.Equal(start, r.raft.Descriptor().Start) {
			return nil
		}
		for _, key := range markers {
			if err := batch.Delete(engine.AppendKey(nil, key), nil); err != nil {
				return err
			}
			r.setAborted(kvpb.TxnID(key[len(key)-len(kvpb.TxnID{}):]), false)
		}
		return nil
	})
}
