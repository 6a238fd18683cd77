package txn

import (
	"bytes"
	"slices"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
)

// spanSet is keys and spans in the order of their arrival. Over its bound it is
// condensed: neighbours become one span that covers more than was added, which
// is safe for its users. Bytes of keys are shared with the caller and must not
// change.
type spanSet struct {
	spans     []kvpb.Span
	sizeBytes int
	version   int // counts changes
	// bound on sizeBytes; 0: maxSpanSetBytes.
	bound int
}

// The bound on what is locked keeps records and the batches that end
// transactions small; what is read stays here, and is worth precision.
const (
	maxSpanSetBytes = 256 << 10
	maxReadBytes    = 2 << 20
	spanOverhead    = 48
)

func (s *spanSet) maxBytes() int {
	if s.bound > 0 {
		return s.bound
	}
	return maxSpanSetBytes
}

func spanSize(s *kvpb.Span) int { return len(s.Key) + len(s.EndKey) + spanOverhead }

func (s *spanSet) add(span kvpb.Span) {
	s.version++
	s.spans = append(s.spans, span)
	s.sizeBytes += spanSize(&span)
	if s.sizeBytes > s.maxBytes() {
		s.condense()
	}
}

func (s *spanSet) empty() bool { return len(s.spans) == 0 }

func (s *spanSet) reset() { *s = spanSet{version: s.version + 1, bound: s.bound} }

// endsWith reports whether key was added last: a cheap way to keep
// what is locked and then written from being listed twice.
func (s *spanSet) endsWith(key []byte) bool {
	n := len(s.spans)
	return n > 0 && len(s.spans[n-1].EndKey) == 0 && bytes.Equal(s.spans[n-1].Key, key)
}

// condense merges what overlaps, then neighbours until half the bound is free.
func (s *spanSet) condense() {
	s.spans = mergeSpans(s.spans)
	s.measure()
	for s.sizeBytes > s.maxBytes()/2 {
		// Pairs of neighbours, so that what lies close together stays so.
		before := len(s.spans)
		joined := s.spans[:0]
		for i := 0; i < before; i++ {
			span := s.spans[i]
			if i+1 < before && mayJoin(&span, &s.spans[i+1]) {
				i++
				span.EndKey = endOf(&s.spans[i])
			}
			joined = append(joined, span)
		}
		s.spans = joined
		s.measure()
		if len(joined) == before {
			return
		}
	}
}

// mayJoin reports whether two spans may become one. Those of the system's keys
// may not: between them lie leases and node records, which change all the time,
// so that a schema change that also writes many rows would never be refreshed.
// Transactions have few of them.
func mayJoin(a, b *kvpb.Span) bool {
	table := func(key []byte) bool { return bytes.Compare(key, keys.TableMin) >= 0 }
	return table(a.Key) && table(b.Key)
}

func (s *spanSet) measure() {
	s.sizeBytes = 0
	for i := range s.spans {
		s.sizeBytes += spanSize(&s.spans[i])
	}
}

func endOf(s *kvpb.Span) []byte {
	if len(s.EndKey) > 0 {
		return s.EndKey
	}
	return keys.Next(s.Key)
}

// mergeSpans returns the spans sorted, with those merged that overlap.
func mergeSpans(spans []kvpb.Span) []kvpb.Span {
	if len(spans) < 2 {
		return spans
	}
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b kvpb.Span) int { return bytes.Compare(a.Key, b.Key) })
	merged := sorted[:1]
	for _, span := range sorted[1:] {
		last := &merged[len(merged)-1]
		switch {
		case bytes.Equal(last.Key, span.Key) && len(span.EndKey) == 0:
			// The same key again, or the first of a span.
		case bytes.Equal(last.Key, span.Key) && len(last.EndKey) == 0:
			last.EndKey = span.EndKey
		case len(last.EndKey) > 0 && bytes.Compare(span.Key, last.EndKey) < 0:
			if len(span.EndKey) > 0 && bytes.Compare(last.EndKey, span.EndKey) < 0 {
				last.EndKey = span.EndKey
			}
		default:
			merged = append(merged, span)
		}
	}
	return merged
}
