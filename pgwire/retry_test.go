package pgwire

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestStatementsThatFailAtCommitRunAgain: in a transaction of its own a
// statement whose reads are outdated when it commits is run again, unseen, in
// both protocols.
func TestStatementsThatFailAtCommitRunAgain(t *testing.T) {
	s := newStack(t, nil)
	ctx := context.Background()
	const clients, times = 4, 25
	for name, mode := range map[string]pgx.QueryExecMode{"extended": pgx.QueryExecModeExec, "prepared": pgx.QueryExecModeCacheStatement, "simple": pgx.QueryExecModeSimpleProtocol} {
		first := s.connect(t, "")
		if _, err := first.Exec(ctx, "DROP TABLE IF EXISTS counted; CREATE TABLE counted (id INT PRIMARY KEY)", pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		var done sync.WaitGroup
		for range clients {
			conn := s.connect(t, "")
			done.Go(func() {
				for range times {
					if _, err := conn.Exec(ctx, "INSERT INTO counted SELECT count(*) FROM counted", mode); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		done.Wait()
		var count, largest int
		if err := first.QueryRow(ctx, "SELECT count(*), max(id) FROM counted").Scan(&count, &largest); err != nil || count != clients*times || largest != count-1 {
			t.Errorf("%s: %d rows, the largest %d: %v", name, count, largest, err)
		}
	}
}
