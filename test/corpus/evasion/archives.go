package evasion

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

func tarOf(name string, body []byte) []byte {
	return imagetest.Tar(imagetest.Binary(name, body))
}

func zipOf(name string, body []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name) // into memory: cannot fail
	_, _ = w.Write(body)
	_ = z.Close()
	return b.Bytes()
}

func zstdOf(body []byte) []byte {
	w, _ := zstd.NewWriter(nil) // without options: cannot fail
	return w.EncodeAll(body, nil)
}

// arOf is a Unix archive, such as a Debian package.
func arOf(names []string, bodies [][]byte) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for i, name := range names {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(bodies[i]))
		b.Write(bodies[i])
		if len(bodies[i])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func debOf(path string, body []byte) []byte {
	return arOf([]string{"debian-binary", "control.tar.gz", "data.tar.gz"},
		[][]byte{[]byte("2.0\n"), []byte(gzipped(string(tarOf("control", []byte("Package: worker\n"))))), []byte(gzipped(string(tarOf(path, body))))})
}

// cpioOf is a cpio archive of the "new" ASCII format.
func cpioOf(name string, body []byte) []byte {
	var b bytes.Buffer
	entry := func(name string, mode int, body []byte) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name + "\x00")
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
		b.Write(body)
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	entry(name, 0o100755, body)
	entry("TRAILER!!!", 0, nil)
	return b.Bytes()
}

// savedOf is an image as "docker save" writes it.
func savedOf(path string, body []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		body []byte
	}{
		{"manifest.json", []byte(`[{"Config":"config.json","RepoTags":["app:1"],"Layers":["0/layer.tar"]}]`)},
		{"config.json", []byte(`{"os":"linux","architecture":"amd64"}`)}, {"0/layer.tar", tarOf(path, body)},
	} {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.body)), Mode: 0o644}) // into memory
		_, _ = w.Write(f.body)
	}
	_ = w.Close()
	return b.Bytes()
}

// cryptedZip is a zip with one stored file under the traditional encryption.
// Source: APPNOTE.TXT 6.3, section 6.1.
func cryptedZip(name, password string, body []byte) []byte {
	keys := [3]uint32{0x12345678, 0x23456789, 0x34567890}
	step := func(k uint32, c byte) uint32 { return crc32.IEEETable[byte(k)^c] ^ k>>8 }
	update := func(c byte) {
		keys[0] = step(keys[0], c)
		keys[1] = (keys[1]+keys[0]&0xff)*134775813 + 1
		keys[2] = step(keys[2], byte(keys[1]>>24))
	}
	for _, c := range []byte(password) {
		update(c)
	}
	sum := crc32.ChecksumIEEE(body)
	plain := append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, byte(sum >> 24)}, body...)
	for i, c := range plain {
		t := keys[2] | 2
		plain[i] = c ^ byte(t*(t^1)>>8)
		update(c)
	}
	var b bytes.Buffer
	head := func(central bool) {
		if central {
			b.WriteString("PK\x01\x02\x14\x00")
		} else {
			b.WriteString("PK\x03\x04")
		}
		for _, v := range []any{uint16(20), uint16(1), uint16(0), uint32(0), sum, uint32(len(plain)), uint32(len(body)), uint16(len(name)), uint16(0)} {
			_ = binary.Write(&b, binary.LittleEndian, v) // into memory
		}
		if central {
			b.Write(make([]byte, 2+2+2+4+4))
		}
		b.WriteString(name)
	}
	head(false)
	b.Write(plain)
	at := b.Len()
	head(true)
	size := b.Len() - at
	b.WriteString("PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00")
	_ = binary.Write(&b, binary.LittleEndian, uint32(size)) // into memory
	_ = binary.Write(&b, binary.LittleEndian, uint32(at))
	b.Write([]byte{0, 0})
	return b.Bytes()
}

