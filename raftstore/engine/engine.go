// Package engine is Pebble as Cairn uses it: a store has two databases with
// distinct types, so that one can't be taken for the other.
//
//	Log    Raft's entries and hard states; each write is synced before it counts
//	State  what the ranges hold; no write-ahead log: after a crash it is as it
//	       was at its last flush, and the Raft logs in Log are applied again
//
// Both writes of a byte to a write-ahead log and its fsync happen once, in
// Log. State is flushed memtable by memtable in the order of writing, so a
// crash leaves a prefix of what was applied.
//
// State's keys have the form of Pebble's cockroachkvs package: a key, a zero
// byte, and for versions a timestamp that sorts newest first. Its comparer
// knows versions as suffixes, its columnar blocks keep keys and timestamps in
// columns of their own, and its block properties let scans skip by time.
package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/cockroachkvs"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/txn/hlc"
)

// formatVersion is Pebble's format that stores are kept in. A newer binary
// raises it only when no older one may open the store any more.
const formatVersion = pebble.FormatColumnarBlocks

// Reader is what evaluation reads from: State itself, a snapshot of it, or an
// indexed batch on top.
type Reader = pebble.Reader

// Writer is what evaluation writes to: a batch.
type Writer = pebble.Writer

// Log holds Raft's entries and hard states.
type Log struct{ *pebble.DB }

// State holds what the ranges hold.
type State struct{ *pebble.DB }

// Options are how a store's databases are opened.
type Options struct {
	FS         vfs.FS
	Dir        string
	CacheBytes int64
	Logger     *slog.Logger
}

// Engines is a store's pair of databases.
type Engines struct {
	Log   *Log
	State *State
	FS    vfs.FS
	Dir   string

	cache *pebble.Cache
	// full is set while a disk has no room, scarce while it has less than the
	// reserve; see Full.
	full, scarce atomic.Bool
}

// LockedError says that another process has the store open.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("store %s is in use by another process", e.Dir)
}

// Open opens a store's databases, and makes them where there are none. It
// returns *LockedError where another process has them open.
func Open(o Options) (*Engines, error) {
	logDir, stateDir := o.FS.PathJoin(o.Dir, "log"), o.FS.PathJoin(o.Dir, "state")
	for _, dir := range []string{logDir, stateDir} {
		if err := o.FS.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	// A directory survives a crash once the one that it is in is synced.
	for _, dir := range []string{o.Dir, o.FS.PathDir(o.Dir)} {
		if err := syncDir(o.FS, dir); err != nil {
			return nil, err
		}
	}
	e := &Engines{FS: o.FS, Dir: o.Dir, cache: pebble.NewCache(max(o.CacheBytes, 8<<20))}
	logDB, err := pebble.Open(logDir, e.logOptions(o))
	if err != nil {
		e.cache.Unref()
		return nil, openError(o.Dir, err)
	}
	stateDB, err := pebble.Open(stateDir, e.stateOptions(o))
	if err != nil {
		logDB.Close()
		e.cache.Unref()
		return nil, openError(o.Dir, err)
	}
	e.Log, e.State = &Log{logDB}, &State{stateDB}
	return e, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

func openError(dir string, err error) error {
	text := err.Error()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && strings.Contains(text, "LOCK") ||
		strings.Contains(text, "lock held") || strings.Contains(text, "resource temporarily unavailable") {
		return &LockedError{Dir: dir}
	}
	return fmt.Errorf("store %s: %w", dir, err)
}

func (e *Engines) logOptions(o Options) *pebble.Options {
	p := &pebble.Options{
		FS:                    o.FS,
		Cache:                 e.cache,
		FormatMajorVersion:    formatVersion,
		MemTableSize:          32 << 20,
		L0CompactionThreshold: 4,
		Logger:                pebbleLogger{o.Logger},
	}
	p.EventListener = e.listener(o.Logger)
	p.EnsureDefaults()
	return p
}

func (e *Engines) stateOptions(o Options) *pebble.Options {
	p := &pebble.Options{
		FS:                          o.FS,
		Cache:                       e.cache,
		Comparer:                    &cockroachkvs.Comparer,
		KeySchema:                   cockroachkvs.KeySchema.Name,
		KeySchemas:                  sstable.MakeKeySchemas(&cockroachkvs.KeySchema),
		BlockPropertyCollectors:     cockroachkvs.BlockPropertyCollectors,
		FormatMajorVersion:          formatVersion,
		DisableWAL:                  true,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		Logger:                      pebbleLogger{o.Logger},
	}
	p.EventListener = e.listener(o.Logger)
	// Point reads seek within one key: filters spare them tables without it.
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	p.EnsureDefaults()
	return p
}

// listener notices that the disk is full: Pebble tries again by itself, and
// meanwhile the store refuses writes.
func (e *Engines) listener(logger *slog.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if errors.Is(err, syscall.ENOSPC) {
				if !e.full.Swap(true) {
					logger.Error("the disk is full; writes are refused until there is room", "store", e.Dir)
				}
				return
			}
			logger.Error("storage works on after an error in the background", "store", e.Dir, "error", err)
		},
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				e.full.Store(false)
			}
		},
	}
}

