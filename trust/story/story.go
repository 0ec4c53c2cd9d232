// Package story joins what was found in an image into a few sentences: what the image starts, what that holds, and
// what else lies there. It weighs nothing and decides nothing; trust/policy does.
package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Limits on a story, so that a person reads it to its end.
const (
	// MaxLines bounds the sentences.
	MaxLines = 12
	// maxSigns bounds the signs that are told of one file.
	maxSigns = 3
	// maxPath and maxSign bound what an image may put into a sentence, in bytes.
	maxPath = 100
	maxSign = 160
	// maxSteps bounds the steps that are followed.
	maxSteps = 1 << 12
)

// Tell is the story of the evidence, at most MaxLines sentences; nil where nothing was found that counts.
func Tell(e trust.Evidence) []string {
	t := teller{layers: map[digest.Digest]int{}, from: map[string]trust.Step{}, told: map[string]bool{}}
	for i, l := range e.Layers {
		if t.layers[l] == 0 {
			t.layers[l] = i + 1
		}
	}
	for _, s := range e.Steps[:min(len(e.Steps), maxSteps)] {
		if _, known := t.from[s.Path]; !known && s.By != s.Path {
			t.from[s.Path] = s
		}
	}
	places := placesOf(e.Findings)
	t.bySubject = map[string]*place{}
	for _, p := range places {
		if t.bySubject[p.path] == nil {
			t.bySubject[p.path] = p
		}
	}
	for _, p := range places {
		t.tell(p)
	}
	if len(t.lines) <= MaxLines {
		return t.lines
	}
	left := len(t.lines) - MaxLines + 1
	return append(t.lines[:MaxLines-1], fmt.Sprintf("%d more places with signs are left out here.", left))
}

// commandsOf begins the paths of command lines that a script forms when it runs.
const commandsOf = "closure:"

// nameOf begins the paths of parts of the image's name.
const nameOf = "name:"

// publisherOf begins the paths of what registries tell of a publisher.
const publisherOf = "publisher:"

// place is one file, or one part of the configuration, with what was found there.
type place struct {
	path     string
	layer    digest.Digest
	reach    trust.Reach
	hiddenBy int
	config   bool
	strength trust.Strength
	signs    []string
	more     int
}

// placesOf gathers the findings that count by where they stand: what runs first, the weightiest first.
func placesOf(findings []trust.Finding) []*place {
	type key struct {
		layer digest.Digest
		path  string
	}
	byKey := map[key]*place{}
	var all []*place
	for _, f := range weightiestFirst(findings) {
		path, commands := strings.CutPrefix(f.Path, commandsOf)
		file, inner, nested := strings.Cut(path, trust.Nested)
		k := key{f.Layer, file}
		p := byKey[k]
		if p == nil {
			p = &place{
				path: file, layer: f.Layer, reach: f.Reach, hiddenBy: f.HiddenBy, strength: f.Strength,
				config: f.Kind == trust.KindConfig && !commands || strings.HasPrefix(f.Path, "config:") || strings.HasPrefix(f.Path, "manifest:"),
			}
			byKey[k] = p
			all = append(all, p)
		}
		sign := shortened(f.Why)
		if nested {
			sign += " (in " + trust.Sanitise(inner, maxPath) + ")"
		}
		switch {
		case slices.Contains(p.signs, sign):
		case len(p.signs) < maxSigns:
			p.signs = append(p.signs, sign)
		default:
			p.more++
		}
	}
	slices.SortStableFunc(all, func(a, b *place) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.strength, a.strength), cmp.Compare(a.path, b.path), cmp.Compare(a.layer, b.layer))
	})
	return all
}

// weightiestFirst leaves out what is worth nothing.
func weightiestFirst(findings []trust.Finding) []trust.Finding {
	counting := slices.DeleteFunc(slices.Clone(findings), func(f trust.Finding) bool {
		return f.Strength <= trust.Context && f.Class == ""
	})
	slices.SortStableFunc(counting, func(a, b trust.Finding) int {
		return cmp.Or(cmp.Compare(b.Strength, a.Strength), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Offset, b.Offset))
	})
	return counting
}

