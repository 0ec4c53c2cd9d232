package closure

import (
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// maxNamed bounds the paths that one open-ended word may mean.
const maxNamed = 256

// openEnded finds files by the parts of a path that are known: what is behind the last folder that is not.
func (x *explorer) openEnded(word string, w want) []found {
	if word[0] != 0 && strings.Contains(word, "/") {
		if dir := word[:strings.IndexByte(word, 0)]; strings.Contains(dir, "/") {
			var out []found
			for _, full := range absolute(strings.TrimRight(dir[:strings.LastIndexByte(dir, '/')+1], "/")+"/"+strings.ReplaceAll(word[strings.LastIndexByte(dir, '/')+1:], "\x00", "*"), w.dirs) {
				out = append(out, x.globbed(full)...)
				out = append(out, x.deeper(full)...)
			}
			return out
		}
	}
	tail := word[strings.LastIndexByte(word, 0)+1:]
	if i := strings.IndexByte(tail, '/'); i < 0 || len(tail) < 3 {
		return nil
	}
	tail = strings.Trim(tail, "/")
	var out []found
	for _, p := range x.byBase(path.Base(tail)) {
		if p == tail || strings.HasSuffix(p, "/"+tail) {
			if f := x.view.Lookup(p); f != nil && f.Type == trust.TypeFile {
				out = append(out, found{f, "/" + p})
			}
		}
	}
	return out
}

// byBase are paths of the view that end in a name.
func (x *explorer) byBase(base string) []string {
	if known, ok := x.named[base]; ok {
		return known
	}
	paths, all := x.view.Named(base, maxNamed)
	if !all {
		x.giveUp("a script names files in a way that fits too many")
	}
	x.spend(1 + len(paths))
	x.named[base] = paths
	return paths
}

// sharedFolders are those that many packages share beside systemFolders.
var sharedFolders = wordSet("/usr /usr/local /usr/local/lib /usr/local/share /usr/local/etc /var /var/lib /var/cache /home /proc /sys /dev /run /tmp")

// deeper are programs and data that a path may mean of which a part is not known, a "*" here, when that part goes on over
// folders. Where a folder that is no shared one holds too many, all its code counts as running.
func (x *explorer) deeper(full string) []found {
	paths, known := x.named["deep "+full]
	if !known {
		paths = x.below(full)
		x.named["deep "+full] = paths
	}
	var out []found
	for _, p := range paths {
		if f := x.view.Lookup(p); f != nil && f.Type == trust.TypeFile && (isCode(f) || f.Kind == trust.KindData) {
			out = append(out, found{f, "/" + p})
		}
	}
	return out
}

// below are the paths that an open-ended path fits.
func (x *explorer) below(full string) []string {
	star := strings.IndexByte(full, '*')
	if star < 0 || !x.spend(1) {
		return nil
	}
	dir := path.Clean("/" + full[:strings.LastIndexByte(full[:star], '/')+1])
	shared := systemFolders[dir] || sharedFolders[dir]
	var all []string
	whole := false
	if base := path.Base(full); !strings.Contains(base, "*") {
		all, whole = x.view.Named(base, maxNamed)
	} else if !shared {
		all = x.view.Below(dir, maxVisits)
		whole = len(all) < maxVisits
	}
	x.spend(len(all))
	parts := strings.Split(strings.TrimPrefix(full, "/"), "*")
	var out []string
	for _, p := range all {
		if fits(p, parts) {
			out = append(out, p)
		}
	}
	if (!whole || len(out) > maxNamed) && !shared {
		x.pack(dir)
	}
	return out[:min(len(out), maxNamed)]
}

// fits reports whether a text has these parts in their order, the first where it begins and the last where it ends.
func fits(text string, parts []string) bool {
	last := len(parts) - 1
	rest, ok := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1:last] {
		if ok {
			_, rest, ok = strings.Cut(rest, part)
		}
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
