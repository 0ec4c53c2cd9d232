package tail

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxHeaders bounds program and section headers: work for a header that says there are more than any linker makes.
	maxHeaders = 1 << 16
	// minUnloaded is the least that is looked at between what an executable loads and its section headers.
	minUnloaded = 16 << 10
)

// elf ends with its last segment, section or header. What is not loaded is looked at on the way: some packers put an
// archive into a section of its own.
func elf(s *stream) error {
	e, phentsize, err := s.elfHeader()
	if err != nil {
		return err
	}
	if err := s.skipTo(e.phoff); err != nil {
		return err
	}
	end, err := s.segments(e, phentsize)
	if err != nil {
		return err
	}
	switch {
	case e.shoff == 0 || e.shnum == 0:
		return s.skipTo(end)
	case e.shoff < end: // some linkers write the section headers first
		if err := s.skip(e.shoff - s.at); err != nil {
			return err
		}
		last, err := s.sections(e)
		if err != nil {
			return err
		}
		return s.skipTo(max(end, last))
	}
	if err := s.skipTo(end); err != nil {
		return err
	}
	if e.phnum > 0 && e.shoff-s.at >= minUnloaded {
		if i := packedAt(s.peek(peekBytes)); i >= 0 {
			if err := s.skip(int64(i)); err != nil {
				return err
			}
			return s.showRest("section")
		}
	}
	if err := s.skipTo(e.shoff); err != nil {
		return err
	}
	end, err = s.sections(e)
	if err != nil {
		return err
	}
	return s.skipTo(end)
}

type elfHeader struct {
	order        binary.ByteOrder
	wide         bool
	phoff, shoff int64
	phnum, shnum int
	shentsize    int
}

func (s *stream) elfHeader() (e elfHeader, phentsize int, err error) {
	b, err := s.take(52)
	if err != nil {
		return e, 0, err
	}
	e.order, e.wide = binary.LittleEndian, b[4] == 2
	if b[5] == 2 {
		e.order = binary.BigEndian
	}
	counts := b[42:52]
	if e.wide {
		e.phoff, e.shoff = int64(e.order.Uint64(b[32:])), int64(e.order.Uint64(b[40:]))
		more, err := s.take(12)
		if err != nil {
			return e, 0, err
		}
		counts = more[2:]
	} else {
		e.phoff, e.shoff = int64(e.order.Uint32(b[28:])), int64(e.order.Uint32(b[32:]))
	}
	phentsize, e.phnum = int(e.order.Uint16(counts)), int(e.order.Uint16(counts[2:]))
	e.shentsize, e.shnum = int(e.order.Uint16(counts[4:])), int(e.order.Uint16(counts[6:]))
	if e.phoff < 0 || e.shoff < 0 || e.wide && (e.phnum > 0 && phentsize < 56 || e.shnum > 0 && e.shentsize < 64) ||
		!e.wide && (e.phnum > 0 && phentsize < 32 || e.shnum > 0 && e.shentsize < 40) || phentsize > peekBytes || e.shentsize > peekBytes {
		return e, 0, errBroken
	}
	return e, phentsize, nil
}

// segments reads the program headers and returns where the last segment ends.
func (s *stream) segments(e elfHeader, size int) (int64, error) {
	end := s.at
	for range min(e.phnum, maxHeaders) {
		b, err := s.take(size)
		if err != nil {
			return 0, err
		}
		var offset, length int64
		if e.wide {
			offset, length = int64(e.order.Uint64(b[8:])), int64(e.order.Uint64(b[32:]))
		} else {
			offset, length = int64(e.order.Uint32(b[4:])), int64(e.order.Uint32(b[16:]))
		}
		if offset < 0 || length < 0 || offset+length < 0 {
			return 0, errBroken
		}
		end = max(end, offset+length)
	}
	return max(end, s.at), nil
}

// sections reads the section headers and returns where the last of sections and headers ends.
func (s *stream) sections(e elfHeader) (int64, error) {
	end := s.at
	for range min(e.shnum, maxHeaders) {
		b, err := s.take(e.shentsize)
		if err != nil {
			return 0, err
		}
		var offset, length int64
		if e.wide {
			offset, length = int64(e.order.Uint64(b[24:])), int64(e.order.Uint64(b[32:]))
		} else {
			offset, length = int64(e.order.Uint32(b[16:])), int64(e.order.Uint32(b[20:]))
		}
		if e.order.Uint32(b[4:]) != 8 && offset >= 0 && length >= 0 && offset+length > 0 { // 8 has no bytes in the file
			end = max(end, offset+length)
		}
	}
	return max(end, s.at), nil
}

