//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

// image is one that may be asked for, with all that is true about it.
type image struct {
	upstream   *upstream
	repository string
	tag        string
	mining     bool
	built      imagetest.Built
	// owner is the account that may read it; empty where everybody may.
	owner string
}

// upstream is a registry and the host that the proxies know it by.
type upstream struct {
	host     string
	registry *registrytest.Registry
	// private says that each image is one account's, and nobody else's.
	private bool
}

// manifests are the bytes by digest of the image and its children.
func (i image) manifests() map[digest.Digest][]byte {
	all := map[digest.Digest][]byte{i.built.Root.Digest: i.built.Manifest}
	for _, c := range i.built.Children {
		all[c.Root.Digest] = c.Manifest
	}
	return all
}

// blobs are the configuration and the layers of the image and its children.
func (i image) blobs() []imagetest.Blob {
	all := slices.Clone(i.built.Blobs)
	for _, c := range i.built.Children {
		all = append(all, c.Blobs...)
	}
	return all
}

// own is the layer that no other image has: the last one.
func (i image) own() imagetest.Blob {
	all := i.blobs()
	return all[len(all)-1]
}

// path of something of the image at a proxy.
func (i image) path(kind, name string) string {
	return "/v2/" + i.upstream.host + "/" + i.repository + "/" + kind + "/" + name
}

// gallery is all images, to which new ones come.
type gallery struct {
	seed      uint64
	upstreams []*upstream
	bases     []imagetest.Blob

	mu     sync.Mutex
	images []image
}

// newGallery makes the images of the beginning: n that are clean, and half as many that mine.
func newGallery(seed uint64, upstreams []*upstream, n int) *gallery {
	g := &gallery{seed: seed, upstreams: upstreams}
	for i := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		g.bases = append(g.bases, imagetest.Layer(imagetest.Text("etc/os-release", "ID=debian\n"), imagetest.Text(fmt.Sprintf("srv/base-%d.txt", i), prose(rng, 1<<(18+i)))))
	}
	for i := range n + n/2 {
		g.add(i, i%3 == 2)
	}
	return g
}

// slow makes an upstream send a layer so slowly, the first times, that it is asked for before its image is judged.
func (i image) slow(rng *rand.Rand) {
	i.upstream.registry.Misbehave("/v2/"+i.repository+"/blobs/"+i.own().Descriptor.Digest.String(),
		registrytest.Fault{Times: 1 + rng.IntN(2), BodyDelay: time.Duration(4+rng.IntN(12)) * time.Millisecond})
}

// add makes one more image and puts it into its upstream.
func (g *gallery) add(number int, mining bool) image {
	rng := rand.New(rand.NewPCG(g.seed, 1000+uint64(number)))
	name := fmt.Sprintf("app-%d", number)
	i := image{
		upstream: g.upstreams[number%len(g.upstreams)], repository: "team" + fmt.Sprint(number%5) + "/" + name, tag: "1", mining: mining,
		built: makeImage(rng, name, mining, g.bases[rng.IntN(len(g.bases))]),
	}
	if i.upstream.private {
		i.owner = accounts[rng.IntN(len(accounts))]
		i.repository = i.owner + "/" + name
	}
	put(i.upstream.registry, i.repository, i.tag, i.built)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.images = append(g.images, i)
	return i
}

// pick prefers those that have just appeared, which nobody has judged yet.
func (g *gallery) pick(rng *rand.Rand) image {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.images); rng.IntN(3) == 0 {
		return g.images[n-1-rng.IntN(min(n, 2))]
	}
	return g.images[rng.IntN(len(g.images))]
}

func (g *gallery) all() []image {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.images)
}

// makeImage is a base that others share and a layer of its own, in one of the forms that registries hold; some are
// indexes. What mines has a program that says so, and starts it.
func makeImage(rng *rand.Rand, name string, mining bool, base imagetest.Blob) imagetest.Built {
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	program := corpus.Ordinary(rng, platform, name)
	if mining {
		program = corpus.Miner(platform)
	}
	archive := imagetest.Tar(imagetest.Binary("opt/"+name, program), imagetest.Text("srv/"+name+".txt", prose(rng, 200<<10+rng.IntN(1<<20))))
	layer := imagetest.GzipLayer(archive)
	switch rng.IntN(4) {
	case 0:
		layer = imagetest.ZstdLayer(archive)
	case 1:
		layer = imagetest.PlainLayer(archive)
	}
	built := imagetest.Image{Config: ocispec.ImageConfig{Entrypoint: []string{"/opt/" + name}}, Layers: []imagetest.Blob{base, layer}}.Build()
	if rng.IntN(4) == 0 {
		built = imagetest.Index(built)
	}
	return built
}

func put(r *registrytest.Registry, repository, tag string, b imagetest.Built) {
	for _, c := range b.Children {
		put(r, repository, "", c)
	}
	for _, blob := range b.Blobs {
		r.PutBlob(repository, blob.Content)
	}
	r.PutManifest(repository, tag, b.Root.MediaType, b.Manifest)
}

// prose is n bytes of words that mean nothing.
func prose(rng *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		for range 3 + rng.IntN(6) {
			b.WriteByte(byte('a' + rng.IntN(26)))
		}
		b.WriteByte(" \n"[rng.IntN(8)/7])
	}
	return b.String()
}

// children are the digests that an index names; none for an image's manifest.
func children(manifest []byte) []digest.Digest {
	var index ocispec.Index
	if json.Unmarshal(manifest, &index) != nil {
		return nil
	}
	var out []digest.Digest
	for _, d := range index.Manifests {
		out = append(out, d.Digest)
	}
	return out
}
