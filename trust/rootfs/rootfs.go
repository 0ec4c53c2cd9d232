// Package rootfs merges the layers of an image into the file system that a host would have: which file a path ends up as,
// from which layer, and which files a later layer hides. It reads the trees that inspections keep, no content.
//
// The semantics are those of the engines (containerd's and moby's appliers agree where they succeed): entries apply in
// order, a later one replaces an earlier one of the same path unless both are folders, whiteouts remove, opaque folders
// forget what lower layers had, folders above an entry are found by following symbolic links within the root.
package rootfs

import (
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Layer is one layer of an image.
type Layer struct {
	Digest digest.Digest
	Tree   trust.Tree
}

// Limits of one view: memory of about 400 bytes a node and of what entries hold in paths, targets and bodies; time for
// links that lead through links.
const (
	maxNodes = 1 << 19
	maxHeld  = 64 << 20
	maxHops  = 40 // as a kernel
	maxSteps = 1 << 25
	maxPath  = 4096
	maxDepth = 2048 // a kernel takes paths of 4096 bytes
)

// File is one file of a layer. A hard link is the same File at another path. It never changes: views of more layers share
// it.
type File struct {
	trust.TreeEntry
	// Layer has the content.
	Layer digest.Digest

	number int32 // in the views that have it
}

// node is a path of the file system while it is put together. Others name it by its number: 0 is the root.
type node struct {
	name string
	file *File // nil for a folder
	// parent is the folder that it was put into; the root's is itself.
	parent int32
	// first of a folder's nodes; next and before are of the same folder. Zero is none.
	first, next, before int32
	layer               int32 // that made it
	depth               int32
	hash                uint32 // of parent and name
	gone                bool   // replaced or removed
}

// made is what an entry of an archive made.
type made struct {
	path string // in the archive
	file *File
}

// contents is what came of a layer.
type contents struct {
	made []made
	// byPath is made when somebody asks: the last of made for a path as findings have it, and the one before.
	once    sync.Once
	byPath  map[string]int32
	earlier []int32
}

// View is a merged file system. It is made once and may then be read by any number of goroutines.
type View struct {
	nodes  []node
	table  table
	layers []*contents
	by     map[digest.Digest][]int
	// puts are where each file was put first, by its number, and others where hard links put it.
	puts   []int32
	others map[int32][]int32
	steps  int
	held   int
	files  []File // room for the next ones
	coming int    // entries that are still to be put
	cut    bool
	shared int     // bytes of files that another view has too
	deep   []int32 // nodes that are too deep, unless they go
	// lastDir is the folder that the last entry stood in, and lastAt where that led, as long as nothing was replaced.
	lastDir string
	lastAt  int32

	asked asked
}

// Merge puts layers together, the lowest first.
func Merge(layers []Layer) *View {
	empty := View{nodes: make([]node, 1), table: newTable()}
	return empty.With(layers)
}

// With is the view with more layers on top of those that it has, which does not change.
func (v *View) With(layers []Layer) *View {
	entries := 0
	for _, l := range layers {
		entries += l.Tree.Len()
	}
	c := v.clone(min(entries, maxNodes))
	c.coming = entries
	c = c.add(layers)
	c.files = nil // those that are there are held by their names
	return c
}

// clone is a copy with room for so many entries. What both share is never changed.
func (v *View) clone(room int) *View {
	c := &View{
		nodes: append(make([]node, 0, len(v.nodes)+room+room/8+2), v.nodes...), table: v.table,
		layers: slices.Clone(v.layers), by: clipped(v.by), puts: append(make([]int32, 0, len(v.puts)+room), v.puts...), others: clipped(v.others),
		steps: v.steps, held: v.held, cut: v.cut, deep: slices.Clone(v.deep), shared: v.held + len(v.puts)*fileBytes, lastAt: -1,
	}
	if 3*(c.table.used+room) > 2*len(c.table.slots) {
		c.table.grow(c.nodes, room)
	} else {
		c.table.slots = slices.Clone(c.table.slots)
	}
	return c
}

// clipped is a copy whose slices may be appended to: they share no room.
func clipped[K comparable, E any](m map[K][]E) map[K][]E {
	c := make(map[K][]E, len(m))
	for k, s := range m {
		c[k] = slices.Clip(s)
	}
	return c
}

func (v *View) add(layers []Layer) *View {
	for _, l := range layers {
		i := len(v.layers)
		v.by[l.Digest] = append(v.by[l.Digest], i)
		v.layers = append(v.layers, &contents{made: make([]made, 0, min(l.Tree.Len(), maxNodes))})
		for e := range l.Tree.All() {
			if v.cut {
				return v
			}
			v.apply(int32(i), l.Digest, &e) //nolint:gosec // far fewer than nodes
			v.coming--
		}
	}
	for _, n := range v.deep {
		v.cut = v.cut || v.live(n)
	}
	return v
}

// Cut is true when the layers have more files than can be merged, or links that no engine would follow: what is where is
// not known then.
func (v *View) Cut() bool { return v.cut }

// Bytes is about the memory that the view takes, and what it may take when it is asked everything, beside that of the view
// that it was made from.
func (v *View) Bytes() int {
	return viewBytes + v.held + len(v.nodes)*nodeBytes + len(v.puts)*fileBytes - v.shared
}

// What a view takes in any case, and a node with its edge and a file with its index entries, in bytes.
const (
	viewBytes = 1024
	nodeBytes = 128
	fileBytes = 240
)

// What a whiteout is called: the image specification, layer.md.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
	metadata = ".wh..wh." // of AUFS: not unpacked, but hard links may lead there
)

