package indicatortest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// Sample is content that the indicator must find.
type Sample struct {
	Name    string
	Path    string
	Kind    trust.Kind
	Content string
	// Want is the strongest finding that it makes where it stands.
	Want trust.Strength
	// IfRun is what that weighs if the file is run, when that differs.
	IfRun trust.Strength
	// Whole says that only the file as it is can be told: padding would make another of it.
	Whole bool
}

// Twin is ordinary content that resembles a sample.
type Twin struct {
	Name    string
	Path    string
	Kind    trust.Kind
	Content string
	// Allowed is the strongest finding that it may make; the zero value allows what weighs nothing.
	Allowed trust.Strength
	// Whole is Sample.Whole.
	Whole bool
}

// maxFindings is the most that an indicator may report of one file.
const maxFindings = 16

// drives are ways to cut a file, all of which must give the same findings.
var drives = []Drive{{}, {Chunk: 1}, {Chunk: 3, Slack: 500}, {Chunk: 64, HitsLast: true}, {Chunk: 1000, Phase: 1}, {Chunk: 4096, Phase: 2, Slack: 9000}, {Chunk: 8191, HitsLast: true}}

// fewDrives are those of Shapes.
var fewDrives = []Drive{{}, {Chunk: 61, Slack: 7, Phase: 1}}

// padding before and after a sample, so that it lies across chunks. Lines, because much of what is looked for is lines.
var paddings = []string{"", strings.Repeat("# padding\n", 420)}

// Run is the acceptance suite.
func Run(t *testing.T, ind indicator.Indicator, samples []Sample, twins []Twin) {
	t.Helper()
	t.Run("contract", func(t *testing.T) { contract(t, ind) })
	if len(samples) == 0 || len(twins) == 0 {
		t.Error("an indicator needs samples and benign twins")
	}
	for _, s := range samples {
		t.Run("sample/"+s.Name, func(t *testing.T) {
			t.Parallel()
			file := indicator.File{Path: s.Path, Kind: s.Kind}
			s.judge(t, inspectAll(t, ind, file, []byte(s.Content), s.Whole))
		})
		t.Run("flood/"+s.Name, func(t *testing.T) {
			t.Parallel()
			file := indicator.File{Path: s.Path, Kind: s.Kind}
			content := []byte(strings.Repeat(s.Content+"\n\x00\n", 40))
			check(t, Inspect(ind, file, content, Drive{}), len(content))
		})
	}
	for _, w := range twins {
		t.Run("twin/"+w.Name, func(t *testing.T) {
			t.Parallel()
			w.judge(t, inspectAll(t, ind, indicator.File{Path: w.Path, Kind: w.Kind}, []byte(w.Content), w.Whole))
		})
	}
}

// Shapes holds further shapes of what Run was given against the indicator. It cuts a file in two ways only, so that a
// table of shapes may be long.
func Shapes(t *testing.T, ind indicator.Indicator, samples []Sample, twins []Twin) {
	t.Helper()
	for _, s := range samples {
		t.Run("shape/"+s.Name, func(t *testing.T) {
			t.Parallel()
			s.judge(t, inspectCut(t, ind, indicator.File{Path: s.Path, Kind: s.Kind}, []byte(s.Content), fewDrives))
		})
	}
	for _, w := range twins {
		t.Run("like/"+w.Name, func(t *testing.T) {
			t.Parallel()
			w.judge(t, inspectCut(t, ind, indicator.File{Path: w.Path, Kind: w.Kind}, []byte(w.Content), fewDrives))
		})
	}
}

func (s Sample) judge(t *testing.T, got []trust.Finding) {
	t.Helper()
	if len(got) == 0 {
		t.Fatal("nothing found")
	}
	if now, ifRun := strongest(got); now != s.Want || ifRun != max(s.Want, s.IfRun) {
		t.Errorf("found %s (if run %s), want %s (if run %s): %s", now, ifRun, s.Want, max(s.Want, s.IfRun), list(got))
	}
}

func (w Twin) judge(t *testing.T, got []trust.Finding) {
	t.Helper()
	if now, _ := strongest(got); now > w.Allowed {
		t.Errorf("found %s, at most %s is right: %s", now, w.Allowed, list(got))
	}
}

