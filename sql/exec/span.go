package exec

import (
	"bytes"
	"slices"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

// keySpan is keys to read: [start, end), or only start if end is nil.
type keySpan struct{ start, end []byte }

// indexSpan is an opt.Span, compiled.
type indexSpan struct {
	equal                       []scalar
	nullEqual                   []bool
	low, high                   scalar
	lowInclusive, highInclusive bool
}

func (b *builder) spans(spans []opt.Span) ([]indexSpan, error) {
	out := make([]indexSpan, len(spans))
	for i := range spans {
		from, to := &spans[i], &out[i]
		var err error
		if to.equal, err = b.scalars(from.Equal, nil); err != nil {
			return nil, err
		}
		to.nullEqual = from.NullEqual
		if from.Low != nil {
			to.lowInclusive = from.Low.Inclusive
			if to.low, err = b.scalar(from.Low.Value, nil); err != nil {
				return nil, err
			}
		}
		if from.High != nil {
			to.highInclusive = from.High.Inclusive
			if to.high, err = b.scalar(from.High.Value, nil); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// keySpan evaluates the span; false if it is empty.
func (x *indexSpan) keySpan(l *rowenc.Layout, scratch []types.Datum) (keySpan, bool, []types.Datum, error) {
	values := scratch[:0]
	for i, e := range x.equal {
		d, err := evalOne(e)
		if err != nil {
			return keySpan{}, false, scratch, err
		}
		if d.Null && (x.nullEqual == nil || !x.nullEqual[i]) {
			return keySpan{}, false, values, nil
		}
		values = append(values, d)
	}
	prefix, exact, err := l.AppendPartialKey(make([]byte, 0, 48), values)
	if err != nil {
		return keySpan{}, false, values, err
	}
	if x.low == nil && x.high == nil {
		if exact {
			return keySpan{start: prefix}, true, values, nil
		}
		return keySpan{prefix, keys.PrefixEnd(prefix)}, true, values, nil
	}
	s, ok, err := x.ranged(l, prefix, len(values))
	return s, ok, values, err
}

// ranged bounds the key column at position at.
func (x *indexSpan) ranged(l *rowenc.Layout, prefix []byte, at int) (keySpan, bool, error) {
	t, descending := l.KeyColumn(at)
	// In the order of keys: which bound comes first.
	first, firstInclusive, last, lastInclusive := x.low, x.lowInclusive, x.high, x.highInclusive
	if descending {
		first, firstInclusive, last, lastInclusive = last, lastInclusive, first, firstInclusive
	}
	bound := func(s scalar) ([]byte, bool, error) {
		d, err := evalOne(s)
		if err != nil || d.Null {
			return nil, false, err
		}
		key, err := rowenc.AppendKey(slices.Clone(prefix), t, d, descending)
		return key, err == nil, err
	}
	var s keySpan
	if first != nil {
		key, ok, err := bound(first)
		if !ok {
			return s, false, err
		}
		if s.start = key; !firstInclusive {
			s.start = keys.PrefixEnd(key)
		}
	} else if s.start = prefix; descending {
		// NULLs come first.
		s.start = keys.PrefixEnd(keys.EncodeNullDescending(slices.Clone(prefix)))
	}
	if last != nil {
		key, ok, err := bound(last)
		if !ok {
			return s, false, err
		}
		if s.end = key; lastInclusive {
			s.end = keys.PrefixEnd(key)
		}
	} else if s.end = keys.PrefixEnd(prefix); !descending {
		// NULLs come last.
		s.end = keys.EncodeNullAscending(slices.Clone(prefix))
	}
	return s, bytes.Compare(s.start, s.end) < 0, nil
}

// mergeSpans sorts spans and joins those that overlap.
func mergeSpans(spans []keySpan) []keySpan {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b keySpan) int { return bytes.Compare(a.start, b.start) })
	merged := spans[:1]
	for _, s := range spans[1:] {
		last := &merged[len(merged)-1]
		switch {
		case last.end == nil && bytes.Equal(last.start, s.start):
			*last = s // the same key, or a span that begins with it
		case last.end != nil && bytes.Compare(s.start, last.end) < 0:
			if s.end != nil && bytes.Compare(s.end, last.end) > 0 {
				last.end = s.end
			}
		default:
			merged = append(merged, s)
		}
	}
	return merged
}
