//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
)

// packed is a layer in memory.
func packed(tb testing.TB, seed uint64, size int64) ([]byte, *layerWriter) {
	tb.Helper()
	var b bytes.Buffer
	l := newLayerWriter(&b)
	if err := l.write(tb.Context(), newContent(seed, 0), size); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), l
}

// indicators are those that are shipped, with the digest of their rules.
func indicators(tb testing.TB) ([]indicator.Indicator, digest.Digest) {
	tb.Helper()
	shipped, err := configs.Rules()
	if err != nil {
		tb.Fatal(err)
	}
	rules, err := ruleset.Load(shipped)
	if err != nil {
		tb.Fatal(err)
	}
	found, err := all.New(rules)
	if err != nil {
		tb.Fatal(err)
	}
	return found, rules.Digest()
}

func TestLayerDependsOnSeedAlone(t *testing.T) {
	t.Parallel()
	_, a := packed(t, 1, 1<<20)
	_, b := packed(t, 1, 1<<20)
	_, c := packed(t, 2, 1<<20)
	if a.blob().Descriptor.Digest != b.blob().Descriptor.Digest {
		t.Error("two layers of one seed differ")
	}
	if a.blob().Descriptor.Digest == c.blob().Descriptor.Digest {
		t.Error("layers of two seeds are the same")
	}
}

// The numbers of the benchmark mean little if its content packs unlike that of images.
func TestContentPacksLikeImages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind     kind
		from, to float64
	}{
		"text": {text, 3, 5}, "code": {code, 2, 3}, "noise": {noise, 0.9, 1.1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const size = 4 << 20
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := io.CopyN(z, newContent(1, 0).body(tc.kind), size); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if ratio := float64(size) / float64(b.Len()); ratio < tc.from || ratio > tc.to {
				t.Errorf("packs %.2f : 1, want %v to %v", ratio, tc.from, tc.to)
			}
		})
	}
}

// A clean image is the case that costs most: nothing ends its inspection early.
func TestContentIsClean(t *testing.T) {
	t.Parallel()
	blob, l := packed(t, 1, 4<<20)
	shipped, rules := indicators(t)
	scanner, err := scan.New(shipped, nil, rules, scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := scanner.Layer(t.Context(), bytes.NewReader(blob), l.blob().Descriptor)
	if err != nil || len(got.Findings) > 0 {
		t.Errorf("%v: %v", err, got.Findings)
	}
	if got.DiffID != l.blob().DiffID || got.Bytes != l.plain.n || got.Files == 0 {
		t.Errorf("inspected %d files, %d bytes, diff ID %s; want %d bytes, %s", got.Files, got.Bytes, got.DiffID, l.plain.n, l.blob().DiffID)
	}
}

// A foreign client must find the image whole.
func TestMakeImage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	const size = 4 << 20
	made, err := makeImage(t.Context(), host, "bench/app", size, 1)
	if err != nil {
		t.Fatal(err)
	}
	if made.packed < size || made.packed > size*3/2 || made.plain < made.packed {
		t.Errorf("%d bytes, %d unpacked; want about %d", made.packed, made.plain, size)
	}
	ref, err := name.ParseReference(host + "/bench/app:1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != len(shares()) {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

func TestMakeImageFails(t *testing.T) {
	t.Parallel()
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/v2/x")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		http.Error(w, "no space left", http.StatusInternalServerError)
	}))
	t.Cleanup(full.Close)
	if _, err := makeImage(t.Context(), strings.TrimPrefix(full.URL, "http://"), "a", 1<<20, 1); err == nil {
		t.Error("a registry that refuses is no error")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newLayerWriter(io.Discard).write(cancelled, newContent(1, 0), 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFilesFitTheLimit(t *testing.T) {
	t.Parallel()
	c := newContent(1, 0)
	h := sha256.New()
	for range 2000 {
		hdr, body := c.next(8 << 10)
		if n, err := io.Copy(h, body); err != nil || n != hdr.Size || n > 8<<10 {
			t.Fatalf("%s: %d bytes of %d, %v", hdr.Name, n, hdr.Size, err)
		}
	}
}
