// Package evasion makes container images that hide mining in the ways that attackers do, or could: encoded, packed,
// nested, split over files and layers, behind pictures, in configurations, under other names. Each has a clean twin,
// hidden in the same way, because the way of hiding is not the sign.
//
// Everything is made from a seed and nothing in it works: scripts end on their first statement, programs exit at once
// and carry strings and constants only, wallets are random numbers with a valid checksum, and hosts are reserved names and
// documentation addresses, or known pools where the name is itself the sign.
package evasion

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// Case is one image.
type Case struct {
	// Group is the way of hiding, Name the case in it; the mining image and its twin share both.
	Group, Name string
	// Mining is true for the image that must not arrive.
	Mining bool
	// Integrity is true where the image contradicts itself, which blocks whatever it holds.
	Integrity bool
	Image     imagetest.Built
}

// recipe makes a mining image and its twin.
type recipe struct {
	group, name string
	make        func(*kit) imagetest.Image
	// lie makes an image that contradicts itself; such recipes have a twin that does not.
	lie bool
}

// Generate makes all cases, each mining one before its twin.
func Generate(seed uint64) []Case {
	var cases []Case
	for _, list := range [][]recipe{shells(), pythons(), elsewhere(), archives(), pictures(), carvings(), streams(), interpreters(), oneliners(), disks(), layers(), packings(), commands(), campaigns(), programs(), fetches(), protocols(), sealed(), farms(), hooks(), distances(), lies()} {
		for _, r := range list {
			for _, mining := range []bool{true, false} {
				k := newKit(seed, r.group+"/"+r.name, mining)
				cases = append(cases, Case{Group: r.group, Name: r.name, Mining: mining, Integrity: r.lie && mining, Image: r.make(k).Build()})
			}
		}
	}
	return cases
}

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// kit is what a recipe is made from.
type kit struct {
	mining bool
	rng    *rand.Rand
	wallet string
	pool   string
}

func newKit(seed uint64, purpose string, mining bool) *kit {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	rng := rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Append(b[:], purpose, mining))))
	pools := []string{"gulf.moneroocean.stream:10128", "pool.supportxmr.com:3333", "xmr-eu1.nanopool.org:14433", "pool.hashvault.pro:443"}
	return &kit{mining: mining, rng: rng, wallet: corpus.Wallet(rng), pool: pools[rng.IntN(len(pools))]}
}

// either is a in the mining image and b in its twin.
func either[T any](k *kit, a, b T) T {
	if k.mining {
		return a
	}
	return b
}

// program is a miner, or an ordinary program.
func (k *kit) program() []byte {
	if k.mining {
		return corpus.Miner(amd64)
	}
	return corpus.Ordinary(k.rng, amd64, "worker")
}

// line is the command line of a miner under another name, or of a service.
func (k *kit) line() string {
	return either(k,
		"-o stratum+ssl://"+k.pool+" -u "+k.wallet+" -p x --donate-level=1 --cpu-max-threads-hint=75",
		"--listen 0.0.0.0:8080 --database postgresql://db.contoso.example:5432/app --log-level info --max-connections 75")
}

// shell is a script that runs the program at this path.
func (k *kit) shell(program string) string {
	return "#!/bin/sh\nexit 0\nset -e\ncd /opt/app\n" + program + " " + k.line() + "\n"
}

// python is a program that runs the program at this path.
func (k *kit) python(program string) string {
	return "raise SystemExit(0)\nimport subprocess\nsubprocess.Popen(['" + program + "', '" + strings.ReplaceAll(k.line(), " ", "', '") + "'])\n"
}

// image is a small image that runs a command, with the files in one layer above a base.
func (k *kit) image(entrypoint []string, files ...imagetest.File) imagetest.Image {
	return k.layered(entrypoint, files)
}

// layered is image with several layers.
func (k *kit) layered(entrypoint []string, layers ...[]imagetest.File) imagetest.Image {
	base := []imagetest.File{
		imagetest.Text("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
		imagetest.Text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
		imagetest.Binary("usr/bin/dash", corpus.Ordinary(rand.New(rand.NewPCG(1, 1)), amd64, "dash")),
		imagetest.Binary("usr/bin/python3.11", corpus.Ordinary(rand.New(rand.NewPCG(2, 2)), amd64, "python")),
		{Path: "usr/bin/sh", Symlink: "dash"}, {Path: "usr/bin/python3", Symlink: "python3.11"}, {Path: "bin", Symlink: "usr/bin"},
	}
	blobs := []imagetest.Blob{imagetest.Layer(base...)}
	for _, files := range layers {
		blobs = append(blobs, imagetest.Layer(files...))
	}
	return imagetest.Image{
		Layers: blobs,
		Config: ocispec.ImageConfig{Entrypoint: entrypoint, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
	}
}

// starts is an image whose entrypoint is this script, beside other files.
func (k *kit) starts(script string, files ...imagetest.File) imagetest.Image {
	return k.image([]string{"/entrypoint.sh"}, append([]imagetest.File{imagetest.Script("entrypoint.sh", script)}, files...)...)
}

// hiding is the beginning of every script that decodes something.
const hiding = "#!/bin/sh\nexit 0\n"
