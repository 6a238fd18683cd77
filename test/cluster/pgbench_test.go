package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// pgbenchSeconds is how long each of pgbench's runs takes: short where nobody
// asked for more.
func pgbenchSeconds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CAIRN_PGBENCH_SECONDS")
	if text == "" {
		return 3
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		t.Fatalf("CAIRN_PGBENCH_SECONDS=%s: a number of seconds is meant", text)
	}
	return seconds
}

func TestPgbenchOnOneNode(t *testing.T) {
	runPgbench(t, 10, []*Node{StartSingle(t, filepath.Join(t.TempDir(), "store"))})
}

func TestPgbenchOnThreeNodes(t *testing.T) {
	c := StartCluster(t, 3)
	c.WaitReplicated(t)
	runPgbench(t, 2, c.Nodes)
}

// runPgbench loads pgbench's tables, runs its three scripts in its three
// protocols with 8 clients through the nodes by turns, and checks that no
// money was lost or made.
func runPgbench(t *testing.T, scale int, nodes []*Node) {
	t.Helper()
	pgbench(t, nodes[0], "-i", "-q", "-s", strconv.Itoa(scale))
	failed := regexp.MustCompile(`number of failed transactions: (\d+)`)
	turn := 0
	for _, script := range []string{"tpcb-like", "simple-update", "select-only"} {
		for _, protocol := range []string{"simple", "extended", "prepared"} {
			node := nodes[turn%len(nodes)]
			turn++
			out := pgbench(t, node, "-n", "-b", script, "-M", protocol, "-c", "8", "-j", "2", "-T", strconv.Itoa(pgbenchSeconds(t)), "--max-tries=100")
			if m := failed.FindStringSubmatch(out); m == nil || m[1] != "0" {
				t.Errorf("%s, %s: transactions failed:\n%s", script, protocol, out)
			}
			for _, line := range strings.Split(out, "\n") {
				if strings.HasPrefix(line, "tps") {
					t.Logf("%s, %s: %s", script, protocol, line)
				}
			}
		}
	}
	var sums [4]int64
	row := nodes[len(nodes)-1].Connect(t).QueryRow(context.Background(), `SELECT
		(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
		(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)`)
	if err := row.Scan(&sums[0], &sums[1], &sums[2], &sums[3]); err != nil {
		t.Fatal(err)
	}
	// The simple-update script leaves branches and tellers alone.
	if sums[0] != sums[3] || sums[1] != sums[2] {
		t.Errorf("accounts %d, branches %d, tellers %d, history %d", sums[0], sums[1], sums[2], sums[3])
	}
}

func pgbench(t *testing.T, n *Node, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("pgbench", append(arguments, n.URL())...).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	if bad := regexp.MustCompile(`(?m)^pgbench: error:.*$`).FindString(string(out)); bad != "" {
		t.Errorf("pgbench %s: %s", fmt.Sprint(arguments), bad)
	}
	return string(out)
}

// TestBalancesAgree runs TPC-B alone: all four sums are the same.
func TestBalancesAgree(t *testing.T) {
	n := StartSingle(t, filepath.Join(t.TempDir(), "store"))
	pgbench(t, n, "-i", "-q", "-s", "1")
	pgbench(t, n, "-n", "-c", "8", "-j", "2", "-t", "200", "--max-tries=100")
	var agree bool
	row := n.Connect(t).QueryRow(context.Background(), `SELECT count(DISTINCT s) = 1 FROM (
		SELECT sum(abalance) AS s FROM pgbench_accounts UNION ALL SELECT sum(bbalance) FROM pgbench_branches
		UNION ALL SELECT sum(tbalance) FROM pgbench_tellers UNION ALL SELECT sum(delta) FROM pgbench_history) AS sums`)
	if err := row.Scan(&agree); err != nil {
		t.Fatal(err)
	}
	if !agree {
		t.Error("the sums of accounts, branches, tellers and history differ")
	}
}
