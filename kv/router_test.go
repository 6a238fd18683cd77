package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// fakeCluster is ranges on three nodes that keep plain values.
type fakeCluster struct {
	mu     sync.Mutex
	values map[string]string
	ranges []*fakeRange
	log    []string // what arrived, as "node:range kinds"
	// fail, if set, may answer in a node's place.
	fail func(node kvpb.NodeID, b *kvpb.BatchRequest) error
}

type fakeRange struct {
	descriptor  kvpb.RangeDescriptor
	leaseholder kvpb.NodeID
}

func newFakeCluster(splits ...string) *fakeCluster {
	c := &fakeCluster{values: map[string]string{}}
	bounds := append([]string{string(keys.Min)}, splits...)
	for i, start := range bounds {
		end := string(keys.Max)
		if i+1 < len(bounds) {
			end = bounds[i+1]
		}
		d := kvpb.RangeDescriptor{Range: kvpb.RangeID(i + 1), Start: []byte(start), End: []byte(end), Generation: 1}
		for n := kvpb.NodeID(1); n <= 3; n++ {
			d.Replicas = append(d.Replicas, kvpb.ReplicaDescriptor{Node: n, Store: kvpb.StoreID(n), Replica: kvpb.ReplicaID(n)})
		}
		c.ranges = append(c.ranges, &fakeRange{d, kvpb.NodeID(1 + i%3)})
		c.publish(&d)
	}
	return c
}

func (c *fakeCluster) publish(d *kvpb.RangeDescriptor) {
	c.values[string(keys.Meta(d.End))] = string(d.Append(nil))
}

// split cuts a range; the directory hears of it only if told.
func (c *fakeCluster) split(at string, published bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ranges {
		if !r.descriptor.Contains([]byte(at)) {
			continue
		}
		right := r.descriptor
		right.Range, right.Start = kvpb.RangeID(len(c.ranges)+1), []byte(at)
		r.descriptor.End = []byte(at)
		r.descriptor.Generation++
		right.Generation++
		c.ranges = append(c.ranges, &fakeRange{right, r.leaseholder})
		if published {
			c.publish(&right)
			c.publish(&r.descriptor)
		}
		return
	}
}

func (c *fakeCluster) router(node kvpb.NodeID) *Router {
	return NewRouter(RouterConfig{
		Node: node, Local: fakeNode{c, node},
		Remote: func(id kvpb.NodeID) (Sender, bool) { return fakeNode{c, id}, true },
		FirstRange: func() (kvpb.RangeDescriptor, bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.ranges[0].descriptor, true
		},
		Clock: hlc.NewClock(hlc.SystemClock, 0),
	})
}

type fakeNode struct {
	c  *fakeCluster
	id kvpb.NodeID
}

var kindNames = map[kvpb.Kind]string{kvpb.Get: "get", kvpb.Scan: "scan", kvpb.ReverseScan: "reverse", kvpb.Put: "put", kvpb.EndTxn: "end", kvpb.ResolveIntentRange: "resolve"}

func (n fakeNode) Send(_ context.Context, b *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail(n.id, b); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(c.ranges, func(r *fakeRange) bool { return r.descriptor.Range == b.Range })
	if i < 0 {
		return nil, &kvpb.Error{Detail: &kvpb.RangeNotFoundError{Range: b.Range}}
	}
	r := c.ranges[i]
	if r.leaseholder != n.id {
		holder, _ := r.descriptor.ReplicaOn(kvpb.StoreID(r.leaseholder))
		return nil, &kvpb.Error{Detail: &kvpb.NotLeaseholderError{Descriptor: r.descriptor, Leaseholder: holder}}
	}
	for i := range b.Requests {
		if s := (kvpb.Span{Key: b.Requests[i].Key, EndKey: b.Requests[i].EndKey}); !r.descriptor.ContainsSpan(s) {
			e := &kvpb.RangeKeyMismatchError{Requested: s, Ranges: []kvpb.RangeInfo{{Descriptor: r.descriptor}}}
			for _, other := range c.ranges {
				if other.descriptor.Contains(s.Key) {
					e.Ranges = append(e.Ranges, kvpb.RangeInfo{Descriptor: other.descriptor})
				}
			}
			return nil, &kvpb.Error{Detail: e}
		}
	}
	var kinds []string
	response := &kvpb.BatchResponse{Txn: b.Txn}
	left := b.MaxKeys
	for i := range b.Requests {
		q := &b.Requests[i]
		kinds = append(kinds, kindNames[q.Kind])
		response.Responses = append(response.Responses, c.evaluate(q, b.MaxKeys > 0, &left))
	}
	if !bytes.HasPrefix(b.Requests[0].Key, keys.MetaMin) {
		c.log = append(c.log, fmt.Sprintf("%d:%d %s", n.id, b.Range, strings.Join(kinds, " ")))
	}
	return response, nil
}

