//go:build linux

// Command inspect measures how fast layers are inspected, beside gzip, zstd and yara, in one run on one machine. `make
// bench-inspect` runs it.
//
// The layers are real: Debian packages, fetched by name, are unpacked into one tar archive of more than a gigabyte, which
// is packed by gzip and by zstd. Alternatives are measured in turn, each as a process of its own, and the median counts.
// Unless a row says otherwise it compares processor seconds (user and system), which other work on the machine blurs
// least, on one core.
//
// It prints a table, one row a line: name, measured, goal, and "ok", or "short" where the goal is missed. The exit status
// is 0 when everything could be measured, whatever came out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// options are the command line.
type options struct {
	bin, cache, dir string
	runs            int
	only            string
	step, file      string
	inflate         string
	profile         string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of docker-safepull")
	flag.StringVar(&o.cache, "cache", ".tools/bench-layers", "`folder` that keeps packages and layers for the next run")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "`folder` for the temporary folder, with 12 GiB free")
	flag.IntVar(&o.runs, "runs", 3, "how often each alternative is measured")
	flag.StringVar(&o.only, "only", "", "measure only the group of this `name`: gzip, zstd, matcher, yara, cores, start, memory")
	flag.StringVar(&o.step, "step", "", "be one measured `step` (the program starts itself)")
	flag.StringVar(&o.file, "file", "", "the step's `layer`")
	flag.StringVar(&o.inflate, "inflate", "", "decompressor of the step")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the step to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := measure
	if o.step != "" {
		work = runStep
	}
	if err := work(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-inspect:", err)
		os.Exit(1)
	}
}

// measure makes the material and prints the rows as they come.
func measure(ctx context.Context, o options) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for _, group := range []struct {
		name string
		rows func(context.Context, *world) error
	}{
		{"gzip", gzipRows}, {"zstd", zstdRows}, {"matcher", matcherRows}, {"yara", yaraRows}, {"cores", coresRow}, {"start", startRow}, {"memory", memoryRow},
	} {
		if o.only != "" && o.only != group.name {
			continue
		}
		if err := group.rows(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", group.name, err)
		}
	}
	return nil
}

// note tells the person who waits what is going on; standard output has the table alone.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench-inspect: "+format+"\n", args...) }