func (v *View) apply(layer int32, blob digest.Digest, e *trust.TreeEntry) {
	if e.Path == "." {
		return
	}
	dir, base := path.Split(e.Path)
	if dir != v.lastDir || v.lastAt < 0 {
		v.lastAt, v.lastDir = v.makeFolder(layer, dir), dir
	}
	parent := v.lastAt
	if parent < 0 {
		v.cut = true
		return
	}
	if strings.HasPrefix(base, whiteout) {
		switch {
		case base == opaque:
			v.forget(parent, layer)
			return
		case !strings.HasPrefix(base, metadata):
			if old := v.table.find(v.nodes, parent, base[len(whiteout):]); old != 0 {
				v.remove(old)
			}
			return
		}
	}
	file, ok := v.make(layer, blob, e)
	if !ok {
		return
	}
	if e.Type == trust.TypeDir {
		if old := v.table.find(v.nodes, parent, base); old != 0 && v.nodes[old].file == nil {
			v.nodes[old].layer = layer
			return
		}
	}
	v.hang(layer, parent, base, file)
}

// hang puts a file, or a folder if there is none, in the place of whatever stood there.
func (v *View) hang(layer, parent int32, name string, file *File) int32 {
	if len(v.nodes) > maxNodes {
		v.cut = true
	}
	if old := v.table.find(v.nodes, parent, name); old != 0 {
		v.remove(old)
	}
	id := int32(len(v.nodes)) //nolint:gosec // about maxNodes at most
	n := node{name: name, file: file, parent: parent, layer: layer, next: v.nodes[parent].first, depth: v.nodes[parent].depth + 1}
	if n.next != 0 {
		v.nodes[n.next].before = id
	}
	v.nodes[parent].first = id
	v.nodes = append(v.nodes, n)
	v.table.add(v.nodes)
	if n.depth > maxDepth {
		v.deep = append(v.deep, id)
	}
	if file != nil {
		if v.puts[file.number] == 0 {
			v.puts[file.number] = id
		} else {
			v.others[file.number] = append(v.others[file.number], id)
		}
	}
	return id
}

// remove takes a node, and so all below it, out of the file system.
func (v *View) remove(id int32) {
	n := &v.nodes[id]
	n.gone = true
	v.table.remove(v.nodes, id)
	if n.before != 0 {
		v.nodes[n.before].next = n.next
	} else {
		v.nodes[n.parent].first = n.next
	}
	if n.next != 0 {
		v.nodes[n.next].before = n.before
	}
	if n.file == nil || n.file.Type == trust.TypeSymlink { // no way to a folder leads over another
		v.lastAt = -1
	}
}

