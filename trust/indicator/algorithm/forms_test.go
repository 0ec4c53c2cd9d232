package algorithm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	r := rules(t)
	w, err := r.words()
	if err != nil {
		t.Fatal(err)
	}
	exe, data, script, text, config := trust.KindExecutable, trust.KindData, trust.KindScript, trust.KindText, trust.KindConfig
	indicatortest.Shapes(t, shipped(t), []indicatortest.Sample{
		{Name: "five", Path: "x", Kind: exe, Content: spread(w, minProof-1, 7), Want: trust.Strong},
		{Name: "within-span", Path: "x", Kind: exe, Content: spread(w, minProof, 96), Want: trust.Proof},
		{Name: "last-words", Path: "x", Kind: exe, Content: spread(w[72:], 12, 4), Want: trust.Proof},
		{Name: "in-the-middle", Path: "x", Kind: exe, Content: strings.Repeat("\x00", 70_001) + spread(w, 8, 9) + strings.Repeat("\x00", 70_001), Want: trust.Proof},
		{Name: "both-orders", Path: "x", Kind: exe, Content: spread(w, 3, 4) + spread(swapped(w)[3:], 3, 4), Want: trust.Proof},
		{Name: "aarch64-five", Path: "x", Kind: exe, Content: moving(w, 5), Want: trust.Strong},
		{Name: "aarch64-in-data", Path: "x.bin", Kind: data, Content: moving(w, 8), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "wide-in-data", Path: "x.bin", Kind: data, Content: wideOf(r, 3, false), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "script-in-capitals", Path: "m.py", Kind: script, Content: spelling(w, 6, "0x%08X,"), Want: trust.Proof},
		{Name: "five-in-a-script", Path: "m.py", Kind: script, Content: spelling(w, 5, "0x%08x,"), Want: trust.Strong},
		{Name: "source-of-c", Path: "src/aes.c", Kind: text, Content: spelling(w, 8, "0x%08x,"), Want: trust.Weak, IfRun: trust.Proof},
		{Name: "settings", Path: "k.json", Kind: text, Content: spelling(w, 8, "\"0x%08x\","), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "command", Path: "config:command", Kind: config, Content: "python -c 'k=[" + spelling(w, 8, "0x%08x,") + "]'", Want: trust.Proof},
		{Name: "example", Path: "usr/share/doc/x/examples/m.py", Kind: script, Content: spelling(w, 8, "0x%08x,"), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "dataset-32-bits", Path: "x", Kind: exe, Content: dataset32(r), Want: trust.Strong},
		{Name: "dataset-spaced", Path: "x.js", Kind: script, Content: "1073739904" + strings.Repeat(" ", apart-len("1082130304")) + "1082130304", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "dataset-too-far", Path: "x.js", Kind: script, Content: "1073739904" + strings.Repeat(" ", apart-len("1082130304")+1) + "1082130304"},
		{Name: "dataset-backwards", Path: "x.js", Kind: script, Content: "1082130304, 1073739904"},
		{Name: "three-aarch64", Path: "x", Kind: exe, Content: moving(w, 3)},
		{Name: "three-in-both-orders", Path: "x", Kind: exe, Content: spread(w, 3, 4) + spread(swapped(w), 3, 4)},
		{Name: "two-wide-in-both-orders", Path: "x", Kind: exe, Content: wideOf(r, 2, false) + wideOf(r, 2, true)},
		{Name: "words-cut-short", Path: "x", Kind: exe, Content: cutWords(w, 20)},
		{Name: "just-out-of-span", Path: "x", Kind: exe, Content: spread(w, 12, span/3)},
		{Name: "bytes-in-a-script", Path: "m.py", Kind: script, Content: spread(w, 20, 3)},
		{Name: "written-in-a-list-of-others", Path: "m.py", Kind: script, Content: spelling(w, 2, "0x%08x,") + "0x12345678, 0x9abcdef0"},
		{Name: "decimal-words", Path: "m.py", Kind: script, Content: spelling(w, 20, "%d,")},
		{Name: "empty", Path: "x", Kind: exe, Content: "\x7fELF"},
	})
}

func dataset32(r Rules) string {
	out := "\x7fELF"
	for _, c := range r.Constants {
		for epoch := int64(0); c.ID == "ethash-dataset" && epoch < 4; epoch++ {
			out += string(binary.LittleEndian.AppendUint32(nil, uint32(c.Sizes.at(epoch))))
		}
	}
	return out
}

