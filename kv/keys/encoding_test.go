package keys

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

func TestIntegerEncodingKeepsOrder(t *testing.T) {
	values := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 32, -257, -256, -255, -2, -1, 0, 1, 100, 108, 109, 110, 255, 256, 257, 1 << 32, math.MaxInt64}
	for range 2000 {
		values = append(values, int64(rand.Uint64())>>rand.IntN(64))
	}
	for _, v := range values {
		for _, w := range values {
			a, b := EncodeVarintAscending(nil, v), EncodeVarintAscending(nil, w)
			c, d := EncodeVarintDescending(nil, v), EncodeVarintDescending(nil, w)
			want := 0
			if v < w {
				want = -1
			} else if v > w {
				want = 1
			}
			if bytes.Compare(a, b) != want || bytes.Compare(d, c) != want {
				t.Fatalf("%d, %d: order is lost: %x %x / %x %x", v, w, a, b, c, d)
			}
		}
		if rest, got, err := DecodeVarintAscending(append(EncodeVarintAscending(nil, v), 'x')); err != nil || got != v || string(rest) != "x" {
			t.Fatalf("%d came back as %d, rest %q, %v", v, got, rest, err)
		}
		if rest, got, err := DecodeVarintDescending(append(EncodeVarintDescending(nil, v), 'x')); err != nil || got != v || string(rest) != "x" {
			t.Fatalf("%d came back as %d, rest %q, %v", v, got, rest, err)
		}
	}
}

func TestBytesEncodingKeepsOrder(t *testing.T) {
	values := [][]byte{{}, {0}, {0, 0}, {0, 1}, {0, 255}, {1}, {255}, {255, 0}, []byte("a"), []byte("a\x00b"), []byte("ab")}
	for _, v := range values {
		for _, w := range values {
			a, b := EncodeBytesAscending(nil, v), EncodeBytesAscending(nil, w)
			c, d := EncodeBytesDescending(nil, v), EncodeBytesDescending(nil, w)
			if bytes.Compare(a, b) != bytes.Compare(v, w) || bytes.Compare(d, c) != bytes.Compare(v, w) {
				t.Fatalf("%x, %x: order is lost", v, w)
			}
		}
		if rest, got, err := DecodeBytesAscending(append(EncodeBytesAscending(nil, v), 'x')); err != nil || !bytes.Equal(got, v) || string(rest) != "x" {
			t.Fatalf("%x came back as %x, rest %q, %v", v, got, rest, err)
		}
		if rest, got, err := DecodeBytesDescending(append(EncodeBytesDescending(nil, v), 'x')); err != nil || !bytes.Equal(got, v) || string(rest) != "x" {
			t.Fatalf("%x came back as %x, rest %q, %v", v, got, rest, err)
		}
	}
}

func TestFloatEncodingKeepsOrder(t *testing.T) {
	values := []float64{math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1), math.NaN()}
	for i, v := range values {
		for j, w := range values {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := bytes.Compare(EncodeFloatAscending(nil, v), EncodeFloatAscending(nil, w)); got != want {
				t.Errorf("%g, %g: %d", v, w, got)
			}
			if got := bytes.Compare(EncodeFloatDescending(nil, w), EncodeFloatDescending(nil, v)); got != want {
				t.Errorf("%g, %g descending: %d", v, w, got)
			}
		}
		for _, descending := range []bool{false, true} {
			enc, dec := EncodeFloatAscending, DecodeFloatAscending
			if descending {
				enc, dec = EncodeFloatDescending, DecodeFloatDescending
			}
			rest, got, err := dec(append(enc(nil, v), 'x'))
			if err != nil || string(rest) != "x" || got != v && !(got != got && v != v) {
				t.Errorf("%g came back as %g, rest %q, %v", v, got, rest, err)
			}
		}
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add([]byte{0x12, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		DecodeIfNull(b)
		DecodeVarintAscending(b)
		DecodeUvarintAscending(b)
		DecodeBytesAscending(b)
		DecodeBytesDescending(b)
		DecodeFloatAscending(b)
		DecodeFloatDescending(b)
		if rest, err := SkipBytes(b); err == nil {
			for _, decode := range []func([]byte) ([]byte, []byte, error){DecodeBytesAscending, DecodeBytesDescending} {
				if after, _, err := decode(b); err == nil && len(after) != len(rest) {
					t.Errorf("skipping %x leaves %x, decoding %x", b, rest, after)
				}
			}
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"a", "b"}, {"a\xff", "b"}, {"\xff\xff\xff", "\xff\xff"}} {
		if got := PrefixEnd([]byte(c.in)); string(got) != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
