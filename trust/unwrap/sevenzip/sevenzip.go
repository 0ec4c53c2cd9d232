// Package sevenzip unwraps 7z archives.
package sevenzip

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/magic"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	signature  = "7z\xbc\xaf\x27\x1c"
	beginBytes = 32
	// maxHeader bounds the list of files, packed or not: memory.
	maxHeader = 16 << 20
	// maxPrograms is how far into a Windows program that unpacks itself the archive is looked for.
	maxProgram = 2 << 20
	// stepsPerEntry is about what an entry costs beyond its bytes.
	stepsPerEntry = 1000
)

// Wrapper reads 7z archives, also behind Windows programs that unpack themselves.
type Wrapper struct{ maxHeader int64 }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxHeader: maxHeader} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "sevenzip" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool {
	if bytes.HasPrefix(c.Head, []byte(signature)) || bytes.Contains(c.Head, []byte(signature)) && !magic.Archive(c.Head) {
		return true
	}
	return bytes.HasPrefix(c.Head, []byte("MZ")) && (c.Size < 0 || c.Size > unwrap.HeadBytes)
}

// archive is one pass over one file.
type archive struct {
	Wrapper
	in   unwrap.Input
	show unwrap.Show
	at   *stream.Spool
	// base is where the archive begins and all places are counted from; size is that of the file.
	base, size int64
	broken     stream.Broken
	// coders is the memory of the folder that is read.
	coders decompress.Tab
	keys   keys
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	a := &archive{Wrapper: w, in: in, show: show, at: stream.NewSpool(at), size: size, coders: decompress.Tab{Memory: in}}
	begin, err := a.find()
	if err != nil || begin == nil {
		return err
	}
	packed, err := a.section(int64(binary.LittleEndian.Uint64(begin[12:])), int64(binary.LittleEndian.Uint64(begin[20:])))
	if err != nil {
		return err
	}
	if packed.Size() == 0 {
		return nil // an archive of nothing
	}
	header, err := a.read(packed, packed.Size(), binary.LittleEndian.Uint32(begin[28:]), true)
	if err != nil {
		return err
	}
	l, err := a.list(header)
	if err != nil {
		return err
	}
	return a.files(l)
}

// find looks for the beginning and checks it. It returns nil if there is none.
func (a *archive) find() ([]byte, error) {
	n := min(a.size, maxProgram)
	if err := a.in.Hold(n); err != nil {
		return nil, err
	}
	defer func() { _ = a.in.Hold(-n) }()
	head := make([]byte, n)
	if err := a.at.Full(head, 0); err != nil {
		return nil, err
	}
	if err := a.in.Spend(int64(len(head)) / 4); err != nil {
		return nil, err
	}
	for at := 0; ; at++ {
		n := bytes.Index(head[at:], []byte(signature))
		if n < 0 || at+n+beginBytes > len(head) {
			return nil, nil
		}
		at += n
		if b := head[at : at+beginBytes]; crc32.ChecksumIEEE(b[12:]) == binary.LittleEndian.Uint32(b[8:]) {
			a.base = int64(at) + beginBytes
			return bytes.Clone(b), nil
		} else if at == 0 {
			return nil, stream.Malformed("checksum of the beginning of a 7z archive")
		}
	}
}

// section is a part of the file, counted from the end of what find found.
func (a *archive) section(at, size int64) (*io.SectionReader, error) {
	if at < 0 || size < 0 || at > a.size-a.base || size > a.size-a.base-at {
		return nil, stream.Malformed("7z archive refers to what is outside of it")
	}
	return io.NewSectionReader(a.at, a.base+at, size), nil
}

// read holds a header in memory.
func (a *archive) read(r io.Reader, size int64, sum uint32, hasSum bool) ([]byte, error) {
	if size > a.maxHeader {
		return nil, stream.Exceeded("header of %d bytes in a 7z archive", size)
	}
	if err := a.in.Hold(3 * size); err != nil { // while it grows there are two
		return nil, err
	}
	body := stream.NewBody(r)
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(body, size)) // grows as far as there is content
	switch {
	case a.at.Err() != nil:
		return nil, a.at.Err()
	case err != nil:
		return nil, stream.Malformed("7z header: %w", err)
	case int64(b.Len()) < size:
		return nil, stream.Malformed("7z header ends too early")
	case hasSum && crc32.ChecksumIEEE(b.Bytes()) != sum:
		return nil, stream.Malformed("checksum of a 7z header")
	}
	return b.Bytes(), a.in.Spend(4 * size)
}

