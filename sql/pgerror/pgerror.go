// Package pgerror is the error that a client sees: a SQLSTATE, a message and
// what helps to mend it. It is made at the edge that knows the SQLSTATE,
// wrapped with %w on the way up, and written to the wire once, by pgwire.
package pgerror

import (
	"errors"
	"fmt"
)

// Error is an error response of the Postgres protocol.
type Error struct {
	Code     string // SQLSTATE, one of this package's constants
	Message  string
	Detail   string
	Hint     string
	Position int32 // in characters of the query, from 1; 0: none
	Where    string

	Schema, Table, Column, DataType, Constraint string
}

func (e *Error) Error() string { return e.Message }

// New returns an error with a SQLSTATE and a message.
func New(code, message string) *Error { return &Error{Code: code, Message: message} }

// Newf is New with formatting.
func Newf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Unsupported returns the refusal of a feature that Cairn lacks, by its name:
// "MERGE is not supported yet" with SQLSTATE 0A000.
func Unsupported(feature string) *Error {
	return &Error{Code: FeatureNotSupported, Message: feature + " is not supported by Cairn yet"}
}

// WithDetail, WithHint and WithPosition set a field and return e.
func (e *Error) WithDetail(format string, args ...any) *Error {
	e.Detail = fmt.Sprintf(format, args...)
	return e
}

// WithHint sets the hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithPosition sets the position, in characters from 1, unless one is set.
func (e *Error) WithPosition(position int32) *Error {
	if e.Position == 0 {
		e.Position = position
	}
	return e
}

// Code returns the SQLSTATE of err, XX000 for an error that has none.
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
