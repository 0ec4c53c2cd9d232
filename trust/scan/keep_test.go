package scan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// graded is a toy whose findings weigh what the letter after the literal says.
func graded(name string) *toy {
	return &toy{name: name, literals: literals("literal:"), found: func(_ indicator.File, h indicator.Hit) trust.Finding {
		f := trust.Finding{Offset: h.Offset, Why: "toy"}
		switch h.Window[h.At+8] {
		case 'p':
			f.Strength = trust.Proof
		case 's':
			f.Strength = trust.Strong
		case 'w':
			f.Strength = trust.Weak
		case 'r':
			f.Strength, f.IfRun = trust.Weak, trust.Proof
		case '?':
			f.Strength = 99
		}
		return f
	}}
}

func strengths(found []trust.Finding) (counts map[trust.Strength]int, ifRun int) {
	counts = make(map[trust.Strength]int)
	for _, f := range found {
		counts[f.Strength]++
		if f.IfRun == trust.Proof {
			ifRun++
		}
	}
	return counts, ifRun
}

func TestFindingsPerFile(t *testing.T) {
	t.Parallel()
	s := newScanner(t, graded("a"), graded("b"))
	for name, body := range map[string]string{
		"strongest-last":  strings.Repeat("literal:s ", 2000) + "literal:r literal:p",
		"strongest-first": "literal:p literal:r " + strings.Repeat("literal:s ", 2000),
		"in-between":      strings.Repeat("literal:s ", 1000) + "literal:r literal:p " + strings.Repeat("literal:s ", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.Snippet("", "f", trust.KindText, []byte(body))
			counts, _ := strengths(got)
			if err != nil || len(got) != 32 || counts[trust.Proof] != 2 {
				t.Errorf("%v: %d findings, %v", err, len(got), counts)
			}
		})
	}
	for _, body := range []string{"literal:r " + strings.Repeat("literal:s ", 99), strings.Repeat("literal:s ", 99) + "literal:r"} {
		if _, ifRun := strengths(s.Text("", "f", trust.KindText, []byte(body))); ifRun != 2 {
			t.Error("what weighs most if the file is run was dropped")
		}
	}
}

// Stronger signs in the same file do not push out the only one of a class, which policies weigh by itself.
func TestClassesInOneFile(t *testing.T) {
	t.Parallel()
	mixed := &toy{name: "a", literals: literals("literal:"), found: func(_ indicator.File, h indicator.Hit) trust.Finding {
		if h.Window[h.At+8] == 'o' {
			return trust.Finding{Offset: h.Offset, Why: "toy", Class: trust.ClassOpaque}
		}
		return trust.Finding{Offset: h.Offset, Why: "toy", Strength: trust.Strong}
	}}
	got, err := newScanner(t, mixed).Snippet("", "f", trust.KindText, []byte(strings.Repeat("literal:s ", 90)+"literal:o"))
	if err != nil || !slices.ContainsFunc(got, func(f trust.Finding) bool { return f.Class == trust.ClassOpaque }) {
		t.Errorf("%d findings, none opaque: %v", len(got), err)
	}
}

// Many decoys in other files must not hide the finding that would count.
func TestFindingsPerBlob(t *testing.T) {
	t.Parallel()
	decoys := func(grade string, n int) []entry {
		var all []entry
		for i := range n {
			all = append(all, entry{name: fmt.Sprintf("a%05d", i), body: "literal:" + grade})
		}
		return all
	}
	for name, tc := range map[string]struct {
		entries []entry
		want    error
	}{
		"few":               {append(decoys("w", 400), entry{name: "z", body: "literal:p"}), nil},
		"weak-decoys":       {append(decoys("w", 3000), entry{name: "z", body: "literal:p"}), nil},
		"run-among-proofs":  {append(decoys("p", 3000), entry{name: "z", body: "literal:r"}), nil},
		"run-among-weak":    {append(decoys("w", 3000), entry{name: "z", body: "literal:r"}), nil},
		"run-among-strong":  {append(decoys("s", 3000), entry{name: "z", body: "literal:r"}), nil},
		"run-first":         {append([]entry{{name: "0", body: "literal:r"}}, decoys("s", 3000)...), nil},
		"many-runs":         {append(decoys("r", 3000), entry{name: "z", body: "literal:r"}), nil},
		"context-decoys":    {append(decoys("c", 60_000), entry{name: "z", body: "literal:r"}), nil},
		"more-than-is-kept": {append(decoys("r", 60_000), entry{name: "z", body: "literal:r"}), trust.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(t, newScanner(t, graded("a")), layerOf(t, tc.entries...))
			if !errors.Is(err, tc.want) || len(got.Findings) > 32_000 || len(got.Findings) < 401 {
				t.Fatalf("%d findings, %v", len(got.Findings), err)
			}
			last := tc.entries[len(tc.entries)-1].body
			counts, ifRun := strengths(got.Findings)
			if strings.HasSuffix(last, "p") && counts[trust.Proof] != 1 {
				t.Error("the proof was dropped")
			}
			if tc.want == nil && strings.HasSuffix(last, "r") && (ifRun == 0 || !slices.ContainsFunc(got.Findings, func(f trust.Finding) bool { return f.Path == "z" })) {
				t.Error("the finding that counts if run was dropped")
			}
			if got.Findings[0].Strength < got.Findings[len(got.Findings)-1].Strength {
				t.Error("the strongest is not first")
			}
		})
	}
}