func (c *fakeCluster) evaluate(q *kvpb.Request, bounded bool, left *int64) (a kvpb.Response) {
	switch q.Kind {
	case kvpb.Put:
		c.values[string(q.Key)] = string(q.Value)
	case kvpb.Get:
		a.Value = []byte(c.values[string(q.Key)])
	case kvpb.ResolveIntentRange:
		a.NumKeys = 1
	case kvpb.Scan, kvpb.ReverseScan:
		var found []string
		for k := range c.values {
			if k >= string(q.Key) && k < string(q.EndKey) {
				found = append(found, k)
			}
		}
		sort.Strings(found)
		if q.Kind == kvpb.ReverseScan {
			slices.Reverse(found)
		}
		for i, k := range found {
			if bounded && *left == 0 {
				a.Resume = &kvpb.Span{Key: []byte(k), EndKey: q.EndKey}
				if q.Kind == kvpb.ReverseScan {
					a.Resume = &kvpb.Span{Key: q.Key, EndKey: []byte(found[i-1])}
				}
				break
			}
			*left--
			a.Rows = append(a.Rows, kvpb.KeyValue{Key: []byte(k), Value: []byte(c.values[k])})
		}
	}
	return a
}

func (c *fakeCluster) takeLog() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.log)
	s := strings.Join(c.log, ", ")
	c.log = nil
	return s
}

func rowKeys(a *kvpb.Response) string {
	var b strings.Builder
	for _, row := range a.Rows {
		b.Write(row.Key[1:])
	}
	return b.String()
}

// table is a cluster with rows a…i on the ranges [,d) [d,g) [g,).
func table(t *testing.T) (*fakeCluster, *Router) {
	t.Helper()
	c := newFakeCluster("\x04d", "\x04g")
	r := c.router(1)
	b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: &kvpb.Transaction{}}}
	for k := 'a'; k <= 'i'; k++ {
		b.Requests = append(b.Requests, kvpb.Request{Kind: kvpb.Put, Key: []byte("\x04" + string(k)), Value: []byte{byte(k)}})
	}
	b.Requests = append(b.Requests, kvpb.Request{Kind: kvpb.EndTxn, Key: []byte("\x04e"), EndTxn: &kvpb.EndTxnArgs{Commit: true}})
	if _, err := r.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, want := c.takeLog(), "1:1 put put put, 2:2 put put put end, 3:3 put put put"; got != want {
		t.Fatalf("sent %s, want %s", got, want)
	}
	return c, r
}

