package upx_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
	"github.com/safepull/safepull/trust/unwrap/upx"
)

func samples() []unwraptest.Sample {
	headers, first, second := program()
	whole := headers + first + strings.Repeat("\x00", 10) + second
	sample := func(name, content string, err error, want string) unwraptest.Sample {
		s := unwraptest.Sample{Name: name, Content: []byte(content), Err: err}
		if want != "" {
			s.Want = map[string]string{"unpacked": want}
		}
		return s
	}
	var out []unwraptest.Sample
	for _, method := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 14} {
		blocks := []string{packedBlock(method, headers), packedBlock(method, first), packedBlock(method, second), end, "the stub stands here"}
		out = append(out,
			sample(fmt.Sprintf("method-%d", method), executable(info(len(whole)), blocks...), nil, whole),
			sample(fmt.Sprintf("method-%d-mangled", method), executable(strings.Repeat("\x00", 24), blocks...), nil, whole),
		)
	}
	h := packedBlock(8, headers)
	calls := "\x90\xe8\x7f\x00\x01\x00\x0f\x84\x7f\x00\x00\x20" + strings.Repeat("\x90", 40)
	plain := "\x90\xe8\xfe\x00\x00\x00\x0f\x84\x18\x00\x00\x00" + strings.Repeat("\x90", 40)
	return append(out,
		sample("filtered", executable(info(1), h, blockHead(len(calls), len(calls), 8, 0x49, 0x7f)+calls), nil, headers+plain),
		sample("filtered-calls-only", executable(info(1), h, blockHead(len(calls), len(calls), 8, 0x46, 0x7f)+calls), nil, headers+plain[:6]+calls[6:]),
		sample("other-filter", executable(info(1), h, blockHead(len(calls), len(calls), 8, 0x52, 0x7f)+calls), nil, headers+calls),
		sample("cut-between", executable(info(1), h, packedBlock(8, first))[:300+len(h)], trust.ErrMalformed, headers),
		sample("later-block-broken", executable(info(1), h, blockHead(9000, 100, 8, 0, 0)+strings.Repeat("\x00", 100)), trust.ErrMalformed, headers),
		sample("too-large", executable(info(1), h, blockHead(49<<20, 100, 8, 0, 0)+strings.Repeat("x", 100)), trust.ErrLimit, headers),
		sample("changed", executable(info(1), strings.Repeat("\xff", 400)), trust.ErrUnsupported, ""),
		sample("first-block-is-none", executable(info(1), packedBlock(8, first)), trust.ErrUnsupported, ""),
		sample("first-block-cut", executable(info(1), h)[:250], trust.ErrUnsupported, ""),
		sample("unknown-method", executable(info(1), blockHead(176, 100, 99, 0, 0)+strings.Repeat("x", 100)), trust.ErrUnsupported, ""),
	)
}

func TestUPX(t *testing.T) {
	t.Parallel()
	headers, first, second := program()
	unwraptest.Run(t, upx.New(), samples(), []unwraptest.Sample{
		{Name: "not-packed", Content: []byte(headers + first + second)},
		{Name: "no-executable", Content: []byte(strings.Repeat("UPX!", 100))},
		{Name: "magic-elsewhere", Content: []byte(headers + strings.Repeat("x", 300) + "UPX!" + first)},
		{Name: "short", Content: []byte("\x7fELF")},
	})
}

// TestManyBlocks exceeds the number of blocks.
func TestManyBlocks(t *testing.T) {
	t.Parallel()
	headers, _, _ := program()
	content := executable(info(1), packedBlock(8, headers), strings.Repeat(blockHead(1, 1, 8, 0, 0)+"x", 1<<16))
	in := unwraptest.Sample{Content: []byte(content)}
	got, err := unwraptest.Unwrap(t.Context(), upx.New(), in, func(r io.Reader) io.Reader { return r })
	if n := strings.Count(got["unpacked"], "x"); err == nil || n != 1<<16-1 {
		t.Errorf("%d bytes, error %v", n, err)
	}
}

// TestAgainstUPX packs this test's own program with the packer itself.
func TestAgainstUPX(t *testing.T) {
	t.Parallel()
	packer, err := exec.LookPath("upx")
	if err != nil {
		packer, err = exec.LookPath("upx-ucl")
	}
	if err != nil {
		t.Skip("SKIPPED: there is no upx to pack with; the encoder of these tests stands in for it")
	}
	dir := t.TempDir()
	source := "package main\n\nfunc main() { println(\"a constant that survives packing\") }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "plain", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %v: %s", err, out)
	}
	for _, how := range [][]string{{"--nrv2b"}, {"--nrv2d"}, {"--nrv2e"}, {"--lzma"}, {"-1"}, {"-9"}} {
		name := filepath.Join(dir, "packed"+how[0])
		if out, err := exec.CommandContext(t.Context(), packer, append(how, "-o", name, filepath.Join(dir, "plain"))...).CombinedOutput(); err != nil { //nolint:gosec // of our own making
			t.Fatalf("%v: %s", err, out)
		}
		content, err := os.ReadFile(name) //nolint:gosec // of our own making
		if err != nil {
			t.Fatal(err)
		}
		got, err := unwraptest.Unwrap(t.Context(), upx.New(), unwraptest.Sample{Content: content}, func(r io.Reader) io.Reader { return r })
		if err != nil || !strings.Contains(got["unpacked"], "a constant that survives packing") {
			t.Errorf("%v: %d bytes, error %v", how, len(got["unpacked"]), err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Content)
	}
	w := upx.New()
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = unwraptest.Unwrap(t.Context(), w, unwraptest.Sample{Content: content}, func(r io.Reader) io.Reader { return r })
	})
}
