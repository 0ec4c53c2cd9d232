package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
)

func TestLayerFindings(t *testing.T) {
	t.Parallel()
	pool := &toy{name: "pool", version: 2, literals: []indicator.Literal{{Text: "stratum+tcp://", Fold: true}}}
	flags := &toy{name: "flags", version: 1, literals: literals("--donate-level", "stratum+tcp://"), ignore: func(f indicator.File) bool { return f.Kind == trust.KindText }}
	blob := layerOf(t,
		entry{name: "./usr/bin/run", body: "#!/bin/sh\nxmrig -o STRATUM+tcp://pool --donate-level 1\n", mode: 0o755},
		entry{name: "usr/share/doc/readme", body: "use stratum+tcp://pool with --donate-level"},
		entry{name: "bell\a\n", body: "\x7fELF stratum+tcp://pool"},
		entry{name: "clean", body: "nothing"},
	)
	got, err := inspect(t, newScanner(t, pool, flags), blob)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"flags@1 weak executable bell· :5",
		"pool@2 weak executable bell· :5",
		"pool@2 weak script usr/bin/run:19",
		"flags@1 weak script usr/bin/run:38",
		"pool@2 weak text usr/share/doc/readme:4",
	}
	if diff := cmp.Diff(want, describe(got.Findings)); diff != "" {
		t.Error(diff)
	}
	if got.Files != 4 || got.DiffID == "" || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
	for _, f := range got.Findings {
		if f.Layer != digest.FromBytes(blob) {
			t.Errorf("layer %s", f.Layer)
		}
	}
}

// Wherever a literal stands, around every border of the engine's buffer, it is shown once, with a full window.
func TestHitsAcrossChunks(t *testing.T) {
	t.Parallel()
	const literal, chunk = "stratum+tcp://", 256 << 10
	carried := indicator.WindowBefore + indicator.WindowAfter + 2*len(literal)
	first := chunk + carried // the first read fills the whole buffer
	second := first + chunk
	var places []int
	for _, border := range []int{0, indicator.WindowBefore, chunk, first, first - indicator.WindowAfter, first - indicator.WindowAfter - len(literal), second, second + 100} {
		for d := -len(literal) - 1; d <= 1; d++ {
			if border+d >= 0 {
				places = append(places, border+d)
			}
		}
	}
	for _, size := range []int{0, 1, indicator.WindowAfter - 1, indicator.WindowAfter, indicator.WindowAfter + 1, 2 * chunk} {
		t.Run(fmt.Sprint("after-", size), func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			s := newScanner(t, &toy{name: "a", literals: literals(literal), on: r.on, everyByte: true})
			for _, at := range places {
				*r = recorder{}
				body := filler(at) + literal + filler(size)
				found, err := s.Snippet("", "config", trust.KindConfig, []byte(body))
				if err != nil || len(found) != 1 || found[0].Offset != int64(at) {
					t.Fatalf("at %d: %v, %v", at, found, err)
				}
				checkWindows(t, body, r.hits)
				if string(r.bytes) != body {
					t.Fatal("Bytes did not show every byte once")
				}
			}
		})
	}
}

func checkWindows(t *testing.T, body string, hits []indicator.Hit) {
	t.Helper()
	for _, h := range hits {
		offset := int(h.Offset)
		before := min(indicator.WindowBefore, offset)
		after := min(offset+indicator.WindowAfter, len(body))
		start := offset - h.At
		if h.At < before || start+len(h.Window) < after {
			t.Fatalf("hit at %d of %d: window from %d to %d", offset, len(body), start, start+len(h.Window))
		}
		if string(h.Window) != body[start:start+len(h.Window)] {
			t.Fatalf("hit at %d: window shows something else", offset)
		}
	}
}

// The engine sees what one search over the whole file would see, in order, however the bytes come.
func TestHitsAgainstNaive(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	words := []string{"aaaaaa", "aaaaaaa", "baaaaaab", strings.Repeat("ab", 300), "stratum", "stratum+tcp"}
	for round := range 8 {
		var b strings.Builder
		for b.Len() < 600_000 {
			b.WriteString(filler(rng.IntN(9000)))
			b.WriteString(words[rng.IntN(len(words))])
		}
		body := b.String()
		var want []indicator.Hit
		for i, word := range words {
			for at := 0; ; at++ {
				next := strings.Index(body[at:], word)
				if next < 0 {
					break
				}
				at += next
				want = append(want, indicator.Hit{Literal: i, Offset: int64(at)})
			}
		}
		slices.SortFunc(want, func(a, b indicator.Hit) int { return int(a.Offset - b.Offset) })
		r := &recorder{}
		s := newScanner(t, &toy{name: "a", literals: literals(words...), on: r.on, everyByte: true})
		blob := layerOf(t, entry{name: "before", body: "x"}, entry{name: "f", body: body})
		if _, err := s.Layer(t.Context(), iotest.HalfReader(bytes.NewReader(blob)), descriptor(blob)); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(r.hits, func(a, b indicator.Hit) int { return int(a.Offset - b.Offset) }) {
			t.Fatal("hits are not in order of offset")
		}
		checkWindows(t, body, r.hits)
		if string(r.bytes) != "x"+body {
			t.Fatal("Bytes did not show every byte once")
		}
		count := func(hits []indicator.Hit) map[string]int {
			m := make(map[string]int)
			for _, h := range hits {
				m[fmt.Sprint(h.Literal, "@", h.Offset)]++
			}
			return m
		}
		if diff := cmp.Diff(count(want), count(r.hits)); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
	}
}

