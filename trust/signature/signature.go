// Package signature finds out who signed an image, as cosign and other Sigstore clients sign: in the tag
// "sha256-….sig" of its repository, or as a bundle that refers to it. A key is checked by itself; an identity needs the
// trusted root of the Sigstore service that vouched for it, and its transparency log.
package signature

import (
	"cmp"
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

// holder is a source whose content others may have brought, as trust/judge has it.
type holder interface {
	Has(context.Context, trust.Reference, ocispec.Descriptor) error
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
// wrong otherwise. An error means that it could not be found out. One good signature is enough, whatever else lies
// beside it: anybody who may push to a repository can put rubbish there.
func (c *Checker) Signed(ctx context.Context, ref trust.Reference, src trust.Source, signer trust.Signer) (string, error) {
	check, err := c.against(signer)
	if err != nil {
		return "", err
	}
	s := search{checker: c, src: src, check: check}
	for _, d := range []digest.Digest{ref.Digest, ref.Index} {
		if d == "" {
			continue
		}
		of := trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Digest: d}
		if s.look(ctx, of); s.good {
			return "", nil
		}
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("read the signatures of %s: %w", d, err)
		}
	}
	switch {
	case s.broke != nil:
		return "", s.broke
	case s.seen == 0:
		return "nobody signed it", nil
	}
	return fmt.Sprintf("%s found, and none is by %s (the last: %s)", counted(s.seen), describe(signer), trust.Sanitise(s.last.Error(), 300)), nil
}

func counted(n int) string {
	if n == 1 {
		return "1 signature was"
	}
	return fmt.Sprintf("%d signatures were", n)
}

func describe(s trust.Signer) string {
	if s.Key != "" {
		return "the key"
	}
	return fmt.Sprintf("%s of %s", trust.Sanitise(s.Identity, 200), trust.Sanitise(s.Issuer, 200))
}

// one is a signature as it was found.
type one interface {
	// verify is nil when the signature is good and about an image.
	verify(check verifier, about trust.Reference) error
}

// search looks at signatures until one is good.
type search struct {
	checker *Checker
	src     Source
	check   verifier
	// good ends the search. Else seen is how many were looked at, last what is wrong with the last of them, and broke
	// what kept the search from seeing all.
	good  bool
	seen  int
	last  error
	broke error
}

// look looks at the signatures of a digest, of both kinds.
func (s *search) look(ctx context.Context, ref trust.Reference) {
	for _, of := range []func(context.Context, trust.Reference) error{s.legacy, s.bundles} {
		if err := of(ctx, ref); err != nil && s.broke == nil {
			s.broke = fmt.Errorf("read the signatures of %s: %w", ref.Digest, err)
		}
		if s.good {
			return
		}
	}
}

// try reads and verifies one signature, which make understands. It is true when the search is over.
func (s *search) try(ctx context.Context, about, at trust.Reference, d ocispec.Descriptor, limit int64, as func([]byte) one) (bool, error) {
	if s.seen >= maxSignatures {
		return true, fmt.Errorf("none of the first %d signatures is good, and there are more: %w", maxSignatures, trust.ErrLimit)
	}
	s.seen++
	text, err := read(ctx, at, s.src, d, limit)
	if h, ok := s.src.(holder); ok { // what is wrong with it would tell what is in it, and how large it is
		err = cmp.Or(h.Has(ctx, at, d), err)
	}
	if err != nil {
		return false, err
	}
	s.last = verified(as(text), s.check, about)
	s.good = s.last == nil
	return s.good, nil
}

// verified is one.verify, which many libraries have a part in: what breaks one of them is no good signature, and must not
// break the program.
func verified(sig one, check verifier, about trust.Reference) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its form broke a reader: %v: %w", p, trust.ErrMalformed)
		}
	}()
	return sig.verify(check, about)
}

// legacy looks at the layers of the tag that cosign puts beside an image.
func (s *search) legacy(ctx context.Context, ref trust.Reference) error {
	tag := trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Tag: tagOf(ref.Digest) + ".sig"}
	at, err := s.src.Resolve(ctx, tag)
	if errors.Is(err, trust.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	manifest, err := manifestAt(ctx, tag, s.src, at)
	if err != nil {
		return err
	}
	var broke error
	for _, layer := range manifest.Layers {
		if layer.MediaType != simpleSigning {
			continue
		}
		over, err := s.try(ctx, ref, tag, layer, maxPayload, func(text []byte) one { return simple{text, layer.Annotations} })
		if broke = cmp.Or(broke, err); over {
			break
		}
	}
	return broke
}

// bundles looks at the bundles that refer to a digest.
func (s *search) bundles(ctx context.Context, ref trust.Reference) error {
	descriptors, broke := s.checker.bundles(ctx, ref, s.src)
	for _, d := range descriptors {
		err := s.lists(ctx, ref, d)
		var manifest ocispec.Manifest
		if err == nil {
			manifest, err = manifestAt(ctx, ref, s.src, d)
		}
		if broke = cmp.Or(broke, err); err != nil {
			continue
		}
		for _, layer := range manifest.Layers {
			if !strings.HasPrefix(layer.MediaType, bundlePrefix) {
				continue
			}
			over, err := s.try(ctx, ref, ref, layer, maxBundle, func(text []byte) one { return bundled(text) })
			if broke = cmp.Or(broke, err); over {
				return broke
			}
		}
	}
	return broke
}

// lists fails when a source that may have content of others does not find a manifest in the repository itself.
func (s *search) lists(ctx context.Context, ref trust.Reference, d ocispec.Descriptor) error {
	if _, ok := s.src.(holder); !ok {
		return nil
	}
	_, err := s.src.Resolve(ctx, trust.Reference{Registry: ref.Registry, Repository: ref.Repository, Digest: d.Digest})
	return err
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
		// Registries that do not know the manifest's own type tell that of its empty configuration, or nothing.
		if !strings.HasPrefix(d.ArtifactType, bundlePrefix) && d.ArtifactType != ocispec.MediaTypeEmptyJSON && d.ArtifactType != "" {
			continue
		}
		if len(out) >= maxSignatures {
			return out, fmt.Errorf("more than %d bundles: %w", maxSignatures, trust.ErrLimit)
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
