package layer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

// Whichever implementation undoes gzip, and however often it did so before, the answer is the same.
func TestInflate(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("a", strings.Repeat("hello ", 20_000)), file("b", "x"))
	good := gz(t, plain)
	damaged := bytes.Clone(good)
	damaged[len(damaged)-5] ^= 1
	blobs := map[string]struct {
		blob  []byte
		clean bool
	}{
		"good": {good, true}, "members": {append(gz(t, plain[:1000]), gz(t, plain[1000:])...), true},
		"damaged": {damaged, false}, "cut": {good[:len(good)-1], false}, "cut-in-the-middle": {good[:len(good)/2], false},
		"trailing": {append(bytes.Clone(good), 0), false}, "magic-only": {good[:3], false},
	}
	for _, name := range []string{layer.InflateFast, layer.InflateKlauspost, layer.InflateStdlib, ""} {
		inflate, err := layer.NewInflate(name)
		if err != nil {
			t.Fatal(err)
		}
		var walks sync.WaitGroup
		for range 4 {
			walks.Go(func() {
				for kind, tc := range blobs {
					v, s, err := walk(t, tc.blob, layer.Limits{Inflate: inflate})
					want, ws, _ := walk(t, tc.blob, layer.Limits{})
					if !tc.clean {
						only(t, err, trust.ErrMalformed)
					} else if err != nil || !cmp.Equal(v.bodies, want.bodies) || !cmp.Equal(s, ws) {
						t.Errorf("%s, %s: %v", name, kind, err)
					}
				}
			})
		}
		walks.Wait()
	}
	if _, err := layer.NewInflate("slow"); err == nil {
		t.Error("an unknown name was accepted")
	}
}

// What is remembered about a layer does not depend on what undid its compression.
func TestInflateIsNoLimit(t *testing.T) {
	t.Parallel()
	inflate, err := layer.NewInflate(layer.InflateFast)
	if err != nil {
		t.Fatal(err)
	}
	l := layer.Limits{Inflate: inflate}.WithDefaults()
	if l.Inflate != inflate {
		t.Error("the defaults lost the choice")
	}
	with, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	without, err := json.Marshal(layer.DefaultLimits())
	if err != nil || !bytes.Equal(with, without) {
		t.Errorf("%s, %s, %v", with, without, err)
	}
}

// Walks that share an Inflate do not allocate a decoder each.
func TestInflateIsReused(t *testing.T) {
	inflate, err := layer.NewInflate(layer.InflateFast)
	if err != nil {
		t.Fatal(err)
	}
	blob := gz(t, archive(t, file("a", "b")))
	v := &reading{buf: make([]byte, 1024)}
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := layer.Walk(t.Context(), bytes.NewReader(blob), descriptor(blob), layer.Limits{Inflate: inflate}, v); err != nil {
				b.Fatal(err)
			}
		}
	})
	if n := got.AllocedBytesPerOp(); n > 450<<10 {
		t.Errorf("%d bytes a walk", n)
	}
}
