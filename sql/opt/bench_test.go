package opt

import (
	"testing"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
)

// BenchmarkBuild plans parsed statements: what a statement costs that the
// session's cache of plans doesn't have.
func BenchmarkBuild(b *testing.B) {
	c := newTestCatalog()
	if err := c.define("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))"); err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct{ name, text string }{
		{"point", "SELECT abalance FROM accounts WHERE aid = $1"},
		{"update", "UPDATE accounts SET abalance = abalance + $1 WHERE aid = $2"},
		{"insert", "INSERT INTO accounts VALUES ($1, $2, $3, $4)"},
		{"join", "SELECT count(*) FROM accounts a JOIN accounts b ON a.bid = b.aid WHERE a.abalance > 10"},
	} {
		statements, err := postgres.Parse(x.text)
		if err != nil {
			b.Fatal(err)
		}
		var tree parser.Node = statements[0].AST
		context := c.context(x.text)
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Build(context, tree); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
