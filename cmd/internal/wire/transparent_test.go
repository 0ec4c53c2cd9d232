package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/test/registrytest"
)

// TestTransparent: an engine that takes the proxy for Docker Hub, by DNS or by HTTPS_PROXY, gets what is allowed, and
// of what is not a refusal that is final, since it knows no other road.
func TestTransparent(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	good, bad := clean(), mining(t)
	put(r, "acme/good", "latest", good)
	put(r, "acme/bad", "latest", bad)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if err := MakeAuthority(cert, key, []string{"registry-1.docker.io", "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	front := freeAddress(t)
	p := start(t, r, "    transparentHosts: [registry-1.docker.io]\nconnect: {listen: '"+front+"'}\n"+
		"tls:\n  names: [127.0.0.1]\n  ca: {certFile: '"+cert+"', keyFile: '"+key+"'}\n")
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	address := strings.TrimPrefix(p.url, "http://")

	byDNS := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	byProxy := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: front}),
	}
	own := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	for name, c := range map[string]struct {
		transport *http.Transport
		base      string
	}{"dns": {byDNS, "https://registry-1.docker.io"}, "connect": {byProxy, "https://registry-1.docker.io"}, "own_name": {own, "https://" + address}} {
		t.Cleanup(c.transport.CloseIdleConnections)
		client := &http.Client{Transport: c.transport}
		for path, want := range map[string]int{"/v2/": 200, "/v2/acme/good/manifests/latest": 200, "/v2/acme/bad/manifests/latest": 403} {
			resp, body := get(t, client, c.base+path)
			// On a busy machine the manifest may flow before the verdict, with the ends of the blobs withheld.
			for end := time.Now().Add(recovery); want == 403 && resp.StatusCode == 200 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				resp, body = get(t, client, c.base+path)
			}
			if resp.StatusCode != want || want == 403 && !strings.Contains(body, "DENIED") || resp.Header.Get("Www-Authenticate") != "" {
				t.Errorf("%s %s: %s %s", name, path, resp.Status, body)
			}
		}
	}
	for _, other := range []string{"https://auth.docker.io/token", "https://127.0.0.1:1/", "https://registry-1.docker.io:22/"} {
		resp, err := (&http.Client{Transport: byProxy}).Get(other) //nolint:noctx // a test on loopback
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("%s: %v", other, err)
		}
	}
	resp, err := http.Get("http://" + front + "/v2/") //nolint:noctx // a test on loopback
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAuthorityMustFitTheConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if err := MakeAuthority(cert, key, []string{"ghcr.io"}); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, "stateDir: "+dir+"\ntls: {ca: {certFile: '"+cert+"', keyFile: '"+key+"'}}\n"+
		"upstreams: [{host: docker.io, transparentHosts: [registry-1.docker.io]}]\n")
	if err := Verify(cfg, nil); err == nil || !strings.Contains(err.Error(), "cannot sign for registry-1.docker.io") {
		t.Error(err)
	}
}

func get(t *testing.T, client *http.Client, address string) (resp *http.Response, body string) {
	t.Helper()
	resp, err := client.Get(address) //nolint:noctx // a test on loopback
	if err != nil {
		t.Fatal(address, err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(text)
}
