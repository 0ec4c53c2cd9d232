package decompress_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

const text = "the quick brown fox jumps over the lazy dog, and over it again"

func decoded(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// samples are the text in every compression. Those that cannot be written here come from the programs of their formats.
func samples(t testing.TB) map[string]string {
	t.Helper()
	write := func(open func(io.Writer) (io.WriteCloser, error)) string {
		var b bytes.Buffer
		w, err := open(&b)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return map[string]string{
		"gzip":  write(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"zlib":  write(func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }),
		"zstd":  write(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"bzip2": decoded("QlpoOTFBWSZTWZ2jMBsAABqRgEAEP///8CAAUKNDQAAADVPJqAaaP1IxNqKLw5o8Y2Vud0TtJ6rMXC1JF1YeJB226xEq+wItfRi7kD6X4u5IpwoSE7RmA2A="),
		"xz":    decoded("/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AA9ADtdADoaCM52x+Xp1gc0w9EOv85V4aq94OSPmAHdjeUHVJ5lJV8nOmp+tNNJAzgzaaLfyMUaklfgSurCevbbAABfi46bJF0FMQABVz4TYx0UH7bzfQEAAAAABFla"),
		"lzma":  decoded("XQAAgAD//////////wA6GgjOdsfl6dYHNMPRDr/OVeGqveDkj5gB3Y3lB1SeZSVfJzpqfrTTSQM4M2mi38jFGpJX4Erqy2D3bf/9UYAA"),
	}
}

// open reads all and says what the error is, in terms of package trust.
func open(f decompress.Format, r io.Reader) (string, error) {
	z, err := f.Open(r, unwraptest.Plenty{})
	if err != nil {
		return "", f.Classify(err)
	}
	defer z.Close()
	body := stream.NewBody(z)
	b, _ := io.ReadAll(io.LimitReader(body, 1<<20))
	return string(b), f.Classify(body.Err())
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := decompress.Format(name)
			if got := decompress.Detect([]byte(content)); got != f {
				t.Fatalf("taken for %q", got)
			}
			for way, chunk := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with-the-end": iotest.DataErrReader} {
				if got, err := open(f, chunk(strings.NewReader(content))); got != text || err != nil {
					t.Errorf("%s: %q, %v", way, got, err)
				}
			}
		})
	}
}

// What breaks off is malformed, wherever it does: it must never look like the end.
func TestOpen_cutAnywhere(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n < len(content); n++ {
				got, err := open(decompress.Format(name), strings.NewReader(content[:n]))
				if !errors.Is(err, trust.ErrMalformed) || !strings.HasPrefix(text, got) {
					t.Errorf("cut to %d of %d bytes: %q, %v", n, len(content), got, err)
				}
			}
		})
	}
}

// What is changed is noticed, by a check of the format or because it makes no sense; where a format has no check, it at
// least ends without a panic.
func TestOpen_changedAnywhere(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := range len(content) {
				for _, bit := range []byte{1, 0x80} {
					b := []byte(content)
					b[at] ^= bit
					got, err := open(decompress.Format(name), bytes.NewReader(b))
					if err == nil && got != text && name != "lzma" {
						t.Errorf("byte %d: %q without an error", at, got)
					}
					for _, kind := range []error{trust.ErrMalformed, trust.ErrUnsupported, trust.ErrLimit} {
						if errors.Is(err, kind) {
							err = nil
						}
					}
					if err != nil {
						t.Errorf("byte %d: %v is of no kind", at, err)
					}
				}
			}
		})
	}
}

// Streams one behind the other are read as one where the format says so; else what follows is malformed, as is garbage.
func TestOpen_whatFollows(t *testing.T) {
	t.Parallel()
	all := samples(t)
	for name, content := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := decompress.Format(name)
			got, err := open(f, strings.NewReader(content+content))
			switch name {
			case "zlib", "lzma":
				if got != text || !errors.Is(err, trust.ErrMalformed) {
					t.Errorf("twice: %q, %v", got, err)
				}
			default:
				if got != text+text || err != nil {
					t.Errorf("twice: %q, %v", got, err)
				}
			}
			for _, garbage := range []string{"x", "garbage that is longer than any header", all["gzip"][:5], strings.Repeat("\xff", 40000)} {
				if got, err := open(f, strings.NewReader(content+garbage)); err == nil || !strings.HasPrefix(text, got) {
					t.Errorf("with %d bytes behind: %q, %v", len(garbage), got, err)
				}
			}
		})
	}
	empty := decoded("QlpoORdyRThQkAAAAAA=")
	if got, err := open(decompress.Bzip2, strings.NewReader(empty+all["bzip2"])); got != text || err != nil {
		t.Errorf("behind nothing: %q, %v", got, err)
	}
	skippable := "\x5a\x2a\x4d\x18\x04\x00\x00\x00skip"
	if got, err := open(decompress.Zstd, strings.NewReader(skippable+all["zstd"]+skippable)); got != text || err != nil {
		t.Errorf("between frames without data: %q, %v", got, err)
	}
	padding := decoded("/Td6WFoAAATm1rRGAAAAABzfRCEftvN9AQAAAAAEWVo=") + "\x00\x00\x00\x00"
	if got, err := open(decompress.Xz, strings.NewReader(padding+all["xz"])); got != text || err != nil {
		t.Errorf("behind an empty stream with padding: %q, %v", got, err)
	}
}

