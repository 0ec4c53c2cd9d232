package trust

import "github.com/opencontainers/go-digest"

// Inspection is what one blob's content showed, complete. It depends on the blob, the checks, their rules and their
// limits alone, so that it is remembered under those and shared by every image that has the blob.
type Inspection struct {
	Findings []Finding `json:"findings"`
	// DiffID is the digest of the uncompressed content when the blob is a layer.
	DiffID digest.Digest `json:"diffID,omitempty"`
	// Files and Bytes count what was inspected, uncompressed.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}
