package schemachange

import (
	"context"
	"encoding/json"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/jobs"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// The kinds of jobs. Their names are persisted.
const (
	clearJob = "clear"
	undoJob  = "undo index"
)

// clearPayload is the spans of keys whose data is to be deleted: of dropped
// tables, indexes, and of builds that were given up.
type clearPayload struct {
	Spans []clearSpan `json:"spans"`
}

type clearSpan struct {
	Key    []byte `json:"key"`
	EndKey []byte `json:"endKey"`
}

func (p *clearPayload) addIndex(table catalog.ID, index catalog.IndexID) {
	s := prefixOf(table, index)
	p.Spans = append(p.Spans, clearSpan{s.Key, s.EndKey})
}

func (p *clearPayload) addTable(table catalog.ID) {
	k := keys.Table(uint32(table))
	p.Spans = append(p.Spans, clearSpan{k, keys.PrefixEnd(k)})
}

// undoPayload is an index that is being built online.
type undoPayload struct {
	Table catalog.ID      `json:"table"`
	Index catalog.IndexID `json:"index"`
}

// jobKinds are the jobs of schema changes.
func jobKinds(db *txn.DB, m *catalog.Manager) map[string]jobs.Kind {
	return map[string]jobs.Kind{
		clearJob: func(ctx context.Context, j *jobs.Job) error {
			var p clearPayload
			if err := json.Unmarshal(j.Payload, &p); err != nil {
				return jobs.ErrGivenUp
			}
			return clearSpans(ctx, db, j, p)
		},
		undoJob: func(ctx context.Context, j *jobs.Job) error {
			var p undoPayload
			if err := json.Unmarshal(j.Payload, &p); err != nil {
				return jobs.ErrGivenUp
			}
			return undoIndex(ctx, db, m, j, p)
		},
	}
}

// clearProgress is how far a clear job is.
type clearProgress struct {
	Span int    `json:"span"`
	Key  []byte `json:"key"` // where to go on in it; nil: at its beginning
}

// clearRows is how many keys are deleted at once.
const clearRows = 5000

// clearSpans deletes all data in spans, chunk by chunk.
func clearSpans(ctx context.Context, db *txn.DB, j *jobs.Job, p clearPayload) error {
	var progress clearProgress
	if j.Progress != nil {
		if err := json.Unmarshal(j.Progress, &progress); err != nil {
			return err
		}
	}
	sender := db.NonTransactional()
	for chunks := 1; progress.Span < len(p.Spans); chunks++ {
		s := p.Spans[progress.Span]
		if progress.Key == nil {
			progress.Key = s.Key
		}
		response, err := sender.Send(ctx, &kvpb.BatchRequest{
			Header:   kvpb.Header{MaxKeys: clearRows},
			Requests: []kvpb.Request{{Kind: kvpb.DeleteRange, Key: progress.Key, EndKey: s.EndKey}},
		})
		if err != nil {
			return err
		}
		if resume := response.Responses[0].Resume; resume != nil {
			progress.Key = resume.Key
		} else {
			progress = clearProgress{Span: progress.Span + 1}
		}
		if chunks%20 == 0 {
			if err := j.Save(ctx, progress); err != nil {
				return err
			}
		}
	}
	return nil
}

// undoIndex removes an index whose build did not become part of a committed
// transaction.
func undoIndex(ctx context.Context, db *txn.DB, m *catalog.Manager, j *jobs.Job, p undoPayload) error {
	var version catalog.Version
	public := false
	err := m.Run(ctx, "undo index", catalog.Names{}, func(ctx context.Context, x *catalog.Transaction) error {
		version, public = 0, false
		t, err := x.Reload(ctx, p.Table)
		if err != nil || t == nil {
			return err
		}
		t = catalog.Clone(t)
		for i := range t.Indexes {
			if ix := &t.Indexes[i]; ix.ID == p.Index {
				if ix.State == catalog.Public {
					public = true
					return nil
				}
				t.Indexes = append(t.Indexes[:i], t.Indexes[i+1:]...)
				break
			}
		}
		version = t.Version + 1
		return x.WriteBeside(ctx, t)
	})
	if err != nil || public {
		return err
	}
	if version != 0 {
		if err := m.WaitForVersion(ctx, p.Table, version); err != nil {
			return err
		}
	}
	var spans clearPayload
	spans.addIndex(p.Table, p.Index)
	return clearSpans(ctx, db, j, spans)
}

// clearLater has data deleted once the transaction has committed.
func (env *Env) clearLater(ctx context.Context, p clearPayload) error {
	if len(p.Spans) == 0 {
		return nil
	}
	if env.Jobs == nil {
		return pgerror.New(pgerror.Internal, "there is no job registry")
	}
	if _, err := env.Jobs.Create(ctx, env.Txn, clearJob, p); err != nil {
		return err
	}
	env.Catalog.OnCommit(func(context.Context) { env.Jobs.Wake() })
	return nil
}
