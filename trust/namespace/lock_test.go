package namespace

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	organization := load(t, "organization", `
  - {pattern: "docker.io/**", action: deny, locked: true}
  - {pattern: "docker.io/library/**", action: allow}
  - {pattern: "ghcr.io/acme/**", action: allow, locked: true}
  - {pattern: "ghcr.io/free/**", action: deny}
  - {pattern: "ghcr.io/known/**", action: allow, tier: known, locked: true}
  - {pattern: "ghcr.io/pinned/**", action: allow, locked: true, digests: ["`+sha+`"]}
`).At(Organization)
	user := load(t, "user", `
  - {pattern: "docker.io/evil/**", action: allow}
  - {pattern: "docker.io/library/alpine", action: deny}
  - {pattern: "ghcr.io/acme/app", action: allow, inspect: false, reason: r, owner: o, expires: 2027-01-01}
  - {pattern: "ghcr.io/acme/bad", action: deny}
  - {pattern: "ghcr.io/free/x", action: allow}
  - {pattern: "ghcr.io/known/x", action: allow}
  - {pattern: "ghcr.io/known/y", action: allow, tier: known}
  - {pattern: "ghcr.io/pinned/x", action: allow}
  - {pattern: "ghcr.io/pinned/y", action: allow, digests: ["`+sha+`"]}
`).At(User)
	for image, want := range map[string]struct{ decided, lost string }{
		"evil/x":                  {"deny docker.io/**", "docker.io/evil/**: more lenient than docker.io/**, which the organization list locks"},
		"debian":                  {"allow docker.io/library/**", "docker.io/**: less specific"},
		"alpine":                  {"deny docker.io/library/alpine", "docker.io/library/**: less specific"},
		"ghcr.io/acme/app":        {"allow ghcr.io/acme/**", "ghcr.io/acme/app: more lenient than ghcr.io/acme/**, which the organization list locks"},
		"ghcr.io/acme/bad":        {"deny ghcr.io/acme/bad", "ghcr.io/acme/**: less specific"},
		"ghcr.io/free/x":          {"allow ghcr.io/free/x", "ghcr.io/free/**: less specific"},
		"ghcr.io/known/x":         {"allow ghcr.io/known/**", "ghcr.io/known/x: more lenient than ghcr.io/known/**, which the organization list locks"},
		"ghcr.io/known/y":         {"allow ghcr.io/known/y", "ghcr.io/known/**: less specific"},
		"ghcr.io/pinned/x@" + sha: {"allow ghcr.io/pinned/**", "ghcr.io/pinned/x: more lenient than ghcr.io/pinned/**, which the organization list locks"},
		"ghcr.io/pinned/y@" + sha: {"allow ghcr.io/pinned/y", "ghcr.io/pinned/**: less specific"},
	} {
		for _, lists := range []*Lists{Combine(organization, user), Combine(user, organization)} {
			s := lists.Match(parse(t, image), noon)
			if got := s.Decided.Action + " " + s.Decided.Pattern; got != want.decided {
				t.Errorf("%s: %s, want %s", image, got, want.decided)
			}
			if got := s.Lost[0].Pattern + ": " + s.Lost[0].Because; got != want.lost {
				t.Errorf("%s: %s, want %s", image, got, want.lost)
			}
		}
	}
}

