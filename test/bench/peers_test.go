//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

func addressOf(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func TestClient(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(large)
		case "/later":
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Connection", "close") // the next request needs another one
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/cut":
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("short"))
		}
	}))
	t.Cleanup(server.Close)
	var taken atomic.Int64
	c, err := dial(t.Context(), addressOf(server), &taken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	for range 2 { // on one connection
		h := digest.SHA256.Digester()
		a, err := c.do("GET", "/large", h.Hash())
		if err != nil || a.status != 200 || h.Digest() != digest.FromBytes(large) {
			t.Fatalf("%+v, %v", a, err)
		}
		if a, err := c.do("HEAD", "/large", nil); err != nil || a.length != 1_000_000 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if taken.Load() != 2_000_000 {
		t.Errorf("%d bytes", taken.Load())
	}
	if a, err := c.do("GET", "/later", nil); err != nil || a.status != 503 || a.retryAfter != 7*time.Second {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := c.do("GET", "/cut", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	body := make([]byte, 2_000_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(server.Close)
	line, err := newThrottle(t.Context(), addressOf(server), 4_000_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.close)
	begin := time.Now()
	resp, err := http.Get("http://" + line.address) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != int64(len(body)) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	// The first 8 pieces pass at once.
	if took, least := time.Since(begin), 400*time.Millisecond; took < least {
		t.Errorf("2 MB at 4 MB/s in %s", took)
	}
	if line.passed.Load() < n {
		t.Errorf("%d bytes passed", line.passed.Load())
	}
}

func TestStillAsksForATokenOnce(t *testing.T) {
	t.Parallel()
	built := imagetest.Image{Layers: []imagetest.Blob{imagetest.Layer(imagetest.Text("a", "a"))}}.Build()
	s, err := newStill(t.Context(), "a/b", "1", built)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for path, want := range map[string]int{"/v2/": 401, "/v2/a/b/manifests/1": 401, "/token": 200} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for path, want := range map[string]int{"/v2/": 200, "/v2/a/b/manifests/1": 200, "/v2/a/b/manifests/2": 404} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer for-everyone")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s with a token: %d", path, w.Code)
		}
	}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	m := &monitor{}
	if m.plot() != nil {
		t.Error("nothing was measured, and drawn")
	}
	if m.line("a pull", "nginx") == nil || m.line("a pull", "nginx") != nil {
		t.Error("the first run is kept, and it alone")
	}
	l := m.line("a < pull", "safepull-proxy")
	for i := range 50 {
		l.points = append(l.points, point{time.Duration(i) * time.Second, float64(i) * 1e6, int64(i) << 20})
	}
	svg := m.plot()
	if err := xml.Unmarshal(svg, new(struct{ XMLName xml.Name })); err != nil {
		t.Errorf("no XML: %v\n%s", err, svg)
	}
	if !bytes.Contains(svg, []byte("a &lt; pull")) || bytes.Count(svg, []byte("<polyline")) != 4 {
		t.Errorf("%s", svg)
	}
}

func TestAxis(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{0: 1, -1: 1, 0.3: 0.4, 1: 1, 3: 4, 55: 80, 81: 100, 1200: 2000} {
		if got := axis(most); got != want {
			t.Errorf("axis(%v) = %v, want %v", most, got, want)
		}
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	s := &samples{}
	s.add("Manifest/"+underscored("safepull-proxy, tagTTL 1m: HEAD by tag"), 1500*time.Nanosecond, metric{2.5, "MB/s"})
	const want = "BenchmarkManifest/safepull-proxy_tagTTL_1m/HEAD_by_tag\t1\t1500 ns/op\t2.5 MB/s\n"
	if got := string(s.text()); !strings.HasSuffix(got, "test/bench\n"+want) {
		t.Errorf("%s", got)
	}
}

func TestFetchedTwice(t *testing.T) {
	t.Parallel()
	var img image
	for _, text := range []string{"once", "twice", "never"} {
		img.layers = append(img.layers, imagetest.Blob{Descriptor: ocispec.Descriptor{Digest: digest.FromString(text)}})
	}
	get := func(text string) string {
		return `127.0.0.1 - - [x] "GET /v2/crowd/a/blobs/` + digest.FromString(text).String() + ` HTTP/1.1" 200` + "\n"
	}
	log := get("once") + get("twice") + get("twice") + get("another") + "level=info\n" + strings.Replace(get("once"), "GET", "HEAD", 1)
	if blobs, wrong := fetchedTwice([]byte(log), []image{img, img}); blobs != 3 || wrong != 2 {
		t.Errorf("%d of %d", wrong, blobs)
	}
}

func TestMadeImagesAreKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "images")
	times := 0
	for range 2 {
		m, err := openMade(dir)
		if err != nil {
			t.Fatal(err)
		}
		all, err := m.get(t.Context(), "a", func(context.Context) ([]image, error) {
			times++
			return []image{{repository: "r", tag: "1", packed: 5, layers: []imagetest.Blob{{DiffID: "sha256:x"}}}}, nil
		})
		if err != nil || len(all) != 1 || all[0].repository != "r" || all[0].packed != 5 || all[0].layers[0].DiffID != "sha256:x" {
			t.Errorf("%+v, %v", all, err)
		}
	}
	if times != 1 {
		t.Errorf("made %d times", times)
	}
	if err := os.WriteFile(filepath.Join(dir, "images.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openMade(dir); err == nil {
		t.Error("half a file is no error")
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	some, err := chosen("cold,warm")
	if err != nil || len(some) != 2 || some[0].name != "warm" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosen("warm,luke"); err == nil {
		t.Error("a group that is not there is no error")
	}
	if all, err := chosen(""); err != nil || !slices.ContainsFunc(all, func(g group) bool { return g.name == "crowd" }) {
		t.Errorf("%v, %v", all, err)
	}
}
