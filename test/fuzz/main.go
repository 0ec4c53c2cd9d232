package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// goal is how long each target should have been run, by all runs together.
const goal = 10 * time.Minute

func main() {
	root := flag.String("root", ".", "the folder of go.mod")
	each := flag.Duration("time", 20*time.Second, "how long each target runs")
	workers := flag.Int("workers", 2, "processes for each target")
	only := flag.String("only", "", "a regular expression that package and target, \"trust/layer FuzzWalk\", must match")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	found, err := run(ctx, *root, *only, runner{root: *root, each: *each, workers: *workers, log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	if found {
		os.Exit(1)
	}
}

func run(ctx context.Context, root, only string, r runner) (found bool, err error) {
	want, err := regexp.Compile(only)
	if err != nil {
		return false, fmt.Errorf("-only: %w", err)
	}
	all, err := targets(root)
	if err != nil {
		return false, err
	}
	file := filepath.Join(root, "test/fuzz/record.tsv")
	known, err := readRecord(file)
	if err != nil {
		return false, err
	}
	commit := commitOf(ctx, root)
	for _, t := range all {
		if !want.MatchString(t.String()) {
			continue
		}
		out := r.fuzz(ctx, t)
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		e := entry{date: time.Now().UTC().Format(time.DateOnly), commit: commit, target: t, workers: r.workers, ran: out.ran, executions: out.executions, outcome: "nothing"}
		if out.err != nil {
			found, e.outcome = true, "found"
			fmt.Fprintf(r.log, "%s: %v\n", t, out.err)
		}
		known = append(known, e)
		if err := appendRecord(file, e); err != nil {
			return found, err
		}
		printRow(os.Stdout, t, known, out.err == nil)
	}
	return found, nil
}

// printRow tells how long a target has been run by all the runs that are on record.
func printRow(w io.Writer, t target, known []entry, clean bool) {
	var total time.Duration
	for _, e := range known {
		if e.target == t {
			total += e.ran * time.Duration(e.workers)
		}
	}
	verdict := "ok"
	if !clean || total < goal {
		verdict = "short"
	}
	fmt.Fprintf(w, "%s\t%s\t>= %s\t%s\n", t, total.Round(time.Second), goal, verdict)
}

func commitOf(ctx context.Context, root string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
