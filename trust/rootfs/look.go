package rootfs

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Files are what an entry of a layer's archive made: the files of that path, the last one last. A path may stand in an
// archive, and a layer in an image, more than once.
func (v *View) Files(blob digest.Digest, archivePath string) []*File {
	var files []*File
	for _, i := range v.by[blob] {
		files = append(files, v.files[i][trust.Sanitise(archivePath, maxPath)]...)
	}
	return files
}

// Holds reports whether the image has the layer.
func (v *View) Holds(blob digest.Digest) bool { return len(v.by[blob]) > 0 }

// Lookup is the file at a path, links followed; nil if there is none.
func (v *View) Lookup(p string) *File {
	if n := v.at(p); n != nil {
		return n.file
	}
	return nil
}

// IsFolder reports whether a folder stands at a path, links followed.
func (v *View) IsFolder(p string) bool {
	n := v.at(p)
	return n != nil && n.children != nil
}

// Names are what a folder holds, sorted. They must not be changed.
func (v *View) Names(p string) []string {
	n := v.at(p)
	if n == nil {
		return nil
	}
	return n.names
}

// at does not change v: it counts no steps, since hops and length bound it.
func (v *View) at(p string) *node {
	look := View{root: v.root}
	return look.walk(v.root, strings.TrimPrefix(path.Clean("/"+p), "/"), true, nil)
}

// Below are the paths of all files in a folder and the folders in it, in order, at most limit of them. Links are
// followed for the folder itself only.
func (v *View) Below(p string, limit int) []string {
	n := v.at(p)
	if n == nil {
		return nil
	}
	var out []string
	var descend func(*node, string, int)
	descend = func(n *node, at string, depth int) {
		for _, name := range n.names {
			if len(out) >= limit || depth > maxDepth {
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

// Links are all symbolic and hard links of a layer's tree, path to target, both clean, from the root and without a leading
// slash, whatever hides them.
func Links(t trust.Tree) map[string]string {
	links := map[string]string{}
	for e := range t.All() {
		target := e.Target
		switch e.Type {
		case trust.TypeHardlink:
		case trust.TypeSymlink:
			if !path.IsAbs(target) {
				target = path.Dir("/"+e.Path) + "/" + target
			}
		default:
			continue
		}
		if target = strings.TrimPrefix(path.Clean("/"+target), "/"); target == "" {
			target = "."
		}
		links[e.Path] = target
	}
	return links
}

// Alike are the names of programs that are the same as far as trees tell, this one's among them, in whatever layer and
// whether hidden or not.
func (v *View) Alike(f *File) []string {
	if f.Like == 0 {
		return nil
	}
	return v.alike[f.Like]
}

// Named are paths of files with this last element, at most limit of them; all is false if there are more.
func (v *View) Named(base string, limit int) (paths []string, all bool) {
	at, _ := slices.BinarySearchFunc(v.byName, base, func(n *node, name string) int { return strings.Compare(n.name, name) })
	for ; at < len(v.byName) && v.byName[at].name == base; at++ {
		if len(paths) == limit {
			return paths, false
		}
		paths = append(paths, v.byName[at].path())
	}
	return paths, true
}
