package raftstore

import (
	"testing"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

func TestLeasesAskedForBeforeOpeningAreOfAnEarlierLife(t *testing.T) {
	const offset = 50 * time.Millisecond
	opened := hlc.Timestamp{WallTime: int64(time.Hour)}
	r := &Replica{replicaID: 1, store: &Store{
		Config: Config{Clock: hlc.NewClock(func() int64 { return opened.WallTime }, offset)}, opened: opened}}
	for _, c := range []struct {
		proposer kvpb.ReplicaID
		asked    time.Duration // after opening
		want     bool
	}{
		{1, -time.Second, true},
		{1, 0, true},
		{1, 1, false},
		{2, -time.Second, true},
		{2, offset, true},
		{2, offset + 1, false},
	} {
		lease := &Lease{Expiration: opened.Add(c.asked + LeaseDuration)}
		if got := r.ofEarlierLife(&Command{proposer: c.proposer, lease: lease}); got != c.want {
			t.Errorf("asked for by %d, %s after opening: %t", c.proposer, c.asked, got)
		}
	}
}
