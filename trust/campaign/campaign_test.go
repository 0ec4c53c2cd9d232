package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// edges is a memory.
type edges struct {
	kept []campaign.Edge
	fail error
}

func (m *edges) KeepEdges(_ context.Context, more []campaign.Edge) error {
	m.kept = append(m.kept, more...)
	return m.fail
}

func (m *edges) Shared(_ context.Context, wanted []campaign.Edge) ([]campaign.Edge, error) {
	var out []campaign.Edge
	for _, e := range m.kept {
		for _, w := range wanted {
			if w.Kind == e.Kind && w.Value == e.Value {
				out = append(out, e)
			}
		}
	}
	return out, m.fail
}

func image(repository string, findings ...trust.Finding) trust.Verdict {
	v := trust.Verdict{
		ID: "SP-0123456789", Reference: trust.Reference{Registry: "docker.io", Repository: repository, Tag: "1"}, Manifest: digest.FromString(repository),
		At: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
	}
	v.Evidence = trust.Evidence{Reference: v.Reference, Manifest: v.Manifest, Findings: findings}
	return v
}

func wallet(address string, s trust.Strength) trust.Finding {
	return trust.Finding{Check: "wallet@3", Strength: s, Path: "config:env", Kind: trust.KindConfig, Excerpt: address}
}

// many are wallets that nobody blocked.
func many(prefix string, n int) []trust.Finding {
	var out []trust.Finding
	for i := range n {
		out = append(out, wallet(fmt.Sprint(prefix, i), trust.Weak))
	}
	return out
}

func pool(check, text string) trust.Finding {
	return trust.Finding{Check: check + "@1", Strength: trust.Strong, Path: "opt/run", Excerpt: text}
}

func file(id string, s trust.Strength) campaign.File {
	return campaign.File{ID: id, Exact: true, Finding: trust.Finding{Path: "opt/run", Strength: s, Reach: trust.ReachRuns}}
}

// program is a file that is known by its beginning alone, with what it shows by itself.
func program(own trust.Strength) campaign.File {
	f := file("program:1:2", max(own, trust.Context))
	f.Exact, f.Own = false, own
	return f
}

