// Package hlc is the hybrid logical clock of a node: physical time that never
// runs backwards and that moves forward with every message received, so that
// causally related events have increasing timestamps (Kulkarni et al.,
// "Logical Physical Clocks and Consistent Snapshots in Globally Distributed
// Databases", 2014). Everyone may import it; it imports only the standard
// library.
package hlc

import (
	"fmt"
	"sync"
	"time"
)

// PhysicalClock returns nanoseconds since the Unix epoch. A node gets its
// physical clock from outside, so that tests and simulations own time.
type PhysicalClock func() int64

// SystemClock is the machine's wall clock.
func SystemClock() int64 { return time.Now().UnixNano() }

// Clock is a hybrid logical clock. It is safe for concurrent use.
type Clock struct {
	physical  PhysicalClock
	maxOffset time.Duration

	mu   sync.Mutex
	last Timestamp // guarded by mu; the latest timestamp given out or seen
}

// NewClock returns a clock over physical. maxOffset is the largest difference
// between two nodes' physical clocks at which the cluster's reads stay
// linearizable; zero switches the check of remote timestamps off.
func NewClock(physical PhysicalClock, maxOffset time.Duration) *Clock {
	return &Clock{physical: physical, maxOffset: maxOffset}
}

// MaxOffset returns the bound on clock differences that NewClock was given.
func (c *Clock) MaxOffset() time.Duration { return c.maxOffset }

// PhysicalNow returns the physical clock's reading in nanoseconds.
func (c *Clock) PhysicalNow() int64 { return c.physical() }

// Now returns a timestamp later than every timestamp that the clock gave out
// or was told of before.
func (c *Clock) Now() Timestamp {
	wall := c.physical()
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall > c.last.WallTime {
		c.last = Timestamp{WallTime: wall}
	} else {
		c.last = c.last.Next()
	}
	return c.last
}

// Update moves the clock past a timestamp received from another node, however
// far ahead it is. Use UpdateAndCheck for timestamps that come from a clock.
func (c *Clock) Update(remote Timestamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Less(remote) {
		c.last = remote
	}
}

// OffsetError says that a remote clock is further ahead than the bound allows.
type OffsetError struct {
	Remote Timestamp
	Ahead  time.Duration
	Bound  time.Duration
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("remote clock reads %s, %s ahead of this node's; the bound (--max-offset) is %s: check the time synchronization of both machines",
		e.Remote, e.Ahead, e.Bound)
}

// UpdateAndCheck is Update for a remote clock's reading: it refuses, with an
// *OffsetError and without moving the clock, a reading that is more than the
// maximum offset ahead of the physical clock.
func (c *Clock) UpdateAndCheck(remote Timestamp) error {
	if c.maxOffset > 0 {
		if ahead := time.Duration(remote.WallTime - c.physical()); ahead > c.maxOffset {
			return &OffsetError{Remote: remote, Ahead: ahead, Bound: c.maxOffset}
		}
	}
	c.Update(remote)
	return nil
}