// maxPacked bounds how often a header may be packed in another: honest ones are packed once.
const maxPacked = 4

// list reads the list of files, which may be packed like a file.
func (a *archive) list(header []byte) (list, error) {
	for range maxPacked {
		c := &cursor{b: header, hold: a.in.Hold}
		switch id := c.byte(); id {
		case idHeader:
			l := c.header()
			return l, c.err
		case idEncodedHeader:
			s := c.streams()
			if c.err != nil {
				return list{}, c.err
			}
			if len(s.folders) == 0 {
				return list{}, nil
			}
			var err error
			if header, err = a.unpackHeader(s.folders[0]); err != nil {
				return list{}, err
			}
		default:
			return list{}, stream.Malformed("7z header begins with %#x", id)
		}
	}
	return list{}, stream.Exceeded("7z header packed more than %d times", maxPacked)
}

// unpackHeader decodes the header that a folder holds, trying passwords if it is encrypted.
func (a *archive) unpackHeader(f folder) ([]byte, error) {
	err := stream.Unsupported("7z archive hides its list of files with a password")
	for _, password := range a.passwords(f) {
		r, open := a.open(f, password)
		if open != nil {
			return nil, open
		}
		header, wrong := a.read(r, f.size(), f.sum, f.hasSum)
		if wrong == nil {
			a.keys.right(password)
			return header, nil
		}
		if !f.encrypted() || !malformed(wrong) {
			return nil, wrong
		}
	}
	return nil, err
}

// files shows what the folders hold.
func (a *archive) files(l list) error {
	names := l.names()
	for _, f := range l.streams.folders {
		err := a.folder(f, names)
		if a.at.Err() != nil {
			return a.at.Err()
		}
		if a.broken.Add(err) {
			return err
		}
	}
	return a.broken.Err()
}

// folder shows the files that are packed together in one folder. Where it breaks, the names of the rest are passed over.
func (a *archive) folder(f folder, names *names) error {
	left := len(f.files)
	defer func() {
		for range left {
			names.next()
		}
	}()
	r, err := a.unlock(f)
	if err != nil {
		return err
	}
	body := stream.NewBody(r)
	for _, s := range f.files {
		if err := a.in.Spend(stepsPerEntry); err != nil {
			return err
		}
		left--
		name, mode := names.next()
		sum := &checksum{r: io.LimitReader(body, s.size)}
		if _, err := stream.Show(a.show, unwrap.Piece{Name: name, Mode: mode, Size: s.size}, sum, a.at); err != nil {
			return err
		}
		if err := sum.finish(a.in); err != nil {
			return err
		}
		if err := body.Err(); err != nil {
			return classify(err)
		}
		if sum.n != s.size || s.hasSum && s.sum != sum.crc {
			a.broken.Add(stream.Malformed("checksum of a file in a 7z archive"))
		}
	}
	return nil
}

// checksum sums what it hands on.
type checksum struct {
	r   io.Reader
	n   int64
	crc uint32
}

func (c *checksum) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p[:n])
	return n, err
}

// finish reads what nobody wanted, because the next file follows it. Only an error of in is one.
func (c *checksum) finish(in unwrap.Input) error {
	to := &paid{in: in}
	_, _ = io.Copy(to, c)
	return to.err
}

// paid charges for what is written to it.
type paid struct {
	in  unwrap.Input
	err error
}

func (p *paid) Write(b []byte) (int, error) {
	p.err = p.in.Spend(2 * int64(len(b)))
	return len(b), p.err
}

// mode is that of a file whose attributes hold one of Unix.
func mode(attributes uint32) fs.FileMode {
	const unix = 0x8000
	if attributes&unix == 0 {
		return 0
	}
	return fs.FileMode(attributes>>16) & fs.ModePerm
}
