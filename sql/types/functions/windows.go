package functions

import (
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// defineWindows defines the functions that only work OVER a window.
func defineWindows(d definitions) {
	plain := func(f types.WindowFunc) func([]*types.T, *types.T) types.WindowFunc {
		return func([]*types.T, *types.T) types.WindowFunc { return f }
	}
	d.window("row_number()", plain(func(_ *types.Context, _ types.WindowPartition, row int) (types.Datum, error) {
		return types.Int(int64(row) + 1), nil
	}))
	d.window("rank()", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		start, _ := p.Peers(row)
		return types.Int(int64(start) + 1), nil
	}))
	d.window("dense_rank()", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		return types.Int(int64(p.PeerGroup(row)) + 1), nil
	}))
	d.window("percent_rank()", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		if p.Rows() <= 1 {
			return types.Float(0), nil
		}
		start, _ := p.Peers(row)
		return types.Float(float64(start) / float64(p.Rows()-1)), nil
	}))
	d.window("cume_dist()", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		_, end := p.Peers(row)
		return types.Float(float64(end) / float64(p.Rows())), nil
	}))
	d.window("ntile(int4)", plain(ntile))
	for name, direction := range map[string]int64{"lag": -1, "lead": 1} {
		shift := plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
			return shifted(p, row, direction, 1, types.DNull), nil
		})
		d.window(name+"(anyelement)", shift)
		d.window(name+"(anyelement,int4)", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
			offset := p.Argument(1, row)
			if offset.Null {
				return types.DNull, nil
			}
			return shifted(p, row, direction, offset.I, types.DNull), nil
		}))
		d.window(name+"(anycompatible,int4,anycompatible)", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
			offset := p.Argument(1, row)
			if offset.Null {
				return types.DNull, nil
			}
			return shifted(p, row, direction, offset.I, p.Argument(2, row)), nil
		}))
	}
	d.window("first_value(anyelement)", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		return frameValue(p, row, 0), nil
	}))
	d.window("last_value(anyelement)", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		return frameValue(p, row, p.FrameRows(row)-1), nil
	}))
	d.window("nth_value(anyelement,int4)", plain(func(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
		n := p.Argument(1, row)
		switch {
		case n.Null:
			return types.DNull, nil
		case n.I <= 0:
			return types.DNull, pgerror.New("22016", "argument of nth_value must be greater than zero")
		}
		return frameValue(p, row, int(n.I)-1), nil
	}))
}

// ntile numbers the buckets of a partition; the first ones are one row longer
// where it doesn't divide evenly. The count is that of the first row.
func ntile(_ *types.Context, p types.WindowPartition, row int) (types.Datum, error) {
	buckets := p.Argument(0, 0)
	switch {
	case buckets.Null:
		return types.DNull, nil
	case buckets.I <= 0:
		return types.DNull, pgerror.New("22014", "argument of ntile must be greater than zero")
	}
	size, longer := int64(p.Rows())/buckets.I, int64(p.Rows())%buckets.I
	at := int64(row)
	if at < longer*(size+1) {
		return types.Int(at/(size+1) + 1), nil
	}
	return types.Int(longer + (at-longer*(size+1))/size + 1), nil
}

// shifted is the first argument at a row some rows away, or the default.
func shifted(p types.WindowPartition, row int, direction, offset int64, fallback types.Datum) types.Datum {
	at := int64(row) + direction*offset
	if at < 0 || at >= int64(p.Rows()) {
		return fallback
	}
	return p.Argument(0, int(at))
}

func frameValue(p types.WindowPartition, row, n int) types.Datum {
	if n < 0 {
		return types.DNull
	}
	at, ok := p.FrameRow(row, n)
	if !ok {
		return types.DNull
	}
	return p.Argument(0, at)
}