func TestBecause(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  - {pattern: a, action: allow}\n  - {pattern: a, action: deny}\n":                          "as specific, and deny beats allow",
		"  - {pattern: a, action: allow}\n  - {pattern: a, action: allow, tier: known}\n":            "as specific, and the stricter entry wins",
		"  - {pattern: a, action: allow}\n  - {pattern: a, action: allow, digests: [" + sha + "]}\n": "as specific, and the stricter entry wins",
		"  - {pattern: a, action: allow, owner: x}\n  - {pattern: a, action: allow}\n":               "says as much as another entry",
	} {
		s := Combine(load(t, "x", text)).Match(parse(t, "a"), noon)
		if len(s.Lost) != 1 || s.Lost[0].Because != want {
			t.Errorf("%s: %+v", text, s.Lost)
		}
	}
	same := load(t, "x", "  - {pattern: a, action: allow}\n")
	s := Combine(same.At(Shipped), same.At(User)).Match(parse(t, "a"), noon)
	missed := Combine(load(t, "x", `  - {pattern: "ghcr.io/a/**", action: allow, expires: 2026-01-02}
  - {pattern: "ghcr.io/a/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", action: deny}
`)).Match(parse(t, "ghcr.io/a/x"), noon)
	if missed.Decided != nil || len(missed.Lost) != 2 || missed.Lost[0].Because != "it is for one digest alone, and a name without digest tells none" || missed.Lost[1].Because != "it ended on 2026-01-02" {
		t.Errorf("%+v", missed)
	}
	if s.Decided.Level != User || s.Lost[0].Because != "says as much as the entry of the user list" {
		t.Errorf("%+v", s)
	}
}

// TestPins: a digest that the entry does not stand for is not trusted by a broader entry either.
func TestPins(t *testing.T) {
	t.Parallel()
	lists := Combine(load(t, "x", `
  - {pattern: "ghcr.io/a/**", action: allow}
  - {pattern: "ghcr.io/a/b", action: allow, digests: ["`+sha+`"]}
`))
	other := digest.FromString("other")
	for image, holds := range map[string]bool{"ghcr.io/a/b@" + sha: true, "ghcr.io/a/b": false, "ghcr.io/a/b@" + other.String(): false, "ghcr.io/a/c": true} {
		s := lists.Match(parse(t, image), noon)
		if s.Allowed() != holds || s.Trusted() != holds || s.Denied() || (len(s.Unmet) == 0) != holds {
			t.Errorf("%s: %+v", image, s)
		}
	}
	child := parse(t, "ghcr.io/a/b@"+other.String())
	child.Index = digest.Digest(sha)
	if s := lists.Match(child, noon); !s.Allowed() {
		t.Errorf("an image of a pinned index: %+v", s)
	}
	if a, b := lists.Match(child, noon).Key(), lists.Match(parse(t, "ghcr.io/a/b"), noon).Key(); a == b {
		t.Error("the key does not tell whether the condition holds")
	}
}

// randomEntry is one of few patterns and terms, so that many meet.
func randomEntry(r *rand.Rand) trust.Entry {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	e := trust.Entry{
		Pattern: pick("**", "docker.io/**", "docker.io/a/**", "docker.io/*/b", "docker.io/a/b", "docker.io/a/b:1", "docker.io/a/b:*", "docker.io/a/b@"+sha, "**/b", "docker.io/a/?"),
		Action:  pick(allow, deny), Owner: pick("x", "y"), Locked: r.IntN(4) == 0,
	}
	if r.IntN(5) == 0 {
		e.Expires = noon.Add(time.Duration(r.IntN(3)-1) * time.Hour)
	}
	if e.Action == deny {
		return e
	}
	e.Tier = pick("", tierTrusted, trust.TierKnown)
	if e.Tier != trust.TierKnown && r.IntN(3) == 0 {
		e.SkipInspection, e.Reason, e.Expires = true, "r", noon.Add(time.Hour)
	}
	if !strings.Contains(e.Pattern, "@") && r.IntN(4) == 0 {
		e.Digests = []digest.Digest{digest.Digest(pick(sha, string(digest.FromString("o"))))}
	}
	if r.IntN(5) == 0 {
		e.RequireSignature = &trust.Signer{Identity: pick("i", "j"), Issuer: "https://a.b"}
	}
	return e
}

// listsOf spreads entries over lists of the levels. Each entry's level goes with it.
func listsOf(t testing.TB, entries []trust.Entry) []*List {
	t.Helper()
	var lists []*List
	for _, e := range entries {
		r, err := checkEntry(trust.Entry{
			Pattern: e.Pattern, Action: e.Action, Tier: e.Tier, Reason: e.Reason, Owner: e.Owner, Expires: e.Expires,
			SkipInspection: e.SkipInspection, Digests: e.Digests, RequireSignature: e.RequireSignature, Locked: e.Locked,
		})
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, (&List{rules: []rule{r}}).At(e.Level))
	}
	return lists
}

