package txn

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
)

// Heartbeats keep a transaction's record fresh while it may hold locks, so that
// those who wait for it know that somebody drives it. Every transaction gets
// its first one within a second of its first lock: kv/server counts on that.
const (
	heartbeatTick    = 500 * time.Millisecond
	heartbeatEvery   = 2 // ticks
	heartbeatTimeout = 3 * time.Second
	heartbeatsAtOnce = 64
)

// heartbeatState is a transaction's place among those that are heartbeaten.
type heartbeatState struct {
	listed     bool
	due        int64 // tick
	under      bool  // one is under way
	prev, next *Txn
}

// heartbeats are the transactions of a DB that may hold locks.
type heartbeats struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	first *Txn  // guarded by mu
	tick  int64 // guarded by mu
}

func (h *heartbeats) start(db *DB) {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.work.Go(func() {
		ticker := time.NewTicker(heartbeatTick)
		defer ticker.Stop()
		slots := make(chan struct{}, heartbeatsAtOnce)
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			for _, t := range h.due() {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				h.work.Go(func() {
					defer func() { <-slots }()
					t.sendHeartbeat(ctx)
					h.mu.Lock()
					t.heartbeat.under = false
					h.mu.Unlock()
				})
			}
		}
	})
}

func (h *heartbeats) stop() {
	h.cancel()
	h.work.Wait()
}

func (h *heartbeats) add(t *Txn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &t.heartbeat
	if s.listed {
		return
	}
	s.listed, s.due = true, h.tick+heartbeatEvery
	s.prev, s.next = nil, h.first
	if h.first != nil {
		h.first.heartbeat.prev = t
	}
	h.first = t
}

func (h *heartbeats) remove(t *Txn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &t.heartbeat
	if !s.listed {
		return
	}
	if s.prev != nil {
		s.prev.heartbeat.next = s.next
	} else {
		h.first = s.next
	}
	if s.next != nil {
		s.next.heartbeat.prev = s.prev
	}
	s.listed, s.prev, s.next = false, nil, nil
}

// due counts a tick and returns whose heartbeat it is time for.
func (h *heartbeats) due() []*Txn {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	var due []*Txn
	for t := h.first; t != nil; t = t.heartbeat.next {
		if s := &t.heartbeat; s.due <= h.tick && !s.under {
			s.due, s.under = h.tick+heartbeatEvery, true
			due = append(due, t)
		}
	}
	return due
}

func (t *Txn) sendHeartbeat(ctx context.Context) {
	t.mu.Lock()
	present := t.txn
	over := t.ended || t.failed != nil || present.Key == nil
	t.mu.Unlock()
	if over {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	response, err := t.db.config.Sender.Send(ctx, &kvpb.BatchRequest{
		Header:   kvpb.Header{Txn: present, Gateway: t.db.config.Node},
		Requests: []kvpb.Request{{Kind: kvpb.HeartbeatTxn, Key: present.Key}},
	})
	t.mu.Lock()
	if t.ended || t.failed != nil || t.committing || t.txn.ID != present.ID || t.txn.Epoch != present.Epoch {
		t.mu.Unlock()
		return
	}
	var aborted *kvpb.TransactionAbortedError
	switch {
	case err == nil:
		record := response.Responses[0].Txn
		if record == nil || record.Status != kvpb.Aborted {
			t.mu.Unlock()
			return
		}
		aborted = &kvpb.TransactionAbortedError{Reason: kvpb.AbortPushed}
	case !errors.As(err, &aborted):
		t.mu.Unlock()
		t.db.config.Logger.Debug("a heartbeat failed", "transaction", present.ID.Short(), "error", err)
		return
	}
	t.failed = &kvpb.Error{Detail: aborted, Index: -1, Txn: present}
	t.abandon()
}
