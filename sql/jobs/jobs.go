// Package jobs carries out work that outlives its statement: the clean-up
// after schema changes, undoing what a failed one left behind.
//
//	schemachange → Create (in the statement's transaction) → record under keys.JobPrefix
//	                                                              ↓
//	Registry of any node: claims a record for a while → Resume of its kind → progress → record deleted
//
// A job's work must be idempotent: another node resumes it from its last saved
// progress when its node dies.
package jobs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// Config is what a Registry stands on.
type Config struct {
	DB     *txn.DB
	Node   kvpb.NodeID
	Logger *slog.Logger
	// ClaimDuration is how long a node owns a job without saying so again;
	// 0: 15 s.
	ClaimDuration time.Duration
	// ScanInterval is how often a node looks for jobs that others left; 0: 30 s.
	ScanInterval time.Duration
}

// Job is a job as its kind sees it.
type Job struct {
	ID      int64
	Payload json.RawMessage // what it was created with
	// Progress is what Save stored last, nil at first.
	Progress json.RawMessage
	registry *Registry
}

// Kind runs the jobs of one kind. An error makes the job be run again later,
// unless it is Cancelled.
type Kind func(ctx context.Context, job *Job) error

// ErrGivenUp is for kinds to return when a job must not be run again.
var ErrGivenUp = errors.New("the job was given up")

// record is how a job is stored.
type record struct {
	ID       int64           `json:"id"`
	Kind     string          `json:"kind"`
	Payload  json.RawMessage `json:"payload"`
	Progress json.RawMessage `json:"progress,omitempty"`
	Created  time.Time       `json:"created"`
	// The claim: who runs the job, and until when nobody else may.
	Claimant   string `json:"claimant,omitempty"`
	Node       int32  `json:"node,omitempty"`
	Expiration int64  `json:"expiration,omitempty"` // ns
	Attempts   int    `json:"attempts,omitempty"`
	Error      string `json:"error,omitempty"`
}

func key(id int64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(keys.JobPrefix), uint64(id))
}

// Registry runs jobs on a node. It is safe for concurrent use.
type Registry struct {
	config   Config
	kinds    map[string]Kind
	claimant string // names this process
	ctx      context.Context
	cancel   context.CancelFunc
	done     sync.WaitGroup
	wake     chan struct{}

	mu   sync.Mutex
	held map[int64]bool // guarded by mu; jobs that this process runs or holds
}

// maxRunning bounds the jobs that a node runs at once.
const maxRunning = 4

// NewRegistry returns a Registry; kinds are the jobs that it can run.
func NewRegistry(c Config, kinds map[string]Kind) *Registry {
	if c.ClaimDuration == 0 {
		c.ClaimDuration = 15 * time.Second
	}
	if c.ScanInterval == 0 {
		c.ScanInterval = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	r := &Registry{config: c, kinds: kinds, wake: make(chan struct{}, 1), held: map[int64]bool{}}
	var random [8]byte
	binary.BigEndian.PutUint64(random[:], rand.Uint64())
	r.claimant = hex.EncodeToString(random[:])
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Start looks for jobs, and does so again when it is woken and now and then.
func (r *Registry) Start(context.Context) error {
	r.done.Go(r.loop)
	return nil
}

// Close stops the jobs and waits for them. They are resumed elsewhere, or by
// the next process.
func (r *Registry) Close() {
	r.cancel()
	r.done.Wait()
}

// Wake makes the registry look for jobs now.
func (r *Registry) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Create stores a job in a transaction; it is run once that has committed. The
// caller wakes the registry then.
func (r *Registry) Create(ctx context.Context, t *txn.Txn, kind string, payload any) (int64, error) {
	return r.create(ctx, t, kind, payload, false)
}

// CreateHeld stores a job that this process keeps for itself: it is run only
// when Release is called or the process dies. Whoever finishes it otherwise
// calls Finish in the transaction that makes it needless.
func (r *Registry) CreateHeld(ctx context.Context, t *txn.Txn, kind string, payload any) (int64, error) {
	return r.create(ctx, t, kind, payload, true)
}

func (r *Registry) create(ctx context.Context, t *txn.Txn, kind string, payload any, hold bool) (int64, error) {
	if r.kinds[kind] == nil {
		return 0, pgerror.Newf(pgerror.Internal, "there are no jobs of the kind %q", kind)
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return 0, err
	}
	now := r.config.DB.Clock().PhysicalNow()
	// Milliseconds and a random number: ids rise with time and never meet.
	id := now/1e6<<20 | int64(rand.Uint32N(1<<20))
	j := record{ID: id, Kind: kind, Payload: body, Created: time.Unix(0, now).UTC()}
	if hold {
		j.Claimant, j.Node, j.Expiration = r.claimant, int32(r.config.Node), now+int64(r.config.ClaimDuration)
	}
	if err := put(ctx, t, &j); err != nil {
		return 0, err
	}
	if hold {
		r.mu.Lock()
		r.held[id] = true
		r.mu.Unlock()
		r.Wake() // to keep the claim alive
	}
	return id, nil
}

// Finish deletes a held job in a transaction.
func (r *Registry) Finish(ctx context.Context, t *txn.Txn, id int64) error {
	_, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Delete, Key: key(id)}}})
	return err
}

// Release stops holding a job: if it is still there it is run.
func (r *Registry) Release(ctx context.Context, id int64) {
	r.mu.Lock()
	delete(r.held, id)
	r.mu.Unlock()
	err := r.update(ctx, id, func(j *record) bool {
		if j.Claimant != r.claimant {
			return false
		}
		j.Claimant, j.Expiration = "", 0
		return true
	})
	if err != nil {
		r.config.Logger.Warn("releasing a job failed; it is run when its claim expires", "job", id, "error", err)
	}
	r.Wake()
}

