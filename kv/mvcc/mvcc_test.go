package mvcc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// TestScripts runs testdata: each directive is "run", its input one operation
// a line, its output what they say. Operations name a transaction with txn=A;
// begin makes it. Timestamps are wall times, or wall.logical.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				fmt.Fprintf(&out, "%s: %s\n", line, s.run(line))
			}
			s.checkStatistics(t)
			return out.String()
		})
	})
}

type script struct {
	t     *testing.T
	state *engine.State
	txns  map[string]*kvpb.Transaction
	stats kvpb.RangeStatistics
}

func newScript(t *testing.T) *script {
	e, err := engine.Open(engine.Options{FS: vfs.NewMem(), Dir: "s", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return &script{t: t, state: e.State, txns: map[string]*kvpb.Transaction{}}
}

// operation is a line taken apart.
type operation struct {
	name string
	args map[string]string
}

func (o operation) has(name string) bool { _, ok := o.args[name]; return ok }

func (o operation) time(name string) (ts hlc.Timestamp) {
	if v, ok := o.args[name]; ok {
		wall, logical, _ := strings.Cut(v, ".")
		w, _ := strconv.ParseInt(wall, 10, 64)
		l, _ := strconv.ParseInt(logical, 10, 32)
		ts = hlc.Timestamp{WallTime: w, Logical: int32(l)}
	}
	return ts
}

func (o operation) int(name string) int64 {
	n, _ := strconv.ParseInt(o.args[name], 10, 64)
	return n
}

func (o operation) value(name string) []byte {
	if v, ok := o.args[name]; ok {
		return []byte(v)
	}
	return nil
}

func key(k string) []byte { return []byte("\x04" + k) }

func (o operation) span() kvpb.Span {
	return kvpb.Span{Key: key(o.args["k"]), EndKey: key(o.args["end"])}
}

func short(ts hlc.Timestamp) string {
	if ts.Logical != 0 {
		return fmt.Sprintf("%d.%d", ts.WallTime, ts.Logical)
	}
	return strconv.FormatInt(ts.WallTime, 10)
}

func (s *script) run(line string) string {
	fields := strings.Fields(line)
	o := operation{name: fields[0], args: map[string]string{}}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		o.args[name] = value
	}
	switch o.name {
	case "begin", "move", "rollback_to", "step", "restart":
		return s.txn(o)
	case "get", "scan", "refresh":
		return s.read(o)
	case "keys":
		return s.dump()
	default:
		return s.write(o)
	}
}

func (s *script) txn(o operation) string {
	name := o.args["txn"]
	t := s.txns[name]
	switch o.name {
	case "begin":
		t = &kvpb.Transaction{ReadTimestamp: o.time("ts"), UncertaintyLimit: o.time("limit")}
		t.ID, t.Key = kvpb.TxnID{name[0]}, key("anchor")
		t.WriteTimestamp, t.MinTimestamp = t.ReadTimestamp, t.ReadTimestamp
		s.txns[name] = t
	case "move":
		t.WriteTimestamp = o.time("ts")
		if !o.has("writes_only") {
			t.ReadTimestamp = o.time("ts")
		}
	case "step":
		t.Sequence = int32(o.int("seq"))
	case "rollback_to":
		t.IgnoredSeqNums = append(t.IgnoredSeqNums, kvpb.SequenceRange{Start: int32(o.int("seq") + 1), End: t.Sequence})
	case "restart":
		t.Epoch++
		t.Sequence, t.IgnoredSeqNums = 0, nil
		t.ReadTimestamp, t.WriteTimestamp = o.time("ts"), o.time("ts")
	}
	return "ok"
}

func (s *script) options(o operation) *ReadOptions {
	r := &ReadOptions{Timestamp: o.time("ts"), Newest: o.has("lock"), MaxKeys: o.int("max"), TargetBytes: o.int("bytes")}
	if t := s.txns[o.args["txn"]]; t != nil {
		r.Txn, r.Timestamp, r.Sequence = t, t.ReadTimestamp, t.Sequence
		r.UncertaintyLimit, r.LocalLimit = t.UncertaintyLimit, t.UncertaintyLimit
		if o.has("observed") {
			r.LocalLimit = o.time("observed")
		}
		if o.has("seq") {
			r.Sequence = int32(o.int("seq"))
		}
	}
	if skip, ok := o.args["skip"]; ok {
		r.Skip = func(k []byte) bool { return string(k) == string(key(skip)) }
	}
	return r
}

func (s *script) read(o operation) string {
	r := NewReader(s.state, true)
	defer r.Close()
	options := s.options(o)
	switch o.name {
	case "get":
		value, at, err := r.Get(key(o.args["k"]), options)
		if err != nil {
			return s.err(err)
		}
		if value == nil {
			return "nothing"
		}
		return fmt.Sprintf("%s @%s", value, short(at))
	case "refresh":
		t := s.txns[o.args["txn"]]
		var err error
		if o.has("end") {
			err = r.RefreshRange(o.span(), t.ID, o.time("from"), o.time("to"))
		} else {
			err = r.Refresh(key(o.args["k"]), t.ID, o.time("from"), o.time("to"))
		}
		return s.err(err)
	}
	found, err := r.Scan(o.span(), o.has("reverse"), options)
	if err != nil {
		return s.err(err)
	}
	return rows(found)
}

func rows(found ScanResult) string {
	var all []string
	for _, row := range found.Rows {
		all = append(all, fmt.Sprintf("%s=%s@%s", row.Key[1:], row.Value, short(row.Timestamp)))
	}
	if found.Resume != nil {
		all = append(all, fmt.Sprintf("(resume %q-%q)", found.Resume.Key[1:], found.Resume.EndKey[1:]))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, " ")
}

// write runs an operation on a batch and applies it unless it fails.
func (s *script) write(o operation) string {
	w := &Writer{Batch: s.state.NewBatch(), Txn: s.txns[o.args["txn"]], Timestamp: o.time("ts"), ReadTimestamp: o.time("ts"), Clock: o.time("clock")}
	w.Reader = NewReader(s.state, true)
	defer w.Batch.Close()
	var sequence int32
	if t := w.Txn; t != nil {
		w.Timestamp, w.ReadTimestamp = t.WriteTimestamp, t.ReadTimestamp
		if w.Clock.IsEmpty() {
			w.Clock = w.Timestamp
		}
		if o.has("seq") {
			t.Sequence = int32(o.int("seq"))
		} else if o.name != "resolve" {
			t.Sequence++
		}
		sequence = t.Sequence
	}
	w.Direct = o.has("direct")
	answer, err := s.evaluate(w, o, sequence)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return s.err(err)
	}
	if err := w.Batch.Commit(pebble.NoSync); err != nil {
		return err.Error()
	}
	add(&s.stats, &w.Stats)
	return answer
}

