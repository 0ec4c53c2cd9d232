package rootfs_test

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// What follows merges in the plainest way: a node for every path, a map for every folder. rootfs.Merge must come to the
// same.

// Limits of one view: memory of about 200 bytes a plainNode and of what entries hold in paths, targets and bodies; time for
// links that lead through links.
const (
	plainNodes = 1 << 19
	plainHeld  = 64 << 20
	plainHops  = 40 // as a kernel
	plainSteps = 1 << 25
	plainPath  = 4096
	plainDepth = 2048 // a kernel takes paths of 4096 bytes
)

// plainAlike bounds the names under which one program is known.
const plainAlike = 64

// plainFile is one file of a layer. A hard link is the same plainFile at another path.
type plainFile struct {
	trust.TreeEntry
	// Layer has the content.
	Layer digest.Digest

	at []*plainNode
}

// plainNode is a path of the file system while it is put together.
type plainNode struct {
	parent   *plainNode // the root's is itself
	name     string
	file     *plainFile
	children map[string]*plainNode // nil unless it is a folder
	names    []string              // of children, sorted, once all layers are merged
	layer    int                   // that made it
}

// plainView is a merged file system. It is made once and may then be read by any number of goroutines.
type plainView struct {
	root  *plainNode
	files []map[string][]*plainFile // for each layer, by the path in its archive
	by    map[digest.Digest][]int
	// byName are all files, sorted by their names.
	byName []*plainNode
	// alike are names of programs, also hidden ones, by their likeness.
	alike map[uint64][]string
	nodes int
	held  int
	steps int
	cut   bool
}

// plainMerge puts layers together, the lowest first.
func plainMerge(layers []rootfs.Layer) *plainView {
	v := &plainView{root: &plainNode{children: map[string]*plainNode{}}, by: map[digest.Digest][]int{}, alike: map[uint64][]string{}}
	v.root.parent = v.root
	for i, l := range layers {
		v.by[l.Digest] = append(v.by[l.Digest], i)
		v.files = append(v.files, map[string][]*plainFile{})
		for e := range l.Tree.All() {
			if v.cut {
				return v
			}
			v.apply(i, l.Digest, e)
		}
	}
	v.place(v.root, 0)
	slices.SortStableFunc(v.byName, func(a, b *plainNode) int { return strings.Compare(a.name, b.name) })
	return v
}

// Cut is true when the layers have more files than can be merged, or links that no engine would follow: what is where is
// not known then.
func (v *plainView) Cut() bool { return v.cut }

// What a whiteout is called: the image specification, layer.md.
const (
	plainWhiteout = ".wh."
	plainOpaque   = ".wh..wh..opq"
	plainMetadata = ".wh..wh." // of AUFS: not unpacked, but hard links may lead there
)

