package raftstore

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
)

// appendRequest is what one replica wants in Log, or a barrier, which is closed
// once everything before it is there.
type appendRequest struct {
	replica      *Replica
	message      *raftpb.Message // MsgStorageAppend
	previousLast uint64
	barrier      chan struct{}
}

// logWriter writes what all replicas append: whatever has gathered while the
// last fsync ran goes into one batch with one fsync.
type logWriter struct {
	store *Store
	wake  chan struct{} // holds at most one token
	stop  chan struct{}

	mu      sync.Mutex
	pending []appendRequest // guarded by mu; bounded by raft's own limits on what is in flight
}

func newLogWriter(s *Store) *logWriter {
	return &logWriter{store: s, wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

func (w *logWriter) enqueue(a appendRequest) {
	w.mu.Lock()
	w.pending = append(w.pending, a)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// drain waits until all that was enqueued before is written, for whoever is
// going to write to a replica's log by himself. It fails when the store stops.
func (w *logWriter) drain() error {
	barrier := make(chan struct{})
	w.enqueue(appendRequest{barrier: barrier})
	select {
	case <-barrier:
		return nil
	case <-w.stop:
		return errStopped
	case <-w.store.ctx.Done():
		return errStopped
	}
}

var errStopped = errors.New("the store is stopped")

func (w *logWriter) close() { close(w.stop) }

func (w *logWriter) run() {
	var spare []appendRequest
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		requests := w.pending
		if len(requests) == 0 {
			w.mu.Unlock()
			continue
		}
		w.pending = spare[:0]
		w.mu.Unlock()
		if err := w.write(requests); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				w.store.Engines.MarkFull()
			}
			w.store.fail(fmt.Errorf("writing the raft log: %w", err))
			return
		}
		for _, a := range requests {
			if a.barrier != nil {
				close(a.barrier)
				continue
			}
			a.replica.persisted(a.message)
		}
		clear(requests)
		spare = requests
	}
}

func (w *logWriter) write(requests []appendRequest) error {
	batch := w.store.Engines.Log.NewBatch()
	defer batch.Close()
	for _, a := range requests {
		if a.barrier != nil {
			continue
		}
		m := a.message
		hardState := &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		if err := writeLog(batch, a.replica.id, m.GetEntries(), hardState, a.previousLast); err != nil {
			return err
		}
	}
	if batch.Empty() {
		return nil
	}
	return batch.Commit(pebble.Sync)
}
