package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// platform of the images below.
var platform = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// hostile are images that try to get past an inspection, by name. Those that hide the same inert miner begin with
// "hidden-"; "plain-" ones are harmless and odd, and must pass.
func hostile() map[string]imagetest.Built {
	ordinary := imagetest.Layer(imagetest.Text("etc/os-release", "ID=debian\n"), imagetest.Text("srv/index.html", "<!doctype html>\n"))
	miner := imagetest.Binary("usr/sbin/httpd", corpus.Program(platform, append(corpus.RandomXConstants(), strings.Repeat("\x00", 4096)...)))
	of := func(layers ...imagetest.Blob) imagetest.Built {
		return imagetest.Image{Config: ocispec.ImageConfig{Entrypoint: []string{"/usr/sbin/httpd"}}, Layers: append([]imagetest.Blob{ordinary}, layers...)}.Build()
	}
	edited := func(edit func(*ocispec.Manifest)) imagetest.Built {
		return imagetest.Image{Layers: []imagetest.Blob{ordinary}, EditManifest: edit}.Build()
	}
	archive := imagetest.Tar(miner)
	docker := imagetest.Image{Docker: true, Layers: []imagetest.Blob{ordinary, imagetest.Layer(miner)}}.Build()
	return map[string]imagetest.Built{
		"hidden-zstd":          of(imagetest.ZstdLayer(archive)),
		"hidden-plain-tar":     of(imagetest.PlainLayer(archive)),
		"hidden-wrong-label":   of(imagetest.PlainLayer(archive).As(ocispec.MediaTypeImageLayerGzip)),
		"hidden-whiteout":      of(imagetest.Layer(miner), imagetest.Layer(imagetest.Whiteout("usr/sbin/httpd"))),
		"hidden-overwritten":   of(imagetest.Layer(miner), imagetest.Layer(imagetest.Text("usr/sbin/httpd", "nothing"))),
		"hidden-docker-format": docker,
		"hidden-two-members":   of(members(archive)),
		"hidden-deep-path":     of(imagetest.Layer(imagetest.Binary(strings.Repeat("d/", 60)+"x", miner.Body))),
		"hidden-in-index":      imagetest.Index(of(imagetest.Layer(miner))),
		"hidden-in-list":       imagetest.DockerList(docker),

		"urls":         edited(imagetest.ForeignURLs("https://files.example/layer")),
		"inline-data":  edited(imagetest.InlineData([]byte("something else"))),
		"wrong-size":   edited(imagetest.WrongSize(1)),
		"wrong-diffid": imagetest.Image{Layers: []imagetest.Blob{ordinary}, EditConfig: imagetest.WrongDiffID}.Build(),
		"trailing":     of(ordinary.Trailing([]byte("what comes after the end"))),
		"cut-short":    of(imagetest.NewBlob(ocispec.MediaTypeImageLayerGzip, ordinary.Content[:len(ordinary.Content)/2])),
		"encrypted":    of(ordinary.As(ocispec.MediaTypeImageLayerGzip + "+encrypted")),
		"unknown-type": of(ordinary.As("application/vnd.example.layer.v1.rar")),
		"no-archive":   of(imagetest.GzipLayer([]byte(strings.Repeat("this is no archive ", 100)))),

		"plain-empty":       imagetest.Image{}.Build(),
		"plain-zstd":        of(imagetest.ZstdLayer(imagetest.Tar(imagetest.Text("a", "b")))),
		"plain-attestation": attested(of()),
	}
}

// members is a layer whose archive lies in two gzip members, the second of which a careless reader never sees.
func members(archive []byte) imagetest.Blob {
	half := len(archive) / 2
	var b bytes.Buffer
	for _, part := range [][]byte{archive[:half], archive[half:]} {
		w := gzip.NewWriter(&b)
		// Writing to memory does not fail.
		_, _ = w.Write(part)
		_ = w.Close()
	}
	blob := imagetest.NewBlob(ocispec.MediaTypeImageLayerGzip, b.Bytes())
	blob.DiffID = imagetest.PlainLayer(archive).DiffID
	return blob
}

func attested(b imagetest.Built) imagetest.Built { return imagetest.Index(b, imagetest.Attestation(b)) }

// cmdHostile puts the images into $UPSTREAM and tells which there are.
func cmdHostile(s *story, ts *testscript.TestScript, _ bool, _ []string) {
	var names []string
	for name, b := range hostile() {
		put(s.upstream, "hostile/"+name, "1", b)
		names = append(names, name)
	}
	slices.Sort(names)
	_, err := fmt.Fprintln(ts.Stdout(), strings.Join(names, "\n"))
	ts.Check(err)
}
