//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// table prints rows.
type table struct{ w io.Writer }

// seconds prints a duration that has no goal.
func (t table) seconds(name string, d time.Duration) { t.row(name, inSeconds(d), "-", true) }

// ratio prints how many times b fits into a.
func (t table) ratio(name string, a, b time.Duration) {
	t.row(name, fmt.Sprintf("%.2f", a.Seconds()/max(b, 1).Seconds()), "-", true)
}

// below prints a duration with a limit.
func (t table) below(name string, d, limit time.Duration, show func(time.Duration) string) {
	t.row(name, show(d), "< "+show(limit), d < limit)
}

// memory prints a peak of resident memory.
func (t table) memory(name string, n, limit int64) {
	t.row(name, inMiB(n), "<= "+inMiB(limit), n <= limit)
}

// atLeast and atMost print a ratio with a limit.
func (t table) atLeast(name string, x, limit float64) {
	t.row(name, fmt.Sprintf("%.2f", x), fmt.Sprintf(">= %.2f", limit), x >= limit)
}

func (t table) atMost(name string, x, limit float64) {
	t.row(name, fmt.Sprintf("%.2f", x), fmt.Sprintf("<= %.2f", limit), x <= limit)
}

// count prints a number that has one right value.
func (t table) count(name string, n, want int) {
	t.row(name, fmt.Sprint(n), fmt.Sprint(want), n == want)
}

func (t table) row(name, measured, goal string, ok bool) {
	verdict := "ok"
	if !ok {
		verdict = "short"
	}
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\n", name, measured, goal, verdict)
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func inMiB(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// median of an even number of values is the lower one in the middle; of none it is 0.
func median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
