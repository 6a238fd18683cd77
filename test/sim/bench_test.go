package sim

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

// benchmarkCluster is one node with its disk in memory: what the layers
// between SQL and the disk cost.
func benchmarkCluster(b *testing.B) (context.Context, *simulation) {
	s := newSimulation(b, 1, 1)
	b.Cleanup(s.close)
	return context.Background(), s
}

func BenchmarkPointRead(b *testing.B) {
	ctx, s := benchmarkCluster(b)
	db := s.nodes[0].db
	x := db.Begin(txn.Options{})
	if err := put(ctx, x, "\x04key", make([]byte, 100)); err != nil {
		b.Fatal(err)
	}
	if err := x.Commit(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x := db.Begin(txn.Options{})
			_, err := x.Send(ctx, &txn.Batch{Commit: true, Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04key")}}})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkOnePutCommit(b *testing.B) {
	ctx, s := benchmarkCluster(b)
	db := s.nodes[0].db
	value := make([]byte, 100)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x := db.Begin(txn.Options{})
			_, err := x.Send(ctx, &txn.Batch{Commit: true, Requests: []kvpb.Request{
				{Kind: kvpb.Put, Key: fmt.Appendf(nil, "\x04key/%010d", next.Add(1)), Value: value}}})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReadModifyWrite is an UPDATE by key: a locking read, then the write
// with the commit.
func BenchmarkReadModifyWrite(b *testing.B) {
	ctx, s := benchmarkCluster(b)
	db := s.nodes[0].db
	value := make([]byte, 100)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := fmt.Appendf(nil, "\x04key/%010d", next.Add(1)%10_000)
			err := db.Run(ctx, txn.Options{}, func(ctx context.Context, x *txn.Txn) error {
				if _, err := x.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: key, Lock: kvpb.LockUpdate}}}); err != nil {
					return err
				}
				_, err := x.Send(ctx, &txn.Batch{Commit: true, Requests: []kvpb.Request{{Kind: kvpb.Put, Key: key, Value: value}}})
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
