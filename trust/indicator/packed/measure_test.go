package packed

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

// slowEntropy adds up every byte's own share.
func slowEntropy(b []byte) (bits float64) {
	for _, c := range b {
		bits -= math.Log2(float64(bytes.Count(b, []byte{c})) / float64(len(b)))
	}
	return bits / float64(len(b))
}

func TestEntropyOfTheSegment(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 9))
	for range 30 {
		b := make([]byte, leastSample+random.IntN(3000))
		symbols := 1 + random.IntN(256)
		for i := range b {
			b[i] = byte(random.IntN(symbols))
		}
		before := random.IntN(500)
		content := append(bytes.Repeat([]byte("x"), before), b...)
		content = append(content, bytes.Repeat([]byte("y"), random.IntN(900))...)
		w := &watch{from: int64(before), to: int64(before + len(b))}
		for at := 0; at < len(content); {
			n := min(1+random.IntN(700), len(content)-at)
			w.measure(content[at:at+n], int64(at))
			at += n
		}
		if want := slowEntropy(b); math.Abs(w.entropy()-want) > 1e-9 || w.sampled != int64(len(b)) {
			t.Fatalf("%d bytes of %d symbols: got %f of %d, want %f", len(b), symbols, w.entropy(), w.sampled, want)
		}
	}
	w := &watch{to: 1 << 40}
	w.measure(noise(leastSample-1), 0)
	if e := w.entropy(); e != 0 {
		t.Errorf("%d bytes say %f", leastSample-1, e)
	}
	w.measure([]byte{1}, leastSample-1)
	if e := w.entropy(); e < 7.9 {
		t.Errorf("%d bytes of noise say %f", leastSample, e)
	}
}

// Headers with any one field out of place neither panic nor make an answer depend on the cuts.
func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	file := indicator.File{Path: "x", Kind: trust.KindExecutable}
	for name, p := range map[string]program{
		"wide":  {kind: typeExec, flags: flagExec | flagWrite, body: noise(6000), interp: true},
		"small": {kind: typeDyn, flags: flagExec | flagWrite, body: noise(6000), small: true},
	} {
		for at := 4; at < header64+2*program64; at++ {
			for _, fill := range []string{"\x00", "\x01", "\x7f", "\xff", "\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
				content := []byte(p.bytes())
				copy(content[at:], fill)
				whole := indicatortest.Inspect(ind, file, content, indicatortest.Drive{})
				cut := indicatortest.Inspect(ind, file, content, indicatortest.Drive{Chunk: 97})
				if fmt.Sprint(whole) != fmt.Sprint(cut) {
					t.Fatalf("%s, %x at %d: %+v whole, %+v cut", name, fill, at, whole, cut)
				}
				for _, f := range whole {
					if f.Offset < 0 || f.Offset >= int64(len(content)) || f.Strength != trust.Context {
						t.Fatalf("%s, %x at %d: %+v", name, fill, at, f)
					}
				}
			}
		}
	}
}

// A file may end anywhere.
func TestCutOffPrograms(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	file := indicator.File{Path: "x", Kind: trust.KindExecutable}
	for _, p := range []program{{kind: typeExec, flags: 7, body: noise(9000)}, {kind: typeExec, flags: 7, body: noise(9000), small: true}, {kind: typeDyn, flags: 7, body: noise(9000), far: true}} {
		whole := p.bytes()
		for n := range 300 {
			for _, d := range []indicatortest.Drive{{}, {Chunk: 13}} {
				indicatortest.Inspect(ind, file, []byte(whole[:n]), d)
			}
		}
	}
}

func TestShapeLimits(t *testing.T) {
	t.Parallel()
	load := func(file, memory uint64, flags uint32) segment {
		return segment{kind: segmentLoad, flags: flags, address: 0x1000, fileBytes: file, memoBytes: memory}
	}
	h := header{wide: true, entry: 0x1000, shnum: 3, section: 64}
	for name, test := range map[string]struct {
		segments []segment
		size     int64
		want     string
		worth    bool
	}{
		"ordinary":        {[]segment{load(100, 100, flagExec), {kind: segmentDynamic}}, 1000, "few segments", false},
		"grows":           {[]segment{load(leastGrowth, muchGrowth*leastGrowth, flagExec)}, 1000, "nothing to link, few segments, much more memory than file", false},
		"grows-less":      {[]segment{load(leastGrowth, muchGrowth*leastGrowth-1, flagExec)}, 1000, "nothing to link, few segments", false},
		"grows-little":    {[]segment{load(1, leastGrowth, flagExec)}, 1000, "nothing to link, few segments", false},
		"writes":          {[]segment{load(100, 100, flagExec|flagWrite), {kind: segmentInterp}}, 1000, "it starts in code that it can write, few segments", true},
		"writes-data":     {[]segment{load(100, 100, flagWrite)}, 1000, "nothing to link, few segments", false},
		"sections-behind": {[]segment{load(100, 100, flagExec)}, 64, "no sections, nothing to link, few segments", true},
		"sections-inside": {[]segment{load(100, 100, flagExec)}, 65, "nothing to link, few segments", false},
		"starts-nowhere":  {[]segment{{kind: segmentLoad, address: 0x1001, memoBytes: 9}}, 64, "no sections, nothing to link, few segments", false},
		"starts-behind":   {[]segment{{kind: segmentLoad, address: 0xfff, memoBytes: 1}}, 64, "no sections, nothing to link, few segments", false},
		"five":            {[]segment{load(9, 9, 1), load(9, 9, 1), load(9, 9, 1), load(9, 9, 1), load(9, 9, 1)}, 1000, "nothing to link", false},
	} {
		s := shapeOf(h, test.segments, test.size)
		if s.String() != test.want || s.suspicious() != test.worth {
			t.Errorf("%s: %q, worth measuring %v", name, s, s.suspicious())
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for entropy, ok := range map[float64]bool{6.49: false, 6.5: true, 8: true, 8.01: false, -1: false} {
		if _, err := New(Rules{Entropy: entropy}); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "6.5 to 8 bits") {
			t.Errorf("%f: %v", entropy, err)
		}
	}
	if _, err := New(Rules{Entropy: math.NaN()}); err == nil {
		t.Error("an entropy that is no number was accepted")
	}
	for size, ok := range map[int]bool{3: false, 4: true, markBytes: true, markBytes + 1: false} {
		if _, err := New(Rules{Entropy: 7, Marks: []Mark{{Name: "x", Text: strings.Repeat("m", size)}}}); (err == nil) != ok {
			t.Errorf("a mark of %d bytes: %v", size, err)
		}
	}
}
