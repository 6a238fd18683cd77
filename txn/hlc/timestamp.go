package hlc

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Timestamp is a point in hybrid logical time. WallTime counts nanoseconds
// since the Unix epoch; Logical orders events that share a WallTime. The zero
// Timestamp is "no timestamp" and sorts before every other.
type Timestamp struct {
	WallTime int64
	Logical  int32
}

// MaxTimestamp sorts after every timestamp that a clock can produce.
var MaxTimestamp = Timestamp{WallTime: math.MaxInt64, Logical: math.MaxInt32}

// IsEmpty reports whether t is the zero Timestamp.
func (t Timestamp) IsEmpty() bool { return t == Timestamp{} }

// Compare returns -1, 0 or 1 as t is before, equal to or after u.
func (t Timestamp) Compare(u Timestamp) int {
	if c := cmp.Compare(t.WallTime, u.WallTime); c != 0 {
		return c
	}
	return cmp.Compare(t.Logical, u.Logical)
}

// Less reports whether t is before u.
func (t Timestamp) Less(u Timestamp) bool {
	return t.WallTime < u.WallTime || t.WallTime == u.WallTime && t.Logical < u.Logical
}

// LessEq reports whether t is before or equal to u.
func (t Timestamp) LessEq(u Timestamp) bool { return !u.Less(t) }

// Next returns the smallest Timestamp after t.
func (t Timestamp) Next() Timestamp {
	if t.Logical == math.MaxInt32 {
		return Timestamp{WallTime: t.WallTime + 1}
	}
	return Timestamp{WallTime: t.WallTime, Logical: t.Logical + 1}
}

// Prev returns the largest Timestamp before t. The zero Timestamp has none;
// asking for it is a broken invariant.
func (t Timestamp) Prev() Timestamp {
	switch {
	case t.Logical > 0:
		return Timestamp{WallTime: t.WallTime, Logical: t.Logical - 1}
	case t.WallTime > 0:
		return Timestamp{WallTime: t.WallTime - 1, Logical: math.MaxInt32}
	default:
		panic("hlc: no timestamp before zero")
	}
}

// Add returns t moved by d, with the logical part kept.
func (t Timestamp) Add(d time.Duration) Timestamp {
	return Timestamp{WallTime: t.WallTime + int64(d), Logical: t.Logical}
}

// Max returns the later of t and u.
func (t Timestamp) Max(u Timestamp) Timestamp {
	if t.Less(u) {
		return u
	}
	return t
}

// Min returns the earlier of t and u.
func (t Timestamp) Min(u Timestamp) Timestamp {
	if u.Less(t) {
		return u
	}
	return t
}

// Time returns the wall time of t, in UTC.
func (t Timestamp) Time() time.Time { return time.Unix(0, t.WallTime).UTC() }

// String writes t as seconds.nanoseconds,logical.
func (t Timestamp) String() string {
	return fmt.Sprintf("%d.%09d,%d", t.WallTime/1e9, t.WallTime%1e9, t.Logical)
}
