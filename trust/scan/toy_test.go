package scan_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/scan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toy is an indicator that a test makes up; it has a finding for each hit unless told otherwise.
type toy struct {
	name     string
	version  int
	literals []indicator.Literal
	// ignore says which files are no concern.
	ignore func(indicator.File) bool
	// found makes the finding of a hit.
	found func(indicator.File, indicator.Hit) trust.Finding
	// on is called with what happens: "watch", "hit", "bytes", "close".
	on func(what string, f indicator.File, h indicator.Hit, chunk []byte)
	// everyByte asks for all bytes.
	everyByte bool
}

func (t *toy) Name() string                  { return t.name }
func (t *toy) Version() int                  { return t.version }
func (t *toy) Literals() []indicator.Literal { return t.literals }

func (t *toy) Watch(f indicator.File) indicator.Watch {
	t.call("watch", f, indicator.Hit{}, nil)
	if t.ignore != nil && t.ignore(f) {
		return nil
	}
	w := &toyWatch{toy: t, file: f}
	if t.everyByte {
		return toyByteWatch{w}
	}
	return w
}

// idleToy calls every file idle.
type idleToy struct{ *toy }

func (idleToy) Idle(indicator.File) bool { return true }

func (t *toy) call(what string, f indicator.File, h indicator.Hit, chunk []byte) {
	if t.on != nil {
		t.on(what, f, h, chunk)
	}
}

type toyWatch struct {
	toy   *toy
	file  indicator.File
	found []trust.Finding
}

func (w *toyWatch) Hit(h indicator.Hit) {
	w.toy.call("hit", w.file, h, nil)
	f := trust.Finding{Strength: trust.Weak, Offset: h.Offset, Excerpt: w.toy.literals[h.Literal].Text, Why: "toy"}
	if w.toy.found != nil {
		f = w.toy.found(w.file, h)
	}
	w.found = append(w.found, f)
}

func (w *toyWatch) Close() []trust.Finding {
	w.toy.call("close", w.file, indicator.Hit{}, nil)
	return w.found
}

type toyByteWatch struct{ *toyWatch }

func (w toyByteWatch) Bytes(chunk []byte) { w.toy.call("bytes", w.file, indicator.Hit{}, chunk) }

// recorder keeps what an indicator was shown, and copies what it must not keep.
type recorder struct {
	mu     sync.Mutex
	events []string
	hits   []indicator.Hit
	bytes  []byte
	files  []indicator.File
}

func (r *recorder) on(what string, f indicator.File, h indicator.Hit, chunk []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 || r.events[len(r.events)-1] != what {
		r.events = append(r.events, what)
	}
	switch what {
	case "watch":
		r.files = append(r.files, f)
	case "hit":
		h.Window = bytes.Clone(h.Window)
		r.hits = append(r.hits, h)
	case "bytes":
		r.bytes = append(r.bytes, chunk...)
	}
}

// ruled is a toy with rules of its own.
type ruled struct {
	*toy
	rules string
}

func (r ruled) RulesDigest() digest.Digest { return digest.FromString(r.rules) }

func literals(texts ...string) []indicator.Literal {
	var all []indicator.Literal
	for _, text := range texts {
		all = append(all, indicator.Literal{Text: text})
	}
	return all
}

const rules = digest.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

func newScanner(t testing.TB, indicators ...indicator.Indicator) *scan.Scanner {
	t.Helper()
	s, err := scan.New(indicators, nil, rules, scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type entry struct {
	name, body string
	mode       int64
}

func layerOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		if e.mode == 0 {
			e.mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: int64(len(e.body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("cannot write layer")
	}
	return buf.Bytes()
}

func descriptor(blob []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
}

func inspect(t testing.TB, s *scan.Scanner, blob []byte) (trust.Inspection, error) {
	t.Helper()
	return s.Layer(t.Context(), bytes.NewReader(blob), descriptor(blob))
}

// filler is text without any of the literals that tests use.
func filler(n int) string {
	line := "the quick brown fox jumps over the lazy dog 0123456789\n"
	return strings.Repeat(line, n/len(line)+1)[:n]
}

func describe(found []trust.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, fmt.Sprintf("%s %s %s %s:%d", f.Check, f.Strength, f.Kind, f.Path, f.Offset))
	}
	return all
}
