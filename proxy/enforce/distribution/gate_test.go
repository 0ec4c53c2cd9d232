package distribution_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// world is a real gate over one image with one blob.
type world struct {
	blob     []byte
	image    []byte
	fetches  atomic.Int32
	asked    atomic.Int32
	action   trust.Action
	hold     chan struct{} // judgements wait for it unless nil
	began    chan struct{} // a judgement has begun
	corrupt  bool          // the last byte of the blob
	short    bool
	cached   bool
	mu       sync.Mutex
	verdicts map[digest.Digest]trust.Verdict
}

func newWorld() *world {
	return &world{
		blob: bytes.Repeat([]byte("0123456789"), 20_000), action: trust.Allow, began: make(chan struct{}, 1), verdicts: map[digest.Digest]trust.Verdict{},
		image: []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{"digest":"` + digest.FromString("{}").String() + `","size":2},"layers":[]}`),
	}
}

func (w *world) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	d := digest.FromBytes(w.image)
	if ref.Digest != "" && ref.Digest != d {
		return ocispec.Descriptor{}, trust.ErrNotFound
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(w.image))}, nil
}

func (w *world) Fetch(_ context.Context, _ trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.Digest != digest.FromBytes(w.blob) {
		return io.NopCloser(bytes.NewReader(w.image)), nil
	}
	w.fetches.Add(1)
	switch {
	case w.corrupt:
		return io.NopCloser(io.MultiReader(bytes.NewReader(w.blob), failing{trust.ErrIntegrity})), nil
	case w.short:
		return io.NopCloser(io.MultiReader(bytes.NewReader(w.blob[:len(w.blob)/2]), failing{trust.ErrUnavailable})), nil
	}
	return io.NopCloser(bytes.NewReader(w.blob)), nil
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

func (w *world) Open(context.Context, digest.Digest) (io.ReadSeekCloser, int64, error) {
	if !w.cached {
		return nil, 0, trust.ErrNotFound
	}
	return seekable{bytes.NewReader(w.blob)}, int64(len(w.blob)), nil
}

func (w *world) Judge(_ context.Context, ref trust.Reference, _ trust.Source) (trust.Verdict, error) {
	w.asked.Add(1)
	select {
	case w.began <- struct{}{}:
	default:
	}
	if w.hold != nil {
		<-w.hold
	}
	v := trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: w.action,
		Reasons: []string{"a reason"}, Blobs: []trust.Blob{{Digest: digest.FromBytes(w.blob), Size: int64(len(w.blob))}}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdicts[ref.Digest] = v
	return v, nil
}

func (w *world) Remembered(_ context.Context, ref trust.Reference) (trust.Verdict, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.verdicts[ref.Digest]
	return v, ok, nil
}

func (w *world) Standing(trust.Reference) trust.Standing { return trust.Standing{} }

func (w *world) Manifests(_ context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	if name != "docker.io/acme/app" || blob != digest.FromBytes(w.blob) {
		return nil, nil
	}
	return []digest.Digest{digest.FromBytes(w.image)}, nil
}

func (w *world) gate(t *testing.T) *enforce.Gate {
	t.Helper()
	g, err := enforce.New(w, w, enforce.ByHost{"docker.io": w}, enforce.Options{Cache: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (w *world) blobPath() string { return "/v2/acme/app/blobs/" + digest.FromBytes(w.blob).String() }

func TestHundredColdPullsOneJudgement(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.hold = make(chan struct{})
	s := serve(t, w.gate(t), fakeLister{})
	var wg sync.WaitGroup
	for i := range 100 {
		path := "/v2/acme/app/manifests/1"
		if i%2 == 1 {
			path = "/v2/docker.io/acme/app/manifests/" + digest.FromBytes(w.image).String()
		}
		wg.Go(func() {
			resp, err := s.Client().Get(s.URL + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, w.image) || resp.StatusCode != 200 {
				t.Errorf("%s %q %v", resp.Status, body, err)
			}
		})
	}
	w.hold <- struct{}{} // one judgement takes it; a second would wait for ever and fail the close of the gate
	wg.Wait()
	if n := w.asked.Load(); n != 1 {
		t.Errorf("%d judgements", n)
	}
}

func TestDisconnectLeavesTheJudgementRunning(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.hold = make(chan struct{})
	s := serve(t, w.gate(t), fakeLister{})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+someTag, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		resp, err := s.Client().Do(req)
		if err == nil {
			err = errors.Join(errors.New("answered"), resp.Body.Close())
		}
		gone <- err
	}()
	<-w.began
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(w.hold)
	if got := do(t, s, "GET", someTag); got.StatusCode != 200 || w.asked.Load() != 1 {
		t.Errorf("%s after %d judgements", got.Status, w.asked.Load())
	}
}

func TestBlockedImageGivesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.action, w.cached = trust.Block, true
	s := serve(t, w.gate(t), fakeLister{})
	for _, path := range []string{someTag, "/v2/acme/app/manifests/" + digest.FromBytes(w.image).String(), w.blobPath()} {
		for _, method := range []string{"GET", "HEAD"} {
			got := do(t, s, method, path)
			if got.StatusCode != 403 || got.Header.Get("Docker-Content-Digest") != "" || bytes.Contains(got.body, w.image) {
				t.Errorf("%s %s: %s %v", method, path, got.Status, got.Header)
			}
		}
	}
}

func TestBlobOfAnotherRepository(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := serve(t, w.gate(t), fakeLister{})
	if got := do(t, s, "GET", someTag); got.StatusCode != 200 {
		t.Fatal(got.Status)
	}
	got := do(t, s, "GET", strings.Replace(w.blobPath(), "acme", "evil", 1))
	if got.StatusCode != 404 || !strings.Contains(got.message(), "no allowed manifest of docker.io/evil/app") {
		t.Errorf("%s %s", got.Status, got.body)
	}
}

// TestRanges has the blob in the cache, where it can be sought, and upstream, where it cannot.
func TestRanges(t *testing.T) {
	t.Parallel()
	size := len(newWorld().blob)
	tag := `"` + digest.FromBytes(newWorld().blob).String() + `"`
	part := func(from, to int) string { return fmt.Sprintf("bytes %d-%d/%d", from, to, size) }
	cases := map[string]struct {
		header     []string
		status     int
		from, to   int // of the body, to exclusive
		contentRng string
	}{
		"none":           {nil, 200, 0, size, ""},
		"first":          {[]string{"Range", "bytes=0-0"}, 206, 0, 1, part(0, 0)},
		"middle":         {[]string{"Range", "bytes=100-199"}, 206, 100, 200, part(100, 199)},
		"resume":         {[]string{"Range", "bytes=70000-"}, 206, 70000, size, part(70000, size-1)},
		"last_byte":      {[]string{"Range", fmt.Sprintf("bytes=%d-", size-1)}, 206, size - 1, size, part(size-1, size-1)},
		"beyond_end":     {[]string{"Range", fmt.Sprintf("bytes=5-%d", size+100)}, 206, 5, size, part(5, size-1)},
		"suffix":         {[]string{"Range", "bytes=-7"}, 206, size - 7, size, part(size-7, size-1)},
		"suffix_all":     {[]string{"Range", "bytes=-999999999"}, 206, 0, size, part(0, size-1)},
		"if_range":       {[]string{"Range", "bytes=1-2", "If-Range", tag}, 206, 1, 3, part(1, 2)},
		"if_range_other": {[]string{"Range", "bytes=1-2", "If-Range", `"other"`}, 200, 0, size, ""},
		"if_range_weak":  {[]string{"Range", "bytes=1-2", "If-Range", "W/" + tag}, 200, 0, size, ""},
		"other_unit":     {[]string{"Range", "lines=1-2"}, 200, 0, size, ""},
		"backwards":      {[]string{"Range", "bytes=5-2"}, 200, 0, size, ""},
		"nonsense":       {[]string{"Range", "bytes=x-y"}, 200, 0, size, ""},
		"signed":         {[]string{"Range", "bytes=+1-2"}, 200, 0, size, ""},
		"overflow":       {[]string{"Range", "bytes=99999999999999999999-"}, 200, 0, size, ""},
		"at_size":        {[]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, -1, fmt.Sprintf("bytes */%d", size)},
		"empty_suffix":   {[]string{"Range", "bytes=-0"}, 416, 0, -1, fmt.Sprintf("bytes */%d", size)},
		"several":        {[]string{"Range", "bytes=0-1,5-6"}, 400, 0, -1, ""},
		"two_headers":    {[]string{"Range", "bytes=0-1", "Range", "bytes=5-6"}, 400, 0, -1, ""},
		"not_modified":   {[]string{"If-None-Match", tag}, 304, 0, 0, ""},
	}
	for name, c := range cases {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s_cached_%v", name, cached), func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				w.cached = cached
				s := serve(t, w.gate(t), fakeLister{})
				got := do(t, s, "GET", w.blobPath(), c.header...)
				if got.StatusCode != c.status || got.Header.Get("Content-Range") != c.contentRng {
					t.Fatalf("%s, Content-Range %q", got.Status, got.Header.Get("Content-Range"))
				}
				if c.to >= 0 && !bytes.Equal(got.body, w.blob[c.from:c.to]) {
					t.Errorf("wrong bytes (%d)", len(got.body))
				}
				if c.status == 200 && (got.Header.Get("Accept-Ranges") != "bytes" || got.Header.Get("Etag") != tag) {
					t.Errorf("header %v", got.Header)
				}
			})
		}
	}
}

func TestHeadOfABlobFetchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := serve(t, w.gate(t), fakeLister{})
	got := do(t, s, "HEAD", w.blobPath(), "Range", "bytes=1-2")
	if got.StatusCode != 200 || got.ContentLength != int64(len(w.blob)) || w.fetches.Load() != 0 {
		t.Errorf("%s, length %d, %d fetches", got.Status, got.ContentLength, w.fetches.Load())
	}
}

// TestBrokenBlobIsNeverWhole: a blob that turns out wrong at its end, or ends early, reaches no client as complete.
func TestBrokenBlobIsNeverWhole(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"corrupt": func(w *world) { w.corrupt = true },
		"short":   func(w *world) { w.short = true },
	} {
		for _, header := range [][]string{nil, {"Range", "bytes=10-"}} {
			t.Run(fmt.Sprintf("%s_%d", name, len(header)), func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				change(w)
				got := do(t, serve(t, w.gate(t), fakeLister{}), "GET", w.blobPath(), header...)
				if int64(len(got.body)) >= got.ContentLength {
					t.Errorf("%d of %d bytes arrived", len(got.body), got.ContentLength)
				}
			})
		}
	}
}

func TestBlobUpstreamDown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.short = true
	got := do(t, serve(t, w.gate(t), fakeLister{}), "GET", w.blobPath(), "Range", fmt.Sprintf("bytes=%d-", len(w.blob)-1))
	if got.StatusCode != 502 {
		t.Errorf("%s", got.Status)
	}
}
