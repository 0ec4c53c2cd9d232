package differential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust/layer"
)

// shown are the digests of all bodies that a walk shows.
type shown map[[sha256.Size]byte]bool

func (s shown) File(_ context.Context, _ layer.Entry, r io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	s[[sha256.Size]byte(h.Sum(nil))] = true
	return nil
}

func walk(t testing.TB, blob []byte, annotations map[string]string, inflate string) (shown, layer.Summary, error) {
	t.Helper()
	by, err := layer.NewInflate(inflate)
	if err != nil {
		t.Fatal(err)
	}
	seen := shown{}
	desc := ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob)), Annotations: annotations}
	s, err := layer.Walk(t.Context(), bytes.NewReader(blob), desc, layer.Limits{Bytes: maxFile, Inflate: by}, seen)
	return seen, s, err
}

// compare reports what an engine created that a walk without an error did not show.
func compare(t testing.TB, c *child, blob []byte) (clean, unpacked bool) {
	t.Helper()
	seen, _, err := walk(t, blob, nil, layer.InflateFast)
	made := c.unpack(t, blob)
	for name, m := range made {
		unpacked = unpacked || m.Err == ""
		if err != nil {
			continue // unanswered, whatever is in it
		}
		for sum, path := range m.Files {
			if !seen[sum] {
				t.Errorf("%s created %s, which the walk did not show (engine: %q)", name, path, m.Err)
			}
		}
	}
	return err == nil, unpacked
}

// maxTime bounds the test where the machine is slow; what was tried is reported.
const maxTime = 20 * time.Second

// No regular file that an engine would create is one whose bytes the walk did not show.
func TestWalkAgainstEngines(t *testing.T) {
	c := newChild(t)
	seeds := layers(t)
	for i, plain := range seeds {
		for range 4 {
			if clean, _ := compare(t, c, packed(t, rand.New(rand.NewPCG(uint64(i), 9)), plain)); t.Failed() {
				t.Fatalf("layer %d, clean %v", i, clean)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(2026, 1))
	deadline := time.Now().Add(maxTime)
	tried, clean, both := 0, 0, 0
	for ; tried < 4000 && time.Now().Before(deadline); tried++ {
		ours, theirs := compare(t, c, packed(t, rnd, mutated(rnd, seeds)))
		if t.Failed() {
			t.Fatalf("after %d layers", tried)
		}
		if ours {
			clean++
			if theirs {
				both++
			}
		}
	}
	t.Logf("%d layers: %d walked without a fault, %d of them unpacked by an engine", tried, clean, both)
	if tried > 100 && both*20 < tried {
		t.Error("hardly any layer was read by both: nothing was compared")
	}
}

func FuzzWalkAgainstEngines(f *testing.F) {
	for _, plain := range layers(f) {
		f.Add(plain)
		f.Add(gz(f, plain))
	}
	c := newChild(f)
	f.Fuzz(func(t *testing.T, blob []byte) { compare(t, c, blob) })
}
