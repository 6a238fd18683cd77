package txn

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cairndb/cairn/kv"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Config is what a DB stands on.
type Config struct {
	Sender kv.Sender // usually the node's kv.Router
	Clock  *hlc.Clock
	Node   kvpb.NodeID  // the gateway: this node
	Logger *slog.Logger // nil: none
	// BufferBytes bounds the writes that a transaction keeps before it lays them
	// down; 0: 4 MiB.
	BufferBytes int
}

// DB begins transactions. It is safe for concurrent use. Close it before its
// sender.
type DB struct {
	config     Config
	heartbeats heartbeats
	resolver   resolver
}

// NewDB returns a DB whose background work runs until Close.
func NewDB(c Config) *DB {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 4 << 20
	}
	db := &DB{config: c}
	db.heartbeats.start(db)
	db.resolver.start(db)
	return db
}

// Close stops the background work. Transactions that are still open are no
// longer reported as alive; locks that are still to be released are found and
// released by whoever meets them.
func (db *DB) Close() {
	db.heartbeats.stop()
	db.resolver.stop()
}

// Clock returns the node's clock.
func (db *DB) Clock() *hlc.Clock { return db.config.Clock }

// NonTransactional returns a sender for batches outside of transactions:
// counters, splits.
func (db *DB) NonTransactional() kv.Sender { return db.config.Sender }

// newID returns a random UUID (version 4).
func newID() kvpb.TxnID {
	var id kvpb.TxnID
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// maxRetryWait bounds the pause before Run tries again.
const maxRetryWait = 100 * time.Millisecond

// Run calls fn with a new transaction and commits it. Errors for which
// IsRetryable holds make it start again, for as long as ctx lasts, so fn must
// be idempotent in what it does besides. fn may commit by itself. Any other
// error rolls back and is returned.
func (db *DB) Run(ctx context.Context, o Options, fn func(context.Context, *Txn) error) error {
	t := db.Begin(o)
	wait := time.Millisecond
	for {
		err := fn(ctx, t)
		if err == nil && !t.isEnded() {
			err = t.Commit(ctx)
		}
		if err == nil {
			return nil
		}
		if !IsRetryable(err) || ctx.Err() != nil || t.isEnded() {
			// The caller's context may have ended; the locks must go all the same.
			if rollbackErr := t.Rollback(context.WithoutCancel(ctx)); rollbackErr != nil {
				db.config.Logger.Debug("a transaction could not be rolled back", "error", rollbackErr)
			}
			return err
		}
		timer := time.NewTimer(rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, maxRetryWait)
		t.Restart()
	}
}

func (t *Txn) isEnded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}
