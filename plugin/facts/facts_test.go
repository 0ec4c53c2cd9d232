package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	observe := func(key string, f publisher.Facts) publisher.Record { return publisher.Record{}.Observe(key, f, at) }
	full := publisher.Known{
		Title:      "Docker Hub",
		Account:    observe("account docker.io/acme", publisher.Facts{Type: "organization", Created: at, Badge: new(publisher.BadgeVerified)}),
		Repository: observe("repository docker.io/acme/app", publisher.Facts{Created: at, Updated: at, Pulls: new(int64(7)), Stars: new(int64(0))}),
		Listing:    observe("repositories docker.io/acme", publisher.Facts{Repositories: new(int64(3))}),
	}
	missing := publisher.Facts{Missing: true}
	for name, tt := range map[string]struct {
		answer publisher.Answer
		err    error
		want   string
	}{
		"full": {publisher.Answer{Known: full}, nil, "Registry: Docker Hub|Account: organization, made on 2026-06-01|Badge: verified publisher|" +
			"Repository: made on 2026-06-01, last pushed on 2026-06-01, 7 pulls, 0 stars|Repositories: 3|First seen: 2026-06-01, last asked 2026-06-01 12:00:00 UTC|Signs: none"},
		"missing": {publisher.Answer{Known: publisher.Known{
			Title: "T", Account: observe("account a/b", missing), Repository: observe("repository a/b/c", missing),
		}}, nil, "Registry: T|Account: the registry does not know it|Repository: not shown to those without a login|First seen: 2026-06-01, last asked 2026-06-01 12:00:00 UTC|Signs: none"},
		"little": {publisher.Answer{Known: publisher.Known{
			Account: observe("account a/b", publisher.Facts{Type: "user", Badge: new("")}),
		}}, nil, "Account: user, made at a time that is not told|Badge: none|First seen: 2026-06-01, last asked 2026-06-01 12:00:00 UTC|Signs: none"},
		"github": {publisher.Answer{Known: publisher.Known{Account: observe("account ghcr.io/a", publisher.Facts{Type: "user", Created: at, Repositories: new(int64(42))})}}, nil,
			"Account: user, made on 2026-06-01|Repositories: 42 public ones of source code|First seen: 2026-06-01, last asked 2026-06-01 12:00:00 UTC|Signs: none"},
		"quay": {publisher.Answer{Known: publisher.Known{Repository: observe("repository quay.io/a/b", publisher.Facts{Pulls: new(int64(1)), Stars: new(int64(1))})}}, nil,
			"Repository: 1 pull, 1 star|First seen: 2026-06-01, last asked 2026-06-01 12:00:00 UTC|Signs: none"},
		"away":   {publisher.Answer{}, errors.New("it \x1b did not answer"), "Unanswered: it · did not answer|Signs: none"},
		"silent": {publisher.Answer{NotAsked: "off"}, nil, "Not asked: off|Signs: none"},
		"sign":   {publisher.Answer{Findings: []trust.Finding{{Strength: trust.Weak, Path: "publisher:tag", Why: `"1" moved`}}}, nil, `Sign: weak: the tag "1" moved`},
	} {
		var b bytes.Buffer
		ref := trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}
		if err := New(1, ref, tt.answer, tt.err).Text(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		for i, l := range lines {
			lines[i] = strings.Join(strings.Fields(l), " ")
		}
		if got := strings.Join(lines[1:], "|"); lines[0] != "docker.io/acme/app:1" || got != tt.want {
			t.Errorf("%s: %q\n%s\nwant\n%s", name, lines[0], got, tt.want)
		}
	}
	b, err := json.Marshal(New(1, trust.Reference{}, publisher.Answer{}, nil))
	if err != nil || !strings.Contains(string(b), `"findings":[]`) || !strings.Contains(string(b), `"vouched":[]`) {
		t.Errorf("%v %s", err, b)
	}
}
