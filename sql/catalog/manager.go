package catalog

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
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
//
// Lock order: refreshing, mu, activeMu, Transaction.mu. Only refreshing is held
// across I/O: it makes one goroutine refresh at a time.
type Manager struct {
	config      Config
	incarnation string
	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	done        sync.WaitGroup

	// current is the newest known schema.
	current atomic.Pointer[snapshot]
	// expiration is the lease's end, in the clock's wall time; term counts the
	// leases that did not follow the last one without a gap.
	expiration atomic.Int64
	term       atomic.Int64
	leased     atomic.Uint64 // the epoch in the lease
	// used says that the cache was used since the poller last looked.
	used atomic.Bool

	refreshing chan struct{} // a mutex whose waiters have a context

	mu      sync.Mutex
	changed chan struct{} // guarded by mu; closed when current is replaced
	fences  int           // guarded by mu; fences that this node holds
	nextID  ID            // guarded by mu; ids in [nextID, endID) are reserved
	endID   ID            // guarded by mu
	reading chan struct{} // a mutex for the id allocator

	activeMu sync.Mutex
	active   *Transaction  // guarded by activeMu; a list
	waiters  atomic.Int32  // of ended
	ended    chan struct{} // guarded by activeMu; closed when a transaction ends

	numbers atomic.Uint64 // of transactions that lock
}

// Names is where a session's unqualified names lead to.
type Names struct {
	Database   string
	SearchPath []string // as set: "$user" and schemas that don't exist are fine
	User       string
}

// NewManager returns a Manager; Start makes it work.
func NewManager(c Config) *Manager {
	if c.LeaseDuration == 0 {
		c.LeaseDuration = 6 * time.Second
	}
	if c.PollInterval == 0 {
		c.PollInterval = 250 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	m := &Manager{
		config:     c,
		refreshing: make(chan struct{}, 1),
		reading:    make(chan struct{}, 1),
		changed:    make(chan struct{}),
		ended:      make(chan struct{}),
	}
	var random [8]byte
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	m.incarnation = hex.EncodeToString(random[:])
	m.current.Store(&snapshot{})
	setRowIDNode(c.Node)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Start reads the schema and begins to renew the lease when it is in use.
func (m *Manager) Start(ctx context.Context) error {
	if err := m.renew(ctx, false); err != nil {
		return err
	}
	m.done.Go(m.poll)
	return nil
}

// Close stops renewing, gives the lease back and waits for the goroutines. The
// node's transactions must have ended.
func (m *Manager) Close() {
	m.cancel()
	m.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if m.expiration.Swap(0) == 0 {
		return
	}
	err := m.config.DB.Run(ctx, txn.Options{Name: "schema lease"}, func(ctx context.Context, t *txn.Txn) error {
		_, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Delete, Key: leaseKey(m.config.Node)}}, Commit: true})
		return err
	})
	if err != nil {
		m.config.Logger.Debug("the schema lease was left to expire", "error", err)
	}
}

// Begin returns the view of the schema of one transaction. Every Transaction
// must be ended by Committed or RolledBack.
func (m *Manager) Begin(t *txn.Txn, names Names) *Transaction {
	x := &Transaction{manager: m, txn: t, names: names}
	m.activeMu.Lock()
	x.next = m.active
	if m.active != nil {
		m.active.previous = x
	}
	m.active = x
	m.activeMu.Unlock()
	return x
}

// end takes x off the list of running transactions.
func (m *Manager) end(x *Transaction) {
	m.activeMu.Lock()
	defer m.activeMu.Unlock()
	if x.previous != nil {
		x.previous.next = x.next
	} else if m.active == x {
		m.active = x.next
	}
	if x.next != nil {
		x.next.previous = x.previous
	}
	x.next, x.previous = nil, nil
	if m.waiters.Load() > 0 {
		close(m.ended)
		m.ended = make(chan struct{})
	}
}

// publish makes s the current schema unless a newer one is there.
func (m *Manager) publish(s *snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.current.Load(); old.byID != nil && old.epoch >= s.epoch {
		return
	}
	m.current.Store(s)
	close(m.changed)
	m.changed = make(chan struct{})
}

