package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/reference"
)

// enginePatience is how long an engine may take to tell its platform where none is needed.
const enginePatience = 3 * time.Second

// target is one image, resolved.
type target struct {
	// ref is what the user asked for.
	ref trust.Reference
	// top is what ref points at, manifest the image for one platform; they may be the same.
	top, manifest ocispec.Descriptor
	// src reads both.
	src trust.Source
}

// judged is what the judge is asked about: the manifest, and the index that led to it.
func (t target) judged() trust.Reference {
	ref := t.ref.WithDigest(t.manifest.Digest)
	if t.top.Digest != t.manifest.Digest {
		ref.Index = t.top.Digest
	}
	return ref
}

// resolve finds the manifest of a reference for a platform as an engine would: the best match of an index.
func resolve(ctx context.Context, ref trust.Reference, src trust.Source, platform ocispec.Platform) (target, error) {
	top, err := src.Resolve(ctx, ref)
	if err != nil {
		return target{}, unresolved(ref, err)
	}
	if ref.Digest != "" && top.Digest != ref.Digest {
		return target{}, fmt.Errorf("resolve %q: the registry answered with %q: %w", ref, top.Digest, trust.ErrIntegrity)
	}
	t := target{ref: ref, top: top, manifest: top}
	switch top.MediaType {
	case ocispec.MediaTypeImageManifest, inspect.DockerManifest:
	case ocispec.MediaTypeImageIndex, inspect.DockerIndex:
		if t.manifest, err = child(ctx, ref.WithDigest(top.Digest), top, src, platform); err != nil {
			return target{}, fmt.Errorf("resolve %q: %w", ref, err)
		}
	default:
		return target{}, fmt.Errorf("resolve %q: media type %q: %w", ref, trust.Sanitise(top.MediaType, 100), trust.ErrUnsupported)
	}
	t.src = known{Source: src, manifests: map[digest.Digest]ocispec.Descriptor{top.Digest: t.top, t.manifest.Digest: t.manifest}}
	return t, nil
}

// unresolved says what a registry's answer means for the person who asked, and then what it was.
func unresolved(ref trust.Reference, err error) error {
	name := reference.Familiar(ref)
	switch {
	case errors.Is(err, trust.ErrUnauthorized):
		return fmt.Errorf("pull access denied for %s: it does not exist, or needs another login (\"docker login%s\"): %w", name, loginTo(ref), err)
	case errors.Is(err, trust.ErrNotFound):
		return fmt.Errorf("there is no image %s: %w", name, err)
	}
	return fmt.Errorf("resolve %s: %w", name, err)
}

// loginTo is docker login's argument.
func loginTo(ref trust.Reference) string {
	if ref.Registry == trust.DockerHub {
		return ""
	}
	return " " + ref.Registry
}

// unlawful is an index that breaks laws of the gate, one sentence each: an engine that got it could use what was not
// judged.
type unlawful struct {
	top     digest.Digest
	reasons []string
}

func (u *unlawful) Error() string { return strings.Join(u.reasons, "; ") }

// verdict is what the judge would say, which is never asked about an index.
func (u *unlawful) verdict(ref trust.Reference) trust.Verdict {
	return trust.Verdict{
		Reference: ref, Manifest: u.top, Action: trust.Block, Reasons: u.reasons,
		Evidence: trust.Evidence{Reference: ref, Manifest: u.top, Integrity: u.reasons},
	}
}

