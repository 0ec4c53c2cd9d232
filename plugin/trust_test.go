package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const someKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

// listFile writes a trust list for the test.
func listFile(t *testing.T, name, entries string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("version: 1\nentries:\n"+entries), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTrustEntry: every flag says what it should.
func TestTrustEntry(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(key, []byte(someKey), 0o600); err != nil {
		t.Fatal(err)
	}
	pin := digest.FromString("pin")
	expires := time.Date(2999, 2, 1, 0, 0, 0, 0, time.UTC)
	for args, want := range map[string]trust.Entry{
		"allow x --tier known --ticket T-1 --approved-by ciso --locked": {Pattern: "x", Action: "allow", Tier: "known", Ticket: "T-1", ApprovedBy: "ciso", Locked: true},
		"allow x --digest " + pin.String():                              {Pattern: "x", Action: "allow", Digests: []digest.Digest{pin}},
		"allow x --signed-by-key " + key:                                {Pattern: "x", Action: "allow", RequireSignature: &trust.Signer{Key: strings.TrimSpace(someKey)}},
		"allow x --signed-by me --issuer https://i":                     {Pattern: "x", Action: "allow", RequireSignature: &trust.Signer{Identity: "me", Issuer: "https://i"}},
		"allow x --skip-inspection --reason r --owner o --expires 2999-01-31": {
			Pattern: "x", Action: "allow", SkipInspection: true, Reason: "r", Owner: "o", Expires: expires,
		},
		"deny x --reason r --locked": {Pattern: "x", Action: "deny", Reason: "r", Locked: true},
	} {
		w := newWorld(t)
		if r := w.run(append([]string{"trust"}, strings.Fields(args)...)...); r.status != 0 {
			t.Errorf("%s: %+v", args, r)
			continue
		}
		if diff := cmp.Diff([]trust.Entry{want}, w.lists.entries); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", args, diff)
		}
	}
	for args, say := range map[string]string{
		"allow x --signed-by-key " + key + ".missing": "no such file",
		"allow x --skip-inspection":                   "needs --reason",
		"deny x --tier known":                         "unknown flag",
		"allow x --expires yesterday":                 "expiry",
	} {
		w := newWorld(t)
		if r := w.run(append([]string{"trust"}, strings.Fields(args)...)...); r.status != 1 || !strings.Contains(r.err, say) || len(w.lists.entries) > 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestTrustLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	soon := time.Now().Add(24 * time.Hour)
	w.lists.entries = []trust.Entry{
		{Pattern: "docker.io/a/**", Action: "allow", Tier: "known", Owner: "anna@x", Level: "user"},
		{Pattern: "docker.io/b/**", Action: "deny", Ticket: "T-1", Level: "organization"},
		{Pattern: "ghcr.io/c/**", Action: "allow", Expires: soon, Level: "user"},
	}
	for args, want := range map[string]string{
		"":                                   "a b c",
		"--filter action=deny":               "b",
		"--filter tier=known":                "a",
		"--filter tier=trusted":              "c",
		"--filter level=user":                "a c",
		"--filter owner=anna":                "a",
		"--filter ticket=T-1":                "b",
		"--filter pattern=docker.io":         "a b",
		"-f pattern=docker.io -f level=user": "a",
		"--expiring 30d":                     "c",
		"--expiring 1h":                      "",
	} {
		r := w.run(append([]string{"trust", "ls"}, strings.Fields(args)...)...)
		var got []string
		for _, name := range []string{"a", "b", "c"} {
			if strings.Contains(r.out, "/"+name+"/**") {
				got = append(got, name)
			}
		}
		if r.status != 0 || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q: %+v", args, got, want, r)
		}
	}
	for _, bad := range []string{"--filter colour=red", "--filter action", "--filter action=", "--expiring never"} {
		if r := w.run(append([]string{"trust", "ls"}, strings.Fields(bad)...)...); r.status != 1 {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if r := w.run("trust", "ls", "--trust-list", "a.yaml", "--trust-list", "b.yaml"); r.status != 0 || !cmp.Equal(w.trustLists, []string{"a.yaml", "b.yaml"}) {
		t.Errorf("%+v, %q", r, w.trustLists)
	}
}

func TestTrustReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lists.entries = []trust.Entry{{Pattern: "docker.io/a/**", Action: "allow", Reason: "r"}}
	same := listFile(t, "same.yaml", "  - {pattern: a/**, action: allow, reason: r}\n")
	other := listFile(t, "other.yaml", "  - {pattern: a/**, action: deny}\n  - {pattern: 'docker.io/**', action: allow}\n")
	broken := listFile(t, "broken.yaml", "  - {pattern: a, action: perhaps}\n")
	for _, tt := range []struct {
		args   string
		status int
		say    string
	}{
		{"lint", 0, "nothing is questionable"},
		{"lint " + other, 1, "other.yaml:4: over-broad: allow docker.io/**: it allows every account of docker.io"},
		{"lint --format json " + other, 1, `"kind": "unowned"`},
		{"lint " + broken, 1, "broken.yaml:3:26: the entry's action"},
		{"lint a b", 1, "takes from no argument to exactly one argument"},
		{"diff " + same, 0, "nothing differs"},
		{"diff " + other, 1, "- allow docker.io/a/**: r\n+ deny docker.io/a/**\n+ allow docker.io/**\n"},
		{"diff " + other + " " + same, 1, "- allow docker.io/**\n"},
		{"diff --format json " + other, 1, `"change": "changed"`},
		{"diff " + broken, 1, "broken.yaml:3"},
		{"diff", 1, "takes from exactly one argument to two arguments"},
		{"export", 0, "pattern: docker.io/a/**"},
		{"export --all --format json", 0, `"pattern": "docker.io/a/**"`},
		{"import --dry-run " + other, 0, "- allow docker.io/a/**: r\n+ deny docker.io/a/**\n+ allow docker.io/**\n"},
		{"import " + broken, 1, "broken.yaml:3"},
		{"import " + other, 0, "+ allow docker.io/**\n"},
		{"history", 0, "me   added  deny docker.io/a/**"},
		{"history a/**", 0, "deny docker.io/a/**"},
		{"history --format json a/**", 0, `"by": "me"`},
		{"history a//b", 1, "invalid pattern"},
		{"bogus", 1, "use allow, deny, diff, enrol, export"},
	} {
		r := w.run(append([]string{"trust"}, strings.Fields(tt.args)...)...)
		if r.status != tt.status || !strings.Contains(r.out+r.err, tt.say) {
			t.Errorf("trust %s: status %d, want %d and %q:\n%s%s", tt.args, r.status, tt.status, tt.say, r.out, r.err)
		}
	}
	file := filepath.Join(t.TempDir(), "out.yaml")
	if r := w.run("trust", "export", "-o", file); r.status != 0 || r.out != "" {
		t.Errorf("%+v", r)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "version: 1\nentries:\n") {
		t.Errorf("%s, %v", text, err)
	}
	if r := w.run("trust", "allow", "quay.io/**"); r.status != 0 || !strings.Contains(r.err, "note: it allows every account of quay.io") {
		t.Errorf("%+v", r)
	}
}