func (v *plainView) apply(layer int, blob digest.Digest, e trust.TreeEntry) {
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
	case base == plainOpaque:
		v.forget(parent, layer)
		return
	case strings.HasPrefix(base, plainMetadata):
	case strings.HasPrefix(base, plainWhiteout):
		delete(parent.children, strings.TrimPrefix(base, plainWhiteout))
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

// hang puts a plainNode in the place of whatever stood there.
func (v *plainView) hang(parent *plainNode, name string, n *plainNode) {
	if v.nodes++; v.nodes > plainNodes {
		v.cut = true
	}
	n.parent, n.name = parent, name
	parent.children[name] = n
}

// make is the plainNode for an entry; nil for a hard link to nothing, which no engine unpacks.
func (v *plainView) make(layer int, blob digest.Digest, e trust.TreeEntry) *plainNode {
	if v.held += len(e.Path) + len(e.Target) + len(e.Body); v.held > plainHeld {
		v.cut = true
	}
	switch e.Type {
	case trust.TypeDir:
		return &plainNode{children: map[string]*plainNode{}, layer: layer}
	case trust.TypeHardlink:
		target := v.walk(v.root, strings.TrimPrefix(path.Clean("/"+e.Target), "/"), false, nil)
		if target == nil || target.file == nil {
			return nil
		}
		v.note(layer, e.Path, target.file)
		return &plainNode{file: target.file, layer: layer}
	}
	f := &plainFile{TreeEntry: e, Layer: blob}
	v.note(layer, e.Path, f)
	return &plainNode{file: f, layer: layer}
}

// note keeps what an entry made, by the path as findings have it.
func (v *plainView) note(layer int, archivePath string, f *plainFile) {
	key := trust.Sanitise(archivePath, plainPath)
	v.files[layer][key] = append(v.files[layer][key], f)
	if name := path.Base(archivePath); f.Like != 0 && len(v.alike[f.Like]) < plainAlike && !slices.Contains(v.alike[f.Like], name) {
		v.alike[f.Like] = append(v.alike[f.Like], name)
	}
}

// forget removes from a folder what lower layers put there.
func (v *plainView) forget(n *plainNode, layer int) {
	for name, child := range n.children {
		if v.steps++; v.steps > plainSteps {
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

// holds reports whether there is something of a layer below a plainNode.
func (v *plainView) holds(n *plainNode, layer int) bool {
	if v.steps++; v.steps > plainSteps {
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
func (v *plainView) makeFolder(layer int, dir string) *plainNode {
	return v.walk(v.root, strings.Trim(dir, "/"), true, func(parent *plainNode, name string) *plainNode {
		made := &plainNode{children: map[string]*plainNode{}, layer: layer}
		v.hang(parent, name, made)
		return made
	})
}

// walk follows a path from a root. The last element is followed through links if follow is set. Where an element is
// missing, or a file stands in the way, missing makes a folder; without it the answer is nil.
func (v *plainView) walk(root *plainNode, rest string, follow bool, missing func(*plainNode, string) *plainNode) *plainNode {
	at, hops, depth := root, 0, 0
	for rest != "" {
		if v.steps++; v.steps > plainSteps {
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
			if hops++; hops > plainHops || len(rest)+len(target) > 1<<16 {
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
			if depth++; depth > plainDepth {
				return nil
			}
			next = missing(at, name)
		}
		at = next
	}
	return at
}

// place tells every file where it ends up.
func (v *plainView) place(n *plainNode, depth int) {
	if depth > plainDepth {
		v.cut = true
		return
	}
	n.names = slices.DeleteFunc(slices.Sorted(maps.Keys(n.children)), func(name string) bool { return strings.HasPrefix(name, plainMetadata) })
	for _, name := range n.names {
		child := n.children[name]
		if child.file != nil {
			child.file.at = append(child.file.at, child)
			v.byName = append(v.byName, child)
		}
		v.place(child, depth+1)
	}
}

// plainPlaces bounds how many paths of one file are named: it may have any number of hard links.
const plainPlaces = 64

// Hidden reports whether a later entry or layer replaced or removed the file.
func (f *plainFile) Hidden() bool { return len(f.at) == 0 }

// Places are paths at which the merged file system has the file, without a leading slash; none if it is hidden.
func (f *plainFile) Places() []string {
	var places []string
	for _, n := range f.at[:min(len(f.at), plainPlaces)] {
		places = append(places, n.path())
	}
	slices.Sort(places)
	return places
}

func (n *plainNode) path() string {
	var names []string
	for ; n.parent != n; n = n.parent {
		names = append(names, n.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Files are what an entry of a layer's archive made: the files of that path, the last one last. A path may stand in an
// archive, and a layer in an image, more than once.
func (v *plainView) Files(blob digest.Digest, archivePath string) []*plainFile {
	var files []*plainFile
	for _, i := range v.by[blob] {
		files = append(files, v.files[i][trust.Sanitise(archivePath, plainPath)]...)
	}
	return files
}

// Holds reports whether the image has the layer.
func (v *plainView) Holds(blob digest.Digest) bool { return len(v.by[blob]) > 0 }

// Lookup is the file at a path, links followed; nil if there is none.
func (v *plainView) Lookup(p string) *plainFile {
	if n := v.at(p); n != nil {
		return n.file
	}
	return nil
}

// IsFolder reports whether a folder stands at a path, links followed.
func (v *plainView) IsFolder(p string) bool {
	n := v.at(p)
	return n != nil && n.children != nil
}

// Names are what a folder holds, sorted. They must not be changed.
func (v *plainView) Names(p string) []string {
	n := v.at(p)
	if n == nil {
		return nil
	}
	return n.names
}

// at does not change v: it counts no steps, since hops and length bound it.
func (v *plainView) at(p string) *plainNode {
	look := plainView{root: v.root}
	return look.walk(v.root, strings.TrimPrefix(path.Clean("/"+p), "/"), true, nil)
}

// Below are the paths of all files in a folder and the folders in it, in order, at most limit of them. Links are
// followed for the folder itself only.
func (v *plainView) Below(p string, limit int) []string {
	n := v.at(p)
	if n == nil {
		return nil
	}
	var out []string
	var descend func(*plainNode, string, int)
	descend = func(n *plainNode, at string, depth int) {
		for _, name := range n.names {
			if len(out) >= limit || depth > plainDepth {
				return
			}
			if child := n.children[name]; child.children != nil {
				descend(child, at+"/"+name, depth+1)
			} else {
				out = append(out, strings.TrimPrefix(at+"/"+name, "/"))
			}
		}
	}
	descend(n, strings.Trim(path.Clean("/"+p), "/"), 0)
	return out
}

// Alike are the names of programs that are the same as far as trees tell, this one's among them, in whatever layer and
// whether hidden or not.
func (v *plainView) Alike(f *plainFile) []string {
	if f.Like == 0 {
		return nil
	}
	return v.alike[f.Like]
}

// Named are paths of files with this last element, at most limit of them; all is false if there are more.
func (v *plainView) Named(base string, limit int) (paths []string, all bool) {
	at, _ := slices.BinarySearchFunc(v.byName, base, func(n *plainNode, name string) int { return strings.Compare(n.name, name) })
	for ; at < len(v.byName) && v.byName[at].name == base; at++ {
		if len(paths) == limit {
			return paths, false
		}
		paths = append(paths, v.byName[at].path())
	}
	return paths, true
}
