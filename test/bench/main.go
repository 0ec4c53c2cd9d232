//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// options are the command line.
type options struct {
	bin, tools, dir string
	size, pullSize  int64
	runs            int
	seed            uint64
	only            string
	short           bool
	plot, baseline  string
	cache           string
}

// group is a part of the table.
type group struct {
	name    string
	measure func(context.Context, *world, table) error
}

func groups() []group {
	return []group{
		{"starts", starts}, {"decision", decisions}, {"engine", enginePulls}, {"proxy", proxyPulls}, {"check", memoryOfCheck},
		{"warm", warmPulls}, {"manifests", manifests}, {"verdict", knownLayers}, {"crowd", crowd}, {"cold", coldPulls},
	}
}

func main() {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of docker-safepull and safepull-proxy")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` of registry and crane")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "`folder` for the temporary folder, on a disk with 6 times the size free")
	flag.Int64Var(&o.size, "size", 1<<30, "`bytes` of the large image, as a registry stores it")
	flag.Int64Var(&o.pullSize, "pull-size", 200<<20, "`bytes` of the image that the engine pulls")
	flag.IntVar(&o.runs, "runs", 3, "how often each alternative is measured")
	flag.Uint64Var(&o.seed, "seed", 1, "what the images are made from")
	flag.StringVar(&o.only, "only", "", "measure only the groups of these `names`, with commas between them: "+strings.Join(names, ", "))
	flag.BoolVar(&o.short, "short", false, "small images and one run, to try the program out: the numbers mean little")
	flag.StringVar(&o.plot, "plot", "", "`file` for throughput and memory over time, as SVG; bench.svg in the folder of tools when empty")
	flag.StringVar(&o.baseline, "baseline", "", "`file` for every single measurement, as lines that benchstat reads; none when empty")
	flag.StringVar(&o.cache, "cache", "", "`folder` that keeps the images for the next run; they are made anew each time when empty")
	flag.Parse()
	if o.short {
		o.size, o.pullSize, o.runs = min(o.size, shortSize), min(o.pullSize, shortSize/4), 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// shortSize is the size of the large image of a short run.
const shortSize = 64 << 20

// chosen are the groups that the command line names, in the order of the table.
func chosen(only string) ([]group, error) {
	if only == "" {
		return groups(), nil
	}
	var some []group
	names := strings.Split(only, ",")
	for _, g := range groups() {
		if slices.Contains(names, g.name) {
			some = append(some, g)
			names = slices.DeleteFunc(names, func(n string) bool { return n == g.name })
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("there is no group %q", names[0])
	}
	return some, nil
}

// run measures and prints rows as they come; the files are written in the end, also when it fails.
func run(ctx context.Context, o options) (err error) {
	some, err := chosen(o.only)
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.record(), w.close()) }()
	t := table{os.Stdout}
	for _, g := range some {
		if err := g.measure(ctx, w, t); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// record writes the plot and the single measurements, also those before a failure.
func (w *world) record() error {
	if w.plot == "" {
		w.plot = filepath.Join(w.tools, "bench.svg")
	}
	if svg := w.monitor.plot(); svg != nil {
		if err := os.WriteFile(w.plot, svg, 0o644); err != nil { //nolint:gosec // it is for everyone's eyes
			return err
		}
		note("throughput and memory over time: %s", w.plot)
	}
	if w.baseline == "" {
		return nil
	}
	return os.WriteFile(w.baseline, w.samples.text(), 0o644) //nolint:gosec // it is for everyone's eyes
}

// note tells the person who waits what is going on; standard output has the table alone.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
