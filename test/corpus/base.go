package corpus

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/test/imagetest"
)

// base is what an image stands on: one layer of a distribution.
type base struct {
	layer   imagetest.Blob
	history ocispec.History
	env     []string
	// database is the package database's path; record is one entry of it.
	database string
	record   func(name string) string
	// installed is the database as the base layer has it.
	installed string
	install   string // the command that a history line shows
	rng       *rand.Rand
}

var words = strings.Fields(`able about account action active address after agent alias allow archive argument array
	available backend backup base batch before block body branch buffer build bundle cache call change channel check
	class client close cluster code collect command comment commit common compile component config connect console
	content context control copy core count create current data date debug default define delete deploy describe device
	directory disable display document domain download driver dump edit element enable encode engine entry environment
	error event example execute export extension feature field file filter find flag folder format frame function`)

// prose is ordinary text of about n bytes.
func prose(rng *rand.Rand, n int) string {
	var b strings.Builder
	for line := 0; b.Len() < n; {
		word := words[rng.IntN(len(words))]
		b.WriteString(word)
		if line += len(word) + 1; line > 72 {
			b.WriteString(".\n")
			line = 0
			continue
		}
		b.WriteByte(' ')
	}
	return b.String() + "\n"
}

// ordinary is a program that does nothing and says ordinary things.
func ordinary(rng *rand.Rand, platform ocispec.Platform, name string) []byte {
	texts := []string{name + " 1.0", "Usage: " + name + " [OPTION]... [FILE]...", "/lib64/ld-linux-x86-64.so.2", "libc.so.6", "__libc_start_main"}
	texts = append(texts, strings.Split(prose(rng, 6<<10), "\n")...)
	return Program(platform, rodata(hashes([]string{"table of " + name, "more of " + name}), texts))
}

func programs(rng *rand.Rand, platform ocispec.Platform, names ...string) []imagetest.File {
	var files []imagetest.File
	for _, name := range names {
		files = append(files, imagetest.Binary(name, ordinary(rng, platform, path.Base(name))))
	}
	return files
}

// debian looks like a slim image of Debian 12.
func debian(rng *rand.Rand, platform ocispec.Platform) base {
	record := func(name string) string {
		return fmt.Sprintf("Package: %s\nStatus: install ok installed\nPriority: optional\nArchitecture: %s\nVersion: 1.0-1\nDescription: the package %s\n\n",
			name, platform.Architecture, name)
	}
	names := []string{"base-files", "bash", "ca-certificates", "coreutils", "dash", "debianutils", "dpkg", "libc6", "tar"}
	var installed strings.Builder
	files := []imagetest.File{
		imagetest.Dir("bin"), imagetest.Dir("etc"), imagetest.Dir("usr"), imagetest.Dir("var"), imagetest.Dir("tmp"),
		imagetest.Text("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"),
		imagetest.Text("etc/debian_version", "12.5\n"),
		imagetest.Text("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"),
		imagetest.Text("etc/group", "root:x:0:\nwww-data:x:33:\n"),
		imagetest.Text("etc/hosts", "127.0.0.1 localhost\n"),
		imagetest.Text("etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n"),
		imagetest.Text("etc/ssl/certs/ca-certificates.crt", "# none in this sample\n"),
	}
	for _, name := range names {
		installed.WriteString(record(name))
		files = append(files,
			imagetest.Text("usr/share/doc/"+name+"/copyright", prose(rng, 2<<10)),
			imagetest.Text("var/lib/dpkg/info/"+name+".list", "/usr/share/doc/"+name+"/copyright\n"))
	}
	files = append(files, programs(rng, platform, "usr/bin/bash", "usr/bin/dash", "usr/bin/tar", "usr/bin/ls", "usr/bin/dpkg", "usr/lib/libc.so.6")...)
	files = append(files, imagetest.File{Path: "usr/bin/sh", Symlink: "dash"}, imagetest.Text("var/lib/dpkg/status", installed.String()))
	return base{
		layer:    imagetest.Layer(files...),
		history:  line("/bin/sh -c #(nop) ADD file:rootfs.tar.xz in / "),
		env:      []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		database: "var/lib/dpkg/status", record: record, installed: installed.String(), rng: rng,
		install: "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends %s && rm -rf /var/lib/apt/lists/* # buildkit",
	}
}

