package hlc

import (
	"errors"
	"testing"
	"time"
)

func TestClockNeverRunsBackwards(t *testing.T) {
	readings := []int64{10, 10, 5, 20}
	i := 0
	c := NewClock(func() int64 { r := readings[i]; i++; return r }, 0)
	want := []Timestamp{{10, 0}, {10, 1}, {10, 2}, {20, 0}}
	for _, w := range want {
		if got := c.Now(); got != w {
			t.Fatalf("got %v, want %v", got, w)
		}
	}
}

func TestUpdateMovesPastRemote(t *testing.T) {
	c := NewClock(func() int64 { return 10 }, 0)
	c.Update(Timestamp{WallTime: 100, Logical: 7})
	if got, want := c.Now(), (Timestamp{WallTime: 100, Logical: 8}); got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestUpdateAndCheckRefusesClocksBeyondTheBound(t *testing.T) {
	c := NewClock(func() int64 { return int64(time.Second) }, 500*time.Millisecond)
	if err := c.UpdateAndCheck(Timestamp{WallTime: int64(1500 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	err := c.UpdateAndCheck(Timestamp{WallTime: int64(1501 * time.Millisecond)})
	var offset *OffsetError
	if !errors.As(err, &offset) || offset.Ahead != 501*time.Millisecond {
		t.Fatalf("got %v", err)
	}
	if got := c.Now(); got.WallTime != int64(1500*time.Millisecond) {
		t.Fatalf("a refused reading moved the clock to %v", got)
	}
}

func TestPrevAndNextAreInverse(t *testing.T) {
	for _, ts := range []Timestamp{{1, 0}, {1, 5}, {7, 1<<31 - 1}} {
		if got := ts.Next().Prev(); got != ts {
			t.Errorf("%v.Next().Prev() = %v", ts, got)
		}
	}
}
