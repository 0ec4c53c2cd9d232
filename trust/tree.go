package trust

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
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

// Tree is the list of a layer's entries, in the order of the archive. It is kept packed: layers have many entries. What
// is read of it shares its memory.
type Tree struct {
	// packed has the entries, unless some were added since it was read: then added has all of them.
	packed string
	added  []byte
	count  int
	last   string
}

// maxTreeBytes bounds a tree that is read from memory, in bytes as it is packed. Who makes trees must stay below.
const maxTreeBytes = 64 << 20

// numberOf numbers the kinds in packed trees, and kindOf reads the number; none must ever change.
func numberOf(k Kind) byte {
	switch k {
	case KindConfig:
		return 1
	case KindExecutable:
		return 2
	case KindScript:
		return 3
	case KindText:
		return 4
	case KindData:
		return 5
	}
	return 0
}

func kindOf(n byte) (k Kind, known bool) {
	switch n {
	case 0:
		return "", true
	case 1:
		return KindConfig, true
	case 2:
		return KindExecutable, true
	case 3:
		return KindScript, true
	case 4:
		return KindText, true
	case 5:
		return KindData, true
	}
	return "", false
}

// Len is the number of entries.
func (t *Tree) Len() int { return t.count }

// Bytes is the memory that the tree takes.
func (t *Tree) Bytes() int { return max(len(t.packed), len(t.added)) }

// IsZero is true for a tree without entries.
func (t Tree) IsZero() bool { return t.count == 0 }

// Equal compares the entries. That takes no time for a tree and its copy.
func (t Tree) Equal(other Tree) bool { return t.text() == other.text() }

// text is the packed tree.
func (t *Tree) text() string {
	if t.added != nil {
		return string(t.added)
	}
	return t.packed
}

// Sealed is the tree in the form in which it is read, and copied, at no cost.
func (t Tree) Sealed() Tree { return Tree{packed: t.text(), count: t.count, last: t.last} }

// Add appends an entry.
func (t *Tree) Add(e TreeEntry) {
	if t.added == nil {
		t.added, t.packed = []byte(t.packed), ""
	}
	shared := 0
	for shared < min(len(e.Path), len(t.last)) && e.Path[shared] == t.last[shared] {
		shared++
	}
	b := binary.AppendUvarint(t.added, uint64(shared))
	b = appendText(b, e.Path[shared:])
	b = append(b, byte(e.Type), numberOf(e.Kind))
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(max(e.Size, 0)))
	b = appendText(b, e.Target)
	b = appendText(b, e.Body)
	b = appendText(b, e.Program)
	t.added = binary.AppendUvarint(b, e.Like)
	t.count++
	t.last = e.Path
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// All are the entries in order.
func (t *Tree) All() iter.Seq[TreeEntry] {
	text := t.text()
	return func(yield func(TreeEntry) bool) {
		r := packedTree{text: text}
		var paths pathBuffer
		last := ""
		for r.at < len(text) {
			e, shared, suffix := r.entry()
			if r.bad || shared > len(last) {
				return
			}
			last = paths.join(last[:shared], suffix)
			if e.Path = last; !yield(e) {
				return
			}
		}
	}
}

// pathBuffer makes strings that share memory, so that there is no allocation for each.
type pathBuffer struct{ b strings.Builder }

// fewPaths and pathsAtOnce are how many bytes are allocated for paths at one time: little at first, since whoever keeps a
// path keeps all of them.
const (
	fewPaths    = 512
	pathsAtOnce = 16 << 10
)

func (p *pathBuffer) join(prefix, suffix string) string {
	switch {
	case prefix == "":
		return suffix
	case suffix == "":
		return prefix
	}
	if size := len(prefix) + len(suffix); p.b.Cap()-p.b.Len() < size {
		room := min(max(fewPaths, 2*p.b.Cap()), pathsAtOnce)
		p.b = strings.Builder{}
		p.b.Grow(max(room, size))
	}
	from := p.b.Len()
	p.b.WriteString(prefix)
	p.b.WriteString(suffix)
	return p.b.String()[from:]
}

