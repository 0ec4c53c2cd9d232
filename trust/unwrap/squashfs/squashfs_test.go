package squashfs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/squashfs"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// small is what mksquashfs made of tree.
func small(t testing.TB, compressor string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "small-"+compressor+".sqfs"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tree() map[string]string {
	var large strings.Builder
	for i := range 400 {
		fmt.Fprintf(&large, "line %d of a longer file\n", i)
	}
	return map[string]string{"a": "alpha\n", "sub/b.sh": "#!/bin/sh\nbeta\n", "sub/large": large.String(), "hole": strings.Repeat("\x00", 8192) + "end\n"}
}

// changed is content with other bytes at a place.
func changed(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

func with(m map[string]string, name, body string) map[string]string {
	m[name] = body
	return m
}

func samples(t testing.TB) []unwraptest.Sample {
	gz := small(t, "gzip")
	behind := strings.Repeat("something behind the file system, ", 5)
	old := changed(gz, 28, 3)
	list := []unwraptest.Sample{
		{Name: "lzo", Content: small(t, "lzo"), Err: trust.ErrUnsupported},
		{Name: "version-3", Content: old, Err: trust.ErrUnsupported},
		{Name: "big-endian", Content: bigEndian(gz), Err: trust.ErrUnsupported},
		{Name: "padded", Content: append(bytes.Clone(gz), make([]byte, 9000)...), Want: tree()},
		{Name: "behind", Content: append(bytes.Clone(gz), behind...), Want: with(tree(), fmt.Sprintf("tail@%d", len(gz)), behind)},
		{Name: "cut", Content: gz[:len(gz)-200], Err: trust.ErrMalformed},
		{Name: "root-outside", Content: changed(gz, 32, 0xff, 0xff, 0xff, 0xff), Err: trust.ErrMalformed},
		{Name: "tables-outside", Content: changed(gz, 64, 0xff, 0xff, 0xff, 0xff, 0xff), Err: trust.ErrMalformed},
	}
	for _, c := range []string{"gzip", "xz", "zstd", "lz4"} {
		list = append(list, unwraptest.Sample{Name: c, Content: small(t, c), Want: tree()})
	}
	return list
}

// bigEndian is a superblock as other machines wrote it.
func bigEndian(b []byte) []byte {
	b = changed(b, 0, 's', 'q', 's', 'h')
	binary.BigEndian.PutUint16(b[28:], 3)
	return b
}

func TestSquashfs(t *testing.T) {
	t.Parallel()
	gz := small(t, "gzip")
	unwraptest.Run(t, squashfs.New(), samples(t), []unwraptest.Sample{
		{Name: "text", Content: []byte("hsqs is the magic number of squashfs, and this is a text about it that is long enough to be a superblock.")},
		{Name: "short", Content: gz[:95]},
		{Name: "other-block-size", Content: changed(gz, 12, 0, 0, 1)},
	})
}

// A file system that is changed anywhere ends without a panic and with an error of a kind.
func TestSquashfs_changedAnywhere(t *testing.T) {
	t.Parallel()
	gz := small(t, "gzip")
	for at := range gz {
		for _, c := range []byte{0, 0xff, gz[at] ^ 1} {
			s := unwraptest.Sample{Content: changed(gz, at, c)}
			_, err := unwraptest.Unwrap(t.Context(), squashfs.New(), s, iotest.HalfReader)
			if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) && !errors.Is(err, trust.ErrLimit) {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
	}
}

// What mksquashfs makes of real programs is shown in full.
func TestSquashfs_real(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("mksquashfs")
	if err != nil {
		t.Skip("no mksquashfs")
	}
	dir := t.TempDir()
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	own = own[:min(len(own), 700_001)]
	for name, body := range map[string][]byte{"bin/program": own, "etc/empty": nil, "etc/note": []byte("note\n")} {
		full := filepath.Join(dir, "in", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, compressor := range []string{"gzip", "xz", "zstd", "lz4"} {
		out := filepath.Join(dir, compressor)
		if b, err := exec.CommandContext(t.Context(), tool, filepath.Join(dir, "in"), out, "-comp", compressor, "-noappend", "-quiet", "-no-progress").CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", compressor, err, b)
			continue
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unwraptest.Unwrap(t.Context(), squashfs.New(), unwraptest.Sample{Content: b}, iotest.HalfReader)
		if err != nil || got["bin/program"] != string(own) || got["etc/note"] != "note\n" || len(got) != 3 {
			t.Errorf("%s: %d pieces, %v", compressor, len(got), err)
		}
	}
}

func FuzzSquashfs(f *testing.F) { unwraptest.Fuzz(f, squashfs.New(), samples(f)) }
