package opt

import (
	"math"

	"github.com/cairndb/cairn/sql/catalog"
)

// Costs are in units of reading one row in the order of a key.
const (
	startCost  = 10.0 // of a scan, a lookup, …: a message and a seek
	lookupCost = 4.0  // of one row by its key among many
	hashCost   = 1.5  // of putting a row into a hash table
	probeCost  = 0.6
	compare    = 0.1 // of comparing a pair of rows
)

// Shares of rows that conditions keep, where nothing better is known.
const (
	rangeOne  = 1.0 / 3
	rangeBoth = 0.05
	otherwise = 1.0 / 3
	nullShare = 0.01
	// defaultRows is the size of a table that nobody counted.
	defaultRows = 1000.0
	// defaultDistinct is how many values a column has that nobody looked at.
	defaultDistinct = 100.0
)

func withEstimate(n Node, rows, cost float64) Node {
	*n.Estimated() = Estimate{Rows: rows, Cost: cost}
	return n
}

func sortCost(rows float64) float64 { return rows * math.Log2(rows+2) * 0.3 }

func (o *optimizer) tableRows(t *catalog.Table) float64 {
	if o.c.RowCount != nil {
		if n := o.c.RowCount(t); n >= 0 {
			return n
		}
	}
	if t.RowEstimate > 0 {
		return float64(t.RowEstimate)
	}
	return defaultRows
}

// distinctValues estimates how many values a column has.
func (o *optimizer) distinctValues(t *catalog.Table, column catalog.ColumnID, rows float64) float64 {
	if n, ok := t.DistinctEstimates[column]; ok && n > 0 {
		return math.Max(1, float64(n))
	}
	for _, ix := range readableIndexes(t) {
		if ix.Unique && len(ix.Columns) == 1 && ix.Columns[0].Column == column {
			return math.Max(1, rows)
		}
	}
	return math.Max(1, math.Min(rows, math.Max(defaultDistinct, rows/10)))
}

// selectivity estimates the share of rows that meet all conditions.
func (o *optimizer) selectivity(conditions []Scalar) float64 {
	share := 1.0
	for _, c := range conditions {
		share *= o.share(c)
	}
	return share
}

func (o *optimizer) share(c Scalar) float64 {
	switch x := c.(type) {
	case *Call:
		if len(x.Arguments) != 2 {
			return otherwise
		}
		switch x.Function.Name {
		case "=":
			return o.equalShare(x.Arguments[0], x.Arguments[1])
		case "<", "<=", ">", ">=":
			return rangeOne
		case "<>":
			return 0.9
		case "~~", "~~*", "~":
			return 0.1
		}
		return otherwise
	case *And:
		return o.selectivity(x.Arguments)
	case *Or:
		none := 1.0
		for _, a := range x.Arguments {
			none *= 1 - o.share(a)
		}
		return 1 - none
	case *Not:
		return math.Max(0.05, 1-o.share(x.Argument))
	case *IsNull:
		if x.Negated {
			return 1 - nullShare
		}
		return nullShare
	case *InList:
		share := math.Min(0.8, float64(len(x.Items))*o.equalShare(x.Left, nil))
		if x.Negated {
			return 1 - share
		}
		return share
	case *AnyAll:
		return 0.1
	case *Constant:
		if isTrue(x) {
			return 1
		}
		return 0
	case *Subquery:
		return 0.5
	}
	return otherwise
}

func (o *optimizer) equalShare(a, b Scalar) float64 {
	share := 1 / defaultDistinct
	for _, s := range []Scalar{a, b} {
		if c, ok := s.(*Cast); ok {
			s = c.Input
		}
		if v, ok := s.(*Variable); ok {
			if n := o.distinctOf(v.ID); n > 0 {
				share = math.Min(share, 1/n)
			}
		}
	}
	return share
}

// distinctOf estimates the distinct values of a plan's column by the table it
// comes from, 0 if it comes from none.
func (o *optimizer) distinctOf(id ColumnID) float64 {
	m := o.metadata[id-1]
	if m.Table == 0 || o.estimates == nil {
		return 0
	}
	if t := o.estimates[m.Table]; t != nil {
		return o.distinctValues(t, m.Attribute, o.tableRows(t))
	}
	return 0
}
