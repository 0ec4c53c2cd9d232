package yara

import "encoding/binary"

// header is what is known of an executable file from its first bytes. It reads through f, so that what is not there is
// undefined and what was not kept is unread.
type header struct {
	f     *frame
	order binary.ByteOrder
	wide  bool // 64 bit
	bad   bool // something was undefined or unread
	gap   value
}

// at reads size bytes, 1 to 8, as a number.
func (h *header) at(offset uint64, size int) uint64 {
	if offset >= 1<<62 {
		h.fail(value{state: undefined})
		return 0
	}
	p, gap, ok := h.f.bytes(int64(offset), size)
	if !ok {
		h.fail(gap)
		return 0
	}
	switch size {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(h.order.Uint16(p))
	case 4:
		return uint64(h.order.Uint32(p))
	}
	return h.order.Uint64(p)
}

func (h *header) fail(v value) {
	if !h.bad {
		h.bad, h.gap = true, v
	}
}

// word reads a field at one of two offsets, of the size of an address.
func (h *header) word(narrow, wide uint64) uint64 {
	if h.wide {
		return h.at(wide, 8)
	}
	return h.at(narrow, 4)
}

// half reads a field of two bytes at one of two offsets.
func (h *header) half(narrow, wide uint64) uint64 {
	if h.wide {
		return h.at(wide, 2)
	}
	return h.at(narrow, 2)
}

// elf is nil when the file is no ELF.
func (f *frame) elf() *header {
	if len(f.head) < 52 || string(f.head[:4]) != "\x7fELF" {
		return nil
	}
	h := &header{f: f, order: binary.LittleEndian, wide: f.head[4] == 2}
	if f.head[5] == 2 {
		h.order = binary.BigEndian
	}
	return h
}

// entryPoint is the offset in the file of the first instruction of an ELF or a PE, else undefined.
func (f *frame) entryPoint() value {
	if h := f.elf(); h != nil {
		return h.elfEntry()
	}
	if len(f.head) >= 64 && string(f.head[:2]) == "MZ" {
		return (&header{f: f, order: binary.LittleEndian}).peEntry()
	}
	return value{state: undefined}
}

// elfEntry finds the loaded segment that the entry's address lies in.
func (h *header) elfEntry() value {
	const load = 1
	entry, table := h.word(0x18, 0x18), h.word(0x1c, 0x20)
	size, count := h.half(0x2a, 0x36), h.half(0x2c, 0x38)
	for i := uint64(0); i < count && !h.bad; i++ {
		p := table + i*size
		if h.at(p, 4) != load {
			continue
		}
		offset, address, length := h.word(p+4, p+8), h.word(p+8, p+16), h.word(p+16, p+32)
		if !h.bad && entry >= address && entry-address < length {
			return whole(int64(entry - address + offset))
		}
	}
	if h.bad {
		return h.gap
	}
	return value{state: undefined}
}

// peEntry finds the section that the entry's address lies in.
func (h *header) peEntry() value {
	pe := h.at(0x3c, 4)
	if !h.bad && h.at(pe, 4) != 0x4550 {
		return value{state: undefined}
	}
	count, optional := h.at(pe+6, 2), h.at(pe+20, 2)
	entry := h.at(pe+24+16, 4)
	for i := uint64(0); i < count && !h.bad; i++ {
		s := pe + 24 + optional + 40*i
		address, length, offset := h.at(s+12, 4), max(h.at(s+8, 4), h.at(s+16, 4)), h.at(s+20, 4)
		if !h.bad && entry >= address && entry-address < length {
			return whole(int64(entry - address + offset))
		}
	}
	if h.bad {
		return h.gap
	}
	return value{state: undefined}
}