// packedAt finds the beginning of an archive or a compression among the first sections that are not loaded, -1 if there is
// none. The first one is text: what the compiler says of itself.
func packedAt(b []byte) int {
	for i := 0; i < len(b); i++ {
		if i > 0 && b[i-1] != 0 {
			continue
		}
		// Compressed debug sections begin with a header of a type, 1 or 2, and a zero (gABI, compression header).
		debug := i >= 24 && (b[i-24] == 1 || b[i-24] == 2) && bytes.Equal(b[i-23:i-16], make([]byte, 7))
		if !debug && packedMagic(b[i:]) {
			return i
		}
	}
	return -1
}

// packedMagic reports whether packed content begins so.
func packedMagic(b []byte) bool {
	if len(b) > 2 && b[0] == 0x78 && (b[1] == 0xda || b[1] == 0x9c) && b[2] != 0 {
		return true // zlib
	}
	for _, m := range packedMagics {
		if bytes.HasPrefix(b, m) {
			return true
		}
	}
	return false
}

var packedMagics = [][]byte{
	[]byte("\x7fELF"), []byte("\x1f\x8b\x08"), []byte("\xfd7zXZ\x00"), []byte("PK\x03\x04"), []byte("\x28\xb5\x2f\xfd"), []byte("BZh91AY&SY"), []byte("KAY\x28\xb5\x2f\xfd"), []byte("7z\xbc\xaf\x27\x1c"), []byte("hsqs"),
	[]byte("\x04\x22\x4d\x18"), []byte("\x5d\x00\x00\x80\x00"),
}

// pe ends with its last section, or with the certificates or symbols behind them.
func pe(s *stream) error {
	b, err := s.take(64)
	if err != nil {
		return err
	}
	if err := s.skipTo(int64(binary.LittleEndian.Uint32(b[60:]))); err != nil {
		return err
	}
	if b, err = s.take(24); err != nil {
		return err
	}
	if string(b[:4]) != "PE\x00\x00" {
		return s.skip(max(0, s.size-s.at)) // a program of DOS, which has no end
	}
	symbols, count := int64(binary.LittleEndian.Uint32(b[12:])), int64(binary.LittleEndian.Uint32(b[16:]))
	sections, optional := int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[20:]))
	if optional > peekBytes {
		return errBroken
	}
	if b, err = s.take(optional); err != nil {
		return err
	}
	from, to := certificates(b)
	end := int64(0)
	for range sections {
		if b, err = s.take(40); err != nil {
			return err
		}
		if size := int64(binary.LittleEndian.Uint32(b[16:])); size > 0 {
			end = max(end, int64(binary.LittleEndian.Uint32(b[20:]))+size)
		}
	}
	if from >= end && from-end < 16 { // else something stands before them
		end = to
	}
	if symbols > 0 && symbols < end+16 { // a table of symbols, and one of their names that has its own size
		if err := s.skipTo(symbols + 18*count); err != nil {
			return err
		}
		if b := s.peek(4); s.at >= end && len(b) == 4 {
			end = s.at + int64(binary.LittleEndian.Uint32(b))
		}
	}
	return s.skipTo(end)
}

// certificates tells where the attribute certificate table stands that an optional header names; zeros without one.
func certificates(optional []byte) (from, to int64) {
	if len(optional) < 2 {
		return 0, 0
	}
	at := 96 + 4*8
	if binary.LittleEndian.Uint16(optional) == 0x20b {
		at += 16
	}
	if len(optional) < at+8 {
		return 0, 0
	}
	from = int64(binary.LittleEndian.Uint32(optional[at:]))
	return from, from + int64(binary.LittleEndian.Uint32(optional[at+4:]))
}

// ahead is how much of a file a look at its beginning takes, at most.
const ahead = 512

// script ends where packed or executable content begins: at the beginning of a line, or anywhere if the content cannot be
// text.
func script(s *stream) error {
	start := true
	for {
		b := s.peek(peekBytes)
		if len(b) == 0 {
			return nil
		}
		for i, c := range b {
			switch {
			case (start || c == 0x7f || c == 0x1f || c >= 0xfd) && (i+ahead <= len(b) || len(b) < peekBytes) && (packedMagic(b[i:]) || isTar(b[i:])):
				return s.skip(int64(i))
			case i+ahead > len(b) && len(b) == peekBytes: // what begins here is looked at with what follows
				if err := s.skip(int64(i)); err != nil {
					return err
				}
			default:
				start = c == '\n'
				continue
			}
			break
		}
		if len(b) < peekBytes {
			return s.skip(int64(len(b)))
		}
	}
}

// isTar reports whether a tar archive begins so.
func isTar(b []byte) bool { return len(b) >= 262 && string(b[257:262]) == "ustar" }
