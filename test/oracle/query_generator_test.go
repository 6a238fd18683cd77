package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes random queries over the tables of tables(): joins of all
// kinds, correlated subqueries, grouping, windows and set operations, over few
// values and many NULLs, so that most of them have rows.
type generator struct {
	*rand.Rand
	aliases int
}

// column is a column in view that holds a number.
type column struct{ table, name string }

var tableColumns = map[string][]string{"r": {"a", "b", "c"}, "s": {"a", "b"}, "u": {"a", "e", "k"}}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) alias() string {
	g.aliases++
	return fmt.Sprintf("t%d", g.aliases)
}

func (g *generator) tables() []string {
	out := []string{
		"CREATE TABLE r (a int, b int, c int)", "CREATE TABLE s (a int PRIMARY KEY, b int)", "CREATE TABLE u (a int, e numeric, k int NOT NULL UNIQUE)",
		"CREATE INDEX ON r (a)", "CREATE INDEX ON r (b, c)", "CREATE INDEX ON s (b)",
	}
	value := func() string { return g.pick("NULL", "0", "1", "2", "3", "4", "5") }
	for range 25 {
		out = append(out, fmt.Sprintf("INSERT INTO r VALUES (%s, %s, %s)", value(), value(), value()))
	}
	for i := range 8 {
		out = append(out, fmt.Sprintf("INSERT INTO s VALUES (%d, %s)", i, value()))
	}
	for i := range 10 {
		out = append(out, fmt.Sprintf("INSERT INTO u VALUES (%s, %s, %d)", value(), g.pick("NULL", "1.5", "2.25", "3", "0.25"), i))
	}
	return out
}

// table returns a table with an alias and its columns.
func (g *generator) table() (string, []column) {
	name, alias := g.pick("r", "s", "u"), g.alias()
	return name + " " + alias, columnsOf(alias, tableColumns[name])
}

func columnsOf(alias string, names []string) []column {
	var out []column
	for _, n := range names {
		out = append(out, column{alias, n})
	}
	return out
}

func (g *generator) column(in []column) string {
	c := in[g.IntN(len(in))]
	return c.table + "." + c.name
}

func (g *generator) expression(in []column, depth int) string {
	k := g.IntN(100)
	if depth <= 0 {
		k = min(k, 59)
	}
	switch {
	case k < 45:
		return g.column(in)
	case k < 60:
		return g.pick("0", "1", "2", "3", "NULL::int", "1.5")
	case k < 75:
		return fmt.Sprintf("(%s %s %s)", g.expression(in, depth-1), g.pick("+", "-", "*"), g.expression(in, depth-1))
	case k < 82:
		return fmt.Sprintf("coalesce(%s, %s)", g.column(in), g.expression(in, depth-1))
	case k < 90:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.condition(in, depth-1), g.expression(in, depth-1), g.expression(in, depth-1))
	}
	from, own := g.table()
	return fmt.Sprintf("(SELECT %s(%s) FROM %s WHERE %s)", g.pick("max", "min", "count", "sum"), g.column(own), from, g.condition(append(own, in...), depth-1))
}

func (g *generator) condition(in []column, depth int) string {
	k := g.IntN(100)
	if depth <= 0 {
		k = min(k, 49)
	}
	switch {
	case k < 35:
		return fmt.Sprintf("%s %s %s", g.expression(in, depth-1), g.pick("=", "<", ">", "<>", "<=", ">="), g.expression(in, depth-1))
	case k < 42:
		return fmt.Sprintf("%s IS %sNULL", g.column(in), g.pick("", "NOT "))
	case k < 50:
		return fmt.Sprintf("%s %sIN (%s, %s, 7)", g.column(in), g.pick("", "NOT "), g.pick("0", "1", "NULL"), g.pick("2", "3"))
	case k < 60:
		return fmt.Sprintf("(%s %s %s)", g.condition(in, depth-1), g.pick("AND", "OR"), g.condition(in, depth-1))
	case k < 64:
		return fmt.Sprintf("NOT (%s)", g.condition(in, depth-1))
	case k < 68:
		return fmt.Sprintf("(%s = %s) IS %s", g.column(in), g.column(in), g.pick("NOT TRUE", "NOT FALSE", "UNKNOWN"))
	case k < 71:
		return fmt.Sprintf("%s BETWEEN %s AND %s", g.expression(in, depth-1), g.expression(in, 0), g.expression(in, 0))
	case k < 74:
		return fmt.Sprintf("%s IS %sDISTINCT FROM %s", g.column(in), g.pick("", "NOT "), g.expression(in, 0))
	}
	from, own := g.table()
	inner := g.condition(append(own, in...), depth-1)
	switch {
	case k < 83:
		return fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s WHERE %s)", g.pick("", "NOT "), from, inner)
	case k < 93:
		return fmt.Sprintf("%s %sIN (SELECT %s FROM %s WHERE %s)", g.column(in), g.pick("", "NOT "), g.column(own), from, inner)
	}
	return fmt.Sprintf("%s %s %s (SELECT %s FROM %s WHERE %s)", g.column(in), g.pick("=", "<", ">"), g.pick("ANY", "ALL"), g.column(own), from, inner)
}

