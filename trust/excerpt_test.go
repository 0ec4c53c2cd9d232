package trust_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

func TestSanitise(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                        "",
		"plain text, 12%":         "plain text, 12%",
		"größe 世界 😀":              "größe 世界 😀",
		"a\nb\tc\rd":              "a b c d",
		"a\x00b\x1b[31mc\x7f":     "a·b·[31mc·",
		"a\u202eb\u200bc\ufeffd":  "a·b·c·d", // turned around, zero width, byte order mark
		"a\u0085b\u2028c\u00a0d":  "a·b·c·d", // line ends and a blank of other alphabets
		"\xff\xfe":                "··",
		"a\xe4\xb8":               "a··", // cut off
		"\xed\xa0\x80":            "···", // half of a pair
		"\xc0\xaf":                "··",  // a slash, too long
		"\ufffd":                  "\ufffd",
		"e\u0301":                 "e\u0301", // combined
		"\U000e0041\U000e0042":    "··",      // tags, which are invisible
		"\ue000":                  "·",       // private use
		"\u2066left\u2069 \u061c": "·left· ·",
	} {
		if got := trust.Sanitise(in, 1000); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for limit, want := range []string{"", "a", "a", "aé", "aé", "aé", "aé世", "aé世", "aé世"} {
		if got := trust.Sanitise("aé世😀b", limit); got != want {
			t.Errorf("at most %d bytes: %q, want %q", limit, got, want)
		}
	}
	if got := trust.Sanitise("abc", -1); got != "" {
		t.Errorf("at most less than nothing: %q", got)
	}
}

// hostileText mixes what is printable, what is not, and what is no text.
func hostileText(rng *rand.Rand, n int) string {
	parts := []string{"a", "é", "世", "😀", "\x1b", "\u202e", "\U000e0041", "\xff", "\xe4\xb8", "\n", "\x00", "\ufffd", " "}
	var b strings.Builder
	favourite := parts[rng.IntN(len(parts))]
	for range n {
		if rng.IntN(3) == 0 {
			b.WriteString(favourite)
		} else {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
	}
	return b.String()
}

// checkShown holds what was made safe against the promise.
func checkShown(t *testing.T, in, out string, limit int) {
	t.Helper()
	if len(out) > max(limit, 0) || !utf8.ValidString(out) {
		t.Fatalf("%q became %q, of at most %d bytes", in, out, limit)
	}
	for _, r := range out {
		if !unicode.IsPrint(r) {
			t.Fatalf("%q became %q, which has %U", in, out, r)
		}
	}
	if again := trust.Sanitise(out, limit); again != out {
		t.Fatalf("%q became %q, and that %q", in, out, again)
	}
}

// TestSanitiseProperties: the result is printable and short, a longer limit only adds to it, and it is not changed again.
func TestSanitiseProperties(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		in := hostileText(rng, rng.IntN(40))
		before := ""
		for limit := range 30 {
			out := trust.Sanitise(in, limit)
			checkShown(t, in, out, limit)
			if !strings.HasPrefix(out, before) {
				t.Fatalf("%q: %q, and with one byte more %q", in, before, out)
			}
			before = out
		}
		if got, want := utf8.RuneCountInString(trust.Sanitise(in, 1<<20)), utf8.RuneCountInString(in); got != want {
			t.Fatalf("%q has %d characters, of %d", in, got, want)
		}
	}
}

func FuzzSanitise(f *testing.F) {
	f.Add("a\x1b]0;title\a\u202e\xff", 9)
	f.Add("世界", 4)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		limit = min(limit, 1<<20)
		checkShown(t, in, trust.Sanitise(in, limit), limit)
	})
}

