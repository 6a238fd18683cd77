package exec

import (
	"hash/maphash"
	"math"
	"strings"

	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

var hashSeed = maphash.MakeSeed()

const (
	nullHash   = 0x9ae16a3b2f90404f
	hashFactor = 0x9e3779b97f4a7c15
)

func mix(h, v uint64) uint64 {
	h = (h ^ v) * hashFactor
	return h ^ h>>32
}

// floatBits makes equal floats (0 and -0, all NaNs) the same bits.
func floatBits(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 0x7ff8000000000000
	}
	return math.Float64bits(f)
}

const (
	oidBPChar types.OID = 1042
	oidJSON   types.OID = 114
	oidJSONB  types.OID = 3802
)

// hashDatum hashes a value that is not NULL; equal values hash alike. scratch
// is for the encoding of those that need one.
func hashDatum(t *types.T, d types.Datum, scratch []byte) (uint64, []byte) {
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		return uint64(d.I), scratch
	case types.FloatFamily:
		return floatBits(d.Float()), scratch
	case types.TupleFamily:
		h := uint64(1)
		for i, e := range d.Tuple().Elems {
			v := uint64(nullHash)
			if !e.Null {
				v, scratch = hashDatum(d.Tuple().Types[i], e, scratch)
			}
			h = mix(h, v)
		}
		return h, scratch
	case types.DecimalFamily, types.IntervalFamily, types.ArrayFamily:
	default:
		switch t.OID {
		case oidBPChar:
			return maphash.String(hashSeed, strings.TrimRight(d.S, " ")), scratch
		case oidJSONB:
		default:
			return maphash.String(hashSeed, d.S), scratch
		}
	}
	key, err := rowenc.AppendKey(scratch[:0], t, d, false)
	if err != nil { // a type without an order, as in an array of json
		return 0, scratch
	}
	return maphash.Bytes(hashSeed, key), key
}

// hashColumn mixes a column's values at r into hashes, which it numbers as r
// does.
func hashColumn(v *vector.Vector, r rows, hashes []uint64, scratch []byte) []byte {
	switch k := kindOf(v.Type); {
	case k == intKind && !v.HasNulls:
		for n := range r.n {
			hashes[n] = mix(hashes[n], uint64(v.Ints[r.at(n)]))
		}
	case k == intKind:
		for n := range r.n {
			i := r.at(n)
			h := uint64(nullHash)
			if !v.Null(i) {
				h = uint64(v.Ints[i])
			}
			hashes[n] = mix(hashes[n], h)
		}
	case k == stringKind && v.Type.OID != oidBPChar && v.Type.OID != oidJSONB:
		for n := range r.n {
			i := r.at(n)
			h := uint64(nullHash)
			if !v.Null(i) {
				h = maphash.String(hashSeed, v.Strings[i])
			}
			hashes[n] = mix(hashes[n], h)
		}
	default:
		for n := range r.n {
			i := r.at(n)
			h := uint64(nullHash)
			if !v.Null(i) {
				h, scratch = hashDatum(v.Type, v.Datum(i), scratch)
			}
			hashes[n] = mix(hashes[n], h)
		}
	}
	return scratch
}

// equalDatums reports whether two values that are not NULL are equal.
func equalDatums(t *types.T, a, b types.Datum) bool {
	switch t.Family {
	case types.BoolFamily, types.IntFamily:
		return a.I == b.I
	case types.FloatFamily:
		return floatBits(a.Float()) == floatBits(b.Float())
	case types.BytesFamily, types.UnknownFamily, types.VoidFamily:
		if t.OID != oidBPChar && t.OID != oidJSONB {
			return a.S == b.S
		}
	}
	return types.Compare(t, a, b) == 0
}

// equalStored reports whether value i of v equals value j of c; NULLs are
// equal to each other.
func equalStored(v *vector.Vector, i int, c *storedColumn, j int) bool {
	if vn, cn := v.Null(i), c.null(j); vn || cn {
		return vn && cn
	}
	switch c.kind {
	case intKind:
		return v.Ints[i] == c.ints[j]
	case floatKind:
		return floatBits(v.Floats[i]) == floatBits(c.floats[j])
	case stringKind:
		if c.t.OID != oidBPChar && c.t.OID != oidJSONB {
			return v.Strings[i] == c.strings[j]
		}
	}
	return types.Compare(c.t, v.Datum(i), c.datum(j)) == 0
}

