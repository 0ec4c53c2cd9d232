package rootfs_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// TestBytes: memories of views are bounded by what Bytes says, so that it must say no less than half of what they take.
func TestBytes(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, files := range []int{0, 1, 2, 3, 4, 5, 6, 10, 40, 300, 3000} {
		layer := rootfs.Layer{Digest: digest.FromString(fmt.Sprint(files))}
		for i := range files {
			layer.Tree.Add(trust.TreeEntry{Path: fmt.Sprintf("usr/share/doc/%d/copyright", i/2), Type: trust.TypeFile, Size: int64(i)})
		}
		layer.Tree = layer.Tree.Sealed()
		views := make([]*rootfs.View, 4+3000/(files+1))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		says := 0
		for i := range views {
			views[i] = rootfs.Merge([]rootfs.Layer{layer})
			says += views[i].Bytes()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		took := int(after.HeapAlloc - before.HeapAlloc) //nolint:gosec // small
		if took > 2*says {
			t.Errorf("%d views of %d files take %d bytes, and say %d", len(views), files, took, says)
		}
		runtime.KeepAlive(views)
	}
}
