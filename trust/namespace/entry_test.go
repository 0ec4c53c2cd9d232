package namespace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// publicKey is one that nobody has the private half of.
const publicKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`

// full is an entry with every key.
func full() trust.Entry {
	return trust.Entry{
		Pattern: "ghcr.io/acme/**", Action: "allow", Tier: "trusted", Reason: "built by our CI", Owner: "platform@acme.example", Ticket: "SEC-12",
		ApprovedBy: "ciso@acme.example", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), SkipInspection: true,
		Digests: []digest.Digest{digest.Digest(sha), digest.FromString("other")}, RequireSignature: &trust.Signer{Key: publicKey}, Locked: true,
	}
}

// TestEntryWithEverything: what is written to a file is what is read from it.
func TestEntryWithEverything(t *testing.T) {
	t.Parallel()
	identity := full()
	identity.Pattern, identity.RequireSignature = "ghcr.io/acme/app:1.*", &trust.Signer{Identity: "https://github.com/acme/*", Issuer: "https://token.actions.githubusercontent.com"}
	path := filepath.Join(t.TempDir(), "l.yaml")
	want := []trust.Entry{full(), identity}
	for _, e := range want {
		if err := Add(path, e); err != nil {
			t.Fatal(err)
		}
	}
	got := entriesOf(t, read(t, path))
	for i := range got {
		got[i].List, got[i].Line = "", 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	bare := trust.Entry{Pattern: "ghcr.io/acme/**", Action: "deny"}
	if err := Add(path, bare); err != nil {
		t.Fatal(err)
	}
	got = entriesOf(t, read(t, path))
	got[0].List, got[0].Line = "", 0
	if diff := cmp.Diff(bare, got[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEntryRefuses(t *testing.T) {
	t.Parallel()
	pinned := `, digests: ["` + sha + `"]`
	key := "requireSignature: {key: " + strings.ReplaceAll(`"`+publicKey+`"`, "\n", `\n`) + "}"
	for text, says := range map[string]string{
		"action: allow, tier: gold":                                         `"tier" is "gold": write trusted`,
		"action: deny, tier: known":                                         `"tier" goes with action allow only`,
		"action: allow, locked: yes":                                        `"locked" is "yes": write true or false`,
		"action: deny" + pinned:                                             `"digests" goes with action allow only`,
		"action: allow, digests: []":                                        `"digests" must be a list`,
		"action: allow, digests: " + sha:                                    `"digests" must be a list`,
		"action: allow, digests: [sha256:12]":                               `"sha256:12" is no digest`,
		"action: allow, digests: [" + sha + ", " + sha + "]":                "the digest stands twice",
		"action: allow, digests: [latest]":                                  `"latest" is no digest`,
		"action: allow, digests: [" + strings.Repeat("a,", pinLimit) + "a]": "65 digests: 64 are the most",
		"action: allow, digests: [[a]]":                                     "is no digest",
		"action: deny, " + key:                                              `"requireSignature" goes with action allow only`,
		"action: allow, requireSignature: cosign":                           "requireSignature must be keys with values",
		"action: allow, requireSignature: {}":                               "must have a key, or an identity and its issuer",
		"action: allow, requireSignature: {key: abc}":                       "no public key in PEM",
		"action: allow, requireSignature: {key: [a]}":                       `"key" must have a plain value`,
		"action: allow, requireSignature: {identity: a, issuer: 'https://a.b', repository: alpine}":                    "write it in full",
		"action: allow, requireSignature: {identity: a, issuer: 'https://a.b', repository: 'ghcr.io/acme/app:1'}":      "without a tag",
		"action: allow, requireSignature: {identity: a, issuer: 'https://a.b', repository: '*'}":                       "signatures of every repository",
		"action: allow, requireSignature: {repository: ghcr.io/acme/app}":                                              "must have a key, or an identity",
		"action: allow, requireSignature: {identity: a}":                                                               "must have a key, or an identity and its issuer",
		"action: allow, requireSignature: {identity: '*', issuer: 'https://a.b'}":                                      "takes every identity",
		"action: allow, requireSignature: {identity: 'a', issuer: 'http://a.b'}":                                       "write its https URL",
		"action: allow, requireSignature: {identity: 'a', issuer: 'https://u:p@a.b'}":                                  "write its https URL",
		"action: allow, requireSignature: {key: a, identity: b}":                                                       "both a key and an identity",
		"action: allow, requireSignature: {key: " + strings.Repeat("a", keyLimit+1) + "}":                              "more than 4096 bytes",
		"action: allow, requireSignature: {identity: " + strings.Repeat("a", textLimit+1) + ", issuer: 'https://a.b'}": "longer than 1024",
		"action: allow, ticket: " + strings.Repeat("a", textLimit+1):                                                   "longer than 1024",
		"action: allow, approvedBy: \"\\e\"":                                                                           "unprintable",
		"action: allow, tier: known, inspect: false, reason: r, owner: o, expires: 2027-01-01":                         "contradicts \"tier: known\"",
	} {
		if _, err := Load("x", strings.NewReader("version: 1\nentries:\n  - {pattern: a, "+text+"}\n")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: %v, want %s", text, err, says)
		}
	}
	twice := "version: 1\nentries:\n  - {pattern: 'a@" + sha + "', action: allow" + pinned + "}\n"
	if _, err := Load("x", strings.NewReader(twice)); err == nil || !strings.Contains(err.Error(), "names a digest already") {
		t.Error(err)
	}
}

// TestSchema: the published schema is the types', and knows every key that Load does.
func TestSchema(t *testing.T) {
	t.Parallel()
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	const published = "../../configs/trust/schema.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(published, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(published)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the types say (%v): run UPDATE=1 go test -run Schema ./trust/namespace", published, err)
	}
	var doc struct {
		Properties struct {
			Entries struct {
				Items struct {
					Properties map[string]struct {
						Description string
						Enum        []string
					}
					Required []string
				}
			}
		}
	}
	if err := json.Unmarshal(want, &doc); err != nil {
		t.Fatal(err)
	}
	items := doc.Properties.Entries.Items
	for _, f := range fields(full()) {
		if items.Properties[f.key].Description == "" {
			t.Errorf("the schema does not describe %q", f.key)
		}
	}
	if diff := cmp.Diff([]string{"action", "pattern"}, items.Required); diff != "" || len(items.Properties["action"].Enum) != 2 {
		t.Error(diff, items.Properties["action"])
	}
}
