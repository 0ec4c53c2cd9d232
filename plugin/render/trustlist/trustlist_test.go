package trustlist

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/namespace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// decided is a standing with an entry that decided and one that lost.
func decided() trust.Standing {
	return trust.Standing{
		Decided: &trust.Entry{Pattern: "docker.io/azurenql/**", Action: "deny", Reason: "known miner", List: "default.yaml", Line: 7},
		Lost:    []trust.Entry{{Pattern: "docker.io/**", Action: "allow", List: "mine.yaml", Line: 2, Owner: "ops", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	plain := render.Text{}
	ref := trust.Reference{Registry: "docker.io", Repository: "azurenql/tool", Tag: "latest", Digest: digest.FromString("m")}.String()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	allow, deny := &trust.Entry{Pattern: "a", Action: "allow", Reason: "r", List: "x"}, &trust.Entry{Pattern: "a", Action: "deny"}
	lost := decided()
	lost.Lost[0].Because, lost.Lost[0].Level = "less specific", "user"
	for name, print := range map[string]func(*bytes.Buffer) error{
		"entries": func(b *bytes.Buffer) error {
			return NewEntries(decided().Lost[0], *decided().Decided, trust.Entry{Pattern: "x", Action: "allow", SkipInspection: true}).Text(b, plain)
		},
		"standing": func(b *bytes.Buffer) error { return Standing{Reference: ref, Standing: lost}.Text(b, plain) },
		"standing.unmet": func(b *bytes.Buffer) error {
			return Standing{Reference: ref, Standing: trust.Standing{
				Decided: &trust.Entry{Pattern: "docker.io/azurenql/**", Action: "allow", Digests: []digest.Digest{"sha256:1"}, Locked: true, Ticket: "T-1", ApprovedBy: "ciso", Level: "organization"},
				Unmet:   []string{"the entry stands for 1 digests"},
			}}.Text(b, plain)
		},
		"standing.signed": func(b *bytes.Buffer) error {
			return Standing{Reference: ref, Standing: trust.Standing{Decided: &trust.Entry{
				Pattern: "docker.io/azurenql/**", Action: "allow",
				RequireSignature: &trust.Signer{Identity: "https://github.com/acme/*", Issuer: "https://issuer.example", Repository: "ghcr.io/acme/*"},
			}}}.Text(b, plain)
		},
		"standing.key": func(b *bytes.Buffer) error {
			return Standing{Reference: ref, Standing: trust.Standing{Decided: &trust.Entry{Pattern: "a", Action: "allow", RequireSignature: &trust.Signer{Key: "k"}}}}.Text(b, plain)
		},
		"standing.none": func(b *bytes.Buffer) error { return Standing{Reference: ref}.Text(b, plain) },
		"standing.like": func(b *bytes.Buffer) error {
			return Standing{Reference: ref, Resembles: []lookalike.Resemblance{
				{Part: "namespace", Strength: trust.Strong, Why: `"rnicrosoft" resembles "microsoft" of Microsoft: it looks the same`},
			}}.Text(b, plain)
		},
		"standing.waived": func(b *bytes.Buffer) error {
			return Standing{
				Reference: ref, Standing: trust.Standing{Decided: &trust.Entry{Action: "allow", Pattern: "docker.io/grafnaa/**"}},
				Resembles: []lookalike.Resemblance{{Part: "namespace", Strength: trust.Weak, Why: "\"grafnaa\"\x1b[2J resembles \"grafana\""}},
			}.Text(b, plain)
		},
		"problems": func(b *bytes.Buffer) error {
			return NewProblems([]namespace.Problem{{Kind: "expired", Entry: trust.Entry{Pattern: "a", Action: "allow", List: "l", Line: 3}, Why: "it ended"}}).Text(b, plain)
		},
		"changes": func(b *bytes.Buffer) error {
			return NewChanges([]namespace.Change{{Before: allow, After: deny}, {After: allow}, {Before: deny}}).Text(b, plain)
		},
		"edits": func(b *bytes.Buffer) error {
			return NewEdits([]namespace.Edit{
				{At: at, By: "anna@host\x1b[2J", Change: namespace.Change{After: &trust.Entry{Pattern: "a", Action: "allow", Reason: "r"}}},
				{At: at, By: "bo", Change: namespace.Change{Before: &trust.Entry{Pattern: "a", Action: "allow", Reason: "r"}}},
			}).Text(b, plain)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := print(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		})
	}
}

// TestHostileText fills every string of an entry with what would take over a terminal.
func TestHostileText(t *testing.T) {
	t.Parallel()
	evil := "\x1b]0;owned\a\r\n\u202eevil\x00\xff" + strings.Repeat("A", 1<<20)
	entry := trust.Entry{Pattern: evil, Action: evil, Reason: evil, Owner: evil, List: evil}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"entries": func(b *bytes.Buffer) error { return NewEntries(entry).Text(b, render.Text{}) },
		"standing": func(b *bytes.Buffer) error {
			return Standing{Reference: evil, Standing: trust.Standing{Decided: &entry, Lost: []trust.Entry{entry}}}.Text(b, render.Text{})
		},
		"edits": func(b *bytes.Buffer) error {
			return NewEdits([]namespace.Edit{{By: evil, Change: namespace.Change{After: &entry}}}).Text(b, render.Text{})
		},
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b.Len() > 32<<10 {
			t.Errorf("%s: %d bytes", name, b.Len())
		}
		for _, bad := range []string{"\x1b", "\a", "\r", "\u202e", "\x00", "\xff"} {
			if bytes.Contains(b.Bytes(), []byte(bad)) {
				t.Errorf("%s: prints %q", name, bad)
			}
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	if err := NewEntries().Text(fullDisk{}, render.Text{}); err == nil {
		t.Error("a full disk goes unnoticed")
	}
}
