package types

import (
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
)

func BenchmarkAppendText(b *testing.B) {
	berlin, err := LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	ctx := &Context{}
	for _, c := range []struct {
		name string
		ctx  *Context
		t    *T
		d    Datum
	}{
		{"int4", ctx, Int4, Int(1234567)}, {"text", ctx, Text, String("pending")}, {"numeric", ctx, Numeric, Decimal(apd.New(1234567, -2))},
		{"float8", ctx, Float8, Float(3.25)}, {"timestamp", ctx, Timestamp, Int(TimestampOf(time.Unix(1700000000, 123456000)))},
		{"timestamptz", &Context{Location: berlin}, TimestampTZ, Int(TimestampOf(time.Unix(1700000000, 0)))},
		{"interval", ctx, Interval, IntervalOf(IntervalValue{Days: 3, Micros: 12345678})},
	} {
		b.Run(c.name, func(b *testing.B) {
			buffer := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				buffer = AppendText(buffer[:0], c.ctx, c.t, c.d)
			}
		})
	}
}

func BenchmarkCompareNumeric(b *testing.B) {
	x, y := Decimal(apd.New(1234567, -2)), Decimal(apd.New(123456, -1))
	b.ReportAllocs()
	for b.Loop() {
		Compare(Numeric, x, y)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		t    *T
		text string
	}{{Int4, "1234567"}, {Numeric, "12345.67"}, {Date, "2021-03-04"}, {Timestamp, "2021-03-04 05:06:07.89"}, {JSONB, `{"a": 1, "b": [1, 2, 3]}`}} {
		b.Run(c.t.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(nil, c.t, c.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAddNumeric(b *testing.B) {
	x, y := apd.New(1234567, -2), apd.New(123456, -1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AddNumeric(x, y); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBinaryNumeric(b *testing.B) {
	d := Decimal(apd.New(1234567, -2))
	buffer := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buffer, _ = AppendBinary(buffer[:0], Numeric, d)
	}
}