// TestPrecedenceProperties: no order of entries or lists changes what decides, levels above never loosen what is locked,
// and the answer is the one of a plain reading of the rules.
func TestPrecedenceProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	levels := []string{Shipped, Organization, User, CommandLine}
	refs := []trust.Reference{parse(t, "docker.io/a/b:1"), parse(t, "docker.io/a/b@"+sha), parse(t, "docker.io/c/b:2"), parse(t, "ghcr.io/b:1"), parse(t, "docker.io/a/c")}
	rounds := 800
	if testing.Short() {
		rounds = 300
	}
	for round := range rounds {
		var entries, below []trust.Entry
		for range 1 + r.IntN(8) {
			e := randomEntry(r)
			e.Level = levels[r.IntN(len(levels))]
			entries = append(entries, e)
			if height(e.Level) <= height(Organization) {
				below = append(below, e)
			}
		}
		lists, organization := listsOf(t, entries), Combine(listsOf(t, below)...)
		for _, ref := range refs {
			want := Combine(lists...).Match(ref, noon)
			r.Shuffle(len(lists), func(i, k int) { lists[i], lists[k] = lists[k], lists[i] })
			got := Combine(lists...).Match(ref, noon)
			if diff := gocmp.Diff(want, got, cmpopts.IgnoreFields(trust.Entry{}, "Line")); diff != "" {
				t.Fatalf("round %d: another order, another answer about %s:\n%s", round, ref, diff)
			}
			if problem := loosened(organization.Match(ref, noon), got); problem != "" {
				t.Fatalf("round %d, %s: %s\n%+v", round, ref, problem, entries)
			}
			if diff := gocmp.Diff(plainReading(t, entries, ref), got.Key()); diff != "" {
				t.Fatalf("round %d: %s: (-plain +got)\n%s\n%+v", round, ref, diff, entries)
			}
		}
	}
}

// loosened says what of an organization's locked decision the lists above it made more lenient.
func loosened(organization, all trust.Standing) string {
	o := organization.Decided
	switch {
	case o == nil || !o.Locked || all.Denied():
		return ""
	case all.Decided == nil || leniency(*all.Decided) > leniency(*o):
		return fmt.Sprintf("%+v became %+v", *o, all.Decided)
	case len(organization.Unmet) > 0 && len(all.Unmet) == 0:
		return "a condition was lost"
	}
	return ""
}

// plainReading is the documentation of precedence, said once more without an index or a fold.
func plainReading(t *testing.T, entries []trust.Entry, ref trust.Reference) string {
	t.Helper()
	var matched []*rule
	for _, l := range listsOf(t, entries) {
		one := Combine(l)
		if one.Match(ref, noon).Decided != nil {
			matched = append(matched, &one.rules[0])
		}
	}
	var best *rule
	for _, r := range matched {
		allowed := true
		for _, locked := range matched {
			if locked.entry.Locked && locked.height < r.height && looser(r.entry, locked.entry) {
				allowed = false
			}
		}
		if allowed && (best == nil || cmp.Or(precedence(r, best), cmp.Compare(content(r.entry), content(best.entry))) < 0) {
			best = r
		}
	}
	if best == nil {
		return ""
	}
	return trust.Standing{Decided: &best.entry, Unmet: unmet(best.entry, ref)}.Key()
}

func looser(e, locked trust.Entry) bool {
	if e.Action == deny {
		return false
	}
	if leniency(e) > leniency(locked) {
		return true
	}
	if locked.RequireSignature != nil && (e.RequireSignature == nil || *e.RequireSignature != *locked.RequireSignature) {
		return true
	}
	return len(locked.Digests) > 0 && (len(e.Digests) == 0 || e.Digests[0] != locked.Digests[0])
}
