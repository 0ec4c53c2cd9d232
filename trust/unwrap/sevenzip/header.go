package sevenzip

import (
	"encoding/binary"
	"io/fs"
	"unicode/utf16"

	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// Identifiers of the parts of a header, of 7-Zip's description of the format.
const (
	idEnd           = 0x00
	idHeader        = 0x01
	idArchive       = 0x02
	idExtraStreams  = 0x03
	idStreams       = 0x04
	idFiles         = 0x05
	idPack          = 0x06
	idUnpack        = 0x07
	idSubstreams    = 0x08
	idSize          = 0x09
	idSum           = 0x0a
	idFolder        = 0x0b
	idUnpackSize    = 0x0c
	idCount         = 0x0d
	idEmpty         = 0x0e
	idName          = 0x11
	idAttributes    = 0x15
	idEncodedHeader = 0x17
)

const (
	// maxName bounds a name in a header, in bytes.
	maxName = 64 << 10
	// maxCoders bounds the steps that one folder is packed in: memory, a window each. The most that 7-Zip uses is seven.
	maxCoders = 8
	// maxFolders and maxEntries bound how many there are in an archive: memory, some hundred bytes and some ten for each.
	maxFolders = 1 << 16
	maxEntries = 1 << 19
	// maxStreams bounds the inputs and outputs of one coder.
	maxStreams = 4
)

// cursor reads a header. After the first fault it reads zeros.
type cursor struct {
	b    []byte
	err  error
	hold func(int64) error
}

// What lists take in memory, in bytes for each of what they have.
const (
	packBytes    = 16
	folderBytes  = 768
	contentBytes = 32
	nameBytes    = 8
)

// keep charges for a list.
func (c *cursor) keep(n int64) {
	if c.hold == nil || c.err != nil {
		return
	}
	if c.err = c.hold(n); c.err != nil {
		c.b = nil
	}
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = stream.Malformed("7z header: "+format, args...)
	}
	c.b = nil
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail("ends too early")
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) word() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// number reads one of variable length: ones at the front of the first byte say how many follow.
func (c *cursor) number() uint64 {
	first := c.byte()
	var v uint64
	mask := byte(0x80)
	for i := range 8 {
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(c.byte()) << (8 * i)
		mask >>= 1
	}
	return v
}

// size reads a number of bytes.
func (c *cursor) size() int64 {
	n := c.number()
	if n > 1<<62 {
		c.fail("size %d", n)
		return 0
	}
	return int64(n)
}

// count reads how many of something follow, which may be most of them.
func (c *cursor) count(most int) int {
	n := c.number()
	if n > uint64(most) {
		if c.err == nil {
			c.err = stream.Exceeded("7z header: %d where %d are read", n, most)
		}
		c.b = nil
		return 0
	}
	return int(n)
}

func (c *cursor) expect(id byte) {
	if got := c.byte(); got != id && c.err == nil {
		c.fail("%#x where %#x must be", got, id)
	}
}

// bits reads n of them.
func (c *cursor) bits(n int) []bool {
	packed := c.take(uint64(n+7) / 8)
	if packed == nil {
		return make([]bool, 0)
	}
	out := make([]bool, n)
	for i := range out {
		out[i] = packed[i/8]&(0x80>>(i%8)) != 0
	}
	return out
}

// defined reads which of n have a value: all, or those of which a bit is set.
func (c *cursor) defined(n int) func(int) bool {
	if c.byte() != 0 {
		return func(int) bool { return c.err == nil }
	}
	set := c.bits(n)
	return func(i int) bool { return i < len(set) && set[i] }
}

// sums reads n checksums, and sets those that are there.
func (c *cursor) sums(n int, set func(i int, sum uint32)) {
	has := c.defined(n)
	for i := range n {
		if has(i) {
			set(i, c.word())
		}
	}
}

// list is what a header says.
type list struct {
	streams streams
	// empty are files without content; named are the names, one after the other, as they stand.
	empty      []bool
	named      []byte
	attributes []uint32
}

// streams are the packed parts of an archive.
type streams struct {
	pack    []extent
	folders []folder
}

type extent struct{ at, size int64 }

// content is one file in a folder.
type content struct {
	size   int64
	sum    uint32
	hasSum bool
}

// header reads what follows its identifier.
func (c *cursor) header() list {
	var l list
	for c.err == nil {
		switch id := c.byte(); id {
		case idEnd:
			return l
		case idArchive:
			for c.byte() != idEnd {
				c.take(c.number())
			}
		case idExtraStreams:
			c.streams()
		case idStreams:
			l.streams = c.streams()
		case idFiles:
			c.files(&l)
		default:
			c.fail("unknown part %#x", id)
		}
	}
	return l
}

// streams reads where packed streams are and how they are packed.
func (c *cursor) streams() streams {
	var s streams
	for c.err == nil {
		switch id := c.byte(); id {
		case idEnd:
			s.finish(c)
			return s
		case idPack:
			c.pack(&s)
		case idUnpack:
			c.unpack(&s)
		case idSubstreams:
			c.substreams(&s)
		default:
			c.fail("unknown part %#x of the streams", id)
		}
	}
	return s
}

