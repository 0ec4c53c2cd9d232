package trust

import "github.com/opencontainers/go-digest"

// Inspection is what one blob's content showed, complete. It depends on the blob, the checks, their rules and their
// limits alone, so that it is remembered under those and shared by every image that has the blob.
type Inspection struct {
	Findings []Finding `json:"findings"`
	// DiffID is the digest of the uncompressed content when the blob is a layer.
	DiffID digest.Digest `json:"diffID,omitempty"`
	// Links are the symbolic and hard links of a layer, path to target, both from the root without a leading slash.
	Links map[string]string `json:"links,omitempty"`
	// LinksCut is true when there were more links than are kept.
	LinksCut bool `json:"linksCut,omitempty"`
	// Size is the blob's, in bytes as it is fetched. A descriptor with another size is not about this blob.
	Size int64 `json:"size"`
	// Files and Bytes count what was inspected, uncompressed.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}
