// Package render prints verdicts: short for the person who pulled, in full for the one who asks why, and as JSON for
// machines.
//
// UI rules: a refusal has at most RefusalLines lines, the verdict first and what to do next last; one finding is one
// line; colour only ever repeats what a word says; nothing from outside is printed unsanitised.
package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
)

// RefusalLines bounds what a refusal prints; with the one line on standard error that every failure has, it is 12.
const RefusalLines = 11

// The parts of RefusalLines: three for the head, three for what to do next, the rest for what was found.
const evidenceLines = RefusalLines - 6

// errorWidth is the width of an error, which is one reason alone, and whose end may say what to do.
const errorWidth = 3 * line.Reason

// Text prints for people. The zero value prints without colour.
type Text struct {
	// Colour turns on ANSI colours.
	Colour bool
	// Command is how the person calls this program; "docker safepull" when empty.
	Command string
	// Proxy is the URL of the proxy that judged; empty means this machine.
	Proxy string
	// Organization is whose trust list this machine takes; empty where it takes none.
	Organization string
}

// words are the actions as a person reads them.
func word(action string) string {
	switch action {
	case string(trust.Allow):
		return "allowed"
	case string(trust.Warn):
		return "allowed with a warning"
	case string(trust.Quarantine):
		return "quarantined"
	case string(trust.Block):
		return "blocked"
	}
	return "could not be judged"
}

// Summary is the verdict in half a line: "blocked (SP-AB12CD34EF)".
func Summary(d Document) string {
	if d.ID == "" {
		return said(d)
	}
	return fmt.Sprintf("%s (%s)", said(d), d.ID)
}

// said is the action, and what it would have been but for the policy's mode.
func said(d Document) string {
	if d.Called != "" && d.Called != string(trust.Warn) {
		return word(d.Action) + ", would have been " + word(d.Called)
	}
	return word(d.Action)
}

// Verdict prints the short form: one line and the reasons for what may pass, a refusal for everything else.
func (t Text) Verdict(w io.Writer, d Document) error {
	out := bufio.NewWriter(w)
	switch {
	case d.ExitStatus != 0:
		t.refusal(out, d)
	default:
		fmt.Fprintf(out, "Verdict: %s\n", t.Paint(d.Action, Summary(d)))
		if d.Action == string(trust.Warn) {
			t.evidence(out, d)
			fmt.Fprintf(out, "  All the evidence: %s\n", t.explain(d.ID))
		}
	}
	return line.Flush(out)
}

// explain is the command that shows a verdict's evidence.
func (t Text) explain(id string) string {
	if t.Proxy != "" {
		return t.command() + " explain --proxy " + t.Proxy + " " + id
	}
	return t.command() + " explain " + id
}

func (t Text) refusal(out io.Writer, d Document) {
	fmt.Fprintf(out, "%s: %s\n", t.Paint(d.Action, strings.ToUpper(word(d.Action))), t.name(d))
	fmt.Fprintf(out, "Digest: %s\n", line.OrNone(d.ManifestDigest))
	fmt.Fprintf(out, "%s:\n", because(d))
	t.evidence(out, d)
	fmt.Fprint(out, "What you can do:\n")
	if d.ID == "" {
		fmt.Fprint(out, "  Put right what the reason says, or try again later: only what was judged is handed over.\n")
		return
	}
	fmt.Fprintf(out, "  %s   shows all the evidence\n", t.explain(d.ID))
	if d.denied && t.Proxy == "" { // a proxy has lists of its own
		fmt.Fprintf(out, "  %s trust test %s   shows the entry that denies it\n", t.command(), line.Elide(d.Reference, line.Name))
	}
	fmt.Fprintf(out, "  Think it is wrong? Ask %s, naming %s.\n", t.whom(d), d.ID)
}