func archives() []recipe {
	packers := []struct {
		name, path, unpack string
		pack               func([]byte) []byte
	}{
		{"tar", "opt/pkg/data.tar", "tar xf", func(p []byte) []byte { return tarOf("bin/worker", p) }},
		{"tar-gz", "opt/pkg/data.tar.gz", "tar xzf", func(p []byte) []byte { return []byte(gzipped(string(tarOf("bin/worker", p)))) }},
		{"gz", "opt/pkg/worker.gz", "gunzip", func(p []byte) []byte { return []byte(gzipped(string(p))) }},
		{"zst", "opt/pkg/worker.zst", "unzstd", zstdOf},
		{"zip", "opt/pkg/data.zip", "unzip", func(p []byte) []byte { return zipOf("bin/worker", p) }},
		{"jar", "opt/pkg/app.jar", "java -jar", func(p []byte) []byte { return zipOf("META-INF/native/libworker.so", p) }},
		{"renamed-zip", "opt/pkg/logo.dat", "unzip", func(p []byte) []byte { return zipOf("w", p) }},
		{"cabinet", "opt/pkg/data.cab", "cabextract", func(p []byte) []byte { return cabinetOf("w", p) }},
		{"zip-deflate64", "opt/pkg/data.zip", "unzip", func(p []byte) []byte { return zip64kOf("bin/worker", p) }},
		{"deb", "opt/pkg/worker.deb", "dpkg -i", func(p []byte) []byte { return debOf("usr/bin/worker", p) }},
		{"cpio", "opt/pkg/initrd", "cpio -id <", func(p []byte) []byte { return cpioOf("bin/worker", p) }},
		{"cpio-gz", "opt/pkg/initrd.gz", "zcat", func(p []byte) []byte { return []byte(gzipped(string(cpioOf("bin/worker", p)))) }},
		{"docker-save", "opt/pkg/image.tar", "docker load -i", func(p []byte) []byte { return savedOf("usr/bin/worker", p) }},
		{"five-deep", "opt/pkg/bundle", "tar xf", func(p []byte) []byte {
			return []byte(gzipped(string(tarOf("a.zip", zipOf("b.tar", tarOf("c.zst", zstdOf(p)))))))
		}},
	}
	var out []recipe
	for _, a := range packers {
		out = append(out, recipe{group: "archives", name: a.name, make: func(k *kit) imagetest.Image {
			return k.starts(hiding+a.unpack+" /"+a.path+"\nexec /opt/app/worker\n", imagetest.File{Path: a.path, Body: a.pack(k.program())})
		}})
	}
	return append(out,
		recipe{group: "archives", name: "too-deep", make: func(k *kit) imagetest.Image {
			body := k.program()
			for range either(k, 9, 3) {
				body = []byte(gzipped(string(tarOf("x", body))))
			}
			return k.starts(hiding+"exec /opt/app/worker\n", imagetest.File{Path: "opt/pkg/bundle", Body: body})
		}},
		recipe{group: "archives", name: "password-in-script", make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"cd /opt/pkg\nunzip -P Sommer24 data.zip\nexec ./worker\n", imagetest.File{Path: "opt/pkg/data.zip", Body: cryptedZip("worker", "Sommer24", k.program())})
		}},
		recipe{group: "archives", name: "script-in-archive", make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"tar xzf /opt/pkg/boot.tgz -C /\nsh /boot/run.sh\n", imagetest.File{Path: "opt/pkg/boot.tgz", Body: []byte(gzipped(string(tarOf("boot/run.sh", []byte(k.shell(run))))))})
		}},
		recipe{group: "archives", name: "bomb", make: func(k *kit) imagetest.Image {
			// A megabyte that unpacks to a thousand times as much, where a clean one unpacks to what logs do.
			size := either(k, 1<<30, 1<<20)
			return k.starts(hiding+"exec /opt/app/worker\n", imagetest.File{Path: "opt/pkg/zeros.gz", Body: []byte(gzipped(gzippedZeros(size)))})
		}},
	)
}

// gzippedZeros is a gzip file of n zeros, made a piece at a time.
func gzippedZeros(n int) string {
	piece := gzipped(strings.Repeat("\x00", 1<<20))
	return strings.Repeat(piece, max(n>>20, 1))
}

func pictures() []recipe {
	png := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82")
	gif := []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
	jpg := append(append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xdb\x00C\x00"), bytes.Repeat([]byte{8}, 64)...),
		"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\xff\xc4\x00\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\t\xff\xda\x00\x08\x01\x01\x00\x00?\x00T\xff\xd9"...)
	behind := func(name, path string, front []byte, tail func(*kit) []byte) recipe {
		return recipe{group: "behind a picture", name: name, make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"tail -c +"+fmt.Sprint(len(front)+1)+" /"+path+" > /tmp/w\nchmod +x /tmp/w\n/tmp/w\n",
				imagetest.File{Path: path, Body: append(bytes.Clone(front), tail(k)...)})
		}}
	}
	program := func(k *kit) []byte { return k.program() }
	return []recipe{
		behind("png-program", "srv/www/logo.png", png, program),
		behind("jpg-script", "srv/www/1.jpg", jpg, func(k *kit) []byte { return []byte(k.shell(run)) }),
		behind("jpg-program", "srv/www/panda.jpg", jpg, program),
		behind("gif-archive", "srv/www/dot.gif", gif, func(k *kit) []byte { return []byte(gzipped(string(tarOf("w", k.program())))) }),
		behind("png-zip", "srv/www/icon.png", png, func(k *kit) []byte { return zipOf("w", k.program()) }),
		{group: "behind a program", name: "archive", make: func(k *kit) imagetest.Image {
			own := corpus.Ordinary(k.rng, amd64, "installer")
			return k.image([]string{"/usr/bin/installer"}, imagetest.Binary("usr/bin/installer", append(own, gzipped(string(tarOf("w", k.program())))...)))
		}},
		{group: "behind a program", name: "makeself", make: func(k *kit) imagetest.Image {
			script := "#!/bin/sh\nexit 0\n# This script was generated using Makeself 2.4.0\nskip=8\nfilesizes=1\ntail -n +$skip \"$0\" | gzip -cd | tar xf -\n./worker\nexit 0\n"
			return k.image([]string{"/opt/install.run"}, imagetest.Script("opt/install.run", script+gzipped(string(tarOf("worker", k.program())))))
		}},
		{group: "behind a program", name: "zipapp", make: func(k *kit) imagetest.Image {
			return k.image([]string{"/opt/app.pyz"}, imagetest.Script("opt/app.pyz", "#!/usr/bin/env python3\n"+string(zipOf("__main__.py", []byte(k.python(run))))))
		}},
	}
}
