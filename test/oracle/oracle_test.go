package oracle_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/test/cluster"
	"github.com/cairndb/cairn/test/oracle"
)

func TestMain(m *testing.M) {
	code := m.Run()
	oracle.Stop()
	os.Exit(code)
}

// TestScripts runs each script of testdata with psql, in a new database of
// PostgreSQL 15 and of Cairn. All that psql prints must be the same: rows,
// headings, command tags, errors, \d.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	postgres := oracle.StartPostgres(t)
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for i, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".sql"), func(t *testing.T) {
			database := fmt.Sprintf("script_%d", i)
			want := psql(t, inDatabase(t, postgres, database), script)
			got := psql(t, inDatabase(t, node.URL(), database), script)
			if want != got {
				t.Errorf("psql prints (- PostgreSQL, + Cairn):\n%s", diff(t, want, got))
			}
		})
	}
}

func inDatabase(t *testing.T, server, name string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name).ReadAll(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func psql(t *testing.T, database, script string) string {
	t.Helper()
	cmd := exec.Command("psql", "-X", "-a", "-f", filepath.Base(script), database)
	cmd.Dir = filepath.Dir(script)
	cmd.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8", "PGTZ=UTC", "PAGER=cat")
	// Both streams in one: the order of errors and results is part of it.
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return moment.ReplaceAllString(string(out), "a moment of today")
}

// moment matches moments of the day on which the test runs, which can't be the
// same on both servers.
var moment = regexp.MustCompile(time.Now().UTC().Format("2006-01-02") + ` \d\d:\d\d:\d\d(\.\d+)?(\+00)?`)

func diff(t *testing.T, want, got string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"PostgreSQL": want, "Cairn": got} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("diff", "-U2", "PostgreSQL", "Cairn")
	cmd.Dir = dir
	out, _ := cmd.CombinedOutput() // exit code 1 says that they differ
	return string(out)
}
