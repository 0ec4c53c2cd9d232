package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzManifestType(f *testing.F) {
	f.Add("application/json", []byte(`{"schemaVersion":2,"manifests":[]}`))
	f.Add("", []byte(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{}}`))
	f.Add(dockerManifest, []byte(`{"schemaVersion":1}`))
	f.Add("x", []byte("\xff{"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		got, err := manifestType(header, body)
		if (err == nil) != isManifest(got) {
			t.Errorf("type %q, error %v", got, err)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("bytes 5-9/10", `</v2/a/tags/list?n=1>; rel="next"`, "120")
	f.Add("bytes 0-/*", `<x>; rel=next, <y>`, "Wed, 21 Oct 2099 07:28:00 GMT")
	f.Add("bytes -1-1/-1", `<<>>;rel="next"`, "-1")
	f.Fuzz(func(t *testing.T, rng, link, after string) {
		if from, total, ok := contentRange(rng); ok && (from < 0 || total < -1) {
			t.Errorf("range %d, %d", from, total)
		}
		if d, ok := retryAfter(http.Header{"Retry-After": {after}}, time.Unix(0, 0)); ok && d < 0 {
			t.Errorf("wait %s", d)
		}
		_, _ = nextPage(http.Header{"Link": {link}})
	})
}

func FuzzClean(f *testing.F) {
	f.Add("GET https://user:hush@host/path?token=hush refused\x1b[2J")
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > maxErrorText || !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n\r") {
			t.Errorf("%q", got)
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	got := clean(`Get "https://u:hush@cdn.test/x?X-Sig=hush&y": EOF`)
	if want := `Get "https://…@cdn.test/x?…": EOF`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
