package minerbinary

import (
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func rules(t *testing.T) Rules {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	return r
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	r := rules(t)
	ind, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	program := func(family, n int) string {
		texts := slices.Clone(r.Families[family].Texts[:n])
		slices.Reverse(texts)
		return "\x7fELF\x00" + strings.Join(texts, "\x00filler\x00") + "\x00"
	}
	exe, data := trust.KindExecutable, trust.KindData
	samples := []indicatortest.Sample{
		{Name: "three", Path: "usr/bin/nginx", Kind: exe, Content: program(0, 3), Want: trust.Strong},
		{Name: "five", Path: "usr/bin/nginx", Kind: exe, Content: program(0, 5), Want: trust.Strong},
		{Name: "one-long-constant-section", Path: "x", Kind: exe, Content: "\x7fELF" + strings.Join(r.Families[0].Texts, "\x00"), Want: trust.Proof},
		{Name: "appended-to-picture", Path: "x.jpg", Kind: data, Content: program(0, 8), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "signature-database", Path: "x.cvd", Kind: trust.KindData, Content: program(0, 6) + program(1, 6) + program(2, 6), Want: trust.Weak, IfRun: trust.Proof},
		{Name: "program-with-signatures", Path: "x", Kind: exe, Content: program(0, 6) + program(1, 6) + program(2, 6), Want: trust.Strong, IfRun: trust.Proof},
	}
	for i, f := range r.Families {
		samples = append(samples, indicatortest.Sample{Name: f.Name, Path: "usr/bin/x", Kind: exe, Content: program(i, minProof), Want: trust.Proof})
	}
	texts := strings.Join(r.Families[0].Texts, "\n")
	indicatortest.Run(t, ind, samples, []indicatortest.Twin{
		{Name: "two", Path: "x", Kind: exe, Content: program(0, 2)},
		{Name: "one-often", Path: "x", Kind: exe, Content: strings.Repeat(program(0, 1), 50)},
		{Name: "two-of-each", Path: "x", Kind: exe, Content: program(0, 2) + program(1, 2) + program(2, 2)},
		{Name: "sources", Path: "src/usage.h", Kind: trust.KindText, Content: texts},
		{Name: "detector-script", Path: "scan.sh", Kind: trust.KindScript, Content: texts},
		{Name: "ordinary-program", Path: "bin/ls", Kind: exe, Content: "\x7fELF\x00usage: ls [OPTION]... [FILE]...\x00hugepages\x00msr\x00donate\x00pool\x00job\x00RandomX\x00miner\x00"},
	})
}

func TestTextIsNoConcern(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []trust.Kind{trust.KindText, trust.KindScript, trust.KindConfig} {
		if ind.Watch(indicator.File{Path: "x", Kind: k}) != nil {
			t.Errorf("%s is watched", k)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	six := []string{"aaaaaa", "bbbbbb", "cccccc", "dddddd", "eeeeee", "ffffff"}
	for name, r := range map[string]Rules{
		"nothing":  {},
		"few":      {Families: []Family{{Name: "x", Texts: six[:5]}}},
		"nameless": {Families: []Family{{Texts: six}}},
		"short":    {Families: []Family{{Name: "x", Texts: append([]string{"aa"}, six...)}}},
		"many":     {Families: []Family{{Name: "x", Texts: make([]string, maxTexts+1)}}},
	} {
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
