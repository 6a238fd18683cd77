package concurrency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// script runs commands against a Manager, under virtual time. After each one
// it waits until every goroutine is blocked, and tells what is new.
type script struct {
	t       *testing.T
	m       *Manager
	txns    map[string]*kvpb.Transaction
	mu      sync.Mutex
	guards  map[string]*Guard
	cancels map[string]context.CancelFunc
	news    []string
	pushes  map[string]*pushResult // that wait, by pushee
	waiting map[string][]string    // by pushee: who waits for it elsewhere
}

// pushResult is how all pushes of a transaction end that wait.
type pushResult struct {
	pushee *kvpb.Transaction
	done   chan struct{}
}

func (s *script) tell(format string, arguments ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = append(s.news, fmt.Sprintf(format, arguments...))
}

func (s *script) name(id kvpb.TxnID) string {
	for name, t := range s.txns {
		if t.ID == id {
			return name
		}
	}
	return "nobody"
}

// Push implements Pusher: the script says how pushes end.
func (s *script) Push(ctx context.Context, pusher *kvpb.Transaction, _ hlc.Timestamp, pushee kvpb.TxnMeta, kind kvpb.PushType) (*kvpb.Transaction, error) {
	by := "a request without transaction"
	if pusher != nil {
		by = s.name(pusher.ID)
	}
	name := s.name(pushee.ID)
	s.tell("%s pushes %s (%s)", by, name, []string{"timestamp", "abort", "touch"}[kind])
	if kind == kvpb.PushTouch {
		if t := s.txns[name]; t.Status == kvpb.Pending {
			return nil, &kvpb.TransactionPushError{Pushee: *t}
		}
		return s.txns[name], nil
	}
	s.mu.Lock()
	result := s.pushes[name]
	if result == nil {
		result = &pushResult{done: make(chan struct{})}
		s.pushes[name] = result
	}
	s.mu.Unlock()
	select {
	case <-result.done:
		return result.pushee, nil
	case <-ctx.Done():
	}
	select {
	case <-result.done:
		return result.pushee, nil // both at once
	default:
		s.tell("%s's push of %s is given up", by, name)
		return nil, ctx.Err()
	}
}

// Resolve implements Pusher.
func (s *script) Resolve(_ context.Context, spans []kvpb.Span, txn *kvpb.Transaction) error {
	var names []string
	for _, span := range spans {
		names = append(names, string(span.Key))
		s.m.LocksResolved(&kvpb.ResolveArgs{Txn: txn.TxnMeta, Status: txn.Status}, span)
	}
	s.tell("resolve %s of %s", strings.Join(names, ","), s.name(txn.ID))
	return nil
}

var strengths = map[string]kvpb.LockStrength{
	"key-share": kvpb.LockKeyShare, "share": kvpb.LockShare, "no-key-update": kvpb.LockNoKeyUpdate, "update": kvpb.LockUpdate,
}

func at(n int) hlc.Timestamp { return hlc.Timestamp{WallTime: int64(n)} }

func span(text string) kvpb.Span {
	from, to, _ := strings.Cut(text, "-")
	if to == "" {
		return kvpb.Span{Key: []byte(from)}
	}
	return kvpb.Span{Key: []byte(from), EndKey: []byte(to)}
}

