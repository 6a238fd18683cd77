package catalog

import (
	"context"

	"github.com/cairndb/cairn/kv"
)

// SequenceState is what one session knows of sequences: values that it has
// reserved (CACHE), what it gave out last. Its functions are those of
// PostgreSQL's nextval, currval, lastval and setval; they are not
// transactional.
type SequenceState struct{ sender kv.Sender }

// NewSequenceState returns the state of a new session; s is the database's
// non-transactional sender.
func NewSequenceState(s kv.Sender) *SequenceState { return &SequenceState{sender: s} }

// Next is nextval: 2200H past the end.
func (s *SequenceState) Next(ctx context.Context, q *Sequence) (int64, error) {
	return 0, errUnfinished
}

// Current is currval: 55000 before the first Next.
func (s *SequenceState) Current(q *Sequence) (int64, error) { return 0, errUnfinished }

// Last is lastval: 55000 before the first Next.
func (s *SequenceState) Last() (int64, error) { return 0, errUnfinished }

// Set is setval: 22003 out of bounds.
func (s *SequenceState) Set(ctx context.Context, q *Sequence, value int64, called bool) error {
	return errUnfinished
}

// Stored returns the value that was given out last by any session, false if
// none was.
func (s *SequenceState) Stored(ctx context.Context, q *Sequence) (value int64, called bool, err error) {
	return 0, false, errUnfinished
}

// Discard is DISCARD SEQUENCES.
func (s *SequenceState) Discard() {}
