package evasion

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	digests := func(seed uint64) (out []string) {
		for _, c := range Generate(seed) {
			out = append(out, c.Group+"/"+c.Name+" "+c.Image.Root.Digest.String())
		}
		return out
	}
	if d := cmp.Diff(digests(1), digests(1)); d != "" {
		t.Errorf("the same seed made other images: %s", d)
	}
}

func TestEveryCaseHasATwin(t *testing.T) {
	t.Parallel()
	cases := Generate(1)
	seen := map[string]bool{}
	for i := 0; i < len(cases); i += 2 {
		bad, good := cases[i], cases[i+1]
		name := bad.Group + "/" + bad.Name
		if !bad.Mining || good.Mining || good.Integrity || good.Group+"/"+good.Name != name || seen[name] {
			t.Errorf("%s and %s/%s are no twins, or stand twice", name, good.Group, good.Name)
		}
		if bad.Image.Root.Digest == good.Image.Root.Digest {
			t.Errorf("%s: both are the same", name)
		}
		seen[name] = true
	}
	if len(seen) < 80 {
		t.Errorf("%d cases", len(seen))
	}
}
