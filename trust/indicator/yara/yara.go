// Package yara asks the user's own YARA rules about every file. It has no rules of its own: without any it is not made.
package yara

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/yara"
)

const (
	// Name is the indicator's.
	Name = "yara"
	// version grows too when trust/yara could answer otherwise.
	version = 1

	// strengthKey is the key of a rule's meta section that says what a match weighs; descriptionKey what it means.
	strengthKey    = "safepull_strength"
	descriptionKey = "description"

	// maxFindings bounds the findings of one file: the strongest are kept.
	maxFindings = 16
	// descriptionLimit and sourceLimit bound what is shown of a rule, in bytes.
	descriptionLimit = 160
	sourceLimit      = 48
	unreadLimit      = 320
)

// Indicator implements indicator.Indicator with rules of the user.
type Indicator struct {
	rules   *yara.Rules
	weights map[*yara.Info]weight
}

// weight is what a match of a rule says.
type weight struct {
	strength trust.Strength
	why      string
}

// New compiles rule files. An error is one sentence that begins with file, line and column; no rule is loaded then.
func New(sources ...yara.Source) (*Indicator, error) {
	if len(sources) == 0 {
		return nil, errors.New("there are no YARA rules")
	}
	rules, err := yara.CompileAll(sources...)
	if err != nil {
		return nil, err
	}
	ind := &Indicator{rules: rules, weights: map[*yara.Info]weight{}}
	for _, info := range rules.Info() {
		w, err := weigh(info)
		if err != nil {
			return nil, err
		}
		ind.weights[info] = w
	}
	return ind, nil
}

// weigh reads a rule's meta section. Of keys that stand there twice the first counts.
func weigh(info *yara.Info) (weight, error) {
	w := weight{strength: trust.Strong}
	description, strength := "", ""
	for _, m := range info.Meta {
		text, ok := m.Value.(string)
		switch {
		case m.Key == strengthKey && strength == "":
			if !ok || w.strength.UnmarshalText([]byte(text)) != nil {
				return w, fmt.Errorf("%s:%d:%d: rule %s: meta %s is %q: use context, weak, strong or proof",
					info.Source, info.Line, info.Column, info.Name, strengthKey, fmt.Sprint(m.Value))
			}
			strength = text
		case m.Key == descriptionKey && ok && description == "":
			description = strings.TrimRight(trust.Sanitise(text, descriptionLimit), ". ")
		}
	}
	place := fmt.Sprintf("%s:%d", trust.Sanitise(filepath.Base(info.Source), sourceLimit), info.Line)
	if description == "" {
		w.why = fmt.Sprintf("the user's YARA rule %s matches (%s)", info.Name, place)
	} else {
		w.why = fmt.Sprintf("%s (YARA rule %s, %s)", description, info.Name, place)
	}
	return w, nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return Name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator: the rules find theirs themselves.
func (*Indicator) Literals() []indicator.Literal { return nil }

// RulesDigest implements indicator.Ruled.
func (ind *Indicator) RulesDigest() digest.Digest { return ind.rules.Digest() }

// Rules are the compiled rules.
func (ind *Indicator) Rules() *yara.Rules { return ind.rules }

// Watch implements indicator.Indicator. Every file is of concern, whatever its kind.
func (ind *Indicator) Watch(indicator.File) indicator.Watch {
	return &watch{ind: ind, scan: ind.rules.Begin()}
}

type watch struct {
	ind    *Indicator
	scan   *yara.Scan
	unread string
}

// Hit implements indicator.Watch: there are no literals.
func (*watch) Hit(indicator.Hit) {}

// Bytes implements indicator.ByteWatch.
func (w *watch) Bytes(chunk []byte) { _, _ = w.scan.Write(chunk) }

// Close implements indicator.Watch: one finding for each rule that matches.
func (w *watch) Close() []trust.Finding {
	matches, err := w.scan.Close()
	if err != nil {
		w.unread = "leaves " + trust.Sanitise(strings.TrimPrefix(err.Error(), trust.ErrLimit.Error()+": "), unreadLimit)
	}
	found := make([]trust.Finding, 0, len(matches))
	for _, m := range matches {
		weight := w.ind.weights[m.Rule]
		found = append(found, trust.Finding{
			Strength: weight.strength, Offset: m.Offset, Excerpt: report.Excerpt(m.Excerpt), Why: weight.why,
		})
	}
	slices.SortStableFunc(found, func(a, b trust.Finding) int { return cmp.Compare(b.Strength, a.Strength) })
	return found[:min(len(found), maxFindings)]
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.unread }
