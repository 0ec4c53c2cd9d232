package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepull/safepull/proxy"
	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/test/registrytest"
)

// BenchmarkRequests tells what the whole proxy costs for a request whose answer it has. A request by tag asks the
// registry, which is in this process too; the log goes to a file.
func BenchmarkRequests(b *testing.B) {
	r := registrytest.Start(b, registrytest.Options{})
	good := clean()
	put(r, "acme/good", "latest", good)
	address := serveInFile(b, r)
	name := "/v2/docker.io/acme/good/"
	for _, path := range []string{"manifests/latest", "manifests/" + good.Root.Digest.String(), "blobs/" + good.Blobs[1].Descriptor.Digest.String()} {
		requestOnce(b, address, http.MethodGet, name+path)
	}
	for label, of := range map[string][2]string{
		"HEAD/tag":    {http.MethodHead, name + "manifests/latest"},
		"HEAD/digest": {http.MethodHead, name + "manifests/" + good.Root.Digest.String()},
		"GET/digest":  {http.MethodGet, name + "manifests/" + good.Root.Digest.String()},
		"GET/blob":    {http.MethodGet, name + "blobs/" + good.Blobs[1].Descriptor.Digest.String()},
	} {
		b.Run(label, func(b *testing.B) {
			ask := keepAsking(b, address, of[0], of[1])
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}

// serveInFile runs a proxy of docker.io, which is r, as the program does.
func serveInFile(b *testing.B, r *registrytest.Registry) string {
	b.Helper()
	dir := b.TempDir()
	file := filepath.Join(dir, "proxy.yaml")
	yaml := "listen: 127.0.0.1:0\nstateDir: " + dir + "/state\nstopGrace: 0s\nupstreams:\n  - {host: docker.io, alias: docker.io, url: " + r.URL() + ", plainHTTP: true}\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	log, err := proxy.NewLogger(out, "info", "auto")
	if err != nil {
		b.Fatal(err)
	}
	at := make(addresses, 1)
	log.AddHook(at)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Proxy(ctx, cfg, nil, nil, log) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		out.Close()
	})
	select {
	case address := <-at:
		return address
	case err := <-done:
		done <- err
		b.Fatalf("the proxy did not start: %v", err)
	}
	return ""
}

func requestOnce(b *testing.B, address, method, path string) {
	b.Helper()
	keepAsking(b, address, method, path)()
}

// keepAsking makes a request on one connection each time it is called.
func keepAsking(b *testing.B, address, method, path string) func() {
	b.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // on loopback
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: proxy\r\nUser-Agent: bench\r\n\r\n", method, path)
	req := &http.Request{Method: method}
	return func() {
		if _, err := io.WriteString(conn, text); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
		}
	}
}
