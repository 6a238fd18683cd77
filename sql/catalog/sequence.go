package catalog

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
)

// Key returns the key of the sequence's counter.
func (q *Sequence) Key() []byte { return keys.Index(uint32(q.ID), q.Counter) }

// RestartAt makes the next value of the sequence be value, once q is stored:
// it moves to a counter that nobody used.
func (q *Sequence) RestartAt(value int64) {
	q.Counter++
	q.Base = value - q.Increment
}

// counters carries out Increment and what else counters need: the database's
// non-transactional sender.
type counters interface {
	Send(context.Context, *kvpb.BatchRequest) (*kvpb.BatchResponse, error)
}

// SequenceState is what one session knows of sequences: values that it has
// reserved (CACHE), what it gave out last. Its functions are those of
// PostgreSQL's nextval, currval, lastval and setval; they are not
// transactional. It is not safe for concurrent use.
type SequenceState struct {
	sender counters
	cached map[ID]*reserved
	last   ID // the sequence of the last Next
}

// reserved are values of a sequence that only this session gives out: left
// ones from next on.
type reserved struct {
	version Version // of the sequence: another one voids them
	next    int64
	left    int64
	current int64
	defined bool // current is
}

// NewSequenceState returns the state of a new session; s is the database's
// non-transactional sender.
func NewSequenceState(s counters) *SequenceState {
	return &SequenceState{sender: s, cached: map[ID]*reserved{}}
}

// Next is nextval: 2200H past the end.
func (s *SequenceState) Next(ctx context.Context, q *Sequence) (int64, error) {
	r := s.cached[q.ID]
	if r == nil {
		r = &reserved{}
		s.cached[q.ID] = r
	}
	if r.left == 0 || r.version != q.Version {
		if err := s.reserve(ctx, q, r); err != nil {
			return 0, err
		}
	}
	r.current, r.defined = r.next, true
	r.left--
	if r.left > 0 {
		r.next += q.Increment
	}
	s.last = q.ID
	return r.current, nil
}

// reserve takes the next values for this session.
func (s *SequenceState) reserve(ctx context.Context, q *Sequence, r *reserved) error {
	r.version, r.left = q.Version, 0
	count := max(q.Cache, 1)
	if q.Cycle {
		return s.reserveCycling(ctx, q, r)
	}
	delta := q.Increment * count
	if count > math.MaxInt32 || delta/count != q.Increment {
		count, delta = 1, q.Increment
	}
	response, err := s.send(ctx, kvpb.Request{Kind: kvpb.Increment, Key: q.Key(), Delta: delta})
	if err != nil {
		return err
	}
	// The values are first, first+Increment, … ending with Base+counter, of
	// which those within the bounds are ours.
	last := q.Base + response.Int
	first := last - q.Increment*(count-1)
	if (q.Increment > 0) != (response.Int >= response.Int-delta) || outOfBounds(q, first) {
		// Give the step back, so that a raised maximum continues where it ended.
		if _, err := s.send(ctx, kvpb.Request{Kind: kvpb.Increment, Key: q.Key(), Delta: -delta}); err != nil {
			return err
		}
		return limitReached(q)
	}
	within := count
	for within > 1 && outOfBounds(q, first+q.Increment*(within-1)) {
		within--
	}
	if within < count {
		if _, err := s.send(ctx, kvpb.Request{Kind: kvpb.Increment, Key: q.Key(), Delta: -(q.Increment * (count - within))}); err != nil {
			return err
		}
	}
	r.next, r.left = first, within
	return nil
}

func outOfBounds(q *Sequence, v int64) bool { return v > q.Max || v < q.Min }

func limitReached(q *Sequence) error {
	if q.Increment > 0 {
		return pgerror.Newf(pgerror.SequenceLimitExceeded, "nextval: reached maximum value of sequence %q (%d)", q.Name, q.Max)
	}
	return pgerror.Newf(pgerror.SequenceLimitExceeded, "nextval: reached minimum value of sequence %q (%d)", q.Name, q.Min)
}

// reserveCycling takes one value of a sequence that begins again at its end:
// that takes a comparison, which an Increment has not.
func (s *SequenceState) reserveCycling(ctx context.Context, q *Sequence, r *reserved) error {
	for {
		response, err := s.send(ctx, kvpb.Request{Kind: kvpb.Get, Key: q.Key()})
		if err != nil {
			return err
		}
		value := q.Base + decodeCounter(response.Value) + q.Increment
		if outOfBounds(q, value) {
			if value = q.Min; q.Increment < 0 {
				value = q.Max
			}
		}
		_, err = s.send(ctx, kvpb.Request{Kind: kvpb.ConditionalPut, Key: q.Key(), Expected: response.Value, Value: encodeCounter(value - q.Base)})
		if err == nil {
			r.next, r.left = value, 1
			return nil
		}
		var failed *kvpb.ConditionFailedError
		if !errors.As(err, &failed) {
			return err
		}
	}
}

// Current is currval: 55000 before the first Next.
func (s *SequenceState) Current(q *Sequence) (int64, error) {
	if r := s.cached[q.ID]; r != nil && r.defined {
		return r.current, nil
	}
	return 0, pgerror.Newf(pgerror.ObjectNotInPrerequisiteState, "currval of sequence %q is not yet defined in this session", q.Name)
}

// Last is lastval: 55000 before the first Next.
func (s *SequenceState) Last() (int64, error) {
	if r := s.cached[s.last]; r != nil && r.defined {
		return r.current, nil
	}
	return 0, pgerror.New(pgerror.ObjectNotInPrerequisiteState, "lastval is not yet defined in this session")
}

// Set is setval: 22003 out of bounds.
func (s *SequenceState) Set(ctx context.Context, q *Sequence, value int64, called bool) error {
	if outOfBounds(q, value) {
		return pgerror.Newf(pgerror.NumericValueOutOfRange, "setval: value %d is out of bounds for sequence %q (%d..%d)", value, q.Name, q.Min, q.Max)
	}
	counter := value - q.Base
	if !called {
		counter -= q.Increment
	}
	if _, err := s.send(ctx, kvpb.Request{Kind: kvpb.Put, Key: q.Key(), Value: encodeCounter(counter)}); err != nil {
		return err
	}
	r := s.cached[q.ID]
	if r == nil {
		r = &reserved{}
		s.cached[q.ID] = r
	}
	r.left = 0
	if called {
		r.current, r.defined = value, true
	}
	return nil
}

// Stored returns the value that was given out last by any session, false if
// none was.
func (s *SequenceState) Stored(ctx context.Context, q *Sequence) (value int64, called bool, err error) {
	response, err := s.send(ctx, kvpb.Request{Kind: kvpb.Get, Key: q.Key()})
	if err != nil {
		return 0, false, err
	}
	counter := decodeCounter(response.Value)
	return q.Base + counter, counter != 0, nil
}

// Discard is DISCARD SEQUENCES.
func (s *SequenceState) Discard() { s.cached, s.last = map[ID]*reserved{}, 0 }

func (s *SequenceState) send(ctx context.Context, r kvpb.Request) (*kvpb.Response, error) {
	response, err := s.sender.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{r}})
	if err != nil {
		return nil, err
	}
	return &response.Responses[0], nil
}

func encodeCounter(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func decodeCounter(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}
