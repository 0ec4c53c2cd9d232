package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const (
	base = digest.Digest("sha256:aa")
	app  = digest.Digest("sha256:bb")
	run  = digest.Digest("sha256:cc")
)

func file(path string, layer digest.Digest, reach trust.Reach, s trust.Strength, why string) trust.Finding {
	return trust.Finding{Check: "a@1", Path: path, Layer: layer, Reach: reach, Strength: s, Why: why}
}

func TestTell(t *testing.T) {
	t.Parallel()
	miner := file("usr/bin/nginx", app, trust.ReachRuns, trust.Proof, "holds the constants of RandomX")
	texts := file("usr/bin/nginx", app, trust.ReachRuns, trust.Strong, "holds texts of XMRig")
	wallet := trust.Finding{Check: "wallet@1", Kind: trust.KindConfig, Path: "config:env", Reach: trust.ReachRuns, Strength: trust.Strong, Why: "holds a Monero address"}
	hidden := file("opt/old", base, trust.ReachHidden, trust.Weak, "names a pool")
	hidden.HiddenBy = 3
	start := trust.Step{By: "config:entrypoint", Path: "app/run.sh", Layer: run}
	next := trust.Step{By: "app/run.sh", Path: "usr/bin/nginx"}
	for name, tt := range map[string]struct {
		evidence trust.Evidence
		want     []string
	}{
		"nothing":       {},
		"context-alone": {evidence: trust.Evidence{Findings: []trust.Finding{file("a", base, "", trust.Context, "x")}}},
		"joined": {
			evidence: trust.Evidence{
				Findings: []trust.Finding{wallet, hidden, file("srv/list", base, trust.ReachPresent, trust.Weak, "names a pool"), texts, miner},
				Steps:    []trust.Step{start, next, {By: "usr/bin/nginx", Path: "lib/other"}},
			},
			want: []string{
				"/app/run.sh (layer 3) is started by the image's entrypoint.",
				"/app/run.sh starts /usr/bin/nginx (layer 2), which holds the constants of RandomX, and holds texts of XMRig.",
				"The image's own config:env holds a Monero address.",
				"/srv/list (layer 1) is in the image, though nothing known runs it; it names a pool.",
				"/opt/old (layer 1) is hidden by layer 3 and arrives all the same; it names a pool.",
			},
		},
		"commands-are-the-script's": {
			evidence: trust.Evidence{Findings: []trust.Finding{{
				Check: "commandline@1", Kind: trust.KindConfig, Path: "closure:app/run.sh", Layer: run, Reach: trust.ReachRuns, Strength: trust.Proof, Why: "starts a miner",
			}}, Steps: []trust.Step{start}},
			want: []string{"/app/run.sh (layer 3) is started by the image's entrypoint; it starts a miner."},
		},
		"whatever-starts-it": {
			evidence: trust.Evidence{
				Findings: []trust.Finding{miner, file("etc/x", base, trust.ReachRuns, trust.Weak, "preloads a library")},
				Steps:    []trust.Step{{By: "config:env", Path: "usr/bin/nginx"}, {By: "config:start", Path: "etc/x"}},
			},
			want: []string{
				"/usr/bin/nginx (layer 2) is started by the image's environment; it holds the constants of RandomX.",
				"/etc/x (layer 1) starts with the image; it preloads a library.",
			},
		},
		"each-step-once": {
			evidence: trust.Evidence{
				Findings: []trust.Finding{miner, file("app/run.sh", run, trust.ReachRuns, trust.Weak, "sets the number of huge pages")},
				Steps:    []trust.Step{start, next},
			},
			want: []string{
				"/app/run.sh (layer 3) is started by the image's entrypoint; it sets the number of huge pages.",
				"/app/run.sh starts /usr/bin/nginx (layer 2), which holds the constants of RandomX.",
			},
		},
		"way-unknown": {
			evidence: trust.Evidence{Findings: []trust.Finding{miner}},
			want:     []string{"/usr/bin/nginx (layer 2) runs when the image starts; it holds the constants of RandomX."},
		},
		"round-about": {
			evidence: trust.Evidence{Findings: []trust.Finding{miner}, Steps: []trust.Step{{By: "usr/bin/nginx", Path: "a"}, {By: "a", Path: "usr/bin/nginx"}, {By: "x", Path: "x"}}},
			want: []string{
				"/usr/bin/nginx starts /a.", "/a starts /usr/bin/nginx (layer 2), which holds the constants of RandomX.",
			},
		},
		"nested": {
			evidence: trust.Evidence{Findings: []trust.Finding{file("opt/a.tgz"+trust.Nested+"bin/x", app, trust.ReachPresent, trust.Proof, "holds texts of XMRig")}},
			want:     []string{"/opt/a.tgz (layer 2) is in the image, though nothing known runs it; it holds texts of XMRig (in bin/x)."},
		},
		"same-file-in-two-layers": {
			evidence: trust.Evidence{Findings: []trust.Finding{miner, file("usr/bin/nginx", base, trust.ReachHidden, trust.Proof, "holds more")}},
			want: []string{
				"/usr/bin/nginx (layer 2) runs when the image starts; it holds the constants of RandomX.",
				"/usr/bin/nginx (layer 1) is hidden by a later layer and arrives all the same; it holds more.",
			},
		},
		"node-counts-though-it-weighs-nothing": {
			evidence: trust.Evidence{Findings: []trust.Finding{{Path: "usr/bin/monerod", Layer: base, Class: trust.ClassNode, Reach: trust.ReachRuns, Why: "holds RandomX and verifies blocks"}}},
			want:     []string{"/usr/bin/monerod (layer 1) runs when the image starts; it holds RandomX and verifies blocks."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.evidence.Layers = []digest.Digest{base, app, run}
			if diff := cmp.Diff(tt.want, Tell(tt.evidence)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTell_limits(t *testing.T) {
	t.Parallel()
	var e trust.Evidence
	evil := strings.Repeat("\x1b[2Jé", 5000)
	for i := range 40 {
		for j := range 9 {
			e.Findings = append(e.Findings, file(fmt.Sprint(i, evil), base, trust.ReachRuns, trust.Weak, fmt.Sprint(j, evil)))
		}
	}
	for i := range maxSteps + 1 {
		e.Steps = append(e.Steps, trust.Step{By: fmt.Sprint(i), Path: fmt.Sprint(i + 1)})
	}
	e.Findings = append(e.Findings, file(fmt.Sprint(maxSteps-1), base, trust.ReachRuns, trust.Weak, "is at the end"))
	lines := Tell(e)
	if len(lines) != MaxLines || !strings.Contains(lines[MaxLines-1], "left out") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range lines {
		if len(l) > 1024 || strings.Contains(l, "\x1b") {
			t.Errorf("%d bytes: %q", len(l), l)
		}
	}
}

func FuzzTell(f *testing.F) {
	f.Add("a", "config:entrypoint", "why", "b", 2)
	f.Fuzz(func(t *testing.T, path, by, why, next string, n int) {
		var e trust.Evidence
		for range min(max(n, 0), 30) {
			e.Findings = append(e.Findings, file(path, base, trust.ReachRuns, trust.Weak, why), file(next, app, trust.Reach(by), trust.Weak, why))
		}
		e.Steps = []trust.Step{{By: by, Path: path}, {By: path, Path: next}, {By: next, Path: path}}
		if lines := Tell(e); len(lines) > MaxLines {
			t.Errorf("%d lines", len(lines))
		}
	})
}

// TestLongSigns: a long sentence ends at a whole word, and says that it goes on.
func TestLongSigns(t *testing.T) {
	t.Parallel()
	long := `"latest" is a wholly different image than sha256:0123456789ab, which it was on 2026-01-01: it started "` + strings.Repeat("word ", 60) + `"`
	lines := Tell(trust.Evidence{Findings: []trust.Finding{{Check: "publisher@2", Strength: trust.Weak, Reach: trust.ReachPresent, Path: "publisher:tag", Why: long}}})
	if len(lines) != 1 || !strings.HasSuffix(lines[0], " word ….") || !strings.Contains(lines[0], "which it was on 2026-01-01") || len(lines[0]) > 220 {
		t.Errorf("%q", lines)
	}
}
