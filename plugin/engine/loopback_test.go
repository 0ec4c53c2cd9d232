package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// lending opens a loopback registry with the sample's amd64 child.
func lending(t *testing.T, s *sample) *loopback {
	t.Helper()
	img, err := open(t.Context(), ref, s.index, s.children["amd64"], s)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoopback(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// TestLoopbackServes: the judged image and nothing else, to whoever knows the name and to nobody else.
func TestLoopbackServes(t *testing.T) {
	t.Parallel()
	s := newSample(t, "serves")
	l := lending(t, s)
	manifests, blobs := "/v2/"+l.secret+"/manifests/", "/v2/"+l.secret+"/blobs/"
	other := strings.Repeat("0", len(l.secret)-len("safepull/"))
	child, parts := s.children["amd64"].Digest, s.parts["amd64"]
	for _, c := range []struct {
		name, method, path string
		want               int
		body               digest.Digest
		mediaType          string
	}{
		{"greeting", "GET", "/v2/", 200, "", ""},
		{"index", "GET", manifests + s.index.Digest.String(), 200, s.index.Digest, ocispec.MediaTypeImageIndex},
		{"manifest", "GET", manifests + child.String(), 200, child, ocispec.MediaTypeImageManifest},
		{"manifest, HEAD", "HEAD", manifests + child.String(), 200, "", ocispec.MediaTypeImageManifest},
		{"config", "GET", blobs + parts.Config.Digest.String(), 200, parts.Config.Digest, "application/octet-stream"},
		{"layer", "GET", blobs + parts.Layers[0].Digest.String(), 200, parts.Layers[0].Digest, "application/octet-stream"},
		{"layer, HEAD", "HEAD", blobs + parts.Layers[0].Digest.String(), 200, "", "application/octet-stream"},
		{"the child that was not judged", "GET", manifests + s.children["arm64"].Digest.String(), 404, "", ""},
		{"its layer", "GET", blobs + s.parts["arm64"].Layers[0].Digest.String(), 404, "", ""},
		{"a layer as a manifest", "GET", manifests + parts.Layers[0].Digest.String(), 404, "", ""},
		{"the manifest as a blob", "GET", blobs + child.String(), 404, "", ""},
		{"a tag", "GET", manifests + "latest", 404, "", ""},
		{"no digest", "GET", manifests, 404, "", ""},
		{"another secret", "GET", "/v2/safepull/" + other + "/manifests/" + child.String(), 404, "", ""},
		{"a shorter secret", "GET", "/v2/" + l.secret[:len(l.secret)-1] + "/manifests/" + child.String(), 404, "", ""},
		{"no secret", "GET", "/v2/manifests/" + child.String(), 404, "", ""},
		{"catalogue", "GET", "/v2/_catalog", 404, "", ""},
		{"tags", "GET", "/v2/" + l.secret + "/tags/list", 404, "", ""},
		{"upload", "POST", "/v2/" + l.secret + "/blobs/uploads/", 404, "", ""},
		{"write", "PUT", manifests + child.String(), 404, "", ""},
		{"delete", "DELETE", manifests + child.String(), 404, "", ""},
		{"root", "GET", "/", 404, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+l.host+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.want {
				t.Errorf("status %s, error %v", resp.Status, err)
			}
			if c.body != "" && digest.FromBytes(body) != c.body {
				t.Errorf("body is not %s", c.body)
			}
			if c.want == 200 && c.mediaType != resp.Header.Get("Content-Type") {
				t.Errorf("type %s", resp.Header.Get("Content-Type"))
			}
			if bytes.Contains(body, []byte(l.secret)) {
				t.Error("the answer gives the secret away")
			}
		})
	}
}

func TestLoopbackSecretsDiffer(t *testing.T) {
	t.Parallel()
	s := newSample(t, "secret")
	a, b := lending(t, s), lending(t, s)
	if a.secret == b.secret || len(a.secret) < 40 {
		t.Errorf("secrets %q and %q", a.secret, b.secret)
	}
	if !strings.HasPrefix(a.host, "127.0.0.1:") {
		t.Errorf("listens on %s", a.host)
	}
}

// TestLoopbackWrongBytes: what does not verify never arrives whole, and ends the engine's pull.
func TestLoopbackWrongBytes(t *testing.T) {
	t.Parallel()
	for _, blob := range []int{0, 1} { // one in many pieces, one in a single piece
		s := newSample(t, "wrong")
		d := s.parts["amd64"].Layers[blob].Digest
		s.fault[d] = wrong
		l := lending(t, s)
		ctx, cancel := l.untilFailure(t.Context())
		defer cancel()
		body, err := get(t.Context(), "http://"+l.host+"/v2/"+l.secret+"/blobs/"+d.String())
		if err == nil || len(body) >= len(s.content[d]) {
			t.Errorf("got %d of %d bytes, error %v", len(body), len(s.content[d]), err)
		}
		<-ctx.Done()
		if err := l.failure(); !errors.Is(err, trust.ErrIntegrity) {
			t.Errorf("failure %v", err)
		}
	}
}

// TestLoopbackFull: more requests at once than the limit are turned away, and places become free again.
func TestLoopbackFull(t *testing.T) {
	t.Parallel()
	s := newSample(t, "full")
	d := s.parts["amd64"].Layers[0].Digest
	reached := make(chan struct{}, 2*maxRequests)
	s.fault[d] = func(ctx context.Context, _ []byte) (io.ReadCloser, error) {
		reached <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	l := lending(t, s)
	url := "http://" + l.host + "/v2/" + l.secret
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range maxRequests {
		go func() {
			_, err := get(ctx, url+"/blobs/"+d.String())
			ended <- err
		}()
	}
	for range maxRequests {
		<-reached
	}
	if _, err := get(t.Context(), url+"/manifests/"+s.index.Digest.String()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range maxRequests {
		if err := <-ended; err == nil {
			t.Error("a hanging blob arrived")
		}
	}
	for range maxRequests {
		l.slots <- struct{}{} // every handler gives its place back
	}
	for range maxRequests {
		<-l.slots
	}
	if _, err := get(t.Context(), url+"/manifests/"+s.index.Digest.String()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestLoopbackClose ends handlers in the middle of a blob and leaves nobody listening.
func TestLoopbackClose(t *testing.T) {
	t.Parallel()
	s := newSample(t, "close")
	d := s.parts["amd64"].Layers[0].Digest
	hangs := make(chan struct{})
	s.fault[d] = hang(hangs)
	l := lending(t, s)
	ended := make(chan error)
	go func() {
		_, err := get(context.Background(), "http://"+l.host+"/v2/"+l.secret+"/blobs/"+d.String())
		ended <- err
	}()
	<-hangs
	l.Close()
	if err := <-ended; err == nil {
		t.Error("the blob arrived")
	}
	if _, err := get(t.Context(), "http://"+l.host+"/v2/"); err == nil {
		t.Error("still listening")
	}
	if err := l.failure(); err != nil {
		t.Errorf("closing counts as a failure of the source: %v", err)
	}
	l.Close()
}
