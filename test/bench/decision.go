//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/reference"
)

const (
	// decisionEntries is how many trust entries a decision is made among, and decisionLimit what it may cost.
	decisionEntries = 10_000
	decisionLimit   = time.Millisecond
)

// decisionShapes are patterns with a number N: what companies write, and what no index can sort.
func decisionShapes() []struct{ name, pattern string } {
	return []struct{ name, pattern string }{
		{"repositories", "registry.example.com/teamN/app"}, {"namespaces", "ghcr.io/acmeN/**"}, {"repositories of any registry", "**/acmeN/*"},
		{"tags of one repository", "ghcr.io/acme77/app:*-N"}, {"wildcards within components", "ghcr.io/*meN*/**"},
	}
}

// decisions measures what the trust lists cost an image.
func decisions(_ context.Context, _ *world, t table) error {
	ref, err := reference.Parse("ghcr.io/acme77/app:1.0")
	if err != nil {
		return err
	}
	for _, shape := range decisionShapes() {
		lists, err := listsOf(shape.pattern)
		if err != nil {
			return err
		}
		times := make([]time.Duration, 1000)
		for i := range times {
			start := time.Now()
			lists.Match(ref, start)
			times[i] = time.Since(start)
		}
		t.below(fmt.Sprintf("trust decision among %d entries: %s", decisionEntries, shape.name), median(times), decisionLimit,
			func(d time.Duration) string { return fmt.Sprintf("%.3f ms", float64(d.Nanoseconds())/1e6) })
	}
	return nil
}

// listsOf are entries of a shape, on two levels, every ninth one locked.
func listsOf(pattern string) (*namespace.Lists, error) {
	var lists []*namespace.List
	for k, level := range []string{namespace.Organization, namespace.User} {
		var text strings.Builder
		text.WriteString("version: 1\nentries:\n")
		for i := k; i < decisionEntries; i += 2 {
			fmt.Fprintf(&text, "- {pattern: '%s', action: allow, locked: %t}\n", strings.ReplaceAll(pattern, "N", fmt.Sprint(i)), i%9 == 0)
		}
		list, err := namespace.Load(level, strings.NewReader(text.String()))
		if err != nil {
			return nil, err
		}
		lists = append(lists, list.At(level))
	}
	return namespace.Combine(lists...), nil
}