// request reads what a request does: read=, write=, or a lock strength with
// keys or spans.
func (s *script) request(d *datadriven.TestData) Request {
	r := Request{Timestamp: at(10)}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "txn":
			r.Txn = s.txns[a.Vals[0]]
			r.Timestamp = r.Txn.ReadTimestamp
		case "nowait":
			r.Wait = kvpb.WaitError
		case "skip":
			r.Wait = kvpb.WaitSkip
		case "timeout":
			timeout, err := time.ParseDuration(a.Vals[0])
			if err != nil {
				s.t.Fatal(err)
			}
			r.LockTimeout = timeout
		case "latches-only":
			r.NoLockTable = true
		}
	}
	for _, a := range d.CmdArgs {
		for _, v := range a.Vals {
			switch strength, locks := strengths[a.Key]; {
			case a.Key == "read":
				r.Latches = append(r.Latches, Latch{Span: span(v), Timestamp: r.Timestamp})
				r.Locks = append(r.Locks, LockAccess{Span: span(v)})
			case a.Key == "write":
				r.Latches = append(r.Latches, Latch{Span: span(v), Timestamp: r.Timestamp, Write: true})
				r.Locks = append(r.Locks, LockAccess{Span: span(v), Strength: kvpb.LockUpdate})
			case locks:
				r.Latches = append(r.Latches, Latch{Span: span(v), Write: true})
				r.Locks = append(r.Locks, LockAccess{Span: span(v), Strength: strength})
			}
		}
	}
	return r
}

// sequence starts a request, or goes on with one, and tells how it ends.
func (s *script) sequence(name string, g *Guard, r Request) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.cancels[name] = cancel
	s.mu.Unlock()
	go func() {
		g, err := s.m.Sequence(ctx, g, r)
		if err != nil {
			s.tell("%s: %s", name, describe(err))
			return
		}
		s.mu.Lock()
		s.guards[name] = g
		s.mu.Unlock()
		s.tell("%s goes on", name)
	}()
}

func describe(err error) string {
	var aborted *kvpb.TransactionAbortedError
	switch {
	case errors.As(err, &aborted):
		return fmt.Sprintf("aborted (reason %d)", aborted.Reason)
	case errors.As(err, new(*kvpb.NotLeaseholderError)):
		return "not leaseholder"
	}
	return err.Error()
}

// take returns the guard of a request that goes on, and forgets it.
func (s *script) take(name string) *Guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guards[name]
	delete(s.guards, name)
	return g
}