// rank orders places: what runs, the configuration, what is present, what is hidden.
func (p *place) rank() int {
	switch {
	case p.config:
		return 1
	case p.reach == trust.ReachRuns:
		return 0
	case p.reach == trust.ReachHidden:
		return 3
	}
	return 2
}

type teller struct {
	layers    map[digest.Digest]int
	from      map[string]trust.Step
	bySubject map[string]*place
	told      map[string]bool
	lines     []string
}

// tell says how the image comes to a place, and what is there.
func (t *teller) tell(p *place) {
	if part, ok := strings.CutPrefix(p.path, nameOf); ok {
		t.lines = append(t.lines, fmt.Sprintf("In its name, the %s %s.", trust.Sanitise(part, maxPath), p.holds()))
		return
	}
	if part, ok := strings.CutPrefix(p.path, publisherOf); ok {
		t.lines = append(t.lines, fmt.Sprintf("Of its publisher, the %s %s.", trust.Sanitise(part, maxPath), p.holds()))
		return
	}
	if p.config {
		t.lines = append(t.lines, fmt.Sprintf("The image's own %s %s.", trust.Sanitise(p.path, maxPath), p.holds()))
		return
	}
	if t.told[p.path] && t.bySubject[p.path] == p {
		return
	}
	if p.rank() == 0 && t.bySubject[p.path] == p {
		if way := t.way(p.path); len(way) > 0 {
			for _, s := range way {
				t.step(s)
			}
			return
		}
	}
	t.told[p.path] = true
	where := t.name(p.path, p.layer)
	switch p.rank() {
	case 0:
		t.lines = append(t.lines, fmt.Sprintf("%s runs when the image starts; it %s.", where, p.holds()))
	case 3:
		by := "a later layer"
		if p.hiddenBy > 0 {
			by = fmt.Sprintf("layer %d", p.hiddenBy)
		}
		t.lines = append(t.lines, fmt.Sprintf("%s is hidden by %s and arrives all the same; it %s.", where, by, p.holds()))
	default:
		t.lines = append(t.lines, fmt.Sprintf("%s is in the image, though nothing known runs it; it %s.", where, p.holds()))
	}
}

// way are the steps from the configuration to a file, nil when they are not known.
func (t *teller) way(file string) []trust.Step {
	var way []trust.Step
	seen := map[string]bool{}
	for at := file; !seen[at]; {
		seen[at] = true
		s, ok := t.from[at]
		if !ok {
			break
		}
		way = append(way, s)
		if strings.HasPrefix(s.By, "config:") {
			break
		}
		at = s.By
	}
	slices.Reverse(way)
	return way
}

// step tells one step, once.
func (t *teller) step(s trust.Step) {
	if t.told[s.Path] {
		return
	}
	t.told[s.Path] = true
	p, layer := t.bySubject[s.Path], s.Layer
	if p != nil {
		layer = p.layer
	}
	line := t.name(s.Path, layer)
	if part, ok := strings.CutPrefix(s.By, "config:"); ok {
		switch part {
		case "start":
			line += " starts with the image"
		case "env":
			line += " is started by the image's environment"
		default:
			line += " is started by the image's " + trust.Sanitise(part, maxPath)
		}
		if p != nil {
			line += "; it " + p.holds()
		}
	} else {
		line = t.name(s.By, "") + " starts " + line
		if p != nil {
			line += ", which " + p.holds()
		}
	}
	t.lines = append(t.lines, line+".")
}

func (t *teller) name(file string, layer digest.Digest) string {
	name := "/" + strings.TrimPrefix(trust.Sanitise(file, maxPath), "/")
	if n := t.layers[layer]; n > 0 {
		name += fmt.Sprintf(" (layer %d)", n)
	}
	return name
}

// holds are the signs of a place as the rest of a sentence.
func (p *place) holds() string {
	s := strings.Join(p.signs, ", and ")
	if p.more > 0 {
		s += fmt.Sprintf(", and shows %d more", p.more)
	}
	return s
}

// shortened is a sentence as far as it fits, up to a whole word; what is left out is said to be.
func shortened(why string) string {
	sign := trust.Sanitise(why, maxSign)
	if len(why) <= maxSign {
		return sign
	}
	if i := strings.LastIndexByte(sign, ' '); i > maxSign/2 {
		sign = sign[:i]
	}
	return strings.TrimRight(sign, " ,;:") + " …"
}
