package namespace

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, name, entries string) *List {
	t.Helper()
	list, err := Load(name, strings.NewReader("version: 1\nentries:\n"+entries))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func parse(t testing.TB, s string) trust.Reference {
	t.Helper()
	ref, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// outcome is a Standing in short.
type outcome struct {
	Decided    string
	Lost       []string
	TagMatters bool
	Until      string
}

func short(s trust.Standing) outcome {
	o := outcome{TagMatters: s.TagMatters}
	if s.Decided != nil {
		o.Decided = s.Decided.Action + " " + s.Decided.Pattern
	}
	for _, e := range s.Lost {
		o.Lost = append(o.Lost, e.Action+" "+e.Pattern)
	}
	if !s.Until.IsZero() {
		o.Until = s.Until.Format(time.DateOnly)
	}
	return o
}

func TestMatch(t *testing.T) {
	t.Parallel()
	lists := Combine(
		load(t, "shipped", `
  - {pattern: "library/**", action: allow}
  - {pattern: "azurenql/**", action: deny}
  - {pattern: "ghcr.io/acme/**", action: allow, expires: 2027-01-01}
`),
		nil,
		load(t, "mine", `
  - {pattern: "alpine:edge", action: deny, expires: 2026-12-01}
  - {pattern: "alpine:3.*", action: allow, expires: 2026-05-01}
  - {pattern: "ghcr.io/acme/bad", action: deny, expires: 2026-11-01}
  - {pattern: "ghcr.io/acme/bad@`+sha+`", action: allow}
  - {pattern: "ghcr.io/old/**", action: deny, expires: 2026-06-01T12:00:00Z}
  - {pattern: "ghcr.io/even/**", action: allow}
  - {pattern: "ghcr.io/even/**", action: deny}
  - {pattern: "ghcr.io/skip/**", action: allow, inspect: false, reason: r, owner: o, expires: 2026-09-01}
  - {pattern: "ghcr.io/skip/**", action: allow}
  - {pattern: "ghcr.io/tags/**:v?", action: deny}
`))
	for in, want := range map[string]outcome{
		"alpine":                                {Decided: "allow docker.io/library/**", TagMatters: true},
		"alpine:edge":                           {Decided: "deny docker.io/library/alpine:edge", Lost: []string{"allow docker.io/library/**"}, TagMatters: true, Until: "2026-12-01"},
		"alpine@" + sha:                         {Decided: "allow docker.io/library/**", TagMatters: true},
		"debian":                                {Decided: "allow docker.io/library/**"},
		"azurenql/x":                            {Decided: "deny docker.io/azurenql/**"},
		"registry-1.docker.io:443/azurenql/x/y": {Decided: "deny docker.io/azurenql/**"},
		"azurenql2/x":                           {},
		"ghcr.io/acme/app":                      {Decided: "allow ghcr.io/acme/**", Until: "2027-01-01"},
		"ghcr.io/acme/bad":                      {Decided: "deny ghcr.io/acme/bad", Lost: []string{"allow ghcr.io/acme/**", "allow ghcr.io/acme/bad@" + sha}, Until: "2026-11-01"},
		"ghcr.io:443/acme/bad":                  {Decided: "deny ghcr.io/acme/bad", Lost: []string{"allow ghcr.io/acme/**", "allow ghcr.io/acme/bad@" + sha}, Until: "2026-11-01"},
		"ghcr.io/acme/bad:1@" + sha:             {Decided: "allow ghcr.io/acme/bad@" + sha, Lost: []string{"deny ghcr.io/acme/bad", "allow ghcr.io/acme/**"}, Until: "2026-11-01"},
		"ghcr.io/old/x":                         {Lost: []string{"deny ghcr.io/old/**"}},
		"alpine:3.19":                           {Decided: "allow docker.io/library/**", Lost: []string{"allow docker.io/library/alpine:3.*"}, TagMatters: true},
		"ghcr.io/even/x":                        {Decided: "deny ghcr.io/even/**", Lost: []string{"allow ghcr.io/even/**"}},
		"ghcr.io/tags/x:v1":                     {Decided: "deny ghcr.io/tags/**:v?", TagMatters: true},
		"ghcr.io/tags/x:w1":                     {TagMatters: true},
		"localhost:5000/azurenql/x":             {},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, short(lists.Match(parse(t, in), noon))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	skip := lists.Match(parse(t, "ghcr.io/skip/x"), noon)
	if !skip.Allowed() || skip.Decided.SkipInspection || len(skip.Lost) != 1 {
		t.Errorf("an equal entry that inspects must win: %+v", skip)
	}
	if got := lists.Match(parse(t, "ghcr.io/acme/bad"), noon).Decided; got.List != "mine" || got.Line != 6 {
		t.Errorf("the entry stands at %s:%d, want mine:6", got.List, got.Line)
	}
}

func TestMatchExpiry(t *testing.T) {
	t.Parallel()
	lists := Combine(load(t, "x", `  - {pattern: "ghcr.io/a/**", action: allow, expires: 2026-06-01T12:00:00Z}`))
	ref := parse(t, "ghcr.io/a/b")
	for offset, want := range map[time.Duration]bool{-time.Nanosecond: true, 0: false, time.Nanosecond: false} {
		if got := lists.Match(ref, noon.Add(offset)).Allowed(); got != want {
			t.Errorf("%v after the expiry: allowed %v, want %v", offset, got, want)
		}
	}
	if got := lists.Match(ref, noon.Add(-time.Hour)).Until; !got.Equal(noon) {
		t.Errorf("Until %v, want %v", got, noon)
	}
}

func TestMatchLostIsBounded(t *testing.T) {
	t.Parallel()
	lists := Combine(load(t, "x", strings.Repeat("  - {pattern: '**', action: deny}\n", 3*lostLimit)))
	if got := lists.Match(parse(t, "alpine"), noon); !got.Denied() || len(got.Lost) != lostLimit {
		t.Errorf("denied %v with %d lost, want %d", got.Denied(), len(got.Lost), lostLimit)
	}
}

func TestMatchWithoutLists(t *testing.T) {
	t.Parallel()
	got := Combine().Match(parse(t, "alpine"), noon)
	if diff := cmp.Diff(trust.Standing{Lists: Combine().Digest()}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	a := `  - {pattern: a, action: deny}` + "\n"
	b := `  - {pattern: b, action: allow, reason: r, owner: o, expires: 2027-01-01, inspect: false}` + "\n"
	base := Combine(load(t, "1", a+b)).Digest()
	if err := base.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, lists := range map[string]*Lists{
		"order":    Combine(load(t, "1", b+a)),
		"files":    Combine(load(t, "2", b), load(t, "3", "# comment\n\n"+a)),
		"spelling": Combine(load(t, "1", strings.ReplaceAll(a, "pattern: a", "pattern: docker.io/library/a")+b)),
	} {
		if lists.Digest() != base {
			t.Errorf("%s changed the digest", name)
		}
	}
	for _, change := range [][2]string{
		{"pattern: b", "pattern: c"}, {"allow", "deny"}, {"reason: r", "reason: s"}, {"owner: o", "owner: p"},
		{"2027-01-01", "2027-01-01T01:00:00Z"}, {"inspect: false", "inspect: true"},
	} {
		changed := strings.ReplaceAll(a+b, change[0], change[1])
		if change[1] == "deny" {
			changed = strings.ReplaceAll(changed, ", inspect: false", "")
		}
		if Combine(load(t, "1", changed)).Digest() == base {
			t.Errorf("%q for %q did not change the digest", change[1], change[0])
		}
	}
	if Combine().Digest() == base || Combine(load(t, "1", a)).Digest() == base {
		t.Error("fewer entries have the same digest")
	}
}

// manyEntries makes lists of n entries of a shape, every third one locked, on three levels.
func manyEntries(b testing.TB, n int, format string) *Lists {
	b.Helper()
	var lists []*List
	for k, level := range []string{Shipped, Organization, User} {
		var text strings.Builder
		for i := k; i < n; i += 3 {
			fmt.Fprintf(&text, "- {pattern: '"+strings.ReplaceAll(format, "N", fmt.Sprint(i))+"', action: deny, locked: %t}\n", i%9 == 0)
		}
		list, err := Load("many", strings.NewReader("version: 1\nentries:\n"+text.String()))
		if err != nil {
			b.Fatal(err)
		}
		lists = append(lists, list.At(level))
	}
	return Combine(lists...)
}

// shapes are patterns with a number N, the worst for an index last: all match.
func shapes() []struct{ name, format string } {
	return []struct{ name, format string }{
		{"exact", "aN/x"}, {"below", "aN/**"}, {"middle", "aN*/**"}, {"anywhere", "**/aN/**"}, {"suffix", "**/aN"},
		{"within", "docker.io/*aN*/**"}, {"tags", "a7777/x:*N"}, {"matching", "**"},
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, shape := range shapes() {
		b.Run(shape.name, func(b *testing.B) {
			lists := manyEntries(b, 10_000, shape.format)
			ref := parse(b, "a7777/x:1")
			b.ReportAllocs()
			for b.Loop() {
				lists.Match(ref, noon)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	text := "version: 1\nentries:\n" + strings.Repeat("- {pattern: a/b, action: deny}\n", entryLimit)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Load("many", strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
