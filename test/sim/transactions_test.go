package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn"
)

func listKey(key int) string { return fmt.Sprintf("\x04list/%02d", key) }

func decodeList(value []byte) []int64 {
	var list []int64
	for ; len(value) >= 8; value = value[8:] {
		list = append(list, int64(binary.BigEndian.Uint64(value)))
	}
	return list
}

func get(ctx context.Context, t *txn.Txn, key string, lock kvpb.LockStrength) ([]byte, error) {
	r, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte(key), Lock: lock}}})
	if err != nil {
		return nil, err
	}
	return r[0].Value, nil
}

func put(ctx context.Context, t *txn.Txn, key string, value []byte) error {
	_, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Put, Key: []byte(key), Value: value}}})
	return err
}

// workload is random transactions on lists.
type workload struct {
	keys     int
	elements atomic.Int64
	history  history
	retries  atomic.Int64
	unknown  atomic.Int64
}

// run makes one transaction of random reads and appends, retried until it
// commits.
func (w *workload) run(ctx context.Context, db *txn.DB, random *rand.Rand) error {
	steps := 1 + random.IntN(4)
	var a *attempt
	err := db.Run(ctx, txn.Options{}, func(ctx context.Context, t *txn.Txn) error {
		if a != nil {
			w.retries.Add(1)
		}
		a = &attempt{}
		t.Step()
		for range steps {
			if err := w.step(ctx, t, a, random); err != nil {
				return err
			}
			t.Step()
			time.Sleep(time.Duration(random.Int64N(int64(time.Millisecond)))) // so that others come between
		}
		return nil
	})
	switch {
	case err == nil:
		w.history.add(a)
	case errors.As(err, new(*kvpb.AmbiguousResultError)):
		w.unknown.Add(1)
		a.unknown = true
		w.history.add(a)
		return nil
	}
	return err
}

func (w *workload) step(ctx context.Context, t *txn.Txn, a *attempt, random *rand.Rand) error {
	key := random.IntN(w.keys)
	switch random.IntN(6) {
	case 0: // a scan over some lists
		to := min(key+1+random.IntN(4), w.keys)
		kind := kvpb.Scan
		if random.IntN(2) == 0 {
			kind = kvpb.ReverseScan
		}
		r, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kind, Key: []byte(listKey(key)), EndKey: []byte(listKey(to))}}})
		if err != nil {
			return err
		}
		seen := map[string][]byte{}
		for _, row := range r[0].Rows {
			seen[string(row.Key)] = row.Value
		}
		for k := key; k < to; k++ {
			a.operations = append(a.operations, operation{key: k, list: decodeList(seen[listKey(k)])})
		}
		return nil
	case 1, 2: // a read
		value, err := get(ctx, t, listKey(key), kvpb.LockNone)
		if err != nil {
			return err
		}
		a.operations = append(a.operations, operation{key: key, list: decodeList(value)})
		return nil
	case 3: // an append that is undone
		s := t.Savepoint()
		if err := w.append(ctx, t, &attempt{}, key, kvpb.LockUpdate); err != nil {
			return err
		}
		return t.RollbackTo(ctx, s)
	case 4: // a conditional append
		value, err := get(ctx, t, listKey(key), kvpb.LockNone)
		if err != nil {
			return err
		}
		a.operations = append(a.operations, operation{key: key, list: decodeList(value)})
		element := w.elements.Add(1)
		_, err = t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.ConditionalPut, Key: []byte(listKey(key)),
			Expected: value, Value: appendElement(value, element)}}})
		if err == nil {
			a.operations = append(a.operations, operation{key: key, append: element})
		}
		return err
	default:
		lock := kvpb.LockNone
		if random.IntN(2) == 0 {
			lock = kvpb.LockUpdate
		}
		return w.append(ctx, t, a, key, lock)
	}
}

func appendElement(list []byte, element int64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), list...), uint64(element))
}

func (w *workload) append(ctx context.Context, t *txn.Txn, a *attempt, key int, lock kvpb.LockStrength) error {
	value, err := get(ctx, t, listKey(key), lock)
	if err != nil {
		return err
	}
	a.operations = append(a.operations, operation{key: key, list: decodeList(value)})
	element := w.elements.Add(1)
	if err := put(ctx, t, listKey(key), appendElement(value, element)); err != nil {
		return err
	}
	a.operations = append(a.operations, operation{key: key, append: element})
	return nil
}

// final reads all lists.
func (w *workload) final(ctx context.Context, db *txn.DB) (map[int][]int64, error) {
	lists := map[int][]int64{}
	err := db.Run(ctx, txn.Options{}, func(ctx context.Context, t *txn.Txn) error {
		for k := range w.keys {
			value, err := get(ctx, t, listKey(k), kvpb.LockNone)
			if err != nil {
				return err
			}
			lists[k] = decodeList(value)
		}
		return nil
	})
	return lists, err
}

// circumstances are what a run of random transactions goes through.
type circumstances struct {
	nodes, clients, each int
	loss                 int // percent
	// early makes some coordinators lay every write down at once.
	early bool
	seed  uint64
}

