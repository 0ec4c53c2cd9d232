package trust

import "github.com/opencontainers/go-digest"

// Inspection is what one blob's content showed, complete. It depends on the blob, the checks, their rules and their
// limits alone, so that it is remembered under those and shared by every image that has the blob.
type Inspection struct {
	Findings []Finding `json:"findings"`
	// DiffID is the digest of the uncompressed content when the blob is a layer.
	DiffID digest.Digest `json:"diffID,omitempty"`
	// Tree lists the entries of a layer's archive.
	Tree Tree `json:"tree,omitzero"`
	// TreeCut is true when there were more entries than are kept: what the layer makes of a file system is not known.
	TreeCut bool `json:"treeCut,omitempty"`
	// Size is the blob's, in bytes as it is fetched. A descriptor with another size is not about this blob.
	Size int64 `json:"size"`
	// Files and Bytes count what was inspected, uncompressed.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}
