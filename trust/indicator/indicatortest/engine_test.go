package indicatortest

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// recorder is an indicator that writes down what the engine does.
type recorder struct {
	literals []indicator.Literal
	idle     bool
	refuses  bool
	unread   string

	files   []indicator.File
	content []byte
	hits    []indicator.Hit
	// seen is how many bytes were seen before each hit, closed how often the file ended.
	seen   []int
	closed int
}

func (*recorder) Name() string                    { return "indicatortest" }
func (*recorder) Version() int                    { return 1 }
func (r *recorder) Literals() []indicator.Literal { return r.literals }
func (r *recorder) Idle(indicator.File) bool      { return r.idle }
func (r *recorder) Unread() string                { return r.unread }

func (r *recorder) Watch(f indicator.File) indicator.Watch {
	r.files = append(r.files, f)
	if r.refuses {
		return nil
	}
	return r
}

func (r *recorder) Hit(h indicator.Hit) {
	r.hits, r.seen = append(r.hits, h), append(r.seen, len(r.content))
}
func (r *recorder) Bytes(chunk []byte) { r.content = append(r.content, chunk...) }
func (r *recorder) Close() []trust.Finding {
	r.closed++
	return []trust.Finding{{Why: "closed"}}
}

// occurrences are the offsets of a literal, found by comparing at every place.
func occurrences(content string, l indicator.Literal) (out []int64) {
	for i := 0; i+len(l.Text) <= len(content); i++ {
		if part := content[i : i+len(l.Text)]; part == l.Text || l.Fold && strings.EqualFold(part, l.Text) {
			out = append(out, int64(i))
		}
	}
	return out
}

func TestEngineAgainstComparing(t *testing.T) {
	t.Parallel()
	literals := []indicator.Literal{{Text: "aBaBaB"}, {Text: "ababab", Fold: true}, {Text: "bAbA", Sampled: true}, {Text: "b\x00aaaa"}, {Text: "bbbb", Sampled: true, Fold: true}}
	random := rand.New(rand.NewPCG(11, 12))
	for range 60 {
		b := make([]byte, random.IntN(9000))
		for i := range b {
			b[i] = "aaabbbAB\x00"[random.IntN(9)]
		}
		sampled := make([][]int64, len(literals))
		for phase := range 3 {
			d := Drive{Chunk: random.IntN(3000), Slack: random.IntN(100), HitsLast: phase == 1, Phase: phase}
			r := &recorder{literals: literals}
			drive(r, indicator.File{Path: "x"}, b, d)
			if !bytes.Equal(r.content, b) {
				t.Fatalf("%+v: the bytes of the file are not what was seen", d)
			}
			got := make([][]int64, len(literals))
			for i, h := range r.hits {
				if i > 0 && h.Offset < r.hits[i-1].Offset {
					t.Fatalf("%+v: hits are not in order of offset", d)
				}
				checkWindow(t, h, b, d)
				if !d.HitsLast && r.seen[i] < min(len(b), int(h.Offset)+indicator.WindowAfter) || d.HitsLast && r.seen[i] != len(b) {
					t.Fatalf("%+v: a hit at %d after %d bytes", d, h.Offset, r.seen[i])
				}
				got[h.Literal] = append(got[h.Literal], h.Offset)
			}
			for i, l := range literals {
				if l.Sampled {
					sampled[i] = append(sampled[i], got[i]...)
				} else if diff := cmp.Diff(occurrences(string(b), l), got[i]); diff != "" {
					t.Fatalf("literal %d: %s", i, diff)
				}
			}
		}
		// The three phases share all occurrences out among themselves.
		for i, l := range literals {
			if want := occurrences(string(b), l); l.Sampled && len(sampled[i]) != len(want) {
				t.Fatalf("sampled literal %d: %d of %d occurrences", i, len(sampled[i]), len(want))
			}
		}
	}
}

func checkWindow(t *testing.T, h indicator.Hit, content []byte, d Drive) {
	t.Helper()
	from := max(0, int(h.Offset)-indicator.WindowBefore-d.Slack)
	to := min(len(content), int(h.Offset)+indicator.WindowAfter+d.Slack)
	if h.At != int(h.Offset)-from || !bytes.Equal(h.Window, content[from:to]) {
		t.Fatalf("%+v: the window of the hit at %d is not content[%d:%d]", d, h.Offset, from, to)
	}
}

func TestEngineBeginsAndEnds(t *testing.T) {
	t.Parallel()
	literals := []indicator.Literal{{Text: "needle"}}
	for name, test := range map[string]struct {
		recorder
		content string
		files   int
		closed  int
		found   int
	}{
		"ordinary":         {recorder{literals: literals}, "hay needle hay", 1, 1, 1},
		"nothing":          {recorder{literals: literals}, "", 1, 1, 1},
		"idle-without-hit": {recorder{literals: literals, idle: true}, "hay", 0, 0, 0},
		"idle-with-hit":    {recorder{literals: literals, idle: true}, "needle", 1, 1, 1},
		"no-concern":       {recorder{literals: literals, refuses: true}, "needle", 1, 0, 0},
		"gives-up":         {recorder{literals: literals, unread: "too much"}, "needle", 1, 1, 1},
	} {
		r := test.recorder
		found := Inspect(&r, indicator.File{Path: "x", Kind: trust.KindText, Size: 99}, []byte(test.content), Drive{Chunk: 3})
		if len(r.files) != test.files || r.closed != test.closed || len(found) != test.found {
			t.Errorf("%s: %d files, %d closed, %d findings", name, len(r.files), r.closed, len(found))
		}
		if len(r.files) > 0 && r.files[0].Size != int64(len(test.content)) {
			t.Errorf("%s: size %d, want that of the content", name, r.files[0].Size)
		}
		again := test.recorder
		if got := Unread(&again, indicator.File{Path: "x"}, []byte(test.content), Drive{}); got != test.unread {
			t.Errorf("%s: unread %q", name, got)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	// This folder lies right below trust/indicator, as those of indicators do.
	var rules struct {
		Wrappers  []string `yaml:"wrappers"`
		Variables []string `yaml:"variables"`
		Proxies   []string `yaml:"proxies"`
		Keys      []string `yaml:"keys"`
		Prefixes  []string `yaml:"prefixes"`
		Ordinary  []string `yaml:"ordinary"`
		Miners    []string `yaml:"miners"`
		Options   []string `yaml:"options"`
		Schemes   []string `yaml:"schemes"`
		Fetchers  []string `yaml:"fetchers"`
	}
	Decode(t, "anonymizer", &rules)
	if len(rules.Wrappers) == 0 || len(rules.Fetchers) == 0 {
		t.Errorf("got %+v", rules)
	}
}
