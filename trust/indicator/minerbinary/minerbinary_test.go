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
	vocabulary := func(n int) string { return "\x7fELF\x00" + strings.Join(r.Vocabulary[:n], "\x00") + "\x00" }
	goProgram := func(line string) string {
		return "\x7fELF\x00\xff Go buildinf:\x08\x02go1.24.1\x00path\tcommand-line-arguments\n" + line + "\nbuild\t-compiler=gc\n\x00"
	}
	miner, library := r.Packages[0].Path, r.Packages[1].Path
	samples = append(samples,
		indicatortest.Sample{Name: "vocabulary", Path: "x", Kind: exe, Content: vocabulary(r.MinVocabulary), Want: trust.Strong},
		indicatortest.Sample{Name: "whole-vocabulary", Path: "x", Kind: exe, Content: vocabulary(len(r.Vocabulary)), Want: trust.Strong},
		indicatortest.Sample{Name: "go-program", Path: "x", Kind: exe, Content: goProgram("path\t" + miner), Want: trust.Proof},
		indicatortest.Sample{Name: "go-program-in-data", Path: "x.bin", Kind: data, Content: goProgram("path\t" + miner), Want: trust.Strong, IfRun: trust.Proof},
		indicatortest.Sample{Name: "go-dependency", Path: "x", Kind: exe, Content: goProgram("dep\t" + library + "\tv1.0.0\th1:x="), Want: trust.Strong},
		indicatortest.Sample{Name: "go-functions", Path: "x", Kind: exe, Content: "\x7fELF\x00" + library + "/astrobwtv3.AstroBWTv3\x00main.main\x00", Want: trust.Strong},
		indicatortest.Sample{Name: "go-function-of-miner", Path: "x", Kind: exe, Content: "\x7fELF\x00" + miner + ".mineblock\x00", Want: trust.Strong},
	)
	texts := strings.Join(r.Families[0].Texts, "\n")
	indicatortest.Run(t, ind, samples, []indicatortest.Twin{
		{Name: "five-algorithms", Path: "x", Kind: exe, Content: vocabulary(r.MinVocabulary - 1)},
		{Name: "parts-of-names", Path: "x", Kind: exe, Content: "\x7fELFa" + strings.Join(r.Vocabulary, "x\x00a") + "x"},
		{Name: "file-names", Path: "x", Kind: exe, Content: "\x7fELF/src/" + strings.Join(r.Vocabulary, ".go\x00/src/") + ".go"},
		{Name: "go-module-name-in-a-list", Path: "x", Kind: exe, Content: "\x7fELF\x00" + miner + "\n" + library + " v1.0.0\n"},
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
		"word":     {Families: []Family{{Name: "x", Texts: six}}, Vocabulary: []string{"a", "b", "c"}, MinVocabulary: 3},
		"loose":    {Families: []Family{{Name: "x", Texts: six}}, Vocabulary: six, MinVocabulary: 1},
		"words":    {Families: []Family{{Name: "x", Texts: six}}, Vocabulary: make([]string, maxTexts+1), MinVocabulary: 6},
		"package":  {Families: []Family{{Name: "x", Texts: six}}, Packages: []Package{{Path: "example.com/x"}}},
		"path":     {Families: []Family{{Name: "x", Texts: six}}, Packages: []Package{{Name: "x", Path: "x"}}},
		"many":     {Families: []Family{{Name: "x", Texts: make([]string, maxTexts+1)}}},
	} {
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
