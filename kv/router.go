package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// RouterConfig is what a Router stands on.
type RouterConfig struct {
	Node  kvpb.NodeID
	Local Sender // this node's kv/server; may be set later with SetLocal
	// Remote returns the sender of another node, false if it isn't known.
	Remote func(kvpb.NodeID) (Sender, bool)
	// FirstRange returns the best known descriptor of the range that holds the
	// directory of ranges.
	FirstRange func() (kvpb.RangeDescriptor, bool)
	Clock      *hlc.Clock
	Logger     *slog.Logger // nil: none
	// Patience is how long a batch is tried again while its range is
	// unavailable; 0: 30 s.
	Patience time.Duration
}

// Router is a Sender that brings each batch to the leaseholders of the ranges
// that its keys lie in. It tries again by itself where nothing can have
// happened: another replica holds the lease, the range was split or has moved,
// a node can't be reached, the range has no leader for a moment.
//
// Errors, besides what the replicas say (*kvpb.Error): *kvpb.Error with
// *kvpb.UnavailableError when patience is exhausted, with
// *kvpb.AmbiguousResultError when a write that must not be repeated was lost on
// its way, or the context's.
type Router struct {
	config RouterConfig
	local  atomic.Pointer[Sender]
	cache  *rangeCache
}

// NewRouter returns a router that knows no range yet.
func NewRouter(c RouterConfig) *Router {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	r := &Router{config: c, cache: newRangeCache()}
	if c.Local != nil {
		r.SetLocal(c.Local)
	}
	return r
}

// SetLocal says who serves the ranges of this node.
func (r *Router) SetLocal(s Sender) { r.local.Store(&s) }

// Learn takes in news about ranges from elsewhere.
func (r *Router) Learn(infos ...kvpb.RangeInfo) {
	for _, info := range infos {
		r.cache.insert(info)
	}
}

// errDivideAgain: the range does not hold all the keys of the batch any more;
// nothing took effect.
var errDivideAgain = errors.New("the range has changed")

// find returns the range that holds key.
func (r *Router) find(ctx context.Context, key []byte) (*cachedRange, error) {
	if known := r.cache.lookup(key); known != nil {
		return known, nil
	}
	first, ok := r.config.FirstRange()
	if !ok {
		return nil, &kvpb.UnavailableError{Cause: "this node has not heard yet where the first range is"}
	}
	if first.Contains(key) {
		if known := r.cache.insert(kvpb.RangeInfo{Descriptor: first}); known != nil {
			return known, nil
		}
		if string(key) < string(keys.MetaMax) {
			return &cachedRange{descriptor: first}, nil
		}
		// The descriptor is from before a split; the directory knows better.
	}
	response, err := r.Send(ctx, &kvpb.BatchRequest{
		Header: kvpb.Header{MaxKeys: 16},
		Requests: []kvpb.Request{{
			Kind: kvpb.Scan, Key: keys.Meta(keys.Next(key)), EndKey: keys.MetaMax,
		}},
	})
	if err != nil {
		return nil, err
	}
	var found *cachedRange
	for i, row := range response.Responses[0].Rows {
		var d kvpb.RangeDescriptor
		if err := d.Unmarshal(row.Value); err != nil {
			return nil, fmt.Errorf("directory entry %x: %w", row.Key, err)
		}
		known := r.cache.insert(kvpb.RangeInfo{Descriptor: d})
		if d.Contains(key) && found == nil {
			if found = known; found == nil {
				// Something newer is known of a part of it; whoever we ask there
				// knows the rest.
				found = &cachedRange{descriptor: d}
			}
		} else if i == 0 {
			r.config.Logger.Debug("the directory has a gap", "key", fmt.Sprintf("%x", key))
		}
	}
	if found == nil {
		return nil, &kvpb.UnavailableError{Cause: fmt.Sprintf("no range is known to hold key %x", key)}
	}
	return found, nil
}

// backoff spaces attempts.
type backoff struct {
	wait time.Duration
	end  time.Time
}

