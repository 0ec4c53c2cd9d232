// Package layer reads one layer of an image in one pass: it verifies the blob's digest and size, undoes its
// compression, computes its diff ID, walks its tar archive and shows every file body to a Visitor, within limits.
//
// What it accepts is what every engine reads in the same way. Anything else is never clean: bytes after the end,
// checksums that do not hold, names that engines place differently and a broken archive are trust.ErrMalformed.
package layer

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Entry is a file of a layer that has a body.
type Entry struct {
	// Path is clean and has no leading slash; else it is as the archive has it, control characters and all.
	Path string
	// Mode has the permission bits only.
	Mode fs.FileMode
	// Size is the length of the body as the archive claims it, holes of sparse files included.
	Size int64
}

// Visitor is shown each file body of a layer, also those that another entry of the same path or a later layer hides.
type Visitor interface {
	// File may read as much of r as it wants; the rest is skipped, yet checked. r is valid during the call only. An
	// error of r must be returned; any other error ends the walk.
	File(ctx context.Context, e Entry, r io.Reader) error
}

// Keeper is a Visitor that owns the memory of one layer in work.
type Keeper interface {
	Visitor
	// Hold grants n bytes of memory, or says why not with an error that wraps trust.ErrLimit; n is negative where they
	// are given back. What is small and the same for all layers is not asked for.
	Hold(n int64) error
}

// Lister is a Visitor that is shown every entry of a layer, in the order of the archive. An entry that has a body is
// shown to Entry first and then to File.
type Lister interface {
	Visitor
	Entry(trust.TreeEntry)
}

// DataPath is what WalkData calls a blob that is no archive.
const DataPath = "data"

// Summary is what a walk found out about the layer itself.
type Summary struct {
	// DiffID is the digest of all uncompressed bytes; empty unless the whole stream was read.
	DiffID digest.Digest
	// TOC is the table of contents that the layer carries for lazy pulling, nil if there is none. It agrees with the archive.
	TOC *trust.TOC
	// Files counts the bodies that were shown to the visitor.
	Files int
	// Bytes counts uncompressed bytes.
	Bytes int64
}

// Walk reads the layer that desc describes from r. Whatever the content is, r is read to its end and compared with
// desc's digest and size, so that the answer is an answer about that digest. The error wraps
//
//   - trust.ErrIntegrity if the digest or size does not hold (this wins over all that follow), or if the layer has a
//     table of contents for lazy pulling that is about other files than the archive, or of which desc's annotations tell
//     something else,
//   - trust.ErrMalformed, trust.ErrLimit or trust.ErrUnsupported for what the content is; the files before the fault,
//     and where the archive can be followed those after it, were shown to v,
//   - or else what r, ctx or v failed with: there is no answer about the layer.
//
// ctx is looked at before every read, but Walk does not interrupt a Read of r that blocks: who opened r under the
// same context must see to that.
func Walk(ctx context.Context, r io.Reader, desc ocispec.Descriptor, limits Limits, v Visitor) (Summary, error) {
	return inspect(ctx, r, desc, limits, v, func(h head) bool { return true })
}

// WalkData is Walk for a blob that is no layer, such as an attestation: unless it is compressed or a tar archive, it
// is shown to v as one file of the path DataPath. What a descriptor calls the blob has no say: the answer is remembered
// for the blob, whatever it is called elsewhere.
func WalkData(ctx context.Context, r io.Reader, desc ocispec.Descriptor, limits Limits, v Visitor) (Summary, error) {
	return inspect(ctx, r, desc, limits, v, func(h head) bool { return h.compression() != plain || h.isTar() })
}

func inspect(ctx context.Context, r io.Reader, desc ocispec.Descriptor, limits Limits, v Visitor, archive func(head) bool) (Summary, error) {
	src, err := newSource(ctx, r, desc)
	if err != nil {
		return Summary{}, err
	}
	w := &walk{ctx: ctx, limits: limits.WithDefaults(), visitor: v}
	w.run(src, desc, archive)
	if err := src.finish(); err != nil {
		w.summary.DiffID = ""
		return w.summary, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	if w.failed != nil {
		return w.summary, fmt.Errorf("layer %s: %w", desc.Digest, w.failed)
	}
	if w.fault != nil {
		return w.summary, fmt.Errorf("layer %s: %w", desc.Digest, w.fault)
	}
	return w.summary, nil
}

// malformed makes an error about content that breaks its format.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", trust.ErrMalformed, fmt.Sprintf(format, args...))
}

// exceeded makes an error about content that meets a limit.
func exceeded(format string, args ...any) error {
	return fmt.Errorf("%w: %s", trust.ErrLimit, fmt.Sprintf(format, args...))
}

// lyingTOC makes an error about a table of contents that contradicts the layer.
func lyingTOC(format string, args ...any) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrIntegrity, fmt.Sprintf(format, args...))
}

// unsupportedTOC makes an error about a table of contents that cannot be compared.
func unsupportedTOC(why string) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrUnsupported, why)
}
