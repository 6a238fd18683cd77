package schemachange

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairndb/cairn/sql/catalog"
)

// objectName joins a table's name, a column part and a label with underscores,
// cutting the longer of the first two until the name fits, as PostgreSQL's
// makeObjectName does.
func objectName(name1, name2, label string) string {
	available := catalog.MaxNameLengthBytes
	if name2 != "" {
		available--
	}
	if label != "" {
		available -= len(label) + 1
	}
	n1, n2 := len(name1), len(name2)
	for n1+n2 > available {
		if n1 > n2 {
			n1--
		} else {
			n2--
		}
	}
	name := clip(name1, n1)
	if name2 != "" {
		name += "_" + clip(name2, n2)
	}
	if label != "" {
		name += "_" + label
	}
	return name
}

// clip returns at most n bytes of s without cutting a character.
func clip(s string, n int) string {
	if n >= len(s) {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// namer chooses names for what a statement makes in a schema; names that it
// gave out count as taken.
type namer struct {
	env         *Env
	schema      catalog.ID
	relations   map[string]bool
	constraints map[string]bool
	loaded      bool // constraints has those that are stored
}

func (env *Env) newNamer(schema catalog.ID) *namer {
	return &namer{env: env, schema: schema, relations: map[string]bool{}, constraints: map[string]bool{}}
}

func (n *namer) relationTaken(name string) bool {
	return n.relations[name] || n.env.Catalog.NameTaken(n.schema, name)
}

func (n *namer) constraintTaken(ctx context.Context, name string) (bool, error) {
	if !n.loaded {
		relations, err := n.env.Catalog.Relations(ctx)
		if err != nil {
			return false, err
		}
		for _, r := range relations {
			t, ok := r.(*catalog.Table)
			if !ok || t.Schema != n.schema || t.IsVirtual() {
				continue
			}
			for c := range constraintNames(t) {
				n.constraints[c] = true
			}
		}
		n.loaded = true
	}
	return n.constraints[name], nil
}

// constraintNames are the names of a table's constraints.
func constraintNames(t *catalog.Table) map[string]bool {
	names := map[string]bool{}
	if t.Primary.Primary {
		names[t.Primary.Name] = true
	}
	for i := range t.Indexes {
		if t.Indexes[i].Constraint {
			names[t.Indexes[i].Name] = true
		}
	}
	for i := range t.Checks {
		names[t.Checks[i].Name] = true
	}
	for i := range t.ForeignKeys {
		names[t.ForeignKeys[i].Name] = true
	}
	return names
}

// relation chooses a relation's name (ChooseRelationName).
func (n *namer) relation(ctx context.Context, name1, name2, label string, isConstraint bool) (string, error) {
	for pass := 0; ; pass++ {
		name := objectName(name1, name2, numbered(label, pass))
		taken := n.relationTaken(name)
		if !taken && isConstraint {
			var err error
			if taken, err = n.constraintTaken(ctx, name); err != nil {
				return "", err
			}
		}
		if !taken {
			n.relations[name] = true
			if isConstraint {
				n.constraints[name] = true
			}
			return name, nil
		}
	}
}

// constraint chooses a constraint's name (ChooseConstraintName).
func (n *namer) constraint(ctx context.Context, name1, name2, label string) (string, error) {
	for pass := 0; ; pass++ {
		name := objectName(name1, name2, numbered(label, pass))
		taken, err := n.constraintTaken(ctx, name)
		if err != nil {
			return "", err
		}
		if !taken {
			n.constraints[name] = true
			return name, nil
		}
	}
}

func numbered(label string, pass int) string {
	if pass == 0 {
		return label
	}
	return label + strconv.Itoa(pass)
}

// columnPart joins columns' names for the name of an index or foreign key.
func columnPart(columns []string) string {
	var b strings.Builder
	for _, c := range columns {
		if b.Len() > 0 {
			b.WriteByte('_')
		}
		b.WriteString(c)
		if b.Len() >= catalog.MaxNameLengthBytes+1 {
			break
		}
	}
	return clip(b.String(), catalog.MaxNameLengthBytes)
}