// finish gives every folder its packed streams.
func (s *streams) finish(c *cursor) {
	pack := s.pack
	for i := range s.folders {
		f := &s.folders[i]
		if len(f.packed) > len(pack) {
			c.fail("more folders than packed streams")
			return
		}
		f.pack, pack = pack[:len(f.packed)], pack[len(f.packed):]
		if f.files == nil { // not said otherwise
			f.files = []content{{size: f.size(), sum: f.sum, hasSum: f.hasSum}}
		}
	}
}

func (c *cursor) pack(s *streams) {
	at, n := c.size(), c.count(maxStreams*maxFolders)
	if c.keep(int64(n) * packBytes); c.err != nil {
		return
	}
	s.pack = make([]extent, n)
	for c.err == nil {
		switch id := c.byte(); id {
		case idEnd:
			return
		case idSize:
			for i := range s.pack {
				size := c.size()
				s.pack[i] = extent{at, size}
				if at += size; at < 0 {
					c.fail("packed sizes")
				}
			}
		case idSum:
			c.sums(n, func(int, uint32) {})
		default:
			c.fail("unknown part %#x of packed streams", id)
		}
	}
}

func (c *cursor) unpack(s *streams) {
	c.expect(idFolder)
	n := c.count(maxFolders)
	if c.byte() != 0 {
		c.fail("folders elsewhere")
		return
	}
	for range n {
		c.keep(folderBytes)
		s.folders = append(s.folders, c.folder())
		if c.err != nil {
			return
		}
	}
	c.expect(idUnpackSize)
	for i := range s.folders {
		f := &s.folders[i]
		for j := range f.sizes {
			f.sizes[j] = c.size()
		}
	}
	for c.err == nil {
		switch id := c.byte(); id {
		case idEnd:
			return
		case idSum:
			c.sums(len(s.folders), func(i int, sum uint32) { s.folders[i].sum, s.folders[i].hasSum = sum, true })
		default:
			c.fail("unknown part %#x of folders", id)
		}
	}
}

// substreams reads how the content of folders is divided into files.
func (c *cursor) substreams(s *streams) {
	id, left := c.byte(), maxEntries
	for i := range s.folders {
		n := 1
		if id == idCount {
			n = c.count(left)
			left -= n
		}
		if c.keep(int64(n) * contentBytes); c.err != nil {
			return
		}
		s.folders[i].files = make([]content, n)
	}
	if id == idCount {
		id = c.byte()
	}
	for i := range s.folders {
		f := &s.folders[i]
		left := f.size()
		for j := range f.files {
			size := left // the last one has the rest
			if id == idSize && j < len(f.files)-1 {
				size = c.size()
			}
			if size > left {
				c.fail("files are larger than their folder")
				return
			}
			f.files[j].size = size
			left -= size
		}
	}
	if id == idSize {
		id = c.byte()
	}
	if id == idSum {
		c.substreamSums(s)
		id = c.byte()
	}
	if id != idEnd {
		c.fail("unknown part %#x of files in folders", id)
	}
}

// substreamSums reads the checksums of files that are not known as those of a folder.
func (c *cursor) substreamSums(s *streams) {
	var unknown []*content
	for i := range s.folders {
		f := &s.folders[i]
		if len(f.files) == 1 && f.hasSum {
			f.files[0].sum, f.files[0].hasSum = f.sum, true
			continue
		}
		for j := range f.files {
			unknown = append(unknown, &f.files[j])
		}
	}
	c.sums(len(unknown), func(i int, sum uint32) { unknown[i].sum, unknown[i].hasSum = sum, true })
}

func (c *cursor) files(l *list) {
	n := c.count(maxEntries)
	c.keep(int64(n) * nameBytes)
	for c.err == nil {
		id := c.byte()
		if id == idEnd {
			return
		}
		p := &cursor{b: c.take(c.number())}
		switch id {
		case idEmpty:
			l.empty = p.bits(n)
		case idName:
			if p.byte() != 0 {
				p.fail("names elsewhere")
			}
			l.named = p.b
		case idAttributes:
			has := p.defined(n)
			if p.byte() != 0 {
				p.fail("attributes elsewhere")
			}
			l.attributes = make([]uint32, n)
			for i := range l.attributes {
				if has(i) {
					l.attributes[i] = p.word()
				}
			}
		}
		if p.err != nil && c.err == nil {
			c.err = p.err
		}
	}
}

// names gives the names of files that have content.
type names struct {
	list
	i int
}

func (l list) names() *names { return &names{list: l} }

func (n *names) next() (string, fs.FileMode) {
	for n.i < len(n.empty) && n.empty[n.i] {
		n.name()
		n.i++
	}
	name := n.name()
	var attributes uint32
	if n.i < len(n.attributes) {
		attributes = n.attributes[n.i]
	}
	n.i++
	return name, mode(attributes)
}

// name reads one, which ends with a zero.
func (n *names) name() string {
	var units []uint16
	for len(n.named) >= 2 {
		u := binary.LittleEndian.Uint16(n.named)
		n.named = n.named[2:]
		if u == 0 {
			break
		}
		if len(units) < maxName/2 {
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}
