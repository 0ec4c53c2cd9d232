//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/safepull/safepull/test/e2e/engines"
)

// options are the command line.
type options struct {
	bin, tools, markdown string
	only, clients        *regexp.Regexp
	parallel             int
	keep                 bool
}

func main() {
	var o options
	var only, clients string
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of safepull-proxy")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` of crane")
	flag.StringVar(&o.markdown, "markdown", "", "Markdown `file` in which the table is to be replaced")
	flag.StringVar(&only, "only", "", "ask only the questions whose rows match the regular `expression`")
	flag.StringVar(&clients, "clients", "", "start only the clients that match the regular `expression`")
	flag.IntVar(&o.parallel, "parallel", 3, "how many clients ask at a time")
	flag.BoolVar(&o.keep, "keep", false, "print the proxy's log at the end")
	flag.Parse()
	o.only, o.clients = regexp.MustCompile(only), regexp.MustCompile(clients)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		stop()
		os.Exit(1)
	}
}

// group is lanes that share an engine, and take turns at it; start makes it.
type group struct {
	name string
	// current says that it needs what engines.InstallCurrent builds.
	current bool
	start   func(context.Context, *world) ([]lane, error)
}

func groups() []group {
	return []group{
		{"docker-20", false, oldDocker}, {"docker-graph", true, graphDocker}, {"docker", true, currentDocker}, {"docker-enrolled", true, enrolledDocker},
		{"containerd-1", false, oldContainerd}, {"containerd", true, currentContainerd}, {"crane", false, crane}, {"skopeo", false, skopeo}, {"podman", false, podman},
	}
}

// run asks everything, prints rows as they come, and writes the table at the end.
func run(ctx context.Context, o options) (err error) {
	chosen := slices.DeleteFunc(groups(), func(g group) bool { return !o.clients.MatchString(g.name) })
	if slices.ContainsFunc(chosen, func(g group) bool { return g.current }) {
		if err := engines.InstallCurrent(ctx, os.Stderr); err != nil {
			return err
		}
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if o.keep {
			log, _ := os.ReadFile(w.dir + "/proxy.log")
			fmt.Fprintf(os.Stderr, "%s", log)
		}
		err = errors.Join(err, w.close())
	}()
	var t tally
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(o.parallel)
	for n, g := range chosen {
		work.Go(func() error { return t.ask(ctx, w, o, g.start, (n+1)*1000) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if o.markdown == "" {
		return nil
	}
	text, err := os.ReadFile(o.markdown)
	if err != nil {
		return err
	}
	changed, err := within(string(text), markdown(t.results))
	if err != nil {
		return err
	}
	return os.WriteFile(o.markdown, []byte(changed), 0o644) //nolint:gosec // For everybody to read.
}

// tally collects results.
type tally struct {
	mu      sync.Mutex
	results []result
}

// ask starts the clients of one group and asks all its questions, one after the other.
func (t *tally) ask(ctx context.Context, w *world, o options, start func(context.Context, *world) ([]lane, error), number int) error {
	lanes, err := start(ctx, w)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		for _, h := range hows() {
			if h == byLayer && l.layer == nil {
				continue
			}
			broken := false
			for _, s := range states() {
				number++
				if !o.only.MatchString(l.name(h, s)) {
					continue
				}
				r, err := w.measure(ctx, l, h, s, number)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name(h, s), err)
				}
				r.broken = broken
				broken = broken || s == allowed && !r.ok()
				t.add(r)
			}
		}
	}
	return nil
}

func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results = append(t.results, r)
	fmt.Println(r.row())
}
