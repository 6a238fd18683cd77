package exec

import (
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/vector"
)

// pairs is the common half of all joins: it collects candidate pairs of a left
// and a right row, tests the residual condition on them, and yields what the
// kind of join wants. Candidates of one left row follow each other, then the
// left row is ended, so that the left side's order is kept.
//
//	add, add, end, add, end, … → flush → batch
//
// At its end a left row that an outer or anti join may have to yield by itself
// gets a place in the batch as well, with NULLs on the right; flush selects it
// if no candidate passed.
type pairs struct {
	kind opt.JoinKind
	on   []scalar
	// unknownPasses: the only condition is the comparison of NOT IN, and a pair
	// for which it is unknown counts as a match.
	unknownPasses bool
	left          []*vector.Vector
	right         []*vector.Vector
	candidate     vector.Batch // left, right
	out           vector.Batch
	n, room       int
	// At each position: whether it stands for a left row's end, and the right
	// row for marking.
	isEnd    []bool
	rightRow []int32
	// matched says that the left row that is being added had a match in an
	// earlier batch.
	matched bool
	// marks, if set, are told the right rows that matched.
	marks      []uint64
	candidates []int32
	passed     []int32
	selection  []int32
}

// pairs makes the join of two schemas and returns the schema of its batches.
func (b *builder) pairs(kind opt.JoinKind, left, right schema, on []opt.Scalar) (*pairs, schema, error) {
	both := left.plus(right)
	compiled, err := b.scalars(on, both)
	if err != nil {
		return nil, nil, err
	}
	p := &pairs{kind: kind, on: compiled, left: newVectors(left.types()), right: newVectors(right.types())}
	p.candidate.Columns = append(append(p.candidate.Columns, p.left...), p.right...)
	p.out.Columns = p.candidate.Columns
	if kind == opt.Semi || kind == opt.Anti {
		p.out.Columns = p.left
		return p, left, nil
	}
	return p, both, nil
}

func (p *pairs) reset() {
	p.n, p.matched = 0, false
	p.isEnd, p.rightRow = p.isEnd[:0], p.rightRow[:0]
}

// full reports whether there is no room for another candidate or end.
func (p *pairs) full() bool { return p.n == vector.Size }

// ensure makes room for another place.
func (p *pairs) ensure() {
	if p.n == 0 {
		p.room = max(p.room, 4)
		prepareVectors(p.candidate.Columns, p.room)
		return
	}
	if p.n < p.room {
		return
	}
	p.room = vector.Size
	if p.n < 64 {
		p.room = 64
	}
	for _, v := range p.candidate.Columns {
		old := *v
		*v = vector.Vector{}
		v.Prepare(old.Type, p.room)
		v.CopyNulls(&old)
		copy(v.Ints, old.Ints)
		copy(v.Floats, old.Floats)
		copy(v.Strings, old.Strings)
		copy(v.Refs, old.Refs)
	}
}

// add adds a candidate of the left row at position i of b, and returns the
// position at which the caller sets the right row.
func (p *pairs) add(b *vector.Batch, i int) int {
	return p.place(b, i, false, -1)
}

// addStored adds the pair of a left row and a row of a store.
func (p *pairs) addStored(b *vector.Batch, i int, s *rowStore, row int) {
	at := p.place(b, i, false, int32(row))
	for c := range p.right {
		s.columns[c].copyTo(p.right[c], at, row)
	}
}

func (p *pairs) place(b *vector.Batch, i int, end bool, right int32) int {
	p.ensure()
	at := p.n
	for c, v := range p.left {
		v.Copy(at, b.Columns[c], i)
	}
	p.isEnd, p.rightRow = append(p.isEnd, end), append(p.rightRow, right)
	p.n++
	return at
}

// end says that all candidates of a left row were added.
func (p *pairs) end(b *vector.Batch, i int) {
	if p.kind == opt.Inner || p.kind == opt.Right || p.kind == opt.Semi {
		// Nothing depends on rows without a match, but Semi must know where the
		// next row begins.
		if p.kind == opt.Semi {
			p.place(b, i, true, -1)
		}
		return
	}
	at := p.place(b, i, true, -1)
	for _, v := range p.right {
		v.SetNull(at)
	}
}

// loneRight adds a right row that had no match, with NULLs on the left.
func (p *pairs) loneRight(s *rowStore, row int) {
	p.ensure()
	at := p.n
	for _, v := range p.left {
		v.SetNull(at)
	}
	for c := range p.right {
		s.columns[c].copyTo(p.right[c], at, row)
	}
	p.isEnd, p.rightRow = append(p.isEnd, false), append(p.rightRow, -1)
	p.n++
}

// flushLone yields the rows that loneRight added.
func (p *pairs) flushLone() *vector.Batch {
	if p.n == 0 {
		return nil
	}
	p.out.Length, p.out.Selection = p.n, nil
	p.n = 0
	p.isEnd, p.rightRow = p.isEnd[:0], p.rightRow[:0]
	return &p.out
}

// flush tests the candidates and returns the rows that the join yields for
// them, nil if there are none.
func (p *pairs) flush() (*vector.Batch, error) {
	if p.n == 0 {
		return nil, nil
	}
	p.candidates = p.candidates[:0]
	for i, end := range p.isEnd {
		if !end {
			p.candidates = append(p.candidates, int32(i))
		}
	}
	p.candidate.Length = p.n
	passed := rows{p.candidates, len(p.candidates)}
	switch {
	case p.unknownPasses:
		v, err := p.on[0].eval(&p.candidate, passed)
		if err != nil {
			return nil, err
		}
		p.passed = p.passed[:0]
		for _, i := range p.candidates {
			if v.Null(int(i)) || v.Ints[i] != 0 {
				p.passed = append(p.passed, i)
			}
		}
		passed = rows{p.passed, len(p.passed)}
	case len(p.on) > 0:
		var err error
		if passed, p.passed, err = selectTrue(p.on, &p.candidate, passed, p.passed); err != nil {
			return nil, err
		}
	}
	p.selection = p.selection[:0]
	next := 0
	for i, end := range p.isEnd {
		pass := next < passed.n && int(passed.selection[next]) == i
		if pass {
			next++
		}
		switch {
		case end:
			if !p.matched && p.kind != opt.Semi {
				p.selection = append(p.selection, int32(i))
			}
			p.matched = false
		case pass:
			if p.marks != nil && p.rightRow[i] >= 0 {
				p.marks[p.rightRow[i]>>6] |= 1 << (p.rightRow[i] & 63)
			}
			if p.kind == opt.Semi && !p.matched || p.kind != opt.Semi && p.kind != opt.Anti {
				p.selection = append(p.selection, int32(i))
			}
			p.matched = true
		}
	}
	p.n = 0
	p.isEnd, p.rightRow = p.isEnd[:0], p.rightRow[:0]
	if len(p.selection) == 0 {
		return nil, nil
	}
	p.out.Length, p.out.Selection = len(p.selection), p.selection
	return &p.out, nil
}
