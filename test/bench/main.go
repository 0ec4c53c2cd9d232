//go:build linux

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
	bin, tools, dir string
	size, pullSize  int64
	runs            int
	seed            uint64
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of docker-safepull and safepull-proxy")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` of registry and crane")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "`folder` for the temporary folder, on a disk with 6 times the size free")
	flag.Int64Var(&o.size, "size", 1<<30, "`bytes` of the large image, as a registry stores it")
	flag.Int64Var(&o.pullSize, "pull-size", 200<<20, "`bytes` of the image that the engine pulls")
	flag.IntVar(&o.runs, "runs", 3, "how often each alternative is measured")
	flag.Uint64Var(&o.seed, "seed", 1, "what the images are made from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything and prints rows as they come.
func run(ctx context.Context, o options) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	t := table{os.Stdout}
	for _, measure := range []func(context.Context, *world, table) error{starts, enginePulls, proxyPulls, memoryOfCheck} {
		if err := measure(ctx, w, t); err != nil {
			return err
		}
	}
	return nil
}

// note tells the person who waits what is going on; standard output has the table alone.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
