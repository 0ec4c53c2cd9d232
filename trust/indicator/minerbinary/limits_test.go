package minerbinary

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func shipped(t *testing.T) *Indicator {
	t.Helper()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

// Any texts of a family, in any order and however far apart, count once each.
func TestFamiliesAgainstCounting(t *testing.T) {
	t.Parallel()
	r, ind := rules(t), shipped(t)
	random := rand.New(rand.NewPCG(7, 7))
	for range 80 {
		var b strings.Builder
		b.WriteString("\x7fELF\x00")
		for range random.IntN(14) {
			texts := r.Families[random.IntN(min(3, len(r.Families)))].Texts
			b.WriteString(texts[random.IntN(len(texts))] + strings.Repeat("\x00", 1+random.IntN(3000)))
		}
		content := b.String()
		want, families := map[string]trust.Strength{}, 0
		for _, f := range r.Families {
			n := 0
			for _, text := range f.Texts {
				if strings.Contains(content, text) {
					n++
				}
			}
			if n >= minStrong {
				families++
				want[f.Name] = trust.Strong
			}
			if n >= minProof {
				want[f.Name] = trust.Proof
			}
		}
		found := indicatortest.Inspect(ind, indicator.File{Path: "x", Kind: trust.KindExecutable}, []byte(content), indicatortest.Drive{Chunk: random.IntN(4000)})
		got := map[string]trust.Strength{}
		for _, f := range found {
			for name := range want {
				if strings.HasSuffix(strings.TrimSuffix(f.Why, " beside those of other miners, as signature databases do"), "program "+name) {
					got[name] = max(f.Strength, f.IfRun)
				}
			}
			if !strings.HasPrefix(content[f.Offset:], f.Excerpt) {
				t.Fatalf("%q is not at %d", f.Excerpt, f.Offset)
			}
			if strings.Contains(f.Why, "beside") != (families >= manyFamilies) {
				t.Fatalf("%d families: %s", families, f.Why)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	r := rules(t)
	exe, data := trust.KindExecutable, trust.KindData
	lib := slices.IndexFunc(r.Packages, func(p Package) bool { return !p.Miner })
	own := slices.IndexFunc(r.Packages, func(p Package) bool { return p.Miner })
	library, miner := r.Packages[lib].Path, r.Packages[own].Path
	texts := r.Families[0].Texts
	words := func(separator string, n int) string {
		return "\x7fELF\x00" + strings.Join(r.Vocabulary[:n], separator) + separator
	}
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "far-apart", Path: "x", Kind: exe, Content: "\x7fELF" + strings.Join(texts[:minProof], strings.Repeat("\x00", 7000)), Want: trust.Proof},
		{Name: "at-both-ends", Path: "x", Kind: exe, Content: texts[0] + strings.Repeat("\x00", 9000) + texts[1] + "\x00" + texts[2], Want: trust.Strong},
		{Name: "lines", Path: "x", Kind: exe, Content: "\x7fELF" + strings.Join(texts[:minProof], "\n"), Want: trust.Proof},
		{Name: "in-data", Path: "x", Kind: data, Content: strings.Join(texts[:minStrong], "\x00"), Want: trust.Strong},
		{Name: "two-families", Path: "x", Kind: exe, Content: strings.Join(texts[:minProof], "\x00") + strings.Join(r.Families[1].Texts[:minProof], "\x00"), Want: trust.Proof},
		{Name: "words-quoted", Path: "x", Kind: exe, Content: words("\"", r.MinVocabulary), Want: trust.Strong},
		{Name: "words-with-commas", Path: "x", Kind: exe, Content: words(",", r.MinVocabulary), Want: trust.Strong},
		{Name: "module", Path: "x", Kind: exe, Content: "\x00mod\t" + miner + "\t(devel)\n", Want: trust.Proof},
		{Name: "replaced", Path: "x", Kind: exe, Content: "\x00=>\t" + library + "\tv1.0.0\n", Want: trust.Strong},
		{Name: "method", Path: "x", Kind: exe, Content: "\x00" + library + ".(*T).Sum\x00", Want: trust.Strong},
		{Name: "dependency-then-path", Path: "x", Kind: exe, Content: "\x00dep\t" + miner + "\tv1\npath\t" + miner + "\n", Want: trust.Proof},
		{Name: "path-then-dependency", Path: "x", Kind: exe, Content: "\x00path\t" + miner + "\ndep\t" + miner + "\tv1\n", Want: trust.Proof},
		{Name: "library-as-program", Path: "x", Kind: exe, Content: "\x00path\t" + library + "\n", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "cut-texts", Path: "x", Kind: exe, Content: texts[0][:len(texts[0])-1] + "\x00" + texts[1][1:] + "\x00" + texts[2] + "\x00" + texts[3]},
		{Name: "words-in-paths", Path: "x", Kind: exe, Content: words("/", r.MinVocabulary)},
		{Name: "words-with-dots", Path: "x", Kind: exe, Content: words(".", r.MinVocabulary)},
		{Name: "words-repeated", Path: "x", Kind: exe, Content: strings.Repeat(words("\x00", 2), 40)},
		{Name: "import-comment", Path: "x", Kind: exe, Content: "\x00see " + library + " for more\x00" + miner + "\x00"},
		{Name: "number-behind", Path: "x", Kind: exe, Content: "\x00" + library + "/2\x00" + library + ".1\x00"},
		{Name: "end-of-file", Path: "x", Kind: exe, Content: "\x00" + library},
		{Name: "end-of-file-dot", Path: "x", Kind: exe, Content: "\x00" + library + "."},
	})
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	unique := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("text-%03d", i))
		}
		return out
	}
	family := []Family{{Name: "x", Texts: unique(minProof)}}
	for name, test := range map[string]struct {
		rules Rules
		want  string // "" if it is accepted
	}{
		"least":        {Rules{Families: family}, ""},
		"most":         {Rules{Families: []Family{{Name: "x", Texts: unique(maxTexts)}}, Vocabulary: unique(maxTexts), MinVocabulary: maxTexts}, ""},
		"no-families":  {Rules{}, "no families"},
		"too-many":     {Rules{Families: []Family{{Name: "x", Texts: unique(maxTexts + 1)}}}, `family "x"`},
		"too-few":      {Rules{Families: []Family{{Name: "x", Texts: unique(minProof - 1)}}}, `family "x"`},
		"short":        {Rules{Families: []Family{{Name: "x", Texts: append(unique(minProof), "abcde")}}}, `"abcde" is shorter than 6 bytes`},
		"min-too-low":  {Rules{Families: family, Vocabulary: unique(9), MinVocabulary: minStrong - 1}, "3 words or more"},
		"min-too-high": {Rules{Families: family, Vocabulary: unique(9), MinVocabulary: 10}, "3 words or more"},
		"no-name":      {Rules{Families: family, Packages: []Package{{Path: "example.com/x"}}}, `package "example.com/x" has no name`},
		"packages":     {Rules{Families: family, Packages: make([]Package, maxTexts+1)}, "at most 64"},
	} {
		_, err := New(test.rules)
		if (err == nil) != (test.want == "") || err != nil && (!strings.HasPrefix(err.Error(), "minerbinary rules: ") || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	// The last of as many texts as there may be has a bit of its own.
	ind, err := New(Rules{Families: []Family{{Name: "x", Texts: unique(maxTexts)}}})
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{ind: ind}
	for i, l := range ind.literals {
		w.Hit(indicator.Hit{Literal: i, Window: []byte(l.Text)})
	}
	if n := bits.OnesCount64(w.seen[0]); n != maxTexts {
		t.Errorf("%d texts were told apart, want %d", n, maxTexts)
	}
}
