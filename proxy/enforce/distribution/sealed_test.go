package distribution_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

const (
	reserve = 64 << 10
	floor   = 32 << 10
)

// sealedWorld is a world whose manifest names its blob.
type sealedWorld struct{ *world }

func newSealedWorld(t *testing.T) sealedWorld {
	t.Helper()
	w := newWorld()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range w.blob {
		w.blob[i] = byte(r.Uint32())
	}
	var err error
	w.image, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("{}"), Size: 2},
		"layers": []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(w.blob), Size: int64(len(w.blob))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.hold = make(chan struct{})
	return sealedWorld{w}
}

// Manifests know of the image when it was judged.
func (w sealedWorld) Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.verdicts) == 0 {
		return nil, nil
	}
	return w.world.Manifests(ctx, name, blob)
}

// serve starts a server that delivers sealed to those without another road.
func (w sealedWorld) serve(t *testing.T, drip, hold time.Duration) *httptest.Server {
	t.Helper()
	g, err := enforce.New(w, w, enforce.ByHost{"docker.io": w}, enforce.Options{Cache: w, Hold: hold, SealAfter: time.Millisecond, Drip: drip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h, err := distribution.New(g, []distribution.Upstream{{Host: "docker.io", Alias: "docker.io", Default: true, Sealed: true, Lister: fakeLister{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// download is one connection that takes what it gets.
type download struct {
	start int64
	mu    sync.Mutex
	body  []byte
	err   error
	done  chan struct{}
}

func (d *download) upTo() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.start + int64(len(d.body))
}

func fetch(t *testing.T, s *httptest.Server, path, bytesRange string, start int64) *download {
	t.Helper()
	d := &download{start: start, done: make(chan struct{})}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytesRange != "" {
		req.Header.Set("Range", bytesRange)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 && resp.StatusCode != 206 {
		t.Fatalf("%s: %s", bytesRange, resp.Status)
	}
	go func() {
		defer close(d.done)
		defer resp.Body.Close()
		buf := make([]byte, 4096)
		for {
			n, err := resp.Body.Read(buf)
			d.mu.Lock()
			d.body, d.err = append(d.body, buf[:n]...), err
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return d
}

func (w sealedWorld) path() string {
	return "/v2/docker.io/acme/app/blobs/" + digest.FromBytes(w.blob).String()
}

// begin takes the manifest of the undecided image.
func (w sealedWorld) begin(t *testing.T, s *httptest.Server) {
	t.Helper()
	for _, method := range []string{"HEAD", "GET"} {
		got := do(t, s, method, "/v2/docker.io/acme/app/manifests/1")
		if got.StatusCode != 200 || got.Header.Get("Docker-Content-Digest") != digest.FromBytes(w.image).String() {
			t.Fatalf("%s: %s", method, got.Status)
		}
	}
}

// TestSealedDelivery: random ranges on many connections never yield a byte of the floor before the verdict, all bytes
// are right after it allows, and none more comes after it does not; asking again then is refused.
func TestSealedDelivery(t *testing.T) {
	t.Parallel()
	for _, action := range []trust.Action{trust.Allow, trust.Block, trust.Quarantine} {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s_cached_%t", action, cached), func(t *testing.T) {
				t.Parallel()
				w := newSealedWorld(t)
				w.action, w.cached = action, cached
				size := int64(len(w.blob))
				s := w.serve(t, time.Millisecond, 50*time.Millisecond)
				w.begin(t, s)
				r := rand.New(rand.NewPCG(4, uint64(len(action))))
				all := []*download{fetch(t, s, w.path(), "", 0)}
				for i := range 30 {
					start := r.Int64N(size)
					if i%2 == 0 {
						start = size - 1 - r.Int64N(reserve+100)
					}
					if i%5 == 0 {
						all = append(all, fetch(t, s, w.path(), fmt.Sprintf("bytes=-%d", size-start), start))
						continue
					}
					all = append(all, fetch(t, s, w.path(), fmt.Sprintf("bytes=%d-", start), start))
				}
				time.Sleep(300 * time.Millisecond) // some hundred drops, where the machine has time for them
				for _, d := range all {
					for end := time.Now().Add(time.Minute); d.start < size-reserve && d.upTo() < size-reserve+10 && time.Now().Before(end); {
						time.Sleep(10 * time.Millisecond)
					}
					if end := d.upTo(); end > max(d.start, size-floor) || d.start < size-reserve && end < size-reserve+10 {
						t.Errorf("from %d: up to %d of %d", d.start, end, size)
					}
				}
				close(w.hold)
				for _, d := range all {
					<-d.done
					switch end := d.upTo(); {
					case action == trust.Allow && (!errors.Is(d.err, io.EOF) || !bytes.Equal(d.body, w.blob[d.start:])):
						t.Errorf("from %d: %d bytes, %v", d.start, len(d.body), d.err)
					case action != trust.Allow && (errors.Is(d.err, io.EOF) || end > max(d.start, size-floor)):
						t.Errorf("from %d: up to %d, %v", d.start, end, d.err)
					}
				}
				for _, header := range [][]string{nil, {"Range", "bytes=10-"}, {"Range", fmt.Sprintf("bytes=%d-", size-floor)}} {
					got := do(t, s, "GET", w.path(), header...)
					if (action == trust.Allow) != (got.StatusCode < 300) || action != trust.Allow && got.StatusCode != 403 {
						t.Errorf("again, %v: %s", header, got.Status)
					}
				}
			})
		}
	}
}

// TestSmallBlobIsRefusedWithItsReason: nothing of it could go out, so that its answer waits, and can still say why.
func TestSmallBlobIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t)
	w.action = trust.Block
	s := w.serve(t, time.Hour, 20*time.Second)
	w.begin(t, s)
	answers := make(chan answer)
	for _, header := range [][]string{nil, {"Range", "bytes=0-"}} {
		go func() {
			answers <- do(t, s, "GET", "/v2/docker.io/acme/app/blobs/"+digest.FromString("{}").String(), header...)
		}()
	}
	time.Sleep(50 * time.Millisecond)
	close(w.hold)
	for range 2 {
		if got := <-answers; got.StatusCode != 403 || len(got.message()) == 0 {
			t.Errorf("%s %s", got.Status, got.body)
		}
	}
}

// TestSealedGoesToNobodyElse: a client that could fall back waits for the verdict, and gets no blob before.
func TestSealedGoesToNobodyElse(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t)
	defer close(w.hold)
	s := w.serve(t, time.Hour, 50*time.Millisecond)
	w.begin(t, s)
	blob := "/v2/acme/app/blobs/" + digest.FromBytes(w.blob).String()
	for _, agent := range []string{agentGraphdriver, agentPodman, agentUnknown} {
		if got := do(t, s, "GET", blob, "User-Agent", agent); got.StatusCode < 400 || len(got.body) > 1000 {
			t.Errorf("%s: %s", agent, got.Status)
		}
	}
	if got := do(t, s, "GET", blob+"?ns=docker.io", "User-Agent", agentStore); got.StatusCode < 400 {
		t.Errorf("mirror: %s", got.Status)
	}
}

// TestSealedClientLeaves: nothing waits for a client that is gone.
func TestSealedClientLeaves(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t)
	s := w.serve(t, time.Hour, 50*time.Millisecond)
	w.begin(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+w.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, int64(len(w.blob))-reserve); err != nil {
		t.Fatal(err)
	}
	cancel()
	s.Close() // waits for the handler
	close(w.hold)
}
