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
	recordsPause = 20 * time.Second // between two looks at a range's records
	// recordAge is how long a transaction's record outlives its end, and
	// markerAge an abort marker its abort: for whoever still asks.
	recordAge = 30 * time.Second
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

// cleanRecords removes records of transactions that ended a while ago, after
// resolving the intents that they still list, aborts abandoned ones, and
// removes old abort markers.
func (s *Server) cleanRecords(ctx context.Context, r *replica, now hlc.Timestamp) error {
	d := r.raft.Descriptor()
	low, high := keys.TxnRecordSpan(d.Start, d.End)
	iter, err := s.Engines.State.NewIter(&pebble.IterOptions{KeyTypes: pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, low), UpperBound: engine.AppendKey(nil, high)})
	if err != nil {
		return err
	}
	var old []*kvpb.Transaction
	var markers [][]byte
	const batchSize = 1000
	for iter.First(); iter.Valid() && len(old)+len(markers) < batchSize; iter.Next() {
		key, _, err := engine.DecodeKey(iter.Key())
		if err != nil {
			break
		}
		switch kind := localKind(key); kind {
		case 't':
			t := new(kvpb.Transaction)
			if err := t.Unmarshal(bytes.Clone(iter.Value())); err != nil {
				s.Logger.Error("a transaction record can't be read", "range", d.Range, "error", err)
				continue
			}
			if t.LastHeartbeat.Max(t.MinTimestamp).Add(recordAge).Less(now) {
				old = append(old, t)
			}
		case 'a':
			if value := iter.Value(); len(value) == 8 && int64(binary.BigEndian.Uint64(value))+int64(markerAge) < now.WallTime {
				markers = append(markers, bytes.Clone(key))
			}
		}
	}
	if err := iter.Close(); err != nil {
		return err
	}
	for _, t := range old {
		if err := s.cleanRecord(ctx, r, t); err != nil {
			return err
		}
	}
	return s.cleanMarkers(ctx, r, markers)
}

// localKind returns the kind of a key under a range's keys (see keys): records
// and abort markers end in a transaction's id.
func localKind(key []byte) byte {
	if n := len(key) - len(kvpb.TxnID{}) - 1; n > 0 {
		return key[n]
	}
	return 0
}

// cleanRecord deals with one old record.
func (s *Server) cleanRecord(ctx context.Context, r *replica, t *kvpb.Transaction) error {
	if t.Status == kvpb.Pending {
		args := &kvpb.PushArgs{Pushee: t.TxnMeta, Type: kvpb.PushTouch}
		pushed, err := s.push(ctx, kvpb.PushTxn, args)
		if err != nil || pushed == nil || pushed.Status != kvpb.Aborted {
			return nil // alive
		}
		// Its intents are found by whom they are in the way of; the record stays
		// for them until the next turn.
		return nil
	}
	if err := s.resolve(ctx, t.LockSpans, t, false); err != nil {
		return err
	}
	latches := []concurrency.Latch{{Span: recordSpan(&t.TxnMeta), Write: true}}
	return r.commit(ctx, latches, func(batch *pebble.Batch, _ *raftstore.Command) error {
		if !r.raft.Descriptor().Contains(t.Key) {
			return nil
		}
		return batch.Delete(recordKey(&t.TxnMeta), nil)
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