func (r *Router) newBackoff() backoff { return backoff{} }

// maxPause is the mean of the pauses once there were a few: a client waits that
// much longer than a range is unavailable.
const maxPause = 150 * time.Millisecond

// pause waits before the next attempt; it fails when ctx or patience ends.
func (r *Router) pause(ctx context.Context, b *backoff, cause error) error {
	now := time.Now()
	if b.end.IsZero() {
		b.end, b.wait = now.Add(r.config.Patience), 5*time.Millisecond
	}
	if now.After(b.end) {
		return r.unavailable(cause)
	}
	timer := time.NewTimer(b.wait/2 + rand.N(b.wait))
	defer timer.Stop()
	b.wait = min(2*b.wait, maxPause)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Router) unavailable(cause error) error {
	if e, ok := errors.AsType[*kvpb.UnavailableError](cause); ok {
		return &kvpb.Error{Detail: e, Index: -1, Now: r.config.Clock.Now()}
	}
	return &kvpb.Error{Detail: &kvpb.UnavailableError{Cause: cause.Error()}, Index: -1, Now: r.config.Clock.Now()}
}

// attempts is the order in which a range's replicas are asked.
type attempts struct {
	replicas []kvpb.ReplicaDescriptor
	tried    int
}

func (r *Router) order(known *cachedRange) attempts {
	var a attempts
	add := func(d kvpb.ReplicaDescriptor) {
		for _, have := range a.replicas {
			if have.Store == d.Store {
				return
			}
		}
		a.replicas = append(a.replicas, d)
	}
	if known.leaseholder.Store != 0 {
		add(known.leaseholder)
	}
	for _, d := range known.descriptor.Replicas {
		if d.Node == r.config.Node && d.Type != kvpb.Learner {
			add(d)
		}
	}
	for _, d := range known.descriptor.Replicas {
		if d.Type != kvpb.Learner {
			add(d)
		}
	}
	return a
}

func (a *attempts) next() (kvpb.ReplicaDescriptor, bool) {
	if a.tried == len(a.replicas) {
		return kvpb.ReplicaDescriptor{}, false
	}
	a.tried++
	return a.replicas[a.tried-1], true
}

// prefer makes d the next to be asked; false if it was asked already.
func (a *attempts) prefer(d kvpb.ReplicaDescriptor) bool {
	for i, have := range a.replicas {
		if have.Store != d.Store {
			continue
		}
		if i < a.tried {
			return false
		}
		a.replicas[i], a.replicas[a.tried] = a.replicas[a.tried], a.replicas[i]
		return true
	}
	a.replicas = append(a.replicas, d)
	last := len(a.replicas) - 1
	a.replicas[last], a.replicas[a.tried] = a.replicas[a.tried], a.replicas[last]
	return true
}

// notSent is implemented by errors of senders that say that nothing was sent.
type notSent interface{ NotSent() bool }

var errUnknownNode = &kvpb.UnavailableError{Cause: "the node of the replica is not known"}

// sendTo sends to one replica's node. sent is false if nothing can have arrived.
func (r *Router) sendTo(ctx context.Context, d kvpb.ReplicaDescriptor, b *kvpb.BatchRequest) (response *kvpb.BatchResponse, sent bool, err error) {
	var to Sender
	if d.Node == r.config.Node {
		if local := r.local.Load(); local != nil {
			to = *local
		}
	} else if remote, ok := r.config.Remote(d.Node); ok {
		to = remote
	}
	if to == nil {
		return nil, false, errUnknownNode
	}
	response, err = to.Send(ctx, b)
	if n, ok := errors.AsType[interface {
		error
		notSent
	}](err); ok && n.NotSent() {
		return nil, false, err
	}
	return response, true, err
}