// A window that is too large is not supported, and neither is a dictionary that is not there is not supported.
func TestClassify_kinds(t *testing.T) {
	t.Parallel()
	zstdFrame := func(descriptor byte) string {
		return "\x28\xb5\x2f\xfd\x00" + string([]byte{descriptor}) + "\x01\x00\x00"
	}
	lzmaHead := func(history uint32) string {
		return string([]byte{0x5d, byte(history), byte(history >> 8), byte(history >> 16), byte(history >> 24)}) + strings.Repeat("\xff", 8) + strings.Repeat("\x00", 8)
	}
	other := errors.New("other")
	for name, tc := range map[string]struct {
		f       decompress.Format
		content string
		want    error
	}{
		"zstd-32-MiB":       {decompress.Zstd, zstdFrame(15 << 3), nil},
		"zstd-36-MiB":       {decompress.Zstd, zstdFrame(15<<3 | 1), trust.ErrUnsupported},
		"zstd-64-MiB":       {decompress.Zstd, zstdFrame(16 << 3), trust.ErrUnsupported},
		"zstd-huge":         {decompress.Zstd, zstdFrame(31 << 3), trust.ErrUnsupported},
		"zstd-dictionary":   {decompress.Zstd, "\x28\xb5\x2f\xfd\x01\x58\x07\x01\x00\x00", trust.ErrUnsupported},
		"zlib-dictionary":   {decompress.Zlib, "\x78\xbb\x01\x02\x03\x04\x03\x00\x00\x00\x00\x01", trust.ErrUnsupported},
		"lzma-64-MiB":       {decompress.Lzma, lzmaHead(64 << 20), trust.ErrMalformed},
		"lzma-4-GiB":        {decompress.Lzma, lzmaHead(1<<32 - 1), trust.ErrMalformed},
		"gzip-method":       {decompress.Gzip, "\x1f\x8b\x07\x00" + strings.Repeat("\x00", 20), trust.ErrMalformed},
		"empty":             {decompress.Gzip, "", trust.ErrMalformed},
		"of-no-compression": {decompress.None, text, trust.ErrUnsupported},
		"of-another":        {"brotli", text, trust.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := open(tc.f, strings.NewReader(tc.content)); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	for _, own := range []error{trust.ErrLimit, trust.ErrUnsupported, trust.ErrMalformed} {
		if got := decompress.Gzip.Classify(own); got != own { //nolint:errorlint // it must be the same
			t.Errorf("%v became %v", own, got)
		}
	}
	if err := decompress.Xz.Classify(other); !errors.Is(err, trust.ErrMalformed) || !errors.Is(err, other) || decompress.Xz.Classify(nil) != nil {
		t.Error(err)
	}
}

// Chance makes few of what is compressed.
func TestDetect_chance(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // it must be the same every time
	found := 0
	for range 20000 {
		b := make([]byte, 18)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if decompress.Detect(b) != decompress.None {
			found++
		}
	}
	if found > 20 {
		t.Errorf("%d of 20000 are taken for a compression", found)
	}
}

func TestSuffixes(t *testing.T) {
	t.Parallel()
	seen := map[string]decompress.Format{}
	for _, f := range []decompress.Format{decompress.Gzip, decompress.Zlib, decompress.Zstd, decompress.Bzip2, decompress.Xz, decompress.Lzma} {
		for suffix, left := range f.Suffixes() {
			if other, twice := seen[suffix]; twice || !strings.HasPrefix(suffix, ".") || left != "" && !strings.HasPrefix(left, ".") {
				t.Errorf("%s: %q becomes %q; %s", f, suffix, left, other)
			}
			seen[suffix] = f
		}
	}
	if decompress.None.Suffixes() != nil {
		t.Error("what is not compressed has suffixes")
	}
}

func FuzzOpen(f *testing.F) {
	for _, content := range samples(f) {
		f.Add([]byte(content))
		f.Add([]byte(content + content)[:len(content)+7])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		format := decompress.Detect(content)
		if format == decompress.None {
			return
		}
		_, err := open(format, bytes.NewReader(content))
		if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) && !errors.Is(err, trust.ErrLimit) {
			t.Errorf("%v is of no kind", err)
		}
	})
}
