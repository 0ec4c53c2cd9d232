package plugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect/inspecttest"
)

// serve makes a registry of one document.
func serve(announced string, body []byte) *fakeRegistry {
	r := &fakeRegistry{blobs: map[digest.Digest][]byte{}, fetched: map[digest.Digest]int{}}
	for _, b := range inspecttest.Blobs() {
		r.add("", b)
	}
	r.top = r.add(announced, body)
	return r
}

// TestPullDocuments: an index that the judge or the proxy would not take is handed to nobody, whatever its manifests.
func TestPullDocuments(t *testing.T) {
	t.Parallel()
	for _, c := range inspecttest.Documents() {
		if !c.Index || !strings.Contains(c.Announced, "index") && !strings.Contains(c.Announced, "list") {
			continue // what is not announced as an index is the judge's, or is not pulled at all
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.judge = readAll(trust.Allow)
			w.registry = serve(c.Announced, c.Body)
			r := w.run("alpine")
			want := 0
			switch {
			case c.Err != nil:
				want = exitError
			case c.Refused != "":
				want = render.ExitStatus(trust.Block)
			}
			if r.status != want || (w.engine.got != "") != c.Honest() || !strings.Contains(r.out, c.Refused) {
				t.Errorf("want status %d: %+v, handed over %q", want, r, w.engine.got)
			}
		})
	}
}

func TestUnlawfulIndexIsBlocked(t *testing.T) {
	t.Parallel()
	judged, other := inspecttest.Image(), append(inspecttest.Image(), ' ')
	entry := func(body []byte, arch string, inline bool) ocispec.Descriptor {
		d := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: arch},
		}
		if inline {
			d.Data = body
		}
		return d
	}
	for name, tt := range map[string]struct {
		children []ocispec.Descriptor
		status   int
	}{
		"none-inline":   {[]ocispec.Descriptor{entry(judged, "amd64", false), entry(other, "arm64", false)}, 0},
		"judged-inline": {[]ocispec.Descriptor{entry(judged, "amd64", true), entry(other, "arm64", false)}, 0},
		"other-inline":  {[]ocispec.Descriptor{entry(judged, "amd64", false), entry(other, "arm64", true)}, 2},
		"both-inline":   {[]ocispec.Descriptor{entry(judged, "amd64", true), entry(other, "arm64", true)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			children, err := json.Marshal(tt.children)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"pull", "check"} {
				w := newWorld(t)
				w.judge = readAll(trust.Allow)
				w.registry = serve(ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":%s}`, children))
				r := w.run(command, "--format", "json", "alpine")
				var doc render.Document
				if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
					t.Fatalf("%s: %v in %+v", command, err, r)
				}
				if r.status != tt.status || doc.ExitStatus != tt.status || (w.engine.got != "") != (tt.status == 0 && command == "pull") {
					t.Errorf("%s: %+v, handed over %q", command, r, w.engine.got)
				}
				if tt.status != 0 && (doc.Action != "block" || len(doc.Reasons) != 1 || doc.Digest != w.registry.top.Digest) {
					t.Errorf("%s: %+v", command, doc)
				}
			}
		})
	}
}
