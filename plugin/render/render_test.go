package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/story"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sum(s string) digest.Digest { return digest.FromString(s) }

// blocked is a verdict with everything that can be printed, some of it hostile.
func blocked() trust.Verdict {
	return trust.Verdict{
		ID:        "SP-AB12CD34EF",
		Reference: trust.Reference{Registry: "docker.io", Repository: "azurenql/tool", Tag: "latest", Digest: sum("m")},
		Manifest:  sum("m"), Ruleset: sum("r"), Policy: sum("p"), TrustLists: sum("t"),
		Action:  trust.Block,
		Reasons: []string{"135 points: stratum 90, wallet 45"},
		Evidence: trust.Evidence{
			Platform: "linux/amd64", Manifest: sum("m"),
			Standing: trust.Standing{
				Decided: &trust.Entry{Pattern: "docker.io/azurenql/**", Action: "deny", Reason: "known miner", List: "default.yaml", Line: 7},
				Lost:    []trust.Entry{{Pattern: "docker.io/**", Action: "allow", List: "mine.yaml", Line: 2, Owner: "ops", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}},
			},
			Findings: []trust.Finding{
				{Check: "wallet@1", Strength: trust.Strong, Reach: trust.ReachHidden, HiddenBy: 3, Class: trust.ClassOpaque, Layer: sum("l1"), Path: "etc/c.json", Offset: 12, Excerpt: "44AFFq5k…", Why: "a Monero address whose checksum holds"},
				{Check: "stratum@1", Strength: trust.Proof, Reach: trust.ReachRuns, Layer: sum("l2"), Path: "opt/run\x1b[2J.sh", Offset: 40, Excerpt: "stratum+tcp://pool.example:3333", Why: "the URL of a mining pool"},
			},
			Integrity:  []string{"layer 2 has another diff ID"},
			Answered:   []string{"trust-list", "config"},
			Unanswered: map[string]string{"layer " + sum("l3").String(): "encrypted"},
			NotAsked:   map[string]string{"publisher": "no further evidence could change the action"},
		},
		At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Duration: 1234 * time.Millisecond,
		Until: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
	}
}

