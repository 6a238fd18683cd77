package pgerror

// SQLSTATEs of sessions and settings.
const (
	IdleSessionTimeout           = "57P05"
	CantChangeRuntimeParam       = "55P02"
	InvalidCursorDefinition      = "42P11"
)