// child reads an index as the judge reads manifests, and chooses.
func child(ctx context.Context, ref trust.Reference, top ocispec.Descriptor, src trust.Source, want ocispec.Platform) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	if top.Size > inspect.MaxManifest {
		return none, fmt.Errorf("index of %d bytes: %w", top.Size, trust.ErrLimit)
	}
	r, err := src.Fetch(ctx, ref, top)
	if err != nil {
		return none, err
	}
	body, err := io.ReadAll(io.LimitReader(r, inspect.MaxManifest+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return none, fmt.Errorf("read index: %w", err)
	}
	index, err := inspect.ParseManifest(body, top.MediaType)
	if err != nil {
		return none, fmt.Errorf("index: %w", err)
	}
	if len(index.Refused) > 0 {
		return none, &unlawful{top.Digest, index.Refused}
	}
	if index.Kind != inspect.Index {
		return none, fmt.Errorf("the index is an %s: %w", index.Kind, trust.ErrMalformed)
	}
	best, err := choose(index.Children, want)
	if err != nil {
		return none, err
	}
	return best, onlyInline(index.Children, best.Digest, top.Digest)
}

// onlyInline refuses an index that carries another manifest inline than the one that will be judged: an engine that
// gets the index could use it without asking anybody.
func onlyInline(children []ocispec.Descriptor, judged, top digest.Digest) error {
	for _, d := range children {
		if d.Data != nil && d.Digest != judged {
			return &unlawful{top, []string{fmt.Sprintf("the index carries %s inline, which is not the manifest that was judged", d.Digest)}}
		}
	}
	return nil
}

// choose finds the child that an engine of the wanted platform takes: children of compatible platforms, the closest
// first, those that name no platform last, in the order of the index otherwise. An index in the index is not taken.
func choose(children []ocispec.Descriptor, want ocispec.Platform) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	match := platforms.Only(want)
	fit := slices.DeleteFunc(slices.Clone(children), func(d ocispec.Descriptor) bool {
		return isArtifact(d) || inspect.IsIndex(d.MediaType) || d.Platform != nil && !match.Match(platforms.Normalize(*d.Platform))
	})
	if len(fit) == 0 {
		return none, fmt.Errorf("no matching manifest for %s in the index; it has %s: %w",
			platforms.FormatAll(platforms.Normalize(want)), list(children), trust.ErrNotFound)
	}
	slices.SortStableFunc(fit, func(x, y ocispec.Descriptor) int {
		switch {
		case y.Platform == nil && x.Platform == nil:
			return 0
		case y.Platform == nil, x.Platform != nil && match.Less(platforms.Normalize(*x.Platform), platforms.Normalize(*y.Platform)):
			return -1
		case x.Platform == nil, match.Less(platforms.Normalize(*y.Platform), platforms.Normalize(*x.Platform)):
			return 1
		}
		return 0
	})
	return fit[0], nil
}

// isArtifact tells BuildKit's attestations, which no engine runs.
func isArtifact(d ocispec.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
}

func list(children []ocispec.Descriptor) string {
	var names []string
	for _, d := range children {
		if d.Platform != nil && !isArtifact(d) {
			names = append(names, platforms.FormatAll(*d.Platform))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return trust.Sanitise(strings.Join(names, ", "), 400)
}

// known answers Resolve for manifests whose descriptors were already read, so that nobody is asked twice.
type known struct {
	trust.Source
	manifests map[digest.Digest]ocispec.Descriptor
}

// Resolve answers by digest only; a tag is always asked for.
func (k known) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if d, ok := k.manifests[ref.Digest]; ok && ref.Digest != "" {
		return d, nil
	}
	return k.Source.Resolve(ctx, ref)
}

// platform is the one to judge: the user's, else the engine's. Without an engine that answers soon it is Linux on
// this machine's processor, when the command needs no engine.
func (a *app) platform(ctx context.Context, engine Engine) (ocispec.Platform, error) {
	if a.opts.platform != "" {
		p, err := platforms.Parse(a.opts.platform)
		if err != nil {
			return p, fmt.Errorf("--platform: write for example linux/arm64: %w", err)
		}
		return p, nil
	}
	if engine != nil {
		p, err := engine.Platform(ctx)
		if err != nil {
			return p, err
		}
		return p, nil
	}
	patient, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	if engine, err := need(patient, a.deps.Engine); err == nil {
		if p, err := engine.Platform(patient); err == nil {
			return p, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return ocispec.Platform{}, err
	}
	return platforms.Normalize(ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}), nil
}
