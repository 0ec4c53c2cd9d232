//go:build race

package blobcache_test

// slower is by how much the race detector slows what is timed.
const slower = 10
