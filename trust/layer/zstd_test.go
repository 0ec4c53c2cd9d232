package layer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzZstdFrames: what is read frame by frame is what the decoder reads by itself, for any bytes.
func FuzzZstdFrames(f *testing.F) {
	text := []byte(strings.Repeat("hello ", 100))
	zst := func(p []byte, options ...zstd.EOption) []byte {
		e, err := zstd.NewWriter(nil, options...)
		if err != nil {
			f.Fatal(err)
		}
		return e.EncodeAll(p, nil)
	}
	skip := []byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc")
	empty := zst(nil, zstd.WithZeroFrames(true))
	for _, seed := range [][]byte{
		zst(text), zst(text, zstd.WithEncoderCRC(false)), append(empty, zst(text, zstd.WithSingleSegment(true))...),
		append(skip, append(zst(text), skip...)...), zst(make([]byte, 5000)), zst([]byte("a")), append(zst(text), skip[:9]...),
	} {
		f.Add(seed)
	}
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, blob []byte) {
		if len(blob) < 4 {
			return
		}
		if magic := binary.LittleEndian.Uint32(blob); magic != frameMagic && (magic&^0xf != skippableMagic || len(blob) < 8) {
			return
		}
		limits := Limits{Window: 1 << 20}
		d, err := zstd.NewReader(bytes.NewReader(blob), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		want, wantErr := io.ReadAll(io.LimitReader(d, most))
		packed := bufio.NewReader(bytes.NewReader(blob))
		r, err := openZstd(packed, func() int64 { return 0 }, limits, func(int64) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, gotErr := io.ReadAll(io.LimitReader(r, most))
		if (wantErr == nil) != (gotErr == nil) || wantErr == nil && !bytes.Equal(want, got) {
			t.Fatalf("decoder: %d bytes, %v; frames: %d bytes, %v", len(want), wantErr, len(got), gotErr)
		}
	})
}
