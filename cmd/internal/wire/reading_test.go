package wire

import (
	"net/http"
	"testing"

	"github.com/safepull/safepull/test/registrytest"
)

// TestUpstreamOptions: what a configuration says about reading reaches the wire.
func TestUpstreamOptions(t *testing.T) {
	t.Parallel()
	r, mirror := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	good := clean()
	put(r, "acme/good", "latest", good)
	put(mirror, "acme/good", "latest", good)
	layer := "/v2/acme/good/blobs/" + good.Blobs[1].Descriptor.Digest.String()

	p := start(t, r, "    mirrors: [{url: '"+mirror.URL()+"'}]\n")
	if resp, body := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if r.Count("GET", layer) != 0 || mirror.Count("GET", layer) != 1 {
		t.Errorf("the layer came %d times from the registry, %d times from its mirror", r.Count("GET", layer), mirror.Count("GET", layer))
	}

	never := start(t, r, "    retries: -1\n")
	r.Misbehave("/v2/acme/good/manifests/other", registrytest.Fault{Status: http.StatusServiceUnavailable})
	if resp, _ := never.get(t, "/v2/acme/good/manifests/other"); resp.StatusCode == http.StatusOK {
		t.Error(resp.Status)
	}
	if n := r.Count("", "/v2/acme/good/manifests/other"); n != 1 {
		t.Errorf("%d requests, want no retry", n)
	}

	r.Misbehave("/v2/acme/good/blobs/*", registrytest.Fault{Redirect: mirror.URL()})
	mirror.ForgetRequests()
	strict := start(t, r, "")
	if resp, _ := strict.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusServiceUnavailable || len(mirror.Requests()) != 0 {
		t.Errorf("a redirect that is not configured: %s, %d requests", resp.Status, len(mirror.Requests()))
	}
	told := start(t, r, "    redirectHosts: ['"+mirror.Host()+"']\n    requestsPerSecond: 1000\n    bytesPerSecond: 10MiB\n")
	if resp, body := told.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK || len(mirror.Requests()) == 0 {
		t.Errorf("a redirect that is: %s %s", resp.Status, body)
	}
}
