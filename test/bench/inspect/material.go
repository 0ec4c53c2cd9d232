//go:build linux

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// packages make a layer as images have them: programs, libraries, interpreters with their sources, documentation.
var packages = []string{
	"libc6", "perl-base", "perl-modules-5.36", "python3.11-minimal", "libpython3.11-stdlib", "python3-numpy", "python3-scipy", "python3-pandas-lib",
	"openjdk-17-jdk-headless", "openjdk-17-jre-headless", "postgresql-15", "libllvm14", "gcc-12", "cpp-12", "g++-12", "git", "nodejs", "libnode108",
	"golang-1.19-go", "golang-1.19-src", "ffmpeg", "libavcodec59", "libavfilter8", "llvm-14-dev", "libclang-14-dev", "clang-14", "libclang-cpp14", "rustc", "libstd-rust-1.63", "libstd-rust-dev",
	"libboost1.74-dev", "binutils-x86-64-linux-gnu", "vim-runtime", "emacs-common", "libicu72", "libx265-199", "mariadb-server-core", "ruby3.1", "libruby3.1", "php8.2-cli",
	"nginx-core", "redis-server", "tor", "proxychains4", "monero", "wireshark-common", "libwireshark16", "texlive-base", "ghostscript", "libgs-common", "fonts-noto-core",
	"libreoffice-core", "libreoffice-common", "chromium", "firefox-esr", "qemu-system-x86", "linux-image-amd64", "erlang-base", "ghc", "julia", "octave",
}

// enough is when the layer is large enough, unpacked, in bytes.
const enough = 1700 << 20

// layers are the files that everything is measured on.
type layers struct {
	tar, gz, zst string
	size         int64 // of tar
}

// material returns the layers of the cache, made now if they are not there.
func material(ctx context.Context, cache string) (layers, error) {
	l := layers{tar: filepath.Join(cache, "layer.tar"), gz: filepath.Join(cache, "layer.tar.gz"), zst: filepath.Join(cache, "layer.tar.zst")}
	done := filepath.Join(cache, "complete")
	if _, err := os.Stat(done); err != nil {
		if err := makeLayers(ctx, cache, l); err != nil {
			return l, err
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return l, err
		}
	}
	info, err := os.Stat(l.tar)
	if err != nil {
		return l, err
	}
	l.size = info.Size()
	return l, nil
}

func makeLayers(ctx context.Context, cache string, l layers) error {
	debs := filepath.Join(cache, "packages")
	if err := os.MkdirAll(debs, 0o700); err != nil {
		return err
	}
	note("fetching Debian packages into %s", debs)
	if err := download(ctx, debs); err != nil {
		return err
	}
	note("making layers of them")
	if err := writeTar(ctx, debs, l.tar); err != nil {
		return err
	}
	for _, pack := range [][]string{{"gzip", "-6", "-c", l.tar}, {"zstd", "-3", "-q", "-c", l.tar}} {
		to := l.gz
		if pack[0] == "zstd" {
			to = l.zst
		}
		if err := into(ctx, to, pack...); err != nil {
			return err
		}
	}
	return nil
}

// download fetches what this Debian has of the packages; the names differ a little between releases.
func download(ctx context.Context, dir string) error {
	update := exec.CommandContext(ctx, "apt-get", "update")
	update.Stdout, update.Stderr = io.Discard, io.Discard
	_ = update.Run() // lists of before may do
	got := 0
	for _, name := range packages {
		fetch := exec.CommandContext(ctx, "apt-get", "-q", "download", name)
		fetch.Dir = dir
		if out, err := fetch.CombinedOutput(); err != nil {
			note("without %s: %s", name, lastLine(out))
			continue
		}
		got++
	}
	if got == 0 {
		return errors.New("no package could be fetched: is this Debian, with a network?")
	}
	return nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// writeTar puts the files of all packages into one archive.
func writeTar(ctx context.Context, debs, to string) (err error) {
	names, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	var size int64
	for _, name := range names {
		n, err := appendPackage(ctx, w, name)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		if size += n; size > enough {
			break
		}
	}
	if size < enough/3 {
		return fmt.Errorf("the packages have %d MiB only", size>>20)
	}
	return w.Close()
}

func appendPackage(ctx context.Context, w *tar.Writer, name string) (n int64, err error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cmd.Wait()) }()
	r := tar.NewReader(out)
	for {
		hdr, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := w.WriteHeader(hdr); err != nil {
			return n, err
		}
		m, err := io.Copy(w, r)
		if n += m; err != nil {
			return n, err
		}
	}
}

// into runs a command with its output in a file.
func into(ctx context.Context, to string, command ...string) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = f, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}
