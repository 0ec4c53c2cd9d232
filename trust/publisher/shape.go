package publisher

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Limits on what is remembered of an image's configuration, and of a tag.
const (
	maxParts    = 64
	maxTagged   = 8
	maxTagBytes = 128 << 10
	// newNormal is how long an image that is unlike those before it is no measure for the next one.
	newNormal = 30 * 24 * time.Hour
)

// The share of an image that stays when its publisher changes it, in percent: of its steps and of the names of its variables
// and labels. Less than this is another image.
const sameShare = 20

// Shape is what an image's configuration looks like, as far as it tells one image from another.
type Shape struct {
	// Starts are the programs that entrypoint and command name, without their folders.
	Starts []string `json:"starts,omitempty"`
	// Shown is what the image starts, for people.
	Shown string `json:"shown,omitempty"`
	// Layers are diff IDs, the lowest first.
	Layers []string `json:"layers,omitempty"`
	// Names are those of variables and labels, ports and the like; Steps are shortened digests of the history's commands.
	Names []string `json:"names,omitempty"`
	Steps []string `json:"steps,omitempty"`
}

// NewShape makes the shape of a configuration: what is started, the environment's lines, labels, commands of the history and
// diff IDs.
func NewShape(entrypoint, command, env []string, labels map[string]string, history []string, diffIDs []digest.Digest) Shape {
	s := Shape{Shown: trust.Sanitise(strings.Join(append(slices.Clone(entrypoint), command...), " "), maxText)}
	for _, words := range [][]string{entrypoint, command} {
		s.Starts = append(s.Starts, programs(words)...)
	}
	for _, line := range env {
		if name, _, _ := strings.Cut(line, "="); name != "PATH" {
			s.Names = append(s.Names, "env "+name)
		}
	}
	for name := range labels {
		s.Names = append(s.Names, "label "+name)
	}
	for _, step := range history {
		s.Steps = append(s.Steps, digest.FromString(strings.TrimSpace(step)).Encoded()[:16])
	}
	for _, d := range diffIDs {
		s.Layers = append(s.Layers, d.String())
	}
	return s.bounded()
}

func (s Shape) bounded() Shape {
	slices.Sort(s.Names)
	for _, list := range []*[]string{&s.Starts, &s.Names, &s.Steps, &s.Layers} {
		short := make([]string, 0, min(len(*list), maxParts))
		for _, one := range (*list)[:min(len(*list), maxParts)] {
			short = append(short, trust.Sanitise(one, maxText))
		}
		*list = short
	}
	s.Shown = trust.Sanitise(s.Shown, maxText)
	return s
}

