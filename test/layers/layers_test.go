// Package layers keeps the order in which packages may import each other.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/cairndb/cairn/"

// vocabulary are leaves that everyone may import.
var vocabulary = []string{"txn/hlc", "kv/keys", "kv/kvpb"}

// allowed says for each package which others of the project it may import, in
// production code, besides the vocabulary. A trailing /... stands for a whole
// layer. docs/architecture.md gives the reasons.
var allowed = map[string][]string{
	"cmd/...":            {"cmd/...", "pgwire", "sql/...", "txn", "kv/...", "raftstore/..."},
	"pgwire":             {"sql/..."},
	"sql":                {"sql/...", "txn"},
	"sql/jobs":           {"sql/pgerror", "txn"},
	"sql/schemachange":   {"sql/catalog/...", "sql/rowenc", "sql/parser/...", "sql/jobs", "sql/opt", "sql/exec", "sql/types", "sql/pgerror", "txn"},
	"sql/exec":           {"sql/opt", "sql/rowenc", "sql/catalog", "sql/vector", "sql/types", "sql/pgerror", "sql/parser", "txn"},
	"sql/opt":            {"sql/catalog", "sql/parser", "sql/types", "sql/pgerror", "sql/rowenc", "sql/vector"},
	"sql/catalog/...":    {"sql/catalog/...", "sql/rowenc", "sql/parser/...", "sql/types", "sql/pgerror", "sql/vector", "txn"},
	"sql/rowenc":         {"sql/catalog", "sql/vector", "sql/types", "sql/pgerror"},
	"sql/vector":         {"sql/types"},
	"sql/parser/...":     {"sql/parser", "sql/types", "sql/pgerror"},
	"sql/types/...":      {"sql/types", "sql/pgerror"},
	"sql/pgerror":        {},
	"txn":                {"kv"},
	"kv":                 {},
	"kv/server":          {"kv", "kv/cluster", "kv/concurrency", "kv/mvcc", "raftstore/..."},
	"kv/concurrency":     {},
	"kv/mvcc":            {"raftstore/engine"},
	"kv/rpc":             {"kv", "raftstore"},
	"kv/cluster":         {"raftstore"},
	"raftstore":          {"raftstore/engine", "raftstore/liveness"},
	"raftstore/engine":   {},
	"raftstore/liveness": {"raftstore/engine"},
	"txn/hlc":            {},
	"kv/keys":            {},
	"kv/kvpb":            {},
	"test/...":           {"cmd/...", "test/...", "pgwire", "sql/...", "txn", "kv/...", "raftstore/..."},
}

func TestImportOrder(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		rule, ok := ruleOf(name)
		if !ok {
			t.Errorf("%s has no place in the order of the layers: give it one in this test and in docs/architecture.md", name)
			continue
		}
		for _, i := range p.Imports {
			dependency, ours := strings.CutPrefix(i, module)
			if ours && !matches(vocabulary, dependency) && !matches(rule, dependency) {
				t.Errorf("%s imports %s, which its layer may not", name, dependency)
			}
		}
	}
	if seen < 5 {
		t.Fatalf("go list found only %d packages", seen)
	}
}

func ruleOf(name string) ([]string, bool) {
	if rule, ok := allowed[name]; ok {
		return rule, true
	}
	for pattern, rule := range allowed {
		if prefix, tree := strings.CutSuffix(pattern, "/..."); tree && (name == prefix || strings.HasPrefix(name, prefix+"/")) {
			return rule, true
		}
	}
	return nil, false
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		prefix, tree := strings.CutSuffix(p, "/...")
		if name == prefix || tree && strings.HasPrefix(name, prefix+"/") {
			return true
		}
	}
	return false
}