// TestTransactionsAreSerializable runs random transactions on a few hot keys
// while their ranges split and leases move.
func TestTransactionsAreSerializable(t *testing.T) {
	seeds := uint64(2)
	if n, err := strconv.ParseUint(os.Getenv("CAIRN_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for _, c := range []circumstances{
		{nodes: 1, clients: 8, each: 60},
		{nodes: 1, clients: 8, each: 40, early: true},
		{nodes: 3, clients: 9, each: 40},
		{nodes: 3, clients: 9, each: 30, early: true, loss: 5},
	} {
		for c.seed = range seeds {
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runSerializable(t, c) })
			})
		}
	}
}

func runSerializable(t *testing.T, circumstances circumstances) {
	nodes, clients, each, seed := circumstances.nodes, circumstances.clients, circumstances.each, circumstances.seed
	s := newSimulation(t, nodes, seed)
	s.setLoss(circumstances.loss)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	w := &workload{keys: 8}
	began := time.Now()
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			n := s.nodes[c%nodes]
			db := n.db
			if circumstances.early && c%2 == 0 {
				db = txn.NewDB(txn.Config{Sender: n.router, Clock: db.Clock(), Node: n.id, BufferBytes: 1})
				defer db.Close()
			}
			for range each {
				if err := w.run(ctx, db, random); err != nil {
					t.Errorf("client %d: %v", c, err)
					return
				}
				time.Sleep(s.delay(time.Millisecond))
			}
		})
	}
	running.Go(func() {
		for i := 1; i < w.keys; i += 2 {
			time.Sleep(s.delay(40 * time.Millisecond))
			if err := s.split(ctx, listKey(i)); err != nil && circumstances.loss == 0 {
				t.Errorf("split: %v", err)
			}
			if nodes > 1 {
				// A transfer may be refused where the target is behind.
				if err := s.transferLease(ctx, listKey(i), kvpb.StoreID(1+i%nodes)); err != nil {
					t.Logf("lease transfer: %v", err)
				}
			}
		}
	})
	running.Wait()
	s.setLoss(0)
	t.Logf("%d transactions, %d retries, %d unknown, %s of virtual time", len(w.history.attempts), w.retries.Load(), w.unknown.Load(), time.Since(began))
	lists, err := w.final(ctx, s.nodes[0].db)
	if err != nil {
		t.Fatal(err)
	}
	w.history.check(t, lists)
	s.close()
}

// simulate runs a test on one node with keys a… and b… on different ranges.
func simulate(t *testing.T, nodes int, test func(ctx context.Context, t *testing.T, s *simulation)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, nodes, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := s.split(ctx, "\x04b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // until the leases are spread
		test(ctx, t, s)
		s.close()
	})
}

func TestWriteSkewDoesNotHappen(t *testing.T) {
	simulate(t, 1, func(ctx context.Context, t *testing.T, s *simulation) {
		db := s.nodes[0].db
		one, other := db.Begin(txn.Options{}), db.Begin(txn.Options{})
		for _, x := range []*txn.Txn{one, other} {
			for _, key := range []string{"\x04a", "\x04b"} {
				if _, err := get(ctx, x, key, kvpb.LockNone); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := put(ctx, one, "\x04a", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if err := put(ctx, other, "\x04b", []byte("1")); err != nil {
			t.Fatal(err)
		}
		first, second := one.Commit(ctx), other.Commit(ctx)
		if first != nil || !txn.IsRetryable(second) {
			t.Fatalf("commits returned %v and %v", first, second)
		}
		if err := other.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeadlocksAreBrokenSoon(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		simulate(t, nodes, func(ctx context.Context, t *testing.T, s *simulation) {
			names := []string{"\x04a", "\x04b", "\x04c"}
			var txns []*txn.Txn
			for i, key := range names {
				x := s.nodes[i%nodes].db.Begin(txn.Options{})
				time.Sleep(50 * time.Millisecond) // ages that differ by more than the clocks
				if _, err := get(ctx, x, key, kvpb.LockUpdate); err != nil {
					t.Fatal(err)
				}
				txns = append(txns, x)
			}
			began := time.Now()
			var failures [3]error
			var running sync.WaitGroup
			for i, x := range txns {
				running.Go(func() {
					if _, failures[i] = get(ctx, x, names[(i+1)%3], kvpb.LockUpdate); failures[i] == nil {
						failures[i] = x.Commit(ctx)
					} else if err := x.Rollback(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			running.Wait()
			took := time.Since(began)
			t.Logf("%d nodes: %s", nodes, took)
			if took > time.Second {
				t.Errorf("the deadlock lasted %s", took)
			}
			if failures[0] != nil || failures[1] != nil {
				t.Errorf("the older transactions failed: %v, %v", failures[0], failures[1])
			}
			if aborted, ok := errors.AsType[*kvpb.TransactionAbortedError](failures[2]); !ok || aborted.Reason != kvpb.AbortDeadlock {
				t.Errorf("the youngest got %v", failures[2])
			}
		})
	}
}
