// Package rootfs merges the layers of an image into the file system that a host would have: which file a path ends up as,
// from which layer, and which files a later layer hides. It reads the trees that inspections keep, no content.
//
// The semantics are those of the engines (containerd's and moby's appliers agree where they succeed): entries apply in
// order, a later one replaces an earlier one of the same path unless both are folders, whiteouts remove, opaque folders
// forget what lower layers had, folders above an entry are found by following symbolic links within the root.
package rootfs

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Layer is one layer of an image.
type Layer struct {
	Digest digest.Digest
	Tree   trust.Tree
}

// Limits of one view: memory of about 200 bytes a node and of what entries hold in paths, targets and bodies; time for
// links that lead through links.
const (
	maxNodes = 1 << 19
	maxHeld  = 64 << 20
	maxHops  = 40 // as a kernel
	maxSteps = 1 << 25
	maxPath  = 4096
	maxDepth = 2048 // a kernel takes paths of 4096 bytes
)

// maxAlike bounds the names under which one program is known.
const maxAlike = 64

// File is one file of a layer. A hard link is the same File at another path.
type File struct {
	trust.TreeEntry
	// Layer has the content.
	Layer digest.Digest

	at []*node
}

// node is a path of the file system while it is put together.
type node struct {
	parent   *node // the root's is itself
	name     string
	file     *File
	children map[string]*node // nil unless it is a folder
	names    []string         // of children, sorted, once all layers are merged
	layer    int              // that made it
}

// View is a merged file system. It is made once and may then be read by any number of goroutines.
type View struct {
	root  *node
	files []map[string][]*File // for each layer, by the path in its archive
	by    map[digest.Digest][]int
	// byName are all files, sorted by their names.
	byName []*node
	// alike are names of programs, also hidden ones, by their likeness.
	alike map[uint64][]string
	nodes int
	held  int
	steps int
	cut   bool
}

// Merge puts layers together, the lowest first.
func Merge(layers []Layer) *View {
	v := &View{root: &node{children: map[string]*node{}}, by: map[digest.Digest][]int{}, alike: map[uint64][]string{}}
	v.root.parent = v.root
	for i, l := range layers {
		v.by[l.Digest] = append(v.by[l.Digest], i)
		v.files = append(v.files, map[string][]*File{})
		for e := range l.Tree.All() {
			if v.cut {
				return v
			}
			v.apply(i, l.Digest, e)
		}
	}
	v.place(v.root, 0)
	slices.SortStableFunc(v.byName, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	return v
}

// Cut is true when the layers have more files than can be merged, or links that no engine would follow: what is where is
// not known then.
func (v *View) Cut() bool { return v.cut }

// What a whiteout is called: the image specification, layer.md.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
	metadata = ".wh..wh." // of AUFS: not unpacked, but hard links may lead there
)

func (v *View) apply(layer int, blob digest.Digest, e trust.TreeEntry) {
	if e.Path == "." {
		return
	}
	dir, base := path.Split(e.Path)
	parent := v.makeFolder(layer, dir)
	if parent == nil {
		v.cut = true
		return
	}
	switch {
	case base == opaque:
		v.forget(parent, layer)
		return
	case strings.HasPrefix(base, metadata):
	case strings.HasPrefix(base, whiteout):
		delete(parent.children, strings.TrimPrefix(base, whiteout))
		return
	}
	made := v.make(layer, blob, e)
	if made == nil {
		return
	}
	if old := parent.children[base]; e.Type == trust.TypeDir && old != nil && old.children != nil {
		old.layer = layer
		return
	}
	v.hang(parent, base, made)
}

// hang puts a node in the place of whatever stood there.
func (v *View) hang(parent *node, name string, n *node) {
	if v.nodes++; v.nodes > maxNodes {
		v.cut = true
	}
	n.parent, n.name = parent, name
	parent.children[name] = n
}