// Save stores the job's progress. It fails if another node has the job by now.
func (j *Job) Save(ctx context.Context, progress any) error {
	body, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	lost := true
	err = j.registry.update(ctx, j.ID, func(stored *record) bool {
		lost = stored.Claimant != j.registry.claimant
		stored.Progress = body
		stored.Expiration = j.registry.expiration()
		return !lost
	})
	if err == nil && lost {
		err = pgerror.New(pgerror.Internal, "the job was taken over by another node")
	}
	if err == nil {
		j.Progress = body
	}
	return err
}

func (r *Registry) expiration() int64 {
	return r.config.DB.Clock().PhysicalNow() + int64(r.config.ClaimDuration)
}

// loop claims jobs and keeps the claims alive.
func (r *Registry) loop() {
	scan := time.NewTimer(0)
	defer scan.Stop()
	beat := time.NewTicker(r.config.ClaimDuration / 3)
	defer beat.Stop()
	slots := make(chan struct{}, maxRunning)
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-beat.C:
			r.extendClaims()
			continue
		case <-r.wake:
		case <-scan.C:
		}
		next := r.config.ScanInterval
		if err := r.claimAll(slots); err != nil && r.ctx.Err() == nil {
			r.config.Logger.Warn("looking for jobs failed", "error", err)
			next = time.Second
		}
		scan.Reset(next)
	}
}

func (r *Registry) extendClaims() {
	r.mu.Lock()
	ids := make([]int64, 0, len(r.held))
	for id := range r.held {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		err := r.update(r.ctx, id, func(j *record) bool {
			j.Expiration = r.expiration()
			return j.Claimant == r.claimant
		})
		if err != nil && r.ctx.Err() == nil {
			r.config.Logger.Warn("keeping a job failed", "job", id, "error", err)
		}
	}
}

// claimAll starts what nobody runs, as far as there are slots.
func (r *Registry) claimAll(slots chan struct{}) error {
	var found []record
	err := r.config.DB.Run(r.ctx, txn.Options{Name: "find jobs", ReadOnly: true}, func(ctx context.Context, t *txn.Txn) error {
		found = found[:0]
		responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: keys.JobPrefix, EndKey: keys.PrefixEnd(keys.JobPrefix)}}})
		if err != nil {
			return err
		}
		for _, row := range responses[0].Rows {
			var j record
			if err := json.Unmarshal(row.Value, &j); err != nil {
				r.config.Logger.Error("a stored job is damaged", "key", hex.EncodeToString(row.Key), "error", err)
				continue
			}
			found = append(found, j)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, j := range found {
		r.mu.Lock()
		own := r.held[j.ID]
		r.mu.Unlock()
		kind := r.kinds[j.Kind]
		if own || kind == nil || j.Expiration > r.config.DB.Clock().PhysicalNow() {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			return nil // a job that ends wakes the loop
		}
		claimed := false
		err := r.update(r.ctx, j.ID, func(stored *record) bool {
			claimed = stored.Expiration <= r.config.DB.Clock().PhysicalNow()
			stored.Claimant, stored.Node, stored.Expiration = r.claimant, int32(r.config.Node), r.expiration()
			stored.Attempts++
			j = *stored
			return claimed
		})
		if err != nil || !claimed {
			<-slots
			if err != nil {
				return err
			}
			continue
		}
		r.mu.Lock()
		r.held[j.ID] = true
		r.mu.Unlock()
		r.done.Go(func() {
			r.run(kind, j)
			<-slots
			r.Wake()
		})
	}
	return nil
}

// run runs a claimed job and deletes it, or leaves it for later.
func (r *Registry) run(kind Kind, j record) {
	logger := r.config.Logger.With("job", j.ID, "kind", j.Kind)
	err := kind(r.ctx, &Job{ID: j.ID, Payload: j.Payload, Progress: j.Progress, registry: r})
	r.mu.Lock()
	delete(r.held, j.ID)
	r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	if err == nil || errors.Is(err, ErrGivenUp) {
		if err != nil {
			logger.Error("a job was given up", "error", err)
		}
		err = r.config.DB.Run(r.ctx, txn.Options{Name: "finish job"}, func(ctx context.Context, t *txn.Txn) error { return r.Finish(ctx, t, j.ID) })
		if err != nil {
			logger.Warn("a finished job is run again", "error", err)
		}
		return
	}
	pause := min(time.Second<<min(j.Attempts, 6), time.Minute)
	logger.Warn("a job failed and is tried again", "error", err, "pause", pause)
	err = r.update(r.ctx, j.ID, func(stored *record) bool {
		stored.Error, stored.Claimant = err.Error(), ""
		stored.Expiration = r.config.DB.Clock().PhysicalNow() + int64(pause)
		return true
	})
	if err != nil {
		logger.Warn("storing a job's failure failed", "error", err)
	}
	time.AfterFunc(pause, r.Wake)
}

// update changes a stored job; change returns whether to store it. It is not
// called where the job is gone.
func (r *Registry) update(ctx context.Context, id int64, change func(*record) bool) error {
	return r.config.DB.Run(ctx, txn.Options{Name: "job"}, func(ctx context.Context, t *txn.Txn) error {
		responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: key(id), Lock: kvpb.LockUpdate}}})
		if err != nil || responses[0].Value == nil {
			return err
		}
		var j record
		if err := json.Unmarshal(responses[0].Value, &j); err != nil {
			return err
		}
		if !change(&j) {
			return nil
		}
		return put(ctx, t, &j)
	})
}

func put(ctx context.Context, t *txn.Txn, j *record) error {
	value, err := json.Marshal(j)
	if err != nil {
		return err
	}
	_, err = t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: key(j.ID), Value: value}}})
	return err
}
