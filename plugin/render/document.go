package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
)

// Schema is the version of the JSON documents. Within a version fields are only added.
const Schema = 1

// Unanswered is what stands in Document.Action when no verdict was reached.
const Unanswered = "unanswered"

// Limits on what one document takes over from a verdict, so that a hostile image cannot flood a terminal or a log.
const (
	findingMax = 10_000
	reasonMax  = line.Most
	storyMax   = 12
)

// Document is one judgement as JSON. Every field is always present.
type Document struct {
	Schema         int               `json:"schema"`
	ID             string            `json:"id"`
	Reference      string            `json:"reference"`
	Digest         digest.Digest     `json:"digest"`
	ManifestDigest digest.Digest     `json:"manifestDigest"`
	Platform       string            `json:"platform"`
	Action         string            `json:"action"`
	ExitStatus     int               `json:"exitStatus"`
	Reasons        []string          `json:"reasons"`
	Story          []string          `json:"story"`
	Findings       []Finding         `json:"findings"`
	Unanswered     map[string]string `json:"unanswered"`
	NotAsked       map[string]string `json:"notAsked"`
	Vouched        []string          `json:"vouched"`
	Ruleset        digest.Digest     `json:"ruleset"`
	Policy         digest.Digest     `json:"policy"`
	DurationMs     int64             `json:"durationMs"`
	// Called is the action that the evidence calls for, where the policy's mode makes it milder; else empty.
	Called string `json:"called"`
	// Contact is whom the policy says to ask.
	Contact string `json:"contact"`

	// denied is true when a trust entry denies the image, which changes what a person can do next.
	denied bool
	// whom is whom to ask, as far as the verdict knows.
	whom string
}

// Finding is one finding of a Document.
type Finding struct {
	Check    string         `json:"check"`
	Strength trust.Strength `json:"strength"`
	Class    trust.Class    `json:"class"`
	Reach    trust.Reach    `json:"reach"`
	HiddenBy int            `json:"hiddenBy"`
	Layer    digest.Digest  `json:"layer"`
	Path     string         `json:"path"`
	Offset   int64          `json:"offset"`
	Excerpt  string         `json:"excerpt"`
	Why      string         `json:"why"`
}

// Problem is an error as JSON: what stands in place of a Document when there was nothing to judge.
type Problem struct {
	Schema     int    `json:"schema"`
	Error      string `json:"error"`
	ExitStatus int    `json:"exitStatus"`
}

// ExitStatus is the exit status that an action means. It is API: 0 allow and warn, 2 block, 3 quarantine, and 4 for
// everything that is not a verdict.
func ExitStatus(a trust.Action) int {
	switch a {
	case trust.Allow, trust.Warn:
		return 0
	case trust.Block:
		return 2
	case trust.Quarantine:
		return 3
	}
	return 4
}

// NewDocument describes a verdict. Top is the digest that the reference resolved to, an index perhaps; when it is
// empty, the verdict's own reference and manifest stand in.
func NewDocument(v trust.Verdict, top digest.Digest) Document {
	if top == "" {
		top = v.Manifest
	}
	d := Document{
		Schema: Schema, ID: line.Clean(v.ID), Reference: line.Clean(v.Reference.WithDigest("").String()),
		Digest: line.Digest(top), ManifestDigest: line.Digest(v.Manifest), Platform: platform(v.Evidence.Platform),
		Action: line.Clean(string(v.Action)), ExitStatus: ExitStatus(v.Action),
		Reasons: line.CleanSome(v.Reasons, reasonMax), Story: line.CleanSome(v.Story, storyMax),
		Unanswered: cleanMap(v.Evidence.Unanswered), NotAsked: cleanMap(v.Evidence.NotAsked),
		Vouched: line.CleanSome(v.Evidence.Vouched, reasonMax),
		Ruleset: line.Digest(v.Ruleset), Policy: line.Digest(v.Policy), DurationMs: v.Duration.Milliseconds(),
		denied: v.Evidence.Standing.Denied(), whom: line.Clean(v.Whom()),
	}
	if v.Decision != nil {
		d.Called, d.Contact = line.Clean(string(v.Decision.Called)), line.Clean(v.Decision.Contact)
	}
	d.Findings = NewFindings(v.Evidence.Findings)
	return d
}

// NewFindings are the weightiest findings, as documents have them.
func NewFindings(findings []trust.Finding) []Finding {
	out := make([]Finding, 0, min(len(findings), findingMax))
	for _, at := range weightiest(findings) {
		f := findings[at]
		out = append(out, Finding{
			Check: line.Clean(f.Check), Strength: knownStrength(f.Strength), Class: trust.Class(line.Clean(string(f.Class))),
			Reach: trust.Reach(line.Clean(string(f.Reach))), HiddenBy: f.HiddenBy, Layer: line.Digest(f.Layer), Path: line.Clean(f.Path),
			Offset: f.Offset, Excerpt: line.Clean(f.Excerpt), Why: line.Clean(f.Why),
		})
	}
	return out
}

// NewUnanswered describes a judgement that ended with an error instead of a verdict.
func NewUnanswered(ref trust.Reference, top, manifest digest.Digest, platform string, err error) Document {
	reason := line.Clean(strings.TrimPrefix(err.Error(), "judge "+ref.WithDigest(manifest).String()+": "))
	return Document{
		Schema: Schema, Reference: line.Clean(ref.WithDigest("").String()), Digest: line.Digest(top), ManifestDigest: line.Digest(manifest),
		Platform: line.Clean(platform), Action: Unanswered, ExitStatus: ExitStatus(""),
		Reasons: []string{reason}, Story: []string{}, Findings: []Finding{},
		Unanswered: map[string]string{"judgement": reason}, NotAsked: map[string]string{}, Vouched: []string{},
	}
}

// platform is empty when the config named none, which judges spell "/".
func platform(s string) string {
	if strings.Trim(s, "/") == "" {
		return ""
	}
	return line.Clean(s)
}

// JSON writes any document, one indented object and a line feed.
func JSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// knownStrength keeps a strength of a later version from failing the whole document.
func knownStrength(s trust.Strength) trust.Strength { return min(max(s, trust.Context), trust.Proof) }

func cleanMap(m map[string]string) map[string]string {
	out := make(map[string]string, min(len(m), reasonMax))
	for _, k := range sortedKeys(m) {
		if len(out) == reasonMax {
			break
		}
		out[line.Clean(k)] = line.Clean(m[k])
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// weightiest is where the findings of a document stand in findings: the strongest first, otherwise as they were, and as
// many as a document holds.
func weightiest(findings []trust.Finding) []int {
	at := make([]int, len(findings))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return int(findings[b].Strength) - int(findings[a].Strength) })
	return at[:min(len(at), findingMax)]
}
