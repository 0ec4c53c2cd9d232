package publisher

import (
	"cmp"
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
	// Base is the repository of the image that it says it was built on, if it does.
	Base string `json:"base,omitempty"`
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
	s.Base = repositoryOf(labels[baseName])
	for _, step := range history {
		s.Steps = append(s.Steps, digest.FromString(strings.TrimSpace(step)).Encoded()[:16])
	}
	for _, d := range diffIDs {
		s.Layers = append(s.Layers, d.String())
	}
	return s.bounded()
}

// baseName is the label by which builders say what an image stands on, as the image specification has it.
const baseName = "org.opencontainers.image.base.name"

// repositoryOf is a reference without tag and digest.
func repositoryOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
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
	s.Shown, s.Base = trust.Sanitise(s.Shown, maxText), trust.Sanitise(s.Base, maxText)
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

// How a tag's image can be unlike the one before it.
const (
	wholly       = "is a wholly different image than"
	anotherStart = "starts something else than"
	anotherBase  = "stands on another base than"
)

// difference is how one image is unlike another, and in what; how is empty when the second can be the first one's successor.
// What starts, or what it stands on, changes in honest images too, and is told without weight. Where nothing stays, it is
// another image.
func (s Shape) difference(next Shape) (how, what string, strength trust.Strength) {
	if s.empty() || next.empty() {
		return "", "", 0
	}
	layers := common(s.Layers, next.Layers)
	nothing := share(s.Names, next.Names) <= sameShare && share(s.Steps, next.Steps) <= sameShare
	start := common(s.Starts, next.Starts) == 0
	// A list that tells of no steps, as some builders make it, tells nothing of the base either.
	base := layers == 0 && (nothing && len(s.Steps) > 1 && len(next.Steps) > 0 || s.Base != "" && next.Base != "" && s.Base != next.Base)
	switch {
	case start && layers == 0 && nothing:
		strength = trust.Weak
		if len(s.Names)+len(s.Steps) < 4 || len(next.Names)+len(next.Steps) < 1 {
			strength = trust.Context // hardly anything is known that could have stayed
		}
		return wholly, fmt.Sprintf("it started %q and starts %q; none of its %d layers is the same, and %d of the %d variables, labels and steps that it had",
			s.Shown, next.Shown, len(s.Layers), common(s.Names, next.Names)+common(s.Steps, next.Steps), len(s.Names)+len(s.Steps)), strength
	case start:
		return anotherStart, fmt.Sprintf("%q then, %q now; %d of its %d layers are the same", s.Shown, next.Shown, layers, len(s.Layers)), trust.Context
	case base:
		return anotherBase, fmt.Sprintf("%s; none of its %d layers is the same, and %d of the %d steps that it had", bases(s.Base, next.Base), len(s.Layers), common(s.Steps, next.Steps), len(s.Steps)), trust.Context
	}
	return "", "", 0
}

// bases tells what two images say they stand on.
func bases(was, is string) string {
	told := func(s string) string {
		if s == "" {
			return "one that is not named"
		}
		return fmt.Sprintf("%q", s)
	}
	return told(was) + " then, " + told(is) + " now"
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
	// Moved says in what it is unlike an image before it, empty when it is not, and How is the verb for that; Since is the
	// digest that it is compared with, which it was at Before.
	Moved    string         `json:"moved,omitempty"`
	How      string         `json:"how,omitempty"`
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
		if how, what, strength := before.Shape.difference(s); how != "" {
			one.How, one.Moved, one.Strength, one.Since, one.Before = how, what, strength, before.Digest, before.Seen
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
			return []trust.Finding{finding(partTag, "/"+ref.Tag, i.Strength, i.Since.String(), "%s %s, which it was on %s: %s", cmp.Or(i.How, wholly), brief(i.Since), day(i.Before), i.Moved)}
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
		t.Images[i].Moved, t.Images[i].How = trust.Sanitise(t.Images[i].Moved, 600), trust.Sanitise(t.Images[i].How, maxText)
		t.Images[i].Strength = min(t.Images[i].Strength, trust.Weak)
	}
	return t, nil
}

// Has reports whether the tag is known to have pointed at an image.
func (t Tag) Has(d digest.Digest) bool {
	return slices.ContainsFunc(t.Images, func(i Tagged) bool { return i.Digest == d })
}
