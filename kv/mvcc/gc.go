package mvcc

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/raftstore/engine"
	"github.com/cairndb/cairn/txn/hlc"
)

// longRun is how many garbage versions of one key are removed by one range
// deletion rather than one by one.
const longRun = 64

// Garbage is what a collection found or removed.
type Garbage struct {
	Versions int64
	// First and Last are the keys with garbage, Last inclusive; nil for none.
	First, Last []byte
	// Resume is where to go on; nil when the span is done.
	Resume []byte
	// Remaining counts versions that are superseded but too young.
	Remaining int64
}

// CollectGarbage removes the versions in span that no read at or above
// threshold sees, up to about limit of them, and counts them. Without a Batch
// it only counts.
func (w *Writer) CollectGarbage(span kvpb.Span, threshold hlc.Timestamp, limit int64) (Garbage, error) {
	var g Garbage
	iter, err := w.from.NewIter(&pebble.IterOptions{
		KeyTypes:   pebble.IterKeyTypePointsOnly,
		LowerBound: engine.AppendKey(nil, span.Key), UpperBound: engine.AppendKey(nil, span.EndKey)})
	if err != nil {
		return g, err
	}
	defer iter.Close()
	var run garbageRun
	for valid := iter.First(); valid; {
		key, ts, err := engine.DecodeKey(iter.Key())
		if err != nil {
			return g, err
		}
		if !bytes.Equal(key, run.key) || run.versions == 0 {
			if err := w.finishRun(&run, &g); err != nil {
				return g, err
			}
			if g.Versions >= limit {
				g.Resume = bytes.Clone(key)
				return g, nil
			}
			run = garbageRun{key: append(run.key[:0], key...)}
		}
		raw, err := iter.ValueAndErr()
		if err != nil {
			return g, err
		}
		run.versions++
		switch {
		case threshold.Less(ts):
			if run.versions > 1 {
				g.Remaining++
			}
		case !run.passed && isLive(raw):
			// What reads at the threshold see.
			run.passed = true
			if run.versions > 1 {
				g.Remaining++
			}
		default:
			run.passed = true
			run.garbage++
			run.keyBytes += versionOverhead
			run.valueBytes += int64(len(raw))
			run.engineKeys = append(run.engineKeys, bytes.Clone(iter.Key()))
			if run.garbage == longRun && w.Batch != nil {
				run.from = run.engineKeys[0]
			}
			if run.from != nil {
				run.engineKeys = run.engineKeys[:0]
			}
		}
		valid = iter.Next()
	}
	if err := iter.Error(); err != nil {
		return g, err
	}
	return g, w.finishRun(&run, &g)
}

// garbageRun is the garbage of one key.
type garbageRun struct {
	key                  []byte
	versions, garbage    int64
	keyBytes, valueBytes int64
	passed               bool     // the newest version at or below the threshold
	engineKeys           [][]byte // of the garbage, unless from is set
	from                 []byte   // the garbage goes from here to the key's end
}

func (w *Writer) finishRun(run *garbageRun, g *Garbage) error {
	if run.garbage == 0 {
		return nil
	}
	if g.First == nil {
		g.First = bytes.Clone(run.key)
	}
	g.Last = bytes.Clone(run.key)
	g.Versions += run.garbage
	if w.Batch == nil {
		return nil
	}
	w.Stats.VersionCount -= run.garbage
	w.Stats.KeyBytes -= run.keyBytes
	w.Stats.ValueBytes -= run.valueBytes
	if run.garbage == run.versions {
		w.Stats.KeyCount--
		w.Stats.KeyBytes -= int64(len(run.key))
	}
	if run.from != nil {
		// The first key behind: the key with a zero byte more.
		end := engine.AppendKey(nil, append(bytes.Clone(run.key), 0))
		return w.Batch.DeleteRange(run.from, end, nil)
	}
	for _, k := range run.engineKeys {
		if err := w.Batch.Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}
