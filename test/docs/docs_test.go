// Package docs keeps the SQL in README.md and docs/*.md true: blocks marked
// "sql" must run, in order, in a new database; each statement of those marked
// "sql refused" must be refused with 0A000.
package docs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/test/cluster"
)

// block is a fenced block of a page.
type block struct {
	line int
	kind string // what stands behind the fence
	text string
}

func readBlocks(t *testing.T, name string) []block {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	var open *block
	for i, line := range strings.Split(string(content), "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{line: i + 1, kind: fence}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return blocks
}

func TestDocumentedStatements(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	admin := node.Connect(t)
	for i, page := range append(pages, "../../README.md") {
		t.Run(filepath.Base(page), func(t *testing.T) {
			database := fmt.Sprintf("page_%d", i)
			if _, err := admin.Exec(ctx, "CREATE DATABASE "+database); err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(node.URL())
			if err != nil {
				t.Fatal(err)
			}
			u.Path = "/" + database
			conn, err := pgx.Connect(ctx, u.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			for _, b := range readBlocks(t, page) {
				switch b.kind {
				case "sql":
					if _, err := conn.PgConn().Exec(ctx, b.text).ReadAll(); err != nil {
						t.Errorf("line %d: %v", b.line, err)
					}
				case "sql refused":
					refused(t, ctx, conn, b)
				}
			}
		})
	}
}

// refused checks each line of a block: it is one statement.
func refused(t *testing.T, ctx context.Context, conn *pgx.Conn, b block) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		_, err := conn.PgConn().Exec(ctx, line).ReadAll()
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "0A000" {
			t.Errorf("line %d: %s\n\tgives %v, not 0A000", b.line, line, err)
		}
	}
}

// TestBlocksAreSQL finds blocks that the other test can't mean.
func TestBlocksAreSQL(t *testing.T) {
	found := 0
	for _, b := range readBlocks(t, "../../docs/sql.md") {
		if !strings.HasPrefix(b.kind, "sql") {
			continue
		}
		found++
		if b.kind == "sql" {
			if _, err := postgres.Parse(b.text); err != nil {
				t.Errorf("line %d: %v", b.line, err)
			}
		}
	}
	if found < 5 {
		t.Errorf("docs/sql.md has only %d blocks of SQL", found)
	}
}
