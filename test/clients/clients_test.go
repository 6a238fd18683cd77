// Package clients runs the same program through the clients that people use.
package clients

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/test/cluster"
)

// The CRUD program, in Go with pgx and in Python with psycopg2 (crud.py):
// create a table, insert with RETURNING, read by parameters of each common
// type, update, roll back, violate a constraint, delete.

func TestPgx(t *testing.T) {
	ctx := context.Background()
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			config, err := pgx.ParseConfig(node.URL())
			if err != nil {
				t.Fatal(err)
			}
			config.DefaultQueryExecMode = mode
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			crud(t, ctx, conn)
		})
	}
}

func crud(t *testing.T, ctx context.Context, conn *pgx.Conn) {
	mustExec := func(sql string, arguments ...any) pgconn.CommandTag {
		t.Helper()
		tag, err := conn.Exec(ctx, sql, arguments...)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return tag
	}
	mustExec("DROP TABLE IF EXISTS items")
	mustExec("CREATE TABLE items (id SERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, price NUMERIC(10,2), tags TEXT, sold BOOLEAN DEFAULT false, made TIMESTAMPTZ DEFAULT now())")

	var first, second int
	if err := conn.QueryRow(ctx, "INSERT INTO items (name, price) VALUES ($1, $2) RETURNING id", "lamp", "12.50").Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(ctx, "INSERT INTO items (name, price, sold) VALUES ($1, $2, $3) RETURNING id", "chair", "99.99", true).Scan(&second); err != nil {
		t.Fatal(err)
	}
	if first != 1 || second != 2 {
		t.Errorf("ids %d, %d", first, second)
	}
	var name string
	var price float64
	var sold bool
	if err := conn.QueryRow(ctx, "SELECT name, price::float8, sold FROM items WHERE id = $1", second).Scan(&name, &price, &sold); err != nil {
		t.Fatal(err)
	}
	if name != "chair" || price != 99.99 || !sold {
		t.Errorf("read %q, %g, %v", name, price, sold)
	}
	if tag := mustExec("UPDATE items SET price = price * 2 WHERE name = $1", "lamp"); tag.RowsAffected() != 1 {
		t.Errorf("UPDATE says %s", tag)
	}

	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM items"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}

	_, err = conn.Exec(ctx, "INSERT INTO items (name) VALUES ($1)", "lamp")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "23505" || pgErr.ConstraintName != "items_name_key" {
		t.Errorf("a duplicate name gives %v", err)
	}

	rows, err := conn.Query(ctx, "SELECT name, price::text FROM items ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Price string }])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Price != "25.00" || got[1].Price != "99.99" {
		t.Errorf("rows %v", got)
	}
	if tag := mustExec("DELETE FROM items WHERE sold"); tag.RowsAffected() != 1 {
		t.Errorf("DELETE says %s", tag)
	}
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"name"}, pgx.CopyFromRows([][]any{{"a"}, {"b"}, {"c"}}))
	if err != nil || copied != 3 {
		t.Errorf("COPY says %d, %v", copied, err)
	}
	batch := &pgx.Batch{}
	for range 3 {
		batch.Queue("SELECT count(*) FROM items")
	}
	results := conn.SendBatch(ctx, batch)
	for range 3 {
		var n int
		if err := results.QueryRow().Scan(&n); err != nil {
			t.Error(err)
		}
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
}

func TestPsycopg2(t *testing.T) {
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	// Debian's Python, which Debian's python3-psycopg2 belongs to.
	cmd := exec.Command("/usr/bin/python3", "crud.py", node.URL())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
