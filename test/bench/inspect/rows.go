//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func ratio(a, b used) float64 { return a.cpu.Seconds() / max(b.cpu.Seconds(), 1e-3) }

func gzipRows(ctx context.Context, w *world) error {
	us, err := w.compare(ctx,
		w.step("inspect", w.layers.gz, "-inflate", w.inflate),
		process{args: []string{"taskset", "-c", "0", "sh", "-c", `gzip -dc "$0" >/dev/null`, w.layers.gz}},
		w.step("walk", w.layers.gz, "-inflate", w.inflate))
	if err != nil {
		return err
	}
	inspect, gzip, walk := us[0], us[1], us[2]
	var c counted
	if err := c.read(inspect.out); err != nil {
		return err
	}
	note("the layer has %d files and %d MB; inspected in %.2f s, gzip %.2f s, walk %.2f s; unanswered: %s", c.files, c.bytes/1e6, inspect.cpu.Seconds(), gzip.cpu.Seconds(), walk.cpu.Seconds(), c.unanswered)
	atLeast("inspection of a gzip layer, times as fast as gzip -dc", ratio(gzip, inspect), 1.8, "")
	atMost("inspection of a gzip layer, times the walk with both digests", ratio(inspect, walk), 1.30, "")
	atMost("allocations for each file of the layer", float64(c.allocations)/float64(max(c.files, 1)), 1, "")
	return nil
}

func zstdRows(ctx context.Context, w *world) error {
	us, err := w.compare(ctx,
		w.step("inspect", w.layers.zst),
		process{args: []string{"taskset", "-c", "0", "sh", "-c", `zstd -dcq "$0" >/dev/null`, w.layers.zst}})
	if err != nil {
		return err
	}
	atMost("inspection of a zstd layer, times zstd -dc", ratio(us[0], us[1]), 2, "")
	return nil
}

func matcherRows(ctx context.Context, w *world) error {
	us, err := w.compare(ctx, w.step("match", w.layers.tar), w.step("match10", w.layers.tar), w.step("near", w.layers.tar))
	if err != nil {
		return err
	}
	goals := []struct {
		name string
		goal float64
	}{
		{"matcher, shipped rules", 2500}, {"matcher, ten times the rules", 1500}, {"matcher, near-matches only", 200},
	}
	for i, g := range goals {
		var patterns, found int
		var rate float64
		if _, err := fmt.Sscanf(string(us[i].out), "patterns %d found %d rate %f", &patterns, &found, &rate); err != nil {
			return fmt.Errorf("%s: %w", us[i].out, err)
		}
		atLeast(fmt.Sprintf("%s (%d literals)", g.name, patterns), rate, g.goal, " MB/s")
	}
	return nil
}

// yaraRules is how many rules yara is given.
const yaraRules = 100

func yaraRows(ctx context.Context, w *world) error {
	all, _, err := shipped()
	if err != nil {
		return err
	}
	// Rules as people write them: a few texts of one family each, two of which are a sign.
	var texts []string
	for _, i := range all {
		for _, l := range i.Literals() {
			if len(l.Text) >= 8 && !strings.ContainsAny(l.Text, "\x00\\\"\n\r\t") && strings.ToValidUTF8(l.Text, "") == l.Text {
				texts = append(texts, l.Text)
			}
		}
	}
	var b strings.Builder
	for n := range yaraRules {
		fmt.Fprintf(&b, "rule miner_%d { strings:\n", n)
		for k := range 5 {
			fmt.Fprintf(&b, "  $s%d = %q nocase\n", k, texts[(n*5+k)%len(texts)])
		}
		b.WriteString("condition: 2 of them }\n")
	}
	rules, files := filepath.Join(w.dir, "rules.yar"), filepath.Join(w.dir, "files")
	if err := os.WriteFile(rules, []byte(b.String()), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(files, 0o700); err != nil {
		return err
	}
	note("unpacking the layer for yara")
	if _, err := w.run(ctx, process{args: []string{"tar", "-C", files, "--no-same-owner", "--no-same-permissions", "--exclude=dev", "-xf", w.layers.tar}, status: []int{2}}); err != nil {
		return err
	}
	us, err := w.compare(ctx,
		w.step("inspect", w.layers.gz, "-inflate", w.inflate),
		process{args: []string{"taskset", "-c", "0", "yara", "-w", "-r", "-p", "1", rules, files}, status: []int{1}})
	if err != nil {
		return err
	}
	atLeast("inspection of a gzip layer, times as fast as yara with 100 rules over its files", ratio(us[1], us[0]), 4, "")
	return nil
}
