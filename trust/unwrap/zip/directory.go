package zip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"

	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	localMagic     = "PK\x03\x04"
	directoryMagic = "PK\x01\x02"
	endMagic       = "PK\x05\x06"
	end64Magic     = "PK\x06\x06"
	locatorMagic   = "PK\x06\x07"

	localBytes     = 30
	directoryBytes = 46
	endBytes       = 22
	end64Bytes     = 56
	locatorBytes   = 20
	// tailBytes is where readers look for the end of the directory: behind it stands a comment of 64 KiB at most.
	tailBytes = 1<<16 + endBytes
	// maxEnds bounds how many ends of directories are followed. An honest archive has one; where there are several,
	// readers disagree.
	maxEnds = 8
)

// end is the record that ends a central directory, or says that it does.
type end struct {
	at int64
	// from are the places at which the directory may begin, each with what its offsets are relative to.
	from []start
}

type start struct{ at, base int64 }

// ends finds records, the last one first.
func (a *archive) ends() ([]end, error) {
	from := max(0, a.size-tailBytes)
	tail := make([]byte, a.size-from)
	if err := a.at.Full(tail, from); err != nil {
		return nil, err
	}
	var out []end
	for n := len(tail); len(out) < maxEnds; {
		n = bytes.LastIndex(tail[:n], []byte(endMagic))
		if n < 0 {
			break
		}
		if len(tail)-n < endBytes {
			continue
		}
		e, err := a.end(tail[n:], from+int64(n))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// end reads a record at a place of the file, and the one for large archives before it.
func (a *archive) end(r []byte, at int64) (end, error) {
	size, offset := int64(binary.LittleEndian.Uint32(r[12:])), int64(binary.LittleEndian.Uint32(r[16:]))
	e := end{at: at}
	e.starts(at, size, offset)
	var locator [locatorBytes]byte
	if at < locatorBytes {
		return e, nil
	}
	if err := a.at.Full(locator[:], at-locatorBytes); err != nil {
		return e, err
	}
	if !bytes.HasPrefix(locator[:], []byte(locatorMagic)) {
		return e, nil
	}
	named := int64(binary.LittleEndian.Uint64(locator[8:])) // relative to the same base as all offsets
	for _, at64 := range []int64{at - locatorBytes - end64Bytes, named} {
		var r [end64Bytes]byte
		if at64 < 0 || at64 > a.size-end64Bytes {
			continue
		}
		if err := a.at.Full(r[:], at64); err != nil {
			return e, err
		}
		if bytes.HasPrefix(r[:], []byte(end64Magic)) {
			e.starts(at64, int64(binary.LittleEndian.Uint64(r[40:])), int64(binary.LittleEndian.Uint64(r[48:])))
		}
	}
	return e, nil
}

// starts adds where a directory begins that ends at a place: right before it, which makes up for anything in front of
// the archive, or where its offset says.
func (e *end) starts(at, size, offset int64) {
	if size < 0 || offset < 0 {
		return
	}
	if begin := at - size; begin >= 0 && begin >= offset {
		e.from = append(e.from, start{begin, begin - offset})
		if begin == offset {
			return
		}
	}
	e.from = append(e.from, start{offset, 0})
}

// directory shows what a directory names. It reports whether there is one.
func (a *archive) directory(e end) (bool, error) {
	found := false
	for _, s := range e.from {
		if s.at == e.at {
			found = true // an empty archive
		}
		if a.covered.has(s.at) || s.at >= a.size {
			continue
		}
		r := bufio.NewReaderSize(io.NewSectionReader(a.at, s.at, a.size-s.at), 16<<10)
		at := s.at
		for {
			h, n, err := a.record(r)
			if err != nil {
				return found, err
			}
			if n == 0 {
				break
			}
			at += n
			found = true
			h.offset += s.base
			if err := a.named(h); err != nil {
				return found, err
			}
		}
		if at > s.at {
			if err := a.covered.add(s.at, at); err != nil {
				return found, err
			}
		}
	}
	if !found {
		return false, nil
	}
	return true, a.covered.add(e.at, min(e.at+endBytes, a.size))
}

// record reads one of the directory and returns how long it is: 0 behind the last one.
func (a *archive) record(r *bufio.Reader) (header, int64, error) {
	var b [directoryBytes]byte
	if p, err := r.Peek(len(b)); err != nil {
		return header{}, 0, a.at.Err()
	} else if !bytes.HasPrefix(p, []byte(directoryMagic)) {
		return header{}, 0, nil
	}
	_, _ = io.ReadFull(r, b[:])
	half := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	rest := make([]byte, half(28)+half(30)+half(32))
	if _, err := io.ReadFull(r, rest); err != nil {
		a.broken.Add(stream.Malformed("zip directory ends too early"))
		return header{}, 0, a.at.Err()
	}
	h := header{
		name: string(rest[:half(28)]), flags: uint16(half(8)), method: uint16(half(10)), time: uint16(half(12)),
		crc: binary.LittleEndian.Uint32(b[16:]), packed: word(b[20:]), size: word(b[24:]), offset: word(b[42:]),
	}
	if b[5] == 3 || b[5] == 19 { // made on Unix or macOS
		h.mode = fs.FileMode(binary.LittleEndian.Uint32(b[38:])>>16) & fs.ModePerm
	}
	h.extra(rest[half(28):half(28)+half(30)], true)
	return h, int64(directoryBytes + len(rest)), nil
}

// header is what a record of the directory says of an entry, or its local header.
type header struct {
	name          string
	flags, method uint16
	time          uint16
	crc           uint32
	// packed is the size in the file, size that of the content.
	packed, size int64
	// offset is where the local header is.
	offset int64
	mode   fs.FileMode
	// strength is that of WinZip's encryption, 1 to 3; vendor its version, of which 2 has no checksum.
	strength, vendor int
}

// large stands for a number of 64 bits in the extra fields.
const large = 0xffffffff

// Flags.
const (
	encrypted  = 1 << 0
	descriptor = 1 << 3
	strong     = 1 << 6
	masked     = 1 << 13
)

func word(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }

// extra reads the fields that change the meaning of others.
func (h *header) extra(b []byte, directory bool) {
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return
		}
		field := b[:n]
		b = b[n:]
		switch {
		case id == 1:
			numbers := []*int64{&h.size, &h.packed}
			if directory {
				numbers = append(numbers, &h.offset)
			}
			for _, p := range numbers {
				if *p == large && len(field) >= 8 {
					*p = int64(binary.LittleEndian.Uint64(field))
					field = field[8:]
				}
			}
		case id == 0x9901 && n >= 7 && h.method == methodAES:
			h.vendor, h.strength, h.method = int(binary.LittleEndian.Uint16(field)), int(field[4]), binary.LittleEndian.Uint16(field[5:])
			h.flags |= encrypted
		}
	}
}

// local reads the local header at a place and returns where the data begins.
func (a *archive) local(at int64) (header, int64, error) {
	var b [localBytes]byte
	if at < 0 || at > a.size-localBytes {
		return header{}, 0, stream.Malformed("zip entry outside of the file")
	}
	if err := a.at.Full(b[:], at); err != nil {
		return header{}, 0, err
	}
	if !bytes.HasPrefix(b[:], []byte(localMagic)) {
		return header{}, 0, stream.Malformed("zip entry without a header")
	}
	half := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	data := at + localBytes + int64(half(26)+half(28))
	if data > a.size {
		return header{}, 0, stream.Malformed("zip entry ends too early")
	}
	rest := make([]byte, data-at-localBytes)
	if err := a.at.Full(rest, at+localBytes); err != nil {
		return header{}, 0, err
	}
	h := header{
		name: string(rest[:half(26)]), flags: uint16(half(6)), method: uint16(half(8)), time: uint16(half(10)),
		crc: binary.LittleEndian.Uint32(b[14:]), packed: word(b[18:]), size: word(b[22:]), offset: at,
	}
	h.extra(rest[half(26):], false)
	return h, data, nil
}