// live reports whether a node is a part of the file system in the end.
func (v *View) live(id int32) bool {
	for ; id != 0; id = v.nodes[id].parent {
		if n := &v.nodes[id]; n.gone || strings.HasPrefix(n.name, metadata) {
			return false
		}
	}
	return true
}

// make is the file that an entry stands for, nil for a folder. It is false for a hard link to nothing, which no engine
// unpacks.
func (v *View) make(layer int32, blob digest.Digest, e *trust.TreeEntry) (*File, bool) {
	if v.held += len(e.Path) + len(e.Target) + len(e.Body); v.held > maxHeld {
		v.cut = true
	}
	var f *File
	switch e.Type {
	case trust.TypeDir:
		return nil, true
	case trust.TypeHardlink:
		target := v.walk(strings.TrimPrefix(path.Clean("/"+e.Target), "/"), false, &v.steps, nil)
		if target < 0 || v.nodes[target].file == nil {
			return nil, false
		}
		f = v.nodes[target].file
	default:
		if len(v.files) == cap(v.files) {
			v.files = make([]File, 0, min(filesAtOnce, max(v.coming, 1)))
		}
		v.files = append(v.files, File{TreeEntry: *e, Layer: blob, number: int32(len(v.puts))}) //nolint:gosec // fewer than nodes
		f = &v.files[len(v.files)-1]
		v.puts = append(v.puts, 0)
	}
	l := v.layers[layer]
	l.made = append(l.made, made{e.Path, f})
	return f, true
}

// filesAtOnce is how many files are allocated at one time.
const filesAtOnce = 256

// forget removes from a folder what lower layers put there.
func (v *View) forget(id, layer int32) {
	for child := v.nodes[id].first; child != 0; {
		if v.steps++; v.steps > maxSteps {
			v.cut = true
			return
		}
		next := v.nodes[child].next
		switch n := &v.nodes[child]; {
		case n.layer < layer && !v.holds(child, layer):
			v.remove(child)
		case n.file == nil:
			v.forget(child, layer)
		}
		child = next
	}
}

// holds reports whether there is something of a layer below a node.
func (v *View) holds(id, layer int32) bool {
	if v.steps++; v.steps > maxSteps {
		v.cut = true
		return true
	}
	if v.nodes[id].layer >= layer {
		return true
	}
	for child := v.nodes[id].first; child != 0; child = v.nodes[child].next {
		if v.holds(child, layer) {
			return true
		}
	}
	return false
}

// makeFolder is the folder at a path, made where it is missing; negative where links go round.
func (v *View) makeFolder(layer int32, dir string) int32 {
	return v.walk(strings.Trim(dir, "/"), true, &v.steps, func(parent int32, name string) int32 {
		return v.hang(layer, parent, name, nil)
	})
}

// walk follows a path from the root. The last element is followed through links if follow is set. Where an element is
// missing, or a file stands in the way, missing makes a folder; without it the answer is negative.
func (v *View) walk(rest string, follow bool, steps *int, missing func(int32, string) int32) int32 {
	at, hops, depth := int32(0), 0, 0
	for rest != "" {
		if *steps++; *steps > maxSteps {
			if steps == &v.steps {
				v.cut = true
			}
			return -1
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = v.nodes[at].parent
			continue
		}
		next := v.table.find(v.nodes, at, name)
		if f := v.nodes[next].file; f != nil && f.Type == trust.TypeSymlink && (follow || strings.Trim(rest, "/") != "") {
			if hops++; hops > maxHops || len(rest)+len(f.Target) > 1<<16 {
				return -1
			}
			if path.IsAbs(f.Target) {
				at = 0
			}
			rest = f.Target + "/" + rest
			continue
		}
		if next == 0 || v.nodes[next].file != nil && (missing != nil || strings.Trim(rest, "/") != "") {
			if missing == nil {
				return -1
			}
			if depth++; depth > maxDepth {
				return -1
			}
			next = missing(at, name)
		}
		at = next
	}
	return at
}
