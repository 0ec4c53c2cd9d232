//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

// state is what the proxy thinks of an image while it is asked for.
type state string

const (
	blocked     state = "blocked"
	quarantined state = "quarantined"
	// undecided is an image that mines, and whose layers come so slowly that nobody knows yet.
	undecided state = "undecided"
	// late is as slow, and will be allowed.
	late    state = "undecided, later allowed"
	allowed state = "allowed"
)

// states in the order of asking: where an allowed image does not arrive, the others show nothing.
func states() []state { return []state{allowed, blocked, quarantined, undecided, late} }

// slow says whether the upstream sends its layers slowly.
func (s state) slow() bool { return s == undecided || s == late }

// stopped says whether nothing of it may ever arrive.
func (s state) stopped() bool { return s != late && s != allowed }

const (
	// slowness of 1 KiB of a slow layer. A layer has a bit less than 200 KiB, so that it takes about 8 seconds: longer
	// than the proxy holds (holdFor below), shorter than any client's patience.
	slowness = 40 * time.Millisecond
	holdFor  = 2 * time.Second
	// fill is what a layer has of text. It is more than the proxy may withhold of a blob, so that a sealed layer flows.
	fill = 300 << 10
)

// image is made for one question: nobody has seen it or any of its layers.
type image struct {
	// mark stands in the names of its files, so that they are found wherever a client puts them.
	mark  string
	built imagetest.Built
	// layers, the last of which is its own: it is what the image is blocked for, where it is.
	layers []imagetest.Blob
}

// makeImage makes the image for one question from its mark alone.
func makeImage(mark string, s state) image {
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	sum := sha256.Sum256([]byte(mark))
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:]))) //nolint:gosec // A test's content.
	ordinary := corpus.Ordinary(rng, platform, mark)
	program := ordinary
	if s.stopped() {
		program = corpus.Miner(platform)
	}
	layers := []imagetest.Blob{
		imagetest.Layer(imagetest.Text("etc/os-release", "ID=debian\n"), imagetest.Binary("usr/bin/app", ordinary), imagetest.Text("srv/"+mark+"-0.txt", prose(rng, fill))),
		imagetest.Layer(imagetest.Binary("opt/app", program), imagetest.Text("srv/"+mark+"-1.txt", prose(rng, fill))),
	}
	config := ocispec.ImageConfig{Entrypoint: []string{"/opt/app"}}
	if s == quarantined { // it merely lies there
		config.Entrypoint = []string{"/usr/bin/app"}
	}
	return image{mark: mark, built: imagetest.Image{Config: config, Layers: layers}.Build(), layers: layers}
}

// own is the layer that belongs to no other image.
func (i image) own() imagetest.Blob { return i.layers[len(i.layers)-1] }

// put stores it in a registry.
func (i image) put(r *registrytest.Registry, repository, tag string) {
	for _, b := range i.built.Blobs {
		r.PutBlob(repository, b.Content)
	}
	r.PutManifest(repository, tag, i.built.Root.MediaType, i.built.Manifest)
}

// delay makes a registry send its layers slowly.
func (i image) delay(r *registrytest.Registry, repository string) {
	for _, l := range i.layers {
		r.Misbehave("/v2/"+repository+"/blobs/"+l.Descriptor.Digest.String(), registrytest.Fault{BodyDelay: slowness})
	}
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