func TestWatchesEveryFile(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := newScanner(t, &toy{name: "a", literals: literals("stratum"), on: r.on})
	if _, err := inspect(t, s, layerOf(t, entry{name: "empty"}, entry{name: "one", body: "stratum"})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"watch", "close", "watch", "hit", "close"}, r.events); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]indicator.File{{Path: "empty", Kind: trust.KindText}, {Path: "one", Kind: trust.KindText, Size: 7}}, r.files); diff != "" {
		t.Error(diff)
	}
}

// A watch of an idle file begins with its first hit.
func TestIdleFiles(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	fails := &toy{name: "fails", literals: literals("stratum"), on: func(what string, _ indicator.File, _ indicator.Hit, _ []byte) {
		if what == "watch" {
			panic("watch")
		}
	}}
	nobody := &toy{name: "nobody", literals: literals("stratum"), ignore: func(indicator.File) bool { return true }}
	blob := layerOf(t, entry{name: "empty"}, entry{name: "none", body: "nothing"}, entry{name: "one", body: "stratum stratum"})
	got, err := inspect(t, newScanner(t, idleToy{&toy{name: "a", literals: literals("stratum"), on: r.on}}, idleToy{nobody}), blob)
	if diff := cmp.Diff([]string{"a@0 weak text one:0", "a@0 weak text one:8"}, describe(got.Findings)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if diff := cmp.Diff([]string{"watch", "hit", "close"}, r.events); diff != "" {
		t.Error(diff)
	}
	if _, err := inspect(t, newScanner(t, idleToy{fails}), blob); !errors.Is(err, trust.ErrUnsupported) {
		t.Errorf("an indicator that fails: %v", err)
	}
}

// A match must not be made of two files.
func TestHitsDoNotCrossFiles(t *testing.T) {
	t.Parallel()
	got, err := inspect(t, newScanner(t, &toy{name: "a", literals: literals("stratum")}), layerOf(t, entry{name: "a", body: "stra"}, entry{name: "b", body: "tum"}))
	if err != nil || len(got.Findings) != 0 {
		t.Error(got, err)
	}
}

func TestIndicatorsWithoutLiterals(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	body := filler(700_000)
	if _, err := inspect(t, newScanner(t, &toy{name: "a", on: r.on, everyByte: true}), layerOf(t, entry{name: "f", body: body})); err != nil || string(r.bytes) != body {
		t.Error(err, len(r.bytes))
	}
	if got, err := inspect(t, newScanner(t), layerOf(t, entry{name: "f", body: body})); err != nil || got.Files != 1 {
		t.Error(got, err)
	}
}

// An indicator that panics, at whatever point, leaves the blob unanswered; what the others find is kept.
func TestPanics(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"watch", "hit", "bytes", "close"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			bad := &toy{name: "bad", version: 3, literals: literals("stratum"), everyByte: true, on: func(now string, f indicator.File, _ indicator.Hit, _ []byte) {
				if now == what && f.Path == "f" {
					panic("a\x1b[2Jb")
				}
			}}
			good := &toy{name: "good", literals: literals("stratum")}
			s := newScanner(t, bad, good)
			blob := layerOf(t, entry{name: "f", body: "stratum"}, entry{name: "g", body: "stratum"})
			got, err := inspect(t, s, blob)
			if !errors.Is(err, trust.ErrUnsupported) || !strings.Contains(err.Error(), "bad@3") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("error %v", err)
			}
			want := []string{"good@0 weak text f:0", "bad@3 weak text g:0", "good@0 weak text g:0"}
			if diff := cmp.Diff(want, describe(got.Findings)); diff != "" {
				t.Error(diff)
			}
			text := s.Text("sha256:x", "f", trust.KindConfig, []byte("stratum"))
			if len(text) == 0 || text[0].Strength != trust.Proof || text[0].Check != scan.Check {
				t.Errorf("failed text is clean: %v", text)
			}
			if again := s.Text("sha256:x", "h", trust.KindConfig, []byte("stratum")); len(again) != 2 {
				t.Errorf("after a failure: %v", again)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := newScanner(t, &toy{name: "a", literals: literals("stratum")})
	blob := layerOf(t, entry{name: "f", body: "stratum"})
	broke := errors.New("broke")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx    context.Context
		blob   []byte
		desc   []byte
		breaks error
		want   error
		found  int
	}{
		"malformed": {t.Context(), append(bytes.Clone(blob), 'x'), append(bytes.Clone(blob), 'x'), nil, trust.ErrMalformed, 1},
		"integrity": {t.Context(), blob, []byte("else"), nil, trust.ErrIntegrity, 0},
		"broken":    {t.Context(), blob[:20], blob, broke, broke, 0},
		"cancelled": {cancelled, blob, blob, nil, context.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &chain{Reader: bytes.NewReader(tc.blob), err: tc.breaks}
			got, err := s.Layer(tc.ctx, r, descriptor(tc.desc))
			if !errors.Is(err, tc.want) || len(got.Findings) != tc.found {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// chain fails with err where its Reader ends.
type chain struct {
	*bytes.Reader
	err error
}

func (c *chain) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && c.err != nil {
		err = c.err
	}
	return n, err
}

func TestData(t *testing.T) {
	t.Parallel()
	s := newScanner(t, &toy{name: "a", literals: literals("stratum")})
	for name, tc := range map[string]struct {
		blob []byte
		want []string
	}{
		"json":  {[]byte(`{"a": "stratum"}`), []string{"a@0 weak text data:7"}},
		"layer": {layerOf(t, entry{name: "f", body: "stratum"}), []string{"a@0 weak text f:0"}},
		"empty": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.Data(t.Context(), bytes.NewReader(tc.blob), descriptor(tc.blob))
			if diff := cmp.Diff(tc.want, describe(got.Findings)); diff != "" || err != nil || got.Files != 1 {
				t.Error(got, err, diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	s := newScanner(t, &toy{name: "a", literals: literals("stratum")})
	want := []trust.Finding{{Check: "a@0", Strength: trust.Weak, Kind: trust.KindConfig, Layer: rules, Path: "config:entrypoint", Offset: 3, Excerpt: "stratum", Why: "toy"}}
	if diff := cmp.Diff(want, s.Text(rules, "config:entrypoint", trust.KindConfig, []byte("-o stratum"))); diff != "" {
		t.Error(diff)
	}
	if got := s.Text(rules, "config:cmd", trust.KindConfig, nil); len(got) != 0 {
		t.Error(got)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newScanner(t, &toy{name: "a", literals: literals("stratum")}, &toy{name: "b", literals: literals("mining.subscribe"), everyByte: true})
	var wg sync.WaitGroup
	for i := range 16 {
		blob := layerOf(t, entry{name: "f", body: filler(i*40_000) + "stratum"}, entry{name: "g", body: "mining.subscribe"})
		want := []string{fmt.Sprintf("a@0 weak text f:%d", i*40_000), "b@0 weak text g:0"}
		wg.Go(func() {
			for range 5 {
				got, err := inspect(t, s, blob)
				if diff := cmp.Diff(want, describe(got.Findings)); diff != "" || err != nil {
					t.Error(err, diff)
				}
			}
		})
	}
	wg.Wait()
}

func TestKey(t *testing.T) {
	t.Parallel()
	a, b := &toy{name: "a", version: 1}, &toy{name: "b", version: 1}
	key := func(rules digest.Digest, limits layer.Limits, indicators ...indicator.Indicator) digest.Digest {
		s, err := scan.New(indicators, nil, rules, scan.Limits{Layer: limits})
		if err != nil {
			t.Fatal(err)
		}
		return s.Key()
	}
	base := key(rules, layer.Limits{}, a, b)
	if base != key(rules, layer.DefaultLimits(), b, a) {
		t.Error("the order of indicators, or naming the default limits, changes the key")
	}
	seen := map[digest.Digest]bool{base: true}
	for name, other := range map[string]digest.Digest{
		"check":   key(rules, layer.Limits{}, a),
		"version": key(rules, layer.Limits{}, a, &toy{name: "b", version: 2}),
		"ruleset": key(digest.FromString("x"), layer.Limits{}, a, b),
		"limits":  key(rules, layer.Limits{Entries: 5}, a, b),
		"ruled":   key(rules, layer.Limits{}, a, ruled{b, "1"}),
		"other":   key(rules, layer.Limits{}, a, ruled{b, "2"}),
	} {
		if seen[other] || other.Validate() != nil {
			t.Errorf("%s does not change the key", name)
		}
		seen[other] = true
	}
	if diff := cmp.Diff([]string{"a@1", "b@1"}, newScanner(t, b, a).Checks()); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, indicators := range map[string][]indicator.Indicator{
		"twice":         {&toy{name: "a"}, &toy{name: "a", version: 2}},
		"nameless":      {&toy{}},
		"short-literal": {&toy{name: "a", literals: literals("short")}},
		"long-literal":  {&toy{name: "a", literals: literals(strings.Repeat("x", 2000))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := scan.New(indicators, nil, rules, scan.Limits{}); err == nil {
				t.Error("no error")
			}
		})
	}
}
