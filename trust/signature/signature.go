// Package signature finds out who signed an image, as cosign and other Sigstore clients sign: in the tag
// "sha256-….sig" of its repository, or as a bundle that refers to it. A key is checked by itself; an identity needs the
// trusted root of the Sigstore service that vouched for it, and its transparency log.
package signature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const (
	// maxSignatures bounds what is looked at for one digest, maxPayload and maxBundle how much of each: anybody who may push
	// to a repository can fill it with signatures.
	maxSignatures = 32
	maxPayload    = 64 << 10
	maxBundle     = 1 << 20
	// MaxRoot bounds the file of a trusted root.
	MaxRoot = 4 << 20
)

// Media types and annotations of signatures.
const (
	simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundlePrefix  = "application/vnd.dev.sigstore.bundle"
	signatureNote = "dev.cosignproject.cosign/signature"
	certNote      = "dev.sigstore.cosign/certificate"
	rekorNote     = "dev.sigstore.cosign/bundle"
)

// Source reads the repository of an image.
type Source interface {
	Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error)
	Fetch(context.Context, trust.Reference, ocispec.Descriptor) (io.ReadCloser, error)
}

// Referrers lists what refers to the reference's digest.
type Referrers func(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error)

// Checker checks signatures. It may be used by any number of goroutines.
type Checker struct {
	material  root.TrustedMaterial // nil without a trusted root
	digest    digest.Digest
	referrers Referrers
}

// New makes a checker. The trusted root is a "trusted_root.json" of Sigstore's or of a service of one's own; without one,
// identities cannot be checked. Without referrers, those of registries that lack the API are read by their tag.
func New(trustedRoot []byte, referrers Referrers) (*Checker, error) {
	c := &Checker{referrers: referrers, digest: digest.FromBytes(trustedRoot)}
	if len(trustedRoot) == 0 {
		return c, nil
	}
	material, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w: %w", trust.ErrMalformed, err)
	}
	c.material = material
	return c, nil
}

// Digest names what signatures are checked against.
func (c *Checker) Digest() digest.Digest { return c.digest }

// Signed returns an empty string when the signer signed ref's digest, or that of the index that led to it, and what is
// wrong otherwise. An error means that it could not be found out.
func (c *Checker) Signed(ctx context.Context, ref trust.Reference, src trust.Source, signer trust.Signer) (string, error) {
	check, err := c.against(signer)
	if err != nil {
		return "", err
	}
	seen := 0
	var last error
	for _, d := range []digest.Digest{ref.Digest, ref.Index} {
		if d == "" {
			continue
		}
		of := trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Digest: d}
		found, err := c.signatures(ctx, of, src)
		if err != nil {
			return "", fmt.Errorf("read the signatures of %s: %w", d, err)
		}
		for _, s := range found {
			seen++
			if last = s.verify(check, d); last == nil {
				return "", nil
			}
		}
	}
	if seen == 0 {
		return "nobody signed it", nil
	}
	return fmt.Sprintf("%d signatures were found, and none is by %s (the last: %s)", seen, describe(signer), trust.Sanitise(last.Error(), 200)), nil
}

func describe(s trust.Signer) string {
	if s.Key != "" {
		return "the key"
	}
	return fmt.Sprintf("%s of %s", trust.Sanitise(s.Identity, 200), trust.Sanitise(s.Issuer, 200))
}

// one is a signature as it was found.
type one interface {
	// verify is nil when the signature is good and about a digest.
	verify(check verifier, about digest.Digest) error
}