// Full reports whether a disk has no room, or none beyond its reserve: then
// the store takes no writes that need more of it.
func (e *Engines) Full() bool { return e.full.Load() || e.scarce.Load() }

// SetAvailable tells of the room on the disk, for Full.
func (e *Engines) SetAvailable(availableBytes, reserveBytes int64, logger *slog.Logger) {
	scarce := availableBytes < reserveBytes
	if e.scarce.Swap(scarce) == scarce {
		return
	}
	if scarce {
		logger.Error("the disk is nearly full; writes are refused until there is room", "store", e.Dir, "availableBytes", availableBytes, "reserveBytes", reserveBytes)
	} else {
		logger.Info("the disk has room again; writes are taken", "store", e.Dir, "availableBytes", availableBytes)
	}
}

// MarkFull notes that a write found no room.
func (e *Engines) MarkFull() { e.full.Store(true) }

// Close flushes State, so that the next start has nothing to apply again, and
// closes both.
func (e *Engines) Close() error {
	err := e.State.Flush()
	if closeErr := e.State.Close(); err == nil {
		err = closeErr
	}
	if closeErr := e.Log.Close(); err == nil {
		err = closeErr
	}
	e.cache.Unref()
	return err
}

// pebbleLogger keeps Pebble's chatter at the debug level.
type pebbleLogger struct{ *slog.Logger }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.Debug(fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.Error(fmt.Sprintf(format, args...))
}

// Fatalf ends the process: Pebble calls it where going on could lose data.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	l.Error(message)
	panic("storage can't go on: " + message)
}

// AppendKey appends the engine key of a key without a version.
func AppendKey(dst, key []byte) []byte {
	return append(append(dst, key...), 0)
}

// AppendVersion appends the engine key of a key's version at ts.
func AppendVersion(dst, key []byte, ts hlc.Timestamp) []byte {
	return cockroachkvs.AppendTimestamp(append(append(dst, key...), 0), uint64(ts.WallTime), uint32(ts.Logical))
}

// DecodeKey splits an engine key into the key and its version's timestamp,
// which is zero for keys without a version. The key shares k's memory.
func DecodeKey(k []byte) (key []byte, ts hlc.Timestamp, err error) {
	key, version, ok := cockroachkvs.DecodeEngineKey(k)
	if !ok {
		return nil, hlc.Timestamp{}, fmt.Errorf("malformed engine key %x", k)
	}
	switch len(version) {
	case 0:
	case 8:
		ts.WallTime = int64(bigEndian64(version))
	case 12:
		ts.WallTime = int64(bigEndian64(version))
		ts.Logical = int32(uint32(version[8])<<24 | uint32(version[9])<<16 | uint32(version[10])<<8 | uint32(version[11]))
	default:
		return nil, hlc.Timestamp{}, fmt.Errorf("malformed engine key %x", k)
	}
	return key, ts, nil
}

func bigEndian64(b []byte) uint64 {
	return uint64(b[0])<<56 | uint64(b[1])<<48 | uint64(b[2])<<40 | uint64(b[3])<<32 |
		uint64(b[4])<<24 | uint64(b[5])<<16 | uint64(b[6])<<8 | uint64(b[7])
}

// SamePrefix reports whether the engine key k is of the given key.
func SamePrefix(k, key []byte) bool {
	return len(k) > len(key) && k[len(key)] == 0 && bytes.Equal(k[:len(key)], key) && cockroachkvs.Split(k) == len(key)+1
}
