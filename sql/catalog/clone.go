package catalog

import (
	"fmt"
	"slices"
)

// Clone returns a copy of a descriptor that shares nothing that can be
// changed.
func Clone[D Descriptor](d D) D {
	var c Descriptor
	switch d := Descriptor(d).(type) {
	case *Database:
		n := *d
		c = &n
	case *Schema:
		n := *d
		c = &n
	case *Role:
		n := *d
		n.MemberOf = slices.Clone(d.MemberOf)
		c = &n
	case *View:
		n := *d
		n.Columns = slices.Clone(d.Columns)
		n.DependsOn = slices.Clone(d.DependsOn)
		c = &n
	case *Sequence:
		n := *d
		c = &n
	case *Table:
		c = cloneTable(d)
	default:
		panic(fmt.Sprintf("catalog: descriptor of type %T", d))
	}
	h := c.Head()
	h.Dependents = slices.Clone(h.Dependents)
	h.Uncommitted = false
	return c.(D)
}

func cloneTable(t *Table) *Table {
	n := *t
	n.Columns = slices.Clone(t.Columns)
	n.Primary = cloneIndex(t.Primary)
	n.Indexes = slices.Clone(t.Indexes)
	for i := range n.Indexes {
		n.Indexes[i] = cloneIndex(n.Indexes[i])
	}
	n.Checks = slices.Clone(t.Checks)
	for i := range n.Checks {
		n.Checks[i].Columns = slices.Clone(n.Checks[i].Columns)
	}
	n.ForeignKeys = cloneForeignKeys(t.ForeignKeys)
	n.ReferencedBy = cloneForeignKeys(t.ReferencedBy)
	return &n
}

func cloneIndex(ix Index) Index {
	ix.Columns = slices.Clone(ix.Columns)
	ix.Stored = slices.Clone(ix.Stored)
	return ix
}

func cloneForeignKeys(keys []ForeignKey) []ForeignKey {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].Columns = slices.Clone(keys[i].Columns)
		keys[i].ReferencedColumns = slices.Clone(keys[i].ReferencedColumns)
	}
	return keys
}
