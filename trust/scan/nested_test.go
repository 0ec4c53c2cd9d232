package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/unwrap"
)

// box is a made-up wrapper: a line "box NAME", then the content up to the end.
type box struct {
	name     string
	encoding bool
	spool    bool
	// before runs before the content is shown, after behind it.
	before, after func(unwrap.Input) error
}

func (b box) Name() string { return b.name }

func (b box) Wraps(c unwrap.Content) bool { return bytes.HasPrefix(c.Head, []byte(b.name+" ")) }

func (b box) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	var r io.Reader = in
	if b.spool {
		at, size, err := in.Spool()
		if err != nil {
			return err
		}
		r = io.NewSectionReader(at, 0, size)
	}
	if b.before != nil {
		if err := b.before(in); err != nil {
			return err
		}
	}
	var line []byte
	for c := make([]byte, 1); ; line = append(line, c[0]) {
		if _, err := io.ReadFull(r, c); err != nil {
			return err
		}
		if c[0] == '\n' {
			break
		}
	}
	name := strings.TrimPrefix(string(line), b.name+" ")
	if err := show(unwrap.Piece{Name: name, Mode: 0o644, Size: -1, Encoding: b.encoding}, r); err != nil {
		return err
	}
	if b.after != nil {
		return b.after(in)
	}
	return nil
}

