// Package indicatortest is the acceptance suite of every indicator: samples that it must find, benign twins that it
// must not, and the contract of the interface, driven by an engine that is slow and obviously right.
package indicatortest

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/ruleset"
)

// Drive says how the reference engine cuts a file.
type Drive struct {
	// Chunk is the size of the pieces; 0 is the whole file at once.
	Chunk int
	// Slack is how much wider than guaranteed the windows around hits are.
	Slack int
	// HitsLast holds every hit back until all bytes were seen.
	HitsLast bool
	// Phase says which third of the occurrences of sampled literals are hits: those whose offset has this rest by three.
	Phase int
}

// Inspect runs an indicator over one file, as an engine would.
func Inspect(ind indicator.Indicator, file indicator.File, content []byte, d Drive) []trust.Finding {
	found, _ := drive(ind, file, content, d)
	return found
}

// Unread is what the indicator says that it left unread.
func Unread(ind indicator.Indicator, file indicator.File, content []byte, d Drive) string {
	_, unread := drive(ind, file, content, d)
	return unread
}

func drive(ind indicator.Indicator, file indicator.File, content []byte, d Drive) (found []trust.Finding, unread string) {
	file.Size = int64(len(content))
	hits := find(ind.Literals(), content, d.Phase)
	if idler, ok := ind.(indicator.Idler); ok && len(hits) == 0 && idler.Idle(file) {
		return nil, ""
	}
	watch := ind.Watch(file)
	if watch == nil {
		return nil, ""
	}
	byteWatch, _ := watch.(indicator.ByteWatch)
	step := d.Chunk
	if step <= 0 {
		step = max(1, len(content))
	}
	give := func(upTo int) {
		for len(hits) > 0 && (int(hits[0].Offset)+indicator.WindowAfter <= upTo || upTo == len(content)) {
			watch.Hit(hits[0].within(content, d.Slack))
			hits = hits[1:]
		}
	}
	for i := 0; i < len(content); i += step {
		end := min(i+step, len(content))
		if byteWatch != nil {
			// A chunk is the indicator's to read, not to keep: it is overwritten behind its back.
			chunk := bytes.Clone(content[i:end])
			byteWatch.Bytes(chunk)
			for j := range chunk {
				chunk[j] = '!'
			}
		}
		if !d.HitsLast {
			give(end)
		}
	}
	give(len(content))
	found = watch.Close()
	if bounded, ok := watch.(indicator.Bounded); ok {
		unread = bounded.Unread()
	}
	return found, unread
}

type hit struct {
	indicator.Hit
	size int
}

func (h hit) within(content []byte, slack int) indicator.Hit {
	from := max(0, int(h.Offset)-indicator.WindowBefore-slack)
	to := min(len(content), int(h.Offset)+indicator.WindowAfter+slack)
	h.Window, h.At = bytes.Clone(content[from:to]), int(h.Offset)-from
	return h.Hit
}

// find searches every literal by itself.
func find(literals []indicator.Literal, content []byte, phase int) []hit {
	var hits []hit
	lower := asciiLower(content)
	for i, l := range literals {
		in, needle := content, []byte(l.Text)
		if l.Fold {
			in, needle = lower, asciiLower(needle)
		}
		for at := 0; ; at++ {
			n := bytes.Index(in[at:], needle)
			if n < 0 {
				break
			}
			at += n
			if l.Sampled && at%3 != phase {
				continue
			}
			hits = append(hits, hit{indicator.Hit{Literal: i, Offset: int64(at)}, len(needle)})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.Offset, b.Offset) })
	return hits
}

func asciiLower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// Decode reads the shipped rules of an indicator. It must be called by a test whose folder is right below
// trust/indicator.
func Decode(t testing.TB, name string, into any) {
	t.Helper()
	rules, err := ruleset.Load(os.DirFS("../../../configs/rules"))
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.Decode(name, into); err != nil {
		t.Fatal(err)
	}
}