func contract(t *testing.T, ind indicator.Indicator) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if ind.Name() != filepath.Base(dir) || !regexp.MustCompile(`^[a-z]+$`).MatchString(ind.Name()) {
		t.Errorf("name %q: want one word, the folder's (%s)", ind.Name(), filepath.Base(dir))
	}
	if ind.Version() < 1 {
		t.Errorf("version %d: versions begin with 1", ind.Version())
	}
	seen := map[indicator.Literal]bool{}
	for _, l := range ind.Literals() {
		if len(l.Text) < 6 && !l.Sampled || len(l.Text) < 4 || len(l.Text) > 256 {
			t.Errorf("literal %q: want 6 to 256 bytes, or 4 if it is sampled", l.Text)
		}
		if seen[l] {
			t.Errorf("literal %q stands twice", l.Text)
		}
		seen[l] = true
	}
	if diff := cmp.Diff(ind.Literals(), ind.Literals()); diff != "" {
		t.Error("literals change")
	}
	for _, kind := range []trust.Kind{trust.KindConfig, trust.KindExecutable, trust.KindScript, trust.KindText, trust.KindData, ""} {
		if idler, ok := ind.(indicator.Idler); ok && idler.Idle(indicator.File{Path: "empty", Kind: kind}) {
			if _, wants := ind.Watch(indicator.File{Path: "empty", Kind: kind}).(indicator.ByteWatch); wants {
				t.Errorf("a file (%s) is idle and yet every byte of it is asked for", kind)
			}
		}
		if got := Inspect(ind, indicator.File{Path: "empty", Kind: kind}, nil, Drive{}); len(got) != 0 {
			t.Errorf("an empty file (%s) has findings: %s", kind, list(got))
		}
	}
}

// inspectAll inspects content however it is cut, padded on both sides unless it is whole, and returns the findings
// without padding.
func inspectAll(t *testing.T, ind indicator.Indicator, file indicator.File, content []byte, whole bool) []trust.Finding {
	t.Helper()
	var plain []trust.Finding
	for p, pad := range paddings {
		if p > 0 && whole {
			break
		}
		padded := []byte(pad + string(content) + "\n" + pad)
		if pad == "" {
			padded = content
		}
		ways := drives
		if p > 0 {
			// Byte by byte, a long file costs more than all other ways together, and shows what three bytes show.
			ways = slices.DeleteFunc(slices.Clone(drives), func(d Drive) bool { return d.Chunk == 1 })
		}
		first := inspectCut(t, ind, file, padded, ways)
		now, ifRun := strongest(first)
		if p == 0 {
			plain = first
		} else if n, r := strongest(plain); n != now || r != ifRun {
			t.Errorf("padding changes the answer from %s to %s", list(plain), list(first))
		}
	}
	return plain
}

// inspectCut inspects content in every way of some, which must not matter.
func inspectCut(t *testing.T, ind indicator.Indicator, file indicator.File, content []byte, ways []Drive) (first []trust.Finding) {
	t.Helper()
	for i, d := range ways {
		got := Inspect(ind, file, content, d)
		check(t, got, len(content))
		if i == 0 {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Fatalf("%d bytes: findings depend on how the file was cut (%+v):\n%s", len(content), d, diff)
		}
	}
	return first
}

// check holds one set of findings against the contract.
func check(t *testing.T, findings []trust.Finding, size int) {
	t.Helper()
	if len(findings) > maxFindings {
		t.Errorf("%d findings of one file, want at most %d", len(findings), maxFindings)
	}
	for _, f := range findings {
		switch {
		case f.Check != "" || f.Kind != "" || f.Layer != "" || f.Path != "":
			t.Errorf("%+v: check, kind, layer and path are the engine's to fill in", f)
		case f.Strength < trust.Context || f.Strength > trust.Proof || f.IfRun < trust.Context || f.IfRun > trust.Proof:
			t.Errorf("%+v: no such strength", f)
		case f.IfRun != trust.Context && f.IfRun <= f.Strength:
			t.Errorf("%+v: IfRun must add to Strength or be zero", f)
		case f.Offset < 0 || f.Offset >= int64(size):
			t.Errorf("offset %d is not in the file of %d bytes", f.Offset, size)
		case len(f.Excerpt) > trust.ExcerptLimit || !utf8.ValidString(f.Excerpt) || strings.ContainsFunc(f.Excerpt, unicode.IsControl):
			t.Errorf("excerpt %q is too long or not printable", f.Excerpt)
		case f.Why == "" || strings.HasSuffix(f.Why, ".") || len(f.Why) > 300:
			t.Errorf("why %q: want one short sentence without a full stop", f.Why)
		}
	}
}

func strongest(findings []trust.Finding) (now, ifRun trust.Strength) {
	for _, f := range findings {
		now, ifRun = max(now, f.Strength), max(ifRun, f.IfRun, f.Strength)
	}
	return now, ifRun
}

func list(findings []trust.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\n  %s/%s @%d %q: %s", f.Strength, f.IfRun, f.Offset, f.Excerpt, f.Why)
	}
	return b.String()
}
