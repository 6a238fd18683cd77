package opt

import "math/bits"

// columnSet is a set of column ids. The zero value is empty.
type columnSet struct{ words []uint64 }

func columnSetOf(ids ...ColumnID) columnSet {
	var s columnSet
	s.addAll(ids)
	return s
}

func (s *columnSet) add(id ColumnID) {
	w := int(id) / 64
	for len(s.words) <= w {
		s.words = append(s.words, 0)
	}
	s.words[w] |= 1 << (uint(id) % 64)
}

func (s *columnSet) addAll(ids []ColumnID) {
	for _, id := range ids {
		s.add(id)
	}
}

func (s *columnSet) remove(id ColumnID) {
	if w := int(id) / 64; w < len(s.words) {
		s.words[w] &^= 1 << (uint(id) % 64)
	}
}

func (s *columnSet) union(o columnSet) {
	for len(s.words) < len(o.words) {
		s.words = append(s.words, 0)
	}
	for i, w := range o.words {
		s.words[i] |= w
	}
}

func (s *columnSet) subtract(o columnSet) {
	for i := range min(len(s.words), len(o.words)) {
		s.words[i] &^= o.words[i]
	}
}

func (s columnSet) has(id ColumnID) bool {
	w := int(id) / 64
	return w < len(s.words) && s.words[w]&(1<<(uint(id)%64)) != 0
}

func (s columnSet) empty() bool {
	for _, w := range s.words {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s columnSet) intersects(o columnSet) bool {
	for i := range min(len(s.words), len(o.words)) {
		if s.words[i]&o.words[i] != 0 {
			return true
		}
	}
	return false
}

// within reports whether every member is in o.
func (s columnSet) within(o columnSet) bool {
	for i, w := range s.words {
		if i >= len(o.words) {
			if w != 0 {
				return false
			}
		} else if w&^o.words[i] != 0 {
			return false
		}
	}
	return true
}

func (s columnSet) clone() columnSet {
	return columnSet{words: append([]uint64(nil), s.words...)}
}

// ids returns the members in rising order.
func (s columnSet) ids() []ColumnID {
	var ids []ColumnID
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			ids = append(ids, ColumnID(i*64+bits.TrailingZeros64(w)))
		}
	}
	return ids
}