// TestWritesGoWithTheEndUnlessTheirOrderMatters: a read on the record's range
// may be about what the batch writes there.
func TestWritesGoWithTheEndUnlessTheirOrderMatters(t *testing.T) {
	c, r := table(t)
	put := func(key string) kvpb.Request {
		return kvpb.Request{Kind: kvpb.Put, Key: []byte(key), Value: []byte("w")}
	}
	for _, e := range []struct {
		read kvpb.Request
		want string
	}{
		{kvpb.Request{Kind: kvpb.Get, Key: []byte("\x04e")}, "1:1 put, 2:2 end, 2:2 put get put"},
		{kvpb.Request{Kind: kvpb.Scan, Key: []byte("\x04a"), EndKey: []byte("\x04e")}, "1:1 put scan, 2:2 end, 2:2 put scan put"},
		{kvpb.Request{Kind: kvpb.Get, Key: []byte("\x04b")}, "1:1 put get, 2:2 put put end"},
	} {
		b := &kvpb.BatchRequest{Header: kvpb.Header{Txn: &kvpb.Transaction{}}, Requests: []kvpb.Request{put("\x04e"), put("\x04a"), e.read, put("\x04f"),
			{Kind: kvpb.EndTxn, Key: []byte("\x04d"), EndTxn: &kvpb.EndTxnArgs{Commit: true}}}}
		got, err := r.Send(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if sent := c.takeLog(); sent != e.want {
			t.Errorf("sent %s, want %s", sent, e.want)
		}
		if len(got.Responses) != 5 || e.read.Kind == kvpb.Get && got.Responses[2].Value == nil {
			t.Errorf("responses are out of order: %+v", got.Responses)
		}
	}
}

func TestScansAreDividedAndPutTogether(t *testing.T) {
	c, r := table(t)
	scan := func(kind kvpb.Kind, from, to string, limit int64) (string, string) {
		t.Helper()
		got, err := r.Send(t.Context(), &kvpb.BatchRequest{Header: kvpb.Header{MaxKeys: limit},
			Requests: []kvpb.Request{{Kind: kind, Key: []byte(from), EndKey: []byte(to)}}})
		if err != nil {
			t.Fatal(err)
		}
		a := &got.Responses[0]
		if a.Resume == nil {
			return rowKeys(a), ""
		}
		return rowKeys(a), fmt.Sprintf("%s-%s", a.Resume.Key[1:], a.Resume.EndKey[1:])
	}
	for _, e := range []struct {
		kind         kvpb.Kind
		from, to     string
		limit        int64
		rows, resume string
	}{
		{kvpb.Scan, "\x04a", "\x04z", 0, "abcdefghi", ""},
		{kvpb.ReverseScan, "\x04a", "\x04z", 0, "ihgfedcba", ""},
		{kvpb.Scan, "\x04b", "\x04h", 0, "bcdefg", ""},
		{kvpb.Scan, "\x04b", "\x04h", 4, "bcde", "f-h"},
		{kvpb.Scan, "\x04b", "\x04h", 2, "bc", "d-h"},
		{kvpb.ReverseScan, "\x04b", "\x04i", 4, "hgfe", "b-e"},
		{kvpb.ReverseScan, "\x04b", "\x04i", 100, "hgfedcb", ""},
	} {
		rows, resume := scan(e.kind, e.from, e.to, e.limit)
		if rows != e.rows || resume != e.resume {
			t.Errorf("%s [%s, %s) limit %d: rows %s, resume %q; want %s, %q", kindNames[e.kind], e.from[1:], e.to[1:], e.limit, rows, resume, e.rows, e.resume)
		}
	}
	c.takeLog()
	// A bound counts over the whole batch.
	got, err := r.Send(t.Context(), &kvpb.BatchRequest{Header: kvpb.Header{MaxKeys: 4}, Requests: []kvpb.Request{
		{Kind: kvpb.Scan, Key: []byte("\x04c"), EndKey: []byte("\x04f")},
		{Kind: kvpb.Get, Key: []byte("\x04i")},
		{Kind: kvpb.Scan, Key: []byte("\x04a"), EndKey: []byte("\x04c")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rows := rowKeys(&got.Responses[0]) + "," + rowKeys(&got.Responses[2]); rows != "cde,a" || got.Responses[2].Resume == nil || string(got.Responses[1].Value) != "i" {
		t.Errorf("rows %s, resume %v, value %s", rows, got.Responses[2].Resume, got.Responses[1].Value)
	}
}

func TestRouterFollowsSplitsAndLeases(t *testing.T) {
	for _, published := range []bool{true, false} {
		c, r := table(t)
		c.split("\x04b", published)
		c.split("\x04h", published)
		c.mu.Lock()
		for _, r := range c.ranges {
			r.leaseholder = 1 + r.leaseholder%3
		}
		c.mu.Unlock()
		got, err := r.Send(t.Context(), &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: []byte("\x04a"), EndKey: []byte("\x04z")}}})
		if err != nil {
			t.Fatal(err)
		}
		if rows := rowKeys(&got.Responses[0]); rows != "abcdefghi" {
			t.Errorf("rows %s", rows)
		}
		if got, want := c.takeLog(), "1:3 scan, 1:5 scan, 2:1 scan, 2:4 scan, 3:2 scan"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

type refused struct{}

func (refused) Error() string { return "connection refused" }
func (refused) NotSent() bool { return true }

func TestLostBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		put := kvpb.Request{Kind: kvpb.Put, Key: []byte("\x04a"), Value: []byte("v")}
		commit := kvpb.Request{Kind: kvpb.EndTxn, Key: []byte("\x04a"), EndTxn: &kvpb.EndTxnArgs{Commit: true}}
		inTxn := kvpb.Header{Txn: &kvpb.Transaction{}}
		for _, e := range []struct {
			name      string
			failure   error
			batch     kvpb.BatchRequest
			ambiguous bool
		}{
			{"a read is repeated", errors.New("reset"), kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04a")}}}, false},
			{"a sequenced write is repeated", errors.New("reset"), kvpb.BatchRequest{Header: inTxn, Requests: []kvpb.Request{put}}, false},
			{"a commit is not", errors.New("reset"), kvpb.BatchRequest{Header: inTxn, Requests: []kvpb.Request{put, commit}}, true},
			{"nor a write without transaction", errors.New("reset"), kvpb.BatchRequest{Requests: []kvpb.Request{put}}, true},
			{"what was not sent is sent again", refused{}, kvpb.BatchRequest{Header: inTxn, Requests: []kvpb.Request{put, commit}}, false},
			{"a replica's doubt counts", &kvpb.Error{Detail: &kvpb.AmbiguousResultError{}}, kvpb.BatchRequest{Header: inTxn, Requests: []kvpb.Request{commit}}, true},
			{"an unavailable range is waited for", &kvpb.Error{Detail: &kvpb.UnavailableError{}}, kvpb.BatchRequest{Header: inTxn, Requests: []kvpb.Request{put, commit}}, false},
		} {
			c, r := table(t)
			failures := 0
			c.fail = func(node kvpb.NodeID, _ *kvpb.BatchRequest) error {
				if failures++; failures <= 5 && node == 1 {
					return e.failure
				}
				return nil
			}
			_, err := r.Send(t.Context(), &e.batch)
			if e.ambiguous != errors.As(err, new(*kvpb.AmbiguousResultError)) || !e.ambiguous && err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := table(t)
		c.fail = func(kvpb.NodeID, *kvpb.BatchRequest) error { return refused{} }
		began := time.Now()
		_, err := r.Send(t.Context(), &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04a")}}})
		if !errors.As(err, new(*kvpb.UnavailableError)) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("gave up after %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = r.Send(ctx, &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04a")}}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCacheKeepsTheNewest(t *testing.T) {
	c := newRangeCache()
	info := func(id kvpb.RangeID, start, end string, generation int64) kvpb.RangeInfo {
		return kvpb.RangeInfo{Descriptor: kvpb.RangeDescriptor{Range: id, Start: []byte(start), End: []byte(end), Generation: generation, Replicas: make([]kvpb.ReplicaDescriptor, 1)}}
	}
	c.insert(info(1, "a", "z", 1))
	if c.insert(info(1, "a", "m", 2)) == nil || c.lookup([]byte("p")) != nil || c.lookup([]byte("c")) == nil {
		t.Error("a newer descriptor must replace what it overlaps")
	}
	if c.insert(info(1, "a", "z", 1)) != nil || c.lookup([]byte("p")) != nil {
		t.Error("an older descriptor must not come back")
	}
	c.insert(info(2, "m", "z", 2))
	if r := c.lookup([]byte("m")); r == nil || r.descriptor.Range != 2 {
		t.Errorf("m is in %v", r)
	}
	if r := c.lookup([]byte("lzz")); r == nil || r.descriptor.Range != 1 {
		t.Errorf("lzz is in %v", r)
	}
}

func BenchmarkRoutePointRead(b *testing.B) {
	c := newFakeCluster("\x04d", "\x04g")
	r := c.router(1)
	local := constantSender{&kvpb.BatchResponse{Responses: make([]kvpb.Response, 1)}}
	request := &kvpb.BatchRequest{Requests: []kvpb.Request{{Kind: kvpb.Get, Key: []byte("\x04a")}}}
	if _, err := r.Send(b.Context(), request); err != nil {
		b.Fatal(err)
	}
	r.SetLocal(local)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Send(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

type constantSender struct{ response *kvpb.BatchResponse }

func (s constantSender) Send(context.Context, *kvpb.BatchRequest) (*kvpb.BatchResponse, error) {
	return s.response, nil
}
