package exec

import (
	"sync/atomic"

	"github.com/cairndb/cairn/sql/pgerror"
)

// Memory is a budget in bytes: of a query, with those of its session and its
// node above it. It is safe for concurrent use.
type Memory struct {
	limit  int64
	parent *Memory
	used   atomic.Int64
	peak   atomic.Int64
}

// NewMemory returns a budget of limit bytes (0: no limit of its own) that is
// also taken from parent, unless that is nil.
func NewMemory(limit int64, parent *Memory) *Memory {
	return &Memory{limit: limit, parent: parent}
}

// Used returns how many bytes are taken, Peak how many were at most.
func (m *Memory) Used() int64 { return m.used.Load() }

// Peak returns the most bytes that were taken at a time.
func (m *Memory) Peak() int64 { return m.peak.Load() }

// Grow takes n bytes; 53200 where a limit forbids it, and then none is taken.
func (m *Memory) Grow(n int64) error {
	if m == nil || n == 0 {
		return nil
	}
	used := m.used.Add(n)
	if n > 0 && m.limit > 0 && used > m.limit {
		m.used.Add(-n)
		return pgerror.New(pgerror.OutOfMemory, "out of memory").
			WithDetail("The query needs more than its budget of %d bytes (failed on a request of %d bytes).", m.limit, n).
			WithHint("Raise --max-sql-memory, or make the query keep less: with a LIMIT, an index for its order, or fewer columns.")
	}
	if err := m.parent.Grow(n); err != nil {
		m.used.Add(-n)
		return err
	}
	if used > m.peak.Load() {
		m.peak.Store(used) // a race may lose a peak: it is for display
	}
	return nil
}

// Shrink gives n bytes back.
func (m *Memory) Shrink(n int64) {
	for ; m != nil; m = m.parent {
		m.used.Add(-n)
	}
}

// available returns how much more can be taken, or most if that is less.
func (m *Memory) available(most int64) int64 {
	for ; m != nil; m = m.parent {
		if m.limit > 0 {
			most = min(most, m.limit-m.used.Load())
		}
	}
	return max(most, 0)
}

// account is an operator's part of a query's memory.
type account struct {
	rt   *runtime
	used int64
}

func (a *account) grow(n int64) error {
	if err := a.rt.env.Memory.Grow(n); err != nil {
		return err
	}
	a.used += n
	return nil
}

// resize makes the account hold n bytes.
func (a *account) resize(n int64) error {
	if n > a.used {
		return a.grow(n - a.used)
	}
	a.rt.env.Memory.Shrink(a.used - n)
	a.used = n
	return nil
}

// release gives all back.
func (a *account) release() {
	if a.used != 0 {
		a.rt.env.Memory.Shrink(a.used)
		a.used = 0
	}
}
