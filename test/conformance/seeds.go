package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

// repository is where everything lies that is pushed.
const repository = "conformance/one"

// seeds are what the suite is told to pull.
type seeds struct{ tags, manifests, blobs, referrers []string }

func (s seeds) environment() []string {
	var env []string
	for name, list := range map[string][]string{"TAGS": s.tags, "MANIFESTS": s.manifests, "BLOBS": s.blobs, "REFERRERS": s.referrers} {
		env = append(env, "OCI_RO_DATA_"+name+"="+strings.Join(list, " "))
	}
	return env
}

// push sends images of every kind that the proxy serves to the registry.
func push(ctx context.Context, registry string) (seeds, error) {
	text := imagetest.Tar(imagetest.Text("etc/motd", "hello\n"))
	of := func(layers ...imagetest.Blob) imagetest.Built { return imagetest.Image{Layers: layers}.Build() }
	plain := of(imagetest.GzipLayer(text))
	artifact, err := referrer(plain)
	if err != nil {
		return seeds{}, err
	}
	images := []struct {
		tag   string
		image imagetest.Built
	}{
		{"gzip", plain},
		{"zstd", of(imagetest.ZstdLayer(text))},
		{"tar", of(imagetest.PlainLayer(text))},
		{"docker", imagetest.Image{Docker: true, Layers: []imagetest.Blob{imagetest.GzipLayer(text)}}.Build()},
		{"index", imagetest.Index(plain)},
		{"list", imagetest.DockerList(imagetest.Image{Docker: true, Layers: []imagetest.Blob{imagetest.GzipLayer(text)}}.Build())},
		{"empty", of()},
		{"referrer", artifact},
	}
	var s seeds
	for _, i := range images {
		if err := (imagetest.Pusher{URL: registry}).Push(ctx, repository, i.tag, i.image); err != nil {
			return seeds{}, err
		}
		if i.tag == "referrer" {
			continue // listed, and not pulled: it is no image
		}
		s.tags = append(s.tags, i.tag)
		s.manifests = append(s.manifests, i.image.Root.Digest.String())
		for _, b := range i.image.Blobs {
			s.blobs = append(s.blobs, b.Descriptor.Digest.String())
		}
	}
	s.referrers = []string{plain.Root.Digest.String()}
	return s, nil
}

// referrer is an artifact about an image.
func referrer(subject imagetest.Built) (imagetest.Built, error) {
	body := imagetest.NewBlob("application/spdx+json", []byte(`{"spdxVersion":"SPDX-2.3"}`))
	config := imagetest.NewBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	about := ocispec.Descriptor{MediaType: subject.Root.MediaType, Digest: subject.Root.Digest, Size: subject.Root.Size}
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/spdx+json",
		Config: config.Descriptor, Layers: []ocispec.Descriptor{body.Descriptor}, Subject: &about,
	})
	if err != nil {
		return imagetest.Built{}, fmt.Errorf("write the referrer: %w", err)
	}
	return imagetest.Built{
		Root: imagetest.NewBlob(ocispec.MediaTypeImageManifest, content).Descriptor, Manifest: content, Blobs: []imagetest.Blob{config, body},
	}, nil
}
