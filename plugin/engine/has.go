package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Has reports whether the engine already has exactly this image, complete and under ref, so that handing it over would
// change nothing. It reads the manifest from src and no layer.
func (e *Engine) Has(ctx context.Context, ref trust.Reference, top, manifest ocispec.Descriptor, src trust.Source) (bool, error) {
	f, err := e.ask(ctx)
	if err != nil {
		return false, err
	}
	var options []client.ImageInspectOption
	manifests := f.contentStore && atLeast(e.api.ClientVersion(), 1, 48)
	if manifests {
		options = append(options, client.ImageInspectWithManifests(true))
	}
	found, err := e.api.ImageInspect(ctx, under(ref), options...)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect %s in the engine: %w", under(ref), err)
	}
	if f.contentStore {
		if found.ID != top.Digest.String() {
			return false, nil
		}
		// Before API 1.48 an engine does not say which children are complete; one that is no index must be.
		complete := !manifests && top.Digest == manifest.Digest
		for _, m := range found.Manifests {
			complete = complete || m.Available && m.ID == manifest.Digest.String()
		}
		return complete, nil
	}
	img, err := open(ctx, ref.WithDigest(manifest.Digest), manifest, manifest, src)
	if err != nil {
		return false, err
	}
	return found.ID == img.config.Digest.String() && recorded(found.RepoDigests, ref, top.Digest, manifest.Digest), nil
}

// recorded reports whether a graph driver's RepoDigests are as good as they get: they hold one of the image's digests, or
// none of the repository's at all, which means that the engine cannot reach the registry and trying again would only cost time.
func recorded(repoDigests []string, ref trust.Reference, want ...digest.Digest) bool {
	other := false
	for _, s := range repoDigests {
		name, d, _ := strings.Cut(s, "@")
		if !sameName(name, ref) {
			continue
		}
		if slices.Contains(want, digest.Digest(d)) {
			return true
		}
		other = true
	}
	return !other
}

// sameName compares an engine's short name of a repository with a normalised one.
func sameName(short string, ref trust.Reference) bool {
	full := ref.Name()
	if short == full {
		return true
	}
	rest, hub := strings.CutPrefix(full, trust.DockerHub+"/")
	return hub && (short == rest || short == strings.TrimPrefix(rest, "library/"))
}
