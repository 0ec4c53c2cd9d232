package rootfs

import (
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// asked is what a view is found to hold when somebody asks.
type asked struct {
	mu sync.Mutex
	// names and sorted are of folders that were asked for.
	names  map[int32][]string
	sorted map[int32][]int32
	// all are the nodes of files in the order of their paths, and byName sorted by their names.
	all, byName []int32
	// alike are names of programs, also hidden ones, by their likeness.
	alike map[uint64][]string
}

// Files are what an entry of a layer's archive made: the files of that path, the last one last. A path may stand in an
// archive, and a layer in an image, more than once.
func (v *View) Files(blob digest.Digest, archivePath string) []*File {
	key := trust.Sanitise(archivePath, maxPath)
	var files []*File
	for _, i := range v.by[blob] {
		files = append(files, v.layers[i].files(key)...)
	}
	return files
}

func (l *contents) files(key string) []*File {
	l.once.Do(func() {
		l.byPath, l.earlier = make(map[string]int32, len(l.made)), make([]int32, len(l.made))
		for i, m := range l.made {
			at := trust.Sanitise(m.path, maxPath)
			before, ok := l.byPath[at]
			if !ok {
				before = -1
			}
			l.earlier[i], l.byPath[at] = before, int32(i) //nolint:gosec // fewer than nodes
		}
	})
	last, ok := l.byPath[key]
	if !ok {
		return nil
	}
	var files []*File
	for ; last >= 0; last = l.earlier[last] {
		files = append(files, l.made[last].file)
	}
	slices.Reverse(files)
	return files
}

// Holds reports whether the image has the layer.
func (v *View) Holds(blob digest.Digest) bool { return len(v.by[blob]) > 0 }

// Lookup is the file at a path, links followed; nil if there is none.
func (v *View) Lookup(p string) *File {
	if n := v.at(p); n >= 0 {
		return v.nodes[n].file
	}
	return nil
}

// IsFolder reports whether a folder stands at a path, links followed.
func (v *View) IsFolder(p string) bool {
	n := v.at(p)
	return n >= 0 && v.nodes[n].file == nil
}

// at does not change v: it counts steps of its own, which hops and length bound.
func (v *View) at(p string) int32 {
	steps := 0
	return v.walk(strings.TrimPrefix(path.Clean("/"+p), "/"), true, &steps, nil)
}

// Names are what a folder holds, sorted. They must not be changed.
func (v *View) Names(p string) []string {
	n := v.at(p)
	if n < 0 || v.nodes[n].file != nil {
		return nil
	}
	v.asked.mu.Lock()
	defer v.asked.mu.Unlock()
	if names, ok := v.asked.names[n]; ok {
		return names
	}
	var names []string
	for _, child := range v.children(n) {
		names = append(names, v.nodes[child].name)
	}
	if v.asked.names == nil {
		v.asked.names = map[int32][]string{}
	}
	v.asked.names[n] = names
	return names
}

// children are the nodes of a folder, sorted by their names. The caller holds asked.mu.
func (v *View) children(folder int32) []int32 {
	if sorted, ok := v.asked.sorted[folder]; ok || v.cut || !v.live(folder) {
		return sorted
	}
	var sorted []int32
	for child := v.nodes[folder].first; child != 0; child = v.nodes[child].next {
		if !strings.HasPrefix(v.nodes[child].name, metadata) {
			sorted = append(sorted, child)
		}
	}
	slices.SortFunc(sorted, func(a, b int32) int { return strings.Compare(v.nodes[a].name, v.nodes[b].name) })
	if v.asked.sorted == nil {
		v.asked.sorted = map[int32][]int32{}
	}
	v.asked.sorted[folder] = sorted
	return sorted
}

// Below are the paths of all files in a folder and the folders in it, in order, at most limit of them. Links are
// followed for the folder itself only.
func (v *View) Below(p string, limit int) []string {
	n := v.at(p)
	if n < 0 {
		return nil
	}
	v.asked.mu.Lock()
	defer v.asked.mu.Unlock()
	var out []string
	var descend func(int32, string)
	descend = func(folder int32, at string) {
		for _, child := range v.children(folder) {
			if len(out) >= limit {
				return
			}
			if n := &v.nodes[child]; n.file == nil {
				descend(child, at+"/"+n.name)
			} else {
				out = append(out, strings.TrimPrefix(at+"/"+n.name, "/"))
			}
		}
	}
	descend(n, strings.Trim(path.Clean("/"+p), "/"))
	return out
}

// inOrder are the nodes of all files. The caller holds asked.mu.
func (v *View) inOrder() []int32 {
	if v.asked.all == nil {
		var descend func(int32)
		descend = func(folder int32) {
			for _, child := range v.children(folder) {
				if v.nodes[child].file == nil {
					descend(child)
				} else {
					v.asked.all = append(v.asked.all, child)
				}
			}
		}
		descend(0)
	}
	return v.asked.all
}

// Named are paths of files with this last element, at most limit of them; all is false if there are more.
func (v *View) Named(base string, limit int) (paths []string, all bool) {
	v.asked.mu.Lock()
	defer v.asked.mu.Unlock()
	if v.asked.byName == nil {
		v.asked.byName = slices.Clone(v.inOrder())
		slices.SortStableFunc(v.asked.byName, func(a, b int32) int { return strings.Compare(v.nodes[a].name, v.nodes[b].name) })
	}
	byName := v.asked.byName
	at, _ := slices.BinarySearchFunc(byName, base, func(n int32, name string) int { return strings.Compare(v.nodes[n].name, name) })
	for ; at < len(byName) && v.nodes[byName[at]].name == base; at++ {
		if len(paths) == limit {
			return paths, false
		}
		paths = append(paths, v.path(byName[at]))
	}
	return paths, true
}

// maxAlike bounds the names under which one program is known.
const maxAlike = 64

// Alike are the names of programs that are the same as far as trees tell, this one's among them, in whatever layer and
// whether hidden or not.
func (v *View) Alike(f *File) []string {
	if f.Like == 0 {
		return nil
	}
	v.asked.mu.Lock()
	defer v.asked.mu.Unlock()
	if v.asked.alike == nil {
		v.asked.alike = map[uint64][]string{}
		for _, l := range v.layers {
			for _, m := range l.made {
				if m.file.Like != 0 {
					v.like(m)
				}
			}
		}
	}
	return v.asked.alike[f.Like]
}

func (v *View) like(m made) {
	known := v.asked.alike[m.file.Like]
	if name := path.Base(m.path); len(known) < maxAlike && !slices.Contains(known, name) {
		v.asked.alike[m.file.Like] = append(known, name)
	}
}

// maxPlaces bounds how many paths of one file are named: it may have any number of hard links.
const maxPlaces = 64

// Hidden reports whether a later entry or layer replaced or removed the file.
func (v *View) Hidden(f *File) bool { return len(v.places(f, 1)) == 0 }

// Places are paths at which the view has the file, without a leading slash; none if it is hidden.
func (v *View) Places(f *File) []string {
	var places []string
	for _, n := range v.places(f, maxPlaces) {
		places = append(places, v.path(n))
	}
	slices.Sort(places)
	return places
}

// places are nodes where the file ends up, at most limit of them: the first ones in order.
func (v *View) places(f *File, limit int) []int32 {
	if v.cut || int(f.number) >= len(v.puts) {
		return nil
	}
	var live []int32
	others := v.others[f.number]
	for i := -1; i < len(others); i++ {
		n := v.puts[f.number]
		if i >= 0 {
			n = others[i]
		}
		if v.live(n) {
			if live = append(live, n); limit == 1 {
				return live
			}
		}
	}
	if len(live) <= limit {
		return live
	}
	v.asked.mu.Lock()
	defer v.asked.mu.Unlock()
	live = live[:0]
	for _, n := range v.inOrder() {
		if v.nodes[n].file == f && len(live) < limit {
			live = append(live, n)
		}
	}
	return live
}

func (v *View) path(n int32) string {
	var names []string
	for ; n != 0; n = v.nodes[n].parent {
		names = append(names, v.nodes[n].name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
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
