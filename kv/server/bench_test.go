package server

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv/kvpb"
)

// benchServer is one node whose disk is memory, with rows.
func benchServer(b *testing.B, rows int) (*testCluster, *testNode) {
	c := newTestCluster(b, nil)
	c.fs = vfs.NewMem
	n := c.start(1, nil)
	b.Cleanup(c.stopAll)
	ctx := context.Background()
	if err := n.server.Bootstrap(ctx); err != nil {
		b.Fatal(err)
	}
	for i := 0; i < rows; i += 500 {
		batch := &kvpb.BatchRequest{}
		for j := range 500 {
			batch.Requests = append(batch.Requests, kvpb.Request{Kind: kvpb.Put, Key: benchKey(i + j), Value: make([]byte, 100)})
		}
		if _, err := n.server.Send(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	return c, n
}

func benchKey(i int) []byte { return fmt.Appendf(nil, "\x04row%08d", i) }

func BenchmarkGet(b *testing.B) {
	_, n := benchServer(b, 10_000)
	for _, flushed := range []bool{false, true} {
		b.Run(fmt.Sprint("flushed=", flushed), func(b *testing.B) {
			if flushed {
				if err := n.engines.State.Flush(); err != nil {
					b.Fatal(err)
				}
			}
			txn := newTxn(n, 1, "\x04")
			txn.Key = nil
			batch := &kvpb.BatchRequest{Header: kvpb.Header{Txn: txn}, Requests: []kvpb.Request{{Kind: kvpb.Get, Key: benchKey(4321)}}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.server.Send(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkScan100(b *testing.B) {
	_, n := benchServer(b, 10_000)
	batch := &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: benchKey(4000), EndKey: benchKey(4100)}}}
	for _, kind := range []kvpb.Kind{kvpb.Scan, kvpb.ReverseScan} {
		batch.Requests[0].Kind = kind
		b.Run(map[kvpb.Kind]string{kvpb.Scan: "forward", kvpb.ReverseScan: "reverse"}[kind], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.server.Send(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCommit is a Put and EndTxn on one range: one proposal. The fsync
// goes to memory.
func BenchmarkCommit(b *testing.B) {
	_, n := benchServer(b, 1000)
	value := string(make([]byte, 100))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := string(benchKey(i % 1000))
		x := newTxn(n, byte(i), key)
		if _, err := n.server.Send(context.Background(), commitBatch(x, key, value)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommitParallel(b *testing.B) {
	_, n := benchServer(b, 1000)
	value := string(make([]byte, 100))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			key := string(benchKey(i % 1000))
			x := newTxn(n, byte(i), key)
			x.ID[8], x.ID[9] = byte(i>>8), byte(i)
			_, _ = n.server.Send(context.Background(), commitBatch(x, key, value))
		}
	})
}