func TestStrengths(t *testing.T) {
	t.Parallel()
	words := []string{"context", "weak", "strong", "proof"}
	for i, s := range []trust.Strength{trust.Context, trust.Weak, trust.Strong, trust.Proof} {
		if s.String() != words[i] || int(s) != i {
			t.Errorf("%d is %s", i, s)
		}
		text, err := json.Marshal(map[string]trust.Strength{"s": s})
		var back map[string]trust.Strength
		if err != nil || string(text) != `{"s":"`+words[i]+`"}` || json.Unmarshal(text, &back) != nil || back["s"] != s {
			t.Errorf("%s: %s, %v, %v", s, text, err, back)
		}
	}
	for _, s := range []trust.Strength{-1, 4, 1 << 30} {
		if _, err := s.MarshalText(); err == nil || s.String() != fmt.Sprintf("strength(%d)", int(s)) {
			t.Errorf("%s is a strength", s)
		}
	}
	for _, text := range []string{"", "Weak", "weak ", "0", "strength(0)", "strong\x1b", "proof!"} {
		s := trust.Strong
		if err := s.UnmarshalText([]byte(text)); err == nil || s != trust.Strong || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v, %s", text, err, s)
		}
	}
	if json.Unmarshal([]byte(`{"strength":2}`), new(trust.Finding)) == nil {
		t.Error("a number is a strength")
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	order := []trust.Action{trust.Allow, trust.Warn, trust.Quarantine, trust.Block}
	for i, a := range order {
		if a.Severity() != i || a.Serves() != (i < 2) {
			t.Errorf("%s: severity %d, serves %t", a, a.Severity(), a.Serves())
		}
		text, err := json.Marshal(a)
		var back trust.Action
		if err != nil || json.Unmarshal(text, &back) != nil || back != a {
			t.Errorf("%s: %s, %v, %s", a, text, err, back)
		}
	}
	// What is none of the four serves nothing and is the most severe, the zero value too.
	for _, a := range []trust.Action{"", "Allow", "allow ", "ALLOW", "deny", "allow\x00"} {
		if a.Serves() || a.Severity() <= trust.Block.Severity() {
			t.Errorf("%q: severity %d, serves %t", a, a.Severity(), a.Serves())
		}
		kept := trust.Block
		if err := kept.UnmarshalText([]byte(a)); err == nil || kept != trust.Block {
			t.Errorf("%q was read as %q", a, kept)
		}
	}
	var zero trust.Verdict
	if zero.Action.Serves() {
		t.Error("an empty verdict serves")
	}
	if err := json.Unmarshal([]byte(`{"action":"pass"}`), &zero); err == nil {
		t.Error("a verdict with an unknown action was read")
	}
	slices.SortFunc(order, func(a, b trust.Action) int { return b.Severity() - a.Severity() })
	if order[0] != trust.Block || order[3] != trust.Allow {
		t.Errorf("from most to least: %v", order)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	for _, c := range []struct {
		ref                     trust.Reference
		name, namespace, string string
	}{
		{trust.Reference{Registry: trust.DockerHub, Repository: "library/alpine", Tag: "3"}, "docker.io/library/alpine", "docker.io/library", "docker.io/library/alpine:3"},
		{trust.Reference{Registry: "127.0.0.1:5000", Repository: "a", Digest: d}, "127.0.0.1:5000/a", "127.0.0.1:5000", "127.0.0.1:5000/a@" + d.String()},
		{trust.Reference{Registry: "r.example", Repository: "a/b/c", Tag: "t", Digest: d}, "r.example/a/b/c", "r.example/a/b", "r.example/a/b/c:t@" + d.String()},
		{trust.Reference{Repository: "a/b"}, "a/b", "a", "a/b"},
		{trust.Reference{Repository: "a"}, "a", "", "a"},
		{trust.Reference{}, "", "", ""},
		{trust.Reference{Registry: "r", Repository: "a", Index: d}, "r/a", "r", "r/a"},
	} {
		if got := []string{c.ref.Name(), c.ref.Namespace(), c.ref.String()}; !slices.Equal(got, []string{c.name, c.namespace, c.string}) {
			t.Errorf("%+v: %q", c.ref, got)
		}
		at := c.ref.WithDigest(d)
		if at.Digest != d || at.Tag != c.ref.Tag || at.Name() != c.ref.Name() || at.Index != c.ref.Index {
			t.Errorf("%+v with a digest is %+v", c.ref, at)
		}
	}
	ref := trust.Reference{Registry: "r", Repository: "a"}
	_ = ref.WithDigest(d)
	if ref.Digest != "" {
		t.Error("WithDigest changed what it was called on")
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	for action, want := range map[string][2]bool{"allow": {true, false}, "deny": {false, true}, "": {}, "Allow": {}, "warn": {}} {
		s := trust.Standing{Decided: &trust.Entry{Action: action}}
		if got := [2]bool{s.Allowed(), s.Denied()}; got != want {
			t.Errorf("%q: %v", action, got)
		}
	}
	if s := (trust.Standing{Lost: []trust.Entry{{Action: "deny"}, {Action: "allow"}}}); s.Allowed() || s.Denied() {
		t.Error("entries that lost decide")
	}
}

// TestVerdictsKeepEverything: what is remembered as JSON is what was judged, and what is empty is not written.
func TestVerdictsKeepEverything(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	entry := trust.Entry{Pattern: "a/*", Action: "allow", Reason: "r", Owner: "o", Expires: at, SkipInspection: true, List: "l", Line: 3}
	ref := trust.Reference{Registry: "r", Repository: "a", Tag: "t", Digest: d, Index: d}
	v := trust.Verdict{
		ID: "SP-1", Reference: ref, Manifest: d, Ruleset: d, Policy: d, TrustLists: d, Action: trust.Quarantine, Reasons: []string{"why"},
		Evidence: trust.Evidence{
			Reference: ref, Manifest: d, Platform: "linux/arm", Standing: trust.Standing{Decided: &entry, Lost: []trust.Entry{entry}, TagMatters: true, Until: at},
			Findings: []trust.Finding{{
				Check: "c@1", Strength: trust.Weak, IfRun: trust.Proof, Kind: trust.KindScript, Class: trust.ClassOpaque, Reach: trust.ReachHidden,
				Layer: d, Path: "a.zip" + trust.Nested + "b", Offset: 7, Excerpt: "e", Why: "w",
			}},
			Integrity: []string{"i"}, Answered: []string{"q"}, Unanswered: map[string]string{"u": "v"}, NotAsked: map[string]string{"n": "m"},
		},
		At: at, Until: at, Duration: time.Second, Blobs: []trust.Blob{{Digest: d, Size: 3, MediaType: "m"}}, Passing: true,
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back trust.Verdict
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, back); diff != "" {
		t.Error(diff)
	}
	found := trust.Inspection{
		DiffID: d, TreeCut: true, Size: 9, Files: 8, Bytes: 7, Findings: v.Evidence.Findings,
		TOC: &trust.TOC{Kind: trust.ZstdChunked, Digest: d, Packed: d, Offset: 1, PackedBytes: 2, Bytes: 3},
	}
	found.Tree.Add(trust.TreeEntry{Path: "a", Type: trust.TypeFile})
	if text, err = json.Marshal(found); err != nil {
		t.Fatal(err)
	}
	var again trust.Inspection
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(found, again); diff != "" {
		t.Error(diff)
	}
	if text, err = json.Marshal(trust.Entry{}); err != nil || string(text) != `{"pattern":"","action":""}` {
		t.Errorf("an empty entry is %s, %v", text, err)
	}
	if text, err = json.Marshal(trust.Finding{}); err != nil || string(text) != `{"check":"","strength":"context","path":"","offset":0,"why":""}` {
		t.Errorf("an empty finding is %s, %v", text, err)
	}
}

// TestErrorsAreApart: nothing that callers branch on is taken for another.
func TestErrorsAreApart(t *testing.T) {
	t.Parallel()
	all := []error{
		trust.ErrNotFound, trust.ErrUnauthorized, trust.ErrRateLimited, trust.ErrUnavailable, trust.ErrIntegrity, trust.ErrLimit,
		trust.ErrUnsupported, trust.ErrMalformed,
	}
	for i, a := range all {
		for k, b := range all {
			if errors.Is(fmt.Errorf("what happened: %w", a), b) != (i == k) || (a.Error() == b.Error()) != (i == k) {
				t.Errorf("%v and %v", a, b)
			}
		}
	}
}
