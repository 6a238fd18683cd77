package exec

import (
	"context"
	"errors"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// Sizes of what is asked for at a time.
const (
	firstPageRows = 256
	lastPageRows  = 16384
	pageBytes     = 4 << 20
	minPageBytes  = 64 << 10
	maxGets       = 1024
	maxScans      = 128
	maxKeptPage   = 256
)

// fetcher reads spans of keys in pages, in order. The account holds the last
// page's bytes.
type fetcher struct {
	rt      *runtime
	table   *catalog.Table // for messages
	reverse bool
	lock    opt.Locking
	// most is how many rows the next page may have; it grows from page to page.
	most    int64
	spans   []keySpan // what is left to read, in the order of reading
	origins []int32   // if set: for each span who wants it
	batch   txn.Batch
	page    []kvpb.KeyValue
	origin  []int32 // of the page's rows
	// borrowed: the page is a response's own slice.
	borrowed bool
	account  account
}

// start makes the fetcher read spans, which it takes over; first is how many
// rows are probably wanted, 0 if unknown.
func (f *fetcher) start(spans []keySpan, origins []int32, first int64) {
	f.spans, f.origins = spans, origins
	f.most = firstPageRows
	if first > 0 {
		f.most = min(first, lastPageRows)
	}
}

// next returns the next page, nil at the end. It is valid until the next call.
func (f *fetcher) next(ctx context.Context) ([]kvpb.KeyValue, error) {
	if f.borrowed {
		f.page, f.borrowed = nil, false
	}
	f.page, f.origin = f.page[:0], f.origin[:0]
	for len(f.spans) > 0 && len(f.page) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.fetch(ctx); err != nil {
			return nil, err
		}
	}
	return f.page, nil
}

// fetch sends for the first spans: keys or ranges, which are not mixed so that
// a bound can't let a later one overtake.
func (f *fetcher) fetch(ctx context.Context) error {
	f.batch.Requests = f.batch.Requests[:0]
	points := f.spans[0].end == nil
	limit := maxScans
	if points {
		limit = maxGets
	}
	for i := 0; i < len(f.spans) && i < limit && (f.spans[i].end == nil) == points; i++ {
		s := f.spans[i]
		r := kvpb.Request{Kind: kvpb.Scan, Lock: f.lock.Strength, Key: s.start, EndKey: s.end}
		switch {
		case points:
			r.Kind = kvpb.Get
		case f.reverse:
			r.Kind = kvpb.ReverseScan
		}
		f.batch.Requests = append(f.batch.Requests, r)
	}
	f.batch.Wait, f.batch.LockTimeout = f.lock.Wait, f.rt.env.LockTimeout
	f.batch.MaxKeys, f.batch.TargetBytes = 0, 0
	if !points || len(f.batch.Requests) > 1 {
		f.batch.TargetBytes = max(f.rt.env.Memory.available(4*pageBytes)/4, minPageBytes)
	}
	if !points {
		f.batch.MaxKeys = f.most
		f.most = min(4*f.most, lastPageRows)
	}
	responses, err := f.rt.env.Txn.Send(ctx, &f.batch)
	if err != nil {
		return lockError(err, f.table)
	}
	return f.take(responses)
}

// take collects the responses' rows and keeps what is left of their spans.
func (f *fetcher) take(responses []kvpb.Response) error {
	sent := len(responses)
	left := 0 // spans that are kept, moved to the end of those that were sent
	bytes := int64(0)
	for i := range responses {
		r := &responses[i]
		span := f.spans[i]
		if r.Resume != nil {
			rest := keySpan{start: r.Resume.Key}
			if len(r.Resume.EndKey) > 0 {
				rest.end = r.Resume.EndKey
			}
			f.spans[left] = rest
			if f.origins != nil {
				f.origins[left] = f.origins[i]
			}
			left++
		}
		origin := int32(i)
		if f.origins != nil {
			origin = f.origins[i]
		}
		if span.end == nil {
			if r.Value != nil {
				f.page = append(f.page, kvpb.KeyValue{Key: span.start, Value: r.Value, Timestamp: r.Timestamp})
				f.origin = append(f.origin, origin)
				bytes += int64(len(span.start) + len(r.Value))
			}
			continue
		}
		if sent == 1 && len(r.Rows) > maxKeptPage {
			f.page, f.borrowed = r.Rows, true
		} else {
			f.page = append(f.page, r.Rows...)
		}
		for range r.Rows {
			f.origin = append(f.origin, origin)
		}
		for k := range r.Rows {
			bytes += int64(len(r.Rows[k].Key) + len(r.Rows[k].Value))
		}
	}
	// What is left comes before the spans that were not sent.
	copy(f.spans[sent-left:], f.spans[:left])
	f.spans = f.spans[sent-left:]
	if f.origins != nil {
		copy(f.origins[sent-left:], f.origins[:left])
		f.origins = f.origins[sent-left:]
	}
	return f.account.resize(bytes)
}

func (f *fetcher) close() {
	f.spans, f.origins = nil, nil
	// Values are let go, small buffers are kept for the next time.
	if f.borrowed || cap(f.page) > maxKeptPage {
		f.borrowed = false
		f.page, f.origin, f.batch.Requests = nil, nil, nil
	}
	clear(f.page)
	clear(f.batch.Requests)
	f.page = f.page[:0]
	f.account.release()
}

// lockError words the failure to get a lock as PostgreSQL does.
func lockError(err error, t *catalog.Table) error {
	unavailable, ok := errors.AsType[*kvpb.LockNotAvailableError](err)
	if !ok {
		return err
	}
	if unavailable.Timeout > 0 {
		return pgerror.New(pgerror.LockNotAvailable, "canceling statement due to lock timeout")
	}
	return pgerror.Newf(pgerror.LockNotAvailable, "could not obtain lock on row in relation %q", t.Name)
}
