// Package line makes lines of text for people of what comes from outside: printable, short, and laid out alike by all
// rooms that print.
package line

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Limits on what one document takes over, so that a hostile image cannot flood a terminal or a log.
const (
	textLimit = 1 << 10
	// maxWord bounds what is left out so that no word is cut.
	maxWord = 20
	// Most bounds the lines of one list.
	Most = 1_000
)

// Widths, in characters, of what an image may put into one line.
const (
	Name   = 160
	Why    = 120
	Path   = 72
	Reason = Why + Path + 40 // one may name a finding with its layer and path
)

// longDigest matches digests, which people compare by their beginnings.
var longDigest = regexp.MustCompile(`\b(sha(?:256|512):[0-9a-f]{12})[0-9a-f]{52,116}\b`)

// Clean is trust.Sanitise with a limit that no honest text meets.
func Clean(s string) string { return trust.Sanitise(s, textLimit) }

// CleanSome are the first lines, never nil.
func CleanSome(lines []string, limit int) []string {
	out := make([]string, 0, min(len(lines), limit))
	for _, l := range lines[:min(len(lines), limit)] {
		out = append(out, Clean(l))
	}
	return out
}

// Digest is a digest, or whatever stands in its place, printable.
func Digest(d digest.Digest) digest.Digest { return digest.Digest(trust.Sanitise(d.String(), 160)) }

// OrNone is a digest, or "none".
func OrNone(d digest.Digest) digest.Digest {
	if d == "" {
		return "none"
	}
	return Digest(d)
}

// OrDash is a text, or "-".
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return Clean(s)
}

// Short is the 12 characters of a digest by which docker shows layers.
func Short(d digest.Digest) string {
	_, encoded, _ := strings.Cut(Clean(d.String()), ":")
	return encoded[:min(12, len(encoded))]
}

// Elide shortens s to limit characters by leaving out its middle, where paths say least; of sentences whole words.
func Elide(s string, limit int) string {
	s = Clean(s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	half := (limit - 1) / 2
	head, tail := string(runes[:half]), string(runes[len(runes)-(limit-1-half):])
	// A word is whole where that costs little: what is long and has no spaces is a path.
	if at := strings.LastIndexByte(head, ' '); at >= 0 && at > len(head)-maxWord {
		head = head[:at+1]
	}
	if at := strings.IndexByte(tail, ' '); at >= 0 && at < maxWord {
		tail = tail[at:]
	}
	return head + "…" + tail
}

// Shorten is a sentence with short digests, of at most limit characters.
func Shorten(s string, limit int) string {
	return Elide(longDigest.ReplaceAllString(Clean(s), "$1"), limit)
}

// Moment is a time as all commands print it.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Section prints a titled list, unless it is empty.
func Section(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(out, "  - %s\n", l)
	}
}

// Flush writes what a writer holds back.
func Flush(out interface{ Flush() error }) error {
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
