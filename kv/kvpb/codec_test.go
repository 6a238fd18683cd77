package kvpb

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// fill sets every field that v has to a random value that is not zero, so
// that a field which the codec forgets shows.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		n := r.Int64N(1<<31-1) + 1
		if r.IntN(2) == 0 {
			n = -n
		}
		v.SetInt(n)
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(100)) + 1)
	case reflect.Float64:
		v.SetFloat(r.Float64() + 1)
	case reflect.String:
		v.SetString(string('a' + rune(r.IntN(26))))
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Slice:
		n := 1 + r.IntN(200)
		if v.Type().Elem().Kind() != reflect.Uint8 {
			n = 1 + r.IntN(3)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	default:
		panic("no random value for " + v.Type().String())
	}
}

type message interface {
	Append([]byte) []byte
	Unmarshal([]byte) error
}

func TestEveryFieldSurvivesTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		messages := []message{new(BatchRequest), new(BatchResponse), new(RangeDescriptor), new(Transaction), new(RangeStatistics)}
		for _, kind := range details {
			messages = append(messages, kind())
		}
		for _, m := range messages {
			fill(r, reflect.ValueOf(m).Elem())
			got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
			if err := got.Unmarshal(m.Append(nil)); err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			if !reflect.DeepEqual(m, got) {
				t.Fatalf("%T: sent %+v, got %+v", m, m, got)
			}
			if d, ok := m.(detail); ok {
				e := &Error{Detail: d, Index: -1}
				var back Error
				if err := back.Unmarshal(e.Append(nil)); err != nil || !reflect.DeepEqual(e, &back) {
					t.Fatalf("%T within Error: %v %+v", m, err, back)
				}
			}
		}
	}
}

func TestNilAndEmptyValuesStayApart(t *testing.T) {
	in := &Request{Kind: ConditionalPut, Key: []byte("k"), Value: []byte{}}
	var out Request
	if err := out.Unmarshal(in.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if out.Value == nil || out.Expected != nil {
		t.Fatalf("value %v, expected %v", out.Value, out.Expected)
	}
}

func FuzzUnmarshalNeverPanics(f *testing.F) {
	f.Add((&BatchRequest{Requests: []Request{{Kind: Get, Key: []byte("k")}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		new(BatchRequest).Unmarshal(b)
		new(BatchResponse).Unmarshal(b)
		new(Error).Unmarshal(b)
	})
}

func BenchmarkBatchRequest(b *testing.B) {
	m := &BatchRequest{Header: Header{Txn: &Transaction{TxnMeta: TxnMeta{ID: TxnID{1}, Key: []byte("key")}}}, Requests: []Request{{Kind: Get, Key: []byte("some key")}}}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = m.Append(buffer[:0])
		if err := new(BatchRequest).Unmarshal(buffer); err != nil {
			b.Fatal(err)
		}
	}
}
