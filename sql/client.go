package sql

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// Client is a session's connection as the session writes to it. What is
// written stays in a buffer until the connection flushes it at the protocol's
// points, or until there is too much of it.
type Client interface {
	// Columns announces the columns of the rows to come (RowDescription).
	Columns(columns []opt.ResultColumn, formats []int16)
	// Rows sends rows. The error is that of the connection.
	Rows(r *Rows) error
	// Complete ends a statement.
	Complete(tag CommandTag)
	// Empty is the answer to an empty statement.
	Empty()
	// Suspended says that a portal has more rows than were asked for.
	Suspended()
	// Notice sends a message beside the result; severity is WARNING, NOTICE,
	// INFO, LOG or DEBUG.
	Notice(severity string, e *pgerror.Error)

	// Mark is where the output stands; Rewind takes back what was written since,
	// unless some of it has left, and reports whether it could.
	Mark() int64
	Rewind(mark int64) bool
	// SyncFollows reports whether the client's next message is a Sync, so that
	// the statement about to run may commit; it may wait for the message.
	SyncFollows() bool

	// Interrupt wakes the connection if it waits for its client, so that it looks
	// at Terminated. It is safe for concurrent use.
	Interrupt()

	// CopyIn asks the client for the data of COPY FROM STDIN; CopyInData returns
	// a piece of it, which is valid until the next call, io.EOF at its end, and a
	// *pgerror.Error if the client gives up.
	CopyIn(columns int, binary bool) error
	CopyInData() ([]byte, error)
	// CopyOut begins the data of COPY TO STDOUT; each row is one CopyOutData.
	CopyOut(columns int, binary bool)
	CopyOutData(row []byte) error
	CopyOutDone()
}

// Rows are the rows [Begin, End) of a batch. It is valid during the call only.
type Rows struct {
	Types     *types.Context
	Columns   []opt.ResultColumn
	Positions []int   // of each column in Batch.Columns
	Formats   []int16 // as in Bind: none (text), one for all, or one each
	Batch     *vector.Batch

	Begin, End int
}

// Format returns the format of column i: 0 is text, 1 binary.
func (r *Rows) Format(i int) int16 { return formatOf(r.Formats, i) }

func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	default:
		return formats[i]
	}
}

// CommandTag is what a statement answers with: "INSERT 0 3", "BEGIN".
type CommandTag struct {
	Name    string
	Rows    int64
	Counted bool // Rows is part of it
}

// BindArguments are what a Bind message holds. The slices are valid during
// the call only.
type BindArguments struct {
	ParameterFormats []int16
	Parameters       [][]byte // nil: NULL
	ResultFormats    []int16
}

// Description is the answer to Describe.
type Description struct {
	Parameters []*types.T // of a statement
	// Columns are nil for what returns no rows.
	Columns []opt.ResultColumn
	Formats []int16 // of a portal
}