func cutWords(words [][4]byte, n int) string {
	out := "\x7fELF"
	for _, w := range words[:n] {
		out += string(w[:3]) + "\x00"
	}
	return out
}

// slowCluster counts at every sight what stands within span behind it.
func slowCluster(sights []sight) (best int, at int64) {
	for i, last := range sights {
		seen := map[int]bool{}
		first := last.at
		for _, s := range sights[:i+1] {
			if s.at > last.at-span {
				seen[s.id] = true
				first = min(first, s.at)
			}
		}
		if len(seen) > best {
			best, at = len(seen), first
		}
	}
	return best, at
}

func TestClusterAgainstCounting(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	for range 400 {
		c := cluster{enough: 1 << 30}
		var sights []sight
		at := int64(0)
		for range random.IntN(150) {
			at += int64(random.IntN([]int{2, 400, span, 2 * span}[random.IntN(4)]))
			s := sight{at, random.IntN(12)}
			sights = append(sights, s)
			c.add(s.at, s.id)
		}
		if best, first := slowCluster(sights); c.best != best || c.at != first {
			t.Fatalf("%v: got %d at %d, want %d at %d", sights, c.best, c.at, best, first)
		}
	}
}

func TestClusterStops(t *testing.T) {
	t.Parallel()
	c := cluster{enough: 3}
	for id := range 10 {
		c.add(int64(id), id)
	}
	if c.best != 3 || len(c.near) != 3 {
		t.Errorf("counts %d and keeps %d after enough", c.best, len(c.near))
	}
	long := cluster{enough: 1 << 30}
	for i := range 100_000 {
		long.add(int64(i)*64, i%7)
	}
	if cap(long.near) > 8*span/64 {
		t.Errorf("keeps %d sights, of which %d are within span", cap(long.near), span/64)
	}
}

// leb128 must give what decodes to the same number, in as few bytes as there are.
func TestLEB128(t *testing.T) {
	t.Parallel()
	decode := func(b []byte) (v int64) {
		shift := 0
		for _, c := range b {
			if shift < 64 {
				v |= int64(c&0x7f) << shift
			}
			shift += 7
		}
		if shift < 64 && b[len(b)-1]&0x40 != 0 {
			v |= -1 << shift
		}
		return v
	}
	random := rand.New(rand.NewPCG(6, 6))
	values := []int64{0, 1, -1, 63, 64, -64, -65, 127, 128, 1<<31 - 1, -1 << 31, 1<<63 - 1, -1 << 63}
	for range 2000 {
		values = append(values, int64(random.Uint64()>>random.IntN(64)), -int64(random.Uint64()>>(1+random.IntN(63))))
	}
	for _, v := range values {
		b := leb128(v)
		if decode(b) != v {
			t.Fatalf("%d: %x decodes to %d", v, b, decode(b))
		}
		for i, c := range b {
			if more := c&0x80 != 0; more != (i < len(b)-1) {
				t.Fatalf("%d: %x", v, b)
			}
		}
		if n := len(b); n > 1 && decode(append(slices.Clone(b[:n-2]), b[n-2]&0x7f)) == v {
			t.Fatalf("%d: %x has a byte too many", v, b)
		}
	}
}

func TestPrimes(t *testing.T) {
	t.Parallel()
	sieve := make([]bool, 20_000)
	for n := 2; n < len(sieve); n++ {
		if sieve[n] {
			continue
		}
		for m := 2 * n; m < len(sieve); m += n {
			sieve[m] = true
		}
	}
	for n, composite := range sieve {
		if want := n >= 2 && !composite; isPrime(int64(n)) != want {
			t.Errorf("%d: got %v", n, !want)
		}
	}
}

