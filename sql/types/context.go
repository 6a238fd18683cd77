package types

import (
	"context"
	"math/rand/v2"
	"time"
)

// Context is what the value of an expression may depend on besides its
// arguments. A session has one and changes it between statements; it is not
// safe for concurrent use. The zero value has PostgreSQL's defaults and UTC.
type Context struct {
	Ctx context.Context
	// StatementTime and TransactionTime are timestamptz values: µs since
	// 2000-01-01 UTC.
	StatementTime, TransactionTime int64
	// Now is clock_timestamp(); nil: the machine's clock.
	Now func() int64
	// Location is the setting TimeZone; nil: UTC.
	Location *time.Location
	// DateStyle and DateOrder are the two halves of the setting DateStyle.
	DateStyle        DateStyle
	DateOrder        DateOrder
	IntervalStyle    IntervalStyle
	ExtraFloatDigits ExtraFloatDigits
	// ByteaEscape is bytea_output = escape; else it is hex.
	ByteaEscape bool
	Random      *rand.Rand // nil: the process's source
	// Session answers what only the running session knows; functions that need it
	// are an error where it is nil.
	Session SessionFunctions
}

// DateStyle is how dates are printed.
type DateStyle uint8

// The date styles.
const (
	ISODates DateStyle = iota
	PostgresDates
	SQLDates
	GermanDates
)

// DateOrder is how ambiguous dates are read, and printed in some styles.
type DateOrder uint8

// The date orders.
const (
	MonthDayYear DateOrder = iota
	DayMonthYear
	YearMonthDay
)

// IntervalStyle is how intervals are printed.
type IntervalStyle uint8

// The interval styles.
const (
	PostgresIntervals IntervalStyle = iota
	PostgresVerboseIntervals
	SQLStandardIntervals
	ISO8601Intervals
)

// ExtraFloatDigits is the setting extra_float_digits less 1, so that the zero
// value is PostgreSQL's default: floats in their shortest exact form. Below 0
// digits are rounded away.
type ExtraFloatDigits int8

func (c *Context) context() context.Context {
	if c == nil || c.Ctx == nil {
		return context.Background()
	}
	return c.Ctx
}

func (c *Context) location() *time.Location {
	if c == nil || c.Location == nil {
		return time.UTC
	}
	return c.Location
}

// postgresEpoch is 2000-01-01 in seconds of Unix.
const postgresEpoch = 946684800

// TimestampOf returns the timestamptz value of a moment.
func TimestampOf(t time.Time) int64 { return (t.Unix()-postgresEpoch)*1e6 + int64(t.Nanosecond()/1000) }

// TimeOf returns the moment of a finite timestamptz value, in UTC.
func TimeOf(timestamp int64) time.Time {
	seconds, micros := floorDivide(timestamp, 1e6)
	return time.Unix(seconds+postgresEpoch, micros*1000).UTC()
}

// ClockTime returns the present moment as a timestamptz value.
func (c *Context) ClockTime() int64 {
	if c == nil || c.Now == nil {
		return TimestampOf(time.Now())
	}
	return c.Now()
}

func floorDivide(a, b int64) (quotient, remainder int64) {
	quotient, remainder = a/b, a%b
	if remainder < 0 {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}
