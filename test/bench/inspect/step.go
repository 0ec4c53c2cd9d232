//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	indicators "github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/match"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
	wrappers "github.com/safepull/safepull/trust/unwrap/all"
)

// runStep is one measured process. Its output is one line: what it counted.
func runStep(ctx context.Context, o options) (err error) {
	steps := map[string]func(context.Context, options) error{
		"inspect": inspectStep, "walk": walkStep, "match": matchStep(1, false), "match10": matchStep(10, false), "near": matchStep(1, true),
	}
	step, ok := steps[o.step]
	if !ok {
		return fmt.Errorf("no step %q", o.step)
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return step(ctx, o)
}

// shipped are all indicators as they ship.
func shipped() ([]indicator.Indicator, digest.Digest, error) {
	files, err := configs.Rules()
	if err != nil {
		return nil, "", err
	}
	rules, err := ruleset.Load(files)
	if err != nil {
		return nil, "", err
	}
	all, err := indicators.New(rules)
	return all, rules.Digest(), err
}

// open is the layer and a descriptor of it. The digest is that of the file: inspection verifies it, as it does in a pull.
func open(name string) (*os.File, ocispec.Descriptor, error) {
	known, err := os.ReadFile(name + ".digest")
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, ocispec.Descriptor{}, errors.Join(err, f.Close())
	}
	return f, ocispec.Descriptor{Digest: digest.Digest(known), Size: info.Size()}, nil
}

func inspectStep(ctx context.Context, o options) error {
	all, rules, err := shipped()
	if err != nil {
		return err
	}
	s, err := scan.New(all, wrappers.New(), rules, scan.Limits{Layer: limits(o)})
	if err != nil {
		return err
	}
	f, desc, err := open(o.file)
	if err != nil {
		return err
	}
	defer f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found, err := s.Layer(ctx, f, desc)
	runtime.ReadMemStats(&after)
	if err != nil && !errors.Is(err, trust.ErrLimit) {
		return err
	}
	fmt.Printf("files %d bytes %d findings %d allocations %d unanswered %v\n", found.Files, found.Bytes, len(found.Findings), after.Mallocs-before.Mallocs, err)
	for _, f := range found.Findings {
		fmt.Fprintln(os.Stderr, f.Check, f.Strength, f.IfRun, f.Path, f.Offset, f.Why)
	}
	return nil
}

// skip is a visitor that wants nothing: what is left is both digests, decompression and the walk over the archive.
type skip struct{}

// File implements layer.Visitor.
func (skip) File(context.Context, layer.Entry, io.Reader) error { return nil }

func walkStep(ctx context.Context, o options) error {
	f, desc, err := open(o.file)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := layer.Walk(ctx, f, desc, limits(o), skip{})
	fmt.Printf("files %d bytes %d\n", got.Files, got.Bytes)
	return err
}

// matchBytes is how much of the layer the matcher searches, again and again, so that reading costs nothing.
const matchBytes, matchRounds = 256 << 20, 8

// matchStep searches decompressed bytes for the literals of every indicator, or for ten times as many of the same shape.
// Where near is set, the bytes are made of all literals, each without its last byte.
func matchStep(times int, near bool) func(context.Context, options) error {
	return func(_ context.Context, o options) error {
		all, _, err := shipped()
		if err != nil {
			return err
		}
		var patterns []match.Pattern
		for _, i := range all {
			for _, l := range i.Literals() {
				patterns = append(patterns, match.Pattern{Bytes: []byte(l.Text), Fold: l.Fold, Sampled: l.Sampled})
				for n := 1; n < times; n++ {
					patterns = append(patterns, match.Pattern{Bytes: sibling(l.Text, n), Fold: l.Fold, Sampled: l.Sampled})
				}
			}
		}
		set, err := match.New(patterns)
		if err != nil {
			return err
		}
		text, err := part(o.file)
		if err != nil {
			return err
		}
		if near {
			text = nearMatches(patterns, len(text))
		}
		began, found := cpuTime(), 0
		for range matchRounds {
			for at := 0; at < len(text); at += 256 << 10 {
				set.Scan(text[at:min(at+256<<10, len(text))], func(int, int) { found++ })
			}
		}
		took := cpuTime() - began
		fmt.Printf("patterns %d found %d rate %.0f\n", len(patterns), found, float64(matchRounds*len(text))/1e6/took.Seconds())
		return nil
	}
}

func limits(o options) layer.Limits {
	inflate, err := layer.NewInflate(o.inflate)
	if err != nil {
		panic(err) // a name that the flag does not document
	}
	return layer.Limits{Inflate: inflate}
}

// sibling is another literal of the same length and alphabet: letters and digits are moved on.
func sibling(text string, n int) []byte {
	out := []byte(text)
	for i, c := range out {
		switch {
		case c >= 'a' && c <= 'z':
			out[i] = 'a' + (c-'a'+byte(n*(i+1)))%26
		case c >= 'A' && c <= 'Z':
			out[i] = 'A' + (c-'A'+byte(n*(i+1)))%26
		case c >= '0' && c <= '9':
			out[i] = '0' + (c-'0'+byte(n))%10
		}
	}
	return out
}

func part(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, matchBytes))
}

func nearMatches(patterns []match.Pattern, size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		for _, p := range patterns {
			b.Write(p.Bytes[:len(p.Bytes)-1])
		}
	}
	return b.Bytes()[:size]
}

// cpuTime is what this process has used.
func cpuTime() time.Duration { return usage() }
