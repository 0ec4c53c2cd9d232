package layer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer/toc"
)

// index keeps what a table of contents is compared with: a few bytes an entry. A table stands behind all files, and a
// walk reads once, so contents are digested from when something announces a table: the descriptor, or a second gzip
// member or zstd frame, which a table needs to point at.
type index struct {
	stream    *stream
	hold      func(int64) error
	announced bool
	record    toc.Record
	// open is set while an entry is begun and not ended; at is where in the stream its body is read.
	open  bool
	entry toc.Entry
	at    int64
	// size is what was read of the body, chunk the one that is read. blind is set when the body is not digested.
	size        int64
	blind       bool
	chunk       toc.Chunk
	whole, part hash.Hash
	// content is the digest of the last body that ended.
	content toc.Digest
	// table reads a file that may be the table of eStargz; header is where in the stream its headers begin.
	table  *table
	header int64
}

var entryTypes = map[byte]string{
	tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink", tar.TypeChar: "char",
	tar.TypeBlock: "block", tar.TypeFifo: "fifo",
}

// begin ends the last entry and begins the next, whose headers are at start and whose body is at body.
func (x *index) begin(hdr *tar.Header, start, body int64) {
	x.end()
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	if hdr.Name == toc.Name && hdr.Typeflag == tar.TypeReg {
		x.table, x.header = newTable(&x.record), start
	}
	x.open, x.at, x.size, x.blind = true, body, 0, false
	x.entry = toc.Entry{Type: entryTypes[hdr.Typeflag], Name: hdr.Name, Link: hdr.Linkname, Mode: hdr.Mode, Size: hdr.Size}
	if x.table == nil {
		x.record.Begin(x.entry)
	}
}

// body takes bytes of the body of the entry. It does nothing where there is no archive.
func (x *index) body(p []byte) {
	switch {
	case x == nil || len(p) == 0:
		return
	case x.table != nil:
		x.table.write(p)
		return
	case x.size == 0:
		x.blind = !x.announced && x.stream.begun < 2
	}
	if x.blind {
		x.size += int64(len(p))
		return
	}
	if x.whole == nil {
		x.whole, x.part = sha256.New(), sha256.New()
	}
	for len(p) > 0 {
		n, at := int64(len(p)), x.at+x.size
		in, next := x.stream.partAt(at)
		if next >= 0 {
			n = min(n, next-at)
		}
		if x.size == 0 || in.packed != x.chunk.Packed {
			x.beginChunk(in, at)
		}
		x.whole.Write(p[:n])
		x.part.Write(p[:n])
		x.size += n
		p = p[n:]
	}
}

// beginChunk ends the chunk that is read, if any, and begins the next: each part that a body reaches into is one.
func (x *index) beginChunk(in part, at int64) {
	if x.size == 0 {
		x.whole.Reset()
	} else {
		x.endChunk()
	}
	x.part.Reset()
	x.chunk = toc.Chunk{Offset: x.size, Packed: in.packed, Inner: at - in.plain}
}

func (x *index) endChunk() {
	x.chunk.Size = x.size - x.chunk.Offset
	x.part.Sum(x.chunk.Digest[:0])
	x.record.Chunk(x.chunk)
}

// end ends the entry. A file that was taken for a table and has another entry behind it is a file like others, but was
// not digested.
func (x *index) end() {
	if x.table != nil {
		x.table.close()
		x.table = nil
		x.record.Begin(x.entry)
		x.record.EndBlind()
		x.open = false
	}
	if !x.open {
		return
	}
	x.open = false
	switch {
	case x.blind:
		x.record.EndBlind()
		return
	case x.size > 0:
		x.endChunk()
		x.whole.Sum(x.content[:0])
	}
	x.record.End(x.content)
}

// closeIndex compares a table of contents, if there is one, with the archive, and the descriptor with what was found.
// A walk that did not come to the end, or met a fault, has no say about it: the layer is unanswered already.
func (w *walk) closeIndex(format compression, dec io.Reader, desc ocispec.Descriptor) {
	x := w.index
	if x.table == nil {
		x.end()
	} else {
		defer x.table.close()
	}
	if w.stream.err != io.EOF || w.failed != nil || w.fault != nil { //nolint:errorlint // as stream promises
		return
	}
	found, err := x.find(format, dec, w.stream.src)
	if err == nil {
		w.summary.TOC = found
		err = toc.CheckAnnotations(desc.Annotations, found)
	}
	w.note(err)
}

// find reads the table that the end of the blob tells of. Lazy pullers look for any kind in any blob.
func (x *index) find(format compression, dec io.Reader, src *source) (*trust.TOC, error) {
	footer, ok := toc.FooterOf(src.end)
	switch {
	case !ok:
		return nil, nil //nolint:nilnil // no table is no error
	case footer.External:
		return nil, unsupportedTOC("it is in another blob")
	case format == gzipped && footer.Kind == trust.EStargz:
		return x.stargz(footer, dec, src)
	case format == zstandard && footer.Kind == trust.ZstdChunked:
		return x.chunked(dec)
	}
	return nil, lyingTOC("the blob ends as %s does, but is not packed like it", footer.Kind)
}

