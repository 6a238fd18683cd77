package txn

import (
	"context"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// instantSender answers everything at once, with what the coordinator needs.
type instantSender struct{}

func (instantSender) Send(_ context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	return &kvpb.BatchResponse{Txn: b.Txn, Responses: make([]kvpb.Response, len(b.Requests))}, nil
}

func benchmarkDB(b *testing.B) *DB {
	db := NewDB(Config{Sender: instantSender{}, Clock: hlc.NewClock(hlc.SystemClock, 0), Node: 1})
	b.Cleanup(db.Close)
	b.ReportAllocs()
	return db
}

// BenchmarkOnePutCommit is what the coordinator adds to an autocommit write.
func BenchmarkOnePutCommit(b *testing.B) {
	db := benchmarkDB(b)
	key, value := []byte("\x04table/00000001"), make([]byte, 100)
	for b.Loop() {
		t := db.Begin(Options{})
		if _, err := t.Send(b.Context(), &Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: key, Value: value}}, Commit: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPointRead is what the coordinator adds to an autocommit read.
func BenchmarkPointRead(b *testing.B) {
	db := benchmarkDB(b)
	key := []byte("\x04table/00000001")
	for b.Loop() {
		t := db.Begin(Options{})
		if _, err := t.Send(b.Context(), &Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: key}}, Commit: true}); err != nil {
			b.Fatal(err)
		}
	}
}