// alpine looks like a small image of Alpine.
func alpine(rng *rand.Rand, platform ocispec.Platform) base {
	record := func(name string) string {
		return fmt.Sprintf("P:%s\nV:1.0-r0\nA:%s\nT:the package %s\no:%s\n\n", name, platform.Architecture, name, name)
	}
	names := []string{"alpine-baselayout", "alpine-keys", "apk-tools", "busybox", "ca-certificates-bundle", "musl", "zlib"}
	var installed strings.Builder
	files := []imagetest.File{
		imagetest.Dir("bin"), imagetest.Dir("etc"), imagetest.Dir("lib"), imagetest.Dir("usr"), imagetest.Dir("tmp"),
		imagetest.Text("etc/alpine-release", "3.19.1\n"),
		imagetest.Text("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\n"),
		imagetest.Text("etc/passwd", "root:x:0:0:root:/root:/bin/ash\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"),
		imagetest.Text("etc/group", "root:x:0:root\n"),
		imagetest.Text("etc/apk/repositories", "https://dl-cdn.alpinelinux.org/alpine/v3.19/main\n"),
		imagetest.Text("etc/inittab", "::sysinit:/sbin/openrc sysinit\n"),
	}
	for _, name := range names {
		installed.WriteString(record(name))
		files = append(files, imagetest.Text("usr/share/licenses/"+name+"/COPYING", prose(rng, 1<<10)))
	}
	for _, name := range []string{"motd", "profile", "shells", "services", "protocols", "fstab"} {
		files = append(files, imagetest.Text("etc/"+name, prose(rng, 512)))
	}
	files = append(files, programs(rng, platform, "bin/busybox", "lib/ld-musl-x86_64.so.1", "sbin/apk")...)
	for _, applet := range []string{"sh", "ash", "ls", "cat", "wget"} {
		files = append(files, imagetest.File{Path: "bin/" + applet, Symlink: "busybox"})
	}
	files = append(files, imagetest.Text("lib/apk/db/installed", installed.String()))
	return base{
		layer:    imagetest.Layer(files...),
		history:  line("/bin/sh -c #(nop) ADD file:alpine-minirootfs.tar.gz in / "),
		env:      []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		database: "lib/apk/db/installed", record: record, installed: installed.String(), rng: rng,
		install: "RUN /bin/sh -c apk add --no-cache %s # buildkit",
	}
}

// with is the image of an application on the base: the base, a layer of packages, the application's own layers.
func (b base) with(a app, platform ocispec.Platform) imagetest.Built {
	database := b.installed
	var files []imagetest.File
	for _, name := range a.packages {
		database += b.record(name)
		files = append(files, programs(b.rng, platform, "usr/bin/"+name)...)
		files = append(files, imagetest.Text("usr/share/doc/"+name+"/README", prose(b.rng, 1<<10)))
	}
	files = append(files, imagetest.Text(b.database, database))
	layers := []imagetest.Blob{b.layer, imagetest.Layer(files...)}
	history := []ocispec.History{b.history, line(fmt.Sprintf(b.install, strings.Join(a.packages, " ")))}
	for i, files := range a.layers {
		layers = append(layers, imagetest.Layer(files...))
		history = append(history, line(a.history[i]))
	}
	config := a.config
	config.Env = append(append([]string{}, b.env...), config.Env...)
	for _, env := range config.Env[len(b.env):] {
		history = append(history, empty("ENV "+env))
	}
	history = append(history, empty(fmt.Sprintf("ENTRYPOINT %q", config.Entrypoint)))
	if len(config.Cmd) > 0 {
		history = append(history, empty(fmt.Sprintf("CMD %q", config.Cmd)))
	}
	return imagetest.Image{Platform: platform, Config: config, Layers: layers, History: history}.Build()
}

func line(createdBy string) ocispec.History {
	created := imagetest.Epoch.Add(time.Minute)
	return ocispec.History{Created: &created, CreatedBy: createdBy, Comment: "buildkit.dockerfile.v0"}
}

func empty(createdBy string) ocispec.History {
	h := line(createdBy)
	h.EmptyLayer = true
	return h
}
