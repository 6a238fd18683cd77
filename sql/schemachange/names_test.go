package schemachange

import (
	"slices"
	"strings"
	"testing"
)

// The wanted names are PostgreSQL 15's.
func TestObjectNamesAreCutAsPostgreSQLDoes(t *testing.T) {
	long := strings.Repeat("long", 20)
	for _, c := range []struct{ table, column, label, want string }{
		{"users", "", "pkey", "users_pkey"},
		{"users", "email", "key", "users_email_key"},
		{"t", "a_b", "idx1", "t_a_b_idx1"},
		{long[:63], "", "pkey", long[:58] + "_pkey"},
		{long[:63], "a", "key", long[:57] + "_a_key"},
		{"t", long[:63], "check", "t_" + long[:55] + "_check"},
		{long[:63], long[:63], "fkey", long[:29] + "_" + long[:28] + "_fkey"},
		{strings.Repeat("ä", 31), "x", "seq", strings.Repeat("ä", 28) + "_x_seq"},
	} {
		if got := objectName(c.table, c.column, c.label); got != c.want {
			t.Errorf("%s, %s, %s: %s, want %s", c.table, c.column, c.label, got, c.want)
		}
	}
}

func TestIdentifiersInRegclassTextAreSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"s": {"s"}, "S.Q": {"s", "q"}, `"S"."a""b"`: {"S", `a"b`}, `public."A B"`: {"public", "A B"}, "": nil, "a..b": nil, `"open`: nil,
	} {
		if got := splitIdentifier(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestPasswordsAreStoredAsVerifiers(t *testing.T) {
	v, err := passwordVerifier("secret")
	if err != nil || !strings.HasPrefix(v, "SCRAM-SHA-256$4096:") || strings.Contains(v, "secret") {
		t.Errorf("%s, %v", v, err)
	}
	if again, err := passwordVerifier(v); err != nil || again != v {
		t.Errorf("a verifier became %s, %v", again, err)
	}
}
