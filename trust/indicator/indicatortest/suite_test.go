package indicatortest

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// victim finds "needle" and reports it as strong, and may have one fault.
type victim struct{ fault string }

func (v victim) Name() string {
	if v.fault == "name" {
		return "Victim"
	}
	return "indicatortest"
}

func (v victim) Version() int {
	if v.fault == "version" {
		return 0
	}
	return 1
}

func (v victim) Literals() []indicator.Literal {
	needle := indicator.Literal{Text: "needle", Sampled: v.fault == "sampled"}
	switch v.fault {
	case "short":
		return []indicator.Literal{needle, {Text: "short"}}
	case "short-sampled":
		return []indicator.Literal{needle, {Text: "abc", Sampled: true}}
	case "long":
		return []indicator.Literal{needle, {Text: strings.Repeat("x", 257)}}
	case "twice":
		return []indicator.Literal{needle, needle}
	}
	return []indicator.Literal{needle}
}

func (v victim) Idle(indicator.File) bool { return v.fault == "idle" }

func (v victim) Watch(f indicator.File) indicator.Watch { return &victimWatch{fault: v.fault, file: f} }

type victimWatch struct {
	fault string
	file  indicator.File
	found []trust.Finding
	kept  []byte
	calls int
}

func (w *victimWatch) Bytes(chunk []byte) {
	if w.calls++; w.calls == 1 {
		w.kept = chunk
	}
}

func (w *victimWatch) Hit(h indicator.Hit) {
	f := trust.Finding{Strength: trust.Strong, Offset: h.Offset, Excerpt: "needle", Why: "holds a needle"}
	first := len(w.found) == 0
	switch w.fault {
	case "misses":
		return
	case "many":
	case "slack":
		f.Excerpt = strings.Repeat("x", len(h.Window)%7+1)
	case "begins":
		first = h.Offset == 0 && first
	case "check":
		f.Check = "x"
	case "path":
		f.Path = "x"
	case "strength":
		f.Strength = trust.Proof + 1
	case "if-run":
		f.IfRun = trust.Weak
	case "offset":
		f.Offset = w.file.Size
	case "negative":
		f.Offset = -1
	case "control":
		f.Excerpt = "a\tb"
	case "encoding":
		f.Excerpt = "a\xff"
	case "long-excerpt":
		f.Excerpt = strings.Repeat("x", trust.ExcerptLimit+1)
	case "no-why":
		f.Why = ""
	case "full-stop":
		f.Why += "."
	case "long-why":
		f.Why = strings.Repeat("why ", 80)
	case "if-run-more":
		f.IfRun = trust.Proof
	case "weak":
		f.Strength = trust.Weak
	}
	if first || w.fault == "many" {
		w.found = append(w.found, f)
	}
}

func (w *victimWatch) Close() []trust.Finding {
	switch {
	case w.fault == "empty":
		return []trust.Finding{{Why: "is empty"}}
	case w.fault == "twin":
		return []trust.Finding{{Strength: trust.Weak, Why: "is a file"}}[:min(1, int(w.file.Size))]
	case w.fault == "calls" && len(w.found) > 0:
		w.found[0].Excerpt = strings.Repeat("x", min(w.calls, 50))
	case w.fault == "keeps" && len(w.found) > 0 && bytes.Count(w.kept, []byte("!")) == len(w.kept):
		return nil // what was kept is no longer what it was
	}
	return w.found
}

// faulty names the fault for the test that is run by another one.
const faulty = "INDICATORTEST_FAULT"

// TestVictim is the suite over an indicator with the fault that the environment names; without one it must pass.
func TestVictim(t *testing.T) {
	t.Parallel()
	samples := []Sample{
		{Name: "one", Path: "a.sh", Kind: trust.KindScript, Content: "hay needle hay\n", Want: trust.Strong},
		{Name: "first", Path: "a", Kind: trust.KindData, Content: "needle", Want: trust.Strong},
	}
	twins := []Twin{{Name: "pin", Path: "a.sh", Kind: trust.KindScript, Content: "hay pin hay\n"}}
	fault := os.Getenv(faulty)
	switch fault {
	case "no-samples":
		samples = nil
	case "no-twins":
		twins = nil
	case "shapes-weak":
		Shapes(t, victim{fault: "weak"}, samples, nil)
		return
	case "shapes-twin":
		Shapes(t, victim{fault: "twin"}, nil, twins)
		return
	}
	Run(t, victim{fault: fault}, samples, twins)
	if fault == "" {
		Shapes(t, victim{}, samples, twins)
		Shapes(t, victim{fault: "if-run-more"}, []Sample{{Name: "if-run", Path: "a", Content: "needle", Want: trust.Strong, IfRun: trust.Proof}}, nil)
		Shapes(t, victim{}, nil, []Twin{{Name: "allowed", Path: "a", Content: "needle", Allowed: trust.Strong}})
	}
}

// Every fault that the suite is there for must fail it, and be named.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]string{
		"": "", "name": "want one word", "version": "versions begin with 1", "short": `literal "short"`, "short-sampled": `literal "abc"`,
		"long": "want 6 to 256 bytes", "twice": "stands twice", "idle": "every byte of it is asked for", "empty": "an empty file",
		"sampled": "depend on how the file was cut", "misses": "nothing found", "many": "findings of one file, want at most 16",
		"slack": "depend on how the file was cut", "begins": "padding changes the answer",
		"check": "the engine's to fill in", "path": "the engine's to fill in", "strength": "no such strength", "if-run": "IfRun must add",
		"offset": "is not in the file", "negative": "is not in the file", "control": "not printable", "encoding": "not printable",
		"long-excerpt": "too long", "no-why": "want one short sentence", "full-stop": "without a full stop", "long-why": "want one short sentence",
		"if-run-more": "found strong (if run proof), want strong (if run strong)", "weak": "found weak", "twin": "at most context is right",
		"calls": "depend on how the file was cut", "keeps": "nothing found", "no-samples": "needs samples", "no-twins": "needs samples",
		"shapes-weak": "found weak", "shapes-twin": "at most context is right",
	}
	for fault, want := range faults {
		t.Run("fault-"+fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestVictim$")
			cmd.Env = append(slices.Clone(os.Environ()), faulty+"="+fault)
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != (want != "") || !bytes.Contains(out, []byte(want)) {
				t.Errorf("failed: %v, want %q:\n%s", failed, want, out)
			}
		})
	}
}
