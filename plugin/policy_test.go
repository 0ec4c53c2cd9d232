package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
)

func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "cases.yaml")
	if err := os.WriteFile(file, []byte("version: 1\ncases:\n  - {name: good, verdict: allow}\n  - {name: bad, verdict: block}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := trust.Verdict{ID: "SP-OLD0000000", Reference: trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}, Manifest: "sha256:aa", Action: trust.Allow, Decision: &trust.Decision{}, At: time.Now().Add(-time.Hour)}
	old.Evidence.Reference = old.Reference
	older, stays := old, old
	older.ID, older.At = "SP-0LDER00000", old.At.Add(-time.Hour)
	stays.ID, stays.Reference.Tag, stays.Action = "SP-STAYS00000", "2", trust.Warn
	freed := old
	freed.ID, freed.Reference.Tag, freed.Action = "SP-FREED00000", "3", trust.Quarantine
	w.memory = fakeMemory{old, older, stays, freed}
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   []string
	}{
		"lint":         {[]string{"policy", "lint", "strict"}, 0, []string{"strict: right, ", "note: \"contact\" is empty"}},
		"lint-broken":  {[]string{"policy", "lint", "broken"}, 1, []string{"broken.yaml:1:1: it is wrong"}},
		"test":         {[]string{"policy", "test", file}, 1, []string{"ok    good: allow", "cases.yaml:4: bad: allow, want block", "2 cases, 1 not as wanted"}},
		"test-json":    {[]string{"policy", "test", "--format", "json", file}, 1, []string{`"failed": 1`}},
		"test-nothing": {[]string{"policy", "test", file + "x"}, 1, []string{"no such file"}},
		"replay": {[]string{"policy", "replay", "--policy", "strict"}, 0, []string{
			"Newly refused (0 blocked, 2 quarantined):\n  - docker.io/acme/app:1 (SP-OLD0000000): allow → quarantine: nobody here knows docker.io/acme",
			"  - docker.io/acme/app:2 (SP-STAYS00000): warn → quarantine", "2 newly refused, 0 freed, 0 otherwise, 1 as before",
		}},
		"replay-default": {[]string{"policy", "replay", "--since", "2h30m"}, 0, []string{"Freed:\n  - docker.io/acme/app:3 (SP-FREED00000): quarantine → warn", "0 newly refused, 1 freed, 1 otherwise, 1 as before"}},
		"replay-refuses": {[]string{"policy", "replay", "--policy", "strict", "--exit-code"}, 2, []string{"docker safepull: 2 newly refused"}},
		"replay-frees":   {[]string{"policy", "replay", "--exit-code", "--format", "json"}, 3, []string{`"exitStatus": 3`, `"unlisted": 0`}},
		"replay-short":   {[]string{"policy", "replay", "--policy", "strict", "--limit", "1"}, 0, []string{"(SP-OLD0000000)", "  - and 1 more\n", "2 newly refused"}},
		"replay-limit":   {[]string{"policy", "replay", "--limit", "-1"}, 1, []string{"--limit -1: use a number"}},
		"replay-none":    {[]string{"policy", "replay", "--since", "1m"}, 0, []string{"Decided again: 0 images"}},
		"replay-json":    {[]string{"policy", "replay", "--format", "json"}, 0, []string{`"change": "freed"`}},
		"replay-when":    {[]string{"policy", "replay", "--since", "yesterday"}, 1, []string{`--since "yesterday": use "30d"`}},
		"unknown":        {[]string{"policy", "paly"}, 1, []string{"use show, lint, test or replay"}},
	} {
		r := w.run(tt.args...)
		if r.status != tt.status {
			t.Errorf("%s: status %d, want %d: %s%s", name, r.status, tt.status, r.out, r.err)
		}
		for _, says := range tt.says {
			if !strings.Contains(r.out+r.err, says) {
				t.Errorf("%s: %q is not in\n%s%s", name, says, r.out, r.err)
			}
		}
	}
}

// TestReplay_uncertain: what cannot be decided again is said, counted, and a status of its own.
func TestReplay_uncertain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stays := trust.Verdict{
		ID: "SP-STAYS00000", Reference: trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}, Manifest: "sha256:aa", Action: trust.Warn,
		At: time.Now(), Decision: &trust.Decision{}, Ruleset: "sha256:new",
	}
	old, denied, damaged := stays, stays, trust.Verdict{ID: "SP-DAMAGED000", At: time.Now()}
	old.ID, old.Reference.Tag, old.Decision, old.Ruleset = "SP-OLD0000000", "2", nil, "sha256:old"
	denied.ID, denied.Reference.Tag, denied.Action = "SP-DENIED0000", "3", trust.Block
	denied.Evidence.Standing.Decided = &trust.Entry{Pattern: "docker.io/acme/app", Action: "deny"}
	for _, v := range []*trust.Verdict{&stays, &old, &denied} {
		v.Evidence.Reference = v.Reference
	}
	w.memory = fakeMemory{stays, old, denied, damaged}
	r := w.run("policy", "replay", "--exit-code")
	if r.status != 4 {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	for _, says := range []string{
		"Not to be decided by what is remembered: a new inspection tells:\n", "(SP-OLD0000000): warn → at least warn: ", "it was judged by an older safepull", "(SP-DENIED0000): block → at least warn: ",
		"it was denied and never inspected", "Unreadable:\n  - SP-DAMAGED000: it contradicts itself", "note: 1 of them were inspected by other rules",
		"\n0 newly refused, 0 freed, 0 otherwise, 1 as before, 2 not to be decided, 1 unreadable\n",
	} {
		if !strings.Contains(r.out, says) {
			t.Errorf("%q is not in\n%s", says, r.out)
		}
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"30d": now.AddDate(0, 0, -30), "12h": now.Add(-12 * time.Hour), "2027-01-01": time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		"2027-01-01T10:00:00Z": time.Date(2027, 1, 1, 10, 0, 0, 0, time.UTC), "": {}, "-1h": {}, "99999999d": {}, "d": {},
	} {
		got, err := parseSince(s, now)
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("%q: %s, %v, want %s", s, got, err, want)
		}
	}
}