func (g *generator) from(depth int) (string, []column) {
	if depth <= 0 || g.IntN(100) < 35 {
		from, own := g.table()
		if g.IntN(100) < 80 {
			return from, own
		}
		alias, key := g.alias(), g.column(own)
		return fmt.Sprintf("(SELECT %s AS a, count(*) AS b, sum(%s) AS c FROM %s GROUP BY %s) %s", key, g.column(own), from, key, alias), columnsOf(alias, []string{"a", "b", "c"})
	}
	left, l := g.from(depth - 1)
	right, r := g.from(depth - 1)
	all := append(append([]column(nil), l...), r...)
	equal := g.column(l) + " = " + g.column(r)
	switch kind := g.pick("JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"); kind {
	case "CROSS JOIN":
		return fmt.Sprintf("(%s CROSS JOIN %s)", left, right), all
	case "FULL JOIN": // PostgreSQL takes no other conditions
		return fmt.Sprintf("(%s FULL JOIN %s ON %s)", left, right, equal), all
	default:
		if g.IntN(2) == 0 {
			equal += " AND " + g.condition(all, 1)
		}
		return fmt.Sprintf("(%s %s %s ON %s)", left, kind, right, equal), all
	}
}

// query returns a query whose rows are the same whatever their order.
func (g *generator) query() string {
	from, in := g.from(g.IntN(3))
	where := ""
	if g.IntN(100) < 70 {
		where = " WHERE " + g.condition(in, 2)
	}
	switch k := g.IntN(100); {
	case k < 30:
		keys := []string{g.column(in), g.column(in)}[:g.IntN(3)]
		selected := append(append([]string(nil), keys...), fmt.Sprintf("%s(%s)", g.pick("count", "sum", "min", "max"), g.expression(in, 1)),
			fmt.Sprintf("count(DISTINCT %s) FILTER (WHERE %s)", g.column(in), g.condition(in, 1)))
		groups := ""
		if len(keys) > 0 {
			groups = fmt.Sprintf(" GROUP BY %s(%s)", g.pick("", "", "ROLLUP ", "CUBE "), strings.Join(keys, ", "))
		}
		having := ""
		if g.IntN(3) == 0 {
			having = " HAVING count(*) " + g.pick("> 1", "< 4")
		}
		return "SELECT " + strings.Join(selected, ", ") + " FROM " + from + where + groups + having
	case k < 40:
		return fmt.Sprintf("SELECT DISTINCT %s, %s FROM %s%s", g.column(in), g.column(in), from, where)
	case k < 50:
		return fmt.Sprintf("SELECT %s, %s(%s) OVER (PARTITION BY %s ORDER BY %s) FROM %s%s", g.column(in), g.pick("sum", "count", "max"), g.column(in), g.column(in), g.column(in), from, where)
	case k < 60:
		other, own := g.from(1)
		return fmt.Sprintf("SELECT %s, %s FROM %s%s %s SELECT %s, %s FROM %s", g.column(in), g.column(in), from, where,
			g.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"), g.column(own), g.column(own), other)
	case k < 75:
		return fmt.Sprintf("SELECT %s, %s FROM %s%s ORDER BY %s LIMIT %d", g.column(in), g.column(in), from, where, g.pick("1, 2", "2 DESC NULLS LAST, 1"), 1+g.IntN(9))
	}
	return fmt.Sprintf("SELECT %s, %s FROM %s%s", g.expression(in, 2), g.expression(in, 2), from, where)
}
