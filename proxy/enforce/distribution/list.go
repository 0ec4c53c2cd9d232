package distribution

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxTags bounds one page of tags, whatever the client asks for.
	maxTags = 1000
	// maxReferrers bounds a list of referrers that an upstream sends.
	maxReferrers = 1000
)

func (h *Handler) tags(w http.ResponseWriter, r *http.Request, ref trust.Reference, u *Upstream, t target, query url.Values) {
	n := maxTags
	if asked := query.Get("n"); asked != "" {
		v, ok := number(asked)
		if !ok {
			fail(400, errcode.ErrorCodePaginationNumberInvalid, "n=%q is no number of tags", asked).write(w, r)
			return
		}
		n = int(min(v, maxTags))
	}
	last := query.Get("last")
	if last != "" && !isTag(last) {
		fail(400, errcode.ErrorCodeTagInvalid, "last=%q is no tag", last).write(w, r)
		return
	}
	if err := h.gate.Permit(ref); err != nil {
		h.fail(w, r, ref, err, errcode.ErrorCodeNameUnknown)
		return
	}
	tags, more, err := []string(nil), false, error(nil)
	if n > 0 {
		tags, more, err = u.Lister.Tags(r.Context(), ref, n, last)
	}
	if err != nil {
		h.fail(w, r, ref, err, errcode.ErrorCodeNameUnknown)
		return
	}
	if len(tags) > n {
		tags, more = tags[:n], true
	}
	if more && len(tags) > 0 {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {tags[len(tags)-1]}}
		if ns := query.Get("ns"); ns != "" {
			next.Set("ns", ns)
		}
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, t.name, next.Encode()))
	}
	if tags == nil {
		tags = []string{}
	}
	writeJSON(w, r, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{t.name, tags})
}

func (h *Handler) referrers(w http.ResponseWriter, r *http.Request, ref trust.Reference, u *Upstream, query url.Values) {
	if err := h.gate.Permit(ref); err != nil {
		h.fail(w, r, ref, err, errcode.ErrorCodeNameUnknown)
		return
	}
	artifactType := query.Get("artifactType")
	found, err := u.Lister.Referrers(r.Context(), ref, artifactType)
	if err != nil && !errors.Is(err, trust.ErrNotFound) {
		h.fail(w, r, ref, err, errcode.ErrorCodeNameUnknown)
		return
	}
	if len(found.Manifests) > maxReferrers {
		h.fail(w, r, ref, fmt.Errorf("%w: more than %d referrers", trust.ErrLimit, maxReferrers), errcode.ErrorCodeNameUnknown)
		return
	}
	answer := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for _, d := range found.Manifests {
		if artifactType != "" && d.ArtifactType != artifactType || d.Digest.Validate() != nil {
			continue
		}
		// Neither urls nor inline data: a client would use them without asking the gate.
		answer.Manifests = append(answer.Manifests, ocispec.Descriptor{
			MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType, Annotations: d.Annotations,
		})
	}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeJSON(w, r, ocispec.MediaTypeImageIndex, answer)
}
