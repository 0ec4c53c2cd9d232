package judge

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/safepull/safepull/trust"
)

// TestVerdictBytes: what a verdict counts for is no less than half of what it takes, nor more than four times as much.
func TestVerdictBytes(t *testing.T) { //nolint:paralleltest // it measures memory
	for name, findings := range map[string]int{"plain": 3, "much": 4096} {
		make1 := func(i int) trust.Verdict {
			text := func(n int) string { return strings.Repeat(string(rune('a'+i%26)), n) }
			v := trust.Verdict{ID: text(13), Reasons: []string{text(200)}, Story: []string{text(300)}, Blobs: make([]trust.Blob, 8), Decision: &trust.Decision{}}
			for b := range v.Blobs {
				v.Blobs[b].MediaType = text(50)
			}
			v.Evidence.Unanswered = map[string]string{text(10): text(100)}
			v.Evidence.Findings = make([]trust.Finding, findings)
			for f := range v.Evidence.Findings {
				v.Evidence.Findings[f] = trust.Finding{Path: text(60), Excerpt: text(200), Why: text(120)}
			}
			v.Decision.Weights = make([]trust.Weight, findings)
			return v
		}
		n := max(8, 4096/findings)
		kept := make([]trust.Verdict, n)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		counted := 0
		for i := range kept {
			kept[i] = make1(i)
			counted += verdictBytes(kept[i])
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if took := int(after.HeapAlloc - before.HeapAlloc); counted < took/2 || counted > 4*took { //nolint:gosec // small
			t.Errorf("%s: %d verdicts take %d bytes and count for %d", name, n, took, counted)
		}
		runtime.KeepAlive(kept)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	b, err := newBounded[string, int](100)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		add   string
		bytes int
		want  string // what is there then
		room  int
	}{
		{"a", 40, "a", 60},
		{"b", 40, "ab", 20},
		{"a", 50, "ab", 10}, // in place of the first
		{"c", 101, "ab", 10},
		{"c", 30, "ac", 20}, // b was used least
		{"d", 100, "d", 0},
		{"d", 101, "", 100}, // what stood there is not true any more
		{"e", 0, "e", 100},
	} {
		b.add(step.add, i, step.bytes)
		got := ""
		for _, key := range []string{"b", "c", "d", "e", "a"} {
			if v, ok := b.get(key); ok {
				if key == step.add && v != i {
					t.Errorf("step %d: %q is of step %d", i, key, v)
				}
				got += key
			}
		}
		sorted := map[string]string{"ba": "ab", "ca": "ac"}
		if s, ok := sorted[got]; ok {
			got = s
		}
		if got != step.want || b.room != step.room {
			t.Errorf("step %d: there are %q, and %d bytes are left, want %q and %d", i, got, b.room, step.want, step.room)
		}
	}
}

func TestBounded_atOnce(t *testing.T) {
	t.Parallel()
	b, err := newBounded[int, int](1000)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			for i := range 1000 {
				b.add(i%50, g, i%90)
				if v, ok := b.get(i % 7); ok && (v < 0 || v > 7) {
					t.Error(v)
				}
			}
		})
	}
	running.Wait()
	used := 0
	for _, key := range b.kept.Keys() {
		w, _ := b.kept.Peek(key)
		used += w.bytes
	}
	if used+b.room != 1000 || b.room < 0 {
		t.Errorf("%d bytes are used, and %d are left", used, b.room)
	}
}
