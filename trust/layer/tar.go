package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer/toc"
)

// walk is one pass over one blob.
type walk struct {
	ctx     context.Context
	limits  Limits
	visitor Visitor
	stream  *stream
	archive *archive
	index   *index
	scratch []byte
	entries int
	// bodies counts bytes of file bodies, holes included.
	bodies  int64
	summary Summary
	// fault is the first thing that is wrong with the content.
	fault error
	// failed is an error of the visitor or the context.
	failed error
	// halted is set when a body could not be read to its end, so that nothing after it can be trusted.
	halted bool
}

// run opens the blob and walks it. It leaves errors in fault and failed; those of src are src's to tell.
func (w *walk) run(src *source, desc ocispec.Descriptor, isArchive func(head) bool) {
	packed := bufio.NewReaderSize(src, packedBuffer)
	position := func() int64 { return src.n - int64(packed.Buffered()) }
	begin, _ := packed.Peek(headBytes) // an error shows again when it is read
	if src.broken != nil {
		return
	}
	archived := isArchive(head(begin))
	format := plain
	if archived {
		format = head(begin).compression()
	}
	w.stream = &stream{ctx: w.ctx, src: src, packed: packed, limits: w.limits}
	if format != plain || desc.Digest.Algorithm() != digest.SHA256 {
		w.stream.hash = sha256.New()
	}
	dec, err := w.open(format, packed, position)
	if err != nil {
		w.note(w.stream.explain(noEOF(err)))
		return
	}
	defer dec.Close()
	w.stream.dec = dec
	w.scratch = make([]byte, 32<<10)
	if archived {
		w.archive = &archive{r: bufio.NewReaderSize(w.stream, plainBuffer), limit: w.limits.HeaderBytes}
		w.index = &index{stream: w.stream, hold: w.hold, announced: toc.Announced(desc.Annotations)}
		w.walkTar()
		w.closeIndex(format, dec, desc)
		if w.stream.err == io.EOF { //nolint:errorlint // as stream promises
			w.summary.DiffID = desc.Digest
			if w.stream.hash != nil {
				w.summary.DiffID = digest.NewDigest(digest.SHA256, w.stream.hash)
			}
		}
	} else {
		w.single(desc)
	}
	w.summary.Bytes = w.stream.n
}

// open starts the decompressor, which may read, fail and panic already.
func (w *walk) open(format compression, packed *bufio.Reader, position func() int64) (dec io.ReadCloser, err error) {
	defer func() {
		if r := recover(); r != nil {
			dec, err = nil, malformed("decompressor failed: %v", r)
		}
	}()
	return decompressors[format](packed, position, w.limits, w.hold)
}

// hold asks the owner of the layer's memory, if there is one.
func (w *walk) hold(n int64) error {
	if keeper, ok := w.visitor.(Keeper); ok {
		return keeper.Hold(n)
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // only the bare value means the end
		return io.ErrUnexpectedEOF
	}
	return err
}

// single shows the whole blob as one file.
func (w *walk) single(desc ocispec.Descriptor) {
	w.visit(Entry{Path: DataPath, Size: desc.Size}, w.stream)
}

// walkTar shows every body of the archive and checks that it ends as it should.
func (w *walk) walkTar() {
	tr := tar.NewReader(w.archive)
	for !w.halted && w.failed == nil {
		start := (w.archive.n + blockBytes - 1) / blockBytes * blockBytes // padding comes first
		hdr, err := w.next(tr)
		if err == io.EOF { //nolint:errorlint // archive/tar promises the bare value
			w.finishTar()
			return
		}
		if err != nil {
			w.note(w.explain(err))
			return
		}
		if w.entries++; w.entries > w.limits.Entries {
			w.note(exceeded("more than %d entries", w.limits.Entries))
			return
		}
		if w.entries%heldEntries == 0 && w.index.record.Keeps() {
			if err := w.hold(heldEntries * toc.EntryBytes); err != nil {
				w.note(err)
				return
			}
		}
		w.note(w.check(hdr))
		name := cleanPath(hdr.Name)
		w.list(hdr, name)
		w.index.begin(hdr, start, w.archive.n)
		if hasBody(hdr) {
			w.visit(Entry{
				Path: name,
				Mode: fs.FileMode(hdr.Mode) & fs.ModePerm,
				Size: hdr.Size,
			}, tr)
		}
	}
}

// heldEntries are charged at once for what is kept of them.
const heldEntries = 4096