// stargz checks that the table is where the footer says: the last but one gzip member holds nothing else, and the last
// one is the footer.
func (x *index) stargz(footer toc.Footer, dec io.Reader, src *source) (*trust.TOC, error) {
	m, ok := dec.(*members)
	if !ok {
		return nil, lyingTOC("no gzip members")
	}
	table, last := m.lastParts()
	at, _ := x.stream.partAt(x.stream.n)
	if last != src.n-footer.Bytes || table != footer.Offset || at.packed != table {
		return nil, lyingTOC("it is not where the end of the layer says")
	}
	if x.table == nil || at.plain != x.header {
		return nil, lyingTOC("the last file is not the table")
	}
	d, n, err := x.table.result()
	if err != nil {
		return nil, err
	}
	return &trust.TOC{Kind: trust.EStargz, Digest: d, Offset: table, Bytes: n}, nil
}

// chunked reads the table from the skippable frame that the footer tells of.
func (x *index) chunked(dec io.Reader) (*trust.TOC, error) {
	f, ok := dec.(*frames)
	if !ok || f.footer == nil {
		return nil, lyingTOC("the layer does not end with a skippable frame")
	}
	footer, err := toc.ChunkedFooter(f.footer)
	if err != nil {
		return nil, err
	}
	for _, s := range f.kept {
		switch {
		case s.offset != footer.Offset || s.size != footer.Packed || s.offset == 0:
			continue
		case s.content == nil:
			return nil, exceeded("table of contents of more than %d bytes, compressed", maxPackedTOC)
		}
		if err := x.hold(maxTOCWindow); err != nil {
			return nil, err
		}
		table, err := x.packedTable(s, footer)
		_ = x.hold(-maxTOCWindow) // giving back does not fail
		return table, err
	}
	return nil, lyingTOC("it is not where the end of the layer says")
}

func (x *index) packedTable(s skipped, footer toc.Footer) (*trust.TOC, error) {
	d, err := zstd.NewReader(bytes.NewReader(s.content),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxTOCWindow))
	if err != nil {
		return nil, classify(err)
	}
	defer d.Close()
	t := newTable(&x.record)
	defer t.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := d.Read(buf)
		t.write(buf[:n])
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			break
		}
		if err != nil {
			return nil, classify(err)
		}
		if t.n > toc.MaxBytes {
			break // the reader has said so
		}
	}
	text, n, err := t.result()
	switch {
	case err != nil:
		return nil, err
	case n != footer.Plain:
		return nil, lyingTOC("it has %d bytes, but the end of the layer says %d", n, footer.Plain)
	}
	return &trust.TOC{
		Kind: trust.ZstdChunked, Digest: text, Packed: digest.FromBytes(s.content), Offset: s.offset, PackedBytes: s.size, Bytes: n,
	}, nil
}

// maxTOCWindow bounds the history for a table, beside that of the layer: memory.
const maxTOCWindow = 8 << 20

// table compares a table that is written to it piece by piece. The comparison runs as a coroutine, since it reads.
type table struct {
	n      int64
	hash   hash.Hash
	left   []byte
	ended  bool
	err    error
	resume func() (struct{}, bool)
	stop   func()
}

var errStopped = errors.New("table is not read any further")

func newTable(record *toc.Record) *table {
	t := &table{hash: sha256.New(), err: errStopped}
	var yield func(struct{}) bool
	read := reading(func(p []byte) (int, error) {
		for len(t.left) == 0 {
			if t.ended {
				return 0, io.EOF
			}
			if !yield(struct{}{}) {
				return 0, errStopped
			}
		}
		n := copy(p, t.left)
		t.left = t.left[n:]
		return n, nil
	})
	t.resume, t.stop = iter.Pull(func(y func(struct{}) bool) {
		yield = y
		t.err = toc.Compare(read, record)
	})
	return t
}

type reading func([]byte) (int, error)

func (r reading) Read(p []byte) (int, error) { return r(p) }

func (t *table) write(p []byte) {
	t.n += int64(len(p))
	t.hash.Write(p)
	t.left = p
	t.resume()
	t.left = nil
}

// result is the digest and length of a table that agrees with the record.
func (t *table) result() (digest.Digest, int64, error) {
	t.ended = true
	t.resume()
	if t.err != nil {
		return "", 0, t.err
	}
	return digest.NewDigest(digest.SHA256, t.hash), t.n, nil
}

// close ends the coroutine.
func (t *table) close() { t.stop() }
