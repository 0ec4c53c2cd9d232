// Package closure says what an image runs: the files that starting it leads to, from its configuration through scripts,
// init systems and interpreters, in the merged file system. A file that runs weighs more than one that merely lies in a
// layer, and what a script puts together is seen as it will be.
//
// Nothing is executed. Scripts are read as far as their text goes; where that ends the answer is a file too many rather
// than one too few, and beyond the limits every file counts as running. What words of the configuration itself may mean is
// always named (words.go), whatever else is found out.
//
// An init system counts as started when the configuration leads to its program (cron, supervisord, init, s6, runit), and
// start-up files of shells when a shell is started for a person or as a login. ld.so.preload, and folders that are called
// docker-entrypoint.d and the like, always count.
package closure

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// Closure is what an image runs. The zero Closure runs nothing.
type Closure struct {
	words words
	view  *rootfs.View
	// all says why everything counts as running; it is empty while more is known.
	all      string
	reached  map[*rootfs.File]bool
	packages map[string]bool // folders whose code counts as running
	by       map[*rootfs.File]starter

	// Commands are the command lines of each script, with variables filled in where their values are known.
	Commands []Command
	// Joins are files that scripts put together from others.
	Joins []Join
	// Unread are scripts whose content would say more than was kept of it.
	Unread []Unread
	// Passwords are those with which scripts open archives.
	Passwords []Password
}

// Command is the command lines of one script, one a line.
type Command struct {
	// File is nil for the configuration itself; then Part is what of it: "config:command".
	File *rootfs.File
	Part string
	// Suffix is that of a file of the language that Text is a program in, ".py"; empty for command lines.
	Suffix string
	Text   string
}

// Join is a file that a script makes of others, or of parts of them.
type Join struct {
	Parts  []Part
	Target string
	// Steps are what is done after the parts were joined.
	Steps []Step
}

// Unread is a script that must be read again.
type Unread struct {
	File *rootfs.File
	// Shell is true when the script may form command lines.
	Shell bool
}

// Password is a literal password that a script opens an archive with.
type Password struct {
	Archive  *rootfs.File
	Password string
}

// Of is what the configuration alone says.
func Of(c inspect.Config) *Closure { return &Closure{words: wordsOf(c)} }

// Links are the links of an image's layers. They are made once, and may then be followed by any number of goroutines.
type Links struct {
	targets map[string][]string
	kept    int // how many targets there are: at most one more than maxLinks
	bytes   int
}

// LinksOf puts together the links of each layer, path to target.
func LinksOf(layers ...map[string]string) *Links { return (&Links{}).With(layers...) }

// With are the links with those of more layers. What they were made of does not change.
func (l *Links) With(layers ...map[string]string) *Links {
	all := &Links{targets: make(map[string][]string, len(l.targets)), kept: l.kept, bytes: l.bytes}
	maps.Copy(all.targets, l.targets)
	for _, layer := range layers {
		for from, to := range layer {
			if all.kept > maxLinks {
				return all
			}
			if known := all.targets[from]; !slices.Contains(known, to) {
				all.targets[from] = append(slices.Clip(known), to)
				all.kept++
				all.bytes += 80 + len(from) + len(to)
			}
		}
	}
	return all
}

// Bytes is about the memory that the links take.
func (l *Links) Bytes() int { return l.bytes }

// Follow adds the links of all layers for words of the configuration: what is named may lead elsewhere. It is told when
// links were left out, because then every file may be meant. It must be called once at most.
func (c *Closure) Follow(links *Links, cut bool) {
	if links == nil {
		links = LinksOf()
	}
	c.words.follow(links, cut)
}

// Resolve follows what the configuration starts through the merged view. Bodies are contents, or as much of them as could
// be had, of files that an earlier Resolve of the same view left unread.
func Resolve(config inspect.Config, links *Links, cut bool, v *rootfs.View, bodies map[*rootfs.File]string) *Closure {
	c := Of(config)
	c.Follow(links, cut)
	c.view, c.reached, c.packages, c.by = v, map[*rootfs.File]bool{}, map[string]bool{}, map[*rootfs.File]starter{}
	if v.Cut() || cut {
		c.all = "the layers hold more files than are followed"
		return c
	}
	newExplorer(c, config, bodies).run()
	return c
}

// Everything says why every file counts as running; it is empty when that is not so.
func (c *Closure) Everything() string { return c.all }

// Names reports whether the configuration itself names the file at this path of a layer.
func (c *Closure) Names(file string) bool { return c.words.means(file) }

// Reach says how far the content that a finding was made in is reached; empty where that is not known yet.
func (c *Closure) Reach(f trust.Finding) trust.Reach {
	if c.view == nil {
		if ownText(f.Path) == trust.ReachRuns || c.named(f) {
			return trust.ReachRuns
		}
		return ownText(f.Path)
	}
	if f.Kind == trust.KindConfig || !c.view.Holds(f.Layer) { // no file has that kind
		if r := ownText(f.Path); r != "" {
			return r
		}
	}
	if c.all != "" {
		return trust.ReachRuns
	}
	hidden, known := true, false
	for outer := range outers(f.Path) {
		for _, file := range c.view.Files(f.Layer, outer) {
			known = true
			switch {
			case c.view.Hidden(file):
			case c.runs(file, f.Kind):
				return trust.ReachRuns
			default:
				hidden = false
			}
		}
	}
	switch {
	case known && hidden:
		return trust.ReachHidden
	case c.named(f):
		return trust.ReachRuns
	}
	return trust.ReachPresent
}

// ownText is the reach of texts that are no files, and of what is nested in them: what starting the image uses, and what
// only describes it.
func ownText(name string) trust.Reach {
	name, _, _ = strings.Cut(name, trust.Nested) // what stands encoded in a text is reached as the text is
	switch {
	case strings.HasPrefix(name, "closure:"), name == "config:command", name == "config:env", name == "config:healthcheck",
		name == "config:onbuild", name == "config:shell":
		return trust.ReachRuns
	case strings.HasPrefix(name, "config:"), strings.HasPrefix(name, "manifest:"), strings.HasPrefix(name, "name:"),
		strings.HasPrefix(name, "publisher:"):
		return trust.ReachPresent
	}
	return ""
}

func (c *Closure) named(f trust.Finding) bool {
	for outer := range outers(f.Path) {
		if c.words.means(outer) {
			return true
		}
	}
	return false
}

// outers are the paths of files that the path of a finding may stand for: what stands before trust.Nested, which may be
// part of a name too.
func outers(p string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for end := len(p); end >= 0; end = strings.LastIndex(p[:end], trust.Nested) {
			if !yield(p[:end]) {
				return
			}
		}
	}
}

// runs reports whether a file of the merged view runs.
func (c *Closure) runs(f *rootfs.File, kind trust.Kind) bool {
	if c.reached[f] {
		return true
	}
	for _, p := range c.view.Places(f) {
		if c.words.means(p) {
			return true
		}
		if kind == trust.KindText || len(c.packages) == 0 {
			continue
		}
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if c.packages[dir] {
				return true
			}
		}
	}
	return false
}

// Weigh is the finding as it is in this image: with its reach, and with the strength that its indicator says that it has
// when the file runs, if it does.
func (c *Closure) Weigh(f trust.Finding) trust.Finding {
	f.Reach = c.Reach(f)
	if f.IfRun > f.Strength && (f.Reach == trust.ReachRuns || c.named(f)) {
		f.Strength = f.IfRun
	}
	return f
}