// whom to ask: who the verdict names, else who answers for what decided.
func (t Text) whom(d Document) string {
	switch {
	case d.whom != "":
		return d.whom
	case d.denied:
		return "whoever keeps that trust list"
	case t.Proxy != "":
		return "whoever runs the proxy " + line.Clean(t.Proxy)
	case t.Organization != "":
		return "whoever runs containers at " + line.Elide(t.Organization, line.Path)
	}
	return "whoever runs your policy, or report it"
}

// because says in plain words what kind of reasons follow.
func because(d Document) string {
	switch {
	case d.denied:
		return "A trust list denies it"
	case d.Action == Unanswered:
		return "No verdict was reached, because"
	case slices.ContainsFunc(d.Findings, func(f Finding) bool {
		return f.Strength >= trust.Strong || f.Strength > trust.Context && f.Layer != "" && told(f, d.Reasons)
	}):
		return "It shows signs of cryptocurrency mining"
	case d.Action == string(trust.Quarantine) && len(d.Unanswered) > 0:
		return "Parts of it could not be inspected"
	}
	return "Reasons"
}

// name is the image with its platform, as far as it is known.
func (t Text) name(d Document) string {
	name := line.Elide(d.Reference, line.Name)
	if d.Platform != "" {
		name += " (" + d.Platform + ")"
	}
	return name
}

// evidence prints the first reason, the story, the other reasons and the weightiest findings that none of them tells,
// on at most evidenceLines lines.
func (t Text) evidence(out io.Writer, d Document) {
	var lines, findings []string
	first := min(len(d.Reasons), 1)
	for _, r := range slices.Concat(d.Reasons[:first], d.Story, d.Reasons[first:]) {
		width := line.Reason
		if d.Action == Unanswered {
			width = errorWidth
		}
		lines = append(lines, line.Shorten(r, width))
	}
	for _, f := range d.Findings {
		if !told(f, d.Reasons) && !inStory(f, d.Story) {
			findings = append(findings, findingLine(f))
		}
	}
	most := evidenceLines
	if d.denied {
		most-- // for one line more of what to do next
	}
	all := len(lines) + len(findings)
	if room := most - 1; all > most {
		lines = lines[:min(len(lines), max(room/2, room-len(findings)))]
		findings = findings[:min(len(findings), room-len(lines))]
	}
	lines = append(lines, findings...)
	for _, l := range lines {
		fmt.Fprintf(out, "  - %s\n", l)
	}
	if left := all - len(lines); left > 0 {
		fmt.Fprintf(out, "  - and %d more\n", left)
	}
}

// told reports whether a reason already says what was found and where. What was found in no content, but in the name or
// about the publisher, says where by itself.
func told(f Finding, reasons []string) bool {
	return slices.ContainsFunc(reasons, func(r string) bool {
		return f.Why != "" && strings.Contains(r, f.Why) && (f.Layer == "" || strings.Contains(r, f.Path) && strings.Contains(r, line.Short(f.Layer)))
	})
}

// inStory reports whether the story tells of the file, or the part of the configuration, that a finding was made in.
func inStory(f Finding, story []string) bool {
	if f.Layer == "" && told(f, story) {
		return true
	}
	file, _, _ := strings.Cut(f.Path, trust.Nested)
	return file != "" && slices.ContainsFunc(story, func(s string) bool { return strings.Contains(s, file+" ") })
}

// findingLine says what was found and where: "proof stratum@1: … (layer 0123456789ab, path opt/run.sh, runs)".
func findingLine(f Finding) string {
	where := "path " + line.Elide(f.Path, line.Path)
	if f.Layer != "" {
		where = "layer " + line.Short(f.Layer) + ", " + where
	}
	if reached := reachOf(f); reached != "" {
		where += ", " + reached
	}
	return fmt.Sprintf("%s, %s: %s (%s)", line.Elide(f.Check, 40), f.Strength, line.Elide(f.Why, line.Why), where)
}