// packedTree reads what Add wrote; anything else sets bad.
type packedTree struct {
	text string
	at   int
	bad  bool
}

// entry reads all of an entry but its path, of which it returns how many bytes it shares with the one before, and the
// rest.
func (r *packedTree) entry() (e TreeEntry, shared int, suffix string) {
	n := r.number()
	suffix = r.bytes()
	if n > maxTreeBytes || len(r.text)-r.at < 2 {
		r.bad = true
		return e, 0, ""
	}
	kind, known := kindOf(r.text[r.at+1])
	e.Type, e.Kind = FileType(r.text[r.at]), kind
	r.at += 2
	mode, size := r.number(), r.number()
	if !known || mode > 1<<32-1 || size > 1<<63-1 {
		r.bad = true
	}
	e.Mode, e.Size = uint32(mode&(1<<32-1)), int64(size&(1<<63-1)) //nolint:gosec // checked above
	e.Target, e.Body, e.Program = r.bytes(), r.bytes(), r.bytes()
	e.Like = r.number()
	return e, int(n), suffix //nolint:gosec // checked above
}

// number reads an unsigned varint, as encoding/binary has them.
func (r *packedTree) number() uint64 {
	if r.at < len(r.text) && r.text[r.at] < 0x80 {
		r.at++
		return uint64(r.text[r.at-1])
	}
	return r.long()
}

func (r *packedTree) long() uint64 {
	var n uint64
	rest := r.text[r.at:]
	for i := range min(len(rest), binary.MaxVarintLen64) {
		c := rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		if n |= uint64(c&0x7f) << (7 * i); c < 0x80 {
			r.at += i + 1
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *packedTree) bytes() string {
	n := r.number()
	if n > uint64(len(r.text)-r.at) { //nolint:gosec // it is never beyond the end
		r.bad = true
		return ""
	}
	from := r.at
	r.at += int(n) //nolint:gosec // checked above
	return r.text[from:r.at]
}

// MarshalJSON writes the tree as one compressed string: paths need not be text, and there are many.
func (t Tree) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, t.text()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return json.Marshal(b.Bytes())
}

// UnmarshalJSON reads what MarshalJSON wrote. The error wraps ErrMalformed or ErrLimit.
func (t *Tree) UnmarshalJSON(text []byte) error {
	compressed, err := unquoted(text)
	if err != nil {
		return fmt.Errorf("tree of a layer: %w: %w", ErrMalformed, err)
	}
	var packed strings.Builder
	packed.Grow(min(4*len(compressed), maxTreeBytes))
	n, err := io.Copy(&packed, io.LimitReader(flate.NewReader(bytes.NewReader(compressed)), maxTreeBytes+1))
	if err != nil {
		return fmt.Errorf("tree of a layer: %w: %w", ErrMalformed, err)
	}
	if n > maxTreeBytes {
		return fmt.Errorf("tree of a layer has more than %d bytes: %w", maxTreeBytes, ErrLimit)
	}
	read := Tree{packed: packed.String()}
	r := packedTree{text: read.packed}
	var last []byte
	for r.at < len(r.text) {
		_, shared, suffix := r.entry()
		if r.bad || shared > len(last) {
			return fmt.Errorf("tree of a layer: entry %d: %w", read.count+1, ErrMalformed)
		}
		last = append(last[:shared], suffix...)
		read.count++
	}
	read.last = string(last)
	*t = read
	return nil
}

// unquoted are the bytes that a JSON text stands for. What encoding/json writes for bytes needs no parser.
func unquoted(text []byte) (b []byte, err error) {
	if n := len(text); n > 2 && text[0] == '"' && text[n-1] == '"' {
		if b, err = base64.StdEncoding.AppendDecode(nil, text[1:n-1]); err == nil {
			return b, nil
		}
	}
	err = json.Unmarshal(text, &b)
	return b, err
}
