package catalog

import (
	"context"

	"github.com/cairndb/cairn/sql/types"
)

// VirtualTable makes the rows of a virtual table, which always are those that
// the running transaction would see.
type VirtualTable struct {
	// Lookups are the columns by which Rows can find rows quicker than by
	// making them all; the executor passes equality constraints on these.
	Lookups []ColumnID
	// Rows calls emit for each row, with one datum for each column in order;
	// emit must not keep the slice. Rows that don't meet the constraints may be
	// emitted, too: the caller still filters.
	Rows func(ctx context.Context, env *VirtualEnv, constraints []VirtualConstraint, emit func(row []types.Datum) error) error
}

// VirtualConstraint restricts a column to one of some values.
type VirtualConstraint struct {
	Column ColumnID
	Values []types.Datum
}

// VirtualEnv is what virtual tables are made from.
type VirtualEnv struct {
	Resolver Resolver
	// Session tells of the sessions and settings; nil in tests.
	Session SessionState
}

// SessionState is what virtual tables show of the running server. The session
// layer implements it.
type SessionState interface {
	// Settings are the rows of pg_settings.
	Settings() []Setting
	// Activity are the rows of pg_stat_activity.
	Activity() []Activity
}

// Setting is a run-time parameter.
type Setting struct {
	Name, Value, Unit, Category, Description, Context, VarType, Source, Default string
}

// Activity is a session.
type Activity struct {
	PID             int32
	Database        string
	User            string
	ApplicationName string
	ClientAddress   string
	ClientPort      int32
	State           string
	Query           string
	BackendStart    int64 // timestamptz, as in types
	QueryStart      int64
	XactStart       int64 // MinInt64: none
	StateChange     int64
}
