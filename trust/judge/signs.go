package judge

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
)

const (
	// maxShown bounds the findings that evidence and its verdict carry. What is left out is like one that is carried, as
	// far as a policy could tell.
	maxShown = 4096
	// maxHeld bounds the bytes of all findings of one image: which of them the image runs is known only at the end, so
	// that none may be dropped before. Beyond, the question stays unanswered.
	maxHeld = 16 << 20
	// findingSize is what a finding takes beside its texts, about, in bytes: as it was made and as it weighs.
	findingSize = 400
)

// signs are the findings of one image: as they were made, and with the strength and reach that they have in this image.
type signs struct {
	raw, weighed []trust.Finding
	// running says of each whether it was made in what something that runs makes or opens, whatever its path says.
	running []bool
	held    int
	// strongest is what the weightiest of raw weighs by itself, for each check.
	strongest map[string]trust.Strength
}

// add takes a finding, unless there is no room; then only one that is stronger than all of its check before it.
func (s *signs) add(f trust.Finding, running bool, runs *closure.Closure) bool {
	size := findingSize + len(f.Path) + len(f.Excerpt) + len(f.Why)
	strongest, known := s.strongest[f.Check]
	room := s.held+size <= maxHeld
	if !room && known && f.Strength <= strongest {
		return false
	}
	if s.strongest == nil {
		s.strongest = map[string]trust.Strength{}
	}
	s.strongest[f.Check] = max(f.Strength, strongest)
	s.held += size
	s.raw, s.running = append(s.raw, f), append(s.running, running)
	s.weighed = append(s.weighed, weighed(f, running, runs))
	return room
}

func (s *signs) weigh(runs *closure.Closure) {
	for i, f := range s.raw {
		s.weighed[i] = weighed(f, s.running[i], runs)
	}
}

func weighed(f trust.Finding, running bool, runs *closure.Closure) trust.Finding {
	if running {
		f.Reach, f.Strength = trust.ReachRuns, max(f.Strength, f.IfRun)
		return f
	}
	return runs.Weigh(f)
}

// opened forgets that a file could not be read, since a password opened it.
func (s *signs) opened(layer digest.Digest, path string) {
	kept := signs{}
	for i, f := range s.raw {
		if f.Class == trust.ClassOpaque && f.Layer == layer && f.Path == trust.Sanitise(path, len(f.Path)+1) {
			continue
		}
		kept.raw, kept.running, kept.weighed = append(kept.raw, f), append(kept.running, s.running[i]), append(kept.weighed, s.weighed[i])
	}
	s.raw, s.running, s.weighed = kept.raw, kept.running, kept.weighed
}

// shown are at most about maxShown findings, in the order in which they came: one of each sort that a policy can tell
// apart, and of the rest the first.
func (s *signs) shown() []trust.Finding {
	out := make([]trust.Finding, 0, min(len(s.weighed), maxShown))
	if len(s.weighed) <= maxShown {
		return append(out, s.weighed...)
	}
	type sort struct {
		check    string
		strength trust.Strength
		reach    trust.Reach
		class    trust.Class
	}
	known := map[sort]bool{}
	for _, f := range s.weighed {
		k := sort{f.Check, f.Strength, f.Reach, f.Class}
		if len(out) < maxShown || !known[k] {
			out = append(out, f)
		}
		known[k] = true
	}
	return out
}

// found adds the findings of a question with the weight that they have in this image.
func (c *inquiry) found(question string, findings []trust.Finding) { c.take(question, false, findings) }

func (c *inquiry) take(question string, running bool, findings []trust.Finding) {
	for _, f := range findings {
		if !c.signs.add(f, running, c.runs) {
			c.evidence.Unanswered[question] = fmt.Sprintf("the signs of mining in the image take more than the %d bytes that are kept", maxHeld)
		}
	}
	c.evidence.Findings = c.signs.shown()
}

// weigh gives every finding the reach and the strength that it has in this image.
func (c *inquiry) weigh(runs *closure.Closure) {
	c.runs = runs
	c.signs.weigh(runs)
	c.evidence.Findings = c.signs.shown()
}
