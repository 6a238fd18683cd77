package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/vector"
)

// mergeJoin joins two inputs that are sorted by their equal columns (rising,
// NULLs last): it holds the right rows of one key at a time in store.
//
//	left   1 2 2 5        right group  {1} → {2,2,2} → {4} → {5}
type mergeJoin struct {
	storedJoin
	input      *vector.Batch // left
	row        int
	rightBatch *vector.Batch
	rightRow   int
	rightDone  bool
	hasGroup   bool
	next       int // candidate in the group for row
	lone       int
	leaving    bool // the group's unmatched rows are being added
	drained    bool
}

func (j *mergeJoin) Open(ctx context.Context) error {
	j.pairs.reset()
	j.pairs.marks = nil
	j.store.reset()
	j.input, j.rightBatch = nil, nil
	j.rightDone, j.hasGroup, j.leaving, j.drained = false, false, false, false
	j.next = 0
	if err := j.left.Open(ctx); err != nil {
		return err
	}
	return j.right.Open(ctx)
}

func (j *mergeJoin) keepsRight() bool { return j.kind == opt.Right || j.kind == opt.Full }

// nextGroup reads the right rows of the next key into store.
func (j *mergeJoin) nextGroup(ctx context.Context) error {
	j.store.reset()
	j.hasGroup = false
	for {
		if j.rightBatch == nil {
			if j.rightDone {
				break
			}
			b, err := j.right.Next(ctx)
			if err != nil {
				return err
			}
			if b == nil {
				j.rightDone = true
				break
			}
			j.rightBatch, j.rightRow = b, 0
		}
		if j.rightRow == j.rightBatch.Length {
			j.rightBatch = nil
			continue
		}
		i := j.rightBatch.Row(j.rightRow)
		if j.store.length > 0 && !j.sameKey(i) {
			break
		}
		if err := j.store.appendRow(j.rightBatch.Columns, i); err != nil {
			return err
		}
		j.rightRow++
	}
	j.hasGroup = j.store.length > 0
	if j.hasGroup && j.keepsRight() {
		j.marks = make([]uint64, j.store.length/64+1)
		j.pairs.marks = j.marks
	}
	j.lone = 0
	return nil
}

// sameKey reports whether a right row has the group's key.
func (j *mergeJoin) sameKey(i int) bool {
	for _, k := range j.rightKeys {
		if !equalStored(j.rightBatch.Columns[k], i, &j.store.columns[k], 0) {
			return false
		}
	}
	return true
}

// compare orders the left row at position i against the group.
func (j *mergeJoin) compare(i int) int {
	for k := range j.leftKeys {
		v, c := j.input.Columns[j.leftKeys[k]], &j.store.columns[j.rightKeys[k]]
		ln, rn := v.Null(i), c.null(0)
		order := 0
		switch {
		case ln && rn && !j.nullEqual:
			order = -1 // no match: the left row goes by
		case ln || rn:
			order = compareNulls(ln, rn, false)
		default:
			order = compareStored(v, i, c, 0)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

func (j *mergeJoin) Next(ctx context.Context) (*vector.Batch, error) {
	for {
		if j.leaving {
			// Only flushLone may follow: pairs was flushed before.
			if out := j.unmatchedFrom(&j.lone); out != nil {
				return out, nil
			}
			j.leaving = false
			if err := j.nextGroup(ctx); err != nil {
				return nil, err
			}
			if j.drained && !j.hasGroup {
				return nil, nil
			}
			j.leaving = j.drained
			continue
		}
		if j.drained {
			return nil, nil
		}
		if j.input == nil {
			b, err := j.left.Next(ctx)
			if err != nil {
				return nil, err
			}
			if b == nil {
				j.drained = true
				if j.keepsRight() {
					if !j.hasGroup {
						if err := j.nextGroup(ctx); err != nil {
							return nil, err
						}
					}
					j.leaving = j.hasGroup
				}
				continue
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

// add adds pairs until there is no room, the batch is done, or the group's
// unmatched rows have to leave first.
func (j *mergeJoin) add(ctx context.Context) (done bool, err error) {
	for j.row < j.input.Length {
		if !j.hasGroup && (!j.rightDone || j.rightBatch != nil) {
			if err := j.nextGroup(ctx); err != nil {
				return false, err
			}
		}
		i := j.input.Row(j.row)
		order := -1
		if j.hasGroup {
			order = j.compare(i)
		}
		if order > 0 {
			if j.keepsRight() {
				j.leaving = true
				return false, nil
			}
			if err := j.nextGroup(ctx); err != nil {
				return false, err
			}
			continue
		}
		for ; order == 0 && j.next < j.store.length; j.next++ {
			if j.pairs.full() {
				return false, nil
			}
			j.pairs.addStored(j.input, i, j.store, j.next)
		}
		if j.pairs.full() {
			return false, nil
		}
		j.pairs.end(j.input, i)
		j.row, j.next = j.row+1, 0
	}
	return true, nil
}

func (j *mergeJoin) Close() error {
	j.store.release()
	j.input, j.rightBatch, j.marks, j.pairs.marks = nil, nil, nil, nil
	err := j.left.Close()
	if e := j.right.Close(); err == nil {
		err = e
	}
	return err
}
