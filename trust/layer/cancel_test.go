package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust/layer"
)

// A bzip2 stream of the header of a file "zeros" of 200 times 900000 bytes, and one of as many bytes.
const (
	bzippedHeader = `
QlpoOTFBWSZTWU03edwAACVbgMiAQAB3gAAIYgCeEAgAIABUU0aANBmoGjSnig2oyGYcEJOOIeSYRUXchC5AFMgprKthHVBzMMXK
NdVgw9f4u5IpwoSCabvO4A==`
	bzippedZeros = `QlpoOTFBWSZTWWPj7KIABuTBAMAAAgAACCAAMMwJqmmUoTapKE8XckU4UJBj4+yi`
)

// long are blobs that keep each decoder busy for long, with and without content coming out.
func long(t testing.TB) map[string][]byte {
	t.Helper()
	size := 4 << 20
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i * i >> 7)
	}
	plain := archive(t, file("large", string(body)))
	header := archive(t, &tar.Header{Typeflag: tar.TypeReg, Name: "large", Mode: 0o644})[:512]
	stored := slices.Concat(xzOf(header, dict4K), xzOf(body, dict4K))
	return map[string][]byte{
		"plain":           plain,
		"gzip":            gz(t, plain),
		"gzip-members":    append(gz(t, header), bytes.Repeat(gz(t, nil), 50_000)...),
		"zstd":            zst(t, plain, zstd.WithEncoderLevel(zstd.SpeedFastest)),
		"zstd-skippable":  append(zst(t, header), bytes.Repeat(skippable("x"), 100_000)...),
		"zstd-long-frame": append(zst(t, header), skippable(string(body))...),
		"zstd-frames":     append(zst(t, header), bytes.Repeat(zst(t, nil, zstd.WithZeroFrames(true)), 50_000)...),
		"bzip2":           append(decode(t, bzippedHeader), bytes.Repeat(decode(t, bzippedZeros), 200)...),
		"xz":              stored,
		"xz-streams":      append(xzOf(header, dict4K), bytes.Repeat(xzOf(nil, dict4K), 20_000)...),
		"xz-padding":      append(xzOf(header, dict4K), make([]byte, size)...),
	}
}

// counted counts what is read of a blob, and cancels when that is at bytes.
type counted struct {
	r      io.Reader
	n, at  int
	cancel func()
	// late counts bytes that were read after that.
	late int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 16<<10)])
	if c.n >= c.at {
		c.late += n
	}
	if c.n += n; c.n >= c.at {
		c.cancel()
	}
	return n, err
}

// A walk that is cancelled in the middle of a decoder's work reads no further byte, and shows none. What is left to do is
// one buffer's worth of decoding.
func TestCancelledDecoders(t *testing.T) {
	t.Parallel()
	for name, blob := range long(t) {
		for by, inflate := range inflates(t) {
			if by != layer.InflateKlauspost && name[:2] != "gz" {
				continue
			}
			t.Run(name+"/"+by, func(t *testing.T) {
				t.Parallel()
				for _, at := range []int{len(blob) / 3, len(blob) * 2 / 3} {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					src := &counted{r: bytes.NewReader(blob), at: at, cancel: cancel}
					v := &visited{do: func(_ layer.Entry, r io.Reader) error {
						buf := make([]byte, 4<<10)
						for {
							n, err := r.Read(buf)
							if err != nil {
								if n > 0 && ctx.Err() != nil {
									return errors.New("bytes were shown after the end")
								}
								if err == io.EOF {
									return nil
								}
								return err
							}
						}
					}}
					_, err := layer.Walk(ctx, src, descriptor(blob), layer.Limits{Inflate: inflate, RatioFloor: 1 << 40, Ratio: 1 << 20}, v)
					if !errors.Is(err, context.Canceled) || src.late > 0 {
						t.Errorf("cancelled after %d of %d bytes: %d more were read, %v", at, len(blob), src.late, err)
					}
				}
			})
		}
	}
}

// A visitor that cancels gets nothing more, whatever the decoder has ready.
func TestCancelledByVisitor(t *testing.T) {
	t.Parallel()
	for name, blob := range long(t) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		src := &counted{r: bytes.NewReader(blob), at: 1 << 40, cancel: cancel}
		v := &visited{do: func(_ layer.Entry, r io.Reader) error {
			buf := make([]byte, 1024)
			if _, err := r.Read(buf); err == io.EOF {
				return nil
			}
			cancel()
			src.at = src.n
			if n, err := r.Read(buf); n > 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %d bytes after the end, %v", name, n, err)
			}
			return ctx.Err()
		}}
		_, err := layer.Walk(ctx, src, ocispec.Descriptor{Digest: descriptor(blob).Digest, Size: int64(len(blob))}, layer.Limits{}, v)
		if src.late > 0 || ctx.Err() != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %d bytes were read after the end, %v", name, src.late, err)
		}
	}
}
