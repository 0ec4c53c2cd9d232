package upx_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// text is that of section and the fixture of the LZMA method, as liblzma makes it.
func text(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "section %d of a program that stands for another\n", i)
	}
	return out.String()
}

func lzmaFixture() string {
	b, _ := base64.StdEncoding.DecodeString(lzmaText)
	return "\x1a\x03" + string(b) // pb 2, lc 3: 3<<3 | 2
}

const lzmaText = "" +
	"ADmZSJIXiZ59NOL4f2JWjUbFI7qrijAwsarYlqHeVYlgOMUzrXLaEonu14u8kV6rRbXuJQottfWummoBS5U5OyqwAMjoUDUraBCSWWi43HzTkc" +
	"M+dW9BQTfHFBQCRBiGgOcysxjhvXsreE8Yk1GbuNePzAEGtk+AOoTxcsJG0l7fyz1aWJMy6L+aezaSFQPi/J9d8sv//8PPV2A="

// packer writes what the NRV family reads: bits in words, and bytes between them.
type packer struct {
	kind, word int
	out        []byte
	at, left   int // where the word stands that takes the next bit, and how many it takes
	last       int
}

func (p *packer) bit(b int) {
	if p.left == 0 {
		p.at, p.left = len(p.out), 8*p.word
		p.out = append(p.out, make([]byte, p.word)...)
	}
	p.left--
	p.out[p.at+p.left/8] |= byte(b << (p.left % 8))
}

// growing writes a number of at least 2 whose highest bit is known.
func (p *packer) growing(n int) {
	high := 1
	for n>>(high+1) > 0 {
		high++
	}
	for i := high - 1; i >= 0; i-- {
		p.bit(n >> i & 1)
		p.bit(map[bool]int{true: 1}[i == 0])
	}
}

// prefix writes the part of a distance above its lowest byte.
func (p *packer) prefix(m int) {
	if p.kind == 0 {
		p.growing(m)
		return
	}
	var steps []int // from the last one
	for {
		steps = append(steps, m&1)
		m >>= 1
		if m == 1 {
			break
		}
		steps = append(steps, m&1)
		m = m>>1 + 1
	}
	for i := len(steps) - 1; i >= 0; i-- {
		p.bit(steps[i])
		if i%2 == 0 {
			p.bit(map[bool]int{true: 1}[i == 0])
		}
	}
}

func (p *packer) match(distance, length int) {
	p.bit(0)
	n := length - 1
	if distance > map[bool]int{true: 0xd00, false: 0x500}[p.kind == 0] {
		n--
	}
	odd := 0
	if p.kind == 1 && n < 4 {
		odd = n >> 1
	} else if p.kind == 2 && n < 3 {
		odd = 1
	}
	switch v := distance - 1; {
	case distance == p.last:
		p.prefix(2)
		if p.kind > 0 {
			p.bit(odd)
		}
	case p.kind > 0:
		v = v<<1 | odd ^ 1
		p.prefix(v>>8 + 3)
		p.out = append(p.out, byte(v))
	default:
		p.prefix(v>>8 + 3)
		p.out = append(p.out, byte(v))
	}
	p.last = distance
	p.length(n, odd)
}

func (p *packer) length(n, odd int) {
	switch {
	case p.kind == 0 && n < 4:
		p.bit(n >> 1)
		p.bit(n & 1)
	case p.kind == 0:
		p.bit(0)
		p.bit(0)
		p.growing(n - 2)
	case p.kind == 1 && n < 4:
		p.bit(n & 1)
	case p.kind == 1:
		p.bit(0)
		p.growing(n - 2)
	case odd == 1:
		p.bit(n - 1)
	case n < 5:
		p.bit(1)
		p.bit(n - 3)
	default:
		p.bit(0)
		p.growing(n - 3)
	}
}

// pack packs with the longest match that a plain search finds.
func pack(kind, word int, in string) string {
	p := &packer{kind: kind, word: word, last: 1}
	for i := 0; i < len(in); {
		best, distance := 0, 0
		for back := 1; back <= min(i, 6000) && best < 300; back++ {
			n := 0
			for n < 300 && i+n < len(in) && in[i+n] == in[i-back+n] {
				n++
			}
			if n > best {
				best, distance = n, back
			}
		}
		if best < 4 {
			p.bit(1)
			p.out = append(p.out, in[i])
			i++
			continue
		}
		p.match(distance, best)
		i += best
	}
	p.bit(0)
	p.prefix(0xffffffff>>8 + 3)
	p.out = append(p.out, 0xff)
	return string(p.out)
}

func u16(v int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(v))) }
func u32(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func u64(v int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }

func head(phnum int) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + u16(2) + u16(62) + u32(1) + u64(0x401000) + u64(64) + u64(0) + u32(0) + u16(64) + u16(56) + u16(phnum) + u16(0) + u16(0) + u16(0)
}

func load(from, size int) string {
	return u32(1) + u32(5) + u64(from) + u64(0x400000+from) + u64(0x400000+from) + u64(size) + u64(size) + u64(0x1000)
}

// program is an executable of two segments, with a gap of a few bytes between them.
func program() (headers, first, second string) {
	first, second = text(60), "data "+strings.Repeat("of another segment ", 40)
	size := 64 + 2*56 + len(first)
	return head(2) + load(0, size) + load(size+10, len(second)), first, second
}

func blockHead(size, packed int, method, filter, mark byte) string {
	return u32(size) + u32(packed) + string([]byte{method, filter, mark, 0})
}

// packedBlock is a block by a method of the NRV family, LZMA of the first segment, or stored.
func packedBlock(method int, body string) string {
	coded := body
	switch {
	case method >= 2 && method <= 10:
		coded = pack((method-2)/3, []int{4, 1, 2}[(method-2)%3], body)
	case method == 14 && body == text(60):
		coded = lzmaFixture()
	case method == 14:
		method = 8
		coded = pack(2, 4, body)
	}
	if len(coded) >= len(body) {
		coded = body
	}
	return blockHead(len(body), len(coded), byte(method), 0, 0) + coded
}

// executable is a packed one; info is what stands for the packer's own headers.
func executable(info string, blocks ...string) string {
	return head(2) + load(0, 5000) + load(0x2000, 0) + info + strings.Join(blocks, "")
}

func info(size int) string {
	return u32(0x12345678) + "UPX!" + u16(1000) + "\x0d\x16" + u32(0) + u32(size) + u32(size)
}

const end = "\x00\x00\x00\x00UPX!\x00\x00\x00\x00"
