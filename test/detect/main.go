package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
)

func main() {
	cache := flag.String("cache", ".tools/detect", "`folder` that keeps Debian packages for the next run")
	packages := flag.Int("packages", 300, "how many Debian packages to judge besides the look-alikes; 0 for none, and none of those either")
	seed := flag.Uint64("seed", corpus.Seed, "what the generated images are made from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	short, err := run(ctx, *cache, *packages, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "detect:", err)
		os.Exit(1)
	}
	if short {
		os.Exit(1)
	}
}

func run(ctx context.Context, cache string, packages int, seed uint64) (short bool, err error) {
	j, err := newJudge()
	if err != nil {
		return false, err
	}
	t := &table{}
	if err := generated(ctx, j, t, seed); err != nil {
		return false, err
	}
	if packages > 0 {
		if err := debian(ctx, j, t, cache, packages); err != nil {
			return false, err
		}
	}
	return t.short, nil
}

// tally counts one group.
type tally struct{ right, all int }

// generated judges the corpus.
func generated(ctx context.Context, j *judge.Judge, t *table, seed uint64) error {
	stopped, passed, wrong := map[string]*tally{}, &tally{}, []string(nil)
	for _, s := range samples(seed) {
		v, err := verdict(ctx, j, s.Repository, s.Image)
		if err != nil {
			return err
		}
		count := passed
		if s.Mining {
			if count = stopped[s.Group]; count == nil {
				count = &tally{}
				stopped[s.Group] = count
			}
		}
		count.all++
		if s.right(v) {
			count.right++
		} else {
			wrong = append(wrong, describe(s.Group+"/"+s.Name, s.Mining, v))
		}
	}
	groups := make([]string, 0, len(stopped))
	for g := range stopped {
		groups = append(groups, g)
	}
	slices.Sort(groups)
	for _, g := range groups {
		t.share("stopped: "+g, *stopped[g])
	}
	t.share("clean twins let through without a warning", *passed)
	for _, w := range wrong {
		t.row("wrong", w, "-", false)
	}
	return nil
}

func describe(name string, mining bool, v trust.Verdict) string {
	kind := "clean"
	if mining {
		kind = "mining"
	}
	return fmt.Sprintf("%s (%s): %s: %s", name, kind, v.Action, strings.Join(v.Reasons, "; "))
}

// table prints rows and knows whether one was short.
type table struct{ short bool }

func (t *table) row(name, measured, goal string, ok bool) {
	verdict := "ok"
	if !ok {
		verdict, t.short = "short", true
	}
	fmt.Printf("%s\t%s\t%s\t%s\n", name, strings.ReplaceAll(measured, "\t", " "), goal, verdict)
}

func (t *table) share(name string, n tally) {
	t.row(name, fmt.Sprintf("%d of %d", n.right, n.all), fmt.Sprintf("%d of %d", n.all, n.all), n.right == n.all)
}
