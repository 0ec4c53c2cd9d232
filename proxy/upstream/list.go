package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxReferrerPages bounds, beside MaxManifest for all of them, what one manifest's referrers can make us ask.
	maxReferrerPages = 16
	// maxReferrers bounds the entries of one page, in memory.
	maxReferrers = 10_000
	// maxRangeDigits keeps a Content-Range within what an int64 holds.
	maxRangeDigits = 18
)

// Tags lists one page of a repository's tags: at most n (the registry's choice when n is not positive) after last.
// More says that the registry has further ones.
func (r *Registry) Tags(ctx context.Context, ref trust.Reference, n int, last string) (tags []string, more bool, err error) {
	if err := r.checkReference(ref); err != nil {
		return nil, false, err
	}
	query := url.Values{}
	if n > 0 {
		query.Set("n", strconv.Itoa(n))
	}
	if last != "" {
		query.Set("last", last)
	}
	header, body, leave, err := r.read(ctx, request{
		method: http.MethodGet, repository: ref.Repository, path: "tags/list", query: query.Encode(), accept: "application/json",
	})
	if err != nil {
		return nil, false, err
	}
	defer leave()
	var page struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, false, r.fail(trust.ErrMalformed, "list of tags: %v", err)
	}
	for _, tag := range page.Tags {
		if !tagPattern.MatchString(tag) {
			return nil, false, r.fail(trust.ErrMalformed, "list of tags: %q is no tag", tag)
		}
	}
	_, more = nextPage(header)
	return page.Tags, more, nil
}

// Referrers lists the manifests that name ref's digest as their subject, of one artifactType or, when that is empty,
// of all. A registry without the referrers API is asked for the fallback tag; without that, nothing refers.
func (r *Registry) Referrers(ctx context.Context, ref trust.Reference, artifactType string) (ocispec.Index, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{},
	}
	if err := r.checkReference(ref); err != nil {
		return index, err
	}
	if ref.Digest == "" {
		return index, fmt.Errorf("%w: referrers of %q, which has no digest", trust.ErrMalformed, ref)
	}
	q := request{
		method: http.MethodGet, repository: ref.Repository, path: "referrers/" + ref.Digest.String(), accept: ocispec.MediaTypeImageIndex,
	}
	if artifactType != "" {
		q.query = url.Values{"artifactType": {artifactType}}.Encode()
	}
	for page, total := 0, 0; ; page++ {
		header, body, leave, err := r.read(ctx, q)
		if page == 0 && (errors.Is(err, trust.ErrNotFound) || (err == nil && mediaTypeOf(header) != ocispec.MediaTypeImageIndex)) {
			if err == nil {
				leave()
			}
			q.path, q.query = "manifests/"+strings.Replace(ref.Digest.String(), ":", "-", 1), ""
			header, body, leave, err = r.read(ctx, q)
			if errors.Is(err, trust.ErrNotFound) {
				return index, nil
			}
		}
		if err != nil {
			return index, err
		}
		var found struct {
			Manifests descriptors `json:"manifests"`
		}
		err = json.Unmarshal(body, &found)
		leave()
		if err != nil {
			return index, r.fail(trust.ErrMalformed, "list of referrers: %v", err)
		}
		index.Manifests = append(index.Manifests, slices.DeleteFunc([]ocispec.Descriptor(found.Manifests), func(d ocispec.Descriptor) bool {
			return artifactType != "" && d.ArtifactType != artifactType
		})...)
		next, more := nextPage(header)
		if !more {
			return index, nil
		}
		if total += len(body); page+1 == maxReferrerPages || total > MaxManifest {
			return index, r.fail(trust.ErrLimit, "referrers of more than %d pages or %d bytes", maxReferrerPages, MaxManifest)
		}
		q.query = next // the path stays ours: a link cannot lead elsewhere
	}
}

// descriptors are read one by one: two bytes of JSON can stand for a descriptor of more than a hundred in memory.
type descriptors []ocispec.Descriptor

// UnmarshalJSON implements json.Unmarshaler.
func (d *descriptors) UnmarshalJSON(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	switch open, err := dec.Token(); {
	case err != nil || open == nil: // null is an empty list
		return err
	case open != json.Delim('['):
		return fmt.Errorf("%v in place of a list", open)
	}
	for dec.More() {
		if len(*d) == maxReferrers {
			return fmt.Errorf("more than %d entries", maxReferrers)
		}
		var one ocispec.Descriptor
		if err := dec.Decode(&one); err != nil {
			return err
		}
		*d = append(*d, one)
	}
	return nil
}

// nextPage finds the query of the next page in a Link header.
func nextPage(h http.Header) (query string, ok bool) {
	for _, link := range strings.Split(strings.Join(h.Values("Link"), ","), ",") {
		target, params, found := strings.Cut(strings.TrimSpace(link), ">")
		if !found || !strings.HasPrefix(target, "<") {
			continue
		}
		rel := strings.ToLower(strings.ReplaceAll(params, " ", ""))
		if !strings.Contains(rel, `rel="next"`) && !strings.Contains(rel, "rel=next") {
			continue
		}
		if u, err := url.Parse(target[1:]); err == nil {
			return u.RawQuery, true
		}
	}
	return "", false
}

// contentRange reads "bytes from-to/total"; total is -1 when the header leaves it open.
func contentRange(header string) (from, total int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(rest, "/")
	first, _, dash := strings.Cut(span, "-")
	if !ok || !dash {
		return 0, 0, false
	}
	from, ok = digits(first)
	if !ok || size == "*" {
		return from, -1, ok
	}
	total, ok = digits(size)
	return from, total, ok
}

func digits(s string) (int64, bool) {
	if len(s) > maxRangeDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}
