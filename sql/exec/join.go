package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/vector"
)

func (b *builder) join(n *opt.Join) (Operator, schema, error) {
	left, leftSchema, err := b.build(n.Left)
	if err != nil {
		return nil, nil, err
	}
	var right Operator
	var rightSchema schema
	uses, err := b.inner(func() (err error) {
		right, rightSchema, err = b.build(n.Right)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	lateral := false
	var outer []outerUse
	for _, id := range uses {
		u := b.use(id, leftSchema)
		if u.position >= 0 {
			lateral = true
			outer = append(outer, u)
		}
	}
	p, out, err := b.pairs(n.Kind, leftSchema, rightSchema, n.On)
	if err != nil {
		return nil, nil, err
	}
	if lateral || n.Lateral {
		if n.Kind == opt.Right || n.Kind == opt.Full {
			return nil, nil, internalf("a lateral right or full join")
		}
		return &lateralJoin{rt: b.rt, left: left, right: right, pairs: p, outer: outer}, out, nil
	}
	if (n.Kind == opt.Semi || n.Kind == opt.Anti) && len(n.On) == 0 {
		p.right = nil // nobody looks at them
	}
	base := storedJoin{rt: b.rt, kind: n.Kind, left: left, right: right, pairs: p,
		store: newRowStore(b.rt, rightSchema.types()), nullEqual: n.NullEqual, nullAware: n.NullAware && n.Kind == opt.Anti}
	if base.leftKeys, err = leftSchema.positions(n.EqualLeft); err != nil {
		return nil, nil, err
	}
	if base.rightKeys, err = rightSchema.positions(n.EqualRight); err != nil {
		return nil, nil, err
	}
	if n.Method == opt.Merge && len(n.EqualLeft) > 0 && !base.nullAware {
		return &mergeJoin{storedJoin: base}, out, nil
	}
	if base.nullAware && len(n.EqualLeft) == 0 {
		if len(n.On) != 1 {
			return nil, nil, internalf("a null-aware join without equal columns")
		}
		base.nullAware, p.unknownPasses = false, true
	}
	if len(n.EqualLeft) > 0 {
		base.table = newHashTable(base.store, base.rightKeys)
	}
	return &hashJoin{storedJoin: base, firstDecides: (n.Kind == opt.Semi || n.Kind == opt.Anti) && len(n.On) == 0}, out, nil
}

// storedJoin is what joins share that keep rows of the right side.
type storedJoin struct {
	rt                   *runtime
	kind                 opt.JoinKind
	left, right          Operator
	pairs                *pairs
	leftKeys, rightKeys  []int
	nullEqual, nullAware bool
	store                *rowStore
	table                *hashTable // nil: all pairs are candidates
	marks                []uint64
	keys                 []*vector.Vector
}

// hashJoin looks up each left row in a hash table of the right side. Without
// equal columns it is the nested loop over all pairs.
type hashJoin struct {
	storedJoin
	built    bool
	nullRows []int32 // right rows with a NULL key, of a null-aware join
	input    *vector.Batch
	hashes   []uint64
	row      int   // of input
	next     int32 // the next candidate of row; -1: the row is done
	begun    bool  // next is of row
	nullAt   int
	lone     int // the next right row to be tried as unmatched
	drained  bool
	// firstDecides: one candidate is enough to know that the row has a match.
	firstDecides bool
}

func (j *hashJoin) Open(ctx context.Context) error {
	j.store.reset()
	if j.table != nil {
		j.table.reset()
	}
	j.pairs.reset()
	j.nullRows = j.nullRows[:0]
	j.built, j.input, j.lone, j.drained = false, nil, 0, false
	j.pairs.marks = nil
	if err := j.left.Open(ctx); err != nil {
		return err
	}
	return j.right.Open(ctx)
}

func (j *hashJoin) build(ctx context.Context) error {
	for {
		b, err := j.right.Next(ctx)
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		if j.table != nil {
			j.keys = pick(j.keys, b, j.rightKeys)
			hashes := j.table.hash(j.keys, rowsOf(b))
			for n := range b.Length {
				if !j.nullEqual && anyNull(j.keys, b.Row(n)) {
					if j.nullAware {
						j.nullRows = append(j.nullRows, int32(j.store.length+n))
					}
					j.table.skip()
					continue
				}
				if err := j.table.insert(hashes[n]); err != nil {
					return err
				}
			}
		}
		if err := j.store.appendBatch(b); err != nil {
			return err
		}
	}
	if j.kind == opt.Right || j.kind == opt.Full {
		if err := j.store.account.grow(int64(j.store.length / 8)); err != nil {
			return err
		}
		j.marks = make([]uint64, j.store.length/64+1)
		j.pairs.marks = j.marks
	}
	j.built = true
	return nil
}

func (j *hashJoin) Next(ctx context.Context) (*vector.Batch, error) {
	if !j.built {
		if err := j.build(ctx); err != nil {
			return nil, err
		}
		if j.store.length == 0 && (j.kind == opt.Inner || j.kind == opt.Right || j.kind == opt.Semi) {
			j.drained = true
		}
	}
	for !j.drained {
		if j.input == nil {
			b, err := j.left.Next(ctx)
			if err != nil {
				return nil, err
			}
			if b == nil {
				j.drained = true
				break
			}
			j.startBatch(b)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		done := j.addCandidates()
		out, err := j.pairs.flush()
		if err != nil {
			return nil, err
		}
		if done {
			j.input = nil
		}
		if out != nil {
			return out, nil
		}
	}
	return j.unmatched()
}

func (j *hashJoin) startBatch(b *vector.Batch) {
	j.input, j.row, j.begun = b, 0, false
	if j.table != nil {
		j.keys = pick(j.keys, b, j.leftKeys)
		j.hashes = j.table.hash(j.keys, rowsOf(b))
	}
}

// addCandidates adds pairs until there is no room or the batch is done.
func (j *hashJoin) addCandidates() (done bool) {
	for ; j.row < j.input.Length; j.row++ {
		i := j.input.Row(j.row)
		if !j.begun {
			j.begun, j.next, j.nullAt = true, j.firstCandidate(i), 0
		}
		for j.next >= 0 {
			if j.pairs.full() {
				return false
			}
			j.pairs.addStored(j.input, i, j.store, int(j.next))
			if j.next = j.following(i); j.firstDecides {
				j.next = -1
			}
		}
		for ; j.nullAware && j.nullAt < len(j.nullRows); j.nullAt++ {
			if j.pairs.full() {
				return false
			}
			j.pairs.addStored(j.input, i, j.store, int(j.nullRows[j.nullAt]))
		}
		if j.pairs.full() {
			return false
		}
		j.pairs.end(j.input, i)
		j.begun = false
	}
	return true
}

func (j *hashJoin) firstCandidate(i int) int32 {
	if j.table == nil || j.nullAware && anyNull(j.keys, i) {
		if j.store.length == 0 {
			return -1
		}
		return 0
	}
	if !j.nullEqual && anyNull(j.keys, i) {
		return -1
	}
	return j.table.first(j.keys, i, j.hashes[j.row])
}

func (j *hashJoin) following(i int) int32 {
	if j.table == nil || j.nullAware && anyNull(j.keys, i) {
		if int(j.next)+1 == j.store.length {
			return -1
		}
		return j.next + 1
	}
	return j.table.following(j.keys, i, j.hashes[j.row], j.next)
}

// unmatched yields the right rows that no left row matched.
func (j *storedJoin) unmatchedFrom(lone *int) *vector.Batch {
	for ; *lone < j.store.length && !j.pairs.full(); *lone++ {
		if j.marks[*lone>>6]&(1<<(*lone&63)) == 0 {
			j.pairs.loneRight(j.store, *lone)
		}
	}
	return j.pairs.flushLone()
}

func (j *hashJoin) unmatched() (*vector.Batch, error) {
	if j.kind != opt.Right && j.kind != opt.Full {
		return nil, nil
	}
	return j.unmatchedFrom(&j.lone), nil
}

func (j *hashJoin) Close() error {
	j.store.release()
	if j.table != nil {
		j.table.reset()
	}
	j.input, j.marks, j.pairs.marks = nil, nil, nil
	err := j.left.Close()
	if e := j.right.Close(); err == nil {
		err = e
	}
	return err
}

// lateralJoin runs its right side anew for each left row.
type lateralJoin struct {
	rt          *runtime
	left, right Operator
	pairs       *pairs
	outer       []outerUse
	input       *vector.Batch
	row         int
	open        bool // the right side is being read
	batch       *vector.Batch
	at          int
}

func (j *lateralJoin) Open(ctx context.Context) error {
	j.input, j.batch, j.open = nil, nil, false
	j.pairs.reset()
	return j.left.Open(ctx)
}

func (j *lateralJoin) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		if j.input == nil {
			b, err := j.left.Next(ctx)
			if err != nil {
				return nil, err
			}
			if b == nil {
				return nil, nil
			}
			j.input, j.row = b, 0
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		done, err := j.add(ctx)
		if err != nil {
			return nil, err
		}
		out, err := j.pairs.flush()
		if err != nil {
			return nil, err
		}
		if done {
			j.input = nil
		}
		if out != nil {
			return out, nil
		}
	}
}

func (j *lateralJoin) add(ctx context.Context) (done bool, err error) {
	for ; j.row < j.input.Length; j.row++ {
		i := j.input.Row(j.row)
		if !j.open {
			for _, u := range j.outer {
				j.rt.setOuter(u.id, j.input.Columns[u.position].Datum(i))
			}
			if err := j.right.Open(ctx); err != nil {
				return false, err
			}
			j.open, j.batch = true, nil
		}
		for j.open {
			if j.batch == nil {
				if j.batch, err = j.right.Next(ctx); err != nil {
					return false, err
				}
				if j.batch == nil {
					break
				}
				j.at = 0
			}
			for ; j.at < j.batch.Length; j.at++ {
				if j.pairs.full() {
					return false, nil
				}
				to := j.pairs.add(j.input, i)
				from := j.batch.Row(j.at)
				for c, v := range j.pairs.right {
					v.Copy(to, j.batch.Columns[c], from)
				}
			}
			j.batch = nil
		}
		if j.pairs.full() {
			return false, nil
		}
		j.pairs.end(j.input, i)
		j.open = false
		if err := j.right.Close(); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (j *lateralJoin) Close() error {
	j.input, j.batch = nil, nil
	err := j.left.Close()
	if e := j.right.Close(); err == nil {
		err = e
	}
	return err
}
