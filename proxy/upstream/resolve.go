package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// MaxManifest bounds manifests, pages of tags and lists of referrers, in bytes: what the distribution specification
// has registries take.
const MaxManifest = 4 << 20

const (
	// smallAnswer is the size of an answer that needs no room: nearly all are smaller.
	smallAnswer = 64 << 10
	// largeAnswers bounds the bytes of other answers that one Registry has in memory at one time, however many clients
	// ask: each counts as MaxManifest.
	largeAnswers = 4 * MaxManifest
)

// Media types of Docker's image format that image-spec has no names for.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	// schema1Prefix begins the media types of the first image format, whose manifests cannot be judged by digest.
	schema1Prefix = "application/vnd.docker.distribution.manifest.v1+"
	// artifactManifest was in drafts of OCI 1.1; registries keep such manifests, so they are fetched as what they are.
	artifactManifest = "application/vnd.oci.artifact.manifest.v1+json"
)

var manifestTypes = []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, dockerIndex, dockerManifest}

// acceptManifests is the Accept header for manifests.
var acceptManifests = strings.Join(manifestTypes, ", ")

func isManifest(mediaType string) bool {
	return mediaType == artifactManifest || slices.Contains(manifestTypes, mediaType)
}

// resolve asks this one URL. It asks by HEAD, which costs no quota at registries that count pulls; where the answer lacks
// digest, size or media type it gets the manifest and finds them out itself.
func (r *Registry) resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if err := r.checkReference(ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	what := ref.Digest.String()
	if what == "" {
		what = ref.Tag
	}
	if what == "" {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q has neither tag nor digest", trust.ErrMalformed, ref)
	}
	q := request{method: http.MethodHead, repository: ref.Repository, path: "manifests/" + what, accept: acceptManifests}
	resp, err := r.do(ctx, q)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		_ = resp.Body.Close()
		desc, ok, err := r.describe(resp, ref)
		if ok || err != nil {
			return desc, err
		}
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		_ = resp.Body.Close()
	default:
		return ocispec.Descriptor{}, r.answerError(resp)
	}
	q.method = http.MethodGet
	return r.resolveByGet(ctx, q, ref)
}

// describe reads a descriptor from the header of an answer; ok is false when something is missing there.
func (r *Registry) describe(resp *http.Response, ref trust.Reference) (desc ocispec.Descriptor, ok bool, err error) {
	mediaType := mediaTypeOf(resp.Header)
	if strings.HasPrefix(mediaType, schema1Prefix) {
		return ocispec.Descriptor{}, false, r.fail(trust.ErrUnsupported, schema1)
	}
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	malformed := d.Validate() != nil
	if malformed || resp.ContentLength <= 0 || !isManifest(mediaType) {
		return ocispec.Descriptor{}, false, nil //nolint:nilerr // what the header lacks, the body tells
	}
	if ref.Digest != "" && d.Algorithm() == ref.Digest.Algorithm() && d != ref.Digest {
		return ocispec.Descriptor{}, false, r.fail(trust.ErrIntegrity, "asked for %s, it answers with %s", ref.Digest, d)
	}
	if resp.ContentLength > MaxManifest {
		return ocispec.Descriptor{}, false, r.fail(trust.ErrLimit, "manifest of %d bytes, at most %d are read", resp.ContentLength, MaxManifest)
	}
	if ref.Digest != "" {
		d = ref.Digest
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: resp.ContentLength}, true, nil
}

// resolveByGet reads the manifest and describes it by what it is.
func (r *Registry) resolveByGet(ctx context.Context, q request, ref trust.Reference) (ocispec.Descriptor, error) {
	header, body, leave, err := r.read(ctx, q)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer leave()
	mediaType, err := manifestType(mediaTypeOf(header), body)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("registry %s: %w", r.name, err)
	}
	d := digest.FromBytes(body)
	for _, promised := range []digest.Digest{digest.Digest(header.Get("Docker-Content-Digest")), ref.Digest} {
		if promised == "" || promised.Validate() != nil {
			continue
		}
		if is := promised.Algorithm().FromBytes(body); is != promised {
			return ocispec.Descriptor{}, r.fail(trust.ErrIntegrity, "manifest promised as %s is %s", promised, is)
		}
		d = promised
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}, nil
}

// read gets an answer of status 200 whole. The caller calls leave when the body is no longer needed: large ones share
// largeAnswers bytes of room, and wait for it.
func (r *Registry) read(ctx context.Context, q request) (_ http.Header, _ []byte, leave func(), err error) {
	resp, err := r.do(ctx, q)
	if err != nil {
		return nil, nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, nil, r.answerError(resp)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, smallAnswer+1))
	if err != nil {
		return nil, nil, nil, r.requestError(ctx, err)
	}
	if len(body) <= smallAnswer {
		return resp.Header, body, func() {}, nil
	}
	if err := r.large.Acquire(ctx, MaxManifest); err != nil {
		return nil, nil, nil, r.requestError(ctx, err)
	}
	defer func() {
		if err != nil {
			r.large.Release(MaxManifest)
		}
	}()
	into := bytes.NewBuffer(body)
	if _, err := into.ReadFrom(io.LimitReader(resp.Body, MaxManifest-smallAnswer)); err != nil {
		return nil, nil, nil, r.requestError(ctx, err)
	}
	if into.Len() > MaxManifest {
		return nil, nil, nil, r.fail(trust.ErrLimit, "answer of more than %d bytes", MaxManifest)
	}
	return resp.Header, into.Bytes(), func() { r.large.Release(MaxManifest) }, nil
}

func mediaTypeOf(header http.Header) string {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// schema1 says what to do about an image in the first format, whose manifest's digest does not bind its content.
const schema1 = "the image is in Docker's schema 1 format of 2015, which cannot be judged: push it again with a current docker"

// manifestType finds what a manifest is from what the registry and the manifest itself say.
func manifestType(header string, body []byte) (string, error) {
	var fields struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", fmt.Errorf("%w: the manifest is no JSON object", trust.ErrMalformed)
	}
	own := fields.MediaType
	switch {
	case fields.SchemaVersion == 1 || strings.HasPrefix(header, schema1Prefix):
		return "", fmt.Errorf("%w: %s", trust.ErrUnsupported, schema1)
	case own != "" && isManifest(header) && own != header:
		return "", fmt.Errorf("%w: the manifest is %q by its own word and %q by the registry's",
			trust.ErrIntegrity, trust.Sanitise(own, maxErrorText), header)
	case isManifest(header):
		return header, nil
	case isManifest(own):
		return own, nil
	case own == "" && fields.Manifests != nil && fields.Config == nil:
		return ocispec.MediaTypeImageIndex, nil
	case own == "" && fields.Config != nil && fields.Manifests == nil:
		return ocispec.MediaTypeImageManifest, nil
	}
	return "", fmt.Errorf("%w: manifest of type %q", trust.ErrUnsupported, trust.Sanitise(cmp.Or(own, header), maxErrorText))
}
