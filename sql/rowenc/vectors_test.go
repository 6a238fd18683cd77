package rowenc

import (
	"math"
	"testing"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// everyType is a table with a column of each kind of encoding; its indexes
// have each of them in their keys.
func everyType() (*catalog.Table, [][]types.Datum) {
	ts := []*types.T{types.Int4, types.Text, types.Boolean, types.Float8, types.Numeric, types.Interval, types.JSONB, types.BPChar.WithTypmod(9), types.ArrayTypeOf(types.Int4), types.Timestamp}
	t := &catalog.Table{Header: catalog.Header{ID: 7, Name: "t"}}
	for i, typ := range ts {
		t.Columns = append(t.Columns, catalog.Column{ID: catalog.ColumnID(i + 1), Name: typ.Name, Type: typ})
	}
	t.Primary = catalog.Index{ID: 1, Unique: true, Primary: true, Encoding: catalog.PrimaryEncoding, Columns: []catalog.IndexColumn{{Column: 1}, {Column: 5, Descending: true}}}
	for i := range ts {
		id := catalog.ColumnID(i + 1)
		t.Indexes = append(t.Indexes,
			catalog.Index{ID: catalog.IndexID(2 + 2*i), Columns: []catalog.IndexColumn{{Column: id, Descending: i%2 == 0}}},
			catalog.Index{ID: catalog.IndexID(3 + 2*i), Unique: true, Columns: []catalog.IndexColumn{{Column: id}}, Stored: []catalog.ColumnID{2, 6}})
	}
	number := func(s string) types.Datum {
		d, _, _ := apd.NewFromString(s)
		return types.Decimal(d)
	}
	array := types.ArrayOf(&types.Array{Elem: types.Int4, Dims: []int32{2}, Bounds: []int32{1}, Elems: []types.Datum{types.Int(3), types.DNull}})
	null := types.DNull
	return t, [][]types.Datum{
		{types.Int(1), types.String("one"), types.Bool(true), types.Float(1.5), number("1.50"), types.IntervalOf(types.IntervalValue{Months: 1, Days: 2, Micros: 3}), types.String(`{"a": 1.0}`), types.String("ab   "), array, types.Int(-5)},
		{types.Int(-70000), types.String(""), types.Bool(false), types.Float(math.Copysign(0, -1)), number("-1234567890123456789012345.678"), types.IntervalOf(types.IntervalValue{Days: 30}), types.String("[]"), types.String("abcde"), types.ArrayOf(&types.Array{Elem: types.Int4}), types.Int(1 << 60)},
		{types.Int(3), null, null, null, number("0.00"), null, null, null, null, null},
		{types.Int(1 << 30), types.String("a\x00b\xff"), types.Bool(true), types.Float(1e300), number("NaN"), types.IntervalOf(types.IntervalValue{}), types.String(`"x"`), types.String("     "), array, types.Int(0)},
	}
}

// TestDecodeToEqualsDecode reads entries of all kinds of indexes both ways.
func TestDecodeToEqualsDecode(t *testing.T) {
	table, rows := everyType()
	indexes := []*catalog.Index{&table.Primary}
	for i := range table.Indexes {
		indexes = append(indexes, &table.Indexes[i])
	}
	for _, ix := range indexes {
		l := NewLayout(table, ix)
		var wanted []catalog.ColumnID
		var ts []*types.T
		for i := range table.Columns {
			if c := &table.Columns[i]; l.Contains(c.ID) {
				wanted, ts = append(wanted, c.ID), append(ts, c.Type)
			}
		}
		d, err := NewDecoder(l, wanted)
		if err != nil {
			t.Fatal(err)
		}
		batch := vector.NewBatch(ts)
		for n, row := range rows {
			key, value, err := l.Entry(row)
			if err != nil {
				t.Fatalf("index %d: %v", ix.ID, err)
			}
			out := make([]types.Datum, len(wanted))
			if err := d.Decode(key, value, out); err != nil {
				t.Fatalf("index %d: %v", ix.ID, err)
			}
			if err := d.DecodeTo(key, value, batch.Columns, n); err != nil {
				t.Fatalf("index %d: %v", ix.ID, err)
			}
			for i, id := range wanted {
				got := batch.Columns[i].Datum(n)
				for what, other := range map[string]types.Datum{"Decode": out[i], "the row": row[id-1]} {
					same := got.Null == other.Null
					if same && !got.Null {
						text := func(v types.Datum) string { return string(types.AppendText(nil, &types.Context{}, ts[i], v)) }
						same = text(got) == text(other)
					}
					if !same {
						t.Errorf("index %d, row %d, %s: DecodeTo gives %+v, %s has %+v", ix.ID, n, table.Columns[id-1].Name, got, what, other)
					}
				}
			}
		}
	}
}

// BenchmarkDecodeTo reads a row of pgbench_accounts.
func BenchmarkDecodeTo(b *testing.B) {
	table := &catalog.Table{Header: catalog.Header{ID: 7, Name: "t"}, Primary: catalog.Index{ID: 1, Encoding: catalog.PrimaryEncoding, Columns: []catalog.IndexColumn{{Column: 1}}}}
	ts := []*types.T{types.Int4, types.Int4, types.Int4, types.Text}
	var wanted []catalog.ColumnID
	for i, typ := range ts {
		table.Columns = append(table.Columns, catalog.Column{ID: catalog.ColumnID(i + 1), Type: typ})
		wanted = append(wanted, catalog.ColumnID(i+1))
	}
	l := NewLayout(table, &table.Primary)
	key, value, err := l.Entry([]types.Datum{types.Int(1), types.Int(1), types.Int(0), types.String("filler of some length")})
	if err != nil {
		b.Fatal(err)
	}
	d, err := NewDecoder(l, wanted)
	if err != nil {
		b.Fatal(err)
	}
	batch := vector.NewBatch(ts)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.DecodeTo(key, value, batch.Columns, i%vector.Size); err != nil {
			b.Fatal(err)
		}
	}
}
