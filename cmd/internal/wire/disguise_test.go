package wire

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

// disguised is the image under other media types.
func disguised(t *testing.T, b imagetest.Built, manifestType, configType, layerType string) imagetest.Built {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(b.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	m.MediaType, m.Config.MediaType = manifestType, configType
	for i := range m.Layers {
		m.Layers[i].MediaType = layerType
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	b.Manifest = body
	b.Root = ocispec.Descriptor{MediaType: manifestType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return b
}

// TestDisguisedImagesAreRefused: some engines unpack and run layers and a configuration by whatever media types they go.
// The sample's signs are in its configuration, which only an image has.
func TestDisguisedImagesAreRefused(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	p := start(t, r, "    delivery: hold\n")
	for _, s := range corpus.Generate(corpus.Seed) {
		if !s.Mining || s.Name != "azure-storage" {
			continue
		}
		for _, manifestType := range []string{ocispec.MediaTypeImageManifest, imagetest.DockerManifest} {
			for _, configType := range []string{
				ocispec.MediaTypeImageConfig, "", "application/octet-stream", "text/html", "application/vnd.cncf.helm.config.v1+json", ocispec.MediaTypeEmptyJSON,
			} {
				for _, layerType := range []string{
					ocispec.MediaTypeImageLayerGzip, "", "application/octet-stream", "application/spdx+json", ocispec.MediaTypeImageConfig,
				} {
					b := disguised(t, s.Image, manifestType, configType, layerType)
					put(r, "evil/x", "latest", b)
					resp, body := p.get(t, "/v2/evil/x/manifests/"+b.Root.Digest.String())
					if resp.StatusCode != http.StatusForbidden {
						t.Errorf("manifest %s, config %q, layers %q: %s %.100s", manifestType, configType, layerType, resp.Status, body)
					}
				}
			}
		}
	}
}