// joined is a verdict as the shipped policy reaches it about a renamed miner that a script starts.
func joined(t *testing.T) trust.Verdict {
	t.Helper()
	p, err := policy.Load("default.yaml", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	v := blocked()
	base, program, script := sum("base"), sum("program"), sum("script")
	v.Evidence = trust.Evidence{
		Platform: "linux/amd64", Manifest: sum("m"), Layers: []digest.Digest{base, program, script},
		Steps: []trust.Step{{By: "config:entrypoint", Path: "app/run.sh"}, {By: "app/run.sh", Path: "usr/bin/nginx"}},
		Findings: []trust.Finding{
			{Check: "algorithm@3", Strength: trust.Proof, Kind: trust.KindExecutable, Reach: trust.ReachRuns, Layer: program, Path: "usr/bin/nginx", Offset: 4096, Why: "holds 72 of the 72 constants of RandomX"},
			{Check: "minerbinary@2", Strength: trust.Proof, Kind: trust.KindExecutable, Reach: trust.ReachRuns, Layer: program, Path: "usr/bin/nginx", Offset: 81920, Excerpt: "dev donate started", Why: "holds 21 texts of XMRig"},
			{Check: "commandline@4", Strength: trust.Strong, Kind: trust.KindScript, Reach: trust.ReachRuns, Layer: script, Path: "app/run.sh", Offset: 40, Why: "starts a program with options that only miners have"},
			{Check: "wallet@1", Strength: trust.Strong, Kind: trust.KindConfig, Reach: trust.ReachRuns, Layer: sum("config"), Path: "config:env", Excerpt: "44AFFq5k…", Why: "holds a Monero address beside the word \"wallet\""},
			{Check: "stratum@3", Strength: trust.Weak, Kind: trust.KindText, Reach: trust.ReachHidden, HiddenBy: 3, Layer: base, Path: "opt/old.json", Offset: 7, Why: "names the pool pool.example"},
		},
		Answered: []string{"trust lists", "manifest", "config"}, Unanswered: map[string]string{}, NotAsked: map[string]string{},
	}
	d := p.Explain(v.Evidence)
	v.Action, v.Reasons, v.Decision = d.Action, d.Reasons, &d
	v.Story = story.Tell(v.Evidence)
	return v
}

func withAction(a trust.Action, findings int) trust.Verdict {
	v := blocked()
	v.Action = a
	v.Evidence.Standing = trust.Standing{}
	f := v.Evidence.Findings[1]
	v.Evidence.Findings = nil
	for i := range findings {
		f.Path = fmt.Sprintf("opt/%d", i)
		v.Evidence.Findings = append(v.Evidence.Findings, f)
	}
	return v
}

func TestGolden(t *testing.T) {
	t.Parallel()
	failed := NewUnanswered(trust.Reference{Registry: "docker.io", Repository: "library/x", Tag: "1"}, sum("i"), sum("m"),
		"linux/amd64", errors.New("registry unavailable: EOF"))
	plain, colour := Text{}, Text{Colour: true}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"block.txt":           func(b *bytes.Buffer) error { return plain.Verdict(b, NewDocument(blocked(), "")) },
		"block.colour.txt":    func(b *bytes.Buffer) error { return colour.Verdict(b, NewDocument(blocked(), "")) },
		"block.json":          func(b *bytes.Buffer) error { return JSON(b, NewDocument(blocked(), sum("i"))) },
		"quarantine.txt":      func(b *bytes.Buffer) error { return plain.Verdict(b, NewDocument(withAction(trust.Quarantine, 9), "")) },
		"quarantine.json":     func(b *bytes.Buffer) error { return JSON(b, NewDocument(withAction(trust.Quarantine, 0), "")) },
		"warn.txt":            func(b *bytes.Buffer) error { return plain.Verdict(b, NewDocument(withAction(trust.Warn, 1), "")) },
		"warn.colour.txt":     func(b *bytes.Buffer) error { return colour.Verdict(b, NewDocument(withAction(trust.Warn, 1), "")) },
		"allow.txt":           func(b *bytes.Buffer) error { return plain.Verdict(b, NewDocument(withAction(trust.Allow, 0), "")) },
		"allow.colour.txt":    func(b *bytes.Buffer) error { return colour.Verdict(b, NewDocument(withAction(trust.Allow, 0), "")) },
		"unanswered.txt":      func(b *bytes.Buffer) error { return plain.Verdict(b, failed) },
		"unanswered.json":     func(b *bytes.Buffer) error { return JSON(b, failed) },
		"problem.json":        func(b *bytes.Buffer) error { return JSON(b, Problem{Schema, "no such image", 1}) },
		"story.txt":           func(b *bytes.Buffer) error { return plain.Verdict(b, NewDocument(joined(t), "")) },
		"story.json":          func(b *bytes.Buffer) error { return JSON(b, NewDocument(joined(t), "")) },
		"explain.story.txt":   func(b *bytes.Buffer) error { return plain.Explain(b, joined(t)) },
		"explain.txt":         func(b *bytes.Buffer) error { return plain.Explain(b, blocked()) },
		"explain.minimal.txt": func(b *bytes.Buffer) error { return plain.Explain(b, trust.Verdict{Action: trust.Allow}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := print(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
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

// TestRefusalFits tries every mixture of reasons and findings around the limit.
func TestRefusalFits(t *testing.T) {
	t.Parallel()
	for reasons := range evidenceLines + 3 {
		for findings := range evidenceLines + 3 {
			v := withAction(trust.Block, findings)
			v.Reasons = nil
			for i := range reasons {
				v.Reasons = append(v.Reasons, fmt.Sprintf("reason-%d", i))
			}
			var b bytes.Buffer
			if err := (Text{}).Verdict(&b, NewDocument(v, "")); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			if n := strings.Count(out, "\n"); n > RefusalLines {
				t.Errorf("%d reasons, %d findings: %d lines\n%s", reasons, findings, n, out)
			}
			shown := strings.Count(out, "- reason-") + strings.Count(out, "stratum@1, proof")
			var more int
			if i := strings.Index(out, "- and "); i >= 0 {
				if _, err := fmt.Sscanf(out[i:], "- and %d more", &more); err != nil {
					t.Error(err)
				}
			}
			if (more > 0) != (reasons+findings > evidenceLines) {
				t.Errorf("%d reasons, %d findings fit or do not\n%s", reasons, findings, out)
			}
			if shown+more != reasons+findings {
				t.Errorf("%d reasons, %d findings: %d shown and %d more\n%s", reasons, findings, shown, more, out)
			}
			if findings > 0 && !strings.Contains(out, "layer ") {
				t.Errorf("%d reasons, %d findings: none of the findings is shown\n%s", reasons, findings, out)
			}
		}
	}
}

// TestToldOnce: a finding that a reason names in full is not said again.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	v := withAction(trust.Block, 2)
	f := v.Evidence.Findings[0]
	v.Reasons = []string{f.Why + " (" + f.Path + " in layer " + f.Layer.String()[:19] + ")"}
	v.Evidence.Platform = "/"
	var b bytes.Buffer
	if err := (Text{}).Verdict(&b, NewDocument(v, "")); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Count(got, "opt/0") != 1 || strings.Count(got, "opt/1") != 1 || strings.Contains(got, "(/)") {
		t.Error(got)
	}
}

// TestNameToldOnce: what was found in the name, which no path and layer tell, is not said again, and is no sign of mining.
func TestNameToldOnce(t *testing.T) {
	t.Parallel()
	v := withAction(trust.Quarantine, 0)
	v.Evidence.Findings = []trust.Finding{
		{Check: "look-alike@1", Strength: trust.Weak, Path: "name:namespace", Why: "\"azurenqx\" resembles \"azure\""},
		{Check: "publisher@1", Strength: trust.Weak, Path: "publisher:account", Why: "the account is three days old"},
	}
	v.Reasons = []string{v.Evidence.Findings[0].Why + " (the namespace of its name): name 10.5, weak"}
	v.Story = []string{"Of its publisher, the account is three days old."}
	var b bytes.Buffer
	if err := (Text{}).Verdict(&b, NewDocument(v, "")); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "look-alike@1") || strings.Contains(got, "publisher@1") || strings.Contains(got, "signs of") {
		t.Error(got)
	}
}

// TestWhom: who answers for the entry that denies is asked first, and a proxy's entry is not looked for on this machine.
func TestWhom(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*trust.Verdict){
		"Ask whoever keeps that trust list, naming SP-": func(*trust.Verdict) {},
		"Ask ops, naming SP-":                           func(v *trust.Verdict) { v.Evidence.Standing.Decided.Owner = "ops" },
		"Ask ops or #security, naming SP-": func(v *trust.Verdict) {
			v.Evidence.Standing.Decided.Owner, v.Decision = "ops", &trust.Decision{Contact: "#security"}
		},
		"Ask #security, naming SP-": func(v *trust.Verdict) {
			v.Evidence.Standing, v.Decision = trust.Standing{}, &trust.Decision{Contact: "#security"}
		},
	} {
		v := blocked()
		change(&v)
		var short, long bytes.Buffer
		if err := errors.Join((Text{Proxy: "https://proxy"}).Verdict(&short, NewDocument(v, "")), (Text{}).Explain(&long, v)); err != nil {
			t.Fatal(err)
		}
		if got := short.String(); !strings.Contains(got, want) || strings.Contains(got, "trust test") {
			t.Errorf("want %q:\n%s", want, got)
		}
		if asked := "Whom to ask: " + strings.TrimPrefix(want, "Ask "); !strings.Contains(long.String(), asked) {
			t.Errorf("want %q:\n%s", asked, &long)
		}
	}
}

// TestWhomElse: where nobody is named, whoever runs what decided is.
func TestWhomElse(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]Text{
		"Ask whoever runs your policy, or report it, naming":   {},
		"Ask whoever runs the proxy https://p.example, naming": {Proxy: "https://p.example", Organization: "Acme"},
		"Ask whoever runs containers at Acme·[2J, naming":      {Organization: "Acme\x1b[2J"},
	} {
		var b bytes.Buffer
		if err := text.Verdict(&b, NewDocument(withAction(trust.Block, 1), "")); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("want %q, %v:\n%s", want, err, &b)
		}
	}
}

