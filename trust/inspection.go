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
	// TOC is set for a layer that carries a table of contents. Descriptors of the layer must not tell of another.
	TOC *TOC `json:"toc,omitempty"`
	// Size is the blob's, in bytes as it is fetched. A descriptor with another size is not about this blob.
	Size int64 `json:"size"`
	// Files and Bytes count what was inspected, uncompressed.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// The formats of tables of contents that lazy pullers know.
const (
	EStargz     = "eStargz"
	ZstdChunked = "zstd:chunked"
)

// TOC identifies the table of contents that a layer carries for lazy pulling, and that agrees with its archive.
type TOC struct {
	// Kind is EStargz or ZstdChunked.
	Kind string `json:"kind"`
	// Digest is that of the table's JSON text.
	Digest digest.Digest `json:"digest"`
	// Packed is the digest of the compressed text of zstd:chunked; Offset is where in the blob that begins, PackedBytes
	// its length, and Bytes the length of the text.
	Packed      digest.Digest `json:"packed,omitempty"`
	Offset      int64         `json:"offset,omitempty"`
	PackedBytes int64         `json:"packedBytes,omitempty"`
	Bytes       int64         `json:"bytes,omitempty"`
}
