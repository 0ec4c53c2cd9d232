// Package zip unwraps zip archives, and so jar, whl, egg, apk and docx files, also behind a program or script that
// unpacks them.
package zip

import (
	"bytes"
	"context"
	"slices"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/magic"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// maxEntries bounds the entries of one archive, which cost more than their bytes: time.
	maxEntries = 1 << 20
	// maxExtents bounds the places in a file that its directory names, after neighbours were joined: memory, 16 bytes
	// each.
	maxExtents = 1 << 18
	// maxPasswords bounds what is tried for one entry: time.
	maxPasswords = 32
	// stepsPerEntry is about what reading the headers of an entry costs.
	stepsPerEntry = 2000
)

// Wrapper reads zip archives. What it shows is the union of what readers of different habits would find: what the central
// directory names, what local headers say otherwise, and what stands between.
type Wrapper struct{ maxEntries, maxExtents int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries, maxExtents: maxExtents} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "zip" }

// Wraps implements unwrap.Wrapper. Scripts and Windows programs may have an archive at their end, which the first bytes do
// not show.
func (Wrapper) Wraps(c unwrap.Content) bool {
	return begins(c.Head) || mayCarry(c) || named(c) || c.Again && (c.Size < 0 || c.Size > unwrap.HeadBytes)
}

// begins reports whether an entry, or the end of an empty archive, is at the beginning, or behind something short.
func begins(head []byte) bool {
	return bytes.HasPrefix(head, []byte(localMagic)) || bytes.HasPrefix(head, []byte(endMagic)) ||
		bytes.Contains(head, []byte(localMagic)) && !magic.Archive(head)
}

func mayCarry(c unwrap.Content) bool {
	return (bytes.HasPrefix(c.Head, []byte("#!")) || bytes.HasPrefix(c.Head, []byte("MZ"))) && (c.Size < 0 || c.Size > unwrap.HeadBytes)
}

// archive is one pass over one file.
type archive struct {
	Wrapper
	in      unwrap.Input
	show    unwrap.Show
	at      *stream.Spool
	size    int64
	covered extents
	broken  stream.Broken
	decoder decoder
	// password is the one that opened an entry before.
	password string
	entries  int
	// seen is what was read last to look for headers, from seenAt on.
	seen   []byte
	seenAt int64
	// reached is where the last entry ends that no directory names.
	reached int64
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	a := &archive{Wrapper: w, in: in, show: show, at: stream.NewSpool(at), size: size, covered: extents{limit: w.maxExtents, hold: in.Hold}}
	a.decoder.held.Memory = in
	ends, err := a.ends()
	if err != nil {
		return err
	}
	found := false
	for _, e := range ends {
		if a.covered.has(e.at) {
			continue // the end of an archive that is an entry of this one
		}
		read, err := a.directory(e)
		if err != nil {
			return err
		}
		found = found || read
	}
	if !found {
		if !begins(in.Content().Head) {
			return nil // a script or program without an archive
		}
		a.broken.Add(stream.Malformed("zip without a directory"))
	}
	if err := a.gaps(); err != nil {
		return err
	}
	if err := a.behind(ends); err != nil {
		return err
	}
	return a.broken.Err()
}

// extent is a part of the file.
type extent struct{ from, to int64 }

// extents are the parts of the file that entries and directories take up.
type extents struct {
	parts []extent
	limit int
	// hold charges memory; charged are the parts that it was charged for.
	hold    func(int64) error
	charged int
}

// chargedAtOnce are extents of 16 bytes that are charged for in one step, twice, because they are copied when they grow.
const chargedAtOnce = 4096

// descriptorBytes is the longest that may follow the data of an entry.
const descriptorBytes = 24

// add remembers a part. One that follows the last, but for a descriptor, is joined with it, as in every ordinary archive.
func (e *extents) add(from, to int64) error {
	if n := len(e.parts) - 1; n >= 0 && from >= e.parts[n].from && from <= e.parts[n].to+descriptorBytes {
		e.parts[n].to = max(e.parts[n].to, to)
		return nil
	}
	if len(e.parts) >= e.limit {
		e.join()
		if len(e.parts) >= e.limit/2 {
			return stream.Exceeded("too many places in a zip archive")
		}
	}
	if len(e.parts) == e.charged {
		if err := e.hold(chargedAtOnce * 32); err != nil {
			return err
		}
		e.charged += chargedAtOnce
	}
	e.parts = append(e.parts, extent{from, to})
	return nil
}

// join sorts the parts and joins those that touch.
func (e *extents) join() {
	slices.SortFunc(e.parts, func(a, b extent) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	out := e.parts[:0]
	for _, p := range e.parts {
		if n := len(out) - 1; n >= 0 && p.from <= out[n].to {
			out[n].to = max(out[n].to, p.to)
		} else {
			out = append(out, p)
		}
	}
	e.parts = out
}

func (e *extents) has(at int64) bool {
	return slices.ContainsFunc(e.parts, func(p extent) bool { return p.from <= at && at < p.to })
}

// between calls f for what is covered by nothing, and is long enough for a header.
func (e *extents) between(size int64, f func(from, to int64) error) error {
	e.join()
	at := int64(0)
	for _, p := range append(slices.Clip(e.parts), extent{size, size}) {
		if p.from-at >= localBytes {
			if err := f(at, p.from); err != nil {
				return err
			}
		}
		at = max(at, p.to)
	}
	return nil
}