func (s *script) evaluate(w *Writer, o operation, sequence int32) (string, error) {
	k := key(o.args["k"])
	switch o.name {
	case "put":
		return "ok", w.Put(k, o.value("v"), sequence)
	case "cput":
		return "ok", w.ConditionalPut(k, o.value("v"), o.value("expect"), sequence)
	case "del":
		found, err := w.Delete(k, sequence)
		return fmt.Sprintf("found=%t", found), err
	case "inc":
		n, err := w.Increment(k, o.int("by"), sequence)
		return strconv.FormatInt(n, 10), err
	case "delrange":
		options := s.options(o)
		if w.Txn == nil {
			options.Timestamp = w.ReadTimestamp
		}
		options.Newest = true
		found, err := w.DeleteRange(o.span(), options, sequence)
		return rows(found), err
	case "resolve":
		status := map[string]kvpb.TxnStatus{"commit": kvpb.Committed, "abort": kvpb.Aborted, "push": kvpb.Pending}[o.args["as"]]
		a := &kvpb.ResolveArgs{Txn: w.Txn.TxnMeta, Status: status, IgnoredSeqNums: w.Txn.IgnoredSeqNums}
		if o.has("at") {
			a.Txn.WriteTimestamp = o.time("at")
		}
		if o.has("end") {
			resolved, resume, err := w.ResolveRange(o.span(), a, 100)
			return fmt.Sprintf("%d resolved, resume=%v", len(resolved), resume), err
		}
		found, err := w.Resolve(k, a)
		return fmt.Sprintf("found=%t", found), err
	case "gc":
		g, err := w.CollectGarbage(o.span(), o.time("threshold"), 1000)
		return fmt.Sprintf("%d removed, %d remain", g.Versions, g.Remaining), err
	}
	return "", errors.New("unknown operation")
}

func (s *script) err(err error) string {
	switch e := err.(type) {
	case nil:
		return "ok"
	case *kvpb.LockConflictError:
		var all []string
		for _, l := range e.Locks {
			all = append(all, fmt.Sprintf("%s held by %c at %s", l.Key[1:], l.Txn.ID[0], short(l.Txn.WriteTimestamp)))
		}
		return "conflict: " + strings.Join(all, ", ")
	case *kvpb.WriteTooOldError:
		return "too old, must be at " + short(e.Actual)
	case *kvpb.UncertaintyError:
		return "uncertain: version at " + short(e.Existing)
	case *kvpb.TransactionRetryError:
		return fmt.Sprintf("retry: reason %d at %s", e.Reason, short(e.At))
	case *kvpb.ConditionFailedError:
		return fmt.Sprintf("condition failed: %q", e.Actual)
	}
	return "error: " + err.Error()
}

// dump lists all engine keys.
func (s *script) dump() string {
	iter, err := s.state.NewIter(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer iter.Close()
	var all []string
	for iter.First(); iter.Valid(); iter.Next() {
		k, ts, err := engine.DecodeKey(iter.Key())
		if err != nil {
			s.t.Fatal(err)
		}
		if locked, err := keys.DecodeLock(k); err == nil {
			var i Intent
			if err := i.decode(iter.Value()); err != nil {
				s.t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("[%s: %c seq %d at %s, %d earlier]", locked[1:], i.Txn.ID[0], i.Txn.Sequence, short(i.Txn.WriteTimestamp), len(i.earlier)))
			continue
		}
		value, local, err := decodeValue(iter.Value())
		if err != nil {
			s.t.Fatal(err)
		}
		text := string(value)
		if len(value) == 8 {
			text = strconv.FormatInt(int64(binary.BigEndian.Uint64(value)), 10)
		}
		if value == nil {
			text = "(deleted)"
		}
		if !local.IsEmpty() {
			text += " local " + short(local)
		}
		all = append(all, fmt.Sprintf("%s@%s=%s", k[1:], short(ts), text))
	}
	return strings.Join(all, " ")
}

func add(to, delta *kvpb.RangeStatistics) {
	to.LiveBytes += delta.LiveBytes
	to.LiveCount += delta.LiveCount
	to.KeyBytes += delta.KeyBytes
	to.ValueBytes += delta.ValueBytes
	to.KeyCount += delta.KeyCount
	to.VersionCount += delta.VersionCount
	to.LockCount += delta.LockCount
}

// checkStatistics compares what the writes added up to with what is there.
func (s *script) checkStatistics(t *testing.T) {
	t.Helper()
	actual, err := Statistics(s.state, keys.TableMin, keys.TableMax)
	if err != nil {
		t.Fatal(err)
	}
	if actual != s.stats {
		t.Errorf("statistics add up to %+v; there is %+v", s.stats, actual)
	}
}
