package text

import (
	"bytes"
	"regexp"
	"strings"
)

// Hit is an indicator.Hit, spelled out: what every sign stands on must not stand on what they implement, or chains of
// imports grow too long. A test compares the sizes of its window with the engine's.
type Hit = struct {
	Literal int
	Offset  int64
	Window  []byte
	At      int
}

const windowBefore, windowAfter = 1 << 10, 4 << 10

// Clip is the content around a hit, cut to exactly the sizes that every engine guarantees, so that findings do not
// depend on how much more an engine had at hand. at is the hit's place in the result.
func Clip(h Hit) (window []byte, at int) {
	from := max(0, h.At-windowBefore)
	to := min(len(h.Window), h.At+windowAfter)
	return h.Window[from:to], h.At - from
}

// Line is the line around at, at most limit bytes to each side.
func Line(window []byte, at, limit int) (line []byte, start int) {
	from := max(0, at-limit)
	if i := bytes.LastIndexByte(window[from:at], '\n'); i >= 0 {
		from += i + 1
	}
	to := min(len(window), at+limit)
	if i := bytes.IndexByte(window[at:to], '\n'); i >= 0 {
		to = at + i
	}
	return window[from:to], from
}

// CommandAt is the command that covers at, or nil.
func CommandAt(commands []Command, at int) Command {
	for _, c := range commands {
		last := c[len(c)-1]
		if c[0].At <= at && at < last.At+len(last.Text) {
			return c
		}
	}
	return nil
}

var assignment = regexp.MustCompile(`(?:^|[\s;"'{(,$])([A-Za-z_][A-Za-z0-9_.]{0,63})["']?[ \t]*(?::?=|:)[ \t]*\\?["'` + "`" + `]?([^\s"'` + "`" + `,;\\]{1,512})`)

// Assignments are the values that names get in a text, the first of each: NAME=value, name = "value", "name": "value".
func Assignments(text []byte) map[string]string {
	out := map[string]string{}
	for _, m := range assignment.FindAllSubmatch(text, 512) {
		if _, ok := out[string(m[1])]; !ok {
			out[string(m[1])] = string(m[2])
		}
	}
	return out
}

// Resolve replaces a word that is nothing but a variable, and the shell variables inside a word, by their values, where
// the text gave them some.
func Resolve(word string, values map[string]string) string {
	name := strings.Trim(word, "${}()%")
	name = strings.TrimPrefix(name, "env:")
	if i := strings.Index(name, ":-"); i > 0 { // ${NAME:-default}
		if v, ok := values[name[:i]]; ok {
			return v
		}
		return name[i+2:]
	}
	if v, ok := values[name]; ok {
		return v
	}
	return use.ReplaceAllStringFunc(word, func(u string) string { // $HOST:$PORT
		if v, ok := values[strings.Trim(u, "${}")]; ok {
			return v
		}
		return u
	})
}

// use is a variable inside a word, as shells and Python write it.
var use = regexp.MustCompile(`\$[A-Za-z_][A-Za-z0-9_]*|\$?\{[A-Za-z_][A-Za-z0-9_]*\}`)

// Base is the last element of a path-like word.
func Base(word string) string { return word[strings.LastIndexAny(word, "/\\")+1:] }
