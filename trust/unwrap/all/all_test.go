package all

import (
	"os"
	"slices"
	"testing"
)

// folders that hold no wrapper.
var others = []string{"all", "internal", "unwraptest"}

func TestNamesAreDistinct(t *testing.T) {
	t.Parallel()
	var names []string
	for _, w := range New() {
		if w.Name() == "" || slices.Contains(names, w.Name()) {
			t.Errorf("wrapper name %q is empty or used twice", w.Name())
		}
		names = append(names, w.Name())
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(others, e.Name()) && !slices.Contains(names, e.Name()) {
			t.Errorf("no wrapper has the name of the folder %s", e.Name())
		}
	}
}