// next reads the next header, and all that describes it, within the limit.
func (w *walk) next(tr *tar.Reader) (hdr *tar.Header, err error) {
	defer func() {
		if r := recover(); r != nil {
			hdr, err = nil, malformed("tar reader failed: %v", r)
		}
	}()
	w.archive.beginHeader()
	hdr, err = tr.Next()
	w.archive.endHeader()
	if hdr != nil && errors.Is(err, tar.ErrInsecurePath) {
		err = nil // check decides about paths
	}
	return hdr, err
}

// check looks for what engines read differently, or not at all.
func (w *walk) check(hdr *tar.Header) error {
	switch {
	case len(hdr.Name) > w.limits.PathBytes:
		return exceeded("path of %d bytes", len(hdr.Name))
	case climbs(hdr.Name), hdr.Typeflag == tar.TypeLink && climbs(hdr.Linkname):
		return malformed("entry %s: path leads upwards", show(hdr.Name))
	}
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
		if hdr.Size != 0 {
			return malformed("entry %s: has a size but no body", show(hdr.Name))
		}
	case tar.TypeXGlobalHeader:
		for key := range hdr.PAXRecords {
			if key == "path" || key == "linkpath" || key == "size" || strings.HasPrefix(key, "GNU.sparse.") {
				return malformed("global header sets %s", key)
			}
		}
	default:
		return fmt.Errorf("%w: entry %s of type %q", trust.ErrUnsupported, show(hdr.Name), hdr.Typeflag)
	}
	return nil
}

// hasBody reports whether the archive has content for the entry. An empty whiteout is a mark, not a file.
func hasBody(hdr *tar.Header) bool {
	switch hdr.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo, tar.TypeXGlobalHeader:
		return false
	}
	return hdr.Size > 0 || !strings.HasPrefix(path.Base(hdr.Name), ".wh.")
}

// visit shows one body and reads what the visitor left of it, so that its checks are made.
func (w *walk) visit(e Entry, r io.Reader) {
	w.summary.Files++
	b := &body{w: w, r: r}
	err := w.visitor.File(w.ctx, e, b)
	for err == nil && b.err == nil {
		_, _ = b.Read(w.scratch)
	}
	switch {
	case b.err != nil && b.err != io.EOF: //nolint:errorlint // body keeps the bare value
		w.halted = true
		w.note(b.err)
	case err != nil:
		w.failed = fmt.Errorf("file %s: %w", show(e.Path), err)
	}
	b.err = errClosed
}

// note keeps the first fault. Errors of the source or the context are no faults of the content: source tells them.
func (w *walk) note(err error) {
	if err == nil || w.stream.src.broken != nil {
		return
	}
	if w.ctx.Err() != nil && errors.Is(err, w.ctx.Err()) {
		w.failed = err
		return
	}
	if w.fault == nil {
		w.fault = err
	}
}

// explain finds out what an error of the tar reader comes from.
func (w *walk) explain(err error) error {
	switch {
	case w.archive == nil:
		return err
	case w.archive.err != nil && w.archive.err != io.EOF: //nolint:errorlint // archive keeps the bare value
		return w.archive.err
	case errors.Is(err, trust.ErrMalformed):
		return err
	case errors.Is(err, tar.ErrFieldTooLong):
		return exceeded("tar archive: %v", err)
	}
	return malformed("tar archive: %v", err)
}

// finishTar reads what follows the end of the archive: nothing but zeros. An archive that ends between two entries
// without its end blocks is whole to every engine, and some builders write such layers; so it is here. A stream of no
// bytes at all is an empty layer to every engine.
func (w *walk) finishTar() {
	if w.archive.n%blockBytes != 0 {
		w.note(malformed("tar archive is cut off inside a block"))
	}
	for {
		n, err := w.archive.Read(w.scratch)
		if w.archive.zeros < int64(n) {
			w.note(malformed("data after the end of the tar archive"))
		}
		if err != nil {
			if err != io.EOF { //nolint:errorlint // archive keeps the bare value
				w.note(err)
			}
			return
		}
	}
}

// cleanPath is name as engines resolve it below the root: without leading slash, "." for the root itself.
func cleanPath(name string) string {
	if clean := path.Clean("/" + name)[1:]; clean != "" {
		return clean
	}
	return "."
}

func climbs(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// show makes a path of the archive fit for an error message.
func show(name string) string { return fmt.Sprintf("%q", trust.Sanitise(name, 128)) }
