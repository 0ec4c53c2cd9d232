package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestTags(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	for _, tag := range []string{"a", "b", "c", "latest"} {
		r.PutManifest(repo, tag, ocispec.MediaTypeImageManifest, manifestOf(""))
	}
	tests := map[string]struct {
		n    int
		last string
		want []string
		more bool
	}{
		"all":        {want: []string{"a", "b", "c", "latest"}},
		"first-page": {n: 3, want: []string{"a", "b", "c"}, more: true},
		"exact-page": {n: 4, want: []string{"a", "b", "c", "latest"}},
		"last-page":  {n: 3, last: "c", want: []string{"latest"}},
		"after-all":  {last: "z", want: []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, more, err := u.Tags(t.Context(), at(r), tt.n, tt.last)
			if err != nil || more != tt.more {
				t.Fatalf("more %v, %v", more, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadLists(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault registrytest.Fault
		want  error
	}{
		"no-json":      {registrytest.Fault{Status: 200, Body: "<html>", Header: http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}}}, trust.ErrMalformed},
		"hostile-tag":  {registrytest.Fault{Status: 200, Body: `{"tags":["../x"],"manifests":7}`, Header: http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}}}, trust.ErrMalformed},
		"too-large":    {registrytest.Fault{Status: 200, Body: strings.Repeat(" ", upstream.MaxManifest) + "{}", Header: http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}}}, trust.ErrLimit},
		"unauthorised": {registrytest.Fault{Status: 401}, trust.ErrUnauthorized},
		"server-error": {registrytest.Fault{Status: 500}, trust.ErrUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			r.Misbehave("", tt.fault)
			u := dial(t, r, nil)
			if _, _, err := u.Tags(t.Context(), at(r), 0, ""); !errors.Is(err, tt.want) {
				t.Errorf("tags: %v, want %v", err, tt.want)
			}
			if _, err := u.Referrers(t.Context(), at(r).WithDigest(digest.FromString("x")), ""); !errors.Is(err, tt.want) {
				t.Errorf("referrers: %v, want %v", err, tt.want)
			}
		})
	}
}

func referrer(kind string, subject ocispec.Descriptor) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"artifactType":%q,"subject":{"digest":%q,"size":%d}}`, kind, subject.Digest, subject.Size)
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"api", "pages", "fallback-tag", "api-404-only", "api-is-html"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			o := registrytest.Options{}
			if how == "pages" {
				o.PageSize = 1
			}
			r := registrytest.Start(t, o)
			u := dial(t, r, nil)
			subject := r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
			ref := at(r).WithDigest(subject.Digest)
			if got, err := u.Referrers(t.Context(), ref, ""); err != nil || len(got.Manifests) != 0 || got.Manifests == nil {
				t.Errorf("before the first: %v, %v", got, err)
			}
			var listed []string
			for _, kind := range []string{"x/sbom", "x/signature", "x/sbom2"} {
				d := r.PutManifest(repo, "", ocispec.MediaTypeImageManifest, referrer(kind, subject))
				listed = append(listed, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"artifactType":%q}`, d.MediaType, d.Digest, d.Size, kind))
			}
			want := 3
			switch how {
			case "fallback-tag", "api-is-html":
				r.Misbehave("/v2/"+repo+"/referrers/*", registrytest.Fault{Status: 404})
				if how == "api-is-html" {
					r.Misbehave("/v2/"+repo+"/referrers/*", registrytest.Fault{Status: 200, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}})
				}
				r.PutManifest(repo, strings.Replace(subject.Digest.String(), ":", "-", 1), ocispec.MediaTypeImageIndex,
					[]byte(`{"schemaVersion":2,"manifests":[`+strings.Join(listed, ",")+`]}`))
			case "api-404-only":
				r.Misbehave("/v2/"+repo+"/referrers/*", registrytest.Fault{Status: 404})
				want = 0
			}
			all, err := u.Referrers(t.Context(), ref, "")
			if err != nil || len(all.Manifests) != want {
				t.Errorf("all: %d, %v, want %d", len(all.Manifests), err, want)
			}
			one, err := u.Referrers(t.Context(), ref, "x/sbom")
			if err != nil || len(one.Manifests) != min(want, 1) {
				t.Errorf("one type: %d, %v", len(one.Manifests), err)
			}
		})
	}
}

// A registry may not lead a client on for ever, nor elsewhere.
func TestReferrersLinks(t *testing.T) {
	t.Parallel()
	r, thief := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	r.Misbehave("", registrytest.Fault{Status: 200, Body: `{"manifests":[]}`, Header: http.Header{
		"Content-Type": {ocispec.MediaTypeImageIndex}, "Link": {`<` + thief.URL() + `/v2/x?y=z>; rel="next"`},
	}})
	_, err := dial(t, r, nil).Referrers(t.Context(), at(r).WithDigest(digest.FromString("x")), "")
	if !errors.Is(err, trust.ErrLimit) || len(thief.Requests()) != 0 {
		t.Errorf("error %v, want %v; %d requests elsewhere", err, trust.ErrLimit, len(thief.Requests()))
	}
	if n := len(r.Requests()); n != 16 {
		t.Errorf("%d pages asked for", n)
	}
}

func TestReferrersAreCountedBeforeTheyAreKept(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.Misbehave("", registrytest.Fault{Status: 200, Body: `{"manifests":[` + strings.Repeat("{},", 1_390_000) + `{}]}`, Header: http.Header{
		"Content-Type": {ocispec.MediaTypeImageIndex},
	}})
	_, err := dial(t, r, nil).Referrers(t.Context(), at(r).WithDigest(digest.FromString("x")), "")
	if !errors.Is(err, trust.ErrMalformed) || !strings.Contains(err.Error(), "more than 10000 entries") {
		t.Errorf("got %v", err)
	}
}

func TestReferencesOfOthers(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	d := digest.FromString("x")
	tests := map[string]trust.Reference{
		"other-registry":  {Registry: "docker.io", Repository: repo, Tag: "latest", Digest: d},
		"dots":            {Registry: r.Host(), Repository: "a/../../token", Tag: "latest", Digest: d},
		"query":           {Registry: r.Host(), Repository: "a?b", Tag: "latest", Digest: d},
		"upper-case":      {Registry: r.Host(), Repository: "A", Tag: "latest", Digest: d},
		"long":            {Registry: r.Host(), Repository: strings.Repeat("a", 256), Tag: "latest", Digest: d},
		"bad-tag":         {Registry: r.Host(), Repository: repo, Tag: "../blobs", Digest: d},
		"bad-digest":      {Registry: r.Host(), Repository: repo, Tag: "latest", Digest: "sha256:x"},
		"empty":           {},
		"encoded-slashes": {Registry: r.Host(), Repository: "a%2f..%2fb", Tag: "latest", Digest: d},
	}
	for name, ref := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := u.Resolve(t.Context(), ref)
			_, err2 := u.Fetch(t.Context(), ref, ocispec.Descriptor{Digest: d})
			_, _, err3 := u.Tags(t.Context(), ref, 0, "")
			_, err4 := u.Referrers(t.Context(), ref, "")
			for i, err := range []error{err, err2, err3, err4} {
				if !errors.Is(err, trust.ErrMalformed) {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	t.Run("neither-tag-nor-digest", func(t *testing.T) {
		t.Parallel()
		if _, err := u.Resolve(t.Context(), at(r)); !errors.Is(err, trust.ErrMalformed) {
			t.Error(err)
		}
		if _, err := u.Referrers(t.Context(), at(r), ""); !errors.Is(err, trust.ErrMalformed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if n := len(r.Requests()); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})
}
