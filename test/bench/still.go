//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/safepull/safepull/test/imagetest"
)

// still is an upstream that answers from memory at once, so that rates of requests are those of the proxies before it.
// As public registries do, it asks for a token: who remembers that need not be asked again.
type still struct {
	address string
	server  *http.Server
	content map[string]document
}

type document struct {
	mediaType, digest string
	body              []byte
}

// newStill serves one image.
func newStill(ctx context.Context, repository, tag string, b imagetest.Built) (*still, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &still{address: l.Addr().String(), content: map[string]document{}}
	base := "/v2/" + repository
	root := document{b.Root.MediaType, b.Root.Digest.String(), b.Manifest}
	s.content[base+"/manifests/"+tag], s.content[base+"/manifests/"+root.digest] = root, root
	for _, blob := range b.Blobs {
		d := blob.Descriptor.Digest.String()
		s.content[base+"/blobs/"+d] = document{"application/octet-stream", d, blob.Content}
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: patience}
	go func() { _ = s.server.Serve(l) }() // ends with Close
	return s, nil
}

func (s *still) close() { _ = s.server.Close() }

// ServeHTTP implements http.Handler.
func (s *still) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const token = "for-everyone"
	if r.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token":%q,"expires_in":3600,"issued_at":%q}`, token, time.Now().UTC().Format(time.RFC3339))
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		scope := ""
		if name, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/"); ok {
			scope = fmt.Sprintf(`,scope="repository:%s:pull"`, name)
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="bench"%s`, s.address, scope))
		http.Error(w, "a token is required", http.StatusUnauthorized)
		return
	}
	d, ok := s.content[r.URL.Path]
	if !ok && r.URL.Path != "/v2/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", d.mediaType)
	w.Header().Set("Docker-Content-Digest", d.digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(d.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.body) // a client that is gone needs no answer
	}
}
