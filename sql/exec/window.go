package exec

import (
	"context"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/sql/vector"
)

// window computes window functions: it keeps its input, sorts it by partition
// and order (unless it comes so), computes partition by partition, and emits
// the rows in that order with the functions' columns behind them.
type window struct {
	rt        *runtime
	input     Operator
	partition []sortKey
	order     []sortKey
	items     []*windowItem
	store     *rowStore
	results   *rowStore
	rows      []int32
	account   account
	done      bool
	emitted   int
	out       *vector.Batch
	width     int
}

// windowItem is one function.
type windowItem struct {
	function  *types.Bound
	arguments []int
	filter    int // -1: none
	frame     *frame
}

func (b *builder) window(n *opt.Window) (Operator, schema, error) {
	op, s, err := b.build(n.Input)
	if err != nil {
		return nil, nil, err
	}
	w := &window{rt: b.rt, input: op, store: newRowStore(b.rt, s.types()), account: account{rt: b.rt}, width: len(s)}
	partition, err := s.positions(n.PartitionBy)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range partition {
		w.partition = append(w.partition, sortKey{position: p})
	}
	if w.order, err = sortKeys(n.OrderBy, s); err != nil {
		return nil, nil, err
	}
	out := append(schema(nil), s...)
	var ts []*types.T
	for i := range n.Functions {
		f := &n.Functions[i]
		item := &windowItem{function: f.Function, filter: -1}
		if item.arguments, err = s.positions(f.Arguments); err != nil {
			return nil, nil, err
		}
		if f.Filter != 0 {
			if item.filter = s.find(f.Filter); item.filter < 0 {
				return nil, nil, internalf("filter column %d is not in the input", f.Filter)
			}
		}
		if item.frame, err = b.frame(&f.Frame, w.order, s); err != nil {
			return nil, nil, err
		}
		w.items = append(w.items, item)
		ts = append(ts, f.Function.Return)
		out = append(out, column{f.ID, f.Function.Return})
	}
	w.results = newRowStore(b.rt, ts)
	w.out = &vector.Batch{Columns: newVectors(out.types())}
	return w, out, nil
}

func (w *window) Open(ctx context.Context) error {
	w.store.reset()
	w.results.reset()
	w.account.release()
	w.rows, w.done, w.emitted = w.rows[:0], false, 0
	for _, item := range w.items {
		if err := item.frame.open(); err != nil {
			return err
		}
	}
	return w.input.Open(ctx)
}

func (w *window) Next(ctx context.Context) (*vector.Batch, error) {
	if !w.done {
		if err := w.compute(ctx); err != nil {
			return nil, err
		}
		w.done = true
	}
	if w.emitted == len(w.rows) {
		return nil, nil
	}
	input := vector.Batch{Columns: w.out.Columns[:w.width]}
	results := vector.Batch{Columns: w.out.Columns[w.width:]}
	n := w.store.emitOrdered(&input, w.rows, w.emitted)
	w.results.emit(&results, w.emitted)
	w.emitted += n
	w.out.Length = n
	return w.out, nil
}

func (w *window) compute(ctx context.Context) error {
	for {
		b, err := w.input.Next(ctx)
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		if err := w.store.appendBatch(b); err != nil {
			return err
		}
	}
	if err := w.account.grow(int64(w.store.length) * 12); err != nil {
		return err
	}
	keys := append(append([]sortKey(nil), w.partition...), w.order...)
	w.rows = w.store.sorted(keys, w.rows, 0, w.store.length)
	for first := 0; first < len(w.rows); {
		end := first + 1
		for end < len(w.rows) && w.store.compare(w.partition, int(w.rows[first]), int(w.rows[end])) == 0 {
			end++
		}
		if err := w.computePartition(ctx, w.rows[first:end]); err != nil {
			return err
		}
		first = end
	}
	return nil
}

