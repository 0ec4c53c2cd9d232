//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/safepull/safepull/test/registrytest"
)

// options are the command line.
type options struct {
	bin, tools, dir, heap string
	length                time.Duration
	seed                  uint64
	pullers, images       int
}

const (
	// newImage is how often an image appears that nobody has seen.
	newImage = 4 * time.Second
	// healing bounds how long everything may take to be well again after the last fault.
	healing = 2 * time.Minute
	// askedByAll bounds the images that everybody asks each proxy for at the end.
	askedByAll = 64
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of safepull-proxy")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` of crane")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "`folder` for the temporary folder")
	flag.StringVar(&o.heap, "heap", "", "`file` for what memory was held by at the end, as go tool pprof reads it")
	flag.DurationVar(&o.length, "time", time.Hour, "how long to go on")
	flag.Uint64Var(&o.seed, "seed", 1, "what is asked for, and what goes wrong, follows from it")
	flag.IntVar(&o.pullers, "pullers", 8, "how many pull at a time")
	flag.IntVar(&o.images, "images", 24, "clean images at the beginning")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1)
	}
}

// run soaks, and prints the table.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "safepull-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	upstreams := []*upstream{
		{host: "docker.io", registry: registrytest.New(registrytest.Options{})},
		{host: "bearer.example", registry: registrytest.New(registrytest.Options{Auth: "bearer"})},
		{host: "private.example", private: true, registry: registrytest.New(registrytest.Options{Auth: "basic", Accounts: rights()})},
		{host: "vault.example", private: true, registry: registrytest.New(registrytest.Options{Auth: "bearer", Accounts: rights()})},
	}
	for _, u := range upstreams {
		defer u.registry.Close()
	}
	s := soak{options: o, ledger: newLedger(), gallery: newGallery(o.seed, upstreams, o.images), dir: dir}
	for _, name := range []string{"lasting", "killed"} {
		home := filepath.Join(dir, name)
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		p, err := newProxy(home, filepath.Join(o.bin, "safepull-proxy"), upstreams)
		if err != nil {
			return err
		}
		defer p.end(syscall.SIGTERM)
		if err := p.start(ctx); err != nil {
			return err
		}
		s.proxies = append(s.proxies, p)
	}
	if err := s.storm(ctx); err != nil {
		return err
	}
	if o.heap != "" {
		if err := s.proxies[0].heap(ctx, o.heap); err != nil {
			return err
		}
	}
	failed := s.heal(ctx)
	s.forget()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.report(os.Stdout, failed)
	return nil
}

// soak is one run.
type soak struct {
	options options
	ledger  *ledger
	gallery *gallery
	proxies []*proxy // the first one is never killed
	dir     string
	faults  atomic.Int64
	samples []sample
}

func (s *soak) random(purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.options.seed, purpose))
} //nolint:gosec // Repeatable.

// puller makes one who pulls.
func (s *soak) puller(n int) *puller {
	return &puller{
		rng: s.random(100 + uint64(n)), ledger: s.ledger, gallery: s.gallery, proxies: s.proxies,
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 2, DisableCompression: true}},
		crane:  filepath.Join(s.options.tools, "crane"), dir: s.dir,
	}
}

// storm lets everything happen at once, for as long as it is told.
func (s *soak) storm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.length)
	defer cancel()
	began := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { misbehave(ctx, s.gallery, s.random(1), &s.faults); return nil })
	work.Go(func() error { return killing(ctx, s.proxies[1], s.random(2), s.ledger) })
	work.Go(func() error {
		s.samples = watch(ctx, s.proxies[0], began, max(time.Second, s.options.length/720))
		return nil
	})
	work.Go(func() error {
		rng := s.random(3)
		for n := s.options.images + s.options.images/2; pause(ctx, newImage); n++ {
			if i := s.gallery.add(n, n%3 != 0); rng.IntN(4) > 0 {
				i.slow(rng)
			}
		}
		return nil
	})
	work.Go(func() error {
		for pause(ctx, time.Minute) {
			s.forget()
			fmt.Fprintf(os.Stderr, "soak: %s, %d pulls, %d kills, %d wrong, %d blocked arrived\n", time.Since(began).Round(time.Second),
				s.ledger.total("pulls"), s.ledger.total("kills"), s.ledger.total("wrong"), s.ledger.total("blocked"))
		}
		return nil
	})
	for n := range s.options.pullers {
		work.Go(func() error { s.puller(n).run(ctx); return nil })
	}
	err := work.Wait()
	if !s.proxies[0].running() {
		err = errors.Join(err, fmt.Errorf("the proxy that nobody killed ended: %s", s.proxies[0].tail()))
	}
	return err
}

// forget empties the registries' logs, which would grow for as long as the run goes on.
func (s *soak) forget() {
	for _, u := range s.gallery.upstreams {
		seen := u.registry.Requests()
		s.ledger.count("upstream", int64(len(seen)))
		if !u.private {
			s.ledger.count("astray", astray(seen))
		}
		u.registry.ForgetRequests()
	}
}

// heal ends all faults, asks for every image at both proxies as somebody who may have it, and counts the clean ones that
// do not come and the mining ones that do. For the newest private ones everybody else asks too, when they are in the cache.
func (s *soak) heal(ctx context.Context) (failed []string) {
	for _, u := range s.gallery.upstreams {
		u.registry.Behave()
	}
	p := s.puller(0)
	for _, at := range s.proxies {
		asked := 0
		for _, i := range slices.Backward(s.gallery.all()) {
			came := false
			p.who = who{nobody, ""}
			if i.upstream.private {
				p.who = who{i.owner, passwordOf(i.owner)}
			}
			for deadline := time.Now().Add(healing); !came && !i.mining && ctx.Err() == nil; {
				if came = p.whole(ctx, at, i); !came && time.Now().After(deadline) || !pause(ctx, time.Second/100) {
					break
				}
			}
			if i.mining {
				came = p.whole(ctx, at, i)
			}
			if came == i.mining {
				failed = append(failed, i.repository)
			}
			if i.upstream.private && asked < askedByAll {
				asked++
				p.byOthers(ctx, at, i)
			}
		}
	}
	return failed
}
