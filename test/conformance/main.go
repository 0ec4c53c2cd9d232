package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// options of a run.
type options struct {
	bin, tools string
	verbose    bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of safepull-proxy")
	flag.StringVar(&o.tools, "tools", ".tools", "folder of registry and conformance")
	flag.BoolVar(&o.verbose, "v", false, "keep what the suite and the servers said, and tell where")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	short, err := run(ctx, o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	case short > 0:
		fmt.Fprintf(os.Stderr, "conformance: %d checks fall short\n", short)
		os.Exit(1)
	}
}

// run prints the table and returns how many checks of pulling fall short.
func run(ctx context.Context, o options) (short int, err error) {
	dir, err := os.MkdirTemp("", "safepull-conformance-")
	if err != nil {
		return 0, err
	}
	w := &world{options: o, dir: dir}
	defer func() {
		w.stop()
		if !o.verbose {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := w.start(ctx); err != nil {
		return 0, err
	}
	seeds, err := push(ctx, "http://"+w.registry)
	if err != nil {
		return 0, err
	}
	rows, err := w.run(ctx, seeds)
	if err != nil {
		return 0, err
	}
	short = show(rows)
	if o.verbose {
		fmt.Fprintln(os.Stderr, "what the suite and the servers said is in", dir)
	}
	return short, nil
}

// show prints one line for each check that was made, and returns how many fall short.
func show(rows []row) (short int) {
	for _, r := range rows {
		if r.status == "Disabled" || r.status == "Skip" {
			continue
		}
		word := "ok"
		if r.status != "Pass" {
			word = "short"
			short++
		}
		fmt.Printf("%s\t%s\tPass\t%s\n", r.name, r.status, word)
	}
	return short
}
