// Package jobs carries out work that outlives its statement: the clean-up
// after schema changes, index builds.
//
//	schemachange → Create (in the statement's transaction) → record under keys.JobPrefix
//	                                                              ↓
//	Registry of any node: claims a record for a while → Resume of its kind → progress → done
//
// A job's work must be idempotent: another node resumes it from its last saved
// progress when its node dies.
package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
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
}

// Kind is the work of one kind of job. progress is what save stored last,
// payload what the job was created with.
type Kind interface {
	Resume(ctx context.Context, job int64, payload, progress json.RawMessage, save func(context.Context, json.RawMessage) error) error
}

// Registry runs jobs on a node.
type Registry struct{ config Config }

// NewRegistry returns a Registry; kinds are the jobs that it can run.
func NewRegistry(c Config, kinds map[string]Kind) *Registry { return &Registry{config: c} }

// Start looks for jobs, and does so again when it is woken and now and then.
func (r *Registry) Start(ctx context.Context) error { return nil }

// Close stops the jobs and waits for them.
func (r *Registry) Close() {}
