// Package inspecttest has documents that clients could read in two ways or fetch past us, and honest ones beside them.
// Everything that acts on manifests runs them, so that no part of the house takes what another part refuses.
package inspecttest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// Case is one document as a registry serves it. With neither Err nor Refused it is honest.
type Case struct {
	Name string
	// Announced is the Content-Type.
	Announced string
	Body      []byte
	// Index: it is announced as an index, or nothing but its content says what it is and that is an index.
	Index bool
	// Err is what the error of reading it wraps, Refused a part of the law that it breaks.
	Err     error
	Refused string
}

// Honest reports whether the document may be acted on.
func (c Case) Honest() bool { return c.Err == nil && c.Refused == "" }

// Documents are all cases. The honest ones, and those that break a law, name Blobs only.
func Documents() []Case {
	all := append(images(), imageLies()...)
	return append(append(all, indexes()...), indexLies()...)
}

// Layer is the one layer of the images, as plain bytes.
func Layer() []byte { return []byte("layer") }

// Config is the image configuration.
func Config() []byte {
	return fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%q]}}`, digest.FromBytes(Layer()))
}

// Image is the honest manifest that indexes list.
func Image() []byte { return []byte(image(ocispec.MediaTypeImageManifest, "", "")) }

// Blobs are the contents that documents name.
func Blobs() [][]byte { return [][]byte{Layer(), Config(), Image()} }

const (
	oci      = ocispec.MediaTypeImageManifest
	ociIndex = ocispec.MediaTypeImageIndex
	schema1  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// describe is a descriptor with more members.
func describe(mediaType string, body []byte, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, digest.FromBytes(body), len(body), more)
}

// image is a manifest with more members, and more in its layer. An empty type is left out.
func image(mediaType, more, layerMore string) string {
	return fmt.Sprintf(`{"schemaVersion":2%s,"config":%s,"layers":[%s]%s}`, typed(mediaType),
		describe(ocispec.MediaTypeImageConfig, Config(), ""), describe(ocispec.MediaTypeImageLayer, Layer(), layerMore), more)
}

// index lists the image, with more members in its entry.
func index(mediaType, more, childMore string) string {
	return fmt.Sprintf(`{"schemaVersion":2%s,"manifests":[%s]%s}`, typed(mediaType), describe(oci, Image(), childMore), more)
}

func typed(mediaType string) string {
	if mediaType == "" {
		return ""
	}
	return fmt.Sprintf(`,"mediaType":%q`, mediaType)
}

// replaced changes a document's first occurrence of a text that it must have.
func replaced(document, old, by string) string {
	if !strings.Contains(document, old) {
		panic(fmt.Sprintf("a case of inspecttest has no %q", old))
	}
	return strings.Replace(document, old, by, 1)
}

func inline(body []byte) string {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`,"data":%s`, encoded)
}

func images() []Case {
	var out []Case
	for name, announced := range map[string]string{
		"as-it-is": oci, "with-charset": oci + "; charset=utf-8", "as-nothing": "", "as-json": "application/json",
		"as-bytes": "application/octet-stream", "as-text": "text/plain; charset=utf-8",
	} {
		out = append(out, honest("image-"+name, announced, image(oci, "", "")))
	}
	return append(out,
		honest("image-untyped", oci, image("", "", "")),
		honest("image-untyped-as-json", "application/json", image("", "", "")),
		honest("image-docker", inspect.DockerManifest, image(inspect.DockerManifest, "", "")),
		honest("image-annotations-by-case", oci, image(oci, `,"annotations":{"Size":"1","size":"2"}`, "")),
		honest("image-unknown-member", oci, image(oci, `,"x":{"y":[1,{"z":null}]}`, "")),
		honest("image-inline-layer", oci, image(oci, "", inline(Layer()))),
	)
}

func indexes() []Case {
	all := []Case{
		honest("index", ociIndex, index(ociIndex, "", "")),
		honest("index-list", inspect.DockerIndex, index(inspect.DockerIndex, "", "")),
		honest("index-untyped", ociIndex, index("", "", "")),
		honest("index-untyped-unannounced", "", index("", "", "")),
		honest("index-as-json", "application/json", index(ociIndex, "", "")),
		honest("index-subject", ociIndex, index(ociIndex, `,"subject":`+describe(oci, Image(), ""), "")),
		honest("index-inline", ociIndex, index(ociIndex, "", inline(Image()))),
	}
	for i := range all {
		all[i].Index = true
	}
	return all
}

func honest(name, announced, body string) Case {
	return Case{Name: name, Announced: announced, Body: []byte(body)}
}

func unreadable(name, announced, body string, err error) Case {
	return Case{Name: name, Announced: announced, Body: []byte(body), Err: err}
}

func unlawful(name, announced, body, law string) Case {
	return Case{Name: name, Announced: announced, Body: []byte(body), Refused: law}
}

func imageLies() []Case {
	good := image(oci, "", "")
	layer := describe(ocispec.MediaTypeImageLayer, Layer(), "")
	malformed, unsupported, limit := trust.ErrMalformed, trust.ErrUnsupported, trust.ErrLimit
	return append(anyLies("image-", oci, func(more string) string { return image(oci, more, "") }, func(more string) string { return image(oci, "", more) }),
		unlawful("image-as-docker", inspect.DockerManifest, good, "announced as"),
		unlawful("image-as-unknown", "application/x-miner", good, "announced as"),
		unlawful("image-as-broken-type", "application/json; q", good, "announced as"),
		unreadable("image-of-unknown-type", oci, image("application/x-miner", "", ""), unsupported),
		unreadable("image-untyped-as-unknown", "application/x-miner", image("", "", ""), unsupported),
		unreadable("image-untyped-with-manifests", oci, index("", "", ""), malformed),
		unreadable("image-and-index", oci, image(oci, `,"manifests":[]`, ""), malformed),
		unreadable("image-and-no-index", oci, image(oci, `,"manifests":null`, ""), malformed),
		unreadable("image-without-config", oci, `{"schemaVersion":2,"layers":[]}`, malformed),
		unreadable("image-with-null-config", oci, `{"schemaVersion":2,"config":null,"layers":[]}`, malformed),
		unreadable("image-of-nothing", oci, `{"schemaVersion":2}`, malformed),
		unreadable("schema-1", schema1, `{"schemaVersion":1,"fsLayers":[]}`, unsupported),
		unreadable("schema-1-announced", schema1, image("", "", ""), unsupported),
		unreadable("image-with-layers-twice", oci, replaced(good, `,"layers"`, `,"layers":[],"layers"`), malformed),
		unreadable("image-with-odd-digest-name", oci, replaced(good, `"digest"`, `"Digest"`), malformed),
		unreadable("image-with-many-layers", oci, replaced(good, layer, layer+strings.Repeat(","+layer, inspect.MaxLayers)), limit),
		unreadable("image-config-of-no-digest", oci, replaced(good, digest.FromBytes(Config()).String(), "x"), unsupported),
		unreadable("image-config-of-empty-digest", oci, replaced(good, digest.FromBytes(Config()).String(), ""), unsupported),
	)
}

func indexLies() []Case {
	good := index(ociIndex, "", "")
	child := describe(oci, Image(), "")
	malformed, unsupported, limit := trust.ErrMalformed, trust.ErrUnsupported, trust.ErrLimit
	all := append(anyLies("index-", ociIndex, func(more string) string { return index(ociIndex, more, "") }, func(more string) string { return index(ociIndex, "", more) }),
		unlawful("image-as-index", ociIndex, image(oci, "", ""), "announced as"),
		unlawful("index-as-list", inspect.DockerIndex, good, "announced as"),
		unreadable("index-of-unknown-type", ociIndex, index("application/x-miner", "", ""), unsupported),
		unreadable("index-untyped-of-an-image", ociIndex, image("", "", ""), malformed),
		unreadable("index-and-image", ociIndex, index(ociIndex, `,"layers":[]`, ""), malformed),
		unreadable("index-and-no-config", ociIndex, index(ociIndex, `,"config":null`, ""), malformed),
		unreadable("index-of-nothing", ociIndex, `{"schemaVersion":2}`, malformed),
		unreadable("index-of-null", ociIndex, `{"schemaVersion":2,"manifests":null}`, malformed),
		unreadable("index-with-size-twice", ociIndex, replaced(good, `"size"`, `"size":1,"size"`), malformed),
		unreadable("index-with-odd-platform", ociIndex, index(ociIndex, "", `,"platform":{"Architecture":"amd64","os":"linux"}`), malformed),
		unreadable("index-of-unknown-children", ociIndex, replaced(good, child, describe("application/x-miner", Image(), "")), unsupported),
		unreadable("index-of-untyped-children", ociIndex, replaced(good, child, describe("", Image(), "")), unsupported),
		unreadable("index-with-many-children", ociIndex, replaced(good, child, child+strings.Repeat(","+child, inspect.MaxChildren)), limit),
		unreadable("index-with-very-many-children", ociIndex, `{"schemaVersion":2,"manifests":[`+strings.Repeat("{},", 1_390_000)+`{}]}`, limit),
	)
	for i := range all {
		all[i].Index = true
	}
	return all
}

// anyLies are those that images and indexes have in common: in the document, and in a descriptor of it.
func anyLies(prefix, announced string, document, descriptor func(more string) string) []Case {
	malformed, unsupported, limit := trust.ErrMalformed, trust.ErrUnsupported, trust.ErrLimit
	good := document("")
	all := []Case{
		unreadable("not-json", announced, "hello", malformed),
		unreadable("cut", announced, good[:len(good)-1], malformed),
		unreadable("array", announced, "["+good+"]", malformed),
		unreadable("trailing", announced, good+"{}", malformed),
		unreadable("too-large", announced, good+strings.Repeat(" ", inspect.MaxManifest), limit),
		unreadable("schema-1-disguised", announced, replaced(good, `Version":2`, `Version":1`), unsupported),
		unreadable("schema-3", announced, replaced(good, `Version":2`, `Version":3`), unsupported),
		unreadable("no-schema", announced, replaced(good, `"schemaVersion":2,`, ""), unsupported),
		unreadable("fslayers-too", announced, document(`,"fsLayers":null`), unsupported),
		unreadable("odd-name-alone", announced, replaced(good, `"mediaType"`, `"MediaType"`), malformed),
		unreadable("odd-name-too", announced, document(`,"Layers":[]`), malformed),
		unreadable("odd-name-in-long-s", announced, document(`,"layer\u017f":[]`), malformed),
		unreadable("odd-name-of-nobody", announced, document(`,"x":{"Size":1}`), malformed),
		unreadable("name-twice-by-case", announced, document(`,"x":{"yes":1,"Yes":2}`), malformed),
		unreadable("annotation-twice", announced, document(`,"annotations":{"a":"1","a":"2"}`), malformed),
		unreadable("annotation-of-no-text", announced, document(`,"annotations":{"a":{}}`), malformed),
		unreadable("too-deep", announced, document(`,"x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)), malformed),
		unreadable("too-many-values", announced, document(`,"x":[`+strings.Repeat("0,", 50_000)+"0]"), limit),
		unreadable("negative-size", announced, replaced(good, `"size":`, `"size":-`), malformed),
		unreadable("size-in-letters", announced, replaced(good, `"size":`, `"size":"1","x":`), malformed),
		unreadable("sha512", announced, replaced(good, "sha256:", "sha512:"), unsupported),
		unreadable("digest-with-a-path", announced, replaced(good, "sha256:", "sha256:../"), unsupported),
		unreadable("digest-without-algorithm", announced, replaced(good, "sha256:", ""), unsupported),
		unreadable("subject-without-digest", announced, document(`,"subject":{"size":1}`), unsupported),
		unlawful("urls", announced, descriptor(`,"urls":["https://files.example/x"]`), "URLs"),
		unlawful("subject-urls", announced, document(`,"subject":`+describe(oci, Image(), `,"urls":["https://files.example/x"]`)), "URLs"),
		unlawful("inline-lie", announced, descriptor(inline([]byte("other"))), "inline data"),
		unlawful("inline-nothing", announced, descriptor(`,"data":""`), "inline data"),
	}
	for i := range all {
		all[i].Name = prefix + all[i].Name
	}
	return all
}
