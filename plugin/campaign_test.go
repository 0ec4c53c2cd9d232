package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// fakeCampaigns are edges, the newest first.
type fakeCampaigns []campaign.Edge

func (f fakeCampaigns) Campaigns(context.Context) ([]campaign.Edge, error) {
	return slices.DeleteFunc(slices.Clone(f), func(e campaign.Edge) bool { return e.Action != trust.Block }), nil
}

func (f fakeCampaigns) Shared(_ context.Context, wanted []campaign.Edge) ([]campaign.Edge, error) {
	return slices.DeleteFunc(slices.Clone(f), func(e campaign.Edge) bool {
		return !slices.ContainsFunc(wanted, func(w campaign.Edge) bool { return w.Kind == e.Kind && w.Value == e.Value })
	}), nil
}

func TestCampaignCommands(t *testing.T) {
	t.Parallel()
	edge := func(kind, value, publisher string, days int, action trust.Action) campaign.Edge {
		name := publisher + "/app"
		return campaign.Edge{Kind: kind, Value: value, Name: name, Publisher: publisher, Manifest: "sha256:0123456789abcdef", Verdict: fmt.Sprintf("SP-%010d", days), Action: action, At: time.Now().AddDate(0, 0, -days)}
	}
	known := edge("payload", "program:1:2", "docker.io/library", 1, trust.Allow)
	known.Vouched = true
	w := newWorld(t)
	w.campaigns = fakeCampaigns{
		known, edge("wallet", "4Abcdef", "docker.io/two", 2, trust.Block), edge("payload", "program:1:2", "docker.io/two", 2, trust.Block), edge("payload", "program:1:3", "docker.io/two", 2, trust.Block),
		edge("wallet", "4Abcdef", "docker.io/one\x1b[2J", 50, trust.Block), edge("pool", "4Abc.example", "docker.io/one", 50, trust.Block), edge("wallet", "4Abc", "docker.io/old", 400, trust.Block),
	}
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   []string
		not    string
	}{
		"ls":         {[]string{"ls"}, 0, []string{"SHARED", "wallet   4Abcdef       2        2", "pool     4Abc.example"}, "\x1b"},
		"kind":       {[]string{"ls", "--kind", "pool"}, 0, []string{"4Abc.example"}, "wallet"},
		"odd-kind":   {[]string{"ls", "--kind", "purse"}, 1, []string{`--kind "purse": use wallet, payload, pool, publisher`}, ""},
		"image":      {[]string{"ls", "--image", "io/two"}, 0, []string{"program:1:2", "4Abcdef"}, "4Abc.example"},
		"since":      {[]string{"ls", "--since", "30d"}, 0, []string{"4Abcdef      1        1 "}, "4Abc.example"},
		"odd-since":  {[]string{"ls", "--since", "long"}, 1, []string{`--since "long"`}, ""},
		"limit":      {[]string{"ls", "--limit", "1"}, 0, []string{"4Abcdef", "and 4 more (--limit 0 lists all)"}, "4Abc.example"},
		"odd-limit":  {[]string{"ls", "--limit", "-2"}, 1, []string{"--limit -2"}, ""},
		"nothing":    {[]string{"ls", "--image", "nobody"}, 0, []string{"No blocked image has anything that fits."}, ""},
		"json":       {[]string{"ls", "--format", "json", "--limit", "1"}, 0, []string{`"publishers": 2`, `"unlisted": 4`}, ""},
		"show":       {[]string{"show", "program:1:2"}, 0, []string{"payload program:1:2", "allowed: docker.io/library/app@0123456789ab", "known)", "blocked: docker.io/two/app"}, ""},
		"whole":      {[]string{"show", "4Abc"}, 0, []string{"wallet 4Abc\n", "docker.io/old/app"}, "docker.io/two"},
		"beginning":  {[]string{"show", "4Abcd"}, 0, []string{"wallet 4Abcdef\n"}, ""},
		"ambiguous":  {[]string{"show", "program"}, 1, []string{`"program" begins 2 values, such as the payload "program:1:2" and the payload "program:1:3"`}, ""},
		"one-kind":   {[]string{"show", "--kind", "pool", "4A"}, 0, []string{"pool 4Abc.example"}, ""},
		"unknown":    {[]string{"show", "5"}, 1, []string{`no blocked image has "5"`}, ""},
		"no-command": {[]string{"list"}, 1, []string{"use ls or show"}, ""},
	} {
		r := w.run(append([]string{"campaign"}, tt.args...)...)
		if r.status != tt.status {
			t.Errorf("%s: status %d, want %d: %s%s", name, r.status, tt.status, r.out, r.err)
		}
		for _, says := range tt.says {
			if !strings.Contains(r.out+r.err, says) {
				t.Errorf("%s: %q is not in\n%s%s", name, says, r.out, r.err)
			}
		}
		if tt.not != "" && strings.Contains(r.out, tt.not) {
			t.Errorf("%s: %q is in\n%s", name, tt.not, r.out)
		}
	}
}
