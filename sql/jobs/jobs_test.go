package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/jobs"
	"github.com/cairndb/cairn/test/onestore"
	"github.com/cairndb/cairn/txn"
)

// runs are the jobs as they were run: which process, with what progress.
type run struct {
	process  kvpb.NodeID
	id       int64
	progress string
}

type processes struct {
	t     *testing.T
	store *onestore.Store
	runs  chan run
	// result is what a run does after it was noted.
	result func(ctx context.Context, r run, j *jobs.Job) error
}

func newProcesses(t *testing.T) *processes {
	return &processes{t: t, store: onestore.Open(t), runs: make(chan run, 100),
		result: func(context.Context, run, *jobs.Job) error { return nil }}
}

func (p *processes) start(process kvpb.NodeID) (*jobs.Registry, *txn.DB) {
	db := p.store.DB(p.t, process)
	r := jobs.NewRegistry(jobs.Config{DB: db, Node: process, Logger: slog.New(slog.DiscardHandler), ClaimDuration: 300 * time.Millisecond, ScanInterval: 20 * time.Millisecond},
		map[string]jobs.Kind{"work": func(ctx context.Context, j *jobs.Job) error {
			this := run{process, j.ID, string(j.Progress)}
			p.runs <- this
			return p.result(ctx, this, j)
		}})
	if err := r.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(r.Close)
	return r, db
}

func (p *processes) create(db *txn.DB, create func(context.Context, *txn.Txn) error) {
	p.t.Helper()
	if err := db.Run(p.t.Context(), txn.Options{}, create); err != nil {
		p.t.Fatal(err)
	}
}

func TestAJobRunsOnceItsTransactionHasCommitted(t *testing.T) {
	p := newProcesses(t)
	r, db := p.start(1)
	x := db.Begin(txn.Options{})
	if _, err := r.Create(t.Context(), x, "work", "rolled back"); err != nil {
		t.Fatal(err)
	}
	if err := x.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id int64
	p.create(db, func(ctx context.Context, x *txn.Txn) (err error) {
		id, err = r.Create(ctx, x, "work", "committed")
		return err
	})
	r.Wake()
	if got := <-p.runs; got.id != id {
		t.Errorf("job %d was run, want %d", got.id, id)
	}
}

func TestAFailedJobIsRunAgainFromItsProgress(t *testing.T) {
	p := newProcesses(t)
	p.result = func(ctx context.Context, r run, j *jobs.Job) error {
		if r.progress != "" {
			return nil
		}
		if err := j.Save(ctx, "half"); err != nil {
			return err
		}
		return errors.New("not today")
	}
	r, db := p.start(1)
	p.create(db, func(ctx context.Context, x *txn.Txn) error {
		_, err := r.Create(ctx, x, "work", nil)
		return err
	})
	r.Wake()
	if first, second := <-p.runs, <-p.runs; first.progress != "" || second.progress != `"half"` {
		t.Errorf("runs began with %q and %q", first.progress, second.progress)
	}
}

func TestAHeldJobRunsWhenItIsReleasedOrItsProcessDies(t *testing.T) {
	p := newProcesses(t)
	first, db := p.start(1)
	hold := func() (id int64) {
		p.create(db, func(ctx context.Context, x *txn.Txn) (err error) {
			id, err = first.CreateHeld(ctx, x, "work", json.RawMessage("1"))
			return err
		})
		return id
	}
	released, kept := hold(), hold()
	p.start(2)
	// The claims are kept alive for longer than they last by themselves.
	select {
	case r := <-p.runs:
		t.Fatalf("process %d ran job %d, which is held", r.process, r.id)
	case <-time.After(time.Second):
	}
	first.Release(t.Context(), released)
	if got := <-p.runs; got.id != released {
		t.Errorf("job %d was run, want %d", got.id, released)
	}
	first.Close()
	if got := <-p.runs; got.id != kept || got.process != 2 {
		t.Errorf("process %d ran job %d, want 2 and %d", got.process, got.id, kept)
	}
}

func TestAFinishedHeldJobNeverRuns(t *testing.T) {
	p := newProcesses(t)
	r, db := p.start(1)
	var id, next int64
	p.create(db, func(ctx context.Context, x *txn.Txn) (err error) {
		id, err = r.CreateHeld(ctx, x, "work", nil)
		return err
	})
	p.create(db, func(ctx context.Context, x *txn.Txn) error { return r.Finish(ctx, x, id) })
	r.Release(t.Context(), id)
	p.create(db, func(ctx context.Context, x *txn.Txn) (err error) {
		next, err = r.Create(ctx, x, "work", nil)
		return err
	})
	r.Wake()
	if got := <-p.runs; got.id != next {
		t.Errorf("job %d was run, want %d", got.id, next)
	}
}