// TestFind: what a blocked image has is found in another one, and its benign twins stay quiet.
func TestFind(t *testing.T) {
	t.Parallel()
	type judged struct {
		v      trust.Verdict
		action trust.Action
		files  []campaign.File
	}
	bad := judged{image("evil/app", wallet("4Abc", trust.Strong), pool("stratum", "stratum+tcp://own.pool.example:3333")), trust.Block, []campaign.File{file("sha256:aa", trust.Strong), file("sha256:sh", trust.Context)}}
	badProgram := judged{image("evil/app"), trust.Block, []campaign.File{program(trust.Strong)}}
	known := func(v trust.Verdict) trust.Verdict {
		v.Evidence.Vouched = []string{"a verified publisher"}
		return v
	}
	for name, tt := range map[string]struct {
		before []judged
		now    trust.Verdict
		files  []campaign.File
		want   []string
	}{
		"nothing-blocked":    {nil, image("new/app", wallet("4Abc", trust.Weak)), nil, nil},
		"same-wallet":        {[]judged{bad}, image("new/app", wallet("4Abc", trust.Weak)), nil, []string{"strong shares the wallet with docker.io/evil/app, blocked on 2026-11-20 (SP-0123456789)"}},
		"other-wallet":       {[]judged{bad}, image("new/app", wallet("4Xyz", trust.Weak)), nil, nil},
		"a-donation-address": {[]judged{bad}, image("new/app", wallet("4Abc", trust.Context)), nil, nil},
		"donations-to-it":    {[]judged{{image("evil/app", wallet("4Abc", trust.Context)), trust.Block, nil}}, image("new/app", wallet("4Abc", trust.Weak)), nil, nil},
		"same-file":          {[]judged{bad}, image("new/app"), []campaign.File{file("sha256:aa", trust.Context)}, []string{"strong shares the file with docker.io/evil/app"}},
		"same-shell":         {[]judged{bad}, image("new/app"), []campaign.File{file("sha256:sh", trust.Context)}, nil},
		"same-pool":          {[]judged{bad}, image("new/app", pool("stratum", "stratum+ssl://OWN.pool.example:1")), nil, []string{"weak shares the mining pool with"}},
		"a-public-pool": {
			[]judged{{image("evil/app", pool("stratum", "stratum+tcp://big.pool.example:1"), pool("pool", "pool.example")), trust.Block, nil}},
			image("new/app", pool("stratum", "stratum+tcp://big.pool.example:1")), nil, nil,
		},
		"named-after-a-public-pool": {
			[]judged{{image("evil/app", pool("stratum", "stratum+tcp://big.pool.example.evil.test:1"), pool("pool", "pool.example")), trust.Block, nil}},
			image("new/app", pool("stratum", "stratum+tcp://big.pool.example.evil.test:1")), nil, []string{"weak shares the mining pool with"},
		},
		"same-publisher":         {[]judged{bad}, image("evil/other"), nil, []string{"weak shares the publisher with"}},
		"same-image":             {[]judged{bad}, image("evil/app", wallet("4Abc", trust.Strong)), nil, nil},
		"a-publisher-vouched":    {[]judged{bad}, known(image("evil/other")), nil, nil},
		"not-blocked":            {[]judged{{bad.v, trust.Quarantine, bad.files}}, image("new/app", wallet("4Abc", trust.Weak)), nil, nil},
		"served-too":             {[]judged{bad, {image("other/app", wallet("4Abc", trust.Weak)), trust.Warn, nil}}, image("new/app", wallet("4Abc", trust.Weak)), nil, []string{"weak shares the wallet"}},
		"served-and-known-too":   {[]judged{bad, {known(image("good/app", wallet("4Abc", trust.Weak))), trust.Allow, nil}}, image("new/app", wallet("4Abc", trust.Weak)), nil, nil},
		"same-program":           {[]judged{badProgram}, image("new/app"), []campaign.File{program(trust.Strong)}, []string{"strong shares the file with"}},
		"begins-like-it":         {[]judged{badProgram}, image("new/app"), []campaign.File{program(trust.Weak)}, []string{"weak shares the beginning of a program with"}},
		"a-clean-copied-by-it":   {[]judged{{image("evil/app"), trust.Block, []campaign.File{program(trust.Weak)}}}, image("new/app"), []campaign.File{program(trust.Weak)}, nil},
		"vouched-itself":         {[]judged{bad}, known(image("good/app", wallet("4Abc", trust.Strong))), nil, []string{"weak shares the wallet"}},
		"cleared-by-itself":      {[]judged{bad, {image("evil/harmless", wallet("4Abc", trust.Weak)), trust.Allow, nil}}, image("new/app", wallet("4Abc", trust.Weak)), nil, []string{"strong shares the wallet"}},
		"behind-many-other-ones": {[]judged{bad}, image("new/app", append(many("4Decoy", 500), wallet("4Abc", trust.Strong))...), nil, []string{"strong shares the wallet"}},
		"two-blocked":            {[]judged{bad, {image("evil2/app", wallet("4Abc", trust.Weak)), trust.Block, nil}}, image("new/app", wallet("4Abc", trust.Weak)), nil, []string{"and 1 more"}},
	} {
		m := &edges{}
		for _, b := range tt.before {
			if err := campaign.Keep(t.Context(), m, b.v, b.action, b.files); err != nil {
				t.Fatal(err)
			}
		}
		got, err := campaign.Find(t.Context(), m, tt.now.Evidence, tt.files)
		if err != nil || len(got) != len(tt.want) {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, tt.want)
			continue
		}
		for i, f := range got {
			if says := f.Strength.String() + " " + f.Why; !strings.Contains(says, tt.want[i]) || f.Check != "campaign@1" || f.Path == "" {
				t.Errorf("%s: %q (%+v), want %q", name, says, f, tt.want[i])
			}
		}
	}
}

func TestKeep_limits(t *testing.T) {
	t.Parallel()
	many := many("4", 500)
	var files []campaign.File
	for i := range 100 {
		files = append(files, file(fmt.Sprint("sha256:", i), trust.Strong))
	}
	m := &edges{}
	if err := campaign.Keep(t.Context(), m, image("evil/app", append(many, wallet(strings.Repeat("4", 600), trust.Strong))...), trust.Block, files); err != nil || len(m.kept) != 24+32+1 {
		t.Errorf("%d edges, %v", len(m.kept), err)
	}
	denied, passing := image("evil/app", wallet("4Abc", trust.Strong)), image("evil/app", wallet("4Abc", trust.Strong))
	denied.Evidence.Standing.Decided, passing.Passing = &trust.Entry{Action: "deny"}, true
	m = &edges{}
	for _, v := range []trust.Verdict{denied, passing} {
		if err := campaign.Keep(t.Context(), m, v, trust.Block, nil); err != nil || len(m.kept) != 0 {
			t.Errorf("%v, %v", m.kept, err)
		}
	}
	m.fail = errors.New("disk full")
	if err := campaign.Keep(t.Context(), m, image("evil/app", many...), trust.Block, nil); !errors.Is(err, m.fail) {
		t.Errorf("%v", err)
	}
	if _, err := campaign.Find(t.Context(), m, image("evil/app", many...).Evidence, nil); !errors.Is(err, m.fail) {
		t.Errorf("%v", err)
	}
}
