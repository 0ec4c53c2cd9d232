package packed

import "strings"

// shape is what the headers of a program say about how it was made.
type shape struct {
	entry       segment // the one that the program starts in
	found       bool
	sectionless bool
	writes      bool // its code is writable
	static      bool // neither an interpreter nor anything to link
	grows       bool // takes far more memory than the file has for it
	few         bool // segments
}

// sectionless: sections are for linkers and debuggers; programs keep them unless somebody takes them off.
func (h header) sectionless(size int64) bool {
	return h.shnum == 0 || h.section == 0 || size > 0 && h.section >= uint64(size)
}

func shapeOf(h header, segments []segment, size int64) shape {
	s := shape{sectionless: h.sectionless(size), static: true}
	loads := 0
	for _, g := range segments {
		switch g.kind {
		case segmentInterp, segmentDynamic:
			s.static = false
		case segmentLoad:
			loads++
			if g.memoBytes > g.fileBytes && g.memoBytes-g.fileBytes >= leastGrowth && g.memoBytes/muchGrowth >= g.fileBytes {
				s.grows = true
			}
		}
		if !s.found && g.holds(h.entry) {
			s.entry, s.found = g, true
			s.writes = g.flags&flagWrite != 0 && g.flags&flagExec != 0
		}
	}
	s.few = loads <= fewSegments
	return s
}

// suspicious: worth measuring. Linkers make neither; strip leaves the sections.
func (s shape) suspicious() bool { return s.found && (s.sectionless || s.writes) }

// bare: everything but the noise.
func (s shape) bare() bool { return s.sectionless && s.writes && s.static && s.few }

// String lists what is unusual.
func (s shape) String() string {
	var parts []string
	for _, p := range []struct {
		is   bool
		what string
	}{
		{s.sectionless, "no sections"},
		{s.writes, "it starts in code that it can write"},
		{s.static, "nothing to link"},
		{s.few, "few segments"},
		{s.grows, "much more memory than file"},
	} {
		if p.is {
			parts = append(parts, p.what)
		}
	}
	return strings.Join(parts, ", ")
}
