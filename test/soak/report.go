//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

const (
	// growth is by how much the mean of the last quarter may be above that of the second one: what the operating system
	// gives back late, not what is lost.
	growth = 1.10
	// slack is what makes no difference whatever the ratio, in MiB and in numbers of files or goroutines.
	slack = 16
)

// report prints the table.
func (s *soak) report(w io.Writer, failed []string) {
	row := func(name, measured, goal string, ok bool) {
		verdict := "ok"
		if !ok {
			verdict = "short"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, measured, goal, verdict)
	}
	l := s.ledger
	row("wrong bytes", fmt.Sprintf("%d answers of %d, in %d MiB", l.total("wrong"), l.total("requests"), l.total("bytes")>>20), "0", l.total("wrong") == 0)
	row("odd answers", fmt.Sprint(l.total("odd")), "0", l.total("odd") == 0)
	row("blocked arrived", fmt.Sprintf("%d layers; of %d refused layers %d KiB flowed", l.total("blocked"), len(l.arrived), l.total("refused bytes")>>10), "0", l.total("blocked") == 0)
	for _, d := range directions() {
		asked := l.total("asked for " + d)
		row("private: "+d, fmt.Sprintf("%d answers with content, asked %d times", l.total(d), asked), "0", l.total(d) == 0 && asked > 0)
	}
	row("logins astray", fmt.Sprintf("%d requests of %d", l.total("astray"), l.total("upstream")), "0", l.total("astray") == 0)
	row("own faults", fmt.Sprintf("%d answers are 500", l.total("broken")), "0", l.total("broken") == 0)
	row("after the storm", fmt.Sprintf("%d of %d images are not as they should be", len(failed), len(s.gallery.all())*len(s.proxies)), "0", len(failed) == 0)
	row("pulls", fmt.Sprintf("%d, %d of them whole, %d by crane", l.total("pulls"), l.total("whole"), l.total("crane")), "-", true)
	row("kills", fmt.Sprint(l.total("kills")), "> 0", l.total("kills") > 0)
	spoiled := 0
	for _, u := range s.gallery.upstreams {
		spoiled += u.registry.Spoiled()
	}
	row("faults", fmt.Sprintf("%d armed; %d of %d answers of upstreams were spoiled", s.faults.Load(), spoiled, l.total("upstream")), "> 0", spoiled > 0)
	for _, m := range []struct {
		name  string
		value func(sample) float64
	}{
		{"RSS in MiB", func(x sample) float64 { return float64(x.resident) / (1 << 20) }},
		{"file descriptors", func(x sample) float64 { return float64(x.descriptors) }},
		{"goroutines", func(x sample) float64 { return float64(x.goroutine) }},
	} {
		measured, ok := flat(s.samples, m.value)
		row(m.name+", start/mid/end", measured, fmt.Sprintf("last quarter <= %.2f x second + %d", growth, slack), ok)
	}
	for _, what := range slices.Sorted(maps.Keys(l.counts)) {
		if strings.HasPrefix(what, "status") || what == "no answer" {
			row(what, fmt.Sprint(l.total(what)), "-", true)
		}
	}
	for _, example := range slices.Concat(l.wrong, l.surprise, l.broke, l.blocked, l.private, failed) {
		fmt.Fprintln(os.Stderr, "soak:", example)
	}
}

// flat compares the quarters of the run.
func flat(samples []sample, value func(sample) float64) (string, bool) {
	n := len(samples)
	if n < 4 {
		return fmt.Sprintf("only %d samples", n), false
	}
	second, last := mean(samples[n/4:n/2], value), mean(samples[3*n/4:], value)
	return fmt.Sprintf("%.0f/%.0f/%.0f; quarters %.0f, %.0f, %.0f, %.0f; per hour: first half %+.0f, second %+.0f",
		value(samples[0]), value(samples[n/2]), value(samples[n-1]),
		mean(samples[:n/4], value), second, mean(samples[n/2:3*n/4], value), last,
		slope(samples[:n/2], value), slope(samples[n/2:], value)), last <= growth*second+slack
}
