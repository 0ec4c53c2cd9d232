package evasion

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

func layers() []recipe {
	worker := []string{"/usr/bin/worker"}
	return []recipe{
		{group: "across layers", name: "removed-later", make: func(k *kit) imagetest.Image {
			return k.layered(worker, []imagetest.File{imagetest.Binary("opt/hidden", k.program())}, []imagetest.File{imagetest.Whiteout("opt/hidden"), imagetest.Script("usr/bin/worker", "#!/bin/sh\nexit 0\n")})
		}},
		{group: "across layers", name: "renamed", make: func(k *kit) imagetest.Image {
			return k.image([]string{"/usr/sbin/nginx"}, imagetest.Binary("usr/sbin/nginx", k.program()))
		}},
		{group: "across layers", name: "through-links", make: func(k *kit) imagetest.Image {
			return k.layered(worker,
				[]imagetest.File{{Path: "usr/share/doc/zlib/examples/data.bin", Body: k.program(), Mode: 0o755}},
				[]imagetest.File{{Path: "usr/bin/worker", Symlink: "../lib/w"}, {Path: "usr/lib/w", Symlink: "/usr/share/doc/zlib/examples/data.bin"}})
		}},
		{group: "across layers", name: "script-in-documents", make: func(k *kit) imagetest.Image {
			return k.image([]string{"sh", "/usr/share/doc/zlib/README"}, imagetest.Text("usr/share/doc/zlib/README", k.shell(run)))
		}},
		{group: "across layers", name: "chain-of-scripts", make: func(k *kit) imagetest.Image {
			return k.layered([]string{"/a.sh"},
				[]imagetest.File{imagetest.Script("a.sh", hiding+". /etc/app/env\nexec /usr/lib/app/b\n"), imagetest.Text("etc/app/env", either(k, "W="+k.wallet+"\nP="+k.pool+"\n", "W=web\nP=db.contoso.example:5432\n"))},
				[]imagetest.File{imagetest.Script("usr/lib/app/b", hiding+"exec /usr/lib/app/c "+either(k, "-o $P -u $W -p x -a rx/0 --donate-level 1", "-d $P -n $W -p 80 --log-level 1")+"\n")},
				[]imagetest.File{imagetest.Binary("usr/lib/app/c", []byte("\x7fELF"))})
		}},
		{group: "across layers", name: "split-program", make: func(k *kit) imagetest.Image {
			// Pieces of twenty bytes show nothing; joined in order of their names they are the program.
			var first, second []imagetest.File
			n := 0
			for part := range slices.Chunk(k.program(), 20) {
				f := imagetest.File{Path: fmt.Sprintf("opt/p/%04d", n), Body: bytes.Clone(part)}
				if n++; n%2 == 0 {
					first = append(first, f)
				} else {
					second = append(second, f)
				}
			}
			return k.layered([]string{"/entrypoint.sh"}, first,
				append(second, imagetest.Script("entrypoint.sh", hiding+"cat /opt/p/* > /tmp/w\nchmod +x /tmp/w\nexec /tmp/w\n")))
		}},
		{group: "across layers", name: "split-base64", make: func(k *kit) imagetest.Image {
			text := b64(k.shell(run))
			return k.layered([]string{"/entrypoint.sh"},
				[]imagetest.File{imagetest.Text("opt/a.txt", text[:len(text)/2])},
				[]imagetest.File{imagetest.Text("opt/b.txt", text[len(text)/2:]), imagetest.Script("entrypoint.sh", hiding+"cat /opt/a.txt /opt/b.txt | base64 -d | sh\n")})
		}},
	}
}

// packings are layers that a reader by media type, or of one member, would misread.
func packings() []recipe {
	worker := []string{"/usr/bin/worker"}
	return []recipe{
		{group: "packing of layers", name: "zstd", make: func(k *kit) imagetest.Image {
			image := k.image(worker)
			image.Layers = append(image.Layers, imagetest.ZstdLayer(imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))))
			return image
		}},
		{group: "packing of layers", name: "zstd-skippable", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			body := append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), zstdOf(plain)...)
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayerZstd, body, plain))
			return image
		}},
		{group: "packing of layers", name: "several-members", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			body := gzipped(string(plain[:700])) + gzipped(string(plain[700:]))
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayerGzip, []byte(body), plain))
			return image
		}},
		{group: "packing of layers", name: "called-plain", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayer, []byte(gzipped(string(plain))), plain))
			return image
		}},
		{group: "cannot be read", name: "trailing-bytes", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayerGzip, []byte(gzipped(string(plain))+either(k, "and more", "")), plain))
			return image
		}},
		{group: "cannot be read", name: "encrypted", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayerGzip+either(k, "+encrypted", ""), []byte(gzipped(string(plain))), plain))
			return image
		}},
		{group: "cannot be read", name: "unknown-type", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), imagetest.Tar(imagetest.Binary("usr/bin/worker", k.program()))
			image.Layers = append(image.Layers, blob(either(k, "application/vnd.oci.image.layer.nydus.blob.v1", ocispec.MediaTypeImageLayerGzip), []byte(gzipped(string(plain))), plain))
			return image
		}},
		{group: "cannot be read", name: "bomb", make: func(k *kit) imagetest.Image {
			image, plain := k.image(worker), strings.Repeat("\x00", either(k, 1<<20, 1<<10))
			body := strings.Repeat(gzipped(plain), either(k, 30<<10, 1))
			image.Layers = append(image.Layers, blob(ocispec.MediaTypeImageLayerGzip, []byte(body), nil))
			if !k.mining {
				image.Layers[len(image.Layers)-1].DiffID = digest.FromString(plain)
			}
			return image
		}},
	}
}

// blob is a layer whose packed and plain bytes are given.
func blob(mediaType string, packed, plain []byte) imagetest.Blob {
	b := imagetest.NewBlob(mediaType, packed)
	b.DiffID = digest.FromBytes(plain)
	return b
}

// lies are images that contradict themselves.
func lies() []recipe {
	worker := []string{"/usr/bin/worker"}
	return []recipe{
		{group: "lies", name: "diff-id", lie: true, make: func(k *kit) imagetest.Image {
			image := k.image(worker, imagetest.Binary("usr/bin/worker", []byte("\x7fELF")))
			if k.mining {
				image.EditConfig = imagetest.WrongDiffID
			}
			return image
		}},
		{group: "lies", name: "urls", lie: true, make: func(k *kit) imagetest.Image {
			image := k.image(worker, imagetest.Binary("usr/bin/worker", []byte("\x7fELF")))
			if k.mining {
				image.EditManifest = imagetest.ForeignURLs("https://mirror.example/layer")
			}
			return image
		}},
		{group: "lies", name: "inline-data", lie: true, make: func(k *kit) imagetest.Image {
			image := k.image(worker, imagetest.Binary("usr/bin/worker", []byte("\x7fELF")))
			if k.mining {
				image.EditManifest = imagetest.InlineData([]byte("something else"))
			}
			return image
		}},
	}
}
