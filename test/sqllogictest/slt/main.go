// Command slt runs sqllogictest files against a server.
//
//	slt --dsn=postgresql://postgres@127.0.0.1:26257/postgres FILE...
//
// Each file gets a database of its own, dropped afterwards. It prints the
// records that fail as FILE:LINE and a count for each file; --known names a
// file of FILE:LINE that are expected to fail (what PostgreSQL itself misses).
// It exits with 1 if any other record fails.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairndb/cairn/test/sqllogictest"
)

func main() {
	dsn := flag.String("dsn", "postgresql://postgres@127.0.0.1:26257/postgres", "`URL` of the server; the user must be allowed to create databases")
	known := flag.String("known", "", "`file` of FILE:LINE that are expected to fail")
	root := flag.String("root", ".", "`folder` that the names of files in --known begin at")
	timeout := flag.Duration("timeout", 5*time.Minute, "bound for each statement")
	failures := flag.Int("failures", 20, "how many failures of a file to show")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "slt: name at least one file; see slt --help")
		os.Exit(2)
	}
	expected, err := readKnown(*known)
	if err != nil {
		fmt.Fprintln(os.Stderr, "slt:", err)
		os.Exit(2)
	}
	var total sqllogictest.Result
	unexpected := 0
	started := time.Now()
	for _, name := range flag.Args() {
		shown := 0
		short, err := filepath.Rel(*root, name)
		if err != nil {
			short = name
		}
		begin := time.Now()
		result, err := sqllogictest.RunFile(context.Background(), *dsn, name, sqllogictest.Options{
			Timeout: *timeout,
			Failed: func(f sqllogictest.Failure) {
				if expected[fmt.Sprintf("%s:%d", short, f.Line)] {
					return
				}
				unexpected++
				if shown++; shown <= *failures {
					fmt.Printf("%s:%d: %s\n    %s\n", short, f.Line, f.Reason, strings.ReplaceAll(f.SQL, "\n", "\n    "))
				}
			},
		})
		total.Add(result)
		fmt.Printf("%s: %d passed, %d failed, %d skipped in %.1fs\n", short, result.Passed, result.Failed, result.Skipped, time.Since(begin).Seconds())
		if err != nil {
			fmt.Printf("%s: %v\n", short, err)
			unexpected++
		}
	}
	fmt.Printf("all files: %d passed, %d failed (%d of them unexpected), %d skipped in %.1fs\n",
		total.Passed, total.Failed, unexpected, total.Skipped, time.Since(started).Seconds())
	if unexpected > 0 {
		os.Exit(1)
	}
}

func readKnown(name string) (map[string]bool, error) {
	known := map[string]bool{}
	if name == "" {
		return known, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		known[strings.TrimSpace(s.Text())] = true
	}
	return known, nil
}
