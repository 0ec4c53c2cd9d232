package trust

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
)

// TreeEntry is one entry of a layer's archive.
type TreeEntry struct {
	// Path is clean and has no leading slash; "." is the root. Whiteouts stand here as the archive has them.
	Path string
	Type FileType
	// Mode has the permission bits with set-user-ID, set-group-ID and sticky.
	Mode uint32
	// Size of the content in bytes.
	Size int64
	// Target of a link, as written.
	Target string
	// Kind is that of a regular file's content.
	Kind Kind
	// Body is the beginning of the content of a script or a start-up file, so that what it starts can be followed. Body
	// may be shorter than Size: to save memory, or because nothing reads such a file as commands.
	Body string
	// Program is the name of the interpreter that an executable is by its content, whatever it is called: "bash". Empty
	// unless it is one of few.
	Program string
	// Like is equal for executables that begin alike and are of one size, so that a copy is known under any name; else 0.
	Like uint64
}

// Whole reports whether Body is the whole content.
func (e TreeEntry) Whole() bool { return int64(len(e.Body)) >= e.Size }

// FileType says what an entry makes on a host.
type FileType byte

// The types of entries.
const (
	TypeFile     FileType = 'f'
	TypeDir      FileType = 'd'
	TypeSymlink  FileType = 'l'
	TypeHardlink FileType = 'h'
	TypeOther    FileType = 'o' // device or pipe
)

// Tree is the list of a layer's entries, in the order of the archive. It is kept packed: layers have many entries.
type Tree struct {
	packed []byte
	count  int
	last   string
}

// maxTreeBytes bounds a tree that is read from memory, in bytes as it is packed. Who makes trees must stay below.
const maxTreeBytes = 64 << 20

// kinds number the kinds in packed trees; an entry must never change its place.
func kinds() []Kind {
	return []Kind{"", KindConfig, KindExecutable, KindScript, KindText, KindData}
}

// Len is the number of entries.
func (t *Tree) Len() int { return t.count }

// Bytes is the memory that the tree takes.
func (t *Tree) Bytes() int { return len(t.packed) }

// IsZero is true for a tree without entries.
func (t Tree) IsZero() bool { return t.count == 0 }

// Equal compares the entries.
func (t Tree) Equal(other Tree) bool { return bytes.Equal(t.packed, other.packed) }

// Add appends an entry.
func (t *Tree) Add(e TreeEntry) {
	shared := 0
	for shared < min(len(e.Path), len(t.last)) && e.Path[shared] == t.last[shared] {
		shared++
	}
	b := binary.AppendUvarint(t.packed, uint64(shared))
	b = appendText(b, e.Path[shared:])
	b = append(b, byte(e.Type), byte(max(slices.Index(kinds(), e.Kind), 0)))
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(max(e.Size, 0)))
	b = appendText(b, e.Target)
	b = appendText(b, e.Body)
	b = appendText(b, e.Program)
	t.packed = binary.AppendUvarint(b, e.Like)
	t.count++
	t.last = e.Path
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// All are the entries in order.
func (t *Tree) All() iter.Seq[TreeEntry] {
	return func(yield func(TreeEntry) bool) {
		r := packedTree{rest: t.packed}
		for len(r.rest) > 0 {
			if e := r.entry(); r.bad || !yield(e) {
				return
			}
		}
	}
}

// packedTree reads what Add wrote; anything else sets bad.
type packedTree struct {
	rest []byte
	last string
	bad  bool
}

func (r *packedTree) entry() TreeEntry {
	shared := r.number()
	suffix := r.text()
	if shared > uint64(len(r.last)) || len(r.rest) < 2 {
		r.bad = true
		return TreeEntry{}
	}
	e := TreeEntry{Path: r.last[:shared] + suffix, Type: FileType(r.rest[0])}
	if known := kinds(); int(r.rest[1]) < len(known) {
		e.Kind = known[r.rest[1]]
	} else {
		r.bad = true
	}
	r.rest = r.rest[2:]
	mode, size := r.number(), r.number()
	if mode > 1<<32-1 || size > 1<<63-1 {
		r.bad = true
	}
	e.Mode, e.Size = uint32(mode&(1<<32-1)), int64(size&(1<<63-1)) //nolint:gosec // checked above
	e.Target, e.Body, e.Program = r.text(), r.text(), r.text()
	e.Like = r.number()
	r.last = e.Path
	return e
}

func (r *packedTree) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *packedTree) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// MarshalJSON writes the tree as one compressed string: paths need not be text, and there are many.
func (t Tree) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(t.packed); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return json.Marshal(b.Bytes())
}

// UnmarshalJSON reads what MarshalJSON wrote. The error wraps ErrMalformed or ErrLimit.
func (t *Tree) UnmarshalJSON(text []byte) error {
	var compressed []byte
	if err := json.Unmarshal(text, &compressed); err != nil {
		return fmt.Errorf("tree of a layer: %w: %w", ErrMalformed, err)
	}
	packed, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(compressed)), maxTreeBytes+1))
	if err != nil {
		return fmt.Errorf("tree of a layer: %w: %w", ErrMalformed, err)
	}
	if len(packed) > maxTreeBytes {
		return fmt.Errorf("tree of a layer has more than %d bytes: %w", maxTreeBytes, ErrLimit)
	}
	read := Tree{packed: packed}
	r := packedTree{rest: packed}
	for len(r.rest) > 0 {
		e := r.entry()
		if r.bad {
			return fmt.Errorf("tree of a layer: entry %d: %w", read.count+1, ErrMalformed)
		}
		read.last = e.Path
		read.count++
	}
	if read.count == 0 {
		read.packed = nil
	}
	*t = read
	return nil
}
