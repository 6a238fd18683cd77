package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cpuTime returns the processor time that the process has used.
func (n *Node) cpuTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.command.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	// The fields after the command's name, which may hold anything: user and
	// system time are the 14th and 15th, in hundredths of a second.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestRestIsQuiet: nodes without clients use next to nothing, and their logs
// say nothing.
func TestRestIsQuiet(t *testing.T) {
	t.Parallel()
	c := startNumbered(t)
	const settled, watched, bound = 4 * time.Second, 6 * time.Second, 0.05
	time.Sleep(settled) // leases run out
	var before []time.Duration
	var logs []string
	for _, n := range c.Nodes {
		before, logs = append(before, n.cpuTime(t)), append(logs, n.Log())
	}
	time.Sleep(watched)
	for i, n := range c.Nodes {
		if share := (n.cpuTime(t) - before[i]).Seconds() / watched.Seconds(); share > bound {
			t.Errorf("node %d uses %.1f%% of a core", i+1, 100*share)
		}
		if said := strings.TrimPrefix(n.Log(), logs[i]); said != "" {
			t.Errorf("node %d says at rest:\n%s", i+1, said)
		}
	}
}
