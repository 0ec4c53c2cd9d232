package zip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/deflate64"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// Methods of compression.
const (
	methodStored    = 0
	methodDeflate   = 8
	methodDeflate64 = 9
	methodBzip2     = 12
	methodLzma      = 14
	methodZstdOld   = 20
	methodZstd      = 93
	methodXz        = 95
	methodAES       = 99
)

// named shows an entry of the directory, and once more as its local header has it if that says something else: readers
// disagree about which of the two counts.
func (a *archive) named(h header) error {
	if err := a.count(); err != nil {
		return err
	}
	l, data, err := a.local(h.offset)
	if err != nil {
		if a.broken.Add(err) {
			return err
		}
		return nil
	}
	if h.mode == 0 {
		h.mode = l.mode
	}
	packed := min(h.packed, a.size-data)
	if packed < 0 {
		packed = 0
	}
	if packed < h.packed {
		a.broken.Add(stream.Malformed("zip entry ends too early"))
	}
	if err := a.covered.add(h.offset, data+packed); err != nil {
		return err
	}
	if err := a.entry(h, data, packed); err != nil {
		return err
	}
	if !l.disagrees(h) {
		return nil
	}
	a.broken.Add(stream.Malformed("zip directory and header of an entry disagree"))
	if l.packed == 0 && l.flags&descriptor != 0 {
		l.packed, l.crc, l.size = h.packed, h.crc, h.size
	}
	return a.entry(l, data, max(0, min(l.packed, a.size-data)))
}

// disagrees reports whether the local header h leads to other content than the record of the directory.
func (h header) disagrees(record header) bool {
	sized := h.flags&descriptor == 0 && h.packed != large
	return h.method != record.method || sized && h.packed != record.packed || h.name != record.name || h.strength != record.strength
}

// count charges for one entry.
func (a *archive) count() error {
	if a.entries++; a.entries > a.maxEntries {
		return stream.Exceeded("more than %d entries in a zip archive", a.maxEntries)
	}
	return a.in.Spend(stepsPerEntry)
}

// entry shows the content of an entry whose data has a place. Faults of the content go to broken.
func (a *archive) entry(h header, data, packed int64) error {
	if packed == 0 && (h.name == "" || h.name[len(h.name)-1] == '/') {
		return nil
	}
	// What is read twice, because entries overlap, is not paid for otherwise.
	if err := a.in.Spend(packed); err != nil {
		return err
	}
	part := func() io.Reader { return io.NewSectionReader(a.at, data, packed) }
	plain, err := a.decrypted(h, part, packed)
	if err != nil {
		if a.broken.Add(err) {
			return err
		}
		return nil
	}
	size := int64(-1)
	if h.method == methodStored && h.flags&encrypted == 0 {
		size = packed
	}
	return a.content(h, plain, size)
}

// content shows what is decoded from r, which is not encrypted. Size is that of the content, or -1.
func (a *archive) content(h header, r io.Reader, size int64) error {
	defer a.decoder.held.Release()
	d, err := a.decoder.open(h, r)
	if err != nil {
		if a.broken.Add(err) {
			return err
		}
		if !errors.Is(err, trust.ErrUnsupported) {
			return nil
		}
		d = io.NopCloser(r) // as Android does with methods that it does not know
	}
	defer d.Close()
	sum := &checksum{r: d}
	broken, err := stream.Show(a.show, unwrap.Piece{Name: h.name, Mode: h.mode, Size: size}, sum, a.at)
	if err == nil && broken == nil && !sum.right(h) {
		broken = stream.Malformed("checksum of a zip entry")
	}
	if err == nil && a.broken.Add(classify(h.method, broken)) {
		err = a.broken.Err()
	}
	return err
}

// verifies decodes r and reports whether it is what h says, to the last byte.
func (a *archive) verifies(h header, r io.Reader) (bool, error) {
	defer a.decoder.held.Release()
	d, err := a.decoder.open(h, r)
	if err != nil {
		return false, a.at.Err()
	}
	defer d.Close()
	body := stream.NewBody(d)
	sum := &checksum{r: body}
	n, err := io.Copy(&paid{in: a.in}, io.LimitReader(sum, h.size+1)) // what is longer is wrong, too
	switch {
	case a.at.Err() != nil:
		return false, a.at.Err()
	case body.Err() != nil:
		return false, nil
	}
	return n == h.size && sum.right(h), err
}

// paid charges for what is written to it.
type paid struct{ in unwrap.Input }

func (p *paid) Write(b []byte) (int, error) { return len(b), p.in.Spend(2 * int64(len(b))) }

// checksum sums what it hands on.
type checksum struct {
	r     io.Reader
	n     int64
	crc   uint32
	ended bool
}

func (c *checksum) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p[:n])
	c.ended = c.ended || err == io.EOF //nolint:errorlint // only the bare value means the end
	return n, err
}

// right reports whether the sum is that of h, as far as it is known: a piece may not have been read to its end.
func (c *checksum) right(h header) bool {
	return !c.ended || h.crc == c.crc || h.vendor == 2 || h.size < 0
}

// decoder opens compressed data. It keeps one decoder for the most frequent method.
type decoder struct {
	flate io.ReadCloser
	buf   *bufio.Reader
	// held is the memory of the decoder in use.
	held decompress.Tab
}

// open decodes r. Only one result may be in use at a time.
func (d *decoder) open(h header, r io.Reader) (io.ReadCloser, error) {
	method := h.method
	switch method {
	case methodLzma:
		return openLzma(h, r, &d.held)
	case methodStored:
		return io.NopCloser(r), nil
	case methodDeflate64:
		return io.NopCloser(deflate64.NewReader(r)), nil
	case methodDeflate:
		if d.flate == nil {
			d.buf = bufio.NewReaderSize(r, 16<<10)
			d.flate = flate.NewReader(d.buf)
			return io.NopCloser(d.flate), nil
		}
		d.buf.Reset(r)
		if err := d.flate.(flate.Resetter).Reset(d.buf, nil); err != nil {
			return nil, classify(method, err)
		}
		return io.NopCloser(d.flate), nil
	}
	f := format(method)
	if f == decompress.None {
		return nil, stream.Unsupported("zip method %d", method)
	}
	c, err := f.Open(r, &d.held)
	return c, f.Classify(err)
}

// lzmaMark is the flag of entries whose data ends with a mark.
const lzmaMark = 1 << 1

// openLzma reads the version and properties in front of the data.
func openLzma(h header, r io.Reader, mem decompress.Memory) (io.ReadCloser, error) {
	var b [9]byte
	if err := stream.Full(r, b[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint16(b[2:]) != 5 {
		return nil, stream.Malformed("zip entry with wrong lzma properties")
	}
	size := h.size
	if h.flags&lzmaMark != 0 {
		size = -1
	}
	d, err := decompress.NewLzma(r, b[4:], size, mem)
	return io.NopCloser(d), err
}

func format(method uint16) decompress.Format {
	switch method {
	case methodBzip2:
		return decompress.Bzip2
	case methodZstd, methodZstdOld:
		return decompress.Zstd
	case methodXz:
		return decompress.Xz
	}
	return decompress.None
}

func classify(method uint16, err error) error {
	f := format(method)
	if f == decompress.None {
		f = "zip entry"
	}
	return f.Classify(err)
}
