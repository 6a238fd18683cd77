package mvcc

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// TestNarrowedReaderReadsTheSame reads with and without knowing where the
// intents are; what is known may name more keys than have one.
func TestNarrowedReaderReadsTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 1))
	key := func(i int) []byte { return fmt.Appendf(nil, "\x04k%02d", i) }
	for range 60 {
		s := newScript(t)
		own := &kvpb.Transaction{TxnMeta: kvpb.TxnMeta{ID: kvpb.TxnID{'A'}, Key: key(0), WriteTimestamp: hlc.Timestamp{WallTime: 50}}, ReadTimestamp: hlc.Timestamp{WallTime: 50}}
		other := own.Clone()
		other.ID = kvpb.TxnID{'B'}
		var locked [][]byte
		for i := range 30 {
			w := &Writer{Batch: s.state.NewBatch(), Timestamp: hlc.Timestamp{WallTime: int64(random.IntN(40) + 1)}}
			w.Reader = NewReader(s.state, true)
			laid := random.IntN(6)
			var err error
			if laid > 0 {
				err = w.Put(key(i), fmt.Appendf(nil, "v%d", i), 0)
			}
			if laid < 2 {
				w.Txn, w.Timestamp, w.ReadTimestamp = own, own.WriteTimestamp, own.ReadTimestamp
				if random.IntN(8) == 0 {
					w.Txn = other
				}
				w.Txn.Sequence = int32(i + 1)
				err = w.Put(key(i), []byte("intent"), int32(i+1))
			}
			if err != nil {
				t.Fatal(err)
			}
			if laid < 3 {
				locked = append(locked, key(i))
			}
			w.Close()
			if err := w.Batch.Commit(pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		for range 40 {
			o := &ReadOptions{Timestamp: hlc.Timestamp{WallTime: int64(random.IntN(60))}, MaxKeys: int64(random.IntN(12))}
			if random.IntN(2) == 0 {
				o.Txn, o.Sequence = own, int32(random.IntN(40))
			}
			if random.IntN(4) == 0 {
				o.Skip = func(k []byte) bool { return string(k) == string(key(7)) }
			}
			from, to := random.IntN(30), random.IntN(32)
			span := kvpb.Span{Key: key(from), EndKey: key(to)}
			plain, narrowed := NewReader(s.state, true), NewReader(s.state, true)
			narrowed.OnlyLocksAt(locked)
			reverse := random.IntN(2) == 0
			want, wantErr := plain.Scan(span, reverse, o)
			got, gotErr := narrowed.Scan(span, reverse, o)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotErr, wantErr) {
				t.Fatalf("scan: %s, %v; narrowed: %s, %v", rows(want), wantErr, rows(got), gotErr)
			}
			v1, at1, err1 := plain.Get(key(from), o)
			v2, at2, err2 := narrowed.Get(key(from), o)
			if string(v1) != string(v2) || at1 != at2 || !reflect.DeepEqual(err1, err2) {
				t.Fatalf("get: %q %v; narrowed: %q %v", v1, err1, v2, err2)
			}
			low, high := hlc.Timestamp{WallTime: 45}, hlc.Timestamp{WallTime: int64(45 + random.IntN(10))}
			if from < to {
				err1, err2 = plain.RefreshRange(span, own.ID, low, high), narrowed.RefreshRange(span, own.ID, low, high)
				if !reflect.DeepEqual(err1, err2) {
					t.Fatalf("refresh: %v; narrowed: %v", err1, err2)
				}
			}
			plain.Close()
			narrowed.Close()
		}
	}
}