func (s *script) run(d *datadriven.TestData) string {
	var name string
	var key string
	if d.HasArg("name") {
		d.ScanArgs(s.t, "name", &name)
	}
	if d.HasArg("key") {
		d.ScanArgs(s.t, "key", &key)
	}
	txnOf := func() *kvpb.Transaction {
		var n string
		d.ScanArgs(s.t, "txn", &n)
		return s.txns[n]
	}
	switch d.Cmd {
	case "txn":
		ts, priority := 10, 0
		d.MaybeScanArgs(s.t, "ts", &ts)
		d.MaybeScanArgs(s.t, "priority", &priority)
		t := &kvpb.Transaction{TxnMeta: kvpb.TxnMeta{Key: []byte(name), Priority: int32(priority), WriteTimestamp: at(ts), MinTimestamp: at(ts)}, ReadTimestamp: at(ts)}
		copy(t.ID[:], name)
		s.txns[name] = t
	case "request":
		s.sequence(name, nil, s.request(d))
	case "finish":
		s.m.Finish(s.take(name))
	case "cancel":
		s.cancels[name]()
	case "acquire":
		var strength string
		d.ScanArgs(s.t, "strength", &strength)
		s.m.LockAcquired(&txnOf().TxnMeta, []byte(key), strengths[strength], d.HasArg("durable"))
	case "conflict": // evaluation of request name met an intent
		g := s.take(name)
		r := g.request
		g, err := s.m.HandleConflict(context.Background(), g, &kvpb.LockConflictError{Locks: []kvpb.Lock{{
			Key: []byte(key), Txn: txnOf().TxnMeta, Strength: kvpb.LockUpdate}}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.sequence(name, g, r)
	case "end", "pushed": // a transaction ends, or its write timestamp moves, as its pushers learn
		t := txnOf()
		if d.Cmd == "end" {
			t.Status = kvpb.Committed
			if d.HasArg("aborted") {
				t.Status = kvpb.Aborted
			}
		} else {
			var ts int
			d.ScanArgs(s.t, "ts", &ts)
			t.WriteTimestamp = at(ts)
		}
		s.m.TransactionUpdated(t)
		s.mu.Lock()
		if result := s.pushes[s.name(t.ID)]; result != nil {
			result.pushee = t
			close(result.done)
			delete(s.pushes, s.name(t.ID))
		}
		s.mu.Unlock()
	case "resolved":
		t := txnOf()
		s.m.LocksResolved(&kvpb.ResolveArgs{Txn: t.TxnMeta, Status: t.Status}, span(key))
	case "advance":
		var by string
		d.ScanArgs(s.t, "by", &by)
		duration, err := time.ParseDuration(by)
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(duration)
	case "skips":
		return fmt.Sprintln(s.guards[name].SkipsLocked([]byte(key)))
	case "lease-lost":
		s.m.LeaseLost()
	case "split":
		s.m.Split([]byte(key), NewManager(Config{Pusher: s}))
	case "table":
		return s.table()
	case "waiting": // transactions that wait for another one, elsewhere
		var by []string
		for _, a := range d.CmdArgs {
			if a.Key == "by" {
				by = a.Vals
			}
		}
		s.waiting[s.name(txnOf().ID)] = by
	case "wait-for-push":
		var pusher, pushee string
		d.ScanArgs(s.t, "pusher", &pusher)
		d.ScanArgs(s.t, "pushee", &pushee)
		s.waitForPush(s.txns[pusher], s.txns[pushee])
	default:
		s.t.Fatalf("unknown command %s", d.Cmd)
	}
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.news)
	out := strings.Join(s.news, "\n")
	s.news = nil
	if out == "" {
		return "ok\n"
	}
	return out + "\n"
}

func (s *script) waitForPush(pusher, pushee *kvpb.Transaction) {
	query := func(_ context.Context, m kvpb.TxnMeta) (*kvpb.Transaction, []kvpb.TxnMeta, error) {
		waiters := s.m.WaitersOf(m.ID)
		for _, name := range s.waiting[s.name(m.ID)] {
			waiters = append(waiters, s.txns[name].TxnMeta)
		}
		return s.txns[s.name(m.ID)], waiters, nil
	}
	args := &kvpb.PushArgs{Pusher: pusher.TxnMeta, Pushee: pushee.TxnMeta, Type: kvpb.PushAbort}
	go func() {
		t, err := s.m.WaitForPush(context.Background(), args, query)
		what := fmt.Sprintf("%s's push of %s", s.name(pusher.ID), s.name(pushee.ID))
		switch {
		case err != nil:
			s.tell("%s: %s", what, describe(err))
		case t != nil:
			s.tell("%s: status %d", what, t.Status)
		case args.Force:
			s.tell("%s: again, with force", what)
		default:
			s.tell("%s: again", what)
		}
	}()
}

func (s *script) table() string {
	names := []string{"read", "key-share", "share", "no-key-update", "update"}
	var b strings.Builder
	for _, l := range s.m.Waiting() {
		fmt.Fprintf(&b, "%s:", l.Key)
		for _, h := range l.Holders {
			fmt.Fprintf(&b, " held by %s (%s", s.name(h.Txn.ID), names[h.Strength])
			if h.Durable {
				b.WriteString(", durable")
			}
			b.WriteString(")")
		}
		for _, w := range l.Waiters {
			fmt.Fprintf(&b, ", waits %s (%s)", s.name(w.Txn.ID), names[w.Strength])
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return "empty\n"
	}
	return b.String()
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{t: t, txns: map[string]*kvpb.Transaction{}, guards: map[string]*Guard{}, cancels: map[string]context.CancelFunc{},
				pushes: map[string]*pushResult{}, waiting: map[string][]string{}}
			s.m = NewManager(Config{Pusher: s})
			datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
			for _, cancel := range s.cancels {
				cancel()
			}
			s.m.LeaseLost()
			synctest.Wait()
		})
	})
}
