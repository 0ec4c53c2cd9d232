package sqlite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/store/storetest"
)

func TestQuarantined(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	blob := func(name string) digest.Digest { return digest.FromString(name) }
	keep := func(id, manifest string, action trust.Action, minute int, blobs ...string) {
		t.Helper()
		v := storetest.NewVerdict("acme", 1)
		v.ID, v.Manifest, v.Action, v.At, v.Blobs = id, blob(manifest), action, time.Unix(int64(60*minute), 0).UTC(), nil
		for _, b := range blobs {
			v.Blobs = append(v.Blobs, trust.Blob{Digest: blob(b), Size: 1, MediaType: "x"})
		}
		if err := s.KeepVerdict(t.Context(), "", v); err != nil {
			t.Fatal(err)
		}
	}
	keep("SP-1", "old", trust.Quarantine, 1, "a", "shared")
	keep("SP-2", "released", trust.Quarantine, 2, "b")
	keep("SP-3", "released", trust.Allow, 3, "b")
	keep("SP-4", "clean", trust.Allow, 4, "c", "shared")
	keep("SP-5", "new", trust.Quarantine, 5, "d")
	keep("SP-6", "again", trust.Block, 6, "e")
	keep("SP-7", "again", trust.Quarantine, 7, "e")
	got, err := s.Quarantined(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0] != blob("e") || got[1] != blob("d") {
		t.Fatalf("%v", got)
	}
	rest := map[digest.Digest]bool{got[2]: true, got[3]: true}
	if d := cmp.Diff(map[digest.Digest]bool{blob("a"): true, blob("shared"): true}, rest); d != "" {
		t.Error(d)
	}
	if got, err := s.Quarantined(t.Context(), 1); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Quarantined(t.Context(), 1); err == nil {
		t.Error("read from a closed store")
	}
}
