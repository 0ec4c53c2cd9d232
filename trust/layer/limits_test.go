package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

// Each limit is met at n and exceeded at n+1.
func TestLimits(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("a", "b")) // 2048 bytes
	zeros := gz(t, make([]byte, 10<<20))
	long := archive(t, file(strings.Repeat("x", 300), "y"))
	three := archive(t, file("a", ""), &tar.Header{Typeflag: tar.TypeDir, Name: "d/"}, file("c", ""))
	holes := sparse(t, "0,1", 1<<20, "x")
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(make([]byte, 2<<20))); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	manyHeaders := archive(t, &tar.Header{Typeflag: tar.TypeReg, Name: "x", PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("x", 100_000)}})

	for name, tc := range map[string]struct {
		blob      []byte
		under, at layer.Limits
	}{
		"bytes":        {gz(t, plain), layer.Limits{Bytes: 2047}, layer.Limits{Bytes: 2048}},
		"bytes-plain":  {plain, layer.Limits{Bytes: 2047}, layer.Limits{Bytes: 2048}},
		"bytes-holes":  {holes, layer.Limits{Bytes: 1<<20 - 1}, layer.Limits{Bytes: 1 << 20}},
		"ratio":        {zeros, layer.Limits{RatioFloor: 1 << 20, Ratio: 100}, layer.Limits{RatioFloor: 1 << 20, Ratio: 2000}},
		"ratio-floor":  {zeros, layer.Limits{RatioFloor: 10<<20 - 1}, layer.Limits{RatioFloor: 10 << 20}},
		"entries":      {three, layer.Limits{Entries: 2}, layer.Limits{Entries: 3}},
		"path-bytes":   {long, layer.Limits{PathBytes: 299}, layer.Limits{PathBytes: 300}},
		"header-bytes": {manyHeaders, layer.Limits{HeaderBytes: 100_000}, layer.Limits{HeaderBytes: 102_400}},
		"window-xz":    {xzOf(plain, dict1M), layer.Limits{Window: 1<<20 - 1}, layer.Limits{Window: 1 << 20}},
		"window":       {frame.Bytes(), layer.Limits{Window: 1<<20 - 1}, layer.Limits{Window: 1 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s, err := walk(t, tc.blob, tc.under)
			only(t, err, trust.ErrLimit)
			if err != nil && !strings.Contains(name, "path") && s.DiffID != "" {
				t.Error("diff ID of a stream that was not read to its end")
			}
			if _, _, err := walk(t, tc.blob, tc.at); err != nil {
				t.Errorf("at the limit: %v", err)
			}
		})
	}
}

// One entry may be described by any number of extended headers; all of them count.
func TestLimitOfChainedHeaders(t *testing.T) {
	t.Parallel()
	var headers []*tar.Header
	for range 30 {
		headers = append(headers, file("pax", "100 comment="+strings.Repeat("x", 87)+"\n"))
	}
	blob := archive(t, append(headers, file("a", "b"))...)
	for i := range headers {
		block := blob[i*1024:]
		block[156] = tar.TypeXHeader
		checksum(block)
	}
	if _, s, err := walk(t, blob, layer.Limits{}); err != nil || s.Files != 1 {
		t.Fatal(s, err)
	}
	_, _, err := walk(t, blob, layer.Limits{HeaderBytes: 20_000})
	only(t, err, trust.ErrLimit)
}

func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	want := layer.Limits{Bytes: 20 << 30, Ratio: 100, RatioFloor: 256 << 20, Entries: 1 << 20, PathBytes: 4096, HeaderBytes: 1 << 20, Window: 32 << 20}
	for i, got := range []layer.Limits{layer.DefaultLimits(), layer.Limits{}.WithDefaults(), layer.Limits{Bytes: -1, Entries: -5, Window: -9}.WithDefaults()} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(i, diff)
		}
	}
	if got := (layer.Limits{Entries: 7}).WithDefaults(); got.Entries != 7 || got.Bytes != want.Bytes {
		t.Errorf("%+v", got)
	}
}

// What a limit refuses is still verified, and what came before it was shown.
func TestLimitsKeepWhatWasShown(t *testing.T) {
	t.Parallel()
	var headers []*tar.Header
	for i := range 50 {
		headers = append(headers, file(fmt.Sprint("f", i), "x"))
	}
	blob := gz(t, archive(t, headers...))
	v, s, err := walk(t, blob, layer.Limits{Entries: 20})
	only(t, err, trust.ErrLimit)
	if len(v.bodies) != 20 || s.Files != 20 {
		t.Errorf("%d bodies, %+v", len(v.bodies), s)
	}
}
