package oracle_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/test/cluster"
	"github.com/cairndb/cairn/test/oracle"
)

var (
	randomSeed    = flag.Uint64("seed", 1, "of TestRandomQueries")
	randomQueries = flag.Int("queries", 400, "how many TestRandomQueries runs")
)

// TestRandomQueries runs random queries on both servers: they must have the same
// rows, or fail both.
func TestRandomQueries(t *testing.T) {
	ctx := context.Background()
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	var servers []*pgconn.PgConn
	for _, url := range []string{oracle.StartPostgres(t), node.URL()} {
		conn, err := pgconn.Connect(ctx, inDatabase(t, url, "random"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		servers = append(servers, conn)
	}
	run := func(sql string) [2]oracle.Outcome {
		var out [2]oracle.Outcome
		for i, conn := range servers {
			var err error
			if out[i], err = oracle.Execute(ctx, conn, sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			for _, row := range out[i].Rows {
				for j, v := range row {
					// Which of the equal numerics 2 and 2.0 stands for both is open.
					if strings.Contains(v, ".") {
						row[j] = strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
					}
				}
			}
		}
		return out
	}
	g := &generator{Rand: rand.New(rand.NewPCG(*randomSeed, 0))}
	for _, sql := range append(g.tables(), "ANALYZE", "SET statement_timeout = '20s'") {
		if out := run(sql); out[0].SQLState != "" || out[1].SQLState != "" {
			t.Fatalf("%s: %+v", sql, out)
		}
	}
	failed := 0
	for range *randomQueries {
		sql := g.query()
		out := run(sql)
		for i := range out {
			out[i].Message, out[i].Detail = "", "" // two errors of a query may come in another order
			if out[i].SQLState != "" {
				failed++
			}
		}
		if d := oracle.Difference(out[0], out[1], false); d != "" {
			t.Errorf("%s\nPostgreSQL against Cairn: %s", sql, d)
		}
	}
	if failed > *randomQueries/5 {
		t.Errorf("%d of %d queries fail: the generator writes nonsense", failed, 2**randomQueries)
	}
}
