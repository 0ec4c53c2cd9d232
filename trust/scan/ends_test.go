package scan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/scan"
)

// ending is a box that is found by its end, too.
type ending struct{ box }

func (ending) Ends(tail []byte, _ int64, _ bool) bool { return bytes.Contains(tail, []byte("THE END")) }

func TestEndOfAnotherFormatIsNotSilent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("anything ", 100_000)
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"short", "THE END", 1},
		{"behind much else", long + "THE END", 1},
		{"before the longest tail", long + "THE END" + long, 0},
		{"far from the end, in reach", long + "THE END" + long[:60_000], 1},
		{"taken by the wrapper itself", "ending x\nTHE END", 1}, // of the piece, which has the same end
		{"another end", long, 0},
	} {
		s := nestedScanner(t, scan.Limits{}, ending{box{name: "ending"}})
		blob := layerOf(t, entry{name: "file", body: tt.body})
		got, err := s.Layer(t.Context(), bytes.NewReader(blob), descriptor(blob))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range got.Findings {
			if f.Check == scan.UnwrapCheck && f.Class == trust.ClassOpaque && f.IfRun == trust.Strong {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: %d findings of hidden content, want %d: %v", tt.name, n, tt.want, got.Findings)
		}
	}
}

// Marks that stand in the middle of content say that it hides something, unless a wrapper read it.
func TestMarksAreNotSilent(t *testing.T) {
	t.Parallel()
	disc := strings.Repeat("x", 32<<10) + "\x01CD001\x01\x00"
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"disc", disc, 1},
		{"disc elsewhere", "x" + disc, 0},
		{"encrypted script", "\x7fELF\x02\x01\x00E: neither argv[0] nor $_ works.\x00", 1},
		{"a text about it", "E: neither argv[0] nor $_ works.", 0},
	} {
		s := nestedScanner(t, scan.Limits{}, box{name: "box"})
		blob := layerOf(t, entry{name: "file", body: tt.body}, entry{name: "next", body: "nothing"})
		got, err := s.Layer(t.Context(), bytes.NewReader(blob), descriptor(blob))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range got.Findings {
			if f.Check == scan.UnwrapCheck && f.Class == trust.ClassOpaque && f.IfRun == trust.Strong && f.Path == "file" {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: %d findings of hidden content, want %d: %v", tt.name, n, tt.want, got.Findings)
		}
	}
}

// Programs are known by what they hold, and by the programs that they are like, under any name.
func TestTreeKnowsPrograms(t *testing.T) {
	t.Parallel()
	s := nestedScanner(t, scan.Limits{})
	long := "\x7fELF\x02" + strings.Repeat("code", 100_000)
	bash := long + "BASH_VERSINFO\x00"
	tree, _ := treeOf(t, s,
		entry{name: "bin/bash", body: bash, mode: 0o755}, entry{name: "opt/agent", body: bash, mode: 0o755},
		entry{name: "opt/other", body: long, mode: 0o755}, entry{name: "opt/bash.txt", body: "BASH_VERSINFO", mode: 0o755},
	)
	got := map[string]trust.TreeEntry{}
	for e := range tree.All() {
		got[e.Path] = e
	}
	a, b, other := got["bin/bash"], got["opt/agent"], got["opt/other"]
	if a.Program != "bash" || b.Program != "bash" || other.Program != "" || got["opt/bash.txt"].Program != "" {
		t.Errorf("%q, %q, %q", a.Program, b.Program, other.Program)
	}
	if a.Like == 0 || a.Like != b.Like || a.Like == other.Like || got["opt/bash.txt"].Like != 0 {
		t.Errorf("%x, %x, %x", a.Like, b.Like, other.Like)
	}
}