// computePartition appends the results of a partition's rows.
func (w *window) computePartition(ctx context.Context, rows []int32) error {
	p := &partition{window: w, rows: rows}
	p.findPeers()
	columns := make([][]types.Datum, len(w.items))
	for k, item := range w.items {
		p.item = item
		p.frameRow = -1
		columns[k] = make([]types.Datum, len(rows))
		var err error
		if item.function.Window != nil {
			for i := range rows {
				if i&1023 == 0 {
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				if columns[k][i], err = item.function.Window(w.rt.env.Types, p, i); err != nil {
					return err
				}
			}
		} else if err = p.aggregate(ctx, columns[k]); err != nil {
			return err
		}
		if p.err != nil {
			return p.err
		}
	}
	row := make([]types.Datum, len(w.items))
	for i := range rows {
		for k := range columns {
			row[k] = columns[k][i]
		}
		if err := w.results.appendDatums(row); err != nil {
			return err
		}
	}
	return nil
}

func (w *window) Close() error {
	w.store.release()
	w.results.release()
	w.account.release()
	return w.input.Close()
}

// partition is a partition of the window as its functions see it.
type partition struct {
	window *window
	item   *windowItem
	rows   []int32 // of window.store, in order
	// group has for each row the number of its peer group, starts where the
	// groups begin, and one past the last row.
	group  []int32
	starts []int32
	// The frame of frameRow: up to three runs of rows, in order.
	frameRow int
	runs     [3]interval
	err      error
}

// interval is half open.
type interval struct{ start, end int }

func (p *partition) findPeers() {
	p.group = make([]int32, len(p.rows))
	for i := range p.rows {
		if i == 0 || p.window.store.compare(p.window.order, int(p.rows[i-1]), int(p.rows[i])) != 0 {
			p.starts = append(p.starts, int32(i))
		}
		p.group[i] = int32(len(p.starts) - 1)
	}
	p.starts = append(p.starts, int32(len(p.rows)))
}

// Rows returns how many rows there are.
func (p *partition) Rows() int { return len(p.rows) }

// Argument returns an argument's value at a row.
func (p *partition) Argument(n, row int) types.Datum {
	return p.window.store.columns[p.item.arguments[n]].datum(int(p.rows[row]))
}

// Peers returns the rows that are equal to row in the window's order.
func (p *partition) Peers(row int) (start, end int) {
	g := p.group[row]
	return int(p.starts[g]), int(p.starts[g+1])
}

// PeerGroup returns the number of the row's peer group.
func (p *partition) PeerGroup(row int) int { return int(p.group[row]) }

// FrameRow returns the nth row of a row's frame.
func (p *partition) FrameRow(row, n int) (int, bool) {
	p.setFrame(row)
	if n < 0 {
		return 0, false
	}
	for _, r := range p.runs {
		if n < r.end-r.start {
			return r.start + n, true
		}
		n -= r.end - r.start
	}
	return 0, false
}

// FrameRows returns how many rows a row's frame has.
func (p *partition) FrameRows(row int) int {
	p.setFrame(row)
	n := 0
	for _, r := range p.runs {
		n += r.end - r.start
	}
	return n
}

// setFrame computes the frame of a row.
func (p *partition) setFrame(row int) {
	if p.frameRow == row || p.err != nil {
		return
	}
	f := p.item.frame
	start, end, err := f.bounds(p, row)
	if err != nil {
		p.err = err
		p.runs = [3]interval{}
		return
	}
	p.frameRow = row
	p.runs = [3]interval{{start, max(start, end)}}
	peerStart, peerEnd := p.Peers(row)
	switch f.exclude {
	case opt.ExcludeCurrentRow:
		p.cut(row, row+1, row, row)
	case opt.ExcludeGroup:
		p.cut(peerStart, peerEnd, row, row)
	case opt.ExcludeTies:
		p.cut(peerStart, peerEnd, row, row+1)
	}
}

// cut takes [from, to) out of the frame except [keep, keepEnd), which lies in it.
func (p *partition) cut(from, to, keep, keepEnd int) {
	whole := p.runs[0]
	clip := func(a, b int) interval {
		a, b = max(a, whole.start), min(b, whole.end)
		return interval{a, max(a, b)}
	}
	p.runs = [3]interval{clip(whole.start, from), clip(keep, keepEnd), clip(to, whole.end)}
}

// aggregate computes an aggregate over each row's frame. A frame that begins
// where the last one did and ends later adds to the same state; others are
// computed anew.
func (p *partition) aggregate(ctx context.Context, out []types.Datum) error {
	f := p.item.function
	env := p.window.rt.env.Types
	var state types.Accumulator
	var covered [3]interval // what state has
	var result types.Datum
	for i := range p.rows {
		p.setFrame(i)
		if p.err != nil {
			return p.err
		}
		if state != nil && covered == p.runs {
			out[i] = result
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		empty := func(r interval) bool { return r.start == r.end }
		grows := state != nil && empty(p.runs[1]) && empty(p.runs[2]) && empty(covered[1]) && empty(covered[2]) &&
			covered[0].start == p.runs[0].start && covered[0].end <= p.runs[0].end
		from := covered[0].end
		if !grows {
			state = f.NewAccumulator()
			from = p.runs[0].start
		}
		for k, r := range p.runs {
			if k == 0 {
				r.start = from
			}
			for row := r.start; row < r.end; row++ {
				if err := p.addTo(state, row); err != nil {
					return err
				}
			}
		}
		covered = p.runs
		var err error
		if result, err = state.Result(env); err != nil {
			return err
		}
		out[i] = result
	}
	return nil
}

// addTo adds a row to an accumulator, unless FILTER or a NULL keeps it out.
func (p *partition) addTo(state types.Accumulator, row int) error {
	at := int(p.rows[row])
	if p.item.filter >= 0 {
		c := &p.window.store.columns[p.item.filter]
		if c.null(at) || c.ints[at] == 0 {
			return nil
		}
	}
	var scratch [4]types.Datum
	datums := scratch[:0]
	for n := range p.item.arguments {
		d := p.Argument(n, row)
		if d.Null && !p.item.function.CalledOnNull {
			return nil
		}
		datums = append(datums, d)
	}
	return state.Add(p.window.rt.env.Types, datums)
}
