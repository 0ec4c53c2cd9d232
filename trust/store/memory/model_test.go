package memory_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/store/memory"
	"github.com/safepull/safepull/trust/store/sqlite"
	"github.com/safepull/safepull/trust/store/storetest"
)

func pick[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

func randomVerdict(rng *rand.Rand) trust.Verdict {
	v := trust.Verdict{
		ID:        pick(rng, "SP-1", "SP-2", "SP-3", "SP-4", "SP-5", "SP-6", ""),
		Reference: trust.Reference{Registry: pick(rng, "docker.io", "r.example"), Repository: pick(rng, "a", "b/c")},
		Manifest:  pick(rng, digest.FromString("m1"), digest.FromString("m2"), digest.FromString("m3"), ""),
		Action:    pick(rng, trust.Allow, trust.Warn, trust.Block, trust.Quarantine, "other"),
		Reasons:   []string{fmt.Sprint(rng.IntN(1000))},
		At:        time.Unix(int64(rng.IntN(3)), 0).UTC(),
		Passing:   rng.IntN(4) == 0,
	}
	if rng.IntN(20) == 0 {
		v.Reference = trust.Reference{}
	}
	for range rng.IntN(3) {
		v.Blobs = append(v.Blobs, trust.Blob{Digest: pick(rng, digest.FromString("b1"), digest.FromString("b2")), Size: 1})
	}
	return v
}

// TestAgainstTheStoreThatLasts does the same to this store and to the one in a file, in random order: both refuse, find
// and return the same.
func TestAgainstTheStoreThatLasts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		lasting, err := sqlite.Open(filepath.Join(t.TempDir(), "store.db"))
		if err != nil {
			t.Fatal(err)
		}
		both := []storetest.Store{memory.New(), lasting}
		rng := rand.New(rand.NewPCG(seed, 1))
		key := func() digest.Digest {
			return pick(rng, digest.FromString("k1"), digest.FromString("k2"), digest.FromString("k3"), "")
		}
		for step := range 250 {
			var results [2]string
			what := ""
			name, id, k, blob := pick(rng, "docker.io/a", "r.example/b/c", "none", ""), pick(rng, "SP-1", "SP-2", "SP-3", ""), key(), key()
			operation, limit, v := rng.IntN(7), rng.IntN(5)-1, randomVerdict(rng)
			found := trust.Inspection{Files: rng.IntN(100), Findings: []trust.Finding{{Check: "c@1", Path: "p"}}[:rng.IntN(2)]}
			for i, s := range both {
				switch operation {
				case 0, 1:
					err := s.KeepVerdict(t.Context(), k, v)
					what, results[i] = fmt.Sprintf("KeepVerdict %q %+v", k, v), fmt.Sprint(err != nil)
				case 2:
					got, ok, err := s.Verdict(t.Context(), k)
					what, results[i] = "Verdict "+string(k), fmt.Sprintf("%+v %t %v", got, ok, err)
				case 3:
					got, ok, err := s.VerdictByID(t.Context(), id)
					what, results[i] = "VerdictByID "+id, fmt.Sprintf("%+v %t %v", got, ok, err)
				case 4:
					got, err := s.Verdicts(t.Context(), name, limit)
					what, results[i] = fmt.Sprintf("Verdicts %s %d", name, limit), fmt.Sprintf("%+v %v", got, err)
				case 5:
					got, err := s.Manifests(t.Context(), name, pick(rng, digest.FromString("b1"), digest.FromString("b1")))
					slices.Sort(got)
					what, results[i] = "Manifests "+name, fmt.Sprint(got, err)
				case 6:
					err := s.KeepInspection(t.Context(), blob, k, found)
					got, ok, getErr := s.Inspection(t.Context(), blob, k)
					what, results[i] = fmt.Sprintf("Inspection %q %q", blob, k), fmt.Sprintf("%t %+v %t %v", err != nil, got, ok, getErr)
				}
			}
			if diff := cmp.Diff(results[1], results[0]); diff != "" {
				t.Fatalf("seed %d, step %d: %s: in a file (-), in memory (+)\n%s", seed, step, what, diff)
			}
		}
		for _, s := range both {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