// Constants of all forms are found one by one, wherever they stand.
func TestEveryConstantIsALiteral(t *testing.T) {
	t.Parallel()
	r, ind := rules(t), shipped(t)
	for id, c := range r.Constants {
		var forms []string
		switch {
		case c.Bytes != "":
			b, err := hex.DecodeString(c.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			forms = append(forms, string(b))
			if c.Word > 0 {
				forms = append(forms, fmt.Sprintf("0x%X", b[:c.Word]))
				slices.Reverse(b[:c.Word])
				forms = append(forms, fmt.Sprintf("0x%x", b[:c.Word]))
			}
		case c.Text != "":
			forms = append(forms, c.Text)
		case c.Letters != "":
			forms = append(forms, strings.Join(strings.Split(c.Letters, ""), "\x00\x00\x00")+"\x00\x00\x00")
		default:
			forms = append(forms, fmt.Sprintf("%d,%d", c.Sizes.at(0), c.Sizes.at(1)))
		}
		for _, form := range forms {
			w := &watch{ind: ind, file: indicator.File{Path: "x", Kind: trust.KindExecutable}}
			content := "ab" + form + "cd"
			for i, l := range ind.literals {
				at := strings.Index(content, l.Text)
				if l.Fold {
					at = strings.Index(strings.ToLower(content), strings.ToLower(l.Text))
				}
				if at >= 0 && !l.Sampled && ind.meaning[i][0].class != window {
					w.Hit(indicator.Hit{Literal: i, Offset: int64(at), Window: []byte(content), At: at})
				}
			}
			if w.held>>id&1 == 0 {
				t.Errorf("%s is not found as %q", c.ID, form)
			}
		}
	}
}

// What a family weighs, as a table of what is seen beside it.
func TestFamilyWeigh(t *testing.T) {
	t.Parallel()
	f := compiled{all: 1, any: 0b1110, least: 2, unless: 0b110000, most: 1, excuse: 1 << 6, strength: trust.Weak, mining: trust.Strong}
	for seen, want := range map[uint64]struct {
		now, ifRun trust.Strength
		there      bool
		mining     bool
	}{
		0b0111:       {trust.Weak, trust.Context, true, false},
		0b1111:       {trust.Weak, trust.Context, true, false},
		0b0011:       {there: false},
		0b1110:       {there: false},
		0b010111:     {trust.Weak, trust.Context, true, false},
		0b110111:     {there: false},
		0b1000111:    {trust.Context, trust.Weak, true, false},
		0b1010111:    {trust.Context, trust.Weak, true, false},
		0b1110111:    {there: false},
		0b110111 | 8: {trust.Strong, trust.Context, true, true},
		0b1000110:    {there: false, mining: true},
	} {
		now, ifRun, there := f.weigh(seen, want.mining)
		if diff := cmp.Diff([]any{want.now, want.ifRun, want.there}, []any{now, ifRun, there}); diff != "" {
			t.Errorf("%07b: %s", seen, diff)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	constant := func(c Constant) func(*Rules) {
		return func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), c) }
	}
	for name, test := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"label":      {func(r *Rules) { r.Labels = []Label{{"x", 0}} }, `label "x": size 0`},
		"few-words":  {func(r *Rules) { r.Labels, r.Words = nil, []string{strings.Repeat("00112233", minProof-1)} }, "too few or too many"},
		"few-wide":   {func(r *Rules) { r.Wide = r.Wide[:minWide-1] }, "too few or too many"},
		"wide-size":  {func(r *Rules) { r.Wide = []string{"0011223344556677", "0011223344556678", "00112233445566"} }, `"00112233445566" is not eight`},
		"no-id":      {constant(Constant{Text: "abcdef"}), `constant "": want an id`},
		"two-forms":  {constant(Constant{ID: "x", Text: "abcdef", Letters: "abcdef"}), `constant "x": want one of`},
		"long-bytes": {constant(Constant{ID: "x", Bytes: strings.Repeat("00", 65)}), "want 8 to 64"},
		"odd-word":   {constant(Constant{ID: "x", Bytes: strings.Repeat("00", 8), Word: 3}), "words of 4 or 8"},
		"five":       {constant(Constant{ID: "x", Letters: "abcde"}), "fewer than 6 letters"},
		"growth":     {constant(Constant{ID: "x", Sizes: &Sizes{First: 1 << 24, Growth: 3 * 64, Unit: 64}}), "must have a unit, grow"},
		"too-big":    {constant(Constant{ID: "x", Sizes: &Sizes{First: 1 << 32, Growth: 1 << 17, Unit: 64}}), "fit 32 bits"},
		"least":      {func(r *Rules) { r.Families = []Family{{Name: "x", Any: []string{"luffa"}, Least: 2}} }, `family "x"`},
		"excuse":     {func(r *Rules) { r.Families = []Family{{Name: "x", All: []string{"luffa"}, Excuse: []string{"y"}}} }, `family "x": no constant "y"`},
		"library":    {func(r *Rules) { r.Library = []string{"short"} }, `"short" is shorter than 6 bytes`},
		"families":   {func(r *Rules) { r.Families = make([]Family, maxFamilies+1) }, "64 families"},
	} {
		r := rules(t)
		test.change(&r)
		if _, err := New(r); err == nil || !strings.HasPrefix(err.Error(), "algorithm rules: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
