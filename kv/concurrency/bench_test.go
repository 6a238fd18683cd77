package concurrency

import (
	"context"
	"fmt"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// benchmarkRequest is a point read and write, as an UPDATE by key is.
func benchmarkRequest(i int) Request {
	key := fmt.Appendf(nil, "\x04table/%08d", i)
	ts := hlc.Timestamp{WallTime: 10}
	t := &kvpb.Transaction{TxnMeta: kvpb.TxnMeta{WriteTimestamp: ts}, ReadTimestamp: ts}
	t.ID[0], t.ID[1], t.ID[2] = byte(i), byte(i>>8), byte(i>>16)|0x80
	return Request{Txn: t, Timestamp: ts,
		Latches: []Latch{{Span: kvpb.Span{Key: key}, Write: true, Timestamp: ts}},
		Locks:   []LockAccess{{Span: kvpb.Span{Key: key}, Strength: kvpb.LockUpdate}}}
}

func BenchmarkUncontended(b *testing.B) {
	for _, held := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprintf("%d locks held", held), func(b *testing.B) {
			m := NewManager(Config{})
			for i := range held {
				r := benchmarkRequest(1_000_000 + i)
				m.LockAcquired(&r.Txn.TxnMeta, r.Latches[0].Span.Key, kvpb.LockUpdate, false)
			}
			r := benchmarkRequest(1)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				g, err := m.Sequence(ctx, nil, r)
				if err != nil {
					b.Fatal(err)
				}
				m.Finish(g)
			}
		})
	}
}

func BenchmarkUncontendedParallel(b *testing.B) {
	m := NewManager(Config{})
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := benchmarkRequest(1)
		r.Latches[0].Write = false
		r.Locks[0].Strength = kvpb.LockNone
		for pb.Next() {
			g, err := m.Sequence(ctx, nil, r)
			if err != nil {
				b.Error(err)
				return
			}
			m.Finish(g)
		}
	})
}

func BenchmarkLockAndRelease(b *testing.B) {
	m := NewManager(Config{})
	r := benchmarkRequest(1)
	args := &kvpb.ResolveArgs{Txn: r.Txn.TxnMeta, Status: kvpb.Committed}
	b.ReportAllocs()
	for b.Loop() {
		m.LockAcquired(&r.Txn.TxnMeta, r.Latches[0].Span.Key, kvpb.LockUpdate, false)
		m.LocksResolved(args, r.Latches[0].Span)
	}
}