// reachOf says how far the image reaches a finding, "" where nothing is known.
func reachOf(f Finding) string {
	if f.Reach == trust.ReachHidden && f.HiddenBy > 0 {
		return fmt.Sprintf("hidden by layer %d", f.HiddenBy)
	}
	return string(f.Reach)
}

// Explain prints everything that is known about a verdict.
func (t Text) Explain(w io.Writer, v trust.Verdict) error {
	out, d := bufio.NewWriter(w), NewDocument(v, "")
	fmt.Fprintf(out, "%s: %s\n\n", t.Paint(d.Action, said(d)), t.name(d))
	for _, row := range [][2]string{
		{"Verdict", d.ID},
		{"Manifest", string(line.OrNone(d.ManifestDigest))},
		{"Ruleset", string(line.OrNone(d.Ruleset))},
		{"Policy", string(line.OrNone(d.Policy))},
		{"Trust lists", string(line.OrNone(v.TrustLists))},
		{"Judged", v.At.UTC().Format("2006-01-02 15:04:05 UTC") + ", in " + v.Duration.String()},
	} {
		fmt.Fprintf(out, "%-12s %s\n", row[0]+":", row[1])
	}
	if !v.Until.IsZero() {
		fmt.Fprintf(out, "%-12s %s\n", "Holds until:", v.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	line.Section(out, "Story", d.Story)
	line.Section(out, "Reasons", d.Reasons)
	line.Section(out, "Integrity", line.CleanSome(v.Evidence.Integrity, reasonMax))
	line.Section(out, "The registry vouches for the publisher", d.Vouched)
	line.Standing(out, v.Evidence.Standing)
	t.findings(out, d.Findings, weightsOf(v), len(v.Evidence.Findings))
	line.Section(out, "Unanswered", pairs(d.Unanswered))
	line.Section(out, "Not asked", pairs(d.NotAsked))
	line.Section(out, "Answered", line.CleanSome(v.Evidence.Answered, reasonMax))
	t.changes(out, v.Decision)
	t.next(out, d)
	return line.Flush(out)
}

func (t Text) findings(out io.Writer, findings []Finding, weights map[Finding]string, all int) {
	fmt.Fprintf(out, "\nFindings: %d\n", all)
	for i, f := range findings {
		fmt.Fprintf(out, "  %d. %s, %s\n", i+1, f.Check, f.Strength)
		fmt.Fprintf(out, "     why:     %s\n", f.Why)
		if weighs, ok := weights[f]; ok {
			fmt.Fprintf(out, "     weighs:  %s\n", weighs)
		}
		if reached := reachOf(f); reached != "" {
			fmt.Fprintf(out, "     reach:   %s\n", reached)
		}
		if f.Class != "" {
			fmt.Fprintf(out, "     class:   %s\n", f.Class)
		}
		fmt.Fprintf(out, "     layer:   %s\n", line.OrNone(f.Layer))
		fmt.Fprintf(out, "     path:    %s\n", f.Path)
		fmt.Fprintf(out, "     offset:  %d\n", f.Offset)
		if f.Excerpt != "" {
			fmt.Fprintf(out, "     excerpt: %s\n", f.Excerpt)
		}
	}
	if all > len(findings) {
		fmt.Fprintf(out, "  and %d more\n", all-len(findings))
	}
}

func pairs(m map[string]string) []string {
	var lines []string
	for _, k := range sortedKeys(m) {
		lines = append(lines, k+": "+m[k])
	}
	return lines
}

func (t Text) command() string {
	if t.Command == "" {
		return "docker safepull"
	}
	return t.Command
}

// Action is an action in a word, coloured by its severity.
func (t Text) Action(action string) string { return t.Paint(action, word(action)) }

// Paint colours s by the severity of an action.
func (t Text) Paint(action, s string) string {
	if !t.Colour {
		return s
	}
	code := "31;1" // red
	switch action {
	case string(trust.Allow):
		code = "32" // green
	case string(trust.Warn), string(trust.Quarantine), Unanswered:
		code = "33;1" // yellow
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