// A check with many findings leaves room for the others.
func TestChecksDoNotCrowdOut(t *testing.T) {
	t.Parallel()
	var entries []entry
	for i := range 2000 {
		entries = append(entries, entry{name: fmt.Sprintf("a%05d", i), body: "literal:p"})
	}
	entries = append(entries, entry{name: "z", body: "stratum"})
	got, err := inspect(t, newScanner(t, graded("a"), &toy{name: "b", literals: literals("stratum")}), layerOf(t, entries...))
	if err != nil || len(got.Findings) != 2001 || got.Findings[2000].Check != "b@0" {
		t.Errorf("%d findings, %v", len(got.Findings), err)
	}
}

// Hits are bounded, yet by no number that honest content comes near to; more is unanswered.
func TestHitLimits(t *testing.T) {
	t.Parallel()
	s := newScanner(t, &toy{name: "a", literals: literals("literal:")})
	body := func(n int) string { return strings.Repeat("literal:", n) }
	const perFile = 1 << 16
	allowed := perFile + perFile*8/512 // and one for every 512 bytes of the whole file
	if _, err := inspect(t, s, layerOf(t, entry{name: "f", body: body(perFile)})); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	got, err := inspect(t, s, layerOf(t, entry{name: "f", body: body(allowed + 2000)}))
	if !errors.Is(err, trust.ErrLimit) || len(got.Findings) != 16 {
		t.Errorf("%d findings, %v", len(got.Findings), err)
	}
	many := make([]entry, 6)
	for i := range many {
		many[i] = entry{name: fmt.Sprint("f", i), body: body(perFile)}
	}
	if _, err := inspect(t, s, layerOf(t, many[:4]...)); err != nil {
		t.Errorf("at the blob's limit: %v", err)
	}
	if _, err := inspect(t, s, layerOf(t, many...)); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("beyond the blob's limit: %v", err)
	}
	if _, err := inspect(t, s, layerOf(t, many[:4]...)); err != nil {
		t.Errorf("the next blob begins anew: %v", err)
	}
}

func TestFindingsAreMadeSafe(t *testing.T) {
	t.Parallel()
	nasty := strings.Repeat("\x1b[31m", 5000)
	bad := &toy{name: "a", literals: literals("stratum"), found: func(indicator.File, indicator.Hit) trust.Finding {
		return trust.Finding{Check: "lie@9", Layer: "sha256:lie", Path: "lie", Kind: trust.KindConfig, Strength: trust.Strong, Excerpt: nasty, Why: nasty}
	}}
	name := "dir\x1b[2J/" + strings.Repeat("x", 200)
	got, err := inspect(t, newScanner(t, bad), layerOf(t, entry{name: name, body: "stratum"}))
	if err != nil || len(got.Findings) != 1 {
		t.Fatal(got, err)
	}
	f := got.Findings[0]
	if len(f.Excerpt) > trust.ExcerptLimit || len(f.Why) > 512 || strings.Contains(f.Excerpt+f.Why+f.Path, "\x1b") ||
		f.Check != "a@0" || f.Kind != trust.KindText || f.Layer == "sha256:lie" || !strings.HasPrefix(f.Path, "dir·[2J/xxx") {
		t.Errorf("%+v", f)
	}
	if _, err := newScanner(t, graded("a")).Snippet("", "f", trust.KindText, []byte("literal:?")); !errors.Is(err, trust.ErrUnsupported) {
		t.Errorf("a strength that does not exist: %v", err)
	}
}
