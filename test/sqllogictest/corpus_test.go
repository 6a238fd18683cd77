package sqllogictest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairndb/cairn/test/cluster"
	"github.com/cairndb/cairn/test/sqllogictest"
)

// TestOwnFiles runs the records of testdata, which were written for what Cairn
// has and hold on PostgreSQL 15 as well.
func TestOwnFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/*.slt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".slt"), func(t *testing.T) {
			runFile(t, node.URL(), name, nil, "")
		})
	}
}

// corpus is where the records of SQLite's sqllogictest project lie, beside the
// checkout; they are not part of it.
const corpus = "../../../shared/corpus"

// TestCorpus runs records of SQLite's sqllogictest project: all that
// PostgreSQL 15 answers as they say, Cairn must.
func TestCorpus(t *testing.T) {
	archive, err := filepath.Abs(filepath.Join(corpus, "sqlite-slt.tar.xz"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(archive); err != nil {
		t.Skipf("the records of SQLite's project are not at %s", corpus)
	}
	misses := readMisses(t, filepath.Join(corpus, "postgresql15-misses.txt"))
	root := t.TempDir()
	patterns := []string{"test/select1.test", "test/select2.test", "test/select3.test", "test/evidence"}
	if out, err := exec.Command("tar", append([]string{"-xJf", archive, "-C", root}, patterns...)...).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	var names []string
	for _, pattern := range []string{"test/*.test", "test/evidence/*.test"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 10 {
		t.Fatalf("only %d files in the archive", len(names))
	}
	node := cluster.StartSingle(t, filepath.Join(t.TempDir(), "store"))
	for _, name := range names {
		short, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".test"), func(t *testing.T) {
			runFile(t, node.URL(), name, misses, short)
		})
	}
}

func runFile(t *testing.T, dsn, name string, misses map[string]bool, short string) {
	t.Helper()
	shown := 0
	result, err := sqllogictest.RunFile(context.Background(), dsn, name, sqllogictest.Options{
		Timeout: time.Minute,
		Failed: func(f sqllogictest.Failure) {
			if misses[fmt.Sprintf("%s:%d", short, f.Line)] {
				return
			}
			if shown++; shown <= 10 {
				t.Errorf("line %d: %s\n%s", f.Line, f.Reason, f.SQL)
			} else {
				t.Fail()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Passed == 0 {
		t.Errorf("no record passed: %+v", result)
	}
	t.Logf("%d passed, %d failed (%d of them not on PostgreSQL 15), %d skipped", result.Passed, result.Failed, shown, result.Skipped)
}

func readMisses(t *testing.T, name string) map[string]bool {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	misses := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		misses[strings.TrimSpace(s.Text())] = true
	}
	return misses
}