// TestWeightsOfFindings: the weights of an explanation name findings by their place in it, the weightiest first.
func TestWeightsOfFindings(t *testing.T) {
	t.Parallel()
	v := blocked() // a strong finding, then a proof
	v.Decision = &trust.Decision{Weights: []trust.Weight{{Finding: 0, Group: "identity", Points: 45}, {Finding: 1, Group: "protocol", Points: 90}, {Finding: 2}}}
	e := NewExplanation(v)
	got := map[string]string{}
	for _, w := range e.Decision.Weights {
		got[w.Group] = e.Findings[w.Finding].Check
	}
	if diff := cmp.Diff(map[string]string{"identity": "wallet@1", "protocol": "stratum@1"}, got); diff != "" {
		t.Error(diff)
	}
	if v.Decision.Weights[0].Finding != 0 {
		t.Error("the verdict itself was changed")
	}
}

// TestBecause: the line above the reasons says what kind they are.
func TestBecause(t *testing.T) {
	t.Parallel()
	weak := withAction(trust.Quarantine, 1)
	weak.Evidence.Findings[0].Strength = trust.Weak
	told := withAction(trust.Quarantine, 1)
	f := &told.Evidence.Findings[0]
	f.Strength = trust.Weak
	told.Reasons = []string{f.Why + " (" + f.Path + " in layer " + f.Layer.String()[:19] + ")"}
	known := withAction(trust.Block, 0)
	known.Evidence.Unanswered = nil
	for want, v := range map[string]trust.Verdict{
		"A trust list denies it":                  blocked(),
		"It shows signs of cryptocurrency mining": withAction(trust.Quarantine, 1),
		"Parts of it could not be inspected":      weak,
		"Reasons":                                 known,
	} {
		if got := because(NewDocument(v, "")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := because(NewDocument(told, "")); got != "It shows signs of cryptocurrency mining" {
		t.Errorf("a weak finding that is a reason: %q", got)
	}
}

// TestShortDigests: in a refusal digests are as short as docker shows them, in JSON whole.
func TestShortDigests(t *testing.T) {
	t.Parallel()
	ref := trust.Reference{Registry: "r.test", Repository: "x", Tag: "1"}
	layer := sum("l").String()
	d := NewUnanswered(ref, sum("i"), sum("m"), "", fmt.Errorf("judge %s: layer 2 %s: gone", ref.WithDigest(sum("m")), layer))
	if d.Reasons[0] != "layer 2 "+layer+": gone" {
		t.Errorf("%q", d.Reasons)
	}
	var b bytes.Buffer
	if err := (Text{}).Verdict(&b, d); err != nil || !strings.Contains(b.String(), "- layer 2 "+layer[:19]+": gone\n") {
		t.Errorf("%v\n%s", err, &b)
	}
}

// TestHostileText fills every string of a verdict with what would take over a terminal.
func TestHostileText(t *testing.T) {
	t.Parallel()
	evil := "\x1b]0;owned\a\r\n\u202eevil\x00\xff" + strings.Repeat("A", 1<<20)
	v := trust.Verdict{
		ID: evil, Reference: trust.Reference{Registry: evil, Repository: evil, Tag: evil},
		Manifest: digest.Digest(evil), Ruleset: digest.Digest(evil), Policy: digest.Digest(evil), TrustLists: digest.Digest(evil),
		Action: trust.Action(evil), Reasons: []string{evil},
		Evidence: trust.Evidence{
			Platform: evil, Integrity: []string{evil}, Answered: []string{evil},
			Unanswered: map[string]string{evil: evil}, NotAsked: map[string]string{evil: evil},
			Findings: []trust.Finding{{Check: evil, Layer: digest.Digest(evil), Path: evil, Excerpt: evil, Why: evil}},
			Standing: trust.Standing{
				Decided: &trust.Entry{Pattern: evil, Action: evil, Reason: evil, Owner: evil, List: evil},
				Lost:    []trust.Entry{{Pattern: evil}},
			},
		},
	}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"verdict": func(b *bytes.Buffer) error { return Text{}.Verdict(b, NewDocument(v, "")) },
		"explain": func(b *bytes.Buffer) error { return Text{}.Explain(b, v) },
		"json":    func(b *bytes.Buffer) error { return JSON(b, NewDocument(v, "")) },
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b.Len() > 64<<10 {
			t.Errorf("%s: %d bytes", name, b.Len())
		}
		if _, after, ok := bytes.Cut(b.Bytes(), []byte("AAAA")); ok && bytes.Count(after, []byte("A")) > 32<<10 {
			t.Errorf("%s: prints it whole", name)
		}
		for _, bad := range []string{"\x1b", "\a", "\r", "\u202e", "\x00", "\xff"} {
			if bytes.Contains(b.Bytes(), []byte(bad)) {
				t.Errorf("%s: prints %q", name, bad)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	v := blocked()
	v.Evidence.Findings = make([]trust.Finding, findingMax+1)
	v.Reasons = make([]string, reasonMax+1)
	v.Evidence.Unanswered = map[string]string{}
	for i := range reasonMax + 1 {
		v.Evidence.Unanswered[fmt.Sprint(i)] = "x"
	}
	d := NewDocument(v, "")
	if len(d.Findings) != findingMax || len(d.Reasons) != reasonMax || len(d.Unanswered) != reasonMax {
		t.Errorf("%d findings, %d reasons, %d unanswered", len(d.Findings), len(d.Reasons), len(d.Unanswered))
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for a, want := range map[trust.Action]int{trust.Allow: 0, trust.Warn: 0, trust.Block: 2, trust.Quarantine: 3, "": 4, "ALLOW": 4} {
		if got := ExitStatus(a); got != want {
			t.Errorf("%q: %d, want %d", a, got, want)
		}
	}
}

// TestDocumentKeys pins the names of schema 1: they are API.
func TestDocumentKeys(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(NewDocument(trust.Verdict{Evidence: trust.Evidence{Findings: []trust.Finding{{}}}}, ""))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":1,"id":"","reference":"","digest":"","manifestDigest":"","platform":"","action":"","exitStatus":4,` +
		`"reasons":[],"story":[],"findings":[{"check":"","strength":"context","class":"","reach":"","hiddenBy":0,"layer":"","path":"","offset":0,"excerpt":"","why":""}],` +
		`"unanswered":{},"notAsked":{},"vouched":[],"ruleset":"","policy":"","durationMs":0,"called":"","contact":""}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Error(diff)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"verdict": Text{}.Verdict(fullDisk{}, NewDocument(blocked(), "")),
		"explain": Text{}.Explain(fullDisk{}, blocked()),
		"json":    JSON(fullDisk{}, Problem{}),
	} {
		if err == nil {
			t.Errorf("%s: a full disk goes unnoticed", name)
		}
	}
}