// committed adds the changes of a transaction of this node, or reads them all
// again where others came in between.
func (m *Manager) committed(ctx context.Context, changes map[ID]Descriptor, epoch uint64, at hlc.Timestamp) {
	for id, d := range changes {
		if d == nil {
			continue
		}
		d = Clone(d)
		d.Head().ModificationTime = at
		changes[id] = d
	}
	if s := m.current.Load(); s.epoch+1 == epoch {
		m.publish(s.with(changes, epoch, at))
		return
	}
	if err := m.refresh(ctx); err != nil {
		m.config.Logger.Warn("reading the schema failed", "error", err)
		m.expiration.Store(0) // whoever needs it reads it
	}
}

// refresh reads the schema if it has changed.
func (m *Manager) refresh(ctx context.Context) error {
	select {
	case m.refreshing <- struct{}{}:
		defer func() { <-m.refreshing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.config.DB.Run(ctx, txn.Options{Name: "schema", ReadOnly: true}, func(ctx context.Context, t *txn.Txn) error {
		_, err := m.refreshThrough(ctx, t)
		return err
	})
}

// refreshThrough reads the epoch, and the schema if it has changed, and
// publishes it. It returns the epoch that t sees.
func (m *Manager) refreshThrough(ctx context.Context, t *txn.Txn) (uint64, error) {
	responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: epochKey}}})
	if err != nil {
		return 0, err
	}
	epoch, err := decodeEpoch(responses[0].Value)
	if err != nil {
		return 0, err
	}
	if s := m.current.Load(); s.byID != nil && s.epoch == epoch {
		return epoch, nil
	}
	s, err := readSnapshot(ctx, t)
	if err != nil {
		return 0, err
	}
	m.publish(s)
	return s.epoch, nil
}

// poll keeps the copy and the lease of a node that is in use fresh.
func (m *Manager) poll() {
	ticker := time.NewTicker(m.config.PollInterval)
	defer ticker.Stop()
	var published []use
	idle := 0
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		fencing := m.fences > 0
		m.mu.Unlock()
		if m.used.Swap(false) || fencing || len(published) > 0 {
			idle = 0
		} else {
			idle++
		}
		left := time.Duration(m.expiration.Load() - m.now())
		if idle > 0 && left <= 0 {
			continue // the lease ran out; the next user gets another
		}
		err := m.refresh(m.ctx)
		using := m.using()
		// As long as the lease holds, schema changes wait for it to follow.
		behind := m.current.Load().epoch != m.leased.Load() || !slices.Equal(using, published)
		if err == nil && (behind || idle <= idlePolls && left < m.config.LeaseDuration/2) {
			published = using
			err = m.renew(m.ctx, true)
		}
		if err != nil && m.ctx.Err() == nil {
			m.config.Logger.Warn("renewing the schema lease failed", "error", err)
		}
	}
}

// idlePolls is after how many polls without a use the lease is no longer
// renewed.
const idlePolls = 4

func (m *Manager) now() int64 { return m.config.DB.Clock().PhysicalNow() }

// ensure makes sure that the node's lease holds for a while and returns its end.
func (m *Manager) ensure(ctx context.Context) (expiration int64, err error) {
	if !m.used.Load() {
		m.used.Store(true)
	}
	enough := int64(m.config.LeaseDuration) / 4
	expiration = m.expiration.Load()
	if expiration-m.now() > enough {
		return expiration, nil
	}
	if err := m.renew(ctx, false); err != nil {
		return 0, pgerror.Newf(pgerror.CannotConnectNow, "the schema can't be read: %v", err)
	}
	return m.expiration.Load(), nil
}

// NewID returns an id that no object had before.
func (m *Manager) newID(ctx context.Context) (ID, error) {
	select {
	case m.reading <- struct{}{}:
		defer func() { <-m.reading }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	const block = 16
	m.mu.Lock()
	empty := m.nextID == m.endID
	m.mu.Unlock()
	if empty {
		response, err := m.config.DB.NonTransactional().Send(ctx, &kvpb.BatchRequest{
			Requests: []kvpb.Request{{Kind: kvpb.Increment, Key: keys.DescriptorIDAllocator, Delta: block}}})
		if err != nil {
			return 0, err
		}
		end := FirstUserID + ID(response.Responses[0].Int)
		m.mu.Lock()
		m.nextID, m.endID = end-block, end
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextID++
	return m.nextID - 1, nil
}
