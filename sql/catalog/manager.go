package catalog

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

// Config is what a Manager stands on.
type Config struct {
	DB     *txn.DB
	Node   kvpb.NodeID
	Logger *slog.Logger
	// LeaseDuration is how long a node may use the schema that it knows without
	// asking; 0: 6 s. A dead node holds up schema changes for as long.
	LeaseDuration time.Duration
	// PollInterval is how often a node in use asks whether the schema changed;
	// 0: 250 ms. It is how long schema changes wait for other nodes.
	PollInterval time.Duration
}

// Manager holds a node's copy of the schema and its lease on it. It is safe
// for concurrent use.
type Manager struct{ config Config }

// Names is where a session's unqualified names lead to.
type Names struct {
	Database   string
	SearchPath []string // as set: "$user" and schemas that don't exist are fine
	User       string
}

var errUnfinished = errors.New("catalog: unfinished")

// NewManager returns a Manager; Start makes it work.
func NewManager(c Config) *Manager { return &Manager{config: c} }

// Start reads the schema and begins to renew the lease when it is in use.
func (m *Manager) Start(ctx context.Context) error { return errUnfinished }

// Close stops renewing, gives the lease back and waits for the goroutines.
func (m *Manager) Close() {}

// Begin returns the view of the schema of one transaction. Every Transaction
// must be ended by Committed or RolledBack.
func (m *Manager) Begin(t *txn.Txn, names Names) *Transaction { return nil }

// WaitForVersion returns when no node can use a version of the descriptor
// below v any more, whether by a plan, a running transaction or its lease.
func (m *Manager) WaitForVersion(ctx context.Context, id ID, v Version) error { return errUnfinished }

// Bootstrap writes what every cluster is born with: the database and the role
// postgres, the schema public. It does nothing where that is there.
func Bootstrap(ctx context.Context, t *txn.Txn) error { return errUnfinished }

// RegisterVirtual adds a virtual table to pg_catalog or information_schema of
// every database. t needs Name, ID, Columns and Virtual; the rest is filled in.
// It is called in init functions only.
func RegisterVirtual(schema string, t *Table) {}
