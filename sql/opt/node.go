package opt

func tableColumnIDs(columns []TableColumn, more ...ColumnID) []ColumnID {
	ids := make([]ColumnID, 0, len(columns)+len(more))
	for _, c := range columns {
		ids = append(ids, c.ID)
	}
	return append(ids, more...)
}

func concat(a, b []ColumnID) []ColumnID {
	ids := make([]ColumnID, 0, len(a)+len(b))
	return append(append(ids, a...), b...)
}

// Output returns the columns read.
func (n *Scan) Output() []ColumnID { return tableColumnIDs(n.Columns) }

// Output returns the columns fetched, then those kept.
func (n *IndexJoin) Output() []ColumnID { return tableColumnIDs(n.Columns, n.Keep...) }

// Output returns the input's columns, then (unless Semi or Anti) the table's.
func (n *LookupJoin) Output() []ColumnID {
	if n.Kind == Semi || n.Kind == Anti {
		return n.Input.Output()
	}
	return concat(n.Input.Output(), tableColumnIDs(n.Columns))
}

// Output returns the columns read.
func (n *VirtualScan) Output() []ColumnID { return tableColumnIDs(n.Columns) }

// Output returns the columns.
func (n *Values) Output() []ColumnID { return n.Columns }

// Output returns the columns.
func (n *Input) Output() []ColumnID { return n.Columns }

// Output returns the input's columns.
func (n *Filter) Output() []ColumnID { return n.Input.Output() }

// Output returns Keep, then the items.
func (n *Project) Output() []ColumnID {
	ids := make([]ColumnID, 0, len(n.Keep)+len(n.Items))
	ids = append(ids, n.Keep...)
	for _, i := range n.Items {
		ids = append(ids, i.ID)
	}
	return ids
}

// Output returns the left side's columns, then (unless Semi or Anti) the right side's.
func (n *Join) Output() []ColumnID {
	if n.Kind == Semi || n.Kind == Anti {
		return n.Left.Output()
	}
	return concat(n.Left.Output(), n.Right.Output())
}

// Output returns GroupBy, the GroupingID if there is one, then the aggregates.
func (n *Aggregate) Output() []ColumnID {
	ids := make([]ColumnID, 0, len(n.GroupBy)+len(n.Aggregates)+1)
	ids = append(ids, n.GroupBy...)
	if n.GroupingID != 0 {
		ids = append(ids, n.GroupingID)
	}
	for _, a := range n.Aggregates {
		ids = append(ids, a.ID)
	}
	return ids
}

// Output returns the input's columns.
func (n *DistinctRows) Output() []ColumnID { return n.Input.Output() }

// Output returns the input's columns.
func (n *Sort) Output() []ColumnID { return n.Input.Output() }

// Output returns the input's columns.
func (n *Limit) Output() []ColumnID { return n.Input.Output() }

// Output returns the columns.
func (n *SetOperation) Output() []ColumnID { return n.Columns }

// Output returns the input's columns, then the functions.
func (n *Window) Output() []ColumnID {
	input := n.Input.Output()
	ids := make([]ColumnID, 0, len(input)+len(n.Functions))
	ids = append(ids, input...)
	for _, f := range n.Functions {
		ids = append(ids, f.ID)
	}
	return ids
}

func setColumns(sets []SetItem) []ColumnID {
	var ids []ColumnID
	for _, s := range sets {
		ids = append(ids, s.Columns...)
	}
	return ids
}

// Output returns the input's columns, then the sets' columns.
func (n *ProjectSet) Output() []ColumnID { return concat(n.Input.Output(), setColumns(n.Sets)) }

// Output returns the sets' columns, then the ordinality if there is one.
func (n *FunctionScan) Output() []ColumnID {
	ids := setColumns(n.Sets)
	if n.Ordinality != 0 {
		ids = append(ids, n.Ordinality)
	}
	return ids
}

// Output returns the input's columns.
func (n *With) Output() []ColumnID { return n.Input.Output() }

// Output returns the columns.
func (n *CommonScan) Output() []ColumnID { return n.Columns }

// Output returns the columns.
func (n *RecursiveUnion) Output() []ColumnID { return n.Columns }

// Output returns the columns.
func (n *WorkScan) Output() []ColumnID { return n.Columns }

// Output returns the input's columns.
func (n *LockRows) Output() []ColumnID { return n.Input.Output() }

// Output returns the input's columns.
func (n *Insert) Output() []ColumnID { return n.Input.Output() }

// Output returns the input's columns.
func (n *Update) Output() []ColumnID { return n.Input.Output() }

// Output returns the input's columns.
func (n *Delete) Output() []ColumnID { return n.Input.Output() }

// Inputs returns nothing.
func (n *Scan) Inputs() []Node { return nil }

// Inputs returns the input.
func (n *IndexJoin) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *LookupJoin) Inputs() []Node { return []Node{n.Input} }

// Inputs returns nothing.
func (n *VirtualScan) Inputs() []Node { return nil }

// Inputs returns nothing.
func (n *Values) Inputs() []Node { return nil }

// Inputs returns nothing.
func (n *Input) Inputs() []Node { return nil }

// Inputs returns the input.
func (n *Filter) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Project) Inputs() []Node { return []Node{n.Input} }

// Inputs returns both sides.
func (n *Join) Inputs() []Node { return []Node{n.Left, n.Right} }

// Inputs returns the input.
func (n *Aggregate) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *DistinctRows) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Sort) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Limit) Inputs() []Node { return []Node{n.Input} }

// Inputs returns both sides.
func (n *SetOperation) Inputs() []Node { return []Node{n.Left, n.Right} }

// Inputs returns the input.
func (n *Window) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *ProjectSet) Inputs() []Node { return []Node{n.Input} }

// Inputs returns nothing.
func (n *FunctionScan) Inputs() []Node { return nil }

// Inputs returns the common tables' queries, then the input.
func (n *With) Inputs() []Node {
	nodes := make([]Node, 0, len(n.Tables)+1)
	for _, t := range n.Tables {
		nodes = append(nodes, t.Query)
	}
	return append(nodes, n.Input)
}

// Inputs returns nothing: the With above runs the table's query.
func (n *CommonScan) Inputs() []Node { return nil }

// Inputs returns the initial query and the step.
func (n *RecursiveUnion) Inputs() []Node { return []Node{n.Initial, n.Step} }

// Inputs returns nothing.
func (n *WorkScan) Inputs() []Node { return nil }

// Inputs returns the input.
func (n *LockRows) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Insert) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Update) Inputs() []Node { return []Node{n.Input} }

// Inputs returns the input.
func (n *Delete) Inputs() []Node { return []Node{n.Input} }