// make is the node for an entry; nil for a hard link to nothing, which no engine unpacks.
func (v *View) make(layer int, blob digest.Digest, e trust.TreeEntry) *node {
	if v.held += len(e.Path) + len(e.Target) + len(e.Body); v.held > maxHeld {
		v.cut = true
	}
	switch e.Type {
	case trust.TypeDir:
		return &node{children: map[string]*node{}, layer: layer}
	case trust.TypeHardlink:
		target := v.walk(v.root, strings.TrimPrefix(path.Clean("/"+e.Target), "/"), false, nil)
		if target == nil || target.file == nil {
			return nil
		}
		v.note(layer, e.Path, target.file)
		return &node{file: target.file, layer: layer}
	}
	f := &File{TreeEntry: e, Layer: blob}
	v.note(layer, e.Path, f)
	return &node{file: f, layer: layer}
}

// note keeps what an entry made, by the path as findings have it.
func (v *View) note(layer int, archivePath string, f *File) {
	key := trust.Sanitise(archivePath, maxPath)
	v.files[layer][key] = append(v.files[layer][key], f)
	if name := path.Base(archivePath); f.Like != 0 && len(v.alike[f.Like]) < maxAlike && !slices.Contains(v.alike[f.Like], name) {
		v.alike[f.Like] = append(v.alike[f.Like], name)
	}
}

// forget removes from a folder what lower layers put there.
func (v *View) forget(n *node, layer int) {
	for name, child := range n.children {
		if v.steps++; v.steps > maxSteps {
			v.cut = true
			return
		}
		switch {
		case child.layer < layer && !v.holds(child, layer):
			delete(n.children, name)
		case child.children != nil:
			v.forget(child, layer)
		}
	}
}

// holds reports whether there is something of a layer below a node.
func (v *View) holds(n *node, layer int) bool {
	if v.steps++; v.steps > maxSteps {
		v.cut = true
		return true
	}
	if n.layer >= layer {
		return true
	}
	for _, child := range n.children {
		if v.holds(child, layer) {
			return true
		}
	}
	return false
}

// makeFolder is the folder at a path, made where it is missing; nil where links go round.
func (v *View) makeFolder(layer int, dir string) *node {
	return v.walk(v.root, strings.Trim(dir, "/"), true, func(parent *node, name string) *node {
		made := &node{children: map[string]*node{}, layer: layer}
		v.hang(parent, name, made)
		return made
	})
}

// walk follows a path from a root. The last element is followed through links if follow is set. Where an element is
// missing, or a file stands in the way, missing makes a folder; without it the answer is nil.
func (v *View) walk(root *node, rest string, follow bool, missing func(*node, string) *node) *node {
	at, hops, depth := root, 0, 0
	for rest != "" {
		if v.steps++; v.steps > maxSteps {
			v.cut = true
			return nil
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = at.parent
			continue
		}
		next := at.children[name]
		if next != nil && next.file != nil && next.file.Type == trust.TypeSymlink && (follow || strings.Trim(rest, "/") != "") {
			target := next.file.Target
			if hops++; hops > maxHops || len(rest)+len(target) > 1<<16 {
				return nil
			}
			if path.IsAbs(target) {
				at = root
			}
			rest = target + "/" + rest
			continue
		}
		if next == nil || next.children == nil && (missing != nil || strings.Trim(rest, "/") != "") {
			if missing == nil {
				return nil
			}
			if depth++; depth > maxDepth {
				return nil
			}
			next = missing(at, name)
		}
		at = next
	}
	return at
}

// place tells every file where it ends up.
func (v *View) place(n *node, depth int) {
	if depth > maxDepth {
		v.cut = true
		return
	}
	n.names = slices.DeleteFunc(slices.Sorted(maps.Keys(n.children)), func(name string) bool { return strings.HasPrefix(name, metadata) })
	for _, name := range n.names {
		child := n.children[name]
		if child.file != nil {
			child.file.at = append(child.file.at, child)
			v.byName = append(v.byName, child)
		}
		v.place(child, depth+1)
	}
}

// maxPlaces bounds how many paths of one file are named: it may have any number of hard links.
const maxPlaces = 64

// Hidden reports whether a later entry or layer replaced or removed the file.
func (f *File) Hidden() bool { return len(f.at) == 0 }

// Places are paths at which the merged file system has the file, without a leading slash; none if it is hidden.
func (f *File) Places() []string {
	var places []string
	for _, n := range f.at[:min(len(f.at), maxPlaces)] {
		places = append(places, n.path())
	}
	slices.Sort(places)
	return places
}

func (n *node) path() string {
	var names []string
	for ; n.parent != n; n = n.parent {
		names = append(names, n.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}