// sendToRange brings a batch, all of whose keys lie in a range, to the range's
// leaseholder.
func (r *Router) sendToRange(ctx context.Context, b *kvpb.BatchRequest, known *cachedRange, pauses *backoff) (*kvpb.BatchResponse, error) {
	routed := *b
	routed.Range, routed.Generation = known.descriptor.Range, known.descriptor.Generation
	if routed.Gateway == 0 {
		routed.Gateway = r.config.Node
	}
	order := r.order(known)
	var last error
	for {
		replica, more := order.next()
		if !more {
			// Everybody refused: the range may have moved away altogether.
			r.cache.evict(known)
			if err := r.pause(ctx, pauses, last); err != nil {
				return nil, err
			}
			return nil, errDivideAgain
		}
		response, sent, err := r.sendTo(ctx, replica, &routed)
		if err == nil {
			r.config.Clock.Update(response.Now)
			r.Learn(response.Ranges...)
			if known.leaseholder.Store != replica.Store {
				r.cache.setLeaseholder(known, replica)
			}
			return response, nil
		}
		last = err
		if detail, ok := errors.AsType[*kvpb.Error](err); ok {
			r.config.Clock.Update(detail.Now)
			if err := r.refused(ctx, detail, &routed, known, &order, pauses); err != nil {
				return nil, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err // a canceled batch is unavailable everywhere
			}
			continue
		}
		if !sent {
			if known.leaseholder.Store == replica.Store {
				known = r.cache.setLeaseholder(known, kvpb.ReplicaDescriptor{})
			}
			continue
		}
		if !repeatable(&routed) {
			return nil, r.ambiguous(err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if known.leaseholder.Store == replica.Store {
			known = r.cache.setLeaseholder(known, kvpb.ReplicaDescriptor{})
		}
	}
}

// refused decides what to do about what a replica said: nil to ask the next
// one of order.
func (r *Router) refused(ctx context.Context, e *kvpb.Error, b *kvpb.BatchRequest, known *cachedRange, order *attempts, pauses *backoff) error {
	switch detail := e.Detail.(type) {
	case *kvpb.NotLeaseholderError:
		// If the range has changed, its leaseholder knows what has become of the
		// keys.
		r.Learn(kvpb.RangeInfo{Descriptor: detail.Descriptor, Leaseholder: detail.Leaseholder})
		if detail.Leaseholder.Store != 0 && order.prefer(detail.Leaseholder) {
			r.cache.setLeaseholder(known, detail.Leaseholder)
		}
		return nil
	case *kvpb.RangeNotFoundError:
		return nil
	case *kvpb.RangeKeyMismatchError:
		r.cache.evict(known)
		r.Learn(detail.Ranges...)
		if err := r.pauseAfterMove(ctx, pauses, detail); err != nil {
			return err
		}
		return errDivideAgain
	case *kvpb.UnavailableError:
		return nil
	case *kvpb.AmbiguousResultError:
		if !repeatable(b) {
			return e
		}
		return nil
	default:
		return e
	}
}

// pauseAfterMove lets the first few corrections pass at once.
func (r *Router) pauseAfterMove(ctx context.Context, pauses *backoff, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if pauses.end.IsZero() {
		pauses.end, pauses.wait = time.Now().Add(r.config.Patience), time.Millisecond
		return nil
	}
	return r.pause(ctx, pauses, cause)
}

func (r *Router) ambiguous(cause error) error {
	return &kvpb.Error{
		Detail: &kvpb.AmbiguousResultError{Cause: cause.Error()},
		Index:  -1,
		Now:    r.config.Clock.Now(),
	}
}

// repeatable reports whether a batch whose fate is unknown can be sent again:
// it writes nothing, or only what carries a sequence number of a transaction
// (a replica knows those again) or is of the protocol's own idempotent kinds.
func repeatable(b *kvpb.BatchRequest) bool {
	for i := range b.Requests {
		switch q := &b.Requests[i]; q.Kind {
		case kvpb.Put, kvpb.Delete:
			if b.Txn == nil {
				return false
			}
		case kvpb.ConditionalPut, kvpb.DeleteRange, kvpb.Increment, kvpb.AddTable:
			return false
		case kvpb.EndTxn:
			if q.EndTxn == nil || q.EndTxn.Commit {
				return false
			}
		}
	}
	return true
}
