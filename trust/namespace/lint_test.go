package namespace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLint(t *testing.T) {
	t.Parallel()
	lists := Combine(
		load(t, "org", `
  - {pattern: "docker.io/evil/**", action: deny, reason: known, locked: true}
  - {pattern: "docker.io/library/**", action: allow, reason: official}
  - {pattern: "ghcr.io/acme/**", action: allow, reason: ours}
`).At(Organization),
		load(t, "user", `
  - {pattern: "docker.io/evil/x", action: allow, reason: r}
  - {pattern: "docker.io/**", action: allow, reason: r}
  - {pattern: "docker.io/*/*", action: allow, reason: r, owner: o}
  - {pattern: "*.azurecr.io/**", action: allow, reason: r}
  - {pattern: "acme.azurecr.io/**", action: allow, reason: r}
  - {pattern: "1234.dkr.ecr.*.amazonaws.com/**", action: allow, reason: r}
  - {pattern: "*.pkg.dev/**", action: allow, reason: r}
  - {pattern: "*-docker.pkg.dev/acme/**", action: allow, reason: r}
  - {pattern: "ghcr.io/acme/s1", action: allow, reason: r, requireSignature: {identity: "https://github.com/acme*", issuer: "https://a.b"}}
  - {pattern: "ghcr.io/acme/s2", action: allow, reason: r, requireSignature: {identity: "https://github.com/acme/*", issuer: "https://a.b"}}
  - {pattern: "ghcr.io/acme/s3", action: allow, reason: r, requireSignature: {identity: "*@acme.example", issuer: "https://a.b"}}
  - {pattern: "**", action: allow, reason: r}
  - {pattern: "*.com/x/**", action: allow, reason: r}
  - {pattern: "*.acme.example/x/**", action: allow, reason: r}
  - {pattern: "ghcr.io/acme/app", action: allow, reason: r}
  - {pattern: "ghcr.io/acme/old", action: allow, reason: r, expires: 2026-01-01}
  - {pattern: "quay.io/a/b", action: allow}
  - {pattern: "quay.io/c/d", action: allow, reason: r}
  - {pattern: "quay.io/c/d", action: deny}
  - {pattern: "docker.io/library/alpine", action: allow, reason: r}
  - {pattern: "docker.io/library/alp*", action: deny}
`).At(User))
	var got []string
	for _, p := range lists.Lint(noon) {
		got = append(got, fmt.Sprintf("%s %s %s: %s", p.Kind, p.Entry.Action, p.Entry.Pattern, p.Why))
	}
	want := []string{
		"expired allow ghcr.io/acme/old: it ended on 2026-01-01 and does nothing: renew or remove it",
		"locked allow docker.io/evil/x: it never decides: docker.io/evil/** of the organization list is locked (org:4), and this is more lenient",
		"over-broad allow docker.io/**: it allows every account of docker.io, where anybody can publish: name the namespace",
		"over-broad allow docker.io/*/*: it allows every account of docker.io, where anybody can publish: name the namespace",
		"redundant allow docker.io/*/*: docker.io/** says so already (user:5)",
		"over-broad allow *.azurecr.io/**: it allows every registry of azurecr.io, where anybody gets one: name the registry",
		"over-broad allow *.pkg.dev/**: it allows every account of *.pkg.dev, where anybody can publish: name the namespace",
		"over-broad allow ghcr.io/acme/s1: https://github.com/acme* is the identity of every account that is called so or begins so: name the account, and end it with a slash",
		"over-broad allow **: it allows images of any registry: name the registry",
		"over-broad allow *.com/x/**: it allows images of any registry: name the registry",
		"redundant allow *.com/x/**: ** says so already (user:15)",
		"redundant allow ghcr.io/acme/app: ghcr.io/acme/** says so already (org:6)",
		"unowned allow quay.io/a/b: it has neither reason nor owner: say who to ask",
		"shadowed allow quay.io/c/d: it never decides: deny quay.io/c/d always does (user:22)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestShippedListIsClean: what we ship, our own lint has nothing against.
func TestShippedListIsClean(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../configs/trust/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := Load("default.yaml", f)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Combine(list.At(Shipped)).Lint(noon) {
		t.Errorf("%s: %s: %s", p.Kind, p.Entry.Pattern, p.Why)
	}
}

// TestLintTellsTheTruth: what lint calls powerless decides about nothing, and what it calls redundant can go.
func TestLintTellsTheTruth(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"docker.io/a/b:1", "docker.io/a/b:x", "docker.io/a/b@" + sha, "docker.io/c/b:2", "ghcr.io/b:1", "docker.io/a/c", "docker.io/a/b/c", "quay.io/a/a/b:1", "docker.io/library/b"}
	levels := []string{Shipped, Organization, User, CommandLine}
	for range 150 {
		var entries []string
		var lists []*List
		for range 2 + r.IntN(5) {
			e := randomEntry(r)
			e.Level = levels[r.IntN(len(levels))]
			entries = append(entries, e.Level+" "+content(e))
			lists = append(lists, listsOf(t, append(entriesOfRules(nil), e))...)
		}
		all := Combine(lists...)
		for _, p := range all.Lint(noon) {
			if p.Kind == "over-broad" || p.Kind == "unowned" {
				continue
			}
			without := lists[:0:0]
			gone := false // of two that say the same, one goes
			for _, l := range lists {
				if !gone && content(l.rules[0].entry) == content(p.Entry) {
					gone = true
					continue
				}
				without = append(without, l)
			}
			for _, name := range names {
				before, after := all.Match(parse(t, name), noon), Combine(without...).Match(parse(t, name), noon)
				if same := before.Denied() == after.Denied() && before.Allowed() == after.Allowed() && before.Trusted() == after.Trusted() && before.Waived() == after.Waived(); !same {
					t.Fatalf("%s: %s %s, and without it %s is judged otherwise:\n%s", p.Kind, p.Entry.Pattern, p.Why, name, strings.Join(entries, "\n"))
				}
			}
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"**", "docker.io/a/b", true}, {"docker.io/**", "docker.io/a/**", true}, {"docker.io/a/**", "docker.io/**", false},
		{"docker.io/a/*", "docker.io/a/**", false}, {"docker.io/a/?", "docker.io/a/*", false}, {"docker.io/a/*", "docker.io/a/?", true},
		{"docker.io/a/b*", "docker.io/a/bc*", true}, {"docker.io/a/bc*", "docker.io/a/b*", false}, {"**/b", "docker.io/a/b", true},
		{"**/a/**", "docker.io/a/x", true}, {"docker.io/a/b", "docker.io/a/b:1", true}, {"docker.io/a/b:1", "docker.io/a/b", false},
		{"docker.io/a/b:*", "docker.io/a/b:1*", true}, {"docker.io/a/b:1*", "docker.io/a/b:*", false}, {"docker.io/a/b:*", "docker.io/a/b@" + sha, false},
		{"docker.io/a/?*", "docker.io/a/*", true}, {"docker.io/a/x?", "docker.io/a/x*", false},
	} {
		a, errA := parsePattern(tt.a)
		b, errB := parsePattern(tt.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := a.covers(&b); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.a, tt.b, got)
		}
	}
}
