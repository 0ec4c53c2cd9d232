package layer_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

// FuzzWalk: hostile bytes end in a known error or in an answer that the engines' own reading agrees with.
func FuzzWalk(f *testing.F) {
	plain := archive(f, file("etc/motd", "hello\n"), file("bin/run", "#!/bin/sh\n"))
	for _, seed := range [][]byte{
		nil, plain, gz(f, plain), zst(f, plain), bzipped(f), append(gz(f, plain[:700]), gz(f, plain[700:])...),
		append(skippable("x"), zst(f, plain)...), sparse(f, "2,3,10,1", 12, "abcd"), make([]byte, 1024), decode(f, xzTwice), decode(f, bzippedTwice),
	} {
		f.Add(seed)
	}
	for _, kind := range lazyKinds {
		blob, _ := lazy{kind: kind, chunkSize: 800}.make(f, lazyFiles...)
		f.Add(blob)
	}
	limits := layer.Limits{Bytes: 1 << 20, Entries: 100, RatioFloor: 1 << 18, HeaderBytes: 1 << 16, Window: 1 << 20}
	f.Fuzz(func(t *testing.T, blob []byte) {
		v, s, err := walk(t, blob, limits)
		if err != nil {
			if !errors.Is(err, trust.ErrIntegrity) && !errors.Is(err, trust.ErrLimit) && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) {
				t.Fatalf("unknown error %v", err)
			}
			return
		}
		if s.Files != len(v.bodies) || s.DiffID.Validate() != nil {
			t.Fatalf("clean, but %+v", s)
		}
		desc := descriptor(blob)
		desc.Digest = digest.FromString("else")
		if _, err := layer.Walk(t.Context(), bytes.NewReader(blob), desc, limits, &visited{}); !errors.Is(err, trust.ErrIntegrity) {
			t.Fatalf("digest was not checked: %v", err)
		}
	})
}