// signatures are those of a digest, of both kinds.
func (c *Checker) signatures(ctx context.Context, ref trust.Reference, src Source) ([]one, error) {
	found, err := legacy(ctx, ref, src)
	if err != nil {
		return nil, err
	}
	descriptors, err := c.bundles(ctx, ref, src)
	if err != nil {
		return nil, err
	}
	for _, d := range descriptors {
		manifest, err := manifestAt(ctx, ref, src, d)
		if err != nil {
			return nil, err
		}
		for _, layer := range manifest.Layers {
			if !strings.HasPrefix(layer.MediaType, bundlePrefix) {
				continue
			}
			if len(found) >= maxSignatures {
				return nil, fmt.Errorf("more than %d signatures: %w", maxSignatures, trust.ErrLimit)
			}
			text, err := read(ctx, ref, src, layer, maxBundle)
			if err != nil {
				return nil, err
			}
			found = append(found, bundled(text))
		}
	}
	return found, nil
}

// legacy are the layers of the tag that cosign puts beside an image.
func legacy(ctx context.Context, ref trust.Reference, src Source) ([]one, error) {
	tag := trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Tag: tagOf(ref.Digest) + ".sig"}
	at, err := src.Resolve(ctx, tag)
	if errors.Is(err, trust.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	manifest, err := manifestAt(ctx, tag, src, at)
	if err != nil {
		return nil, err
	}
	var found []one
	for _, layer := range manifest.Layers {
		if layer.MediaType != simpleSigning {
			continue
		}
		if len(found) >= maxSignatures {
			return nil, fmt.Errorf("more than %d signatures: %w", maxSignatures, trust.ErrLimit)
		}
		payload, err := read(ctx, tag, src, layer, maxPayload)
		if err != nil {
			return nil, err
		}
		found = append(found, simple{payload, layer.Annotations})
	}
	return found, nil
}

// bundles are the manifests with bundles that refer to a digest.
func (c *Checker) bundles(ctx context.Context, ref trust.Reference, src Source) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	err := trust.ErrNotFound
	if c.referrers != nil {
		index, err = c.referrers(ctx, ref, "")
	}
	// A registry that has no such list, or has none for this caller, may have the tag that stands for it.
	if errors.Is(err, trust.ErrNotFound) || errors.Is(err, trust.ErrUnsupported) || errors.Is(err, trust.ErrUnauthorized) {
		index, err = referrersByTag(ctx, ref, src)
	}
	if err != nil {
		return nil, err
	}
	var out []ocispec.Descriptor
	for _, d := range index.Manifests {
		if !strings.HasPrefix(d.ArtifactType, bundlePrefix) {
			continue
		}
		if len(out) >= maxSignatures {
			return nil, fmt.Errorf("more than %d bundles: %w", maxSignatures, trust.ErrLimit)
		}
		out = append(out, d)
	}
	return out, nil
}

func referrersByTag(ctx context.Context, ref trust.Reference, src Source) (ocispec.Index, error) {
	tag := trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Tag: tagOf(ref.Digest)}
	at, err := src.Resolve(ctx, tag)
	if errors.Is(err, trust.ErrNotFound) {
		return ocispec.Index{}, nil
	}
	if err != nil {
		return ocispec.Index{}, err
	}
	body, err := read(ctx, tag, src, at, inspect.MaxManifest)
	if err != nil {
		return ocispec.Index{}, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return ocispec.Index{}, fmt.Errorf("list of referrers: %w: %w", trust.ErrMalformed, err)
	}
	return index, nil
}

// manifestAt reads the manifest of an artifact.
func manifestAt(ctx context.Context, ref trust.Reference, src Source, at ocispec.Descriptor) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	body, err := read(ctx, ref, src, at, inspect.MaxManifest)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("manifest of a signature: %w: %w", trust.ErrMalformed, err)
	}
	return m, nil
}

// read reads what a descriptor names; the source verifies it.
func read(ctx context.Context, ref trust.Reference, src Source, at ocispec.Descriptor, limit int64) ([]byte, error) {
	if at.Size > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", at.Digest, limit, trust.ErrLimit)
	}
	r, err := src.Fetch(ctx, ref.WithDigest(at.Digest), at)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	return text, errors.Join(err, r.Close())
}

// tagOf is how tags spell a digest.
func tagOf(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }
