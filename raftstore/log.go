package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
)

// Keys of Log: the range's id in 8 bytes, a kind, and for entries the index.
const (
	logHardState = 'h'
	logTruncated = 't'
	logEntry     = 'l'
)

func logKey(id kvpb.RangeID, kind byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 17), uint64(id)), kind)
}

func logEntryKey(id kvpb.RangeID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(logKey(id, logEntry), index)
}

// Each range's log begins behind this index and term, so that a replica without
// any state (index 0) always differs from one that has the initial state.
const (
	initialIndex = 10
	initialTerm  = 5
)

// cacheEntries and cacheBytes bound the newest part of a log that is kept in
// memory for applying and for followers.
const (
	cacheEntries = 4096
	cacheBytes   = 4 << 20
)

// raftLog is raft.Storage for a replica. It shows only what is durable: the
// replica calls appended when the log writer is done. Guarded by the
// replica's mutex.
type raftLog struct {
	id        kvpb.RangeID
	db        *engine.Log
	hardState *raftpb.HardState
	confState *raftpb.ConfState
	// truncated is the position before the first entry.
	truncatedIndex, truncatedTerm uint64
	last                          uint64
	cache                         []*raftpb.Entry // the newest entries, without gaps, up to last
	cachedBytes                   int
	// bytes estimates the size of the entries on disk.
	bytes int64
}

var _ raft.Storage = (*raftLog)(nil)

// loadLog reads a replica's log. applied is the position that State has
// reached; where a crash came between taking a snapshot in and noting it here,
// the log is behind it and starts over from there.
func loadLog(db *engine.Log, id kvpb.RangeID, appliedIndex, appliedTerm uint64) (*raftLog, error) {
	l := &raftLog{id: id, db: db, hardState: &raftpb.HardState{}, truncatedIndex: initialIndex, truncatedTerm: initialTerm}
	if err := get(db, logKey(id, logHardState), func(b []byte) error { return proto.Unmarshal(b, l.hardState) }); err != nil {
		return nil, err
	}
	err := get(db, logKey(id, logTruncated), func(b []byte) error {
		if len(b) != 16 {
			return errMalformed
		}
		l.truncatedIndex, l.truncatedTerm = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		return nil
	})
	if err != nil {
		return nil, err
	}
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: logKey(id, logEntry), UpperBound: logKey(id, logEntry+1)})
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	l.last = l.truncatedIndex
	if iter.Last() {
		l.last = max(l.last, binary.BigEndian.Uint64(iter.Key()[9:]))
	}
	if err := iter.Error(); err != nil {
		return nil, err
	}
	agrees, err := l.agrees(appliedIndex, appliedTerm)
	if err != nil {
		return nil, err
	}
	if !agrees {
		batch := db.NewBatch()
		l.reset(batch, appliedIndex, appliedTerm)
		if err := batch.Commit(pebble.Sync); err != nil {
			return nil, err
		}
	}
	if l.hardState.GetCommit() < appliedIndex {
		l.hardState.Commit = proto.Uint64(appliedIndex)
	}
	if l.hardState.GetTerm() < appliedTerm {
		l.hardState.Term = proto.Uint64(appliedTerm)
	}
	return l, nil
}

// agrees reports whether the log has the entry that State has reached. It has
// another one where a crash came before a snapshot that replaced the log was
// noted here.
func (l *raftLog) agrees(index, term uint64) (bool, error) {
	switch {
	case l.last < index:
		return false, nil
	case index < l.truncatedIndex:
		return false, fmt.Errorf("range %d: its state is at %d, its log begins behind %d", l.id, index, l.truncatedIndex)
	}
	have, err := l.Term(index)
	return have == term, err
}

func get(db *engine.Log, key []byte, decode func([]byte) error) error {
	b, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	return decode(b)
}

// reset makes the log begin behind index, without entries.
func (l *raftLog) reset(w *pebble.Batch, index, term uint64) {
	l.truncatedIndex, l.truncatedTerm, l.last = index, term, index
	l.cache, l.cachedBytes, l.bytes = nil, 0, 0
	// Errors of a batch in memory come back from its Commit.
	_ = w.DeleteRange(logKey(l.id, logEntry), logKey(l.id, logEntry+1), nil)
	_ = w.Set(logKey(l.id, logTruncated), l.truncatedValue(), nil)
}

func (l *raftLog) truncatedValue() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, l.truncatedIndex), l.truncatedTerm)
}

// InitialState implements raft.Storage.
func (l *raftLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return l.hardState, l.confState, nil
}

// FirstIndex implements raft.Storage.
func (l *raftLog) FirstIndex() (uint64, error) { return l.truncatedIndex + 1, nil }

// LastIndex implements raft.Storage.
func (l *raftLog) LastIndex() (uint64, error) { return l.last, nil }

// Entries implements raft.Storage.
func (l *raftLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= l.truncatedIndex {
		return nil, raft.ErrCompacted
	}
	if hi > l.last+1 {
		return nil, raft.ErrUnavailable
	}
	entries := make([]*raftpb.Entry, 0, hi-lo)
	var size uint64
	full := func(e *raftpb.Entry) bool {
		size += uint64(len(e.Data)) + 16
		if len(entries) > 0 && size > maxSize {
			return true
		}
		entries = append(entries, e)
		return false
	}
	fromCache := l.last + 1
	if len(l.cache) > 0 {
		fromCache = l.cache[0].GetIndex()
	}
	if lo < fromCache {
		iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: logEntryKey(l.id, lo), UpperBound: logEntryKey(l.id, min(hi, fromCache))})
		if err != nil {
			return nil, err
		}
		defer iter.Close()
		next := lo
		for iter.First(); iter.Valid(); iter.Next() {
			e := &raftpb.Entry{}
			if err := proto.Unmarshal(iter.Value(), e); err != nil {
				return nil, err
			}
			if e.GetIndex() != next {
				return nil, fmt.Errorf("range %d: log entry %d is missing", l.id, next)
			}
			next++
			if full(e) {
				return entries, nil
			}
		}
		if err := iter.Error(); err != nil {
			return nil, err
		}
		if next != min(hi, fromCache) {
			return nil, fmt.Errorf("range %d: log entry %d is missing", l.id, next)
		}
		lo = next
	}
	for ; lo < hi; lo++ {
		if full(l.cache[lo-fromCache]) {
			break
		}
	}
	return entries, nil
}

// Term implements raft.Storage.
func (l *raftLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.truncatedIndex:
		return l.truncatedTerm, nil
	case i < l.truncatedIndex:
		return 0, raft.ErrCompacted
	case i > l.last:
		return 0, raft.ErrUnavailable
	}
	if len(l.cache) > 0 && i >= l.cache[0].GetIndex() {
		return l.cache[i-l.cache[0].GetIndex()].GetTerm(), nil
	}
	entries, err := l.Entries(i, i+1, math.MaxUint64)
	if err != nil {
		return 0, err
	}
	return entries[0].GetTerm(), nil
}

// Snapshot implements raft.Storage. It says only which position a snapshot
// would have at least; its content is taken when it is sent.
func (l *raftLog) Snapshot() (*raftpb.Snapshot, error) {
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: proto.Uint64(l.truncatedIndex + 1), Term: proto.Uint64(l.truncatedTerm), ConfState: l.confState}}, nil
}

// write adds what raft wants persisted to a batch for Log. previousLast is the
// last index that was written before, durable or not.
func writeLog(w *pebble.Batch, id kvpb.RangeID, entries []*raftpb.Entry, hardState *raftpb.HardState, previousLast uint64) error {
	for _, e := range entries {
		value, err := proto.Marshal(e)
		if err != nil {
			return err
		}
		if err := w.Set(logEntryKey(id, e.GetIndex()), value, nil); err != nil {
			return err
		}
	}
	if n := len(entries); n > 0 {
		// A new leader's entries replace a longer tail of an old one's.
		if last := entries[n-1].GetIndex(); last < previousLast {
			if err := w.DeleteRange(logEntryKey(id, last+1), logEntryKey(id, previousLast+1), nil); err != nil {
				return err
			}
		}
	}
	if raft.IsEmptyHardState(hardState) {
		return nil
	}
	value, err := proto.Marshal(hardState)
	if err != nil {
		return err
	}
	return w.Set(logKey(id, logHardState), value, nil)
}

// appended notes entries that are durable now.
func (l *raftLog) appended(entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	first := entries[0].GetIndex()
	if len(l.cache) > 0 {
		if begin := l.cache[0].GetIndex(); first < begin {
			l.cache = nil
		} else if first <= l.last {
			l.cache = l.cache[:first-begin]
		}
	}
	if len(l.cache) == 0 {
		l.cachedBytes = 0
	}
	l.cache = append(l.cache, entries...)
	for _, e := range entries {
		l.cachedBytes += len(e.Data)
		l.bytes += int64(len(e.Data)) + 32
	}
	l.last = entries[len(entries)-1].GetIndex()
	drop := 0
	for ; len(l.cache)-drop > 1 && (l.cachedBytes > cacheBytes || len(l.cache)-drop > cacheEntries); drop++ {
		l.cachedBytes -= len(l.cache[drop].Data)
	}
	// The array's front is freed when append has to move what is left.
	clear(l.cache[:drop])
	l.cache = l.cache[drop:]
}

// truncate drops the entries up to index, in memory; the caller has arranged
// for the same in Log.
func (l *raftLog) truncate(index, term uint64) {
	total := float64(l.last - l.truncatedIndex)
	l.bytes = int64(float64(l.bytes) * float64(l.last-index) / total)
	l.truncatedIndex, l.truncatedTerm = index, term
	for len(l.cache) > 0 && l.cache[0].GetIndex() <= index {
		l.cachedBytes -= len(l.cache[0].Data)
		l.cache = l.cache[1:]
	}
}
