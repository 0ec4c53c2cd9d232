package scan

import (
	"encoding/binary"
	"hash/fnv"
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// What is kept of a layer's entries, here and where inspections are remembered. Beyond treeEntries or treeBytes (of paths,
// targets and bodies) the tree is cut. Bodies are shortened long before: who needs more reads the layer again.
const (
	treeEntries = 1 << 18
	treeBytes   = 12 << 20
	// bodyBytes bounds one body; bodiesBytes all of a layer that somebody starts, and bodiesElse all others.
	bodyBytes   = 64 << 10
	bodiesBytes = 3 << 20
	bodiesElse  = 1 << 20
	// noteBytes bounds text that is no script, but may be read by one.
	noteBytes = 4 << 10
)

// tree collects the entries of a layer. Each is held back until its content was seen.
type tree struct {
	packed        trust.Tree
	cut           bool
	held          trust.TreeEntry
	holds         bool
	bodies, other int
	// hold charges memory; charged is what was charged.
	hold    func(int64) bool
	charged int
}

// Entry implements layer.Lister.
func (w *worker) Entry(e trust.TreeEntry) {
	t := &w.blob.tree
	t.flush()
	t.held, t.holds = e, true
}

// flush adds the entry that is held back.
func (t *tree) flush() {
	if !t.holds {
		return
	}
	t.holds = false
	bytes := t.packed.Bytes() + len(t.held.Path) + len(t.held.Target) + len(t.held.Body)
	if t.cut = t.cut || t.packed.Len() >= treeEntries || bytes > treeBytes || !t.fits(bytes); !t.cut {
		t.packed.Add(t.held)
	}
	t.held = trust.TreeEntry{}
}

// fits charges for a tree of so many bytes, and for what it is copied to when it grows.
func (t *tree) fits(bytes int) bool {
	more := 2*bytes - t.charged
	if t.hold == nil || more <= 0 {
		return true
	}
	more = max(more, chargedAtOnce)
	if !t.hold(int64(more)) {
		return false
	}
	t.charged += more
	return true
}

// result is the tree after the last entry.
func (t *tree) result() (trust.Tree, bool) {
	t.flush()
	return t.packed, t.cut
}

// seen notes the kind of the file of the layer that is read now, and the beginning of its content where that may start
// something.
func (t *tree) seen(kind trust.Kind, head []byte) {
	if !t.holds {
		return
	}
	t.held.Kind = kind
	if kind == trust.KindExecutable && t.held.Mode&0o111 != 0 {
		t.held.Like = likeness(head, t.held.Size)
		return
	}
	head = head[:min(len(head), bodyBytes)]
	switch rankOf(t.held, kind) {
	case startsFirst:
		if t.bodies+len(head) <= bodiesBytes {
			t.bodies += len(head)
			t.held.Body = string(head)
		}
	case startsElse:
		if t.other+len(head) <= bodiesElse {
			t.other += len(head)
			t.held.Body = string(head)
		}
	case startsNothing:
	}
}

// is notes the interpreter that the current file is by its content. The first one counts.
func (t *tree) is(name string) {
	if t.holds && t.held.Like != 0 && t.held.Program == "" {
		t.held.Program = name
	}
}

// likeness sums up the beginning of a program, which has its build's identity and the addresses of all its parts, and its
// size. It is no proof: what is taken for a copy of a shell is read as one, which names a file too many at most.
func likeness(head []byte, size int64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(head[:min(len(head), likeBytes)]) // cannot fail
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(size)))
	return max(h.Sum64(), 1)
}

// likeBytes of a program's beginning are compared.
const likeBytes = 4 << 10

// program is one of few by what its content holds.
type program struct{ holds, name string }

// programs are interpreters that run what they are told, by texts that only they hold. What other programs hold too does no
// harm: they are told less.
func programs() []program {
	return []program{
		{"BASH_VERSINFO", "bash"}, {"trap: %s: bad trap", "dash"}, {"BusyBox v", "busybox"}, {"toybox 0.", "toybox"}, {"ZSH_VERSION", "zsh"}, {"KSH_VERSION", "ksh"},
		{"Py_BytesMain", "python3"}, {"NODE_REPL_HISTORY", "node"}, {"PERL5DB_THREADED", "perl"}, {"PHP_INI_SCAN_DIR", "php"},
	}
}

// rank says how likely it is that the body of a file says what an image starts.
type rank int

const (
	startsNothing rank = iota
	startsElse
	startsFirst
)

func rankOf(e trust.TreeEntry, kind trust.Kind) rank {
	name := strings.ToLower(e.Path)
	switch {
	case kind != trust.KindScript && kind != trust.KindText:
		return startsNothing
	case runsByName(name) || startsByName(name):
		return startsFirst
	case inLibrary(name):
		return startsNothing
	case kind == trust.KindScript && e.Mode&0o111 != 0:
		return startsFirst
	case kind == trust.KindScript:
		return startsElse
	case e.Size <= noteBytes && !strings.HasPrefix(name, "usr/share/"):
		return startsElse
	}
	return startsNothing
}

// startsByName knows the configuration files of programs that start others, beside those of runsByName.
func startsByName(name string) bool {
	switch path.Base(name) {
	case "package.json":
		return !inLibrary(name)
	case "sitecustomize.py", "usercustomize.py", "supervisord.conf", "anacrontab", "wrapper.conf":
		return true
	}
	if path.Ext(name) == ".pth" {
		return true
	}
	for _, folder := range startFolders {
		if strings.HasPrefix(name, folder) {
			return true
		}
	}
	return false
}

// startFolders hold what programs that start others read.
var startFolders = []string{
	"etc/systemd/system/", "etc/systemd/user/", "etc/sv/", "etc/my_init.d/", "etc/apt/apt.conf.d/", "etc/anacrontab", "etc/default/",
	"docker-entrypoint-initdb.d/", "etc/conf.d/", "etc/apk/commit_hooks.d/", "lib/systemd/system/", "usr/lib/systemd/system/",
	"lib/lsb/", "usr/lib/lsb/", "usr/lib/init/", "usr/share/debconf/", "etc/bash_completion.d/",
}

// libraryFolders hold code that is read because other code names it, and so much of it that bodies are not kept.
var libraryFolders = []string{
	"/site-packages/", "/dist-packages/", "/node_modules/", "/lib/python", "/share/perl", "/lib/perl", "/perl5/", "/lib/ruby/", "/gems/",
	"/share/doc/", "/share/man/", "/share/locale/", "/share/info/", "/dpkg/info/", "/share/php/", "/share/vim/", "/lib/go/", "/go/pkg/", "/.cargo/",
}

func inLibrary(name string) bool {
	name = "/" + name
	for _, folder := range libraryFolders {
		if strings.Contains(name, folder) {
			return true
		}
	}
	return false
}
