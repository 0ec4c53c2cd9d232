// Package corpus makes container images that look like attacks seen in the wild, and for each a clean twin of the same
// shape, so that detection is measured on both. Everything is made from a seed and nothing in it works: scripts end
// on their first statement, binaries exit at once and carry only strings and constants, releases have a version that
// does not exist, wallets are random numbers with a valid checksum that nobody owns, and addresses are reserved for
// documentation.
//
// The first six samples follow one account of 2020, whose images had names like Azure's packages: a Python program as
// entrypoint, Tor and ProxyChains, a miner fetched at run time, a public pool with a wallet or an own pool by address,
// and a look at the processor before the hash setting is chosen.
package corpus

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/test/imagetest"
)

// Seed is what the demo and the end-to-end tests use.
const Seed uint64 = 2020

// Sample is one image.
type Sample struct {
	// Name is one word for the shape; the mining sample and its clean twin share it.
	Name string
	// Repository and Tag are where it is pushed.
	Repository, Tag string
	// About says in one sentence what the image does, or would do if it did anything.
	About string
	// Mining is true for the look-alike of an attack, false for its clean twin.
	Mining bool
	// Image is what was built.
	Image imagetest.Built
}

// Namespaces of the mining samples and of their twins.
const (
	MiningNamespace = "azurenqx"
	CleanNamespace  = "contoso"
)

// shape is how one sample and its twin are made.
type shape struct {
	name, tag    string
	about, clean string
	base         func(*rand.Rand, ocispec.Platform) base
	app          func(part) app
}

// app is what a shape adds to its base.
type app struct {
	packages []string // names that the package database gains
	layers   [][]imagetest.File
	config   ocispec.ImageConfig
	history  []string
}

// part is what a shape is filled in with.
type part struct {
	Mining   bool
	Wallet   string // random, valid checksum
	Pool     string // host:port of a public pool
	OwnPool  string // documentation address and port
	Release  string // URL of a miner's release that does not exist
	Worker   string
	rng      *rand.Rand
	platform ocispec.Platform
}

// Generate makes all samples, each mining one before its twin.
func Generate(seed uint64) []Sample {
	var samples []Sample
	for _, s := range shapes() {
		for _, mining := range []bool{true, false} {
			samples = append(samples, s.sample(seed, mining, amd64))
		}
	}
	return samples
}

var (
	amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

// MultiArch is an index whose linux/amd64 image is clean and whose linux/arm64 image mines, with an attestation beside
// the clean one, and a twin whose images are all clean.
func MultiArch(seed uint64) (mixed, clean Sample) {
	s := shapes()[0]
	good, bad := s.sample(seed, false, amd64), s.sample(seed, true, arm64)
	goodArm := s.sample(seed, false, arm64)
	mixed = Sample{
		Name: "multi-arch", Repository: MiningNamespace + "/azure-arc", Tag: s.tag, Mining: true,
		About: "its image for linux/amd64 is clean, the one for linux/arm64 mines",
		Image: imagetest.Index(good.Image, bad.Image, imagetest.Attestation(good.Image)),
	}
	clean = Sample{
		Name: "multi-arch", Repository: CleanNamespace + "/azure-arc", Tag: s.tag,
		About: "its images for linux/amd64 and linux/arm64 are clean",
		Image: imagetest.Index(good.Image, goodArm.Image, imagetest.Attestation(good.Image)),
	}
	return mixed, clean
}

// Store holds samples under their repositories and tags.
func Store(samples ...Sample) *imagetest.Store {
	s := imagetest.NewStore()
	for _, sample := range samples {
		s.Add(sample.Repository, sample.Tag, sample.Image)
	}
	return s
}

// random is a source of numbers for one purpose, so that a change to one sample leaves the others as they are.
func random(seed uint64, purpose string) *rand.Rand {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return rand.New(rand.NewChaCha8(sha256.Sum256(append(b[:], purpose...))))
}

func (s shape) sample(seed uint64, mining bool, platform ocispec.Platform) Sample {
	rng := random(seed, fmt.Sprintf("%s %t", s.name, mining))
	p := part{
		Mining:   mining,
		Wallet:   Wallet(rng),
		Pool:     pick(rng, "gulf.moneroocean.stream:10128", "pool.supportxmr.com:3333", "pool.minexmr.com:4444"),
		OwnPool:  fmt.Sprintf("%s.%d:%d", pick(rng, "192.0.2", "198.51.100", "203.0.113"), 1+rng.IntN(254), 3333+1111*rng.IntN(4)),
		Release:  "https://github.com/xmrig/xmrig/releases/download/v0.0.0/xmrig-0.0.0-linux-static-x64.tar.gz",
		Worker:   fmt.Sprintf("az%04d", rng.IntN(10000)),
		rng:      rng,
		platform: platform,
	}
	// Bases are shared, as they are in registries: the same seed and platform make the same layer.
	b := s.base(random(seed, "base"), platform)
	sample := Sample{Name: s.name, Repository: CleanNamespace + "/" + s.name, Tag: s.tag, About: s.clean, Image: b.with(s.app(p), platform)}
	if mining {
		sample.Repository, sample.About, sample.Mining = MiningNamespace+"/"+s.name, s.about, true
	}
	return sample
}

func pick[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }
