package types

import (
	"math"

	"github.com/cockroachdb/apd/v3"
)

// Datum is one SQL value. It does not carry its type: the expression or
// column it belongs to does. It is passed by value; Null tells NULL whatever
// the other fields hold. See Family for which field represents which type.
type Datum struct {
	I    int64
	S    string
	Ref  any
	Null bool
}

// DNull is NULL of every type.
var DNull = Datum{Null: true}

// Bool returns a boolean datum.
func Bool(b bool) Datum {
	if b {
		return Datum{I: 1}
	}
	return Datum{}
}

// Int returns an integer, date, time or timestamp datum.
func Int(i int64) Datum { return Datum{I: i} }

// Float returns a float datum.
func Float(f float64) Datum { return Datum{I: int64(math.Float64bits(f))} }

// String returns a datum of a type of the bytes family.
func String(s string) Datum { return Datum{S: s} }

// Decimal returns a numeric datum; d must not change afterwards.
func Decimal(d *apd.Decimal) Datum { return Datum{Ref: d} }

// IntervalOf returns an interval datum.
func IntervalOf(v IntervalValue) Datum { return Datum{Ref: &v} }

// ArrayOf returns an array datum; a must not change afterwards.
func ArrayOf(a *Array) Datum { return Datum{Ref: a} }

// TupleOf returns a row datum; t must not change afterwards.
func TupleOf(t *Tuple) Datum { return Datum{Ref: t} }

// Bool returns the value of a boolean datum that is not NULL.
func (d Datum) Bool() bool { return d.I != 0 }

// Float returns the value of a float datum that is not NULL.
func (d Datum) Float() float64 { return math.Float64frombits(uint64(d.I)) }

// Decimal returns the value of a numeric datum that is not NULL; it must not
// be changed.
func (d Datum) Decimal() *apd.Decimal { return d.Ref.(*apd.Decimal) }

// Interval returns the value of an interval datum that is not NULL.
func (d Datum) Interval() IntervalValue { return *d.Ref.(*IntervalValue) }

// Array returns the value of an array datum that is not NULL.
func (d Datum) Array() *Array { return d.Ref.(*Array) }

// Tuple returns the value of a row datum that is not NULL.
func (d Datum) Tuple() *Tuple { return d.Ref.(*Tuple) }

// IntervalValue is PostgreSQL's interval: the three parts don't convert into each
// other except by justify_*.
type IntervalValue struct {
	Months int32
	Days   int32
	Micros int64
}

// Array is a PostgreSQL array: Dims are its lengths by dimension (none for an
// empty array), Bounds the lower bounds, Elems the elements in row-major order.
type Array struct {
	Elem   *T
	Dims   []int32
	Bounds []int32
	Elems  []Datum
}

// Tuple is a row value.
type Tuple struct {
	Types []*T
	Elems []Datum
}