// programs are the names of what words may start: a shell's own line counts word by word.
func programs(words []string) []string {
	var out []string
	for i, w := range words[:min(len(words), 16)] {
		fields := strings.Fields(w)
		if i > 0 && len(fields) < 2 && strings.HasPrefix(w, "-") {
			continue
		}
		for _, f := range fields[:min(len(fields), 16)] {
			name := strings.ToLower(path.Base(strings.Trim(f, `"';&|()`)))
			if name != "" && name != "." && name != "/" && !strings.HasPrefix(f, "-") && !isWrapper(name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// isWrapper: what starts something else says nothing about the image.
func isWrapper(name string) bool {
	switch name {
	case "sh", "bash", "ash", "dash", "env", "exec", "tini", "dumb-init", "su-exec", "gosu", "catatonit", "s6-svscan", "init", "cd", "set":
		return true
	}
	return false
}

// empty reports whether there is too little to compare.
func (s Shape) empty() bool { return len(s.Starts) == 0 || len(s.Layers) == 0 }

// difference is how one image is unlike another; ok is false when the second can be the first one's successor.
func (s Shape) difference(next Shape) (what string, strength trust.Strength, ok bool) {
	if s.empty() || next.empty() || common(s.Layers, next.Layers) > 0 || common(s.Starts, next.Starts) > 0 {
		return "", 0, false
	}
	names, steps := share(s.Names, next.Names), share(s.Steps, next.Steps)
	if names > sameShare || steps > sameShare {
		return "", 0, false
	}
	strength = trust.Weak
	if len(s.Names)+len(s.Steps) < 4 || len(next.Names)+len(next.Steps) < 1 {
		strength = trust.Context // hardly anything is known that could have stayed
	}
	return fmt.Sprintf("it started %q and starts %q; none of its %d layers is the same, and %d of the %d variables, labels and steps that it had",
		s.Shown, next.Shown, len(s.Layers), common(s.Names, next.Names)+common(s.Steps, next.Steps), len(s.Names)+len(s.Steps)), strength, true
}

// common counts what stands in both.
func common(a, b []string) int {
	n := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			n++
		}
	}
	return n
}

// share is how much of a stands in b, in percent; none of nothing.
func share(a, b []string) int {
	if len(a) == 0 {
		return 0
	}
	return 100 * common(a, b) / len(a)
}

// Tag is what a tag pointed at, as it was judged, latest last. It is about one platform.
type Tag struct {
	Images []Tagged `json:"images"`
}

// Tagged is one image that a tag pointed at.
type Tagged struct {
	Digest digest.Digest `json:"digest"`
	Seen   time.Time     `json:"seen"`
	Shape  Shape         `json:"shape"`
	// Moved says how it is unlike the images before it, empty when it is not; Since is the digest that it is compared with.
	Moved    string         `json:"moved,omitempty"`
	Strength trust.Strength `json:"strength,omitempty"`
	Since    digest.Digest  `json:"since,omitempty"`
	Before   time.Time      `json:"before,omitzero"`
}

// TagKey names the memory of a tag on a platform.
func TagKey(ref trust.Reference, platform string) string {
	return "tag " + ref.Name() + ":" + ref.Tag + " " + platform
}

// Point is the tag after it was seen to point at an image. An image that it pointed at before stays what it was then.
func (t Tag) Point(d digest.Digest, s Shape, at time.Time) Tag {
	if t.Has(d) {
		return t
	}
	one := Tagged{Digest: d, Seen: at.UTC(), Shape: s}
	for _, before := range slices.Backward(t.Images) {
		if before.Moved != "" && at.Sub(before.Seen) < newNormal {
			continue
		}
		if what, strength, ok := before.Shape.difference(s); ok {
			one.Moved, one.Strength, one.Since, one.Before = what, strength, before.Digest, before.Seen
		}
		break
	}
	t.Images = append(slices.Clone(t.Images), one)
	t.Images = t.Images[max(0, len(t.Images)-maxTagged):]
	return t
}

// Signs is the finding about an image that the tag points at, if there is one.
func (t Tag) Signs(ref trust.Reference) []trust.Finding {
	for _, i := range t.Images {
		if i.Digest == ref.Digest && i.Moved != "" {
			return []trust.Finding{finding(partTag, "/"+ref.Tag, i.Strength, i.Since.String(), "is a wholly different image than %s, which it was on %s: %s", brief(i.Since), day(i.Before), i.Moved)}
		}
	}
	return nil
}

func brief(d digest.Digest) string { return d.String()[:min(len(d), 19)] }

// ParseTag reads a tag as JSON. Errors wrap trust.ErrMalformed or trust.ErrLimit.
func ParseTag(body []byte) (Tag, error) {
	if len(body) > maxTagBytes {
		return Tag{}, fmt.Errorf("the memory of a tag has %d bytes, more than %d: %w", len(body), maxTagBytes, trust.ErrLimit)
	}
	var t Tag
	if err := json.Unmarshal(body, &t); err != nil {
		return Tag{}, fmt.Errorf("%w: memory of a tag: %s", trust.ErrMalformed, describe(err))
	}
	t.Images = t.Images[max(0, len(t.Images)-maxTagged):]
	for i := range t.Images {
		t.Images[i].Shape = t.Images[i].Shape.bounded()
		t.Images[i].Moved = trust.Sanitise(t.Images[i].Moved, 600)
	}
	return t, nil
}

// Has reports whether the tag is known to have pointed at an image.
func (t Tag) Has(d digest.Digest) bool {
	return slices.ContainsFunc(t.Images, func(i Tagged) bool { return i.Digest == d })
}
