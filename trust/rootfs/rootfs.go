// Package rootfs merges the layers of an image into the file system that a host would have: which file a path ends up as,
// from which layer, and which files a later layer hides. It reads the trees that inspections keep, no content.
//
// The semantics are those of the engines (containerd's and moby's appliers agree where they succeed): entries apply in
// order, a later one replaces an earlier one of the same path unless both are folders, whiteouts remove, opaque folders
// forget what lower layers had, folders above an entry are found by following symbolic links within the root.
package rootfs

import (
	"path"
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

// File is one file of a layer. A hard link is the same File at another path.
type File struct {
	trust.TreeEntry
	// Layer has the content.
	Layer digest.Digest

	view *View
	// node is where the file was put first, links where it was put later.
	node  int32
	links []int32
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
	gone                bool // replaced or removed
}

// edge leads from a folder to what it holds.
type edge struct {
	parent int32
	name   string
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
	edges  map[edge]int32
	layers []*contents
	by     map[digest.Digest][]int
	steps  int
	held   int
	files  []File // room for the next ones
	count  int    // of files
	cut    bool
	deep   []int32 // nodes that are too deep, unless they go
	// lastDir is the folder that the last entry stood in, and lastAt where that led, as long as nothing was replaced.
	lastDir string
	lastAt  int32

	asked asked
}

// Merge puts layers together, the lowest first.
func Merge(layers []Layer) *View {
	entries := 0
	for _, l := range layers {
		entries += l.Tree.Len()
	}
	entries = min(entries, maxNodes)
	v := &View{
		nodes: make([]node, 1, entries+entries/8+2), edges: make(map[edge]int32, entries), by: map[digest.Digest][]int{}, lastAt: -1,
	}
	for i, l := range layers {
		v.by[l.Digest] = append(v.by[l.Digest], i)
		v.layers = append(v.layers, &contents{made: make([]made, 0, min(l.Tree.Len(), maxNodes))})
		for e := range l.Tree.All() {
			if v.cut {
				return v
			}
			v.apply(int32(i), l.Digest, &e) //nolint:gosec // far fewer than nodes
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

// Bytes is about the memory that the view takes, and what it may take when it is asked everything.
func (v *View) Bytes() int { return v.held + len(v.nodes)*nodeBytes + v.count*fileBytes }

// What a node with its edge and a file with its index entries take, in bytes.
const (
	nodeBytes = 160
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
			if old, ok := v.edges[edge{parent, base[len(whiteout):]}]; ok {
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
		if old, ok := v.edges[edge{parent, base}]; ok && v.nodes[old].file == nil {
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
	at := edge{parent, name}
	if old, ok := v.edges[at]; ok {
		v.remove(old)
	}
	id := int32(len(v.nodes)) //nolint:gosec // about maxNodes at most
	n := node{name: name, file: file, parent: parent, layer: layer, next: v.nodes[parent].first, depth: v.nodes[parent].depth + 1}
	if n.next != 0 {
		v.nodes[n.next].before = id
	}
	v.nodes[parent].first = id
	v.nodes = append(v.nodes, n)
	v.edges[at] = id
	if n.depth > maxDepth {
		v.deep = append(v.deep, id)
	}
	if file != nil {
		if file.node == 0 {
			file.node = id
		} else {
			file.links = append(file.links, id)
		}
	}
	return id
}

// remove takes a node, and so all below it, out of the file system.
func (v *View) remove(id int32) {
	n := &v.nodes[id]
	n.gone = true
	delete(v.edges, edge{n.parent, n.name})
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
			v.files = make([]File, 0, filesAtOnce)
		}
		v.files = append(v.files, File{TreeEntry: *e, Layer: blob, view: v})
		f = &v.files[len(v.files)-1]
		v.count++
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
			v.cut = v.cut || steps == &v.steps
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
		next, ok := v.edges[edge{at, name}]
		if f := v.nodes[next].file; ok && f != nil && f.Type == trust.TypeSymlink && (follow || strings.Trim(rest, "/") != "") {
			if hops++; hops > maxHops || len(rest)+len(f.Target) > 1<<16 {
				return -1
			}
			if path.IsAbs(f.Target) {
				at = 0
			}
			rest = f.Target + "/" + rest
			continue
		}
		if !ok || v.nodes[next].file != nil && (missing != nil || strings.Trim(rest, "/") != "") {
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
