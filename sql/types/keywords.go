package types

import (
	_ "embed"
	"strings"
)

// keywordFacts are what pg_get_keywords() returns in PostgreSQL 15.
//
//go:embed facts/keywords.tsv
var keywordFacts string

// Keyword is a keyword of PostgreSQL's grammar.
type Keyword struct {
	Word string
	// Category is U (unreserved), C (unreserved, not a function or type), T
	// (reserved, may be a function or type) or R (reserved).
	Category    string
	BareLabel   bool // it may be a column's label without AS
	Description string
	LabelNote   string
}

// Keywords are all keywords. They must not be changed.
var Keywords = readKeywords()

// quotedWords are those keywords that can't stand for a name without quotes.
var quotedWords = func() map[string]bool {
	words := make(map[string]bool)
	for _, k := range Keywords {
		if k.Category != "U" {
			words[k.Word] = true
		}
	}
	return words
}()

func readKeywords() []Keyword {
	var all []Keyword
	for _, c := range factLines(keywordFacts) {
		all = append(all, Keyword{Word: c[0], Category: c[1], BareLabel: c[2] == "t", Description: c[3], LabelNote: c[4]})
	}
	return all
}

// QuoteIdentifier returns a name as SQL writes it: in quotes where it needs
// them.
func QuoteIdentifier(name string) string {
	plain := name != "" && !isDigit(name[0])
	for i := 0; i < len(name) && plain; i++ {
		c := name[i]
		plain = c == '_' || c >= 'a' && c <= 'z' || isDigit(c)
	}
	if plain && !quotedWords[name] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