func nestedScanner(t testing.TB, limits scan.Limits, wrappers ...unwrap.Wrapper) *scan.Scanner {
	t.Helper()
	s, err := scan.New([]indicator.Indicator{&toy{name: "a", literals: literals("stratum")}}, wrappers, rules, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNestedContentIsInspected(t *testing.T) {
	t.Parallel()
	for _, spool := range []bool{false, true} {
		s := nestedScanner(t, scan.Limits{}, box{name: "box", spool: spool}, box{name: "code", encoding: true})
		big := filler(3 << 20)
		blob := layerOf(t,
			entry{name: "a", body: "box ../in.sh\n#!/bin/sh\nstratum"},
			entry{name: "b", body: "box x\nbox y\n" + big + "stratum"},
			entry{name: "c.sh", body: "code x\nstratum"},
			entry{name: "d", body: "stratum"},
		)
		got, err := inspect(t, s, blob)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"a@0 weak text a:23", "a@0 weak script a!/in.sh:10",
			fmt.Sprint("a@0 weak text b:", 12+len(big)), fmt.Sprint("a@0 weak text b!/x:", 6+len(big)), fmt.Sprint("a@0 weak text b!/x!/y:", len(big)),
			"a@0 weak script c.sh:7", "a@0 weak script c.sh!/x:0",
			"a@0 weak text d:0",
		}
		if diff := cmp.Diff(want, describe(got.Findings)); diff != "" {
			t.Error(diff)
		}
		if found, err := s.Snippet("", "config:command", trust.KindConfig, []byte("code x\nstratum")); err != nil || len(found) != 2 || found[1].Kind != trust.KindConfig {
			t.Error(found, err)
		}
	}
}

// Two wrappers that take the same file both see all of it.
func TestSeveralWrappersOfOneFile(t *testing.T) {
	t.Parallel()
	s := nestedScanner(t, scan.Limits{}, box{name: "box"}, other{box{name: "box"}})
	got, err := inspect(t, s, layerOf(t, entry{name: "f", body: "box x\n" + filler(2<<20) + "stratum"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 3 {
		t.Error(describe(got.Findings))
	}
}

type other struct{ box }

func (other) Name() string { return "other" }

func TestNestedLimits(t *testing.T) {
	t.Parallel()
	deep := func(word string, n int) string { return strings.Repeat(word+" x\n", n) + "end" }
	many := box{name: "many", after: func(unwrap.Input) error { return nil }}
	for name, tc := range map[string]struct {
		limits  scan.NestedLimits
		time    time.Duration
		within  string
		exceeds string
	}{
		"depth":                 {limits: scan.NestedLimits{Depth: 3}, within: deep("box", 3), exceeds: deep("box", 4)},
		"peels":                 {limits: scan.NestedLimits{Depth: 1, Peels: 5}, within: deep("code", 5), exceeds: deep("code", 6)},
		"bytes":                 {limits: scan.NestedLimits{Bytes: 100}, within: "box x\n" + filler(100), exceeds: "box x\n" + filler(101)},
		"pieces":                {limits: scan.NestedLimits{Pieces: 2}, within: deep("box", 2), exceeds: deep("box", 3)},
		"steps":                 {limits: scan.NestedLimits{Steps: 100}, within: "cost x\n" + filler(10), exceeds: "cost x\ncost x\n"},
		"spool":                 {limits: scan.NestedLimits{Spool: 100}, within: "spool x\n" + filler(92), exceeds: "spool x\n" + filler(93)},
		"spool-of-unknown-size": {limits: scan.NestedLimits{Spool: 100}, within: "box x\nspool x\n" + filler(92), exceeds: "box x\nspool x\n" + filler(93)},
		"time":                  {time: time.Second, within: "quick x\n", exceeds: "slow x\n" + filler(600_000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := nestedScanner(t, scan.Limits{Nested: tc.limits, FileTime: tc.time},
				box{name: "box"}, box{name: "code", encoding: true}, many, box{name: "spool", spool: true},
				box{name: "cost", before: func(in unwrap.Input) error { return in.Spend(60) }},
				box{name: "slow", before: func(unwrap.Input) error { time.Sleep(1100 * time.Millisecond); return nil }})
			if _, err := inspect(t, s, layerOf(t, entry{name: "f", body: tc.within})); err != nil {
				t.Errorf("within the limit: %v", err)
			}
			got, err := inspect(t, s, layerOf(t, entry{name: "f", body: tc.exceeds}, entry{name: "g", body: "stratum"}))
			if !errors.Is(err, trust.ErrLimit) {
				t.Errorf("beyond the limit: %v", err)
			}
			if len(got.Findings) != 1 {
				t.Errorf("the rest of the layer: %v", got.Findings)
			}
		})
	}
}

func TestWhatWrappersSay(t *testing.T) {
	t.Parallel()
	fails := func(err error) func(unwrap.Input) error { return func(unwrap.Input) error { return err } }
	for name, tc := range map[string]struct {
		wrapper box
		err     error
		want    []string
	}{
		"fine":                 {box{}, nil, []string{"a@0 weak text f:6", "a@0 weak text f!/x:0"}},
		"malformed":            {box{after: fails(trust.ErrMalformed)}, nil, []string{"a@0 weak text f:6", "a@0 weak text f!/x:0", "unwrap@1 context text f:0"}},
		"not-of-the-format":    {box{before: fails(trust.ErrMalformed)}, nil, []string{"a@0 weak text f:6"}},
		"hides":                {box{before: fails(trust.ErrUnsupported)}, nil, []string{"a@0 weak text f:6", "unwrap@1 context text f:0"}},
		"limit":                {box{before: fails(trust.ErrLimit)}, trust.ErrLimit, []string{"a@0 weak text f:6"}},
		"unknown":              {box{before: fails(errors.New("odd"))}, trust.ErrLimit, []string{"a@0 weak text f:6"}},
		"panics":               {box{before: func(unwrap.Input) error { panic("a\x1b[2Jb") }}, trust.ErrUnsupported, []string{"a@0 weak text f:6"}},
		"spools-after-reading": {box{after: func(in unwrap.Input) error { _, _, err := in.Spool(); return err }}, nil, []string{"a@0 weak text f:6", "a@0 weak text f!/x:0", "unwrap@1 context text f:0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.wrapper.name = "box"
			got, err := inspect(t, nestedScanner(t, scan.Limits{}, tc.wrapper), layerOf(t, entry{name: "f", body: "box x\nstratum"}))
			if !errors.Is(err, tc.err) || err != nil && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, describe(got.Findings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// broken is a wrapper whose piece cannot be read to its end; it does not look.
type broken struct {
	box
	err error
}

func (b broken) Unwrap(_ context.Context, _ unwrap.Input, show unwrap.Show) error {
	return show(unwrap.Piece{Name: "x"}, io.MultiReader(strings.NewReader("stratum"), iotest.ErrReader(b.err)))
}

func TestBrokenPieceIsNotSilent(t *testing.T) {
	t.Parallel()
	got, err := inspect(t, nestedScanner(t, scan.Limits{}, broken{box{name: "box"}, errors.New("bad checksum")}), layerOf(t, entry{name: "f", body: "box x\n"}))
	want := []string{"a@0 weak text f!/x:0", "unwrap@1 context text f:0"}
	if diff := cmp.Diff(want, describe(got.Findings)); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// A limit that a piece's own decoder meets is one of the blob, whoever swallows it on the way.
func TestLimitOfAPiece(t *testing.T) {
	t.Parallel()
	limit := broken{box{name: "box"}, fmt.Errorf("window: %w", trust.ErrLimit)}
	for _, w := range []unwrap.Wrapper{limit, damaged{limit}} {
		s := nestedScanner(t, scan.Limits{}, w)
		if _, err := inspect(t, s, layerOf(t, entry{name: "f", body: "box x\n"})); !errors.Is(err, trust.ErrLimit) {
			t.Errorf("%T: %v", w, err)
		}
	}
}

// damaged says that the file is damaged, whatever became of its piece.
type damaged struct{ broken }

func (d damaged) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	if err := d.broken.Unwrap(ctx, in, show); err != nil {
		return err
	}
	return trust.ErrMalformed
}

// An error of the layer itself, or the end of the context, ends the walk from whatever depth.
func TestErrorsFromWithin(t *testing.T) {
	t.Parallel()
	blob := layerOf(t, entry{name: "f", body: "box x\nbox y\n" + filler(4<<20)})
	broke := errors.New("broke")
	s := nestedScanner(t, scan.Limits{}, box{name: "box"})
	r := io.MultiReader(bytes.NewReader(blob[:len(blob)/2]), iotest.ErrReader(broke))
	if _, err := s.Layer(t.Context(), r, descriptor(blob)); !errors.Is(err, broke) {
		t.Errorf("broken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = nestedScanner(t, scan.Limits{}, box{name: "box", before: func(unwrap.Input) error { cancel(); return nil }})
	if _, err := s.Layer(ctx, bytes.NewReader(blob), descriptor(blob)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSpoolFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := nestedScanner(t, scan.Limits{}, box{name: "spool", spool: true})
	if _, err := inspect(t, s, layerOf(t, entry{name: "f", body: "spool x\n" + filler(5<<20)})); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	t.Setenv("TMPDIR", dir+"/missing")
	if _, err := inspect(t, s, layerOf(t, entry{name: "f", body: "spool x\n" + filler(5<<20)})); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("no room to spool: %v", err)
	}
}

// A file is inspected again with passwords that were found elsewhere.
func TestFileWithPasswords(t *testing.T) {
	t.Parallel()
	var seen []string
	s := nestedScanner(t, scan.Limits{}, box{name: "box", before: func(in unwrap.Input) error { seen = in.Content().Passwords; return nil }})
	found, err := s.File(t.Context(), rules, layer.Entry{Path: "f"}, strings.NewReader("box x\nstratum"), []string{"secret"})
	if err != nil || len(found) != 2 || len(seen) != 1 {
		t.Error(found, err, seen)
	}
}

// A file may not unwrap to many times what the layer had so far.
func TestNestedRatio(t *testing.T) {
	t.Parallel()
	for floor, want := range map[int64]error{10_000: nil, 1000: trust.ErrLimit} {
		s := nestedScanner(t, scan.Limits{Layer: layer.Limits{Ratio: 1, RatioFloor: floor}}, box{name: "box"})
		body := "box x\nbox y\n" + filler(2000) // each level shows it again
		if _, err := s.File(t.Context(), rules, layer.Entry{Path: "f"}, strings.NewReader(body), nil); !errors.Is(err, want) {
			t.Errorf("beyond %d bytes: %v", floor, err)
		}
	}
}
