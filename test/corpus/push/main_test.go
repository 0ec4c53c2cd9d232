package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/safepull/safepull/test/corpus"
)

func TestRun(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	if err := run(t.Context(), strings.TrimPrefix(server.URL, "http://"), "", corpus.Seed); err != nil {
		t.Fatal(err)
	}
	for _, s := range corpus.Generate(corpus.Seed) {
		resp, err := http.Head(server.URL + "/v2/" + s.Repository + "/manifests/" + s.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if got := resp.Header.Get("Docker-Content-Digest"); got != s.Image.Root.Digest.String() {
			t.Errorf("%s: got %q, want %s", s.Repository, got, s.Image.Root.Digest)
		}
	}
	dir := t.TempDir()
	if err := run(t.Context(), "", dir, corpus.Seed); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "contoso_azure-cli", "index.json")); err != nil {
		t.Error(err)
	}
}

func TestRunNeedsOneTarget(t *testing.T) {
	t.Parallel()
	for _, target := range [][2]string{{"", ""}, {"127.0.0.1:1", "x"}} {
		if err := run(t.Context(), target[0], target[1], 1); err == nil {
			t.Errorf("%q: no error", target)
		}
	}
}