// hashTable finds rows of a store by some of its columns, the keys. Rows with
// equal keys are chained, the oldest first.
type hashTable struct {
	store   *rowStore
	keys    []int // columns of store
	buckets []int32
	hashes  []uint64 // by row
	next    []int32  // by row: the next of the bucket + 1
	last    []int32  // by bucket: the last of its chain + 1
	account account
	scratch []byte
	batch   [vector.Size]uint64
}

func newHashTable(store *rowStore, keys []int) *hashTable {
	return &hashTable{store: store, keys: keys, account: account{rt: store.account.rt}}
}

func (h *hashTable) reset() {
	if len(h.next) > keptRows {
		h.buckets, h.last, h.hashes, h.next = nil, nil, nil, nil
	} else {
		clear(h.buckets)
		clear(h.last)
		h.hashes, h.next = h.hashes[:0], h.next[:0]
	}
	h.account.release()
}

// hash computes the hashes of rows by their key vectors; the result is valid
// until the next call.
func (h *hashTable) hash(keys []*vector.Vector, r rows) []uint64 {
	hashes := h.batch[:r.n]
	clear(hashes)
	for _, v := range keys {
		h.scratch = hashColumn(v, r, hashes, h.scratch)
	}
	return hashes
}

// insert adds the store's next row, which has been or is about to be
// appended, under its hash.
func (h *hashTable) insert(hash uint64) error {
	row := int32(len(h.next))
	if int(row) >= len(h.buckets)*3/4 {
		if err := h.growBuckets(); err != nil {
			return err
		}
	}
	h.hashes = append(h.hashes, hash)
	h.next = append(h.next, 0)
	h.link(row, hash)
	return nil
}

// skip adds the store's next row without making it findable.
func (h *hashTable) skip() {
	h.hashes = append(h.hashes, 0)
	h.next = append(h.next, -1)
}

func (h *hashTable) link(row int32, hash uint64) {
	b := hash & uint64(len(h.buckets)-1)
	if h.last[b] == 0 {
		h.buckets[b] = row + 1
	} else {
		h.next[h.last[b]-1] = row + 1
	}
	h.last[b] = row + 1
}

func (h *hashTable) growBuckets() error {
	n := max(2*len(h.buckets), 64)
	if err := h.account.grow(int64(n-len(h.buckets))*8 + int64(n)*12); err != nil {
		return err
	}
	h.buckets, h.last = make([]int32, n), make([]int32, n)
	for row := range h.next {
		if h.next[row] < 0 {
			continue
		}
		h.next[row] = 0
		h.link(int32(row), h.hashes[row])
	}
	return nil
}

// first returns the first row whose keys equal those at position i of keys, -1
// if there is none; following the next ones.
func (h *hashTable) first(keys []*vector.Vector, i int, hash uint64) int32 {
	if len(h.buckets) == 0 {
		return -1
	}
	return h.match(keys, i, hash, h.buckets[hash&uint64(len(h.buckets)-1)])
}

func (h *hashTable) following(keys []*vector.Vector, i int, hash uint64, row int32) int32 {
	return h.match(keys, i, hash, h.next[row])
}

func (h *hashTable) match(keys []*vector.Vector, i int, hash uint64, link int32) int32 {
	for ; link > 0; link = h.next[link-1] {
		row := int(link - 1)
		if h.hashes[row] != hash {
			continue
		}
		equal := true
		for k, c := range h.keys {
			if !equalStored(keys[k], i, &h.store.columns[c], row) {
				equal = false
				break
			}
		}
		if equal {
			return int32(row)
		}
	}
	return -1
}

// findOrAdd returns the row whose keys equal those at position i, appending
// one made of columns if there is none.
func (h *hashTable) findOrAdd(keys, columns []*vector.Vector, i int, hash uint64) (row int, added bool, err error) {
	if found := h.first(keys, i, hash); found >= 0 {
		return int(found), false, nil
	}
	if err := h.insert(hash); err != nil {
		return 0, false, err
	}
	row = h.store.length
	return row, true, h.store.appendRow(columns, i)
}

// pick returns the vectors at positions, in dst's memory.
func pick(dst []*vector.Vector, b *vector.Batch, positions []int) []*vector.Vector {
	dst = dst[:0]
	for _, p := range positions {
		dst = append(dst, b.Columns[p])
	}
	return dst
}

// anyNull reports whether one of the vectors is NULL at position i.
func anyNull(vectors []*vector.Vector, i int) bool {
	for _, v := range vectors {
		if v.Null(i) {
			return true
		}
	}
	return false
}
