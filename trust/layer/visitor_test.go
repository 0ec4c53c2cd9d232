package layer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

func TestWalkVisitorError(t *testing.T) {
	t.Parallel()
	own := errors.New("visitor's own")
	blob := gz(t, archive(t, file("a", "b"), file("c", "d")))
	r := bytes.NewReader(blob)
	v := &visited{err: own}
	_, err := layer.Walk(t.Context(), r, descriptor(blob), layer.Limits{}, v)
	if !errors.Is(err, own) || len(v.paths) != 1 {
		t.Errorf("%v after %q", err, v.paths)
	}
	only(t, err, nil)
	if r.Len() != 0 {
		t.Error("the rest was not drained")
	}
	desc := descriptor(blob)
	desc.Size--
	_, err = layer.Walk(t.Context(), bytes.NewReader(blob), desc, layer.Limits{}, &visited{err: own})
	only(t, err, trust.ErrIntegrity)
}

// A visitor that reads nothing, or hides errors of its reader, gets no cleaner answer than one that reads all.
func TestWalkVisitorReadsNothing(t *testing.T) {
	t.Parallel()
	lazy := func(layer.Entry, io.Reader) error { return nil }
	hides := func(_ layer.Entry, r io.Reader) error { _, _ = io.Copy(io.Discard, r); return nil }
	for name, do := range map[string]func(layer.Entry, io.Reader) error{"lazy": lazy, "hides": hides} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := archive(t, file("a", strings.Repeat("b", 70_000)), file("c", "d"))
			v := &visited{do: do}
			s, err := layer.Walk(t.Context(), bytes.NewReader(good), descriptor(good), layer.Limits{}, v)
			if err != nil || s.Files != 2 || s.DiffID != digest.FromBytes(good) {
				t.Error(s, err)
			}
			for _, bad := range [][]byte{sparse(t, "0,1", 20, "xyz"), good[:5000], gz(t, good[:5000])} {
				_, err := layer.Walk(t.Context(), bytes.NewReader(bad), descriptor(bad), layer.Limits{}, &visited{do: do})
				only(t, err, trust.ErrMalformed)
			}
		})
	}
}

func TestWalkReaderIsValidDuringTheVisitOnly(t *testing.T) {
	t.Parallel()
	blob := archive(t, file("a", "one"), file("b", "two"))
	var kept io.Reader
	v := &visited{do: func(_ layer.Entry, r io.Reader) error {
		if kept != nil {
			if n, err := kept.Read(make([]byte, 9)); n != 0 || err == nil || err == io.EOF {
				return fmt.Errorf("stale reader gave %d, %v", n, err)
			}
		}
		kept = r
		return nil
	}}
	if _, err := layer.Walk(t.Context(), bytes.NewReader(blob), descriptor(blob), layer.Limits{}, v); err != nil {
		t.Error(err)
	}
}

func TestWalkCancelled(t *testing.T) {
	t.Parallel()
	blob := gz(t, archive(t, file("a", strings.Repeat("x", 1<<20)), file("b", "y")))
	for name, cancelAt := range map[string]int{"before": -1, "in-first-file": 0, "in-last-file": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if cancelAt < 0 {
				cancel()
			}
			files := 0
			v := &visited{do: func(_ layer.Entry, r io.Reader) error {
				if files == cancelAt {
					cancel()
					if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
						return fmt.Errorf("read %d, %v after cancel", n, err)
					}
				}
				files++
				return nil
			}}
			_, err := layer.Walk(ctx, bytes.NewReader(blob), descriptor(blob), layer.Limits{}, v)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			only(t, err, nil)
		})
	}
}

func TestWalkData(t *testing.T) {
	t.Parallel()
	tarball := archive(t, file("chart/values.yaml", "a: b"))
	old := bytes.Clone(tarball)
	clear(old[257:265]) // a tar archive from before ustar has no magic
	checksum(old)
	odd := bytes.Clone(tarball) // a checksum that ends at a NUL: readers of tar stop there
	copy(odd[148:156], "        ")
	checksum(odd)
	odd[154], odd[155] = 0, 'A'
	titled := func(title string) map[string]string { return map[string]string{ocispec.AnnotationTitle: title} }
	for name, tc := range map[string]struct {
		blob        []byte
		annotations map[string]string
		paths       []string
		want        error
	}{
		"json":         {[]byte(`{"_type":"https://in-toto.io/Statement/v1"}`), nil, []string{"data"}, nil},
		"empty":        {nil, nil, []string{"data"}, nil},
		"titled":       {[]byte("x"), titled("/sbom/README.md"), []string{"data"}, nil},
		"odd-checksum": {odd, nil, []string{"chart/values.yaml"}, nil},
		"long":         {bytes.Repeat([]byte("text"), 99_999), nil, []string{"data"}, nil},
		"tar":          {tarball, nil, []string{"chart/values.yaml"}, nil},
		"old-tar":      {old, nil, []string{"chart/values.yaml"}, nil},
		"gzip":         {gz(t, tarball), nil, []string{"chart/values.yaml"}, nil},
		"gzip-of-text": {gz(t, []byte("text")), nil, nil, trust.ErrMalformed},
		"xz":           {[]byte("\xfd7zXZ\x00"), nil, nil, trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desc := descriptor(tc.blob)
			desc.Annotations = tc.annotations
			v := &visited{}
			_, err := layer.WalkData(t.Context(), bytes.NewReader(tc.blob), desc, layer.Limits{}, v)
			only(t, err, tc.want)
			if diff := cmp.Diff(tc.paths, v.paths); diff != "" || (err == nil) != (tc.want == nil) {
				t.Error(err, diff)
			}
			_, err = layer.WalkData(t.Context(), strings.NewReader("else"), desc, layer.Limits{}, &visited{})
			only(t, err, trust.ErrIntegrity)
		})
	}
}
