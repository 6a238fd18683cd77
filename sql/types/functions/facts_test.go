package functions

import (
	"flag"
	"os"
	"sort"
	"strings"
	"testing"
)

var allFacts = flag.String("all", "", "file with the facts of all functions, made with facts.sql: rewrites facts.tsv")

// TestFacts: each implementation has its facts, and the other way round.
func TestFacts(t *testing.T) {
	implementations := define()
	table := facts
	if *allFacts != "" {
		all, err := os.ReadFile(*allFacts)
		if err != nil {
			t.Fatal(err)
		}
		var kept strings.Builder
		for _, f := range parseFacts(string(all)) {
			if implementations[f.signature()] != nil {
				kept.WriteString(f.line + "\n")
			}
		}
		table = kept.String()
		if err := os.WriteFile("facts.tsv", []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for _, f := range parseFacts(table) {
		if seen[f.signature()] = true; implementations[f.signature()] == nil {
			t.Errorf("facts.tsv has %s, which isn't implemented", f.signature())
		}
	}
	var missing []string
	for signature := range implementations {
		if !seen[signature] {
			missing = append(missing, signature)
		}
	}
	sort.Strings(missing)
	for _, signature := range missing {
		t.Errorf("facts.tsv lacks %s", signature)
	}
}
