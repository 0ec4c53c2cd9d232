package lzma_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
)

// TestAgainstXz compares with the program xz where it is installed.
func TestAgainstXz(t *testing.T) {
	t.Parallel()
	xz, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("xz is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		open func(io.Reader) (io.Reader, error)
	}{
		"alone":        {[]string{"--format=lzma", "-1"}, lzma.Bounds{Limit: 64 << 20}.NewAlone},
		"alone-small":  {[]string{"--format=lzma", "--lzma1=dict=4KiB,lc=0,lp=2,pb=0,mode=fast"}, lzma.Bounds{Limit: 64 << 20}.NewAlone},
		"lzma2":        {[]string{"--format=raw", "--lzma2=preset=1,dict=1MiB"}, func(r io.Reader) (io.Reader, error) { return lzma.Bounds{Limit: 64 << 20}.NewReader2(r, 16) }},
		"lzma2-small":  {[]string{"--format=raw", "--lzma2=preset=0,dict=4KiB,lc=4,pb=4"}, func(r io.Reader) (io.Reader, error) { return lzma.Bounds{Limit: 64 << 20}.NewReader2(r, 0) }},
		"lzma2-random": {[]string{"--format=raw", "--lzma2=preset=0,dict=64KiB"}, func(r io.Reader) (io.Reader, error) { return lzma.Bounds{Limit: 64 << 20}.NewReader2(r, 8) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := content[:2<<20]
			if name == "lzma2-random" {
				body = bytes.Clone(body)
				for i, x := 0, uint32(1); i < len(body)/2; i++ {
					x = x*1664525 + 1013904223
					body[i] = byte(x >> 24)
				}
			}
			cmd := exec.CommandContext(t.Context(), xz, append(c.args, "-c")...)
			cmd.Stdin = bytes.NewReader(body)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.open(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(body))
			}
		})
	}
}
