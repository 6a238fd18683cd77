package catalog

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
	"github.com/cairndb/cairn/txn/hlc"
)

// snapshot is the whole schema at one time. It is immutable.
type snapshot struct {
	epoch uint64
	// asOf is when the newest change in it was committed.
	asOf  hlc.Timestamp
	byID  map[ID]Descriptor
	names map[nameKey]ID

	lists sync.Once
	// all descriptors in order of their ids; guarded by lists.
	sorted []Descriptor
}

// readSnapshot reads the whole schema through t.
func readSnapshot(ctx context.Context, t *txn.Txn) (*snapshot, error) {
	s := &snapshot{byID: map[ID]Descriptor{}, names: map[nameKey]ID{}}
	span := kvpb.Request{Kind: kvpb.Scan, Key: keys.DescriptorPrefix, EndKey: keys.PrefixEnd(keys.DescriptorPrefix)}
	for {
		responses, err := t.Send(ctx, &txn.Batch{Requests: []kvpb.Request{span}, TargetBytes: 4 << 20})
		if err != nil {
			return nil, err
		}
		for _, row := range responses[0].Rows {
			if string(row.Key) == string(epochKey) {
				if s.epoch, err = decodeEpoch(row.Value); err != nil {
					return nil, err
				}
				s.asOf = s.asOf.Max(row.Timestamp)
				continue
			}
			d, err := decode(row)
			if err != nil {
				return nil, err
			}
			s.put(d)
		}
		if responses[0].Resume == nil {
			return s, nil
		}
		span.Key = responses[0].Resume.Key
	}
}

// put adds d while s is being made.
func (s *snapshot) put(d Descriptor) {
	h := d.Head()
	s.byID[h.ID] = d
	for _, n := range namesOf(d) {
		s.names[n] = h.ID
	}
	s.asOf = s.asOf.Max(h.ModificationTime)
}

// with returns s after the changes of a transaction (nil: dropped) that was
// committed at a time as the given epoch.
func (s *snapshot) with(changes map[ID]Descriptor, epoch uint64, at hlc.Timestamp) *snapshot {
	n := &snapshot{epoch: epoch, asOf: s.asOf, byID: maps.Clone(s.byID), names: maps.Clone(s.names)}
	for id := range changes {
		if old := n.byID[id]; old != nil {
			for _, name := range namesOf(old) {
				delete(n.names, name)
			}
			delete(n.byID, id)
		}
	}
	for _, d := range changes {
		if d != nil {
			n.put(d)
		}
	}
	n.asOf = n.asOf.Max(at)
	return n
}

// all returns the descriptors in order of their ids.
func (s *snapshot) all() []Descriptor {
	s.lists.Do(func() {
		s.sorted = make([]Descriptor, 0, len(s.byID))
		for _, d := range s.byID {
			s.sorted = append(s.sorted, d)
		}
		slices.SortFunc(s.sorted, func(a, b Descriptor) int { return cmp.Compare(a.Head().ID, b.Head().ID) })
	})
	return s.sorted
}

func decodeEpoch(value []byte) (uint64, error) {
	switch len(value) {
	case 0:
		return 0, nil
	case 8:
		return binary.BigEndian.Uint64(value), nil
	}
	return 0, pgerror.Newf(pgerror.DataCorrupted, "the schema epoch is damaged: %x", value)
}

func encodeEpoch(epoch uint64) []byte { return binary.BigEndian.AppendUint64(nil, epoch) }
