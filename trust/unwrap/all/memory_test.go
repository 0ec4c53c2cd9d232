package all_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/scan"
	"github.com/safepull/safepull/trust/unwrap/all"
)

// gauge is an indicator that measures what is alive while content passes.
type gauge struct {
	peak *uint64
	// deepest is the longest path that was seen.
	deepest *int
}

func (gauge) Name() string                             { return "gauge" }
func (gauge) Version() int                             { return 1 }
func (gauge) Literals() []indicator.Literal            { return []indicator.Literal{{Text: word}} }
func (g gauge) Watch(f indicator.File) indicator.Watch { return &gauging{gauge: g, file: f} }

type gauging struct {
	gauge
	file indicator.File
	seen int
	hits []trust.Finding
}

func (g *gauging) Hit(h indicator.Hit) {
	g.hits = append(g.hits, trust.Finding{Strength: trust.Weak, Offset: h.Offset, Why: "found"})
	g.measure()
}

func (g *gauging) Bytes(p []byte) {
	if g.seen += len(p); g.seen >= 4<<20 {
		g.seen = 0
		g.measure()
	}
}

func (g *gauging) Close() []trust.Finding { return g.hits }

func (g *gauging) measure() {
	*g.peak = max(*g.peak, alive())
	*g.deepest = max(*g.deepest, strings.Count(g.file.Path, trust.Nested))
}

func alive() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heavy is an archive that fills histories before something is nested in it.
func heavy(t *testing.T, mebibytes int, name, inner string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		size int64
		r    io.Reader
	}{{"zeros", int64(mebibytes) << 20, zeros{}}, {name, int64(len(inner)), strings.NewReader(inner)}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: f.size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, f.r, f.size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func xzed(t *testing.T, s string, options ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "xz", append([]string{"-c", "-T1"}, options...)...)
	cmd.Stdin = strings.NewReader(s)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("xz: %v", err)
	}
	return string(out)
}

func zstded(t *testing.T, s string, window int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(false))
	if err == nil {
		_, err = io.WriteString(w, s)
		err = errors.Join(err, w.Flush(), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMemoryOfOneLayer: whatever is nested in a layer, what is alive while it is inspected stays below 64 MiB. Content
// beyond is opaque or a limit, and never clean. The test is not parallel, because it measures.
func TestMemoryOfOneLayer(t *testing.T) { //nolint:paralleltest // as it says
	const most = 64 << 20
	wide := []string{"--lzma2=preset=0,dict=64MiB"}
	nest := func(depth, mebibytes int, suffix string, pack func(string) string) string {
		s := "echo " + word + "\n"
		name := "run.sh"
		for range depth {
			s = pack(heavy(t, mebibytes, name, s))
			name = "inner" + suffix
		}
		return s
	}
	xz := func(s string) string { return xzed(t, s, wide...) }
	for _, c := range []struct {
		name, file string
		leaf       string
		content    func() string
		// packed makes the layer of its archive.
		packed func(string) string
		found  bool
	}{
		{"xz once", "a.tar.xz", "run.sh", func() string { return nest(1, 24, ".tar.xz", xz) }, nil, true},
		{"xz in xz", "a.tar.xz", "run.sh", func() string { return nest(3, 24, ".tar.xz", xz) }, nil, false},
		{"xz in small xz", "a.tar.xz", "run.sh", func() string { return nest(3, 1, ".tar.xz", xz) }, nil, true},
		{"lzma in lzma", "a.tar.lzma", "run.sh", func() string {
			return nest(3, 24, ".tar.lzma", func(s string) string { return xzed(t, s, "--format=lzma", "--lzma1=preset=0,dict=64MiB") })
		}, nil, false},
		{"zstd in zstd", "a.tar.zst", "run.sh", func() string { return nest(3, 1, ".tar.zst", func(s string) string { return zstded(t, s, 32<<20) }) }, nil, false},
		{"everything in zstd", "a.tar.xz", "run.sh", func() string { return nest(3, 24, ".tar.xz", xz) }, func(s string) string { return zstded(t, s, 32<<20) }, false},
		{"chain of texts", "run.py", "", func() string { return chain(64, "print('"+word+"')\n"+strings.Repeat("# and more of it\n", 20000)) }, nil, true},
		{"gzip in base64", "run.sh", "", func() string {
			s := "echo " + word + "\n"
			for range 30 {
				var b bytes.Buffer
				w, _ := gzip.NewWriterLevel(&b, 1)
				_, _ = io.WriteString(w, s+strings.Repeat("echo and more\n", 60000))
				_ = w.Close()
				s = "#!/bin/sh\necho " + base64.StdEncoding.EncodeToString(b.Bytes()) + " | base64 -d | gunzip | sh\n"
			}
			return s
		}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) { //nolint:paralleltest // as above
			content := c.content()
			blob := heavy(t, 1, c.file, content)
			if c.packed != nil {
				blob = c.packed(heavy(t, 40, c.file, content))
			}
			var peak uint64
			var deepest int
			s, err := scan.New([]indicator.Indicator{gauge{&peak, &deepest}}, all.New(), digest.FromString("rules"), scan.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(blob), Size: int64(len(blob))}
			before := alive()
			got, err := s.Layer(t.Context(), strings.NewReader(blob), desc)
			held := int64(peak - min(before, peak))
			t.Logf("%d MiB at its peak, %d deep, %d findings, error %v", held>>20, deepest, len(got.Findings), err)
			if held > most {
				t.Errorf("%d bytes are alive, the limit is %d", held, most)
			}
			found, opaque := "", ""
			for _, f := range got.Findings {
				if f.Check == "gauge@1" && strings.HasSuffix(f.Path, c.leaf) {
					found = f.Path
				}
				if f.Class == trust.ClassOpaque {
					opaque = fmt.Sprint(f.Path, ": ", f.Why)
				}
			}
			if (found != "") != c.found || found == "" && opaque == "" && !errors.Is(err, trust.ErrLimit) {
				t.Errorf("found at %q, opaque %q, error %v", found, opaque, err)
			}
		})
	}
}
