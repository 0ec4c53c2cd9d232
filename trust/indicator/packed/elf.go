package packed

import (
	"encoding/binary"
)

// Facts of the ELF format (System V ABI, chapters 4 and 5).
const (
	typeExec, typeDyn = 2, 3

	segmentLoad, segmentDynamic, segmentInterp = 1, 2, 3

	flagExec, flagWrite = 1, 2

	header32, header64   = 52, 64
	program32, program64 = 32, 56
	// maxPrograms is what Linux accepts: 64 KiB of program headers.
	maxPrograms = (64 << 10) / program32
)

// header is what the first bytes of an ELF file say.
type header struct {
	wide    bool // 64 bits
	order   binary.ByteOrder
	kind    uint16
	entry   uint64
	at      uint64 // of the program headers
	number  int    // of them
	section uint64 // where the section headers are
	shnum   int
}

// segment is one program header.
type segment struct {
	kind, flags          uint32
	offset, address      uint64
	fileBytes, memoBytes uint64
}

// readHeader reads an ELF header. It needs header64 bytes; ok is false for what Linux would not start.
func readHeader(b []byte) (h header, ok bool) {
	if len(b) < header64 || string(b[:4]) != "\x7fELF" || b[4] != 1 && b[4] != 2 || b[5] != 1 && b[5] != 2 {
		return h, false
	}
	h.wide, h.order = b[4] == 2, binary.LittleEndian
	if b[5] == 2 {
		h.order = binary.BigEndian
	}
	h.kind = h.order.Uint16(b[16:])
	var size, each int
	if h.wide {
		h.entry, h.at, h.section = h.order.Uint64(b[24:]), h.order.Uint64(b[32:]), h.order.Uint64(b[40:])
		each, h.number, h.shnum = int(h.order.Uint16(b[54:])), int(h.order.Uint16(b[56:])), int(h.order.Uint16(b[60:]))
		size = program64
	} else {
		h.entry, h.at, h.section = uint64(h.order.Uint32(b[24:])), uint64(h.order.Uint32(b[28:])), uint64(h.order.Uint32(b[32:]))
		each, h.number, h.shnum = int(h.order.Uint16(b[42:])), int(h.order.Uint16(b[44:])), int(h.order.Uint16(b[48:]))
		size = program32
	}
	return h, (h.kind == typeExec || h.kind == typeDyn) && each == size && h.number > 0 && h.number <= maxPrograms
}

// end is where the program headers end.
func (h header) end() uint64 {
	size := uint64(program32)
	if h.wide {
		size = program64
	}
	if h.at > 1<<62 {
		return 1 << 63
	}
	return h.at + size*uint64(h.number) //nolint:gosec // at most maxPrograms
}

// segments reads the program headers out of the file's first end() bytes.
func (h header) segments(b []byte) []segment {
	out := make([]segment, 0, h.number)
	for i := range h.number {
		if h.wide {
			p := b[int(h.at)+i*program64:][:program64] //nolint:gosec // end() was checked
			out = append(out, segment{
				kind: h.order.Uint32(p), flags: h.order.Uint32(p[4:]), offset: h.order.Uint64(p[8:]),
				address: h.order.Uint64(p[16:]), fileBytes: h.order.Uint64(p[32:]), memoBytes: h.order.Uint64(p[40:]),
			})
			continue
		}
		p := b[int(h.at)+i*program32:][:program32] //nolint:gosec // end() was checked
		out = append(out, segment{
			kind: h.order.Uint32(p), offset: uint64(h.order.Uint32(p[4:])), address: uint64(h.order.Uint32(p[8:])),
			fileBytes: uint64(h.order.Uint32(p[16:])), memoBytes: uint64(h.order.Uint32(p[20:])), flags: h.order.Uint32(p[24:]),
		})
	}
	return out
}

// holds reports whether an address is in the segment's memory.
func (s segment) holds(address uint64) bool {
	return s.kind == segmentLoad && address >= s.address && address-s.address < s.memoBytes
}
