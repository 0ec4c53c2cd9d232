//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
)

// TestHub: through it, docker.io is the registry, and nobody else is there.
func TestHub(t *testing.T) {
	t.Parallel()
	h, err := startHub(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	i := makeImage("h", blocked)
	i.put(h.registry, "contoso/h", "1")
	pem, err := os.ReadFile(h.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: h.address}), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	for _, c := range []struct {
		method, path string
		status       int
		asked, given int
	}{
		{http.MethodHead, "/v2/contoso/h/manifests/1", 200, 1, 0},
		{http.MethodGet, "/v2/contoso/h/manifests/2", 404, 2, 0},
		{http.MethodGet, "/v2/contoso/h/manifests/1", 200, 3, 1},
		{http.MethodGet, "/v2/contoso/other/manifests/1", 404, 3, 1},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "https://registry-1.docker.io"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		if asked, given := h.asked("contoso/h"); resp.StatusCode != c.status || asked != c.asked || given != c.given {
			t.Errorf("%s %s: %d, asked %d, given %d; want %d, %d, %d", c.method, c.path, resp.StatusCode, asked, given, c.status, c.asked, c.given)
		}
	}
	if _, err := client.Get("https://ghcr.io/v2/"); err == nil { //nolint:bodyclose // There is none.
		t.Error("there is a road to ghcr.io")
	}
}
