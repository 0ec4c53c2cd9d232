// Package toc reads the tables of contents that layers carry for lazy pulling, eStargz and zstd:chunked, and compares
// them with what a walk of the layer's tar archive saw.
//
// A lazy puller takes files as the table describes them, from where the table says that they are; everybody else takes
// those of the archive. So a table that disagrees with the archive hides one image behind another, and is
// trust.ErrIntegrity. A table that cannot be read is trust.ErrMalformed, trust.ErrUnsupported or trust.ErrLimit.
package toc

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Name is the file of an eStargz layer that holds its table, the last of the archive.
const Name = "stargz.index.json"

// Digest is a SHA-256 digest.
type Digest = [sha256.Size]byte

// Entry is what a table and an archive must agree about, besides content.
type Entry struct {
	// Type is reg, dir, symlink, hardlink, char, block or fifo.
	Type string
	// Name is as the archive has it; two names that lead to the same path are the same.
	Name string
	// Link is the target of a link.
	Link string
	// Mode counts with its lowest 12 bits.
	Mode int64
	// Size counts for regular files.
	Size int64
}

// Chunk is a part of a file that can be read by itself.
type Chunk struct {
	// Offset and Size are those within the file, in bytes.
	Offset, Size int64
	// Packed is where in the blob the gzip member or zstd frame begins that has it; Inner is where in that one's
	// content the chunk begins.
	Packed, Inner int64
	Digest        Digest
}

// sum stands for an entry with its chunks and content: 16 bytes of a digest, because an archive may have a million.
type sum [16]byte

// summer makes sums, one entry at a time.
type summer struct {
	entry  Entry
	chunks hash.Hash
	buf    []byte
}

func (s *summer) begin(e Entry) {
	s.entry = e
	if s.chunks == nil {
		s.chunks = sha256.New()
	}
	s.chunks.Reset()
}

func (s *summer) chunk(c Chunk) {
	s.buf = s.buf[:0]
	for _, n := range [...]int64{c.Offset, c.Size, c.Packed, c.Inner} {
		s.buf = binary.BigEndian.AppendUint64(s.buf, uint64(n))
	}
	s.chunks.Write(append(s.buf, c.Digest[:]...))
}

// end is the sum of the entry whose whole content has the digest.
func (s *summer) end(content Digest) (out sum) {
	e, b := &s.entry, s.buf[:0]
	link, size := "", int64(0)
	switch e.Type {
	case "reg":
		size = e.Size
	case "symlink":
		link = e.Link
	case "hardlink":
		link = clean(e.Link)
	}
	for _, text := range [...]string{e.Type, link} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	at := len(b)
	b = appendClean(binary.BigEndian.AppendUint64(b, 0), e.Name)
	binary.BigEndian.PutUint64(b[at:], uint64(len(b)-at-8))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Mode&0o7777))
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	if size > 0 {
		b = s.chunks.Sum(append(b, content[:]...))
	}
	s.buf = b
	full := sha256.Sum256(b)
	copy(out[:], full[:])
	return out
}

// appendClean appends clean(name), most often without a copy of it.
func appendClean(b []byte, name string) []byte {
	if trimmed := strings.TrimSuffix(name, "/"); trimmed != "." && fs.ValidPath(trimmed) {
		return append(append(b, '/'), trimmed...)
	}
	return append(b, clean(name)...)
}

// clean is the path that a name leads to, from the root.
func clean(name string) string { return path.Clean("/" + name) }

// Record is what a walk saw, in the order of the archive.
type Record struct {
	summer summer
	sums   []sum
	// blind is a file whose content was not digested.
	blind string
}

// Begin starts the next entry of the archive.
func (r *Record) Begin(e Entry) { r.summer.begin(e) }

// Chunk adds the next chunk of the entry.
func (r *Record) Chunk(c Chunk) { r.summer.chunk(c) }

// End ends the entry, whose whole content has the digest; it is not used if there is none.
func (r *Record) End(content Digest) {
	if r.blind == "" {
		r.sums = append(r.sums, r.summer.end(content))
	}
}

// EntryBytes is about what an entry takes while a table is compared, as long as Keeps is true: the sum twice, with room to
// grow, and a count.
const EntryBytes = 56

// Keeps reports whether entries are still kept.
func (r *Record) Keeps() bool { return r.blind == "" }

// EndBlind ends an entry whose content was not digested. No table can be compared with it.
func (r *Record) EndBlind() {
	if r.blind == "" {
		r.blind = cmp.Or(r.summer.entry.Name, "a file")
	}
	r.sums = nil
}

// comparison takes the entries of a table one after the other and ticks them off in a record. Tables have the archive's
// order, as a rule; from the first entry that does not, the rest of the record is sorted.
type comparison struct {
	record *Record
	// n entries were equal, in the same order.
	n int
	// rest are the others, sorted; taken counts by the first of equal ones how many of them were seen.
	rest  []sum
	taken []int32
	seen  int
}

func (c *comparison) tick(s sum) bool {
	sums := c.record.sums
	if c.rest == nil {
		if c.n < len(sums) && sums[c.n] == s {
			c.n++
			return true
		}
		c.rest = slices.Clone(sums[c.n:])
		slices.SortFunc(c.rest, func(a, b sum) int { return bytes.Compare(a[:], b[:]) })
		c.taken = make([]int32, len(c.rest))
	}
	first := sort.Search(len(c.rest), func(i int) bool { return bytes.Compare(c.rest[i][:], s[:]) >= 0 })
	if first == len(c.rest) {
		return false
	}
	at := first + int(c.taken[first])
	if at >= len(c.rest) || c.rest[at] != s {
		return false
	}
	c.taken[first]++
	c.seen++
	return true
}

// left is how many entries of the record the table did not have.
func (c *comparison) left() int { return len(c.record.sums) - c.n - c.seen }

func lie(format string, args ...any) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrIntegrity, fmt.Sprintf(format, args...))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrMalformed, fmt.Sprintf(format, args...))
}

func exceeded(format string, args ...any) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrLimit, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: table of contents: %s", trust.ErrUnsupported, fmt.Sprintf(format, args...))
}

// show makes a name fit for an error message.
func show(name string) string { return fmt.Sprintf("%q", trust.Sanitise(name, 128)) }
