package pgwire

import (
	"testing"
)

func TestSelectWithoutTables(t *testing.T) {
	c := newStack(t, nil).connect(t, "")
	var n int
	if err := c.QueryRow(t.Context(), "select $1::int + 1", 41).Scan(&n); err != nil || n != 42 {
		t.Fatal(n, err)
	}
}
