package wire

import (
	"os"
	"runtime/debug"
)

const (
	// baseMemory is what the proxy needs when no layer is in work: 16 MiB for what a judge keeps of known images, and room
	// for the garbage of requests.
	baseMemory = (16 + 64) << 20
	// layerMemory is what one layer in work keeps: the 32 MiB of history that a zstd frame may ask for.
	layerMemory = 32 << 20
)

// boundMemory makes the garbage collector work harder before memory is twice what is in use, which is when it would by
// itself: four zstd layers in work took 306 MB without it and 200 MB with it, in no more time. It is no hard limit,
// and an operator's GOMEMLIMIT goes before it. The returned function undoes it.
func boundMemory(layersInWork int) (undo func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(int64(baseMemory + layersInWork*layerMemory))
	return func() { debug.SetMemoryLimit(before) }
}
